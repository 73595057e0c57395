/* From a fresh child process to the program: descriptors, session, limits, directory, exec; and
 * what to say when one of these fails. Runs between fork and exec of a process with one thread.
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include <stdint.h>
#include <stdnoreturn.h>

#include "agent/exec_request.h"

struct limits;

enum spawn_step { SPAWN_SETUP, SPAWN_LIMIT, SPAWN_CWD, SPAWN_PROGRAM, SPAWN_JOB /* its status */ };

/* What a child that could not become the program sends, whole: it is smaller than PIPE_BUF. */
struct spawn_failure {
    int32_t step; /* enum spawn_step */
    int32_t sys;  /* errno */
    int32_t at;   /* SPAWN_LIMIT: index in limits */
};

struct spawn {
    char *const *argv;
    char *const *envp;
    const char *cwd; /* NULL: stays */
    int mask;        /* -1: that of the limits */
    const struct exec_limit *limits;
    unsigned n_limits;
    const struct limits *given; /* what the agent was started with; NULL: as it is */
    int in, out, err;           /* all above 2 */
    int tty; /* its session's terminal, that it is to be in front of; -1: a session of its own */
};

/* The program takes the process over, or the failure is written to `report` (close-on-exec, above
 * 2) and the process ends with 127. */
noreturn void spawn_exec(const struct spawn *s, int report);

/* Closes every descriptor above 2 but those `keep` (n of them, -1 is none). Sorts keep. */
void spawn_close_others(int *keep, unsigned n);

#endif
