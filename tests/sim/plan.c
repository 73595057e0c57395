/* See plan.h. */
#include "tests/sim/plan.h"

#include <math.h>
#include <string.h>

#include "common/mem.h"

static const struct {
    const char *name;
    struct expectation expects;
} rows[FAULT_COUNT] = {
#define FAULT_ROW(code, n, status, phase, problem) [code] = {n, {status, phase, problem}},
    FAULT_TABLE(FAULT_ROW)
#undef FAULT_ROW
};

const char *fault_name(enum fault f)
{
    return rows[f].name;
}

int fault_by_name(const char *name)
{
    for (int i = 1; i < FAULT_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return i;
    return -1;
}

struct expectation fault_expects(enum fault f)
{
    return rows[f].expects;
}

uint64_t plan_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t count_of(const struct share *s, uint32_t hosts)
{
    if (!s->given)
        return 0;
    if (!s->is_percent)
        return s->n;
    uint64_t n = (uint64_t)floor(s->percent * hosts / 100 + 0.5);
    return n == 0 && s->percent > 0 ? 1 : n;
}

/* Faults first, in the order of the table, then a shuffle. */
static void shuffle(uint8_t *faults, uint32_t hosts, uint64_t seed)
{
    uint64_t state = seed;
    for (uint32_t i = hosts - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(plan_random(&state) % (i + 1u));
        uint8_t other = faults[j];
        faults[j] = faults[i];
        faults[i] = other;
    }
}

enum rc plan_init(struct plan *p, uint32_t first, uint32_t hosts,
                  const struct share shares[FAULT_COUNT], uint64_t seed, struct err *e)
{
    *p = (struct plan){.first = first, .hosts = hosts};
    if (first >> 24 != 127 || (uint64_t)first + hosts - 1 > 0x7ffffffeu)
        return err_set(e, RC_USAGE,
                       "%u hosts from there pass 127.255.255.254: choose a lower --base or fewer "
                       "--hosts",
                       hosts);
    uint64_t total = 0;
    for (int f = 1; f < FAULT_COUNT; f++)
        total += count_of(&shares[f], hosts);
    if (total > hosts)
        return err_set(e, RC_USAGE, "the faults want %llu hosts, --hosts has %u",
                       (unsigned long long)total, hosts);
    if ((p->faults = mem_calloc(hosts, 1)) == NULL)
        return err_nomem(e);
    uint32_t at = 0;
    for (int f = 1; f < FAULT_COUNT; f++)
        for (uint64_t n = count_of(&shares[f], hosts); n > 0; n--)
            p->faults[at++] = (uint8_t)f;
    shuffle(p->faults, hosts, seed);
    return RC_OK;
}

void plan_fini(struct plan *p)
{
    mem_free(p->faults);
    p->faults = NULL;
}

int64_t plan_host_at(const struct plan *p, uint32_t address)
{
    return address - p->first < p->hosts ? (int64_t)(address - p->first) : -1;
}
