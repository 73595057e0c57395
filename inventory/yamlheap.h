/* Where libyaml takes its memory from while it reads what was sealed: pages that are locked where
 * the system's limit allows it, left out of core files, and overwritten as soon as libyaml gives
 * them back. libyaml itself overwrites nothing, and copies a text that grows.
 *
 * libyaml calls its own yaml_malloc, yaml_realloc, yaml_free and yaml_strdup through the dynamic
 * linker; those of this file take their place. Outside of enter and leave they are mem_alloc and
 * its like. Whether it is so is seen by yamlheap_used. One heap per thread at a time.
 */
#ifndef INVENTORY_YAMLHEAP_H
#define INVENTORY_YAMLHEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

/* Memory of libsodium's for an arena: every chunk is overwritten when it is freed. */
extern const struct arena_source yamlheap_locked;

enum { YAMLHEAP_CLASSES = 26 };

struct yamlheap {
    struct arena arena;
    void *spare[YAMLHEAP_CLASSES]; /* given back, by size */
    size_t taken;                  /* blocks since enter */
    size_t live;                   /* of them, not given back: overwritten by yamlheap_fini */
};

void yamlheap_init(struct yamlheap *h);
void yamlheap_fini(struct yamlheap *h);

/* Only what libyaml allocates in between may be given back in between, and nowhere else. */
void yamlheap_enter(struct yamlheap *h);
void yamlheap_leave(struct yamlheap *h);

/* Has libyaml asked this heap since enter? False with a libyaml that allocates by other ways. */
bool yamlheap_used(const struct yamlheap *h);

#endif
