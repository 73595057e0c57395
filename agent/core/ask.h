/* Asking file systems for their figures where that may hang: statvfs of a dead mount cannot be
 * interrupted. Child processes ask, we wait with a bound. A child that hangs is left to it: its end
 * tells that the file system is back, and until then that one is not asked again. At most
 * ASK_CHILDREN of them; they hold none of our descriptors and die with us.
 *
 * Blocks until the answers are there or the time is over. One thread.
 */
#ifndef AGENT_CORE_ASK_H
#define AGENT_CORE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ASK_CHILDREN = 8 };

struct ask_figures {
    uint64_t frsize, blocks, bfree, bavail, files, ffree;
};

struct ask_item {
    const char *path; /* with the root in front */
    int sys;          /* out: 0 and the figures, or an errno; ETIMEDOUT: it hangs */
    struct ask_figures f;
};

struct ask; /* children that still wait; NULL at first */

/* Asks for all of them, by children. False when there is no memory. */
bool ask_items(struct ask **a, struct ask_item *items, size_t n, uint64_t deadline_us);
/* Asks in this process. */
void ask_directly(struct ask_item *item);
void ask_free(struct ask *a); /* kills what still waits; NULL is fine */

/* For tests: what a child calls instead of statvfs; 0 or an errno. NULL restores it. */
void ask_set_test(int (*statvfs)(const char *path, struct ask_figures *f));

#endif
