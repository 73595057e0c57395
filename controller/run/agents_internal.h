/* What agents.c, which holds the conversation with a host's agent, and agents_beat.c, which looks
 * after all of them, share. Not for others.
 */
#ifndef CONTROLLER_RUN_AGENTS_INTERNAL_H
#define CONTROLLER_RUN_AGENTS_INTERNAL_H

#include "controller/run/root.h"
#include "controller/run/run_internal.h"

/* One attempt's conversation: lives from the start of its job to the end of it. */
struct run_host {
    struct attempt *a;
    struct remote *remote;
    struct root *root;       /* with plan->agent->become: who is asked, through remote */
    const char *root_digest; /* of the file for root, or NULL; the run's */
    struct buf queue;        /* for the agent, not yet with the worker */
    bool duplex;             /* the present command reads what we send */
    bool running;            /* a command runs, or was ordered; false: the job is idle */
    bool started;            /* the worker has the job */
    bool sent;               /* its first command has gone out: the machine's clocks run */
    bool over;               /* closed or failed was heard: the job is to end */
    bool ends_input;         /* once the queue is empty */
    bool asked;              /* a request was made */
    bool ended;              /* a command has ended, and the connection was still there */
    bool judged;             /* verdict is the outcome, whatever becomes of the connection */
    struct outcome verdict;
    struct session_command first; /* what remote_start ordered; the text is ours */
};

static inline struct run *run_of(const struct run_host *h)
{
    return h->a->run;
}

static inline const struct run_agent *agent_of(const struct run_host *h)
{
    return run_of(h)->plan->agent;
}

/* Whatever called a machine says so: no beat looks at any before run->agents_wake_ms. */
void agents_noted(struct run_host *h);

#endif
