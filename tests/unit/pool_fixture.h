/* A pool whose workers run the scripted session, and what each of its jobs did. Included by the
 * tests of the pool, whose main calls be_worker for replacements.
 *
 * close_pool is half of every test: handles closed, no live allocation.
 */
#ifndef TESTS_UNIT_POOL_FIXTURE_H
#define TESTS_UNIT_POOL_FIXTURE_H

#include "controller/worker/pool_internal.h"
#include "tests/unit/scripted_session.h"

/* In the environment of a replacement: end before being set up. */
#define STILLBORN "MUSTER_TEST_STILLBORN"

enum { JOBS = 80 };

struct seen {
    int begun, silent, answered, hostkeys, asked, authenticated, sent, ended, done;
    size_t taken;
    struct session_result command; /* of a warm job, the last */
    char out[2048], err[2048];
    uint64_t bytes;
    bool in_order; /* flood: each byte as it should be */
    struct session_result result;
};

struct fixture {
    uv_loop_t loop;
    struct pool *pool;
    struct seen jobs[JOBS];
    int want_done; /* stop the loop after so many */
    int done;
    int begun, want_begun;
    bool reject;
    const char *password;    /* NULL: none is given */
    uint64_t cancel_at_sent; /* this job */
    uint64_t flood_of;
    int troubles;
    enum rc trouble_rc;
    bool all_dead;
    char trouble[512];
    bool stop_at_trouble;
    int signs;
    bool refuse_to_sign;
    bool closed;
    size_t live;
};

static inline void on_hostkey(void *user, uint64_t job, const char *key_type, const void *blob,
                              size_t len)
{
    struct fixture *f = user;
    assert_string_equal(key_type, "ssh-ed25519");
    assert_int_equal(len, 4);
    assert_memory_equal(blob, "blob", 4);
    f->jobs[job].hostkeys++;
    if (f->reject)
        pool_hostkey_answer(f->pool, job, HOSTKEY_REJECT, PROBLEM_HOST_KEY_CHANGED, "line 7");
    else
        pool_hostkey_answer(f->pool, job, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL);
}

static inline void on_password(void *user, uint64_t job)
{
    struct fixture *f = user;
    f->jobs[job].asked++;
    assert_int_equal(f->jobs[job].authenticated, 0);
    pool_password_answer(f->pool, job, f->password, f->password != NULL ? strlen(f->password) : 0);
    pool_password_answer(f->pool, job, "twice", 5); /* nobody waits for it any more */
}

static inline void on_begun(void *user, uint64_t job)
{
    struct fixture *f = user;
    f->jobs[job].begun++;
    if (f->jobs[job].begun == 1 && ++f->begun == f->want_begun)
        uv_stop(&f->loop);
}

static inline void on_silent(void *user, uint64_t job)
{
    struct fixture *f = user;
    f->jobs[job].silent++;
    pool_go(f->pool, job); /* nobody waits for it yet */
}

static inline void on_answered(void *user, uint64_t job)
{
    struct fixture *f = user;
    f->jobs[job].answered++;
    assert_int_equal(f->jobs[job].silent, 1);
    assert_int_equal(f->jobs[job].hostkeys, 0);
    pool_go(f->pool, job);
    pool_go(f->pool, job); /* nobody waits any more */
}

static inline void on_sign(void *user, uint64_t job, unsigned key, const void *data, size_t n)
{
    struct fixture *f = user;
    char text[64];
    snprintf(text, sizeof text, "by %u: %.*s", key, (int)n, (const char *)data);
    f->signs++;
    if (f->refuse_to_sign)
        pool_signed(f->pool, job, SIGN_REFUSED, NULL, 0, "no");
    else if (f->signs == 1) /* not the second of "sign-twice": it is out of turn anyway */
        pool_signed(f->pool, job, SIGN_OK, text, strlen(text), "fine");
}

static inline void on_authenticated(void *user, uint64_t job)
{
    struct fixture *f = user;
    f->jobs[job].authenticated++;
}

static inline void on_sent(void *user, uint64_t job)
{
    struct fixture *f = user;
    f->jobs[job].sent++;
    if (f->cancel_at_sent == job)
        pool_cancel(f->pool, job, PROBLEM_CANCELLED, true);
}

static inline void on_data(void *user, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    struct fixture *f = user;
    struct seen *s = &f->jobs[job];
    if (f->flood_of > 0)
        for (size_t i = 0; i < n; i++)
            s->in_order = s->in_order && ((const char *)p)[i] == (char)(f->flood_of - s->bytes - i);
    char *text = is_stderr ? s->err : s->out;
    size_t have = strlen(text);
    if (have + n < sizeof s->out)
        memcpy(text + have, p, n);
    s->bytes += n;
}

static inline void on_done(void *user, uint64_t job, const struct session_result *result)
{
    struct fixture *f = user;
    f->jobs[job].done++;
    f->jobs[job].result = *result;
    if (++f->done == f->want_done)
        uv_stop(&f->loop);
}

static inline void on_trouble(void *user, enum rc rc, const char *message, bool all_dead)
{
    struct fixture *f = user;
    f->troubles++;
    f->trouble_rc = rc;
    f->all_dead = all_dead;
    snprintf(f->trouble, sizeof f->trouble, "%s", message);
    if (f->stop_at_trouble)
        uv_stop(&f->loop);
}

static inline void on_ended(void *user, uint64_t job, const struct session_result *result)
{
    struct fixture *f = user;
    f->jobs[job].ended++;
    f->jobs[job].command = *result;
}

static inline void on_taken(void *user, uint64_t job, size_t n)
{
    struct fixture *f = user;
    f->jobs[job].taken += n;
}

static const struct pool_ops ops = {.begun = on_begun,
                                    .silent = on_silent,
                                    .answered = on_answered,
                                    .hostkey = on_hostkey,
                                    .password = on_password,
                                    .authenticated = on_authenticated,
                                    .sent = on_sent,
                                    .data = on_data,
                                    .done = on_done,
                                    .trouble = on_trouble,
                                    .sign = on_sign,
                                    .ended = on_ended,
                                    .taken = on_taken};

static inline void open_pool(struct fixture *f, unsigned workers)
{
    memset(f, 0, sizeof *f);
    f->live = mem_live();
    f->cancel_at_sent = UINT64_MAX;
    for (int i = 0; i < JOBS; i++)
        f->jobs[i].in_order = true;
    atomic_store(&shared->produced, 0);
    while (sem_trywait(&shared->paused) == 0 || sem_trywait(&shared->resumed) == 0)
        continue;
    assert_int_equal(pool_fork(&f->pool, workers, NULL), RC_OK);
    pool_set_spare(f->pool, 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(pool_attach(f->pool, &f->loop, &ops, f, NULL), RC_OK);
}

static inline void on_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static inline void close_pool(struct fixture *f)
{
    pool_close(f->pool, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    pool_free(f->pool);
    assert_int_equal(mem_live(), f->live);
}

static inline void start(struct fixture *f, uint64_t job, const char *command)
{
    struct session_spec spec = {.label = "web1",
                                .user = "root",
                                .hostkey_types = "",
                                .command = command,
                                .has_password = str_starts(command, "password"),
                                .command_len = strlen(command)};
    spec.addr.in.sin_family = AF_INET;
    assert_int_equal(pool_start(f->pool, job, &spec, NULL), RC_OK);
}

static inline void run_until_done(struct fixture *f, int n)
{
    f->want_done = f->done + n;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->done, f->want_done);
}

static inline int set_up(void **state)
{
    (void)state;
    /* A process group of our own: a test signals all of it. */
    setpgid(0, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED || sem_init(&shared->paused, 1, 0) != 0 ||
           sem_init(&shared->resumed, 1, 0) != 0;
}

/* Replacements are this program started anew: they share no memory with the test. */
static inline void be_worker(char **argv)
{
    static struct shared own;
    shared = &own;
    sem_init(&own.paused, 0, 0);
    sem_init(&own.resumed, 0, 0);
    if (getenv(STILLBORN) != NULL)
        _exit(9);
    worker_again(argv);
}

#endif
