/* See yamlheap.h. Blocks are of 32 bytes times a power of two, each behind a head that tells which.
 */
#include "inventory/yamlheap.h"

#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "common/err.h"
#include "common/mem.h"

enum { HEAD = 16, LEAST = 32 };

/* libyaml declares these in a header that is not installed. */
#define REPLACES __attribute__((visibility("default")))
void *yaml_malloc(size_t size) REPLACES;
void *yaml_realloc(void *p, size_t size) REPLACES;
void yaml_free(void *p) REPLACES;
unsigned char *yaml_strdup(const unsigned char *text) REPLACES;

static _Thread_local struct yamlheap *current;

/* libsodium's own allocation cannot be made to fail in a test: the small one beside it can. */
static void *locked_alloc(size_t size)
{
    void *chance = mem_alloc(1);
    bool there = chance != NULL && sodium_init() >= 0;
    mem_free(chance);
    return there ? sodium_malloc(size) : NULL;
}

const struct arena_source yamlheap_locked = {.alloc = locked_alloc, .free = sodium_free};

void yamlheap_init(struct yamlheap *h)
{
    memset(h, 0, sizeof *h);
    arena_init_from(&h->arena, &yamlheap_locked);
}

void yamlheap_fini(struct yamlheap *h)
{
    arena_fini(&h->arena);
    memset(h->spare, 0, sizeof h->spare);
}

void yamlheap_enter(struct yamlheap *h)
{
    must(current == NULL);
    h->taken = h->live = 0;
    current = h;
}

void yamlheap_leave(struct yamlheap *h)
{
    must(current == h);
    current = NULL;
}

bool yamlheap_used(const struct yamlheap *h)
{
    return h->taken > 0;
}

static size_t room(unsigned class)
{
    return ((size_t)LEAST << class) - HEAD;
}

static unsigned class_of(const void *p)
{
    unsigned class;
    memcpy(&class, (const char *)p - HEAD, sizeof class);
    must(class < YAMLHEAP_CLASSES);
    return class;
}

static void *take(struct yamlheap *h, size_t size)
{
    unsigned class = 0;
    while (class < YAMLHEAP_CLASSES && room(class) < size)
        class ++;
    if (class == YAMLHEAP_CLASSES)
        return NULL;
    char *p = h->spare[class];
    if (p != NULL) {
        memcpy(&h->spare[class], p, sizeof h->spare[class]);
    } else {
        char *block = arena_alloc(&h->arena, room(class) + HEAD);
        if (block == NULL)
            return NULL;
        memcpy(block, &class, sizeof class);
        p = block + HEAD;
    }
    h->taken++;
    h->live++;
    return p;
}

static void give(struct yamlheap *h, void *p)
{
    unsigned class = class_of(p);
    sodium_memzero(p, room(class));
    memcpy(p, &h->spare[class], sizeof h->spare[class]);
    h->spare[class] = p;
    h->live--;
}

void *yaml_malloc(size_t size)
{
    return current != NULL ? take(current, size) : mem_alloc(size);
}

void *yaml_realloc(void *p, size_t size)
{
    if (current == NULL)
        return mem_realloc(p, size);
    if (p != NULL && room(class_of(p)) >= size)
        return p;
    void *more = take(current, size);
    if (more == NULL || p == NULL)
        return more;
    memcpy(more, p, room(class_of(p)));
    give(current, p);
    return more;
}

void yaml_free(void *p)
{
    if (current == NULL)
        mem_free(p);
    else if (p != NULL)
        give(current, p);
}

unsigned char *yaml_strdup(const unsigned char *text)
{
    if (text == NULL)
        return NULL;
    size_t n = strlen((const char *)text) + 1;
    unsigned char *copy = yaml_malloc(n);
    return copy != NULL ? memcpy(copy, text, n) : NULL;
}
