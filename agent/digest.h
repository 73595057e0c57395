/* SHA-256 (FIPS 180-4), ours so that the agent stays small: what its own file is compared with. Not
 * for secrets. Pure, but for digest_file. */
#ifndef AGENT_DIGEST_H
#define AGENT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_LEN = 32, DIGEST_HEX = 2 * DIGEST_LEN };

struct digest {
    uint32_t h[8];
    uint64_t length;
    uint8_t block[64];
};

void digest_init(struct digest *d);
void digest_update(struct digest *d, const void *p, size_t n);
void digest_final(struct digest *d, uint8_t out[DIGEST_LEN]);
void digest_text(char hex[DIGEST_HEX + 1], const uint8_t out[DIGEST_LEN]);

/* Of what the descriptor holds from where it stands to its end. 0, or -1 with errno. */
int digest_file(int fd, char hex[DIGEST_HEX + 1]);
/* Of the running program's own file, through /proc/self/exe. 0, or -1 with errno. */
int digest_self(char hex[DIGEST_HEX + 1]);

#endif
