/* One end of the socket between coordinator and worker: frames in, frames out, in batches.
 *
 * Frames are appended to chan_out and leave together, one send per turn of the loop; received
 * bytes are handed on in place. Both ways without an allocation per frame. Does not know what
 * frames mean. Loop thread only; ops come from the loop, but `full` may come from chan_kick.
 */
#ifndef CONTROLLER_WORKER_CHAN_H
#define CONTROLLER_WORKER_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/frame.h"

struct chan_ops {
    /* A frame; its bytes are gone after the call. RC_OK, or why it breaks the protocol. */
    enum rc (*frame)(void *user, const struct frame *f, struct err *e);
    /* Nothing more will come: the peer has closed (why->rc is RC_OK), broke the protocol, or the
     * socket failed. Once; not after chan_close. */
    void (*ended)(void *user, const struct err *why);
    /* More than `high` bytes wait to be sent; then, once, at most `low` do. Each may be NULL. */
    void (*full)(void *user);
    void (*drained)(void *user);
};

struct chan {
    int fd;
    bool started;
    bool ended;      /* no more frames: ended was called, or chan_close */
    bool broken;     /* the peer takes nothing more; what is written is dropped */
    bool blocked;    /* the socket is full: wait for it */
    bool is_full;    /* full was called and drained not yet */
    bool resting;    /* chan_calm: not read before its time has come */
    bool wipe;       /* bytes that were handled are overwritten: keys go this way */
    uint8_t closing; /* handles still to close */
    unsigned flags, calm_ms;
    struct buf in, out;
    size_t out_at; /* bytes of out already sent */
    size_t high, low;
    uint64_t sends; /* counts sends: a place in chan_out is good while this does not change */
    const struct chan_ops *ops;
    void *user;
    void (*closed)(void *user);
    uv_poll_t poll;
    uv_idle_t idle;  /* active while something is to be sent */
    uv_timer_t rest; /* active while resting */
};

/* Bytes that were handled are overwritten: keys go this way. */
enum chan_flags { CHAN_WIPE_IN = 1, CHAN_WIPE_OUT = 2 };

/* Takes fd over (non-blocking, a connected stream socket). max_out: the most that may wait. */
void chan_init(struct chan *ch, int fd, size_t max_out, unsigned flags);
void chan_marks(struct chan *ch, size_t high, size_t low); /* before chan_start */
/* Frees and closes; of a channel that was never started, or after `closed`. */
void chan_fini(struct chan *ch);

/* What was queued before is sent from here on. On failure nothing was started. */
enum rc chan_start(struct chan *ch, uv_loop_t *loop, const struct chan_ops *ops, void *user,
                   struct err *e);

/* Room for n more bytes without a stray copy of what waits. RC_OK, RC_LIMIT, RC_NOMEM. Needed
 * before frames are appended to a channel that wipes. */
enum rc chan_reserve(struct chan *ch, size_t n);
struct buf *chan_out(struct chan *ch); /* append whole frames, then chan_kick */
void chan_kick(struct chan *ch);
/* Sends all that waits before it returns, and waits for a peer that is slow to read: for words that
 * must be out before the next deed. A peer that has gone ends the wait. Never from inside ops. */
void chan_flush(struct chan *ch);
size_t chan_pending(const struct chan *ch); /* bytes that wait */

/* Calls `drained` at the next send that leaves at most `low` bytes, as if `full` had been called.
 */
void chan_want_drained(struct chan *ch);

/* What comes is read at most once every `ms`, so that a thousand peers of the peer that each say
 * something a second do not wake us a thousand times. 0, as at first: at once. Started only. */
void chan_calm(struct chan *ch, unsigned ms);

/* Reads what is there already, as if the loop had said so: the peer is dead. Calls ops. */
void chan_drain(struct chan *ch);
void chan_stop(struct chan *ch); /* no more frames and no `ended`; chan_close still has to come */

/* The peer sees the end of the stream at once. `closed` comes from the loop. */
void chan_close(struct chan *ch, void (*closed)(void *user));

#endif
