/* One kind of request as a table of functions, and what such a request may ask of the loop that
 * serves it (agent/serve.c). The loop knows frames, credit and ids, and nothing of what a request
 * does; an operation knows its own members and nothing of frames.
 *
 * One thread. No function of a kind may block: what may, goes to a child process whose descriptor
 * is waited for.
 */
#ifndef AGENT_OP_H
#define AGENT_OP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/wire.h"

struct core;
struct limits;
struct serve;
struct op;

enum allow { ALLOW_STATS = 1, ALLOW_EXEC = 2, ALLOW_ALL = 3 };

enum { OP_MAX_FDS = 5 }; /* that one request waits for */

struct op_kind {
    const char *name; /* member `op` of its REQUEST */
    unsigned allow;   /* enum allow: what --allow has to name */
    /* Reads the request's members (what it keeps, it copies) and begins. RC_OK: the request lives
     * until serve_end. Anything else: END `refused` with e->msg is sent for it, and fini is called.
     */
    enum rc (*start)(struct op *op, const struct wire_map *request, struct err *e);
    /* A part of its INPUT; what was taken is told with serve_taken, now or later. The loop sees to
     * it that no more than AGENT_INPUT_WINDOW waits, and that nothing follows the last part. NULL:
     * it takes none, and the controller breaks the protocol by sending some. */
    void (*input)(struct op *op, const void *p, size_t n, bool last);
    void (*credit)(struct op *op);                    /* op->credit has grown; may be NULL */
    void (*cancel)(struct op *op, uint64_t grace_ms); /* may come again, with less grace */
    /* The controller is gone (end of input, BYE, idle): end now, or arrange to outlive us. After it
     * the loop goes on until every request has called serve_end, at most SERVE_LEAVE_MS; what is
     * written meanwhile is taken and dropped. */
    void (*hangup)(struct op *op);
    /* What it waits for: fills at most OP_MAX_FDS, returns how many. May be NULL. */
    size_t (*fds)(struct op *op, struct pollfd *fds);
    /* After each turn: what became of those, and the time. */
    void (*turn)(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms);
    uint64_t (*wake_at)(const struct op *op); /* clock_ms() to be called at; UINT64_MAX: none */
    /* Frees what it has. Also of one that has not ended, when the loop ends before it: then what it
     * started is ended by force. */
    void (*fini)(struct op *op);
};

struct op {
    const struct op_kind *kind;
    struct serve *serve;
    uint64_t id;
    uint64_t credit; /* bytes of REPLY's map and of DATA, without its first, that may still go */
    void *state;     /* the kind's own */
    bool ended;      /* serve_end was called */
};

/* A REPLY: a map that was written into `map`. RC_OK, RC_LIMIT: no credit or no room for it now
 * (nothing sent; credit or turn comes), RC_NOMEM. */
enum rc serve_reply(struct op *op, const struct buf *map);
/* DATA of stream 1 or 2. The count that was taken: at most n, the credit, one frame, and what the
 * loop's queue has room for; 0: later (credit or turn comes). */
size_t serve_data(struct op *op, uint8_t stream, const void *p, size_t n);
/* INPUT bytes that were used up. */
void serve_taken(struct op *op, size_t n);
/* The last word. `more` writes further members into END's map (`members` of them), or NULL. The op
 * is finished (fini) by the loop after the present call has returned. */
void serve_end(struct op *op, const char *status, const char *problem, const char *detail,
               size_t members, void (*more)(struct op *op, struct wire_out *w));

/* The figures of this host, or NULL; what children get back between fork and exec, or NULL. */
struct core *serve_core(const struct op *op);
const struct limits *serve_limits(const struct op *op);

/* All kinds there are, ended by a NULL (agent/ops.c). */
extern const struct op_kind *const op_kinds[];
extern const struct op_kind op_stats, op_exec, op_jobs, op_attach, op_collect, op_kill, op_become;

#endif
