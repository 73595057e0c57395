/* The messages of warm jobs: EXEC, INPUT, TAKEN. See msg.h. */
#include <string.h>

#include "controller/worker/msg.h"
#include "proto/wire.h"

enum { MEMBERS = 5 };

static enum rc refuse(struct err *e, const struct frame *f, const char *field)
{
    return err_set(e, RC_PROTO, "message %u: %s is missing or out of range", f->type, field);
}

enum rc msg_put_exec(struct buf *out, uint64_t job, const struct session_command *c)
{
    struct wire_out w;
    size_t mark;
    if (c->len > SESSION_MAX_COMMAND || c->blob >= SESSION_MAX_BLOBS ||
        c->run_timeout_ms > MSG_MAX_MS || c->silence_timeout_ms > MSG_MAX_MS)
        return RC_LIMIT;
    enum rc rc = frame_begin(out, MSG_EXEC, job, &mark);
    if (rc != RC_OK)
        return rc;
    wire_out_init(&w, out);
    wire_put_map(&w, MEMBERS);
    wire_put_bin(&w, "command", c->text, c->len);
    wire_put_u64(&w, "input", c->input);
    wire_put_u64(&w, "blob", c->blob);
    wire_put_u64(&w, "run_ms", c->run_timeout_ms);
    wire_put_u64(&w, "silence_ms", c->silence_timeout_ms);
    rc = wire_out_end(&w);
    if (rc == RC_OK)
        return frame_end(out, mark);
    frame_drop(out, mark);
    return rc;
}

static enum rc read_exec(const struct wire_map *map, const struct frame *f,
                         struct session_command *c, struct err *e)
{
    uint64_t input = 0, blob = 0;
    const void *text = NULL;
    if (wire_bin(map, "command", SESSION_MAX_COMMAND, &text, &c->len) != RC_OK ||
        (c->len > 0 && memchr(text, 0, c->len) != NULL))
        return refuse(e, f, "command");
    if (wire_u64(map, "input", INPUT_KIND_COUNT - 1, &input) != RC_OK)
        return refuse(e, f, "input");
    if (wire_u64(map, "blob", SESSION_MAX_BLOBS - 1, &blob) != RC_OK)
        return refuse(e, f, "blob");
    if (wire_u64(map, "run_ms", MSG_MAX_MS, &c->run_timeout_ms) != RC_OK)
        return refuse(e, f, "run_ms");
    if (wire_u64(map, "silence_ms", MSG_MAX_MS, &c->silence_timeout_ms) != RC_OK)
        return refuse(e, f, "silence_ms");
    c->text = text;
    c->input = (enum input_kind)input;
    c->blob = (unsigned)blob;
    return wire_count(map) == MEMBERS ? RC_OK : refuse(e, f, "every other field");
}

enum rc msg_get_exec(const struct frame *f, struct session_command *c, struct err *e)
{
    struct wire_map map;
    memset(c, 0, sizeof *c);
    enum rc rc = wire_open(&map, f->payload, f->length, e);
    if (rc != RC_OK)
        return rc;
    rc = read_exec(&map, f, c, e);
    wire_close(&map);
    return rc;
}

enum rc msg_put_input(struct buf *out, uint64_t job, const void *p, size_t n, bool last)
{
    uint8_t first = last;
    size_t mark;
    if (n > MSG_INPUT_PART || (n == 0 && !last))
        return RC_LIMIT;
    enum rc rc = buf_reserve(out, FRAME_HEADER + 1 + n);
    if (rc == RC_OK)
        rc = frame_begin(out, MSG_INPUT, job, &mark);
    if (rc != RC_OK)
        return rc;
    rc = buf_append(out, &first, 1);
    if (rc == RC_OK && n > 0)
        rc = buf_append(out, p, n);
    must(rc == RC_OK); /* the room is there */
    return frame_end(out, mark);
}

enum rc msg_get_input(const struct frame *f, const void **p, size_t *n, bool *last, struct err *e)
{
    if (f->length < 1 || f->length > 1 + MSG_INPUT_PART || f->payload[0] > 1 ||
        (f->length == 1 && f->payload[0] == 0))
        return refuse(e, f, "the input");
    *last = f->payload[0] == 1;
    *p = f->payload + 1;
    *n = f->length - 1;
    return RC_OK;
}

enum rc msg_put_taken(struct buf *out, uint64_t job, size_t n)
{
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    if (n == 0 || n > SESSION_MAX_INPUT)
        return RC_LIMIT;
    return frame_append(out, MSG_TAKEN, job, bytes, sizeof bytes);
}

enum rc msg_get_taken(const struct frame *f, size_t *n, struct err *e)
{
    const uint8_t *p = f->payload;
    if (f->length != 4)
        return refuse(e, f, "the count");
    *n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    return *n > 0 && *n <= SESSION_MAX_INPUT ? RC_OK : refuse(e, f, "the count");
}
