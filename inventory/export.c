/* What people and programs see of an inventory: the document of `ansible-inventory --list` and the
 * tree of `--graph`. See inventory.h. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/inventory.h"
#include "inventory/model.h"

enum { INDENT = 4 };

/* Variables that Ansible makes itself and takes out of what it shows. */
static bool is_internal(const char *name)
{
    static const char *const names[] = {"ansible_diff_mode",
                                        "ansible_config_file",
                                        "ansible_facts",
                                        "ansible_forks",
                                        "ansible_inventory_sources",
                                        "ansible_limit",
                                        "ansible_playbook_python",
                                        "ansible_run_tags",
                                        "ansible_skip_tags",
                                        "ansible_verbosity",
                                        "ansible_version",
                                        "inventory_dir",
                                        "inventory_file",
                                        "inventory_hostname",
                                        "inventory_hostname_short",
                                        "groups",
                                        "group_names",
                                        "omit",
                                        "playbook_dir"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static enum rc break_line(struct buf *out, bool first, unsigned level)
{
    return buf_printf(out, "%s\n%*s", first ? "" : ",", (int)(level * INDENT), "");
}

/* --- JSON --- */

/* The host's variables without the internal ones; *out is a map, maybe empty. */
static enum rc shown_vars(const struct inventory *inv, const struct inv_host *h,
                          struct arena *arena, const struct value **out, struct err *e)
{
    enum rc rc = inventory_host_vars(inv, h, arena, out, e);
    if (rc != RC_OK)
        return rc;
    /* Built for us a moment ago, in our arena: taking pairs out harms nobody. */
    struct value *map = (struct value *)*out;
    struct value_pair *pairs = (struct value_pair *)map->u.map.pairs;
    size_t kept = 0;
    for (size_t i = 0; i < map->u.map.count; i++)
        if (!is_internal(pairs[i].key))
            pairs[kept++] = pairs[i];
    map->u.map.count = kept;
    return RC_OK;
}

static int hosts_by_name(const void *a, const void *b)
{
    return strcmp((*(struct host *const *)a)->pub.name, (*(struct host *const *)b)->pub.name);
}

static enum rc json_host(struct inventory *inv, const struct host *h, bool *first, struct buf *out,
                         struct err *e)
{
    struct arena arena;
    arena_init(&arena);
    const struct value *vars;
    enum rc rc = shown_vars(inv, &h->pub, &arena, &vars, e);
    if (rc == RC_OK && vars->u.map.count > 0) {
        rc = break_line(out, *first, 3);
        *first = false;
        if (rc == RC_OK)
            rc = str_json_cstr(out, h->pub.name);
        if (rc == RC_OK)
            rc = buf_puts(out, ": ");
        if (rc == RC_OK)
            rc = value_json_at(out, vars, true, INDENT, 3);
    }
    arena_fini(&arena);
    return rc;
}

static enum rc json_meta(struct inventory *inv, struct buf *out, struct err *e)
{
    uint32_t n = inv->host_list.count;
    struct host **hosts = mem_realloc_array(NULL, n ? n : 1, sizeof *hosts);
    if (hosts == NULL)
        return err_nomem(e);
    if (n > 0) {
        memcpy(hosts, inv->host_list.items, n * sizeof *hosts);
        qsort(hosts, n, sizeof *hosts, hosts_by_name);
    }
    bool first = true;
    enum rc rc = buf_puts(out, "{\n        \"hostvars\": {");
    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        rc = json_host(inv, hosts[i], &first, out, e);
    if (rc == RC_OK && !first)
        rc = buf_puts(out, "\n        ");
    if (rc == RC_OK)
        rc = buf_puts(out, "}\n    }");
    mem_free(hosts);
    return rc;
}

/* "children" or "hosts"; both structs begin with the public one, which begins with the name. */
static enum rc json_names(struct buf *out, const char *key, const struct list *names, bool first)
{
    enum rc rc = break_line(out, first, 2);
    if (rc == RC_OK)
        rc = buf_printf(out, "\"%s\": [", key);
    for (uint32_t i = 0; rc == RC_OK && i < names->count; i++) {
        const char *const *name = names->items[i];
        rc = break_line(out, i == 0, 3);
        if (rc == RC_OK)
            rc = str_json_cstr(out, *name);
    }
    return rc == RC_OK ? buf_puts(out, "\n        ]") : rc;
}

static enum rc json_group(const struct inventory *inv, const struct group *g, struct buf *out)
{
    bool hosts = g != inv->all && g->hosts.count > 0;
    enum rc rc = buf_putc(out, '{');
    if (rc == RC_OK && g->children.count > 0)
        rc = json_names(out, "children", &g->children, true);
    if (rc == RC_OK && hosts)
        rc = json_names(out, "hosts", &g->hosts, g->children.count == 0);
    return rc == RC_OK ? buf_puts(out, "\n    }") : rc;
}

static int groups_by_name(const void *a, const void *b)
{
    return strcmp((*(struct group *const *)a)->pub.name, (*(struct group *const *)b)->pub.name);
}

static enum rc json_entries(struct inventory *inv, struct group **groups, uint32_t n,
                            struct buf *out, struct err *e)
{
    enum rc rc = buf_putc(out, '{');
    bool first = true, meta = false;
    for (uint32_t i = 0; rc == RC_OK && i <= n; i++) {
        const struct group *g = i < n ? groups[i] : NULL;
        if (!meta && (g == NULL || strcmp(g->pub.name, "_meta") >= 0)) {
            meta = true;
            rc = break_line(out, first, 1);
            first = false;
            if (rc == RC_OK)
                rc = buf_puts(out, "\"_meta\": ");
            if (rc == RC_OK)
                rc = json_meta(inv, out, e);
        }
        if (rc != RC_OK || g == NULL || strcmp(g->pub.name, "_meta") == 0 ||
            (g->children.count == 0 && (g->hosts.count == 0 || g == inv->all)))
            continue;
        rc = break_line(out, first, 1);
        first = false;
        if (rc == RC_OK)
            rc = str_json_cstr(out, g->pub.name);
        if (rc == RC_OK)
            rc = buf_puts(out, ": ");
        if (rc == RC_OK)
            rc = json_group(inv, g, out);
    }
    return rc == RC_OK ? buf_puts(out, "\n}") : rc;
}

/* What went wrong while writing, for e. */
static enum rc output_error(enum rc rc, struct err *e)
{
    if (rc == RC_LIMIT)
        return err_set(e, rc, "the inventory is too large to be shown");
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

enum rc inventory_json(struct inventory *inv, struct buf *out, struct err *e)
{
    must(inv->finished);
    uint32_t n = inv->group_list.count;
    struct group **groups = mem_realloc_array(NULL, n, sizeof *groups);
    if (groups == NULL)
        return err_nomem(e);
    memcpy(groups, inv->group_list.items, n * sizeof *groups);
    qsort(groups, n, sizeof *groups, groups_by_name);
    enum rc rc = json_entries(inv, groups, n, out, e);
    mem_free(groups);
    return output_error(rc, e);
}

/* --- graph --- */

static enum rc graph_line(struct buf *out, unsigned depth, const char *text, const char *end)
{
    enum rc rc = RC_OK;
    for (unsigned i = 0; rc == RC_OK && i < depth; i++)
        rc = buf_puts(out, "  |");
    if (rc == RC_OK && depth > 0)
        rc = buf_puts(out, "--");
    if (rc == RC_OK)
        rc = buf_puts(out, text);
    return rc == RC_OK ? buf_puts(out, end) : rc;
}

static int pairs_by_key(const void *a, const void *b)
{
    return strcmp(((const struct value_pair *)a)->key, ((const struct value_pair *)b)->key);
}

static enum rc graph_vars(struct buf *out, unsigned depth, const struct value *map)
{
    size_t n = map->u.map.count;
    struct value_pair *pairs = mem_memdup(map->u.map.pairs, n * sizeof *pairs);
    if (pairs == NULL)
        return RC_NOMEM;
    if (n > 0)
        qsort(pairs, n, sizeof *pairs, pairs_by_key);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (is_internal(pairs[i].key))
            continue;
        rc = graph_line(out, depth, "{", pairs[i].key);
        if (rc == RC_OK)
            rc = buf_puts(out, " = ");
        if (rc == RC_OK)
            rc = value_repr(out, pairs[i].value);
        if (rc == RC_OK)
            rc = buf_puts(out, "}\n");
    }
    mem_free(pairs);
    return rc;
}

static enum rc graph_host(struct inventory *inv, const struct inv_host *h, unsigned depth,
                          bool vars, struct buf *out, struct err *e)
{
    enum rc rc = graph_line(out, depth, h->name, "\n");
    if (rc != RC_OK || !vars)
        return rc;
    struct arena arena;
    arena_init(&arena);
    const struct value *map;
    rc = shown_vars(inv, h, &arena, &map, e);
    if (rc == RC_OK)
        rc = graph_vars(out, depth + 1, map);
    arena_fini(&arena);
    return rc;
}

/* As deep as groups nest, which inventory_finish has bounded. */
static enum rc graph_group(struct inventory *inv, const struct group *g, unsigned depth, bool vars,
                           struct buf *out, struct err *e)
{
    enum rc rc = graph_line(out, depth, "@", g->pub.name);
    if (rc == RC_OK)
        rc = buf_puts(out, ":\n");
    for (uint32_t i = 0; rc == RC_OK && i < g->children.count; i++)
        rc = graph_group(inv, g->children.items[i], depth + 1, vars, out, e);
    for (uint32_t i = 0; rc == RC_OK && g != inv->all && i < g->hosts.count; i++)
        rc = graph_host(inv, g->hosts.items[i], depth + 1, vars, out, e);
    return rc == RC_OK && vars ? graph_vars(out, depth + 1, g->own_vars) : rc;
}

enum rc inventory_graph(struct inventory *inv, const char *group, bool vars, struct buf *out,
                        struct err *e)
{
    must(inv->finished);
    const struct group *g = map_gets(&inv->groups, group);
    if (g == NULL)
        return err_set(e, RC_NOTFOUND, "there is no group '%.80s'", group);
    return output_error(graph_group(inv, g, 0, vars, out, e), e);
}
