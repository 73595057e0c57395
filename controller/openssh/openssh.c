/* See openssh.h. A job's end is there once ssh has exited and its pipes are at their end; its log,
 * a FIFO that we hold open for both ends, has none of its own and is read to the last byte then. */
#include "controller/openssh/openssh.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/openssh/sshlog.h"

enum {
    TICK_MS = 20,
    KILL_MS = 2000,  /* between TERM and KILL */
    DRAIN_MS = 1000, /* for pipes that something holds open after ssh's end (a ProxyCommand) */
    CHUNK = 64 * 1024,
};

struct job {
    struct openssh *owner;
    struct job *prev, *next;
    uint64_t id;
    struct arena arena; /* argv */
    char *argv[OPENSSH_MAX_WORDS];
    struct openssh_bounds bounds;
    bool running, done;
    unsigned handles; /* not yet closed */
    uv_process_t process;
    uv_pipe_t in, out, err;
    uv_poll_t log;
    uv_write_t write;
    int log_fd;
    char log_path[128];
    bool log_opened; /* ssh has it: its name is gone */
    struct sshlog seen;
    bool told_login, told_sent;
    bool out_ended, err_ended, exited;
    int exit_code, signal;
    uint64_t begin_us, exit_ms, kill_ms;         /* kill_ms: when TERM was sent, 0: not yet */
    uint64_t connect_used, run_used, silent_for; /* ms */
    enum problem ending;                         /* ours, PROBLEM_NONE: its own */
    bool now;
    char words[160]; /* last line of stderr before the command was sent */
    struct session_result result;
};

struct openssh {
    uv_loop_t *loop;
    uv_timer_t tick;
    unsigned max, running, jobs; /* jobs: not yet freed */
    const struct pool_ops *ops;
    void (*begun)(void *user, uint64_t job);
    void *user;
    const void *input;
    size_t input_len;
    struct job *first, *last; /* not yet done, in the order of arrival */
    char dir[96];
    unsigned serial;
    uint64_t ticked_ms;
    bool paused, closing;
    char chunk[CHUNK];
};

enum rc openssh_new(struct openssh **out, uv_loop_t *loop, unsigned max, const struct pool_ops *ops,
                    void (*begun)(void *user, uint64_t job), void *user, const void *input,
                    size_t input_len, struct err *e)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct openssh *o = mem_calloc(1, sizeof *o);
    if (o == NULL)
        return err_nomem(e);
    if (base == NULL || base[0] != '/' || strlen(base) > 60 || access(base, W_OK) != 0)
        base = "/tmp";
    snprintf(o->dir, sizeof o->dir, "%s/muster-ssh-XXXXXX", base);
    if (mkdtemp(o->dir) == NULL) {
        enum rc rc = err_sys(e, errno, "cannot make a folder in %s", base);
        mem_free(o);
        return rc;
    }
    o->loop = loop;
    o->max = max;
    o->ops = ops;
    o->begun = begun;
    o->user = user;
    o->input = input;
    o->input_len = input_len;
    o->ticked_ms = clock_ms();
    uv_timer_init(loop, &o->tick);
    o->tick.data = o;
    *out = o;
    return RC_OK;
}

/* ---- a job's memory ---- */

static void list_remove(struct job *j)
{
    struct openssh *o = j->owner;
    *(j->prev != NULL ? &j->prev->next : &o->first) = j->next;
    *(j->next != NULL ? &j->next->prev : &o->last) = j->prev;
}

static void maybe_gone(struct openssh *o);

static void job_free(struct job *j)
{
    struct openssh *o = j->owner;
    if (j->log_fd >= 0)
        close(j->log_fd);
    if (j->log_path[0] != '\0' && !j->log_opened)
        unlink(j->log_path);
    arena_fini(&j->arena);
    mem_free(j);
    o->jobs--;
    maybe_gone(o);
}

static void on_closed(uv_handle_t *h)
{
    struct job *j = h->data;
    if (--j->handles == 0 && j->done)
        job_free(j);
}

static void close_handle(struct job *j, void *handle)
{
    uv_handle_t *h = handle;
    if (h->data == j && !uv_is_closing(h))
        uv_close(h, on_closed);
}

static void close_job(struct job *j)
{
    if (j->done)
        return;
    j->done = true;
    list_remove(j);
    if (j->running)
        j->owner->running--;
    close_handle(j, &j->process);
    close_handle(j, &j->in);
    close_handle(j, &j->out);
    close_handle(j, &j->err);
    close_handle(j, &j->log);
    if (j->handles == 0)
        job_free(j);
}

/* A handle that is set up says so by its data, and is closed when the job is. */
static void own(struct job *j, void *handle)
{
    ((uv_handle_t *)handle)->data = j;
    j->handles++;
}

/* ---- the end ---- */

static void conclude(struct job *j)
{
    struct outcome *o = &j->result.outcome;
    sshlog_conclude(&j->seen, j->signal == 0 ? j->exit_code : -1, j->signal, o);
    if (o->problem == PROBLEM_CONNECT_FAILED && j->words[0] != '\0')
        str_escape_to(o->detail, sizeof o->detail, j->words, strlen(j->words), 0);
    if (j->ending == PROBLEM_NONE)
        return;
    char took[NUM_TEXT];
    bool over = j->seen.exited || j->seen.signaled;
    o->problem = j->ending;
    o->may_still_run = o->sent && !over;
    if (o->sent)
        snprintf(o->detail, sizeof o->detail, "%s",
                 over ? "the command had ended" : "OpenSSH's ssh can pass no signal on");
    else if (problem_status(j->ending) == STATUS_CANCELLED || j->ending == PROBLEM_DEADLINE)
        snprintf(o->detail, sizeof o->detail, "before the command was sent");
    else
        snprintf(o->detail, sizeof o->detail, "%s: not done after %s", phase_name(o->phase),
                 num_duration_text(took, j->bounds.connect_ms));
}

static void finish(struct job *j)
{
    struct openssh *o = j->owner;
    uint64_t id = j->id;
    if (!o->closing) {
        conclude(j);
        j->result.timing.done = clock_us() - j->begin_us;
        str_escape_to(j->result.server_banner, sizeof j->result.server_banner, j->seen.banner,
                      strlen(j->seen.banner), 0);
    }
    struct session_result result = j->result;
    close_job(j);
    if (!o->closing)
        o->ops->done(o->user, id, &result);
}

static void fail(struct job *j, const char *what, int sys)
{
    struct openssh *o = j->owner;
    struct session_result result = {0};
    uint64_t id = j->id;
    outcome_init(&result.outcome);
    result.outcome.problem = PROBLEM_LOCAL_RESOURCE;
    result.outcome.phase = PHASE_CONNECT;
    snprintf(result.outcome.detail, sizeof result.outcome.detail, "%s: %s", what, strerror(sys));
    close_job(j);
    o->ops->done(o->user, id, &result);
}

/* ssh and what it started: it leads a session of its own. */
static void kill_all(const struct job *j, int signal)
{
    if (j->process.data == j && j->process.pid > 1 && !j->exited)
        kill(-j->process.pid, signal);
}

static void stop(struct job *j, enum problem problem)
{
    if (j->ending == PROBLEM_NONE)
        j->ending = problem;
    if (j->kill_ms == 0) {
        j->kill_ms = clock_ms();
        kill_all(j, SIGTERM);
    }
}

static void settle(struct job *j)
{
    if (!j->done && j->exited && j->out_ended && j->err_ended)
        finish(j);
}

/* ---- what ssh says ---- */

static void note_times(struct job *j)
{
    struct session_timing *t = &j->result.timing;
    uint64_t *const at[] = {
        [PHASE_BANNER] = &t->connected, [PHASE_KEX] = &t->banner, [PHASE_HOST_KEY] = &t->kex,
        [PHASE_AUTH] = &t->host_key,    [PHASE_OPEN] = &t->auth,  [PHASE_RUN] = &t->sent};
    uint64_t now = clock_us() - j->begin_us;
    for (size_t p = PHASE_BANNER; p <= (size_t)j->seen.phase && p < sizeof at / sizeof at[0]; p++)
        if (at[p] != NULL && *at[p] == 0)
            *at[p] = now;
}

/* false: the job is gone. */
static bool tell_steps(struct job *j)
{
    struct openssh *o = j->owner;
    note_times(j);
    if (o->closing)
        return true;
    if (j->seen.authenticated && !j->told_login) {
        j->told_login = true;
        o->ops->authenticated(o->user, j->id);
    }
    if (j->seen.sent && !j->told_sent) {
        j->told_sent = true;
        o->ops->sent(o->user, j->id);
    }
    return !j->done;
}

static bool read_log(struct job *j)
{
    char text[4096];
    ssize_t n;
    while (j->log_fd >= 0 && (n = read(j->log_fd, text, sizeof text)) > 0) {
        sshlog_feed(&j->seen, text, (size_t)n);
        if (!j->log_opened)
            unlink(j->log_path);
        j->log_opened = true;
    }
    return tell_steps(j);
}

static void on_log(uv_poll_t *h, int status, int events)
{
    (void)events;
    if (status == 0)
        read_log(h->data);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct job *j = h->data;
    (void)hint;
    *buf = uv_buf_init(j->owner->chunk, CHUNK);
}

/* Before the command: a banner of the server, or what a ProxyCommand complains of. */
static void keep_words(struct job *j, const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
        n--;
    const char *line = n > 0 ? memrchr(p, '\n', n) : NULL;
    if (line != NULL) {
        n -= (size_t)(line + 1 - p);
        p = line + 1;
    }
    if (n > 0)
        snprintf(j->words, sizeof j->words, "%.*s",
                 (int)(n < sizeof j->words ? n : sizeof j->words - 1), p);
}

static void take_data(struct job *j, bool is_stderr, const char *p, size_t n)
{
    struct openssh *o = j->owner;
    if (!j->told_sent) {
        keep_words(j, p, n);
        return;
    }
    if (j->result.timing.first_byte == 0)
        j->result.timing.first_byte = clock_us() - j->begin_us;
    j->silent_for = 0;
    *(is_stderr ? &j->result.stderr_bytes : &j->result.stdout_bytes) += n;
    if (!o->closing)
        o->ops->data(o->user, j->id, is_stderr, p, n);
}

/* The log first: that the command was sent stands there before it can answer. */
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct job *j = s->data;
    bool is_stderr = s == (uv_stream_t *)&j->err;
    if (j->done || !read_log(j))
        return;
    if (n > 0)
        take_data(j, is_stderr, buf->base, (size_t)n);
    if (n < 0) {
        *(is_stderr ? &j->err_ended : &j->out_ended) = true;
        uv_read_stop(s);
        settle(j);
    }
}

static void on_ssh_exit(uv_process_t *p, int64_t code, int signal)
{
    struct job *j = p->data;
    kill(-p->pid, SIGTERM); /* a ProxyCommand that outlives it */
    j->exited = true;
    j->exit_code = (int)code;
    j->signal = signal;
    j->exit_ms = clock_ms();
    if (!j->done && read_log(j))
        settle(j);
}

static void on_written(uv_write_t *w, int status)
{
    struct job *j = w->data;
    (void)status; /* a command need not read all its input */
    close_handle(j, &j->in);
}

/* ---- starting ---- */

static int make_log(struct job *j)
{
    struct openssh *o = j->owner;
    if (mkfifo(j->log_path, 0600) != 0)
        return errno;
    /* For both ends: it is then open for ssh, and never at its end before ssh has come. */
    j->log_fd = open(j->log_path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (j->log_fd < 0)
        return errno;
    int status = uv_poll_init(o->loop, &j->log, j->log_fd);
    if (status != 0)
        return -status;
    own(j, &j->log);
    return -uv_poll_start(&j->log, UV_READABLE, on_log);
}

static int spawn(struct job *j)
{
    struct openssh *o = j->owner;
    uv_pipe_init(o->loop, &j->in, 0);
    own(j, &j->in);
    uv_pipe_init(o->loop, &j->out, 0);
    own(j, &j->out);
    uv_pipe_init(o->loop, &j->err, 0);
    own(j, &j->err);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&j->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&j->err}};
    if (j->bounds.use_stdin) {
        stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
        stdio[0].data.stream = (uv_stream_t *)&j->in;
    }
    uv_process_options_t options = {.file = j->argv[0],
                                    .args = j->argv,
                                    .stdio = stdio,
                                    .stdio_count = 3,
                                    .exit_cb = on_ssh_exit,
                                    .flags = UV_PROCESS_DETACHED};
    int status = uv_spawn(o->loop, &j->process, &options);
    own(j, &j->process);
    if (status != 0)
        j->exited = true; /* there is nothing to kill */
    return -status;
}

static void begin(struct job *j)
{
    struct openssh *o = j->owner;
    uv_buf_t input = uv_buf_init((char *)o->input, (unsigned)o->input_len);
    j->running = true;
    o->running++;
    j->begin_us = clock_us();
    if (o->begun != NULL)
        o->begun(o->user, j->id);
    int sys = make_log(j);
    if (sys != 0) {
        fail(j, "cannot make a pipe for ssh's log", sys);
        return;
    }
    sys = spawn(j);
    if (sys != 0) {
        fail(j, "cannot start ssh", sys);
        return;
    }
    j->write.data = j;
    if (!j->bounds.use_stdin ||
        uv_write(&j->write, (uv_stream_t *)&j->in, &input, 1, on_written) != 0)
        close_handle(j, &j->in);
    if (!o->paused) {
        uv_read_start((uv_stream_t *)&j->out, on_alloc, on_read);
        uv_read_start((uv_stream_t *)&j->err, on_alloc, on_read);
    }
}

/* ---- time ---- */

static void check_bounds(struct job *j, uint64_t ms)
{
    const struct openssh_bounds *b = &j->bounds;
    if (!j->told_sent) {
        j->connect_used += ms;
        if (j->connect_used >= b->connect_ms)
            stop(j, sshlog_timeout(&j->seen));
    } else if (!j->owner->paused) {
        j->run_used += ms;
        j->silent_for += ms;
        if (b->run_ms > 0 && j->run_used >= b->run_ms)
            stop(j, PROBLEM_RUN_TIMEOUT);
        else if (b->silence_ms > 0 && j->silent_for >= b->silence_ms)
            stop(j, PROBLEM_SILENCE_TIMEOUT);
    }
}

static void tick_job(struct job *j, uint64_t now, uint64_t ms)
{
    struct openssh *o = j->owner;
    if (!j->running) {
        if (j->ending != PROBLEM_NONE)
            finish(j);
        else if (o->running < o->max)
            begin(j);
    } else if (j->exited) {
        if (!o->paused && now - j->exit_ms > DRAIN_MS)
            finish(j);
    } else if (j->kill_ms == 0) {
        check_bounds(j, ms);
    } else if (j->now || now - j->kill_ms > KILL_MS) {
        kill_all(j, SIGKILL);
    }
}

static void on_tick(uv_timer_t *t)
{
    struct openssh *o = t->data;
    uint64_t now = clock_ms(), ms = now - o->ticked_ms;
    o->ticked_ms = now;
    for (struct job *j = o->first, *next; j != NULL; j = next) {
        next = j->next;
        tick_job(j, now, ms);
    }
    if (o->first == NULL && !o->closing)
        uv_timer_stop(t);
}

/* ---- the caller's side ---- */

enum rc openssh_start(struct openssh *o, uint64_t job, const struct openssh_target *target,
                      const struct openssh_bounds *bounds, struct err *e)
{
    struct job *j = mem_calloc(1, sizeof *j);
    if (j == NULL)
        return err_nomem(e);
    arena_init(&j->arena);
    j->owner = o;
    j->id = job;
    j->bounds = *bounds;
    j->log_fd = -1;
    snprintf(j->log_path, sizeof j->log_path, "%s/%u", o->dir, ++o->serial);
    struct openssh_target t = *target;
    t.log = j->log_path;
    enum rc rc = openssh_argv(&t, &j->arena, j->argv, e);
    if (rc != RC_OK) {
        arena_fini(&j->arena);
        mem_free(j);
        return rc;
    }
    j->prev = o->last;
    *(o->last != NULL ? &o->last->next : &o->first) = j;
    o->last = j;
    o->jobs++;
    if (!uv_is_active((uv_handle_t *)&o->tick))
        o->ticked_ms = clock_ms();
    uv_timer_start(&o->tick, on_tick, 0, TICK_MS);
    return RC_OK;
}

void openssh_cancel(struct openssh *o, uint64_t job, enum problem problem, bool now)
{
    for (struct job *j = o->first; j != NULL; j = j->next) {
        if (j->id != job)
            continue;
        j->now |= now;
        if (j->running)
            stop(j, problem);
        else if (j->ending == PROBLEM_NONE)
            j->ending = problem;
        return;
    }
}

static void set_reading(struct openssh *o, bool on)
{
    o->paused = !on;
    for (struct job *j = o->first; j != NULL; j = j->next) {
        uv_pipe_t *pipes[] = {j->out_ended ? NULL : &j->out, j->err_ended ? NULL : &j->err};
        for (int i = 0; i < 2; i++) {
            if (pipes[i] == NULL || pipes[i]->data != j)
                continue;
            if (on)
                uv_read_start((uv_stream_t *)pipes[i], on_alloc, on_read);
            else
                uv_read_stop((uv_stream_t *)pipes[i]);
        }
    }
}

void openssh_pause(struct openssh *o)
{
    set_reading(o, false);
}

void openssh_resume(struct openssh *o)
{
    set_reading(o, true);
}

static void on_tick_closed(uv_handle_t *h)
{
    struct openssh *o = h->data;
    o->tick.data = NULL;
    maybe_gone(o);
}

static void maybe_gone(struct openssh *o)
{
    if (!o->closing || o->jobs > 0 || o->tick.data != NULL)
        return;
    rmdir(o->dir);
    mem_free(o);
}

void openssh_close(struct openssh *o)
{
    if (o == NULL)
        return;
    o->closing = true;
    for (struct job *j = o->first, *next; j != NULL; j = next) {
        next = j->next;
        kill_all(j, SIGKILL);
        close_job(j);
    }
    uv_close((uv_handle_t *)&o->tick, on_tick_closed);
}
