/* op_exec: a command's streams between its pipes and the request's frames. How it is started, kept
 * and ended is the keeper's affair (agent/keeper_run.c); the dialogue with sudo is
 * agent/become.c's; what END says, exec_end.c's.
 *
 * Back-pressure: a pipe is read only into what the controller has given credit for, so a command
 * whose output nobody takes blocks on its write, and at most EXEC_HELD bytes of a stream are ever
 * here. */
#include "agent/exec.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

extern char **environ;

enum { RETRY_MS = 100 };

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- output ---- */

/* Until the loop says 0: only that brings a turn when there is room again. */
static bool offer(struct exec *x, struct exec_stream *s)
{
    size_t went = 1;
    while (s->held.len > 0 && went > 0) {
        went = serve_data(x->op, s->number, s->held.data, s->held.len);
        buf_consume(&s->held, went);
    }
    return s->held.len == 0;
}

static void took(struct exec *x, struct exec_stream *s, size_t n)
{
    if (s->number == 2 && x->r.become && x->b.direct)
        become_note(&x->b, s->held.data, n);
    s->held.len = n;
    s->sent += n;
    s->left -= s->left == UINT64_MAX ? 0 : n;
}

static void pump(struct exec *x, struct exec_stream *s)
{
    for (unsigned i = 0; offer(x, s) && i < EXEC_PUMPS; i++) {
        uint64_t want = x->op->credit < s->left ? x->op->credit : s->left;
        if (*s->fd < 0 || x->op->credit == 0)
            return;
        ssize_t n = want > 0 ? read(*s->fd, s->held.data, want < EXEC_HELD ? want : EXEC_HELD) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n > 0)
            took(x, s, (size_t)n);
        else
            close_one(s->fd);
    }
}

static bool wants_output(const struct exec *x, const struct exec_stream *s)
{
    return x->said && *s->fd >= 0 && s->held.len == 0 && x->op->credit > 0;
}

/* ---- input ---- */

/* Our own file for root's copy; INPUT waits until an agent of root's reads it. */
static void feed_root(struct exec *x)
{
    if (x->to_root && x->root.state == ROOT_FEEDING && x->k.in >= 0 &&
        become_root_feed(&x->root, x->k.in) != RC_OK)
        close_one(&x->k.in);
}

static void feed(struct exec *x)
{
    while (x->input.len > 0 && x->k.in >= 0 && x->begun) {
        ssize_t n = write(x->k.in, x->input.data, x->input.len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            close_one(&x->k.in); /* it does not read: no error, no one to give the rest to */
            break;
        }
        buf_consume(&x->input, (size_t)n);
        serve_taken(x->op, (size_t)n);
    }
    if (x->k.in < 0 && x->input.len > 0) {
        serve_taken(x->op, x->input.len);
        buf_reset(&x->input);
    }
    if (x->input_last && x->input.len == 0)
        close_one(&x->k.in);
}

void exec_input(struct op *op, const void *p, size_t n, bool last)
{
    struct exec *x = op->state;
    x->input_last = x->input_last || last;
    if (x->r.become && x->r.become_password && !x->b.have_secret) {
        become_secret(&x->b, p, n);
        x->b.have_secret = true; /* also when it is not needed any more: the first is never data */
        serve_taken(op, n);
    } else if (x->k.in < 0 || buf_append(&x->input, p, n) != RC_OK) {
        serve_taken(op, n);
    }
    feed(x);
}

/* ---- what the keeper and sudo say ---- */

static void begin(struct exec *x)
{
    x->begun = true;
    x->become_until = UINT64_MAX;
}

static void stop(struct exec *x, enum killed why, uint64_t grace_ms)
{
    keeper_tell(&x->k, &(struct keeper_order){KEEPER_STOP, (uint8_t)why, 0, grace_ms});
}

static void take_word(struct exec *x, const struct keeper_word *w, uint64_t now_ms)
{
    switch ((enum keeper_event)w->event) {
    case KEEPER_STARTED:
        x->pid = (uint32_t)w->pid;
        if (!x->r.become || x->b.direct)
            x->begun = true;
        break;
    case KEEPER_FAILED:
        x->end = *w;
        x->gone = true;
        exec_failed_start(x, &w->failure);
        break;
    case KEEPER_EXITED:
        x->exited = true;
        x->pipes_until = now_ms + EXEC_PIPES_MS;
        break;
    case KEEPER_GONE:
        x->end = *w;
        x->gone = true;
        break;
    }
}

/* A keeper that is killed leaves a command that nobody watches. */
static void lost_keeper(struct exec *x)
{
    x->gone = true;
    x->end = (struct keeper_word){.event = KEEPER_FAILED, .alive = 1};
    x->problem = "keeper-lost";
    snprintf(x->detail, sizeof x->detail, "the process that watches over the command was killed");
}

static void hear_keeper(struct exec *x, uint64_t now_ms)
{
    struct keeper_word w;
    int got = 0;
    while (!x->gone && (got = keeper_read(&x->k, &w)) == 1)
        take_word(x, &w, now_ms);
    if (got < 0 && !x->gone)
        lost_keeper(x);
}

/* The script that root runs in between. */
static void hear_root(struct exec *x)
{
    if (x->k.err >= 0 && !become_root_hear(&x->root, x->k.err))
        close_one(&x->k.err);
    if (x->root.state == ROOT_READY) {
        become_root_fini(&x->root);
        begin(x);
    } else if (x->root.state == ROOT_FAILED && x->problem == NULL) {
        x->problem = x->root.problem;
        x->phase = "become";
    }
}

/* Its terminal, then standard error until the command has begun, and only then an answer: what the
 * command itself writes to the terminal comes after the line in which it said that it runs. true:
 * just now. */
static bool talk(struct exec *x)
{
    struct become *b = &x->b;
    bool ran = b->state == BECOME_RUNNING;
    if (x->k.tty >= 0)
        become_tty(b, x->k.tty);
    if (!b->direct && b->state < BECOME_RUNNING && x->k.err >= 0 && !become_stderr(b, x->k.err))
        close_one(&x->k.err);
    if (x->k.tty >= 0)
        become_answer(b, x->k.tty);
    return !ran && b->state == BECOME_RUNNING;
}

static void hear_sudo(struct exec *x, uint64_t now_ms)
{
    struct become *b = &x->b;
    if (!x->r.become)
        return;
    if (talk(x)) {
        x->pid = (uint32_t)b->pid;
        keeper_tell(&x->k, &(struct keeper_order){KEEPER_PID, 0, b->pid, 0});
        if (!x->to_root)
            begin(x);
    }
    if (b->state == BECOME_RUNNING && x->to_root && !x->begun)
        hear_root(x);
    if (now_ms >= x->become_until && b->state != BECOME_FAILED && !x->gone && !x->begun &&
        !b->direct) {
        b->state = BECOME_FAILED;
        b->problem = "become-timeout";
    }
    if (b->state == BECOME_FAILED && !x->sudo_told) {
        x->sudo_told = true;
        x->become_until = UINT64_MAX;
        stop(x, KILLED_NOT, BECOME_STOP_MS);
    }
}

static void put_started(struct exec *x, struct buf *map)
{
    struct wire_out w;
    wire_out_init(&w, map);
    wire_put_map(&w, 2u + x->r.become);
    wire_put_str(&w, "state", "started");
    wire_put_u64(&w, "pid", x->pid);
    if (x->r.become)
        wire_put_bool(&w, "password", x->b.answered);
}

static void say_started(struct exec *x, uint64_t now_ms)
{
    struct buf map;
    x->retry_at = UINT64_MAX;
    if (!x->begun || x->said)
        return;
    buf_init(&map, 256);
    put_started(x, &map);
    enum rc rc = map.len > 0 ? serve_reply(x->op, &map) : RC_NOMEM;
    buf_fini(&map);
    x->said = rc == RC_OK;
    if (rc == RC_NOMEM)
        x->retry_at = now_ms + RETRY_MS;
}

/* ---- the request ---- */

static void put_detached(struct op *op, struct wire_out *w)
{
    const struct exec *x = op->state;
    wire_put_i64(w, "exit", -1);
    wire_put_str(w, "signal", "");
    wire_put_u64(w, "pid", x->pid);
}

/* The keeper has it from here; that the command began is on the disk already. */
static void hand_over(struct exec *x)
{
    keeper_tell(&x->k, &(struct keeper_order){.what = KEEPER_GO});
    job_close(&x->job);
    keeper_close(&x->k);
    serve_end(x->op, "ok", "", "", 3, put_detached);
}

static void advance(struct exec *x, uint64_t now_ms)
{
    if (x->op->ended)
        return;
    hear_keeper(x, now_ms);
    hear_sudo(x, now_ms);
    say_started(x, now_ms);
    /* A job that sudo did not let begin is not one: the keeper waits to be told which it is. */
    if (x->r.detach && x->exited && !x->begun && !x->gone && x->k.err < 0)
        stop(x, KILLED_NOT, 0);
    if (x->r.detach && x->said) {
        hand_over(x);
        return;
    }
    feed_root(x);
    feed(x);
    if (x->said) {
        pump(x, &x->out);
        pump(x, &x->err);
    }
    exec_settle(x, now_ms);
}

void exec_turn(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms)
{
    (void)fds; /* all of them are non-blocking: asking is as cheap as looking */
    (void)n;
    advance(op->state, now_ms);
}

void exec_credit(struct op *op)
{
    advance(op->state, clock_ms());
}

size_t exec_fds(struct op *op, struct pollfd *fds)
{
    struct exec *x = op->state;
    size_t n = 0;
    if (x->k.control >= 0 && !x->gone)
        fds[n++] = (struct pollfd){x->k.control, POLLIN, 0};
    bool program = x->to_root && x->root.state == ROOT_FEEDING && x->root.left > 0;
    if (x->k.in >= 0 && ((x->begun && x->input.len > 0) || program))
        fds[n++] = (struct pollfd){x->k.in, POLLOUT, 0};
    if (wants_output(x, &x->out))
        fds[n++] = (struct pollfd){x->k.out, POLLIN, 0};
    if (wants_output(x, &x->err) ||
        (x->r.become && !x->b.direct && !x->begun && x->k.err >= 0 && x->b.state != BECOME_FAILED))
        fds[n++] = (struct pollfd){x->k.err, POLLIN, 0};
    if (x->k.tty >= 0 && !x->gone)
        fds[n++] = (struct pollfd){x->k.tty, POLLIN, 0};
    must(n <= OP_MAX_FDS);
    return n;
}

uint64_t exec_wake_at(const struct op *op)
{
    const struct exec *x = op->state;
    uint64_t at = x->become_until < x->retry_at ? x->become_until : x->retry_at;
    /* Past its time it is only credit that is missing. */
    bool waits = x->gone && (x->out.left == UINT64_MAX || x->err.left == UINT64_MAX);
    if (waits && x->pipes_until < at && (x->said || x->cancelled))
        at = x->pipes_until;
    return at;
}

void exec_cancel(struct op *op, uint64_t grace_ms)
{
    struct exec *x = op->state;
    x->cancelled = true;
    stop(x, KILLED_CANCEL, grace_ms);
}

/* The keeper does the rest: to it a hangup is no different from our death. */
void exec_hangup(struct op *op)
{
    struct exec *x = op->state;
    keeper_close(&x->k);
    serve_end(op, "cancelled", "", "the controller is gone", 0, NULL);
}

void exec_fini(struct op *op)
{
    struct exec *x = op->state;
    if (x == NULL)
        return;
    keeper_close(&x->k);
    become_fini(&x->b);
    become_root_fini(&x->root);
    job_close(&x->job);
    buf_fini(&x->out.held);
    buf_fini(&x->err.held);
    buf_wipe(&x->input);
    exec_request_fini(&x->r);
    mem_free(x);
    op->state = NULL;
}

/* ---- beginning ---- */

static enum rc make_buffers(struct exec *x, struct err *e)
{
    buf_init(&x->out.held, EXEC_HELD);
    buf_init(&x->err.held, EXEC_HELD);
    buf_init(&x->input, AGENT_INPUT_WINDOW);
    if (x->r.detach)
        return RC_OK;
    if (buf_reserve(&x->out.held, EXEC_HELD) != RC_OK ||
        buf_reserve(&x->err.held, EXEC_HELD) != RC_OK ||
        (x->r.input && buf_reserve(&x->input, AGENT_INPUT_WINDOW) != RC_OK))
        return err_nomem(e);
    return RC_OK;
}

static enum rc make_become(struct exec *x, struct err *e)
{
    if (!x->r.become)
        return RC_OK;
    enum rc rc = become_init(&x->b, &x->r, x->r.envp, e);
    if (rc == RC_OK)
        rc = become_wrap(&x->b, &x->r, e);
    return rc;
}

static enum rc launch(struct exec *x, struct err *e)
{
    const struct exec_request *r = &x->r;
    struct keeper_spec s = {.spawn = {.argv = r->argv,
                                      .envp = r->envp,
                                      .cwd = r->cwd,
                                      .mask = r->mask,
                                      .limits = r->limits,
                                      .n_limits = r->n_limits,
                                      .given = serve_limits(x->op)},
                            .input = r->input,
                            .tty = r->become,
                            .lives_on = r->lives_on,
                            .timeout_ms = r->timeout_ms,
                            .grace_ms = r->grace_ms,
                            .job = r->detach ? &x->job : NULL,
                            .sudo = r->become ? x->b.sudo : NULL,
                            .sudo_user = r->become_user,
                            .told_begin = r->become && !x->b.direct};
    enum rc rc = keeper_start(&x->k, &s, e);
    if (rc != RC_OK && r->detach)
        job_remove(&x->job);
    if (rc == RC_OK && r->become)
        x->become_until = clock_ms() + BECOME_MS;
    return rc;
}

static struct exec *make(struct op *op, struct exec_request *r)
{
    struct exec *x = mem_calloc(1, sizeof *x);
    if (x == NULL) {
        exec_request_fini(r);
        return NULL;
    }
    *x = (struct exec){
        .op = op,
        .r = *r,
        .k = {-1, -1, -1, -1, -1},
        .out = {.fd = &x->k.out, .number = 1, .left = UINT64_MAX},
        .err = {.fd = &x->k.err, .number = 2, .left = UINT64_MAX},
        .pipes_until = UINT64_MAX,
        .retry_at = UINT64_MAX,
        .become_until = UINT64_MAX,
        .root = {.exe = -1},
        .job = {.parent = -1, .dir = -1, .out = -1, .err = -1, .lock = -1, .orders = -1}};
    op->state = x;
    return x;
}

/* What is in r is taken, whatever becomes of it. */
static enum rc start_with(struct op *op, struct exec_request *r, struct become_root *root,
                          struct err *e)
{
    struct exec *x = make(op, r);
    if (x == NULL) {
        if (root != NULL)
            become_root_fini(root);
        return err_nomem(e);
    }
    if (root != NULL) {
        x->to_root = true;
        x->root = *root;
    }
    enum rc rc = make_buffers(x, e);
    if (rc == RC_OK)
        rc = make_become(x, e);
    if (rc == RC_NOTFOUND) { /* no sudo: told as how it ended, not as a request that was wrong */
        serve_end(op, "failed", "become-missing", e->msg, 0, NULL);
        return RC_OK;
    }
    if (rc == RC_OK && x->r.detach)
        rc = job_create(&x->job, x->r.run, x->r.host, x->r.max_output, environ, e);
    if (rc == RC_OK)
        rc = launch(x, e);
    return rc;
}

enum rc exec_start(struct op *op, const struct wire_map *request, struct err *e)
{
    struct exec_request r;
    enum rc rc = exec_request_read(&r, request, environ, e);
    return rc == RC_OK ? start_with(op, &r, NULL, e) : rc;
}

static enum rc start_become(struct op *op, const struct wire_map *request, struct err *e)
{
    struct exec_request r;
    struct become_root root;
    enum rc rc = become_root_read(&root, &r, request, environ, e);
    return rc == RC_OK ? start_with(op, &r, &root, e) : rc;
}

const struct op_kind op_exec = {
    .name = "exec",
    .allow = ALLOW_EXEC,
    .start = exec_start,
    .input = exec_input,
    .credit = exec_credit,
    .cancel = exec_cancel,
    .hangup = exec_hangup,
    .fds = exec_fds,
    .turn = exec_turn,
    .wake_at = exec_wake_at,
    .fini = exec_fini,
};

/* A byte channel to an agent of root's: INPUT and DATA are its standard streams. */
const struct op_kind op_become = {
    .name = "become",
    .allow = ALLOW_EXEC,
    .start = start_become,
    .input = exec_input,
    .credit = exec_credit,
    .cancel = exec_cancel,
    .hangup = exec_hangup,
    .fds = exec_fds,
    .turn = exec_turn,
    .wake_at = exec_wake_at,
    .fini = exec_fini,
};
