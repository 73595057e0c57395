/* What a run shows: grouped for people, streams and documents for programs.
 *
 * Holds the bytes of each host up to its caps, groups them by content, and renders. Does no I/O
 * on terminals or files of its own accord: text goes to a sink, spilled bytes to a spool. Loop
 * thread only. Text from hosts is escaped wherever a person will read it.
 */
#ifndef CONTROLLER_OUTPUT_OUTPUT_H
#define CONTROLLER_OUTPUT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/outcome/outcome.h"
#include "controller/ssh/session.h"
#include "inventory/inventory.h"

/* Where text goes. write takes all of it or keeps it queued: it never blocks and never fails; a
 * reader that went away is the sink's owner's business. */
struct sink {
    void (*write)(void *user, const void *p, size_t n);
    /* Waits until what was written is out, or the reader is gone; may be NULL. Called once, at the
     * end and for results: on one terminal the summary must come after them. */
    void (*flush)(void *user);
    void *user;
    bool is_tty;
    unsigned columns; /* width of the terminal, 0 unknown */
};

/* Where bytes go that do not fit in memory: one pair of files per host in the record's folder.
 * append returns RC_OK, or an error after which the bytes are only counted; read gives them back
 * for rendering (blocking file reads: after the run). */
struct spool {
    enum rc (*append)(void *user, uint32_t target, bool is_stderr, const void *p, size_t n);
    enum rc (*read)(void *user, uint32_t target, bool is_stderr, uint64_t offset, void *p,
                    size_t cap, size_t *n);
    void *user;
};

enum output_mode {
    OUTPUT_GROUP,
    OUTPUT_STREAM,
    OUTPUT_JSON,
    OUTPUT_NDJSON,
    OUTPUT_CSV,
    OUTPUT_TABLE,
    OUTPUT_NONE,
    OUTPUT_PROMETHEUS, /* of figures only: controller/stats */
};

enum { OUTPUT_MAX_PATTERNS = 16 };

struct output_opts {
    enum output_mode mode;
    bool no_prefix;                          /* -N: stream without "host: " */
    const char *columns;                     /* --columns for table and csv, or NULL */
    const char *match;                       /* --match RE: only lines that match are shown */
    const char *ignore[OUTPUT_MAX_PATTERNS]; /* --ignore RE: masked before grouping */
    size_t ignore_count;
    const char *tally;   /* --tally RE: count hosts per value of its first group */
    bool compare;        /* --compare against the most common output */
    uint64_t max_output; /* bytes kept per host, stdout and stderr together */
    uint64_t max_memory; /* bytes kept in memory for the whole run; what is over is spooled */
    bool color_out, color_err;
    bool quiet; /* -q: no summary of what was ok */
    int verbose;
    /* For the words of the summary: */
    uint64_t connect_timeout_ms, timeout_ms, silence_timeout_ms;
    bool serial_budget; /* --max-fail 0 was not said but implied by --serial */
};

struct output_run { /* what does not change during a run; borrowed for its length */
    const char *run_id;
    const char *command;           /* for people and JSON; NULL when not to be shown */
    const char *retry_hint;        /* "muster retry ID --failed" or NULL */
    const char *attach_hint;       /* "muster attach ID": shows what goes on; or NULL */
    bool looks;                    /* an attach: who leaves it cancels no command */
    struct inv_host *const *hosts; /* by target number */
    uint32_t host_count;
    const struct inventory *inventory; /* for --columns vars.X; may be NULL */
    int64_t started_wall_us;
    uint64_t started_ms; /* clock_ms at the start */
};

/* Everything known of a target at its end; borrowed during the call. */
struct output_result {
    uint32_t target;
    const struct outcome *outcome;
    uint32_t attempts;   /* 0: never started */
    const char *address; /* numeric, of the last attempt, or "" */
    uint16_t port;
    const char *user;
    const char *jump;        /* the bastions in front of it, "outer > inner"; "" or NULL: none */
    int64_t started_wall_us; /* of the last attempt, 0: never started */
    uint64_t duration_us;    /* of the last attempt */
    uint64_t connect_us;     /* of which until the command was sent, 0: not reached */
    const char *server_banner;
    struct session_timing timing;
};

struct output;

/* RC_USAGE when a pattern or a column is wrong: before a record says that there was a run. */
enum rc output_check(const struct output_opts *opts, struct err *e);
/* RC_OK; RC_USAGE when a pattern or a column is wrong. out gets results; info gets the summary for
 * people (stderr). opts and run are copied; what run points to is borrowed. */
enum rc output_new(struct output **out, const struct output_opts *opts,
                   const struct output_run *run, const struct sink *results,
                   const struct sink *info, const struct spool *spool, struct err *e);
void output_free(struct output *o);

/* --out-dir: what hosts print goes there too. Before the first host; borrowed until output_free
 * (outdir_close it after output_finish). */
struct outdir;
void output_set_outdir(struct output *o, struct outdir *d);

void output_started(struct output *o, uint32_t target, uint32_t attempt); /* resets on a retry */
/* What the host printed; not after its output_result. Never fails: what finds no room is counted.
 */
void output_data(struct output *o, uint32_t target, bool is_stderr, const void *p, size_t n);
/* n more bytes that the host printed were not kept: of a past run shown again, or of a job whose
 * host had no room for them. After its data. */
void output_skipped(struct output *o, uint32_t target, bool is_stderr, uint64_t n);
/* The end of a target: exactly once for each, those never started included. */
void output_result(struct output *o, const struct output_result *r);

struct output_end {
    enum problem stopped;         /* why it was stopped early, or PROBLEM_NONE */
    enum problem breaker_problem; /* with BREAKER: the shared problem */
    bool interrupted;             /* Ctrl-C */
    uint64_t duration_ms;
};
/* Renders what waits for the end (group, json, csv, table, summaries). */
void output_finish(struct output *o, const struct output_end *end);

/* The exit code of the run (design: 0, or the sum of 2, 4, 8; 130 when interrupted). */
int output_exit_code(const struct output *o, const struct output_end *end);

/* One host as a JSON object on one line without newline, byte-exact: also what the run's record
 * holds. with_output false leaves stdout and stderr out; true is for the time until the next
 * output_result, and gives what is in memory ("stdout_truncated" when there is more). RC_OK,
 * RC_NOMEM or RC_LIMIT (out is then as it was). */
enum rc output_host_json(struct output *o, const struct output_result *r, bool with_output,
                         struct buf *out);

/* Bytes held in memory now, for tests of the caps. */
uint64_t output_memory(const struct output *o);

/* Counts per status so far, for the progress line and the record. */
void output_counts(const struct output *o, uint32_t counts[STATUS_COUNT]);

#endif
