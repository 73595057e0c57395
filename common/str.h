/* Text: UTF-8, escaping for terminals, JSON strings, base64, hex, shell quoting.
 * Pure functions; any thread.
 */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

/* Length in bytes (1-4) of the UTF-8 sequence at p, or 0 when it is not valid (RFC 3629:
 * no surrogates, no overlong forms, at most U+10FFFF). *cp gets the code point; may be NULL. */
size_t str_utf8_decode(const void *p, size_t n, uint32_t *cp);
bool str_utf8_valid(const void *p, size_t n);

enum str_escape_flags {
    STR_KEEP_NEWLINE = 1, /* \n passes */
    STR_KEEP_TAB = 2,     /* \t passes */
};

/* Appends text from outside so that it can do nothing to a terminal or a log line: C0 (but what
 * flags keep), DEL, C1, bidi controls (U+202A-E, U+2066-9, U+200E-F, U+061C), line separators
 * (U+2028-9) and bytes that are not UTF-8 become \xNN, byte by byte; a backslash stays as it is. */
enum rc str_escape(struct buf *out, const void *p, size_t n, unsigned flags);

/* The same into a fixed array, always terminated, cut on a character's boundary. Returns dst. */
char *str_escape_to(char *dst, size_t cap, const void *p, size_t n, unsigned flags);

/* Appends a JSON string with its quotes (RFC 8259). Bytes must be valid UTF-8: what is not becomes
 * U+FFFD; callers that need exact bytes test with str_utf8_valid and write base64 instead. */
enum rc str_json(struct buf *out, const void *p, size_t n);
enum rc str_json_cstr(struct buf *out, const char *s); /* NULL gives null */

/* Standard base64 with padding (RFC 4648 §4), without line breaks. */
enum rc str_base64(struct buf *out, const void *p, size_t n);
/* Strict: RC_PARSE on anything that is not canonical. */
enum rc str_unbase64(struct buf *out, const char *s, size_t n);
enum rc str_hex(struct buf *out, const void *p, size_t n); /* lower case */

/* Appends one word quoted for POSIX sh: as it is when made of [A-Za-z0-9_@%+=:,./-], otherwise
 * in single quotes. Bytes survive exactly, NUL excepted (RC_PARSE). */
enum rc str_shell_quote(struct buf *out, const char *s);

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Shell-style match: * ? [chars] [!chars], as Python's fnmatch.fnmatchcase. Linear in the length
 * of the name times the length of the pattern, whatever the pattern. */
bool str_fnmatch(const char *pattern, const char *name);

/* Levenshtein distance, capped at 64-byte words (longer: returns 99): "did you mean". */
unsigned str_distance(const char *a, const char *b);

/* Columns that a terminal uses for valid UTF-8 (wcwidth without a locale: wide East Asian = 2,
 * combining = 0); bytes that are not UTF-8 count 1. */
size_t str_width(const char *s, size_t n);

#endif
