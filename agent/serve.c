/* See serve.h. The controller's side: frames, versions, which request a frame is for. */
#include "agent/serve.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/serve_int.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    BULK_MAX = 8 * 1024 * 1024, /* never reached: serve_op.c looks at SERVE_QUEUE first */
    GRACE_MAX_MS = 24 * 3600 * 1000,
};

/* ---- beginning and end ---- */

static void put_ops(struct serve *s, struct wire_out *w)
{
    size_t n = 0, at = wire_open_array(w);
    for (const struct op_kind *const *k = s->kinds; *k != NULL; k++) {
        if (((*k)->allow & s->allow) == 0)
            continue;
        wire_add_str(w, (*k)->name);
        n++;
    }
    wire_close_counted(w, at, n);
}

static void put_clocks(struct wire_out *w)
{
    wire_put_u64(w, "mono_ns", clock_us() * 1000);
    wire_put_i64(w, "real_ns", clock_wall_us() * 1000);
}

static void write_hello(struct serve *s, const struct serve_config *c, struct wire_out *w)
{
    wire_put_map(w, 11);
    wire_put_u64(w, "low", AGENT_VERSION_LOW);
    wire_put_u64(w, "high", AGENT_VERSION_HIGH);
    wire_put_str(w, "agent", c->version);
    wire_put_str(w, "digest", c->digest);
    wire_put_str(w, "arch", c->arch);
    wire_put_u64(w, "uid", c->uid);
    wire_put_u64(w, "pid", c->pid);
    wire_put_str(w, "boot_id", c->boot_id);
    put_clocks(w);
    wire_add_key(w, "ops");
    put_ops(s, w);
}

static enum rc put_hello(struct serve *s, const struct serve_config *c)
{
    struct buf *b = &s->out.control.b;
    struct wire_out w;
    size_t mark;
    enum rc rc = frame_begin(b, AGENT_HELLO, 0, &mark);
    if (rc != RC_OK)
        return rc;
    wire_out_init(&w, b);
    write_hello(s, c, &w);
    rc = wire_out_end(&w);
    return rc == RC_OK ? frame_end(b, mark) : rc;
}

/* The outbox knows frames only: what comes before the first one is shown by serve_output. */
static enum rc put_preamble(struct serve *s, const struct serve_config *c)
{
    memcpy(s->preamble, agent_magic, AGENT_MAGIC_LEN);
    memcpy(s->preamble + AGENT_MAGIC_LEN, c->nonce, AGENT_NONCE_LEN);
    s->preamble_left = AGENT_PREAMBLE_LEN;
    return put_hello(s, c);
}

enum rc serve_new(struct serve **out, const struct serve_config *c, uint64_t now_ms)
{
    struct serve *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return RC_NOMEM;
    s->kinds = c->kinds;
    s->allow = c->allow;
    s->core = c->core;
    s->limits = c->limits;
    s->idle_ms = c->idle_ms;
    s->now_ms = s->input_ms = now_ms;
    buf_init(&s->in, FRAME_HEADER + FRAME_MAX + SERVE_READ);
    outbox_init(&s->out, SERVE_CONTROL_MAX, BULK_MAX);
    enum rc rc = put_preamble(s, c);
    if (rc != RC_OK) {
        serve_free(s);
        return rc;
    }
    *out = s;
    return RC_OK;
}

static void drop_request(struct serve *s, size_t i)
{
    struct request *r = s->requests[i];
    if (r->op.kind->fini != NULL)
        r->op.kind->fini(&r->op);
    mem_free(r);
    s->n_requests--;
    memmove(s->requests + i, s->requests + i + 1, (s->n_requests - i) * sizeof(struct request *));
    if (s->n_requests > 0)
        return;
    mem_free(s->requests);
    s->requests = NULL;
    s->cap_requests = 0;
}

void serve_free(struct serve *s)
{
    if (s == NULL)
        return;
    s->state = SERVE_LEAVING;
    while (s->n_requests > 0)
        drop_request(s, s->n_requests - 1);
    buf_wipe(&s->in);
    outbox_fini(&s->out);
    mem_free(s);
}

void serve_leave(struct serve *s, enum rc why, const char *reason)
{
    if (s->state == SERVE_LEAVING)
        return;
    s->state = SERVE_LEAVING;
    s->hangup_due = true;
    s->leave_ms = s->now_ms;
    s->result = why;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
}

/* After every call that may have run an operation: hang-ups that are due, then those that ended.
 * One that hangs up may end at once, so that order. */
static void settle(struct serve *s)
{
    bool late = s->state == SERVE_LEAVING && s->now_ms - s->leave_ms >= SERVE_LEAVE_MS;
    if (s->hangup_due) {
        s->hangup_due = false;
        for (size_t i = 0; i < s->n_requests; i++)
            if (!s->requests[i]->op.ended && s->requests[i]->op.kind->hangup != NULL)
                s->requests[i]->op.kind->hangup(&s->requests[i]->op);
    }
    for (size_t i = s->n_requests; i-- > 0;)
        if (s->requests[i]->op.ended || late)
            drop_request(s, i);
}

/* ---- frames ---- */

__attribute__((format(printf, 2, 3))) static void violation(struct serve *s, const char *fmt, ...)
{
    char text[sizeof s->reason];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    serve_leave(s, RC_PROTO, text);
}

/* The request that a frame is for; NULL for one that has ended: its END is on the way. */
static struct request *find(struct serve *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_requests; i++)
        if (s->requests[i]->op.id == id)
            return s->requests[i]->op.ended ? NULL : s->requests[i];
    return NULL;
}

/* false: the frame holds no map, and that was dealt with. */
static bool open_map(struct serve *s, const struct frame *f, struct wire_map *m)
{
    struct err e = {0};
    enum rc rc = wire_open(m, f->payload, f->length, &e);
    if (rc == RC_PROTO)
        violation(s, "frame %u: %s", f->type, e.msg);
    else if (rc != RC_OK)
        serve_leave(s, rc, "no memory for a frame");
    return rc == RC_OK;
}

static void take_welcome(struct serve *s, const struct frame *f)
{
    struct wire_map m;
    uint64_t version;
    if (f->id != 0 || s->state != SERVE_GREETED) {
        violation(s, "WELCOME out of turn");
        return;
    }
    if (!open_map(s, f, &m))
        return;
    enum rc rc = wire_u64(&m, "version", AGENT_VERSION_HIGH, &version);
    wire_close(&m);
    if (rc != RC_OK || version < AGENT_VERSION_LOW)
        violation(s, "WELCOME without a version of ours");
    else
        s->state = SERVE_OPEN;
}

static const struct op_kind *find_kind(const struct serve *s, const char *name)
{
    for (const struct op_kind *const *k = s->kinds; *k != NULL; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}

/* A request in the table, not started. NULL: no memory, nothing changed. */
static struct request *add_request(struct serve *s, const struct op_kind *kind, uint64_t id,
                                   uint64_t window)
{
    struct request *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    if (mem_grow(&s->requests, &s->cap_requests, s->n_requests + 1, sizeof(struct request *)) !=
        0) {
        mem_free(r);
        return NULL;
    }
    r->op = (struct op){.kind = kind, .serve = s, .id = id, .credit = window};
    s->requests[s->n_requests++] = r;
    return r;
}

/* The request is settled (freed) by the end of this turn when it has ended already. */
static void start(struct serve *s, uint64_t id, const struct op_kind *kind, uint64_t window,
                  const struct wire_map *m)
{
    struct err e = {0};
    struct request *r = add_request(s, kind, id, window);
    if (r == NULL) {
        serve_put_end(s, NULL, id, "failed", "", "out of memory", 0, NULL);
        return;
    }
    enum rc rc = kind->start(&r->op, m, &e);
    if (rc != RC_OK && !r->op.ended)
        serve_end(&r->op, rc == RC_NOMEM ? "failed" : "refused", "", e.msg, 0, NULL);
}

static void refuse(struct serve *s, uint64_t id, const char *status, const char *detail)
{
    serve_put_end(s, NULL, id, status, "", detail, 0, NULL);
}

static void begin_request(struct serve *s, uint64_t id, const struct wire_map *m)
{
    char name[AGENT_MAX_OP + 1];
    uint64_t window = AGENT_WINDOW;
    const struct op_kind *kind;
    if (wire_str_to(m, "op", name, sizeof name) != RC_OK)
        refuse(s, id, "refused", "a request without a name of an operation");
    else if (wire_u64(m, "window", AGENT_WINDOW_MAX, &window) == RC_PROTO)
        refuse(s, id, "refused", "window: not a number up to 16777216");
    else if ((kind = find_kind(s, name)) == NULL)
        refuse(s, id, "unsupported", name);
    else if ((kind->allow & s->allow) == 0)
        refuse(s, id, "refused", "not among what this agent was allowed");
    else if (s->n_requests >= AGENT_MAX_REQUESTS)
        refuse(s, id, "busy", "64 requests run already");
    else
        start(s, id, kind, window, m);
}

static void take_request(struct serve *s, const struct frame *f)
{
    struct wire_map m;
    if (f->id == 0 || find(s, f->id) != NULL) {
        violation(s, "REQUEST with an id that is %s", f->id == 0 ? "0" : "in use");
        return;
    }
    if (!open_map(s, f, &m))
        return;
    begin_request(s, f->id, &m);
    wire_close(&m);
}

static void take_input(struct serve *s, const struct frame *f)
{
    struct request *r = find(s, f->id);
    uint8_t last;
    const void *p;
    size_t n;
    if (agent_take_part(f, &last, &p, &n) != RC_OK || last > 1) {
        violation(s, "INPUT of another shape");
        return;
    }
    if (r == NULL)
        return;
    if (r->op.kind->input == NULL || r->last_input || n > AGENT_INPUT_WINDOW - r->waiting) {
        violation(s, "INPUT that was not asked for");
        return;
    }
    r->waiting += n;
    r->last_input = last == 1;
    r->op.kind->input(&r->op, p, n, last == 1);
}

static void take_credit(struct serve *s, const struct frame *f)
{
    struct request *r = find(s, f->id);
    uint32_t n;
    if (agent_take_count(f, &n) != RC_OK) {
        violation(s, "CREDIT of another shape");
        return;
    }
    if (r == NULL)
        return;
    if (n > AGENT_WINDOW_MAX - r->op.credit) {
        violation(s, "CREDIT past the largest window");
        return;
    }
    r->op.credit += n;
    if (r->op.kind->credit != NULL)
        r->op.kind->credit(&r->op);
}

static void take_cancel(struct serve *s, const struct frame *f)
{
    struct request *r = find(s, f->id);
    struct wire_map m;
    uint64_t grace;
    if (!open_map(s, f, &m))
        return;
    enum rc rc = wire_u64(&m, "grace_ms", GRACE_MAX_MS, &grace);
    wire_close(&m);
    if (rc != RC_OK)
        violation(s, "CANCEL without grace_ms, or more than a day");
    else if (r != NULL)
        r->op.kind->cancel(&r->op, grace);
}

static void take_ping(struct serve *s, const struct frame *f)
{
    struct buf *b = &s->out.control.b;
    struct wire_out w;
    size_t mark;
    enum rc rc = frame_begin(b, AGENT_PONG, f->id, &mark);
    if (rc == RC_OK) {
        wire_out_init(&w, b);
        wire_put_map(&w, 2);
        put_clocks(&w);
        rc = wire_out_end(&w);
        if (rc == RC_OK)
            rc = frame_end(b, mark);
        else
            frame_drop(b, mark);
    }
    if (rc != RC_OK)
        serve_leave(s, rc, "no room for PONG");
}

static void take_bye(struct serve *s, const struct frame *f)
{
    if (f->id != 0)
        violation(s, "BYE with an id");
    else
        serve_leave(s, RC_OK, "");
}

static void (*const takers[])(struct serve *, const struct frame *) = {
    [AGENT_WELCOME - AGENT_WELCOME] = take_welcome, [AGENT_REQUEST - AGENT_WELCOME] = take_request,
    [AGENT_INPUT - AGENT_WELCOME] = take_input,     [AGENT_CREDIT - AGENT_WELCOME] = take_credit,
    [AGENT_CANCEL - AGENT_WELCOME] = take_cancel,   [AGENT_PING - AGENT_WELCOME] = take_ping,
    [AGENT_BYE - AGENT_WELCOME] = take_bye,
};

static void take_frame(struct serve *s, const struct frame *f)
{
    if (f->type < AGENT_WELCOME || f->type > AGENT_BYE)
        violation(s, "a frame of type %u", f->type);
    else if (s->state == SERVE_GREETED && f->type != AGENT_WELCOME && f->type != AGENT_BYE)
        violation(s, "a frame of type %u before WELCOME", f->type);
    else if ((f->type == AGENT_PING || f->type == AGENT_BYE) && f->length != 0)
        violation(s, "a frame of type %u that is not empty", f->type);
    else
        takers[f->type - AGENT_WELCOME](s, f);
}

/* ---- turns ---- */

static bool is_blocked(const struct serve *s)
{
    return outbox_waiting(&s->out.control) >= SERVE_CONTROL;
}

/* Takes whole frames off the front as long as there are some and their answers have room. */
static size_t take_frames(struct serve *s, const uint8_t *p, size_t n)
{
    size_t at = 0;
    struct frame f;
    long len = 0;
    while (s->state != SERVE_LEAVING && !is_blocked(s) &&
           (len = frame_parse(p + at, n - at, &f)) > 0) {
        take_frame(s, &f);
        at += (size_t)len;
        settle(s);
    }
    if (len < 0)
        violation(s, "bytes that are no frame");
    return at;
}

/* INPUT may be a password. */
static void keep(struct serve *s, const uint8_t *p, size_t n)
{
    if (n > 0 && (buf_reserve_wiped(&s->in, n) != RC_OK || buf_append(&s->in, p, n) != RC_OK))
        serve_leave(s, RC_NOMEM, "no memory for a frame");
}

/* What waits is taken from where it lies; only the start of a frame is kept. */
static void take_waiting(struct serve *s)
{
    struct buf *b = &s->in;
    if (b->len == 0)
        return;
    buf_consume_wiped(b, take_frames(s, b->data, b->len));
    if (b->len == 0 || s->state == SERVE_LEAVING)
        buf_wipe(b);
}

void serve_forget(struct serve *s)
{
    if (s->in.len > 0)
        explicit_bzero(s->in.data, s->in.len);
}

size_t serve_room(const struct serve *s)
{
    if (s->state == SERVE_LEAVING)
        return SERVE_READ; /* to be dropped: the controller may be writing still */
    size_t room = s->in.max - s->in.len;
    if (is_blocked(s))
        return 0;
    return room < SERVE_READ ? room : SERVE_READ;
}

void serve_feed(struct serve *s, const void *p, size_t n, uint64_t now_ms)
{
    s->now_ms = now_ms;
    must(n <= serve_room(s));
    if (s->state == SERVE_LEAVING || n == 0)
        return;
    s->input_ms = now_ms;
    if (s->in.len > 0) {
        keep(s, p, n);
        take_waiting(s);
    } else {
        size_t taken = take_frames(s, p, n);
        if (s->state != SERVE_LEAVING)
            keep(s, (const uint8_t *)p + taken, n - taken);
    }
    settle(s);
}

void serve_eof(struct serve *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
    serve_leave(s, RC_OK, "");
    buf_wipe(&s->in);
    settle(s);
}

size_t serve_fds(struct serve *s, struct pollfd *fds)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_requests; i++) {
        struct request *r = s->requests[i];
        r->fd_at = n;
        r->fd_n = r->op.kind->fds != NULL ? r->op.kind->fds(&r->op, fds + n) : 0;
        must(r->fd_n <= OP_MAX_FDS);
        n += r->fd_n;
    }
    return n;
}

static void check_idle(struct serve *s)
{
    if (s->idle_ms != 0 && s->now_ms - s->input_ms >= s->idle_ms)
        serve_leave(s, RC_OK, "");
}

void serve_turn(struct serve *s, const struct pollfd *fds, uint64_t now_ms)
{
    s->now_ms = now_ms;
    s->wants_room = 0;
    s->retry_at = 0;
    check_idle(s);
    take_waiting(s);
    size_t n = s->n_requests;
    s->first = n > 0 ? (s->first + 1) % n : 0;
    for (size_t i = 0; i < n; i++) {
        struct request *r = s->requests[(s->first + i) % n];
        if (!r->op.ended && r->op.kind->turn != NULL)
            r->op.kind->turn(&r->op, r->fd_n > 0 ? fds + r->fd_at : NULL, r->fd_n, now_ms);
        r->fd_n = 0;
    }
    settle(s);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t serve_wake_at(const struct serve *s)
{
    uint64_t at = UINT64_MAX;
    struct frame f;
    if (s->wants_room > 0 && s->wants_room <= serve_bulk_room(s))
        return 0;
    if (s->in.len > 0 && !is_blocked(s) && frame_parse(s->in.data, s->in.len, &f) != 0)
        return 0;
    if (s->retry_at != 0)
        at = s->retry_at;
    if (s->state == SERVE_LEAVING)
        at = sooner(at, s->leave_ms + SERVE_LEAVE_MS);
    else if (s->idle_ms != 0)
        at = sooner(at, s->input_ms + s->idle_ms);
    for (size_t i = 0; i < s->n_requests; i++)
        if (s->requests[i]->op.kind->wake_at != NULL)
            at = sooner(at, s->requests[i]->op.kind->wake_at(&s->requests[i]->op));
    return at;
}

size_t serve_output(struct serve *s, const void **p)
{
    if (s->preamble_left > 0) {
        *p = s->preamble + AGENT_PREAMBLE_LEN - s->preamble_left;
        return s->preamble_left;
    }
    return outbox_peek(&s->out, p);
}

void serve_wrote(struct serve *s, size_t n)
{
    if (s->preamble_left == 0)
        outbox_wrote(&s->out, n);
    else
        s->preamble_left -= n;
}

bool serve_finished(const struct serve *s)
{
    return s->state == SERVE_LEAVING && s->n_requests == 0;
}

enum rc serve_result(const struct serve *s)
{
    return s->result;
}

const char *serve_reason(const struct serve *s)
{
    return s->reason;
}
