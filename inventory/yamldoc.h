/* YAML text to values, as PyYAML's safe loader with Ansible's tags reads it (YAML 1.1 scalars,
 * anchors, merge keys, !vault, !unsafe), with line and column on every value.
 *
 * Knows nothing of inventories. Stricter than Ansible in one point: a key written twice is an
 * error. Aliases share one value, so a document takes no more memory than its text; what it would
 * expand to is bounded. Single thread per document.
 */
#ifndef INVENTORY_YAMLDOC_H
#define INVENTORY_YAMLDOC_H

#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"
#include "inventory/value.h"

/* Values that a document with all its aliases written out may have. */
enum { YAMLDOC_MAX_EXPANDED = 10000000 };

/* *out is NULL for an empty document; it lives in `arena`. `file` is kept in places (borrowed).
 * RC_PARSE (not YAML, two documents, an unknown tag), RC_EXISTS (a key twice), RC_LIMIT (depth,
 * expansion, numbers), RC_NOMEM; messages begin with file:line:column. */
enum rc yamldoc_parse(struct arena *arena, const char *file, const char *text, size_t len,
                      const struct value **out, struct err *e);

/* Plain scalars: gives v the type and content that YAML 1.1 as PyYAML knows it sees in `text`.
 * RC_LIMIT for a number with a base that does not fit. */
enum rc yamldoc_resolve(struct arena *arena, const char *text, size_t len, struct value *v,
                        struct err *e);

#endif
