/* See map.h. A dense array of entries in order, and an index of slots into it (as CPython's dict):
 * walking is linear and in order, a look-up costs one hash and about one comparison. */
#include "common/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "common/err.h"
#include "common/mem.h"

static uint64_t key0, key1;

static void seed_once(void)
{
    uint64_t seed[2] = {0x736f6d6570736575, 0x646f72616e646f6d};
    /* Without entropy (early boot) the constants stay: worse against floods, still correct. */
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed[0] ^= (uint64_t)(uintptr_t)&key0;
    key0 = seed[0];
    key1 = seed[1];
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTL(v[1], 13) ^ v[0];
    v[0] = ROTL(v[0], 32);
    v[2] += v[3];
    v[3] = ROTL(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTL(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTL(v[1], 17) ^ v[2];
    v[2] = ROTL(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, 2012): one round a word, three at the end. */
uint64_t map_hash(const void *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, seed_once);
    const uint8_t *s = p;
    uint64_t v[4] = {key0 ^ 0x736f6d6570736575, key1 ^ 0x646f72616e646f6d,
                     key0 ^ 0x6c7967656e657261, key1 ^ 0x7465646279746573};
    size_t left = n;
    for (; left >= 8; left -= 8, s += 8) {
        uint64_t m;
        memcpy(&m, s, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)s[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
    memset(m, 0, sizeof *m);
}

void map_fini(struct map *m)
{
    mem_free(m->entries);
    mem_free(m->index);
    map_init(m);
}

/* The slot that holds the key, or the free slot where it would go. */
static size_t find_slot(const struct map *m, const char *key, size_t len, uint64_t hash)
{
    size_t mask = m->index_cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t at = m->index[i];
        if (at == 0)
            return i;
        const struct map_entry *e = &m->entries[at - 1];
        if (e->key != NULL && e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0)
            return i;
    }
}

static struct map_entry *find(const struct map *m, const char *key, size_t len)
{
    if (m->live == 0)
        return NULL;
    uint32_t at = m->index[find_slot(m, key, len, map_hash(key, len))];
    return at ? &m->entries[at - 1] : NULL;
}

/* A deleted entry keeps its slot (so that probing goes on past it) until the next rebuild. */
static int rebuild(struct map *m, size_t index_cap)
{
    uint32_t *index = mem_calloc(index_cap, sizeof *index);
    if (index == NULL)
        return -1;
    size_t kept = 0;
    for (size_t i = 0; i < m->used; i++)
        if (m->entries[i].key != NULL)
            m->entries[kept++] = m->entries[i];
    m->used = kept;
    mem_free(m->index);
    m->index = index;
    m->index_cap = index_cap;
    for (size_t i = 0; i < m->used; i++) {
        size_t at = m->entries[i].hash & (index_cap - 1);
        while (index[at] != 0)
            at = (at + 1) & (index_cap - 1);
        index[at] = (uint32_t)i + 1;
    }
    return 0;
}

static int make_room(struct map *m)
{
    if (m->used >= INT32_MAX)
        return -1;
    if (mem_grow(&m->entries, &m->cap, m->used + 1, sizeof *m->entries) != 0)
        return -1;
    if ((m->used + 1) * 3 <= m->index_cap * 2)
        return 0;
    size_t want = 16;
    while (want * 2 < (m->live + 1) * 5)
        want *= 2;
    return rebuild(m, want);
}

int map_put(struct map *m, const char *key, size_t len, void *value, void **old)
{
    if (old != NULL)
        *old = NULL;
    struct map_entry *e = find(m, key, len);
    if (e != NULL) {
        if (old != NULL)
            *old = e->value;
        e->value = value;
        return 0;
    }
    if (make_room(m) != 0)
        return -1;
    uint64_t hash = map_hash(key, len);
    size_t slot = find_slot(m, key, len, hash);
    m->entries[m->used] = (struct map_entry){.key = key, .len = len, .hash = hash, .value = value};
    m->index[slot] = (uint32_t)++m->used;
    m->live++;
    return 0;
}

int map_puts(struct map *m, const char *key, void *value)
{
    return map_put(m, key, strlen(key), value, NULL);
}

void *map_get(const struct map *m, const char *key, size_t len)
{
    struct map_entry *e = find(m, key, len);
    return e ? e->value : NULL;
}

void *map_gets(const struct map *m, const char *key)
{
    return map_get(m, key, strlen(key));
}

bool map_has(const struct map *m, const char *key, size_t len)
{
    return find(m, key, len) != NULL;
}

void *map_del(struct map *m, const char *key, size_t len)
{
    struct map_entry *e = find(m, key, len);
    if (e == NULL)
        return NULL;
    e->key = NULL;
    m->live--;
    return e->value;
}

struct map_entry *map_next(const struct map *m, size_t *i)
{
    while (*i < m->used) {
        struct map_entry *e = &m->entries[(*i)++];
        if (e->key != NULL)
            return e;
    }
    return NULL;
}
