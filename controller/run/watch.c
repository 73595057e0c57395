/* The person at the terminal during a run: Ctrl-C, Enter, and the line that says how far it is.
 *
 * First Ctrl-C (or TERM, HUP): start nothing new, cancel what runs, report everything. Second:
 * leave at once. Loop thread only.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "controller/run/run_internal.h"

enum { STRAGGLERS = 8, PROGRESS_AFTER_MS = 500 };

/* Log lines of our own must not break the progress line. */
static void log_to_sink(enum log_level level, const char *line, void *user)
{
    struct run *r = user;
    (void)level;
    if (r->progress != NULL)
        progress_erase(r->progress);
    r->err_sink.write(r->err_sink.user, line, strlen(line));
    r->err_sink.write(r->err_sink.user, "\n", 1);
}

static bool looks(const struct run *r)
{
    return r->plan->agent != NULL && r->plan->agent->only_looks;
}

/* The workers end by themselves when our socket closes; the record keeps what it has, and says by
 * its missing end that we left. Nothing here may wait: the person has asked twice. */
static _Noreturn void leave_at_once(struct run *r)
{
    struct sched_counts c;
    sched_counts(r->sched, &c);
    record_flush(r->record);
    char line[256], more[128] = "";
    if (looks(r))
        snprintf(more, sizeof more, "; their commands go on (muster attach %s)",
                 r->options->attach_run);
    else if (r->plan->scan == NULL)
        snprintf(more, sizeof more, "; commands may still run (muster show %s)",
                 record_id(r->record));
    int n = snprintf(line, sizeof line, "\nmuster: left with %u of %u hosts unfinished%s\n",
                     c.total - c.final_, c.total, more);
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0) {
        signal(SIGINT, SIG_DFL); /* the room may be gone by now: a third one ends us then */
        if (write(STDERR_FILENO, line, (size_t)n) < 0)
            _exit(130);
    }
    _exit(130);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct run *r = h->data;
    if (r->interrupts++ > 0 && signum == SIGINT)
        leave_at_once(r);
    if (r->interrupts > 1)
        return;
    struct sched_counts c;
    sched_counts(r->sched, &c);
    if (signum == SIGINT && r->err_sink.is_tty && looks(r))
        log_warn("leaving %u host%s: what runs there goes on; muster attach %s shows it again",
                 c.running + c.waiting, c.running + c.waiting == 1 ? "" : "s",
                 r->options->attach_run);
    else if (signum == SIGINT && r->err_sink.is_tty)
        log_warn("cancelling %u running host%s, %u not started; Ctrl-C again leaves at once",
                 c.running, c.running == 1 ? "" : "s", c.waiting);
    run_event(r, &(struct sched_event){.type = SCHED_EV_CANCEL});
    run_pump(r);
}

static void view(const struct run *r, struct progress_view *v, const char *names[STRAGGLERS],
                 const char *phases[STRAGGLERS], uint64_t ages[STRAGGLERS])
{
    struct sched_counts c;
    uint64_t now = clock_ms();
    sched_counts(r->sched, &c);
    *v = (struct progress_view){.total = c.total,
                                .done = c.final_,
                                .running = c.running,
                                .waiting = c.waiting + c.backing_off,
                                .failed = c.failed,
                                .elapsed_ms = now - r->started_ms,
                                .paused = r->stalled,
                                .stragglers = names,
                                .straggler_phases = phases,
                                .straggler_ms = ages};
    for (const struct attempt *a = r->oldest; a != NULL && v->straggler_count < STRAGGLERS;
         a = a->next) {
        names[v->straggler_count] = r->plan->targets[a->target].host->name;
        phases[v->straggler_count] = phase_name(a->phase);
        ages[v->straggler_count++] = now - a->start_ms;
    }
}

static void on_keyboard(uv_poll_t *h, int status, int events)
{
    struct run *r = h->data;
    char keys[256];
    (void)events;
    /* Reading a terminal from the background would stop us. */
    bool ours = tcgetpgrp(STDIN_FILENO) == getpgrp();
    if (status != 0 || !ours || read(STDIN_FILENO, keys, sizeof keys) <= 0) {
        uv_poll_stop(h);
        return;
    }
    const char *names[STRAGGLERS], *phases[STRAGGLERS];
    uint64_t ages[STRAGGLERS];
    struct progress_view v;
    view(r, &v, names, phases, ages);
    progress_report(r->progress, &v);
}

void watch_beat(struct run *r)
{
    if (r->progress == NULL || clock_ms() - r->started_ms < PROGRESS_AFTER_MS)
        return;
    const char *names[STRAGGLERS], *phases[STRAGGLERS];
    uint64_t ages[STRAGGLERS];
    struct progress_view v;
    view(r, &v, names, phases, ages);
    progress_draw(r->progress, &v);
}

static bool wants_progress(const struct run *r)
{
    if (r->options->progress != TRI_AUTO)
        return r->options->progress == TRI_ALWAYS;
    const char *term = getenv("TERM");
    return r->err_sink.is_tty && !r->options->output.quiet && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* Enter is read only where the terminal is nobody else's: not when commands are fed from it. */
static bool wants_keyboard(const struct run *r)
{
    return r->progress != NULL && r->plan->input == NULL && isatty(STDIN_FILENO) == 1 &&
           tcgetpgrp(STDIN_FILENO) == getpgrp();
}

enum rc watch_open(struct run *r, struct err *e)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&r->loop, &r->signals[i]);
        r->signals[i].data = r;
    }
    r->watching = true;
    for (size_t i = 0; i < 3; i++) {
        int status = uv_signal_start(&r->signals[i], on_signal, numbers[i]);
        if (status != 0)
            return err_sys(e, -status, "cannot watch for signals");
    }
    if (wants_progress(r)) {
        enum rc rc = progress_new(&r->progress, &r->err_sink, e);
        if (rc != RC_OK)
            return rc;
    }
    if (wants_keyboard(r) && uv_poll_init(&r->loop, &r->keyboard, STDIN_FILENO) == 0) {
        r->keyboard.data = r;
        r->keyboard_open = true;
        uv_poll_start(&r->keyboard, UV_READABLE, on_keyboard);
    }
    log_set_sink(log_to_sink, r);
    return RC_OK;
}

void watch_close(struct run *r)
{
    if (!r->watching)
        return;
    log_set_sink(NULL, NULL);
    if (r->progress != NULL)
        progress_erase(r->progress);
    for (size_t i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&r->signals[i], NULL);
    if (r->keyboard_open)
        uv_close((uv_handle_t *)&r->keyboard, NULL);
}
