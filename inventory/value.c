/* See value.h. */
#include "inventory/value.h"

#include <ctype.h>
#include <inttypes.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

struct value *value_new(struct arena *arena, enum value_type type, const struct value_place *place)
{
    struct value *v = arena_calloc(arena, 1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->type = type;
    if (place != NULL)
        v->place = *place;
    return v;
}

struct value *value_new_string(struct arena *arena, const char *s, size_t n,
                               const struct value_place *place)
{
    struct value *v = value_new(arena, VALUE_STRING, place);
    char *copy = v ? arena_strndup(arena, s, n) : NULL;
    if (copy == NULL)
        return NULL;
    v->u.string.data = copy;
    v->u.string.len = n;
    return v;
}

struct value *value_new_int(struct arena *arena, int64_t i, const struct value_place *place)
{
    struct value *v = value_new(arena, VALUE_INT, place);
    if (v != NULL)
        v->u.integer = i;
    return v;
}

const struct value *value_get(const struct value *v, const char *key)
{
    if (v == NULL || v->type != VALUE_MAP)
        return NULL;
    for (size_t i = 0; i < v->u.map.count; i++)
        if (strcmp(v->u.map.pairs[i].key, key) == 0)
            return v->u.map.pairs[i].value;
    return NULL;
}

bool value_truthy(const struct value *v)
{
    if (v == NULL)
        return false;
    switch (v->type) {
    case VALUE_NULL: return false;
    case VALUE_BOOL: return v->u.boolean;
    case VALUE_INT: return v->u.integer != 0;
    case VALUE_FLOAT: return v->u.real != 0;
    case VALUE_STRING: return v->u.string.len != 0;
    case VALUE_LIST: return v->u.list.count != 0;
    case VALUE_MAP: return v->u.map.count != 0;
    case VALUE_VAULT: return true;
    }
    return false;
}

const char *value_type_text(const struct value *v)
{
    static const char *const names[] = {
        [VALUE_NULL] = "nothing",       [VALUE_BOOL] = "a boolean",
        [VALUE_INT] = "a whole number", [VALUE_FLOAT] = "a number",
        [VALUE_STRING] = "a text",      [VALUE_LIST] = "a list",
        [VALUE_MAP] = "a mapping",      [VALUE_VAULT] = "a sealed value",
    };
    return names[v ? v->type : VALUE_NULL];
}

bool value_is_template(const struct value *v)
{
    if (v == NULL || v->type != VALUE_STRING || (v->flags & VALUE_UNSAFE))
        return false;
    const char *p = v->u.string.data, *end = p + v->u.string.len;
    while ((p = memchr(p, '{', (size_t)(end - p))) != NULL) {
        if (p + 1 < end && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
            return true;
        p++;
    }
    return false;
}

bool value_is_opaque(const struct value *v)
{
    return v != NULL && (v->type == VALUE_VAULT || value_is_template(v));
}

char *value_place_text(char *dst, size_t cap, const struct value *v)
{
    dst[0] = '\0';
    if (v == NULL || v->place.file == NULL)
        return dst;
    if (v->place.line == 0)
        snprintf(dst, cap, "%s", v->place.file);
    else
        snprintf(dst, cap, "%s:%u:%u", v->place.file, v->place.line, v->place.column);
    return dst;
}

/* The fewest digits that read back as the same double, as d.ddd times ten to *exp. What 15 digits
 * can say is what is printed with 15, and zeros; only of the very smallest doubles it is not. */
static void shortest_digits(double d, char digits[20], int *exp)
{
    char text[40];
    for (int precision = d >= DBL_MIN ? DBL_DIG - 1 : 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (strtod(text, NULL) == d)
            break;
    }
    size_t n = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p != '.' && n < 17)
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    *exp = (int)strtol(p + 1, NULL, 10);
}

char *value_float_text(char *dst, double d)
{
    if (isnan(d) || isinf(d)) {
        snprintf(dst, VALUE_FLOAT_TEXT, "%s", isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
        return dst;
    }
    char digits[20];
    int exp;
    char *out = dst;
    if (signbit(d))
        *out++ = '-';
    shortest_digits(fabs(d), digits, &exp);
    int n = (int)strlen(digits);
    if (exp < -4 || exp >= 16) {
        snprintf(out, VALUE_FLOAT_TEXT - 1, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "",
                 digits + 1, exp < 0 ? '-' : '+', abs(exp));
    } else if (exp < 0) {
        snprintf(out, VALUE_FLOAT_TEXT - 1, "0.%.*s%s", -exp - 1, "0000", digits);
    } else if (n > exp + 1) {
        snprintf(out, VALUE_FLOAT_TEXT - 1, "%.*s.%s", exp + 1, digits, digits + exp + 1);
    } else {
        snprintf(out, VALUE_FLOAT_TEXT - 1, "%s%.*s.0", digits, exp + 1 - n, "0000000000000000");
    }
    return dst;
}

static enum rc json_float(struct buf *out, double d)
{
    char text[VALUE_FLOAT_TEXT];
    if (isnan(d))
        return buf_puts(out, "NaN");
    if (isinf(d))
        return buf_puts(out, d < 0 ? "-Infinity" : "Infinity");
    return buf_puts(out, value_float_text(text, d));
}

static enum rc json_wrapped(struct buf *out, const char *key, const struct value *v,
                            unsigned indent, unsigned level)
{
    enum rc rc = buf_putc(out, '{');
    if (rc == RC_OK && indent > 0)
        rc = buf_printf(out, "\n%*s", (int)(indent * (level + 1)), "");
    if (rc == RC_OK)
        rc = buf_printf(out, "\"%s\": ", key);
    if (rc == RC_OK)
        rc = str_json(out, v->u.string.data, v->u.string.len);
    if (rc == RC_OK && indent > 0)
        rc = buf_printf(out, "\n%*s", (int)(indent * level), "");
    return rc == RC_OK ? buf_putc(out, '}') : rc;
}

/* What stands before item i of a list or map, or before its end (i == count). */
static enum rc json_break(struct buf *out, bool first, bool end, unsigned indent, unsigned level)
{
    enum rc rc = first || end ? RC_OK : buf_puts(out, indent ? "," : ", ");
    if (rc != RC_OK || indent == 0)
        return rc;
    return buf_printf(out, "\n%*s", (int)(indent * (end ? level : level + 1)), "");
}

static int compare_pairs(const void *a, const void *b)
{
    const struct value_pair *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static enum rc json_pairs(struct buf *out, const struct value_pair *const *order,
                          const struct value_pair *pairs, size_t n, bool sorted, unsigned indent,
                          unsigned level)
{
    enum rc rc = buf_putc(out, '{');
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const struct value_pair *p = order ? order[i] : &pairs[i];
        rc = json_break(out, i == 0, false, indent, level);
        if (rc == RC_OK)
            rc = str_json_cstr(out, p->key);
        if (rc == RC_OK)
            rc = buf_puts(out, ": ");
        if (rc == RC_OK)
            rc = value_json_at(out, p->value, sorted, indent, level + 1);
    }
    if (rc == RC_OK && n > 0)
        rc = json_break(out, false, true, indent, level);
    return rc == RC_OK ? buf_putc(out, '}') : rc;
}

static enum rc json_map(struct buf *out, const struct value *v, bool sorted, unsigned indent,
                        unsigned level)
{
    const struct value_pair *pairs = v->u.map.pairs;
    size_t n = v->u.map.count;
    bool in_order = true;
    for (size_t i = 1; i < n && in_order; i++)
        in_order = strcmp(pairs[i - 1].key, pairs[i].key) < 0;
    if (!sorted || in_order)
        return json_pairs(out, NULL, pairs, n, sorted, indent, level);
    const struct value_pair **order = mem_realloc_array(NULL, n, sizeof *order);
    if (order == NULL)
        return RC_NOMEM;
    for (size_t i = 0; i < n; i++)
        order[i] = &pairs[i];
    qsort(order, n, sizeof *order, compare_pairs);
    enum rc rc = json_pairs(out, order, pairs, n, sorted, indent, level);
    mem_free(order);
    return rc;
}

static enum rc json_list(struct buf *out, const struct value *v, bool sorted, unsigned indent,
                         unsigned level)
{
    size_t n = v->u.list.count;
    enum rc rc = buf_putc(out, '[');
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = json_break(out, i == 0, false, indent, level);
        if (rc == RC_OK)
            rc = value_json_at(out, v->u.list.items[i], sorted, indent, level + 1);
    }
    if (rc == RC_OK && n > 0)
        rc = json_break(out, false, true, indent, level);
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

enum rc value_json_at(struct buf *out, const struct value *v, bool sorted, unsigned indent,
                      unsigned level)
{
    if (v == NULL)
        return buf_puts(out, "null");
    switch (v->type) {
    case VALUE_NULL: return buf_puts(out, "null");
    case VALUE_BOOL: return buf_puts(out, v->u.boolean ? "true" : "false");
    case VALUE_INT: return buf_printf(out, "%" PRId64, v->u.integer);
    case VALUE_FLOAT: return json_float(out, v->u.real);
    case VALUE_STRING:
        if (v->flags & VALUE_BIGINT)
            return buf_append(out, v->u.string.data, v->u.string.len);
        if (v->flags & VALUE_UNSAFE)
            return json_wrapped(out, "__ansible_unsafe", v, indent, level);
        return str_json(out, v->u.string.data, v->u.string.len);
    case VALUE_VAULT: return json_wrapped(out, "__ansible_vault", v, indent, level);
    case VALUE_LIST: return json_list(out, v, sorted, indent, level);
    case VALUE_MAP: return json_map(out, v, sorted, indent, level);
    }
    return RC_INTERNAL;
}

enum rc value_json(struct buf *out, const struct value *v, bool sorted, unsigned indent)
{
    return value_json_at(out, v, sorted, indent, 0);
}

static enum rc scalar_text(struct buf *out, const struct value *v)
{
    char text[VALUE_FLOAT_TEXT];
    switch (v->type) {
    case VALUE_NULL: return buf_puts(out, "None");
    case VALUE_BOOL: return buf_puts(out, v->u.boolean ? "True" : "False");
    case VALUE_INT: return buf_printf(out, "%" PRId64, v->u.integer);
    case VALUE_FLOAT: return buf_puts(out, value_float_text(text, v->u.real));
    case VALUE_STRING: return buf_append(out, v->u.string.data, v->u.string.len);
    default: return RC_PARSE;
    }
}

/* Errors that name the value's place, or nothing where it has none. */
static enum rc value_error(struct err *e, enum rc rc, const struct value *v, const char *what)
{
    char place[512];
    value_place_text(place, sizeof place, v);
    return err_set(e, rc, "%s%s%s", place, place[0] ? ": " : "", what);
}

static enum rc refuse_opaque(const struct value *v, struct err *e)
{
    if (!value_is_opaque(v))
        return RC_OK;
    return value_error(e, RC_OPAQUE, v,
                       v->type == VALUE_VAULT
                           ? "a sealed value is needed here and is not open"
                           : "a template is needed here and templates are not evaluated; "
                             "write the value itself");
}

enum rc value_text(const struct value *v, struct buf *out, struct err *e)
{
    enum rc rc = refuse_opaque(v, e);
    if (rc != RC_OK)
        return rc;
    if (v == NULL || v->type == VALUE_LIST || v->type == VALUE_MAP) {
        char what[64];
        snprintf(what, sizeof what, "a text or a number is needed, not %s", value_type_text(v));
        return value_error(e, RC_PARSE, v, what);
    }
    rc = scalar_text(out, v);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : value_error(e, rc, v, "the text is too long");
}

/* A string as repr() writes it: single quotes unless it holds only single quotes. */
static enum rc string_repr(struct buf *out, const char *s, size_t n)
{
    char quote = memchr(s, '\'', n) && !memchr(s, '"', n) ? '"' : '\'';
    enum rc rc = buf_putc(out, quote);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\n' || c == '\r' || c == '\t')
            rc = buf_printf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c == '\\' || c == (unsigned char)quote)
            rc = buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            rc = buf_printf(out, "\\x%02x", c);
        else
            rc = buf_putc(out, (char)c);
    }
    return rc == RC_OK ? buf_putc(out, quote) : rc;
}

static enum rc item_repr(struct buf *out, const struct value *v);

static enum rc key_repr(struct buf *out, const struct value_pair *p)
{
    switch (p->key_type) {
    case VALUE_STRING: return string_repr(out, p->key, strlen(p->key));
    case VALUE_BOOL: return buf_puts(out, p->key[0] == 't' ? "True" : "False");
    case VALUE_NULL: return buf_puts(out, "None");
    default: return buf_puts(out, p->key);
    }
}

static enum rc map_repr(struct buf *out, const struct value *v)
{
    enum rc rc = buf_putc(out, '{');
    for (size_t i = 0; rc == RC_OK && i < v->u.map.count; i++) {
        if (i > 0)
            rc = buf_puts(out, ", ");
        if (rc == RC_OK)
            rc = key_repr(out, &v->u.map.pairs[i]);
        if (rc == RC_OK)
            rc = buf_puts(out, ": ");
        if (rc == RC_OK)
            rc = item_repr(out, v->u.map.pairs[i].value);
    }
    return rc == RC_OK ? buf_putc(out, '}') : rc;
}

static enum rc list_repr(struct buf *out, const struct value *v)
{
    enum rc rc = buf_putc(out, '[');
    for (size_t i = 0; rc == RC_OK && i < v->u.list.count; i++) {
        if (i > 0)
            rc = buf_puts(out, ", ");
        if (rc == RC_OK)
            rc = item_repr(out, v->u.list.items[i]);
    }
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

static enum rc item_repr(struct buf *out, const struct value *v)
{
    if (v->type == VALUE_STRING && !(v->flags & VALUE_BIGINT))
        return string_repr(out, v->u.string.data, v->u.string.len);
    return value_repr(out, v);
}

enum rc value_repr(struct buf *out, const struct value *v)
{
    switch (v->type) {
    case VALUE_LIST: return list_repr(out, v);
    case VALUE_MAP: return map_repr(out, v);
    case VALUE_VAULT: return buf_puts(out, "(sealed)");
    default: return scalar_text(out, v);
    }
}

enum rc value_u64(const struct value *v, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    enum rc rc = refuse_opaque(v, e);
    if (rc != RC_OK)
        return rc;
    char text[NUM_TEXT];
    struct err inner;
    if (v != NULL && v->type == VALUE_INT && v->u.integer >= 0) {
        snprintf(text, sizeof text, "%" PRId64, v->u.integer);
        rc = num_u64(text, min, max, out, &inner);
    } else if (v != NULL && v->type == VALUE_STRING &&
               strlen(v->u.string.data) == v->u.string.len) {
        rc = num_u64(v->u.string.data, min, max, out, &inner);
    } else {
        rc = err_set(&inner, RC_PARSE, "a whole number from %" PRIu64 " to %" PRIu64 " is needed",
                     min, max);
    }
    return rc == RC_OK ? rc : value_error(e, rc, v, inner.msg);
}

/* ansible.module_utils.parsing.convert_bool: the words and numbers that count. */
static int bool_word(const char *s, size_t n)
{
    static const char *const words[] = {"no",  "n", "off", "0", "false", "f",
                                        "yes", "y", "on",  "1", "true",  "t"};
    for (; n > 0 && isspace((unsigned char)*s); s++)
        n--;
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    for (int i = 0; i < 12; i++)
        if (strlen(words[i]) == n && strncasecmp(words[i], s, n) == 0)
            return i >= 6;
    return -1;
}

enum rc value_bool(const struct value *v, bool *out, struct err *e)
{
    enum rc rc = refuse_opaque(v, e);
    if (rc != RC_OK)
        return rc;
    int is = -1;
    if (v != NULL && v->type == VALUE_BOOL)
        is = v->u.boolean;
    else if (v != NULL && v->type == VALUE_INT)
        is = v->u.integer == 1 ? 1 : v->u.integer == 0 ? 0 : -1;
    else if (v != NULL && v->type == VALUE_FLOAT)
        is = v->u.real == 1 ? 1 : v->u.real == 0 ? 0 : -1;
    else if (v != NULL && v->type == VALUE_STRING)
        is = bool_word(v->u.string.data, v->u.string.len);
    if (is < 0)
        return value_error(e, RC_PARSE, v, "yes or no is needed (also true, false, on, off, 1, 0)");
    *out = is;
    return RC_OK;
}
