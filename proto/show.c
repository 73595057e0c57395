/* See show.h. */
#include "proto/show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/str.h"
#include "proto/agent.h"
#include "proto/frame.h"
#include "proto/wire.h"

enum shape { SHAPE_EMPTY, SHAPE_MAP, SHAPE_PART, SHAPE_COUNT, SHAPE_SECRET };

/* All of proto/PROTOCOL.md. PART: a byte with a meaning, then data; COUNT: four bytes. */
static const struct type {
    uint8_t type;
    uint8_t shape;
    const char *name;
} types[] = {
    {1, SHAPE_SECRET, "KEY"},
    {2, SHAPE_PART, "STDIN"},
    {3, SHAPE_MAP, "START"},
    {4, SHAPE_MAP, "HOSTKEY_ANSWER"},
    {5, SHAPE_MAP, "CANCEL"},
    {6, SHAPE_EMPTY, "PAUSE"},
    {7, SHAPE_EMPTY, "RESUME"},
    {11, SHAPE_MAP, "SIGNED"},
    {12, SHAPE_MAP, "IDENTITY"},
    {13, SHAPE_SECRET, "SECRET"},
    {AGENT_WELCOME, SHAPE_MAP, "WELCOME"},
    {AGENT_REQUEST, SHAPE_MAP, "REQUEST"},
    {AGENT_INPUT, SHAPE_PART, "INPUT"},
    {AGENT_CREDIT, SHAPE_COUNT, "CREDIT"},
    {AGENT_CANCEL, SHAPE_MAP, "CANCEL"},
    {AGENT_PING, SHAPE_EMPTY, "PING"},
    {AGENT_BYE, SHAPE_EMPTY, "BYE"},
    {64, SHAPE_MAP, "TROUBLE"},
    {65, SHAPE_MAP, "HOSTKEY"},
    {66, SHAPE_EMPTY, "AUTHENTICATED"},
    {67, SHAPE_EMPTY, "SENT"},
    {68, SHAPE_PART, "DATA"},
    {69, SHAPE_MAP, "DONE"},
    {73, SHAPE_MAP, "SIGN"},
    {74, SHAPE_EMPTY, "SECRET_WANTED"},
    {75, SHAPE_EMPTY, "BEGUN"},
    {76, SHAPE_EMPTY, "READY"},
    {AGENT_HELLO, SHAPE_MAP, "HELLO"},
    {AGENT_REPLY, SHAPE_MAP, "REPLY"},
    {AGENT_DATA, SHAPE_PART, "DATA"},
    {AGENT_END, SHAPE_MAP, "END"},
    {AGENT_TAKEN, SHAPE_COUNT, "TAKEN"},
    {AGENT_PONG, SHAPE_MAP, "PONG"},
};

static const struct type *find(uint8_t type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type)
            return &types[i];
    return NULL;
}

const char *show_type(uint8_t type)
{
    const struct type *t = find(type);
    return t != NULL ? t->name : NULL;
}

/* ---- values ---- */

static enum rc show_text(struct buf *out, const char *open, const void *p, size_t n)
{
    enum rc rc = buf_puts(out, open);
    if (rc == RC_OK)
        rc = str_escape(out, p, n < SHOW_TEXT ? n : SHOW_TEXT, 0);
    if (rc == RC_OK)
        rc = buf_putc(out, '"');
    if (rc == RC_OK && n > SHOW_TEXT)
        rc = buf_printf(out, "… %zu bytes", n);
    return rc;
}

static enum rc show_value(struct buf *out, const msgpack_object *o);

static enum rc show_list(struct buf *out, const msgpack_object_array *a)
{
    enum rc rc = buf_putc(out, '[');
    for (uint32_t i = 0; rc == RC_OK && i < a->size && i < SHOW_ITEMS; i++) {
        rc = buf_puts(out, i > 0 ? ", " : "");
        if (rc == RC_OK)
            rc = show_value(out, &a->ptr[i]);
    }
    if (rc == RC_OK && a->size > SHOW_ITEMS)
        rc = buf_printf(out, ", … %" PRIu32 " items", a->size);
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

static enum rc show_map(struct buf *out, const msgpack_object_map *m)
{
    enum rc rc = buf_putc(out, '{');
    for (uint32_t i = 0; rc == RC_OK && i < m->size; i++) {
        const msgpack_object_str *key = &m->ptr[i].key.via.str;
        rc = buf_puts(out, i > 0 ? ", " : "");
        if (rc == RC_OK)
            rc = str_escape(out, key->ptr, key->size < SHOW_TEXT ? key->size : SHOW_TEXT, 0);
        if (rc == RC_OK)
            rc = buf_puts(out, ": ");
        if (rc == RC_OK)
            rc = show_value(out, &m->ptr[i].val);
    }
    return rc == RC_OK ? buf_putc(out, '}') : rc;
}

/* Calls itself no deeper than wire_validate lets a message be. */
static enum rc show_value(struct buf *out, const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: return buf_puts(out, "nil");
    case MSGPACK_OBJECT_BOOLEAN: return buf_puts(out, o->via.boolean ? "true" : "false");
    case MSGPACK_OBJECT_POSITIVE_INTEGER: return buf_printf(out, "%" PRIu64, o->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return buf_printf(out, "%" PRIi64, o->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return buf_printf(out, "%.15g", o->via.f64);
    case MSGPACK_OBJECT_STR: return show_text(out, "\"", o->via.str.ptr, o->via.str.size);
    case MSGPACK_OBJECT_BIN: return show_text(out, "b\"", o->via.bin.ptr, o->via.bin.size);
    case MSGPACK_OBJECT_ARRAY: return show_list(out, &o->via.array);
    case MSGPACK_OBJECT_MAP: return show_map(out, &o->via.map);
    default: return buf_puts(out, "?");
    }
}

/* ---- payloads ---- */

static enum rc show_raw(struct buf *out, const struct frame *f)
{
    return show_text(out, "raw \"", f->payload, f->length);
}

static enum rc show_msgpack(struct buf *out, const struct frame *f)
{
    struct wire_map m;
    struct err e = {0};
    enum rc rc = wire_open(&m, f->payload, f->length, &e);
    if (rc == RC_NOMEM)
        return rc;
    if (rc == RC_OK) {
        rc = show_map(out, &m.root.via.map);
        wire_close(&m);
        return rc;
    }
    rc = buf_printf(out, "(%s) ", e.msg);
    return rc == RC_OK ? show_raw(out, f) : rc;
}

static enum rc show_part(struct buf *out, const struct frame *f)
{
    enum rc rc = buf_printf(out, "%u ", f->payload[0]);
    return rc == RC_OK ? show_text(out, "\"", f->payload + 1, f->length - 1) : rc;
}

static enum rc show_count(struct buf *out, const struct frame *f)
{
    uint32_t n;
    if (agent_take_count(f, &n) != RC_OK)
        return show_raw(out, f);
    return buf_printf(out, "%" PRIu32, n);
}

static enum rc show_payload(struct buf *out, const struct type *t, const struct frame *f)
{
    if (t == NULL)
        return show_raw(out, f);
    switch ((enum shape)t->shape) {
    case SHAPE_EMPTY: return show_raw(out, f); /* against the rules */
    case SHAPE_MAP: return show_msgpack(out, f);
    case SHAPE_PART: return show_part(out, f);
    case SHAPE_COUNT: return show_count(out, f);
    case SHAPE_SECRET: return buf_puts(out, "(not shown)");
    }
    return RC_OK;
}

/* ---- the stream ---- */

static enum rc show_frame(struct buf *out, size_t at, const struct frame *f)
{
    const struct type *t = find(f->type);
    enum rc rc = buf_printf(out, "%8zu  ", at);
    if (rc == RC_OK)
        rc = t != NULL ? buf_printf(out, "%-14s", t->name) : buf_printf(out, "type %-9u", f->type);
    if (rc == RC_OK)
        rc = buf_printf(out, " %" PRIu64, f->id);
    if (rc == RC_OK && f->length > 0)
        rc = buf_puts(out, "  ");
    if (rc == RC_OK && f->length > 0)
        rc = show_payload(out, t, f);
    return rc == RC_OK ? buf_putc(out, '\n') : rc;
}

/* Before an agent's first frame: noise, magic, nonce. The bytes that this was; 0: none of it. */
static size_t preamble(const uint8_t *p, size_t n)
{
    struct frame f;
    if (frame_parse(p, n, &f) > 0)
        return 0;
    size_t look =
        n < AGENT_NOISE_MAX + AGENT_PREAMBLE_LEN ? n : AGENT_NOISE_MAX + AGENT_PREAMBLE_LEN;
    const uint8_t *magic = memmem(p, look, agent_magic, AGENT_MAGIC_LEN);
    if (magic == NULL || n - (size_t)(magic - p) < AGENT_PREAMBLE_LEN)
        return 0;
    return (size_t)(magic - p) + AGENT_PREAMBLE_LEN;
}

static enum rc show_preamble(struct buf *out, const uint8_t *p, size_t n)
{
    char nonce[AGENT_NONCE_HEX + 1];
    size_t noise = n - AGENT_PREAMBLE_LEN;
    enum rc rc = RC_OK;
    if (noise > 0)
        rc = buf_printf(out, "%8d  noise          %zu bytes  ", 0, noise);
    if (rc == RC_OK && noise > 0)
        rc = show_text(out, "\"", p, noise);
    if (rc == RC_OK && noise > 0)
        rc = buf_putc(out, '\n');
    agent_nonce_text(nonce, p + n - AGENT_NONCE_LEN);
    return rc == RC_OK ? buf_printf(out, "%8zu  an agent, nonce %s\n", noise, nonce) : rc;
}

static enum rc show_rest(struct buf *out, size_t at, const uint8_t *p, size_t n, bool cut)
{
    if (cut)
        return buf_printf(out, "%8zu  (the first %zu bytes of a frame that is cut)\n", at, n);
    enum rc rc = buf_printf(out, "%8zu  (no frame, %zu bytes left)  ", at, n);
    if (rc == RC_OK)
        rc = show_text(out, "\"", p, n);
    return rc == RC_OK ? buf_putc(out, '\n') : rc;
}

enum rc show_stream(struct buf *out, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    struct frame f;
    long len = 0;
    size_t at = preamble(p, n);
    enum rc rc = at > 0 ? show_preamble(out, p, at) : RC_OK;
    while (rc == RC_OK && at < n && (len = frame_parse(p + at, n - at, &f)) > 0) {
        rc = show_frame(out, at, &f);
        at += (size_t)len;
    }
    return rc == RC_OK && at < n ? show_rest(out, at, p + at, n - at, len == 0) : rc;
}
