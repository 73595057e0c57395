/* What the two halves of fallback.h share: cutting text into pieces, lines and words.
 * Nobody else includes this. */
#ifndef CONTROLLER_REMOTE_FALLBACK_INT_H
#define CONTROLLER_REMOTE_FALLBACK_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

struct piece {
    const char *p;
    size_t n;
};

struct output { /* of the script */
    struct piece text;
    char mark[48]; /* in front of a piece's name */
    uint64_t hz, page, uid;
};

bool piece_find(const struct output *o, const char *name, struct piece *out); /* false: empty too */
bool piece_line(struct piece *rest,
                struct piece *line); /* false: no more; empty ones are skipped */
bool piece_word(struct piece *line, struct piece *word);
bool piece_is(struct piece p, const char *s);
bool piece_u64(struct piece p, uint64_t *v);
void put_text(struct wire_out *w, struct piece p); /* str, or bin where it is not UTF-8 */

/* Each writes the members of `data` and returns how many; 0: it was not there. */
typedef size_t figures_fn(const struct output *o, struct wire_out *w);
figures_fn figures_host, figures_cpu, figures_memory, figures_swap, figures_disk, figures_diskio,
    figures_net;

#endif
