/* Warm jobs in real worker processes against a real sshd: commands one after the other, input of
 * each kind, back-pressure, a worker that is killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <uv.h>

#include "common/buf.h"
#include "common/mem.h"
#include "controller/worker/msg.h"
#include "controller/worker/pool_internal.h"
#include "controller/worker/worker.h"
#include "tests/unit/sshd_fixture.h"

static struct fixture fix;
static pid_t sshd_pid;
static int sshd_port;
static const char *const SSHD_IP = "127.77.5.1";

enum { JOBS = 64 };

struct job {
    int sent, ended, done, authenticated;
    struct session_result result, end; /* of the last command; of the job */
    struct buf out;
    size_t taken;
    const uint8_t *feed; /* what its command is still to be given */
    size_t feed_left;
};

struct bench {
    uv_loop_t loop;
    struct pool *pool;
    struct job jobs[JOBS];
    bool closed;
    int troubles;
    bool all_dead;
    size_t live;
    struct bench *self;
};

static void on_hostkey(void *user, uint64_t job, const char *type, const void *blob, size_t len)
{
    struct bench *b = user;
    (void)type, (void)blob, (void)len;
    pool_hostkey_answer(b->pool, job, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL);
}

static void on_authenticated(void *user, uint64_t job)
{
    ((struct bench *)user)->jobs[job].authenticated++;
}

static void feed(struct bench *b, uint64_t job)
{
    struct job *j = &b->jobs[job];
    size_t n = pool_input_room(b->pool, job);
    n = n < j->feed_left ? n : j->feed_left;
    if (n == 0)
        return;
    j->feed_left -= n;
    assert_int_equal(pool_input(b->pool, job, j->feed, n, j->feed_left == 0), RC_OK);
    j->feed += n;
}

static void on_sent(void *user, uint64_t job)
{
    struct bench *b = user;
    b->jobs[job].sent++;
    feed(b, job);
}

static void on_data(void *user, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    struct bench *b = user;
    assert_false(is_stderr);
    assert_int_equal(buf_append(&b->jobs[job].out, p, n), RC_OK);
    uv_stop(&b->loop);
}

static void on_ended(void *user, uint64_t job, const struct session_result *r)
{
    struct bench *b = user;
    b->jobs[job].ended++;
    b->jobs[job].result = *r;
    uv_stop(&b->loop);
}

static void on_taken(void *user, uint64_t job, size_t n)
{
    struct bench *b = user;
    b->jobs[job].taken += n;
    feed(b, job);
}

static void on_done(void *user, uint64_t job, const struct session_result *r)
{
    struct bench *b = user;
    b->jobs[job].done++;
    b->jobs[job].end = *r;
    uv_stop(&b->loop);
}

static void on_trouble(void *user, enum rc rc, const char *message, bool all_dead)
{
    struct bench *b = user;
    (void)rc, (void)message;
    b->troubles++;
    b->all_dead = all_dead;
}

static const struct pool_ops ops = {.hostkey = on_hostkey,
                                    .authenticated = on_authenticated,
                                    .sent = on_sent,
                                    .data = on_data,
                                    .done = on_done,
                                    .trouble = on_trouble,
                                    .ended = on_ended,
                                    .taken = on_taken};

static void open_pool(struct bench *b, unsigned workers)
{
    memset(b, 0, sizeof *b);
    b->live = mem_live();
    for (int i = 0; i < JOBS; i++)
        buf_init(&b->jobs[i].out, 64 << 20);
    assert_int_equal(pool_fork(&b->pool, workers, NULL), RC_OK);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    const char *id = fixture_read(&fix, "id");
    assert_int_equal(pool_add_key(b->pool, 1, id, strlen(id), NULL, "id", NULL), RC_OK);
    assert_int_equal(pool_attach(b->pool, &b->loop, &ops, b, NULL), RC_OK);
}

static void on_closed(void *user)
{
    ((struct bench *)user)->closed = true;
}

static void close_pool(struct bench *b)
{
    pool_close(b->pool, on_closed, b);
    while (!b->closed)
        uv_run(&b->loop, UV_RUN_ONCE);
    uv_run(&b->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    pool_free(b->pool);
    for (int i = 0; i < JOBS; i++)
        buf_fini(&b->jobs[i].out);
    assert_int_equal(mem_live(), b->live);
}

static void start(struct bench *b, uint64_t job, const char *command, enum input_kind input,
                  unsigned blob)
{
    struct session_spec spec = {.kind = SESSION_WARM,
                                .label = "host",
                                .user = fix.user,
                                .keys = {1},
                                .key_count = 1,
                                .hostkey_types = "",
                                .command = command,
                                .command_len = strlen(command),
                                .input = input,
                                .blob = blob,
                                .connect_budget_ms = 600 * 1000};
    spec.addr.in = fixture_addr(SSHD_IP, sshd_port);
    assert_int_equal(pool_start(b->pool, job, &spec, NULL), RC_OK);
}

static enum rc exec(struct bench *b, uint64_t job, const char *command, enum input_kind input,
                    unsigned blob)
{
    struct session_command c = {
        .text = command, .len = strlen(command), .input = input, .blob = blob};
    buf_reset(&b->jobs[job].out);
    b->jobs[job].taken = 0;
    return pool_exec(b->pool, job, &c, NULL);
}

static void await_ended(struct bench *b, uint64_t job, int n)
{
    while (b->jobs[job].ended < n && b->jobs[job].done == 0)
        uv_run(&b->loop, UV_RUN_DEFAULT);
    if (b->jobs[job].done != 0)
        fail_msg("it ended: %s, %s", problem_name(b->jobs[job].end.outcome.problem),
                 b->jobs[job].end.outcome.detail);
    assert_int_equal(b->jobs[job].ended, n);
}

static void await_done(struct bench *b, uint64_t job)
{
    while (b->jobs[job].done == 0)
        uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(b->jobs[job].done, 1);
}

static void finish(struct bench *b, uint64_t job)
{
    pool_finish(b->pool, job);
    pool_finish(b->pool, job);
    await_done(b, job);
    assert_int_equal(b->jobs[job].end.outcome.problem, PROBLEM_NONE);
    assert_int_equal(b->jobs[job].end.outcome.phase, PHASE_CLOSE);
    assert_false(b->jobs[job].end.outcome.sent);
}

static void test_five_commands(void **state)
{
    (void)state;
    struct bench b;
    open_pool(&b, 1);
    start(&b, 1, "echo 0; exit 0", INPUT_NONE, 0);
    for (int i = 1; i <= 5; i++) {
        char command[64], want[16];
        struct job *j = &b.jobs[1];
        await_ended(&b, 1, i);
        snprintf(want, sizeof want, "%d\n", i - 1);
        assert_string_equal(buf_cstr(&j->out), want);
        assert_int_equal(j->result.outcome.exit_code, i - 1);
        assert_int_equal(j->result.outcome.problem, i == 1 ? PROBLEM_NONE : PROBLEM_EXIT_NONZERO);
        assert_int_equal(j->result.outcome.phase, PHASE_RUN);
        assert_true(j->result.outcome.sent);
        assert_int_equal(j->result.stdout_bytes, 2);
        assert_int_equal(j->sent, i);
        assert_int_equal(j->authenticated, 1);
        snprintf(command, sizeof command, "echo %d; exit %d", i, i);
        if (i < 5)
            assert_int_equal(exec(&b, 1, command, INPUT_NONE, 0), RC_OK);
        if (i < 5)
            assert_int_equal(exec(&b, 1, command, INPUT_NONE, 0), RC_EXISTS);
    }
    finish(&b, 1);
    assert_int_equal(exec(&b, 1, "true", INPUT_NONE, 0), RC_CANCELLED);
    close_pool(&b);
}

static uint8_t *pattern(size_t n)
{
    uint8_t *p = mem_alloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 8) * 17 + (i >> 16));
    return p;
}

/* Through `cat` and back, while the coordinator keeps to what may be on the way. */
static void test_duplex(void **state)
{
    (void)state;
    struct bench b;
    const size_t n = 3 * 1024 * 1024 + 17;
    uint8_t *bytes = pattern(n);
    open_pool(&b, 1);
    struct job *j = &b.jobs[1];
    j->feed = bytes;
    j->feed_left = n;
    start(&b, 1, "cat", INPUT_DUPLEX, 0);
    await_ended(&b, 1, 1);
    assert_int_equal(j->result.outcome.problem, PROBLEM_NONE);
    assert_int_equal(j->out.len, n);
    assert_memory_equal(j->out.data, bytes, n);
    assert_true(j->taken <= n && j->taken + SESSION_MAX_INPUT >= n);
    assert_int_equal(pool_input(b.pool, 1, "x", 1, false), RC_CANCELLED);
    /* request, reply; request, reply; on a channel that stays open */
    assert_int_equal(exec(&b, 1, "exec cat", INPUT_DUPLEX, 0), RC_OK);
    while (j->sent < 2)
        uv_run(&b.loop, UV_RUN_ONCE);
    for (size_t i = 1; i <= 20; i++) {
        assert_int_equal(pool_input(b.pool, 1, "ping\n", 5, false), RC_OK);
        while (j->out.len < 5 * i)
            uv_run(&b.loop, UV_RUN_ONCE);
    }
    assert_int_equal(j->taken, 0); /* told in batches */
    assert_int_equal(pool_input(b.pool, 1, NULL, 0, true), RC_OK);
    assert_int_equal(pool_input(b.pool, 1, "x", 1, false), RC_CANCELLED);
    await_ended(&b, 1, 2);
    finish(&b, 1);
    close_pool(&b);
    mem_free(bytes);
}

/* Hosts that may be kept waiting lose nothing by it, nobody else waits for them, and a worker that
 * takes a dead one's place is told as well. */
static void test_calm(void **state)
{
    (void)state;
    struct bench b;
    open_pool(&b, 1);
    struct pool_worker *w = &b.pool->workers[0];
    for (uint64_t job = 1; job <= 2; job++) {
        start(&b, job, "exec cat", INPUT_DUPLEX, 0);
        while (b.jobs[job].sent == 0)
            uv_run(&b.loop, UV_RUN_ONCE);
    }
    for (unsigned i = 1; i <= 3; i++) {
        pool_calm(b.pool, 20);
        assert_int_equal(w->calm_ms, 20);
        for (uint64_t job = 1; job <= 2; job++)
            assert_int_equal(pool_input(b.pool, job, "ping\n", 5, false), RC_OK);
        while (b.jobs[1].out.len < 10 * i - 5 || b.jobs[2].out.len < 10 * i - 5)
            uv_run(&b.loop, UV_RUN_ONCE);
        pool_calm(b.pool, 0);
        assert_int_equal(w->calm_ms, 0);
        for (uint64_t job = 1; job <= 2; job++)
            assert_int_equal(pool_input(b.pool, job, "pong\n", 5, false), RC_OK);
        while (b.jobs[1].out.len < 10 * i || b.jobs[2].out.len < 10 * i)
            uv_run(&b.loop, UV_RUN_ONCE);
    }
    pool_calm(b.pool, MSG_MAX_CALM_MS);
    assert_int_equal(kill(w->process.pid, SIGKILL), 0);
    await_done(&b, 1);
    await_done(&b, 2);
    start(&b, 3, "echo again", INPUT_NONE, 0);
    while (!w->alive || w->calm_ms != MSG_MAX_CALM_MS) {
        pool_beat(b.pool);
        pool_calm(b.pool, MSG_MAX_CALM_MS);
        uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    await_ended(&b, 3, 1);
    assert_string_equal(buf_cstr(&b.jobs[3].out), "again\n");
    finish(&b, 3);
    close_pool(&b);
}

/* One that reads nothing: no more than the bound is on the way, whatever the owner would like. */
static void test_duplex_unread(void **state)
{
    (void)state;
    struct bench b;
    static uint8_t part[64 * 1024];
    open_pool(&b, 1);
    start(&b, 1, "read x; sleep 600", INPUT_DUPLEX, 0);
    while (b.jobs[1].sent == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    /* what the server's window (2 MiB), the pipe and our own bound take, and then no more */
    size_t given = 0, last = 0;
    for (int quiet = 0; quiet<50; quiet = given> last ? 0 : quiet + 1) {
        last = given;
        while (pool_input(b.pool, 1, part, sizeof part, false) == RC_OK)
            given += sizeof part;
        assert_int_equal(pool_input(b.pool, 1, part, sizeof part, false), RC_LIMIT);
        usleep(2000);
        uv_run(&b.loop, UV_RUN_NOWAIT);
    }
    assert_true(given < 8 << 20);
    assert_true(given - b.jobs[1].taken <= SESSION_MAX_INPUT);
    pool_cancel(b.pool, 1, PROBLEM_CANCELLED, true);
    await_done(&b, 1);
    assert_int_equal(b.jobs[1].end.outcome.problem, PROBLEM_CANCELLED);
    assert_true(b.jobs[1].end.outcome.may_still_run);
    close_pool(&b);
}

/* Blobs reach every worker and every later one. */
static void test_blobs(void **state)
{
    (void)state;
    struct bench b;
    const size_t n = 5 * 1024 * 1024 + 3;
    uint8_t *bytes = pattern(n);
    char command[512], path[320];
    open_pool(&b, 1);
    assert_int_equal(pool_add_blob(b.pool, 3, bytes, n, NULL), RC_OK);
    assert_int_equal(pool_add_blob(b.pool, 0, "zero", 4, NULL), RC_OK);
    assert_int_equal(pool_add_blob(b.pool, 7, "", 0, NULL), RC_OK);
    assert_int_equal(pool_add_blob(b.pool, 1, bytes, (64 << 20) - n, NULL), RC_LIMIT);
    snprintf(path, sizeof path, "%s/blob", fix.dir);
    snprintf(command, sizeof command, "cat > %s", path);
    for (int round = 0; round < 2; round++) {
        struct job *j = &b.jobs[round];
        start(&b, (uint64_t)round, command, INPUT_BLOB, 3);
        await_ended(&b, (uint64_t)round, 1);
        assert_int_equal(j->result.outcome.problem, PROBLEM_NONE);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        uint8_t *back = mem_alloc(n + 1);
        assert_int_equal(fread(back, 1, n + 1, f), n);
        fclose(f);
        assert_memory_equal(back, bytes, n);
        mem_free(back);
        unlink(path);
        assert_int_equal(exec(&b, (uint64_t)round, "cat", INPUT_BLOB, 0), RC_OK);
        await_ended(&b, (uint64_t)round, 2);
        assert_string_equal(buf_cstr(&j->out), "zero");
        assert_int_equal(exec(&b, (uint64_t)round, "wc -c", INPUT_BLOB, 7), RC_OK);
        await_ended(&b, (uint64_t)round, 3);
        assert_int_equal(strtol(buf_cstr(&j->out), NULL, 10), 0);
        if (round > 0)
            break;
        /* The worker dies while the job is idle: nothing of ours ran. */
        assert_int_equal(kill(b.pool->workers[0].process.pid, SIGKILL), 0);
        await_done(&b, 0);
        assert_int_equal(j->end.outcome.problem, PROBLEM_WORKER_DIED);
        assert_false(j->end.outcome.sent);
        assert_false(j->end.outcome.may_still_run);
        assert_int_equal(exec(&b, 0, "true", INPUT_NONE, 0), RC_CANCELLED);
    }
    finish(&b, 1);
    close_pool(&b);
    mem_free(bytes);
}

static int group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fixture_init(&fix);
    sshd_port = fixture_free_port(SSHD_IP);
    sshd_pid = fixture_sshd(&fix, SSHD_IP, sshd_port, "MaxSessions 1\n");
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_stop(sshd_pid);
    fixture_fini(&fix);
    return 0;
}

int main(int argc, char **argv)
{
    if (worker_is_called(argc, argv))
        worker_again(argv);
    if (argc > 1) /* one test by name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_commands), cmocka_unit_test(test_duplex),
        cmocka_unit_test(test_calm),          cmocka_unit_test(test_duplex_unread),
        cmocka_unit_test(test_blobs),
    };
    return cmocka_run_group_tests_name("pool_warm", tests, group_setup, group_teardown);
}
