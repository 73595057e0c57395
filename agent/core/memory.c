/* Sections memory and swap: /proc/meminfo by psutil's formulas. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "agent/core/core_int.h"

enum field {
    TOTAL,
    FREE,
    AVAILABLE,
    BUFFERS,
    CACHED,
    SHMEM,
    SHARED,
    ACTIVE,
    INACTIVE,
    INACT_DIRTY,
    INACT_CLEAN,
    INACT_LAUNDRY,
    SLAB,
    RECLAIMABLE,
    ACTIVE_FILE,
    INACTIVE_FILE,
    SWAP_TOTAL,
    SWAP_FREE,
    FIELDS
};

static const char *const kernel_names[FIELDS] = {
    [TOTAL] = "MemTotal",
    [FREE] = "MemFree",
    [AVAILABLE] = "MemAvailable",
    [BUFFERS] = "Buffers",
    [CACHED] = "Cached",
    [SHMEM] = "Shmem",
    [SHARED] = "MemShared",
    [ACTIVE] = "Active",
    [INACTIVE] = "Inactive",
    [INACT_DIRTY] = "Inact_dirty",
    [INACT_CLEAN] = "Inact_clean",
    [INACT_LAUNDRY] = "Inact_laundry",
    [SLAB] = "Slab",
    [RECLAIMABLE] = "SReclaimable",
    [ACTIVE_FILE] = "Active(file)",
    [INACTIVE_FILE] = "Inactive(file)",
    [SWAP_TOTAL] = "SwapTotal",
    [SWAP_FREE] = "SwapFree",
};

/* Below this no sum of a few of them overflows. */
static const int64_t MOST = INT64_MAX / 16;

struct meminfo {
    bool has[FIELDS];
    int64_t v[FIELDS]; /* bytes */
};

/* "MemTotal:  123 kB": the blank behind the colon may be missing. */
static bool split(struct span line, struct span *key, int64_t *number, bool *kilobytes)
{
    struct span word;
    if (!span_until(&line, ':', key) || !span_word(&line, &word) || !span_i64(word, number))
        return false;
    *kilobytes = span_word(&line, &word) && span_is(word, "kB");
    return *number <= MOST / 1024 && *number >= -MOST / 1024;
}

static int read_meminfo(struct sample *s, struct meminfo *m, struct span *text)
{
    int sys = sample_meminfo(s, text);
    struct span rest, line, key;
    int64_t v;
    bool kilobytes;
    *m = (struct meminfo){0};
    if (sys != 0)
        return sys;
    for (rest = *text; span_line(&rest, &line);) {
        if (!split(line, &key, &v, &kilobytes))
            continue;
        for (int i = 0; i < FIELDS; i++)
            if (!m->has[i] && span_is(key, kernel_names[i])) {
                m->has[i] = true;
                m->v[i] = v * 1024;
            }
    }
    return 0;
}

/* Σ of the zones' low watermarks, in bytes; false without zoneinfo. */
static bool low_watermarks(struct sample *s, int64_t *bytes)
{
    struct core_lines l;
    struct span line, words[2];
    uint64_t pages, sum = 0;
    if (core_lines_open(s->c, &l, "proc/zoneinfo") != 0)
        return false;
    while (core_lines_next(&l, &line))
        if (span_words(line, words, 2) >= 2 && span_starts(words[0], "low") &&
            span_u64(words[1], &pages) && pages < (uint64_t)1 << 40 && sum < (uint64_t)1 << 40)
            sum += pages;
    core_lines_close(&l);
    if (sum > (uint64_t)MOST / s->c->page)
        return false;
    *bytes = (int64_t)(sum * s->c->page);
    return true;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What kernels before 3.14 do not say themselves; the kernel's own formula. */
static int64_t estimate(struct sample *s, const struct meminfo *m)
{
    int64_t free = m->v[FREE], low;
    if (!m->has[ACTIVE_FILE] || !m->has[INACTIVE_FILE] || !m->has[RECLAIMABLE] ||
        !low_watermarks(s, &low))
        return free + m->v[CACHED];
    int64_t cache = m->v[ACTIVE_FILE] + m->v[INACTIVE_FILE], slab = m->v[RECLAIMABLE];
    cache -= least(cache / 2, low);
    return free - low + cache + slab - least(slab / 2, low);
}

static void note_missing(struct sample *s, const char *name)
{
    char text[32];
    snprintf(text, sizeof text, "no %s", name);
    section_note(s, text);
}

/* A figure that may be one of several; 0 and a note when none is there. */
static int64_t either(struct sample *s, const struct meminfo *m, const char *name, bool has,
                      int64_t v, enum field other)
{
    if (has)
        return v;
    if (m->has[other])
        return m->v[other];
    note_missing(s, name);
    return 0;
}

static int64_t available(struct sample *s, const struct meminfo *m)
{
    int64_t v = m->has[AVAILABLE] ? m->v[AVAILABLE] : 0;
    if (v == 0)
        v = estimate(s, m);
    if (v < 0) {
        note_missing(s, "available");
        return 0;
    }
    return v > m->v[TOTAL] ? m->v[FREE] : v; /* as in containers that see the host's cache */
}

static void emit_bytes(struct sample *s, const char *name, int64_t v)
{
    emit_u64(s, name, v > 0 ? (uint64_t)v : 0);
}

static void figures(struct sample *s, const struct meminfo *m)
{
    bool old = m->has[INACT_DIRTY] && m->has[INACT_CLEAN] && m->has[INACT_LAUNDRY];
    int64_t inactive = m->v[INACT_DIRTY] + m->v[INACT_CLEAN] + m->v[INACT_LAUNDRY];
    int64_t usable = available(s, m);
    emit_bytes(s, "total", m->v[TOTAL]);
    emit_bytes(s, "available", usable);
    emit_bytes(s, "used", m->v[TOTAL] - usable);
    emit_bytes(s, "free", m->v[FREE]);
    emit_bytes(s, "active", either(s, m, "active", m->has[ACTIVE], m->v[ACTIVE], ACTIVE));
    emit_bytes(s, "inactive",
               either(s, m, "inactive", m->has[INACTIVE] || old,
                      m->has[INACTIVE] ? m->v[INACTIVE] : inactive, INACTIVE));
    emit_bytes(s, "buffers", either(s, m, "buffers", m->has[BUFFERS], m->v[BUFFERS], BUFFERS));
    emit_bytes(s, "cached",
               either(s, m, "cached", m->has[CACHED], m->v[CACHED] + m->v[RECLAIMABLE], CACHED));
    emit_bytes(s, "shared", either(s, m, "shared", m->has[SHMEM], m->v[SHMEM], SHARED));
    emit_bytes(s, "slab", m->v[SLAB]);
}

static const char *const raw_cols[] = {"name", "value"};
enum { MOST_RAW = 512 };

static void raw_meminfo(struct sample *s, struct span rest)
{
    struct rows t;
    struct span line, key;
    int64_t v;
    bool kilobytes;
    rows_open(s, &t, "meminfo", raw_cols, 2, MOST_RAW);
    while (span_line(&rest, &line)) {
        if (!split(line, &key, &v, &kilobytes) || key.n > 64 || !rows_next(s, &t))
            continue;
        emit_add_text(s, key);
        wire_add_i64(&s->w, kilobytes ? v * 1024 : v);
    }
    rows_close(s, &t);
}

static void raw_vmstat(struct sample *s)
{
    struct rows t;
    struct span rest, line, words[2];
    uint64_t v;
    if (core_read(s->c, &s->c->file, "proc/vmstat", &rest) != 0) {
        section_note(s, "no vmstat");
        return;
    }
    rows_open(s, &t, "vmstat", raw_cols, 2, MOST_RAW);
    while (span_line(&rest, &line)) {
        if (span_words(line, words, 2) != 2 || words[0].n > 64 || !span_u64(words[1], &v) ||
            !rows_next(s, &t))
            continue;
        emit_add_text(s, words[0]);
        wire_add_u64(&s->w, v);
    }
    rows_close(s, &t);
}

void section_memory(struct sample *s)
{
    struct meminfo m;
    struct span text;
    int sys = read_meminfo(s, &m, &text);
    if (sys == 0 && (!m.has[TOTAL] || !m.has[FREE]))
        sys = EINVAL;
    if (sys != 0) {
        section_fail(s, sys, "meminfo");
        return;
    }
    if (s->r->detail)
        raw_meminfo(s, text);
    figures(s, &m);
    if (s->r->detail)
        raw_vmstat(s);
}

/* ---- swap ---- */

/* Pages swapped in and out since boot, in bytes of this machine's pages. */
static void swapped(struct sample *s)
{
    struct span rest, line, words[2];
    uint64_t in = 0, out = 0;
    bool has_in = false, has_out = false;
    if (!emit_wants(s, "sin") && !emit_wants(s, "sout"))
        return;
    if (core_read(s->c, &s->c->file, "proc/vmstat", &rest) == 0)
        while (!(has_in && has_out) && span_line(&rest, &line)) {
            if (!span_starts(line, "pswp") || span_words(line, words, 2) != 2)
                continue;
            if (span_is(words[0], "pswpin"))
                has_in = span_u64(words[1], &in);
            else if (span_is(words[0], "pswpout"))
                has_out = span_u64(words[1], &out);
        }
    if (!has_in || !has_out) {
        section_note(s, "no pswpin and pswpout in vmstat");
        in = out = 0;
    }
    emit_u64(s, "sin", in * s->c->page);
    emit_u64(s, "sout", out * s->c->page);
}

static bool swap_of_system(struct sample *s, struct meminfo *m)
{
    struct sysinfo i;
    if (!s->c->real || sysinfo(&i) != 0)
        return false;
    m->v[SWAP_TOTAL] = (int64_t)(i.totalswap * i.mem_unit);
    m->v[SWAP_FREE] = (int64_t)(i.freeswap * i.mem_unit);
    return true;
}

void section_swap(struct sample *s)
{
    struct meminfo m;
    struct span text;
    int sys = read_meminfo(s, &m, &text);
    if (sys == 0 && (!m.has[SWAP_TOTAL] || !m.has[SWAP_FREE]) && !swap_of_system(s, &m))
        sys = ENOENT;
    if (sys != 0) {
        section_fail(s, sys, "meminfo: SwapTotal, SwapFree");
        return;
    }
    emit_bytes(s, "total", m.v[SWAP_TOTAL]);
    emit_bytes(s, "used", m.v[SWAP_TOTAL] - m.v[SWAP_FREE]);
    emit_bytes(s, "free", m.v[SWAP_FREE]);
    swapped(s);
}
