/* What the agent changed of itself and what its children are to get back: the limits, the mask and
 * the signals it was started with. Taken once by main, given to operations through serve_limits();
 * nothing of it is global.
 */
#ifndef AGENT_LIMITS_H
#define AGENT_LIMITS_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { LIMITS_SIGNALS = 5 };

struct limits {
    struct rlimit core;
    mode_t umask;
    struct sigaction signals[LIMITS_SIGNALS]; /* PIPE, CHLD, TERM, HUP, INT */
    sigset_t mask;
};

/* Notes what holds, then: no core files, umask 077, SIGPIPE ignored, the others by default, none
 * blocked. */
void limits_take(struct limits *l);

/* For a child between fork and exec: async-signal-safe. NULL is fine. */
void limits_restore(const struct limits *l);

#endif
