/* From -i, -w, patterns and limits to the hosts of a run: what select_inventory and select_targets
 * (controller/cmd.h) are made of. Reads files and standard input; before the loop starts only.
 */
#ifndef CONTROLLER_SELECT_H
#define CONTROLLER_SELECT_H

#include "common/err.h"
#include "controller/cli/options.h"
#include "inventory/hostset.h"

/* Every -w in turn: an expression, "^FILE", or "-" for standard input, which is read once and
 * remembered. Names are added to `out`. */
enum rc select_names(const struct options *o, hostset_resolve_fn resolve, void *user,
                     struct hostset *out, struct err *e);

/* The inventory that is read when neither -i nor -w was given: ./inventory.yml, the user's, the
 * system's; false when there is none. */
bool select_default_path(char *dst, size_t cap);

#endif
