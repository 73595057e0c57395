/* How numbers of many hosts lie: median, 95th percentile, highest, and which are far from the rest.
 *
 * Percentiles interpolate between the two nearest (numpy's default). A value is an outlier by the
 * modified z-score of Iglewicz and Hoaglin: 0.6745 × |value − median| / MAD > 3.5, where MAD is the
 * median of the absolute deviations from the median, which a few wild hosts do not move as they
 * would a mean. Where more than half are alike (MAD 0), the mean absolute deviation takes its place
 * (|value − median| / (1.2533 × it) > 3.5). Less than ten values have no outliers. Pure; any
 * thread.
 */
#ifndef CONTROLLER_STATS_SPREAD_H
#define CONTROLLER_STATS_SPREAD_H

#include <stdbool.h>
#include <stddef.h>

enum { SPREAD_LEAST = 10 };

struct spread {
    size_t count;
    double median, p95, max;
    double mad;  /* median absolute deviation; NaN: too few values */
    double mean; /* mean absolute deviation */
};

/* Sorts v, and leaves deviations in it: it is not what it was. n > 0; all finite. */
void spread_of(double *v, size_t n, struct spread *out);
/* least: deviations up to it are no matter whatever the others do. */
bool spread_is_outlier(const struct spread *s, double v, double least);

#endif
