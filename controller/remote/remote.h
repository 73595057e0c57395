/* The agent of one host, seen from the controller: how it is found there, sent, started, spoken to
 * and given up. A pure machine: bytes, ends of commands and time come in; commands, bytes and
 * answers go out. No loop, no clock, no sockets, no SSH.
 *
 *     PROBE -> (UPLOAD -> PROBE) -> HELLO -> READY -> BYE
 *       `-> FALLBACK                           `-> PROBE, once, when the agent died
 *
 * Below is one logged-in session on which commands run one after the other. Whoever owns the
 * machine runs what `exec` asks for and tells of its output and end; above it are requests of
 * proto/PROTOCOL.md, which end exactly once each. Everything from the host is checked before it is
 * believed, and what a host can make us keep is bounded: one partial frame, 64 KiB of noise, 64
 * requests.
 *
 * Which calls call back: remote_output, remote_taken, remote_command_ended and remote_tick may call
 * every function of struct remote_ops. All others call exec, send and hang_up only. From inside a
 * callback everything may be called but remote_free and the four above. One thread.
 */
#ifndef CONTROLLER_REMOTE_REMOTE_H
#define CONTROLLER_REMOTE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/outcome/outcome.h"
#include "controller/remote/script.h"
#include "proto/agent.h"

struct remote;

enum {
    REMOTE_PING_MS = 15 * 1000, /* defaults of struct remote_spec */
    REMOTE_HELLO_MS = 30 * 1000,
    REMOTE_STALL_MS = 30 * 1000,
    REMOTE_UPLOAD_MS = 10 * 60 * 1000, /* of one upload, however steadily it moves */
    REMOTE_BYE_MS = 5 * 1000,
    REMOTE_SETTLE_MS = 2 * 1000,      /* from a report to the end of its command */
    REMOTE_LIVED_MS = 10 * 60 * 1000, /* an agent that lived so long may be started again */
    REMOTE_CANCEL_MS = 15 * 1000,     /* from the end of the grace to the request's END */
    REMOTE_UNSENT_MAX = 256 * 1024,   /* of INPUT that the owner has not got rid of */
    REMOTE_REQUEST_MAX = 512 * 1024,  /* of one REQUEST's map */
    REMOTE_MAX_OPS = 16,
    REMOTE_NOISE_TEXT = 256,
};

/* What a command reads. */
enum remote_input {
    REMOTE_INPUT_NONE,   /* end of input at once */
    REMOTE_INPUT_BLOB,   /* the bytes of blob `number`, then end of input */
    REMOTE_INPUT_DUPLEX, /* what `send` brings, until hang_up */
};

/* Who answers, in full: shown escaped, since a host says most of it. */
struct remote_hello {
    bool fallback;        /* plain sh: `stats` only, and few sections */
    enum problem problem; /* with fallback: why no agent could run; NONE in REMOTE_NEVER */
    char detail[320];     /* likewise */
    unsigned version;     /* of the protocol; 0 with fallback */
    char agent[64];       /* its version */
    char digest[65];
    char arch[32];
    char boot_id[64];
    uint64_t uid, pid, mono_ns, real_ns;
    char ops[REMOTE_MAX_OPS][AGENT_MAX_OP + 1];
    size_t op_count;
    bool uploaded; /* it was sent in this session */
    char place;    /* where it runs: place_text(); 0: a forced command, or plain sh */
    size_t noise;  /* bytes of start-up noise that were skipped */
    char noise_text[REMOTE_NOISE_TEXT];
};

/* Statuses of END, and what becomes of a request whose END never came. */
enum remote_status {
    REMOTE_OK,
    REMOTE_FAILED,
    REMOTE_REQUEST_CANCELLED,
    REMOTE_REFUSED,
    REMOTE_UNSUPPORTED,
    REMOTE_BUSY,
    REMOTE_LOST, /* ours: the agent or the way to it is gone; it may have run */
};

struct remote_end {
    enum remote_status status;
    enum problem problem;
    char detail[AGENT_MAX_DETAIL + 1]; /* escaped */
    const void *map;                   /* the whole map of END, checked; NULL where none came */
    size_t map_len;
};

/* What it means for a host, before one looks into the map: NONE for ok and for failed without a
 * word. */
enum problem remote_end_problem(const struct remote_end *end);

struct remote_failure {
    enum problem problem;
    enum phase phase;
    char detail[320]; /* escaped */
};

struct remote_ops {
    /* Starts a command; only while none runs. RC_OK, or an error of this side (no memory). `line`
     * goes to the login shell as it is. */
    enum rc (*exec)(void *user, const char *line, size_t len, enum remote_input input,
                    unsigned blob);
    /* More of its input. The owner keeps it; told back with remote_taken. RC_OK or RC_NOMEM. */
    enum rc (*send)(void *user, const void *p, size_t n);
    /* End the command: its end may still be told, or never. */
    void (*hang_up)(void *user);

    /* Requests may be made. Comes again when an agent that died was started anew. */
    void (*ready)(void *user, const struct remote_hello *h);
    /* A REPLY's map, which wire_validate has accepted, and DATA. Their n bytes are to be given back
     * with remote_consumed. */
    void (*reply)(void *user, uint64_t id, const void *map, size_t n);
    void (*data)(void *user, uint64_t id, uint8_t stream, const void *p, size_t n);
    /* A request for which remote_input took less than was offered takes more now. */
    void (*room)(void *user, uint64_t id);
    void (*end)(void *user, uint64_t id, const struct remote_end *end);
    /* The last word, one of the two, once; all requests have ended before it. */
    void (*failed)(void *user, const struct remote_failure *f);
    void (*closed)(void *user); /* after remote_close */
};

struct remote_spec {
    enum remote_mode mode;
    bool fallback;                   /* plain sh where no agent can run, rather than failed */
    const struct remote_blob *blobs; /* outlive the machine, as dirs */
    size_t blob_count;
    const char *const *dirs;
    size_t dir_count;
    uint8_t nonce[AGENT_NONCE_LEN]; /* random; those of further commands are made from it */
    uint64_t hello_ms;              /* from the command to the agent's HELLO; 0: the default */
    uint64_t stall_ms;              /* an upload may stand still; 0: the default */
    uint64_t ping_ms;               /* silence of three of them is an end; 0: the default */
};

/* Starts nothing. RC_OK, RC_NOMEM, RC_USAGE (a folder). */
enum rc remote_new(struct remote **out, const struct remote_spec *spec,
                   const struct remote_ops *ops, void *user, struct err *e);
/* At any time but inside a callback; says nothing to anybody. NULL is fine. */
void remote_free(struct remote *r);

/* Once. RC_OK, or what exec or memory said: then nothing has begun. */
enum rc remote_start(struct remote *r, uint64_t now_ms, struct err *e);

/* The first command has gone out only now: there was a connection to be made, which is somebody
 * else's to bound. Its clocks start here; before it, do not tick. Without the call they run from
 * remote_start. */
void remote_sent(struct remote *r, uint64_t now_ms);

/* What the owner tells of the command that runs. Told after an end, they are ignored. */
void remote_output(struct remote *r, uint64_t now_ms, bool is_stderr, const void *p, size_t n);
void remote_taken(struct remote *r, uint64_t now_ms, size_t n); /* bytes of its input that left */
void remote_command_ended(struct remote *r, uint64_t now_ms, const struct outcome *o);
/* The owner reads nothing for a while: the clocks of what the host has to say stand still, and it
 * is given no credit. Pings go on, so that the agent does not take us for gone. */
void remote_pause(struct remote *r, uint64_t now_ms, bool on);

/* A request: `map` is the whole payload of REQUEST. RC_OK with *id; RC_CANCELLED when there is
 * nobody to ask now, RC_LIMIT (64 of them, or the map's size), RC_PROTO (no map), RC_NOMEM. */
enum rc remote_request(struct remote *r, uint64_t now_ms, const void *map, size_t n, uint64_t *id);
/* Its standard input. How much was taken is told; the rest, with `last`, after `room`. Of a request
 * that has ended, everything is taken and nothing sent. RC_OK, RC_NOMEM. */
enum rc remote_input(struct remote *r, uint64_t now_ms, uint64_t id, const void *p, size_t n,
                     bool last, size_t *taken);
/* A word of it, its end at the latest, must come within so much from now, or the link ends with
 * agent-protocol: an agent that lives and does not do what it was asked would be waited for for
 * ever. Called again, it begins anew; 0: no bound. While paused it stands still. */
void remote_bound(struct remote *r, uint64_t now_ms, uint64_t id, uint64_t within_ms);
/* n bytes of its replies and data were dealt with. Of one that has ended: nothing. */
void remote_consumed(struct remote *r, uint64_t now_ms, uint64_t id, size_t n);
/* It ends with `end` as ever, and within grace_ms and REMOTE_CANCEL_MS or the link does. */
void remote_cancel(struct remote *r, uint64_t now_ms, uint64_t id, uint64_t grace_ms);
/* Goodbye: what is not detached ends there. `closed` follows from another call, within
 * REMOTE_BYE_MS. More than once is fine. */
void remote_close(struct remote *r, uint64_t now_ms);

/* When remote_tick wants to be called; UINT64_MAX: not. */
uint64_t remote_wake_at(const struct remote *r);
void remote_tick(struct remote *r, uint64_t now_ms);

const char *remote_state_name(const struct remote *r); /* for logs */
size_t remote_memory(const struct remote *r);          /* bytes that it keeps */

#endif
