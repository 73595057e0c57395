/* controller/worker: pool and worker together, in real processes, over a session that is a script.
 *
 * The session_* functions of scripted_session.h take the place of controller/ssh.
 */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/worker/msg.h"
#include "controller/worker/pool_internal.h"
#include "controller/worker/worker.h"
#include "tests/unit/pool_fixture.h"

static void jobs_flow(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 2);
    for (uint64_t i = 0; i < 20; i++)
        start(&f, i, i % 2 ? "exit 255" : "ok");
    run_until_done(&f, 20);
    for (int i = 0; i < 20; i++) {
        struct seen *s = &f.jobs[i];
        assert_int_equal(s->begun, 1);
        assert_int_equal(s->hostkeys, 1);
        assert_int_equal(s->authenticated, 1);
        assert_int_equal(s->sent, 1);
        assert_int_equal(s->done, 1);
        assert_true(s->result.outcome.sent);
        assert_int_equal(s->result.outcome.problem, i % 2 ? PROBLEM_EXIT_NONZERO : PROBLEM_NONE);
        assert_int_equal(s->result.outcome.exit_code, i % 2 ? 255 : 0);
        assert_string_equal(s->out, i % 2 ? "" : "output");
        assert_string_equal(s->err, i % 2 ? "" : "err");
    }
    start(&f, 20, "late");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[20].answered, 1);
    assert_int_equal(f.jobs[20].result.outcome.problem, PROBLEM_NONE);
    start(&f, 3, "ok"); /* a number is free again once its job is done */
    run_until_done(&f, 1);
    assert_int_equal(f.troubles, 0);
    close_pool(&f);
}

static void a_living_number_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    start(&f, 1, "hang");
    struct session_spec spec = {.label = "x", .user = "", .hostkey_types = "", .command = ""};
    assert_int_equal(pool_start(f.pool, 1, &spec, NULL), RC_EXISTS);
    spec.command_len = SESSION_MAX_COMMAND + 1;
    assert_int_equal(pool_start(f.pool, 2, &spec, NULL), RC_LIMIT);
    close_pool(&f); /* with a job under way */
    assert_int_equal(f.done, 0);
}

static void reject_and_cancel(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    f.reject = true;
    start(&f, 1, "ok");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_HOST_KEY_CHANGED);
    assert_string_equal(f.jobs[1].result.outcome.detail, "line 7");
    assert_int_equal(f.jobs[1].sent, 0);
    f.reject = false;
    f.cancel_at_sent = 2;
    start(&f, 2, "hang");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[2].result.outcome.problem, PROBLEM_CANCELLED);
    assert_true(f.jobs[2].result.outcome.may_still_run);
    pool_cancel(f.pool, 2, PROBLEM_CANCELLED, true); /* over: nothing happens */
    start(&f, 3, "hang-early");
    pool_cancel(f.pool, 3, PROBLEM_CANCELLED, false);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[3].result.outcome.problem, PROBLEM_CANCELLED);
    start(&f, 4, "no-start");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[4].result.outcome.problem, PROBLEM_LOCAL_RESOURCE);
    assert_string_equal(f.jobs[4].result.outcome.detail, "no descriptor is left");
    close_pool(&f);
}

/* It travels when it is asked for, to the worker that asked. */
static void passwords(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 2);
    f.password = "tr0ub4dor&3";
    start(&f, 1, "password");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].asked, 1);
    assert_string_equal(f.jobs[1].out, "tr0ub4dor&3");
    f.password = NULL;
    start(&f, 2, "password none");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[2].asked, 1);
    assert_int_equal(f.jobs[2].result.outcome.problem, PROBLEM_AUTH_DENIED);
    assert_int_equal(f.troubles, 0);
    pool_password_answer(f.pool, 2, "late", 4); /* it is over */
    close_pool(&f);
}

static void keys_and_input(void **state)
{
    (void)state;
    struct fixture f;
    size_t n = 5 * 1024 * 1024 + 3; /* many parts, more than a socket holds */
    char *input = mem_alloc(n);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        input[i] = (char)(i * 7);
        sum += (uint8_t)input[i];
    }
    open_pool(&f, 2);
    assert_int_equal(pool_add_key(f.pool, 5, "key text", 8, "pass", "id_x", NULL), RC_OK);
    assert_int_equal(pool_set_stdin(f.pool, input, n, NULL), RC_OK);
    for (uint64_t i = 0; i < 4; i++)
        start(&f, i, "input");
    run_until_done(&f, 4);
    char want[128];
    snprintf(want, sizeof want, "5/8/pass/id_x %zu %llu", n, (unsigned long long)sum);
    for (int i = 0; i < 4; i++)
        assert_string_equal(f.jobs[i].out, want);
    close_pool(&f);
    mem_free(input);
}

static void keys_that_are_no_files(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    assert_int_equal(pool_add_identity(f.pool, 9, -1, "blob", 4, "agent's", NULL), RC_OK);
    start(&f, 1, "input");
    run_until_done(&f, 1);
    assert_string_equal(f.jobs[1].out, "agent 9/blob/agent's 0 0");
    assert_int_equal(pool_add_identity(f.pool, 10, 9, "cert", 4, "c", NULL), RC_OK);
    start(&f, 2, "input");
    run_until_done(&f, 1);
    assert_string_equal(f.jobs[2].out, "cert 10/9/cert/c 0 0");
    static char large[64 * 1024];
    assert_int_equal(pool_add_identity(f.pool, 11, -1, large, sizeof large, "l", NULL), RC_LIMIT);
    close_pool(&f);
}

static void signatures(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    start(&f, 1, "sign");
    run_until_done(&f, 1);
    assert_int_equal(f.signs, 1);
    assert_string_equal(f.jobs[1].out, "0/by 7: login/fine");
    f.refuse_to_sign = true;
    start(&f, 2, "sign");
    run_until_done(&f, 1);
    assert_string_equal(f.jobs[2].out, "1//no");
    pool_signed(f.pool, 2, SIGN_OK, "x", 1, ""); /* it has ended: nothing happens */
    close_pool(&f);
}

static void queued_before_attach(void **state)
{
    (void)state;
    struct fixture f = {.live = mem_live()};
    assert_int_equal(pool_fork(&f.pool, 1, NULL), RC_OK);
    char *input = mem_calloc(1, 3 * 1024 * 1024);
    assert_int_equal(pool_add_key(f.pool, 1, "k", 1, NULL, "id", NULL), RC_OK);
    assert_int_equal(pool_set_stdin(f.pool, input, 3 * 1024 * 1024, NULL), RC_OK);
    mem_free(input);
    assert_int_equal(uv_loop_init(&f.loop), 0);
    assert_int_equal(pool_attach(f.pool, &f.loop, &ops, &f, NULL), RC_OK);
    start(&f, 1, "input");
    start(&f, 2, "hang-early");
    pool_cancel(f.pool, 2, PROBLEM_CANCELLED, false); /* behind the input as well */
    run_until_done(&f, 2);
    assert_string_equal(f.jobs[1].out, "1/1/-/id 3145728 0");
    assert_int_equal(f.jobs[2].result.outcome.problem, PROBLEM_CANCELLED);
    close_pool(&f);
}

static void start_from_prepare(uv_prepare_t *h)
{
    uv_prepare_stop(h);
    start(h->data, 1, "ok");
}

/* The loop is about to sleep when the job is queued: it must not sleep on it. */
static void queued_while_the_loop_prepares(void **state)
{
    (void)state;
    struct fixture f;
    uv_prepare_t prepare;
    open_pool(&f, 1);
    uv_prepare_init(&f.loop, &prepare);
    prepare.data = &f;
    uv_prepare_start(&prepare, start_from_prepare);
    run_until_done(&f, 1);
    uv_close((uv_handle_t *)&prepare, NULL);
    close_pool(&f);
}

static void a_bad_key_is_told(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    f.stop_at_trouble = true;
    assert_int_equal(pool_add_key(f.pool, 0, "bad key", 7, NULL, "id_y", NULL), RC_OK);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(f.trouble_rc, RC_CRYPTO);
    assert_string_equal(f.trouble, "key id_y: wrong passphrase");
    assert_false(f.all_dead);
    start(&f, 1, "ok"); /* it goes on */
    run_until_done(&f, 1);
    close_pool(&f);
}

/* One worker dies: its jobs end by whether their command was sent, the other's go on. */
static void a_killed_worker_costs_its_own_jobs(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 2);
    start(&f, 0, "hang"); /* to one worker */
    f.stop_at_trouble = true;
    start(&f, 1, "ok"); /* to the other */
    run_until_done(&f, 1);
    start(&f, 2, "hang-early"); /* to the other, or to the first: both are counted below */
    start(&f, 3, "die");
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(f.troubles, 1);
    assert_non_null(strstr(f.trouble, "was killed by signal 9"));
    assert_false(f.all_dead);
    assert_int_equal(f.jobs[3].result.outcome.problem, PROBLEM_WORKER_LOST);
    assert_true(f.jobs[3].result.outcome.sent);
    assert_true(f.jobs[3].result.outcome.may_still_run);
    assert_int_equal(f.jobs[3].result.outcome.phase, PHASE_RUN);
    for (int i = 0; i < 3; i += 2)
        if (f.jobs[i].done)
            assert_int_equal(f.jobs[i].result.outcome.problem,
                             f.jobs[i].sent ? PROBLEM_WORKER_LOST : PROBLEM_WORKER_DIED);
    start(&f, 4, "die-early"); /* the last one */
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_true(f.all_dead);
    assert_int_equal(f.jobs[4].result.outcome.problem, PROBLEM_WORKER_DIED);
    assert_false(f.jobs[4].result.outcome.sent);
    for (int i = 0; i < 5; i++)
        assert_int_equal(f.jobs[i].done, 1);
    struct session_spec spec = {.label = "x", .user = "", .hostkey_types = "", .command = ""};
    struct err e;
    assert_int_equal(pool_start(f.pool, 9, &spec, &e), RC_NOTFOUND);
    close_pool(&f);
}

/* Once `sent` has returned the request is on its way to the host: the coordinator must know. */
static void sent_is_told_before_it_is_true(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    start(&f, 1, "die-as-sent");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_WORKER_LOST);
    assert_true(f.jobs[1].result.outcome.sent);
    close_pool(&f);
}

static void run_until_alive(struct fixture *f, uint64_t job)
{
    start(f, job, "ok");
    run_until_done(f, 1);
    assert_int_equal(f->jobs[job].result.outcome.problem, PROBLEM_NONE);
}

static void check_equipped(struct fixture *f, uint64_t job)
{
    start(f, job, "input");
    run_until_done(f, 1);
    assert_string_equal(f->jobs[job].out, "2/9/-/id two 1048576 1048576");
}

/* Another takes its place, with the keys and the input that the first one had; jobs that come
 * while there is none are held for it. */
static void a_dead_worker_is_replaced(void **state)
{
    (void)state;
    struct fixture f;
    char *input = malloc(1 << 20);
    memset(input, 1, 1 << 20);
    open_pool(&f, 1);
    pool_set_spare(f.pool, POOL_SPARE);
    assert_int_equal(pool_add_key(f.pool, 1, "text", 4, "secret", "id one", NULL), RC_OK);
    assert_int_equal(pool_add_key(f.pool, 2, "key text!", 9, NULL, "id two", NULL), RC_OK);
    assert_int_equal(pool_set_stdin(f.pool, input, 1 << 20, NULL), RC_OK);
    free(input);
    check_equipped(&f, 0);
    for (uint64_t i = 1; i < 10; i += 2) {
        start(&f, i, i % 4 == 1 ? "die" : "die-early");
        run_until_done(&f, 1);
        assert_int_equal(f.jobs[i].result.outcome.problem,
                         i % 4 == 1 ? PROBLEM_WORKER_LOST : PROBLEM_WORKER_DIED);
        assert_false(f.all_dead);
        assert_non_null(strstr(f.trouble, "was killed by signal 9; another takes its place"));
        check_equipped(&f, i + 1);
    }
    assert_int_equal(f.troubles, 5);
    close_pool(&f);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    assert_int_equal(errno, ECHILD);
}

static pid_t only_child(void)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    return (pid_t)strtol(text, NULL, 10);
}

/* It dies while jobs wait behind its input: they end, and are not its successor's. */
static void what_was_held_dies_with_it(void **state)
{
    (void)state;
    struct fixture f;
    const size_t size = 32 << 20;
    char *input = calloc(1, size);
    open_pool(&f, 1);
    pool_set_spare(f.pool, POOL_SPARE);
    assert_int_equal(pool_set_stdin(f.pool, input, size, NULL), RC_OK);
    free(input);
    start(&f, 1, "ok");
    kill(only_child(), SIGKILL);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_WORKER_DIED);
    run_until_alive(&f, 2);
    assert_int_equal(f.jobs[1].sent, 0);
    assert_int_equal(f.jobs[1].done, 1);
    assert_int_equal(f.troubles, 1);
    close_pool(&f);
}

/* The last spare: honest failure, as without any. */
static void replacements_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    struct session_spec spec = {.label = "x", .user = "", .hostkey_types = "", .command = ""};
    open_pool(&f, 1);
    pool_set_spare(f.pool, 2);
    for (uint64_t i = 0; i < 6; i += 2) {
        run_until_alive(&f, i);
        start(&f, i + 1, "die");
        run_until_done(&f, 1);
        assert_int_equal(f.all_dead, i == 4);
    }
    assert_null(strstr(f.trouble, "another"));
    assert_int_equal(pool_start(f.pool, 9, &spec, NULL), RC_NOTFOUND);
    close_pool(&f);
}

/* Good work earns more of them. */
static void progress_earns_replacements(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    pool_set_spare(f.pool, 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < POOL_SPARE_PER; i++)
            start(&f, (uint64_t)i, "ok");
        run_until_done(&f, POOL_SPARE_PER);
        start(&f, 1, "die");
        run_until_done(&f, 1);
        assert_false(f.all_dead);
    }
    close_pool(&f);
}

static void on_beat_timer(uv_timer_t *h);

/* Tried again with longer and longer waits, and not for ever; the job that waits then ends. */
static void one_that_dies_at_birth(void **state)
{
    (void)state;
    struct fixture f;
    uv_timer_t beat;
    open_pool(&f, 1);
    pool_set_spare(f.pool, POOL_SPARE);
    uv_timer_init(&f.loop, &beat);
    beat.data = f.pool;
    setenv(STILLBORN, "1", 1);
    run_until_alive(&f, 0);
    uv_timer_start(&beat, on_beat_timer, 1, 1);
    start(&f, 1, "die");
    run_until_done(&f, 1);
    start(&f, 2, "ok"); /* held */
    run_until_done(&f, 1);
    unsetenv(STILLBORN);
    assert_true(f.all_dead);
    assert_int_equal(f.troubles, 1 + POOL_STILLBORN_MAX);
    assert_int_equal(f.jobs[2].result.outcome.problem, PROBLEM_WORKER_DIED);
    assert_false(f.jobs[2].result.outcome.sent);
    uv_close((uv_handle_t *)&beat, NULL);
    close_pool(&f);
}

/* Cancelled before its worker was born, and closed while one is awaited. */
static void held_jobs_can_be_cancelled(void **state)
{
    (void)state;
    struct fixture f;
    uv_timer_t beat;
    open_pool(&f, 1);
    pool_set_spare(f.pool, POOL_SPARE);
    uv_timer_init(&f.loop, &beat);
    beat.data = f.pool;
    run_until_alive(&f, 0);
    f.stop_at_trouble = true;
    start(&f, 1, "die");
    while (f.troubles == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    start(&f, 2, "hang");
    pool_cancel(f.pool, 2, PROBLEM_CANCELLED, false);
    run_until_done(&f, f.done == 1 ? 2 : 1);
    assert_int_equal(f.jobs[2].result.outcome.problem, PROBLEM_CANCELLED);
    start(&f, 3, "die");
    while (f.troubles == 1)
        uv_run(&f.loop, UV_RUN_ONCE);
    start(&f, 4, "ok");
    uv_close((uv_handle_t *)&beat, NULL);
    close_pool(&f);
}

/* Stopped (SIGSTOP), as by a debugger or a machine that swaps: after its bound it is ended, and the
 * next one works. */
static void a_stopped_worker_is_replaced(void **state)
{
    (void)state;
    struct fixture f;
    uv_timer_t beat;
    open_pool(&f, 1);
    pool_set_spare(f.pool, POOL_SPARE);
    uv_timer_init(&f.loop, &beat);
    beat.data = f.pool;
    start(&f, 1, "stop");
    uv_timer_start(&beat, on_beat_timer, 1, 1);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_WORKER_LOST);
    assert_non_null(strstr(f.jobs[1].result.outcome.detail, "stuck"));
    run_until_alive(&f, 2);
    uv_close((uv_handle_t *)&beat, NULL);
    close_pool(&f);
}

static void on_beat_timer(uv_timer_t *h)
{
    pool_beat(h->data);
}

/* As a host would by an endless loop in the library. */
static void a_stuck_worker_is_ended(void **state)
{
    (void)state;
    struct fixture f;
    uv_timer_t beat;
    open_pool(&f, 1);
    uv_timer_init(&f.loop, &beat);
    beat.data = f.pool;
    start(&f, 1, "hang");
    start(&f, 2, "ok");
    run_until_done(&f, 1);
    /* One that only has nothing to say answers: more beats than it may be quiet for. */
    for (int i = 0; i < 3 * POOL_QUIET_BEATS / POOL_PING_BEATS; i++) {
        for (int j = 0; j < POOL_PING_BEATS; j++)
            pool_beat(f.pool);
        uv_timer_start(&beat, on_beat_timer, 50, 0);
        while (uv_is_active((uv_handle_t *)&beat))
            uv_run(&f.loop, UV_RUN_ONCE);
    }
    assert_int_equal(f.jobs[1].done, 0);
    start(&f, 3, "loop");
    uv_timer_start(&beat, on_beat_timer, 1, 1);
    run_until_done(&f, 2);
    assert_int_equal(f.jobs[3].result.outcome.problem, PROBLEM_WORKER_LOST);
    assert_non_null(strstr(f.jobs[1].result.outcome.detail, "stuck"));
    uv_close((uv_handle_t *)&beat, NULL);
    close_pool(&f);
}

static void a_worker_that_lies_is_ended(void **state)
{
    (void)state;
    static const struct {
        const char *command, *says;
    } cases[] = {
        {"bad-frame", "no frame"},
        {"bad-type", "not a message"},
        {"bad-job", "does not have"},
        {"bad-order", "before the command"},
        {"bad-length", "empty payload"},
        {"bad-done", "contradicts itself"},
        {"bad-scan", "not of its kind"},
        {"bad-map", "larger than the message"},
        {"bad-answered", "an answer out of turn"},
        {"bad-silent", "a silence out of turn"},
        {"bad-held", "a host key out of turn"},
        {"bad-wanted", "a password out of turn"},
        {"bad-sign", "a signature out of turn"},
        {"sign-twice", "out of turn"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        open_pool(&f, 1);
        start(&f, 1, cases[i].command);
        run_until_done(&f, 1);
        assert_int_equal(f.troubles, 1);
        assert_true(f.all_dead);
        if (strstr(f.trouble, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].command, f.trouble);
        assert_int_equal(f.jobs[1].done, 1);
        assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_WORKER_DIED);
        close_pool(&f);
    }
}

/* A worker's terminal signals are not its own: it must be there to cancel with. */
static void survives_the_terminal(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGHUP, SIGTERM, SIGQUIT};
    struct fixture f;
    open_pool(&f, 1);
    start(&f, 1, "ok");
    run_until_done(&f, 1); /* it has set itself up */
    void (*old[4])(int);
    for (int i = 0; i < 4; i++) {
        old[i] = signal(signals[i], SIG_IGN);
        kill(0, signals[i]);
    }
    start(&f, 2, "ok");
    run_until_done(&f, 1);
    assert_int_equal(f.troubles, 0);
    for (int i = 0; i < 4; i++)
        signal(signals[i], old[i]);
    close_pool(&f);
}

static void a_worker_is_shut_in(void **state)
{
    (void)state;
    struct fixture f;
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof shared->other;
    shared->other = (struct sockaddr_un){.sun_family = AF_UNIX}; /* the kernel finds a name */
    assert_int_equal(bind(listening, (struct sockaddr *)&shared->other, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&shared->other, &len), 0);
    assert_int_equal(listen(listening, 1), 0);
    shared->other_len = len;
    open_pool(&f, 1);
    start(&f, 1, "escape");
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_NONE);
    assert_string_equal(f.jobs[1].out, "dumpable 0, no new privileges 1");
    close_pool(&f);
    close(listening);
}

/* With as many handshakes as are always under way, and a loop that lags, a job waits; it has not
 * begun, can be cancelled, and goes on when there is a place. */
static void jobs_wait_in_line(void **state)
{
    (void)state;
    struct fixture f;
    open_pool(&f, 1);
    f.want_begun = ADMIT_LEAST;
    for (uint64_t i = 0; i < ADMIT_LEAST; i++)
        start(&f, i, i == 0 ? "burn" : "hang-early");
    start(&f, 64, "ok");
    start(&f, 65, "ok");
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(f.begun, ADMIT_LEAST);
    pool_cancel(f.pool, 64, PROBLEM_CANCELLED, false);
    run_until_done(&f, 1);
    assert_int_equal(f.jobs[64].result.outcome.problem, PROBLEM_CANCELLED);
    assert_string_equal(f.jobs[64].result.outcome.detail, "before a connection was made");
    assert_int_equal(f.jobs[64].begun, 0);
    assert_int_equal(f.jobs[65].begun, 0);
    pool_cancel(f.pool, 1, PROBLEM_CANCELLED, true);
    run_until_done(&f, 2);
    assert_int_equal(f.jobs[65].begun, 1);
    assert_int_equal(f.jobs[65].result.outcome.problem, PROBLEM_NONE);
    close_pool(&f);
}

/* The coordinator does not read: the worker holds its sessions instead of memory. */
static void a_stalled_coordinator_stays_bounded(void **state)
{
    (void)state;
    struct fixture f;
    const uint64_t total = 64 * 1024 * 1024;
    open_pool(&f, 1);
    f.flood_of = total;
    start(&f, 1, "flood 67108864");
    while (f.jobs[1].sent == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(sem_wait(&shared->paused), 0); /* nobody reads until it stops by itself */
    uint64_t held = atomic_load(&shared->produced) - f.jobs[1].bytes;
    assert_true(held <= 8 * 1024 * 1024);
    run_until_done(&f, 1);
    assert_true(f.jobs[1].bytes == total);
    assert_true(f.jobs[1].in_order);
    assert_int_equal(f.jobs[1].result.outcome.problem, PROBLEM_NONE);
    close_pool(&f);
}

/* PAUSE holds on although the queue has drained: the two reasons are kept apart. */
static void pause_holds_until_resume(void **state)
{
    (void)state;
    struct fixture f;
    const uint64_t total = 16 * 1024 * 1024;
    open_pool(&f, 1);
    f.flood_of = total;
    start(&f, 1, "flood 16777216");
    while (f.jobs[1].sent == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(sem_wait(&shared->paused), 0);
    pool_pause(f.pool);
    /* All that it produced comes, and it produces no more. The host key of a second job shows that
     * the worker has handled what came before. */
    start(&f, 2, "hang-early");
    start(&f, 3, "hang");
    while (f.jobs[3].sent == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    while (f.jobs[1].bytes < atomic_load(&shared->produced))
        uv_run(&f.loop, UV_RUN_ONCE);
    uint64_t produced = atomic_load(&shared->produced);
    start(&f, 4, "hang");
    while (f.jobs[4].sent == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_true(produced < total);
    assert_true(atomic_load(&shared->produced) == produced);
    pool_resume(f.pool);
    run_until_done(&f, 1);
    assert_true(f.jobs[1].bytes == total && f.jobs[1].in_order);
    close_pool(&f);
}

static void no_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct fixture f;
        size_t live = mem_live();
        memset(&f, 0, sizeof f);
        f.live = live;
        struct session_spec spec = {.label = "x", .user = "", .hostkey_types = "", .command = "ok"};
        spec.command_len = 2;
        spec.addr.in.sin_family = AF_INET;
        assert_int_equal(uv_loop_init(&f.loop), 0);
        mem_fail_after(n);
        enum rc rc = pool_fork(&f.pool, 1, NULL);
        bool attached = rc == RC_OK;
        if (attached) {
            assert_int_equal(pool_attach(f.pool, &f.loop, &ops, &f, NULL), RC_OK);
            rc = pool_add_key(f.pool, 1, "k", 1, NULL, "id", NULL);
            if (rc == RC_OK)
                rc = pool_set_stdin(f.pool, "abc", 3, NULL);
            if (rc == RC_OK)
                rc = pool_start(f.pool, 1, &spec, NULL);
        }
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (attached)
            close_pool(&f);
        else
            assert_int_equal(uv_loop_close(&f.loop), 0);
        assert_int_equal(mem_live(), live);
        if (!fired)
            break;
    }
}

static void never_attached(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct pool *p;
    assert_int_equal(pool_fork(&p, 3, NULL), RC_OK);
    pool_free(p);
    assert_int_equal(mem_live(), live);
    pool_free(NULL);
}

int main(int argc, char **argv)
{
    if (worker_is_called(argc, argv))
        be_worker(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_flow),
        cmocka_unit_test(a_living_number_is_refused),
        cmocka_unit_test(reject_and_cancel),
        cmocka_unit_test(passwords),
        cmocka_unit_test(keys_and_input),
        cmocka_unit_test(keys_that_are_no_files),
        cmocka_unit_test(signatures),
        cmocka_unit_test(queued_before_attach),
        cmocka_unit_test(queued_while_the_loop_prepares),
        cmocka_unit_test(a_bad_key_is_told),
        cmocka_unit_test(a_killed_worker_costs_its_own_jobs),
        cmocka_unit_test(a_dead_worker_is_replaced),
        cmocka_unit_test(what_was_held_dies_with_it),
        cmocka_unit_test(replacements_are_bounded),
        cmocka_unit_test(progress_earns_replacements),
        cmocka_unit_test(one_that_dies_at_birth),
        cmocka_unit_test(held_jobs_can_be_cancelled),
        cmocka_unit_test(a_stopped_worker_is_replaced),
        cmocka_unit_test(sent_is_told_before_it_is_true),
        cmocka_unit_test(a_stuck_worker_is_ended),
        cmocka_unit_test(a_worker_that_lies_is_ended),
        cmocka_unit_test(survives_the_terminal),
        cmocka_unit_test(a_worker_is_shut_in),
        cmocka_unit_test(jobs_wait_in_line),
        cmocka_unit_test(a_stalled_coordinator_stays_bounded),
        cmocka_unit_test(pause_holds_until_resume),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(never_attached),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
