/* common: errors, memory, buffers, numbers, text, map, arena, clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/map.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

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

static void test_err_wrap(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_sys(&e, 2, "open %s", "a"), RC_SYS);
    assert_string_equal(e.msg, "open a: No such file or directory");
    assert_int_equal(e.sys, 2);
    assert_int_equal(err_wrap(&e, "inventory %d", 7), RC_SYS);
    assert_string_equal(e.msg, "inventory 7: open a: No such file or directory");
    assert_int_equal(err_set(NULL, RC_PARSE, "x"), RC_PARSE);
    for (int i = 0; i < 400; i++)
        err_wrap(&e, "level %d", i);
    assert_true(strlen(e.msg) < sizeof e.msg);
    assert_memory_equal(e.msg, "level 399: level 398", 20);
}

static void test_err_names_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < RC_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(rc_name((enum rc)i), rc_name((enum rc)j));
}

static void test_mem_fails_on_demand(void **state)
{
    (void)state;
    mem_fail_after(1);
    void *a = mem_alloc(1);
    assert_non_null(a);
    assert_null(mem_alloc(1));
    assert_true(mem_fail_fired());
    void *b = mem_alloc(1);
    assert_non_null(b);
    mem_free(a);
    mem_free(b);
    assert_null(mem_realloc_array(NULL, SIZE_MAX / 2, 4));
}

static void test_buf_keeps_to_its_cap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, "12345678", 8), RC_OK);
    assert_int_equal(buf_append(&b, "abc", 3), RC_LIMIT);
    assert_int_equal(b.len, 8);
    assert_int_equal(buf_printf(&b, "%d", 12), RC_OK);
    assert_string_equal(buf_cstr(&b), "1234567812");
    buf_consume(&b, 8);
    assert_string_equal(buf_cstr(&b), "12");
    size_t n;
    char *s = buf_take(&b, &n);
    assert_int_equal(n, 2);
    assert_string_equal(s, "12");
    mem_free(s);
    mem_fail_after(0);
    assert_int_equal(buf_puts(&b, "x"), RC_NOMEM);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

/* What was in it is nowhere else: neither behind its end nor where it was before it grew. */
static void test_buf_wiped(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_reserve_wiped(&b, 8), RC_OK);
    assert_int_equal(buf_append(&b, "12secret", 8), RC_OK);
    assert_int_equal(buf_reserve_wiped(&b, 500), RC_OK);
    assert_true(b.cap >= 508);
    assert_memory_equal(b.data, "12secret", 8);
    buf_consume_wiped(&b, 2);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "secret\0", 8);
    assert_int_equal(buf_reserve_wiped(&b, 995), RC_LIMIT);
    mem_fail_after(0);
    assert_int_equal(buf_reserve_wiped(&b, 994), RC_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(buf_reserve_wiped(&b, 994), RC_OK);
    assert_memory_equal(b.data, "secret", 6);
    buf_wipe(&b);
}

static void test_buf_long_printf(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_printf(&b, "%05000d|", 7), RC_OK);
    assert_int_equal(b.len, 5001);
    assert_int_equal(b.data[5000], '|');
    buf_fini(&b);
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    assert_int_equal(num_u64("18446744073709551615", 0, UINT64_MAX, &u, NULL), RC_OK);
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {"",   "-1",  "+1",  " 1",
                                      "1 ", "0x1", "1e3", "18446744073709551616"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_int_not_equal(num_u64(bad[k], 0, UINT64_MAX, &u, NULL), RC_OK);
    assert_int_equal(num_u64("70000", 1, 65535, &u, NULL), RC_LIMIT);
    assert_int_equal(num_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &i, NULL), RC_OK);
    assert_true(i == INT64_MIN);
    assert_int_not_equal(num_i64("9223372036854775808", INT64_MIN, INT64_MAX, &i, NULL), RC_OK);
}

static void test_durations_and_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"500ms", 500},  {"30s", 30000}, {"1.5s", 1500}, {"5m", 300000},
                {"2h", 7200000}, {"0", 0},       {"0.001s", 1},  {"1d", 86400000}};
    uint64_t v;
    for (size_t k = 0; k < sizeof good / sizeof good[0]; k++) {
        assert_int_equal(num_duration(good[k].text, &v, NULL), RC_OK);
        assert_int_equal(v, good[k].ms);
    }
    static const char *const bad[] = {"", "30", "s", "-1s", "1.s", ".5s", "1y", "99999999d", "1 s"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_int_not_equal(num_duration(bad[k], &v, NULL), RC_OK);
    assert_int_equal(num_size("64K", &v, NULL), RC_OK);
    assert_int_equal(v, 65536);
    assert_int_equal(num_size("1.5MiB", &v, NULL), RC_OK);
    assert_int_equal(v, 1572864);
    assert_int_equal(num_size("4096", &v, NULL), RC_OK);
    assert_int_equal(v, 4096);
    assert_int_not_equal(num_size("1X", &v, NULL), RC_OK);
    assert_int_not_equal(num_size("99999999999T", &v, NULL), RC_OK);
    int percent;
    assert_int_equal(num_count_or_percent("30%", &v, &percent, NULL), RC_OK);
    assert_true(percent && v == 30);
    assert_int_not_equal(num_count_or_percent("101%", &v, &percent, NULL), RC_OK);
    assert_int_not_equal(num_count_or_percent("%", &v, &percent, NULL), RC_OK);
}

static void test_number_texts(void **state)
{
    (void)state;
    char t[NUM_TEXT];
    assert_string_equal(num_duration_text(t, 340), "340ms");
    assert_string_equal(num_duration_text(t, 10123), "10.1s");
    assert_string_equal(num_duration_text(t, 125000), "2m05s");
    assert_string_equal(num_duration_text(t, 3720000), "1h02m");
    assert_string_equal(num_count_text(t, 4980), "4,980");
    assert_string_equal(num_count_text(t, 1234567), "1,234,567");
    assert_string_equal(num_count_text(t, 7), "7");
    assert_string_equal(num_size_text(t, 65536), "64.0 KiB");
    assert_string_equal(num_size_text(t, 100), "100 B");
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(str_utf8_valid("h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98",
                                      "\xff"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_false(str_utf8_valid(bad[k], strlen(bad[k])));
}

static void check_escape(const char *in, size_t n, unsigned flags, const char *want)
{
    struct buf b;
    char small[256];
    buf_init(&b, 4096);
    assert_int_equal(str_escape(&b, in, n, flags), RC_OK);
    assert_string_equal(buf_cstr(&b), want);
    assert_string_equal(str_escape_to(small, sizeof small, in, n, flags), want);
    buf_fini(&b);
}

static void test_escape(void **state)
{
    (void)state;
    check_escape("a\x1b[31mb", 7, 0, "a\\x1b[31mb");
    check_escape("a\tb\nc", 5, STR_KEEP_TAB | STR_KEEP_NEWLINE, "a\tb\nc");
    check_escape("a\tb\nc", 5, 0, "a\\x09b\\x0ac");
    check_escape("\xc2\x9b", 2, 0, "\\xc2\\x9b");          /* CSI as C1 */
    check_escape("\xe2\x80\xae", 3, 0, "\\xe2\\x80\\xae"); /* right-to-left override */
    check_escape("\xff\xc3\xa9\x7f\r", 5, 0, "\\xff\xc3\xa9\\x7f\\x0d");
    check_escape("\\x", 2, 0, "\\x");
    check_escape("\0x", 2, 0, "\\x00x");
    char tiny[4];
    assert_string_equal(str_escape_to(tiny, sizeof tiny, "ab\xc3\xa9", 4, 0), "ab");
}

static void test_json(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    str_json(&b, "a\"\\\n\x01\xc3\xa9\xff/", 9);
    assert_string_equal(buf_cstr(&b), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd/\"");
    buf_reset(&b);
    str_json(&b, "", 0);
    assert_string_equal(buf_cstr(&b), "\"\"");
    buf_fini(&b);
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe", "//4="}};
    struct buf b;
    buf_init(&b, 4096);
    for (size_t k = 0; k < sizeof pairs / sizeof pairs[0]; k++) {
        buf_reset(&b);
        assert_int_equal(str_base64(&b, pairs[k][0], strlen(pairs[k][0])), RC_OK);
        assert_string_equal(buf_cstr(&b), pairs[k][1]);
        buf_reset(&b);
        assert_int_equal(str_unbase64(&b, pairs[k][1], strlen(pairs[k][1])), RC_OK);
        assert_string_equal(buf_cstr(&b), pairs[k][0]);
    }
    static const char *const bad[] = {"Zg=", "Zh==", "Z===", "====", "Zm9v!", "Zm=v", "Zg==Zg=="};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++)
        assert_int_equal(str_unbase64(&b, bad[k], strlen(bad[k])), RC_PARSE);
    buf_fini(&b);
}

static void test_fnmatch(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {{"web*", "web12", true},    {"*", "", true},
                 {"a?c", "abc", true},       {"[a-c]x", "bx", true},
                 {"[!a-c]x", "bx", false},   {"[!a-c]x", "dx", true},
                 {"[", "[", true},           {"[]]", "]", true},
                 {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
                 {"[]-a]", "-", false},      {"", "a", false},
                 {"[a", "[a", true},         {"*.example.com", "x.example.com", true}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        if (str_fnmatch(cases[k].pattern, cases[k].name) != cases[k].match)
            fail_msg("%s against %s", cases[k].pattern, cases[k].name);
    char name[2001];
    memset(name, 'a', sizeof name - 1);
    name[2000] = '\0';
    assert_false(str_fnmatch("*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
}

static void test_shell_quote_and_distance(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    str_shell_quote(&b, "it's a $x");
    assert_string_equal(buf_cstr(&b), "'it'\\''s a $x'");
    buf_reset(&b);
    str_shell_quote(&b, "");
    assert_string_equal(buf_cstr(&b), "''");
    buf_reset(&b);
    str_shell_quote(&b, "/usr/bin/x-1.2");
    assert_string_equal(buf_cstr(&b), "/usr/bin/x-1.2");
    buf_fini(&b);
    assert_int_equal(str_distance("canray", "canary"), 2);
    assert_int_equal(str_distance("", "abc"), 3);
    assert_int_equal(str_width("a\xe6\xbc\xa2", 4), 3);
}

static void test_map_keeps_order(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    char keys[1000][8];
    for (int i = 0; i < 1000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        assert_int_equal(map_puts(&m, keys[i], &keys[i]), 0);
    }
    for (int i = 0; i < 1000; i += 2)
        assert_ptr_equal(map_del(&m, keys[i], strlen(keys[i])), &keys[i]);
    assert_int_equal(m.live, 500);
    assert_null(map_gets(&m, "k2"));
    assert_ptr_equal(map_gets(&m, "k3"), &keys[3]);
    for (int i = 0; i < 1000; i += 2)
        assert_int_equal(map_puts(&m, keys[i], &keys[i]), 0);
    size_t at = 0, seen = 0;
    int last = -1;
    for (struct map_entry *e; (e = map_next(&m, &at)) != NULL; seen++) {
        int k = atoi(e->key + 1);
        if (seen < 500) {
            assert_true(k > last && k % 2 == 1);
            last = k;
        }
    }
    assert_int_equal(seen, 1000);
    void *old;
    assert_int_equal(map_put(&m, "k3", 2, NULL, &old), 0);
    assert_ptr_equal(old, &keys[3]);
    map_fini(&m);
}

static void test_map_survives_no_memory(void **state)
{
    (void)state;
    for (long n = 0; n < 6; n++) {
        struct map m;
        map_init(&m);
        char keys[64][8];
        mem_fail_after(n);
        size_t stored = 0;
        for (int i = 0; i < 64; i++) {
            snprintf(keys[i], sizeof keys[i], "k%d", i);
            stored += map_puts(&m, keys[i], &keys[i]) == 0;
        }
        mem_fail_after(-1);
        assert_int_equal(m.live, stored);
        assert_true(stored >= 63);
        map_fini(&m);
    }
}

static void test_arena(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    char *s = arena_strdup(&a, "hello");
    for (int i = 0; i < 10000; i++)
        assert_non_null(arena_alloc(&a, (size_t)i % 200 + 1));
    assert_non_null(arena_alloc(&a, 3 << 20));
    assert_string_equal(s, "hello");
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 4));
    arena_fini(&a);
}

static uint64_t fixed_clock(void *user)
{
    return *(uint64_t *)user;
}

static void test_clock(void **state)
{
    (void)state;
    char t[32];
    assert_string_equal(clock_rfc3339(t, sizeof t, 0), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_rfc3339(t, sizeof t, 1769850300123000), "2026-01-31T09:05:00.123Z");
    uint64_t now = 5000123;
    clock_set_test(fixed_clock, &now);
    assert_int_equal(clock_ms(), 5000);
    clock_set_test(NULL, NULL);
    assert_true(clock_ms() <= clock_ms());
}

static char logged[256];

static void keep_line(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    snprintf(logged, sizeof logged, "%s", line);
}

static void test_log_levels(void **state)
{
    (void)state;
    log_set_sink(keep_line, NULL);
    log_warn("a %d", 1);
    assert_string_equal(logged, "muster: warning: a 1");
    log_warn("x\x1b[31m");
    assert_string_equal(logged, "muster: warning: x\\x1b[31m");
    log_warn("a %d", 1);
    log_info("not shown");
    assert_string_equal(logged, "muster: warning: a 1");
    log_set_level(LOG_LEVEL_INFO);
    log_info("shown");
    assert_string_equal(logged, "muster: shown");
    log_set_level(LOG_LEVEL_WARN);
    log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_err_wrap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_err_names_are_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mem_fails_on_demand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_buf_keeps_to_its_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_buf_wiped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_buf_long_printf, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_durations_and_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_number_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(test_escape, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base64, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fnmatch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shell_quote_and_distance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map_keeps_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_map_survives_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arena, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_levels, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
