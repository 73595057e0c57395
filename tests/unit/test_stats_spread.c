/* Percentiles and outliers by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "controller/stats/spread.h"

static void near(double got, double want)
{
    if (fabs(got - want) > 1e-9)
        fail_msg("%.17g, not %.17g", got, want);
}

static void test_percentiles(void **state)
{
    (void)state;
    struct spread s;
    double one[] = {5}, two[] = {4, 1}, many[] = {10, 1, 9, 2, 8, 3, 7, 4, 6, 5, 11};
    spread_of(one, 1, &s);
    near(s.median, 5);
    near(s.p95, 5);
    near(s.max, 5);
    spread_of(two, 2, &s);
    near(s.median, 2.5);
    near(s.p95, 3.85); /* numpy.percentile([1, 4], 95) */
    near(s.max, 4);
    spread_of(many, 11, &s);
    near(s.median, 6);
    near(s.p95, 10.5);
    near(s.mad, 3);
    double huge[] = {DBL_MAX, -DBL_MAX};
    spread_of(huge, 2, &s);
    assert_true(isfinite(s.median) && isfinite(s.p95));
}

static void test_outliers(void **state)
{
    (void)state;
    struct spread s;
    double v[] = {10, 11, 12, 10, 11, 12, 10, 11, 12, 90};
    spread_of(v, 10, &s);
    near(s.median, 11);
    near(s.mad, 1);
    assert_true(spread_is_outlier(&s, 90, 5));
    assert_true(spread_is_outlier(&s, -40, 5)); /* far below is far out too */
    assert_false(spread_is_outlier(&s, 12, 0));
    assert_true(spread_is_outlier(&s, 16.2, 0)); /* 0.6745 * 5.2 > 3.5 */
    assert_false(spread_is_outlier(&s, 16.1, 0));
    assert_false(spread_is_outlier(&s, 16.2, 6)); /* a difference that is no matter */
    /* More than half alike: the mean deviation decides. */
    double same[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 101};
    spread_of(same, 10, &s);
    near(s.mad, 0);
    near(s.mean, 10);
    assert_true(spread_is_outlier(&s, 101, 0));
    assert_false(spread_is_outlier(&s, 40, 0));
    double alike[10] = {0};
    spread_of(alike, 10, &s);
    assert_false(spread_is_outlier(&s, 0, 0));
    double few[] = {1, 1, 1, 100};
    spread_of(few, 4, &s);
    assert_false(spread_is_outlier(&s, 100, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_percentiles),
                                       cmocka_unit_test(test_outliers)};
    return cmocka_run_group_tests_name("stats_spread", tests, NULL, NULL);
}
