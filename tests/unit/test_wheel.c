/* The deadline wheel, with a clock of the test's own and with the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "controller/ssh/wheel.h"

static uint64_t now_us;

static uint64_t test_clock(void *user)
{
    (void)user;
    return now_us;
}

struct item {
    struct wheel_timer timer; /* first: the fire function casts */
    uint64_t fired_ms;
    int count;
    struct wheel *wheel;
    struct item *disarms, *arms;
};

static void fire(struct wheel_timer *t)
{
    struct item *i = (struct item *)t;
    i->count++;
    i->fired_ms = clock_ms();
    assert_true(i->fired_ms >= t->due_ms);
    if (i->disarms != NULL)
        wheel_disarm(i->wheel, &i->disarms->timer);
    if (i->arms != NULL)
        wheel_arm(i->wheel, &i->arms->timer, clock_ms());
}

static void closed(struct wheel *w)
{
    w->timer.data = NULL;
}

struct bench {
    uv_loop_t loop;
    struct wheel wheel;
};

static void bench_init(struct bench *b, uint64_t start_us)
{
    now_us = start_us;
    if (start_us != 0)
        clock_set_test(test_clock, NULL);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(wheel_init(&b->wheel, &b->loop, NULL), RC_OK);
}

static void bench_fini(struct bench *b)
{
    assert_int_equal(b->wheel.armed, 0);
    wheel_close(&b->wheel, closed);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_null(b->wheel.timer.data);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    clock_set_test(NULL, NULL);
}

static void turn_at(struct bench *b, uint64_t ms)
{
    now_us = ms * 1000;
    wheel_turn(&b->wheel);
}

static struct item item_for(struct bench *b)
{
    return (struct item){.timer.fire = fire, .wheel = &b->wheel};
}

static void test_never_early_soon_after(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1000 * 1000);
    for (uint64_t delay = 0; delay < 20000; delay += 37) {
        struct item i = item_for(&b);
        uint64_t start = clock_ms();
        wheel_arm(&b.wheel, &i.timer, start + delay);
        for (uint64_t t = 0; t < delay; t += 501) {
            turn_at(&b, start + t);
            assert_int_equal(i.count, 0);
        }
        turn_at(&b, start + delay + 2 * WHEEL_TICK_MS);
        assert_int_equal(i.count, 1);
        assert_null(i.timer.next);
    }
    bench_fini(&b);
}

/* Two whole turns away, met by others' turns, and still on time. */
static void test_beyond_one_turn(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 5000 * 1000);
    struct item far = item_for(&b), near = item_for(&b);
    uint64_t due = 5000 + (uint64_t)WHEEL_SLOTS * WHEEL_TICK_MS * 2 + 160;
    wheel_arm(&b.wheel, &far.timer, due);
    for (uint64_t t = 5000; t < due; t += 100) {
        if (near.timer.next == NULL)
            wheel_arm(&b.wheel, &near.timer, t + 50);
        turn_at(&b, t);
        assert_int_equal(far.count, 0);
    }
    turn_at(&b, due + WHEEL_TICK_MS);
    assert_int_equal(far.count, 1);
    assert_true(near.count > 60);
    wheel_disarm(&b.wheel, &near.timer);
    bench_fini(&b);
}

/* The process was stopped for a minute: all that is due fires, once, and nothing else. */
static void test_after_a_long_sleep(void **state)
{
    (void)state;
    enum { N = 300 };
    static struct item items[N];
    struct bench b;
    bench_init(&b, 1000 * 1000);
    for (uint64_t i = 0; i < N; i++) {
        items[i] = item_for(&b);
        wheel_arm(&b.wheel, &items[i].timer, 1000 + i * 400);
    }
    turn_at(&b, 61000);
    for (uint64_t i = 0; i < N; i++)
        assert_int_equal(items[i].count, 1000 + i * 400 <= 60900 ? 1 : items[i].count);
    for (uint64_t i = 0; i < N; i++)
        if (1000 + i * 400 > 61000)
            assert_int_equal(items[i].count, 0);
    turn_at(&b, 1000 + N * 400 + 100);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(items[i].count, 1);
    bench_fini(&b);
}

static void test_fire_may_arm_and_disarm(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 1000 * 1000);
    struct item first = item_for(&b), victim = item_for(&b), again = item_for(&b);
    first.disarms = &victim; /* same slot, still to come in this turn */
    first.arms = &again;
    wheel_arm(&b.wheel, &first.timer, 1100);
    wheel_arm(&b.wheel, &victim.timer, 1100);
    turn_at(&b, 1200);
    assert_int_equal(first.count, 1);
    assert_int_equal(victim.count, 0);
    turn_at(&b, 1300);
    assert_int_equal(again.count, 1);
    again.arms = &again; /* itself */
    wheel_arm(&b.wheel, &again.timer, 1300);
    turn_at(&b, 1400);
    turn_at(&b, 1500);
    assert_int_equal(again.count, 3);
    wheel_disarm(&b.wheel, &again.timer);
    wheel_disarm(&b.wheel, &again.timer);
    wheel_arm(&b.wheel, &victim.timer, 1600);
    wheel_arm(&b.wheel, &victim.timer, 9000); /* moved */
    turn_at(&b, 2000);
    assert_int_equal(victim.count, 0);
    turn_at(&b, 9100);
    assert_int_equal(victim.count, 1);
    bench_fini(&b);
}

/* Against a model: random arms, moves and disarms; each fires in its tick. */
static void test_random(void **state)
{
    (void)state;
    enum { N = 64 };
    struct item items[N];
    uint64_t due[N];
    struct bench b;
    bench_init(&b, 1000 * 1000);
    uint64_t now = 1000;
    unsigned seed = 42;
    memset(due, 0, sizeof due);
    for (size_t i = 0; i < N; i++)
        items[i] = item_for(&b);
    for (int round = 0; round < 20000; round++) {
        size_t i = (size_t)rand_r(&seed) % N;
        if (rand_r(&seed) % 4 == 0) {
            wheel_disarm(&b.wheel, &items[i].timer);
            due[i] = 0;
        } else {
            due[i] = now + (uint64_t)(rand_r(&seed) % (rand_r(&seed) % 2 ? 100 : 30000));
            wheel_arm(&b.wheel, &items[i].timer, due[i]);
        }
        now += (uint64_t)(rand_r(&seed) % 20);
        turn_at(&b, now);
        for (size_t k = 0; k < N; k++) {
            bool armed = items[k].timer.next != NULL;
            if (due[k] == 0 || due[k] > now)
                assert_int_equal(armed, due[k] != 0);
            else if (now - due[k] > 2 * WHEEL_TICK_MS)
                assert_false(armed);
            if (!armed)
                due[k] = 0;
        }
    }
    for (size_t i = 0; i < N; i++)
        wheel_disarm(&b.wheel, &items[i].timer);
    bench_fini(&b);
}

/* The uv timer turns it by itself, and lets the loop end when nothing is armed. */
static void test_on_a_loop(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0);
    struct item a = item_for(&b), c = item_for(&b), never = item_for(&b);
    uint64_t start = clock_ms();
    wheel_arm(&b.wheel, &never.timer, start + 3600 * 1000);
    wheel_arm(&b.wheel, &a.timer, start + 120);
    wheel_arm(&b.wheel, &c.timer, start + 40);
    while (a.count == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    assert_int_equal(c.count, 1);
    assert_true(a.fired_ms >= c.fired_ms);
    wheel_disarm(&b.wheel, &never.timer);
    assert_int_equal(uv_run(&b.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(never.count, 0);
    bench_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_early_soon_after),
        cmocka_unit_test(test_beyond_one_turn),
        cmocka_unit_test(test_after_a_long_sleep),
        cmocka_unit_test(test_fire_may_arm_and_disarm),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_on_a_loop),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
