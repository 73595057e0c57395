/* The agent of another user on a host (--become), spoken to through the login's own agent: its
 * operation `become` (docs/become.md) is the transport below a second machine of controller/remote.
 * Loop thread only. Private to agents.c.
 */
#ifndef CONTROLLER_RUN_ROOT_H
#define CONTROLLER_RUN_ROOT_H

#include "controller/run/run_internal.h"

struct root;

struct root_ops { /* called as those of struct remote_ops, with the same rules */
    void (*ready)(void *user, const struct remote_hello *h);
    void (*reply)(void *user, uint64_t id, const void *map, size_t n);
    void (*data)(void *user, uint64_t id, uint8_t stream, const void *p, size_t n);
    void (*room)(void *user, uint64_t id);
    void (*end)(void *user, uint64_t id, const struct remote_end *end);
    /* It is over: why, or NULL after root_remote was closed in order. The login's agent lives. */
    void (*over)(void *user, const struct outcome *why);
};

/* `outer`: the login's agent, which is ready. `a` says whose password, if any; it may be sent now
 * (become_ask). `digest`: of the file that root may run, or NULL: we have none for that host.
 * RC_OK; otherwise *why, and nothing has begun; its problem is NONE where outer is gone for now:
 * again when the next one is ready. */
enum rc root_start(struct root **out, struct attempt *a, struct remote *outer, const char *digest,
                   const struct root_ops *ops, void *user, struct outcome *why);
void root_free(struct root *r); /* not from inside its callbacks; NULL is fine */

/* The second machine: requests go to it. */
struct remote *root_remote(struct root *r);

/* What the login's agent says: true when it was about the transport. */
bool root_data(struct root *r, uint64_t id, uint8_t stream, const void *p, size_t n);
bool root_room(struct root *r, uint64_t id);
bool root_end(struct root *r, uint64_t id, const struct remote_end *end);
void root_beat(struct root *r, uint64_t now_ms);

#endif
