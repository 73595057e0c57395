/* Files of variables that are sealed as a whole: kept as they are, opened by the opener that was
 * lent when a connection variable is looked for in them, each once. What they hold is in locked
 * memory that is overwritten by sealed_close. Private to this folder; single thread.
 */
#ifndef INVENTORY_SEALED_H
#define INVENTORY_SEALED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "inventory/inventory.h"

struct sealed_file;
struct sealed_files; /* of one inventory; NULL: it has none */

/* Both texts live as long as the inventory. RC_OK with *out owned by `inv`; RC_NOMEM. */
enum rc sealed_add(struct inventory *inv, const char *path, const char *text, size_t len,
                   struct sealed_file **out, struct err *e);
void sealed_free(struct sealed_files *s);

/* What the file says of a variable; *out NULL when it says nothing, or when there is no key, which
 * is warned about once. *out lives until sealed_close, and its key is the variable's name. Any
 * error but RC_NOMEM stays the file's; its message names it and holds nothing of what is in it. */
enum rc sealed_get(const struct inventory *inv, struct sealed_file *f, const char *name,
                   const struct value_pair **out, struct err *e);

/* Overwrites all that was opened. NULL is fine. */
void sealed_close(struct sealed_files *s);

#endif
