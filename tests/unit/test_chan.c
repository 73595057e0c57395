/* A channel that rests between two looks (chan_calm); the rest of it is tested through the pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/worker/chan.h"

enum { LONG_MS = 24 * 3600 * 1000, SHORT_MS = 30 };

static struct {
    uv_loop_t loop;
    struct chan ch;
    int peer;
    unsigned frames, awaited;
    uint64_t at; /* of the last frame */
    bool ended, closed;
} t;

static enum rc on_frame(void *user, const struct frame *f, struct err *e)
{
    (void)user, (void)f, (void)e;
    t.at = uv_hrtime();
    if (++t.frames == t.awaited)
        uv_stop(&t.loop);
    return RC_OK;
}

static void on_ended(void *user, const struct err *why)
{
    (void)user, (void)why;
    t.ended = true;
    uv_stop(&t.loop);
}

static void on_closed(void *user)
{
    (void)user;
    t.closed = true;
}

static const struct chan_ops ops = {.frame = on_frame, .ended = on_ended};

static int setup(void **state)
{
    int fds[2];
    (void)state;
    memset(&t, 0, sizeof t);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    t.peer = fds[1];
    assert_int_equal(uv_loop_init(&t.loop), 0);
    chan_init(&t.ch, fds[0], 1 << 20, 0);
    assert_int_equal(chan_start(&t.ch, &t.loop, &ops, NULL, NULL), RC_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chan_close(&t.ch, on_closed);
    uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_true(t.closed);
    chan_fini(&t.ch);
    assert_int_equal(uv_loop_close(&t.loop), 0);
    close(t.peer);
    return 0;
}

static void say(void)
{
    struct buf b;
    buf_init(&b, 64);
    assert_int_equal(frame_append(&b, 1, 2, "abc", 3), RC_OK);
    assert_int_equal(write(t.peer, b.data, b.len), (ssize_t)b.len);
    buf_fini(&b);
}

static void await_frames(unsigned n)
{
    t.awaited = n;
    while (t.frames < n && !t.ended)
        uv_run(&t.loop, UV_RUN_DEFAULT);
    assert_int_equal(t.frames, n);
}

/* The first is read at once, and what follows not before the time is over, but then. */
static void test_rests(void **state)
{
    (void)state;
    chan_calm(&t.ch, SHORT_MS);
    say();
    await_frames(1);
    uint64_t first = t.at;
    say();
    say();
    await_frames(3);
    /* The loop counts whole milliseconds. */
    assert_true(t.at - first >= (uint64_t)(SHORT_MS - 2) * 1000000);
}

static void test_wakes_when_told(void **state)
{
    (void)state;
    chan_calm(&t.ch, LONG_MS);
    say();
    await_frames(1);
    say();
    for (int i = 0; i < 3; i++)
        uv_run(&t.loop, UV_RUN_NOWAIT);
    assert_int_equal(t.frames, 1);
    chan_calm(&t.ch, 0);
    await_frames(2);
    say();
    await_frames(3);
}

/* It sends while it rests, also when the socket was full. */
static void test_sends_while_it_rests(void **state)
{
    static const char bytes[200000];
    char got[65536];
    size_t want = sizeof bytes + FRAME_HEADER, seen = 0;
    (void)state;
    chan_calm(&t.ch, LONG_MS);
    say();
    await_frames(1);
    int small = 4096;
    assert_int_equal(setsockopt(t.ch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    assert_int_equal(frame_append(chan_out(&t.ch), 1, 2, bytes, sizeof bytes), RC_OK);
    chan_kick(&t.ch);
    while (seen < want) {
        uv_run(&t.loop, UV_RUN_NOWAIT);
        for (ssize_t n; (n = read(t.peer, got, sizeof got)) > 0;)
            seen += (size_t)n;
    }
    assert_int_equal(seen, want);
    assert_int_equal(chan_pending(&t.ch), 0);
    assert_int_equal(t.frames, 1);
}

static void test_end_is_seen(void **state)
{
    (void)state;
    chan_calm(&t.ch, SHORT_MS);
    say();
    await_frames(1);
    assert_int_equal(shutdown(t.peer, SHUT_WR), 0);
    while (!t.ended)
        uv_run(&t.loop, UV_RUN_DEFAULT);
}

static void test_closes_while_it_rests(void **state)
{
    (void)state;
    chan_calm(&t.ch, LONG_MS);
    say();
    await_frames(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wakes_when_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sends_while_it_rests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closes_while_it_rests, setup, teardown),
    };
    return cmocka_run_group_tests_name("chan", tests, NULL, NULL);
}
