/* muster stats: figures of many hosts. From options to a run that speaks with the agents; what is
 * made of their samples is controller/stats. */
#include "controller/cmd.h"

#include <stdio.h>

#include "common/mem.h"
#include "common/num.h"
#include "controller/plan.h"
#include "controller/run/query.h"
#include "controller/stats/stats.h"

enum {
    REQUEST_MOST = 4096,
    TEXT_MOST = 256 * 1024,
    ONCE_MS = 1000, /* between the two samples of one shot */
    CALM_LEAST_MS = 10,
    CALM_MOST_MS = 50,
};

struct work {
    struct plan plan;
    struct view view;
    struct stats *stats;
    struct buf request;
    struct buf text; /* the command for people */
};

static enum rc on_open(void *user, const struct sink *results, const struct sink *info,
                       uint64_t now_ms, struct err *e)
{
    return stats_open(((struct work *)user)->stats, results, info, now_ms, e);
}

static void on_ready(void *user, uint32_t target, const struct remote_hello *hello)
{
    stats_plain(((struct work *)user)->stats, target, hello->fallback, hello->problem,
                hello->detail);
}

static enum rc on_reply(void *user, uint32_t target, const void *map, size_t n, uint64_t now_ms,
                        struct err *e)
{
    return stats_take(((struct work *)user)->stats, target, map, n, now_ms, e);
}

static void on_ended(void *user, uint32_t target, const struct outcome *o)
{
    stats_host_ended(((struct work *)user)->stats, target, o);
}

static uint64_t on_tick(void *user, uint64_t now_ms, bool *done)
{
    struct work *w = user;
    uint64_t next = stats_tick(w->stats, now_ms);
    *done = stats_done(w->stats);
    return next;
}

static void on_report(void *user, uint64_t now_ms)
{
    stats_report(((struct work *)user)->stats, now_ms);
}

static enum rc make_stats(struct work *w, struct err *e)
{
    const struct options *o = w->plan.options;
    struct stats_about about = {
        .view = &w->view,
        .inventory = w->plan.inventory,
        .hosts = w->plan.selection.hosts,
        .count = (uint32_t)w->plan.selection.count,
        .mode = o->output.mode,
        .quiet = o->output.quiet,
        .color_out = o->output.color_out,
        .patience_ms = o->connect_timeout_ms,
    };
    enum rc rc = stats_new(&w->stats, &about, e);
    if (rc == RC_OK && view_request(&w->view, &w->request) != RC_OK)
        rc = err_nomem(e);
    return rc;
}

static int print_plan(const struct work *w)
{
    const struct view *v = &w->view;
    char count[NUM_TEXT];
    const char *gap = " ";
    plan_print_targets(&w->plan);
    printf("\n%s host%s would be asked for", num_count_text(count, w->plan.selection.count),
           w->plan.selection.count == 1 ? "" : "s");
    for (int s = 0; s < SECTION_COUNT; s++)
        if (v->sections & 1u << s) {
            printf("%s%s", gap, section_defs[s].name);
            gap = ", ";
        }
    printf(".\nNothing was sent.\n");
    return cmd_printed();
}

/* Everything up to the first connection. *ended: an answer was given already (--list, --dry-run).
 */
static enum rc prepare(struct work *w, bool *ended, int *code, struct err *e)
{
    const struct options *o = w->plan.options;
    enum rc rc = plan_select(&w->plan, "look at", e);
    *ended = rc == RC_OK && o->list_only;
    if (*ended)
        *code = plan_print_hosts(&w->plan);
    if (rc != RC_OK || *ended)
        return rc;
    rc = make_stats(w, e);
    if (rc == RC_OK)
        rc = plan_targets(&w->plan, e);
    *ended = rc == RC_OK && o->dry_run;
    if (*ended)
        *code = print_plan(w);
    return rc != RC_OK || *ended ? rc : plan_unlock(&w->plan, e);
}

/* For the record: what was typed. */
static enum rc say_command(struct work *w, struct err *e)
{
    struct strings argv = {0};
    enum rc rc = options_safe_argv(w->plan.options, &argv, e);
    enum rc put = rc == RC_OK ? buf_puts(&w->text, "muster") : rc;
    for (size_t i = 1; put == RC_OK && i < argv.count; i++) {
        put = buf_putc(&w->text, ' ');
        if (put == RC_OK)
            put = buf_puts(&w->text, argv.items[i]);
    }
    mem_free(argv.items);
    return rc != RC_OK ? rc : put != RC_OK || buf_cstr(&w->text) == NULL ? err_nomem(e) : RC_OK;
}

/* --timeout is for one sample; the next begins an interval later. */
static uint64_t bound(const struct options *o)
{
    uint64_t pause = o->stats.interval_ms > 0 ? o->stats.interval_ms : ONCE_MS;
    return o->timeout_ms > 0 ? o->timeout_ms + pause : 0;
}

/* How long a sample may wait for others, twice: a fortieth of an interval is not seen by anybody.
 */
static unsigned calm(const struct options *o)
{
    uint64_t ms = o->stats.interval_ms / 40;
    return ms < CALM_LEAST_MS ? CALM_LEAST_MS : ms > CALM_MOST_MS ? CALM_MOST_MS : (unsigned)ms;
}

static bool on_enough(void *user, uint32_t target)
{
    return stats_has_answered(((struct work *)user)->stats, target);
}

static enum rc execute(struct work *w, struct pool *pool, int *code, struct err *e)
{
    struct run_query query = {.request = &w->request,
                              .bound_ms = bound(w->plan.options),
                              .calm_ms = calm(w->plan.options),
                              .user = w,
                              .open = on_open,
                              .ready = on_ready,
                              .reply = on_reply,
                              .ended = on_ended,
                              .tick = on_tick,
                              .report = on_report};
    const struct options *o = w->plan.options;
    if (o->stats.interval_ms > 0 && o->stats.samples == 0)
        query.enough = on_enough;
    struct run_agent agent;
    plan_agent(&w->plan, &agent);
    run_query_init(&query, &agent);
    struct run_plan plan;
    plan_fill(&w->plan, &plan);
    plan.agent = &agent;
    plan.command_text = buf_cstr(&w->text);
    plan.pool = pool;
    return run_execute(&plan, code, e);
}

int cmd_stats(struct options *o)
{
    struct work w = {.stats = NULL};
    struct err e = {0};
    struct pool *pool = NULL;
    bool ended = false;
    int code = 1;
    plan_init(&w.plan, o);
    buf_init(&w.request, REQUEST_MOST);
    buf_init(&w.text, TEXT_MOST);
    /* A wrong name is told before a worker is forked. */
    enum rc rc = view_init(&w.view, o, &e);
    if (rc == RC_OK)
        rc = plan_begin(o, &pool, &e);
    if (rc == RC_OK)
        rc = prepare(&w, &ended, &code, &e);
    if (rc == RC_OK && !ended)
        rc = say_command(&w, &e);
    if (rc == RC_OK && !ended) {
        rc = execute(&w, pool, &code, &e);
        pool = NULL;
    }
    pool_free(pool);
    stats_free(w.stats);
    view_fini(&w.view);
    buf_fini(&w.request);
    buf_fini(&w.text);
    plan_fini(&w.plan);
    return rc == RC_OK ? code : cmd_fail(&e);
}
