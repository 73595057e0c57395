/* The way to an agent that root runs: what sudo starts is a script of the system's own shell, which
 * keeps a copy of the agent in a folder of root's, and runs it only after the system's own
 * sha256sum has found it to be the file whose digest the controller named. The bytes are ours
 * (/proc/self/exe), but nobody takes our word for them. docs/become.md.
 *
 * Sits between sudo's dialogue and the streams of agent/exec.c. One thread.
 */
#ifndef AGENT_BECOME_ROOT_H
#define AGENT_BECOME_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/exec_request.h"

enum become_root_state {
    ROOT_TALKING, /* lines of the script are waited for on standard error */
    ROOT_FEEDING, /* it wants the program */
    ROOT_READY,   /* the agent of root runs */
    ROOT_FAILED,  /* problem says why; the script ends by itself */
};

struct become_root {
    enum become_root_state state;
    const char *problem;
    int exe; /* our own file, or -1 */
    uint64_t left;
    char line[64];
    size_t n_line;
};

/* The exec request of a become request: shell is the script. RC_PROTO, RC_NOMEM, RC_SYS (our own
 * file cannot be read): nothing to free. */
enum rc become_root_read(struct become_root *root, struct exec_request *r, const struct wire_map *m,
                         char *const *base, struct err *e);
void become_root_fini(struct become_root *root); /* also of a zeroed one with exe -1 */

/* Reads the script's lines from standard error, none of the agent's. false: its end. */
bool become_root_hear(struct become_root *root, int fd);
/* Writes the program; RC_OK: all of it, or it is to be gone on with when fd can be written again;
 * RC_SYS: nobody reads. */
enum rc become_root_feed(struct become_root *root, int fd);

#endif
