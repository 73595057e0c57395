/* One host's way through an attempt: resolve its name, take a place at its server's gate, hand it
 * to a worker, hear how it ended; the next address, or another handshake, where that may help.
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

enum { MOVES_MAX = 3 };

static const struct target *target_of(const struct attempt *a)
{
    return &a->run->plan->targets[a->target];
}

static void list_add(struct run *r, struct attempt *a)
{
    a->prev = r->newest;
    a->next = NULL;
    *(r->newest != NULL ? &r->newest->next : &r->oldest) = a;
    r->newest = a;
}

static void list_remove(struct run *r, struct attempt *a)
{
    *(a->prev != NULL ? &a->prev->next : &r->oldest) = a->next;
    *(a->next != NULL ? &a->next->prev : &r->newest) = a->prev;
    a->prev = a->next = NULL;
}

static uint64_t budget_left(const struct attempt *a)
{
    return a->used_ms < a->budget_ms ? a->budget_ms - a->used_ms : 0;
}

/* The attempt is over. The scheduler decides what follows; until then the end is kept. */
static void finish(struct attempt *a, const struct outcome *o, const struct session_timing *timing,
                   const char *server_banner)
{
    struct run *r = a->run;
    must(a->state != ATTEMPT_RESTING);
    if (a->state == ATTEMPT_RESOLVING)
        r->resolving--;
    a->state = ATTEMPT_RESTING;
    a->end_ms = clock_ms();
    a->job = 0;
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
    finish(a, &o, NULL, "");
}

/* ---- the gate ---- */

/* What one sshd is told apart by: address and port, without padding. */
static size_t server_key(const union resolve_addr *addr, uint8_t key[18])
{
    if (addr->sa.sa_family == AF_INET6) {
        memcpy(key, &addr->in6.sin6_addr, 16);
        memcpy(key + 16, &addr->in6.sin6_port, 2);
        return 18;
    }
    memcpy(key, &addr->in.sin_addr, 4);
    memcpy(key + 4, &addr->in.sin_port, 2);
    return 6;
}

static bool hand_over(struct attempt *a);

/* Until one of those that wait takes the place: with no worker left none does, however many. */
static void leave_gate(struct run *r, uint32_t target)
{
    for (uint32_t next; gate_release(r->gate, target, &next); target = next) {
        must(r->attempts[next] != NULL && r->attempts[next]->state == ATTEMPT_GATED);
        if (hand_over(r->attempts[next]))
            return;
    }
}

static void enter_gate(struct attempt *a)
{
    uint8_t key[18];
    bool granted = false;
    size_t len = server_key(&a->addrs[a->addr_next], key);
    a->state = ATTEMPT_GATED;
    a->phase = PHASE_CONNECT;
    if (gate_acquire(a->run->gate, key, len, a->target, &granted, NULL) != RC_OK)
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_CONNECT, "out of memory");
    else if (granted && !hand_over(a))
        leave_gate(a->run, a->target);
}

/* ---- the worker ---- */

/* With other addresses left the first may not use up the whole bound on a silent network. */
static uint64_t tcp_budget(const struct attempt *a)
{
    return a->addr_next + 1 < a->addr_count ? budget_left(a) / 2 : 0;
}

static enum rc start_scan(struct attempt *a, const char *types, struct err *e)
{
    struct session_spec spec = {
        .kind = SESSION_SCAN,
        .label = target_of(a)->host->name,
        .addr = a->addrs[a->addr_next],
        .user = "",
        .hostkey_types = types,
        .legacy = target_of(a)->legacy,
        .command = "",
        .connect_budget_ms = budget_left(a),
        .tcp_budget_ms = tcp_budget(a),
    };
    return pool_start(a->run->pool, a->job, &spec, e);
}

static enum rc start_job(struct attempt *a, const char *types, struct buf *line, struct err *e)
{
    struct run *r = a->run;
    const struct target *t = target_of(a);
    const struct options *o = r->options;
    if (r->plan->scan != NULL)
        return start_scan(a, types, e);
    enum rc rc = wrap_line(r->plan->command, t->host->name, a->target, r->count, line, e);
    if (rc != RC_OK)
        return rc;
    struct session_spec spec = {
        .kind = SESSION_RUN,
        .label = t->host->name,
        .addr = a->addrs[a->addr_next],
        .user = t->user,
        .key_count = t->key_count,
        .hostkey_types = types,
        .legacy = t->legacy,
        .command = line->data,
        .command_len = line->len,
        .use_stdin = r->plan->input != NULL,
        .connect_budget_ms = budget_left(a),
        .tcp_budget_ms = tcp_budget(a),
        .run_timeout_ms = o->timeout_ms,
        .silence_timeout_ms = o->silence_timeout_ms,
    };
    for (unsigned i = 0; i < t->key_count; i++)
        spec.keys[i] = t->keys[i];
    /* On its way to the disk while the handshake goes on: a host that the record of a killed
     * controller does not know as started has surely not run the command. */
    record_started(r->record, a->target);
    return pool_start(r->pool, a->job, &spec, e);
}

/* false: it failed, and its place is to be given back. */
static bool hand_over(struct attempt *a)
{
    struct run *r = a->run;
    const struct target *t = target_of(a);
    char types[256];
    if (budget_left(a) == 0) {
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
    if (rc == RC_NOTFOUND)
        fail(a, PROBLEM_WORKER_DIED, PHASE_CONNECT, "no worker process is left");
    else
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_CONNECT, "%s", e.msg);
    return false;
}

static void start_fallback(struct attempt *a)
{
    struct err e = {0};
    a->state = ATTEMPT_WORKING;
    a->phase = PHASE_CONNECT;
    enum rc rc = fallback_start(a->run, a, budget_left(a), &e);
    if (rc == RC_CONFIG || rc == RC_LIMIT)
        fail(a, PROBLEM_BAD_TARGET, PHASE_RESOLVE, "%s", e.msg);
    else if (rc != RC_OK)
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_CONNECT, "%s", e.msg);
}

/* Is it this address that failed, and is there another? */
static bool next_address(const struct attempt *a, const struct session_result *res)
{
    if (a->cancelled || a->sent || a->addr_next + 1 >= a->addr_count || budget_left(a) == 0)
        return false;
    switch (res->outcome.problem) {
    case PROBLEM_CONNECT_REFUSED:
    case PROBLEM_CONNECT_TIMEOUT:
    case PROBLEM_CONNECT_FAILED: return true;
    default: return false;
    }
}

static struct attempt *attempt_of(struct run *r, uint64_t job)
{
    struct attempt *a = r->attempts[(uint32_t)job];
    return a != NULL && a->job == job ? a : NULL;
}

/* Time in the worker's line is not the host's. */
static void on_begun(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    a->begun = true;
    a->step_ms = clock_ms();
}

static void on_hostkey(void *user, uint64_t job, const char *key_type, const void *blob, size_t len)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    const struct target *t = target_of(a);
    a->phase = PHASE_HOST_KEY;
    if (r->plan->scan != NULL) {
        r->plan->scan->seen(r->plan->scan->user, a->target, key_type, blob, len);
        return;
    }
    enum rc rc = trust_ask(r->trust, &t->trust, job, t->key_name, t->alias ? 22 : t->port, key_type,
                           blob, len, a->reshaken);
    if (rc != RC_OK)
        pool_hostkey_answer(r->pool, job, HOSTKEY_REJECT, PROBLEM_LOCAL_RESOURCE, "out of memory");
}

void attempt_on_trust(void *user, uint64_t job, const struct trust_answer *answer)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    if (answer->retry_types[0] != '\0') {
        mem_free(a->retry_types);
        a->retry_types = mem_strdup(answer->retry_types);
    }
    if (answer->accept)
        a->phase = PHASE_AUTH;
    pool_hostkey_answer(r->pool, job, answer->accept ? HOSTKEY_ACCEPT : HOSTKEY_REJECT,
                        answer->problem, answer->detail);
}

static void on_authenticated(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    a->phase = PHASE_OPEN;
    leave_gate(r, a->target);
    run_pump(r);
}

static void on_sent(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    a->phase = PHASE_RUN;
    a->sent = true;
    a->used_ms += clock_ms() - a->step_ms;
    record_sent(r->record, a->target);
    run_event(r, &(struct sched_event){.type = SCHED_EV_SENT, .target = a->target});
    run_pump(r);
}

static void on_data(void *user, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a != NULL)
        output_data(r->output, a->target, is_stderr, p, n);
}

/* Its worker died before it had begun: the host has nothing to do with that, so this is no end of
 * an attempt. A few times only: the word that it had begun may have died with the worker. */
static bool moves_on(struct attempt *a, const struct session_result *res)
{
    return res->outcome.problem == PROBLEM_WORKER_DIED && !a->begun && !a->cancelled &&
           a->moves++ < MOVES_MAX;
}

static void on_done(void *user, uint64_t job, const struct session_result *result)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    if (!a->sent && a->begun)
        a->used_ms += clock_ms() - a->step_ms;
    a->job = 0;
    leave_gate(r, a->target);
    if (a->retry_types != NULL && !a->reshaken && !a->cancelled && budget_left(a) > 0 &&
        result->outcome.problem == PROBLEM_HOST_KEY_CHANGED) {
        a->reshaken = true;
        enter_gate(a);
    } else if (next_address(a, result)) {
        a->addr_next++;
        enter_gate(a);
    } else if (fallback_serves(r, a, result)) {
        start_fallback(a);
    } else if (scan_goes_on(a, result) || moves_on(a, result)) {
        enter_gate(a);
    } else {
        struct outcome o = result->outcome;
        scan_settle(a, &o);
        fallback_settle(a, &o);
        finish(a, &o, &result->timing, result->server_banner);
    }
    run_pump(r);
}

static void on_trouble(void *user, enum rc rc, const char *message, bool all_dead)
{
    struct run *r = user;
    if (rc == RC_CRYPTO)
        log_warn("%s", message);
    else
        log_error("%s%s", message, all_dead ? "; no worker is left" : "");
    run_pump(r);
}

const struct pool_ops attempt_pool_ops = {
    .begun = on_begun,
    .hostkey = on_hostkey,
    .authenticated = on_authenticated,
    .sent = on_sent,
    .data = on_data,
    .done = on_done,
    .trouble = on_trouble,
};

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
    unsigned family = target_of(a)->family;
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
        fail(a, result->problem, PHASE_RESOLVE, "%s: %s", target_of(a)->address, result->detail);
    else if (!take_addresses(a, result))
        fail(a, PROBLEM_LOCAL_RESOURCE, PHASE_RESOLVE, "out of memory");
    else if (a->addr_count == 0)
        fail(a, PROBLEM_DNS_NOT_FOUND, PHASE_RESOLVE,
             "%s: no address of the family that AddressFamily asks for", target_of(a)->address);
    else
        enter_gate(a);
    run_pump(r);
}

/* Look-ups have no bound of their own in the system: the beat ends those past theirs. */
void attempt_check_lookups(struct run *r)
{
    uint64_t now = clock_ms();
    for (struct attempt *a = r->oldest, *next; r->resolving > 0 && a != NULL; a = next) {
        next = a->next;
        if (a->state != ATTEMPT_RESOLVING || now - a->step_ms < budget_left(a) ||
            resolver_is_ready(a->lookup))
            continue;
        char bound[NUM_TEXT];
        resolver_cancel(r->resolver, a->lookup);
        stop_lookup(a);
        fail(a, PROBLEM_DNS_TIMEOUT, PHASE_RESOLVE, "%s: no answer after %s", target_of(a)->address,
             num_duration_text(bound, r->options->connect_timeout_ms));
    }
    run_pump(r);
}

static void start_lookup(struct attempt *a)
{
    struct run *r = a->run;
    const struct target *t = target_of(a);
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
    mem_free(a->addrs);
    mem_free(a->retry_types);
}

static void free_attempt(struct attempt *a)
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
    *a = (struct attempt){.run = r,
                          .target = target,
                          .number = number,
                          .budget_ms = own_budget(r, target, budget_ms),
                          .start_ms = clock_ms(),
                          .start_wall_us = clock_wall_us()};
    list_add(r, a);
    output_started(r->output, target, number);
    const char *bad = target_of(a)->bad;
    if (bad == NULL && target_of(a)->openssh != NULL) {
        start_fallback(a);
        return;
    }
    if (bad == NULL) {
        start_lookup(a);
        return;
    }
    a->state = ATTEMPT_GATED;
    fail(a, PROBLEM_BAD_TARGET, PHASE_RESOLVE, "%s", bad);
}

void attempt_cancel(struct run *r, uint32_t target, enum problem why)
{
    struct attempt *a = r->attempts[target];
    if (a == NULL || a->state == ATTEMPT_RESTING)
        return;
    a->cancelled = true;
    a->why = why;
    if (a->state == ATTEMPT_WORKING && a->job != 0) {
        fallback_or_pool_cancel(r, a, why);
        return;
    }
    enum phase phase = a->state == ATTEMPT_RESOLVING ? PHASE_RESOLVE : PHASE_CONNECT;
    if (a->state == ATTEMPT_RESOLVING) {
        resolver_cancel(r->resolver, a->lookup);
        stop_lookup(a);
    }
    leave_gate(r, target);
    fail(a, why, phase, "before a connection was made");
}

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
    if (problem == PROBLEM_NONE && a != NULL)
        ending_outcome(&a->ending, &o);
    else /* no attempt and yet an end of its own: there was no memory to start it */
        o.problem = problem == PROBLEM_NONE ? PROBLEM_LOCAL_RESOURCE : problem;
    struct output_result result;
    char address[INET6_ADDRSTRLEN];
    fill_result(r, target, &result, address);
    result.outcome = &o;
    output_result(r->output, &result);
    if (r->plan->scan != NULL)
        r->plan->scan->ended(r->plan->scan->user, target, result.outcome, address);
    else
        record_host(r, &result);
    r->attempts[target] = NULL;
    free_attempt(a);
}

void attempts_free(struct run *r)
{
    for (uint32_t i = 0; r->attempts != NULL && i < r->count; i++)
        free_attempt(r->attempts[i]);
    mem_free(r->attempts);
    r->attempts = NULL;
    r->oldest = r->newest = NULL;
}
