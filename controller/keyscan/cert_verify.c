/* The signature on a certificate. See cert.h. libsodium for Ed25519, libcrypto for the others. */
#include "controller/keyscan/cert.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>

enum { RSA_MOST = 2048 }; /* bytes of a modulus: 16,384 bits, as in ssh */

struct reader {
    const uint8_t *p;
    size_t left;
};

static struct cert_bytes take(struct reader *r)
{
    struct cert_bytes none = {NULL, 0};
    if (r->left < 4)
        return none;
    size_t n = (size_t)r->p[0] << 24 | (size_t)r->p[1] << 16 | (size_t)r->p[2] << 8 | r->p[3];
    if (n > r->left - 4)
        return none;
    struct cert_bytes s = {r->p + 4, n};
    r->p += 4 + n;
    r->left -= 4 + n;
    return s;
}

static bool is(struct cert_bytes s, const char *text)
{
    return s.p != NULL && s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static enum rc refuse(struct err *e, const char *why)
{
    return err_set(e, RC_CRYPTO, "the certificate's signature %s", why);
}

/* key: its fields behind the type. */
static enum rc verify_ed25519(struct reader key, struct cert_bytes body, struct cert_bytes type,
                              struct cert_bytes sig, struct err *e)
{
    struct cert_bytes pk = take(&key);
    if (!is(type, "ssh-ed25519") || pk.len != crypto_sign_PUBLICKEYBYTES ||
        sig.len != crypto_sign_BYTES)
        return refuse(e, "is not of its key's type");
    if (crypto_sign_verify_detached(sig.p, body.p, body.len, pk.p) != 0)
        return refuse(e, "is wrong");
    return RC_OK;
}

static EVP_PKEY *make_key(const char *algorithm, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(struct cert_bytes exponent, struct cert_bytes modulus)
{
    EVP_PKEY *key = NULL;
    BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.len, NULL);
    BIGNUM *x = BN_bin2bn(exponent.p, (int)exponent.len, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (n != NULL && x != NULL && bld != NULL &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, x) == 1)
        key = make_key("RSA", bld);
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(x);
    return key;
}

static EVP_PKEY *ec_key(const char *curve, struct cert_bytes point)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (bld != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.len) == 1)
        key = make_key("EC", bld);
    OSSL_PARAM_BLD_free(bld);
    return key;
}

static bool check(EVP_PKEY *key, const EVP_MD *md, struct cert_bytes body, const uint8_t *sig,
                  size_t len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
                EVP_DigestVerify(ctx, sig, len, body.p, body.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static enum rc verify_rsa(struct reader key, struct cert_bytes body, struct cert_bytes type,
                          struct cert_bytes sig, struct err *e)
{
    uint8_t padded[RSA_MOST] = {0};
    struct cert_bytes x = take(&key), n = take(&key);
    const EVP_MD *md = is(type, "rsa-sha2-512")   ? EVP_sha512()
                       : is(type, "rsa-sha2-256") ? EVP_sha256()
                                                  : NULL;
    if (md == NULL) /* SHA-1 above all */
        return refuse(e, "is of a type that is not accepted");
    if (n.len > RSA_MOST || x.len > 64)
        return refuse(e, "was made with a key that is too large");
    EVP_PKEY *pk = rsa_key(x, n);
    size_t size = pk != NULL ? (size_t)EVP_PKEY_get_size(pk) : 0;
    bool good = size > 0 && size <= sizeof padded && sig.len > 0 && sig.len <= size;
    if (good) { /* leading zeros may have been left out */
        memcpy(padded + size - sig.len, sig.p, sig.len);
        good = check(pk, md, body, padded, size);
    }
    EVP_PKEY_free(pk);
    return good ? RC_OK : refuse(e, "is wrong");
}

/* r and s, as DER wants them. */
static bool check_ec(EVP_PKEY *key, const EVP_MD *md, struct cert_bytes body, struct cert_bytes sig)
{
    struct reader in = {sig.p, sig.len};
    struct cert_bytes r = take(&in), s = take(&in);
    if (r.p == NULL || s.p == NULL || in.left != 0 || r.len > 80 || s.len > 80)
        return false;
    ECDSA_SIG *both = ECDSA_SIG_new();
    BIGNUM *br = BN_bin2bn(r.p, (int)r.len, NULL), *bs = BN_bin2bn(s.p, (int)s.len, NULL);
    if (both == NULL || br == NULL || bs == NULL || ECDSA_SIG_set0(both, br, bs) != 1) {
        BN_free(br);
        BN_free(bs);
        ECDSA_SIG_free(both);
        return false;
    }
    uint8_t *der = NULL;
    int len = i2d_ECDSA_SIG(both, &der);
    bool good = len > 0 && check(key, md, body, der, (size_t)len);
    OPENSSL_free(der);
    ECDSA_SIG_free(both);
    return good;
}

static enum rc verify_ecdsa(struct reader key, enum line_type kind, struct cert_bytes body,
                            struct cert_bytes type, struct cert_bytes sig, struct err *e)
{
    const char *curve = kind == LINE_ECDSA_256   ? "prime256v1"
                        : kind == LINE_ECDSA_384 ? "secp384r1"
                                                 : "secp521r1";
    const EVP_MD *md = kind == LINE_ECDSA_256   ? EVP_sha256()
                       : kind == LINE_ECDSA_384 ? EVP_sha384()
                                                : EVP_sha512();
    if (!is(type, line_type_name(kind)))
        return refuse(e, "is not of its key's type");
    take(&key); /* the curve again */
    EVP_PKEY *pk = ec_key(curve, take(&key));
    bool good = pk != NULL && check_ec(pk, md, body, sig);
    EVP_PKEY_free(pk);
    return good ? RC_OK : refuse(e, "is wrong");
}

enum rc cert_verify(const struct cert *c, struct err *e)
{
    struct reader key = {c->authority.p, c->authority.len}, in = {c->signature.p, c->signature.len};
    struct cert_bytes type = take(&in), sig = take(&in);
    enum line_type kind = line_blob_type(c->authority.p, c->authority.len);
    if (type.p == NULL || sig.p == NULL || in.left != 0)
        return refuse(e, "cannot be read");
    take(&key); /* the type, which is kind */
    switch (kind) {
    case LINE_ED25519: return verify_ed25519(key, c->body, type, sig, e);
    case LINE_RSA: return verify_rsa(key, c->body, type, sig, e);
    case LINE_ECDSA_256:
    case LINE_ECDSA_384:
    case LINE_ECDSA_521: return verify_ecdsa(key, kind, c->body, type, sig, e);
    default: return refuse(e, "was made with a kind of key that cannot be checked");
    }
}
