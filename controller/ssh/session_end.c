/* How a session ends: what it came to, and everything given back. See session.h. */
#include "controller/ssh/session_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"

void session_note(char **text, const char *s)
{
    mem_free(*text);
    *text = s != NULL && *s != '\0' ? mem_strdup(s) : NULL;
}

static void copy_note(char *dst, size_t cap, const char *text)
{
    snprintf(dst, cap, "%s", text != NULL ? text : "");
}

void session_fill_result(const struct so_far *from, struct session_result *to)
{
    struct outcome *o = &to->outcome;
    outcome_init(o);
    o->problem = from->outcome.problem;
    o->phase = from->outcome.phase;
    o->exit_code = from->outcome.exit_code;
    memcpy(o->signal, from->outcome.signal, sizeof o->signal);
    o->may_still_run = from->outcome.may_still_run;
    o->sent = from->outcome.sent;
    copy_note(o->detail, sizeof o->detail, from->outcome.detail);
    to->timing = from->timing;
    to->stdout_bytes = from->stdout_bytes;
    to->stderr_bytes = from->stderr_bytes;
    copy_note(to->server_banner, sizeof to->server_banner, from->server_banner);
}

void session_report(struct session *s)
{
    struct session_result result;
    session_move(s, S_DONE);
    env_unlink(s->env, s);
    session_fill_result(&s->result, &result);
    s->ops->done(s->user, &result);
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
    struct so_far_outcome *o = &s->result.outcome;
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
    struct so_far_outcome *o = &s->result.outcome;
    char detail[sizeof(((struct outcome *)0)->detail)];
    str_escape_to(detail, sizeof detail, raw, strlen(raw), 0);
    session_note(&o->detail, detail);
    o->may_still_run = o->sent && problem != PROBLEM_REQUEST_REFUSED;
    return session_end(s, problem);
}

/* Exit status or signal into the outcome; true when the command's end was seen. */
static bool record_exit(struct session *s)
{
    const struct sshio_seen *seen = sshio_seen(s->io);
    struct so_far_outcome *o = &s->result.outcome;
    if (seen->signaled)
        memcpy(o->signal, seen->signal, sizeof o->signal);
    if (seen->exited) /* POSIX has 0-255; what a larger one means is not 0 */
        o->exit_code = seen->exit_status > 255 ? 255 : (int)seen->exit_status;
    return seen->exited || seen->signaled;
}

enum problem session_judge(struct session *s)
{
    struct so_far_outcome *o = &s->result.outcome;
    const struct sshio_seen *seen = sshio_seen(s->io);
    o->phase = PHASE_RUN;
    if (!record_exit(s)) {
        session_note(&o->detail, "the server closed the channel without an exit status");
        o->may_still_run = o->sent;
        return PROBLEM_NO_EXIT_STATUS;
    }
    if (seen->exited && seen->exit_status > 255) {
        char text[40];
        snprintf(text, sizeof text, "exit status %u", (unsigned)seen->exit_status);
        session_note(&o->detail, text);
    }
    if (seen->signaled)
        return PROBLEM_KILLED_BY_SIGNAL;
    return o->exit_code == 0 ? PROBLEM_NONE : PROBLEM_EXIT_NONZERO;
}

/* The channel is closed, or as good as: what the command came to. */
enum step session_command_ended(struct session *s)
{
    return session_end(s, session_judge(s));
}

enum problem session_judge_cancel(struct session *s)
{
    struct so_far_outcome *o = &s->result.outcome;
    bool over = record_exit(s);
    bool closed = sshio_seen(s->io)->closed;
    o->may_still_run = !over;
    if (over && !closed)
        session_note(&o->detail,
                     "the command had ended, something it started held its output open");
    else if (!over)
        session_note(&o->detail, s->cancel_now ? "left at once"
                                               : "it did not end on TERM and KILL, or the server "
                                                 "does not pass signals on");
    return s->cancel;
}

/* Ends a command that we wanted to end. */
enum step session_cancel_ended(struct session *s)
{
    return session_end(s, session_judge_cancel(s));
}

/* libssh says that the session is over. */
enum step session_died(struct session *s)
{
    struct so_far_outcome *o = &s->result.outcome;
    const struct sshio_seen *seen = sshio_seen(s->io);
    if (s->kind == SESSION_WARM)
        session_tell_last(s);
    if (s->state == S_IDLE && s->finish) /* and nobody wants more of it */
        return session_in_idle(s);
    if (s->cancel_seen)
        return session_cancel_ended(s);
    if (seen->closed || (seen->eof && (seen->exited || seen->signaled)))
        return session_command_ended(s);
    enum phase phase = s->rested ? PHASE_RUN : session_phase(s); /* logged in long ago */
    char detail[DIAGNOSE_DETAIL];
    enum problem p = diagnose_death(&phase, sshio_error(s->io), s->restricted, detail);
    o->phase = s->rested ? session_phase(s) : phase;
    bool over = record_exit(s);
    if (over)
        session_fail(s, p, "%s; the command had ended, its output may be incomplete", detail);
    else
        session_fail(s, p, "%s", detail);
    o->may_still_run = o->sent && !over;
    return STEP_END;
}
