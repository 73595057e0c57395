/* What the files of this folder share: the state of one run's output. Not for others.
 *
 * output.c takes events in and keeps results; store.c keeps bytes; render_*.c write. Every
 * renderer works without allocating where it can, so that a run ends with a report also when
 * there is no memory left.
 */
#ifndef CONTROLLER_OUTPUT_INTERNAL_H
#define CONTROLLER_OUTPUT_INTERNAL_H

#include "common/arena.h"
#include "controller/output/filter.h"
#include "controller/output/outdir.h"
#include "controller/output/output.h"
#include "controller/output/store.h"
#include "controller/output/text.h"

enum {
    LINES_HOLD = 64 * 1024, /* a longer line is shown in pieces */
    MESSAGE_MAX = 160,      /* bytes of a host's last words kept for the failure table */
    TALLY_VALUE = 200,
    LIST_LINES = 200, /* hosts shown as "host  line" before the rest is one line */
};

/* A finished host. Strings live in the arena or are "" (also for want of memory). */
struct done_host {
    uint8_t status, phase, problem;
    bool done, sent, may_still_run, noise;
    bool keyed; /* text_key is there */
    bool shown; /* ndjson: its line is out */
    int16_t exit_code;
    uint16_t port;
    uint32_t attempts;
    char signal[16];
    const char *address, *user, *jump, *banner;
    const char *detail;  /* outcome's */
    const char *message; /* last line of stderr, as it came */
    const char *tally;   /* NULL: no match */
    int64_t started_wall_us;
    uint64_t duration_us, connect_us;
    struct session_timing timing;
    uint8_t text_key[STORE_KEY]; /* of what is shown, when keyed */
};

enum column_id {
    COLUMN_HOST,
    COLUMN_STATUS,
    COLUMN_PHASE,
    COLUMN_PROBLEM,
    COLUMN_DETAIL,
    COLUMN_EXIT,
    COLUMN_SIGNAL,
    COLUMN_DURATION,
    COLUMN_CONNECT,
    COLUMN_ATTEMPTS,
    COLUMN_ADDRESS,
    COLUMN_PORT,
    COLUMN_USER,
    COLUMN_STARTED,
    COLUMN_STDOUT,
    COLUMN_STDERR,
    COLUMN_STDOUT_BYTES,
    COLUMN_STDERR_BYTES,
    COLUMN_MAY_STILL_RUN,
    COLUMN_SERVER,
    COLUMN_VAR,
    COLUMN_COUNT
};

enum { COLUMNS_MAX = 64 };

struct column {
    enum column_id id;
    const char *title; /* in the arena */
    const char *var;   /* COLUMN_VAR: the variable's name */
};

struct stream_host; /* render_stream.c */

struct output {
    struct output_opts opts; /* its strings are not used after output_new */
    struct output_run run;
    struct sink results, info;
    struct spool spool;
    struct text out, err; /* before results and info */
    struct store *store;
    struct filter *filter; /* NULL: none */
    struct outdir *outdir; /* borrowed; NULL: none */
    struct arena arena;
    struct done_host *hosts;
    uint32_t counts[STATUS_COUNT];
    uint32_t done_count;
    uint32_t retried_ok;
    uint32_t to_drop; /* the last host to end, where its bytes are not kept; UINT32_MAX none */
    const char *last_user, *last_jump, *last_banner; /* most hosts share these: kept once */
    struct column columns[COLUMNS_MAX];
    size_t column_count;
    struct stream_host **streams; /* stream mode: unfinished lines */
    uint64_t stream_memory;
    uint8_t *hold; /* LINES_HOLD bytes for the one line reader in use */
    bool begun;    /* ndjson: the first line is out */
};

/* columns.c: RC_USAGE names the column and lists those there are. */
enum rc columns_parse(struct output *o, const char *list, struct err *e);
/* The cell as text, complete for csv; short (durations for people, first line) for a table. */
void columns_cell(struct output *o, const struct column *c, uint32_t target, bool for_people,
                  struct text *t);

/* render_stream.c */
enum rc stream_new(struct output *o, struct err *e);
void stream_free(struct output *o);
void stream_data(struct output *o, uint32_t target, bool is_stderr, const uint8_t *p, size_t n);
void stream_end(struct output *o, uint32_t target); /* shows the unfinished line */

/* render_json.c and render_ndjson.c */
void json_host(struct output *o, struct text *t, const struct output_result *r, bool with_output,
               bool with_spool);
void json_summary(struct output *o, struct text *t, const struct output_end *end);
void json_document(struct output *o, const struct output_end *end);
void ndjson_begin(struct output *o);
void ndjson_result(struct output *o, const struct output_result *r, bool with_spool);
void ndjson_end(struct output *o, const struct output_end *end);

void group_render(struct output *o);                /* render_group.c */
void compare_render(struct output *o);              /* compare.c */
void tally_note(struct output *o, uint32_t target); /* tally.c: at the host's end */
void tally_render(struct output *o, struct text *t);
void tally_json(struct output *o, struct text *t); /* an array, or null without memory */
void csv_render(struct output *o);                 /* render_csv.c */
void table_render(struct output *o);               /* render_table.c */
void summary_render(struct output *o, const struct output_end *end); /* summary.c */
/* hints.c */
bool hints_is_noise(const uint8_t *p, size_t n);
void hints_render(struct output *o);

/* output.c: a kept result as it was given. *outcome holds what result points to. */
void output_recall(const struct output *o, uint32_t target, struct outcome *outcome,
                   struct output_result *r);

/* The host is done and its command was sent. */
bool output_ran(const struct output *o, uint32_t target);

/* phrase.c: short texts that several renderers need. */
const char *output_name(const struct output *o, uint32_t target);
/* "10s" for whole seconds, "1.3s" otherwise; dst holds NUM_TEXT bytes. */
char *phrase_limit(char *dst, uint64_t ms);
/* "299 MiB", "1.5 KiB". */
char *phrase_size(char *dst, uint64_t bytes);
/* What went wrong in a few words, such as "exit 3", "signal TERM", "connect-timeout after 10s". */
void phrase_cause(const struct output *o, uint32_t target, char *dst, size_t cap);
/* A group's hosts: up to `plain` of them by name, more folded ("web[01-40,43]"); escaped; cut at a
 * comma after about `most` bytes (0: never). */
struct groups;
struct group;
void phrase_hosts(struct output *o, const struct groups *gs, const struct group *g, uint32_t plain,
                  size_t most, struct text *t);

#endif
