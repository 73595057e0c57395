/* What the agent says, frame by frame: each is checked against what the protocol allows now, and
 * anything else ends the link. Also the frames that belong to no request.
 */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/remote/remote_int.h"

/* The bytes that were no frame, or the first of a frame that should not be, for people. */
static void not_ours(struct remote *r, const char *what, const void *p, size_t n)
{
    char head[REMOTE_NOISE_TEXT];
    str_escape_to(head, sizeof head, p, n < 256 ? n : 256, 0);
    state_fail(r, PROBLEM_AGENT_PROTOCOL, state_phase(r), "%s: \"%s\"", what, head);
}

static void wrong(struct remote *r, const char *what, const struct err *e)
{
    state_fail(r, PROBLEM_AGENT_PROTOCOL, state_phase(r), "%s%s%s", what,
               e != NULL && e->msg[0] != '\0' ? ": " : "", e != NULL ? e->msg : "");
}

enum rc frames_send(struct remote *r, struct buf *b)
{
    enum rc rc = r->ops->send(r->user, b->data, b->len);
    if (rc == RC_OK)
        r->unsent += b->len;
    buf_reset(b);
    return rc;
}

static enum rc send_empty(struct remote *r, enum agent_frame type, uint64_t id)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER);
    enum rc rc = frame_append(&b, (uint8_t)type, id, NULL, 0);
    if (rc == RC_OK)
        rc = frames_send(r, &b);
    buf_fini(&b);
    return rc;
}

enum rc ping_send(struct remote *r)
{
    return send_empty(r, AGENT_PING, ++r->pings);
}

/* ---- HELLO --------------------------------------------------------------------------------- */

static enum rc text_member(const struct wire_map *m, const char *key, char *dst, size_t cap)
{
    const char *s;
    size_t n;
    enum rc rc = wire_str(m, key, 4096, &s, &n);
    if (rc == RC_OK)
        str_escape_to(dst, cap, s, n, 0);
    return rc;
}

static enum rc ops_member(const struct wire_map *m, struct remote_hello *h)
{
    const msgpack_object_array *a;
    enum rc rc = wire_array(m, "ops", REMOTE_MAX_OPS, &a);
    for (uint32_t i = 0; rc == RC_OK && i < a->size; i++) {
        const msgpack_object *o = &a->ptr[i];
        if (o->type != MSGPACK_OBJECT_STR || o->via.str.size == 0 || o->via.str.size > AGENT_MAX_OP)
            return RC_PROTO;
        str_escape_to(h->ops[h->op_count++], sizeof h->ops[0], o->via.str.ptr, o->via.str.size, 0);
    }
    return rc;
}

static enum rc hello_members(const struct wire_map *m, struct remote_hello *h, uint64_t *low,
                             uint64_t *high)
{
    enum rc rc = wire_u64(m, "low", UINT16_MAX, low);
    if (rc == RC_OK)
        rc = wire_u64(m, "high", UINT16_MAX, high);
    if (rc == RC_OK)
        rc = text_member(m, "agent", h->agent, sizeof h->agent);
    if (rc == RC_OK)
        rc = text_member(m, "digest", h->digest, sizeof h->digest);
    if (rc == RC_OK)
        rc = text_member(m, "arch", h->arch, sizeof h->arch);
    if (rc == RC_OK)
        rc = text_member(m, "boot_id", h->boot_id, sizeof h->boot_id);
    if (rc == RC_OK)
        rc = wire_u64(m, "uid", UINT32_MAX, &h->uid);
    if (rc == RC_OK)
        rc = wire_u64(m, "pid", UINT32_MAX, &h->pid);
    if (rc == RC_OK)
        rc = wire_u64(m, "mono_ns", UINT64_MAX, &h->mono_ns);
    if (rc == RC_OK)
        rc = wire_u64(m, "real_ns", UINT64_MAX, &h->real_ns);
    return rc == RC_OK ? ops_member(m, h) : rc;
}

/* A file that we started by its digest must say that digest. */
static bool is_the_one(const struct remote *r, const struct remote_hello *h)
{
    if (r->place == '\0' || r->spec.mode == REMOTE_INSTALLED)
        return true;
    for (size_t i = 0; i < r->spec.blob_count; i++)
        if (strcmp(r->spec.blobs[i].sha256, h->digest) == 0)
            return true;
    return false;
}

enum rc frames_send_number(struct remote *r, enum agent_frame type, uint64_t id, const char *key,
                           uint64_t value)
{
    struct buf b;
    struct wire_out w;
    size_t mark;
    buf_init(&b, 64);
    enum rc rc = frame_begin(&b, (uint8_t)type, id, &mark);
    if (rc == RC_OK) {
        wire_out_init(&w, &b);
        wire_put_map(&w, 1);
        wire_put_u64(&w, key, value);
        rc = wire_out_end(&w);
    }
    if (rc == RC_OK)
        rc = frame_end(&b, mark);
    if (rc == RC_OK)
        rc = frames_send(r, &b);
    buf_fini(&b);
    return rc;
}

static void become_ready(struct remote *r, struct remote_hello *h)
{
    if (frames_send_number(r, AGENT_WELCOME, 0, "version", h->version) != RC_OK) {
        state_nomem(r);
        return;
    }
    h->uploaded = r->uploads > 0;
    h->place = r->place;
    h->noise = r->noise;
    if (r->noise_head != NULL)
        snprintf(h->noise_text, sizeof h->noise_text, "%s", r->noise_head);
    mem_free(r->noise_head);
    r->noise_head = NULL;
    state_enter(r, S_READY);
    r->ops->ready(r->user, h);
}

static void on_hello(struct remote *r, const struct frame *f, const struct wire_map *m)
{
    struct remote_hello h = {0};
    uint64_t low, high;
    (void)f;
    if (r->state == S_BYE)
        return;
    if (r->state != S_HELLO) {
        wrong(r, "a second HELLO", NULL);
        return;
    }
    if (hello_members(m, &h, &low, &high) != RC_OK || low > high || low == 0) {
        wrong(r, "a HELLO that is none", NULL);
        return;
    }
    if (low > AGENT_VERSION_HIGH || high < AGENT_VERSION_LOW) {
        state_fail(r, PROBLEM_AGENT_VERSION, PHASE_HELLO,
                   "agent %s speaks versions %u to %u, we %d to %d", h.agent, (unsigned)low,
                   (unsigned)high, AGENT_VERSION_LOW, AGENT_VERSION_HIGH);
        return;
    }
    if (!is_the_one(r, &h)) {
        state_fail(r, PROBLEM_AGENT_DAMAGED, PHASE_HELLO, "the agent says its digest is %s",
                   h.digest);
        return;
    }
    h.version = (unsigned)(high < AGENT_VERSION_HIGH ? high : AGENT_VERSION_HIGH);
    become_ready(r, &h);
}

/* ---- of requests --------------------------------------------------------------------------- */

static void on_reply(struct remote *r, const struct frame *f, const struct wire_map *m)
{
    struct request *q = request_find(r, f->id);
    (void)m;
    if (q == NULL || f->length > q->credit) {
        wrong(r, q == NULL ? "a REPLY to nothing" : "a REPLY past its window", NULL);
        return;
    }
    q->credit -= f->length;
    q->given += f->length;
    r->ops->reply(r->user, f->id, f->payload, f->length);
}

static void on_data(struct remote *r, const struct frame *f, const struct wire_map *m)
{
    struct request *q = request_find(r, f->id);
    uint8_t stream;
    const void *p;
    size_t n;
    (void)m;
    if (q == NULL || agent_take_part(f, &stream, &p, &n) != RC_OK || n == 0 || stream < 1 ||
        stream > 2) {
        wrong(r, q == NULL ? "DATA of nothing" : "DATA that is none", NULL);
        return;
    }
    if (n > q->credit) {
        wrong(r, "DATA past its window", NULL);
        return;
    }
    q->credit -= n;
    q->given += n;
    r->ops->data(r->user, f->id, stream, p, n);
}

static bool end_status(const struct wire_map *m, enum remote_status *status)
{
    static const char *const names[] = {
        [REMOTE_OK] = "ok",
        [REMOTE_FAILED] = "failed",
        [REMOTE_REQUEST_CANCELLED] = "cancelled",
        [REMOTE_REFUSED] = "refused",
        [REMOTE_UNSUPPORTED] = "unsupported",
        [REMOTE_BUSY] = "busy",
    };
    char name[16];
    if (wire_str_to(m, "status", name, sizeof name) != RC_OK)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) {
            *status = (enum remote_status)i;
            return true;
        }
    return false;
}

static bool end_problem(const struct wire_map *m, enum problem *problem)
{
    char name[64];
    if (wire_str_to(m, "problem", name, sizeof name) != RC_OK)
        return false;
    int p = name[0] == '\0' ? PROBLEM_NONE : problem_by_name(name);
    *problem = (enum problem)p;
    return p >= 0;
}

static void on_end(struct remote *r, const struct frame *f, const struct wire_map *m)
{
    struct remote_end end = {.map = f->payload, .map_len = f->length};
    const char *detail;
    size_t n;
    if (request_find(r, f->id) == NULL) {
        wrong(r, "an END of nothing", NULL);
        return;
    }
    if (!end_status(m, &end.status) || !end_problem(m, &end.problem) ||
        wire_str(m, "detail", AGENT_MAX_DETAIL, &detail, &n) != RC_OK) {
        wrong(r, "an END that is none", NULL);
        return;
    }
    str_escape_to(end.detail, sizeof end.detail, detail, n, 0);
    request_end(r, f->id, &end);
}

static void on_taken(struct remote *r, const struct frame *f, const struct wire_map *m)
{
    struct request *q = request_find(r, f->id);
    uint32_t n;
    (void)m;
    if (q == NULL || agent_take_count(f, &n) != RC_OK || n == 0 || n > q->input) {
        wrong(r, "a TAKEN of what was not sent", NULL);
        return;
    }
    q->input -= n;
    requests_room(r);
}

static void on_pong(struct remote *r, const struct frame *f, const struct wire_map *m)
{
    uint64_t mono, real;
    if (f->id <= r->pongs || f->id > r->pings ||
        wire_u64(m, "mono_ns", UINT64_MAX, &mono) != RC_OK ||
        wire_u64(m, "real_ns", UINT64_MAX, &real) != RC_OK) {
        wrong(r, "a PONG to no PING", NULL);
        return;
    }
    r->pongs = f->id;
}

/* ---- the door ------------------------------------------------------------------------------ */

enum payload { RAW, CHECKED, MAP };

static const struct kind {
    uint8_t type;
    enum payload payload;
    bool first; /* may come before READY */
    void (*take)(struct remote *r, const struct frame *f, const struct wire_map *m);
} kinds[] = {
    {AGENT_HELLO, MAP, true, on_hello},  {AGENT_REPLY, CHECKED, false, on_reply},
    {AGENT_DATA, RAW, false, on_data},   {AGENT_END, MAP, false, on_end},
    {AGENT_TAKEN, RAW, false, on_taken}, {AGENT_PONG, MAP, false, on_pong},
};

/* A REPLY is checked here and decoded by whoever asked: 2,000 samples are not decoded twice. */
static void take_checked(struct remote *r, const struct kind *k, const struct frame *f)
{
    struct err e = {0};
    uint8_t first = f->length > 0 ? f->payload[0] : 0;
    if (wire_validate(f->payload, f->length, &e) != RC_OK)
        wrong(r, "a message that is none", &e);
    else if ((first & 0xf0) != 0x80 && first != 0xde && first != 0xdf)
        wrong(r, "a REPLY that is no map", NULL);
    else
        k->take(r, f, NULL);
}

static void take_map(struct remote *r, const struct kind *k, const struct frame *f)
{
    struct wire_map m;
    struct err e = {0};
    enum rc rc = wire_open(&m, f->payload, f->length, &e);
    if (rc == RC_NOMEM)
        state_nomem(r);
    else if (rc != RC_OK)
        wrong(r, "a message that is none", &e);
    else {
        k->take(r, f, &m);
        wire_close(&m);
    }
}

static void take_frame(struct remote *r, const struct frame *f)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct kind *k = &kinds[i];
        if (k->type != f->type || (r->state == S_HELLO && !k->first))
            continue;
        if (k->payload == MAP)
            take_map(r, k, f);
        else if (k->payload == CHECKED)
            take_checked(r, k, f);
        else
            k->take(r, f, NULL);
        return;
    }
    char what[64];
    snprintf(what, sizeof what, "a message of type %u", f->type);
    wrong(r, what, NULL);
}

static bool listening(const struct remote *r)
{
    return r->running && !r->hung &&
           (r->state == S_HELLO || r->state == S_READY || r->state == S_BYE);
}

/* Completes the frame that came in part; returns how much of p it needed. */
static size_t complete(struct remote *r, const uint8_t *p, size_t n)
{
    size_t used = 0;
    struct frame f;
    while (listening(r) && r->in.len > 0) {
        size_t want = FRAME_HEADER;
        if (r->in.len >= FRAME_HEADER) {
            long whole = frame_parse(r->in.data, r->in.len, &f);
            if (whole > 0) {
                struct buf whole_frame = r->in;
                buf_init(&r->in, whole_frame.max);
                take_frame(r, &f);
                buf_fini(&whole_frame);
                return used;
            }
            if (whole < 0) {
                not_ours(r, "what came is no frame", r->in.data, r->in.len);
                return used;
            }
            want = FRAME_HEADER + ((size_t)r->in.data[0] << 24 | (size_t)r->in.data[1] << 16 |
                                   (size_t)r->in.data[2] << 8 | r->in.data[3]);
        }
        size_t part = want - r->in.len < n - used ? want - r->in.len : n - used;
        if (part == 0)
            return used;
        if (buf_append(&r->in, p + used, part) != RC_OK) {
            state_nomem(r);
            return used;
        }
        used += part;
    }
    return used;
}

void frames_output(struct remote *r, const uint8_t *p, size_t n)
{
    r->heard = r->now;
    while (listening(r)) {
        size_t used = complete(r, p, n);
        p += used;
        n -= used;
        if (!listening(r) || n == 0 || r->in.len > 0)
            return;
        struct frame f;
        long whole = frame_parse(p, n, &f);
        if (whole < 0) {
            not_ours(r, "what came is no frame", p, n);
        } else if (whole > 0) {
            take_frame(r, &f);
            p += whole;
            n -= (size_t)whole;
        } else if (buf_append(&r->in, p, n) != RC_OK) {
            state_nomem(r);
        } else {
            return;
        }
    }
}

/* ---- its end ------------------------------------------------------------------------------- */

/* It ended and nobody asked it to. An agent that was killed is started once more: what it was doing
 * is lost, and nothing of that is asked again. */
void frames_ended(struct remote *r, const struct outcome *o)
{
    char text[260];
    if (is_transport(o)) {
        state_fail(r, o->problem, o->phase, "%s", o->detail);
        return;
    }
    ended_text(r, o, text, sizeof text);
    bool again = !r->restarted || (r->state == S_READY && r->now >= r->ready_at + REMOTE_LIVED_MS);
    if (!again || r->probes > MAX_PROBES) {
        state_fail(r, PROBLEM_AGENT_DIED, state_phase(r), "%s", text);
        return;
    }
    r->restarted = true;
    r->probes = r->uploads = 0;
    r->temporary[0] = '\0';
    state_enter(r, S_PROBE);
    requests_lost(r, REMOTE_LOST, PROBLEM_AGENT_DIED, text);
    if (r->state == S_PROBE && probe_start(r, NULL) != RC_OK)
        state_nomem(r);
}
