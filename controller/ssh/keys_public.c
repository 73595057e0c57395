/* The public side of keys.h: which key is which, what the agent holds, which certificate goes with
 * which key, and in which order they are tried. */
#include "controller/ssh/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/ssh/key_blob.h"
#include "controller/ssh/ssh_key.h"

enum { MAX_LINE_FILE = 64 * 1024, BLOB_ROOM = 2 * KEY_BLOB_MAX };

void keys_use_agent(struct keys *k, struct agent_identities *ids)
{
    must(k->count == 0);
    agent_identities_fini(&k->agent);
    k->agent = *ids;
    memset(ids, 0, sizeof *ids);
}

void keys_fini_public(struct keys *k)
{
    agent_identities_fini(&k->agent);
    for (size_t i = 0; i < k->cert_count; i++) {
        struct key_cert_file *c = &k->certs[i];
        mem_free(c->path);
        mem_free(c->blob);
        mem_free(c->plain);
        mem_free(c->fault);
    }
    k->cert_count = 0;
}

bool keys_in_agent(const struct keys *k, const void *blob, size_t len)
{
    for (size_t i = 0; i < k->agent.count; i++)
        if (k->agent.items[i].len == len && memcmp(k->agent.items[i].blob, blob, len) == 0)
            return true;
    return false;
}

bool keys_usable(const struct keys *k, unsigned id)
{
    const struct key_file *f = &k->items[id];
    if (f->agent_blob != NULL)
        return true;
    if (f->base >= 0)
        f = &k->items[f->base];
    return f->text != NULL && (!f->encrypted || f->passphrase != NULL);
}

/* ---- files ---- */

static enum rc read_line_file(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, RC_NOTFOUND, "%s: no such file", path);
    if (fd < 0)
        return err_sys(e, errno, "%s: open", path);
    enum rc rc = RC_OK;
    for (;;) {
        rc = buf_reserve(out, 4096);
        if (rc == RC_NOMEM)
            err_nomem(e);
        else if (rc != RC_OK)
            err_set(e, rc, "%s: too large for a public key", path);
        if (rc != RC_OK)
            break;
        ssize_t n = read(fd, out->data + out->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(e, errno, "%s: read", path);
        if (n <= 0)
            break;
        out->len += (size_t)n;
    }
    close(fd);
    return rc;
}

enum rc keys_read_public(const char *path, struct buf *blob, struct err *e)
{
    struct buf text;
    buf_init(&text, MAX_LINE_FILE);
    enum rc rc = read_line_file(path, &text, e);
    const char *line = rc == RC_OK ? buf_cstr(&text) : NULL;
    if (rc == RC_OK && line == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK && (rc = key_blob_of_line(blob, line, e)) != RC_OK)
        err_wrap(e, "%s", path);
    buf_fini(&text);
    return rc;
}

/* FILE.pub, FILE-cert.pub: what ssh-keygen puts beside a key. A key named by its .pub has its
 * certificate under the same name. */
static enum rc read_beside(const char *path, const char *suffix, struct buf *blob)
{
    char name[4096];
    size_t n = strlen(path);
    if (str_ends(path, ".pub"))
        n -= 4;
    int len = snprintf(name, sizeof name, "%.*s%s", (int)n, path, suffix);
    if (n > sizeof name || len < 0 || (size_t)len >= sizeof name)
        return RC_NOTFOUND;
    return keys_read_public(name, blob, NULL);
}

/* The public part: in clear in OpenSSH's own format; of others from the .pub beside, or from the
 * key itself where it is not encrypted. */
static enum rc find_public(const struct key_file *item, struct buf *blob)
{
    enum rc rc = key_blob_of_private(blob, item->text, NULL);
    if (rc != RC_OK && rc != RC_NOMEM)
        rc = read_beside(item->path, ".pub", blob);
    if (rc != RC_OK && rc != RC_NOMEM && !item->encrypted)
        rc = ssh_key_public(item->text, blob, NULL);
    return rc;
}

/* ---- certificates ---- */

enum { FAULT_TEXT = 1200 };

/* Why it cannot be used now, in dst, or NULL. */
static const char *fault_text(const struct key_cert *c, const char *path, char dst[FAULT_TEXT])
{
    char why[128];
    const char *fault = key_cert_fault(c, (uint64_t)clock_wall_us() / 1000000, why, sizeof why);
    if (fault == NULL)
        return NULL;
    snprintf(dst, FAULT_TEXT, "certificate %.900s %s", path, fault);
    return dst;
}

static void note_fault(struct key_file *key, const char *fault)
{
    if (key->fault != NULL || fault == NULL)
        return;
    log_warn("%s: left out", fault);
    key->fault = mem_strdup(fault);
}

/* A certificate of key `base` becomes an item of its own, the newest first in the key's list. */
static enum rc join_cert(struct keys *k, unsigned base, const char *path, const void *blob,
                         size_t len, struct err *e)
{
    struct key_file *key = &k->items[base];
    bool held = keys_in_agent(k, blob, len); /* under the certificate's own name */
    for (int i = key->cert; i >= 0; i = k->items[i].cert)
        if (k->items[i].blob_len == len && memcmp(k->items[i].blob, blob, len) == 0)
            return RC_OK;
    struct key_file item = {.base = (int)base, .cert = key->cert, .blob_len = len};
    item.path = mem_strdup(path);
    item.blob = mem_memdup(blob, len);
    bool agent = held || key->agent_blob != NULL;
    if (agent) {
        item.agent_blob =
            held ? mem_memdup(blob, len) : mem_memdup(key->agent_blob, key->agent_len);
        item.agent_len = held ? len : key->agent_len;
    }
    unsigned id = 0;
    enum rc rc = item.path == NULL || item.blob == NULL || (agent && item.agent_blob == NULL)
                     ? err_nomem(e)
                     : keys_append(k, &item, &id, e);
    if (rc == RC_OK) {
        key->cert = (int)id;
        return RC_OK;
    }
    mem_free(item.path);
    mem_free(item.blob);
    mem_free(item.agent_blob);
    return rc;
}

/* Takes the certificate if it is for this key. */
static enum rc try_cert(struct keys *k, unsigned base, const char *path, const void *blob,
                        size_t len, bool *fits, struct err *e)
{
    struct key_file *key = &k->items[base];
    struct key_cert c;
    struct buf plain;
    buf_init(&plain, BLOB_ROOM);
    enum rc rc = key_cert_parse(&c, &plain, blob, len, NULL);
    *fits =
        rc == RC_OK && plain.len == key->blob_len && memcmp(plain.data, key->blob, plain.len) == 0;
    buf_fini(&plain);
    if (!*fits)
        return rc == RC_NOMEM ? err_nomem(e) : RC_OK;
    char text[FAULT_TEXT];
    const char *fault = fault_text(&c, path, text);
    note_fault(key, fault);
    return fault == NULL ? join_cert(k, base, path, blob, len, e) : RC_OK;
}

static enum rc cert_beside(struct keys *k, unsigned id, struct err *e)
{
    const char *path = k->items[id].path;
    struct buf blob;
    bool fits = true;
    buf_init(&blob, BLOB_ROOM);
    enum rc rc = read_beside(path, "-cert.pub", &blob);
    if (rc == RC_OK) {
        char name[4200];
        snprintf(name, sizeof name, "%.*s-cert.pub",
                 (int)(strlen(path) - (str_ends(path, ".pub") ? 4 : 0)), path);
        rc = try_cert(k, id, name, blob.data, blob.len, &fits, e);
        if (rc == RC_OK && !fits)
            log_warn("%s is not a certificate of the key beside it: left out", name);
    } else if (rc != RC_NOMEM) {
        rc = RC_OK;
    }
    buf_fini(&blob);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

static enum rc find_certs(struct keys *k, unsigned id, struct err *e)
{
    bool fits;
    enum rc rc = cert_beside(k, id, e);
    for (size_t i = 0; rc == RC_OK && i < k->agent.count; i++) {
        const struct agent_identity *a = &k->agent.items[i];
        char type[KEY_BLOB_TYPE], name[1100];
        if (!key_blob_type(type, a->blob, a->len) || !key_type_is_cert(type))
            continue;
        snprintf(name, sizeof name, "%s (in the agent)", a->comment);
        rc = try_cert(k, id, name, a->blob, a->len, &fits, e);
    }
    for (size_t i = 0; rc == RC_OK && i < k->cert_count; i++) {
        struct key_cert_file *c = &k->certs[i];
        if (c->plain_len != k->items[id].blob_len ||
            memcmp(c->plain, k->items[id].blob, c->plain_len) != 0)
            continue;
        c->used = true;
        note_fault(&k->items[id], c->fault);
        if (c->fault == NULL)
            rc = join_cert(k, id, c->path, c->blob, c->len, e);
    }
    return rc;
}

enum rc keys_identify(struct keys *k, unsigned id, struct err *e)
{
    struct key_file *item = &k->items[id];
    enum rc rc = RC_OK;
    if (item->blob == NULL) {
        struct buf blob;
        buf_init(&blob, BLOB_ROOM);
        rc = find_public(item, &blob);
        if (rc == RC_OK && (item->blob = mem_memdup(blob.data, blob.len)) == NULL)
            rc = RC_NOMEM;
        item->blob_len = blob.len;
        buf_fini(&blob);
    }
    if (rc == RC_NOMEM)
        return err_nomem(e);
    if (rc != RC_OK) {
        item->blob_len = 0;
        return RC_OK; /* of a key that nothing is known of: it stands for itself */
    }
    if (keys_in_agent(k, item->blob, item->blob_len)) {
        item->agent_blob = mem_memdup(item->blob, item->blob_len);
        item->agent_len = item->blob_len;
        if (item->agent_blob == NULL)
            return err_nomem(e);
    }
    return find_certs(k, id, e);
}

static enum rc load_cert(struct key_cert_file *c, struct err *e)
{
    struct key_cert parsed;
    struct buf blob, plain;
    buf_init(&blob, BLOB_ROOM);
    buf_init(&plain, BLOB_ROOM);
    enum rc rc = keys_read_public(c->path, &blob, e);
    if (rc == RC_OK && (rc = key_cert_parse(&parsed, &plain, blob.data, blob.len, e)) != RC_OK)
        err_wrap(e, "%s", c->path);
    if (rc == RC_PARSE)
        rc = e != NULL ? (e->rc = RC_CONFIG) : RC_CONFIG;
    if (rc == RC_OK) {
        c->blob = mem_memdup(blob.data, blob.len);
        c->plain = mem_memdup(plain.data, plain.len);
        c->len = blob.len;
        c->plain_len = plain.len;
        char text[FAULT_TEXT];
        const char *fault = fault_text(&parsed, c->path, text);
        c->fault = fault != NULL ? mem_strdup(fault) : NULL;
        if (c->blob == NULL || c->plain == NULL || (fault != NULL && c->fault == NULL))
            rc = err_nomem(e);
    }
    buf_fini(&blob);
    buf_fini(&plain);
    return rc;
}

enum rc keys_add_cert(struct keys *k, const char *path, struct err *e)
{
    if (k->cert_count == KEYS_MAX_CERTS)
        return err_set(e, RC_LIMIT, "%s: more than %d certificates", path, KEYS_MAX_CERTS);
    for (size_t i = 0; i < k->cert_count; i++)
        if (strcmp(k->certs[i].path, path) == 0)
            return RC_OK;
    struct key_cert_file c = {.path = keys_expand_home(path)};
    enum rc rc = c.path != NULL ? load_cert(&c, e) : err_nomem(e);
    k->certs[k->cert_count++] = c;
    for (unsigned i = 0; rc == RC_OK && i < k->count; i++)
        if (k->items[i].base < 0 && k->items[i].blob != NULL)
            rc = find_certs(k, i, e);
    return rc;
}

/* ---- the agent's own ---- */

static bool known(const struct keys *k, const struct agent_identity *a)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct key_file *f = &k->items[i];
        if ((f->blob_len == a->len && memcmp(f->blob, a->blob, a->len) == 0) ||
            (f->agent_len == a->len && memcmp(f->agent_blob, a->blob, a->len) == 0))
            return true;
    }
    return false;
}

static enum rc add_agent(struct keys *k, const struct agent_identity *a, unsigned *id,
                         struct err *e)
{
    char name[1100], type[KEY_BLOB_TYPE];
    snprintf(name, sizeof name, "%s (in the agent)", a->comment);
    bool cert = key_blob_type(type, a->blob, a->len) && key_type_is_cert(type);
    struct key_file item = {
        .base = -1, .cert = -1, .optional = true, .blob_len = a->len, .agent_len = a->len};
    item.path = mem_strdup(name);
    item.blob = mem_memdup(a->blob, a->len);
    item.agent_blob = mem_memdup(a->blob, a->len);
    enum rc rc = item.path == NULL || item.blob == NULL || item.agent_blob == NULL
                     ? err_nomem(e)
                     : keys_append(k, &item, id, e);
    if (rc != RC_OK) {
        mem_free(item.path);
        mem_free(item.blob);
        mem_free(item.agent_blob);
        return rc;
    }
    return cert ? RC_OK : find_certs(k, *id, e);
}

/* A certificate that can be read and has run out would only cost a try. */
static bool worth_trying(const struct agent_identity *a)
{
    struct key_cert c;
    struct buf plain;
    char type[KEY_BLOB_TYPE], why[128];
    if (!key_blob_type(type, a->blob, a->len) || !key_type_is_cert(type))
        return true;
    buf_init(&plain, BLOB_ROOM);
    enum rc rc = key_cert_parse(&c, &plain, a->blob, a->len, NULL);
    buf_fini(&plain);
    if (rc != RC_OK ||
        key_cert_fault(&c, (uint64_t)clock_wall_us() / 1000000, why, sizeof why) == NULL)
        return rc == RC_OK;
    log_warn("certificate %s in the agent %s: left out", a->comment, why);
    return false;
}

enum rc keys_add_agents(struct keys *k, unsigned *ids, unsigned max, unsigned *count, struct err *e)
{
    enum rc rc = RC_OK;
    *count = 0;
    for (size_t i = 0; rc == RC_OK && i < k->agent.count && *count < max; i++) {
        const struct agent_identity *a = &k->agent.items[i];
        if (known(k, a) || !worth_trying(a))
            continue;
        rc = add_agent(k, a, &ids[*count], e);
        *count += rc == RC_OK;
    }
    return rc;
}

/* ---- order ---- */

bool keys_only_in_agent(const struct keys *k, unsigned id)
{
    const struct key_file *f = &k->items[id];
    if (f->base >= 0)
        f = &k->items[f->base];
    return f->agent_blob != NULL && f->text == NULL && f->optional;
}

/* As ssh(1)'s: what the server will most likely want first. */
static int rank(const struct key_file *f)
{
    char type[KEY_BLOB_TYPE];
    if (f->base >= 0 ||
        (f->blob != NULL && key_blob_type(type, f->blob, f->blob_len) && key_type_is_cert(type)))
        return 0;
    if (f->agent_blob != NULL)
        return f->text != NULL || !f->optional ? 1 : 2;
    return 3;
}

/* One key may be known under two names (FILE and FILE.pub). */
static bool listed(const struct keys *k, const unsigned *ids, unsigned count, unsigned id)
{
    const struct key_file *f = &k->items[id];
    for (unsigned i = 0; i < count; i++) {
        const struct key_file *o = &k->items[ids[i]];
        if (ids[i] == id || (f->blob != NULL && o->blob_len == f->blob_len &&
                             memcmp(o->blob, f->blob, f->blob_len) == 0))
            return true;
    }
    return false;
}

void keys_order(const struct keys *k, unsigned *ids, unsigned *count, unsigned max)
{
    unsigned all[KEYS_MAX], n = 0;
    for (unsigned i = 0; i < *count; i++) {
        for (int c = k->items[ids[i]].cert; c >= 0 && n < KEYS_MAX; c = k->items[c].cert)
            all[n++] = (unsigned)c;
        if (n < KEYS_MAX)
            all[n++] = ids[i];
    }
    *count = 0;
    for (int r = 0; r <= 3; r++)
        for (unsigned i = 0; i < n && *count < max; i++)
            if (rank(&k->items[all[i]]) == r && !listed(k, ids, *count, all[i]))
                ids[(*count)++] = all[i];
}

void keys_warn(const struct keys *k, const char *host, const unsigned *ids, unsigned count)
{
    unsigned usable = 0;
    for (unsigned i = 0; i < count; i++)
        usable += keys_usable(k, ids[i]);
    if (usable > KEYS_POLITE)
        log_warn(
            "%u keys may be tried on %s and its like, and sshd's default is to hang up after %d: "
            "name the right one with --key",
            usable, host, KEYS_POLITE);
    for (size_t i = 0; i < k->cert_count; i++)
        if (k->certs[i].blob != NULL && !k->certs[i].used)
            log_warn("certificate %s is for none of the keys: left out", k->certs[i].path);
}
