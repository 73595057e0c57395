/* The states between the key exchange and the channel: host key, login service, keys. See
 * session.h and the table in session.c. */
#include "controller/ssh/session_int.h"

#include <stdio.h>
#include <string.h>

/* The type is the first string of the blob. */
static bool key_type(char *dst, size_t cap, const struct buf *blob)
{
    if (blob->len < 4)
        return false;
    const uint8_t *p = blob->data;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n == 0 || n >= cap || n > blob->len - 4)
        return false;
    memcpy(dst, p + 4, n);
    dst[n] = '\0';
    return true;
}

static enum step ask_hostkey(struct session *s)
{
    struct buf blob;
    struct err e = {0};
    char type[64];
    buf_init(&blob, 64 * 1024);
    enum rc rc = sshio_host_key(s->io, &blob, &e);
    if (rc == RC_OK && !key_type(type, sizeof type, &blob))
        rc = err_set(&e, RC_CRYPTO, "the server's host key has no type");
    s->asked = true;
    if (rc == RC_OK)
        s->ops->hostkey(s->user, type, blob.data, blob.len);
    buf_fini(&blob);
    if (rc == RC_OK)
        return s->kind == SESSION_SCAN ? session_end(s, PROBLEM_NONE) : STEP_NEXT;
    return session_fail(s, rc == RC_NOMEM ? PROBLEM_LOCAL_RESOURCE : PROBLEM_KEX_FAILED, "%s",
                        e.msg);
}

enum step session_in_hostkey(struct session *s)
{
    if (!s->asked)
        return ask_hostkey(s);
    if (!s->answered)
        return STEP_WAIT;
    if (s->answer == HOSTKEY_REJECT)
        return session_fail(s, s->answer_problem, "%s",
                            s->answer_detail != NULL ? s->answer_detail : "");
    s->result.timing.host_key = session_elapsed_us(s);
    return session_move(s, S_SERVICE);
}

void session_hostkey_answer(struct session *s, enum hostkey_answer a, enum problem problem,
                            const char *detail)
{
    if (s->answered || s->state != S_HOSTKEY)
        return;
    s->answered = true;
    s->answer = a;
    s->answer_problem = problem;
    if (a == HOSTKEY_REJECT)
        session_note(&s->answer_detail, detail);
    session_wake(s);
}

enum step session_in_service(struct session *s)
{
    switch (sshio_service(s->io)) {
    case SSHIO_OK: return session_move(s, S_AUTH);
    case SSHIO_AGAIN: return STEP_WAIT;
    default: return session_died(s);
    }
}

enum step session_auth_failed(struct session *s)
{
    char methods[96];
    sshio_auth_methods(s->io, methods, sizeof methods);
    const char *others = methods[0] != '\0' ? methods : "nothing";
    const char *why = s->sign.detail != NULL ? s->sign.detail : "the agent did not sign";
    if (s->sign.failed)
        return session_fail(s, PROBLEM_AGENT_FAILED, "%s", why);
    if (s->partial)
        return session_fail(s, PROBLEM_AUTH_DENIED,
                            "a key was accepted for %s, but the server also wants %s", s->user_name,
                            others);
    if (s->keys_tried == 0)
        return session_fail(s, PROBLEM_AUTH_NO_METHOD,
                            "no key to log in with as %s; the server takes %s", s->user_name,
                            others);
    if (s->sign.refused)
        return session_fail(s, PROBLEM_AUTH_DENIED, "%s, for %s", why, s->user_name);
    return session_fail(s, PROBLEM_AUTH_DENIED, "%u key%s refused for %s; the server takes %s",
                        s->keys_tried, s->keys_tried == 1 ? "" : "s", s->user_name, others);
}

/* One key is signed with at once, which saves a round trip; of several, each is offered first, so
 * that no signature (and no failed login on record) is spent on those the server does not know. */
static enum sshio_step auth_step(struct session *s)
{
    if (s->key_count == 0)
        return sshio_auth_none(s->io, s->user_name);
    const struct sshio_key *key = env_key(s->env, s->keys[s->key_at]);
    if (sshio_key_in_agent(key))
        return session_agent_step(s, key);
    if (s->key_count > 1 && !s->offered)
        return sshio_auth_offer(s->io, s->user_name, key);
    return sshio_auth_sign(s->io, s->user_name, key);
}

enum step session_authenticated(struct session *s)
{
    s->result.timing.auth = session_elapsed_us(s);
    session_move(s, s->kind == SESSION_LINK ? S_LINKED : S_OPEN);
    if (s->kind == SESSION_LINK) {
        s->budget_due_ms = 0;
        session_set_deadline(s);
        s->ops->authenticated(s->user);
    }
    return STEP_NEXT;
}

enum step session_next_key(struct session *s)
{
    if (s->key_count > 0)
        s->keys_tried++;
    s->offered = false;
    session_agent_forget(s);
    s->key_at++;
    return s->key_at < s->key_count ? STEP_NEXT : session_after_keys(s);
}

enum step session_in_auth(struct session *s)
{
    if (s->way != LOGIN_KEYS)
        return session_in_password(s);
    bool offering =
        s->key_count > 1 && !s->offered && !sshio_key_in_agent(env_key(s->env, s->keys[s->key_at]));
    switch (auth_step(s)) {
    case SSHIO_AGAIN: return STEP_WAIT;
    case SSHIO_DEAD: s->keys_tried += s->key_count > 0; return session_died(s);
    case SSHIO_OK:
        if (!offering)
            return session_authenticated(s);
        s->offered = true;
        return STEP_NEXT;
    case SSHIO_SIGN: return session_agent_ask(s);
    case SSHIO_PARTIAL:
        s->partial = true;
        return sshio_auth_takes(s->io, "publickey") ? session_next_key(s) : session_after_keys(s);
    default: return session_next_key(s);
    }
}
