/* Which hosts an authority answers for, and what their certificates are worth. See keyscan.h. */
#include "controller/keyscan/keyscan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/hostkeys/index.h"
#include "controller/keyscan/cert.h"

/* ssh-keyscan opens all connections of a list at once, one for each type. */
enum { AT_ONCE = 64, CERTS_MAX = 16 << 20 };

struct authorities {
    struct hostkeys *keys; /* of --ca, as @cert-authority lines */
};

/* ---- --ca ---- */

/* A line of a public key file becomes one of known_hosts that holds for every host. */
static enum rc put_line(struct buf *b, const char *p, size_t n)
{
    bool key = n > 4 && (memcmp(p, "ssh-", 4) == 0 || memcmp(p, "ecds", 4) == 0);
    enum rc rc = key ? buf_puts(b, "@cert-authority * ") : RC_OK;
    if (rc == RC_OK && (key || (n > 0 && (*p == '@' || *p == '#'))))
        rc = buf_append(b, p, n);
    return rc == RC_OK ? buf_putc(b, '\n') : rc;
}

static enum rc load_file(struct authorities *a, const char *path, struct err *e)
{
    struct buf lines;
    char *text = NULL;
    size_t len = 0, had = hostkeys_count(a->keys);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "--ca %s", path);
    buf_init(&lines, 2u * HOSTKEYS_MAX_FILE);
    enum rc rc = index_read(fd, 0, path, &text, &len, e);
    close(fd);
    for (size_t at = 0; rc == RC_OK && at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline != NULL ? (size_t)(newline - text) - at : len - at;
        if (put_line(&lines, text + at, n) != RC_OK)
            rc = err_nomem(e);
        at += n + 1;
    }
    if (rc == RC_OK)
        rc = hostkeys_load_text(a->keys, path, (const char *)lines.data, lines.len, e);
    if (rc == RC_OK && hostkeys_count(a->keys) == had)
        rc = err_set(e, RC_CONFIG, "--ca %s: no public key of an authority in it", path);
    mem_free(text);
    buf_fini(&lines);
    return rc;
}

enum rc authorities_new(struct authorities **out, const struct strings *files, struct err *e)
{
    struct authorities *a = mem_calloc(1, sizeof *a);
    if (a == NULL)
        return err_nomem(e);
    enum rc rc = hostkeys_new(&a->keys, e);
    for (size_t i = 0; rc == RC_OK && i < files->count; i++)
        rc = load_file(a, files->items[i], e);
    if (rc == RC_OK)
        *out = a;
    else
        authorities_free(a);
    return rc;
}

void authorities_free(struct authorities *a)
{
    if (a == NULL)
        return;
    hostkeys_free(a->keys);
    mem_free(a);
}

/* ---- who answers for whom ---- */

static bool has_authority(const struct authorities *a, const struct trust *t,
                          const struct found_host *h, const void *key, size_t len, char *where)
{
    const char *name = h->target->key_name;
    uint16_t port = found_port(h->target);
    return hostkeys_ca(trust_index(t, &h->target->trust), name, port, key, len, where) ||
           hostkeys_ca(a->keys, name, port, key, len, where);
}

/* Not verified otherwise, and not simply known. */
static bool wants_certificate(const struct found_key *k)
{
    bool known = k->state == KEY_KNOWN && k->line_until == 0;
    return k->proof == PROOF_NONE && !known && k->state != KEY_REVOKED;
}

static bool host_wants(const struct authorities *a, const struct trust *t,
                       const struct found_host *h)
{
    char where[512];
    bool wants = false;
    for (unsigned i = 0; i < h->key_count; i++)
        wants |= wants_certificate(&h->keys[i]);
    return wants && has_authority(a, t, h, NULL, 0, where);
}

/* ---- what a certificate is worth ---- */

struct judging {
    const struct authorities *a;
    const struct trust *t;
    struct found *f;
    int64_t now;
    struct buf blob;
};

static enum rc examine(const struct judging *j, struct found_host *h, struct found_key *k,
                       const struct cert *c, struct err *why)
{
    char where[512], text[700], id[160];
    if (!has_authority(j->a, j->t, h, c->authority.p, c->authority.len, where))
        return err_set(why, RC_CONFIG, "the certificate is of an authority that is not on record");
    enum rc rc = cert_verify(c, why);
    if (rc == RC_OK)
        rc = cert_covers(c, h->target->key_name, j->now, why);
    if (rc != RC_OK)
        return rc;
    snprintf(text, sizeof text, "the certificate \"%s\" of %s",
             str_escape_to(id, sizeof id, c->id.p, c->id.len, 0), where);
    k->by = arena_strdup(&j->f->arena, text);
    k->proof = PROOF_VERIFIED;
    /* Past the year 9999 is for ever. */
    k->until = c->before > 253402300799u ? 0 : (int64_t)c->before;
    return k->by != NULL ? RC_OK : RC_NOMEM;
}

static enum rc note(struct found *f, struct found_key *k, const char *text)
{
    k->proof = PROOF_MISSING;
    k->by = arena_strdup(&f->arena, text);
    return k->by != NULL ? RC_OK : RC_NOMEM;
}

/* The key that it certifies must be the one that the host has proven to us. That is all that ties a
 * certificate to a host of these: ssh-keyscan does not say where it came from, nor does it matter.
 */
static enum rc match_host(struct judging *j, struct found_host *h, const struct cert *c)
{
    for (unsigned i = 0; i < h->key_count; i++) {
        struct found_key *k = &h->keys[i];
        struct err why = {0};
        bool open = wants_certificate(k) || k->proof == PROOF_MISSING;
        if (!open || !cert_is_of_key(c, k->blob, k->len))
            continue;
        enum rc rc = examine(j, h, k, c, &why);
        if (rc == RC_NOMEM || (rc != RC_OK && note(j->f, k, why.msg) != RC_OK))
            return RC_NOMEM;
    }
    return RC_OK;
}

/* "ssh-ed25519-cert-v01@openssh.com AAAA…" */
static enum rc take_line(struct judging *j, const uint32_t *hosts, size_t count, const char *p,
                         size_t n)
{
    struct cert c;
    const char *blank = memchr(p, ' ', n);
    if (blank == NULL)
        return RC_OK;
    buf_reset(&j->blob);
    enum rc rc = str_unbase64(&j->blob, blank + 1, (size_t)(p + n - blank - 1));
    if (rc != RC_OK || cert_parse(&c, j->blob.data, j->blob.len, NULL) != RC_OK)
        return rc == RC_NOMEM ? rc : RC_OK;
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = match_host(j, &j->f->hosts[hosts[i]], &c);
    return rc;
}

static enum rc take_output(struct judging *j, const uint32_t *hosts, size_t count,
                           const struct buf *out)
{
    const char *text = (const char *)out->data;
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < out->len;) {
        const char *newline = memchr(text + at, '\n', out->len - at);
        if (newline == NULL) /* cut off */
            break;
        size_t n = (size_t)(newline - text) - at;
        rc = take_line(j, hosts, count, text + at, n);
        at += n + 1;
    }
    return rc;
}

/* ---- all of it ---- */

/* Nothing came of these: why, in a word. */
static enum rc note_rest(struct found *f, const uint32_t *hosts, size_t count, const char *why)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; rc == RC_OK && k < f->hosts[hosts[i]].key_count; k++) {
            struct found_key *key = &f->hosts[hosts[i]].keys[k];
            if (wants_certificate(key))
                rc = note(f, key, why);
        }
    return rc;
}

static enum rc judge_some(struct judging *j, const uint32_t *hosts, size_t count, uint64_t bound_ms,
                          struct err *e)
{
    struct buf out;
    struct err why = {0};
    buf_init(&out, CERTS_MAX);
    enum rc rc = certs_fetch(j->f, hosts, count, "ed25519,ecdsa,rsa", bound_ms, &out, &why);
    if (rc == RC_OK) {
        rc = take_output(j, hosts, count, &out);
        if (rc == RC_OK)
            rc = note_rest(j->f, hosts, count, "the host shows no certificate for this key");
    } else if (rc != RC_NOMEM) {
        rc = note_rest(j->f, hosts, count, why.msg);
    }
    buf_fini(&out);
    return rc == RC_OK ? rc : err_nomem(e);
}

static int by_port(const void *a, const void *b, void *user)
{
    const struct found *f = user;
    unsigned x = f->hosts[*(const uint32_t *)a].target->port;
    unsigned y = f->hosts[*(const uint32_t *)b].target->port;
    return x != y ? (x > y) - (x < y)
                  : (*(const uint32_t *)a > *(const uint32_t *)b) -
                        (*(const uint32_t *)a < *(const uint32_t *)b);
}

enum rc authorities_judge(const struct authorities *a, const struct trust *t, struct found *f,
                          uint64_t bound_ms, int64_t now_s, struct err *e)
{
    struct judging j = {.a = a, .t = t, .f = f, .now = now_s};
    uint32_t *hosts = mem_alloc((f->count + 1) * sizeof *hosts);
    size_t n = 0;
    enum rc rc = hosts != NULL ? RC_OK : err_nomem(e);
    buf_init(&j.blob, CERT_MAX);
    for (uint32_t i = 0; rc == RC_OK && i < f->count; i++) {
        const struct found_host *h = &f->hosts[i];
        if (!host_wants(a, t, h))
            continue;
        if (h->target->way == 0 && *h->address != '\0')
            hosts[n++] = i;
        else if (note_rest(f, &i, 1, "behind a bastion its certificate cannot be fetched") != RC_OK)
            rc = err_nomem(e);
    }
    if (rc == RC_OK)
        qsort_r(hosts, n, sizeof *hosts, by_port, f);
    for (size_t at = 0; rc == RC_OK && at < n;) {
        size_t count = 1;
        uint16_t port = f->hosts[hosts[at]].target->port;
        while (at + count < n && count < AT_ONCE &&
               f->hosts[hosts[at + count]].target->port == port)
            count++;
        rc = judge_some(&j, hosts + at, count, bound_ms, e);
        at += count;
    }
    buf_fini(&j.blob);
    mem_free(hosts);
    return rc;
}
