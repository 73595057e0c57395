/* See grid.h. */
#include "controller/stats/grid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/num.h"
#include "common/str.h"
#include "inventory/value.h"

enum { WIDTH_MOST = 40, SHOWN = 4 * 1024 };
_Static_assert((int)SHOWN >= (int)FIGURE_TEXT, "a number fits");

/* The digits of n, `decimals` of them behind a point. */
static void put_digits(char *dst, uint64_t n, int decimals)
{
    char text[24];
    int len = 0;
    for (; n > 0 || len <= decimals; n /= 10)
        text[len++] = (char)('0' + n % 10);
    while (len > 0) {
        *dst++ = text[--len];
        if (len == decimals && len > 0)
            *dst++ = '.';
    }
    *dst = '\0';
}

/* Most figures are whole, percentages with one decimal, loads with two: the first number of
 * decimals that divides back to v is the shortest text of it, as no two numbers of 15 digits are
 * one double. That takes no search and no big numbers. */
char *grid_number(char *dst, double v)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double size = fabs(v);
    for (int d = 0; d < 10 && (size >= 1e-4 || size == 0) && size * tens[d] < 1e15; d++) {
        uint64_t n = (uint64_t)(size * tens[d] + 0.5);
        if ((double)n / tens[d] != size)
            continue;
        dst[0] = '-';
        put_digits(dst + (v < 0), n, d);
        return dst;
    }
    value_float_text(dst, v);
    size_t n = strlen(dst);
    if (n > 2 && strcmp(dst + n - 2, ".0") == 0)
        dst[n - 2] = '\0';
    return dst;
}

/* A number in full, for programs. */
static const char *exact(const struct grid_cell *c, char dst[GRID_NUMBER])
{
    switch (c->what) {
    case GRID_REAL: return grid_number(dst, c->real);
    case GRID_WHOLE: put_digits(dst, c->whole, 0); return dst;
    case GRID_NEGATIVE:
        dst[0] = '-';
        put_digits(dst + 1, c->whole, 0);
        return dst;
    case GRID_BOOL: return c->whole ? "true" : "false";
    default: return "";
    }
}

void grid_json_value(const struct grid_cell *c, struct text *t)
{
    char number[GRID_NUMBER];
    if (c->what == GRID_NOTHING)
        text_puts(t, "null");
    /* Readers with 64 bits and a sign refuse the whole document for one host's wild count. */
    else if (c->what == GRID_WHOLE && c->whole > INT64_MAX)
        text_puts(t, grid_number(number, c->real));
    else if (c->what == GRID_TEXT)
        text_json(t, c->text);
    else
        text_puts(t, exact(c, number));
}

void grid_json_row(const struct grid *g, uint32_t row, const char *head, struct text *t)
{
    struct grid_cell c;
    text_puts(t, head);
    for (uint32_t i = 0; i < g->columns; i++) {
        g->cell(g->user, row, i, &c);
        text_puts(t, i > 0 ? "," : "");
        text_json(t, g->title(g->user, i));
        text_puts(t, ":");
        grid_json_value(&c, t);
    }
    text_puts(t, "}");
}

/* ---- for people ---- */

/* What is shown, harmless, in dst or our own. Returns its length. */
static size_t shown(const struct grid_cell *c, char dst[SHOWN])
{
    switch (c->what) {
    case GRID_NOTHING: dst[0] = '\0'; break;
    case GRID_BOOL: memcpy(dst, c->whole ? "yes" : "no", c->whole ? 4 : 3); break;
    case GRID_TEXT: str_escape_to(dst, SHOWN, c->text, strlen(c->text), 0); break;
    default: figure_format(dst, c->unit, c->real); break;
    }
    return strlen(dst);
}

static void measure(const struct grid *g, uint32_t *widths)
{
    char text[SHOWN];
    struct grid_cell c;
    for (uint32_t i = 0; i < g->columns; i++) {
        const char *title = g->title(g->user, i);
        widths[i] = (uint32_t)str_width(title, strlen(title));
        for (uint32_t r = 0; r < g->rows + g->foot; r++) {
            g->cell(g->user, r, i, &c);
            size_t w = str_width(text, shown(&c, text));
            if (w > widths[i])
                widths[i] = (uint32_t)(w < WIDTH_MOST ? w : WIDTH_MOST);
        }
    }
}

struct pen {
    struct text *t;
    size_t owed; /* blanks before the next thing: no line ends in blanks */
};

static void put(struct pen *p, const char *s, size_t n, size_t width, bool right)
{
    size_t w = str_width(s, n), pad = w < width ? width - w : 0;
    p->owed += right ? pad : 0;
    if (w > 0) {
        text_spaces(p->t, p->owed);
        text_put(p->t, s, n);
        p->owed = 0;
    }
    p->owed += (right ? 0 : pad) + 2;
}

static void put_row(const struct grid *g, uint32_t row, const uint32_t *widths, struct text *t)
{
    char text[SHOWN];
    struct grid_cell c;
    struct pen p = {.t = t};
    for (uint32_t i = 0; i < g->columns; i++) {
        g->cell(g->user, row, i, &c);
        put(&p, text, shown(&c, text), widths[i], g->is_number(g->user, i));
    }
    text_puts(t, "\n");
}

void grid_table(const struct grid *g, struct text *t)
{
    uint32_t widths[GRID_COLUMNS];
    char text[SHOWN];
    must(g->columns <= GRID_COLUMNS);
    measure(g, widths);
    struct pen p = {.t = t};
    text_style(t, TEXT_BOLD);
    for (uint32_t i = 0; i < g->columns; i++) {
        const char *title = g->title(g->user, i);
        str_escape_to(text, sizeof text, title, strlen(title), 0);
        put(&p, text, strlen(text), widths[i], g->is_number(g->user, i));
    }
    text_style(t, TEXT_PLAIN);
    text_puts(t, "\n");
    for (uint32_t r = 0; r < g->rows + g->foot; r++) {
        if (r == g->rows && r > 0)
            text_puts(t, "\n");
        put_row(g, r, widths, t);
    }
}

/* ---- for spreadsheets ---- */

/* *t writes to what may be a terminal: as in a table, control characters do nothing there. */
static void csv_text(struct text *t, const char *s)
{
    bool tty = t->sink != NULL && t->sink->is_tty;
    bool quote = strpbrk(s, ",\"\r\n") != NULL;
    text_puts(t, quote ? "\"" : "");
    text_puts(t, *s != '\0' && strchr("=+-@\t", *s) != NULL ? "'" : "");
    while (*s != '\0') {
        size_t n = strcspn(s, "\"");
        if (tty)
            text_escape(t, s, n, STR_KEEP_NEWLINE | STR_KEEP_TAB);
        else
            text_put(t, s, n);
        s += n;
        if (*s == '"') {
            text_puts(t, "\"\"");
            s++;
        }
    }
    text_puts(t, quote ? "\"" : "");
}

void grid_csv(const struct grid *g, bool head, struct text *t)
{
    char number[GRID_NUMBER];
    struct grid_cell c;
    for (uint32_t i = 0; head && i < g->columns; i++) {
        csv_text(t, g->title(g->user, i));
        text_puts(t, i + 1 < g->columns ? "," : "\r\n");
    }
    for (uint32_t r = 0; r < g->rows; r++)
        for (uint32_t i = 0; i < g->columns; i++) {
            g->cell(g->user, r, i, &c);
            if (c.what == GRID_TEXT)
                csv_text(t, c.text);
            else
                text_puts(t, exact(&c, number));
            text_puts(t, i + 1 < g->columns ? "," : "\r\n");
        }
}
