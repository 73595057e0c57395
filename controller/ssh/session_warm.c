/* A session that stays when its command has ended, and runs the next. See session.h and the table
 * in session.c.
 *
 *   RUN ─ channel closed ─→ SHUT ─ our close is out, the server's is in ─→ IDLE ─ exec ─→ OPEN …
 *
 * The server's channel must really be gone before the next one is opened: sshd counts it against
 * MaxSessions until then. Loop thread only.
 */
#include "controller/ssh/session_int.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

/* What belongs to one command only. */
static void forget_command(struct session *s)
{
    struct so_far *r = &s->result;
    mem_free(r->outcome.detail);
    r->outcome = (struct so_far_outcome){.exit_code = -1};
    r->stdout_bytes = r->stderr_bytes = 0;
    r->timing.open = r->timing.sent = r->timing.first_byte = r->timing.done = 0;
    mem_free(s->command);
    s->command = NULL;
    session_drop_input(s);
    s->input = INPUT_NONE;
    s->input_ended = false;
    s->over = PROBLEM_NONE;
    s->reopened = false;
    s->cancel = PROBLEM_NONE;
    s->cancel_now = s->cancel_seen = false;
}

/* From here on the server has its allowance of an idle session: see session_budget.c. */
static void forget_counts(struct session *s)
{
    s->run_bytes = sshio_bytes_in(s->io);
    s->data_packets = 0;
    s->input_done = 0;
    s->eof_sent = false;
}

/* The session waits, and its owner hears what became of the command. */
static enum step rest(struct session *s, enum problem problem)
{
    struct session_result result;
    s->result.outcome.problem = problem;
    if (s->result.outcome.phase == PHASE_NONE)
        s->result.outcome.phase = session_phase(s);
    s->result.timing.done = session_elapsed_us(s);
    session_fill_result(&s->result, &result);
    sshio_drop_channel(s->io);
    forget_command(s);
    forget_counts(s);
    s->rested = true;
    s->budget_due_ms = 0;
    s->exec_us = session_elapsed_us(s);
    session_move(s, S_IDLE);
    s->ops->ended(s->user, &result);
    return STEP_NEXT;
}

enum step session_shut(struct session *s, enum problem over)
{
    s->over = over;
    if (over != PROBLEM_NONE)
        s->result.outcome.phase = session_phase(s);
    session_drop_input(s);
    s->eof_sent = true;
    return session_move(s, S_SHUT);
}

static enum problem judge(struct session *s)
{
    if (s->over != PROBLEM_NONE)
        return s->over;
    return s->cancel_seen ? session_judge_cancel(s) : session_judge(s);
}

enum step session_in_shut(struct session *s)
{
    enum sshio_step step = sshio_close_channel(s->io);
    if (step == SSHIO_AGAIN || (step == SSHIO_OK && !sshio_seen(s->io)->closed)) {
        if (sshio_pump(s->io) == SSHIO_DEAD)
            return session_died(s);
        step = sshio_close_channel(s->io);
    }
    if (step == SSHIO_AGAIN || (step == SSHIO_OK && !sshio_seen(s->io)->closed))
        return STEP_WAIT;
    return step == SSHIO_OK ? rest(s, judge(s)) : session_died(s);
}

/* The server does not close the channel, or takes not even our close. */
enum step session_shut_late(struct session *s)
{
    if (s->cancel_seen)
        return session_cancel_ended(s);
    if (s->over != PROBLEM_NONE && !sshio_seen(s->io)->closed)
        return session_end(s, s->over);
    rest(s, judge(s));
    return session_fail(s, PROBLEM_CONNECTION_LOST, "the server takes nothing more from us");
}

enum step session_reopen(struct session *s)
{
    if (s->cancel == PROBLEM_NONE && !s->reopened) {
        /* sshd counts the last channel until the turn of its loop after our close: it may have read
         * that and our request in one, but not this refusal's answer. */
        s->reopened = true;
        sshio_drop_channel(s->io);
        return STEP_NEXT;
    }
    if (s->cancel == PROBLEM_NONE)
        session_note(&s->result.outcome.detail, sshio_error(s->io));
    return rest(s, s->cancel != PROBLEM_NONE ? s->cancel : PROBLEM_CHANNEL_REFUSED);
}

enum step session_in_idle(struct session *s)
{
    if (s->finish) {
        s->result.outcome.phase = PHASE_CLOSE;
        return session_end(s, PROBLEM_NONE);
    }
    if ((s->ready || s->broken) && sshio_pump(s->io) == SSHIO_DEAD)
        return session_died(s);
    if (session_floods(s))
        return session_fail(s, PROBLEM_PROTOCOL_ERROR, "the server floods us with requests");
    return STEP_WAIT;
}

void session_tell_last(struct session *s)
{
    const struct sshio_seen *seen = sshio_seen(s->io);
    bool over = seen->closed || (seen->eof && (seen->exited || seen->signaled));
    if (s->state >= S_REQUEST && s->state <= S_SHUT && over && !s->cancel_seen)
        rest(s, judge(s));
}

static enum rc copy_command(struct session *s, const struct session_command *c)
{
    s->command = mem_alloc(c->len + 1);
    if (s->command == NULL)
        return RC_NOMEM;
    memcpy(s->command, c->text, c->len);
    s->command[c->len] = '\0';
    return RC_OK;
}

enum rc session_exec(struct session *s, const struct session_command *c, struct err *e)
{
    must(s->kind == SESSION_WARM && c->len <= SESSION_MAX_COMMAND && c->blob < SESSION_MAX_BLOBS);
    must(memchr(c->text, 0, c->len) == NULL && c->input < INPUT_KIND_COUNT);
    if (s->state >= S_CLOSE || s->finish || s->cancel_now)
        return err_set(e, RC_CANCELLED, "%s: the session is over", s->label);
    if (s->state != S_IDLE)
        return err_set(e, RC_EXISTS, "%s: a command is under way", s->label);
    if (copy_command(s, c) != RC_OK)
        return err_nomem(e);
    s->input = (uint8_t)c->input;
    s->blob = (uint8_t)c->blob;
    s->run_timeout_ms = c->run_timeout_ms;
    s->silence_timeout_ms = c->silence_timeout_ms;
    s->exec_us = session_elapsed_us(s);
    session_move(s, S_OPEN);
    session_wake(s);
    return RC_OK;
}

void session_finish(struct session *s)
{
    must(s->kind == SESSION_WARM);
    s->finish = true;
    if (s->state == S_IDLE)
        session_wake(s);
}
