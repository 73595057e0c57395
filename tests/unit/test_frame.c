/* proto/frame: the envelope, whole, cut and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "proto/frame.h"

static void round_trip(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(frame_append(&b, 7, 0x0123456789abcdef, "hello", 5), RC_OK);
    assert_int_equal(frame_append(&b, 255, UINT64_MAX, NULL, 0), RC_OK);
    static const uint8_t wire[] = {0,    0,    0,    5,    7,    0,   0x6d, 0x75, 1,   0x23, 0x45,
                                   0x67, 0x89, 0xab, 0xcd, 0xef, 'h', 'e',  'l',  'l', 'o'};
    assert_memory_equal(b.data, wire, sizeof wire);
    struct frame f;
    assert_int_equal(frame_parse(b.data, b.len, &f), 21);
    assert_int_equal(f.type, 7);
    assert_true(f.id == 0x0123456789abcdef);
    assert_int_equal(f.length, 5);
    assert_memory_equal(f.payload, "hello", 5);
    assert_int_equal(frame_parse(b.data + 21, b.len - 21, &f), 16);
    assert_int_equal(f.type, 255);
    assert_true(f.id == UINT64_MAX);
    assert_int_equal(f.length, 0);
    buf_fini(&b);
}

static void every_truncation_wants_more(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(frame_append(&b, 1, 2, "0123456789", 10), RC_OK);
    struct frame f;
    for (size_t n = 0; n < b.len; n++) {
        /* An exact copy, so that a read past its end is seen by the sanitizer. */
        uint8_t *cut = mem_memdup(b.data, n);
        assert_int_equal(frame_parse(cut, n, &f), 0);
        mem_free(cut);
    }
    buf_fini(&b);
}

static void bad_headers_are_known_early(void **state)
{
    (void)state;
    struct frame f;
    uint8_t h[FRAME_HEADER] = {0, 0, 0, 0, 1, 0, 0x6d, 0x75};
    assert_int_equal(frame_parse(h, sizeof h, &f), 16);
    h[5] = 1;
    assert_int_equal(frame_parse(h, sizeof h, &f), -1);
    h[5] = 0;
    h[6] = 0x6c;
    assert_int_equal(frame_parse(h, sizeof h, &f), -1);
    h[6] = 0x6d;
    h[1] = 0x10; /* exactly FRAME_MAX */
    assert_int_equal(frame_parse(h, sizeof h, &f), 0);
    h[3] = 1;
    assert_int_equal(frame_parse(h, sizeof h, &f), -1);
    h[0] = 0xff;
    assert_int_equal(frame_parse(h, sizeof h, &f), -1);
}

static void built_in_place(void **state)
{
    (void)state;
    struct buf b;
    struct frame f;
    size_t mark = 99;
    buf_init(&b, 64);
    assert_int_equal(frame_append(&b, 1, 1, "abc", 3), RC_OK);
    assert_int_equal(frame_begin(&b, 9, 5, &mark), RC_OK);
    assert_int_equal(mark, 19);
    assert_int_equal(buf_puts(&b, "xy"), RC_OK);
    assert_int_equal(frame_end(&b, mark), RC_OK);
    assert_int_equal(buf_puts(&b, "z"), RC_OK);
    assert_int_equal(frame_end(&b, mark), RC_OK); /* the frame has grown */
    assert_int_equal(frame_parse(b.data + mark, b.len - mark, &f), 19);
    assert_memory_equal(f.payload, "xyz", 3);
    frame_drop(&b, mark);
    assert_int_equal(b.len, 19);
    assert_int_equal(frame_append(&b, 1, 1, "0123456789012345678901234567890", 31), RC_LIMIT);
    assert_int_equal(b.len, 19);
    buf_fini(&b);
}

static void too_large_is_taken_back(void **state)
{
    (void)state;
    struct buf b;
    size_t mark;
    static uint8_t bytes[FRAME_MAX + 1];
    buf_init(&b, 4 * FRAME_MAX);
    assert_int_equal(frame_append(&b, 1, 1, bytes, FRAME_MAX + 1), RC_LIMIT);
    assert_int_equal(frame_append(&b, 1, 1, bytes, FRAME_MAX), RC_OK);
    size_t before = b.len;
    assert_int_equal(frame_begin(&b, 1, 1, &mark), RC_OK);
    assert_int_equal(buf_append(&b, bytes, FRAME_MAX + 1), RC_OK);
    assert_int_equal(frame_end(&b, mark), RC_LIMIT);
    assert_int_equal(b.len, before);
    buf_fini(&b);
}

static void no_memory_leaves_nothing(void **state)
{
    (void)state;
    struct buf b;
    size_t live = mem_live(), mark;
    buf_init(&b, 4096);
    mem_fail_after(0);
    assert_int_equal(frame_append(&b, 1, 1, "abc", 3), RC_NOMEM);
    mem_fail_after(0);
    assert_int_equal(frame_begin(&b, 1, 1, &mark), RC_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(b.len, 0);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_truncation_wants_more),
        cmocka_unit_test(bad_headers_are_known_early),
        cmocka_unit_test(built_in_place),
        cmocka_unit_test(too_large_is_taken_back),
        cmocka_unit_test(no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
