/* What a worker may no longer ask of the kernel: it meets hostile bytes beside private keys, and
 * should they take it over, they get sockets and nothing else. Before the first of those bytes.
 */
#ifndef CONTROLLER_WORKER_SANDBOX_H
#define CONTROLLER_WORKER_SANDBOX_H

#include <stdbool.h>

/* For good: no new privileges, no core, no other process of the user may look inside; the process
 * dies with its parent. From here on only the calls of sandbox_filter.c are left: what is open can
 * be read and written, TCP connections and memory can be had, threads started. Refused (EPERM) are
 * files, programs, processes, other sockets, signals to and looks into other processes, and
 * whatever else the kernel offers. Returns false when the kernel offers no filter (the rest
 * holds). */
bool sandbox_enter(void);

#endif
