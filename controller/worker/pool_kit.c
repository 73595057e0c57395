/* What every worker is given before its first job, and each replacement again: keys, then the
 * input of the commands. See pool.h.
 *
 * Private keys stay here, as the frames that carry them, until the run ends: a worker that takes a
 * dead one's place has no other way to them. They lie in memory of libsodium's that is locked, left
 * out of core files, surrounded by pages that nobody may touch, and itself out of reach except
 * while it is copied to a worker.
 */
#include "controller/worker/pool_internal.h"

#include <string.h>

#include <sodium.h>

#include "common/mem.h"
#include "controller/worker/msg.h"

static enum rc give_one(struct pool_worker *w, const struct pool_gift *g)
{
    enum rc rc = chan_reserve(&w->chan, g->len);
    if (rc != RC_OK)
        return rc;
    if (sodium_mprotect_readonly(g->frame) != 0)
        return RC_SYS;
    rc = buf_append(chan_out(&w->chan), g->frame, g->len);
    sodium_mprotect_noaccess(g->frame);
    must(rc == RC_OK); /* reserved */
    chan_kick(&w->chan);
    return RC_OK;
}

static enum rc keep(struct pool *p, const struct buf *frame, struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, RC_CRYPTO, "libsodium cannot be set up");
    if (mem_grow(&p->gifts, &p->gift_cap, p->gift_count + 1, sizeof *p->gifts) != 0)
        return err_nomem(e);
    struct pool_gift g = {.frame = sodium_malloc(frame->len), .len = frame->len};
    if (g.frame == NULL)
        return err_nomem(e);
    memcpy(g.frame, frame->data, frame->len);
    sodium_mprotect_noaccess(g.frame);
    p->gifts[p->gift_count++] = g;
    return RC_OK;
}

enum rc pool_give(struct pool *p, const struct buf *frame, struct err *e)
{
    enum rc rc = keep(p, frame, e);
    for (unsigned i = 0; rc == RC_OK && i < p->count; i++)
        if (p->workers[i].alive && give_one(&p->workers[i], &p->gifts[p->gift_count - 1]) != RC_OK)
            rc = err_nomem(e);
    return rc;
}

enum rc pool_add_key(struct pool *p, unsigned id, const char *text, size_t len,
                     const char *passphrase, const char *label, struct err *e)
{
    struct buf frame;
    buf_init(&frame, MSG_KEY_ROOM(len));
    enum rc rc = buf_reserve(&frame, MSG_KEY_ROOM(len)); /* no copy stays behind by growing */
    if (rc == RC_OK)
        rc = msg_put_key(&frame, id, text, len, passphrase, label);
    if (rc == RC_OK)
        rc = pool_give(p, &frame, e);
    else if (rc == RC_NOMEM)
        err_nomem(e);
    else
        err_set(e, rc, "key %s: the key or its passphrase is too long", label);
    buf_wipe(&frame);
    return rc;
}

enum rc pool_add_identity(struct pool *p, unsigned id, int base, const void *blob, size_t len,
                          const char *label, struct err *e)
{
    struct msg_identity m = {.agent = base < 0,
                             .base = base < 0 ? 0 : (unsigned)base,
                             .blob = blob,
                             .len = len,
                             .label = label};
    struct buf frame;
    buf_init(&frame, FRAME_MAX);
    enum rc rc = msg_put_identity(&frame, id, &m);
    if (rc == RC_OK)
        rc = pool_give(p, &frame, e);
    else if (rc == RC_NOMEM)
        err_nomem(e);
    else
        err_set(e, rc, "key %s: it or its name is too long", label);
    buf_fini(&frame);
    return rc;
}

static size_t blobs_total(const struct pool *p)
{
    size_t n = 0;
    for (unsigned i = 0; i < p->blob_count; i++)
        n += p->blobs[i].len;
    return n;
}

enum rc pool_add_blob(struct pool *p, unsigned blob, const void *bytes, size_t n, struct err *e)
{
    must(blob < SESSION_MAX_BLOBS && p->blob_count < SESSION_MAX_BLOBS);
    for (unsigned i = 0; i < p->blob_count; i++)
        must(p->blobs[i].number != blob);
    if (n > MSG_STDIN_MAX - blobs_total(p))
        return err_set(e, RC_LIMIT, "input for the commands is %zu bytes; at most 64 MiB",
                       n + blobs_total(p));
    struct pool_blob *b = &p->blobs[p->blob_count];
    *b = (struct pool_blob){blob, mem_memdup(n > 0 ? bytes : "", n), n};
    if (b->bytes == NULL)
        return err_nomem(e);
    p->blob_count++;
    for (unsigned i = 0; i < p->count; i++)
        p->workers[i].input_done = !p->workers[i].alive;
    for (unsigned i = 0; i < p->count; i++)
        if (p->workers[i].alive && pool_feed(&p->workers[i]) != RC_OK)
            return err_nomem(e);
    return RC_OK;
}

enum rc pool_set_stdin(struct pool *p, const void *bytes, size_t n, struct err *e)
{
    return pool_add_blob(p, 0, bytes, n, e);
}

static enum rc put_part(struct pool_worker *w)
{
    struct pool *p = w->pool;
    const struct pool_blob *b = &p->blobs[w->blob_at];
    size_t n = b->len - w->input_at;
    bool last = n <= MSG_STDIN_PART;
    n = last ? n : MSG_STDIN_PART;
    enum rc rc = chan_reserve(&w->chan, FRAME_HEADER + 1 + n);
    if (rc == RC_OK)
        rc = msg_put_stdin(chan_out(&w->chan), b->number, b->bytes + w->input_at, n, last);
    if (rc != RC_OK)
        return rc;
    w->input_at = last ? 0 : w->input_at + n;
    w->blob_at += last;
    w->input_done = w->blob_at == p->blob_count;
    return RC_OK;
}

static enum rc put_held(struct pool_worker *w)
{
    enum rc rc = w->held.len > 0 ? chan_reserve(&w->chan, w->held.len) : RC_OK;
    if (rc == RC_OK && w->held.len > 0)
        rc = buf_append(chan_out(&w->chan), w->held.data, w->held.len);
    if (rc == RC_OK)
        buf_wipe(&w->held);
    return rc;
}

enum rc pool_feed(struct pool_worker *w)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && !w->input_done && chan_pending(&w->chan) <= POOL_OUT_HIGH)
        rc = put_part(w);
    if (rc == RC_OK && w->input_done && !w->unproven)
        rc = put_held(w);
    if (rc != RC_OK)
        return rc;
    if (!w->input_done)
        chan_want_drained(&w->chan);
    chan_kick(&w->chan);
    return RC_OK;
}

enum rc pool_equip(struct pool_worker *w)
{
    struct pool *p = w->pool;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < p->gift_count; i++)
        rc = give_one(w, &p->gifts[i]);
    if (rc == RC_OK && p->paused && (rc = chan_reserve(&w->chan, FRAME_HEADER)) == RC_OK)
        rc = msg_put_empty(chan_out(&w->chan), MSG_PAUSE, 0);
    w->input_at = 0;
    w->blob_at = 0;
    w->input_done = p->blob_count == 0;
    return rc == RC_OK ? pool_feed(w) : rc;
}

void pool_kit_fini(struct pool *p)
{
    for (size_t i = 0; i < p->gift_count; i++)
        sodium_free(p->gifts[i].frame); /* wipes */
    mem_free(p->gifts);
    for (unsigned i = 0; i < p->blob_count; i++) {
        explicit_bzero(p->blobs[i].bytes, p->blobs[i].len);
        mem_free(p->blobs[i].bytes);
    }
}
