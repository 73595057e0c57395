/* A growing byte buffer that is born with a cap. What would pass the cap is refused whole and the
 * buffer stays as it was: nothing that a peer sends can make it larger. One thread at a time.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct buf {
    uint8_t *data; /* NULL while nothing was stored; not terminated, see buf_cstr */
    size_t len;
    size_t cap; /* allocated */
    size_t max; /* len never passes this */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; the buffer is then as after init with the same max */
void buf_wipe(struct buf *b);  /* overwrites, then frees: for secrets */
void buf_reset(struct buf *b); /* empties, keeps the memory */

/* RC_OK, RC_LIMIT (cap) or RC_NOMEM; on failure the contents are unchanged. */
enum rc buf_reserve(struct buf *b, size_t more);
/* The same for secrets: where it grows or moves, nothing of it stays behind, as realloc and memmove
 * would leave it. */
enum rc buf_reserve_wiped(struct buf *b, size_t more);
void buf_consume_wiped(struct buf *b, size_t n);
enum rc buf_append(struct buf *b, const void *p, size_t n);
enum rc buf_puts(struct buf *b, const char *s);
enum rc buf_putc(struct buf *b, char c);
enum rc buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum rc buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Drops n (at most len) bytes from the front. Moves the rest: keep n large or the buffer small. */
void buf_consume(struct buf *b, size_t n);

/* The contents as a C string, owned by the buffer and valid until it changes; NULL when there is
 * no memory for the terminator. */
const char *buf_cstr(struct buf *b);

/* Hands the memory over (mem_free it), terminated, *len excluding the terminator (len may be NULL).
 * NULL when there is no memory. The buffer is empty after success. */
char *buf_take(struct buf *b, size_t *len);

#endif
