/* agent/serve: the agent's engine, driven by hand: a controller's frames in, its answers out. The
 * operations here do what the test says; those of the agent have tests of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/serve.h"
#include "common/mem.h"

/* ---- operations that record ---- */

enum { MAX_OPS = 80 };

static struct {
    struct op *ops[MAX_OPS]; /* in order of their start; NULL after fini */
    size_t n;
    size_t hangups, cancels, credits, turns, finis, fd_turns;
    uint64_t grace;
    size_t input, parts;
    bool last, ends_on_hangup, fails;
    uint64_t order[16]; /* ids, as their turns came */
    uint64_t wake_at;
    int fd; /* given by fds, when not -1 */
    short revents;
} seen;

static enum rc fake_start(struct op *op, const struct wire_map *m, struct err *e)
{
    bool end = false;
    if (seen.fails)
        return err_set(e, RC_USAGE, "not like this: \x1b[31m");
    op->state = mem_alloc(16);
    if (op->state == NULL)
        return err_nomem(e);
    seen.ops[seen.n++] = op;
    if (wire_bool(m, "end", &end) == RC_OK && end)
        serve_end(op, "ok", "", "at once", 0, NULL);
    return RC_OK;
}

static void fake_input(struct op *op, const void *p, size_t n, bool last)
{
    (void)op;
    (void)p;
    seen.input += n;
    seen.parts++;
    seen.last = last;
}

static void fake_credit(struct op *op)
{
    (void)op;
    seen.credits++;
}

static void fake_cancel(struct op *op, uint64_t grace_ms)
{
    seen.cancels++;
    seen.grace = grace_ms;
    serve_end(op, "cancelled", "", "", 0, NULL);
}

static void fake_hangup(struct op *op)
{
    seen.hangups++;
    if (seen.ends_on_hangup)
        serve_end(op, "cancelled", "", "", 0, NULL);
}

static size_t fake_fds(struct op *op, struct pollfd *fds)
{
    (void)op;
    if (seen.fd < 0)
        return 0;
    fds[0] = (struct pollfd){seen.fd, POLLIN, 0};
    fds[1] = (struct pollfd){seen.fd + (int)op->id, POLLOUT, 0};
    return 2;
}

static void fake_turn(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms)
{
    (void)now_ms;
    seen.order[seen.turns++ % 16] = op->id;
    if (n == 0)
        return;
    assert_int_equal(n, 2);
    assert_int_equal(fds[0].fd, seen.fd);
    assert_int_equal(fds[1].fd, seen.fd + (int)op->id);
    seen.revents = (short)(seen.revents | fds[0].revents);
    seen.fd_turns++;
}

static uint64_t fake_wake_at(const struct op *op)
{
    (void)op;
    return seen.wake_at;
}

static void fake_fini(struct op *op)
{
    seen.finis++;
    for (size_t i = 0; i < seen.n; i++)
        if (seen.ops[i] == op)
            seen.ops[i] = NULL;
    mem_free(op->state);
}

static const struct op_kind fake = {.name = "fake",
                                    .allow = ALLOW_EXEC,
                                    .start = fake_start,
                                    .input = fake_input,
                                    .credit = fake_credit,
                                    .cancel = fake_cancel,
                                    .hangup = fake_hangup,
                                    .fds = fake_fds,
                                    .turn = fake_turn,
                                    .wake_at = fake_wake_at,
                                    .fini = fake_fini};
static const struct op_kind plain = {.name = "plain",
                                     .allow = ALLOW_STATS,
                                     .start = fake_start,
                                     .cancel = fake_cancel,
                                     .fini = fake_fini};
static const struct op_kind *const kinds[] = {&fake, &plain, NULL};

/* ---- a controller ---- */

struct rig {
    struct serve *s;
    struct buf out; /* what was written */
    size_t at;      /* read up to here */
    uint64_t now;
};

static const uint8_t nonce[AGENT_NONCE_LEN] = {1, 2,  3,  4,  5,  6,  7,  8,
                                               9, 10, 11, 12, 13, 14, 15, 16};

static struct serve_config config(void)
{
    struct serve_config c = {.allow = ALLOW_ALL,
                             .kinds = kinds,
                             .version = "9.9",
                             .digest = "d1",
                             .arch = "vax",
                             .boot_id = "b1",
                             .uid = 7,
                             .pid = 8};
    memcpy(c.nonce, nonce, sizeof nonce);
    return c;
}

static void forget(void)
{
    memset(&seen, 0, sizeof seen);
    seen.fd = -1;
    seen.wake_at = UINT64_MAX;
}

static void init(struct rig *r, const struct serve_config *c)
{
    forget();
    *r = (struct rig){.now = 1000};
    buf_init(&r->out, 64 << 20);
    assert_int_equal(serve_new(&r->s, c, r->now), RC_OK);
}

static void fini(struct rig *r)
{
    serve_free(r->s);
    buf_fini(&r->out);
}

/* Writes at most `n` bytes of what waits. */
static size_t write_some(struct rig *r, size_t n)
{
    const void *p;
    size_t had = serve_output(r->s, &p);
    if (had > n)
        had = n;
    if (had > 0)
        assert_int_equal(buf_append(&r->out, p, had), RC_OK);
    serve_wrote(r->s, had);
    return had;
}

static void drain(struct rig *r)
{
    while (write_some(r, 1000) > 0)
        ;
}

static void turn(struct rig *r)
{
    struct pollfd fds[SERVE_MAX_FDS];
    size_t n = serve_fds(r->s, fds);
    for (size_t i = 0; i < n; i++)
        fds[i].revents = POLLIN;
    serve_turn(r->s, fds, r->now);
}

/* The next frame that was written; false: none. */
static bool next(struct rig *r, struct frame *f)
{
    drain(r);
    long n = frame_parse(r->out.data + r->at, r->out.len - r->at, f);
    assert_true(n >= 0);
    r->at += (size_t)n;
    return n > 0;
}

static void expect(struct rig *r, uint8_t type, uint64_t id, struct frame *f)
{
    assert_true(next(r, f));
    assert_int_equal(f->type, type);
    assert_true(f->id == id);
}

static void quiet(struct rig *r)
{
    struct frame f;
    assert_false(next(r, &f));
}

static void feed(struct rig *r, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n > 0) {
        size_t part = serve_room(r->s) < n ? serve_room(r->s) : n;
        assert_true(part > 0);
        serve_feed(r->s, from, part, r->now);
        from += part;
        n -= part;
    }
}

static void tell(struct rig *r, uint8_t type, uint64_t id, const void *p, size_t n)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER + FRAME_MAX);
    assert_int_equal(frame_append(&b, type, id, p, n), RC_OK);
    feed(r, b.data, b.len);
    buf_fini(&b);
}

/* {key: value, key: value} of a string and a number; a key of NULL is left out. */
static void send_map(struct rig *r, uint8_t type, uint64_t id, const char *key, const char *text,
                     const char *number, uint64_t value)
{
    struct buf b;
    struct wire_out w;
    buf_init(&b, 4096);
    wire_out_init(&w, &b);
    wire_put_map(&w, (size_t)(key != NULL) + (size_t)(number != NULL));
    if (key != NULL)
        wire_put_str(&w, key, text);
    if (number != NULL)
        wire_put_u64(&w, number, value);
    assert_int_equal(wire_out_end(&w), RC_OK);
    tell(r, type, id, b.data, b.len);
    buf_fini(&b);
}

static void request(struct rig *r, uint64_t id, const char *op)
{
    send_map(r, AGENT_REQUEST, id, "op", op, NULL, 0);
}

static void request_with_window(struct rig *r, uint64_t id, uint64_t window)
{
    send_map(r, AGENT_REQUEST, id, "op", "fake", "window", window);
}

static void credit(struct rig *r, uint64_t id, uint32_t n)
{
    const uint8_t p[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    tell(r, AGENT_CREDIT, id, p, sizeof p);
}

static void input(struct rig *r, uint64_t id, uint8_t last, size_t n)
{
    static uint8_t part[1 + AGENT_PART_MAX];
    part[0] = last;
    tell(r, AGENT_INPUT, id, part, 1 + n);
}

static void ping(struct rig *r, uint64_t id)
{
    tell(r, AGENT_PING, id, NULL, 0);
}

static void open_with(struct rig *r, const struct serve_config *c)
{
    struct frame f;
    init(r, c);
    drain(r);
    r->at = AGENT_PREAMBLE_LEN;
    expect(r, AGENT_HELLO, 0, &f);
    send_map(r, AGENT_WELCOME, 0, NULL, NULL, "version", 1);
    assert_int_equal(serve_result(r->s), RC_OK);
}

static void open_rig(struct rig *r)
{
    struct serve_config c = config();
    open_with(r, &c);
}

static void expect_end(struct rig *r, uint64_t id, const char *status, const char *detail)
{
    struct frame f;
    struct wire_map m;
    char text[AGENT_MAX_DETAIL + 1];
    expect(r, AGENT_END, id, &f);
    assert_int_equal(wire_open(&m, f.payload, f.length, NULL), RC_OK);
    assert_int_equal(wire_str_to(&m, "status", text, sizeof text), RC_OK);
    assert_string_equal(text, status);
    assert_int_equal(wire_str_to(&m, "problem", text, sizeof text), RC_OK);
    assert_int_equal(wire_str_to(&m, "detail", text, sizeof text), RC_OK);
    if (detail != NULL)
        assert_string_equal(text, detail);
    wire_close(&m);
}

static void broken(struct rig *r)
{
    assert_int_equal(serve_result(r->s), RC_PROTO);
    assert_true(serve_reason(r->s)[0] != '\0');
    turn(r);
}

/* ---- beginning ---- */

static void hello_says_who_it_is(void **state)
{
    (void)state;
    struct rig r;
    struct serve_config c = config();
    struct frame f;
    struct wire_map m;
    uint64_t n;
    char text[16];
    const msgpack_object_array *ops;
    c.allow = ALLOW_STATS;
    init(&r, &c);
    drain(&r);
    assert_memory_equal(r.out.data, agent_magic, AGENT_MAGIC_LEN);
    assert_memory_equal(r.out.data + AGENT_MAGIC_LEN, nonce, AGENT_NONCE_LEN);
    r.at = AGENT_PREAMBLE_LEN;
    expect(&r, AGENT_HELLO, 0, &f);
    assert_int_equal(wire_open(&m, f.payload, f.length, NULL), RC_OK);
    assert_int_equal(wire_count(&m), 11);
    assert_int_equal(wire_u64(&m, "low", 1, &n), RC_OK);
    assert_int_equal(wire_u64(&m, "high", 1, &n), RC_OK);
    assert_int_equal(wire_str_to(&m, "agent", text, sizeof text), RC_OK);
    assert_string_equal(text, "9.9");
    assert_int_equal(wire_str_to(&m, "digest", text, sizeof text), RC_OK);
    assert_string_equal(text, "d1");
    assert_int_equal(wire_str_to(&m, "arch", text, sizeof text), RC_OK);
    assert_string_equal(text, "vax");
    assert_int_equal(wire_u64(&m, "uid", 7, &n), RC_OK);
    assert_int_equal(n, 7);
    assert_int_equal(wire_u64(&m, "mono_ns", UINT64_MAX, &n), RC_OK);
    assert_int_equal(wire_array(&m, "ops", 9, &ops), RC_OK);
    assert_int_equal(ops->size, 1); /* exec's is not named where it is not allowed */
    assert_memory_equal(ops->ptr[0].via.str.ptr, "plain", 5);
    wire_close(&m);
    quiet(&r);
    fini(&r);
}

static void welcome_comes_first_and_once(void **state)
{
    (void)state;
    static const uint64_t versions[] = {0, 2, 99};
    struct rig r;
    struct serve_config c = config();
    for (size_t i = 0; i < 3; i++) {
        init(&r, &c);
        send_map(&r, AGENT_WELCOME, 0, NULL, NULL, "version", versions[i]);
        broken(&r);
        fini(&r);
    }
    init(&r, &c);
    ping(&r, 1);
    broken(&r);
    fini(&r);
    open_rig(&r);
    send_map(&r, AGENT_WELCOME, 0, NULL, NULL, "version", 1);
    broken(&r);
    fini(&r);
}

static void members_not_known_are_ignored(void **state)
{
    (void)state;
    struct rig r;
    struct serve_config c = config();
    init(&r, &c);
    send_map(&r, AGENT_WELCOME, 0, "later", "x", "version", 1);
    assert_int_equal(serve_result(r.s), RC_OK);
    send_map(&r, AGENT_REQUEST, 1, "op", "fake", "later", 1);
    assert_int_equal(seen.n, 1);
    fini(&r);
}

/* Each ends the engine, whatever runs; the request is told to hang up once. */
static void rules_that_are_broken(void **state)
{
    (void)state;
    static const uint8_t not_a_map[] = {0x93, 1, 2, 3}, cut[] = {0x81, 0xa2}, two[] = {0x80, 0x80};
    static const uint8_t three[] = {0, 0, 1}, no_part[] = {2, 'x'};
    static const struct {
        uint8_t type;
        uint64_t id;
        const void *p;
        size_t n;
    } bad[] = {
        {31, 0, NULL, 0},
        {39, 0, NULL, 0},
        {AGENT_HELLO, 0, "\x80", 1}, /* what only an agent says */
        {255, 0, NULL, 0},
        {AGENT_WELCOME, 1, "\x80", 1},
        {AGENT_REQUEST, 0, "\x80", 1},
        {AGENT_REQUEST, 5, "\x80", 1}, /* in use */
        {AGENT_REQUEST, 6, NULL, 0},
        {AGENT_REQUEST, 6, not_a_map, sizeof not_a_map},
        {AGENT_REQUEST, 6, cut, sizeof cut},
        {AGENT_REQUEST, 6, two, sizeof two},
        {AGENT_INPUT, 5, NULL, 0},
        {AGENT_INPUT, 5, no_part, sizeof no_part},
        {AGENT_INPUT, 99, NULL, 0}, /* of a request that is gone, but of no shape at all */
        {AGENT_CREDIT, 5, three, sizeof three},
        {AGENT_CREDIT, 99, NULL, 0},
        {AGENT_CANCEL, 5, "\x80", 1},
        {AGENT_CANCEL, 99, NULL, 0},
        {AGENT_PING, 5, "x", 1},
        {AGENT_BYE, 0, "x", 1},
        {AGENT_BYE, 5, NULL, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rig r;
        open_rig(&r);
        request(&r, 5, "fake");
        assert_int_equal(seen.n, 1);
        tell(&r, bad[i].type, bad[i].id, bad[i].p, bad[i].n);
        broken(&r);
        assert_int_equal(seen.hangups, 1);
        assert_false(serve_finished(r.s)); /* it still runs */
        serve_end(seen.ops[0], "ok", "", "", 0, NULL);
        turn(&r);
        assert_true(serve_finished(r.s));
        assert_int_equal(seen.hangups, 1);
        assert_int_equal(seen.finis, 1);
        fini(&r);
    }
}

static void bytes_that_are_no_frame(void **state)
{
    (void)state;
    static const uint8_t giant[FRAME_HEADER] = {0xff, 0xff, 0xff, 0xff, 33, 0, 0x6d, 0x75};
    static const uint8_t flagged[FRAME_HEADER] = {0, 0, 0, 0, 37, 1, 0x6d, 0x75};
    struct rig r;
    open_rig(&r);
    feed(&r, giant, sizeof giant);
    broken(&r);
    fini(&r);
    open_rig(&r);
    feed(&r, flagged, sizeof flagged);
    broken(&r);
    fini(&r);
    open_rig(&r);
    feed(&r, "GET / HTTP/1.1\r\n", 16);
    broken(&r);
    quiet(&r);
    fini(&r);
}

/* ---- requests ---- */

static void requests_that_are_not_begun(void **state)
{
    (void)state;
    struct rig r;
    struct serve_config c = config();
    c.allow = ALLOW_STATS;
    open_with(&r, &c);
    request(&r, 1, "nonsense");
    expect_end(&r, 1, "unsupported", "nonsense");
    request(&r, 2, "fake");
    expect_end(&r, 2, "refused", NULL);
    request(&r, 3, "a name that is longer than a name may be");
    expect_end(&r, 3, "refused", NULL);
    tell(&r, AGENT_REQUEST, 4, "\x80", 1);
    expect_end(&r, 4, "refused", NULL);
    send_map(&r, AGENT_REQUEST, 5, "op", "plain", "window", AGENT_WINDOW_MAX + 1);
    expect_end(&r, 5, "refused", NULL);
    send_map(&r, AGENT_REQUEST, 6, NULL, NULL, "op", 1);
    expect_end(&r, 6, "refused", NULL);
    assert_int_equal(seen.n, 0);
    seen.fails = true;
    request(&r, 7, "plain"); /* what it says is made harmless on the way */
    expect_end(&r, 7, "refused", "not like this: \\x1b[31m");
    assert_int_equal(seen.finis, 1);
    assert_int_equal(serve_result(r.s), RC_OK);
    fini(&r);
}

static void an_id_is_free_again_after_its_end(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    for (int i = 0; i < 3; i++) {
        request(&r, 1, "fake");
        serve_end(seen.ops[i], "ok", "", "", 0, NULL);
        turn(&r);
        expect_end(&r, 1, "ok", "");
    }
    assert_int_equal(seen.finis, 3);
    /* Ended from within its start. */
    struct buf b;
    struct wire_out w;
    buf_init(&b, 64);
    wire_out_init(&w, &b);
    wire_put_map(&w, 2);
    wire_put_str(&w, "op", "fake");
    wire_put_bool(&w, "end", true);
    tell(&r, AGENT_REQUEST, 1, b.data, b.len);
    buf_fini(&b);
    expect_end(&r, 1, "ok", "at once");
    assert_int_equal(seen.finis, 4);
    fini(&r);
}

static void at_most_64_requests(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    for (uint64_t id = 1; id <= AGENT_MAX_REQUESTS; id++)
        request(&r, id, "fake");
    quiet(&r);
    request(&r, 100, "fake");
    expect_end(&r, 100, "busy", NULL);
    serve_end(seen.ops[10], "ok", "", "", 0, NULL);
    turn(&r);
    expect_end(&r, 11, "ok", NULL);
    request(&r, 101, "fake");
    quiet(&r);
    assert_int_equal(seen.n, AGENT_MAX_REQUESTS + 1);
    fini(&r);
    assert_int_equal(seen.finis, AGENT_MAX_REQUESTS + 1);
}

static void frames_for_what_is_gone_are_ignored(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    input(&r, 9, 0, 5);
    credit(&r, 9, 77);
    send_map(&r, AGENT_CANCEL, 9, NULL, NULL, "grace_ms", 1);
    quiet(&r);
    assert_int_equal(serve_result(r.s), RC_OK);
    fini(&r);
}

static void cancel_brings_its_grace(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    request(&r, 1, "fake");
    send_map(&r, AGENT_CANCEL, 1, NULL, NULL, "grace_ms", 1234);
    expect_end(&r, 1, "cancelled", "");
    assert_int_equal(seen.grace, 1234);
    request(&r, 2, "fake");
    send_map(&r, AGENT_CANCEL, 2, NULL, NULL, "grace_ms", 24 * 3600 * 1000 + 1);
    broken(&r);
    fini(&r);
}

/* ---- flow ---- */

static void data_waits_for_credit(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    open_rig(&r);
    request_with_window(&r, 1, 10);
    struct op *op = seen.ops[0];
    assert_int_equal(serve_data(op, 1, "0123456789abc", 13), 10);
    assert_int_equal(serve_data(op, 1, "abc", 3), 0);
    expect(&r, AGENT_DATA, 1, &f);
    assert_int_equal(f.length, 11);
    assert_memory_equal(f.payload,
                        "\1"
                        "0123456789",
                        11);
    credit(&r, 1, 2);
    assert_int_equal(seen.credits, 1);
    assert_int_equal(serve_data(op, 2, "abc", 3), 2);
    expect(&r, AGENT_DATA, 1, &f);
    assert_memory_equal(f.payload,
                        "\2"
                        "ab",
                        3);
    struct buf map;
    buf_init(&map, 8);
    buf_append(&map, "\x80", 1);
    assert_int_equal(serve_reply(op, &map), RC_LIMIT);
    credit(&r, 1, 1);
    assert_int_equal(serve_reply(op, &map), RC_OK);
    expect(&r, AGENT_REPLY, 1, &f);
    buf_fini(&map);
    credit(&r, 1, AGENT_WINDOW_MAX); /* as much as there may be */
    assert_int_equal(serve_result(r.s), RC_OK);
    credit(&r, 1, 1);
    broken(&r);
    fini(&r);
}

static void the_queue_is_bounded_and_shared(void **state)
{
    (void)state;
    static uint8_t much[AGENT_PART_MAX];
    struct rig r;
    open_rig(&r);
    request_with_window(&r, 1, AGENT_WINDOW_MAX);
    request_with_window(&r, 2, AGENT_WINDOW_MAX);
    size_t took, all = 0;
    while ((took = serve_data(seen.ops[0], 1, much, sizeof much)) > 0)
        all += took;
    assert_in_range(all, SERVE_QUEUE / 2, SERVE_QUEUE);
    assert_int_equal(serve_data(seen.ops[1], 1, much, 1), 0);
    assert_true(serve_wake_at(r.s) > 0); /* nothing to be done before some of it went */
    drain(&r);
    assert_int_equal(serve_wake_at(r.s), 0);
    turn(&r);
    assert_true(serve_wake_at(r.s) > 0);
    assert_int_equal(serve_data(seen.ops[1], 1, much, 1), 1);
    fini(&r);
}

/* A reply larger than the whole queue must get out all the same, when nothing else waits. */
static void a_large_reply_goes_alone(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    struct buf map;
    open_rig(&r);
    request_with_window(&r, 1, AGENT_WINDOW_MAX);
    buf_init(&map, FRAME_MAX);
    assert_int_equal(buf_reserve(&map, FRAME_MAX), RC_OK);
    memset(map.data, 0, FRAME_MAX);
    map.len = FRAME_MAX;
    assert_int_equal(serve_data(seen.ops[0], 1, "x", 1), 1);
    assert_int_equal(serve_reply(seen.ops[0], &map), RC_LIMIT);
    expect(&r, AGENT_DATA, 1, &f);
    assert_int_equal(serve_wake_at(r.s), 0);
    turn(&r);
    assert_int_equal(serve_reply(seen.ops[0], &map), RC_OK);
    expect(&r, AGENT_REPLY, 1, &f);
    assert_int_equal(f.length, FRAME_MAX);
    buf_fini(&map);
    fini(&r);
}

static void control_goes_first_but_not_into_a_frame(void **state)
{
    (void)state;
    static uint8_t part[40000];
    struct rig r;
    struct frame f;
    open_rig(&r);
    request(&r, 1, "fake");
    for (int i = 0; i < 3; i++)
        assert_int_equal(serve_data(seen.ops[0], 1, part, sizeof part), sizeof part);
    assert_int_equal(write_some(&r, 100), 100); /* in the middle of the first */
    ping(&r, 77);
    expect(&r, AGENT_DATA, 1, &f);
    expect(&r, AGENT_PONG, 77, &f);
    expect(&r, AGENT_DATA, 1, &f);
    expect(&r, AGENT_DATA, 1, &f);
    quiet(&r);
    fini(&r);
}

static void end_never_overtakes_its_own_data(void **state)
{
    (void)state;
    static uint8_t part[30000];
    struct rig r;
    struct frame f;
    open_rig(&r);
    request(&r, 1, "fake");
    request(&r, 2, "fake");
    request(&r, 3, "fake");
    assert_int_equal(serve_data(seen.ops[0], 1, part, sizeof part), sizeof part);
    assert_int_equal(serve_data(seen.ops[1], 1, part, sizeof part), sizeof part);
    assert_int_equal(write_some(&r, 1), 1);
    for (int i = 0; i < 3; i++)
        serve_end(seen.ops[i], "ok", "", "", 0, NULL);
    turn(&r);
    expect(&r, AGENT_DATA, 1, &f);
    expect(&r, AGENT_END, 3, &f); /* had no data of its own */
    expect(&r, AGENT_DATA, 2, &f);
    expect(&r, AGENT_END, 1, &f);
    expect(&r, AGENT_END, 2, &f);
    quiet(&r);
    /* With its data gone, it is control again. */
    request(&r, 4, "fake");
    request(&r, 5, "fake");
    assert_int_equal(serve_data(seen.ops[3], 1, part, 10), 10);
    expect(&r, AGENT_DATA, 4, &f);
    assert_int_equal(serve_data(seen.ops[4], 1, part, 10), 10);
    serve_end(seen.ops[3], "ok", "", "", 0, NULL);
    expect(&r, AGENT_END, 4, &f);
    expect(&r, AGENT_DATA, 5, &f);
    fini(&r);
}

static void input_is_bounded_by_what_was_taken(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    uint32_t n;
    open_rig(&r);
    request(&r, 1, "fake");
    for (int i = 0; i < 4; i++)
        input(&r, 1, 0, AGENT_PART_MAX);
    assert_int_equal(seen.input, AGENT_INPUT_WINDOW);
    quiet(&r);
    serve_taken(seen.ops[0], 100); /* too little to be told of */
    quiet(&r);
    serve_taken(seen.ops[0], 20000);
    expect(&r, AGENT_TAKEN, 1, &f);
    assert_int_equal(agent_take_count(&f, &n), RC_OK);
    assert_int_equal(n, 20100);
    serve_taken(seen.ops[0], AGENT_INPUT_WINDOW - 20100);
    expect(&r, AGENT_TAKEN, 1, &f);
    input(&r, 1, 0, 7);
    serve_taken(seen.ops[0], 7); /* little, but nothing waits */
    expect(&r, AGENT_TAKEN, 1, &f);
    input(&r, 1, 1, 0);
    assert_true(seen.last);
    input(&r, 1, 0, 1); /* after the last part */
    broken(&r);
    fini(&r);

    open_rig(&r);
    request(&r, 1, "fake");
    for (int i = 0; i < 4; i++)
        input(&r, 1, 0, AGENT_PART_MAX);
    input(&r, 1, 0, 1);
    broken(&r);
    fini(&r);

    open_rig(&r);
    request(&r, 1, "plain"); /* takes none */
    input(&r, 1, 0, 1);
    broken(&r);
    fini(&r);
}

/* A controller that asks and never reads: we stop reading, and nothing is lost when it reads. */
static void answers_that_nobody_reads_are_bounded(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    struct buf pings;
    uint64_t sent = 0, got = 0;
    open_rig(&r);
    buf_init(&pings, SERVE_READ);
    while (pings.len + FRAME_HEADER <= SERVE_READ)
        assert_int_equal(frame_append(&pings, AGENT_PING, sent++, NULL, 0), RC_OK);
    feed(&r, pings.data, pings.len);
    while (serve_room(r.s) > 0) {
        feed(&r, pings.data, pings.len < serve_room(r.s) ? pings.len : serve_room(r.s));
        sent += SERVE_READ / FRAME_HEADER;
        assert_true(sent < 1000000);
    }
    buf_fini(&pings);
    /* Reading goes on by itself as what waits gets less: serve_wake_at says when. */
    while (next(&r, &f)) {
        assert_int_equal(f.type, AGENT_PONG);
        got++;
        if (serve_wake_at(r.s) == 0)
            turn(&r);
    }
    assert_true(got == sent);
    assert_true(serve_room(r.s) > 0);
    fini(&r);
}

/* However the bytes are cut, the answers are the same. */
static void bytes_one_at_a_time(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    struct buf b;
    open_rig(&r);
    buf_init(&b, 4096);
    struct wire_out w;
    size_t mark;
    assert_int_equal(frame_append(&b, AGENT_PING, 1, NULL, 0), RC_OK);
    assert_int_equal(frame_begin(&b, AGENT_REQUEST, 2, &mark), RC_OK);
    wire_out_init(&w, &b);
    wire_put_map(&w, 1);
    wire_put_str(&w, "op", "nope");
    assert_int_equal(frame_end(&b, mark), RC_OK);
    assert_int_equal(frame_append(&b, AGENT_PING, 3, NULL, 0), RC_OK);
    for (size_t i = 0; i < b.len; i++) {
        uint8_t *one = mem_memdup(b.data + i, 1); /* so that a read past it is seen */
        feed(&r, one, 1);
        mem_free(one);
    }
    expect(&r, AGENT_PONG, 1, &f);
    expect_end(&r, 2, "unsupported", "nope");
    expect(&r, AGENT_PONG, 3, &f);
    quiet(&r);
    buf_fini(&b);
    fini(&r);
}

/* ---- time, descriptors, the end ---- */

static void waits_for_the_soonest(void **state)
{
    (void)state;
    struct rig r;
    struct serve_config c = config();
    open_with(&r, &c);
    assert_true(serve_wake_at(r.s) == UINT64_MAX);
    request(&r, 1, "fake");
    seen.wake_at = 5000;
    assert_int_equal(serve_wake_at(r.s), 5000);
    fini(&r);
    c.idle_ms = 3000;
    open_with(&r, &c);
    assert_int_equal(serve_wake_at(r.s), 4000);
    r.now = 3999;
    turn(&r);
    ping(&r, 1);
    assert_int_equal(serve_wake_at(r.s), 6999);
    r.now = 6999;
    turn(&r);
    assert_true(serve_finished(r.s));
    assert_int_equal(serve_result(r.s), RC_OK);
    fini(&r);
}

static void descriptors_keep_to_their_requests(void **state)
{
    (void)state;
    struct rig r;
    struct pollfd fds[SERVE_MAX_FDS];
    open_rig(&r);
    seen.fd = 500;
    for (uint64_t id = 1; id <= 5; id++)
        request(&r, id, "fake");
    assert_int_equal(serve_fds(r.s, fds), 10);
    for (size_t i = 0; i < 10; i++)
        fds[i].revents = POLLHUP;
    /* Between asking and answering one ends and one comes: fake_turn checks what each is given. */
    send_map(&r, AGENT_CANCEL, 2, NULL, NULL, "grace_ms", 0);
    request(&r, 6, "fake");
    serve_turn(r.s, fds, r.now);
    assert_int_equal(seen.turns, 5);
    assert_int_equal(seen.fd_turns, 4);
    assert_int_equal(seen.revents, POLLHUP);
    fini(&r);
}

static void every_request_is_first_at_times(void **state)
{
    (void)state;
    struct rig r;
    uint64_t first = 0;
    open_rig(&r);
    for (uint64_t id = 1; id <= 3; id++)
        request(&r, id, "fake");
    for (int i = 0; i < 3; i++)
        turn(&r);
    assert_int_equal(seen.turns, 9);
    for (int i = 0; i < 3; i++)
        first |= 1U << seen.order[3 * i];
    assert_int_equal(first, 1U << 1 | 1U << 2 | 1U << 3);
    fini(&r);
}

static void the_end_of_input_hangs_up(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    open_rig(&r);
    request(&r, 1, "fake");
    request(&r, 2, "plain"); /* has no hangup of its own */
    seen.ends_on_hangup = true;
    serve_eof(r.s, r.now);
    assert_int_equal(seen.hangups, 1);
    expect(&r, AGENT_END, 1, &f);
    assert_false(serve_finished(r.s));
    /* What is written now is taken, so that nobody waits for credit that cannot come. */
    assert_int_equal(serve_data(seen.ops[1], 1, "abc", 3), 3);
    quiet(&r);
    assert_true(serve_room(r.s) > 0);
    ping(&r, 1); /* dropped */
    quiet(&r);
    assert_int_equal(serve_wake_at(r.s), r.now + SERVE_LEAVE_MS);
    r.now += SERVE_LEAVE_MS - 1;
    turn(&r);
    assert_false(serve_finished(r.s));
    r.now++;
    turn(&r);
    assert_true(serve_finished(r.s)); /* left behind: by fini, which ends it by force */
    assert_int_equal(seen.finis, 2);
    assert_int_equal(serve_result(r.s), RC_OK);
    fini(&r);
}

static void bye_is_an_end_of_input(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    request(&r, 1, "fake");
    tell(&r, AGENT_BYE, 0, NULL, 0);
    assert_int_equal(seen.hangups, 1);
    serve_end(seen.ops[0], "ok", "", "", 0, NULL);
    turn(&r);
    assert_true(serve_finished(r.s));
    expect_end(&r, 1, "ok", "");
    serve_eof(r.s, r.now);
    assert_int_equal(seen.hangups, 1);
    assert_int_equal(serve_result(r.s), RC_OK);
    fini(&r);
}

/* ---- memory ---- */

static void an_idle_engine_is_one_block(void **state)
{
    (void)state;
    struct rig r;
    struct frame f;
    size_t before = mem_live();
    open_rig(&r);
    request(&r, 1, "fake");
    assert_int_equal(serve_data(seen.ops[0], 1, "abc", 3), 3);
    ping(&r, 1);
    serve_end(seen.ops[0], "ok", "", "", 0, NULL);
    turn(&r);
    while (next(&r, &f))
        ;
    buf_fini(&r.out);
    assert_int_equal(mem_live(), before + 1);
    fini(&r);
    assert_int_equal(mem_live(), before);
}

/* What a controller would do, without an assertion on the way: with allocations that fail, anything
 * may end early, but it ends in order. */
static void play(struct rig *r)
{
    static uint8_t part[3000];
    struct buf b;
    struct wire_out w;
    size_t mark;
    const void *p;
    buf_init(&b, 65536);
    static uint8_t bytes[4096];
    wire_out_init(&w, &b);
    (void)frame_begin(&b, AGENT_WELCOME, 0, &mark);
    wire_put_map(&w, 1);
    wire_put_u64(&w, "version", 1);
    (void)frame_end(&b, mark);
    (void)frame_begin(&b, AGENT_REQUEST, 1, &mark);
    wire_put_map(&w, 1);
    wire_put_str(&w, "op", "fake");
    (void)frame_end(&b, mark);
    (void)agent_put_part(&b, AGENT_INPUT, 1, 0, "abc", 3);
    (void)frame_append(&b, AGENT_PING, 3, NULL, 0);
    (void)frame_append(&b, AGENT_REQUEST, 2, "\x80", 1);
    size_t n = b.len;
    must(n <= sizeof bytes);
    memcpy(bytes, b.data, n);
    buf_fini(&b);

    for (long after = 0;; after++) {
        struct serve_config c = config();
        size_t live = mem_live();
        forget();
        mem_fail_after(after);
        if (serve_new(&r->s, &c, 0) != RC_OK) {
            assert_int_equal(mem_live(), live);
            continue;
        }
        serve_feed(r->s, bytes, n - 5, 0);
        serve_feed(r->s, bytes + n - 5, 5, 0);
        if (seen.n > 0 && seen.ops[0] != NULL) {
            (void)serve_data(seen.ops[0], 1, part, sizeof part);
            serve_taken(seen.ops[0], seen.input);
            serve_end(seen.ops[0], "ok", "", "", 0, NULL);
        }
        serve_turn(r->s, NULL, 1);
        while (serve_output(r->s, &p) > 0)
            serve_wrote(r->s, 1);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        enum rc rc = serve_result(r->s);
        assert_true(rc == RC_OK || rc == RC_NOMEM);
        serve_free(r->s);
        assert_int_equal(mem_live(), live);
        for (size_t i = 0; i < seen.n; i++)
            assert_null(seen.ops[i]);
        if (!fired)
            return;
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct rig r = {0};
    play(&r);
}

static void no_memory_for_data_is_tried_again(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    request(&r, 1, "fake");
    mem_fail_after(0);
    assert_int_equal(serve_data(seen.ops[0], 1, "abc", 3), 0);
    assert_true(mem_fail_fired());
    mem_fail_after(-1);
    assert_in_range(serve_wake_at(r.s), r.now + 1, r.now + 1000);
    turn(&r);
    assert_int_equal(serve_data(seen.ops[0], 1, "abc", 3), 3);
    assert_true(serve_wake_at(r.s) == UINT64_MAX);
    fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_says_who_it_is),
        cmocka_unit_test(welcome_comes_first_and_once),
        cmocka_unit_test(members_not_known_are_ignored),
        cmocka_unit_test(rules_that_are_broken),
        cmocka_unit_test(bytes_that_are_no_frame),
        cmocka_unit_test(requests_that_are_not_begun),
        cmocka_unit_test(an_id_is_free_again_after_its_end),
        cmocka_unit_test(at_most_64_requests),
        cmocka_unit_test(frames_for_what_is_gone_are_ignored),
        cmocka_unit_test(cancel_brings_its_grace),
        cmocka_unit_test(data_waits_for_credit),
        cmocka_unit_test(the_queue_is_bounded_and_shared),
        cmocka_unit_test(a_large_reply_goes_alone),
        cmocka_unit_test(control_goes_first_but_not_into_a_frame),
        cmocka_unit_test(end_never_overtakes_its_own_data),
        cmocka_unit_test(input_is_bounded_by_what_was_taken),
        cmocka_unit_test(answers_that_nobody_reads_are_bounded),
        cmocka_unit_test(bytes_one_at_a_time),
        cmocka_unit_test(waits_for_the_soonest),
        cmocka_unit_test(descriptors_keep_to_their_requests),
        cmocka_unit_test(every_request_is_first_at_times),
        cmocka_unit_test(the_end_of_input_hangs_up),
        cmocka_unit_test(bye_is_an_end_of_input),
        cmocka_unit_test(an_idle_engine_is_one_block),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(no_memory_for_data_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
