/* A file, or standard input, that lists something one a line: hosts for -w ^FILE, patterns for
 * -l @FILE. Blank lines and lines that begin with # are left out. Blocks; not for the loop thread.
 */
#ifndef INVENTORY_LISTFILE_H
#define INVENTORY_LISTFILE_H

#include "common/arena.h"
#include "common/err.h"

enum { LISTFILE_MAX = 256 * 1024 * 1024 }; /* bytes of one list */

struct listfile {
    const char **lines; /* trimmed; from the arena given */
    unsigned *numbers;  /* line number of each, from 1 */
    size_t count;
};

/* `path` "-" is standard input. RC_SYS, RC_LIMIT, RC_PARSE (a NUL byte), RC_NOMEM; nothing to free:
 * everything is the arena's. */
enum rc listfile_read(struct listfile *out, const char *path, struct arena *arena, struct err *e);

#endif
