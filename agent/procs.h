/* Which processes are below one, from /proc. One thread.
 */
#ifndef AGENT_PROCS_H
#define AGENT_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCS_MAX = 16384 }; /* that are looked at; more are not seen */

struct proc {
    pid_t pid, parent;
    uint64_t start; /* ticks since boot: with the pid, its identity */
    char state;     /* R, S, … Z */
    bool below;
};

/* One process. false: there is none, or /proc does not show it. */
bool procs_look(pid_t pid, struct proc *out);

/* Our own children, from the kernel's list of them: also those that /proc hides (hidepid), of which
 * only pid and state are known. Where there is no such list, what procs_below finds. */
size_t procs_children(struct proc **list);

/* The children of `root`, with `deep` everything below it, zombies included. *list is to be freed
 * with mem_free; returns how many of it count. 0 also where there is no /proc or no memory. */
size_t procs_below(pid_t root, bool deep, struct proc **list);

#endif
