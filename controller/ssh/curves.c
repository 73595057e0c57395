/* See curves.h. The functions and what they must do: provider-keymgmt(7), provider-signature(7),
 * provider-keyexch(7). They may be called on any thread, for one key or context on one at a time: a
 * public half is worked out when it is first asked for, which a lock would not be worth.
 *
 * Contexts hold copies of the keys they are given, so that nobody's lifetime hangs on another's.
 */
#include "controller/ssh/curves.h"

#include <pthread.h>
#include <string.h>

#include <openssl/conf.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <sodium.h>

#include "common/err.h"
#include "common/mem.h"

enum { KEY = 32, SIGNATURE = crypto_sign_BYTES };
_Static_assert(KEY == crypto_scalarmult_BYTES && KEY == crypto_scalarmult_SCALARBYTES, "X25519");
_Static_assert(KEY == crypto_sign_SEEDBYTES && KEY == crypto_sign_PUBLICKEYBYTES, "Ed25519");

enum curve { X25519, ED25519 };

struct curve_key {
    enum curve curve;
    bool has_private, has_public;
    uint8_t secret[KEY]; /* X25519: the scalar; Ed25519: the seed */
    uint8_t public[KEY]; /* with has_public; else it follows from the secret */
};

#define FUNCTION(id, f)                                                                            \
    {                                                                                              \
        id, (void (*)(void))(f)                                                                    \
    }
#define NO_MORE                                                                                    \
    {                                                                                              \
        0, NULL                                                                                    \
    }

static void wipe_free(void *p, size_t n)
{
    if (p != NULL)
        sodium_memzero(p, n);
    mem_free(p);
}

/* ---- public halves ---- */

/* A worker logs in to thousands of hosts with one key, which libssh hands over each time. */
static struct last_seed {
    uint8_t seed[KEY], public[KEY];
} * last; /* locked memory; NULL: none was to be had */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static bool last_is_set;

static void work_out_ed25519(struct curve_key *k)
{
    uint8_t both[crypto_sign_SECRETKEYBYTES];
    pthread_mutex_lock(&last_lock);
    if (last != NULL && last_is_set && sodium_memcmp(last->seed, k->secret, KEY) == 0) {
        memcpy(k->public, last->public, KEY);
    } else {
        (void)crypto_sign_seed_keypair(k->public, both, k->secret); /* always 0 */
        sodium_memzero(both, sizeof both);
        if (last != NULL) {
            memcpy(last->seed, k->secret, KEY);
            memcpy(last->public, k->public, KEY);
            last_is_set = true;
        }
    }
    pthread_mutex_unlock(&last_lock);
}

static const uint8_t *public_of(struct curve_key *k)
{
    if (!k->has_public && k->curve == X25519)
        (void)crypto_scalarmult_base(k->public, k->secret); /* always 0 */
    else if (!k->has_public)
        work_out_ed25519(k);
    k->has_public = true;
    return k->public;
}

/* ---- keys ---- */

static struct curve_key *key_new(enum curve curve)
{
    struct curve_key *k = mem_calloc(1, sizeof *k);
    if (k != NULL)
        k->curve = curve;
    return k;
}

static void *x25519_new(void *provider)
{
    (void)provider;
    return key_new(X25519);
}

static void *ed25519_new(void *provider)
{
    (void)provider;
    return key_new(ED25519);
}

static void key_free(void *key)
{
    wipe_free(key, sizeof(struct curve_key));
}

static void *key_dup(const void *key, int selection)
{
    const struct curve_key *from = key;
    struct curve_key *k = key_new(from->curve);
    if (k == NULL)
        return NULL;
    *k = *from;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 && k->has_private) {
        (void)public_of(k);
        sodium_memzero(k->secret, KEY);
        k->has_private = false;
    }
    return k;
}

static int key_has(const void *key, int selection)
{
    const struct curve_key *k = key;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !k->has_private)
        return 0;
    return (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 || k->has_private || k->has_public;
}

static int key_match(const void *a, const void *b, int selection)
{
    struct curve_key x = *(const struct curve_key *)a, y = *(const struct curve_key *)b;
    bool same = x.curve == y.curve;
    if (same && (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0)
        same = key_has(&x, OSSL_KEYMGMT_SELECT_PUBLIC_KEY) &&
               key_has(&y, OSSL_KEYMGMT_SELECT_PUBLIC_KEY) &&
               sodium_memcmp(public_of(&x), public_of(&y), KEY) == 0;
    sodium_memzero(&x, sizeof x);
    sodium_memzero(&y, sizeof y);
    return same;
}

/* false: it is there, and is none. */
static bool take(const OSSL_PARAM params[], const char *name, uint8_t to[KEY], bool *there)
{
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
    void *at = to;
    size_t n = 0;
    *there = p != NULL;
    return p == NULL ||
           (p->data_size == KEY && OSSL_PARAM_get_octet_string(p, &at, KEY, &n) == 1 && n == KEY);
}

/* The public half of a private key is not believed but worked out: to sign with another one would
 * give the key away. */
static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
    struct curve_key *k = key;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
        return 0;
    k->has_private = k->has_public = false;
    if (!take(params, OSSL_PKEY_PARAM_PUB_KEY, k->public, &k->has_public))
        return 0;
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 &&
        !take(params, OSSL_PKEY_PARAM_PRIV_KEY, k->secret, &k->has_private))
        return 0;
    k->has_public = k->has_public && !k->has_private;
    return k->has_private || k->has_public;
}

static int key_export(void *key, int selection, OSSL_CALLBACK *give, void *arg)
{
    struct curve_key *k = key;
    bool secret = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && k->has_private;
    OSSL_PARAM params[3] = {OSSL_PARAM_END, OSSL_PARAM_END, OSSL_PARAM_END};
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0 ||
        !key_has(k, OSSL_KEYMGMT_SELECT_PUBLIC_KEY))
        return 0;
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                  (uint8_t *)(uintptr_t)public_of(k), KEY);
    if (secret)
        params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, k->secret, KEY);
    return give(params, arg);
}

static const OSSL_PARAM *key_types(int selection)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
                                       OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, NULL, 0),
                                       OSSL_PARAM_END};
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0 ? types : NULL;
}

static bool put_int(OSSL_PARAM params[], const char *name, int value)
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, name);
    return p == NULL || OSSL_PARAM_set_int(p, value) == 1;
}

/* Numbers as libcrypto has them; a digest of the message is none of the caller's affair. */
static int key_get(void *key, OSSL_PARAM params[])
{
    const struct curve_key *k = key;
    bool ed = k->curve == ED25519;
    OSSL_PARAM *digest = ed ? OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST) : NULL;
    return put_int(params, OSSL_PKEY_PARAM_BITS, ed ? 256 : 253) &&
           put_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, 128) &&
           put_int(params, OSSL_PKEY_PARAM_MAX_SIZE, ed ? SIGNATURE : KEY) &&
           (digest == NULL || OSSL_PARAM_set_utf8_string(digest, "") == 1);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
    static const OSSL_PARAM all[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0), OSSL_PARAM_END};
    (void)provider;
    return all;
}

/* ---- generating ---- */

/* What is generated is known from the first: the context is the key to be. */
static void *gen_begin(enum curve curve, int selection)
{
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0 ? key_new(curve) : NULL;
}

static void *x25519_gen_begin(void *provider, int selection, const OSSL_PARAM params[])
{
    (void)provider, (void)params;
    return gen_begin(X25519, selection);
}

static void *ed25519_gen_begin(void *provider, int selection, const OSSL_PARAM params[])
{
    (void)provider, (void)params;
    return gen_begin(ED25519, selection);
}

/* There is nothing to choose, which is no error. */
static int gen_set(void *context, const OSSL_PARAM params[])
{
    (void)context, (void)params;
    return 1;
}

static const OSSL_PARAM *gen_settable(void *context, void *provider)
{
    static const OSSL_PARAM none[] = {OSSL_PARAM_END};
    (void)context, (void)provider;
    return none;
}

static void *key_gen(void *context, OSSL_CALLBACK *progress, void *arg)
{
    struct curve_key *k = key_new(((const struct curve_key *)context)->curve);
    (void)progress, (void)arg;
    if (k == NULL)
        return NULL;
    randombytes_buf(k->secret, KEY);
    if (k->curve == X25519) { /* RFC 7748 section 5: as it is used */
        k->secret[0] &= 248;
        k->secret[31] = (uint8_t)((k->secret[31] & 127) | 64);
    }
    k->has_private = true;
    return k;
}

#define KEY_FUNCTIONS(new, gen)                                                                    \
    FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),              \
        FUNCTION(OSSL_FUNC_KEYMGMT_DUP, key_dup), FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),        \
        FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                                              \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                            \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types),                                       \
        FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                                            \
        FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types),                                       \
        FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get),                                           \
        FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),                                 \
        FUNCTION(OSSL_FUNC_KEYMGMT_GEN_INIT, gen),                                                 \
        FUNCTION(OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, gen_set),                                       \
        FUNCTION(OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, gen_settable),                             \
        FUNCTION(OSSL_FUNC_KEYMGMT_GEN, key_gen),                                                  \
        FUNCTION(OSSL_FUNC_KEYMGMT_GEN_CLEANUP, key_free), NO_MORE

static const OSSL_DISPATCH x25519_keys[] = {KEY_FUNCTIONS(x25519_new, x25519_gen_begin)};
static const OSSL_DISPATCH ed25519_keys[] = {KEY_FUNCTIONS(ed25519_new, ed25519_gen_begin)};

/* ---- Ed25519: signatures ---- */

struct signing {
    bool ready;
    struct curve_key key;
};

static void *signing_new(void *provider, const char *properties)
{
    (void)provider, (void)properties;
    return mem_calloc(1, sizeof(struct signing));
}

static void signing_free(void *context)
{
    wipe_free(context, sizeof(struct signing));
}

static void *signing_dup(void *context)
{
    return mem_memdup(context, sizeof(struct signing));
}

/* key NULL: once more, with the one from before. */
static int signing_begin(struct signing *s, const char *digest, struct curve_key *key, bool sign)
{
    if (digest != NULL && *digest != '\0')
        return 0;
    if (key == NULL)
        return s->ready && (s->key.has_private || !sign);
    if (key->curve != ED25519 || (sign && !key->has_private) ||
        !key_has(key, OSSL_KEYMGMT_SELECT_PUBLIC_KEY))
        return 0;
    (void)public_of(key);
    s->key = *key;
    s->ready = true;
    return 1;
}

static int sign_begin(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
    (void)params;
    return signing_begin(context, digest, key, true);
}

static int verify_begin(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
    (void)params;
    return signing_begin(context, digest, key, false);
}

static int sign(void *context, unsigned char *sig, size_t *len, size_t cap, const unsigned char *p,
                size_t n)
{
    const struct signing *s = context;
    uint8_t both[crypto_sign_SECRETKEYBYTES];
    if (sig == NULL) {
        *len = SIGNATURE;
        return 1;
    }
    if (!s->ready || !s->key.has_private || cap < SIGNATURE)
        return 0;
    memcpy(both, s->key.secret, KEY);
    memcpy(both + KEY, s->key.public, KEY);
    int rc = crypto_sign_detached(sig, NULL, p, n, both);
    sodium_memzero(both, sizeof both);
    *len = SIGNATURE;
    return rc == 0;
}

static int verify(void *context, const unsigned char *sig, size_t len, const unsigned char *p,
                  size_t n)
{
    const struct signing *s = context;
    return s->ready && len == SIGNATURE &&
           crypto_sign_verify_detached(sig, p, n, s->key.public) == 0;
}

static const OSSL_DISPATCH ed25519_signatures[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DUPCTX, signing_dup),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_begin),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, verify_begin),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, verify),
    NO_MORE};

/* ---- X25519: the shared secret ---- */

struct exchange {
    bool ready, has_peer;
    uint8_t secret[KEY], peer[KEY];
};

static void *exchange_new(void *provider)
{
    (void)provider;
    return mem_calloc(1, sizeof(struct exchange));
}

static void exchange_free(void *context)
{
    wipe_free(context, sizeof(struct exchange));
}

static void *exchange_dup(void *context)
{
    return mem_memdup(context, sizeof(struct exchange));
}

static int exchange_begin(void *context, void *key, const OSSL_PARAM params[])
{
    struct exchange *x = context;
    const struct curve_key *k = key;
    (void)params;
    x->ready = k != NULL && k->curve == X25519 && k->has_private;
    x->has_peer = false;
    if (x->ready)
        memcpy(x->secret, k->secret, KEY);
    return x->ready;
}

static int exchange_peer(void *context, void *key)
{
    struct exchange *x = context;
    struct curve_key *k = key;
    x->has_peer = k != NULL && k->curve == X25519 && key_has(k, OSSL_KEYMGMT_SELECT_PUBLIC_KEY);
    if (x->has_peer)
        memcpy(x->peer, public_of(k), KEY);
    return x->has_peer;
}

static int exchange_derive(void *context, unsigned char *shared, size_t *len, size_t cap)
{
    const struct exchange *x = context;
    if (!x->ready || !x->has_peer)
        return 0;
    *len = KEY;
    if (shared == NULL)
        return 1;
    return cap >= KEY && crypto_scalarmult(shared, x->secret, x->peer) == 0;
}

static const OSSL_DISPATCH x25519_exchange[] = {FUNCTION(OSSL_FUNC_KEYEXCH_NEWCTX, exchange_new),
                                                FUNCTION(OSSL_FUNC_KEYEXCH_FREECTX, exchange_free),
                                                FUNCTION(OSSL_FUNC_KEYEXCH_DUPCTX, exchange_dup),
                                                FUNCTION(OSSL_FUNC_KEYEXCH_INIT, exchange_begin),
                                                FUNCTION(OSSL_FUNC_KEYEXCH_SET_PEER, exchange_peer),
                                                FUNCTION(OSSL_FUNC_KEYEXCH_DERIVE, exchange_derive),
                                                NO_MORE};

/* ---- the provider ---- */

#define SERVED_AS "provider=" CURVES_PROVIDER
#define NO_ALGORITHM                                                                               \
    {                                                                                              \
        NULL, NULL, NULL, NULL                                                                     \
    }

static const OSSL_ALGORITHM *served(void *provider, int operation, int *no_store)
{
    static const OSSL_ALGORITHM keys[] = {
        {"X25519:1.3.101.110", SERVED_AS, x25519_keys, "libsodium's"},
        {"ED25519:1.3.101.112", SERVED_AS, ed25519_keys, "libsodium's"},
        NO_ALGORITHM};
    static const OSSL_ALGORITHM signatures[] = {
        {"ED25519:1.3.101.112", SERVED_AS, ed25519_signatures, "libsodium's"}, NO_ALGORITHM};
    static const OSSL_ALGORITHM exchanges[] = {
        {"X25519:1.3.101.110", SERVED_AS, x25519_exchange, "libsodium's"}, NO_ALGORITHM};
    (void)provider;
    *no_store = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT: return keys;
    case OSSL_OP_SIGNATURE: return signatures;
    case OSSL_OP_KEYEXCH: return exchanges;
    default: return NULL;
    }
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core,
                         const OSSL_DISPATCH **ours, void **context)
{
    static const OSSL_DISPATCH functions[] = {FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, served),
                                              NO_MORE};
    (void)core;
    *ours = functions;
    *context = (void *)(uintptr_t)handle;
    return 1;
}

/* config(5): openssl_conf names a section, whose alg_section names one with default_properties. */
static bool machine_chooses(void)
{
    CONF *conf = NCONF_new(NULL);
    char *file = CONF_get1_default_config_file();
    const char *section = NULL, *algorithms = NULL, *properties = NULL;
    if (conf != NULL && file != NULL && NCONF_load(conf, file, NULL) > 0)
        section = NCONF_get_string(conf, NULL, "openssl_conf");
    if (section != NULL)
        algorithms = NCONF_get_string(conf, section, "alg_section");
    if (algorithms != NULL)
        properties = NCONF_get_string(conf, algorithms, "default_properties");
    bool chosen = properties != NULL;
    OPENSSL_free(file);
    NCONF_free(conf);
    ERR_clear_error();
    return chosen || EVP_default_properties_is_fips_enabled(NULL) != 0;
}

static bool is_default(const OSSL_PROVIDER *p)
{
    return p != NULL && strcmp(OSSL_PROVIDER_get0_name(p), "default") == 0;
}

/* A list of providers in openssl.cnf is a choice as well: FIPS, or one without these curves. */
static bool default_serves(void)
{
    EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(NULL, "X25519", NULL);
    EVP_KEYEXCH *x = EVP_KEYEXCH_fetch(NULL, "X25519", NULL);
    EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(NULL, "ED25519", NULL);
    bool serves = k != NULL && is_default(EVP_KEYMGMT_get0_provider(k)) && x != NULL &&
                  is_default(EVP_KEYEXCH_get0_provider(x)) && s != NULL &&
                  is_default(EVP_SIGNATURE_get0_provider(s));
    EVP_KEYMGMT_free(k);
    EVP_KEYEXCH_free(x);
    EVP_SIGNATURE_free(s);
    return serves && OSSL_PROVIDER_available(NULL, "fips") == 0;
}

bool curves_load(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    static OSSL_PROVIDER *loaded; /* until the process ends */
    if (loaded != NULL)
        return true;
    if (sodium_init() < 0 || machine_chooses() || !default_serves()) {
        ERR_clear_error();
        return false;
    }
    if (last == NULL)
        last = sodium_malloc(sizeof *last);
    if (OSSL_PROVIDER_add_builtin(NULL, CURVES_PROVIDER, provider_init) == 1)
        loaded = OSSL_PROVIDER_try_load(NULL, CURVES_PROVIDER, 1);
    /* "?": preferred where it serves, and no loss where it does not. */
    bool ok = loaded != NULL && EVP_set_default_properties(NULL, "?" SERVED_AS) == 1;
    if (!ok && loaded != NULL) {
        OSSL_PROVIDER_unload(loaded);
        loaded = NULL;
    }
    ERR_clear_error();
    return ok;
}
