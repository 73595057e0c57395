/* The messages that carry bytes as they are: STDIN, INPUT, DATA; and TAKEN, which counts them. See
 * msg.h. */
#include "controller/worker/msg.h"

enum { STREAM_STDOUT = 1, STREAM_STDERR = 2 };

static enum rc put_raw(struct buf *out, uint8_t type, uint64_t id, uint8_t first, const void *p,
                       size_t n)
{
    enum rc rc = buf_reserve(out, FRAME_HEADER + 1 + n);
    if (rc != RC_OK)
        return rc;
    size_t mark;
    rc = frame_begin(out, type, id, &mark);
    if (rc == RC_OK)
        rc = buf_append(out, &first, 1);
    if (rc == RC_OK)
        rc = buf_append(out, p, n);
    must(rc == RC_OK); /* the room is there */
    return frame_end(out, mark);
}

static enum rc refuse(struct err *e, const struct frame *f, const char *field)
{
    return err_set(e, RC_PROTO, "message %u: %s is missing or out of range", f->type, field);
}

enum rc msg_put_stdin(struct buf *out, unsigned blob, const void *p, size_t n, bool last)
{
    return n > MSG_STDIN_PART ? RC_LIMIT : put_raw(out, MSG_STDIN, blob, last, p, n);
}

enum rc msg_get_stdin(const struct frame *f, const void **p, size_t *n, bool *last, struct err *e)
{
    if (f->length < 1 || f->length > 1 + MSG_STDIN_PART || f->payload[0] > 1 ||
        f->id >= SESSION_MAX_BLOBS)
        return refuse(e, f, "the part of the input");
    *last = f->payload[0] == 1;
    *p = f->payload + 1;
    *n = f->length - 1;
    return RC_OK;
}

enum rc msg_put_data(struct buf *out, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    if (n == 0 || n > MSG_DATA_PART)
        return RC_LIMIT;
    return put_raw(out, MSG_DATA, job, is_stderr ? STREAM_STDERR : STREAM_STDOUT, p, n);
}

enum rc msg_more_data(struct buf *out, size_t mark, const void *p, size_t n)
{
    must(mark + FRAME_HEADER < out->len);
    size_t have = out->len - mark - FRAME_HEADER - 1;
    if (n > MSG_DATA_PART - have)
        return RC_LIMIT;
    enum rc rc = buf_append(out, p, n);
    return rc == RC_OK ? frame_end(out, mark) : rc;
}

enum rc msg_get_data(const struct frame *f, bool *is_stderr, const void **p, size_t *n,
                     struct err *e)
{
    if (f->length < 2 || f->length > 1 + MSG_DATA_PART ||
        (f->payload[0] != STREAM_STDOUT && f->payload[0] != STREAM_STDERR))
        return refuse(e, f, "the output");
    *is_stderr = f->payload[0] == STREAM_STDERR;
    *p = f->payload + 1;
    *n = f->length - 1;
    return RC_OK;
}

enum rc msg_put_input(struct buf *out, uint64_t job, const void *p, size_t n, bool last)
{
    if (n > MSG_INPUT_PART || (n == 0 && !last))
        return RC_LIMIT;
    return put_raw(out, MSG_INPUT, job, last, n > 0 ? p : "", n);
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

static enum rc put_number(struct buf *out, enum msg_type type, uint64_t id, uint32_t n)
{
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return frame_append(out, (uint8_t)type, id, bytes, sizeof bytes);
}

static enum rc get_number(const struct frame *f, uint32_t least, uint32_t most, uint32_t *n,
                          struct err *e)
{
    const uint8_t *p = f->payload;
    if (f->length != 4)
        return refuse(e, f, "the number");
    *n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return *n >= least && *n <= most ? RC_OK : refuse(e, f, "the number");
}

enum rc msg_put_taken(struct buf *out, uint64_t job, size_t n)
{
    return n > 0 && n <= SESSION_MAX_INPUT ? put_number(out, MSG_TAKEN, job, (uint32_t)n)
                                           : RC_LIMIT;
}

enum rc msg_get_taken(const struct frame *f, size_t *n, struct err *e)
{
    uint32_t number = 0;
    enum rc rc = get_number(f, 1, SESSION_MAX_INPUT, &number, e);
    *n = number;
    return rc;
}

enum rc msg_put_calm(struct buf *out, unsigned ms)
{
    return ms <= MSG_MAX_CALM_MS ? put_number(out, MSG_CALM, 0, ms) : RC_LIMIT;
}

enum rc msg_get_calm(const struct frame *f, unsigned *ms, struct err *e)
{
    uint32_t number = 0;
    enum rc rc = get_number(f, 0, MSG_MAX_CALM_MS, &number, e);
    *ms = number;
    return rc;
}
