/* Memory for what must not be seen: passwords, keys, opened values.
 *
 * On pages of its own from libsodium: locked where the system's limit allows it, left out of core
 * files, a guard page behind, overwritten when freed. Blocks; any thread, one at a time.
 */
#ifndef CONTROLLER_VAULT_SECRET_H
#define CONTROLLER_VAULT_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct secret {
    uint8_t *data; /* cap bytes; never NULL */
    size_t len;    /* bytes in use; not terminated */
    size_t cap;
};

/* An empty one with room for `cap` bytes. RC_OK; RC_NOMEM with *out NULL. */
enum rc secret_new(struct secret **out, size_t cap, struct err *e);
enum rc secret_copy(struct secret **out, const void *data, size_t len, struct err *e);
void secret_free(struct secret *s); /* wipes; NULL is fine */

/* Reads `fd` to its end. RC_OK; RC_LIMIT when there are more than `max` bytes; RC_SYS, RC_NOMEM.
 * On failure *out is NULL. Messages do not name what was read: wrap them. The caller closes fd. */
enum rc secret_read(struct secret **out, int fd, size_t max, struct err *e);

/* Drops one newline (or CR LF) from the end. */
void secret_chomp(struct secret *s);

#endif
