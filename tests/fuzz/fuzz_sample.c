/* A sample from a host that may be anything: decoded, worked out against itself, and shown in every
 * form. What is let through must be within its bounds; what is written must be what it says it is.
 */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/stats/rates.h"
#include "controller/stats/stats.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ALL = (1u << KIND_COUNT) - 1 };

static void check_cell(const struct sample *s, enum figure f, uint32_t row)
{
    double v;
    const char *text = sample_text(s, f, row);
    char shown[FIGURE_TEXT];
    must(text == NULL || strlen(text) <= SAMPLE_TEXT);
    if (!sample_number(s, f, row, &v))
        return;
    must(isfinite(v));
    bool derived = figure_defs[f].wire == NULL && figure_defs[f].unit == UNIT_PERCENT;
    if (derived && f != FIG_PROC_CPU && f != FIG_PROC_MEM_PERCENT)
        must(v >= 0 && v <= 100);
    figure_format(shown, (enum figure_unit)figure_defs[f].unit, v);
    must(str_utf8_valid(shown, strlen(shown)));
}

static void check(const struct sample *s)
{
    must(s->texts.len <= SAMPLE_TEXTS && s->hz > 0);
    must(strlen(s->boot_id) <= SAMPLE_BOOT_ID);
    for (int f = 0; f < FIGURE_COUNT; f++) {
        enum figure_kind k = figure_kind((enum figure)f);
        must(sample_rows(s, k) <= kind_defs[k].most);
        for (uint32_t r = 0; r < sample_rows(s, k); r++)
            check_cell(s, (enum figure)f, r);
    }
}

/* The same counters a second later, some of them fallen. */
static void work_out(const uint8_t *data, size_t size)
{
    struct sample a, b;
    sample_init(&a);
    sample_init(&b);
    if (sample_decode(&a, data, size, ALL, NULL) == RC_OK) {
        must(sample_decode(&b, data, size, ALL, NULL) == RC_OK);
        rates_work_out(NULL, &a);
        b.mono_ns = a.mono_ns + 1000000007;
        for (int k = 0; k < KIND_COUNT; k++)
            for (uint32_t i = 0; i < sample_rows(&b, (enum figure_kind)k) * kind_defs[k].count; i++)
                if (b.tables[k].types[i] == CELL_U64)
                    b.tables[k].cells[i].u64 +=
                        i % 3 == 0 ? (uint64_t)1 << 40 : 0 - (uint64_t)(i % 5);
        rates_work_out(&a, &b);
        check(&a);
        check(&b);
    }
    sample_fini(&a);
    sample_fini(&b);
}

static void to_buf(void *user, const void *p, size_t n)
{
    (void)buf_append(user, p, n);
}

static void ignore(void *user, const void *p, size_t n)
{
    (void)user;
    (void)p;
    (void)n;
}

static void is_json(const struct buf *b)
{
    json_error_t e;
    json_t *v = json_loadb((const char *)b->data, b->len, JSON_REJECT_DUPLICATES, &e);
    if (v == NULL)
        fprintf(stderr, "%s at byte %d of %.*s\n", e.text, e.position, (int)b->len,
                (const char *)b->data);
    must(v != NULL);
    json_decref(v);
}

static void is_clean(const struct buf *b)
{
    must(str_utf8_valid(b->data, b->len));
    for (size_t i = 0; i < b->len; i++)
        must(b->data[i] >= ' ' || b->data[i] == '\n');
}

static void show(const uint8_t *data, size_t size, enum output_mode mode, const char *columns)
{
    static struct inv_host host = {.name = "h"};
    struct inv_host *const hosts[] = {&host};
    struct options o = {.output.mode = mode, .output.columns = columns, .stats.samples = 1};
    struct view view;
    struct stats *s = NULL;
    struct buf out;
    buf_init(&out, 64 << 20);
    struct sink results = {.write = to_buf, .user = &out}, info = {.write = ignore};
    must(view_init(&view, &o, NULL) == RC_OK);
    struct stats_about about = {.view = &view, .hosts = hosts, .count = 1, .mode = mode};
    must(stats_new(&s, &about, NULL) == RC_OK);
    must(stats_open(s, &results, &info, 0, NULL) == RC_OK);
    enum rc rc = stats_take(s, 0, data, size, 0, NULL);
    must(rc == RC_OK || rc == RC_PROTO);
    stats_report(s, 0);
    if (mode == OUTPUT_JSON)
        is_json(&out);
    else if (mode != OUTPUT_CSV)
        is_clean(&out);
    stats_free(s);
    view_fini(&view);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (wire_validate(data, size, NULL) != RC_OK) /* ends with the agent's machine: fuzz_remote */
        return 0;
    work_out(data, size);
    show(data, size, OUTPUT_JSON, NULL);
    show(data, size, OUTPUT_PROMETHEUS, NULL);
    show(data, size, OUTPUT_TABLE, NULL);
    show(data, size, OUTPUT_TABLE, "host,disk.mountpoint,disk.percent,disk.free");
    show(data, size, OUTPUT_CSV, "net.name,net.bytes_recv,uptime");
    return 0;
}
