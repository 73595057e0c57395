/* See backoff.h. */
#include "controller/run/backoff.h"

enum { LOGIN_SHARE = 10 }; /* of the bound, that a login may take */

/* splitmix64: the jitter needs no more. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t backoff_wait(const struct backoff *b, uint32_t attempts)
{
    uint64_t bound = b->base_ms;
    for (uint32_t i = 1; i < attempts && bound < b->max_ms; i++)
        bound *= 2;
    if (bound > b->max_ms)
        bound = b->max_ms;
    return bound > 0 ? next_random(b->random) % bound : 0;
}

uint64_t backoff_throttled(const struct backoff *b, uint32_t times, uint64_t bound_ms,
                           uint64_t left_ms, uint64_t used_ms)
{
    uint64_t login = bound_ms / LOGIN_SHARE;
    uint64_t keep = used_ms + (used_ms > login ? used_ms : login);
    uint64_t last = left_ms > keep ? left_ms - keep : 0;
    uint64_t least = BACKOFF_THROTTLED_LEAST_MS;
    for (uint32_t i = 1; i < times && least < b->max_ms / 2; i++)
        least *= 2;
    uint64_t wait = least + backoff_wait(b, times);
    return wait > last && last >= BACKOFF_THROTTLED_LEAST_MS ? last : wait;
}
