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

enum state { WAITING, RUNNING, BACKING_OFF, FINAL };

struct target {
    uint64_t used_ms;   /* of the connect bound, back-offs included */
    uint32_t attempts;  /* begun */
    uint32_t throttled; /* of them, that the server turned away for now */
    uint8_t state;
    bool sent;      /* the running attempt's command was sent */
    bool cancelled; /* DO_CANCEL was given */
    bool trial;     /* the running attempt is a suspect's */
};

struct due {
    uint64_t at;
    uint32_t target;
};

struct sched {
    struct sched_opts opts;
    struct target *targets;
    uint32_t total;
    uint32_t next_new; /* first target never started */
    uint32_t skipped;  /* after it, final without a start: their group is dead */
    uint32_t running, finals, failed, started;
    struct due *heap;
    uint32_t heap_count;
    uint32_t *suspects; /* a ring */
    uint32_t suspect_first, suspect_count;
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

static enum rc check_waves(const struct sched_opts *o, struct err *e)
{
    if (o->wave_count > SCHED_WAVES_MAX)
        return err_set(e, RC_USAGE, "at most %d sizes of waves", SCHED_WAVES_MAX);
    for (uint32_t i = 0; i < o->wave_count; i++) {
        if (o->waves[i].n == 0)
            return err_set(e, RC_USAGE, "a wave of 0 hosts never ends; use 1 or more");
        if (o->waves[i].percent && o->waves[i].n > 100)
            return err_set(e, RC_USAGE, "a wave of %u%%; at most 100%%", o->waves[i].n);
    }
    return RC_OK;
}

static enum rc check_opts(const struct sched_opts *o, uint32_t targets, struct err *e)
{
    if (o->fanout == 0)
        return err_set(e, RC_USAGE, "a fan-out of 0 starts nothing; use 1 or more");
    if (o->rate != 0 && !(o->rate >= 1e-6 && o->rate <= 1e6))
        return err_set(e, RC_USAGE,
                       "the rate of logins must be between 0.000001 and 1000000 a second, or 0");
    if (o->retry_on_count > SCHED_RETRY_ON_MAX)
        return err_set(e, RC_USAGE, "at most %d causes to retry on", SCHED_RETRY_ON_MAX);
    if (o->connect_timeout_ms == 0)
        return err_set(e, RC_USAGE, "a connect timeout of 0 reaches nothing");
    if (o->max_fail_set && o->max_fail_percent && o->max_fail > 100)
        return err_set(e, RC_USAGE, "a budget of %u%% failures; at most 100%%", o->max_fail);
    if (targets == UINT32_MAX)
        return err_set(e, RC_LIMIT, "too many hosts");
    return check_waves(o, e);
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

enum rc sched_new(struct sched **out, const struct sched_opts *opts, uint32_t targets,
                  struct err *e)
{
    enum rc rc = check_opts(opts, targets, e);
    if (rc != RC_OK)
        return rc;
    struct sched *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    s->opts = *opts;
    s->total = targets;
    s->targets = mem_calloc(targets, sizeof *s->targets);
    s->heap = mem_calloc(targets, sizeof *s->heap);
    s->suspects = mem_calloc(targets, sizeof *s->suspects);
    /* In one step each target starts, is cancelled or becomes final, once; and the run is said to
     * have stopped and to be done. */
    s->actions = mem_calloc((size_t)targets + 2, sizeof *s->actions);
    if (s->targets == NULL || s->heap == NULL || s->suspects == NULL || s->actions == NULL) {
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
    mem_free(s->heap);
    mem_free(s->suspects);
    mem_free(s->actions);
    mem_free(s);
}

static struct sched_action *act(struct sched *s, enum sched_action_type type, uint32_t target,
                                enum problem problem)
{
    must(s->action_count < (size_t)s->total + 2);
    struct sched_action *a = &s->actions[s->action_count++];
    *a = (struct sched_action){.type = type, .target = target, .problem = problem};
    return a;
}

/* ---- the heap of those backing off ---- */

static bool before(const struct due *a, const struct due *b)
{
    return a->at != b->at ? a->at < b->at : a->target < b->target;
}

static void heap_push(struct sched *s, uint64_t at, uint32_t target)
{
    uint32_t i = s->heap_count++;
    struct due d = {at, target};
    for (; i > 0 && before(&d, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = d;
}

static uint32_t heap_pop(struct sched *s)
{
    uint32_t top = s->heap[0].target;
    struct due last = s->heap[--s->heap_count];
    uint32_t i = 0, n = s->heap_count;
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!before(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
    }
    if (n > 0)
        s->heap[i] = last;
    return top;
}

/* ---- suspects ---- */

static void suspect_push(struct sched *s, uint32_t target)
{
    s->suspects[(uint32_t)(((uint64_t)s->suspect_first + s->suspect_count) % s->total)] = target;
    s->suspect_count++;
}

static uint32_t suspect_pop(struct sched *s)
{
    uint32_t target = s->suspects[s->suspect_first];
    s->suspect_first = (s->suspect_first + 1) % s->total;
    s->suspect_count--;
    return target;
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
    if (waiting(s) > 0 || s->heap_count > 0 || s->suspect_count > 0)
        tell_stop(s, why);
    while (s->heap_count > 0)
        set_final(s, heap_pop(s), PROBLEM_NONE);
    while (s->suspect_count > 0)
        set_final(s, suspect_pop(s), PROBLEM_NONE);
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

static bool in_retry_on(const struct sched *s, const struct outcome *o)
{
    for (uint32_t i = 0; i < s->opts.retry_on_count; i++) {
        const struct sched_retry_on *r = &s->opts.retry_on[i];
        if (r->kind == RETRY_ON_STATUS && r->value == (int)problem_status(o->problem))
            return true;
        if (r->kind == RETRY_ON_PROBLEM && r->value == (int)o->problem)
            return true;
        if (r->kind == RETRY_ON_EXIT && o->problem == PROBLEM_EXIT_NONZERO &&
            r->value == o->exit_code)
            return true;
    }
    return false;
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
    return fast || (o->problem != PROBLEM_BECOME_WRONG_PASSWORD && in_retry_on(s, o));
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
        suspect_push(s, target);
    else
        heap_push(s, s->now + wait, target);
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

static void finished(struct sched *s, const struct sched_event *ev)
{
    must(ev->target < s->total && s->targets[ev->target].state == RUNNING);
    must(ev->outcome != NULL);
    struct target *t = &s->targets[ev->target];
    struct outcome o = *ev->outcome;
    o.sent = o.sent || t->sent;
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
    s->started += t->attempts == 0;
    t->attempts++;
    s->running++;
    struct sched_action *a = act(s, SCHED_DO_START, target, PROBLEM_NONE);
    a->attempt = t->attempts;
    a->budget_ms = s->opts.connect_timeout_ms - t->used_ms;
}

static bool due_now(const struct sched *s)
{
    return s->heap_count > 0 && s->heap[0].at <= s->now;
}

/* Nothing else is left to start, and whoever runs has shown that it kills no worker. */
static bool trial_may_start(const struct sched *s)
{
    return s->suspect_count > 0 && s->heap_count == 0 && s->running == s->cleared;
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
    if (s->stop != PROBLEM_NONE || s->paused)
        return UINT64_MAX;
    while (s->wave_finals == s->wave_end - s->wave_start && s->wave_end < s->total)
        open_wave(s);
    while (s->running < s->opts.fanout) {
        pass_skipped(s);
        bool retry = due_now(s), trial = false;
        if (!retry && s->next_new == s->wave_end) {
            trial = trial_may_start(s);
            if (!trial)
                return s->heap_count > 0 ? s->heap[0].at : UINT64_MAX;
        }
        if (!take_token(s))
            return token_at(s);
        start(s, trial ? suspect_pop(s) : retry ? heap_pop(s) : s->next_new++, trial);
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
    case SCHED_EV_SENT:
        must(ev->target < s->total && s->targets[ev->target].state == RUNNING);
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
        .backing_off = s->heap_count + s->suspect_count,
        .final_ = s->finals,
        .failed = s->failed,
        .started = s->started,
        .wave = s->wave,
    };
}
