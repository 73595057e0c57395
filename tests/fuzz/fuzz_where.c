/* --where expressions on a host that has a value of every kind. */
#include <stdint.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "inventory/inventory.h"
#include "inventory/where.h"

enum { MAX_INPUT = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char source[] = "all:\n"
                             "  children:\n"
                             "    web:\n"
                             "      hosts:\n"
                             "        h: {i: 1, f: 1.5, s: abc, b: true, n: null, t: '{{ x }}',\n"
                             "            l: [1, a, null], m: {a: {b: 2}}, v: !vault x}\n";

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

static void try_text(const char *text)
{
    struct err e = {0};
    struct where *w = NULL;
    bool yes;
    enum rc rc = where_compile(text, &w, &e);
    must(rc == RC_OK || (e.rc == rc && e.msg[0] != '\0'));
    if (rc == RC_OK) {
        rc = where_test(w, load(), inventory_host_find(load(), "h"), &yes, &e);
        must(rc == RC_OK || (e.rc == rc && e.msg[0] != '\0'));
    }
    where_free(w);
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
