/* Warm sessions against a real sshd: command after command on one login, their input, and every way
 * in which one of them or all of them end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/tcp.h>

#include "tests/unit/warm_fixture.h"

static pid_t sshd_pid, rekey_pid;
static int sshd_port, rekey_port;
static const char *const SSHD_IP = "127.77.6.1";

static void warm_start(struct warm *w, int port)
{
    struct session_spec spec = warm_spec(w, SSHD_IP, port);
    warm_start_spec(w, &spec);
}

static uint8_t *pattern(size_t n)
{
    uint8_t *p = mem_alloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 8) * 17 + (i >> 16));
    return p;
}

/* As much as is taken now. */
static void feed(struct warm *w)
{
    while (w->done == 0 && w->feed_left > 0) {
        size_t n = w->feed_left < 60000 ? w->feed_left : 60000;
        w->inside = true;
        enum rc rc = session_input(w->s, w->feed, n);
        w->inside = false;
        if (rc == RC_NOMEM)
            session_cancel(w->s, PROBLEM_LOCAL_RESOURCE, true);
        w->feed_failed |= rc == RC_NOMEM;
        if (rc != RC_OK)
            return;
        w->feed += n;
        w->feed_left -= n;
        if (w->feed_left == 0) {
            assert_int_equal(session_input_eof(w->s), RC_OK);
            bool over = w->s->state >= S_TERM;
            assert_int_equal(session_input(w->s, "x", 1), over ? RC_OK : RC_PROTO);
            assert_int_equal(session_input_eof(w->s), over ? RC_OK : RC_PROTO);
        }
    }
}

/* --- one after the other --- */

static void test_commands(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    warm_init(&w, &b);
    then(&w, command("echo out; echo err >&2; exit 3", INPUT_NONE, 0));
    then(&w, command("echo 2", INPUT_NONE, 0));
    then(&w, command("kill -SEGV $$", INPUT_NONE, 0));
    then(&w, command("exec cat", INPUT_NONE, 0));
    then(&w, command("(sleep 0.2; echo late) & exit 0", INPUT_NONE, 0));
    warm_start(&w, sshd_port);
    warm_until_done(&w);
    expect_finished(&w, 5);
    static const enum problem problems[] = {PROBLEM_EXIT_NONZERO, PROBLEM_NONE,
                                            PROBLEM_KILLED_BY_SIGNAL, PROBLEM_NONE, PROBLEM_NONE};
    uint64_t before = 0;
    for (int i = 0; i < 5; i++) {
        const struct session_result *r = &w.results[i];
        assert_int_equal(r->outcome.problem, problems[i]);
        assert_int_equal(r->outcome.phase, PHASE_RUN);
        assert_int_equal(r->outcome.exit_code, i == 0 ? 3 : i == 2 ? -1 : 0);
        assert_string_equal(r->outcome.signal, i == 2 ? "SEGV" : "");
        assert_true(r->outcome.sent);
        assert_false(r->outcome.may_still_run);
        assert_memory_equal(r->server_banner, "SSH-2.0-OpenSSH", 15);
        assert_int_equal(r->timing.auth, w.results[0].timing.auth);
        assert_true(before < r->timing.open && r->timing.open <= r->timing.sent &&
                    r->timing.sent <= r->timing.done);
        before = r->timing.done;
    }
    assert_int_equal(w.results[0].stdout_bytes, 4);
    assert_int_equal(w.results[0].stderr_bytes, 4);
    assert_int_equal(w.results[1].stdout_bytes, 2);
    assert_int_equal(w.results[2].timing.first_byte, 0);
    assert_int_equal(w.results[4].stdout_bytes, 5); /* what holds the output open is waited for */
    assert_string_equal(buf_cstr(&w.out), "out\nerr\n2\nlate\n");
    buf_fini(&w.out);
    bench_fini(&b);
}

/* The server allows one session at a time: the channel of each command must be gone before that of
 * the next, though the server may learn of both in one read. */
static void test_one_at_a_time(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    warm_init(&w, &b);
    w.stay = true;
    then(&w, command("true", INPUT_NONE, 0));
    warm_start(&w, sshd_port);
    for (int i = 0; i < 100; i++) {
        struct session_command c = command("true", INPUT_NONE, 0);
        warm_until_idle(&w, 1);
        assert_int_equal(w.results[0].outcome.problem, PROBLEM_NONE);
        w.ended = w.sent = 0;
        w.inside = true;
        assert_int_equal(session_exec(w.s, &c, NULL), RC_OK);
        assert_int_equal(session_exec(w.s, &c, NULL), RC_EXISTS);
        w.inside = false;
    }
    session_finish(w.s); /* while one is under way */
    assert_int_equal(session_exec(w.s, &w.script[0], NULL), RC_CANCELLED);
    warm_until_done(&w);
    expect_finished(&w, 1);
    buf_fini(&w.out);
    bench_fini(&b);
}

/* A dead peer of a session that waits for hours must be noticed by TCP itself. */
static void test_socket_options(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    warm_init(&w, &b);
    w.stay = true;
    then(&w, command("true", INPUT_NONE, 0));
    warm_start(&w, sshd_port);
    warm_until_idle(&w, 1);
    static const struct {
        int level, name, most;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, 30},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 15},
                   {IPPROTO_TCP, TCP_KEEPCNT, 4},
                   {IPPROTO_TCP, TCP_USER_TIMEOUT, 60000}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int value = 0;
        socklen_t len = sizeof value;
        assert_int_equal(getsockopt(w.s->fd, options[i].level, options[i].name, &value, &len), 0);
        assert_in_range(value, 1, options[i].most);
    }
    session_cancel(w.s, PROBLEM_CANCELLED, false); /* there is no command to end */
    for (int i = 0; i < 5; i++)
        uv_run(&b.loop, UV_RUN_NOWAIT);
    jump(&b, 24 * 3600 * 1000); /* it waits as long as it takes */
    uv_run(&b.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.done, 0);
    session_cancel(w.s, PROBLEM_DEADLINE, true);
    warm_until_done(&w);
    expect_end(&w, PROBLEM_DEADLINE, false);
    assert_false(w.end.outcome.may_still_run);
    buf_fini(&w.out);
    bench_fini(&b);
}

/* --- input --- */

static void cat_duplex(int port, size_t n)
{
    struct bench b;
    struct warm w;
    uint8_t *bytes = pattern(n);
    bench_init(&b);
    warm_init(&w, &b);
    w.feed = bytes;
    w.feed_left = n;
    then(&w, command("sleep 0.1; exec cat", INPUT_DUPLEX, 0));
    then(&w, command("echo next", INPUT_NONE, 0));
    warm_start(&w, port);
    size_t most = 0;
    while (w.done == 0) {
        if (w.ended == 0)
            feed(&w); /* from before the connection is there */
        if (w.done == 0 && w.s->waiting.len > most)
            most = w.s->waiting.len;
        if (w.done == 0 && w.s->state == S_IDLE)
            assert_null(w.s->waiting.data);
        turn(&w);
    }
    expect_finished(&w, 2);
    assert_int_equal(w.results[0].outcome.problem, PROBLEM_NONE);
    assert_int_equal(w.results[0].stdout_bytes, n);
    assert_int_equal(w.out.len, n + 5);
    assert_memory_equal(w.out.data, bytes, n);
    assert_true(w.taken <= n && w.taken + SESSION_TAKEN > n);
    assert_true(most > 0 && most <= SESSION_MAX_INPUT);
    buf_fini(&w.out);
    bench_fini(&b);
    mem_free(bytes);
}

static void test_duplex(void **state)
{
    (void)state;
    cat_duplex(sshd_port, 3 * 1024 * 1024 + 11);
}

/* New keys in the middle of it, again and again: nothing can be written meanwhile. */
static void test_rekey(void **state)
{
    (void)state;
    cat_duplex(rekey_port, 2 * 1024 * 1024 + 5);
}

static void test_straight_through(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    warm_init(&w, &b);
    then(&w, command("exec cat", INPUT_DUPLEX, 0));
    warm_start(&w, sshd_port);
    warm_until_running(&w, 1);
    for (size_t i = 1; i <= 50; i++) {
        char text[101];
        memset(text, (int)('a' + i % 26), 100);
        assert_int_equal(session_input(w.s, text, 100), RC_OK);
        assert_null(w.s->waiting.data); /* never copied */
        while (w.out.len < 100 * i)
            turn(&w);
        assert_memory_equal(w.out.data + 100 * (i - 1), text, 100);
    }
    assert_int_equal(w.taken, 0);
    assert_int_equal(session_input_eof(w.s), RC_OK);
    warm_until_done(&w);
    expect_finished(&w, 1);
    buf_fini(&w.out);
    bench_fini(&b);
}

static void test_blobs(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    struct err e = {0};
    char text[400];
    size_t n = 5 * 1024 * 1024 + 1;
    uint8_t *bytes = pattern(n), *back = mem_alloc(n + 1);
    bench_init(&b);
    assert_int_equal(session_env_set_blob(b.env, 2, bytes, n, &e), RC_OK);
    assert_int_equal(session_env_set_blob(b.env, 7, "seven", 5, &e), RC_OK);
    assert_true(session_env_has_blob(b.env, 2) && !session_env_has_blob(b.env, 1) &&
                !session_env_has_blob(b.env, 8));
    warm_init(&w, &b);
    snprintf(text, sizeof text, "cat > %s/blob", fix.dir);
    then(&w, command("cat", INPUT_BLOB, 7));
    then(&w, command(text, INPUT_BLOB, 2));
    then(&w, command("cat", INPUT_NONE, 0));
    then(&w, command("exec cat", INPUT_BLOB, 7));
    warm_start(&w, sshd_port);
    warm_until_done(&w);
    expect_finished(&w, 4);
    assert_string_equal(buf_cstr(&w.out), "sevenseven");
    FILE *f = fopen(strchr(text, '/'), "rb");
    assert_non_null(f);
    assert_int_equal(fread(back, 1, n + 1, f), n);
    fclose(f);
    assert_memory_equal(back, bytes, n);
    buf_fini(&w.out);
    bench_fini(&b);
    mem_free(back);
    mem_free(bytes);
}

/* Commands that read nothing of what they could: none of it goes to the next one. */
static void test_unread_input(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    struct err e = {0};
    size_t n = 4 * 1024 * 1024;
    uint8_t *bytes = pattern(n);
    bench_init(&b);
    assert_int_equal(session_env_set_blob(b.env, 0, bytes, n, &e), RC_OK);
    warm_init(&w, &b);
    w.feed = bytes;
    w.feed_left = n;
    w.stay = true;
    then(&w, command("exit 4", INPUT_BLOB, 0));
    then(&w, command("exec <&-; sleep 0.1; exit 5", INPUT_DUPLEX, 0));
    warm_start(&w, sshd_port);
    while (w.ended < 2) {
        if (w.ended == 1)
            feed(&w);
        turn(&w);
    }
    assert_int_equal(w.results[0].outcome.exit_code, 4);
    assert_int_equal(w.results[1].outcome.exit_code, 5);
    assert_int_equal(w.s->state, S_IDLE);
    assert_null(w.s->waiting.data);
    assert_int_equal(session_input(w.s, "late", 4), RC_OK); /* dropped */
    struct session_command c = command("exec cat", INPUT_DUPLEX, 0);
    assert_int_equal(session_exec(w.s, &c, &e), RC_OK);
    assert_int_equal(session_input(w.s, "own", 3), RC_OK); /* before it runs */
    assert_int_equal(session_input_eof(w.s), RC_OK);
    session_finish(w.s);
    warm_until_done(&w);
    expect_finished(&w, 3);
    assert_string_equal(buf_cstr(&w.out), "own");
    buf_fini(&w.out);
    bench_fini(&b);
    mem_free(bytes);
}

/* A reader that stalls: nothing is read from a command. What is for it goes on: the pings of an
 * agent, which would take us for gone. */
static void test_pause(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    char got[] = "/tmp/muster-test-XXXXXX", text[64];
    struct stat st = {.st_size = 0};
    bench_init(&b);
    int fd = mkstemp(got);
    assert_true(fd >= 0);
    snprintf(text, sizeof text, "exec tee %s", got);
    warm_init(&w, &b);
    then(&w, command(text, INPUT_DUPLEX, 0));
    then(&w, command("echo on", INPUT_NONE, 0));
    w.script[0].run_timeout_ms = w.script[0].silence_timeout_ms = NO_LIMIT_MS;
    warm_start(&w, sshd_port);
    warm_until_running(&w, 1);
    session_env_pause(b.env);
    assert_int_equal(session_input(w.s, "held", 4), RC_OK);
    assert_int_equal(session_input_eof(w.s), RC_OK);
    while (st.st_size < 4) {
        uv_run(&b.loop, UV_RUN_NOWAIT);
        assert_int_equal(fstat(fd, &st), 0);
    }
    for (int i = 0; i < 10; i++) {
        uv_run(&b.loop, UV_RUN_NOWAIT);
        jump(&b, NO_LIMIT_MS);
        usleep(2000); /* time for an echo, were it read */
    }
    close(fd);
    unlink(got);
    assert_int_equal(w.out.len, 0);
    assert_int_equal(w.s->state, S_RUN);
    session_env_resume(b.env);
    warm_until_done(&w);
    expect_finished(&w, 2);
    assert_string_equal(buf_cstr(&w.out), "heldon\n");
    buf_fini(&w.out);
    bench_fini(&b);
}

/* --- ends --- */

/* The command ends on TERM, or when its input does; the session goes on. sshd passes no signal on
 * to root's command: there the close of the channel is what ends it. */
static void test_cancel_then_next(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    warm_init(&w, &b);
    then(&w, command("exec cat", INPUT_DUPLEX, 0));
    then(&w, command("exec cat", INPUT_DUPLEX, 0));
    then(&w, command("echo alive", INPUT_NONE, 0));
    w.script[1].run_timeout_ms = NO_LIMIT_MS;
    warm_start(&w, sshd_port);
    for (int i = 0; i < 2; i++) {
        warm_until_running(&w, i + 1);
        if (i == 0)
            session_cancel(w.s, PROBLEM_CANCELLED, false);
        else
            jump(&b, NO_LIMIT_MS);
        while (w.ended == i) {
            if (geteuid() == 0 && w.s->state == S_TERM)
                jump(&b, 10 * 1000);
            else if (geteuid() == 0 && w.s->state == S_KILL)
                jump(&b, 2000);
            else
                turn(&w);
            assert_int_equal(w.done, 0);
        }
    }
    warm_until_done(&w);
    expect_finished(&w, 3);
    assert_int_equal(w.results[0].outcome.problem, PROBLEM_CANCELLED);
    assert_int_equal(w.results[1].outcome.problem, PROBLEM_RUN_TIMEOUT);
    assert_true(w.results[0].outcome.sent);
    assert_false(w.results[0].outcome.may_still_run);
    assert_int_equal(w.results[0].outcome.phase, PHASE_RUN);
    assert_string_equal(buf_cstr(&w.out), "alive\n");
    buf_fini(&w.out);
    bench_fini(&b);
}

/* It has exited, and what it left behind holds the channel: a cancel ends the wait and not the
 * session. */
static void test_cancel_background(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    warm_init(&w, &b);
    then(&w, command("sleep 20 & exit 4", INPUT_NONE, 0));
    then(&w, command("echo alive", INPUT_NONE, 0));
    warm_start(&w, sshd_port);
    warm_until_running(&w, 1);
    while (!sshio_seen(w.s->io)->exited)
        turn(&w);
    session_cancel(w.s, PROBLEM_CANCELLED, false);
    warm_until_done(&w);
    expect_finished(&w, 2);
    assert_int_equal(w.results[0].outcome.problem, PROBLEM_CANCELLED);
    assert_int_equal(w.results[0].outcome.exit_code, 4);
    assert_false(w.results[0].outcome.may_still_run);
    buf_fini(&w.out);
    bench_fini(&b);
}

/* One that nothing ends: the session goes with it, as ever. */
static void test_cancel_in_vain(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    char text[400]; /* it goes on until the test's folder is gone */
    bench_init(&b);
    warm_init(&w, &b);
    snprintf(text, sizeof text, "trap '' TERM PIPE; while [ -e %s ]; do sleep 0.2; done", fix.dir);
    then(&w, command("true", INPUT_NONE, 0));
    then(&w, command(text, INPUT_NONE, 0));
    warm_start(&w, sshd_port);
    warm_until_running(&w, 2);
    session_cancel(w.s, PROBLEM_DEADLINE, false);
    while (w.done == 0 && w.s->state < S_TERM)
        turn(&w);
    if (geteuid() == 0) {
        jump(&b, 10 * 1000);
        jump(&b, 2000);
        assert_int_equal(w.s->state, S_SHUT);
        for (int i = 0; i < 20 && w.done == 0; i++) {
            jump(&b, 5000);
            uv_run(&b.loop, UV_RUN_NOWAIT);
        }
        assert_int_equal(w.done, 1);
        expect_end(&w, PROBLEM_DEADLINE, true);
        assert_true(w.end.outcome.may_still_run);
        assert_int_equal(w.ended, 1);
    } else {
        jump(&b, 10 * 1000);
        warm_until_done(&w);
        expect_finished(&w, 2);
        assert_int_equal(w.results[1].outcome.problem, PROBLEM_DEADLINE);
    }
    buf_fini(&w.out);
    bench_fini(&b);
}

static void test_lost_while_idle(void **state)
{
    (void)state;
    struct bench b;
    struct warm w;
    bench_init(&b);
    for (int running = 0; running < 2; running++) {
        warm_init(&w, &b);
        w.stay = true;
        then(&w, command("echo $PPID", INPUT_NONE, 0));
        warm_start(&w, sshd_port);
        warm_until_idle(&w, 1);
        pid_t pid = (pid_t)strtol(buf_cstr(&w.out), NULL, 10);
        struct session_command c = command("exec cat", INPUT_DUPLEX, 0);
        if (running) {
            assert_int_equal(session_exec(w.s, &c, NULL), RC_OK);
            warm_until_running(&w, 2);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        warm_until_done(&w);
        expect_end(&w, PROBLEM_CONNECTION_LOST, running);
        assert_int_equal(w.end.outcome.may_still_run, running);
        assert_int_equal(w.end.outcome.phase, PHASE_RUN);
        assert_int_equal(w.end.outcome.exit_code, -1);
        assert_true(w.end.outcome.detail[0] != '\0');
        assert_int_equal(w.ended, 1);
        buf_fini(&w.out);
    }
    bench_fini(&b);
}

static void open_link(struct probe *p, struct bench *b, struct session *via)
{
    struct session_spec spec = spec_for(via != NULL ? "0.0.0.0" : SSHD_IP, sshd_port, "");
    spec.kind = SESSION_LINK;
    spec.via = via;
    spec.via_host = via != NULL ? SSHD_IP : NULL;
    probe_init(p, b);
    start(p, &spec);
    run_until_state(p, S_LINKED);
}

/* Behind two bastions, as in front of them; and what becomes of one that is idle when a bastion
 * goes. */
static void test_behind_bastions(void **state)
{
    (void)state;
    struct bench b;
    struct probe links[2];
    struct warm w;
    size_t n = 1024 * 1024 + 3;
    uint8_t *bytes = pattern(n);
    bench_init(&b);
    open_link(&links[0], &b, NULL);
    open_link(&links[1], &b, links[0].s);
    warm_init(&w, &b);
    w.stay = true;
    w.feed = bytes;
    w.feed_left = n;
    then(&w, command("exec cat", INPUT_DUPLEX, 0));
    then(&w, command("exit 6", INPUT_NONE, 0));
    struct session_spec spec = warm_spec(&w, "0.0.0.0", sshd_port);
    spec.via = links[1].s;
    spec.via_host = SSHD_IP;
    warm_start_spec(&w, &spec);
    while (w.ended < 2 || w.s->state != S_IDLE) {
        if (w.ended == 0 && w.sent == 1)
            feed(&w);
        turn(&w);
        assert_int_equal(w.done, 0);
    }
    assert_int_equal(w.out.len, n);
    assert_memory_equal(w.out.data, bytes, n);
    assert_int_equal(w.results[1].outcome.exit_code, 6);
    session_cancel(links[0].s, PROBLEM_CANCELLED, true);
    warm_until_done(&w);
    expect_end(&w, PROBLEM_CONNECTION_LOST, false);
    assert_non_null(strstr(w.end.outcome.detail, "host: "));
    buf_fini(&w.out);
    for (int i = 0; i < 2; i++) {
        run_until_done(&links[i]);
        probe_fini(&links[i]);
    }
    while (session_env_active(b.env) > 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    bench_fini(&b);
    mem_free(bytes);
}

/* Turn n of the loop lands in each state of each of three commands. */
static void test_cancel_at_every_turn(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    bool finished[3] = {false};
    unsigned states = 0;
    bench_init(&b);
    assert_int_equal(session_env_set_blob(b.env, 1, "blob", 4, &e), RC_OK);
    for (int n = 0; !finished[0] || !finished[1] || !finished[2]; n++) {
        struct warm w;
        int how = n % 3;
        warm_init(&w, &b);
        then(&w, command("true", INPUT_NONE, 0));
        then(&w, command("exec cat", INPUT_BLOB, 1));
        then(&w, command("exec cat", INPUT_DUPLEX, 0));
        warm_start(&w, sshd_port);
        for (int i = 0; i < n / 3 && w.done == 0; i++) {
            if (w.s->state == S_RUN && w.ended == 2 && w.s->taken == 0 && !w.s->input_ended) {
                assert_int_equal(session_input(w.s, "x", 1), RC_OK);
                assert_int_equal(session_input_eof(w.s), RC_OK);
            }
            turn(&w);
        }
        finished[how] |= w.done != 0;
        if (w.done == 0) {
            states |= 1u << w.s->state;
            w.inside = true;
            session_cancel(w.s, PROBLEM_CANCELLED, how == 0);
            if (how == 2)
                session_cancel(w.s, PROBLEM_DEADLINE, true);
            w.inside = false;
        }
        /* Without `now` a command may end, and the next begin: the last reads what it is given. */
        while (w.done == 0) {
            if (how == 1 && w.s->state == S_RUN && w.ended == 2 && !w.s->input_ended)
                assert_int_equal(session_input_eof(w.s), RC_OK);
            if (w.done == 0 && (w.s->state == S_TERM || w.s->state == S_KILL))
                jump(&b, 10 * 1000);
            if (w.done == 0)
                turn(&w);
        }
        const struct outcome *o = &w.end.outcome;
        if (o->problem != PROBLEM_NONE && o->problem != PROBLEM_CANCELLED &&
            !(how == 2 && o->problem == PROBLEM_DEADLINE))
            fail_msg("turn %d: %s: %s", n, problem_name(o->problem), o->detail);
        if (!o->sent)
            assert_false(o->may_still_run);
        buf_fini(&w.out);
        assert_true(n < 3000);
    }
    assert_true((states & 1u << S_OPEN) && (states & 1u << S_REQUEST) && (states & 1u << S_RUN));
    bench_fini(&b);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct bench b;
    size_t n = 700 * 1024;
    uint8_t *bytes = pattern(n);
    bench_init(&b);
    for (long at = 0;; at++) {
        struct warm w;
        struct err e = {0};
        warm_init(&w, &b);
        assert_int_equal(buf_reserve(&w.out, n), RC_OK);
        w.feed = bytes;
        w.feed_left = n;
        then(&w, command("true", INPUT_NONE, 0));
        then(&w, command("sleep 0.02; exec cat >/dev/null", INPUT_DUPLEX, 0));
        struct session_spec spec = warm_spec(&w, SSHD_IP, sshd_port);
        size_t live = mem_live();
        w.at = 1;
        mem_fail_after(at);
        enum rc rc = session_start(&w.s, b.env, &spec, &warm_ops, &w, &e);
        while (rc == RC_OK && w.done == 0) {
            if (w.ended == 1)
                feed(&w);
            if (w.done == 0)
                turn(&w);
        }
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        if (rc != RC_OK)
            assert_int_equal(rc, RC_NOMEM);
        else if (w.end.outcome.problem != PROBLEM_NONE)
            assert_int_equal(w.end.outcome.problem, PROBLEM_LOCAL_RESOURCE);
        assert_true(fired || (rc == RC_OK && w.end.outcome.problem == PROBLEM_NONE));
        assert_int_equal(mem_live(), live);
        buf_fini(&w.out);
        if (!fired) {
            assert_true(at > 5);
            break;
        }
    }
    bench_fini(&b);
    mem_free(bytes);
}

static int group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fixture_init(&fix);
    sshd_port = fixture_free_port(SSHD_IP);
    sshd_pid = fixture_sshd(&fix, SSHD_IP, sshd_port, "MaxSessions 1\n");
    rekey_port = fixture_free_port(SSHD_IP);
    rekey_pid = fixture_sshd(&fix, SSHD_IP, rekey_port, "RekeyLimit 128K\n");
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_stop(sshd_pid);
    fixture_stop(rekey_pid);
    fixture_fini(&fix);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_socket_options),
        cmocka_unit_test(test_duplex),
        cmocka_unit_test(test_rekey),
        cmocka_unit_test(test_straight_through),
        cmocka_unit_test(test_blobs),
        cmocka_unit_test(test_unread_input),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_cancel_then_next),
        cmocka_unit_test(test_cancel_background),
        cmocka_unit_test(test_cancel_in_vain),
        cmocka_unit_test(test_lost_while_idle),
        cmocka_unit_test(test_behind_bastions),
        cmocka_unit_test(test_cancel_at_every_turn),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("session_warm", tests, group_setup, group_teardown);
}
