/* --columns: which there are, and what each says about a host. Used by csv and table. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/output/lines.h"
#include "inventory/inventory.h"

enum { VAR_MAX = 64 * 1024, CELL_LINE = 500 };

static const char *const titles[COLUMN_COUNT] = {
    [COLUMN_HOST] = "host",
    [COLUMN_STATUS] = "status",
    [COLUMN_PHASE] = "phase",
    [COLUMN_PROBLEM] = "problem",
    [COLUMN_DETAIL] = "detail",
    [COLUMN_EXIT] = "exit",
    [COLUMN_SIGNAL] = "signal",
    [COLUMN_DURATION] = "duration",
    [COLUMN_CONNECT] = "connect",
    [COLUMN_ATTEMPTS] = "attempts",
    [COLUMN_ADDRESS] = "address",
    [COLUMN_PORT] = "port",
    [COLUMN_USER] = "user",
    [COLUMN_STARTED] = "started",
    [COLUMN_STDOUT] = "stdout",
    [COLUMN_STDERR] = "stderr",
    [COLUMN_STDOUT_BYTES] = "stdout.bytes",
    [COLUMN_STDERR_BYTES] = "stderr.bytes",
    [COLUMN_MAY_STILL_RUN] = "may_still_run",
    [COLUMN_SERVER] = "server",
    [COLUMN_VAR] = "vars.NAME",
};

static const char csv_default[] =
    "host,status,phase,problem,exit,signal,duration,attempts,address,stdout,stderr";
static const char table_default[] = "host,status,exit,duration,stdout";

static enum rc unknown(const char *name, size_t n, struct err *e)
{
    char all[512] = "";
    size_t len = 0;
    for (int i = 0; i < COLUMN_COUNT; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", titles[i]);
    return err_set(e, RC_USAGE, "--columns: there is no column '%.*s' (there are: %s)",
                   (int)(n < 60 ? n : 60), name, all);
}

static enum rc add(struct output *o, const char *name, size_t n, struct err *e)
{
    if (o->column_count == COLUMNS_MAX)
        return err_set(e, RC_USAGE, "--columns: at most %d columns", COLUMNS_MAX);
    struct column *c = &o->columns[o->column_count];
    *c = (struct column){.id = COLUMN_COUNT};
    for (int i = 0; i < COLUMN_VAR; i++)
        if (strlen(titles[i]) == n && memcmp(titles[i], name, n) == 0)
            c->id = (enum column_id)i;
    if (n > 5 && memcmp(name, "vars.", 5) == 0)
        c->id = COLUMN_VAR;
    if (c->id == COLUMN_COUNT)
        return unknown(name, n, e);
    c->title = arena_strndup(&o->arena, name, n);
    if (c->title == NULL)
        return err_nomem(e);
    if (c->id == COLUMN_VAR)
        c->var = c->title + 5;
    o->column_count++;
    return RC_OK;
}

enum rc columns_parse(struct output *o, const char *list, struct err *e)
{
    enum rc rc = RC_OK;
    if (list == NULL)
        list = o->opts.mode == OUTPUT_CSV ? csv_default : table_default;
    while (rc == RC_OK && *list != '\0') {
        size_t n = strcspn(list, ",");
        rc = add(o, list, n, e);
        list += n + (list[n] == ',');
        if (rc == RC_OK && list[-1] == ',' && *list == '\0')
            rc = unknown("", 0, e);
    }
    if (rc == RC_OK && o->column_count == 0)
        rc = unknown("", 0, e);
    return rc;
}

static void variable(struct output *o, const char *name, uint32_t target, struct text *t)
{
    if (o->run.inventory == NULL)
        return;
    const struct value *v = inventory_host_var(o->run.inventory, o->run.hosts[target], name);
    if (v == NULL || value_is_opaque(v))
        return;
    struct buf text;
    buf_init(&text, VAR_MAX);
    enum rc rc = v->type == VALUE_LIST || v->type == VALUE_MAP ? value_json(&text, v, false, 0)
                                                               : value_text(v, &text, NULL);
    if (rc == RC_OK)
        text_put(t, text.data, text.len);
    buf_fini(&text);
}

static void duration(uint64_t us, bool known, bool for_people, struct text *t)
{
    char n[NUM_TEXT];
    if (!known)
        return;
    if (for_people)
        text_puts(t, num_duration_text(n, us / 1000));
    else
        text_printf(t, "%llu.%03llu", (unsigned long long)(us / 1000000),
                    (unsigned long long)(us / 1000 % 1000));
}

/* A table has room for one line. */
static void first_line(struct output *o, uint32_t target, bool is_stderr, struct text *t)
{
    struct lines l;
    const uint8_t *p;
    size_t n;
    lines_init(&l, o, target, is_stderr, true);
    if (!lines_next(&l, &p, &n))
        return;
    text_put(t, p, text_cut(p, n, CELL_LINE));
    if (n > CELL_LINE || lines_next(&l, &p, &n) || lines_missing(&l) > 0)
        text_puts(t, " \xe2\x80\xa6");
}

static void whole(struct output *o, uint32_t target, bool is_stderr, struct text *t)
{
    uint64_t at = 0;
    size_t n;
    while ((n = store_read(o->store, target, is_stderr, at, o->hold, LINES_HOLD)) > 0) {
        text_put(t, o->hold, n);
        at += n;
    }
}

static void number(struct text *t, uint64_t n)
{
    text_printf(t, "%llu", (unsigned long long)n);
}

void columns_cell(struct output *o, const struct column *c, uint32_t target, bool for_people,
                  struct text *t)
{
    const struct done_host *h = &o->hosts[target];
    char when[40];
    bool err = c->id == COLUMN_STDERR || c->id == COLUMN_STDERR_BYTES;
    switch (c->id) {
    case COLUMN_HOST: text_puts(t, output_name(o, target)); break;
    case COLUMN_STATUS: text_puts(t, status_name(h->status)); break;
    case COLUMN_PHASE: text_puts(t, phase_name(h->phase)); break;
    case COLUMN_PROBLEM: text_puts(t, problem_name(h->problem)); break;
    case COLUMN_DETAIL: text_puts(t, h->detail); break;
    case COLUMN_EXIT:
        if (h->exit_code >= 0)
            number(t, (uint64_t)h->exit_code);
        break;
    case COLUMN_SIGNAL: text_puts(t, h->signal); break;
    case COLUMN_DURATION: duration(h->duration_us, h->attempts > 0, for_people, t); break;
    case COLUMN_CONNECT: duration(h->connect_us, h->connect_us > 0, for_people, t); break;
    case COLUMN_ATTEMPTS: number(t, h->attempts); break;
    case COLUMN_ADDRESS: text_puts(t, h->address); break;
    case COLUMN_PORT:
        if (h->port > 0)
            number(t, h->port);
        break;
    case COLUMN_USER: text_puts(t, h->user); break;
    case COLUMN_STARTED:
        if (h->started_wall_us > 0)
            text_puts(t, clock_rfc3339(when, sizeof when, h->started_wall_us));
        break;
    case COLUMN_STDOUT:
    case COLUMN_STDERR:
        if (for_people)
            first_line(o, target, err, t);
        else
            whole(o, target, err, t);
        break;
    case COLUMN_STDOUT_BYTES:
    case COLUMN_STDERR_BYTES: number(t, store_size(o->store, target, err).received); break;
    case COLUMN_MAY_STILL_RUN: text_puts(t, h->may_still_run ? "true" : "false"); break;
    case COLUMN_SERVER: text_puts(t, h->banner); break;
    case COLUMN_VAR: variable(o, c->var, target, t); break;
    case COLUMN_COUNT: must(c->id != COLUMN_COUNT);
    }
}
