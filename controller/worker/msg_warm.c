/* EXEC: the next command of a warm job. See msg.h. */
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
