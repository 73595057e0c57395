/* proto/wire: what the validator lets through, and reading and writing of maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "proto/wire.h"

#define CHECK(rc, ...)                                                                             \
    do {                                                                                           \
        const uint8_t bytes[] = {__VA_ARGS__};                                                     \
        uint8_t *exact = mem_memdup(bytes, sizeof bytes);                                          \
        assert_int_equal(wire_validate(exact, sizeof bytes, NULL), rc);                            \
        mem_free(exact);                                                                           \
    } while (0)

static void one_whole_value(void **state)
{
    (void)state;
    CHECK(RC_OK, 0x00);
    CHECK(RC_OK, 0xff);
    CHECK(RC_OK, 0xc0);
    CHECK(RC_OK, 0xc2);
    CHECK(RC_OK, 0xcb, 1, 2, 3, 4, 5, 6, 7, 8);
    CHECK(RC_OK, 0xa2, 'h', 'i');
    CHECK(RC_OK, 0xc4, 1, 0xff);
    CHECK(RC_OK, 0x80);
    CHECK(RC_OK, 0x90);
    CHECK(RC_OK, 0x82, 0xa1, 'a', 0x93, 1, 2, 3, 0xa1, 'b', 0x81, 0xa1, 'a', 0xc0);
    CHECK(RC_OK, 0xdf, 0, 0, 0, 1, 0xd9, 1, 'k', 0xdc, 0, 1, 0xc3);
    assert_int_equal(wire_validate("", 0, NULL), RC_PROTO);
}

static void refused(void **state)
{
    (void)state;
    CHECK(RC_PROTO, 0xc1);                                /* never used */
    CHECK(RC_PROTO, 0xd4, 1, 2);                          /* ext */
    CHECK(RC_PROTO, 0xc7, 0, 1);                          /* ext 8 */
    CHECK(RC_PROTO, 0x00, 0x00);                          /* two values */
    CHECK(RC_PROTO, 0xa3, 'h', 'i');                      /* a string that is cut */
    CHECK(RC_PROTO, 0xdb, 0xff, 0xff, 0xff, 0xff);        /* claims 4 GiB */
    CHECK(RC_PROTO, 0xdb, 0xff);                          /* the length is cut */
    CHECK(RC_PROTO, 0xdd, 0xff, 0, 0, 0);                 /* msgpack-c would ask for 96 GiB */
    CHECK(RC_PROTO, 0xdd, 2, 0, 0, 0);                    /* and here take 805 MB */
    CHECK(RC_PROTO, 0xdf, 0x80, 0, 0, 1, 0xa1, 'a', 1);   /* twice the count wraps in 32 bits */
    CHECK(RC_PROTO, 0x81, 1, 2);                          /* a key that is no string */
    CHECK(RC_PROTO, 0x81, 0x80, 2);                       /* a key that is a map */
    CHECK(RC_PROTO, 0x82, 0xa1, 'a', 1, 0xa1, 'a', 2);    /* twice */
    CHECK(RC_PROTO, 0x82, 0xa1, 'a', 1, 0xd9, 1, 'a', 2); /* twice, written differently */
    CHECK(RC_PROTO, 0x81, 0xa1, 'a');                     /* no value */
    CHECK(RC_PROTO, 0xcb, 1, 2, 3);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    uint8_t bytes[64];
    memset(bytes, 0x91, sizeof bytes);
    bytes[WIRE_MAX_DEPTH] = 0;
    assert_int_equal(wire_validate(bytes, WIRE_MAX_DEPTH + 1, NULL), RC_OK);
    bytes[WIRE_MAX_DEPTH] = 0x91;
    bytes[WIRE_MAX_DEPTH + 1] = 0;
    assert_int_equal(wire_validate(bytes, WIRE_MAX_DEPTH + 2, NULL), RC_PROTO);
}

static void nodes_are_bounded(void **state)
{
    (void)state;
    size_t n = 5 + WIRE_MAX_NODES;
    uint8_t *bytes = mem_calloc(1, n);
    bytes[0] = 0xdd;
    bytes[2] = (WIRE_MAX_NODES - 1) >> 16;
    bytes[3] = (uint8_t)((WIRE_MAX_NODES - 1) >> 8);
    bytes[4] = (uint8_t)(WIRE_MAX_NODES - 1);
    assert_int_equal(wire_validate(bytes, n - 1, NULL), RC_OK);
    bytes[2] = WIRE_MAX_NODES >> 16;
    bytes[3] = bytes[4] = 0;
    struct err e;
    assert_int_equal(wire_validate(bytes, n, &e), RC_PROTO);
    assert_non_null(strstr(e.msg, "too many values"));
    mem_free(bytes);
}

static void keys_are_bounded(void **state)
{
    (void)state;
    struct buf b;
    struct wire_out w;
    char key[8];
    for (size_t n = WIRE_MAX_KEYS; n <= WIRE_MAX_KEYS + 1; n++) {
        buf_init(&b, 4096);
        wire_out_init(&w, &b);
        wire_put_map(&w, n);
        for (size_t i = 0; i < n; i++) {
            key[0] = (char)('0' + i / 10);
            key[1] = (char)('0' + i % 10);
            key[2] = '\0';
            wire_put_bool(&w, key, true);
        }
        assert_int_equal(wire_out_end(&w), RC_OK);
        assert_int_equal(wire_validate(b.data, b.len, NULL), n <= WIRE_MAX_KEYS ? RC_OK : RC_PROTO);
        buf_fini(&b);
    }
}

static void write_sample(struct buf *b)
{
    static const uint64_t numbers[] = {0, 1, UINT64_MAX};
    struct wire_out w;
    buf_init(b, 4096);
    wire_out_init(&w, b);
    wire_put_map(&w, 7);
    wire_put_str(&w, "s", "text");
    wire_put_bin(&w, "b", "\0\1", 2);
    wire_put_u64(&w, "u", UINT64_MAX);
    wire_put_i64(&w, "i", -5);
    wire_put_bool(&w, "t", true);
    wire_put_u64s(&w, "a", numbers, 3);
    wire_put_strn(&w, "z", "a\0b", 3);
    assert_int_equal(wire_out_end(&w), RC_OK);
}

static void members(void **state)
{
    (void)state;
    struct buf b;
    struct wire_map m;
    write_sample(&b);
    assert_int_equal(wire_open(&m, b.data, b.len, NULL), RC_OK);
    assert_int_equal(wire_count(&m), 7);
    char text[5];
    uint64_t u, us[3];
    int64_t i;
    bool t = false;
    const void *p;
    size_t n;
    assert_int_equal(wire_str_to(&m, "s", text, sizeof text), RC_OK);
    assert_string_equal(text, "text");
    assert_int_equal(wire_str_to(&m, "s", text, 4), RC_PROTO);
    assert_int_equal(wire_str_to(&m, "z", text, sizeof text), RC_PROTO); /* holds a NUL */
    assert_int_equal(wire_str_to(&m, "b", text, sizeof text), RC_PROTO);
    assert_int_equal(wire_bin(&m, "b", 2, &p, &n), RC_OK);
    assert_memory_equal(p, "\0\1", 2);
    assert_int_equal(wire_bin(&m, "b", 1, &p, &n), RC_PROTO);
    assert_int_equal(wire_u64(&m, "u", UINT64_MAX, &u), RC_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(wire_u64(&m, "u", UINT64_MAX - 1, &u), RC_PROTO);
    assert_int_equal(wire_u64(&m, "i", UINT64_MAX, &u), RC_PROTO);
    assert_int_equal(wire_i64(&m, "i", -5, 5, &i), RC_OK);
    assert_int_equal(i, -5);
    assert_int_equal(wire_i64(&m, "i", -4, 5, &i), RC_PROTO);
    assert_int_equal(wire_i64(&m, "u", INT64_MIN, INT64_MAX, &i), RC_PROTO);
    assert_int_equal(wire_bool(&m, "t", &t), RC_OK);
    assert_true(t);
    assert_int_equal(wire_bool(&m, "u", &t), RC_PROTO);
    assert_int_equal(wire_u64s(&m, "a", 3, UINT64_MAX, us, &n), RC_OK);
    assert_int_equal(n, 3);
    assert_true(us[2] == UINT64_MAX);
    assert_int_equal(wire_u64s(&m, "a", 2, UINT64_MAX, us, &n), RC_PROTO);
    assert_int_equal(wire_u64s(&m, "a", 3, 7, us, &n), RC_PROTO);
    assert_int_equal(wire_u64(&m, "none", 1, &u), RC_NOTFOUND);
    wire_close(&m);
    buf_fini(&b);
}

static void nil_is_absent_and_roots_are_maps(void **state)
{
    (void)state;
    struct wire_map m;
    uint64_t u;
    assert_int_equal(wire_open(&m, "\x81\xa1k\xc0", 4, NULL), RC_OK);
    assert_int_equal(wire_u64(&m, "k", 1, &u), RC_NOTFOUND);
    wire_close(&m);
    struct err e;
    assert_int_equal(wire_open(&m, "\x90", 1, &e), RC_PROTO);
    assert_int_equal(wire_open(&m, "\xdd\x02\0\0\0", 5, &e), RC_PROTO);
    assert_non_null(strstr(e.msg, "larger than the message"));
}

/* Whatever a cut or a flipped bit makes of a message, it is refused or read within its bounds. */
static void damage(void **state)
{
    (void)state;
    struct buf b;
    write_sample(&b);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *cut = mem_memdup(b.data, n);
        assert_int_equal(wire_validate(cut, n, NULL), RC_PROTO);
        mem_free(cut);
    }
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        struct wire_map m;
        const char *s;
        size_t n;
        uint8_t *bad = mem_memdup(b.data, b.len);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (wire_open(&m, bad, b.len, NULL) == RC_OK) {
            if (wire_str(&m, "s", 10, &s, &n) == RC_OK)
                assert_true(s >= (char *)bad && s + n <= (char *)bad + b.len);
            wire_close(&m);
        }
        mem_free(bad);
    }
    buf_fini(&b);
}

static void failures_are_kept(void **state)
{
    (void)state;
    struct buf b;
    struct wire_out w;
    buf_init(&b, 8);
    wire_out_init(&w, &b);
    wire_put_map(&w, 2);
    wire_put_str(&w, "a", "0123456789");
    wire_put_bool(&w, "b", true);
    assert_int_equal(wire_out_end(&w), RC_LIMIT);
    buf_fini(&b);
    mem_fail_after(0);
    wire_out_init(&w, &b);
    wire_put_map(&w, 0);
    assert_int_equal(wire_out_end(&w), RC_NOMEM);
    mem_fail_after(-1);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_whole_value),
        cmocka_unit_test(refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(nodes_are_bounded),
        cmocka_unit_test(keys_are_bounded),
        cmocka_unit_test(members),
        cmocka_unit_test(nil_is_absent_and_roots_are_maps),
        cmocka_unit_test(damage),
        cmocka_unit_test(failures_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
