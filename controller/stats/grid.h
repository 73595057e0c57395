/* Rows and columns of values, whoever has them: asked cell by cell, twice for a table (widths, then
 * text), so that nothing is held however many rows there are. Shown for people, as CSV or as JSON
 * objects. Text from hosts is made harmless here. Loop thread only.
 */
#ifndef CONTROLLER_STATS_GRID_H
#define CONTROLLER_STATS_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/output/text.h"
#include "controller/stats/figures.h"

enum grid_what { GRID_NOTHING, GRID_REAL, GRID_WHOLE, GRID_NEGATIVE, GRID_BOOL, GRID_TEXT };

struct grid_cell {
    enum grid_what what;
    enum figure_unit unit; /* of a number, for people */
    double real;           /* GRID_REAL, and the value of every other number */
    uint64_t whole;        /* GRID_WHOLE, GRID_BOOL; GRID_NEGATIVE: its amount */
    const char *text;      /* GRID_TEXT; until the next cell is asked for */
};

struct grid {
    uint32_t columns, rows;
    uint32_t foot; /* rows after them that only people see, below a blank line */
    const char *(*title)(void *user, uint32_t column);
    bool (*is_number)(void *user, uint32_t column); /* to the right */
    void (*cell)(void *user, uint32_t row, uint32_t column, struct grid_cell *out);
    void *user;
};

enum { GRID_COLUMNS = 256 };

void grid_table(const struct grid *g, struct text *t);
/* RFC 4180; a text that a spreadsheet would take for a formula gets an apostrophe. */
void grid_csv(const struct grid *g, bool head, struct text *t);
/* {"title":value,…}, nothing after it. head: "{", or what an object begins with, and its comma. */
void grid_json_row(const struct grid *g, uint32_t row, const char *head, struct text *t);

/* A value alone: for JSON (null where there is none), and as CSV writes it. */
void grid_json_value(const struct grid_cell *c, struct text *t);
/* The shortest digits that read back as v: "12", "0.1". Returns dst. */
enum { GRID_NUMBER = 64 };
char *grid_number(char *dst, double v);

#endif
