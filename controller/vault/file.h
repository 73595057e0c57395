/* Reading and replacing files that hold, or held, secrets. Blocks; any thread. */
#ifndef CONTROLLER_VAULT_FILE_H
#define CONTROLLER_VAULT_FILE_H

#include <stddef.h>

#include "common/err.h"
#include "controller/vault/secret.h"

/* A regular file, up to `max` bytes; NULL reads standard input. RC_OK with *out the caller's;
 * RC_SYS, RC_LIMIT, RC_NOMEM with the path in the message. */
enum rc file_read(const char *path, size_t max, struct secret **out, struct err *e);

/* Replaces a file, or what a symbolic link leads to, in one step: readers see the old bytes or the
 * new ones. Mode 0600, on the disk before it counts. On failure the old file stands and nothing is
 * left behind. RC_OK, RC_SYS, RC_LIMIT. */
enum rc file_replace(const char *path, const void *data, size_t len, struct err *e);

/* All of it to a descriptor. RC_OK, RC_SYS. */
enum rc file_write_all(int fd, const void *data, size_t len, struct err *e);

/* Overwrites a file's bytes and removes it. What cannot be is left. */
void file_wipe(int folder, const char *name);

#endif
