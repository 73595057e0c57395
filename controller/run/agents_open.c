/* What a run that talks to agents needs once, before its first host: the agents' files with the
 * workers, and the plan told where results go. Loop thread only. See run_internal.h.
 */
#include "common/clock.h"
#include "controller/remote/blob.h"
#include "controller/run/run_internal.h"

enum { FIRST_BLOB = 1 }; /* number 0 is the run's standard input */

enum rc agents_open(struct run *r, struct err *e)
{
    const struct blob *b;
    enum rc rc = RC_OK;
    if (r->plan->agent == NULL || r->plan->agent->mode == REMOTE_NEVER ||
        r->plan->agent->mode == REMOTE_INSTALLED)
        return RC_OK;
    for (size_t i = 0; rc == RC_OK && (b = blob_at(i)) != NULL && i < RUN_MAX_BLOBS; i++) {
        unsigned number = FIRST_BLOB + (unsigned)i;
        r->blobs[i] = (struct remote_blob){
            .arch = b->arch, .number = number, .sha256 = b->sha256, .len = b->len};
        r->blob_count = i + 1;
        rc = pool_add_blob(r->pool, number, b->data, b->len, e);
    }
    return rc;
}

enum rc agents_begin(struct run *r, struct err *e)
{
    const struct run_agent *agent = r->plan->agent;
    if (agent == NULL || agent->open == NULL)
        return RC_OK;
    return agent->open(agent->user, &r->out_sink, &r->err_sink, clock_ms(), e);
}
