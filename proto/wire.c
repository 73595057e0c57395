/* See wire.h. msgpack-c allocates what a header claims before it has seen a byte of it (five bytes
 * can ask for 96 GiB), so nothing reaches it that wire_validate has not walked to its end. */
#include "proto/wire.h"

#include <string.h>

enum { ZONE_LEAST = 1024, ZONE_MOST = 32 * 1024 }; /* bytes that msgpack-c allocates at once */

struct key_ref {
    uint32_t at, len;
    uint16_t ends; /* its first and last byte: they tell most keys apart */
};

struct level {
    uint32_t left;   /* values still to come; a map's keys count too */
    uint32_t n_keys; /* keys seen */
    bool map;
    bool key_next;
};

struct walk {
    const uint8_t *p;
    size_t n, at;
    uint32_t nodes;
    unsigned depth; /* open containers */
    struct level levels[WIRE_MAX_DEPTH];
    struct key_ref keys[WIRE_MAX_DEPTH][WIRE_MAX_KEYS];
    struct err *e;
};

enum shape { SHAPE_SCALAR, SHAPE_STR, SHAPE_BIN, SHAPE_ARRAY, SHAPE_MAP, SHAPE_BAD };

struct head {
    enum shape shape;
    uint32_t
        len; /* of a scalar: bytes after the first; of a string: bytes; of a container: items */
};

static enum rc bad(struct walk *w, const char *what)
{
    return err_set(w->e, RC_PROTO, "msgpack: %s at byte %zu", what, w->at);
}

/* A big-endian number of `width` bytes after the first one. Moves past both. */
static bool take_number(struct walk *w, unsigned width, uint32_t *out)
{
    if (w->n - w->at - 1 < width)
        return false;
    uint32_t v = 0;
    for (unsigned i = 0; i < width; i++)
        v = v << 8 | w->p[w->at + 1 + i];
    w->at += 1 + width;
    *out = v;
    return true;
}

static bool take_sized(struct walk *w, enum shape shape, unsigned width, struct head *h)
{
    h->shape = shape;
    return take_number(w, width, &h->len);
}

static bool take_short(struct walk *w, enum shape shape, uint32_t len, struct head *h)
{
    h->shape = shape;
    h->len = len;
    w->at++;
    return true;
}

/* Reads the first byte and the length that follows it. false: the bytes end there. */
static bool take_head(struct walk *w, struct head *h)
{
    uint8_t b = w->p[w->at];
    if (b <= 0x7f || b >= 0xe0)
        return take_short(w, SHAPE_SCALAR, 0, h);
    if (b <= 0x8f)
        return take_short(w, SHAPE_MAP, b & 0x0f, h);
    if (b <= 0x9f)
        return take_short(w, SHAPE_ARRAY, b & 0x0f, h);
    if (b <= 0xbf)
        return take_short(w, SHAPE_STR, b & 0x1f, h);
    switch (b) {
    case 0xc0:
    case 0xc2:
    case 0xc3: return take_short(w, SHAPE_SCALAR, 0, h);
    case 0xc4: return take_sized(w, SHAPE_BIN, 1, h);
    case 0xc5: return take_sized(w, SHAPE_BIN, 2, h);
    case 0xc6: return take_sized(w, SHAPE_BIN, 4, h);
    case 0xcc:
    case 0xd0: return take_short(w, SHAPE_SCALAR, 1, h);
    case 0xcd:
    case 0xd1: return take_short(w, SHAPE_SCALAR, 2, h);
    case 0xca:
    case 0xce:
    case 0xd2: return take_short(w, SHAPE_SCALAR, 4, h);
    case 0xcb:
    case 0xcf:
    case 0xd3: return take_short(w, SHAPE_SCALAR, 8, h);
    case 0xd9: return take_sized(w, SHAPE_STR, 1, h);
    case 0xda: return take_sized(w, SHAPE_STR, 2, h);
    case 0xdb: return take_sized(w, SHAPE_STR, 4, h);
    case 0xdc: return take_sized(w, SHAPE_ARRAY, 2, h);
    case 0xdd: return take_sized(w, SHAPE_ARRAY, 4, h);
    case 0xde: return take_sized(w, SHAPE_MAP, 2, h);
    case 0xdf: return take_sized(w, SHAPE_MAP, 4, h);
    default: return take_short(w, SHAPE_BAD, 0, h); /* ext types, and 0xc1 that is never used */
    }
}

/* The key's bytes are at w->at. */
static enum rc note_key(struct walk *w, struct level *l, uint32_t len)
{
    struct key_ref *keys = w->keys[w->depth - 1];
    const uint8_t *p = w->p + w->at;
    uint16_t ends = len > 0 ? (uint16_t)(p[0] << 8 | p[len - 1]) : 0;
    for (uint32_t i = 0; i < l->n_keys; i++)
        if (keys[i].ends == ends && keys[i].len == len && memcmp(w->p + keys[i].at, p, len) == 0)
            return bad(w, "the same key twice in a map");
    keys[l->n_keys++] = (struct key_ref){(uint32_t)w->at, len, ends};
    return RC_OK;
}

static enum rc open_container(struct walk *w, const struct head *h)
{
    bool map = h->shape == SHAPE_MAP;
    if (map && h->len > WIRE_MAX_KEYS)
        return bad(w, "a map with too many keys");
    uint32_t items = map ? h->len * 2 : h->len;
    if (items > w->n - w->at)
        return bad(w, "a container larger than the message");
    if (items == 0)
        return RC_OK;
    if (w->depth == WIRE_MAX_DEPTH)
        return bad(w, "nested too deep");
    w->levels[w->depth++] = (struct level){.left = items, .map = map, .key_next = map};
    return RC_OK;
}

/* One value, counted in the container around it before it opens one of its own. */
static enum rc take_value(struct walk *w)
{
    if (w->at == w->n)
        return bad(w, "ends inside a value");
    if (++w->nodes > WIRE_MAX_NODES)
        return bad(w, "too many values");
    struct level *l = w->depth > 0 ? &w->levels[w->depth - 1] : NULL;
    bool key = l != NULL && l->key_next;
    struct head h;
    if (!take_head(w, &h))
        return bad(w, "ends inside a value");
    if (h.shape == SHAPE_BAD)
        return bad(w, "a type that is not allowed");
    if (key && h.shape != SHAPE_STR)
        return bad(w, "a map key that is not a string");
    if (h.shape <= SHAPE_BIN && h.len > w->n - w->at)
        return bad(w, "ends inside a value");
    if (key) {
        enum rc rc = note_key(w, l, h.len);
        if (rc != RC_OK)
            return rc;
    }
    if (l != NULL) {
        l->left--;
        l->key_next = l->map && !key;
    }
    if (h.shape > SHAPE_BIN)
        return open_container(w, &h);
    w->at += h.len;
    return RC_OK;
}

enum rc wire_validate(const void *p, size_t n, struct err *e)
{
    struct walk w;
    w.p = p;
    w.n = n;
    w.at = 0;
    w.nodes = 0;
    w.depth = 0;
    w.e = e;
    if (n > UINT32_MAX)
        return bad(&w, "too long");
    do {
        enum rc rc = take_value(&w);
        if (rc != RC_OK)
            return rc;
        while (w.depth > 0 && w.levels[w.depth - 1].left == 0)
            w.depth--;
    } while (w.depth > 0);
    return w.at == n ? RC_OK : bad(&w, "bytes after the value");
}

enum rc wire_open(struct wire_map *m, const void *p, size_t n, struct err *e)
{
    enum rc rc = wire_validate(p, n, e);
    return rc == RC_OK ? wire_open_valid(m, p, n, e) : rc;
}

enum rc wire_open_valid(struct wire_map *m, const void *p, size_t n, struct err *e)
{
    /* A value of a few bytes becomes an object of 24, a member of a map one of 48. */
    size_t chunk = n < ZONE_LEAST / 6 ? ZONE_LEAST : n < ZONE_MOST / 6 ? n * 6 : ZONE_MOST;
    if (!msgpack_zone_init(&m->zone, chunk))
        return err_nomem(e);
    size_t off = 0;
    msgpack_unpack_return got = msgpack_unpack(p, n, &off, &m->zone, &m->root);
    if (got == MSGPACK_UNPACK_SUCCESS && m->root.type == MSGPACK_OBJECT_MAP)
        return RC_OK;
    msgpack_zone_destroy(&m->zone);
    if (got == MSGPACK_UNPACK_NOMEM_ERROR)
        return err_nomem(e);
    return err_set(e, RC_PROTO, "msgpack: a message that is not a map");
}

void wire_close(struct wire_map *m)
{
    msgpack_zone_destroy(&m->zone);
}

size_t wire_count(const struct wire_map *m)
{
    return m->root.via.map.size;
}

static const msgpack_object *member(const struct wire_map *m, const char *key)
{
    size_t len = strlen(key);
    const msgpack_object_map *map = &m->root.via.map;
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_str *k = &map->ptr[i].key.via.str;
        if (k->size == len && (len == 0 || k->ptr[0] == *key) && memcmp(k->ptr, key, len) == 0)
            return map->ptr[i].val.type == MSGPACK_OBJECT_NIL ? NULL : &map->ptr[i].val;
    }
    return NULL;
}

enum rc wire_u64(const struct wire_map *m, const char *key, uint64_t max, uint64_t *out)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > max)
        return RC_PROTO;
    *out = o->via.u64;
    return RC_OK;
}

enum rc wire_i64(const struct wire_map *m, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    int64_t v;
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        v = o->via.i64;
    else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= INT64_MAX)
        v = (int64_t)o->via.u64;
    else
        return RC_PROTO;
    if (v < min || v > max)
        return RC_PROTO;
    *out = v;
    return RC_OK;
}

enum rc wire_bool(const struct wire_map *m, const char *key, bool *out)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    if (o->type != MSGPACK_OBJECT_BOOLEAN)
        return RC_PROTO;
    *out = o->via.boolean;
    return RC_OK;
}

enum rc wire_str(const struct wire_map *m, const char *key, size_t max, const char **s, size_t *n)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > max)
        return RC_PROTO;
    *s = o->via.str.ptr;
    *n = o->via.str.size;
    return RC_OK;
}

enum rc wire_bin(const struct wire_map *m, const char *key, size_t max, const void **p, size_t *n)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size > max)
        return RC_PROTO;
    *p = o->via.bin.ptr;
    *n = o->via.bin.size;
    return RC_OK;
}

enum rc wire_str_to(const struct wire_map *m, const char *key, char *dst, size_t cap)
{
    must(cap > 0);
    const char *s;
    size_t n;
    enum rc rc = wire_str(m, key, cap - 1, &s, &n);
    if (rc != RC_OK)
        return rc;
    if (n > 0 && memchr(s, '\0', n) != NULL)
        return RC_PROTO;
    if (n > 0)
        memcpy(dst, s, n);
    dst[n] = '\0';
    return RC_OK;
}

enum rc wire_array(const struct wire_map *m, const char *key, size_t max,
                   const msgpack_object_array **out)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > max)
        return RC_PROTO;
    *out = &o->via.array;
    return RC_OK;
}

enum rc wire_f64(const struct wire_map *m, const char *key, double *out)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    switch (o->type) {
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: *out = o->via.f64; return RC_OK;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: *out = (double)o->via.u64; return RC_OK;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: *out = (double)o->via.i64; return RC_OK;
    default: return RC_PROTO;
    }
}

enum rc wire_map(const struct wire_map *m, const char *key, struct wire_map *out)
{
    const msgpack_object *o = member(m, key);
    if (o == NULL)
        return RC_NOTFOUND;
    if (o->type != MSGPACK_OBJECT_MAP)
        return RC_PROTO;
    out->root = *o;
    return RC_OK;
}

enum rc wire_u64s(const struct wire_map *m, const char *key, size_t max, uint64_t top,
                  uint64_t *out, size_t *n)
{
    const msgpack_object_array *a;
    enum rc rc = wire_array(m, key, max, &a);
    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < a->size; i++)
        if (a->ptr[i].type != MSGPACK_OBJECT_POSITIVE_INTEGER || a->ptr[i].via.u64 > top)
            return RC_PROTO;
    for (uint32_t i = 0; i < a->size; i++)
        out[i] = a->ptr[i].via.u64;
    *n = a->size;
    return RC_OK;
}

static int write_out(void *user, const char *p, size_t n)
{
    struct wire_out *w = user;
    if (w->rc == RC_OK)
        w->rc = buf_append(w->buf, p, n);
    return w->rc == RC_OK ? 0 : -1;
}

void wire_out_init(struct wire_out *w, struct buf *buf)
{
    w->buf = buf;
    w->rc = RC_OK;
    msgpack_packer_init(&w->pk, w, write_out);
}

enum rc wire_out_end(const struct wire_out *w)
{
    return w->rc;
}

/* msgpack-c hands the failure of write_out back; it is kept in w->rc already. */
static void put_key(struct wire_out *w, const char *key)
{
    size_t n = strlen(key);
    (void)msgpack_pack_str(&w->pk, n);
    (void)msgpack_pack_str_body(&w->pk, key, n);
}

void wire_put_map(struct wire_out *w, size_t members)
{
    (void)msgpack_pack_map(&w->pk, members);
}

void wire_put_strn(struct wire_out *w, const char *key, const char *s, size_t n)
{
    put_key(w, key);
    (void)msgpack_pack_str(&w->pk, n);
    (void)msgpack_pack_str_body(&w->pk, s, n);
}

void wire_put_str(struct wire_out *w, const char *key, const char *s)
{
    wire_put_strn(w, key, s, strlen(s));
}

void wire_put_bin(struct wire_out *w, const char *key, const void *p, size_t n)
{
    put_key(w, key);
    (void)msgpack_pack_bin(&w->pk, n);
    (void)msgpack_pack_bin_body(&w->pk, p, n);
}

void wire_put_u64(struct wire_out *w, const char *key, uint64_t v)
{
    put_key(w, key);
    (void)msgpack_pack_uint64(&w->pk, v);
}

void wire_put_i64(struct wire_out *w, const char *key, int64_t v)
{
    put_key(w, key);
    (void)msgpack_pack_int64(&w->pk, v);
}

void wire_put_bool(struct wire_out *w, const char *key, bool v)
{
    put_key(w, key);
    (void)(v ? msgpack_pack_true(&w->pk) : msgpack_pack_false(&w->pk));
}

void wire_put_u64s(struct wire_out *w, const char *key, const uint64_t *v, size_t n)
{
    put_key(w, key);
    (void)msgpack_pack_array(&w->pk, n);
    for (size_t i = 0; i < n; i++)
        (void)msgpack_pack_uint64(&w->pk, v[i]);
}

void wire_put_f64(struct wire_out *w, const char *key, double v)
{
    put_key(w, key);
    (void)msgpack_pack_double(&w->pk, v);
}

/* ---- without a key ---- */

void wire_add_key(struct wire_out *w, const char *key)
{
    put_key(w, key);
}

void wire_add_str(struct wire_out *w, const char *s)
{
    put_key(w, s); /* a key is a string like any other */
}

void wire_add_strn(struct wire_out *w, const char *s, size_t n)
{
    (void)msgpack_pack_str(&w->pk, n);
    (void)msgpack_pack_str_body(&w->pk, s, n);
}

void wire_add_bin(struct wire_out *w, const void *p, size_t n)
{
    (void)msgpack_pack_bin(&w->pk, n);
    (void)msgpack_pack_bin_body(&w->pk, p, n);
}

void wire_add_u64(struct wire_out *w, uint64_t v)
{
    (void)msgpack_pack_uint64(&w->pk, v);
}

void wire_add_i64(struct wire_out *w, int64_t v)
{
    (void)msgpack_pack_int64(&w->pk, v);
}

void wire_add_f64(struct wire_out *w, double v)
{
    (void)msgpack_pack_double(&w->pk, v);
}

void wire_add_bool(struct wire_out *w, bool v)
{
    (void)(v ? msgpack_pack_true(&w->pk) : msgpack_pack_false(&w->pk));
}

void wire_add_nil(struct wire_out *w)
{
    (void)msgpack_pack_nil(&w->pk);
}

void wire_add_array(struct wire_out *w, size_t items)
{
    (void)msgpack_pack_array(&w->pk, items);
}

void wire_add_map(struct wire_out *w, size_t members)
{
    (void)msgpack_pack_map(&w->pk, members);
}

/* Written by hand: msgpack-c picks the shortest header for a count, and this one must be of a size
 * that every count fits. */
static size_t open_counted(struct wire_out *w, char head)
{
    const char bytes[3] = {head, 0, 0};
    size_t at = w->buf->len;
    (void)write_out(w, bytes, sizeof bytes);
    return at;
}

size_t wire_open_array(struct wire_out *w)
{
    return open_counted(w, (char)0xdc);
}

size_t wire_open_map(struct wire_out *w)
{
    return open_counted(w, (char)0xde);
}

void wire_close_counted(struct wire_out *w, size_t at, size_t count)
{
    if (w->rc == RC_OK && count > UINT16_MAX)
        w->rc = RC_LIMIT;
    if (w->rc != RC_OK)
        return;
    w->buf->data[at + 1] = (uint8_t)(count >> 8);
    w->buf->data[at + 2] = (uint8_t)count;
}
