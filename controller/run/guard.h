/* The guard against a slip of the hand: many hosts, or protected ones, need a word more. */
#ifndef CONTROLLER_RUN_GUARD_H
#define CONTROLLER_RUN_GUARD_H

#include "common/err.h"
#include "controller/cli/options.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

/* More hosts than --guard (50) need a count, --expect or --yes; protected ones --allow-protected.
 * RC_OK: go on. RC_CANCELLED: the person said no. RC_USAGE: what is missing is in the message.
 * Asks on the terminal (/dev/tty) and waits there: before the run. */
enum rc guard_check(const struct options *o, const struct inventory *inv,
                    const struct selection *targets, struct err *e);

#endif
