/* HMAC-SHA1 of one host name under very many salts: what |1|salt|hash lines of known_hosts need.
 *
 * A salt costs two SHA-1 compressions once (hmac_prepare) and two per name from then on, done for
 * eight salts at a time in vector registers: a name against 50,000 lines is a matter of 2 ms. Not a
 * general HMAC, and not constant time: salts, names and digests are no secrets. Pure; any thread.
 */
#ifndef CONTROLLER_HOSTKEYS_HMAC_H
#define CONTROLLER_HOSTKEYS_HMAC_H

#include <stddef.h>
#include <stdint.h>

enum {
    HMAC_LANES = 8,       /* lines compared at a time */
    HMAC_SALT = 20,       /* bytes of a salt, and of a digest */
    HMAC_MAX_NAME = 1100, /* bytes of a name, "[host]:port" included */
    HMAC_MAX_BLOCKS = (HMAC_MAX_NAME + 9 + 63) / 64,
};

struct hmac_line {
    uint32_t inner[5];  /* state after salt^ipad; the salt itself until prepared */
    uint32_t outer[5];  /* state after salt^opad */
    uint32_t digest[5]; /* the hash on record */
};

/* A line from its decoded fields; not usable before hmac_prepare. */
void hmac_line_init(struct hmac_line *line, const uint8_t salt[HMAC_SALT],
                    const uint8_t digest[HMAC_SALT]);
void hmac_prepare(struct hmac_line *lines, size_t n);

struct hmac_query {
    size_t blocks;
    uint32_t schedule[HMAC_MAX_BLOCKS][80]; /* the name's message schedule, constants added */
};

/* The name as it is to be hashed, at most HMAC_MAX_NAME bytes. */
void hmac_query_init(struct hmac_query *q, const char *name, size_t len);

/* Which of the n (at most HMAC_LANES) lines are that name's: bit i for lines[i]. */
unsigned hmac_match(const struct hmac_query *q, const struct hmac_line *const *lines, size_t n);

/* The digest of a name under one salt, for writing a line. */
void hmac_digest(const uint8_t salt[HMAC_SALT], const char *name, size_t len,
                 uint8_t digest[HMAC_SALT]);

#endif
