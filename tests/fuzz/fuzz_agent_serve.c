/* What a hostile controller may send the agent. The input is a stream, cut into pieces by its own
 * bytes; the operations here take what they are given and answer with as much as they may. Whatever
 * comes, what goes out are frames of an agent: HELLO once and first, maps that hold, parts within
 * their bounds; no operation gets past its credit or its input's window; and nothing is kept
 * afterwards.
 */
#include <stdint.h>
#include <string.h>

#include "agent/serve.h"
#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct watch {
    struct buf out;
    size_t at;
    bool greeted;
};

/* ---- an operation that does as much as it can ---- */

struct busy {
    size_t waits; /* of its input */
    bool left;    /* hung up: what it writes is dropped, credit or not */
};

static enum rc busy_start(struct op *op, const struct wire_map *m, struct err *e)
{
    uint64_t end = 0;
    (void)e;
    if (wire_u64(m, "end", 9, &end) == RC_PROTO)
        return err_set(e, RC_USAGE, "end: want a digit");
    op->state = mem_calloc(1, sizeof(struct busy));
    if (op->state == NULL)
        return err_nomem(e);
    if (end == 1)
        serve_end(op, "ok", "", "", 0, NULL);
    return RC_OK;
}

static void busy_input(struct op *op, const void *p, size_t n, bool last)
{
    struct busy *b = op->state;
    (void)p;
    b->waits += n;
    must(b->waits <= AGENT_INPUT_WINDOW);
    if (n % 2 == 0) {
        serve_taken(op, b->waits);
        b->waits = 0;
    }
    if (last && n % 3 == 0)
        serve_end(op, "ok", "", "", 0, NULL);
}

static void busy_turn(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms)
{
    static const uint8_t part[5000];
    (void)fds;
    (void)n;
    (void)now_ms;
    const struct busy *b = op->state;
    uint64_t credit = op->credit;
    size_t took = serve_data(op, 1, part, sizeof part);
    must(b->left ? took == sizeof part : took <= credit && op->credit == credit - took);
}

static void busy_cancel(struct op *op, uint64_t grace_ms)
{
    if (grace_ms % 2 == 0)
        serve_end(op, "cancelled", "", "", 0, NULL);
}

static void busy_hangup(struct op *op)
{
    struct busy *b = op->state;
    b->left = true;
}

static void busy_fini(struct op *op)
{
    mem_free(op->state);
}

static const struct op_kind busy = {.name = "x",
                                    .allow = ALLOW_EXEC,
                                    .start = busy_start,
                                    .input = busy_input,
                                    .cancel = busy_cancel,
                                    .hangup = busy_hangup,
                                    .turn = busy_turn,
                                    .fini = busy_fini};
static const struct op_kind *const kinds[] = {&busy, NULL};

/* ---- what goes out ---- */

static void check_answer(struct watch *w, const struct frame *f)
{
    struct wire_map m;
    if (f->type == AGENT_HELLO || f->type == AGENT_END || f->type == AGENT_PONG) {
        must(wire_open(&m, f->payload, f->length, NULL) == RC_OK);
        wire_close(&m);
    }
    must((f->type == AGENT_HELLO) == !w->greeted);
    w->greeted = true;
    switch (f->type) {
    case AGENT_HELLO: break;
    case AGENT_PONG: break;
    case AGENT_DATA: must(f->length > 1 && f->length <= AGENT_PART_MAX + 1); break;
    case AGENT_TAKEN: must(f->length == 4); break;
    case AGENT_END: break;
    default: must(!"a frame that no agent sends");
    }
}

static void read_out(struct watch *w, struct serve *s, size_t limit)
{
    const void *p;
    size_t n;
    struct frame f;
    long len;
    while (limit > 0 && (n = serve_output(s, &p)) > 0) {
        n = n < limit ? n : limit;
        must(buf_append(&w->out, p, n) == RC_OK);
        serve_wrote(s, n);
        limit -= n;
    }
    if (w->at == 0 && w->out.len >= AGENT_PREAMBLE_LEN) {
        must(memcmp(w->out.data, agent_magic, AGENT_MAGIC_LEN) == 0);
        w->at = AGENT_PREAMBLE_LEN;
    }
    while (w->at > 0 && (len = frame_parse(w->out.data + w->at, w->out.len - w->at, &f)) != 0) {
        must(len > 0);
        check_answer(w, &f);
        w->at += (size_t)len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct watch w = {0};
    struct serve_config c = {.allow = ALLOW_ALL,
                             .kinds = kinds,
                             .version = "1",
                             .digest = "",
                             .arch = "",
                             .boot_id = "",
                             .idle_ms = 100000};
    struct serve *s;
    size_t live = mem_live();
    uint64_t now = 1;
    buf_init(&w.out, 64 << 20);
    must(serve_new(&s, &c, now) == RC_OK);
    while (size > 0 && !serve_finished(s)) {
        size_t step = 1 + (size_t)data[0] * 37 % 700, room = serve_room(s);
        step = step < size ? step : size;
        step = step < room ? step : room;
        serve_feed(s, data, step, now);
        data += step;
        size -= step;
        serve_turn(s, NULL, now++);
        read_out(&w, s, room == 0 ? SIZE_MAX : step * 9);
    }
    serve_eof(s, now);
    serve_turn(s, NULL, now + SERVE_LEAVE_MS);
    must(serve_finished(s));
    must(serve_result(s) == RC_OK || serve_result(s) == RC_PROTO);
    read_out(&w, s, SIZE_MAX);
    must(w.at == w.out.len);
    serve_free(s);
    buf_fini(&w.out);
    must(mem_live() == live);
    return 0;
}
