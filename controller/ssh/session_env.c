/* What the sessions of one loop share: keys, input, the deadline wheel, the pause, and the queue
 * of sessions to be ticked that lets no callback come from inside a call. See session.h. */
#include "controller/ssh/session_int.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

enum { ENV_MAX_KEYS = 256 };
static const size_t ENV_MAX_INPUT = (size_t)1 << 30;

static void free_env(struct session_env *env)
{
    for (size_t i = 0; i < env->key_cap; i++) {
        sshio_key_free(env->keys[i].key);
        mem_free(env->keys[i].label);
    }
    mem_free(env->keys);
    sshio_agent_free(env->agent);
    for (unsigned i = 0; i < SESSION_MAX_BLOBS; i++)
        buf_wipe(&env->blobs[i].bytes);
    mem_free(env);
}

enum rc session_env_new(struct session_env **out, uv_loop_t *loop, struct err *e)
{
    struct session_env *env = mem_calloc(1, sizeof *env);
    if (env == NULL)
        return err_nomem(e);
    env->loop = loop;
    for (unsigned i = 0; i < SESSION_MAX_BLOBS; i++)
        buf_init(&env->blobs[i].bytes, ENV_MAX_INPUT);
    enum rc rc = sshio_agent_new(&env->agent, e);
    if (rc == RC_OK)
        rc = wheel_init(&env->wheel, loop, e);
    if (rc != RC_OK) {
        free_env(env);
        return rc;
    }
    must(uv_idle_init(loop, &env->idle) == 0); /* cannot fail */
    env->idle.data = env;
    sshio_thread_init();
    *out = env;
    return RC_OK;
}

static void handle_closed(struct session_env *env)
{
    if (--env->closing > 0)
        return;
    void (*closed)(void *) = env->closed;
    void *user = env->closed_user;
    free_env(env);
    closed(user);
}

static void wheel_closed(struct wheel *w)
{
    handle_closed((struct session_env *)((char *)w - offsetof(struct session_env, wheel)));
}

static void idle_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void session_env_close(struct session_env *env, void (*closed)(void *user), void *user)
{
    must(env->active == 0 && env->bridges == 0);
    env->closed = closed;
    env->closed_user = user;
    env->closing = 2;
    wheel_close(&env->wheel, wheel_closed);
    uv_close((uv_handle_t *)&env->idle, idle_closed);
}

static enum rc grow_keys(struct session_env *env, unsigned id, struct err *e)
{
    if (id >= ENV_MAX_KEYS)
        return err_set(e, RC_LIMIT, "key number %u is above %d", id, ENV_MAX_KEYS - 1);
    if (id < env->key_cap)
        return RC_OK;
    size_t old = env->key_cap, cap = old;
    if (mem_grow(&env->keys, &cap, (size_t)id + 1, sizeof *env->keys) != 0)
        return err_nomem(e);
    memset(env->keys + old, 0, (cap - old) * sizeof *env->keys);
    env->key_cap = cap;
    return RC_OK;
}

enum rc session_env_add_key(struct session_env *env, unsigned id, const char *text, size_t len,
                            const char *passphrase, const char *label, struct err *e)
{
    struct env_key k = {0};
    enum rc rc = grow_keys(env, id, e);
    if (rc != RC_OK)
        return rc;
    if (env->keys[id].key != NULL)
        return err_set(e, RC_EXISTS, "key number %u is there already", id);
    struct buf copy; /* terminated, for libssh */
    buf_init(&copy, len + 1);
    k.label = mem_strdup(label);
    if (k.label == NULL || buf_append(&copy, text, len) != RC_OK || buf_putc(&copy, 0) != RC_OK)
        rc = err_nomem(e);
    else if ((rc = sshio_key_new(&k.key, (const char *)copy.data, passphrase, e)) != RC_OK)
        err_wrap(e, "%s", label);
    buf_wipe(&copy);
    if (rc == RC_OK)
        env->keys[id] = k;
    else
        mem_free(k.label);
    return rc;
}

/* Takes `key` over, whatever comes of it. */
static enum rc keep_key(struct session_env *env, unsigned id, struct sshio_key *key,
                        const char *label, struct err *e)
{
    struct env_key k = {.key = key, .label = mem_strdup(label)};
    enum rc rc = k.label != NULL ? grow_keys(env, id, e) : err_nomem(e);
    if (rc == RC_OK && env->keys[id].key != NULL)
        rc = err_set(e, RC_EXISTS, "key number %u is there already", id);
    if (rc == RC_OK) {
        env->keys[id] = k;
        return RC_OK;
    }
    sshio_key_free(key);
    mem_free(k.label);
    return rc;
}

enum rc session_env_add_agent_key(struct session_env *env, unsigned id, const void *blob,
                                  size_t len, const char *label, struct err *e)
{
    struct sshio_key *key;
    enum rc rc = sshio_key_new_agent(&key, blob, len, e);
    if (rc == RC_OK)
        return keep_key(env, id, key, label, e);
    err_wrap(e, "%s", label);
    return rc;
}

enum rc session_env_add_cert(struct session_env *env, unsigned id, unsigned base, const void *blob,
                             size_t len, const char *label, struct err *e)
{
    struct sshio_key *key;
    const struct sshio_key *private = env_key(env, base);
    if (private == NULL)
        return err_set(e, RC_NOTFOUND, "%s: its private key could not be used", label);
    enum rc rc = sshio_key_new_cert(&key, private, blob, len, e);
    if (rc == RC_OK)
        return keep_key(env, id, key, label, e);
    err_wrap(e, "%s", label);
    return rc;
}

enum rc session_env_set_blob(struct session_env *env, unsigned blob, const void *p, size_t n,
                             struct err *e)
{
    must(env->active == 0 && blob < SESSION_MAX_BLOBS);
    struct env_blob *b = &env->blobs[blob];
    buf_reset(&b->bytes);
    enum rc rc = buf_append(&b->bytes, p, n);
    b->there = rc == RC_OK;
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : err_set(e, rc, "input for the commands is larger than 1 GiB");
}

bool session_env_has_blob(const struct session_env *env, unsigned blob)
{
    return blob < SESSION_MAX_BLOBS && env->blobs[blob].there;
}

const struct sshio_key *env_key(const struct session_env *env, unsigned id)
{
    return id < env->key_cap ? env->keys[id].key : NULL;
}

void env_link(struct session_env *env, struct session *s)
{
    s->next = env->sessions;
    s->prev = NULL;
    if (s->next != NULL)
        s->next->prev = s;
    env->sessions = s;
    env->active++;
}

void env_unlink(struct session_env *env, struct session *s)
{
    must(!s->is_woken);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        env->sessions = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    env->active--;
}

/* Serves those that were woken before this turn; what they wake waits for the next one. */
static void on_idle(uv_idle_t *idle)
{
    struct session_env *env = idle->data;
    struct session *list = env->woken;
    env->woken = NULL;
    while (list != NULL) {
        struct session *s = list;
        list = s->next_woken;
        s->is_woken = false;
        if (s->state != S_CLOSE)
            session_tick(s);
        else if (s->closed)
            session_report(s);
    }
    if (env->woken == NULL)
        uv_idle_stop(idle);
}

void session_wake(struct session *s)
{
    if (s->is_woken)
        return;
    s->is_woken = true;
    s->next_woken = s->env->woken;
    s->env->woken = s;
    must(uv_idle_start(&s->env->idle, on_idle) == 0);
}

/* Only marks and stops clocks; each session stops reading when it looks at the mark. Safe inside a
 * data callback, that is inside libssh. */
void session_env_pause(struct session_env *env)
{
    if (env->paused)
        return;
    env->paused = true;
    env->paused_ms = clock_ms();
    for (struct session *s = env->sessions; s != NULL; s = s->next)
        if (s->state == S_RUN)
            session_wake(s);
}

void session_env_resume(struct session_env *env)
{
    if (!env->paused)
        return;
    uint64_t now = clock_ms();
    env->paused = false;
    for (struct session *s = env->sessions; s != NULL; s = s->next) {
        if (s->state != S_RUN)
            continue;
        session_skip_clock(s, env->paused_ms, now);
        session_wake(s);
    }
}

bool session_env_hurries(struct session_env *env)
{
    bool left_some = env->left_some;
    env->left_some = false;
    return left_some || env->bridges > 0;
}

size_t session_env_active(const struct session_env *env)
{
    return env->active + env->bridges;
}
