/* Hosts put together by a key: a chain of targets per key, in the order they were added.
 *
 * All memory is taken at init, so that adding cannot fail. Loop thread only.
 */
#ifndef CONTROLLER_OUTPUT_GROUP_H
#define CONTROLLER_OUTPUT_GROUP_H

#include "controller/output/internal.h"

enum { GROUP_NONE = UINT32_MAX };

struct group {
    uint8_t key[STORE_KEY];
    uint32_t head, tail, count;
    uint32_t note; /* the caller's */
};

struct groups {
    struct group *items;
    size_t count;
    uint32_t *slots; /* by key: item + 1, 0 free */
    size_t slot_mask;
    uint32_t *next; /* by target */
};

/* For at most `hosts` hosts with numbers below `targets`. RC_NOMEM: nothing to free. */
enum rc groups_init(struct groups *gs, uint32_t hosts, uint32_t targets);
void groups_fini(struct groups *gs);

struct group *groups_add(struct groups *gs, const uint8_t key[STORE_KEY], uint32_t target);
/* NULL when there is none. Not after groups_sort. */
struct group *groups_find(const struct groups *gs, const uint8_t key[STORE_KEY]);
/* Walk: for (t = g->head; t != GROUP_NONE; t = groups_next(gs, t)). gs may be NULL for a group of
 * one that is in no set. */
uint32_t groups_next(const struct groups *gs, uint32_t target);
void groups_sort(struct groups *gs, int (*compare)(const void *, const void *));

/* The key of what a host shows: how it ended, and what it printed after --match and --ignore. */
void group_key(struct output *o, uint32_t target, uint8_t key[STORE_KEY]);
/* Larger first, then by the first host. */
int group_by_size(const struct group *a, const struct group *b);

#endif
