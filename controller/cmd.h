/* The verbs. Each takes parsed options and returns the program's exit code; errors were shown. */
#ifndef CONTROLLER_CMD_H
#define CONTROLLER_CMD_H

#include "common/err.h"
#include "controller/cli/options.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

int cmd_run(struct options *o);
int cmd_hosts(struct options *o);
int cmd_history(struct options *o);
int cmd_show(struct options *o);
int cmd_retry(struct options *o);
int cmd_vault(struct options *o);
int cmd_keyscan(struct options *o);
int cmd_stats(struct options *o);
int cmd_attach(struct options *o);
int cmd_debug(struct options *o);

/* Shows an error once: "muster: MESSAGE" on stderr; returns the exit code for it (1). */
int cmd_fail(const struct err *e);

/* What verbs without a run print is stdio's; these keep an error (as printf does without its
 * reason) for cmd_printed. Main thread. */
void cmd_write(const void *p, size_t n); /* p may be NULL when n is 0 */
void cmd_line(const char *s);
void cmd_flush(void);
/* At the end of it, once: 0, or 1 when not all could be written. Says "standard output: REASON",
 * but not of a reader that went away (EPIPE), who is not interested. */
int cmd_printed(void);

/* Worker processes where --workers does not say: one per core, at least two. (plan.c) */
unsigned cmd_worker_count(void);

/* -i, -w and the default places: loads the inventory and finishes it. (controller/select.c) */
enum rc select_inventory(const struct options *o, struct inventory **out, struct err *e);
/* The pattern with -l, -x, --where and -w: the frozen targets. */
enum rc select_targets(const struct options *o, struct inventory *inv, struct selection *out,
                       struct err *e);

#endif
