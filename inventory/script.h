/* Runs an inventory script: a bounded time, a bounded output, its messages kept for the error.
 * Blocks: called before any loop runs. Single thread.
 */
#ifndef INVENTORY_SCRIPT_H
#define INVENTORY_SCRIPT_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

/* Runs PATH with the arguments (NULL-terminated, without the program itself), standard input from
 * /dev/null, and appends what it prints to `out`. RC_OK after exit status 0; RC_NOTFOUND when the
 * system cannot execute it at all (no permission, unknown format); RC_CONFIG with the end of its
 * standard error for another end; RC_LIMIT past out->max or after ms milliseconds, when its
 * process group is killed. */
enum rc script_run(const char *path, const char *const *args, uint64_t ms, struct buf *out,
                   struct err *e);

#endif
