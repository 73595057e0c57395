/* Writing a section's members and tables into the sample; bounds on tables. See core_int.h. */
#include <stdio.h>
#include <string.h>

#include "agent/core/core_int.h"
#include "common/str.h"

void core_want_section(struct core_want *w, unsigned section)
{
    w->sections |= UINT64_C(1) << section;
}

enum rc core_want_add(struct core_want *w, unsigned section, const char *name, size_t len)
{
    if (w->count == CORE_WANT_MOST || len >= CORE_WANT_NAME)
        return RC_LIMIT;
    memcpy(w->names[w->count].name, name, len);
    w->names[w->count].name[len] = '\0';
    w->names[w->count++].section = (uint8_t)section;
    return RC_OK;
}

/* Only members of a section's data can be left out. */
static bool limited(const struct sample *s)
{
    return s->inside == 1 && s->r->want != NULL && (s->r->want->sections >> s->number & 1) != 0;
}

/* Is it named, as a whole or a column of it? With `column`: as a whole, or that one. */
static bool named(const struct sample *s, const char *key, const char *column)
{
    const struct core_want *w = s->r->want;
    size_t n = strlen(key);
    for (uint32_t i = 0; i < w->count; i++) {
        const char *name = w->names[i].name;
        if (w->names[i].section != s->number || strncmp(name, key, n) != 0)
            continue;
        if (name[n] == '\0' ||
            (name[n] == '.' && (column == NULL || strcmp(name + n + 1, column) == 0)))
            return true;
    }
    return false;
}

bool emit_wants(const struct sample *s, const char *key)
{
    return s->muted == 0 && (!limited(s) || named(s, key, NULL));
}

bool emit_key(struct sample *s, const char *key)
{
    if (!emit_wants(s, key))
        return false;
    s->members++;
    wire_add_key(&s->w, key);
    return true;
}

void emit_u64(struct sample *s, const char *key, uint64_t v)
{
    if (emit_key(s, key))
        wire_add_u64(&s->w, v);
}

void emit_i64(struct sample *s, const char *key, int64_t v)
{
    if (emit_key(s, key))
        wire_add_i64(&s->w, v);
}

void emit_f64(struct sample *s, const char *key, double v)
{
    if (emit_key(s, key))
        wire_add_f64(&s->w, v);
}

void emit_nil(struct sample *s, const char *key)
{
    if (emit_key(s, key))
        wire_add_nil(&s->w);
}

void emit_text(struct sample *s, const char *key, struct span v)
{
    if (emit_key(s, key))
        emit_add_text(s, v);
}

struct emit_map emit_open_map(struct sample *s, const char *key)
{
    if (!emit_key(s, key)) {
        s->muted++;
        return (struct emit_map){SIZE_MAX, 0};
    }
    struct emit_map outer = {wire_open_map(&s->w), s->members};
    s->members = 0;
    s->inside++;
    return outer;
}

void emit_close_map(struct sample *s, struct emit_map outer)
{
    if (outer.at == SIZE_MAX) {
        s->muted--;
        return;
    }
    wire_close_counted(&s->w, outer.at, s->members);
    s->members = outer.members;
    s->inside--;
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

static bool open_table(struct sample *s, struct rows *t, const char *name, const char *const *cols,
                       size_t n_cols)
{
    t->muted = !emit_key(s, name);
    if (t->muted)
        return false;
    for (size_t i = 0; i < n_cols && i < 64; i++)
        t->cols += t->chosen >> i & 1;
    t->cols += n_cols > 64 ? n_cols - 64 : 0;
    t->map = wire_open_map(&s->w);
    wire_add_key(&s->w, "cols");
    wire_add_array(&s->w, t->cols);
    for (size_t i = 0; i < n_cols; i++)
        if (i >= 64 || (t->chosen >> i & 1))
            wire_add_str(&s->w, cols[i]);
    wire_add_key(&s->w, "rows");
    t->at = wire_open_array(&s->w);
    s->nodes += t->cols + 4;
    return true;
}

bool rows_open(struct sample *s, struct rows *t, const char *name, const char *const *cols,
               size_t n_cols, size_t max)
{
    *t = (struct rows){.max = max, .chosen = UINT64_MAX};
    return open_table(s, t, name, cols, n_cols);
}

bool rows_open_chosen(struct sample *s, struct rows *t, const char *name, const char *const *cols,
                      size_t n_cols, size_t max)
{
    must(n_cols <= 64);
    *t = (struct rows){.max = max, .chosen = limited(s) ? 0 : UINT64_MAX};
    for (size_t i = 0; limited(s) && i < n_cols; i++)
        t->chosen |= (uint64_t)named(s, name, cols[i]) << i;
    return open_table(s, t, name, cols, n_cols);
}

bool rows_next(struct sample *s, struct rows *t)
{
    if (t->muted)
        return false;
    bool room = t->n < t->max && s->nodes + t->cols + 1 <= CORE_NODES &&
                s->out->len + CORE_TAIL <= s->out->max;
    if (!room) {
        t->more++;
        return false;
    }
    t->n++;
    t->column = 0;
    s->nodes += t->cols + 1;
    wire_add_array(&s->w, t->cols);
    return true;
}

void rows_close(struct sample *s, struct rows *t)
{
    if (t->muted)
        return;
    wire_close_counted(&s->w, t->at, t->n);
    if (t->more > 0)
        wire_put_u64(&s->w, "more", t->more);
    wire_close_counted(&s->w, t->map, t->more > 0 ? 3 : 2);
}

bool rows_cell(struct rows *t)
{
    return (t->chosen >> t->column++ & 1) != 0;
}

void cell_text(struct sample *s, struct rows *t, struct span v)
{
    if (rows_cell(t))
        emit_add_text(s, v);
}

void cell_u64_if(struct sample *s, struct rows *t, bool known, uint64_t v)
{
    if (rows_cell(t))
        emit_add_u64_if(s, known, v);
}

void cell_bool(struct sample *s, struct rows *t, bool v)
{
    if (rows_cell(t))
        wire_add_bool(&s->w, v);
}
