/* Sets of host names in ClusterShell's notation: expanding "web[01-20/2].example.com" and folding
 * names back into it. One module for what people type and for what they are shown.
 *
 * Knows nothing of inventories: @groups and wildcards are resolved through a callback.
 * Single thread.
 */
#ifndef INVENTORY_HOSTSET_H
#define INVENTORY_HOSTSET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

enum { HOSTSET_MAX = 10000000 }; /* names that one expression may expand to */

struct hostset; /* a set of names; keeps the order of first appearance for iteration */

enum rc hostset_new(struct hostset **out, struct err *e);
void hostset_free(struct hostset *s);

enum rc hostset_add(struct hostset *s, const char *name, struct err *e); /* one plain name */
size_t hostset_count(const struct hostset *s);
const char *hostset_at(const struct hostset *s, size_t i); /* as inserted; borrowed */
bool hostset_has(const struct hostset *s, const char *name);

/* Resolves "@group", "@*", or a wildcard: appends the names to `out`. RC_NOTFOUND when there is no
 * such group or nothing matches. NULL callback: groups and wildcards are RC_PARSE. */
typedef enum rc (*hostset_resolve_fn)(void *user, const char *term, struct hostset *out,
                                      struct err *e);

/* Parses a whole expression (, ! & ^ strictly left to right; see muster-inventory(5)) and adds its
 * result to s. Errors give the column. Expansion is nodeset -e's, order included where `sorted`. */
enum rc hostset_parse(struct hostset *s, const char *expr, hostset_resolve_fn resolve, void *user,
                      struct err *e);

/* One operand without operators: every name that "dc[1-2]n[01-10/3]" stands for, in order.
 * Names without brackets give themselves. More than `max` (at most HOSTSET_MAX) names are RC_LIMIT
 * before any is made. */
enum rc hostset_expand(const char *pattern, size_t max, struct hostset *out, struct err *e);
/* Cheap test: does the text contain a [a-b] range of names (not a subscript)? */
bool hostset_is_range(const char *text);

/* Folds into nodeset -f's notation, comma separated: "web[01-40,43-60],db1". n-dimensional
 * folding as nodeset does by default. Names that cannot fold stay as they are. Linear-ish: 50,000
 * unfoldable names must take well under a second. */
enum rc hostset_fold(const struct hostset *s, struct buf *out, struct err *e);
enum rc hostset_fold_names(const char *const *names, size_t count, struct buf *out, struct err *e);

/* Appends the names of s to out in the order of nodeset -e. */
enum rc hostset_order(const struct hostset *s, struct hostset *out, struct err *e);

/* Natural order as nodeset prints it (web2 before web10). For qsort of names. */
int hostset_compare(const char *a, const char *b);

#endif
