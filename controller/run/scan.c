/* What is different when a run collects host keys (struct run_scan): a handshake for each kind of
 * key, one after the other, in place of a command. Loop thread only. See run_internal.h.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>

bool scan_goes_on(struct attempt *a, const struct session_result *res)
{
    const struct run_scan *scan = a->run->plan->scan;
    const struct outcome *o = &res->outcome;
    bool lacks = o->phase == PHASE_HOST_KEY && o->problem == PROBLEM_HOST_KEY_CHANGED;
    if (scan == NULL || (o->problem != PROBLEM_NONE && !lacks))
        return false;
    a->has_key |= o->problem == PROBLEM_NONE;
    a->used_ms = 0;
    a->type_at++;
    return a->type_at < scan->type_count && !a->cancelled;
}

/* The last handshake may have been for a key that the host lacks. */
void scan_settle(const struct attempt *a, struct outcome *o)
{
    if (a->run->plan->scan == NULL || o->problem != PROBLEM_HOST_KEY_CHANGED)
        return;
    outcome_init(o);
    o->phase = a->has_key ? PHASE_HOST_KEY : PHASE_KEX;
    o->problem = a->has_key ? PROBLEM_NONE : PROBLEM_KEX_NO_MATCH;
    if (!a->has_key)
        snprintf(o->detail, sizeof o->detail, "the server has no host key of the types asked for");
}
