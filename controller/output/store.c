/* See store.h.
 *
 * Each stream is hashed in one go at its end while it is small and whole in memory, and as it
 * arrives from the moment it is not: so the loop never stands still for a large hash, and the
 * thousands of hosts that print a line pay for no hash state.
 */
#include "controller/output/store.h"

#include <string.h>

#include <sodium.h>

#include "common/mem.h"

enum { HASH_AT_END = 64 * 1024, FIRST_BLOCK = 256 };

struct stream {
    uint8_t *data;
    size_t len, cap;
    uint64_t received;
    uint64_t spooled;    /* of this attempt */
    uint64_t spool_base; /* bytes that earlier attempts left in the spool */
    void *hash;          /* hash_alloc()ed once the stream is large */
    bool dropping;       /* a byte was dropped: so are all that follow */
    bool run_full;
    bool skipped;
    bool unhashed; /* no memory for the hash: equal to nothing */
};

struct kept {
    struct stream streams[2];
    uint8_t key[STORE_KEY];
    uint32_t owner; /* whose copy this host reads */
    bool sealed;
};

struct store {
    struct kept *hosts;
    uint32_t count;
    uint64_t max_output, max_memory, memory, peak;
    const struct spool *spool;
    uint32_t *slots; /* owners by key: open addressing, target + 1, 0 free */
    size_t slot_mask;
};

enum rc store_new(struct store **out, uint32_t hosts, uint64_t max_output, uint64_t max_memory,
                  const struct spool *spool, struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, RC_CRYPTO, "libsodium cannot be initialised");
    struct store *s = mem_calloc(1, sizeof *s);
    size_t slots = 16;
    while (slots < (size_t)hosts * 2)
        slots *= 2;
    if (s != NULL) {
        s->hosts = mem_calloc(hosts, sizeof *s->hosts);
        s->slots = mem_calloc(slots, sizeof *s->slots);
    }
    if (s == NULL || s->hosts == NULL || s->slots == NULL) {
        store_free(s);
        return err_nomem(e);
    }
    s->count = hosts;
    s->slot_mask = slots - 1;
    s->max_output = max_output;
    s->max_memory = max_memory;
    s->spool = spool;
    for (uint32_t i = 0; i < hosts; i++)
        s->hosts[i].owner = i;
    *out = s;
    return RC_OK;
}

static void stream_forget(struct store *s, struct stream *st)
{
    s->memory -= st->cap;
    mem_free(st->data);
    mem_free(st->hash);
    st->data = NULL;
    st->hash = NULL;
    st->len = st->cap = 0;
}

void store_free(struct store *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; s->hosts != NULL && i < s->count; i++)
        for (int k = 0; k < 2; k++)
            stream_forget(s, &s->hosts[i].streams[k]);
    mem_free(s->hosts);
    mem_free(s->slots);
    mem_free(s);
}

static struct kept *kept_at(const struct store *s, uint32_t target)
{
    must(target < s->count);
    return &s->hosts[target];
}

void store_reset(struct store *s, uint32_t target)
{
    struct kept *h = kept_at(s, target);
    must(!h->sealed);
    for (int k = 0; k < 2; k++) {
        struct stream *st = &h->streams[k];
        uint64_t base = st->spool_base + st->spooled;
        stream_forget(s, st);
        *st = (struct stream){.spool_base = base};
    }
}

/* libsodium wants its state on a boundary of 64 bytes. */
static crypto_generichash_state *hash_state(void *block)
{
    return (crypto_generichash_state *)(((uintptr_t)block + 63) & ~(uintptr_t)63);
}

static void hash_begin(struct stream *st)
{
    st->hash = mem_alloc(crypto_generichash_statebytes() + 63);
    if (st->hash == NULL) {
        st->unhashed = true;
        return;
    }
    crypto_generichash_init(hash_state(st->hash), NULL, 0, STORE_KEY);
    crypto_generichash_update(hash_state(st->hash), st->data, st->len);
}

/* Room for n more bytes in memory: how many of them. */
static size_t make_room(struct store *s, struct stream *st, const struct stream *other, size_t n)
{
    if (n <= st->cap - st->len)
        return n;
    size_t want = st->len + n;
    size_t cap = st->cap ? st->cap * 2 : FIRST_BLOCK;
    if (cap < want)
        cap = want;
    uint64_t share = s->max_output > other->cap ? s->max_output - other->cap : 0;
    if (cap > share)
        cap = share > want ? (size_t)share : want;
    uint64_t left = s->max_memory > s->memory ? s->max_memory - s->memory : 0;
    if (cap - st->cap > left)
        cap = st->cap + (size_t)left;
    if (cap > st->cap) {
        uint8_t *data = mem_realloc(st->data, cap);
        if (data != NULL) {
            s->memory += cap - st->cap;
            st->data = data;
            st->cap = cap;
        }
    }
    if (s->memory > s->peak)
        s->peak = s->memory;
    size_t room = st->cap - st->len;
    return n < room ? n : room;
}

static bool spool_add(struct store *s, uint32_t target, bool is_stderr, const void *p, size_t n)
{
    struct stream *st = &s->hosts[target].streams[is_stderr];
    if (s->spool == NULL || s->spool->append == NULL ||
        s->spool->append(s->spool->user, target, is_stderr, p, n) != RC_OK)
        return false;
    st->spooled += n;
    return true;
}

static uint64_t kept_bytes(const struct kept *h)
{
    return h->streams[0].len + h->streams[0].spooled + h->streams[1].len + h->streams[1].spooled;
}

void store_add(struct store *s, uint32_t target, bool is_stderr, const void *p, size_t n)
{
    struct kept *h = kept_at(s, target);
    struct stream *st = &h->streams[is_stderr];
    must(!h->sealed);
    uint64_t kept = kept_bytes(h);
    uint64_t share = s->max_output > kept ? s->max_output - kept : 0;
    size_t take = st->dropping ? 0 : n < share ? n : (size_t)share;
    size_t inside =
        st->spooled > 0 || take == 0 ? 0 : make_room(s, st, &h->streams[!is_stderr], take);
    /* While there is no running hash, all that was received is in memory: begin before a gap. */
    if (st->hash == NULL && !st->unhashed && (inside < n || st->received + n > HASH_AT_END))
        hash_begin(st);
    if (st->hash != NULL)
        crypto_generichash_update(hash_state(st->hash), p, n);
    if (inside > 0)
        memcpy(st->data + st->len, p, inside);
    st->len += inside;
    st->received += n;
    bool lost = take > inside &&
                !spool_add(s, target, is_stderr, (const uint8_t *)p + inside, take - inside);
    if ((lost || take < n) && !st->dropping) {
        st->dropping = true;
        st->run_full = lost;
    }
}

void store_skip(struct store *s, uint32_t target, bool is_stderr, uint64_t n)
{
    struct stream *st = &kept_at(s, target)->streams[is_stderr];
    must(!s->hosts[target].sealed);
    if (n == 0)
        return;
    mem_free(st->hash);
    st->hash = NULL;
    st->unhashed = true;
    uint64_t room = st->received < STORE_MOST ? STORE_MOST - st->received : 0;
    st->received += n < room ? n : room;
    st->dropping = true;
    st->skipped = true;
}

static void trim(struct store *s, struct stream *st)
{
    if (st->len == st->cap)
        return;
    if (st->len == 0) {
        mem_free(st->data);
        st->data = NULL;
    } else {
        uint8_t *data = mem_realloc(st->data, st->len);
        if (data == NULL)
            return;
        st->data = data;
    }
    s->memory -= st->cap - st->len;
    st->cap = st->len;
}

static void stream_digest(struct stream *st, uint32_t target, uint8_t out[STORE_KEY])
{
    if (st->hash != NULL) {
        crypto_generichash_final(hash_state(st->hash), out, STORE_KEY);
        mem_free(st->hash);
        st->hash = NULL;
    } else if (st->unhashed) {
        memset(out, 0xff, STORE_KEY);
        memcpy(out, &target, sizeof target);
    } else {
        crypto_generichash(out, STORE_KEY, st->data, st->len, NULL, 0);
    }
}

static void make_key(struct kept *h, uint32_t target)
{
    struct {
        uint8_t digest[2][STORE_KEY];
        uint64_t received[2], kept[2];
    } all;
    memset(&all, 0, sizeof all);
    for (int k = 0; k < 2; k++) {
        struct stream *st = &h->streams[k];
        stream_digest(st, target, all.digest[k]);
        all.received[k] = st->received;
        all.kept[k] = st->len + st->spooled;
    }
    crypto_generichash(h->key, STORE_KEY, (const uint8_t *)&all, sizeof all, NULL, 0);
}

/* The slot of a key: its owner's, or the free one where it belongs. */
static uint32_t *find_slot(const struct store *s, const uint8_t key[STORE_KEY])
{
    uint64_t hash;
    memcpy(&hash, key, sizeof hash);
    size_t i = (size_t)hash & s->slot_mask;
    while (s->slots[i] != 0 && memcmp(s->hosts[s->slots[i] - 1].key, key, STORE_KEY) != 0)
        i = (i + 1) & s->slot_mask;
    return &s->slots[i];
}

void store_seal(struct store *s, uint32_t target)
{
    struct kept *h = kept_at(s, target);
    must(!h->sealed);
    make_key(h, target);
    h->sealed = true;
    uint32_t *slot = find_slot(s, h->key);
    if (*slot == 0) {
        *slot = target + 1;
        trim(s, &h->streams[0]);
        trim(s, &h->streams[1]);
        return;
    }
    h->owner = *slot - 1;
    stream_forget(s, &h->streams[0]);
    stream_forget(s, &h->streams[1]);
}

void store_drop(struct store *s, uint32_t target)
{
    struct kept *h = kept_at(s, target);
    must(!h->sealed);
    for (int k = 0; k < 2; k++) {
        stream_forget(s, &h->streams[k]);
        h->streams[k].spooled = 0;
        h->streams[k].dropping = true;
    }
}

uint32_t store_owner(const struct store *s, uint32_t target)
{
    return kept_at(s, target)->owner;
}

const uint8_t *store_key(const struct store *s, uint32_t target)
{
    return kept_at(s, target)->key;
}

struct store_size store_size(const struct store *s, uint32_t target, bool is_stderr)
{
    const struct stream *own = &kept_at(s, target)->streams[is_stderr];
    const struct stream *st = &s->hosts[s->hosts[target].owner].streams[is_stderr];
    return (struct store_size){.received = own->received,
                               .in_memory = st->len,
                               .in_spool = st->spooled,
                               .run_full = st->run_full,
                               .skipped = own->skipped};
}

size_t store_read(const struct store *s, uint32_t target, bool is_stderr, uint64_t offset, void *p,
                  size_t cap)
{
    uint32_t owner = kept_at(s, target)->owner;
    const struct stream *st = &s->hosts[owner].streams[is_stderr];
    if (offset < st->len) {
        size_t n = st->len - (size_t)offset < cap ? st->len - (size_t)offset : cap;
        memcpy(p, st->data + offset, n);
        return n;
    }
    uint64_t at = offset - st->len;
    if (at >= st->spooled || s->spool == NULL || s->spool->read == NULL)
        return 0;
    size_t want = st->spooled - at < cap ? (size_t)(st->spooled - at) : cap, got = 0;
    if (s->spool->read(s->spool->user, owner, is_stderr, st->spool_base + at, p, want, &got) !=
        RC_OK)
        return 0;
    return got < want ? got : want;
}

uint64_t store_memory(const struct store *s)
{
    return s->memory;
}

uint64_t store_memory_peak(const struct store *s)
{
    return s->peak;
}
