/* One host's way through an attempt: resolve its name, take a place at its server's gate, hand it
 * to a worker. What the worker then says of it is heard in attempt_events.c.
 *
 * Retries are the scheduler's; the meaning of an end is outcome's. Loop thread only.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

const struct target *attempt_target(const struct attempt *a)
{
    return &a->run->plan->targets[a->target];
}

static void list_add(struct run *r, struct attempt *a)
{
    a->prev = r->newest;
    a->next = NULL;
    *(r->newest != NULL ? &r->newest->next : &r->oldest) = a;
    r->newest = a;
    agents_look_at_all(r);
}

static void list_remove(struct run *r, struct attempt *a)
{
    *(a->prev != NULL ? &a->prev->next : &r->oldest) = a->next;
    *(a->next != NULL ? &a->next->prev : &r->newest) = a->prev;
    a->prev = a->next = NULL;
    agents_look_at_all(r);
}

uint64_t attempt_budget_left(const struct attempt *a)
{
    return a->used_ms < a->budget_ms ? a->budget_ms - a->used_ms : 0;
}

/* The attempt is over. The scheduler decides what follows; until then the end is kept. */
void attempt_finish(struct attempt *a, const struct outcome *o, const struct session_timing *timing,
                    const char *server_banner)
{
    struct run *r = a->run;
    must(a->state != ATTEMPT_RESTING);
    if (a->state == ATTEMPT_RESOLVING)
        r->resolving--;
    a->state = ATTEMPT_RESTING;
    a->end_ms = clock_ms();
    a->job = 0;
    links_leave(r, a->target);
    list_remove(r, a);
    ending_keep(&a->ending, o, timing, server_banner);
    if (outcome_before_command(o))
        r->last_before = o->problem;
    struct sched_event ev = {.type = SCHED_EV_FINISHED,
                             .target = a->target,
                             .outcome = o,
                             .connect_ms_used = a->used_ms};
    run_event(r, &ev);
}

__attribute__((format(printf, 4, 5))) static void fail(struct attempt *a, enum problem problem,
                                                       enum phase phase, const char *fmt, ...)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = problem;
    o.phase = phase;
    char text[sizeof o.detail];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    str_escape_to(o.detail, sizeof o.detail, text, strlen(text), 0);
    attempt_finish(a, &o, NULL, "");
}

/* ---- the gate ---- */

/* The bastion to go through now; false: none is in front of the host, or none that is not dead. */
static bool hop_of(const struct attempt *a, uint32_t *hop)
{
    return links_hop(a->run, attempt_target(a)->way, hop);
}

/* A bastion that carried others before and died while this host waited for it: as with those after
 * it in line, nothing was begun. */
static void no_way(struct attempt *a)
{
    char why[320];
    uint32_t way = attempt_target(a)->way;
    bool began = a->number > 1 || a->had_link || !links_were_up(a->run, way);
    fail(a, began ? PROBLEM_JUMP_UNREACHABLE : PROBLEM_NOT_STARTED_JUMP,
         began ? PHASE_CONNECT : PHASE_NONE, "%s", links_reason(a->run, way, why, sizeof why));
}

static bool hand_over(struct attempt *a);

void attempt_enter_gate(struct attempt *a)
{
    struct run *r = a->run;
    bool granted = false;
    uint32_t hop = 0;
    enum rc rc = RC_OK;
    a->state = ATTEMPT_GATED;
    a->phase = PHASE_CONNECT;
    a->link = NO_LINK;
    if (attempt_target(a)->way == 0) {
        rc = place_enter(r, &a->addrs[a->addr_next], a->target, &granted);
    } else if (hop_of(a, &hop)) {
        rc = place_enter_via(r, hop, attempt_target(a), a->target, &granted);
    } else {
        no_way(a);
        return;
    }
    if (rc != RC_OK)
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_CONNECT, "out of memory");
    else if (granted && !hand_over(a))
        place_leave(r, a->target);
}

bool attempt_granted(struct run *r, uint32_t target)
{
    must(r->attempts[target] != NULL && r->attempts[target]->state == ATTEMPT_GATED);
    return hand_over(r->attempts[target]);
}

/* It has its place; now a channel of a link to the bastion. */
static bool want_link(struct attempt *a)
{
    uint32_t hop;
    if (!hop_of(a, &hop)) {
        no_way(a);
        return false;
    }
    a->state = ATTEMPT_ROUTED;
    links_want(a->run, hop, a->target);
    return true;
}

void attempt_routed(struct run *r, uint32_t target, uint32_t link)
{
    struct attempt *a = r->attempts[target];
    must(a != NULL);
    must(a->state == ATTEMPT_ROUTED);
    a->link = link;
    a->had_link = true;
    if (!hand_over(a))
        place_leave(r, target);
}

/* The bastion is dead: another one, where there is one to choose. */
void attempt_unrouted(struct run *r, uint32_t target)
{
    must(r->attempts[target] != NULL && r->attempts[target]->state == ATTEMPT_ROUTED);
    place_leave(r, target);
    attempt_enter_gate(r->attempts[target]);
}

/* ---- the worker ---- */

/* With other addresses left the first may not use up the whole bound on a silent network. */
static uint64_t tcp_budget(const struct attempt *a)
{
    return a->addr_next + 1 < a->addr_count ? attempt_budget_left(a) / 2 : 0;
}

static void set_address(const struct attempt *a, struct session_spec *spec)
{
    spec->connect_budget_ms = attempt_budget_left(a);
    if (a->link != NO_LINK) {
        links_set_way(a->run, a->link, attempt_target(a), spec);
        return;
    }
    spec->addr = a->addrs[a->addr_next];
    spec->tcp_budget_ms = tcp_budget(a);
}

static enum rc start_scan(struct attempt *a, const char *types, struct err *e)
{
    struct session_spec spec = {
        .kind = SESSION_SCAN,
        .label = attempt_target(a)->host->name,
        .user = "",
        .hostkey_types = types,
        .legacy = attempt_target(a)->legacy,
        .command = "",
    };
    set_address(a, &spec);
    return pool_start(a->run->pool, a->job, &spec, e);
}

static enum rc start_job(struct attempt *a, const char *types, struct buf *line, struct err *e)
{
    struct run *r = a->run;
    const struct target *t = attempt_target(a);
    const struct options *o = r->options;
    if (r->plan->scan != NULL)
        return start_scan(a, types, e);
    enum rc rc = RC_OK;
    if (r->plan->agent == NULL)
        rc = wrap_line(r->plan->command, t->host->name, a->target, r->count, line, e);
    if (rc != RC_OK)
        return rc;
    struct session_spec spec = {
        .kind = SESSION_RUN,
        .label = t->host->name,
        .user = t->user,
        .key_count = t->key_count,
        .has_password = t->password != 0,
        .hostkey_types = types,
        .legacy = t->legacy,
        .command = line->data,
        .command_len = line->len,
        .use_stdin = r->plan->input != NULL,
        .run_timeout_ms = o->timeout_ms,
        .silence_timeout_ms = o->silence_timeout_ms,
    };
    set_address(a, &spec);
    for (unsigned i = 0; i < t->key_count; i++)
        spec.keys[i] = t->keys[i];
    /* On its way to the disk while the handshake goes on: a host that the record of a killed
     * controller does not know as started has surely not run the command. */
    record_started(r->record, a->target);
    if (r->plan->agent != NULL)
        return agents_start(a, &spec, e);
    return pool_start(r->pool, a->job, &spec, e);
}

/* false: it failed, and its place is to be given back. */
static bool hand_over(struct attempt *a)
{
    struct run *r = a->run;
    const struct target *t = attempt_target(a);
    char types[256];
    if (!signing_turn(a))
        return true; /* attempt_go_on comes */
    if (t->way != 0 && a->link == NO_LINK)
        return want_link(a);
    if (attempt_budget_left(a) == 0) {
        fail(a, PROBLEM_CONNECT_TIMEOUT, PHASE_CONNECT, "the connect bound was used up");
        return false;
    }
    if (r->plan->scan != NULL)
        snprintf(types, sizeof types, "%s", r->plan->scan->types[a->type_at]);
    else if (a->retry_types != NULL)
        snprintf(types, sizeof types, "%s", a->retry_types);
    else
        trust_types(r->trust, &t->trust, t->key_name, t->alias ? 22 : t->port, types, sizeof types);
    struct buf line;
    struct err e = {0};
    buf_init(&line, 2 * WRAP_MAX);
    a->job = (uint64_t)++r->serial << 32 | a->target;
    a->begun = false;
    a->state = ATTEMPT_WORKING;
    enum rc rc = start_job(a, types, &line, &e);
    buf_fini(&line);
    if (rc == RC_OK)
        return true;
    if (rc == RC_CANCELLED && attempt_lost_link(a)) {
        a->link = NO_LINK;
        a->job = 0;
        return want_link(a);
    }
    if (rc == RC_CANCELLED)
        fail(a, PROBLEM_JUMP_UNREACHABLE, PHASE_CONNECT, "%s", e.msg);
    else if (rc == RC_NOTFOUND)
        fail(a, PROBLEM_WORKER_DIED, PHASE_CONNECT, "no worker process is left");
    else
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_CONNECT, "%s", e.msg);
    return false;
}

void attempt_fall_back(struct attempt *a)
{
    struct err e = {0};
    a->state = ATTEMPT_WORKING;
    a->phase = PHASE_CONNECT;
    enum rc rc = fallback_start(a->run, a, attempt_budget_left(a), &e);
    if (rc == RC_CONFIG || rc == RC_LIMIT)
        fail(a, PROBLEM_BAD_TARGET, PHASE_RESOLVE, "%s", e.msg);
    else if (rc != RC_OK)
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_CONNECT, "%s", e.msg);
}

void attempt_go_on(struct attempt *a)
{
    if (!hand_over(a))
        place_leave(a->run, a->target);
}

/* ---- names ---- */

static void stop_lookup(struct attempt *a)
{
    a->lookup = NULL;
    a->used_ms += clock_ms() - a->step_ms;
    a->run->resolving--;
    a->state = ATTEMPT_GATED;
}

/* The addresses of the host's family, which ssh_config may limit. false: no memory. */
static bool take_addresses(struct attempt *a, const struct resolve_result *result)
{
    unsigned family = attempt_target(a)->family;
    a->addrs = mem_alloc(result->count * sizeof a->addrs[0]);
    a->addr_count = a->addr_next = 0;
    for (size_t i = 0; a->addrs != NULL && i < result->count; i++)
        if (family == 0 || result->addrs[i].sa.sa_family == family)
            a->addrs[a->addr_count++] = result->addrs[i];
    return a->addrs != NULL;
}

static void on_resolved(void *user, const struct resolve_result *result)
{
    struct attempt *a = user;
    struct run *r = a->run;
    stop_lookup(a);
    if (result->problem != PROBLEM_NONE)
        fail(a, result->problem, PHASE_RESOLVE, "%s: %s", attempt_target(a)->address,
             result->detail);
    else if (!take_addresses(a, result))
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_RESOLVE, "out of memory");
    else if (a->addr_count == 0)
        fail(a, PROBLEM_DNS_NOT_FOUND, PHASE_RESOLVE,
             "%s: no address of the family that AddressFamily asks for",
             attempt_target(a)->address);
    else
        attempt_enter_gate(a);
    run_pump(r);
}

/* Look-ups have no bound of their own in the system: the beat ends those past theirs. */
void attempt_check_lookups(struct run *r)
{
    uint64_t now = clock_ms();
    for (struct attempt *a = r->oldest, *next; r->resolving > 0 && a != NULL; a = next) {
        next = a->next;
        if (a->state != ATTEMPT_RESOLVING || now - a->step_ms < attempt_budget_left(a) ||
            resolver_is_ready(a->lookup))
            continue;
        char bound[NUM_TEXT];
        resolver_cancel(r->resolver, a->lookup);
        stop_lookup(a);
        fail(a, PROBLEM_DNS_TIMEOUT, PHASE_RESOLVE, "%s: no answer after %s",
             attempt_target(a)->address, num_duration_text(bound, r->options->connect_timeout_ms));
    }
    run_pump(r);
}

static void start_lookup(struct attempt *a)
{
    struct run *r = a->run;
    const struct target *t = attempt_target(a);
    struct err e = {0};
    a->state = ATTEMPT_RESOLVING;
    a->phase = PHASE_RESOLVE;
    a->step_ms = clock_ms();
    r->resolving++;
    if (resolver_start(r->resolver, t->address, t->port, on_resolved, a, &a->lookup, &e) != RC_OK)
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_RESOLVE, "%s", e.msg);
}

/* ---- start, cancel, final ---- */

/* What an attempt holds besides itself. */
static void let_go(struct attempt *a)
{
    ending_fini(&a->ending);
    agents_drop(a);
    shown_drop(a);
    mem_free(a->addrs);
    mem_free(a->retry_types);
}

void attempt_free(struct attempt *a)
{
    if (a != NULL)
        let_go(a);
    mem_free(a);
}

/* A host for which there is not even memory to start it: reported without an attempt. */
static void start_failed(struct run *r, uint32_t target)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = PROBLEM_LOCAL_RESOURCE;
    o.phase = PHASE_CONNECT;
    snprintf(o.detail, sizeof o.detail, "out of memory");
    run_event(r, &(struct sched_event){.type = SCHED_EV_FINISHED, .target = target, .outcome = &o});
}

/* The run's bound is the longest of all; a host with a shorter one has used up the difference. */
static uint64_t own_budget(const struct run *r, uint32_t target, uint64_t budget_ms)
{
    uint64_t own = r->plan->targets[target].connect_ms, all = r->options->connect_timeout_ms;
    if (own == 0 || own >= all)
        return budget_ms;
    return budget_ms > all - own ? budget_ms - (all - own) : 0;
}

void attempt_start(struct run *r, uint32_t target, uint32_t number, uint64_t budget_ms)
{
    struct attempt *a = r->attempts[target];
    if (a != NULL)
        let_go(a);
    else
        a = r->attempts[target] = mem_calloc(1, sizeof *a);
    if (a == NULL) {
        start_failed(r, target);
        return;
    }
    bool spent = a->password_spent, become_spent = a->become_spent;
    *a = (struct attempt){.run = r,
                          .target = target,
                          .link = NO_LINK,
                          .number = number,
                          .password_spent = spent,
                          .become_spent = become_spent,
                          .budget_ms = own_budget(r, target, budget_ms),
                          .start_ms = clock_ms(),
                          .start_wall_us = clock_wall_us()};
    list_add(r, a);
    output_started(r->output, target, number);
    const char *bad = attempt_target(a)->bad;
    if (bad == NULL && attempt_target(a)->openssh != NULL && attempt_target(a)->way != 0)
        bad =
            "only OpenSSH's ssh can reach it, which knows nothing of the bastions of --jump or of "
            "the inventory: name them in ssh_config";
    if (bad == NULL && attempt_target(a)->openssh != NULL && r->plan->agent != NULL)
        bad = "only OpenSSH's ssh can reach it, which the agent cannot be talked to through";
    if (bad == NULL && attempt_target(a)->openssh != NULL) {
        attempt_fall_back(a);
        return;
    }
    if (bad == NULL && attempt_target(a)->way == 0) {
        start_lookup(a);
        return;
    }
    a->state = ATTEMPT_GATED;
    if (bad == NULL)
        attempt_enter_gate(a);
    else
        fail(a, PROBLEM_BAD_TARGET, PHASE_RESOLVE, "%s", bad);
}

void attempt_cancel(struct run *r, uint32_t target, enum problem why)
{
    struct attempt *a = r->attempts[target];
    if (a == NULL || a->state == ATTEMPT_RESTING)
        return;
    a->cancelled = true;
    a->why = why;
    if (agents_cancel(a, why))
        return;
    if (a->state == ATTEMPT_WORKING && a->job != 0) {
        fallback_or_pool_cancel(r, a, why);
        return;
    }
    enum phase phase = a->state == ATTEMPT_RESOLVING ? PHASE_RESOLVE : PHASE_CONNECT;
    if (a->state == ATTEMPT_RESOLVING) {
        resolver_cancel(r->resolver, a->lookup);
        stop_lookup(a);
    }
    place_leave(r, target);
    fail(a, why, phase, "before a connection was made");
}

void attempts_free(struct run *r)
{
    for (uint32_t i = 0; r->attempts != NULL && i < r->count; i++)
        attempt_free(r->attempts[i]);
    mem_free(r->attempts);
    r->attempts = NULL;
    r->oldest = r->newest = NULL;
}
