/* What stands between [ and ] in a host set: "1-5,7,010-020/2", as ClusterShell's RangeSet reads
 * it, digits that touch the brackets included. Not for use outside hostset*.c. Single thread.
 */
#ifndef INVENTORY_HOSTSET_RANGE_H
#define INVENTORY_HOSTSET_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct hostset_range {
    uint64_t *items; /* hostset_idx, sorted, each once */
    size_t count, cap;
};

/* Where a piece of an expression stands, so that an error can say so. */
struct hostset_text {
    const char *expr; /* all of it, terminated */
    size_t at, end;   /* bytes [at, end) of it */
};

/* Reads a bracket's content. `before` are the digits that touch "[", `after` those that touch "]";
 * both may be empty. More than `max` indexes are RC_LIMIT, before they are made. RC_AMBIGUOUS where
 * leading digits meet a range whose ends differ in length ("n1[8-12]": ClusterShell reads
 * n[18-112], others n18 to n112 by way of n19, n110, n111). On failure nothing is owned. */
enum rc hostset_range_parse(struct hostset_range *r, struct hostset_text content,
                            struct hostset_text before, struct hostset_text after, size_t max,
                            struct err *e);
void hostset_range_fini(struct hostset_range *r);

/* RC_LIMIT: more than `max` names. */
enum rc hostset_too_many(struct err *e, const char *expr, size_t at, size_t max);

/* err_set with "host set 'EXPR' column N: " before the message; returns rc. */
enum rc hostset_error(struct err *e, enum rc rc, const char *expr, size_t at, const char *msg);

#endif
