/* A run whose commands go through the agent: as another user (sudo), surely ended, or detached.
 * The agent's operations exec and attach (proto/PROTOCOL.md) in the shape of struct run_agent; what
 * they print and what they come to is shown as that of any command. Coordinator, loop thread.
 */
#ifndef CONTROLLER_RUN_THROUGH_H
#define CONTROLLER_RUN_THROUGH_H

#include "controller/run/run.h"

enum through_kind {
    THROUGH_RUN,    /* runs the plan's command and waits for its end */
    THROUGH_DETACH, /* starts it and leaves: it ends when it ends */
    THROUGH_ATTACH, /* what a detached one printed, to its end; then what was kept is removed */
};

struct through { /* borrowed for the length of run_execute */
    enum through_kind kind;
    const char *become; /* the user, or NULL: as we log in */
    bool lives_on;      /* a command outlives a lost connection, as under sshd */
    const char *run;    /* of ATTACH: the run that started it; else NULL: this run */
    bool follow;        /* of ATTACH: to the end; false: what there is now */
};

/* Fills `agent` for the plan; mode, fallback and folders are the caller's. */
void through_init(struct through *t, struct run_agent *agent);

#endif
