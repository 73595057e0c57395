/* Warm jobs of the pool: one command after the other, and what they read. See pool.h.
 *
 *   SENT ─ ENDED ─→ IDLE ─ pool_exec ─→ GIVEN ─ SENT ─→ SENT; GIVEN ─ ENDED ─→ IDLE: it was not
 * sent
 */
#include "controller/worker/msg.h"
#include "controller/worker/pool_internal.h"

static enum rc breach(struct err *e, const struct frame *f, const char *what)
{
    return err_set(e, RC_PROTO, "message %u: %s", f->type, what);
}

/* A success says what of: of a scan the host's key, of a warm job that it was finished in order,
 * of all others the command. */
bool pool_ended_well(const struct pool_job *j, const struct outcome *o)
{
    if (j->kind == SESSION_WARM && o->sent && (j->state == JOB_IDLE || j->state == JOB_GIVEN))
        return false; /* nothing was */
    if (o->problem != PROBLEM_NONE)
        return true;
    if (j->kind == SESSION_WARM)
        return j->state == JOB_IDLE && j->finish && o->phase == PHASE_CLOSE;
    bool scanned = j->kind == SESSION_SCAN && j->hostkeys > 0;
    return scanned == (o->phase == PHASE_HOST_KEY) && o->phase != PHASE_CLOSE;
}

enum rc pool_took_ended(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    struct session_result r;
    if (j->kind != SESSION_WARM || (j->state != JOB_SENT && j->state != JOB_GIVEN))
        return breach(e, f, "the end of a command that there is not");
    enum rc rc = msg_get_done(f, &r, e);
    if (rc != RC_OK)
        return rc;
    const struct outcome *o = &r.outcome;
    if (o->sent != (j->state == JOB_SENT) || (o->problem == PROBLEM_NONE && o->phase != PHASE_RUN))
        return breach(e, f, "an end that is not of its kind");
    j->state = JOB_IDLE;
    j->on_way = 0;
    p->ops.ended(p->user, j->id, &r);
    return RC_OK;
}

enum rc pool_took_taken(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    size_t n;
    enum rc rc = msg_get_taken(f, &n, e);
    if (rc != RC_OK)
        return rc;
    if (j->state != JOB_SENT || n > j->on_way)
        return breach(e, f, "more was taken than was given");
    j->on_way -= n;
    if (p->ops.taken != NULL)
        p->ops.taken(p->user, j->id, n);
    return RC_OK;
}

static enum rc put_exec(struct pool_worker *w, uint64_t job, const struct session_command *c)
{
    enum rc rc = chan_reserve(&w->chan, FRAME_HEADER + c->len + 256);
    return rc == RC_OK ? msg_put_exec(chan_out(&w->chan), job, c) : rc;
}

enum rc pool_exec(struct pool *p, uint64_t job, const struct session_command *c, struct err *e)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || j->kind != SESSION_WARM || j->finish || !j->worker->alive)
        return err_set(e, RC_CANCELLED, "the session is over");
    if (j->state != JOB_IDLE)
        return err_set(e, RC_EXISTS, "a command is under way");
    enum rc rc = put_exec(j->worker, job, c);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    if (rc != RC_OK)
        return err_set(e, rc, "the command is too long");
    chan_kick(&j->worker->chan);
    j->state = JOB_GIVEN;
    j->input = c->input;
    j->input_ended = false;
    return RC_OK;
}

static bool takes_input(const struct pool_job *j)
{
    return j != NULL && j->kind == SESSION_WARM && j->state == JOB_SENT &&
           j->input == INPUT_DUPLEX && !j->input_ended && j->worker->alive;
}

size_t pool_input_room(struct pool *p, uint64_t job)
{
    const struct pool_job *j = pool_find_job(p, job);
    if (!takes_input(j) || chan_pending(&j->worker->chan) > POOL_INPUT_QUEUE)
        return 0;
    return SESSION_MAX_INPUT - j->on_way;
}

static enum rc put_input(struct pool_worker *w, uint64_t job, const uint8_t *p, size_t n, bool last)
{
    enum rc rc = RC_OK;
    do {
        size_t part = n < MSG_INPUT_PART ? n : MSG_INPUT_PART;
        rc = chan_reserve(&w->chan, FRAME_HEADER + 1 + part);
        if (rc == RC_OK)
            rc = msg_put_input(chan_out(&w->chan), job, p, part, last && part == n);
        p += part;
        n -= part;
    } while (rc == RC_OK && n > 0);
    return rc;
}

enum rc pool_input(struct pool *p, uint64_t job, const void *bytes, size_t n, bool last)
{
    struct pool_job *j = pool_find_job(p, job);
    if (!takes_input(j))
        return RC_CANCELLED;
    if (n == 0 && !last)
        return RC_OK;
    if (n > pool_input_room(p, job))
        return RC_LIMIT;
    enum rc rc = put_input(j->worker, job, n > 0 ? bytes : (const void *)"", n, last);
    pool_said(j->worker, rc); /* half of it may be queued already */
    if (rc != RC_OK)
        return RC_NOMEM;
    j->on_way += n;
    j->input_ended = last;
    return RC_OK;
}

void pool_finish(struct pool *p, uint64_t job)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || j->finish || !(j->worker->alive || j->worker->coming))
        return;
    must(j->kind == SESSION_WARM);
    struct pool_worker *w = j->worker;
    j->finish = true;
    enum rc rc = RC_OK;
    if (pool_holds(w)) {
        rc = msg_put_empty(&w->held, MSG_FINISH, job);
    } else if ((rc = chan_reserve(&w->chan, FRAME_HEADER)) == RC_OK) {
        rc = msg_put_empty(chan_out(&w->chan), MSG_FINISH, job);
    }
    pool_said(w, rc);
}
