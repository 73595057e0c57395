/* See inventory.h. Loading is in source*.c; here are the beginning, the end and what readers ask.
 */
#include "inventory/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "inventory/graph.h"
#include "inventory/hostrange.h"
#include "inventory/model.h"
#include "inventory/sealed.h"
#include "inventory/source.h"

enum { SCRIPT_MS = 60000 };

/* --- beginning and end --- */

static enum rc first_groups(struct inventory *inv, struct err *e)
{
    enum rc rc = model_group(inv, "all", NULL, &inv->all, e);
    if (rc == RC_OK)
        rc = model_group(inv, "ungrouped", NULL, &inv->ungrouped, e);
    return rc == RC_OK ? model_child(inv, inv->all, inv->ungrouped, NULL, e) : rc;
}

enum rc inventory_new(struct inventory **out, struct err *e)
{
    *out = NULL;
    struct inventory *inv = mem_calloc(1, sizeof *inv);
    if (inv == NULL)
        return err_nomem(e);
    arena_init(&inv->arena);
    map_init(&inv->names);
    map_init(&inv->groups);
    map_init(&inv->hosts);
    map_init(&inv->edges);
    map_init(&inv->members);
    inv->script_ms = SCRIPT_MS;
    inv->max_hosts = INVENTORY_MAX_HOSTS;
    enum rc rc = first_groups(inv, e);
    if (rc == RC_OK)
        *out = inv;
    else
        inventory_free(inv);
    return rc;
}

void inventory_free(struct inventory *inv)
{
    if (inv == NULL)
        return;
    for (uint32_t i = 0; i < inv->indexes.count; i++)
        map_fini(inv->indexes.items[i]);
    for (uint32_t i = 0; i < inv->group_list.count; i++)
        mem_free(((struct group *)inv->group_list.items[i])->all_hosts);
    map_fini(&inv->names);
    map_fini(&inv->groups);
    map_fini(&inv->hosts);
    map_fini(&inv->edges);
    map_fini(&inv->members);
    hostrange_patterns_free(inv->patterns);
    sealed_free(inv->sealed);
    arena_fini(&inv->arena);
    mem_free(inv);
}

void inventory_set_script_timeout(struct inventory *inv, uint64_t ms)
{
    inv->script_ms = ms;
}

void inventory_set_max_hosts(struct inventory *inv, uint32_t max)
{
    inv->max_hosts = max < INVENTORY_MAX_HOSTS ? max : INVENTORY_MAX_HOSTS;
}

enum rc inventory_add_host(struct inventory *inv, const char *name, struct inv_host **host,
                           struct err *e)
{
    must(!inv->finished);
    struct host *h = map_gets(&inv->hosts, name);
    if (h == NULL) {
        enum rc rc = model_host(inv, name, inv->ungrouped, 0, NULL, &h, e);
        if (rc != RC_OK)
            return rc;
        h->pub.implicit = true;
    }
    if (host != NULL)
        *host = &h->pub;
    return RC_OK;
}

/* --- finishing --- */

static bool in_group(const struct host *h, const struct group *g)
{
    for (uint32_t i = 0; i < h->direct.count; i++)
        if (h->direct.items[i] == g)
            return true;
    return false;
}

static void leave_group(struct host *h, const struct group *g)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->direct.count; i++)
        if (h->direct.items[i] != g)
            h->direct.items[kept++] = h->direct.items[i];
    h->direct.count = kept;
}

/* Does the host belong to anything but "all" and "ungrouped"? */
static bool is_grouped(const struct inventory *inv, const struct host *h)
{
    for (uint32_t i = 0; i < h->direct.count; i++)
        if (h->direct.items[i] != inv->all && h->direct.items[i] != inv->ungrouped)
            return true;
    return false;
}

/* A host is in "ungrouped" exactly when nothing else holds it. */
static enum rc settle_ungrouped(struct inventory *inv, struct err *e)
{
    struct list *members = &inv->ungrouped->hosts;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        struct host *h = members->items[i];
        if (is_grouped(inv, h))
            leave_group(h, inv->ungrouped);
        else
            members->items[kept++] = h;
    }
    members->count = kept;
    for (uint32_t i = 0; i < inv->host_list.count; i++) {
        struct host *h = inv->host_list.items[i];
        bool alone =
            h->direct.count == 0 || (h->direct.count == 1 && h->direct.items[0] == inv->all);
        if (!alone || in_group(h, inv->ungrouped))
            continue;
        if (model_list_add(inv, members, h) != 0 ||
            model_list_add(inv, &h->direct, inv->ungrouped) != 0)
            return err_nomem(e);
    }
    return RC_OK;
}

static enum rc adopt_orphans(struct inventory *inv, struct err *e)
{
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < inv->group_list.count; i++) {
        struct group *g = inv->group_list.items[i];
        if (g != inv->all && g->parents.count == 0)
            rc = model_child(inv, inv->all, g, NULL, e);
    }
    return rc;
}

/* What Ansible shows as the group's own variables: of the sources, then of files, by folder. */
static enum rc settle_own_vars(struct inventory *inv, struct group *g, struct err *e)
{
    struct vars all = {0};
    for (uint32_t i = 0; i < g->vars.count; i++)
        if (vars_set(inv, &all, g->vars.items[i].name, g->vars.items[i].value) != 0)
            return err_nomem(e);
    for (uint32_t l = 0; l < g->layer_count; l++)
        for (uint32_t i = 0; i < g->layers[l].vars.count; i++)
            if (vars_set(inv, &all, g->layers[l].vars.items[i].name,
                         g->layers[l].vars.items[i].value) != 0)
                return err_nomem(e);
    if (g->pub.priority != 1) {
        const char *name = model_intern(inv, "ansible_group_priority", 22);
        struct value *v = value_new_int(&inv->arena, g->pub.priority, NULL);
        if (name == NULL || v == NULL || vars_set(inv, &all, name, v) != 0)
            return err_nomem(e);
    }
    struct value *map = value_new(&inv->arena, VALUE_MAP, NULL);
    struct value_pair *pairs = arena_calloc(&inv->arena, all.count, sizeof *pairs);
    if (map == NULL || pairs == NULL)
        return err_nomem(e);
    for (uint32_t i = 0; i < all.count; i++)
        pairs[i] = (struct value_pair){
            .key = all.items[i].name, .value = all.items[i].value, .key_type = VALUE_STRING};
    map->u.map.pairs = pairs;
    map->u.map.count = all.count;
    g->own_vars = map;
    return RC_OK;
}

static enum rc publish_groups(struct inventory *inv, struct err *e)
{
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < inv->group_list.count; i++) {
        struct group *g = inv->group_list.items[i];
        g->pub.children = (struct inv_group *const *)g->children.items;
        g->pub.child_count = g->children.count;
        g->pub.parents = (struct inv_group *const *)g->parents.items;
        g->pub.parent_count = g->parents.count;
        g->pub.hosts = (struct inv_host *const *)g->hosts.items;
        g->pub.host_count = g->hosts.count;
        rc = settle_own_vars(inv, g, e);
    }
    return rc;
}

enum rc inventory_finish(struct inventory *inv, struct err *e)
{
    must(!inv->finished);
    enum rc rc = adopt_orphans(inv, e);
    if (rc == RC_OK)
        rc = graph_settle_depths(inv, e);
    if (rc == RC_OK)
        rc = settle_ungrouped(inv, e);
    if (rc == RC_OK)
        rc = source_vars_files(inv, e);
    if (rc == RC_OK)
        rc = graph_settle_classes(inv, e);
    if (rc == RC_OK)
        rc = publish_groups(inv, e);
    inv->finished = rc == RC_OK;
    return rc;
}

/* --- lists --- */

size_t inventory_host_count(const struct inventory *inv)
{
    return inv->host_list.count;
}

struct inv_host *inventory_host_at(const struct inventory *inv, size_t i)
{
    must(i < inv->host_list.count);
    return inv->host_list.items[i];
}

struct inv_host *inventory_host_find(const struct inventory *inv, const char *name)
{
    return map_gets(&inv->hosts, name);
}

size_t inventory_group_count(const struct inventory *inv)
{
    return inv->group_list.count;
}

struct inv_group *inventory_group_at(const struct inventory *inv, size_t i)
{
    must(i < inv->group_list.count);
    return inv->group_list.items[i];
}

struct inv_group *inventory_group_find(const struct inventory *inv, const char *name)
{
    return map_gets(&inv->groups, name);
}

enum rc inventory_group_hosts(struct inventory *inv, struct inv_group *g,
                              struct inv_host *const **hosts, size_t *count, struct err *e)
{
    must(inv->finished);
    struct group *group = (struct group *)g;
    if (group->all_hosts == NULL) {
        enum rc rc = graph_collect_hosts(inv, group, &group->all_hosts, &group->all_count, e);
        if (rc != RC_OK)
            return rc;
    }
    *hosts = group->all_hosts;
    *count = group->all_count;
    return RC_OK;
}

/* --- variables --- */

const struct value *inventory_group_vars(const struct inventory *inv, const struct inv_group *g)
{
    must(inv->finished);
    return ((const struct group *)g)->own_vars;
}

/* --- all variables of a host --- */

struct ranked {
    const char *name;
    const struct value *value;
    uint32_t rank;
};

struct gathering {
    struct ranked *items;
    size_t count, cap;
    uint32_t rank;
};

/* A later set wins over an earlier one. */
static int gather(struct gathering *all, const struct vars *set)
{
    if (set->count == 0)
        return 0;
    if (mem_grow(&all->items, &all->cap, all->count + set->count, sizeof *all->items) != 0)
        return -1;
    all->rank++;
    for (uint32_t i = 0; i < set->count; i++)
        all->items[all->count++] = (struct ranked){
            .name = set->items[i].name, .value = set->items[i].value, .rank = all->rank};
    return 0;
}

static int gather_layers(struct gathering *all, const struct vars_layer *layers, uint32_t n,
                         uint32_t dir)
{
    int failed = 0;
    for (uint32_t i = 0; i < n; i++)
        if (dir == UINT32_MAX || layers[i].dir == dir)
            failed |= gather(all, &layers[i].vars);
    return failed;
}

/* The same order as in lookup.c, from the other end. */
static int gather_host(const struct inventory *inv, const struct host *h, struct gathering *all)
{
    int failed = 0;
    for (uint32_t i = 0; i < h->pub.group_count; i++)
        failed |= gather(all, &((const struct group *)h->pub.groups[i])->vars);
    failed |= gather_layers(all, inv->all->layers, inv->all->layer_count, UINT32_MAX);
    for (uint32_t d = 0; d < inv->dirs.count; d++)
        for (uint32_t i = 1; i < h->pub.group_count; i++) {
            const struct group *g = (const struct group *)h->pub.groups[i];
            failed |= gather_layers(all, g->layers, g->layer_count, d);
        }
    failed |= gather(all, &h->vars);
    return failed | gather_layers(all, h->layers, h->layer_count, UINT32_MAX);
}

static int by_name_then_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->name != y->name)
        return strcmp(x->name, y->name);
    return x->rank < y->rank ? 1 : -1;
}

enum rc inventory_host_vars(const struct inventory *inv, const struct inv_host *h,
                            struct arena *arena, const struct value **out, struct err *e)
{
    must(inv->finished);
    struct gathering all = {0};
    struct value *map = value_new(arena, VALUE_MAP, NULL);
    struct value_pair *pairs = NULL;
    if (map != NULL && gather_host(inv, (const struct host *)h, &all) == 0)
        pairs = arena_calloc(arena, all.count, sizeof *pairs);
    if (pairs == NULL) {
        mem_free(all.items);
        return err_nomem(e);
    }
    if (all.count > 0)
        qsort(all.items, all.count, sizeof *all.items, by_name_then_rank);
    size_t n = 0;
    for (size_t i = 0; i < all.count; i++)
        if (i == 0 || all.items[i].name != all.items[i - 1].name)
            pairs[n++] = (struct value_pair){
                .key = all.items[i].name, .value = all.items[i].value, .key_type = VALUE_STRING};
    mem_free(all.items);
    map->u.map.pairs = pairs;
    map->u.map.count = n;
    *out = map;
    return RC_OK;
}
