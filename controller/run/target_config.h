/* What the user's ssh_config says of the targets: loads the files, asks them once per host, and
 * puts the answers where neither the command line nor the inventory said anything.
 *
 * Coordinator, before the run; main thread. Which value wins is target.c's; what a word means is
 * controller/sshconfig's.
 */
#ifndef CONTROLLER_RUN_TARGET_CONFIG_H
#define CONTROLLER_RUN_TARGET_CONFIG_H

#include "controller/run/target.h"
#include "controller/run/trust.h"

struct target_config;

/* -O words, then --ssh-config FILE or ~/.ssh/config and /etc/ssh/ssh_config; "none" reads no file.
 * A file that the user named must exist. RC_CONFIG with file:line:column, RC_NOTFOUND, RC_SYS,
 * RC_LIMIT, RC_NOMEM. `o` is borrowed for as long as *out lives. */
enum rc target_config_new(struct target_config **out, const struct options *o, struct err *e);
void target_config_free(struct target_config *tc); /* NULL is fine */

struct target_given { /* what is decided already, by a source that is stronger than ssh_config */
    bool user, port, keys, alias;
};

/* t->address is the name that was to be dialled; user, port and keys hold what is given or the
 * defaults. Replaces what is not given, and the address where a HostName says so. RC_OK also with
 * t->bad set; RC_NOMEM. Texts live in arena, in *tc or in its options. */
enum rc target_config_apply(struct target_config *tc, struct target *t,
                            const struct target_given *given, struct keys *keys,
                            struct arena *arena, struct err *e);

/* A copy of a key file's name that outlives the keys; NULL without one (no memory too: ssh then has
 * one key less to offer). */
const char *target_config_keep(struct target_config *tc, const struct keys *keys, unsigned id);

/* OpenSSH's ssh may be used: it is there, and --no-openssh was not given. */
bool target_config_has_openssh(const struct target_config *tc);
const char *target_config_openssh(const struct target_config *tc); /* its path, or "" */
/* What ssh -F gets, so that it reads what we read; NULL: nothing, its own default is the same. */
const char *target_config_file(const struct target_config *tc);

/* Tells trust about the known_hosts files that some hosts have of their own (target.trust.set). */
enum rc target_config_trust(const struct target_config *tc, struct trust *t, struct err *e);

/* The longest ConnectTimeout of any host that was asked about, or 0. */
uint64_t target_config_longest_ms(const struct target_config *tc);

#endif
