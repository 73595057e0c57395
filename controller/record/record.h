/* The record of a run: NDJSON in the state folder, begun before the first connection, so that a
 * killed controller leaves a true account. docs/record.md gives the format.
 *
 * <state>/runs/<run id>.ndjson, 0600: a "start" line (fsynced), "sent" lines, "result" lines as
 * hosts end, an "end" line (fsynced). Beside it <run id>.d/ holds output that did not fit in memory.
 * Never holds passwords, keys or sealed values. Loop thread only, but writing happens on a thread.
 */
#ifndef CONTROLLER_RECORD_RECORD_H
#define CONTROLLER_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/output/output.h"

enum { RECORD_ID = 32 }; /* bytes of a run id with NUL: "20260131-090500-k3f9" */

/* $XDG_STATE_HOME/muster, ~/.local/state/muster, or `override` (--state). RC_CONFIG without a home. */
enum rc record_state_dir(const char *override, struct buf *out, struct err *e);

struct record_start {
    const char *command;        /* NULL with --no-log-command: then its digest is written */
    const char *command_digest; /* "blake2b:…" always */
    const char *pattern;
    const char *reason;         /* or NULL */
    const char *const *argv_safe; /* our own arguments with secrets masked */
    size_t argc;
    const char *const *targets; /* names by target number */
    uint32_t target_count;
    const char *replay;         /* JSON text of the options that retry needs; see cli */
};

struct record;

/* Makes the folders (0700) and the file, writes and fsyncs the start line with who (login uid, uid,
 * user name), tty, host, pid, version, time. Also one line to syslog (LOG_AUTHPRIV off: LOG_USER).
 * Blocking: before the first connection. */
enum rc record_open(struct record **out, const char *state_dir, const struct record_start *start,
                    struct err *e);
const char *record_id(const struct record *r);
/* Buffered lines; written by record_flush. Failures are remembered and reported once, at the end. */
void record_sent(struct record *r, uint32_t target);
void record_result(struct record *r, const char *json, size_t len);
/* Hands what is buffered to the writing thread; cheap; call once per loop turn or every 100 ms. */
void record_flush(struct record *r);
/* The end line: counts per status, exit code, why it stopped; flushes, fsyncs, closes, frees.
 * RC_SYS when something of the record was lost (disk full); the run's outcome stands. */
enum rc record_close(struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                     const char *stopped, uint64_t duration_ms, struct err *e);
/* The spool for output that does not fit in memory: <run id>.d/ */
void record_spool(struct record *r, struct spool *out);

/* Reading past runs (history, show, retry). */
struct record_host {
    const char *name;
    bool sent;                /* a "sent" line was found */
    const char *json;         /* its result line, NULL: none (the controller died first) */
    enum status status;       /* from json; NOT_STARTED or UNKNOWN without one, by `sent` */
};

struct record_run {
    char id[RECORD_ID];
    char *start_json;         /* the start line */
    char *end_json;           /* NULL: the controller did not finish */
    bool alive;               /* the process that writes it still runs */
    struct record_host *hosts;
    uint32_t host_count;
};

/* `which`: an id, a unique beginning of one, "last", or "-2" for the one before. */
enum rc record_read(const char *state_dir, const char *which, struct record_run **out,
                    struct err *e);
void record_run_free(struct record_run *r);

struct record_summary {
    char id[RECORD_ID];
    char started[40];
    char user[64];
    char *command;
    uint32_t targets, ok;
    bool finished, alive;
    int exit_code;
};
/* Newest first, at most `max`. RC_OK also when there is none. */
enum rc record_list(const char *state_dir, size_t max, struct record_summary **out, size_t *count,
                    struct err *e);
void record_list_free(struct record_summary *s, size_t count);

#endif
