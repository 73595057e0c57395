/* See stats.h. Keeps the last sample of each host, and decides when a round is shown. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/num.h"
#include "controller/stats/internal.h"
#include "controller/stats/rates.h"

/* ---- setting up ---- */

enum rc stats_new(struct stats **out, const struct stats_about *about, struct err *e)
{
    struct stats *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    s->about = *about;
    s->view = about->view;
    buf_init(&s->scratch, VAR_MOST);
    s->hosts = mem_calloc(about->count, sizeof *s->hosts);
    enum rc rc = s->hosts != NULL
                     ? view_check_names(s->view, about->inventory, about->hosts, about->count, e)
                     : err_nomem(e);
    if (rc == RC_OK && s->view->by != NULL)
        rc = by_init(&s->by, s->view->by, about->inventory, about->hosts, about->count, e);
    if (rc != RC_OK) {
        stats_free(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

static void drop_sample(struct host_state *h)
{
    if (h->sample != NULL)
        sample_fini(h->sample);
    mem_free(h->sample);
    h->sample = NULL;
}

void stats_free(struct stats *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; s->hosts != NULL && i < s->about.count; i++) {
        drop_sample(&s->hosts[i]);
        mem_free(s->hosts[i].detail);
        mem_free(s->hosts[i].plain_detail);
    }
    if (s->open) {
        text_fini(&s->out);
        text_fini(&s->info);
    }
    by_fini(&s->by);
    buf_fini(&s->scratch);
    mem_free(s->hosts);
    mem_free(s);
}

enum rc stats_open(struct stats *s, const struct sink *results, const struct sink *info,
                   uint64_t now_ms, struct err *e)
{
    enum rc rc = text_init(&s->out, results, s->about.color_out);
    enum rc also = text_init(&s->info, info, false);
    s->open = true;
    if (rc != RC_OK || also != RC_OK)
        return err_nomem(e);
    s->foot = results->is_tty ? &s->out : &s->info;
    s->opened_ms = s->now_ms = now_ms;
    if (s->about.mode == OUTPUT_NDJSON)
        document_begin(s);
    return RC_OK;
}

/* ---- what comes ---- */

static void set_clock(struct sample *sample, int64_t wall_us)
{
    sample_set(sample, FIG_CLOCK_OFFSET, 0,
               (double)((int64_t)(sample->real_ns / 1000) - wall_us) / 1e6);
}

static void became_ready(struct stats *s, uint32_t target)
{
    struct host_state *h = &s->hosts[target];
    s->ready += !h->ready;
    h->ready = true;
    if (s->about.mode == OUTPUT_NDJSON)
        document_host(s, target);
    h->shown = true;
}

static enum rc decode(struct stats *s, struct host_state *h, struct sample *fresh, const void *p,
                      size_t n, bool *ready, struct err *e)
{
    enum rc rc = sample_decode(fresh, p, n, s->view->kinds, e);
    if (rc != RC_OK)
        return rc;
    enum rates_state rates = rates_work_out(h->sample, fresh);
    if (rates == RATES_CLOCK)
        return err_set(e, RC_PROTO, "sample: its monotonic clock stood still or went back");
    *ready = rates != RATES_FIRST || !s->view->rates;
    return RC_OK;
}

enum rc stats_take(struct stats *s, uint32_t target, const void *sample, size_t n, uint64_t now_ms,
                   struct err *e)
{
    must(target < s->about.count);
    struct host_state *h = &s->hosts[target];
    s->now_ms = now_ms;
    if (h->ended)
        return RC_OK;
    if (s->view->samples > 0 && h->taken >= s->view->samples)
        return err_set(e, RC_PROTO, "more samples than it was asked for (%u)", s->view->samples);
    struct sample *fresh = mem_calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return err_nomem(e);
    bool ready = false;
    sample_init(fresh);
    enum rc rc = decode(s, h, fresh, sample, n, &ready, e);
    if (rc != RC_OK) {
        sample_fini(fresh);
        mem_free(fresh);
        return rc;
    }
    drop_sample(h);
    h->sample = fresh;
    h->at_ms = now_ms;
    h->at_wall_us = clock_wall_us();
    h->taken++;
    h->shown = false;
    set_clock(fresh, h->at_wall_us);
    if (ready)
        became_ready(s, target);
    return RC_OK;
}

void stats_plain(struct stats *s, uint32_t target, bool plain, enum problem problem,
                 const char *detail)
{
    must(target < s->about.count);
    struct host_state *h = &s->hosts[target];
    h->plain = plain;
    h->plain_problem = (uint8_t)problem;
    mem_free(h->plain_detail);
    h->plain_detail = *detail != '\0' ? mem_strdup(detail) : NULL; /* without memory: none */
}

void stats_host_ended(struct stats *s, uint32_t target, const struct outcome *o)
{
    must(target < s->about.count);
    struct host_state *h = &s->hosts[target];
    if (h->ended)
        return;
    s->ended++;
    if (h->sample != NULL && !h->shown && s->view->interval_ms == 0)
        became_ready(s, target); /* without rates, but better than nothing */
    h->ended = true;
    h->problem = (uint8_t)o->problem;
    if (o->detail[0] != '\0')
        h->detail = mem_strdup(o->detail); /* without memory: none */
    if (s->about.mode == OUTPUT_NDJSON && o->problem != PROBLEM_NONE)
        document_ended(s, target);
}

/* ---- rounds ---- */

/* Hosts take samples by their own clocks, so that one may come a little before or after ours. A
 * sample that is half an interval late is a late one. */
bool stats_is_fresh(const struct stats *s, uint32_t host)
{
    const struct host_state *h = &s->hosts[host];
    uint64_t interval = s->view->interval_ms;
    if (!h->ready)
        return false;
    if (interval == 0)
        return true;
    return !h->ended && s->now_ms - h->at_ms <= interval + interval / 2;
}

static void show(struct stats *s)
{
    switch (s->about.mode) {
    case OUTPUT_NDJSON: document_round(s); break;
    case OUTPUT_TABLE:
    case OUTPUT_CSV: show_round(s); break;
    default: break;
    }
    s->rounds++;
    text_flush(&s->out);
    text_flush(&s->info);
}

static bool first_is_due(const struct stats *s)
{
    uint32_t waited_for = 0;
    for (uint32_t i = 0; i < s->about.count; i++)
        waited_for += !s->hosts[i].ready && !s->hosts[i].ended;
    return waited_for == 0 ||
           s->now_ms >= s->opened_ms + s->about.patience_ms + 2 * s->view->interval_ms;
}

uint64_t stats_tick(struct stats *s, uint64_t now_ms)
{
    uint64_t interval = s->view->interval_ms;
    s->now_ms = now_ms;
    if (interval == 0 || stats_done(s))
        return UINT64_MAX;
    if (s->round_ms == 0) {
        if (!first_is_due(s))
            return s->opened_ms + s->about.patience_ms + 2 * interval;
        s->round_ms = now_ms;
    }
    if (now_ms < s->round_ms)
        return s->round_ms;
    if (s->ended < s->about.count)
        show(s);
    s->round_ms += interval;
    if (s->round_ms <= now_ms) /* we were held up: no round is made up for */
        s->round_ms = now_ms + interval;
    return stats_done(s) ? UINT64_MAX : s->round_ms;
}

bool stats_done(const struct stats *s)
{
    return s->view->interval_ms > 0 && s->view->rounds > 0 && s->rounds >= s->view->rounds;
}

/* ---- the end ---- */

void stats_report(struct stats *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
    if (s->view->interval_ms == 0 && s->about.mode != OUTPUT_NDJSON)
        show(s);
    if (s->about.mode == OUTPUT_JSON || s->about.mode == OUTPUT_NDJSON)
        document_end(s);
    if (s->about.mode == OUTPUT_PROMETHEUS)
        prometheus_show(s);
    if (!s->about.quiet)
        show_plain(s);
    if (s->filter_errors > 0) {
        char n[NUM_TEXT];
        text_printf(&s->info, "warning: %s line%s could not be asked; the first: ",
                    num_count_text(n, s->filter_errors), s->filter_errors == 1 ? "" : "s");
        text_escape_str(&s->info, s->filter_error.msg);
        text_puts(&s->info, "\n");
    }
    if (s->nomem)
        text_puts(&s->info, "warning: out of memory: not everything could be shown\n");
    text_flush(&s->out);
    text_flush(&s->info);
}

uint32_t stats_answered(const struct stats *s)
{
    return s->ready;
}

bool stats_has_answered(const struct stats *s, uint32_t target)
{
    must(target < s->about.count);
    return s->hosts[target].ready;
}

void stats_coverage(const struct stats *s, uint32_t fresh, struct text *t)
{
    char n[NUM_TEXT], all[NUM_TEXT];
    text_printf(t, "%s of %s host%s answered", num_count_text(n, fresh),
                num_count_text(all, s->about.count), s->about.count == 1 ? "" : "s");
}

size_t stats_memory(const struct stats *s)
{
    size_t n = sizeof *s;
    for (uint32_t i = 0; i < s->about.count; i++)
        n += sizeof s->hosts[i] +
             (s->hosts[i].sample != NULL ? sample_memory(s->hosts[i].sample) : 0);
    return n;
}
