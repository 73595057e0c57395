/* The agent's process: its streams out of reach of what it starts, nothing inherited but them. Only
 * the program uses it, once, before there is anything else; the simulator does not.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include "agent/limits.h"
#include "common/err.h"

enum { PROCESS_BOOT_ID = 40 };

struct streams {
    int in, out; /* non-blocking, close-on-exec, above 2 */
};

/* Moves 0 and 1 away, puts /dev/null on 0 and standard error on 1, closes what else is open; limits
 * as in limits.h; no ptrace and no core file of us. RC_OK, RC_SYS. */
enum rc process_set_up(struct streams *st, struct limits *l, struct err *e);

/* The kernel's boot id as a string; "" where it cannot be read. */
void process_boot_id(char id[PROCESS_BOOT_ID]);

/* Removes the file that we are running, whatever it is called by now. 0, or -1 with errno. */
int process_unlink_self(void);

#endif
