/* See progress.h. */
#include "controller/output/progress.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

enum { LINE_MAX_BYTES = 2048, NAME_MAX_BYTES = 200, REPORT_NAME = 30 };

struct progress {
    const struct sink *sink;
    struct buf line; /* what is being made; reserved whole */
    struct buf last; /* what is on the screen; reserved whole */
    bool drawn;
};

enum rc progress_new(struct progress **out, const struct sink *err_sink, struct err *e)
{
    struct progress *p = mem_calloc(1, sizeof *p);
    if (p == NULL)
        return err_nomem(e);
    p->sink = err_sink;
    buf_init(&p->line, LINE_MAX_BYTES);
    buf_init(&p->last, LINE_MAX_BYTES);
    if (buf_reserve(&p->line, LINE_MAX_BYTES) != RC_OK ||
        buf_reserve(&p->last, LINE_MAX_BYTES) != RC_OK) {
        progress_free(p);
        return err_nomem(e);
    }
    *out = p;
    return RC_OK;
}

void progress_free(struct progress *p)
{
    if (p == NULL)
        return;
    progress_erase(p);
    buf_fini(&p->line);
    buf_fini(&p->last);
    mem_free(p);
}

static size_t columns_of(const struct progress *p)
{
    unsigned columns = p->sink->columns > 0 ? p->sink->columns : 80;
    return columns > 1 ? columns - 1 : 1; /* the last column would wrap on some terminals */
}

/* Appends a part when all of it fits on the line. */
static bool part(struct progress *p, const char *s)
{
    size_t used = str_width((const char *)p->line.data, p->line.len);
    if (p->sink->is_tty && used + str_width(s, strlen(s)) > columns_of(p))
        return false;
    return buf_puts(&p->line, s) == RC_OK;
}

static uint64_t eta_ms(const struct progress_view *v)
{
    if (v->done == 0 || v->done >= v->total || v->elapsed_ms < 1000)
        return 0;
    uint64_t eta = (uint64_t)((double)v->elapsed_ms / v->done * (v->total - v->done));
    /* Those that are left take longer than the others did: what these took says nothing. */
    bool slow = v->straggler_count > 0 && v->straggler_ms != NULL && v->straggler_ms[0] > eta;
    return slow ? 0 : eta;
}

static void counts(struct progress *p, const struct progress_view *v)
{
    char text[160], a[NUM_TEXT], b[NUM_TEXT], c[NUM_TEXT];
    uint32_t ok = v->done > v->failed ? v->done - v->failed : 0;
    snprintf(text, sizeof text, "%s/%s ok %s", num_count_text(a, v->done),
             num_count_text(b, v->total), num_count_text(c, ok));
    part(p, text);
    if (v->failed > 0) {
        snprintf(text, sizeof text, " failed %s", num_count_text(a, v->failed));
        part(p, text);
    }
    snprintf(text, sizeof text, " \xc2\xb7 running %s", num_count_text(a, v->running));
    part(p, text);
    if (v->paused)
        part(p, " \xc2\xb7 paused: the reader is slow");
    uint64_t eta = eta_ms(v);
    if (eta > 0 && !v->paused) {
        snprintf(text, sizeof text, " \xc2\xb7 eta %s",
                 num_duration_text(a, (eta + 999) / 1000 * 1000));
        char *tenths = strstr(text, ".0s");
        if (tenths != NULL)
            memcpy(tenths, "s", 2);
        part(p, text);
    }
}

static void stragglers(struct progress *p, const struct progress_view *v)
{
    for (uint32_t i = 0; i < v->straggler_count; i++) {
        char name[NAME_MAX_BYTES], text[NAME_MAX_BYTES + 100];
        str_escape_to(name, sizeof name, v->stragglers[i], strlen(v->stragglers[i]), 0);
        const char *before = i == 0 ? " \xc2\xb7 waiting for " : ", ";
        const char *phase = v->straggler_phases != NULL ? v->straggler_phases[i] : "";
        if (phase == NULL || phase[0] == '\0' || v->straggler_ms == NULL)
            snprintf(text, sizeof text, "%s%s", before, name);
        else
            snprintf(text, sizeof text, "%s%s (%.20s %llus)", before, name, phase,
                     (unsigned long long)(v->straggler_ms[i] / 1000));
        if (part(p, text))
            continue;
        snprintf(text, sizeof text, "%s%s", before, name); /* a narrow terminal: at least who */
        if (i == 0)
            part(p, text);
        return;
    }
}

void progress_draw(struct progress *p, const struct progress_view *v)
{
    buf_reset(&p->line);
    counts(p, v);
    stragglers(p, v);
    bool same = p->drawn && p->line.len == p->last.len &&
                memcmp(p->line.data, p->last.data, p->line.len) == 0;
    if (same)
        return;
    buf_reset(&p->last);
    must(buf_append(&p->last, p->line.data, p->line.len) == RC_OK);
    if (p->sink->is_tty)
        p->sink->write(p->sink->user, "\r", 1);
    p->sink->write(p->sink->user, p->line.data, p->line.len);
    if (p->sink->is_tty)
        p->sink->write(p->sink->user, "\033[K", 3);
    else
        p->sink->write(p->sink->user, "\n", 1);
    p->drawn = true;
}

void progress_erase(struct progress *p)
{
    if (p->drawn && p->sink->is_tty)
        p->sink->write(p->sink->user, "\r\033[K", 4);
    p->drawn = p->drawn && !p->sink->is_tty; /* elsewhere the last line still stands */
}

static void say(struct progress *p, const char *s)
{
    p->sink->write(p->sink->user, s, strlen(s));
}

void progress_report(struct progress *p, const struct progress_view *v)
{
    char text[NAME_MAX_BYTES + 160], a[NUM_TEXT], b[NUM_TEXT], c[NUM_TEXT], d[NUM_TEXT];
    progress_erase(p);
    snprintf(text, sizeof text, "%s of %s done, %s failed, %u running, %u not started, %s\n",
             num_count_text(a, v->done), num_count_text(b, v->total), num_count_text(c, v->failed),
             (unsigned)v->running, (unsigned)v->waiting, num_duration_text(d, v->elapsed_ms));
    say(p, text);
    for (uint32_t i = 0; i < v->straggler_count; i++) {
        char name[NAME_MAX_BYTES];
        str_escape_to(name, sizeof name, v->stragglers[i], strlen(v->stragglers[i]), 0);
        size_t width = str_width(name, strlen(name));
        snprintf(text, sizeof text, "  %s%*s  %-9.20s %s\n", name,
                 width < REPORT_NAME ? (int)(REPORT_NAME - width) : 0, "",
                 v->straggler_phases != NULL ? v->straggler_phases[i] : "",
                 num_duration_text(a, v->straggler_ms != NULL ? v->straggler_ms[i] : 0));
        say(p, text);
    }
}
