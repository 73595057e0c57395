/* Where output goes that does not fit in memory: one file per host and stream in <run id>.d/.
 * See internal.h. */
#include "controller/record/internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

/* The number makes it unique, so the name may be cut. */
char *spool_name(char *dst, uint32_t target, const char *host, bool is_stderr)
{
    size_t n = (size_t)snprintf(dst, SPOOL_NAME, "%06lu-", (unsigned long)target);
    for (const char *p = host; *p != '\0' && n < SPOOL_NAME - 16; p++) {
        unsigned char c = (unsigned char)*p;
        if (isalnum(c) || c == '-' || c == '_' || c == '.')
            dst[n++] = (char)c;
        else
            n += (size_t)snprintf(dst + n, SPOOL_NAME - n, "%%%02x", c);
    }
    snprintf(dst + n, SPOOL_NAME - n, "%s", is_stderr ? ".err" : ".out");
    return dst;
}

int record_pread(int fd, void *p, size_t n, uint64_t at, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t k = pread(fd, (char *)p + *got, n - *got, (off_t)(at + *got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return errno;
        if (k == 0)
            break;
        *got += (size_t)k;
    }
    return 0;
}

int record_pwrite(int fd, const void *p, size_t n, uint64_t at, size_t *put)
{
    *put = 0;
    while (*put < n) {
        ssize_t k = pwrite(fd, (const char *)p + *put, n - *put, (off_t)(at + *put));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return errno;
        if (k == 0)
            return ENOSPC;
        *put += (size_t)k;
    }
    return 0;
}

static int open_spool_dir(struct record *r)
{
    char path[RECORD_PATH];
    if (r->spool_dir >= 0)
        return 0;
    if (snprintf(path, sizeof path, "%s/%s.d", r->dir, r->id) >= (int)sizeof path)
        return ENAMETOOLONG;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return errno;
    r->spool_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return r->spool_dir >= 0 ? 0 : errno;
}

static int write_piece(struct record *r, const struct piece *p)
{
    char name[SPOOL_NAME];
    struct stat st;
    size_t put;
    int failed = open_spool_dir(r);
    if (failed != 0)
        return failed;
    spool_name(name, p->target, r->names[p->target], p->is_stderr);
    int fd = openat(r->spool_dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) != 0)
        failed = errno;
    else
        failed = record_pwrite(fd, p->data, p->len, (uint64_t)st.st_size, &put);
    if (fd >= 0)
        close(fd);
    return failed;
}

/* Writes and frees; after a failure the rest is only freed, for a gap would shift what follows. */
int spool_write(struct record *r, struct piece *p, int failed)
{
    while (p != NULL) {
        struct piece *next = p->next;
        if (failed == 0)
            failed = write_piece(r, p);
        mem_free(p);
        p = next;
    }
    return failed;
}

static enum rc spool_append(void *user, uint32_t target, bool is_stderr, const void *p, size_t n)
{
    struct record *r = user;
    must(target < r->count);
    struct piece *piece = n < RECORD_MAX_QUEUE ? mem_alloc(sizeof *piece + n) : NULL;
    if (piece == NULL)
        return RC_NOMEM;
    *piece = (struct piece){.target = target, .is_stderr = is_stderr, .len = n};
    memcpy(piece->data, p, n);
    pthread_mutex_lock(&r->lock);
    enum rc rc = r->spool_failed != 0               ? RC_SYS
                 : r->queued + n > RECORD_MAX_QUEUE ? RC_LIMIT
                                                    : RC_OK;
    if (rc == RC_OK) {
        *r->tail = piece;
        r->tail = &piece->next;
        r->queued += n;
        r->flush = true;
        pthread_cond_signal(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
    if (rc != RC_OK)
        mem_free(piece);
    return rc;
}

static void wait_idle(struct record *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->queued > 0) {
        r->flush = true;
        pthread_cond_signal(&r->work);
        pthread_cond_wait(&r->idle, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

static enum rc spool_read(void *user, uint32_t target, bool is_stderr, uint64_t offset, void *p,
                          size_t cap, size_t *n)
{
    struct record *r = user;
    char name[SPOOL_NAME];
    must(target < r->count);
    *n = 0;
    wait_idle(r);
    if (r->spool_dir < 0)
        return RC_NOTFOUND;
    spool_name(name, target, r->names[target], is_stderr);
    int fd = openat(r->spool_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? RC_NOTFOUND : RC_SYS;
    int failed = record_pread(fd, p, cap, offset, n);
    close(fd);
    return failed == 0 ? RC_OK : RC_SYS;
}

void record_spool(struct record *r, struct spool *out)
{
    *out = (struct spool){.append = spool_append, .read = spool_read, .user = r};
}
