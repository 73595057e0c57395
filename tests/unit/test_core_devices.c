/* agent/core: disks, interfaces, connections, sensors and users, on trees as psutil's own tests
 * make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/unit/core_fixture.h"

/* ---- disk ---- */

static void mounts_are_those_that_hold_files(void **state)
{
    struct fx *f = *state;
    f->fs = (struct statvfs){.f_frsize = 1024,
                             .f_bsize = 4096,
                             .f_blocks = 100,
                             .f_bfree = 40,
                             .f_bavail = 30,
                             .f_files = 50,
                             .f_ffree = 20};
    fx_add(f, "proc/filesystems", "nodev\tsysfs\nnodev\ttmpfs\n\text4\n\tsquashfs\nnodev\tzfs\n");
    fx_add(f, "proc/self/mounts",
           "proc /proc proc rw 0 0\n"
           "/dev/sda1 / ext4 rw,relatime 0 0\n"
           "tmpfs /run tmpfs rw 0 0\n"
           "nas:/home /mnt/a\\040b\\134c nfs rw 0 0\n"
           "none /none ext4 rw 0 0\n"
           "tank/x /tank zfs rw 0 0\n"
           "/dev/sdb /bad ext4 rw 0 0\n"
           "short line\n");
    fx_sample(f, "disk");
    fx_status(f, "disk", "ok");
    static const char t[] = "disk/data/mounts";
    assert_int_equal(fx_rows(f, t), 6);
    fx_cell_text(f, t, 0, "device", "/dev/sda1");
    fx_cell_text(f, t, 0, "opts", "rw,relatime");
    fx_cell_is(f, t, 0, "total", 100 * 1024); /* f_frsize, not f_bsize */
    fx_cell_is(f, t, 0, "used", 60 * 1024);
    fx_cell_is(f, t, 0, "free", 30 * 1024); /* what is left for others than root */
    fx_cell_is(f, t, 0, "files", 50);
    fx_cell_is(f, t, 0, "files_free", 20);
    fx_cell_is(f, t, 0, "physical", true);
    fx_cell_is(f, t, 1, "physical", false); /* tmpfs */
    fx_cell_text(f, t, 2, "mountpoint", "/mnt/a b\\c");
    fx_cell_is(f, t, 2, "physical", false);
    fx_cell_text(f, t, 3, "device", ""); /* none is no device */
    fx_cell_is(f, t, 3, "physical", false);
    fx_cell_is(f, t, 4, "physical", true); /* zfs, though it needs no device */
    fx_cell_text(f, t, 5, "status", "error");
    fx_cell_nil(f, t, 5, "total");
    f->request.detail = true;
    fx_sample(f, "disk");
    assert_int_equal(fx_rows(f, t), 7);
    fx_cell_text(f, t, 0, "fstype", "proc");
    fx_cell_nil(f, t, 0, "total");
}

/* psutil: RootFsDeviceFinder. */
static void the_device_of_the_root_is_found(void **state)
{
    struct fx *f = *state;
    struct stat st;
    char partitions[128], uevent[64];
    must(stat("/", &st) == 0);
    snprintf(partitions, sizeof partitions, "major minor  #blocks  name\n\n %u %u 10 xyz\n",
             major(st.st_dev), minor(st.st_dev));
    snprintf(uevent, sizeof uevent, "sys/dev/block/%u:%u/uevent", major(st.st_dev),
             minor(st.st_dev));
    fx_add(f, "proc/self/mounts", "/dev/root / ext4 rw 0 0\nrootfs / rootfs rw 0 0\n");
    fx_add(f, uevent, "MAJOR=8\nDEVNAME=abc\n");
    fx_sample(f, "disk");
    fx_cell_text(f, "disk/data/mounts", 0, "device", "/dev/root"); /* no such node */
    fx_add(f, "dev/abc", "");
    fx_sample(f, "disk");
    fx_cell_text(f, "disk/data/mounts", 0, "device", "/dev/abc");
    fx_cell_text(f, "disk/data/mounts", 1, "device", "/dev/abc");
    fx_add(f, "proc/partitions", partitions);
    fx_add(f, "dev/xyz", "");
    fx_sample(f, "disk");
    fx_cell_text(f, "disk/data/mounts", 0, "device", "/dev/xyz");
}

static void too_many_mounts_are_counted(void **state)
{
    struct fx *f = *state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 700; i++)
        must(buf_printf(&b, "/dev/x%d /m%d ext4 rw 0 0\n", i, i) == RC_OK);
    fx_add(f, "proc/self/mounts", buf_cstr(&b));
    fx_sample(f, "disk");
    assert_int_equal(fx_rows(f, "disk/data/mounts"), 512);
    fx_is(f, "disk/data/mounts/more", 188);
    buf_fini(&b);
}

/* ---- diskio: psutil's test_emulate_kernel_2_4 and its sisters ---- */

static void disk_line(struct fx *f, const char *line)
{
    fx_add(f, "proc/diskstats", line);
    fx_add(f, "sys/block/hda/stat", "");
    fx_sample(f, "diskio");
}

static void diskstats_of_linux_2_4(void **state)
{
    struct fx *f = *state;
    static const char t[] = "diskio/data/disks";
    disk_line(f, "   3     0   1 hda 2 3 4 5 6 7 8 9 10 11 12");
    fx_status(f, "diskio", "ok");
    fx_cell_text(f, t, 0, "name", "hda");
    fx_cell_is(f, t, 0, "read_count", 1);
    fx_cell_is(f, t, 0, "read_merged_count", 2);
    fx_cell_is(f, t, 0, "read_bytes", 3 * 512);
    fx_cell_is(f, t, 0, "read_time", 4);
    fx_cell_is(f, t, 0, "write_count", 5);
    fx_cell_is(f, t, 0, "write_merged_count", 6);
    fx_cell_is(f, t, 0, "write_bytes", 7 * 512);
    fx_cell_is(f, t, 0, "write_time", 8);
    fx_cell_is(f, t, 0, "busy_time", 10);
    fx_cell_is(f, t, 0, "total", true);
}

static void diskstats_of_linux_2_6(void **state)
{
    struct fx *f = *state;
    static const char t[] = "diskio/data/disks";
    disk_line(f, "   3    0   hda 1 2 3 4 5 6 7 8 9 10 11");
    fx_cell_is(f, t, 0, "read_count", 1);
    fx_cell_is(f, t, 0, "read_merged_count", 2);
    fx_cell_is(f, t, 0, "read_bytes", 3 * 512);
    fx_cell_is(f, t, 0, "read_time", 4);
    fx_cell_is(f, t, 0, "write_count", 5);
    fx_cell_is(f, t, 0, "write_merged_count", 6);
    fx_cell_is(f, t, 0, "write_bytes", 7 * 512);
    fx_cell_is(f, t, 0, "write_time", 8);
    fx_cell_is(f, t, 0, "in_flight", 9);
    fx_cell_is(f, t, 0, "busy_time", 10);
    fx_cell_is(f, t, 0, "weighted_time", 11);
    disk_line(f, "   3    1   hda 1 2 3 4"); /* a partition of then */
    fx_cell_is(f, t, 0, "read_count", 1);
    fx_cell_is(f, t, 0, "read_bytes", 2 * 512);
    fx_cell_is(f, t, 0, "write_count", 3);
    fx_cell_is(f, t, 0, "write_bytes", 4 * 512);
    fx_cell_is(f, t, 0, "read_merged_count", 0);
    fx_cell_is(f, t, 0, "busy_time", 0);
    fx_cell_nil(f, t, 0, "in_flight");
    disk_line(f, "3 0 hda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"); /* since 5.5 */
    fx_cell_is(f, t, 0, "busy_time", 10);
}

/* psutil: test_emulate_include_partitions, test_emulate_exclude_partitions. */
static void partitions_are_listed_and_not_summed(void **state)
{
    struct fx *f = *state;
    static const char t[] = "diskio/data/disks";
    fx_add(f, "proc/diskstats",
           "3 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11\n"
           "3 1 nvme0n1p1 1 2 3 4 5 6 7 8 9 10 11\n"
           "3 2 cciss/c0d0 1 2 3 4 5 6 7 8 9 10 11\n"
           "3 3 dm-0 1 2 3 4 5 6 7 8 9 10 11\n"
           "3 4 odd 1 2 3\n");
    fx_add(f, "sys/block/nvme0n1/stat", "");
    fx_add(f, "sys/block/nvme0n1/device/model", "");
    fx_add(f, "sys/block/cciss!c0d0/stat", "");
    fx_add(f, "sys/block/dm-0/stat", "");
    fx_sample(f, "diskio");
    fx_status(f, "diskio", "error"); /* the line that nobody knows; the others are there */
    assert_int_equal(fx_rows(f, t), 4);
    fx_cell_is(f, t, 0, "total", true);
    fx_cell_is(f, t, 0, "physical", true);
    fx_cell_is(f, t, 1, "total", false);
    fx_cell_is(f, t, 2, "total", true);
    fx_cell_is(f, t, 3, "total", true);
    fx_cell_is(f, t, 3, "physical", false);
}

/* psutil: test_emulate_use_sysfs. */
static void disks_without_diskstats(void **state)
{
    struct fx *f = *state;
    static const char t[] = "diskio/data/disks";
    fx_add(f, "sys/block/sda/stat", "  1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n");
    fx_add(f, "sys/block/sda/sda1/stat", "1 2 3 4 5 6 7 8 9 10\n");
    fx_add(f, "sys/block/sdb/stat", "1 2 x\n");
    fx_sample(f, "diskio");
    fx_status(f, "diskio", "ok");
    assert_int_equal(fx_rows(f, t), 2);
    fx_cell_text(f, t, 0, "name", "sda");
    fx_cell_is(f, t, 0, "write_bytes", 7 * 512);
    fx_cell_is(f, t, 0, "weighted_time", 11);
    fx_cell_text(f, t, 1, "name", "sda1");
    fx_cell_is(f, t, 1, "busy_time", 10);
    fx_cell_is(f, t, 1, "total", false);
}

/* ---- net ---- */

static void interfaces(void **state)
{
    struct fx *f = *state;
    static const char t[] = "net/data/nics";
    fx_add(f, "proc/net/dev",
           "Inter-|   Receive                  |  Transmit\n"
           " face |bytes packets errs drop fifo frame compressed multicast|bytes ...\n"
           "    lo:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
           "eth0:1: 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36\n"
           "  gone: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n");
    fx_add(f, "sys/class/net/lo/flags", "0x9\n");
    fx_add(f, "sys/class/net/lo/mtu", "65536\n");
    fx_add(f, "sys/class/net/lo/operstate", "unknown\n");
    fx_add(f, "sys/class/net/eth0:1/flags", "0x1003\n");
    fx_add(f, "sys/class/net/eth0:1/mtu", "1500\n");
    fx_add(f, "sys/class/net/eth0:1/operstate", "down\n");
    fx_add(f, "sys/class/net/eth0:1/duplex", "full\n");
    fx_add(f, "sys/class/net/eth0:1/speed", "10000\n");
    fx_sample(f, "net");
    fx_status(f, "net", "ok");
    assert_int_equal(fx_rows(f, t), 3);
    static const struct {
        const char *col;
        int v;
    } order[] = {{"bytes_recv", 1}, {"packets_recv", 2},  {"errin", 3},   {"dropin", 4},
                 {"bytes_sent", 9}, {"packets_sent", 10}, {"errout", 11}, {"dropout", 12}};
    for (size_t i = 0; i < 8; i++) {
        fx_cell_is(f, t, 0, order[i].col, order[i].v);
        fx_cell_is(f, t, 1, order[i].col, order[i].v + 20);
    }
    fx_cell_is(f, t, 0, "isup", true);
    fx_cell_text(f, t, 0, "flags", "up,loopback,running");
    fx_cell_is(f, t, 0, "speed", 0);
    fx_cell_text(f, t, 1, "name", "eth0:1");
    fx_cell_is(f, t, 1, "isup", false);
    fx_cell_text(f, t, 1, "flags", "up,broadcast,multicast");
    fx_cell_is(f, t, 1, "duplex", 2);
    fx_cell_is(f, t, 1, "speed", 10000);
    fx_cell_nil(f, t, 2, "mtu");
    fx_add(f, "proc/net/dev", "h\nh\nlo: 1 2 3\neth1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
    fx_sample(f, "net");
    fx_status(f, "net", "error");
    assert_int_equal(fx_rows(f, t), 1);
}

/* ---- connections ---- */

#define TCP_LINE(n, local, remote, state, inode)                                                   \
    "   " n ": " local " " remote " " state " 00000000:00000000 00:00000000 00000000  0  0 " inode \
    " 1 0000000000000000 100 0 0 10 0\n"
static const char header[] = "  sl  local_address rem_address   st\n";

static void sockets_of_inet(void **state)
{
    struct fx *f = *state;
    char tcp[2048];
    snprintf(tcp, sizeof tcp, "%s%s%s%s%s%s", header,
             TCP_LINE("0", "0100007F:0016", "00000000:0000", "0A", "11"),
             TCP_LINE("1", "0200000A:D431", "0100000A:01BB", "01", "12"),
             TCP_LINE("2", "0100007F:0017", "0100007F:0018", "0C", "13"), /* NEW_SYN_RECV */
             TCP_LINE("3", "0100007F:0019", "0100007F:ZZZZ", "01", "14"), "cut off\n");
    fx_add(f, "proc/net/tcp", tcp);
    fx_add(f, "proc/net/tcp6",
           "h\n" TCP_LINE("0", "0000000000000000FFFF00000100007F:0050",
                          "B80D0120000000000000000001000000:0051", "06", "15"));
    fx_add(f, "proc/net/udp", "h\n" TCP_LINE("0", "00000000:0044", "00000000:0000", "07", "16"));
    fx_sample(f, "connections"); /* no udp6: a kernel without IPv6 */
    fx_status(f, "connections", "ok");
    static const char t[] = "connections/data/connections";
    assert_int_equal(fx_rows(f, t), 5);
    fx_cell_text(f, t, 0, "laddr", "127.0.0.1");
    fx_cell_is(f, t, 0, "lport", 22);
    fx_cell_nil(f, t, 0, "raddr"); /* port 0 */
    fx_cell_nil(f, t, 0, "rport");
    fx_cell_text(f, t, 0, "status", "LISTEN");
    fx_cell_is(f, t, 0, "fd", -1);
    fx_cell_nil(f, t, 0, "pid");
    fx_cell_text(f, t, 1, "laddr", "10.0.0.2");
    fx_cell_is(f, t, 1, "lport", 54321);
    fx_cell_text(f, t, 1, "raddr", "10.0.0.1");
    fx_cell_is(f, t, 1, "rport", 443);
    fx_cell_text(f, t, 2, "status", "NONE"); /* not one of psutil's */
    fx_cell_text(f, t, 3, "laddr", "::ffff:127.0.0.1");
    fx_cell_text(f, t, 3, "raddr", "2001:db8::1");
    fx_cell_is(f, t, 3, "family", 10);
    fx_cell_is(f, t, 4, "type", 2);
    fx_cell_text(f, t, 4, "status", "NONE");
    fx_is(f, "connections/data/count", 5);
    fx_is(f, "connections/data/by_status/LISTEN", 1);
    fx_is(f, "connections/data/by_status/TIME_WAIT", 1);
    fx_is(f, "connections/data/by_status/NONE", 2);
    fx_is(f, "connections/data/truncated", false);
}

/* psutil: test_emulate_unix; and whose they are. */
static void sockets_of_unix_and_their_owners(void **state)
{
    struct fx *f = *state;
    f->request.detail = true;
    char tcp[512];
    snprintf(tcp, sizeof tcp, "%s%s", header,
             TCP_LINE("0", "0100007F:0016", "00000000:0000", "0A", "11"));
    fx_add(f, "proc/net/tcp", tcp);
    fx_add(f, "proc/net/udp", "h\n");
    fx_add(f, "proc/net/unix",
           "Num RefCount Protocol Flags Type St Inode Path\n"
           "0: 00000003 000 000 0001 03 462170 /var/run/x y.sock\n"
           "0: 00000003 000 000 0001 03 462171\n"
           "000000000000000000000000000000000000000000000000000000\n"
           "0: 00000002 000 000 0005 01 462172 @abstract\n");
    fx_link(f, "proc/7/fd/3", "socket:[11]");
    fx_link(f, "proc/7/fd/4", "socket:[11]");
    fx_link(f, "proc/7/fd/5", "/etc/passwd");
    fx_link(f, "proc/7/fd/6", "socket:[x]");
    fx_link(f, "proc/9/fd/8", "socket:[462170]");
    fx_fails(f, "proc/9/fd/9", ENOENT);
    fx_sample(f, "connections");
    static const char t[] = "connections/data/connections";
    assert_int_equal(fx_rows(f, t), 4);
    fx_cell_is(f, t, 0, "pid", 7);
    fx_cell_is(f, t, 0, "fd", 3);
    fx_cell_is(f, t, 1, "family", 1);
    fx_cell_text(f, t, 1, "laddr", "/var/run/x y.sock");
    fx_cell_text(f, t, 1, "raddr", "");
    fx_cell_is(f, t, 1, "pid", 9);
    fx_cell_text(f, t, 2, "laddr", "");
    fx_cell_nil(f, t, 2, "pid");
    fx_cell_text(f, t, 3, "laddr", "@abstract");
    fx_cell_is(f, t, 3, "type", 5);
    fx_is(f, "connections/data/count", 1);
}

static void many_sockets_are_counted(void **state)
{
    struct fx *f = *state;
    struct buf b;
    buf_init(&b, 4 << 20);
    must(buf_puts(&b, header) == RC_OK);
    for (int i = 0; i < 5000; i++)
        must(buf_printf(&b, TCP_LINE("%d", "0100007F:%04X", "0100007F:0016", "01", "%d"), i, i + 1,
                        i + 100) == RC_OK);
    must(buf_puts(&b, TCP_LINE("9", "0100007F:0016", "00000000:0000", "0A", "1")) == RC_OK);
    fx_add(f, "proc/net/tcp", buf_cstr(&b));
    fx_add(f, "proc/net/udp", "h\n" TCP_LINE("0", "00000000:0044", "00000000:0000", "07", "2"));
    fx_sample(f, "connections");
    assert_int_equal(fx_rows(f, "connections/data/connections"), 512);
    fx_is(f, "connections/data/connections/more", 5002 - 512);
    /* What listens, and UDP, is there in spite of that. */
    fx_cell_text(f, "connections/data/connections", 511, "status", "LISTEN");
    fx_cell_is(f, "connections/data/connections", 510, "lport", 0x44);
    fx_is(f, "connections/data/by_status/ESTABLISHED", 5000);
    fx_is(f, "connections/data/truncated", true);
    buf_fini(&b);
}

/* ---- sensors ---- */

/* psutil: test_emulate_class_hwmon, and what an old kernel has in device/. */
static void temperatures_of_hwmon(void **state)
{
    struct fx *f = *state;
    static const char t[] = "sensors/data/temperatures";
    fx_add(f, "sys/class/hwmon/hwmon0/name", "name\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp1_input", "30000\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp1_max", "40000\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp1_crit", "50000\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp1_label", "label\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp2_input", "31500\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp2_crit", "99000\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp3_label", "has no input\n");
    fx_fails(f, "sys/class/hwmon/hwmon0/temp4_input", EIO);
    fx_add(f, "sys/class/hwmon/hwmon1/device/name", "old\n");
    fx_add(f, "sys/class/hwmon/hwmon1/device/temp1_input", "-5000\n");
    fx_add(f, "sys/class/hwmon/hwmon1/device/temp1_max", "?\n");
    fx_add(f, "sys/class/hwmon/hwmon2/temp1_input", "1000\n"); /* no name */
    fx_add(f, "sys/class/thermal/thermal_zone0/temp", "1\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/type", "not asked\n");
    fx_sample(f, "sensors");
    fx_status(f, "sensors", "ok");
    assert_int_equal(fx_rows(f, t), 3);
    fx_cell_text(f, t, 0, "chip", "name");
    fx_cell_text(f, t, 0, "label", "label");
    fx_cell_is(f, t, 0, "current", 30);
    fx_cell_is(f, t, 0, "high", 40);
    fx_cell_is(f, t, 0, "critical", 50);
    fx_cell_is(f, t, 1, "current", 31.5);
    fx_cell_is(f, t, 1, "high", 99); /* one given is both */
    fx_cell_text(f, t, 1, "label", "");
    fx_cell_text(f, t, 2, "chip", "old");
    fx_cell_is(f, t, 2, "current", -5);
    fx_cell_nil(f, t, 2, "high");
    fx_cell_nil(f, t, 2, "critical");
}

/* psutil decides by truth, so 0 is as good as none, but stays where there is no other. */
static void a_bound_of_zero_is_none(void **state)
{
    struct fx *f = *state;
    static const char t[] = "sensors/data/temperatures";
    static const struct {
        const char *max, *crit;
        double high, critical;
    } rows[] = {{"0\n", "95000\n", 95, 95}, {"80000\n", "0\n", 80, 80}, {"0\n", "0\n", 0, 0}};
    char path[6][64];
    fx_add(f, "sys/class/hwmon/hwmon0/name", "name\n");
    for (unsigned i = 0; i < 3; i++) {
        char input[64];
        snprintf(input, sizeof input, "sys/class/hwmon/hwmon0/temp%u_input", i + 1);
        snprintf(path[2 * i], 64, "sys/class/hwmon/hwmon0/temp%u_max", i + 1);
        snprintf(path[2 * i + 1], 64, "sys/class/hwmon/hwmon0/temp%u_crit", i + 1);
        fx_add(f, input, "30000\n");
        fx_add(f, path[2 * i], rows[i].max);
        fx_add(f, path[2 * i + 1], rows[i].crit);
    }
    fx_add(f, "sys/class/hwmon/hwmon0/temp4_input", "30000\n");
    fx_add(f, "sys/class/hwmon/hwmon0/temp4_max", "0\n");
    fx_sample(f, "sensors");
    assert_int_equal(fx_rows(f, t), 4);
    for (unsigned i = 0; i < 3; i++) {
        fx_cell_is(f, t, i, "high", rows[i].high);
        fx_cell_is(f, t, i, "critical", rows[i].critical);
    }
    fx_cell_is(f, t, 3, "high", 0);
    fx_cell_nil(f, t, 3, "critical");
}

/* psutil: test_emulate_class_thermal. */
static void temperatures_of_zones(void **state)
{
    struct fx *f = *state;
    static const char t[] = "sensors/data/temperatures";
    fx_add(f, "sys/class/thermal/thermal_zone0/temp", "30000\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/type", "name\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/trip_point_0_temp", "50000\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/trip_point_1_type", "high\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/trip_point_1_temp", "40000\n");
    fx_add(f, "sys/class/thermal/thermal_zone0/trip_point_2_type", "passive\n");
    fx_add(f, "sys/class/thermal/thermal_zone1/temp", "x\n");
    fx_sample(f, "sensors");
    assert_int_equal(fx_rows(f, t), 1);
    fx_cell_text(f, t, 0, "chip", "name");
    fx_cell_is(f, t, 0, "current", 30);
    fx_cell_is(f, t, 0, "high", 40);
    fx_cell_is(f, t, 0, "critical", 50);
    /* Coretemp below the platform's devices counts where the class does not have it. */
    fx_add(f, "sys/devices/platform/coretemp.0/hwmon/hwmon5/name", "coretemp\n");
    fx_add(f, "sys/devices/platform/coretemp.0/hwmon/hwmon5/temp1_input", "45000\n");
    fx_sample(f, "sensors");
    assert_int_equal(fx_rows(f, t), 1);
    fx_cell_text(f, t, 0, "chip", "coretemp");
}

/* psutil: test_emulate_data. */
static void fans(void **state)
{
    struct fx *f = *state;
    static const char t[] = "sensors/data/fans";
    fx_add(f, "sys/class/hwmon/hwmon2/name", "name\n");
    fx_add(f, "sys/class/hwmon/hwmon2/fan1_input", "2000\n");
    fx_add(f, "sys/class/hwmon/hwmon2/fan1_label", "label\n");
    fx_add(f, "sys/class/hwmon/hwmon2/fan2_input", "x\n");
    fx_sample(f, "sensors");
    assert_int_equal(fx_rows(f, t), 1);
    fx_cell_text(f, t, 0, "chip", "name");
    fx_cell_text(f, t, 0, "label", "label");
    fx_cell_is(f, t, 0, "current", 2000);
}

/* psutil: TestSensorsBattery. */
static void battery(void **state)
{
    struct fx *f = *state;
    fx_sample(f, "sensors");
    assert_int_equal(fx_at(f, "sensors/data/battery")->type, MSGPACK_OBJECT_NIL);
    fx_add(f, "sys/class/power_supply/BAT0/energy_now", "60000000\n");
    fx_add(f, "sys/class/power_supply/BAT0/power_now", "30000000\n");
    fx_add(f, "sys/class/power_supply/BAT0/energy_full", "80000000\n");
    fx_add(f, "sys/class/power_supply/BAT0/status", "Discharging\n");
    fx_add(f, "sys/class/power_supply/BAT1/capacity", "1\n"); /* the first counts */
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/percent", 75);
    fx_is(f, "sensors/data/battery/secsleft", 7200);
    fx_is(f, "sensors/data/battery/plugged", false);
    fx_add(f, "sys/class/power_supply/BAT0/power_now", "-30000000\n"); /* abs since 7.1 */
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/secsleft", 7200);
    fx_add(f, "sys/class/power_supply/BAT0/power_now", "0\n");
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/secsleft", -1);
    fx_add(f, "sys/class/power_supply/AC0/online", "1\n");
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/secsleft", -2);
    fx_is(f, "sensors/data/battery/plugged", true);
    fx_add(f, "sys/class/power_supply/AC0/online", "0\n");
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/plugged", false);
    fx_remove(f, "sys/class/power_supply/AC0/online");
    fx_add(f, "sys/class/power_supply/BAT0/status", "charging\n");
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/plugged", true);
    fx_add(f, "sys/class/power_supply/BAT0/status", "???\n");
    fx_sample(f, "sensors");
    assert_int_equal(fx_at(f, "sensors/data/battery/plugged")->type, MSGPACK_OBJECT_NIL);
    fx_add(f, "sys/class/power_supply/BAT0/energy_full", "0\n");
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/percent", 0);
    fx_remove(f, "sys/class/power_supply/BAT0/energy_full");
    fx_remove(f, "sys/class/power_supply/BAT0/energy_now");
    fx_add(f, "sys/class/power_supply/BAT0/capacity", "88\n");
    fx_add(f, "sys/class/power_supply/BAT0/time_to_empty_now", "10\n");
    fx_sample(f, "sensors");
    fx_is(f, "sensors/data/battery/percent", 88);
    fx_is(f, "sensors/data/battery/secsleft", 600);
    fx_add(f, "sys/class/power_supply/BAT0/capacity", "-1\n");
    fx_sample(f, "sensors");
    assert_int_equal(fx_at(f, "sensors/data/battery")->type, MSGPACK_OBJECT_NIL);
}

/* ---- users ---- */

static void put_record(char *r, size_t seconds_at, size_t seconds_size, int16_t type, int32_t pid,
                       const char *line, const char *user, const char *host, int64_t seconds)
{
    memcpy(r, &type, sizeof type);
    memcpy(r + 4, &pid, sizeof pid);
    memcpy(r + 8, line, strnlen(line, 32));
    memcpy(r + 44, user, strnlen(user, 32));
    memcpy(r + 76, host, strnlen(host, 256));
    memcpy(r + seconds_at, &seconds, seconds_size);
}

static void users_of_utmp(void **state)
{
    struct fx *f = *state;
    static const char t[] = "users/data/users";
    static const char full[] = "0123456789abcdef0123456789abcdefNOT THIS";
    char file[4 * 384] = {0};
    put_record(file, 340, 4, 2, 0, "~", "reboot", "6.1", 1);
    put_record(file + 384, 340, 4, 7, 1234, "pts/0", "alice", "10.0.0.9", 1700000000);
    put_record(file + 768, 340, 4, 7, 1235, full, full, ":0", 1700000001);
    put_record(file + 1152, 340, 4, 8, 1236, "pts/1", "dead", "", 3);
    fx_bytes(f, "run/utmp", file, sizeof file - 100); /* and a record that is not whole */
    fx_sample(f, "users");
    assert_int_equal(fx_rows(f, t), 2);
    fx_bytes(f, "run/utmp", file, sizeof file);
    fx_sample(f, "users");
    fx_status(f, "users", "ok");
    assert_true(fx_is_text(fx_at(f, "users/data/source"), "utmp"));
    assert_int_equal(fx_rows(f, t), 2);
    fx_cell_text(f, t, 0, "name", "alice");
    fx_cell_text(f, t, 0, "terminal", "pts/0");
    fx_cell_text(f, t, 0, "host", "10.0.0.9");
    fx_cell_is(f, t, 0, "started", 1700000000);
    fx_cell_is(f, t, 0, "pid", 1234);
    fx_cell_text(f, t, 1, "name", "0123456789abcdef0123456789abcdef"); /* has no end */
    fx_cell_text(f, t, 1, "terminal", "0123456789abcdef0123456789abcdef");
    fx_cell_text(f, t, 1, "host", "localhost");
}

static void users_of_larger_records(void **state)
{
    struct fx *f = *state;
    static const char t[] = "users/data/users";
    char file[400] = {0};
    put_record(file, 344, 8, 7, 55, "tty1", "bob", "", 5000000000); /* past 2106 */
    fx_bytes(f, "var/run/utmp", file, sizeof file);
    fx_sample(f, "users");
    assert_int_equal(fx_rows(f, t), 1);
    fx_cell_text(f, t, 0, "name", "bob");
    fx_cell_text(f, t, 0, "host", "localhost");
    fx_cell_is(f, t, 0, "started", 5000000000.0);
}

static void users_of_logind(void **state)
{
    struct fx *f = *state;
    static const char t[] = "users/data/users";
    fx_add(f, "run/systemd/sessions/3",
           "# This is private data. Do not parse.\nUID=1000\nUSER=alice\nACTIVE=1\nSTATE=active\n"
           "REMOTE=1\nTYPE=tty\nCLASS=user\nREMOTE_HOST=10.1.1.1\nTTY=pts/3\nLEADER=321\n"
           "REALTIME=1700000000123456\n");
    fx_add(f, "run/systemd/sessions/4", "USER=gdm\nCLASS=greeter\n");
    fx_add(f, "run/systemd/sessions/5", "USER=carol\nSTATE=closing\nCLASS=user\n");
    fx_add(f, "run/systemd/sessions/3.ref", "USER=no\n");
    fx_sample(f, "users");
    fx_status(f, "users", "ok");
    assert_true(fx_is_text(fx_at(f, "users/data/source"), "logind"));
    assert_int_equal(fx_rows(f, t), 1);
    fx_cell_text(f, t, 0, "name", "alice");
    fx_cell_text(f, t, 0, "terminal", "pts/3");
    fx_cell_text(f, t, 0, "host", "10.1.1.1");
    fx_cell_is(f, t, 0, "pid", 321);
    fx_cell_is(f, t, 0, "started", 1700000000);
    fx_fails(f, "run/utmp", EACCES); /* there, and not for us: not the same as not there */
    fx_sample(f, "users");
    fx_status(f, "users", "denied");
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        WITH(mounts_are_those_that_hold_files),
        WITH(the_device_of_the_root_is_found),
        WITH(too_many_mounts_are_counted),
        WITH(diskstats_of_linux_2_4),
        WITH(diskstats_of_linux_2_6),
        WITH(partitions_are_listed_and_not_summed),
        WITH(disks_without_diskstats),
        WITH(interfaces),
        WITH(sockets_of_inet),
        WITH(sockets_of_unix_and_their_owners),
        WITH(many_sockets_are_counted),
        WITH(temperatures_of_hwmon),
        WITH(a_bound_of_zero_is_none),
        WITH(temperatures_of_zones),
        WITH(fans),
        WITH(battery),
        WITH(users_of_utmp),
        WITH(users_of_larger_records),
        WITH(users_of_logind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
