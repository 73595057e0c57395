/* What the files of the pool share: its workers and their jobs. Private to controller/worker; loop
 * thread only. pool.c starts workers, gives them jobs and ends them; pool_kit.c has what each is
 * given first; pool_replace.c puts another in the place of a dead one; pool_frames.c believes what
 * they say.
 */
#ifndef CONTROLLER_WORKER_POOL_INTERNAL_H
#define CONTROLLER_WORKER_POOL_INTERNAL_H

#include "common/map.h"
#include "controller/worker/chan.h"
#include "controller/worker/pool.h"
#include "controller/worker/spawn.h"

/* A warm one goes from SENT to IDLE and by way of GIVEN, with a new command, back to SENT. */
enum job_state { JOB_WAITING, JOB_STARTED, JOB_AUTHENTICATED, JOB_GIVEN, JOB_SENT, JOB_IDLE };

struct pool_job {
    uint64_t id; /* also its key in the map */
    struct pool_worker *worker;
    enum job_state state;
    enum session_kind kind;
    enum { JOB_HEARD, JOB_SILENT, JOB_HELD, JOB_GONE_ON } connect;
    bool asked;            /* a host key waits for our answer */
    bool has_password;     /* and it may be asked for once */
    bool wanted;           /* a password waits for our answer */
    unsigned hostkeys;     /* how often it asked */
    bool accepted;         /* we agreed to the last one */
    bool signing;          /* a signature waits for our answer */
    unsigned signs;        /* how often it asked for one */
    bool finish;           /* warm: no further command */
    bool input_ended;      /* warm: its end was sent */
    enum input_kind input; /* warm: of the command */
    size_t on_way;         /* warm: bytes of input that are not taken yet */
    struct pool_job *prev, *next;
};

struct pool_worker {
    struct pool *pool;
    unsigned number; /* from 1, for messages */
    struct spawn process;
    struct chan chan;
    uv_poll_t exit_poll;
    bool alive;    /* takes jobs and messages */
    bool coming;   /* dead, but another will take its place: takes jobs, which are held */
    bool ready;    /* it has said that it is set up */
    bool unproven; /* it took a dead one's place and is not ready yet: jobs are held */
    bool watched;  /* exit_poll is open */
    bool reaped;
    bool buried;
    unsigned handles;   /* of it, still open */
    unsigned stillborn; /* how many in a row ended before they were ready */
    unsigned wait;      /* pool_beats before the next is started */
    int status;
    char fault[160]; /* why we killed it, or "" */
    struct pool_job *jobs;
    struct pool_job *orphans; /* of a worker that has died, while they are ended */
    uint32_t job_count;
    uint32_t link_count; /* of them links */
    unsigned quiet;      /* pool_beats since it said anything */
    unsigned calm_ms;    /* what it was told */
    unsigned blob_at;    /* which of the pool's blobs is being queued */
    size_t input_at;     /* bytes of it queued so far */
    bool input_done;     /* all of them: jobs may follow */
    struct buf held;     /* jobs that wait behind the input, or for the worker itself */
};

/* A frame for every worker. */
struct pool_gift {
    unsigned char *frame; /* sodium_malloc, out of reach (sodium_mprotect_noaccess) */
    size_t len;
};

enum {
    POOL_OUT_MAX = 256 * 1024 * 1024, /* jobs waiting to be sent: fan-out times a command */
    POOL_OUT_HIGH = 1024 * 1024,
    POOL_OUT_LOW = 256 * 1024,
};

struct pool {
    uv_loop_t *loop; /* NULL before pool_attach */
    struct pool_ops ops;
    void *user;
    struct map jobs;
    struct pool_blob { /* one copy for all workers, fed as they read */
        unsigned number;
        char *bytes;
        size_t len;
    } blobs[SESSION_MAX_BLOBS]; /* in the order they were added */
    unsigned blob_count;
    struct pool_gift *gifts;
    size_t gift_count, gift_cap;
    bool paused;
    unsigned spare;    /* workers that may still be started in place of dead ones */
    unsigned progress; /* jobs that ended well for the worker since spare grew last */
    bool closing;
    uint64_t cpu_us;
    uv_timer_t grace;
    bool grace_open;
    unsigned open_handles;
    void (*closed)(void *user);
    void *closed_user;
    unsigned count;
    struct pool_worker workers[];
};

/* NULL when no such job lives. */
struct pool_job *pool_find_job(struct pool *p, uint64_t id);
/* Out of the map and its worker's list, and freed. */
void pool_drop_job(struct pool_job *j);
/* A message was queued, or could not be: then the worker is ended. */
void pool_said(struct pool_worker *w, enum rc rc);
/* Are jobs held back, behind the input or until the worker is there? */
bool pool_holds(const struct pool_worker *w);

/* pool.c: a worker's process is there: follow its socket and its end. On failure w->handles says
 * what is still open. */
enum rc pool_watch(struct pool_worker *w, struct err *e);
void pool_unwatch(struct pool_worker *w); /* its end is no longer awaited */
/* Its channel, before pool_watch. */
void pool_channel(struct pool_worker *w);
/* Its jobs end; how: what became of it. */
void pool_end_jobs(struct pool_worker *w, const char *how);
void pool_condemn(struct pool_worker *w, const char *fault);
unsigned pool_alive(const struct pool *p); /* workers that take jobs, coming ones included */

/* pool_kit.c: a frame for every worker of now and later; copied, and kept until pool_free. RC_OK,
 * RC_NOMEM, RC_CRYPTO. */
enum rc pool_give(struct pool *p, const struct buf *frame, struct err *e);
/* Queues the next parts of the input, as many as may wait; then the jobs that were held. */
enum rc pool_feed(struct pool_worker *w);
/* All that a new worker is given, and the jobs that were held for it. */
enum rc pool_equip(struct pool_worker *w);
void pool_kit_fini(struct pool *p);

/* pool_warm.c: ENDED and TAKEN of a job of this worker. */
enum rc pool_took_ended(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e);
enum rc pool_took_taken(struct pool *p, struct pool_job *j, const struct frame *f, struct err *e);
/* Whether an end without a problem is one that the job may have. */
bool pool_ended_well(const struct pool_job *j, const struct outcome *o);

/* pool_replace.c: may another take the place of this one, that has just died? Then w->coming. */
void pool_plan_replacement(struct pool_worker *w);
/* Its last handle is closed. */
void pool_vacated(struct pool_worker *w);
void pool_replace_beat(struct pool_worker *w);
void pool_note_progress(struct pool *p);

/* A frame of a worker (chan_ops.frame; user: struct pool_worker). RC_PROTO, with what was wrong,
 * when a worker may not say that now: it is then ended. */
enum rc pool_on_frame(void *user, const struct frame *f, struct err *e);

#endif
