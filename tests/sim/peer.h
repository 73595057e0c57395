/* One connection to a simulated host. Loop thread only.
 *
 * A peer looks after itself: it is made from an accepted descriptor, which it owns from then on,
 * and frees itself when the client is gone. It reaches back into the serving process only to be
 * counted.
 */
#ifndef TESTS_SIM_PEER_H
#define TESTS_SIM_PEER_H

#include <libssh/libssh.h>
#include <libssh/server.h>
#include <stddef.h>
#include <uv.h>

#include "tests/sim/options.h"

/* What the connections of one process share. */
struct server {
    uv_loop_t loop;
    const struct options *o;
    const struct plan *plan;
    ssh_key authorized;  /* NULL: any */
    ssh_bind *binds;     /* one for each host key, made at first use; the last is the wrong key */
    size_t live;         /* peers */
    void (*freed)(void); /* called when a peer has given its descriptor back; may be NULL */
};

/* Serves the connection as host number `host`. What cannot be set up is closed. */
void peer_accept(struct server *s, int fd, uint32_t host);

#endif
