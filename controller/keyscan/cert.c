/* See cert.h: taking apart, and what stands in it. The signature is cert_verify.c's. */
#include "controller/keyscan/cert.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/str.h"

static const struct {
    const char *name;
    enum line_type type;
    unsigned fields; /* strings that make up the key */
} kinds[] = {
    {"ssh-ed25519-cert-v01@openssh.com", LINE_ED25519, 1},
    {"ecdsa-sha2-nistp256-cert-v01@openssh.com", LINE_ECDSA_256, 2},
    {"ecdsa-sha2-nistp384-cert-v01@openssh.com", LINE_ECDSA_384, 2},
    {"ecdsa-sha2-nistp521-cert-v01@openssh.com", LINE_ECDSA_521, 2},
    {"ssh-rsa-cert-v01@openssh.com", LINE_RSA, 2},
};

static bool take_bytes(struct cert_bytes *c, size_t n, struct cert_bytes *out)
{
    if (n > c->len)
        return false;
    *out = (struct cert_bytes){c->p, n};
    c->p += n;
    c->len -= n;
    return true;
}

static bool take_number(struct cert_bytes *c, size_t bytes, uint64_t *out)
{
    struct cert_bytes b;
    if (!take_bytes(c, bytes, &b))
        return false;
    *out = 0;
    for (size_t i = 0; i < bytes; i++)
        *out = *out << 8 | b.p[i];
    return true;
}

static bool take_string(struct cert_bytes *c, struct cert_bytes *out)
{
    uint64_t n;
    return take_number(c, 4, &n) && take_bytes(c, (size_t)n, out);
}

/* A list of strings, each whole. */
static bool count_strings(struct cert_bytes list, size_t *n)
{
    struct cert_bytes s;
    for (*n = 0; list.len > 0; ++*n)
        if (!take_string(&list, &s))
            return false;
    return true;
}

/* The key as it would be by itself must be one that ssh would read. */
static bool key_is_whole(const struct cert *c)
{
    uint8_t blob[CERT_MAX + 64];
    const char *name = line_type_name(c->type);
    size_t n = strlen(name);
    if (c->key.len > CERT_MAX)
        return false;
    memcpy(blob, (uint8_t[]){0, 0, 0, (uint8_t)n}, 4);
    memcpy(blob + 4, name, n);
    memcpy(blob + 4 + n, c->key.p, c->key.len);
    return line_blob_type(blob, 4 + n + c->key.len) == c->type;
}

static bool take_key(struct cert_bytes *in, struct cert *c)
{
    struct cert_bytes name, nonce, field;
    if (!take_string(in, &name) || !take_string(in, &nonce))
        return false;
    c->key.p = in->p;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) != name.len || memcmp(kinds[i].name, name.p, name.len) != 0)
            continue;
        c->type = kinds[i].type;
        for (unsigned f = 0; f < kinds[i].fields; f++)
            if (!take_string(in, &field))
                return false;
        c->key.len = (size_t)(in->p - c->key.p);
        return key_is_whole(c);
    }
    return false;
}

static bool take_rest(struct cert_bytes *in, struct cert *c)
{
    uint64_t kind;
    struct cert_bytes reserved;
    if (!take_number(in, 8, &c->serial) || !take_number(in, 4, &kind) || !take_string(in, &c->id) ||
        !take_string(in, &c->principals) || !take_number(in, 8, &c->after) ||
        !take_number(in, 8, &c->before) || !take_string(in, &c->critical) ||
        !take_string(in, &c->extensions) || !take_string(in, &reserved) ||
        !take_string(in, &c->authority))
        return false;
    c->kind = (uint32_t)kind;
    c->body.len = (size_t)(in->p - c->body.p);
    return take_string(in, &c->signature) && in->len == 0;
}

enum rc cert_parse(struct cert *c, const void *blob, size_t len, struct err *e)
{
    struct cert_bytes in = {blob, len};
    memset(c, 0, sizeof *c);
    c->body.p = blob;
    if (len > CERT_MAX)
        return err_set(e, RC_PARSE, "a certificate of more than %d bytes", CERT_MAX);
    if (!take_key(&in, c))
        return err_set(e, RC_PARSE, "not a certificate of a key that can be used");
    if (!take_rest(&in, c))
        return err_set(e, RC_PARSE, "a certificate that is not whole");
    if (!count_strings(c->principals, &c->principal_count) ||
        c->principal_count > CERT_MAX_PRINCIPALS)
        return err_set(e, RC_PARSE, "the certificate's list of names cannot be read");
    if (line_blob_type(c->authority.p, c->authority.len) == LINE_TYPE_NONE)
        return err_set(e, RC_PARSE, "the certificate was signed by a key that cannot be used");
    return RC_OK;
}

bool cert_is_of_key(const struct cert *c, const void *blob, size_t len)
{
    const char *name = line_type_name(c->type);
    size_t head = 4 + strlen(name);
    const uint8_t *p = blob;
    return len == head + c->key.len && line_blob_type(p, len) == c->type &&
           memcmp(p + head, c->key.p, c->key.len) == 0;
}

static bool names_host(const struct cert *c, const char *host)
{
    struct cert_bytes list = c->principals, s;
    char lower[1100];
    size_t n = strlen(host);
    if (n >= sizeof lower)
        return false;
    for (size_t i = 0; i <= n; i++)
        lower[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] - 'A' + 'a') : host[i];
    while (take_string(&list, &s))
        if (line_pattern_matches((const char *)s.p, s.len, lower, n))
            return true;
    return false;
}

static const char *day(char dst[32], uint64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (seconds > 253402300799u || gmtime_r(&t, &tm) == NULL)
        return "a far day";
    strftime(dst, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return dst;
}

enum rc cert_covers(const struct cert *c, const char *host, int64_t now_s, struct err *e)
{
    char when[32], names[160], name[128];
    uint64_t now = now_s > 0 ? (uint64_t)now_s : 0;
    if (c->kind != CERT_HOST)
        return err_set(e, RC_CONFIG, "the certificate is not one for hosts");
    if (c->principal_count == 0)
        return err_set(e, RC_CONFIG, "the certificate names no host");
    if (!names_host(c, host))
        return err_set(
            e, RC_CONFIG, "the certificate is for %s, not for %s",
            str_escape_to(names, sizeof names, c->principals.p + 4, c->principals.len - 4, 0),
            str_escape_to(name, sizeof name, host, strlen(host), 0));
    if (now < c->after)
        return err_set(e, RC_CONFIG, "the certificate is good from %s only", day(when, c->after));
    if (now >= c->before)
        return err_set(e, RC_CONFIG, "the certificate expired on %s", day(when, c->before));
    if (c->critical.len > 0)
        return err_set(e, RC_CONFIG, "the certificate has critical options that are not known");
    return RC_OK;
}
