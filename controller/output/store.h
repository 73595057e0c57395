/* What the hosts printed, byte by byte, within three bounds: so many bytes a host, so many in
 * memory for the whole run, and the rest in the spool, or counted.
 *
 * A host's kept bytes are a prefix of what it sent: first those in memory, then those in the
 * spool; once a byte was dropped, all later ones of that stream are. Hosts that printed the same
 * share one copy from their end on. Does not render. Loop thread only.
 */
#ifndef CONTROLLER_OUTPUT_STORE_H
#define CONTROLLER_OUTPUT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/output/output.h"

enum { STORE_KEY = 32 };                     /* bytes of a content hash */
#define STORE_MOST (((uint64_t)1 << 53) - 1) /* a count that is larger is cut: JSON has no more */

struct store;

struct store_size {
    uint64_t received; /* from the host in this attempt */
    uint64_t in_memory;
    uint64_t in_spool; /* after those in memory */
    bool run_full;     /* dropped because the run's memory was full, not the host's share */
    bool skipped;      /* bytes are missing that never came here: store_skip */
};

/* spool may be NULL; borrowed. max_output and max_memory of 0 keep nothing. */
enum rc store_new(struct store **out, uint32_t hosts, uint64_t max_output, uint64_t max_memory,
                  const struct spool *spool, struct err *e);
void store_free(struct store *s);

/* A new attempt begins: what the host printed before is forgotten. */
void store_reset(struct store *s, uint32_t target);
/* Keeps what fits. Never fails: what finds no room is counted. */
void store_add(struct store *s, uint32_t target, bool is_stderr, const void *p, size_t n);
/* Counts bytes that the host printed and that nobody has any more (they were not recorded, or the
 * host did not keep them); nothing after them is kept, and the host's output is then equal to no
 * other's. */
void store_skip(struct store *s, uint32_t target, bool is_stderr, uint64_t n);
/* The host is done: gives unused memory back and shares the copy of a host that printed the same.
 */
void store_seal(struct store *s, uint32_t target);
/* Forgets the bytes, not the counts; instead of store_seal. */
void store_drop(struct store *s, uint32_t target);

/* The host whose copy is shared by this sealed one (itself when nobody else's). */
uint32_t store_owner(const struct store *s, uint32_t target);
/* STORE_KEY bytes that stand for all that the sealed host printed, what was dropped included;
 * different for each host where the hash could not be made (no memory). */
const uint8_t *store_key(const struct store *s, uint32_t target);

struct store_size store_size(const struct store *s, uint32_t target, bool is_stderr);

/* Copies kept bytes from offset on; 0 at the end, or when the spool could not be read. */
size_t store_read(const struct store *s, uint32_t target, bool is_stderr, uint64_t offset, void *p,
                  size_t cap);

/* Bytes allocated for output now, and the most there ever were. */
uint64_t store_memory(const struct store *s);
uint64_t store_memory_peak(const struct store *s);

#endif
