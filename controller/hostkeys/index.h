/* The inside of struct hostkeys, for hostkeys.c (loading and looking up) and add.c (appending).
 * Nobody else includes this. */
#ifndef CONTROLLER_HOSTKEYS_INDEX_H
#define CONTROLLER_HOSTKEYS_INDEX_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/arena.h"
#include "common/map.h"
#include "controller/hostkeys/hostkeys.h"
#include "controller/hostkeys/line.h"

enum { INDEX_NONE = UINT32_MAX };

/* What add.c knows of a file as it was last read, to read only what was appended since. */
struct index_snapshot {
    bool known;
    dev_t dev;
    ino_t ino;
    off_t size;
    uint64_t tail; /* hash of the last bytes before size */
};

struct index_file {
    char *name; /* in the arena */
    uint32_t lines;
    struct index_snapshot seen;
};

/* A usable line. Plain names are found through `names`, everything else through lists. */
struct index_line {
    uint32_t key;    /* in keys */
    uint32_t number; /* in its file, from 1 */
    uint32_t next;   /* the next of its list with the same key, or INDEX_NONE */
    uint32_t ref;    /* hashed: in hashed; patterns: in patterns */
    uint16_t file;
    uint8_t hashed;
    int64_t until;
};

struct index_list { /* chained through index_line.next */
    uint32_t first, last;
};

struct index_key {
    const uint8_t *blob; /* in the arena */
    uint32_t len;
    uint8_t type;               /* enum line_type */
    struct index_list patterns; /* lines with wildcards or negation */
    struct index_list hashed;
    struct index_list revoked;      /* @revoked lines of either form */
    _Atomic uint32_t hashed_resume; /* where the next look-up begins: a fleet of cloned keys is
                                       asked about in the order in which it was written */
};

struct index_name { /* a plain name on a line */
    uint32_t line;
    uint32_t next; /* the next line with that name */
};

struct index_pattern {
    const char *text; /* in the arena */
    uint32_t len;
    uint32_t line;
};

struct hostkeys {
    struct arena arena;
    struct index_file *files;
    struct index_line *lines;
    struct index_key *keys;
    struct index_name *names;
    struct index_pattern *patterns; /* unmarked lines and, after them in no order, marked ones */
    struct hmac_line *hashed;       /* likewise */
    uint32_t *hashed_owner;         /* the line of hashed[i]; INDEX_NONE when it is marked */
    uint32_t *ca;                   /* @cert-authority lines */
    uint32_t *expired;              /* lines whose end has passed */
    int64_t now;                    /* seconds since 1970, for the above */
    size_t files_len, files_cap;
    size_t lines_len, lines_cap;
    size_t keys_len, keys_cap;
    size_t names_len, names_cap;
    size_t patterns_len, patterns_cap;
    size_t hashed_len, hashed_cap;
    size_t owner_cap;
    size_t ca_len, ca_cap;
    size_t expired_len, expired_cap;
    struct map key_by_blob;  /* to number + 1 */
    struct map name_by_text; /* lower case, to number + 1 of the newest index_name */
    size_t skipped;
};

/* As hostkeys_load_text into a file already in the index, whose line numbers go on. */
enum rc index_load(struct hostkeys *hk, size_t file, const char *text, size_t len, struct err *e);
enum rc index_file_named(struct hostkeys *hk, const char *name, size_t *file, struct err *e);

/* "host" or "[host]:port" in lower case; 0 when longer than dst or than HOSTKEYS_MAX_NAME. */
size_t index_name_form(char *dst, size_t cap, const char *host, uint16_t port);

/* One whole line, newline included. until: 0 for none. RC_OK, RC_NOMEM, RC_LIMIT. (add.c) */
enum rc index_compose(struct buf *b, const char *name, size_t len, const char *key_type,
                      const void *blob, size_t blob_len, bool hashed, int64_t until);
/* Opens the file for reading and appending and locks it, making it where it lacks. RC_OK, RC_SYS,
 * RC_LIMIT (somebody else holds the lock). (add.c) */
enum rc index_open_locked(const char *path, int *out, struct err *e);
/* Can the name stand in a line? (add.c) */
bool index_can_be_written(const char *host);

/* Reads fd from `offset` up to its end into *text (mem_free it). RC_OK, RC_SYS, RC_LIMIT past
 * HOSTKEYS_MAX_FILE, RC_NOMEM. `path` is for messages. */
enum rc index_read(int fd, off_t offset, const char *path, char **text, size_t *len, struct err *e);
/* Notes the file as it is now, with everything up to size read. */
void index_snapshot_take(struct index_snapshot *snap, int fd, off_t size);
/* Is fd still that file, with nothing but appended bytes? */
bool index_snapshot_extends(const struct index_snapshot *snap, int fd);

#endif
