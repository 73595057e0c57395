/* --by: a line for each bucket of hosts: how many there are, how many answered, and for each number
 * median, 95th percentile and highest. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/stats/internal.h"

enum { NAME, HOSTS, ANSWERED, FIXED, EACH = 3 };
_Static_assert(1 + FIXED + EACH * VIEW_COLUMNS <= GRID_COLUMNS, "a grid has room for all of them");

struct show {
    struct stats *s;
    const struct view_column *measures[VIEW_COLUMNS];
    uint32_t measure_count;
    char title[160];
    struct spread *spreads; /* by bucket, then measure; count 0: nothing known */
    uint32_t *answered;     /* by bucket */
    bool timed;             /* a column `time` in front: rounds of csv have nothing between them */
    char time[40];
};

static const char *title(void *user, uint32_t column)
{
    static const char *const parts[EACH] = {"median", "p95", "max"};
    struct show *w = user;
    if (w->timed && column-- == 0)
        return "time";
    if (column == NAME)
        return w->s->view->by;
    if (column < FIXED)
        return column == HOSTS ? "hosts" : "answered";
    snprintf(w->title, sizeof w->title, "%s.%s", w->measures[(column - FIXED) / EACH]->title,
             parts[(column - FIXED) % EACH]);
    return w->title;
}

static bool is_number(void *user, uint32_t column)
{
    const struct show *w = user;
    return column > NAME + w->timed;
}

static void cell(void *user, uint32_t row, uint32_t column, struct grid_cell *out)
{
    struct show *w = user;
    const struct by_bucket *b = &w->s->by.items[row];
    *out = (struct grid_cell){.what = GRID_WHOLE, .unit = UNIT_COUNT};
    if (column <= NAME + w->timed) {
        out->what = GRID_TEXT;
        out->text = column == NAME + w->timed ? b->name : w->time;
        return;
    }
    column -= w->timed;
    if (column < FIXED) {
        out->whole = column == HOSTS ? b->count : w->answered[row];
        out->real = (double)out->whole;
        return;
    }
    uint32_t m = (column - FIXED) / EACH, part = (column - FIXED) % EACH;
    const struct spread *p = &w->spreads[(size_t)row * w->measure_count + m];
    out->what = p->count > 0 ? GRID_REAL : GRID_NOTHING;
    out->unit = (enum figure_unit)figure_defs[w->measures[m]->figure].unit;
    out->real = part == 0 ? p->median : part == 1 ? p->p95 : p->max;
}

/* The lines of the bucket's hosts that the filter keeps. */
static enum rc bucket_lines(struct show *w, const struct by_bucket *b, uint32_t *answered,
                            struct line_list *out)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < b->count; i++) {
        if (!stats_is_fresh(w->s, b->hosts[i]))
            continue;
        size_t before = out->count;
        rc = line_list_add_host(w->s, b->hosts[i], w->s->view->kind, out);
        *answered += out->count > before;
    }
    return rc;
}

static void measure(struct show *w, size_t bucket, const struct line_list *lines, double *values)
{
    for (uint32_t m = 0; m < w->measure_count; m++) {
        struct spread *p = &w->spreads[bucket * w->measure_count + m];
        bool of_host = figure_kind(w->measures[m]->figure) == KIND_HOST;
        size_t n = 0;
        for (size_t i = 0; i < lines->count; i++) {
            struct grid_cell c;
            if (of_host && i > 0 && lines->items[i].host == lines->items[i - 1].host)
                continue;
            line_cell(w->s, w->measures[m], &lines->items[i], &c);
            if (c.what == GRID_REAL || c.what == GRID_WHOLE)
                values[n++] = c.real;
        }
        if (n > 0)
            spread_of(values, n, p);
    }
}

static enum rc work_out(struct show *w)
{
    const struct by *by = &w->s->by;
    w->spreads = mem_calloc(by->count * w->measure_count + 1, sizeof *w->spreads);
    w->answered = mem_calloc(by->count + 1, sizeof *w->answered);
    enum rc rc = w->spreads != NULL && w->answered != NULL ? RC_OK : RC_NOMEM;
    for (size_t i = 0; rc == RC_OK && i < by->count; i++) {
        struct line_list lines = {0};
        rc = bucket_lines(w, &by->items[i], &w->answered[i], &lines);
        double *values = mem_alloc((lines.count + 1) * sizeof *values);
        if (rc == RC_OK && values != NULL)
            measure(w, i, &lines, values);
        else
            rc = RC_NOMEM;
        mem_free(values);
        line_list_fini(&lines);
    }
    return rc;
}

static void show_grid(struct show *w)
{
    struct stats *s = w->s;
    w->timed = s->about.mode == OUTPUT_CSV && s->view->interval_ms > 0;
    clock_rfc3339(w->time, sizeof w->time, clock_wall_us());
    struct grid g = {.columns = w->timed + FIXED + EACH * w->measure_count,
                     .rows = (uint32_t)s->by.count,
                     .title = title,
                     .is_number = is_number,
                     .cell = cell,
                     .user = w};
    if (s->about.mode == OUTPUT_TABLE) {
        text_puts(&s->out, s->rounds > 0 ? "\n" : "");
        grid_table(&g, &s->out);
        return;
    }
    if (s->about.mode == OUTPUT_CSV) {
        grid_csv(&g, s->rounds == 0, &s->out);
        return;
    }
    for (uint32_t r = 0; r < g.rows; r++) {
        text_puts(&s->out, r > 0 && s->about.mode == OUTPUT_JSON ? ",\n" : "");
        grid_json_row(&g, r, s->about.mode == OUTPUT_NDJSON ? "{\"type\":\"by\"," : "{", &s->out);
        text_puts(&s->out, s->about.mode == OUTPUT_NDJSON ? "\n" : "");
    }
}

void by_show(struct stats *s)
{
    struct show w = {.s = s};
    for (uint32_t i = 0; i < s->view->column_count; i++)
        if (s->view->columns[i].what == COLUMN_IS_FIGURE &&
            figure_is_measure(s->view->columns[i].figure))
            w.measures[w.measure_count++] = &s->view->columns[i];
    if (work_out(&w) == RC_OK)
        show_grid(&w);
    else
        s->nomem = true;
    mem_free(w.spreads);
    mem_free(w.answered);
}
