/* A run, end to end: targets in, outcomes out. Turns the scheduler's actions into look-ups, places
 * at the gate and jobs for the workers, and what comes back into events, output and the record.
 *
 * Decides nothing that another module owns: who may start is sched's, which key is right is
 * trust's, what an end means is outcome's. Coordinator, loop thread.
 */
#ifndef CONTROLLER_RUN_RUN_H
#define CONTROLLER_RUN_RUN_H

#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/output/output.h"
#include "controller/run/jump.h"
#include "controller/run/target.h"
#include "controller/remote/remote.h"
#include "controller/run/wrap.h"
#include "controller/secrets/mask.h"
#include "controller/secrets/secrets.h"
#include "controller/worker/pool.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

/* A run that collects host keys instead of running a command: a handshake for each kind of key, one
 * after the other on each host. Leaves no record, logs in nowhere. What the host offers is proven
 * (it signed the key exchange), not trusted. */
struct run_scan {
    const char *const *types; /* each: key types of one handshake, comma separated */
    size_t type_count;        /* at least 1 */
    void *user;
    /* From the loop. May come again for the same key, after a retry. */
    void (*seen)(void *user, uint32_t target, const char *key_type, const void *blob, size_t len);
    /* The host's end, once for each: ok when it has a key of one of the types at least. address:
     * numeric, or "". */
    void (*ended)(void *user, uint32_t target, const struct outcome *o, const char *address);
    /* All have ended, the loop is gone: time to show what was found, before the summary. */
    void (*report)(void *user);
};

/* A run whose hosts are talked to through the agent instead of being given a command. The functions
 * come from the loop; from inside them the run_host_* of the same host may be called, and nothing
 * else of the run. What is said of a host ends with `ended`, once for each. */
struct run;
struct run_host; /* one host's conversation; valid during the call that brought it */

struct run_agent {
    enum remote_mode mode;
    bool fallback;           /* plain sh where no agent can run */
    const char *const *dirs; /* further places for it on the hosts */
    size_t dir_count;
    uint64_t ping_ms;   /* 0: the default */
    const char *become; /* as this user: what is asked goes to an agent of theirs; NULL: to ours */
    bool commands;      /* what it does are commands: shown and recorded as such */
    bool only_looks;    /* and of those, none that a retry could repeat */
    bool endless;     /* only Ctrl-C ends it: that is no interruption of hosts that did `enough` */
    unsigned calm_ms; /* once all that run are ready, a reply may wait so long (twice) */
    void *user;
    /* Once, before the first host: where results and words for people go, until report has
     * returned. A failure ends the run. May be NULL. */
    enum rc (*open)(void *user, const struct sink *results, const struct sink *info,
                    uint64_t now_ms, struct err *e);
    /* Requests may be made. Comes again when an agent that died was started anew. */
    void (*ready)(void *user, uint32_t target, struct run_host *h,
                  const struct remote_hello *hello);
    /* See remote_ops: reply's and data's bytes are to be given back with run_host_consumed. */
    void (*reply)(void *user, uint32_t target, struct run_host *h, uint64_t id, const void *map,
                  size_t n);
    /* NULL: what is asked for has no DATA, and a host that sends some breaks the protocol. */
    void (*data)(void *user, uint32_t target, struct run_host *h, uint64_t id, uint8_t stream,
                 const void *p, size_t n);
    void (*room)(void *user, uint32_t target, struct run_host *h, uint64_t id); /* may be NULL */
    void (*end)(void *user, uint32_t target, struct run_host *h, uint64_t id,
                const struct remote_end *end);
    /* The run is cancelled. true: what was asked for is being ended, and run_host_finish follows;
     * false, or NULL: the conversation is ended as it is. */
    bool (*cancel)(void *user, uint32_t target, struct run_host *h);
    /* With `endless`: the host has done what it can, and is ok when the run is ended. */
    bool (*enough)(void *user, uint32_t target);
    void (*ended)(void *user, uint32_t target, const struct outcome *o, const char *address);
    void (*beat)(void *user, struct run *r, uint64_t now_ms); /* ten a second; may be NULL */
    /* All have ended, the loop is gone: before the summary. May be NULL. */
    void (*report)(void *user);
};

/* As remote_request, remote_bound, remote_consumed, remote_input, remote_cancel. */
enum rc run_host_request(struct run_host *h, const void *map, size_t n, uint64_t *id);
void run_host_bound(struct run_host *h, uint64_t id, uint64_t within_ms);
void run_host_consumed(struct run_host *h, uint64_t id, size_t n);
enum rc run_host_input(struct run_host *h, uint64_t id, const void *p, size_t n, bool last,
                       size_t *taken);
void run_host_cancel(struct run_host *h, uint64_t id, uint64_t grace_ms);
/* Nothing more is wanted of the host, and this is what it came to; the first word counts. */
void run_host_finish(struct run_host *h, const struct outcome *o);

/* The agent's socket by the options and the environment, or NULL. */
const char *run_agent_path(const struct options *o);

struct run_plan { /* all borrowed for the length of run_execute */
    struct options *options;
    const struct inventory *inventory;
    const struct selection *selection;
    const struct target *targets;       /* one per selected host, same order */
    const struct target_config *config; /* what the targets' ssh_config brought in, or NULL */
    const struct jumps *jumps;          /* the bastions in front of them, or NULL */
    const struct secrets *secrets;      /* what the numbers in targets stand for; NULL: none */
    struct masks *masks;                /* takes them out of what is shown; NULL: none */
    struct keys *keys;                  /* private parts are wiped once the pool has them */
    const struct run_scan *scan;        /* NULL: no scan */
    const struct run_agent *agent; /* NULL: without; neither of the two: a run of the command */
    const struct wrap_command *command;
    const char *command_text; /* for people and the record; NULL for a scan */
    const struct buf *input;  /* for every command's standard input, or NULL */
    struct pool *pool;        /* forked, not attached; run_execute closes and frees it */
};

/* Runs to the end, shows everything, returns the program's exit code in *code. An error means that
 * nothing was started. */
enum rc run_execute(const struct run_plan *plan, int *code, struct err *e);

#endif
