/* See frame.h. */
#include "proto/frame.h"

#include <string.h>

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void put_header(uint8_t *p, uint32_t length, uint8_t type, uint64_t id)
{
    put_u32(p, length);
    p[4] = type;
    p[5] = 0;
    p[6] = FRAME_MAGIC >> 8;
    p[7] = FRAME_MAGIC & 0xff;
    put_u32(p + 8, (uint32_t)(id >> 32));
    put_u32(p + 12, (uint32_t)id);
}

long frame_parse(const void *bytes, size_t n, struct frame *out)
{
    const uint8_t *p = bytes;
    if (n < FRAME_HEADER)
        return 0;
    uint32_t length = get_u32(p);
    if (length > FRAME_MAX || p[5] != 0 || (p[6] << 8 | p[7]) != FRAME_MAGIC)
        return -1;
    if (n - FRAME_HEADER < length)
        return 0;
    out->type = p[4];
    out->id = (uint64_t)get_u32(p + 8) << 32 | get_u32(p + 12);
    out->payload = p + FRAME_HEADER;
    out->length = length;
    return FRAME_HEADER + (long)length;
}

enum rc frame_append(struct buf *out, uint8_t type, uint64_t id, const void *payload, size_t n)
{
    if (n > FRAME_MAX)
        return RC_LIMIT;
    enum rc rc = buf_reserve(out, FRAME_HEADER + n);
    if (rc != RC_OK)
        return rc;
    put_header(out->data + out->len, (uint32_t)n, type, id);
    if (n > 0)
        memcpy(out->data + out->len + FRAME_HEADER, payload, n);
    out->len += FRAME_HEADER + n;
    return RC_OK;
}

enum rc frame_begin(struct buf *out, uint8_t type, uint64_t id, size_t *mark)
{
    size_t at = out->len;
    enum rc rc = frame_append(out, type, id, NULL, 0);
    if (rc == RC_OK)
        *mark = at;
    return rc;
}

enum rc frame_end(struct buf *out, size_t mark)
{
    must(out->len >= FRAME_HEADER && mark <= out->len - FRAME_HEADER);
    size_t n = out->len - mark - FRAME_HEADER;
    if (n > FRAME_MAX) {
        out->len = mark;
        return RC_LIMIT;
    }
    put_u32(out->data + mark, (uint32_t)n);
    return RC_OK;
}

void frame_drop(struct buf *out, size_t mark)
{
    must(mark <= out->len);
    out->len = mark;
}
