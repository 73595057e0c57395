/* See outdir.h. */
#include "controller/output/outdir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

enum { QUEUE_MAX = 32 * 1024 * 1024, NAME_PLAIN_MAX = 180 };

enum job_kind { JOB_RESET, JOB_DATA, JOB_TOUCH };

struct job {
    struct job *next;
    enum job_kind kind;
    uint32_t target;
    bool is_stderr;
    size_t n;
    uint8_t bytes[];
};

struct file {
    uint64_t size;
    bool created; /* by us, in this run */
    bool bad;     /* gave an error once: not tried again */
};

struct outdir {
    const char *const *names;
    uint32_t count;
    uint64_t max_file;
    int dir;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the fields up to `lost` */
    pthread_cond_t wake;
    struct job *first, **last;
    size_t queued;
    bool closing, full;
    uint64_t lost; /* bytes that found no place in the queue */
    /* The writing thread's alone until it was joined. */
    struct file *files; /* two for each target */
    struct err first_error;
    uint32_t bad_files;
};

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._-+@:,", c) != NULL);
}

char *outdir_file_name(char *dst, const char *host, bool is_stderr)
{
    size_t n = 0;
    const unsigned char *p = (const unsigned char *)host;
    uint32_t sum = 2166136261u; /* FNV-1a: keeps names apart that are cut below */
    for (const unsigned char *q = p; *q != '\0'; q++)
        sum = (sum ^ *q) * 16777619u;
    for (; *p != '\0' && n < NAME_PLAIN_MAX; p++) {
        if (is_plain(*p) && !(n == 0 && *p == '.'))
            dst[n++] = (char)*p;
        else
            n += (size_t)snprintf(dst + n, 4, "%%%02x", *p);
    }
    if (*p != '\0')
        n += (size_t)snprintf(dst + n, 16, "%%%%%08x", (unsigned)sum);
    snprintf(dst + n, OUTDIR_NAME - n, "%s", is_stderr ? ".stderr" : ".stdout");
    return dst;
}

static void file_failed(struct outdir *d, struct file *f, const char *name, int sys)
{
    f->bad = true;
    if (d->bad_files++ == 0)
        err_sys(&d->first_error, sys, "%s", name);
}

/* The file, empty when this is its first time or `empty`; -1 after an error. */
static int file_open(struct outdir *d, struct file *f, const char *name, bool empty)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    if (empty || !f->created) {
        flags |= O_TRUNC;
        f->size = 0;
    }
    int fd = openat(d->dir, name, flags, 0666);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        file_failed(d, f, name, fd < 0 ? errno : EEXIST);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    f->created = true;
    return fd;
}

static void file_append(struct outdir *d, struct file *f, const char *name, const uint8_t *p,
                        size_t n)
{
    if (d->max_file > 0 && n > d->max_file - f->size)
        n = (size_t)(d->max_file - f->size);
    if (n == 0)
        return;
    int fd = file_open(d, f, name, false);
    while (fd >= 0 && n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            file_failed(d, f, name, w < 0 ? errno : EIO);
            break;
        }
        p += w;
        n -= (size_t)w;
        f->size += (uint64_t)w;
    }
    if (fd >= 0)
        close(fd);
}

static void do_job(struct outdir *d, const struct job *j)
{
    char name[OUTDIR_NAME];
    for (int k = 0; k < 2; k++) {
        struct file *f = &d->files[(size_t)j->target * 2 + (size_t)k];
        if (f->bad || (j->kind == JOB_DATA && k != j->is_stderr))
            continue;
        outdir_file_name(name, d->names[j->target], k);
        if (j->kind == JOB_DATA) {
            file_append(d, f, name, j->bytes, j->n);
        } else if (j->kind == JOB_RESET ? f->created : (k == 0 && !f->created)) {
            int fd = file_open(d, f, name, true);
            if (fd >= 0)
                close(fd);
        } else if (j->kind == JOB_TOUCH && !f->created && unlinkat(d->dir, name, 0) < 0 &&
                   errno != ENOENT) {
            file_failed(d, f, name, errno); /* an older run's stderr would pass for this one's */
        }
    }
}

static void *writer(void *user)
{
    struct outdir *d = user;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (d->first == NULL && !d->closing)
            pthread_cond_wait(&d->wake, &d->lock);
        struct job *j = d->first;
        if (j == NULL)
            break;
        d->first = j->next;
        if (d->first == NULL)
            d->last = &d->first;
        pthread_mutex_unlock(&d->lock);
        do_job(d, j);
        size_t size = sizeof *j + j->n;
        mem_free(j);
        pthread_mutex_lock(&d->lock);
        d->queued -= size;
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void outdir_free(struct outdir *d)
{
    if (d->dir >= 0)
        close(d->dir);
    mem_free(d->files);
    mem_free(d);
}

static enum rc open_folder(struct outdir *d, const char *path, struct err *e)
{
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return err_sys(e, errno, "--out-dir %s", path);
    d->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d->dir < 0 ? err_sys(e, errno, "--out-dir %s", path) : RC_OK;
}

enum rc outdir_new(struct outdir **out, const char *path, const char *const *names, uint32_t count,
                   uint64_t max_file, struct err *e)
{
    struct outdir *d = mem_calloc(1, sizeof *d);
    if (d == NULL)
        return err_nomem(e);
    *d = (struct outdir){.names = names, .count = count, .max_file = max_file, .dir = -1};
    d->last = &d->first;
    d->files = mem_calloc((size_t)count * 2, sizeof *d->files);
    enum rc rc = d->files == NULL ? err_nomem(e) : open_folder(d, path, e);
    if (rc != RC_OK) {
        outdir_free(d);
        return rc;
    }
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    int sys = pthread_create(&d->thread, NULL, writer, d);
    if (sys != 0) {
        outdir_free(d);
        return err_sys(e, sys, "--out-dir: cannot start a thread");
    }
    *out = d;
    return RC_OK;
}

static void enqueue(struct outdir *d, enum job_kind kind, uint32_t target, bool is_stderr,
                    const void *p, size_t n)
{
    must(target < d->count);
    size_t size = sizeof(struct job) + n;
    struct job *j = mem_alloc(size);
    pthread_mutex_lock(&d->lock);
    /* Only data is refused: the other jobs are few and bounded by the number of attempts. */
    if (j == NULL || (kind == JOB_DATA && d->queued + size > QUEUE_MAX)) {
        d->lost += n ? n : 1;
        pthread_mutex_unlock(&d->lock);
        mem_free(j);
        return;
    }
    *j = (struct job){.kind = kind, .target = target, .is_stderr = is_stderr, .n = n};
    if (n > 0)
        memcpy(j->bytes, p, n);
    *d->last = j;
    d->last = &j->next;
    d->queued += size;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

void outdir_started(struct outdir *d, uint32_t target)
{
    enqueue(d, JOB_RESET, target, false, NULL, 0);
}

void outdir_data(struct outdir *d, uint32_t target, bool is_stderr, const void *p, size_t n)
{
    if (n > 0)
        enqueue(d, JOB_DATA, target, is_stderr, p, n);
}

void outdir_result(struct outdir *d, uint32_t target)
{
    enqueue(d, JOB_TOUCH, target, false, NULL, 0);
}

bool outdir_full(struct outdir *d)
{
    pthread_mutex_lock(&d->lock);
    d->full = d->queued > (d->full ? QUEUE_MAX / 4 : QUEUE_MAX / 2);
    bool full = d->full;
    pthread_mutex_unlock(&d->lock);
    return full;
}

enum rc outdir_close(struct outdir *d, struct err *e)
{
    if (d == NULL)
        return RC_OK;
    pthread_mutex_lock(&d->lock);
    d->closing = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    enum rc rc = RC_OK;
    if (d->bad_files > 0)
        rc = err_set(e, RC_SYS, "--out-dir: %u file%s could not be written; the first: %.600s",
                     d->bad_files, d->bad_files == 1 ? "" : "s", d->first_error.msg);
    else if (d->lost > 0)
        rc = err_set(e, RC_SYS, "--out-dir: %llu bytes were lost: the disk is too slow",
                     (unsigned long long)d->lost);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    outdir_free(d);
    return rc;
}
