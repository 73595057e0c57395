/* Folding names with several indexes, with the result of ClusterShell's RangeSetND.
 *
 * There, vectors are sorted and neighbours merged that differ in one axis only, until nothing
 * changes; then every pair is tried, again until nothing changes. The pairs make it quadratic. Here
 * the second phase looks partners up: for each axis, vectors are sorted by a hash of all *other*
 * axes, so that the next vector that differs in this axis only is found by halving. Merging goes
 * in the same order and gives the same vectors, because those of one set never overlap: two that
 * agree in all axes but one are disjoint in that one.
 */
#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "common/mem.h"
#include "inventory/hostset_int.h"

/* Passes of one phase. Each merges something, and real names need fewer than ten; a set made to
 * need more is left less folded, not wrong. */
enum { MAX_PASSES = 256 };

const uint64_t *hostset_axis_items(const struct hostset_axis *a)
{
    return a->items != NULL ? a->items : &a->min;
}

static void vec_free(struct hostset_vec *v, unsigned dims)
{
    if (v == NULL)
        return;
    for (unsigned k = 0; k < dims; k++)
        mem_free(v->axes[k].items);
    mem_free(v);
}

void hostset_vecs_fini(struct hostset_vecs *v)
{
    for (size_t i = 0; i < v->count; i++)
        vec_free(v->items[i], v->dims);
    mem_free(v->items);
    *v = (struct hostset_vecs){0};
}

static uint64_t hash_idx(uint64_t idx)
{
    return map_hash(&idx, sizeof idx);
}

static struct hostset_vec *vec_new(const uint64_t *tuple, unsigned dims)
{
    struct hostset_vec *v = mem_calloc(1, sizeof *v + dims * sizeof v->axes[0]);
    if (v == NULL)
        return NULL;
    v->volume = 1;
    for (unsigned k = 0; k < dims; k++)
        v->axes[k] = (struct hostset_axis){.count = 1,
                                           .min = tuple[k],
                                           .max = tuple[k],
                                           .sum = hash_idx(tuple[k]),
                                           .sorted = true};
    return v;
}

static int vecs_push(struct hostset_vecs *v, const uint64_t *tuple)
{
    if (mem_grow(&v->items, &v->cap, v->count + 1, sizeof(struct hostset_vec *)) != 0)
        return -1;
    struct hostset_vec *vec = vec_new(tuple, v->dims);
    if (vec == NULL)
        return -1;
    v->items[v->count++] = vec;
    return 0;
}

/* --- axes ----------------------------------------------------------------------------------- */

static void axis_sort(struct hostset_axis *a)
{
    if (!a->sorted)
        qsort(a->items, a->count, sizeof *a->items, hostset_idx_compare);
    a->sorted = true;
}

static bool axis_equal(struct hostset_axis *a, struct hostset_axis *b)
{
    if (a->count != b->count || a->sum != b->sum || a->min != b->min || a->max != b->max)
        return false;
    if (a->count == 1)
        return true;
    axis_sort(a);
    axis_sort(b);
    return memcmp(a->items, b->items, a->count * sizeof *a->items) == 0;
}

/* Makes *a the union with disjoint items; on failure unchanged. */
static int axis_add(struct hostset_axis *a, const uint64_t *items, uint32_t count, uint64_t sum)
{
    size_t cap = a->cap;
    if (mem_grow(&a->items, &cap, (size_t)a->count + count, sizeof *a->items) != 0)
        return -1;
    a->cap = (uint32_t)cap;
    if (a->count == 1)
        a->items[0] = a->min;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t x = items[i];
        a->sorted = a->sorted && x > a->max;
        a->min = x < a->min ? x : a->min;
        a->max = x > a->max ? x : a->max;
        a->items[a->count++] = x;
    }
    a->sum += sum;
    return 0;
}

static int vec_grow(struct hostset_vec *v, unsigned axis, const uint64_t *items, uint32_t count,
                    uint64_t sum)
{
    struct hostset_axis *a = &v->axes[axis];
    uint64_t others = v->volume / a->count;
    if (axis_add(a, items, count, sum) != 0)
        return -1;
    v->volume = others * a->count;
    return 0;
}

/* True when exactly one axis differs. */
static bool differ_in_one(struct hostset_vec *a, struct hostset_vec *b, unsigned dims,
                          unsigned *axis)
{
    unsigned diffs = 0;
    for (unsigned k = 0; k < dims; k++) {
        if (axis_equal(&a->axes[k], &b->axes[k]))
            continue;
        if (++diffs > 1)
            return false;
        *axis = k;
    }
    must(diffs == 1);
    return true;
}

/* --- first pass: over the tuples, so that a vector is made per run and not per name ----------- */

static int compare_tuples(const void *a, const void *b, void *user)
{
    const uint64_t *x = a, *y = b;
    unsigned dims = *(unsigned *)user;
    for (unsigned k = 0; k < dims; k++)
        if (x[k] != y[k])
            return x[k] < y[k] ? -1 : 1;
    return 0;
}

/* Sorted as text, as Python compares the strings; then without duplicates. */
static size_t tuples_sort(uint64_t *tuples, size_t count, unsigned dims)
{
    for (size_t i = 0; i < count * dims; i++)
        tuples[i] = hostset_idx_textual(tuples[i]);
    qsort_r(tuples, count, dims * sizeof *tuples, compare_tuples, &dims);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t *t = tuples + i * dims;
        if (n > 0 && compare_tuples(tuples + (n - 1) * dims, t, &dims) == 0)
            continue;
        memmove(tuples + n++ * dims, t, dims * sizeof *t);
    }
    for (size_t i = 0; i < n * dims; i++)
        tuples[i] = hostset_idx_untextual(tuples[i]);
    return n;
}

/* True when the tuple may join: all axes but one are the same single index. */
static bool tuple_fits(const struct hostset_vec *v, const uint64_t *t, unsigned dims,
                       unsigned *axis)
{
    unsigned diffs = 0;
    for (unsigned k = 0; k < dims; k++) {
        if (v->axes[k].count == 1 && v->axes[k].min == t[k])
            continue;
        if (++diffs > 1)
            return false;
        *axis = k;
    }
    return true;
}

static int merge_tuples(struct hostset_vecs *v, const uint64_t *tuples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t *t = tuples + i * v->dims;
        unsigned axis = 0;
        if (v->count > 0 && tuple_fits(v->items[v->count - 1], t, v->dims, &axis)) {
            if (vec_grow(v->items[v->count - 1], axis, &t[axis], 1, hash_idx(t[axis])) != 0)
                return -1;
        } else if (vecs_push(v, t) != 0)
            return -1;
    }
    return 0;
}

/* --- merging vectors ------------------------------------------------------------------------ */

/* RangeSetND._sort: larger first, then larger axes, then the first and last index as text. */
static int compare_axes(const struct hostset_axis *x, const struct hostset_axis *y)
{
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    if (x->min != y->min)
        return hostset_idx_textual(x->min) < hostset_idx_textual(y->min) ? -1 : 1;
    if (x->max != y->max)
        return hostset_idx_textual(x->max) < hostset_idx_textual(y->max) ? -1 : 1;
    return 0;
}

static int compare_vecs(const void *a, const void *b, void *user)
{
    const struct hostset_vec *x = *(struct hostset_vec *const *)a;
    const struct hostset_vec *y = *(struct hostset_vec *const *)b;
    unsigned dims = *(unsigned *)user;
    if (x->volume != y->volume)
        return x->volume > y->volume ? -1 : 1;
    for (unsigned k = 0; k < dims; k++) {
        int c = compare_axes(&x->axes[k], &y->axes[k]);
        if (c != 0)
            return c;
    }
    return (x->pos > y->pos) - (x->pos < y->pos);
}

static void vecs_sort(struct hostset_vecs *v)
{
    for (size_t i = 0; i < v->count; i++)
        v->items[i]->pos = (uint32_t)i;
    qsort_r(v->items, v->count, sizeof(struct hostset_vec *), compare_vecs, &v->dims);
}

static int vec_absorb(struct hostset_vec *v, struct hostset_vec *other, unsigned axis)
{
    const struct hostset_axis *a = &other->axes[axis];
    return vec_grow(v, axis, hostset_axis_items(a), a->count, a->sum);
}

/* Neighbours only. Returns how many were merged, or -1. */
static long neighbour_pass(struct hostset_vecs *v)
{
    size_t n = 0, i = 0;
    long merged = 0;
    while (i < v->count) {
        struct hostset_vec *vec = v->items[i++];
        v->items[n++] = vec;
        unsigned axis = 0;
        while (i < v->count && differ_in_one(vec, v->items[i], v->dims, &axis)) {
            if (vec_absorb(vec, v->items[i], axis) != 0) {
                memmove(v->items + n, v->items + i, (v->count - i) * sizeof *v->items);
                v->count = n + (v->count - i);
                return -1;
            }
            vec_free(v->items[i++], v->dims);
            merged++;
        }
    }
    v->count = n;
    return merged;
}

/* --- every pair ----------------------------------------------------------------------------- */

/* For one axis: vectors by the hash of their other axes, then by position. */
struct partner {
    uint64_t key;
    uint32_t pos;
    uint32_t next; /* next entry of this table that may be alive; shortened as it is walked */
};

struct partners {
    struct partner **tables; /* one per axis, count entries each */
    size_t count;
};

static uint64_t axis_term(const struct hostset_axis *a, unsigned k)
{
    uint64_t words[3] = {a->sum, a->count, k};
    return map_hash(words, sizeof words);
}

static uint64_t key_without(const struct hostset_vec *v, unsigned dims, unsigned axis)
{
    uint64_t key = 0;
    for (unsigned k = 0; k < dims; k++)
        if (k != axis)
            key += axis_term(&v->axes[k], k);
    return key;
}

static int compare_partners(const void *a, const void *b)
{
    const struct partner *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->pos > y->pos) - (x->pos < y->pos);
}

static void partners_fini(struct partners *p, unsigned dims)
{
    for (unsigned k = 0; p->tables != NULL && k < dims; k++)
        mem_free(p->tables[k]);
    mem_free(p->tables);
}

static int partners_init(struct partners *p, const struct hostset_vecs *v)
{
    p->count = v->count;
    p->tables = mem_calloc(v->dims, sizeof(struct partner *));
    if (p->tables == NULL)
        return -1;
    for (unsigned k = 0; k < v->dims; k++) {
        struct partner *t = p->tables[k] = mem_alloc(v->count * sizeof *t);
        if (t == NULL)
            return -1;
        for (size_t i = 0; i < v->count; i++)
            t[i] = (struct partner){key_without(v->items[i], v->dims, k), (uint32_t)i, 0};
        qsort(t, v->count, sizeof *t, compare_partners);
        for (size_t i = 0; i < v->count; i++)
            t[i].next = (uint32_t)i;
    }
    return 0;
}

/* The first entry at or after `at` whose vector was not merged away. */
static size_t skip_dead(struct partner *t, size_t count, struct hostset_vec *const *items,
                        size_t at)
{
    size_t end = at;
    while (end < count && items[t[end].pos] == NULL)
        end = t[end].next > end ? t[end].next : end + 1;
    while (at < end) {
        size_t next = t[at].next > at ? t[at].next : at + 1;
        t[at].next = (uint32_t)end;
        at = next;
    }
    return end;
}

/* The nearest vector behind `pos` that differs from vec in `axis` only; count when none. */
static size_t find_partner(struct partners *p, const struct hostset_vecs *v,
                           struct hostset_vec *vec, size_t pos, unsigned axis)
{
    struct partner *t = p->tables[axis];
    uint64_t key = key_without(vec, v->dims, axis);
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t[mid].key < key || (t[mid].key == key && t[mid].pos <= pos))
            low = mid + 1;
        else
            high = mid;
    }
    for (;; low++) {
        low = skip_dead(t, p->count, v->items, low);
        if (low >= p->count || t[low].key != key)
            return p->count;
        unsigned differs = 0;
        if (differ_in_one(vec, v->items[t[low].pos], v->dims, &differs) && differs == axis)
            return t[low].pos;
    }
}

static long grow_from(struct partners *p, struct hostset_vecs *v, size_t i)
{
    struct hostset_vec *vec = v->items[i];
    long merged = 0;
    for (size_t pos = i;;) {
        size_t best = p->count;
        unsigned axis = 0;
        for (unsigned k = 0; k < v->dims; k++) {
            size_t at = find_partner(p, v, vec, pos, k);
            if (at < best) {
                best = at;
                axis = k;
            }
        }
        if (best == p->count)
            return merged;
        if (vec_absorb(vec, v->items[best], axis) != 0)
            return -1;
        vec_free(v->items[best], v->dims);
        v->items[best] = NULL;
        pos = best;
        merged++;
    }
}

static void compact(struct hostset_vecs *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i] != NULL)
            v->items[n++] = v->items[i];
    v->count = n;
}

static long pair_pass(struct hostset_vecs *v)
{
    struct partners p = {0};
    long merged = partners_init(&p, v) == 0 ? 0 : -1;
    for (size_t i = 0; merged >= 0 && i < v->count; i++) {
        if (v->items[i] == NULL)
            continue;
        long n = grow_from(&p, v, i);
        merged = n < 0 ? -1 : merged + n;
    }
    partners_fini(&p, v->dims);
    compact(v);
    return merged;
}

/* --- all of it ------------------------------------------------------------------------------ */

static enum rc run_passes(struct hostset_vecs *v, long (*pass)(struct hostset_vecs *))
{
    for (int i = 0; i < MAX_PASSES && v->count > 1; i++) {
        vecs_sort(v);
        long merged = pass(v);
        if (merged <= 0)
            return merged < 0 ? RC_NOMEM : RC_OK;
    }
    return RC_OK;
}

enum rc hostset_vecs_fold(struct hostset_vecs *v, uint64_t *tuples, size_t count, unsigned dims,
                          struct err *e)
{
    *v = (struct hostset_vecs){.dims = dims};
    count = tuples_sort(tuples, count, dims);
    enum rc rc = merge_tuples(v, tuples, count) == 0 ? RC_OK : RC_NOMEM;
    if (rc == RC_OK)
        rc = run_passes(v, neighbour_pass);
    if (rc == RC_OK)
        rc = run_passes(v, pair_pass);
    if (rc != RC_OK) {
        hostset_vecs_fini(v);
        return err_nomem(e);
    }
    for (size_t i = 0; i < v->count; i++)
        for (unsigned k = 0; k < dims; k++)
            axis_sort(&v->items[i]->axes[k]);
    return RC_OK;
}
