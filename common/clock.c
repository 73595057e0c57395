/* See clock.h. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t (*test_now)(void *);
static void *test_user;

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t clock_us(void)
{
    return test_now != NULL ? test_now(test_user) : (uint64_t)read_us(CLOCK_MONOTONIC);
}

uint64_t clock_ms(void)
{
    return clock_us() / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

char *clock_rfc3339(char *dst, size_t cap, int64_t wall_us)
{
    int64_t sec = wall_us / 1000000, rest = wall_us % 1000000;
    if (rest < 0) {
        rest += 1000000;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL) {
        snprintf(dst, cap, "?");
        return dst;
    }
    snprintf(dst, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(rest / 1000));
    return dst;
}

void clock_set_test(uint64_t (*now_us)(void *), void *user)
{
    test_now = now_us;
    test_user = user;
}
