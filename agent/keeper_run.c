/* The keeper's own life: one loop over the agent's socket, its children's ends, the time, and the
 * streams that nobody else reads any more. See keeper.h; how things are ended: keeper_kill.c. */
#include "agent/keeper_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/job_dir.h"
#include "common/clock.h"

enum { SLOTS = 7, SCRATCH = 64 * 1024, READS = 16 };

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- words ---- */

static void say(struct keeping *k, struct keeper_word *w)
{
    if (k->ends.control >= 0)
        (void)send(k->ends.control, w, sizeof *w, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_event(struct keeping *k, enum keeper_event event)
{
    struct keeper_word w = {.event = (uint8_t)event,
                            .killed = (uint8_t)k->killed,
                            .alive = k->alive,
                            .pid = k->pid,
                            .status = k->status,
                            .left = k->left};
    say(k, &w);
}

/* ---- phases: the one door ---- */

static void finish(struct keeping *k)
{
    struct job *j = k->spec->job;
    if (j != NULL && k->draining) {
        j->status.stdout_kept = k->out.kept;
        j->status.stderr_kept = k->err.kept;
        j->status.stdout_dropped = k->out.dropped;
        j->status.stderr_dropped = k->err.dropped;
        j->status.status = k->status;
        j->status.killed = k->killed;
        job_ended(j);
    } else if (j != NULL) {
        job_remove(j); /* it was never let go: there is somebody who hears how it ended */
    }
    say_event(k, KEEPER_GONE);
}

static void enter(struct keeping *k, enum keeping_phase phase, uint64_t ms)
{
    k->phase = phase;
    k->deadline = ms == UINT64_MAX ? UINT64_MAX : clock_ms() + ms;
    switch (phase) {
    case KEEPING_STOPPING: keeper_signal_all(k, SIGTERM); break;
    case KEEPING_KILLING:
        k->counting = k->exited; /* before that they are not `left` but part of what was stopped */
        keeper_signal_all(k, SIGKILL);
        break;
    case KEEPING_DONE: finish(k); break;
    case KEEPING_STARTING:
    case KEEPING_RUNNING:
    case KEEPING_LINGERING:
    case KEEPING_DRAINING: break;
    }
}

static bool streams_ended(const struct keeping *k)
{
    return k->out.fd < 0 && k->err.fd < 0;
}

/* Nothing is left to be ended. A job that is not let go yet waits for that: what it wrote is still
 * in the pipes. */
static void settled(struct keeping *k)
{
    if (k->phase == KEEPING_DRAINING)
        enter(k, streams_ended(k) ? KEEPING_DONE : KEEPING_DRAINING, KEEPER_DRAIN_MS);
    else if (k->spec->job == NULL || (k->draining && streams_ended(k)))
        enter(k, KEEPING_DONE, UINT64_MAX);
    else if (k->draining)
        enter(k, KEEPING_DRAINING, KEEPER_DRAIN_MS);
    else if (k->stopped)
        enter(k, KEEPING_DONE, UINT64_MAX);
    else
        enter(k, KEEPING_DRAINING, UINT64_MAX);
}

static void stop(struct keeping *k, enum killed why, uint64_t grace_ms)
{
    k->stopped = true;
    if (k->phase == KEEPING_DRAINING && !k->draining)
        enter(k, KEEPING_DONE, UINT64_MAX);
    if (k->phase >= KEEPING_KILLING)
        return;
    if (k->phase == KEEPING_STOPPING || k->phase == KEEPING_LINGERING) {
        uint64_t at = clock_ms() + grace_ms;
        k->deadline = at < k->deadline ? at : k->deadline;
        return;
    }
    k->killed = why;
    enter(k, KEEPING_STOPPING, grace_ms);
}

/* ---- children ---- */

static void exited(struct keeping *k, int status)
{
    k->exited = true;
    k->status = status;
    if (k->report < 0)
        say_event(k, KEEPER_EXITED);
    if (k->phase == KEEPING_STARTING || k->phase == KEEPING_RUNNING)
        enter(k, KEEPING_LINGERING, KEEPER_LINGER_MS);
}

static void reap(struct keeping *k)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == k->pid)
            exited(k, status);
        else if (pid == k->helper)
            keeper_helper_ended(k, status);
        else if (k->counting && WIFSIGNALED(status))
            k->left++;
    }
}

static void on_children(struct keeping *k)
{
    struct signalfd_siginfo si;
    bool term = false;
    while (read(k->signals, &si, sizeof si) == (ssize_t)sizeof si)
        term = term || si.ssi_signo == SIGTERM;
    reap(k);
    if (term)
        stop(k, KILLED_SIGNAL, KEEPER_LEAVE_MS);
    /* Not known yet whether there ever was a command: on_report says. */
    if (k->report >= 0)
        return;
    if ((k->phase == KEEPING_LINGERING || k->phase == KEEPING_STOPPING ||
         k->phase == KEEPING_KILLING) &&
        !keeper_any_left(k))
        settled(k);
    else if (k->phase == KEEPING_KILLING)
        keeper_signal_all(k, SIGKILL);
}

/* The program runs when the pipe ends without a word. */
static void on_report(struct keeping *k)
{
    struct keeper_word w = {.event = KEEPER_FAILED, .pid = k->pid};
    ssize_t n = read(k->report, &w.failure, sizeof w.failure);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close_one(&k->report);
    if (n == (ssize_t)sizeof w.failure) {
        if (k->spec->job != NULL)
            job_remove(k->spec->job);
        say(k, &w);
        k->phase = KEEPING_DONE;
        return;
    }
    if (k->spec->job != NULL)
        job_started(k->spec->job, k->pid);
    say_event(k, KEEPER_STARTED);
    if (k->exited)
        say_event(k, KEEPER_EXITED);
    if (k->phase == KEEPING_STARTING)
        enter(k, KEEPING_RUNNING, UINT64_MAX);
    if (k->exited && !keeper_any_left(k))
        settled(k);
}

/* ---- the agent ---- */

/* From here on the streams are read here: into the job, or away. */
static void drain(struct keeping *k)
{
    struct job *j = k->spec->job;
    if (k->draining)
        return;
    k->draining = true;
    k->out = (struct keeper_stream){.fd = k->ends.out_read, .sink = j != NULL ? j->out : -1};
    k->err = (struct keeper_stream){.fd = k->ends.err_read, .sink = j != NULL ? j->err : -1};
    k->ends.out_read = k->ends.err_read = -1;
    if (k->phase == KEEPING_DRAINING)
        enter(k, KEEPING_DRAINING, KEEPER_DRAIN_MS);
}

/* sudo, at its prompt perhaps, where nobody is left to answer or to end it. */
static bool sudo_waits(const struct keeping *k)
{
    return k->spec->told_begin && k->sudo_pid == 0;
}

static void agent_gone(struct keeping *k)
{
    close_one(&k->ends.control);
    /* A job that was not let go yet was never promised to anybody; but one that has run has run. */
    if (k->phase == KEEPING_DRAINING)
        drain(k);
    else if (!k->spec->lives_on || sudo_waits(k) || (k->spec->job != NULL && !k->draining))
        stop(k, KILLED_DISCONNECT, KEEPER_LEAVE_MS);
    else
        drain(k);
}

static void on_control(struct keeping *k)
{
    struct keeper_order o;
    ssize_t n = keeper_recv(k->ends.control, &o, sizeof o);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != (ssize_t)sizeof o)
        agent_gone(k);
    else if (o.what == KEEPER_STOP)
        stop(k, (enum killed)o.killed, o.grace_ms);
    else if (o.what == KEEPER_GO)
        drain(k);
    else if (o.what == KEEPER_PID) {
        k->sudo_pid = o.pid;
        k->sudo_session = getsid(o.pid);
    }
}

static void on_job(struct keeping *k)
{
    uint64_t grace_ms;
    if (job_order(k->spec->job, &grace_ms))
        stop(k, KILLED_CANCEL, grace_ms);
}

/* ---- streams ---- */

/* The head of a stream is kept; past max_output, or once the disk was full, it is counted: with
 * room again later the file would have a hole that nobody sees. */
static void keep(struct keeper_stream *s, const struct job *j, const uint8_t *p, size_t n)
{
    while (n > 0 && s->sink >= 0 && s->kept < j->max_output) {
        uint64_t room = j->max_output - s->kept;
        ssize_t went = write(s->sink, p, room < n ? (size_t)room : n);
        if (went < 0 && errno == EINTR)
            continue;
        if (went <= 0) {
            s->sink = -1; /* the job's, not ours to close */
            break;
        }
        s->kept += (uint64_t)went;
        p += went;
        n -= (size_t)went;
    }
    s->dropped += n;
}

static void on_stream(struct keeping *k, struct keeper_stream *s)
{
    static uint8_t scratch[SCRATCH];
    struct job *j = k->spec->job;
    bool whole = s->dropped == 0;
    for (unsigned i = 0; i < READS; i++) {
        ssize_t n = read(s->fd, scratch, sizeof scratch);
        if (n > 0) {
            keep(s, j, scratch, (size_t)n);
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close_one(&s->fd);
        break;
    }
    if (j != NULL && whole && s->dropped > 0)
        job_dropped(j, k->out.dropped, k->err.dropped);
    if (k->phase == KEEPING_DRAINING && streams_ended(k))
        settled(k);
}

/* What is written to the terminal, once the agent does not read it any more. */
static void on_tty(struct keeping *k)
{
    char scratch[512];
    ssize_t n = read(k->ends.tty, scratch, sizeof scratch);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_one(&k->ends.tty);
}

/* ---- time ---- */

static void on_time(struct keeping *k, uint64_t now)
{
    if (now >= k->timeout_at) {
        k->timeout_at = UINT64_MAX;
        stop(k, KILLED_TIMEOUT, k->spec->grace_ms);
    }
    if (now < k->deadline)
        return;
    switch (k->phase) {
    case KEEPING_STOPPING:
    case KEEPING_LINGERING: enter(k, KEEPING_KILLING, KEEPER_KILL_MS); break;
    case KEEPING_KILLING:
        k->alive = true;
        close_one(&k->ends.tty); /* the last thing in our power: its hangup */
        enter(k, KEEPING_DONE, UINT64_MAX);
        break;
    case KEEPING_DRAINING: enter(k, KEEPING_DONE, UINT64_MAX); break;
    case KEEPING_STARTING:
    case KEEPING_RUNNING:
    case KEEPING_DONE: break;
    }
}

static int wait_ms(const struct keeping *k, uint64_t now)
{
    uint64_t at = k->deadline < k->timeout_at ? k->deadline : k->timeout_at;
    uint64_t ms = at == UINT64_MAX ? UINT64_MAX : at > now ? at - now : 0;
    if (k->phase == KEEPING_KILLING && ms > KEEPER_ROUND_MS)
        ms = KEEPER_ROUND_MS;
    return ms > 3600 * 1000 ? 3600 * 1000 : (int)ms;
}

/* ---- the loop ---- */

static void turn(struct keeping *k)
{
    struct job *j = k->spec->job;
    struct pollfd p[SLOTS] = {
        {k->ends.control, POLLIN, 0},
        {k->signals, POLLIN, 0},
        {k->report, POLLIN, 0},
        {j != NULL ? j->orders : -1, POLLIN, 0},
        {k->draining ? k->out.fd : -1, POLLIN, 0},
        {k->draining ? k->err.fd : -1, POLLIN, 0},
        {k->ends.control < 0 || k->draining ? k->ends.tty : -1, POLLIN, 0},
    };
    (void)poll(p, SLOTS, wait_ms(k, clock_ms()));
    if (p[2].revents != 0)
        on_report(k);
    if (k->phase != KEEPING_DONE && p[0].revents != 0)
        on_control(k);
    if (p[4].revents != 0 && k->phase != KEEPING_DONE)
        on_stream(k, &k->out);
    if (p[5].revents != 0 && k->phase != KEEPING_DONE)
        on_stream(k, &k->err);
    if (p[6].revents != 0)
        on_tty(k);
    if (p[3].revents != 0 && k->phase != KEEPING_DONE)
        on_job(k);
    if (k->phase != KEEPING_DONE && (p[1].revents != 0 || k->phase == KEEPING_KILLING))
        on_children(k);
    if (k->phase != KEEPING_DONE)
        on_time(k, clock_ms());
}

static bool set_up(struct keeping *k)
{
    struct job *j = k->spec->job;
    struct keeper_ends *e = &k->ends;
    int mine[] = {e->control,
                  e->in,
                  e->out,
                  e->err,
                  e->out_read,
                  e->err_read,
                  e->tty,
                  e->tty_slave,
                  e->null,
                  j != NULL ? j->parent : -1,
                  j != NULL ? j->dir : -1,
                  j != NULL ? j->out : -1,
                  j != NULL ? j->err : -1,
                  j != NULL ? j->lock : -1,
                  j != NULL ? j->orders : -1};
    sigset_t all;
    spawn_close_others(mine, sizeof mine / sizeof *mine);
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGABRT);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    sigaddset(&all, SIGTERM);
    k->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return k->signals >= 0 && setsid() >= 0 && dup2(e->null, 0) >= 0 && dup2(e->null, 1) >= 0 &&
           dup2(e->null, 2) >= 0 && (e->tty_slave < 0 || ioctl(e->tty_slave, TIOCSCTTY, 0) == 0);
}

static bool start(struct keeping *k)
{
    int report[2];
    struct spawn s = k->spec->spawn;
    s.in = k->ends.in >= 0 ? k->ends.in : k->ends.null;
    s.out = k->ends.out;
    s.err = k->ends.err;
    s.tty = k->ends.tty_slave;
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    k->pid = fork();
    if (k->pid == 0)
        spawn_exec(&s, report[1]);
    close(report[1]);
    close_one(&k->ends.in);
    close_one(&k->ends.out);
    close_one(&k->ends.err);
    k->report = report[0];
    return k->pid > 0;
}

/* The last word of one that never had a command. */
static void fail(struct keeping *k, enum spawn_step step, int sys)
{
    struct keeper_word w = {.event = KEEPER_FAILED, .failure = {(int32_t)step, sys, 0}};
    if (k->spec->job != NULL)
        job_remove(k->spec->job);
    say(k, &w);
}

void keeper_run(const struct keeper_spec *spec, struct keeper_ends *ends)
{
    struct keeping k = {.spec = spec,
                        .ends = *ends,
                        .deadline = UINT64_MAX,
                        .timeout_at = UINT64_MAX,
                        .signals = -1,
                        .report = -1,
                        .out = {.fd = -1, .sink = -1},
                        .err = {.fd = -1, .sink = -1}};
    /* A full disk is met before anything runs: what is not on it cannot be told of later. */
    enum spawn_step step = SPAWN_SETUP;
    bool ok = set_up(&k);
    if (ok && spec->job != NULL && !job_begin(spec->job)) {
        step = SPAWN_JOB;
        ok = false;
    }
    if (!ok || !start(&k)) {
        fail(&k, step, errno);
        return;
    }
    (void)!chdir("/"); /* after the command was forked: it starts where the agent is */
    if (spec->timeout_ms > 0)
        k.timeout_at = clock_ms() + spec->timeout_ms;
    while (k.phase != KEEPING_DONE)
        turn(&k);
}
