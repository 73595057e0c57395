/* --by NAME: hosts in buckets, by the value of a variable, the children of a group, or all groups.
 * Loop thread only. */
#ifndef CONTROLLER_STATS_BY_H
#define CONTROLLER_STATS_BY_H

#include <stdint.h>

#include "common/err.h"
#include "inventory/inventory.h"

struct by_bucket {
    char *name;
    uint32_t *hosts; /* their numbers, rising */
    size_t count, cap;
};

struct by {
    struct by_bucket *items; /* in order of their names; those without a value last */
    size_t count, cap;
};

/* NAME is, in this order: "groups"; a variable that one of the hosts has; a group of the inventory.
 * RC_OK; RC_USAGE: none of these. by_fini it whatever came back. */
enum rc by_init(struct by *by, const char *name, const struct inventory *inv,
                struct inv_host *const *hosts, uint32_t count, struct err *e);
void by_fini(struct by *by);

#endif
