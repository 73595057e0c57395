/* controller/remote/fallback: the figures that plain sh brings, of this very machine and of texts
 * that no machine would say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "controller/remote/fallback.h"
#include "proto/wire.h"

#define NONCE "0123456789abcdef0123456789abcdef"
enum { ALL = (1 << FALLBACK_SECTIONS) - 1 };

/* What the script prints here. */
static char *script_output(size_t *len)
{
    struct buf line, out;
    int fds[2], status;
    char part[65536];
    ssize_t n;
    buf_init(&line, 65536);
    buf_init(&out, FALLBACK_MAX);
    assert_int_equal(fallback_line(&line, NONCE, NULL), RC_OK);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execl("/bin/sh", "sh", "-c", buf_cstr(&line), (char *)NULL);
        _exit(111);
    }
    close(fds[1]);
    while ((n = read(fds[0], part, sizeof part)) > 0)
        assert_int_equal(buf_append(&out, part, (size_t)n), RC_OK);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    buf_fini(&line);
    return buf_take(&out, len);
}

static void section(const struct wire_map *sample, const char *name, const char *status,
                    struct wire_map *data)
{
    struct wire_map all, one;
    char got[16];
    assert_int_equal(wire_map(sample, "sections", &all), RC_OK);
    assert_int_equal(wire_map(&all, name, &one), RC_OK);
    assert_int_equal(wire_str_to(&one, "status", got, sizeof got), RC_OK);
    assert_string_equal(got, status);
    if (data != NULL)
        assert_int_equal(wire_map(&one, "data", data), RC_OK);
}

static uint64_t number(const struct wire_map *m, const char *key)
{
    uint64_t v = 0;
    assert_int_equal(wire_u64(m, key, UINT64_MAX, &v), RC_OK);
    return v;
}

/* Rows of a table; every one as wide as it has columns. */
static uint32_t rows(const struct wire_map *data, const char *name, uint32_t cols)
{
    struct wire_map t;
    const msgpack_object_array *a;
    assert_int_equal(wire_map(data, name, &t), RC_OK);
    assert_int_equal(wire_array(&t, "cols", 64, &a), RC_OK);
    assert_int_equal(a->size, cols);
    assert_int_equal(wire_array(&t, "rows", FALLBACK_MAX_ROWS, &a), RC_OK);
    for (uint32_t i = 0; i < a->size; i++) {
        assert_int_equal(a->ptr[i].type, MSGPACK_OBJECT_ARRAY);
        assert_int_equal(a->ptr[i].via.array.size, cols);
    }
    return a->size;
}

static void test_of_this_machine(void **state)
{
    size_t len;
    char *text = script_output(&len), name[256];
    struct buf out;
    struct wire_map m, d, times;
    struct err e = {0};
    struct utsname u;
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(fallback_sample(text, len, NONCE, ALL, 7, 2, &out, &e), RC_OK);
    assert_int_equal(wire_open(&m, out.data, out.len, &e), RC_OK);
    assert_int_equal(number(&m, "seq"), 7);
    assert_int_equal(number(&m, "skipped"), 2);
    assert_int_equal(number(&m, "hz"), sysconf(_SC_CLK_TCK));
    assert_int_equal(number(&m, "page"), sysconf(_SC_PAGESIZE));
    assert_true(number(&m, "mono_ns") > 0 && number(&m, "real_ns") > 1700000000U * 1000000000UL);
    section(&m, "host", "ok", &d);
    assert_int_equal(uname(&u), 0);
    assert_int_equal(wire_str_to(&d, "nodename", name, sizeof name), RC_OK);
    assert_string_equal(name, u.nodename);
    assert_int_equal(wire_str_to(&d, "release", name, sizeof name), RC_OK);
    assert_string_equal(name, u.release);
    assert_int_equal(wire_str_to(&d, "os_id", name, sizeof name), RC_OK);
    assert_true(number(&d, "uptime_ms") / 1000 >= number(&m, "mono_ns") / 1000000000U);
    section(&m, "cpu", "ok", &d);
    assert_int_equal(number(&d, "logical"), sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(rows(&d, "percpu", 11), sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(wire_map(&d, "times", &times), RC_OK);
    assert_true(number(&times, "user") > 0 && number(&times, "idle") > 0);
    assert_true(number(&d, "ctx_switches") > 0 && number(&d, "procs_running") > 0);
    section(&m, "memory", "ok", &d);
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(number(&d, "total"), total);
    assert_int_equal(number(&d, "used") + number(&d, "available"), total);
    section(&m, "swap", "ok", &d);
    assert_int_equal(number(&d, "used") + number(&d, "free"), number(&d, "total"));
    section(&m, "net", "ok", &d);
    assert_true(rows(&d, "nics", 14) > 0);
    section(&m, "disk", "ok", &d);
    (void)rows(&d, "mounts", 10);
    section(&m, "diskio", "ok", &d);
    (void)rows(&d, "disks", 14);
    section(&m, "processes", "unsupported", NULL);
    wire_close(&m);
    buf_fini(&out);
    mem_free(text);
}

static void test_only_what_was_asked_for(void **state)
{
    size_t len;
    char *text = script_output(&len);
    struct buf out;
    struct wire_map m, all;
    (void)state;
    buf_init(&out, 1 << 20);
    uint32_t which = fallback_section("swap", 4) | fallback_section("users", 5);
    assert_int_equal(fallback_section("swapp", 5), 0);
    assert_int_equal(fallback_sample(text, len, NONCE, which, 0, 0, &out, NULL), RC_OK);
    assert_int_equal(wire_open(&m, out.data, out.len, NULL), RC_OK);
    assert_int_equal(wire_map(&m, "sections", &all), RC_OK);
    assert_int_equal(wire_count(&all), 2);
    wire_close(&m);
    buf_fini(&out);
    mem_free(text);
}

/* A made-up host, where every figure is known. */
#define MARK "\n=" NONCE " "
static const char made_up[] =
    "noise of a start-up file\n" MARK "uptime\n100.50 7.00\n" MARK
    "stat\ncpu  1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8\nintr 99 1 2\nctxt 55\nbtime 1000\n" MARK
    "loadavg\n0.25 1.50 99.00 1/2 3\n" MARK
    "meminfo\nMemTotal: 1000 kB\nMemFree:100 kB\nCached: 50 kB\nSwapTotal: 8 kB\nSwapFree: 2 "
    "kB\n" MARK "vmstat\npswpin 2\npswpout 3\n" MARK
    "netdev\nInter-|   Receive\n face |bytes\n  eth0:0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 "
    "16\n" MARK
    "diskstats\n 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13\n 8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n"
    " 7 0 loop0 1 2 3 4 5 6 7 8 9 10 11\n" MARK "block\nloop0\nsda\n" MARK
    "names\nLinux\nbox\n5.0\n#1 x\nx86_64\n" MARK
    "os\nID=tiny\nPRETTY_NAME=\"A \xff Tiny OS\"\n" MARK "filesystems\nnodev\ttmpfs\n\text4\n" MARK
    "mounts\n/dev/sda1 / ext4 rw,noatime 0 0\ntmpfs /run tmpfs rw 0 0\nproc /proc proc "
    "rw,hidepid=2 0 0\n" MARK "time\n2000000000\n" MARK "uid\n1000\n" MARK
    "df\nFilesystem 1024-blocks Used Available Capacity Mounted on\n"
    "/dev/root 100 60 30 67% /\ntmpfs 9 1 8 12% /run\n" MARK "end\n";

static void test_of_a_made_up_host(void **state)
{
    struct buf out;
    struct wire_map m, d, t;
    struct err e = {0};
    const msgpack_object_array *a;
    char text[64];
    double load;
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(fallback_sample(made_up, sizeof made_up - 1, NONCE, ALL, 0, 0, &out, &e),
                     RC_OK);
    assert_int_equal(wire_open(&m, out.data, out.len, &e), RC_OK);
    assert_int_equal(number(&m, "mono_ns"), 100500000000U);
    assert_int_equal(number(&m, "real_ns"), 2000000000000000000U);
    assert_int_equal(number(&m, "hz"), 100);
    section(&m, "host", "ok", &d);
    assert_int_equal(wire_str_to(&d, "process_visibility", text, sizeof text), RC_OK);
    assert_string_equal(text, "own");
    assert_int_equal(number(&d, "boot_time"), 1000);
    assert_int_equal(number(&d, "uptime_ms"), 100500);
    const void *bytes;
    size_t n;
    assert_int_equal(wire_bin(&d, "os_name", 64, &bytes, &n), RC_OK); /* not UTF-8 */
    section(&m, "cpu", "ok", &d);
    assert_int_equal(rows(&d, "percpu", 9), 1);
    assert_int_equal(number(&d, "interrupts"), 99);
    assert_int_equal(wire_f64(&d, "load15", &load), RC_OK);
    assert_true(load > 98.9 && load < 99.1);
    section(&m, "memory", "ok", &d);
    assert_int_equal(number(&d, "available"), 150 * 1024);
    assert_int_equal(number(&d, "used"), 850 * 1024);
    section(&m, "swap", "ok", &d);
    assert_int_equal(number(&d, "used"), 6 * 1024);
    assert_int_equal(number(&d, "sin"), 2 * 4096);
    section(&m, "disk", "ok", &d);
    assert_int_equal(rows(&d, "mounts", 10), 1); /* a tmpfs has no device */
    assert_int_equal(wire_map(&d, "mounts", &t), RC_OK);
    assert_int_equal(wire_array(&t, "rows", 9, &a), RC_OK);
    assert_int_equal(a->ptr[0].via.array.ptr[4].via.u64, 100 * 1024);
    assert_int_equal(a->ptr[0].via.array.ptr[6].via.u64, 30 * 1024);
    section(&m, "diskio", "ok", &d);
    assert_int_equal(rows(&d, "disks", 14), 3);
    assert_int_equal(wire_map(&d, "disks", &t), RC_OK);
    assert_int_equal(wire_array(&t, "rows", 9, &a), RC_OK);
    static const uint64_t sda[] = {1, 5, 3 * 512, 7 * 512, 4, 8, 2, 6, 10, 9, 11};
    for (int i = 0; i < 11; i++)
        assert_int_equal(a->ptr[0].via.array.ptr[i + 1].via.u64, sda[i]);
    static const bool kinds[3][2] = {{true, true}, {false, false}, {true, false}};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            assert_int_equal(a->ptr[i].via.array.ptr[12 + k].via.boolean, kinds[i][k]);
    section(&m, "net", "ok", &d);
    assert_int_equal(rows(&d, "nics", 14), 1);
    assert_int_equal(wire_map(&d, "nics", &t), RC_OK);
    assert_int_equal(wire_array(&t, "rows", 9, &a), RC_OK);
    static const uint64_t eth[] = {9, 1, 10, 2, 3, 11, 4, 12};
    assert_int_equal(a->ptr[0].via.array.ptr[0].via.str.size, 6);
    for (int i = 0; i < 8; i++)
        assert_int_equal(a->ptr[0].via.array.ptr[i + 1].via.u64, eth[i]);
    wire_close(&m);
    buf_fini(&out);
}

static void test_what_is_missing_is_missing(void **state)
{
    static const char text[] = MARK "uptime\n5.00 1.00\n" MARK "stat\n" MARK "end\n";
    struct buf out;
    struct wire_map m;
    struct err e = {0};
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(fallback_sample(text, sizeof text - 1, NONCE, ALL, 0, 0, &out, &e), RC_OK);
    assert_int_equal(wire_open(&m, out.data, out.len, &e), RC_OK);
    section(&m, "cpu", "missing", NULL);
    section(&m, "memory", "missing", NULL);
    section(&m, "net", "missing", NULL);
    wire_close(&m);
    buf_fini(&out);
}

static void test_what_is_not_whole_is_nothing(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    for (size_t n = 0; n < sizeof made_up - 1; n++)
        assert_int_equal(fallback_sample(made_up, n, NONCE, ALL, 0, 0, &out, NULL), RC_PROTO);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    buf_init(&out, 100);
    assert_int_equal(fallback_sample(made_up, sizeof made_up - 1, NONCE, ALL, 0, 0, &out, NULL),
                     RC_LIMIT);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

/* Bytes changed at random: always a sample that may be believed to be one, or none. */
static void test_mutated(void **state)
{
    static char text[sizeof made_up];
    struct buf out;
    uint64_t seed = 1;
    (void)state;
    buf_init(&out, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        memcpy(text, made_up, sizeof text);
        for (int k = 0; k < 6; k++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            text[(seed >> 33) % (sizeof text - 1)] = (char)(seed >> 25);
        }
        buf_reset(&out);
        enum rc rc = fallback_sample(text, sizeof text - 1, NONCE, ALL, 0, 0, &out, NULL);
        assert_true(rc == RC_OK || rc == RC_PROTO);
        if (rc == RC_OK)
            assert_int_equal(wire_validate(out.data, out.len, NULL), RC_OK);
    }
    buf_fini(&out);
}

static void test_without_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (long n = 0;; n++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        mem_fail_after(n);
        enum rc rc = fallback_sample(made_up, sizeof made_up - 1, NONCE, ALL, 0, 0, &out, NULL);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        buf_fini(&out);
        assert_int_equal(mem_live(), live);
        if (!fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_this_machine),
        cmocka_unit_test(test_only_what_was_asked_for),
        cmocka_unit_test(test_of_a_made_up_host),
        cmocka_unit_test(test_what_is_missing_is_missing),
        cmocka_unit_test(test_what_is_not_whole_is_nothing),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests_name("fallback", tests, NULL, NULL);
}
