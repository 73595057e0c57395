/* See gate.h. A server exists while anyone has or wants a place at it. */
#include "controller/run/gate.h"

#include <string.h>

#include "common/map.h"
#include "common/mem.h"

struct place {
    uint32_t target; /* also its key in the map */
    bool granted;
    struct server *server;
    struct place *prev, *next; /* in the server's queue, while not granted */
};

struct server {
    uint32_t taken;
    struct place *first, *last; /* waiters */
    size_t len;
    char key[];
};

struct gate {
    uint32_t per_server;
    struct map servers; /* by their key */
    struct map places;  /* by target */
};

enum rc gate_new(struct gate **out, uint32_t per_server, struct err *e)
{
    must(per_server >= 1);
    struct gate *g = mem_calloc(1, sizeof *g);
    if (g == NULL)
        return err_nomem(e);
    g->per_server = per_server;
    map_init(&g->servers);
    map_init(&g->places);
    *out = g;
    return RC_OK;
}

void gate_free(struct gate *g)
{
    if (g == NULL)
        return;
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&g->places, &i)) != NULL;)
        mem_free(entry->value);
    for (size_t i = 0; (entry = map_next(&g->servers, &i)) != NULL;)
        mem_free(entry->value);
    map_fini(&g->places);
    map_fini(&g->servers);
    mem_free(g);
}

static struct server *get_server(struct gate *g, const void *key, size_t len)
{
    struct server *s = map_get(&g->servers, key, len);
    if (s != NULL)
        return s;
    s = mem_calloc(1, sizeof *s + len);
    if (s == NULL)
        return NULL;
    memcpy(s->key, key, len);
    s->len = len;
    if (map_put(&g->servers, s->key, len, s, NULL) != 0) {
        mem_free(s);
        return NULL;
    }
    return s;
}

static void drop_unused(struct gate *g, struct server *s)
{
    if (s->taken > 0 || s->first != NULL)
        return;
    map_del(&g->servers, s->key, s->len);
    mem_free(s);
}

static void enqueue(struct server *s, struct place *p)
{
    p->prev = s->last;
    if (s->last != NULL)
        s->last->next = p;
    else
        s->first = p;
    s->last = p;
}

static void unqueue(struct server *s, struct place *p)
{
    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        s->first = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
    else
        s->last = p->prev;
    p->prev = p->next = NULL;
}

enum rc gate_acquire(struct gate *g, const void *key, size_t len, uint32_t target, bool *granted,
                     struct err *e)
{
    must(!map_has(&g->places, (const char *)&target, sizeof target));
    struct server *s = get_server(g, key, len);
    if (s == NULL)
        return err_nomem(e);
    struct place *p = mem_calloc(1, sizeof *p);
    if (p != NULL) {
        p->target = target;
        p->server = s;
    }
    if (p == NULL || map_put(&g->places, (const char *)&p->target, sizeof target, p, NULL) != 0) {
        mem_free(p);
        drop_unused(g, s);
        return err_nomem(e);
    }
    p->granted = s->taken < g->per_server;
    if (p->granted)
        s->taken++;
    else
        enqueue(s, p);
    *granted = p->granted;
    return RC_OK;
}

bool gate_is_awaited(const struct gate *g, uint32_t target)
{
    const struct place *p = map_get(&g->places, (const char *)&target, sizeof target);
    return p != NULL && p->granted && p->server->first != NULL;
}

bool gate_release(struct gate *g, uint32_t target, uint32_t *next)
{
    struct place *p = map_del(&g->places, (const char *)&target, sizeof target);
    if (p == NULL)
        return false;
    struct server *s = p->server;
    struct place *heir = p->granted ? s->first : NULL;
    if (!p->granted)
        unqueue(s, p);
    else if (heir == NULL)
        s->taken--;
    mem_free(p);
    if (heir != NULL) {
        unqueue(s, heir);
        heir->granted = true;
        *next = heir->target;
    }
    drop_unused(g, s);
    return heir != NULL;
}
