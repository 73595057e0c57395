/* The bastions of a run: which there are, and which of them is in front of whom.
 *
 * A hop is a bastion together with the way to it: the same machine reached in two ways is two hops.
 * A way is one hop, or several of which any will do, tried in order. So a chain of any depth is a
 * hop whose own way has a hop, and so on; way 0 is the direct one. Found before the run, from
 * --jump, muster_jump, the words for ssh in the inventory, and the bastions' own variables where
 * they are hosts of the inventory; nothing is connected to here. Coordinator.
 */
#ifndef CONTROLLER_RUN_JUMP_H
#define CONTROLLER_RUN_JUMP_H

#include "common/map.h"
#include "controller/run/target.h"

enum {
    JUMP_MAX_ALTERNATES = 8,
    JUMP_MAX_DEPTH = 8,
    JUMP_MAX_HOPS = 4096,
};

struct hop {
    struct target target; /* its host is NULL where the inventory does not know it */
    uint32_t way;         /* to it */
};

struct way {
    uint32_t hops[JUMP_MAX_ALTERNATES];
    uint32_t count;
    const char *text; /* for people: "bastion1", "outer > inner", "b1 or b2" */
};

struct jumps {
    const struct options *options;
    const struct inventory *inv;
    struct target_defaults defaults; /* of a hop: nothing that was typed for the targets */
    struct keys *keys;
    struct arena *arena;
    struct hop *hops;
    uint32_t hop_count;
    size_t hop_cap;
    struct way *ways; /* [0] is the direct one */
    uint32_t way_count;
    size_t way_cap;
    struct map by_hop; /* hops by all that they are made of */
    struct map by_way;
    struct map by_text; /* what a variable's text came to */
};

/* Borrows all but *d. RC_USAGE when --jump cannot be read. */
enum rc jumps_init(struct jumps *j, const struct options *o, const struct target_defaults *d,
                   const struct inventory *inv, struct keys *keys, struct arena *arena,
                   struct err *e);
void jumps_fini(struct jumps *j);

/* Finds the way to a target that target_init filled: t->way is set, or t->bad. RC_NOMEM. */
enum rc jumps_find(struct jumps *j, struct target *t, struct err *e);

#endif
