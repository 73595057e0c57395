/* See by.h. */
#include "controller/stats/by.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/mem.h"
#include "common/str.h"
#include "inventory/value.h"

enum { VALUE_MOST = 256 };
static const char none[] = "(none)";

struct fill {
    struct by *by;
    struct map found; /* name → number of its bucket + 1 */
    const struct inventory *inv;
    struct err *e;
};

static enum rc put(struct fill *f, const char *name, uint32_t host)
{
    struct by *by = f->by;
    size_t at = (size_t)(uintptr_t)map_gets(&f->found, name);
    if (at == 0) {
        char *copy = mem_strdup(name);
        if (copy == NULL || mem_grow(&by->items, &by->cap, by->count + 1, sizeof *by->items) != 0) {
            mem_free(copy);
            return err_nomem(f->e);
        }
        by->items[by->count] = (struct by_bucket){.name = copy};
        at = ++by->count;
        if (map_puts(&f->found, copy, (void *)(uintptr_t)at) != 0)
            return err_nomem(f->e);
    }
    struct by_bucket *b = &by->items[at - 1];
    if (b->count > 0 && b->hosts[b->count - 1] == host)
        return RC_OK;
    if (mem_grow(&b->hosts, &b->cap, b->count + 1, sizeof *b->hosts) != 0)
        return err_nomem(f->e);
    b->hosts[b->count++] = host;
    return RC_OK;
}

static enum rc put_value(struct fill *f, const char *name, const struct inv_host *h, uint32_t host)
{
    const struct value *v = inventory_host_var(f->inv, h, name);
    struct buf text;
    buf_init(&text, VALUE_MOST);
    enum rc rc = RC_OK;
    const char *s = none;
    if (v != NULL && v->type != VALUE_NULL && !value_is_opaque(v)) {
        rc = v->type == VALUE_LIST || v->type == VALUE_MAP ? value_json(&text, v, true, 0)
                                                           : value_text(v, &text, NULL);
        s = rc == RC_OK ? buf_cstr(&text) : NULL;
    }
    if (rc == RC_LIMIT)
        s = "(a value too long)";
    rc = s != NULL ? put(f, s, host) : err_nomem(f->e);
    buf_fini(&text);
    return rc;
}

static bool is_in(const struct inv_host *h, const struct inv_group *g)
{
    for (uint32_t i = 0; i < h->group_count; i++)
        if (h->groups[i] == g)
            return true;
    return false;
}

static enum rc put_groups(struct fill *f, const struct inv_host *h, uint32_t host)
{
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < h->group_count; i++)
        rc = put(f, h->groups[i]->name, host);
    return rc;
}

/* The first of the group's children that the host is in; a group without any: itself. */
static enum rc put_child(struct fill *f, const struct inv_group *g, const struct inv_host *h,
                         uint32_t host)
{
    for (uint32_t i = 0; i < g->child_count; i++)
        if (is_in(h, g->children[i]))
            return put(f, g->children[i]->name, host);
    return put(f, is_in(h, g) ? g->name : none, host);
}

static int by_name(const void *a, const void *b)
{
    const struct by_bucket *x = a, *y = b;
    bool last_x = strcmp(x->name, none) == 0, last_y = strcmp(y->name, none) == 0;
    return last_x != last_y ? last_x - last_y : strcmp(x->name, y->name);
}

static const struct inv_group *group_of(const struct inventory *inv, const char *name)
{
    for (size_t i = 0; i < inventory_group_count(inv); i++) {
        const struct inv_group *g = inventory_group_at(inv, i);
        if (strcmp(g->name, name) == 0)
            return g;
    }
    return NULL;
}

static bool is_variable(const struct inventory *inv, struct inv_host *const *hosts, uint32_t count,
                        const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (inventory_host_var(inv, hosts[i], name) != NULL)
            return true;
    return false;
}

enum rc by_init(struct by *by, const char *name, const struct inventory *inv,
                struct inv_host *const *hosts, uint32_t count, struct err *e)
{
    struct fill f = {.by = by, .inv = inv, .e = e};
    const char *var = str_starts(name, "vars.") ? name + 5 : name;
    memset(by, 0, sizeof *by);
    bool groups = strcmp(name, "groups") == 0;
    bool variable = !groups && is_variable(inv, hosts, count, var);
    const struct inv_group *g = group_of(inv, name);
    char shown[80];
    if (!groups && !variable && g == NULL)
        return err_set(e, RC_USAGE,
                       "--by: '%s' is neither a variable of these hosts nor a group (groups: a "
                       "line for each group)",
                       str_escape_to(shown, sizeof shown, name, strlen(name), 0));
    map_init(&f.found);
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < count; i++)
        rc = groups     ? put_groups(&f, hosts[i], i)
             : variable ? put_value(&f, var, hosts[i], i)
                        : put_child(&f, g, hosts[i], i);
    map_fini(&f.found);
    if (rc == RC_OK)
        qsort(by->items, by->count, sizeof *by->items, by_name);
    return rc;
}

void by_fini(struct by *by)
{
    for (size_t i = 0; i < by->count; i++) {
        mem_free(by->items[i].name);
        mem_free(by->items[i].hosts);
    }
    mem_free(by->items);
    memset(by, 0, sizeof *by);
}
