/* See agent.h.
 *
 *   OFF ── first request ──> READY <──> ASKING        any ──> DEAD, CLOSED
 *    ^  └─ backlog is full ─> BUSY ─┘      │
 *    └───── the agent closed ──────────────┘
 *
 * agent_move alone changes the state. A call from outside only queues and winds the timer; all else
 * happens in callbacks of the loop.
 */
#include "controller/agent/agent.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"

enum { BUSY_MS = 20, PACE_WEIGHT = 8 };

enum agent_state { A_OFF, A_BUSY, A_READY, A_ASKING, A_DEAD, A_CLOSED, A_COUNT };

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    unsigned to;
} rows[A_COUNT] = {
    [A_OFF] = {"off", TO(A_BUSY) | TO(A_READY) | TO(A_DEAD) | TO(A_CLOSED)},
    [A_BUSY] = {"busy", TO(A_OFF) | TO(A_DEAD) | TO(A_CLOSED)},
    [A_READY] = {"ready", TO(A_ASKING) | TO(A_OFF) | TO(A_DEAD) | TO(A_CLOSED)},
    [A_ASKING] = {"asking", TO(A_READY) | TO(A_OFF) | TO(A_DEAD) | TO(A_CLOSED)},
    [A_DEAD] = {"dead", TO(A_CLOSED)},
    [A_CLOSED] = {"closed", 0},
};

struct request {
    uint64_t job;
    struct buf message;
    bool cancelled; /* it is being asked: the answer is dropped */
    struct request *next;
};

/* One connection; its own block, since a handle outlives the close of its descriptor. */
struct link {
    uv_poll_t poll;
    struct agent *agent; /* NULL: given up */
    int fd;
};

struct agent {
    uv_loop_t *loop;
    const struct agent_ops *ops;
    void *user;
    enum agent_state state;
    struct sockaddr_un address;
    uint64_t bound_ms;
    uv_timer_t timer; /* of the head's bound, of a busy agent, or "look at the line" */
    struct link *link;
    struct request *first, *last; /* the line; the first one is being asked in A_ASKING */
    struct buf in;
    size_t sent;       /* bytes of the head's message */
    uint64_t asked_us; /* when the head was put */
    uint64_t busy_ms;  /* since when the agent takes no connection; 0 */
    uint64_t pace_us;  /* see agent_pace_us */
    bool again;        /* the head was put before, on a connection that was closed */
    char why[320];     /* with A_DEAD */
};

static void agent_move(struct agent *a, enum agent_state to)
{
    must((rows[a->state].to & TO(to)) != 0);
    log_debug("agent: %s -> %s", rows[a->state].name, rows[to].name);
    a->state = to;
}

static enum rc make_address(struct sockaddr_un *sun, const char *path, struct err *e)
{
    memset(sun, 0, sizeof *sun);
    sun->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof sun->sun_path)
        return err_set(e, RC_LIMIT, "agent %s: the path is too long for a socket", path);
    memcpy(sun->sun_path, path, strlen(path));
    return RC_OK;
}

/* ---- the list, blocking ---- */

static enum rc wait_for(int fd, short events, uint64_t until, const char *path, struct err *e)
{
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = now < until ? poll(&p, 1, (int)(until - now)) : 0;
        if (n > 0)
            return RC_OK;
        if (n == 0)
            return err_set(e, RC_LIMIT, "agent %s: no answer in time", path);
        if (errno != EINTR)
            return err_sys(e, errno, "agent %s", path);
    }
}

static enum rc read_answer(int fd, struct buf *in, uint64_t until, const char *path, struct err *e)
{
    for (;;) {
        long len = agent_msg_length(in->data, in->len);
        if (len < 0)
            return err_set(e, RC_PROTO, "agent %s: an answer of no sensible length", path);
        if (len > 0 && in->len >= (size_t)len)
            return RC_OK;
        enum rc rc = wait_for(fd, POLLIN, until, path, e);
        if (rc == RC_OK && buf_reserve(in, 4096) != RC_OK)
            rc = err_nomem(e);
        if (rc != RC_OK)
            return rc;
        ssize_t n = recv(fd, in->data + in->len, 4096, MSG_DONTWAIT);
        if (n == 0)
            return err_set(e, RC_PROTO, "agent %s: it closed the connection", path);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return err_sys(e, errno, "agent %s", path);
        in->len += n > 0 ? (size_t)n : 0;
    }
}

/* Where its backlog is full a Unix socket's connect answers EAGAIN, and there is nothing to wait
 * for but time. */
static enum rc connect_within(int fd, const struct sockaddr_un *sun, uint64_t until, struct err *e)
{
    while (connect(fd, (const struct sockaddr *)sun, sizeof *sun) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
            return err_set(e, RC_NOTFOUND, "agent %s: nobody listens there", sun->sun_path);
        if (errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "agent %s", sun->sun_path);
        if (clock_ms() >= until)
            return err_set(e, RC_LIMIT, "agent %s: no answer in time", sun->sun_path);
        poll(NULL, 0, BUSY_MS);
    }
    return RC_OK;
}

static enum rc list_over(int fd, const struct sockaddr_un *sun, uint64_t until,
                         struct agent_identities *out, struct err *e)
{
    struct buf request, in;
    buf_init(&request, 64);
    buf_init(&in, AGENT_MAX_ANSWER + 8192);
    enum rc rc = agent_msg_list(&request) == RC_OK ? RC_OK : err_nomem(e);
    if (rc == RC_OK)
        rc = connect_within(fd, sun, until, e);
    if (rc == RC_OK && send(fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        rc = err_sys(e, errno, "agent %s", sun->sun_path);
    if (rc == RC_OK)
        rc = read_answer(fd, &in, until, sun->sun_path, e);
    if (rc == RC_OK) {
        size_t len = (size_t)agent_msg_length(in.data, in.len);
        rc = agent_msg_get_identities(out, in.data + 4, len - 4, e);
        if (rc != RC_OK && rc != RC_NOMEM)
            err_wrap(e, "agent %s", sun->sun_path);
    }
    buf_fini(&request);
    buf_fini(&in);
    return rc;
}

enum rc agent_list(const char *path, uint64_t bound_ms, struct agent_identities *out, struct err *e)
{
    struct sockaddr_un sun;
    memset(out, 0, sizeof *out);
    enum rc rc = make_address(&sun, path, e);
    if (rc != RC_OK)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "agent %s", path);
    rc = list_over(fd, &sun, clock_ms() + bound_ms, out, e);
    close(fd);
    return rc;
}

/* ---- the line ---- */

static void free_request(struct request *q)
{
    buf_fini(&q->message);
    mem_free(q);
}

static struct request *pop(struct agent *a)
{
    struct request *q = a->first;
    a->first = q->next;
    if (a->first == NULL)
        a->last = NULL;
    a->again = false;
    return q;
}

static void on_link_closed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void drop_link(struct agent *a)
{
    struct link *l = a->link;
    if (l == NULL)
        return;
    a->link = NULL;
    l->agent = NULL;
    uv_close((uv_handle_t *)&l->poll, on_link_closed);
    close(l->fd);
    buf_reset(&a->in);
}

static void on_timer(uv_timer_t *t);

static void wind(struct agent *a, uint64_t ms)
{
    must(uv_timer_start(&a->timer, on_timer, ms, 0) == 0);
}

/* Tells all that wait. A callback may add to the line: those are told as well. */
static void tell_dead(struct agent *a)
{
    while (a->state == A_DEAD && a->first != NULL) {
        struct request *q = pop(a);
        a->ops->answer(a->user, q->job, AGENT_FAILED, NULL, 0, a->why);
        free_request(q);
    }
}

__attribute__((format(printf, 2, 3))) static void die(struct agent *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(a->why, sizeof a->why, fmt, ap);
    va_end(ap);
    if (a->state == A_ASKING && a->first->cancelled)
        free_request(pop(a));
    drop_link(a);
    uv_timer_stop(&a->timer);
    agent_move(a, A_DEAD);
    tell_dead(a);
}

static void advance(struct agent *a);

/* The agent closed the connection: perhaps it ends idle ones, so it is asked once more. */
static void lost(struct agent *a, const char *how)
{
    bool asking = a->state == A_ASKING;
    if (asking && a->again) {
        die(a, "the agent %s", how);
        return;
    }
    drop_link(a);
    uv_timer_stop(&a->timer);
    a->again = asking;
    agent_move(a, A_OFF);
    if (asking)
        advance(a);
}

static void answered(struct agent *a, size_t len)
{
    const void *sig = NULL;
    size_t n = 0;
    struct err e = {0};
    enum rc rc = agent_msg_get_signature(a->in.data + 4, len - 4, &sig, &n, &e);
    if (rc == RC_PROTO || a->in.len > len) {
        die(a, "%s", rc == RC_PROTO ? e.msg : "the agent answers what it was not asked");
        return;
    }
    uint64_t took = clock_us() - a->asked_us;
    a->pace_us = a->pace_us == 0 ? took + 1 : (a->pace_us * (PACE_WEIGHT - 1) + took) / PACE_WEIGHT;
    uv_timer_stop(&a->timer);
    struct request *q = pop(a);
    agent_move(a, A_READY);
    if (!q->cancelled)
        a->ops->answer(a->user, q->job, rc == RC_OK ? AGENT_SIGNED : AGENT_REFUSED, sig, n,
                       rc == RC_OK ? "" : e.msg);
    free_request(q);
    buf_reset(&a->in);
    advance(a);
}

static void receive(struct agent *a)
{
    if (buf_reserve(&a->in, 4096) != RC_OK) {
        die(a, "out of memory for the agent's answer");
        return;
    }
    ssize_t n = recv(a->link->fd, a->in.data + a->in.len, 4096, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lost(a, n == 0 ? "closed the connection" : strerror(errno));
        return;
    }
    a->in.len += (size_t)n;
    long len = agent_msg_length(a->in.data, a->in.len);
    if (len < 0 || a->state != A_ASKING)
        die(a, "the agent sent what is no answer");
    else if (len > 0 && a->in.len >= (size_t)len)
        answered(a, (size_t)len);
}

static void on_ready(uv_poll_t *poll, int status, int events);

/* Sends what fits of the head's request. false: the connection is gone. */
static bool transmit(struct agent *a)
{
    const struct buf *m = &a->first->message;
    while (a->state == A_ASKING && a->sent < m->len) {
        ssize_t n =
            send(a->link->fd, m->data + a->sent, m->len - a->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            lost(a, "closed the connection");
            return false;
        }
        if (n < 0)
            break;
        a->sent += (size_t)n;
    }
    bool more = a->state == A_ASKING && a->sent < m->len;
    must(uv_poll_start(&a->link->poll, UV_READABLE | (more ? UV_WRITABLE : 0), on_ready) == 0);
    return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct link *l = poll->data;
    struct agent *a = l->agent;
    if (a == NULL)
        return;
    if ((events & UV_WRITABLE) != 0 && a->state == A_ASKING && !transmit(a))
        return;
    if (status < 0 || (events & UV_READABLE) != 0)
        receive(a);
}

static bool open_link(struct agent *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die(a, "no connection to the agent: %s", strerror(errno));
        return false;
    }
    int sys = connect(fd, (const struct sockaddr *)&a->address, sizeof a->address) == 0 ? 0 : errno;
    uint64_t now = clock_ms();
    a->busy_ms = sys != EAGAIN ? 0 : a->busy_ms != 0 ? a->busy_ms : now;
    if (sys == EAGAIN && now - a->busy_ms < a->bound_ms) {
        close(fd);
        agent_move(a, A_BUSY);
        wind(a, BUSY_MS);
        return false;
    }
    struct link *l = sys == 0 ? mem_calloc(1, sizeof *l) : NULL;
    if (l == NULL || uv_poll_init(a->loop, &l->poll, fd) != 0) {
        close(fd);
        mem_free(l);
        die(a, "the agent is gone (%s: %s)", a->address.sun_path,
            sys != 0 ? strerror(sys) : "out of memory");
        return false;
    }
    l->poll.data = l;
    l->fd = fd;
    l->agent = a;
    a->link = l;
    agent_move(a, A_READY);
    return true;
}

/* Takes the next step that needs no waiting. */
static void advance(struct agent *a)
{
    if (a->first == NULL)
        return;
    if (a->state == A_DEAD)
        tell_dead(a);
    if (a->state == A_OFF && !open_link(a))
        return;
    if (a->state != A_READY)
        return;
    a->sent = 0;
    a->asked_us = clock_us();
    agent_move(a, A_ASKING);
    wind(a, a->bound_ms);
    transmit(a);
}

static void on_timer(uv_timer_t *t)
{
    struct agent *a = t->data;
    char took[NUM_TEXT];
    if (a->state == A_ASKING) {
        die(a, "the agent did not answer in %s", num_duration_text(took, a->bound_ms));
        return;
    }
    if (a->state == A_BUSY)
        agent_move(a, A_OFF);
    advance(a);
}

/* ---- the calls ---- */

enum rc agent_new(struct agent **out, uv_loop_t *loop, const char *path, uint64_t bound_ms,
                  const struct agent_ops *ops, void *user, struct err *e)
{
    struct agent *a = mem_calloc(1, sizeof *a);
    if (a == NULL)
        return err_nomem(e);
    enum rc rc = make_address(&a->address, path, e);
    if (rc != RC_OK) {
        mem_free(a);
        return rc;
    }
    a->loop = loop;
    a->bound_ms = bound_ms;
    a->ops = ops;
    a->user = user;
    buf_init(&a->in, AGENT_MAX_ANSWER + 8192);
    must(uv_timer_init(loop, &a->timer) == 0); /* cannot fail */
    a->timer.data = a;
    *out = a;
    return RC_OK;
}

enum rc agent_sign(struct agent *a, uint64_t job, const void *blob, size_t len, const void *data,
                   size_t n, uint32_t flags)
{
    struct request *q = mem_calloc(1, sizeof *q);
    if (q == NULL)
        return RC_NOMEM;
    q->job = job;
    buf_init(&q->message, AGENT_MAX_BLOB + AGENT_MAX_DATA + 64);
    enum rc rc = agent_msg_sign(&q->message, blob, len, data, n, flags);
    if (rc != RC_OK) {
        free_request(q);
        return rc;
    }
    *(a->last != NULL ? &a->last->next : &a->first) = q;
    a->last = q;
    if (a->state != A_ASKING && a->state != A_BUSY)
        wind(a, 0);
    return RC_OK;
}

void agent_cancel(struct agent *a, uint64_t job)
{
    struct request *before = NULL;
    struct request *q = a->first;
    for (; q != NULL && (q->job != job || q->cancelled); q = q->next)
        before = q;
    if (q == NULL)
        return;
    if (q == a->first && a->state == A_ASKING) {
        q->cancelled = true;
        return;
    }
    *(before != NULL ? &before->next : &a->first) = q->next;
    if (a->last == q)
        a->last = before;
    free_request(q);
}

uint64_t agent_pace_us(const struct agent *a)
{
    return a->pace_us;
}

void agent_close(struct agent *a)
{
    if (a == NULL || a->state == A_CLOSED)
        return;
    drop_link(a);
    uv_close((uv_handle_t *)&a->timer, NULL);
    agent_move(a, A_CLOSED);
}

void agent_free(struct agent *a)
{
    if (a == NULL)
        return;
    must(a->state == A_CLOSED);
    while (a->first != NULL)
        free_request(pop(a));
    buf_fini(&a->in);
    mem_free(a);
}
