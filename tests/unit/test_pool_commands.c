/* Warm jobs of the pool over a session that is a script: their order, the bounds of their input,
 * and a worker that dies or lies while it has some.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/pool_fixture.h"

static void start_warm(struct fixture *f, uint64_t job, const char *command, enum input_kind input,
                       unsigned blob)
{
    struct session_spec spec = {.kind = SESSION_WARM,
                                .label = "web1",
                                .user = "root",
                                .hostkey_types = "",
                                .command = command,
                                .command_len = strlen(command),
                                .input = input,
                                .blob = blob};
    spec.addr.in.sin_family = AF_INET;
    assert_int_equal(pool_start(f->pool, job, &spec, NULL), RC_OK);
}

static enum rc exec(struct fixture *f, uint64_t job, const char *command, enum input_kind input)
{
    struct session_command c = {.text = command, .len = strlen(command), .input = input};
    return pool_exec(f->pool, job, &c, NULL);
}

static void run_until_ended(struct fixture *f, uint64_t job, int n)
{
    while (f->jobs[job].ended < n)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->jobs[job].ended, n);
}

static void run_until_sent(struct fixture *f, uint64_t job, int n)
{
    while (f->jobs[job].sent < n)
        uv_run(&f->loop, UV_RUN_ONCE);
}

/* Command after command, each with its own bytes and its own end. */
static void warm_jobs(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 2);
    start_warm(&f, 1, "ok", INPUT_NONE, 0);
    assert_int_equal(exec(&f, 1, "ok", INPUT_NONE), RC_EXISTS);
    run_until_ended(&f, 1, 1);
    assert_string_equal(f.jobs[1].out, "output");
    assert_int_equal(f.jobs[1].command.outcome.problem, PROBLEM_NONE);
    assert_int_equal(pool_input_room(f.pool, 1), 0);
    assert_int_equal(pool_input(f.pool, 1, "x", 1, false), RC_CANCELLED);
    assert_int_equal(exec(&f, 1, "exit 7", INPUT_NONE), RC_OK);
    assert_int_equal(exec(&f, 1, "ok", INPUT_NONE), RC_EXISTS);
    run_until_ended(&f, 1, 2);
    assert_int_equal(f.jobs[1].command.outcome.exit_code, 7);
    assert_int_equal(f.jobs[1].sent, 2);
    assert_int_equal(f.jobs[1].authenticated, 1);
    assert_int_equal(f.jobs[1].done, 0);
    struct session_command longer = {.text = "x", .len = SESSION_MAX_COMMAND + 1};
    assert_int_equal(pool_exec(f.pool, 1, &longer, NULL), RC_LIMIT);
    pool_finish(f.pool, 1);
    pool_finish(f.pool, 1);
    assert_int_equal(exec(&f, 1, "ok", INPUT_NONE), RC_CANCELLED);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_NONE);
    assert_int_equal(f.jobs[1].result.outcome.phase, PHASE_CLOSE);
    pool_finish(f.pool, 1); /* it is over */
    assert_int_equal(exec(&f, 1, "ok", INPUT_NONE), RC_CANCELLED);
    /* Finished before it began; and cancelled while it is idle, gently or not. */
    start_warm(&f, 2, "ok", INPUT_NONE, 0);
    pool_finish(f.pool, 2);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[2].ended, 1);
    assert_int_equal(f.jobs[2].result.outcome.problem, PROBLEM_NONE);
    start_warm(&f, 3, "ok", INPUT_NONE, 0);
    run_until_ended(&f, 3, 1);
    pool_cancel(f.pool, 3, PROBLEM_CANCELLED, false);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[3].result.outcome.problem, PROBLEM_CANCELLED);
    assert_false(f.jobs[3].result.outcome.sent);
    start_warm(&f, 4, "hang", INPUT_NONE, 0);
    run_until_sent(&f, 4, 1);
    pool_cancel(f.pool, 4, PROBLEM_CANCELLED, false); /* only the command: the job lives */
    run_until_ended(&f, 4, 1);
    assert_int_equal(f.jobs[4].command.outcome.problem, PROBLEM_CANCELLED);
    assert_int_equal(exec(&f, 4, "ok", INPUT_NONE), RC_OK);
    pool_finish(f.pool, 4);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[4].ended, 2);
    assert_int_equal(f.jobs[4].result.outcome.problem, PROBLEM_NONE);
    assert_int_equal(f.troubles, 0);
    close_pool(&f);
}

/* No more than the bound is on the way; what the command left unread ends with it. */
static void warm_input(void **state)
{
    (void)state;
    struct fixture f;
    static char bytes[SESSION_MAX_INPUT];
    open_pool(&f, 1);
    start_warm(&f, 1, "duplex", INPUT_DUPLEX, 0);
    assert_int_equal(pool_input(f.pool, 1, "x", 1, false), RC_CANCELLED); /* too early */
    run_until_sent(&f, 1, 1);
    assert_int_equal(pool_input_room(f.pool, 1), SESSION_MAX_INPUT);
    assert_int_equal(pool_input(f.pool, 1, "hello", 5, false), RC_OK);
    assert_int_equal(pool_input(f.pool, 1, NULL, 0, false), RC_OK);
    assert_int_equal(pool_input(f.pool, 1, " you", 4, true), RC_OK);
    assert_int_equal(pool_input(f.pool, 1, "x", 1, false), RC_CANCELLED);
    run_until_ended(&f, 1, 1);
    assert_string_equal(f.jobs[1].out, "hello you");
    assert_int_equal(f.jobs[1].taken, 9);
    assert_int_equal(exec(&f, 1, "duplex-slow", INPUT_DUPLEX), RC_OK);
    assert_int_equal(pool_input(f.pool, 1, "x", 1, false), RC_CANCELLED);
    run_until_sent(&f, 1, 2);
    assert_int_equal(pool_input(f.pool, 1, bytes, sizeof bytes, false), RC_OK);
    assert_int_equal(pool_input_room(f.pool, 1), 0);
    assert_int_equal(pool_input(f.pool, 1, "x", 1, false), RC_LIMIT);
    assert_int_equal(pool_input(f.pool, 1, NULL, 0, true), RC_OK);
    run_until_ended(&f, 1, 2);
    assert_int_equal(f.jobs[1].bytes, 9 + sizeof bytes);
    assert_int_equal(f.jobs[1].taken, 9);
    assert_int_equal(exec(&f, 1, "duplex", INPUT_DUPLEX), RC_OK);
    run_until_sent(&f, 1, 3);
    assert_int_equal(pool_input_room(f.pool, 1), SESSION_MAX_INPUT);
    assert_int_equal(f.troubles, 0);
    close_pool(&f); /* with the job under way */
}

/* Idle, nothing of ours ran; with a command given and not sent, neither. */
static void a_killed_worker_and_warm_jobs(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    assert_int_equal(pool_add_blob(f.pool, 0, "abc", 3, NULL), RC_OK);
    assert_int_equal(pool_add_blob(f.pool, 6, "defg", 4, NULL), RC_OK);
    start_warm(&f, 1, "ok", INPUT_NONE, 0);
    start_warm(&f, 2, "hang", INPUT_NONE, 0);
    start_warm(&f, 3, "ok", INPUT_BLOB, 6);
    run_until_ended(&f, 1, 1);
    run_until_ended(&f, 3, 1);
    run_until_sent(&f, 2, 1);
    pool_set_spare(f.pool, 1);
    assert_int_equal(kill(f.pool->workers[0].process.pid, SIGSTOP), 0);
    assert_int_equal(exec(&f, 3, "ok", INPUT_NONE), RC_OK);
    assert_int_equal(kill(f.pool->workers[0].process.pid, SIGKILL), 0);
    run_until_done(&f, 3);
    static const enum problem problems[] = {PROBLEM_WORKER_DIED, PROBLEM_WORKER_LOST,
                                            PROBLEM_WORKER_DIED};
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(f.jobs[i].result.outcome.problem, problems[i - 1]);
        assert_int_equal(f.jobs[i].result.outcome.sent, i == 2);
        assert_int_equal(f.jobs[i].result.outcome.may_still_run, i == 2);
    }
    assert_int_equal(exec(&f, 1, "ok", INPUT_NONE), RC_CANCELLED);
    /* The one that takes its place has the blobs, and is given a job that is to be finished. */
    start_warm(&f, 4, "input", INPUT_BLOB, 6);
    pool_finish(f.pool, 4);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[4].ended, 1);
    assert_string_equal(f.jobs[4].out, " 7 700");
    close_pool(&f);
}

static void a_worker_that_lies_of_warm_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *command, *says;
        enum problem problem;
    } cases[] = {
        {"lie-ended-idle", "that there is not", PROBLEM_WORKER_DIED},
        {"lie-data-idle", "before the command", PROBLEM_WORKER_DIED},
        {"lie-sent-idle", "a step out of turn", PROBLEM_WORKER_DIED},
        {"lie-authenticated-idle", "a step out of turn", PROBLEM_WORKER_DIED},
        {"lie-sent", "a step out of turn", PROBLEM_WORKER_LOST},
        {"lie-taken-idle", "more was taken", PROBLEM_WORKER_DIED},
        {"lie-taken", "more was taken", PROBLEM_WORKER_LOST},
        {"lie-ok", "not of its kind", PROBLEM_WORKER_LOST},
        {"lie-ok-idle", "not of its kind", PROBLEM_WORKER_DIED},
        {"lie-close", "not of its kind", PROBLEM_WORKER_LOST},
        {"lie-close-idle", "not of its kind", PROBLEM_WORKER_DIED}, /* nobody said finish */
        {"lie-done-sent-idle", "not of its kind", PROBLEM_WORKER_DIED},
        {"lie-unsent", "not of its kind", PROBLEM_WORKER_LOST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        open_pool(&f, 1);
        start_warm(&f, 1, cases[i].command, INPUT_DUPLEX, 0);
        run_until_done(&f, 1);
        assert_int_equal(f.troubles, 1);
        if (strstr(f.trouble, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].command, f.trouble);
        assert_int_equal(f.jobs[1].result.outcome.problem, cases[i].problem);
        close_pool(&f);
    }
    struct fixture f; /* and of one that is not warm */
    open_pool(&f, 1);
    start(&f, 1, "lie-ended");
    run_until_done(&f, 1);
    assert_non_null(strstr(f.trouble, "that there is not"));
    close_pool(&f);
}

static void no_memory_for_warm_jobs(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct fixture f;
        static char bytes[200 * 1024];
        open_pool(&f, 1);
        mem_fail_after(n);
        enum rc rc = pool_add_blob(f.pool, 3, bytes, sizeof bytes, NULL);
        mem_fail_after(-1);
        if (rc == RC_OK) {
            start_warm(&f, 1, "ok", INPUT_NONE, 0);
            run_until_ended(&f, 1, 1);
            buf_fini(chan_out(&f.pool->workers[0].chan));
            mem_fail_after(n);
            rc = exec(&f, 1, "duplex", INPUT_DUPLEX);
            mem_fail_after(-1);
            assert_true(rc == RC_OK || rc == RC_NOMEM);
        }
        bool gone = false;
        if (rc == RC_OK) {
            run_until_sent(&f, 1, 2);
            buf_fini(chan_out(&f.pool->workers[0].chan));
            mem_fail_after(n);
            rc = pool_input(f.pool, 1, bytes, sizeof bytes, true);
            bool fired = mem_fail_fired();
            mem_fail_after(-1);
            assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
            gone = fired;
        }
        if (gone) { /* it would run on with half of its input */
            run_until_done(&f, 1);
            assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_WORKER_LOST);
        }
        close_pool(&f);
        if (rc == RC_OK)
            break;
        assert_true(n < 100);
    }
}

int main(int argc, char **argv)
{
    if (worker_is_called(argc, argv))
        be_worker(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_jobs),
        cmocka_unit_test(warm_input),
        cmocka_unit_test(a_killed_worker_and_warm_jobs),
        cmocka_unit_test(a_worker_that_lies_of_warm_jobs),
        cmocka_unit_test(no_memory_for_warm_jobs),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
