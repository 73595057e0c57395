/* See pool.h.
 *
 * A worker's end is seen twice: its socket ends and its pidfd becomes readable. Whichever comes
 * first leads to the other (a socket that ends, or lies, gets the process killed; a process that
 * ended has its socket read to the end), and `bury` runs once both are through, so that what it
 * said before it died still counts and its jobs end with the reason in hand.
 */
#include "controller/worker/pool.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "controller/worker/msg.h"
#include "controller/worker/pool_internal.h"
#include "controller/worker/worker.h"

enum { CLOSE_GRACE_MS = 10 * 1000 };

void pool_channel(struct pool_worker *w)
{
    chan_init(&w->chan, w->process.fd, POOL_OUT_MAX, CHAN_WIPE_OUT);
    chan_marks(&w->chan, POOL_OUT_HIGH, POOL_OUT_LOW);
}

enum rc pool_fork(struct pool **out, unsigned n, struct err *e)
{
    must(n >= 1 && n <= POOL_MAX_WORKERS);
    struct pool *p = mem_calloc(1, sizeof *p + n * sizeof p->workers[0]);
    if (p == NULL)
        return err_nomem(e);
    map_init(&p->jobs);
    p->spare = POOL_SPARE;
    spawn_raise_nofile();
    for (unsigned i = 0; i < n; i++) {
        struct pool_worker *w = &p->workers[i];
        enum rc rc = spawn_start(&w->process, worker_main, e);
        if (rc != RC_OK) {
            pool_free(p);
            return rc;
        }
        w->pool = p;
        w->number = i + 1;
        w->alive = true;
        w->input_done = true;
        pool_channel(w);
        buf_init(&w->held, POOL_OUT_MAX);
        p->count++;
    }
    *out = p;
    return RC_OK;
}

void pool_set_spare(struct pool *p, unsigned spare)
{
    p->spare = spare;
}

static bool takes_jobs(const struct pool_worker *w)
{
    return w->alive || w->coming;
}

unsigned pool_alive(const struct pool *p)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->count; i++)
        n += takes_jobs(&p->workers[i]);
    return n;
}

struct pool_job *pool_find_job(struct pool *p, uint64_t id)
{
    return map_get(&p->jobs, (const char *)&id, sizeof id);
}

void pool_drop_job(struct pool_job *j)
{
    struct pool_worker *w = j->worker;
    map_del(&w->pool->jobs, (const char *)&j->id, sizeof j->id);
    if (j->prev != NULL)
        j->prev->next = j->next;
    else
        *(w->orphans == j ? &w->orphans : &w->jobs) = j->next;
    if (j->next != NULL)
        j->next->prev = j->prev;
    w->job_count--;
    w->link_count -= j->kind == SESSION_LINK;
    mem_free(j);
}

static void on_grace_closed(uv_handle_t *h);

/* The timer that guards the others' end is the last to close. */
static void settle(struct pool *p)
{
    if (!p->closing)
        return;
    if (p->open_handles == 1 && p->grace_open) {
        p->grace_open = false;
        uv_close((uv_handle_t *)&p->grace, on_grace_closed);
    } else if (p->open_handles == 0 && p->closed != NULL) {
        p->closed(p->closed_user);
    }
}

static void handle_gone(struct pool *p)
{
    p->open_handles--;
    settle(p);
}

static void worker_handle_gone(struct pool_worker *w)
{
    if (--w->handles == 0 && !w->pool->closing)
        pool_vacated(w);
    handle_gone(w->pool);
}

static void on_chan_closed(void *user)
{
    worker_handle_gone(user);
}

static void on_exit_poll_closed(uv_handle_t *h)
{
    worker_handle_gone(h->data);
}

static void on_grace_closed(uv_handle_t *h)
{
    handle_gone(h->data);
}

void pool_unwatch(struct pool_worker *w)
{
    if (!w->watched)
        return;
    w->watched = false;
    uv_close((uv_handle_t *)&w->exit_poll, on_exit_poll_closed);
}

/* The end of a job whose worker is no more. Whether the command may have run is what counts. */
static void end_orphan(struct pool_job *j, const char *how)
{
    static const enum phase phases[] = {PHASE_CONNECT, PHASE_CONNECT, PHASE_OPEN,
                                        PHASE_OPEN,    PHASE_RUN,     PHASE_CLOSE};
    struct pool *p = j->worker->pool;
    struct session_result r = {.server_banner = ""};
    outcome_init(&r.outcome);
    r.outcome.sent = j->state == JOB_SENT;
    r.outcome.may_still_run = r.outcome.sent;
    r.outcome.problem = r.outcome.sent ? PROBLEM_WORKER_LOST : PROBLEM_WORKER_DIED;
    r.outcome.phase = phases[j->state];
    snprintf(r.outcome.detail, sizeof r.outcome.detail, "%s", how);
    uint64_t id = j->id;
    pool_drop_job(j);
    p->ops.done(p->user, id, &r);
}

void pool_end_jobs(struct pool_worker *w, const char *how)
{
    while (w->jobs != NULL && !w->pool->closing)
        end_orphan(w->jobs, how);
}

static void bury(struct pool_worker *w)
{
    struct pool *p = w->pool;
    char end[64], how[300], text[400];
    if (w->buried)
        return;
    w->buried = true;
    w->alive = false;
    chan_close(&w->chan, on_chan_closed);
    pool_unwatch(w);
    spawn_describe(end, sizeof end, w->status);
    bool ended = w->fault[0] != '\0'; /* by us */
    snprintf(how, sizeof how, "worker %u (process %ld) %s%s", w->number, (long)w->process.pid,
             ended ? "was ended: " : end, w->fault);
    if (!w->unproven) { /* those of one that is were held, and go to its successor */
        w->orphans = w->jobs;
        w->jobs = NULL;
        buf_wipe(&w->held);
    }
    pool_plan_replacement(w);
    snprintf(text, sizeof text, "%s%s", how, w->coming ? "; another takes its place" : "");
    p->ops.trouble(p->user, RC_INTERNAL, text, pool_alive(p) == 0);
    while (w->orphans != NULL && !p->closing)
        end_orphan(w->orphans, how);
    if (!w->coming)
        pool_end_jobs(w, how);
}

/* Its process is gone or going; the rest happens when that is seen. */
void pool_condemn(struct pool_worker *w, const char *fault)
{
    w->alive = false;
    if (w->fault[0] == '\0')
        snprintf(w->fault, sizeof w->fault, "%s", fault);
    if (!w->reaped)
        kill(w->process.pid, SIGKILL);
}

static void on_exit_event(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct pool_worker *w = h->data;
    uint64_t cpu = 0;
    if (!spawn_reap(&w->process, 0, &w->status, &cpu))
        return;
    w->reaped = true;
    w->pool->cpu_us += cpu;
    uv_poll_stop(&w->exit_poll);
    if (w->pool->closing) {
        pool_unwatch(w);
        return;
    }
    chan_drain(&w->chan);
    if (!w->pool->closing)
        bury(w);
}

static void on_chan_ended(void *user, const struct err *why)
{
    struct pool_worker *w = user;
    pool_condemn(w, why->rc == RC_OK ? "" : why->msg);
    if (w->reaped)
        bury(w);
}

static void on_drained(void *user)
{
    struct pool_worker *w = user;
    if (!w->input_done && pool_feed(w) != RC_OK)
        pool_condemn(w, "no memory for the input");
}

static const struct chan_ops chan_ops = {
    .frame = pool_on_frame, .ended = on_chan_ended, .full = NULL, .drained = on_drained};

enum rc pool_watch(struct pool_worker *w, struct err *e)
{
    struct pool *p = w->pool;
    int rc = uv_poll_init(p->loop, &w->exit_poll, w->process.pidfd);
    if (rc != 0)
        return err_sys(e, -rc, "watch worker %u", w->number);
    w->exit_poll.data = w;
    w->watched = true;
    w->handles++;
    p->open_handles++;
    must(uv_poll_start(&w->exit_poll, UV_READABLE, on_exit_event) == 0); /* a new handle */
    enum rc started = chan_start(&w->chan, p->loop, &chan_ops, w, e);
    if (started == RC_OK) {
        w->handles++;
        p->open_handles++;
    }
    return started;
}

enum rc pool_attach(struct pool *p, uv_loop_t *loop, const struct pool_ops *ops, void *user,
                    struct err *e)
{
    must(p->loop == NULL);
    p->loop = loop;
    p->ops = *ops;
    p->user = user;
    must(uv_timer_init(loop, &p->grace) == 0);
    p->grace.data = p;
    p->grace_open = true;
    p->open_handles++;
    for (unsigned i = 0; i < p->count; i++) {
        enum rc rc = pool_watch(&p->workers[i], e);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* The first one with few jobs, otherwise the one with the fewest: a small run stays in one process,
 * which handles more at each wake and leaves the others asleep; a large one uses every core. */
static struct pool_worker *choose_worker(struct pool *p)
{
    struct pool_worker *best = NULL;
    for (unsigned i = 0; i < p->count; i++) {
        struct pool_worker *w = &p->workers[i];
        if (takes_jobs(w) && w->job_count < POOL_FEW)
            return w;
        if (takes_jobs(w) && (best == NULL || w->job_count < best->job_count))
            best = w;
    }
    return best;
}

static struct pool_worker *worker_for(struct pool *p, const struct session_spec *spec)
{
    if (spec->via_job != 0) {
        struct pool_job *link = pool_find_job(p, spec->via_job);
        return link != NULL && link->worker->alive ? link->worker : NULL;
    }
    if (spec->kind != SESSION_LINK)
        return choose_worker(p);
    struct pool_worker *best = NULL;
    for (unsigned i = 0; i < p->count; i++) {
        struct pool_worker *w = &p->workers[i];
        if (takes_jobs(w) && (best == NULL || w->link_count < best->link_count))
            best = w;
    }
    return best;
}

bool pool_holds(const struct pool_worker *w)
{
    return w->coming || w->unproven || !w->input_done;
}

static enum rc send_start(struct pool_worker *w, uint64_t job, const struct session_spec *spec)
{
    if (pool_holds(w))
        return msg_put_start(&w->held, job, spec);
    enum rc rc = chan_reserve(&w->chan, FRAME_HEADER + spec->command_len + 4096);
    if (rc == RC_OK)
        rc = msg_put_start(chan_out(&w->chan), job, spec);
    if (rc == RC_OK)
        chan_kick(&w->chan);
    return rc;
}

enum rc pool_start(struct pool *p, uint64_t job, const struct session_spec *spec, struct err *e)
{
    must(spec->kind != SESSION_WARM || p->ops.ended != NULL);
    struct pool_worker *w = worker_for(p, spec);
    if (w == NULL && spec->via_job != 0)
        return err_set(e, RC_CANCELLED, "the connection to the bastion was lost");
    if (w == NULL)
        return err_set(e, RC_NOTFOUND, "no worker process is left");
    if (pool_find_job(p, job) != NULL)
        return err_set(e, RC_EXISTS, "job %llu runs already", (unsigned long long)job);
    struct pool_job *j = mem_calloc(1, sizeof *j);
    if (j == NULL)
        return err_nomem(e);
    j->id = job;
    j->worker = w;
    j->has_password = spec->has_password;
    j->kind = spec->kind;
    j->input = spec->input;
    if (map_put(&p->jobs, (const char *)&j->id, sizeof j->id, j, NULL) != 0) {
        mem_free(j);
        return err_nomem(e);
    }
    enum rc rc = send_start(w, job, spec);
    j->next = w->jobs;
    if (w->jobs != NULL)
        w->jobs->prev = j;
    w->jobs = j;
    w->job_count++;
    w->link_count += j->kind == SESSION_LINK;
    if (rc == RC_OK)
        return RC_OK;
    pool_drop_job(j);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return err_set(e, rc, "%s: the command or a connection variable is too long", spec->label);
}

/* Without memory for a few bytes the worker cannot be told, so it is ended: its jobs then end with
 * what is known, instead of running on against orders. */
void pool_said(struct pool_worker *w, enum rc rc)
{
    if (rc == RC_OK)
        chan_kick(&w->chan);
    else
        pool_condemn(w, "a message to it could not be queued");
}

void pool_go(struct pool *p, uint64_t job)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || j->connect != JOB_HELD || !j->worker->alive)
        return;
    j->connect = JOB_GONE_ON;
    enum rc rc = chan_reserve(&j->worker->chan, FRAME_HEADER);
    if (rc == RC_OK)
        rc = msg_put_empty(chan_out(&j->worker->chan), MSG_GO, job);
    pool_said(j->worker, rc);
}

void pool_hostkey_answer(struct pool *p, uint64_t job, enum hostkey_answer a, enum problem problem,
                         const char *detail)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || !j->asked || !j->worker->alive)
        return;
    j->asked = false;
    j->accepted = a == HOSTKEY_ACCEPT;
    struct chan *ch = &j->worker->chan;
    enum rc rc = chan_reserve(ch, FRAME_HEADER + 512);
    if (rc == RC_OK)
        rc = msg_put_hostkey_answer(chan_out(ch), job, a, problem, detail);
    pool_said(j->worker, rc);
}

void pool_password_answer(struct pool *p, uint64_t job, const char *text, size_t len)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || !j->wanted || !j->worker->alive)
        return;
    j->wanted = false;
    struct chan *ch = &j->worker->chan;
    enum rc rc = chan_reserve(ch, MSG_SECRET_ROOM);
    if (rc == RC_OK)
        rc = msg_put_secret(chan_out(ch), job, text, len);
    pool_said(j->worker, rc);
}

void pool_signed(struct pool *p, uint64_t job, enum sign_answer a, const void *sig, size_t len,
                 const char *detail)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || !j->signing || !j->worker->alive)
        return;
    j->signing = false;
    pool_said(j->worker, msg_put_signed(chan_out(&j->worker->chan), job, a, sig, len, detail));
}

/* A job that waits behind the input is still in line: its CANCEL must not overtake it. */
static enum rc put_cancel(struct pool_worker *w, uint64_t job, enum problem problem, bool now)
{
    if (pool_holds(w))
        return msg_put_cancel(&w->held, job, problem, now);
    enum rc rc = chan_reserve(&w->chan, FRAME_HEADER + 128);
    return rc == RC_OK ? msg_put_cancel(chan_out(&w->chan), job, problem, now) : rc;
}

void pool_cancel(struct pool *p, uint64_t job, enum problem problem, bool now)
{
    struct pool_job *j = pool_find_job(p, job);
    if (j == NULL || !takes_jobs(j->worker))
        return;
    now |= j->state == JOB_IDLE; /* there is no command to be gentle with */
    pool_said(j->worker, put_cancel(j->worker, job, problem, now));
}

static void tell(struct pool_worker *w, enum msg_type type)
{
    if (!w->alive)
        return;
    enum rc rc = chan_reserve(&w->chan, FRAME_HEADER);
    if (rc == RC_OK)
        rc = msg_put_empty(chan_out(&w->chan), type, 0);
    pool_said(w, rc);
}

static void tell_all(struct pool *p, enum msg_type type)
{
    for (unsigned i = 0; i < p->count; i++)
        tell(&p->workers[i], type);
}

/* A host that finds a loop without end in the SSH library shall not hold the run for ever. */
void pool_beat(struct pool *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct pool_worker *w = &p->workers[i];
        if (w->coming)
            pool_replace_beat(w);
        w->quiet = w->jobs != NULL && w->alive ? w->quiet + 1 : 0;
        if (w->quiet == POOL_PING_BEATS)
            tell(w, MSG_PING);
        else if (w->quiet == POOL_QUIET_BEATS && w->alive)
            pool_condemn(w, "it is stuck and does not answer");
    }
}

static void calm_one(struct pool_worker *w, unsigned ms)
{
    enum rc rc = chan_reserve(&w->chan, FRAME_HEADER + 4);
    if (rc == RC_OK)
        rc = msg_put_calm(chan_out(&w->chan), ms);
    pool_said(w, rc);
    chan_calm(&w->chan, ms);
    w->calm_ms = ms;
}

void pool_calm(struct pool *p, unsigned ms)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->workers[i].alive && p->workers[i].chan.started && p->workers[i].calm_ms != ms)
            calm_one(&p->workers[i], ms);
}

void pool_pause(struct pool *p)
{
    p->paused = true;
    tell_all(p, MSG_PAUSE);
}

void pool_resume(struct pool *p)
{
    p->paused = false;
    tell_all(p, MSG_RESUME);
}

/* A worker that does not leave when its socket closes is stuck, or has no processor on a machine
 * that is busy: nothing it holds is worth a longer wait. Not in silence: being stuck is a bug. */
static void on_grace(uv_timer_t *t)
{
    struct pool *p = t->data;
    for (unsigned i = 0; i < p->count; i++)
        if (!p->workers[i].reaped) {
            log_warn("worker %u does not end: killed", p->workers[i].number);
            kill(p->workers[i].process.pid, SIGKILL);
        }
}

void pool_close(struct pool *p, void (*closed)(void *user), void *user)
{
    must(p->loop != NULL && !p->closing);
    p->closing = true;
    p->closed = closed;
    p->closed_user = user;
    bool waiting = false;
    for (unsigned i = 0; i < p->count; i++) {
        struct pool_worker *w = &p->workers[i];
        w->alive = w->coming = false;
        if (w->chan.started && !w->buried)
            chan_close(&w->chan, on_chan_closed);
        w->buried = true;
        waiting = waiting || (w->watched && !w->reaped);
        if (w->watched && w->reaped)
            pool_unwatch(w);
    }
    if (waiting)
        must(uv_timer_start(&p->grace, on_grace, CLOSE_GRACE_MS, 0) == 0);
    settle(p);
}

static void free_worker(struct pool_worker *w)
{
    uint64_t cpu;
    chan_fini(&w->chan);
    if (!w->reaped) {
        kill(w->process.pid, SIGKILL);
        spawn_reap(&w->process, 1, &w->status, &cpu);
    }
    if (w->process.pidfd >= 0)
        close(w->process.pidfd);
    while (w->orphans != NULL)
        pool_drop_job(w->orphans);
    while (w->jobs != NULL)
        pool_drop_job(w->jobs);
    buf_wipe(&w->held);
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    must(p->open_handles == 0);
    for (unsigned i = 0; i < p->count; i++)
        free_worker(&p->workers[i]);
    map_fini(&p->jobs);
    pool_kit_fini(p);
    mem_free(p);
}

uint64_t pool_cpu_us(const struct pool *p)
{
    return p->cpu_us;
}
