/* -o group: hosts that ended alike and printed the same are one block, the largest first; those
 * that failed come after those that did not. Where most hosts print one line each and no two the
 * same, they are a list.
 */
#include <string.h>

#include "common/num.h"
#include "common/str.h"
#include "controller/output/group.h"
#include "controller/output/lines.h"

enum { HEAD_MOST = 1000, NAME_COLUMN_MOST = 40 };

/* group.note */
enum { NOTE_TEXT = 1, NOTE_SINGLE = 2, NOTE_FAILED = 4 };

static int by_place(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    int failed = (int)(x->note & NOTE_FAILED) - (int)(y->note & NOTE_FAILED);
    return failed != 0 ? failed : group_by_size(x, y);
}

static bool has_line(struct output *o, uint32_t target, bool is_stderr)
{
    struct lines l;
    const uint8_t *p;
    size_t n;
    lines_init(&l, o, target, is_stderr, true);
    return lines_next(&l, &p, &n);
}

/* One line on stdout, nothing on stderr, nothing cut. */
static bool is_single(struct output *o, uint32_t target)
{
    struct lines l;
    const uint8_t *p;
    size_t n, count = 0;
    struct store_size size = store_size(o->store, target, true);
    if (size.received > 0)
        return false;
    lines_init(&l, o, target, false, true);
    while (count < 2 && lines_next(&l, &p, &n))
        count++;
    return count == 1 && lines_missing(&l) == 0;
}

static uint32_t look_at(struct output *o, uint32_t target)
{
    uint32_t note = o->hosts[target].status == STATUS_OK ? 0 : NOTE_FAILED;
    bool cut = store_size(o->store, target, false).received > 0 ||
               store_size(o->store, target, true).received > 0;
    if (cut && (has_line(o, target, false) || has_line(o, target, true)))
        note |= NOTE_TEXT;
    if (note == NOTE_TEXT && is_single(o, target))
        note |= NOTE_SINGLE;
    return note;
}

static void not_kept(struct output *o, const struct lines *l, struct text *t)
{
    char size[NUM_TEXT];
    uint64_t missing = lines_missing(l);
    if (missing == 0)
        return;
    struct store_size s = store_size(o->store, l->target, l->is_stderr);
    text_printf(t, "  \xe2\x80\xa6 %s more not kept (%s)\n", phrase_size(size, missing),
                s.skipped    ? "by the host, or in the record"
                : s.run_full ? "the run's memory is full"
                             : "--max-output");
}

static void block_stream(struct output *o, uint32_t target, bool is_stderr)
{
    struct text *t = &o->out;
    struct lines l;
    const uint8_t *p;
    size_t n;
    lines_init(&l, o, target, is_stderr, true);
    while (lines_next(&l, &p, &n)) {
        if (is_stderr)
            text_style(t, TEXT_DIM);
        text_puts(t, is_stderr ? "! " : "  ");
        text_escape(t, p, n, STR_KEEP_TAB);
        if (is_stderr)
            text_style(t, TEXT_PLAIN);
        text_puts(t, "\n");
    }
    not_kept(o, &l, t);
}

static void block_head(struct output *o, const struct groups *gs, const struct group *g)
{
    struct text *t = &o->out;
    char cause[128], count[NUM_TEXT];
    bool failed = o->hosts[g->head].status != STATUS_OK;
    text_style(t, failed ? TEXT_RED : TEXT_BOLD);
    phrase_hosts(o, gs, g, 1, o->opts.verbose > 0 ? 0 : HEAD_MOST, t);
    text_printf(t, " (%s)", num_count_text(count, g->count));
    if (failed) {
        phrase_cause(o, g->head, cause, sizeof cause);
        text_puts(t, " ");
        text_escape_str(t, cause);
    }
    text_style(t, TEXT_PLAIN);
    text_puts(t, "\n");
}

static void block(struct output *o, const struct groups *gs, const struct group *g)
{
    block_head(o, gs, g);
    if (!(g->note & NOTE_TEXT)) {
        text_puts(&o->out, "  (no output)\n");
        return;
    }
    block_stream(o, g->head, false);
    block_stream(o, g->head, true);
}

/* A host's name as it will be printed, or 0 when it is several (folded, and not aligned). */
static size_t name_width(struct output *o, const struct group *g)
{
    return g->count > 1 ? 0 : text_width(&o->out, output_name(o, g->head));
}

static void list_line(struct output *o, const struct groups *gs, const struct group *g, size_t pad)
{
    struct lines l;
    const uint8_t *p = NULL;
    size_t n = 0, width = name_width(o, g);
    text_style(&o->out, TEXT_BOLD);
    phrase_hosts(o, gs, g, 1, HEAD_MOST, &o->out);
    text_style(&o->out, TEXT_PLAIN);
    text_spaces(&o->out, 2 + (width > 0 && width < pad ? pad - width : 0));
    lines_init(&l, o, g->head, false, true);
    if (lines_next(&l, &p, &n))
        text_escape(&o->out, p, n, STR_KEEP_TAB);
    text_puts(&o->out, "\n");
}

static int by_host(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    int single = (int)(y->note & NOTE_SINGLE) - (int)(x->note & NOTE_SINGLE);
    return single != 0 ? single : x->head < y->head ? -1 : x->head > y->head;
}

/* The groups are sorted: the single ones first, then as by_place would have them but for size. */
static void list(struct output *o, struct groups *gs, size_t singles)
{
    size_t pad = 0, shown = singles;
    char count[NUM_TEXT];
    groups_sort(gs, by_host);
    if (o->opts.verbose == 0 && shown > LIST_LINES)
        shown = LIST_LINES;
    for (size_t i = 0; i < shown; i++) {
        size_t width = name_width(o, &gs->items[i]);
        if (width > pad && width <= NAME_COLUMN_MOST)
            pad = width;
    }
    for (size_t i = 0; i < shown; i++)
        list_line(o, gs, &gs->items[i], pad);
    if (shown < singles)
        text_printf(&o->out,
                    "\xe2\x80\xa6 %s more lines (-v or -o stream shows all, --tally counts them)\n",
                    num_count_text(count, singles - shown));
}

struct tallies {
    size_t ok_text, ok_hosts, singles, single_hosts;
};

static struct tallies count_notes(const struct groups *gs)
{
    struct tallies c = {0};
    for (size_t i = 0; i < gs->count; i++) {
        const struct group *g = &gs->items[i];
        if ((g->note & (NOTE_TEXT | NOTE_FAILED)) != NOTE_TEXT)
            continue;
        c.ok_text++;
        c.ok_hosts += g->count;
        if (g->note & NOTE_SINGLE) {
            c.singles++;
            c.single_hosts += g->count;
        }
    }
    return c;
}

static void render_all(struct output *o, struct groups *gs)
{
    struct tallies c = count_notes(gs);
    size_t first = 0;
    bool any_text = c.ok_text > 0;
    groups_sort(gs, by_place);
    if (c.singles >= 2 && c.singles * 2 > c.single_hosts && c.single_hosts * 2 > c.ok_hosts) {
        list(o, gs, c.singles);
        first = c.singles;
        struct groups rest = *gs;
        rest.items += first;
        rest.count -= first;
        groups_sort(&rest, by_place);
    }
    for (size_t i = first; i < gs->count; i++) {
        const struct group *g = &gs->items[i];
        bool silent_ok = !(g->note & (NOTE_TEXT | NOTE_FAILED)) && any_text && !o->opts.quiet;
        if ((g->note & NOTE_TEXT) || silent_ok)
            block(o, gs, g);
    }
}

/* Ran, or at least printed something. */
static bool belongs(const struct output *o, uint32_t target)
{
    const struct done_host *h = &o->hosts[target];
    return h->done &&
           (h->status == STATUS_OK || h->sent || store_size(o->store, target, false).received > 0 ||
            store_size(o->store, target, true).received > 0);
}

void group_render(struct output *o)
{
    struct groups gs;
    bool grouped = groups_init(&gs, o->done_count, o->run.host_count) == RC_OK;
    for (uint32_t i = 0; i < o->run.host_count; i++) {
        if (!belongs(o, i))
            continue;
        if (grouped) {
            uint8_t key[STORE_KEY];
            group_key(o, i, key);
            struct group *g = groups_add(&gs, key, i);
            if (g->count == 1)
                g->note = look_at(o, i);
        } else { /* no memory: each host on its own rather than nothing */
            struct group one = {.head = i, .tail = i, .count = 1, .note = look_at(o, i)};
            if (one.note & NOTE_TEXT)
                block(o, NULL, &one);
        }
    }
    if (!grouped)
        return;
    render_all(o, &gs);
    groups_fini(&gs);
}
