/* op_jobs, op_collect: what detached jobs this host keeps, and letting go of one that has ended.
 * The files and what they mean: agent/job_dir.h. Following and ending one: agent/jobs_attach.c. */
#include "agent/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/exec.h"
#include "common/mem.h"

extern char **environ;

/* ---- one by its run ---- */

int jobs_named(const struct wire_map *m, struct job_name *n, enum rc *rc, struct err *e)
{
    char run[EXEC_MAX_RUN + 1], host[EXEC_MAX_HOST + 1];
    enum rc has_host = wire_str_to(m, "host", host, sizeof host);
    n->parent = -1;
    if (wire_str_to(m, "run", run, sizeof run) != RC_OK || !exec_run_valid(run) ||
        has_host == RC_PROTO) {
        *rc = err_set(e, RC_PROTO, "run is not 1 to 64 letters, digits and '-', or host is wrong");
        return -1;
    }
    n->parent = jobs_open(environ, false, e);
    int dir = -1;
    if (n->parent < 0)
        *rc = errno == ENOENT ? err_set(e, RC_NOTFOUND, "run %s has no job here", run)
                              : err_sys(e, errno, "the folder for jobs");
    else
        dir = jobs_find(n->parent, run, has_host == RC_OK ? host : NULL, n->name, rc, e);
    if (dir < 0 && n->parent >= 0) {
        close(n->parent);
        n->parent = -1;
    }
    return dir;
}

enum rc jobs_not_named(struct op *op, enum rc rc, const struct err *e)
{
    if (rc == RC_PROTO || rc == RC_NOMEM)
        return rc;
    serve_end(op, "failed", rc == RC_NOTFOUND ? "job-not-found" : "job-unreadable", e->msg, 0,
              NULL);
    return RC_OK;
}

/* ---- op_jobs ---- */

struct listing {
    int parent;
    char **names;
    size_t n, at, cap;
};

static void fini_listing(struct op *op)
{
    struct listing *l = op->state;
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->names[i]);
    mem_free(l->names);
    if (l->parent >= 0)
        close(l->parent);
    mem_free(l);
    op->state = NULL;
}

static enum rc read_names(struct listing *l, struct err *e)
{
    int copy = openat(l->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (d == NULL)
        return err_sys(e, errno, "the folder for jobs");
    enum rc rc = RC_OK;
    for (struct dirent *x; rc == RC_OK && l->n < JOB_MAX && (x = readdir(d)) != NULL;) {
        if (x->d_name[0] == '.')
            continue;
        if (mem_grow(&l->names, &l->cap, l->n + 1, sizeof *l->names) != 0 ||
            (l->names[l->n] = mem_strdup(x->d_name)) == NULL)
            rc = err_nomem(e);
        else
            l->n++;
    }
    closedir(d);
    return rc;
}

void jobs_put(struct wire_out *w, const struct job_status *st)
{
    wire_put_map(w, 13);
    wire_put_str(w, "run", st->run);
    wire_put_str(w, "host", st->host);
    wire_put_str(w, "state", job_state_name(st->state));
    wire_put_i64(w, "pid", st->pid);
    wire_put_u64(w, "started_ns", st->started_ns);
    wire_put_u64(w, "ended_ns", st->ended_ns);
    if (st->state == JOB_ENDED) {
        exec_put_status(w, st->status);
    } else {
        wire_put_i64(w, "exit", -1);
        wire_put_str(w, "signal", "");
    }
    wire_put_str(w, "killed", killed_name(st->killed));
    wire_put_u64(w, "stdout", st->stdout_kept);
    wire_put_u64(w, "stderr", st->stderr_kept);
    wire_put_u64(w, "stdout_dropped", st->stdout_dropped);
    wire_put_u64(w, "stderr_dropped", st->stderr_dropped);
}

/* RC_OK also for one that is gone since its name was read, or is not there yet. */
static enum rc reply(struct op *op, struct listing *l, const char *name)
{
    struct job_status st;
    struct wire_out w;
    struct buf map;
    enum rc rc = RC_OK;
    int dir = openat(l->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || !job_look(dir, name, &st)) {
        if (dir >= 0)
            close(dir);
        return RC_OK;
    }
    close(dir);
    buf_init(&map, 4096);
    wire_out_init(&w, &map);
    jobs_put(&w, &st);
    rc = wire_out_end(&w);
    if (rc == RC_OK)
        rc = serve_reply(op, &map);
    buf_fini(&map);
    return rc;
}

static void go_on(struct op *op)
{
    struct listing *l = op->state;
    enum rc rc = RC_OK;
    if (op->ended)
        return;
    while (l->at < l->n && (rc = reply(op, l, l->names[l->at])) == RC_OK)
        l->at++;
    if (l->at == l->n)
        serve_end(op, "ok", "", "", 0, NULL);
    else if (rc == RC_NOMEM)
        serve_end(op, "failed", "", "out of memory", 0, NULL);
}

static enum rc start_listing(struct op *op, const struct wire_map *m, struct err *e)
{
    (void)m;
    struct listing *l = mem_calloc(1, sizeof *l);
    if (l == NULL)
        return err_nomem(e);
    op->state = l;
    l->parent = jobs_open(environ, false, e);
    if (l->parent < 0 && errno != ENOENT)
        return err_sys(e, errno, "the folder for jobs");
    enum rc rc = l->parent >= 0 ? read_names(l, e) : RC_OK;
    if (rc == RC_OK)
        go_on(op);
    return rc;
}

static void turn_listing(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms)
{
    (void)fds;
    (void)n;
    (void)now_ms;
    go_on(op);
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

const struct op_kind op_jobs = {
    .name = "jobs",
    .allow = ALLOW_EXEC,
    .start = start_listing,
    .credit = go_on,
    .cancel = cancel,
    .hangup = hangup,
    .turn = turn_listing,
    .fini = fini_listing,
};

/* ---- op_collect ---- */

static enum rc collect(struct op *op, const struct wire_map *m, struct err *e)
{
    struct job_name n;
    struct job_status st;
    enum rc rc = RC_OK;
    int dir = jobs_named(m, &n, &rc, e);
    if (dir < 0)
        return jobs_not_named(op, rc, e);
    if (!job_look(dir, n.name, &st) || st.state == JOB_RUNNING) {
        serve_end(op, "busy", "job-running", "the job has not ended", 0, NULL);
    } else if (job_discard(n.parent, dir, n.name) != 0) {
        (void)err_sys(e, errno, "removing the job's files");
        serve_end(op, "failed", "job-unreadable", e->msg, 0, NULL);
    } else {
        serve_end(op, "ok", "", "", 0, NULL);
    }
    close(dir);
    close(n.parent);
    return RC_OK;
}

static void nothing(struct op *op)
{
    (void)op;
}

const struct op_kind op_collect = {
    .name = "collect",
    .allow = ALLOW_EXEC,
    .start = collect,
    .cancel = cancel,
    .hangup = hangup,
    .fini = nothing,
};
