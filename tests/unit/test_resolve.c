/* The resolver: with a look-up of the test's own, that blocks, fails and counts, and with the real
 * one for numbers and localhost. Nothing here waits for time to pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/ssh/lookup.h"
#include "controller/ssh/resolve.h"

static sem_t gate;            /* "stuck…" names wait here */
static atomic_int calls;      /* look-ups begun */
static atomic_int stuck;      /* of which at the gate */
static atomic_int addrconfig; /* of which with AI_ADDRCONFIG */
static pthread_t loop_thread;
static atomic_int on_loop; /* look-ups that ran on the loop's thread */

static struct addrinfo *make_address(const char *text, struct addrinfo *next)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *ai = NULL;
    must(getaddrinfo(text, NULL, &hints, &ai) == 0);
    ai->ai_next = next; /* glibc frees a list one by one */
    return ai;
}

static int scripted(const char *name, const char *service, const struct addrinfo *hints,
                    struct addrinfo **out)
{
    must(service == NULL && hints->ai_socktype == SOCK_STREAM);
    atomic_fetch_add(&calls, 1);
    atomic_fetch_add(&addrconfig, (hints->ai_flags & AI_ADDRCONFIG) != 0);
    atomic_fetch_add(&on_loop, pthread_equal(pthread_self(), loop_thread) != 0);
    *out = NULL;
    if (strncmp(name, "stuck", 5) == 0) {
        atomic_fetch_add(&stuck, 1);
        while (sem_wait(&gate) != 0)
            must(errno == EINTR);
        *out = make_address("192.0.2.99", NULL);
        return 0;
    }
    if (strcmp(name, "absent") == 0)
        return EAI_NONAME;
    if (strcmp(name, "silent") == 0)
        return EAI_AGAIN;
    if (strcmp(name, "broken") == 0) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    if (strcmp(name, "nothing") == 0)
        return 0;
    if (strcmp(name, "only6") == 0 && hints->ai_flags & AI_ADDRCONFIG)
        return EAI_NODATA;
    if (strcmp(name, "only6") == 0) {
        *out = make_address("::1", NULL);
        return 0;
    }
    if (strcmp(name, "many") == 0) { /* 6 6 6 4 4 and a repetition */
        *out = make_address(
            "2001:db8::1",
            make_address("2001:db8::2",
                         make_address("2001:db8::1", make_address("2001:db8::3", NULL))));
        (*out)->ai_next->ai_next->ai_next->ai_next =
            make_address("192.0.2.1", make_address("192.0.2.2", NULL));
        return 0;
    }
    if (strcmp(name, "twenty") == 0) {
        for (int i = 20; i > 0; i--) {
            char text[32];
            snprintf(text, sizeof text, i > 18 ? "2001:db8::%d" : "192.0.2.%d", i);
            *out = make_address(text, *out);
        }
        return 0;
    }
    *out = make_address("192.0.2.7", NULL);
    return 0;
}

struct asked {
    struct resolve_req *req;
    int calls;
    struct resolve_result result;
    struct world *world;
};

struct world {
    uv_loop_t loop;
    struct resolver *r;
    int answered;
    int closed;
    int stop_at; /* uv_stop once so many were answered */
    size_t live; /* before */
};

static void start_world(struct world *w, resolve_lookup_fn lookup)
{
    struct err e;
    memset(w, 0, sizeof *w);
    atomic_store(&calls, 0);
    atomic_store(&stuck, 0);
    atomic_store(&addrconfig, 0);
    atomic_store(&on_loop, 0);
    loop_thread = pthread_self();
    w->live = mem_live();
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_int_equal(resolver_new(&w->r, &w->loop, lookup, &e), RC_OK);
}

static void on_closed(void *user)
{
    ((struct world *)user)->closed++;
}

/* Closes while `still` look-ups are at the gate, then lets them go: by the end nothing is left. */
static void end_world(struct world *w, int still)
{
    if (w->r != NULL)
        resolver_close(w->r, on_closed, w);
    int before = w->answered;
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->closed, 1);
    assert_int_equal(w->answered, before);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    for (int i = 0; i < still; i++)
        sem_post(&gate);
    lookup_pool_await_threads();
    assert_int_equal(mem_live(), w->live);
    assert_int_equal(atomic_load(&on_loop), 0);
    sem_destroy(&gate);
}

static void on_answer(void *user, const struct resolve_result *result)
{
    struct asked *a = user;
    a->calls++;
    a->result = *result;
    if (++a->world->answered == a->world->stop_at)
        uv_stop(&a->world->loop);
}

static void ask(struct world *w, struct asked *a, const char *name)
{
    struct err e;
    memset(a, 0, sizeof *a);
    a->world = w;
    assert_int_equal(resolver_start(w->r, name, 2222, on_answer, a, &a->req, &e), RC_OK);
    assert_int_equal(a->calls, 0); /* never from inside */
}

static void await_answers(struct world *w, int total)
{
    w->stop_at = total;
    if (w->answered < total)
        uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->answered, total);
}

static const char *text_of(const struct asked *a, size_t i)
{
    static char text[128];
    const union resolve_addr *addr = &a->result.addrs[i];
    char ip[INET6_ADDRSTRLEN];
    if (addr->sa.sa_family == AF_INET)
        snprintf(text, sizeof text, "%s %d", inet_ntop(AF_INET, &addr->in.sin_addr, ip, sizeof ip),
                 ntohs(addr->in.sin_port));
    else
        snprintf(text, sizeof text, "%s %d",
                 inet_ntop(AF_INET6, &addr->in6.sin6_addr, ip, sizeof ip),
                 ntohs(addr->in6.sin6_port));
    return text;
}

static void test_answers(void **state)
{
    (void)state;
    struct world w;
    static const struct {
        const char *name;
        enum problem problem;
        const char *detail;
        size_t count;
    } cases[] = {
        {"web1", PROBLEM_NONE, "", 1},
        {"absent", PROBLEM_DNS_NOT_FOUND, "not known", 0},
        {"silent", PROBLEM_DNS_FAILED, "Temporary", 0},
        {"broken", PROBLEM_DNS_FAILED, "Too many open files", 0},
        {"nothing", PROBLEM_DNS_NOT_FOUND, "not known", 0},
        {"only6", PROBLEM_NONE, "", 1},
        {"", PROBLEM_DNS_NOT_FOUND, "not known", 0},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    struct asked a[N];
    start_world(&w, scripted);
    for (size_t i = 0; i < N; i++)
        ask(&w, &a[i], cases[i].name);
    await_answers(&w, N);
    for (size_t i = 0; i < N; i++) {
        if (a[i].result.problem != cases[i].problem || a[i].result.count != cases[i].count ||
            strstr(a[i].result.detail, cases[i].detail) == NULL)
            fail_msg("%s: %d '%s' %zu", cases[i].name, a[i].result.problem, a[i].result.detail,
                     a[i].result.count);
        assert_int_equal(a[i].calls, 1);
    }
    assert_string_equal(text_of(&a[0], 0), "192.0.2.7 2222");
    assert_string_equal(text_of(&a[5], 0), "::1 2222");
    assert_int_equal(atomic_load(&calls), N); /* the empty name is not asked, only6 twice */
    assert_int_equal(atomic_load(&addrconfig), N - 1); /* the second time without */
    end_world(&w, 0);
}

static void test_families_interleave(void **state)
{
    (void)state;
    struct world w;
    struct asked many, twenty;
    start_world(&w, scripted);
    ask(&w, &many, "many");
    ask(&w, &twenty, "twenty");
    await_answers(&w, 2);
    static const char *const want[] = {"2001:db8::1 2222", "192.0.2.1 2222", "2001:db8::2 2222",
                                       "192.0.2.2 2222", "2001:db8::3 2222"};
    assert_int_equal(many.result.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(text_of(&many, i), want[i]);
    assert_int_equal(twenty.result.count, RESOLVE_MAX_ADDRESSES);
    assert_string_equal(text_of(&twenty, 0), "192.0.2.1 2222");
    assert_string_equal(text_of(&twenty, 1), "2001:db8::19 2222"); /* past the eighth of the list */
    assert_string_equal(text_of(&twenty, 7), "192.0.2.6 2222");
    end_world(&w, 0);
}

static void test_numeric(void **state)
{
    (void)state;
    struct world w;
    struct asked a[4];
    start_world(&w, scripted);
    ask(&w, &a[0], "127.0.0.5");
    ask(&w, &a[1], "::1");
    ask(&w, &a[2], "fe80::1%1");
    ask(&w, &a[3], "2001:db8::1");
    await_answers(&w, 4);
    assert_string_equal(text_of(&a[0], 0), "127.0.0.5 2222");
    assert_string_equal(text_of(&a[1], 0), "::1 2222");
    assert_int_equal(a[2].result.addrs[0].in6.sin6_scope_id, 1);
    assert_string_equal(text_of(&a[3], 0), "2001:db8::1 2222");
    assert_int_equal(atomic_load(&calls), 0);
    end_world(&w, 0);
}

static void test_one_look_up_per_name(void **state)
{
    (void)state;
    struct world w;
    struct asked a[50], later, other, again;
    start_world(&w, scripted);
    for (int i = 0; i < 50; i++)
        ask(&w, &a[i], "web1");
    ask(&w, &other, "absent");
    await_answers(&w, 51);
    ask(&w, &later, "web1"); /* from the cache, from the loop */
    ask(&w, &again, "absent");
    await_answers(&w, 53);
    assert_int_equal(later.result.count, 1);
    assert_int_equal(again.result.problem, PROBLEM_DNS_NOT_FOUND);
    assert_int_equal(atomic_load(&calls), 2);
    /* A temporary failure is no knowledge: the next one asks anew. */
    ask(&w, &later, "silent");
    await_answers(&w, 54);
    ask(&w, &later, "silent");
    await_answers(&w, 55);
    assert_int_equal(atomic_load(&calls), 4);
    end_world(&w, 0);
}

/* 200 names hang. All others are answered nevertheless. */
static void test_stuck_names_delay_nobody(void **state)
{
    (void)state;
    enum { STUCK = 200, OTHERS = 300 };
    static struct asked hang[STUCK], others[OTHERS];
    struct world w;
    char name[32];
    start_world(&w, scripted);
    for (int i = 0; i < STUCK; i++) {
        snprintf(name, sizeof name, "stuck%d", i);
        ask(&w, &hang[i], name);
    }
    for (int i = 0; i < OTHERS; i++) {
        snprintf(name, sizeof name, "web%d", i);
        ask(&w, &others[i], name);
    }
    await_answers(&w, OTHERS);
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(others[i].calls, 1);
    while (atomic_load(&stuck) < STUCK) { /* the last ones may not have had their thread yet */
        uv_run(&w.loop, UV_RUN_NOWAIT);
        sched_yield();
    }
    assert_int_equal(w.answered, OTHERS);
    for (int i = 0; i < STUCK; i++) {
        assert_int_equal(hang[i].calls, 0);
        sem_post(&gate);
    }
    await_answers(&w, OTHERS + STUCK);
    for (int i = 0; i < STUCK; i++)
        assert_string_equal(text_of(&hang[i], 0), "192.0.2.99 2222");
    end_world(&w, 0);
}

/* A burst of names that are answered at once. */
static void test_burst(void **state)
{
    (void)state;
    enum { NAMES = 2000 };
    static struct asked a[NAMES];
    struct world w;
    char name[32];
    start_world(&w, scripted);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "web%d", i);
        ask(&w, &a[i], name);
    }
    await_answers(&w, NAMES);
    assert_int_equal(atomic_load(&calls), NAMES);
    end_world(&w, 0);
}

static _Atomic uint64_t test_now_us;

static uint64_t test_clock(void *user)
{
    (void)user;
    return atomic_load(&test_now_us);
}

static sem_t begun;

static int begin_and_hang(const char *name, const char *service, const struct addrinfo *hints,
                          struct addrinfo **out)
{
    sem_post(&begun);
    return scripted(name, service, hints, out);
}

static void ignore_ready(void *user)
{
    (void)user;
}

/* Sixteen threads serve any burst; only look-ups that hang bring more, sixteen at a time, up to
 * the cap. On a clock of the test's own. */
static void test_threads_come_with_stuck_names(void **state)
{
    (void)state;
    enum { NAMES = RESOLVE_MAX_THREADS + 50 };
    char name[32];
    size_t before = mem_live();
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(sem_init(&begun, 0, 0), 0);
    atomic_store(&test_now_us, 1000000);
    clock_set_test(test_clock, NULL);
    struct lookup_pool *pool = lookup_pool_new(begin_and_hang, ignore_ready, NULL);
    assert_non_null(pool);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "stuck%d", i);
        struct lookup *l = lookup_new(name);
        assert_non_null(l);
        lookup_pool_submit(pool, l);
        lookup_unref(l);
    }
    for (size_t want = 16; want <= RESOLVE_MAX_THREADS; want += 16) {
        assert_true(lookup_pool_grow(pool)); /* nothing is stuck yet: no more threads */
        assert_int_equal(lookup_pool_threads(pool), want);
        for (int i = 0; i < 16; i++)
            assert_int_equal(sem_wait(&begun), 0);
        atomic_fetch_add(&test_now_us, 20000);
        assert_true(lookup_pool_grow(pool));
        assert_int_equal(lookup_pool_threads(pool),
                         want < RESOLVE_MAX_THREADS ? want + 16 : RESOLVE_MAX_THREADS);
    }
    lookup_pool_close(pool);
    for (int i = 0; i < RESOLVE_MAX_THREADS; i++)
        sem_post(&gate);
    lookup_pool_await_threads();
    clock_set_test(NULL, NULL);
    sem_destroy(&begun);
    sem_destroy(&gate);
    assert_int_equal(mem_live(), before);
}

static void test_cancel(void **state)
{
    (void)state;
    struct world w;
    struct asked hang, same, numeric, numeric2, cached;
    start_world(&w, scripted);
    ask(&w, &hang, "stuck");
    ask(&w, &same, "stuck");
    ask(&w, &numeric, "127.0.0.1");
    ask(&w, &numeric2, "127.0.0.1");
    resolver_cancel(w.r, numeric.req); /* answered, not yet told */
    resolver_cancel(w.r, hang.req);    /* the other one still waits */
    await_answers(&w, 1);
    assert_int_equal(numeric2.calls, 1);
    sem_post(&gate);
    await_answers(&w, 2);
    assert_int_equal(same.calls, 1);
    ask(&w, &cached, "stuck");
    resolver_cancel(w.r, cached.req);
    ask(&w, &numeric2, "127.0.0.2");
    await_answers(&w, 3);
    assert_int_equal(cached.calls + hang.calls + numeric.calls, 0);
    end_world(&w, 0);
}

/* More names hang than there may be threads: the last ones have not begun, and a cancel forgets
 * them. */
static void test_cancel_before_it_began(void **state)
{
    (void)state;
    enum { NAMES = RESOLVE_MAX_THREADS + 40 };
    static struct asked a[NAMES];
    struct asked last;
    struct world w;
    char name[32];
    start_world(&w, scripted);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "stuck%d", i);
        ask(&w, &a[i], name);
    }
    while (atomic_load(&stuck) < RESOLVE_MAX_THREADS) /* each turn is a beat of its timer */
        uv_run(&w.loop, UV_RUN_ONCE);
    for (int i = 0; i < NAMES; i++)
        resolver_cancel(w.r, a[i].req);
    ask(&w, &last, "web1"); /* waits for a thread like anybody */
    sem_post(&gate);
    await_answers(&w, 1);
    assert_int_equal(last.result.count, 1);
    assert_int_equal(atomic_load(&calls), RESOLVE_MAX_THREADS + 1);
    end_world(&w, RESOLVE_MAX_THREADS - 1);
}

static void test_close_while_stuck(void **state)
{
    (void)state;
    struct world w;
    struct asked a[30];
    char name[32];
    start_world(&w, scripted);
    for (int i = 0; i < 28; i++) {
        snprintf(name, sizeof name, "stuck%d", i);
        ask(&w, &a[i], name);
    }
    ask(&w, &a[28], "127.0.0.1");
    ask(&w, &a[29], "web1");
    while (atomic_load(&stuck) < 10)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    int answered = w.answered;
    end_world(&w, 28); /* uv_loop_close() == 0 while they hang */
    assert_int_equal(w.answered, answered);
}

static void on_answer_do(void *user, const struct resolve_result *result)
{
    struct asked *a = user;
    struct asked *other = a + 1;
    struct world *w = a->world;
    on_answer(a, result);
    resolver_cancel(w->r, other->req);
    ask(w, other, "127.0.0.1"); /* the cancelled one's place is used again */
}

static void on_answer_close(void *user, const struct resolve_result *result)
{
    struct asked *a = user;
    on_answer(a, result);
    resolver_close(a->world->r, on_closed, a->world);
    a->world->r = NULL;
}

static void test_callbacks_may_do_anything(void **state)
{
    (void)state;
    struct world w;
    struct asked a[3];
    struct err e;
    start_world(&w, scripted);
    memset(a, 0, sizeof a);
    a[0].world = a[1].world = a[2].world = &w;
    assert_int_equal(resolver_start(w.r, "127.0.0.1", 22, on_answer_do, &a[0], &a[0].req, &e),
                     RC_OK);
    ask(&w, &a[1], "127.0.0.2");
    await_answers(&w, 2);
    assert_string_equal(text_of(&a[1], 0), "127.0.0.1 2222");
    assert_int_equal(resolver_start(w.r, "127.0.0.1", 22, on_answer_close, &a[0], &a[0].req, &e),
                     RC_OK);
    ask(&w, &a[1], "127.0.0.2");
    ask(&w, &a[2], "stuck");
    w.stop_at = 0;
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(w.answered, 3);
    assert_int_equal(a[1].calls + a[2].calls, 0);
    end_world(&w, 1);
}

static void test_real_names(void **state)
{
    (void)state;
    struct world w;
    struct asked a[3];
    char longer[2000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    start_world(&w, NULL);
    ask(&w, &a[0], "localhost");
    ask(&w, &a[1], "::1");
    ask(&w, &a[2], longer);
    await_answers(&w, 3);
    assert_int_equal(a[0].result.problem, PROBLEM_NONE);
    assert_true(a[0].result.count >= 1);
    bool loopback = false;
    for (size_t i = 0; i < a[0].result.count; i++)
        loopback = loopback || strcmp(text_of(&a[0], i), "127.0.0.1 2222") == 0 ||
                   strcmp(text_of(&a[0], i), "::1 2222") == 0;
    assert_true(loopback);
    assert_string_equal(text_of(&a[1], 0), "::1 2222");
    assert_int_equal(a[2].result.problem, PROBLEM_DNS_NOT_FOUND);
    end_world(&w, 0);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        uv_loop_t loop;
        struct world w = {.answered = 0};
        struct asked a[3];
        struct err e;
        size_t before = mem_live();
        memset(a, 0, sizeof a);
        assert_int_equal(uv_loop_init(&loop), 0);
        mem_fail_after(n);
        enum rc rc = resolver_new(&w.r, &loop, scripted, &e);
        int started = 0;
        static const char *const names[] = {"web1", "127.0.0.1", "web1"};
        for (int i = 0; rc == RC_OK && i < 3; i++) {
            a[i].world = &w;
            rc = resolver_start(w.r, names[i], 22, on_answer, &a[i], &a[i].req, &e);
            started += rc == RC_OK;
        }
        while (w.answered < started)
            uv_run(&loop, UV_RUN_ONCE);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        if (!fired)
            assert_int_equal(rc, RC_OK);
        else if (rc != RC_OK)
            assert_int_equal(rc, RC_NOMEM);
        else /* the answer itself had no memory: an answer all the same */
            assert_true(a[0].result.problem == PROBLEM_DNS_FAILED ||
                        a[1].result.problem == PROBLEM_DNS_FAILED);
        if (w.r != NULL)
            resolver_close(w.r, NULL, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        lookup_pool_await_threads();
        assert_int_equal(mem_live(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_families_interleave),
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_one_look_up_per_name),
        cmocka_unit_test(test_stuck_names_delay_nobody),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_threads_come_with_stuck_names),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_before_it_began),
        cmocka_unit_test(test_close_while_stuck),
        cmocka_unit_test(test_callbacks_may_do_anything),
        cmocka_unit_test(test_real_names),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
