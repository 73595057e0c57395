/* See admit.h. */
#include "controller/worker/admit.h"

uint32_t admit_more(const struct admit *a, uint32_t each)
{
    uint32_t more = a->handshakes < ADMIT_LEAST ? ADMIT_LEAST - a->handshakes : 0;
    if (a->lag_us <= ADMIT_LAG_US && more < ADMIT_STEP)
        more = ADMIT_STEP;
    uint32_t fit = a->taken < a->room ? (a->room - a->taken) / each : 0;
    if (fit == 0 && a->taken == 0)
        fit = 1;
    return more < fit ? more : fit;
}
