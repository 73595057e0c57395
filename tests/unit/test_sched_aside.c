/* The scheduler: targets that nothing is heard of, and the queues that it keeps (the random runs of
 * test_sched.c know them too). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/queues.h"
#include "controller/run/sched.h"
#include "tests/unit/sched_fixture.h"

static void who_is_silent_holds_no_place(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 2;
    o.aside = 2;
    open_hand(&h, &o, 8);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1");
    step_of(&h, 250, SCHED_EV_SILENT, 0, "start 2#1");
    step_of(&h, 250, SCHED_EV_SILENT, 0, ""); /* twice is once */
    step_of(&h, 260, SCHED_EV_SILENT, 1, "start 3#1");
    step_of(&h, 300, SCHED_EV_SILENT, 2, ""); /* two are aside: this one keeps its place */
    step_of(&h, 301, SCHED_EV_ANSWERED, 2, "go 2");
    step_of(&h, 302, SCHED_EV_ANSWERED, 1, ""); /* both places are taken */
    step_of(&h, 303, SCHED_EV_ANSWERED, 0, "");
    end(&h, 304, 3, PROBLEM_NONE, "final 3, go 1"); /* in their order, and before new ones */
    step_of(&h, 305, SCHED_EV_SENT, 1, "");
    end(&h, 306, 2, PROBLEM_NONE, "final 2, go 0");
    step_of(&h, 307, SCHED_EV_SILENT, 0, ""); /* its next address: it keeps what it waited for */
    step_of(&h, 308, SCHED_EV_ANSWERED, 0, "go 0");
    end(&h, 309, 0, PROBLEM_NONE, "final 0, start 4#1");
    step_of(&h, 310, SCHED_EV_SILENT, 4, "start 5#1");
    end(&h, 311, 4, PROBLEM_CONNECT_TIMEOUT, "final 4"); /* it held none to give back */
    end(&h, 312, 5, PROBLEM_NONE, "final 5, start 6#1");
    end(&h, 313, 1, PROBLEM_NONE, "final 1, start 7#1");
    end(&h, 314, 6, PROBLEM_NONE, "final 6");
    end(&h, 315, 7, PROBLEM_NONE, "final 7, done");
    sched_free(h.s);
}

static void the_silent_meet_a_stop(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 1;
    o.aside = 1;
    o.retries = 0;
    open_hand(&h, &o, 3);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    step_of(&h, 250, SCHED_EV_SILENT, 0, "start 1#1");
    step_of(&h, 260, SCHED_EV_ANSWERED, 0, "");
    step(&h, 261, SCHED_EV_PAUSE, "");
    end(&h, 262, 1, PROBLEM_NONE, "final 1"); /* a pause holds it up too */
    step(&h, 263, SCHED_EV_RESUME, "go 0");
    end(&h, 264, 0, PROBLEM_CONNECT_REFUSED, "final 0, start 2#1");
    step_of(&h, 265, SCHED_EV_SILENT, 2, "");
    step_of(&h, 266, SCHED_EV_ANSWERED, 2, "go 2");
    end(&h, 267, 2, PROBLEM_NONE, "final 2, done");
    sched_free(h.s);

    open_hand(&h, &o, 3);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    step_of(&h, 250, SCHED_EV_SILENT, 0, "start 1#1");
    step_of(&h, 260, SCHED_EV_ANSWERED, 0, "");
    step(&h, 261, SCHED_EV_CANCEL,
         "stopped run-cancelled, final 2 run-cancelled, cancel 0 cancelled, "
         "cancel 1 cancelled");
    end(&h, 262, 0, PROBLEM_CANCELLED, "final 0"); /* out of the line */
    end(&h, 263, 1, PROBLEM_CANCELLED, "final 1, done");
    sched_free(h.s);

    o.max_fail_set = true; /* nothing new starts, but who is under way goes on */
    open_hand(&h, &o, 3);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    step_of(&h, 250, SCHED_EV_SILENT, 0, "start 1#1");
    step_of(&h, 260, SCHED_EV_ANSWERED, 0, "");
    end(&h, 261, 1, PROBLEM_EXIT_NONZERO, "final 1, stopped budget, final 2 budget, go 0");
    end(&h, 262, 0, PROBLEM_NONE, "final 0, done");
    sched_free(h.s);
}

/* Against a plain array. */
static void a_ring_keeps_its_order(void **state)
{
    (void)state;
    enum { ROOM = 7 };
    uint32_t plain[ROOM], n = 0, random = 1;
    struct ring r;
    assert_int_equal(ring_init(&r, ROOM), RC_OK);
    for (uint32_t i = 0; i < 10000; i++) {
        random = random * 1103515245 + 12345;
        uint32_t what = (random >> 16) % 3, at = n > 0 ? (random >> 20) % n : 0;
        if (what == 0 && n < ROOM) {
            ring_push(&r, i);
            plain[n++] = i;
        } else if (n > 0) {
            if (what == 2)
                ring_remove(&r, plain[at]);
            else
                assert_int_equal(ring_pop(&r), plain[at = 0]);
            for (n--; at < n; at++)
                plain[at] = plain[at + 1];
        }
        assert_int_equal(r.count, n);
    }
    ring_fini(&r);
}

static void a_heap_gives_the_first(void **state)
{
    (void)state;
    enum { ROOM = 500 };
    struct due_heap h;
    uint32_t random = 1;
    assert_int_equal(due_heap_init(&h, ROOM), RC_OK);
    for (uint32_t i = 0; i < ROOM; i++) {
        random = random * 1103515245 + 12345;
        due_heap_push(&h, random >> 28, i);
    }
    struct due last = {0, 0};
    for (uint32_t i = 0; i < ROOM; i++) {
        struct due first = h.items[0];
        assert_int_equal(due_heap_pop(&h), first.target);
        assert_true(i == 0 || first.at > last.at ||
                    (first.at == last.at && first.target > last.target));
        last = first;
    }
    assert_int_equal(h.count, 0);
    due_heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_silent_holds_no_place),
        cmocka_unit_test(the_silent_meet_a_stop),
        cmocka_unit_test(a_ring_keeps_its_order),
        cmocka_unit_test(a_heap_gives_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
