/* See hostset.h. The set itself: names packed into an arena, an index of item numbers beside them,
 * so that ten million names cost about forty bytes each. Knows no notation: hostset_parse.c reads
 * it, hostset_fold.c and hostset_nd.c write it.
 */
#include "inventory/hostset.h"

#include <stdio.h>
#include <string.h>

#include "common/map.h"
#include "common/mem.h"
#include "inventory/hostset_int.h"

enum { ROOM = 16384 };

enum rc hostset_new(struct hostset **out, struct err *e)
{
    struct hostset *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    arena_init(&s->arena);
    *out = s;
    return RC_OK;
}

void hostset_free(struct hostset *s)
{
    if (s == NULL)
        return;
    arena_fini(&s->arena);
    mem_free(s->items);
    mem_free(s->index);
    mem_free(s);
}

static size_t find_slot(const struct hostset *s, const char *name, size_t len, uint32_t hash)
{
    size_t mask = s->index_cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        if (s->index[i] == 0)
            return i;
        const struct hostset_item *it = &s->items[s->index[i] - 1];
        if (it->hash == hash && it->len == len && memcmp(it->name, name, len) == 0)
            return i;
    }
}

static struct hostset_item *find(const struct hostset *s, const char *name, size_t len)
{
    if (s->index_cap == 0)
        return NULL;
    uint32_t at = s->index[find_slot(s, name, len, (uint32_t)map_hash(name, len))];
    return at != 0 ? &s->items[at - 1] : NULL;
}

static int index_grow(struct hostset *s)
{
    if ((s->count + 1) * 3 <= s->index_cap * 2)
        return 0;
    size_t cap = s->index_cap != 0 ? s->index_cap * 2 : 16;
    uint32_t *index = mem_calloc(cap, sizeof *index);
    if (index == NULL)
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        size_t at = s->items[i].hash & (cap - 1);
        while (index[at] != 0)
            at = (at + 1) & (cap - 1);
        index[at] = (uint32_t)i + 1;
    }
    mem_free(s->index);
    s->index = index;
    s->index_cap = cap;
    return 0;
}

static char *keep_name(struct hostset *s, const char *name, size_t len)
{
    if (s->room_left < len + 1) {
        size_t size = len + 1 > ROOM ? len + 1 : ROOM;
        s->room = arena_alloc(&s->arena, size);
        s->room_left = s->room != NULL ? size : 0;
        if (s->room == NULL)
            return NULL;
    }
    char *copy = s->room;
    memcpy(copy, name, len);
    copy[len] = '\0';
    s->room += len + 1;
    s->room_left -= len + 1;
    return copy;
}

enum rc hostset_put(struct hostset *s, const char *name, size_t len, struct err *e)
{
    if (len == 0)
        return err_set(e, RC_PARSE, "a host name cannot be empty");
    if (len > HOSTSET_NAME_MAX)
        return err_set(e, RC_LIMIT, "a host name of %zu bytes; the limit is %d", len,
                       HOSTSET_NAME_MAX);
    struct hostset_item *old = find(s, name, len);
    if (old != NULL) {
        s->live += old->dead;
        old->dead = 0;
        return RC_OK;
    }
    if (s->count >= HOSTSET_MAX || s->bytes + len > HOSTSET_BYTES_MAX)
        return err_set(e, RC_LIMIT, "more than %d host names", HOSTSET_MAX);
    if (mem_grow(&s->items, &s->cap, s->count + 1, sizeof *s->items) != 0 || index_grow(s) != 0)
        return err_nomem(e);
    char *copy = keep_name(s, name, len);
    if (copy == NULL)
        return err_nomem(e);
    uint32_t hash = (uint32_t)map_hash(name, len);
    size_t slot = find_slot(s, name, len, hash);
    s->items[s->count] = (struct hostset_item){.name = copy, .hash = hash, .len = (uint32_t)len};
    s->index[slot] = (uint32_t)++s->count;
    s->live++;
    s->bytes += len;
    return RC_OK;
}

bool hostset_remove(struct hostset *s, const char *name, size_t len)
{
    struct hostset_item *it = find(s, name, len);
    if (it == NULL || it->dead)
        return false;
    it->dead = 1;
    s->live--;
    return true;
}

enum rc hostset_add(struct hostset *s, const char *name, struct err *e)
{
    return hostset_put(s, name, strlen(name), e);
}

size_t hostset_count(const struct hostset *s)
{
    return s->live;
}

const char *hostset_at(const struct hostset *s, size_t i)
{
    must(i < s->count);
    return s->items[i].name;
}

bool hostset_has(const struct hostset *s, const char *name)
{
    const struct hostset_item *it = find(s, name, strlen(name));
    return it != NULL && !it->dead;
}

/* --- one index ------------------------------------------------------------------------------ */

#define IDX_POSITIVE ((uint64_t)1 << 63)
#define IDX_ZERO     ((uint64_t)1 << 62) /* negative ones lie below it */
#define IDX_VALUE    (((uint64_t)1 << 57) - 1)

uint64_t hostset_idx(unsigned len, uint64_t value)
{
    return IDX_POSITIVE | (uint64_t)len << 57 | value;
}

uint64_t hostset_idx_read(const char *digits, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (uint64_t)(digits[i] - '0');
    return hostset_idx((unsigned)n, v);
}

uint64_t hostset_idx_negative(uint64_t magnitude)
{
    return IDX_ZERO - magnitude;
}

unsigned hostset_idx_len(uint64_t idx)
{
    return (unsigned)(idx >> 57) & 31;
}

uint64_t hostset_idx_value(uint64_t idx)
{
    return idx & IDX_VALUE;
}

size_t hostset_idx_text(char dst[static HOSTSET_IDX_TEXT], uint64_t idx)
{
    uint64_t value = hostset_idx_value(idx);
    unsigned len = hostset_idx_len(idx);
    if (!(idx & IDX_POSITIVE))
        return (size_t)snprintf(dst, HOSTSET_IDX_TEXT, "-%llu",
                                (unsigned long long)(IDX_ZERO - idx));
    for (unsigned i = len; i-- > 0; value /= 10)
        dst[i] = (char)('0' + value % 10);
    dst[len] = '\0';
    return len;
}

uint64_t hostset_pow10(unsigned n)
{
    uint64_t p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

/* The digits aligned to the left, then the length: "1" < "10" < "2". */
uint64_t hostset_idx_textual(uint64_t idx)
{
    unsigned len = hostset_idx_len(idx);
    return hostset_idx_value(idx) * hostset_pow10(HOSTSET_DIGITS - len) << 5 | len;
}

uint64_t hostset_idx_untextual(uint64_t key)
{
    unsigned len = key & 31;
    return hostset_idx(len, (key >> 5) / hostset_pow10(HOSTSET_DIGITS - len));
}

int hostset_idx_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool hostset_next_digits(const char *name, size_t len, size_t *at, size_t *end)
{
    for (size_t i = *at; i < len;) {
        if (!is_digit(name[i])) {
            i++;
            continue;
        }
        size_t j = i;
        while (j < len && is_digit(name[j]))
            j++;
        if (j - i <= HOSTSET_DIGITS) {
            *at = i;
            *end = j;
            return true;
        }
        i = j;
    }
    return false;
}

/* --- order ---------------------------------------------------------------------------------- */

/* Walks a name as its pattern text: a run of digits reads "%s", a percent sign "%%". */
struct pattern_walk {
    const char *s;
    size_t len, at, digits, end; /* [digits, end): the next run, digits == len when there is none */
    unsigned dims;
    unsigned char pending; /* second character of a pair, or 0 */
};

static void walk_seek(struct pattern_walk *w)
{
    w->digits = w->at;
    if (w->dims >= HOSTSET_DIMS || !hostset_next_digits(w->s, w->len, &w->digits, &w->end))
        w->digits = w->end = w->len;
}

static struct pattern_walk walk_start(const char *s)
{
    struct pattern_walk w = {.s = s, .len = strlen(s)};
    walk_seek(&w);
    return w;
}

static int walk_next(struct pattern_walk *w)
{
    if (w->pending != 0) {
        int c = w->pending;
        w->pending = 0;
        return c;
    }
    if (w->at >= w->len)
        return -1;
    if (w->at == w->digits) {
        w->at = w->end;
        w->dims++;
        walk_seek(w);
        w->pending = 's';
        return '%';
    }
    unsigned char c = (unsigned char)w->s[w->at++];
    if (c == '%')
        w->pending = '%';
    return c;
}

static int compare_indexes(const char *a, const char *b)
{
    struct pattern_walk x = walk_start(a), y = walk_start(b);
    while (x.digits < x.len && y.digits < y.len) {
        uint64_t i = hostset_idx_read(a + x.digits, x.end - x.digits);
        uint64_t j = hostset_idx_read(b + y.digits, y.end - y.digits);
        if (i != j)
            return i < j ? -1 : 1;
        x.at = x.end, x.dims++;
        y.at = y.end, y.dims++;
        walk_seek(&x);
        walk_seek(&y);
    }
    return 0;
}

int hostset_compare(const char *a, const char *b)
{
    struct pattern_walk x = walk_start(a), y = walk_start(b);
    for (;;) {
        int c = walk_next(&x), d = walk_next(&y);
        if (c != d)
            return c < d ? -1 : 1;
        if (c < 0)
            return compare_indexes(a, b);
    }
}
