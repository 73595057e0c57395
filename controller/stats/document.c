/* -o json: one document at the end; -o ndjson: a line as soon as something came.
 * docs/schema/stats.schema.json is their contract. A figure that is not known is not there: null
 * and 0 would be answers. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "controller/stats/internal.h"

static void put_time(struct text *t, int64_t wall_us)
{
    char when[40];
    text_json(t, clock_rfc3339(when, sizeof when, wall_us));
}

/* ---- figures, nested by the dots of their names ---- */

struct nest {
    struct text *t;
    const char *dir; /* of the figure before, dir_len of it */
    size_t dir_len, base;
    bool comma;
};

static void close_level(struct nest *n)
{
    text_puts(n->t, "}");
    n->comma = true;
    while (n->dir_len > n->base && n->dir[n->dir_len - 1] != '.')
        n->dir_len--;
    if (n->dir_len > n->base)
        n->dir_len--; /* the dot */
}

/* Is all that is open also around `name`? */
static bool encloses(const struct nest *n, const char *name)
{
    return n->dir_len <= n->base ||
           (strncmp(name, n->dir, n->dir_len) == 0 && name[n->dir_len] == '.');
}

static void put_comma(struct nest *n)
{
    text_puts(n->t, n->comma ? "," : "");
    n->comma = false;
}

/* Opens what is around `name`, and writes its own key. */
static void put_key(struct nest *n, const char *name)
{
    while (!encloses(n, name))
        close_level(n);
    size_t at = n->dir_len > n->base ? n->dir_len + 1 : n->base;
    for (const char *dot; (dot = strchr(name + at, '.')) != NULL; at = (size_t)(dot - name) + 1) {
        put_comma(n);
        text_put(n->t, "\"", 1);
        text_put(n->t, name + at, (size_t)(dot - name) - at);
        text_put(n->t, "\":{", 3);
        n->dir = name;
        n->dir_len = (size_t)(dot - name);
    }
    put_comma(n);
    text_put(n->t, "\"", 1);
    text_puts(n->t, name + at);
    text_put(n->t, "\":", 2);
    n->comma = true;
}

/* All figures of a row that are known. base: letters of their names that are left out. */
static void put_figures(struct stats *s, uint32_t host, enum figure_kind kind, uint32_t row,
                        size_t base, bool comma, struct text *t)
{
    const struct kind_def *k = &kind_defs[kind];
    struct nest n = {.t = t, .base = base, .dir_len = base, .comma = comma};
    for (int f = k->first; f < k->first + k->count; f++) {
        struct grid_cell c;
        struct view_column column = {.what = COLUMN_IS_FIGURE, .figure = (enum figure)f};
        struct line line = {host, row};
        line_cell(s, &column, &line, &c);
        if (c.what == GRID_NOTHING)
            continue;
        put_key(&n, figure_defs[f].name);
        grid_json_value(&c, t);
    }
    while (n.dir_len > n.base)
        close_level(&n);
}

static void put_rows(struct stats *s, uint32_t host, enum figure_kind kind,
                     const struct line_list *chosen)
{
    struct text *t = &s->out;
    const char *first = figure_defs[kind_defs[kind].first].name;
    size_t base = strcspn(first, ".");
    uint32_t rows = sample_rows(s->hosts[host].sample, kind);
    uint32_t left_out = s->hosts[host].sample->tables[kind].left_out;
    bool filtered = kind == s->view->kind;
    uint32_t count = filtered ? (uint32_t)chosen->count : rows;
    text_printf(t, ",\"%.*s\":[", (int)base, first);
    for (uint32_t i = 0; i < count; i++) {
        text_puts(t, i > 0 ? ",{" : "{");
        put_figures(s, host, kind, filtered ? chosen->items[i].row : i, base + 1, false, t);
        text_puts(t, "}");
    }
    text_puts(t, "]");
    if (left_out > 0)
        text_printf(t, ",\"%.*s_left_out\":%u", (int)base, first, left_out);
}

static void put_sections(struct stats *s, const struct sample *sample)
{
    struct text *t = &s->out;
    const char *gap = "";
    text_puts(t, ",\"sections\":{");
    for (int i = 0; i < SECTION_COUNT; i++) {
        if (sample->sections[i].status == SECTION_ABSENT)
            continue;
        text_printf(t, "%s\"%s\":{\"status\":\"%s\",\"us\":%u,\"error\":", gap,
                    section_defs[i].name,
                    section_status_name((enum section_status)sample->sections[i].status),
                    sample->sections[i].us);
        text_json(t, sample->sections[i].error != 0
                         ? (const char *)sample->texts.data + sample->sections[i].error
                         : NULL);
        text_puts(t, "}");
        gap = ",";
    }
    text_puts(t, "}");
}

static void put_plain(struct text *t, const struct host_state *h)
{
    text_puts(t, ",\"plain_sh\":{\"problem\":");
    text_json(t, h->plain_problem != PROBLEM_NONE ? problem_name((enum problem)h->plain_problem)
                                                  : NULL);
    text_puts(t, ",\"detail\":");
    text_json(t, h->plain_detail);
    text_puts(t, "}");
}

/* The whole of a host, without the brace it begins with. */
static void put_host(struct stats *s, uint32_t host, const struct line_list *chosen)
{
    struct text *t = &s->out;
    const struct host_state *h = &s->hosts[host];
    const struct sample *sample = h->sample;
    char number[GRID_NUMBER];
    text_puts(t, "\"host\":");
    text_json(t, s->about.hosts[host]->name);
    text_puts(t, ",\"time\":");
    put_time(t, h->at_wall_us);
    text_puts(t, ",\"boot_id\":");
    text_json(t, sample->boot_id[0] != '\0' ? sample->boot_id : NULL);
    text_printf(t, ",\"seconds\":%s,\"rebooted\":%s,\"skipped\":%llu",
                sample->elapsed > 0 ? grid_number(number, sample->elapsed) : "null",
                sample->rebooted ? "true" : "false", (unsigned long long)sample->skipped);
    if (h->plain)
        put_plain(t, h);
    put_sections(s, sample);
    put_figures(s, host, KIND_HOST, 0, 0, true, t);
    for (int k = KIND_HOST + 1; k < KIND_COUNT; k++)
        if (k != KIND_FREQ && (s->view->kinds & 1u << k) &&
            sample->sections[kind_defs[k].section].status != SECTION_ABSENT)
            put_rows(s, host, (enum figure_kind)k, chosen);
    text_puts(t, "}");
}

static void put_line(struct stats *s, const struct line *l, const char *head)
{
    struct text *t = &s->out;
    text_puts(t, head);
    for (uint32_t i = 0; i < s->view->column_count; i++) {
        struct grid_cell c;
        line_cell(s, &s->view->columns[i], l, &c);
        text_puts(t, i > 0 ? "," : "");
        text_json(t, s->view->columns[i].title);
        text_puts(t, ":");
        grid_json_value(&c, t);
    }
    text_puts(t, "}");
}

/* ---- ndjson ---- */

void document_begin(struct stats *s)
{
    struct text *t = &s->out;
    char number[GRID_NUMBER];
    text_puts(t, "{\"type\":\"stats\",\"schema\":\"muster.stats/1\",\"time\":");
    put_time(t, clock_wall_us());
    text_printf(t, ",\"hosts\":%u,\"interval\":%s}\n", s->about.count,
                s->view->interval_ms > 0 ? grid_number(number, (double)s->view->interval_ms / 1000)
                                         : "null");
    text_flush(t);
}

void document_host(struct stats *s, uint32_t host)
{
    struct line_list lines = {0};
    if (s->view->by != NULL)
        return;
    if (line_list_add_host(s, host, s->view->kind, &lines) != RC_OK)
        s->nomem = true;
    if (s->view->whole && lines.count > 0) {
        text_puts(&s->out, "{\"type\":\"sample\",");
        put_host(s, host, &lines);
        text_puts(&s->out, "\n");
    }
    for (size_t i = 0; !s->view->whole && i < lines.count; i++) {
        put_line(s, &lines.items[i], "{\"type\":\"row\",");
        text_puts(&s->out, "\n");
    }
    line_list_fini(&lines);
    text_flush(&s->out);
}

static void put_failed(struct stats *s, uint32_t host)
{
    struct text *t = &s->out;
    const struct host_state *h = &s->hosts[host];
    enum problem p = h->ended ? (enum problem)h->problem : PROBLEM_CANCELLED;
    text_puts(t, "\"host\":");
    text_json(t, s->about.hosts[host]->name);
    text_printf(t, ",\"status\":\"%s\",\"problem\":", status_name(problem_status(p)));
    text_json(t, p != PROBLEM_NONE ? problem_name(p) : NULL);
    text_puts(t, ",\"detail\":");
    text_json(t, h->detail);
    text_puts(t, "}");
}

void document_ended(struct stats *s, uint32_t host)
{
    text_puts(&s->out, "{\"type\":\"failed\",");
    put_failed(s, host);
    text_puts(&s->out, "\n");
    text_flush(&s->out);
}

static uint32_t count_fresh(const struct stats *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->about.count; i++)
        n += stats_is_fresh(s, i);
    return n;
}

void document_round(struct stats *s)
{
    struct text *t = &s->out;
    const char *gap = "";
    if (s->view->by != NULL)
        by_show(s);
    text_printf(t, "{\"type\":\"round\",\"round\":%u,\"time\":", s->rounds + 1);
    put_time(t, clock_wall_us());
    text_printf(t, ",\"hosts\":%u,\"answered\":%u,\"late\":[", s->about.count, count_fresh(s));
    for (uint32_t i = 0; i < s->about.count; i++) {
        if (s->hosts[i].ended || stats_is_fresh(s, i))
            continue;
        text_puts(t, gap);
        text_json(t, s->about.hosts[i]->name);
        gap = ",";
    }
    text_puts(t, "]}\n");
    text_flush(t);
}

/* ---- json ---- */

static void put_hosts(struct stats *s)
{
    const char *gap = "\n";
    for (uint32_t i = 0; i < s->about.count; i++) {
        struct line_list lines = {0};
        if (!s->hosts[i].ready)
            continue;
        if (line_list_add_host(s, i, s->view->kind, &lines) != RC_OK)
            s->nomem = true;
        if (lines.count > 0) {
            text_printf(&s->out, "%s{", gap);
            put_host(s, i, &lines);
            gap = ",\n";
        }
        line_list_fini(&lines);
    }
}

static void put_lines(struct stats *s)
{
    struct line_list lines = {0};
    if (line_list_collect(s, &lines) != RC_OK)
        s->nomem = true;
    for (size_t i = 0; i < lines.count; i++) {
        text_puts(&s->out, i > 0 ? ",\n" : "\n");
        put_line(s, &lines.items[i], "{");
    }
    line_list_fini(&lines);
}

static void put_all_failed(struct stats *s)
{
    const char *gap = "\n";
    for (uint32_t i = 0; i < s->about.count; i++) {
        const struct host_state *h = &s->hosts[i];
        if (h->ready && !(h->ended && h->problem != PROBLEM_NONE))
            continue;
        text_printf(&s->out, "%s{", gap);
        put_failed(s, i);
        gap = ",\n";
    }
}

static void put_document(struct stats *s)
{
    struct text *t = &s->out;
    text_puts(t, "{\"schema\":\"muster.stats/1\",\"time\":");
    put_time(t, clock_wall_us());
    text_printf(t, ",\"coverage\":{\"hosts\":%u,\"answered\":%u},\"%s\":[", s->about.count,
                count_fresh(s),
                s->view->whole        ? "hosts"
                : s->view->by != NULL ? "by"
                                      : "rows");
    if (s->view->whole)
        put_hosts(s);
    else if (s->view->by != NULL)
        by_show(s);
    else
        put_lines(s);
    text_puts(t, "\n],\"failed\":[");
    put_all_failed(s);
    text_puts(t, "\n]}\n");
}

void document_end(struct stats *s)
{
    struct text *t = &s->out;
    if (s->about.mode == OUTPUT_JSON) {
        put_document(s);
        return;
    }
    if (s->view->by != NULL && s->view->interval_ms == 0)
        by_show(s);
    text_puts(t, "{\"type\":\"summary\",\"time\":");
    put_time(t, clock_wall_us());
    text_printf(t, ",\"hosts\":%u,\"answered\":%u,\"rounds\":%u}\n", s->about.count, s->ready,
                s->rounds);
}
