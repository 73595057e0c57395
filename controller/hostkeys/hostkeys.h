/* known_hosts, read once and indexed: is this the key of that host?
 *
 * Plain, hashed (|1|salt|hash), [host]:port, wildcard and negated patterns, @revoked,
 * @cert-authority, several files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). The lookup never costs
 * hosts x lines: the presented key is looked up first, and names are scanned (hashed lines, with
 * precomputed HMAC states, eight at a time) only when it is not there.
 *
 * Decides nothing about trust: strict, accept-new and off are the caller's. Coordinator only.
 * hostkeys_check, _check_quick and _types are safe on any thread while nothing loads or adds; the
 * caller serialises hostkeys_add against them.
 */
#ifndef CONTROLLER_HOSTKEYS_HOSTKEYS_H
#define CONTROLLER_HOSTKEYS_HOSTKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum {
    HOSTKEYS_MAX_FILE = 64 * 1024 * 1024, /* bytes of one file */
    HOSTKEYS_MAX_BLOB = 16 * 1024,        /* bytes of one key */
    HOSTKEYS_MAX_NAME = 1024,             /* bytes of a host name as it is looked up */
    HOSTKEYS_MAX_FILES = 1000,
};

enum hostkeys_verdict {
    HOSTKEYS_MATCH,   /* the key is on record for the host */
    HOSTKEYS_UNKNOWN, /* no line names the host */
    HOSTKEYS_CHANGED, /* a line of the same key type names the host, with another key */
    HOSTKEYS_OTHER, /* lines name the host, all of other key types: shake hands again with those */
    HOSTKEYS_REVOKED, /* an @revoked line names host and key */
    HOSTKEYS_EXPIRED, /* lines name the host, all of which were good until a time that has passed */
    HOSTKEYS_CA_ONLY, /* only @cert-authority lines name the host */
};

struct hostkeys_answer {
    enum hostkeys_verdict verdict;
    char where[512];   /* "file:line" of the line that decided, or "" */
    char types[256];   /* key types on record for the host, comma separated, for OTHER and CHANGED;
                          "ssh-dss" may be among them though no handshake can use it */
    char recorded[64]; /* SHA256:… of the key on record, for CHANGED */
    int64_t until; /* MATCH, EXPIRED: seconds since 1970 that the line is good for; 0: for good */
};

struct hostkeys;

enum rc hostkeys_new(struct hostkeys **out, struct err *e);
void hostkeys_free(struct hostkeys *hk); /* NULL is fine */

/* Reads and indexes one file. RC_NOTFOUND when it is missing (callers ignore that for defaults),
 * RC_SYS, RC_LIMIT (too large), RC_NOMEM: the lines read so far may stay indexed. Lines that cannot
 * be read are skipped and counted, as ssh does. */
enum rc hostkeys_load(struct hostkeys *hk, const char *path, struct err *e);
/* The same from memory (tests, fuzzing); `name` is used in places, both are copied. */
enum rc hostkeys_load_text(struct hostkeys *hk, const char *name, const char *text, size_t len,
                           struct err *e);

/* The files that ssh would read: those named, or ~/.ssh/known_hosts, known_hosts2 and the system's,
 * where they exist. A leading ~/ is the home folder. *first (mem_free it): the first of them, where
 * new keys go. A named file must exist but for what is said here. */
struct hostkeys_files {
    const char *const *named;
    size_t count;
    bool may_lack_first, may_lack_all;
};
enum rc hostkeys_open(struct hostkeys **out, const struct hostkeys_files *f, char **first,
                      struct err *e);

size_t hostkeys_count(const struct hostkeys *hk);   /* usable lines */
size_t hostkeys_skipped(const struct hostkeys *hk); /* lines that could not be read */

/* host: the name ssh would look up (HostKeyAlias, or the address connected to as it was given:
 * ansible_host, or the inventory name), compared in lower case; port 22 means the plain form.
 * As in ssh, a key that is on record under the plain name also counts on another port where no line
 * names [host]:port; a key revoked under the plain name is revoked on every port.
 * key_type: "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"; blob: the wire form of the key.
 * Costs microseconds when the key is on record; otherwise up to a pass over all hashed lines. */
void hostkeys_check(const struct hostkeys *hk, const char *host, uint16_t port,
                    const char *key_type, const void *blob, size_t blob_len,
                    struct hostkeys_answer *out);

/* The same for the loop thread: false, with *out unset, when the answer needs more than a few
 * microseconds; the caller then runs hostkeys_check elsewhere. */
bool hostkeys_check_quick(const struct hostkeys *hk, const char *host, uint16_t port,
                          const char *key_type, const void *blob, size_t blob_len,
                          struct hostkeys_answer *out);

/* true when hostkeys_check may have to scan hashed lines by name for this key, whatever the host:
 * a coarser question than hostkeys_check_quick, for callers that have no host yet. */
bool hostkeys_would_scan(const struct hostkeys *hk, const void *blob, size_t blob_len);

/* Key types on record for a host, as an order of preference for the handshake ("" when none);
 * plain and wildcard lines only, so it is cheap; a hint, not a verdict. dst is always terminated;
 * 256 bytes hold every type. */
void hostkeys_types(const struct hostkeys *hk, const char *host, uint16_t port, char *dst,
                    size_t cap);

/* accept-new: appends to `path` under an exclusive lock (creates folder 0700 and file 0600, adds a
 * missing final newline first), after reading what others appended meanwhile and checking again
 * that no line names the host with any key; then to the index. hashed: write |1|… form. RC_OK also
 * when the very same key is on record by now (nothing is written then); RC_EXISTS when another key
 * is, or this one is revoked; RC_CONFIG when the name cannot be written as a host name (blanks,
 * commas, wildcards); RC_SYS; RC_NOMEM (after a write that succeeded the line stays in the file).
 * Waits for the lock, HOSTKEYS_LOCK_MS at most (then RC_LIMIT): not on the loop. */
enum { HOSTKEYS_LOCK_MS = 3000 };
enum rc hostkeys_add(struct hostkeys *hk, const char *path, const char *host, uint16_t port,
                     const char *key_type, const void *blob, size_t blob_len, bool hashed,
                     struct err *e);

/* Many at once, under one lock and in one write. Each entry's result is what hostkeys_add would
 * have said of it (RC_OK, RC_EXISTS, RC_CONFIG); the return value is for what went wrong as a
 * whole, and then nothing was written. */
enum hostkeys_style { HOSTKEYS_PLAIN, HOSTKEYS_HASHED, HOSTKEYS_AS_FILE };
struct hostkeys_entry {
    const char *host;
    uint16_t port;
    const char *key_type;
    const void *blob;
    size_t blob_len;
    int64_t until; /* good until then, see hostkeys_answer; 0: for good */
    bool further;  /* the host has proven another key that is on record: a key of a type that is
                      not may be added */
    enum rc result;
    bool added; /* a line was written */
};
enum rc hostkeys_add_many(struct hostkeys *hk, const char *path, struct hostkeys_entry *entries,
                          size_t n, enum hostkeys_style style, struct err *e);

/* Takes hosts out of a file, or puts another key in the place of the ones they had. The file is
 * replaced in one step under the lock that hostkeys_add takes; all other lines, comments, their
 * order, its mode and a symbolic link to it stay. Lines with a marker stay, and so do patterns; of
 * a line that names several hosts only the name goes. Does not touch an index. */
struct hostkeys_edit {
    const char *host;
    uint16_t port;
    const char *key_type; /* lines of this type only; NULL: all */
    const void *blob;     /* the key that stands there afterwards, of key_type; NULL: none */
    size_t blob_len;
    int64_t until;
    size_t removed; /* out: lines that named the host */
};
/* dry: only counts. RC_OK also without a file; RC_CONFIG, RC_LIMIT, RC_SYS, RC_NOMEM: the file is
 * as it was. */
enum rc hostkeys_edit(const char *path, struct hostkeys_edit *edits, size_t n, bool dry,
                      struct err *e);

/* The keys of certificate authorities for hosts. Does a @cert-authority line name the host (under
 * its plain name too)? With a blob: one with that key. where: its place, at least 512 bytes. */
bool hostkeys_ca(const struct hostkeys *hk, const char *host, uint16_t port, const void *blob,
                 size_t blob_len, char *where);

/* What counts as now for lines with an end (the clock's, from hostkeys_new); tests. Before loading.
 */
void hostkeys_set_now(struct hostkeys *hk, int64_t now_s);

/* Waits until nobody holds the file's lock, without taking it: RC_OK, or RC_LIMIT after
 * HOSTKEYS_LOCK_MS. For a caller that must not keep others from the index meanwhile. */
enum rc hostkeys_await_lock(const char *path, struct err *e);

/* "SHA256:…" as ssh-keygen -l shows it; dst holds at least 64 bytes. Returns dst. */
char *hostkeys_fingerprint(char *dst, const void *blob, size_t blob_len);

#endif
