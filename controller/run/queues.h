/* Two queues of targets for the scheduler: by time, and in the order they came.
 *
 * Pure; both have room for every target from the start, so that adding to them cannot fail. Any
 * thread, one at a time.
 */
#ifndef CONTROLLER_RUN_QUEUES_H
#define CONTROLLER_RUN_QUEUES_H

#include <stdint.h>

#include "common/err.h"

/* By time; of those that are due together the smallest number first. */
struct due_heap {
    struct due {
        uint64_t at;
        uint32_t target;
    } * items; /* items[0] is the first one */
    uint32_t count;
};
enum rc due_heap_init(struct due_heap *h, uint32_t room); /* RC_OK, RC_NOMEM */
void due_heap_fini(struct due_heap *h);
void due_heap_push(struct due_heap *h, uint64_t at, uint32_t target);
uint32_t due_heap_pop(struct due_heap *h); /* not of an empty one. O(log n) */

/* In order. */
struct ring {
    uint32_t *items;
    uint32_t room, first, count;
};
enum rc ring_init(struct ring *r, uint32_t room); /* RC_OK, RC_NOMEM */
void ring_fini(struct ring *r);
void ring_push(struct ring *r, uint32_t target);   /* not of a full one */
uint32_t ring_pop(struct ring *r);                 /* not of an empty one */
void ring_remove(struct ring *r, uint32_t target); /* which is in it. O(n): for what is rare */

#endif
