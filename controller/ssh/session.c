/* The state machine of a session. See session.h.
 *
 *   CONNECT, BANNER, KEX, HOSTKEY, SERVICE, AUTH, OPEN, REQUEST, RUN, CLOSE, DONE: in this order;
 *   HELD after CONNECT, for one that was answered late, until there is a place for it;
 *   SIGN between two of AUTH, for a key that an agent holds;
 *   FORWARD in place of CONNECT behind a link; LINKED after AUTH, for a link, in place of the rest;
 *   from RUN, when somebody wants the command ended: TERM, then KILL, then CLOSE;
 *   a warm session (session_warm.c): from RUN, TERM and KILL to SHUT, IDLE, and to OPEN again.
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
    SHUT_MS = 5 * 1000,      /* a warm one: from our close of the channel to giving up */
};

#define TO(state) (1u << (state))
#define REST      (TO(S_SHUT) | TO(S_IDLE)) /* of a warm one */

/* limit_ms: most that the state may take, within the connect budget; budget: most bytes that the
 * server may send in it, so that a flood before the login ends itself (one banner of 256 KiB, the
 * longest there can be, fits). 0: none. */
static const struct state_row {
    const char *name;
    unsigned to;
    enum phase phase;
    enum problem late;
    uint64_t limit_ms;
    uint64_t budget;
} rows[S_COUNT] = {
    [S_CONNECT] = {"connect", TO(S_HELD) | TO(S_BANNER) | TO(S_CLOSE), PHASE_CONNECT,
                   PROBLEM_CONNECT_TIMEOUT, 0, 0},
    [S_FORWARD] = {"forward", TO(S_BANNER) | TO(S_CLOSE), PHASE_CONNECT, PROBLEM_CONNECT_TIMEOUT, 0,
                   0},
    [S_HELD] = {"held", TO(S_BANNER) | TO(S_CLOSE), PHASE_CONNECT, PROBLEM_CONNECT_TIMEOUT,
                SESSION_HELD_MS, 0},
    [S_BANNER] = {"banner", TO(S_KEX) | TO(S_CLOSE), PHASE_BANNER, PROBLEM_BANNER_TIMEOUT, 15000,
                  PRELUDE_MAX},
    [S_KEX] = {"kex", TO(S_HOSTKEY) | TO(S_CLOSE), PHASE_KEX, PROBLEM_KEX_TIMEOUT, 20000,
               256 * 1024},
    [S_HOSTKEY] = {"host-key", TO(S_SERVICE) | TO(S_CLOSE), PHASE_HOST_KEY, PROBLEM_KEX_TIMEOUT, 0,
                   0},
    [S_SERVICE] = {"service", TO(S_AUTH) | TO(S_CLOSE), PHASE_AUTH, PROBLEM_AUTH_TIMEOUT, 15000,
                   256 * 1024},
    [S_AUTH] = {"auth", TO(S_OPEN) | TO(S_SIGN) | TO(S_LINKED) | TO(S_CLOSE), PHASE_AUTH,
                PROBLEM_AUTH_TIMEOUT, 30000, 512 * 1024},
    [S_SIGN] = {"sign", TO(S_AUTH) | TO(S_CLOSE), PHASE_AUTH, PROBLEM_AGENT_FAILED, SESSION_SIGN_MS,
                0},
    [S_LINKED] = {"linked", TO(S_CLOSE), PHASE_OPEN, PROBLEM_NONE, 0, 0},
    [S_OPEN] = {"open", TO(S_REQUEST) | REST | TO(S_CLOSE), PHASE_OPEN, PROBLEM_OPEN_TIMEOUT, 15000,
                256 * 1024},
    [S_REQUEST] = {"request", TO(S_RUN) | REST | TO(S_CLOSE), PHASE_REQUEST,
                   PROBLEM_REQUEST_TIMEOUT, 15000, 0},
    [S_RUN] = {"run", TO(S_TERM) | REST | TO(S_CLOSE), PHASE_RUN, PROBLEM_RUN_TIMEOUT, 0, 0},
    [S_TERM] = {"term", TO(S_KILL) | REST | TO(S_CLOSE), PHASE_RUN, PROBLEM_NONE, TERM_MS, 0},
    [S_KILL] = {"kill", REST | TO(S_CLOSE), PHASE_RUN, PROBLEM_NONE, KILL_MS, 0},
    [S_SHUT] = {"shut", TO(S_IDLE) | TO(S_CLOSE), PHASE_RUN, PROBLEM_NONE, SHUT_MS, 0},
    [S_IDLE] = {"idle", TO(S_OPEN) | TO(S_CLOSE), PHASE_RUN, PROBLEM_NONE, 0, 0},
    [S_CLOSE] = {"close", TO(S_DONE), PHASE_CLOSE, PROBLEM_NONE, 0, 0},
    [S_DONE] = {"done", 0, PHASE_CLOSE, PROBLEM_NONE, 0, 0},
};

uint64_t session_elapsed_us(const struct session *s)
{
    uint64_t us = clock_us() - s->start_us;
    return us > 0 ? us : 1;
}

enum phase session_phase(const struct session *s)
{
    return rows[s->state].phase;
}

/* The one door to a state. */
enum step session_move(struct session *s, enum session_state to)
{
    must((rows[s->state].to & TO(to)) != 0);
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        log_debug("%s: %s -> %s at %llu us", s->label, rows[s->state].name, rows[to].name,
                  (unsigned long long)session_elapsed_us(s));
    s->state = to;
    s->graces = 0;
    s->state_bytes = s->io != NULL ? sshio_bytes_in(s->io) : 0;
    s->state_due_ms = rows[to].limit_ms > 0 ? clock_ms() + rows[to].limit_ms : 0;
    session_set_deadline(s);
    return to == S_CLOSE ? STEP_END : STEP_NEXT;
}

static bool in_run(const struct session *s)
{
    return s->state >= S_RUN && s->state <= S_SHUT;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

void session_set_deadline(struct session *s)
{
    uint64_t due = s->state_due_ms;
    if (session_awaits_password(s)) {
        wheel_disarm(&s->env->wheel, &s->timer);
        return;
    }
    if (!s->result.outcome.sent && s->state != S_SIGN &&
        s->state != S_HELD) /* our own lines are not the host's fault */
        due = earlier(due, s->budget_due_ms);
    if (s->state == S_CONNECT)
        due = earlier(due, s->silent_due_ms);
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

/* --- the states, in order --- */

/* Called by libssh's data callback: copies are the caller's business, flags are ours. */
void session_on_data(void *user, bool is_stderr, const void *p, size_t n)
{
    struct session *s = user;
    struct so_far *r = &s->result;
    *(is_stderr ? &r->stderr_bytes : &r->stdout_bytes) += n;
    s->data_packets += n > 0;
    if (r->timing.first_byte == 0)
        r->timing.first_byte = session_elapsed_us(s);
    if (s->silence_timeout_ms > 0)
        s->heard_ms = clock_ms();
    s->ops->data(s->user, is_stderr, p, n);
}

/* libssh swallows what comes before the banner, and the reason of a refusal with it: look at the
 * bytes first, without taking them. Returns 0, or errno, or -1 at the end of the stream. What
 * arrives between the look and libssh's read is only missing from a message. */
static int peek_prelude(struct session *s)
{
    char bytes[1024];
    ssize_t n = recv(s->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        prelude_feed(s->prelude, bytes, (size_t)n);
    else if (n == 0)
        return -1;
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return errno;
    return 0;
}

static enum step banner_failed(struct session *s, int sys)
{
    char detail[DIAGNOSE_DETAIL];
    prelude_end(s->prelude);
    enum problem p = diagnose_prelude(s->prelude, sys > 0 ? sys : 0, sshio_error(s->io), detail);
    return session_fail(s, p, "%s", detail);
}

static enum step in_banner(struct session *s)
{
    int sys = peek_prelude(s);
    if (sys != 0 || s->prelude->throttled)
        return banner_failed(s, sys);
    enum sshio_step step = sshio_handshake(s->io);
    const char *banner = sshio_server_banner(s->io);
    if (banner != NULL) {
        char text[sizeof(((struct session_result *)0)->server_banner)];
        s->result.timing.banner = session_elapsed_us(s);
        str_escape_to(text, sizeof text, banner, strlen(banner), 0);
        session_note(&s->result.server_banner, text);
    }
    if (step == SSHIO_DEAD && banner != NULL && strstr(sshio_error(s->io), "No version of SSH"))
        return session_fail(s, PROBLEM_NOT_SSH, "the server does not speak SSH 2: %s", banner);
    if (banner != NULL) {
        mem_free(s->prelude);
        s->prelude = NULL;
        session_move(s, S_KEX);
        return step == SSHIO_DEAD ? session_died(s) : STEP_NEXT;
    }
    return step == SSHIO_DEAD ? banner_failed(s, 0) : STEP_WAIT;
}

static enum step in_kex(struct session *s)
{
    switch (sshio_handshake(s->io)) {
    case SSHIO_OK: break;
    case SSHIO_DEAD: return session_died(s);
    default: return STEP_WAIT;
    }
    s->result.timing.kex = session_elapsed_us(s);
    return session_move(s, S_HOSTKEY);
}

/* Packets of no bytes are told apart before all else: libssh goes on waiting for a channel. */
static enum step in_open(struct session *s)
{
    enum sshio_step step = sshio_open(s->io);
    uint32_t most = sshio_max_packet(s->io);
    if (most != SSHIO_PACKET_UNKNOWN && most < SSHIO_MIN_PACKET)
        return session_fail(s, PROBLEM_HOSTILE, "the server allows packets of %u bytes only",
                            (unsigned)most);
    switch (step) {
    case SSHIO_AGAIN: return STEP_WAIT;
    case SSHIO_DEAD: return session_died(s);
    case SSHIO_OK: break;
    default:
        return s->rested ? session_reopen(s)
                         : session_fail(s, PROBLEM_CHANNEL_REFUSED, "%s", sshio_error(s->io));
    }
    s->result.timing.open = session_elapsed_us(s);
    if (s->rested &&
        s->cancel != PROBLEM_NONE) /* the first command's would have ended it at once */
        return session_shut(s, s->cancel);
    session_move(s, S_REQUEST);
    if (!s->rested)
        s->ops->authenticated(s->user);
    return STEP_NEXT;
}

static bool is_warm(const struct session *s)
{
    return s->kind == SESSION_WARM;
}

/* The channel is closed. */
static enum step command_over(struct session *s)
{
    if (is_warm(s))
        return session_shut(s, PROBLEM_NONE);
    return s->cancel_seen ? session_cancel_ended(s) : session_command_ended(s);
}

static enum step request_refused(struct session *s)
{
    static const char why[] = "the server refused the command";
    if (!is_warm(s))
        return session_fail(s, PROBLEM_REQUEST_REFUSED, why);
    session_note(&s->result.outcome.detail, why);
    return session_shut(s, PROBLEM_REQUEST_REFUSED);
}

static enum step in_request(struct session *s)
{
    if (!s->result.outcome.sent) {
        s->result.outcome.sent = true;
        s->run_bytes = sshio_bytes_in(s->io);
        s->result.timing.sent = session_elapsed_us(s);
        session_set_deadline(s); /* the connect budget ends here */
        s->ops->sent(s->user);
    }
    switch (sshio_exec(s->io, s->command)) {
    case SSHIO_AGAIN: /* a server may close the channel instead of answering */
        return sshio_seen(s->io)->closed ? command_over(s) : STEP_WAIT;
    case SSHIO_DEAD: return session_died(s);
    case SSHIO_OK: break;
    default: return request_refused(s);
    }
    mem_free(s->command);
    s->command = NULL;
    s->run_ms = s->heard_ms = clock_ms();
    return session_move(s, S_RUN);
}

/* Requests that a server sends us are all denied; past a count that no keepalive reaches, a reply
 * to each would only fill our buffers. */
bool session_floods(const struct session *s)
{
    uint64_t seconds = (session_elapsed_us(s) - s->exec_us) / 1000000;
    return sshio_seen(s->io)->messages > SSHIO_MAX_MESSAGES + seconds;
}

/* Holding a host up is not to read what it says. What its owner says goes on: an agent that hears
 * no ping takes the controller for gone, and ends what it runs. */
static enum step in_command(struct session *s)
{
    bool held = s->env->paused && s->state == S_RUN, quiet = held && !s->ready;
    bool feeds = s->state == S_RUN && (!held || s->input == INPUT_DUPLEX);
    enum sshio_step step = quiet ? SSHIO_OK : sshio_pump(s->io);
    if (step != SSHIO_DEAD && feeds && !sshio_seen(s->io)->closed)
        step = session_feed(s);
    if (step == SSHIO_DEAD)
        return session_died(s);
    if (quiet)
        return STEP_WAIT;
    /* Looked at last: a write pumps too, and may be the one that meets the close. */
    if (sshio_seen(s->io)->closed)
        return command_over(s);
    if (session_floods(s))
        return session_fail(s, PROBLEM_PROTOCOL_ERROR, "the server floods us with requests");
    return STEP_WAIT;
}

/* --- cancel --- */

static enum step send_signal(struct session *s, const char *name, enum session_state to)
{
    if (sshio_send_signal(s->io, name) == SSHIO_DEAD)
        return session_died(s);
    return session_move(s, to);
}

/* Acts upon a cancel, if the state lets it: STEP_WAIT when there is nothing to do (now). */
static enum step obey_cancel(struct session *s)
{
    if (s->cancel == PROBLEM_NONE || (s->cancel_seen && !s->cancel_now))
        return STEP_WAIT;
    if (!s->result.outcome.sent)
        return s->rested && !s->cancel_now
                   ? STEP_WAIT /* OPEN: in_open sees it */
                   : session_fail(s, s->cancel, "before the command was sent");
    bool over = sshio_seen(s->io)->exited || sshio_seen(s->io)->signaled;
    if (s->cancel_now || (over && s->state == S_RUN)) {
        s->cancel_seen = true;
        return is_warm(s) && !s->cancel_now ? session_shut(s, PROBLEM_NONE)
                                            : session_cancel_ended(s);
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
    case S_CONNECT: return session_in_connect(s);
    case S_FORWARD: return session_in_forward(s);
    case S_HELD: return session_in_held(s);
    case S_BANNER: return in_banner(s);
    case S_KEX: return in_kex(s);
    case S_HOSTKEY: return session_in_hostkey(s);
    case S_SERVICE: return session_in_service(s);
    case S_AUTH: return session_in_auth(s);
    case S_LINKED: return session_in_linked(s);
    case S_SIGN: return session_in_sign(s);
    case S_OPEN: return in_open(s);
    case S_REQUEST: return in_request(s);
    case S_RUN:
    case S_TERM:
    case S_KILL: return in_command(s);
    case S_SHUT: return session_in_shut(s);
    case S_IDLE: return session_in_idle(s);
    default: return STEP_END;
    }
}

/* One read takes at most SSHIO_READ bytes: a full one means that more waits. A socket in error
 * wakes us no more, and what came before the error is still to be read. */
static bool more_waits(const struct session *s, uint64_t before)
{
    if (s->io == NULL)
        return false;
    uint64_t n = sshio_bytes_in(s->io) - before;
    return s->broken ? n > 0 : n == SSHIO_READ && !(s->env->paused && in_run(s));
}

/* Its owner has the next word, the socket none. */
static bool awaits_owner(const struct session *s)
{
    return s->state == S_HELD || s->state == S_HOSTKEY || s->state == S_SIGN ||
           session_awaits_password(s);
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
            step = session_check_budget(s, rows[s->state].budget);
        if (step == STEP_END || (step == STEP_WAIT && !more_waits(s, before)))
            break;
        if (step == STEP_WAIT && !s->broken && --budget == 0) {
            s->env->left_some = true;
            break;
        }
    }
    s->ready = false;
    if (s->broken && s->state < S_CLOSE && !awaits_owner(s))
        session_died(s); /* the error was in the socket: no further event would come */
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
    if (s->state == S_LINKED)
        held = s->was_full = bridges_full(s);
    if (s->state == S_CONNECT)
        want = UV_WRITABLE;
    else if (s->state != S_FORWARD && !awaits_owner(s)) {
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
    if (!s->result.outcome.sent && s->state != S_SIGN && s->state != S_HELD &&
        s->budget_due_ms != 0 && clock_ms() >= s->budget_due_ms)
        since = s->connect_budget_ms;
    else if (s->state == S_CONNECT)
        since = s->tcp_budget_ms;
    num_duration_text(took, since);
    enum problem p = rows[s->state].late;
    switch (s->state) {
    case S_CONNECT: return session_fail(s, p, "connect to %s: no answer in %s", s->where, took);
    case S_FORWARD: return session_forward_late(s, took);
    case S_HELD:
        return session_fail(s, p, "%s answered late, and nobody had time for it", s->where);
    case S_BANNER:
        if (s->prelude->first[0] != '\0')
            return session_fail(s, p, "%s said \"%s\" and sent no SSH banner in %s", s->where,
                                s->prelude->first, took);
        return session_fail(s, p, "%s sent no SSH banner in %s", s->where, took);
    case S_SIGN: return session_fail(s, p, "no signature from the agent in %s", took);
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
    s->ready = state != S_CONNECT && state != S_FORWARD;
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

void session_on_deadline(struct wheel_timer *timer)
{
    struct session *s = (struct session *)((char *)timer - offsetof(struct session, timer));
    if (last_look(s) || session_tell_silent(s))
        return;
    switch (s->state) {
    case S_RUN: run_late(s); break;
    case S_TERM: send_signal(s, "KILL", S_KILL); break;
    case S_KILL: is_warm(s) ? session_shut(s, PROBLEM_NONE) : session_cancel_ended(s); break;
    case S_SHUT: session_shut_late(s); break;
    default: late(s); break;
    }
    if (s->state < S_CLOSE)
        session_tick(s); /* what was just sent may have met the end */
}

/* --- the calls --- */

void session_cancel(struct session *s, enum problem problem, bool now)
{
    if (s->state >= S_CLOSE || (s->state == S_IDLE && !now))
        return;
    if (s->cancel == PROBLEM_NONE)
        s->cancel = problem;
    s->cancel_now |= now;
    session_wake(s);
}
