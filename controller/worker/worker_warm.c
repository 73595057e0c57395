/* What the coordinator says to warm jobs: the next command, its input, that there will be none.
 * What it says to one that has just ended, or of a command that just has, is late and not wrong.
 * See worker_internal.h. */
#include "controller/worker/worker_internal.h"

/* The job, when it is warm; RC_PROTO when it is of another kind. NULL: it has ended. */
static enum rc find_warm(struct worker *w, const struct frame *f, struct worker_job **j,
                         struct err *e)
{
    *j = worker_job(w, f->id);
    if (*j == NULL || (*j)->warm)
        return RC_OK;
    return err_set(e, RC_PROTO, "message %u: the job has one command only", f->type);
}

enum rc worker_took_exec(struct worker *w, const struct frame *f, struct err *e)
{
    struct session_command c;
    struct worker_job *j = NULL;
    enum rc rc = msg_get_exec(f, &c, e);
    if (rc == RC_OK)
        rc = find_warm(w, f, &j, e);
    if (rc != RC_OK || j == NULL)
        return rc;
    if (c.input == INPUT_BLOB && !session_env_has_blob(w->env, c.blob))
        return err_set(e, RC_PROTO, "an input that was not given");
    rc = j->session != NULL ? session_exec(j->session, &c, e) : RC_EXISTS;
    if (rc == RC_EXISTS)
        return err_set(e, RC_PROTO, "a command while one is under way");
    if (rc == RC_NOMEM)
        session_cancel(j->session, PROBLEM_LOCAL_RESOURCE, true);
    return RC_OK; /* else it is over: its DONE is on the way */
}

enum rc worker_took_input(struct worker *w, const struct frame *f, struct err *e)
{
    const void *p;
    size_t n;
    bool last;
    struct worker_job *j = NULL;
    enum rc rc = msg_get_input(f, &p, &n, &last, e);
    if (rc == RC_OK)
        rc = find_warm(w, f, &j, e);
    if (rc != RC_OK || j == NULL)
        return rc;
    if (j->session == NULL)
        return err_set(e, RC_PROTO, "input before the command");
    rc = session_input(j->session, p, n);
    if (rc == RC_OK && last)
        rc = session_input_eof(j->session);
    if (rc == RC_NOMEM) /* it would go on with a hole in what it reads */
        session_cancel(j->session, PROBLEM_LOCAL_RESOURCE, true);
    if (rc == RC_LIMIT || rc == RC_PROTO)
        return err_set(e, RC_PROTO, "input that is not wanted");
    return RC_OK;
}

enum rc worker_took_finish(struct worker *w, const struct frame *f, struct err *e)
{
    struct worker_job *j = NULL;
    enum rc rc = msg_get_empty(f, e);
    if (rc == RC_OK)
        rc = find_warm(w, f, &j, e);
    if (rc != RC_OK || j == NULL)
        return rc;
    j->finish = true;
    if (j->session != NULL)
        session_finish(j->session);
    return RC_OK;
}
