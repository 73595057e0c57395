/* What `muster stats` shows of samples that come as JSON, for tests that bring their own reader.
 *
 *   stats_tool MODE [only=…] [columns=…] [filter=…] [sort=…] [by=…] [interval=MS]
 *
 * Standard input: one JSON object a line, {"host": name, "sample": {…}}, with the samples of
 * proto/PROTOCOL.md; {"host": name, "problem": name} ends a host. Hosts are numbered in the order
 * in which they are named first. A sample that is refused is told on standard error. stats_tool
 * docs      prints the lists of docs/stats.md
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controller/stats/stats.h"
#include "tests/unit/sample_fixture.h"

enum { LINES_MOST = 10000, HOSTS_MOST = 1000 };

static json_t *lines[LINES_MOST];
static size_t line_count;

static void read_lines(void)
{
    static char text[1 << 20];
    json_error_t e;
    while (line_count < LINES_MOST && fgets(text, sizeof text, stdin) != NULL) {
        lines[line_count] = json_loads(text, JSON_ALLOW_NUL, &e);
        if (lines[line_count] == NULL) {
            fprintf(stderr, "line %zu: %s\n", line_count + 1, e.text);
            exit(2);
        }
        line_count++;
    }
}

static void write_file(void *user, const void *p, size_t n)
{
    fwrite(p, 1, n, user);
}

static uint32_t number_of(struct inventory *inv, struct inv_host **hosts, uint32_t *count,
                          const char *name)
{
    struct err e = {0};
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(hosts[i]->name, name) == 0)
            return i;
    must(*count < HOSTS_MOST);
    if (inventory_add_host(inv, name, &hosts[*count], &e) != RC_OK) {
        fprintf(stderr, "%s\n", e.msg);
        exit(2);
    }
    return (*count)++;
}

static void feed(struct stats *s, uint32_t host, const json_t *line, uint64_t now)
{
    struct err e = {0};
    const json_t *sample = json_object_get(line, "sample");
    const char *problem = json_string_value(json_object_get(line, "problem"));
    if (problem != NULL) {
        struct outcome o;
        outcome_init(&o);
        o.problem = (enum problem)(*problem != '\0' ? problem_by_name(problem) : PROBLEM_NONE);
        stats_host_ended(s, host, &o);
        return;
    }
    struct buf bytes;
    struct wire_out w;
    buf_init(&bytes, 1 << 20);
    wire_out_init(&w, &bytes);
    sample_put(&w, sample);
    must(wire_out_end(&w) == RC_OK);
    if (stats_take(s, host, bytes.data, bytes.len, now, &e) != RC_OK)
        fprintf(stderr, "refused: %s\n", e.msg);
    stats_tick(s, now);
    buf_fini(&bytes);
}

static void option(struct options *o, const char *arg)
{
    static const struct {
        const char *name;
        size_t at;
    } texts[] = {{"only=", offsetof(struct options, stats.only)},
                 {"columns=", offsetof(struct options, output.columns)},
                 {"filter=", offsetof(struct options, stats.filter)},
                 {"sort=", offsetof(struct options, stats.sort)},
                 {"by=", offsetof(struct options, stats.by)}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strncmp(arg, texts[i].name, strlen(texts[i].name)) == 0)
            *(const char **)((char *)o + texts[i].at) = arg + strlen(texts[i].name);
    if (strncmp(arg, "interval=", 9) == 0)
        o->stats.interval_ms = strtoull(arg + 9, NULL, 10);
}

static void print_docs(void)
{
    for (int k = 0; k < KIND_COUNT; k++) {
        if (k == KIND_FREQ) /* never shown by itself */
            continue;
        printf("### %c%s\n\n| figure | unit | |\n|---|---|---|\n", kind_defs[k].what[0] - 32,
               kind_defs[k].what + 1);
        for (int f = kind_defs[k].first; f < kind_defs[k].first + kind_defs[k].count; f++)
            printf("| `%s` | %s | %s%s |\n", figure_defs[f].name,
                   unit_text((enum figure_unit)figure_defs[f].unit), figure_defs[f].help,
                   figure_needs_rates((enum figure)f) ? " (r)" : "");
        printf("\n");
    }
}

static void print_figures(void)
{
    static const char *const types[] = {
        [TYPE_U64] = "number",   [TYPE_I64] = "integer", [TYPE_F64] = "number",
        [TYPE_BOOL] = "boolean", [TYPE_TEXT] = "string", [TYPE_ANY] = "integer,string"};
    for (int f = 0; f < FIGURE_COUNT; f++) {
        enum figure_kind k = figure_kind((enum figure)f);
        if (k != KIND_FREQ)
            printf("%s %s %s\n", figure_defs[f].name, k == KIND_HOST ? "host" : "row",
                   types[figure_defs[f].type]);
    }
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {
        [OUTPUT_JSON] = "json",   [OUTPUT_NDJSON] = "ndjson", [OUTPUT_CSV] = "csv",
        [OUTPUT_TABLE] = "table", [OUTPUT_NONE] = "none",     [OUTPUT_PROMETHEUS] = "prometheus"};
    static struct inv_host *hosts[HOSTS_MOST];
    static uint32_t numbers[LINES_MOST];
    struct inventory *inv = NULL;
    struct options o = {.output.mode = OUTPUT_TABLE};
    struct view view;
    struct stats *s = NULL;
    struct err e = {0};
    uint32_t count = 0;
    if (argc == 2 && strcmp(argv[1], "docs") == 0) {
        print_docs();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "figures") == 0) {
        print_figures();
        return 0;
    }
    for (int m = 0; argc > 1 && m <= OUTPUT_PROMETHEUS; m++)
        if (modes[m] != NULL && strcmp(modes[m], argv[1]) == 0)
            o.output.mode = (enum output_mode)m;
    for (int i = 2; i < argc; i++)
        option(&o, argv[i]);
    read_lines();
    must(inventory_new(&inv, &e) == RC_OK);
    for (size_t i = 0; i < line_count; i++)
        numbers[i] =
            number_of(inv, hosts, &count, json_string_value(json_object_get(lines[i], "host")));
    must(inventory_finish(inv, &e) == RC_OK);
    enum rc rc = view_init(&view, &o, &e);
    struct stats_about about = {
        .view = &view, .inventory = inv, .hosts = hosts, .count = count, .mode = o.output.mode};
    struct sink out = {.write = write_file, .user = stdout};
    struct sink info = {.write = write_file, .user = stderr};
    if (rc == RC_OK)
        rc = stats_new(&s, &about, &e);
    if (rc == RC_OK)
        rc = stats_open(s, &out, &info, 0, &e);
    for (size_t i = 0; rc == RC_OK && i < line_count; i++)
        feed(s, numbers[i], lines[i], i * 1000);
    if (rc == RC_OK)
        stats_report(s, line_count * 1000);
    else
        fprintf(stderr, "%s\n", e.msg);
    stats_free(s);
    view_fini(&view);
    inventory_free(inv);
    for (size_t i = 0; i < line_count; i++)
        json_decref(lines[i]);
    return rc == RC_OK ? 0 : 1;
}
