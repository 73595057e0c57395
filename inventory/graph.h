/* The graph of groups: cycles, depths, which groups a host is in, which hosts a group has. Private
 * to this folder; single thread.
 */
#ifndef INVENTORY_GRAPH_H
#define INVENTORY_GRAPH_H

#include <stddef.h>

#include "common/err.h"
#include "inventory/model.h"

/* Refuses cycles (with the place of an edge) and sets every group's depth: the longest way from
 * "all", which is what Ansible's bookkeeping comes to. */
enum rc graph_settle_depths(struct inventory *inv, struct err *e);

/* Gives every host its groups, ancestors included, lowest precedence first. Hosts with the same
 * direct groups share one array. */
enum rc graph_settle_classes(struct inventory *inv, struct err *e);

/* The hosts of a group and of those below it, breadth first, each once. mem_free(*hosts). */
enum rc graph_collect_hosts(struct inventory *inv, struct group *g, struct inv_host ***hosts,
                            size_t *count, struct err *e);

#endif
