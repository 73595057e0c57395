/* The values of a sample. See sample.h. */
#include "controller/stats/sample_int.h"

#include <math.h>
#include <string.h>

#include "common/mem.h"

void sample_init(struct sample *s)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->texts, SAMPLE_TEXTS);
}

void sample_fini(struct sample *s)
{
    for (int k = 0; k < KIND_COUNT; k++)
        mem_free(s->tables[k].cells);
    buf_fini(&s->texts);
    sample_init(s);
}

size_t sample_memory(const struct sample *s)
{
    size_t n = sizeof *s + s->texts.cap;
    for (int k = 0; k < KIND_COUNT; k++)
        if (s->tables[k].cells != NULL)
            n += (size_t)s->tables[k].room * kind_defs[k].count * (sizeof(union cell) + 1);
    return n;
}

uint32_t sample_rows(const struct sample *s, enum figure_kind k)
{
    return s->tables[k].rows;
}

size_t sample_place(enum figure_kind k, enum figure f, uint32_t row)
{
    return (size_t)row * kind_defs[k].count + (f - kind_defs[k].first);
}

/* NULL: there is no such row. */
static const union cell *cell_of(const struct sample *s, enum figure f, uint32_t row,
                                 enum cell_type *type)
{
    enum figure_kind k = figure_kind(f);
    const struct sample_table *t = &s->tables[k];
    *type = CELL_NONE;
    if (row >= t->rows)
        return NULL;
    *type = (enum cell_type)t->types[sample_place(k, f, row)];
    return &t->cells[sample_place(k, f, row)];
}

enum cell_type sample_type(const struct sample *s, enum figure f, uint32_t row)
{
    enum cell_type type;
    (void)cell_of(s, f, row, &type);
    return type;
}

bool sample_u64(const struct sample *s, enum figure f, uint32_t row, uint64_t *out)
{
    enum cell_type type;
    const union cell *c = cell_of(s, f, row, &type);
    if (type != CELL_U64)
        return false;
    *out = c->u64;
    return true;
}

bool sample_number(const struct sample *s, enum figure f, uint32_t row, double *out)
{
    enum cell_type type;
    const union cell *c = cell_of(s, f, row, &type);
    switch (type) {
    case CELL_U64: *out = (double)c->u64; break;
    case CELL_I64: *out = (double)c->i64; break;
    case CELL_F64: *out = c->f64; break;
    default: return false;
    }
    if (figure_defs[f].unit == UNIT_TICKS)
        *out /= s->hz;
    else if (figure_defs[f].unit == UNIT_UPTIME)
        *out /= 1000;
    return true;
}

bool sample_true(const struct sample *s, enum figure f, uint32_t row)
{
    enum cell_type type;
    const union cell *c = cell_of(s, f, row, &type);
    return type == CELL_BOOL && c->u64 != 0;
}

const char *sample_text(const struct sample *s, enum figure f, uint32_t row)
{
    enum cell_type type;
    const union cell *c = cell_of(s, f, row, &type);
    return type == CELL_TEXT ? (const char *)s->texts.data + c->text : NULL;
}

union cell *sample_cell(struct sample *s, enum figure f, uint32_t row, enum cell_type type)
{
    enum figure_kind k = figure_kind(f);
    struct sample_table *t = &s->tables[k];
    must(row < t->rows);
    t->types[sample_place(k, f, row)] = (uint8_t)type;
    return &t->cells[sample_place(k, f, row)];
}

void sample_set(struct sample *s, enum figure f, uint32_t row, double v)
{
    if (isfinite(v))
        sample_cell(s, f, row, CELL_F64)->f64 = v;
}

void sample_set_u64(struct sample *s, enum figure f, uint32_t row, uint64_t v)
{
    sample_cell(s, f, row, CELL_U64)->u64 = v;
}

void sample_set_text_of(struct sample *s, enum figure f, uint32_t row, enum figure from,
                        uint32_t from_row)
{
    enum cell_type type;
    const union cell *c = cell_of(s, from, from_row, &type);
    if (type == CELL_TEXT)
        sample_cell(s, f, row, CELL_TEXT)->text = c->text;
}
