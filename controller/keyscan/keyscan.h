/* What a scan of host keys has found, and what is to be made of it: the parts of muster keyscan.
 *
 *   run (struct run_scan) -> found -> judge (known_hosts) -> expect (--verify) -> report -> store
 *
 * Coordinator. found_* are called from the loop while the run goes on; everything else comes after
 * the loop is gone, and may block.
 */
#ifndef CONTROLLER_KEYSCAN_KEYSCAN_H
#define CONTROLLER_KEYSCAN_KEYSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/hostkeys/hostkeys.h"
#include "controller/outcome/outcome.h"
#include "controller/run/target.h"
#include "controller/run/trust.h"

enum { FOUND_MAX_KEYS = 4, FOUND_PRINT = 64 };

enum key_state {
    KEY_NEW,     /* not on record */
    KEY_KNOWN,   /* on record */
    KEY_CHANGED, /* the host is on record with other keys only */
    KEY_REVOKED,
    KEY_STATE_COUNT
};

enum key_proof {
    PROOF_NONE,     /* nothing but the host's own word: first use */
    PROOF_VERIFIED, /* `by` says the same */
    PROOF_DENIED,   /* `by` says otherwise */
    PROOF_MISSING,  /* an authority answers for the host, and no good certificate covers this key:
                       `by` says why; not to be recorded */
    PROOF_COUNT
};

struct found_key {
    const char *type; /* "ssh-ed25519" */
    const uint8_t *blob;
    uint32_t len;
    enum key_state state;
    enum key_proof proof;
    bool expired;         /* new, but a line for the host is there whose time has passed */
    bool further;         /* new, but another key of the host is on record and was shown */
    const char *where;    /* known_hosts line that decided the state, or "" */
    const char *recorded; /* what is on record instead, for people; CHANGED */
    const char *by;       /* what verified or denied it: "keys.txt:3"; "" */
    int64_t until;        /* when the proof ends, seconds since 1970; 0: never */
    int64_t line_until;   /* KNOWN: when the line that knows it ends; 0: never */
};

struct found_host {
    const struct target *target;
    struct found_key keys[FOUND_MAX_KEYS];
    unsigned key_count;
    enum problem problem; /* of the host's end */
    const char *detail, *address;
};

struct found {
    struct found_host *hosts; /* by target number */
    uint32_t count;
    struct arena arena; /* of the strings and keys */
    bool nomem;         /* something could not be kept: the scan is not to be believed */
};

/* targets are borrowed. RC_OK, RC_NOMEM. */
enum rc found_init(struct found *f, const struct target *targets, uint32_t count, struct err *e);
void found_fini(struct found *f);
/* The two callbacks of struct run_scan; user is the struct found. */
void found_seen(void *user, uint32_t target, const char *key_type, const void *blob, size_t len);
void found_ended(void *user, uint32_t target, const struct outcome *o, const char *address);

/* What known_hosts calls a host. */
uint16_t found_port(const struct target *t);
/* "SHA256:…" of a key; dst holds FOUND_PRINT. Returns dst. */
char *found_print(char *dst, const struct found_key *k);
/* One of the host's keys is not the one on record. */
bool found_is_changed(const struct found_host *h);
/* One of them is revoked or denied: nothing of the host is ever recorded. */
bool found_is_refused(const struct found_host *h);
/* An authority answers for it, and none of its keys has a good certificate. */
bool found_is_uncertified(const struct found_host *h);

/* Sets the state of each key, by the files of its host. RC_OK, RC_NOMEM. */
enum rc judge_found(struct found *f, const struct trust *t, struct err *e);

/* What --verify knows. Files are lines of known_hosts (ssh-keyscan's too), of ssh-keygen -l, or
 * "HOST SHA256:FINGERPRINT". RC_OK; RC_CONFIG for a file that holds nothing of the kind. */
struct expect;
enum rc expect_new(struct expect **out, const struct strings *files, struct err *e);
/* The same from memory; tests. name is used in places. */
enum rc expect_new_text(struct expect **out, const char *name, const char *text, size_t len,
                        struct err *e);
void expect_free(struct expect *x); /* NULL is fine */
/* Sets the proof of each key that it knows something about. RC_OK, RC_NOMEM. */
enum rc expect_judge(const struct expect *x, struct found *f, struct err *e);

/* Host certificates. `from`: files of --ca (public keys of authorities, for every host; or lines
 * with
 * @cert-authority); the @cert-authority lines of known_hosts count too. Asks OpenSSH's ssh-keyscan,
 * which libssh cannot replace here, for the certificates of the hosts that an authority answers for
 * and that are not verified yet, and judges them at time now_s. bound_ms: for each host. RC_OK also
 * when none could be had (`by` says why); RC_CONFIG for a file of --ca; RC_SYS, RC_NOMEM. Blocks.
 */
struct authorities;
enum rc authorities_new(struct authorities **out, const struct strings *files, struct err *e);
void authorities_free(struct authorities *a); /* NULL is fine */
enum rc authorities_judge(const struct authorities *a, const struct trust *t, struct found *f,
                          uint64_t bound_ms, int64_t now_s, struct err *e);
/* certs_fetch.c: what it prints for these hosts (numbers in f), all on one port, of these types of
 * key (-t): lines of TYPE and CERTIFICATE. RC_OK, RC_NOTFOUND (no ssh-keyscan), RC_SYS, RC_NOMEM.
 */
enum rc certs_fetch(const struct found *f, const uint32_t *hosts, size_t count, const char *types,
                    uint64_t bound_ms, struct buf *out, struct err *e);

/* --sshfp: compares with the SSHFP records of the DNS. server: "ADDRESS[:PORT]" to ask instead of
 * the system's, or NULL. Blocks. */
enum rc sshfp_judge(struct found *f, const char *server, struct err *e);
struct sockaddr_in;
bool sshfp_server(const char *text, struct sockaddr_in *out); /* false: not an IPv4 address */

/* Shows all in o->output.mode on standard output. RC_OK, RC_NOMEM, RC_SYS. */
enum rc report_found(const struct found *f, const struct options *o, struct err *e);
/* The forms for programs: json, ndjson, csv, table. */
struct text;
void report_data(const struct found *f, enum output_mode mode, struct text *t);
/* One key on several servers, by key: the numbers of the hosts. Returns how many sets there are;
 * they are mem_freed with clones_free. */
struct clones {
    const struct found_key *key;
    uint32_t *hosts;
    size_t count, cap;
};
enum rc clones_find(const struct found *f, struct clones **out, size_t *count, struct err *e);
void clones_free(struct clones *c, size_t count);
/* Names folded as muster shows them everywhere, escaped, at the end of `out`. */
enum rc report_fold(const char *const *names, size_t count, struct buf *out);

/* Records what is new, and replaces what changed, after asking; once for each file, where hosts
 * have files of their own. *left: keys that changed and were not replaced. RC_OK also when the
 * person said no. */
enum rc store_found(const struct found *f, const struct options *o, const struct trust *t,
                    uint32_t *left, struct err *e);
/* --forget. */
enum rc store_forget(const struct target *targets, uint32_t count, const struct options *o,
                     const struct trust *t, struct err *e);

#endif
