/* The agent as an engine without descriptors: bytes of the controller in, bytes for it out,
 * requests in between (agent/op.h). Knows frames, versions, ids, credit and who may do what;
 * nothing of what a request does, and nothing of where the bytes come from: main.c drives one with
 * poll, the simulator thousands of them in one process, tests by hand.
 *
 * A turn of whoever drives it:
 *
 *     n = serve_fds(s, fds);            what its requests wait for
 *     poll(fds, until serve_wake_at(s))
 *     serve_feed(s, bytes, now)         at most serve_room(s) of them, or serve_eof(s, now)
 *     serve_turn(s, fds, now)           the same fds, answered
 *     write what serve_output(s) shows, tell serve_wrote(s) how much of it went
 *     until serve_finished(s)
 *
 * One thread at a time. Allocates little and keeps nothing while idle; no global state.
 */
#ifndef AGENT_SERVE_H
#define AGENT_SERVE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/op.h"
#include "proto/agent.h"

enum {
    SERVE_READ = 64 * 1024,          /* the most that one serve_feed takes */
    SERVE_QUEUE = 256 * 1024,        /* DATA and REPLY that wait to be written, see serve_reply */
    SERVE_CONTROL = 256 * 1024,      /* past it no input is read */
    SERVE_CONTROL_MAX = 4 * 1048576, /* what those already read may still add */
    SERVE_LEAVE_MS = 4000,           /* from the end of input until whoever still runs is left */
    SERVE_MAX_FDS = AGENT_MAX_REQUESTS * OP_MAX_FDS,
};

struct serve_config {
    uint8_t nonce[AGENT_NONCE_LEN];
    unsigned allow;                      /* enum allow */
    uint64_t idle_ms;                    /* without input for so long: the end; 0: never */
    const struct op_kind *const *kinds;  /* ended by NULL: op_kinds. Must outlive the engine */
    struct core *core;                   /* borrowed; NULL: no figures */
    const struct limits *limits;         /* borrowed, for children; may be NULL */
    const char *version, *digest, *arch; /* for HELLO; needed during serve_new only */
    const char *boot_id;
    uint64_t uid, pid;
};

/* With preamble and HELLO waiting to be written. RC_OK, RC_NOMEM. */
enum rc serve_new(struct serve **out, const struct serve_config *config, uint64_t now_ms);
/* Ends what still runs, by fini alone: hang up first. NULL is fine. */
void serve_free(struct serve *s);

/* How many bytes of input it takes now. 0: output has to go out first. */
size_t serve_room(const struct serve *s);
/* n at most serve_room. What is not a frame of the protocol ends the engine, see serve_result. */
void serve_feed(struct serve *s, const void *p, size_t n, uint64_t now_ms);
void serve_eof(struct serve *s, uint64_t now_ms);
/* In a forked child, which is not to have what the controller sent: wipes it. The engine is of no
 * use there any more. */
void serve_forget(struct serve *s);

/* Fills at most SERVE_MAX_FDS, returns how many. */
size_t serve_fds(struct serve *s, struct pollfd *fds);
/* Gives every request its turn: the fds that serve_fds filled last, with revents. */
void serve_turn(struct serve *s, const struct pollfd *fds, uint64_t now_ms);
uint64_t serve_wake_at(const struct serve *s); /* when to call serve_turn; 0 at once */

/* Bytes to be written next, until the next call of anything else; 0: none. */
size_t serve_output(struct serve *s, const void **p);
void serve_wrote(struct serve *s, size_t n);

/* No more input is wanted and no request is left. Output may still wait. */
bool serve_finished(const struct serve *s);
/* RC_OK; RC_PROTO: the controller broke the protocol; RC_NOMEM, RC_LIMIT: a control frame was lost.
 * Set before serve_finished, as soon as it is known; reason says it in words, "" for RC_OK. */
enum rc serve_result(const struct serve *s);
const char *serve_reason(const struct serve *s);

#endif
