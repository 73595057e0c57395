/* A hash map from byte strings to pointers that keeps the order of insertion.
 *
 * Keys are borrowed: they must live as long as their entry (an arena, or part of the value).
 * SipHash with a key of the process, so that names from outside cannot be chosen to collide.
 * At most 2^31 entries. One thread at a time.
 */
#ifndef COMMON_MAP_H
#define COMMON_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    const char *key; /* NULL: deleted; skip it when walking */
    size_t len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries; /* in insertion order, `used` of them, deleted ones included */
    size_t used;
    size_t live; /* entries not deleted */
    size_t cap;
    uint32_t *index; /* open addressing, entry number + 1; 0 free */
    size_t index_cap;
};

void map_init(struct map *m);
void map_fini(struct map *m); /* frees the table, not keys or values */

/* Sets key to value, replacing (the old key pointer and its place in the order stay). Returns 0, or
 * -1 when there is no memory (unchanged). *old, if not NULL, gets the value replaced, or NULL. */
int map_put(struct map *m, const char *key, size_t len, void *value, void **old);
int map_puts(struct map *m, const char *key, void *value); /* NUL-terminated key */

/* The value or NULL. */
void *map_get(const struct map *m, const char *key, size_t len);
void *map_gets(const struct map *m, const char *key);
bool map_has(const struct map *m, const char *key, size_t len);

/* Removes and returns the value; NULL when it was not there. */
void *map_del(struct map *m, const char *key, size_t len);

/* Walk: for (size_t i = 0; (e = map_next(m, &i)) != NULL;) — live entries in order. */
struct map_entry *map_next(const struct map *m, size_t *i);

uint64_t map_hash(const void *p, size_t n);

#endif
