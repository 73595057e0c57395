/* See lookup.h: the threads.
 *
 * FRESH threads do for any number of quick look-ups; each one that has been at it for STUCK_MS no
 * longer counts, and another may take its place, up to RESOLVE_MAX_THREADS. A burst of names thus
 * does not become a burst of threads, and silent servers hold up only those who ask them. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/ssh/lookup.h"

enum { FRESH = 16, STUCK_MS = 20, IDLE_S = 10, STACK_BYTES = 512 * 1024 };

struct lookup_pool {
    atomic_uint refs; /* its owner and each thread */
    pthread_mutex_t lock;
    pthread_cond_t work;
    resolve_lookup_fn lookup;
    void (*ready)(void *user); /* NULL once closed */
    void *user;
    struct lookup_list queue, running, done;
    size_t queued;
    size_t threads;  /* alive */
    size_t starting; /* of which have not yet looked at the queue */
    size_t idle;     /* of which wait for work */
    bool closed;
};

/* All threads of the process, so that a test can see the end of them. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t none;
    size_t count;
} alive = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void count_alive(int change)
{
    pthread_mutex_lock(&alive.lock);
    alive.count += (size_t)change;
    if (alive.count == 0)
        pthread_cond_broadcast(&alive.none);
    pthread_mutex_unlock(&alive.lock);
}

void lookup_pool_await_threads(void)
{
    pthread_mutex_lock(&alive.lock);
    while (alive.count > 0)
        pthread_cond_wait(&alive.none, &alive.lock);
    pthread_mutex_unlock(&alive.lock);
}

struct lookup_pool *lookup_pool_new(resolve_lookup_fn lookup, void (*ready)(void *user), void *user)
{
    struct lookup_pool *pool = mem_calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    atomic_init(&pool->refs, 1);
    pthread_condattr_t attr;
    must(pthread_mutex_init(&pool->lock, NULL) == 0);
    must(pthread_condattr_init(&attr) == 0);
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&pool->work, &attr) == 0);
    pthread_condattr_destroy(&attr);
    pool->lookup = lookup;
    pool->ready = ready;
    pool->user = user;
    TAILQ_INIT(&pool->queue);
    TAILQ_INIT(&pool->running);
    TAILQ_INIT(&pool->done);
    return pool;
}

static void drop_all(struct lookup_list *list)
{
    struct lookup *l;
    while ((l = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, l, link);
        lookup_unref(l);
    }
}

static void unref(struct lookup_pool *pool)
{
    if (atomic_fetch_sub(&pool->refs, 1) != 1)
        return;
    drop_all(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}

/* The next look-up, or NULL when the thread shall end. The lock is held. */
static struct lookup *await_work(struct lookup_pool *pool)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    int rc = 0;
    pool->idle++;
    while (TAILQ_EMPTY(&pool->queue) && !pool->closed && rc == 0)
        rc = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    pool->idle--;
    return pool->closed ? NULL : TAILQ_FIRST(&pool->queue);
}

static void finish(struct lookup_pool *pool, struct lookup *l)
{
    l->state = LOOKUP_DONE;
    TAILQ_INSERT_TAIL(&pool->done, l, link);
    if (pool->ready != NULL)
        pool->ready(pool->user);
}

static void serve(struct lookup_pool *pool)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct lookup *l;
    while ((l = await_work(pool)) != NULL) {
        TAILQ_REMOVE(&pool->queue, l, link);
        pool->queued--;
        l->state = LOOKUP_RUNNING;
        l->started_ms = clock_ms();
        TAILQ_INSERT_TAIL(&pool->running, l, link);
        pthread_mutex_unlock(&pool->lock);
        lookup_run(l, pool->lookup, &hints);
        pthread_mutex_lock(&pool->lock);
        TAILQ_REMOVE(&pool->running, l, link);
        finish(pool, l);
    }
}

static void *thread_main(void *user)
{
    struct lookup_pool *pool = user;
    pthread_mutex_lock(&pool->lock);
    pool->starting--;
    serve(pool);
    pool->threads--;
    pthread_mutex_unlock(&pool->lock);
    unref(pool);
    count_alive(-1);
    return NULL;
}

/* Detached, and deaf to signals: those are the loop's. Returns 0 or errno. */
static int add_thread(struct lookup_pool *pool)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, old;
    if (pthread_attr_init(&attr) != 0)
        return ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    atomic_fetch_add(&pool->refs, 1);
    pool->threads++;
    pool->starting++;
    count_alive(1);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, &attr, thread_main, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        pool->threads--;
        pool->starting--;
        atomic_fetch_sub(&pool->refs, 1);
        count_alive(-1);
    }
    return rc;
}

static size_t count_stuck(const struct lookup_pool *pool)
{
    uint64_t now = clock_ms();
    size_t n = 0;
    /* The oldest first. */
    for (const struct lookup *l = TAILQ_FIRST(&pool->running);
         l != NULL && now - l->started_ms >= STUCK_MS; l = TAILQ_NEXT(l, link))
        n++;
    return n;
}

/* Returns 0, or the errno of a thread that could not be had. */
static int add_threads(struct lookup_pool *pool)
{
    size_t stuck = count_stuck(pool);
    int rc = 0;
    while (rc == 0 && pool->queued > pool->idle + pool->starting &&
           pool->threads < RESOLVE_MAX_THREADS && pool->threads < stuck + FRESH)
        rc = add_thread(pool);
    return rc;
}

void lookup_pool_submit(struct lookup_pool *pool, struct lookup *l)
{
    atomic_fetch_add(&l->refs, 1);
    pthread_mutex_lock(&pool->lock);
    l->state = LOOKUP_QUEUED;
    TAILQ_INSERT_TAIL(&pool->queue, l, link);
    pool->queued++;
    int rc = add_threads(pool);
    if (rc != 0 && pool->threads == 0) {
        TAILQ_REMOVE(&pool->queue, l, link);
        pool->queued--;
        l->gai = EAI_SYSTEM;
        l->sys = rc;
        finish(pool, l);
    }
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

bool lookup_pool_withdraw(struct lookup_pool *pool, struct lookup *l)
{
    pthread_mutex_lock(&pool->lock);
    bool queued = l->state == LOOKUP_QUEUED;
    if (queued) {
        TAILQ_REMOVE(&pool->queue, l, link);
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    if (queued)
        lookup_unref(l);
    return queued;
}

void lookup_pool_take_done(struct lookup_pool *pool, struct lookup_list *out)
{
    pthread_mutex_lock(&pool->lock);
    TAILQ_CONCAT(out, &pool->done, link);
    pthread_mutex_unlock(&pool->lock);
}

bool lookup_pool_grow(struct lookup_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    (void)add_threads(pool); /* if none can be had, those that are there go on */
    bool waiting = pool->queued > 0;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}

size_t lookup_pool_threads(struct lookup_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->threads;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

void lookup_pool_close(struct lookup_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    pool->ready = NULL;
    drop_all(&pool->queue);
    pool->queued = 0;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    unref(pool);
}
