/* See remote.h. Here: the table of states, the one door between them, time, and the beginning and
 * end of everything. What each state does with bytes is in remote_deliver.c, remote_frames.c and
 * fallback_state.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/remote/remote_int.h"

#define TO(state) (1U << (state))

static void ignore_output(struct remote *r, const uint8_t *p, size_t n)
{
    (void)r;
    (void)p;
    (void)n;
}

static void bye_ended(struct remote *r, const struct outcome *o);
static void report_late(struct remote *r);
static void hello_late(struct remote *r);
static void upload_late(struct remote *r);
static void bye_late(struct remote *r);

/* What a state is: where it may lead, in which phase it ends, and what its events mean. */
static const struct state_row {
    const char *name;
    unsigned to;
    enum phase phase;
    void (*output)(struct remote *r, const uint8_t *p, size_t n);
    void (*ended)(struct remote *r, const struct outcome *o);
    void (*late)(struct remote *r); /* its deadline passed */
    uint64_t (*wake)(const struct remote *r);
    void (*tick)(struct remote *r);
} rows[S_COUNT];

static uint64_t ready_wake(const struct remote *r);
static void ready_tick(struct remote *r);
static uint64_t never(const struct remote *r)
{
    (void)r;
    return UINT64_MAX;
}
static void nothing(struct remote *r)
{
    (void)r;
}
static void no_end(struct remote *r, const struct outcome *o)
{
    (void)r;
    (void)o;
}

static const struct state_row rows[S_COUNT] = {
    [S_IDLE] = {"idle", TO(S_PROBE) | TO(S_BYE), PHASE_NONE, ignore_output, no_end, nothing, never,
                nothing},
    [S_PROBE] = {"probe",
                 TO(S_PROBE) | TO(S_UPLOAD) | TO(S_HELLO) | TO(S_FALLBACK) | TO(S_BYE) | TO(S_DONE),
                 PHASE_HELLO, probe_output, probe_ended, hello_late, never, nothing},
    [S_UPLOAD] = {"upload", TO(S_PROBE) | TO(S_FALLBACK) | TO(S_BYE) | TO(S_DONE), PHASE_HELLO,
                  upload_output, upload_ended, upload_late, never, nothing},
    [S_HELLO] = {"hello", TO(S_READY) | TO(S_PROBE) | TO(S_BYE) | TO(S_DONE), PHASE_HELLO,
                 frames_output, frames_ended, hello_late, never, nothing},
    [S_READY] = {"ready", TO(S_PROBE) | TO(S_BYE) | TO(S_DONE), PHASE_RUN, frames_output,
                 frames_ended, nothing, ready_wake, ready_tick},
    [S_FALLBACK] = {"fallback", TO(S_BYE) | TO(S_DONE), PHASE_RUN, fallback_output, fallback_ended,
                    fallback_late, fallback_wake, fallback_tick},
    [S_BYE] = {"bye", TO(S_DONE), PHASE_CLOSE, frames_output, bye_ended, bye_late, never, nothing},
    [S_DONE] = {"done", 0, PHASE_NONE, ignore_output, no_end, nothing, never, nothing},
};

const char *remote_state_name(const struct remote *r)
{
    return rows[r->state].name;
}

enum phase state_phase(const struct remote *r)
{
    return rows[r->state].phase;
}

/* In whole seconds, as all others: whoever looks after a thousand of us does it once a second. */
static uint64_t next_ping(const struct remote *r)
{
    enum { TOGETHER_MS = 1000 };
    uint64_t at = r->now + r->spec.ping_ms;
    return r->spec.ping_ms >= 5 * TOGETHER_MS ? at - at % TOGETHER_MS : at;
}

void state_enter(struct remote *r, enum remote_state to)
{
    must((rows[r->state].to & TO(to)) != 0);
    r->state = to;
    r->deadline = UINT64_MAX;
    if (to == S_BYE)
        r->deadline = r->now + (r->running ? REMOTE_BYE_MS : 0);
    if (to == S_READY) {
        buf_fini(&r->out);
        r->ready_at = r->heard = r->now;
        r->ping_at = next_ping(r);
    }
}

static void hang_up(struct remote *r)
{
    if (r->running && !r->hung)
        r->ops->hang_up(r->user);
    r->hung = true;
}

static void release(struct remote *r)
{
    buf_fini(&r->out);
    buf_fini(&r->in);
    mem_free(r->noise_head);
    r->noise_head = NULL;
}

void state_fail(struct remote *r, enum problem p, enum phase ph, const char *fmt, ...)
{
    struct remote_failure f = {.problem = p, .phase = ph};
    char text[sizeof f.detail];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    str_escape_to(f.detail, sizeof f.detail, text, strlen(text), 0);
    state_enter(r, S_DONE);
    hang_up(r);
    r->running = false;
    release(r);
    requests_lost(r, REMOTE_LOST, p, f.detail);
    r->ops->failed(r->user, &f);
}

void state_nomem(struct remote *r)
{
    state_fail(r, PROBLEM_LOCAL_RESOURCE, state_phase(r), "no memory for the host's agent");
}

bool is_transport(const struct outcome *o)
{
    return o->problem != PROBLEM_NONE && o->problem != PROBLEM_EXIT_NONZERO &&
           o->problem != PROBLEM_KILLED_BY_SIGNAL;
}

void ended_text(const struct remote *r, const struct outcome *o, char *dst, size_t cap)
{
    char tail[200];
    size_t n = r->tail_len;
    while (n > 0 && (r->tail[n - 1] == '\n' || r->tail[n - 1] == '\r'))
        n--;
    size_t from = n > 120 ? n - 120 : 0;
    str_escape_to(tail, sizeof tail, r->tail + from, n - from, 0);
    if (o->signal[0] != '\0')
        snprintf(dst, cap, "killed by %s%s%s", o->signal, n > 0 ? ": " : "", tail);
    else if (o->exit_code >= 0)
        snprintf(dst, cap, "exit %d%s%s", o->exit_code, n > 0 ? ": " : "", tail);
    else
        snprintf(dst, cap, "no exit status%s%s", n > 0 ? ": " : "", tail);
}

/* ---- commands ------------------------------------------------------------------------------ */

/* A nonce for the next command: the given one, with the command's number in its last bytes. */
enum rc command_begin(struct remote *r, struct script_spec *s)
{
    must(!r->running);
    memcpy(r->nonce_raw, r->spec.nonce, sizeof r->nonce_raw);
    for (unsigned i = 0; i < 4; i++)
        r->nonce_raw[AGENT_NONCE_LEN - 1 - i] ^= (uint8_t)(r->commands >> (8 * i));
    r->commands++;
    agent_nonce_text(r->nonce, r->nonce_raw);
    if (s != NULL) {
        *s = (struct script_spec){.mode = r->spec.mode,
                                  .blobs = r->spec.blobs,
                                  .blob_count = r->spec.blob_count,
                                  .dirs = r->spec.dirs,
                                  .dir_count = r->spec.dir_count,
                                  .idle_ms = 3 * r->spec.ping_ms,
                                  .refused = "",
                                  .temporary_place = r->place,
                                  .damaged_place = r->damaged};
        memcpy(s->nonce, r->nonce, sizeof s->nonce);
        memcpy(s->temporary, r->temporary, sizeof s->temporary);
    }
    return RC_OK;
}

enum rc command_exec(struct remote *r, const struct buf *line, enum remote_input in, unsigned blob)
{
    state_ended(r);
    enum rc rc = r->ops->exec(r->user, (const char *)line->data, line->len, in, blob);
    if (rc == RC_OK)
        r->running = true;
    return rc;
}

void state_ended(struct remote *r)
{
    r->running = r->reported = r->hung = false;
    r->scanned = r->tail_len = r->stderr_bytes = 0;
    r->unsent = 0;
    buf_fini(&r->out);
    buf_fini(&r->in);
}

/* ---- beginning and end --------------------------------------------------------------------- */

enum rc remote_new(struct remote **out, const struct remote_spec *spec,
                   const struct remote_ops *ops, void *user, struct err *e)
{
    if (spec->dir_count > SCRIPT_MAX_DIRS)
        return err_set(e, RC_USAGE, "at most %d folders for the agent", SCRIPT_MAX_DIRS);
    for (size_t i = 0; i < spec->dir_count; i++)
        if (script_check_dir(spec->dirs[i], e) != RC_OK)
            return RC_USAGE;
    struct remote *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(e);
    r->spec = *spec;
    r->spec.hello_ms = spec->hello_ms != 0 ? spec->hello_ms : REMOTE_HELLO_MS;
    r->spec.stall_ms = spec->stall_ms != 0 ? spec->stall_ms : REMOTE_STALL_MS;
    r->spec.ping_ms = spec->ping_ms != 0 ? spec->ping_ms : REMOTE_PING_MS;
    r->ops = ops;
    r->user = user;
    r->deadline = UINT64_MAX;
    buf_init(&r->out, AGENT_NOISE_MAX + AGENT_PREAMBLE_LEN);
    buf_init(&r->in, FRAME_HEADER + FRAME_MAX);
    *out = r;
    return RC_OK;
}

void remote_free(struct remote *r)
{
    if (r == NULL)
        return;
    must(!r->calling);
    release(r);
    for (size_t i = 0; i < r->request_count; i++)
        plan_free(r->requests[i].plan);
    mem_free(r->requests);
    mem_free(r);
}

enum rc remote_start(struct remote *r, uint64_t now_ms, struct err *e)
{
    must(r->state == S_IDLE);
    r->now = now_ms;
    state_enter(r, S_PROBE);
    enum rc rc = probe_start(r, e);
    if (rc != RC_OK) {
        r->state = S_IDLE; /* not through the door: nothing has begun */
        r->deadline = UINT64_MAX;
        r->probes = r->commands = 0;
    }
    return rc;
}

void remote_sent(struct remote *r, uint64_t now_ms)
{
    if (now_ms < r->now)
        return;
    if (r->deadline != UINT64_MAX)
        r->deadline += now_ms - r->now;
    r->now = now_ms;
}

/* ---- events -------------------------------------------------------------------------------- */

/* Time in which nobody called us is not time in which the host was silent: this process may have
 * been stopped, and what the host said meanwhile is still to be read. */
static void clock_to(struct remote *r, uint64_t now)
{
    if (now < r->now)
        return;
    uint64_t gap = now - r->now;
    if (gap > r->spec.ping_ms && r->state == S_READY && !r->paused) {
        r->heard += gap - r->spec.ping_ms;
        requests_shift(r, gap - r->spec.ping_ms);
    }
    r->now = now;
}

static void keep_tail(struct remote *r, const uint8_t *p, size_t n)
{
    r->stderr_bytes += n;
    if (n > STDERR_TAIL) {
        p += n - STDERR_TAIL;
        n = STDERR_TAIL;
    }
    size_t keep = r->tail_len + n > STDERR_TAIL ? STDERR_TAIL - n : r->tail_len;
    memmove(r->tail, r->tail + (r->tail_len - keep), keep);
    memcpy(r->tail + keep, p, n);
    r->tail_len = keep + n;
}

void remote_output(struct remote *r, uint64_t now_ms, bool is_stderr, const void *p, size_t n)
{
    must(!r->calling);
    clock_to(r, now_ms);
    if (!r->running || n == 0)
        return;
    r->calling = true;
    if (is_stderr)
        keep_tail(r, p, n);
    else
        rows[r->state].output(r, p, n);
    r->calling = false;
}

void remote_taken(struct remote *r, uint64_t now_ms, size_t n)
{
    must(!r->calling);
    clock_to(r, now_ms);
    if (!r->running || n == 0)
        return;
    r->calling = true;
    if (r->state == S_UPLOAD && !r->reported && !r->hung) {
        r->deadline = r->now + r->spec.stall_ms;
        r->deadline = r->deadline < r->upload_by ? r->deadline : r->upload_by;
    }
    r->unsent -= n < r->unsent ? n : r->unsent;
    requests_room(r);
    r->calling = false;
}

void remote_command_ended(struct remote *r, uint64_t now_ms, const struct outcome *o)
{
    must(!r->calling);
    clock_to(r, now_ms);
    if (!r->running)
        return;
    r->calling = true;
    r->running = false;
    rows[r->state].ended(r, o);
    r->calling = false;
}

/* Its deadline is for something that the host says. */
static bool waits_for_host(const struct remote *r)
{
    return r->state != S_BYE && r->state != S_DONE;
}

static uint64_t deadline(const struct remote *r)
{
    return r->paused && waits_for_host(r) ? UINT64_MAX : r->deadline;
}

void remote_pause(struct remote *r, uint64_t now_ms, bool on)
{
    clock_to(r, now_ms);
    if (on == r->paused)
        return;
    r->paused = on;
    if (on) {
        r->paused_at = r->now;
        return;
    }
    r->heard += r->now - r->paused_at;
    if (waits_for_host(r) && r->deadline != UINT64_MAX)
        r->deadline += r->now - r->paused_at;
    r->upload_by += r->now - r->paused_at;
    requests_shift(r, r->now - r->paused_at);
    requests_credit(r);
}

void remote_close(struct remote *r, uint64_t now_ms)
{
    clock_to(r, now_ms);
    if (r->state == S_BYE || r->state == S_DONE)
        return;
    bool speaks = r->state == S_READY && r->running;
    state_enter(r, S_BYE);
    if (!r->running)
        return;
    struct buf b;
    buf_init(&b, 2 * FRAME_HEADER);
    if (!speaks || frame_append(&b, AGENT_BYE, 0, NULL, 0) != RC_OK || frames_send(r, &b) != RC_OK)
        hang_up(r);
    buf_fini(&b);
}

uint64_t remote_wake_at(const struct remote *r)
{
    uint64_t at = deadline(r), other = rows[r->state].wake(r);
    return at < other ? at : other;
}

void remote_tick(struct remote *r, uint64_t now_ms)
{
    must(!r->calling);
    clock_to(r, now_ms);
    r->calling = true;
    if (r->now >= deadline(r)) {
        r->deadline = UINT64_MAX;
        rows[r->state].late(r);
    } else {
        rows[r->state].tick(r);
    }
    r->calling = false;
}

size_t remote_memory(const struct remote *r)
{
    return sizeof *r + r->in.cap + r->out.cap + r->request_cap * sizeof *r->requests +
           (r->noise_head != NULL ? strlen(r->noise_head) + 1 : 0);
}

/* ---- deadlines ----------------------------------------------------------------------------- */

static void finish(struct remote *r)
{
    hang_up(r);
    state_enter(r, S_DONE);
    r->running = false;
    release(r);
    requests_lost(r, REMOTE_REQUEST_CANCELLED, PROBLEM_NONE, "");
    r->ops->closed(r->user);
}

static void bye_ended(struct remote *r, const struct outcome *o)
{
    (void)o;
    finish(r);
}

static void bye_late(struct remote *r)
{
    finish(r);
}

/* The answer is there and the command does not end: something that a start-up file left in the
 * background holds the channel. It is hung up, and its end awaited once more. */
static void report_late(struct remote *r)
{
    hang_up(r);
    r->deadline = r->now + REMOTE_BYE_MS;
}

static void hello_late(struct remote *r)
{
    char noise[300];
    if (r->reported && !r->hung) {
        report_late(r);
        return;
    }
    noise_text(r, noise, sizeof noise);
    const char *what = r->state == S_HELLO ? "the agent said no HELLO"
                       : r->reported       ? "the command that answered does not end"
                                           : "no word of the agent";
    state_fail(r, PROBLEM_HELLO_TIMEOUT, PHASE_HELLO, "%s within %llu ms%s", what,
               (unsigned long long)r->spec.hello_ms, noise);
}

static void upload_late(struct remote *r)
{
    if (r->reported && !r->hung)
        report_late(r);
    else
        state_fail(r, PROBLEM_HELLO_TIMEOUT, PHASE_HELLO, "the upload of the agent stood still");
}

/* Each ping in its turn; three intervals without a byte are an end. */
static void ready_tick(struct remote *r)
{
    if (!r->paused && r->now >= r->heard + 3 * r->spec.ping_ms) {
        state_fail(r, PROBLEM_AGENT_SILENT, PHASE_RUN, "no answer for %llu ms",
                   (unsigned long long)(r->now - r->heard));
        return;
    }
    if (r->now >= requests_wake(r)) {
        state_fail(r, PROBLEM_AGENT_PROTOCOL, PHASE_RUN,
                   "the agent lives, and did not do what it was asked within its time");
        return;
    }
    if (r->now < r->ping_at)
        return;
    r->ping_at = next_ping(r);
    if (ping_send(r) != RC_OK)
        state_nomem(r);
}

static uint64_t ready_wake(const struct remote *r)
{
    uint64_t at = r->ping_at, silent = r->paused ? UINT64_MAX : r->heard + 3 * r->spec.ping_ms;
    uint64_t end = requests_wake(r);
    at = at < silent ? at : silent;
    return at < end ? at : end;
}
