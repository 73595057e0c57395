/* controller/route: who goes through which link, pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/route/route.h"

enum { NODES = 3, CLIENTS = 2000 };

static struct route *fresh(uint32_t retries)
{
    struct route_opts o = {
        .retries = retries, .backoff_base_ms = 250, .backoff_max_ms = 5000, .seed = 7};
    struct route *r;
    assert_int_equal(route_new(&r, &o, NODES, CLIENTS, NULL), RC_OK);
    return r;
}

static struct route_action next(struct route *r, uint64_t now)
{
    struct route_action a;
    assert_true(route_next(r, now, &a));
    return a;
}

static void expect_none(struct route *r, uint64_t now)
{
    struct route_action a;
    if (route_next(r, now, &a))
        fail_msg("action %d of node %u", (int)a.type, a.node);
}

static void expect_open(struct route *r, uint64_t now, uint32_t link)
{
    struct route_action a = next(r, now);
    assert_int_equal(a.type, ROUTE_OPEN);
    assert_int_equal(a.link, link);
    assert_int_equal(a.node, link / ROUTE_LINKS);
}

static void expect_grant(struct route *r, uint64_t now, uint32_t client, uint32_t link)
{
    struct route_action a = next(r, now);
    assert_int_equal(a.type, ROUTE_GRANT);
    assert_int_equal(a.client, client);
    assert_int_equal(a.link, link);
}

static void test_first_link_then_grants(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    route_want(r, 1, 5);
    route_want(r, 1, 9);
    expect_open(r, 0, 4);
    expect_none(r, 0);
    route_link_up(r, 4);
    expect_grant(r, 0, 5, 4);
    expect_grant(r, 0, 9, 4);
    expect_none(r, 0);
    route_leave(r, 5);
    route_want(r, 1, 5); /* again, through the same */
    expect_grant(r, 0, 5, 4);
    route_leave(r, 5);
    route_leave(r, 5); /* nothing to give back */
    expect_none(r, 0);
    route_free(r);
}

/* A second link only when the first has its share, never more than there may be, and all of them
 * filled evenly; who comes when all are full waits for a place. */
static void test_links_are_opened_as_needed(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    uint32_t count[ROUTE_LINKS] = {0}, opened = 0, granted = 0;
    for (uint32_t c = 0; c < 1500; c++)
        route_want(r, 0, c);
    expect_open(r, 0, 0);
    expect_none(r, 0);
    route_link_up(r, 0);
    struct route_action a;
    while (route_next(r, 0, &a)) {
        if (a.type == ROUTE_OPEN) {
            opened++;
            continue;
        }
        assert_int_equal(a.type, ROUTE_GRANT);
        assert_int_equal(a.link, 0);
        granted++;
    }
    assert_int_equal(opened, ROUTE_LINKS - 1);
    assert_int_equal(granted, ROUTE_CHANNELS); /* the rest is for the others */
    for (uint32_t l = 1; l < ROUTE_LINKS; l++)
        route_link_up(r, l);
    count[0] = granted;
    while (route_next(r, 0, &a)) {
        assert_int_equal(a.type, ROUTE_GRANT);
        count[a.link]++;
        granted++;
    }
    for (uint32_t l = 0; l < ROUTE_LINKS; l++)
        assert_int_equal(count[l], ROUTE_CHANNELS_MAX);
    route_leave(r, 3);
    a = next(r, 0);
    assert_int_equal(a.client, granted);
    expect_none(r, 0);
    route_free(r);
}

static void test_few_hosts_need_one_link(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    for (uint32_t c = 0; c < ROUTE_CHANNELS; c++)
        route_want(r, 0, c);
    expect_open(r, 0, 0);
    route_link_up(r, 0);
    for (uint32_t c = 0; c < ROUTE_CHANNELS; c++)
        expect_grant(r, 0, c, 0);
    expect_none(r, 0);
    route_want(r, 0, 1000);
    expect_open(r, 0, 1);
    expect_none(r, 0); /* there will be room of its own for it */
    route_free(r);
}

/* Tried again with pauses, as often as was said; then dead, for good. */
static void test_dead(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    uint64_t now = 1000;
    route_want(r, 2, 0);
    route_want(r, 2, 1);
    for (int i = 0; i < 3; i++) {
        expect_open(r, now, 8);
        expect_none(r, now);
        route_link_down(r, 8, now, true);
        if (i == 2)
            break;
        expect_none(r, now);
        uint64_t at = route_wake_at(r);
        assert_true(at > now && at <= now + 250 * (1 << i));
        expect_none(r, at - 1);
        now = at;
    }
    assert_true(route_is_dead(r, 2));
    assert_false(route_is_dead(r, 0));
    assert_int_equal(next(r, now).type, ROUTE_DEAD);
    for (uint32_t c = 0; c < 2; c++) {
        struct route_action a = next(r, now);
        assert_int_equal(a.type, ROUTE_FAIL);
        assert_int_equal(a.client, c);
    }
    expect_none(r, now);
    route_want(r, 2, 1); /* who comes later fails at once */
    assert_int_equal(next(r, now).type, ROUTE_FAIL);
    expect_none(r, now);
    assert_int_equal(route_wake_at(r), UINT64_MAX);
    route_free(r);
}

static void test_what_no_try_helps(void **state)
{
    (void)state;
    struct route *r = fresh(9);
    route_want(r, 0, 0);
    expect_open(r, 0, 0);
    route_link_down(r, 0, 0, false);
    assert_true(route_is_dead(r, 0));
    route_free(r);
}

/* One that drops is opened anew; its clients are without it, and may want again. */
static void test_drop(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    route_want(r, 0, 0);
    route_want(r, 0, 1);
    expect_open(r, 0, 0);
    route_link_up(r, 0);
    expect_grant(r, 0, 0, 0);
    expect_grant(r, 0, 1, 0);
    route_link_hold(r, 0);
    route_leave(r, 0);
    route_want(r, 0, 0); /* heard of it before we did */
    uint64_t now = 50;
    struct route_action a;
    while (route_next(r, now, &a))
        assert_int_not_equal(a.type, ROUTE_GRANT);
    route_free(r);

    r = fresh(2);
    route_want(r, 0, 0);
    expect_open(r, 0, 0);
    route_link_up(r, 0);
    expect_grant(r, 0, 0, 0);
    route_link_down(r, 0, now, true);
    route_leave(r, 0); /* of a link that is no more: counts nowhere */
    route_want(r, 0, 0);
    expect_none(r, now);
    now = route_wake_at(r);
    assert_true(now > 50 && now <= 50 + 250);
    expect_open(r, now, 0);
    route_link_up(r, 0);
    expect_grant(r, now, 0, 0);
    assert_false(route_is_dead(r, 0));
    route_free(r);
}

/* While one is up, another that does not come up is no harm: there are fewer, that is all. */
static void test_fewer_links_will_do(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    for (uint32_t c = 0; c < 300; c++)
        route_want(r, 0, c);
    expect_open(r, 0, 0);
    route_link_up(r, 0);
    struct route_action a;
    while (route_next(r, 0, &a))
        continue;
    route_link_down(r, 1, 0, true);
    route_link_down(r, 2, 0, false);
    assert_false(route_is_dead(r, 0));
    uint32_t granted = ROUTE_CHANNELS;
    while (route_next(r, 0, &a)) {
        assert_int_equal(a.type, ROUTE_GRANT);
        assert_int_equal(a.link, 0);
        granted++;
    }
    assert_int_equal(granted, ROUTE_CHANNELS_MAX);
    for (uint32_t c = 0; c < granted; c++)
        route_leave(r, c);
    while (route_next(r, 0, &a))
        granted++;
    assert_int_equal(granted, 300);
    route_free(r);
}

static void test_leaving_the_queue(void **state)
{
    (void)state;
    struct route *r = fresh(2);
    for (uint32_t c = 0; c < 4; c++)
        route_want(r, 0, c);
    expect_open(r, 0, 0);
    route_leave(r, 0);
    route_leave(r, 2);
    route_leave(r, 3);
    route_link_up(r, 0);
    expect_grant(r, 0, 1, 0);
    expect_none(r, 0);
    route_free(r);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct route_opts o = {.retries = 1};
        struct route *r = NULL;
        size_t live = mem_live();
        mem_fail_after(n);
        enum rc rc = route_new(&r, &o, NODES, CLIENTS, NULL);
        fired = mem_fail_fired() > 0;
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (rc == RC_OK)
            route_free(r);
        assert_int_equal(mem_live(), live);
    }
}

/* Whatever happens in whatever order: no link has more than it may, each client is granted, or
 * failed, or still waiting for something that will come. */
static void test_storm(void **state)
{
    (void)state;
    uint64_t x = 1;
    for (int round = 0; round < 300; round++) {
        struct route *r = fresh(2);
        enum { FREE, WAITS, HAS } has[400] = {0};
        uint32_t of[400] = {0};
        uint64_t now = 1;
        bool opening[NODES * ROUTE_LINKS] = {0}, up[NODES * ROUTE_LINKS] = {0};
        for (int step = 0; step < 2000; step++) {
            x = x * 6364136223846793005 + 1442695040888963407;
            uint32_t dice = (uint32_t)(x >> 33), c = dice / 8 % 400;
            uint32_t l = dice / 8 % (NODES * ROUTE_LINKS);
            now += dice % 3;
            if (dice % 8 < 4 && has[c] == FREE) {
                route_want(r, dice / 4000 % NODES, c);
                has[c] = WAITS;
            } else if (dice % 8 == 4 && has[c] != FREE) {
                route_leave(r, c);
                has[c] = FREE;
            } else if (dice % 8 == 5 && opening[l]) {
                route_link_up(r, l);
                opening[l] = false;
                up[l] = true;
            } else if (dice % 8 >= 6 && (opening[l] || up[l]) && dice % 512 > 500) {
                route_link_down(r, l, now, dice % 16 < 15);
                opening[l] = up[l] = false;
                for (uint32_t i = 0; i < 400; i++)
                    if (has[i] == HAS && of[i] == l) {
                        route_leave(r, i);
                        has[i] = FREE;
                    }
            }
            struct route_action a;
            while (route_next(r, now, &a)) {
                if (a.type == ROUTE_OPEN) {
                    assert_false(opening[a.link] || up[a.link]);
                    opening[a.link] = true;
                } else if (a.type == ROUTE_GRANT) {
                    assert_true(up[a.link] && has[a.client] == WAITS);
                    has[a.client] = HAS;
                    of[a.client] = a.link;
                } else if (a.type == ROUTE_FAIL) {
                    assert_true(has[a.client] == WAITS && route_is_dead(r, a.node));
                    has[a.client] = FREE;
                }
            }
        }
        route_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_link_then_grants),
        cmocka_unit_test(test_links_are_opened_as_needed),
        cmocka_unit_test(test_few_hosts_need_one_link),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_what_no_try_helps),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_fewer_links_will_do),
        cmocka_unit_test(test_leaving_the_queue),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
