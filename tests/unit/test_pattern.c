/* Patterns: what the comparison with Ansible (tests/oracle) does not reach — limits from files,
 * excludes, --where in place, a base of hosts, failing allocations, many terms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/mem.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

static const char source[] = "all:\n"
                             "  children:\n"
                             "    web:\n"
                             "      hosts:\n"
                             "        web[1:6]: {cores: 4}\n"
                             "        big: {cores: 64, note: '{{ x }}'}\n"
                             "    db:\n"
                             "      hosts: {db1: , db2: , canary: }\n"
                             "    one:\n"
                             "      hosts: {one: }\n"
                             "    two:\n"
                             "      hosts: {two: , db1: }\n"
                             "    none: {}\n";

static size_t live_before;
static struct inventory *inv;

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    live_before = mem_live();
    assert_int_equal(inventory_new(&inv, &e), RC_OK);
    if (inventory_add_text(inv, "hosts.yml", INVENTORY_YAML, source, sizeof source - 1, &e) !=
        RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(inventory_finish(inv, &e), RC_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    inventory_free(inv);
    assert_int_equal(mem_live(), live_before);
    return 0;
}

static void join(const struct selection *s, char *dst, size_t cap)
{
    size_t n = 0;
    dst[0] = '\0';
    for (size_t i = 0; i < s->count; i++)
        n += (size_t)snprintf(dst + n, cap - n, "%s%s", i > 0 ? " " : "", s->hosts[i]->name);
    assert_true(n < cap);
}

static void check_opts(const struct pattern_opts *o, const char *want)
{
    struct err e = {0};
    struct selection s;
    char got[1024];
    if (pattern_select(inv, o, &s, &e) != RC_OK)
        fail_msg("%s: %s", o->pattern != NULL ? o->pattern : "base", e.msg);
    join(&s, got, sizeof got);
    assert_string_equal(got, want);
    selection_fini(&s);
}

static void check(const char *pattern, const char *want)
{
    check_opts(&(struct pattern_opts){.pattern = pattern}, want);
}

static void refused_opts(const struct pattern_opts *o, enum rc rc, const char *part)
{
    struct err e = {0};
    struct selection s = {0};
    assert_int_equal(pattern_select(inv, o, &s, &e), rc);
    if (strstr(e.msg, part) == NULL)
        fail_msg("%s, without \"%s\"", e.msg, part);
    assert_null(s.hosts);
}

static void refused(const char *pattern, enum rc rc, const char *part)
{
    refused_opts(&(struct pattern_opts){.pattern = pattern}, rc, part);
}

static void test_terms(void **state)
{
    (void)state;
    check("db", "db1 db2 canary");
    check("web[1-3]", "web1 web2 web3");
    check("web[6,1]", "web1 web6");
    check("@web[1]", "web2");
    check("web[0]", "web1");
    check("web[0:1]", "web1 web2");
    check("big*[0]", "big");
    refused("web[7]", RC_NOTFOUND, "there are 7 hosts, counted from 0");
}

static void test_readings(void **state)
{
    (void)state;
    check("one", "one"); /* host and group are the same */
    refused("two", RC_AMBIGUOUS, "ambiguous: host two or @two");
    check("@two", "two db1");
    refused("web[1]", RC_AMBIGUOUS, "ambiguous: host web1 or @web[1]");
    refused("web[5]", RC_AMBIGUOUS, "host web5 or @web[5]");
    check("web[-1]", "big");
    refused("db[1]", RC_AMBIGUOUS, "host db1 or @db[1]");
    check("db[0]", "db1");
}

static void test_refused(void **state)
{
    (void)state;
    refused("canray", RC_NOTFOUND, "canray matches nothing; canary?");
    refused("@wbe", RC_NOTFOUND, "@wbe matches nothing; @web?");
    refused("web:!canray", RC_NOTFOUND, "canary?");
    refused("web[1-9]", RC_NOTFOUND, "3 of 9 not in the inventory: web[7-9]");
    refused("x[1-9]", RC_NOTFOUND, "matches nothing");
    refused("web[3-1]", RC_PARSE, "smaller number");
    refused("web[1-99999999]", RC_LIMIT, "more than 100,");
    refused("", RC_PARSE, "empty pattern");
    refused(" , ", RC_PARSE, "empty pattern");
    refused("none", RC_NOTFOUND, "leaves no host");
    refused("web:&db", RC_NOTFOUND, "leaves no host");
    refused("~", RC_PARSE, "regular expression");
    refused("~we[b", RC_PARSE, "regular expression 'we[b'");
    refused("\x1b[31m", RC_NOTFOUND, "\\x1b");
}

static void test_limits(void **state)
{
    (void)state;
    const char *limits[] = {"web[1-4],db1", "!web2"};
    const char *excludes[] = {"web3,web4"};
    check_opts(&(struct pattern_opts){.pattern = "all", .limits = limits, .limit_count = 2},
               "web1 web3 web4 db1");
    check_opts(&(struct pattern_opts){.pattern = "all",
                                      .limits = limits,
                                      .limit_count = 2,
                                      .excludes = excludes,
                                      .exclude_count = 1},
               "web1 db1");
    const char *bad[] = {"nosuch"};
    refused_opts(&(struct pattern_opts){.pattern = "all", .limits = bad, .limit_count = 1},
                 RC_NOTFOUND, "--limit: nosuch matches nothing");
    refused_opts(&(struct pattern_opts){.pattern = "all", .excludes = bad, .exclude_count = 1},
                 RC_NOTFOUND, "--exclude: nosuch matches nothing");
    const char *all[] = {"all"};
    refused_opts(&(struct pattern_opts){.pattern = "web", .excludes = all, .exclude_count = 1},
                 RC_NOTFOUND, "leaves no host after");
}

static void test_limit_file(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-test-XXXXXX", limit[64], *limits[1] = {limit};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(write(fd, "# names\nweb2\n\n  db*  \r\n", 23) == 23);
    snprintf(limit, sizeof limit, "@%s,canary", path);
    struct pattern_opts o = {
        .pattern = "all", .limits = (const char *const *)limits, .limit_count = 1};
    check_opts(&o, "web2 db1 db2 canary");
    assert_true(ftruncate(fd, 0) == 0);
    refused_opts(&o, RC_NOTFOUND, "lists nothing");
    assert_true(pwrite(fd, "web2\nnosuch\n", 12, 0) == 12);
    refused_opts(&o, RC_NOTFOUND, "nosuch matches nothing");
    close(fd);
    unlink(path);
    refused_opts(&o, RC_NOTFOUND, "no such file, and no group");
    snprintf(limit, sizeof limit, "@db");
    check_opts(&o, "db1 db2 canary");
}

static void test_where(void **state)
{
    (void)state;
    check_opts(&(struct pattern_opts){.pattern = "all", .where = "cores > 4"}, "big");
    check_opts(&(struct pattern_opts){.pattern = "all", .where = "cores > 400"}, "");
    refused_opts(&(struct pattern_opts){.pattern = "all", .where = "note == 'x'"}, RC_OPAQUE,
                 "hosts.yml:6:");
    refused_opts(&(struct pattern_opts){.pattern = "all", .where = "cores >"}, RC_PARSE, "column");
}

static void test_base(void **state)
{
    (void)state;
    struct inv_host *hosts[] = {inventory_host_find(inv, "db2"), inventory_host_find(inv, "web1"),
                                inventory_host_find(inv, "db2")};
    const char *limits[] = {"db"};
    check_opts(&(struct pattern_opts){.base = hosts, .base_count = 3}, "db2 web1");
    check_opts(
        &(struct pattern_opts){.base = hosts, .base_count = 3, .limits = limits, .limit_count = 1},
        "db2");
    refused_opts(&(struct pattern_opts){.base = hosts, .base_count = 0}, RC_NOTFOUND,
                 "leaves no host");
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *limits[] = {"@web,db*,~canary", "!web[1-2]"};
    const char *excludes[] = {"web[0:2]"};
    struct pattern_opts o = {.pattern = "web:db,one:&all:!web[3-4],w*[1-2]*,@db[0:1]",
                             .limits = limits,
                             .limit_count = 2,
                             .excludes = excludes,
                             .exclude_count = 1,
                             .where = "cores == null or name =~ 'web' and cores in [4, 8]"};
    size_t live = 0;
    for (long n = 0;; n++) {
        struct err e = {0};
        struct selection s = {0};
        live = mem_live();
        mem_fail_after(n);
        enum rc rc = pattern_select(inv, &o, &s, &e);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        selection_fini(&s);
        if (!fired) {
            if (rc != RC_OK)
                fail_msg("%s", e.msg);
            assert_true(n > 40);
            break;
        }
        assert_int_equal(rc, RC_NOMEM);
    }
    /* the inventory caches the hosts of groups, nothing else may stay */
    struct selection s;
    assert_int_equal(pattern_select(inv, &o, &s, NULL), RC_OK);
    selection_fini(&s);
    assert_int_equal(mem_live(), live);
}

/* 20,000 terms of each kind on 20,000 hosts: a quadratic step would not end. */
static void test_many_terms(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct inventory *big;
    struct err e = {0};
    char name[32];
    struct buf text;
    assert_int_equal(inventory_new(&big, &e), RC_OK);
    buf_init(&text, 1 << 24);
    assert_int_equal(buf_puts(&text, "all"), RC_OK);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "n%d.example", i);
        assert_int_equal(inventory_add_host(big, name, NULL, &e), RC_OK);
        assert_int_equal(buf_printf(&text, ",%s%s", i % 3 == 0 ? "!" : "", name), RC_OK);
    }
    assert_int_equal(inventory_finish(big, &e), RC_OK);
    struct pattern_opts o = {.pattern = buf_cstr(&text)};
    struct selection s;
    if (pattern_select(big, &o, &s, &e) != RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(s.count, N - (N + 2) / 3);
    selection_fini(&s);
    buf_fini(&text);
    inventory_free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_terms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_where, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_terms, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
