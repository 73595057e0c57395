/* One sample of one host, decoded: a table of values for each kind of row, by figure.
 *
 * A host may send anything. Every type, count and length is checked; what breaks a rule refuses the
 * sample with the place of it, and nothing is kept. Rows past a kind's most, or for whose texts
 * there is no room, are left out and counted; texts are cut; rows that name the same thing again
 * are left out. One sample is at most some hundred KiB, and 5 KiB when only hosts' lines are asked
 * for. Works nothing out (rates.h). Loop thread only.
 */
#ifndef CONTROLLER_STATS_SAMPLE_H
#define CONTROLLER_STATS_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/stats/figures.h"

enum {
    SAMPLE_TEXT = 1024,        /* bytes of one text; the rest is cut */
    SAMPLE_TEXTS = 256 * 1024, /* of all texts of a sample; rows that would pass it are left out */
    SAMPLE_ERROR = 120,        /* of a section's error */
    SAMPLE_BOOT_ID = 64,
};

/* As PROTOCOL.md has them; ABSENT: the host sent nothing of it. */
enum section_status {
    SECTION_ABSENT,
    SECTION_OK,
    SECTION_DENIED,
    SECTION_MISSING,
    SECTION_TIMEOUT,
    SECTION_ERROR,
    SECTION_UNSUPPORTED,
    SECTION_STATUS_COUNT
};

enum cell_type { CELL_NONE, CELL_U64, CELL_I64, CELL_F64, CELL_BOOL, CELL_TEXT };

union cell {
    uint64_t u64;
    int64_t i64;
    double f64;
    uint32_t text; /* place in texts */
};

struct sample_table {
    uint32_t rows;
    uint32_t left_out; /* rows that the host has and that are not here */
    uint32_t room;     /* rows that cells has room for */
    union cell *cells; /* rows of kind_defs[].count; NULL: this kind was not wanted, or empty */
    uint8_t *types;    /* enum cell_type of each, in the same block */
};

struct sample {
    uint64_t seq, skipped, mono_ns, real_ns;
    uint32_t hz, page;
    char boot_id[SAMPLE_BOOT_ID + 1]; /* "" where the host has none */
    struct {
        uint8_t status; /* enum section_status */
        uint32_t at_us; /* when it began, after mono_ns */
        uint32_t us;    /* how long it took */
        uint32_t error; /* text, 0 none */
    } sections[SECTION_COUNT];
    struct sample_table tables[KIND_COUNT];
    struct buf texts; /* NUL-terminated one after the other; the first is "" */
    double elapsed;   /* seconds since the sample that rates are from; 0: none */
    bool rebooted;    /* since the sample before */
};

void sample_init(struct sample *s);
void sample_fini(struct sample *s); /* as after init */

/* p: what wire_validate has accepted, as the map of a REPLY. *s is as after sample_init. kinds: bit
 * per enum figure_kind whose rows are kept (the host's line always is). RC_OK; RC_PROTO with
 * section, column and row; RC_NOMEM. *s is as before on failure.
 */
enum rc sample_decode(struct sample *s, const void *p, size_t n, uint32_t kinds, struct err *e);

/* What tells rows of a kind apart; FIGURE_COUNT: they may be alike. */
enum figure sample_key(enum figure_kind k);

/* Bytes it holds. */
size_t sample_memory(const struct sample *s);

/* Values. row: of the figure's kind, below sample_rows. What is not known gives false or NULL. */
uint32_t sample_rows(const struct sample *s, enum figure_kind k);
enum cell_type sample_type(const struct sample *s, enum figure f, uint32_t row);
bool sample_u64(const struct sample *s, enum figure f, uint32_t row, uint64_t *out);
/* Any number, in the unit that people see: ticks and milliseconds of uptime are seconds. */
bool sample_number(const struct sample *s, enum figure f, uint32_t row, double *out);
bool sample_true(const struct sample *s, enum figure f, uint32_t row);
const char *sample_text(const struct sample *s, enum figure f, uint32_t row); /* as it came */

/* Of figures that are worked out. Not for a row that is not there. NaN and infinity set nothing. */
void sample_set(struct sample *s, enum figure f, uint32_t row, double v);
void sample_set_u64(struct sample *s, enum figure f, uint32_t row, uint64_t v);
/* The text of another figure of the same sample. */
void sample_set_text_of(struct sample *s, enum figure f, uint32_t row, enum figure from,
                        uint32_t from_row);

const char *section_status_name(enum section_status st); /* "" for ABSENT */

#endif
