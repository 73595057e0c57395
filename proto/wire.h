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

enum { WIRE_MAX_DEPTH = 16, WIRE_MAX_NODES = 65536 };

/* One whole msgpack value, exactly n bytes; depth, node count, lengths and string sizes within the
 * bytes present; no ext types; map keys are strings, no key twice in a map of at most 64 keys.
 * Iterative, allocates nothing. RC_OK or RC_PROTO with what was wrong and at which byte. */
enum rc wire_validate(const void *p, size_t n, struct err *e);

/* A decoded map. wire_open validates first. Close it when done; pointers into it die with it. */
struct wire_map {
    msgpack_zone zone;
    msgpack_object root;
};
enum rc wire_open(struct wire_map *m, const void *p, size_t n, struct err *e);
void wire_close(struct wire_map *m);

/* Members. RC_OK; RC_NOTFOUND when absent (or nil); RC_PROTO when of another type or out of range.
 * Strings and binaries are borrowed, not terminated. */
enum rc wire_u64(const struct wire_map *m, const char *key, uint64_t max, uint64_t *out);
enum rc wire_i64(const struct wire_map *m, const char *key, int64_t min, int64_t max, int64_t *out);
enum rc wire_bool(const struct wire_map *m, const char *key, bool *out);
enum rc wire_str(const struct wire_map *m, const char *key, size_t max, const char **s, size_t *n);
enum rc wire_bin(const struct wire_map *m, const char *key, size_t max, const void **p, size_t *n);
/* Copies into a fixed array, terminated; RC_PROTO when it does not fit or holds a NUL. */
enum rc wire_str_to(const struct wire_map *m, const char *key, char *dst, size_t cap);
enum rc wire_array(const struct wire_map *m, const char *key, size_t max,
                   const msgpack_object_array **out);

/* Writing into a buf through msgpack-c. */
void wire_packer(msgpack_packer *pk, struct buf *out);
void wire_put_str(msgpack_packer *pk, const char *key, const char *s);
void wire_put_strn(msgpack_packer *pk, const char *key, const char *s, size_t n);
void wire_put_bin(msgpack_packer *pk, const char *key, const void *p, size_t n);
void wire_put_u64(msgpack_packer *pk, const char *key, uint64_t v);
void wire_put_i64(msgpack_packer *pk, const char *key, int64_t v);
void wire_put_bool(msgpack_packer *pk, const char *key, bool v);

#endif
