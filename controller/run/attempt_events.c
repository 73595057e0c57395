/* What a worker, or OpenSSH's ssh, says of an attempt: its host key, the steps of its login, its
 * output, its end; after an end the next address, or another handshake, where that may help.
 *
 * Loop thread only; every event ends with what the scheduler makes of it (run_pump).
 */
#include "controller/run/run_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

enum { MOVES_MAX = 3 };

/* The link ended before the command was sent: that is the bastion's doing, and there are others, or
 * it can be connected to again. */
bool attempt_lost_link(struct attempt *a)
{
    if (a->link == NO_LINK || a->cancelled || a->sent || attempt_budget_left(a) == 0 ||
        a->rejoined == REJOIN_MAX)
        return false;
    a->rejoined++;
    links_hold(a->run, a->link);
    links_leave(a->run, a->target);
    return true;
}

/* Is it this address that failed, and is there another? */
static bool next_address(const struct attempt *a, const struct session_result *res)
{
    if (a->cancelled || a->sent || a->addr_next + 1 >= a->addr_count || attempt_budget_left(a) == 0)
        return false;
    switch (res->outcome.problem) {
    case PROBLEM_CONNECT_REFUSED:
    case PROBLEM_CONNECT_TIMEOUT:
    case PROBLEM_CONNECT_FAILED: return true;
    default: return false;
    }
}

struct attempt *attempt_of(struct run *r, uint64_t job)
{
    struct attempt *a = (uint32_t)job < r->count ? r->attempts[(uint32_t)job] : NULL;
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
    struct link *l = link_of(r, job);
    if (l != NULL)
        link_on_hostkey(l, job, key_type, blob, len);
    if (a == NULL)
        return;
    const struct target *t = attempt_target(a);
    a->phase = PHASE_HOST_KEY;
    a->late_go = false;
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
    struct link *l = link_of(r, job);
    if (l != NULL)
        link_on_trust(l, job, answer);
    if (a == NULL)
        return;
    if (answer->retry_types[0] != '\0') {
        mem_free(a->retry_types);
        a->retry_types = mem_strdup(answer->retry_types);
    }
    a->unproven = answer->unproven;
    if (answer->accept)
        a->phase = PHASE_AUTH;
    pool_hostkey_answer(r->pool, job, answer->accept ? HOSTKEY_ACCEPT : HOSTKEY_REJECT,
                        answer->problem, answer->detail);
}

static void on_authenticated(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    struct link *l = link_of(r, job);
    if (l != NULL)
        link_on_authenticated(l, job);
    if (a == NULL)
        return;
    a->phase = PHASE_OPEN;
    password_authenticated(a);
    place_leave(r, a->target);
    run_pump(r);
}

static void on_sent(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL || a->sent) /* a warm job's further commands */
        return;
    a->phase = PHASE_RUN;
    a->sent = true;
    agents_sent(a);
    a->used_ms += clock_ms() - a->step_ms;
    record_sent(r->record, a->target);
    run_event(r, &(struct sched_event){.type = SCHED_EV_SENT, .target = a->target});
    run_pump(r);
}

static void on_data(void *user, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL)
        return;
    if (agents_data(a, is_stderr, p, n))
        run_pump(r);
    else
        shown_data(a, is_stderr, p, n);
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
    struct link *l = link_of(r, job);
    if (l != NULL)
        link_on_done(l, job, result);
    if (a == NULL)
        return;
    bool dropped = aside_was_dropped(a, &result->outcome);
    signing_leave(r, a->target);
    if (!a->sent && a->begun)
        a->used_ms += clock_ms() - a->step_ms;
    a->job = 0;
    password_job_ended(a, &result->outcome);
    become_job_ended(a);
    place_leave(r, a->target);
    if (dropped && !a->cancelled) {
        aside_again(a);
    } else if (a->retry_types != NULL && !a->reshaken && !a->cancelled &&
               attempt_budget_left(a) > 0 && result->outcome.problem == PROBLEM_HOST_KEY_CHANGED) {
        a->reshaken = true;
        links_leave(r, a->target);
        aside_again(a);
    } else if (result->outcome.problem == PROBLEM_JUMP_UNREACHABLE && attempt_lost_link(a)) {
        aside_again(a);
    } else if (next_address(a, result)) {
        a->addr_next++;
        aside_again(a);
    } else if (fallback_serves(r, a, result)) {
        attempt_fall_back(a);
    } else if (scan_goes_on(a, result) || moves_on(a, result)) {
        links_leave(r, a->target);
        aside_again(a);
    } else {
        struct outcome o = result->outcome;
        aside_settle(a, dropped, &o);
        shown_end(a);
        password_settle(a, &o);
        scan_settle(a, &o);
        fallback_settle(a, &o);
        agents_settle(a, &o);
        signing_explain(a, &o);
        attempt_finish(a, &o, &result->timing, result->server_banner);
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
    .silent = aside_on_silent,
    .answered = aside_on_answered,
    .hostkey = on_hostkey,
    .password = attempt_on_password,
    .authenticated = on_authenticated,
    .sent = on_sent,
    .data = on_data,
    .done = on_done,
    .trouble = on_trouble,
    .sign = signing_asked,
    .ended = agents_command_ended,
    .taken = agents_taken,
};
