/* See spread.h. */
#include "controller/stats/spread.h"

#include <math.h>
#include <stdlib.h>

#include "common/err.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *v, size_t n, double p)
{
    double at = p * (double)(n - 1), below = floor(at);
    size_t i = (size_t)below;
    if (i + 1 >= n)
        return v[n - 1];
    if (v[i] == v[i + 1])
        return v[i];
    return v[i] * (1 - (at - below)) + v[i + 1] * (at - below);
}

void spread_of(double *v, size_t n, struct spread *out)
{
    must(n > 0);
    qsort(v, n, sizeof *v, by_value);
    *out = (struct spread){.count = n,
                           .median = percentile(v, n, 0.5),
                           .p95 = percentile(v, n, 0.95),
                           .max = v[n - 1],
                           .mad = NAN};
    if (n < SPREAD_LEAST)
        return;
    for (size_t i = 0; i < n; i++) {
        v[i] = fabs(v[i] - out->median);
        out->mean += v[i] / (double)n;
    }
    qsort(v, n, sizeof *v, by_value);
    out->mad = percentile(v, n, 0.5);
}

bool spread_is_outlier(const struct spread *s, double v, double least)
{
    double far = fabs(v - s->median);
    if (isnan(s->mad) || far <= least)
        return false;
    if (s->mad > 0)
        return 0.6745 * far / s->mad > 3.5;
    return s->mean > 0 && far / (1.2533 * s->mean) > 3.5;
}
