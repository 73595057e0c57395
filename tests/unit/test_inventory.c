/* The inventory: precedence, places of errors, scripts, files, failing allocations. What Ansible
 * makes of the same files is compared in tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "inventory/hostrange.h"
#include "inventory/inventory.h"

static size_t live_before;
static char folder[64];
static struct inventory *inv;
static char warning[512];

static void keep_warning(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    snprintf(warning, sizeof warning, "%s", line);
}

static int setup(void **state)
{
    (void)state;
    live_before = mem_live();
    snprintf(folder, sizeof folder, "/tmp/muster-inventory-XXXXXX");
    warning[0] = '\0';
    log_set_sink(keep_warning, NULL);
    return mkdtemp(folder) == NULL || inventory_new(&inv, NULL) != RC_OK;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    inventory_free(inv);
    inv = NULL;
    log_set_sink(NULL, NULL);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(mem_live(), live_before);
    return 0;
}

/* Writes folder/name, its folders too; returns its path (one at a time). */
static const char *put(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void add(const char *name, enum inventory_format format, const char *text)
{
    struct err e = {0};
    if (inventory_add_text(inv, name, format, text, strlen(text), &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void finish(void)
{
    struct err e = {0};
    if (inventory_finish(inv, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static const char *var(const char *host, const char *name)
{
    static char text[256];
    struct buf b;
    buf_init(&b, sizeof text - 1);
    const struct value *v = inventory_host_var(inv, inventory_host_find(inv, host), name);
    if (v == NULL)
        return "(none)";
    assert_int_equal(value_json(&b, v, true, 0), RC_OK);
    snprintf(text, sizeof text, "%s", buf_cstr(&b));
    buf_fini(&b);
    return text;
}

static void refuses(enum inventory_format format, const char *text, enum rc want, const char *says)
{
    struct err e = {0};
    struct inventory *other;
    assert_int_equal(inventory_new(&other, &e), RC_OK);
    enum rc rc = inventory_add_text(other, "f.yml", format, text, strlen(text), &e);
    if (rc == RC_OK)
        rc = inventory_finish(other, &e);
    inventory_free(other);
    if (rc != want || strstr(e.msg, says) == NULL)
        fail_msg("%s: %s (%s wanted, '%s')", rc_name(rc), e.msg, rc_name(want), says);
}

static void test_empty(void **state)
{
    (void)state;
    finish();
    assert_int_equal(inventory_host_count(inv), 0);
    assert_int_equal(inventory_group_count(inv), 2);
    assert_null(inventory_host_find(inv, "x"));
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(inventory_json(inv, &b, NULL), RC_OK);
    assert_string_equal(buf_cstr(&b), "{\n    \"_meta\": {\n        \"hostvars\": {}\n    },\n"
                                      "    \"all\": {\n        \"children\": [\n"
                                      "            \"ungrouped\"\n        ]\n    }\n}");
    buf_fini(&b);
}

static void test_precedence(void **state)
{
    (void)state;
    add("f", INVENTORY_YAML,
        "all: {vars: {a: all, b: all, c: all, d: all, e: all}}\n"
        "p: {vars: {b: p, c: p, d: p, e: p}, children: {k: , l: }}\n"
        "k: {vars: {c: k, d: k, e: k, ansible_group_priority: 3}, hosts: {h: {e: h}}}\n"
        "l: {vars: {c: l, d: l, f: l}, hosts: {h: }}\n");
    finish();
    assert_string_equal(var("h", "a"), "\"all\"");
    assert_string_equal(var("h", "b"), "\"p\"");
    assert_string_equal(var("h", "c"), "\"k\"");
    assert_string_equal(var("h", "e"), "\"h\"");
    assert_string_equal(var("h", "f"), "\"l\"");
    assert_string_equal(var("h", "never"), "(none)");
    const struct inv_host *h = inventory_host_find(inv, "h");
    assert_int_equal(h->group_count, 4);
    const char *const order[] = {"all", "p", "l", "k"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(h->groups[i]->name, order[i]);
    assert_int_equal(inventory_group_find(inv, "k")->priority, 3);
    assert_int_equal(inventory_group_find(inv, "k")->depth, 2);
    const struct value *own = inventory_group_vars(inv, inventory_group_find(inv, "k"));
    assert_int_equal(value_get(own, "ansible_group_priority")->u.integer, 3);
}

static void test_connection_names(void **state)
{
    (void)state;
    add("f", INVENTORY_INI,
        "a ansible_host=1 ansible_ssh_host=2\nb ansible_host=1 muster_host=3\nc "
        "ansible_ssh_pass=p\n"
        "d\n[all:vars]\nmuster_port=7\n[g]\nd ansible_port=9\n");
    finish();
    const struct {
        const char *host, *name, *want;
    } cases[] = {
        {"a", "host", "2"}, {"b", "host", "3"}, {"c", "password", "\"p\""}, {"d", "port", "7"}};
    for (size_t i = 0; i < 4; i++) {
        struct buf b;
        buf_init(&b, 100);
        const struct value *v =
            inventory_host_conn_var(inv, inventory_host_find(inv, cases[i].host), cases[i].name);
        assert_non_null(v);
        assert_int_equal(value_json(&b, v, true, 0), RC_OK);
        assert_string_equal(buf_cstr(&b), cases[i].want);
        buf_fini(&b);
    }
    assert_null(inventory_host_conn_var(inv, inventory_host_find(inv, "d"), "host"));
}

static void test_many_variables(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "all:\n  hosts:\n    h[1:3]:\n");
    for (int i = 0; i < 500; i++)
        buf_printf(&b, "      v%d: %d\n", i, i);
    buf_puts(&b, "g: {hosts: {h2: {v7: changed, new: 1}}}\n");
    add("f", INVENTORY_YAML, buf_cstr(&b));
    buf_fini(&b);
    finish();
    assert_string_equal(var("h1", "v7"), "7");
    assert_string_equal(var("h2", "v7"), "\"changed\"");
    assert_string_equal(var("h2", "v499"), "499");
    assert_string_equal(var("h2", "new"), "1");
    assert_string_equal(var("h3", "new"), "(none)");
    assert_string_equal(var("h3", "v0"), "0");
}

static void test_host_in_many_groups(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++)
            buf_printf(&b, "[g%d]\nh\n", i);
    add("f", INVENTORY_INI, buf_cstr(&b));
    buf_fini(&b);
    finish();
    assert_int_equal(inventory_host_find(inv, "h")->group_count, 101);
    assert_int_equal(inventory_group_find(inv, "g99")->host_count, 1);
}

static void test_refusals_have_a_place(void **state)
{
    (void)state;
    refuses(INVENTORY_AUTO, "web:\n  hosts: {a: }\nweb: {}\n", RC_EXISTS, "f.yml:3:1: ");
    refuses(INVENTORY_AUTO, "web:\n  hosts: [a]\n", RC_CONFIG, "f.yml:2:10: ");
    refuses(INVENTORY_AUTO, "a:\n  children:\n    b:\n      children: {a: }\n", RC_CONFIG,
            "f.yml:4:18: groups contain each other in a circle: a > b > a");
    refuses(INVENTORY_AUTO, "a: {children: {all: }}\n", RC_CONFIG, "f.yml:1:16: ");
    refuses(INVENTORY_AUTO, "a: {hosts: {'h[1:99999999]': }}\n", RC_LIMIT, "f.yml:1:13: ");
    refuses(INVENTORY_AUTO, "a: {hosts: {5: }}\n", RC_CONFIG, "put quotes around 5");
    refuses(INVENTORY_INI, "[g]\nh\nh x=1 y\n", RC_PARSE, "f.yml:3:1: ");
    refuses(INVENTORY_INI, "[g:children]\nlater\n", RC_CONFIG, "f.yml:2:1: ");
    refuses(INVENTORY_YAML, "all:\n\thosts:\n", RC_PARSE, "a tab? YAML is indented with blanks");
    refuses(INVENTORY_YAML, "all:\n  vars: {a: *b}\n", RC_PARSE, "begins with * needs quotes");
    refuses(INVENTORY_INI, "h[1:9:0]\n", RC_PARSE, "f.yml:1:1: ");
    refuses(INVENTORY_INI, "a\xff\n", RC_PARSE, "f.yml:1:1: ");
    refuses(INVENTORY_SCRIPT, "{\"g\": 5}", RC_CONFIG, "f.yml: ");
    refuses(INVENTORY_SCRIPT, "nonsense", RC_PARSE, "f.yml:1:");
    refuses(INVENTORY_AUTO, "$ANSIBLE_VAULT;1.1;AES256\n00", RC_OPAQUE, "sealed");
    refuses(INVENTORY_AUTO, "$MUSTER_VAULT;1\nTVVT\n", RC_OPAQUE, "sealed");
}

static void test_caps(void **state)
{
    (void)state;
    struct err e;
    inventory_set_max_hosts(inv, 10);
    assert_int_equal(inventory_add_text(inv, "f", INVENTORY_INI, "h[1:11]\n", 8, &e), RC_LIMIT);
    assert_non_null(strstr(e.msg, "f:1:1: more than 10 hosts"));
    /* Groups inside groups: a chain longer than the cap. */
    struct inventory *deep;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i <= INVENTORY_MAX_GROUP_DEPTH + 1; i++)
        buf_printf(&b, "[g%d:children]\ng%d\n", i, i + 1);
    buf_printf(&b, "[g%d]\nh\n", INVENTORY_MAX_GROUP_DEPTH + 2);
    assert_int_equal(inventory_new(&deep, &e), RC_OK);
    assert_int_equal(inventory_add_text(deep, "f", INVENTORY_INI, buf_cstr(&b), b.len, &e), RC_OK);
    assert_int_equal(inventory_finish(deep, &e), RC_LIMIT);
    inventory_free(deep);
    buf_fini(&b);
}

static void test_group_hosts_once_each(void **state)
{
    (void)state;
    add("f", INVENTORY_YAML,
        "p: {children: {a: {hosts: {x: , y: }}, b: {hosts: {y: , z: }}}, hosts: {z: }}\n");
    finish();
    struct inv_host *const *hosts;
    size_t n;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(
            inventory_group_hosts(inv, inventory_group_find(inv, "p"), &hosts, &n, NULL), RC_OK);
        assert_int_equal(n, 3);
        assert_string_equal(hosts[0]->name, "z");
        assert_string_equal(hosts[1]->name, "x");
        assert_string_equal(hosts[2]->name, "y");
    }
}

static void test_added_hosts(void **state)
{
    (void)state;
    struct inv_host *h;
    add("f", INVENTORY_INI, "[g]\nknown\n");
    assert_int_equal(inventory_add_host(inv, "new", &h, NULL), RC_OK);
    assert_true(h->implicit);
    assert_int_equal(inventory_add_host(inv, "known", &h, NULL), RC_OK);
    assert_false(h->implicit);
    assert_int_equal(inventory_add_host(inv, "", NULL, NULL), RC_CONFIG);
    finish();
    h = inventory_host_find(inv, "new");
    assert_int_equal(h->group_count, 2);
    assert_string_equal(h->groups[1]->name, "ungrouped");
}

static void test_files(void **state)
{
    (void)state;
    struct err e;
    put("i/group_vars/all.yml", "a: 1\nb: 1\n");
    put("i/group_vars/g/x.yml", "b: 2\n");
    put("i/host_vars/h.json", "{\"c\": 3}");
    put("i/group_vars/ungrouped.yml", "$ANSIBLE_VAULT;1.1;AES256\n00\n");
    assert_int_equal(inventory_add_source(inv, put("i/hosts", "[g]\nh\n"), &e), RC_OK);
    finish();
    assert_string_equal(var("h", "a"), "1");
    assert_string_equal(var("h", "b"), "2");
    assert_string_equal(var("h", "c"), "3");
    assert_string_equal(warning, "");
    inventory_warn_sealed(inv);
    assert_non_null(strstr(warning, "ungrouped.yml: the file is sealed"));
    char text[256];
    value_place_text(text, sizeof text,
                     inventory_host_var(inv, inventory_host_find(inv, "h"), "b"));
    assert_non_null(strstr(text, "/i/group_vars/g/x.yml:1:4"));
}

static void test_missing_source(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(inventory_add_source(inv, "/nonexistent/hosts", &e), RC_NOTFOUND);
    assert_non_null(strstr(e.msg, "/nonexistent/hosts"));
    assert_int_equal(inventory_add_source(inv, "a,b:22,", &e), RC_OK);
    finish();
    assert_string_equal(var("b", "ansible_port"), "22");
}

static void test_folder_in_a_circle(void **state)
{
    (void)state;
    struct err e;
    char path[128];
    put("d/hosts", "h\n");
    snprintf(path, sizeof path, "%s/d/loop", folder);
    assert_int_equal(symlink(".", path), 0);
    snprintf(path, sizeof path, "%s/d", folder);
    enum rc rc = inventory_add_source(inv, path, &e);
    assert_int_equal(rc, RC_LIMIT);
}

static enum rc run_script(const char *body, uint64_t ms, struct err *e)
{
    const char *path = put("script", body);
    chmod(path, 0700);
    inventory_set_script_timeout(inv, ms);
    return inventory_add_source(inv, path, e);
}

static void test_script(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(run_script("#!/bin/sh\ntest \"$1\" = --list || exit 1\n"
                                "echo '{\"g\": {\"hosts\": [\"h\"], \"vars\": {\"x\": 1}}, "
                                "\"_meta\": {\"hostvars\": {\"h\": {\"y\": 2}}}}'\n",
                                60000, &e),
                     RC_OK);
    finish();
    assert_string_equal(var("h", "x"), "1");
    assert_string_equal(var("h", "y"), "2");
}

static void test_script_failures(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(run_script("#!/bin/sh\necho broken credentials >&2\nexit 3\n", 60000, &e),
                     RC_CONFIG);
    assert_non_null(strstr(e.msg, "exit status 3: broken credentials"));
    assert_int_equal(run_script("#!/bin/sh\nkill -9 $$\n", 60000, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "signal 9"));
    assert_int_equal(run_script("#!/bin/sh\necho '{'\n", 60000, &e), RC_PARSE);
    assert_non_null(strstr(e.msg, "--list"));
}

/* The one that waits must be killed with what it started; its own clock is not waited for. */
static void test_script_that_hangs(void **state)
{
    (void)state;
    struct err e;
    uint64_t before = clock_ms();
    assert_int_equal(run_script("#!/bin/sh\nsleep 1000 & sleep 1000\n", 200, &e), RC_LIMIT);
    assert_non_null(strstr(e.msg, "still running"));
    assert_true(clock_ms() - before < 500000);
    assert_int_equal(run_script("#!/bin/sh\nexec >&- 2>&-\nsleep 1000\n", 200, &e), RC_LIMIT);
}

static void expand(const char *pattern, const char *want)
{
    struct hostrange_patterns *patterns = NULL;
    struct hostrange r;
    struct err e = {0};
    struct buf name, all;
    buf_init(&name, 1000);
    buf_init(&all, 10000);
    enum rc rc = hostrange_init(&r, &patterns, pattern, &e);
    if (rc != RC_OK)
        fail_msg("%s: %s", pattern, e.msg);
    while (hostrange_next(&r, &name) == RC_OK)
        buf_printf(&all, "%s%.*s", all.len ? "," : "", (int)name.len, (const char *)name.data);
    if (r.port != 0)
        buf_printf(&all, " %d", (int)r.port);
    assert_string_equal(buf_cstr(&all), want);
    hostrange_fini(&r);
    hostrange_patterns_free(patterns);
    buf_fini(&name);
    buf_fini(&all);
}

static void test_ranges(void **state)
{
    (void)state;
    expand("h", "h");
    expand("h[01:04:2]", "h01,h03");
    expand("h[8:11]", "h8,h9,h10,h11");
    expand("[a:c]x", "ax,bx,cx");
    expand("a[1:2]b[x:y]", "a1bx,a1by,a2bx,a2by");
    expand("h[5:1]", "");
    expand("h[1:2]:22", "h1,h2 22");
    expand("[::1]:22", "::1 22");
    expand("::1", "::1");
    expand("x_:22", "x_:22");
    struct hostrange_patterns *none = NULL;
    struct hostrange r;
    struct err e;
    assert_int_equal(hostrange_init(&r, &none, "h[1:10000001]", &e), RC_LIMIT);
    hostrange_fini(&r);
    assert_int_equal(hostrange_init(&r, &none, "h[1:9999]x[1:9999]", &e), RC_LIMIT);
    hostrange_fini(&r);
    assert_int_equal(hostrange_init(&r, &none, "h[01:100]", &e), RC_PARSE);
    hostrange_fini(&r);
}

/* One load that passes through everything, with each allocation failing once. */
static enum rc load_all(const char *path)
{
    struct inventory *other;
    struct err e;
    struct arena arena;
    struct buf out;
    const struct value *vars;
    arena_init(&arena);
    buf_init(&out, 1 << 20);
    enum rc rc = inventory_new(&other, &e);
    static const char ini[] = "a:22 x=\"[1, {'k': 'v'}]\" y=z\nb[1:3] q=1\n[g:vars]\nv=1\n"
                              "[p:children]\ng\nlate\n[g]\na\n[late]\nc\n";
    static const char json[] =
        "{\"s\": {\"hosts\": [\"a\"], \"vars\": {\"w\": [1, \"t\"]}, \"children\": [\"g2\"]},"
        " \"_meta\": {\"hostvars\": {\"a\": {\"m\": 1}}}}";
    if (rc == RC_OK)
        rc = inventory_add_text(other, "i", INVENTORY_INI, ini, sizeof ini - 1, &e);
    if (rc == RC_OK)
        rc = inventory_add_text(other, "s", INVENTORY_SCRIPT, json, sizeof json - 1, &e);
    if (rc == RC_OK)
        rc = inventory_add_source(other, path, &e);
    if (rc == RC_OK)
        rc = inventory_add_source(other, "x,y:22", &e);
    if (rc == RC_OK)
        rc = inventory_finish(other, &e);
    if (rc == RC_OK)
        rc = inventory_host_vars(other, inventory_host_at(other, 0), &arena, &vars, &e);
    if (rc == RC_OK)
        rc = inventory_json(other, &out, &e);
    if (rc == RC_OK)
        rc = inventory_graph(other, "all", true, &out, &e);
    inventory_free(other);
    arena_fini(&arena);
    buf_fini(&out);
    return rc;
}

static void test_without_memory(void **state)
{
    (void)state;
    put("i/group_vars/g.yml", "x: [1]\n");
    put("i/host_vars/a/1.yml", "x: {y: z}\n");
    char path[256];
    snprintf(path, sizeof path, "%s",
             put("i/h.yml", "g: {hosts: {a: {q: 1}, 'n[1:2]:22': }, children: {k: }}\n"));
    size_t live = mem_live();
    enum rc rc = RC_NOMEM;
    long n = 0;
    /* jansson allocates for itself and is not counted; everything of ours is. */
    for (; rc != RC_OK; n++) {
        mem_fail_after(n);
        rc = load_all(path);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        if (rc != (fired ? RC_NOMEM : RC_OK))
            fail_msg("allocation %ld: %s", n, rc_name(rc));
        assert_int_equal(mem_live(), live);
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_variables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_in_many_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals_have_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_caps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_hosts_once_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_added_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_in_a_circle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
