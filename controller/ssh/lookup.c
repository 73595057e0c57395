/* See lookup.h: one name and its answer. */
#include "controller/ssh/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

struct lookup *lookup_new(const char *name)
{
    size_t len = strlen(name);
    struct lookup *l = mem_calloc(1, sizeof *l + len + 1);
    if (l == NULL)
        return NULL;
    atomic_init(&l->refs, 1);
    l->state = LOOKUP_QUEUED;
    TAILQ_INIT(&l->waiters);
    memcpy(l->name, name, len);
    return l;
}

void lookup_unref(struct lookup *l)
{
    if (atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    mem_free(l->addrs);
    mem_free(l);
}

struct two_families {
    const struct addrinfo *of[2][RESOLVE_MAX_ADDRESSES];
    size_t count[2];
};

static bool is_known(const struct two_families *f, int family, const struct addrinfo *ai)
{
    for (size_t i = 0; i < f->count[family]; i++)
        if (f->of[family][i]->ai_addrlen == ai->ai_addrlen &&
            memcmp(f->of[family][i]->ai_addr, ai->ai_addr, ai->ai_addrlen) == 0)
            return true;
    return false;
}

/* Sorts by family, keeping each one's order; returns the family that came first. */
static int sort(struct two_families *f, const struct addrinfo *list)
{
    int first = -1;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        int family = ai->ai_family == AF_INET6;
        size_t size = family ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        if ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) || ai->ai_addrlen != size ||
            f->count[family] == RESOLVE_MAX_ADDRESSES || is_known(f, family, ai))
            continue;
        f->of[family][f->count[family]++] = ai;
        if (first < 0)
            first = family;
    }
    return first < 0 ? 0 : first;
}

/* One of each family in turn: when a whole family is unreachable, the second attempt is not lost to
 * it as well. */
static int keep(struct lookup *l, const struct addrinfo *list)
{
    struct two_families f = {.count = {0, 0}};
    int family = sort(&f, list);
    size_t total = f.count[0] + f.count[1];
    if (total == 0)
        return EAI_NONAME;
    if (total > RESOLVE_MAX_ADDRESSES)
        total = RESOLVE_MAX_ADDRESSES;
    l->addrs = mem_calloc(total, sizeof *l->addrs);
    if (l->addrs == NULL)
        return EAI_MEMORY;
    size_t taken[2] = {0, 0};
    while (l->count < total) {
        if (taken[family] < f.count[family]) {
            const struct addrinfo *ai = f.of[family][taken[family]++];
            memcpy(&l->addrs[l->count++], ai->ai_addr, ai->ai_addrlen);
        }
        family = !family;
    }
    return 0;
}

static int ask(struct lookup *l, resolve_lookup_fn lookup, const struct addrinfo *hints)
{
    struct addrinfo *list = NULL;
    errno = 0;
    int rc = lookup(l->name, NULL, hints, &list);
    l->sys = errno;
    if (rc != 0)
        return rc;
    rc = keep(l, list);
    freeaddrinfo(list);
    return rc;
}

void lookup_run(struct lookup *l, resolve_lookup_fn lookup, const struct addrinfo *hints)
{
    l->gai = ask(l, lookup, hints);
    /* AI_ADDRCONFIG hides names whose only address is of a family the machine has on its loopback
     * interface alone (::1 on a machine with IPv4). */
    if ((l->gai == EAI_ADDRFAMILY || l->gai == EAI_NODATA) && hints->ai_flags & AI_ADDRCONFIG) {
        struct addrinfo plain = *hints;
        plain.ai_flags &= ~AI_ADDRCONFIG;
        l->gai = ask(l, lookup, &plain);
    }
}

bool lookup_numeric(struct lookup *l)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    if (l->name[0] == '\0' || strlen(l->name) >= NI_MAXHOST) {
        l->gai = EAI_NONAME;
        return true;
    }
    l->gai = ask(l, getaddrinfo, &hints);
    return l->gai != EAI_NONAME;
}

bool lookup_is_temporary(const struct lookup *l)
{
    return l->gai == EAI_AGAIN || l->gai == EAI_SYSTEM || l->gai == EAI_MEMORY;
}

static enum problem problem_of(int gai)
{
    switch (gai) {
    case 0: return PROBLEM_NONE;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY: return PROBLEM_DNS_NOT_FOUND;
    default: return PROBLEM_DNS_FAILED;
    }
}

void lookup_result(const struct lookup *l, uint16_t port, struct resolve_result *out)
{
    memset(out, 0, sizeof *out);
    out->problem = problem_of(l->gai);
    if (l->gai == EAI_SYSTEM && l->sys != 0) {
        char text[sizeof out->detail];
        snprintf(out->detail, sizeof out->detail, "%s", strerror_r(l->sys, text, sizeof text));
    } else if (l->gai != 0) {
        snprintf(out->detail, sizeof out->detail, "%s", gai_strerror(l->gai));
    }
    out->count = l->count;
    for (size_t i = 0; i < l->count; i++) {
        out->addrs[i] = l->addrs[i];
        if (out->addrs[i].sa.sa_family == AF_INET6)
            out->addrs[i].in6.sin6_port = htons(port);
        else
            out->addrs[i].in.sin_port = htons(port);
    }
}
