/* See figures.h. */
#include "controller/stats/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/num.h"
#include "common/str.h"

const struct figure_def figure_defs[FIGURE_COUNT] = {
#define HERE(id, text, in, path, of, in_unit, says)                                                \
    [FIG_##id] = {.name = text,                                                                    \
                  .wire = path,                                                                    \
                  .help = says,                                                                    \
                  .section = SECTION_##in,                                                         \
                  .type = TYPE_##of,                                                               \
                  .unit = UNIT_##in_unit},
#define KIND_DEFS(kind, list, ...) list(HERE)
    KIND_TABLE(KIND_DEFS)
#undef KIND_DEFS
#undef HERE
};

enum {
#define HERE(id, ...)              +1
#define KIND_SIZE(kind, list, ...) SIZE_OF_##kind = 0 list(HERE),
    KIND_TABLE(KIND_SIZE)
#undef KIND_SIZE
#undef HERE
};

const struct kind_def kind_defs[KIND_COUNT] = {
#define KIND_DEFS(kind, list, in, name, limit, one, shown)                                         \
    [KIND_##kind] = {.table = name,                                                                \
                     .what = one,                                                                  \
                     .columns = shown,                                                             \
                     .first = FIG_END_OF_##kind - SIZE_OF_##kind,                                  \
                     .count = SIZE_OF_##kind,                                                      \
                     .most = limit,                                                                \
                     .section = SECTION_##in},
    KIND_TABLE(KIND_DEFS)
#undef KIND_DEFS
};

const uint8_t figure_kinds[FIGURE_COUNT] = {
#define KIND_OF(kind, ...)                                                                         \
    [FIG_END_OF_##kind - SIZE_OF_##kind... FIG_END_OF_##kind - 1] = KIND_##kind,
    KIND_TABLE(KIND_OF)
#undef KIND_OF
};

const struct section_def section_defs[SECTION_COUNT] = {
#define SECTION_DEFS(section, text, line, columns, in_document)                                    \
    [SECTION_##section] = {                                                                        \
        .name = text, .host_columns = columns, .kind = KIND_##line, .usual = in_document},
    SECTION_TABLE(SECTION_DEFS)
#undef SECTION_DEFS
};

enum figure figure_find(const char *name, size_t len)
{
    for (int f = 0; f < FIGURE_COUNT; f++)
        if (strlen(figure_defs[f].name) == len && memcmp(figure_defs[f].name, name, len) == 0)
            return (enum figure)f;
    return FIGURE_COUNT;
}

/* Word by word the first letter and others of it, in order: mem.pct for memory.percent. */
static bool is_short_for(const char *name, const char *full)
{
    for (;; name++, full++) {
        if (*name == '\0' || *name != *full)
            return false;
        for (name++, full++; *name != '\0' && *name != '.'; name++, full++) {
            full += strcspn(full, (const char[]){*name, '.', '\0'});
            if (*full != *name)
                return false;
        }
        full += strcspn(full, ".");
        if (*name != *full)
            return false;
        if (*name == '\0')
            return true;
    }
}

const char *figure_nearest(const char *name)
{
    const char *best = NULL;
    unsigned least = 8; /* two for each letter */
    for (int f = 0; f < FIGURE_COUNT; f++) {
        unsigned d = 2 * str_distance(name, figure_defs[f].name);
        if (d > 2 && is_short_for(name, figure_defs[f].name))
            d = 3;
        /* The last word alone is how people remember them: recv_rate. */
        const char *dot = strrchr(figure_defs[f].name, '.');
        if (dot != NULL && strcmp(dot + 1, name) == 0)
            d = 4;
        if (d < least) {
            least = d;
            best = figure_defs[f].name;
        }
    }
    return best;
}

bool figure_is_prefix(const char *name, size_t len)
{
    for (int f = 0; f < FIGURE_COUNT; f++)
        if (strncmp(figure_defs[f].name, name, len) == 0 && figure_defs[f].name[len] == '.')
            return true;
    return false;
}

enum stats_section section_find(const char *name, size_t len)
{
    for (int s = 0; s < SECTION_COUNT; s++)
        if (strlen(section_defs[s].name) == len && memcmp(section_defs[s].name, name, len) == 0)
            return (enum stats_section)s;
    return SECTION_NONE;
}

bool figure_is_measure(enum figure f)
{
    const struct figure_def *d = &figure_defs[f];
    return d->type != TYPE_TEXT && d->type != TYPE_BOOL && d->type != TYPE_ANY &&
           d->unit != UNIT_NUMBER && d->unit != UNIT_TIME;
}

bool figure_needs_rates(enum figure f)
{
    switch (f) {
    case FIG_CPU_PERCENT:
    case FIG_PERCPU_PERCENT:
    case FIG_PROCS_RECENT:
    case FIG_PROC_CPU:
    case FIG_PROC_CPU_RECENT:
    case FIG_PROC_READ_RECENT:
    case FIG_PROC_WRITE_RECENT:
    case FIG_IO_BUSY:
    case FIG_IO_AWAIT:
    case FIG_MAX_BUSY: return true;
    default: break;
    }
    const struct figure_def *d = &figure_defs[f];
    bool mode = (f >= FIG_CPU_USER && f <= FIG_CPU_GUEST_NICE) ||
                (f >= FIG_PERCPU_USER && f <= FIG_PERCPU_GUEST_NICE);
    return mode || d->unit == UNIT_PER_SECOND || d->unit == UNIT_BYTES_PER_SECOND;
}

const char *unit_text(enum figure_unit u)
{
    static const char *const texts[UNIT_COUNT_OF] = {
        [UNIT_NONE] = "",
        [UNIT_NUMBER] = "",
        [UNIT_COUNT] = "",
        [UNIT_LOAD] = "",
        [UNIT_PERCENT] = "%",
        [UNIT_BYTES] = "bytes",
        [UNIT_BYTES_PER_SECOND] = "bytes/s",
        [UNIT_PER_SECOND] = "1/s",
        [UNIT_SECONDS] = "s",
        [UNIT_TICKS] = "s",
        [UNIT_UPTIME] = "s",
        [UNIT_MILLIS] = "ms",
        [UNIT_MICROS] = "\xc2\xb5s",
        [UNIT_TIME] = "s since 1970",
        [UNIT_MHZ] = "MHz",
        [UNIT_MBIT] = "Mbit/s",
        [UNIT_CELSIUS] = ("\xc2\xb0"
                          "C"),
        [UNIT_RPM] = "rpm",
    };
    return texts[u];
}

double figure_round1(double v)
{
    double scaled = v * 10, whole = floor(scaled), part = scaled - whole;
    char text[64];
    /* Near a tie the nearest decimal has to be found exactly, as Python does. */
    if (fabs(part - 0.5) > 1e-6 && fabs(v) < 1e12)
        return (part > 0.5 ? whole + 1 : whole) / 10;
    if (!(fabs(v) < 1e15))
        return v;
    snprintf(text, sizeof text, "%.1f", v);
    return strtod(text, NULL);
}

/* What a host says may be any number. */
static uint64_t as_u64(double v)
{
    return v >= 18e18 ? UINT64_MAX : v > 0 ? (uint64_t)v : 0;
}

static char *long_time(char *dst, double s)
{
    char text[NUM_TEXT];
    uint64_t total = as_u64(s);
    if (total < 2 * 86400)
        snprintf(dst, FIGURE_TEXT, "%s", num_duration_text(text, as_u64(s * 1000)));
    else
        snprintf(dst, FIGURE_TEXT, "%llud%02lluh", (unsigned long long)(total / 86400),
                 (unsigned long long)(total / 3600 % 24));
    return dst;
}

static char *count(char *dst, double v, const char *unit)
{
    char text[NUM_TEXT];
    if (v < 100 && v != floor(v))
        snprintf(dst, FIGURE_TEXT, "%.1f%s", v, unit);
    else
        snprintf(dst, FIGURE_TEXT, "%s%s%s", v < 0 ? "-" : "",
                 num_count_text(text, as_u64(fabs(v))), unit);
    return dst;
}

char *figure_format(char *dst, enum figure_unit unit, double v)
{
    char text[NUM_TEXT];
    switch (unit) {
    case UNIT_NUMBER: snprintf(dst, FIGURE_TEXT, "%.0f", v); return dst;
    case UNIT_LOAD: snprintf(dst, FIGURE_TEXT, "%.2f", v < 1e9 ? v : 1e9); return dst;
    case UNIT_PERCENT: snprintf(dst, FIGURE_TEXT, "%.1f%%", v < 1e9 ? v : 1e9); return dst;
    case UNIT_CELSIUS:
        snprintf(dst, FIGURE_TEXT, "%.1f%s", fabs(v) < 1e9 ? v : 1e9, unit_text(unit));
        return dst;
    case UNIT_BYTES: snprintf(dst, FIGURE_TEXT, "%s", num_size_text(text, as_u64(v))); return dst;
    case UNIT_BYTES_PER_SECOND:
        snprintf(dst, FIGURE_TEXT, "%s/s", num_size_text(text, as_u64(v)));
        return dst;
    case UNIT_PER_SECOND: return count(dst, v, "/s");
    case UNIT_SECONDS:
        if (fabs(v) < 60) {
            snprintf(dst, FIGURE_TEXT, "%.3fs", v);
            return dst;
        }
        if (v < 0) {
            dst[0] = '-';
            char rest[FIGURE_TEXT];
            snprintf(dst + 1, FIGURE_TEXT - 1, "%s", long_time(rest, -v));
            return dst;
        }
        return long_time(dst, v);
    case UNIT_TICKS:
    case UNIT_UPTIME: return long_time(dst, v);
    case UNIT_TIME: {
        char when[40];
        double most = 253402300799.0; /* the year 9999 */
        double s = v < 0 ? 0 : v > most ? most : v;
        clock_rfc3339(when, sizeof when, (int64_t)s * 1000000);
        snprintf(dst, FIGURE_TEXT, "%.10s %.8s", when, when + 11);
        return dst;
    }
    case UNIT_MILLIS: snprintf(dst, FIGURE_TEXT, "%.1f ms", fabs(v) < 1e15 ? v : 1e15); return dst;
    case UNIT_MICROS: return count(dst, v, " \xc2\xb5s");
    case UNIT_MHZ:
    case UNIT_RPM:
    case UNIT_MBIT: {
        char unit_part[16];
        snprintf(unit_part, sizeof unit_part, " %s", unit_text(unit));
        return count(dst, floor(v), unit_part);
    }
    default: return count(dst, v, "");
    }
}
