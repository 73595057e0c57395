/* A writer in front of a sink or a buffer: collects small pieces, escapes, pads, counts.
 *
 * Allocates nothing once it is there, so that a report can be written when there is no memory
 * left. What it writes to a sink is never lost; what it writes to a buffer may not fit (failed).
 * Loop thread only.
 */
#ifndef CONTROLLER_OUTPUT_TEXT_H
#define CONTROLLER_OUTPUT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "controller/output/output.h"

enum {
    TEXT_HOLD = 8192,
    TEXT_PIECE = 4096,                 /* bytes escaped at a time */
    TEXT_SCRATCH = 6 * TEXT_PIECE + 2, /* "\u0000" for each byte, and the quotes */
};

struct text {
    const struct sink *sink; /* one of the two is set */
    struct buf *buf;
    struct buf scratch; /* reserved at init: where str_escape and str_json write */
    bool color;
    enum rc failed;   /* why something did not fit in the buffer; RC_OK: nothing */
    uint64_t written; /* bytes so far */
    size_t held;
    uint8_t hold[TEXT_HOLD];
};

enum text_style { TEXT_PLAIN, TEXT_BOLD, TEXT_DIM, TEXT_RED, TEXT_YELLOW, TEXT_GREEN };

/* RC_OK or RC_NOMEM. The sink is borrowed until text_fini. */
enum rc text_init(struct text *t, const struct sink *sink, bool color);
void text_fini(struct text *t); /* flushes to a sink */

/* Sends what is held. */
void text_flush(struct text *t);

void text_put(struct text *t, const void *p, size_t n);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_spaces(struct text *t, size_t n);

/* Text from outside, made harmless (str_escape with these flags), whatever its length. Bytes of a
 * character that is cut at the end of p are shown as bytes. */
void text_escape(struct text *t, const void *p, size_t n, unsigned flags);
void text_escape_str(struct text *t, const char *s);
/* The longest beginning of at most `most` bytes that cuts no character in two. */
size_t text_cut(const void *p, size_t n, size_t most);
/* Columns that text_escape_str will take. */
size_t text_width(struct text *t, const char *s);

/* The inside of a JSON string (no quotes) for valid UTF-8, safe to look at on a terminal too:
 * C1 and bidi controls are written as \uNNNN. */
void text_json_part(struct text *t, const void *p, size_t n);
void text_json(struct text *t, const char *s); /* with quotes; NULL gives null */
/* Multiples of 3 bytes but at the end: the parts then join to one base64 text. */
void text_base64_part(struct text *t, const void *p, size_t n);

/* Begins and ends a style; nothing without color. */
void text_style(struct text *t, enum text_style s);

#endif
