/* --where: grammar, kinds of values, places in errors, limits of regular expressions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "inventory/inventory.h"
#include "inventory/where.h"

static const char source[] =
    "all:\n"
    "  children:\n"
    "    prod:\n"
    "      vars: {tier: gold}\n"
    "      children:\n"
    "        web:\n"
    "          hosts:\n"
    "            web1:\n"
    "              port: 8080\n"
    "              load: 1.5\n"
    "              role: front\n"
    "              live: yes\n"
    "              old: 'no'\n"
    "              nothing: null\n"
    "              tags: [blue, canary, 7]\n"
    "              os: {name: debian, version: {major: 12}}\n"
    "              path: 'C:\\temp'\n"
    "              secret: !vault |\n"
    "                $ANSIBLE_VAULT;1.1;AES256\n"
    "                6162\n"
    "              later: '{{ port }}'\n"
    "              mixed: [1, '{{ x }}']\n"
    "              evil: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";

static size_t live_before;
static struct inventory *inv;
static struct inv_host *host;

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
    host = inventory_host_find(inv, "web1");
    assert_non_null(host);
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

static enum rc ask(const char *text, bool *yes, struct err *e)
{
    struct where *w = NULL;
    enum rc rc = where_compile(text, &w, e);
    if (rc == RC_OK)
        rc = where_test(w, inv, host, yes, e);
    where_free(w);
    return rc;
}

static void check(const char *text, bool want)
{
    struct err e = {0};
    bool yes = !want;
    if (ask(text, &yes, &e) != RC_OK)
        fail_msg("%s: %s", text, e.msg);
    if (yes != want)
        fail_msg("%s is %s", text, yes ? "true" : "false");
}

static void refused(const char *text, enum rc rc, const char *part)
{
    struct err e = {0};
    bool yes;
    enum rc got = ask(text, &yes, &e);
    if (got != rc || strstr(e.msg, part) == NULL)
        fail_msg("%s: %s: %s, without \"%s\"", text, rc_name(got), e.msg, part);
}

static void test_comparisons(void **state)
{
    (void)state;
    check("port == 8080", true);
    check("port != 8080", false);
    check("port > 80 and port < 9000", true);
    check("port >= 8080.0 and port <= 8080", true);
    check("load == 1.5", true);
    check("load < 2", true);
    check("-1 < load", true);
    check("role == \"front\"", true);
    check("role < 'zoo'", true);
    check("port == '8080'", false);
    check("port != '8080'", true);
    check("os.name == 'debian' and os.version.major == 12", true);
    check("os.version == os.version", true);
    check("tags == ['blue', 'canary', 7]", true);
    check("tags == ['blue']", false);
    check("tier == 'gold'", true);
    check("name == 'web1'", true);
    check("1 == 1.0", true);
    check("1e3 == 1000", true);
}

static void test_logic(void **state)
{
    (void)state;
    check("true", true);
    check("false or true and true", true);
    check("not true or true", true);
    check("not (true or true)", false);
    check("not not true", true);
    check("true and false or true", true);
    check("false and nosuch.thing > 'x' or live", true);
    check("live", true);
    check("old", false);
    check("true or later == 1", true); /* the template is not needed */
    check("false and later == 1", false);
}

static void test_null(void **state)
{
    (void)state;
    check("nosuch", false);
    check("nosuch == null", true);
    check("nothing == null", true);
    check("nosuch != null", false);
    check("nosuch > 5", false);
    check("nosuch < 5", false);
    check("not nosuch > 5", true);
    check("nosuch =~ 'x'", false);
    check("nosuch !~ 'x'", true);
    check("nosuch in ['a']", false);
    check("nosuch in [null]", true);
    check("'a' in nosuch", false);
    check("'a' not in nosuch", true);
    check("os.nosuch.deeper == null", true);
    check("port.nosuch == null", true);
}

static void test_in(void **state)
{
    (void)state;
    check("'canary' in tags", true);
    check("7 in tags", true);
    check("'7' in tags", false);
    check("'green' not in tags", true);
    check("role in ['front', 'back']", true);
    check("role not in []", true);
    check("'ron' in role", true);
    check("'name' in os", true);
    check("'web' in groups", true);
    check("'prod' in groups", true);
    check("'all' in groups", false);
    check("'db' not in groups", true);
    check("5 in groups", false);
    refused("groups == 'web'", RC_PARSE, "'NAME' in groups");
    refused("5 in role", RC_PARSE, "does not fit 'in'");
    refused("5 in port", RC_PARSE, "hosts.yml:9:");
}

static void test_regex(void **state)
{
    (void)state;
    check("role =~ '^fr.nt$'", true);
    check("role =~ 'ron'", true);
    check("role !~ '^ron'", true);
    check("name =~ '^web\\d+$'", true);
    check("path =~ '^C:\\\\temp$'", true);
    check("path == 'C:\\temp'", true);
    check("'it\\'s' == \"it's\"", true);
    refused("port =~ '80'", RC_PARSE, "is not text");
    refused("role =~ '('", RC_PARSE, "regular expression '(' character 2");
    refused("role =~ role", RC_PARSE, "a regular expression in quotes");
    check("evil =~ '^(a+)+$'", true);
    refused("evil =~ '^(a|aa)+[^a]'", RC_LIMIT, "too many steps");
}

static void test_kinds(void **state)
{
    (void)state;
    refused("port > 'x'", RC_PARSE, "hosts.yml:9:21: --where: port of host web1 does not compare");
    refused("'x' < port", RC_PARSE, "hosts.yml:9:");
    refused("tags > 3", RC_PARSE, "does not compare");
    refused("port", RC_PARSE, "is not true or false");
    refused("tags", RC_PARSE, "is not true or false");
    refused("secret == 'x'", RC_OPAQUE, "hosts.yml:18:");
    refused("later == 8080", RC_OPAQUE, "is a template");
    refused("later.x == 1", RC_OPAQUE, "is a template");
    refused("5 in mixed", RC_OPAQUE, "is a template");
    check("1 in mixed", true);
}

static void test_grammar(void **state)
{
    (void)state;
    refused("", RC_PARSE, "column 1");
    refused("port ==", RC_PARSE, "column 8");
    refused("port = 1", RC_PARSE, "'==' compares");
    refused("port == 1 &&", RC_PARSE, "write 'and'");
    refused("(port == 1", RC_PARSE, "column 1: this parenthesis is not closed");
    refused("port == 1)", RC_PARSE, "column 10");
    refused("port == 'x", RC_PARSE, "column 9: this quote is not closed");
    refused("port not 5", RC_PARSE, "'in' was expected");
    refused("port == 12x", RC_PARSE, "not a number");
    refused("port == [1, 2", RC_PARSE, "',' or ']'");
    refused("port == [port]", RC_PARSE, "a string in quotes");
    refused("a..b == 1", RC_PARSE, "a name is missing");
    refused("and", RC_PARSE, "a variable or a value");
    refused("port port", RC_PARSE, "'and', 'or' or the end");
    refused("$x", RC_PARSE, "was expected");
    refused("port == 0x10", RC_PARSE, "not a number");
    check("port < 8K and port > 7.5K and port != 8KiB", true); /* 8080 */
    refused("port < 10E", RC_PARSE, "not a number");
    refused("port < 9000000T", RC_PARSE, "not a number");
    check("port == nan", false); /* a variable of that name, not set */
}

/* A resolver that knows disk.percent, mount and nothing else. */
static enum rc know(void *user, const char *const *path, struct value *space,
                    const struct value **out, struct err *e)
{
    if (*(bool *)user)
        return err_set(e, RC_LIMIT, "asked %s", path[0]);
    if (strcmp(path[0], "disk") == 0 && path[1] != NULL && strcmp(path[1], "percent") == 0)
        *space = (struct value){.type = VALUE_FLOAT, .u.real = 91.5};
    else if (strcmp(path[0], "role") == 0)
        *space = (struct value){.type = VALUE_STRING, .u.string = {"/srv", 4}};
    else
        return RC_NOTFOUND;
    *out = space;
    return RC_OK;
}

static enum rc know_all(void *user, const char *const *path, struct value *space,
                        const struct value **out, struct err *e)
{
    *out = space;
    *space = (struct value){.type = VALUE_NULL};
    enum rc rc = know(user, path, space, out, e);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc count_name(void *user, const char *const *path, struct err *e)
{
    char(*seen)[64] = user;
    size_t n = strlen(*seen);
    snprintf(*seen + n, sizeof *seen - n, "%s%s", path[0], path[1] != NULL ? "." : " ");
    return strcmp(path[0], "stop") == 0 ? err_set(e, RC_USAGE, "no") : RC_OK;
}

static void test_resolver(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"disk.percent > 85", true},
        {"disk.percent > port", false}, /* figures and variables together */
        {"role == '/srv'", true},       /* the resolver wins */
        {"disk.percent == disk.percent and port == 8080", true},
        {"role != disk.percent", true},
        {"disk.other == null", true},
        {"name == 'web1' and 'web' in groups", true},
    };
    bool fails = false, yes;
    struct err e = {0};
    struct where_resolver r = {.value = know, .user = &fails};
    struct where *w = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(where_compile_for("--filter", rows[i].text, &w, &e), RC_OK);
        assert_int_equal(where_test_with(w, inv, host, &r, &yes, &e), RC_OK);
        if (yes != rows[i].want)
            fail_msg("%s", rows[i].text);
        where_free(w);
    }
    assert_int_equal(where_compile_for("--filter", "x > 'a' or x > 1", &w, &e), RC_OK);
    fails = true;
    assert_int_equal(where_test_with(w, inv, host, &r, &yes, &e), RC_LIMIT);
    assert_string_equal(e.msg, "asked x");
    where_free(w);
    fails = false;
    assert_int_equal(where_compile_for("--filter", "disk.percent > 'a'", &w, &e), RC_OK);
    assert_int_equal(where_test_with(w, inv, host, &r, &yes, &e), RC_PARSE);
    assert_memory_equal(e.msg, "--filter: disk.percent of host web1 does not compare", 51);
    where_free(w);
    /* Without a host: each test, also those that no host would come to. */
    static const char *const unlike[] = {"not (role == 'x' or port > 1 and disk.percent > 'a')",
                                         "role > 3 or disk.percent > 1", "disk.percent =~ 'x'",
                                         "disk.percent in 'x'", "disk.percent"};
    struct where_resolver all = {.value = know_all, .user = &fails};
    for (size_t i = 0; i < sizeof unlike / sizeof *unlike; i++) {
        assert_int_equal(where_compile_for("--filter", unlike[i], &w, &e), RC_OK);
        assert_int_equal(where_check_with(w, &all, &e), RC_PARSE);
        if (i == 0)
            assert_memory_equal(e.msg, "--filter: disk.percent does not compare: numbers", 48);
        where_free(w);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(where_compile_for("--filter", rows[i].text, &w, &e), RC_OK);
        assert_int_equal(where_check_with(w, &all, &e), RC_OK);
        where_free(w);
    }
    assert_int_equal(where_compile_for("--filter", "a ==", &w, &e), RC_PARSE);
    assert_memory_equal(e.msg, "--filter 'a ==' column 5", 24);

    char seen[64] = "";
    assert_int_equal(where_compile("not (a.b > 1 or c) and 3 < d or name == 'x'", &w, &e), RC_OK);
    assert_int_equal(where_each_name(w, count_name, &seen, &e), RC_OK);
    assert_string_equal(seen, "a.c d ");
    where_free(w);
    seen[0] = '\0';
    assert_int_equal(where_compile("a == stop or b", &w, &e), RC_OK);
    assert_int_equal(where_each_name(w, count_name, &seen, &e), RC_USAGE);
    assert_string_equal(seen, "a stop ");
    where_free(w);
}

static void test_bounds(void **state)
{
    (void)state;
    enum { N = 70000 };
    char *text = mem_calloc(1, N + 1);
    assert_non_null(text);
    memset(text, '(', 1000);
    refused(text, RC_LIMIT, "64 levels");
    memset(text, '[', 1000);
    memcpy(text, "1 in ", 5);
    refused(text, RC_LIMIT, "64 levels");
    memset(text, ' ', N);
    refused(text, RC_LIMIT, "64 KiB");
    memset(text, 0, N);
    for (size_t i = 0; i + 8 < 60000; i += 7)
        memcpy(text + i, "live or", 7);
    for (size_t i = 0; i < 60000 && text[i] != '\0'; i++)
        if (text[i] == 'r' && text[i + 1] == 'l')
            text[i] = ' '; /* "live o live" is no grammar */
    refused(text, RC_PARSE, "column");
    memset(text, 0, N);
    for (size_t i = 0; i + 9 < 60000; i += 8)
        memcpy(text + i, "old  or ", 8);
    memcpy(text + strlen(text), "live", 5);
    check(text, true);
    mem_free(text);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] = "not (role =~ '^x' or 'a' in ['b', 1, [null]]) and os.name == "
                               "'debian' and 'prod' in groups";
    for (long n = 0;; n++) {
        struct err e = {0};
        bool yes = false;
        size_t live = mem_live();
        mem_fail_after(n);
        enum rc rc = ask(text, &yes, &e);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(mem_live(), live);
        if (!fired) {
            assert_int_equal(rc, RC_OK);
            assert_true(yes);
            assert_true(n > 5);
            break;
        }
        assert_int_equal(rc, RC_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_comparisons, setup, teardown),
        cmocka_unit_test_setup_teardown(test_logic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_regex, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grammar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
