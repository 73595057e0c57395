/* What is different when a run collects host keys (struct run_scan): a handshake for each kind of
 * key, one after the other, in place of a command. Loop thread only. See run_internal.h.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>
#include <string.h>

/* The server has no key of the kind. */
static bool lacks_key(const struct outcome *o)
{
    return o->phase == PHASE_HOST_KEY && o->problem == PROBLEM_HOST_KEY_CHANGED;
}

/* Servers that find nothing in common hang up, and the reset overtakes what they said before:
 * OpenSSH and libssh now and then, dropbear always. */
static bool may_lack_key(const struct outcome *o)
{
    return o->phase == PHASE_KEX && o->problem == PROBLEM_CONNECTION_RESET;
}

bool scan_goes_on(struct attempt *a, const struct session_result *res)
{
    const struct run_scan *scan = a->run->plan->scan;
    const struct outcome *o = &res->outcome;
    bool got = o->problem == PROBLEM_NONE;
    if (scan == NULL || a->cancelled || (!got && !lacks_key(o) && !may_lack_key(o)))
        return false;
    a->has_key |= got;
    a->used_ms = 0;
    if (may_lack_key(o) && !a->asked_again && strstr(res->server_banner, "dropbear") == NULL) {
        a->asked_again = true; /* it may have been the network */
        return true;
    }
    a->asked_again = false;
    a->type_at++;
    return a->type_at < scan->type_count;
}

void scan_settle(const struct attempt *a, struct outcome *o)
{
    if (a->run->plan->scan == NULL || a->cancelled)
        return;
    bool lacks = lacks_key(o);
    if (!lacks && !(may_lack_key(o) && a->has_key))
        return;
    outcome_init(o);
    o->phase = a->has_key ? PHASE_HOST_KEY : PHASE_KEX;
    o->problem = a->has_key ? PROBLEM_NONE : PROBLEM_KEX_NO_MATCH;
    if (!a->has_key)
        snprintf(o->detail, sizeof o->detail, "the server has no host key of the types asked for");
}
