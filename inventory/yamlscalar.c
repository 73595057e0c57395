/* What a plain YAML scalar means: PyYAML's implicit resolvers and constructors (YAML 1.1). Dates
 * stay text. See yamldoc.h. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inventory/yamldoc.h"

struct cursor {
    const char *p, *end;
};

static bool at(const struct cursor *c, char want)
{
    return c->p < c->end && *c->p == want;
}

static bool skip(struct cursor *c, char want)
{
    bool is = at(c, want);
    c->p += is;
    return is;
}

static void skip_sign(struct cursor *c)
{
    if (!skip(c, '-'))
        skip(c, '+');
}

/* Skips [set]*; returns how many. */
static size_t skip_set(struct cursor *c, const char *set)
{
    const char *start = c->p;
    while (c->p < c->end && *c->p != '\0' && strchr(set, *c->p) != NULL)
        c->p++;
    return (size_t)(c->p - start);
}

static bool is_word(const char *s, size_t n, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strlen(*words) == n && memcmp(*words, s, n) == 0)
            return true;
    return false;
}

/* (?::[0-5]?[0-9])+ */
static bool skip_sixties(struct cursor *c)
{
    bool any = false;
    while (at(c, ':') && c->p + 1 < c->end && isdigit((unsigned char)c->p[1])) {
        c->p += 2;
        if (c->p < c->end && isdigit((unsigned char)*c->p) && c->p[-1] <= '5')
            c->p++;
        any = true;
    }
    return any;
}

#define DIGITS "0123456789"

enum form { FORM_TEXT, FORM_DECIMAL, FORM_OCTAL, FORM_HEX, FORM_BINARY, FORM_SIXTY };

static enum form int_form(const char *s, size_t n)
{
    struct cursor c = {s, s + n};
    skip_sign(&c);
    if (skip(&c, '0')) {
        if (c.p == c.end)
            return FORM_DECIMAL;
        if (skip(&c, 'b'))
            return skip_set(&c, "01_") && c.p == c.end ? FORM_BINARY : FORM_TEXT;
        if (skip(&c, 'x'))
            return skip_set(&c, DIGITS "abcdefABCDEF_") && c.p == c.end ? FORM_HEX : FORM_TEXT;
        return skip_set(&c, "01234567_") && c.p == c.end ? FORM_OCTAL : FORM_TEXT;
    }
    if (c.p == c.end || !isdigit((unsigned char)*c.p))
        return FORM_TEXT;
    skip_set(&c, DIGITS "_");
    if (c.p == c.end)
        return FORM_DECIMAL;
    return skip_sixties(&c) && c.p == c.end ? FORM_SIXTY : FORM_TEXT;
}

static bool skip_exponent(struct cursor *c)
{
    if (c->p == c->end)
        return true;
    if (!skip(c, 'e') && !skip(c, 'E'))
        return false;
    if (!skip(c, '-') && !skip(c, '+'))
        return false;
    return skip_set(c, DIGITS) > 0 && c->p == c->end;
}

/* FORM_DECIMAL or FORM_SIXTY for a float, FORM_TEXT when it is none. */
static enum form float_form(const char *s, size_t n)
{
    struct cursor c = {s, s + n};
    if (at(&c, '.')) {
        c.p++;
        if (c.p == c.end || !isdigit((unsigned char)*c.p))
            return FORM_TEXT;
        skip_set(&c, DIGITS "_");
        return skip_exponent(&c) ? FORM_DECIMAL : FORM_TEXT;
    }
    skip_sign(&c);
    if (c.p == c.end || !isdigit((unsigned char)*c.p))
        return FORM_TEXT;
    skip_set(&c, DIGITS "_");
    bool sixty = skip_sixties(&c);
    if (!skip(&c, '.'))
        return FORM_TEXT;
    skip_set(&c, DIGITS "_");
    if (sixty)
        return c.p == c.end ? FORM_SIXTY : FORM_TEXT;
    return skip_exponent(&c) ? FORM_DECIMAL : FORM_TEXT;
}

/* The text without its underscores and sign, in the arena. */
static char *bare_number(struct arena *arena, const char *s, size_t n, bool *negative)
{
    *negative = s[0] == '-';
    if (s[0] == '-' || s[0] == '+') {
        s++;
        n--;
    }
    char *copy = arena_strndup(arena, s, n);
    char *out = copy;
    for (size_t i = 0; copy != NULL && i < n; i++)
        if (s[i] != '_')
            *out++ = s[i];
    if (copy != NULL)
        *out = '\0';
    return copy;
}

static bool digits_value(const char *s, int base, int64_t *out)
{
    int64_t v = 0;
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        int d = isdigit((unsigned char)*s) ? *s - '0' : tolower((unsigned char)*s) - 'a' + 10;
        if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *out = v;
    return true;
}

static bool sixty_value(const char *s, int64_t *out)
{
    int64_t v = 0, part;
    char *end;
    for (;; s = end + 1) {
        part = strtoll(s, &end, 10);
        if (part == INT64_MAX || __builtin_mul_overflow(v, 60, &v) ||
            __builtin_add_overflow(v, part, &v))
            return false;
        if (*end != ':')
            break;
    }
    *out = v;
    return true;
}

/* Python's numbers have no end. Ours do: a decimal that does not fit keeps its digits. */
static enum rc big_decimal(struct arena *arena, const char *digits, bool negative, struct value *v,
                           struct err *e)
{
    size_t n = strlen(digits);
    char *text = arena_alloc(arena, n + 2);
    if (text == NULL)
        return err_nomem(e);
    text[0] = '-';
    memcpy(text + 1, digits, n + 1);
    v->type = VALUE_STRING;
    v->flags = VALUE_BIGINT;
    v->u.string.data = negative ? text : text + 1;
    v->u.string.len = n + negative;
    return RC_OK;
}

static enum rc set_int(struct arena *arena, enum form form, const char *s, size_t n,
                       struct value *v, struct err *e)
{
    bool negative;
    char *digits = bare_number(arena, s, n, &negative);
    if (digits == NULL)
        return err_nomem(e);
    int64_t i = 0;
    bool fits = false;
    switch (form) {
    case FORM_DECIMAL: fits = digits_value(digits, 10, &i); break;
    case FORM_OCTAL: fits = digits_value(digits, 8, &i); break;
    case FORM_HEX: fits = digits_value(digits + 2, 16, &i); break;
    case FORM_BINARY: fits = digits_value(digits + 2, 2, &i); break;
    case FORM_SIXTY: fits = sixty_value(digits, &i); break;
    case FORM_TEXT: break;
    }
    if (!fits && form == FORM_DECIMAL)
        return big_decimal(arena, digits, negative, v, e);
    if (!fits)
        return err_set(e, RC_LIMIT,
                       "'%.40s' is read as a number and does not fit into 64 bits; quote it if it "
                       "is a text",
                       s);
    v->type = VALUE_INT;
    v->u.integer = negative ? -i : i;
    return RC_OK;
}

static enum rc set_float(struct arena *arena, enum form form, const char *s, size_t n,
                         struct value *v, struct err *e)
{
    bool negative;
    char *digits = bare_number(arena, s, n, &negative);
    if (digits == NULL)
        return err_nomem(e);
    double d = 0;
    char *end = digits;
    if (form == FORM_SIXTY) {
        /* PyYAML adds from the smallest part up, and so does the rounding. */
        double base = 1;
        for (char *colon; (colon = strrchr(digits, ':')) != NULL; base *= 60) {
            d += strtod(colon + 1, NULL) * base;
            *colon = '\0';
        }
        d += strtod(digits, NULL) * base;
    } else {
        d = strtod(digits, &end);
    }
    v->type = VALUE_FLOAT;
    v->u.real = negative ? -d : d;
    return RC_OK;
}

static bool set_special(const char *s, size_t n, struct value *v)
{
    static const char *const truths[] = {"yes",  "Yes", "YES", "true", "True",
                                         "TRUE", "on",  "On",  "ON",   NULL};
    static const char *const lies[] = {"no",    "No",  "NO",  "false", "False",
                                       "FALSE", "off", "Off", "OFF",   NULL};
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    bool sign = n > 0 && (s[0] == '-' || s[0] == '+');
    if (is_word(s, n, truths) || is_word(s, n, lies)) {
        v->type = VALUE_BOOL;
        v->u.boolean = is_word(s, n, truths);
    } else if (is_word(s, n, nulls)) {
        v->type = VALUE_NULL;
    } else if (is_word(s + sign, n - sign, infinities)) {
        v->type = VALUE_FLOAT;
        v->u.real = s[0] == '-' ? -INFINITY : INFINITY;
    } else if (is_word(s, n, nans)) {
        v->type = VALUE_FLOAT;
        v->u.real = NAN;
    } else {
        return false;
    }
    return true;
}

enum rc yamldoc_resolve(struct arena *arena, const char *text, size_t len, struct value *v,
                        struct err *e)
{
    if (set_special(text, len, v))
        return RC_OK;
    if (strchr("-+." DIGITS, text[0]) != NULL) {
        enum form form = float_form(text, len);
        if (form != FORM_TEXT)
            return set_float(arena, form, text, len, v, e);
        form = int_form(text, len);
        if (form != FORM_TEXT)
            return set_int(arena, form, text, len, v, e);
    }
    char *copy = arena_strndup(arena, text, len);
    if (copy == NULL)
        return err_nomem(e);
    v->type = VALUE_STRING;
    v->u.string.data = copy;
    v->u.string.len = len;
    return RC_OK;
}
