/* Figures by name: "cpu.percent", "disk.mountpoint". What kind of row each belongs to, its unit,
 * how a person reads it. The table itself is figure_table.h; values live in a sample (sample.h).
 * Pure; any thread.
 */
#ifndef CONTROLLER_STATS_FIGURES_H
#define CONTROLLER_STATS_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/stats/figure_table.h"

enum figure_kind {
#define KIND_ENUM(kind, ...) KIND_##kind,
    KIND_TABLE(KIND_ENUM)
#undef KIND_ENUM
        KIND_COUNT
};

enum stats_section {
#define SECTION_ENUM(section, ...) SECTION_##section,
    SECTION_TABLE(SECTION_ENUM)
#undef SECTION_ENUM
        SECTION_COUNT,
    SECTION_NONE = SECTION_COUNT, /* known without asking */
};

/* The figures of a kind stand together: FIG_X_END is the first of the next kind. */
enum figure {
#define FIGURE_ENUM(id, name, section, wire, type, unit, help) FIG_##id,
#define KIND_FIGURES(kind, list, ...)                                                              \
    list(FIGURE_ENUM) FIG_END_OF_##kind, FIG_LAST_OF_##kind = FIG_END_OF_##kind - 1,
    KIND_TABLE(KIND_FIGURES)
#undef KIND_FIGURES
#undef FIGURE_ENUM
        FIGURE_COUNT
};

enum figure_type { TYPE_U64, TYPE_I64, TYPE_F64, TYPE_BOOL, TYPE_TEXT, TYPE_ANY };

enum figure_unit {
    UNIT_NONE,
    UNIT_NUMBER, /* names something: no thousands, no median */
    UNIT_COUNT,
    UNIT_LOAD,
    UNIT_PERCENT,
    UNIT_BYTES,
    UNIT_BYTES_PER_SECOND,
    UNIT_PER_SECOND,
    UNIT_SECONDS,
    UNIT_TICKS,  /* in the sample; everybody else sees seconds */
    UNIT_UPTIME, /* milliseconds in the sample; everybody else sees seconds */
    UNIT_MILLIS,
    UNIT_MICROS,
    UNIT_TIME, /* seconds since 1970 */
    UNIT_MHZ,
    UNIT_MBIT, /* megabits per second */
    UNIT_CELSIUS,
    UNIT_RPM,
    UNIT_COUNT_OF
};

struct figure_def {
    const char *name;
    const char *wire; /* NULL: derived */
    const char *help;
    uint8_t section, type, unit; /* enum stats_section, figure_type, figure_unit */
};

extern const struct figure_def figure_defs[FIGURE_COUNT];

struct kind_def {
    const char *table;   /* in its section's data */
    const char *what;    /* "a mount": what a line stands for */
    const char *columns; /* those that are shown unless told */
    uint16_t first, count;
    uint16_t most; /* rows of it that are kept of one host */
    uint8_t section;
};
extern const struct kind_def kind_defs[KIND_COUNT];

struct section_def {
    const char *name;
    const char *host_columns; /* of a host's line; NULL: none */
    uint8_t kind;             /* of a line when it alone is asked for */
    bool usual;               /* in a document that nobody chose sections for */
};
extern const struct section_def section_defs[SECTION_COUNT];

/* FIGURE_COUNT when there is none of this name. */
enum figure figure_find(const char *name, size_t len);
/* The name that is nearest to a wrong one, or NULL. */
const char *figure_nearest(const char *name);
/* Does a figure begin with "NAME."? */
bool figure_is_prefix(const char *name, size_t len);
/* SECTION_NONE when there is none of this name. */
enum stats_section section_find(const char *name, size_t len);

extern const uint8_t figure_kinds[FIGURE_COUNT];

/* Asked for each cell of each sample. */
static inline enum figure_kind figure_kind(enum figure f)
{
    must((unsigned)f < FIGURE_COUNT);
    return (enum figure_kind)figure_kinds[f];
}

/* Does a median of it say anything? */
bool figure_is_measure(enum figure f);
/* Known only with the sample before: percentages of time, rates. */
bool figure_needs_rates(enum figure f);
/* "bytes/s", "%", "" */
const char *unit_text(enum figure_unit u);

/* A number as a person reads it: "91.2%", "3.1 GiB", "1.2 MiB/s", "12d04h". Returns dst. */
enum { FIGURE_TEXT = 48 };
char *figure_format(char *dst, enum figure_unit unit, double v);

/* Python's round(v, 1). */
double figure_round1(double v);

#endif
