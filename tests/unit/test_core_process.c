/* agent/core: processes; samples without memory and with hostile trees; file systems that hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/core/ask.h"
#include "agent/core/process.h"
#include "common/clock.h"
#include "tests/unit/core_fixture.h"

static const char table[] = "processes/data/processes";

/* ---- stat ---- */

/* psutil: test_stat_file_parsing. */
static void a_stat_line_of_42_words(void **state)
{
    (void)state;
    struct process p = {0};
    static const char line[] =
        "0 (cat) Z 1 0 0 0 0 0 0 0 0 0 2 3 4 5 0 0 0 7 0 9 10 11 12 13 14 15 16 17 "
        "18 19 20 21 22 23 24 6 25 26 7\n";
    static const char full[] = "0 (cat) Z 1 2 3 4 5 6 7 8 9 10 2 3 4 5 17 18 1 20 19 4096 23 24 25 "
                               "26 27 28 29 30 31 32 33 "
                               "34 35 36 37 6 39 40 7\n";
    assert_true(process_parse_stat(span_of(line), &p));
    assert_int_equal(p.iowait, 7);
    assert_true(process_parse_stat(span_of(full), &p));
    assert_string_equal(p.name, "cat");
    assert_int_equal(p.state, 'Z');
    assert_int_equal(p.ppid, 1);
    assert_int_equal(p.utime, 2);
    assert_int_equal(p.stime, 3);
    assert_int_equal(p.cutime, 4);
    assert_int_equal(p.cstime, 5);
    assert_int_equal(p.nice, 18);
    assert_int_equal(p.threads, 1);
    assert_int_equal(p.start, 19);
    assert_int_equal(p.vsize, 4096);
    assert_int_equal(p.rss_pages, 23);
    assert_int_equal(p.cpu_num, 6);
    assert_int_equal(p.iowait, 7);
}

static void names_may_hold_anything(void **state)
{
    (void)state;
    static const char rest[] = " S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 -5 2 0 9 10 11\n";
    static const char *const names[] = {") R (", "a) S 9 9", "", "((", "))", "x\ny", "\xff\xfe"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct process p = {0};
        char line[128];
        snprintf(line, sizeof line, "12 (%s)%s", names[i], rest);
        assert_true(process_parse_stat(span_of(line), &p));
        assert_string_equal(p.name, names[i]);
        assert_int_equal(p.state, 'S');
        assert_int_equal(p.nice, -5);
        assert_int_equal(p.start, 9);
        assert_int_equal(p.iowait, 0); /* not there */
    }
    struct process p = {0};
    static const char *const bad[] = {"",
                                      "12",
                                      "12 (a S 1 2",
                                      ")(",
                                      "12 (a) S 1 2 3",
                                      "12 (a) SS 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 -5 2 0 9 10 11",
                                      "12 (a) S x 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 -5 2 0 9 10 11"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(process_parse_stat(span_of(bad[i]), &p));
}

static void states_have_psutils_names(void **state)
{
    (void)state;
    static const char letters[] = "RSDTtZXxKWIP?";
    static const char *const names[] = {
        "running", "sleeping",  "disk-sleep", "stopped", "tracing-stop", "zombie", "dead",
        "dead",    "wake-kill", "waking",     "idle",    "parked",       "?"};
    for (size_t i = 0; i < 13; i++)
        assert_string_equal(process_status_name(letters[i]), names[i]);
}

/* ---- cmdline: psutil's test_cmdline_mocked and the two after it ---- */

static void command_lines(void **state)
{
    (void)state;
#define LINE(text, want)                                                                           \
    {                                                                                              \
        text, sizeof(text) - 1, want, sizeof(want) - 1                                             \
    }
    static const struct {
        const char *text;
        size_t n;
        const char *want;
        size_t want_n;
    } cases[] = {
        LINE("foo\0bar\0", "foo\0bar\0"),
        LINE("foo\0bar\0\0", "foo\0bar\0\0"),
        LINE("foo bar ", "foo\0bar\0"),
        LINE("foo bar  ", "foo\0bar\0\0"),
        LINE("foo bar\0", "foo\0bar\0"),
        LINE("", ""),
        LINE("foo", "foo\0"),
        LINE("a b\0c d\0", "a b\0c d\0"),
        LINE("\0", "\0"),
        LINE(" ", "\0"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32] = {0};
        memcpy(text, cases[i].text, cases[i].n);
        struct span got = process_split_cmdline(text, cases[i].n, false);
        assert_int_equal(got.n, cases[i].want_n);
        assert_memory_equal(got.p, cases[i].want, got.n);
    }
}

/* ---- rows ---- */

static void stat_file(struct fx *f, char *text, size_t cap, unsigned pid, const char *name,
                      char state, unsigned ticks, unsigned rss)
{
    char path[64];
    snprintf(
        text, cap,
        "%u (%s) %c 1 1 1 34820 -1 0 11 12 13 14 %u 0 2 3 20 -5 4 0 250 8192 %u 1 1 1 1 1 1 1 1 1 "
        "1 1 1 1 1 3 1 1 9\n",
        pid, name, state, ticks, rss);
    snprintf(path, sizeof path, "proc/%u/stat", pid);
    fx_add(f, path, text);
}

/* psutil: test_status_file_parsing has tabs, as kernels do. */
static void a_row_has_all_of_it(void **state)
{
    struct fx *f = *state;
    char text[256];
    stat_file(f, text, sizeof text, 42, "a-name-of-fifte", 'S', 70, 5);
    fx_add(f, "proc/stat", "btime 1000\n");
    fx_add(f, "proc/42/status",
           "Uid:\t1000\t1001\t1002\t1003\nGid:\t1004\t1005\t1006\t1007\nThreads:\t66\n"
           "Cpus_allowed:\tf\nCpus_allowed_list:\t0-7\n"
           "voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t13\n");
    fx_add(f, "proc/42/statm", "100 50 30 20 0 40 0\n");
    fx_add(f, "proc/42/io",
           "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\n"
           "cancelled_write_bytes: 7\n");
    fx_bytes(f, "proc/42/cmdline", "/usr/bin/a-name-of-fifteen-and-more\0-x\0", 39);
    fx_add(f, "etc/passwd",
           "root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000::/home:/bin/sh\n");
    f->request.top = 10;
    fx_sample(f, "processes");
    fx_status(f, "processes", "ok");
    fx_is(f, "processes/data/total", 1);
    fx_is(f, "processes/data/threads", 4);
    fx_is(f, "processes/data/by_status/sleeping", 1);
    assert_int_equal(fx_rows(f, table), 1);
    static const struct {
        const char *col;
        double v;
    } want[] = {{"pid", 42},
                {"ppid", 1},
                {"uid", 1000},
                {"create_time", 1002.5},
                {"cpu_user", 70},
                {"cpu_system", 0},
                {"rss", 50 * 4096},
                {"vms", 100 * 4096},
                {"num_threads", 4},
                {"read_bytes", 5},
                {"write_bytes", 6},
                {"start_ticks", 250},
                {"nice", -5},
                {"cpu_num", 3},
                {"shared", 30 * 4096},
                {"text", 20 * 4096},
                {"data", 40 * 4096},
                {"euid", 1001},
                {"suid", 1002},
                {"gid", 1004},
                {"egid", 1005},
                {"sgid", 1006},
                {"ctx_voluntary", 12},
                {"ctx_involuntary", 13},
                {"cpu_children_user", 2},
                {"cpu_children_system", 3},
                {"cpu_iowait", 9},
                {"minor_faults", 11},
                {"major_faults", 13},
                {"read_count", 3},
                {"write_count", 4},
                {"read_chars", 1},
                {"write_chars", 2}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        fx_cell_is(f, table, 0, want[i].col, want[i].v);
    fx_cell_text(f, table, 0, "name", "a-name-of-fifteen-and-more");
    fx_cell_text(f, table, 0, "username", "alice");
    fx_cell_text(f, table, 0, "status", "sleeping");
    fx_cell_text(f, table, 0, "terminal", "/dev/pts/4");
    fx_cell_text(f, table, 0, "cpu_affinity", "0-7");
    const msgpack_object *line = fx_cell(f, table, 0, "cmdline");
    assert_int_equal(line->via.str.size, 39);
    assert_memory_equal(line->via.str.ptr, "/usr/bin/a-name-of-fifteen-and-more\0-x\0", 39);
}

static void what_is_not_there_is_nil(void **state)
{
    struct fx *f = *state;
    char text[2][256];
    stat_file(f, text[0], sizeof text[0], 42, "cat", 'Z', 1, 0);
    stat_file(f, text[1], sizeof text[1], 43, "kthread", 'I', 1, 0);
    fx_add(f, "proc/42/cmdline", "");
    fx_add(f, "proc/43/cmdline", "");
    fx_add(f, "proc/43/status", "Uid:\t77\t77\t77\t77\nGid:\t0\t0\t0\t0\n");
    fx_fails(f, "proc/43/io", EACCES);
    fx_add(f, "proc/99/cmdline", "no stat");
    fx_add(f, "proc/100/stat", "nonsense");
    f->request.top = 10;
    fx_sample(f, "processes");
    fx_status(f, "processes", "ok");
    assert_non_null(fx_at(f, "processes/error")); /* 100 */
    fx_is(f, "processes/data/total", 2);
    assert_int_equal(fx_rows(f, table), 2);
    static const char *const nil[] = {"username", "uid",           "create_time", "read_bytes",
                                      "cmdline",  "ctx_voluntary", "cpu_affinity"};
    for (size_t i = 0; i < sizeof nil / sizeof nil[0]; i++)
        fx_cell_nil(f, table, 0, nil[i]);
    fx_cell_text(f, table, 1, "cmdline", ""); /* none, and not a zombie's */
    fx_cell_text(f, table, 1, "username", "77");
    fx_cell_nil(f, table, 1, "read_bytes");
}

/* What is not whole is not known: a list cut at a comma would look like one. */
static void a_long_affinity_is_whole_or_nil(void **state)
{
    struct fx *f = *state;
    char stat[256], list[600] = "0", text[5000];
    stat_file(f, stat, sizeof stat, 42, "cat", 'S', 1, 1);
    f->request.top = 1;
    for (unsigned cpu = 2; strlen(list) < 250; cpu += 2)
        snprintf(list + strlen(list), sizeof list - strlen(list), ",%u", cpu);
    assert_true(strlen(list) > 64 && strlen(list) < 256);
    snprintf(text, sizeof text, "Cpus_allowed_list:\t%s\n", list);
    fx_add(f, "proc/42/status", text);
    fx_sample(f, "processes");
    fx_cell_text(f, table, 0, "cpu_affinity", list);
    snprintf(text, sizeof text, "Cpus_allowed_list:\t%s,%s\n", list, list);
    fx_add(f, "proc/42/status", text);
    fx_sample(f, "processes");
    fx_cell_nil(f, table, 0, "cpu_affinity");
    /* Of the file only its first 4096 bytes are read: many groups stand before it. */
    snprintf(text, sizeof text, "Groups:\t%*s\nCpus_allowed_list:\t0-63\n", 4096 - 30, "1");
    fx_add(f, "proc/42/status", text);
    fx_sample(f, "processes");
    fx_cell_nil(f, table, 0, "cpu_affinity");
}

static void with_detail_there_is_more(void **state)
{
    struct fx *f = *state;
    char text[256];
    stat_file(f, text, sizeof text, 42, "cat", 'S', 1, 1);
    fx_link(f, "proc/42/exe", "/usr/bin/cat (deleted)");
    fx_link(f, "proc/42/cwd", "/tmp/x (deleted)");
    fx_add(f, "tmp/x (deleted)", ""); /* not asked for: where it is may hang */
    fx_link(f, "proc/42/fd/0", "/dev/null");
    fx_link(f, "proc/42/fd/1", "/dev/null");
    /* psutil: test_parse_smaps_mocked. */
    fx_add(f, "proc/42/smaps",
           "fffff0 r-xp 00000000 00:00 0                  [vsyscall]\n"
           "Size:                  1 kB\nRss:                   2 kB\nPss:                   3 kB\n"
           "Shared_Clean:          4 kB\nShared_Dirty:          5 kB\nPrivate_Clean:         6 kB\n"
           "Private_Dirty:         7 kB\nReferenced:            8 kB\nAnonymous:             9 kB\n"
           "LazyFree:             10 kB\nAnonHugePages:        11 kB\nShmemPmdMapped:       12 kB\n"
           "Shared_Hugetlb:       13 kB\nPrivate_Hugetlb:      14 kB\nSwap:                 15 kB\n"
           "SwapPss:              16 kB\nKernelPageSize:       17 kB\nVmFlags: rd ex\n");
    f->request.top = 1;
    f->request.detail = true;
    fx_sample(f, "processes");
    fx_cell_text(f, table, 0, "exe", "/usr/bin/cat");
    fx_cell_text(f, table, 0, "cwd", "/tmp/x");
    fx_cell_is(f, table, 0, "num_fds", 2);
    fx_cell_is(f, table, 0, "uss", (6 + 7 + 14) * 1024);
    fx_cell_is(f, table, 0, "pss", 3 * 1024);
    fx_cell_is(f, table, 0, "swap", 15 * 1024);
    fx_cell_nil(f, table, 0, "ionice_class"); /* of a tree, nobody can tell */
    fx_add(f, "proc/42/smaps_rollup",
           "Pss: 1 kB\nPss_Anon: 9 kB\nPrivate_Clean: 2 kB\nSwap: 3 kB\n");
    fx_sample(f, "processes");
    fx_cell_is(f, table, 0, "uss", 2 * 1024);
    fx_cell_is(f, table, 0, "pss", 1 * 1024);
}

static void the_leaders_lead(void **state)
{
    struct fx *f = *state;
    enum { N = 300 };
    char(*text)[256] = mem_calloc(N, sizeof *text), path[64],
    (*io)[128] = mem_calloc(N, sizeof *io);
    for (unsigned i = 0; i < N; i++) {
        stat_file(f, text[i], sizeof text[i], i + 1, "p", 'R', (i * 7919) % N, (i * 104729) % N);
        snprintf(io[i], sizeof io[i],
                 "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: %u\nwrite_bytes: 1\n",
                 (i * 31) % N);
        snprintf(path, sizeof path, "proc/%u/io", i + 1);
        fx_add(f, path, io[i]);
    }
    static const struct {
        enum core_by by;
        const char *col;
        unsigned scale;
    } orders[] = {
        {CORE_BY_RSS, "rss", 4096}, {CORE_BY_CPU, "cpu_user", 1}, {CORE_BY_IO, "read_bytes", 1}};
    f->request.top = 20;
    for (size_t k = 0; k < 3; k++) {
        f->request.by = orders[k].by;
        fx_sample(f, "processes");
        fx_is(f, "processes/data/total", N);
        assert_int_equal(fx_rows(f, table), 20);
        for (size_t i = 0; i < 20; i++)
            fx_cell_is(f, table, i, orders[k].col, (N - 1 - i) * orders[k].scale);
    }
    f->request.top = 0;
    fx_sample(f, "processes");
    assert_int_equal(fx_rows(f, table), 0);
    fx_is(f, "processes/data/by_status/running", N);
    mem_free(text);
    mem_free(io);
}

static void hidden_processes_are_told(void **state)
{
    struct fx *f = *state;
    char text[256];
    stat_file(f, text, sizeof text, 42, "mine", 'R', 1, 1);
    fx_add(f, "proc/self/mounts", "proc /proc proc rw,hidepid=2 0 0\n");
    fx_sample(f, "processes");
    assert_true(fx_is_text(fx_at(f, "processes/data/visibility"), "own"));
}

/* ---- bounds ---- */

/* Everything at its most: it fits a frame and the receiver's limit, and says what is left out. */
static void a_large_host_fits_a_frame(void **state)
{
    struct fx *f = *state;
    enum { N = 1000 };
    struct buf b;
    char(*text)[256] = mem_calloc(N, sizeof *text), path[64];
    char *line = mem_alloc(8192);
    memset(line, 'x', 8192);
    buf_init(&b, 8 << 20);
    must(buf_puts(&b, "cpu 1 2 3 4 5 6 7 8 9 10\n") == RC_OK);
    for (int i = 0; i < 2000; i++)
        must(buf_printf(&b, "cpu%d 1 2 3 4 5 6 7 8 9 10\n", i) == RC_OK);
    fx_add(f, "proc/stat", buf_cstr(&b));
    for (unsigned i = 0; i < N; i++) {
        stat_file(f, text[i], sizeof text[i], i + 1, "p", 'R', i, i);
        snprintf(path, sizeof path, "proc/%u/cmdline", i + 1);
        fx_bytes(f, path, line, 8192);
    }
    struct buf net;
    buf_init(&net, 8 << 20);
    must(buf_puts(&net, "h\nh\n") == RC_OK);
    for (int i = 0; i < 3000; i++)
        must(buf_printf(&net, "veth%d: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", i) == RC_OK);
    fx_add(f, "proc/net/dev", buf_cstr(&net));
    f->request.top = 1000000;
    fx_sample(f, NULL);
    assert_int_equal(fx_rows(f, "cpu/data/percpu"), 1024);
    fx_is(f, "cpu/data/percpu/more", 2000 - 1024);
    fx_is(f, "net/data/nics/more", 3000 - 512);
    assert_true(fx_rows(f, table) > 500);
    assert_true(f->out.len < FRAME_MAX);
    buf_fini(&net);
    buf_fini(&b);
    mem_free(line);
    mem_free(text);
}

static void small_tree(struct fx *f, char text[256])
{
    f->fs = (struct statvfs){.f_frsize = 1024, .f_blocks = 100, .f_bfree = 40};
    stat_file(f, text, 256, 42, "a-name-of-fifte", 'S', 70, 5);
    fx_add(f, "proc/42/status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
    fx_bytes(f, "proc/42/cmdline", "a\0b\0", 4);
    fx_link(f, "proc/42/fd/3", "socket:[14]");
    fx_link(f, "proc/42/exe", "/bin/x");
    fx_add(f, "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    fx_add(f, "etc/os-release", "ID=x\n");
    fx_add(f, "proc/stat", "cpu 1 2 3 4\ncpu0 1 2 3 4\nbtime 1000\n");
    fx_add(f, "proc/uptime", "1.0 1.0\n");
    fx_add(f, "proc/loadavg", "1.0 1.0 1.0 1/1 1\n");
    fx_add(f, "proc/cpuinfo", "processor: 0\ncpu MHz: 1\n");
    fx_add(f, "sys/devices/system/cpu/online", "0\n");
    fx_add(f, "sys/devices/system/cpu/cpu0/topology/core_cpus_list", "0\n");
    fx_add(f, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1\n");
    fx_add(f, "proc/meminfo", "MemTotal: 9 kB\nMemFree: 1 kB\nSwapTotal: 1 kB\nSwapFree: 1 kB\n");
    fx_add(f, "proc/zoneinfo", "low 1\n");
    fx_add(f, "proc/vmstat", "pswpin 1\npswpout 1\n");
    fx_add(f, "proc/filesystems", "\text4\n");
    fx_add(f, "proc/self/mounts", "/dev/sda / ext4 rw 0 0\n");
    fx_add(f, "proc/diskstats", "3 0 hda 1 2 3 4 5 6 7 8 9 10 11\n");
    fx_add(f, "proc/net/dev", "h\nh\nlo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    fx_add(f, "proc/net/tcp", "h\n 0: 0100007F:0016 00000000:0000 0A 0:0 0:0 0 0 0 14 1\n");
    fx_add(f, "proc/net/udp", "h\n");
    fx_add(f, "sys/class/hwmon/hwmon0/name", "n\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp1_input", "1\n");
    fx_add(f, "sys/class/power_supply/BAT0/capacity", "5\n");
    fx_add(f, "run/systemd/sessions/1", "USER=a\n");
    fx_add(f, "proc/pressure/cpu", "some avg10=0.0 avg60=0.0 avg300=0.0 total=1\n");
    fx_add(f, "proc/self/cgroup", "0::/\n");
    fx_add(f, "sys/fs/cgroup/cgroup.controllers", "\n");
}

static void every_allocation_may_fail(void **state)
{
    struct fx *f = *state;
    char text[256];
    small_tree(f, text);
    f->request.top = 3;
    f->request.detail = true;
    f->request.sections = ~(uint64_t)0;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct core_spec spec = {.root = ""};
        struct core *c;
        struct buf out;
        size_t live = mem_live();
        must(core_new(&c, &spec, NULL) == RC_OK);
        core_set_files(c, &fx_provider, f);
        buf_init(&out, FRAME_MAX);
        mem_fail_after(n);
        enum rc rc = core_sample(c, &f->request, 0, 0, &out);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        if (fired)
            assert_int_equal(rc, RC_NOMEM);
        else
            assert_int_equal(rc, RC_OK);
        if (rc != RC_OK)
            assert_int_equal(out.len, 0);
        assert_int_equal(core_sample(c, &f->request, 0, 0, &out), RC_OK); /* as if nothing was */
        buf_fini(&out);
        core_free(c);
        assert_int_equal(mem_live(), live);
        must(n < 10000);
    }
}

static void a_core_may_fail_to_begin(void **state)
{
    (void)state;
    struct core_spec spec = {.root = "/x"};
    struct core *c = NULL;
    size_t live = mem_live();
    for (long n = 0; n < 2; n++) {
        mem_fail_after(n);
        assert_int_equal(core_new(&c, &spec, NULL), RC_NOMEM);
    }
    mem_fail_after(-1);
    assert_int_equal(mem_live(), live);
    core_free(NULL);
}

/* ---- file systems that hang ---- */

static int *hang; /* shared with the children: paths with "dead" in them hang while it is 1 */

static int statvfs_that_hangs(const char *path, struct ask_figures *f)
{
    *f = (struct ask_figures){.frsize = 512, .blocks = 2};
    while (strstr(path, "dead") != NULL && __atomic_load_n(hang, __ATOMIC_ACQUIRE) == 1)
        usleep(1000);
    return strstr(path, "broken") != NULL ? EIO : 0;
}

static int hang_setup(void **state)
{
    (void)state;
    hang = mmap(NULL, sizeof *hang, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(hang != MAP_FAILED);
    *hang = 1;
    ask_set_test(statvfs_that_hangs);
    return 0;
}

static int hang_teardown(void **state)
{
    (void)state;
    ask_set_test(NULL);
    must(munmap(hang, sizeof *hang) == 0);
    return 0;
}

static bool a_child_is_left(void)
{
    siginfo_t info = {0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* A dead mount costs its own figures, once the time of the section; then it is not asked again
 * until its child has ended. */
static void one_that_hangs_costs_its_own_figures(void **state)
{
    (void)state;
    struct ask *a = NULL;
    struct ask_item items[] = {{.path = "/a"},      {.path = "/dead1"}, {.path = "/b"},
                               {.path = "/broken"}, {.path = "/dead2"}, {.path = "/c"}};
    assert_true(ask_items(&a, items, 6, clock_us() + 5000000));
    static const int want[] = {0, ETIMEDOUT, 0, EIO, ETIMEDOUT, 0};
    for (int i = 0; i < 6; i++)
        assert_int_equal(items[i].sys, want[i]);
    assert_int_equal(items[5].f.blocks, 2);
    /* Now it is known: nothing is waited for, however long the time. */
    uint64_t start = clock_us();
    assert_true(ask_items(&a, items, 6, clock_us() + 600000000));
    assert_true(clock_us() - start < 300000000);
    for (int i = 0; i < 6; i++)
        assert_int_equal(items[i].sys, want[i]);
    /* They come back. */
    __atomic_store_n(hang, 0, __ATOMIC_RELEASE);
    siginfo_t info;
    for (;;) {
        assert_true(ask_items(&a, items, 6, clock_us() + 600000000));
        if (items[1].sys == 0 && items[4].sys == 0)
            break;
        must(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
    }
    ask_free(a);
    while (waitpid(-1, NULL, 0) > 0) /* those that had not ended quite */
        ;
    assert_false(a_child_is_left());
}

/* More of them than there may be children: bounded, and what is not asked says so. */
static void many_that_hang_are_bounded(void **state)
{
    (void)state;
    struct ask *a = NULL;
    enum { DEAD = ASK_CHILDREN + 3 };
    struct ask_item items[DEAD];
    char paths[DEAD][16];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < DEAD; i++) {
            snprintf(paths[i], sizeof paths[i], "/dead%d", i);
            items[i].path = paths[i];
        }
        assert_true(ask_items(&a, items, DEAD, clock_us() + (round == 0 ? 2500000 : 600000000)));
        for (int i = 0; i < DEAD; i++)
            assert_int_equal(items[i].sys, ETIMEDOUT);
    }
    ask_free(a); /* kills them */
    int ended = 0, status;
    while (waitpid(-1, &status, 0) > 0)
        ended++;
    assert_true(ended <= ASK_CHILDREN);
}

static void asking_without_memory(void **state)
{
    (void)state;
    *hang = 0;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct ask *a = NULL;
        struct ask_item items[] = {{.path = "/a"}, {.path = "/b"}};
        mem_fail_after(n);
        bool ok = ask_items(&a, items, 2, clock_us() + 600000000);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_true(ok || fired);
        ask_free(a);
        while (waitpid(-1, NULL, 0) > 0)
            ;
    }
}

int main(void)
{
#define WITH(test)  cmocka_unit_test_setup_teardown(test, fx_setup, fx_teardown)
#define HANGS(test) cmocka_unit_test_setup_teardown(test, hang_setup, hang_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stat_line_of_42_words),
        cmocka_unit_test(names_may_hold_anything),
        cmocka_unit_test(states_have_psutils_names),
        cmocka_unit_test(command_lines),
        WITH(a_row_has_all_of_it),
        WITH(what_is_not_there_is_nil),
        WITH(a_long_affinity_is_whole_or_nil),
        WITH(with_detail_there_is_more),
        WITH(the_leaders_lead),
        WITH(hidden_processes_are_told),
        WITH(a_large_host_fits_a_frame),
        WITH(every_allocation_may_fail),
        cmocka_unit_test(a_core_may_fail_to_begin),
        HANGS(one_that_hangs_costs_its_own_figures),
        HANGS(many_that_hang_are_bounded),
        HANGS(asking_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
