/* A tree of /proc and /sys in memory for agent/core, and a sample of it taken apart: what the tests
 * of the sections share. Include after cmocka.h. */
#ifndef TESTS_UNIT_CORE_FIXTURE_H
#define TESTS_UNIT_CORE_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/core_int.h"
#include "common/mem.h"
#include "proto/frame.h"

enum { FX_FILES = 2048 };

struct fx_file {
    char path[200];
    const char *data;
    size_t n;
    int err;   /* reading it gives this errno */
    bool link; /* data is where it points */
};

struct fx {
    struct fx_file files[FX_FILES];
    size_t n;
    struct statvfs fs; /* of every file system whose path does not hold "bad" */
    struct core *core;
    struct buf out;
    struct wire_map map;
    bool open;
    struct core_request request;
};

static struct fx_file *fx_find(struct fx *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->files[i].path, path) == 0)
            return &f->files[i];
    return NULL;
}

static inline struct fx_file *fx_bytes(struct fx *f, const char *path, const char *data, size_t n)
{
    struct fx_file *x = fx_find(f, path);
    if (x == NULL) {
        must(f->n < FX_FILES);
        x = &f->files[f->n++];
    }
    *x = (struct fx_file){.data = data, .n = n};
    snprintf(x->path, sizeof x->path, "%s", path);
    return x;
}

static inline void fx_add(struct fx *f, const char *path, const char *text)
{
    fx_bytes(f, path, text, strlen(text));
}

static inline void fx_link(struct fx *f, const char *path, const char *to)
{
    fx_bytes(f, path, to, strlen(to))->link = true;
}

static inline void fx_fails(struct fx *f, const char *path, int err)
{
    fx_bytes(f, path, "", 0)->err = err;
}

static inline void fx_remove(struct fx *f, const char *path)
{
    struct fx_file *x = fx_find(f, path);
    must(x != NULL);
    memmove(x, x + 1, (size_t)(f->files + f->n - x - 1) * sizeof *x);
    f->n--;
}

static ssize_t fx_read(void *user, const char *path, uint64_t at, void *dst, size_t n)
{
    struct fx_file *x = fx_find(user, path);
    if (x == NULL || x->err != 0)
        return x == NULL ? -ENOENT : -x->err;
    if (at >= x->n)
        return 0;
    size_t left = x->n - (size_t)at;
    n = n < left ? n : left;
    memcpy(dst, x->data + at, n);
    return (ssize_t)n;
}

/* The index-th different name below the folder. */
static ssize_t fx_entry(void *user, const char *path, size_t index, char *dst, size_t cap)
{
    struct fx *f = user;
    size_t len = strlen(path), seen = 0;
    bool any = false;
    for (size_t i = 0; i < f->n; i++) {
        const char *p = f->files[i].path;
        if (strncmp(p, path, len) != 0 || p[len] != '/')
            continue;
        any = true;
        size_t n = strcspn(p + len + 1, "/");
        bool before = false;
        for (size_t k = 0; k < i && !before; k++)
            before =
                strncmp(f->files[k].path, p, len + 1 + n) == 0 &&
                (f->files[k].path[len + 1 + n] == '/' || f->files[k].path[len + 1 + n] == '\0');
        if (before || seen++ != index)
            continue;
        must(n < cap);
        memcpy(dst, p + len + 1, n);
        return (ssize_t)n;
    }
    return any ? 0 : -ENOENT;
}

static ssize_t fx_readlink(void *user, const char *path, char *dst, size_t cap)
{
    struct fx_file *x = fx_find(user, path);
    if (x == NULL || !x->link)
        return x == NULL ? -ENOENT : -EINVAL;
    if (x->err != 0)
        return -x->err;
    size_t n = x->n < cap ? x->n : cap;
    memcpy(dst, x->data, n);
    return (ssize_t)n;
}

static int fx_statvfs(void *user, const char *path, struct statvfs *out)
{
    struct fx *f = user;
    if (strstr(path, "bad") != NULL)
        return -EIO;
    *out = f->fs;
    return 0;
}

static const struct core_files fx_provider = {fx_read, fx_entry, fx_readlink, fx_statvfs};

static int fx_setup(void **state)
{
    struct fx *f = mem_calloc(1, sizeof *f);
    struct core_spec spec = {.root = "", .hz = 100, .page = 4096};
    must(f != NULL && core_new(&f->core, &spec, NULL) == RC_OK);
    core_set_files(f->core, &fx_provider, f);
    buf_init(&f->out, FRAME_MAX);
    f->request = (struct core_request){.section_ms = 600000};
    *state = f;
    return 0;
}

static int fx_teardown(void **state)
{
    struct fx *f = *state;
    if (f->open)
        wire_close(&f->map);
    core_free(f->core);
    buf_fini(&f->out);
    mem_free(f);
    return 0;
}

/* Takes a sample of that section (or of all, with NULL) and decodes it. */
static inline void fx_sample(struct fx *f, const char *section)
{
    struct err e = {0};
    f->request.sections = ~(uint64_t)0;
    if (section != NULL) {
        int number = core_section_find(section, strlen(section));
        assert_true(number >= 0);
        f->request.sections = (uint64_t)1 << number;
    }
    if (f->open)
        wire_close(&f->map);
    buf_reset(&f->out);
    assert_int_equal(core_sample(f->core, &f->request, 7, 3, &f->out), RC_OK);
    f->open = wire_open(&f->map, f->out.data, f->out.len, &e) == RC_OK;
    if (!f->open)
        fail_msg("%s", e.msg);
}

static inline const msgpack_object *fx_member(const msgpack_object *o, const char *key, size_t n)
{
    if (o == NULL || o->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object_kv *kv = &o->via.map.ptr[i];
        if (kv->key.via.str.size == n && memcmp(kv->key.via.str.ptr, key, n) == 0)
            return &kv->val;
    }
    return NULL;
}

/* "memory/data/total"; NULL when there is none. */
static inline const msgpack_object *fx_at(const struct fx *f, const char *path)
{
    const msgpack_object *o = fx_member(&f->map.root, "sections", 8);
    while (*path != '\0' && o != NULL) {
        size_t n = strcspn(path, "/");
        o = fx_member(o, path, n);
        path += n + (path[n] == '/');
    }
    return o;
}

static inline bool fx_near(double a, double b)
{
    double d = a > b ? a - b : b - a, size = b < 0 ? -b : b;
    return d <= 1e-9 * (1 + size);
}

static inline bool fx_is_text(const msgpack_object *o, const char *text)
{
    return o != NULL && o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(text) &&
           memcmp(o->via.str.ptr, text, o->via.str.size) == 0;
}

static inline double fx_number(const msgpack_object *o)
{
    assert_non_null(o);
    switch (o->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER: return (double)o->via.u64;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return (double)o->via.i64;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return o->via.f64;
    case MSGPACK_OBJECT_BOOLEAN: return o->via.boolean;
    default: fail_msg("not a number: type %d", (int)o->type);
    }
    return 0;
}

#define fx_is(f, path, v)                                                                          \
    do {                                                                                           \
        if (fx_at(f, path) == NULL)                                                                \
            fail_msg("no %s", path);                                                               \
        double fx_got = fx_number(fx_at(f, path)), fx_want = (double)(v);                          \
        if (!fx_near(fx_got, fx_want))                                                             \
            fail_msg("%s: %.17g, not %.17g", path, fx_got, fx_want);                               \
    } while (0)

#define fx_status(f, section, text)                                                                \
    do {                                                                                           \
        const msgpack_object *fx_s = fx_at(f, section "/status");                                  \
        if (!fx_is_text(fx_s, text))                                                               \
            fail_msg(section ": %.*s, not " text, fx_s ? (int)fx_s->via.str.size : 4,              \
                     fx_s ? fx_s->via.str.ptr : "none");                                           \
    } while (0)

/* ---- tables ---- */

static inline size_t fx_rows(const struct fx *f, const char *table)
{
    const msgpack_object *rows = fx_member(fx_at(f, table), "rows", 4);
    assert_non_null(rows);
    return rows->via.array.size;
}

static inline const msgpack_object *fx_cell(const struct fx *f, const char *table, size_t row,
                                            const char *col)
{
    const msgpack_object *cols = fx_member(fx_at(f, table), "cols", 4),
                         *rows = fx_member(fx_at(f, table), "rows", 4);
    assert_non_null(cols);
    assert_non_null(rows);
    assert_true(row < rows->via.array.size);
    const msgpack_object_array *r = &rows->via.array.ptr[row].via.array;
    assert_int_equal(r->size, cols->via.array.size);
    for (uint32_t i = 0; i < r->size; i++)
        if (fx_is_text(&cols->via.array.ptr[i], col))
            return &r->ptr[i];
    fail_msg("no column %s in %s", col, table);
    return NULL;
}

#define fx_cell_is(f, table, row, col, v)                                                          \
    do {                                                                                           \
        double fx_got = fx_number(fx_cell(f, table, row, col)), fx_want = (double)(v);             \
        if (!fx_near(fx_got, fx_want))                                                             \
            fail_msg("%s[%zu].%s: %.17g, not %.17g", table, (size_t)(row), col, fx_got, fx_want);  \
    } while (0)

#define fx_cell_text(f, table, row, col, text)                                                     \
    do {                                                                                           \
        const msgpack_object *fx_c = fx_cell(f, table, row, col);                                  \
        if (!fx_is_text(fx_c, text))                                                               \
            fail_msg("%s[%zu].%s: %.*s (type %d), not %s", table, (size_t)(row), col,              \
                     fx_c->type == MSGPACK_OBJECT_STR ? (int)fx_c->via.str.size : 0,               \
                     fx_c->type == MSGPACK_OBJECT_STR ? fx_c->via.str.ptr : "", (int)fx_c->type,   \
                     text);                                                                        \
    } while (0)

#define fx_cell_nil(f, table, row, col)                                                            \
    assert_int_equal(fx_cell(f, table, row, col)->type, MSGPACK_OBJECT_NIL)

#endif
