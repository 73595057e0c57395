/* The main figures where no agent can run: a script for plain sh that prints the files of /proc
 * that they are made of, and the sample that is made of its output, laid out as the agent's
 * (proto/PROTOCOL.md, stats). Sections host, cpu, memory, swap, disk, diskio and net; all others
 * are `unsupported`. No frequencies, cores, link states or inodes; df counts in KiB; the clock
 * ticks in 10 ms. The agent's own core cannot be used: the controller does not link it, and it
 * reads files that are not here.
 *
 * The text comes from a host: every number is checked, every table has a bound. Pure; any thread.
 */
#ifndef CONTROLLER_REMOTE_FALLBACK_H
#define CONTROLLER_REMOTE_FALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum { FALLBACK_MAX = 512 * 1024, FALLBACK_MAX_ROWS = 500, FALLBACK_SECTIONS = 14 };

/* The whole command line. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc fallback_line(struct buf *out, const char *nonce, struct err *e);

/* Bit of a section by its name; 0 when there is none of that name. */
uint32_t fallback_section(const char *name, size_t len);

/* Appends one sample, a whole map. RC_OK; RC_PROTO when the output is not whole (what was found is
 * in *e); RC_NOMEM, RC_LIMIT (out's cap): out is as it was. */
enum rc fallback_sample(const void *text, size_t n, const char *nonce, uint32_t sections,
                        uint64_t seq, uint64_t skipped, struct buf *out, struct err *e);

#endif
