/* See hostkeys_edit in hostkeys.h: takes lines out of a file, or puts others in their place.
 *
 * The new text is made in memory, written beside the file and put in its place in one step; whoever
 * appends meanwhile under the lock looks at the name again once the lock is his (add.c). ssh itself
 * appends without a lock. Coordinator, off the loop: waits for the lock and writes to disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "controller/hostkeys/index.h"

enum { NOBODY = UINT32_MAX };

struct place { /* an edit, by the name it is about */
    char *name;
    size_t len;
    uint32_t next; /* edit with the same name, or NOBODY */
    enum line_type type;
    struct hmac_query *query; /* made when the first hashed line is met */
    bool written;
};

struct edition {
    struct hostkeys_edit *edits;
    struct place *places;
    size_t n;
    struct map by_name; /* to number + 1 */
    struct arena arena;
    struct buf out, blob;
    struct buf rest, fresh; /* of one line: the names that stay, and the lines that come */
    bool changed;
};

static enum rc prepare(struct edition *d, const char *path, struct err *e)
{
    char name[HOSTKEYS_MAX_NAME + 16];
    d->places = mem_calloc(d->n, sizeof *d->places);
    if (d->places == NULL)
        return err_nomem(e);
    for (size_t i = 0; i < d->n; i++) {
        struct hostkeys_edit *x = &d->edits[i];
        struct place *p = &d->places[i];
        void *older = NULL;
        x->removed = 0;
        p->len = index_name_form(name, sizeof name, x->host, x->port);
        p->type =
            x->key_type != NULL ? line_type_of(x->key_type, strlen(x->key_type)) : LINE_TYPE_NONE;
        if (p->len == 0 || !index_can_be_written(x->host) ||
            (x->blob != NULL && line_blob_type(x->blob, x->blob_len) != p->type))
            return err_set(e, RC_CONFIG, "%s: not a name or a key that can stand in it", path);
        p->name = arena_strndup(&d->arena, name, p->len);
        if (p->name == NULL ||
            map_put(&d->by_name, p->name, p->len, (void *)(uintptr_t)(i + 1), &older) != 0)
            return err_nomem(e);
        p->next = older != NULL ? (uint32_t)((uintptr_t)older - 1) : NOBODY;
    }
    return RC_OK;
}

static bool is_about(const struct place *p, const struct line_parts *parts)
{
    return p->type == LINE_TYPE_NONE || p->type == parts->type;
}

/* The new line of an edit, once. */
static enum rc put_new(struct edition *d, size_t i, bool hashed, struct buf *out)
{
    struct hostkeys_edit *x = &d->edits[i];
    struct place *p = &d->places[i];
    if (x->blob == NULL || p->written)
        return RC_OK;
    p->written = d->changed = true;
    return index_compose(out, p->name, p->len, line_type_name(p->type), x->blob, x->blob_len,
                         hashed, x->until);
}

/* Every edit of that name and type takes note, and gives its line; *any: there is one. */
static enum rc note_hits(struct edition *d, const char *name, size_t len,
                         const struct line_parts *parts, bool *any)
{
    char lower[HOSTKEYS_MAX_NAME + 16];
    enum rc rc = RC_OK;
    *any = false;
    if (len >= sizeof lower)
        return RC_OK;
    for (size_t i = 0; i < len; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    uintptr_t found = (uintptr_t)map_get(&d->by_name, lower, len);
    uint32_t i = found ? (uint32_t)(found - 1) : NOBODY;
    for (; rc == RC_OK && i != NOBODY; i = d->places[i].next) {
        if (!is_about(&d->places[i], parts))
            continue;
        d->edits[i].removed++;
        *any = d->changed = true;
        rc = put_new(d, i, false, &d->fresh);
    }
    return rc;
}

static enum rc keep_name(struct buf *rest, const char *name, size_t n)
{
    enum rc rc = rest->len > 0 ? buf_putc(rest, ',') : RC_OK;
    return rc == RC_OK ? buf_append(rest, name, n) : rc;
}

/* The names that stay, with what stood behind the names; then what comes instead of the others. */
static enum rc put_rest(struct edition *d, const char *behind, size_t n)
{
    enum rc rc = RC_OK;
    if (d->rest.len > 0) {
        rc = buf_append(&d->out, d->rest.data, d->rest.len);
        if (rc == RC_OK)
            rc = buf_append(&d->out, behind, n);
        if (rc == RC_OK && behind[n - 1] != '\n')
            rc = buf_putc(&d->out, '\n');
    }
    if (rc == RC_OK && d->fresh.len > 0)
        rc = buf_append(&d->out, d->fresh.data, d->fresh.len);
    return rc;
}

static enum rc plain_line(struct edition *d, const char *line, size_t len,
                          const struct line_parts *parts)
{
    bool all = true;
    enum rc rc = RC_OK;
    buf_reset(&d->rest);
    buf_reset(&d->fresh);
    for (size_t at = 0; rc == RC_OK && at < parts->hosts_len;) {
        const char *name = parts->hosts + at;
        const char *comma = memchr(name, ',', parts->hosts_len - at);
        size_t n = comma != NULL ? (size_t)(comma - name) : parts->hosts_len - at;
        bool goes = false;
        if (n > 0)
            rc = note_hits(d, name, n, parts, &goes);
        if (rc == RC_OK && n > 0 && !goes)
            rc = keep_name(&d->rest, name, n);
        all &= !goes;
        at += n + 1;
    }
    const char *behind = parts->hosts + parts->hosts_len;
    if (rc == RC_OK)
        rc = all ? buf_append(&d->out, line, len)
                 : put_rest(d, behind, (size_t)(line + len - behind));
    return rc;
}

static bool hash_is(struct edition *d, size_t i, const struct hmac_line *h)
{
    struct place *p = &d->places[i];
    if (p->query == NULL) {
        p->query = (struct hmac_query *)(void *)arena_alloc(&d->arena, sizeof *p->query);
        if (p->query == NULL)
            return false;
        hmac_query_init(p->query, p->name, p->len);
    }
    return hmac_match(p->query, &h, 1) != 0;
}

static enum rc hashed_line(struct edition *d, const char *line, size_t len,
                           const struct line_parts *parts)
{
    bool any = false;
    enum rc rc = RC_OK;
    struct hmac_line h;
    hmac_line_init(&h, parts->salt, parts->digest);
    hmac_prepare(&h, 1);
    for (size_t i = 0; rc == RC_OK && i < d->n; i++) {
        if (!is_about(&d->places[i], parts) || !hash_is(d, i, &h))
            continue;
        any = d->changed = true;
        d->edits[i].removed++;
        rc = put_new(d, i, true, &d->out);
    }
    return rc == RC_OK && !any ? buf_append(&d->out, line, len) : rc;
}

static enum rc edit_line(struct edition *d, const char *line, size_t len)
{
    struct line_parts parts;
    size_t bare = len > 0 && line[len - 1] == '\n' ? len - 1 : len;
    enum line_kind kind = line_parse(line, bare, &parts, &d->blob);
    if (kind == LINE_NOMEM)
        return RC_NOMEM;
    if (kind != LINE_GOOD || parts.marker != LINE_PLAIN)
        return buf_append(&d->out, line, len);
    if (parts.hashed)
        return hashed_line(d, line, len, &parts);
    if (!line_list_is_plain(parts.hosts, parts.hosts_len))
        return buf_append(&d->out, line, len);
    return plain_line(d, line, len, &parts);
}

static enum rc edit_text(struct edition *d, const char *text, size_t len)
{
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline != NULL ? (size_t)(newline - text) - at + 1 : len - at;
        rc = edit_line(d, text + at, n);
        at += n;
    }
    if (rc == RC_OK && d->out.len > 0 && d->out.data[d->out.len - 1] != '\n')
        rc = buf_putc(&d->out, '\n');
    for (size_t i = 0; rc == RC_OK && i < d->n; i++)
        rc = put_new(d, i, false, &d->out);
    return rc;
}

static enum rc write_out(int fd, const struct buf *b, const char *path, struct err *e)
{
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(fd, b->data + done, b->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "%s: write", path);
        done += (size_t)n;
    }
    return fsync(fd) == 0 ? RC_OK : err_sys(e, errno, "%s: fsync", path);
}

/* old: the locked file, whose mode and owner the new one gets. */
static enum rc replace(int old, const char *path, const struct buf *b, struct err *e)
{
    struct stat st;
    char temp[4096 + 16];
    if (fstat(old, &st) != 0)
        return err_sys(e, errno, "%s: stat", path);
    if ((size_t)snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= sizeof temp)
        return err_set(e, RC_LIMIT, "%s: the path is too long", path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "%s: cannot make a file beside it", path);
    enum rc rc = RC_OK;
    if (fchmod(fd, st.st_mode & 07777) != 0)
        rc = err_sys(e, errno, "%s: chmod", temp);
    if (rc == RC_OK && st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) != 0)
        rc = err_sys(e, errno, "%s: chown", temp);
    if (rc == RC_OK)
        rc = write_out(fd, b, temp, e);
    close(fd);
    if (rc == RC_OK && rename(temp, path) != 0)
        rc = err_sys(e, errno, "%s: rename", path);
    if (rc != RC_OK)
        unlink(temp);
    return rc;
}

static enum rc edit_locked(struct edition *d, int fd, const char *path, bool dry, struct err *e)
{
    char *text = NULL;
    size_t len = 0;
    enum rc rc = index_read(fd, 0, path, &text, &len, e);
    if (rc == RC_OK) {
        rc = edit_text(d, text, len);
        if (rc == RC_LIMIT)
            err_set(e, rc, "%s: larger than %d MiB", path, HOSTKEYS_MAX_FILE >> 20);
        else if (rc != RC_OK)
            err_nomem(e);
    }
    if (rc == RC_OK && d->changed && !dry)
        rc = replace(fd, path, &d->out, e);
    mem_free(text);
    return rc;
}

enum rc hostkeys_edit(const char *path, struct hostkeys_edit *edits, size_t n, bool dry,
                      struct err *e)
{
    struct edition d = {.edits = edits, .n = n};
    int fd = -1;
    char *real = realpath(path, NULL); /* of a link, what it leads to */
    map_init(&d.by_name);
    arena_init(&d.arena);
    buf_init(&d.out, HOSTKEYS_MAX_FILE);
    buf_init(&d.blob, HOSTKEYS_MAX_BLOB);
    buf_init(&d.rest, HOSTKEYS_MAX_FILE);
    buf_init(&d.fresh, HOSTKEYS_MAX_FILE);
    const char *name = real != NULL ? real : path;
    bool adds = false;
    for (size_t i = 0; i < n; i++)
        adds |= edits[i].blob != NULL;
    enum rc rc = prepare(&d, path, e);
    if (rc == RC_OK && (access(name, F_OK) == 0 || (adds && !dry)))
        rc = index_open_locked(name, &fd, e);
    if (rc == RC_OK && fd >= 0)
        rc = edit_locked(&d, fd, name, dry, e);
    if (fd >= 0)
        close(fd); /* and with it the lock */
    buf_fini(&d.out);
    buf_fini(&d.blob);
    buf_fini(&d.rest);
    buf_fini(&d.fresh);
    map_fini(&d.by_name);
    arena_fini(&d.arena);
    mem_free(d.places);
    free(real);
    return rc;
}
