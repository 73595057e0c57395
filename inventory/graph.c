/* See graph.h. */
#include "inventory/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* --- cycles and depths --- */

enum colour { WHITE, GREY, BLACK };

struct visit {
    struct group *group;
    uint32_t next; /* child to look at next */
};

struct walk {
    struct inventory *inv;
    uint8_t *colour;      /* by group index */
    struct visit *stack;  /* as deep as there are groups */
    struct group **order; /* children before their parents */
    uint32_t depth, done;
    struct err *e;
};

/* "a > b > c > a", cut where it gets long. */
static enum rc cycle(struct walk *w, const struct group *parent, uint32_t child_index)
{
    const struct group *child = parent->children.items[child_index];
    char path[300];
    size_t n = 0;
    bool on = false;
    for (uint32_t i = 0; i < w->depth && n < sizeof path - 1; i++) {
        on = on || w->stack[i].group == child;
        if (on)
            n += (size_t)snprintf(path + n, sizeof path - n, "%.40s > ",
                                  w->stack[i].group->pub.name);
    }
    const struct value_place *at = &parent->child_places[child_index];
    return model_error(w->e, RC_CONFIG, at, "groups contain each other in a circle: %s%.40s",
                       n < sizeof path ? path : "… > ", child->pub.name);
}

static enum rc visit_from(struct walk *w, struct group *root)
{
    if (w->colour[root->pub.index] != WHITE)
        return RC_OK;
    w->stack[0] = (struct visit){.group = root};
    w->depth = 1;
    w->colour[root->pub.index] = GREY;
    while (w->depth > 0) {
        struct visit *v = &w->stack[w->depth - 1];
        if (v->next == v->group->children.count) {
            w->colour[v->group->pub.index] = BLACK;
            w->order[w->done++] = v->group;
            w->depth--;
            continue;
        }
        struct group *child = v->group->children.items[v->next++];
        if (w->colour[child->pub.index] == GREY)
            return cycle(w, v->group, v->next - 1);
        if (w->colour[child->pub.index] == BLACK)
            continue;
        w->colour[child->pub.index] = GREY;
        w->stack[w->depth++] = (struct visit){.group = child};
    }
    return RC_OK;
}

static enum rc spread_depths(struct walk *w)
{
    for (uint32_t i = w->done; i > 0; i--) {
        struct group *g = w->order[i - 1];
        if (g->pub.depth > INVENTORY_MAX_GROUP_DEPTH)
            return err_set(w->e, RC_LIMIT, "the group '%.80s' lies more than %d groups deep",
                           g->pub.name, INVENTORY_MAX_GROUP_DEPTH);
        for (uint32_t k = 0; k < g->children.count; k++) {
            struct group *child = g->children.items[k];
            if (child->pub.depth < g->pub.depth + 1)
                child->pub.depth = g->pub.depth + 1;
        }
    }
    return RC_OK;
}

enum rc graph_settle_depths(struct inventory *inv, struct err *e)
{
    uint32_t n = inv->group_list.count;
    struct walk w = {.inv = inv,
                     .colour = mem_calloc(n, sizeof *w.colour),
                     .stack = mem_calloc(n, sizeof *w.stack),
                     .order = mem_calloc(n, sizeof *w.order),
                     .e = e};
    enum rc rc = w.colour && w.stack && w.order ? RC_OK : err_nomem(e);
    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        rc = visit_from(&w, inv->group_list.items[i]);
    if (rc == RC_OK)
        rc = spread_depths(&w);
    mem_free(w.colour);
    mem_free(w.stack);
    mem_free(w.order);
    return rc;
}

/* --- the groups of a host --- */

struct class
{
    struct inv_group **groups;
    uint32_t count;
};

static int by_precedence(const void *a, const void *b)
{
    const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
    if (x->pub.depth != y->pub.depth)
        return x->pub.depth < y->pub.depth ? -1 : 1;
    if (x->pub.priority != y->pub.priority)
        return x->pub.priority < y->pub.priority ? -1 : 1;
    return strcmp(x->pub.name, y->pub.name);
}

struct found {
    struct group **items;
    size_t count, cap;
};

static int add_found(struct inventory *inv, struct found *f, struct group *g)
{
    if (g->stamp == inv->stamp)
        return 0;
    g->stamp = inv->stamp;
    if (mem_grow(&f->items, &f->cap, f->count + 1, sizeof *f->items) != 0)
        return -1;
    f->items[f->count++] = g;
    return 0;
}

/* "all" has depth 0 and nothing else has, so sorting puts it first. */
static struct class *make_class(struct inventory *inv, const struct host *h)
{
    struct found f = {0};
    inv->stamp++;
    int failed = add_found(inv, &f, inv->all);
    for (uint32_t i = 0; i < h->direct.count; i++)
        failed |= add_found(inv, &f, h->direct.items[i]);
    for (size_t i = 0; i < f.count && !failed; i++)
        for (uint32_t k = 0; k < f.items[i]->parents.count; k++)
            failed |= add_found(inv, &f, f.items[i]->parents.items[k]);
    struct class *c = failed ? NULL : arena_alloc(&inv->arena, sizeof *c);
    struct inv_group **copy = c ? arena_alloc(&inv->arena, f.count * sizeof *copy) : NULL;
    if (copy != NULL) {
        must(f.items != NULL); /* "all" is among them */
        qsort(f.items, f.count, sizeof *f.items, by_precedence);
        for (size_t i = 0; i < f.count; i++)
            copy[i] = &f.items[i]->pub;
        c->groups = copy;
        c->count = (uint32_t)f.count;
    }
    mem_free(f.items);
    return copy ? c : NULL;
}

enum rc graph_settle_classes(struct inventory *inv, struct err *e)
{
    struct map classes;
    map_init(&classes);
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < inv->host_list.count; i++) {
        struct host *h = inv->host_list.items[i];
        const char *key = h->direct.count ? (const char *)h->direct.items : "";
        size_t len = h->direct.count * sizeof *h->direct.items;
        struct class *c = map_get(&classes, key, len);
        if (c == NULL) {
            c = make_class(inv, h);
            if (c == NULL || map_put(&classes, key, len, c, NULL) != 0)
                rc = err_nomem(e);
        }
        if (rc == RC_OK) {
            h->pub.groups = c->groups;
            h->pub.group_count = c->count;
        }
    }
    map_fini(&classes);
    return rc;
}

/* --- the hosts of a group --- */

struct members {
    struct inv_host **hosts;
    size_t count, cap;
    uint8_t *seen; /* a bit per host */
};

static int add_members(struct members *m, const struct group *g)
{
    for (uint32_t i = 0; i < g->hosts.count; i++) {
        struct host *h = g->hosts.items[i];
        uint8_t bit = (uint8_t)(1 << h->pub.index % 8);
        if (m->seen[h->pub.index / 8] & bit)
            continue;
        m->seen[h->pub.index / 8] |= bit;
        if (mem_grow(&m->hosts, &m->cap, m->count + 1, sizeof *m->hosts) != 0)
            return -1;
        m->hosts[m->count++] = &h->pub;
    }
    return 0;
}

enum rc graph_collect_hosts(struct inventory *inv, struct group *g, struct inv_host ***hosts,
                            size_t *count, struct err *e)
{
    struct members m = {.seen = mem_calloc(inv->host_list.count / 8 + 1, 1)};
    struct found f = {0};
    inv->stamp++;
    int failed = m.seen == NULL || add_found(inv, &f, g) != 0;
    for (size_t i = 0; i < f.count && !failed; i++) {
        failed = add_members(&m, f.items[i]);
        for (uint32_t k = 0; k < f.items[i]->children.count && !failed; k++)
            failed = add_found(inv, &f, f.items[i]->children.items[k]);
    }
    if (!failed && m.hosts == NULL)
        failed = (m.hosts = mem_alloc(sizeof *m.hosts)) == NULL;
    mem_free(f.items);
    mem_free(m.seen);
    if (failed) {
        mem_free(m.hosts);
        return err_nomem(e);
    }
    *hosts = m.hosts;
    *count = m.count;
    return RC_OK;
}
