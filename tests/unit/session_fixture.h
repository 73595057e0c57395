/* A loop with sessions on it, and what each of them did. Included by the tests of sessions.
 *
 * bench_fini is half of every test: no session left, no descriptor, no live allocation, and a loop
 * that closes.
 */
#ifndef TESTS_UNIT_SESSION_FIXTURE_H
#define TESTS_UNIT_SESSION_FIXTURE_H

#include <dirent.h>

#include <uv.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "controller/ssh/session_int.h"
#include "tests/unit/sshd_fixture.h"

enum { NO_LIMIT_MS = 120 * 1000 };

static struct fixture fix;

/* The real clock, moved on by the test: deadlines are met by a jump, never by waiting for them, so
 * that a slow machine changes nothing. */
static uint64_t clock_jumped_us;

static inline uint64_t jumping_clock(void *user)
{
    (void)user;
    return uv_hrtime() / 1000 + clock_jumped_us;
}

/* One loop with its environment. */
struct bench {
    uv_loop_t loop;
    struct session_env *env;
    bool env_closed;
    int fds;
    size_t live;
};

/* What one session did. */
struct probe {
    struct session *s;
    struct session_result r;
    int done, sent, authenticated, asked, silent, answered;
    bool inside; /* a call of ours is on the stack: no callback may come */
    enum hostkey_answer answer;
    bool defer_answer;
    struct buf out, err;
    char order[64];       /* 'o', 'e' for each change of stream */
    int wanted;           /* times that a password was asked for */
    const char *password; /* the answer */
    bool pause_on_data;
    bool go; /* the answer to `answered` */
    enum problem cancel_on_data;
    struct bench *bench;
};

static inline int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static inline void env_closed(void *user)
{
    ((struct bench *)user)->env_closed = true;
}

static inline void bench_init(struct bench *b)
{
    struct err e = {0};
    memset(b, 0, sizeof *b);
    b->live = mem_live();
    clock_set_test(jumping_clock, NULL);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(session_env_new(&b->env, &b->loop, &e), RC_OK);
    const char *id = fixture_read(&fix, "id");
    assert_int_equal(session_env_add_key(b->env, 1, id, strlen(id), NULL, "id", &e), RC_OK);
    id = fixture_read(&fix, "other");
    assert_int_equal(session_env_add_key(b->env, 2, id, strlen(id), NULL, "other", &e), RC_OK);
    b->fds = count_fds();
}

static inline void bench_fini(struct bench *b)
{
    assert_int_equal(session_env_active(b->env), 0);
    assert_int_equal(count_fds(), b->fds);
    session_env_close(b->env, env_closed, b);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_true(b->env_closed);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(mem_live(), b->live);
    clock_set_test(NULL, NULL);
}

static inline void on_silent(void *user)
{
    struct probe *p = user;
    assert_false(p->inside);
    p->silent++;
}

static inline void on_answered(void *user)
{
    struct probe *p = user;
    assert_false(p->inside);
    assert_int_equal(p->silent, 1);
    p->answered++;
    if (p->go)
        session_go(p->s);
}

static inline void on_hostkey(void *user, const char *type, const void *blob, size_t len)
{
    struct probe *p = user;
    assert_false(p->inside);
    assert_string_equal(type, "ssh-ed25519");
    assert_int_equal(len, 51);
    assert_non_null(blob);
    p->asked++;
    if (!p->defer_answer)
        session_hostkey_answer(p->s, p->answer, PROBLEM_HOST_KEY_UNKNOWN, "not on record");
}

static inline void on_authenticated(void *user)
{
    struct probe *p = user;
    assert_false(p->inside);
    p->authenticated++;
}

static inline void on_sent(void *user)
{
    struct probe *p = user;
    assert_false(p->inside);
    assert_int_equal(p->authenticated, 1);
    p->sent++;
}

static inline void on_bytes(void *user, bool is_stderr, const void *bytes, size_t n)
{
    struct probe *p = user;
    assert_false(p->inside);
    assert_int_equal(p->sent, 1);
    assert_true(n > 0);
    assert_int_equal(buf_append(is_stderr ? &p->err : &p->out, bytes, n), RC_OK);
    size_t len = strlen(p->order);
    char c = is_stderr ? 'e' : 'o';
    if (len + 1 < sizeof p->order && (len == 0 || p->order[len - 1] != c))
        p->order[len] = c;
    if (p->pause_on_data)
        session_env_pause(p->bench->env);
    if (p->cancel_on_data != PROBLEM_NONE)
        session_cancel(p->s, p->cancel_on_data, false);
}

static inline void on_done(void *user, const struct session_result *r)
{
    struct probe *p = user;
    assert_false(p->inside);
    p->done++;
    p->r = *r;
    p->s = NULL;
}

static inline void on_password(void *user)
{
    struct probe *p = user;
    assert_int_equal(p->authenticated, 0);
    p->wanted++;
    session_password_answer(p->s, p->password, p->password != NULL ? strlen(p->password) : 0);
}

static const struct session_ops ops = {.silent = on_silent,
                                       .answered = on_answered,
                                       .hostkey = on_hostkey,
                                       .password = on_password,
                                       .authenticated = on_authenticated,
                                       .sent = on_sent,
                                       .data = on_bytes,
                                       .done = on_done};

static inline void probe_init(struct probe *p, struct bench *b)
{
    memset(p, 0, sizeof *p);
    p->bench = b;
    p->answer = HOSTKEY_ACCEPT;
    p->go = true;
    buf_init(&p->out, 64 << 20);
    buf_init(&p->err, 64 << 20);
}

static inline void probe_fini(struct probe *p)
{
    buf_fini(&p->out);
    buf_fini(&p->err);
}

static inline struct session_spec spec_for(const char *ip, int port, const char *command)
{
    struct session_spec s = {.label = "host",
                             .user = fix.user,
                             .keys = {1},
                             .key_count = 1,
                             .hostkey_types = "",
                             .command = command,
                             .command_len = strlen(command),
                             .connect_budget_ms = NO_LIMIT_MS};
    s.addr.in = fixture_addr(ip, port);
    return s;
}

static inline void start(struct probe *p, const struct session_spec *spec)
{
    struct err e = {0};
    p->inside = true;
    assert_int_equal(session_start(&p->s, p->bench->env, spec, &ops, p, &e), RC_OK);
    p->inside = false;
}

static inline void run_until_done(struct probe *p)
{
    while (!p->done)
        uv_run(&p->bench->loop, UV_RUN_ONCE);
    assert_int_equal(p->done, 1);
}

/* One session from start to end; the probe's buffers are freed, its result stays. */
static inline void run_one(struct bench *b, struct probe *p, const struct session_spec *spec)
{
    probe_init(p, b);
    start(p, spec);
    run_until_done(p);
}

/* Until the session is in the state, or past it. */
static inline void run_until_state(struct probe *p, enum session_state state)
{
    while (!p->done && p->s->state < state)
        uv_run(&p->bench->loop, UV_RUN_ONCE);
    assert_int_equal(p->done, 0);
    assert_int_equal(p->s->state, state);
}

/* ms go by in which nobody says anything. */
static inline void jump(struct bench *b, uint64_t ms)
{
    clock_jumped_us += (ms + 2 * WHEEL_TICK_MS) * 1000;
    wheel_turn(&b->env->wheel);
}

/* The same until it ends: a deadline that bytes have just met is put off, at most a few times. */
static inline void jump_until_done(struct probe *p, uint64_t ms)
{
    for (int i = 0; i < 20 && !p->done; i++) {
        jump(p->bench, ms);
        uv_run(&p->bench->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(p->done, 1);
}

static inline void expect(const struct probe *p, enum problem problem, enum phase phase)
{
    const struct outcome *o = &p->r.outcome;
    if (o->problem != problem || o->phase != phase)
        fail_msg("wanted %s in %s, got %s in %s: %s", problem_name(problem), phase_name(phase),
                 problem_name(o->problem), phase_name(o->phase), o->detail);
}

#endif
