/* See group.h. */
#include "controller/output/group.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/mem.h"
#include "controller/output/lines.h"

enum rc groups_init(struct groups *gs, uint32_t hosts, uint32_t targets)
{
    size_t slots = 16;
    while (slots < (size_t)hosts * 2)
        slots *= 2;
    *gs = (struct groups){.slot_mask = slots - 1};
    gs->items = mem_calloc(hosts, sizeof *gs->items);
    gs->slots = mem_calloc(slots, sizeof *gs->slots);
    gs->next = mem_alloc((size_t)targets * sizeof *gs->next);
    if (gs->items != NULL && gs->slots != NULL && gs->next != NULL)
        return RC_OK;
    groups_fini(gs);
    return RC_NOMEM;
}

void groups_fini(struct groups *gs)
{
    mem_free(gs->items);
    mem_free(gs->slots);
    mem_free(gs->next);
    *gs = (struct groups){0};
}

static uint32_t *slot_of(const struct groups *gs, const uint8_t key[STORE_KEY])
{
    uint64_t hash;
    memcpy(&hash, key, sizeof hash);
    size_t i = (size_t)hash & gs->slot_mask;
    while (gs->slots[i] != 0 && memcmp(gs->items[gs->slots[i] - 1].key, key, STORE_KEY) != 0)
        i = (i + 1) & gs->slot_mask;
    return &gs->slots[i];
}

struct group *groups_add(struct groups *gs, const uint8_t key[STORE_KEY], uint32_t target)
{
    uint32_t *slot = slot_of(gs, key);
    gs->next[target] = GROUP_NONE;
    if (*slot == 0) {
        struct group *g = &gs->items[gs->count++];
        memcpy(g->key, key, STORE_KEY);
        g->head = g->tail = target;
        g->count = 1;
        *slot = (uint32_t)gs->count;
        return g;
    }
    struct group *g = &gs->items[*slot - 1];
    gs->next[g->tail] = target;
    g->tail = target;
    g->count++;
    return g;
}

struct group *groups_find(const struct groups *gs, const uint8_t key[STORE_KEY])
{
    uint32_t slot = *slot_of(gs, key);
    return slot == 0 ? NULL : &gs->items[slot - 1];
}

uint32_t groups_next(const struct groups *gs, uint32_t target)
{
    return gs == NULL ? GROUP_NONE : gs->next[target];
}

void groups_sort(struct groups *gs, int (*compare)(const void *, const void *))
{
    if (gs->count > 1)
        qsort(gs->items, gs->count, sizeof *gs->items, compare);
}

static void hash_stream(struct output *o, uint32_t target, bool is_stderr,
                        crypto_generichash_state *state)
{
    static const uint8_t ends[2] = {'\n', '\0'};
    struct lines l;
    const uint8_t *p;
    size_t n;
    lines_init(&l, o, target, is_stderr, true);
    while (lines_next(&l, &p, &n)) {
        crypto_generichash_update(state, p, n);
        crypto_generichash_update(state, &ends[0], 1);
    }
    uint8_t cut = lines_missing(&l) > 0;
    crypto_generichash_update(state, &ends[1], 1);
    crypto_generichash_update(state, &cut, 1);
}

/* The key of the text as it is shown; one reading for all hosts that share a copy. */
static const uint8_t *text_key(struct output *o, uint32_t target)
{
    if (!filter_changes_text(o->filter))
        return store_key(o->store, target);
    struct done_host *h = &o->hosts[store_owner(o->store, target)];
    if (!h->keyed) {
        crypto_generichash_state state;
        crypto_generichash_init(&state, NULL, 0, STORE_KEY);
        hash_stream(o, target, false, &state);
        hash_stream(o, target, true, &state);
        crypto_generichash_final(&state, h->text_key, STORE_KEY);
        h->keyed = true;
    }
    return h->text_key;
}

void group_key(struct output *o, uint32_t target, uint8_t key[STORE_KEY])
{
    const struct done_host *h = &o->hosts[target];
    struct {
        uint8_t text[STORE_KEY];
        int32_t exit_code;
        uint8_t status, problem;
        char signal[sizeof h->signal];
    } all;
    memset(&all, 0, sizeof all);
    memcpy(all.text, text_key(o, target), STORE_KEY);
    all.exit_code = h->exit_code;
    all.status = h->status;
    all.problem = h->problem;
    strncpy(all.signal, h->signal, sizeof all.signal - 1);
    crypto_generichash(key, STORE_KEY, (const uint8_t *)&all, sizeof all, NULL, 0);
}

int group_by_size(const struct group *a, const struct group *b)
{
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->head < b->head ? -1 : a->head > b->head;
}
