/* Puts the running program's own file where it is to stay: run as the file that was just uploaded,
 * it checks that it is whole, makes it durable and renames it into its place, atomically. A place
 * is good only in a folder that is ours and that nobody else may write to.
 */
#ifndef AGENT_PLACE_H
#define AGENT_PLACE_H

#include <stdbool.h>

#include "common/buf.h"

struct place {
    const char *from;   /* the path that we were started by */
    const char *final;  /* absolute */
    const char *expect; /* SHA-256, hex */
};

/* Appends the one line that the controller waits for, with its newline:
 *   muster-placed ok
 *   muster-placed error ERRNO-NAME PATH
 * EBADMSG: the file is not what was expected; ESTALE: `from` is another file than the one that
 * runs; EPERM with the folder of `final`: it is not ours alone. Returns whether it is in place. */
bool place_run(const struct place *p, struct buf *line);

#endif
