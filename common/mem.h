/* Allocation, with a count of what is live and a hook that makes the n-th one fail.
 *
 * Everything of ours is allocated here, so that a test can ask "was all of it freed" and
 * "what happens when this one fails". Libraries allocate as they like. Any thread.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

/* Each returns NULL when there is no memory; a size of 0 gives a pointer that may be freed. */
void *mem_alloc(size_t size);
void *mem_calloc(size_t count, size_t size); /* zeroed; overflow of count*size gives NULL */
/* On failure returns NULL and p stays valid and the caller's. p may be NULL. */
void *mem_realloc(void *p, size_t size);
void *mem_realloc_array(void *p, size_t count, size_t size);
char *mem_strdup(const char *s);            /* s must not be NULL */
char *mem_strndup(const char *s, size_t n); /* exactly n bytes copied (stops at NUL), terminated */
void *mem_memdup(const void *p, size_t n);
void mem_free(void *p); /* NULL is fine */

/* Grows the array *items (element size `size`, *cap elements allocated) so that `want` elements
 * fit; doubling, from 8. Returns 0, or -1 with everything unchanged. */
int mem_grow(void *items_ptr, size_t *cap, size_t want, size_t size);

/* Blocks handed out and not yet freed. */
size_t mem_live(void);

/* For tests: the next `after` allocations succeed, then one fails, then all succeed again.
 * Negative turns it off. mem_fail_fired() says whether it happened since it was set. */
void mem_fail_after(long after);
int mem_fail_fired(void);

#endif
