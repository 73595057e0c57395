/* See agent.h. */
#include "proto/agent.h"

#include <string.h>

const uint8_t agent_magic[AGENT_MAGIC_LEN] = {0x00, 0xff, 'm', 'u', 's', 't', 'e',  'r',
                                              '-',  'a',  'g', 'e', 'n', 't', 0x01, 0x0a};

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum rc agent_nonce_parse(const char *hex, size_t len, uint8_t nonce[AGENT_NONCE_LEN])
{
    if (len != AGENT_NONCE_HEX)
        return RC_PARSE;
    for (size_t i = 0; i < AGENT_NONCE_LEN; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return RC_PARSE;
        nonce[i] = (uint8_t)(high << 4 | low);
    }
    return RC_OK;
}

void agent_nonce_text(char hex[AGENT_NONCE_HEX + 1], const uint8_t nonce[AGENT_NONCE_LEN])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < AGENT_NONCE_LEN; i++) {
        hex[2 * i] = digits[nonce[i] >> 4];
        hex[2 * i + 1] = digits[nonce[i] & 15];
    }
    hex[AGENT_NONCE_HEX] = '\0';
}

enum rc agent_put_count(struct buf *out, enum agent_frame type, uint64_t id, uint32_t n)
{
    const uint8_t p[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return frame_append(out, (uint8_t)type, id, p, sizeof p);
}

enum rc agent_take_count(const struct frame *f, uint32_t *n)
{
    const uint8_t *p = f->payload;
    if (f->length != 4)
        return RC_PROTO;
    *n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return RC_OK;
}

enum rc agent_put_part(struct buf *out, enum agent_frame type, uint64_t id, uint8_t mark,
                       const void *p, size_t n)
{
    size_t at;
    if (n > AGENT_PART_MAX)
        return RC_LIMIT;
    enum rc rc = frame_begin(out, (uint8_t)type, id, &at);
    if (rc != RC_OK)
        return rc;
    rc = buf_append(out, &mark, 1);
    if (rc == RC_OK)
        rc = buf_append(out, p, n);
    if (rc == RC_OK)
        return frame_end(out, at);
    frame_drop(out, at);
    return rc;
}

enum rc agent_take_part(const struct frame *f, uint8_t *mark, const void **p, size_t *n)
{
    if (f->length < 1 || f->length > AGENT_PART_MAX + 1)
        return RC_PROTO;
    *mark = f->payload[0];
    *p = f->payload + 1;
    *n = f->length - 1;
    return RC_OK;
}
