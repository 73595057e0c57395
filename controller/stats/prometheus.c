/* -o prometheus: text format 0.0.4, with node_exporter's names, so that what is known of them
 * applies. One exposition of all hosts, told apart by the label `host`: `instance` and `job` are
 * the scraper's own. No timestamps: a host that did not answer is simply not there, and
 * muster_host_up says so.
 *
 * Everything that is in a label comes from hosts: it is made valid UTF-8, cut at LABEL_MOST bytes
 * and escaped; a host has SERIES_MOST lines at most.
 */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/stats/internal.h"
#include "controller/stats/rates.h"

enum { LABEL_MOST = 256, SERIES_MOST = 5000, LABELS = 4, NAME_MOST = 128 };

struct metric {
    const char *name, *type, *help;
    enum figure figure;
    double scale;               /* times the figure as people see it; 0: 1 */
    const char *fixed;          /* a label and its value as they are, or NULL */
    enum figure labels[LABELS]; /* FIGURE_COUNT ends them */
    const char *label_names[LABELS];
};

/* A metric with several rows here is one family: they stand together and are written as one. */
#define END     FIGURE_COUNT
#define GAUGE   "gauge"
#define COUNTER "counter"
#define HOST_METRIC(n, t, f, s, h)                                                                 \
    {                                                                                              \
        n, t, h, f, s, NULL, {END},                                                                \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }
#define MODE(f, mode)                                                                              \
    {                                                                                              \
        "node_cpu_seconds_total", COUNTER, "Seconds the CPUs spent in each mode.", f, 0,           \
            "mode=\"" mode "\"", {FIG_PERCPU_CPU, END},                                            \
        {                                                                                          \
            "cpu"                                                                                  \
        }                                                                                          \
    }
#define GUEST(f, mode)                                                                             \
    {                                                                                              \
        "node_cpu_guest_seconds_total", COUNTER, "Seconds the CPUs spent in guests (VMs).", f, 0,  \
            "mode=\"" mode "\"", {FIG_PERCPU_CPU, END},                                            \
        {                                                                                          \
            "cpu"                                                                                  \
        }                                                                                          \
    }
#define OF_CPU(n, t, f, s, h)                                                                      \
    {                                                                                              \
        n, t, h, f, s, NULL, {FIG_PERCPU_CPU, END},                                                \
        {                                                                                          \
            "cpu"                                                                                  \
        }                                                                                          \
    }
#define OF_DISK(n, t, f, s, h)                                                                     \
    {                                                                                              \
        n, t, h, f, s, NULL, {FIG_IO_NAME, END},                                                   \
        {                                                                                          \
            "device"                                                                               \
        }                                                                                          \
    }
#define OF_NIC(n, t, f, s, h)                                                                      \
    {                                                                                              \
        n, t, h, f, s, NULL, {FIG_NET_NAME, END},                                                  \
        {                                                                                          \
            "device"                                                                               \
        }                                                                                          \
    }
#define OF_MOUNT(n, f, h)                                                                          \
    {                                                                                              \
        n, GAUGE, h, f, 0, NULL, {FIG_DISK_DEVICE, FIG_DISK_FSTYPE, FIG_DISK_MOUNT, END},          \
        {                                                                                          \
            "device", "fstype", "mountpoint"                                                       \
        }                                                                                          \
    }
#define OF_SENSOR(n, f, h)                                                                         \
    {                                                                                              \
        n, GAUGE, h, f, 0, NULL, {FIG_SENSOR_CHIP, FIG_SENSOR_LABEL, END},                         \
        {                                                                                          \
            "chip", "sensor"                                                                       \
        }                                                                                          \
    }

/* clang-format off */
static const struct metric metrics[] = {
    MODE(FIG_PERCPU_T_USER, "user"), MODE(FIG_PERCPU_T_NICE, "nice"),
    MODE(FIG_PERCPU_T_SYSTEM, "system"), MODE(FIG_PERCPU_T_IDLE, "idle"),
    MODE(FIG_PERCPU_T_IOWAIT, "iowait"), MODE(FIG_PERCPU_T_IRQ, "irq"),
    MODE(FIG_PERCPU_T_SOFTIRQ, "softirq"), MODE(FIG_PERCPU_T_STEAL, "steal"),
    GUEST(FIG_PERCPU_T_GUEST, "user"), GUEST(FIG_PERCPU_T_GUEST_NICE, "nice"),
    OF_CPU("node_cpu_scaling_frequency_hertz", GAUGE, FIG_PERCPU_FREQ, 1e6, "Current scaled CPU thread frequency in hertz."),
    OF_CPU("node_cpu_scaling_frequency_min_hertz", GAUGE, FIG_PERCPU_FREQ_MIN, 1e6, "Minimum scaled CPU thread frequency in hertz."),
    OF_CPU("node_cpu_scaling_frequency_max_hertz", GAUGE, FIG_PERCPU_FREQ_MAX, 1e6, "Maximum scaled CPU thread frequency in hertz."),
    HOST_METRIC("node_load1", GAUGE, FIG_LOAD1, 0, "1m load average."),
    HOST_METRIC("node_load5", GAUGE, FIG_LOAD5, 0, "5m load average."),
    HOST_METRIC("node_load15", GAUGE, FIG_LOAD15, 0, "15m load average."),
    HOST_METRIC("node_context_switches_total", COUNTER, FIG_CTX, 0, "Total number of context switches."),
    HOST_METRIC("node_intr_total", COUNTER, FIG_INTR, 0, "Total number of interrupts serviced."),
    HOST_METRIC("node_forks_total", COUNTER, FIG_FORKS, 0, "Total number of forks."),
    HOST_METRIC("node_procs_running", GAUGE, FIG_RUNNING, 0, "Number of processes in runnable state."),
    HOST_METRIC("node_procs_blocked", GAUGE, FIG_BLOCKED, 0, "Number of processes blocked waiting for I/O to complete."),
    HOST_METRIC("node_boot_time_seconds", GAUGE, FIG_BOOT_TIME, 0, "Node boot time, in unixtime."),
    HOST_METRIC("node_processes_pids", GAUGE, FIG_PROCS_TOTAL, 0, "Number of PIDs."),
    HOST_METRIC("node_processes_threads", GAUGE, FIG_PROCS_THREADS, 0, "Allocated threads in system."),
    HOST_METRIC("node_pressure_cpu_waiting_seconds_total", COUNTER, FIG_PSI_CPU_SOME_TOTAL, 1e-6, "Total time in seconds that processes have waited for CPU time."),
    HOST_METRIC("node_pressure_io_waiting_seconds_total", COUNTER, FIG_PSI_IO_SOME_TOTAL, 1e-6, "Total time in seconds that processes have waited due to IO congestion."),
    HOST_METRIC("node_pressure_io_stalled_seconds_total", COUNTER, FIG_PSI_IO_FULL_TOTAL, 1e-6, "Total time in seconds no process could make progress due to IO congestion."),
    HOST_METRIC("node_pressure_memory_waiting_seconds_total", COUNTER, FIG_PSI_MEM_SOME_TOTAL, 1e-6, "Total time in seconds that processes have waited for memory."),
    HOST_METRIC("node_pressure_memory_stalled_seconds_total", COUNTER, FIG_PSI_MEM_FULL_TOTAL, 1e-6, "Total time in seconds no process could make progress due to memory congestion."),
    OF_DISK("node_disk_reads_completed_total", COUNTER, FIG_IO_READ_COUNT, 0, "The total number of reads completed successfully."),
    OF_DISK("node_disk_reads_merged_total", COUNTER, FIG_IO_READ_MERGED, 0, "The total number of reads merged."),
    OF_DISK("node_disk_read_bytes_total", COUNTER, FIG_IO_READ_BYTES, 0, "The total number of bytes read successfully."),
    OF_DISK("node_disk_read_time_seconds_total", COUNTER, FIG_IO_READ_TIME, 1e-3, "The total number of seconds spent by all reads."),
    OF_DISK("node_disk_writes_completed_total", COUNTER, FIG_IO_WRITE_COUNT, 0, "The total number of writes completed successfully."),
    OF_DISK("node_disk_writes_merged_total", COUNTER, FIG_IO_WRITE_MERGED, 0, "The number of writes merged."),
    OF_DISK("node_disk_written_bytes_total", COUNTER, FIG_IO_WRITE_BYTES, 0, "The total number of bytes written successfully."),
    OF_DISK("node_disk_write_time_seconds_total", COUNTER, FIG_IO_WRITE_TIME, 1e-3, "This is the total number of seconds spent by all writes."),
    OF_DISK("node_disk_io_now", GAUGE, FIG_IO_IN_FLIGHT, 0, "The number of I/Os currently in progress."),
    OF_DISK("node_disk_io_time_seconds_total", COUNTER, FIG_IO_BUSY_TIME, 1e-3, "Total seconds spent doing I/Os."),
    OF_DISK("node_disk_io_time_weighted_seconds_total", COUNTER, FIG_IO_WEIGHTED, 1e-3, "The weighted # of seconds spent doing I/Os."),
    OF_MOUNT("node_filesystem_size_bytes", FIG_DISK_TOTAL, "Filesystem size in bytes."),
    OF_MOUNT("node_filesystem_avail_bytes", FIG_DISK_FREE, "Filesystem space available to non-root users in bytes."),
    OF_MOUNT("node_filesystem_files", FIG_DISK_FILES, "Filesystem total file nodes."),
    OF_MOUNT("node_filesystem_files_free", FIG_DISK_FILES_FREE, "Filesystem total free file nodes."),
    OF_NIC("node_network_receive_bytes_total", COUNTER, FIG_NET_BYTES_RECV, 0, "Network device statistic receive_bytes."),
    OF_NIC("node_network_receive_packets_total", COUNTER, FIG_NET_PACKETS_RECV, 0, "Network device statistic receive_packets."),
    OF_NIC("node_network_receive_errs_total", COUNTER, FIG_NET_ERRIN, 0, "Network device statistic receive_errs."),
    OF_NIC("node_network_receive_drop_total", COUNTER, FIG_NET_DROPIN, 0, "Network device statistic receive_drop."),
    OF_NIC("node_network_transmit_bytes_total", COUNTER, FIG_NET_BYTES_SENT, 0, "Network device statistic transmit_bytes."),
    OF_NIC("node_network_transmit_packets_total", COUNTER, FIG_NET_PACKETS_SENT, 0, "Network device statistic transmit_packets."),
    OF_NIC("node_network_transmit_errs_total", COUNTER, FIG_NET_ERROUT, 0, "Network device statistic transmit_errs."),
    OF_NIC("node_network_transmit_drop_total", COUNTER, FIG_NET_DROPOUT, 0, "Network device statistic transmit_drop."),
    OF_NIC("node_network_up", GAUGE, FIG_NET_ISUP, 0, "Value is 1 if operstate is 'up', 0 otherwise."),
    OF_NIC("node_network_mtu_bytes", GAUGE, FIG_NET_MTU, 0, "Network device property: mtu_bytes"),
    OF_NIC("node_network_speed_bytes", GAUGE, FIG_NET_SPEED, 125000, "Network device property: speed_bytes"),
    OF_SENSOR("node_hwmon_temp_celsius", FIG_SENSOR_CURRENT, "Hardware monitor for temperature (input)"),
    OF_SENSOR("node_hwmon_temp_max_celsius", FIG_SENSOR_HIGH, "Hardware monitor for temperature (max)"),
    OF_SENSOR("node_hwmon_temp_crit_celsius", FIG_SENSOR_CRITICAL, "Hardware monitor for temperature (crit)"),
    {"node_hwmon_fan_rpm", GAUGE, "Hardware monitor for fan revolutions per minute (input)", FIG_FAN_CURRENT, 0, NULL, {FIG_FAN_CHIP, FIG_FAN_LABEL, END}, {"chip", "sensor"}},
    HOST_METRIC("node_power_supply_capacity", GAUGE, FIG_BATTERY_PERCENT, 0, "capacity value of the battery."),
    HOST_METRIC("muster_host_memory_available_bytes", GAUGE, FIG_MEM_AVAILABLE, 0, "Memory that programs can get without swapping, also where the kernel does not say (psutil)."),
    HOST_METRIC("muster_host_clock_offset_seconds", GAUGE, FIG_CLOCK_OFFSET, 0, "The host's clock less the controller's."),
};
/* clang-format on */
enum { METRIC_COUNT = sizeof metrics / sizeof metrics[0] };

struct exposition {
    struct stats *s;
    struct text *t;
    uint32_t *series;  /* of each host, so far */
    uint32_t *dropped; /* by host */
    const char *open;  /* name of the family whose head is out, or NULL */
};

/* ---- lines ---- */

/* What a terminal would obey or hide has no place in a label. */
static bool is_control(uint32_t c)
{
    return (c < 0x20 && c != '\n') || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e ||
           c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

enum { INSTEAD = 0xfffd }; /* of what is no character for a label */

/* The character at p as it is written, and its bytes there. */
static size_t label_char(const char *p, size_t left, uint32_t *c)
{
    size_t n = str_utf8_decode(p, left, c);
    if (n == 0 || is_control(*c))
        *c = INSTEAD;
    return n > 0 ? n : 1;
}

/* A label's value: valid UTF-8, cut, escaped. */
static void put_label(struct text *t, const char *name, const char *value, bool first)
{
    size_t left = text_cut(value, strlen(value), LABEL_MOST), n;
    text_printf(t, "%s%s=\"", first ? "" : ",", name);
    for (const char *p = value; left > 0; p += n, left -= n) {
        uint32_t c = 0;
        n = label_char(p, left, &c);
        if (c == INSTEAD)
            text_puts(t, "\xef\xbf\xbd");
        else if (*p == '\\' || *p == '"')
            text_printf(t, "\\%c", *p);
        else if (*p == '\n')
            text_puts(t, "\\n");
        else
            text_put(t, p, n);
    }
    text_puts(t, "\"");
}

/* As they are written. */
static bool same_label(const char *a, const char *b)
{
    size_t na = text_cut(a, strlen(a), LABEL_MOST), nb = text_cut(b, strlen(b), LABEL_MOST), n;
    uint32_t x = 0, y = 0;
    while (na > 0 && nb > 0) {
        n = label_char(a, na, &x), a += n, na -= n;
        n = label_char(b, nb, &y), b += n, nb -= n;
        if (x != y)
            return false;
    }
    return na == nb;
}

/* Another value may be written the same way. */
static bool is_ambiguous(const char *v)
{
    size_t left = strlen(v), n;
    if (left >= LABEL_MOST)
        return true;
    for (uint32_t c = 0; left > 0; v += n, left -= n) {
        n = label_char(v, left, &c);
        if (c == INSTEAD)
            return true;
    }
    return false;
}

static void put_head(struct exposition *x, const char *name, const char *type, const char *help)
{
    if (x->open != NULL && strcmp(x->open, name) == 0)
        return;
    x->open = name;
    text_printf(x->t, "# HELP %s ", name);
    text_puts(x->t, help);
    text_printf(x->t, "\n# TYPE %s %s\n", name, type);
}

/* false: the host has its fill. */
static bool may_add(struct exposition *x, uint32_t host)
{
    if (x->series[host] < SERIES_MOST) {
        x->series[host]++;
        return true;
    }
    x->dropped[host]++;
    return false;
}

static void put_value(struct text *t, const struct grid_cell *c, double scale)
{
    char number[GRID_NUMBER];
    if (scale == 0 && c->what == GRID_WHOLE)
        text_printf(t, " %llu\n", (unsigned long long)c->whole);
    else
        text_printf(t, " %s\n", grid_number(number, c->real * (scale == 0 ? 1 : scale)));
}

static void put_row(struct exposition *x, const struct metric *m, uint32_t host, uint32_t row)
{
    struct grid_cell c;
    struct line l = {host, row};
    struct view_column column = {.what = COLUMN_IS_FIGURE, .figure = m->figure};
    line_cell(x->s, &column, &l, &c);
    if (c.what == GRID_BOOL) {
        c.what = GRID_WHOLE;
        c.real = (double)c.whole;
    }
    if (c.what == GRID_NOTHING || c.what == GRID_TEXT || !may_add(x, host))
        return;
    put_head(x, m->name, m->type, m->help);
    text_printf(x->t, "%s{", m->name);
    put_label(x->t, "host", x->s->about.hosts[host]->name, true);
    for (int i = 0; i < LABELS && m->labels[i] != END; i++) {
        struct grid_cell at;
        char number[GRID_NUMBER] = "";
        column.figure = m->labels[i];
        line_cell(x->s, &column, &l, &at);
        if (at.what == GRID_WHOLE)
            snprintf(number, sizeof number, "%llu", (unsigned long long)at.whole);
        put_label(x->t, m->label_names[i], at.what == GRID_TEXT ? at.text : number, false);
    }
    if (m->fixed != NULL)
        text_printf(x->t, ",%s", m->fixed);
    text_puts(x->t, "}");
    put_value(x->t, &c, m->scale);
}

static bool is_shown(const struct exposition *x, uint32_t host)
{
    return x->s->hosts[host].ready && x->s->hosts[host].sample != NULL;
}

static const char *label_text(const struct sample *s, enum figure f, uint32_t row)
{
    const char *text = sample_text(s, f, row);
    return text != NULL ? text : "";
}

/* Rows of these are told apart by a text of theirs, and by nothing else where it is ambiguous. */
static bool may_be_again(const struct sample *s, const struct metric *m, uint32_t row)
{
    switch (figure_kind(m->figure)) {
    case KIND_SENSOR:
    case KIND_FAN: return true; /* two may be alike in all their labels */
    case KIND_MOUNT:
    case KIND_DISKIO:
    case KIND_NIC: break;
    default: return false;
    }
    for (int i = 0; i < LABELS && m->labels[i] != END; i++)
        if (is_ambiguous(label_text(s, m->labels[i], row)))
            return true;
    return false;
}

/* A line may be there only once: whoever takes the file would refuse all of it, and so one host
 * could spoil it for the others. */
static bool is_again(const struct sample *s, const struct metric *m, uint32_t row)
{
    if (!may_be_again(s, m, row))
        return false;
    for (uint32_t r = 0; r < row; r++) {
        bool same = true;
        for (int i = 0; same && i < LABELS && m->labels[i] != END; i++)
            same = same_label(label_text(s, m->labels[i], r), label_text(s, m->labels[i], row));
        if (same)
            return true;
    }
    return false;
}

/* Metrics of one name together, host by host. */
static void put_metrics(struct exposition *x)
{
    for (int first = 0; first < METRIC_COUNT;) {
        int end = first;
        while (end < METRIC_COUNT && strcmp(metrics[end].name, metrics[first].name) == 0)
            end++;
        enum figure_kind k = figure_kind(metrics[first].figure);
        for (uint32_t h = 0; h < x->s->about.count; h++)
            for (uint32_t r = 0; is_shown(x, h) && r < sample_rows(x->s->hosts[h].sample, k); r++)
                for (int m = first; m < end; m++)
                    if (!is_again(x->s->hosts[h].sample, &metrics[m], r))
                        put_row(x, &metrics[m], h, r);
        first = end;
    }
}

/* ---- /proc/meminfo and /proc/vmstat ---- */

/* Names of the kernel that are passed on: a host cannot make up families of its own. */
static const char *const meminfo_names[] = {
    "MemTotal",       "MemFree",        "MemAvailable",   "Buffers",         "Cached",
    "SwapCached",     "Active",         "Inactive",       "Active(anon)",    "Inactive(anon)",
    "Active(file)",   "Inactive(file)", "Unevictable",    "Mlocked",         "SwapTotal",
    "SwapFree",       "Zswap",          "Zswapped",       "Dirty",           "Writeback",
    "AnonPages",      "Mapped",         "Shmem",          "KReclaimable",    "Slab",
    "SReclaimable",   "SUnreclaim",     "KernelStack",    "PageTables",      "SecPageTables",
    "NFS_Unstable",   "Bounce",         "WritebackTmp",   "CommitLimit",     "Committed_AS",
    "VmallocTotal",   "VmallocUsed",    "VmallocChunk",   "Percpu",          "HardwareCorrupted",
    "AnonHugePages",  "ShmemHugePages", "ShmemPmdMapped", "FileHugePages",   "FilePmdMapped",
    "CmaTotal",       "CmaFree",        "Unaccepted",     "HugePages_Total", "HugePages_Free",
    "HugePages_Rsvd", "HugePages_Surp", "Hugepagesize",   "Hugetlb",         "DirectMap4k",
    "DirectMap2M",    "DirectMap1G"};
static const char *const vmstat_names[] = {"oom_kill", "pgfault", "pgmajfault", "pgpgin",
                                           "pgpgout",  "pswpin",  "pswpout"};

/* What psutil's figures say where the host did not send all of meminfo. */
static const struct {
    const char *name;
    enum figure figure;
} meminfo_otherwise[] = {{"MemTotal", FIG_MEM_TOTAL},    {"MemFree", FIG_MEM_FREE},
                         {"Buffers", FIG_MEM_BUFFERS},   {"Active", FIG_MEM_ACTIVE},
                         {"Inactive", FIG_MEM_INACTIVE}, {"Shmem", FIG_MEM_SHARED},
                         {"Slab", FIG_MEM_SLAB},         {"SwapTotal", FIG_SWAP_TOTAL},
                         {"SwapFree", FIG_SWAP_FREE},    {"MemAvailable", FIG_MEM_AVAILABLE}};

static bool named_value(const struct sample *s, enum figure key, enum figure value,
                        const char *name, uint64_t *out)
{
    enum figure_kind k = figure_kind(key);
    for (uint32_t r = 0; r < sample_rows(s, k); r++) {
        const char *other = sample_text(s, key, r);
        if (other != NULL && strcmp(other, name) == 0)
            return sample_u64(s, value, r, out);
    }
    size_t n = sizeof meminfo_otherwise / sizeof *meminfo_otherwise;
    for (size_t i = 0; k == KIND_MEMINFO && sample_rows(s, k) == 0 && i < n; i++)
        if (strcmp(meminfo_otherwise[i].name, name) == 0)
            return sample_u64(s, meminfo_otherwise[i].figure, 0, out);
    return false;
}

/* "Active(anon)" is node_memory_Active_anon_bytes. */
static const char *meminfo_metric(char dst[NAME_MOST], const char *name)
{
    size_t n = (size_t)snprintf(dst, NAME_MOST, "node_memory_");
    bool count = str_starts(name, "HugePages_");
    for (; *name != '\0'; name++)
        if (*name != ')')
            dst[n++] = *name == '(' ? '_' : *name;
    snprintf(dst + n, NAME_MOST - n, "%s", count ? "" : "_bytes");
    return dst;
}

static void put_named(struct exposition *x, enum figure key, enum figure value, const char *name,
                      const char *metric, const char *type, const char *help)
{
    uint64_t v;
    x->open = NULL;
    for (uint32_t h = 0; h < x->s->about.count; h++) {
        if (!is_shown(x, h) || !named_value(x->s->hosts[h].sample, key, value, name, &v) ||
            !may_add(x, h))
            continue;
        put_head(x, metric, type, help);
        text_printf(x->t, "%s{", metric);
        put_label(x->t, "host", x->s->about.hosts[h]->name, true);
        text_printf(x->t, "} %llu\n", (unsigned long long)v);
    }
    x->open = NULL;
}

static void put_kernel(struct exposition *x)
{
    char metric[NAME_MOST], help[NAME_MOST];
    for (size_t i = 0; i < sizeof meminfo_names / sizeof *meminfo_names; i++) {
        snprintf(help, sizeof help, "Memory information field %s.", meminfo_names[i]);
        put_named(x, FIG_MEMINFO_NAME, FIG_MEMINFO_VALUE, meminfo_names[i],
                  meminfo_metric(metric, meminfo_names[i]), GAUGE, help);
    }
    for (size_t i = 0; i < sizeof vmstat_names / sizeof *vmstat_names; i++) {
        snprintf(metric, sizeof metric, "node_vmstat_%s", vmstat_names[i]);
        snprintf(help, sizeof help, "/proc/vmstat information field %s.", vmstat_names[i]);
        put_named(x, FIG_VMSTAT_NAME, FIG_VMSTAT_VALUE, vmstat_names[i], metric, "untyped", help);
    }
}

/* ---- what has no figure of its own ---- */

static void put_mount(struct exposition *x, uint32_t h, uint32_t r, const char *name,
                      const char *help, double v)
{
    static const enum figure labels[] = {FIG_DISK_DEVICE, FIG_DISK_FSTYPE, FIG_DISK_MOUNT};
    static const char *const names[] = {"device", "fstype", "mountpoint"};
    char number[GRID_NUMBER];
    if (!may_add(x, h))
        return;
    put_head(x, name, GAUGE, help);
    text_printf(x->t, "%s{", name);
    put_label(x->t, "host", x->s->about.hosts[h]->name, true);
    for (int i = 0; i < 3; i++) {
        const char *text = sample_text(x->s->hosts[h].sample, labels[i], r);
        put_label(x->t, names[i], text != NULL ? text : "", false);
    }
    text_printf(x->t, "} %s\n", grid_number(number, v));
}

enum mount_metric { MOUNT_ERROR, MOUNT_FREE, MOUNT_READ_ONLY };

static void put_mounts(struct exposition *x, enum mount_metric m)
{
    static const char *const names[] = {"node_filesystem_device_error",
                                        "node_filesystem_free_bytes", "node_filesystem_readonly"};
    static const char *const helps[] = {
        "Whether an error occurred while getting statistics for the given device.",
        "Filesystem free space in bytes.", "Filesystem read-only status."};
    static const struct metric mount = {
        .figure = FIG_DISK_TOTAL,
        .labels = {FIG_DISK_DEVICE, FIG_DISK_FSTYPE, FIG_DISK_MOUNT, END}};
    double total, used;
    for (uint32_t h = 0; h < x->s->about.count; h++)
        for (uint32_t r = 0; is_shown(x, h) && r < sample_rows(x->s->hosts[h].sample, KIND_MOUNT);
             r++) {
            const struct sample *s = x->s->hosts[h].sample;
            if (is_again(s, &mount, r))
                continue;
            const char *status = sample_text(s, FIG_DISK_STATUS, r);
            bool fine = status == NULL || strcmp(status, "ok") == 0;
            bool known = sample_number(s, FIG_DISK_TOTAL, r, &total) &&
                         sample_number(s, FIG_DISK_USED, r, &used);
            if (m == MOUNT_ERROR)
                put_mount(x, h, r, names[m], helps[m], !fine);
            else if (m == MOUNT_FREE && known)
                put_mount(x, h, r, names[m], helps[m], total > used ? total - used : 0);
            else if (m == MOUNT_READ_ONLY)
                put_mount(x, h, r, names[m], helps[m], rates_is_read_only(s, r));
        }
}

struct info {
    const char *name, *help;
    enum figure labels[6];
    const char *label_names[6];
};
static const struct info infos[] = {
    {"node_uname_info",
     "Labeled system information as provided by the uname system call.",
     {FIG_MACHINE, FIG_NODENAME, FIG_RELEASE, FIG_SYSNAME, FIG_VERSION, END},
     {"machine", "nodename", "release", "sysname", "version"}},
    {"node_os_info",
     "A metric with a constant '1' value labeled by id and pretty_name.",
     {FIG_OS_ID, FIG_OS_NAME, END},
     {"id", "pretty_name"}},
};

static void put_infos(struct exposition *x, const struct info *m)
{
    for (uint32_t h = 0; h < x->s->about.count; h++) {
        if (!is_shown(x, h) || sample_text(x->s->hosts[h].sample, m->labels[0], 0) == NULL ||
            !may_add(x, h))
            continue;
        put_head(x, m->name, GAUGE, m->help);
        text_printf(x->t, "%s{", m->name);
        put_label(x->t, "host", x->s->about.hosts[h]->name, true);
        for (int i = 0; m->labels[i] != END; i++) {
            const char *text = sample_text(x->s->hosts[h].sample, m->labels[i], 0);
            put_label(x->t, m->label_names[i], text != NULL ? text : "", false);
        }
        text_puts(x->t, "} 1\n");
    }
}

static void put_collectors(struct exposition *x, bool seconds)
{
    const char *name =
        seconds ? "node_scrape_collector_duration_seconds" : "node_scrape_collector_success";
    char number[GRID_NUMBER];
    for (uint32_t h = 0; h < x->s->about.count; h++)
        for (int i = 0; is_shown(x, h) && i < SECTION_COUNT; i++) {
            const struct sample *s = x->s->hosts[h].sample;
            if (s->sections[i].status == SECTION_ABSENT || !may_add(x, h))
                continue;
            put_head(x, name, GAUGE,
                     seconds ? "node_exporter: Duration of a collector scrape."
                             : "node_exporter: Whether a collector succeeded.");
            text_printf(x->t, "%s{", name);
            put_label(x->t, "host", x->s->about.hosts[h]->name, true);
            put_label(x->t, "collector", section_defs[i].name, false);
            text_printf(x->t, "} %s\n",
                        grid_number(number, seconds ? s->sections[i].us / 1e6
                                                    : s->sections[i].status == SECTION_OK));
        }
}

/* Of every host, answered or not. */
static void put_health(struct exposition *x)
{
    put_head(x, "muster_host_up", GAUGE, "Whether the host answered.");
    for (uint32_t h = 0; h < x->s->about.count; h++) {
        text_puts(x->t, "muster_host_up{");
        put_label(x->t, "host", x->s->about.hosts[h]->name, true);
        text_printf(x->t, "} %d\n", is_shown(x, h));
    }
    put_head(x, "muster_host_series_dropped", GAUGE,
             "Lines left out because the host had too many.");
    for (uint32_t h = 0; h < x->s->about.count; h++) {
        text_puts(x->t, "muster_host_series_dropped{");
        put_label(x->t, "host", x->s->about.hosts[h]->name, true);
        text_printf(x->t, "} %u\n", x->dropped[h]);
    }
}

void prometheus_show(struct stats *s)
{
    struct exposition x = {.s = s, .t = &s->out};
    x.series = mem_calloc(s->about.count, sizeof *x.series);
    x.dropped = mem_calloc(s->about.count, sizeof *x.dropped);
    if (x.series == NULL || x.dropped == NULL) {
        s->nomem = true;
    } else {
        put_infos(&x, &infos[0]);
        put_infos(&x, &infos[1]);
        put_metrics(&x);
        put_kernel(&x);
        put_mounts(&x, MOUNT_ERROR);
        put_mounts(&x, MOUNT_FREE);
        put_mounts(&x, MOUNT_READ_ONLY);
        put_collectors(&x, false);
        put_collectors(&x, true);
        put_health(&x);
    }
    mem_free(x.series);
    mem_free(x.dropped);
}
