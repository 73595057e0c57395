/* Logins that the user's ssh-agent signs: which hosts may be at it, what may be signed, and the way
 * of a signature from the agent to the worker. See run_internal.h and controller/agent/agent.h.
 *
 * The time that a host spends in the agent's line is not the host's: its bound stands still. Loop
 * thread only.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

/* How long the agent may think about one signature, in connect timeouts: time for a person, too. */
enum { PATIENCE = 3 };

const char *run_agent_path(const struct options *o)
{
    const char *path = o->agent != NULL ? o->agent : getenv("SSH_AUTH_SOCK");
    return path == NULL || *path == '\0' || strcmp(path, "none") == 0 ? NULL : path;
}

static void start_waiting(struct run *r);

/* The host, or the bastion, that this job logs in to; NULL: it has ended. */
static const struct target *target_of(struct run *r, uint64_t job, struct attempt **a)
{
    struct link *l = link_of(r, job);
    *a = l == NULL ? r->attempts[(uint32_t)job] : NULL;
    if (l != NULL)
        return link_logs_in(l, job);
    return *a != NULL && (*a)->job == job ? &r->plan->targets[(*a)->target] : NULL;
}

/* The time in the line was not the host's. */
static void stop_waiting(struct attempt *a)
{
    if (a == NULL || a->sign_ms == 0)
        return;
    a->step_ms += clock_ms() - a->sign_ms;
    a->sign_ms = 0;
}

static void on_answer(void *user, uint64_t job, enum agent_answer answer, const void *sig,
                      size_t len, const char *why)
{
    static const enum sign_answer answers[] = {
        [AGENT_SIGNED] = SIGN_OK, [AGENT_REFUSED] = SIGN_REFUSED, [AGENT_FAILED] = SIGN_FAILED};
    struct run *r = user;
    struct attempt *a;
    if (target_of(r, job, &a) != NULL) {
        stop_waiting(a);
        pool_signed(r->pool, job, answers[answer], sig, len, why);
    }
    if (answer == AGENT_FAILED && !r->agent_failed) {
        r->agent_failed = true;
        log_error("%s", why);
    }
    turns_pace(r->turns, answer == AGENT_FAILED ? 1 : agent_pace_us(r->agent));
    start_waiting(r);
    run_pump(r);
}

static const struct agent_ops agent_ops = {.answer = on_answer};

enum rc signing_open(struct run *r, struct err *e)
{
    const struct keys *k = r->plan->keys;
    const char *path = run_agent_path(r->options);
    bool wanted = false;
    for (size_t i = 0; i < k->count; i++)
        wanted = wanted || k->items[i].agent_blob != NULL;
    if (!wanted || path == NULL)
        return RC_OK;
    enum rc rc = turns_new(&r->turns, r->count, e);
    if (rc == RC_OK)
        rc = agent_new(&r->agent, &r->loop, path, PATIENCE * r->options->connect_timeout_ms,
                       &agent_ops, r, e);
    return rc;
}

void signing_close(struct run *r)
{
    agent_close(r->agent);
}

void signing_free(struct run *r)
{
    agent_free(r->agent);
    turns_free(r->turns);
}

/* ---- turns ---- */

bool signing_turn(struct attempt *a)
{
    struct run *r = a->run;
    const struct target *t = &r->plan->targets[a->target];
    if (r->turns == NULL || r->plan->scan != NULL)
        return true;
    for (unsigned i = 0; i < t->key_count; i++)
        if (r->plan->keys->items[t->keys[i]].agent_blob != NULL)
            return turns_take(r->turns, a->target);
    return true;
}

static void start_waiting(struct run *r)
{
    if (r->starting || r->done)
        return;
    r->starting = true; /* whoever fails to start gives its turn back, which comes here again */
    for (uint32_t next; turns_next(r->turns, &next);) {
        must(r->attempts[next] != NULL && r->attempts[next]->state == ATTEMPT_GATED);
        attempt_go_on(r->attempts[next]);
    }
    r->starting = false;
}

void signing_leave(struct run *r, uint32_t target)
{
    if (r->turns == NULL || target >= r->count)
        return;
    struct attempt *a = r->attempts[target];
    if (a != NULL && a->sign_ms != 0)
        agent_cancel(r->agent, a->sign_job);
    stop_waiting(a);
    turns_give(r->turns, target);
    start_waiting(r);
}

/* ---- signatures ---- */

static enum rc ask(struct run *r, uint64_t job, const struct target *t, unsigned key,
                   const void *data, size_t n, struct err *e)
{
    const struct keys *k = r->plan->keys;
    uint32_t flags;
    bool ours = false;
    for (unsigned i = 0; i < t->key_count; i++)
        ours = ours || t->keys[i] == key;
    if (!ours || key >= k->count || k->items[key].agent_blob == NULL || r->agent == NULL)
        return err_set(e, RC_PROTO, "a signature with a key that is not this host's was asked for");
    const struct key_file *f = &k->items[key];
    enum rc rc = agent_check_login(data, n, t->user, f->blob, f->blob_len, &flags, e);
    if (rc != RC_OK)
        return rc;
    rc = agent_sign(r->agent, job, f->agent_blob, f->agent_len, data, n, flags);
    return rc == RC_OK ? rc : err_set(e, rc, "no memory for a signature");
}

void signing_asked(void *user, uint64_t job, unsigned key, const void *data, size_t n)
{
    struct run *r = user;
    struct attempt *a;
    struct err e = {0};
    const struct target *t = target_of(r, job, &a);
    if (t == NULL)
        return;
    enum rc rc = ask(r, job, t, key, data, n, &e);
    if (rc != RC_OK) {
        char text[400];
        snprintf(text, sizeof text, "not signed: %.380s", e.msg);
        pool_signed(r->pool, job, SIGN_REFUSED, NULL, 0, text);
    } else if (a != NULL) {
        a->sign_ms = clock_ms();
        a->sign_job = job;
    }
}

/* What we know about its keys and the server could not: a certificate that we left out. */
void signing_explain(const struct attempt *a, struct outcome *o)
{
    const struct target *t = &a->run->plan->targets[a->target];
    const struct keys *k = a->run->plan->keys;
    if (o->problem != PROBLEM_AUTH_DENIED && o->problem != PROBLEM_AUTH_NO_METHOD)
        return;
    for (unsigned i = 0; i < t->key_count; i++) {
        const char *fault = k->items[t->keys[i]].fault;
        size_t len = strlen(o->detail);
        if (fault != NULL)
            str_escape_to(o->detail + len, sizeof o->detail - len, "; ", 2, 0);
        len = strlen(o->detail);
        if (fault != NULL)
            str_escape_to(o->detail + len, sizeof o->detail - len, fault, strlen(fault), 0);
    }
}
