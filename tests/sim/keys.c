/* See keys.h. The format of the private key is that of OpenSSH's PROTOCOL.key. */
#include "tests/sim/keys.h"

#include <sodium.h>
#include <string.h>

#include "common/str.h"

enum { BLOCK = 8, MAX_KEY = 1024 };

struct pair {
    uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
};

static void make_pair(struct pair *p, uint64_t seed, uint32_t n)
{
    char text[64];
    uint8_t material[crypto_sign_SEEDBYTES];
    int len = snprintf(text, sizeof text, "muster-sim %llu %u", (unsigned long long)seed, n);
    crypto_generichash(material, sizeof material, (const uint8_t *)text, (size_t)len, NULL, 0);
    crypto_sign_seed_keypair(p->pk, p->sk, material);
}

static void put_u32(struct buf *b, uint32_t n, enum rc *rc)
{
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    if (*rc == RC_OK)
        *rc = buf_append(b, bytes, sizeof bytes);
}

static void put_string(struct buf *b, const void *p, size_t n, enum rc *rc)
{
    put_u32(b, (uint32_t)n, rc);
    if (*rc == RC_OK)
        *rc = buf_append(b, p, n);
}

static void put_public(struct buf *b, const struct pair *p, enum rc *rc)
{
    put_string(b, "ssh-ed25519", 11, rc);
    put_string(b, p->pk, sizeof p->pk, rc);
}

static enum rc done(enum rc rc, struct err *e)
{
    return rc == RC_OK ? rc : err_set(e, rc, "a key could not be made: %s", rc_name(rc));
}

enum rc key_public(struct buf *out, uint64_t seed, uint32_t n, struct err *e)
{
    struct pair p;
    struct buf blob;
    enum rc rc = RC_OK;
    make_pair(&p, seed, n);
    buf_init(&blob, MAX_KEY);
    put_public(&blob, &p, &rc);
    if (rc == RC_OK)
        rc = buf_puts(out, "ssh-ed25519 ");
    if (rc == RC_OK)
        rc = str_base64(out, blob.data, blob.len);
    buf_fini(&blob);
    return done(rc, e);
}

static enum rc put_private(struct buf *b, const struct pair *p, uint32_t n)
{
    enum rc rc = RC_OK;
    put_u32(b, n, &rc); /* the check number, twice */
    put_u32(b, n, &rc);
    put_public(b, p, &rc);
    put_string(b, p->sk, sizeof p->sk, &rc);
    put_string(b, "muster-sim", 10, &rc);
    for (char pad = 1; rc == RC_OK && b->len % BLOCK != 0; pad++)
        rc = buf_putc(b, pad);
    return rc;
}

static enum rc put_file(struct buf *b, const struct pair *p, uint32_t n)
{
    struct buf part;
    enum rc rc = buf_append(b, "openssh-key-v1", 15);
    put_string(b, "none", 4, &rc);
    put_string(b, "none", 4, &rc);
    put_string(b, "", 0, &rc);
    put_u32(b, 1, &rc);
    buf_init(&part, MAX_KEY);
    put_public(&part, p, &rc);
    put_string(b, part.data, part.len, &rc);
    buf_fini(&part);
    if (rc == RC_OK)
        rc = put_private(&part, p, n);
    put_string(b, part.data, part.len, &rc);
    buf_fini(&part);
    return rc;
}

enum rc key_private(struct buf *out, uint64_t seed, uint32_t n, struct err *e)
{
    struct pair p;
    struct buf file, text;
    make_pair(&p, seed, n);
    buf_init(&file, MAX_KEY);
    buf_init(&text, 2 * MAX_KEY);
    enum rc rc = put_file(&file, &p, n);
    if (rc == RC_OK)
        rc = str_base64(&text, file.data, file.len);
    if (rc == RC_OK)
        rc = buf_puts(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t at = 0; rc == RC_OK && at < text.len; at += 70) {
        rc = buf_append(out, text.data + at, text.len - at < 70 ? text.len - at : 70);
        if (rc == RC_OK)
            rc = buf_putc(out, '\n');
    }
    if (rc == RC_OK)
        rc = buf_puts(out, "-----END OPENSSH PRIVATE KEY-----\n");
    buf_fini(&file);
    buf_fini(&text);
    return done(rc, e);
}
