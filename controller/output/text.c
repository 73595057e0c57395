/* See text.h. */
#include "controller/output/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

enum rc text_init(struct text *t, const struct sink *sink, bool color)
{
    t->sink = sink;
    t->buf = NULL;
    t->color = color;
    t->failed = RC_OK;
    t->written = 0;
    t->held = 0;
    buf_init(&t->scratch, TEXT_SCRATCH);
    return buf_reserve(&t->scratch, TEXT_SCRATCH);
}

void text_fini(struct text *t)
{
    text_flush(t);
    buf_fini(&t->scratch);
}

void text_flush(struct text *t)
{
    if (t->held > 0 && t->sink != NULL)
        t->sink->write(t->sink->user, t->hold, t->held);
    t->held = 0;
}

void text_put(struct text *t, const void *p, size_t n)
{
    t->written += n;
    if (t->buf != NULL) {
        if (t->failed == RC_OK)
            t->failed = buf_append(t->buf, p, n);
        return;
    }
    if (n > sizeof t->hold - t->held)
        text_flush(t);
    if (n > sizeof t->hold) {
        t->sink->write(t->sink->user, p, n);
        return;
    }
    if (n > 0)
        memcpy(t->hold + t->held, p, n);
    t->held += n;
}

void text_puts(struct text *t, const char *s)
{
    text_put(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    /* For our own short words only: names and messages go through text_escape. */
    must(n >= 0 && (size_t)n < sizeof line);
    text_put(t, line, (size_t)n);
}

void text_spaces(struct text *t, size_t n)
{
    static const char blanks[] = "                                ";
    for (; n > 0; n -= n < 32 ? n : 32)
        text_put(t, blanks, n < 32 ? n : 32);
}

size_t text_cut(const void *data, size_t n, size_t most)
{
    const uint8_t *p = data;
    if (n <= most)
        return n;
    size_t cut = most;
    while (cut > 0 && cut + 3 >= most && (p[cut] & 0xc0) == 0x80)
        cut--;
    return cut > 0 ? cut : most;
}

void text_escape(struct text *t, const void *data, size_t n, unsigned flags)
{
    const uint8_t *p = data;
    while (n > 0) {
        size_t take = text_cut(p, n, TEXT_PIECE);
        buf_reset(&t->scratch);
        must(str_escape(&t->scratch, p, take, flags) == RC_OK);
        text_put(t, t->scratch.data, t->scratch.len);
        p += take;
        n -= take;
    }
}

void text_escape_str(struct text *t, const char *s)
{
    text_escape(t, s, strlen(s), 0);
}

size_t text_width(struct text *t, const char *s)
{
    size_t n = strlen(s), width = 0;
    while (n > 0) {
        size_t take = text_cut(s, n, TEXT_PIECE);
        buf_reset(&t->scratch);
        must(str_escape(&t->scratch, s, take, 0) == RC_OK);
        width += str_width((const char *)t->scratch.data, t->scratch.len);
        s += take;
        n -= take;
    }
    return width;
}

/* Characters that JSON lets through and that a terminal would obey or hide. */
static bool is_hidden(uint32_t c)
{
    return (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void json_run(struct text *t, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t take = text_cut(p, n, TEXT_PIECE);
        buf_reset(&t->scratch);
        must(str_json(&t->scratch, p, take) == RC_OK);
        text_put(t, t->scratch.data + 1, t->scratch.len - 2);
        p += take;
        n -= take;
    }
}

static bool is_plain(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
        i++;
    return i == n;
}

void text_json_part(struct text *t, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t start = 0, i = 0;
    if (is_plain(p, n)) { /* most names are */
        text_put(t, p, n);
        return;
    }
    while (i < n) {
        uint32_t c = p[i];
        size_t len = c < 0x80 ? 1 : str_utf8_decode(p + i, n - i, &c);
        if (len > 0 && is_hidden(c)) {
            json_run(t, p + start, i - start);
            text_printf(t, "\\u%04x", (unsigned)c);
            start = i + len;
        }
        i += len ? len : 1;
    }
    json_run(t, p + start, n - start);
}

void text_json(struct text *t, const char *s)
{
    if (s == NULL) {
        text_puts(t, "null");
        return;
    }
    text_put(t, "\"", 1);
    text_json_part(t, s, strlen(s));
    text_put(t, "\"", 1);
}

void text_base64_part(struct text *t, const void *data, size_t n)
{
    const uint8_t *p = data;
    while (n > 0) {
        size_t take = n < TEXT_PIECE / 3 * 3 ? n : TEXT_PIECE / 3 * 3;
        buf_reset(&t->scratch);
        must(str_base64(&t->scratch, p, take) == RC_OK);
        text_put(t, t->scratch.data, t->scratch.len);
        p += take;
        n -= take;
    }
}

void text_style(struct text *t, enum text_style s)
{
    static const char *const codes[] = {
        [TEXT_PLAIN] = "\033[0m", [TEXT_BOLD] = "\033[1m",    [TEXT_DIM] = "\033[2m",
        [TEXT_RED] = "\033[31m",  [TEXT_YELLOW] = "\033[33m", [TEXT_GREEN] = "\033[32m",
    };
    if (t->color)
        text_puts(t, codes[s]);
}
