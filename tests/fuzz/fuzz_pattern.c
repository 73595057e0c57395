/* Patterns on a small inventory: no input may break the reader, and a selection has no host twice.
 */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

enum { MAX_INPUT = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char source[] = "all:\n"
                             "  children:\n"
                             "    web: {hosts: {'web[1:9]': , 'web[01:12].x': , big: }}\n"
                             "    db: {hosts: {db1: , db2: , 'fe80::1': }}\n"
                             "    both: {hosts: {both: , db1: }}\n"
                             "    r1: {children: {db: }}\n"
                             "    none: {}\n";

static struct inventory *load(void)
{
    static struct inventory *inv;
    struct err e = {0};
    if (inv != NULL)
        return inv;
    must(inventory_new(&inv, &e) == RC_OK);
    must(inventory_add_text(inv, "fuzz.yml", INVENTORY_YAML, source, sizeof source - 1, &e) ==
         RC_OK);
    must(inventory_finish(inv, &e) == RC_OK);
    return inv;
}

static void check(const struct selection *s)
{
    uint8_t seen[256] = {0};
    for (size_t i = 0; i < s->count; i++) {
        must(s->hosts[i]->index < sizeof seen && !seen[s->hosts[i]->index]);
        seen[s->hosts[i]->index] = 1;
    }
}

static void try_text(const char *text)
{
    struct err e = {0};
    struct selection s = {0};
    struct pattern_opts o = {.pattern = text};
    enum rc rc = pattern_select(load(), &o, &s, &e);
    must(rc == RC_OK || (e.rc == rc && e.msg[0] != '\0'));
    if (rc == RC_OK) {
        must(s.count > 0);
        check(&s);
    }
    selection_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_INPUT || memchr(data, '\0', size) != NULL)
        return 0;
    /* Its exact size on the heap: a read past the end is then seen. */
    char *text = mem_alloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    try_text(text);
    mem_free(text);
    return 0;
}
