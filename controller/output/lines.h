/* Reads what a host printed line by line, in memory and spool alike, through --match and --ignore
 * where wanted. Borrows o->hold: one reader at a time. Loop thread only.
 */
#ifndef CONTROLLER_OUTPUT_LINES_H
#define CONTROLLER_OUTPUT_LINES_H

#include "controller/output/internal.h"

struct lines {
    struct output *o;
    uint32_t target;
    bool is_stderr;
    bool filtered;
    bool eof;
    uint64_t offset;   /* of the next byte to read */
    size_t begin, end; /* what o->hold holds and was not given out */
};

void lines_init(struct lines *l, struct output *o, uint32_t target, bool is_stderr, bool filtered);

/* The next line without "\n" or "\r\n", valid until the next call; a line longer than LINES_HOLD
 * comes in pieces, an unfinished last one as a line. false: no more. */
bool lines_next(struct lines *l, const uint8_t **p, size_t *n);

/* Bytes that the host sent and that reading does not give. */
uint64_t lines_missing(const struct lines *l);

#endif
