/* Looks after the hosts' machines of a run (agents.c): each when it is due, all when they are
 * paused. Loop thread only. */
#include "controller/run/agents_internal.h"

#include "common/clock.h"

/* When root's own machines are due is not kept: runs with them look at all, each time. */
void agents_noted(struct run_host *h)
{
    uint64_t at = h->root != NULL ? 0 : h->sent ? remote_wake_at(h->remote) : UINT64_MAX;
    struct run *r = run_of(h);
    r->agents_wake_ms = at < r->agents_wake_ms ? at : r->agents_wake_ms;
}

void agents_look_at_all(struct run *r)
{
    r->agents_wake_ms = 0;
}

void agents_pause(struct run *r, bool on)
{
    agents_look_at_all(r);
    for (struct attempt *a = r->oldest; a != NULL; a = a->next) {
        if (a->host == NULL)
            continue;
        remote_pause(a->host->remote, clock_ms(), on);
        if (a->host->root != NULL)
            remote_pause(root_remote(a->host->root), clock_ms(), on);
    }
}

/* Each machine that is due, and when the next one will be. */
static void look_after(struct run *r, uint64_t now)
{
    r->agents_wake_ms = UINT64_MAX;
    r->agents_calm = r->oldest != NULL;
    for (struct attempt *a = r->oldest, *next; a != NULL; a = next) {
        next = a->next;
        r->agents_calm &= a->host != NULL && a->phase == PHASE_RUN;
        if (a->host != NULL && a->host->sent && remote_wake_at(a->host->remote) <= now)
            remote_tick(a->host->remote, now);
        if (a->host != NULL && a->host->root != NULL)
            root_beat(a->host->root, now);
        if (a->host != NULL)
            agents_noted(a->host);
    }
}

/* A hundred thousand hosts cost milliseconds of a beat that looks at them, about one in a second;
 * a wheel would cost a timer each. */
void agents_beat(struct run *r)
{
    if (r->plan->agent == NULL)
        return;
    uint64_t now = clock_ms();
    if (r->agents_wake_ms <= now)
        look_after(r, now);
    if (r->plan->agent->beat != NULL)
        r->plan->agent->beat(r->plan->agent->user, r, now);
    if (r->pool_attached)
        pool_calm(r->pool, r->agents_calm ? r->plan->agent->calm_ms : 0);
    run_pump(r);
}
