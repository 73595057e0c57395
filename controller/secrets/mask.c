/* See mask.h. Secrets are found by their first two bytes, then compared; with few of them almost
 * every position is passed by one look at a table. */
#include "controller/secrets/mask.h"

#include <string.h>

#include <sodium.h>

#include "common/buf.h"
#include "common/mem.h"

enum { PAIRS = 65536, WORK_MAX = 4 * 1024 * 1024 };

struct masks {
    const struct secrets *secrets;
    uint32_t heads[PAIRS]; /* of the list of those that begin with these two bytes; 0: none */
    bool first[256];
    uint32_t *next; /* by number - 1 */
    size_t longest;
    struct buf work; /* what was held and what came, together */
};

enum rc masks_new(struct masks **out, const struct secrets *s, struct err *e)
{
    uint32_t count = secrets_count(s), used = 0;
    *out = NULL;
    if (count == 0)
        return RC_OK;
    struct masks *m = mem_calloc(1, sizeof *m);
    if (m == NULL)
        return err_nomem(e);
    m->secrets = s;
    buf_init(&m->work, WORK_MAX);
    m->next = mem_calloc(count, sizeof *m->next);
    if (m->next == NULL) {
        masks_free(m);
        return err_nomem(e);
    }
    for (uint32_t id = 1; id <= count; id++) {
        size_t len;
        const uint8_t *text = (const uint8_t *)secrets_text(s, id, &len);
        if (len < MASK_LEAST)
            continue;
        uint32_t *head = &m->heads[text[0] << 8 | text[1]];
        m->next[id - 1] = *head;
        *head = id;
        m->first[text[0]] = true;
        m->longest = len > m->longest ? len : m->longest;
        used++;
    }
    if (used > 0)
        *out = m;
    else
        masks_free(m);
    return RC_OK;
}

void masks_free(struct masks *m)
{
    if (m == NULL)
        return;
    mem_free(m->next);
    buf_wipe(&m->work);
    mem_free(m);
}

/* The longest secret at the beginning of p, 0 for none. *wait: with more bytes it may be a longer
 * one. */
static size_t match(const struct masks *m, const uint8_t *p, size_t n, bool *wait)
{
    size_t longest = 0;
    *wait = false;
    if (n < 2) {
        *wait = m->first[p[0]];
        return 0;
    }
    for (uint32_t id = m->heads[p[0] << 8 | p[1]]; id != 0; id = m->next[id - 1]) {
        size_t len;
        const char *text = secrets_text(m->secrets, id, &len);
        if (memcmp(text, p, len < n ? len : n) != 0)
            continue;
        if (len > n)
            *wait = true;
        else if (len > longest)
            longest = len;
    }
    return longest;
}

/* Hands on all up to where a secret may begin that is not whole; returns where that is. last: no
 * more bytes come, so what is not whole is none, but may hold another. */
static size_t scan(const struct masks *m, const uint8_t *p, size_t n, bool last, mask_sink sink,
                   void *user)
{
    size_t from = 0, i = 0;
    while (i < n) {
        bool wait = false;
        size_t len = m->first[p[i]] ? match(m, p + i, n - i, &wait) : 0;
        if (wait && !last)
            break;
        if (len == 0) {
            i++;
            continue;
        }
        if (i > from)
            sink(user, p + from, i - from);
        sink(user, MASK_TEXT, sizeof MASK_TEXT - 1);
        i += len;
        from = i;
    }
    if (i > from)
        sink(user, p + from, i - from);
    return i;
}

void masks_drop(struct mask_stream *st)
{
    if (st->held != NULL)
        sodium_memzero(st->held, st->len);
    mem_free(st->held);
    *st = (struct mask_stream){0};
}

/* n is less than the longest secret. */
static bool hold(struct mask_stream *st, const uint8_t *p, size_t n)
{
    masks_drop(st);
    if (n == 0)
        return true;
    st->held = mem_memdup(p, n);
    st->len = st->held != NULL ? (uint32_t)n : 0;
    return st->held != NULL;
}

void masks_feed(struct masks *m, struct mask_stream *st, const void *p, size_t n, mask_sink sink,
                void *user)
{
    const uint8_t *bytes = p;
    if (st->len > 0) {
        buf_reset(&m->work);
        if (buf_append(&m->work, st->held, st->len) != RC_OK ||
            buf_append(&m->work, p, n) != RC_OK) {
            masks_drop(st);
            sink(user, MASK_TEXT, sizeof MASK_TEXT - 1);
            return;
        }
        bytes = m->work.data;
        n = m->work.len;
    }
    size_t done = scan(m, bytes, n, false, sink, user);
    if (!hold(st, bytes + done, n - done))
        sink(user, MASK_TEXT, sizeof MASK_TEXT - 1);
}

void masks_end(struct masks *m, struct mask_stream *st, mask_sink sink, void *user)
{
    if (st->len > 0)
        scan(m, st->held, st->len, true, sink, user);
    masks_drop(st);
}

struct bounded {
    char *at;
    size_t left; /* without the terminator */
};

static void put(void *user, const void *p, size_t n)
{
    struct bounded *b = user;
    n = n < b->left ? n : b->left;
    memcpy(b->at, p, n);
    b->at += n;
    b->left -= n;
}

char *masks_text(struct masks *m, char *text, size_t cap)
{
    size_t len = strlen(text);
    struct bounded b = {text, cap - 1};
    if (m == NULL || len == 0)
        return text;
    buf_reset(&m->work);
    if (buf_append(&m->work, text, len) == RC_OK)
        scan(m, m->work.data, len, true, put, &b);
    else
        put(&b, MASK_TEXT, sizeof MASK_TEXT - 1);
    *b.at = '\0';
    return text;
}
