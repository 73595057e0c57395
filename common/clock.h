/* Time. Monotonic for every deadline and duration, wall clock only for what people read.
 * A test can put its own clock in; production code has no other way to the time. Any thread.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_ms(void); /* CLOCK_MONOTONIC in milliseconds */
uint64_t clock_us(void);

/* Microseconds since 1970 (CLOCK_REALTIME). */
int64_t clock_wall_us(void);

/* RFC 3339 in UTC with milliseconds, "2026-01-31T09:05:00.123Z"; dst holds at least 32 bytes. */
char *clock_rfc3339(char *dst, size_t cap, int64_t wall_us);

/* Replaces the monotonic clock (NULL restores it). Tests only; not while threads run. */
void clock_set_test(uint64_t (*now_us)(void *), void *user);

#endif
