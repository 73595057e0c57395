/* Files, folders and links below the root prefix. Everything is bounded; nothing is kept open
 * between calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/core/core_int.h"
#include "common/mem.h"

/* What stands behind a file's text in its buffer is an older file's: with the address sanitizer,
 * touching it is an error like any other. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
static void fence(const struct buf *b)
{
    if (b->data != NULL)
        __asan_poison_memory_region(b->data + b->len, b->cap - b->len);
}
static void unfence(const struct buf *b)
{
    if (b->data != NULL)
        __asan_unpoison_memory_region(b->data, b->cap);
}
#else
static void fence(const struct buf *b)
{
    (void)b;
}
static void unfence(const struct buf *b)
{
    (void)b;
}
#endif

void core_set_files(struct core *c, const struct core_files *files, void *user)
{
    c->files = files;
    c->files_user = user;
    c->real = c->real && files == NULL;
}

bool core_path(char dst[CORE_PATH], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(dst, CORE_PATH, fmt, ap);
    va_end(ap);
    return n > 0 && n < CORE_PATH;
}

/* The path with the root in front; false when it is too long. */
static bool full_path(const struct core *c, const char *path, char dst[CORE_PATH * 2])
{
    int n = snprintf(dst, CORE_PATH * 2, "%s/%s", c->root, path);
    return n > 0 && n < CORE_PATH * 2;
}

/* A descriptor, or -errno. O_NONBLOCK: what should be a file may be a pipe that nobody writes. */
static int open_path(struct core *c, const char *path, int flags)
{
    char full[CORE_PATH * 2];
    if (!full_path(c, path, full))
        return -ENAMETOOLONG;
    int fd;
    do
        /* musl's open() sets the flag once more, for kernels of 2007: a tenth of all our calls */
        fd = openat(AT_FDCWD, full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static ssize_t read_fd(int fd, void *dst, size_t n)
{
    ssize_t got;
    do
        got = read(fd, dst, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* The next bytes of what is open, or of the test's file. */
static ssize_t read_at(struct core *c, const char *path, int fd, uint64_t at, void *dst, size_t n)
{
    return c->files != NULL ? c->files->read(c->files_user, path, at, dst, n) : read_fd(fd, dst, n);
}

/* -1 stands for a test's file, whose first read tells whether it is there. */
static int open_file(struct core *c, const char *path)
{
    return c->files != NULL ? -1 : open_path(c, path, 0);
}

static int no_memory(struct core *c)
{
    c->nomem = true;
    return ENOMEM;
}

/* Room for at least one byte more, if the cap allows it. 0, ENOMEM or EFBIG. */
static int make_room(struct core *c, struct buf *b)
{
    if (b->len < b->cap)
        return 0;
    size_t room = b->max - b->len, want = b->len > CORE_FIRST ? b->len : CORE_FIRST;
    if (room == 0)
        return EFBIG;
    return buf_reserve(b, room < want ? room : want) == RC_OK ? 0 : no_memory(c);
}

static int read_whole(struct core *c, struct buf *into, const char *path, int fd)
{
    for (;;) {
        int sys = make_room(c, into);
        if (sys != 0)
            return sys;
        ssize_t n = read_at(c, path, fd, into->len, into->data + into->len, into->cap - into->len);
        if (n <= 0)
            return (int)-n;
        into->len += (size_t)n;
    }
}

int core_read(struct core *c, struct buf *into, const char *path, struct span *out)
{
    unfence(into);
    buf_reset(into);
    int fd = open_file(c, path);
    if (fd < 0 && c->files == NULL)
        return -fd;
    int sys = read_whole(c, into, path, fd);
    if (fd >= 0)
        close(fd);
    if (sys != 0 && sys != EFBIG)
        return sys;
    fence(into);
    *out = (struct span){(const char *)into->data, into->len};
    if (sys == EFBIG) /* the last line is not whole */
        while (out->n > 0 && out->p[out->n - 1] != '\n')
            out->n--;
    return 0;
}

int core_piece(struct core *c, const char *path, char *dst, size_t cap, struct span *out)
{
    int fd = open_file(c, path);
    if (fd < 0 && c->files == NULL)
        return -fd;
    ssize_t n = read_at(c, path, fd, 0, dst, cap);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return (int)-n;
    *out = (struct span){dst, (size_t)n};
    return 0;
}

int core_value(struct core *c, const char *path, char dst[CORE_VALUE], struct span *out)
{
    *out = (struct span){dst, 0};
    int sys = core_piece(c, path, dst, CORE_VALUE, out);
    if (sys == 0)
        *out = span_trim(*out);
    return sys;
}

int core_value_u64(struct core *c, const char *path, uint64_t *out)
{
    char text[CORE_VALUE];
    struct span v;
    int sys = core_value(c, path, text, &v);
    return sys != 0 ? sys : span_u64(v, out) ? 0 : EINVAL;
}

int core_value_i64(struct core *c, const char *path, int64_t *out)
{
    char text[CORE_VALUE];
    struct span v;
    int sys = core_value(c, path, text, &v);
    return sys != 0 ? sys : span_i64(v, out) ? 0 : EINVAL;
}

bool core_exists(struct core *c, const char *path)
{
    char full[CORE_PATH * 2], name[256];
    if (c->files == NULL)
        return full_path(c, path, full) && access(full, F_OK) == 0;
    return c->files->read(c->files_user, path, 0, name, 1) >= 0 ||
           c->files->entry(c->files_user, path, 0, name, sizeof name) >= 0;
}

ssize_t core_link(struct core *c, const char *path, char *dst, size_t cap)
{
    char full[CORE_PATH * 2];
    if (c->files != NULL)
        return c->files->link(c->files_user, path, dst, cap);
    if (!full_path(c, path, full))
        return -ENAMETOOLONG;
    ssize_t n = readlink(full, dst, cap);
    return n < 0 ? -errno : n;
}

/* ---- lines ---- */

/* Moves what is left to the front and reads on. */
static int refill(struct core_lines *l)
{
    struct buf *b = &l->c->file;
    buf_consume(b, l->from);
    l->from = 0;
    if (b->len == CORE_FIRST) { /* a line without end: forget it */
        b->len = 0;
        l->skip = true;
    }
    ssize_t n = l->at >= CORE_STREAM
                    ? 0
                    : read_at(l->c, l->path, l->fd, l->at, b->data + b->len, CORE_FIRST - b->len);
    if (n <= 0) {
        l->end = true;
        return (int)-n;
    }
    l->at += (size_t)n;
    b->len += (size_t)n;
    return 0;
}

int core_lines_open(struct core *c, struct core_lines *l, const char *path)
{
    *l = (struct core_lines){.c = c, .path = path, .fd = open_file(c, path)};
    if (l->fd < 0 && c->files == NULL)
        return -l->fd;
    unfence(&c->file);
    buf_reset(&c->file);
    int sys = buf_reserve(&c->file, CORE_FIRST) == RC_OK ? refill(l) : no_memory(c);
    if (sys != 0)
        core_lines_close(l);
    return sys;
}

bool core_lines_next(struct core_lines *l, struct span *line)
{
    struct buf *b = &l->c->file;
    for (;;) {
        struct span rest = {(const char *)b->data + l->from, b->len - l->from};
        if (span_until(&rest, '\n', line)) {
            l->from = b->len - rest.n;
            if (!l->skip)
                return true;
            l->skip = false;
        } else if (!l->end) {
            refill(l);
        } else {
            *line = rest;
            l->from = b->len;
            return rest.n > 0 && !l->skip;
        }
    }
}

void core_lines_close(struct core_lines *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* ---- folders ---- */

int core_dir_open(struct core *c, struct core_dir *d, const char *path)
{
    d->c = c;
    d->path = path;
    d->index = d->from = d->to = 0;
    d->fd = -1;
    if (c->files != NULL) {
        ssize_t n = c->files->entry(c->files_user, path, 0, d->name, sizeof d->name);
        return n < 0 ? (int)-n : 0;
    }
    d->fd = open_path(c, path, O_DIRECTORY);
    return d->fd < 0 ? -d->fd : 0;
}

/* The system call itself: opendir would allocate behind our back. */
struct dirent_raw {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

static const char *next_raw(struct core_dir *d)
{
    if (d->from >= d->to) {
        long n = syscall(SYS_getdents64, d->fd, d->buf.bytes, sizeof d->buf.bytes);
        if (n <= 0)
            return NULL;
        d->from = 0;
        d->to = (size_t)n;
    }
    const struct dirent_raw *e = (const void *)(d->buf.bytes + d->from);
    d->from += e->reclen;
    return e->name;
}

static const char *next_given(struct core_dir *d)
{
    ssize_t n =
        d->c->files->entry(d->c->files_user, d->path, d->index, d->name, sizeof d->name - 1);
    if (n <= 0)
        return NULL;
    d->name[n] = '\0';
    return d->name;
}

const char *core_dir_next(struct core_dir *d)
{
    enum { MOST = 1 << 22 }; /* kernel.pid_max at its highest */
    while (d->index < MOST) {
        const char *name = d->fd >= 0 ? next_raw(d) : d->c->files != NULL ? next_given(d) : NULL;
        d->index++;
        if (name == NULL)
            return NULL;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            return name;
    }
    return NULL;
}

void core_dir_close(struct core_dir *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

/* hwmon2 before hwmon10; psutil sorts text, which no figure depends on. */
static int by_name(const void *a, const void *b)
{
    return strverscmp(a, b);
}

int core_names(struct core *c, struct core_names *names, const char *path, const char *prefix)
{
    struct core_dir d;
    *names = (struct core_names){0};
    int sys = core_dir_open(c, &d, path);
    if (sys != 0)
        return sys;
    for (const char *name; names->n < CORE_NAMES && (name = core_dir_next(&d)) != NULL;) {
        if (strncmp(name, prefix, strlen(prefix)) != 0 || strlen(name) >= sizeof names->name[0])
            continue;
        if (mem_grow(&names->name, &names->cap, names->n + 1, sizeof names->name[0]) != 0) {
            sys = no_memory(c);
            break;
        }
        memcpy(names->name[names->n++], name, strlen(name) + 1);
    }
    core_dir_close(&d);
    if (names->n > 1)
        qsort(names->name, names->n, sizeof names->name[0], by_name);
    if (sys != 0)
        core_names_free(names);
    return sys;
}

void core_names_free(struct core_names *names)
{
    mem_free(names->name);
    *names = (struct core_names){0};
}
