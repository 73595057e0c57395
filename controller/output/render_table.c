/* -o table: a row a host, columns aligned; text from hosts escaped and cut to its first line. */
#include <string.h>

#include "common/str.h"
#include "controller/output/internal.h"

enum { CELL_MAX = 4096, WIDTH_MOST = 40 };

/* The cell as it will be shown, in scratch; NUL-terminated. "" without memory. */
static const char *cell_text(struct output *o, const struct column *c, uint32_t target,
                             struct text *cell)
{
    buf_reset(cell->buf);
    cell->failed = RC_OK;
    columns_cell(o, c, target, true, cell);
    const char *s = buf_cstr(cell->buf);
    return s != NULL ? s : "";
}

static void measure(struct output *o, struct text *cell, size_t widths[COLUMNS_MAX])
{
    for (size_t i = 0; i < o->column_count; i++)
        widths[i] = text_width(&o->out, o->columns[i].title);
    for (uint32_t t = 0; t < o->run.host_count; t++) {
        /* The last column is not padded: nobody asks how wide it is. */
        for (size_t i = 0; o->hosts[t].done && i + 1 < o->column_count; i++) {
            size_t w = text_width(&o->out, cell_text(o, &o->columns[i], t, cell));
            if (w > widths[i])
                widths[i] = w < WIDTH_MOST ? w : WIDTH_MOST;
        }
    }
}

/* *owed: blanks to the left of the next cell that is not empty: no line ends in blanks. */
static void put_cell(struct output *o, const char *s, size_t width, size_t *owed)
{
    size_t w = text_width(&o->out, s);
    if (w > 0) {
        text_spaces(&o->out, *owed);
        *owed = 0;
    }
    text_escape_str(&o->out, s);
    *owed += 2 + (w < width ? width - w : 0);
}

static void row(struct output *o, uint32_t target, struct text *cell, const size_t *widths)
{
    bool bad = o->hosts[target].status != STATUS_OK;
    size_t owed = 0;
    for (size_t i = 0; i < o->column_count; i++) {
        bool colored = bad && o->columns[i].id == COLUMN_STATUS;
        if (colored)
            text_style(&o->out, TEXT_RED);
        put_cell(o, cell_text(o, &o->columns[i], target, cell), widths[i], &owed);
        if (colored)
            text_style(&o->out, TEXT_PLAIN);
    }
    text_puts(&o->out, "\n");
}

void table_render(struct output *o)
{
    size_t widths[COLUMNS_MAX] = {0};
    struct text cell;
    struct buf text;
    buf_init(&text, CELL_MAX);
    if (text_init(&cell, NULL, false) == RC_OK) {
        cell.buf = &text;
        measure(o, &cell, widths);
        text_style(&o->out, TEXT_BOLD);
        size_t owed = 0;
        for (size_t i = 0; i < o->column_count; i++)
            put_cell(o, o->columns[i].title, widths[i], &owed);
        text_style(&o->out, TEXT_PLAIN);
        text_puts(&o->out, "\n");
        for (uint32_t t = 0; t < o->run.host_count; t++)
            if (o->hosts[t].done)
                row(o, t, &cell, widths);
    } else {
        text_puts(&o->err, "warning: no memory for the table\n");
    }
    text_fini(&cell);
    buf_fini(&text);
}
