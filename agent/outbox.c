/* See outbox.h. */
#include "agent/outbox.h"

#include "proto/frame.h"

void outbox_init(struct outbox *o, size_t control_max, size_t bulk_max)
{
    *o = (struct outbox){0};
    buf_init(&o->control.b, control_max);
    buf_init(&o->bulk.b, bulk_max);
}

void outbox_fini(struct outbox *o)
{
    buf_fini(&o->control.b);
    buf_fini(&o->bulk.b);
    o->now = NULL;
}

size_t outbox_waiting(const struct outbox_queue *q)
{
    return q->b.len - q->head;
}

uint64_t outbox_end(const struct outbox_queue *q)
{
    return q->gone + outbox_waiting(q);
}

/* Whole frames from the front of the queue, one at least, OUTBOX_STEP bytes of them or so. */
static size_t next_frames(const struct outbox_queue *q)
{
    size_t n = 0;
    while (n < OUTBOX_STEP && q->head + n < q->b.len) {
        struct frame f;
        long len = frame_parse(q->b.data + q->head + n, outbox_waiting(q) - n, &f);
        must(len > 0);
        if (n > 0 && n + (size_t)len > OUTBOX_STEP)
            break;
        n += (size_t)len;
    }
    return n;
}

size_t outbox_peek(struct outbox *o, const void **p)
{
    if (o->left == 0) {
        o->now = outbox_waiting(&o->control) > 0 ? &o->control : &o->bulk;
        o->left = next_frames(o->now);
    }
    *p = o->left > 0 ? o->now->b.data + o->now->head : NULL;
    return o->left;
}

/* What went is dropped from the front once it is most of the buffer. */
static void shrink(struct outbox_queue *q)
{
    if (q->head == q->b.len) {
        buf_fini(&q->b);
        q->head = 0;
    } else if (q->head > q->b.cap / 2) {
        buf_consume(&q->b, q->head);
        q->head = 0;
    }
}

void outbox_wrote(struct outbox *o, size_t n)
{
    must(n <= o->left);
    if (n == 0)
        return;
    o->now->head += n;
    o->now->gone += n;
    o->left -= n;
    shrink(o->now);
}
