/* See arena.h. */
#include "common/arena.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"

struct arena_chunk {
    struct arena_chunk *next;
    size_t cap;
    size_t len;
    max_align_t data[];
};

enum { CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

void arena_init(struct arena *a)
{
    arena_init_from(a, NULL);
}

void arena_init_from(struct arena *a, const struct arena_source *source)
{
    a->head = NULL;
    a->used = 0;
    a->source = source;
}

void arena_fini(struct arena *a)
{
    for (struct arena_chunk *c = a->head, *next; c != NULL; c = next) {
        next = c->next;
        if (a->source != NULL)
            a->source->free(c);
        else
            mem_free(c);
    }
    arena_init_from(a, a->source);
}

/* Chunks double up to a megabyte: a small document costs a page, a large one few calls. */
static struct arena_chunk *add_chunk(struct arena *a, size_t size)
{
    size_t cap = a->head ? a->head->cap * 2 : CHUNK_MIN;
    if (cap > CHUNK_MAX)
        cap = CHUNK_MAX;
    if (cap < size)
        cap = size;
    if (cap > SIZE_MAX - sizeof(struct arena_chunk))
        return NULL;
    struct arena_chunk *c =
        a->source != NULL ? a->source->alloc(sizeof *c + cap) : mem_alloc(sizeof *c + cap);
    if (c == NULL)
        return NULL;
    c->cap = cap;
    c->len = 0;
    c->next = a->head;
    a->head = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX - align)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
    struct arena_chunk *c = a->head;
    if (c == NULL || c->cap - c->len < size)
        c = add_chunk(a, size);
    if (c == NULL)
        return NULL;
    void *p = (char *)c->data + c->len;
    c->len += size;
    a->used += size;
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    void *p = arena_alloc(a, total);
    return p ? memset(p, 0, total) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (p == NULL)
        return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}
