/* See model.h. */
#include "inventory/model.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { NAME_MAX_BYTES = 4096, MANY_GROUPS = 16 };

enum rc model_error(struct err *e, enum rc rc, const struct value_place *at, const char *fmt, ...)
{
    if (e == NULL)
        return rc;
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (at == NULL || at->file == NULL)
        return err_set(e, rc, "%s", what);
    if (at->line == 0)
        return err_set(e, rc, "%s: %s", at->file, what);
    return err_set(e, rc, "%s:%u:%u: %s", at->file, at->line, at->column ? at->column : 1, what);
}

int model_list_add(struct inventory *inv, struct list *l, void *item)
{
    if (l->count == l->cap) {
        if (l->cap >= UINT32_MAX / 2)
            return -1;
        uint32_t cap = l->cap ? l->cap * 2 : 2;
        void **items = arena_alloc(&inv->arena, cap * sizeof *items);
        if (items == NULL)
            return -1;
        if (l->count > 0)
            memcpy(items, l->items, l->count * sizeof *items);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->count++] = item;
    return 0;
}

const char *model_intern(struct inventory *inv, const char *name, size_t len)
{
    char *known = map_get(&inv->names, name, len);
    if (known != NULL)
        return known;
    char *copy = arena_strndup(&inv->arena, name, len);
    if (copy == NULL || map_put(&inv->names, copy, len, copy, NULL) != 0)
        return NULL;
    return copy;
}

/* --- sets of variables --- */

static const char *pointer_key(const char *const *name)
{
    return (const char *)name;
}

static int vars_index_all(struct inventory *inv, struct vars *set)
{
    if (set->index == NULL) {
        struct map *index = arena_calloc(&inv->arena, 1, sizeof *index);
        if (index == NULL || model_list_add(inv, &inv->indexes, index) != 0)
            return -1;
        set->index = index;
    }
    /* The keys are the pointers inside the items: they moved when the items did. */
    map_fini(set->index);
    for (uint32_t i = 0; i < set->count; i++)
        if (map_put(set->index, pointer_key(&set->items[i].name), sizeof(char *),
                    (void *)(uintptr_t)(i + 1), NULL) != 0)
            return -1;
    return 0;
}

static struct var *vars_find(const struct vars *set, const char *name)
{
    if (set->index != NULL) {
        uintptr_t at = (uintptr_t)map_get(set->index, pointer_key(&name), sizeof name);
        return at ? &set->items[at - 1] : NULL;
    }
    for (uint32_t i = 0; i < set->count; i++)
        if (set->items[i].name == name)
            return &set->items[i];
    return NULL;
}

static int vars_grow(struct inventory *inv, struct vars *set)
{
    uint32_t cap = set->count < 4 ? 4 : set->count * 2;
    struct var *items = arena_alloc(&inv->arena, cap * sizeof *items);
    if (items == NULL)
        return -1;
    if (set->count > 0)
        memcpy(items, set->items, set->count * sizeof *items);
    if (set->cap == 0)
        set->index = NULL; /* a shared set's index belongs to the other one */
    set->items = items;
    set->cap = cap;
    return set->count < VARS_SCAN ? 0 : vars_index_all(inv, set);
}

int vars_set(struct inventory *inv, struct vars *set, const char *name, const struct value *v)
{
    if (set->count >= set->cap && vars_grow(inv, set) != 0)
        return -1;
    struct var *known = vars_find(set, name);
    if (known != NULL) {
        known->value = v;
        return 0;
    }
    struct var *item = &set->items[set->count];
    *item = (struct var){.name = name, .value = v};
    if (set->index != NULL && map_put(set->index, pointer_key(&item->name), sizeof(char *),
                                      (void *)(uintptr_t)(set->count + 1), NULL) != 0)
        return -1;
    set->count++;
    return 0;
}

const struct value *vars_get(const struct vars *set, const char *name)
{
    const struct var *v = vars_find(set, name);
    return v ? v->value : NULL;
}

enum rc vars_set_map(struct inventory *inv, struct vars *set, const struct value *map,
                     struct err *e)
{
    for (size_t i = 0; i < map->u.map.count; i++) {
        const struct value_pair *p = &map->u.map.pairs[i];
        const char *name = model_intern(inv, p->key, strlen(p->key));
        if (name == NULL || vars_set(inv, set, name, p->value) != 0)
            return err_nomem(e);
    }
    return RC_OK;
}

/* --- groups and hosts --- */

static enum rc check_name(const char *kind, const char *name, const struct value_place *at,
                          struct err *e)
{
    if (name[0] == '\0')
        return model_error(e, RC_CONFIG, at, "a %s's name is empty", kind);
    if (strlen(name) > NAME_MAX_BYTES)
        return model_error(e, RC_LIMIT, at, "the name of the %s '%.40s…' is longer than %d bytes",
                           kind, name, NAME_MAX_BYTES);
    return RC_OK;
}

enum rc model_group(struct inventory *inv, const char *name, const struct value_place *at,
                    struct group **out, struct err *e)
{
    size_t len = strlen(name);
    *out = map_get(&inv->groups, name, len);
    if (*out != NULL)
        return RC_OK;
    enum rc rc = check_name("group", name, at, e);
    if (rc != RC_OK)
        return rc;
    if (inv->group_list.count >= INVENTORY_MAX_GROUPS)
        return model_error(e, RC_LIMIT, at, "more than %d groups", INVENTORY_MAX_GROUPS);
    struct group *g = arena_calloc(&inv->arena, 1, sizeof *g);
    char *copy = arena_strndup(&inv->arena, name, len);
    if (g == NULL || copy == NULL || map_put(&inv->groups, copy, len, g, NULL) != 0)
        return err_nomem(e);
    g->pub.name = copy;
    g->pub.index = inv->group_list.count;
    g->pub.priority = 1;
    if (model_list_add(inv, &inv->group_list, g) != 0) {
        map_del(&inv->groups, copy, len);
        return err_nomem(e);
    }
    *out = g;
    return RC_OK;
}

/* A key of two numbers that lives in the arena; NULL when there is no memory. */
static uint32_t *pair_key(struct inventory *inv, const uint32_t key[2])
{
    uint32_t *copy = arena_alloc(&inv->arena, 2 * sizeof *copy);
    if (copy != NULL)
        memcpy(copy, key, 2 * sizeof *copy);
    return copy;
}

static enum rc add_child_place(struct inventory *inv, struct group *g, const struct value_place *at,
                               struct err *e)
{
    if (g->child_places_cap < g->children.cap) {
        struct value_place *places =
            arena_alloc(&inv->arena, g->children.cap * sizeof *g->child_places);
        if (places == NULL)
            return err_nomem(e);
        if (g->children.count > 1)
            memcpy(places, g->child_places, (g->children.count - 1) * sizeof *places);
        g->child_places = places;
        g->child_places_cap = g->children.cap;
    }
    g->child_places[g->children.count - 1] = at ? *at : (struct value_place){0};
    return RC_OK;
}

enum rc model_child(struct inventory *inv, struct group *parent, struct group *child,
                    const struct value_place *at, struct err *e)
{
    if (parent == child)
        return model_error(e, RC_CONFIG, at, "the group '%.80s' cannot be its own child",
                           parent->pub.name);
    uint32_t key[2] = {parent->pub.index, child->pub.index};
    if (map_has(&inv->edges, (const char *)key, sizeof key))
        return RC_OK;
    uint32_t *copy = pair_key(inv, key);
    if (copy == NULL || map_put(&inv->edges, (const char *)copy, sizeof key, parent, NULL) != 0)
        return err_nomem(e);
    if (model_list_add(inv, &parent->children, child) != 0)
        return err_nomem(e);
    if (add_child_place(inv, parent, at, e) != RC_OK ||
        model_list_add(inv, &child->parents, parent) != 0) {
        parent->children.count--;
        return err_nomem(e);
    }
    return RC_OK;
}

/* Few groups: a scan. Many: the index of pairs, filled when the host crosses the line. */
static bool is_member(const struct inventory *inv, const struct host *h, const struct group *g)
{
    if (h->direct.count > MANY_GROUPS) {
        uint32_t key[2] = {h->pub.index, g->pub.index};
        return map_has(&inv->members, (const char *)key, sizeof key);
    }
    for (uint32_t i = 0; i < h->direct.count; i++)
        if (h->direct.items[i] == g)
            return true;
    return false;
}

static int index_member(struct inventory *inv, const struct host *h, const struct group *g)
{
    uint32_t key[2] = {h->pub.index, g->pub.index};
    uint32_t *copy = pair_key(inv, key);
    if (copy == NULL)
        return -1;
    return map_put(&inv->members, (const char *)copy, sizeof key, (void *)(uintptr_t)1, NULL);
}

enum rc model_join(struct inventory *inv, struct host *h, struct group *g, struct err *e)
{
    if (is_member(inv, h, g))
        return RC_OK;
    if (h->direct.count == MANY_GROUPS)
        for (uint32_t i = 0; i < h->direct.count; i++)
            if (index_member(inv, h, h->direct.items[i]) != 0)
                return err_nomem(e);
    if (h->direct.count >= MANY_GROUPS && index_member(inv, h, g) != 0)
        return err_nomem(e);
    if (model_list_add(inv, &g->hosts, h) != 0)
        return err_nomem(e);
    if (model_list_add(inv, &h->direct, g) != 0) {
        g->hosts.count--;
        return err_nomem(e);
    }
    return RC_OK;
}

static enum rc new_host(struct inventory *inv, const char *name, int64_t port,
                        const struct value_place *at, struct host **out, struct err *e)
{
    enum rc rc = check_name("host", name, at, e);
    if (rc != RC_OK)
        return rc;
    if (inv->host_list.count >= inv->max_hosts)
        return model_error(e, RC_LIMIT, at, "more than %u hosts", inv->max_hosts);
    size_t len = strlen(name);
    struct host *h = arena_calloc(&inv->arena, 1, sizeof *h);
    char *copy = arena_strndup(&inv->arena, name, len);
    if (h == NULL || copy == NULL || map_put(&inv->hosts, copy, len, h, NULL) != 0)
        return err_nomem(e);
    h->pub.name = copy;
    h->pub.index = inv->host_list.count;
    if (model_list_add(inv, &inv->host_list, h) != 0) {
        map_del(&inv->hosts, copy, len);
        return err_nomem(e);
    }
    *out = h;
    if (port == 0)
        return RC_OK;
    const char *id = model_intern(inv, "ansible_port", strlen("ansible_port"));
    const struct value *v = value_new_int(&inv->arena, port, at);
    if (id == NULL || v == NULL || vars_set(inv, &h->vars, id, v) != 0)
        return err_nomem(e);
    return RC_OK;
}

enum rc model_host(struct inventory *inv, const char *name, struct group *group, int64_t port,
                   const struct value_place *at, struct host **out, struct err *e)
{
    struct host *h = map_gets(&inv->hosts, name);
    enum rc rc = RC_OK;
    if (h == NULL)
        rc = new_host(inv, name, port, at, &h, e);
    if (rc == RC_OK && h != NULL && group != NULL)
        rc = model_join(inv, h, group, e);
    if (rc == RC_OK && out != NULL)
        *out = h;
    return rc;
}

/* What Python's int() makes of it. */
static bool to_int(const struct value *v, int64_t *out)
{
    if (v->type == VALUE_INT)
        *out = v->u.integer;
    else if (v->type == VALUE_BOOL)
        *out = v->u.boolean;
    else if (v->type == VALUE_FLOAT && v->u.real > -1e15 && v->u.real < 1e15)
        *out = (int64_t)v->u.real;
    else if (v->type == VALUE_STRING) {
        const char *s = v->u.string.data;
        char *end;
        *out = strtoll(s, &end, 10);
        if (end == s)
            return false;
        while (isspace((unsigned char)*end))
            end++;
        return *end == '\0' && *out != LLONG_MAX && *out != LLONG_MIN;
    } else
        return false;
    return true;
}

enum rc model_group_var(struct inventory *inv, struct group *g, const char *name,
                        const struct value *v, struct err *e)
{
    if (strcmp(name, "ansible_group_priority") == 0) {
        if (to_int(v, &g->pub.priority))
            return RC_OK;
        return model_error(e, RC_CONFIG, &v->place,
                           "ansible_group_priority of '%.80s' must be a whole number, not %s",
                           g->pub.name, value_type_text(v));
    }
    const char *id = model_intern(inv, name, strlen(name));
    if (id == NULL || vars_set(inv, &g->vars, id, v) != 0)
        return err_nomem(e);
    return RC_OK;
}

enum rc model_host_var(struct inventory *inv, struct host *h, const char *name,
                       const struct value *v, struct err *e)
{
    struct group *namesake = map_gets(&inv->groups, h->pub.name);
    if (namesake != NULL)
        return model_group_var(inv, namesake, name, v, e);
    const char *id = model_intern(inv, name, strlen(name));
    if (id == NULL || vars_set(inv, &h->vars, id, v) != 0)
        return err_nomem(e);
    return RC_OK;
}

enum rc model_host_vars(struct inventory *inv, struct host *h, const struct vars *set,
                        struct err *e)
{
    bool namesake = map_gets(&inv->groups, h->pub.name) != NULL;
    if (h->vars.count == 0 && !namesake) {
        h->vars = *set;
        h->vars.cap = 0;
        return RC_OK;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        enum rc rc = model_host_var(inv, h, set->items[i].name, set->items[i].value, e);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}
