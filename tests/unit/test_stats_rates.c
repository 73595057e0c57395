/* What is worked out of two samples: psutil's numbers exactly, and node_exporter's rules for CPUs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "common/mem.h"
#include "controller/stats/rates.h"
#include "tests/unit/sample_fixture.h"

enum { ALL = (1u << KIND_COUNT) - 1 };

static struct sample a, b;
static size_t live;

static int setup(void **state)
{
    (void)state;
    live = mem_live();
    sample_init(&a);
    sample_init(&b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sample_fini(&a);
    sample_fini(&b);
    assert_int_equal(mem_live(), live);
    return 0;
}

static void decode(struct sample *s, double seconds, const char *boot, const char *sections)
{
    struct buf bytes;
    struct err e = {0};
    sample_bytes(&bytes,
                 "{'seq':1,'skipped':0,'mono_ns':%llu,'real_ns':1,'boot_id':'%s','hz':100,"
                 "'page':4096,'sections':%s}",
                 (unsigned long long)(seconds * 1e9), boot, sections);
    sample_fini(s);
    if (sample_decode(s, bytes.data, bytes.len, ALL, &e) != RC_OK)
        fail_msg("%s", e.msg);
    buf_fini(&bytes);
}

/* Both with what is inside one section; two seconds apart. */
static enum rates_state two(const char *section, const char *before, const char *now)
{
    static char text[64 * 1024];
    snprintf(text, sizeof text, "{'%s':{'status':'ok','data':%s}}", section, before);
    decode(&a, 10, "b", text);
    rates_work_out(NULL, &a);
    snprintf(text, sizeof text, "{'%s':{'status':'ok','data':%s}}", section, now);
    decode(&b, 12, "b", text);
    return rates_work_out(&a, &b);
}

static void is(enum figure f, uint32_t row, double want)
{
    double v = NAN;
    if (!sample_number(&b, f, row, &v))
        fail_msg("%s of row %u is not there", figure_defs[f].name, row);
    if (fabs(v - want) > 1e-9 * fmax(1, fabs(want)))
        fail_msg("%s of row %u is %.17g, not %.17g", figure_defs[f].name, row, v, want);
}

static void is_unknown(enum figure f, uint32_t row)
{
    if (sample_type(&b, f, row) != CELL_NONE)
        fail_msg("%s of row %u is there", figure_defs[f].name, row);
}

/* total 400: busy is all but idle and iowait; guest is part of user already. */
static void test_cpu(void **state)
{
    (void)state;
    two("cpu",
        "{'times':{'user':1000,'nice':10,'system':500,'idle':9000,'iowait':100,'irq':5,'softirq':7,"
        "'steal':3,'guest':50,'guest_nice':0},'ctx_switches':1000,'interrupts':50,'forks':7,"
        "'load1':3,'logical':4}",
        "{'times':{'user':1100,'nice':30,'system':550,'idle':9200,'iowait':111,'irq':10,'softirq':"
        "11,'steal':13,'guest':80,'guest_nice':0},'ctx_switches':1500,'interrupts':50,'forks':9,"
        "'load1':3,'logical':4}");
    assert_true(b.elapsed == 2);
    is(FIG_CPU_PERCENT, 0, 47.2); /* 189 of 400 */
    is(FIG_CPU_USER, 0, 25);
    is(FIG_CPU_NICE, 0, 5);
    is(FIG_CPU_SYSTEM, 0, 12.5);
    is(FIG_CPU_IDLE, 0, 50);
    is(FIG_CPU_IOWAIT, 0, 2.8); /* 2.75, and the tie goes to the even digit as in Python */
    is(FIG_CPU_IRQ, 0, 1.2);
    is(FIG_CPU_SOFTIRQ, 0, 1);
    is(FIG_CPU_STEAL, 0, 2.5);
    is(FIG_CPU_GUEST, 0, 7.5);
    is(FIG_CTX_RATE, 0, 250);
    is(FIG_INTR_RATE, 0, 0);
    is(FIG_FORK_RATE, 0, 1);
    is(FIG_LOAD1_CPU, 0, 0.75);
}

/* psutil's own case: steal falls, and counts as nothing (test_cpu_steal_decrease). */
static void test_steal_falls(void **state)
{
    (void)state;
    two("cpu",
        "{'times':{'user':0,'nice':0,'system':0,'idle':0,'iowait':0,'irq':0,'softirq':0,"
        "'steal':1}}",
        "{'times':{'user':1,'nice':0,'system':0,'idle':0,'iowait':0,'irq':0,'softirq':0,"
        "'steal':0}}");
    is(FIG_CPU_PERCENT, 0, 100);
    is(FIG_CPU_STEAL, 0, 0);
    is(FIG_CPU_USER, 0, 100);
    is_unknown(FIG_CPU_GUEST, 0);
}

static void test_no_time_passed(void **state)
{
    (void)state;
    two("cpu", "{'times':{'user':5,'system':5,'idle':5}}",
        "{'times':{'user':5,'system':5,'idle':5}}");
    is(FIG_CPU_PERCENT, 0, 0);
    is(FIG_CPU_IDLE, 0, 0);
    /* Numbers that no machine has: bounded all the same. */
    two("cpu", "{'times':{'user':0,'system':0,'idle':0,'guest':0}}",
        "{'times':{'user':1,'system':0,'idle':9223372036854775807,'guest':9223372036854775807}}");
    double v;
    assert_true(sample_number(&b, FIG_CPU_PERCENT, 0, &v) && v >= 0 && v <= 100);
}

#define CPU_COLS "'cols':['cpu','user','nice','system','idle','iowait']"

/* A field of a CPU never goes back; one whose idle time fell by 3 s is a new CPU. */
static void test_cpus(void **state)
{
    (void)state;
    two("cpu",
        "{'percpu':{" CPU_COLS ",'rows':[[0,100,0,100,1000,50],[1,100,0,100,1000,50],"
        "[2,100,0,100,1000,50]]}}",
        "{'percpu':{" CPU_COLS ",'rows':[[0,200,0,100,1100,40],[2,900,0,900,699,60],"
        "[3,1,1,1,1,1]]}}");
    is(FIG_PERCPU_PERCENT, 0, 50);
    is(FIG_PERCPU_IOWAIT, 0, 0);
    is(FIG_PERCPU_T_IOWAIT, 0, 0.5); /* held */
    is_unknown(FIG_PERCPU_PERCENT, 1);
    is(FIG_PERCPU_T_IDLE, 1, 6.99); /* begins again */
    is_unknown(FIG_PERCPU_PERCENT, 2);
    /* 2.99 s is the kernel's own jitter */
    two("cpu", "{'percpu':{" CPU_COLS ",'rows':[[0,100,0,100,1000,50]]}}",
        "{'percpu':{" CPU_COLS ",'rows':[[0,200,0,100,701,50]]}}");
    is(FIG_PERCPU_PERCENT, 0, 100);
    is(FIG_PERCPU_T_IDLE, 0, 10);
}

static void test_frequencies(void **state)
{
    (void)state;
    two("cpu", "{}",
        "{'percpu':{'cols':['cpu','user'],'rows':[[0,1],[2,1],[3,1]]},'freq':{'cols':['cpu',"
        "'current','min','max'],'rows':[[0,1000,800,2000],[3,1300.5,800,2000]]}}");
    is(FIG_PERCPU_FREQ, 0, 1000);
    is_unknown(FIG_PERCPU_FREQ, 1);
    is(FIG_PERCPU_FREQ, 2, 1300.5);
}

static void test_memory(void **state)
{
    (void)state;
    two("memory", "{}", "{'total':1000,'available':333,'used':667}");
    is(FIG_MEM_PERCENT, 0, 66.7);
    two("memory", "{}", "{'total':0,'available':0}");
    is(FIG_MEM_PERCENT, 0, 0);
    two("memory", "{}", "{'total':10,'available':20}"); /* LXC */
    is(FIG_MEM_PERCENT, 0, 0);
    two("swap", "{'total':100,'used':25,'sin':4096,'sout':0}",
        "{'total':100,'used':25,'sin':12288,'sout':0}");
    is(FIG_SWAP_PERCENT, 0, 25);
    is(FIG_SWAP_IN_RATE, 0, 4096);
    is(FIG_SWAP_OUT_RATE, 0, 0);
    two("cgroup", "{}", "{'memory_max':200,'memory_current':50}");
    is(FIG_CG_MEM_PERCENT, 0, 25);
    two("cgroup", "{}", "{'memory_max':null,'memory_current':50}");
    is_unknown(FIG_CG_MEM_PERCENT, 0);
}

static void test_mounts(void **state)
{
    (void)state;
    two("disk", "{}",
        "{'mounts':{'cols':['mountpoint','total','used','free','files','files_free'],'rows':"
        "[['/',1000,202,798,100,25],['/full',1000,950,0,0,0],['/"
        "dead',null,null,null,null,null]]}}");
    is(FIG_DISK_PERCENT, 0, 20.2);
    is(FIG_DISK_PERCENT, 1, 100); /* used of used + free, as df */
    is_unknown(FIG_DISK_PERCENT, 2);
    is(FIG_DISK_FILES_PERCENT, 0, 75);
    is_unknown(FIG_DISK_FILES_PERCENT, 1); /* btrfs has no inodes to run out of */
    is(FIG_MAX_DISK, 0, 100);
    assert_string_equal(sample_text(&b, FIG_MAX_DISK_MOUNT, 0), "/full");
    is(FIG_MAX_FILES, 0, 75);
}

#define IO_COLS                                                                                    \
    "'cols':['name','read_count','write_count','read_bytes','write_bytes','read_time',"            \
    "'write_time','busy_time','total','physical']"

static void test_disks(void **state)
{
    (void)state;
    two("diskio",
        "{'disks':{" IO_COLS ",'rows':[['sda',10,10,1000,1000,100,100,500,true,true],"
        "['dm-0',10,10,1000,1000,0,0,0,true,false],['sdb',9,9,9000,9,9,9,9,true,true]]}}",
        "{'disks':{" IO_COLS ",'rows':[['sdb',1,9,1000,9,9,9,9,true,true],"
        "['sda',14,12,5000,1000,112,106,1500,true,true],"
        "['dm-0',14,12,5000,1000,0,0,0,true,false],['new',1,1,1,1,1,1,1,true,true]]}}");
    is(FIG_IO_READ_RATE, 1, 2000);
    is(FIG_IO_WRITE_RATE, 1, 0);
    is(FIG_IO_READS, 1, 2);
    is(FIG_IO_BUSY, 1, 50);
    is(FIG_IO_AWAIT, 1, 3);          /* 18 ms for 6 requests */
    is(FIG_IO_READ_RATE, 0, 500);    /* it wrapped: counts from 0 */
    is_unknown(FIG_IO_READ_RATE, 3); /* not there before */
    is_unknown(FIG_IO_AWAIT, 3);
    is(FIG_SUM_READ, 0, 2500); /* without dm-0, which is sda again */
    is(FIG_MAX_BUSY, 0, 50);
    two("diskio", "{'disks':{" IO_COLS ",'rows':[['dm-0',1,1,0,0,0,0,0,true,false]]}}",
        "{'disks':{" IO_COLS ",'rows':[['dm-0',1,1,100,0,0,0,9000,true,false]]}}");
    is(FIG_SUM_READ, 0, 50); /* nothing physical: psutil's sum */
    is(FIG_IO_BUSY, 0, 100); /* 9 s in 2 s */
}

#define NET_COLS                                                                                   \
    "'cols':['name','bytes_sent','bytes_recv','packets_sent','packets_recv','errin','errout',"     \
    "'dropin','dropout','flags']"

static void test_nics(void **state)
{
    (void)state;
    two("net",
        "{'nics':{" NET_COLS ",'rows':[['lo',0,0,0,0,0,0,0,0,'up,loopback'],"
        "['eth0',1000,2000,10,20,0,1,5,0,'up']]}}",
        "{'nics':{" NET_COLS ",'rows':[['lo',9000,9000,9,9,0,0,0,0,'up,loopback'],"
        "['eth0',1500,4000,12,30,4,3,6,0,'up'],['eth1',7,7,7,7,7,7,7,7,'up']]}}");
    is(FIG_NET_RECV_RATE, 1, 1000);
    is(FIG_NET_SENT_RATE, 1, 250);
    is(FIG_NET_RECV_PACKETS, 1, 5);
    is(FIG_NET_SENT_PACKETS, 1, 1);
    is(FIG_NET_ERROR_RATE, 1, 3);
    is(FIG_NET_DROP_RATE, 1, 0.5);
    is(FIG_NET_RECV_RATE, 0, 4500);
    is_unknown(FIG_NET_RECV_RATE, 2);
    is(FIG_SUM_RECV, 0, 1000); /* no loopback */
    is(FIG_SUM_SENT, 0, 250);
    is(FIG_SUM_ERRORS, 0, 3.5);
}

/* Images that are always full, and memory, are not what the fullest disk is about. */
static void test_fullest(void **state)
{
    (void)state;
    two("disk", "{}",
        "{'mounts':{'cols':['mountpoint','opts','used','free','physical'],'rows':"
        "[['/','rw,relatime',60,40,true],['/snap/x','ro,nodev',100,0,true],"
        "['/run','rw',90,10,false],['/boot','rw,errors=remount-ro',50,50,true]]}}");
    is(FIG_MAX_DISK, 0, 60);
    two("disk", "{}",
        "{'mounts':{'cols':['mountpoint','opts','used','free','physical'],'rows':"
        "[['/','rw',60,40,false],['/snap/x','ro',100,0,true],['/run','rw',90,10,false]]}}");
    is(FIG_MAX_DISK, 0, 90); /* a container: none of its own */
}

/* A section's own time counts: here the second one began half a second late. */
static void test_section_time(void **state)
{
    (void)state;
    decode(&a, 10, "b",
           "{'swap':{'status':'ok','data':{'sin':0,'sout':0}},'cpu':{'status':'ok','data':"
           "{'forks':0}}}");
    decode(&b, 12, "b",
           "{'swap':{'status':'ok','at_us':500000,'data':{'sin':5000,'sout':0}},'cpu':{'status':"
           "'ok','data':{'forks':10}}}");
    assert_int_equal(rates_work_out(&a, &b), RATES_OK);
    is(FIG_SWAP_IN_RATE, 0, 2000);
    is(FIG_FORK_RATE, 0, 5);
    assert_true(b.elapsed == 2);
    a.sections[SECTION_SWAP].at_us = 3000000; /* before the one before: it lies */
    decode(&b, 12, "b", "{'swap':{'status':'ok','data':{'sin':5000,'sout':0}}}");
    assert_int_equal(rates_work_out(&a, &b), RATES_OK);
    is_unknown(FIG_SWAP_IN_RATE, 0);
}

/* The same pid is the same process only when it was started at the same tick. */
static void test_processes(void **state)
{
    (void)state;
    two("processes",
        "{'processes':{'cols':['pid','cpu_user','cpu_system','rss','read_bytes','start_ticks'],"
        "'rows':[[1,100,100,10,0,5],[7,50,0,10,0,9],[9,5,0,1,0,1]]}}",
        "{'processes':{'cols':['pid','cpu_user','cpu_system','rss','read_bytes','start_ticks'],"
        "'rows':[[7,90,0,10,0,10],[1,400,200,10,4096,5],[8,1,1,1,1,1]]}}");
    is(FIG_PROC_CPU, 1, 200); /* 400 ticks in 2 s: two CPUs */
    is(FIG_PROC_READ_RATE, 1, 2048);
    is_unknown(FIG_PROC_CPU, 0);
    is_unknown(FIG_PROC_CPU, 2);
    is_unknown(FIG_PROC_MEM_PERCENT, 0); /* no memory section */
}

/* One that leads now and did not before: the host has to say what it used since. */
static void test_processes_that_came_up(void **state)
{
    (void)state;
    two("processes",
        "{'processes':{'cols':['pid','cpu_user','cpu_system','start_ticks'],'rows':[[1,9,9,5]]}}",
        "{'recent_us':500000,'processes':{'cols':['pid','cpu_user','cpu_system','start_ticks',"
        "'cpu_recent','read_recent','write_recent'],'rows':[[7,900,0,9,40,4096,0],"
        "[8,900,0,9,3,null,null],[9,900,0,9,null,null,null],[1,13,9,5,1,null,null]]}}");
    is(FIG_PROC_CPU, 0, 80);
    is(FIG_PROC_READ_RATE, 0, 8192);
    is(FIG_PROC_WRITE_RATE, 0, 0);
    is(FIG_PROC_CPU, 1, 6);
    is_unknown(FIG_PROC_READ_RATE, 1);
    is_unknown(FIG_PROC_CPU, 2);
    is(FIG_PROC_CPU, 3, 2); /* of its own counters */
    two("processes", "{'total':1}",
        "{'recent_us':0,'processes':{'cols':['pid','cpu_recent','start_ticks'],'rows':[[7,40,1]]}"
        "}");
    is_unknown(FIG_PROC_CPU, 0);
}

static void test_reboot(void **state)
{
    (void)state;
    static const char s[] = "{'cpu':{'status':'ok','data':{'times':{'user':1,'system':1,'idle':1},"
                            "'forks':5,'load1':1,'logical':1}},'users':{'status':'ok','data':"
                            "{'users':{'cols':['name'],'rows':[['me'],['me']]}}},"
                            "'sensors':{'status':'ok','data':{'temperatures':{'cols':['current'],"
                            "'rows':[[40],[61.5],[null]]}}}}";
    decode(&a, 100, "one", s);
    assert_int_equal(rates_work_out(NULL, &a), RATES_FIRST);
    decode(&b, 101, "two", s);
    assert_int_equal(rates_work_out(&a, &b), RATES_REBOOT);
    assert_true(b.rebooted && b.elapsed == 0);
    is_unknown(FIG_CPU_PERCENT, 0);
    is(FIG_LOAD1_CPU, 0, 1);
    is(FIG_USERS_COUNT, 0, 2);
    is(FIG_MAX_TEMP, 0, 61.5);
    decode(&b, 100, "one", s);
    assert_int_equal(rates_work_out(&a, &b), RATES_CLOCK);
    is_unknown(FIG_FORK_RATE, 0);
    decode(&b, 100.5, "one", s);
    assert_int_equal(rates_work_out(&a, &b), RATES_OK);
    is(FIG_FORK_RATE, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cpu, setup, teardown),
        cmocka_unit_test_setup_teardown(test_steal_falls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_time_passed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frequencies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fullest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_section_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processes_that_came_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reboot, setup, teardown),
    };
    return cmocka_run_group_tests_name("stats_rates", tests, NULL, NULL);
}
