/* Logging in with a key that an agent holds: see session.h and ssh_io_agent.h.
 *
 *   AUTH: offer the key ──accepted──> SIGN: ask the owner ──signature──> AUTH: offer anew, log in
 *
 * While the agent thinks, the key is offered anew already: the second offer then costs no round
 * trip of its own. An offer that is under way has to be taken to its end before anything else may
 * be said in the session, which is what `pending` stands for. */
#include "controller/ssh/session_int.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

void session_agent_forget(struct session *s)
{
    mem_free(s->sign.signature);
    s->sign.signature = NULL;
    s->sign.answered = false;
    s->sign.pending = false;
}

/* The agent would not sign, and the offer that was made meanwhile is answered now: libssh meets
 * another "no" of ours, and is ready for the next key. */
static bool given_up(const struct session *s)
{
    return s->sign.failed || (s->sign.answered && s->sign.answer != SIGN_OK);
}

enum sshio_step session_agent_step(struct session *s, const struct sshio_key *key)
{
    struct session_sign *g = &s->sign;
    if (given_up(s) && !g->pending)
        return SSHIO_DENIED;
    enum sshio_step step = sshio_auth_agent(s->io, s->env->agent, s->user_name, key,
                                            given_up(s) ? NULL : g->signature, g->len);
    if (step != SSHIO_AGAIN)
        g->pending = false;
    return step == SSHIO_SIGN && given_up(s) ? SSHIO_DENIED : step;
}

enum step session_agent_ask(struct session *s)
{
    struct session_sign *g = &s->sign;
    size_t n;
    const void *data = sshio_agent_data(s->env->agent, &n);
    unsigned id = s->keys[s->key_at];
    g->answered = false;
    g->since_ms = clock_ms();
    session_move(s, S_SIGN);
    s->ops->sign(s->user, id, data, n);
    enum sshio_step step =
        sshio_auth_agent(s->io, s->env->agent, s->user_name, env_key(s->env, id), NULL, 0);
    if (step == SSHIO_DEAD)
        return session_died(s);
    g->pending = step == SSHIO_AGAIN;
    return STEP_NEXT;
}

enum step session_in_sign(struct session *s)
{
    struct session_sign *g = &s->sign;
    if (!g->answered)
        return STEP_WAIT;
    if (s->budget_due_ms != 0)
        s->budget_due_ms += clock_ms() - g->since_ms;
    g->refused |= g->answer == SIGN_REFUSED;
    g->failed |= g->answer == SIGN_FAILED;
    return session_move(s, S_AUTH);
}

void session_sign_answer(struct session *s, enum sign_answer a, const void *sig, size_t len,
                         const char *detail)
{
    struct session_sign *g = &s->sign;
    if (s->state != S_SIGN || g->answered)
        return;
    g->answered = true;
    g->answer = a;
    g->len = len;
    g->signature = a == SIGN_OK ? mem_memdup(sig, len) : NULL;
    if (a == SIGN_OK && g->signature == NULL) {
        g->answer = SIGN_FAILED;
        detail = "out of memory for a signature";
    }
    if (g->answer != SIGN_OK) {
        mem_free(g->detail);
        g->detail = mem_strdup(detail);
    }
    session_wake(s);
}
