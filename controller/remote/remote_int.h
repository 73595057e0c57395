/* What the parts of the machine know of each other: remote.c (states), remote_deliver.c (PROBE and
 * UPLOAD), remote_frames.c (what the agent says), remote_request.c (what is asked of it),
 * fallback_state.c. Nobody else includes this.
 */
#ifndef CONTROLLER_REMOTE_REMOTE_INT_H
#define CONTROLLER_REMOTE_REMOTE_INT_H

#include "controller/remote/remote.h"
#include "proto/wire.h"

enum remote_state {
    S_IDLE,
    S_PROBE,    /* the probe runs; it may become the agent */
    S_UPLOAD,   /* the agent is being stored */
    S_HELLO,    /* its preamble was seen */
    S_READY,    /* requests */
    S_FALLBACK, /* requests, answered by plain sh */
    S_BYE,      /* the end of what runs is awaited */
    S_DONE,     /* the last word was said */
    S_COUNT
};

enum { MAX_PROBES = 4, MAX_UPLOADS = 2, STDERR_TAIL = 512 };
enum { AGENT_EXIT_DIGEST = 4 }; /* the agent's own file is not what --expect says */

struct request {
    uint64_t id;
    uint64_t window, credit;  /* bytes: in all, and that may still come */
    uint64_t given, owed;     /* to the owner and not consumed; consumed and not told */
    uint64_t input;           /* INPUT bytes on the way, not TAKEN */
    uint64_t end_by;          /* cancelled: it must have ended; UINT64_MAX */
    uint64_t bound_by;        /* remote_bound; UINT64_MAX */
    bool last, blocked;       /* the last INPUT was sent; the owner waits for room */
    struct sample_plan *plan; /* fallback.c; NULL otherwise */
};

struct remote {
    struct remote_spec spec;
    const struct remote_ops *ops;
    void *user;
    enum remote_state state;
    bool running; /* a command of ours */
    bool calling; /* inside one of the four calls that call back */
    uint64_t now;
    uint64_t deadline; /* of the state; UINT64_MAX none */

    /* delivery */
    unsigned probes, uploads, commands;
    char nonce[AGENT_NONCE_HEX + 1]; /* of the command that runs, or ran last */
    uint8_t nonce_raw[AGENT_NONCE_LEN];
    char temporary[AGENT_NONCE_HEX + 1];
    char damaged;     /* the place of a cached agent that the next probe removes, 0 none */
    bool was_damaged; /* once is enough */
    char place;       /* of the last upload, or where the agent was started */
    struct refused refused[SCRIPT_MAX_DIRS + 8];
    size_t refused_count;
    struct probe_report report;
    bool reported, hung; /* the command's line is complete; we have hung up */
    uint64_t upload_by;
    struct buf out; /* standard output that is not frames: noise, reports, a sample of sh */
    size_t scanned; /* of it, for the preamble */
    char tail[STDERR_TAIL];
    size_t tail_len, stderr_bytes;
    size_t noise;     /* bytes skipped in front of the preamble, and the first of them, escaped */
    char *noise_head; /* NULL: none */

    /* conversation */
    struct buf in; /* a partial frame */
    uint64_t heard, ping_at, ready_at;
    uint64_t pings, pongs; /* ids */
    bool paused;
    uint64_t paused_at;
    bool restarted;
    size_t unsent;
    uint64_t next_id;
    struct request *requests;
    size_t request_count, request_cap;
    uint64_t sampling; /* fallback: the request whose sample runs, 0 none */
};

/* remote.c */
void state_enter(struct remote *r, enum remote_state to);
void state_fail(struct remote *r, enum problem p, enum phase ph, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void state_nomem(struct remote *r);
void state_ended(struct remote *r); /* the command is over: forget what it said */
enum phase state_phase(const struct remote *r);
enum rc command_begin(struct remote *r, struct script_spec *s);
enum rc command_exec(struct remote *r, const struct buf *line, enum remote_input in, unsigned blob);
bool is_transport(const struct outcome *o); /* it says nothing of the command */
/* "exit 3: last words" into dst. */
void ended_text(const struct remote *r, const struct outcome *o, char *dst, size_t cap);

/* remote_deliver.c */
enum rc probe_start(struct remote *r, struct err *e);
void probe_output(struct remote *r, const uint8_t *p, size_t n);
void probe_ended(struct remote *r, const struct outcome *o);
void upload_output(struct remote *r, const uint8_t *p, size_t n);
void upload_ended(struct remote *r, const struct outcome *o);
/* Noise of the command so far, for messages: ", start-up files print …" or "". */
void noise_text(const struct remote *r, char *dst, size_t cap);

/* remote_frames.c */
void frames_output(struct remote *r, const uint8_t *p, size_t n);
void frames_ended(struct remote *r, const struct outcome *o);
enum rc frames_send(struct remote *r, struct buf *b); /* empties b */
/* A frame whose map is one number. */
enum rc frames_send_number(struct remote *r, enum agent_frame type, uint64_t id, const char *key,
                           uint64_t value);
enum rc ping_send(struct remote *r);

/* remote_request.c */
struct request *request_find(struct remote *r, uint64_t id);
void request_end(struct remote *r, uint64_t id, const struct remote_end *end);
void requests_lost(struct remote *r, enum remote_status s, enum problem p, const char *detail);
uint64_t requests_wake(const struct remote *r);
void requests_shift(struct remote *r, uint64_t by_ms);
void requests_credit(struct remote *r); /* what is owed */
void requests_room(struct remote *r);

/* fallback_state.c */
void fallback_enter(struct remote *r, enum problem p, const char *detail);
void fallback_output(struct remote *r, const uint8_t *p, size_t n);
void fallback_ended(struct remote *r, const struct outcome *o);
void fallback_tick(struct remote *r);
void fallback_late(struct remote *r);
uint64_t fallback_wake(const struct remote *r);
enum rc fallback_request(struct remote *r, struct request *q, const struct wire_map *m);
void fallback_cancel(struct remote *r, struct request *q);
void plan_free(struct sample_plan *p);

#endif
