/* controller/run/gate: places at a server, in order, given back in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/gate.h"

static bool acquire(struct gate *g, const char *key, uint32_t target)
{
    bool granted = false;
    assert_int_equal(gate_acquire(g, key, strlen(key), target, &granted, NULL), RC_OK);
    return granted;
}

static void waiters_are_served_in_order(void **state)
{
    (void)state;
    struct gate *g;
    uint32_t next = 99;
    size_t live = mem_live();
    assert_int_equal(gate_new(&g, 2, NULL), RC_OK);
    assert_true(acquire(g, "a", 1));
    assert_true(acquire(g, "a", 2));
    assert_false(acquire(g, "a", 3));
    assert_false(acquire(g, "a", 4));
    assert_true(acquire(g, "b", 5)); /* another server */
    assert_true(gate_is_awaited(g, 2));
    assert_false(gate_is_awaited(g, 3)); /* it waits itself */
    assert_true(gate_release(g, 2, &next));
    assert_int_equal(next, 3);
    assert_true(gate_release(g, 1, &next));
    assert_int_equal(next, 4);
    assert_false(gate_is_awaited(g, 3));
    assert_false(gate_release(g, 3, &next));
    assert_false(gate_release(g, 3, &next)); /* twice: nothing */
    assert_true(acquire(g, "a", 6));
    assert_false(acquire(g, "a", 7)); /* 4 and 6 have the places */
    gate_free(g);                     /* with places taken and a waiter */
    assert_int_equal(mem_live(), live);
}

static void a_waiter_may_leave(void **state)
{
    (void)state;
    struct gate *g;
    uint32_t next = 99;
    assert_int_equal(gate_new(&g, 1, NULL), RC_OK);
    assert_true(acquire(g, "a", 1));
    assert_false(acquire(g, "a", 2));
    assert_false(acquire(g, "a", 3));
    assert_false(acquire(g, "a", 4));
    assert_false(gate_release(g, 3, &next)); /* from the middle, */
    assert_false(gate_release(g, 2, &next)); /* the front, */
    assert_false(acquire(g, "a", 5));
    assert_false(gate_release(g, 5, &next)); /* and the back */
    assert_true(gate_release(g, 1, &next));
    assert_int_equal(next, 4);
    assert_false(gate_release(g, 4, &next));
    assert_true(acquire(g, "a", 1));
    gate_free(g);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct gate *g;
    bool granted;
    assert_int_equal(gate_new(&g, 1, NULL), RC_OK);
    assert_int_equal(gate_acquire(g, "a\0b", 3, 0, &granted, NULL), RC_OK);
    assert_true(granted);
    assert_int_equal(gate_acquire(g, "a\0c", 3, 1, &granted, NULL), RC_OK);
    assert_true(granted);
    assert_int_equal(gate_acquire(g, "a\0b", 3, 2, &granted, NULL), RC_OK);
    assert_false(granted);
    gate_free(g);
    gate_free(NULL);
}

/* Never more than the limit at a server, nobody is forgotten. */
static void many(void **state)
{
    (void)state;
    enum { TARGETS = 5000, SERVERS = 7 };
    static const char *const keys[SERVERS] = {"a", "b", "c", "d", "e", "f", "g"};
    struct gate *g;
    uint32_t held[SERVERS] = {0}, served = 0, queue[TARGETS], head = 0, tail = 0;
    size_t live = mem_live();
    assert_int_equal(gate_new(&g, GATE_PER_SERVER, NULL), RC_OK);
    for (uint32_t t = 0; t < TARGETS; t++)
        if (acquire(g, keys[t % SERVERS], t)) {
            held[t % SERVERS]++;
            queue[tail++] = t;
        }
    for (int s = 0; s < SERVERS; s++)
        assert_int_equal(held[s], GATE_PER_SERVER);
    while (head < tail) {
        uint32_t t = queue[head++], next;
        served++;
        held[t % SERVERS]--;
        if (gate_release(g, t, &next)) {
            assert_int_equal(next % SERVERS, t % SERVERS);
            assert_true(++held[next % SERVERS] <= GATE_PER_SERVER);
            queue[tail++] = next;
        }
    }
    assert_int_equal(served, TARGETS);
    gate_free(g);
    assert_int_equal(mem_live(), live);
}

static void no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (long n = 0;; n++) {
        struct gate *g = NULL;
        bool granted = false;
        mem_fail_after(n);
        enum rc rc = gate_new(&g, 1, NULL);
        if (rc == RC_OK)
            rc = gate_acquire(g, "a", 1, 1, &granted, NULL);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (fired && g != NULL)
            assert_true(acquire(g, "a", 1)); /* the failure took nothing */
        gate_free(g);
        assert_int_equal(mem_live(), live);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_are_served_in_order),
        cmocka_unit_test(a_waiter_may_leave),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(many),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
