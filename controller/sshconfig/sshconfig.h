/* The user's ssh_config(5): read once, asked once per host.
 *
 * Files in the order given; the first value of a word wins, IdentityFile and CertificateFile add
 * up. Host blocks whose patterns are plain names are found by name, so a file with a block per host
 * costs no more per question than one with a single block; blocks with wildcards and Match blocks
 * are gone through. Host, Match (all, host, originalhost, user, localuser, canonical, final) and
 * Include as in ssh 9.2, compared with `ssh -G` by tests/oracle. A file that ssh would refuse is
 * refused, with file:line:column.
 *
 * Runs nothing: a Match block that only `exec` (or another criterion we cannot know) decides makes
 * the answer undecided. Expands nothing but %h in HostName: tokens.h does. Coordinator, before the
 * run; one thread at a time, lookups included.
 */
#ifndef CONTROLLER_SSHCONFIG_SSHCONFIG_H
#define CONTROLLER_SSHCONFIG_SSHCONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "controller/sshconfig/words.h"

enum {
    SSHCONFIG_MAX_BYTES = 64 * 1024 * 1024, /* of all files */
    SSHCONFIG_MAX_LINE = 64 * 1024,
    SSHCONFIG_MAX_DEPTH = 16, /* of Include, as in ssh */
    SSHCONFIG_MAX_FILES = 10000,
    SSHCONFIG_MAX_APPEND = 100, /* IdentityFile and CertificateFile of one host, as in ssh */
};

struct sshconfig;

enum rc sshconfig_new(struct sshconfig **out, struct err *e);
void sshconfig_free(struct sshconfig *c); /* NULL is fine */

/* "Key=Value" or "Key Value" as ssh -o takes it; stronger than every file, so it comes first.
 * RC_CONFIG when it is wrong, or no word that is acted on. */
enum rc sshconfig_add_option(struct sshconfig *c, const char *text, struct err *e);

/* One file and what it includes. `user`: it is the user's own, where relative Includes start in
 * ~/.ssh and `home` stands for ~, otherwise in /etc/ssh. `strict`: refused when others than the
 * user and root may write it, as ssh refuses ~/.ssh/config. RC_NOTFOUND, RC_CONFIG, RC_LIMIT,
 * RC_SYS, RC_NOMEM; after a failure only sshconfig_free is allowed. */
enum rc sshconfig_load(struct sshconfig *c, const char *path, const char *home, bool user,
                       bool strict, struct err *e);
/* The same from memory, for tests; an Include is followed. */
enum rc sshconfig_load_text(struct sshconfig *c, const char *name, const char *home,
                            const char *text, size_t len, struct err *e);

struct sshconfig_query {
    const char *host;       /* the name that is dialled */
    const char *user;       /* as whom, where that is decided already; NULL: the files may say */
    const char *local_user; /* who we are */
};

struct sshconfig_list {
    const char *const *items;
    size_t count; /* 0: not set */
};

struct sshconfig_answer {             /* texts live as long as the configuration */
    const char *value[SSHWORD_COUNT]; /* as written, NULL: not set; not of the four lists below */
    const char *where[SSHWORD_COUNT]; /* "file:line" of it; also of the lists */
    struct sshconfig_list user_known_hosts, global_known_hosts;
    const char *identities[SSHCONFIG_MAX_APPEND], *certificates[SSHCONFIG_MAX_APPEND];
    size_t identity_count, certificate_count;
    char hostname[1025];   /* what is connected to: HostName with %h filled in, or the query's */
    const char *undecided; /* "Match exec at file:line": only ssh knows; or NULL */
};

/* RC_OK; RC_CONFIG when a HostName cannot be used for this host; RC_LIMIT; RC_NOMEM at the first
 * question only. */
enum rc sshconfig_lookup(struct sshconfig *c, const struct sshconfig_query *q,
                         struct sshconfig_answer *a, struct err *e);

bool sshconfig_is_empty(const struct sshconfig *c); /* no word is set for any host */

#endif
