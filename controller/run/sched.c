/* See sched.h.
 *
 * Targets start in the order of their numbers, so those never started are one range; those backing
 * off are a heap by the time they are due, and go first once they are. Those that were under way in
 * a worker that died are suspects: one of them may kill the next worker too, so they wait until
 * nothing else runs, and then go one at a time, the next when the one before has got past its
 * login. A pause is a shift: inside, time is the caller's less all pauses so far, so that every
 * deadline and back-off moves alike.
 */
#include "controller/run/sched.h"

#include "common/mem.h"
#include "controller/run/backoff.h"
#include "controller/run/queues.h"

enum state { WAITING, RUNNING, BACKING_OFF, FINAL };

/* Of one that runs: does it hold one of the window's places? */
enum aside {
    PLACED,
    SILENT,  /* no: nothing has been heard of it */
    IN_LINE, /* no: it was heard of, and waits for one */
};

struct target {
    uint64_t used_ms;   /* of the connect bound, back-offs included */
    uint32_t attempts;  /* begun */
    uint32_t throttled; /* of them, that the server turned away for now */
    uint8_t state;
    bool sent;      /* the running attempt's command was sent */
    bool cancelled; /* DO_CANCEL was given */
    bool trial;     /* the running attempt is a suspect's */
    uint8_t aside;  /* enum aside, of the running attempt */
    bool keeps;     /* it was in line for its place, and does not lose it again */
};

struct sched {
    struct sched_opts opts;
    struct target *targets;
    uint32_t total;
    uint32_t next_new; /* first target never started */
    uint32_t skipped;  /* after it, final without a start: their group is dead */
    uint32_t running, finals, failed, started;
    uint32_t aside; /* of those that run, that hold no place */
    struct due_heap resting;
    struct ring suspects, line;
    uint32_t cleared; /* trials that run and whose command was sent */
    struct sched_action *actions;
    size_t action_count;

    bool begun; /* first event seen */
    bool done;  /* DO_DONE was given */
    bool paused;
    uint64_t real_now; /* the caller's time */
    uint64_t shift;    /* of it spent in pauses */
    uint64_t now;      /* real_now - shift */
    uint64_t deadline; /* UINT64_MAX: none, or seen */

    enum problem stop; /* why nothing starts any more, or PROBLEM_NONE */
    bool told_stop;

    double tokens;
    uint64_t tokens_at; /* when they were last counted */

    uint32_t wave, wave_start, wave_end, wave_finals;

    bool breaker_armed;
    enum problem breaker_problem;
    uint32_t breaker_seen; /* finals that it counts */
    uint64_t fail_limit;   /* stop past this; UINT64_MAX: never */
    uint64_t random;
};

static uint32_t percent_of(uint32_t total, uint32_t percent)
{
    return (uint32_t)((uint64_t)total * percent / 100);
}

static double burst(const struct sched *s)
{
    return s->opts.rate > 10 ? s->opts.rate / 10 : 1;
}

static void open_wave(struct sched *s)
{
    const struct sched_opts *o = &s->opts;
    uint32_t size = s->total;
    s->wave_start = s->wave_end;
    if (o->wave_count > 0) {
        const struct sched_wave *w =
            &o->waves[s->wave < o->wave_count ? s->wave : o->wave_count - 1];
        size = w->percent ? percent_of(s->total, w->n) : w->n;
        size = size > 0 ? size : 1;
        s->wave++;
    }
    uint32_t left = s->total - s->wave_start;
    s->wave_end = s->wave_start + (size < left ? size : left);
    s->wave_finals = 0;
    for (uint32_t i = s->wave_start; s->skipped > 0 && i < s->wave_end; i++)
        s->wave_finals += s->targets[i].state == FINAL;
}

/* In one step each target starts, goes on, is cancelled or becomes final, once, and the event's own
 * may go on and be cancelled; and the run is said to have stopped and to be done. */
static size_t actions_max(const struct sched *s)
{
    return (size_t)s->total + 3;
}

enum rc sched_new(struct sched **out, const struct sched_opts *opts, uint32_t targets,
                  struct err *e)
{
    enum rc rc = sched_opts_check(opts, targets, e);
    if (rc != RC_OK)
        return rc;
    struct sched *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    s->opts = *opts;
    s->total = targets;
    s->targets = mem_calloc(targets, sizeof *s->targets);
    s->actions = mem_calloc(actions_max(s), sizeof *s->actions);
    if (s->targets == NULL || s->actions == NULL || due_heap_init(&s->resting, targets) != RC_OK ||
        ring_init(&s->suspects, targets) != RC_OK || ring_init(&s->line, targets) != RC_OK) {
        sched_free(s);
        return err_nomem(e);
    }
    s->deadline = UINT64_MAX;
    s->tokens = burst(s);
    s->breaker_armed = opts->breaker > 0 && targets >= opts->breaker;
    s->fail_limit = UINT64_MAX;
    if (opts->max_fail_set)
        s->fail_limit =
            opts->max_fail_percent ? percent_of(targets, opts->max_fail) : opts->max_fail;
    s->random = opts->seed;
    open_wave(s);
    *out = s;
    return RC_OK;
}

void sched_free(struct sched *s)
{
    if (s == NULL)
        return;
    mem_free(s->targets);
    due_heap_fini(&s->resting);
    ring_fini(&s->suspects);
    ring_fini(&s->line);
    mem_free(s->actions);
    mem_free(s);
}

static struct sched_action *act(struct sched *s, enum sched_action_type type, uint32_t target,
                                enum problem problem)
{
    must(s->action_count < actions_max(s));
    struct sched_action *a = &s->actions[s->action_count++];
    *a = (struct sched_action){.type = type, .target = target, .problem = problem};
    return a;
}

static bool is_suspect(const struct outcome *o)
{
    return o->problem == PROBLEM_WORKER_DIED || o->problem == PROBLEM_WORKER_LOST;
}

/* ---- stopping ---- */

static void set_final(struct sched *s, uint32_t target, enum problem problem)
{
    s->targets[target].state = FINAL;
    s->finals++;
    s->wave_finals++; /* of a wave that a stop skipped too; nothing asks then */
    act(s, SCHED_DO_FINAL, target, problem);
}

/* Never started, and to be started yet. */
static uint32_t waiting(const struct sched *s)
{
    return s->total - s->next_new - s->skipped;
}

static void tell_stop(struct sched *s, enum problem why)
{
    if (!s->told_stop)
        act(s, SCHED_DO_STOPPED, 0, why);
    s->told_stop = true;
}

/* Nothing starts from here on. Those never started end with `why`, those backing off with what
 * their last attempt came to. */
static void stop(struct sched *s, enum problem why)
{
    if (s->stop != PROBLEM_NONE)
        return;
    s->stop = why;
    if (waiting(s) > 0 || s->resting.count > 0 || s->suspects.count > 0)
        tell_stop(s, why);
    while (s->resting.count > 0)
        set_final(s, due_heap_pop(&s->resting), PROBLEM_NONE);
    while (s->suspects.count > 0)
        set_final(s, ring_pop(&s->suspects), PROBLEM_NONE);
    while (waiting(s) > 0) {
        if (s->targets[s->next_new].state == WAITING)
            set_final(s, s->next_new, why);
        else
            s->skipped--;
        s->next_new++;
    }
}

static void cancel_running(struct sched *s, enum problem stopped, enum problem why)
{
    if (s->running == 0)
        return;
    tell_stop(s, stopped);
    for (uint32_t i = 0, left = s->running; left > 0; i++) {
        struct target *t = &s->targets[i];
        if (t->state != RUNNING)
            continue;
        left--;
        if (!t->cancelled)
            act(s, SCHED_DO_CANCEL, i, why);
        t->cancelled = true;
    }
}

static void check_deadline(struct sched *s)
{
    if (s->paused || s->now < s->deadline)
        return;
    s->deadline = UINT64_MAX;
    stop(s, PROBLEM_NOT_STARTED_DEADLINE);
    cancel_running(s, PROBLEM_NOT_STARTED_DEADLINE, PROBLEM_DEADLINE);
}

/* ---- an attempt ends ---- */

static void check_runs(const struct sched *s, uint32_t target)
{
    must(target < s->total && s->targets[target].state == RUNNING);
}

static bool is_throttled(const struct outcome *o)
{
    return o->problem == PROBLEM_THROTTLED && !o->sent;
}

static uint64_t backoff(struct sched *s, const struct target *t, const struct outcome *o,
                        uint64_t used)
{
    struct backoff b = {s->opts.backoff_base_ms, s->opts.backoff_max_ms, &s->random};
    uint64_t bound = s->opts.connect_timeout_ms;
    if (is_throttled(o))
        return backoff_throttled(&b, t->throttled, bound, bound - t->used_ms, used);
    return is_suspect(o) ? 0 : backoff_wait(&b, t->attempts);
}

/* A server that turned us away because it is busy has not failed: that counts as no attempt, and
 * only the bound ends it. Accounts are locked for a wrong password: it is never tried again. */
static bool wants_retry(const struct sched *s, const struct target *t, const struct outcome *o)
{
    if (o->problem == PROBLEM_NONE || t->cancelled || s->opts.retries == 0 ||
        t->attempts - t->throttled > s->opts.retries ||
        problem_status(o->problem) == STATUS_CANCELLED)
        return false;
    if (t->trial && is_suspect(o)) /* twice, and now alone: it is the one */
        return false;
    bool fast = !o->sent && problem_retry(o->problem) == RETRY_FAST;
    return fast || (o->problem != PROBLEM_BECOME_WRONG_PASSWORD && sched_opts_retry(&s->opts, o));
}

/* What was sent has had its connection: a retry of it gets the whole bound again. Otherwise all
 * attempts and their back-offs share one. */
static bool plan_retry(struct sched *s, uint32_t target, const struct outcome *o, uint64_t used)
{
    struct target *t = &s->targets[target];
    uint64_t bound = s->opts.connect_timeout_ms, left = bound - t->used_ms;
    uint64_t wait = backoff(s, t, o, used);
    if (o->sent) {
        t->used_ms = 0;
    } else {
        /* With less time left than it just took, another try could only run into the bound, and
         * would hide what really happened. */
        if (used >= left || wait >= left - used || left - used - wait < used)
            return false;
        t->used_ms += used + wait;
    }
    t->state = BACKING_OFF;
    if (is_suspect(o))
        ring_push(&s->suspects, target);
    else
        due_heap_push(&s->resting, s->now + wait, target);
    return true;
}

static void count_final(struct sched *s, const struct outcome *o)
{
    if (problem_status(o->problem) != STATUS_OK)
        s->failed++;
    /* What a dead bastion does to the hosts behind it is dealt with by group. */
    if (s->breaker_armed && o->problem != PROBLEM_JUMP_UNREACHABLE &&
        o->problem != PROBLEM_NOT_STARTED_JUMP) {
        if (++s->breaker_seen == 1)
            s->breaker_problem = o->problem;
        if (!outcome_before_command(o) || o->problem != s->breaker_problem)
            s->breaker_armed = false;
    }
    if (s->breaker_armed && s->breaker_seen == s->opts.breaker) {
        s->breaker_armed = false;
        stop(s, PROBLEM_NOT_STARTED_BREAKER);
    }
    if (s->failed > s->fail_limit)
        stop(s, PROBLEM_NOT_STARTED_BUDGET);
}

/* They could not have been reached: for the budget they count as failed; the breaker, which asks
 * what the first hosts came to, has nothing to learn from them. */
static void skip_group(struct sched *s, uint32_t group)
{
    must(s->opts.groups != NULL);
    for (uint32_t i = s->next_new; i < s->total; i++) {
        if (s->opts.groups[i] != group || s->targets[i].state != WAITING)
            continue;
        s->skipped++;
        s->failed++;
        set_final(s, i, PROBLEM_NOT_STARTED_JUMP);
        s->wave_finals -= i >= s->wave_end;
    }
    if (s->failed > s->fail_limit)
        stop(s, PROBLEM_NOT_STARTED_BUDGET);
}

/* ---- those that hold no place ---- */

/* So many that nobody answers for shall not keep the others waiting; what they cost is a socket. */
static void fell_silent(struct sched *s, uint32_t target)
{
    struct target *t = &s->targets[target];
    if (t->aside != PLACED || t->keeps || s->aside == s->opts.aside)
        return;
    t->aside = SILENT;
    s->aside++;
}

static void answered(struct sched *s, uint32_t target)
{
    struct target *t = &s->targets[target];
    must(t->aside != IN_LINE);
    if (t->aside == SILENT) {
        t->aside = IN_LINE;
        ring_push(&s->line, target);
    } else {
        act(s, SCHED_DO_GO, target, PROBLEM_NONE);
    }
}

static bool has_room(const struct sched *s)
{
    return s->running - s->aside < s->opts.fanout;
}

static void place(struct sched *s, struct target *t)
{
    t->aside = PLACED;
    t->keeps = true;
    s->aside--;
}

/* Before any that was never started. */
static void serve_line(struct sched *s)
{
    while (s->line.count > 0 && has_room(s)) {
        uint32_t target = ring_pop(&s->line);
        place(s, &s->targets[target]);
        if (!s->targets[target].cancelled)
            act(s, SCHED_DO_GO, target, PROBLEM_NONE);
    }
}

static void leave_aside(struct sched *s, uint32_t target)
{
    struct target *t = &s->targets[target];
    if (t->aside == IN_LINE)
        ring_remove(&s->line, target);
    if (t->aside != PLACED)
        place(s, t);
}

/* ---- an attempt's end ---- */

static void finished(struct sched *s, const struct sched_event *ev)
{
    check_runs(s, ev->target);
    must(ev->outcome != NULL);
    struct target *t = &s->targets[ev->target];
    struct outcome o = *ev->outcome;
    o.sent = o.sent || t->sent;
    leave_aside(s, ev->target);
    s->running--;
    s->cleared -= t->trial && t->sent;
    t->throttled += is_throttled(&o);
    if (wants_retry(s, t, &o)) {
        if (s->stop != PROBLEM_NONE)
            tell_stop(s, s->stop);
        else if (plan_retry(s, ev->target, &o, ev->connect_ms_used))
            return;
    }
    set_final(s, ev->target, PROBLEM_NONE);
    count_final(s, &o);
}

/* ---- starting ---- */

static bool take_token(struct sched *s)
{
    if (s->opts.rate <= 0)
        return true;
    s->tokens += (double)(s->now - s->tokens_at) * s->opts.rate / 1000;
    s->tokens_at = s->now;
    if (s->tokens > burst(s))
        s->tokens = burst(s);
    if (s->tokens < 1)
        return false;
    s->tokens -= 1;
    return true;
}

static uint64_t token_at(const struct sched *s)
{
    return s->now + (uint64_t)((1 - s->tokens) * 1000 / s->opts.rate) + 1;
}

static void start(struct sched *s, uint32_t target, bool trial)
{
    struct target *t = &s->targets[target];
    t->state = RUNNING;
    t->sent = false;
    t->trial = trial;
    t->keeps = false;
    s->started += t->attempts == 0;
    t->attempts++;
    s->running++;
    struct sched_action *a = act(s, SCHED_DO_START, target, PROBLEM_NONE);
    a->attempt = t->attempts;
    a->budget_ms = s->opts.connect_timeout_ms - t->used_ms;
}

static bool due_now(const struct sched *s)
{
    return s->resting.count > 0 && s->resting.items[0].at <= s->now;
}

/* Nothing else is left to start, and whoever runs has shown that it kills no worker. */
static bool trial_may_start(const struct sched *s)
{
    return s->suspects.count > 0 && s->resting.count == 0 && s->running == s->cleared;
}

/* Those whose group died before their turn are no longer in line. */
static void pass_skipped(struct sched *s)
{
    while (s->skipped > 0 && s->next_new < s->wave_end && s->targets[s->next_new].state == FINAL) {
        s->skipped--;
        s->next_new++;
    }
}

/* Starts what may start. Returns when it wants to be called again (in inner time). */
static uint64_t start_more(struct sched *s)
{
    if (s->paused)
        return UINT64_MAX;
    serve_line(s);
    if (s->stop != PROBLEM_NONE)
        return UINT64_MAX;
    while (s->wave_finals == s->wave_end - s->wave_start && s->wave_end < s->total)
        open_wave(s);
    while (has_room(s)) {
        pass_skipped(s);
        bool retry = due_now(s), trial = false;
        if (!retry && s->next_new == s->wave_end) {
            trial = trial_may_start(s);
            if (!trial)
                return s->resting.count > 0 ? s->resting.items[0].at : UINT64_MAX;
        }
        if (!take_token(s))
            return token_at(s);
        start(s,
              trial   ? ring_pop(&s->suspects)
              : retry ? due_heap_pop(&s->resting)
                      : s->next_new++,
              trial);
    }
    return UINT64_MAX; /* full: the next end of an attempt makes room */
}

/* ---- one step ---- */

static void begin(struct sched *s)
{
    s->begun = true;
    s->shift = 0;
    s->now = s->real_now;
    s->tokens_at = s->now;
    if (s->opts.deadline_ms > 0 && s->opts.deadline_ms < UINT64_MAX - s->now)
        s->deadline = s->now + s->opts.deadline_ms;
}

static void advance(struct sched *s, uint64_t now_ms)
{
    if (!s->begun) {
        s->real_now = now_ms;
        begin(s);
        return;
    }
    if (now_ms < s->real_now)
        now_ms = s->real_now;
    if (s->paused)
        s->shift += now_ms - s->real_now;
    s->real_now = now_ms;
    s->now = now_ms - s->shift;
}

static void handle(struct sched *s, const struct sched_event *ev)
{
    switch (ev->type) {
    case SCHED_EV_TICK: break;
    case SCHED_EV_FINISHED: finished(s, ev); break;
    case SCHED_EV_SILENT:
        check_runs(s, ev->target);
        fell_silent(s, ev->target);
        break;
    case SCHED_EV_ANSWERED:
        check_runs(s, ev->target);
        answered(s, ev->target);
        break;
    case SCHED_EV_SENT:
        check_runs(s, ev->target);
        must(s->targets[ev->target].aside == PLACED);
        s->cleared += s->targets[ev->target].trial && !s->targets[ev->target].sent;
        s->targets[ev->target].sent = true;
        break;
    case SCHED_EV_CANCEL:
        stop(s, PROBLEM_NOT_STARTED_CANCEL);
        cancel_running(s, PROBLEM_NOT_STARTED_CANCEL, PROBLEM_CANCELLED);
        break;
    case SCHED_EV_PAUSE:
        check_deadline(s); /* of the time before the pause */
        s->paused = true;
        break;
    case SCHED_EV_RESUME: s->paused = false; break;
    case SCHED_EV_GROUP_DEAD: skip_group(s, ev->group); break;
    }
}

static uint64_t wake_at(const struct sched *s, uint64_t start_at)
{
    if (s->paused || s->done)
        return UINT64_MAX;
    uint64_t at = start_at < s->deadline ? start_at : s->deadline;
    return at == UINT64_MAX ? at : at + s->shift;
}

enum rc sched_step(struct sched *s, uint64_t now_ms, const struct sched_event *ev,
                   struct sched_actions *out)
{
    s->action_count = 0;
    advance(s, now_ms);
    handle(s, ev);
    check_deadline(s);
    uint64_t start_at = start_more(s);
    if (s->finals == s->total && !s->done) {
        s->done = true;
        act(s, SCHED_DO_DONE, 0, PROBLEM_NONE);
    }
    out->items = s->actions;
    out->count = s->action_count;
    out->wake_at_ms = wake_at(s, start_at);
    return RC_OK;
}

void sched_counts(const struct sched *s, struct sched_counts *out)
{
    *out = (struct sched_counts){
        .total = s->total,
        .waiting = waiting(s),
        .running = s->running,
        .backing_off = s->resting.count + s->suspects.count,
        .final_ = s->finals,
        .failed = s->failed,
        .started = s->started,
        .wave = s->wave,
    };
}
