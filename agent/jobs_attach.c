/* op_attach: what a detached job wrote and writes, from any offset, and how it ended. op_kill:
 * tells its keeper to end it, and waits in the same way.
 *
 * Files cannot be polled, folders can be watched: inotify says when to look again. That a lock was
 * let go can be said before it is so, and there may be no inotify to be had, so a follower also
 * looks by itself, once in LOOK_MS. A file is read here, on the loop: it is a local one, as a rule.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/exec.h"
#include "agent/jobs.h"
#include "agent/procs.h"
#include "common/clock.h"
#include "common/mem.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { LOOK_MS = 1000, CHUNK = 32 * 1024, CHUNKS = 4, KILL_MS = 5000 };

struct follower {
    struct op *op;
    struct job_name name;
    int dir, watch;
    int fd[2];
    uint64_t at[2];
    bool data, follow;
    bool dry; /* all that is there was sent: a change is waited for */
    uint64_t look_at;
    struct job_status st;
    bool alive; /* a lost one's command */
    uint8_t *chunk;
};

static void fini(struct op *op)
{
    struct follower *f = op->state;
    if (f == NULL)
        return;
    int fds[] = {f->name.parent, f->dir, f->watch, f->fd[0], f->fd[1]};
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    mem_free(f->chunk);
    mem_free(f);
    op->state = NULL;
}

/* ---- the end ---- */

static void put_end(struct op *op, struct wire_out *w)
{
    const struct follower *f = op->state;
    wire_put_str(w, "state", job_state_name(f->st.state));
    if (f->st.state == JOB_ENDED) {
        exec_put_status(w, f->st.status);
    } else {
        wire_put_i64(w, "exit", -1);
        wire_put_str(w, "signal", "");
    }
    wire_put_str(w, "killed", killed_name(f->st.killed));
    wire_put_u64(w, "left", 0);
    wire_put_bool(w, "may_run", f->alive);
    wire_put_u64(w, "stdout_dropped", f->st.stdout_dropped);
    wire_put_u64(w, "stderr_dropped", f->st.stderr_dropped);
}

enum { END_MEMBERS = 8 };

/* Is it still the process that the status names? */
static bool is_alive(const struct job_status *st)
{
    struct proc p;
    return st->pid > 1 && st->start > 0 && procs_look(st->pid, &p) && p.start == st->start &&
           p.state != 'Z';
}

static void end(struct follower *f)
{
    const char *status = "ok", *problem = "", *detail = "";
    if (f->st.state == JOB_ENDED)
        exec_verdict(f->st.status, f->st.killed, &status, &problem);
    if (f->st.state == JOB_LOST) {
        status = "failed";
        problem = "job-lost";
        detail = "the host was booted since, or the job's keeper was killed";
        f->alive = is_alive(&f->st);
    }
    serve_end(f->op, status, problem, detail, END_MEMBERS, put_end);
}

/* ---- following ---- */

enum pumped {
    PUMP_DRY,  /* all that is in it now was sent */
    PUMP_FULL, /* no credit or no room for more: the loop says when there is */
    PUMP_MORE, /* its share of a turn was sent */
};

static enum pumped pump(struct follower *f, unsigned i)
{
    static const char *const NAMES[] = {"stdout", "stderr"};
    if (f->fd[i] < 0)
        f->fd[i] = openat(f->dir, NAMES[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    for (unsigned k = 0; k < CHUNKS; k++) {
        ssize_t n = f->fd[i] >= 0 ? pread(f->fd[i], f->chunk, CHUNK, (off_t)f->at[i]) : 0;
        if (n <= 0)
            return PUMP_DRY;
        size_t went = serve_data(f->op, (uint8_t)(i + 1), f->chunk, (size_t)n);
        f->at[i] += went;
        if (went < (size_t)n)
            return PUMP_FULL;
    }
    return PUMP_MORE;
}

static void drain_watch(struct follower *f)
{
    char events[4096];
    while (f->watch >= 0 && read(f->watch, events, sizeof events) > 0)
        ;
}

static void go_on(struct op *op, uint64_t now_ms)
{
    struct follower *f = op->state;
    if (op->ended)
        return;
    drain_watch(f);
    f->look_at = now_ms + LOOK_MS;
    /* Its state first: what was written before the end is in the files then. */
    bool there = job_look(f->dir, f->name.name, &f->st);
    enum pumped out = f->data ? pump(f, 0) : PUMP_DRY, err = f->data ? pump(f, 1) : PUMP_DRY;
    f->dry = out == PUMP_DRY && err == PUMP_DRY;
    if (f->dry && there && (f->st.state != JOB_RUNNING || !f->follow))
        end(f);
    else if (out == PUMP_MORE || err == PUMP_MORE)
        f->look_at = 0;
}

static void turn(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms)
{
    const struct follower *f = op->state;
    bool changed = n > 0 && fds[0].revents != 0;
    if (changed || !f->dry || now_ms >= f->look_at)
        go_on(op, now_ms);
}

static void credit(struct op *op)
{
    go_on(op, clock_ms());
}

static size_t fds_of(struct op *op, struct pollfd *fds)
{
    const struct follower *f = op->state;
    if (f->watch < 0 || !f->dry)
        return 0;
    fds[0] = (struct pollfd){f->watch, POLLIN, 0};
    return 1;
}

static uint64_t wake_at(const struct op *op)
{
    const struct follower *f = op->state;
    return f->dry || op->credit > 0 ? f->look_at : UINT64_MAX;
}

static void cancel(struct op *op, uint64_t grace_ms)
{
    (void)grace_ms;
    serve_end(op, "cancelled", "cancelled", "", 0, NULL);
}

static void hangup(struct op *op)
{
    serve_end(op, "cancelled", "", "the controller is gone", 0, NULL);
}

/* ---- starting ---- */

static enum rc open_follower(struct op *op, const struct wire_map *m, bool data, struct err *e)
{
    enum rc rc = RC_OK;
    struct follower *f = mem_calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(e);
    *f = (struct follower){
        .op = op, .dir = -1, .watch = -1, .fd = {-1, -1}, .data = data, .follow = !data};
    op->state = f;
    f->name.parent = -1;
    if ((f->chunk = mem_alloc(CHUNK)) == NULL)
        return err_nomem(e);
    f->dir = jobs_named(m, &f->name, &rc, e);
    if (f->dir < 0)
        return jobs_not_named(op, rc, e);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", f->dir);
    f->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (f->watch >= 0 &&
        inotify_add_watch(f->watch, path, IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
        close(f->watch);
        f->watch = -1;
    }
    return RC_OK;
}

static enum rc start_attach(struct op *op, const struct wire_map *m, struct err *e)
{
    uint64_t from[2] = {0, 0};
    bool follow = false;
    if (wire_u64(m, "from_stdout", INT64_MAX, &from[0]) == RC_PROTO ||
        wire_u64(m, "from_stderr", INT64_MAX, &from[1]) == RC_PROTO ||
        wire_bool(m, "follow", &follow) == RC_PROTO)
        return err_set(e, RC_PROTO, "attach: offsets are numbers, follow is a bool");
    enum rc rc = open_follower(op, m, true, e);
    if (rc != RC_OK || op->ended)
        return rc;
    struct follower *f = op->state;
    f->at[0] = from[0];
    f->at[1] = from[1];
    f->follow = follow;
    go_on(op, clock_ms());
    return RC_OK;
}

/* A job whose keeper was killed left its command to nobody. Stopped through its pidfd it cannot go
 * away between the look at it and the signal to its group, so neither number can be another's. */
static void kill_orphan(const struct job_status *st)
{
    int fd = (int)syscall(SYS_pidfd_open, st->pid, 0);
    if (fd < 0)
        return;
    if (is_alive(st) && syscall(SYS_pidfd_send_signal, fd, SIGSTOP, NULL, 0) == 0 && is_alive(st)) {
        (void)kill(-st->pid, SIGKILL);
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    }
    close(fd);
}

static bool same_boot(const struct job_status *st)
{
    char now[JOB_BOOT_ID];
    job_boot_id(now);
    return now[0] != '\0' && strcmp(now, st->boot_id) == 0;
}

static enum rc start_kill(struct op *op, const struct wire_map *m, struct err *e)
{
    uint64_t grace_ms = KILL_MS;
    if (wire_u64(m, "grace_ms", EXEC_MAX_MS, &grace_ms) == RC_PROTO)
        return err_set(e, RC_PROTO, "kill: grace_ms is not a time");
    enum rc rc = open_follower(op, m, false, e);
    if (rc != RC_OK || op->ended)
        return rc;
    struct follower *f = op->state;
    if (job_look(f->dir, f->name.name, &f->st) && f->st.state == JOB_LOST && same_boot(&f->st))
        kill_orphan(&f->st);
    else
        (void)job_tell(f->dir, grace_ms); /* nobody there: it is about to be ended or lost */
    go_on(op, clock_ms());
    return RC_OK;
}

const struct op_kind op_attach = {
    .name = "attach",
    .allow = ALLOW_EXEC,
    .start = start_attach,
    .credit = credit,
    .cancel = cancel,
    .hangup = hangup,
    .fds = fds_of,
    .turn = turn,
    .wake_at = wake_at,
    .fini = fini,
};

const struct op_kind op_kill = {
    .name = "kill",
    .allow = ALLOW_EXEC,
    .start = start_kill,
    .credit = credit,
    .cancel = cancel,
    .hangup = hangup,
    .fds = fds_of,
    .turn = turn,
    .wake_at = wake_at,
    .fini = fini,
};
