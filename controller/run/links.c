/* Bastions at run time: connects to them as route.c decides, tells who may go through, and keeps
 * what was wrong with those that are dead.
 *
 * A link's own way to its bastion is that of a host: look-up or channel, gate, worker, host key; it
 * then stays. Who goes through which link is route's; what is in front of whom is jump's; whether a
 * host's attempt is over is attempt's. Loop thread only.
 */
#include "controller/run/run_internal.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/run/jump.h"

enum link_state {
    LINK_IDLE,
    LINK_RESOLVING,
    LINK_GATED,  /* waits for a place at its server */
    LINK_ROUTED, /* waits for a channel of the bastion in front of it */
    LINK_WORKING,
    LINK_UP,
};

struct link {
    struct run *run;
    uint32_t number;
    enum link_state state;
    uint64_t job;      /* 0: none */
    uint32_t via_hop;  /* behind a bastion: which */
    uint32_t via_link; /* and the link to it, once there is one */
    uint32_t alternate;
    uint64_t step_ms, used_ms;
    struct resolve_req *lookup;
    union resolve_addr addrs[RESOLVE_MAX_ADDRESSES];
    uint32_t addr_count, addr_next;
    char retry_types[256];
    bool reshaken;
};

struct links {
    struct route *route;
    struct link *items;
    uint32_t count;
    uint32_t resolving;
    char **reasons;   /* of each hop: what was wrong with it last, or NULL */
    bool *were_up;    /* each hop: it was logged in to */
    uint32_t *groups; /* of each target, for the scheduler: its way */
};

static const struct jumps *jumps_of(const struct run *r)
{
    return r->plan->jumps;
}

static const struct hop *hop_of(const struct link *l)
{
    return &jumps_of(l->run)->hops[l->number / ROUTE_LINKS];
}

static uint32_t client_of(const struct link *l)
{
    return l->run->count + l->number;
}

static struct route *route_of(const struct link *l)
{
    return l->run->links->route;
}

static uint64_t budget_left(const struct link *l)
{
    uint64_t own = hop_of(l)->target.connect_ms;
    uint64_t bound = own != 0 ? own : l->run->options->connect_timeout_ms;
    return l->used_ms < bound ? bound - l->used_ms : 0;
}

/* ---- set up ---- */

enum rc links_open(struct run *r, struct err *e)
{
    const struct jumps *j = jumps_of(r);
    if (j == NULL || j->hop_count == 0)
        return RC_OK;
    struct links *ls = r->links = mem_calloc(1, sizeof *ls);
    if (ls == NULL)
        return err_nomem(e);
    struct route_opts o = {
        .retries = r->options->retries, .backoff_base_ms = 250, .backoff_max_ms = 5000};
    randombytes_buf(&o.seed, sizeof o.seed);
    ls->count = j->hop_count * ROUTE_LINKS;
    ls->items = mem_calloc(ls->count, sizeof *ls->items);
    ls->reasons = mem_calloc(j->hop_count, sizeof *ls->reasons);
    ls->were_up = mem_calloc(j->hop_count, sizeof *ls->were_up);
    ls->groups = mem_calloc(r->count, sizeof *ls->groups);
    if (ls->items == NULL || ls->reasons == NULL || ls->were_up == NULL || ls->groups == NULL)
        return err_nomem(e);
    for (uint32_t i = 0; i < ls->count; i++) {
        ls->items[i].run = r;
        ls->items[i].number = i;
    }
    for (uint32_t i = 0; i < r->count; i++)
        ls->groups[i] = r->plan->targets[i].way;
    return route_new(&ls->route, &o, j->hop_count, r->count + ls->count, e);
}

void links_free(struct run *r)
{
    struct links *ls = r->links;
    if (ls == NULL)
        return;
    for (uint32_t i = 0; ls->reasons != NULL && i < jumps_of(r)->hop_count; i++)
        mem_free(ls->reasons[i]);
    mem_free(ls->reasons);
    mem_free(ls->items);
    mem_free(ls->were_up);
    mem_free(ls->groups);
    route_free(ls->route);
    mem_free(ls);
    r->links = NULL;
}

const uint32_t *links_groups(const struct run *r)
{
    return r->links != NULL ? r->links->groups : NULL;
}

struct link *link_of(struct run *r, uint64_t job)
{
    uint32_t n = (uint32_t)job;
    if (r->links == NULL || n < r->count || n - r->count >= r->links->count)
        return NULL;
    return &r->links->items[n - r->count];
}

const struct target *link_logs_in(const struct link *l, uint64_t job)
{
    return l->job == job ? &hop_of(l)->target : NULL;
}

/* ---- what was wrong ---- */

static void set_reason(struct link *l, const struct outcome *o)
{
    char text[400];
    const char *name = hop_of(l)->target.name;
    if (o->problem == PROBLEM_JUMP_UNREACHABLE) /* it names the hop that is in front of this one */
        snprintf(text, sizeof text, "%s", o->detail);
    else
        snprintf(text, sizeof text, "%s: %s%s%s", name, problem_name(o->problem),
                 o->detail[0] != '\0' ? ": " : "", o->detail);
    char **reason = &l->run->links->reasons[l->number / ROUTE_LINKS];
    mem_free(*reason);
    *reason = mem_strdup(text); /* without memory the problem stands without its reason */
}

char *links_reason(const struct run *r, uint32_t way, char *dst, size_t cap)
{
    const struct way *w = &jumps_of(r)->ways[way];
    size_t len = 0;
    dst[0] = '\0';
    for (uint32_t i = 0; i < w->count && len < cap; i++) {
        const char *why = r->links->reasons[w->hops[i]];
        len += (size_t)snprintf(dst + len, cap - len, "%s%s", i > 0 ? "; " : "",
                                why != NULL ? why : jumps_of(r)->hops[w->hops[i]].target.name);
    }
    return dst;
}

/* ---- a link's way up ---- */

static void link_start(struct link *l);

static void link_failed(struct link *l, const struct outcome *o, bool again)
{
    struct run *r = l->run;
    must(l->state != LINK_IDLE);
    l->state = LINK_IDLE;
    l->job = 0;
    set_reason(l, o);
    route_leave(route_of(l), client_of(l));
    route_link_down(route_of(l), l->number, clock_ms(), again);
    place_leave(r, client_of(l));
}

__attribute__((format(printf, 4, 5))) static void link_fail(struct link *l, enum problem problem,
                                                            bool again, const char *fmt, ...)
{
    struct outcome o;
    char text[sizeof o.detail];
    outcome_init(&o);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    o.problem = problem;
    str_escape_to(o.detail, sizeof o.detail, text, strlen(text), 0);
    link_failed(l, &o, again);
}

static void link_gate(struct link *l)
{
    const struct target *t = &hop_of(l)->target;
    l->state = LINK_GATED;
    bool granted = false;
    enum rc rc = hop_of(l)->way != 0
                     ? place_enter_via(l->run, l->via_hop, t, client_of(l), &granted)
                     : place_enter(l->run, &l->addrs[l->addr_next], client_of(l), &granted);
    if (rc != RC_OK)
        link_fail(l, PROBLEM_LOCAL_RESOURCE, false, "out of memory");
    else if (granted)
        link_granted(l);
}

void link_granted(struct link *l)
{
    must(l->state == LINK_GATED);
    if (hop_of(l)->way == 0) {
        link_start(l);
        return;
    }
    l->state = LINK_ROUTED;
    route_want(route_of(l), l->via_hop, client_of(l));
}

/* The next of the bastions in front of it that is not dead. */
static void link_seek(struct link *l)
{
    const struct way *w = &jumps_of(l->run)->ways[hop_of(l)->way];
    char why[320];
    while (l->alternate < w->count && route_is_dead(route_of(l), w->hops[l->alternate]))
        l->alternate++;
    if (l->alternate < w->count) {
        l->via_hop = w->hops[l->alternate];
        link_gate(l);
        return;
    }
    l->state = LINK_GATED;
    link_fail(l, PROBLEM_JUMP_UNREACHABLE, false, "%s",
              links_reason(l->run, hop_of(l)->way, why, sizeof why));
}

/* Those of the bastion's family, which ssh_config may limit. */
static void take_addresses(struct link *l, const struct resolve_result *result)
{
    unsigned family = hop_of(l)->target.family;
    l->addr_count = l->addr_next = 0;
    for (size_t i = 0; i < result->count; i++)
        if (family == 0 || result->addrs[i].sa.sa_family == family)
            l->addrs[l->addr_count++] = result->addrs[i];
}

static void on_resolved(void *user, const struct resolve_result *result)
{
    struct link *l = user;
    struct run *r = l->run;
    l->lookup = NULL;
    l->used_ms += clock_ms() - l->step_ms;
    r->links->resolving--;
    if (result->problem != PROBLEM_NONE) {
        link_fail(l, result->problem, false, "%s", result->detail);
    } else {
        take_addresses(l, result);
        if (l->addr_count > 0)
            link_gate(l);
        else
            link_fail(l, PROBLEM_DNS_NOT_FOUND, false,
                      "no address of the family that AddressFamily asks for");
    }
    run_pump(r);
}

static void link_open(struct link *l)
{
    const struct target *t = &hop_of(l)->target;
    struct run *r = l->run;
    struct err e = {0};
    *l = (struct link){.run = r, .number = l->number, .step_ms = clock_ms()};
    if (hop_of(l)->way != 0) {
        link_seek(l);
        return;
    }
    l->state = LINK_RESOLVING;
    if (resolver_start(r->resolver, t->address, t->port, on_resolved, l, &l->lookup, &e) == RC_OK)
        r->links->resolving++;
    else
        link_fail(l, PROBLEM_LOCAL_RESOURCE, false, "%s", e.msg);
}

void links_check_lookups(struct run *r)
{
    uint64_t now = clock_ms();
    for (uint32_t i = 0; r->links != NULL && r->links->resolving > 0 && i < r->links->count; i++) {
        struct link *l = &r->links->items[i];
        char bound[NUM_TEXT];
        if (l->state != LINK_RESOLVING || now - l->step_ms < budget_left(l) ||
            resolver_is_ready(l->lookup))
            continue;
        resolver_cancel(r->resolver, l->lookup);
        r->links->resolving--;
        link_fail(l, PROBLEM_DNS_TIMEOUT, false, "no answer after %s",
                  num_duration_text(bound, r->options->connect_timeout_ms));
    }
}

void links_set_way(struct run *r, uint32_t link, const struct target *t, struct session_spec *spec)
{
    spec->via_job = r->links->items[link].job;
    spec->via_host = t->address;
    spec->tcp_budget_ms = 0;
    memset(&spec->addr, 0, sizeof spec->addr);
    spec->addr.in.sin_family = AF_INET;
    spec->addr.in.sin_port = htons(t->port);
}

/* It has its place, and its channel where it needs one. */
static void link_start(struct link *l)
{
    struct run *r = l->run;
    const struct target *t = &hop_of(l)->target;
    char types[256];
    struct err e = {0};
    if (l->retry_types[0] != '\0')
        snprintf(types, sizeof types, "%s", l->retry_types);
    else
        trust_types(r->trust, &t->trust, t->key_name, t->alias ? 22 : t->port, types, sizeof types);
    struct session_spec spec = {.kind = SESSION_LINK,
                                .label = t->name,
                                .user = t->user,
                                .key_count = t->key_count,
                                .hostkey_types = types,
                                .legacy = t->legacy,
                                .command = "",
                                .connect_budget_ms = budget_left(l)};
    for (unsigned i = 0; i < t->key_count; i++)
        spec.keys[i] = t->keys[i];
    if (hop_of(l)->way != 0) {
        links_set_way(r, l->via_link, t, &spec);
    } else {
        spec.addr = l->addrs[l->addr_next];
        spec.tcp_budget_ms = l->addr_next + 1 < l->addr_count ? budget_left(l) / 2 : 0;
    }
    l->job = (uint64_t)++r->serial << 32 | client_of(l);
    l->step_ms = clock_ms();
    l->state = LINK_WORKING;
    enum rc rc = spec.connect_budget_ms > 0
                     ? pool_start(r->pool, l->job, &spec, &e)
                     : err_set(&e, RC_LIMIT, "the connect bound was used up");
    if (rc != RC_OK)
        link_fail(l, rc == RC_NOTFOUND ? PROBLEM_WORKER_DIED : PROBLEM_LOCAL_RESOURCE,
                  rc == RC_CANCELLED, "%s", e.msg);
}

/* ---- what the workers say of it ---- */

void link_on_hostkey(struct link *l, uint64_t job, const char *key_type, const void *blob,
                     size_t len)
{
    const struct target *t = &hop_of(l)->target;
    struct run *r = l->run;
    if (l->job == job && trust_ask(r->trust, &t->trust, job, t->key_name, t->alias ? 22 : t->port,
                                   key_type, blob, len, l->reshaken) != RC_OK)
        pool_hostkey_answer(r->pool, job, HOSTKEY_REJECT, PROBLEM_LOCAL_RESOURCE, "out of memory");
}

void link_on_trust(struct link *l, uint64_t job, const struct trust_answer *answer)
{
    if (l->job != job)
        return;
    if (answer->retry_types[0] != '\0')
        memcpy(l->retry_types, answer->retry_types, sizeof l->retry_types);
    pool_hostkey_answer(l->run->pool, job, answer->accept ? HOSTKEY_ACCEPT : HOSTKEY_REJECT,
                        answer->problem, answer->detail);
}

void link_on_authenticated(struct link *l, uint64_t job)
{
    if (l->job != job)
        return;
    l->state = LINK_UP;
    l->run->links->were_up[l->number / ROUTE_LINKS] = true;
    route_link_up(route_of(l), l->number);
    place_leave(l->run, client_of(l));
    run_pump(l->run);
}

/* Is it this address that failed, and is there another? */
static bool next_address(const struct link *l, enum problem p)
{
    return hop_of(l)->way == 0 && l->addr_next + 1 < l->addr_count && budget_left(l) > 0 &&
           (p == PROBLEM_CONNECT_REFUSED || p == PROBLEM_CONNECT_TIMEOUT ||
            p == PROBLEM_CONNECT_FAILED);
}

/* Another try from the gate on. */
static void link_again(struct link *l)
{
    l->job = 0;
    route_leave(route_of(l), client_of(l));
    place_leave(l->run, client_of(l));
    link_gate(l);
}

void link_on_done(struct link *l, uint64_t job, const struct session_result *result)
{
    const struct outcome *o = &result->outcome;
    struct run *r = l->run;
    if (l->job != job)
        return;
    l->used_ms += clock_ms() - l->step_ms;
    if (l->state == LINK_UP) {
        link_failed(l, o, true);
    } else if (o->problem == PROBLEM_HOST_KEY_CHANGED && l->retry_types[0] != '\0' &&
               !l->reshaken && budget_left(l) > 0) {
        l->reshaken = true;
        link_again(l);
    } else if (next_address(l, o->problem)) {
        l->addr_next++;
        link_again(l);
    } else {
        link_failed(l, o,
                    problem_retry(o->problem) == RETRY_FAST ||
                        o->problem == PROBLEM_JUMP_UNREACHABLE);
    }
    run_pump(r);
}

/* ---- those that go through ---- */

/* The hop that the attempt would go through now: the first that is not dead. */
static bool pick_hop(const struct run *r, uint32_t way, uint32_t *hop)
{
    const struct way *w = &jumps_of(r)->ways[way];
    for (uint32_t i = 0; i < w->count; i++) {
        *hop = w->hops[i];
        if (!route_is_dead(r->links->route, *hop))
            return true;
    }
    return false;
}

bool links_were_up(const struct run *r, uint32_t way)
{
    const struct way *w = &jumps_of(r)->ways[way];
    bool up = false;
    for (uint32_t i = 0; i < w->count; i++)
        up |= r->links->were_up[w->hops[i]];
    return up;
}

bool links_hop(const struct run *r, uint32_t way, uint32_t *hop)
{
    return r->links != NULL && way != 0 && pick_hop(r, way, hop);
}

void links_want(struct run *r, uint32_t hop, uint32_t target)
{
    route_want(r->links->route, hop, target);
}

void links_leave(struct run *r, uint32_t target)
{
    if (r->links != NULL)
        route_leave(r->links->route, target);
}

void links_hold(struct run *r, uint32_t link)
{
    route_link_hold(r->links->route, link);
}

/* Every way whose last bastion this was. */
static void tell_dead(struct run *r, uint32_t hop)
{
    const struct jumps *j = jumps_of(r);
    for (uint32_t w = 1; w < j->way_count; w++) {
        uint32_t other;
        bool has = false;
        for (uint32_t i = 0; i < j->ways[w].count; i++)
            has |= j->ways[w].hops[i] == hop;
        if (has && !pick_hop(r, w, &other))
            run_event(r, &(struct sched_event){.type = SCHED_EV_GROUP_DEAD, .group = w});
    }
}

static void act(struct run *r, const struct route_action *a)
{
    struct link *l = a->client >= r->count ? &r->links->items[a->client - r->count] : NULL;
    switch (a->type) {
    case ROUTE_OPEN: link_open(&r->links->items[a->link]); break;
    case ROUTE_DEAD: tell_dead(r, a->node); break;
    case ROUTE_GRANT:
        if (l == NULL) {
            attempt_routed(r, a->client, a->link);
        } else {
            l->via_link = a->link;
            link_start(l);
        }
        break;
    case ROUTE_FAIL:
        if (l == NULL) {
            attempt_unrouted(r, a->client);
        } else {
            place_leave(r, a->client);
            link_seek(l);
        }
        break;
    }
}

bool links_pump(struct run *r)
{
    struct route_action a;
    bool any = false;
    while (r->links != NULL && !r->done && route_next(r->links->route, clock_ms(), &a)) {
        act(r, &a);
        any = true;
    }
    return any;
}

uint64_t links_wake_at(const struct run *r)
{
    return r->links != NULL ? route_wake_at(r->links->route) : UINT64_MAX;
}
