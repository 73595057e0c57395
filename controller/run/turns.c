/* See turns.h. The line is a list in arrays: a target is in it once at most. */
#include "controller/run/turns.h"

#include "common/mem.h"

enum place { NOWHERE, WAITS, HAS_TURN };

#define NOBODY UINT32_MAX

struct turns {
    uint32_t limit, taken;
    uint32_t first, last;
    struct turn {
        uint32_t prev, next;
        uint8_t place;
    } items[];
};

enum rc turns_new(struct turns **out, uint32_t count, struct err *e)
{
    struct turns *t = mem_calloc(1, sizeof *t + (size_t)count * sizeof t->items[0]);
    if (t == NULL)
        return err_nomem(e);
    t->limit = TURNS_AT_FIRST;
    t->first = t->last = NOBODY;
    *out = t;
    return RC_OK;
}

void turns_free(struct turns *t)
{
    mem_free(t);
}

static void append(struct turns *t, uint32_t target)
{
    t->items[target].prev = t->last;
    t->items[target].next = NOBODY;
    *(t->last != NOBODY ? &t->items[t->last].next : &t->first) = target;
    t->last = target;
}

static void take_out(struct turns *t, uint32_t target)
{
    struct turn *i = &t->items[target];
    *(i->prev != NOBODY ? &t->items[i->prev].next : &t->first) = i->next;
    *(i->next != NOBODY ? &t->items[i->next].prev : &t->last) = i->prev;
}

bool turns_take(struct turns *t, uint32_t target)
{
    struct turn *i = &t->items[target];
    if (i->place == NOWHERE && t->taken < t->limit && t->first == NOBODY) {
        i->place = HAS_TURN;
        t->taken++;
    } else if (i->place == NOWHERE) {
        i->place = WAITS;
        append(t, target);
    }
    return i->place == HAS_TURN;
}

void turns_give(struct turns *t, uint32_t target)
{
    struct turn *i = &t->items[target];
    if (i->place == HAS_TURN)
        t->taken--;
    else if (i->place == WAITS)
        take_out(t, target);
    i->place = NOWHERE;
}

bool turns_next(struct turns *t, uint32_t *target)
{
    if (t->first == NOBODY || t->taken >= t->limit)
        return false;
    *target = t->first;
    take_out(t, *target);
    t->items[*target].place = HAS_TURN;
    t->taken++;
    return true;
}

void turns_pace(struct turns *t, uint64_t us)
{
    uint64_t limit = us > 0 ? (uint64_t)TURNS_QUEUE_MS * 1000 / us : TURNS_AT_FIRST;
    t->limit = limit < TURNS_LEAST  ? TURNS_LEAST
               : limit > UINT32_MAX ? UINT32_MAX
                                    : (uint32_t)limit;
}

bool turns_are_awaited(const struct turns *t)
{
    return t->first != NOBODY;
}

uint32_t turns_limit(const struct turns *t)
{
    return t->limit;
}
