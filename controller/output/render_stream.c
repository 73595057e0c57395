/* -o stream: each line as soon as it is whole, as "host: line"; stdout's on the results sink,
 * stderr's on the info sink. Lines of two hosts are never mixed. An unfinished line waits for its
 * end, for the host's end, or until it is STREAM_LINE long.
 *
 * With a prefix lines are for people and escaped. With -N and no terminal they pass byte for byte.
 */
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/output/internal.h"

enum { STREAM_LINE = 64 * 1024 };

struct stream_host { /* made with the first unfinished line, freed with the host's end */
    struct buf rest[2];
};

enum rc stream_new(struct output *o, struct err *e)
{
    o->streams = mem_calloc(o->run.host_count, sizeof(struct stream_host *));
    return o->streams != NULL ? RC_OK : err_nomem(e);
}

static void forget(struct output *o, uint32_t target)
{
    struct stream_host *h = o->streams[target];
    if (h == NULL)
        return;
    for (int k = 0; k < 2; k++) {
        o->stream_memory -= h->rest[k].cap;
        buf_fini(&h->rest[k]);
    }
    mem_free(h);
    o->streams[target] = NULL;
}

void stream_free(struct output *o)
{
    for (uint32_t i = 0; o->streams != NULL && i < o->run.host_count; i++)
        forget(o, i);
    mem_free(o->streams);
    o->streams = NULL;
}

static bool is_exact(const struct output *o, bool is_stderr)
{
    const struct sink *s = is_stderr ? &o->info : &o->results;
    return o->opts.no_prefix && !s->is_tty;
}

static void line(struct output *o, uint32_t target, bool is_stderr, const uint8_t *p, size_t n,
                 bool whole)
{
    struct text *t = is_stderr ? &o->err : &o->out;
    bool exact = is_exact(o, is_stderr);
    if (!exact && n > 0 && p[n - 1] == '\r')
        n--;
    if (!filter_line(o->filter, p, n, &p, &n))
        return;
    if (!o->opts.no_prefix) {
        text_style(t, is_stderr ? TEXT_DIM : TEXT_BOLD);
        text_escape_str(t, output_name(o, target));
        text_puts(t, ": ");
        text_style(t, TEXT_PLAIN);
    }
    if (exact)
        text_put(t, p, n);
    else
        text_escape(t, p, n, STR_KEEP_TAB);
    if (whole || !exact)
        text_puts(t, "\n");
}

/* Puts the bytes away until the line's end comes. false: no memory, show them as they are. */
static bool put_away(struct output *o, uint32_t target, bool is_stderr, const uint8_t *p, size_t n)
{
    struct stream_host *h = o->streams[target];
    if (h == NULL) {
        h = o->streams[target] = mem_calloc(1, sizeof *h);
        if (h == NULL)
            return false;
        buf_init(&h->rest[0], STREAM_LINE);
        buf_init(&h->rest[1], STREAM_LINE);
    }
    struct buf *b = &h->rest[is_stderr];
    size_t before = b->cap;
    bool ok = buf_append(b, p, n) == RC_OK;
    o->stream_memory += b->cap - before;
    return ok;
}

static void show_rest(struct output *o, uint32_t target, bool is_stderr, bool whole)
{
    struct buf *b = &o->streams[target]->rest[is_stderr];
    line(o, target, is_stderr, b->data, b->len, whole);
    buf_reset(b);
}

static bool has_rest(const struct output *o, uint32_t target, bool is_stderr)
{
    return o->streams[target] != NULL && o->streams[target]->rest[is_stderr].len > 0;
}

/* n bytes without a newline, or with one right after them (whole). */
static void piece(struct output *o, uint32_t target, bool is_stderr, const uint8_t *p, size_t n,
                  bool whole)
{
    if (has_rest(o, target, is_stderr)) {
        if (n == 0 || put_away(o, target, is_stderr, p, n)) {
            if (whole)
                show_rest(o, target, is_stderr, true);
            return;
        }
        show_rest(o, target, is_stderr, false); /* too long, or no memory: shown in pieces */
    }
    for (; n > STREAM_LINE; p += STREAM_LINE, n -= STREAM_LINE)
        line(o, target, is_stderr, p, STREAM_LINE, false);
    if (whole || !put_away(o, target, is_stderr, p, n))
        line(o, target, is_stderr, p, n, whole);
}

void stream_data(struct output *o, uint32_t target, bool is_stderr, const uint8_t *p, size_t n)
{
    while (n > 0) {
        const uint8_t *nl = memchr(p, '\n', n);
        size_t len = nl != NULL ? (size_t)(nl - p) : n;
        piece(o, target, is_stderr, p, len, nl != NULL);
        p += len + (nl != NULL);
        n -= len + (nl != NULL);
    }
    text_flush(&o->out);
    text_flush(&o->err);
}

void stream_end(struct output *o, uint32_t target)
{
    for (int k = 0; k < 2; k++)
        if (has_rest(o, target, k))
            show_rest(o, target, k, false);
    text_flush(&o->out);
    text_flush(&o->err);
    forget(o, target);
}
