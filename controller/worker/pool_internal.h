/* What the files of the pool share: its workers and their jobs. Private to controller/worker; loop
 * thread only. pool.c starts, feeds and buries workers; pool_frames.c believes what they say.
 */
#ifndef CONTROLLER_WORKER_POOL_INTERNAL_H
#define CONTROLLER_WORKER_POOL_INTERNAL_H

#include "common/map.h"
#include "controller/worker/chan.h"
#include "controller/worker/pool.h"
#include "controller/worker/spawn.h"

enum job_state { JOB_STARTED, JOB_AUTHENTICATED, JOB_SENT };

struct pool_job {
    uint64_t id; /* also its key in the map */
    struct pool_worker *worker;
    enum job_state state;
    enum session_kind kind;
    bool asked;        /* a host key waits for our answer */
    unsigned hostkeys; /* how often it asked */
    struct pool_job *prev, *next;
};

struct pool_worker {
    struct pool *pool;
    unsigned number; /* from 1, for messages */
    struct spawn process;
    struct chan chan;
    uv_poll_t exit_poll;
    bool alive;   /* takes jobs and messages */
    bool watched; /* exit_poll is open */
    bool reaped;
    bool buried;
    int status;
    char fault[160]; /* why we killed it, or "" */
    struct pool_job *jobs;
    uint32_t job_count;
    uint32_t link_count; /* of them links */
    unsigned quiet;      /* pool_beats since it said anything */
    size_t input_at;     /* bytes of the pool's input queued so far */
    bool input_done;     /* all of it: jobs may follow */
    struct buf held;     /* jobs that wait behind the input */
};

struct pool {
    uv_loop_t *loop; /* NULL before pool_attach */
    struct pool_ops ops;
    void *user;
    struct map jobs;
    char *input; /* one copy for all workers, fed as they read */
    size_t input_len;
    bool has_input;
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

/* A frame of a worker (chan_ops.frame; user: struct pool_worker). RC_PROTO, with what was wrong,
 * when a worker may not say that now: it is then ended. */
enum rc pool_on_frame(void *user, const struct frame *f, struct err *e);

#endif
