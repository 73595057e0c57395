/* Places at the gate (gate.h) for a run's attempts and links: what one server is told apart by, and
 * who goes on when a place is given back. Loop thread only.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>
#include <string.h>

/* A server that we connect to ourselves: address and port, without padding. */
static size_t server_key(const union resolve_addr *addr, uint8_t key[18])
{
    if (addr->sa.sa_family == AF_INET6) {
        memcpy(key, &addr->in6.sin6_addr, 16);
        memcpy(key + 16, &addr->in6.sin6_port, 2);
        return 18;
    }
    memcpy(key, &addr->in.sin_addr, 4);
    memcpy(key + 4, &addr->in.sin_port, 2);
    return 6;
}

enum rc place_enter(struct run *r, const union resolve_addr *addr, uint32_t holder, bool *granted)
{
    uint8_t key[18];
    size_t len = server_key(addr, key);
    return gate_acquire(r->gate, key, len, holder, granted, NULL);
}

/* Behind a bastion only its own name for the server is known: two names of one server are two. */
enum rc place_enter_via(struct run *r, uint32_t hop, const struct target *t, uint32_t holder,
                        bool *granted)
{
    char key[320];
    int len = snprintf(key, sizeof key, "behind %u: %u %.255s", hop, t->port, t->address);
    return gate_acquire(r->gate, key, (size_t)len, holder, granted, NULL);
}

/* Until one of those that wait takes the place: with no worker left none does, however many. */
void place_leave(struct run *r, uint32_t holder)
{
    signing_leave(r, holder);
    for (uint32_t next; gate_release(r->gate, holder, &next); holder = next) {
        if (next >= r->count) {
            link_granted(link_of(r, next));
            return;
        }
        if (attempt_granted(r, next))
            return;
    }
}
