/* A run whose hosts are talked to through the agent (struct run_agent) instead of being given a
 * command: the agent's machine of a host (controller/remote) on top, its warm job below. What comes
 * from the worker goes into the machine, and what the machine wants goes to the worker.
 *
 * Decides nothing: what an end means is the machine's, or the plan's (run_host_finish), or the
 * connection's, in this order. Loop thread only. See run_internal.h.
 */
#include "controller/run/agents_internal.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

enum {
    HOST_QUEUE = 1024 * 1024, /* bytes for the agent that the worker has no room for */
    /* An upload is fed by the worker, which does not tell how far it is; a connection that is dead
     * is noticed by TCP. So this bounds the whole of it: 256 KiB at a kilobyte a second. */
    UPLOAD_STALL_MS = 4 * 60 * 1000,
};

/* ---- what the machine wants ---- */

static enum rc do_exec(void *user, const char *line, size_t len, enum remote_input input,
                       unsigned blob)
{
    struct run_host *h = user;
    struct session_command c = {.text = line,
                                .len = len,
                                .input = input == REMOTE_INPUT_BLOB     ? INPUT_BLOB
                                         : input == REMOTE_INPUT_DUPLEX ? INPUT_DUPLEX
                                                                        : INPUT_NONE,
                                .blob = blob};
    h->duplex = c.input == INPUT_DUPLEX;
    h->running = true;
    h->ends_input = false;
    buf_wipe(&h->queue);
    if (h->started)
        return pool_exec(run_of(h)->pool, h->a->job, &c, NULL);
    h->first = c;
    h->first.text = mem_memdup(line, len);
    return h->first.text != NULL ? RC_OK : RC_NOMEM;
}

/* Hands the worker what it has room for. */
static enum rc flush(struct run_host *h)
{
    struct pool *pool = run_of(h)->pool;
    size_t room = pool_input_room(pool, h->a->job);
    size_t n = h->queue.len < room ? h->queue.len : room;
    enum rc rc = RC_OK;
    if (n > 0)
        rc = pool_input(pool, h->a->job, h->queue.data, n, false);
    if (rc == RC_OK && n > 0)
        buf_consume_wiped(&h->queue, n);
    if (h->queue.len > 0)
        return rc;
    buf_wipe(&h->queue);
    if (rc == RC_OK && h->ends_input) {
        h->ends_input = false;
        rc = pool_input(pool, h->a->job, "", 0, true);
    }
    return rc;
}

/* RC_CANCELLED of the pool: the command is over, and its end on the way to us. */
static enum rc do_send(void *user, const void *p, size_t n)
{
    struct run_host *h = user;
    struct pool *pool = run_of(h)->pool;
    if (h->queue.len == 0 && n <= pool_input_room(pool, h->a->job))
        return pool_input(pool, h->a->job, p, n, false) == RC_NOMEM ? RC_NOMEM : RC_OK;
    enum rc rc = buf_reserve_wiped(&h->queue, n); /* there may be a password in it */
    if (rc == RC_OK)
        rc = buf_append(&h->queue, p, n);
    if (rc == RC_OK)
        rc = flush(h);
    return rc == RC_NOMEM || rc == RC_LIMIT ? RC_NOMEM : RC_OK;
}

/* One that reads what we send is told so by the end of its input. That is not enough where it has
 * answered and ended, and a child that a start-up file left behind holds its channel open. */
static void do_hang_up(void *user)
{
    struct run_host *h = user;
    if (!h->running || !h->started)
        return;
    if (h->duplex) {
        h->ends_input = true;
        (void)flush(h);
    }
    pool_cancel(run_of(h)->pool, h->a->job, PROBLEM_CANCELLED, false);
}

/* The job is of no more use: an idle one ends in order, and one whose command still runs is cut. */
static void end_job(struct run_host *h)
{
    h->over = true;
    if (!h->started)
        return;
    if (h->running)
        pool_cancel(run_of(h)->pool, h->a->job, PROBLEM_CANCELLED, true);
    else
        pool_finish(run_of(h)->pool, h->a->job);
}

/* ---- what the machine tells ---- */

/* Who answers what the plan asks. */
static struct remote *asked_of(struct run_host *h)
{
    return h->root != NULL ? root_remote(h->root) : h->remote;
}

static void plan_ready(void *user, const struct remote_hello *hello)
{
    struct run_host *h = user;
    h->a->phase = PHASE_RUN;
    agents_look_at_all(run_of(h));
    agent_of(h)->ready(agent_of(h)->user, h->a->target, h, hello);
}

static void plan_reply(void *user, uint64_t id, const void *map, size_t n)
{
    struct run_host *h = user;
    agent_of(h)->reply(agent_of(h)->user, h->a->target, h, id, map, n);
}

static void plan_room(void *user, uint64_t id)
{
    struct run_host *h = user;
    if (agent_of(h)->room != NULL)
        agent_of(h)->room(agent_of(h)->user, h->a->target, h, id);
}

static void plan_end(void *user, uint64_t id, const struct remote_end *end)
{
    struct run_host *h = user;
    if (!h->over)
        agent_of(h)->end(agent_of(h)->user, h->a->target, h, id, end);
}

static void judge(struct run_host *h, const struct outcome *o);

static void no_data(struct run_host *h)
{
    struct outcome o;
    outcome_init(&o);
    o.problem = PROBLEM_AGENT_PROTOCOL;
    o.phase = PHASE_RUN;
    o.sent = true;
    snprintf(o.detail, sizeof o.detail, "DATA of a request that has none");
    judge(h, &o);
    end_job(h);
}

static void plan_data(void *user, uint64_t id, uint8_t stream, const void *p, size_t n)
{
    struct run_host *h = user;
    if (h->over)
        return;
    if (agent_of(h)->data != NULL)
        agent_of(h)->data(agent_of(h)->user, h->a->target, h, id, stream, p, n);
    else
        no_data(h);
}

static void root_over(void *user, const struct outcome *why)
{
    struct run_host *h = user;
    if (why != NULL)
        judge(h, why);
    remote_close(h->remote, clock_ms());
    agents_noted(h);
}

static const struct root_ops root_ops = {.ready = plan_ready,
                                         .reply = plan_reply,
                                         .data = plan_data,
                                         .room = plan_room,
                                         .end = plan_end,
                                         .over = root_over};

/* The file that root may run is the one that we would send there, whoever carries it. */
static const char *find_digest(const struct run *run, const struct remote_hello *hello)
{
    for (size_t i = 0; i < run->blob_count; i++)
        if (strcmp(run->blobs[i].arch, hello->arch) == 0)
            return run->blobs[i].sha256;
    return NULL;
}

static void root_go(struct attempt *a, const struct outcome *refused)
{
    struct run_host *h = a->host;
    struct outcome why;
    if (refused != NULL)
        root_over(h, refused);
    else if (root_start(&h->root, a, h->remote, h->root_digest, &root_ops, h, &why) != RC_OK &&
             why.problem != PROBLEM_NONE)
        root_over(h, &why);
    agents_noted(h);
}

/* The login's own agent is there. One that died and came again does not ask sudo a second time. */
static void on_ready(void *user, const struct remote_hello *hello)
{
    struct run_host *h = user;
    struct outcome why;
    if (agent_of(h)->become == NULL || agent_of(h)->commands) {
        plan_ready(h, hello);
        return;
    }
    h->a->phase = PHASE_BECOME;
    outcome_init(&why);
    if (h->root != NULL) {
        why.problem = PROBLEM_AGENT_DIED;
        why.phase = PHASE_RUN;
        root_over(h, &why);
    } else {
        h->root_digest = find_digest(run_of(h), hello);
        become_ask(h->a, root_go);
    }
}

static void on_reply(void *user, uint64_t id, const void *map, size_t n)
{
    struct run_host *h = user;
    if (h->root == NULL) {
        plan_reply(user, id, map, n);
        return;
    }
    become_started(h->a, map, n); /* of the transport */
    remote_consumed(h->remote, clock_ms(), id, n);
}

static void on_data(void *user, uint64_t id, uint8_t stream, const void *p, size_t n)
{
    struct run_host *h = user;
    if (h->root == NULL || !root_data(h->root, id, stream, p, n))
        plan_data(user, id, stream, p, n);
}

static void on_room(void *user, uint64_t id)
{
    struct run_host *h = user;
    if (h->root == NULL || !root_room(h->root, id))
        plan_room(user, id);
}

static void on_end(void *user, uint64_t id, const struct remote_end *end)
{
    struct run_host *h = user;
    if (h->root == NULL || !root_end(h->root, id, end))
        plan_end(user, id, end);
}

static void judge(struct run_host *h, const struct outcome *o)
{
    if (h->judged)
        return;
    h->judged = true;
    h->verdict = *o;
}

static void on_failed(void *user, const struct remote_failure *f)
{
    struct run_host *h = user;
    struct outcome o;
    outcome_init(&o);
    o.problem = f->problem;
    o.phase = f->phase;
    o.sent = h->asked;
    snprintf(o.detail, sizeof o.detail, "%s", f->detail);
    judge(h, &o);
    end_job(h);
}

static void on_closed(void *user)
{
    end_job(user);
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

/* ---- for the plan ---- */

struct attempt *run_host_attempt(const struct run_host *h)
{
    return h->a;
}

enum rc run_host_request(struct run_host *h, const void *map, size_t n, uint64_t *id)
{
    enum rc rc = remote_request(asked_of(h), clock_ms(), map, n, id);
    h->asked |= rc == RC_OK;
    agents_noted(h);
    return rc;
}

void run_host_bound(struct run_host *h, uint64_t id, uint64_t within_ms)
{
    remote_bound(asked_of(h), clock_ms(), id, within_ms);
    agents_noted(h);
}

void run_host_consumed(struct run_host *h, uint64_t id, size_t n)
{
    remote_consumed(asked_of(h), clock_ms(), id, n);
    agents_noted(h);
}

enum rc run_host_input(struct run_host *h, uint64_t id, const void *p, size_t n, bool last,
                       size_t *taken)
{
    enum rc rc = remote_input(asked_of(h), clock_ms(), id, p, n, last, taken);
    agents_noted(h);
    return rc;
}

void run_host_cancel(struct run_host *h, uint64_t id, uint64_t grace_ms)
{
    remote_cancel(asked_of(h), clock_ms(), id, grace_ms);
    agents_noted(h);
}

void run_host_finish(struct run_host *h, const struct outcome *o)
{
    judge(h, o);
    remote_close(asked_of(h), clock_ms());
    agents_noted(h);
}

/* ---- the job ---- */

static void host_free(struct run_host *h)
{
    if (h == NULL)
        return;
    root_free(h->root);
    remote_free(h->remote);
    buf_wipe(&h->queue);
    mem_free((void *)h->first.text);
    mem_free(h);
}

void agents_drop(struct attempt *a)
{
    agents_look_at_all(a->run);
    host_free(a->host);
    a->host = NULL;
}

static enum rc make_host(struct attempt *a, struct err *e)
{
    const struct run_agent *plan = a->run->plan->agent;
    struct remote_spec spec = {.mode = plan->mode,
                               .fallback = plan->fallback,
                               .blobs = a->run->blobs,
                               .blob_count = a->run->blob_count,
                               .dirs = plan->dirs,
                               .dir_count = plan->dir_count,
                               .stall_ms = UPLOAD_STALL_MS,
                               .ping_ms = plan->ping_ms};
    struct run_host *h = mem_calloc(1, sizeof *h);
    if (h == NULL)
        return err_nomem(e);
    h->a = a;
    buf_init(&h->queue, HOST_QUEUE);
    randombytes_buf(spec.nonce, sizeof spec.nonce);
    enum rc rc = remote_new(&h->remote, &spec, &remote_ops, h, e);
    if (rc == RC_OK)
        rc = remote_start(h->remote, clock_ms(), e);
    if (rc == RC_OK)
        remote_pause(h->remote, clock_ms(), a->run->stalled);
    if (rc != RC_OK)
        host_free(h);
    else
        a->host = h;
    return rc;
}

enum rc agents_start(struct attempt *a, struct session_spec *spec, struct err *e)
{
    agents_drop(a);
    enum rc rc = make_host(a, e);
    if (rc != RC_OK)
        return rc;
    struct run_host *h = a->host;
    spec->kind = SESSION_WARM;
    spec->command = h->first.text;
    spec->command_len = h->first.len;
    spec->input = h->first.input;
    spec->blob = h->first.blob;
    spec->use_stdin = false; /* the run's input goes through the agent */
    spec->run_timeout_ms = spec->silence_timeout_ms = 0; /* the machine has its own */
    rc = pool_start(a->run->pool, a->job, spec, e);
    h->started = rc == RC_OK;
    if (rc == RC_OK && a->run->capture != NULL)
        outdir_started(a->run->capture, a->target);
    mem_free((void *)h->first.text);
    h->first.text = NULL;
    if (rc != RC_OK)
        agents_drop(a);
    return rc;
}

void agents_sent(struct attempt *a)
{
    if (a->host == NULL || a->host->sent)
        return;
    a->host->sent = true;
    a->phase = PHASE_HELLO;
    remote_sent(a->host->remote, clock_ms());
    agents_noted(a->host);
}

bool agents_data(struct attempt *a, bool is_stderr, const void *p, size_t n)
{
    if (a->host != NULL && a->run->capture != NULL)
        outdir_data(a->run->capture, a->target, is_stderr, p, n);
    if (a->host == NULL)
        return false;
    remote_output(a->host->remote, clock_ms(), is_stderr, p, n);
    agents_noted(a->host);
    return true;
}

void agents_command_ended(void *user, uint64_t job, const struct session_result *result)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL || a->host == NULL)
        return;
    struct run_host *h = a->host;
    h->running = false;
    h->ended = true;
    if (h->over) /* it was told already that nothing more comes of it */
        pool_finish(r->pool, job);
    else
        remote_command_ended(h->remote, clock_ms(), &result->outcome);
    agents_noted(h);
    run_pump(r);
}

void agents_taken(void *user, uint64_t job, size_t n)
{
    struct run *r = user;
    struct attempt *a = attempt_of(r, job);
    if (a == NULL || a->host == NULL)
        return;
    (void)flush(a->host);
    remote_taken(a->host->remote, clock_ms(), n);
    agents_noted(a->host);
    run_pump(r);
}

bool agents_cancel(struct attempt *a, enum problem why)
{
    struct run_host *h = a->host;
    if (h == NULL || !a->sent)
        return false;
    struct outcome o;
    bool enough = agent_of(h)->endless && agent_of(h)->enough(agent_of(h)->user, a->target);
    if (agent_of(h)->cancel != NULL && agent_of(h)->cancel(agent_of(h)->user, a->target, h))
        return true; /* it tells what the command came to; agents_settle says why */
    outcome_init(&o);
    o.problem = enough && why == PROBLEM_CANCELLED ? PROBLEM_NONE : why;
    o.phase = PHASE_RUN;
    o.sent = h->asked;
    o.may_still_run = h->asked && agent_of(h)->commands; /* attach leaves it alone */
    judge(h, &o);
    remote_close(asked_of(h), clock_ms());
    agents_noted(h);
    return true;
}

/* Whatever a command came to that we had ended: it is cancelled, unless it was faster. */
static void settle_cancelled(const struct attempt *a, struct outcome *o)
{
    if (o->problem == a->why || o->problem == PROBLEM_NONE || o->problem == PROBLEM_EXIT_NONZERO)
        return;
    o->may_still_run |=
        o->problem != PROBLEM_CANCELLED && o->problem != PROBLEM_KILLED_BY_SIGNAL && o->sent;
    o->problem = a->why;
}

/* Nothing that was asked for had been sent: what ran was ours, and finding it gone does no harm.
 * tinysshd is a server of one command: an agent in place can be started there, none can be sent. */
static void settle_unasked(const struct run_host *h, struct outcome *o)
{
    if (o->problem == PROBLEM_CONNECTION_LOST)
        o->problem = PROBLEM_CONNECTION_RESET;
    if (h->ended && !o->sent && o->problem == PROBLEM_CONNECTION_RESET)
        snprintf(o->detail, sizeof o->detail,
                 "the connection ended with its first command: where the server takes one command "
                 "only, the agent has to be installed");
    if (h->sent && o->phase == PHASE_RUN)
        o->phase = PHASE_HELLO;
    o->sent = o->may_still_run = false;
}

/* An orderly end is what the plan said; otherwise the connection's end is, unless somebody knew
 * better before. */
void agents_settle(struct attempt *a, struct outcome *o)
{
    struct run_host *h = a->host;
    if (h != NULL && h->judged)
        *o = h->verdict;
    else if (h != NULL && o->problem == PROBLEM_NONE)
        o->problem = PROBLEM_CONNECTION_LOST; /* closed before anybody was content */
    if (h != NULL && a->cancelled)
        settle_cancelled(a, o);
    if (h != NULL && !h->asked)
        settle_unasked(h, o);
    agents_drop(a);
}
