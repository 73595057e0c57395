/* Curve25519 by libsodium inside of libcrypto: the RFCs' vectors, libcrypto's own implementation as
 * the oracle, what has to be refused, and who serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <sodium.h>

#include "common/err.h"
#include "common/mem.h"
#include "controller/ssh/curves.h"

enum { KEY = 32, SIGNATURE = 64, MESSAGE_MAX = 300 };
enum { LOADED = 3, NOT = 4 };

static char *self;

static const char *const OURS = "provider=" CURVES_PROVIDER, *const THEIRS = "provider=default";

static void from_hex(uint8_t *to, size_t n, const char *hex)
{
    size_t len = 0;
    assert_int_equal(sodium_hex2bin(to, n, hex, strlen(hex), NULL, &len, NULL), 0);
    assert_int_equal(len, n);
}

static EVP_PKEY *private_key(const char *type, const char *who, const uint8_t secret[KEY])
{
    EVP_PKEY *k = EVP_PKEY_new_raw_private_key_ex(NULL, type, who, secret, KEY);
    assert_non_null(k);
    return k;
}

static EVP_PKEY *public_key(const char *type, const char *who, const uint8_t public[KEY])
{
    EVP_PKEY *k = EVP_PKEY_new_raw_public_key_ex(NULL, type, who, public, KEY);
    assert_non_null(k);
    return k;
}

static void raw_public(uint8_t to[KEY], const EVP_PKEY *k)
{
    size_t n = KEY;
    assert_int_equal(EVP_PKEY_get_raw_public_key(k, to, &n), 1);
    assert_int_equal(n, KEY);
}

static bool sign(EVP_PKEY *k, const char *who, const void *p, size_t n, uint8_t sig[SIGNATURE])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t len = 0;
    bool ok = c != NULL && EVP_DigestSignInit_ex(c, NULL, NULL, NULL, who, k, NULL) == 1 &&
              EVP_DigestSign(c, NULL, &len, p, n) == 1 && len == SIGNATURE &&
              EVP_DigestSign(c, sig, &len, p, n) == 1 && len == SIGNATURE;
    EVP_MD_CTX_free(c);
    return ok;
}

static bool verify(EVP_PKEY *k, const char *who, const void *p, size_t n, const uint8_t *sig,
                   size_t len)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c != NULL && EVP_DigestVerifyInit_ex(c, NULL, NULL, NULL, who, k, NULL) == 1 &&
              EVP_DigestVerify(c, sig, len, p, n) == 1;
    EVP_MD_CTX_free(c);
    return ok;
}

static bool derive(EVP_PKEY *mine, EVP_PKEY *peer, const char *who, uint8_t shared[KEY])
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, mine, who);
    size_t len = KEY;
    bool ok = c != NULL && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, peer) == 1 &&
              EVP_PKEY_derive(c, shared, &len) == 1 && len == KEY;
    EVP_PKEY_CTX_free(c);
    return ok;
}

/* ---- who serves ---- */

/* What a process of its own says that has this openssl.cnf. */
static bool loads_with(const char *config)
{
    char path[] = "/tmp/test_curves.XXXXXX";
    char *argv[] = {self, "loads", NULL};
    int fd = mkstemp(path), status = 0;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, config, strlen(config)), strlen(config));
    close(fd);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv("OPENSSL_CONF", path, 1);
        execv(self, argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(unlink(path), 0);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == LOADED || WEXITSTATUS(status) == NOT));
    return WEXITSTATUS(status) == LOADED;
}

static void test_the_machines_word(void **state)
{
    (void)state;
    assert_true(loads_with(""));
    assert_true(loads_with("this is no configuration\n"));
    assert_true(loads_with("openssl_conf = all\n[all]\nproviders = some\n[some]\ndefault = d\n"
                           "legacy = d\n[d]\nactivate = 1\n"));
    assert_false(loads_with("openssl_conf = all\n[all]\nalg_section = chosen\n"
                            "[chosen]\ndefault_properties = provider!=legacy\n"));
    assert_false(loads_with("openssl_conf = all\n[all]\nproviders = some\n[some]\nbase = b\n"
                            "[b]\nactivate = 1\n"));
    assert_true(curves_load());
    assert_true(curves_load());
}

static void test_served(void **state)
{
    (void)state;
    EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(NULL, "X25519", NULL);
    EVP_KEYEXCH *x = EVP_KEYEXCH_fetch(NULL, "X25519", NULL);
    EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(NULL, "ED25519", NULL);
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    EVP_SIGNATURE *rsa = EVP_SIGNATURE_fetch(NULL, "RSA", NULL);
    assert_true(k != NULL && x != NULL && s != NULL && c != NULL && rsa != NULL);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KEYMGMT_get0_provider(k)), CURVES_PROVIDER);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KEYEXCH_get0_provider(x)), CURVES_PROVIDER);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_SIGNATURE_get0_provider(s)), CURVES_PROVIDER);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(c)), "default");
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_SIGNATURE_get0_provider(rsa)), "default");
    EVP_KEYMGMT_free(k);
    EVP_KEYEXCH_free(x);
    EVP_SIGNATURE_free(s);
    EVP_CIPHER_free(c);
    EVP_SIGNATURE_free(rsa);
}

/* ---- vectors ---- */

/* RFC 8032, 7.1. */
static void test_rfc8032(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *public, *message, *signature;
    } rows[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "cf9b4"
         "6bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
         "0f11d"
         "8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "84dc6"
         "594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t secret[KEY], public[KEY], want[SIGNATURE], got[SIGNATURE], message[8], worked[KEY];
        size_t n = strlen(rows[i].message) / 2;
        from_hex(secret, KEY, rows[i].secret);
        from_hex(public, KEY, rows[i].public);
        from_hex(message, n, rows[i].message);
        from_hex(want, SIGNATURE, rows[i].signature);
        EVP_PKEY *k = private_key("ED25519", OURS, secret),
                 *p = public_key("ED25519", OURS, public);
        raw_public(worked, k);
        assert_memory_equal(worked, public, KEY);
        assert_int_equal(EVP_PKEY_eq(k, p), 1);
        assert_true(sign(k, OURS, message, n, got));
        assert_memory_equal(got, want, SIGNATURE);
        assert_true(verify(p, OURS, message, n, want, SIGNATURE));
        EVP_PKEY_free(k);
        EVP_PKEY_free(p);
    }
}

/* RFC 7748: Bob's side of 6.1, and the first of 5.2. */
static void test_rfc7748(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *peer, *shared;
    } rows[] = {
        {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
         "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
         "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t secret[KEY], peer[KEY], want[KEY], got[KEY];
        from_hex(secret, KEY, rows[i].secret);
        from_hex(peer, KEY, rows[i].peer);
        from_hex(want, KEY, rows[i].shared);
        EVP_PKEY *k = private_key("X25519", OURS, secret), *p = public_key("X25519", OURS, peer);
        assert_true(derive(k, p, OURS, got));
        assert_memory_equal(got, want, KEY);
        EVP_PKEY_free(k);
        EVP_PKEY_free(p);
    }
    uint8_t secret[KEY], want[KEY], got[KEY];
    from_hex(secret, KEY, rows[0].secret);
    from_hex(want, KEY, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    EVP_PKEY *k = private_key("X25519", OURS, secret);
    raw_public(got, k);
    assert_memory_equal(got, want, KEY);
    EVP_PKEY_free(k);
}

/* ---- against libcrypto's own ---- */

static void test_ed25519_against_libcrypto(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        uint8_t secret[KEY], message[MESSAGE_MAX], a[SIGNATURE], b[SIGNATURE], pa[KEY], pb[KEY];
        size_t n = (size_t)i * 3 % MESSAGE_MAX;
        randombytes_buf(secret, KEY);
        randombytes_buf(message, MESSAGE_MAX);
        EVP_PKEY *mine = private_key("ED25519", OURS, secret);
        EVP_PKEY *theirs = private_key("ED25519", THEIRS, secret);
        raw_public(pa, mine);
        raw_public(pb, theirs);
        assert_memory_equal(pa, pb, KEY);
        assert_true(sign(mine, OURS, message, n, a) && sign(mine, OURS, message, n, a));
        assert_true(sign(theirs, THEIRS, message, n, b));
        assert_memory_equal(a, b, SIGNATURE);
        EVP_PKEY *p = public_key("ED25519", OURS, pa), *q = public_key("ED25519", THEIRS, pa);
        assert_true(verify(p, OURS, message, n, b, SIGNATURE));
        assert_true(verify(mine, OURS, message, n, b, SIGNATURE));
        assert_true(verify(q, THEIRS, message, n, a, SIGNATURE));
        assert_int_equal(EVP_PKEY_get_size(p), EVP_PKEY_get_size(q));
        assert_int_equal(EVP_PKEY_get_bits(p), EVP_PKEY_get_bits(q));
        assert_int_equal(EVP_PKEY_get_security_bits(p), EVP_PKEY_get_security_bits(q));
        EVP_PKEY_free(mine);
        EVP_PKEY_free(theirs);
        EVP_PKEY_free(p);
        EVP_PKEY_free(q);
    }
}

static EVP_PKEY *generate(const char *type, const char *who, uint8_t secret[KEY],
                          uint8_t public[KEY])
{
    size_t n = KEY;
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, who, type);
    assert_non_null(k);
    assert_int_equal(EVP_PKEY_get_raw_private_key(k, secret, &n), 1);
    assert_int_equal(n, KEY);
    raw_public(public, k);
    return k;
}

static void test_x25519_against_libcrypto(void **state)
{
    (void)state;
    uint8_t before[KEY] = {0};
    for (int i = 0; i < 100; i++) {
        uint8_t sa[KEY], pa[KEY], sb[KEY], pb[KEY], worked[KEY], x[KEY], y[KEY], z[KEY];
        EVP_PKEY *mine = generate("X25519", OURS, sa, pa);
        EVP_PKEY *theirs = generate("X25519", THEIRS, sb, pb);
        assert_memory_not_equal(before, sa, KEY);
        memcpy(before, sa, KEY);
        /* What libssh does: out as raw bytes, and in again. */
        EVP_PKEY *again = private_key("X25519", OURS, sa);
        EVP_PKEY *known = private_key("X25519", THEIRS, sa);
        EVP_PKEY *peer = public_key("X25519", OURS, pb), *other = public_key("X25519", THEIRS, pa);
        raw_public(worked, known);
        assert_memory_equal(worked, pa, KEY);
        assert_true(derive(mine, peer, OURS, x) && derive(again, peer, OURS, y));
        assert_true(derive(theirs, other, THEIRS, z));
        assert_memory_equal(x, z, KEY);
        assert_memory_equal(y, z, KEY);
        assert_int_equal(EVP_PKEY_get_size(mine), EVP_PKEY_get_size(theirs));
        assert_int_equal(EVP_PKEY_get_bits(mine), EVP_PKEY_get_bits(theirs));
        assert_int_equal(EVP_PKEY_get_security_bits(mine), EVP_PKEY_get_security_bits(theirs));
        EVP_PKEY *all[] = {mine, theirs, again, known, peer, other};
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
            EVP_PKEY_free(all[k]);
    }
}

/* ---- what is refused ---- */

static void test_forged(void **state)
{
    (void)state;
    uint8_t secret[KEY], sig[SIGNATURE], public[KEY];
    char message[] = "what was signed";
    size_t n = sizeof message - 1;
    EVP_PKEY *k = generate("ED25519", OURS, secret, public);
    EVP_PKEY *p = public_key("ED25519", OURS, public);
    assert_true(sign(k, OURS, message, n, sig));
    for (size_t bit = 0; bit < (size_t)8 * SIGNATURE; bit++) {
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(verify(p, OURS, message, n, sig, SIGNATURE));
        sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * n; bit++) {
        message[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(verify(p, OURS, message, n, sig, SIGNATURE));
        message[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_false(verify(p, OURS, message, n - 1, sig, SIGNATURE));
    assert_false(verify(p, OURS, message, n, sig, SIGNATURE - 1));
    assert_false(verify(p, OURS, message, n, sig, 0));
    assert_true(verify(p, OURS, message, n, sig, SIGNATURE));
    assert_false(sign(p, OURS, message, n, sig)); /* nobody signs with a public key */
    EVP_PKEY_free(k);
    EVP_PKEY_free(p);
}

/* The neutral element verifies R = S·B with S = 0 for every message there is. */
static void test_weak_keys(void **state)
{
    (void)state;
    const uint8_t neutral[KEY] = {1}, zero[KEY] = {0};
    uint8_t secret[KEY], public[KEY], shared[KEY], sig[SIGNATURE] = {1};
    EVP_PKEY *weak = public_key("ED25519", OURS, neutral);
    assert_false(verify(weak, OURS, "any", 3, sig, SIGNATURE));
    EVP_PKEY *k = generate("X25519", OURS, secret, public);
    EVP_PKEY *none = public_key("X25519", OURS, zero);
    assert_false(derive(k, none, OURS, shared));
    EVP_PKEY_free(weak);
    EVP_PKEY_free(k);
    EVP_PKEY_free(none);
}

static void test_wrong_shapes(void **state)
{
    (void)state;
    uint8_t bytes[64] = {5};
    const size_t wrong[] = {0, 1, 31, 33, 64};
    static const char *const types[] = {"X25519", "ED25519"};
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            assert_null(EVP_PKEY_new_raw_private_key_ex(NULL, types[t], OURS, bytes, wrong[i]));
            assert_null(EVP_PKEY_new_raw_public_key_ex(NULL, types[t], OURS, bytes, wrong[i]));
        }
    EVP_PKEY *k = private_key("ED25519", OURS, bytes);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    assert_int_not_equal(EVP_DigestSignInit_ex(c, NULL, "SHA256", NULL, OURS, k, NULL), 1);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(k);
}

/* A public half that comes with a private key is worked out anew: a signature made with another one
 * would give the key away. */
static void test_public_half_is_not_believed(void **state)
{
    (void)state;
    uint8_t secret[KEY], public[KEY], lie[KEY], got[KEY];
    EVP_PKEY *k = generate("ED25519", THEIRS, secret, public), *made = NULL;
    memset(lie, 7, KEY);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string("pub", lie, KEY),
                           OSSL_PARAM_construct_octet_string("priv", secret, KEY),
                           OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "ED25519", OURS);
    assert_int_equal(EVP_PKEY_fromdata_init(c), 1);
    assert_int_equal(EVP_PKEY_fromdata(c, &made, EVP_PKEY_KEYPAIR, params), 1);
    raw_public(got, made);
    assert_memory_equal(got, public, KEY);
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(made);
    EVP_PKEY_free(k);
}

/* Each of our allocations fails in turn: an answer that is right, or none; nothing is left. */
static void test_no_memory(void **state)
{
    (void)state;
    uint8_t secret[KEY], public[KEY], want[SIGNATURE], got[SIGNATURE];
    EVP_PKEY *k = generate("ED25519", THEIRS, secret, public);
    assert_true(sign(k, THEIRS, "m", 1, want));
    EVP_PKEY_free(k);
    bool whole = false;
    for (long after = 0; !whole; after++) {
        size_t live = mem_live();
        mem_fail_after(after);
        EVP_PKEY *mine = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", OURS, secret, KEY);
        bool signed_it = mine != NULL && sign(mine, OURS, "m", 1, got);
        EVP_PKEY *p = EVP_PKEY_Q_keygen(NULL, OURS, "X25519");
        bool derived = p != NULL && derive(p, p, OURS, got + KEY);
        whole = mem_fail_fired() == 0;
        mem_fail_after(-1);
        assert_true(!whole || (signed_it && derived));
        if (signed_it && !derived)
            assert_memory_equal(got, want, KEY);
        EVP_PKEY_free(mine);
        EVP_PKEY_free(p);
        ERR_clear_error();
        assert_int_equal(mem_live(), live);
        assert_true(after < 100);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2) /* see loads_with */
        return curves_load() ? LOADED : NOT;
    self = argv[0];
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_machines_word),
        cmocka_unit_test(test_served),
        cmocka_unit_test(test_rfc8032),
        cmocka_unit_test(test_rfc7748),
        cmocka_unit_test(test_ed25519_against_libcrypto),
        cmocka_unit_test(test_x25519_against_libcrypto),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_weak_keys),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_public_half_is_not_believed),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
