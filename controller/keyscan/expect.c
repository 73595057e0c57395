/* --verify: keys that came another way than over the network, against those that hosts have shown.
 * See keyscan.h. Lines of known_hosts are left to controller/hostkeys; fingerprints are kept here.
 */
#include "controller/keyscan/keyscan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/map.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/hostkeys/index.h"

enum { EXPECT_MAX_FILE = 64 << 20, PRINT_LEN = 7 + 43, NOTHING = UINT32_MAX };

struct expected { /* one fingerprint of one name */
    char print[FOUND_PRINT];
    const char *where;
    uint32_t next; /* the next of the name, or NOTHING */
};

struct expect {
    struct hostkeys *lines;
    struct expected *prints;
    size_t count, cap;
    struct map by_name; /* lower case, to number + 1 */
    struct arena arena;
};

struct words {
    const char *at[4];
    size_t len[4];
    unsigned count;
};

static void split(const char *p, size_t n, struct words *w)
{
    w->count = 0;
    for (size_t i = 0; i < n && w->count < 4;) {
        size_t from = i;
        while (i < n && p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            i++;
        if (i > from) {
            w->at[w->count] = p + from;
            w->len[w->count++] = i - from;
        }
        while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r'))
            i++;
    }
}

static bool is_print(const struct words *w, unsigned i)
{
    return w->count > i && w->len[i] == PRINT_LEN && memcmp(w->at[i], "SHA256:", 7) == 0;
}

static bool is_number(const struct words *w, unsigned i)
{
    for (size_t c = 0; w->count > i && c < w->len[i]; c++)
        if (w->at[i][c] < '0' || w->at[i][c] > '9')
            return false;
    return w->count > i;
}

static enum rc add_name(struct expect *x, const char *name, size_t len, const char *print,
                        const char *where)
{
    char *lower = arena_strndup(&x->arena, name, len);
    void *older = NULL;
    if (lower == NULL || mem_grow(&x->prints, &x->cap, x->count + 1, sizeof *x->prints) != 0)
        return RC_NOMEM;
    for (char *c = lower; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    if (map_put(&x->by_name, lower, strlen(lower), (void *)(uintptr_t)(x->count + 1), &older) != 0)
        return RC_NOMEM;
    struct expected *p = &x->prints[x->count++];
    memcpy(p->print, print, PRINT_LEN);
    p->print[PRINT_LEN] = '\0';
    p->where = where;
    p->next = older != NULL ? (uint32_t)((uintptr_t)older - 1) : NOTHING;
    return RC_OK;
}

static enum rc add_names(struct expect *x, const char *list, size_t len, const char *print,
                         const char *name, unsigned line)
{
    char where[512];
    snprintf(where, sizeof where, "%.400s:%u", name, line);
    const char *kept = arena_strdup(&x->arena, where);
    enum rc rc = kept != NULL ? RC_OK : RC_NOMEM;
    for (size_t at = 0; rc == RC_OK && at < len;) {
        const char *comma = memchr(list + at, ',', len - at);
        size_t n = comma != NULL ? (size_t)(comma - list) - at : len - at;
        if (n > 0)
            rc = add_name(x, list + at, n, print, kept);
        at += n + 1;
    }
    return rc;
}

/* "HOST SHA256:…", or "256 SHA256:… HOST (ED25519)" of ssh-keygen -l. *taken: it was one of them.
 */
static enum rc take_print(struct expect *x, const char *p, size_t n, const char *name,
                          unsigned line, bool *taken)
{
    struct words w;
    split(p, n, &w);
    *taken = true;
    if (w.count > 0 && w.at[0][0] == '#')
        return RC_OK;
    if (is_number(&w, 0) && is_print(&w, 1) && w.count > 2)
        return add_names(x, w.at[2], w.len[2], w.at[1], name, line);
    if (is_print(&w, 1))
        return add_names(x, w.at[0], w.len[0], w.at[1], name, line);
    *taken = false;
    return RC_OK;
}

/* Lines that are fingerprints are blanked, so that the rest keeps its numbers. */
static enum rc take_text(struct expect *x, const char *name, char *text, size_t len, struct err *e)
{
    unsigned line = 0;
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline != NULL ? (size_t)(newline - text) - at : len - at;
        bool taken;
        rc = take_print(x, text + at, n, name, ++line, &taken);
        if (rc == RC_OK && taken)
            memset(text + at, ' ', n);
        at += n + 1;
    }
    if (rc != RC_OK)
        return err_nomem(e);
    size_t skipped = hostkeys_skipped(x->lines);
    rc = hostkeys_load_text(x->lines, name, text, len, e);
    skipped = hostkeys_skipped(x->lines) - skipped;
    if (rc == RC_OK && skipped > 0)
        log_warn("--verify %s: %zu lines are neither keys nor SHA256 fingerprints", name, skipped);
    return rc;
}

static enum rc expect_alloc(struct expect **out, struct err *e)
{
    struct expect *x = mem_calloc(1, sizeof *x);
    if (x == NULL)
        return err_nomem(e);
    map_init(&x->by_name);
    arena_init(&x->arena);
    enum rc rc = hostkeys_new(&x->lines, e);
    if (rc == RC_OK)
        *out = x;
    else
        expect_free(x);
    return rc;
}

void expect_free(struct expect *x)
{
    if (x == NULL)
        return;
    hostkeys_free(x->lines);
    map_fini(&x->by_name);
    arena_fini(&x->arena);
    mem_free(x->prints);
    mem_free(x);
}

static enum rc take_file(struct expect *x, const char *path, struct err *e)
{
    size_t had = x->count + hostkeys_count(x->lines), len = 0;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "--verify %s", path);
    enum rc rc = index_read(fd, 0, path, &text, &len, e);
    close(fd);
    if (rc == RC_OK)
        rc = take_text(x, path, text, len, e);
    mem_free(text);
    if (rc == RC_OK && x->count + hostkeys_count(x->lines) == had)
        rc = err_set(e, RC_CONFIG,
                     "--verify %s: no line in it is a key (HOST TYPE KEY) or a fingerprint (HOST "
                     "SHA256:...)",
                     path);
    return rc;
}

enum rc expect_new(struct expect **out, const struct strings *files, struct err *e)
{
    struct expect *x = NULL;
    enum rc rc = expect_alloc(&x, e);
    for (size_t i = 0; rc == RC_OK && i < files->count; i++)
        rc = take_file(x, files->items[i], e);
    if (rc == RC_OK)
        *out = x;
    else
        expect_free(x);
    return rc;
}

enum rc expect_new_text(struct expect **out, const char *name, const char *text, size_t len,
                        struct err *e)
{
    struct expect *x = NULL;
    char *copy = mem_memdup(text, len);
    enum rc rc = copy != NULL ? expect_alloc(&x, e) : err_nomem(e);
    if (rc == RC_OK)
        rc = take_text(x, name, copy, len, e);
    mem_free(copy);
    if (rc == RC_OK)
        *out = x;
    else
        expect_free(x);
    return rc;
}

/* ---- judging ---- */

static uint32_t first_print(const struct expect *x, const char *host, uint16_t port)
{
    char name[HOSTKEYS_MAX_NAME + 16];
    size_t len = index_name_form(name, sizeof name, host, port);
    uintptr_t found = len > 0 ? (uintptr_t)map_get(&x->by_name, name, len) : 0;
    return found ? (uint32_t)(found - 1) : NOTHING;
}

/* By the name in known_hosts, that without its port, and the name in the inventory. */
static uint32_t prints_of(const struct expect *x, const struct target *t)
{
    uint32_t i = first_print(x, t->key_name, found_port(t));
    if (i == NOTHING)
        i = first_print(x, t->key_name, 22);
    return i != NOTHING ? i : first_print(x, t->host->name, 22);
}

static void judge_line(const struct expect *x, const char *host, uint16_t port, struct found_key *k,
                       struct hostkeys_answer *a)
{
    if (k->proof != PROOF_NONE)
        return;
    hostkeys_check(x->lines, host, port, k->type, k->blob, k->len, a);
    if (a->verdict == HOSTKEYS_MATCH)
        k->proof = PROOF_VERIFIED;
    else if (a->verdict == HOSTKEYS_CHANGED || a->verdict == HOSTKEYS_REVOKED)
        k->proof = PROOF_DENIED;
}

/* A fingerprint does not say of which type its key is: the host is another one only if none of its
 * keys is listed. */
static void judge_prints(const struct expect *x, struct found_host *h, uint32_t first)
{
    bool any = false;
    for (unsigned i = 0; i < h->key_count; i++) {
        char print[FOUND_PRINT];
        found_print(print, &h->keys[i]);
        for (uint32_t at = first; at != NOTHING; at = x->prints[at].next) {
            if (strcmp(x->prints[at].print, print) != 0)
                continue;
            h->keys[i].proof = PROOF_VERIFIED;
            h->keys[i].by = x->prints[at].where;
            any = true;
        }
    }
    for (unsigned i = 0; first != NOTHING && !any && i < h->key_count; i++) {
        h->keys[i].proof = PROOF_DENIED;
        h->keys[i].by = x->prints[first].where;
    }
}

enum rc expect_judge(const struct expect *x, struct found *f, struct err *e)
{
    for (uint32_t n = 0; n < f->count; n++) {
        struct found_host *h = &f->hosts[n];
        const struct target *t = h->target;
        judge_prints(x, h, prints_of(x, t));
        for (unsigned i = 0; i < h->key_count; i++) {
            struct found_key *k = &h->keys[i];
            struct hostkeys_answer a = {.where = ""};
            judge_line(x, t->key_name, found_port(t), k, &a);
            judge_line(x, t->host->name, 22, k, &a);
            if (a.where[0] != '\0' && k->proof != PROOF_NONE && *k->by == '\0')
                k->by = arena_strdup(&f->arena, a.where);
            if (k->by == NULL)
                return err_nomem(e);
        }
    }
    return RC_OK;
}
