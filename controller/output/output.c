/* See output.h; internal.h tells how the folder works together. */
#include "controller/output/internal.h"

#include <string.h>

#include "common/mem.h"
#include "controller/output/lines.h"

static enum rc init_parts(struct output *o, struct err *e)
{
    const struct output_opts *opts = &o->opts;
    o->hosts = mem_calloc(o->run.host_count, sizeof *o->hosts);
    o->hold = mem_alloc(LINES_HOLD);
    if (o->hosts == NULL || o->hold == NULL)
        return err_nomem(e);
    enum rc rc = filter_new(&o->filter, opts, e);
    if (rc == RC_OK)
        rc = columns_parse(o, opts->columns, e);
    if (rc == RC_OK)
        rc = store_new(&o->store, o->run.host_count, opts->max_output, opts->max_memory,
                       o->spool.append != NULL ? &o->spool : NULL, e);
    if (rc == RC_OK && opts->mode == OUTPUT_STREAM)
        rc = stream_new(o, e);
    return rc;
}

enum rc output_check(const struct output_opts *opts, struct err *e)
{
    struct output o = {.opts = *opts};
    arena_init(&o.arena);
    enum rc rc = filter_new(&o.filter, opts, e);
    if (rc == RC_OK)
        rc = columns_parse(&o, opts->columns, e);
    filter_free(o.filter);
    arena_fini(&o.arena);
    return rc;
}

enum rc output_new(struct output **out, const struct output_opts *opts,
                   const struct output_run *run, const struct sink *results,
                   const struct sink *info, const struct spool *spool, struct err *e)
{
    struct output *o = mem_calloc(1, sizeof *o);
    if (o == NULL)
        return err_nomem(e);
    o->opts = *opts;
    o->run = *run;
    o->results = *results;
    o->info = *info;
    if (spool != NULL)
        o->spool = *spool;
    o->to_drop = UINT32_MAX;
    arena_init(&o->arena);
    o->last_user = o->last_jump = o->last_banner = "";
    enum rc rc = text_init(&o->out, &o->results, opts->color_out);
    enum rc rc_err = text_init(&o->err, &o->info, opts->color_err);
    rc = rc != RC_OK || rc_err != RC_OK ? err_nomem(e) : init_parts(o, e);
    if (rc != RC_OK) {
        output_free(o);
        return rc;
    }
    *out = o;
    return RC_OK;
}

void output_free(struct output *o)
{
    if (o == NULL)
        return;
    stream_free(o);
    text_fini(&o->out);
    text_fini(&o->err);
    store_free(o->store);
    filter_free(o->filter);
    arena_fini(&o->arena);
    mem_free(o->hosts);
    mem_free(o->hold);
    mem_free(o);
}

void output_set_outdir(struct output *o, struct outdir *d)
{
    o->outdir = d;
}

void output_started(struct output *o, uint32_t target, uint32_t attempt)
{
    must(target < o->run.host_count && !o->hosts[target].done);
    if (o->opts.mode == OUTPUT_NDJSON)
        ndjson_begin(o);
    if (attempt > 1) {
        if (o->opts.mode == OUTPUT_STREAM)
            stream_end(o, target);
        store_reset(o->store, target);
    }
    if (o->outdir != NULL)
        outdir_started(o->outdir, target);
}

void output_data(struct output *o, uint32_t target, bool is_stderr, const void *p, size_t n)
{
    must(target < o->run.host_count && !o->hosts[target].done);
    if (n == 0)
        return;
    if (o->outdir != NULL)
        outdir_data(o->outdir, target, is_stderr, p, n);
    store_add(o->store, target, is_stderr, p, n);
    if (o->opts.mode == OUTPUT_STREAM)
        stream_data(o, target, is_stderr, p, n);
}

void output_skipped(struct output *o, uint32_t target, bool is_stderr, uint64_t n)
{
    must(target < o->run.host_count && !o->hosts[target].done);
    store_skip(o->store, target, is_stderr, n);
}

/* A copy that lives as long as the run; "" when there is no memory for it. */
static const char *keep(struct output *o, const char *s)
{
    if (s == NULL || *s == '\0')
        return "";
    const char *copy = arena_strdup(&o->arena, s);
    return copy != NULL ? copy : "";
}

static const char *keep_shared(struct output *o, const char **last, const char *s)
{
    if (s != NULL && strcmp(*last, s) == 0)
        return *last;
    const char *copy = keep(o, s);
    if (*copy != '\0')
        *last = copy;
    return copy;
}

/* The last line of stderr that says something: the reason that a person looks for. */
static const char *last_words(struct output *o, uint32_t target)
{
    uint8_t tail[1024];
    struct store_size size = store_size(o->store, target, true);
    uint64_t from = size.in_memory > sizeof tail ? size.in_memory - sizeof tail : 0;
    size_t n =
        size.in_memory == 0 ? 0 : store_read(o->store, target, true, from, tail, sizeof tail);
    while (n > 0 && (tail[n - 1] <= ' ' || tail[n - 1] == 0x7f))
        n--;
    size_t start = n;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    n = start + text_cut(tail + start, n - start, MESSAGE_MAX);
    const char *copy =
        n > start ? arena_strndup(&o->arena, (const char *)tail + start, n - start) : NULL;
    return copy != NULL ? copy : "";
}

static void keep_result(struct output *o, const struct output_result *r)
{
    struct done_host *h = &o->hosts[r->target];
    const struct outcome *oc = r->outcome;
    h->done = true;
    h->problem = (uint8_t)oc->problem;
    h->status = (uint8_t)problem_status(oc->problem);
    h->phase = (uint8_t)oc->phase;
    h->exit_code = (int16_t)oc->exit_code;
    memcpy(h->signal, oc->signal, sizeof h->signal);
    h->signal[sizeof h->signal - 1] = '\0';
    h->sent = oc->sent;
    h->may_still_run = oc->may_still_run;
    h->attempts = r->attempts;
    h->port = r->port;
    h->started_wall_us = r->started_wall_us;
    h->duration_us = r->duration_us;
    h->connect_us = r->connect_us;
    h->timing = r->timing;
    h->address = keep(o, r->address);
    h->user = keep_shared(o, &o->last_user, r->user);
    h->jump = keep_shared(o, &o->last_jump, r->jump != NULL ? r->jump : "");
    h->banner = keep_shared(o, &o->last_banner, r->server_banner);
    h->detail = keep(o, oc->detail);
    h->message = h->status != STATUS_OK ? last_words(o, r->target) : "";
}

static void look_for_noise(struct output *o, uint32_t target)
{
    uint8_t head[2048];
    size_t n = store_read(o->store, target, true, 0, head, sizeof head);
    o->hosts[target].noise = hints_is_noise(head, n);
}

/* Modes that render at the end share equal contents; the others let go at once. */
static bool renders_at_end(const struct output *o)
{
    switch (o->opts.mode) {
    case OUTPUT_GROUP:
    case OUTPUT_JSON:
    case OUTPUT_CSV:
    case OUTPUT_TABLE: return true;
    default: return o->opts.compare;
    }
}

/* The last host's bytes stay until the next host ends, for output_host_json. */
static void drop_last(struct output *o)
{
    if (o->to_drop != UINT32_MAX)
        store_drop(o->store, o->to_drop);
    o->to_drop = UINT32_MAX;
}

void output_result(struct output *o, const struct output_result *r)
{
    must(r->target < o->run.host_count && !o->hosts[r->target].done);
    uint32_t t = r->target;
    drop_last(o);
    if (o->opts.mode == OUTPUT_STREAM)
        stream_end(o, t);
    keep_result(o, r);
    struct done_host *h = &o->hosts[t];
    o->counts[h->status]++;
    o->done_count++;
    o->retried_ok += h->status == STATUS_OK && h->attempts > 1;
    if (store_size(o->store, t, true).in_memory > 0)
        look_for_noise(o, t);
    tally_note(o, t);
    if (o->outdir != NULL && h->attempts > 0)
        outdir_result(o->outdir, t);
    bool spooled = store_size(o->store, t, false).in_spool + store_size(o->store, t, true).in_spool;
    if (o->opts.mode == OUTPUT_NDJSON && !spooled) {
        ndjson_result(o, r, false);
        h->shown = true;
    }
    if (renders_at_end(o))
        store_seal(o->store, t);
    else if (o->opts.mode != OUTPUT_NDJSON || !spooled)
        o->to_drop = t;
}

bool output_ran(const struct output *o, uint32_t target)
{
    const struct done_host *h = &o->hosts[target];
    return h->done && (h->sent || h->status == STATUS_OK);
}

void output_recall(const struct output *o, uint32_t target, struct outcome *outcome,
                   struct output_result *r)
{
    const struct done_host *h = &o->hosts[target];
    outcome_init(outcome);
    outcome->problem = h->problem;
    outcome->phase = h->phase;
    outcome->exit_code = h->exit_code;
    memcpy(outcome->signal, h->signal, sizeof outcome->signal);
    outcome->may_still_run = h->may_still_run;
    outcome->sent = h->sent;
    size_t n = strnlen(h->detail, sizeof outcome->detail - 1);
    memcpy(outcome->detail, h->detail, n);
    outcome->detail[n] = '\0';
    *r = (struct output_result){
        .target = target,
        .outcome = outcome,
        .attempts = h->attempts,
        .address = h->address,
        .port = h->port,
        .user = h->user,
        .jump = h->jump,
        .started_wall_us = h->started_wall_us,
        .duration_us = h->duration_us,
        .connect_us = h->connect_us,
        .server_banner = h->banner,
        .timing = h->timing,
    };
}

/* NDJSON: hosts whose output is partly in the spool wait until it can be read. */
static void ndjson_rest(struct output *o, const struct output_end *end)
{
    ndjson_begin(o);
    for (uint32_t i = 0; i < o->run.host_count; i++) {
        if (!o->hosts[i].done || o->hosts[i].shown)
            continue;
        struct outcome outcome;
        struct output_result r;
        output_recall(o, i, &outcome, &r);
        ndjson_result(o, &r, true);
    }
    ndjson_end(o, end);
}

static void render(struct output *o, const struct output_end *end)
{
    bool tally = filter_has_tally(o->filter);
    switch (o->opts.mode) {
    case OUTPUT_JSON: json_document(o, end); return;
    case OUTPUT_NDJSON: ndjson_rest(o, end); return;
    case OUTPUT_CSV: csv_render(o); break;
    case OUTPUT_TABLE: table_render(o); break;
    case OUTPUT_GROUP:
        if (!tally && !o->opts.compare)
            group_render(o);
        break;
    default: break;
    }
    if (o->opts.compare)
        compare_render(o);
    if (tally)
        tally_render(o, o->opts.mode == OUTPUT_CSV ? &o->err : &o->out);
}

void output_finish(struct output *o, const struct output_end *end)
{
    drop_last(o);
    render(o, end);
    text_flush(&o->out);
    if (o->results.flush != NULL)
        o->results.flush(o->results.user);
    summary_render(o, end);
    text_flush(&o->err);
}

int output_exit_code(const struct output *o, const struct output_end *end)
{
    int code = 0;
    for (int s = 0; s < STATUS_COUNT; s++)
        if (o->counts[s] > 0)
            code |= status_exit_bit(s);
    if (end->stopped != PROBLEM_NONE)
        code |= 8;
    return end->interrupted ? 130 : code;
}

uint64_t output_memory(const struct output *o)
{
    return store_memory(o->store) + o->stream_memory;
}

void output_counts(const struct output *o, uint32_t counts[STATUS_COUNT])
{
    memcpy(counts, o->counts, sizeof o->counts);
}
