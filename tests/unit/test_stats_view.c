/* What is asked of the hosts for what shall be shown, and which names are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "controller/stats/view.h"
#include "proto/wire.h"

static struct view v;
static struct options o;
static size_t live;

static int setup(void **state)
{
    (void)state;
    live = mem_live();
    memset(&o, 0, sizeof o);
    memset(&v, 0, sizeof v);
    o.output.mode = OUTPUT_TABLE;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    view_fini(&v);
    assert_int_equal(mem_live(), live);
    return 0;
}

static void make(void)
{
    struct err e = {0};
    view_fini(&v);
    if (view_init(&v, &o, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void refused(const char *part)
{
    struct err e = {0};
    view_fini(&v);
    enum rc rc = view_init(&v, &o, &e);
    if (rc == RC_OK || rc == RC_NOMEM || strstr(e.msg, part) == NULL)
        fail_msg("%s: '%s' lacks '%s'", rc_name(rc), e.msg, part);
}

static void asks(const char *want)
{
    char text[256] = "";
    for (int s = 0; s < SECTION_COUNT; s++)
        if (v.sections & 1u << s)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? "," : "",
                     section_defs[s].name);
    assert_string_equal(text, want);
}

static void shows(const char *want)
{
    char text[1024] = "";
    for (uint32_t i = 0; i < v.column_count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? "," : "",
                 v.columns[i].title);
    assert_string_equal(text, want);
}

static void test_usual(void **state)
{
    (void)state;
    make();
    asks("host,cpu,memory,swap,disk,net");
    assert_int_equal(v.kind, KIND_HOST);
    assert_int_equal(v.kinds & ~(1u << KIND_HOST), 1u << KIND_MOUNT | 1u << KIND_NIC);
    assert_true(v.rates);
    assert_int_equal(v.samples, 2);
    assert_int_equal(v.rounds, 1);
    o.stats.samples = 1; /* usual columns stay empty where two would be needed */
    make();
    assert_int_equal(v.samples, 1);
    assert_false(v.rates);
}

static void test_columns(void **state)
{
    (void)state;
    o.output.columns = "host,vars.owner,disk.percent";
    make();
    asks("disk");
    assert_int_equal(v.kind, KIND_MOUNT);
    assert_false(v.rates);
    assert_int_equal(v.samples, 1);
    o.output.columns = "host,load1,net.recv_rate,net.name";
    make();
    asks("cpu,net");
    assert_int_equal(v.kind, KIND_NIC);
    assert_int_equal(v.samples, 2);
    o.output.columns = "host,process.memory_percent";
    make();
    asks("memory,processes");
    assert_int_equal(v.top, 10);
    o.output.columns = "time,meminfo.name,meminfo.value";
    make();
    assert_true(v.detail);
    o.output.columns = "disk.percent,net.name";
    refused("disk.percent is of a mount and net.name of an interface");
    o.output.columns = "host,,load1";
    refused("--columns: an empty");
    o.output.columns = "host,vars.";
    refused("no figure 'vars.'");
    o.output.columns = "host,load";
    refused("did you mean load1?");
    o.output.columns = "host,load1";
    o.stats.only = "memory";
    refused("load1 is of section cpu, which --only leaves out");
    o.output.columns = NULL;
    o.stats.only = "memory,nosuch";
    refused("no section 'nosuch' (there are: host, cpu");
}

static void test_only(void **state)
{
    (void)state;
    o.stats.only = "memory";
    make();
    asks("memory");
    shows("host,memory.percent,memory.available,memory.total");
    o.stats.only = "disk";
    make();
    assert_int_equal(v.kind, KIND_MOUNT);
    assert_memory_equal(v.columns[1].title, "disk.mountpoint", 15);
    o.stats.only = "disk,swap";
    make();
    assert_int_equal(v.kind, KIND_HOST);
    shows("host,swap.percent,swap.used,swap.in_rate,swap.out_rate,max.disk.percent,"
          "max.disk.mountpoint");
    o.stats.only = "disk,addrs";
    refused("addrs has no figures of a host");
    o.stats.only = "processes"; /* of its usual columns one is of memory too: nobody chose it */
    o.stats.top = 2;
    make();
    asks("processes");
    shows("host,process.pid,process.name,process.username,process.cpu_percent,process.rss,"
          "process.read_rate,process.write_rate,process.cmdline");
    o.stats.only = "memory,processes";
    make();
    assert_string_equal(v.columns[5].title, "process.memory_percent");
    o.stats.only = "processes";
    o.output.columns = "process.memory_percent";
    refused("--columns: process.memory_percent is of section memory, which --only leaves out");
    o.output.columns = NULL;
    o.stats.only = "disk";
    refused("--top: process.pid is of section processes, which --only leaves out");
}

/* Without it the rounds of csv could not be told apart. */
static void test_rounds_of_csv(void **state)
{
    (void)state;
    o.output.mode = OUTPUT_CSV;
    o.output.columns = "host,load1";
    make();
    shows("host,load1");
    o.stats.interval_ms = 1000;
    make();
    shows("time,host,load1");
    o.output.columns = "host,load1,time";
    make();
    shows("host,load1,time");
    o.output.columns = "vars.time,load1";
    make();
    shows("time,vars.time,load1");
    o.output.mode = OUTPUT_TABLE;
    make();
    shows("vars.time,load1");
    o.output.mode = OUTPUT_CSV;
    o.stats.by = "dc"; /* has one of its own */
    make();
    shows("vars.time,load1");
}

static void test_filter_and_sort(void **state)
{
    (void)state;
    o.stats.filter = "disk.percent > 85 and dc == 'fra'";
    make();
    assert_int_equal(v.kind, KIND_MOUNT);
    shows("host,disk.mountpoint,disk.percent,disk.used,disk.free,disk.total,disk.files_percent,"
          "disk.fstype");
    o.stats.filter = "load1 > 3 or max.disk.percent > 90";
    o.stats.sort = "-cpu.percent";
    make();
    assert_int_equal(v.kind, KIND_HOST);
    assert_true(v.sorted && v.descending);
    o.stats.sort = "net.name";
    make();
    assert_int_equal(v.kind, KIND_NIC);
    o.stats.sort = "-nosuch";
    refused("--sort: there is no figure 'nosuch'");
    o.stats.sort = NULL;
    o.stats.filter = "disk.nosuch > 1";
    refused("--filter: there is no figure 'disk.nosuch'");
    o.stats.filter = "load1 >";
    refused("--filter 'load1 >'");
    o.stats.filter = "disk.pct > 85";
    refused("there is no figure 'disk.pct'; did you mean disk.percent?");
    o.stats.filter = "load1 > 1 or disk.percent > \"x\"";
    refused("--filter: disk.percent does not compare: numbers go with numbers, text with text");
    o.stats.filter = "host > 3";
    refused("--filter: host does not compare");
    o.stats.filter = "disk.physical and memory.available < 100G and net > 3 and vars.x =~ 'y'";
    make();
    o.stats.filter = "vars == 1";
    refused("vars of what?");
    o.stats.filter = "cpu.percent > 1";
    o.stats.samples = 1;
    refused("--filter: cpu.percent takes two samples");
}

static void test_top_and_by(void **state)
{
    (void)state;
    o.stats.top = 5;
    o.stats.by = "cpu";
    make();
    asks("memory,processes");
    assert_int_equal(v.kind, KIND_PROCESS);
    assert_string_equal(v.top_by, "cpu");
    assert_null(v.by);
    o.stats.top = 0;
    o.stats.by = "dc";
    make();
    assert_string_equal(v.by, "dc");
    shows("cpu.percent,load1_per_cpu,memory.percent");
    o.stats.only = "disk";
    make();
    shows("max.disk.percent,max.disk.mountpoint");
    o.stats.only = NULL;
    o.output.columns = "host,disk.mountpoint";
    refused("--by: none of the columns is a number");
}

static void test_documents(void **state)
{
    (void)state;
    o.output.mode = OUTPUT_JSON;
    make();
    asks("host,cpu,memory,swap,disk,diskio,net,addrs,sensors,users,pressure,cgroup");
    assert_true(v.whole && v.rates);
    assert_false(v.kinds & 1u << KIND_PROCESS);
    assert_true(v.kinds & 1u << KIND_CPU);
    assert_false(v.kinds & 1u << KIND_VMSTAT);
    o.stats.only = "connections,disk";
    make();
    asks("disk,connections");
    assert_true(v.kinds & 1u << KIND_CONNECTION);
    o.stats.only = NULL;
    o.stats.top = 3;
    make();
    assert_true(v.kinds & 1u << KIND_PROCESS);
    assert_true(v.sections & 1u << SECTION_PROCESSES);
    o.stats.top = 0;
    o.output.mode = OUTPUT_PROMETHEUS;
    make();
    assert_true(v.whole && v.detail && !v.rates);
    assert_int_equal(v.samples, 1);
    o.output.mode = OUTPUT_NDJSON;
    o.output.columns = "load1";
    make();
    assert_false(v.whole);
}

static void test_rounds(void **state)
{
    (void)state;
    o.stats.interval_ms = 5000;
    make();
    assert_int_equal(v.samples, 0);
    assert_int_equal(v.rounds, 0);
    o.stats.samples = 3;
    make();
    assert_int_equal(v.samples, 0); /* rounds end it, however early a host began */
    assert_int_equal(v.rounds, 3);
    assert_true(v.rates);
    o.output.mode = OUTPUT_CSV;
    make();
    assert_string_equal(v.columns[0].title, "time");
}

static void test_request(void **state)
{
    (void)state;
    struct buf b;
    struct wire_map m;
    const msgpack_object_array *sections;
    uint64_t n;
    char text[16];
    bool yes;
    o.stats.only = "cpu,swap";
    make();
    buf_init(&b, 4096);
    assert_int_equal(view_request(&v, &b), RC_OK);
    assert_int_equal(wire_open(&m, b.data, b.len, NULL), RC_OK);
    assert_int_equal(wire_str_to(&m, "op", text, sizeof text), RC_OK);
    assert_string_equal(text, "stats");
    assert_int_equal(wire_array(&m, "sections", 9, &sections), RC_OK);
    assert_int_equal(sections->size, 2);
    assert_memory_equal(sections->ptr[1].via.str.ptr, "swap", 4);
    assert_int_equal(wire_u64(&m, "interval_ms", 9999, &n), RC_OK);
    assert_int_equal(n, 1000);
    assert_int_equal(wire_u64(&m, "count", 9999, &n), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(wire_bool(&m, "detail", &yes), RC_OK);
    assert_false(yes);
    wire_close(&m);
    buf_fini(&b);
    buf_init(&b, 10);
    assert_int_equal(view_request(&v, &b), RC_LIMIT);
    buf_fini(&b);
}

static void test_no_memory(void **state)
{
    (void)state;
    o.stats.filter = "disk.percent > 85 and dc == 'fra'";
    o.stats.sort = "-disk.percent";
    o.output.columns = "host,vars.dc,disk.percent";
    for (long n = 0;; n++) {
        struct err e = {0};
        mem_fail_after(n);
        enum rc rc = view_init(&v, &o, &e);
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        view_fini(&v);
        assert_int_equal(mem_live(), live);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_usual, setup, teardown),
        cmocka_unit_test_setup_teardown(test_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounds_of_csv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filter_and_sort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_top_and_by, setup, teardown),
        cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests_name("stats_view", tests, NULL, NULL);
}
