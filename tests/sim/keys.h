/* Ed25519 keys that follow from the seed, so that the same command gives the same known_hosts.
 * They are as secret as the seed: for simulated hosts only. Any thread. */
#ifndef TESTS_SIM_KEYS_H
#define TESTS_SIM_KEYS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum {
    KEY_WRONG = UINT32_MAX - 1, /* what hosts with another key than on record present */
    KEY_USER = UINT32_MAX,      /* what users log in with */
};

/* Appends "ssh-ed25519 AAAA…" of key number `n`. */
enum rc key_public(struct buf *out, uint64_t seed, uint32_t n, struct err *e);

/* Appends the private key as OpenSSH writes it to a file. */
enum rc key_private(struct buf *out, uint64_t seed, uint32_t n, struct err *e);

#endif
