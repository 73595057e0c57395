/* The messages about keys that are more than a file: IDENTITY, SIGN, SIGNED. See msg.h. */
#include <string.h>

#include "common/str.h"
#include "controller/ssh/key_blob.h"
#include "controller/worker/msg.h"
#include "proto/wire.h"

enum { MEMBERS = 4 };

static enum rc begin(struct wire_out *w, struct buf *out, uint8_t type, uint64_t id, size_t *mark,
                     size_t members)
{
    enum rc rc = frame_begin(out, type, id, mark);
    if (rc != RC_OK)
        return rc;
    wire_out_init(w, out);
    wire_put_map(w, members);
    return RC_OK;
}

static enum rc end(struct wire_out *w, struct buf *out, size_t mark)
{
    enum rc rc = wire_out_end(w);
    if (rc == RC_OK)
        return frame_end(out, mark);
    frame_drop(out, mark);
    return rc;
}

static enum rc refuse(struct err *e, const struct frame *f, const char *field)
{
    return err_set(e, RC_PROTO, "message %u: %s is missing or out of range", f->type, field);
}

enum rc msg_put_identity(struct buf *out, unsigned id, const struct msg_identity *m)
{
    struct wire_out w;
    size_t mark;
    if (m->len > KEY_BLOB_MAX || strlen(m->label) > MSG_MAX_LABEL)
        return RC_LIMIT;
    enum rc rc = begin(&w, out, MSG_IDENTITY, id, &mark, MEMBERS);
    if (rc != RC_OK)
        return rc;
    wire_put_bool(&w, "agent", m->agent);
    wire_put_u64(&w, "base", m->base);
    wire_put_bin(&w, "blob", m->blob, m->len);
    wire_put_str(&w, "label", m->label);
    return end(&w, out, mark);
}

static enum rc read_identity(const struct wire_map *map, const struct frame *f,
                             struct msg_identity *m, struct err *e)
{
    uint64_t base;
    const char *label;
    size_t n;
    if (wire_bool(map, "agent", &m->agent) != RC_OK)
        return refuse(e, f, "agent");
    if (wire_u64(map, "base", UINT16_MAX, &base) != RC_OK)
        return refuse(e, f, "base");
    if (wire_bin(map, "blob", KEY_BLOB_MAX, &m->blob, &m->len) != RC_OK || m->len == 0)
        return refuse(e, f, "blob");
    if (wire_str(map, "label", MSG_MAX_LABEL, &label, &n) != RC_OK)
        return refuse(e, f, "label");
    m->base = (unsigned)base;
    str_escape_to(m->label_text, sizeof m->label_text, label, n, 0);
    m->label = m->label_text;
    return wire_count(map) == MEMBERS ? RC_OK : refuse(e, f, "every other field");
}

enum rc msg_get_identity(const struct frame *f, struct msg_identity *m, struct err *e)
{
    struct wire_map map;
    if (f->id > UINT16_MAX)
        return refuse(e, f, "the number");
    enum rc rc = wire_open(&map, f->payload, f->length, e);
    if (rc != RC_OK)
        return rc;
    rc = read_identity(&map, f, m, e);
    wire_close(&map);
    return rc;
}

enum rc msg_put_sign(struct buf *out, uint64_t job, unsigned key, const void *data, size_t n)
{
    struct wire_out w;
    size_t mark;
    if (n == 0 || n > MSG_MAX_SIGN_DATA)
        return RC_LIMIT;
    enum rc rc = begin(&w, out, MSG_SIGN, job, &mark, 2);
    if (rc != RC_OK)
        return rc;
    wire_put_u64(&w, "key", key);
    wire_put_bin(&w, "data", data, n);
    return end(&w, out, mark);
}

enum rc msg_get_sign(const struct frame *f, struct msg_sign *m, struct err *e)
{
    struct wire_map map;
    uint64_t key = 0;
    enum rc rc = wire_open(&map, f->payload, f->length, e);
    if (rc != RC_OK)
        return rc;
    if (wire_u64(&map, "key", UINT16_MAX, &key) != RC_OK)
        rc = refuse(e, f, "key");
    else if (wire_bin(&map, "data", MSG_MAX_SIGN_DATA, &m->data, &m->len) != RC_OK || m->len == 0)
        rc = refuse(e, f, "data");
    else if (wire_count(&map) != 2)
        rc = refuse(e, f, "every other field");
    m->key = (unsigned)key;
    wire_close(&map);
    return rc;
}

enum rc msg_put_signed(struct buf *out, uint64_t job, enum sign_answer a, const void *sig,
                       size_t len, const char *detail)
{
    struct wire_out w;
    size_t mark;
    char text[MSG_MAX_DETAIL];
    if (len > MSG_MAX_SIGNATURE)
        return RC_LIMIT;
    enum rc rc = begin(&w, out, MSG_SIGNED, job, &mark, 3);
    if (rc != RC_OK)
        return rc;
    wire_put_u64(&w, "answer", a);
    wire_put_bin(&w, "signature", len > 0 ? sig : "", len);
    wire_put_str(&w, "detail", str_escape_to(text, sizeof text, detail, strlen(detail), 0));
    return end(&w, out, mark);
}

static enum rc read_signed(const struct wire_map *map, const struct frame *f, struct msg_signed *m,
                           struct err *e)
{
    uint64_t answer;
    const char *detail;
    size_t n;
    if (wire_u64(map, "answer", SIGN_ANSWER_COUNT - 1, &answer) != RC_OK)
        return refuse(e, f, "answer");
    m->answer = (enum sign_answer)answer;
    if (wire_bin(map, "signature", MSG_MAX_SIGNATURE, &m->sig, &m->len) != RC_OK ||
        (m->len > 0) != (m->answer == SIGN_OK))
        return refuse(e, f, "signature");
    if (wire_str(map, "detail", sizeof m->detail - 1, &detail, &n) != RC_OK)
        return refuse(e, f, "detail");
    str_escape_to(m->detail, sizeof m->detail, detail, n, 0);
    return wire_count(map) == 3 ? RC_OK : refuse(e, f, "every other field");
}

enum rc msg_get_signed(const struct frame *f, struct msg_signed *m, struct err *e)
{
    struct wire_map map;
    enum rc rc = wire_open(&map, f->payload, f->length, e);
    if (rc != RC_OK)
        return rc;
    rc = read_signed(&map, f, m, e);
    wire_close(&map);
    return rc;
}
