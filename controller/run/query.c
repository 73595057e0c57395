/* See query.h. */
#include "controller/run/query.h"

#include <stdio.h>

#include "common/clock.h"
#include "controller/run/run_internal.h"

static void finish(struct run_host *h, enum problem problem, enum phase phase, const char *detail)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = problem;
    o.phase = phase;
    o.sent = true;
    snprintf(o.detail, sizeof o.detail, "%s", detail);
    run_host_finish(h, &o);
}

static enum rc on_open(void *user, const struct sink *results, const struct sink *info,
                       uint64_t now_ms, struct err *e)
{
    struct run_query *q = user;
    return q->open(q->user, results, info, now_ms, e);
}

/* Again, when an agent that died was started anew: to measure twice does no harm. */
static void on_ready(void *user, uint32_t target, struct run_host *h,
                     const struct remote_hello *hello)
{
    const struct run_query *q = user;
    struct attempt *a = run_host_attempt(h);
    q->ready(q->user, target, hello);
    if (q->done) {
        finish(h, PROBLEM_NONE, PHASE_RUN, "");
        return;
    }
    enum rc rc = run_host_request(h, q->request->data, q->request->len, &a->request);
    if (rc != RC_OK)
        finish(h, PROBLEM_LOCAL_RESOURCE, PHASE_REQUEST, rc_name(rc));
    else
        run_host_bound(h, a->request, q->bound_ms);
}

static void on_reply(void *user, uint32_t target, struct run_host *h, uint64_t id, const void *map,
                     size_t n)
{
    struct run_query *q = user;
    struct err e = {0};
    q->next_ms = 0;
    enum rc rc = q->reply(q->user, target, map, n, clock_ms(), &e);
    run_host_consumed(h, id, n);
    run_host_bound(h, id, q->bound_ms);
    if (rc == RC_NOMEM)
        finish(h, PROBLEM_LOCAL_RESOURCE, PHASE_RUN, e.msg);
    else if (rc != RC_OK)
        finish(h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN, e.msg);
}

static void on_end(void *user, uint32_t target, struct run_host *h, uint64_t id,
                   const struct remote_end *end)
{
    (void)user, (void)target;
    const struct attempt *a = run_host_attempt(h);
    enum problem p = remote_end_problem(end);
    if (p == PROBLEM_CANCELLED && !a->cancelled)
        p = PROBLEM_CONNECTION_LOST; /* the agent gave up by itself */
    if (id == a->request)
        finish(h, p, PHASE_RUN, end->detail);
}

static bool on_enough(void *user, uint32_t target)
{
    const struct run_query *q = user;
    return q->enough(q->user, target);
}

static void on_ended(void *user, uint32_t target, const struct outcome *o, const char *address)
{
    struct run_query *q = user;
    (void)address;
    q->next_ms = 0;
    q->ended(q->user, target, o);
}

static void on_beat(void *user, struct run *r, uint64_t now_ms)
{
    struct run_query *q = user;
    if (now_ms < q->next_ms || q->done)
        return;
    q->next_ms = q->tick(q->user, now_ms, &q->done);
    for (struct attempt *a = r->oldest, *next; q->done && a != NULL; a = next) {
        next = a->next;
        if (a->host != NULL)
            finish(a->host, PROBLEM_NONE, PHASE_RUN, "");
    }
}

static void on_report(void *user)
{
    const struct run_query *q = user;
    q->report(q->user, clock_ms());
}

void run_query_init(struct run_query *q, struct run_agent *agent)
{
    q->next_ms = 0;
    q->done = false;
    agent->user = q;
    agent->calm_ms = q->calm_ms;
    agent->endless = q->enough != NULL;
    agent->enough = on_enough;
    agent->open = on_open;
    agent->ready = on_ready;
    agent->reply = on_reply;
    agent->end = on_end;
    agent->ended = on_ended;
    agent->beat = on_beat;
    agent->report = on_report;
}
