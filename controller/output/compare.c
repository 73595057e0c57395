/* --compare: what the groups of hosts print, as differences from the largest group that ended well
 * (the plurality). Lines are compared by a longest common subsequence whose table is bounded; what
 * is larger is only said to differ.
 */
#include <string.h>

#include <sodium.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/output/group.h"
#include "controller/output/lines.h"

enum {
    LINES_MOST = 20000,
    BYTES_MOST = 4 * 1024 * 1024,
    CELLS_MOST = 2 * 1024 * 1024, /* of the table, 2 bytes each */
    CONTEXT = 3,
};

struct side {
    struct arena arena;
    struct side_line {
        const uint8_t *p;
        size_t n;
        bool is_stderr;
    } * lines;
    size_t count, cap;
    bool large; /* more than is compared */
};

static bool load_stream(struct output *o, struct side *s, uint32_t target, bool is_stderr)
{
    struct lines l;
    const uint8_t *p;
    size_t n;
    lines_init(&l, o, target, is_stderr, true);
    while (lines_next(&l, &p, &n)) {
        if (s->count == LINES_MOST || s->arena.used + n > BYTES_MOST) {
            s->large = true;
            return true;
        }
        const char *copy = n > 0 ? arena_alloc(&s->arena, n) : "";
        if (copy == NULL || mem_grow(&s->lines, &s->cap, s->count + 1, sizeof *s->lines) < 0)
            return false;
        if (n > 0)
            memcpy((char *)copy, p, n);
        s->lines[s->count++] =
            (struct side_line){.p = (const uint8_t *)copy, .n = n, .is_stderr = is_stderr};
    }
    s->large = s->large || lines_missing(&l) > 0;
    return true;
}

/* false: no memory. side_fini in both cases. */
static bool side_load(struct output *o, struct side *s, uint32_t target)
{
    *s = (struct side){0};
    arena_init(&s->arena);
    return load_stream(o, s, target, false) && load_stream(o, s, target, true);
}

static void side_fini(struct side *s)
{
    arena_fini(&s->arena);
    mem_free(s->lines);
}

static bool same(const struct side_line *a, const struct side_line *b)
{
    return a->n == b->n && a->is_stderr == b->is_stderr && (a->n == 0 || !memcmp(a->p, b->p, a->n));
}

/* What becomes of the lines, in order: ' ' in both, '-' only in a, '+' only in b. */
struct script {
    char *ops;
    size_t count;
};

/* Fills the middle part by longest common subsequence: n lines of a from `at` on, m of b. */
static bool middle(struct script *sc, const struct side *a, const struct side *b, size_t at,
                   size_t n, size_t m)
{
    if ((n + 1) > CELLS_MOST / (m + 1))
        return false;
    size_t width = m + 1;
    uint16_t *best = mem_calloc((n + 1) * width, sizeof *best);
    if (best == NULL)
        return false;
    for (size_t i = n; i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            uint16_t down = best[(i + 1) * width + j], right = best[i * width + j + 1];
            if (same(&a->lines[at + i], &b->lines[at + j]))
                best[i * width + j] = (uint16_t)(best[(i + 1) * width + j + 1] + 1);
            else
                best[i * width + j] = down >= right ? down : right;
        }
    size_t i = 0, j = 0;
    while (i < n || j < m) {
        if (i < n && j < m && same(&a->lines[at + i], &b->lines[at + j])) {
            sc->ops[sc->count++] = ' ';
            i++, j++;
        } else if (j == m || (i < n && best[(i + 1) * width + j] >= best[i * width + j + 1])) {
            sc->ops[sc->count++] = '-';
            i++;
        } else {
            sc->ops[sc->count++] = '+';
            j++;
        }
    }
    mem_free(best);
    return true;
}

static bool make_script(struct script *sc, const struct side *a, const struct side *b)
{
    size_t head = 0, tail = 0, least = a->count < b->count ? a->count : b->count;
    while (head < least && same(&a->lines[head], &b->lines[head]))
        head++;
    while (tail < least - head &&
           same(&a->lines[a->count - 1 - tail], &b->lines[b->count - 1 - tail]))
        tail++;
    *sc = (struct script){.ops = mem_alloc(a->count + b->count + 1)};
    if (sc->ops == NULL)
        return false;
    memset(sc->ops, ' ', head);
    sc->count = head;
    if (!middle(sc, a, b, head, a->count - head - tail, b->count - head - tail)) {
        mem_free(sc->ops);
        return false;
    }
    memset(sc->ops + sc->count, ' ', tail);
    sc->count += tail;
    return true;
}

static void put_line(struct output *o, char op, const struct side_line *l)
{
    struct text *t = &o->out;
    if (op != ' ')
        text_style(t, op == '-' ? TEXT_RED : TEXT_GREEN);
    text_put(t, &op, 1);
    text_puts(t, l->is_stderr ? "! " : "");
    text_escape(t, l->p, l->n, STR_KEEP_TAB);
    if (op != ' ')
        text_style(t, TEXT_PLAIN);
    text_puts(t, "\n");
}

static void put_range(struct text *t, char sign, size_t first, size_t n)
{
    /* As diff -u: an empty range names the line before it, a single line has no length. */
    text_printf(t, " %c%zu", sign, n == 0 ? first : first + 1);
    if (n != 1)
        text_printf(t, ",%zu", n);
}

/* One hunk from op `from` up to `to`; i and j are the lines reached on each side. */
static void put_hunk(struct output *o, const struct script *sc, const struct side *a,
                     const struct side *b, size_t from, size_t to, size_t i, size_t j)
{
    size_t n = 0, m = 0;
    for (size_t k = from; k < to; k++) {
        n += sc->ops[k] != '+';
        m += sc->ops[k] != '-';
    }
    text_puts(&o->out, "@@");
    put_range(&o->out, '-', i, n);
    put_range(&o->out, '+', j, m);
    text_puts(&o->out, " @@\n");
    for (size_t k = from; k < to; k++) {
        put_line(o, sc->ops[k], sc->ops[k] == '+' ? &b->lines[j] : &a->lines[i]);
        i += sc->ops[k] != '+';
        j += sc->ops[k] != '-';
    }
}

/* The op after the last that belongs to the hunk which the change at `from` begins. */
static size_t hunk_end(const struct script *sc, size_t from)
{
    size_t end = from, quiet = 0;
    for (size_t k = from; k < sc->count && quiet <= 2 * CONTEXT; k++) {
        quiet = sc->ops[k] == ' ' ? quiet + 1 : 0;
        if (quiet == 0)
            end = k + 1;
    }
    return end + CONTEXT < sc->count ? end + CONTEXT : sc->count;
}

static void put_script(struct output *o, const struct script *sc, const struct side *a,
                       const struct side *b)
{
    size_t i = 0, j = 0, k = 0;
    while (k < sc->count) {
        size_t change = k;
        while (change < sc->count && sc->ops[change] == ' ')
            change++;
        if (change == sc->count)
            return;
        size_t start = change - k > CONTEXT ? change - CONTEXT : k;
        i += start - k;
        j += start - k;
        size_t end = hunk_end(sc, change);
        put_hunk(o, sc, a, b, start, end, i, j);
        for (k = start; k < end; k++) {
            i += sc->ops[k] != '+';
            j += sc->ops[k] != '-';
        }
    }
}

static void head(struct output *o, const struct groups *gs, const struct group *g, const char *sign)
{
    struct text *t = &o->out;
    char cause[128], count[NUM_TEXT];
    text_style(t, TEXT_BOLD);
    text_puts(t, sign);
    phrase_hosts(o, gs, g, 1, o->opts.verbose > 0 ? 0 : 1000, t);
    text_printf(t, " (%s)", num_count_text(count, g->count));
    if (o->hosts[g->head].status != STATUS_OK) {
        phrase_cause(o, g->head, cause, sizeof cause);
        text_puts(t, " ");
        text_escape_str(t, cause);
    }
    text_style(t, TEXT_PLAIN);
    text_puts(t, "\n");
}

static void against(struct output *o, const struct groups *gs, const struct group *ref,
                    const struct side *a, const struct group *g)
{
    struct side b;
    struct script sc;
    bool loaded = side_load(o, &b, g->head);
    head(o, gs, ref, "--- ");
    head(o, gs, g, "+++ ");
    if (!loaded || a->large || b.large || !make_script(&sc, a, &b)) {
        text_puts(&o->out, "differs (too large to compare line by line)\n");
    } else {
        put_script(o, &sc, a, &b);
        mem_free(sc.ops);
    }
    side_fini(&b);
}

static int by_place(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return x->note != y->note ? (x->note < y->note ? -1 : 1) : group_by_size(x, y);
}

static void compare_groups(struct output *o, const struct groups *gs)
{
    const struct group *ref = &gs->items[0];
    struct side a;
    char count[NUM_TEXT];
    if (gs->count == 1) {
        text_printf(&o->err, "no difference between %s hosts\n", num_count_text(count, ref->count));
        return;
    }
    bool loaded = side_load(o, &a, ref->head);
    a.large = a.large || !loaded;
    for (size_t i = 1; i < gs->count; i++)
        against(o, gs, ref, &a, &gs->items[i]);
    side_fini(&a);
}

void compare_render(struct output *o)
{
    struct groups gs;
    if (groups_init(&gs, o->done_count, o->run.host_count) != RC_OK) {
        text_puts(&o->err, "warning: no memory for --compare\n");
        return;
    }
    for (uint32_t i = 0; i < o->run.host_count; i++) {
        uint8_t key[STORE_KEY];
        if (!output_ran(o, i))
            continue;
        group_key(o, i, key);
        groups_add(&gs, key, i)->note = o->hosts[i].status != STATUS_OK;
    }
    groups_sort(&gs, by_place);
    if (gs.count > 0)
        compare_groups(o, &gs);
    groups_fini(&gs);
}
