/* See span.h. */
#include "agent/core/span.h"

#include <string.h>

#include "common/num.h"

struct span span_of(const char *s)
{
    return (struct span){s, strlen(s)};
}

bool span_is(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

bool span_starts(struct span s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

struct span span_skip(struct span s, size_t n)
{
    if (n > s.n)
        n = s.n;
    return (struct span){s.p + n, s.n - n};
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

struct span span_trim(struct span s)
{
    while (s.n > 0 && blank(s.p[0]))
        s = span_skip(s, 1);
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool span_until(struct span *rest, char sep, struct span *before)
{
    const char *at = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;
    if (at == NULL)
        return false;
    *before = (struct span){rest->p, (size_t)(at - rest->p)};
    *rest = span_skip(*rest, before->n + 1);
    return true;
}

bool span_line(struct span *rest, struct span *line)
{
    if (rest->n == 0)
        return false;
    if (!span_until(rest, '\n', line)) {
        *line = *rest;
        *rest = span_skip(*rest, rest->n);
    }
    return true;
}

bool span_word(struct span *rest, struct span *word)
{
    size_t i = 0;
    while (i < rest->n && blank(rest->p[i]))
        i++;
    size_t from = i;
    while (i < rest->n && !blank(rest->p[i]))
        i++;
    *word = (struct span){rest->p + from, i - from};
    *rest = span_skip(*rest, i);
    return word->n > 0;
}

size_t span_words(struct span s, struct span *words, size_t max)
{
    size_t n = 0;
    for (struct span w; span_word(&s, &w); n++)
        if (n < max)
            words[n] = w;
    return n;
}

enum { NUMBER = 24 }; /* -9223372036854775808 and its end */

/* As text with an end, which the strict parsers want; false when it cannot be a number. */
static bool to_text(char dst[NUMBER], struct span s)
{
    if (s.n == 0 || s.n >= NUMBER || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}

bool span_u64(struct span s, uint64_t *out)
{
    char text[NUMBER];
    return to_text(text, s) && num_u64(text, 0, UINT64_MAX, out, NULL) == RC_OK;
}

bool span_i64(struct span s, int64_t *out)
{
    char text[NUMBER];
    return to_text(text, s) && num_i64(text, INT64_MIN, INT64_MAX, out, NULL) == RC_OK;
}

bool span_f64(struct span s, double *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    struct span rest = negative ? span_skip(s, 1) : s, whole = rest;
    uint64_t w, f = 0;
    double unit = 1;
    if (span_until(&rest, '.', &whole)) {
        if (rest.n > 9) /* more than anybody needs, and than the product below holds */
            rest.n = 9;
        if (!span_u64(rest, &f))
            return false;
        for (size_t i = 0; i < rest.n; i++)
            unit *= 10;
    }
    if (!span_u64(whole, &w))
        return false;
    double v = ((double)w * unit + (double)f) / unit; /* 1.82, not 1.8199999999999998 */
    *out = negative ? -v : v;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool span_hex(struct span s, size_t digits, uint64_t *out)
{
    if (s.n != digits || digits == 0 || digits > 16)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_digit(s.p[i]);
        if (d < 0)
            return false;
        v = v << 4 | (uint64_t)d;
    }
    *out = v;
    return true;
}

struct span span_basename(struct span s)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '/')
            return span_skip(s, i);
    return s;
}

void span_copy(char *dst, size_t cap, struct span s)
{
    size_t n = s.n < cap ? s.n : cap - 1;
    memcpy(dst, s.p, n);
    dst[n] = '\0';
}
