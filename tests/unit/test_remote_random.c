/* controller/remote: a hundred thousand conversations with hosts that may do anything, in a time of
 * their own. What must hold in all of them is asserted here and in remote_host.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/remote_host.h"

/* Any host at all: true to its part most of the time, so that conversations get somewhere, and at
 * every step free to lie, to be silent, to die or to be cut off. */
static uint64_t seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)((seed >> 33) % n);
}

static void garbage(struct host *h)
{
    uint8_t p[64];
    size_t n = 1 + rnd(sizeof p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rnd(256);
    if (n >= FRAME_HEADER &&
        rnd(2)) { /* the header of a frame, and a length that may be anything */
        static const uint8_t types[] = {AGENT_HELLO, AGENT_REPLY, AGENT_DATA,
                                        AGENT_END,   AGENT_TAKEN, AGENT_PONG};
        memset(p, 0, FRAME_HEADER);
        p[1] = (uint8_t)rnd(20);
        p[3] = (uint8_t)rnd(64);
        p[4] = types[rnd(6)];
        p[6] = 0x6d;
        p[7] = 0x75;
        p[15] = (uint8_t)h->last_id;
    }
    host_out(h, p, n);
}

/* A whole stream of bytes, cut anywhere. */
static void in_pieces(struct host *h, const uint8_t *p, size_t n)
{
    while (n > 0 && h->running) {
        size_t part = 1 + rnd(n > 64 ? 64 : (unsigned)n);
        part = part < n ? part : n;
        host_out(h, p, part);
        p += part;
        n -= part;
    }
}

static void frame_in_pieces(struct host *h, uint8_t type, uint64_t id, const void *p, size_t n)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER + FRAME_MAX);
    assert_int_equal(frame_append(&b, type, id, p, n), RC_OK);
    in_pieces(h, b.data, b.len);
    buf_fini(&b);
}

static void answer_in_part(struct host *h)
{
    static const char *const reports[] = {
        REPORT_OK,
        REPORT_OK,
        REPORT_OK,
        (REPORT_NOWHERE("c:noexec,v:full,")),
        "os=Linux arch=mips bits=32 uid=0 boot= tool=1 at= free= refused=",
        "nonsense"};
    static const char *const placed[] = {
        "ok", "ok", "ok", "error=full", "error=short", "error=policy", "error=run exit=1"};
    bool probe = strstr(h->line, "muster-probe $n") != NULL;
    if (h->input == REMOTE_INPUT_BLOB) {
        remote_taken(h->r, h->now, rnd(100000));
        if (h->running && !h->hung)
            host_placed(h, placed[rnd(7)]);
    } else if (h->input == REMOTE_INPUT_NONE) {
        host_figures(h);
    } else if (probe && rnd(3) == 0) {
        host_report(h, reports[rnd(6)]);
    } else if (h->sent.len == 0) {
        host_preamble(h, rnd(2) ? 'c' : '\0');
        if (h->running && !h->hung)
            host_hello(h);
    }
}

static void talk(struct host *h)
{
    struct buf b;
    struct wire_out w;
    uint8_t data[300] = {1};
    uint64_t id = h->live_count > 0 ? h->live[rnd((unsigned)h->live_count)] : 1;
    struct frame f;
    uint64_t ping = 0;
    for (size_t i = 0; host_sent(h, i, &f); i++)
        ping = f.type == AGENT_PING ? f.id : ping;
    if (h->live_count == 0 && rnd(20) != 0)
        return; /* mostly it does not speak of what nobody asked */
    switch (rnd(rnd(8) ? 2 : 6)) {
    case 0: frame_in_pieces(h, AGENT_REPLY, id, "\x81\xa1x\x01", 4); break;
    case 1: frame_in_pieces(h, AGENT_DATA, id, data, 2 + rnd(298)); break;
    case 2: frame_in_pieces(h, AGENT_TAKEN, id, "\0\0\0\3", 4); break;
    case 3: host_pong(h, ping); break;
    default:
        buf_init(&b, 256);
        wire_out_init(&w, &b);
        wire_put_map(&w, 3);
        wire_put_str(&w, "status", rnd(9) ? "ok" : "good");
        wire_put_str(&w, "problem", "");
        wire_put_str(&w, "detail", "");
        assert_int_equal(wire_out_end(&w), RC_OK);
        frame_in_pieces(h, AGENT_END, id, b.data, b.len);
        buf_fini(&b);
    }
}

static void owner_acts(struct host *h)
{
    size_t taken;
    uint64_t id = h->live_count > 0 ? h->live[rnd((unsigned)h->live_count)] : 1;
    switch (rnd(10)) {
    case 0: remote_cancel(h->r, h->now, id, rnd(10000)); break;
    case 1:
        assert_int_equal(remote_input(h->r, h->now, id, "abc", 3, rnd(4) == 0, &taken), RC_OK);
        break;
    case 2:
        if (rnd(6) == 0)
            remote_close(h->r, h->now);
        break;
    case 3: remote_pause(h->r, h->now, rnd(2)); break;
    case 4: remote_taken(h->r, h->now, rnd(1000)); break;
    default: (void)host_request(h, rnd(2) ? "exec" : "stats"); break;
    }
}

/* Time goes to where the machine wants it, or not so far; a tick there must get it somewhere. */
static void time_passes(struct host *h)
{
    uint64_t at = remote_wake_at(h->r);
    if (at == UINT64_MAX) {
        h->now += rnd(1000);
        return;
    }
    if (rnd(3) != 0) {
        h->now += rnd(2000);
        if (h->now < at) {
            remote_tick(h->r, h->now);
            return;
        }
    }
    h->now = at > h->now ? at : h->now;
    unsigned execs = h->execs, said = h->readies + h->ends + h->finals;
    size_t sent = h->sent.len;
    bool hung = h->hung;
    remote_tick(h->r, h->now);
    assert_true(h->finals > 0 || remote_wake_at(h->r) > h->now || h->execs != execs ||
                h->sent.len != sent || h->hung != hung || h->readies + h->ends + h->finals != said);
}

static void conversation(unsigned *counts)
{
    static struct host h;
    struct remote_spec s = host_spec();
    s.fallback = rnd(2);
    s.mode = (enum remote_mode)(rnd(8) < 5 ? 0 : rnd(4));
    host_init(&h);
    assert_int_equal(remote_new(&h.r, &s, &host_ops, &h, NULL), RC_OK);
    assert_int_equal(remote_start(h.r, h.now, NULL), RC_OK);
    h.close_in_ready = rnd(40) == 0;
    h.close_in_end = rnd(40) == 0;
    h.ask_in_end = rnd(4) == 0;
    for (int step = 0; step < 40 && h.finals == 0; step++) {
        unsigned what = rnd(40);
        if (what == 0 && h.running)
            host_ends(&h, PROBLEM_CONNECTION_LOST, -1, NULL);
        else if (what == 1 && h.running)
            host_ends(&h, PROBLEM_NONE, (int)rnd(256), rnd(3) ? NULL : "KILL");
        else if (what == 2 && h.running)
            garbage(&h);
        else if (what < 6)
            time_passes(&h);
        else if (what < 16)
            owner_acts(&h);
        else if (h.running && !h.hung && h.readies > 0 && h.input == REMOTE_INPUT_DUPLEX &&
                 h.sent.len > 0)
            talk(&h);
        else if (h.running && !h.hung)
            answer_in_part(&h);
        assert_true(remote_memory(h.r) < AGENT_NOISE_MAX * 2 + 64 * 1024);
        assert_true(h.live_count <= AGENT_MAX_REQUESTS);
    }
    counts[0] += h.readies;
    counts[1] += h.ends;
    counts[2] += h.failed;
    counts[3] += h.hello.fallback;
    remote_close(h.r, h.now); /* and then it ends by itself, whatever the host does not do */
    for (int i = 0; i < 5 && h.finals == 0; i++) {
        assert_true(remote_wake_at(h.r) <= h.now + REMOTE_BYE_MS);
        h.now = remote_wake_at(h.r) > h.now ? remote_wake_at(h.r) : h.now;
        remote_tick(h.r, h.now);
    }
    assert_int_equal(h.finals, 1);
    assert_int_equal(h.live_count, 0);
    host_fini(&h);
}

static void test_a_hundred_thousand_conversations(void **state)
{
    size_t live = mem_live();
    unsigned counts[4] = {0};
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        seed = i;
        conversation(counts);
        assert_int_equal(mem_live(), live);
    }
    print_message("%u ready, %u ends, %u failed, %u without an agent\n", counts[0], counts[1],
                  counts[2], counts[3]);
    for (int i = 0; i < 4; i++) /* they did get somewhere */
        assert_true(counts[i] > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hundred_thousand_conversations),
    };
    return cmocka_run_group_tests_name("remote_random", tests, NULL, NULL);
}
