/* Sessions through sessions (controller/ssh/bridge, session_link): real sshd processes in front of
 * real sshd processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/session_fixture.h"

static pid_t bastion_pid, target_pid, closed_pid;
static int bastion_port, target_port, closed_port;
static const char *const BASTION_IP = "127.79.1.1";
static const char *const TARGET_IP = "127.79.2.1";
static const char *const CLOSED_IP = "127.79.3.1";

static int group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fixture_init(&fix);
    bastion_port = fixture_free_port(BASTION_IP);
    target_port = fixture_free_port(TARGET_IP);
    closed_port = fixture_free_port(CLOSED_IP);
    bastion_pid = fixture_sshd(&fix, BASTION_IP, bastion_port, "MaxSessions 1\n");
    target_pid = fixture_sshd(&fix, TARGET_IP, target_port, "MaxStartups 1000\n");
    closed_pid = fixture_sshd(&fix, CLOSED_IP, closed_port, "AllowTcpForwarding no\n");
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_stop(bastion_pid);
    fixture_stop(target_pid);
    fixture_stop(closed_pid);
    fixture_fini(&fix);
    return 0;
}

static struct session_spec link_spec(const char *ip, int port)
{
    struct session_spec s = spec_for(ip, port, "");
    s.kind = SESSION_LINK;
    s.label = "bastion";
    return s;
}

static struct session_spec behind(struct session *link, const char *host, int port,
                                  const char *command)
{
    struct session_spec s = spec_for("0.0.0.0", port, command);
    s.via = link;
    s.via_host = host;
    return s;
}

static void open_link(struct probe *p, struct bench *b, const struct session_spec *spec)
{
    probe_init(p, b);
    start(p, spec);
    run_until_state(p, S_LINKED);
    assert_int_equal(p->authenticated, 1);
    assert_true(session_is_linked(p->s));
}

static void end_link(struct probe *p)
{
    session_cancel(p->s, PROBLEM_CANCELLED, true);
    run_until_done(p);
    expect(p, PROBLEM_CANCELLED, PHASE_OPEN);
    probe_fini(p);
}

/* The last handles of bridges close in a later turn than the sessions. */
static void finish(struct bench *b)
{
    while (session_env_active(b->env) > 0)
        uv_run(&b->loop, UV_RUN_ONCE);
    bench_fini(b);
}

static void test_ok(void **state)
{
    (void)state;
    struct bench b;
    struct probe link, p;
    bench_init(&b);
    struct session_spec bastion = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &bastion);
    for (int i = 0; i < 3; i++) {
        struct session_spec spec = behind(link.s, TARGET_IP, target_port, "echo out; exit 3");
        run_one(&b, &p, &spec);
        expect(&p, PROBLEM_EXIT_NONZERO, PHASE_RUN);
        assert_int_equal(p.r.outcome.exit_code, 3);
        assert_string_equal(buf_cstr(&p.out), "out\n");
        assert_int_equal(p.asked, 1);
        probe_fini(&p);
    }
    assert_int_equal(link.done, 0);
    end_link(&link);
    finish(&b);
}

/* Through three, each inside the one before. */
static void test_deep(void **state)
{
    (void)state;
    struct bench b;
    struct probe links[3], p;
    bench_init(&b);
    struct session_spec spec = link_spec(BASTION_IP, bastion_port);
    open_link(&links[0], &b, &spec);
    for (int i = 1; i < 3; i++) {
        spec = link_spec(TARGET_IP, target_port);
        spec.via = links[i - 1].s;
        spec.via_host = TARGET_IP;
        open_link(&links[i], &b, &spec);
    }
    spec = behind(links[2].s, TARGET_IP, target_port, "seq 1 100000");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    assert_int_equal(p.r.stdout_bytes, 588895);
    probe_fini(&p);
    for (int i = 3; i-- > 0;)
        end_link(&links[i]);
    finish(&b);
}

enum { CROWD = 40 };

static void test_many_at_once(void **state)
{
    (void)state;
    struct bench b;
    struct probe link, p[CROWD];
    bench_init(&b);
    struct session_spec spec = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &spec);
    spec = behind(link.s, TARGET_IP, target_port, "cat");
    spec.use_stdin = true;
    /* More than a window, in both directions. */
    size_t size = 3 << 20;
    char *in = malloc(size);
    memset(in, 'x', size);
    for (int i = 0; i < CROWD; i++) {
        probe_init(&p[i], &b);
        if (i == 0)
            continue;
        struct session_spec small = behind(link.s, TARGET_IP, target_port, "echo hello");
        start(&p[i], &small);
    }
    for (int i = 1; i < CROWD; i++) {
        run_until_done(&p[i]);
        expect(&p[i], PROBLEM_NONE, PHASE_RUN);
        assert_string_equal(buf_cstr(&p[i].out), "hello\n");
    }
    end_link(&link);
    struct err e = {0};
    assert_int_equal(session_env_set_blob(b.env, 0, in, size, &e), RC_OK);
    spec = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &spec);
    spec = behind(link.s, TARGET_IP, target_port, "cat");
    spec.use_stdin = true;
    start(&p[0], &spec);
    run_until_done(&p[0]);
    expect(&p[0], PROBLEM_NONE, PHASE_RUN);
    assert_int_equal(p[0].out.len, size);
    assert_memory_equal(p[0].out.data, in, size);
    free(in);
    for (int i = 0; i < CROWD; i++)
        probe_fini(&p[i]);
    end_link(&link);
    finish(&b);
}

/* A reader that stops holds its own channel up, and within bounds; others go on. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct bench b;
    struct probe link, slow, quick;
    bench_init(&b);
    struct session_spec spec = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &spec);
    probe_init(&slow, &b);
    slow.pause_on_data = true;
    spec = behind(link.s, TARGET_IP, target_port, "head -c 20000000 /dev/zero");
    start(&slow, &spec);
    while (slow.out.len == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    slow.pause_on_data = false;
    probe_init(&quick, &b);
    spec = behind(link.s, TARGET_IP, target_port, "true");
    start(&quick, &spec);
    while (quick.sent == 0) /* its handshake passes by what is held up */
        uv_run(&b.loop, UV_RUN_ONCE);
    size_t held = slow.out.len;
    assert_true(held < 1 << 20);
    assert_true(link.s->held <= BRIDGE_HELD_MAX);
    session_env_resume(b.env);
    run_until_done(&slow);
    run_until_done(&quick);
    expect(&slow, PROBLEM_NONE, PHASE_RUN);
    expect(&quick, PROBLEM_NONE, PHASE_RUN);
    assert_int_equal(slow.out.len, 20000000);
    assert_int_equal(link.s->held, 0);
    probe_fini(&slow);
    probe_fini(&quick);
    end_link(&link);
    finish(&b);
}

static void expect_refused(struct bench *b, struct session *link, const char *host, int port,
                           enum problem problem, const char *says)
{
    struct probe p;
    struct session_spec spec = behind(link, host, port, "true");
    run_one(b, &p, &spec);
    expect(&p, problem, PHASE_CONNECT);
    assert_non_null(strstr(p.r.outcome.detail, "bastion"));
    if (strstr(p.r.outcome.detail, says) == NULL)
        fail_msg("%s: not in: %s", says, p.r.outcome.detail);
    probe_fini(&p);
}

static void test_refused(void **state)
{
    (void)state;
    struct bench b;
    struct probe link;
    bench_init(&b);
    struct session_spec spec = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &spec);
    expect_refused(&b, link.s, "127.79.9.9", fixture_free_port("127.79.9.9"),
                   PROBLEM_CONNECT_REFUSED, "refused");
    expect_refused(&b, link.s, "no-such-host.invalid", 22, PROBLEM_DNS_NOT_FOUND, "no-such-host");
    end_link(&link);
    spec = link_spec(CLOSED_IP, closed_port);
    open_link(&link, &b, &spec);
    expect_refused(&b, link.s, TARGET_IP, target_port, PROBLEM_FORWARD_REFUSED,
                   "AllowTcpForwarding");
    end_link(&link);
    finish(&b);
}

/* The link ends under sessions in every state: each hears that it was the link. */
static void test_link_ends(void **state)
{
    (void)state;
    static const enum session_state at[] = {S_FORWARD, S_BANNER, S_KEX, S_AUTH, S_RUN};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        struct bench b;
        struct probe link, p;
        bench_init(&b);
        struct session_spec spec = link_spec(BASTION_IP, bastion_port);
        open_link(&link, &b, &spec);
        probe_init(&p, &b);
        spec = behind(link.s, TARGET_IP, target_port, "sleep 600");
        start(&p, &spec);
        while (p.s->state != at[i] &&
               (at[i] == S_RUN || p.s->state == S_FORWARD || p.s->state < at[i]))
            uv_run(&b.loop, UV_RUN_ONCE);
        session_cancel(link.s, PROBLEM_CONNECTION_RESET, true);
        run_until_done(&p);
        run_until_done(&link);
        bool sent = p.r.outcome.sent;
        assert_int_equal(p.r.outcome.problem,
                         sent ? PROBLEM_CONNECTION_LOST : PROBLEM_JUMP_UNREACHABLE);
        assert_int_equal(p.r.outcome.may_still_run, sent);
        assert_int_equal(sent, at[i] == S_RUN);
        assert_memory_equal(p.r.outcome.detail, "bastion: ", 9);
        probe_fini(&p);
        probe_fini(&link);
        finish(&b);
    }
}

/* A session that is cancelled while its channel is asked for leaves no half of it behind. */
static void test_cancel_early(void **state)
{
    (void)state;
    struct bench b;
    struct probe link, p;
    bench_init(&b);
    struct session_spec spec = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &spec);
    for (int turns = 0; turns < 4; turns++) {
        probe_init(&p, &b);
        spec = behind(link.s, TARGET_IP, target_port, "sleep 600");
        start(&p, &spec);
        for (int i = 0; i < turns; i++)
            uv_run(&b.loop, UV_RUN_NOWAIT);
        session_cancel(p.s, PROBLEM_CANCELLED, true);
        run_until_done(&p);
        probe_fini(&p);
    }
    while (link.s->bridges != NULL)
        uv_run(&b.loop, UV_RUN_ONCE);
    end_link(&link);
    finish(&b);
}

/* The bastion does not answer about the target: the bound of the session behind ends it. */
static void test_no_answer(void **state)
{
    (void)state;
    struct bench b;
    struct probe link, p;
    bench_init(&b);
    struct session_spec spec = link_spec(BASTION_IP, bastion_port);
    open_link(&link, &b, &spec);
    probe_init(&p, &b);
    spec = behind(link.s, "127.79.4.4", 4, "true");
    start(&p, &spec);
    jump_until_done(&p, NO_LIMIT_MS);
    expect(&p, PROBLEM_CONNECT_TIMEOUT, PHASE_CONNECT);
    assert_non_null(strstr(p.r.outcome.detail, "from bastion: connect to 127.79.4.4 port 4"));
    probe_fini(&p);
    end_link(&link);
    finish(&b);
}

/* Whichever allocation fails, the session ends with a reason and nothing is left. */
static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (int n = 0; fired; n++) {
        struct bench b;
        struct probe link, p;
        struct err e = {0};
        bench_init(&b);
        struct session_spec spec = link_spec(BASTION_IP, bastion_port);
        open_link(&link, &b, &spec);
        probe_init(&p, &b);
        spec = behind(link.s, TARGET_IP, target_port, "true");
        mem_fail_after(n);
        enum rc rc = session_start(&p.s, b.env, &spec, &ops, &p, &e);
        while (rc == RC_OK && !p.done)
            uv_run(&b.loop, UV_RUN_ONCE);
        fired = mem_fail_fired() > 0;
        mem_fail_after(-1);
        assert_true(rc == RC_OK || rc == RC_NOMEM);
        probe_fini(&p);
        if (link.done)
            probe_fini(&link);
        else
            end_link(&link);
        finish(&b);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok),           cmocka_unit_test(test_deep),
        cmocka_unit_test(test_many_at_once), cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_link_ends),
        cmocka_unit_test(test_cancel_early), cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
