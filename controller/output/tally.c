/* --tally RE: how many hosts show which value. The value of a host is what the expression finds
 * first in the beginning of its stdout.
 */
#include <string.h>

#include <sodium.h>

#include "common/num.h"
#include "common/str.h"
#include "controller/output/group.h"

void tally_note(struct output *o, uint32_t target)
{
    struct done_host *h = &o->hosts[target];
    const uint8_t *value;
    size_t n;
    if (!filter_has_tally(o->filter) || !output_ran(o, target))
        return;
    size_t got = store_read(o->store, target, false, 0, o->hold, LINES_HOLD);
    if (!filter_tally(o->filter, o->hold, got, &value, &n))
        return;
    h->tally = arena_strndup(&o->arena, (const char *)value, text_cut(value, n, TALLY_VALUE));
}

static void tally_key(const struct output *o, uint32_t target, uint8_t key[STORE_KEY])
{
    const char *value = o->hosts[target].tally;
    memset(key, 0, STORE_KEY);
    if (value != NULL)
        crypto_generichash(key, STORE_KEY, (const uint8_t *)value, strlen(value), NULL, 0);
}

static int by_size(const void *a, const void *b)
{
    return group_by_size(a, b);
}

static bool gather(struct output *o, struct groups *gs)
{
    uint8_t key[STORE_KEY];
    if (groups_init(gs, o->done_count, o->run.host_count) != RC_OK)
        return false;
    for (uint32_t i = 0; i < o->run.host_count; i++) {
        if (!output_ran(o, i))
            continue;
        tally_key(o, i, key);
        groups_add(gs, key, i);
    }
    groups_sort(gs, by_size);
    return true;
}

static void show_value(struct output *o, const struct group *g, struct text *t)
{
    const char *value = o->hosts[g->head].tally;
    if (value != NULL)
        text_escape(t, value, strlen(value), STR_KEEP_TAB);
    else
        text_puts(t, "(no match)");
}

void tally_render(struct output *o, struct text *t)
{
    struct groups gs;
    char count[NUM_TEXT];
    size_t width = 0;
    if (!gather(o, &gs)) {
        text_puts(&o->err, "warning: no memory for --tally\n");
        return;
    }
    for (size_t i = 0; i < gs.count; i++) {
        const char *value = o->hosts[gs.items[i].head].tally;
        size_t w = text_width(t, value != NULL ? value : "(no match)");
        width = w > width && w <= 40 ? w : width;
    }
    for (size_t i = 0; i < gs.count; i++) {
        const char *value = o->hosts[gs.items[i].head].tally;
        size_t w = text_width(t, value != NULL ? value : "(no match)");
        text_printf(t, "%7s  ", num_count_text(count, gs.items[i].count));
        show_value(o, &gs.items[i], t);
        text_spaces(t, 2 + (w < width ? width - w : 0));
        phrase_hosts(o, &gs, &gs.items[i], 1, o->opts.verbose > 0 ? 0 : 120, t);
        text_puts(t, "\n");
    }
    groups_fini(&gs);
}

void tally_json(struct output *o, struct text *t)
{
    struct groups gs;
    if (!gather(o, &gs)) {
        text_puts(t, "null");
        return;
    }
    text_puts(t, "[");
    for (size_t i = 0; i < gs.count; i++) {
        const struct group *g = &gs.items[i];
        text_puts(t, i ? ",{\"value\":" : "{\"value\":");
        text_json(t, o->hosts[g->head].tally);
        text_printf(t, ",\"count\":%u,\"hosts\":[", (unsigned)g->count);
        for (uint32_t h = g->head; h != GROUP_NONE; h = groups_next(&gs, h)) {
            if (h != g->head)
                text_puts(t, ",");
            text_json(t, output_name(o, h));
        }
        text_puts(t, "]}");
    }
    text_puts(t, "]");
    groups_fini(&gs);
}
