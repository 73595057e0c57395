/* See vault.h. Argon2id once per salt; XChaCha20-Poly1305 with a random nonce for each text, the
 * header as additional data. */
#include "controller/vault/vault.h"

#include <string.h>

#include <sodium.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/vault/envelope.h"

/* Enough for files of several teams; past it the oldest is derived again when it is asked for. */
enum { KEYS = 16, KEY_SIZE = crypto_aead_xchacha20poly1305_ietf_KEYBYTES };

struct derived {
    struct vault_cost cost;
    uint8_t salt[VAULT_SALT];
};

struct vault {
    struct secret *given;       /* as the user gave it */
    struct secret *keys;        /* KEYS of KEY_SIZE bytes */
    struct derived known[KEYS]; /* what each was derived with */
    size_t count, next;         /* in use; the one to be replaced */
    struct vault_cost cost;     /* for sealing */
    uint8_t salt[VAULT_SALT];
};

_Static_assert(VAULT_SALT == crypto_pwhash_SALTBYTES, "salt of Argon2id");
_Static_assert(VAULT_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(VAULT_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");

enum rc vault_new(struct vault **out, struct secret *key, struct err *e)
{
    *out = NULL;
    struct vault *v = mem_calloc(1, sizeof *v);
    if (v == NULL) {
        secret_free(key);
        return err_nomem(e);
    }
    v->given = key;
    enum rc rc = secret_new(&v->keys, (size_t)KEYS * KEY_SIZE, e);
    if (rc == RC_OK && key->len == 0)
        rc = err_set(e, RC_USAGE, "the vault's key is empty");
    if (rc != RC_OK) {
        vault_free(v);
        return rc;
    }
    v->cost = (struct vault_cost){crypto_pwhash_argon2id_OPSLIMIT_MODERATE,
                                  crypto_pwhash_argon2id_MEMLIMIT_MODERATE};
    randombytes_buf(v->salt, sizeof v->salt);
    *out = v;
    return RC_OK;
}

void vault_free(struct vault *v)
{
    if (v == NULL)
        return;
    secret_free(v->given);
    secret_free(v->keys);
    mem_free(v);
}

void vault_set_cost(struct vault *v, struct vault_cost cost)
{
    v->cost = cost;
}

const struct secret *vault_key(const struct vault *v)
{
    return v->given;
}

/* *key points into v->keys until the next call. */
static enum rc derive(struct vault *v, const struct vault_cost *cost, const uint8_t *salt,
                      const uint8_t **key, struct err *e)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct derived *d = &v->known[i];
        if (d->cost.ops == cost->ops && d->cost.memory == cost->memory &&
            memcmp(d->salt, salt, VAULT_SALT) == 0) {
            *key = v->keys->data + i * KEY_SIZE;
            return RC_OK;
        }
    }
    uint8_t *place = v->keys->data + v->next * KEY_SIZE;
    struct derived *d = &v->known[v->next];
    d->cost = (struct vault_cost){0}; /* no key yet */
    if (crypto_pwhash(place, KEY_SIZE, (const char *)v->given->data, v->given->len, salt, cost->ops,
                      (size_t)cost->memory, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_set(e, RC_NOMEM, "deriving the key needs %llu MiB of memory, which is not there",
                       (unsigned long long)(cost->memory >> 20));
    d->cost = *cost;
    memcpy(d->salt, salt, VAULT_SALT);
    v->next = (v->next + 1) % KEYS;
    v->count += v->count < KEYS;
    *key = place;
    return RC_OK;
}

static enum rc pad(const void *plain, size_t len, struct secret **out, struct err *e)
{
    size_t padded = (len / VAULT_BLOCK + 1) * VAULT_BLOCK;
    enum rc rc = secret_new(out, padded, e);
    if (rc != RC_OK)
        return rc;
    if (len > 0)
        memcpy((*out)->data, plain, len);
    must(sodium_pad(&(*out)->len, (*out)->data, len, VAULT_BLOCK, padded) == 0);
    must((*out)->len == padded);
    return RC_OK;
}

/* Header, then what the padded text becomes under `key`. */
static enum rc encrypt(const struct vault_header *h, const struct secret *padded,
                       const uint8_t *key, struct buf *bytes)
{
    enum rc rc = envelope_header(h, bytes);
    size_t aad = bytes->len;
    if (rc == RC_OK)
        rc = buf_reserve(bytes, padded->len + VAULT_TAG);
    if (rc != RC_OK)
        return rc;
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes->data + aad, NULL, padded->data, padded->len,
                                               bytes->data, aad, NULL, h->nonce, key);
    bytes->len += padded->len + VAULT_TAG;
    return RC_OK;
}

enum rc vault_seal(struct vault *v, const char *name, const void *plain, size_t len,
                   struct buf *out, struct err *e)
{
    struct vault_header h = {.is_value = name != NULL, .cost = v->cost};
    if (name != NULL && *name == '\0')
        return err_set(e, RC_USAGE, "a sealed value needs the name of its variable");
    if (name != NULL && strlen(name) > VAULT_MAX_NAME)
        return err_set(e, RC_LIMIT, "a variable's name of more than %d bytes", VAULT_MAX_NAME);
    if (len > VAULT_MAX_PLAIN)
        return err_set(e, RC_LIMIT, "more than %d bytes to seal", VAULT_MAX_PLAIN);
    snprintf(h.name, sizeof h.name, "%s", name != NULL ? name : "");
    memcpy(h.salt, v->salt, sizeof h.salt);
    randombytes_buf(h.nonce, sizeof h.nonce);
    struct secret *padded = NULL;
    const uint8_t *key = NULL;
    struct buf bytes;
    buf_init(&bytes, VAULT_MAX_TEXT);
    enum rc rc = pad(plain, len, &padded, e);
    if (rc == RC_OK)
        rc = derive(v, &h.cost, h.salt, &key, e);
    if (rc == RC_OK &&
        (encrypt(&h, padded, key, &bytes) != RC_OK || envelope_text(&bytes, out) != RC_OK))
        rc = err_nomem(e);
    buf_fini(&bytes);
    secret_free(padded);
    return rc;
}

static enum rc decrypt(const struct vault_header *h, const struct buf *aad, const struct buf *body,
                       const uint8_t *key, struct secret **plain, struct err *e)
{
    size_t padded = body->len - VAULT_TAG, len = 0;
    enum rc rc = secret_new(plain, padded, e);
    if (rc != RC_OK)
        return rc;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt((*plain)->data, NULL, NULL, body->data,
                                                   body->len, aad->data, aad->len, h->nonce,
                                                   key) != 0)
        rc = err_set(e, RC_CRYPTO, "wrong key, or altered since it was sealed");
    else if (sodium_unpad(&len, (*plain)->data, padded, VAULT_BLOCK) != 0)
        rc = err_set(e, RC_CRYPTO, "sealed by a program that does not follow the format");
    (*plain)->len = len;
    if (rc != RC_OK) {
        secret_free(*plain);
        *plain = NULL;
    }
    return rc;
}

/* The header's own word for where it belongs; its truth is shown by opening it. */
static enum rc check_place(const struct vault_header *h, const char *name, struct err *e)
{
    char sealed[4 * 64];
    if (name == NULL || strcmp(name, h->name) == 0)
        return RC_OK;
    str_escape_to(sealed, sizeof sealed, h->name, strlen(h->name), 0);
    if (!h->is_value)
        return err_set(e, RC_CRYPTO, "a sealed file, not the value of '%.100s'", name);
    if (*name == '\0')
        return err_set(e, RC_CRYPTO, "the sealed value of '%s', not a sealed file", sealed);
    return err_set(e, RC_CRYPTO, "sealed for the variable '%s', not for '%.100s'", sealed, name);
}

/* With *adopt, sealing uses the same salt and cost from now on. */
static enum rc open_ours(struct vault *v, const char *text, size_t len, const char *name,
                         bool adopt, struct secret **plain, struct err *e)
{
    struct vault_header h;
    struct buf aad, body;
    const uint8_t *key = NULL;
    *plain = NULL;
    buf_init(&aad, VAULT_FIXED + VAULT_MAX_NAME);
    buf_init(&body, VAULT_MAX_TEXT);
    enum rc rc = vault_read(text, len, &h, &aad, &body, e);
    if (rc == RC_OK)
        rc = check_place(&h, name, e);
    if (rc == RC_OK)
        rc = derive(v, &h.cost, h.salt, &key, e);
    if (rc == RC_OK)
        rc = decrypt(&h, &aad, &body, key, plain, e);
    if (rc == RC_OK && adopt) {
        v->cost = h.cost;
        memcpy(v->salt, h.salt, sizeof v->salt);
    }
    buf_fini(&aad);
    buf_fini(&body);
    return rc;
}

enum rc vault_open(struct vault *v, const char *text, size_t len, const char *name,
                   struct secret **plain, struct err *e)
{
    return open_ours(v, text, len, name, false, plain, e);
}

enum rc vault_adopt(struct vault *v, const char *text, size_t len, struct err *e)
{
    struct secret *plain;
    enum rc rc = open_ours(v, text, len, NULL, true, &plain, e);
    secret_free(plain);
    return rc;
}

bool vault_is_sealed(const void *text, size_t len)
{
    size_t n = sizeof VAULT_MARK - 1;
    return (len >= n && memcmp(text, VAULT_MARK, n) == 0) || vault_is_ansible(text, len);
}

enum rc vault_open_any(struct vault *v, const char *text, size_t len, const char *name,
                       struct secret **plain, struct err *e)
{
    *plain = NULL;
    if (!vault_is_sealed(text, len))
        return err_set(e, RC_PARSE, "not sealed: it begins with neither %s nor $ANSIBLE_VAULT;",
                       VAULT_MARK);
    return vault_is_ansible(text, len) ? vault_open_ansible(v, text, len, plain, e)
                                       : vault_open(v, text, len, name, plain, e);
}
