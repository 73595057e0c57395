/* The record of a run: NDJSON in the state folder, begun before the first connection, so that a
 * killed controller leaves a true account. docs/record.md gives the format.
 *
 * <state>/runs/<run id>.ndjson, 0600: a "start" line (fsynced), "started" and "sent" lines,
 * "result" lines as hosts end, an "end" line (fsynced). Beside it <run id>.d/ holds output that did
 * not fit in memory. Never holds passwords, keys or sealed values. Writing: loop thread only, the
 * disk is met by a thread of the record's own behind a bounded queue. Reading: blocking, any one
 * thread.
 */
#ifndef CONTROLLER_RECORD_RECORD_H
#define CONTROLLER_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/output/output.h"

enum {
    RECORD_ID = 32, /* bytes of a run id with NUL: "20260131-090500-k3f9" */
    RECORD_MAX_QUEUE =
        64 * 1024 * 1024, /* bytes that wait for the disk; more is lost, and counted */
    RECORD_MAX_LINE = 1024 * 1024 * 1024, /* of one line, when reading */
};

/* $XDG_STATE_HOME/muster, ~/.local/state/muster, or `override` (--state). RC_CONFIG without a home.
 */
enum rc record_state_dir(const char *override, struct buf *out, struct err *e);

/* "blake2b:…" of a command; dst holds at least RECORD_DIGEST bytes. Returns dst. */
enum { RECORD_DIGEST = 80 };
char *record_digest(char *dst, const void *p, size_t n);

struct record_start {
    const char *command;          /* NULL with --no-log-command: then only its digest is written */
    const char *command_digest;   /* "blake2b:…" always */
    const char *pattern;          /* or NULL: -w */
    const char *reason;           /* or NULL */
    const char *retry_of;         /* id of the run that this one repeats, or NULL */
    const char *const *argv_safe; /* our own arguments with secrets masked */
    size_t argc;
    const char *const *targets; /* names by target number */
    uint32_t target_count;
    const char *replay; /* JSON text of the options that retry needs; see cli */
};

struct record;

/* Makes the folders (0700) and the file, locks it, writes and fsyncs the start line with who (login
 * uid, uid, user name), tty, host, pid, version, time. Also one line to syslog (facility user).
 * Blocking: before the first connection. SIGXFSZ should be ignored, so that a limit on file sizes
 * is an error like a full disk. On failure nothing is left behind. */
enum rc record_open(struct record **out, const char *state_dir, const struct record_start *start,
                    struct err *e);
/* Here and below NULL is a run that keeps no record: nothing is done, and nothing fails. */
const char *record_id(const struct record *r); /* then "" */
/* Buffered lines; on their way to the disk after record_flush. Failures are remembered and reported
 * once, at the end. `started` comes before each attempt: a host without it surely ran nothing. */
void record_started(struct record *r, uint32_t target);
void record_sent(struct record *r, uint32_t target);
/* json: one object on one line, as output_host_json writes it. */
void record_result(struct record *r, const char *json, size_t len);
/* Hands what is buffered to the writing thread; cheap: once per turn of the loop. */
void record_flush(struct record *r);
/* More than half of the queue waits for the disk: pause the hosts; false again below a quarter. */
bool record_full(struct record *r);
/* The end line: counts per status, exit code, why it stopped (NULL or "": it was not); flushes and
 * fsyncs. RC_SYS when something of the record was lost (disk full); the run's outcome stands.
 * Blocks until the disk has it: after the loop, and before results are shown, so that a reader who
 * leaves in the middle of them leaves a finished record. Afterwards only the spool may be read. */
enum rc record_end(struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                   const char *stopped, uint64_t duration_ms, struct err *e);
void record_free(struct record *r); /* after record_end; NULL is fine */
/* Both. */
enum rc record_close(struct record *r, const uint32_t counts[STATUS_COUNT], int exit_code,
                     const char *stopped, uint64_t duration_ms, struct err *e);
/* The spool for output that does not fit in memory: <run id>.d/. append copies into the queue
 * (RC_LIMIT when that is full, RC_SYS after the disk failed); read waits for what is queued. */
void record_spool(struct record *r, struct spool *out);

/* Reading past runs (history, show, retry). */
struct record_host {
    const char *name;
    bool started, sent; /* such lines were found */
    bool has_result;    /* false: the controller died first, or the line was lost */
    enum status status; /* the result's; without one UNKNOWN if started or sent, else NOT_STARTED */
    bool may_have_run;  /* the command; false: nothing of it was sent there */
    uint64_t at;        /* private: where its result stands */
    size_t len;
};

struct record_run {
    char id[RECORD_ID];
    char *start_json;          /* the start line */
    char *end_json;            /* NULL: the controller did not finish */
    bool alive;                /* the process that writes it still runs */
    struct record_host *hosts; /* by target number */
    uint32_t host_count;
    uint64_t lost_lines; /* that the end line tells of */
    uint32_t damaged;    /* lines in the middle that could not be read */
    char *dir;           /* private: <state>/runs */
    int fd;              /* private */
};

/* Of which runs "last" is the newest. An id names a run of any kind: record_kind tells. */
enum record_use {
    RECORD_ANY,
    RECORD_REPEATABLE, /* it ran a command, and came as far as its hosts */
    RECORD_DETACHED,   /* a repeatable one with --detach */
};

/* `which`: an id, a unique beginning of one, "last" or "-1", "-2" for the one before. RC_NOTFOUND,
 * RC_AMBIGUOUS, RC_CONFIG (not a record, or of another version), RC_SYS, RC_NOMEM. */
enum rc record_read(const char *state_dir, const char *which, enum record_use use,
                    struct record_run **out, struct err *e);
/* The same in the state folder that record_state_dir finds. */
enum rc record_find(const char *override, const char *which, enum record_use use,
                    struct record_run **out, struct err *e);
void record_run_free(struct record_run *r);

/* The result of a host as it was recorded, appended to `out` as JSON text. RC_NOTFOUND without one.
 */
enum rc record_run_result(const struct record_run *r, uint32_t target, struct buf *out,
                          struct err *e);
/* Reads what the run left in its spool; offset counts from the first byte of the file, which also
 * holds what earlier attempts left. *n is 0 at the end, or when there is no such file. */
enum rc record_run_spool(const struct record_run *r, uint32_t target, bool is_stderr,
                         uint64_t offset, void *p, size_t cap, size_t *n);
uint64_t record_run_spool_size(const struct record_run *r, uint32_t target, bool is_stderr);

enum record_kind { KIND_COMMAND, KIND_DETACHED, KIND_ATTACH, KIND_FIGURES };
/* What the run was. *of: for an attach, the id of the run that was looked at; else NULL. */
enum record_kind record_kind(const json_t *start, const char **of);

struct record_summary {
    char id[RECORD_ID];
    char started[40];
    char user[64];
    char *command; /* NULL: not logged */
    uint32_t targets, ok;
    bool finished, alive;
    int exit_code; /* when finished */
    enum record_kind kind;
    bool idle; /* finished, and failed before its first host */
};
/* Newest first, at most `max`. RC_OK also when there is none. Files that are no records are left
 * out. */
enum rc record_list(const char *state_dir, size_t max, struct record_summary **out, size_t *count,
                    struct err *e);
void record_list_free(struct record_summary *s, size_t count);

#endif
