/* Writing a section's members and tables into the sample; bounds on tables. See core_int.h. */
#include <stdio.h>
#include <string.h>

#include "agent/core/core_int.h"
#include "common/str.h"

void emit_key(struct sample *s, const char *key)
{
    s->members++;
    wire_add_key(&s->w, key);
}

void emit_u64(struct sample *s, const char *key, uint64_t v)
{
    emit_key(s, key);
    wire_add_u64(&s->w, v);
}

void emit_i64(struct sample *s, const char *key, int64_t v)
{
    emit_key(s, key);
    wire_add_i64(&s->w, v);
}

void emit_f64(struct sample *s, const char *key, double v)
{
    emit_key(s, key);
    wire_add_f64(&s->w, v);
}

void emit_nil(struct sample *s, const char *key)
{
    emit_key(s, key);
    wire_add_nil(&s->w);
}

void emit_text(struct sample *s, const char *key, struct span v)
{
    emit_key(s, key);
    emit_add_text(s, v);
}

struct emit_map emit_open_map(struct sample *s, const char *key)
{
    emit_key(s, key);
    struct emit_map outer = {wire_open_map(&s->w), s->members};
    s->members = 0;
    return outer;
}

void emit_close_map(struct sample *s, struct emit_map outer)
{
    wire_close_counted(&s->w, outer.at, s->members);
    s->members = outer.members;
}

void emit_add_text(struct sample *s, struct span v)
{
    if (str_utf8_valid(v.p, v.n))
        wire_add_strn(&s->w, v.p, v.n);
    else
        wire_add_bin(&s->w, v.p, v.n);
}

void emit_add_u64_if(struct sample *s, bool known, uint64_t v)
{
    if (known)
        wire_add_u64(&s->w, v);
    else
        wire_add_nil(&s->w);
}

void emit_add_f64_if(struct sample *s, bool known, double v)
{
    if (known)
        wire_add_f64(&s->w, v);
    else
        wire_add_nil(&s->w);
}

void rows_open(struct sample *s, struct rows *t, const char *name, const char *const *cols,
               size_t n_cols, size_t max)
{
    *t = (struct rows){.cols = n_cols, .max = max};
    emit_key(s, name);
    t->map = wire_open_map(&s->w);
    wire_add_key(&s->w, "cols");
    wire_add_array(&s->w, n_cols);
    for (size_t i = 0; i < n_cols; i++)
        wire_add_str(&s->w, cols[i]);
    wire_add_key(&s->w, "rows");
    t->at = wire_open_array(&s->w);
    s->nodes += n_cols + 4;
}

bool rows_next(struct sample *s, struct rows *t)
{
    bool room = t->n < t->max && s->nodes + t->cols + 1 <= CORE_NODES &&
                s->out->len + CORE_TAIL <= s->out->max;
    if (!room) {
        t->more++;
        return false;
    }
    t->n++;
    s->nodes += t->cols + 1;
    wire_add_array(&s->w, t->cols);
    return true;
}

void rows_close(struct sample *s, struct rows *t)
{
    wire_close_counted(&s->w, t->at, t->n);
    if (t->more > 0)
        wire_put_u64(&s->w, "more", t->more);
    wire_close_counted(&s->w, t->map, t->more > 0 ? 3 : 2);
}
