/* What serve.c (the controller's side) and serve_op.c (the operations' side) share of the engine.
 */
#ifndef AGENT_SERVE_INT_H
#define AGENT_SERVE_INT_H

#include "agent/outbox.h"
#include "agent/serve.h"

enum serve_state {
    SERVE_GREETED, /* HELLO is out or waits, WELCOME has not come */
    SERVE_OPEN,
    SERVE_LEAVING, /* every request was told to hang up; input is dropped */
};

struct request {
    struct op op;       /* first: one pointer is both */
    uint64_t bulk_end;  /* outbox_end of its last DATA or REPLY: END may not overtake it */
    size_t waiting;     /* INPUT that was not taken */
    size_t untold;      /* INPUT that was taken, without a TAKEN yet */
    bool last_input;    /* the last part has come */
    size_t fd_at, fd_n; /* its part of what serve_fds filled last */
};

struct serve {
    enum serve_state state;
    enum rc result;
    const struct op_kind *const *kinds;
    unsigned allow;
    struct core *core;
    const struct limits *limits;
    struct request **requests; /* in order of arrival; NULL while there is none */
    size_t n_requests, cap_requests;
    size_t first;  /* whose turn is first, so that none is always the last to find room */
    struct buf in; /* the start of a frame whose end has not come; and what waits for serve_room */
    uint8_t preamble[AGENT_PREAMBLE_LEN];
    size_t preamble_left; /* goes before all else */
    struct outbox out;
    size_t wants_room; /* the smallest that could not be queued in this turn; 0: none */
    bool hangup_due;   /* leaving has begun, the requests do not know yet */
    uint64_t retry_at; /* there was no memory for it; 0: there was */
    uint64_t now_ms;   /* as of the call we are in */
    uint64_t idle_ms, input_ms, leave_ms; /* of the last input; when leaving began */
    char reason[160];
};

/* The engine's end, however it came to it; RC_OK: nothing was wrong. The first one counts. May be
 * called from within an operation: its hang-up comes once the present call is over. */
void serve_leave(struct serve *s, enum rc why, const char *reason);

/* The bytes that one more frame's payload of bulk may have now. */
size_t serve_bulk_room(const struct serve *s);

/* END for an id, with an op or without. */
void serve_put_end(struct serve *s, struct op *op, uint64_t id, const char *status,
                   const char *problem, const char *detail, size_t members,
                   void (*more)(struct op *op, struct wire_out *w));

#endif
