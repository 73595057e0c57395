/* What the files of a worker's process share. Private to controller/worker; loop thread only.
 * worker.c has the loop, the jobs and what they say; worker_kit.c what a worker is given first;
 * worker_warm.c what is different for warm jobs.
 */
#ifndef CONTROLLER_WORKER_WORKER_INTERNAL_H
#define CONTROLLER_WORKER_WORKER_INTERNAL_H

#include "common/map.h"
#include "controller/ssh/session.h"
#include "controller/worker/chan.h"
#include "controller/worker/line.h"
#include "controller/worker/msg.h"

enum { EXIT_LEFT = 0, EXIT_SETUP = 2, EXIT_PROTOCOL = 3, EXIT_NO_MEMORY = 4 };

struct worker_job {
    uint64_t id; /* also its key in the map */
    struct worker *worker;
    struct session *session; /* NULL while it waits in line */
    bool warm, finish;       /* of a warm one: to be finished as soon as it begins */
    struct line_item place;
    void *start; /* while it waits: its START, as it came */
    uint32_t start_len;
};

struct worker {
    uv_loop_t loop;
    struct chan chan;
    struct session_env *env;
    struct map jobs;
    struct line line;
    struct buf input;   /* a blob for the commands, while its parts come */
    unsigned input_of;  /* which */
    size_t input_total; /* of all that are complete */
    unsigned calm_ms;   /* what hosts say may wait so long: see linger in worker.c */
    uv_prepare_t linger;
    bool peer_paused;
    bool queue_paused;
    bool paused; /* what the sessions were told */
    int exit_code;
    /* The DATA frame that the next bytes may join: the last one queued, nothing sent since. */
    uint64_t data_job, data_sends;
    size_t data_mark, data_end;
    bool data_stderr;
    int open; /* handles of the end */
};

/* Ends the process's loop; what it is in the middle of still returns. */
void worker_leave(struct worker *w, int code);
/* A message was queued, or could not be: what cannot be said cannot be made good, and the
 * coordinator must not wait for it. */
void worker_said(struct worker *w, enum rc rc);
/* NULL: there is none; one that waits in line has no session. */
struct worker_job *worker_job(struct worker *w, uint64_t id);

/* Frames of the coordinator. RC_OK, or RC_PROTO with what is wrong. */
enum rc worker_took_key(struct worker *w, const struct frame *f, struct err *e);
enum rc worker_took_identity(struct worker *w, const struct frame *f, struct err *e);
enum rc worker_took_stdin(struct worker *w, const struct frame *f, struct err *e);
enum rc worker_took_exec(struct worker *w, const struct frame *f, struct err *e);
enum rc worker_took_input(struct worker *w, const struct frame *f, struct err *e);
enum rc worker_took_finish(struct worker *w, const struct frame *f, struct err *e);

#endif
