/* A warm session with a script of commands, and what became of each. Included by the tests of warm
 * sessions, beside session_fixture.h.
 */
#ifndef TESTS_UNIT_WARM_FIXTURE_H
#define TESTS_UNIT_WARM_FIXTURE_H

#include "tests/unit/session_fixture.h"

enum { SCRIPT = 8 };

/* What happened on one session; the commands after the first are given from inside `ended`. */
struct warm {
    struct bench *bench;
    struct session *s;
    bool inside;
    struct session_command script[SCRIPT]; /* [0]: what session_start got */
    int at, count;                         /* of the script */
    bool stay;                             /* do not finish after the last one */
    int sent, ended, done, authenticated;
    struct session_result results[SCRIPT], end;
    struct buf out;
    size_t taken;
    const uint8_t *feed;
    size_t feed_left;
    bool feed_failed; /* no memory */
};

static inline struct session_command command(const char *text, enum input_kind input, unsigned blob)
{
    return (struct session_command){
        .text = text, .len = strlen(text), .input = input, .blob = blob};
}

static inline void w_hostkey(void *user, const char *type, const void *blob, size_t len)
{
    struct warm *w = user;
    (void)type, (void)blob, (void)len;
    assert_false(w->inside);
    session_hostkey_answer(w->s, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL);
}

static inline void w_authenticated(void *user)
{
    struct warm *w = user;
    assert_false(w->inside);
    assert_int_equal(w->authenticated++, 0);
}

static inline void w_sent(void *user)
{
    struct warm *w = user;
    assert_false(w->inside);
    assert_int_equal(w->sent++, w->ended);
}

static inline void w_data(void *user, bool is_stderr, const void *p, size_t n)
{
    struct warm *w = user;
    (void)is_stderr;
    assert_int_equal(w->sent, w->ended + 1);
    mem_fail_after(-1); /* of the test's own */
    assert_int_equal(buf_append(&w->out, p, n), RC_OK);
}

static inline void w_taken(void *user, size_t n)
{
    struct warm *w = user;
    assert_true(n >= SESSION_TAKEN && n <= SESSION_MAX_INPUT + SESSION_TAKEN);
    w->taken += n;
}

static inline void give_next(struct warm *w)
{
    struct err e = {0};
    if (w->at < w->count) {
        enum rc rc = session_exec(w->s, &w->script[w->at++], &e);
        if (rc == RC_NOMEM)
            session_cancel(w->s, PROBLEM_LOCAL_RESOURCE, true);
        else
            assert_int_equal(rc, RC_OK);
    } else if (!w->stay) {
        session_finish(w->s);
    }
}

static inline void w_ended(void *user, const struct session_result *r)
{
    struct warm *w = user;
    assert_false(w->inside);
    assert_true(w->ended < SCRIPT);
    w->results[w->ended++] = *r;
    w->sent = w->ended; /* one that was not sent has ended, too */
    give_next(w);
}

static inline void w_done(void *user, const struct session_result *r)
{
    struct warm *w = user;
    assert_false(w->inside);
    assert_int_equal(w->done++, 0);
    w->end = *r;
    w->s = NULL;
}

static const struct session_ops warm_ops = {.hostkey = w_hostkey,
                                            .authenticated = w_authenticated,
                                            .sent = w_sent,
                                            .data = w_data,
                                            .done = w_done,
                                            .ended = w_ended,
                                            .taken = w_taken};

static inline void warm_init(struct warm *w, struct bench *b)
{
    memset(w, 0, sizeof *w);
    w->bench = b;
    buf_init(&w->out, 64 << 20);
}

static inline void then(struct warm *w, struct session_command c)
{
    assert_true(w->count < SCRIPT);
    w->script[w->count++] = c;
}

static inline struct session_spec warm_spec(const struct warm *w, const char *ip, int port)
{
    struct session_spec spec = spec_for(ip, port, w->script[0].text);
    spec.kind = SESSION_WARM;
    spec.input = w->script[0].input;
    spec.blob = w->script[0].blob;
    spec.run_timeout_ms = w->script[0].run_timeout_ms;
    spec.silence_timeout_ms = w->script[0].silence_timeout_ms;
    return spec;
}

static inline void warm_start_spec(struct warm *w, const struct session_spec *spec)
{
    struct err e = {0};
    w->at = 1;
    w->inside = true;
    assert_int_equal(session_start(&w->s, w->bench->env, spec, &warm_ops, w, &e), RC_OK);
    w->inside = false;
}

static inline void turn(struct warm *w)
{
    uv_run(&w->bench->loop, UV_RUN_ONCE);
}

static inline void warm_until_done(struct warm *w)
{
    while (w->done == 0)
        turn(w);
}

static inline void warm_until_idle(struct warm *w, int ended)
{
    while (w->done == 0 && !(w->ended >= ended && w->s->state == S_IDLE))
        turn(w);
    if (w->done != 0)
        fail_msg("it ended: %s, %s", problem_name(w->end.outcome.problem), w->end.outcome.detail);
    assert_int_equal(w->ended, ended);
}

/* Until its command runs. */
static inline void warm_until_running(struct warm *w, int sent)
{
    while (w->done == 0 && !(w->sent >= sent && w->s->state == S_RUN))
        turn(w);
    assert_int_equal(w->done, 0);
}

static inline void expect_finished(const struct warm *w, int ended)
{
    const struct outcome *o = &w->end.outcome;
    if (o->problem != PROBLEM_NONE)
        fail_msg("%s in %s: %s", problem_name(o->problem), phase_name(o->phase), o->detail);
    assert_int_equal(w->ended, ended);
    assert_int_equal(w->done, 1);
    assert_int_equal(o->phase, PHASE_CLOSE);
    assert_false(o->sent);
    assert_false(o->may_still_run);
    assert_int_equal(o->exit_code, -1);
}

static inline void expect_end(const struct warm *w, enum problem problem, bool sent)
{
    const struct outcome *o = &w->end.outcome;
    if (o->problem != problem || o->sent != sent)
        fail_msg("wanted %s, got %s in %s, sent %d: %s", problem_name(problem),
                 problem_name(o->problem), phase_name(o->phase), o->sent, o->detail);
}

#endif
