/* The states before the server's first line: our own TCP connect or a channel through a link, and
 * the wait of one that was answered late. See session.h and the table in session.c. */
#include "controller/ssh/session_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/mem.h"

static enum step begin_ssh(struct session *s)
{
    struct sshio_spec spec = {.fd = s->fd,
                              .hostkey_types = s->hostkey_types,
                              .legacy = s->legacy,
                              .data = session_on_data,
                              .user = s};
    struct err e = {0};
    s->prelude = mem_calloc(1, sizeof *s->prelude);
    enum rc rc = s->prelude != NULL ? sshio_new(&s->io, &spec, &e) : err_nomem(&e);
    if (rc != RC_OK)
        return session_fail(s, rc == RC_INTERNAL ? PROBLEM_INTERNAL : PROBLEM_LOCAL_RESOURCE, "%s",
                            e.msg);
    return session_move(s, S_BANNER);
}

/* There is a stream to the server, whatever carries it. */
enum step session_connected(struct session *s)
{
    s->result.timing.connected = session_elapsed_us(s);
    if (!s->silent)
        return begin_ssh(s);
    session_move(s, S_HELD);
    s->ops->answered(s->user);
    return STEP_WAIT;
}

enum step session_in_connect(struct session *s)
{
    if (!s->ready && !s->broken)
        return STEP_WAIT;
    int sys = 0;
    socklen_t len = sizeof sys;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
        sys = errno;
    if (sys != 0) {
        char detail[DIAGNOSE_DETAIL];
        /* A refusal is ECONNREFUSED: this one was accepted, and cut before we looked. */
        if (sys == ECONNRESET)
            s->result.outcome.phase = PHASE_BANNER;
        enum problem p = diagnose_connect(sys, s->addr.sa.sa_family == AF_INET6, s->where, detail);
        return session_fail(s, p, "%s", detail);
    }
    return session_connected(s);
}

enum step session_in_held(struct session *s)
{
    return s->went ? begin_ssh(s) : STEP_WAIT;
}

/* The loop may have been busy while the host was quick. */
static bool has_answered(const struct session *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1;
}

bool session_tell_silent(struct session *s)
{
    if (s->state != S_CONNECT || s->silent_due_ms == 0)
        return false;
    uint64_t now = clock_ms();
    s->silent_due_ms = 0;
    if ((s->state_due_ms != 0 && s->state_due_ms <= now) ||
        (s->budget_due_ms != 0 && s->budget_due_ms <= now))
        return false;
    if (!has_answered(s)) {
        s->silent = true;
        s->ops->silent(s->user);
    }
    session_set_deadline(s);
    return true;
}

void session_go(struct session *s)
{
    if (s->state != S_HELD || s->went)
        return;
    s->went = true;
    if (s->budget_due_ms != 0)
        s->budget_due_ms += clock_ms() - (s->state_due_ms - SESSION_HELD_MS);
    s->state_due_ms = 0; /* or what comes next would seem to be late in this */
    session_set_deadline(s);
    session_wake(s);
}
