/* The agent's protocol in names and numbers: proto/PROTOCOL.md says what they mean. What the agent
 * and the controller share of it; each side reads and writes the maps itself with proto/wire.
 * Pure; any thread.
 */
#ifndef PROTO_AGENT_H
#define PROTO_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/frame.h"

enum agent_frame {
    /* controller to agent */
    AGENT_WELCOME = 32,
    AGENT_REQUEST = 33,
    AGENT_INPUT = 34,  /* raw: 1 byte, 1 on the last part; then bytes */
    AGENT_CREDIT = 35, /* raw: u32, big-endian */
    AGENT_CANCEL = 36,
    AGENT_PING = 37, /* empty */
    AGENT_BYE = 38,  /* empty */
    /* agent to controller */
    AGENT_HELLO = 160,
    AGENT_REPLY = 161,
    AGENT_DATA = 162, /* raw: 1 byte, 1 stdout or 2 stderr; then bytes */
    AGENT_END = 163,
    AGENT_TAKEN = 164, /* raw: u32: so much INPUT was taken (CREDIT of the page) */
    AGENT_PONG = 165,
};

enum {
    AGENT_VERSION_LOW = 1,
    AGENT_VERSION_HIGH = 1,
    AGENT_MAGIC_LEN = 16,
    AGENT_NONCE_LEN = 16,
    AGENT_NONCE_HEX = 2 * AGENT_NONCE_LEN,
    AGENT_PREAMBLE_LEN = AGENT_MAGIC_LEN + AGENT_NONCE_LEN,
    AGENT_NOISE_MAX = 64 * 1024, /* skipped before the preamble */
    AGENT_PART_MAX = 64 * 1024,  /* bytes of one INPUT or DATA, without its first */
    AGENT_WINDOW = 256 * 1024,   /* of DATA and REPLY, where a REQUEST says nothing */
    AGENT_WINDOW_MAX = 16 << 20,
    AGENT_INPUT_WINDOW = 256 * 1024, /* of INPUT that was not TAKEN yet */
    AGENT_MAX_REQUESTS = 64,
    AGENT_MAX_OP = 32,
    AGENT_MAX_DETAIL = 319,
    AGENT_SECTION_MS = 2000,
    AGENT_TOP_MAX = 1000,
    AGENT_INTERVAL_MIN_MS = 200,
    AGENT_INTERVAL_MAX_MS = 24 * 3600 * 1000,
};

/* The first bytes of an agent, without the nonce. */
extern const uint8_t agent_magic[AGENT_MAGIC_LEN];

/* 32 hex digits to 16 bytes and back. RC_PARSE for anything else. hex gets 33 bytes. */
enum rc agent_nonce_parse(const char *hex, size_t len, uint8_t nonce[AGENT_NONCE_LEN]);
void agent_nonce_text(char hex[AGENT_NONCE_HEX + 1], const uint8_t nonce[AGENT_NONCE_LEN]);

/* Raw payloads. take_* return RC_PROTO for a payload of another shape. */
enum rc agent_put_count(struct buf *out, enum agent_frame type, uint64_t id, uint32_t n);
enum rc agent_take_count(const struct frame *f, uint32_t *n);
/* INPUT (mark: last) and DATA (mark: 1 or 2). n at most AGENT_PART_MAX, else RC_LIMIT. */
enum rc agent_put_part(struct buf *out, enum agent_frame type, uint64_t id, uint8_t mark,
                       const void *p, size_t n);
enum rc agent_take_part(const struct frame *f, uint8_t *mark, const void **p, size_t *n);

#endif
