/* What a worker may no longer ask of the kernel: it meets hostile bytes beside private keys, and
 * should they take it over, they get sockets and nothing else. Before the first of those bytes.
 */
#ifndef CONTROLLER_WORKER_SANDBOX_H
#define CONTROLLER_WORKER_SANDBOX_H

#include <stdbool.h>

/* For good: no new privileges, no core, no other process may look inside; the process dies with
 * its parent. Refused from here on (EPERM): running programs, making processes, opening files,
 * looking into other processes, kernel interfaces that no network client needs. Returns false when
 * the kernel offers no filter (the rest holds). Threads are still allowed. */
bool sandbox_enter(void);

#endif
