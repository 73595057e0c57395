/* See route.h. A node with something to decide is in the ring `busy`, once. */
#include "controller/route/route.h"

#include "common/mem.h"

enum { NONE = UINT32_MAX };

enum link_state { LINK_IDLE, LINK_OPENING, LINK_UP, LINK_HELD };

struct link {
    enum link_state state;
    uint32_t channels;
    uint32_t life; /* counted up when it ends: its clients are without it then */
};

struct node {
    struct link links[ROUTE_LINKS];
    uint32_t first, last, waiting; /* clients, in order */
    uint32_t channels;
    uint32_t limit;    /* of links */
    uint32_t failures; /* to connect, in a row, with no link up */
    uint64_t retry_at; /* not before */
    bool dead, told_dead;
    bool busy;
};

struct client {
    uint32_t node; /* it waits for, or NONE */
    uint32_t link; /* it has, or NONE */
    uint32_t life; /* of the link */
    uint32_t prev, next;
};

struct route {
    struct route_opts opts;
    struct node *nodes;
    struct client *clients;
    uint32_t *busy; /* a ring of node_count places */
    uint32_t busy_first, busy_count;
    uint32_t node_count, client_count;
    uint64_t wake_at; /* the nearest retry_at of a node, or sooner */
    uint64_t random;
};

enum rc route_new(struct route **out, const struct route_opts *opts, uint32_t nodes,
                  uint32_t clients, struct err *e)
{
    if (nodes >= NONE / ROUTE_LINKS || clients == NONE)
        return err_set(e, RC_LIMIT, "too many bastions");
    struct route *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(e);
    r->opts = *opts;
    r->random = opts->seed;
    r->wake_at = UINT64_MAX;
    r->node_count = nodes;
    r->client_count = clients;
    r->nodes = mem_calloc(nodes, sizeof *r->nodes);
    r->clients = mem_calloc(clients, sizeof *r->clients);
    r->busy = mem_calloc(nodes, sizeof *r->busy);
    if (r->nodes == NULL || r->clients == NULL || r->busy == NULL) {
        route_free(r);
        return err_nomem(e);
    }
    for (uint32_t i = 0; i < nodes; i++) {
        r->nodes[i].first = r->nodes[i].last = NONE;
        r->nodes[i].limit = ROUTE_LINKS;
    }
    for (uint32_t i = 0; i < clients; i++)
        r->clients[i].node = r->clients[i].link = NONE;
    *out = r;
    return RC_OK;
}

void route_free(struct route *r)
{
    if (r == NULL)
        return;
    mem_free(r->nodes);
    mem_free(r->clients);
    mem_free(r->busy);
    mem_free(r);
}

static void make_busy(struct route *r, uint32_t node)
{
    struct node *n = &r->nodes[node];
    if (n->busy)
        return;
    n->busy = true;
    r->busy[(uint32_t)(((uint64_t)r->busy_first + r->busy_count++) % r->node_count)] = node;
}

/* splitmix64, as the scheduler's */
static uint64_t next_random(struct route *r)
{
    uint64_t z = r->random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t backoff(struct route *r, uint32_t failures)
{
    uint64_t bound = r->opts.backoff_base_ms;
    for (uint32_t i = 1; i < failures && bound < r->opts.backoff_max_ms; i++)
        bound *= 2;
    if (bound > r->opts.backoff_max_ms)
        bound = r->opts.backoff_max_ms;
    return bound > 0 ? next_random(r) % bound : 0;
}

static uint32_t count_links(const struct node *n, enum link_state state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ROUTE_LINKS; i++)
        count += n->links[i].state == state;
    return count;
}

/* ---- clients ---- */

void route_want(struct route *r, uint32_t node, uint32_t client)
{
    must(node < r->node_count && client < r->client_count);
    struct client *c = &r->clients[client];
    struct node *n = &r->nodes[node];
    must(c->node == NONE && c->link == NONE);
    c->node = node;
    c->prev = n->last;
    c->next = NONE;
    *(n->last != NONE ? &r->clients[n->last].next : &n->first) = client;
    n->last = client;
    n->waiting++;
    make_busy(r, node);
}

static void unqueue(struct route *r, uint32_t client)
{
    struct client *c = &r->clients[client];
    struct node *n = &r->nodes[c->node];
    *(c->prev != NONE ? &r->clients[c->prev].next : &n->first) = c->next;
    *(c->next != NONE ? &r->clients[c->next].prev : &n->last) = c->prev;
    n->waiting--;
    c->node = NONE;
}

void route_leave(struct route *r, uint32_t client)
{
    must(client < r->client_count);
    struct client *c = &r->clients[client];
    if (c->node != NONE) {
        unqueue(r, client);
    } else if (c->link != NONE) {
        uint32_t node = c->link / ROUTE_LINKS;
        struct link *l = &r->nodes[node].links[c->link % ROUTE_LINKS];
        if (l->life == c->life) {
            l->channels--;
            r->nodes[node].channels--;
        }
        c->link = NONE;
        make_busy(r, node);
    }
}

/* ---- links ---- */

static struct link *find_link(struct route *r, uint32_t link, struct node **n)
{
    must(link / ROUTE_LINKS < r->node_count);
    *n = &r->nodes[link / ROUTE_LINKS];
    make_busy(r, link / ROUTE_LINKS);
    return &(*n)->links[link % ROUTE_LINKS];
}

void route_link_up(struct route *r, uint32_t link)
{
    struct node *n;
    struct link *l = find_link(r, link, &n);
    must(l->state == LINK_OPENING);
    l->state = LINK_UP;
    n->failures = 0;
    n->retry_at = 0;
}

void route_link_hold(struct route *r, uint32_t link)
{
    struct node *n;
    struct link *l = find_link(r, link, &n);
    if (l->state == LINK_UP)
        l->state = LINK_HELD;
}

static void retry_later(struct route *r, struct node *n, uint64_t now_ms, uint32_t failures)
{
    n->retry_at = now_ms + backoff(r, failures) + 1;
    if (n->retry_at < r->wake_at)
        r->wake_at = n->retry_at;
}

void route_link_down(struct route *r, uint32_t link, uint64_t now_ms, bool again)
{
    struct node *n;
    struct link *l = find_link(r, link, &n);
    bool was_up = l->state == LINK_UP || l->state == LINK_HELD;
    must(l->state != LINK_IDLE);
    n->channels -= l->channels;
    l->state = LINK_IDLE;
    l->channels = 0;
    l->life++;
    uint32_t up = count_links(n, LINK_UP);
    if (was_up) {
        if (up == 0)
            retry_later(r, n, now_ms, 1);
        return;
    }
    if (up > 0) {
        n->limit = up;
        return;
    }
    n->failures++;
    if (!again || n->failures > r->opts.retries)
        n->dead = count_links(n, LINK_OPENING) == 0;
    else
        retry_later(r, n, now_ms, n->failures);
}

/* ---- decisions ---- */

static uint32_t wanted_links(const struct node *n)
{
    uint32_t demand = n->waiting + n->channels;
    uint32_t wanted = (demand + ROUTE_CHANNELS - 1) / ROUTE_CHANNELS;
    return wanted < n->limit ? wanted : n->limit;
}

/* The link with the fewest channels; while more links are on their way each takes its share only.
 */
static struct link *best_link(struct node *n, bool more_to_come)
{
    uint32_t room = more_to_come ? ROUTE_CHANNELS : ROUTE_CHANNELS_MAX;
    struct link *best = NULL;
    for (uint32_t i = 0; i < ROUTE_LINKS; i++) {
        struct link *l = &n->links[i];
        if (l->state == LINK_UP && l->channels < room &&
            (best == NULL || l->channels < best->channels))
            best = l;
    }
    return best;
}

static bool fail_one(struct route *r, uint32_t node, struct route_action *out)
{
    struct node *n = &r->nodes[node];
    *out = (struct route_action){.type = ROUTE_DEAD, .node = node};
    if (!n->told_dead) {
        n->told_dead = true;
        return true;
    }
    if (n->first == NONE)
        return false;
    out->type = ROUTE_FAIL;
    out->client = n->first;
    unqueue(r, n->first);
    return true;
}

static bool open_one(struct node *n, uint32_t node, uint64_t now, struct route_action *out)
{
    uint32_t up = count_links(n, LINK_UP), opening = count_links(n, LINK_OPENING);
    if (n->waiting == 0)
        return false;
    if (up == 0 ? opening > 0 || now < n->retry_at : up + opening >= wanted_links(n))
        return false;
    for (uint32_t i = 0; i < ROUTE_LINKS; i++) {
        if (n->links[i].state != LINK_IDLE)
            continue;
        n->links[i].state = LINK_OPENING;
        *out =
            (struct route_action){.type = ROUTE_OPEN, .node = node, .link = node * ROUTE_LINKS + i};
        return true;
    }
    return false;
}

static bool grant_one(struct route *r, uint32_t node, struct route_action *out)
{
    struct node *n = &r->nodes[node];
    struct link *l = n->first != NONE ? best_link(n, count_links(n, LINK_OPENING) > 0) : NULL;
    if (l == NULL)
        return false;
    uint32_t client = n->first;
    unqueue(r, client);
    struct client *c = &r->clients[client];
    c->link = node * ROUTE_LINKS + (uint32_t)(l - n->links);
    c->life = l->life;
    l->channels++;
    n->channels++;
    *out =
        (struct route_action){.type = ROUTE_GRANT, .node = node, .link = c->link, .client = client};
    return true;
}

static void wake_nodes(struct route *r, uint64_t now_ms)
{
    r->wake_at = UINT64_MAX;
    for (uint32_t i = 0; i < r->node_count; i++) {
        struct node *n = &r->nodes[i];
        if (n->retry_at == 0)
            continue;
        if (n->retry_at <= now_ms) {
            n->retry_at = 0;
            make_busy(r, i);
        } else if (n->retry_at < r->wake_at) {
            r->wake_at = n->retry_at;
        }
    }
}

bool route_next(struct route *r, uint64_t now_ms, struct route_action *out)
{
    if (now_ms >= r->wake_at)
        wake_nodes(r, now_ms);
    while (r->busy_count > 0) {
        uint32_t node = r->busy[r->busy_first];
        struct node *n = &r->nodes[node];
        if (n->dead ? fail_one(r, node, out)
                    : open_one(n, node, now_ms, out) || grant_one(r, node, out))
            return true;
        n->busy = false;
        r->busy_first = (r->busy_first + 1) % r->node_count;
        r->busy_count--;
    }
    return false;
}

uint64_t route_wake_at(const struct route *r)
{
    return r->wake_at;
}

bool route_is_dead(const struct route *r, uint32_t node)
{
    must(node < r->node_count);
    return r->nodes[node].dead;
}
