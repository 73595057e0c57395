/* What is worked out of one sample, and of two: percentages, rates, sums, the highest of many.
 *
 * psutil's rules: cpu_percent and cpu_times_percent (over the true total, where psutil understates
 * short intervals), counters that went back count from 0 again (its nowrap). Times of a CPU never
 * go back, and a CPU whose idle time fell by 3 s or more is a new one (node_exporter's rules). Time
 * is the host's own monotonic clock. Pure; any thread.
 */
#ifndef CONTROLLER_STATS_RATES_H
#define CONTROLLER_STATS_RATES_H

#include "controller/stats/sample.h"

enum rates_state {
    RATES_FIRST,  /* nothing before it */
    RATES_OK,     /* now->elapsed seconds */
    RATES_REBOOT, /* another boot: now->rebooted */
    RATES_CLOCK,  /* the host's clock stood still or went back: it lies, or was restored */
};

/* Sets the derived figures of *now; those that need *before (NULL: none) only with RATES_OK. Also
 * holds now's CPU times to those before. */
enum rates_state rates_work_out(const struct sample *before, struct sample *now);

/* Adds to the figures that are wanted what they are worked out of, and what tells their rows apart.
 */
void rates_needs(bool wanted[FIGURE_COUNT]);

/* Is this mount read-only, by its options? */
bool rates_is_read_only(const struct sample *s, uint32_t row);

#endif
