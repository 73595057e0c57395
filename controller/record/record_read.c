/* Reading one record. See record.h; docs/record.md gives the format.
 *
 * The file is read once, line by line, in pieces; of a result only its place and its status stay in
 * memory. A last line without its newline is one that a killed controller did not finish: it is as
 * if it were not there. Our own files, but they lie on a disk: nothing in them is believed blindly.
 */
#include "controller/record/record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "common/map.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/record/internal.h"

enum { STEP = 256 * 1024 };

struct reading {
    struct record_run *run;
    struct map index; /* name → &hosts[i] */
    struct buf line;  /* a line that has not ended yet */
    uint64_t line_at; /* where it begins */
    bool too_long;    /* it is past RECORD_MAX_LINE: skipped to its end */
};

static enum rc take_targets(struct reading *g, const json_t *targets, struct err *e)
{
    struct record_run *r = g->run;
    size_t count = json_array_size(targets);
    if (!json_is_array(targets) || count > UINT32_MAX)
        return err_set(e, RC_CONFIG, "the record %s has no list of targets", r->id);
    r->hosts = mem_calloc(count, sizeof *r->hosts);
    if (r->hosts == NULL)
        return err_nomem(e);
    r->host_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        r->hosts[i].name = record_take_text(json_array_get(targets, i));
        r->hosts[i].status = STATUS_NOT_STARTED;
        if (r->hosts[i].name == NULL ||
            map_put(&g->index, r->hosts[i].name, strlen(r->hosts[i].name), &r->hosts[i], NULL) != 0)
            return err_nomem(e);
    }
    return RC_OK;
}

static enum rc take_start(struct reading *g, const json_t *doc, const char *text, size_t n,
                          struct err *e)
{
    const char *schema = json_string_value(json_object_get(doc, "schema"));
    if (schema == NULL || strcmp(schema, RECORD_SCHEMA) != 0)
        return err_set(e, RC_CONFIG, "%s is no record that this version of muster can read (%.40s)",
                       g->run->id, schema != NULL ? schema : "no schema");
    g->run->start_json = mem_strndup(text, n);
    if (g->run->start_json == NULL)
        return err_nomem(e);
    return take_targets(g, json_object_get(doc, "targets"), e);
}

static struct record_host *host_by_number(struct record_run *r, const json_t *doc)
{
    const json_t *n = json_object_get(doc, "target");
    json_int_t i = json_is_integer(n) ? json_integer_value(n) : -1;
    return i >= 0 && i < (json_int_t)r->host_count ? &r->hosts[i] : NULL;
}

static struct record_host *host_by_name(struct reading *g, const json_t *result)
{
    const json_t *coded = json_object_get(result, "host_base64");
    const char *name = json_string_value(json_object_get(result, "host"));
    if (coded == NULL)
        return name != NULL ? map_gets(&g->index, name) : NULL;
    json_t *wrapped = json_pack("{s:O}", "base64", coded);
    char *exact = wrapped != NULL ? record_take_text(wrapped) : NULL;
    struct record_host *h = exact != NULL ? map_gets(&g->index, exact) : NULL;
    mem_free(exact);
    json_decref(wrapped);
    return h;
}

/* Only the result's own word is a promise. */
static bool may_have_run(const json_t *result)
{
    return !json_is_false(json_object_get(result, "sent")) ||
           !json_is_false(json_object_get(result, "may_still_run"));
}

/* The place of the inner object: what follows our own fixed head, up to the closing brace. */
static void take_result(struct reading *g, const json_t *doc, const char *text, size_t n)
{
    static const char head[] = "{\"type\":\"result\",\"result\":";
    const json_t *result = json_object_get(doc, "result");
    const char *status = json_string_value(json_object_get(result, "status"));
    int s = status != NULL ? status_by_name(status) : -1;
    struct record_host *h = host_by_name(g, result);
    if (s < 0 || h == NULL || n <= sizeof head || memcmp(text, head, sizeof head - 1) != 0) {
        g->run->damaged++;
        return;
    }
    h->has_result = true;
    h->status = (enum status)s;
    h->may_have_run = may_have_run(result);
    h->at = g->line_at + sizeof head - 1;
    h->len = n - (sizeof head - 1) - 1;
}

static enum rc take_end(struct reading *g, const json_t *doc, const char *text, size_t n,
                        struct err *e)
{
    json_int_t lost = json_integer_value(json_object_get(doc, "lost_lines"));
    g->run->lost_lines = lost > 0 ? (uint64_t)lost : 0;
    mem_free(g->run->end_json);
    g->run->end_json = mem_strndup(text, n);
    return g->run->end_json != NULL ? RC_OK : err_nomem(e);
}

/* One whole line. Only what makes the record useless is an error. */
static enum rc take_line(struct reading *g, const char *text, size_t n, struct err *e)
{
    json_t *doc = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    const char *type = json_string_value(json_object_get(doc, "type"));
    enum rc rc = RC_OK;
    struct record_host *h;
    if (g->run->start_json == NULL)
        rc = type != NULL && strcmp(type, "start") == 0
                 ? take_start(g, doc, text, n, e)
                 : err_set(e, RC_CONFIG, "%s is not the record of a run", g->run->id);
    else if (type != NULL && strcmp(type, "result") == 0)
        take_result(g, doc, text, n);
    else if (type != NULL && strcmp(type, "end") == 0)
        rc = take_end(g, doc, text, n, e);
    else if (type == NULL || (h = host_by_number(g->run, doc)) == NULL)
        g->run->damaged++;
    else if (strcmp(type, "started") == 0)
        h->started = true;
    else if (strcmp(type, "sent") == 0)
        h->sent = true;
    json_decref(doc);
    return rc;
}

/* Cuts a piece of the file into lines; keeps the rest. */
static enum rc take_piece(struct reading *g, const char *p, size_t n, uint64_t at, struct err *e)
{
    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        size_t k = end != NULL ? (size_t)(end - p) : n;
        if (g->line.len == 0 && !g->too_long)
            g->line_at = at;
        enum rc rc = RC_OK;
        if (g->line.len == 0 && end != NULL && !g->too_long) {
            rc = take_line(g, p, k, e);
        } else {
            enum rc kept = g->too_long ? RC_LIMIT : buf_append(&g->line, p, k);
            if (kept == RC_NOMEM)
                return err_nomem(e);
            g->too_long = kept == RC_LIMIT;
            if (end != NULL && !g->too_long)
                rc = take_line(g, (const char *)g->line.data, g->line.len, e);
            if (end != NULL && g->too_long)
                g->run->damaged++;
            if (end != NULL || g->too_long)
                buf_reset(&g->line);
            if (end != NULL)
                g->too_long = false;
        }
        if (rc != RC_OK)
            return rc;
        k += end != NULL;
        p += k;
        at += k;
        n -= k;
    }
    return RC_OK;
}

static enum rc read_lines(struct reading *g, struct err *e)
{
    char *piece = mem_alloc(STEP);
    enum rc rc = piece != NULL ? RC_OK : err_nomem(e);
    for (uint64_t at = 0; rc == RC_OK;) {
        size_t got;
        int failed = record_pread(g->run->fd, piece, STEP, at, &got);
        if (failed != 0)
            rc = err_sys(e, failed, "the record %s", g->run->id);
        if (failed != 0 || got == 0)
            break;
        rc = take_piece(g, piece, got, at, e);
        at += got;
    }
    mem_free(piece);
    if (rc == RC_OK && g->run->start_json == NULL)
        rc = err_set(e, RC_CONFIG, "the record %s is empty: its run never started", g->run->id);
    return rc;
}

/* Hosts without a result: the truth is what the other lines allow. */
static void settle(struct record_run *r)
{
    bool gaps = r->lost_lines > 0 || r->damaged > 0;
    for (uint32_t i = 0; i < r->host_count; i++) {
        struct record_host *h = &r->hosts[i];
        if (h->has_result)
            continue;
        h->may_have_run = h->started || h->sent || gaps;
        h->status = h->may_have_run ? STATUS_UNKNOWN : STATUS_NOT_STARTED;
    }
}

static enum rc read_run(struct record_run *r, struct err *e)
{
    struct reading g = {.run = r};
    struct stat st;
    r->fd = record_open_file(r->dir, r->id);
    if (r->fd < 0 || fstat(r->fd, &st) != 0)
        return err_sys(e, errno, "the record %s", r->id);
    if (!S_ISREG(st.st_mode))
        return err_set(e, RC_CONFIG, "the record %s is no ordinary file", r->id);
    /* Before the lines: one that ends meanwhile is then seen as alive, never as killed. */
    r->alive = record_is_locked(r->fd);
    map_init(&g.index);
    buf_init(&g.line, RECORD_MAX_LINE);
    enum rc rc = read_lines(&g, e);
    buf_fini(&g.line);
    map_fini(&g.index);
    r->alive = r->alive && r->end_json == NULL;
    settle(r);
    return rc;
}

enum rc record_read(const char *state_dir, const char *which, enum record_use use,
                    struct record_run **out, struct err *e)
{
    struct ids ids = {0};
    struct record_run *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(e);
    r->fd = -1;
    r->dir = record_runs_dir(state_dir);
    enum rc rc = r->dir != NULL ? ids_list(r->dir, &ids, e) : err_nomem(e);
    if (rc == RC_OK)
        rc = ids_choose(r->dir, &ids, which, use, r->id, e);
    if (rc == RC_OK)
        rc = read_run(r, e);
    ids_free(&ids);
    if (rc != RC_OK) {
        record_run_free(r);
        return rc;
    }
    *out = r;
    return RC_OK;
}

enum rc record_find(const char *override, const char *which, enum record_use use,
                    struct record_run **out, struct err *e)
{
    struct buf state;
    buf_init(&state, RECORD_PATH);
    enum rc rc = record_state_dir(override, &state, e);
    const char *dir = rc == RC_OK ? buf_cstr(&state) : NULL;
    if (rc == RC_OK)
        rc = dir != NULL ? record_read(dir, which, use, out, e) : err_nomem(e);
    buf_fini(&state);
    return rc;
}

void record_run_free(struct record_run *r)
{
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < r->host_count; i++)
        mem_free((char *)r->hosts[i].name);
    mem_free(r->hosts);
    mem_free(r->start_json);
    mem_free(r->end_json);
    mem_free(r->dir);
    if (r->fd >= 0)
        close(r->fd);
    mem_free(r);
}

enum rc record_run_result(const struct record_run *r, uint32_t target, struct buf *out,
                          struct err *e)
{
    must(target < r->host_count);
    const struct record_host *h = &r->hosts[target];
    size_t got;
    if (!h->has_result)
        return err_set(e, RC_NOTFOUND, "%s has no result on record", h->name);
    enum rc rc = buf_reserve(out, h->len);
    if (rc != RC_OK)
        return rc == RC_NOMEM ? err_nomem(e) : err_set(e, rc, "the result is too large");
    int failed = record_pread(r->fd, out->data + out->len, h->len, h->at, &got);
    if (failed != 0)
        return err_sys(e, failed, "the record %s", r->id);
    if (got != h->len)
        return err_set(e, RC_CONFIG, "the record %s became shorter while it was read", r->id);
    out->len += got;
    return RC_OK;
}

static int open_spool(const struct record_run *r, uint32_t target, bool is_stderr)
{
    char path[RECORD_PATH], name[SPOOL_NAME];
    must(target < r->host_count);
    spool_name(name, target, r->hosts[target].name, is_stderr);
    if (snprintf(path, sizeof path, "%s/%s.d/%s", r->dir, r->id, name) >= (int)sizeof path)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

enum rc record_run_spool(const struct record_run *r, uint32_t target, bool is_stderr,
                         uint64_t offset, void *p, size_t cap, size_t *n)
{
    *n = 0;
    int fd = open_spool(r, target, is_stderr);
    if (fd < 0)
        return RC_OK;
    int failed = record_pread(fd, p, cap, offset, n);
    close(fd);
    return failed == 0 ? RC_OK : RC_SYS;
}

uint64_t record_run_spool_size(const struct record_run *r, uint32_t target, bool is_stderr)
{
    struct stat st;
    int fd = open_spool(r, target, is_stderr);
    uint64_t size =
        fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    if (fd >= 0)
        close(fd);
    return size;
}
