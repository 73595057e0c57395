/* The user's ssh-agent: its keys, listed once, and its signatures, asked for over one connection.
 *
 * agent_list blocks, within its bound: before the run, never on the loop. Everything else is the
 * coordinator's loop thread. Requests wait in one line and are put one at a time, so that an agent
 * meets one connection and one question, however many hosts there are. Does not decide what may be
 * signed: agent_check_login does, and its caller asks it first.
 */
#ifndef CONTROLLER_AGENT_AGENT_H
#define CONTROLLER_AGENT_AGENT_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/agent/agent_msg.h"

/* All keys of the agent at `path` that can be used. RC_OK; RC_NOTFOUND when nobody listens there;
 * RC_PROTO, RC_CANCELLED (it refused), RC_LIMIT (not within bound_ms, or the path is too long for a
 * socket), RC_SYS, RC_NOMEM. The message names the socket. */
enum rc agent_list(const char *path, uint64_t bound_ms, struct agent_identities *out,
                   struct err *e);

struct agent;

enum agent_answer {
    AGENT_SIGNED,
    AGENT_REFUSED, /* it said no to this one: a confirmation was denied, the key is gone */
    AGENT_FAILED,  /* there is no agent any more */
};

/* From the loop, never from inside a call; once for each agent_sign that returned RC_OK and was not
 * cancelled. `why` is for people, "" when it was signed; sig is gone after the call. */
struct agent_ops {
    void (*answer)(void *user, uint64_t job, enum agent_answer a, const void *sig, size_t len,
                   const char *why);
};

/* Nothing is connected before the first agent_sign. bound_ms: how long the agent may think about
 * one request. An agent that does not answer in that time, answers with nonsense, closes the
 * connection twice without an answer or does not listen any more counts as gone for good: every
 * request that waits and every later one ends with AGENT_FAILED. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc agent_new(struct agent **out, uv_loop_t *loop, const char *path, uint64_t bound_ms,
                  const struct agent_ops *ops, void *user, struct err *e);

/* One request for each job at a time. Copied. RC_OK, RC_NOMEM, RC_LIMIT (see agent_msg_sign). */
enum rc agent_sign(struct agent *a, uint64_t job, const void *blob, size_t len, const void *data,
                   size_t n, uint32_t flags);
/* No answer will come; nothing when there is no such request. */
void agent_cancel(struct agent *a, uint64_t job);

/* Microseconds that one signature takes, a moving mean; 0: none was made yet. */
uint64_t agent_pace_us(const struct agent *a);

void agent_close(struct agent *a); /* closes the handles; no answers come */
void agent_free(struct agent *a);  /* once the loop has closed them; NULL is fine */

#endif
