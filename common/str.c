/* See str.h. */
#include "common/str.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"

size_t str_utf8_decode(const void *data, size_t n, uint32_t *cp)
{
    const uint8_t *p = data;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0)
        return 0;
    size_t len = p[0] < 0x80                   ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                 : (p[0] & 0xf0) == 0xe0       ? 3
                 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                               : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    if (cp != NULL)
        *cp = c;
    return len;
}

bool str_utf8_valid(const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n;) {
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        size_t len = str_utf8_decode(p + i, n - i, NULL);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static bool is_harmful(uint32_t c, unsigned flags)
{
    if (c == '\n')
        return !(flags & STR_KEEP_NEWLINE);
    if (c == '\t')
        return !(flags & STR_KEEP_TAB);
    if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        return true;
    return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* How many bytes at p pass together: a run of harmless ones, or 0 when the first must be escaped;
 * *bad is then how many bytes to escape. */
static size_t harmless_run(const uint8_t *p, size_t n, unsigned flags, size_t *bad)
{
    size_t i = 0;
    while (i < n) {
        if (p[i] >= 0x20 && p[i] < 0x7f) {
            i++;
            continue;
        }
        uint32_t c;
        size_t len = str_utf8_decode(p + i, n - i, &c);
        if (len == 0 || is_harmful(c, flags)) {
            *bad = len ? len : 1;
            break;
        }
        i += len;
    }
    return i;
}

enum rc str_escape(struct buf *out, const void *data, size_t n, unsigned flags)
{
    const uint8_t *p = data;
    size_t bad = 0;
    while (n > 0) {
        size_t run = harmless_run(p, n, flags, &bad);
        enum rc rc = buf_append(out, p, run);
        p += run;
        n -= run;
        for (size_t i = 0; rc == RC_OK && n > 0 && i < bad; i++)
            rc = buf_printf(out, "\\x%02x", p[i]);
        if (rc != RC_OK)
            return rc;
        if (n > 0) {
            p += bad;
            n -= bad;
        }
    }
    return RC_OK;
}

char *str_escape_to(char *dst, size_t cap, const void *data, size_t n, unsigned flags)
{
    const uint8_t *p = data;
    size_t out = 0;
    while (n > 0 && cap > 0) {
        size_t len = str_utf8_decode(p, n, NULL);
        char piece[4 * 4 + 1];
        size_t bad = 0, take = len ? len : 1, m = 0;
        if (harmless_run(p, take, flags, &bad) == take) {
            memcpy(piece, p, take);
            m = take;
        } else {
            for (size_t i = 0; i < take; i++)
                m += (size_t)snprintf(piece + m, sizeof piece - m, "\\x%02x", p[i]);
        }
        if (out + m >= cap)
            break;
        memcpy(dst + out, piece, m);
        out += m;
        p += take;
        n -= take;
    }
    if (cap > 0)
        dst[out] = '\0';
    return dst;
}

static enum rc json_control(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"': return buf_puts(out, "\\\"");
    case '\\': return buf_puts(out, "\\\\");
    case '\n': return buf_puts(out, "\\n");
    case '\r': return buf_puts(out, "\\r");
    case '\t': return buf_puts(out, "\\t");
    default: return buf_printf(out, "\\u%04x", c);
    }
}

enum rc str_json(struct buf *out, const void *data, size_t n)
{
    const uint8_t *p = data;
    enum rc rc = buf_putc(out, '"');
    for (size_t i = 0, start = 0; rc == RC_OK && i <= n;) {
        bool end = i == n;
        size_t len = 1;
        bool plain = !end && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\';
        if (!end && p[i] >= 0x80) {
            len = str_utf8_decode(p + i, n - i, NULL);
            plain = len > 0;
        }
        if (plain) {
            i += len;
            continue;
        }
        rc = buf_append(out, p + start, i - start);
        if (rc == RC_OK && !end)
            rc = len == 0 ? buf_puts(out, "\xef\xbf\xbd") : json_control(out, p[i]);
        i++;
        start = i;
    }
    return rc == RC_OK ? buf_putc(out, '"') : rc;
}

enum rc str_json_cstr(struct buf *out, const char *s)
{
    return s == NULL ? buf_puts(out, "null") : str_json(out, s, strlen(s));
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum rc str_base64(struct buf *out, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (n > (SIZE_MAX - 8) / 2)
        return RC_LIMIT;
    enum rc rc = buf_reserve(out, (n + 2) / 3 * 4);
    if (rc != RC_OK)
        return rc;
    uint8_t *q = out->data + out->len;
    for (; n > 0; p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        *q++ = (uint8_t)base64_digits[v >> 18];
        *q++ = (uint8_t)base64_digits[v >> 12 & 63];
        *q++ = n > 1 ? (uint8_t)base64_digits[v >> 6 & 63] : '=';
        *q++ = n > 2 ? (uint8_t)base64_digits[v & 63] : '=';
        n -= n > 2 ? 3 : n;
    }
    out->len = (size_t)(q - out->data);
    return RC_OK;
}

static int base64_value(char c)
{
    const char *at = c ? strchr(base64_digits, c) : NULL;
    return at ? (int)(at - base64_digits) : -1;
}

static enum rc unbase64_group(struct buf *out, const char *s, bool last)
{
    int pad = last ? (s[3] == '=') + (s[3] == '=' && s[2] == '=') : 0;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = i >= 4 - pad ? 0 : base64_value(s[i]);
        if (d < 0)
            return RC_PARSE;
        v = v << 6 | (uint32_t)d;
    }
    if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
        return RC_PARSE;
    uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    return buf_append(out, bytes, (size_t)(3 - pad));
}

enum rc str_unbase64(struct buf *out, const char *s, size_t n)
{
    if (n % 4 != 0)
        return RC_PARSE;
    for (size_t i = 0; i < n; i += 4) {
        enum rc rc = unbase64_group(out, s + i, i + 4 == n);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc str_hex(struct buf *out, const void *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        char pair[2] = {digits[p[i] >> 4], digits[p[i] & 15]};
        rc = buf_append(out, pair, 2);
    }
    return rc;
}

static bool is_shell_plain(const char *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    return *s != '\0' && strspn(s, plain) == strlen(s);
}

enum rc str_shell_quote(struct buf *out, const char *s)
{
    if (is_shell_plain(s))
        return buf_puts(out, s);
    enum rc rc = buf_putc(out, '\'');
    while (rc == RC_OK && *s != '\0') {
        size_t run = strcspn(s, "'");
        rc = buf_append(out, s, run);
        s += run;
        if (rc == RC_OK && *s == '\'') {
            rc = buf_puts(out, "'\\''");
            s++;
        }
    }
    return rc == RC_OK ? buf_putc(out, '\'') : rc;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* Matches one character class "[...]" at *pat against c; moves *pat past it. Without a closing
 * bracket "[" is an ordinary character, as in Python's fnmatch. */
static bool match_class(const char **pat, unsigned char c, bool *is_class)
{
    const char *p = *pat + 1;
    bool negate = *p == '!';
    if (negate)
        p++;
    const char *first = p, *close = *p != '\0' ? strchr(p + (*p == ']'), ']') : NULL;
    *is_class = close != NULL;
    if (close == NULL)
        return false;
    bool hit = false;
    for (p = first; p < close; p++) {
        if (p + 2 < close && p[1] == '-') {
            hit |= (unsigned char)p[0] <= c && c <= (unsigned char)p[2];
            p += 2;
        } else {
            hit |= (unsigned char)*p == c;
        }
    }
    *pat = close + 1;
    return hit != negate;
}

/* One pattern element that is not '*' against one character; moves both on when it matches. */
static bool match_one(const char **pat, const char **name)
{
    unsigned char c = (unsigned char)**name;
    const char *p = *pat;
    bool ok, is_class = false;
    if (*p == '[')
        ok = match_class(&p, c, &is_class);
    else
        ok = false;
    if (!is_class) {
        ok = *p == '?' || (unsigned char)*p == c;
        p++;
    }
    if (!ok)
        return false;
    *pat = p;
    (*name)++;
    return true;
}

/* Greedy with one remembered star: going back further than the last star never helps. */
bool str_fnmatch(const char *pattern, const char *name)
{
    const char *star = NULL, *resume = NULL;
    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = name;
        } else if (*name == '\0') {
            return *pattern == '\0';
        } else if (*pattern != '\0' && match_one(&pattern, &name)) {
            continue;
        } else if (star != NULL) {
            pattern = star;
            name = ++resume;
        } else {
            return false;
        }
    }
}

unsigned str_distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n > MOST || m > MOST)
        return 99;
    unsigned row[MOST + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[m];
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].first && c <= r[i].last)
            return true;
    return false;
}

/* Blocks of Unicode's EastAsianWidth W/F and of combining marks: enough to keep columns straight.
 */
static unsigned char_width(uint32_t c)
{
    static const struct range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
                                        {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},
                                        {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                                        {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                                        {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    static const struct range zero[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},
                                        {0x610, 0x61a},   {0x64b, 0x65f},   {0x1ab0, 0x1aff},
                                        {0x1dc0, 0x1dff}, {0x200b, 0x200d}, {0x20d0, 0x20ff},
                                        {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    if (c < 0x300)
        return 1;
    if (in_ranges(zero, sizeof zero / sizeof zero[0], c))
        return 0;
    return in_ranges(wide, sizeof wide / sizeof wide[0], c) ? 2 : 1;
}

size_t str_width(const char *s, size_t n)
{
    size_t width = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t len = str_utf8_decode(s + i, n - i, &c);
        width += len ? char_width(c) : 1;
        i += len ? len : 1;
    }
    return width;
}
