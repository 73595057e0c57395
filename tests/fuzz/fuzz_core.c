/* Fuzz target for agent/core: every parser of /proc, /sys, /etc/passwd, utmp and logind's files, on
 * a tree that the input describes. Nothing may crash, loop or read past a file; and whatever a tree
 * says, the sample is a map that a receiver takes (wire_validate) and fits a frame.
 *
 * The input: one byte of options, one of rows; then for each file one byte (which of PATHS; 255: a
 * byte of length and the path itself), two bytes of length (little-endian), the contents.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/core_int.h"
#include "proto/frame.h"

static const char *const paths[] = {
    "proc/stat",
    "proc/meminfo",
    "proc/vmstat",
    "proc/zoneinfo",
    "proc/loadavg",
    "proc/uptime",
    "proc/cpuinfo",
    "proc/filesystems",
    "proc/partitions",
    "proc/self/mounts",
    "proc/diskstats",
    "proc/net/dev",
    "proc/net/tcp",
    "proc/net/tcp6",
    "proc/net/udp",
    "proc/net/udp6",
    "proc/net/unix",
    "proc/pressure/cpu",
    "proc/pressure/memory",
    "proc/pressure/io",
    "proc/self/cgroup",
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/random/boot_id",
    "etc/os-release",
    "etc/passwd",
    "run/utmp",
    "run/systemd/sessions/1",
    "proc/7/stat",
    "proc/7/status",
    "proc/7/statm",
    "proc/7/io",
    "proc/7/cmdline",
    "proc/7/smaps_rollup",
    "proc/7/smaps",
    "proc/7/fd/3",
    "proc/7/exe",
    "proc/7/cwd",
    "proc/8/stat",
    "proc/8/status",
    "proc/8/cmdline",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpu0/topology/core_cpus_list",
    "sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
    "sys/devices/system/cpu/cpu0/online",
    "sys/block/sda/stat",
    "sys/block/sda/sda1/stat",
    "sys/block/sda/device/model",
    "sys/class/net/eth0/flags",
    "sys/class/net/eth0/mtu",
    "sys/class/net/eth0/speed",
    "sys/class/net/eth0/duplex",
    "sys/class/net/eth0/operstate",
    "sys/class/hwmon/hwmon0/name",
    "sys/class/hwmon/hwmon0/temp1_input",
    "sys/class/hwmon/hwmon0/temp1_max",
    "sys/class/hwmon/hwmon0/temp1_crit",
    "sys/class/hwmon/hwmon0/temp1_label",
    "sys/class/hwmon/hwmon0/fan1_input",
    "sys/class/hwmon/hwmon1/device/name",
    "sys/class/hwmon/hwmon1/device/temp2_input",
    "sys/devices/platform/coretemp.0/hwmon/hwmon9/name",
    "sys/devices/platform/coretemp.0/hwmon/hwmon9/temp1_input",
    "sys/class/thermal/thermal_zone0/temp",
    "sys/class/thermal/thermal_zone0/type",
    "sys/class/thermal/thermal_zone0/trip_point_0_type",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp",
    "sys/class/power_supply/BAT0/energy_now",
    "sys/class/power_supply/BAT0/energy_full",
    "sys/class/power_supply/BAT0/power_now",
    "sys/class/power_supply/BAT0/capacity",
    "sys/class/power_supply/BAT0/status",
    "sys/class/power_supply/AC0/online",
    "sys/fs/cgroup/cgroup.controllers",
    "sys/fs/cgroup/a/memory.max",
    "sys/fs/cgroup/a/memory.current",
    "sys/fs/cgroup/a/cpu.max",
    "sys/fs/cgroup/pids.max",
    "sys/fs/cgroup/memory/memory.limit_in_bytes",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us",
    "statvfs",
};
enum { PATHS = sizeof paths / sizeof paths[0], MOST_FILES = 256 };

struct file {
    const char *path;
    size_t path_len;
    const uint8_t *data;
    size_t n;
};

struct tree {
    struct file files[MOST_FILES];
    size_t n;
};

static const struct file *find(const struct tree *t, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < t->n; i++)
        if (t->files[i].path_len == len && memcmp(t->files[i].path, path, len) == 0)
            return &t->files[i];
    return NULL;
}

static ssize_t read_file(void *user, const char *path, uint64_t at, void *dst, size_t n)
{
    const struct file *f = find(user, path);
    if (f == NULL)
        return -ENOENT;
    size_t left = at < f->n ? f->n - (size_t)at : 0;
    n = n < left ? n : left;
    memcpy(dst, f->data + (f->n - left), n);
    return (ssize_t)n;
}

/* Names as the files come; one that is there twice is given twice. */
static ssize_t read_entry(void *user, const char *path, size_t index, char *dst, size_t cap)
{
    const struct tree *t = user;
    size_t len = strlen(path);
    bool any = false;
    for (size_t i = 0; i < t->n; i++) {
        const struct file *f = &t->files[i];
        if (f->path_len <= len + 1 || memcmp(f->path, path, len) != 0 || f->path[len] != '/')
            continue;
        any = true;
        if (index-- > 0)
            continue;
        const char *name = f->path + len + 1, *end = memchr(name, '/', f->path_len - len - 1);
        size_t n = end != NULL ? (size_t)(end - name) : f->path_len - len - 1;
        n = n < cap ? n : cap;
        memcpy(dst, name, n);
        return (ssize_t)n;
    }
    return any ? 0 : -ENOENT;
}

static ssize_t read_link(void *user, const char *path, char *dst, size_t cap)
{
    return read_file(user, path, 0, dst, cap);
}

static int read_statvfs(void *user, const char *path, struct statvfs *out)
{
    const struct file *f = find(user, "statvfs");
    uint64_t v[6] = {0};
    if (f == NULL || path[0] != '/')
        return -EIO;
    memcpy(v, f->data, f->n < sizeof v ? f->n : sizeof v);
    *out = (struct statvfs){.f_frsize = v[0],
                            .f_blocks = v[1],
                            .f_bfree = v[2],
                            .f_bavail = v[3],
                            .f_files = v[4],
                            .f_ffree = v[5]};
    return 0;
}

static size_t take(const uint8_t **p, size_t *left, size_t want, const uint8_t **out)
{
    size_t n = want < *left ? want : *left;
    *out = *p;
    *p += n;
    *left -= n;
    return n;
}

static void plant(struct tree *t, const uint8_t *p, size_t left)
{
    while (left > 0 && t->n < MOST_FILES) {
        struct file *f = &t->files[t->n];
        const uint8_t *head, *len;
        (void)take(&p, &left, 1, &head);
        if (*head == 255) {
            if (take(&p, &left, 1, &len) < 1)
                return;
            const uint8_t *path;
            f->path_len = take(&p, &left, *len, &path);
            f->path = (const char *)path;
            if (f->path_len == 0 || memchr(path, '\0', f->path_len) != NULL)
                return;
        } else {
            f->path = paths[*head % PATHS];
            f->path_len = strlen(f->path);
        }
        if (take(&p, &left, 2, &len) < 2)
            return;
        f->n = take(&p, &left, len[0] | (size_t)len[1] << 8, &f->data);
        t->n++;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Half of the sections in part: what a request may name, of members, columns and neither. */
static const struct core_want *part(uint8_t byte, struct core_want *w)
{
    static const char *const names[] = {"total",       "mounts.used", "nics.name", "times",
                                        "disks.total", "uptime_ms",   "battery",   "some"};
    memset(w, 0, sizeof *w);
    if ((byte & 0x80) == 0)
        return NULL;
    for (unsigned i = 0; core_section_name(i) != NULL; i++) {
        if (((i ^ byte) & 1) == 0)
            continue;
        core_want_section(w, i);
        for (unsigned k = 0; k < 8; k++)
            if (((byte >> 1) + i * 3 + k) % 3 == 0)
                must(core_want_add(w, i, names[k], strlen(names[k])) == RC_OK);
    }
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct core_files provider = {read_file, read_entry, read_link, read_statvfs};
    static struct tree tree;
    if (size < 2)
        return 0;
    tree.n = 0;
    plant(&tree, data + 2, size - 2);
    struct core_spec spec = {.root = "", .hz = 100, .page = 4096};
    struct core_request r = {.sections = ~(uint64_t)0, .top = data[1], .section_ms = 600000};
    r.detail = (data[0] & 1) != 0;
    r.by = (enum core_by)((data[0] >> 1) % 3);
    struct core_want want;
    r.want = part(data[0], &want);
    must((r.past = core_past_new()) != NULL);
    struct core *c;
    struct buf out;
    struct err e;
    buf_init(&out, FRAME_MAX);
    must(core_new(&c, &spec, NULL) == RC_OK);
    core_set_files(c, &provider, &tree);
    for (uint64_t i = 0; i < 2; i++) { /* the second with what the first has kept */
        buf_reset(&out);
        must(core_sample(c, &r, i, 0, &out) == RC_OK);
        must(wire_validate(out.data, out.len, &e) == RC_OK);
    }
    core_past_free(r.past);
    core_free(c);
    buf_fini(&out);
    return 0;
}
