/* See buf.h. */
#include "common/buf.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    buf_init(b, b->max);
}

void buf_wipe(struct buf *b)
{
    if (b->data != NULL)
        explicit_bzero(b->data, b->cap);
    buf_fini(b);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
}

enum rc buf_reserve(struct buf *b, size_t more)
{
    if (more > b->max || b->len > b->max - more)
        return RC_LIMIT;
    size_t need = b->len + more;
    if (need <= b->cap)
        return RC_OK;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    uint8_t *data = mem_realloc(b->data, cap);
    if (data == NULL)
        return RC_NOMEM;
    b->data = data;
    b->cap = cap;
    return RC_OK;
}

enum rc buf_reserve_wiped(struct buf *b, size_t more)
{
    struct buf larger;
    if (b->len <= b->max && more > b->max - b->len)
        return RC_LIMIT;
    if (more <= b->cap - b->len)
        return RC_OK;
    size_t want = b->len + more < b->cap * 2 ? b->cap * 2 : b->len + more;
    buf_init(&larger, b->max);
    enum rc rc = buf_reserve(&larger, want <= b->max ? want : b->max);
    if (rc != RC_OK)
        return rc;
    (void)buf_append(&larger, b->data, b->len);
    buf_wipe(b);
    *b = larger;
    return RC_OK;
}

enum rc buf_append(struct buf *b, const void *p, size_t n)
{
    enum rc rc = buf_reserve(b, n);
    if (rc == RC_OK && n > 0) {
        memcpy(b->data + b->len, p, n);
        b->len += n;
    }
    return rc;
}

enum rc buf_puts(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

enum rc buf_putc(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

enum rc buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    char small[512];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    enum rc rc = RC_INTERNAL;
    if (n >= 0 && (size_t)n < sizeof small) {
        rc = buf_append(b, small, (size_t)n);
    } else if (n >= 0) {
        rc = buf_reserve(b, (size_t)n + 1);
        if (rc == RC_OK) {
            vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
    return rc;
}

enum rc buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum rc rc = buf_vprintf(b, fmt, ap);
    va_end(ap);
    return rc;
}

void buf_consume(struct buf *b, size_t n)
{
    must(n <= b->len);
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void buf_consume_wiped(struct buf *b, size_t n)
{
    buf_consume(b, n);
    if (n > 0)
        explicit_bzero(b->data + b->len, n);
}

const char *buf_cstr(struct buf *b)
{
    if (b->cap == b->len) {
        uint8_t *data = mem_realloc(b->data, b->len + 1);
        if (data == NULL)
            return NULL;
        b->data = data;
        b->cap = b->len + 1;
    }
    b->data[b->len] = '\0';
    return (const char *)b->data;
}

char *buf_take(struct buf *b, size_t *len)
{
    if (buf_cstr(b) == NULL)
        return NULL;
    char *p = (char *)b->data;
    if (len != NULL)
        *len = b->len;
    buf_init(b, b->max);
    return p;
}
