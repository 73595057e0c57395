/* Writes to a descriptor that may stall (a pipe into `less`, a slow terminal) from a thread of its
 * own, so that the loop never blocks and the descriptor's flags stay as the shell left them.
 *
 * Road not taken: O_NONBLOCK on stdout, which is shared with every other program on the terminal.
 * Loop thread only, but for what the thread itself does.
 */
#ifndef CONTROLLER_RUN_WRITER_H
#define CONTROLLER_RUN_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/output/output.h"

enum { WRITER_HIGH = 4 << 20, WRITER_LOW = 1 << 20 }; /* bytes queued: too many, few again */

struct writer;

/* fd stays the caller's. `changed` is called on the loop when the queue passed WRITER_HIGH
 * (stalled = true), came below WRITER_LOW (false), or when the reader went away (see
 * writer_broken). loop may be NULL: then nothing is called. */
enum rc writer_new(struct writer **out, int fd, uv_loop_t *loop,
                   void (*changed)(void *user, bool stalled), void *user, struct err *e);

/* Where both write to the same pipe, file or terminal, what w is given is written after all that
 * `before` had been given by then. Elsewhere nobody waits: a reader of results that stalls must not
 * hold up messages. Before the first write; free w first. */
void writer_follow(struct writer *w, struct writer *before);

/* Queues. While the loop runs: never blocks. After writer_detach: waits while more than
 * WRITER_HIGH bytes are queued, so that memory stays bounded. Bytes for a broken reader, or for
 * which there is no memory, are dropped; writer_broken then says so. */
void writer_write(struct writer *w, const void *p, size_t n);

/* 0, or the errno of the write that failed (EPIPE: the reader went away). */
int writer_broken(const struct writer *w);

/* Ends the loop's part: no `changed` afterwards; the caller runs the loop until `closed`. */
void writer_detach(struct writer *w, void (*closed)(void *user), void *user);

/* Waits until all is written (or broken). */
void writer_flush(struct writer *w);

/* Flushes, ends the thread, frees. After the loop's part was closed. NULL is fine. */
void writer_free(struct writer *w);

/* A sink that writes here; its flush is writer_flush. */
void writer_sink(struct writer *w, struct sink *out);

#endif
