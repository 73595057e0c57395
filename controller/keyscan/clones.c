/* Keys that several servers share: machines made from one image, each of which can pose as all the
 * others. See keyscan.h. Pure but for memory. */
#include "controller/keyscan/keyscan.h"

#include <stdio.h>
#include <string.h>

#include "common/map.h"
#include "common/mem.h"

/* Two names of one server are no clones: a server is an address and a port. Behind a bastion the
 * address is the bastion's to find, and the name that it is given has to do. */
static bool same_server(const struct found_host *a, const struct found_host *b)
{
    const struct target *x = a->target, *y = b->target;
    if (x->port != y->port || x->way != y->way)
        return false;
    return x->way != 0 ? strcmp(x->address, y->address) == 0 : strcmp(a->address, b->address) == 0;
}

static int add_host(struct clones *c, const struct found *f, uint32_t host)
{
    for (size_t i = 0; i < c->count && i < 8; i++) /* the order of an inventory keeps them near */
        if (same_server(&f->hosts[c->hosts[i]], &f->hosts[host]))
            return 0;
    if (mem_grow(&c->hosts, &c->cap, c->count + 1, sizeof *c->hosts) != 0)
        return -1;
    c->hosts[c->count++] = host;
    return 0;
}

static int add_key(struct clones **all, size_t *n, size_t *cap, struct map *by_blob,
                   const struct found *f, uint32_t host, const struct found_key *k)
{
    uintptr_t at = (uintptr_t)map_get(by_blob, (const char *)k->blob, k->len);
    if (at == 0) {
        if (mem_grow(all, cap, *n + 1, sizeof **all) != 0 ||
            map_put(by_blob, (const char *)k->blob, k->len, (void *)(uintptr_t)(*n + 1), NULL) != 0)
            return -1;
        (*all)[*n] = (struct clones){.key = k};
        at = ++*n;
    }
    return add_host(&(*all)[at - 1], f, host);
}

enum rc clones_find(const struct found *f, struct clones **out, size_t *count, struct err *e)
{
    struct clones *all = NULL;
    struct map by_blob;
    size_t n = 0, cap = 0, kept = 0;
    int failed = 0;
    map_init(&by_blob);
    for (uint32_t i = 0; failed == 0 && i < f->count; i++)
        for (unsigned k = 0; failed == 0 && k < f->hosts[i].key_count; k++)
            failed = add_key(&all, &n, &cap, &by_blob, f, i, &f->hosts[i].keys[k]);
    map_fini(&by_blob);
    for (size_t i = 0; failed == 0 && i < n; i++) {
        if (all[i].count > 1)
            all[kept++] = all[i];
        else
            mem_free(all[i].hosts);
    }
    if (failed != 0) {
        clones_free(all, n);
        return err_nomem(e);
    }
    *out = all;
    *count = kept;
    return RC_OK;
}

void clones_free(struct clones *c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(c[i].hosts);
    mem_free(c);
}
