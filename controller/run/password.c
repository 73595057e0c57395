/* Gives a host its password when its server asks, and decides whether it gets one at all: never a
 * host whose key was not known before, never twice, and few at a time before it was right once
 * (proof.h). The worker learns a password only here. Loop thread only. See run_internal.h.
 */
#include <stdio.h>
#include <string.h>

#include "common/str.h"
#include "controller/run/run_internal.h"

static void withhold(struct attempt *a, enum withheld why)
{
    a->withheld = why;
    pool_password_answer(a->run->pool, a->job, NULL, 0);
}

static void give(struct attempt *a)
{
    struct run *r = a->run;
    size_t len = 0;
    const char *text = secrets_text(r->plan->secrets, r->plan->targets[a->target].password, &len);
    a->password_out = true;
    pool_password_answer(r->pool, a->job, text, len);
}

/* Those for whom another's end has decided. */
static void tell_waiting(struct run *r)
{
    uint32_t target;
    enum proof_answer answer;
    while (proof_next(r->proof, &target, &answer)) {
        struct attempt *a = r->attempts[target];
        must(a != NULL && a->job != 0);
        if (answer == PROOF_GO)
            give(a);
        else
            withhold(a, WITHHELD_BARRED);
    }
}

void attempt_on_password(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    enum proof_answer answer = PROOF_GO;
    if (a == NULL)
        return;
    if (!secrets_may_send(a->unproven))
        withhold(a, WITHHELD_UNPROVEN);
    else if (a->password_spent)
        withhold(a, WITHHELD_SPENT);
    else if (proof_enter(r->proof, r->plan->targets[a->target].password, a->target, &answer,
                         NULL) != RC_OK)
        withhold(a, WITHHELD_NO_MEMORY);
    else if (answer == PROOF_GO)
        give(a);
    else if (answer == PROOF_BARRED)
        withhold(a, WITHHELD_BARRED);
}

void password_authenticated(struct attempt *a)
{
    proof_leave(a->run->proof, a->target, a->password_out ? PROOF_ACCEPTED : PROOF_UNUSED);
    a->password_out = false;
    tell_waiting(a->run);
}

/* What became of a host that got none is what we decided, not how the worker put it. */
static void explain(const struct attempt *a, struct outcome *o)
{
    const struct run *r = a->run;
    const struct target *t = &r->plan->targets[a->target];
    enum host_keys_policy policy = t->trust.own_policy ? t->trust.policy : r->options->host_keys;
    switch ((enum withheld)a->withheld) {
    case WITHHELD_NOT: return;
    case WITHHELD_UNPROVEN:
        o->problem = PROBLEM_AUTH_UNPROVEN;
        snprintf(o->detail, sizeof o->detail, "the server wants the password, and none is sent %s",
                 policy == HOST_KEYS_OFF
                     ? "while host keys are not checked (--host-keys off): record the host's key "
                       "and leave that option out"
                     : "to a host whose key was accepted in this run: check the key, it is on "
                       "record now, and run again");
        return;
    case WITHHELD_BARRED:
        snprintf(o->detail, sizeof o->detail,
                 "the password was not sent: %u hosts have refused it and none has accepted it",
                 proof_refusals(r->proof, t->password));
        return;
    case WITHHELD_SPENT:
        snprintf(o->detail, sizeof o->detail,
                 "the password was sent before and did not let us in; it is not sent twice");
        return;
    case WITHHELD_NO_MEMORY:
        o->problem = PROBLEM_LOCAL_RESOURCE;
        snprintf(o->detail, sizeof o->detail, "out of memory");
        return;
    }
}

/* A login that lacked a password which the inventory has, in a form that we cannot read. */
static void name_missing(const struct attempt *a, struct outcome *o)
{
    const char *why = a->run->plan->targets[a->target].no_password;
    char text[256];
    if (why == NULL || (o->problem != PROBLEM_AUTH_DENIED && o->problem != PROBLEM_AUTH_NO_METHOD))
        return;
    snprintf(text, sizeof text, "; its password: %s", why);
    size_t len = strlen(o->detail);
    str_escape_to(o->detail + len, sizeof o->detail - len, text, strlen(text), 0);
}

void password_job_ended(struct attempt *a, const struct outcome *o)
{
    bool refused = a->password_out && !a->cancelled && o->problem != PROBLEM_JUMP_UNREACHABLE;
    a->password_spent |= a->password_out;
    a->password_out = false;
    proof_leave(a->run->proof, a->target, refused ? PROOF_REFUSED : PROOF_UNUSED);
    tell_waiting(a->run);
}

void password_settle(const struct attempt *a, struct outcome *o)
{
    if (o->problem == PROBLEM_AUTH_DENIED)
        explain(a, o);
    name_missing(a, o);
}
