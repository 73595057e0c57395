/* How a session ends: what it came to, and everything given back. See session.h. */
#include "controller/ssh/session_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"

void session_report(struct session *s)
{
    session_move(s, S_DONE);
    env_unlink(s->env, s);
    s->ops->done(s->user, &s->result);
    session_free(s);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;
    s->closed = true;
    if (!s->is_woken) /* else the queue that still holds it reports */
        session_report(s);
}

/* The poll handle first: uv_close takes the descriptor's *number* out of epoll, and once libssh
 * has closed it the number may be another session's. */
static void give_back(struct session *s)
{
    if (s->bridges != NULL)
        bridges_lost(s);
    if (s->bridge != NULL)
        bridge_leave(s->bridge);
    if (s->polled)
        uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    if (s->io != NULL)
        sshio_free(s->io);
    else if (s->fd >= 0)
        close(s->fd);
    s->io = NULL;
    s->fd = -1;
    if (!s->polled) {
        s->closed = true;
        session_wake(s);
    }
}

/* Ends with what is in the outcome. Every way out comes through here, once. */
enum step session_end(struct session *s, enum problem problem)
{
    struct outcome *o = &s->result.outcome;
    o->problem = session_blame_link(s, problem);
    if (o->phase == PHASE_NONE)
        o->phase = session_phase(s);
    s->result.timing.done = session_elapsed_us(s);
    session_move(s, S_CLOSE);
    give_back(s);
    return STEP_END;
}

enum step session_fail(struct session *s, enum problem problem, const char *fmt, ...)
{
    char raw[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    struct outcome *o = &s->result.outcome;
    str_escape_to(o->detail, sizeof o->detail, raw, strlen(raw), 0);
    o->may_still_run = o->sent && problem != PROBLEM_REQUEST_REFUSED;
    return session_end(s, problem);
}

/* Exit status or signal into the outcome; true when the command's end was seen. */
static bool record_exit(struct session *s)
{
    const struct sshio_seen *seen = sshio_seen(s->io);
    struct outcome *o = &s->result.outcome;
    if (seen->signaled)
        memcpy(o->signal, seen->signal, sizeof o->signal);
    if (seen->exited) /* POSIX has 0-255; what a larger one means is not 0 */
        o->exit_code = seen->exit_status > 255 ? 255 : (int)seen->exit_status;
    return seen->exited || seen->signaled;
}

/* The channel is closed, or as good as: what the command came to. */
enum step session_command_ended(struct session *s)
{
    struct outcome *o = &s->result.outcome;
    const struct sshio_seen *seen = sshio_seen(s->io);
    o->phase = PHASE_RUN;
    if (!record_exit(s))
        return session_fail(s, PROBLEM_NO_EXIT_STATUS,
                            "the server closed the channel without an exit status");
    if (seen->exited && seen->exit_status > 255)
        snprintf(o->detail, sizeof o->detail, "exit status %u", (unsigned)seen->exit_status);
    if (seen->signaled)
        return session_end(s, PROBLEM_KILLED_BY_SIGNAL);
    return session_end(s, o->exit_code == 0 ? PROBLEM_NONE : PROBLEM_EXIT_NONZERO);
}

/* Ends a command that we wanted to end. */
enum step session_cancel_ended(struct session *s)
{
    struct outcome *o = &s->result.outcome;
    bool over = record_exit(s);
    bool closed = sshio_seen(s->io)->closed;
    o->may_still_run = !over;
    if (over && !closed)
        snprintf(o->detail, sizeof o->detail,
                 "the command had ended, something it started held its output open");
    else if (!over)
        snprintf(o->detail, sizeof o->detail, "%s",
                 s->cancel_now ? "left at once"
                               : "it did not end on TERM and KILL, or the server "
                                 "does not pass signals on");
    return session_end(s, s->cancel);
}

/* libssh says that the session is over. */
enum step session_died(struct session *s)
{
    struct outcome *o = &s->result.outcome;
    const struct sshio_seen *seen = sshio_seen(s->io);
    if (s->cancel_seen)
        return session_cancel_ended(s);
    if (seen->closed || (seen->eof && (seen->exited || seen->signaled)))
        return session_command_ended(s);
    enum phase phase = session_phase(s);
    char detail[DIAGNOSE_DETAIL];
    enum problem p = diagnose_death(&phase, sshio_error(s->io), s->restricted, detail);
    o->phase = phase;
    bool over = record_exit(s);
    if (over)
        session_fail(s, p, "%s; the command had ended, its output may be incomplete", detail);
    else
        session_fail(s, p, "%s", detail);
    o->may_still_run = o->sent && !over;
    return STEP_END;
}
