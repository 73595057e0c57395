/* How a command ended, in the words of END. See exec.h. */
#include "agent/exec.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/str.h"

/* ---- words ---- */

const char *exec_signal_name(int number, char dst[16])
{
    static const struct {
        int number;
        const char *name;
    } NAMES[] = {
        {SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},
        {SIGTRAP, "TRAP"}, {SIGABRT, "ABRT"}, {SIGBUS, "BUS"},   {SIGFPE, "FPE"},
        {SIGKILL, "KILL"}, {SIGUSR1, "USR1"}, {SIGSEGV, "SEGV"}, {SIGUSR2, "USR2"},
        {SIGPIPE, "PIPE"}, {SIGALRM, "ALRM"}, {SIGTERM, "TERM"}, {SIGXCPU, "XCPU"},
        {SIGXFSZ, "XFSZ"}, {SIGSYS, "SYS"},   {SIGIO, "IO"},     {SIGVTALRM, "VTALRM"},
        {SIGPROF, "PROF"}, {SIGPWR, "PWR"},
    };
    for (unsigned i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (NAMES[i].number == number)
            return NAMES[i].name;
    snprintf(dst, 16, "SIG%d", number);
    return dst;
}

void exec_put_status(struct wire_out *w, int status)
{
    char name[16];
    wire_put_i64(w, "exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    wire_put_str(w, "signal", WIFSIGNALED(status) ? exec_signal_name(WTERMSIG(status), name) : "");
}

static void put_no_status(struct wire_out *w)
{
    wire_put_i64(w, "exit", -1);
    wire_put_str(w, "signal", "");
}

static void put_end(struct op *op, struct wire_out *w)
{
    const struct exec *x = op->state;
    if (x->end.event == KEEPER_GONE && x->problem == NULL)
        exec_put_status(w, x->end.status);
    else
        put_no_status(w);
    wire_put_str(w, "killed", killed_name((enum killed)x->end.killed));
    wire_put_u64(w, "left", x->end.left);
    wire_put_bool(w, "may_run", x->end.alive != 0);
    wire_put_str(w, "phase", x->phase != NULL ? x->phase : "run");
}

enum { END_MEMBERS = 6 };

void exec_failed_start(struct exec *x, const struct spawn_failure *f)
{
    char what[200];
    const char *why = strerror(f->sys);
    const struct exec_request *r = &x->r;
    x->problem = f->step == SPAWN_CWD ? "cwd-failed" : "exec-failed";
    switch ((enum spawn_step)f->step) {
    case SPAWN_CWD: str_escape_to(what, sizeof what, r->cwd, strlen(r->cwd), 0); break;
    case SPAWN_LIMIT:
        snprintf(what, sizeof what, "limit %s", r->limits[f->at].name);
        x->problem = "limit-failed";
        break;
    case SPAWN_PROGRAM: str_escape_to(what, sizeof what, r->argv[0], strlen(r->argv[0]), 0); break;
    case SPAWN_JOB: snprintf(what, sizeof what, "the job's status"); break;
    case SPAWN_SETUP:
    default: snprintf(what, sizeof what, "starting a process"); break;
    }
    snprintf(x->detail, sizeof x->detail, "%s: %s", what, why);
}

/* ---- when ---- */

static bool closed(const struct exec_stream *s)
{
    return *s->fd < 0 && s->held.len == 0;
}

static void cut(struct exec_stream *s, bool drop)
{
    int waits = 0;
    if (*s->fd >= 0 && s->left == UINT64_MAX)
        s->left = !drop && ioctl(*s->fd, FIONREAD, &waits) == 0 && waits > 0 ? (uint64_t)waits : 0;
    if (drop)
        buf_reset(&s->held);
    if (*s->fd >= 0 && (s->left == 0 || drop)) {
        close(*s->fd);
        *s->fd = -1;
    }
}

void exec_verdict(int wait_status, enum killed killed, const char **status, const char **problem)
{
    *status = "failed";
    if (killed == KILLED_CANCEL) {
        *status = "cancelled";
        *problem = "cancelled";
    } else if (killed == KILLED_TIMEOUT) {
        *problem = "run-timeout";
    } else if (WIFSIGNALED(wait_status)) {
        *problem = "killed-by-signal";
    } else if (WEXITSTATUS(wait_status) != 0) {
        *problem = "exit-nonzero";
    } else {
        *status = "ok";
        *problem = "";
    }
}

static void end(struct exec *x)
{
    const char *status = "failed", *problem = x->problem;
    if (problem == NULL)
        exec_verdict(x->end.status, (enum killed)x->end.killed, &status, &problem);
    serve_end(x->op, status, problem, x->detail, END_MEMBERS, put_end);
}

/* sudo ended and no command ever began, or so it seems. */
static void judge_become(struct exec *x)
{
    struct become *b = &x->b;
    if (!x->r.become || x->problem != NULL || x->end.event != KEEPER_GONE)
        return;
    if (b->state == BECOME_RUNNING && x->to_root && !x->begun && !x->cancelled) {
        x->problem = "become-failed"; /* the script ended without a word */
        x->phase = "become";
    }
    if (b->state == BECOME_RUNNING)
        return;
    const char *problem = b->state == BECOME_FAILED ? b->problem : NULL;
    if (problem == NULL && !x->cancelled && x->end.killed == KILLED_NOT)
        problem = become_meaning(b, x->end.status, x->out.sent > 0);
    if (problem == NULL)
        return;
    x->problem = problem;
    x->phase = "become";
    become_detail(b, x->detail, sizeof x->detail);
}

void exec_settle(struct exec *x, uint64_t now_ms)
{
    if (x->op->ended || !x->gone)
        return;
    judge_become(x);
    if (x->pipes_until == UINT64_MAX)
        x->pipes_until = now_ms + EXEC_PIPES_MS;
    bool unsaid = x->begun && !x->said; /* its output comes after the word that it began */
    if (!x->begun || (now_ms >= x->pipes_until && (!unsaid || x->cancelled))) {
        bool drop = x->cancelled || !x->begun;
        cut(&x->out, drop);
        cut(&x->err, drop);
    }
    if (closed(&x->out) && closed(&x->err) && (!unsaid || x->cancelled))
        end(x);
}
