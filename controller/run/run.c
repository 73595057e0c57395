/* See run.h. Setting up, the pump between events and actions, and taking down.
 *
 *   callback ─ run_event ─┐                      ┌─ attempt_start / attempt_cancel
 *   callback ─ run_event ─┴─ run_pump ─ sched ───┼─ attempt_final → output, record
 *                                                └─ done → handles close → the loop ends
 */
#include "controller/run/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "controller/run/run_internal.h"
#include "controller/run/target_config.h"

enum { CAPTURE_MAX = 64 << 20 }; /* of one host */

/* Who asks for a few hosts at a time wants to see what becomes of each before the next begins, also
 * of one that does not answer. */
enum { ASIDE_FROM = 32 };

/* ---- events in, actions out ---- */

void run_event(struct run *r, const struct sched_event *ev)
{
    if (r->head == r->tail)
        r->head = r->tail = 0;
    /* An event that cannot be stored would leave its host without an end: the run could never
     * finish. There is no honest way on. */
    must(mem_grow(&r->events, &r->cap, r->tail + 1, sizeof *r->events) == 0);
    struct pending_event *p = &r->events[r->tail++];
    p->ev = *ev;
    if (ev->outcome != NULL)
        p->outcome = *ev->outcome;
}

static void begin_close(struct run *r);

static void note_stopped(struct run *r, enum problem why)
{
    r->end.stopped = why;
    if (why == PROBLEM_NOT_STARTED_BREAKER)
        r->end.breaker_problem = r->last_before;
}

static void act(struct run *r, const struct sched_action *a)
{
    switch (a->type) {
    case SCHED_DO_START: attempt_start(r, a->target, a->attempt, a->budget_ms); break;
    case SCHED_DO_GO: aside_go(r, a->target); break;
    case SCHED_DO_CANCEL: attempt_cancel(r, a->target, a->problem); break;
    case SCHED_DO_FINAL: attempt_final(r, a->target, a->problem); break;
    case SCHED_DO_STOPPED: note_stopped(r, a->problem); break;
    case SCHED_DO_DONE: r->done = true; break;
    }
}

static void on_wake(uv_timer_t *t)
{
    struct run *r = t->data;
    r->wake_at = 0;
    run_event(r, &(struct sched_event){.type = SCHED_EV_TICK});
    run_pump(r);
}

static void set_wake(struct run *r)
{
    uint64_t links = links_wake_at(r);
    uint64_t at = links < r->sched_wake ? links : r->sched_wake;
    if (at == r->wake_at)
        return;
    r->wake_at = at;
    if (at == UINT64_MAX) {
        uv_timer_stop(&r->wake);
        return;
    }
    uint64_t now = clock_ms();
    uv_update_time(&r->loop);
    uv_timer_start(&r->wake, on_wake, at > now ? at - now : 0, 0);
}

static void step_all(struct run *r)
{
    while (r->head < r->tail && !r->done) {
        struct pending_event p = r->events[r->head++];
        if (p.ev.outcome != NULL)
            p.ev.outcome = &p.outcome;
        struct sched_actions actions = {0};
        must(sched_step(r->sched, clock_ms(), &p.ev, &actions) == RC_OK);
        for (size_t i = 0; i < actions.count; i++)
            act(r, &actions.items[i]);
        r->sched_wake = actions.wake_at_ms;
    }
}

/* The scheduler's actions are valid until its next step, and acting may bring new events: they
 * queue, and are taken after all actions of this step. */
void run_pump(struct run *r)
{
    if (r->pumping)
        return;
    r->pumping = true;
    do
        step_all(r);
    while (links_pump(r) || (r->head < r->tail && !r->done));
    r->pumping = false;
    if (r->done)
        begin_close(r);
    else
        set_wake(r);
}

/* ---- the loop's own handles ---- */

static void apply_stall(struct run *r)
{
    r->stalled = !r->stalled;
    if (r->stalled)
        pool_pause(r->pool);
    else
        pool_resume(r->pool);
    if (r->openssh != NULL)
        (r->stalled ? openssh_pause : openssh_resume)(r->openssh);
    agents_pause(r, r->stalled);
    run_event(r, &(struct sched_event){.type = r->stalled ? SCHED_EV_PAUSE : SCHED_EV_RESUME});
    run_pump(r);
}

/* Once. Not of a reader that went away, who is not interested. */
static void say_lost(struct run *r)
{
    int failed = writer_broken(r->out);
    if (failed == 0 || failed == EPIPE || r->out_lost)
        return;
    struct err e = {0};
    char line[sizeof e.msg + 16];
    err_sys(&e, failed, "standard output");
    int n = snprintf(line, sizeof line, "muster: %s\n", e.msg);
    if (r->progress != NULL)
        progress_erase(r->progress);
    r->err_sink.write(r->err_sink.user, line, (size_t)n);
    r->out_lost = true;
}

static bool is_endless(const struct run *r)
{
    return r->plan->agent != NULL && r->plan->agent->endless;
}

/* A reader that went away wants no more of it. A disk that is full here is no reason to leave hosts
 * halfway; but what only shows, and has no end of its own, is of no use then. */
static void look_at_reader(struct run *r)
{
    int broken = writer_broken(r->out);
    if (broken == 0 || r->reader_gone)
        return;
    say_lost(r);
    if (broken != EPIPE && !is_endless(r))
        return;
    r->reader_gone = true;
    log_info("our output is of no use any more: cancelling");
    run_event(r, &(struct sched_event){.type = SCHED_EV_CANCEL});
    run_pump(r);
}

/* Once per turn, before the loop waits: what must not be done from inside a write. */
static void on_prepare(uv_prepare_t *p)
{
    struct run *r = p->data;
    if (r->done)
        return;
    uint64_t now = uv_now(&r->loop);
    if (now - r->flushed_ms >= FLUSH_MS) {
        r->flushed_ms = now;
        record_flush(r->record);
    }
    bool full = r->out_full || r->err_full || record_full(r->record) ||
                (r->outdir != NULL && outdir_full(r->outdir)) ||
                (r->capture != NULL && outdir_full(r->capture));
    if (full != r->stalled)
        apply_stall(r);
    if (!r->done)
        look_at_reader(r);
}

static void on_out(void *user, bool full)
{
    ((struct run *)user)->out_full = full;
}

static void on_err(void *user, bool full)
{
    ((struct run *)user)->err_full = full;
}

static void on_beat(uv_timer_t *t)
{
    struct run *r = t->data;
    links_check_lookups(r);
    attempt_check_lookups(r);
    agents_beat(r);
    if (r->done)
        return;
    record_flush(r->record);
    pool_beat(r->pool);
    watch_beat(r);
}

static enum rc uv_failed(int status, const char *what, struct err *e)
{
    return status == 0 ? RC_OK : err_sys(e, -status, "%s", what);
}

static enum rc open_handles(struct run *r, struct err *e)
{
    uv_timer_init(&r->loop, &r->wake);
    uv_timer_init(&r->loop, &r->beat);
    uv_prepare_init(&r->loop, &r->prepare);
    r->wake.data = r->beat.data = r->prepare.data = r;
    r->handles_open = true;
    enum rc rc = uv_failed(uv_timer_start(&r->beat, on_beat, BEAT_MS, BEAT_MS), "timer", e);
    if (rc == RC_OK)
        rc = uv_failed(uv_prepare_start(&r->prepare, on_prepare), "loop", e);
    return rc;
}

/* ---- taking down: every handle is closed, then the loop runs out of work ---- */

static void begin_close(struct run *r)
{
    if (r->closing++ > 0)
        return;
    watch_close(r);
    if (r->handles_open) {
        uv_close((uv_handle_t *)&r->wake, NULL);
        uv_close((uv_handle_t *)&r->beat, NULL);
        uv_close((uv_handle_t *)&r->prepare, NULL);
    }
    if (r->resolver != NULL)
        resolver_close(r->resolver, NULL, NULL);
    trust_close(r->trust);
    openssh_close(r->openssh);
    signing_close(r);
    if (r->pool_attached)
        pool_close(r->pool, NULL, NULL);
    if (r->out != NULL)
        writer_detach(r->out, NULL, NULL);
    if (r->err != NULL)
        writer_detach(r->err, NULL, NULL);
}

/* ---- setting up ---- */

static void sched_options(const struct options *o, struct sched_opts *s)
{
    memset(s, 0, sizeof *s);
    s->fanout = o->fanout;
    s->aside = o->fanout >= ASIDE_FROM ? o->fanout : 0;
    s->rate = o->rate;
    s->retries = o->retries;
    memcpy(s->retry_on, o->retry_on, sizeof s->retry_on);
    s->retry_on_count = o->retry_on_count;
    s->connect_timeout_ms = o->connect_timeout_ms;
    s->deadline_ms = o->deadline_ms;
    s->max_fail_set = o->max_fail_set;
    s->max_fail = o->max_fail;
    s->max_fail_percent = o->max_fail_percent;
    memcpy(s->waves, o->waves, sizeof s->waves);
    s->wave_count = o->wave_count;
    s->breaker = o->no_breaker ? 0 : 20;
    s->backoff_base_ms = 250;
    s->backoff_max_ms = 5000;
    randombytes_buf(&s->seed, sizeof s->seed);
}

/* In the worker that has it: a host's socket, or the two ends of its way through a bastion. */
static unsigned descriptors_each(const struct run *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->plan->targets[i].way != 0)
            return 2;
    return 1;
}

/* Each worker has the limit for itself; the rest is for us. A worker that has less room in spite of
 * this lets its jobs wait. */
static void fit_fanout(struct sched_opts *s, unsigned workers, unsigned descriptors)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_max == RLIM_INFINITY)
        return;
    uint64_t own = lim.rlim_max > 128 ? 64 : 24;
    uint64_t each = lim.rlim_max > own ? (lim.rlim_max - own) / descriptors : 1;
    each = each > 0 ? each : 1;
    uint64_t room = each < POOL_FEW ? each : each * workers; /* few stay in one worker */
    if (s->fanout <= room) {
        s->aside = s->aside < room - s->fanout ? s->aside : (uint32_t)(room - s->fanout);
        return;
    }
    s->aside = 0;
    log_warn("the limit of %llu open files leaves room for %llu hosts at a time: --fanout lowered "
             "(raise it with ulimit -n)",
             (unsigned long long)lim.rlim_max, (unsigned long long)room);
    s->fanout = (uint32_t)room;
}

static bool runs_commands(const struct run *r)
{
    return r->plan->scan == NULL && (r->plan->agent == NULL || r->plan->agent->commands);
}

static bool can_be_retried(const struct run *r)
{
    return runs_commands(r) && (r->plan->agent == NULL || !r->plan->agent->only_looks);
}

static enum rc open_record(struct run *r, struct err *e)
{
    const struct options *o = r->options;
    if (r->plan->scan != NULL)
        return RC_OK;
    struct strings argv = {0};
    struct buf state, replay;
    char digest[RECORD_DIGEST];
    buf_init(&state, 8192);
    buf_init(&replay, 1 << 20);
    enum rc rc = record_state_dir(o->state_dir, &state, e);
    if (rc == RC_OK && (rc = options_replay_json(o, &replay)) != RC_OK)
        err_set(e, rc, "the record: %s", rc_name(rc));
    if (rc == RC_OK)
        rc = options_safe_argv(r->plan->options, &argv, e);
    if (rc == RC_OK) {
        record_digest(digest, r->plan->command_text, strlen(r->plan->command_text));
        struct record_start start = {
            .command = o->no_log_command ? NULL : r->plan->command_text,
            .command_digest = digest,
            .pattern = o->pattern,
            .reason = o->reason,
            .retry_of = o->retry_of,
            .argv_safe = argv.items,
            .argc = argv.count,
            .targets = r->names,
            .target_count = r->count,
            /* What only looks is asked for again, not retried. */
            .replay = can_be_retried(r) ? buf_cstr(&replay) : "null",
        };
        rc = record_open(&r->record, buf_cstr(&state), &start, e);
    }
    if (rc == RC_OK)
        record_spool(r->record, &r->spool);
    mem_free(argv.items);
    buf_fini(&state);
    buf_fini(&replay);
    return rc;
}

static enum rc open_output(struct run *r, struct err *e)
{
    writer_sink(r->out, &r->out_sink);
    writer_sink(r->err, &r->err_sink);
    const struct options *o = r->options;
    struct output_opts opts = o->output;
    if (!runs_commands(r)) { /* a summary only */
        opts.mode = OUTPUT_NONE;
        opts.columns = NULL;
    }
    snprintf(r->retry_hint, sizeof r->retry_hint, "muster retry %s", record_id(r->record));
    const char *attach = o->attach_run != NULL ? o->attach_run : record_id(r->record);
    snprintf(r->attach_hint, sizeof r->attach_hint, "muster attach %s", attach);
    r->about = (struct output_run){
        .run_id = record_id(r->record),
        .command = r->plan->command_text,
        .retry_hint = can_be_retried(r) ? r->retry_hint : NULL,
        .attach_hint = o->detach || o->attach_run != NULL ? r->attach_hint : NULL,
        .looks = r->plan->agent != NULL && r->plan->agent->only_looks,
        .hosts = r->plan->selection->hosts,
        .host_count = r->count,
        .inventory = r->plan->inventory,
        .started_wall_us = clock_wall_us(),
        .started_ms = r->started_ms,
    };
    enum rc rc = output_new(&r->output, &opts, &r->about, &r->out_sink, &r->err_sink, &r->spool, e);
    if (rc == RC_OK && o->out_dir != NULL)
        rc = outdir_new(&r->outdir, o->out_dir, r->names, r->count, 0, e);
    if (rc == RC_OK)
        output_set_outdir(r->output, r->outdir);
    if (rc == RC_OK && o->capture != NULL && r->plan->agent != NULL)
        rc = outdir_new(&r->capture, o->capture, r->names, r->count, CAPTURE_MAX, e);
    return rc;
}

static enum rc make_names(struct run *r, struct err *e)
{
    r->names = mem_alloc(r->count * sizeof *r->names);
    if (r->names == NULL)
        return err_nomem(e);
    for (uint32_t i = 0; i < r->count; i++)
        r->names[i] = r->plan->selection->hosts[i]->name;
    return RC_OK;
}

/* A certificate comes after its key: it was found by it. */
static enum rc give_key(struct run *r, unsigned id, struct err *e)
{
    const struct key_file *f = &r->plan->keys->items[id];
    if (f->agent_blob != NULL)
        return pool_add_identity(r->pool, id, -1, f->blob, f->blob_len, f->path, e);
    if (f->base >= 0)
        return pool_add_identity(r->pool, id, f->base, f->blob, f->blob_len, f->path, e);
    return pool_add_key(r->pool, id, f->text, f->len, f->passphrase, f->path, e);
}

static enum rc give_keys(struct run *r, struct err *e)
{
    struct keys *k = r->plan->keys;
    enum rc rc = RC_OK;
    for (unsigned i = 0; rc == RC_OK && i < k->count; i++)
        if (keys_usable(k, i))
            rc = give_key(r, i, e);
    keys_wipe_private(k);
    secrets_scrub();
    if (rc == RC_OK && r->plan->input != NULL)
        rc = pool_set_stdin(r->pool, r->plan->input->data, r->plan->input->len, e);
    return rc;
}

static enum rc open_parts(struct run *r, struct err *e)
{
    struct sched_opts s;
    sched_options(r->options, &s);
    fit_fanout(&s, r->options->workers, descriptors_each(r));
    r->attempts = mem_calloc(r->count, sizeof *r->attempts);
    enum rc rc = r->attempts != NULL ? links_open(r, e) : err_nomem(e);
    s.groups = links_groups(r);
    if (rc == RC_OK)
        rc = sched_new(&r->sched, &s, r->count, e);
    if (rc == RC_OK)
        rc = gate_new(&r->gate, GATE_PER_SERVER, e);
    if (rc == RC_OK)
        rc = proof_new(&r->proof, PROOF_AT_ONCE, s.breaker, e);
    if (rc == RC_OK)
        rc = proof_new(&r->become_proof, PROOF_AT_ONCE, s.breaker, e);
    if (rc == RC_OK)
        rc = open_handles(r, e);
    if (rc == RC_OK)
        rc = trust_new(&r->trust, r->options, &r->loop, attempt_on_trust, r, e);
    if (rc == RC_OK && r->plan->config != NULL)
        rc = target_config_trust(r->plan->config, r->trust, e);
    if (rc == RC_OK)
        rc = resolver_new(&r->resolver, &r->loop, NULL, e);
    if (rc == RC_OK)
        rc = pool_attach(r->pool, &r->loop, &attempt_pool_ops, r, e);
    r->pool_attached = rc == RC_OK;
    if (rc == RC_OK)
        rc = signing_open(r, e);
    if (rc == RC_OK)
        rc = give_keys(r, e);
    if (rc == RC_OK)
        rc = agents_open(r, e);
    if (rc == RC_OK)
        rc = writer_new(&r->out, STDOUT_FILENO, &r->loop, on_out, r, e);
    if (rc == RC_OK)
        rc = writer_new(&r->err, STDERR_FILENO, &r->loop, on_err, r, e);
    if (rc == RC_OK)
        writer_follow(r->err, r->out);
    if (rc == RC_OK)
        rc = make_names(r, e);
    if (rc == RC_OK)
        rc = open_record(r, e);
    if (rc == RC_OK)
        rc = open_output(r, e);
    if (rc == RC_OK)
        rc = agents_begin(r, e);
    if (rc == RC_OK)
        rc = watch_open(r, e);
    return rc;
}

/* Ctrl-C is the one end of what has no other, but for results that cannot be written: nobody was
 * interrupted, unless somebody was. */
static bool is_interrupted(struct run *r, const uint32_t counts[STATUS_COUNT])
{
    bool asked = r->interrupts == 1 || r->out_lost;
    if (!asked || !is_endless(r) || counts[STATUS_CANCELLED] > 0 || counts[STATUS_NOT_STARTED] > 0)
        return r->interrupts > 0;
    r->end.stopped = PROBLEM_NONE;
    return false;
}

/* The record's end is written before the results are shown: a reader that goes away in the middle
 * of them does not make the account untrue. */
static void conclude(struct run *r)
{
    uint32_t counts[STATUS_COUNT];
    struct err e = {0};
    r->end.duration_ms = clock_ms() - r->started_ms;
    output_counts(r->output, counts);
    r->end.interrupted = is_interrupted(r, counts);
    r->exit_code = output_exit_code(r->output, &r->end);
    if (outdir_close(r->outdir, &e) != RC_OK) {
        log_error("%s", e.msg);
        r->exit_code = r->exit_code == 0 ? 1 : r->exit_code;
    }
    r->outdir = NULL;
    output_set_outdir(r->output, NULL);
    if (outdir_close(r->capture, &e) != RC_OK)
        log_warn("--capture: %s", e.msg);
    r->capture = NULL;
    if (record_end(r->record, counts, r->exit_code, problem_name(r->end.stopped),
                   r->end.duration_ms, &e) != RC_OK)
        log_warn("%s", e.msg);
    if (r->plan->scan != NULL)
        r->plan->scan->report(r->plan->scan->user);
    if (r->plan->agent != NULL && r->plan->agent->report != NULL)
        r->plan->agent->report(r->plan->agent->user);
    output_finish(r->output, &r->end);
    writer_flush(r->out);
    say_lost(r);
    if (r->out_lost && r->exit_code == 0)
        r->exit_code = 1;
    record_free(r->record);
    r->record = NULL;
}

static void free_parts(struct run *r)
{
    attempts_free(r);
    output_free(r->output);
    outdir_close(r->outdir, NULL);
    outdir_close(r->capture, NULL);
    mem_free(r->names);
    progress_free(r->progress);
    writer_free(r->err); /* it may wait for the other */
    writer_free(r->out);
    sched_free(r->sched);
    gate_free(r->gate);
    links_free(r);
    proof_free(r->proof);
    proof_free(r->become_proof);
    signing_free(r);
    pool_free(r->pool);
    mem_free(r->events);
    mem_free(r);
}

enum rc run_execute(const struct run_plan *plan, int *code, struct err *e)
{
    struct run *r = mem_calloc(1, sizeof *r);
    if (r == NULL) {
        pool_free(plan->pool);
        return err_nomem(e);
    }
    r->plan = plan;
    r->options = plan->options;
    r->count = (uint32_t)plan->selection->count;
    r->pool = plan->pool;
    r->started_ms = clock_ms();
    int status = uv_loop_init(&r->loop);
    if (status != 0) {
        pool_free(plan->pool);
        mem_free(r);
        return err_sys(e, -status, "cannot make an event loop");
    }
    enum rc rc = open_parts(r, e);
    if (rc == RC_OK) {
        run_event(r, &(struct sched_event){.type = SCHED_EV_TICK});
        run_pump(r);
    } else {
        begin_close(r);
    }
    uv_run(&r->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&r->loop) == 0);
    if (rc == RC_OK) {
        conclude(r);
        *code = r->exit_code;
    } else if (r->record != NULL) {
        uint32_t none[STATUS_COUNT] = {0};
        record_close(r->record, none, 1, rc_name(rc), 0, NULL);
    }
    free_parts(r);
    return rc;
}
