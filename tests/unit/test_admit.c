/* controller/worker/admit and line: when handshakes begin. The policy on a worker that is a few
 * lines of arithmetic, with a clock that is a number; the line on a real loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "controller/worker/admit.h"
#include "controller/worker/line.h"

static void the_least_begin_always(void **state)
{
    (void)state;
    struct admit a = {.lag_us = UINT64_MAX, .room = 10000};
    assert_int_equal(admit_more(&a, 1), ADMIT_LEAST);
    a.handshakes = a.taken = 60;
    assert_int_equal(admit_more(&a, 1), ADMIT_LEAST - 60);
    a.handshakes = a.taken = ADMIT_LEAST;
    assert_int_equal(admit_more(&a, 1), 0);
    a.lag_us = ADMIT_LAG_US;
    assert_int_equal(admit_more(&a, 1), ADMIT_STEP);
    a.lag_us++;
    assert_int_equal(admit_more(&a, 1), 0);
}

static void descriptors_bound_it(void **state)
{
    (void)state;
    struct admit a = {.room = 100, .taken = 97};
    assert_int_equal(admit_more(&a, 1), 3);
    assert_int_equal(admit_more(&a, 2), 1);
    assert_int_equal(admit_more(&a, 4), 0);
    a.taken = 200;
    assert_int_equal(admit_more(&a, 1), 0);
    /* Alone it may try, or it would wait for ever. */
    a = (struct admit){.room = 1};
    assert_int_equal(admit_more(&a, 2), 1);
    a = (struct admit){.room = 0};
    assert_int_equal(admit_more(&a, 1), 1);
}

/* A worker: each handshake wakes `steps` times, `apart_us` after it was last served, and costs
 * `cost_us` each time. Returns how long it all took; *peak: the most under way; *late: the longest
 * that one which was ready had to wait for its turn. */
static uint64_t play(uint32_t hosts, uint32_t steps, uint64_t apart_us, uint64_t cost_us,
                     uint32_t *peak, uint64_t *late)
{
    struct item {
        uint64_t due;
        uint32_t left;
    } *items = calloc(hosts, sizeof *items);
    struct admit a = {.room = 65000};
    uint32_t begun = 0, ended = 0;
    uint64_t now = 0;
    *peak = 0;
    *late = 0;
    while (ended < hosts) {
        uint64_t start = now, next = UINT64_MAX;
        uint32_t more = admit_more(&a, 1);
        for (uint32_t i = 0; i < more && begun < hosts; i++, begun++, a.handshakes++, a.taken++) {
            now += 30; /* to connect */
            items[begun] = (struct item){.due = now + apart_us, .left = steps};
        }
        *peak = a.handshakes > *peak ? a.handshakes : *peak;
        for (uint32_t i = 0; i < begun; i++) {
            if (items[i].left == 0 || items[i].due > start)
                continue;
            *late = now - items[i].due > *late ? now - items[i].due : *late;
            now += cost_us;
            items[i].due = now + apart_us;
            if (--items[i].left > 0)
                continue;
            ended++;
            a.handshakes--;
            a.taken--;
        }
        for (uint32_t i = 0; i < begun; i++)
            if (items[i].left > 0 && items[i].due < next)
                next = items[i].due;
        a.lag_us = now - start;
        now += 5;
        if (begun == hosts && next > now && next != UINT64_MAX)
            now = next;
    }
    free(items);
    return now;
}

/* All of 2,000 far hosts are under way at once: no round trip is lost to the line. */
static void far_hosts_are_all_in_flight(void **state)
{
    (void)state;
    uint32_t peak;
    uint64_t late;
    uint64_t took = play(2000, 7, 200000, 100, &peak, &late);
    assert_int_equal(peak, 2000);
    assert_true(took < 9 * 200000 + 2000 * 7 * 100);
}

/* Near hosts cost CPU at once: they queue in the line and not in the loop, and nothing is lost. */
static void near_hosts_do_not_flood_the_loop(void **state)
{
    (void)state;
    uint32_t peak;
    uint64_t late;
    uint64_t took = play(10000, 7, 100, 100, &peak, &late);
    assert_true(peak < 1500);
    assert_true(late < 4 * (uint64_t)ADMIT_LAG_US);
    assert_true(took < (uint64_t)10000 * (7 * 100 + 30) * 11 / 10);
}

/* ---- the line ---- */

enum { ITEMS = 1000 };

struct test_item {
    struct line_item item;
    int number;
};

struct fixture {
    uv_loop_t loop;
    struct line line;
    struct test_item items[ITEMS];
    int next; /* that is to begin */
    int begun;
    int stop_at;
    bool closed;
};

static void on_begin(void *user, struct line_item *item)
{
    struct fixture *f = user;
    int number = ((struct test_item *)item)->number;
    assert_true(number >= f->next); /* in their order */
    f->next = number + 1;
    assert_int_equal(item->place, LINE_HANDSHAKE);
    if (++f->begun == f->stop_at)
        uv_stop(&f->loop);
}

static struct fixture *open_line(uint32_t room)
{
    struct fixture *f = calloc(1, sizeof *f);
    for (int i = 0; i < ITEMS; i++)
        f->items[i].number = i;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    line_init(&f->line, &f->loop, room, on_begin, f);
    return f;
}

static void on_line_closed(void *user)
{
    ((struct fixture *)user)->closed = true;
}

static void close_line(struct fixture *f)
{
    line_close(&f->line, on_line_closed);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
}

static int enter(struct fixture *f, int first, int end)
{
    int now = 0;
    for (int i = first; i < end; i++)
        now += line_enter(&f->line, &f->items[i].item, 1);
    return now;
}

static void leave(struct fixture *f, int first, int end)
{
    for (int i = first; i < end; i++)
        line_leave(&f->line, &f->items[i].item);
}

static void a_loop_at_rest_lets_all_begin(void **state)
{
    (void)state;
    struct fixture *f = open_line(ITEMS);
    assert_int_equal(enter(f, 0, ITEMS), ADMIT_LEAST);
    f->stop_at = ITEMS - ADMIT_LEAST;
    uv_run(&f->loop, UV_RUN_DEFAULT); /* the line itself keeps it turning */
    assert_int_equal(f->begun, f->stop_at);
    assert_false(uv_is_active((uv_handle_t *)&f->line.check));
    assert_false(uv_is_active((uv_handle_t *)&f->line.idle));
    assert_int_equal(f->line.admit.handshakes, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        line_logged_in(&f->line, &f->items[i].item);
    assert_int_equal(f->line.admit.handshakes, 0);
    assert_int_equal(f->line.admit.taken, ITEMS);
    leave(f, 0, ITEMS);
    assert_int_equal(f->line.admit.taken, 0);
    close_line(f);
}

static void burn(uv_idle_t *h)
{
    (void)h;
    uint64_t end = uv_hrtime() + (uint64_t)2 * ADMIT_LAG_US * 1000;
    while (uv_hrtime() < end)
        continue;
}

/* Work in the idle phase, where sessions are woken, counts as the loop's lag too. */
static void a_loop_that_lags_lets_the_least_begin(void **state)
{
    (void)state;
    struct fixture *f = open_line(ITEMS);
    uv_idle_t busy;
    uv_idle_init(&f->loop, &busy);
    uv_idle_start(&busy, burn);
    assert_int_equal(enter(f, 0, ITEMS), ADMIT_LEAST);
    uv_run(&f->loop, UV_RUN_NOWAIT); /* not measured yet */
    int first = f->begun;
    assert_int_equal(first, 0);
    for (int i = 0; i < 3; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->begun, first);
    leave(f, 0, ADMIT_LEAST + first); /* none under way: the least begin all the same */
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->begun, first + ADMIT_LEAST);
    uv_idle_stop(&busy); /* the lag is over */
    f->stop_at = ITEMS - ADMIT_LEAST;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    leave(f, 0, ITEMS);
    uv_close((uv_handle_t *)&busy, NULL);
    close_line(f);
}

/* A full line does not spin; who leaves lets the next one in. */
static void room_is_waited_for(void **state)
{
    (void)state;
    struct fixture *f = open_line(10);
    assert_int_equal(enter(f, 0, 30), 10);
    assert_false(uv_is_active((uv_handle_t *)&f->line.idle));
    leave(f, 0, 4);
    f->stop_at = 4;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_false(uv_is_active((uv_handle_t *)&f->line.idle));
    line_leave(&f->line, &f->items[14].item); /* gave up waiting */
    leave(f, 4, 6);
    f->stop_at = 6;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->next, 17);
    leave(f, 6, 30);
    assert_int_equal(f->line.admit.taken, 0);
    assert_int_equal(f->line.admit.handshakes, 0);
    close_line(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_begin_always),
        cmocka_unit_test(descriptors_bound_it),
        cmocka_unit_test(far_hosts_are_all_in_flight),
        cmocka_unit_test(near_hosts_do_not_flood_the_loop),
        cmocka_unit_test(a_loop_at_rest_lets_all_begin),
        cmocka_unit_test(a_loop_that_lags_lets_the_least_begin),
        cmocka_unit_test(room_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
