/* Section diskio: /proc/diskstats in the layouts it has had, or /sys/block without it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/core_int.h"

enum { MOST_DISKS = 512, SECTOR = 512 }; /* a sector is 512 bytes here, whatever the disk's are */

/* In the kernel's order. */
enum number {
    READS,
    READS_MERGED,
    SECTORS_READ,
    MS_READING,
    WRITES,
    WRITES_MERGED,
    SECTORS_WRITTEN,
    MS_WRITING,
    IN_FLIGHT,
    MS_BUSY,
    MS_WEIGHTED,
    NUMBERS
};

struct disk {
    struct span name;
    uint64_t v[NUMBERS];
    bool partial; /* a partition of old, with four numbers */
};

static bool numbers(const struct span *w, size_t n, uint64_t *v)
{
    for (size_t i = 0; i < n; i++)
        if (!span_u64(w[i], &v[i]))
            return false;
    return true;
}

/* 14, 18 and more words; 15 in Linux 2.4, where the first number stands in front of the name; 7 for
 * a partition before 2.6.25. */
static bool parse(struct span line, struct disk *d)
{
    struct span w[18];
    size_t n = span_words(line, w, 18);
    *d = (struct disk){0};
    if (n == 14 || n >= 18) {
        d->name = w[2];
        return numbers(w + 3, NUMBERS, d->v);
    }
    if (n == 15) {
        d->name = w[3];
        return span_u64(w[2], &d->v[0]) && numbers(w + 4, NUMBERS - 1, d->v + 1);
    }
    if (n != 7)
        return false;
    d->name = w[2];
    d->partial = true;
    return span_u64(w[3], &d->v[READS]) && span_u64(w[4], &d->v[SECTORS_READ]) &&
           span_u64(w[5], &d->v[WRITES]) && span_u64(w[6], &d->v[SECTORS_WRITTEN]);
}

/* In /sys/block a slash of a name is an exclamation mark. */
static bool below_block(struct core *c, struct span name, const char *file)
{
    char text[64], path[CORE_PATH];
    if (name.n == 0 || name.n >= sizeof text || name.p[0] == '.')
        return false;
    span_copy(text, sizeof text, name);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '/')
            *p = '!';
    return core_path(path, "sys/block/%s%s", text, file) && core_exists(c, path);
}

enum { BLOCKS_AGE = 30 };

/* Two look-ups in /sys for each disk are most of what this section costs, and the answers change
 * with the disks. Those in the same row as in the sample before are asked again only now and then.
 */
static void block_of(struct core *c, struct span name, size_t row, bool *whole, bool *device)
{
    const size_t cap = sizeof c->blocks[0].name;
    bool keeps = c->real && row < CORE_BLOCKS && name.n > 0 && name.n < cap;
    if (keeps && span_is(name, c->blocks[row].name)) {
        *whole = c->blocks[row].whole;
        *device = c->blocks[row].device;
        return;
    }
    *whole = below_block(c, name, "");
    *device = *whole && below_block(c, name, "/device");
    if (!keeps)
        return;
    span_copy(c->blocks[row].name, cap, name);
    c->blocks[row].whole = *whole;
    c->blocks[row].device = *device;
}

/* A disk that came or went may not be whole in /sys yet: the next sample asks for all of them. */
static void keep_blocks(struct core *c, size_t rows)
{
    bool same = rows == c->blocks_rows;
    c->blocks_rows = rows;
    if (same && ++c->blocks_age < BLOCKS_AGE)
        return;
    c->blocks_age = 0;
    memset(c->blocks, 0, sizeof c->blocks);
}

static uint64_t bytes(uint64_t sectors)
{
    uint64_t v;
    return __builtin_mul_overflow(sectors, (uint64_t)SECTOR, &v) ? UINT64_MAX : v;
}

static void write_disk(struct sample *s, struct rows *t, const struct disk *d)
{
    bool whole, device;
    block_of(s->c, d->name, t->n - 1, &whole, &device);
    cell_text(s, t, d->name);
    cell_u64_if(s, t, true, d->v[READS]);
    cell_u64_if(s, t, true, d->v[WRITES]);
    cell_u64_if(s, t, true, bytes(d->v[SECTORS_READ]));
    cell_u64_if(s, t, true, bytes(d->v[SECTORS_WRITTEN]));
    cell_u64_if(s, t, true, d->v[MS_READING]);
    cell_u64_if(s, t, true, d->v[MS_WRITING]);
    cell_u64_if(s, t, true, d->v[READS_MERGED]);
    cell_u64_if(s, t, true, d->v[WRITES_MERGED]);
    cell_u64_if(s, t, true, d->v[MS_BUSY]);
    cell_u64_if(s, t, !d->partial, d->v[IN_FLIGHT]);
    cell_u64_if(s, t, !d->partial, d->v[MS_WEIGHTED]);
    cell_bool(s, t, whole);
    cell_bool(s, t, device);
}

static void of_diskstats(struct sample *s, struct rows *t, struct span rest)
{
    struct span line;
    struct disk d;
    uint64_t odd = 0;
    while (span_line(&rest, &line)) {
        if (span_trim(line).n == 0)
            continue;
        if (!parse(line, &d)) {
            odd++;
            continue;
        }
        if (rows_next(s, t))
            write_disk(s, t, &d);
    }
    if (odd > 0)
        section_fail(s, EINVAL, "diskstats: lines of a layout that is not known");
}

/* sys/block/NAME/stat, and sys/block/NAME/PARTITION/stat. */
static void of_file(struct sample *s, struct rows *t, const char *folder, const char *name)
{
    char path[CORE_PATH], text[256];
    struct span rest, w[NUMBERS];
    struct disk d = {.name = span_of(name)};
    if (!core_path(path, "%s/%s/stat", folder, name) ||
        core_read(s->c, &s->c->file, path, &rest) != 0)
        return;
    span_copy(text, sizeof text, rest); /* what is asked below reads files of its own */
    if (span_words(span_of(text), w, NUMBERS) < NUMBERS - 1 || !numbers(w, MS_BUSY + 1, d.v))
        return;
    d.partial = span_words(span_of(text), w, NUMBERS) < NUMBERS ||
                !span_u64(w[MS_WEIGHTED], &d.v[MS_WEIGHTED]);
    if (rows_next(s, t))
        write_disk(s, t, &d);
}

static void of_sysfs(struct sample *s, struct rows *t)
{
    struct core_names disks, parts;
    int sys = core_names(s->c, &disks, "sys/block", "");
    if (sys != 0) {
        section_fail(s, sys, "neither diskstats nor /sys/block");
        return;
    }
    for (size_t i = 0; i < disks.n && !section_late(s); i++) {
        char folder[CORE_PATH];
        of_file(s, t, "sys/block", disks.name[i]);
        if (!core_path(folder, "sys/block/%s", disks.name[i]) ||
            core_names(s->c, &parts, folder, disks.name[i]) != 0)
            continue;
        for (size_t k = 0; k < parts.n; k++)
            of_file(s, t, folder, parts.name[k]);
        core_names_free(&parts);
    }
    core_names_free(&disks);
}

void section_diskio(struct sample *s)
{
    static const char *const cols[] = {"name",       "read_count",        "write_count",
                                       "read_bytes", "write_bytes",       "read_time",
                                       "write_time", "read_merged_count", "write_merged_count",
                                       "busy_time",  "in_flight",         "weighted_time",
                                       "total",      "physical"};
    struct rows t;
    struct span rest;
    int sys = core_read(s->c, &s->c->file, "proc/diskstats", &rest);
    if (sys != 0 && sys != ENOENT) {
        section_fail(s, sys, "diskstats");
        return;
    }
    rows_open_chosen(s, &t, "disks", cols, sizeof cols / sizeof cols[0], MOST_DISKS);
    if (sys == 0)
        of_diskstats(s, &t, rest);
    else
        of_sysfs(s, &t);
    keep_blocks(s->c, t.n);
    rows_close(s, &t);
}
