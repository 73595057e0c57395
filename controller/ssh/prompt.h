/* Asks for a secret on the controlling terminal, without echo.
 *
 * Never from standard input, which may be data, and never to standard output. Blocks: before the
 * run, never on the loop; one thread at a time, since it handles signals while it waits.
 */
#ifndef CONTROLLER_SSH_PROMPT_H
#define CONTROLLER_SSH_PROMPT_H

#include <stddef.h>

#include "common/err.h"

/* Writes `text` to /dev/tty and reads a line into dst (terminated, without its newline). The
 * terminal's settings are restored before a signal (interrupt, quit, terminate, hang-up, stop)
 * takes its course; after a stop and continue the question is asked again. RC_OK; RC_NOTFOUND
 * without a terminal; RC_LIMIT when the line is longer than cap - 1; RC_CANCELLED on end of input,
 * or when a signal came and the program survived it; RC_SYS. On failure dst is wiped. */
enum rc prompt_secret(const char *text, char *dst, size_t cap, struct err *e);

#endif
