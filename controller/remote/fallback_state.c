/* FALLBACK of remote.h: requests for stats that plain sh answers, one command for each sample. */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/remote/fallback.h"
#include "controller/remote/remote_int.h"

enum {
    INTERVAL_MIN_MS = 1000
}; /* of the samples of one request: each is a dozen processes there */

struct sample_plan {
    uint32_t sections;
    uint64_t interval_ms, due, count, seq, skipped;
    bool cancelled;
    enum remote_status refused; /* REMOTE_OK: it is done */
};

void plan_free(struct sample_plan *p)
{
    mem_free(p);
}

void fallback_enter(struct remote *r, enum problem p, const char *detail)
{
    struct remote_hello h = {.fallback = true, .problem = p, .uid = r->report.uid, .op_count = 1};
    snprintf(h.ops[0], sizeof h.ops[0], "stats");
    snprintf(h.arch, sizeof h.arch, "%s", r->report.arch);
    snprintf(h.boot_id, sizeof h.boot_id, "%s", r->report.boot);
    str_escape_to(h.detail, sizeof h.detail, detail, strlen(detail), 0);
    state_ended(r);
    r->out.max = FALLBACK_MAX;
    r->commands++; /* nonces of samples are not those of the delivery */
    state_enter(r, S_FALLBACK);
    r->ops->ready(r->user, &h);
}

/* ---- requests ------------------------------------------------------------------------------ */

static bool read_sections(const struct wire_map *m, uint32_t *sections)
{
    const msgpack_object_array *a;
    if (wire_array(m, "sections", FALLBACK_SECTIONS, &a) != RC_OK)
        return false;
    for (uint32_t i = 0; i < a->size; i++) {
        const msgpack_object *o = &a->ptr[i];
        uint32_t bit =
            o->type == MSGPACK_OBJECT_STR ? fallback_section(o->via.str.ptr, o->via.str.size) : 0;
        if (bit == 0)
            return false;
        *sections |= bit;
    }
    return true;
}

static bool read_plan(const struct wire_map *m, struct sample_plan *p)
{
    enum rc a = wire_u64(m, "interval_ms", AGENT_INTERVAL_MAX_MS, &p->interval_ms);
    enum rc b = wire_u64(m, "count", UINT64_MAX, &p->count);
    if (p->interval_ms == 0)
        p->count = 1;
    else if (p->interval_ms < INTERVAL_MIN_MS)
        p->interval_ms = INTERVAL_MIN_MS;
    return (a == RC_OK || a == RC_NOTFOUND) && (b == RC_OK || b == RC_NOTFOUND) &&
           read_sections(m, &p->sections);
}

/* What is wrong with it, or cannot be had here, is said with its end, as the agent would. */
enum rc fallback_request(struct remote *r, struct request *q, const struct wire_map *m)
{
    char op[AGENT_MAX_OP + 1];
    if ((q->plan = mem_calloc(1, sizeof *q->plan)) == NULL)
        return RC_NOMEM;
    q->plan->due = r->now;
    if (wire_str_to(m, "op", op, sizeof op) != RC_OK)
        q->plan->refused = REMOTE_REFUSED;
    else if (strcmp(op, "stats") != 0)
        q->plan->refused = REMOTE_UNSUPPORTED;
    else if (!read_plan(m, q->plan))
        q->plan->refused = REMOTE_REFUSED;
    return RC_OK;
}

void fallback_cancel(struct remote *r, struct request *q)
{
    q->plan->cancelled = true;
    q->plan->due = r->now;
}

/* Of those up to `last`, or NULL. */
static struct request *due_first(const struct remote *r, uint64_t last)
{
    struct request *first = NULL;
    for (size_t i = 0; i < r->request_count; i++) {
        struct request *q = &r->requests[i];
        if (q->id <= last && (first == NULL || q->plan->due < first->plan->due))
            first = q;
    }
    return first;
}

uint64_t fallback_wake(const struct remote *r)
{
    const struct request *q = r->running ? NULL : due_first(r, UINT64_MAX);
    return q != NULL ? q->plan->due : UINT64_MAX;
}

static void end_plain(struct remote *r, uint64_t id, enum remote_status s, const char *detail)
{
    struct remote_end end = {.status = s};
    snprintf(end.detail, sizeof end.detail, "%s", detail);
    request_end(r, id, &end);
}

/* True when it had nothing left to wait for. */
static bool ended_already(struct remote *r, const struct request *q)
{
    if (q->plan->cancelled)
        end_plain(r, q->id, REMOTE_REQUEST_CANCELLED, "");
    else if (q->plan->refused == REMOTE_UNSUPPORTED)
        end_plain(r, q->id, REMOTE_UNSUPPORTED, "without an agent there are only stats");
    else if (q->plan->refused != REMOTE_OK)
        end_plain(r, q->id, q->plan->refused, "a request for stats that is none");
    else
        return false;
    return true;
}

static void sample_start(struct remote *r, uint64_t id)
{
    struct buf line;
    buf_init(&line, SCRIPT_MAX);
    enum rc rc = command_begin(r, NULL);
    if (rc == RC_OK)
        rc = fallback_line(&line, r->nonce, NULL);
    if (rc == RC_OK)
        rc = command_exec(r, &line, REMOTE_INPUT_NONE, 0);
    buf_fini(&line);
    if (rc != RC_OK) {
        state_nomem(r);
        return;
    }
    r->sampling = id;
    r->deadline = r->now + r->spec.hello_ms;
}

/* What is asked in a callback waits for the next call: whoever asks again on every end must not
 * keep us in here. */
void fallback_tick(struct remote *r)
{
    uint64_t last = r->next_id;
    while (r->state == S_FALLBACK && !r->running) {
        struct request *q = due_first(r, last);
        if (q == NULL || q->plan->due > r->now)
            return;
        if (!ended_already(r, q))
            sample_start(r, q->id);
    }
}

void fallback_late(struct remote *r)
{
    state_fail(r, PROBLEM_AGENT_SILENT, PHASE_RUN, "no figures within %llu ms",
               (unsigned long long)r->spec.hello_ms);
}

/* ---- samples ------------------------------------------------------------------------------- */

void fallback_output(struct remote *r, const uint8_t *p, size_t n)
{
    enum rc rc = buf_append(&r->out, p, n);
    if (rc == RC_NOMEM)
        state_nomem(r);
    else if (rc == RC_LIMIT)
        state_fail(r, PROBLEM_AGENT_PROTOCOL, PHASE_RUN, "more than %d bytes of figures",
                   FALLBACK_MAX);
}

/* The next one is due an interval after the last was, not after it came. */
static bool plan_next(struct remote *r, struct sample_plan *p)
{
    p->seq++;
    if (p->count != 0 && p->seq >= p->count)
        return false;
    p->due += p->interval_ms;
    if (p->due < r->now)
        p->due = r->now;
    return true;
}

static void give(struct remote *r, struct request *q, const struct buf *sample)
{
    struct sample_plan *p = q->plan;
    uint64_t id = q->id;
    bool more = plan_next(r, p);
    if (sample->len <= q->credit) {
        p->skipped = 0;
        q->credit -= sample->len;
        q->given += sample->len;
        r->ops->reply(r->user, id, sample->data, sample->len);
    } else {
        p->skipped++;
    }
    if (!more && request_find(r, id) != NULL)
        end_plain(r, id, REMOTE_OK, "");
}

void fallback_ended(struct remote *r, const struct outcome *o)
{
    struct request *q = request_find(r, r->sampling);
    struct buf sample;
    struct err e = {0};
    r->deadline = UINT64_MAX;
    r->sampling = 0;
    if (is_transport(o)) {
        state_fail(r, o->problem, o->phase, "%s", o->detail);
        return;
    }
    struct buf text = r->out;
    buf_init(&r->out, FALLBACK_MAX);
    buf_init(&sample, FRAME_MAX);
    enum rc rc = RC_OK;
    if (q != NULL && !q->plan->cancelled) {
        rc = fallback_sample(text.data, text.len, r->nonce, q->plan->sections, q->plan->seq,
                             q->plan->skipped, &sample, &e);
        if (rc == RC_OK)
            give(r, q, &sample);
        else if (rc != RC_NOMEM)
            end_plain(r, q->id, REMOTE_FAILED, e.msg);
    }
    buf_fini(&text);
    buf_fini(&sample);
    if (rc == RC_NOMEM)
        state_nomem(r);
    else
        fallback_tick(r);
}
