/* controller/run/writer: a reader that stalls, one that goes away, and the end. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "common/mem.h"
#include "controller/run/writer.h"

struct fixture {
    uv_loop_t loop;
    struct writer *w;
    int fds[2];
    unsigned stalls, drains, closed;
    size_t live;
};

static void on_changed(void *user, bool stalled)
{
    struct fixture *f = user;
    if (stalled)
        f->stalls++;
    else
        f->drains++;
}

static void on_closed(void *user)
{
    ((struct fixture *)user)->closed++;
}

static void start(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->live = mem_live();
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(f->fds), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(writer_new(&f->w, f->fds[1], &f->loop, on_changed, f, NULL), RC_OK);
}

static void finish(struct fixture *f)
{
    writer_detach(f->w, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->closed, 1);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    writer_free(f->w);
    close(f->fds[1]);
    assert_int_equal(mem_live(), f->live);
}

static size_t read_some(int fd, size_t want)
{
    static char sink[65536];
    size_t got = 0;
    while (got < want) {
        ssize_t n = read(fd, sink, want - got < sizeof sink ? want - got : sizeof sink);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static size_t read_all(int fd, char *dst, size_t n)
{
    size_t got = 0;
    for (ssize_t r = 1; got < n && r > 0; got += r > 0 ? (size_t)r : 0)
        r = read(fd, dst + got, n - got);
    return got;
}

static void test_stalled_reader(void **state)
{
    (void)state;
    struct fixture f;
    static char chunk[1 << 20];
    size_t sent = 0;
    start(&f);
    for (int i = 0; i < 12; i++, sent += sizeof chunk)
        writer_write(f.w, chunk, sizeof chunk); /* returns though nobody reads */
    assert_int_equal(f.stalls, 1);
    assert_int_equal(f.drains, 0);
    assert_int_equal(read_some(f.fds[0], sent), sent);
    while (f.drains == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(f.drains, 1);
    assert_int_equal(writer_broken(f.w), 0);
    finish(&f);
    close(f.fds[0]);
}

static void test_reader_goes_away(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    close(f.fds[0]);
    writer_write(f.w, "x", 1);
    while (f.drains == 0)
        uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(writer_broken(f.w), EPIPE);
    writer_write(f.w, "y", 1);
    finish(&f);
}

static void test_order_and_flush(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    char want[100], got[100];
    for (int i = 0; i < 100; i++) {
        want[i] = (char)i;
        writer_write(f.w, &want[i], 1);
    }
    writer_flush(f.w);
    assert_int_equal(read(f.fds[0], got, 100), 100);
    assert_memory_equal(got, want, 100);
    finish(&f);
    close(f.fds[0]);
}

/* A second writer to the same pipe keeps its turn, however soon its thread comes. */
static void test_follows_in_the_same_pipe(void **state)
{
    (void)state;
    struct fixture f;
    struct writer *second;
    char got[2000], want[2000];
    for (int round = 0; round < 200; round++) {
        start(&f);
        assert_int_equal(writer_new(&second, f.fds[1], NULL, NULL, NULL, NULL), RC_OK);
        writer_follow(second, f.w);
        memset(want, 'a', 1000);
        memset(want + 1000, 'b', 1000);
        writer_write(f.w, want, 1000);
        writer_write(second, want + 1000, 1000);
        assert_int_equal(read_all(f.fds[0], got, sizeof got), sizeof got);
        assert_memory_equal(got, want, sizeof got);
        writer_free(second);
        finish(&f);
        close(f.fds[0]);
    }
}

/* Nobody reads the first one's pipe, or nobody is there any more. */
static void test_follows_nobody_elsewhere_or_gone(void **state)
{
    (void)state;
    struct fixture f;
    struct writer *second;
    static char much[1 << 20];
    char got[1];
    int other[2];
    start(&f);
    assert_int_equal(pipe(other), 0);
    assert_int_equal(writer_new(&second, other[1], NULL, NULL, NULL, NULL), RC_OK);
    writer_follow(second, f.w);
    writer_write(f.w, much, sizeof much);
    writer_write(second, "x", 1);
    assert_int_equal(read(other[0], got, 1), 1);
    writer_free(second);
    assert_int_equal(writer_new(&second, f.fds[1], NULL, NULL, NULL, NULL), RC_OK);
    writer_follow(second, f.w);
    writer_write(second, "y", 1);
    close(f.fds[0]);
    writer_free(second);
    finish(&f);
    close(other[0]);
    close(other[1]);
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct writer *w;
    mem_fail_after(0);
    assert_int_equal(writer_new(&w, 1, NULL, NULL, NULL, NULL), RC_NOMEM);
    mem_fail_after(-1);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stalled_reader),
        cmocka_unit_test(test_reader_goes_away),
        cmocka_unit_test(test_order_and_flush),
        cmocka_unit_test(test_follows_in_the_same_pipe),
        cmocka_unit_test(test_follows_nobody_elsewhere_or_gone),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
