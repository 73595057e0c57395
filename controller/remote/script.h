/* The command lines with which the agent is found on a host, sent to it and started, and the one
 * line that each answers.
 *
 * Every line is
 *     exec /bin/sh -c '…' muster-nonce=NONCE '…'
 * and means the same to sh, bash, dash, zsh, ksh, busybox, fish and tcsh: nothing in the quotes is
 * a quote, a backslash, an exclamation mark or a line break. The first word empties the environment
 * but for what a login has (a function of the user's bash, LD_PRELOAD or a strange IFS is not in
 * our way) and runs the second. The nonce in $0 is what an agent behind a forced command looks for.
 *
 * No text from a host goes into a line: a place is known by its letter, and each line finds the
 * folder anew. What is trusted where is in docs/agent.md. Pure; any thread.
 */
#ifndef CONTROLLER_REMOTE_SCRIPT_H
#define CONTROLLER_REMOTE_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/agent.h"

enum {
    SCRIPT_MAX = 32 * 1024,  /* of a command line; csh and sshd take more */
    SCRIPT_MAX_DIRS = 4,     /* configured places */
    SCRIPT_MAX_DIR = 255,    /* length of one */
    SCRIPT_MAX_BLOBS = 8,    /* architectures */
    SCRIPT_REPORT_MAX = 1024 /* the line that is answered */
};

/* An agent that can be sent. The owner keeps the table as long as what was given it. */
struct remote_blob {
    const char *arch;   /* as `uname -m` says it: "x86_64", "aarch64" */
    unsigned number;    /* by which whoever sends knows the bytes */
    const char *sha256; /* 64 hex digits, lower case */
    uint64_t len;
};

enum remote_mode {
    REMOTE_CACHED,    /* stays in the user's cache */
    REMOTE_TEMPORARY, /* unlinks itself as soon as it runs */
    REMOTE_INSTALLED, /* only one that a package or an image put there, whatever its digest */
    REMOTE_NEVER,     /* none: plain sh */
    REMOTE_GIVEN,     /* the owner starts it: exec has no line, and the nonce is the given one */
};

struct script_spec {
    char nonce[AGENT_NONCE_HEX + 1]; /* of this command; lower case hex */
    enum remote_mode mode;
    const struct remote_blob *blobs;
    size_t blob_count;
    const char *const *dirs; /* absolute folders, tried before all others */
    size_t dir_count;
    uint64_t idle_ms;
    const char *refused;                 /* letters of places not to be used; may be "" */
    char temporary[AGENT_NONCE_HEX + 1]; /* nonce of the upload whose file is to be run, or "" */
    char temporary_place;
    char damaged_place; /* where a cached agent is to be removed rather than run, or 0 */
};

/* RC_USAGE with what to write instead when a folder cannot be used: it must be absolute, of at most
 * SCRIPT_MAX_DIR letters, digits and _@%+=:,.- or blanks. */
enum rc script_check_dir(const char *dir, struct err *e);

/* Finds the agent and becomes it, or reports (struct probe_report). RC_OK, RC_USAGE (a folder, a
 * digest, too many of them), RC_NOMEM, RC_LIMIT. */
enum rc script_probe(struct buf *out, const struct script_spec *s, struct err *e);

/* Stores its standard input as the agent `blob` at `place`, a letter that a probe reported. In the
 * mode temporary the file is known by this nonce: the next probe's `temporary`. */
enum rc script_upload(struct buf *out, const struct script_spec *s, char place,
                      const struct remote_blob *blob, struct err *e);

/* Any script of ours in such a line; RC_USAGE when it holds a byte that must not be in it. */
enum rc script_line(struct buf *out, const char *nonce, const char *script, size_t len,
                    struct err *e);

/* Why a place was refused. The order is that of weight: the worst of a host's places names its
 * problem. */
enum refusal {
    REFUSAL_NONE,   /* there is no such place: not set, not a folder */
    REFUSAL_ERROR,  /* another error */
    REFUSAL_DENIED, /* may not be written to */
    REFUSAL_LINK,   /* a symbolic link */
    REFUSAL_OWNER,  /* somebody else's */
    REFUSAL_MODE,   /* others may write to it, or read it */
    REFUSAL_NOEXEC,
    REFUSAL_READ_ONLY,
    REFUSAL_POLICY, /* not noexec, and nothing may be executed */
    REFUSAL_QUOTA,
    REFUSAL_FULL,
    REFUSAL_COUNT
};
const char *refusal_text(enum refusal r); /* for people: "mounted noexec" */

struct refused {
    char place;
    enum refusal why;
};

/* What a probe answers when it does not become the agent. All text is printable and short. */
struct probe_report {
    char os[24], arch[24];
    unsigned bits; /* of the userland; 0 not known */
    uint64_t uid;
    char boot[40];     /* boot id, "" not known */
    bool digest_tool;  /* it can check what it stores */
    char place;        /* where the agent can go; 0: nowhere, or not looked for */
    uint64_t free_kib; /* there; UINT64_MAX: not known */
    struct refused refused[SCRIPT_MAX_DIRS + 8];
    size_t refused_count;
};

struct placed_report {
    bool ok;
    enum { PLACED_OK, PLACED_REFUSED, PLACED_SHORT, PLACED_DIGEST, PLACED_ARCH, PLACED_RUN } what;
    enum refusal why;   /* with PLACED_REFUSED */
    unsigned exit_code; /* with PLACED_RUN: of the agent that was to place itself */
};

/* Looks in the output so far for the line `word` of this nonce: 1 found whole, *line and *len are
 * what follows the nonce; 0 not there yet. */
int report_find(const void *p, size_t n, const char *word, const char *nonce, const char **line,
                size_t *len);
/* RC_OK or RC_PROTO. */
enum rc report_probe(const char *line, size_t len, struct probe_report *r);
enum rc report_placed(const char *line, size_t len, struct placed_report *r);
/* "at=c" of a muster-start line: the letter, 'i' for an installed agent, 0 when it is none. */
char report_start(const char *line, size_t len);

/* For people: "~/.cache/muster", "/tmp", a configured folder; into a buffer of at least 300. */
const char *place_text(char *dst, size_t cap, char place, const char *const *dirs,
                       size_t dir_count);

#endif
