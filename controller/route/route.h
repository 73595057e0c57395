/* Who goes through which connection to which bastion: a bastion is connected to a few times and
 * carries many hosts on each connection, as channels.
 *
 * Pure: events with the time in them go in, actions come out; no loop, no clock, no sockets. A
 * bastion is a node, its connections are links, whoever wants to go through it (a host, or a link
 * to a bastion behind it) is a client. All three are numbers; what they are is the caller's
 * business.
 *
 * Rules it owns: at most ROUTE_LINKS links to a bastion, opened as they are needed; the first one
 * alone, the others once it is up. A link that does not come up is tried again where that may help,
 * with full-jitter back-off; with none up and no try left the bastion is dead, for good, and all
 * who wait for it fail. One that drops is opened anew, by the same rule. While a link is up,
 * another one that does not come up only means that there will be no more of them.
 */
#ifndef CONTROLLER_ROUTE_ROUTE_H
#define CONTROLLER_ROUTE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum {
    ROUTE_LINKS = 4,          /* connections to one bastion */
    ROUTE_CHANNELS = 100,     /* on each of them, before another one is opened */
    ROUTE_CHANNELS_MAX = 250, /* on each of them; who comes then waits */
};

struct route_opts {
    uint32_t retries; /* further tries to connect to a bastion in a row */
    uint64_t backoff_base_ms, backoff_max_ms;
    uint64_t seed;
};

enum route_action_type {
    ROUTE_OPEN,  /* connect link `link` of `node` (node * ROUTE_LINKS and up) */
    ROUTE_GRANT, /* `client` may go through `link` */
    ROUTE_FAIL,  /* `client` waits in vain: `node` is dead */
    ROUTE_DEAD,  /* `node` is dead; once, before any of its clients fails */
};

struct route_action {
    enum route_action_type type;
    uint32_t node, link, client;
};

struct route;

/* All memory is taken here: RC_NOMEM, or RC_LIMIT. Clients are numbers below `clients`. */
enum rc route_new(struct route **out, const struct route_opts *opts, uint32_t nodes,
                  uint32_t clients, struct err *e);
void route_free(struct route *r);

/* The client wants to go through node; it must not want or have anything yet. */
void route_want(struct route *r, uint32_t node, uint32_t client);
/* It waits no more, or is through with its channel. Nothing when it has neither. */
void route_leave(struct route *r, uint32_t client);

void route_link_up(struct route *r, uint32_t link);
/* It ended, or did not come up. again: another try may help. Its clients are without it from here
 * on, and free to want again. */
void route_link_down(struct route *r, uint32_t link, uint64_t now_ms, bool again);
/* It is about to end: nobody else shall go through it. */
void route_link_hold(struct route *r, uint32_t link);

/* What to do now; false: nothing. To be called until then, after any of the above. */
bool route_next(struct route *r, uint64_t now_ms, struct route_action *out);
/* When to call route_next again though nothing happened; UINT64_MAX: no need. */
uint64_t route_wake_at(const struct route *r);

bool route_is_dead(const struct route *r, uint32_t node);

#endif
