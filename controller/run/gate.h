/* At most N unauthenticated connections of ours to one sshd (an address and a port) at a time.
 *
 * sshd's MaxStartups drops new connections at random from 10 unauthenticated ones on, and its
 * PerSourcePenalties punishes the rest. Pure: no loop, no clock. The key is any byte string (the
 * caller's: a sockaddr without padding). Waiters are served in order.
 */
#ifndef CONTROLLER_RUN_GATE_H
#define CONTROLLER_RUN_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum { GATE_PER_SERVER = 8 };

struct gate;

enum rc gate_new(struct gate **out, uint32_t per_server, struct err *e);
void gate_free(struct gate *g);

/* Asks for a place for `target` (a number below 2^32-1, at most one place or wait each).
 * RC_OK: *granted true, it has the place; false, it waits and gate_release of another returns it.
 */
enum rc gate_acquire(struct gate *g, const void *key, size_t len, uint32_t target, bool *granted,
                     struct err *e);

/* Does another wait for the place that target has? */
bool gate_is_awaited(const struct gate *g, uint32_t target);

/* Gives back the place of `target`, or takes it out of the queue; nothing when it has neither.
 * Returns true and the next one in *next when a waiter got the place. */
bool gate_release(struct gate *g, uint32_t target, uint32_t *next);

#endif
