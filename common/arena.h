/* A bump allocator for many small things that die together (an inventory, a parsed document).
 * Not for secrets, unless its memory comes from a source that wipes it. One thread at a time.
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Where an arena's memory comes from. alloc gives what is aligned for any type when the size is a
 * multiple of 16, or NULL. */
struct arena_source {
    void *(*alloc)(size_t size);
    void (*free)(void *p);
};

struct arena {
    struct arena_chunk *head;          /* newest chunk */
    size_t used;                       /* bytes handed out, for caps */
    const struct arena_source *source; /* NULL: mem_alloc */
};

void arena_init(struct arena *a);
void arena_init_from(struct arena *a, const struct arena_source *source); /* borrowed */
void arena_fini(struct arena *a); /* frees all; the arena is then as after init */

/* Aligned for any type; NULL when there is no memory. The memory is not zeroed. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t count, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t n); /* n bytes, then NUL */
char *arena_strdup(struct arena *a, const char *s);

#endif
