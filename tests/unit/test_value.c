/* Values: JSON, Python's texts, conversions, and the three readers that make them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>
#include <float.h>

#include "common/mem.h"
#include "inventory/jsondoc.h"
#include "inventory/pyliteral.h"
#include "inventory/value.h"
#include "inventory/yamldoc.h"

static size_t live_before;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    live_before = mem_live();
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    arena_fini(&arena);
    assert_int_equal(mem_live(), live_before);
    return 0;
}

static const struct value *yaml(const char *text)
{
    const struct value *v;
    struct err e = {0};
    if (yamldoc_parse(&arena, "f", text, strlen(text), &v, &e) != RC_OK)
        fail_msg("%s", e.msg);
    return v;
}

static void refuses(const char *text, enum rc want, const char *says)
{
    const struct value *v;
    struct err e = {0};
    assert_int_equal(yamldoc_parse(&arena, "f", text, strlen(text), &v, &e), want);
    assert_null(v);
    if (strstr(e.msg, says) == NULL)
        fail_msg("'%s' does not say '%s'", e.msg, says);
}

static void shows(const struct value *v, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(value_json(&b, v, true, 0), RC_OK);
    assert_string_equal(buf_cstr(&b), want);
    buf_fini(&b);
}

static void test_json_shape(void **state)
{
    (void)state;
    shows(yaml("{b: [1, ~, yes, 1.5, x], a: {}, c: []}"),
          "{\"a\": {}, \"b\": [1, null, true, 1.5, \"x\"], \"c\": []}");
    shows(yaml("[!vault abc, !unsafe '{{x}}', !unsafe [y, 1]]"),
          "[{\"__ansible_vault\": \"abc\"}, {\"__ansible_unsafe\": \"{{x}}\"}, "
          "[{\"__ansible_unsafe\": \"y\"}, 1]]");
    shows(yaml("123456789012345678901234567890"), "123456789012345678901234567890");
    shows(NULL, "null");
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(value_json(&b, yaml("{a: [1, 2], b: {}}"), true, 4), RC_OK);
    assert_string_equal(buf_cstr(&b),
                        "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": {}\n}");
    buf_fini(&b);
}

/* Against the plain search: no text with fewer digits reads back. */
static void test_float_text_is_shortest(void **state)
{
    uint64_t bits = 7;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char got[VALUE_FLOAT_TEXT], want[64];
        double d;
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        memcpy(&d, &bits, sizeof d);
        if (i % 2)
            d = (double)(bits >> 11) / (double)(1 + bits % 1000);
        if (i % 5 == 0)
            d = DBL_MIN / (double)(bits >> 40);
        if (isnan(d) || isinf(d))
            continue;
        int least = 0;
        do
            snprintf(want, sizeof want, "%.*e", least++, d);
        while (strtod(want, NULL) != d);
        value_float_text(got, d);
        assert_true(strtod(got, NULL) == d);
        size_t digits = 0, zeros = 0;
        for (const char *p = got; *p != '\0' && *p != 'e'; p++) {
            if (*p < '0' || *p > '9' || (digits == 0 && *p == '0'))
                continue;
            digits++;
            zeros = *p == '0' ? zeros + 1 : 0;
        }
        assert_int_equal(digits - zeros, least);
    }
}

static void test_float_text(void **state)
{
    (void)state;
    static const struct {
        double d;
        const char *text;
    } cases[] = {{0.0, "0.0"},
                 {-0.0, "-0.0"},
                 {1, "1.0"},
                 {0.1, "0.1"},
                 {1e15, "1000000000000000.0"},
                 {1e16, "1e+16"},
                 {123456.75, "123456.75"},
                 {0.0001, "0.0001"},
                 {0.00001, "1e-05"},
                 {1.5e-7, "1.5e-07"},
                 {1e100, "1e+100"},
                 {0.30000000000000004, "0.30000000000000004"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {5e-324, "5e-324"}};
    char text[VALUE_FLOAT_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(value_float_text(text, cases[i].d), cases[i].text);
    assert_string_equal(value_float_text(text, NAN), "nan");
    assert_string_equal(value_float_text(text, -INFINITY), "-inf");
}

static void test_opaque(void **state)
{
    (void)state;
    assert_true(value_is_template(yaml("'a {{ b }}'")));
    assert_true(value_is_template(yaml("'{% if %}'")));
    assert_true(value_is_template(yaml("'{# c'")));
    assert_false(value_is_template(yaml("'{ {'")));
    assert_false(value_is_template(yaml("'{'")));
    assert_false(value_is_template(yaml("!unsafe '{{ b }}'")));
    assert_true(value_is_opaque(yaml("!vault x")));
    assert_false(value_is_opaque(NULL));
}

static void test_text(void **state)
{
    (void)state;
    struct buf b;
    struct err e;
    buf_init(&b, 1000);
    const char *const in[] = {"yes", "1.0", "~", "-5", "'x'"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(value_text(yaml(in[i]), &b, &e), RC_OK);
    assert_string_equal(buf_cstr(&b), "True1.0None-5x");
    assert_int_equal(value_text(yaml("\n\n  '{{ x }}'"), &b, &e), RC_OPAQUE);
    assert_non_null(strstr(e.msg, "f:3:3: "));
    assert_int_equal(value_text(yaml("[1]"), &b, &e), RC_PARSE);
    assert_int_equal(value_text(NULL, &b, &e), RC_PARSE);
    buf_reset(&b);
    assert_int_equal(value_repr(&b, yaml("{a: [\"it's\", 'say \"x\"', \"\\n\", ~], 1: !vault q}")),
                     RC_OK);
    assert_string_equal(buf_cstr(&b), "{'a': [\"it's\", 'say \"x\"', '\\n', None], 1: (sealed)}");
    buf_fini(&b);
}

static void test_u64_and_bool(void **state)
{
    (void)state;
    uint64_t n;
    bool is;
    struct err e;
    assert_int_equal(value_u64(yaml("22"), 1, 65535, &n, &e), RC_OK);
    assert_int_equal(n, 22);
    assert_int_equal(value_u64(yaml("'2222'"), 1, 65535, &n, &e), RC_OK);
    assert_int_equal(n, 2222);
    assert_int_equal(value_u64(yaml("70000"), 1, 65535, &n, &e), RC_LIMIT);
    assert_non_null(strstr(e.msg, "f:1:1: "));
    assert_int_equal(value_u64(yaml("-1"), 1, 65535, &n, &e), RC_PARSE);
    assert_int_equal(value_u64(yaml("1.5"), 1, 65535, &n, &e), RC_PARSE);
    assert_int_equal(value_u64(yaml("'22x'"), 1, 65535, &n, &e), RC_PARSE);
    assert_int_equal(value_u64(yaml("'{{ port }}'"), 1, 65535, &n, &e), RC_OPAQUE);
    assert_int_equal(value_u64(NULL, 1, 65535, &n, &e), RC_PARSE);
    const char *const truths[] = {"yes", "'Y'", "'TRUE'", "1", "1.0", "' on '", "'t'"};
    const char *const lies[] = {"no", "'N'", "'False'", "0", "0.0", "'OFF'", "'f'"};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(value_bool(yaml(truths[i]), &is, &e), RC_OK);
        assert_true(is);
        assert_int_equal(value_bool(yaml(lies[i]), &is, &e), RC_OK);
        assert_false(is);
    }
    const char *const neither[] = {"2", "maybe", "[]", "~", "''"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(value_bool(yaml(neither[i]), &is, &e), RC_PARSE);
}

static void test_places(void **state)
{
    (void)state;
    const struct value *v = yaml("a: 1\nb:\n  - x\n  - {c: d}\n");
    char text[64];
    value_place_text(text, sizeof text, value_get(v, "a"));
    assert_string_equal(text, "f:1:4");
    value_place_text(text, sizeof text, value_get(v, "b")->u.list.items[1]);
    assert_string_equal(text, "f:4:5");
    assert_int_equal(v->u.map.pairs[1].line, 2);
    assert_int_equal(v->u.map.pairs[1].column, 1);
    assert_string_equal(value_place_text(text, sizeof text, NULL), "");
    assert_null(value_get(v, "zz"));
    assert_null(value_get(value_get(v, "a"), "x"));
    assert_null(value_get(NULL, "x"));
}

static void test_yaml_refusals(void **state)
{
    (void)state;
    refuses("a: 1\nb: 2\na: 3\n", RC_EXISTS,
            "f:3:1: the key 'a' is here a second time (first at line 1)");
    refuses("{a: 1, 'a': 2}", RC_EXISTS, "f:1:8: ");
    refuses("x: {k1: , k2: , k3: , k4: , k5: , k6: , k7: , k8: , k9: , k3: }", RC_EXISTS, "'k3'");
    refuses("a: [1, 2", RC_PARSE, "f:2:1: ");
    refuses("a: *b", RC_PARSE, "f:1:4: no anchor '&b'");
    refuses("&a [*a]", RC_PARSE, "holds itself");
    refuses("[&a 1, &a 2]", RC_PARSE, "already taken");
    refuses("a: !foo x", RC_PARSE, "f:1:4: the tag '!foo'");
    refuses("a: !!set {x}", RC_PARSE, "is not known");
    refuses("? [x]\n: y", RC_PARSE, "a key must be");
    refuses("<<: 5", RC_PARSE, "takes a mapping");
    refuses("--- 1\n--- 2\n", RC_PARSE, "second document");
    refuses("\"a\\0b\": 1", RC_PARSE, "NUL");
    refuses("a: \xff", RC_PARSE, "UTF-8");
    refuses("0xffffffffffffffffff", RC_LIMIT, "64 bits");
    refuses("!!int x", RC_PARSE, "its tag");
}

/* Ten levels of nine aliases stand for 9^10 values; the text has a few hundred bytes. */
static void test_yaml_bomb(void **state)
{
    (void)state;
    char text[2000];
    size_t n = (size_t)snprintf(text, sizeof text, "a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (char c = 'b'; c <= 'j'; c++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1,
                              c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    refuses(text, RC_LIMIT, "stand for more than 10000000 values");
    assert_true(arena.used < 1 << 20);
}

static void test_yaml_depth(void **state)
{
    (void)state;
    char text[200] = "";
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    yaml(text);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    refuses(text, RC_LIMIT, "f:1:65: nested deeper than 64");
    refuses(
        "a: &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
        "b: [[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]\n",
        RC_LIMIT, "the alias '*a' nests deeper");
}

static void test_json_refusals(void **state)
{
    (void)state;
    const struct value *v;
    struct err e;
    assert_int_equal(jsondoc_parse(&arena, "j", "{\"a\": }", 7, &v, &e), RC_PARSE);
    assert_non_null(strstr(e.msg, "j:1:"));
    assert_int_equal(jsondoc_parse(&arena, "j", "{\"a\":1,\"a\":2}", 13, &v, &e), RC_PARSE);
    char deep[200];
    memset(deep, '[', 70);
    memset(deep + 70, ']', 70);
    assert_int_equal(jsondoc_parse(&arena, "j", deep, 140, &v, &e), RC_LIMIT);
    const char *nul = "[\"a\\u0000b\"]";
    assert_int_equal(jsondoc_parse(&arena, "j", nul, strlen(nul), &v, &e), RC_OK);
    assert_int_equal(v->u.list.items[0]->u.string.len, 3);
}

static void test_literals(void **state)
{
    (void)state;
    struct value_place at = {"p", 1, 1};
    const char *const cases[][2] = {{"1", "1"},
                                    {"x", "\"x\""},
                                    {"1,2", "[1, 2]"},
                                    {"'a' 'b'", "\"ab\""},
                                    {"{'k': [1,]}", "{\"k\": [1]}"},
                                    {"0777", "\"0777\""},
                                    {"(1)", "1"},
                                    {"True # c", "true"},
                                    {"", "\"\""},
                                    {"'", "\"'\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        shows(pyliteral_parse(&arena, cases[i][0], strlen(cases[i][0]), &at), cases[i][1]);
}

static const char everything[] =
    "a: &a {x: 1, y: [1.5, 0x10, ~], z: {<<: {q: 1}, r: !vault v}}\n"
    "b: {<<: *a, y: !unsafe [t], 5: 99999999999999999999, k1: , k2: , k3: , k4: , k5: , k6: }\n";

static void test_yaml_without_memory(void **state)
{
    (void)state;
    enum rc rc = RC_NOMEM;
    long n = 0;
    for (; rc != RC_OK; n++) {
        struct arena a;
        const struct value *v;
        struct err e;
        arena_init(&a);
        mem_fail_after(n);
        rc = yamldoc_parse(&a, "f", everything, sizeof everything - 1, &v, &e);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_true(rc == (fired ? RC_NOMEM : RC_OK));
        arena_fini(&a);
        assert_int_equal(mem_live(), live_before);
    }
    assert_true(n > 5);
}

static void test_output_without_memory(void **state)
{
    (void)state;
    const struct value *v = yaml(everything);
    enum rc rc = RC_NOMEM;
    long n = 0;
    for (; rc != RC_OK; n++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        mem_fail_after(n);
        rc = value_json(&b, v, true, 4);
        mem_fail_after(-1);
        buf_fini(&b);
    }
    assert_true(n > 2);
    struct buf small;
    buf_init(&small, 10);
    assert_int_equal(value_json(&small, v, true, 4), RC_LIMIT);
    buf_fini(&small);
}

static void test_literals_without_memory(void **state)
{
    (void)state;
    static const char text[] = "{'a': [1, 2, (3, 'x' 'y')], 'b': 99999999999999999999}";
    struct value_place at = {"p", 1, 1};
    const struct value *v = NULL;
    long n = 0;
    for (; v == NULL; n++) {
        struct arena a;
        arena_init(&a);
        mem_fail_after(n);
        v = pyliteral_parse(&a, text, sizeof text - 1, &at);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_true((v == NULL) == fired);
        if (v != NULL)
            shows(v, "{\"a\": [1, 2, [3, \"xy\"]], \"b\": 99999999999999999999}");
        arena_fini(&a);
    }
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json_shape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_float_text, setup, teardown),
        cmocka_unit_test(test_float_text_is_shortest),
        cmocka_unit_test_setup_teardown(test_opaque, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_u64_and_bool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_yaml_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literals_without_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
