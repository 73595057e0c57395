/* agent/core: a sample as a whole, and the sections host, cpu, memory, swap, pressure and cgroup on
 * trees as psutil's own tests make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/core_fixture.h"

/* ---- span ---- */

static struct span of(const char *s)
{
    return span_of(s);
}

static void numbers_are_strict(void **state)
{
    (void)state;
    uint64_t u = 1;
    int64_t i = 1;
    double d = 1;
    static const char *const bad[] = {"",    "-",   "+1",    " 1",  "1 ",
                                      "0x1", "1e3", "1.2.3", ".",   "1.",
                                      ".5",  "--1", "nan",   "inf", "18446744073709551616"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        assert_false(span_u64(of(bad[k]), &u));
        assert_false(span_i64(of(bad[k]), &i));
        assert_false(span_f64(of(bad[k]), &d));
    }
    assert_false(span_u64((struct span){"1\0002", 3}, &u));
    assert_false(span_u64(of("-1"), &u));
    assert_true(u == 1 && i == 1 && d == 1);
    assert_true(span_u64(of("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(span_i64(of("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(span_f64(of("1.82"), &d) && d == 1.82);
    assert_true(span_f64(of("-0.5"), &d) && d == -0.5);
    assert_false(span_hex(of("12g4"), 4, &u));
    assert_false(span_hex(of("123"), 4, &u));
    assert_true(span_hex(of("1aF0"), 4, &u) && u == 0x1af0);
}

static void spans_are_cut_where_told(void **state)
{
    (void)state;
    struct span rest = of("a b\n\nlast"), line, w[2];
    assert_true(span_line(&rest, &line) && span_words(line, w, 2) == 2 && span_is(w[1], "b"));
    assert_true(span_line(&rest, &line) && line.n == 0);
    assert_true(span_line(&rest, &line) && span_is(line, "last"));
    assert_false(span_line(&rest, &line));
    assert_int_equal(span_words(of(" 1\t2  3 "), w, 2), 3);
    assert_true(span_is(span_trim(of(" \t x y\n")), "x y"));
    assert_true(span_is(span_basename(of("/usr/bin/x")), "x"));
    assert_true(span_is(span_basename(of("x/")), ""));
    char dst[4];
    span_copy(dst, sizeof dst, of("abcdef"));
    assert_string_equal(dst, "abc");
}

/* ---- the sample ---- */

static void sections_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"host",   "cpu",       "memory",   "swap",        "disk",
                                        "diskio", "net",       "addrs",    "connections", "sensors",
                                        "users",  "processes", "pressure", "cgroup"};
    for (unsigned i = 0; i < 14; i++) {
        assert_string_equal(core_section_name(i), names[i]);
        assert_int_equal(core_section_find(names[i], strlen(names[i])), i);
    }
    assert_null(core_section_name(14));
    assert_int_equal(core_section_find("cp", 2), -1);
    assert_int_equal(core_section_find("cpus", 4), -1);
}

static void an_empty_tree_says_so_everywhere(void **state)
{
    struct fx *f = *state;
    fx_sample(f, NULL);
    static const char *const missing[] = {"host",  "cpu",       "memory",   "swap",
                                          "disk",  "diskio",    "net",      "connections",
                                          "users", "processes", "pressure", "cgroup"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/status", missing[i]);
        if (!fx_is_text(fx_at(f, path), "missing"))
            fail_msg("%s is not missing", missing[i]);
        snprintf(path, sizeof path, "%s/error", missing[i]);
        assert_non_null(fx_at(f, path));
    }
    fx_status(f, "addrs", "unsupported");
    fx_status(f, "sensors", "ok"); /* none is nothing wrong, as in psutil */
    uint64_t v;
    assert_int_equal(wire_u64(&f->map, "seq", 7, &v), RC_OK);
    assert_true(v == 7);
    assert_int_equal(wire_u64(&f->map, "skipped", 3, &v), RC_OK);
    assert_int_equal(wire_u64(&f->map, "mono_ns", UINT64_MAX, &v), RC_OK);
    assert_int_equal(wire_u64(&f->map, "hz", UINT64_MAX, &v), RC_OK);
    assert_true(v == 100);
}

static void what_is_forbidden_is_denied(void **state)
{
    struct fx *f = *state;
    fx_fails(f, "proc/meminfo", EACCES);
    fx_fails(f, "proc/net/dev", EPERM);
    fx_fails(f, "proc/pressure/cpu", EOPNOTSUPP);
    fx_fails(f, "proc/diskstats", EIO);
    fx_sample(f, NULL);
    fx_status(f, "memory", "denied");
    fx_status(f, "net", "denied");
    fx_status(f, "pressure", "unsupported");
    fx_status(f, "diskio", "error");
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    struct fx *f = *state;
    struct buf small;
    buf_init(&small, 64);
    assert_int_equal(buf_puts(&small, "before"), RC_OK);
    f->request.sections = ~(uint64_t)0;
    assert_int_equal(core_sample(f->core, &f->request, 0, 0, &small), RC_LIMIT);
    assert_int_equal(small.len, 6);
    assert_memory_equal(small.data, "before", 6);
    buf_fini(&small);
}

static void a_section_past_its_time_says_so(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/1/stat", "1 (a) S 0 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 5 4096 1\n");
    f->request.section_ms = 0;
    fx_sample(f, "processes");
    f->request.section_ms = 600000;
    fx_status(f, "processes", "timeout");
}

/* ---- host ---- */

static void host_is_read_from_files(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/sys/kernel/hostname", "web1\n");
    fx_add(f, "proc/sys/kernel/osrelease", "6.1.0\n");
    fx_add(f, "etc/os-release", "NAME=x\nID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
    fx_add(f, "proc/stat", "cpu 1 2 3 4\nbtime 1700000000\n");
    fx_add(f, "proc/uptime", "12345.67 9.9\n");
    fx_add(f, "proc/self/mounts", "proc /proc proc rw,nosuid 0 0\n");
    fx_add(f, "proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
    fx_sample(f, "host");
    fx_status(f, "host", "ok");
    assert_true(fx_is_text(fx_at(f, "host/data/nodename"), "web1"));
    assert_true(fx_is_text(fx_at(f, "host/data/release"), "6.1.0"));
    assert_true(fx_is_text(fx_at(f, "host/data/os_id"), "debian"));
    assert_true(fx_is_text(fx_at(f, "host/data/os_name"), "Debian GNU/Linux 12"));
    assert_true(fx_is_text(fx_at(f, "host/data/process_visibility"), "all"));
    fx_is(f, "host/data/boot_time", 1700000000);
    fx_is(f, "host/data/uptime_ms", 12345670);
    char id[64];
    assert_int_equal(wire_str_to(&f->map, "boot_id", id, sizeof id), RC_OK);
    assert_string_equal(id, "11111111-2222-3333-4444-555555555555");
}

static void hidepid_is_told(void **state)
{
    struct fx *f = *state;
    static const struct {
        const char *options, *answer;
    } cases[] = {{"rw,hidepid=0", "all"},         {"rw,hidepid=off", "all"},
                 {"rw,hidepid=1", "own"},         {"rw,hidepid=2,gid=4", "own"},
                 {"rw,hidepid=invisible", "own"}, {"hidepid=ptraceable", "own"},
                 {"rw,relatime", "all"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "proc /proc proc %s 0 0\n", cases[i].options);
        fx_add(f, "proc/self/mounts", line);
        fx_sample(f, "host");
        assert_true(fx_is_text(fx_at(f, "host/data/process_visibility"), cases[i].answer));
    }
}

static void names_that_are_not_text_are_bytes(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/sys/kernel/hostname", "w\xff\x62\n");
    fx_sample(f, "host");
    const msgpack_object *o = fx_at(f, "host/data/nodename");
    assert_non_null(o);
    assert_int_equal(o->type, MSGPACK_OBJECT_BIN);
    assert_int_equal(o->via.bin.size, 3);
    assert_memory_equal(o->via.bin.ptr, "w\xff\x62", 3);
}

/* ---- cpu ---- */

static const char stat_text[] = "cpu  10 20 30 40 50 60 70 80 90 100\n"
                                "cpu0 1 2 3 4 5 6 7 8 9 10\n"
                                "cpu2 9 18 27 36 45 54 63 72 81 90\n"
                                "intr 777 1 2 3\n"
                                "ctxt 888\n"
                                "btime 1700000000\n"
                                "processes 999\n"
                                "procs_running 3\n"
                                "procs_blocked 1\n"
                                "softirq 555 1 2\n";

static void cpu_times_and_counts(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/stat", stat_text);
    fx_add(f, "proc/loadavg", "0.50 1.25 2.00 1/234 5678\n");
    fx_sample(f, "cpu");
    fx_status(f, "cpu", "ok");
    fx_is(f, "cpu/data/times/user", 10);
    fx_is(f, "cpu/data/times/guest_nice", 100);
    assert_int_equal(fx_rows(f, "cpu/data/percpu"), 2);
    fx_cell_is(f, "cpu/data/percpu", 1, "cpu", 2); /* CPU 1 is offline */
    fx_cell_is(f, "cpu/data/percpu", 1, "idle", 36);
    fx_is(f, "cpu/data/interrupts", 777);
    fx_is(f, "cpu/data/ctx_switches", 888);
    fx_is(f, "cpu/data/soft_interrupts", 555);
    fx_is(f, "cpu/data/syscalls", 0);
    fx_is(f, "cpu/data/forks", 999);
    fx_is(f, "cpu/data/procs_running", 3);
    fx_is(f, "cpu/data/load1", 0.5);
    fx_is(f, "cpu/data/load15", 2);
    fx_is(f, "cpu/data/logical", 2); /* from stat: there is nothing else */
    assert_int_equal(fx_at(f, "cpu/data/cores")->type, MSGPACK_OBJECT_NIL);
}

static void old_kernels_have_fewer_times(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/stat", "cpu 1 2 3 4 5 6 7\ncpu0 1 2 3 4 5 6 7\n");
    fx_add(f, "proc/loadavg", "0.00 0.00 0.00 1/1 1\n");
    fx_sample(f, "cpu");
    fx_status(f, "cpu", "ok");
    fx_is(f, "cpu/data/times/softirq", 7);
    assert_null(fx_at(f, "cpu/data/times/steal"));
    assert_int_equal(fx_member(fx_at(f, "cpu/data/percpu"), "cols", 4)->via.array.size, 8);
    fx_add(f, "proc/stat", "cpu 1 x\n");
    fx_sample(f, "cpu");
    fx_status(f, "cpu", "error");
    fx_is(f, "cpu/data/load1", 0); /* the rest is there */
}

static void cpus_are_counted_as_psutil_does(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/loadavg", "0.00 0.00 0.00 1/1 1\n");
    fx_add(f, "proc/stat", stat_text);
    fx_add(f, "proc/cpuinfo",
           "processor\t: 0\nphysical id\t: 0\ncpu cores\t: 2\n\n"
           "processor\t: 1\nphysical id\t: 0\ncpu cores\t: 2\n\n"
           "processor\t: 2\nphysical id\t: 1\ncpu cores\t: 4\n\n");
    fx_sample(f, "cpu");
    fx_is(f, "cpu/data/logical", 3);
    fx_is(f, "cpu/data/cores", 6);
    fx_add(f, "sys/devices/system/cpu/online", "0,2-4\n");
    fx_add(f, "sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n");
    fx_add(f, "sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n");
    fx_add(f, "sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "3-4\n");
    fx_add(f, "sys/devices/system/cpu/cpu4/topology/thread_siblings_list", "3-4\n");
    fx_add(f, "sys/devices/system/cpu/cpu10/topology/thread_siblings_list", "10\n");
    fx_sample(f, "cpu");
    fx_is(f, "cpu/data/logical", 4);
    fx_is(f, "cpu/data/cores", 3);
    /* The newer name of the file wins; and a change of what is online is noticed. */
    fx_add(f, "sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0\n");
    fx_sample(f, "cpu");
    fx_is(f, "cpu/data/cores", 3);
    fx_add(f, "sys/devices/system/cpu/online", "0\n");
    fx_sample(f, "cpu");
    fx_is(f, "cpu/data/logical", 1);
    fx_is(f, "cpu/data/cores", 1);
    fx_add(f, "sys/devices/system/cpu/online", "0-99999999999\n"); /* not to be believed */
    fx_sample(f, "cpu");
    fx_is(f, "cpu/data/logical", 3);
}

static void frequencies(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/loadavg", "0.00 0.00 0.00 1/1 1\n");
    fx_add(f, "proc/stat", stat_text);
    fx_add(f, "proc/cpuinfo", "processor: 0\ncpu MHz\t\t: 2000.500\nprocessor: 1\ncpu MHz: 3000\n");
    fx_sample(f, "cpu");
    assert_int_equal(fx_rows(f, "cpu/data/freq"), 2);
    fx_cell_is(f, "cpu/data/freq", 0, "current", 2000.5);
    fx_cell_is(f, "cpu/data/freq", 1, "max", 0);
    static const char folder[] = "sys/devices/system/cpu/cpufreq";
    char path[128];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/policy%d/scaling_min_freq", folder, i);
        fx_add(f, path, "600000\n");
        snprintf(path, sizeof path, "%s/policy%d/scaling_max_freq", folder, i);
        fx_add(f, path, "4000000\n");
    }
    fx_add(f, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "500000\n");
    fx_add(f, "sys/devices/system/cpu/cpufreq/policy1/cpuinfo_cur_freq", "700000\n");
    fx_add(f, "sys/devices/system/cpu/cpu2/online", "0\n");
    fx_sample(f, "cpu"); /* three policies, two MHz lines: cpuinfo does not count */
    assert_int_equal(fx_rows(f, "cpu/data/freq"), 3);
    fx_cell_is(f, "cpu/data/freq", 0, "current", 500);
    fx_cell_is(f, "cpu/data/freq", 0, "min", 600);
    fx_cell_is(f, "cpu/data/freq", 0, "max", 4000);
    fx_cell_is(f, "cpu/data/freq", 1, "current", 700);
    fx_cell_is(f, "cpu/data/freq", 2, "current", 0); /* offline */
    fx_cell_is(f, "cpu/data/freq", 2, "max", 0);
    fx_add(f, "proc/cpuinfo", "cpu MHz: 1\ncpu MHz: 2\ncpu MHz: 3\n");
    fx_sample(f, "cpu"); /* as many as there are policies */
    fx_cell_is(f, "cpu/data/freq", 1, "current", 2);
    fx_cell_is(f, "cpu/data/freq", 1, "max", 4000);
}

/* ---- memory, swap ---- */

static void memory_by_todays_formulas(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/meminfo",
           "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n"
           "Buffers:          50 kB\nCached:          200 kB\nActive:          300 kB\n"
           "Inactive:        150 kB\nShmem:            20 kB\nSlab:             60 kB\n"
           "SReclaimable:     40 kB\nHugePages_Total:   5\nSwapTotal: 8 kB\nSwapFree: 6 kB\n");
    fx_sample(f, "memory");
    fx_status(f, "memory", "ok");
    assert_null(fx_at(f, "memory/error"));
    fx_is(f, "memory/data/total", 1000 * 1024);
    fx_is(f, "memory/data/available", 400 * 1024);
    fx_is(f, "memory/data/used", 600 * 1024); /* since 7.1: total - available */
    fx_is(f, "memory/data/free", 100 * 1024);
    fx_is(f, "memory/data/buffers", 50 * 1024);
    fx_is(f, "memory/data/cached", 240 * 1024);
    fx_is(f, "memory/data/active", 300 * 1024);
    fx_is(f, "memory/data/inactive", 150 * 1024);
    fx_is(f, "memory/data/shared", 20 * 1024);
    fx_is(f, "memory/data/slab", 60 * 1024);
    assert_null(fx_at(f, "memory/data/meminfo"));
    f->request.detail = true;
    fx_add(f, "proc/vmstat", "nr_free_pages 12\npswpin 3\npswpout 4\nodd\n");
    fx_sample(f, "memory");
    assert_int_equal(fx_rows(f, "memory/data/meminfo"), 13);
    fx_cell_text(f, "memory/data/meminfo", 10, "name", "HugePages_Total");
    fx_cell_is(f, "memory/data/meminfo", 10, "value", 5); /* a count */
    fx_cell_is(f, "memory/data/meminfo", 0, "value", 1000 * 1024);
    assert_int_equal(fx_rows(f, "memory/data/vmstat"), 3);
    fx_sample(f, "swap");
    fx_is(f, "swap/data/used", 2 * 1024);
    fx_is(f, "swap/data/sin", 3 * 4096);
    fx_is(f, "swap/data/sout", 4 * 4096);
}

/* psutil: test_warnings_on_misses. */
static void memory_with_keys_missing(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/meminfo",
           "Active(anon):    6145416 kB\nActive(file):    2950064 kB\n"
           "Inactive(anon):   574764 kB\nInactive(file):  1567648 kB\n"
           "MemAvailable:         -1 kB\nMemFree:         2057400 kB\n"
           "MemTotal:       16325648 kB\nSReclaimable:     346648 kB\n");
    fx_sample(f, "memory");
    fx_status(f, "memory", "ok");
    static const char *const zero[] = {"cached",  "active",    "inactive", "shared",
                                       "buffers", "available", "slab"};
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "memory/data/%s", zero[i]);
        fx_is(f, path, 0);
    }
    const msgpack_object *note = fx_at(f, "memory/error");
    assert_non_null(note);
    for (size_t i = 0; i < 6; i++)
        assert_non_null(memmem(note->via.str.ptr, note->via.str.size, zero[i], strlen(zero[i])));
    fx_add(f, "proc/meminfo", "MemFree: 1 kB\n");
    fx_sample(f, "memory");
    fx_status(f, "memory", "error");
}

/* psutil: test_avail_old_*. Expected figures by its calculate_avail_vmem(). */
static void available_is_estimated_for_old_kernels(void **state)
{
    struct fx *f = *state;
    static const char zones[] = "Node 0, zone DMA\n  pages free 3\n        min 1\n        low 100\n"
                                "Node 0, zone Normal\n        low 200\n        lowmem x\n";
    static const char old[] =
        "Active(file): 2950064 kB\nInactive(file): 1567648 kB\nMemFree: 2057400 kB\n"
        "MemTotal: 16325648 kB\nSReclaimable: 346648 kB\nCached: 4813316 kB\n";
    const double low = 300 * 4096.0, expect = 2057400 * 1024.0 - low +
                                              (2950064 + 1567648) * 1024.0 - low + 346648 * 1024.0 -
                                              low;
    fx_add(f, "proc/meminfo", old);
    fx_sample(f, "memory"); /* no zoneinfo: free + cached */
    fx_is(f, "memory/data/available", (2057400 + 4813316) * 1024.0);
    fx_add(f, "proc/zoneinfo", zones);
    fx_sample(f, "memory");
    fx_is(f, "memory/data/available", expect);
    char text[512];
    snprintf(text, sizeof text, "%sMemAvailable: 0 kB\n", old);
    fx_add(f, "proc/meminfo", text);
    fx_sample(f, "memory"); /* 0 is what kernels say that cannot tell */
    fx_is(f, "memory/data/available", expect);
    fx_add(f, "proc/meminfo", "MemTotal: 100 kB\nMemFree: 10 kB\nCached: 5 kB\n");
    fx_sample(f, "memory"); /* no LRU figures */
    fx_is(f, "memory/data/available", 15 * 1024);
}

static void memory_oddities(void **state)
{
    struct fx *f = *state;
    /* A container that sees the host's figures for some and its own for others. */
    fx_add(f, "proc/meminfo", "MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 900 kB\n");
    fx_sample(f, "memory");
    fx_is(f, "memory/data/available", 10 * 1024);
    fx_is(f, "memory/data/used", 90 * 1024);
    /* ShadowCallStack of some kernels has no blank. */
    fx_add(f, "proc/meminfo",
           "MemTotal:100 kB\nMemFree: 10 kB\nMemAvailable: 20 kB\n"
           "ShadowCallStack:10373888 kB\nInact_dirty: 1 kB\nInact_clean: 2 kB\n"
           "Inact_laundry: 3 kB\nMemShared: 7 kB\n");
    f->request.detail = true;
    fx_sample(f, "memory");
    fx_is(f, "memory/data/total", 100 * 1024);
    fx_is(f, "memory/data/inactive", 6 * 1024);
    fx_is(f, "memory/data/shared", 7 * 1024);
    fx_cell_text(f, "memory/data/meminfo", 3, "name", "ShadowCallStack");
    fx_cell_is(f, "memory/data/meminfo", 3, "value", 10373888 * 1024.0);
    /* Numbers that no machine has. */
    fx_add(f, "proc/meminfo", "MemTotal: 18446744073709551615 kB\nMemFree: 1 kB\n");
    fx_sample(f, "memory");
    fx_status(f, "memory", "error");
    fx_add(f, "proc/meminfo", "MemTotal: 1 kB\nMemFree: 5 kB\nMemAvailable: -99999999 kB\n");
    fx_sample(f, "memory");
    fx_is(f, "memory/data/used", 1024);
}

static void swap_without_vmstat(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/meminfo", "SwapTotal: 100 kB\nSwapFree: 60 kB\n");
    fx_sample(f, "swap");
    fx_status(f, "swap", "ok");
    assert_non_null(fx_at(f, "swap/error"));
    fx_is(f, "swap/data/used", 40 * 1024);
    fx_is(f, "swap/data/sin", 0);
    fx_add(f, "proc/vmstat", "pswpin 3\n");
    fx_sample(f, "swap");
    fx_is(f, "swap/data/sin", 0); /* one of the two is no pair */
    fx_add(f, "proc/meminfo", "SwapTotal: 100 kB\n");
    fx_sample(f, "swap"); /* sysinfo(2) is the real host's, not this tree's */
    fx_status(f, "swap", "missing");
}

/* ---- pressure, cgroup ---- */

static void pressure_is_read(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/pressure/cpu", "some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\n");
    fx_add(f, "proc/pressure/io",
           "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=2.00 avg60=x avg300=0 "
           "total=1\n");
    fx_sample(f, "pressure");
    fx_status(f, "pressure", "missing"); /* memory is */
    fx_is(f, "pressure/data/cpu/some/avg10", 1.5);
    fx_is(f, "pressure/data/cpu/some/total", 12345);
    assert_null(fx_at(f, "pressure/data/cpu/full"));
    fx_is(f, "pressure/data/io/some/total", 1);
    assert_null(fx_at(f, "pressure/data/io/full")); /* not a number */
}

static void cgroup_2_takes_the_tightest(void **state)
{
    struct fx *f = *state;
    fx_add(f, "sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    fx_add(f, "proc/self/cgroup", "0::/a/b\n");
    fx_add(f, "sys/fs/cgroup/a/b/memory.max", "max\n");
    fx_add(f, "sys/fs/cgroup/a/b/memory.current", "111\n");
    fx_add(f, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    fx_add(f, "sys/fs/cgroup/a/b/pids.max", "max\n");
    fx_sample(f, "cgroup");
    fx_status(f, "cgroup", "ok");
    fx_is(f, "cgroup/data/version", 2);
    assert_int_equal(fx_at(f, "cgroup/data/memory_max")->type, MSGPACK_OBJECT_NIL);
    fx_is(f, "cgroup/data/memory_current", 111);
    fx_add(f, "sys/fs/cgroup/a/memory.max", "5000\n");
    fx_add(f, "sys/fs/cgroup/a/memory.current", "222\n");
    fx_add(f, "sys/fs/cgroup/memory.max", "9000\n");
    fx_add(f, "sys/fs/cgroup/memory.current", "333\n");
    fx_add(f, "sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    fx_add(f, "sys/fs/cgroup/cpu.max", "20000 10000\n");
    fx_sample(f, "cgroup");
    fx_is(f, "cgroup/data/memory_max", 5000);
    fx_is(f, "cgroup/data/memory_current", 222);
    fx_is(f, "cgroup/data/cpu_quota_us", 50000);
    fx_is(f, "cgroup/data/cpu_period_us", 100000);
    fx_add(f, "proc/self/cgroup", "0::/../../elsewhere\n"); /* another name space's */
    fx_sample(f, "cgroup");
    fx_is(f, "cgroup/data/memory_max", 9000);
}

/* As below Kubernetes: a long path, once for each controller. */
static void a_long_list_of_cgroups_is_read_whole(void **state)
{
    struct fx *f = *state;
    static const char pod[] = "kubepods/burstable/pod0f2d1c3b-7a65-4e4f-9b58-2f1d6c7e8a90/"
                              "3f9a7c1e5b2d4860a1c3e5f70918273645546372819a0b1c2d3e4f5061728394";
    static const char *const names[] = {
        "name=systemd", "rdma",   "hugetlb", "net_cls,net_prio", "blkio", "freezer", "devices",
        "perf_event",   "cpuset", "misc",    "cpu,cpuacct",      "pids",  "debug",   "memory"};
    char text[4096], path[3][200];
    size_t n = 0;
    for (unsigned i = 0; i < 14; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%u:%s:/%s\n", 14 - i, names[i], pod);
    assert_true(n > 1800);
    fx_add(f, "proc/self/cgroup", text);
    snprintf(path[0], sizeof path[0], "sys/fs/cgroup/memory/%s/memory.limit_in_bytes", pod);
    snprintf(path[1], sizeof path[1], "sys/fs/cgroup/cpu/%s/cpu.cfs_quota_us", pod);
    snprintf(path[2], sizeof path[2], "sys/fs/cgroup/cpu/%s/cpu.cfs_period_us", pod);
    fx_add(f, path[0], "536870912\n");
    fx_add(f, path[1], "50000\n");
    fx_add(f, path[2], "100000\n");
    fx_sample(f, "cgroup");
    fx_status(f, "cgroup", "ok");
    fx_is(f, "cgroup/data/version", 1);
    fx_is(f, "cgroup/data/memory_max", 536870912);
    fx_is(f, "cgroup/data/cpu_quota_us", 50000);
}

static void cgroup_1_is_read_too(void **state)
{
    struct fx *f = *state;
    fx_add(f, "proc/self/cgroup",
           "5:memory:/x\n4:cpu,cpuacct:/x\n3:pids:/\n1:name=systemd:/\n0::/\n");
    fx_add(f, "sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
    fx_add(f, "sys/fs/cgroup/memory/x/memory.usage_in_bytes", "77\n");
    fx_add(f, "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
    fx_add(f, "sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    fx_add(f, "sys/fs/cgroup/pids/pids.max", "512\n");
    fx_add(f, "sys/fs/cgroup/pids/pids.current", "9\n");
    fx_sample(f, "cgroup");
    fx_is(f, "cgroup/data/version", 1);
    assert_int_equal(fx_at(f, "cgroup/data/memory_max")->type, MSGPACK_OBJECT_NIL);
    fx_is(f, "cgroup/data/memory_current", 77);
    assert_int_equal(fx_at(f, "cgroup/data/cpu_quota_us")->type, MSGPACK_OBJECT_NIL);
    fx_is(f, "cgroup/data/pids_max", 512);
    fx_is(f, "cgroup/data/pids_current", 9);
}

/* ---- real files ---- */

static void write_file(const char *root, const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        must(mkdir(full, 0700) == 0 || errno == EEXIST);
        *p = '/';
    }
    FILE *o = fopen(full, "w");
    must(o != NULL && fputs(text, o) >= 0 && fclose(o) == 0);
}

/* The same through the file system: the prefix, folders, long files, a pipe in the way. */
static void a_tree_in_a_folder(void **state)
{
    struct fx *f = *state;
    char root[] = "/tmp/muster-core-XXXXXX", command[64], path[128];
    must(mkdtemp(root) != NULL);
    write_file(root, "proc/meminfo", "MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 20 kB\n");
    write_file(root, "proc/42/stat",
               "42 (cat) S 1 1 1 0 -1 0 5 0 6 0 7 8 9 10 20 0 1 0 400 8192 3\n");
    write_file(root, "proc/filesystems", "nodev\tproc\n\text4\n");
    write_file(root, "proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n/dev/sda2 /gone ext4 rw 0 0\n");
    struct buf large;
    buf_init(&large, 4 << 20);
    must(buf_puts(&large, "cpu 1 2 3 4\nintr 5") == RC_OK);
    while (large.len < 200000)
        must(buf_puts(&large, " 0") == RC_OK);
    must(buf_puts(&large, "\nctxt 6\nbtime 1000\n") == RC_OK);
    write_file(root, "proc/stat", buf_cstr(&large));
    buf_fini(&large);
    snprintf(path, sizeof path, "%s/proc/loadavg", root);
    must(mkfifo(path, 0600) == 0); /* nobody writes it */

    struct core_spec spec = {.root = root, .may_fork = true};
    core_free(f->core);
    must(core_new(&f->core, &spec, NULL) == RC_OK);
    f->request.top = 5;
    fx_sample(f, NULL);
    fx_is(f, "memory/data/total", 100 * 1024);
    fx_is(f, "cpu/data/ctx_switches", 6);
    fx_status(f, "cpu", "error"); /* the pipe */
    assert_int_equal(fx_rows(f, "processes/data/processes"), 1);
    fx_cell_text(f, "processes/data/processes", 0, "name", "cat");
    fx_cell_is(f, "processes/data/processes", 0, "create_time", 1004);
    assert_int_equal(fx_rows(f, "disk/data/mounts"), 2);
    fx_cell_text(f, "disk/data/mounts", 0, "status", "ok");
    assert_true(fx_number(fx_cell(f, "disk/data/mounts", 0, "total")) > 0);
    fx_cell_text(f, "disk/data/mounts", 1, "status", "missing");
    fx_cell_nil(f, "disk/data/mounts", 1, "total");
    snprintf(command, sizeof command, "rm -rf %s", root);
    must(system(command) == 0);
}

/* Figures of FAT may have to be read from the disk: not here, where a dead one would hang us all.
 */
static void fat_is_asked_by_a_child(void **state)
{
    struct fx *f = *state;
    char root[] = "/tmp/muster-core-XXXXXX", command[64];
    static const char *const types[] = {"ext4", "vfat", "msdos"};
    must(mkdtemp(root) != NULL);
    write_file(root, "proc/filesystems", "\text4\n\tvfat\n\tmsdos\n");
    for (unsigned i = 0; i < 3; i++) {
        struct core_spec spec = {.root = root, .may_fork = true};
        char mounts[64];
        snprintf(mounts, sizeof mounts, "/dev/sda1 / %s rw 0 0\n", types[i]);
        write_file(root, "proc/self/mounts", mounts);
        core_free(f->core);
        must(core_new(&f->core, &spec, NULL) == RC_OK);
        fx_sample(f, "disk");
        fx_cell_text(f, "disk/data/mounts", 0, "status", "ok");
        assert_int_equal(f->core->ask != NULL, i > 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", root);
    must(system(command) == 0);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(spans_are_cut_where_told),
        cmocka_unit_test(sections_have_names),
        WITH(an_empty_tree_says_so_everywhere),
        WITH(what_is_forbidden_is_denied),
        WITH(a_full_buffer_is_left_as_it_was),
        WITH(a_section_past_its_time_says_so),
        WITH(host_is_read_from_files),
        WITH(hidepid_is_told),
        WITH(names_that_are_not_text_are_bytes),
        WITH(cpu_times_and_counts),
        WITH(old_kernels_have_fewer_times),
        WITH(cpus_are_counted_as_psutil_does),
        WITH(frequencies),
        WITH(memory_by_todays_formulas),
        WITH(memory_with_keys_missing),
        WITH(available_is_estimated_for_old_kernels),
        WITH(memory_oddities),
        WITH(swap_without_vmstat),
        WITH(pressure_is_read),
        WITH(cgroup_2_takes_the_tightest),
        WITH(cgroup_1_is_read_too),
        WITH(a_long_list_of_cgroups_is_read_whole),
        WITH(a_tree_in_a_folder),
        WITH(fat_is_asked_by_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
