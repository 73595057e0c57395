/* See writer.h. */
#include "controller/run/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"

enum { QUEUE_MAX = 1 << 30 }; /* a document rendered at the end waits; see writer_write */

struct writer {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* the queue has bytes, or stop was set */
    pthread_cond_t drained; /* the queue became shorter */
    struct buf queue;       /* under lock: not yet given to the thread */
    size_t writing;         /* under lock: bytes the thread holds */
    int broken;             /* under lock: errno of a failed write */
    uint64_t queued, gone;  /* under lock: bytes taken so far; of them written, or dropped */
    struct writer *before;  /* see writer_follow; NULL: none */
    uint64_t after;         /* under lock: what `before` had taken when the queue grew last */
    bool stop;              /* under lock */
    bool attached;          /* loop thread: the loop runs, do not wait */
    bool stalled;           /* under lock: what `changed` was last told, or will be */
    uv_async_t async;
    void (*changed)(void *user, bool stalled);
    void (*closed)(void *user);
    void *user, *closed_user;
};

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return errno;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static void note_drained(struct writer *w)
{
    pthread_cond_broadcast(&w->drained);
    bool wake = w->broken != 0 || (w->stalled && w->queue.len < WRITER_LOW);
    if (wake && w->attached)
        uv_async_send(&w->async);
}

/* Bytes of a reader that is gone are not waited for. */
static void await_other(struct writer *before, uint64_t at)
{
    if (before == NULL)
        return;
    pthread_mutex_lock(&before->lock);
    while (before->broken == 0 && before->gone < at)
        pthread_cond_wait(&before->drained, &before->lock);
    pthread_mutex_unlock(&before->lock);
}

static void *writer_thread(void *arg)
{
    struct writer *w = arg;
    struct buf batch;
    buf_init(&batch, QUEUE_MAX);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->queue.len == 0 && !w->stop)
            pthread_cond_wait(&w->filled, &w->lock);
        if (w->queue.len == 0)
            break;
        struct buf swap = batch;
        batch = w->queue;
        w->queue = swap;
        w->writing = batch.len;
        bool skip = w->broken != 0;
        uint64_t after = w->after;
        pthread_mutex_unlock(&w->lock);
        await_other(w->before, after);
        int failed = skip ? 0 : write_all(w->fd, batch.data, batch.len);
        if (batch.cap > (1 << 20))
            buf_fini(&batch); /* a burst must not keep its memory for the rest of the run */
        buf_reset(&batch);
        pthread_mutex_lock(&w->lock);
        w->gone += w->writing;
        w->writing = 0;
        if (failed != 0)
            w->broken = failed;
        note_drained(w);
    }
    pthread_mutex_unlock(&w->lock);
    buf_fini(&batch);
    return NULL;
}

/* Loop thread: the thread said that something changed. */
static void on_async(uv_async_t *async)
{
    struct writer *w = async->data;
    pthread_mutex_lock(&w->lock);
    bool tell = w->broken != 0 || (w->stalled && w->queue.len < WRITER_LOW);
    if (tell)
        w->stalled = false;
    pthread_mutex_unlock(&w->lock);
    if (tell && w->changed != NULL)
        w->changed(w->user, false);
}

/* The thread takes no signals: Ctrl-C is the loop's. */
static int start_thread(struct writer *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&w->thread, NULL, writer_thread, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed;
}

enum rc writer_new(struct writer **out, int fd, uv_loop_t *loop,
                   void (*changed)(void *user, bool stalled), void *user, struct err *e)
{
    struct writer *w = mem_calloc(1, sizeof *w);
    if (w == NULL)
        return err_nomem(e);
    w->fd = fd;
    w->changed = changed;
    w->user = user;
    buf_init(&w->queue, QUEUE_MAX);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->filled, NULL);
    pthread_cond_init(&w->drained, NULL);
    int failed = 0;
    if (loop != NULL) {
        failed = -uv_async_init(loop, &w->async, on_async);
        w->async.data = w;
        w->attached = failed == 0;
    }
    if (failed == 0 && (failed = start_thread(w)) != 0 && w->attached)
        uv_close((uv_handle_t *)&w->async, NULL);
    if (failed != 0) {
        /* The async handle, if any, must outlive the loop's next turn: w is left to the exit that
         * follows a failure here. */
        if (!w->attached)
            mem_free(w);
        return err_sys(e, failed, "cannot start a writing thread");
    }
    *out = w;
    return RC_OK;
}

void writer_follow(struct writer *w, struct writer *before)
{
    struct stat its, others;
    if (fstat(w->fd, &its) == 0 && fstat(before->fd, &others) == 0 && its.st_dev == others.st_dev &&
        its.st_ino == others.st_ino)
        w->before = before;
}

static uint64_t taken(struct writer *w)
{
    if (w == NULL)
        return 0;
    pthread_mutex_lock(&w->lock);
    uint64_t queued = w->queued;
    pthread_mutex_unlock(&w->lock);
    return queued;
}

void writer_write(struct writer *w, const void *p, size_t n)
{
    bool tell = false;
    uint64_t after = taken(w->before);
    pthread_mutex_lock(&w->lock);
    w->after = after;
    while (!w->attached && w->broken == 0 && w->queue.len + w->writing > WRITER_HIGH)
        pthread_cond_wait(&w->drained, &w->lock);
    if (w->broken == 0 && buf_append(&w->queue, p, n) != RC_OK)
        w->broken = ENOMEM;
    if (w->broken == 0)
        w->queued += n;
    if (w->attached && w->broken == 0 && !w->stalled && w->queue.len > WRITER_HIGH)
        tell = w->stalled = true;
    pthread_cond_signal(&w->filled);
    pthread_mutex_unlock(&w->lock);
    if (tell && w->changed != NULL)
        w->changed(w->user, true);
}

int writer_broken(const struct writer *w)
{
    struct writer *mutable = (struct writer *)(uintptr_t)w;
    pthread_mutex_lock(&mutable->lock);
    int broken = w->broken;
    pthread_mutex_unlock(&mutable->lock);
    return broken;
}

static void on_async_closed(uv_handle_t *h)
{
    struct writer *w = h->data;
    if (w->closed != NULL)
        w->closed(w->closed_user);
}

void writer_detach(struct writer *w, void (*closed)(void *user), void *user)
{
    pthread_mutex_lock(&w->lock);
    bool attached = w->attached;
    w->attached = false;
    pthread_mutex_unlock(&w->lock);
    w->closed = closed;
    w->closed_user = user;
    if (attached)
        uv_close((uv_handle_t *)&w->async, on_async_closed);
    else if (closed != NULL)
        closed(user);
}

void writer_flush(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->broken == 0 && w->queue.len + w->writing > 0)
        pthread_cond_wait(&w->drained, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void writer_free(struct writer *w)
{
    if (w == NULL)
        return;
    must(!w->attached);
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->filled);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    buf_fini(&w->queue);
    pthread_cond_destroy(&w->drained);
    pthread_cond_destroy(&w->filled);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

static void sink_write(void *user, const void *p, size_t n)
{
    writer_write(user, p, n);
}

static void sink_flush(void *user)
{
    writer_flush(user);
}

void writer_sink(struct writer *w, struct sink *out)
{
    struct winsize size = {0};
    *out = (struct sink){
        .write = sink_write, .flush = sink_flush, .user = w, .is_tty = isatty(w->fd) == 1};
    if (out->is_tty && ioctl(w->fd, TIOCGWINSZ, &size) == 0)
        out->columns = size.ws_col;
}
