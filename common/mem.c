/* See mem.h. */
#include "common/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t live;
static atomic_long fail_countdown = -1;
static atomic_int fired;

static int should_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0)
        return 0;
    if (atomic_fetch_sub(&fail_countdown, 1) != 0)
        return 0;
    atomic_store(&fired, 1);
    return 1;
}

static void *count(void *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t size)
{
    return should_fail() ? NULL : count(malloc(size ? size : 1));
}

void *mem_calloc(size_t n, size_t size)
{
    return should_fail() ? NULL : count(calloc(n ? n : 1, size ? size : 1));
}

void *mem_realloc(void *p, size_t size)
{
    if (p == NULL)
        return mem_alloc(size);
    return should_fail() ? NULL : realloc(p, size ? size : 1);
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return mem_realloc(p, total);
}

char *mem_strdup(const char *s)
{
    return mem_memdup(s, strlen(s) + 1);
}

char *mem_strndup(const char *s, size_t n)
{
    n = strnlen(s, n);
    char *copy = mem_alloc(n + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

void *mem_memdup(const void *p, size_t n)
{
    void *copy = mem_alloc(n);
    if (copy != NULL && n > 0)
        memcpy(copy, p, n);
    return copy;
}

void mem_free(void *p)
{
    if (p == NULL)
        return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

int mem_grow(void *items_ptr, size_t *cap, size_t want, size_t size)
{
    if (want <= *cap)
        return 0;
    size_t next = *cap ? *cap : 8;
    while (next < want) {
        if (next > SIZE_MAX / 2)
            return -1;
        next *= 2;
    }
    void *items;
    memcpy(&items, items_ptr, sizeof items);
    items = mem_realloc_array(items, next, size);
    if (items == NULL)
        return -1;
    memcpy(items_ptr, &items, sizeof items);
    *cap = next;
    return 0;
}

size_t mem_live(void)
{
    return atomic_load(&live);
}

void mem_fail_after(long after)
{
    atomic_store(&fired, 0);
    atomic_store(&fail_countdown, after);
}

int mem_fail_fired(void)
{
    return atomic_load(&fired);
}
