/* -o csv: RFC 4180, a head line, CRLF between records, every field as it is: bytes from hosts are
 * exact unless the sink is a terminal, where they are escaped.
 *
 * A field is written through a sink that doubles quotes, so none is ever whole in memory.
 */
#include <string.h>

#include "common/str.h"
#include "controller/output/internal.h"

struct csv {
    struct output *o;
    bool quote; /* the field needs quotes */
    bool open;  /* and has its first */
};

/* The sink of a cell. Quotes come with the first byte: an empty field has none. */
static void put(void *user, const void *data, size_t n)
{
    struct csv *c = user;
    struct output *o = c->o;
    const char *p = data;
    if (c->quote && !c->open && n > 0) {
        text_puts(&o->out, "\"");
        c->open = true;
    }
    while (n > 0) {
        const char *quote = memchr(p, '"', n);
        size_t run = quote != NULL ? (size_t)(quote - p) : n;
        if (o->results.is_tty)
            text_escape(&o->out, p, run, STR_KEEP_NEWLINE | STR_KEEP_TAB);
        else
            text_put(&o->out, p, run);
        if (quote != NULL)
            text_puts(&o->out, "\"\"");
        p += run + (quote != NULL);
        n -= run + (quote != NULL);
    }
}

/* Fields of ours that are never quoted; all others always are, but for the empty ones. */
static bool is_plain(enum column_id id)
{
    switch (id) {
    case COLUMN_STATUS:
    case COLUMN_PHASE:
    case COLUMN_PROBLEM:
    case COLUMN_EXIT:
    case COLUMN_DURATION:
    case COLUMN_CONNECT:
    case COLUMN_ATTEMPTS:
    case COLUMN_PORT:
    case COLUMN_STARTED:
    case COLUMN_STDOUT_BYTES:
    case COLUMN_STDERR_BYTES:
    case COLUMN_MAY_STILL_RUN: return true;
    default: return false;
    }
}

/* A name or address that needs no quotes gets none: grep and cut are readers too. */
static bool needs_quotes(const char *s)
{
    return strpbrk(s, ",\"\r\n\t ;'") != NULL || !str_utf8_valid(s, strlen(s));
}

static void field(struct csv *csv, const struct column *c, uint32_t target, struct text *cell)
{
    struct output *o = csv->o;
    const struct done_host *h = &o->hosts[target];
    bool bare = is_plain(c->id) ||
                (c->id == COLUMN_HOST && !needs_quotes(output_name(o, target))) ||
                (c->id == COLUMN_ADDRESS && !needs_quotes(h->address)) ||
                (c->id == COLUMN_USER && !needs_quotes(h->user)) ||
                (c->id == COLUMN_SIGNAL && !needs_quotes(h->signal));
    csv->quote = !bare;
    csv->open = false;
    columns_cell(o, c, target, false, cell);
    text_flush(cell);
    if (csv->open)
        text_puts(&o->out, "\"");
}

void csv_render(struct output *o)
{
    struct text cell;
    struct csv csv = {.o = o};
    struct sink through = {.write = put, .user = &csv};
    if (text_init(&cell, &through, false) != RC_OK) {
        text_puts(&o->err, "warning: no memory for csv\n");
        text_fini(&cell);
        return;
    }
    for (size_t i = 0; i < o->column_count; i++) {
        text_puts(&o->out, i ? "," : "");
        text_escape_str(&o->out, o->columns[i].title);
    }
    text_puts(&o->out, "\r\n");
    for (uint32_t t = 0; t < o->run.host_count; t++) {
        if (!o->hosts[t].done)
            continue;
        for (size_t i = 0; i < o->column_count; i++) {
            text_puts(&o->out, i ? "," : "");
            field(&csv, &o->columns[i], t, &cell);
        }
        text_puts(&o->out, "\r\n");
    }
    text_fini(&cell);
}
