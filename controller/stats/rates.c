/* See rates.h. Numbers come from hosts: every quotient is finite or not set at all. */
#include "controller/stats/rates.h"

#include <math.h>
#include <string.h>

enum { MODES = FIG_CPU_GUEST_NICE - FIG_CPU_USER + 1, HOTPLUG_S = 3 };
enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, GUEST, GUEST_NICE };
_Static_assert(MODES == GUEST_NICE + 1, "modes of CPU time are in the order of the table");

/* ---- from one sample ---- */

static void set_share(struct sample *s, enum figure f, uint32_t row, double part, double whole)
{
    double v = whole > 0 ? part / whole * 100 : 0;
    if (isfinite(v))
        sample_set(s, f, row, figure_round1(fmin(fmax(v, 0), 100)));
}

static void memory(struct sample *s)
{
    double total, part, limit;
    if (sample_number(s, FIG_MEM_TOTAL, 0, &total) && sample_number(s, FIG_MEM_AVAILABLE, 0, &part))
        set_share(s, FIG_MEM_PERCENT, 0, total - part, total);
    if (sample_number(s, FIG_SWAP_TOTAL, 0, &total) && sample_number(s, FIG_SWAP_USED, 0, &part))
        set_share(s, FIG_SWAP_PERCENT, 0, part, total);
    if (sample_number(s, FIG_CG_MEM_MAX, 0, &limit) && sample_number(s, FIG_CG_MEM, 0, &part))
        set_share(s, FIG_CG_MEM_PERCENT, 0, part, limit);
}

static void load(struct sample *s)
{
    double load1, cpus;
    if (sample_number(s, FIG_LOAD1, 0, &load1) && sample_number(s, FIG_CPU_LOGICAL, 0, &cpus) &&
        cpus > 0)
        sample_set(s, FIG_LOAD1_CPU, 0, load1 / cpus);
}

/* Keeps the highest of f in `most`; true when this row is it. */
static bool raise(struct sample *s, enum figure most, enum figure f, uint32_t row)
{
    double v, high;
    if (!sample_number(s, f, row, &v) || (sample_number(s, most, 0, &high) && high >= v))
        return false;
    sample_set(s, most, 0, v);
    return true;
}

bool rates_is_read_only(const struct sample *s, uint32_t row)
{
    const char *p = sample_text(s, FIG_DISK_OPTS, row);
    while (p != NULL && *p != '\0') {
        size_t n = strcspn(p, ",");
        if ((n == 2 && memcmp(p, "ro", 2) == 0) || (n == 12 && memcmp(p, "emergency_ro", 12) == 0))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

/* Images are always full and in nobody's way, and memory that is mounted is no disk. */
static bool may_fill_up(const struct sample *s, uint32_t row, bool any_physical)
{
    return !rates_is_read_only(s, row) && (!any_physical || sample_true(s, FIG_DISK_PHYSICAL, row));
}

static void mounts(struct sample *s)
{
    double used, left;
    bool physical = false;
    for (uint32_t r = 0; r < sample_rows(s, KIND_MOUNT); r++)
        physical |= sample_true(s, FIG_DISK_PHYSICAL, r) && !rates_is_read_only(s, r);
    for (uint32_t r = 0; r < sample_rows(s, KIND_MOUNT); r++) {
        if (sample_number(s, FIG_DISK_USED, r, &used) && sample_number(s, FIG_DISK_FREE, r, &left))
            set_share(s, FIG_DISK_PERCENT, r, used, used + left);
        if (sample_number(s, FIG_DISK_FILES, r, &used) && used > 0 &&
            sample_number(s, FIG_DISK_FILES_FREE, r, &left))
            set_share(s, FIG_DISK_FILES_PERCENT, r, used - left, used);
        if (!may_fill_up(s, r, physical))
            continue;
        if (raise(s, FIG_MAX_DISK, FIG_DISK_PERCENT, r))
            sample_set_text_of(s, FIG_MAX_DISK_MOUNT, 0, FIG_DISK_MOUNT, r);
        raise(s, FIG_MAX_FILES, FIG_DISK_FILES_PERCENT, r);
    }
}

static void frequencies(struct sample *s)
{
    static const enum figure to[] = {FIG_PERCPU_FREQ, FIG_PERCPU_FREQ_MIN, FIG_PERCPU_FREQ_MAX};
    static const enum figure from[] = {FIG_FREQ_CURRENT, FIG_FREQ_MIN, FIG_FREQ_MAX};
    uint32_t at = 0, rows = sample_rows(s, KIND_FREQ);
    for (uint32_t r = 0; r < sample_rows(s, KIND_CPU) && rows > 0; r++) {
        uint64_t cpu = 0, other = 0;
        sample_u64(s, FIG_PERCPU_CPU, r, &cpu);
        for (uint32_t tries = 0; tries < rows; tries++, at = (at + 1) % rows)
            if (sample_u64(s, FIG_FREQ_CPU, at, &other) && other == cpu)
                break;
        double v;
        for (int i = 0; i < 3 && other == cpu; i++)
            if (sample_number(s, from[i], at, &v))
                sample_set(s, to[i], r, v);
    }
}

static void processes(struct sample *s)
{
    double rss, total;
    if (!sample_number(s, FIG_MEM_TOTAL, 0, &total) || total <= 0)
        return;
    for (uint32_t r = 0; r < sample_rows(s, KIND_PROCESS); r++)
        if (sample_number(s, FIG_PROC_RSS, r, &rss))
            sample_set(s, FIG_PROC_MEM_PERCENT, r, rss / total * 100);
}

static void alone(struct sample *s)
{
    memory(s);
    load(s);
    mounts(s);
    frequencies(s);
    processes(s);
    for (uint32_t r = 0; r < sample_rows(s, KIND_SENSOR); r++)
        raise(s, FIG_MAX_TEMP, FIG_SENSOR_CURRENT, r);
    enum section_status st = (enum section_status)s->sections[SECTION_USERS].status;
    if (st == SECTION_OK && s->tables[KIND_USER].left_out + sample_rows(s, KIND_USER) > 0)
        sample_set_u64(s, FIG_USERS_COUNT, 0,
                       s->tables[KIND_USER].left_out + sample_rows(s, KIND_USER));
    else if (st == SECTION_OK)
        sample_set_u64(s, FIG_USERS_COUNT, 0, 0);
}

/* ---- from two ---- */

struct pair {
    const struct sample *before;
    struct sample *now;
    double seconds;
};

/* How much a counter grew. One that fell was set back to 0 in between: psutil's nowrap. */
static bool grown(const struct pair *p, enum figure f, uint32_t row_before, uint32_t row,
                  double *out)
{
    uint64_t a, b;
    if (!sample_u64(p->before, f, row_before, &a) || !sample_u64(p->now, f, row, &b))
        return false;
    *out = (double)(b >= a ? b - a : b);
    return true;
}

static void set_rate(struct pair *p, enum figure rate, enum figure counter, uint32_t row_before,
                     uint32_t row)
{
    double d;
    if (grown(p, counter, row_before, row, &d))
        sample_set(p->now, rate, row, d / p->seconds);
}

/* The row of `before` with the same key as row `row` of now; most often it is at the same place. */
static bool same_row(const struct pair *p, enum figure key, uint32_t row, uint32_t *out)
{
    const char *text = sample_text(p->now, key, row);
    uint64_t n = 0, m = 0;
    bool number = sample_u64(p->now, key, row, &n);
    uint32_t rows = sample_rows(p->before, figure_kind(key));
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t r = (row + i) % rows;
        const char *other = sample_text(p->before, key, r);
        bool same = text != NULL ? other != NULL && strcmp(text, other) == 0
                                 : number && sample_u64(p->before, key, r, &m) && m == n;
        if (same) {
            *out = r;
            return true;
        }
    }
    return false;
}

/* Shares of the ten modes, first one `share` and ticks from `ticks` on, and of what is busy. */
static void shares(struct pair *p, enum figure percent, enum figure share, enum figure ticks,
                   uint32_t row_before, uint32_t row)
{
    double d[MODES] = {0}, total = 0;
    bool known[MODES];
    for (int i = 0; i < MODES; i++) {
        uint64_t a, b;
        known[i] = sample_u64(p->before, (enum figure)(ticks + i), row_before, &a) &&
                   sample_u64(p->now, (enum figure)(ticks + i), row, &b);
        d[i] = known[i] && b > a ? (double)(b - a) : 0;
        total += d[i];
    }
    if (!known[USER] || !known[SYSTEM] || !known[IDLE])
        return;
    total -= d[GUEST] + d[GUEST_NICE]; /* they are in user and nice already */
    for (int i = 0; i < MODES; i++)
        if (known[i])
            set_share(p->now, (enum figure)(share + i), row, d[i], total);
    set_share(p->now, percent, row, total - d[IDLE] - d[IOWAIT], total);
}

/* node_exporter's: no time of a CPU goes back, unless the CPU went away and came again. */
static bool hold_back(struct pair *p, uint32_t row_before, uint32_t row)
{
    uint64_t a, b;
    if (sample_u64(p->before, FIG_PERCPU_T_IDLE, row_before, &a) &&
        sample_u64(p->now, FIG_PERCPU_T_IDLE, row, &b) && a > b &&
        a - b >= (uint64_t)HOTPLUG_S * p->now->hz)
        return false;
    for (int i = 0; i < MODES; i++) {
        enum figure f = (enum figure)(FIG_PERCPU_T_USER + i);
        if (sample_u64(p->before, f, row_before, &a) && sample_u64(p->now, f, row, &b) && a > b)
            sample_set_u64(p->now, f, row, a);
    }
    return true;
}

static void cpus(struct pair *p)
{
    uint32_t b;
    shares(p, FIG_CPU_PERCENT, FIG_CPU_USER, FIG_CPU_T_USER, 0, 0);
    set_rate(p, FIG_CTX_RATE, FIG_CTX, 0, 0);
    set_rate(p, FIG_INTR_RATE, FIG_INTR, 0, 0);
    set_rate(p, FIG_FORK_RATE, FIG_FORKS, 0, 0);
    for (uint32_t r = 0; r < sample_rows(p->now, KIND_CPU); r++)
        if (same_row(p, FIG_PERCPU_CPU, r, &b) && hold_back(p, b, r))
            shares(p, FIG_PERCPU_PERCENT, FIG_PERCPU_USER, FIG_PERCPU_T_USER, b, r);
}

static void swap(struct pair *p)
{
    set_rate(p, FIG_SWAP_IN_RATE, FIG_SWAP_SIN, 0, 0);
    set_rate(p, FIG_SWAP_OUT_RATE, FIG_SWAP_SOUT, 0, 0);
}

static void disk(struct pair *p, uint32_t b, uint32_t r)
{
    double reads, writes, read_ms, write_ms, busy;
    set_rate(p, FIG_IO_READ_RATE, FIG_IO_READ_BYTES, b, r);
    set_rate(p, FIG_IO_WRITE_RATE, FIG_IO_WRITE_BYTES, b, r);
    set_rate(p, FIG_IO_READS, FIG_IO_READ_COUNT, b, r);
    set_rate(p, FIG_IO_WRITES, FIG_IO_WRITE_COUNT, b, r);
    if (grown(p, FIG_IO_BUSY_TIME, b, r, &busy))
        set_share(p->now, FIG_IO_BUSY, r, busy / 1000, p->seconds);
    if (grown(p, FIG_IO_READ_COUNT, b, r, &reads) && grown(p, FIG_IO_WRITE_COUNT, b, r, &writes) &&
        grown(p, FIG_IO_READ_TIME, b, r, &read_ms) &&
        grown(p, FIG_IO_WRITE_TIME, b, r, &write_ms) && reads + writes > 0)
        sample_set(p->now, FIG_IO_AWAIT, r, (read_ms + write_ms) / (reads + writes));
}

static void add(struct sample *s, enum figure sum, enum figure f, uint32_t row)
{
    double v, before = 0;
    (void)sample_number(s, sum, 0, &before);
    if (sample_number(s, f, row, &v))
        sample_set(s, sum, 0, before + v);
}

static void disks(struct pair *p)
{
    struct sample *s = p->now;
    uint32_t b, physical = 0, rows = sample_rows(s, KIND_DISKIO);
    for (uint32_t r = 0; r < rows; r++) {
        if (same_row(p, FIG_IO_NAME, r, &b))
            disk(p, b, r);
        raise(s, FIG_MAX_BUSY, FIG_IO_BUSY, r);
        physical += sample_true(s, FIG_IO_PHYSICAL, r);
    }
    for (uint32_t r = 0; r < rows; r++)
        if (sample_true(s, physical > 0 ? FIG_IO_PHYSICAL : FIG_IO_TOTAL, r)) {
            add(s, FIG_SUM_READ, FIG_IO_READ_RATE, r);
            add(s, FIG_SUM_WRITE, FIG_IO_WRITE_RATE, r);
        }
}

static void two_rates(struct pair *p, enum figure rate, enum figure one, enum figure two,
                      uint32_t b, uint32_t r)
{
    double in, out;
    if (grown(p, one, b, r, &in) && grown(p, two, b, r, &out))
        sample_set(p->now, rate, r, (in + out) / p->seconds);
}

static void nic(struct pair *p, uint32_t b, uint32_t r)
{
    set_rate(p, FIG_NET_RECV_RATE, FIG_NET_BYTES_RECV, b, r);
    set_rate(p, FIG_NET_SENT_RATE, FIG_NET_BYTES_SENT, b, r);
    set_rate(p, FIG_NET_RECV_PACKETS, FIG_NET_PACKETS_RECV, b, r);
    set_rate(p, FIG_NET_SENT_PACKETS, FIG_NET_PACKETS_SENT, b, r);
    two_rates(p, FIG_NET_ERROR_RATE, FIG_NET_ERRIN, FIG_NET_ERROUT, b, r);
    two_rates(p, FIG_NET_DROP_RATE, FIG_NET_DROPIN, FIG_NET_DROPOUT, b, r);
}

static bool is_loopback(const struct sample *s, uint32_t r)
{
    const char *name = sample_text(s, FIG_NET_NAME, r), *flags = sample_text(s, FIG_NET_FLAGS, r);
    return (flags != NULL && strstr(flags, "loopback") != NULL) ||
           (flags == NULL && name != NULL && strcmp(name, "lo") == 0);
}

static void nics(struct pair *p)
{
    struct sample *s = p->now;
    uint32_t b;
    for (uint32_t r = 0; r < sample_rows(s, KIND_NIC); r++) {
        if (same_row(p, FIG_NET_NAME, r, &b))
            nic(p, b, r);
        if (is_loopback(s, r))
            continue;
        add(s, FIG_SUM_RECV, FIG_NET_RECV_RATE, r);
        add(s, FIG_SUM_SENT, FIG_NET_SENT_RATE, r);
        add(s, FIG_SUM_ERRORS, FIG_NET_ERROR_RATE, r);
        add(s, FIG_SUM_ERRORS, FIG_NET_DROP_RATE, r);
    }
}

/* The same pid with another start is another process. */
static bool same_process(const struct pair *p, uint32_t row, uint32_t *out)
{
    uint64_t start, other;
    return same_row(p, FIG_PROC_PID, row, out) && sample_u64(p->now, FIG_PROC_START, row, &start) &&
           sample_u64(p->before, FIG_PROC_START, *out, &other) && start == other;
}

static void set_cpu(struct sample *s, uint32_t row, double cpu_seconds, double seconds)
{
    sample_set(s, FIG_PROC_CPU, row, figure_round1(cpu_seconds / seconds * 100));
}

/* Of one that did not lead before: what the host says that it used since, and in which time. */
static void recent_rates(struct sample *s, uint32_t row)
{
    double us, v;
    if (!sample_number(s, FIG_PROCS_RECENT, 0, &us) || us <= 0)
        return;
    if (sample_number(s, FIG_PROC_CPU_RECENT, row, &v))
        set_cpu(s, row, v, us / 1e6);
    if (sample_number(s, FIG_PROC_READ_RECENT, row, &v))
        sample_set(s, FIG_PROC_READ_RATE, row, v / (us / 1e6));
    if (sample_number(s, FIG_PROC_WRITE_RECENT, row, &v))
        sample_set(s, FIG_PROC_WRITE_RATE, row, v / (us / 1e6));
}

static void process_rates(struct pair *p)
{
    double user, system;
    uint32_t b;
    for (uint32_t r = 0; r < sample_rows(p->now, KIND_PROCESS); r++) {
        if (!same_process(p, r, &b)) {
            recent_rates(p->now, r);
            continue;
        }
        set_rate(p, FIG_PROC_READ_RATE, FIG_PROC_READ, b, r);
        set_rate(p, FIG_PROC_WRITE_RATE, FIG_PROC_WRITE, b, r);
        if (grown(p, FIG_PROC_CPU_USER, b, r, &user) &&
            grown(p, FIG_PROC_CPU_SYSTEM, b, r, &system))
            set_cpu(p->now, r, (user + system) / p->now->hz, p->seconds);
    }
}

/* Sections are read one after the other, and one that waited for a mount delays those after it. */
static double section_seconds(const struct pair *p, enum stats_section s)
{
    int64_t ns = (int64_t)(p->now->mono_ns - p->before->mono_ns);
    int64_t late = (int64_t)p->now->sections[s].at_us - (int64_t)p->before->sections[s].at_us;
    return ((double)ns + (double)late * 1000) / 1e9;
}

enum rates_state rates_work_out(const struct sample *before, struct sample *now)
{
    alone(now);
    if (before == NULL)
        return RATES_FIRST;
    if (strcmp(before->boot_id, now->boot_id) != 0) {
        now->rebooted = true;
        return RATES_REBOOT;
    }
    if (now->mono_ns <= before->mono_ns)
        return RATES_CLOCK;
    static const struct {
        enum stats_section section;
        void (*work_out)(struct pair *p);
    } parts[] = {{SECTION_CPU, cpus},
                 {SECTION_SWAP, swap},
                 {SECTION_DISKIO, disks},
                 {SECTION_NET, nics},
                 {SECTION_PROCESSES, process_rates}};
    now->elapsed = (double)(now->mono_ns - before->mono_ns) / 1e9;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct pair p = {.before = before, .now = now};
        p.seconds = section_seconds(&p, parts[i].section);
        if (p.seconds > 0)
            parts[i].work_out(&p);
    }
    return RATES_OK;
}
