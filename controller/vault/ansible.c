/* Reads what ansible-vault wrote: $ANSIBLE_VAULT;1.1;AES256 and 1.2 with a label. See vault.h.
 *
 * The body is hex of three lines of hex: salt, HMAC-SHA-256 of the ciphertext, ciphertext. The keys
 * are PBKDF2-HMAC-SHA-256 over 10,000 rounds, which is weak by today's measure: we read it and do
 * not write it. The HMAC is checked first, in constant time; the padding means something only then.
 */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "common/mem.h"
#include "controller/vault/vault.h"

#define MARK "$ANSIBLE_VAULT;"
enum { ROUNDS = 10000, AES_KEY = 32, MAC_KEY = 32, IV = 16, MAC = 32, BLOCK = 16, MAX_SALT = 1024 };

struct parts { /* into the once decoded body */
    uint8_t *salt, *mac, *sealed;
    size_t salt_len, mac_len, sealed_len;
};

bool vault_is_ansible(const void *text, size_t len)
{
    return len >= sizeof MARK - 1 && memcmp(text, MARK, sizeof MARK - 1) == 0;
}

static enum rc check_first_line(const char *line, size_t len, struct err *e)
{
    static const char *const known[] = {MARK "1.1;AES256", MARK "1.2;AES256;"};
    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
        len--;
    if ((len == strlen(known[0]) && memcmp(line, known[0], len) == 0) ||
        (len > strlen(known[1]) && memcmp(line, known[1], strlen(known[1])) == 0))
        return RC_OK;
    return err_set(e, RC_PARSE,
                   "ansible-vault's 1.1;AES256 and 1.2;AES256;LABEL can be read, not what this "
                   "begins with");
}

/* Hex to bytes at dst, which may be where the hex stands. */
static bool unhex(uint8_t *dst, size_t *len, const char *hex, size_t n)
{
    return sodium_hex2bin(dst, n / 2, hex, n, " \t\r\n", len, NULL) == 0;
}

/* One inner line, decoded in place; *rest moves behind it. */
static bool take_line(uint8_t **rest, size_t *left, uint8_t **out, size_t *len)
{
    uint8_t *newline = memchr(*rest, '\n', *left);
    size_t n = newline != NULL ? (size_t)(newline - *rest) : *left;
    *out = *rest;
    if (!unhex(*out, len, (const char *)*rest, n))
        return false;
    *left -= newline != NULL ? n + 1 : n;
    *rest += newline != NULL ? n + 1 : n;
    return true;
}

static enum rc take_parts(uint8_t *body, size_t len, struct parts *p, struct err *e)
{
    if (!take_line(&body, &len, &p->salt, &p->salt_len) ||
        !take_line(&body, &len, &p->mac, &p->mac_len) ||
        !take_line(&body, &len, &p->sealed, &p->sealed_len) || len != 0 || p->salt_len == 0 ||
        p->salt_len > MAX_SALT || p->mac_len != MAC || p->sealed_len == 0 ||
        p->sealed_len % BLOCK != 0)
        return err_set(e, RC_PARSE, "damaged: not the salt, HMAC and text of ansible-vault");
    return RC_OK;
}

static bool aes_ctr(const uint8_t *key, const uint8_t *iv, const struct parts *p, uint8_t *dst)
{
    int n = 0, last = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool done = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, key, iv) == 1 &&
                EVP_DecryptUpdate(ctx, dst, &n, p->sealed, (int)p->sealed_len) == 1 &&
                EVP_DecryptFinal_ex(ctx, dst + n, &last) == 1 &&
                (size_t)n + (size_t)last == p->sealed_len;
    EVP_CIPHER_CTX_free(ctx); /* wipes */
    return done;
}

/* PKCS#7, after the HMAC was right: what is wrong here was written so. */
static bool unpad(struct secret *plain)
{
    size_t n = plain->data[plain->len - 1];
    if (n == 0 || n > BLOCK || n > plain->len)
        return false;
    for (size_t i = 1; i <= n; i++)
        if (plain->data[plain->len - i] != n)
            return false;
    plain->len -= n;
    return true;
}

static enum rc open_parts(const struct secret *given, const struct parts *p, struct secret *keys,
                          struct secret *plain, struct err *e)
{
    uint8_t mac[MAC];
    unsigned n = 0;
    if (PKCS5_PBKDF2_HMAC((const char *)given->data, (int)given->len, p->salt, (int)p->salt_len,
                          ROUNDS, EVP_sha256(), (int)keys->cap, keys->data) != 1 ||
        HMAC(EVP_sha256(), keys->data + AES_KEY, MAC_KEY, p->sealed, p->sealed_len, mac, &n) ==
            NULL ||
        n != MAC)
        return err_set(e, RC_CRYPTO, "libcrypto cannot derive the keys");
    if (sodium_memcmp(mac, p->mac, MAC) != 0)
        return err_set(e, RC_CRYPTO, "wrong key, or altered since it was sealed");
    if (!aes_ctr(keys->data, keys->data + AES_KEY + MAC_KEY, p, plain->data))
        return err_set(e, RC_CRYPTO, "libcrypto cannot decrypt it");
    plain->len = p->sealed_len;
    return unpad(plain) ? RC_OK : err_set(e, RC_CRYPTO, "sealed with a wrong padding");
}

enum rc vault_open_ansible(struct vault *v, const char *text, size_t len, struct secret **plain,
                           struct err *e)
{
    const char *newline = memchr(text, '\n', len);
    size_t first = newline != NULL ? (size_t)(newline - text) : len, n = 0;
    struct parts p;
    *plain = NULL;
    if (len > VAULT_MAX_TEXT)
        return err_set(e, RC_LIMIT, "a sealed text of more than %d bytes", VAULT_MAX_TEXT);
    enum rc rc = check_first_line(text, first, e);
    if (rc != RC_OK)
        return rc;
    struct secret *keys = NULL;
    uint8_t *body = mem_alloc((len - first) / 2 + 1);
    if (body == NULL)
        return err_nomem(e);
    if (!unhex(body, &n, text + first, len - first))
        rc = err_set(e, RC_PARSE, "damaged: not the hex that ansible-vault writes");
    if (rc == RC_OK)
        rc = take_parts(body, n, &p, e);
    if (rc == RC_OK)
        rc = secret_new(&keys, AES_KEY + MAC_KEY + IV, e);
    if (rc == RC_OK)
        rc = secret_new(plain, p.sealed_len, e);
    if (rc == RC_OK)
        rc = open_parts(vault_key(v), &p, keys, *plain, e);
    secret_free(keys);
    mem_free(body);
    if (rc != RC_OK) {
        secret_free(*plain);
        *plain = NULL;
    }
    return rc;
}
