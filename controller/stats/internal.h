/* What the files of this folder share of one `muster stats`. Not for others. */
#ifndef CONTROLLER_STATS_INTERNAL_H
#define CONTROLLER_STATS_INTERNAL_H

#include "controller/output/text.h"
#include "controller/stats/by.h"
#include "controller/stats/grid.h"
#include "controller/stats/spread.h"
#include "controller/stats/stats.h"

enum { LIST_MOST = 10, OUTLIERS_MOST = 5, VAR_MOST = 4096 };

struct host_state {
    struct sample *sample; /* NULL: none yet */
    uint64_t at_ms;        /* when it came */
    int64_t at_wall_us;
    uint32_t taken; /* samples so far */
    bool ready;     /* it has figures to show */
    bool ended;
    bool shown;      /* ndjson: its sample is out */
    uint8_t problem; /* with ended: enum problem */
    char *detail;    /* or NULL */
    bool plain;      /* its figures are plain sh's */
    uint8_t plain_problem;
    char *plain_detail; /* or NULL */
};

struct stats {
    struct stats_about about;
    const struct view *view;
    struct host_state *hosts;
    struct by by;
    struct text out, info;
    struct text *foot; /* where a person looks: out on a terminal, else info */
    bool open;
    uint64_t opened_ms;
    uint64_t round_ms; /* when the next round is due; 0: the first waits for hosts */
    uint64_t now_ms;   /* of the call in progress */
    uint32_t rounds;   /* shown */
    uint32_t ended;    /* hosts */
    uint32_t ready;    /* hosts */
    bool nomem;        /* something could not be shown for want of memory */
    uint32_t filter_errors;
    struct err filter_error; /* the first */
    struct buf scratch;      /* a variable's text */
};

/* One line of a table: row `row` of host `host`, of the view's kind. */
struct line {
    uint32_t host, row;
};
struct line_list {
    struct line *items;
    size_t count, cap;
};

/* stats.c: does it count in the round at s->now_ms? */
bool stats_is_fresh(const struct stats *s, uint32_t host);
/* Text of the whole: "4,963 of 5,000 hosts answered". */
void stats_coverage(const struct stats *s, uint32_t fresh, struct text *t);

/* lines.c: the lines of all fresh hosts that the filter keeps, in order. RC_OK, RC_NOMEM. */
enum rc line_list_collect(struct stats *s, struct line_list *out);
/* Those of one host, appended. */
enum rc line_list_add_host(struct stats *s, uint32_t host, enum figure_kind kind,
                           struct line_list *out);
void line_list_fini(struct line_list *l);
void line_cell(struct stats *s, const struct view_column *c, const struct line *l,
               struct grid_cell *out);

/* show.c: table, csv and the footer of a round. */
void show_round(struct stats *s);
void show_plain(struct stats *s); /* who was asked by plain sh for want of an agent */
/* by_show.c */
void by_show(struct stats *s);
/* document.c: json and ndjson. */
void document_begin(struct stats *s);
void document_host(struct stats *s, uint32_t host);  /* ndjson: as it comes */
void document_ended(struct stats *s, uint32_t host); /* ndjson: as it failed */
void document_round(struct stats *s);
void document_end(struct stats *s);
/* prometheus.c */
void prometheus_show(struct stats *s);

#endif
