/* Which hosts a person means: Ansible's patterns plus ClusterShell's ranges, -l, -x, --where.
 *
 * Every term must match something; a term with two readings is refused with both. Ansible's
 * order of evaluation: plain terms are united, then & intersects, then ! removes.
 */
#ifndef INVENTORY_PATTERN_H
#define INVENTORY_PATTERN_H

#include <stddef.h>

#include "common/err.h"
#include "inventory/inventory.h"

struct selection {
    struct inv_host **hosts; /* in the order in which the terms name them, as Ansible lists them,
                                without duplicates */
    size_t count;
};

struct pattern_opts {
    const char *pattern; /* "" is an error; there is no implicit "all". NULL: the base as it is */
    struct inv_host *const *base; /* with no pattern: these hosts, in this order (-w, a retry) */
    size_t base_count;
    const char *const *limits; /* -l, each a pattern (or @FILE); all must hold */
    size_t limit_count;
    const char *const *excludes; /* -x */
    size_t exclude_count;
    const char *where; /* --where expression, or NULL */
};

/* RC_OK with *out filled (selection_fini it), even empty when --where left nothing;
 * RC_NOTFOUND "canray matches nothing; canary?", RC_AMBIGUOUS, RC_PARSE, RC_OPAQUE. */
enum rc pattern_select(struct inventory *inv, const struct pattern_opts *o, struct selection *out,
                       struct err *e);
void selection_fini(struct selection *s);

#endif
