/* What each process had used when the sample before was taken. See process.h. */
#include "agent/core/process.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

/* 256 KiB: an agent is to stay small on the largest host too. */
enum { MOST = 8192 };

struct seen {
    uint64_t read, write;
    uint32_t pid, start, cpu; /* the low half of start and of the ticks is enough to tell */
    uint16_t look;            /* the last one that found it */
    bool has_io;
};

struct core_past {
    struct seen *list; /* by pid, as far as `sorted`; then what this look has added */
    size_t n, cap, sorted;
    uint64_t began_us;          /* this look; 0: none yet */
    uint64_t elapsed_us;        /* from the look before to this one; 0: there is none before */
    uint64_t newest, newest_of; /* the latest start of this look, and of the look before */
    uint16_t look;
};

struct core_past *core_past_new(void)
{
    return mem_calloc(1, sizeof(struct core_past));
}

void core_past_free(struct core_past *p)
{
    if (p == NULL)
        return;
    mem_free(p->list);
    mem_free(p);
}

uint64_t process_past_begin(struct core_past *past)
{
    if (past == NULL)
        return 0;
    uint64_t now = clock_us();
    past->elapsed_us = past->began_us != 0 && now > past->began_us ? now - past->began_us : 0;
    past->began_us = now;
    past->newest_of = past->newest;
    past->look = (uint16_t)(past->look + 1);
    past->sorted = past->n;
    return past->elapsed_us;
}

static struct seen *find(const struct core_past *past, uint64_t pid)
{
    size_t from = 0, to = past->sorted;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (past->list[middle].pid < pid)
            from = middle + 1;
        else
            to = middle;
    }
    return from < past->sorted && past->list[from].pid == pid ? &past->list[from] : NULL;
}

/* One that fell was set back. */
static uint64_t grown(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

static void take_from(const struct seen *was, const struct process_use *now, struct process *p)
{
    uint32_t ticks = (uint32_t)now->cpu - was->cpu;
    p->has_recent = true;
    p->recent.cpu = ticks <= INT32_MAX ? ticks : 0;
    p->recent.has_io = was->has_io && now->has_io;
    p->recent.read = grown(was->read, now->read);
    p->recent.write = grown(was->write, now->write);
}

static struct seen *add(struct sample *s, struct core_past *past)
{
    if (past->n == MOST)
        return NULL;
    if (mem_grow(&past->list, &past->cap, past->n + 1, sizeof *past->list) != 0) {
        s->c->nomem = true;
        return NULL;
    }
    return &past->list[past->n++];
}

void process_past_look(struct sample *s, const struct process_use *use, struct process *p)
{
    struct core_past *past = s->r->past;
    if (past == NULL)
        return;
    struct seen *x = find(past, p->pid);
    bool same = x != NULL && x->start == (uint32_t)p->start;
    if (past->elapsed_us != 0 && same) {
        take_from(x, use, p);
    } else if (past->elapsed_us != 0 && p->start > past->newest_of) {
        p->has_recent = true; /* was not there: all it used is since */
        p->recent = *use;
    }
    if (x == NULL)
        x = add(s, past);
    if (x != NULL)
        *x = (struct seen){use->read,          use->write, (uint32_t)p->pid, (uint32_t)p->start,
                           (uint32_t)use->cpu, past->look, use->has_io};
    if (p->start > past->newest)
        past->newest = p->start;
}

uint64_t process_past_share(const struct sample *s, const struct process *p, uint64_t total)
{
    const struct core_past *past = s->r->past;
    if (past == NULL || past->elapsed_us == 0)
        return total;
    uint64_t ticks = past->elapsed_us * s->c->hz / 1000000 + 1;
    uint64_t age = past->newest > p->start ? past->newest - p->start : 0;
    return age > ticks ? total / (age / ticks) : total;
}

/* /proc lists them in order, so that all but the new ones are sorted already. */
static void sort(struct core_past *past)
{
    for (size_t i = 1; i < past->n; i++) {
        struct seen x = past->list[i];
        size_t to = i;
        while (to > 0 && past->list[to - 1].pid > x.pid)
            to--;
        memmove(&past->list[to + 1], &past->list[to], (i - to) * sizeof x);
        past->list[to] = x;
    }
}

void process_past_end(struct core_past *past, bool whole)
{
    size_t kept = 0;
    if (past == NULL)
        return;
    for (size_t i = 0; whole && i < past->n; i++)
        if (past->list[i].look == past->look)
            past->list[kept++] = past->list[i];
    past->n = kept;
    if (!whole)
        past->began_us = 0;
    sort(past);
}
