/* Decides whether a host is the one we think it is: the policy (--host-keys) over the index of
 * known_hosts. Look-ups that must scan, and writes to the file, go to libuv's threads.
 *
 * Coordinator; loop thread only. The one place that answers a host-key question.
 */
#ifndef CONTROLLER_RUN_TRUST_H
#define CONTROLLER_RUN_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/hostkeys/hostkeys.h"
#include "controller/outcome/outcome.h"

struct trust;

struct trust_answer {
    bool accept;
    bool unproven;        /* accepted in this run, or not checked: no secret may go there */
    enum problem problem; /* why not */
    char detail[320];
    char retry_types[256]; /* not "": shake hands again with these key types before deciding */
};

/* Which files and which policy a question is about. Zeroed: the run's own. */
struct trust_rule {
    uint16_t set;    /* of trust_add_set; 0: the run's */
    bool own_policy; /* `policy` counts, not the run's */
    enum host_keys_policy policy;
};

typedef void (*trust_fn)(void *user, uint64_t job, const struct trust_answer *answer);

/* Loads the files: --known-hosts, or ~/.ssh/known_hosts (and known_hosts2) and the system's. A file
 * that the user named must exist, except with accept-new, which makes it. `fn` answers every
 * question, from trust_ask itself where the index knows at once, otherwise from the loop. */
enum rc trust_new(struct trust **out, const struct options *o, uv_loop_t *loop, trust_fn fn,
                  void *user, struct err *e);

/* Loads further files for the hosts that have their own: `user` ones, of which accept-new writes to
 * the first, and `global` ones. Files that are missing are passed over. The first call makes set 1,
 * the next one 2, and so on. Before the first question. RC_LIMIT, RC_SYS, RC_NOMEM. */
enum rc trust_add_set(struct trust *t, const char *const *user, size_t user_count,
                      const char *const *global, size_t global_count, struct err *e);

/* rule: NULL is a zeroed one. name, port: what known_hosts calls the host. final: a second
 * handshake with its recorded types was already made. RC_OK, or RC_NOMEM and no answer comes. */
enum rc trust_ask(struct trust *t, const struct trust_rule *rule, uint64_t job, const char *name,
                  uint16_t port, const char *key_type, const void *blob, size_t len, bool final);

/* Key types on record for a host, for its first handshake; "" for all (hostkeys_types). */
void trust_types(const struct trust *t, const struct trust_rule *rule, const char *name,
                 uint16_t port, char *dst, size_t cap);

/* What the answers come from, for who decides otherwise than by a policy: the index, and the file
 * that new keys go to (NULL: none), of a rule. Not while questions are under way. */
struct hostkeys *trust_index(const struct trust *t, const struct trust_rule *rule);
const char *trust_file(const struct trust *t, const struct trust_rule *rule);
size_t trust_sets(const struct trust *t); /* how many trust_add_set has made */

/* No answer comes afterwards; frees once the threads are done with it (needs the loop to run). */
void trust_close(struct trust *t);

#endif
