/* controller/run/sched: each rule by hand, then all of them together on random runs in virtual
 * time. MUSTER_SCHED_RUNS sets how many (20,000), MUSTER_SCHED_SEED repeats one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/sched.h"
#include "tests/unit/sched_fixture.h"

static void the_window_slides(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 2;
    open_hand(&h, &o, 4);
    step(&h, 100, SCHED_EV_TICK, "start 0#1, start 1#1");
    assert_int_equal(h.acts.items[0].budget_ms, 10000);
    assert_true(h.acts.wake_at_ms == UINT64_MAX);
    end(&h, 101, 1, PROBLEM_NONE, "final 1, start 2#1");
    end(&h, 102, 2, PROBLEM_NONE, "final 2, start 3#1");
    end(&h, 103, 3, PROBLEM_EXIT_NONZERO, "final 3");
    struct sched_counts c;
    sched_counts(h.s, &c);
    assert_int_equal(c.total, 4);
    assert_int_equal(c.running, 1);
    assert_int_equal(c.final_, 3);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.started, 4);
    assert_int_equal(c.waiting, 0);
    end(&h, 104, 0, PROBLEM_NONE, "final 0, done");
    step(&h, 105, SCHED_EV_TICK, "");
    sched_free(h.s);
}

static void no_targets_are_done_at_once(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    open_hand(&h, &o, 0);
    step(&h, 0, SCHED_EV_TICK, "done");
    sched_free(h.s);
}

static void logins_are_rationed(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.rate = 2; /* one every half second, one at once */
    open_hand(&h, &o, 3);
    step(&h, 1000, SCHED_EV_TICK, "start 0#1");
    uint64_t wake = h.acts.wake_at_ms;
    assert_true(wake >= 1500 && wake <= 1502);
    step(&h, 1499, SCHED_EV_TICK, "");
    step(&h, wake, SCHED_EV_TICK, "start 1#1");
    step(&h, 60000, SCHED_EV_TICK, "start 2#1"); /* nothing was saved up */
    sched_free(h.s);
}

static void waves(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.waves[0] = (struct sched_wave){1, false};
    o.waves[1] = (struct sched_wave){39, true}; /* of 8: 3.12, so 3 */
    o.wave_count = 2;
    open_hand(&h, &o, 8);
    struct sched_counts c;
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    sched_counts(h.s, &c);
    assert_int_equal(c.wave, 1);
    end(&h, 1, 0, PROBLEM_NONE, "final 0, start 1#1, start 2#1, start 3#1");
    end(&h, 2, 1, PROBLEM_EXIT_NONZERO, "final 1");
    end(&h, 3, 2, PROBLEM_CONNECT_REFUSED, ""); /* backs off: the wave waits for it */
    end(&h, 4, 3, PROBLEM_NONE, "final 3");
    step(&h, h.acts.wake_at_ms, SCHED_EV_TICK, "start 2#2");
    end(&h, 5000, 2, PROBLEM_NONE, "final 2, start 4#1, start 5#1, start 6#1");
    sched_counts(h.s, &c);
    assert_int_equal(c.wave, 3);
    end(&h, 5001, 4, PROBLEM_NONE, "final 4");
    end(&h, 5001, 5, PROBLEM_NONE, "final 5");
    end(&h, 5001, 6, PROBLEM_NONE, "final 6, start 7#1");
    end(&h, 5001, 7, PROBLEM_NONE, "final 7, done");
    sched_free(h.s);
}

static void a_percentage_is_at_least_one(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.waves[0] = (struct sched_wave){1, true};
    o.wave_count = 1;
    open_hand(&h, &o, 2);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_NONE, "final 0, start 1#1");
    sched_free(h.s);
}

static void fast_failures_are_tried_again(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    open_hand(&h, &o, 1);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    struct outcome refused = outcome_of(PROBLEM_CONNECT_REFUSED, -1, false);
    end_used(&h, 10, 0, &refused, 1000, "");
    uint64_t wake = h.acts.wake_at_ms;
    assert_true(wake >= 10 && wake < 260);
    step(&h, wake, SCHED_EV_TICK, "start 0#2");
    assert_int_equal(h.acts.items[0].budget_ms, 9000 - (wake - 10));
    end_used(&h, 1000, 0, &refused, 0, "");
    assert_true(h.acts.wake_at_ms < 1500);
    step(&h, h.acts.wake_at_ms, SCHED_EV_TICK, "start 0#3");
    end_used(&h, 2000, 0, &refused, 0, "final 0, done"); /* two retries, no third */
    sched_free(h.s);
}

/* However few retries there may be: a server that is busy is waited for, later each time, until
 * only a login's time is left of the bound. */
static void a_busy_server_is_waited_for(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.retries = 1;
    open_hand(&h, &o, 1);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    struct outcome busy = outcome_of(PROBLEM_THROTTLED, -1, false);
    uint64_t now = 0;
    unsigned tries = 1;
    for (;; tries++) {
        struct sched_event ev = {
            .type = SCHED_EV_FINISHED, .target = 0, .outcome = &busy, .connect_ms_used = 5};
        assert_int_equal(sched_step(h.s, now += 5, &ev, &h.acts), RC_OK);
        if (h.acts.count > 0)
            break;
        assert_true(h.acts.wake_at_ms >= now + 100);
        now = h.acts.wake_at_ms;
        ev = (struct sched_event){.type = SCHED_EV_TICK};
        assert_int_equal(sched_step(h.s, now, &ev, &h.acts), RC_OK);
        assert_int_equal(h.acts.count, 1);
        assert_true(h.acts.items[0].budget_ms >= 995);
    }
    assert_int_equal(h.acts.items[0].type, SCHED_DO_FINAL);
    assert_true(tries >= 4 && tries <= 10);
    assert_true(now >= 8000 && now <= 9100);
    sched_free(h.s);
    o.retries = 0;
    open_hand(&h, &o, 1);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end_used(&h, 5, 0, &busy, 5, "final 0, done");
    sched_free(h.s);
}

/* A login that takes 6 of 10 seconds and is then refused: a second one could only end at the bound,
 * and "auth-timeout" would stand where "channel-refused" is true. */
static void no_retry_into_the_bound(void **state)
{
    (void)state;
    struct outcome refused = outcome_of(PROBLEM_CHANNEL_REFUSED, -1, false);
    static const struct {
        uint64_t used;
        const char *want;
    } cases[] = {{4000, ""}, {5050, "final 0, done"}, {6000, "final 0, done"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hand h;
        struct sched_opts o = defaults();
        open_hand(&h, &o, 1);
        step(&h, 0, SCHED_EV_TICK, "start 0#1");
        end_used(&h, cases[i].used, 0, &refused, cases[i].used, cases[i].want);
        sched_free(h.s);
    }
}

/* One of them may have killed it, and nobody knows which: they go last, and one at a time. */
static void who_was_there_when_a_worker_died(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 3;
    open_hand(&h, &o, 5);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1, start 2#1");
    struct outcome died = outcome_of(PROBLEM_WORKER_DIED, -1, false);
    end_used(&h, 10, 0, &died, 100, "start 3#1");
    end_used(&h, 10, 1, &died, 100, "start 4#1");
    end_used(&h, 10, 2, &died, 100, "");
    end(&h, 5000, 3, PROBLEM_NONE, "final 3");
    struct sched_counts c;
    sched_counts(h.s, &c);
    assert_int_equal(c.backing_off, 3);
    end(&h, 9000, 4, PROBLEM_NONE, "final 4, start 0#2");
    assert_int_equal(h.acts.items[1].budget_ms, 9900); /* that wait is not the host's */
    struct sched_event sent = {.type = SCHED_EV_SENT, .target = 0};
    assert_int_equal(sched_step(h.s, 9100, &sent, &h.acts), RC_OK);
    describe(&h);
    assert_string_equal(h.text, "start 1#2"); /* 0 has shown that it was not the one */
    end_used(&h, 9200, 1, &died, 100, "final 1, start 2#2"); /* it was: never again */
    end(&h, 9300, 0, PROBLEM_NONE, "final 0");
    end(&h, 9400, 2, PROBLEM_CONNECT_REFUSED, "");
    step(&h, 9900, SCHED_EV_CANCEL, "stopped run-cancelled, final 2, done");
    sched_free(h.s);
}

static void suspects_meet_a_stop(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    open_hand(&h, &o, 2);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1");
    struct outcome died = outcome_of(PROBLEM_WORKER_DIED, -1, false);
    end_used(&h, 10, 0, &died, 0, "");
    step(&h, 20, SCHED_EV_CANCEL, "stopped run-cancelled, final 0, cancel 1 cancelled");
    end_used(&h, 30, 1, &died, 0, "final 1, done");
    sched_free(h.s);
}

/* What is left of the bound tells how long the back-off was: each starts exactly then. */
static void back_offs_end_in_their_order(void **state)
{
    (void)state;
    enum { HOSTS = 200 };
    struct sched *s;
    struct sched_opts o = defaults();
    o.fanout = HOSTS;
    o.backoff_base_ms = 5000;
    assert_int_equal(sched_new(&s, &o, HOSTS, NULL), RC_OK);
    struct sched_event ev = {.type = SCHED_EV_TICK};
    struct sched_actions out;
    struct outcome refused = outcome_of(PROBLEM_CONNECT_REFUSED, -1, false);
    assert_int_equal(sched_step(s, 0, &ev, &out), RC_OK);
    ev = (struct sched_event){.type = SCHED_EV_FINISHED, .outcome = &refused};
    for (; ev.target < HOSTS; ev.target++)
        assert_int_equal(sched_step(s, ev.target, &ev, &out), RC_OK);
    ev.type = SCHED_EV_TICK;
    uint32_t again = HOSTS;
    for (struct sched_counts c = {.backing_off = 1}; c.backing_off > 0; sched_counts(s, &c)) {
        uint64_t now = out.wake_at_ms > HOSTS ? out.wake_at_ms : HOSTS;
        assert_int_equal(sched_step(s, now, &ev, &out), RC_OK);
        for (size_t i = 0; i < out.count; i++, again--) {
            uint64_t due = out.items[i].target + (10000 - out.items[i].budget_ms);
            assert_true(due == now || (now == HOSTS && due < now));
        }
    }
    assert_true(again < HOSTS);
    sched_free(s);
}

static void not_everything_is_tried_again(void **state)
{
    (void)state;
    static const enum problem never[] = {PROBLEM_CONNECT_TIMEOUT, PROBLEM_DNS_NOT_FOUND,
                                         PROBLEM_AUTH_DENIED,     PROBLEM_HOST_KEY_CHANGED,
                                         PROBLEM_EXIT_NONZERO,    PROBLEM_CONNECTION_LOST,
                                         PROBLEM_WORKER_LOST};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        struct hand h;
        struct sched_opts o = defaults();
        open_hand(&h, &o, 1);
        step(&h, 0, SCHED_EV_TICK, "start 0#1");
        end(&h, 1, 0, never[i], "final 0, done");
        sched_free(h.s);
    }
}

/* A fast problem after the command was sent (said by the event or by the outcome) is not fast. */
static void what_was_sent_is_not_sent_again(void **state)
{
    (void)state;
    for (int by_event = 0; by_event < 2; by_event++) {
        struct hand h;
        struct sched_opts o = defaults();
        open_hand(&h, &o, 1);
        step(&h, 0, SCHED_EV_TICK, "start 0#1");
        if (by_event)
            step(&h, 1, SCHED_EV_SENT, "");
        struct outcome reset = outcome_of(PROBLEM_CONNECTION_RESET, -1, !by_event);
        end_used(&h, 2, 0, &reset, 0, "final 0, done");
        sched_free(h.s);
    }
}

static void retry_on_adds_causes(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.retry_on[0] = (struct sched_retry_on){RETRY_ON_EXIT, 75};
    o.retry_on[1] = (struct sched_retry_on){RETRY_ON_STATUS, STATUS_LOST};
    o.retry_on[2] = (struct sched_retry_on){RETRY_ON_PROBLEM, PROBLEM_CONNECT_TIMEOUT};
    o.retry_on_count = 3;
    open_hand(&h, &o, 4);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1, start 2#1, start 3#1");
    struct outcome x = outcome_of(PROBLEM_EXIT_NONZERO, 75, true);
    end_used(&h, 1, 0, &x, 9999, "");
    x.exit_code = 74;
    end_used(&h, 1, 3, &x, 0, "final 3");
    x = outcome_of(PROBLEM_CONNECTION_LOST, -1, true);
    end_used(&h, 1, 1, &x, 9999, "");
    x = outcome_of(PROBLEM_CONNECT_TIMEOUT, -1, false);
    end_used(&h, 1, 2, &x, 10000, "final 2"); /* the bound is used up */
    struct sched_counts c;
    sched_counts(h.s, &c);
    assert_int_equal(c.backing_off, 2);
    for (int starts = 0; starts < 2;) {
        struct sched_event tick = {.type = SCHED_EV_TICK};
        assert_int_equal(sched_step(h.s, h.acts.wake_at_ms, &tick, &h.acts), RC_OK);
        for (size_t i = 0; i < h.acts.count; i++, starts++) {
            assert_int_equal(h.acts.items[i].type, SCHED_DO_START);
            assert_int_equal(h.acts.items[i].budget_ms, 10000); /* all of it again */
        }
    }
    sched_free(h.s);
}

static void a_wrong_password_is_tried_once(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.retry_on[0] = (struct sched_retry_on){RETRY_ON_STATUS, STATUS_AUTH_FAILED};
    o.retry_on[1] = (struct sched_retry_on){RETRY_ON_PROBLEM, PROBLEM_BECOME_WRONG_PASSWORD};
    o.retry_on_count = 2;
    open_hand(&h, &o, 1);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    struct outcome x = outcome_of(PROBLEM_BECOME_WRONG_PASSWORD, -1, false);
    end_used(&h, 1, 0, &x, 0, "final 0, done");
    sched_free(h.s);
}

static void the_breaker_trips(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.breaker = 3;
    open_hand(&h, &o, 6);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1, start 2#1, start 3#1");
    end(&h, 1, 0, PROBLEM_AUTH_DENIED, "final 0, start 4#1");
    end(&h, 2, 1, PROBLEM_AUTH_DENIED, "final 1, start 5#1");
    end(&h, 3, 2, PROBLEM_AUTH_DENIED, "final 2"); /* nothing was held back: nothing is said */
    end(&h, 4, 3, PROBLEM_CONNECT_REFUSED, "stopped breaker, final 3"); /* but a retry is */
    end(&h, 5, 4, PROBLEM_NONE, "final 4");
    end(&h, 6, 5, PROBLEM_NONE, "final 5, done");
    sched_free(h.s);

    o.fanout = 1;
    open_hand(&h, &o, 5);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_AUTH_DENIED, "final 0, start 1#1");
    end(&h, 2, 1, PROBLEM_AUTH_DENIED, "final 1, start 2#1");
    end(&h, 3, 2, PROBLEM_AUTH_DENIED,
        "final 2, stopped breaker, final 3 breaker, final 4 breaker, done");
    sched_free(h.s);
}

static void the_breaker_wants_one_cause(void **state)
{
    (void)state;
    struct sched_opts o = defaults();
    o.breaker = 2;
    o.fanout = 1;
    /* Another cause, a success, an end after the command: each disarms it for good. */
    static const enum problem other[] = {PROBLEM_CONNECT_TIMEOUT, PROBLEM_NONE,
                                         PROBLEM_EXIT_NONZERO};
    for (size_t i = 0; i < 3; i++) {
        struct hand h;
        open_hand(&h, &o, 5);
        step(&h, 0, SCHED_EV_TICK, "start 0#1");
        end(&h, 1, 0, other[i], "final 0, start 1#1");
        end(&h, 1, 1, PROBLEM_AUTH_DENIED, "final 1, start 2#1");
        end(&h, 1, 2, PROBLEM_AUTH_DENIED, "final 2, start 3#1");
        end(&h, 1, 3, PROBLEM_AUTH_DENIED, "final 3, start 4#1");
        sched_free(h.s);
    }
    struct hand h; /* all with the same end, but after the command was sent */
    open_hand(&h, &o, 3);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_EXIT_NONZERO, "final 0, start 1#1");
    end(&h, 1, 1, PROBLEM_EXIT_NONZERO, "final 1, start 2#1");
    sched_free(h.s);
    o.breaker = 4; /* fewer targets than it counts */
    open_hand(&h, &o, 3);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_AUTH_DENIED, "final 0, start 1#1");
    end(&h, 1, 1, PROBLEM_AUTH_DENIED, "final 1, start 2#1");
    end(&h, 1, 2, PROBLEM_AUTH_DENIED, "final 2, done");
    sched_free(h.s);
}

static void the_budget_counts_every_bad_host(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.max_fail_set = true;
    o.max_fail = 1;
    o.fanout = 1;
    open_hand(&h, &o, 5);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_CONNECT_TIMEOUT, "final 0, start 1#1"); /* 1 is not more than 1 */
    end(&h, 1, 1, PROBLEM_NONE, "final 1, start 2#1");
    end(&h, 1, 2, PROBLEM_EXIT_NONZERO,
        "final 2, stopped budget, final 3 budget, final 4 budget, done");
    struct sched_counts c;
    sched_counts(h.s, &c);
    assert_int_equal(c.failed, 2);
    sched_free(h.s);
}

static void the_budget_in_percent(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.max_fail_set = o.max_fail_percent = true;
    o.max_fail = 30; /* of 5: 1.5, so one may fail */
    o.fanout = 1;
    open_hand(&h, &o, 5);
    step(&h, 0, SCHED_EV_TICK, "start 0#1");
    end(&h, 1, 0, PROBLEM_EXIT_NONZERO, "final 0, start 1#1");
    end(&h, 1, 1, PROBLEM_EXIT_NONZERO,
        "final 1, stopped budget, final 2 budget, final 3 budget, final 4 budget, done");
    sched_free(h.s);
}

/* After a stop: running ones finish, one that backs off keeps what its attempt came to. */
static void a_stop_keeps_last_outcomes(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.max_fail_set = true;
    open_hand(&h, &o, 6);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1, start 2#1, start 3#1");
    end(&h, 1, 0, PROBLEM_CONNECT_REFUSED, "start 4#1");
    end(&h, 1, 1, PROBLEM_AUTH_DENIED, "final 1, stopped budget, final 0, final 5 budget");
    end(&h, 2, 2, PROBLEM_CONNECT_REFUSED, "final 2"); /* not tried again */
    end(&h, 2, 3, PROBLEM_NONE, "final 3");
    end(&h, 2, 4, PROBLEM_NONE, "final 4, done");
    sched_free(h.s);
}

static void cancel(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 2;
    open_hand(&h, &o, 4);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1");
    end(&h, 1, 0, PROBLEM_CONNECT_REFUSED, "start 2#1");
    step(&h, 2, SCHED_EV_CANCEL,
         "stopped run-cancelled, final 0, final 3 run-cancelled, cancel 1 cancelled, "
         "cancel 2 cancelled");
    step(&h, 3, SCHED_EV_CANCEL, "");
    end(&h, 4, 1, PROBLEM_CANCELLED, "final 1");
    end(&h, 4, 2, PROBLEM_CONNECT_REFUSED, "final 2, done");
    sched_free(h.s);
}

static void deadline(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 2;
    o.deadline_ms = 1000;
    open_hand(&h, &o, 3);
    step(&h, 500, SCHED_EV_TICK, "start 0#1, start 1#1");
    assert_int_equal(h.acts.wake_at_ms, 1500);
    step(&h, 1499, SCHED_EV_TICK, "");
    step(&h, 1500, SCHED_EV_TICK,
         "stopped deadline, final 2 deadline, cancel 0 run-deadline, cancel 1 run-deadline");
    step(&h, 1501, SCHED_EV_CANCEL, ""); /* they are being cancelled already */
    end(&h, 1502, 0, PROBLEM_DEADLINE, "final 0");
    end(&h, 1502, 1, PROBLEM_NONE, "final 1, done");
    sched_free(h.s);
}

static void a_pause_stands_still(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.fanout = 2;
    o.deadline_ms = 10000;
    open_hand(&h, &o, 3);
    step(&h, 0, SCHED_EV_TICK, "start 0#1, start 1#1");
    end(&h, 0, 0, PROBLEM_CONNECT_REFUSED, "start 2#1");
    end(&h, 0, 1, PROBLEM_NONE, "final 1");
    uint64_t wake = h.acts.wake_at_ms;
    step(&h, 0, SCHED_EV_PAUSE, "");
    assert_true(h.acts.wake_at_ms == UINT64_MAX);
    step(&h, 50000, SCHED_EV_TICK, "");
    step(&h, 60000, SCHED_EV_PAUSE, "");
    step(&h, 100000, SCHED_EV_RESUME, "");
    assert_int_equal(h.acts.wake_at_ms, wake + 100000);
    step(&h, wake + 100000, SCHED_EV_TICK, "start 0#2");
    assert_int_equal(h.acts.wake_at_ms, 110000);
    sched_free(h.s);
}

static void time_never_goes_back(void **state)
{
    (void)state;
    struct hand h;
    struct sched_opts o = defaults();
    o.deadline_ms = 100;
    open_hand(&h, &o, 1);
    step(&h, 1000, SCHED_EV_TICK, "start 0#1");
    step(&h, 1099, SCHED_EV_TICK, "");
    step(&h, 5, SCHED_EV_PAUSE, "");
    step(&h, 6, SCHED_EV_RESUME, "");
    assert_int_equal(h.acts.wake_at_ms, 1100);
    sched_free(h.s);
}

static void bad_options(void **state)
{
    (void)state;
    struct sched *s;
    struct sched_opts good = defaults(), o = good;
    o.fanout = 0;
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    o = good;
    o.rate = -1;
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    o.rate = strtod("nan", NULL);
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    o = good;
    o.connect_timeout_ms = 0;
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    o = good;
    o.wave_count = 1;
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    o.waves[0] = (struct sched_wave){101, true};
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    o = good;
    o.max_fail_set = o.max_fail_percent = true;
    o.max_fail = 101;
    assert_int_equal(sched_new(&s, &o, 1, NULL), RC_USAGE);
    assert_int_equal(sched_new(&s, &good, UINT32_MAX, NULL), RC_LIMIT);
}

static void no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct sched_opts o = defaults();
    for (long n = 0;; n++) {
        struct sched *s = NULL;
        mem_fail_after(n);
        enum rc rc = sched_new(&s, &o, 10, NULL);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (!fired) {
            sched_free(s);
            break;
        }
        assert_int_equal(mem_live(), live);
    }
    assert_int_equal(mem_live(), live);
}

/* ---- random runs, watched by a model that knows the rules but not the code ---- */

enum { SIM_MAX = 40 };

struct sim_target {
    enum { S_NEW, S_RUN, S_REST, S_FINAL } state;
    uint32_t attempts, throttled;
    uint64_t end_at; /* real time when the attempt ends */
    uint64_t sent_at;
    uint64_t rest_from; /* inner time */
    uint64_t budget, used;
    struct outcome outcome;
    bool sent, cancelled, retryable;
    uint64_t silent_at, heard_at; /* UINT64_MAX: not, or it was */
    enum { HOLDS_PLACE, IS_SILENT, IN_LINE } aside;
    bool keeps;       /* it has been in line */
    bool waits;       /* for a GO */
    uint64_t line_no; /* which of those in line it is */
};

struct sim {
    uint64_t seed, random;
    struct sched_opts o;
    uint32_t n, running, aside, in_line, finals, failed, wave_of[SIM_MAX], wave_left[SIM_MAX];
    struct sim_target t[SIM_MAX];
    uint64_t now, shift, pause_from;
    bool paused, stopped, told, done, cancelled, may_stop;
    double level; /* of the leaky bucket that logins fill */
    uint64_t level_at;
    bool breaker_ok;
    enum problem breaker_problem;
    uint64_t fail_limit, started_at, line_came;
};

static struct sim *current; /* for messages */

#define HOLDS(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("seed %llu at %llu: %s", (unsigned long long)current->seed,                   \
                     (unsigned long long)current->now, #x);                                        \
    } while (0)

static uint64_t rnd(struct sim *m, uint64_t below)
{
    uint64_t x = m->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    m->random = x;
    return (x * 0x2545f4914f6cdd1d >> 16) % below;
}

static bool one_in(struct sim *m, uint64_t n)
{
    return rnd(m, n) == 0;
}

static uint64_t inner(const struct sim *m)
{
    return (m->paused ? m->pause_from : m->now) - m->shift;
}

static void random_opts(struct sim *m)
{
    struct sched_opts *o = &m->o;
    *o = defaults();
    o->seed = m->seed;
    o->fanout = 1 + (uint32_t)rnd(m, one_in(m, 2) ? 4 : 50);
    o->aside = one_in(m, 2) ? (uint32_t)rnd(m, 6) : 0;
    o->rate = one_in(m, 3) ? 0.5 + (double)rnd(m, 100) : 0;
    o->retries = (uint32_t)rnd(m, 4);
    o->connect_timeout_ms = 1 + rnd(m, 12000);
    o->deadline_ms = one_in(m, 4) ? 1 + rnd(m, 60000) : 0;
    o->max_fail_set = one_in(m, 3);
    o->max_fail_percent = one_in(m, 2);
    o->max_fail = (uint32_t)rnd(m, o->max_fail_percent ? 101 : 10);
    o->breaker = one_in(m, 2) ? 1 + (uint32_t)rnd(m, 6) : 0;
    o->backoff_base_ms = rnd(m, 500);
    o->backoff_max_ms = rnd(m, 5000);
    o->wave_count = one_in(m, 3) ? 1 + (uint32_t)rnd(m, 4) : 0;
    for (uint32_t i = 0; i < o->wave_count; i++) {
        o->waves[i].percent = one_in(m, 2);
        o->waves[i].n = 1 + (uint32_t)rnd(m, o->waves[i].percent ? 100 : 12);
    }
    if (one_in(m, 3)) {
        o->retry_on[0] = (struct sched_retry_on){RETRY_ON_EXIT, 75};
        o->retry_on[1] = (struct sched_retry_on){RETRY_ON_STATUS, STATUS_LOST};
        o->retry_on_count = 2;
    }
}

static uint32_t wave_size(const struct sim *m, uint32_t wave)
{
    const struct sched_opts *o = &m->o;
    if (o->wave_count == 0)
        return m->n;
    const struct sched_wave *w = &o->waves[wave < o->wave_count ? wave : o->wave_count - 1];
    uint32_t size = w->percent ? m->n * w->n / 100 : w->n;
    return size > 0 ? size : 1;
}

static void lay_waves(struct sim *m)
{
    uint32_t wave = 0, left = wave_size(m, 0);
    for (uint32_t i = 0; i < m->n; i++) {
        if (left == 0)
            left = wave_size(m, ++wave);
        m->wave_of[i] = wave;
        m->wave_left[wave]++;
        left--;
    }
}

static void pick_outcome(struct sim *m, struct sim_target *t)
{
    static const enum problem problems[] = {PROBLEM_NONE,
                                            PROBLEM_NONE,
                                            PROBLEM_EXIT_NONZERO,
                                            PROBLEM_CONNECT_REFUSED,
                                            PROBLEM_AUTH_DENIED,
                                            PROBLEM_CONNECT_TIMEOUT,
                                            PROBLEM_CONNECTION_LOST,
                                            PROBLEM_THROTTLED,
                                            PROBLEM_CONNECTION_RESET};
    enum problem p = m->seed % 3 == 0 ? problems[3 + m->seed % 5]
                                      : problems[rnd(m, sizeof problems / sizeof problems[0])];
    bool sent = p == PROBLEM_NONE || p == PROBLEM_EXIT_NONZERO || p == PROBLEM_CONNECTION_LOST;
    t->outcome = outcome_of(p, p == PROBLEM_EXIT_NONZERO ? 74 + (int)rnd(m, 2) : -1, sent);
    uint64_t connect = rnd(m, t->budget + 1);
    t->used = sent || p == PROBLEM_CONNECT_TIMEOUT ? t->budget : connect;
    t->end_at = m->now + t->used / (1 + rnd(m, 3)) + (sent ? rnd(m, 20000) : 0);
    t->sent_at = sent && one_in(m, 2) ? m->now + (t->end_at - m->now) / 2 : UINT64_MAX;
    uint64_t first = t->sent_at < t->end_at ? t->sent_at : t->end_at;
    t->silent_at = t->heard_at = UINT64_MAX;
    if (one_in(m, 2) && first > m->now) {
        t->silent_at = m->now + rnd(m, first - m->now);
        t->heard_at = sent || one_in(m, 2) ? t->silent_at : UINT64_MAX;
    }
    t->aside = HOLDS_PLACE;
    t->keeps = t->waits = false;
}

static bool model_retryable(const struct sim *m, const struct sim_target *t)
{
    const struct outcome *o = &t->outcome;
    if (m->o.retries == 0 || t->attempts - t->throttled > m->o.retries || t->cancelled)
        return false;
    if (m->o.retry_on_count > 0 && (o->problem == PROBLEM_CONNECTION_LOST ||
                                    (o->problem == PROBLEM_EXIT_NONZERO && o->exit_code == 75)))
        return true;
    return !o->sent && (o->problem == PROBLEM_CONNECT_REFUSED || o->problem == PROBLEM_THROTTLED ||
                        o->problem == PROBLEM_CONNECTION_RESET);
}

static void saw_start(struct sim *m, const struct sched_action *a)
{
    struct sim_target *t = &m->t[a->target];
    HOLDS(!m->stopped && !m->paused && !m->done);
    HOLDS(t->state == S_NEW || t->state == S_REST);
    HOLDS(a->attempt == t->attempts + 1);
    HOLDS(a->attempt - t->throttled <= m->o.retries + 1);
    HOLDS(m->in_line == 0); /* those in line come first */
    HOLDS(++m->running - m->aside <= m->o.fanout);
    for (uint32_t w = 0; w < m->wave_of[a->target]; w++)
        HOLDS(m->wave_left[w] == 0);
    HOLDS(a->budget_ms > 0 && a->budget_ms <= m->o.connect_timeout_ms);
    if (t->state == S_REST) {
        HOLDS(t->retryable);
        uint64_t waited = inner(m) - t->rest_from;
        if (!t->outcome.sent) {
            HOLDS(a->budget_ms + t->used <= t->budget);
            HOLDS(waited >= t->budget - t->used - a->budget_ms); /* the wait was paid for */
        } else {
            HOLDS(a->budget_ms == m->o.connect_timeout_ms);
        }
    } else {
        HOLDS(a->budget_ms == m->o.connect_timeout_ms);
    }
    if (m->o.rate > 0) {
        double most = m->o.rate > 10 ? m->o.rate / 10 : 1;
        m->level -= (double)(inner(m) - m->level_at) * m->o.rate / 1000;
        m->level = (m->level > 0 ? m->level : 0) + 1;
        m->level_at = inner(m);
        HOLDS(m->level <= most + 1e-6);
    }
    t->state = S_RUN;
    t->attempts++;
    t->sent = false;
    t->budget = a->budget_ms;
    pick_outcome(m, t);
}

static void saw_final(struct sim *m, const struct sched_action *a, int64_t ended)
{
    struct sim_target *t = &m->t[a->target];
    HOLDS(t->state != S_FINAL && t->state != S_RUN);
    HOLDS((a->problem == PROBLEM_NONE) == (t->state == S_REST));
    if (a->problem != PROBLEM_NONE) {
        HOLDS(m->may_stop && problem_status(a->problem) == STATUS_NOT_STARTED);
    } else if (a->target != ended) {
        HOLDS(m->may_stop); /* was backing off */
    } else {
        m->failed += t->outcome.problem != PROBLEM_NONE;
        if (m->finals == 0)
            m->breaker_problem = t->outcome.problem;
        if (!outcome_before_command(&t->outcome) || t->outcome.problem != m->breaker_problem)
            m->breaker_ok = false;
    }
    t->state = S_FINAL;
    m->finals++;
    m->wave_left[m->wave_of[a->target]]--;
    if (m->failed > m->fail_limit)
        m->may_stop = true;
    if (m->breaker_ok && m->o.breaker > 0 && m->n >= m->o.breaker && m->finals == m->o.breaker)
        m->may_stop = true;
}

static void saw_cancel(struct sim *m, const struct sched_action *a)
{
    struct sim_target *t = &m->t[a->target];
    HOLDS(t->state == S_RUN && !t->cancelled && m->may_stop);
    t->cancelled = true;
    if (one_in(m, 2)) { /* else it ends as it would have, a moment later */
        bool sent = t->outcome.sent;
        t->outcome = outcome_of(a->problem, -1, sent);
        t->end_at = m->now + rnd(m, 50);
    }
}

static void come_in(struct sim *m, struct sim_target *t)
{
    m->in_line -= t->aside == IN_LINE;
    m->aside -= t->aside != HOLDS_PLACE;
    t->keeps |= t->aside != HOLDS_PLACE;
    t->aside = HOLDS_PLACE;
}

/* A host goes no further before this: what comes of it comes that much later. */
static void saw_go(struct sim *m, const struct sched_action *a)
{
    struct sim_target *t = &m->t[a->target];
    HOLDS(t->state == S_RUN && t->waits && t->aside != IS_SILENT);
    if (t->aside == IN_LINE) {
        for (uint32_t i = 0; i < m->n; i++)
            HOLDS(m->t[i].aside != IN_LINE || m->t[i].cancelled || m->t[i].line_no >= t->line_no);
        HOLDS(!m->paused);
    }
    come_in(m, t);
    HOLDS(m->running - m->aside <= m->o.fanout);
    t->waits = false;
    t->end_at = m->now + rnd(m, 20000);
    t->sent_at = t->outcome.sent && one_in(m, 2) ? m->now + (t->end_at - m->now) / 2 : UINT64_MAX;
    if (one_in(m, 3) && t->end_at > m->now && !t->cancelled)
        t->silent_at = t->heard_at = m->now; /* and once more */
}

/* What must hold between any two steps. */
static void check_rest(struct sim *m, const struct sched *s, uint64_t wake)
{
    struct sched_counts c;
    sched_counts(s, &c);
    HOLDS(c.running == m->running && c.final_ == m->finals && c.total == m->n);
    HOLDS(c.waiting + c.running + c.backing_off + c.final_ == c.total);
    HOLDS(c.failed <= c.final_ && (c.failed == m->failed));
    HOLDS(wake > m->now);
    HOLDS(m->aside <= m->o.aside);
    for (uint32_t i = 0; i < m->n && !m->paused && m->running - m->aside < m->o.fanout; i++)
        HOLDS(m->t[i].state != S_RUN || m->t[i].aside != IN_LINE || m->t[i].cancelled);
    if (m->may_stop)
        HOLDS(c.waiting == 0 && c.backing_off == 0);
    if (m->may_stop || m->paused || m->o.rate > 0 || m->running - m->aside >= m->o.fanout)
        return;
    /* Nothing idles while something could start. */
    for (uint32_t i = 0; i < m->n; i++) {
        bool open = true;
        for (uint32_t w = 0; w < m->wave_of[i]; w++)
            open = open && m->wave_left[w] == 0;
        HOLDS(m->t[i].state != S_NEW || !open);
    }
    HOLDS(m->running > 0 || wake != UINT64_MAX || m->done);
}

static void feed(struct sim *m, struct sched *s, const struct sched_event *ev, uint64_t *wake)
{
    struct sched_actions out;
    bool finished = ev->type == SCHED_EV_FINISHED;
    assert_int_equal(sched_step(s, m->now, ev, &out), RC_OK);
    for (size_t i = 0; i < out.count; i++) {
        const struct sched_action *a = &out.items[i];
        HOLDS(!m->done);
        switch (a->type) {
        case SCHED_DO_START: saw_start(m, a); break;
        case SCHED_DO_GO: saw_go(m, a); break;
        case SCHED_DO_FINAL: saw_final(m, a, finished ? (int64_t)ev->target : -1); break;
        case SCHED_DO_CANCEL: saw_cancel(m, a); break;
        case SCHED_DO_STOPPED:
            HOLDS(!m->told && (m->may_stop || m->failed > m->fail_limit));
            m->told = m->stopped = true;
            break;
        case SCHED_DO_DONE:
            HOLDS(m->finals == m->n);
            m->done = true;
            break;
        }
    }
    m->stopped = m->stopped || m->may_stop;
    *wake = out.wake_at_ms;
    check_rest(m, s, *wake);
}

/* The next thing that happens to a running target, or UINT32_MAX. */
static uint32_t next_end(const struct sim *m, uint64_t *at, enum sched_event_type *type)
{
    uint32_t best = UINT32_MAX;
    *at = UINT64_MAX;
    for (uint32_t i = 0; i < m->n; i++) {
        const struct sim_target *t = &m->t[i];
        if (t->state != S_RUN || (t->waits && !t->cancelled))
            continue;
        enum sched_event_type what = SCHED_EV_FINISHED;
        uint64_t when = t->end_at;
        if (t->silent_at != UINT64_MAX && !t->cancelled) {
            what = SCHED_EV_SILENT;
            when = t->silent_at;
        } else if (t->heard_at != UINT64_MAX && !t->cancelled) {
            what = SCHED_EV_ANSWERED;
            when = t->heard_at;
        } else if (!t->sent && t->sent_at < t->end_at && t->aside == HOLDS_PLACE) {
            what = SCHED_EV_SENT;
            when = t->sent_at;
        }
        if (when < *at) {
            *at = when;
            best = i;
            *type = what;
        }
    }
    return best;
}

static void happens(struct sim *m, struct sched *s, uint32_t i, enum sched_event_type type,
                    uint64_t *wake)
{
    struct sim_target *t = &m->t[i];
    struct sched_event ev = {.type = type, .target = i};
    if (type == SCHED_EV_SENT) {
        t->sent = true;
        t->outcome.sent = true;
    } else if (type == SCHED_EV_SILENT) {
        t->silent_at = UINT64_MAX;
        if (t->aside == HOLDS_PLACE && !t->keeps && m->aside < m->o.aside) {
            t->aside = IS_SILENT;
            m->aside++;
        }
    } else if (type == SCHED_EV_ANSWERED) {
        t->heard_at = UINT64_MAX;
        t->waits = true;
        if (t->aside == IS_SILENT) {
            t->aside = IN_LINE;
            t->line_no = ++m->line_came;
            m->in_line++;
        }
    }
    if (type != SCHED_EV_FINISHED) {
        feed(m, s, &ev, wake);
        return;
    }
    come_in(m, t);
    t->waits = false;
    m->running--;
    t->state = S_REST;
    t->rest_from = inner(m);
    t->throttled += t->outcome.problem == PROBLEM_THROTTLED;
    t->retryable = model_retryable(m, t);
    ev = (struct sched_event){
        .type = SCHED_EV_FINISHED, .target = i, .outcome = &t->outcome, .connect_ms_used = t->used};
    feed(m, s, &ev, wake);
    HOLDS(t->state != S_REST || t->retryable);
}

/* A step at or past the deadline, pauses apart, stops the run. */
static void note_deadline(struct sim *m)
{
    if (!m->paused && m->o.deadline_ms > 0 && inner(m) - m->started_at >= m->o.deadline_ms)
        m->may_stop = true;
}

static void interfere(struct sim *m, struct sched *s, uint64_t *wake)
{
    struct sched_event ev = {.type = SCHED_EV_TICK};
    if (one_in(m, 60)) {
        ev.type = SCHED_EV_CANCEL;
        m->cancelled = m->may_stop = true;
    } else if (m->paused && one_in(m, 3)) {
        ev.type = SCHED_EV_RESUME;
        m->shift += m->now - m->pause_from;
        m->paused = false;
    } else if (!m->paused && one_in(m, 40)) {
        ev.type = SCHED_EV_PAUSE;
        m->pause_from = m->now;
        m->paused = true;
    }
    note_deadline(m);
    feed(m, s, &ev, wake);
}

static void run_one(uint64_t seed)
{
    static struct sim m;
    memset(&m, 0, sizeof m);
    current = &m;
    m.seed = seed;
    m.random = seed * 0x9e3779b97f4a7c15 + 1;
    m.n = (uint32_t)rnd(&m, SIM_MAX + 1);
    m.now = m.started_at = rnd(&m, 1000);
    m.level_at = m.now;
    m.breaker_ok = true;
    random_opts(&m);
    lay_waves(&m);
    m.fail_limit = !m.o.max_fail_set      ? UINT64_MAX
                   : m.o.max_fail_percent ? m.n * m.o.max_fail / 100
                                          : m.o.max_fail;
    struct sched *s;
    assert_int_equal(sched_new(&s, &m.o, m.n, NULL), RC_OK);
    uint64_t wake = 0;
    feed(&m, s, &(struct sched_event){.type = SCHED_EV_TICK}, &wake);
    for (int steps = 0; !m.done; steps++) {
        HOLDS(steps < 20000); /* it comes to an end */
        uint64_t at;
        enum sched_event_type type = SCHED_EV_TICK;
        uint32_t i = next_end(&m, &at, &type);
        if (m.paused && i == UINT32_MAX)
            at = m.now + rnd(&m, 1000); /* only a RESUME moves it */
        bool woken = wake <= at && !m.paused;
        uint64_t next = woken ? wake : at;
        HOLDS(next != UINT64_MAX);
        m.now = next > m.now ? next : m.now;
        note_deadline(&m);
        if (woken || i == UINT32_MAX || one_in(&m, 8))
            interfere(&m, s, &wake);
        else
            happens(&m, s, i, type, &wake);
    }
    HOLDS(m.finals == m.n && m.running == 0);
    sched_free(s);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);
    return v != NULL ? strtoull(v, NULL, 10) : otherwise;
}

static void random_runs(void **state)
{
    (void)state;
    uint64_t seed = from_env("MUSTER_SCHED_SEED", 0);
    uint64_t runs = seed != 0 ? 1 : from_env("MUSTER_SCHED_RUNS", 20000);
    size_t live = mem_live();
    for (uint64_t i = 0; i < runs; i++)
        run_one(seed != 0 ? seed : i + 1);
    assert_int_equal(mem_live(), live);
}

/* A hundred thousand hosts, each with a retry: a cost per event that grows with the number of
 * hosts would make this run for minutes. */
static void many_hosts(void **state)
{
    (void)state;
    enum { HOSTS = 100000 };
    struct sched_opts o = defaults();
    o.fanout = 2000;
    o.connect_timeout_ms = 1000000;
    struct sched *s;
    assert_int_equal(sched_new(&s, &o, HOSTS, NULL), RC_OK);
    uint32_t *running = mem_alloc(2000 * sizeof *running), count = 0, finals = 0, starts = 0;
    uint8_t *tries = mem_calloc(HOSTS, 1);
    struct outcome bad = outcome_of(PROBLEM_CONNECT_REFUSED, -1, false);
    struct outcome ok = outcome_of(PROBLEM_NONE, 0, true);
    struct sched_event ev = {.type = SCHED_EV_TICK};
    struct sched_actions out = {0};
    for (uint64_t now = 0; finals < HOSTS; now++) {
        assert_int_equal(sched_step(s, now, &ev, &out), RC_OK);
        for (size_t i = 0; i < out.count; i++) {
            finals += out.items[i].type == SCHED_DO_FINAL;
            if (out.items[i].type == SCHED_DO_START) {
                running[count++] = out.items[i].target;
                starts++;
            }
        }
        ev.type = SCHED_EV_TICK;
        if (count > 0) {
            ev.type = SCHED_EV_FINISHED;
            ev.target = running[--count];
            ev.outcome = tries[ev.target]++ == 0 ? &bad : &ok;
        }
    }
    assert_int_equal(starts, 2 * HOSTS);
    sched_free(s);
    mem_free(running);
    mem_free(tries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_slides),
        cmocka_unit_test(no_targets_are_done_at_once),
        cmocka_unit_test(logins_are_rationed),
        cmocka_unit_test(waves),
        cmocka_unit_test(a_percentage_is_at_least_one),
        cmocka_unit_test(fast_failures_are_tried_again),
        cmocka_unit_test(a_busy_server_is_waited_for),
        cmocka_unit_test(no_retry_into_the_bound),
        cmocka_unit_test(who_was_there_when_a_worker_died),
        cmocka_unit_test(suspects_meet_a_stop),
        cmocka_unit_test(back_offs_end_in_their_order),
        cmocka_unit_test(not_everything_is_tried_again),
        cmocka_unit_test(what_was_sent_is_not_sent_again),
        cmocka_unit_test(retry_on_adds_causes),
        cmocka_unit_test(a_wrong_password_is_tried_once),
        cmocka_unit_test(the_breaker_trips),
        cmocka_unit_test(the_breaker_wants_one_cause),
        cmocka_unit_test(the_budget_counts_every_bad_host),
        cmocka_unit_test(the_budget_in_percent),
        cmocka_unit_test(a_stop_keeps_last_outcomes),
        cmocka_unit_test(cancel),
        cmocka_unit_test(deadline),
        cmocka_unit_test(a_pause_stands_still),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(random_runs),
        cmocka_unit_test(many_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
