/* Numbers from outside, checked; durations, sizes and counts as people write and read them.
 * Pure functions; any thread.
 */
#ifndef COMMON_NUM_H
#define COMMON_NUM_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Whole string, decimal digits only (no sign, no blanks, no 0x). RC_OK, RC_PARSE, or RC_LIMIT when
 * outside [min, max]; the message says what would be right, without naming the option. */
enum rc num_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e);
/* As num_u64 with an optional '-'. */
enum rc num_i64(const char *s, int64_t min, int64_t max, int64_t *out, struct err *e);

/* "500ms" "30s" "5m" "2h" "1d", fractions allowed ("1.5s"); a bare number is refused unless it is
 * "0". Result in milliseconds, at most 10 years. */
enum rc num_duration(const char *s, uint64_t *ms, struct err *e);

/* "4096" "64K" "10M" "2G" (powers of 1024, optional B or iB after the letter). */
enum rc num_size(const char *s, uint64_t *bytes, struct err *e);

/* "12" or "12%": *percent tells which; a percentage is at most 100. */
enum rc num_count_or_percent(const char *s, uint64_t *n, int *percent, struct err *e);

/* Each writes into a caller's array of at least NUM_TEXT bytes and returns it. */
enum { NUM_TEXT = 32 };
char *num_duration_text(char *dst, uint64_t ms); /* "340ms" "10.1s" "2m05s" "1h02m" */
char *num_size_text(char *dst, uint64_t bytes);  /* "512 B" "64.0 KiB" "1.2 GiB" */
char *num_count_text(char *dst, uint64_t n);     /* "4,980" */

#endif
