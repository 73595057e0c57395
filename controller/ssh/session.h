/* One attempt on one host: from a TCP connection to one address up to the end of one command.
 *
 * Runs in a worker. Opens no files, resolves no names, reads no configuration: all it needs comes
 * in the spec. One struct, one uv_poll_t, deadlines from the loop's wheel (session_env). The state
 * machine is the table in session.c; every ssh_* call is in ssh_io.c. Does not retry: that is the
 * scheduler's. Loop thread only; no callback comes from inside session_start or another call.
 */
#ifndef CONTROLLER_SSH_SESSION_H
#define CONTROLLER_SSH_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/outcome/outcome.h"
#include "controller/ssh/resolve.h"

struct session;

enum {
    SESSION_MAX_KEYS = 16,
    SESSION_MAX_COMMAND = 256 * 1024,
    /* How long a signature may be waited for: less than sshd's LoginGraceTime (120 s). */
    SESSION_SIGN_MS = 110 * 1000,
    SESSION_MAX_BLOBS = 8,
    SESSION_MAX_INPUT = 256 * 1024, /* of session_input, not yet sent */
    SESSION_TAKEN = 64 * 1024,      /* that much of it was sent: session_ops.taken */
    /* Few are farther away: who has not answered a connect by then is perhaps not there
     * (session_ops.silent). Less than the second after which the kernel asks again: one lost SYN is
     * a silence too. */
    SESSION_SILENT_MS = 500,
    SESSION_LEAST_LIMIT_MS = 15000, /* the shortest bound that a state after TCP has of its own */
};

/* What all sessions of a loop share: the deadline wheel and the imported keys. */
struct session_env;
enum rc session_env_new(struct session_env **out, uv_loop_t *loop, struct err *e);
/* All sessions must be gone. `closed` is called from the loop once its handles are. */
void session_env_close(struct session_env *env, void (*closed)(void *user), void *user);

/* Imports a private key (file text, passphrase or NULL) as number `id`. RC_OK, RC_CRYPTO (wrong
 * passphrase, not a key, unsupported), RC_NOMEM. The text is copied; wipe yours. */
enum rc session_env_add_key(struct session_env *env, unsigned id, const char *text, size_t len,
                            const char *passphrase, const char *label, struct err *e);
/* A key whose private part an agent holds (see session_ops.sign); `blob` is the public key or
 * certificate to offer. RC_OK, RC_CRYPTO, RC_NOMEM, RC_LIMIT, RC_EXISTS. */
enum rc session_env_add_agent_key(struct session_env *env, unsigned id, const void *blob,
                                  size_t len, const char *label, struct err *e);
/* A certificate for the private key `base`, as a key of its own. RC_NOTFOUND: no such base. */
enum rc session_env_add_cert(struct session_env *env, unsigned id, unsigned base, const void *blob,
                             size_t len, const char *label, struct err *e);
/* Input that every session's command may be given, as number `blob` (0: the run's own standard
 * input); copied. No session may be active. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc session_env_set_blob(struct session_env *env, unsigned blob, const void *p, size_t n,
                             struct err *e);
bool session_env_has_blob(const struct session_env *env, unsigned blob);

/* What a session is for. */
enum session_kind {
    SESSION_RUN,  /* logs in and runs a command */
    SESSION_SCAN, /* ends ok once the server has proven its host key; logs in nowhere, and asks for
                     no answer. Of the spec only the first group counts */
    SESSION_LINK, /* logs in, then carries others: no command, no end but a cancel or a failure */
    SESSION_WARM, /* logs in and runs one command after the other, see session_exec */
    SESSION_KIND_COUNT
};

/* What the command reads. */
enum input_kind {
    INPUT_NONE,   /* its end at once */
    INPUT_BLOB,   /* one that the env holds, then its end */
    INPUT_DUPLEX, /* what session_input brings, until session_input_eof */
    INPUT_KIND_COUNT
};

struct session_timing { /* microseconds since the start of the attempt, 0: not reached */
    uint64_t connected, banner, kex, host_key, auth, open, sent, first_byte, done;
};

struct session_spec {
    enum session_kind kind;
    const char *label;          /* inventory name, for messages */
    union resolve_addr addr;    /* with port, which is all that counts behind a link */
    uint64_t via_job;           /* to a worker: the job whose session `via` is, 0 for none */
    struct session *via;        /* a link that is up, to go through; NULL: none */
    const char *via_host;       /* behind a link: the host as the bastion knows it */
    const char *hostkey_types;  /* known types in order of preference, "" for all */
    bool legacy;                /* also offer old algorithms, knowingly */
    uint64_t connect_budget_ms; /* TCP to the request, all of it */
    uint64_t tcp_budget_ms;     /* of which for TCP alone; 0: all */

    const char *user;
    unsigned keys[SESSION_MAX_KEYS]; /* numbers in the env, in the order to try */
    unsigned key_count;
    bool has_password;   /* there is one: session_ops.password asks for it when it is needed */
    const void *command; /* the exec request, as it goes over the wire; never NULL */
    size_t command_len;
    bool use_stdin;              /* not of a warm one: INPUT_BLOB 0; otherwise INPUT_NONE */
    enum input_kind input;       /* of a warm one's first command */
    unsigned blob;               /* with INPUT_BLOB */
    uint64_t run_timeout_ms;     /* 0: none */
    uint64_t silence_timeout_ms; /* 0: none */
};

struct session_result {
    struct outcome outcome;
    struct session_timing timing;
    uint64_t stdout_bytes, stderr_bytes; /* received */
    char server_banner[256];             /* "SSH-2.0-OpenSSH_9.2p1 …", escaped, or "" */
};

struct session_ops {
    /* Our own connect is unanswered after SESSION_SILENT_MS: not of a link, nor of one that comes
     * through a link. At most once; NULL: nobody wants to know, and `answered` does not come
     * either.
     */
    void (*silent)(void *user);
    /* After `silent`: the connection is there after all, and goes no further before session_go. The
     * server is not kept waiting for long: after 5 s without it the session ends, with
     * connect-timeout. */
    void (*answered)(void *user);
    /* The host's key is there: answer with session_hostkey_answer, now or later (the host-key
     * state has the connect budget as its bound; time that the answer takes counts). A scan wants
     * no answer. */
    void (*hostkey)(void *user, const char *key_type, const void *blob, size_t len);
    /* The login is complete and this connection counts no longer against the server's limit: sshd
     * says yes to us before it tells its listener, and opens a channel only after. So this comes
     * with the channel; for a link, which has none, with the login: it can be gone through. */
    void (*authenticated)(void *user);
    /* The exec request is about to go out: from here on the command may have run. */
    void (*sent)(void *user);
    /* Bytes of the command, as they were sent; the bytes are gone after the call. It comes from
     * inside libssh: copy, set flags, cancel, pause; start no session and open no descriptor. */
    void (*data)(void *user, bool is_stderr, const void *p, size_t n);
    /* The end, exactly once; the session is freed after this call returns. */
    void (*done)(void *user, const struct session_result *result);
    /* A password would go to the host now: no key was enough, and the server asks for one. Answer
     * with session_password_answer, now or later; the session's clocks stand still meanwhile. At
     * most once per session, and only with has_password; may be NULL without. */
    void (*password)(void *user);
    /* `data` is to be signed with the agent's key `id` for the login; gone after the call. Answer
     * with session_sign_answer, once, later: the connect budget stands still meanwhile, and
     * SESSION_SIGN_MS is the bound. At most once per key. */
    void (*sign)(void *user, unsigned id, const void *data, size_t n);
    /* Of a warm session: its command is over, with what it came to; its channel is closed, and the
     * session waits for session_exec, session_finish or its end. Times are those of the attempt. */
    void (*ended)(void *user, const struct session_result *result);
    /* n more bytes of what session_input was given are on their way. In batches of SESSION_TAKEN at
     * least; what is left when the command ends is not told. It may come from inside session_input.
     */
    void (*taken)(void *user, size_t n);
};

/* Starts. On success the session belongs to itself until done. The spec's pointers are only read
 * during the call (everything is copied). On failure (RC_NOMEM, RC_SYS) no callback comes. */
enum rc session_start(struct session **out, struct session_env *env,
                      const struct session_spec *spec, const struct session_ops *ops, void *user,
                      struct err *e);

/* ---- warm sessions ----
 *
 * START's command runs as that of SESSION_RUN does. When its channel is closed `ended` is called
 * instead of `done`, and the session stays: idle, until session_exec gives it the next command, on
 * a channel of its own. `done` is the session's end: ok after session_finish; otherwise with what
 * became of the connection, and of the command, if one was under way (then `ended` does not come).
 * An end of an idle session says `sent` false: nothing of ours ran.
 */

struct session_command {
    const void *text; /* the exec request; no NUL in it */
    size_t len;
    enum input_kind input;
    unsigned blob;
    uint64_t run_timeout_ms, silence_timeout_ms; /* 0: none */
};

/* The next command of an idle session; what it points to is copied. `sent`, `data`, `ended` follow
 * as for the first. RC_OK; RC_NOMEM; RC_EXISTS: one is under way; RC_CANCELLED: the session is
 * over, or session_finish was called. */
enum rc session_exec(struct session *s, const struct session_command *c, struct err *e);
/* No further command: the session ends, ok, as soon as it is idle. Legal in any state. */
void session_finish(struct session *s);

/* Input of a command that is INPUT_DUPLEX; sent at once where the window and the socket take it,
 * and copied otherwise. `data` and `taken` may come from inside this call, no other callback; not
 * to be called from inside `data`. RC_OK (also when the command is over: it is dropped); RC_LIMIT:
 * more than SESSION_MAX_INPUT would wait, nothing was taken; RC_NOMEM; RC_PROTO: the command takes
 * none, or its end was said. */
enum rc session_input(struct session *s, const void *p, size_t n);
enum rc session_input_eof(struct session *s); /* RC_OK, RC_PROTO */

/* What `answered` waits for. Ignored when it does not. */
void session_go(struct session *s);

/* A link that is logged in and has not ended: others can go through it. */
bool session_is_linked(const struct session *s);

enum hostkey_answer { HOSTKEY_ACCEPT, HOSTKEY_REJECT };
/* REJECT ends with `problem` and `detail`. */
void session_hostkey_answer(struct session *s, enum hostkey_answer a, enum problem problem,
                            const char *detail);

/* What session_ops.password asked for, copied to locked memory and wiped once it was used. NULL: it
 * gets none, and the session ends with auth-denied. RC_OK, RC_NOMEM (as if NULL). Nothing when
 * nobody asked. */
enum rc session_password_answer(struct session *s, const char *text, size_t len);

enum sign_answer {
    SIGN_OK,
    SIGN_REFUSED, /* by the agent or for it: the next key is tried */
    SIGN_FAILED,  /* no agent any more: the keys that it holds are of no use */
    SIGN_ANSWER_COUNT
};
/* sig: as the agent sent it, with SIGN_OK; detail: why, otherwise. Both are copied. Ignored when no
 * signature is awaited. */
void session_sign_answer(struct session *s, enum sign_answer a, const void *sig, size_t len,
                         const char *detail);

/* Ends it: before the command was sent at once, with problem (cancelled, run-deadline). While the
 * command runs: TERM, 10 s, KILL by signal requests, then close; `may_still_run` unless the end was
 * seen. Legal in any state, twice, and until done was called. now: no grace, close at once.
 *
 * Of a warm session's command, without `now`: if its channel closes the session lives and goes
 * idle; otherwise it ends as above. An idle session has no command to end: nothing happens (the
 * `ended` of the one that was meant is on its way). With `now` it ends in any state. */
void session_cancel(struct session *s, enum problem problem, bool now);

/* Stops reading command output of every session and stands their clocks still; sessions still in a
 * handshake go on. For a reader that holds us up. */
void session_env_pause(struct session_env *env);
void session_env_resume(struct session_env *env);

/* For tests and the worker's end: sessions not yet done. */
size_t session_env_active(const struct session_env *env);
/* Whether bytes wait that the next turn should look at at once: a session left some in its socket
 * since the last call, or there are sessions that go through another, whose bytes pass here twice.
 */
bool session_env_hurries(struct session_env *env);

#endif
