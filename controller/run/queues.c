/* See queues.h. */
#include "controller/run/queues.h"

#include <stdbool.h>

#include "common/mem.h"

enum rc due_heap_init(struct due_heap *h, uint32_t room)
{
    h->count = 0;
    h->items = mem_calloc(room, sizeof *h->items);
    return h->items != NULL ? RC_OK : RC_NOMEM;
}

void due_heap_fini(struct due_heap *h)
{
    mem_free(h->items);
}

static bool before(const struct due *a, const struct due *b)
{
    return a->at != b->at ? a->at < b->at : a->target < b->target;
}

void due_heap_push(struct due_heap *h, uint64_t at, uint32_t target)
{
    uint32_t i = h->count++;
    struct due d = {at, target};
    for (; i > 0 && before(&d, &h->items[(i - 1) / 2]); i = (i - 1) / 2)
        h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = d;
}

uint32_t due_heap_pop(struct due_heap *h)
{
    must(h->count > 0);
    uint32_t top = h->items[0].target;
    struct due last = h->items[--h->count];
    uint32_t i = 0, n = h->count;
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&h->items[child + 1], &h->items[child]))
            child++;
        if (!before(&h->items[child], &last))
            break;
        h->items[i] = h->items[child];
    }
    if (n > 0)
        h->items[i] = last;
    return top;
}

enum rc ring_init(struct ring *r, uint32_t room)
{
    *r = (struct ring){.room = room, .items = mem_calloc(room, sizeof *r->items)};
    return r->items != NULL ? RC_OK : RC_NOMEM;
}

void ring_fini(struct ring *r)
{
    mem_free(r->items);
}

static uint32_t place(const struct ring *r, uint32_t i)
{
    return (uint32_t)(((uint64_t)r->first + i) % r->room);
}

void ring_push(struct ring *r, uint32_t target)
{
    must(r->count < r->room);
    r->items[place(r, r->count++)] = target;
}

uint32_t ring_pop(struct ring *r)
{
    must(r->count > 0);
    uint32_t target = r->items[r->first];
    r->first = place(r, 1);
    r->count--;
    return target;
}

void ring_remove(struct ring *r, uint32_t target)
{
    uint32_t i = 0;
    while (i < r->count && r->items[place(r, i)] != target)
        i++;
    must(i < r->count);
    for (r->count--; i < r->count; i++)
        r->items[place(r, i)] = r->items[place(r, i + 1)];
}
