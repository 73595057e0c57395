/* The scheduler: groups that cannot be reached, which is what hosts behind a dead bastion are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "controller/run/sched.h"
#include "tests/unit/sched_fixture.h"

static void group_dead(struct hand *h, uint64_t now, uint32_t group, const char *want)
{
    struct sched_event ev = {.type = SCHED_EV_GROUP_DEAD, .group = group};
    assert_int_equal(sched_step(h->s, now, &ev, &h->acts), RC_OK);
    describe(h);
    assert_string_equal(h->text, want);
}

static void a_dead_group_is_skipped(void **state)
{
    (void)state;
    static const uint32_t groups[] = {7, 0, 7, 0, 7, 0, 7};
    struct hand h;
    struct sched_counts c;
    struct sched_opts o = defaults();
    o.fanout = 2;
    o.groups = groups;
    open_hand(&h, &o, 7);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1");
    group_dead(&h, 1, 9, "");
    group_dead(&h, 1, 7, "final 2 jump-dead, final 4 jump-dead, final 6 jump-dead");
    group_dead(&h, 1, 7, ""); /* told twice, done once */
    sched_counts(h.s, &c);
    assert_int_equal(c.waiting, 2);
    assert_int_equal(c.final_, 3);
    assert_int_equal(c.failed, 3);
    end(&h, 2, 0, PROBLEM_JUMP_UNREACHABLE, "final 0, start 3#1"); /* under way: as it ended */
    end(&h, 3, 1, PROBLEM_NONE, "final 1, start 5#1");
    end(&h, 4, 3, PROBLEM_NONE, "final 3");
    end(&h, 5, 5, PROBLEM_NONE, "final 5, done");
    sched_free(h.s);
}

static void a_dead_group_in_waves(void **state)
{
    (void)state;
    static const uint32_t groups[] = {0, 1, 1, 1, 0, 1, 0};
    struct hand h;
    struct sched_opts o = defaults();
    o.groups = groups;
    o.wave_count = 1;
    o.waves[0].n = 2;
    open_hand(&h, &o, 7);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1");
    end(&h, 1, 1, PROBLEM_NONE, "final 1");
    /* The whole second wave and half of the third: the first is still under way. */
    group_dead(&h, 2, 1, "final 2 jump-dead, final 3 jump-dead, final 5 jump-dead");
    end(&h, 3, 0, PROBLEM_NONE, "final 0, start 4#1");
    end(&h, 4, 4, PROBLEM_NONE, "final 4, start 6#1");
    end(&h, 5, 6, PROBLEM_NONE, "final 6, done");
    sched_free(h.s);
}

static void a_dead_group_and_a_stop(void **state)
{
    (void)state;
    static const uint32_t groups[] = {0, 0, 1, 0, 1};
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 1;
    o.groups = groups;
    open_hand(&h, &o, 5);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    group_dead(&h, 1, 1, "final 2 jump-dead, final 4 jump-dead");
    step(&h, 2, SCHED_EV_CANCEL,
         "stopped run-cancelled, final 1 run-cancelled, final 3 run-cancelled, cancel 0 cancelled");
    end(&h, 3, 0, PROBLEM_CANCELLED, "final 0, done");
    sched_free(h.s);

    o.max_fail_set = true; /* they could not be reached: that counts */
    o.max_fail = 1;
    open_hand(&h, &o, 5);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    group_dead(&h, 1, 1,
               "final 2 jump-dead, final 4 jump-dead, stopped budget, final 1 budget, "
               "final 3 budget");
    end(&h, 2, 0, PROBLEM_NONE, "final 0, done");
    sched_free(h.s);
}

/* What a bastion did to its hosts says nothing of the others. */
static void the_breaker_passes_over_bastions(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 1;
    o.breaker = 2;
    open_hand(&h, &o, 6);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_JUMP_UNREACHABLE, "final 0, start 1#1");
    end(&h, 2, 1, PROBLEM_JUMP_UNREACHABLE, "final 1, start 2#1");
    end(&h, 3, 2, PROBLEM_AUTH_DENIED, "final 2, start 3#1");
    end(&h, 4, 3, PROBLEM_JUMP_UNREACHABLE, "final 3, start 4#1");
    end(&h, 5, 4, PROBLEM_AUTH_DENIED, "final 4, stopped breaker, final 5 breaker, done");
    sched_free(h.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_group_is_skipped),
        cmocka_unit_test(a_dead_group_in_waves),
        cmocka_unit_test(a_dead_group_and_a_stop),
        cmocka_unit_test(the_breaker_passes_over_bastions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
