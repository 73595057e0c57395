/* A round for people, and as CSV: the lines, then how they spread, who is far out, who is missing.
 */
#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/stats/internal.h"

enum { FOOT_ROWS = 3 };

struct round {
    struct stats *s;
    struct line_list lines;
    double *values; /* of one column */
    struct spread spreads[VIEW_COLUMNS];
    bool measured[VIEW_COLUMNS];
    uint32_t label; /* the column that names the rows of the foot; UINT32_MAX: none */
};

static const char *title(void *user, uint32_t column)
{
    return ((const struct round *)user)->s->view->columns[column].title;
}

static bool is_measure(const struct view_column *c)
{
    return c->what == COLUMN_IS_FIGURE && figure_is_measure(c->figure);
}

static bool is_number(void *user, uint32_t column)
{
    const struct view_column *c = &((const struct round *)user)->s->view->columns[column];
    return c->what == COLUMN_IS_FIGURE && figure_defs[c->figure].type != TYPE_TEXT &&
           figure_defs[c->figure].type != TYPE_BOOL && figure_defs[c->figure].type != TYPE_ANY;
}

static void foot_cell(const struct round *r, uint32_t row, uint32_t column, struct grid_cell *out)
{
    static const char *const labels[FOOT_ROWS] = {"median", "p95", "max"};
    *out = (struct grid_cell){.what = GRID_NOTHING};
    if (column == r->label) {
        out->what = GRID_TEXT;
        out->text = labels[row];
    } else if (r->measured[column]) {
        const struct spread *p = &r->spreads[column];
        out->what = GRID_REAL;
        out->real = row == 0 ? p->median : row == 1 ? p->p95 : p->max;
        out->unit = (enum figure_unit)figure_defs[r->s->view->columns[column].figure].unit;
    }
}

static void cell(void *user, uint32_t row, uint32_t column, struct grid_cell *out)
{
    struct round *r = user;
    if (row < r->lines.count)
        line_cell(r->s, &r->s->view->columns[column], &r->lines.items[row], out);
    else
        foot_cell(r, row - (uint32_t)r->lines.count, column, out);
}

/* ---- how they spread ---- */

/* What a host's line says of the host stands in each of its lines, and counts once. */
static bool counts(const struct round *r, uint32_t column, size_t line)
{
    const struct line *l = r->lines.items;
    bool of_host = figure_kind(r->s->view->columns[column].figure) == KIND_HOST;
    return r->s->view->kind == KIND_HOST || !of_host || line == 0 ||
           l[line].host != l[line - 1].host;
}

static size_t column_values(struct round *r, uint32_t column)
{
    struct grid_cell c;
    size_t n = 0;
    for (size_t i = 0; i < r->lines.count; i++) {
        line_cell(r->s, &r->s->view->columns[column], &r->lines.items[i], &c);
        if ((c.what == GRID_REAL || c.what == GRID_WHOLE || c.what == GRID_NEGATIVE) &&
            counts(r, column, i))
            r->values[n++] = c.real;
    }
    return n;
}

static void find_spreads(struct round *r)
{
    const struct view *v = r->s->view;
    r->label = UINT32_MAX;
    for (uint32_t i = v->column_count; i-- > 0;) {
        if (!is_number(r, i))
            r->label = i;
        size_t n = is_measure(&v->columns[i]) ? column_values(r, i) : 0;
        r->measured[i] = n > 1;
        if (n > 1)
            spread_of(r->values, n, &r->spreads[i]);
    }
}

/* How the mounts or processes of one host lie says nothing of any of them. */
static bool is_of_many(const struct round *r)
{
    size_t i = 1;
    while (i < r->lines.count && r->lines.items[i].host == r->lines.items[0].host)
        i++;
    return i < r->lines.count;
}

static bool has_foot(const struct round *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->s->view->column_count; i++)
        any |= r->measured[i];
    return any && r->label != UINT32_MAX;
}

/* ---- who is far out ---- */

/* Differences that nobody cares about, however alike all others are. */
static double least_difference(enum figure f, const struct spread *p)
{
    double fifth = fabs(p->median) * 0.2;
    return figure_defs[f].unit == UNIT_PERCENT ? 5 : fifth;
}

static void put_outlier(struct round *r, uint32_t column, const struct line *l, double v)
{
    const struct view *view = r->s->view;
    struct text *t = r->s->foot;
    char text[FIGURE_TEXT];
    const struct view_column *key = &view->columns[r->label];
    struct grid_cell c;
    text_escape_str(t, r->s->about.hosts[l->host]->name);
    if (view->kind != KIND_HOST && key->what != COLUMN_IS_HOST) {
        line_cell(r->s, key, l, &c);
        text_puts(t, " ");
        if (c.what == GRID_TEXT)
            text_escape(t, c.text, text_cut(c.text, strlen(c.text), 60), 0);
    }
    enum figure f = view->columns[column].figure;
    text_printf(t, " %s", figure_format(text, (enum figure_unit)figure_defs[f].unit, v));
}

static void column_outliers(struct round *r, uint32_t column)
{
    struct text *t = r->s->foot;
    const struct view_column *c = &r->s->view->columns[column];
    uint32_t found = 0;
    struct grid_cell at;
    double least = least_difference(c->figure, &r->spreads[column]);
    for (size_t i = 0; i < r->lines.count; i++) {
        line_cell(r->s, c, &r->lines.items[i], &at);
        bool number = at.what == GRID_REAL || at.what == GRID_WHOLE;
        if (!number || !counts(r, column, i) ||
            !spread_is_outlier(&r->spreads[column], at.real, least))
            continue;
        if (found == 0)
            text_printf(t, "outliers in %s: ", c->title);
        if (found++ < OUTLIERS_MOST) {
            text_puts(t, found > 1 ? ", " : "");
            put_outlier(r, column, &r->lines.items[i], at.real);
        }
    }
    if (found > OUTLIERS_MOST)
        text_printf(t, " and %u more", found - OUTLIERS_MOST);
    text_puts(t, found > 0 ? "\n" : "");
}

/* ---- who is missing ---- */

struct missing {
    uint32_t fresh, late, ended, rebooted;
};

static void list_hosts(struct stats *s, const char *what, uint32_t n,
                       bool (*is)(const struct stats *, uint32_t))
{
    uint32_t shown = 0;
    struct text *t = s->foot;
    if (n == 0)
        return;
    text_puts(t, what);
    for (uint32_t i = 0; i < s->about.count && shown < LIST_MOST; i++) {
        if (!is(s, i))
            continue;
        text_puts(t, shown++ > 0 ? " " : ": ");
        text_escape_str(t, s->about.hosts[i]->name);
    }
    if (n > shown)
        text_printf(t, " and %u more", n - shown);
    text_puts(t, "\n");
}

static bool is_late(const struct stats *s, uint32_t host)
{
    return !s->hosts[host].ended && !stats_is_fresh(s, host);
}

static bool is_rebooted(const struct stats *s, uint32_t host)
{
    return stats_is_fresh(s, host) && s->hosts[host].sample->rebooted;
}

static bool is_cut(const struct stats *s, uint32_t host)
{
    return stats_is_fresh(s, host) && s->hosts[host].sample->tables[s->view->kind].left_out > 0;
}

/* Not where it was asked for: there nobody needs to be told. */
static bool is_plain(const struct stats *s, uint32_t host)
{
    return s->hosts[host].plain && s->hosts[host].plain_problem != PROBLEM_NONE;
}

void show_plain(struct stats *s)
{
    const struct host_state *first = NULL;
    uint32_t n = 0;
    for (uint32_t i = s->about.count; i-- > 0;)
        if (is_plain(s, i)) {
            first = &s->hosts[i];
            n++;
        }
    if (first == NULL)
        return;
    if (s->about.mode != OUTPUT_TABLE)
        s->foot = &s->info; /* never into a document */
    list_hosts(s, "by plain sh, without an agent and with less", n, is_plain);
    text_printf(s->foot, "  because: %s", problem_name((enum problem)first->plain_problem));
    if (first->plain_detail != NULL) {
        text_puts(s->foot, " (");
        text_escape_str(s->foot, first->plain_detail);
        text_puts(s->foot, ")");
    }
    text_puts(s->foot, n > 1 ? ", or the like\n" : "\n");
}

static void put_missing(struct stats *s)
{
    uint32_t fresh = 0, late = 0, rebooted = 0, cut = 0;
    char when[40];
    for (uint32_t i = 0; i < s->about.count; i++) {
        fresh += stats_is_fresh(s, i);
        late += is_late(s, i);
        rebooted += is_rebooted(s, i);
        cut += is_cut(s, i);
    }
    if (s->view->interval_ms > 0)
        text_printf(s->foot, "%.8s  ", clock_rfc3339(when, sizeof when, clock_wall_us()) + 11);
    stats_coverage(s, fresh, s->foot);
    text_puts(s->foot, "\n");
    if (s->view->interval_ms > 0)
        list_hosts(s, "late", late, is_late);
    list_hosts(s, "rebooted", rebooted, is_rebooted);
    list_hosts(s, "more lines than are shown", cut, is_cut);
}

static void show_lines(struct round *r)
{
    struct stats *s = r->s;
    bool table = s->about.mode == OUTPUT_TABLE;
    struct grid g = {.columns = s->view->column_count,
                     .rows = (uint32_t)r->lines.count,
                     .title = title,
                     .is_number = is_number,
                     .cell = cell,
                     .user = r};
    if (table)
        find_spreads(r);
    bool foot = table && !s->about.quiet && is_of_many(r) && has_foot(r);
    if (foot && s->foot == &s->out)
        g.foot = FOOT_ROWS;
    if (table && s->rounds > 0)
        text_puts(&s->out, "\n");
    if (table)
        grid_table(&g, &s->out);
    else
        grid_csv(&g, s->rounds == 0, &s->out);
    if (foot && g.foot == 0) { /* the same, for who reads standard error */
        struct grid only = g;
        only.rows = 0;
        only.foot = FOOT_ROWS;
        r->lines.count = 0;
        grid_table(&only, s->foot);
        r->lines.count = g.rows;
    }
    for (uint32_t i = 0; foot && i < g.columns; i++)
        if (r->measured[i])
            column_outliers(r, i);
}

void show_round(struct stats *s)
{
    struct round r = {.s = s};
    if (s->view->by != NULL) {
        by_show(s);
    } else {
        enum rc rc = line_list_collect(s, &r.lines);
        r.values = mem_alloc((r.lines.count + 1) * sizeof *r.values);
        if (rc == RC_OK && r.values != NULL)
            show_lines(&r);
        else
            s->nomem = true;
    }
    if (!s->about.quiet)
        put_missing(s);
    mem_free(r.values);
    line_list_fini(&r.lines);
}
