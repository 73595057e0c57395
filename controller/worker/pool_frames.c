/* What a worker says, checked against what it may say: each job's steps come in their order, once,
 * and only about jobs that it has. Another trust domain speaks here; see pool.h.
 */
#include "controller/worker/msg.h"
#include "controller/worker/pool_internal.h"

enum { HOSTKEYS_PER_JOB = 8 }; /* another key type means another handshake */

static enum rc breach(struct err *e, const struct frame *f, const char *what)
{
    return err_set(e, RC_PROTO, "message %u: %s", f->type, what);
}

static enum rc took_trouble(struct pool *p, const struct frame *f, struct err *e)
{
    struct msg_trouble m;
    enum rc rc = msg_get_trouble(f, &m, e);
    if (rc == RC_OK)
        p->ops.trouble(p->user, m.rc, m.message, false);
    return rc;
}

static enum rc took_silent(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    if (j->kind == SESSION_LINK || j->state != JOB_STARTED || j->connect != JOB_HEARD ||
        j->hostkeys > 0)
        return breach(e, f, "a silence out of turn");
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    j->connect = JOB_SILENT;
    if (p->ops.silent != NULL)
        p->ops.silent(p->user, j->id);
    return RC_OK;
}

static enum rc took_answered(struct pool *p, struct pool_job *j, const struct frame *f,
                             struct err *e)
{
    if (j->connect != JOB_SILENT)
        return breach(e, f, "an answer out of turn");
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    j->connect = JOB_HELD;
    if (p->ops.answered != NULL)
        p->ops.answered(p->user, j->id);
    else
        pool_go(p, j->id);
    return RC_OK;
}

/* It may go on with its login: nobody has asked it to wait. */
static bool is_connected(const struct pool_job *j)
{
    return j->connect == JOB_HEARD || j->connect == JOB_GONE_ON;
}

static enum rc took_hostkey(struct pool *p, struct pool_job *j, const struct frame *f,
                            struct err *e)
{
    struct msg_hostkey m;
    if (j->state != JOB_STARTED || !is_connected(j) || j->asked || j->hostkeys == HOSTKEYS_PER_JOB)
        return breach(e, f, "a host key out of turn");
    enum rc rc = msg_get_hostkey(f, &m, e);
    if (rc != RC_OK)
        return rc;
    j->asked = true;
    j->hostkeys++;
    p->ops.hostkey(p->user, j->id, m.key_type, m.blob, m.len);
    return RC_OK;
}

static enum rc took_begun(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    if (j->state != JOB_WAITING)
        return breach(e, f, "a job begins twice");
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    j->state = JOB_STARTED;
    if (p->ops.begun != NULL)
        p->ops.begun(p->user, j->id);
    return RC_OK;
}

static enum rc took_wanted(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    if (j->state != JOB_STARTED || !is_connected(j) || j->asked || !j->has_password)
        return breach(e, f, "a password out of turn");
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    j->has_password = false;
    j->wanted = true;
    p->ops.password(p->user, j->id);
    return RC_OK;
}

/* After its host key was accepted and before the login is complete: one signature at a time, and
 * for each key one. */
static enum rc took_sign(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    struct msg_sign m;
    if (j->kind == SESSION_SCAN || j->state != JOB_STARTED || j->asked || !j->accepted ||
        j->signing || j->signs == SESSION_MAX_KEYS || p->ops.sign == NULL)
        return breach(e, f, "a signature out of turn");
    enum rc rc = msg_get_sign(f, &m, e);
    if (rc != RC_OK)
        return rc;
    j->signing = true;
    j->signs++;
    p->ops.sign(p->user, j->id, m.key, m.data, m.len);
    return RC_OK;
}

/* AUTHENTICATED and SENT: each at most once and in this order. */
static enum rc took_step(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    enum job_state to = f->type == MSG_SENT ? JOB_SENT : JOB_AUTHENTICATED;
    if (j->kind == SESSION_SCAN || j->state == JOB_WAITING || j->state >= to || !is_connected(j) ||
        j->asked || j->wanted || j->signing || (j->kind == SESSION_LINK && to == JOB_SENT))
        return breach(e, f, "a step out of turn");
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    j->state = to;
    (to == JOB_SENT ? p->ops.sent : p->ops.authenticated)(p->user, j->id);
    return RC_OK;
}

static enum rc took_data(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    bool is_stderr;
    const void *bytes;
    size_t n;
    if (j->state != JOB_SENT)
        return breach(e, f, "output before the command");
    enum rc rc = msg_get_data(f, &is_stderr, &bytes, &n, e);
    if (rc == RC_OK)
        p->ops.data(p->user, j->id, is_stderr, bytes, n);
    return rc;
}

static enum rc took_done(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e)
{
    struct session_result r;
    enum rc rc = msg_get_done(f, &r, e);
    if (rc != RC_OK)
        return rc;
    if (!pool_ended_well(j, &r.outcome))
        return breach(e, f, "an end that is not of its kind");
    /* Once it may have run it may have run, whatever is said later. */
    if (j->state == JOB_SENT)
        r.outcome.sent = true;
    uint64_t id = j->id;
    pool_drop_job(j);
    pool_note_progress(p);
    p->ops.done(p->user, id, &r);
    return RC_OK;
}

static enum rc took_ready(struct pool_worker *w, const struct frame *f, struct err *e)
{
    if (w->ready)
        return breach(e, f, "ready a second time");
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    w->ready = true;
    w->unproven = false;
    if (w->input_done && pool_feed(w) != RC_OK)
        return err_nomem(e);
    return RC_OK;
}

enum rc pool_on_frame(void *user, const struct frame *f, struct err *e)
{
    struct pool_worker *w = user;
    struct pool *p = w->pool;
    w->quiet = 0;
    if (f->type == MSG_TROUBLE)
        return took_trouble(p, f, e);
    if (f->type == MSG_PONG)
        return msg_get_empty(f, e);
    if (f->type == MSG_READY)
        return took_ready(w, f, e);
    struct pool_job *j = pool_find_job(p, f->id);
    if (j == NULL || j->worker != w)
        return breach(e, f, "about a job that it does not have");
    switch (f->type) {
    case MSG_BEGUN: return took_begun(p, j, f, e);
    case MSG_SILENT: return took_silent(p, j, f, e);
    case MSG_ANSWERED: return took_answered(p, j, f, e);
    case MSG_HOSTKEY: return took_hostkey(p, j, f, e);
    case MSG_SECRET_WANTED: return took_wanted(p, j, f, e);
    case MSG_SIGN: return took_sign(p, j, f, e);
    case MSG_AUTHENTICATED:
    case MSG_SENT: return took_step(p, j, f, e);
    case MSG_DATA: return took_data(p, j, f, e);
    case MSG_DONE: return took_done(p, j, f, e);
    case MSG_ENDED: return pool_took_ended(p, j, f, e);
    case MSG_TAKEN: return pool_took_taken(p, j, f, e);
    default: return breach(e, f, "not a message of a worker");
    }
}
