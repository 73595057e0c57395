/* The threads behind resolve.h: getaddrinfo on as many as there are look-ups that hang.
 *
 * Knows no loop: whoever takes the results is told through a callback. A thread holds only what is
 * counted by reference, so it may outlive everybody else. A look-up belongs to whoever holds a
 * reference; its answer is written by one thread and read after lookup_pool_take_done.
 */
#ifndef CONTROLLER_SSH_LOOKUP_H
#define CONTROLLER_SSH_LOOKUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "controller/ssh/resolve.h"

TAILQ_HEAD(lookup_list, lookup);
TAILQ_HEAD(resolve_reqs, resolve_req);

enum lookup_state { LOOKUP_QUEUED, LOOKUP_RUNNING, LOOKUP_DONE };

struct lookup {
    atomic_uint refs;
    TAILQ_ENTRY(lookup) link; /* of the pool's queue, running or done list */
    enum lookup_state state;  /* under the pool's lock while it is there */
    uint64_t started_ms;
    int gai; /* what getaddrinfo returned, 0 for success */
    int sys; /* errno for EAI_SYSTEM */
    size_t count;
    union resolve_addr *addrs; /* ports are 0 */
    /* Loop thread only. */
    struct resolve_reqs waiters;
    bool answered; /* taken from the pool: nobody will wake the waiters any more */
    char name[];
};

struct lookup *lookup_new(const char *name); /* one reference; NULL without memory */
void lookup_unref(struct lookup *l);         /* any thread */

/* Answers from `lookup` in the calling thread. */
void lookup_run(struct lookup *l, resolve_lookup_fn lookup, const struct addrinfo *hints);
/* Is it an address as numbers? Then it is answered at once, without a name server. */
bool lookup_numeric(struct lookup *l);
/* Would asking again soon be of use? */
bool lookup_is_temporary(const struct lookup *l);
void lookup_result(const struct lookup *l, uint16_t port, struct resolve_result *out);

struct lookup_pool;

/* ready is called on any thread, with the lock held, when there is something to take: it must only
 * wake somebody up. NULL without memory. */
struct lookup_pool *lookup_pool_new(resolve_lookup_fn lookup, void (*ready)(void *user),
                                    void *user);
/* ready is not called after this returns; threads end when their look-up does. */
void lookup_pool_close(struct lookup_pool *pool);

/* Takes a reference of its own. A thread that cannot be started is an answer, not an error. */
void lookup_pool_submit(struct lookup_pool *pool, struct lookup *l);
/* true: it had not begun, and is forgotten. */
bool lookup_pool_withdraw(struct lookup_pool *pool, struct lookup *l);
/* Moves what is finished to `out`; the references go with it. */
void lookup_pool_take_done(struct lookup_pool *pool, struct lookup_list *out);
/* Adds threads for what waits behind stuck look-ups; to be called now and then while it returns
 * true (something still waits). */
bool lookup_pool_grow(struct lookup_pool *pool);

/* For tests: waits until no thread of any pool is left. */
void lookup_pool_await_threads(void);
/* For tests: threads of this pool. */
size_t lookup_pool_threads(struct lookup_pool *pool);

#endif
