/* What run.c, attempt.c and watch.c share of a run. Private to controller/run. Loop thread only. */
#ifndef CONTROLLER_RUN_RUN_INTERNAL_H
#define CONTROLLER_RUN_RUN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include <uv.h>

#include "controller/agent/agent.h"
#include "controller/openssh/openssh.h"
#include "controller/output/outdir.h"
#include "controller/output/output.h"
#include "controller/output/progress.h"
#include "controller/record/record.h"
#include "controller/run/ending.h"
#include "controller/run/gate.h"
#include "controller/route/route.h"
#include "controller/run/proof.h"
#include "controller/run/run.h"
#include "controller/run/sched.h"
#include "controller/run/trust.h"
#include "controller/run/turns.h"
#include "controller/run/writer.h"
#include "controller/ssh/resolve.h"

enum attempt_state {
    ATTEMPT_RESTING,   /* between attempts */
    ATTEMPT_RESOLVING, /* the resolver has it */
    ATTEMPT_GATED,     /* waits for a place at its server, or (aside.c) for one of the fan-out's;
                          its clock stands still */
    ATTEMPT_ROUTED,    /* waits for a channel of the bastion in front of it; likewise */
    ATTEMPT_WORKING,   /* a worker has it */
};

enum { NO_LINK = UINT32_MAX, REJOIN_MAX = 2, RUN_MAX_BLOBS = SESSION_MAX_BLOBS - 1 };

/* One host from its first start until it is final. */
struct attempt {
    struct run *run;
    uint32_t target;
    uint32_t number; /* of this attempt, from 1 */
    enum attempt_state state;
    enum phase phase;  /* for the progress line: what it does now */
    uint64_t job;      /* current job of the pool, 0 none */
    uint64_t step_ms;  /* when the present step began */
    uint64_t start_ms; /* when this attempt began, for the stragglers */
    uint64_t end_ms;   /* when it ended */
    int64_t start_wall_us;
    uint64_t budget_ms; /* of the connect bound for this attempt */
    uint64_t used_ms;   /* of it so far */
    struct resolve_req *lookup;
    union resolve_addr *addrs; /* addr_count of them */
    uint8_t addr_count, addr_next;
    bool begun;       /* the worker has begun with it: the connect bound runs */
    bool silent;      /* nothing was heard of it, and it was given no place since */
    bool in_line;     /* with silent: it waits for one, */
    bool on_hold;     /* with its connection in the worker's hands */
    bool late_go;     /* it was, and its login has not begun yet */
    bool cut;         /* once its server ended the connection that was held */
    uint64_t hold_ms; /* since when it is */
    uint8_t moves;    /* times its worker died before that */
    uint32_t link;    /* that it goes through; NO_LINK: directly, or not yet */
    bool had_link;    /* it went through one, perhaps one that ended */
    uint8_t rejoined; /* links that ended under it */
    bool sent;
    bool unproven;        /* its key was accepted in this run, or not checked */
    bool password_out;    /* the worker has its password, the login is not complete */
    bool password_spent;  /* it had it and did not get in; kept from one attempt to the next */
    uint8_t withheld;     /* enum withheld: why it was given none */
    bool cancelled;       /* cancel was asked for */
    enum problem why;     /* with cancelled */
    char *retry_types;    /* shake hands again with these; NULL: no need */
    bool reshaken;        /* that was done */
    uint8_t type_at;      /* a scan: its handshakes so far */
    bool has_key;         /* a scan: one of them brought a key */
    bool asked_again;     /* a scan: the present handshake is the second for its kind */
    bool openssh;         /* its job is OpenSSH's ssh, not a worker's */
    struct ending ending; /* once it has ended */
    uint64_t sign_ms;     /* since when it waits for the agent; 0 */
    uint64_t sign_job;    /* with sign_ms */
    struct attempt *prev, *next; /* in the run's list of what runs, oldest first */
    uint64_t request;            /* through.c: its request of the agent; 0: not yet made */
    size_t fed;                  /* of the run's input */
    bool fed_all;
    struct run_host *host; /* with plan->agent, while a worker has its job */
    bool become_turn;      /* it may have its password for sudo now (become.c) */
    bool become_out;       /* it has it, and nobody knows whether it is right */
    bool become_spent;     /* that was its end; kept from one attempt to the next */
    void (*become_go)(struct attempt *a, const struct outcome *refused); /* who waits in become.c */
    struct mask_stream held[2]; /* output that may be the beginning of a secret */
};

struct pending_event {
    struct sched_event ev;
    struct outcome outcome;
};

struct run {
    const struct run_plan *plan;
    const struct options *options;
    uint32_t count;            /* targets */
    struct attempt **attempts; /* by target; NULL: not started, or final */
    struct attempt *oldest, *newest;
    uint32_t resolving;

    uv_loop_t loop;
    uv_timer_t wake; /* the scheduler's */
    uv_timer_t beat; /* every BEAT_MS: look-up bounds, record, progress */
    uv_prepare_t prepare;
    uv_signal_t signals[3];
    uv_poll_t keyboard;
    bool handles_open, pool_attached, watching, keyboard_open;
    unsigned closing; /* closings under way */

    struct sched *sched;
    struct gate *gate;
    struct links *links;        /* NULL: no bastions */
    uint64_t wake_at;           /* when the timer fires */
    uint64_t sched_wake;        /* when the scheduler wants to be called */
    struct proof *proof;        /* of passwords */
    struct proof *become_proof; /* of those for sudo */
    struct pool *pool;
    struct openssh *openssh; /* made for the first host that needs it; NULL until then */
    struct resolver *resolver;
    struct agent *agent; /* NULL: no key is in one */
    struct turns *turns; /* with agent */
    bool agent_failed, starting;
    struct remote_blob blobs[RUN_MAX_BLOBS]; /* of plan->agent */
    size_t blob_count;
    struct trust *trust;
    struct output *output;
    struct record *record;
    struct progress *progress;
    struct writer *out, *err;
    struct sink out_sink, err_sink;
    struct outdir *outdir;  /* --out-dir, or NULL */
    struct outdir *capture; /* --capture, likewise */
    const char **names;     /* of the targets */
    struct spool spool;

    struct pending_event *events; /* a queue: [head, tail) */
    size_t head, tail, cap;
    bool pumping;

    uint64_t serial; /* jobs so far */
    uint64_t started_ms;
    uint64_t flushed_ms;     /* when the record was handed on last */
    bool out_full, err_full; /* a writer's queue is long */
    uint64_t agents_wake_ms; /* no machine of a host is due before; 0: look at all of them */
    bool agents_calm;        /* each host has its agent, and nobody is on the way to one */
    bool stalled;            /* whoever takes our output holds us up: hosts are paused */
    bool reader_gone;
    bool out_lost;       /* results could not be written, which was said */
    unsigned interrupts; /* Ctrl-C and its like so far */
    bool done;
    struct output_end end;
    enum problem last_before; /* latest pre-command problem: the breaker's, when it trips */
    int exit_code;
    struct output_run about;
    char retry_hint[64], attach_hint[64];
};

/* A flush wakes the record's thread, so it waits FLUSH_MS for company. A host whose whole handshake
 * is shorter than that could run its command before its "started" line is on its way to the disk;
 * only a controller killed in those milliseconds would leave a record that does not know. */
enum { BEAT_MS = 100, FLUSH_MS = 4 };

/* run.c */
void run_event(struct run *r, const struct sched_event *ev); /* queues a copy; run_pump takes it */
void run_pump(struct run *r); /* feeds the scheduler what is queued */

/* attempt.c */
void attempt_start(struct run *r, uint32_t target, uint32_t number, uint64_t budget_ms);
void attempt_cancel(struct run *r, uint32_t target, enum problem why);
void attempt_check_lookups(struct run *r);            /* ends look-ups that are past their bound */
void attempt_free(struct attempt *a);                 /* NULL is fine */
bool attempt_granted(struct run *r, uint32_t target); /* a place; false: given back, go on */
void attempt_routed(struct run *r, uint32_t target, uint32_t link);
void attempt_unrouted(struct run *r, uint32_t target);
/* Of the run's plan. */
const struct target *attempt_target(const struct attempt *a);
uint64_t attempt_budget_left(const struct attempt *a);
/* On to its server's gate, from where it goes to a worker; or it ends. */
void attempt_enter_gate(struct attempt *a);
void attempt_fall_back(struct attempt *a); /* to OpenSSH's ssh */
/* The attempt is over. The scheduler decides what follows; until then the end is kept. */
void attempt_finish(struct attempt *a, const struct outcome *o, const struct session_timing *timing,
                    const char *server_banner);

/* attempt_events.c */
extern const struct pool_ops attempt_pool_ops;
/* The link ended before the command was sent, and the host may try another: then true, its channel
 * given back, and it goes on at the gate. */
bool attempt_lost_link(struct attempt *a);
void attempt_on_trust(void *user, uint64_t job, const struct trust_answer *answer);
struct attempt *attempt_of(struct run *r, uint64_t job); /* NULL: it has ended */
void attempts_free(struct run *r);

/* aside.c */
void aside_on_silent(void *user, uint64_t job);   /* of pool_ops */
void aside_on_answered(void *user, uint64_t job); /* of pool_ops */
void aside_go(struct run *r, uint32_t target);    /* SCHED_DO_GO */
/* To the gate again, without a job now: at once, or when it has a place. */
void aside_again(struct attempt *a);
/* Its job has ended: was it for want of a place? That is no end of an attempt. Once for each end;
 * brings its clock up to date. */
bool aside_was_dropped(struct attempt *a, const struct outcome *o);
/* Of one that was, and was cancelled in the same moment: that is its end. */
void aside_settle(const struct attempt *a, bool dropped, struct outcome *o);

/* fallback.c */
/* Gives the attempt a job that is a process of OpenSSH's ssh. RC_OK, or why not (RC_CONFIG,
 * RC_LIMIT: the host cannot be handed to ssh): no callback comes then. */
enum rc fallback_start(struct run *r, struct attempt *a, uint64_t budget_ms, struct err *e);
/* Cancels its job, whoever has it. */
void fallback_or_pool_cancel(struct run *r, const struct attempt *a, enum problem why);
/* Its end is one that OpenSSH's ssh can do better: a host that only a CA vouches for. */
bool fallback_serves(const struct run *r, const struct attempt *a,
                     const struct session_result *res);

/* The end of an attempt that fallback_serves sent there. */
void fallback_settle(const struct attempt *a, struct outcome *o);

struct attempt *run_host_attempt(const struct run_host *h);

/* agents.c: all do nothing in a run without plan->agent. */
enum rc agents_begin(struct run *r, struct err *e); /* output is there */
enum rc agents_open(struct run *r, struct err *e);  /* gives the workers the agents' files */
/* Starts the attempt's job: `spec` has all but what the agent's first command decides. As
 * pool_start. */
enum rc agents_start(struct attempt *a, struct session_spec *spec, struct err *e);
void agents_sent(struct attempt *a);
void agents_drop(struct attempt *a); /* the job is over, or never began */
bool agents_data(struct attempt *a, bool is_stderr, const void *p, size_t n); /* it was for it */
void agents_command_ended(void *user, uint64_t job, const struct session_result *result);
void agents_taken(void *user, uint64_t job, size_t n);
/* true: it will end by itself, soon. */
bool agents_cancel(struct attempt *a, enum problem why);
/* The job is over: the outcome in the words of whoever knew best. */
void agents_settle(struct attempt *a, struct outcome *o);
void agents_pause(struct run *r, bool on);
void agents_beat(struct run *r);
void agents_look_at_all(struct run *r); /* an attempt came, went, or has its agent now */

/* place.c: one place at a server for each holder, a target or r->count + a link. */
enum rc place_enter(struct run *r, const union resolve_addr *addr, uint32_t holder, bool *granted);
enum rc place_enter_via(struct run *r, uint32_t hop, const struct target *t, uint32_t holder,
                        bool *granted);
void place_leave(struct run *r, uint32_t holder); /* nothing when it has none */

/* links.c */
enum rc links_open(struct run *r, struct err *e); /* nothing without bastions */
void links_free(struct run *r);
const uint32_t *links_groups(const struct run *r); /* of targets; NULL: no bastions */
bool links_pump(struct run *r); /* does what route.c says; true when there was something */
uint64_t links_wake_at(const struct run *r);
void links_check_lookups(struct run *r);
/* The first bastion of the way that is not dead. */
bool links_hop(const struct run *r, uint32_t way, uint32_t *hop);
void links_want(struct run *r, uint32_t hop, uint32_t target);
void links_leave(struct run *r, uint32_t target); /* nothing when it has no channel */
void links_hold(struct run *r, uint32_t link);    /* it is about to end: nobody else through it */
void links_set_way(struct run *r, uint32_t link, const struct target *t, struct session_spec *spec);
/* One of the way's bastions was logged in to. */
bool links_were_up(const struct run *r, uint32_t way);
/* What was wrong with the bastions of the way. Returns dst. */
char *links_reason(const struct run *r, uint32_t way, char *dst, size_t cap);
struct link *link_of(struct run *r, uint64_t job); /* by job or holder; NULL: none */
/* Where and as whom this job of its logs in; NULL: it is not its job. */
const struct target *link_logs_in(const struct link *l, uint64_t job);
void link_granted(struct link *l);
void link_on_hostkey(struct link *l, uint64_t job, const char *key_type, const void *blob,
                     size_t len);
void link_on_trust(struct link *l, uint64_t job, const struct trust_answer *answer);
void link_on_authenticated(struct link *l, uint64_t job);
void link_on_done(struct link *l, uint64_t job, const struct session_result *result);

/* report.c */
void attempt_final(struct run *r, uint32_t target, enum problem problem);

/* scan.c: both do nothing in a run that is no scan. */
/* A handshake has ended: is there another to make? One that only found no key of its kind is no
 * failure, and each has the whole bound to itself. One that was cut off is made once more, and
 * then counts as one for a key that the host lacks, if it has another. */
bool scan_goes_on(struct attempt *a, const struct session_result *res);
/* The attempt is over: the last handshake may have been for a key that the host lacks. */
void scan_settle(const struct attempt *a, struct outcome *o);

/* shown.c */
struct shown_texts { /* of one result, without secrets */
    char user[512], banner[512], address[64];
};
void shown_data(struct attempt *a, bool is_stderr, const void *p, size_t n);
void shown_end(struct attempt *a);  /* no more output: hands on what was held back */
void shown_drop(struct attempt *a); /* without handing it on */
/* The command printed n more bytes, which the host did not keep. After the stream's data. */
void shown_missing(struct attempt *a, bool is_stderr, uint64_t n);
void shown_result(const struct run *r, struct output_result *res, struct shown_texts *t);

/* password.c */
enum withheld { /* why a host was given no password */
                WITHHELD_NOT,
                WITHHELD_UNPROVEN,
                WITHHELD_BARRED,
                WITHHELD_SPENT,
                WITHHELD_NO_MEMORY
};
void attempt_on_password(void *user, uint64_t job);
void password_authenticated(struct attempt *a);
/* A job is over, whatever follows it: before anything else is made of its end. */
void password_job_ended(struct attempt *a, const struct outcome *o);
void password_settle(const struct attempt *a,
                     struct outcome *o); /* the attempt's end in our words */

/* become.c: the password for sudo, if the host has one. Of attempts with `host` set. */
/* Calls `go`, before it returns or later, once: refused NULL: send it now (or there is none), else
 * the end of the attempt. Never, when the job ends before. */
void become_ask(struct attempt *a, void (*go)(struct attempt *a, const struct outcome *refused));
void become_sent(struct attempt *a); /* the password is on its way */
/* The agent's REPLY `started` to what the password went with: sudo let us. */
void become_started(struct attempt *a, const void *map, size_t n);
void become_ended(struct attempt *a, enum problem p); /* its END; nothing after become_started */
void become_job_ended(struct attempt *a);             /* before anything else is made of its end */

/* Goes on with one that waited in line (ATTEMPT_GATED) for more than its server's gate. */
void attempt_go_on(struct attempt *a);

/* signing.c: logins that the user's agent signs */
enum rc signing_open(struct run *r, struct err *e);
void signing_close(struct run *r);
void signing_free(struct run *r);
/* May it log in now? false: it waits, and attempt_go_on comes. */
bool signing_turn(struct attempt *a);
/* It is logged in, or has ended: nothing is signed for it any more. */
void signing_leave(struct run *r, uint32_t target);
void signing_asked(void *user, uint64_t job, unsigned key, const void *data, size_t n);
/* Adds to a denied login what was left out of it. */
void signing_explain(const struct attempt *a, struct outcome *o);

/* watch.c */
enum rc watch_open(struct run *r, struct err *e); /* signals, keyboard, progress */
void watch_close(struct run *r);
void watch_beat(struct run *r); /* redraws the progress line */

#endif
