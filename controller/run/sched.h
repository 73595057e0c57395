/* The scheduler of a run: who may start, who waits, who is tried again, when it is over.
 *
 * Pure: events with the time in them go in, actions come out. No loop, no clock, no I/O, no
 * sessions; random numbers come from its own seeded generator. So a virtual clock can run it a
 * hundred thousand times. Targets are numbers from 0; what they are is the caller's business.
 *
 * Rules it owns: sliding window (fan-out), which hosts that nothing is heard of do not fill, rate
 * of new logins, --serial waves, retries with full-jitter back-off inside the connect bound (after
 * a worker's death without one, but last and one at a time: who kills a worker shall not kill them
 * all), breaker, --max-fail budget, --deadline, cancel.
 */
#ifndef CONTROLLER_RUN_SCHED_H
#define CONTROLLER_RUN_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/outcome/outcome.h"

struct sched_wave {
    uint32_t n; /* hosts, or percent of all targets (rounded down, at least 1) */
    bool percent;
};

enum { SCHED_RETRY_ON_MAX = 32, SCHED_WAVES_MAX = 32 };

/* One entry of --retry-on: a status, a problem, or an exit code. */
struct sched_retry_on {
    enum { RETRY_ON_STATUS, RETRY_ON_PROBLEM, RETRY_ON_EXIT } kind;
    int value;
};

struct sched_opts {
    uint32_t fanout; /* at least 1 */
    uint32_t aside;  /* that many more may run of which nothing is heard; 0: they fill places too */
    double rate;     /* new logins per second (a tenth of a second's worth at once), 0: no limit */
    uint32_t retries; /* further attempts per host, 0 for none */
    struct sched_retry_on retry_on[SCHED_RETRY_ON_MAX];
    uint32_t retry_on_count;
    uint64_t connect_timeout_ms; /* bounds all that comes before the command, all attempts */
    uint64_t deadline_ms;        /* of the run, from its first event; 0 for none */
    bool max_fail_set;
    uint32_t max_fail;                        /* stop when MORE than this many targets failed */
    bool max_fail_percent;                    /* max_fail is a percentage of all targets */
    struct sched_wave waves[SCHED_WAVES_MAX]; /* --serial; the last one repeats */
    uint32_t wave_count;
    uint32_t breaker;         /* first N to finish share one pre-command problem: stop; 0 off */
    uint64_t backoff_base_ms; /* 250: first back-off is random in [0, base), doubled each time */
    uint64_t backoff_max_ms;  /* 5000 */
    uint64_t seed;
    const uint32_t *groups; /* of each target, NULL: none; outlives the scheduler */
};

enum sched_event_type {
    SCHED_EV_TICK,     /* nothing happened but time */
    SCHED_EV_FINISHED, /* an attempt ended: target, outcome, connect_ms_used */
    /* Nothing has been heard of target, which runs, for a while: another may have its place. Only
     * before its login. */
    SCHED_EV_SILENT,
    /* It was heard of, or is to be tried in another way: it goes no further before its DO_GO, which
     * comes in this step or in a later one, unless it is cancelled. */
    SCHED_EV_ANSWERED,
    SCHED_EV_SENT,   /* target's command was sent (never retried by default from now on) */
    SCHED_EV_CANCEL, /* first Ctrl-C, SIGTERM: start nothing new, cancel what runs */
    SCHED_EV_PAUSE,  /* the reader holds us up: start nothing, deadlines stand still */
    SCHED_EV_RESUME,
    SCHED_EV_GROUP_DEAD, /* `group` cannot be reached: none of it that was never started starts */
};

struct sched_event {
    enum sched_event_type type;
    uint32_t target;
    const struct outcome *outcome; /* FINISHED; read during the call only */
    uint32_t group;                /* GROUP_DEAD */
    uint64_t connect_ms_used;      /* FINISHED: how much of the connect bound the attempt used */
};

enum sched_action_type {
    SCHED_DO_START,   /* begin attempt `attempt` (from 1), budget_ms left of the connect bound */
    SCHED_DO_GO,      /* the answer to ANSWERED: it has a place */
    SCHED_DO_CANCEL,  /* end the running attempt; problem says why (cancelled, run-deadline) */
    SCHED_DO_FINAL,   /* the target has its final outcome: that of its last attempt (problem NONE),
                         or problem when it was never started (NOT_STARTED_*); exactly once per
                         target. The last attempt may have ended in an earlier step: a stop found
                         the target backing off */
    SCHED_DO_STOPPED, /* the run was stopped early: problem is NOT_STARTED_BREAKER, _BUDGET,
                         _DEADLINE or _CANCEL; at most once, and only when a target was held back
                         or cancelled by it */
    SCHED_DO_DONE,    /* every target is final; the last action ever */
};

struct sched_action {
    enum sched_action_type type;
    uint32_t target;
    uint32_t attempt;
    uint64_t budget_ms;
    enum problem problem; /* FINAL: PROBLEM_NONE means "the last attempt's outcome stands" */
};

struct sched_actions {
    struct sched_action *items; /* owned by the scheduler, valid until the next step */
    size_t count;
    uint64_t wake_at_ms; /* call with TICK at this time; UINT64_MAX: no need */
};

struct sched_counts {
    uint32_t total, waiting, running, backing_off, final_;
    uint32_t failed;  /* final, not ok, and not for want of a start */
    uint32_t started; /* at least once */
    uint32_t wave;    /* number of the current wave, from 1; 0 without --serial */
};

struct sched;

/* RC_OK; RC_USAGE, RC_LIMIT: what is wrong with them. */
enum rc sched_opts_check(const struct sched_opts *opts, uint32_t targets, struct err *e);
/* Is that outcome one of --retry-on's? */
bool sched_opts_retry(const struct sched_opts *opts, const struct outcome *o);

/* Checks the options as above; opts is copied. All memory of the run is taken here. */
enum rc sched_new(struct sched **out, const struct sched_opts *opts, uint32_t targets,
                  struct err *e);
void sched_free(struct sched *s);

/* Feeds one event. now_ms never goes back (a smaller value is taken as the last one). Always RC_OK:
 * it allocates nothing. An event that cannot be (FINISHED for a target that does not run) is a
 * broken invariant: abort. Amortised O(log n), but O(n) for a target that ends while
 * it waits for its place, which only a cancelled one does. */
enum rc sched_step(struct sched *s, uint64_t now_ms, const struct sched_event *ev,
                   struct sched_actions *out);

void sched_counts(const struct sched *s, struct sched_counts *out);

#endif
