/* See lines.h. */
#include "controller/output/lines.h"

#include <string.h>

void lines_init(struct lines *l, struct output *o, uint32_t target, bool is_stderr, bool filtered)
{
    *l = (struct lines){.o = o, .target = target, .is_stderr = is_stderr, .filtered = filtered};
}

static void fill(struct lines *l)
{
    uint8_t *hold = l->o->hold;
    memmove(hold, hold + l->begin, l->end - l->begin);
    l->end -= l->begin;
    l->begin = 0;
    size_t n = store_read(l->o->store, l->target, l->is_stderr, l->offset, hold + l->end,
                          LINES_HOLD - l->end);
    l->offset += n;
    l->end += n;
    l->eof = n == 0;
}

static bool raw_line(struct lines *l, const uint8_t **p, size_t *n)
{
    const uint8_t *hold = l->o->hold;
    size_t looked = 0;
    for (;;) {
        const uint8_t *from = hold + l->begin;
        size_t have = l->end - l->begin;
        const uint8_t *nl = have > looked ? memchr(from + looked, '\n', have - looked) : NULL;
        looked = have;
        if (nl == NULL && have < LINES_HOLD && !l->eof) {
            fill(l);
            continue;
        }
        if (have == 0)
            return false;
        *p = from;
        *n = nl != NULL ? (size_t)(nl - from) : have;
        l->begin += *n + (nl != NULL);
        if (nl != NULL && *n > 0 && from[*n - 1] == '\r')
            (*n)--;
        return true;
    }
}

bool lines_next(struct lines *l, const uint8_t **p, size_t *n)
{
    while (raw_line(l, p, n))
        if (!l->filtered || filter_line(l->o->filter, *p, *n, p, n))
            return true;
    return false;
}

uint64_t lines_missing(const struct lines *l)
{
    uint64_t received = store_size(l->o->store, l->target, l->is_stderr).received;
    return received > l->offset ? received - l->offset : 0;
}
