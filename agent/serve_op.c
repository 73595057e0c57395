/* What operations ask of the engine (agent/op.h): answers, data, credit, the end. */
#include "agent/serve_int.h"

#include <string.h>

#include "common/str.h"

enum {
    TAKEN_STEP = 16 * 1024, /* INPUT is told as taken in steps, or when none waits */
    RETRY_MS = 100,         /* after there was no memory */
};

static struct request *request_of(struct op *op)
{
    return (struct request *)op;
}

struct core *serve_core(const struct op *op)
{
    return op->serve->core;
}

const struct limits *serve_limits(const struct op *op)
{
    return op->serve->limits;
}

/* Anything fits an empty queue: a REPLY that is larger than the queue would have no other way out.
 */
size_t serve_bulk_room(const struct serve *s)
{
    size_t waits = outbox_waiting(&s->out.bulk);
    if (waits == 0)
        return FRAME_MAX;
    return waits + FRAME_HEADER + 1 >= SERVE_QUEUE ? 0 : SERVE_QUEUE - waits - FRAME_HEADER - 1;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void want_room(struct serve *s, size_t n)
{
    s->wants_room = s->wants_room == 0 ? n : least(s->wants_room, n);
}

static void sent(struct op *op, size_t n)
{
    op->credit -= n;
    request_of(op)->bulk_end = outbox_end(&op->serve->out.bulk);
}

enum rc serve_reply(struct op *op, const struct buf *map)
{
    struct serve *s = op->serve;
    must(!op->ended);
    if (s->state == SERVE_LEAVING)
        return RC_OK;
    if (map->len > op->credit)
        return RC_LIMIT;
    if (map->len > serve_bulk_room(s)) {
        want_room(s, map->len);
        return RC_LIMIT;
    }
    enum rc rc = frame_append(&s->out.bulk.b, AGENT_REPLY, op->id, map->data, map->len);
    if (rc == RC_OK)
        sent(op, map->len);
    else
        s->retry_at = s->now_ms + RETRY_MS;
    return rc;
}

size_t serve_data(struct op *op, uint8_t stream, const void *p, size_t n)
{
    struct serve *s = op->serve;
    must(!op->ended && (stream == 1 || stream == 2));
    if (s->state == SERVE_LEAVING)
        return n;
    size_t fits = least(serve_bulk_room(s), AGENT_PART_MAX);
    size_t may = op->credit < n ? (size_t)op->credit : n;
    if (may > fits && fits < AGENT_PART_MAX)
        want_room(s, least(may, OUTBOX_STEP));
    n = least(may, fits);
    if (n == 0)
        return 0;
    if (agent_put_part(&s->out.bulk.b, AGENT_DATA, op->id, stream, p, n) != RC_OK) {
        s->retry_at = s->now_ms + RETRY_MS;
        return 0;
    }
    sent(op, n);
    return n;
}

void serve_taken(struct op *op, size_t n)
{
    struct request *r = request_of(op);
    struct serve *s = op->serve;
    must(n <= r->waiting);
    r->waiting -= n;
    r->untold += n;
    if (r->untold == 0 || (r->untold < TAKEN_STEP && r->waiting > 0) || op->ended)
        return;
    enum rc rc = agent_put_count(&s->out.control.b, AGENT_TAKEN, op->id, (uint32_t)r->untold);
    r->untold = 0;
    if (rc != RC_OK)
        serve_leave(s, rc, "no room for TAKEN");
}

static void write_end(struct wire_out *w, struct op *op, const char *status, const char *problem,
                      const char *detail, size_t members,
                      void (*more)(struct op *op, struct wire_out *w))
{
    char text[AGENT_MAX_DETAIL + 1];
    must((more != NULL) == (members > 0));
    str_escape_to(text, sizeof text, detail, strlen(detail), 0);
    wire_put_map(w, 3 + members);
    wire_put_str(w, "status", status);
    wire_put_str(w, "problem", problem);
    wire_put_str(w, "detail", text);
    if (more != NULL)
        more(op, w);
}

/* Goes with the frames of control, unless it would overtake data of its own request. */
static struct outbox_queue *queue_of_end(struct serve *s, const struct op *op)
{
    if (op != NULL && ((const struct request *)op)->bulk_end > s->out.bulk.gone)
        return &s->out.bulk;
    return &s->out.control;
}

void serve_put_end(struct serve *s, struct op *op, uint64_t id, const char *status,
                   const char *problem, const char *detail, size_t members,
                   void (*more)(struct op *op, struct wire_out *w))
{
    struct buf *b = &queue_of_end(s, op)->b;
    struct wire_out w;
    size_t mark;
    enum rc rc = frame_begin(b, AGENT_END, id, &mark);
    if (rc == RC_OK) {
        wire_out_init(&w, b);
        write_end(&w, op, status, problem, detail, members, more);
        rc = wire_out_end(&w);
        if (rc == RC_OK)
            rc = frame_end(b, mark);
        else
            frame_drop(b, mark);
    }
    if (rc != RC_OK)
        serve_leave(s, rc, "no room for END");
}

void serve_end(struct op *op, const char *status, const char *problem, const char *detail,
               size_t members, void (*more)(struct op *op, struct wire_out *w))
{
    must(!op->ended);
    op->ended = true;
    serve_put_end(op->serve, op, op->id, status, problem, detail, members, more);
}
