/* Folds names into ClusterShell's notation, and puts them in its order.
 *
 * Each name is a pattern ("web%s-%s", digits taken out) and a vector of indexes. Names of one
 * pattern fold together: one index by runs (here), several by hostset_nd.c. The patterns sort as
 * Python sorts their text, so that the result is nodeset's to the byte.
 */
#include "inventory/hostset.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/mem.h"
#include "inventory/hostset_int.h"

/* Names that differ in their digits only. */
struct family {
    const char *pattern; /* as Python has it: "%s" for an index, "%%" for a percent sign */
    uint64_t *tuples;    /* count vectors of dims indexes */
    size_t count, cap;   /* in indexes for cap */
    unsigned dims;
};

struct families {
    struct arena arena; /* families and patterns */
    struct map by_pattern;
    struct family **sorted;
    size_t count;
};

static void families_fini(struct families *f)
{
    struct map_entry *m;
    for (size_t i = 0; (m = map_next(&f->by_pattern, &i)) != NULL;)
        mem_free(((struct family *)m->value)->tuples);
    map_fini(&f->by_pattern);
    mem_free(f->sorted);
    arena_fini(&f->arena);
}

struct split {
    char pattern[2 * HOSTSET_NAME_MAX + 1];
    size_t len;
    uint64_t tuple[HOSTSET_DIMS];
    unsigned dims;
};

static void split_text(struct split *sp, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sp->pattern[sp->len++] = s[i];
        if (s[i] == '%')
            sp->pattern[sp->len++] = '%';
    }
}

static void split_name(struct split *sp, const char *name, size_t len)
{
    sp->len = 0;
    sp->dims = 0;
    size_t done = 0, at = 0, end = 0;
    while (sp->dims < HOSTSET_DIMS && hostset_next_digits(name, len, &at, &end)) {
        split_text(sp, name + done, at - done);
        sp->pattern[sp->len++] = '%';
        sp->pattern[sp->len++] = 's';
        sp->tuple[sp->dims++] = hostset_idx_read(name + at, end - at);
        done = at = end;
    }
    split_text(sp, name + done, len - done);
    sp->pattern[sp->len] = '\0';
}

static struct family *family_get(struct families *f, const struct split *sp)
{
    struct family *fam = map_get(&f->by_pattern, sp->pattern, sp->len);
    if (fam != NULL)
        return fam;
    fam = arena_calloc(&f->arena, 1, sizeof *fam);
    char *pattern = arena_strndup(&f->arena, sp->pattern, sp->len);
    if (fam == NULL || pattern == NULL)
        return NULL;
    fam->pattern = pattern;
    fam->dims = sp->dims;
    return map_put(&f->by_pattern, pattern, sp->len, fam, NULL) == 0 ? fam : NULL;
}

static enum rc families_add(struct families *f, struct split *sp, const char *name, size_t len,
                            struct err *e)
{
    if (len > HOSTSET_NAME_MAX)
        return err_set(e, RC_LIMIT, "a host name of %zu bytes; the limit is %d", len,
                       HOSTSET_NAME_MAX);
    split_name(sp, name, len);
    struct family *fam = family_get(f, sp);
    if (fam == NULL)
        return err_nomem(e);
    size_t used = fam->count * fam->dims;
    if (mem_grow(&fam->tuples, &fam->cap, used + fam->dims, sizeof *fam->tuples) != 0)
        return err_nomem(e);
    if (fam->dims > 0)
        memcpy(fam->tuples + used, sp->tuple, fam->dims * sizeof *sp->tuple);
    fam->count++;
    return RC_OK;
}

static int compare_families(const void *a, const void *b)
{
    const struct family *const *x = a, *const *y = b;
    return strcmp((*x)->pattern, (*y)->pattern);
}

static enum rc families_sort(struct families *f, struct err *e)
{
    f->sorted = mem_alloc(f->by_pattern.live * sizeof(struct family *));
    if (f->sorted == NULL)
        return err_nomem(e);
    struct map_entry *m;
    for (size_t i = 0; (m = map_next(&f->by_pattern, &i)) != NULL;)
        f->sorted[f->count++] = m->value;
    qsort(f->sorted, f->count, sizeof *f->sorted, compare_families);
    return RC_OK;
}

/* --- one index ------------------------------------------------------------------------------ */

static size_t sort_unique(uint64_t *items, size_t count)
{
    qsort(items, count, sizeof *items, hostset_idx_compare);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (n == 0 || items[n - 1] != items[i])
            items[n++] = items[i];
    return n;
}

/* Writes the runs of a sorted set as RangeSet does with its stepping turned off. */
struct runs {
    struct buf *out;
    enum rc rc;
    bool any;
    bool padded; /* the run at hand is */
    unsigned pad;
    uint64_t start, last, step; /* step 0: the run has one index so far */
};

static void runs_put(struct runs *r, uint64_t from, uint64_t to)
{
    char a[HOSTSET_IDX_TEXT], b[HOSTSET_IDX_TEXT];
    unsigned pad = r->padded ? r->pad : 1, len = 1;
    for (uint64_t v = from; v >= 10; v /= 10)
        len++;
    hostset_idx_text(a, hostset_idx(len > pad ? len : pad, from));
    len = 1;
    for (uint64_t v = to; v >= 10; v /= 10)
        len++;
    hostset_idx_text(b, hostset_idx(len > pad ? len : pad, to));
    const char *comma = r->any ? "," : "";
    r->any = true;
    if (r->rc != RC_OK)
        return;
    r->rc = from == to ? buf_printf(r->out, "%s%s", comma, a)
                       : buf_printf(r->out, "%s%s-%s", comma, a, b);
}

static void runs_open(struct runs *r, uint64_t idx)
{
    unsigned len = hostset_idx_len(idx);
    r->start = hostset_idx_value(idx);
    r->padded = len > 1 && r->start < hostset_pow10(len - 1);
    r->pad = len;
}

/* The run ends before `idx`. Which indexes stay open, and whether a gap counts as a step, follows
 * RangeSet._slices_padding to the letter: the output must be the same in odd cases too. */
static void runs_break(struct runs *r, uint64_t idx, bool mismatch)
{
    uint64_t value = hostset_idx_value(idx);
    if (r->step <= 1) {
        runs_put(r, r->start, r->last);
        runs_open(r, idx);
    } else if (mismatch) {
        for (uint64_t v = r->start; v <= r->last; v += r->step)
            runs_put(r, v, v);
        runs_open(r, idx);
    } else {
        for (uint64_t v = r->start; v + r->step <= r->last; v += r->step)
            runs_put(r, v, v);
        r->start = r->last;
    }
    r->step = mismatch ? 0 : value - r->last;
    r->last = value;
}

static void runs_next(struct runs *r, uint64_t idx)
{
    unsigned len = hostset_idx_len(idx);
    uint64_t value = hostset_idx_value(idx);
    bool padded = len > 1 && value < hostset_pow10(len - 1);
    bool mismatch = r->padded ? len != r->pad : padded;
    if (mismatch || (r->step != 0 && r->step != value - r->last)) {
        runs_break(r, idx, mismatch);
        return;
    }
    r->step = value - r->last;
    r->last = value;
}

static void runs_close(struct runs *r)
{
    if (r->step <= 1) {
        runs_put(r, r->start, r->last);
        return;
    }
    for (uint64_t v = r->start; v <= r->last; v += r->step)
        runs_put(r, v, v);
}

/* "[1-3,5]", or the index alone. */
static enum rc put_axis(struct buf *out, const uint64_t *items, size_t count)
{
    if (count == 1) {
        char text[HOSTSET_IDX_TEXT];
        size_t n = hostset_idx_text(text, items[0]);
        return buf_append(out, text, n);
    }
    struct runs r = {.out = out, .rc = buf_putc(out, '[')};
    runs_open(&r, items[0]);
    r.last = r.start;
    for (size_t i = 1; i < count; i++)
        runs_next(&r, items[i]);
    runs_close(&r);
    return r.rc == RC_OK ? buf_putc(out, ']') : r.rc;
}

/* --- text ----------------------------------------------------------------------------------- */

/* Writes a pattern, calling `put` for each index in it. */
typedef enum rc (*put_index_fn)(void *user, unsigned dim, struct buf *out);

static enum rc put_pattern(const char *pattern, put_index_fn put, void *user, struct buf *out)
{
    enum rc rc = RC_OK;
    unsigned dim = 0;
    for (const char *p = pattern; rc == RC_OK && *p != '\0'; p++) {
        size_t n = strcspn(p, "%");
        if (n > 0) {
            rc = buf_append(out, p, n);
            p += n - 1;
        } else if (*++p == '%')
            rc = buf_putc(out, '%');
        else
            rc = put(user, dim++, out);
    }
    return rc;
}

static enum rc put_vec_index(void *user, unsigned dim, struct buf *out)
{
    const struct hostset_axis *a = &((const struct hostset_vec *)user)->axes[dim];
    return put_axis(out, hostset_axis_items(a), a->count);
}

static enum rc put_family_axis(void *user, unsigned dim, struct buf *out)
{
    const struct family *fam = user;
    (void)dim;
    return put_axis(out, fam->tuples, fam->count);
}

static enum rc comma(struct buf *out, size_t start)
{
    return out->len > start ? buf_putc(out, ',') : RC_OK;
}

static enum rc put_vecs(const struct family *fam, size_t start, struct buf *out, struct err *e)
{
    struct hostset_vecs v;
    enum rc rc = hostset_vecs_fold(&v, fam->tuples, fam->count, fam->dims, e);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; rc == RC_OK && i < v.count; i++) {
        rc = comma(out, start);
        if (rc == RC_OK)
            rc = put_pattern(fam->pattern, put_vec_index, v.items[i], out);
    }
    hostset_vecs_fini(&v);
    return rc;
}

static enum rc put_family(struct family *fam, size_t start, struct buf *out, struct err *e)
{
    if (fam->dims > 1)
        return put_vecs(fam, start, out, e);
    if (fam->dims == 1)
        fam->count = sort_unique(fam->tuples, fam->count);
    enum rc rc = comma(out, start);
    return rc == RC_OK ? put_pattern(fam->pattern, put_family_axis, fam, out) : rc;
}

static enum rc families_put(struct families *f, struct buf *out, struct err *e)
{
    size_t start = out->len;
    enum rc rc = families_sort(f, e);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; rc == RC_OK && i < f->count; i++)
        rc = put_family(f->sorted[i], start, out, e);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : err_set(e, rc, "the folded host names do not fit their buffer");
}

/* --- order ---------------------------------------------------------------------------------- */

struct unfold {
    struct hostset *out;
    struct buf name;
    uint64_t tuple[HOSTSET_DIMS];
};

static enum rc put_tuple_index(void *user, unsigned dim, struct buf *out)
{
    char text[HOSTSET_IDX_TEXT];
    size_t n = hostset_idx_text(text, ((const struct unfold *)user)->tuple[dim]);
    return buf_append(out, text, n);
}

static enum rc unfold_name(struct unfold *u, const char *pattern, struct err *e)
{
    buf_reset(&u->name);
    enum rc rc = put_pattern(pattern, put_tuple_index, u, &u->name);
    if (rc != RC_OK)
        return rc == RC_NOMEM ? err_nomem(e) : err_set(e, rc, "a host name is too long");
    return hostset_put(u->out, (const char *)u->name.data, u->name.len, e);
}

static enum rc unfold_vec(struct unfold *u, const struct family *fam, const struct hostset_vec *v,
                          struct err *e)
{
    uint32_t turn[HOSTSET_DIMS] = {0};
    for (uint64_t left = v->volume; left > 0; left--) {
        for (unsigned k = 0; k < fam->dims; k++)
            u->tuple[k] = hostset_axis_items(&v->axes[k])[turn[k]];
        enum rc rc = unfold_name(u, fam->pattern, e);
        if (rc != RC_OK)
            return rc;
        for (unsigned k = fam->dims; k-- > 0;) {
            if (++turn[k] < v->axes[k].count)
                break;
            turn[k] = 0;
        }
    }
    return RC_OK;
}

static enum rc unfold_vecs(struct unfold *u, const struct family *fam, struct err *e)
{
    struct hostset_vecs v;
    enum rc rc = hostset_vecs_fold(&v, fam->tuples, fam->count, fam->dims, e);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; rc == RC_OK && i < v.count; i++)
        rc = unfold_vec(u, fam, v.items[i], e);
    hostset_vecs_fini(&v);
    return rc;
}

static enum rc unfold_family(struct unfold *u, struct family *fam, struct err *e)
{
    if (fam->dims == 0)
        return unfold_name(u, fam->pattern, e);
    if (fam->dims > 1)
        return unfold_vecs(u, fam, e);
    enum rc rc = RC_OK;
    fam->count = sort_unique(fam->tuples, fam->count);
    for (size_t i = 0; rc == RC_OK && i < fam->count; i++) {
        u->tuple[0] = fam->tuples[i];
        rc = unfold_name(u, fam->pattern, e);
    }
    return rc;
}

static enum rc families_unfold(struct families *f, struct hostset *out, struct err *e)
{
    enum rc rc = families_sort(f, e);
    if (rc != RC_OK)
        return rc;
    struct unfold u = {.out = out};
    buf_init(&u.name, HOSTSET_NAME_MAX + 1);
    for (size_t i = 0; rc == RC_OK && i < f->count; i++)
        rc = unfold_family(&u, f->sorted[i], e);
    buf_fini(&u.name);
    return rc;
}

/* --- entries -------------------------------------------------------------------------------- */

static enum rc families_of_set(struct families *f, const struct hostset *s, struct err *e)
{
    *f = (struct families){0};
    arena_init(&f->arena);
    map_init(&f->by_pattern);
    struct split *sp = mem_alloc(sizeof *sp);
    if (sp == NULL)
        return err_nomem(e);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < s->count; i++)
        if (!s->items[i].dead)
            rc = families_add(f, sp, s->items[i].name, s->items[i].len, e);
    mem_free(sp);
    return rc;
}

static enum rc families_of_names(struct families *f, const char *const *names, size_t count,
                                 struct err *e)
{
    *f = (struct families){0};
    arena_init(&f->arena);
    map_init(&f->by_pattern);
    struct split *sp = mem_alloc(sizeof *sp);
    if (sp == NULL)
        return err_nomem(e);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = families_add(f, sp, names[i], strlen(names[i]), e);
    mem_free(sp);
    return rc;
}

enum rc hostset_fold(const struct hostset *s, struct buf *out, struct err *e)
{
    struct families f;
    enum rc rc = families_of_set(&f, s, e);
    if (rc == RC_OK)
        rc = families_put(&f, out, e);
    families_fini(&f);
    return rc;
}

enum rc hostset_fold_names(const char *const *names, size_t count, struct buf *out, struct err *e)
{
    struct families f;
    enum rc rc = families_of_names(&f, names, count, e);
    if (rc == RC_OK)
        rc = families_put(&f, out, e);
    families_fini(&f);
    return rc;
}

enum rc hostset_order(const struct hostset *s, struct hostset *out, struct err *e)
{
    struct families f;
    enum rc rc = families_of_set(&f, s, e);
    if (rc == RC_OK)
        rc = families_unfold(&f, out, e);
    families_fini(&f);
    return rc;
}
