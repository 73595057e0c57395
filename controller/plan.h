/* What the verbs that log in to hosts have in common (run, retry, stats): from options to targets,
 * keys and secrets, everything up to the first connection. What is to be done on the hosts is the
 * verb's. Asks on the terminal where it must; before the loop starts, main thread only.
 */
#ifndef CONTROLLER_PLAN_H
#define CONTROLLER_PLAN_H

#include "common/arena.h"
#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/run/jump.h"
#include "controller/run/run.h"
#include "controller/run/target.h"
#include "controller/run/target_config.h"
#include "controller/secrets/mask.h"
#include "controller/secrets/unseal.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

struct plan { /* everything a run_plan points to */
    struct options *options;
    struct inventory *inventory;
    struct selection selection;
    struct arena arena;
    struct keys keys;
    struct secrets *secrets;
    uint32_t password, become_password; /* --ask-pass, --ask-become-pass, in secrets */
    struct unseal *unseal;
    struct masks *masks;
    char usual_key[4096];
    struct target *targets;
    struct target_config *config;
    struct jumps jumps;
};

/* Before anything else of the verb: sets the log's level, forks the workers (not for --list and
 * --dry-run: *pool stays NULL), and closes the process up against being looked into. */
enum rc plan_begin(struct options *o, struct pool **pool, struct err *e);

void plan_init(struct plan *p, struct options *o); /* options: borrowed until plan_fini */
void plan_fini(struct plan *p);

/* Inventory and hosts. RC_NOTFOUND: none is left to WHAT ("run on"). */
enum rc plan_select(struct plan *p, const char *what, struct err *e);
int plan_print_hosts(const struct plan *p); /* --list; the exit code */
/* Guard, secrets, password, keys that may be tried, and how each host is reached. */
enum rc plan_targets(struct plan *p, struct err *e);
void plan_print_targets(const struct plan *p); /* --dry-run: a line for each */
/* Asks for passphrases. The last step. */
enum rc plan_unlock(struct plan *p, struct err *e);
/* How the agent gets to the hosts, by the options; what is asked of it is the caller's to fill in.
 */
void plan_agent(const struct plan *p, struct run_agent *out);
/* All members of *out that follow from p; the others are zero. */
void plan_fill(struct plan *p, struct run_plan *out);

#endif
