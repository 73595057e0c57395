/* JSON text to values, as Ansible's JSON decoder reads it ("__ansible_vault", "__ansible_unsafe").
 *
 * jansson gives no places inside the document: values carry the file alone, syntax errors line and
 * column. A key written twice is an error. Single thread per document.
 */
#ifndef INVENTORY_JSONDOC_H
#define INVENTORY_JSONDOC_H

#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"
#include "inventory/value.h"

/* *out lives in `arena`. RC_PARSE, RC_LIMIT (depth), RC_NOMEM. */
enum rc jsondoc_parse(struct arena *arena, const char *file, const char *text, size_t len,
                      const struct value **out, struct err *e);

#endif
