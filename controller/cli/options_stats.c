/* The options of "muster stats" and what goes together. What the names of figures mean is
 * controller/stats's. See options_table.h. */
#include "controller/cli/options_table.h"

#include <string.h>

#include "common/num.h"
#include "proto/agent.h"

enum rc set_interval(struct options *o, const struct option_def *d, const char *value,
                     struct err *e)
{
    (void)d;
    uint64_t ms;
    enum rc rc = num_duration(value, &ms, e);
    if (rc != RC_OK)
        return rc;
    if (ms < AGENT_INTERVAL_MIN_MS || ms > AGENT_INTERVAL_MAX_MS)
        return err_set(e, RC_USAGE, "'%.40s' is out of range (200ms to 1d)", value);
    o->stats.interval_ms = ms;
    return RC_OK;
}

static bool is_typed(const struct options *o, const char *name)
{
    return option_source_of(o, option_by_name(name, strlen(name))) == SOURCE_ARGV;
}

/* What the environment or the configuration chose for runs is no mistake, but not for us. */
static enum rc settle_form(struct options *o, struct err *e)
{
    if (!is_typed(o, "columns"))
        o->output.columns = NULL;
    if (o->output.mode != OUTPUT_GROUP && o->output.mode != OUTPUT_STREAM)
        return RC_OK;
    if (is_typed(o, "output"))
        return err_set(e, RC_USAGE,
                       "-o: stats is shown as table, json, ndjson, csv, prometheus or none");
    o->output.mode = OUTPUT_TABLE;
    return RC_OK;
}

static enum rc settle_prometheus(const struct options *o, struct err *e)
{
    const struct stats_options *s = &o->stats;
    if (o->output.columns != NULL || s->filter != NULL || s->sort != NULL || s->by != NULL ||
        s->top > 0)
        return err_set(e, RC_USAGE,
                       "-o prometheus has names and lines of its own: leave out --columns, "
                       "--filter, --sort, --by and --top (--only chooses sections)");
    return RC_OK;
}

static enum rc settle_rounds(struct options *o, struct err *e)
{
    struct stats_options *s = &o->stats;
    enum output_mode mode = o->output.mode;
    if (s->interval_ms == 0 && s->samples > 2)
        return err_set(e, RC_USAGE, "--samples %u: how far apart? add --interval, for example 5s",
                       s->samples);
    if (s->interval_ms > 0 && mode == OUTPUT_JSON)
        return err_set(e, RC_USAGE,
                       "-o json is one document: with --interval take -o ndjson, a line for each "
                       "host and round");
    if (s->interval_ms > 0 && mode == OUTPUT_PROMETHEUS)
        return err_set(e, RC_USAGE,
                       "-o prometheus is one exposition: leave out --interval, and run it as often "
                       "as it shall be new");
    return RC_OK;
}

static enum rc settle_top(const struct options *o, struct err *e)
{
    const struct stats_options *s = &o->stats;
    if (s->top > 0 && s->by != NULL && strcmp(s->by, "rss") != 0 && strcmp(s->by, "cpu") != 0 &&
        strcmp(s->by, "io") != 0)
        return err_set(e, RC_USAGE,
                       "--by: '%.40s' is none of rss, cpu and io, by which --top takes processes",
                       s->by);
    if (s->top == 0 && s->by != NULL && s->sort != NULL)
        return err_set(e, RC_USAGE, "--by has an order of its own: leave out --sort");
    return RC_OK;
}

enum rc stats_settle(struct options *o, struct err *e)
{
    if (o->pattern == NULL && o->hosts_exprs.count == 0)
        return err_set(e, RC_USAGE,
                       "which hosts? muster stats PATTERN (all names every host of the inventory), "
                       "or -w HOSTS");
    if (o->pattern != NULL && o->hosts_exprs.count > 0)
        return err_set(e, RC_USAGE,
                       "both -w and the pattern '%.60s': with -w there is no PATTERN (-l narrows)",
                       o->pattern);
    enum rc rc = settle_form(o, e);
    if (rc == RC_OK && o->output.mode == OUTPUT_PROMETHEUS)
        rc = settle_prometheus(o, e);
    if (rc == RC_OK)
        rc = settle_rounds(o, e);
    return rc == RC_OK ? settle_top(o, e) : rc;
}
