/* How long a host rests before it is tried again. Pure, the random numbers included: the caller
 * keeps their state. Any thread.
 */
#ifndef CONTROLLER_RUN_BACKOFF_H
#define CONTROLLER_RUN_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t base_ms; /* the first rest is below it; doubled each time */
    uint64_t max_ms;
    uint64_t *random; /* any value is a seed */
};

enum { BACKOFF_THROTTLED_LEAST_MS = 100 };

/* Full jitter: anywhere below a bound that doubles with each attempt (from 1). */
uint64_t backoff_wait(const struct backoff *b, uint32_t attempts);

/* For a server that has no room just now, for the `times`th time (from 1): never at once, each time
 * later; but once more when only a login's time is left. The attempt used `used_ms` of the
 * `left_ms` that were left to it of `bound_ms`. */
uint64_t backoff_throttled(const struct backoff *b, uint32_t times, uint64_t bound_ms,
                           uint64_t left_ms, uint64_t used_ms);

#endif
