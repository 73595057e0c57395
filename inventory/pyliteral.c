/* See pyliteral.h. A recursive descent over the few forms that are literals; the first thing that
 * is not one ends the attempt, since the answer is then the text itself. */
#include "inventory/pyliteral.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/mem.h"
#include "common/str.h"
#include "inventory/inventory.h"

enum verdict { YES, NO, NO_MEMORY };

struct reader {
    const char *p, *end;
    struct arena *arena;
    const struct value_place *place;
    unsigned depth;
};

static enum verdict read_value(struct reader *r, const struct value **out);

/* Blanks and comments; line ends count as blanks inside brackets only, where values have none. */
static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\f'))
        r->p++;
    if (r->p < r->end && *r->p == '#')
        r->p = r->end;
}

static bool skip_char(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->p >= r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* --- strings --- */

static enum verdict put_codepoint(struct buf *b, uint32_t cp)
{
    char utf8[4];
    size_t n = 0;
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return NO;
    if (cp < 0x80) {
        utf8[n++] = (char)cp;
    } else if (cp < 0x800) {
        utf8[n++] = (char)(0xc0 | cp >> 6);
        utf8[n++] = (char)(0x80 | (cp & 0x3f));
    } else if (cp < 0x10000) {
        utf8[n++] = (char)(0xe0 | cp >> 12);
        utf8[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (cp & 0x3f));
    } else {
        utf8[n++] = (char)(0xf0 | cp >> 18);
        utf8[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
        utf8[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (cp & 0x3f));
    }
    return buf_append(b, utf8, n) == RC_OK ? YES : NO_MEMORY;
}

static enum verdict hex_escape(struct reader *r, struct buf *b, int digits)
{
    uint32_t cp = 0;
    for (int i = 0; i < digits; i++, r->p++) {
        if (r->p >= r->end || !isxdigit((unsigned char)*r->p))
            return NO;
        int c = tolower((unsigned char)*r->p);
        cp = cp << 4 | (uint32_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    return put_codepoint(b, cp);
}

static enum verdict octal_escape(struct reader *r, struct buf *b)
{
    uint32_t cp = 0;
    for (int i = 0; i < 3 && r->p < r->end && *r->p >= '0' && *r->p <= '7'; i++, r->p++)
        cp = cp * 8 + (uint32_t)(*r->p - '0');
    return put_codepoint(b, cp);
}

/* What follows a backslash. Escapes that Python does not know keep their backslash. */
static enum verdict escape(struct reader *r, struct buf *b, bool bytes)
{
    static const char plain[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    if (r->p >= r->end)
        return NO;
    char c = *r->p;
    if (c >= '0' && c <= '7')
        return octal_escape(r, b);
    r->p++;
    if (c == 'x')
        return hex_escape(r, b, 2);
    if (!bytes && (c == 'u' || c == 'U'))
        return hex_escape(r, b, c == 'u' ? 4 : 8);
    if (!bytes && c == 'N')
        return NO;
    for (const char *k = plain; *k != '\0'; k += 2)
        if (*k == c)
            return buf_putc(b, k[1]) == RC_OK ? YES : NO_MEMORY;
    if (buf_putc(b, '\\') != RC_OK || buf_putc(b, c) != RC_OK)
        return NO_MEMORY;
    return YES;
}

struct prefix {
    bool raw, bytes;
    size_t len;
};

/* r, b, u, br, rb in any case, directly before a quote. */
static bool read_prefix(const struct reader *r, struct prefix *out)
{
    *out = (struct prefix){0};
    for (const char *p = r->p; p < r->end && out->len < 3; p++, out->len++) {
        int c = tolower((unsigned char)*p);
        if (c == '\'' || c == '"')
            return true;
        if (c == 'r' && !out->raw)
            out->raw = true;
        else if (c == 'b' && !out->bytes)
            out->bytes = true;
        else if (c != 'u' || out->len > 0 || p + 1 >= r->end || (p[1] != '\'' && p[1] != '"'))
            return false;
    }
    return false;
}

static enum verdict read_string_body(struct reader *r, struct buf *b, const struct prefix *prefix)
{
    char quote = *r->p;
    size_t width = r->end - r->p >= 3 && r->p[1] == quote && r->p[2] == quote ? 3 : 1;
    r->p += width;
    while (r->p < r->end) {
        char c = *r->p;
        if (c == quote &&
            (width == 1 || (r->end - r->p >= 3 && r->p[1] == quote && r->p[2] == quote))) {
            r->p += width;
            return YES;
        }
        r->p++;
        if (prefix->bytes && (unsigned char)c >= 0x80)
            return NO;
        if (c == '\\' && !prefix->raw) {
            enum verdict v = escape(r, b, prefix->bytes);
            if (v != YES)
                return v;
            continue;
        }
        if (buf_putc(b, c) != RC_OK)
            return NO_MEMORY;
        if (c == '\\' && r->p < r->end && buf_putc(b, *r->p++) != RC_OK)
            return NO_MEMORY;
    }
    return NO;
}

/* One or more adjacent strings. */
static enum verdict read_strings(struct reader *r, const struct value **out)
{
    struct prefix prefix;
    struct buf b;
    buf_init(&b, (size_t)(r->end - r->p) * 4 + 8);
    enum verdict verdict = YES;
    bool bytes = false;
    for (bool first = true; verdict == YES && read_prefix(r, &prefix); first = false) {
        if (!first && bytes != prefix.bytes)
            verdict = NO;
        bytes = prefix.bytes;
        r->p += prefix.len;
        if (verdict == YES)
            verdict = read_string_body(r, &b, &prefix);
        skip_blanks(r);
    }
    struct value *v = NULL;
    if (verdict == YES) {
        v = value_new_string(r->arena, b.len ? (const char *)b.data : "", b.len, r->place);
        verdict = v ? YES : NO_MEMORY;
    }
    *out = v;
    buf_fini(&b);
    return verdict;
}

/* --- numbers --- */

/* digit ("_"? digit)* of a base; the digits go to `to`. */
static size_t read_digits(struct reader *r, char *to, bool hex, char top)
{
    size_t n = 0;
    while (r->p < r->end) {
        const char *p = r->p + (*r->p == '_' && n > 0);
        if (p >= r->end || !(hex ? isxdigit((unsigned char)*p) : *p >= '0' && *p <= top))
            break;
        to[n++] = *p;
        r->p = p + 1;
    }
    to[n] = '\0';
    return n;
}

static bool ends_number(const struct reader *r)
{
    return r->p >= r->end || !(isalnum((unsigned char)*r->p) || *r->p == '_' || *r->p == '.' ||
                               (unsigned char)*r->p >= 0x80);
}

static enum verdict based_int(struct reader *r, bool negative, char *digits, struct value *v)
{
    int kind = tolower((unsigned char)r->p[1]);
    r->p += 2;
    if (r->p < r->end && *r->p == '_')
        r->p++;
    size_t n = read_digits(r, digits, kind == 'x', kind == 'o' ? '7' : '1');
    char *end;
    long long i = strtoll(digits, &end, kind == 'x' ? 16 : kind == 'o' ? 8 : 2);
    if (n == 0 || i == INT64_MAX || !ends_number(r))
        return NO;
    v->type = VALUE_INT;
    v->u.integer = negative ? -i : i;
    return YES;
}

static enum verdict decimal_int(struct reader *r, bool negative, char *digits, size_t n,
                                struct value *v)
{
    if (digits[0] == '0' && strspn(digits, "0") != n)
        return NO; /* 0777 is no literal */
    int64_t i = 0;
    bool fits = true;
    for (size_t k = 0; k < n && fits; k++)
        fits =
            !__builtin_mul_overflow(i, 10, &i) && !__builtin_add_overflow(i, digits[k] - '0', &i);
    v->type = VALUE_INT;
    v->u.integer = negative ? -i : i;
    if (fits)
        return YES;
    char *text = n > 4300 ? NULL : arena_alloc(r->arena, n + 2);
    if (text == NULL)
        return n > 4300 ? NO : NO_MEMORY;
    text[0] = '-';
    memcpy(text + 1, digits, n + 1);
    v->type = VALUE_STRING;
    v->flags = VALUE_BIGINT;
    v->u.string.data = negative ? text : text + 1;
    v->u.string.len = n + negative;
    return YES;
}

/* Digits, then what makes it a float. `digits` has room for the whole rest of the text. */
static enum verdict decimal(struct reader *r, bool negative, char *digits, struct value *v)
{
    size_t n = read_digits(r, digits, false, '9');
    size_t whole = n;
    bool real = false;
    if (r->p < r->end && *r->p == '.') {
        real = true;
        r->p++;
        digits[n++] = '.';
        size_t more = read_digits(r, digits + n, false, '9');
        if (whole + more == 0)
            return NO;
        n += more;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        real = true;
        digits[n++] = *r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            digits[n++] = *r->p++;
        size_t more = read_digits(r, digits + n, false, '9');
        if (more == 0)
            return NO;
    }
    if (!ends_number(r))
        return NO;
    if (!real)
        return decimal_int(r, negative, digits, n, v);
    v->type = VALUE_FLOAT;
    v->u.real = strtod(digits, NULL) * (negative ? -1 : 1);
    return YES;
}

static enum verdict read_number(struct reader *r, const struct value **out)
{
    bool sign = *r->p == '-' || *r->p == '+', negative = *r->p == '-';
    r->p += sign;
    skip_blanks(r);
    if (r->p >= r->end || !(isdigit((unsigned char)*r->p) || *r->p == '.'))
        return NO;
    struct value *v = value_new(r->arena, VALUE_INT, r->place);
    char *digits = mem_alloc((size_t)(r->end - r->p) + 1);
    enum verdict verdict = NO_MEMORY;
    if (v != NULL && digits != NULL) {
        bool based = r->end - r->p > 2 && *r->p == '0' && strchr("xXoObB", r->p[1]) != NULL;
        verdict = based ? based_int(r, negative, digits, v) : decimal(r, negative, digits, v);
    }
    mem_free(digits);
    *out = v;
    return verdict;
}

/* --- collections --- */

struct items {
    const struct value **values;
    size_t count, cap;
};

static enum verdict add_item(struct items *l, const struct value *v)
{
    if (mem_grow(&l->values, &l->cap, l->count + 1, sizeof *l->values) != 0)
        return NO_MEMORY;
    l->values[l->count++] = v;
    return YES;
}

static enum verdict make_list(struct reader *r, const struct items *l, const struct value **out)
{
    struct value *v = value_new(r->arena, VALUE_LIST, r->place);
    const struct value **copy = arena_alloc(r->arena, l->count * sizeof *copy);
    if (v == NULL || copy == NULL)
        return NO_MEMORY;
    if (l->count > 0)
        memcpy(copy, l->values, l->count * sizeof *copy);
    v->u.list.items = copy;
    v->u.list.count = l->count;
    *out = v;
    return YES;
}

/* Items up to `close`; '\0' means up to the end of the text (a bare tuple). *comma says whether one
 * was seen, which is what makes a tuple. */
static enum verdict read_items(struct reader *r, char close, struct items *l, bool *comma)
{
    *comma = false;
    for (;;) {
        skip_blanks(r);
        if (close != '\0' ? skip_char(r, close) : r->p >= r->end)
            return l->count > 0 || close != '\0' ? YES : NO;
        if (l->count > 0 && !*comma)
            return NO;
        const struct value *item;
        enum verdict verdict = read_value(r, &item);
        if (verdict == YES)
            verdict = add_item(l, item);
        if (verdict != YES)
            return verdict;
        bool more = skip_char(r, ',');
        *comma = more || (*comma && l->count > 1);
        if (more)
            continue;
        skip_blanks(r);
        if (close != '\0')
            return skip_char(r, close) ? YES : NO;
        return r->p >= r->end ? YES : NO;
    }
}

static enum verdict read_sequence(struct reader *r, char close, const struct value **out)
{
    struct items l = {0};
    bool comma;
    enum verdict verdict = read_items(r, close, &l, &comma);
    if (verdict == YES && close != ']' && l.count == 1 && !comma)
        *out = l.values[0]; /* only parentheses */
    else if (verdict == YES)
        verdict = make_list(r, &l, out);
    mem_free(l.values);
    return verdict;
}

static enum verdict key_text(struct reader *r, const struct value *key, struct value_pair *pair)
{
    struct buf b;
    buf_init(&b, (size_t)(r->end - r->p) + 4096);
    pair->key_type = key->type;
    enum verdict verdict = YES;
    if (key->type == VALUE_LIST || key->type == VALUE_MAP)
        return NO;
    if (key->type == VALUE_STRING)
        pair->key = strlen(key->u.string.data) == key->u.string.len ? key->u.string.data : NULL;
    else if (value_json(&b, key, false, 0) != RC_OK)
        verdict = NO_MEMORY;
    else
        pair->key = arena_strndup(r->arena, (const char *)b.data, b.len);
    if (verdict == YES && pair->key == NULL)
        verdict = key->type == VALUE_STRING ? NO : NO_MEMORY;
    buf_fini(&b);
    return verdict;
}

struct dict {
    struct value_pair *pairs;
    size_t count, cap;
    struct map seen; /* key → index + 1 */
};

/* A key written again keeps its place and takes the later value. */
static enum verdict put_pair(struct dict *d, const struct value_pair *pair)
{
    uintptr_t known = (uintptr_t)map_gets(&d->seen, pair->key);
    if (known != 0) {
        d->pairs[known - 1].value = pair->value;
        return YES;
    }
    if (mem_grow(&d->pairs, &d->cap, d->count + 1, sizeof *d->pairs) != 0)
        return NO_MEMORY;
    d->pairs[d->count++] = *pair;
    return map_puts(&d->seen, pair->key, (void *)(uintptr_t)d->count) == 0 ? YES : NO_MEMORY;
}

static enum verdict read_pairs(struct reader *r, struct dict *d)
{
    for (bool comma = true;; comma = skip_char(r, ',')) {
        if (skip_char(r, '}'))
            return YES;
        if (!comma)
            return NO;
        const struct value *key;
        struct value_pair pair = {0};
        enum verdict verdict = read_value(r, &key);
        if (verdict == YES)
            verdict = key_text(r, key, &pair);
        if (verdict == YES)
            verdict = skip_char(r, ':') ? read_value(r, &pair.value) : NO;
        if (verdict == YES)
            verdict = put_pair(d, &pair);
        if (verdict != YES)
            return verdict;
    }
}

static enum verdict read_dict(struct reader *r, const struct value **out)
{
    struct dict d = {0};
    map_init(&d.seen);
    enum verdict verdict = read_pairs(r, &d);
    struct value *v = verdict == YES ? value_new(r->arena, VALUE_MAP, r->place) : NULL;
    struct value_pair *copy = v ? arena_alloc(r->arena, d.count * sizeof *copy) : NULL;
    if (verdict == YES && copy == NULL)
        verdict = NO_MEMORY;
    if (verdict == YES) {
        if (d.count > 0)
            memcpy(copy, d.pairs, d.count * sizeof *copy);
        v->u.map.pairs = copy;
        v->u.map.count = d.count;
        *out = v;
    }
    mem_free(d.pairs);
    map_fini(&d.seen);
    return verdict;
}

static enum verdict read_word(struct reader *r, const struct value **out)
{
    const char *start = r->p;
    while (r->p < r->end &&
           (isalnum((unsigned char)*r->p) || *r->p == '_' || (unsigned char)*r->p >= 0x80))
        r->p++;
    size_t n = (size_t)(r->p - start);
    bool truth = n == 4 && memcmp(start, "True", 4) == 0;
    if (!truth && !(n == 5 && memcmp(start, "False", 5) == 0) &&
        !(n == 4 && memcmp(start, "None", 4) == 0))
        return NO;
    struct value *v = value_new(r->arena, start[0] == 'N' ? VALUE_NULL : VALUE_BOOL, r->place);
    if (v == NULL)
        return NO_MEMORY;
    if (v->type == VALUE_BOOL)
        v->u.boolean = truth;
    *out = v;
    return YES;
}

static enum verdict read_value(struct reader *r, const struct value **out)
{
    struct prefix prefix;
    *out = NULL;
    skip_blanks(r);
    if (r->p >= r->end || r->depth >= INVENTORY_MAX_DEPTH)
        return NO;
    if (read_prefix(r, &prefix))
        return read_strings(r, out);
    char c = *r->p;
    if (isdigit((unsigned char)c) || c == '-' || c == '+' || c == '.')
        return read_number(r, out);
    if (c != '[' && c != '(' && c != '{')
        return read_word(r, out);
    r->p++;
    r->depth++;
    enum verdict verdict =
        c == '{' ? read_dict(r, out) : read_sequence(r, c == '[' ? ']' : ')', out);
    r->depth--;
    return verdict;
}

const struct value *pyliteral_parse(struct arena *arena, const char *text, size_t len,
                                    const struct value_place *place)
{
    struct reader r = {.p = text, .end = text + len, .arena = arena, .place = place};
    const struct value *v = NULL;
    /* Most values are plain words: see at the first character that they are no literal. */
    bool maybe = len > 0 && strchr("'\"0123456789+-.[({TFNrRbBuU \t", text[0]) != NULL;
    enum verdict verdict = maybe ? read_sequence(&r, '\0', &v) : NO;
    if (verdict == NO_MEMORY)
        return NULL;
    return verdict == YES ? v : value_new_string(arena, text, len, place);
}
