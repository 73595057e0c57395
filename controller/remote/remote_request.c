/* What is asked of the agent: requests, their windows in both directions, their ends. */
#include <string.h>

#include "common/mem.h"
#include "controller/remote/remote_int.h"

struct request *request_find(struct remote *r, uint64_t id)
{
    for (size_t i = 0; i < r->request_count; i++)
        if (r->requests[i].id == id)
            return &r->requests[i];
    return NULL;
}

void request_end(struct remote *r, uint64_t id, const struct remote_end *end)
{
    struct request *q = request_find(r, id);
    must(q != NULL);
    plan_free(q->plan);
    *q = r->requests[--r->request_count];
    if (r->request_count == 0) {
        mem_free(r->requests);
        r->requests = NULL;
        r->request_cap = 0;
    }
    r->ops->end(r->user, id, end);
}

void requests_lost(struct remote *r, enum remote_status s, enum problem p, const char *detail)
{
    struct remote_end end = {.status = s, .problem = p};
    strncpy(end.detail, detail, sizeof end.detail - 1);
    while (r->request_count > 0)
        request_end(r, r->requests[0].id, &end);
}

uint64_t requests_wake(const struct remote *r)
{
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < r->request_count; i++)
        at = r->requests[i].end_by < at ? r->requests[i].end_by : at;
    for (size_t i = 0; i < r->request_count && !r->paused; i++)
        at = r->requests[i].bound_by < at ? r->requests[i].bound_by : at;
    return at;
}

void requests_shift(struct remote *r, uint64_t by_ms)
{
    for (size_t i = 0; i < r->request_count; i++)
        if (r->requests[i].bound_by != UINT64_MAX)
            r->requests[i].bound_by += by_ms;
}

void remote_bound(struct remote *r, uint64_t now_ms, uint64_t id, uint64_t within_ms)
{
    struct request *q = request_find(r, id);
    if (q == NULL || r->state != S_READY) /* plain sh has bounds of its own */
        return;
    r->now = now_ms > r->now ? now_ms : r->now;
    q->bound_by = within_ms > 0 ? r->now + within_ms : UINT64_MAX;
}

/* The window that the map names; RC_PROTO for a map that is none. */
static enum rc request_begin(struct remote *r, const void *map, size_t n, struct request *q)
{
    struct wire_map m;
    enum rc rc = wire_open(&m, map, n, NULL);
    if (rc != RC_OK)
        return rc;
    rc = wire_u64(&m, "window", AGENT_WINDOW_MAX, &q->window);
    if (rc == RC_NOTFOUND)
        rc = RC_OK;
    if (rc == RC_OK && r->state == S_FALLBACK)
        rc = fallback_request(r, q, &m);
    wire_close(&m);
    return rc;
}

static enum rc send_request(struct remote *r, uint64_t id, const void *map, size_t n)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER + REMOTE_REQUEST_MAX);
    enum rc rc = frame_append(&b, AGENT_REQUEST, id, map, n);
    if (rc == RC_OK)
        rc = frames_send(r, &b);
    buf_wipe(&b);
    return rc;
}

enum rc remote_request(struct remote *r, uint64_t now_ms, const void *map, size_t n, uint64_t *id)
{
    (void)now_ms;
    if (r->state != S_READY && r->state != S_FALLBACK)
        return RC_CANCELLED;
    if (r->request_count >= AGENT_MAX_REQUESTS || n > REMOTE_REQUEST_MAX ||
        (r->unsent > 0 && r->unsent + n > (size_t)2 * REMOTE_REQUEST_MAX))
        return RC_LIMIT;
    if (mem_grow(&r->requests, &r->request_cap, r->request_count + 1, sizeof *r->requests) != 0)
        return RC_NOMEM;
    struct request q = {
        .id = r->next_id + 1, .window = AGENT_WINDOW, .end_by = UINT64_MAX, .bound_by = UINT64_MAX};
    enum rc rc = request_begin(r, map, n, &q);
    if (rc == RC_OK && r->state == S_READY)
        rc = send_request(r, q.id, map, n);
    if (rc != RC_OK) {
        plan_free(q.plan);
        return rc;
    }
    q.credit = q.window;
    r->next_id++;
    r->requests[r->request_count++] = q;
    *id = q.id;
    return RC_OK;
}

static size_t input_room(const struct remote *r, const struct request *q)
{
    size_t a = AGENT_INPUT_WINDOW - (size_t)q->input;
    size_t b = r->unsent < REMOTE_UNSENT_MAX ? REMOTE_UNSENT_MAX - r->unsent : 0;
    return a < b ? a : b;
}

static enum rc send_part(struct remote *r, struct request *q, const void *p, size_t n, bool last)
{
    struct buf b;
    buf_init(&b, FRAME_HEADER + 1 + AGENT_PART_MAX);
    enum rc rc = agent_put_part(&b, AGENT_INPUT, q->id, last, p, n);
    if (rc == RC_OK)
        rc = frames_send(r, &b);
    if (rc == RC_OK) {
        q->input += n;
        q->last = last;
    }
    buf_wipe(&b);
    return rc;
}

enum rc remote_input(struct remote *r, uint64_t now_ms, uint64_t id, const void *p, size_t n,
                     bool last, size_t *taken)
{
    struct request *q = r->state == S_READY ? request_find(r, id) : NULL;
    (void)now_ms;
    *taken = n;
    if (q == NULL || q->last)
        return RC_OK;
    size_t room = input_room(r, q), done = 0, all = n < room ? n : room;
    enum rc rc = RC_OK;
    while (rc == RC_OK && !q->last && (done < all || (last && done == n))) {
        size_t part = all - done < AGENT_PART_MAX ? all - done : AGENT_PART_MAX;
        rc = send_part(r, q, (const uint8_t *)p + done, part, last && done + part == n);
        done += rc == RC_OK ? part : 0;
    }
    *taken = done;
    q->blocked = rc == RC_OK && done < n;
    return rc;
}

/* Whoever had to wait is told, once, as soon as a fair part of its window is free. */
void requests_room(struct remote *r)
{
    uint64_t after = 0;
    for (;;) { /* the list changes in the callback: the next id, in order */
        struct request *next = NULL;
        for (size_t i = 0; i < r->request_count; i++) {
            struct request *q = &r->requests[i];
            if (q->blocked && q->id > after && input_room(r, q) >= AGENT_PART_MAX &&
                (next == NULL || q->id < next->id))
                next = q;
        }
        if (next == NULL || r->state != S_READY)
            return;
        after = next->id;
        next->blocked = false;
        r->ops->room(r->user, after);
    }
}

/* Gives back what it owes, a quarter of the window at the least. Without memory for 20 bytes it
 * stays owed, and the next call tries again. */
static void credit(struct remote *r, struct request *q)
{
    struct buf b;
    if (r->state != S_READY || q->owed == 0 || q->owed * 4 < q->window)
        return;
    buf_init(&b, FRAME_HEADER + 4);
    if (agent_put_count(&b, AGENT_CREDIT, q->id, (uint32_t)q->owed) == RC_OK &&
        frames_send(r, &b) == RC_OK) {
        q->credit += q->owed;
        q->owed = 0;
    }
    buf_fini(&b);
}

/* Nothing is given back while nobody reads: a window is what a host may say meanwhile. */
void remote_consumed(struct remote *r, uint64_t now_ms, uint64_t id, size_t n)
{
    struct request *q = request_find(r, id);
    (void)now_ms;
    if (q == NULL)
        return;
    must(n <= q->given);
    q->given -= n;
    q->owed += n;
    if (r->state == S_FALLBACK) { /* nobody to tell */
        q->credit += q->owed;
        q->owed = 0;
    }
    if (!r->paused)
        credit(r, q);
}

void requests_credit(struct remote *r)
{
    for (size_t i = 0; i < r->request_count; i++)
        credit(r, &r->requests[i]);
}

void remote_cancel(struct remote *r, uint64_t now_ms, uint64_t id, uint64_t grace_ms)
{
    struct request *q = request_find(r, id);
    if (q == NULL || q->end_by != UINT64_MAX)
        return;
    r->now = now_ms > r->now ? now_ms : r->now;
    if (r->state == S_FALLBACK) {
        fallback_cancel(r, q);
        return;
    }
    /* Not sent for want of memory: the request then has no END, and the link ends with it. */
    q->end_by = r->now + grace_ms + REMOTE_CANCEL_MS;
    if (r->state == S_READY)
        (void)frames_send_number(r, AGENT_CANCEL, id, "grace_ms", grace_ms);
}

enum problem remote_end_problem(const struct remote_end *end)
{
    if (end->problem != PROBLEM_NONE)
        return end->problem;
    switch (end->status) {
    case REMOTE_REQUEST_CANCELLED: return PROBLEM_CANCELLED;
    case REMOTE_REFUSED:
    case REMOTE_UNSUPPORTED: return PROBLEM_AGENT_REFUSED;
    case REMOTE_BUSY: return PROBLEM_AGENT_REFUSED;
    case REMOTE_LOST: return PROBLEM_CONNECTION_LOST;
    default: return PROBLEM_NONE;
    }
}
