/* What sample.c, which decodes, and sample_cells.c, which keeps values, share. Not for others. */
#ifndef CONTROLLER_STATS_SAMPLE_INT_H
#define CONTROLLER_STATS_SAMPLE_INT_H

#include "controller/stats/sample.h"

/* Where a value is in cells and types. */
size_t sample_place(enum figure_kind k, enum figure f, uint32_t row);
/* The place for a value that is now of this type. The row must be there. */
union cell *sample_cell(struct sample *s, enum figure f, uint32_t row, enum cell_type type);

#endif
