/* See key_blob.h. */
#include "controller/ssh/key_blob.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "common/str.h"

static const char CERT_SUFFIX[] = "-cert-v01@openssh.com";

bool blob_u8(struct blob_reader *r, uint8_t *v)
{
    if (r->n < 1)
        return false;
    *v = r->p[0];
    r->p += 1;
    r->n -= 1;
    return true;
}

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool blob_u32(struct blob_reader *r, uint32_t *v)
{
    if (r->n < 4)
        return false;
    *v = u32_at(r->p);
    r->p += 4;
    r->n -= 4;
    return true;
}

bool blob_u64(struct blob_reader *r, uint64_t *v)
{
    if (r->n < 8)
        return false;
    *v = (uint64_t)u32_at(r->p) << 32 | u32_at(r->p + 4);
    r->p += 8;
    r->n -= 8;
    return true;
}

bool blob_string(struct blob_reader *r, const uint8_t **p, size_t *n)
{
    if (r->n < 4 || u32_at(r->p) > r->n - 4)
        return false;
    *n = u32_at(r->p);
    *p = r->p + 4;
    r->p += 4 + *n;
    r->n -= 4 + *n;
    return true;
}

bool blob_is(struct blob_reader *r, const char *text)
{
    const uint8_t *p;
    size_t n;
    return blob_string(r, &p, &n) && n == strlen(text) && memcmp(p, text, n) == 0;
}

enum rc blob_put_u32(struct buf *out, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return buf_append(out, b, sizeof b);
}

enum rc blob_put_string(struct buf *out, const void *p, size_t n)
{
    enum rc rc = n > UINT32_MAX ? RC_LIMIT : buf_reserve(out, 4 + n);
    if (rc == RC_OK)
        rc = blob_put_u32(out, (uint32_t)n);
    return rc == RC_OK ? buf_append(out, p, n) : rc;
}

bool key_blob_type(char dst[KEY_BLOB_TYPE], const void *blob, size_t len)
{
    struct blob_reader r = {blob, len};
    const uint8_t *p;
    size_t n;
    if (!blob_string(&r, &p, &n) || n == 0 || n >= KEY_BLOB_TYPE)
        return false;
    for (size_t i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    memcpy(dst, p, n);
    dst[n] = '\0';
    return true;
}

bool key_type_is_cert(const char *type)
{
    return str_ends(type, CERT_SUFFIX);
}

bool key_type_usable(const char *type)
{
    static const char *const types[] = {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        "ssh-rsa-cert-v01@openssh.com",
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* --- files --- */

/* The body between the armour's lines, decoded. Holds the private part too: wiped by the caller. */
static enum rc unarmour(struct buf *out, const char *text)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    static const char end[] = "-----END OPENSSH PRIVATE KEY-----";
    if (!str_starts(text, begin))
        return RC_NOTFOUND;
    text += sizeof begin - 1;
    const char *stop = strstr(text, end);
    size_t n = stop != NULL ? (size_t)(stop - text) : 0;
    enum rc rc = buf_reserve(out, n);
    if (rc != RC_OK)
        return rc;
    size_t len = 0;
    if (n == 0 || sodium_base642bin(out->data, n, text, n, "\r\n \t", &len, NULL,
                                    sodium_base64_VARIANT_ORIGINAL) != 0)
        return RC_PARSE;
    out->len = len;
    return RC_OK;
}

static enum rc public_part(struct buf *out, struct blob_reader r)
{
    static const char magic[] = "openssh-key-v1"; /* its NUL counts */
    const uint8_t *p;
    size_t n;
    uint32_t keys;
    char type[KEY_BLOB_TYPE];
    if (r.n < sizeof magic || memcmp(r.p, magic, sizeof magic) != 0)
        return RC_PARSE;
    r.p += sizeof magic;
    r.n -= sizeof magic;
    for (int i = 0; i < 3; i++) /* cipher, KDF, its options */
        if (!blob_string(&r, &p, &n))
            return RC_PARSE;
    if (!blob_u32(&r, &keys) || keys != 1 || !blob_string(&r, &p, &n) || n > KEY_BLOB_MAX ||
        !key_blob_type(type, p, n))
        return RC_PARSE;
    buf_reset(out);
    return buf_append(out, p, n);
}

enum rc key_blob_of_private(struct buf *out, const char *text, struct err *e)
{
    struct buf body;
    buf_init(&body, 1024 * 1024);
    enum rc rc = unarmour(&body, text);
    if (rc == RC_OK)
        rc = public_part(out, (struct blob_reader){body.data, body.len});
    buf_wipe(&body);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : err_set(e, rc, "no public part can be read from the private key");
}

enum rc key_blob_of_line(struct buf *out, const char *text, struct err *e)
{
    char type[KEY_BLOB_TYPE];
    text += strspn(text, " \t\r\n");
    while (*text == '#') {
        text += strcspn(text, "\n");
        text += strspn(text, " \t\r\n");
    }
    size_t name = strcspn(text, " \t\r\n");
    const char *body = text + name + strspn(text + name, " \t");
    size_t n = strcspn(body, " \t\r\n");
    buf_reset(out);
    enum rc rc = n == 0 || n > 2 * KEY_BLOB_MAX ? RC_PARSE : str_unbase64(out, body, n);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    if (rc != RC_OK || out->len > KEY_BLOB_MAX || !key_blob_type(type, out->data, out->len) ||
        strlen(type) != name || memcmp(type, text, name) != 0)
        return err_set(e, RC_PARSE, "not a public key or certificate (TYPE BASE64 COMMENT)");
    return RC_OK;
}

/* --- certificates --- */

/* How many strings make up the public key inside a certificate; 0: a type that we do not know. */
static unsigned key_fields(const char *type)
{
    if (str_starts(type, "ssh-ed25519-"))
        return 1;
    if (str_starts(type, "ssh-rsa-") || str_starts(type, "ecdsa-sha2-") ||
        str_starts(type, "sk-ssh-ed25519-"))
        return 2;
    return str_starts(type, "sk-ecdsa-sha2-nistp256-") ? 3 : 0;
}

/* The certified key on its own: the plain type, then its fields as they stand in the certificate.
 * The plain name of FIDO's types has "@openssh.com" as well. */
static enum rc plain_key(struct buf *plain, const char *type, const uint8_t *fields, size_t n)
{
    char name[KEY_BLOB_TYPE + 16];
    snprintf(name, sizeof name, "%.*s%s", (int)(strlen(type) - (sizeof CERT_SUFFIX - 1)), type,
             str_starts(type, "sk-") ? "@openssh.com" : "");
    buf_reset(plain);
    enum rc rc = blob_put_string(plain, name, strlen(name));
    return rc == RC_OK ? buf_append(plain, fields, n) : rc;
}

static bool parse_principals(struct key_cert *c, const uint8_t *p, size_t n)
{
    struct blob_reader r = {p, n};
    size_t len = 0;
    while (r.n > 0) {
        char one[64];
        if (!blob_string(&r, &p, &n))
            return false;
        str_escape_to(one, sizeof one, p, n, 0);
        if (len + strlen(one) + 2 < sizeof c->principals)
            len += (size_t)snprintf(c->principals + len, sizeof c->principals - len, "%s%s",
                                    len > 0 ? "," : "", one);
    }
    return true;
}

static bool parse_rest(struct key_cert *c, struct blob_reader *r)
{
    const uint8_t *p;
    size_t n;
    uint64_t serial;
    uint32_t kind;
    if (!blob_u64(r, &serial) || !blob_u32(r, &kind) || !blob_string(r, &p, &n))
        return false;
    c->user = kind == 1;
    str_escape_to(c->id, sizeof c->id, p, n, 0);
    if (!blob_string(r, &p, &n) || !parse_principals(c, p, n) || !blob_u64(r, &c->after) ||
        !blob_u64(r, &c->before))
        return false;
    for (int i = 0; i < 5; i++) /* critical options, extensions, reserved, CA key, signature */
        if (!blob_string(r, &p, &n))
            return false;
    return r->n == 0;
}

enum rc key_cert_parse(struct key_cert *c, struct buf *plain, const void *blob, size_t len,
                       struct err *e)
{
    struct blob_reader r = {blob, len};
    const uint8_t *p;
    size_t n;
    memset(c, 0, sizeof *c);
    bool good = key_blob_type(c->type, blob, len) && key_type_is_cert(c->type) &&
                key_fields(c->type) > 0 && blob_string(&r, &p, &n) && /* type */
                blob_string(&r, &p, &n);                              /* nonce */
    const uint8_t *fields = r.p;
    for (unsigned i = 0; good && i < key_fields(c->type); i++)
        good = blob_string(&r, &p, &n);
    enum rc rc = good ? plain_key(plain, c->type, fields, (size_t)(r.p - fields)) : RC_PARSE;
    if (rc == RC_OK && !parse_rest(c, &r))
        rc = RC_PARSE;
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : err_set(e, RC_PARSE, "not a certificate that can be read");
}

static const char *date_text(char dst[32], uint64_t seconds)
{
    time_t t = seconds > (uint64_t)253402300799 ? (time_t)253402300799 : (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(dst, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        dst[0] = '\0';
    return dst;
}

const char *key_cert_fault(const struct key_cert *c, uint64_t now, char *dst, size_t cap)
{
    char date[32];
    if (!c->user)
        snprintf(dst, cap, "is for hosts, not for users");
    else if (now < c->after)
        snprintf(dst, cap, "is not valid before %s", date_text(date, c->after));
    else if (now >= c->before)
        snprintf(dst, cap, "expired on %s", date_text(date, c->before));
    else
        return NULL;
    return dst;
}
