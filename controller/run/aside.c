/* Attempts that nothing is heard of: they hold none of the fan-out's places meanwhile, and go on
 * when they have one again (sched.h says who has). Loop thread only.
 *
 *   SILENT ── it answers ── held by its worker ──┬── the place ── its login
 *      │                                         └── 5 s ── no job ── the place ── the gate
 *      └── another address ── no job ── the place ── the gate
 */
#include "controller/run/run_internal.h"

#include "common/clock.h"

void aside_on_silent(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    a->silent = true;
    run_event(r, &(struct sched_event){.type = SCHED_EV_SILENT, .target = a->target});
    run_pump(r);
}

static void get_in_line(struct attempt *a)
{
    a->in_line = true;
    run_event(a->run, &(struct sched_event){.type = SCHED_EV_ANSWERED, .target = a->target});
}

/* A bastion is waited for by others: it is no target, and has no place. */
void aside_on_answered(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (link_of(r, job) != NULL)
        pool_go(r->pool, job);
    if (a == NULL)
        return;
    a->on_hold = true;
    a->hold_ms = clock_ms();
    get_in_line(a);
    run_pump(r);
}

/* Its time stood still while it was held. */
void aside_go(struct run *r, uint32_t target)
{
    struct attempt *a = r->attempts[target];
    if (a == NULL || a->state == ATTEMPT_RESTING || a->cancelled)
        return;
    must(a->in_line);
    a->silent = a->in_line = false;
    if (a->on_hold) {
        a->on_hold = false;
        a->late_go = true;
        a->step_ms += clock_ms() - a->hold_ms;
        pool_go(r->pool, a->job);
    } else {
        attempt_enter_gate(a);
    }
}

void aside_again(struct attempt *a)
{
    a->state = ATTEMPT_GATED;
    a->phase = PHASE_CONNECT;
    a->on_hold = false;
    if (!a->silent)
        attempt_enter_gate(a);
    else if (!a->in_line)
        get_in_line(a);
}

/* The worker's patience ended before a place was there, or while the word of it was under way:
 * the host has nothing to do with that. */
bool aside_was_dropped(struct attempt *a, const struct session_result *res)
{
    bool was = (a->on_hold || a->late_go) && !a->cancelled &&
               res->outcome.problem == PROBLEM_CONNECT_TIMEOUT;
    a->late_go = false;
    return was;
}
