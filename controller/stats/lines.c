/* Which lines a round has, in which order, and what stands in them. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/stats/internal.h"

void line_list_fini(struct line_list *l)
{
    mem_free(l->items);
    memset(l, 0, sizeof *l);
}

/* false: not kept, or the filter could not be asked. */
static bool keeps(struct stats *s, uint32_t host, uint32_t row)
{
    struct err e = {0};
    bool yes = false;
    enum rc rc = view_keeps(s->view, s->about.inventory, s->about.hosts[host],
                            s->hosts[host].sample, row, &yes, &e);
    if (rc == RC_OK)
        return yes;
    if (s->filter_errors++ == 0)
        s->filter_error = e;
    return false;
}

enum rc line_list_add_host(struct stats *s, uint32_t host, enum figure_kind kind,
                           struct line_list *out)
{
    uint32_t rows = sample_rows(s->hosts[host].sample, kind);
    for (uint32_t r = 0; r < rows; r++) {
        if (!keeps(s, host, r))
            continue;
        if (mem_grow(&out->items, &out->cap, out->count + 1, sizeof *out->items) != 0)
            return RC_NOMEM;
        out->items[out->count++] = (struct line){host, r};
    }
    return RC_OK;
}

/* ---- cells ---- */

static void variable_cell(struct stats *s, const char *name, uint32_t host, struct grid_cell *out)
{
    const struct value *v = inventory_host_var(s->about.inventory, s->about.hosts[host], name);
    if (v == NULL || v->type == VALUE_NULL || value_is_opaque(v))
        return;
    if (v->type == VALUE_INT || v->type == VALUE_FLOAT) {
        out->what = v->type == VALUE_FLOAT ? GRID_REAL
                    : v->u.integer >= 0    ? GRID_WHOLE
                                           : GRID_NEGATIVE;
        out->real = v->type == VALUE_INT ? (double)v->u.integer : v->u.real;
        out->whole = v->type != VALUE_INT ? 0
                     : v->u.integer >= 0  ? (uint64_t)v->u.integer
                                          : 0 - (uint64_t)v->u.integer;
        return;
    }
    buf_reset(&s->scratch);
    enum rc rc = v->type == VALUE_LIST || v->type == VALUE_MAP
                     ? value_json(&s->scratch, v, false, 0)
                     : value_text(v, &s->scratch, NULL);
    const char *text = rc == RC_OK ? buf_cstr(&s->scratch) : NULL;
    out->what = text != NULL ? GRID_TEXT : GRID_NOTHING;
    out->text = text;
}

static void figure_cell(const struct sample *sample, enum figure f, uint32_t row,
                        struct grid_cell *out)
{
    const struct figure_def *d = &figure_defs[f];
    const char *text = sample_text(sample, f, row);
    out->unit = (enum figure_unit)d->unit;
    if (text != NULL) {
        out->what = GRID_TEXT;
        out->text = text;
    } else if (sample_type(sample, f, row) == CELL_BOOL) {
        out->what = GRID_BOOL;
        out->whole = sample_true(sample, f, row);
    } else if (sample_number(sample, f, row, &out->real)) {
        bool scaled = d->unit == UNIT_TICKS || d->unit == UNIT_UPTIME;
        out->what = !scaled && sample_u64(sample, f, row, &out->whole) ? GRID_WHOLE : GRID_REAL;
    }
}

void line_cell(struct stats *s, const struct view_column *c, const struct line *l,
               struct grid_cell *out)
{
    static const struct grid_cell nothing;
    char when[40];
    *out = nothing;
    switch (c->what) {
    case COLUMN_IS_HOST:
        out->what = GRID_TEXT;
        out->text = s->about.hosts[l->host]->name;
        break;
    case COLUMN_IS_TIME:
        buf_reset(&s->scratch);
        if (buf_puts(&s->scratch, clock_rfc3339(when, sizeof when, s->hosts[l->host].at_wall_us)) ==
            RC_OK)
            out->text = buf_cstr(&s->scratch);
        out->what = out->text != NULL ? GRID_TEXT : GRID_NOTHING;
        break;
    case COLUMN_IS_VAR: variable_cell(s, c->var, l->host, out); break;
    case COLUMN_IS_FIGURE:
        figure_cell(s->hosts[l->host].sample, c->figure, view_row(c->figure, l->row), out);
        break;
    }
}

/* ---- order ---- */

static int text_order(struct stats *s, const struct line *x, const struct line *y)
{
    struct grid_cell a, b;
    char held[256];
    line_cell(s, &s->view->sort, x, &a);
    if (a.what == GRID_TEXT) { /* the next cell may take its place */
        size_t n = strnlen(a.text, sizeof held - 1);
        memcpy(held, a.text, n);
        held[n] = '\0';
    }
    line_cell(s, &s->view->sort, y, &b);
    if (a.what == GRID_NOTHING || b.what == GRID_NOTHING) /* what is not known comes last */
        return (a.what == GRID_NOTHING) - (b.what == GRID_NOTHING);
    int order;
    if (a.what == GRID_TEXT && b.what == GRID_TEXT)
        order = strcmp(held, b.text);
    else if (a.what == GRID_TEXT || b.what == GRID_TEXT) /* numbers before texts */
        order = (a.what == GRID_TEXT) - (b.what == GRID_TEXT);
    else {
        double n = a.what == GRID_BOOL ? (double)a.whole : a.real;
        double m = b.what == GRID_BOOL ? (double)b.whole : b.real;
        order = (n > m) - (n < m);
    }
    return s->view->descending ? -order : order;
}

static int by_sort(const void *a, const void *b, void *user)
{
    const struct line *x = a, *y = b;
    int order = text_order(user, x, y);
    if (order != 0)
        return order;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

enum rc line_list_collect(struct stats *s, struct line_list *out)
{
    enum rc rc = RC_OK;
    for (uint32_t h = 0; rc == RC_OK && h < s->about.count; h++)
        if (stats_is_fresh(s, h))
            rc = line_list_add_host(s, h, s->view->kind, out);
    if (rc == RC_OK && s->view->sorted && out->count > 1)
        qsort_r(out->items, out->count, sizeof *out->items, by_sort, s);
    return rc;
}
