/* See root.h. */
#include "controller/run/root.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "common/clock.h"
#include "common/mem.h"
#include "proto/wire.h"

enum { QUEUE_MAX = 1024 * 1024, MAP_MAX = 4096 };

struct root {
    struct attempt *a;
    struct remote *outer, *inner;
    const struct root_ops *ops;
    void *user;
    char nonce[AGENT_NONCE_HEX + 1];
    char digest[65];
    uint64_t request; /* outer's, of the transport; 0: not made */
    struct buf queue; /* for the inner agent, not yet taken by outer */
    bool asked;       /* the transport was asked for: once, for there is but one attempt */
    bool ends;        /* the inner agent's input is to end */
    bool ended;       /* that was said */
    bool over;        /* ops->over was called */
    size_t left;      /* bytes that left for outer, not yet told to inner */
};

static void put_request(const struct root *r, const struct run_agent *plan, bool password,
                        struct wire_out *w)
{
    wire_put_map(w, 6);
    wire_put_str(w, "op", "become");
    wire_put_str(w, "digest", r->digest);
    wire_put_str(w, "nonce", r->nonce);
    wire_put_u64(w, "idle_ms", 3 * (plan->ping_ms != 0 ? plan->ping_ms : REMOTE_PING_MS));
    wire_put_str(w, "allow", "stats");
    wire_add_key(w, "become");
    wire_add_map(w, 3);
    wire_put_str(w, "user", plan->become);
    wire_put_str(w, "method", "sudo");
    wire_put_bool(w, "password", password);
}

static enum rc send_password(struct root *r, uint32_t id)
{
    size_t len = 0, taken = 0;
    const char *text = secrets_text(r->a->run->plan->secrets, id, &len);
    become_sent(r->a);
    enum rc rc = remote_input(r->outer, clock_ms(), r->request, text, len, false, &taken);
    return rc == RC_OK && taken < len ? RC_LIMIT : rc;
}

static enum rc do_exec(void *user, const char *line, size_t len, enum remote_input input,
                       unsigned blob)
{
    struct root *r = user;
    struct buf map;
    struct wire_out w;
    uint32_t password = attempt_target(r->a)->become_password;
    (void)line, (void)len, (void)input, (void)blob;
    if (r->asked)
        return RC_CANCELLED;
    r->asked = true;
    buf_init(&map, MAP_MAX);
    wire_out_init(&w, &map);
    put_request(r, r->a->run->plan->agent, password != 0, &w);
    enum rc rc = wire_out_end(&w);
    if (rc == RC_OK)
        rc = remote_request(r->outer, clock_ms(), map.data, map.len, &r->request);
    buf_fini(&map);
    return rc == RC_OK && password != 0 ? send_password(r, password) : rc;
}

static enum rc flush(struct root *r)
{
    size_t taken = 0;
    enum rc rc = RC_OK;
    bool last = r->ends && !r->ended;
    if (r->request == 0 || (r->queue.len == 0 && !last))
        return RC_OK;
    rc = remote_input(r->outer, clock_ms(), r->request,
                      r->queue.len > 0 ? (void *)r->queue.data : "", r->queue.len, last, &taken);
    r->ended |= rc == RC_OK && last && taken == r->queue.len;
    r->left += taken;
    if (taken > 0)
        buf_consume(&r->queue, taken);
    if (r->queue.len == 0)
        buf_fini(&r->queue);
    return rc;
}

static enum rc do_send(void *user, const void *p, size_t n)
{
    struct root *r = user;
    enum rc rc = buf_append(&r->queue, p, n);
    if (rc == RC_OK)
        rc = flush(r);
    return rc == RC_OK ? rc : RC_NOMEM;
}

static void do_hang_up(void *user)
{
    struct root *r = user;
    r->ends = true;
    (void)flush(r);
}

static void on_ready(void *user, const struct remote_hello *h)
{
    struct root *r = user;
    r->ops->ready(r->user, h);
}

static void on_reply(void *user, uint64_t id, const void *map, size_t n)
{
    struct root *r = user;
    r->ops->reply(r->user, id, map, n);
}

static void on_data(void *user, uint64_t id, uint8_t stream, const void *p, size_t n)
{
    struct root *r = user;
    r->ops->data(r->user, id, stream, p, n);
}

static void on_room(void *user, uint64_t id)
{
    struct root *r = user;
    r->ops->room(r->user, id);
}

static void on_end(void *user, uint64_t id, const struct remote_end *end)
{
    struct root *r = user;
    r->ops->end(r->user, id, end);
}

static void is_over(struct root *r, const struct outcome *why)
{
    if (r->over)
        return;
    r->over = true;
    r->ops->over(r->user, why);
}

static void on_failed(void *user, const struct remote_failure *f)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = f->problem;
    o.phase = f->phase;
    snprintf(o.detail, sizeof o.detail, "%s", f->detail);
    is_over(user, &o);
}

static void on_closed(void *user)
{
    is_over(user, NULL);
}

static const struct remote_ops remote_ops = {.exec = do_exec,
                                             .send = do_send,
                                             .hang_up = do_hang_up,
                                             .ready = on_ready,
                                             .reply = on_reply,
                                             .data = on_data,
                                             .room = on_room,
                                             .end = on_end,
                                             .failed = on_failed,
                                             .closed = on_closed};

static enum rc refuse(struct outcome *why, enum problem p, enum phase phase, const char *text)
{
    outcome_init(why);
    why->problem = p;
    why->phase = phase;
    snprintf(why->detail, sizeof why->detail, "%s", text);
    return RC_CANCELLED;
}

static enum rc begin(struct root *r)
{
    struct remote_spec spec = {.mode = REMOTE_GIVEN, .ping_ms = r->a->run->plan->agent->ping_ms};
    randombytes_buf(spec.nonce, sizeof spec.nonce);
    agent_nonce_text(r->nonce, spec.nonce);
    enum rc rc = remote_new(&r->inner, &spec, &remote_ops, r, NULL);
    return rc == RC_OK ? remote_start(r->inner, clock_ms(), NULL) : rc;
}

enum rc root_start(struct root **out, struct attempt *a, struct remote *outer, const char *digest,
                   const struct root_ops *ops, void *user, struct outcome *why)
{
    if (digest == NULL)
        return refuse(why, PROBLEM_AGENT_NO_BINARY, PHASE_BECOME,
                      "no agent of ours for root to run there");
    struct root *r = mem_calloc(1, sizeof *r);
    if (r == NULL)
        return refuse(why, PROBLEM_LOCAL_RESOURCE, PHASE_BECOME, "out of memory");
    r->a = a;
    r->outer = outer;
    r->ops = ops;
    r->user = user;
    snprintf(r->digest, sizeof r->digest, "%s", digest);
    buf_init(&r->queue, QUEUE_MAX);
    enum rc rc = begin(r);
    if (rc != RC_OK) {
        root_free(r);
        return refuse(why, rc == RC_CANCELLED ? PROBLEM_NONE : PROBLEM_LOCAL_RESOURCE, PHASE_BECOME,
                      "out of memory");
    }
    *out = r;
    return RC_OK;
}

void root_free(struct root *r)
{
    if (r == NULL)
        return;
    remote_free(r->inner);
    buf_fini(&r->queue);
    mem_free(r);
}

struct remote *root_remote(struct root *r)
{
    return r->inner;
}

bool root_data(struct root *r, uint64_t id, uint8_t stream, const void *p, size_t n)
{
    if (id != r->request)
        return false;
    if (!r->over)
        remote_output(r->inner, clock_ms(), stream == 2, p, n);
    remote_consumed(r->outer, clock_ms(), id, n);
    return true;
}

bool root_room(struct root *r, uint64_t id)
{
    if (id == r->request)
        (void)flush(r);
    return id == r->request;
}

bool root_end(struct root *r, uint64_t id, const struct remote_end *end)
{
    if (id != r->request)
        return false;
    struct outcome o;
    outcome_init(&o);
    o.problem = remote_end_problem(end);
    o.phase = PHASE_BECOME;
    snprintf(o.detail, sizeof o.detail, "%s", end->detail);
    become_ended(r->a, o.problem);
    bool before = strncmp(problem_name(o.problem), "become-", 7) == 0 ||
                  o.problem == PROBLEM_AGENT_REFUSED || o.problem == PROBLEM_AUTH_UNPROVEN;
    if (before)
        is_over(r, &o);
    else if (!r->over)
        remote_command_ended(r->inner, clock_ms(), &o);
    return true;
}

void root_beat(struct root *r, uint64_t now_ms)
{
    size_t left = r->left;
    r->left = 0;
    if (left > 0 && !r->over)
        remote_taken(r->inner, now_ms, left);
    if (!r->over && remote_wake_at(r->inner) <= now_ms)
        remote_tick(r->inner, now_ms);
}
