/* Samples in: what is decoded, and that a host which lies in every field costs itself only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "common/mem.h"
#include "controller/stats/sample.h"
#include "proto/wire.h"
#include "tests/unit/sample_fixture.h"

enum { ALL = (1u << KIND_COUNT) - 1 };
#define HEAD                                                                                       \
    "'seq':3,'skipped':1,'mono_ns':5000000000,'real_ns':1700000000000000000,"                      \
    "'boot_id':'b1','hz':100,'page':4096"

static size_t live;
static struct sample s;
static struct err e;

static int setup(void **state)
{
    (void)state;
    live = mem_live();
    sample_init(&s);
    memset(&e, 0, sizeof e);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    sample_fini(&s);
    assert_int_equal(mem_live(), live);
    return 0;
}

static enum rc decode(uint32_t kinds, const char *sections)
{
    struct buf b;
    sample_bytes(&b, "{" HEAD ",'sections':%s}", sections);
    sample_fini(&s);
    enum rc rc = sample_decode(&s, b.data, b.len, kinds, &e);
    buf_fini(&b);
    return rc;
}

static void good(uint32_t kinds, const char *sections)
{
    if (decode(kinds, sections) != RC_OK)
        fail_msg("%s: %s", sections, e.msg);
}

static void refused(const char *sections, const char *part)
{
    memset(&e, 0, sizeof e);
    enum rc rc = decode(ALL, sections);
    if (rc != RC_PROTO || strstr(e.msg, part) == NULL)
        fail_msg("%s: %s: '%s' lacks '%s'", sections, rc_name(rc), e.msg, part);
    for (int k = 0; k < KIND_COUNT; k++)
        assert_int_equal(sample_rows(&s, k), 0); /* nothing of it stays */
}

static double number(enum figure f, uint32_t row)
{
    double v = NAN;
    if (!sample_number(&s, f, row, &v))
        fail_msg("%s of row %u is not there", figure_defs[f].name, row);
    return v;
}

static const char full[] =
    "{'host':{'status':'ok','us':12,'data':{'nodename':'bin:web1','boot_time':1699990000.5,"
    "'uptime_ms':10000500,'process_visibility':'own','new':1}},"
    "'cpu':{'status':'ok','data':{'times':{'user':1000,'system':500,'idle':9000},"
    "'percpu':{'cols':['cpu','user','later','idle'],'rows':[[0,500,'x',4500],[2,500,null,4500]]},"
    "'freq':{'cols':['cpu','current','min','max'],'rows':[[2,2400.5,800,3000]]},"
    "'logical':2,'cores':1,'load1':0.5,'load5':1,'load15':2.25}},"
    "'disk':{'status':'timeout','error':'/mnt/dead','us':2000000,'data':{'mounts':{"
    "'cols':['device','mountpoint','fstype','total','used','free','status'],"
    "'rows':[['/dev/sda1','bin:/','ext4',1000,400,500,'ok'],"
    "['nas:/x','/mnt/dead','nfs',null,null,null,'timeout']]}}},"
    "'processes':{'status':'ok','data':{'total':200,'by_status':{'running':3,'odd':1}}},"
    "'pressure':{'status':'ok','data':{'cpu':{'some':{'avg10':1.5,'total':99}}}},"
    "'sensors':{'status':'missing'},'later':{'status':'ok','data':{}}}";

static void test_reads(void **state)
{
    (void)state;
    uint64_t n;
    good(ALL, full);
    assert_int_equal(s.seq, 3);
    assert_int_equal(s.skipped, 1);
    assert_string_equal(s.boot_id, "b1");
    assert_string_equal(sample_text(&s, FIG_NODENAME, 0), "web1");
    assert_true(number(FIG_BOOT_TIME, 0) == 1699990000.5);
    assert_true(number(FIG_UPTIME, 0) == 10000.5);      /* seconds */
    assert_true(number(FIG_CPU_T_USER, 0) == 10);       /* of ticks */
    assert_true(sample_u64(&s, FIG_CPU_T_USER, 0, &n)); /* which are kept */
    assert_int_equal(n, 1000);
    assert_false(sample_u64(&s, FIG_CPU_T_STEAL, 0, &n)); /* an old kernel */
    assert_int_equal(sample_rows(&s, KIND_CPU), 2);
    assert_true(number(FIG_PERCPU_CPU, 1) == 2);
    assert_true(number(FIG_PERCPU_T_IDLE, 1) == 45);
    assert_true(number(FIG_LOAD5, 0) == 1);
    assert_int_equal(sample_rows(&s, KIND_MOUNT), 2);
    assert_string_equal(sample_text(&s, FIG_DISK_MOUNT, 0), "/");
    assert_string_equal(sample_text(&s, FIG_DISK_STATUS, 1), "timeout");
    assert_int_equal(sample_type(&s, FIG_DISK_TOTAL, 1), CELL_NONE);
    assert_int_equal(s.sections[SECTION_DISK].status, SECTION_TIMEOUT);
    assert_string_equal((char *)s.texts.data + s.sections[SECTION_DISK].error, "/mnt/dead");
    assert_int_equal(s.sections[SECTION_SENSORS].status, SECTION_MISSING);
    assert_int_equal(s.sections[SECTION_NET].status, SECTION_ABSENT);
    assert_true(number(FIG_PROCS_RUNNING, 0) == 3);
    assert_true(number(FIG_PROCS_ZOMBIE, 0) == 0); /* nothing is in that state */
    assert_int_equal(sample_type(&s, FIG_CONN_LISTEN, 0), CELL_NONE);
    assert_true(number(FIG_PSI_CPU_SOME_10, 0) == 1.5);
    assert_int_equal(sample_type(&s, FIG_PSI_IO_SOME_10, 0), CELL_NONE);
    assert_null(sample_text(&s, FIG_DISK_MOUNT, 2));
}

/* psutil says 0 of what it cannot know; here that is no figure. */
static void test_speeds(void **state)
{
    (void)state;
    good(ALL, "{'net':{'status':'ok','data':{'nics':{'cols':['name','speed','mtu'],"
              "'rows':[['eth0',1000,1500],['lo',0,0],['veth0',null,0]]}}}}");
    assert_true(number(FIG_NET_SPEED, 0) == 1000);
    assert_int_equal(sample_type(&s, FIG_NET_SPEED, 1), CELL_NONE);
    assert_true(number(FIG_NET_MTU, 1) == 0);
    assert_int_equal(sample_type(&s, FIG_NET_SPEED, 2), CELL_NONE);
}

/* Only what was asked for is kept: a host's line is some KiB, whatever it sent. */
static void test_wants(void **state)
{
    (void)state;
    good(0, full);
    assert_int_equal(sample_rows(&s, KIND_CPU), 0);
    assert_int_equal(sample_rows(&s, KIND_MOUNT), 0);
    assert_true(number(FIG_LOAD1, 0) == 0.5);
    assert_in_range(sample_memory(&s), 1, 5 * 1024);
}

static void test_refuses(void **state)
{
    (void)state;
    refused("{'cpu':{'status':'ok','data':{'logical':-1}}}", "cpu: logical is negative");
    refused("{'cpu':{'status':'ok','data':{'logical':1.5}}}", "not a whole number");
    refused("{'cpu':{'status':'ok','data':{'load1':'x'}}}", "load1 is not a number");
    refused("{'cpu':{'status':'ok','data':{'times':7}}}", "has no map around it");
    refused("{'host':{'status':'ok','data':{'nodename':7}}}", "nodename is not text");
    refused("{'cpu':{'status':'fine'}}", "status is none of");
    refused("{'cpu':{'data':{}}}", "status is missing");
    refused("{'cpu':{'status':'ok','us':-1}}", "us is no time");
    refused("{'cpu':{'status':'ok','error':1}}", "error is not text");
    refused("{'cpu':{'status':'ok','data':[]}}", "data is not a map");
    refused("{'cpu':7}", "cpu: it is not a map");
    refused("7", "sections is missing");
    refused("{'net':{'status':'ok','data':{'nics':7}}}", "nics is not a table");
    refused("{'net':{'status':'ok','data':{'nics':{'cols':['name']}}}}", "rows is not a list");
    refused("{'net':{'status':'ok','data':{'nics':{'rows':[]}}}}", "cols is not a list");
    refused("{'net':{'status':'ok','data':{'nics':{'cols':[1],'rows':[]}}}}", "not a name");
    refused("{'net':{'status':'ok','data':{'nics':{'cols':['name','name'],'rows':[]}}}}",
            "names a column twice");
    refused("{'net':{'status':'ok','data':{'nics':{'cols':['name'],'rows':[['a'],7]}}}}",
            "row 1 of nics");
    refused("{'net':{'status':'ok','data':{'nics':{'cols':['name'],'rows':[['a','b']]}}}}",
            "as many values as there are columns");
    refused("{'net':{'status':'ok','data':{'nics':{'cols':['name','isup'],'rows':[['a',1]]}}}}",
            "net: row 0 of nics: isup is not true or false");
}

static void test_head(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "{}",
        "{'seq':1,'mono_ns':-1,'real_ns':1,'hz':100,'page':4096,'sections':{}}",
        "{'seq':1,'mono_ns':1,'real_ns':1,'hz':0,'page':4096,'sections':{}}",
        "{'seq':1,'mono_ns':1,'real_ns':1,'hz':100,'page':0,'sections':{}}",
        "{'seq':1,'mono_ns':1,'real_ns':1,'hz':100,'page':4096}",
        "{'seq':1,'mono_ns':1,'real_ns':1,'hz':100,'page':4096,'boot_id':7,'sections':{}}",
        "[]",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct buf b;
        sample_bytes(&b, "%s", heads[i]);
        assert_int_equal(sample_decode(&s, b.data, b.len, ALL, &e), RC_PROTO);
        buf_fini(&b);
    }
}

/* Not a number, and infinity: JSON cannot say them. */
static void test_not_finite(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        struct buf b;
        sample_bytes(&b, "{" HEAD ",'sections':{'cpu':{'status':'ok','data':{'load1':2.5}}}}");
        uint8_t want[9] = {0xcb}, have[9] = {0xcb};
        uint64_t bits;
        double old = 2.5;
        memcpy(&bits, &old, 8);
        for (int j = 0; j < 8; j++)
            want[1 + j] = (uint8_t)(bits >> (56 - 8 * j));
        memcpy(&bits, &bad[i], 8);
        for (int j = 0; j < 8; j++)
            have[1 + j] = (uint8_t)(bits >> (56 - 8 * j));
        uint8_t *at = memmem(b.data, b.len, want, 9);
        assert_non_null(at);
        memcpy(at, have, 9);
        assert_int_equal(sample_decode(&s, b.data, b.len, ALL, &e), RC_PROTO);
        assert_non_null(strstr(e.msg, "not a finite number"));
        buf_fini(&b);
    }
}

/* Rows past the bound, the same interface again, rows of nothing. */
static void test_bounds(void **state)
{
    (void)state;
    static char text[200 * 1024];
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{'net':{'status':'ok','data':{'nics':{'cols':['name','mtu'],"
                                "'rows':[['a',1],['b',2],['a',3],[null,4]");
    for (int i = 0; i < 900; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",['x%d',5]", i);
    snprintf(text + n, sizeof text - n, "]}}}}");
    good(ALL, text);
    assert_int_equal(sample_rows(&s, KIND_NIC), 510);
    assert_int_equal(s.tables[KIND_NIC].left_out, 904 - 512);
    assert_true(number(FIG_NET_MTU, 1) == 2);
    assert_string_equal(sample_text(&s, FIG_NET_NAME, 2), "x0");
    assert_in_range(sample_memory(&s), 1, 200 * 1024);
}

static void test_texts(void **state)
{
    (void)state;
    static char text[250 * 1024], word[4001];
    memset(word, 'm', 4000);
    size_t n = (size_t)snprintf(text, sizeof text,
                                "{'disk':{'status':'ok','data':{'mounts':{'cols':['mountpoint'],"
                                "'rows':[['a\\u0000b'],['%s']",
                                word);
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",['%04d%.1100s']", i, word);
    snprintf(text + n, sizeof text - n, "]}}}}");
    good(ALL, text);
    assert_string_equal(sample_text(&s, FIG_DISK_MOUNT, 0), "a");
    assert_int_equal(strlen(sample_text(&s, FIG_DISK_MOUNT, 1)), SAMPLE_TEXT);
    assert_in_range(s.texts.len, 150 * 1024, SAMPLE_TEXTS);
    assert_in_range(sample_memory(&s), 1, 300 * 1024);
}

/* What the host itself left out is told, and arguments are words again. */
static void test_more(void **state)
{
    (void)state;
    good(ALL,
         "{'processes':{'status':'ok','at_us':77,'data':{'processes':{'cols':['pid','cmdline'],"
         "'rows':[[1,'bin:/bin/x\\u0000-a\\u0000\\u0000'],[2,'\\u0000']],'more':5}}}}");
    assert_string_equal(sample_text(&s, FIG_PROC_CMDLINE, 0), "/bin/x -a");
    assert_string_equal(sample_text(&s, FIG_PROC_CMDLINE, 1), "");
    assert_int_equal(s.tables[KIND_PROCESS].left_out, 5);
    assert_int_equal(s.sections[SECTION_PROCESSES].at_us, 77);
    good(ALL, "{'net':{'status':'ok','data':{'nics':{'cols':['name'],'rows':[],"
              "'more':9223372036854775807}}}}");
    assert_in_range(s.tables[KIND_NIC].left_out, 1, 1 << 30);
    refused("{'net':{'status':'ok','data':{'nics':{'cols':['name'],'rows':[],'more':-1}}}}",
            "more is not a count");
    refused("{'net':{'status':'ok','at_us':'x'}}", "at_us is no time");
}

static void test_details(void **state)
{
    (void)state;
    good(ALL, "{'memory':{'status':'ok','data':{'total':5,'meminfo':{'MemTotal':4096,'Cached':7},"
              "'vmstat':{'cols':['name','value'],'rows':[['pswpin',3],['oom_kill',1]]}}}}");
    assert_int_equal(sample_rows(&s, KIND_MEMINFO), 2);
    assert_string_equal(sample_text(&s, FIG_MEMINFO_NAME, 1), "Cached");
    assert_true(number(FIG_MEMINFO_VALUE, 1) == 7);
    assert_int_equal(sample_rows(&s, KIND_VMSTAT), 2);
    assert_true(number(FIG_VMSTAT_VALUE, 0) == 3);
    refused("{'memory':{'status':'ok','data':{'meminfo':{'MemTotal':'x'}}}}", "row 0 of meminfo");
}

static void test_no_memory(void **state)
{
    (void)state;
    struct buf b;
    sample_bytes(&b, "{" HEAD ",'sections':%s}", full);
    for (long n = 0;; n++) {
        assert_true(n < 100);
        mem_fail_after(n);
        enum rc rc = sample_decode(&s, b.data, b.len, ALL, &e);
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        if (rc == RC_OK && !fired)
            break;
        if (rc != RC_OK) /* what is only trimmed does not fail */
            assert_int_equal(rc, RC_NOMEM);
        sample_fini(&s);
        assert_int_equal(mem_live(), live + 1);
    }
    buf_fini(&b);
}

/* Every byte of a good sample wrong in turn: refused or sane, never worse. */
static void test_any_byte(void **state)
{
    (void)state;
    struct buf b;
    sample_bytes(&b, "{" HEAD ",'sections':%s}", full);
    size_t refusals = 0;
    for (size_t i = 0; i < b.len; i++)
        for (int x = 1; x < 256; x = x * 2 + 1) {
            b.data[i] ^= (uint8_t)x;
            enum rc rc = wire_validate(b.data, b.len, NULL);
            if (rc == RC_OK)
                rc = sample_decode(&s, b.data, b.len, ALL, NULL);
            assert_true(rc == RC_OK || rc == RC_PROTO);
            refusals += rc != RC_OK;
            b.data[i] ^= (uint8_t)x;
            sample_fini(&s);
        }
    assert_true(refusals > b.len);
    buf_fini(&b);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(figure_find("disk.percent", 12), FIG_DISK_PERCENT);
    assert_int_equal(figure_find("disk.percen", 11), FIGURE_COUNT);
    assert_int_equal(figure_kind(FIG_DISK_PERCENT), KIND_MOUNT);
    assert_int_equal(figure_kind(FIG_CG_PIDS), KIND_HOST);
    assert_int_equal(figure_kind(FIG_PERCPU_CPU), KIND_CPU);
    assert_int_equal(figure_kind(FIGURE_COUNT - 1), KIND_VMSTAT);
    assert_string_equal(figure_nearest("disk.precent"), "disk.percent");
    assert_string_equal(figure_nearest("disk.pct"), "disk.percent");
    assert_string_equal(figure_nearest("mem.avail"), "memory.available");
    assert_string_equal(figure_nearest("disk.fils"), "disk.files");
    assert_string_equal(figure_nearest("load"), "load1");
    assert_null(figure_nearest("disk.percentages"));
    assert_null(figure_nearest("x."));
    assert_null(figure_nearest("."));
    assert_true(figure_is_prefix("disk", 4) && !figure_is_prefix("dis", 3));
    assert_true(figure_needs_rates(FIG_CPU_IOWAIT) && figure_needs_rates(FIG_SUM_RECV));
    assert_false(figure_needs_rates(FIG_LOAD1) || figure_needs_rates(FIG_MEM_PERCENT));
    assert_false(figure_needs_rates(FIG_CPU_T_USER));
    /* JSON nests by dots: what begins alike stands together, and no name is also a beginning. */
    for (int f = 1; f < FIGURE_COUNT; f++)
        for (int g = 0; g < f; g++) {
            const char *a = figure_defs[f].name, *b = figure_defs[g].name;
            size_t n = strlen(b);
            assert_string_not_equal(a, b);
            assert_false(strncmp(a, b, n) == 0 && a[n] == '.');
            assert_false(strncmp(a, b, strlen(a)) == 0 && b[strlen(a)] == '.');
            for (const char *dot = strchr(a, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
                size_t part = (size_t)(dot - a) + 1;
                if (strncmp(a, b, part) == 0)
                    assert_memory_equal(a, figure_defs[f - 1].name, part);
            }
        }
}

static void shows(enum figure_unit u, double v, const char *want)
{
    char text[FIGURE_TEXT];
    assert_string_equal(figure_format(text, u, v), want);
}

static void test_formats(void **state)
{
    (void)state;
    shows(UNIT_PERCENT, 91.25, "91.2%");
    shows(UNIT_BYTES, 3.0 * (1 << 30), "3.0 GiB");
    shows(UNIT_BYTES_PER_SECOND, 1536, "1.5 KiB/s");
    shows(UNIT_COUNT, 1234567, "1,234,567");
    shows(UNIT_COUNT, 2.5, "2.5");
    shows(UNIT_NUMBER, 1234567, "1234567");
    shows(UNIT_LOAD, 0.5, "0.50");
    shows(UNIT_UPTIME, 12 * 86400 + 4 * 3600, "12d04h");
    shows(UNIT_SECONDS, 3723, "1h02m");
    shows(UNIT_SECONDS, -0.25, "-0.250s");
    shows(UNIT_TIME, 1700000000, "2023-11-14 22:13:20");
    shows(UNIT_PER_SECOND, 12345.6, "12,345/s");
    shows(UNIT_MHZ, 2400.5, "2,400 MHz");
    shows(UNIT_CELSIUS, 45,
          "45.0\xc2\xb0"
          "C");
    for (int u = 0; u < UNIT_COUNT_OF; u++) /* whatever a host says */
        for (double v = 1e-300; v < 1e308; v *= 1e5) {
            char text[FIGURE_TEXT];
            assert_in_range(strlen(figure_format(text, (enum figure_unit)u, v)), 1, 47);
            assert_in_range(strlen(figure_format(text, (enum figure_unit)u, -v)), 1, 47);
        }
    assert_true(figure_round1(0.25) == 0.2); /* as Python's round */
    assert_true(figure_round1(0.35) == 0.3);
    assert_true(figure_round1(2.675) == 2.7);
    assert_true(figure_round1(99.95) == 100.0 || figure_round1(99.95) == 99.9);
}

/* docs/stats.md lists every figure as the table has it (stats_tool docs prints the lists). */
static void test_docs(void **state)
{
    (void)state;
    static char text[256 * 1024];
    FILE *f = fopen(MUSTER_SOURCE_DIR "/docs/stats.md", "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    for (int i = 0; i < FIGURE_COUNT; i++) {
        char line[512];
        const struct figure_def *d = &figure_defs[i];
        snprintf(line, sizeof line, "\n| `%s` | %s | %s%s |\n", d->name,
                 unit_text((enum figure_unit)d->unit), d->help,
                 figure_needs_rates((enum figure)i) ? " (r)" : "");
        if (figure_kind((enum figure)i) != KIND_FREQ && strstr(text, line) == NULL)
            fail_msg("docs/stats.md lacks%s", line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_speeds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_finite, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_details, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
        cmocka_unit_test(test_docs),
    };
    return cmocka_run_group_tests_name("stats_sample", tests, NULL, NULL);
}
