/* Hosts that need what our SSH library cannot do are reached by OpenSSH's own ssh: one process per
 * host, at most so many at once, the others wait their turn. To the run it is another pool: the
 * same callbacks, the same outcomes, decided from ssh's log (sshlog.h).
 *
 * No shell and no terminal: ssh gets a session of its own (setsid), BatchMode, and never a
 * password. Its bounds are ours: a connect budget up to the command, then run and silence timeouts;
 * output is not read while the run is paused. ssh can pass no signals on: a command that is
 * cancelled may still run. Coordinator; loop thread only.
 */
#ifndef CONTROLLER_OPENSSH_OPENSSH_H
#define CONTROLLER_OPENSSH_OPENSSH_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/openssh/argv.h"
#include "controller/worker/pool.h"

enum { OPENSSH_MAX = 64 }; /* at once, unless told otherwise: each is a process of 5 to 10 MB */

struct openssh;

/* Looks for ssh on PATH; RC_NOTFOUND when there is none. dst is always terminated. */
enum rc openssh_find(char *dst, size_t cap, struct err *e);

/* ops: authenticated, sent, data and done are called, from the loop, never from inside a call of
 * ours; `begun` (may be NULL) when a job leaves the line and its budget begins to run. input: what
 * every command may be given, borrowed for as long as it lives. */
enum rc openssh_new(struct openssh **out, uv_loop_t *loop, unsigned max, const struct pool_ops *ops,
                    void (*begun)(void *user, uint64_t job), void *user, const void *input,
                    size_t input_len, struct err *e);

struct openssh_bounds {
    uint64_t connect_ms, run_ms, silence_ms; /* the latter two: 0 for none */
    bool use_stdin;
};

/* Takes its place in the line. target->log is set here. Everything is copied. RC_CONFIG: the target
 * cannot be handed to ssh; RC_LIMIT, RC_NOMEM: no callback comes then. */
enum rc openssh_start(struct openssh *o, uint64_t job, const struct openssh_target *target,
                      const struct openssh_bounds *bounds, struct err *e);
/* Before the command was sent, or afterwards (may_still_run): ends ssh, then done with `problem`.
 * now: by KILL. Twice is fine; an unknown job is nothing. */
void openssh_cancel(struct openssh *o, uint64_t job, enum problem problem, bool now);
void openssh_pause(struct openssh *o);
void openssh_resume(struct openssh *o);

/* Kills what still runs, without callbacks; frees itself once its handles are closed (needs the
 * loop to run). NULL is fine. */
void openssh_close(struct openssh *o);

#endif
