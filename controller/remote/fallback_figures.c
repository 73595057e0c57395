/* The figures of fallback.h, section by section. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controller/remote/fallback.h"
#include "controller/remote/fallback_int.h"

/* A table's columns and rows; at most FALLBACK_MAX_ROWS. */
struct table {
    struct wire_out *w;
    size_t at, rows;
};

static void table_open(struct table *t, struct wire_out *w, const char *name,
                       const char *const *cols, size_t n)
{
    *t = (struct table){.w = w};
    wire_add_key(w, name);
    wire_add_map(w, 2);
    wire_add_key(w, "cols");
    wire_add_array(w, n);
    for (size_t i = 0; i < n; i++)
        wire_add_str(w, cols[i]);
    wire_add_key(w, "rows");
    t->at = wire_open_array(w);
}

static bool table_row(struct table *t, size_t cols)
{
    if (t->rows == FALLBACK_MAX_ROWS)
        return false;
    t->rows++;
    wire_add_array(t->w, cols);
    return true;
}

static void table_close(struct table *t)
{
    wire_close_counted(t->w, t->at, t->rows);
}

static void nils(struct wire_out *w, size_t n)
{
    while (n-- > 0)
        wire_add_nil(w);
}

static size_t words_of(struct piece line, struct piece *words, size_t max)
{
    size_t n = 0;
    while (n < max && piece_word(&line, &words[n]))
        n++;
    return n;
}

/* The number after `key` at the beginning of a line, as in "ctxt 123". */
static bool keyed(struct piece text, const char *key, uint64_t *v)
{
    struct piece line, word;
    while (piece_line(&text, &line))
        if (piece_word(&line, &word) && piece_is(word, key))
            return piece_word(&line, &word) && piece_u64(word, v);
    return false;
}

/* ---- host ---------------------------------------------------------------------------------- */

/* NAME=value or NAME="value" of os-release. */
static bool os_release(const struct output *o, const char *name, struct piece *v)
{
    struct piece text, line;
    size_t n = strlen(name);
    if (!piece_find(o, "os", &text))
        return false;
    while (piece_line(&text, &line))
        if (line.n > n + 1 && memcmp(line.p, name, n) == 0 && line.p[n] == '=') {
            *v = (struct piece){line.p + n + 1, line.n - n - 1};
            if (v->n >= 2 && (v->p[0] == '"' || v->p[0] == 0x27) && v->p[v->n - 1] == v->p[0])
                *v = (struct piece){v->p + 1, v->n - 2};
            return true;
        }
    return false;
}

static bool hides_processes(const struct output *o)
{
    struct piece text, line, words[4];
    if (o->uid == 0 || !piece_find(o, "mounts", &text))
        return false;
    while (piece_line(&text, &line))
        if (words_of(line, words, 4) == 4 && piece_is(words[1], "/proc") &&
            memmem(words[3].p, words[3].n, "hidepid=", 8) != NULL &&
            memmem(words[3].p, words[3].n, "hidepid=0", 9) == NULL)
            return true;
    return false;
}

size_t figures_host(const struct output *o, struct wire_out *w)
{
    static const char *const names[] = {"sysname", "nodename", "release", "version", "machine"};
    struct piece text = {"", 0}, line, v;
    uint64_t number;
    size_t n = 0;
    if (!piece_find(o, "names", &text))
        return 0;
    for (; n < 5 && piece_line(&text, &line); n++) {
        wire_add_key(w, names[n]);
        put_text(w, line);
    }
    if (os_release(o, "ID", &v)) {
        wire_add_key(w, "os_id");
        put_text(w, v);
        n++;
    }
    if (os_release(o, "PRETTY_NAME", &v)) {
        wire_add_key(w, "os_name");
        put_text(w, v);
        n++;
    }
    if (piece_find(o, "stat", &text) && keyed(text, "btime", &number)) {
        wire_put_u64(w, "boot_time", number);
        n++;
    }
    if (piece_find(o, "uptime", &text) && piece_line(&text, &line) && piece_word(&line, &v)) {
        char seconds[32];
        snprintf(seconds, sizeof seconds, "%.*s", (int)(v.n < 31 ? v.n : 31), v.p);
        wire_put_u64(w, "uptime_ms", (uint64_t)(strtod(seconds, NULL) * 1000 + 0.5));
        n++;
    }
    wire_put_str(w, "process_visibility", hides_processes(o) ? "own" : "all");
    return n + 1;
}

/* ---- cpu ----------------------------------------------------------------------------------- */

static const char *const cpu_names[] = {"cpu", "user",    "nice",  "system", "idle",      "iowait",
                                        "irq", "softirq", "steal", "guest",  "guest_nice"};
enum { CPU_FIELDS = 10 };

static size_t cpu_times(struct piece line, uint64_t t[CPU_FIELDS])
{
    struct piece word;
    size_t n = 0;
    while (n < CPU_FIELDS && piece_word(&line, &word) && piece_u64(word, &t[n]))
        n++;
    return n;
}

static size_t all_cpus(struct piece text, struct wire_out *w)
{
    struct piece line, word;
    uint64_t t[CPU_FIELDS];
    while (piece_line(&text, &line)) {
        if (!piece_word(&line, &word) || !piece_is(word, "cpu"))
            continue;
        size_t n = cpu_times(line, t);
        if (n < 4)
            return 0;
        wire_add_key(w, "times");
        wire_add_map(w, n);
        for (size_t i = 0; i < n; i++)
            wire_put_u64(w, cpu_names[i + 1], t[i]);
        return n;
    }
    return 0;
}

static void each_cpu(struct piece text, struct wire_out *w, size_t fields)
{
    struct piece line, word;
    struct table table;
    uint64_t t[CPU_FIELDS], number, count = 0;
    table_open(&table, w, "percpu", cpu_names, fields + 1);
    while (piece_line(&text, &line)) {
        if (!piece_word(&line, &word) || word.n < 4 || memcmp(word.p, "cpu", 3) != 0 ||
            !piece_u64((struct piece){word.p + 3, word.n - 3}, &number))
            continue;
        count++;
        size_t n = cpu_times(line, t);
        if (!table_row(&table, fields + 1))
            continue;
        wire_add_u64(w, number);
        for (size_t i = 0; i < fields && i < n; i++)
            wire_add_u64(w, t[i]);
        nils(w, n < fields ? fields - n : 0);
    }
    table_close(&table);
    wire_put_u64(w, "logical", count);
}

static size_t loads(const struct output *o, struct wire_out *w)
{
    static const char *const names[] = {"load1", "load5", "load15"};
    struct piece text, line, word;
    size_t n = 0;
    if (!piece_find(o, "loadavg", &text) || !piece_line(&text, &line))
        return 0;
    for (; n < 3 && piece_word(&line, &word) && word.n < 16; n++) {
        char number[16] = "";
        memcpy(number, word.p, word.n);
        wire_put_f64(w, names[n],
                     strspn(number, "0123456789.") == word.n ? strtod(number, NULL) : 0);
    }
    return n;
}

size_t figures_cpu(const struct output *o, struct wire_out *w)
{
    static const char *const names[][2] = {
        {"ctxt", "ctx_switches"},           {"intr", "interrupts"},
        {"softirq", "soft_interrupts"},     {"processes", "forks"},
        {"procs_running", "procs_running"}, {"procs_blocked", "procs_blocked"},
    };
    struct piece text;
    uint64_t v;
    if (!piece_find(o, "stat", &text))
        return 0;
    size_t fields = all_cpus(text, w), n = 3;
    if (fields == 0)
        return 0;
    each_cpu(text, w, fields);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (keyed(text, names[i][0], &v)) {
            wire_put_u64(w, names[i][1], v);
            n++;
        }
    wire_put_u64(w, "syscalls", 0); /* Linux does not count them; psutil says 0 */
    wire_add_key(w, "cores");
    wire_add_nil(w);
    return n + 2 + loads(o, w);
}

/* ---- memory and swap ----------------------------------------------------------------------- */

/* "MemTotal:  123 kB" in bytes; UINT64_MAX when it is not there. */
static uint64_t meminfo(struct piece text, const char *key)
{
    struct piece line, word;
    uint64_t v;
    size_t n = strlen(key);
    while (piece_line(&text, &line))
        if (line.n > n && memcmp(line.p, key, n) == 0 && line.p[n] == ':') {
            struct piece rest = {line.p + n + 1, line.n - n - 1};
            return piece_word(&rest, &word) && piece_u64(word, &v) && v < UINT64_MAX / 4096
                       ? v * 1024
                       : 0;
        }
    return UINT64_MAX;
}

static uint64_t or_zero(uint64_t v)
{
    return v == UINT64_MAX ? 0 : v;
}

size_t figures_memory(const struct output *o, struct wire_out *w)
{
    struct piece t;
    if (!piece_find(o, "meminfo", &t))
        return 0;
    uint64_t total = meminfo(t, "MemTotal"), free = meminfo(t, "MemFree");
    if (total == UINT64_MAX || free == UINT64_MAX)
        return 0;
    uint64_t page_cache = or_zero(meminfo(t, "Cached")), left = or_zero(meminfo(t, "MemAvailable"));
    uint64_t cached = page_cache + or_zero(meminfo(t, "SReclaimable"));
    if (left == 0)
        left = free + page_cache; /* before Linux 3.14; psutil's last resort */
    if (left > total)
        left = free < total ? free : total;
    wire_put_u64(w, "total", total);
    wire_put_u64(w, "available", left);
    wire_put_u64(w, "used", total - left);
    wire_put_u64(w, "free", free);
    wire_put_u64(w, "active", or_zero(meminfo(t, "Active")));
    wire_put_u64(w, "inactive", or_zero(meminfo(t, "Inactive")));
    wire_put_u64(w, "buffers", or_zero(meminfo(t, "Buffers")));
    wire_put_u64(w, "cached", cached);
    wire_put_u64(w, "shared", or_zero(meminfo(t, "Shmem")));
    wire_put_u64(w, "slab", or_zero(meminfo(t, "Slab")));
    return 10;
}

size_t figures_swap(const struct output *o, struct wire_out *w)
{
    struct piece t, vm;
    uint64_t in = 0, out = 0;
    if (!piece_find(o, "meminfo", &t))
        return 0;
    uint64_t total = meminfo(t, "SwapTotal"), free = meminfo(t, "SwapFree");
    if (total == UINT64_MAX || free == UINT64_MAX)
        return 0;
    if (piece_find(o, "vmstat", &vm) && !(keyed(vm, "pswpin", &in) && keyed(vm, "pswpout", &out)))
        in = out = 0;
    wire_put_u64(w, "total", total);
    wire_put_u64(w, "used", total > free ? total - free : 0);
    wire_put_u64(w, "free", free);
    wire_put_u64(w, "sin", in * o->page);
    wire_put_u64(w, "sout", out * o->page);
    return 5;
}

/* What is looked up again for each row, and is therefore kept short: a host pays for what it makes
 * us read, and not the other way round. */
enum { MOST_LOOKUP = 64 * 1024, MOST_MOUNTS = 200 };

static struct piece lookup(const struct output *o, const char *name)
{
    struct piece p = {"", 0};
    (void)piece_find(o, name, &p);
    p.n = p.n < MOST_LOOKUP ? p.n : MOST_LOOKUP;
    return p;
}

/* ---- disk ---------------------------------------------------------------------------------- */

/* A file system that has a device behind it, as psutil's disk_partitions has it. */
static bool on_a_device(struct piece filesystems, struct piece type)
{
    struct piece text = filesystems, line, word;
    if (piece_is(type, "zfs"))
        return true;
    while (piece_line(&text, &line))
        if (line.p[0] == '\t' && piece_word(&line, &word) && word.n == type.n &&
            memcmp(word.p, type.p, type.n) == 0)
            return true;
    return false;
}

/* The line of /proc/self/mounts for a mount point as df prints it; the last one counts. */
static bool mount_of(struct piece mounts, struct piece point, struct piece words[4])
{
    struct piece text = mounts, line, w[4];
    bool found = false;
    while (piece_line(&text, &line))
        if (words_of(line, w, 4) == 4 && w[1].n == point.n &&
            memcmp(w[1].p, point.p, point.n) == 0) {
            memcpy(words, w, sizeof w);
            found = true;
        }
    return found;
}

/* "DEVICE 1024-blocks used available capacity% POINT": the point may hold blanks, a device rarely.
 */
static bool df_line(struct piece line, uint64_t kib[3], struct piece *point)
{
    struct piece word;
    if (!piece_word(&line, &word))
        return false;
    for (int i = 0; i < 3; i++)
        if (!piece_word(&line, &word) || !piece_u64(word, &kib[i]) || kib[i] > UINT64_MAX / 2048)
            return false;
    if (!piece_word(&line, &word) || line.n < 2)
        return false;
    *point = (struct piece){line.p + 1, line.n - 1};
    return true;
}

size_t figures_disk(const struct output *o, struct wire_out *w)
{
    static const char *const cols[] = {"device", "mountpoint", "fstype", "opts",       "total",
                                       "used",   "free",       "files",  "files_free", "status"};
    struct piece text, line, point, m[4], mounts = lookup(o, "mounts");
    struct piece filesystems = lookup(o, "filesystems");
    struct table t;
    uint64_t kib[3];
    if (!piece_find(o, "df", &text))
        return 0;
    table_open(&t, w, "mounts", cols, 10);
    while (piece_line(&text, &line)) {
        if (!df_line(line, kib, &point) || t.rows == MOST_MOUNTS || !mount_of(mounts, point, m) ||
            !on_a_device(filesystems, m[2]) || !table_row(&t, 10))
            continue;
        put_text(w, m[0]);
        put_text(w, point);
        put_text(w, m[2]);
        put_text(w, m[3]);
        for (int i = 0; i < 3; i++)
            wire_add_u64(w, kib[i] * 1024);
        nils(w, 2);
        wire_add_str(w, "ok");
    }
    table_close(&t);
    return 1;
}

/* ---- diskio -------------------------------------------------------------------------------- */

static bool is_block(struct piece block, struct piece name)
{
    struct piece text = block, line;
    while (piece_line(&text, &line))
        if (line.n == name.n) {
            size_t i = 0; /* in /sys/block a slash of a name is an exclamation mark */
            while (i < name.n && (line.p[i] == name.p[i] || (name.p[i] == '/' && line.p[i] == '!')))
                i++;
            if (i == name.n)
                return true;
        }
    return false;
}

static bool is_physical(struct piece name)
{
    static const char *const others[] = {"loop", "ram", "zram", "dm-", "md", "nbd"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (name.n >= strlen(others[i]) && memcmp(name.p, others[i], strlen(others[i])) == 0)
            return false;
    return true;
}

static uint64_t sectors(uint64_t n)
{
    return n < UINT64_MAX / 512 ? n * 512 : UINT64_MAX;
}

static void put_disk(struct wire_out *w, struct piece name, const uint64_t v[11], bool whole)
{
    put_text(w, name);
    wire_add_u64(w, v[0]);
    wire_add_u64(w, v[4]);
    wire_add_u64(w, sectors(v[2]));
    wire_add_u64(w, sectors(v[6]));
    wire_add_u64(w, v[3]);
    wire_add_u64(w, v[7]);
    wire_add_u64(w, v[1]);
    wire_add_u64(w, v[5]);
    wire_add_u64(w, v[9]);
    wire_add_u64(w, v[8]);
    wire_add_u64(w, v[10]);
    wire_add_bool(w, whole);
    wire_add_bool(w, whole && is_physical(name));
}

size_t figures_diskio(const struct output *o, struct wire_out *w)
{
    static const char *const cols[] = {"name",       "read_count",        "write_count",
                                       "read_bytes", "write_bytes",       "read_time",
                                       "write_time", "read_merged_count", "write_merged_count",
                                       "busy_time",  "in_flight",         "weighted_time",
                                       "total",      "physical"};
    struct piece text, line, words[14], block = lookup(o, "block");
    struct table t;
    uint64_t v[11];
    if (!piece_find(o, "diskstats", &text))
        return 0;
    table_open(&t, w, "disks", cols, 14);
    while (piece_line(&text, &line)) {
        size_t n = words_of(line, words, 14), i = 0;
        while (n == 14 && i < 11 && piece_u64(words[3 + i], &v[i]))
            i++;
        if (i == 11 && table_row(&t, 14))
            put_disk(w, words[2], v, is_block(block, words[2]));
    }
    table_close(&t);
    return 1;
}

/* ---- net ----------------------------------------------------------------------------------- */

static bool net_line(struct piece line, struct piece *name, uint64_t v[16])
{
    const char *colon = memrchr(line.p, ':', line.n);
    struct piece rest, word;
    if (colon == NULL)
        return false;
    struct piece head = {line.p, (size_t)(colon - line.p)};
    rest = (struct piece){colon + 1, line.n - head.n - 1};
    if (!piece_word(&head, name))
        return false;
    for (int i = 0; i < 16; i++)
        if (!piece_word(&rest, &word) || !piece_u64(word, &v[i]))
            return false;
    return true;
}

size_t figures_net(const struct output *o, struct wire_out *w)
{
    static const char *const cols[] = {
        "name",   "bytes_sent", "bytes_recv", "packets_sent", "packets_recv", "errin", "errout",
        "dropin", "dropout",    "isup",       "duplex",       "speed",        "mtu",   "flags"};
    /* of /proc/net/dev: received bytes packets errs drop …, from 8 on sent ones */
    static const int order[] = {8, 0, 9, 1, 2, 10, 3, 11};
    struct piece text, line, name;
    struct table t;
    uint64_t v[16];
    if (!piece_find(o, "netdev", &text))
        return 0;
    table_open(&t, w, "nics", cols, 14);
    while (piece_line(&text, &line)) {
        if (!net_line(line, &name, v) || !table_row(&t, 14))
            continue;
        put_text(w, name);
        for (int i = 0; i < 8; i++)
            wire_add_u64(w, v[order[i]]);
        nils(w, 5);
    }
    table_close(&t);
    return 1;
}
