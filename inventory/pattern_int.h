/* What the parts of the pattern module share. Not for use outside pattern*.c. Single thread. */
#ifndef INVENTORY_PATTERN_INT_H
#define INVENTORY_PATTERN_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "inventory/inventory.h"

/* "web:&prod,!db" cut into its terms. */
struct pattern_term {
    char op;          /* '&', '!', or 0 */
    const char *text; /* without the operator; in the arena */
};

struct pattern_terms {
    struct pattern_term *items; /* mem_free */
    size_t count, cap;
};

enum { PATTERN_TEXT_MAX = 16 * 1024 * 1024, PATTERN_SHOWN = 96 };

/* Appends the terms of `text` (pattern_split.c). */
enum rc pattern_split(struct pattern_terms *t, const char *text, struct arena *arena,
                      struct err *e);

/* Hosts in the order that a term gave them; the same one may come twice, as in Ansible, because
 * subscripts count so. */
struct pattern_hits {
    struct inv_host **items; /* mem_free */
    size_t count, cap;
};

enum rc pattern_hits_add(struct pattern_hits *h, struct inv_host *host, struct err *e);

/* The hosts of one term, without its operator (pattern_term.c). An existing group that is empty
 * gives none; everything else that gives none is RC_NOTFOUND with a suggestion. */
enum rc pattern_match(struct inventory *inv, const char *text, struct pattern_hits *h,
                      struct err *e);

#endif
