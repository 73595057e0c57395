/* Attempts that nothing is heard of: they hold none of the fan-out's places meanwhile, and go on
 * when they have one again (sched.h says who has). Loop thread only.
 *
 *   SILENT ── it answers ── held by its worker ──┬── the place ── its login
 *      │                                         └── 5 s ── no job ── the place ── the gate
 *      └── another address ── no job ── the place ── the gate
 */
#include "controller/run/run_internal.h"

#include <stdio.h>

#include "common/clock.h"

/* It keeps its place when others, who have one, wait for what else it has: they could not go on
 * before it, nor it, without a place, before one of them. */
static bool is_awaited(const struct attempt *a)
{
    const struct run *r = a->run;
    return gate_is_awaited(r->gate, a->target) || (r->turns != NULL && turns_are_awaited(r->turns));
}

void aside_on_silent(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL || is_awaited(a))
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

void aside_on_answered(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    a->on_hold = true;
    a->hold_ms = clock_ms();
    get_in_line(a);
    run_pump(r);
}

/* Its time stands still while it is held. */
static void release(struct attempt *a)
{
    if (a->on_hold)
        a->step_ms += clock_ms() - a->hold_ms;
    a->on_hold = false;
}

void aside_go(struct run *r, uint32_t target)
{
    struct attempt *a = r->attempts[target];
    if (a == NULL || a->state == ATTEMPT_RESTING || a->cancelled)
        return;
    must(a->in_line);
    a->silent = a->in_line = false;
    if (a->on_hold) {
        release(a);
        a->late_go = true;
        pool_go(r->pool, a->job);
    } else {
        attempt_enter_gate(a);
    }
}

void aside_again(struct attempt *a)
{
    a->state = ATTEMPT_GATED;
    a->phase = PHASE_CONNECT;
    if (!a->silent)
        attempt_enter_gate(a);
    else if (!a->in_line)
        get_in_line(a);
}

/* The worker's patience ended before a place was there, or while the word of it was under way; or
 * the server's did: nobody had said a word to it. The last may have another cause, and counts
 * once. */
bool aside_was_dropped(struct attempt *a, const struct outcome *o)
{
    bool held = a->on_hold || a->late_go, dropped = false;
    if (held && o->problem == PROBLEM_CONNECT_TIMEOUT) {
        dropped = true;
    } else if (a->late_go && !a->cut && o->problem == PROBLEM_CONNECTION_RESET &&
               o->phase == PHASE_BANNER) {
        dropped = a->cut = true;
    }
    release(a);
    a->late_go = false;
    return dropped;
}

void aside_settle(const struct attempt *a, bool dropped, struct outcome *o)
{
    if (!dropped)
        return;
    outcome_init(o);
    o->problem = a->why;
    o->phase = PHASE_CONNECT;
    snprintf(o->detail, sizeof o->detail, "before a connection was made");
}
