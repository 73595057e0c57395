/* Samples of a few hosts in, and what a person or a program sees of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controller/stats/grid.h"
#include "controller/stats/stats.h"
#include "inventory/value.h"
#include "tests/unit/sample_fixture.h"

static const char source[] = "all:\n"
                             "  children:\n"
                             "    dc:\n"
                             "      children:\n"
                             "        fra: {hosts: {web1: {owner: ann, weight: 2}, web2: {}}}\n"
                             "        ams: {hosts: {db1: {owner: bob}}}\n";
static const char *const names[] = {"web1", "web2", "db1"};
enum { HOSTS = 3 };

struct bench {
    struct inventory *inv;
    struct inv_host *hosts[HOSTS];
    struct options o;
    struct view view;
    struct stats *stats;
    struct buf out, info;
    struct sink out_sink, info_sink;
    uint64_t now;
};
static struct bench b;
static size_t live;

static void to_buf(void *user, const void *p, size_t n)
{
    assert_int_equal(buf_append(user, p, n), RC_OK);
}

static int setup(void **state)
{
    (void)state;
    struct err e = {0};
    live = mem_live();
    memset(&b, 0, sizeof b);
    assert_int_equal(inventory_new(&b.inv, &e), RC_OK);
    assert_int_equal(
        inventory_add_text(b.inv, "h.yml", INVENTORY_YAML, source, sizeof source - 1, &e), RC_OK);
    assert_int_equal(inventory_finish(b.inv, &e), RC_OK);
    for (int i = 0; i < HOSTS; i++)
        b.hosts[i] = inventory_host_find(b.inv, names[i]);
    buf_init(&b.out, 1 << 24);
    buf_init(&b.info, 1 << 24);
    b.out_sink = (struct sink){.write = to_buf, .user = &b.out};
    b.info_sink = (struct sink){.write = to_buf, .user = &b.info};
    b.o.output.mode = OUTPUT_TABLE;
    b.now = 1000;
    return 0;
}

static void close_stats(void)
{
    stats_free(b.stats);
    b.stats = NULL;
    view_fini(&b.view);
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_after(-1);
    close_stats();
    buf_fini(&b.out);
    buf_fini(&b.info);
    inventory_free(b.inv);
    assert_int_equal(mem_live(), live);
    return 0;
}

static enum rc try_open(struct err *e)
{
    close_stats();
    buf_reset(&b.out);
    buf_reset(&b.info);
    enum rc rc = view_init(&b.view, &b.o, e);
    struct stats_about about = {.view = &b.view,
                                .inventory = b.inv,
                                .hosts = b.hosts,
                                .count = HOSTS,
                                .mode = b.o.output.mode,
                                .patience_ms = 1000};
    if (rc == RC_OK)
        rc = stats_new(&b.stats, &about, e);
    return rc == RC_OK ? stats_open(b.stats, &b.out_sink, &b.info_sink, b.now, e) : rc;
}

static void open_stats(void)
{
    struct err e = {0};
    if (try_open(&e) != RC_OK)
        fail_msg("%s", e.msg);
}

/* A sample with all that the tests look at. `at` seconds after boot, `busy` ticks of CPU so far of
 * at * 100, `full` percent of /srv. */
static void make_sample(struct buf *bytes, uint32_t host, double at, int busy, int full)
{
    int total = (int)(at * 100);
    sample_bytes(
        bytes,
        "{'seq':1,'skipped':0,'mono_ns':%lld,'real_ns':1700000000000000000,'boot_id':'x%u',"
        "'hz':100,'page':4096,'sections':{"
        "'host':{'status':'ok','data':{'nodename':'n','uptime_ms':%d,'os_id':'debian',"
        "'machine':'x86_64'}},"
        "'cpu':{'status':'ok','us':7,'data':{'times':{'user':%d,'system':0,'idle':%d},"
        "'percpu':{'cols':['cpu','user','system','idle'],'rows':[[0,%d,0,%d]]},"
        "'logical':2,'load1':%d.5}},"
        "'memory':{'status':'ok','data':{'total':1000,'available':%d,'free':100}},"
        "'disk':{'status':'ok','data':{'mounts':{'cols':['device','mountpoint','fstype','opts',"
        "'total','used','free','status'],'rows':[['/dev/a','/','ext4','rw',1000,100,900,'ok'],"
        "['/dev/b','/srv \\u001b[31m\\\"q\\\"','xfs','ro,x',10240,%d,%d,'ok']]}}},"
        "'net':{'status':'ok','data':{'nics':{'cols':['name','bytes_recv','bytes_sent','flags',"
        "'isup'],'rows':[['eth0',%d,0,'up',true]]}}},"
        "'processes':{'status':'ok','data':{'total':9,'processes':{'cols':['pid','rss','cmdline',"
        "'start_ticks'],'rows':[[%u,4096,'bin:sleep 9',1],[7,1024,'=cmd',1]]}}},"
        "'swap':{'status':'denied','error':'no \\u0007'}}}",
        (long long)(at * 1e9), host, (int)(at * 1000), busy, total - busy, busy, total - busy,
        (int)host, 1000 - full * 10, full * 100, 10000 - full * 100, (int)(at * 1000), 100 + host);
}

static enum rc sample(uint32_t host, double at, int busy, int full, struct err *e)
{
    struct buf bytes;
    make_sample(&bytes, host, at, busy, full);
    enum rc rc = stats_take(b.stats, host, bytes.data, bytes.len, b.now, e);
    buf_fini(&bytes);
    return rc;
}

static void two(uint32_t host, int percent, int full)
{
    struct err e = {0};
    if ((b.view.samples != 1 && sample(host, 10, 100, full, &e) != RC_OK) ||
        sample(host, 11, 100 + percent, full, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void one(uint32_t host, double at, int full)
{
    struct err e = {0};
    if (sample(host, at, 100, full, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void end(uint32_t host, enum problem p)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = p;
    snprintf(o.detail, sizeof o.detail, "%s", p == PROBLEM_NONE ? "" : "because");
    stats_host_ended(b.stats, host, &o);
}

static const char *text_of(struct buf *buf)
{
    const char *s = buf_cstr(buf);
    assert_non_null(s);
    return s;
}

static void is(struct buf *buf, const char *want)
{
    assert_string_equal(text_of(buf), want);
}

static void has(struct buf *buf, const char *part)
{
    if (strstr(text_of(buf), part) == NULL)
        fail_msg("'%s' lacks '%s'", text_of(buf), part);
}

static void all(void)
{
    two(0, 50, 91);
    two(1, 10, 20);
    end(2, PROBLEM_CONNECT_REFUSED);
    end(0, PROBLEM_NONE);
    end(1, PROBLEM_NONE);
    stats_report(b.stats, b.now);
}

static void test_table(void **state)
{
    (void)state;
    b.o.output.columns = "host,vars.owner,cpu.percent,load1,memory.available,uptime";
    open_stats();
    all();
    is(&b.out, "host  vars.owner  cpu.percent  load1  memory.available  uptime\n"
               "web1  ann               50.0%   0.50              90 B   11.0s\n"
               "web2                    10.0%   1.50             800 B   11.0s\n");
    is(&b.info, "host    vars.owner  cpu.percent  load1  memory.available  uptime\n"
                "median                    30.0%   1.00             445 B   11.0s\n"
                "p95                       48.0%   1.45             764 B   11.0s\n"
                "max                       50.0%   1.50             800 B   11.0s\n"
                "2 of 3 hosts answered\n");
}

/* Figures by plain sh are told from those of an agent, and why; not where they were asked for. */
static void test_plain(void **state)
{
    (void)state;
    b.o.output.columns = "host,load1";
    open_stats();
    stats_plain(b.stats, 0, true, PROBLEM_NONE, "");
    stats_plain(b.stats, 1, true, PROBLEM_AGENT_NO_EXEC, "x");
    stats_plain(b.stats, 1, true, PROBLEM_DISK_FULL, "/tmp: full \x1b");
    stats_plain(b.stats, 2, true, PROBLEM_DISK_FULL, "");
    stats_plain(b.stats, 2, false, PROBLEM_NONE, "");
    all();
    has(&b.info, "2 of 3 hosts answered\n"
                 "by plain sh, without an agent and with less: web2\n"
                 "  because: disk-full (/tmp: full \\x1b)\n");
    b.o.output.columns = NULL;
    b.o.output.mode = OUTPUT_JSON;
    b.out_sink.is_tty = true;
    open_stats();
    stats_plain(b.stats, 0, true, PROBLEM_NONE, "");
    stats_plain(b.stats, 1, true, PROBLEM_DISK_FULL, "full");
    all();
    has(&b.out, "\"skipped\":0,\"plain_sh\":{\"problem\":null,\"detail\":null},\"sections\"");
    has(&b.out, "\"plain_sh\":{\"problem\":\"disk-full\",\"detail\":\"full\"}");
    assert_null(strstr(text_of(&b.out), "by plain sh"));
    has(&b.info, "because: disk-full (full)\n");
}

/* On a terminal the foot is below the table. */
static void test_terminal(void **state)
{
    (void)state;
    b.o.output.columns = "host,load1";
    b.out_sink.is_tty = true;
    open_stats();
    all();
    is(&b.out, "host    load1\n"
               "web1     0.50\n"
               "web2     1.50\n"
               "\n"
               "median   1.00\n"
               "p95      1.45\n"
               "max      1.50\n"
               "2 of 3 hosts answered\n");
    is(&b.info, "");
    b.o.output.columns = "host,disk.mountpoint,disk.percent"; /* mounts of one host are no fleet */
    open_stats();
    one(0, 10, 20);
    end(1, PROBLEM_CONNECT_REFUSED);
    end(2, PROBLEM_CONNECT_REFUSED);
    stats_report(b.stats, b.now);
    is(&b.out, "host  disk.mountpoint   disk.percent\n"
               "web1  /                        10.0%\n"
               "web1  /srv \\x1b[31m\"q\"         20.0%\n"
               "1 of 3 hosts answered\n");
}

static void test_mounts(void **state)
{
    (void)state;
    b.o.output.columns = "host,disk.mountpoint,disk.percent";
    b.o.stats.filter = "disk.percent > 5 and disk.percent < 95";
    b.o.stats.sort = "-disk.percent";
    open_stats();
    one(0, 10, 91);
    one(1, 10, 20);
    one(2, 10, 4);
    stats_report(b.stats, b.now);
    is(&b.out, "host  disk.mountpoint   disk.percent\n"
               "web1  /srv \\x1b[31m\"q\"         91.0%\n"
               "web2  /srv \\x1b[31m\"q\"         20.0%\n"
               "web1  /                        10.0%\n"
               "web2  /                        10.0%\n"
               "db1   /                        10.0%\n");
    has(&b.info, "3 of 3 hosts answered\n");
}

static void test_filter_with_variables(void **state)
{
    (void)state;
    struct err e = {0};
    b.o.output.columns = "host,load1";
    b.o.stats.filter = "owner == 'ann' or vars.weight > 3 or host == 'db1' and load1 > 2";
    open_stats();
    for (uint32_t i = 0; i < HOSTS; i++)
        one(i, 10, 5);
    stats_report(b.stats, b.now);
    is(&b.out, "host  load1\nweb1   0.50\ndb1    2.50\n");
    b.o.stats.filter = "load1 > vars.owner"; /* told, and nothing else is harmed */
    open_stats();
    for (uint32_t i = 0; i < HOSTS; i++)
        one(i, 10, 5);
    stats_report(b.stats, b.now);
    is(&b.out, "host  load1\n");
    has(&b.info, "warning: 2 lines could not be asked; the first: --filter: load1 of host web1");
    b.o.stats.filter = "nosuch == 1";
    assert_int_equal(try_open(&e), RC_USAGE);
    has(&b.out, "");
    assert_non_null(strstr(e.msg, "--filter: 'nosuch' is neither a figure nor a variable"));
    b.o.stats.filter = NULL;
    b.o.output.columns = "host,vars.nosuch";
    assert_int_equal(try_open(&e), RC_USAGE);
}

static void test_csv(void **state)
{
    (void)state;
    b.o.output.mode = OUTPUT_CSV;
    b.o.output.columns = "host,vars.weight,process.pid,process.cmdline,process.rss,uptime";
    open_stats();
    one(0, 10.5, 1);
    one(2, 10, 1);
    stats_report(b.stats, b.now);
    is(&b.out, "host,vars.weight,process.pid,process.cmdline,process.rss,uptime\r\n"
               "web1,2,100,sleep 9,4096,10.5\r\n"
               "web1,2,7,'=cmd,1024,10.5\r\n"
               "db1,,102,sleep 9,4096,10\r\n"
               "db1,,7,'=cmd,1024,10\r\n");
    b.o.output.columns = "disk.mountpoint";
    open_stats();
    one(0, 10, 1);
    stats_report(b.stats, b.now);
    is(&b.out, "disk.mountpoint\r\n/\r\n\"/srv \x1b[31m\"\"q\"\"\"\r\n");
}

static void test_by(void **state)
{
    (void)state;
    struct err e = {0};
    b.o.stats.by = "dc"; /* a group: by its children */
    b.o.output.columns = "load1";
    open_stats();
    one(0, 10, 1);
    one(1, 10, 1);
    stats_report(b.stats, b.now);
    is(&b.out, "dc   hosts  answered  load1.median  load1.p95  load1.max\n"
               "ams      1         0\n"
               "fra      2         2          1.00       1.45       1.50\n");
    b.o.stats.by = "owner"; /* a variable: by its values */
    b.o.output.mode = OUTPUT_CSV;
    open_stats();
    one(0, 10, 1);
    one(1, 10, 1);
    stats_report(b.stats, b.now);
    is(&b.out, "owner,hosts,answered,load1.median,load1.p95,load1.max\r\n"
               "ann,1,1,0.5,0.5,0.5\r\n"
               "bob,1,0,,,\r\n"
               "(none),1,1,1.5,1.5,1.5\r\n");
    b.o.stats.interval_ms = 5000; /* rounds tell when they were */
    open_stats();
    one(0, 10, 1);
    end(1, PROBLEM_CONNECT_REFUSED);
    end(2, PROBLEM_CONNECT_REFUSED);
    stats_tick(b.stats, b.now);
    has(&b.out, "time,owner,hosts,answered,load1.median,load1.p95,load1.max\r\n");
    has(&b.out, "Z,ann,1,1,0.5,0.5,0.5\r\n");
    b.o.stats.interval_ms = 0;
    b.o.stats.by = "groups";
    open_stats();
    stats_report(b.stats, b.now);
    has(&b.out, "\r\nall,3,0,,,\r\n");
    has(&b.out, "\r\ndc,3,0,,,\r\n");
    b.o.stats.by = "nosuch";
    assert_int_equal(try_open(&e), RC_USAGE);
    assert_non_null(strstr(e.msg, "'nosuch' is neither a variable of these hosts nor a group"));
}

static const json_t *at(const json_t *v, const char *path)
{
    char part[64];
    while (v != NULL && *path != '\0') {
        size_t n = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part)) : json_object_get(v, part);
        path += n + (path[n] == '/');
    }
    return v;
}

static json_t *document(void)
{
    json_error_t e;
    json_t *v = json_loadb((char *)b.out.data, b.out.len, JSON_REJECT_DUPLICATES, &e);
    if (v == NULL)
        fail_msg("%s at byte %d of %s", e.text, e.position, text_of(&b.out));
    return v;
}

static void test_json(void **state)
{
    (void)state;
    b.o.output.mode = OUTPUT_JSON;
    open_stats();
    all();
    json_t *v = document();
    assert_string_equal(json_string_value(at(v, "schema")), "muster.stats/1");
    assert_int_equal(json_integer_value(at(v, "coverage/answered")), 2);
    assert_string_equal(json_string_value(at(v, "hosts/0/host")), "web1");
    assert_true(json_number_value(at(v, "hosts/0/seconds")) == 1);
    assert_true(json_number_value(at(v, "hosts/0/cpu/percent")) == 50);
    assert_true(json_number_value(at(v, "hosts/0/cpu/times/user")) == 1.5);
    assert_true(json_number_value(at(v, "hosts/1/load1")) == 1.5);
    assert_true(json_number_value(at(v, "hosts/0/uptime")) == 11);
    assert_int_equal(json_integer_value(at(v, "hosts/0/memory/total")), 1000);
    assert_true(json_number_value(at(v, "hosts/0/max/disk/percent")) == 10);
    assert_true(json_number_value(at(v, "hosts/0/percpu/0/times/idle")) == 9.5);
    assert_string_equal(json_string_value(at(v, "hosts/0/disk/1/mountpoint")),
                        "/srv \x1b[31m\"q\"");
    assert_true(json_number_value(at(v, "hosts/0/net/0/recv_rate")) == 1000);
    assert_true(json_is_true(at(v, "hosts/0/net/0/isup")));
    assert_null(at(v, "hosts/0/swap")); /* nothing of it is known */
    assert_string_equal(json_string_value(at(v, "hosts/0/sections/swap/status")), "denied");
    assert_string_equal(json_string_value(at(v, "hosts/0/sections/swap/error")), "no \a");
    assert_null(at(v, "hosts/0/process"));
    assert_string_equal(json_string_value(at(v, "failed/0/host")), "db1");
    assert_string_equal(json_string_value(at(v, "failed/0/problem")), "connect-refused");
    assert_string_equal(json_string_value(at(v, "failed/0/detail")), "because");
    json_decref(v);
    b.o.stats.filter = "disk.percent > 50";
    open_stats();
    all();
    v = document();
    assert_int_equal(json_array_size(at(v, "hosts")), 1);
    assert_int_equal(json_array_size(at(v, "hosts/0/disk")), 1);
    assert_int_equal(json_array_size(at(v, "hosts/0/net")), 1);
    json_decref(v);
    b.o.stats.filter = NULL;
    b.o.output.columns = "host,load1,cpu.steal";
    open_stats();
    all();
    v = document();
    assert_true(json_number_value(at(v, "rows/1/load1")) == 1.5);
    assert_true(json_is_null(at(v, "rows/1/cpu.steal")));
    json_decref(v);
    b.o.stats.by = "owner";
    open_stats();
    all();
    v = document();
    assert_string_equal(json_string_value(at(v, "by/0/owner")), "ann");
    assert_true(json_number_value(at(v, "by/0/load1.max")) == 0.5);
    json_decref(v);
}

/* The n-th line of the output. */
static json_t *line(size_t n)
{
    const char *s = text_of(&b.out);
    for (; n > 0; n--) {
        s = strchr(s, '\n');
        assert_non_null(s);
        s++;
    }
    json_error_t e;
    json_t *v = json_loadb(s, strcspn(s, "\n"), JSON_REJECT_DUPLICATES, &e);
    if (v == NULL)
        fail_msg("%s of %s", e.text, s);
    return v;
}

static void line_is(size_t n, const char *type, const char *host)
{
    json_t *v = line(n);
    assert_string_equal(json_string_value(at(v, "type")), type);
    if (host != NULL)
        assert_string_equal(json_string_value(at(v, "host")), host);
    json_decref(v);
}

static void test_ndjson(void **state)
{
    (void)state;
    b.o.output.mode = OUTPUT_NDJSON;
    open_stats();
    two(1, 10, 1);
    two(0, 10, 1); /* as they come */
    one(2, 10, 1);
    end(2, PROBLEM_CONNECTION_LOST); /* what there is of it is shown */
    stats_report(b.stats, b.now);
    line_is(0, "stats", NULL);
    line_is(1, "sample", "web2");
    line_is(2, "sample", "web1");
    line_is(3, "sample", "db1");
    line_is(4, "failed", "db1");
    line_is(5, "summary", NULL);
    json_t *v = line(3);
    assert_true(json_is_null(at(v, "seconds")));
    assert_null(at(v, "cpu/percent"));
    json_decref(v);
    b.o.output.columns = "host,disk.percent";
    open_stats();
    one(1, 10, 33);
    stats_report(b.stats, b.now);
    v = line(2);
    assert_string_equal(json_string_value(at(v, "type")), "row");
    assert_true(json_number_value(at(v, "disk.percent")) == 33);
    json_decref(v);
}

/* Rounds come by the clock, whoever is late; nobody is waited for twice. */
static void test_rounds(void **state)
{
    (void)state;
    b.o.stats.interval_ms = 5000;
    b.o.stats.samples = 3;
    b.o.output.columns = "host,cpu.percent,load1";
    open_stats();
    assert_int_equal(stats_tick(b.stats, b.now), 12000); /* patience and two intervals */
    two(0, 50, 1);
    two(1, 10, 1);
    b.now = 8000;
    assert_int_equal(stats_tick(b.stats, b.now), 12000);
    is(&b.out, "");
    b.now = 12000; /* db1 is not waited for any longer */
    one(0, 16, 1);
    one(1, 16, 1);
    assert_int_equal(stats_tick(b.stats, b.now), 17000);
    has(&b.out, "web1         0.0%   0.50\n");
    assert_null(strstr(text_of(&b.out), "db1"));
    has(&b.info, "  2 of 3 hosts answered\nlate: db1\n");
    buf_reset(&b.out);
    buf_reset(&b.info);
    b.now = 16000;
    one(0, 21, 1);
    two(2, 100, 1);
    end(1, PROBLEM_CONNECTION_LOST);
    assert_int_equal(stats_tick(b.stats, b.now), 17000);
    is(&b.out, "");
    b.now = 23500; /* held up: the round that was missed is not made up for */
    one(0, 26, 1);
    assert_int_equal(stats_tick(b.stats, b.now), 28500);
    has(&b.out, "\nhost  cpu.percent  load1\nweb1         0.0%   0.50\ndb1        100.0%   2.50\n");
    has(&b.info, "2 of 3 hosts answered\n");
    assert_null(strstr(text_of(&b.info), "late"));
    assert_false(stats_done(b.stats));
    buf_reset(&b.info);
    b.now = 28500; /* db1's sample is 12 s old */
    one(0, 31, 1);
    assert_int_equal(stats_tick(b.stats, b.now), UINT64_MAX);
    has(&b.info, "1 of 3 hosts answered\nlate: db1\n");
    assert_true(stats_done(b.stats));
    stats_report(b.stats, b.now);
}

/* The first round comes as soon as there is nobody to wait for. */
static void test_first_round(void **state)
{
    (void)state;
    b.o.stats.interval_ms = 5000;
    b.o.output.columns = "host,load1";
    open_stats();
    one(0, 10, 1);
    one(1, 10, 1);
    assert_int_equal(stats_tick(b.stats, 1500), 12000);
    end(2, PROBLEM_AUTH_DENIED);
    assert_int_equal(stats_tick(b.stats, 2000), 7000);
    has(&b.out, "web2   1.50\n");
    end(0, PROBLEM_NONE);
    end(1, PROBLEM_NONE);
    buf_reset(&b.out);
    stats_tick(b.stats, 7000);
    is(&b.out, ""); /* nobody is left */
    stats_report(b.stats, 8000);
}

static void test_reboot(void **state)
{
    (void)state;
    struct buf bytes;
    b.o.stats.interval_ms = 5000;
    b.o.output.columns = "host,cpu.percent";
    open_stats();
    for (uint32_t i = 0; i < HOSTS; i++)
        two(i, 10, 1);
    sample_bytes(&bytes, "{'seq':1,'mono_ns':1,'real_ns':1,'hz':100,'page':4096,'boot_id':'new',"
                         "'sections':{'cpu':{'status':'ok','data':{}}}}");
    assert_int_equal(stats_take(b.stats, 1, bytes.data, bytes.len, b.now, NULL), RC_OK);
    buf_fini(&bytes);
    stats_tick(b.stats, b.now);
    is(&b.out, "host  cpu.percent\nweb1        10.0%\nweb2\ndb1         10.0%\n");
    has(&b.info, "rebooted: web2\n");
}

static void test_liars(void **state)
{
    (void)state;
    struct err e = {0};
    b.o.output.columns = "host,cpu.percent";
    open_stats();
    two(0, 10, 1);
    assert_int_equal(sample(0, 12, 100, 1, &e), RC_PROTO); /* two were asked for */
    assert_non_null(strstr(e.msg, "more samples than it was asked for (2)"));
    one(1, 10, 1);
    assert_int_equal(sample(1, 10, 100, 1, &e), RC_PROTO);
    assert_non_null(strstr(e.msg, "clock stood still"));
    assert_int_equal(stats_take(b.stats, 2, "\x90", 1, b.now, &e), RC_PROTO);
    end(1, PROBLEM_HOSTILE);
    end(2, PROBLEM_HOSTILE);
    one(2, 10, 1); /* too late: nobody looks at it */
    stats_report(b.stats, b.now);
    is(&b.out, "host  cpu.percent\nweb1        10.0%\nweb2\n");
}

static void test_outliers(void **state)
{
    (void)state;
    enum { MANY = 12 };
    static struct inv_host many[MANY];
    static struct inv_host *refs[MANY];
    static char host_names[MANY][8];
    b.o.output.columns = "host,memory.percent";
    assert_int_equal(view_init(&b.view, &b.o, NULL), RC_OK);
    for (int i = 0; i < MANY; i++) {
        snprintf(host_names[i], sizeof host_names[i], "h%d", i);
        many[i] = (struct inv_host){.name = host_names[i]};
        refs[i] = &many[i];
    }
    struct stats_about about = {
        .view = &b.view, .inventory = b.inv, .hosts = refs, .count = MANY, .mode = OUTPUT_TABLE};
    assert_int_equal(stats_new(&b.stats, &about, NULL), RC_OK);
    assert_int_equal(stats_open(b.stats, &b.out_sink, &b.info_sink, 0, NULL), RC_OK);
    for (uint32_t i = 0; i < MANY; i++)
        one(i, 10, i == 3 ? 95 : 20 + (int)i % 3);
    stats_report(b.stats, 0);
    has(&b.info, "outliers in memory.percent: h3 95.0%\n12 of 12 hosts answered\n");
}

static void test_top(void **state)
{
    (void)state;
    b.o.stats.top = 2;
    b.o.output.columns = "host,process.pid,process.rss,process.cmdline";
    open_stats();
    one(0, 10, 1);
    stats_report(b.stats, b.now);
    is(&b.out, "host  process.pid  process.rss  process.cmdline\n"
               "web1          100      4.0 KiB  sleep 9\n"
               "web1            7      1.0 KiB  =cmd\n");
}

static void test_prometheus(void **state)
{
    (void)state;
    b.o.output.mode = OUTPUT_PROMETHEUS;
    open_stats();
    one(0, 10, 91);
    one(2, 10, 20);
    end(1, PROBLEM_CONNECT_TIMEOUT);
    stats_report(b.stats, b.now);
    has(&b.out, "# TYPE node_cpu_seconds_total counter\n"
                "node_cpu_seconds_total{host=\"web1\",cpu=\"0\",mode=\"user\"} 1\n"
                "node_cpu_seconds_total{host=\"web1\",cpu=\"0\",mode=\"system\"} 0\n"
                "node_cpu_seconds_total{host=\"web1\",cpu=\"0\",mode=\"idle\"} 9\n"
                "node_cpu_seconds_total{host=\"db1\",");
    has(&b.out, "node_load1{host=\"db1\"} 2.5\n");
    has(&b.out, "node_memory_MemTotal_bytes{host=\"web1\"} 1000\n");
    has(&b.out, "mountpoint=\"/srv \xef\xbf\xbd[31m\\\"q\\\"\"} 10240\n");
    has(&b.out, "node_filesystem_free_bytes{host=\"web1\",device=\"/dev/a\",fstype=\"ext4\","
                "mountpoint=\"/\"} 900\n");
    has(&b.out, "node_filesystem_readonly{host=\"web1\",device=\"/dev/b\"");
    has(&b.out, "node_network_up{host=\"web1\",device=\"eth0\"} 1\n");
    has(&b.out, "node_scrape_collector_success{host=\"web1\",collector=\"swap\"} 0\n");
    has(&b.out, "muster_host_up{host=\"web1\"} 1\nmuster_host_up{host=\"web2\"} 0\n");
    /* Each family once, and together. */
    char seen[200][96];
    size_t count = 0;
    for (const char *s = text_of(&b.out); *s != '\0'; s = strchr(s, '\n') + 1) {
        if (strncmp(s, "# TYPE ", 7) != 0)
            continue;
        snprintf(seen[count], sizeof seen[0], "%.*s", (int)strcspn(s + 7, " "), s + 7);
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(seen[i], seen[count]);
        assert_true(++count < 200);
    }
    assert_true(count > 20);
}

static size_t times(struct buf *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text_of(text); (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

/* What differs only where a label cannot say so is one line: two would spoil the whole file. */
static void test_prometheus_once(void **state)
{
    (void)state;
    struct buf bytes;
    b.o.output.mode = OUTPUT_PROMETHEUS;
    open_stats();
    sample_bytes(
        &bytes, "{'seq':1,'mono_ns':1,'real_ns':1,'hz':100,'page':4096,'sections':{'disk':"
                "{'status':'ok','data':{'mounts':{'cols':['device','mountpoint','fstype','total',"
                "'used','status','physical'],'rows':[['d','bin:/a\\u0001','ext4',100,50,'ok',true],"
                "['d','bin:/a\\u0002','ext4',200,50,'ok',true],"
                "['d','/a','ext4',300,50,'ok',true]]}}}}}");
    assert_int_equal(stats_take(b.stats, 0, bytes.data, bytes.len, b.now, NULL), RC_OK);
    buf_fini(&bytes);
    end(1, PROBLEM_CONNECT_TIMEOUT);
    end(2, PROBLEM_CONNECT_TIMEOUT);
    stats_report(b.stats, b.now);
    has(&b.out, "mountpoint=\"/a\xef\xbf\xbd\"} 100\n");
    assert_int_equal(times(&b.out, "node_filesystem_size_bytes{"), 2);
    assert_int_equal(times(&b.out, "node_filesystem_free_bytes{"), 2);
}

/* A host with as much as it may send: no more lines than it may have, and the rest is counted. */
static void test_prometheus_flood(void **state)
{
    (void)state;
    static char text[200 * 1024];
    struct buf bytes;
    size_t n =
        (size_t)snprintf(text, sizeof text,
                         "{'seq':1,'mono_ns':1,'real_ns':1,'hz':100,'page':4096,'sections':"
                         "{'net':{'status':'ok','data':{'nics':{'cols':['name','bytes_recv',"
                         "'bytes_sent','packets_recv','packets_sent','errin','errout',"
                         "'dropin','dropout','mtu','speed'],'rows':[['x',1,1,1,1,1,1,1,1,1,1]");
    for (int i = 0; i < 600; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, ",['bin:n%d \\u0001',1,1,1,1,1,1,1,1,1,1]",
                              i);
    snprintf(text + n, sizeof text - n, "]}}}}}");
    b.o.output.mode = OUTPUT_PROMETHEUS;
    open_stats();
    sample_bytes(&bytes, "%s", text);
    assert_int_equal(stats_take(b.stats, 0, bytes.data, bytes.len, b.now, NULL), RC_OK);
    buf_fini(&bytes);
    one(1, 10, 1);
    stats_report(b.stats, b.now);
    size_t lines = 0;
    for (const char *s = text_of(&b.out); (s = strstr(s, "{host=\"web1\"")) != NULL; s++)
        lines++;
    assert_int_equal(lines, 5000 + 2);
    has(&b.out, "node_load1{host=\"web2\"}");
    assert_null(strstr(text_of(&b.out), "muster_host_series_dropped{host=\"web1\"} 0\n"));
    has(&b.out, "muster_host_series_dropped{host=\"web2\"} 0\n");
}

/* A thousand samples leave no more behind than two. */
static void test_memory_is_flat(void **state)
{
    (void)state;
    b.o.stats.interval_ms = 1000;
    open_stats();
    buf_reserve(&b.out, 1 << 22);
    buf_reserve(&b.info, 1 << 22);
    two(0, 10, 1);
    size_t blocks = mem_live(), bytes = stats_memory(b.stats);
    for (int i = 0; i < 1000; i++) {
        b.now += 1000;
        one(0, 12 + i, 1);
        stats_tick(b.stats, b.now);
    }
    assert_int_equal(mem_live(), blocks);
    assert_int_equal(stats_memory(b.stats), bytes);
    assert_in_range(bytes, 1, HOSTS * 8 * 1024);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const enum output_mode modes[] = {OUTPUT_TABLE, OUTPUT_CSV, OUTPUT_JSON, OUTPUT_NDJSON,
                                             OUTPUT_PROMETHEUS};
    struct outcome o;
    struct buf bytes[4];
    outcome_init(&o);
    for (uint32_t i = 0; i < 4; i++)
        make_sample(&bytes[i], i % 2, 10 + i, 100, 1);
    for (int by = 0; by < 2; by++)
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
            for (long n = 0;; n++) {
                struct err e = {0};
                b.o.output.mode = modes[m];
                b.o.stats.by = by && modes[m] != OUTPUT_PROMETHEUS ? "owner" : NULL;
                close_stats();
                size_t before = mem_live();
                buf_reserve(&b.out, 1 << 20); /* the sinks' own memory does not count */
                buf_reserve(&b.info, 1 << 20);
                mem_fail_after(n);
                enum rc rc = try_open(&e);
                if (rc == RC_OK)
                    for (uint32_t i = 0; i < 4; i++)
                        (void)stats_take(b.stats, i % 2, bytes[i].data, bytes[i].len, b.now, NULL);
                if (rc == RC_OK)
                    stats_plain(b.stats, 1, true, PROBLEM_DISK_FULL, "full");
                if (rc == RC_OK)
                    stats_host_ended(b.stats, 2, &o);
                if (rc == RC_OK)
                    stats_report(b.stats, b.now);
                bool fired = mem_fail_fired();
                mem_fail_after(-1);
                close_stats();
                assert_in_range(mem_live(), before, before + 2);
                if (!fired)
                    break;
                assert_true(rc == RC_OK || rc == RC_NOMEM);
                assert_true(n < 2000);
            }
    for (int i = 0; i < 4; i++)
        buf_fini(&bytes[i]);
}

/* What is written is the shortest text that reads back, however it was found. */
static void check_number(double v)
{
    char got[GRID_NUMBER], want[GRID_NUMBER];
    value_float_text(want, v);
    size_t n = strlen(want);
    if (n > 2 && strcmp(want + n - 2, ".0") == 0)
        want[n - 2] = '\0';
    assert_string_equal(grid_number(got, v), v == 0 ? "0" : want);
    assert_true(strtod(got, NULL) == v);
}

static void test_numbers(void **state)
{
    static const double some[] = {0,
                                  -0.0,
                                  0.1,
                                  0.3,
                                  99.9,
                                  1e-4,
                                  0.99e-4,
                                  1e14,
                                  1e15,
                                  1e15 - 1,
                                  1.5e15,
                                  0.000123,
                                  1.0 / 3,
                                  2e15 / 3,
                                  5e-324,
                                  1e300,
                                  0.05,
                                  1e-9,
                                  4.35,
                                  1.005,
                                  999999.5,
                                  1e9 + .1,
                                  123456789.123456789};
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        check_number(some[i]);
        check_number(-some[i]);
    }
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        double scale = pow(10, (double)(seed % 14)), v;
        check_number((double)(seed >> (20 + seed % 40)) / scale);
        memcpy(&v, &seed, sizeof v);
        if (isfinite(v))
            check_number(v);
        check_number(nextafter((double)(seed >> 34) / scale, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test_setup_teardown(test_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terminal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filter_with_variables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_csv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ndjson, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_round, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reboot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_liars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outliers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_top, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prometheus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prometheus_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prometheus_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_is_flat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
