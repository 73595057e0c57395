/* What became of a host, for the output and the record, once the scheduler says that it is final.
 * Loop thread only.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>

#include "common/log.h"

static void fill_result(const struct run *r, uint32_t target, struct output_result *out,
                        char address[INET6_ADDRSTRLEN])
{
    const struct attempt *a = r->attempts[target];
    const struct target *t = &r->plan->targets[target];
    address[0] = '\0';
    *out = (struct output_result){.target = target,
                                  .address = address,
                                  .port = t->port,
                                  .user = t->user,
                                  .jump = r->plan->jumps != NULL ? r->plan->jumps->ways[t->way].text
                                                                 : "",
                                  .server_banner = ""};
    if (a == NULL)
        return;
    const union resolve_addr *addr = a->addr_count > 0 ? &a->addrs[a->addr_next] : NULL;
    if (addr != NULL && addr->sa.sa_family == AF_INET6)
        uv_ip6_name(&addr->in6, address, INET6_ADDRSTRLEN);
    else if (addr != NULL)
        uv_ip4_name(&addr->in, address, INET6_ADDRSTRLEN);
    out->attempts = a->number;
    out->started_wall_us = a->start_wall_us;
    out->duration_us = (a->end_ms - a->start_ms) * 1000;
    out->connect_us = a->ending.timing.sent;
    out->server_banner = ending_banner(&a->ending);
    out->timing = a->ending.timing;
}

static void record_host(struct run *r, const struct output_result *result)
{
    struct buf json;
    buf_init(&json, 1u << 30);
    if (output_host_json(r->output, result, true, &json) == RC_OK)
        record_result(r->record, (const char *)json.data, json.len);
    else
        log_warn("out of memory: the record lacks the result of one host");
    buf_fini(&json);
}

void attempt_final(struct run *r, uint32_t target, enum problem problem)
{
    struct attempt *a = r->attempts[target];
    struct outcome o;
    outcome_init(&o);
    if (a != NULL && problem_status((enum problem)a->ending.problem) == STATUS_NOT_STARTED) {
        problem = (enum problem)a->ending.problem; /* it only waited */
        attempt_free(a);
        r->attempts[target] = a = NULL;
    }
    if (problem == PROBLEM_NONE && a != NULL)
        ending_outcome(&a->ending, &o);
    else /* no attempt and yet an end of its own: there was no memory to start it */
        o.problem = problem == PROBLEM_NONE ? PROBLEM_LOCAL_RESOURCE : problem;
    if (problem == PROBLEM_NOT_STARTED_JUMP)
        links_reason(r, r->plan->targets[target].way, o.detail, sizeof o.detail);
    struct output_result result;
    char address[INET6_ADDRSTRLEN];
    fill_result(r, target, &result, address);
    struct shown_texts texts;
    shown_result(r, &result, &texts);
    masks_text(r->plan->masks, o.detail, sizeof o.detail);
    result.outcome = &o;
    output_result(r->output, &result);
    if (r->plan->scan != NULL)
        r->plan->scan->ended(r->plan->scan->user, target, result.outcome, address);
    else
        record_host(r, &result);
    if (r->plan->agent != NULL)
        r->plan->agent->ended(r->plan->agent->user, target, result.outcome, address);
    r->attempts[target] = NULL;
    attempt_free(a);
}
