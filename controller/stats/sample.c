/* Decoding. See sample.h. Which member goes where is figure_table.h's. */
#include "controller/stats/sample_int.h"

#include <math.h>
#include <string.h>

#include "common/mem.h"
#include "controller/output/text.h"
#include "proto/wire.h"

enum {
    HZ_MAX = 1000000,
    PAGE_MAX = 1 << 24,
    COLUMNS_MOST = 64,
    LEFT_OUT_MOST = 1 << 30,
    PATH_PARTS = 4, /* of a figure's path */
};

static const char *const status_names[SECTION_STATUS_COUNT] = {
    [SECTION_ABSENT] = "",
    [SECTION_OK] = "ok",
    [SECTION_DENIED] = "denied",
    [SECTION_MISSING] = "missing",
    [SECTION_TIMEOUT] = "timeout",
    [SECTION_ERROR] = "error",
    [SECTION_UNSUPPORTED] = "unsupported",
};

const char *section_status_name(enum section_status st)
{
    must((unsigned)st < SECTION_STATUS_COUNT);
    return status_names[st];
}

struct decode {
    struct sample *s;
    enum stats_section section;
    enum figure_kind kind;
    uint32_t row;  /* as the host numbers them */
    uint32_t kept; /* where it goes */
    bool full;     /* no room for a text: the row is left out */
    uint32_t hints[PATH_PARTS];
    struct err *e;
};

/* Is that the key of a path up to its end or its next dot? */
static inline bool leads(const msgpack_object_str *key, const char *path)
{
    for (uint32_t i = 0; i < key->size; i++)
        if (path[i] != key->ptr[i] || path[i] == '\0' || path[i] == '.')
            return false;
    return path[key->size] == '\0' || path[key->size] == '.';
}

/* The first member of a path. Hosts write members in the order in which figures stand: *hint is
 * where the last one was found, and it is the next one nearly always. */
static const msgpack_object_kv *find(const msgpack_object_map *map, const char *path,
                                     uint32_t *hint)
{
    for (uint32_t tries = 0, i = *hint; tries < map->size; tries++, i++) {
        i = i < map->size ? i : 0;
        if (!leads(&map->ptr[i].key.via.str, path))
            continue;
        *hint = i + (path[map->ptr[i].key.via.str.size] == '\0');
        return &map->ptr[i];
    }
    return NULL;
}

/* What a map has of this name, without dots in it; NULL: nothing, or nil. */
static const msgpack_object *member(const msgpack_object_map *map, const char *name)
{
    uint32_t hint = 0;
    const msgpack_object_kv *kv = find(map, name, &hint);
    return kv == NULL || kv->val.type == MSGPACK_OBJECT_NIL ? NULL : &kv->val;
}

static enum rc bad(const struct decode *d, const char *name, const char *what)
{
    const char *section = section_defs[d->section].name;
    if (d->kind == KIND_HOST)
        return err_set(d->e, RC_PROTO, "sample: %s: %s %s", section, name, what);
    return err_set(d->e, RC_PROTO, "sample: %s: row %u of %s: %s %s", section, d->row,
                   kind_defs[d->kind].table, name, what);
}

/* A command line comes with a NUL behind each argument: blanks, as ps shows it. */
static void join_arguments(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\0')
            p[i] = ' ';
}

/* Up to a NUL (not of a command line), and not past SAMPLE_TEXT. Full: 0. */
static enum rc keep_text(struct decode *d, const char *p, size_t n, bool arguments, uint32_t *at)
{
    struct buf *b = &d->s->texts;
    const char *nul = n > 0 && !arguments ? memchr(p, '\0', n) : NULL;
    if (nul != NULL)
        n = (size_t)(nul - p);
    while (arguments && n > 0 && p[n - 1] == '\0')
        n--;
    n = text_cut(p, n, SAMPLE_TEXT);
    *at = 0;
    if (n == 0)
        return RC_OK;
    size_t start = b->len;
    enum rc rc = buf_append(b, p, n);
    if (rc == RC_OK)
        rc = buf_putc(b, '\0');
    if (rc == RC_NOMEM)
        return err_nomem(d->e);
    if (rc == RC_OK && arguments)
        join_arguments((char *)b->data + start, n);
    d->full |= rc == RC_LIMIT;
    if (rc == RC_LIMIT)
        b->len = start;
    *at = rc == RC_OK ? (uint32_t)start : 0;
    return RC_OK;
}

static enum rc take_text(struct decode *d, enum figure f, const msgpack_object *o)
{
    uint32_t at;
    bool bin = o->type == MSGPACK_OBJECT_BIN;
    if (!bin && o->type != MSGPACK_OBJECT_STR)
        return bad(d, figure_defs[f].wire, "is not text");
    enum rc rc = keep_text(d, bin ? o->via.bin.ptr : o->via.str.ptr,
                           bin ? o->via.bin.size : o->via.str.size, f == FIG_PROC_CMDLINE, &at);
    if (rc == RC_OK)
        sample_cell(d->s, f, d->kept, CELL_TEXT)->text = at;
    return rc;
}

static enum rc take_whole(struct decode *d, enum figure f, const msgpack_object *o)
{
    bool negative = o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    if (!negative && o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return bad(d, figure_defs[f].wire, "is not a whole number");
    if (negative && figure_defs[f].type == TYPE_U64)
        return bad(d, figure_defs[f].wire, "is negative");
    if (f == FIG_NET_SPEED && o->via.u64 == 0)
        return RC_OK; /* psutil's word for not known */
    if (negative)
        sample_cell(d->s, f, d->kept, CELL_I64)->i64 = o->via.i64;
    else
        sample_cell(d->s, f, d->kept, CELL_U64)->u64 = o->via.u64;
    return RC_OK;
}

static enum rc take_real(struct decode *d, enum figure f, const msgpack_object *o)
{
    double v;
    switch (o->type) {
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: v = o->via.f64; break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: v = (double)o->via.u64; break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: v = (double)o->via.i64; break;
    default: return bad(d, figure_defs[f].wire, "is not a number");
    }
    if (!isfinite(v))
        return bad(d, figure_defs[f].wire, "is not a finite number");
    sample_cell(d->s, f, d->kept, CELL_F64)->f64 = v;
    return RC_OK;
}

static enum rc take_value(struct decode *d, enum figure f, const msgpack_object *o)
{
    if (o == NULL || o->type == MSGPACK_OBJECT_NIL)
        return RC_OK;
    switch ((enum figure_type)figure_defs[f].type) {
    case TYPE_TEXT: return take_text(d, f, o);
    case TYPE_U64:
    case TYPE_I64: return take_whole(d, f, o);
    case TYPE_F64: return take_real(d, f, o);
    case TYPE_ANY:
        return o->type == MSGPACK_OBJECT_STR || o->type == MSGPACK_OBJECT_BIN ? take_text(d, f, o)
                                                                              : take_whole(d, f, o);
    case TYPE_BOOL: break;
    }
    if (o->type != MSGPACK_OBJECT_BOOLEAN)
        return bad(d, figure_defs[f].wire, "is not true or false");
    sample_cell(d->s, f, d->kept, CELL_BOOL)->u64 = o->via.boolean;
    return RC_OK;
}

/* The member at a path like "cpu.some.avg10". A state that nothing is in is not in by_status: 0. */
static enum rc take_path(struct decode *d, enum figure f, const msgpack_object_map *data)
{
    const char *path = figure_defs[f].wire;
    for (unsigned depth = 0; depth < PATH_PARTS; depth++) {
        const msgpack_object_kv *kv = find(data, path, &d->hints[depth]);
        bool nothing = kv == NULL || kv->val.type == MSGPACK_OBJECT_NIL;
        size_t n = kv != NULL ? kv->key.via.str.size : strcspn(path, ".");
        if (path[n] == '\0' && nothing && strncmp(figure_defs[f].wire, "by_status.", 10) == 0)
            sample_cell(d->s, f, d->kept, CELL_U64)->u64 = 0;
        if (nothing)
            return RC_OK;
        if (path[n] == '\0')
            return take_value(d, f, &kv->val);
        if (kv->val.type != MSGPACK_OBJECT_MAP)
            return bad(d, figure_defs[f].wire, "has no map around it");
        data = &kv->val.via.map;
        path += n + 1;
    }
    must(false); /* a figure's path has no more parts */
    return RC_OK;
}

static enum rc new_table(struct decode *d, uint32_t rows)
{
    struct sample_table *t = &d->s->tables[d->kind];
    const struct kind_def *def = &kind_defs[d->kind];
    if (rows == 0)
        return RC_OK;
    size_t values = (size_t)rows * def->count;
    t->cells = mem_alloc(values * (sizeof *t->cells + 1));
    if (t->cells == NULL)
        return err_nomem(d->e);
    t->types = (uint8_t *)(t->cells + values);
    memset(t->types, CELL_NONE, values);
    t->room = rows;
    return RC_OK;
}

enum figure sample_key(enum figure_kind k)
{
    switch (k) {
    case KIND_CPU: return FIG_PERCPU_CPU;
    case KIND_FREQ: return FIG_FREQ_CPU;
    case KIND_MOUNT: return FIG_DISK_MOUNT;
    case KIND_DISKIO: return FIG_IO_NAME;
    case KIND_NIC: return FIG_NET_NAME;
    case KIND_PROCESS: return FIG_PROC_PID;
    case KIND_MEMINFO: return FIG_MEMINFO_NAME;
    case KIND_VMSTAT: return FIG_VMSTAT_NAME;
    default: return FIGURE_COUNT;
    }
}

static bool is_again(const struct decode *d)
{
    enum figure key = sample_key(d->kind);
    if (key == FIGURE_COUNT)
        return false;
    const char *text = sample_text(d->s, key, d->kept);
    uint64_t n = 0, m = 0;
    bool number = sample_u64(d->s, key, d->kept, &n), again = text == NULL && !number;
    for (uint32_t r = 0; text != NULL && !again && r < d->kept; r++) {
        const char *other = sample_text(d->s, key, r);
        again = other != NULL && strcmp(text, other) == 0;
    }
    for (uint32_t r = 0; number && !again && r < d->kept; r++)
        again = sample_u64(d->s, key, r, &m) && m == n;
    return again; /* or a row of nothing */
}

/* Keeps the row that was just decoded, or takes it back. */
static void settle_row(struct decode *d, size_t texts_before)
{
    struct sample_table *t = &d->s->tables[d->kind];
    const struct kind_def *def = &kind_defs[d->kind];
    if (!d->full && !is_again(d)) {
        d->kept++;
        return;
    }
    t->left_out += d->full; /* what was said already is no loss */
    t->rows--;
    memset(t->types + sample_place(d->kind, (enum figure)def->first, d->kept), CELL_NONE,
           def->count);
    d->s->texts.len = texts_before;
    d->full = false;
}

/* The figure of a column; FIGURE_COUNT: none that we know. Columns come in the order of figures. */
static enum figure column_figure(const struct kind_def *def, const msgpack_object_str *name,
                                 uint32_t *hint)
{
    for (uint32_t tries = 0; tries < def->count; tries++, (*hint)++) {
        *hint = *hint < def->count ? *hint : 0;
        const char *wire = figure_defs[def->first + *hint].wire;
        if (wire != NULL && leads(name, wire) && wire[name->size] == '\0')
            return (enum figure)(def->first + (*hint)++);
    }
    return FIGURE_COUNT;
}

static enum rc read_columns(struct decode *d, const msgpack_object *cols,
                            enum figure columns[COLUMNS_MOST], uint32_t *count)
{
    const struct kind_def *def = &kind_defs[d->kind];
    uint32_t hint = 0;
    if (cols == NULL || cols->type != MSGPACK_OBJECT_ARRAY || cols->via.array.size > COLUMNS_MOST)
        return bad(d, "cols", "is not a list of at most 64 names");
    *count = cols->via.array.size;
    for (uint32_t i = 0; i < *count; i++) {
        const msgpack_object *o = &cols->via.array.ptr[i];
        if (o->type != MSGPACK_OBJECT_STR)
            return bad(d, "cols", "holds something that is not a name");
        columns[i] = column_figure(def, &o->via.str, &hint);
        for (uint32_t j = 0; columns[i] != FIGURE_COUNT && j < i; j++)
            if (columns[j] == columns[i])
                return bad(d, "cols", "names a column twice");
    }
    return RC_OK;
}

static enum rc take_row(struct decode *d, const msgpack_object *row, const enum figure *columns,
                        uint32_t count)
{
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size != count)
        return bad(d, "it", "is not a list of as many values as there are columns");
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < count; i++)
        if (columns[i] != FIGURE_COUNT)
            rc = take_value(d, columns[i], &row->via.array.ptr[i]);
    return rc;
}

static enum rc take_rows(struct decode *d, const msgpack_object_map *table)
{
    enum figure columns[COLUMNS_MOST];
    uint32_t count = 0, most = kind_defs[d->kind].most;
    struct sample_table *t = &d->s->tables[d->kind];
    const msgpack_object *rows = member(table, "rows");
    enum rc rc = read_columns(d, member(table, "cols"), columns, &count);
    if (rc != RC_OK)
        return rc;
    if (rows == NULL || rows->type != MSGPACK_OBJECT_ARRAY)
        return bad(d, "rows", "is not a list");
    const msgpack_object *more = member(table, "more");
    if (more != NULL && more->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return bad(d, "more", "is not a count");
    uint32_t sent = rows->via.array.size;
    rc = new_table(d, sent < most ? sent : most);
    if (rc != RC_OK)
        return rc;
    t->rows = sent < most ? sent : most;
    t->left_out = sent - t->rows;
    if (more != NULL) /* the host's own bound */
        t->left_out += more->via.u64 < LEFT_OUT_MOST ? (uint32_t)more->via.u64 : LEFT_OUT_MOST;
    for (uint32_t i = 0; i < sent && d->kept < t->rows; i++) {
        size_t before = d->s->texts.len;
        d->row = i;
        rc = take_row(d, &rows->via.array.ptr[i], columns, count);
        if (rc != RC_OK)
            return rc;
        settle_row(d, before);
    }
    return RC_OK;
}

/* {"MemTotal": 123, …} as rows of name and value. */
static enum rc take_pairs(struct decode *d, const msgpack_object_map *map)
{
    enum figure name = d->kind == KIND_MEMINFO ? FIG_MEMINFO_NAME : FIG_VMSTAT_NAME;
    enum figure value = d->kind == KIND_MEMINFO ? FIG_MEMINFO_VALUE : FIG_VMSTAT_VALUE;
    struct sample_table *t = &d->s->tables[d->kind];
    uint32_t most = kind_defs[d->kind].most;
    enum rc rc = new_table(d, map->size < most ? map->size : most);
    if (rc != RC_OK)
        return rc;
    t->rows = map->size < most ? map->size : most;
    t->left_out = map->size - t->rows;
    for (uint32_t i = 0; i < map->size && d->kept < t->rows; i++) {
        size_t before = d->s->texts.len;
        d->row = i;
        rc = take_value(d, name, &map->ptr[i].key);
        if (rc == RC_OK)
            rc = take_value(d, value, &map->ptr[i].val);
        if (rc != RC_OK)
            return rc;
        settle_row(d, before);
    }
    return RC_OK;
}

static enum rc take_table(struct decode *d, enum figure_kind kind, const msgpack_object_map *data)
{
    const char *name = kind_defs[kind].table;
    const msgpack_object *o = member(data, name);
    d->kind = kind;
    d->row = d->kept = 0;
    d->full = false;
    if (o == NULL)
        return RC_OK;
    if (o->type != MSGPACK_OBJECT_MAP)
        return bad(d, name, "is not a table");
    bool pairs =
        (kind == KIND_MEMINFO || kind == KIND_VMSTAT) && member(&o->via.map, "cols") == NULL;
    return pairs ? take_pairs(d, &o->via.map) : take_rows(d, &o->via.map);
}

static enum rc take_data(struct decode *d, uint32_t kinds, const msgpack_object_map *data)
{
    const struct kind_def *host = &kind_defs[KIND_HOST];
    enum rc rc = RC_OK;
    d->kind = KIND_HOST;
    d->row = d->kept = 0;
    d->full = false;
    memset(d->hints, 0, sizeof d->hints);
    for (int f = host->first; rc == RC_OK && f < host->first + host->count; f++)
        if (figure_defs[f].section == d->section && figure_defs[f].wire != NULL)
            rc = take_path(d, (enum figure)f, data);
    for (int k = KIND_HOST + 1; rc == RC_OK && k < KIND_COUNT; k++)
        if (kind_defs[k].section == d->section && (kinds & 1u << k))
            rc = take_table(d, (enum figure_kind)k, data);
    return rc;
}

static enum rc take_section(struct decode *d, uint32_t kinds, const struct wire_map *section)
{
    struct sample *s = d->s;
    const char *text;
    size_t n;
    uint64_t us = 0, at_us = 0;
    struct wire_map data;
    d->kind = KIND_HOST;
    if (wire_str(section, "status", 32, &text, &n) != RC_OK)
        return bad(d, "status", "is missing or no text");
    int st = SECTION_OK;
    while (st < SECTION_STATUS_COUNT &&
           (strlen(status_names[st]) != n || memcmp(status_names[st], text, n) != 0))
        st++;
    if (st == SECTION_STATUS_COUNT)
        return bad(d, "status", "is none of ok, denied, missing, timeout, error and unsupported");
    s->sections[d->section].status = (uint8_t)st;
    if (wire_u64(section, "us", UINT32_MAX, &us) == RC_PROTO)
        return bad(d, "us", "is no time");
    if (wire_u64(section, "at_us", UINT32_MAX, &at_us) == RC_PROTO)
        return bad(d, "at_us", "is no time");
    s->sections[d->section].us = (uint32_t)us;
    s->sections[d->section].at_us = (uint32_t)at_us;
    enum rc rc = wire_str(section, "error", SIZE_MAX, &text, &n);
    if (rc == RC_PROTO)
        return bad(d, "error", "is not text");
    if (rc == RC_OK)
        rc = keep_text(d, text, text_cut(text, n, SAMPLE_ERROR), false,
                       &s->sections[d->section].error);
    if (rc == RC_NOMEM)
        return rc;
    rc = wire_map(section, "data", &data);
    if (rc == RC_PROTO)
        return bad(d, "data", "is not a map");
    return rc == RC_OK ? take_data(d, kinds, &data.root.via.map) : RC_OK;
}

static enum rc take_head(struct sample *s, const struct wire_map *m, struct err *e)
{
    uint64_t hz, page;
    const char *bad_name = NULL;
    if (wire_u64(m, "seq", UINT64_MAX, &s->seq) != RC_OK)
        bad_name = "seq";
    else if (wire_u64(m, "skipped", UINT64_MAX, &s->skipped) == RC_PROTO)
        bad_name = "skipped";
    else if (wire_u64(m, "mono_ns", INT64_MAX, &s->mono_ns) != RC_OK)
        bad_name = "mono_ns";
    else if (wire_u64(m, "real_ns", INT64_MAX, &s->real_ns) != RC_OK)
        bad_name = "real_ns";
    else if (wire_u64(m, "hz", HZ_MAX, &hz) != RC_OK || hz == 0)
        bad_name = "hz";
    else if (wire_u64(m, "page", PAGE_MAX, &page) != RC_OK || page == 0)
        bad_name = "page";
    else if (wire_str_to(m, "boot_id", s->boot_id, sizeof s->boot_id) == RC_PROTO)
        bad_name = "boot_id";
    if (bad_name != NULL)
        return err_set(e, RC_PROTO, "sample: %s is missing, of a wrong type or out of range",
                       bad_name);
    s->hz = (uint32_t)hz;
    s->page = (uint32_t)page;
    return RC_OK;
}

static enum rc take_all(struct sample *s, const struct wire_map *m, uint32_t kinds, struct err *e)
{
    struct decode d = {.s = s, .e = e, .kind = KIND_HOST};
    struct wire_map sections, section;
    enum rc rc = take_head(s, m, e);
    if (rc == RC_OK)
        rc = new_table(&d, 1);
    if (rc != RC_OK)
        return rc;
    s->tables[KIND_HOST].rows = 1;
    if (wire_map(m, "sections", &sections) != RC_OK)
        return err_set(e, RC_PROTO, "sample: sections is missing or not a map");
    for (int i = 0; rc == RC_OK && i < SECTION_COUNT; i++) {
        d.section = (enum stats_section)i;
        enum rc got = wire_map(&sections, section_defs[i].name, &section);
        if (got == RC_PROTO)
            return bad(&d, "it", "is not a map");
        if (got == RC_OK)
            rc = take_section(&d, kinds, &section);
    }
    return rc;
}

/* The texts in as much memory as they need: samples are kept by the thousand. */
static void trim(struct sample *s)
{
    uint8_t *less = mem_realloc(s->texts.data, s->texts.len);
    if (less == NULL)
        return;
    s->texts.data = less;
    s->texts.cap = s->texts.len;
}

enum rc sample_decode(struct sample *s, const void *p, size_t n, uint32_t kinds, struct err *e)
{
    struct wire_map m;
    if (kinds & 1u << KIND_CPU)
        kinds |= 1u << KIND_FREQ;
    enum rc rc = wire_open_valid(&m, p, n, e);
    if (rc != RC_OK)
        return rc;
    rc = buf_putc(&s->texts, '\0') == RC_OK ? take_all(s, &m, kinds, e) : err_nomem(e);
    wire_close(&m);
    if (rc == RC_OK)
        trim(s);
    else
        sample_fini(s);
    return rc;
}
