/* See resolve.h: the loop's side. A question waits on the look-up of its name, which several may
 * share; once that is answered it moves to the list of the ready, and the loop calls it back. */
#include "controller/ssh/resolve.h"

#include <string.h>

#include "common/map.h"
#include "common/mem.h"
#include "controller/ssh/lookup.h"

enum { GROW_MS = 20 }; /* how often more threads are considered while names wait */

struct resolve_req {
    TAILQ_ENTRY(resolve_req) link; /* of its look-up's waiters, or of the ready */
    struct lookup *lookup;
    uint16_t port;
    bool ready;
    resolve_fn fn;
    void *user;
};

struct resolver {
    uv_async_t wake;
    uv_timer_t grow;
    unsigned open; /* handles */
    struct lookup_pool *pool;
    struct map cache; /* name to struct lookup, one reference each */
    struct resolve_reqs ready;
    bool closing;
    void (*closed)(void *user);
    void *user;
};

static void on_pool_ready(void *user)
{
    struct resolver *r = user;
    uv_async_send(&r->wake); /* the one call of libuv that other threads may make */
}

static void uncache(struct resolver *r, struct lookup *l)
{
    if (map_gets(&r->cache, l->name) != l)
        return;
    map_del(&r->cache, l->name, strlen(l->name));
    lookup_unref(l);
}

static void make_ready(struct resolver *r, struct lookup *l)
{
    struct resolve_req *req;
    while ((req = TAILQ_FIRST(&l->waiters)) != NULL) {
        TAILQ_REMOVE(&l->waiters, req, link);
        TAILQ_INSERT_TAIL(&r->ready, req, link);
        req->ready = true;
    }
}

static void collect(struct resolver *r)
{
    struct lookup_list done = TAILQ_HEAD_INITIALIZER(done);
    struct lookup *l;
    lookup_pool_take_done(r->pool, &done);
    while ((l = TAILQ_FIRST(&done)) != NULL) {
        TAILQ_REMOVE(&done, l, link);
        l->answered = true;
        make_ready(r, l);
        if (lookup_is_temporary(l))
            uncache(r, l);
        lookup_unref(l);
    }
}

/* Only those that are ready now: a callback that asks again for a name in the cache must not keep
 * the loop here. */
static void on_wake(uv_async_t *handle)
{
    struct resolver *r = handle->data;
    struct resolve_req *req;
    size_t n = 0;
    collect(r);
    for (req = TAILQ_FIRST(&r->ready); req != NULL; req = TAILQ_NEXT(req, link))
        n++;
    for (; n > 0 && (req = TAILQ_FIRST(&r->ready)) != NULL; n--) {
        struct resolve_result result;
        TAILQ_REMOVE(&r->ready, req, link);
        lookup_result(req->lookup, req->port, &result);
        lookup_unref(req->lookup);
        resolve_fn fn = req->fn;
        void *user = req->user;
        mem_free(req);
        fn(user, &result);
    }
    if (!TAILQ_EMPTY(&r->ready))
        uv_async_send(&r->wake);
}

static void on_grow(uv_timer_t *timer)
{
    struct resolver *r = timer->data;
    if (!lookup_pool_grow(r->pool))
        uv_timer_stop(timer);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct resolver *r = handle->data;
    if (--r->open > 0)
        return;
    void (*closed)(void *) = r->closed;
    void *user = r->user;
    mem_free(r);
    if (closed != NULL)
        closed(user);
}

enum rc resolver_new(struct resolver **out, uv_loop_t *loop, resolve_lookup_fn lookup,
                     struct err *e)
{
    struct resolver *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(e);
    r->pool = lookup_pool_new(lookup != NULL ? lookup : getaddrinfo, on_pool_ready, r);
    if (r->pool == NULL) {
        mem_free(r);
        return err_nomem(e);
    }
    map_init(&r->cache);
    TAILQ_INIT(&r->ready);
    int rc = uv_async_init(loop, &r->wake, on_wake);
    if (rc != 0) {
        lookup_pool_close(r->pool);
        mem_free(r);
        return err_sys(e, -rc, "cannot wake the event loop");
    }
    uv_timer_init(loop, &r->grow);
    r->wake.data = r->grow.data = r;
    r->open = 2;
    *out = r;
    return RC_OK;
}

static enum rc look_up(struct resolver *r, struct lookup *l, struct err *e)
{
    if (lookup_numeric(l)) {
        l->state = LOOKUP_DONE;
        l->answered = true;
        return RC_OK;
    }
    if (map_puts(&r->cache, l->name, l) != 0)
        return err_nomem(e);
    atomic_fetch_add(&l->refs, 1);
    lookup_pool_submit(r->pool, l);
    if (!uv_is_active((uv_handle_t *)&r->grow))
        uv_timer_start(&r->grow, on_grow, GROW_MS, GROW_MS);
    return RC_OK;
}

enum rc resolver_start(struct resolver *r, const char *name, uint16_t port, resolve_fn fn,
                       void *user, struct resolve_req **out, struct err *e)
{
    must(!r->closing);
    struct resolve_req *req = mem_calloc(1, sizeof *req);
    if (req == NULL)
        return err_nomem(e);
    struct lookup *l = map_gets(&r->cache, name);
    enum rc rc = RC_OK;
    if (l != NULL) {
        atomic_fetch_add(&l->refs, 1);
    } else {
        l = lookup_new(name);
        rc = l != NULL ? look_up(r, l, e) : err_nomem(e);
    }
    if (rc != RC_OK) {
        if (l != NULL)
            lookup_unref(l);
        mem_free(req);
        return rc;
    }
    *req = (struct resolve_req){.lookup = l, .port = port, .fn = fn, .user = user};
    TAILQ_INSERT_TAIL(&l->waiters, req, link);
    if (l->answered) {
        make_ready(r, l);
        uv_async_send(&r->wake);
    }
    *out = req;
    return RC_OK;
}

static void drop(struct resolver *r, struct resolve_req *req)
{
    struct resolve_reqs *list = req->ready ? &r->ready : &req->lookup->waiters;
    TAILQ_REMOVE(list, req, link);
    lookup_unref(req->lookup);
    mem_free(req);
}

bool resolver_is_ready(const struct resolve_req *req)
{
    return req->ready;
}

void resolver_cancel(struct resolver *r, struct resolve_req *req)
{
    struct lookup *l = req->lookup;
    atomic_fetch_add(&l->refs, 1);
    drop(r, req);
    if (TAILQ_EMPTY(&l->waiters) && lookup_pool_withdraw(r->pool, l))
        uncache(r, l);
    lookup_unref(l);
}

void resolver_close(struct resolver *r, void (*closed)(void *user), void *user)
{
    must(!r->closing);
    r->closing = true;
    r->closed = closed;
    r->user = user;
    lookup_pool_close(r->pool); /* from here on no thread wakes us */
    struct map_entry *entry;
    struct resolve_req *req;
    for (size_t i = 0; (entry = map_next(&r->cache, &i)) != NULL;) {
        struct lookup *l = entry->value;
        while ((req = TAILQ_FIRST(&l->waiters)) != NULL)
            drop(r, req);
        lookup_unref(l);
    }
    map_fini(&r->cache);
    while ((req = TAILQ_FIRST(&r->ready)) != NULL)
        drop(r, req);
    uv_close((uv_handle_t *)&r->wake, on_handle_closed);
    uv_close((uv_handle_t *)&r->grow, on_handle_closed);
}
