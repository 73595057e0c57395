/* Decides which hosts may have their password for sudo, and when: never one whose key was not known
 * before this run, and few at a time before it was right once (proof.h). Who sends it is through.c
 * for commands, root.c for an agent of another user. Loop thread only. See run_internal.h.
 */
#include <stdio.h>
#include <string.h>

#include "controller/run/run_internal.h"
#include "proto/wire.h"

static void refuse(struct attempt *a, enum problem p, const char *why)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = p;
    o.phase = PHASE_BECOME;
    snprintf(o.detail, sizeof o.detail, "%s", why);
    a->become_go(a, &o);
}

static void answered(struct attempt *a, enum proof_answer answer)
{
    char why[128];
    a->become_turn = answer == PROOF_GO;
    if (answer == PROOF_GO) {
        a->become_go(a, NULL);
        return;
    }
    snprintf(
        why, sizeof why,
        "the password for sudo was not sent: %u hosts have refused it and none has accepted it",
        proof_refusals(a->run->become_proof, attempt_target(a)->become_password));
    refuse(a, PROBLEM_BECOME_WRONG_PASSWORD, why);
}

/* What became of the host's decides for others. */
static void leave(struct attempt *a, enum proof_end end)
{
    struct run *r = a->run;
    uint32_t target;
    enum proof_answer answer;
    a->become_turn = a->become_out = false;
    proof_leave(r->become_proof, a->target, end);
    while (proof_next(r->become_proof, &target, &answer)) {
        must(r->attempts[target] != NULL && r->attempts[target]->host != NULL);
        answered(r->attempts[target], answer);
    }
}

void become_ask(struct attempt *a, void (*go)(struct attempt *a, const struct outcome *refused))
{
    uint32_t secret = attempt_target(a)->become_password;
    enum proof_answer answer = PROOF_GO;
    bool waits = a->become_go != NULL;
    a->become_go = go;
    if (secret == 0 || a->become_turn)
        go(a, NULL);
    else if (waits)
        return; /* the agent died meanwhile and was started anew */
    else if (a->become_spent)
        refuse(a, PROBLEM_BECOME_WRONG_PASSWORD,
               "the password for sudo was sent before, and nobody knows what came of it; it is not "
               "sent twice");
    else if (!secrets_may_send(a->unproven))
        refuse(a, PROBLEM_AUTH_UNPROVEN,
               "the password for sudo goes to no host whose key was not known before this run");
    else if (proof_enter(a->run->become_proof, secret, a->target, &answer, NULL) != RC_OK)
        refuse(a, PROBLEM_LOCAL_RESOURCE, "out of memory");
    else if (answer != PROOF_WAIT)
        answered(a, answer);
}

void become_sent(struct attempt *a)
{
    a->become_out = true;
}

/* An agent that does not say whether sudo asked has proved nothing by having begun. */
void become_started(struct attempt *a, const void *map, size_t n)
{
    struct wire_map m;
    bool typed = false;
    if (!a->become_out)
        return;
    if (wire_open(&m, map, n, NULL) == RC_OK) {
        (void)wire_bool(&m, "password", &typed);
        wire_close(&m);
    }
    leave(a, typed ? PROOF_ACCEPTED : PROOF_UNUSED);
}

/* Ends that say that nobody judged it. After every other one sudo may have counted an attempt: it
 * hangs in a slow PAM, or the agent died. */
static bool is_unused(enum problem p)
{
    switch (p) {
    case PROBLEM_NONE:
    case PROBLEM_EXIT_NONZERO:
    case PROBLEM_KILLED_BY_SIGNAL:
    case PROBLEM_AGENT_REFUSED:
    case PROBLEM_BECOME_MISSING:
    case PROBLEM_BECOME_DENIED:
    case PROBLEM_BECOME_PASSWORD_NEEDED:
    case PROBLEM_BECOME_TTY:
    case PROBLEM_BECOME_NO_DIGEST:
    case PROBLEM_BECOME_NO_PLACE:
    case PROBLEM_BECOME_CHANGED: return true;
    default: return false;
    }
}

static void decided(struct attempt *a, bool refused)
{
    a->become_spent |= refused;
    leave(a, refused ? PROOF_REFUSED : PROOF_UNUSED);
}

void become_ended(struct attempt *a, enum problem p)
{
    if (a->become_out)
        decided(a, !a->cancelled && !is_unused(p));
}

void become_job_ended(struct attempt *a)
{
    a->become_go = NULL;
    decided(a, a->become_out && !a->cancelled);
}
