/* What the files of this folder share: names and lines of a record. Not for others. */
#ifndef CONTROLLER_RECORD_INTERNAL_H
#define CONTROLLER_RECORD_INTERNAL_H

#include <pthread.h>

#include <jansson.h>

#include "controller/record/record.h"

#define RECORD_SCHEMA "muster.record/1"

enum { RECORD_PATH = 4096, SPOOL_NAME = 160 };

struct piece { /* output on its way to the spool */
    struct piece *next;
    uint32_t target;
    bool is_stderr;
    size_t len;
    uint8_t data[];
};

struct record {
    char id[RECORD_ID];
    char *dir;          /* <state>/runs */
    const char **names; /* by target number, in one block with the text */
    uint32_t count;
    int fd;
    /* the thread's own while it runs */
    uint64_t size; /* of the file: all whole lines */
    int spool_dir; /* -1: not made yet */
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    struct buf pending; /* lines */
    struct piece *pieces, **tail;
    size_t queued; /* bytes in pending and pieces, and those being written */
    bool flush, closing;
    bool full;        /* what record_full said last */
    bool ended;       /* record_end was called: the thread is gone */
    int failed;       /* first errno that cost something, or 0 */
    uint64_t lost;    /* lines that did not get in */
    int spool_failed; /* errno */
    pthread_t thread;
};

/* Writes the pieces (unless `failed` is already an errno: a gap would shift what follows) and frees
 * them; the writing thread only. 0, or the first errno. */
int spool_write(struct record *r, struct piece *p, int failed);

/* "000012-web1.out": one safe path component, the same for the same target. Returns dst. */
char *spool_name(char *dst, uint32_t target, const char *host, bool is_stderr);

/* pread and pwrite of all n bytes; 0, or errno. A short read sets *got. */
int record_pread(int fd, void *p, size_t n, uint64_t at, size_t *got);
int record_pwrite(int fd, const void *p, size_t n, uint64_t at, size_t *put);

/* find.c: ids of records and the files behind them. */
struct ids {
    char **items; /* newest first */
    size_t count, cap;
};
char *record_runs_dir(const char *state_dir); /* mem_free it; NULL: no memory */
/* All ids in the folder. No folder: none. ids_free whatever came back. */
enum rc ids_list(const char *dir, struct ids *out, struct err *e);
void ids_free(struct ids *ids);
/* The id that `which` means; id holds RECORD_ID bytes. */
enum rc ids_choose(const char *dir, const struct ids *ids, const char *which, enum record_use use,
                   char *id, struct err *e);
/* record_list.c: the id of the place-th newest run of those, from 0. */
enum rc ids_place(const char *dir, const struct ids *ids, enum record_use use, size_t place,
                  char *id, struct err *e);
int record_open_file(const char *dir, const char *id); /* for reading; -1 and errno */
/* Somebody else holds the lock on the whole file: the run goes on. */
bool record_is_locked(int fd);
/* A text that record_put_text wrote; mem_free it. NULL: it is something else, or no memory. */
char *record_take_text(const json_t *v);

/* identity.c: the members of the start line that say who and where; appends `"user":…,` and so on.
 */
enum rc record_identity(struct buf *out);
/* One line to syslog; text is escaped and cut. */
void record_syslog(const char *id, const char *text);
/* The user's name, or its number as text. */
const char *record_user(char *dst, size_t cap);

/* A JSON string, or {"base64":"…"} for bytes that are not UTF-8; null for NULL. */
enum rc record_put_text(struct buf *out, const char *s);

#endif
