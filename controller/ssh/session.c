/* The state machine of a session. See session.h.
 *
 *   CONNECT -> BANNER -> KEX -> HOSTKEY -> SERVICE -> AUTH -> OPEN -> REQUEST -> RUN -> CLOSE ->
 * DONE
 *                                                                              \-> TERM -> KILL -/
 *
 * Every state leads to CLOSE: by its own failure, by its deadline, by a cancel. What fails is told
 * once, by the first to see it; everything leaves through session_end. session_move alone changes
 * the state. Callbacks of libuv record that the socket is ready and tick; those of libssh only
 * record. A tick re-issues the one pending call of the state, and goes on while states complete.
 *
 * The end of a command is the close of its channel, never EOF; and the end of the session is the
 * close of its poll handle, from which done is called, so that its descriptor is gone by then.
 */
#include "controller/ssh/session_int.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"

enum {
    PUMP_BUDGET = 16,        /* full reads in a row before others have their turn */
    PRELUDE_MAX = 32 * 1024, /* bytes before the banner */
    GRACE_MS = 250,          /* a deadline is put off by this when bytes have just come: */
    GRACES = 8,              /* our own loop may have been late, not the host */
    TERM_MS = 10 * 1000,     /* from TERM to KILL */
    KILL_MS = 2 * 1000,      /* from KILL to giving up */
    DEAD_PEER_MS = 30 * 1000,
};

#define TO(state) (1u << (state))

/* limit_ms: most that the state may take, within the connect budget; budget: most bytes that the
 * server may send in it, so that a flood before the login ends itself. 0: none. */
static const struct state_row {
    const char *name;
    unsigned to;
    enum phase phase;
    enum problem late;
    uint64_t limit_ms;
    uint64_t budget;
} rows[S_COUNT] = {
    [S_CONNECT] = {"connect", TO(S_BANNER) | TO(S_CLOSE), PHASE_CONNECT, PROBLEM_CONNECT_TIMEOUT, 0,
                   0},
    [S_BANNER] = {"banner", TO(S_KEX) | TO(S_CLOSE), PHASE_BANNER, PROBLEM_BANNER_TIMEOUT, 15000,
                  PRELUDE_MAX},
    [S_KEX] = {"kex", TO(S_HOSTKEY) | TO(S_CLOSE), PHASE_KEX, PROBLEM_KEX_TIMEOUT, 20000,
               256 * 1024},
    [S_HOSTKEY] = {"host-key", TO(S_SERVICE) | TO(S_CLOSE), PHASE_HOST_KEY, PROBLEM_KEX_TIMEOUT, 0,
                   0},
    [S_SERVICE] = {"service", TO(S_AUTH) | TO(S_CLOSE), PHASE_AUTH, PROBLEM_AUTH_TIMEOUT, 15000,
                   2 * 1024 * 1024},
    [S_AUTH] = {"auth", TO(S_OPEN) | TO(S_CLOSE), PHASE_AUTH, PROBLEM_AUTH_TIMEOUT, 30000,
                2 * 1024 * 1024},
    [S_OPEN] = {"open", TO(S_REQUEST) | TO(S_CLOSE), PHASE_OPEN, PROBLEM_OPEN_TIMEOUT, 15000,
                1024 * 1024},
    [S_REQUEST] = {"request", TO(S_RUN) | TO(S_CLOSE), PHASE_REQUEST, PROBLEM_REQUEST_TIMEOUT,
                   15000, 0},
    [S_RUN] = {"run", TO(S_TERM) | TO(S_CLOSE), PHASE_RUN, PROBLEM_RUN_TIMEOUT, 0, 0},
    [S_TERM] = {"term", TO(S_KILL) | TO(S_CLOSE), PHASE_RUN, PROBLEM_NONE, TERM_MS, 0},
    [S_KILL] = {"kill", TO(S_CLOSE), PHASE_RUN, PROBLEM_NONE, KILL_MS, 0},
    [S_CLOSE] = {"close", TO(S_DONE), PHASE_CLOSE, PROBLEM_NONE, 0, 0},
    [S_DONE] = {"done", 0, PHASE_CLOSE, PROBLEM_NONE, 0, 0},
};

enum step {
    STEP_NEXT, /* the state changed: go on with the new one */
    STEP_WAIT, /* an event or a deadline is awaited */
    STEP_END,  /* the session ended: touch nothing but the struct */
};

static uint64_t elapsed_us(const struct session *s)
{
    uint64_t us = clock_us() - s->start_us;
    return us > 0 ? us : 1;
}

/* The one door to a state. */
static enum step session_move(struct session *s, enum session_state to)
{
    must((rows[s->state].to & TO(to)) != 0);
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        log_debug("%s: %s -> %s at %llu us", s->label, rows[s->state].name, rows[to].name,
                  (unsigned long long)elapsed_us(s));
    s->state = to;
    s->graces = 0;
    s->state_bytes = s->io != NULL ? sshio_bytes_in(s->io) : 0;
    s->state_due_ms = rows[to].limit_ms > 0 ? clock_ms() + rows[to].limit_ms : 0;
    session_set_deadline(s);
    return to == S_CLOSE ? STEP_END : STEP_NEXT;
}

static bool in_run(const struct session *s)
{
    return s->state >= S_RUN && s->state <= S_KILL;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

void session_set_deadline(struct session *s)
{
    uint64_t due = s->state_due_ms;
    if (!s->result.outcome.sent)
        due = earlier(due, s->budget_due_ms);
    if (s->state == S_RUN && !s->env->paused) {
        if (s->run_timeout_ms > 0)
            due = earlier(due, s->run_ms + s->run_timeout_ms);
        if (s->silence_timeout_ms > 0)
            due = earlier(due, s->heard_ms + s->silence_timeout_ms);
    }
    if (due == 0 || s->state >= S_CLOSE)
        wheel_disarm(&s->env->wheel, &s->timer);
    else
        wheel_arm(&s->env->wheel, &s->timer, due);
}

void session_skip_clock(struct session *s, uint64_t paused_ms, uint64_t now_ms)
{
    uint64_t from = s->run_ms > paused_ms ? s->run_ms : paused_ms;
    s->run_ms += now_ms - from;
    from = s->heard_ms > paused_ms ? s->heard_ms : paused_ms;
    s->heard_ms += now_ms - from;
}

/* --- the end --- */

static void free_session(struct session *s)
{
    mem_free(s->user_name);
    mem_free(s->label);
    mem_free(s->command);
    mem_free(s->hostkey_types);
    mem_free(s);
}

void session_report(struct session *s)
{
    session_move(s, S_DONE);
    env_unlink(s->env, s);
    s->ops->done(s->user, &s->result);
    free_session(s);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;
    s->closed = true;
    if (!s->is_woken) /* else the queue that still holds it reports */
        session_report(s);
}

/* The poll handle first: uv_close takes the descriptor's *number* out of epoll, and once libssh
 * has closed it the number may be another session's. */
static void give_back(struct session *s)
{
    if (s->polled)
        uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    if (s->io != NULL)
        sshio_free(s->io);
    else if (s->fd >= 0)
        close(s->fd);
    s->io = NULL;
    s->fd = -1;
    if (!s->polled) {
        s->closed = true;
        session_wake(s);
    }
}

/* Ends with what is in the outcome. Every way out comes through here, once. */
static enum step session_end(struct session *s, enum problem problem)
{
    struct outcome *o = &s->result.outcome;
    o->problem = problem;
    if (o->phase == PHASE_NONE)
        o->phase = rows[s->state].phase;
    s->result.timing.done = elapsed_us(s);
    session_move(s, S_CLOSE);
    give_back(s);
    return STEP_END;
}

__attribute__((format(printf, 3, 4))) static enum step session_fail(struct session *s,
                                                                    enum problem problem,
                                                                    const char *fmt, ...)
{
    char raw[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    struct outcome *o = &s->result.outcome;
    str_escape_to(o->detail, sizeof o->detail, raw, strlen(raw), 0);
    o->may_still_run = o->sent && problem != PROBLEM_REQUEST_REFUSED;
    return session_end(s, problem);
}

/* Exit status or signal into the outcome; true when the command's end was seen. */
static bool record_exit(struct session *s)
{
    const struct sshio_seen *seen = sshio_seen(s->io);
    struct outcome *o = &s->result.outcome;
    if (seen->signaled)
        memcpy(o->signal, seen->signal, sizeof o->signal);
    if (seen->exited) /* POSIX has 0-255; what a larger one means is not 0 */
        o->exit_code = seen->exit_status > 255 ? 255 : (int)seen->exit_status;
    return seen->exited || seen->signaled;
}

/* The channel is closed, or as good as: what the command came to. */
static enum step command_ended(struct session *s)
{
    struct outcome *o = &s->result.outcome;
    const struct sshio_seen *seen = sshio_seen(s->io);
    o->phase = PHASE_RUN;
    if (!record_exit(s))
        return session_fail(s, PROBLEM_NO_EXIT_STATUS,
                            "the server closed the channel without an exit status");
    if (seen->exited && seen->exit_status > 255)
        snprintf(o->detail, sizeof o->detail, "exit status %u", (unsigned)seen->exit_status);
    if (seen->signaled)
        return session_end(s, PROBLEM_KILLED_BY_SIGNAL);
    return session_end(s, o->exit_code == 0 ? PROBLEM_NONE : PROBLEM_EXIT_NONZERO);
}

/* Ends a command that we wanted to end. */
static enum step cancel_ended(struct session *s)
{
    struct outcome *o = &s->result.outcome;
    bool over = record_exit(s);
    bool closed = sshio_seen(s->io)->closed;
    o->may_still_run = !over;
    if (over && !closed)
        snprintf(o->detail, sizeof o->detail,
                 "the command had ended, something it started held its output open");
    else if (!over)
        snprintf(o->detail, sizeof o->detail, "%s",
                 s->cancel_now ? "left at once"
                               : "it did not end on TERM and KILL, or the server "
                                 "does not pass signals on");
    return session_end(s, s->cancel);
}

/* libssh says that the session is over. */
static enum step died(struct session *s)
{
    struct outcome *o = &s->result.outcome;
    const struct sshio_seen *seen = sshio_seen(s->io);
    if (s->cancel_seen)
        return cancel_ended(s);
    if (seen->closed || (seen->eof && (seen->exited || seen->signaled)))
        return command_ended(s);
    enum phase phase = rows[s->state].phase;
    char detail[DIAGNOSE_DETAIL];
    enum problem p = diagnose_death(&phase, sshio_error(s->io), s->restricted, detail);
    o->phase = phase;
    bool over = record_exit(s);
    if (over)
        session_fail(s, p, "%s; the command had ended, its output may be incomplete", detail);
    else
        session_fail(s, p, "%s", detail);
    o->may_still_run = o->sent && !over;
    return STEP_END;
}

/* --- the states, in order --- */

/* Called by libssh's data callback: copies are the caller's business, flags are ours. */
static void on_data(void *user, bool is_stderr, const void *p, size_t n)
{
    struct session *s = user;
    struct session_result *r = &s->result;
    *(is_stderr ? &r->stderr_bytes : &r->stdout_bytes) += n;
    if (r->timing.first_byte == 0)
        r->timing.first_byte = elapsed_us(s);
    if (s->silence_timeout_ms > 0)
        s->heard_ms = clock_ms();
    s->ops->data(s->user, is_stderr, p, n);
}

static enum step in_connect(struct session *s)
{
    if (!s->ready && !s->broken)
        return STEP_WAIT;
    int sys = 0;
    socklen_t len = sizeof sys;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
        sys = errno;
    if (sys != 0) {
        char detail[DIAGNOSE_DETAIL];
        enum problem p = diagnose_connect(sys, s->addr.sa.sa_family == AF_INET6, s->where, detail);
        return session_fail(s, p, "%s", detail);
    }
    s->result.timing.connected = elapsed_us(s);
    struct sshio_spec spec = {.fd = s->fd,
                              .hostkey_types = s->hostkey_types,
                              .legacy = s->legacy,
                              .data = on_data,
                              .user = s};
    struct err e = {0};
    enum rc rc = sshio_new(&s->io, &spec, &e);
    if (rc != RC_OK)
        return session_fail(s, rc == RC_INTERNAL ? PROBLEM_INTERNAL : PROBLEM_LOCAL_RESOURCE, "%s",
                            e.msg);
    return session_move(s, S_BANNER);
}

/* libssh swallows what comes before the banner, and the reason of a refusal with it: look at the
 * bytes first, without taking them. Returns 0, or errno, or -1 at the end of the stream. What
 * arrives between the look and libssh's read is only missing from a message. */
static int peek_prelude(struct session *s)
{
    char bytes[1024];
    ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        prelude_feed(&s->prelude, bytes, (size_t)n);
    else if (n == 0)
        return -1;
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return errno;
    return 0;
}

static enum step banner_failed(struct session *s, int sys)
{
    char detail[DIAGNOSE_DETAIL];
    prelude_end(&s->prelude);
    enum problem p = diagnose_prelude(&s->prelude, sys > 0 ? sys : 0, sshio_error(s->io), detail);
    return session_fail(s, p, "%s", detail);
}

static enum step in_banner(struct session *s)
{
    int sys = peek_prelude(s);
    if (sys != 0 || s->prelude.throttled)
        return banner_failed(s, sys);
    enum sshio_step step = sshio_handshake(s->io);
    const char *banner = sshio_server_banner(s->io);
    if (banner != NULL) {
        s->result.timing.banner = elapsed_us(s);
        str_escape_to(s->result.server_banner, sizeof s->result.server_banner, banner,
                      strlen(banner), 0);
    }
    if (step == SSHIO_DEAD && banner != NULL && strstr(sshio_error(s->io), "No version of SSH"))
        return session_fail(s, PROBLEM_NOT_SSH, "the server does not speak SSH 2: %s", banner);
    if (banner != NULL) {
        session_move(s, S_KEX);
        return step == SSHIO_DEAD ? died(s) : STEP_NEXT;
    }
    return step == SSHIO_DEAD ? banner_failed(s, 0) : STEP_WAIT;
}

static enum step in_kex(struct session *s)
{
    switch (sshio_handshake(s->io)) {
    case SSHIO_OK: break;
    case SSHIO_DEAD: return died(s);
    default: return STEP_WAIT;
    }
    s->result.timing.kex = elapsed_us(s);
    return session_move(s, S_HOSTKEY);
}

/* The type is the first string of the blob. */
static bool key_type(char *dst, size_t cap, const struct buf *blob)
{
    if (blob->len < 4)
        return false;
    const uint8_t *p = blob->data;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n == 0 || n >= cap || n > blob->len - 4)
        return false;
    memcpy(dst, p + 4, n);
    dst[n] = '\0';
    return true;
}

static enum step ask_hostkey(struct session *s)
{
    struct buf blob;
    struct err e = {0};
    char type[64];
    buf_init(&blob, 64 * 1024);
    enum rc rc = sshio_host_key(s->io, &blob, &e);
    if (rc == RC_OK && !key_type(type, sizeof type, &blob))
        rc = err_set(&e, RC_CRYPTO, "the server's host key has no type");
    s->asked = true;
    if (rc == RC_OK)
        s->ops->hostkey(s->user, type, blob.data, blob.len);
    buf_fini(&blob);
    if (rc == RC_OK)
        return STEP_NEXT;
    return session_fail(s, rc == RC_NOMEM ? PROBLEM_LOCAL_RESOURCE : PROBLEM_KEX_FAILED, "%s",
                        e.msg);
}

static enum step in_hostkey(struct session *s)
{
    if (!s->asked)
        return ask_hostkey(s);
    if (!s->answered)
        return STEP_WAIT;
    if (s->answer == HOSTKEY_REJECT)
        return session_fail(s, s->answer_problem, "%s", s->answer_detail);
    s->result.timing.host_key = elapsed_us(s);
    return session_move(s, S_SERVICE);
}

static enum step in_service(struct session *s)
{
    switch (sshio_service(s->io)) {
    case SSHIO_OK: return session_move(s, S_AUTH);
    case SSHIO_AGAIN: return STEP_WAIT;
    default: return died(s);
    }
}

static enum step auth_failed(struct session *s)
{
    char methods[96];
    sshio_auth_methods(s->io, methods, sizeof methods);
    const char *others = methods[0] != '\0' ? methods : "nothing";
    if (s->partial)
        return session_fail(s, PROBLEM_AUTH_DENIED,
                            "a key was accepted for %s, but the server also wants %s", s->user_name,
                            others);
    if (s->keys_tried == 0)
        return session_fail(s, PROBLEM_AUTH_NO_METHOD,
                            "no key to log in with as %s; the server takes %s", s->user_name,
                            others);
    return session_fail(s, PROBLEM_AUTH_DENIED, "%u key%s refused for %s; the server takes %s",
                        s->keys_tried, s->keys_tried == 1 ? "" : "s", s->user_name, others);
}

/* One key is signed with at once, which saves a round trip; of several, each is offered first, so
 * that no signature (and no failed login on record) is spent on those the server does not know. */
static enum sshio_step auth_step(struct session *s)
{
    if (s->key_count == 0)
        return sshio_auth_none(s->io, s->user_name);
    const struct sshio_key *key = env_key(s->env, s->keys[s->key_at]);
    if (s->key_count > 1 && !s->offered)
        return sshio_auth_offer(s->io, s->user_name, key);
    return sshio_auth_sign(s->io, s->user_name, key);
}

static enum step authenticated(struct session *s)
{
    s->result.timing.auth = elapsed_us(s);
    session_move(s, S_OPEN);
    s->ops->authenticated(s->user);
    return STEP_NEXT;
}

static enum step next_key(struct session *s)
{
    if (s->key_count > 0)
        s->keys_tried++;
    s->offered = false;
    s->key_at++;
    return s->key_at < s->key_count ? STEP_NEXT : auth_failed(s);
}

static enum step in_auth(struct session *s)
{
    bool offering = s->key_count > 1 && !s->offered;
    switch (auth_step(s)) {
    case SSHIO_AGAIN: return STEP_WAIT;
    case SSHIO_DEAD: s->keys_tried += s->key_count > 0; return died(s);
    case SSHIO_OK:
        if (!offering)
            return authenticated(s);
        s->offered = true;
        return STEP_NEXT;
    case SSHIO_PARTIAL: s->partial = true; return next_key(s);
    default: return next_key(s);
    }
}

static enum step in_open(struct session *s)
{
    switch (sshio_open(s->io)) {
    case SSHIO_AGAIN: return STEP_WAIT;
    case SSHIO_DEAD: return died(s);
    case SSHIO_OK: break;
    default: return session_fail(s, PROBLEM_CHANNEL_REFUSED, "%s", sshio_error(s->io));
    }
    uint32_t most = sshio_max_packet(s->io);
    if (most != 0 && most < SSHIO_MIN_PACKET)
        return session_fail(s, PROBLEM_HOSTILE, "the server allows packets of %u bytes only",
                            (unsigned)most);
    s->result.timing.open = elapsed_us(s);
    return session_move(s, S_REQUEST);
}

static enum step in_request(struct session *s)
{
    if (!s->result.outcome.sent) {
        s->result.outcome.sent = true;
        s->result.timing.sent = elapsed_us(s);
        session_set_deadline(s); /* the connect budget ends here */
        s->ops->sent(s->user);
    }
    switch (sshio_exec(s->io, s->command)) {
    case SSHIO_AGAIN: /* a server may close the channel instead of answering */
        return sshio_seen(s->io)->closed ? command_ended(s) : STEP_WAIT;
    case SSHIO_DEAD: return died(s);
    case SSHIO_OK: break;
    default: return session_fail(s, PROBLEM_REQUEST_REFUSED, "the server refused the command");
    }
    mem_free(s->command);
    s->command = NULL;
    s->run_ms = s->heard_ms = clock_ms();
    return session_move(s, S_RUN);
}

/* Gives the command its input as the window and the socket take it; then, or without any, EOF. */
static enum sshio_step feed(struct session *s)
{
    const struct buf *in = &s->env->input;
    size_t left = s->use_stdin ? in->len - s->input_done : 0;
    while (left > 0) {
        size_t done;
        enum sshio_step step = sshio_write(s->io, in->data + s->input_done, left, &done);
        if (step == SSHIO_DEAD)
            return step;
        if (step != SSHIO_OK)
            s->eof_sent = true; /* the command reads no more: let it run on */
        if (step != SSHIO_OK || done == 0)
            return SSHIO_OK;
        s->input_done += done;
        left -= done;
        if (s->silence_timeout_ms > 0)
            s->heard_ms = clock_ms();
    }
    if (s->eof_sent)
        return SSHIO_OK;
    s->eof_sent = true;
    return sshio_send_eof(s->io) == SSHIO_DEAD ? SSHIO_DEAD : SSHIO_OK;
}

/* Requests that a server sends us are all denied; past a count that no keepalive reaches, a reply
 * to each would only fill our buffers. */
static bool floods(const struct session *s)
{
    return sshio_seen(s->io)->messages > SSHIO_MAX_MESSAGES + elapsed_us(s) / 1000000;
}

static enum step in_command(struct session *s)
{
    bool held = s->env->paused && s->state == S_RUN;
    if (held && !s->ready)
        return STEP_WAIT;
    enum sshio_step step = sshio_pump(s->io);
    if (step != SSHIO_DEAD && s->state == S_RUN && !held && !sshio_seen(s->io)->closed)
        step = feed(s);
    if (step == SSHIO_DEAD)
        return died(s);
    /* Looked at last: a write pumps too, and may be the one that meets the close. */
    if (sshio_seen(s->io)->closed)
        return s->cancel_seen ? cancel_ended(s) : command_ended(s);
    if (floods(s))
        return session_fail(s, PROBLEM_PROTOCOL_ERROR, "the server floods us with requests");
    return STEP_WAIT;
}

/* --- cancel --- */

static enum step send_signal(struct session *s, const char *name, enum session_state to)
{
    if (sshio_send_signal(s->io, name) == SSHIO_DEAD)
        return died(s);
    return session_move(s, to);
}

/* Acts upon a cancel, if the state lets it: STEP_WAIT when there is nothing to do (now). */
static enum step obey_cancel(struct session *s)
{
    if (s->cancel == PROBLEM_NONE || (s->cancel_seen && !s->cancel_now))
        return STEP_WAIT;
    if (!s->result.outcome.sent)
        return session_fail(s, s->cancel, "before the command was sent");
    bool over = sshio_seen(s->io)->exited || sshio_seen(s->io)->signaled;
    if (s->cancel_now || (over && s->state == S_RUN)) {
        s->cancel_seen = true;
        return cancel_ended(s);
    }
    if (s->state != S_RUN) /* REQUEST: a channel has one request at a time */
        return STEP_WAIT;
    s->cancel_seen = true;
    return send_signal(s, "TERM", S_TERM);
}

/* --- tick, events, deadlines --- */

static enum step step_state(struct session *s)
{
    switch (s->state) {
    case S_CONNECT: return in_connect(s);
    case S_BANNER: return in_banner(s);
    case S_KEX: return in_kex(s);
    case S_HOSTKEY: return in_hostkey(s);
    case S_SERVICE: return in_service(s);
    case S_AUTH: return in_auth(s);
    case S_OPEN: return in_open(s);
    case S_REQUEST: return in_request(s);
    case S_RUN:
    case S_TERM:
    case S_KILL: return in_command(s);
    default: return STEP_END;
    }
}

static enum step check_budget(struct session *s)
{
    uint64_t budget = rows[s->state].budget;
    if (s->io == NULL || budget == 0 || sshio_bytes_in(s->io) - s->state_bytes <= budget)
        return STEP_WAIT;
    if (s->state == S_BANNER)
        return session_fail(s, PROBLEM_HOSTILE, "%u KiB and no SSH banner among them",
                            (unsigned)(budget / 1024));
    return session_fail(s, PROBLEM_HOSTILE,
                        "the server sent more than %u KiB before it let us go on",
                        (unsigned)(budget / 1024));
}

/* One read takes at most SSHIO_READ bytes: a full one means that more waits. */
static bool more_waits(const struct session *s, uint64_t before)
{
    return s->io != NULL && sshio_bytes_in(s->io) - before == SSHIO_READ &&
           !(s->env->paused && in_run(s));
}

void session_tick(struct session *s)
{
    enum step step = STEP_WAIT;
    for (int budget = PUMP_BUDGET; s->state < S_CLOSE;) {
        step = obey_cancel(s);
        if (step == STEP_END)
            break;
        uint64_t before = s->io != NULL ? sshio_bytes_in(s->io) : 0;
        step = step_state(s);
        if (step == STEP_WAIT)
            step = check_budget(s);
        if (step == STEP_END || (step == STEP_WAIT && !more_waits(s, before)))
            break;
        if (step == STEP_WAIT && --budget == 0)
            break;
    }
    s->ready = false;
    if (s->broken && s->state < S_CLOSE && s->state != S_HOSTKEY)
        died(s); /* the error was in the socket: no further event would come */
    if (s->state < S_CLOSE)
        session_rearm(s);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct session *s = poll->data;
    s->ready = true;
    if (status < 0) { /* POLLERR: libuv has stopped the handle already */
        s->broken = true;
        s->events = 0;
    }
    session_tick(s);
}

/* Not polling for input is how we hold a host up: its bytes stay in the kernel, then in its own. */
void session_rearm(struct session *s)
{
    bool held = s->env->paused && in_run(s);
    int want = 0;
    if (s->state == S_CONNECT)
        want = UV_WRITABLE;
    else if (s->state != S_HOSTKEY) {
        want = (held ? 0 : UV_READABLE) | (sshio_wants_write(s->io) ? UV_WRITABLE : 0);
    }
    if (s->state == S_RUN)
        session_set_deadline(s); /* pause, resume */
    if (want == s->events || s->broken)
        return;
    s->events = want;
    if (want == 0)
        uv_poll_stop(&s->poll);
    else
        must(uv_poll_start(&s->poll, want, on_ready) == 0);
}

static enum step late(struct session *s)
{
    char took[NUM_TEXT];
    uint64_t since = rows[s->state].limit_ms;
    if (!s->result.outcome.sent && s->budget_due_ms != 0 && clock_ms() >= s->budget_due_ms)
        since = s->connect_budget_ms;
    else if (s->state == S_CONNECT)
        since = s->tcp_budget_ms;
    num_duration_text(took, since);
    enum problem p = rows[s->state].late;
    switch (s->state) {
    case S_CONNECT: return session_fail(s, p, "connect to %s: no answer in %s", s->where, took);
    case S_BANNER:
        if (s->prelude.first[0] != '\0')
            return session_fail(s, p, "%s said \"%s\" and sent no SSH banner in %s", s->where,
                                s->prelude.first, took);
        return session_fail(s, p, "%s sent no SSH banner in %s", s->where, took);
    case S_HOSTKEY: return session_fail(s, p, "no decision about the host's key in %s", took);
    default: return session_fail(s, p, "%s: not done after %s", rows[s->state].name, took);
    }
}

static void run_late(struct session *s)
{
    uint64_t now = clock_ms();
    if (s->env->paused)
        return;
    if (s->run_timeout_ms > 0 && now >= s->run_ms + s->run_timeout_ms)
        session_cancel(s, PROBLEM_RUN_TIMEOUT, false);
    else if (s->silence_timeout_ms > 0 && now >= s->heard_ms + s->silence_timeout_ms)
        session_cancel(s, PROBLEM_SILENCE_TIMEOUT, false);
    else
        session_set_deadline(s);
}

/* The loop may have been busy while the host was quick: look at the socket once more before
 * believing that it was late, and wait a little longer, a few times, if it has just spoken. */
static bool last_look(struct session *s)
{
    enum session_state state = s->state;
    uint64_t bytes = s->io != NULL ? sshio_bytes_in(s->io) : 0;
    s->ready = state != S_CONNECT;
    session_tick(s);
    if (s->state >= S_CLOSE)
        return true;
    bool progress = s->state != state || (s->io != NULL && sshio_bytes_in(s->io) > bytes);
    if (!progress || s->graces >= GRACES)
        return false;
    unsigned graces = s->graces;
    s->graces = graces + 1;
    wheel_arm(&s->env->wheel, &s->timer, clock_ms() + GRACE_MS);
    return true;
}

static void on_deadline(struct wheel_timer *timer)
{
    struct session *s = (struct session *)((char *)timer - offsetof(struct session, timer));
    if (last_look(s))
        return;
    switch (s->state) {
    case S_RUN: run_late(s); break;
    case S_TERM: send_signal(s, "KILL", S_KILL); break;
    case S_KILL: cancel_ended(s); break;
    default: late(s); break;
    }
    if (s->state < S_CLOSE)
        session_tick(s); /* what was just sent may have met the end */
}

/* --- the calls --- */

void session_hostkey_answer(struct session *s, enum hostkey_answer a, enum problem problem,
                            const char *detail)
{
    if (s->answered || s->state != S_HOSTKEY)
        return;
    s->answered = true;
    s->answer = a;
    s->answer_problem = problem;
    snprintf(s->answer_detail, sizeof s->answer_detail, "%s", detail != NULL ? detail : "");
    session_wake(s);
}

void session_cancel(struct session *s, enum problem problem, bool now)
{
    if (s->state >= S_CLOSE)
        return;
    if (s->cancel == PROBLEM_NONE)
        s->cancel = problem;
    s->cancel_now |= now;
    session_wake(s);
}

static enum rc copy_spec(struct session *s, const struct session_spec *spec, struct err *e)
{
    s->user_name = mem_strdup(spec->user);
    s->label = mem_strdup(spec->label);
    s->hostkey_types = mem_strdup(spec->hostkey_types != NULL ? spec->hostkey_types : "");
    s->command = mem_alloc(spec->command_len + 1);
    if (s->user_name == NULL || s->label == NULL || s->hostkey_types == NULL || s->command == NULL)
        return err_nomem(e);
    memcpy(s->command, spec->command, spec->command_len);
    s->command[spec->command_len] = '\0';
    for (unsigned i = 0; i < spec->key_count; i++)
        if (env_key(s->env, spec->keys[i]) != NULL)
            s->keys[s->key_count++] = spec->keys[i];
    s->restricted = s->hostkey_types[0] != '\0';
    s->legacy = spec->legacy;
    s->use_stdin = spec->use_stdin;
    s->addr = spec->addr;
    s->connect_budget_ms = spec->connect_budget_ms;
    s->tcp_budget_ms = spec->tcp_budget_ms;
    s->run_timeout_ms = spec->run_timeout_ms;
    s->silence_timeout_ms = spec->silence_timeout_ms;
    return RC_OK;
}

static void describe_address(struct session *s)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    bool v6 = s->addr.sa.sa_family == AF_INET6;
    if (v6)
        uv_ip6_name(&s->addr.in6, ip, sizeof ip);
    else
        uv_ip4_name(&s->addr.in, ip, sizeof ip);
    snprintf(s->where, sizeof s->where, "%s port %u", ip,
             (unsigned)ntohs(v6 ? s->addr.in6.sin6_port : s->addr.in.sin_port));
}

/* Nagle with delayed acknowledgement would add up to 40 ms to each step of the handshake; the
 * other two find a dead peer that TCP alone would wait for without end. */
static void set_socket_options(int fd)
{
    int yes = 1;
    unsigned dead_ms = DEAD_PEER_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

/* Starts the connect. Returns 0 or errno: of the socket, or of a connect that failed at once. */
static int start_connect(struct session *s)
{
    s->fd = socket(s->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return errno;
    if (s->fd > SSHIO_MAX_FD)
        return EMFILE;
    set_socket_options(s->fd);
    socklen_t len = s->addr.sa.sa_family == AF_INET6 ? sizeof s->addr.in6 : sizeof s->addr.in;
    if (connect(s->fd, &s->addr.sa, len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return 0;
    return errno;
}

/* A failure of the host's or the network's is an outcome like any other, told from the loop. */
static enum rc start_io(struct session *s, struct err *e)
{
    char detail[DIAGNOSE_DETAIL];
    int sys = start_connect(s);
    if (sys != 0) {
        enum problem p = diagnose_connect(sys, s->addr.sa.sa_family == AF_INET6, s->where, detail);
        session_fail(s, p, "%s", detail);
        return RC_OK;
    }
    int rc = uv_poll_init_socket(s->env->loop, &s->poll, s->fd);
    if (rc != 0)
        return err_sys(e, -rc, "cannot watch a socket");
    s->poll.data = s;
    s->polled = true;
    session_rearm(s);
    return RC_OK;
}

static void start_clocks(struct session *s)
{
    uint64_t now = clock_ms();
    s->start_us = clock_us();
    s->timer.fire = on_deadline;
    s->budget_due_ms = s->connect_budget_ms > 0 ? now + s->connect_budget_ms : 0;
    s->state_due_ms = s->tcp_budget_ms > 0 ? now + s->tcp_budget_ms : 0;
    session_set_deadline(s);
}

enum rc session_start(struct session **out, struct session_env *env,
                      const struct session_spec *spec, const struct session_ops *ops, void *user,
                      struct err *e)
{
    must(spec->key_count <= SESSION_MAX_KEYS && spec->command_len <= SESSION_MAX_COMMAND);
    must(memchr(spec->command, 0, spec->command_len) == NULL);
    struct session *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    s->env = env;
    s->ops = ops;
    s->user = user;
    s->fd = -1;
    outcome_init(&s->result.outcome);
    enum rc rc = copy_spec(s, spec, e);
    if (rc != RC_OK)
        goto out;
    describe_address(s);
    env_link(env, s);
    start_clocks(s);
    rc = start_io(s, e);
    if (rc == RC_OK) {
        *out = s;
        return RC_OK;
    }
    wheel_disarm(&env->wheel, &s->timer);
    env_unlink(env, s);
    if (s->fd >= 0)
        close(s->fd);
out:
    free_session(s);
    return rc;
}
