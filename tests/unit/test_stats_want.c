/* A sample that has only what a view wants against a whole one: each figure is known in both, and
 * says the same. The agent's own core takes them, of fixture files, twice for the rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Both sides call what they have of a host so. */
#define sample agent_sample
#include "tests/unit/core_fixture.h"
#undef sample

#include "controller/stats/rates.h"
#include "controller/stats/view.h"

static const char before_stat[] = "cpu 10 20 30 40 50 60 70 80 90 100\n"
                                  "cpu0 10 20 30 40 50 60 70 80 90 100\n"
                                  "intr 1\nctxt 2\nbtime 1700000000\nprocesses 3\n"
                                  "procs_running 3\nprocs_blocked 1\nsoftirq 4\n";
static const char after_stat[] = "cpu 20 31 42 53 64 75 86 97 99 109\n"
                                 "cpu0 20 31 42 53 64 75 86 97 99 109\n"
                                 "intr 11\nctxt 22\nbtime 1700000000\nprocesses 33\n"
                                 "procs_running 3\nprocs_blocked 1\nsoftirq 44\n";
static const char before_net[] = "a\nb\n loop: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
                                 "eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n";
static const char after_net[] = "a\nb\n loop: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n"
                                "eth0: 11 22 33 44 0 0 0 0 55 66 77 88 0 0 0 0\n";

static void fill(struct fx *f)
{
    fx_add(f, "proc/loadavg", "0.50 1.25 2.00 1/234 5678\n");
    fx_add(f, "proc/uptime", "1234.5 99\n");
    fx_add(f, "proc/sys/kernel/hostname", "web1\n");
    fx_add(f, "proc/sys/kernel/ostype", "Linux\n");
    fx_add(f, "proc/sys/kernel/osrelease", "6.1\n");
    fx_add(f, "proc/sys/kernel/version", "#1\n");
    fx_add(f, "proc/sys/kernel/arch", "x86_64\n");
    fx_add(f, "proc/sys/kernel/random/boot_id", "0-1\n");
    fx_add(f, "etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian\"\n");
    fx_add(f, "proc/cpuinfo",
           "processor : 0\ncpu MHz : 2000.5\nphysical id : 0\ncpu cores : 1\n\n");
    fx_add(f, "proc/meminfo",
           "MemTotal: 1000 kB\nMemFree: 400 kB\nMemAvailable: 600 kB\nBuffers: 1 kB\nCached: 2 kB\n"
           "Shmem: 3 kB\nActive: 4 kB\nInactive: 5 kB\nSlab: 6 kB\nSReclaimable: 1 kB\n"
           "SwapTotal: 100 kB\nSwapFree: 50 kB\n");
    fx_add(f, "proc/filesystems", "\text4\nnodev\ttmpfs\n");
    fx_add(f, "proc/self/mounts",
           "tmpfs /run tmpfs rw 0 0\n/dev/vdb /ro ext4 ro 0 0\n/dev/vda1 / ext4 rw 0 0\n");
    fx_add(f, "sys/block/vda/device/x", "");
    f->fs = (struct statvfs){.f_frsize = 4096,
                             .f_blocks = 100,
                             .f_bfree = 50,
                             .f_bavail = 40,
                             .f_files = 9,
                             .f_ffree = 3};
    for (int i = 0; i < 2; i++) {
        static const char *const nics[] = {"loop", "eth0"};
        static char paths[2][5][64];
        static const char *const files[][2] = {{"flags", "0x1043\n"},
                                               {"mtu", "1500\n"},
                                               {"operstate", "up\n"},
                                               {"duplex", "full\n"},
                                               {"speed", "1000\n"}};
        for (int k = 0; k < 5; k++) {
            snprintf(paths[i][k], sizeof paths[i][k], "sys/class/net/%s/%s", nics[i], files[k][0]);
            fx_add(f, paths[i][k], files[k][1]);
        }
    }
    fx_add(f, "sys/class/net/loop/flags", "0x9\n");
}

static void at(struct fx *f, bool later)
{
    fx_add(f, "proc/stat", later ? after_stat : before_stat);
    fx_add(f, "proc/net/dev", later ? after_net : before_net);
    fx_add(f, "proc/vmstat", later ? "pswpin 5\npswpout 7\n" : "pswpin 1\npswpout 2\n");
    fx_add(f, "proc/diskstats",
           later ? "254 0 vda 11 1 22 33 44 1 55 66 0 77 88\n254 1 vda1 1 1 2 3 4 1 5 6 0 7 8\n"
                 : "254 0 vda 1 1 2 3 4 1 5 6 0 7 8\n254 1 vda1 1 1 2 3 4 1 5 6 0 7 8\n");
}

static void take(struct fx *f, const struct core_want *want, bool later, struct sample *out)
{
    struct err e = {0};
    at(f, later);
    f->request.want = want;
    buf_reset(&f->out);
    f->request.sections = 0;
    static const char *const names[] = {"host", "cpu", "memory", "swap", "disk", "diskio", "net"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        f->request.sections |= UINT64_C(1) << core_section_find(names[i], strlen(names[i]));
    assert_int_equal(core_sample(f->core, &f->request, 0, 0, &f->out), RC_OK);
    assert_int_equal(wire_validate(f->out.data, f->out.len, &e), RC_OK);
    sample_init(out);
    if (sample_decode(out, f->out.data, f->out.len, UINT32_MAX, &e) != RC_OK)
        fail_msg("%s", e.msg);
    out->mono_ns = later ? 2000000000 : 1000000000; /* a second between them, to the nanosecond */
    for (int i = 0; i < SECTION_COUNT; i++)
        out->sections[i].at_us = 0;
}

static void take_two(struct fx *f, const struct core_want *want, struct sample *now)
{
    struct sample before;
    take(f, want, false, &before);
    assert_int_equal(rates_work_out(NULL, &before), RATES_FIRST);
    take(f, want, true, now);
    assert_int_equal(rates_work_out(&before, now), RATES_OK);
    sample_fini(&before);
}

/* As agent/stats.c reads it. */
static void read_want(const struct view *v, struct core_want *want)
{
    struct buf b;
    struct wire_map m, map;
    const msgpack_object_array *a;
    const char *name;
    buf_init(&b, 4096); /* as cmd_stats.c has it */
    memset(want, 0, sizeof *want);
    assert_int_equal(view_request(v, &b), RC_OK);
    assert_int_equal(wire_open(&m, b.data, b.len, NULL), RC_OK);
    assert_int_equal(wire_map(&m, "want", &map), RC_OK);
    for (unsigned i = 0; (name = core_section_name(i)) != NULL; i++) {
        if (wire_array(&map, name, CORE_WANT_MOST, &a) != RC_OK)
            continue;
        core_want_section(want, i);
        for (uint32_t k = 0; k < a->size; k++)
            assert_int_equal(core_want_add(want, i, a->ptr[k].via.str.ptr, a->ptr[k].via.str.size),
                             RC_OK);
    }
    wire_close(&m);
    buf_fini(&b);
}

static void says_the_same(enum figure f, const struct sample *whole, const struct sample *part)
{
    enum figure_kind k = figure_kind(f);
    assert_int_equal(sample_rows(whole, k), sample_rows(part, k));
    for (uint32_t r = 0; r < sample_rows(whole, k); r++) {
        double x = 0, y = 0;
        const char *a = sample_text(whole, f, r), *b = sample_text(part, f, r);
        if (sample_type(whole, f, r) != sample_type(part, f, r))
            fail_msg("%s, row %u: %d and %d", figure_defs[f].name, r, sample_type(whole, f, r),
                     sample_type(part, f, r));
        if (a != NULL)
            assert_string_equal(a, b);
        if (sample_number(whole, f, r, &x) && sample_number(part, f, r, &y) && x != y)
            fail_msg("%s, row %u: %g and %g", figure_defs[f].name, r, x, y);
    }
}

static bool is_of_them(enum figure f)
{
    switch (figure_defs[f].section) {
    case SECTION_HOST:
    case SECTION_CPU:
    case SECTION_MEMORY:
    case SECTION_SWAP:
    case SECTION_DISK:
    case SECTION_DISKIO:
    case SECTION_NET: return figure_kind(f) != KIND_MEMINFO && figure_kind(f) != KIND_VMSTAT;
    default: return false;
    }
}

static void each_figure_by_itself(void **state)
{
    struct fx *f = *state;
    struct sample whole, part;
    uint32_t seen = 0, known = 0;
    size_t all;
    fill(f);
    take_two(f, NULL, &whole);
    all = f->out.len;
    for (int g = 0; g < FIGURE_COUNT; g++) {
        struct view v;
        struct options o = {.output.mode = OUTPUT_TABLE};
        struct core_want want;
        struct err e = {0};
        char columns[128];
        if (!is_of_them((enum figure)g))
            continue;
        snprintf(columns, sizeof columns, "host,%s", figure_defs[g].name);
        o.output.columns = columns;
        if (view_init(&v, &o, &e) != RC_OK)
            fail_msg("%s", e.msg);
        read_want(&v, &want);
        take_two(f, &want, &part);
        says_the_same((enum figure)g, &whole, &part);
        assert_true(f->out.len < all);
        known += sample_type(&whole, (enum figure)g, 0) != CELL_NONE;
        seen++;
        sample_fini(&part);
        view_fini(&v);
    }
    assert_true(seen > 100);
    assert_in_range(known, seen - 15, seen); /* the fixture has nearly all of them */
    sample_fini(&whole);
}

static void everything_fits(void **state)
{
    struct fx *f = *state;
    struct view v = {.sections = UINT32_MAX, .top_by = "rss"};
    struct core_want want;
    struct sample whole, part;
    memset(v.wanted, 1, sizeof v.wanted);
    read_want(&v, &want);
    fill(f);
    take_two(f, NULL, &whole);
    take_two(f, &want, &part);
    for (int g = 0; g < FIGURE_COUNT; g++)
        if (is_of_them((enum figure)g))
            says_the_same((enum figure)g, &whole, &part);
    sample_fini(&whole);
    sample_fini(&part);
}

/* Of sections and tables that come whole. */
static void needs_of_others(void **state)
{
    bool wanted[FIGURE_COUNT] = {[FIG_PROC_MEM_PERCENT] = true, [FIG_PERCPU_STEAL] = true};
    (void)state;
    rates_needs(wanted);
    assert_true(wanted[FIG_MEM_TOTAL] && wanted[FIG_PROC_PID]);
    assert_true(wanted[FIG_PERCPU_T_IDLE] && wanted[FIG_PERCPU_CPU]);
    assert_false(wanted[FIG_CPU_T_IDLE] || wanted[FIG_FREQ_CPU]);
}

static void what_is_not_wanted_is_not_there(void **state)
{
    struct fx *f = *state;
    struct core_want want = {0};
    unsigned memory = (unsigned)core_section_find("memory", 6),
             net = (unsigned)core_section_find("net", 3);
    unsigned cpu = (unsigned)core_section_find("cpu", 3),
             host = (unsigned)core_section_find("host", 4);
    fill(f);
    at(f, false);
    f->request.want = &want;
    core_want_section(&want, memory);
    core_want_section(&want, net);
    core_want_section(&want, cpu);
    core_want_section(&want, host);
    assert_int_equal(core_want_add(&want, memory, "total", 5), RC_OK);
    assert_int_equal(core_want_add(&want, memory, "fre", 3), RC_OK); /* no such member */
    assert_int_equal(core_want_add(&want, net, "nics.mtu", 8), RC_OK);
    assert_int_equal(core_want_add(&want, cpu, "times.user", 10), RC_OK);
    assert_int_equal(core_want_add(&want, cpu, "freq", 4), RC_OK);
    fx_sample(f, "memory");
    fx_is(f, "memory/data/total", 1000 * 1024);
    assert_null(fx_at(f, "memory/data/free"));
    fx_sample(f, "net");
    assert_int_equal(fx_rows(f, "net/data/nics"), 2);
    fx_cell_is(f, "net/data/nics", 1, "mtu", 1500);
    assert_int_equal(fx_member(fx_at(f, "net/data/nics"), "cols", 4)->via.array.size, 1);
    fx_sample(f, "cpu");
    fx_is(f, "cpu/data/times/user", 10);
    fx_is(f, "cpu/data/times/nice", 20); /* a map comes whole */
    assert_null(fx_at(f, "cpu/data/percpu"));
    assert_null(fx_at(f, "cpu/data/load1"));
    assert_int_equal(fx_rows(f, "cpu/data/freq"), 1);
    fx_sample(f, "host");
    fx_status(f, "host", "ok");
    assert_null(fx_at(f, "host/data"));
    fx_sample(f, "swap"); /* not limited */
    fx_is(f, "swap/data/total", 100 * 1024);
    while (core_want_add(&want, cpu, "x", 1) == RC_OK)
        ;
    assert_int_equal(want.count, CORE_WANT_MOST);
    want.count = 0;
    assert_int_equal(core_want_add(&want, cpu, "0123456789012345678901234567890123456789", 40),
                     RC_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_figure_by_itself, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(everything_fits, fx_setup, fx_teardown),
        cmocka_unit_test(needs_of_others),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_is_not_there, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
