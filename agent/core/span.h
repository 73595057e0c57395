/* Pieces of a file's text, taken apart without copying: lines, words, numbers. What is not exactly
 * a number is none. Nothing here allocates or reads past a span. Pure functions; any thread.
 */
#ifndef AGENT_CORE_SPAN_H
#define AGENT_CORE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *p; /* not terminated; may hold any byte */
    size_t n;
};

struct span span_of(const char *s);
bool span_is(struct span s, const char *text);
bool span_starts(struct span s, const char *prefix);
struct span span_skip(struct span s, size_t n); /* without its first n bytes, or empty */
struct span span_trim(struct span s);           /* without blanks and line ends around it */

/* Take the next piece off the front of *rest; false when nothing is left. A line comes without its
 * end; a word is what stands between blanks. */
bool span_line(struct span *rest, struct span *line);
bool span_word(struct span *rest, struct span *word);
/* What is in front of the first `sep`; *rest is then what is behind it. False when there is none:
 * nothing is taken. */
bool span_until(struct span *rest, char sep, struct span *before);
/* All words, at most `max` of them; returns how many the span has, which may be more. */
size_t span_words(struct span s, struct span *words, size_t max);

/* Whole span, decimal, no blanks; false (and *out as it was) for anything else. */
bool span_u64(struct span s, uint64_t *out);
bool span_i64(struct span s, int64_t *out);
bool span_f64(struct span s, double *out); /* digits with an optional sign and fraction */
bool span_hex(struct span s, size_t digits, uint64_t *out); /* exactly that many, at most 16 */

/* The last component of a path. */
struct span span_basename(struct span s);

/* Copies, cut to cap - 1 bytes, terminated. */
void span_copy(char *dst, size_t cap, struct span s);

#endif
