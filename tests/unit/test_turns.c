/* controller/run/turns: how many hosts the agent may have in front of it, and who is next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/turns.h"

enum { COUNT = 200 };

static void test_in_order(void **state)
{
    (void)state;
    struct turns *t;
    uint32_t next;
    assert_int_equal(turns_new(&t, COUNT, NULL), RC_OK);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(turns_take(t, i), i < TURNS_AT_FIRST);
    assert_true(turns_are_awaited(t));
    assert_true(turns_take(t, 3)); /* it has one already */
    assert_false(turns_take(t, TURNS_AT_FIRST));
    assert_false(turns_next(t, &next));
    turns_give(t, 3);
    turns_give(t, TURNS_AT_FIRST); /* it waited, and goes */
    assert_true(turns_next(t, &next));
    assert_int_equal(next, TURNS_AT_FIRST + 1);
    assert_false(turns_next(t, &next));
    assert_true(turns_take(t, next));
    turns_give(t, 3); /* neither has nor waits */
    assert_false(turns_next(t, &next));
    turns_give(t, 4);
    assert_false(turns_take(t, 3)); /* behind those that wait, though one is free */
    assert_true(turns_next(t, &next));
    assert_int_equal(next, TURNS_AT_FIRST + 2);
    turns_give(t, COUNT - 1); /* out of the middle of the line */
    turns_give(t, COUNT - 2);
    turns_pace(t, 1);
    uint32_t seen = 0;
    while (turns_next(t, &next))
        seen++;
    assert_int_equal(next, 3); /* the last that came */
    assert_false(turns_are_awaited(t));
    assert_int_equal(seen, COUNT - 2 - (TURNS_AT_FIRST + 3) + 1);
    turns_free(t);
}

static void test_pace(void **state)
{
    (void)state;
    struct turns *t;
    assert_int_equal(turns_new(&t, COUNT, NULL), RC_OK);
    static const struct {
        uint64_t us;
        uint32_t limit;
    } rows[] = {{0, TURNS_AT_FIRST},
                {1000, 30000},
                {20000, 1500},
                {3000000, 10},
                {60000000, TURNS_LEAST},
                {1, 30000000},
                {UINT64_MAX, TURNS_LEAST}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        turns_pace(t, rows[i].us);
        assert_int_equal(turns_limit(t), rows[i].limit);
    }
    /* Fewer turns than are taken: nobody new until enough came back. */
    uint32_t next;
    turns_pace(t, 1000);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(turns_take(t, i));
    turns_pace(t, 60000000);
    assert_false(turns_take(t, 20));
    for (uint32_t i = 0; i < 16; i++) {
        turns_give(t, i);
        assert_false(turns_next(t, &next));
    }
    turns_give(t, 16);
    assert_true(turns_next(t, &next));
    assert_int_equal(next, 20);
    turns_free(t);
    turns_free(NULL);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct turns *t;
    size_t live = mem_live();
    mem_fail_after(0);
    assert_int_equal(turns_new(&t, COUNT, NULL), RC_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
