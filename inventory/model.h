/* The inventory as it is being built: what the loaders (YAML, INI, JSON, scripts, variable files)
 * call, and what the readers in inventory.c walk. Private to this folder.
 *
 * The rules of adding are those of Ansible's InventoryData. Cycles and depths are settled in
 * inventory_finish, so that adding an edge costs the same whatever the graph. Single thread.
 */
#ifndef INVENTORY_MODEL_H
#define INVENTORY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/map.h"
#include "inventory/inventory.h"
#include "inventory/value.h"

struct var {
    const char *name; /* interned in the inventory: equal names are equal pointers */
    const struct value *value;
};

/* A small set of variables: a scan of pointers up to VARS_SCAN, an index past it. */
enum { VARS_SCAN = 16 };
struct vars {
    struct var *items;
    uint32_t count;
    uint32_t cap;      /* 0 with items: shared with another set, copied before a change */
    struct map *index; /* name's pointer bytes → item + 1; NULL while small */
};

/* What the group_vars/ or host_vars/ beside one source say. A file that is sealed as a whole has a
 * layer to itself, between those of the files before it and behind it. */
struct vars_layer {
    uint32_t dir; /* index into inventory.dirs; later wins */
    struct vars vars;
    struct sealed_file *sealed; /* NULL: not sealed. Otherwise vars is empty */
};

/* Growing array in the inventory's arena; the old block stays behind, at most as much again. */
struct list {
    void **items;
    uint32_t count;
    uint32_t cap;
};

struct group {
    struct inv_group pub; /* first: a struct inv_group * is a struct group * */
    struct vars vars;
    struct vars_layer *layers; /* by dir, ascending */
    uint32_t layer_count;
    struct list children, parents, hosts;
    struct value_place *child_places; /* where each edge was written, as children */
    uint32_t child_places_cap;
    const struct value *own_vars; /* VALUE_MAP, from inventory_finish */
    struct inv_host **all_hosts;  /* cache of inventory_group_hosts; mem_free */
    size_t all_count;
    uint64_t stamp; /* last walk that met it */
};

struct host {
    struct inv_host pub; /* first */
    struct vars vars;
    struct vars_layer *layers;
    uint32_t layer_count;
    struct list direct; /* struct group *, in the order added */
};

struct inventory {
    struct arena arena;
    struct map names;   /* interned variable names → themselves */
    struct map groups;  /* name → struct group * */
    struct map hosts;   /* name → struct host * */
    struct map edges;   /* parent and child index (8 bytes) → parent */
    struct map members; /* host and group index, for hosts in many groups */
    struct map classes; /* list of direct groups → struct class *, see inventory.c */
    struct list group_list, host_list;
    struct list dirs;    /* char *: folders whose group_vars/ and host_vars/ count, in order */
    struct list indexes; /* struct map *: to be freed */
    struct group *all, *ungrouped;
    struct hostrange_patterns *patterns; /* compiled on first use */
    uint64_t stamp;
    uint64_t script_ms; /* time limit of one run of a script */
    uint32_t max_hosts;
    struct inventory_opener opener; /* .value NULL: what is sealed stays so */
    struct sealed_files *sealed;    /* files sealed as a whole; NULL: none */
    bool finished;
};

/* Places for values and edges: file, line, column. */
static inline struct value_place model_place(const char *file, uint32_t line, uint32_t column)
{
    return (struct value_place){.file = file, .line = line, .column = column};
}

/* err_set with "file:line:column: " in front (what of it is known). */
enum rc model_error(struct err *e, enum rc rc, const struct value_place *at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* -1 when there is no memory. */
int model_list_add(struct inventory *inv, struct list *l, void *item);

/* The inventory's own copy of a name; NULL when there is no memory. */
const char *model_intern(struct inventory *inv, const char *name, size_t len);

/* Finds or makes. Names may not be empty or longer than 4096 bytes. */
enum rc model_group(struct inventory *inv, const char *name, const struct value_place *at,
                    struct group **out, struct err *e);
/* Finds or makes a host, puts it into `group` (may be NULL); a port that is not 0 becomes
 * ansible_port when the host is new, as Ansible does it. */
enum rc model_host(struct inventory *inv, const char *name, struct group *group, int64_t port,
                   const struct value_place *at, struct host **out, struct err *e);
/* Adds an edge between groups; adding it again changes nothing. */
enum rc model_child(struct inventory *inv, struct group *parent, struct group *child,
                    const struct value_place *at, struct err *e);
enum rc model_join(struct inventory *inv, struct host *h, struct group *g, struct err *e);

/* Sets a variable; ansible_group_priority of a group sets the priority instead. */
enum rc model_group_var(struct inventory *inv, struct group *g, const char *name,
                        const struct value *v, struct err *e);
/* Ansible looks a name up among the groups first, so a host that is called like a group gives its
 * variables to the group. */
enum rc model_host_var(struct inventory *inv, struct host *h, const char *name,
                       const struct value *v, struct err *e);
/* Every pair of a map, to a host that has no variable yet without copying. */
enum rc model_host_vars(struct inventory *inv, struct host *h, const struct vars *set,
                        struct err *e);

/* Plain sets. vars_set takes interned names only. */
int vars_set(struct inventory *inv, struct vars *set, const char *name, const struct value *v);
const struct value *vars_get(const struct vars *set, const char *name);
/* Sets every pair of a VALUE_MAP. */
enum rc vars_set_map(struct inventory *inv, struct vars *set, const struct value *map,
                     struct err *e);

#endif
