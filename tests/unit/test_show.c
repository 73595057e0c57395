/* proto/show: captures as text, whole, cut, damaged; nothing of a secret, nothing for a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "proto/agent.h"
#include "proto/show.h"
#include "proto/wire.h"

static void shows(const void *p, size_t n, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    uint8_t *exact = mem_memdup(p, n); /* a read past its end is then seen */
    assert_int_equal(show_stream(&out, exact, n), RC_OK);
    mem_free(exact);
    assert_non_null(buf_cstr(&out));
    if (strcmp(buf_cstr(&out), want) != 0)
        fail_msg("wanted\n%s\ngot\n%s", want, buf_cstr(&out));
    buf_fini(&out);
}

static void put(struct buf *b, uint8_t type, uint64_t id, const void *p, size_t n)
{
    assert_int_equal(frame_append(b, type, id, p, n), RC_OK);
}

static void put_map(struct buf *b)
{
    struct wire_out w;
    size_t mark;
    assert_int_equal(frame_begin(b, AGENT_REPLY, 9, &mark), RC_OK);
    wire_out_init(&w, b);
    wire_put_map(&w, 9);
    wire_put_str(&w, "s", "a\x1b[1m");
    wire_put_bin(&w, "b", "\xff\0", 2);
    wire_put_u64(&w, "u", UINT64_MAX);
    wire_put_i64(&w, "i", -5);
    wire_put_bool(&w, "t", true);
    wire_put_f64(&w, "f", 0.25);
    wire_add_key(&w, "n");
    wire_add_nil(&w);
    wire_add_key(&w, "l");
    wire_add_array(&w, 2);
    wire_add_u64(&w, 1);
    wire_add_map(&w, 0);
    wire_add_key(&w, "m");
    wire_add_map(&w, 1);
    wire_put_u64(&w, "x", 1);
    assert_int_equal(frame_end(b, mark), RC_OK);
}

static void an_agents_side(void **state)
{
    (void)state;
    struct buf b;
    const uint8_t nonce[AGENT_NONCE_LEN] = {0xab};
    buf_init(&b, 65536);
    assert_int_equal(buf_puts(&b, "hi\n"), RC_OK);
    assert_int_equal(buf_append(&b, agent_magic, AGENT_MAGIC_LEN), RC_OK);
    assert_int_equal(buf_append(&b, nonce, sizeof nonce), RC_OK);
    put_map(&b);
    assert_int_equal(agent_put_part(&b, AGENT_DATA, 4, 2, "x\n", 2), RC_OK);
    assert_int_equal(agent_put_count(&b, AGENT_TAKEN, 4, 70000), RC_OK);
    put(&b, 200, 1, "?", 1);
    shows(b.data, b.len,
          "       0  noise          3 bytes  \"hi\\x0a\"\n"
          "       3  an agent, nonce ab000000000000000000000000000000\n"
          "      35  REPLY          9  {s: \"a\\x1b[1m\", b: b\"\\xff\\x00\", "
          "u: 18446744073709551615, i: -5, t: true, f: 0.25, n: nil, l: [1, {}], m: {x: 1}}\n"
          "     108  DATA           4  2 \"x\\x0a\"\n"
          "     127  TAKEN          4  70000\n"
          "     147  type 200       1  raw \"?\"\n");
    buf_fini(&b);
}

static void a_controllers_side(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    put(&b, AGENT_WELCOME, 0, "\x81\xa7version\x01", 10);
    put(&b, AGENT_PING, 7, NULL, 0);
    put(&b, AGENT_INPUT, 1, NULL, 0);
    put(&b, AGENT_CREDIT, 1, "ab", 2);
    put(&b, AGENT_REQUEST, 2, "\xc1", 1);
    put(&b, AGENT_BYE, 0, "x", 1);
    shows(b.data, b.len,
          "       0  WELCOME        0  {version: 1}\n"
          "      26  PING           7\n"
          "      42  INPUT          1\n"
          "      58  CREDIT         1  raw \"ab\"\n"
          "      76  REQUEST        2  (msgpack: a type that is not allowed at byte 1) raw "
          "\"\\xc1\"\n"
          "      93  BYE            0  raw \"x\"\n");
    buf_fini(&b);
}

static void secrets_are_not_shown(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    put(&b, 1, 0, "\x81\xa4text\xc4\x03key", 11);
    put(&b, 13, 5, "hunter2", 7);
    shows(b.data, b.len,
          "       0  KEY            0  (not shown)\n"
          "      27  SECRET         5  (not shown)\n");
    buf_fini(&b);
}

static void what_is_cut_or_no_frame(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    put(&b, AGENT_PING, 1, NULL, 0);
    put(&b, AGENT_PING, 2, NULL, 0);
    shows(b.data, 20,
          "       0  PING           1\n"
          "      16  (the first 4 bytes of a frame that is cut)\n");
    b.data[16 + 6] = 0;
    shows(b.data, b.len,
          "       0  PING           1\n"
          "      16  (no frame, 16 bytes left)  "
          "\"\\x00\\x00\\x00\\x00%\\x00\\x00u\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\"\n");
    shows("", 0, "");
    buf_fini(&b);
}

static void long_things_are_cut(void **state)
{
    (void)state;
    static const char text[1000] = {'x'};
    struct buf b, out;
    struct wire_out w;
    size_t mark;
    buf_init(&b, 1 << 20);
    buf_init(&out, 1 << 20);
    assert_int_equal(frame_begin(&b, AGENT_REPLY, 1, &mark), RC_OK);
    wire_out_init(&w, &b);
    wire_put_map(&w, 2);
    wire_put_strn(&w, "s", text, sizeof text);
    wire_add_key(&w, "l");
    wire_add_array(&w, 5000);
    for (int i = 0; i < 5000; i++)
        wire_add_u64(&w, 3);
    assert_int_equal(frame_end(&b, mark), RC_OK);
    assert_int_equal(show_stream(&out, b.data, b.len), RC_OK);
    assert_in_range(out.len, 100, 1000);
    assert_non_null(strstr(buf_cstr(&out), "… 1000 bytes"));
    assert_non_null(strstr(buf_cstr(&out), "… 5000 items"));
    buf_fini(&out);
    buf_fini(&b);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    put_map(&b);
    for (long after = 0;; after++) {
        struct buf out;
        buf_init(&out, 65536);
        mem_fail_after(after);
        enum rc rc = show_stream(&out, b.data, b.len);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        buf_fini(&out);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (!fired)
            break;
    }
    for (size_t max = 0; max < 60; max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(show_stream(&out, b.data, b.len), RC_LIMIT);
        buf_fini(&out);
    }
    buf_fini(&b);
}

static void types_have_names(void **state)
{
    (void)state;
    assert_string_equal(show_type(AGENT_HELLO), "HELLO");
    assert_string_equal(show_type(3), "START");
    assert_null(show_type(0));
    assert_null(show_type(255));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agents_side),        cmocka_unit_test(a_controllers_side),
        cmocka_unit_test(secrets_are_not_shown), cmocka_unit_test(what_is_cut_or_no_frame),
        cmocka_unit_test(long_things_are_cut),   cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
