/* See hmac.h. SHA-1 is written out here because the time goes into many independent short
 * messages: eight of them side by side take a quarter of the time of a library's one by one. */
#include "controller/hostkeys/hmac.h"

#include <string.h>

#include "common/err.h"

typedef uint32_t vec __attribute__((vector_size(4 * HMAC_LANES)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

static const uint32_t sha1_start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
static const uint32_t sha1_k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

#define SPLAT(x)          ((vec){0} + (uint32_t)(x))
#define ROL(x, n)         (((x) << (n)) | ((x) >> (32 - (n))))
#define CHOOSE(b, c, d)   ((d) ^ ((b) & ((c) ^ (d))))
#define PARITY(b, c, d)   ((b) ^ (c) ^ (d))
#define MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))
/* w already holds the round's constant. */
#define ROUND(f, a, b, c, d, e, w)                                                                 \
    do {                                                                                           \
        (e) += ROL(a, 5) + f(b, c, d) + (w);                                                       \
        (b) = ROL(b, 30);                                                                          \
    } while (0)
#define ROUNDS20(f, from, W)                                                                       \
    for (int t = (from); t < (from) + 20; t += 5) {                                                \
        ROUND(f, a, b, c, d, e, W(t));                                                             \
        ROUND(f, e, a, b, c, d, W(t + 1));                                                         \
        ROUND(f, d, e, a, b, c, W(t + 2));                                                         \
        ROUND(f, c, d, e, a, b, W(t + 3));                                                         \
        ROUND(f, b, c, d, e, a, W(t + 4));                                                         \
    }
#define COMPRESS(h, W)                                                                             \
    do {                                                                                           \
        vec a = (h)[0], b = (h)[1], c = (h)[2], d = (h)[3], e = (h)[4];                            \
        ROUNDS20(CHOOSE, 0, W)                                                                     \
        ROUNDS20(PARITY, 20, W)                                                                    \
        ROUNDS20(MAJORITY, 40, W)                                                                  \
        ROUNDS20(PARITY, 60, W)                                                                    \
        (h)[0] += a;                                                                               \
        (h)[1] += b;                                                                               \
        (h)[2] += c;                                                                               \
        (h)[3] += d;                                                                               \
        (h)[4] += e;                                                                               \
    } while (0)

/* One block that is the same in every lane: its schedule was worked out once. */
ALWAYS_INLINE void compress_shared(vec h[5], const uint32_t w[80])
{
#define SHARED(t) SPLAT(w[t])
    COMPRESS(h, SHARED);
#undef SHARED
}

/* One block per lane. */
ALWAYS_INLINE void compress_lanes(vec h[5], const vec block[16])
{
    vec w[80];
    for (int t = 0; t < 16; t++)
        w[t] = block[t];
    for (int t = 16; t < 80; t++) {
        vec x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16];
        w[t] = ROL(x, 1);
    }
#define LANES(t) (w[t] + sha1_k[(t) / 20])
    COMPRESS(h, LANES);
#undef LANES
}

ALWAYS_INLINE void gather(vec out[5], const uint32_t *const from[HMAC_LANES])
{
    for (int i = 0; i < 5; i++)
        for (int lane = 0; lane < HMAC_LANES; lane++)
            out[i][lane] = from[lane][i];
}

/* The second hash of HMAC: salt^opad came before, the 20-byte digest in h is all of the message. */
ALWAYS_INLINE void finish(vec h[5], const uint32_t *const outer[HMAC_LANES])
{
    vec block[16] = {{0}};
    for (int i = 0; i < 5; i++)
        block[i] = h[i];
    block[5] = SPLAT(0x80000000);
    block[15] = SPLAT((64 + HMAC_SALT) * 8);
    gather(h, outer);
    compress_lanes(h, block);
}

ALWAYS_INLINE unsigned match_lanes(const struct hmac_query *q,
                                   const struct hmac_line *const lines[HMAC_LANES])
{
    const uint32_t *inner[HMAC_LANES], *outer[HMAC_LANES];
    for (int lane = 0; lane < HMAC_LANES; lane++) {
        inner[lane] = lines[lane]->inner;
        outer[lane] = lines[lane]->outer;
    }
    vec h[5];
    gather(h, inner);
    for (size_t i = 0; i < q->blocks; i++)
        compress_shared(h, q->schedule[i]);
    finish(h, outer);
    unsigned found = 0;
    for (int lane = 0; lane < HMAC_LANES; lane++) {
        uint32_t differ = 0;
        for (int i = 0; i < 5; i++)
            differ |= h[i][lane] ^ lines[lane]->digest[i];
        found |= (unsigned)(differ == 0) << lane;
    }
    return found;
}

ALWAYS_INLINE void prepare_lanes(struct hmac_line *lines, size_t n)
{
    vec inner[5], outer[5], block_in[16], block_out[16];
    const uint32_t *salts[HMAC_LANES];
    for (size_t lane = 0; lane < HMAC_LANES; lane++)
        salts[lane] = lines[lane < n ? lane : 0].inner;
    for (int i = 0; i < 16; i++) {
        block_in[i] = SPLAT(0x36363636);
        block_out[i] = SPLAT(0x5c5c5c5c);
    }
    gather(inner, salts);
    for (int i = 0; i < 5; i++) {
        block_in[i] ^= inner[i];
        block_out[i] ^= inner[i];
        inner[i] = outer[i] = SPLAT(sha1_start[i]);
    }
    compress_lanes(inner, block_in);
    compress_lanes(outer, block_out);
    for (size_t lane = 0; lane < n; lane++) {
        for (int i = 0; i < 5; i++) {
            lines[lane].inner[i] = inner[i][lane];
            lines[lane].outer[i] = outer[i][lane];
        }
    }
}

/* The same code twice: for what every processor of the architecture has, and for AVX2. A choice
 * by hand rather than by ifunc, whose resolvers run before the sanitizers are ready. */
#if defined(__x86_64__)
#define FAST __attribute__((target("avx2")))
static FAST unsigned match_fast(const struct hmac_query *q,
                                const struct hmac_line *const lines[HMAC_LANES])
{
    return match_lanes(q, lines);
}

static FAST void prepare_fast(struct hmac_line *lines, size_t n)
{
    prepare_lanes(lines, n);
}

static int have_fast(void)
{
    return __builtin_cpu_supports("avx2");
}
#endif

static unsigned match_any(const struct hmac_query *q,
                          const struct hmac_line *const lines[HMAC_LANES])
{
#if defined(__x86_64__)
    if (have_fast())
        return match_fast(q, lines);
#endif
    return match_lanes(q, lines);
}

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void hmac_line_init(struct hmac_line *line, const uint8_t salt[HMAC_SALT],
                    const uint8_t digest[HMAC_SALT])
{
    for (int i = 0; i < 5; i++) {
        line->inner[i] = get_be32(salt + 4 * i);
        line->outer[i] = 0;
        line->digest[i] = get_be32(digest + 4 * i);
    }
}

void hmac_prepare(struct hmac_line *lines, size_t n)
{
    for (size_t i = 0; i < n; i += HMAC_LANES) {
        size_t some = n - i < HMAC_LANES ? n - i : HMAC_LANES;
#if defined(__x86_64__)
        if (have_fast()) {
            prepare_fast(lines + i, some);
            continue;
        }
#endif
        prepare_lanes(lines + i, some);
    }
}

void hmac_query_init(struct hmac_query *q, const char *name, size_t len)
{
    must(len <= HMAC_MAX_NAME);
    uint8_t message[HMAC_MAX_BLOCKS * 64] = {0};
    memcpy(message, name, len);
    message[len] = 0x80;
    q->blocks = (len + 9 + 63) / 64;
    uint64_t bits = (64 + (uint64_t)len) * 8;
    for (int i = 0; i < 8; i++)
        message[q->blocks * 64 - 1 - (size_t)i] = (uint8_t)(bits >> (8 * i));
    for (size_t block = 0; block < q->blocks; block++) {
        uint32_t *w = q->schedule[block];
        for (size_t t = 0; t < 16; t++)
            w[t] = get_be32(message + block * 64 + t * 4);
        for (int t = 16; t < 80; t++)
            w[t] = ROL(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
        for (int t = 0; t < 80; t++)
            w[t] += sha1_k[t / 20];
    }
}

unsigned hmac_match(const struct hmac_query *q, const struct hmac_line *const *lines, size_t n)
{
    must(n >= 1 && n <= HMAC_LANES);
    const struct hmac_line *all[HMAC_LANES];
    for (size_t lane = 0; lane < HMAC_LANES; lane++)
        all[lane] = lines[lane < n ? lane : 0];
    return match_any(q, all) & ((1u << n) - 1);
}

void hmac_digest(const uint8_t salt[HMAC_SALT], const char *name, size_t len,
                 uint8_t digest[HMAC_SALT])
{
    struct hmac_line line;
    hmac_line_init(&line, salt, salt);
    hmac_prepare(&line, 1);
    struct hmac_query q;
    hmac_query_init(&q, name, len);
    const uint32_t *inner[HMAC_LANES], *outer[HMAC_LANES];
    for (int lane = 0; lane < HMAC_LANES; lane++) {
        inner[lane] = line.inner;
        outer[lane] = line.outer;
    }
    vec h[5];
    gather(h, inner);
    for (size_t i = 0; i < q.blocks; i++)
        compress_shared(h, q.schedule[i]);
    finish(h, outer);
    for (int i = 0; i < HMAC_SALT; i++)
        digest[i] = (uint8_t)(h[i / 4][0] >> (24 - 8 * (i % 4)));
}
