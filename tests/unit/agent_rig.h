/* The agent's engine in this process, with its real operations: a controller's frames in, what came
 * of each request out. Waits for events alone; what never comes is the test runner's time limit. */
#ifndef TESTS_AGENT_RIG_H
#define TESTS_AGENT_RIG_H

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/serve.h"
#include "common/clock.h"
#include "common/mem.h"
#include "proto/agent.h"
#include "proto/wire.h"

enum { RIG_TEXT = 64 * 1024, RIG_REPLIES = 16 };

static struct rig {
    struct serve *s;
    size_t skip; /* of the preamble */
    struct buf in;
    /* of the request that is looked at */
    uint64_t id;
    char out[RIG_TEXT], err[RIG_TEXT]; /* the head of each */
    size_t n_out, n_err, taken, replies;
    uint64_t sum;                  /* of stdout's bytes, each times its place */
    char reply[RIG_REPLIES][1024]; /* raw maps */
    size_t reply_len[RIG_REPLIES];
    bool ended;
    char status[32], problem[64], detail[AGENT_MAX_DETAIL + 1], signal[16], killed[16], phase[16];
    int64_t exit;
    uint64_t left;
    bool may_run;
    size_t auto_credit; /* give back what came, in these portions; 0: never */
    size_t owed;
} rig;

/* Of the next request: how many allocations of the agent's succeed, negative: all. */
static long rig_fail_after = -1;

/* Those that are tested here; figures are another's. */
static const struct op_kind *const rig_kinds[] = {&op_exec,    &op_jobs, &op_attach,
                                                  &op_collect, &op_kill, NULL};

static void rig_send(const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        size_t n = serve_room(rig.s);
        if (serve_result(rig.s) != RC_OK)
            return; /* it has left: no memory */
        n = n < b->len - at ? n : b->len - at;
        assert_true(n > 0);
        serve_feed(rig.s, b->data + at, n, clock_ms());
        at += n;
    }
}

static void rig_open(void)
{
    struct serve_config c = {.allow = ALLOW_ALL,
                             .kinds = rig_kinds,
                             .version = "0",
                             .digest = "",
                             .arch = "x86_64",
                             .boot_id = ""};
    struct buf b;
    struct wire_out w;
    size_t mark;
    memset(&rig, 0, sizeof rig);
    rig.skip = AGENT_PREAMBLE_LEN;
    rig.auto_credit = 64 * 1024;
    assert_int_equal(serve_new(&rig.s, &c, clock_ms()), RC_OK);
    buf_init(&rig.in, 1 << 20);
    assert_int_equal(buf_reserve(&rig.in, 1 << 20), RC_OK); /* it never has to grow */
    buf_init(&b, 4096);
    frame_begin(&b, AGENT_WELCOME, 0, &mark);
    wire_out_init(&w, &b);
    wire_put_map(&w, 1);
    wire_put_u64(&w, "version", 1);
    frame_end(&b, mark);
    rig_send(&b);
    buf_fini(&b);
}

static void rig_close(void)
{
    serve_free(rig.s);
    buf_fini(&rig.in);
}

/* A request whose members `write` puts down; `window` 0: the usual. Forgets what was seen before.
 */
static void rig_request(uint64_t id, const char *op, size_t members,
                        void (*write)(struct wire_out *w, const void *user), const void *user,
                        uint64_t window)
{
    struct buf b;
    struct wire_out w;
    size_t mark, credit = rig.auto_credit;
    struct serve *s = rig.s;
    struct buf in = rig.in;
    size_t skip = rig.skip;
    memset(&rig, 0, sizeof rig);
    rig.s = s;
    rig.in = in;
    rig.skip = skip;
    rig.auto_credit = credit;
    rig.id = id;
    buf_init(&b, 1 << 20);
    assert_int_equal(frame_begin(&b, AGENT_REQUEST, id, &mark), RC_OK);
    wire_out_init(&w, &b);
    wire_put_map(&w, 1 + members + (window > 0));
    wire_put_str(&w, "op", op);
    if (window > 0)
        wire_put_u64(&w, "window", window);
    if (write != NULL)
        write(&w, user);
    assert_int_equal(wire_out_end(&w), RC_OK);
    assert_int_equal(frame_end(&b, mark), RC_OK);
    mem_fail_after(rig_fail_after);
    rig_send(&b);
    buf_fini(&b);
}

__attribute__((unused)) static void rig_input(const void *p, size_t n, bool last)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(agent_put_part(&b, AGENT_INPUT, rig.id, last, p, n), RC_OK);
    rig_send(&b);
    buf_fini(&b);
}

static void rig_credit(uint32_t n)
{
    struct buf b;
    buf_init(&b, 64);
    assert_int_equal(agent_put_count(&b, AGENT_CREDIT, rig.id, n), RC_OK);
    rig_send(&b);
    buf_fini(&b);
}

__attribute__((unused)) static void rig_cancel(uint64_t grace_ms)
{
    struct buf b;
    struct wire_out w;
    size_t mark;
    buf_init(&b, 256);
    frame_begin(&b, AGENT_CANCEL, rig.id, &mark);
    wire_out_init(&w, &b);
    wire_put_map(&w, 1);
    wire_put_u64(&w, "grace_ms", grace_ms);
    frame_end(&b, mark);
    rig_send(&b);
    buf_fini(&b);
}

static void rig_end(const struct frame *f)
{
    struct wire_map m;
    assert_int_equal(wire_open(&m, f->payload, f->length, NULL), RC_OK);
    rig.exit = -2;
    wire_str_to(&m, "status", rig.status, sizeof rig.status);
    wire_str_to(&m, "problem", rig.problem, sizeof rig.problem);
    wire_str_to(&m, "detail", rig.detail, sizeof rig.detail);
    wire_str_to(&m, "signal", rig.signal, sizeof rig.signal);
    wire_str_to(&m, "killed", rig.killed, sizeof rig.killed);
    wire_str_to(&m, "phase", rig.phase, sizeof rig.phase);
    wire_i64(&m, "exit", -1, 255, &rig.exit);
    wire_u64(&m, "left", UINT64_MAX, &rig.left);
    wire_bool(&m, "may_run", &rig.may_run);
    wire_close(&m);
    rig.ended = true;
}

static void rig_data(const struct frame *f)
{
    size_t n = f->length - 1;
    bool err = f->payload[0] == 2;
    char *text = err ? rig.err : rig.out;
    size_t *len = err ? &rig.n_err : &rig.n_out;
    for (size_t i = 0; i < n; i++) {
        if (*len + i < RIG_TEXT - 1)
            text[*len + i] = (char)f->payload[1 + i];
        if (!err)
            rig.sum += (uint64_t)f->payload[1 + i] * (*len + i + 1);
    }
    *len += n;
    rig.owed += n;
}

static void rig_take(const struct frame *f)
{
    uint32_t n;
    if (f->id != rig.id || f->type == AGENT_HELLO)
        return;
    if (f->type == AGENT_DATA)
        rig_data(f);
    else if (f->type == AGENT_END)
        rig_end(f);
    else if (f->type == AGENT_TAKEN && agent_take_count(f, &n) == RC_OK)
        rig.taken += n;
    else if (f->type == AGENT_REPLY && rig.replies < RIG_REPLIES) {
        memcpy(rig.reply[rig.replies], f->payload, f->length < 1024 ? f->length : 1024);
        rig.reply_len[rig.replies++] = f->length;
        rig.owed += f->length;
    }
}

static void rig_parse(void)
{
    const void *p;
    size_t n, at = 0;
    long len;
    struct frame f;
    while ((n = serve_output(rig.s, &p)) > 0) {
        assert_int_equal(buf_append(&rig.in, p, n), RC_OK);
        serve_wrote(rig.s, n);
    }
    size_t skip = rig.skip < rig.in.len ? rig.skip : rig.in.len;
    buf_consume(&rig.in, skip);
    rig.skip -= skip;
    while ((len = frame_parse(rig.in.data + at, rig.in.len - at, &f)) > 0) {
        rig_take(&f);
        at += (size_t)len;
    }
    assert_true(len == 0);
    buf_consume(&rig.in, at);
}

/* All that can be taken without waiting, and credit for it. */
static void rig_flush(void)
{
    rig_parse();
    while (rig.auto_credit > 0 && 2 * rig.owed >= rig.auto_credit && !rig.ended) {
        size_t n = rig.owed;
        rig.owed = 0;
        rig_credit((uint32_t)n);
        rig_parse();
    }
}

/* One turn: waits until something happens. */
static void rig_turn(void)
{
    static struct pollfd fds[SERVE_MAX_FDS];
    rig_flush(); /* what waits to be written is written before anything is waited for */
    size_t n = serve_fds(rig.s, fds);
    uint64_t at = serve_wake_at(rig.s), now = clock_ms();
    int ms = at == UINT64_MAX ? -1 : at > now ? (int)(at - now) : 0;
    assert_true(n > 0 || ms >= 0);
    (void)poll(fds, n, ms);
    serve_turn(rig.s, fds, clock_ms());
    rig_flush();
}

static void rig_until_end(void)
{
    rig_flush(); /* credit alone may bring the end: then there is nothing to wait for */
    while (!rig.ended && serve_result(rig.s) == RC_OK)
        rig_turn();
}

__attribute__((unused)) static void rig_until_reply(void)
{
    rig_parse();
    while (rig.replies == 0 && !rig.ended)
        rig_turn();
}

__attribute__((unused)) static void rig_until_output(size_t n)
{
    rig_parse();
    while (rig.n_out < n && !rig.ended)
        rig_turn();
}

#endif
