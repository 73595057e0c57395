/* The line in front of a worker's handshakes: jobs that may not begin yet wait in it, in the order
 * they came. admit.h decides how many begin; here are the queue, and the measuring of the loop.
 *
 * An item that may begin at once never sees the queue, and while the queue is empty nothing is
 * measured. Loop thread only.
 */
#ifndef CONTROLLER_WORKER_LINE_H
#define CONTROLLER_WORKER_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/worker/admit.h"

enum line_place { LINE_OUT, LINE_WAITING, LINE_HANDSHAKE, LINE_OPEN };

struct line_item { /* embedded by who waits; zeroed memory is out of it */
    struct line_item *prev, *next;
    enum line_place place;
    uint32_t descriptors; /* that it takes once it has begun */
};

struct line {
    struct admit admit;
    struct line_item *first, *last;
    void (*begin)(void *user, struct line_item *item);
    void *user;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    bool measuring;
    uint64_t checked_ns,
        busy_ns; /* when the last turn's callbacks ended; since then, not waiting */
    unsigned closing;
    void (*closed)(void *user);
};

/* room: descriptors for all sessions. begin is called from the loop for an item that has waited; it
 * is LINE_HANDSHAKE then. */
void line_init(struct line *l, uv_loop_t *loop, uint32_t room,
               void (*begin)(void *user, struct line_item *item), void *user);
/* true: it may begin now, and is LINE_HANDSHAKE. false: it waits; `begin` comes from the loop. */
bool line_enter(struct line *l, struct line_item *item, uint32_t descriptors);
void line_logged_in(struct line *l, struct line_item *item); /* it is LINE_OPEN */
void line_leave(struct line *l, struct line_item *item);     /* from any place; LINE_OUT */
/* Nobody may wait. `closed` comes from the loop. */
void line_close(struct line *l, void (*closed)(void *user));

#endif
