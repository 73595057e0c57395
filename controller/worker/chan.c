/* See chan.h.
 *
 * Sending: chan_kick starts a uv_idle, which sends in the loop's next turn all that was queued in
 * this one; when the socket is full, its writability takes over. Idle and not prepare, because a
 * prepare handle that is started from a prepare callback waits while the loop sleeps; an idle one
 * keeps it awake. A peer that has gone is learnt from reading, never from sending: its last words
 * are still in the socket.
 */
#include "controller/worker/chan.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

enum {
    IN_START = 64 * 1024,
    IN_MAX = 2 * (FRAME_MAX + FRAME_HEADER),
    READS_PER_WAKE = 8, /* then other handles have their turn */
    KEEP_OUT = 2 * 1024 * 1024,
};

void chan_init(struct chan *ch, int fd, size_t max_out, unsigned flags)
{
    memset(ch, 0, sizeof *ch);
    ch->fd = fd;
    ch->flags = flags;
    ch->high = SIZE_MAX;
    buf_init(&ch->in, IN_MAX);
    buf_init(&ch->out, max_out);
}

void chan_marks(struct chan *ch, size_t high, size_t low)
{
    must(low <= high);
    ch->high = high;
    ch->low = low;
}

static void close_fd(struct chan *ch)
{
    if (ch->fd >= 0)
        close(ch->fd);
    ch->fd = -1;
}

void chan_fini(struct chan *ch)
{
    must(!ch->started);
    close_fd(ch);
    buf_wipe(&ch->in);
    buf_wipe(&ch->out);
}

size_t chan_pending(const struct chan *ch)
{
    return ch->out.len - ch->out_at;
}

struct buf *chan_out(struct chan *ch)
{
    return &ch->out;
}

static bool wiped(const struct chan *ch, const struct buf *b)
{
    return ch->flags & (b == &ch->in ? CHAN_WIPE_IN : CHAN_WIPE_OUT);
}

static enum rc grow(struct chan *ch, struct buf *b, size_t more)
{
    return wiped(ch, b) ? buf_reserve_wiped(b, more) : buf_reserve(b, more);
}

static void drop_front(struct chan *ch, struct buf *b, size_t n)
{
    if (wiped(ch, b))
        buf_consume_wiped(b, n);
    else
        buf_consume(b, n);
}

/* Sent bytes are dropped when they are half of the buffer, so that moving costs a copy of each
 * byte at most. */
static void drop_sent(struct chan *ch)
{
    if (ch->out_at < ch->out.len && ch->out_at < ch->out.len / 2)
        return;
    drop_front(ch, &ch->out, ch->out_at);
    ch->out_at = 0;
    if (ch->out.len == 0 && ch->out.cap > KEEP_OUT)
        buf_fini(&ch->out);
}

static void send_some(struct chan *ch)
{
    while (chan_pending(ch) > 0) {
        ssize_t n =
            send(ch->fd, ch->out.data + ch->out_at, chan_pending(ch), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        ch->blocked = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        if (ch->blocked)
            break;
        ch->sends++;
        ch->broken = n < 0;
        ch->out_at += n < 0 ? chan_pending(ch) : (size_t)n;
    }
    if (ch->out_at > 0)
        drop_sent(ch);
}

static void end(struct chan *ch, const struct err *why)
{
    chan_stop(ch);
    ch->ops->ended(ch->user, why);
}

/* Hands on every whole frame. false: stopped on the way, by a fault or by the owner. */
static bool deliver(struct chan *ch)
{
    size_t at = 0;
    struct err e = {0};
    while (!ch->ended) {
        struct frame f;
        long n = frame_parse(ch->in.data + at, ch->in.len - at, &f);
        if (n == 0)
            break;
        if (n < 0)
            err_set(&e, RC_PROTO, "bytes that are no frame");
        if (n < 0 || ch->ops->frame(ch->user, &f, &e) != RC_OK) {
            end(ch, &e);
            return false;
        }
        at += (size_t)n;
    }
    drop_front(ch, &ch->in, at);
    return !ch->ended;
}

/* The buffer grows with what has come, never by what a header claims. */
static enum rc make_room(struct chan *ch)
{
    size_t room = ch->in.cap - ch->in.len;
    if (room >= IN_START / 4)
        return RC_OK;
    return grow(ch, &ch->in, ch->in.cap == 0 ? IN_START : ch->in.cap);
}

enum got { GOT_ALL, GOT_SOME, GOT_NOTHING, GOT_STOPPED };

/* GOT_ALL: there may be more; GOT_SOME: less than there was room for. */
static enum got read_some(struct chan *ch)
{
    struct err e = {0};
    if (make_room(ch) != RC_OK) {
        err_nomem(&e);
        end(ch, &e);
        return GOT_STOPPED;
    }
    size_t room = ch->in.cap - ch->in.len;
    ssize_t n = recv(ch->fd, ch->in.data + ch->in.len, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return GOT_NOTHING;
    if (n < 0 && errno == EINTR)
        return GOT_ALL;
    if (n <= 0) {
        /* A peer that died with bytes of ours unread: the end as well. */
        if (n < 0 && errno != ECONNRESET)
            err_sys(&e, errno, "read from the socket");
        end(ch, &e);
        return GOT_STOPPED;
    }
    ch->in.len += (size_t)n;
    if (!deliver(ch))
        return GOT_STOPPED;
    return (size_t)n == room ? GOT_ALL : GOT_SOME;
}

static void update_interest(struct chan *ch);
static void rest(struct chan *ch);

static void check_marks(struct chan *ch)
{
    if (!ch->is_full && chan_pending(ch) > ch->high) {
        ch->is_full = true;
        if (ch->ops->full != NULL)
            ch->ops->full(ch->user);
    } else if (ch->is_full && chan_pending(ch) <= ch->low) {
        ch->is_full = false;
        if (ch->ops->drained != NULL)
            ch->ops->drained(ch->user);
    }
}

static void flush(struct chan *ch)
{
    bool was_blocked = ch->blocked;
    send_some(ch);
    if (ch->blocked != was_blocked)
        update_interest(ch);
    check_marks(ch);
}

static void on_idle(uv_idle_t *h)
{
    struct chan *ch = h->data;
    uv_idle_stop(h);
    if (!ch->ended)
        flush(ch);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct chan *ch = h->data;
    /* libuv reports an error of the socket as a status; reading says which. */
    if (status < 0)
        events |= UV_READABLE;
    if ((events & UV_WRITABLE) && !ch->ended) {
        ch->blocked = false;
        flush(ch);
        if (!ch->ended)
            update_interest(ch);
    }
    enum got got = GOT_ALL;
    for (int i = 0; (events & UV_READABLE) && !ch->ended && i < READS_PER_WAKE; i++)
        if ((got = read_some(ch)) != GOT_ALL)
            break;
    if (got != GOT_ALL && ch->calm_ms > 0 && !ch->ended)
        rest(ch);
}

static void update_interest(struct chan *ch)
{
    int events = (ch->resting ? 0 : UV_READABLE) | (ch->blocked ? UV_WRITABLE : 0);
    if (!ch->started || ch->ended)
        return;
    must((events != 0 ? uv_poll_start(&ch->poll, events, on_poll) : uv_poll_stop(&ch->poll)) == 0);
}

static void on_rested(uv_timer_t *t)
{
    struct chan *ch = t->data;
    ch->resting = false;
    update_interest(ch);
}

static void rest(struct chan *ch)
{
    ch->resting = true;
    must(uv_timer_start(&ch->rest, on_rested, ch->calm_ms, 0) == 0);
    update_interest(ch);
}

void chan_calm(struct chan *ch, unsigned ms)
{
    ch->calm_ms = ms;
    if (ms > 0 || !ch->resting || ch->ended)
        return;
    uv_timer_stop(&ch->rest);
    ch->resting = false;
    update_interest(ch);
}

enum rc chan_start(struct chan *ch, uv_loop_t *loop, const struct chan_ops *ops, void *user,
                   struct err *e)
{
    int rc = uv_poll_init(loop, &ch->poll, ch->fd);
    if (rc != 0)
        return err_sys(e, -rc, "watch the socket between coordinator and worker");
    must(uv_idle_init(loop, &ch->idle) == 0 && uv_timer_init(loop, &ch->rest) == 0);
    ch->poll.data = ch;
    ch->idle.data = ch->rest.data = ch;
    ch->ops = ops;
    ch->user = user;
    ch->started = true;
    update_interest(ch);
    if (chan_pending(ch) > 0)
        chan_kick(ch);
    return RC_OK;
}

enum rc chan_reserve(struct chan *ch, size_t n)
{
    return grow(ch, &ch->out, n);
}

void chan_kick(struct chan *ch)
{
    if (ch->broken || ch->ended) {
        drop_front(ch, &ch->out, ch->out.len);
        ch->out_at = 0;
        ch->sends++;
        return;
    }
    if (!ch->started)
        return;
    if (chan_pending(ch) > ch->high && !ch->is_full && !ch->blocked)
        flush(ch);
    else if (!ch->blocked)
        uv_idle_start(&ch->idle, on_idle);
    else
        check_marks(ch);
}

void chan_flush(struct chan *ch)
{
    bool was_blocked = ch->blocked;
    while (ch->started && !ch->ended && chan_pending(ch) > 0) {
        struct pollfd p = {.fd = ch->fd, .events = POLLOUT};
        send_some(ch);
        if (ch->blocked)
            (void)poll(&p, 1, -1);
    }
    if (was_blocked && !ch->blocked)
        update_interest(ch);
    if (ch->is_full) /* `drained` comes from the loop */
        chan_kick(ch);
}

void chan_want_drained(struct chan *ch)
{
    ch->is_full = true;
}

void chan_drain(struct chan *ch)
{
    while (!ch->ended && read_some(ch) < GOT_NOTHING)
        continue;
}

void chan_stop(struct chan *ch)
{
    if (ch->started && !ch->ended) {
        uv_poll_stop(&ch->poll);
        uv_idle_stop(&ch->idle);
        uv_timer_stop(&ch->rest);
    }
    ch->ended = true;
}

static void on_closed(uv_handle_t *h)
{
    struct chan *ch = h->data;
    if (--ch->closing > 0)
        return;
    ch->started = false;
    ch->closed(ch->user);
}

void chan_close(struct chan *ch, void (*closed)(void *user))
{
    must(ch->started && ch->closing == 0);
    chan_stop(ch);
    ch->closed = closed;
    ch->closing = 3;
    uv_close((uv_handle_t *)&ch->poll, on_closed);
    uv_close((uv_handle_t *)&ch->idle, on_closed);
    uv_close((uv_handle_t *)&ch->rest, on_closed);
    close_fd(ch);
}
