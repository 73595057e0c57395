/* See hostkeys_add in hostkeys.h: remembers a host's key in a file that ssh, and other runs of
 * ours, write as well. Coordinator, off the loop: waits for the lock and writes to disk.
 *
 * The lock is flock(2) on the file itself. ssh-keygen -R and -H put a new file in its place, so the
 * name is looked at again once the lock is held. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/hostkeys/index.h"

/* What a list of patterns would read differently, or what would end the field or the line. */
bool index_can_be_written(const char *host)
{
    if (*host == '\0' || strchr("#@|!", *host) != NULL || strlen(host) > HOSTKEYS_MAX_NAME)
        return false;
    for (const unsigned char *p = (const unsigned char *)host; *p != '\0'; p++)
        if (*p <= ' ' || *p == 0x7f || strchr(",*?", *p) != NULL)
            return false;
    return true;
}

/* The folder of the file, 0700, as ssh makes ~/.ssh; not those above it. */
static void make_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return;
    char *folder = mem_strndup(path, (size_t)(slash - path));
    if (folder != NULL)
        (void)mkdir(folder, 0700); /* if it failed, opening the file says why */
    mem_free(folder);
}

/* flock has no bound of its own, and a program that never lets go would hold the run for ever:
 * hence the asking again and again. */
static int lock(int fd)
{
    static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t end = clock_ms() + HOSTKEYS_LOCK_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK && clock_ms() < end)
            nanosleep(&pause, NULL);
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

static bool still_there(int fd, const char *path)
{
    struct stat by_fd, by_name;
    return fstat(fd, &by_fd) == 0 && stat(path, &by_name) == 0 && by_fd.st_dev == by_name.st_dev &&
           by_fd.st_ino == by_name.st_ino;
}

enum rc index_open_locked(const char *path, int *out, struct err *e)
{
    enum { TRIES = 100 }; /* each time somebody put another file in its place */
    make_folder(path);
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_sys(e, errno, "%s: open for writing", path);
        if (lock(fd) != 0) {
            int sys = errno;
            close(fd);
            if (sys == EWOULDBLOCK)
                return err_set(e, RC_LIMIT, "%s: another program has it locked", path);
            return err_sys(e, sys, "%s: lock", path);
        }
        if (still_there(fd, path)) {
            *out = fd;
            return RC_OK;
        }
        close(fd);
    }
    return err_set(e, RC_SYS, "%s: it is being replaced again and again", path);
}

static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* The file as it was last read; one that is no regular file (/dev/null) goes by its name. */
static bool find_file(const struct hostkeys *hk, int fd, const char *path, size_t *file)
{
    bool regular = is_regular(fd);
    for (size_t i = hk->files_len; i-- > 0;) {
        const struct index_snapshot *seen = &hk->files[i].seen;
        *file = i;
        if (regular ? index_snapshot_extends(seen, fd) : strcmp(hk->files[i].name, path) == 0)
            return true;
    }
    return false;
}

/* Brings the index up to the file: what was appended since, or all of it when it is another file
 * by now. Lines that were taken out of it stay in the index for this run: they only make us more
 * careful. */
static enum rc catch_up(struct hostkeys *hk, int fd, const char *path, size_t *file, struct err *e)
{
    off_t from = 0;
    enum rc rc = RC_OK;
    if (find_file(hk, fd, path, file))
        from = hk->files[*file].seen.size;
    else
        rc = index_file_named(hk, path, file, e);
    char *text = NULL;
    size_t len = 0;
    if (rc != RC_OK || !is_regular(fd)) /* nothing to read back from */
        return rc;
    rc = index_read(fd, from, path, &text, &len, e);
    if (rc == RC_OK)
        rc = index_load(hk, *file, text, len, e);
    if (rc == RC_OK)
        index_snapshot_take(&hk->files[*file].seen, fd, from + (off_t)len);
    mem_free(text);
    return rc;
}

static enum rc put_hashed(struct buf *b, const char *name, size_t len)
{
    uint8_t salt[HMAC_SALT], digest[HMAC_SALT];
    randombytes_buf(salt, sizeof salt);
    hmac_digest(salt, name, len, digest);
    enum rc rc = buf_puts(b, "|1|");
    if (rc == RC_OK)
        rc = str_base64(b, salt, sizeof salt);
    if (rc == RC_OK)
        rc = buf_putc(b, '|');
    return rc == RC_OK ? str_base64(b, digest, sizeof digest) : rc;
}

static enum rc put_until(struct buf *b, int64_t until)
{
    struct tm tm;
    time_t t = (time_t)until;
    if (until == 0)
        return RC_OK;
    gmtime_r(&t, &tm);
    return buf_printf(b, " " LINE_UNTIL "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                      tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

enum rc index_compose(struct buf *b, const char *name, size_t len, const char *key_type,
                      const void *blob, size_t blob_len, bool hashed, int64_t until)
{
    enum rc rc = hashed ? put_hashed(b, name, len) : buf_append(b, name, len);
    if (rc == RC_OK)
        rc = buf_printf(b, " %s ", key_type);
    if (rc == RC_OK)
        rc = str_base64(b, blob, blob_len);
    if (rc == RC_OK)
        rc = put_until(b, until);
    return rc == RC_OK ? buf_putc(b, '\n') : rc;
}

static bool lacks_newline(int fd, off_t size)
{
    char last;
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* All of it or nothing: half a line would spoil the next one. */
static enum rc write_whole(int fd, off_t size, const struct buf *b, const char *path, struct err *e)
{
    size_t done = 0;
    while (done < b->len) {
        ssize_t n = write(fd, b->data + done, b->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int sys = errno;
            (void)!ftruncate(fd, size);
            return err_sys(e, sys, "%s: write", path);
        }
        done += (size_t)n;
    }
    return RC_OK;
}

static enum rc append(struct hostkeys *hk, int fd, const char *path, size_t file,
                      const struct buf *line, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "%s: stat", path);
    struct buf text;
    buf_init(&text, line->max + 1);
    enum rc rc = lacks_newline(fd, st.st_size) ? buf_putc(&text, '\n') : RC_OK;
    if (rc == RC_OK)
        rc = buf_append(&text, line->data, line->len);
    if (rc == RC_OK)
        rc = write_whole(fd, st.st_size, &text, path, e);
    else
        err_nomem(e);
    if (rc == RC_OK)
        rc = index_load(hk, file, (const char *)line->data, line->len, e);
    if (rc == RC_OK)
        index_snapshot_take(&hk->files[file].seen, fd, st.st_size + (off_t)text.len);
    buf_fini(&text);
    return rc;
}

static enum rc refuse(const struct hostkeys_answer *a, const char *name, struct err *e)
{
    return err_set(e, RC_EXISTS,
                   a->verdict == HOSTKEYS_REVOKED ? "%s: the key is marked @revoked at %s"
                                                  : "%s: another key is already on record at %s",
                   name, a->where);
}

static enum rc add_locked(struct hostkeys *hk, int fd, const char *path, const char *host,
                          uint16_t port, const char *key_type, const void *blob, size_t blob_len,
                          const struct buf *line, struct err *e)
{
    size_t file;
    enum rc rc = catch_up(hk, fd, path, &file, e);
    if (rc != RC_OK)
        return rc;
    struct hostkeys_answer a;
    hostkeys_check(hk, host, port, key_type, blob, blob_len, &a);
    if (a.verdict == HOSTKEYS_MATCH)
        return RC_OK;
    if (a.verdict != HOSTKEYS_UNKNOWN && a.verdict != HOSTKEYS_CA_ONLY &&
        a.verdict != HOSTKEYS_EXPIRED)
        return refuse(&a, host, e);
    return append(hk, fd, path, file, line, e);
}

enum rc hostkeys_await_lock(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return RC_OK; /* to be made, or hostkeys_add says why not */
    bool held = lock(fd) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held ? err_set(e, RC_LIMIT, "%s: another program has it locked", path) : RC_OK;
}

enum rc hostkeys_add(struct hostkeys *hk, const char *path, const char *host, uint16_t port,
                     const char *key_type, const void *blob, size_t blob_len, bool hashed,
                     struct err *e)
{
    char name[HOSTKEYS_MAX_NAME + 16];
    size_t len = index_name_form(name, sizeof name, host, port);
    if (len == 0 || !index_can_be_written(host))
        return err_set(e, RC_CONFIG,
                       "a host name with blanks, commas or wildcards cannot be written to %s",
                       path);
    enum line_type type =
        blob_len <= HOSTKEYS_MAX_BLOB ? line_blob_type(blob, blob_len) : LINE_TYPE_NONE;
    if (type == LINE_TYPE_NONE || type != line_type_of(key_type, strlen(key_type)))
        return err_set(e, RC_CONFIG, "%s: not a host key of type %.64s", name, key_type);
    struct buf line;
    buf_init(&line, 2 * HOSTKEYS_MAX_BLOB + HOSTKEYS_MAX_NAME + 256);
    int fd = -1;
    enum rc rc = index_compose(&line, name, len, line_type_name(type), blob, blob_len, hashed, 0);
    if (rc != RC_OK)
        err_nomem(e);
    else
        rc = index_open_locked(path, &fd, e);
    if (rc == RC_OK)
        rc = add_locked(hk, fd, path, host, port, key_type, blob, blob_len, &line, e);
    if (fd >= 0)
        close(fd); /* and with it the lock */
    buf_fini(&line);
    return rc;
}

/* ---- many ---- */

/* As most of the lines are that it has. */
static bool file_is_hashed(const struct hostkeys *hk, size_t file)
{
    size_t hashed = 0, plain = 0;
    for (size_t i = 0; i < hk->lines_len; i++)
        if (hk->lines[i].file == file)
            (*(hk->lines[i].hashed ? &hashed : &plain))++;
    return hashed > plain;
}

static enum rc vet(const struct hostkeys *hk, const struct hostkeys_entry *n)
{
    struct hostkeys_answer a;
    enum line_type type =
        n->blob_len <= HOSTKEYS_MAX_BLOB ? line_blob_type(n->blob, n->blob_len) : LINE_TYPE_NONE;
    if (!index_can_be_written(n->host) || type == LINE_TYPE_NONE ||
        type != line_type_of(n->key_type, strlen(n->key_type)))
        return RC_CONFIG;
    hostkeys_check(hk, n->host, n->port, n->key_type, n->blob, n->blob_len, &a);
    switch (a.verdict) {
    case HOSTKEYS_MATCH: return RC_OK;
    case HOSTKEYS_UNKNOWN:
    case HOSTKEYS_EXPIRED:
    case HOSTKEYS_CA_ONLY: return RC_NOTFOUND;
    case HOSTKEYS_OTHER: return n->further ? RC_NOTFOUND : RC_EXISTS;
    default: return RC_EXISTS;
    }
}

/* RC_NOTFOUND of vet means that the line lacks. One that an earlier entry has brought is not
 * written twice: two hosts of an inventory may go by one name. */
static enum rc put_entries(const struct hostkeys *hk, struct hostkeys_entry *entries, size_t n,
                           bool hashed, struct buf *out)
{
    char name[HOSTKEYS_MAX_NAME + 16];
    struct map seen;
    struct arena arena;
    enum rc rc = RC_OK;
    map_init(&seen);
    arena_init(&arena);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct hostkeys_entry *x = &entries[i];
        x->added = false;
        x->result = vet(hk, x);
        if (x->result != RC_NOTFOUND)
            continue;
        x->result = RC_OK;
        size_t len = index_name_form(name, sizeof name, x->host, x->port);
        char *mark = arena_alloc(&arena, len + 1 + x->blob_len);
        if (len == 0 || mark == NULL)
            rc = RC_NOMEM;
        if (rc != RC_OK)
            break;
        memcpy(mark, name, len + 1);
        memcpy(mark + len + 1, x->blob, x->blob_len);
        if (map_has(&seen, mark, len + 1 + x->blob_len))
            continue;
        if (map_put(&seen, mark, len + 1 + x->blob_len, x, NULL) != 0)
            rc = RC_NOMEM;
        if (rc == RC_OK)
            rc = index_compose(out, name, len, x->key_type, x->blob, x->blob_len, hashed, x->until);
        x->added = rc == RC_OK;
    }
    map_fini(&seen);
    arena_fini(&arena);
    return rc;
}

enum rc hostkeys_add_many(struct hostkeys *hk, const char *path, struct hostkeys_entry *entries,
                          size_t n, enum hostkeys_style style, struct err *e)
{
    int fd = -1;
    size_t file = 0;
    struct buf lines;
    buf_init(&lines, HOSTKEYS_MAX_FILE);
    enum rc rc = index_open_locked(path, &fd, e);
    if (rc == RC_OK)
        rc = catch_up(hk, fd, path, &file, e);
    if (rc == RC_OK) {
        bool hashed =
            style == HOSTKEYS_HASHED || (style == HOSTKEYS_AS_FILE && file_is_hashed(hk, file));
        rc = put_entries(hk, entries, n, hashed, &lines);
        if (rc == RC_LIMIT)
            err_set(e, rc, "%s: more new keys than a file may hold", path);
        else if (rc != RC_OK)
            err_nomem(e);
    }
    if (rc == RC_OK && lines.len > 0)
        rc = append(hk, fd, path, file, &lines, e);
    if (fd >= 0)
        close(fd);
    buf_fini(&lines);
    return rc;
}
