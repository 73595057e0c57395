/* Section cpu: times of all and of each CPU, counts, load and frequencies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/core_int.h"
#include "common/mem.h"

enum { MOST_CPUS = 1024, MOST_FREQS = 64, FIELDS = 10 };

static const char *const field_names[] = {"cpu",   "user",   "nice",      "system",
                                          "idle",  "iowait", "irq",       "softirq",
                                          "steal", "guest",  "guest_nice"};

/* The numbers behind "cpu" or "cpuN", as many as there are, at most FIELDS. */
static size_t times_of(struct span line, uint64_t times[FIELDS])
{
    size_t n = 0;
    for (struct span w; n < FIELDS && span_word(&line, &w) && span_u64(w, &times[n]);)
        n++;
    return n;
}

static bool cpu_line(struct span *line, struct span *name)
{
    return span_word(line, name) && span_starts(*name, "cpu");
}

/* Returns how many fields this kernel has. */
static size_t total_times(struct sample *s, struct span rest)
{
    struct span line, name;
    uint64_t times[FIELDS];
    while (span_line(&rest, &line)) {
        if (!cpu_line(&line, &name) || name.n != 3)
            continue;
        size_t n = times_of(line, times);
        if (n < 4)
            break;
        struct emit_map outer = emit_open_map(s, "times");
        for (size_t i = 0; i < n; i++)
            emit_u64(s, field_names[i + 1], times[i]);
        emit_close_map(s, outer);
        return n;
    }
    section_fail(s, EINVAL, "stat: cpu");
    return 0;
}

static void times_per_cpu(struct sample *s, struct span rest, size_t fields)
{
    struct rows t;
    struct span line, name;
    uint64_t times[FIELDS], number;
    if (!rows_open(s, &t, "percpu", field_names, fields + 1, MOST_CPUS))
        return;
    while (span_line(&rest, &line)) {
        if (!cpu_line(&line, &name) || !span_u64(span_skip(name, 3), &number))
            continue;
        size_t n = times_of(line, times);
        if (!rows_next(s, &t))
            continue;
        wire_add_u64(&s->w, number);
        for (size_t i = 0; i < fields; i++)
            emit_add_u64_if(s, i < n, times[i < n ? i : 0]);
    }
    rows_close(s, &t);
}

static void counts(struct sample *s, struct span rest)
{
    static const char *const names[][2] = {
        {"ctxt", "ctx_switches"},           {"intr", "interrupts"},
        {"softirq", "soft_interrupts"},     {"processes", "forks"},
        {"procs_running", "procs_running"}, {"procs_blocked", "procs_blocked"},
    };
    bool seen[sizeof names / sizeof names[0]] = {false};
    struct span line, word, number;
    uint64_t v;
    while (span_line(&rest, &line)) {
        if (!span_word(&line, &word))
            continue;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (!seen[i] && span_is(word, names[i][0]) && span_word(&line, &number) &&
                span_u64(number, &v)) {
                emit_u64(s, names[i][1], v);
                seen[i] = true;
            }
    }
    emit_u64(s, "syscalls", 0); /* Linux does not count them; psutil says 0 */
}

static void load(struct sample *s)
{
    static const char *const names[] = {"load1", "load5", "load15"};
    char text[CORE_VALUE];
    struct span v, words[3];
    double load[3];
    int sys = core_value(s->c, "proc/loadavg", text, &v);
    if (sys == 0 && (span_words(v, words, 3) < 3 || !span_f64(words[0], &load[0]) ||
                     !span_f64(words[1], &load[1]) || !span_f64(words[2], &load[2])))
        sys = EINVAL;
    if (sys != 0) {
        section_fail(s, sys, "loadavg");
        return;
    }
    for (int i = 0; i < 3; i++)
        emit_f64(s, names[i], load[i]);
}

/* ---- how many ---- */

/* "0-3,8,10-11" */
static bool count_list(struct span list, uint64_t *count)
{
    uint64_t total = 0;
    for (struct span part, low; list.n > 0;) {
        uint64_t from, to;
        if (!span_until(&list, ',', &part)) {
            part = list;
            list.n = 0;
        }
        bool range = span_until(&part, '-', &low);
        if (!span_u64(range ? low : part, &from) || !span_u64(part, &to) || to < from ||
            to - from > UINT16_MAX)
            return false;
        total += to - from + 1;
        if (total > UINT16_MAX)
            return false;
    }
    *count = total;
    return total > 0;
}

static uint64_t count_lines(struct span rest, bool (*is)(struct span line))
{
    uint64_t n = 0;
    for (struct span line; span_line(&rest, &line);)
        n += is(line);
    return n;
}

static bool is_processor(struct span line)
{
    return span_starts(line, "processor");
}

static bool is_cpu(struct span line)
{
    return span_starts(line, "cpu") && line.n > 3 && line.p[3] >= '0' && line.p[3] <= '9';
}

static uint64_t logical(struct sample *s, struct span online, struct span stat)
{
    uint64_t n;
    struct span info;
    if (count_list(online, &n))
        return n;
    if (core_read(s->c, &s->c->file, "proc/cpuinfo", &info) == 0 &&
        (n = count_lines(info, is_processor)) > 0)
        return n;
    return count_lines(stat, is_cpu);
}

/* CPUs of one core name the same list: as many cores as there are different lists. */
static uint32_t cores_of_topology(struct core *c)
{
    static const char *const files[] = {"core_cpus_list", "thread_siblings_list"};
    struct core_names names;
    uint32_t cores = 0;
    if (core_names(c, &names, "sys/devices/system/cpu", "cpu") != 0)
        return 0;
    struct span *lists = mem_calloc(names.n + 1, sizeof *lists);
    char(*text)[CORE_VALUE] = mem_calloc(names.n + 1, sizeof *text);
    if (lists == NULL || text == NULL)
        c->nomem = true;
    for (int f = 0; f < 2 && cores == 0 && !c->nomem; f++)
        for (size_t i = 0; i < names.n; i++) {
            char path[CORE_PATH];
            struct span *mine = &lists[cores];
            if (!core_path(path, "sys/devices/system/cpu/%s/topology/%s", names.name[i],
                           files[f]) ||
                core_value(c, path, text[cores], mine) != 0)
                continue;
            uint32_t k = 0;
            while (k < cores &&
                   (lists[k].n != mine->n || memcmp(lists[k].p, mine->p, mine->n) != 0))
                k++;
            cores += k == cores;
        }
    mem_free(lists);
    mem_free(text);
    core_names_free(&names);
    return cores;
}

/* `cpu cores` of each `physical id` once. */
static uint32_t cores_of_cpuinfo(struct core *c)
{
    enum { SOCKETS = 64 };
    uint64_t ids[SOCKETS], id = UINT64_MAX, cores = UINT64_MAX, v, sum = 0;
    size_t n = 0;
    struct span rest, line, key;
    if (core_read(c, &c->file, "proc/cpuinfo", &rest) != 0)
        return 0;
    while (n < SOCKETS && span_line(&rest, &line)) {
        if (span_until(&line, ':', &key) && span_u64(span_trim(line), &v)) {
            if (span_is(span_trim(key), "physical id"))
                id = v;
            else if (span_is(span_trim(key), "cpu cores"))
                cores = v;
        } else if (span_trim(line).n == 0) {
            id = cores = UINT64_MAX;
        }
        if (id == UINT64_MAX || cores > UINT16_MAX)
            continue;
        size_t k = 0;
        while (k < n && ids[k] != id)
            k++;
        if (k == n) {
            ids[n++] = id;
            sum += cores;
        }
        id = cores = UINT64_MAX;
    }
    return (uint32_t)sum;
}

/* Found once, and again when CPUs come or go: it is a file for each of them. */
static uint32_t cores(struct core *c, struct span online)
{
    if (!c->cpus.known || c->cpus.online_len != online.n ||
        memcmp(c->cpus.online, online.p, online.n) != 0) {
        uint32_t n = cores_of_topology(c);
        c->cpus.cores = n > 0 || c->nomem ? n : cores_of_cpuinfo(c);
        memcpy(c->cpus.online, online.p, online.n);
        c->cpus.online_len = online.n;
        c->cpus.known = !c->nomem;
    }
    return c->cpus.cores;
}

static uint64_t numbers(struct sample *s, struct span stat)
{
    char text[CORE_VALUE];
    struct span online;
    if (!emit_wants(s, "logical") && !emit_wants(s, "cores") && !emit_wants(s, "freq"))
        return 0;
    if (core_value(s->c, "sys/devices/system/cpu/online", text, &online) != 0 ||
        online.n == CORE_VALUE) /* cut */
        online = span_of("");
    uint64_t n = logical(s, online, stat);
    uint32_t physical = cores(s->c, online);
    if (n > 0)
        emit_u64(s, "logical", n);
    else
        emit_nil(s, "logical");
    if (physical > 0)
        emit_u64(s, "cores", physical);
    else
        emit_nil(s, "cores");
    return n;
}

/* ---- frequencies ---- */

static bool is_mhz(struct span line, double *mhz)
{
    struct span key;
    return span_until(&line, ':', &key) && key.n >= 7 && strncasecmp(key.p, "cpu mhz", 7) == 0 &&
           span_f64(span_trim(line), mhz);
}

static size_t freqs_of_cpuinfo(struct core *c, double mhz[MOST_FREQS])
{
    struct span rest, line;
    size_t n = 0;
    if (core_read(c, &c->file, "proc/cpuinfo", &rest) != 0)
        return 0;
    while (n < MOST_FREQS && span_line(&rest, &line))
        n += is_mhz(line, &mhz[n]);
    return n;
}

static bool khz(struct core *c, const char *folder, const char *name, const char *file, double *mhz)
{
    char path[CORE_PATH];
    uint64_t v;
    if (!core_path(path, "%s/%s/%s", folder, name, file) || core_value_u64(c, path, &v) != 0)
        return false;
    *mhz = (double)v / 1000;
    return true;
}

static void add_freq(struct sample *s, uint64_t cpu, const double v[3], const bool known[3])
{
    wire_add_u64(&s->w, cpu);
    for (int i = 0; i < 3; i++)
        emit_add_f64_if(s, known[i], v[i]);
}

/* One policy; `current` comes from cpuinfo where that has as many as there are policies. An offline
 * one is all zeroes, as psutil has it. */
static void policy_freq(struct sample *s, const char *folder, const char *name, const double *given)
{
    struct core *c = s->c;
    double v[3] = {0, 0, 0};
    bool known[3] = {given != NULL, false, false};
    uint64_t cpu = 0;
    span_u64(span_skip(span_of(name), strcspn(name, "0123456789")), &cpu);
    if (given != NULL)
        v[0] = *given;
    else
        known[0] = khz(c, folder, name, "scaling_cur_freq", &v[0]) ||
                   khz(c, folder, name, "cpuinfo_cur_freq", &v[0]);
    if (known[0]) {
        known[1] = khz(c, folder, name, "scaling_min_freq", &v[1]);
        known[2] = khz(c, folder, name, "scaling_max_freq", &v[2]);
    } else {
        char path[CORE_PATH];
        uint64_t online = 1;
        if (core_path(path, "sys/devices/system/cpu/cpu%u/online", (unsigned)cpu) &&
            core_value_u64(c, path, &online) == 0 && online == 0)
            known[0] = known[1] = known[2] = true;
    }
    add_freq(s, cpu, v, known);
}

static void freqs_of_policies(struct sample *s, struct rows *t, const char *folder,
                              const struct core_names *names)
{
    double mhz[MOST_FREQS];
    size_t n = names->n <= MOST_FREQS ? freqs_of_cpuinfo(s->c, mhz) : 0;
    for (size_t i = 0; i < names->n && !section_late(s); i++)
        if (rows_next(s, t))
            policy_freq(s, folder, names->name[i], n == names->n ? &mhz[i] : NULL);
}

static void freqs(struct sample *s)
{
    static const char *const cols[] = {"cpu", "current", "min", "max"};
    static const char folder[] = "sys/devices/system/cpu/cpufreq";
    struct core_names names = {0};
    struct rows t;
    if (!rows_open(s, &t, "freq", cols, 4, MOST_CPUS))
        return;
    if (core_names(s->c, &names, folder, "policy") == 0 && names.n > 0) {
        freqs_of_policies(s, &t, folder, &names);
    } else {
        double mhz[MOST_FREQS];
        size_t n = freqs_of_cpuinfo(s->c, mhz);
        for (size_t i = 0; i < n; i++)
            if (rows_next(s, &t))
                add_freq(s, i, (const double[3]){mhz[i], 0, 0}, (const bool[3]){true, true, true});
    }
    core_names_free(&names);
    rows_close(s, &t);
}

void section_cpu(struct sample *s)
{
    struct span stat = {"", 0};
    int sys = sample_stat(s, &stat);
    if (sys != 0) {
        section_fail(s, sys, "stat");
        stat = span_of("");
    } else {
        size_t fields = total_times(s, stat);
        if (fields > 0)
            times_per_cpu(s, stat, fields);
        counts(s, stat);
    }
    load(s);
    /* On a large machine every frequency is asked of its CPU: more than all the rest costs. */
    if (numbers(s, stat) <= MOST_FREQS || s->r->detail)
        freqs(s);
}
