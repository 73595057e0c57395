/* See loop.h. */
#include "agent/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    FLUSH_MS = 500,       /* for the last words, once nothing else is left */
    READ_SIZE = 16 * 1024 /* at a time */
};

struct loop {
    struct serve *s;
    int in, out;          /* -1: over */
    uint64_t finished_ms; /* when it was first seen so, else 0 */
    sigset_t while_waiting;
};

static volatile sig_atomic_t told_to_leave;

/* What was read may be a password, and children are forked while it lies here. */
static uint8_t part[READ_SIZE];
static struct serve *served;

static void forget_in_child(void)
{
    explicit_bzero(part, sizeof part);
    if (served != NULL)
        serve_forget(served);
}

static void on_signal(int sig)
{
    (void)sig;
    told_to_leave = 1;
}

/* Blocked but while we wait, so that none falls between looking and waiting. */
static void catch_signals(struct loop *l)
{
    static const int leaving[] = {SIGTERM, SIGHUP, SIGINT};
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t block;
    sigemptyset(&block);
    for (size_t i = 0; i < sizeof leaving / sizeof *leaving; i++) {
        sigaction(leaving[i], &sa, NULL);
        sigaddset(&block, leaving[i]);
    }
    sigprocmask(SIG_BLOCK, &block, &l->while_waiting);
}

static void input_over(struct loop *l)
{
    l->in = -1;
    serve_eof(l->s, clock_ms());
}

static void take_input(struct loop *l)
{
    size_t room = serve_room(l->s);
    ssize_t n = read(l->in, part, room < sizeof part ? room : sizeof part);
    if (n > 0) {
        serve_feed(l->s, part, (size_t)n, clock_ms());
        explicit_bzero(part, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        input_over(l);
}

/* Nobody reads any more: that is an end of input, too. */
static void output_over(struct loop *l)
{
    l->out = -1;
    input_over(l);
}

static void put_output(struct loop *l)
{
    const void *p;
    size_t n;
    while (l->out >= 0 && (n = serve_output(l->s, &p)) > 0) {
        ssize_t went = write(l->out, p, n);
        if (went >= 0)
            serve_wrote(l->s, (size_t)went);
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            output_over(l);
    }
}

static bool has_output(struct loop *l)
{
    const void *p;
    return l->out >= 0 && serve_output(l->s, &p) > 0;
}

static bool is_over(struct loop *l)
{
    if (!serve_finished(l->s))
        return false;
    if (l->finished_ms == 0)
        l->finished_ms = clock_ms();
    return !has_output(l) || clock_ms() - l->finished_ms >= FLUSH_MS;
}

/* NULL: for ever. */
static const struct timespec *wait_for(const struct loop *l, struct timespec *ts)
{
    uint64_t now = clock_ms(), at = serve_wake_at(l->s);
    if (l->finished_ms != 0 && l->finished_ms + FLUSH_MS < at)
        at = l->finished_ms + FLUSH_MS;
    if (at == UINT64_MAX)
        return NULL;
    uint64_t ms = at > now ? at - now : 0;
    ts->tv_sec = (time_t)(ms / 1000);
    ts->tv_nsec = (long)(ms % 1000) * 1000000;
    return ts;
}

static enum rc turn(struct loop *l, struct err *e)
{
    struct pollfd fds[2 + SERVE_MAX_FDS];
    struct timespec ts;
    size_t n = 2 + serve_fds(l->s, fds + 2);
    bool wants_input = serve_room(l->s) > 0;
    fds[0] = (struct pollfd){l->in, wants_input ? POLLIN : POLLRDHUP, 0};
    fds[1] = (struct pollfd){l->out, has_output(l) ? POLLOUT : 0, 0};
    if (ppoll(fds, n, wait_for(l, &ts), &l->while_waiting) < 0) {
        if (errno != EINTR)
            return err_sys(e, errno, "poll");
        for (size_t i = 0; i < n; i++)
            fds[i].revents = 0;
    }
    if (fds[0].revents != 0 && wants_input)
        take_input(l);
    else if (fds[0].revents != 0)
        input_over(l); /* hung up behind what we would not read: nobody waits for the answers */
    if (l->out >= 0 && (fds[1].revents & (POLLERR | POLLNVAL)) != 0)
        output_over(l);
    if (told_to_leave)
        serve_eof(l->s, clock_ms());
    serve_turn(l->s, fds + 2, clock_ms());
    put_output(l);
    return RC_OK;
}

enum rc loop_run(struct serve *s, const struct streams *st, struct err *e)
{
    struct loop l = {.s = s, .in = st->in, .out = st->out};
    enum rc rc = RC_OK;
    int sys = pthread_atfork(NULL, NULL, forget_in_child);
    if (sys != 0)
        return err_sys(e, sys, "a handler for children");
    served = s;
    catch_signals(&l);
    put_output(&l);
    while (rc == RC_OK && !is_over(&l))
        rc = turn(&l, e);
    served = NULL;
    return rc;
}
