/* Drives one engine with poll(2) over two descriptors until it is finished. Only the program uses
 * it. TERM, HUP and INT mean what the end of input means.
 */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

#include "agent/process.h"
#include "agent/serve.h"

/* Returns once the engine is finished and what it had to say is out, or half a second after.
 * RC_SYS: poll failed; the engine is to be freed all the same. Once in a process: from then on what
 * is forked has nothing of what was read. */
enum rc loop_run(struct serve *s, const struct streams *st, struct err *e);

#endif
