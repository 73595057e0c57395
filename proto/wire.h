/* msgpack from outside, checked before anything is allocated for it; and reading and writing of the
 * maps our messages are. The validator is ours, decoding and encoding are msgpack-c's.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msgpack.h>

#include "common/buf.h"
#include "common/err.h"

enum { WIRE_MAX_DEPTH = 16, WIRE_MAX_NODES = 65536, WIRE_MAX_KEYS = 64 };

/* One whole msgpack value, exactly n bytes; depth, node count, lengths and string sizes within the
 * bytes present; no ext types; map keys are strings, no key twice in a map of at most 64 keys.
 * Iterative, allocates nothing. RC_OK or RC_PROTO with what was wrong and at which byte. */
enum rc wire_validate(const void *p, size_t n, struct err *e);

/* A decoded map. wire_open validates first; RC_PROTO when it is not a map of ours, RC_NOMEM. Close
 * it after success; strings and binaries are borrowed from the bytes given, which must stay. */
struct wire_map {
    msgpack_zone zone;
    msgpack_object root;
};
enum rc wire_open(struct wire_map *m, const void *p, size_t n, struct err *e);
/* The same of bytes that wire_validate has accepted, and only of those: msgpack-c allocates what
 * headers claim. */
enum rc wire_open_valid(struct wire_map *m, const void *p, size_t n, struct err *e);
void wire_close(struct wire_map *m);

size_t wire_count(const struct wire_map *m); /* members, nil ones included */

/* Members. RC_OK; RC_NOTFOUND when absent (or nil); RC_PROTO when of another type or out of range.
 * On failure *out is untouched. Strings and binaries are not terminated. */
enum rc wire_u64(const struct wire_map *m, const char *key, uint64_t max, uint64_t *out);
enum rc wire_i64(const struct wire_map *m, const char *key, int64_t min, int64_t max, int64_t *out);
enum rc wire_bool(const struct wire_map *m, const char *key, bool *out);
enum rc wire_str(const struct wire_map *m, const char *key, size_t max, const char **s, size_t *n);
enum rc wire_bin(const struct wire_map *m, const char *key, size_t max, const void **p, size_t *n);
/* Copies into a fixed array, terminated; RC_PROTO when it does not fit or holds a NUL. */
enum rc wire_str_to(const struct wire_map *m, const char *key, char *dst, size_t cap);
enum rc wire_array(const struct wire_map *m, const char *key, size_t max,
                   const msgpack_object_array **out);
enum rc wire_f64(const struct wire_map *m, const char *key, double *out); /* or an integer */
/* A map inside: borrowed from m, never to be closed. */
enum rc wire_map(const struct wire_map *m, const char *key, struct wire_map *out);
/* An array of numbers, at most `max` of them, none above `top`. */
enum rc wire_u64s(const struct wire_map *m, const char *key, size_t max, uint64_t top,
                  uint64_t *out, size_t *n);

/* Writing into a buf through msgpack-c. The first failure (the buffer's cap, no memory) is kept and
 * everything after it does nothing, so that a message is written straight down and asked once. */
struct wire_out {
    msgpack_packer pk;
    struct buf *buf;
    enum rc rc; /* the first failure, or RC_OK */
};
void wire_out_init(struct wire_out *w, struct buf *buf);
enum rc wire_out_end(
    const struct wire_out *w); /* RC_OK, RC_LIMIT or RC_NOMEM: drop what is there */

void wire_put_map(struct wire_out *w, size_t members); /* that many wire_put_* follow */
void wire_put_str(struct wire_out *w, const char *key, const char *s);
void wire_put_strn(struct wire_out *w, const char *key, const char *s, size_t n);
void wire_put_bin(struct wire_out *w, const char *key, const void *p, size_t n);
void wire_put_u64(struct wire_out *w, const char *key, uint64_t v);
void wire_put_i64(struct wire_out *w, const char *key, int64_t v);
void wire_put_bool(struct wire_out *w, const char *key, bool v);
void wire_put_u64s(struct wire_out *w, const char *key, const uint64_t *v, size_t n);
void wire_put_f64(struct wire_out *w, const char *key, double v);

/* The same without a key: items of a list, or what follows wire_add_key. */
void wire_add_key(struct wire_out *w, const char *key);
void wire_add_str(struct wire_out *w, const char *s);
void wire_add_strn(struct wire_out *w, const char *s, size_t n);
void wire_add_bin(struct wire_out *w, const void *p, size_t n);
void wire_add_u64(struct wire_out *w, uint64_t v);
void wire_add_i64(struct wire_out *w, int64_t v);
void wire_add_f64(struct wire_out *w, double v);
void wire_add_bool(struct wire_out *w, bool v);
void wire_add_nil(struct wire_out *w);
void wire_add_array(struct wire_out *w, size_t items);
void wire_add_map(struct wire_out *w, size_t members);
/* A container whose size is known only at its end: close gets what open gave and the number of
 * items (of a map: of members), at most 65,535. They may be nested; close in reverse order. */
size_t wire_open_array(struct wire_out *w);
size_t wire_open_map(struct wire_out *w);
void wire_close_counted(struct wire_out *w, size_t at, size_t count);

#endif
