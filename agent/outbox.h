/* What waits to be written, in two queues of whole frames: those of control go first, but never
 * into the middle of a frame that has begun to go. Memory goes back when a queue is empty. Pure.
 */
#ifndef AGENT_OUTBOX_H
#define AGENT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum { OUTBOX_STEP = 16 * 1024 }; /* frames of bulk that go at a time, as long as they are small */

struct outbox_queue {
    struct buf b; /* append whole frames to it; consumed from `head` */
    size_t head;
    uint64_t gone; /* bytes that went, ever */
};

struct outbox {
    struct outbox_queue control, bulk;
    struct outbox_queue *now; /* which is being written, NULL: none */
    size_t left;              /* bytes until the other may go */
};

void outbox_init(struct outbox *o, size_t control_max, size_t bulk_max);
void outbox_fini(struct outbox *o);

size_t outbox_waiting(const struct outbox_queue *q);
/* The count of bytes ever put into it: one whose `gone` is past it is empty of them. */
uint64_t outbox_end(const struct outbox_queue *q);

size_t outbox_peek(struct outbox *o, const void **p);
void outbox_wrote(struct outbox *o, size_t n); /* at most what peek showed */

#endif
