/* controller/run/ending: what is kept of an end comes back as it was, whatever the memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/ending.h"

static struct outcome an_outcome(void)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = PROBLEM_KILLED_BY_SIGNAL;
    o.phase = PHASE_RUN;
    o.exit_code = 255;
    o.may_still_run = true;
    o.sent = true;
    snprintf(o.signal, sizeof o.signal, "TERM");
    memset(o.detail, 'd', sizeof o.detail - 1); /* as long as they get */
    o.detail[sizeof o.detail - 1] = '\0';
    return o;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->problem, b->problem);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->exit_code, b->exit_code);
    assert_int_equal(a->may_still_run, b->may_still_run);
    assert_int_equal(a->sent, b->sent);
    assert_string_equal(a->signal, b->signal);
}

static void what_is_kept_comes_back(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct ending n = {0};
    struct outcome o = an_outcome(), back;
    struct session_timing t = {.connected = 1, .done = 9};
    ending_keep(&n, &o, &t, "SSH-2.0-OpenSSH_9.2");
    ending_outcome(&n, &back);
    assert_same(&o, &back);
    assert_string_equal(back.detail, o.detail);
    assert_string_equal(ending_banner(&n), "SSH-2.0-OpenSSH_9.2");
    assert_memory_equal(&n.timing, &t, sizeof t);

    outcome_init(&o); /* a later end takes its place, texts included */
    ending_keep(&n, &o, NULL, "");
    ending_outcome(&n, &back);
    assert_same(&o, &back);
    assert_int_equal(back.exit_code, -1);
    assert_string_equal(back.detail, "");
    assert_string_equal(ending_banner(&n), "");
    assert_int_equal(n.timing.done, 0);
    ending_fini(&n);
    assert_int_equal(mem_live(), live);
}

static void without_memory_only_texts_are_lost(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (long i = 0; i < 2; i++) {
        struct ending n = {0};
        struct outcome o = an_outcome(), back;
        mem_fail_after(i);
        ending_keep(&n, &o, NULL, "banner");
        assert_true(mem_fail_fired());
        mem_fail_after(-1);
        ending_outcome(&n, &back);
        assert_same(&o, &back);
        assert_string_equal(back.detail, i == 0 ? "" : o.detail);
        assert_string_equal(ending_banner(&n), i == 0 ? "banner" : "");
        ending_fini(&n);
    }
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_comes_back),
        cmocka_unit_test(without_memory_only_texts_are_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
