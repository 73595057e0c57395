/* What the parts of the host set module share: the set's own memory, one index of a name, and the
 * folded form. Not for use outside hostset*.c. Single thread.
 */
#ifndef INVENTORY_HOSTSET_INT_H
#define INVENTORY_HOSTSET_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/err.h"
#include "inventory/hostset.h"

enum {
    HOSTSET_DIGITS = 17,     /* digits of an index; a longer run is plain text */
    HOSTSET_DIMS = 64,       /* indexes of a name; further digits are plain text */
    HOSTSET_IDX_TEXT = 20,   /* room for an index as text, with its NUL */
    HOSTSET_NAME_MAX = 1024, /* bytes of one name */
};

/* Bytes that the names of one set may take together. */
#define HOSTSET_BYTES_MAX ((size_t)1 << 30)

struct hostset_item {
    const char *name; /* in the set's arena, terminated */
    uint32_t hash;
    uint32_t len : 31;
    uint32_t dead : 1; /* removed by an operator; its slot stays, so that adding revives it */
};

struct hostset {
    struct arena arena;
    char *room; /* rest of the arena block that names are packed into */
    size_t room_left;
    size_t bytes; /* of all names ever added */
    struct hostset_item *items;
    size_t count, cap; /* items in use, dead ones included */
    size_t live;
    uint32_t *index; /* open addressing: item number + 1; 0 free */
    size_t index_cap;
};

enum rc hostset_put(struct hostset *s, const char *name, size_t len, struct err *e);
/* False when it was not there. */
bool hostset_remove(struct hostset *s, const char *name, size_t len);

/* One index of a name, digits and padding, in a number that sorts as ClusterShell sorts: negative
 * ones first, then by length of the text, then by value. */
uint64_t hostset_idx(unsigned len, uint64_t value);
uint64_t hostset_idx_read(const char *digits, size_t n); /* 1 to HOSTSET_DIGITS digits */
uint64_t hostset_idx_negative(uint64_t magnitude);       /* 1 or more */
unsigned hostset_idx_len(uint64_t idx);                  /* of one that is not negative */
uint64_t hostset_idx_value(uint64_t idx);                /* of one that is not negative */
size_t hostset_idx_text(char dst[static HOSTSET_IDX_TEXT], uint64_t idx);
/* Sorts as the text does ("10" before "2"); hostset_idx_untext turns it back. Not negative. */
uint64_t hostset_idx_textual(uint64_t idx);
uint64_t hostset_idx_untextual(uint64_t key);
uint64_t hostset_pow10(unsigned n); /* n at most HOSTSET_DIGITS */
int hostset_idx_compare(const void *a, const void *b);

/* The digits that make the next index of a name: skips to a run of 1 to HOSTSET_DIGITS digits at or
 * after *at. True: [*at, *end) is the run. */
bool hostset_next_digits(const char *name, size_t len, size_t *at, size_t *end);

/* A set of index vectors as the product of one index set per dimension. */
struct hostset_axis {
    uint64_t *items; /* NULL while count is 1: then min is the only one */
    uint32_t count, cap;
    uint64_t min, max;
    uint64_t sum; /* of the hashes of the items: equal sets have equal sums */
    bool sorted;
};

struct hostset_vec {
    uint64_t volume;
    uint32_t pos; /* before sorting, to keep equals in order */
    struct hostset_axis axes[];
};

struct hostset_vecs {
    struct hostset_vec **items;
    size_t count, cap;
    unsigned dims;
};

/* Folds `count` index vectors of `dims` indexes each (2 or more), as ClusterShell's RangeSetND
 * does. `tuples` is used as working space. The axes come sorted. */
enum rc hostset_vecs_fold(struct hostset_vecs *v, uint64_t *tuples, size_t count, unsigned dims,
                          struct err *e);
void hostset_vecs_fini(struct hostset_vecs *v);
const uint64_t *hostset_axis_items(const struct hostset_axis *a);

#endif
