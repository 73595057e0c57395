/* Host sets: what ClusterShell's own comparison (tests/oracle) does not reach — limits, callbacks,
 * failing allocations, sets large enough that a quadratic step would not end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "inventory/hostset.h"

static size_t live_before;

static int setup(void **state)
{
    (void)state;
    live_before = mem_live();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    assert_int_equal(mem_live(), live_before);
    return 0;
}

static struct hostset *new_set(void)
{
    struct hostset *s = NULL;
    assert_int_equal(hostset_new(&s, NULL), RC_OK);
    return s;
}

static enum rc join(const struct hostset *s, struct buf *out)
{
    for (size_t i = 0; i < hostset_count(s); i++) {
        enum rc rc = buf_printf(out, "%s%s", i > 0 ? " " : "", hostset_at(s, i));
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static void check(const char *expr, const char *folded, const char *expanded)
{
    struct err e = {0};
    struct hostset *s = new_set();
    struct buf out;
    buf_init(&out, 1 << 20);
    if (hostset_parse(s, expr, NULL, NULL, &e) != RC_OK)
        fail_msg("%s: %s", expr, e.msg);
    assert_int_equal(hostset_fold(s, &out, &e), RC_OK);
    assert_string_equal(buf_cstr(&out), folded);
    buf_reset(&out);
    assert_int_equal(join(s, &out), RC_OK);
    assert_string_equal(buf_cstr(&out), expanded);
    buf_fini(&out);
    hostset_free(s);
}

static void refused(const char *expr, enum rc rc, const char *part)
{
    struct err e = {0};
    struct hostset *s = new_set();
    assert_int_equal(hostset_parse(s, expr, NULL, NULL, &e), rc);
    if (strstr(e.msg, part) == NULL)
        fail_msg("%s: %s, without \"%s\"", expr, e.msg, part);
    hostset_free(s);
}

static void test_notation(void **state)
{
    (void)state;
    check("web[01-05/2].x", "web[01,03,05].x", "web01.x web03.x web05.x");
    check("a[1-2]b[1-2]", "a[1-2]b[1-2]", "a1b1 a1b2 a2b1 a2b2");
    check("b,a[2,10],a1", "a[1-2,10],b", "a1 a2 a10 b");
    check("n[1-5]!n[2-3]&n[1-4]^n9", "n[1,4,9]", "n1 n4 n9");
    check("n-00[00-02]", "n-[0000-0002]", "n-0000 n-0001 n-0002");
    check("n[1-2]5", "n[15,25]", "n15 n25");
    check("n[2,01,001]", "n[2,01,001]", "n2 n01 n001");
    check("50%[1-2]", "50%[1-2]", "50%1 50%2");
    check("", "", "");
    check(" \t", "", "");
}

static void test_refused(void **state)
{
    (void)state;
    refused("web[1-", RC_PARSE, "column 4: this bracket is not closed");
    refused("web1]", RC_PARSE, "column 5: this bracket was not opened");
    refused("web[1-2][3]", RC_PARSE, "column 9");
    refused("a,,b", RC_PARSE, "column 3");
    refused("a,", RC_PARSE, "column 3");
    refused("web1 web2", RC_PARSE, "column 5: a blank inside");
    refused("web[5-1]", RC_PARSE, "smaller number");
    refused("web[01-100]", RC_PARSE, "padding");
    refused("web[1-9/0]", RC_PARSE, "step");
    refused("n1[8-12]", RC_AMBIGUOUS, "power of ten");
    refused("@web", RC_PARSE, "inventory");
    refused("web*", RC_PARSE, "inventory");
    refused("w\x1bx", RC_PARSE, "control character");
    refused("w\x1bx", RC_PARSE, "\\x1b");
}

static void test_limits(void **state)
{
    (void)state;
    refused("n[1-10000001]", RC_LIMIT, "10,000,000");
    refused("n[0-99999][", RC_PARSE, "");
    refused("n[0-99999]x[0-99999]x[0-99999]x[0-99999]", RC_LIMIT, "10,000,000");
    refused("n[1-10000000,1-10000000]", RC_LIMIT, "10,000,000");
    refused("n[1-99999999999999999]", RC_LIMIT, "10,000,000");
    refused("n[1-999999999999999999]", RC_LIMIT, "17 digits");
    char *expr = mem_alloc(4096);
    assert_non_null(expr);
    memset(expr, 'x', 4095);
    expr[4095] = '\0';
    refused(expr, RC_LIMIT, "1,024 bytes");
    for (size_t i = 0; i + 4 < 4095; i += 4)
        memcpy(expr + i, "[1]x", 4);
    refused(expr, RC_LIMIT, "too many brackets");
    mem_free(expr);
}

static enum rc resolve(void *user, const char *term, struct hostset *out, struct err *e)
{
    struct buf *asked = user;
    assert_int_equal(buf_printf(asked, "%s;", term), RC_OK);
    if (strcmp(term, "@web") == 0)
        return hostset_expand("web[1-3]", 3, out, e);
    if (strcmp(term, "db*") == 0)
        return hostset_expand("db[1-2]", 2, out, e);
    if (strncmp(term, "@io", 3) == 0)
        return hostset_add(out, term + 1, e);
    return err_set(e, RC_NOTFOUND, "no such group: %s", term);
}

static void test_groups(void **state)
{
    (void)state;
    struct buf asked, out;
    struct err e = {0};
    buf_init(&asked, 1024);
    buf_init(&out, 1024);
    struct hostset *s = new_set();
    assert_int_equal(hostset_parse(s, "@web!web2,db*,@io[1-2]", resolve, &asked, &e), RC_OK);
    assert_int_equal(hostset_fold(s, &out, &e), RC_OK);
    assert_string_equal(buf_cstr(&out), "db[1-2],io[1-2],web[1,3]");
    assert_string_equal(buf_cstr(&asked), "@web;db*;@io1;@io2;");
    assert_int_equal(hostset_parse(s, "a,@none", resolve, &asked, &e), RC_NOTFOUND);
    hostset_free(s);
    buf_fini(&asked);
    buf_fini(&out);
}

static void test_set(void **state)
{
    (void)state;
    struct hostset *s = new_set();
    assert_int_equal(hostset_add(s, "b", NULL), RC_OK);
    assert_int_equal(hostset_add(s, "a", NULL), RC_OK);
    assert_int_equal(hostset_add(s, "b", NULL), RC_OK);
    assert_int_equal(hostset_count(s), 2);
    assert_string_equal(hostset_at(s, 0), "b");
    assert_true(hostset_has(s, "a"));
    assert_false(hostset_has(s, "c"));
    assert_int_equal(hostset_add(s, "", NULL), RC_PARSE);
    hostset_free(s);
}

static void test_expand_one(void **state)
{
    (void)state;
    struct hostset *s = new_set();
    struct err e = {0};
    assert_int_equal(hostset_expand("n[3,1]x[2-3]", HOSTSET_MAX, s, &e), RC_OK);
    struct buf out;
    buf_init(&out, 1024);
    assert_int_equal(join(s, &out), RC_OK);
    assert_string_equal(buf_cstr(&out), "n1x2 n1x3 n3x2 n3x3");
    assert_int_equal(hostset_expand("a,b", HOSTSET_MAX, s, &e), RC_PARSE);
    assert_int_equal(hostset_expand("n[1,2", HOSTSET_MAX, s, &e), RC_PARSE);
    assert_int_equal(hostset_expand("n[1-9]", 8, s, &e), RC_LIMIT);
    buf_fini(&out);
    hostset_free(s);
}

static void test_is_range(void **state)
{
    (void)state;
    static const char *const yes[] = {"web[1-3]", "web[01-20/2].x", "n[1,3]", "a[0]b[1-2]"};
    static const char *const no[] = {"web",     "web[1]", "web[1:3]", "web[-1]", "web[a-c]",
                                     "web[1-3", "web[]",  "[[[[",     "w[!1-3]"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(hostset_is_range(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(hostset_is_range(no[i]));
}

static void test_compare(void **state)
{
    (void)state;
    assert_true(hostset_compare("web2", "web10") < 0);
    assert_true(hostset_compare("web10", "web2") > 0);
    assert_true(hostset_compare("web9", "web01") < 0);
    assert_true(hostset_compare("a1b9", "a2b1") < 0);
    assert_true(hostset_compare("a", "b1") < 0);
    assert_int_equal(hostset_compare("a1b2", "a1b2"), 0);
}

static void try_all(const char *expr, struct err *e, enum rc *rc)
{
    struct hostset *s = NULL;
    struct buf out;
    buf_init(&out, 1 << 16);
    *rc = hostset_new(&s, e);
    if (*rc == RC_OK)
        *rc = hostset_parse(s, expr, NULL, NULL, e);
    if (*rc == RC_OK)
        *rc = hostset_fold(s, &out, e);
    hostset_free(s);
    buf_fini(&out);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char expr[] = "a[1-20]b[1-3]!a3b2!a7b1^a[15-22]b[2-4],db1,db[2-30]!db7,x";
    for (long n = 0;; n++) {
        struct err e = {0};
        enum rc rc;
        mem_fail_after(n);
        try_all(expr, &e, &rc);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(mem_live(), live_before);
        if (!fired) {
            assert_int_equal(rc, RC_OK);
            assert_true(n > 20);
            break;
        }
        assert_int_equal(rc, RC_NOMEM);
        assert_int_equal(e.rc, RC_NOMEM);
    }
}

static void test_small_buffer(void **state)
{
    (void)state;
    struct hostset *s = new_set();
    struct buf out;
    struct err e = {0};
    buf_init(&out, 4);
    assert_int_equal(hostset_parse(s, "web[1-3]", NULL, NULL, &e), RC_OK);
    assert_int_equal(hostset_fold(s, &out, &e), RC_LIMIT);
    hostset_free(s);
    buf_fini(&out);
}

/* Folds `count` names and checks that unfolding gives back the same set. */
static void round_trip(const char *(*name)(size_t i, char *dst, size_t cap), size_t count)
{
    struct hostset *s = new_set(), *back = new_set();
    struct buf out;
    struct err e = {0};
    char text[128];
    buf_init(&out, (size_t)1 << 26);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hostset_add(s, name(i, text, sizeof text), &e), RC_OK);
    assert_int_equal(hostset_fold(s, &out, &e), RC_OK);
    if (hostset_parse(back, buf_cstr(&out), NULL, NULL, &e) != RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(hostset_count(back), hostset_count(s));
    for (size_t i = 0; i < hostset_count(s); i++)
        assert_true(hostset_has(back, hostset_at(s, i)));
    buf_fini(&out);
    hostset_free(s);
    hostset_free(back);
}

static uint32_t scramble(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x45d9f3bU;
    x = (x ^ (x >> 16)) * 0x45d9f3bU;
    return x ^ (x >> 16);
}

static const char *name_row(size_t i, char *dst, size_t cap)
{
    snprintf(dst, cap, "web%zu.example.com", i);
    return dst;
}

static const char *name_word(size_t i, char *dst, size_t cap)
{
    size_t n = 0;
    for (uint32_t x = scramble((uint32_t)i + 1), k = 0; k < 12 && n + 1 < cap; k++, x = scramble(x))
        dst[n++] = (char)('a' + x % 26);
    dst[n] = '\0';
    return dst;
}

static const char *name_scattered(size_t i, char *dst, size_t cap)
{
    snprintf(dst, cap, "r%u-n%u", scramble((uint32_t)i) % 900, scramble((uint32_t)i + 77777) % 900);
    return dst;
}

static const char *name_racks(size_t i, char *dst, size_t cap)
{
    if (i % 97 == 0)
        return name_scattered(i, dst, cap);
    snprintf(dst, cap, "dc%zu-r%zu-n%02zu", i % 4, i / 4 % 50, i / 200);
    return dst;
}

static const char *name_hex(size_t i, char *dst, size_t cap)
{
    snprintf(dst, cap, "vm-%08x-%04x", scramble((uint32_t)i), (unsigned)i & 0xffff);
    return dst;
}

static void test_many(void **state)
{
    (void)state;
    round_trip(name_row, 50000);
    round_trip(name_word, 50000);
    round_trip(name_scattered, 50000);
    round_trip(name_racks, 50000);
    round_trip(name_hex, 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expand_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_is_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
