/* Frames: the length-checked envelope of everything that our processes say to each other.
 *
 * Header, 16 bytes, big-endian: u32 length of the payload | u8 type | u8 flags (0) | u16 magic
 * 0x6d75 | u64 id. Then `length` bytes. Does not know what types mean. Pure; any thread.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum { FRAME_HEADER = 16, FRAME_MAX = 1024 * 1024, FRAME_MAGIC = 0x6d75 };

struct frame {
    uint8_t type;
    uint64_t id;
    const uint8_t *payload; /* into the caller's bytes */
    uint32_t length;
};

/* Looks at the first n bytes of a stream. > 0: a whole frame, that many bytes long; 0: want more;
 * -1: no frame of ours (magic, flags, or a length past FRAME_MAX), known from the header alone. */
long frame_parse(const void *p, size_t n, struct frame *out);

/* Appends one frame. RC_LIMIT when the payload or the buffer is too large. */
enum rc frame_append(struct buf *out, uint8_t type, uint64_t id, const void *payload, size_t n);

/* For a payload that is built in place: begin remembers where the header is, end fills the length
 * in. end may be called again after more bytes were appended: the frame grows. A payload past
 * FRAME_MAX: RC_LIMIT, and the frame is taken back. drop takes it back after a failure between. */
enum rc frame_begin(struct buf *out, uint8_t type, uint64_t id, size_t *mark);
enum rc frame_end(struct buf *out, size_t mark);
void frame_drop(struct buf *out, size_t mark);

#endif
