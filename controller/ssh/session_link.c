/* The two states of going through others: a session behind a link asks for its channel, a link
 * carries what its bridges bring. See session.h, bridge.h and the table in session.c. */
#include "controller/ssh/session_int.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/str.h"

static enum step lost(struct session *s)
{
    return session_fail(s, PROBLEM_JUMP_UNREACHABLE, "%s", s->lost != NULL ? s->lost : "");
}

static enum step refused(struct session *s)
{
    const char *reason;
    char detail[DIAGNOSE_DETAIL];
    uint32_t code = bridge_refusal(s->bridge, &reason);
    enum problem p = diagnose_forward(code, reason, s->via, s->where, detail);
    return session_fail(s, p, "%s", detail);
}

enum step session_in_forward(struct session *s)
{
    switch (bridge_state(s->bridge)) {
    case BRIDGE_ASKED: return STEP_WAIT;
    case BRIDGE_LOST: return lost(s);
    case BRIDGE_REFUSED: return refused(s);
    case BRIDGE_OPEN: break;
    }
    s->fd = bridge_take_fd(s->bridge);
    if (s->fd > SSHIO_MAX_FD)
        return session_fail(s, PROBLEM_LOCAL_RESOURCE, "out of descriptors");
    int rc = uv_poll_init_socket(s->env->loop, &s->poll, s->fd);
    if (rc != 0)
        return session_fail(s, PROBLEM_LOCAL_RESOURCE, "cannot watch a socket: %s",
                            uv_strerror(rc));
    s->poll.data = s;
    s->polled = true;
    return session_connected(s);
}

enum step session_forward_late(struct session *s, const char *took)
{
    return session_fail(s, PROBLEM_CONNECT_TIMEOUT, "from %s: connect to %s: no answer in %s",
                        s->via, s->where, took);
}

/* Only when the socket has something is it read: most ticks come from those behind. */
enum step session_in_linked(struct session *s)
{
    enum sshio_step step = SSHIO_OK;
    if (s->ready || s->broken)
        step = sshio_pump(s->io);
    if (step == SSHIO_OK)
        step = bridges_serve(s);
    if (step == SSHIO_DEAD)
        return session_died(s);
    if (session_floods(s))
        return session_fail(s, PROBLEM_HOSTILE, "the server floods us with requests");
    return STEP_WAIT;
}

enum problem session_blame_link(struct session *s, enum problem problem)
{
    struct so_far_outcome *o = &s->result.outcome;
    if (!s->link_lost ||
        (problem != PROBLEM_CONNECTION_RESET && problem != PROBLEM_CONNECTION_LOST))
        return problem;
    session_note(&o->detail, s->lost);
    return o->sent || s->rested ? PROBLEM_CONNECTION_LOST : PROBLEM_JUMP_UNREACHABLE;
}

bool session_is_linked(const struct session *s)
{
    return s->state == S_LINKED;
}
