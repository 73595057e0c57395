/* What the three inventory targets do with a text: load it, and if it loads, ask everything and
 * check the answers against each other. */
#ifndef TESTS_FUZZ_INVENTORY_H
#define TESTS_FUZZ_INVENTORY_H

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "inventory/inventory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_MAX_HOSTS = 2000, FUZZ_MAX_OUTPUT = 1 << 22 };

/* The merged variables of a host and the single look-up must tell the same. */
static void ask_host(const struct inventory *inv, const struct inv_host *h)
{
    struct arena arena;
    struct err e;
    const struct value *vars;
    arena_init(&arena);
    if (inventory_host_vars(inv, h, &arena, &vars, &e) == RC_OK)
        for (size_t i = 0; i < vars->u.map.count; i++)
            must(inventory_host_var(inv, h, vars->u.map.pairs[i].key) ==
                 vars->u.map.pairs[i].value);
    must(h->group_count > 0 && strcmp(h->groups[0]->name, "all") == 0);
    inventory_host_conn_var(inv, h, "port");
    arena_fini(&arena);
}

static void ask_all(struct inventory *inv)
{
    struct buf out;
    struct err e;
    buf_init(&out, FUZZ_MAX_OUTPUT);
    inventory_json(inv, &out, &e);
    buf_reset(&out);
    inventory_graph(inv, "all", true, &out, &e);
    buf_fini(&out);
    struct inv_host *const *hosts;
    size_t n;
    must(inventory_group_hosts(inv, inventory_group_find(inv, "all"), &hosts, &n, &e) == RC_OK);
    must(n == inventory_host_count(inv));
    for (size_t i = 0; i < n && i < 50; i++)
        ask_host(inv, hosts[i]);
}

static int fuzz_inventory(enum inventory_format format, const uint8_t *data, size_t size)
{
    size_t live = mem_live();
    struct inventory *inv;
    struct err e = {0};
    must(inventory_new(&inv, &e) == RC_OK);
    inventory_set_max_hosts(inv, FUZZ_MAX_HOSTS);
    enum rc rc = inventory_add_text(inv, "f", format, (const char *)data, size, &e);
    if (rc == RC_OK)
        rc = inventory_finish(inv, &e);
    if (rc == RC_OK)
        ask_all(inv);
    else
        must(e.rc == rc && e.msg[0] != '\0');
    inventory_free(inv);
    must(mem_live() == live);
    return 0;
}

#endif
