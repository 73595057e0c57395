/* agent/core: processes that lead by what they used since the sample before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tests/unit/core_fixture.h"

static const char table[] = "processes/data/processes";

enum { MANY = 9000, KEPT = 8192 };

/* A /proc of its own: process n has `ticks`, and has read so many bytes. */
static struct crowd {
    unsigned n;
    bool denied; /* their io */
    struct {
        unsigned ticks, bytes, start;
    } of[MANY + 1]; /* by pid; from 1 */
} crowd;

static ssize_t crowd_read(void *user, const char *path, uint64_t at, void *dst, size_t n)
{
    char text[256], file[16];
    unsigned pid;
    (void)user;
    if (sscanf(path, "proc/%u/%15s", &pid, file) != 2 || pid == 0 || pid > crowd.n)
        return -ENOENT;
    if (strcmp(file, "stat") == 0)
        snprintf(text, sizeof text,
                 "%u (p) S 1 1 1 0 -1 0 1 2 3 4 %u 1 0 0 20 0 1 0 %u 8192 10 1 1 1 1\n", pid,
                 crowd.of[pid].ticks, crowd.of[pid].start);
    else if (strcmp(file, "io") == 0 && !crowd.denied)
        snprintf(text, sizeof text,
                 "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: %u\nwrite_bytes: 1\n",
                 crowd.of[pid].bytes);
    else
        return -EACCES;
    size_t len = strlen(text), left = at < len ? len - (size_t)at : 0;
    n = n < left ? n : left;
    memcpy(dst, text + len - left, n);
    return (ssize_t)n;
}

static ssize_t crowd_entry(void *user, const char *path, size_t index, char *dst, size_t cap)
{
    (void)user;
    if (strcmp(path, "proc") != 0)
        return -ENOENT;
    return index < crowd.n ? snprintf(dst, cap, "%zu", index + 1) : 0;
}

static ssize_t crowd_link(void *user, const char *path, char *dst, size_t cap)
{
    (void)user;
    (void)path;
    (void)dst;
    (void)cap;
    return -ENOENT;
}

static const struct core_files crowd_files = {crowd_read, crowd_entry, crowd_link, fx_statvfs};

static int setup(void **state)
{
    fx_setup(state);
    struct fx *f = *state;
    core_set_files(f->core, &crowd_files, f);
    memset(&crowd, 0, sizeof crowd);
    crowd.n = 5;
    for (unsigned i = 1; i <= MANY; i++)
        crowd.of[i].start = 100;
    f->request.top = 3;
    f->request.by = CORE_BY_CPU;
    f->request.past = core_past_new();
    return f->request.past != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    core_past_free(f->request.past);
    return fx_teardown(state);
}

/* Two that have used much since they were started, and one that is busy now. */
static void the_busy_lead_the_old(void **state)
{
    struct fx *f = *state;
    crowd.of[2].ticks = 90000;
    crowd.of[5].ticks = 80000;
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "pid", 2); /* of the first sample nothing else is known */
    fx_cell_is(f, table, 1, "pid", 5);
    assert_null(fx_at(f, "processes/data/recent_us"));
    crowd.of[4].ticks += 100;
    crowd.of[5].ticks += 7;
    fx_sample(f, "processes");
    assert_true(fx_number(fx_at(f, "processes/data/recent_us")) > 0);
    fx_cell_is(f, table, 0, "pid", 4);
    fx_cell_is(f, table, 0, "cpu_recent", 100);
    fx_cell_is(f, table, 1, "pid", 5);
    fx_cell_is(f, table, 1, "cpu_recent", 7);
    fx_cell_is(f, table, 2, "cpu_recent", 0);
    fx_cell_nil(f, table, 0, "read_recent"); /* nobody looked */
    fx_sample(f, "processes");               /* and in the one after, what was used since */
    fx_cell_is(f, table, 0, "pid", 1);
    fx_cell_is(f, table, 0, "cpu_recent", 0);
}

static void by_io_as_well(void **state)
{
    struct fx *f = *state;
    f->request.by = CORE_BY_IO;
    f->request.detail = true;
    crowd.of[1].bytes = 1 << 30;
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "pid", 1);
    crowd.of[3].bytes += 4096;
    crowd.of[3].ticks += 5;
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "pid", 3);
    fx_cell_is(f, table, 0, "read_recent", 4096);
    fx_cell_is(f, table, 0, "write_recent", 0);
    fx_cell_is(f, table, 0, "cpu_recent", 5);
    crowd.denied = true;
    fx_sample(f, "processes");
    fx_cell_nil(f, table, 0, "read_recent");
    crowd.denied = false; /* nor is what was read meanwhile known */
    fx_sample(f, "processes");
    fx_cell_nil(f, table, 0, "read_recent");
    fx_cell_is(f, table, 0, "cpu_recent", 0);
}

/* All that a new process has used is since; a pid that came back is a new process. */
static void new_processes(void **state)
{
    struct fx *f = *state;
    crowd.of[2].ticks = 5000;
    fx_sample(f, "processes");
    crowd.n = 6;
    crowd.of[6].start = 150;
    crowd.of[6].ticks = 30;
    crowd.of[2].start = 160;
    crowd.of[2].ticks = 20;
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "pid", 6);
    fx_cell_is(f, table, 0, "cpu_recent", 31); /* one in the kernel */
    fx_cell_is(f, table, 1, "pid", 2);
    fx_cell_is(f, table, 1, "cpu_recent", 21);
    crowd.n = 5;
    fx_sample(f, "processes");
    crowd.n = 6; /* hidden for a while: it is not new, and nobody knows what it used since */
    crowd.of[6].ticks = 1000;
    fx_sample(f, "processes");
    assert_int_equal(fx_rows(f, table), 3);
    fx_cell_is(f, table, 0, "pid", 6);
    fx_cell_nil(f, table, 0, "cpu_recent");
}

/* A counter that falls is no process that was busy for 497 days. */
static void a_counter_that_falls(void **state)
{
    struct fx *f = *state;
    crowd.of[2].ticks = 50;
    fx_sample(f, "processes");
    crowd.of[2].ticks = 49;
    crowd.of[3].ticks = 1;
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "pid", 3);
    fx_cell_is(f, table, 1, "cpu_recent", 0);
}

/* What is kept is bounded: those past it are ranked by their average, and say nothing of now. */
static void more_than_are_kept(void **state)
{
    struct fx *f = *state;
    crowd.n = MANY;
    crowd.of[1].start = 1000000;
    for (unsigned i = KEPT + 1; i <= MANY; i++)
        crowd.of[i].ticks = 900; /* in all of the time: not one since */
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "pid", KEPT + 1);
    crowd.of[KEPT].ticks += 3;
    fx_sample(f, "processes");
    fx_is(f, "processes/data/total", MANY);
    fx_cell_is(f, table, 0, "pid", KEPT);
    fx_cell_is(f, table, 0, "cpu_recent", 3);
}

static void a_look_without_memory(void **state)
{
    struct fx *f = *state;
    f->request.sections = (uint64_t)1 << core_section_find("processes", 9);
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct buf out;
        core_past_free(f->request.past);
        f->request.past = core_past_new();
        buf_init(&out, FRAME_MAX);
        mem_fail_after(n);
        enum rc rc = core_sample(f->core, &f->request, 0, 0, &out);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        assert_int_equal(core_sample(f->core, &f->request, 0, 0, &out), RC_OK);
        buf_fini(&out);
        must(n < 1000);
    }
}

/* What a look that was cut has not seen is not new in the next one. */
static void a_look_that_was_cut(void **state)
{
    struct fx *f = *state;
    crowd.of[2].ticks = 500;
    fx_sample(f, "processes");
    f->request.section_ms = 0;
    fx_sample(f, "processes");
    fx_status(f, "processes", "timeout");
    f->request.section_ms = 600000;
    fx_sample(f, "processes");
    assert_null(fx_at(f, "processes/data/recent_us"));
    fx_cell_is(f, table, 0, "pid", 2);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(the_busy_lead_the_old), WITH(by_io_as_well),      WITH(new_processes),
        WITH(a_counter_that_falls),  WITH(more_than_are_kept), WITH(a_look_without_memory),
        WITH(a_look_that_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
