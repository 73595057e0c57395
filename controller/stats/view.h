/* What is to be shown: columns, the kind of line they make, filter, order; and what must be asked
 * of the hosts for it. Made of options before anything is connected. Loop thread only.
 */
#ifndef CONTROLLER_STATS_VIEW_H
#define CONTROLLER_STATS_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/stats/sample.h"
#include "inventory/inventory.h"
#include "inventory/where.h"

enum { VIEW_COLUMNS = 64 };

enum column_what { COLUMN_IS_HOST, COLUMN_IS_TIME, COLUMN_IS_VAR, COLUMN_IS_FIGURE };

struct view_column {
    enum column_what what;
    enum figure figure; /* COLUMN_IS_FIGURE */
    const char *title;  /* as it was written */
    const char *var;    /* COLUMN_IS_VAR: the variable's name */
};

struct view {
    struct arena arena;
    struct view_column columns[VIEW_COLUMNS];
    uint32_t column_count;
    bool whole; /* a document with every figure; columns are not used */
    struct view_column sort;
    bool sorted, descending;
    struct where *filter;      /* or NULL */
    enum figure_kind kind;     /* of a line */
    const char *by;            /* a line a value of this, or NULL */
    uint32_t sections;         /* bit per enum stats_section: asked for */
    uint32_t kinds;            /* bit per enum figure_kind: kept of a sample */
    bool wanted[FIGURE_COUNT]; /* unless whole: what is shown or asked, and what that needs */
    bool rates;                /* a sample alone is not enough */
    bool detail;
    uint32_t top;         /* processes of each host; 0: none */
    const char *top_by;   /* rss, cpu, io */
    uint64_t interval_ms; /* 0: once */
    uint32_t rounds;      /* to show; 0: without end */
    uint32_t samples;     /* to ask of each host; 0: without end */
};

/* RC_OK; RC_USAGE, RC_PARSE, RC_LIMIT with the option and what would be right; RC_NOMEM. view_fini
 * it whatever came back. Strings of `o` are borrowed. */
enum rc view_init(struct view *v, const struct options *o, struct err *e);
void view_fini(struct view *v);

/* Names of --filter and vars.NAME that no figure and no variable of these hosts has. RC_USAGE. */
enum rc view_check_names(const struct view *v, const struct inventory *inv,
                         struct inv_host *const *hosts, uint32_t count, struct err *e);

/* Appends the REQUEST for the agent (proto/PROTOCOL.md, stats). RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc view_request(const struct view *v, struct buf *out);

/* Does row `row` of s satisfy the filter? A filter without a figure of a row's kind is asked with
 * row 0. Errors name the host. */
enum rc view_keeps(const struct view *v, const struct inventory *inv, const struct inv_host *h,
                   const struct sample *s, uint32_t row, bool *out, struct err *e);

/* A figure as a value for expressions, in `space`; VALUE_NULL when it is not known. */
void view_value(const struct sample *s, enum figure f, uint32_t row, struct value *space);

/* The row of figure f on a line that is row `row` of the view's kind. */
uint32_t view_row(enum figure f, uint32_t row);

#endif
