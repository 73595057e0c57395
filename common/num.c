/* See num.h. */
#include "common/num.h"

#include <ctype.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>

enum rc num_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    if (*s == '\0')
        return err_set(e, RC_PARSE, "a number is missing");
    uint64_t v = 0;
    for (const char *p = s; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return err_set(e, RC_PARSE, "'%.40s' is not a whole number", s);
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return err_set(e, RC_LIMIT, "'%.40s' is too large", s);
    }
    if (v < min || v > max)
        return err_set(e, RC_LIMIT, "%.40s is out of range (%llu to %llu)", s,
                       (unsigned long long)min, (unsigned long long)max);
    *out = v;
    return RC_OK;
}

enum rc num_i64(const char *s, int64_t min, int64_t max, int64_t *out, struct err *e)
{
    bool negative = *s == '-';
    uint64_t v;
    enum rc rc = num_u64(negative ? s + 1 : s, 0, negative ? (uint64_t)1 << 63 : INT64_MAX, &v, e);
    if (rc != RC_OK)
        return rc;
    int64_t n = negative ? (int64_t)(0 - v) : (int64_t)v;
    if (n < min || n > max)
        return err_set(e, RC_LIMIT, "%.40s is out of range (%lld to %lld)", s, (long long)min,
                       (long long)max);
    *out = n;
    return RC_OK;
}

/* Reads "12" or "1.25" exactly, in thousandths; returns what follows it, NULL when there is no
 * number. */
static const char *decimal(const char *s, uint64_t *thousandths)
{
    if (!isdigit((unsigned char)*s))
        return NULL;
    uint64_t whole = 0, fraction = 0, unit = 100;
    for (; isdigit((unsigned char)*s); s++) {
        whole = whole * 10 + (uint64_t)(*s - '0');
        if (whole > UINT64_C(1000000000000))
            return NULL;
    }
    if (*s == '.') {
        if (!isdigit((unsigned char)*++s))
            return NULL;
        for (; isdigit((unsigned char)*s); s++, unit /= 10)
            fraction += (uint64_t)(*s - '0') * unit;
    }
    *thousandths = whole * 1000 + fraction;
    return s;
}

enum rc num_duration(const char *s, uint64_t *ms, struct err *e)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const uint64_t most = UINT64_C(10) * 365 * 86400000;
    uint64_t value;
    const char *unit = decimal(s, &value);
    if (unit == NULL)
        return err_set(e, RC_PARSE, "'%.40s' is not a duration (write 500ms, 30s, 5m or 2h)", s);
    if (*unit == '\0' && value == 0) {
        *ms = 0;
        return RC_OK;
    }
    if (*unit == '\0')
        return err_set(e, RC_PARSE, "'%.40s' has no unit (write %.40ss for seconds)", s, s);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].unit) != 0)
            continue;
        if (value / 1000 > most / units[i].ms)
            return err_set(e, RC_LIMIT, "'%.40s' is longer than ten years", s);
        *ms = value * units[i].ms / 1000;
        return RC_OK;
    }
    return err_set(e, RC_PARSE, "'%.40s' is not a duration (write 500ms, 30s, 5m or 2h)", s);
}

enum rc num_size(const char *s, uint64_t *bytes, struct err *e)
{
    uint64_t value;
    const char *unit = decimal(s, &value);
    int shift = -1;
    if (unit != NULL) {
        const char *letters = "KMGT";
        const char *at = *unit ? strchr(letters, toupper((unsigned char)*unit)) : NULL;
        if (*unit == '\0' || strcmp(unit, "B") == 0)
            shift = 0;
        else if (at != NULL &&
                 (unit[1] == '\0' || strcmp(unit + 1, "B") == 0 || strcmp(unit + 1, "iB") == 0))
            shift = 10 * (int)(at - letters + 1);
    }
    if (shift < 0)
        return err_set(e, RC_PARSE, "'%.40s' is not a size (write 4096, 64K, 10M or 2G)", s);
    if (value / 1000 > (UINT64_MAX >> shift) / 2000)
        return err_set(e, RC_LIMIT, "'%.40s' is too large", s);
    *bytes = (value << shift) / 1000;
    return RC_OK;
}

enum rc num_count_or_percent(const char *s, uint64_t *n, int *percent, struct err *e)
{
    size_t len = strlen(s);
    char digits[24];
    *percent = len > 0 && s[len - 1] == '%';
    if (*percent)
        len--;
    if (len == 0 || len >= sizeof digits)
        return err_set(e, RC_PARSE, "'%.40s' is neither a number nor a percentage", s);
    memcpy(digits, s, len);
    digits[len] = '\0';
    return num_u64(digits, 0, *percent ? 100 : UINT32_MAX, n, e);
}

char *num_duration_text(char *dst, uint64_t ms)
{
    unsigned long long s = ms / 1000;
    if (ms < 1000)
        snprintf(dst, NUM_TEXT, "%llums", (unsigned long long)ms);
    else if (ms < 60000)
        snprintf(dst, NUM_TEXT, "%llu.%llus", s, (unsigned long long)(ms % 1000 / 100));
    else if (ms < 3600000)
        snprintf(dst, NUM_TEXT, "%llum%02llus", s / 60, s % 60);
    else
        snprintf(dst, NUM_TEXT, "%lluh%02llum", s / 3600, s / 60 % 60);
    return dst;
}

char *num_size_text(char *dst, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(dst, NUM_TEXT, "%llu B", (unsigned long long)bytes);
        return dst;
    }
    double v = (double)bytes / 1024;
    int i = 0;
    for (; v >= 1023.95 && i < 5; i++)
        v /= 1024;
    snprintf(dst, NUM_TEXT, "%.1f %s", v, units[i]);
    return dst;
}

char *num_count_text(char *dst, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    int out = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            dst[out++] = ',';
        dst[out++] = digits[i];
    }
    dst[out] = '\0';
    return dst;
}
