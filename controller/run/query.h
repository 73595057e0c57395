/* A run that asks the agent of each host for one thing, the same for all, and takes its replies
 * until the request's end: struct run_agent for those that need no more. Coordinator, loop thread.
 */
#ifndef CONTROLLER_RUN_QUERY_H
#define CONTROLLER_RUN_QUERY_H

#include "controller/run/run.h"

struct run_query {             /* borrowed for the length of run_execute */
    const struct buf *request; /* payload of the REQUEST */
    /* A reply must come within so much of the request, and of the one before; 0: no bound. */
    uint64_t bound_ms;
    unsigned calm_ms; /* see run_agent */
    void *user;
    /* Once, before the first host: where results and words for people go, borrowed until report has
     * returned. A failure ends the run. */
    enum rc (*open)(void *user, const struct sink *results, const struct sink *info,
                    uint64_t now_ms, struct err *e);
    /* Who answers: an agent, or plain sh, and why. May come again. */
    void (*ready)(void *user, uint32_t target, const struct remote_hello *hello);
    /* A REPLY's payload. Anything but RC_OK and RC_NOMEM: the host ends as one that breaks the
     * agent's protocol, with e->msg as the detail. */
    enum rc (*reply)(void *user, uint32_t target, const void *map, size_t n, uint64_t now_ms,
                     struct err *e);
    /* The host's end, once for each. */
    void (*ended)(void *user, uint32_t target, const struct outcome *o);
    /* After open, after replies and ends, and when the time has come that it returned last, to a
     * tenth of a second (one call for many replies): when to call it next, UINT64_MAX: not by time.
     * *done: all that was wanted is there; hosts that still send are let go, and are ok. */
    uint64_t (*tick)(void *user, uint64_t now_ms, bool *done);
    /* All have ended, the loop is gone: the last results, before the summary. */
    void (*report)(void *user, uint64_t now_ms);
    /* Not NULL: nothing but Ctrl-C ends the run. Whether the host has done what it can: it is ok
     * then, not cancelled. */
    bool (*enough)(void *user, uint32_t target);
    uint64_t next_ms; /* of tick */
    bool done;
};

/* Fills `agent` for the plan; mode, fallback and folders are the caller's. */
void run_query_init(struct run_query *q, struct run_agent *agent);

#endif
