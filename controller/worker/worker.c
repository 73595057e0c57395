/* See worker.h.
 *
 * Back-pressure has two sources, kept apart: the coordinator's PAUSE (its reader holds it up), and
 * our own queue being full (the coordinator does not read). Sessions stand still while either
 * holds.
 */
#include "controller/worker/worker.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <uv.h>

#include "common/descriptors.h"
#include "common/log.h"
#include "common/map.h"
#include "common/mem.h"
#include "controller/ssh/curves.h"
#include "controller/ssh/session.h"
#include "controller/ssh/ssh_io.h"
#include "controller/worker/chan.h"
#include "controller/worker/line.h"
#include "controller/worker/msg.h"
#include "controller/worker/sandbox.h"
#include "controller/worker/spawn.h"
#include "controller/worker/worker_internal.h"

enum {
    OUT_MAX = 64 * 1024 * 1024, /* never reached while sessions keep to their pause */
    OUT_HIGH = 1024 * 1024,
    OUT_LOW = 256 * 1024,
};

/* Descriptors: of a session that comes through another (its two ends of the bridge), and those that
 * stay free for what libraries open for a moment. */
enum { THROUGH_LINK = 2, SPARE_DESCRIPTORS = 8 };

/* The terminal's Ctrl-C and a service manager's TERM go to the whole group, and are the
 * coordinator's to answer: it needs its workers to cancel with. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGHUP, SIGTERM, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
}

void worker_leave(struct worker *w, int code)
{
    if (w->exit_code < 0)
        w->exit_code = code;
    chan_stop(&w->chan);
    uv_stop(&w->loop);
}

static void update_pause(struct worker *w)
{
    bool want = w->peer_paused || w->queue_paused;
    if (want == w->paused)
        return;
    w->paused = want;
    if (want)
        session_env_pause(w->env);
    else
        session_env_resume(w->env);
}

/* What cannot be said cannot be made good: the coordinator must not wait for it. */
void worker_said(struct worker *w, enum rc rc)
{
    if (rc == RC_OK)
        chan_kick(&w->chan);
    else
        worker_leave(w, EXIT_NO_MEMORY);
}

static void on_hostkey(void *user, const char *key_type, const void *blob, size_t len)
{
    struct worker_job *j = user;
    struct worker *w = j->worker;
    enum rc rc = msg_put_hostkey(chan_out(&w->chan), j->id, key_type, blob, len);
    if (rc == RC_LIMIT)
        session_hostkey_answer(j->session, HOSTKEY_REJECT, PROBLEM_HOSTILE,
                               "the host's key is larger than any real one");
    else
        worker_said(w, rc);
}

static void on_silent(void *user)
{
    struct worker_job *j = user;
    worker_said(j->worker, msg_put_empty(chan_out(&j->worker->chan), MSG_SILENT, j->id));
}

static void on_answered(void *user)
{
    struct worker_job *j = user;
    worker_said(j->worker, msg_put_empty(chan_out(&j->worker->chan), MSG_ANSWERED, j->id));
}

static void on_sign(void *user, unsigned id, const void *data, size_t n)
{
    struct worker_job *j = user;
    struct worker *w = j->worker;
    enum rc rc = msg_put_sign(chan_out(&w->chan), j->id, id, data, n);
    if (rc == RC_LIMIT)
        session_sign_answer(j->session, SIGN_FAILED, NULL, 0, "the login is too long to be signed");
    else
        worker_said(w, rc);
}

static void on_authenticated(void *user)
{
    struct worker_job *j = user;
    line_logged_in(&j->worker->line, &j->place);
    worker_said(j->worker, msg_put_empty(chan_out(&j->worker->chan), MSG_AUTHENTICATED, j->id));
}

static void on_password(void *user)
{
    struct worker_job *j = user;
    worker_said(j->worker, msg_put_empty(chan_out(&j->worker->chan), MSG_SECRET_WANTED, j->id));
}

/* The request goes out next. Were this word still with us when we die, the coordinator would take
 * the command for one that was never sent, and run it again. */
static void on_sent(void *user)
{
    struct worker_job *j = user;
    struct worker *w = j->worker;
    worker_said(w, msg_put_empty(chan_out(&w->chan), MSG_SENT, j->id));
    chan_flush(&w->chan);
}

static bool can_join(const struct worker *w, uint64_t job, bool is_stderr)
{
    return w->data_end != 0 && w->data_end == w->chan.out.len && w->data_job == job &&
           w->data_stderr == is_stderr && w->data_sends == w->chan.sends;
}

static enum rc put_data(struct worker *w, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    struct buf *out = chan_out(&w->chan);
    enum rc rc = RC_LIMIT;
    if (can_join(w, job, is_stderr))
        rc = msg_more_data(out, w->data_mark, p, n);
    if (rc == RC_LIMIT) {
        w->data_mark = out->len;
        w->data_job = job;
        w->data_stderr = is_stderr;
        rc = msg_put_data(out, job, is_stderr, p, n);
    }
    w->data_sends = w->chan.sends;
    w->data_end = rc == RC_OK ? out->len : 0;
    return rc;
}

static void on_data(void *user, bool is_stderr, const void *p, size_t n)
{
    struct worker_job *j = user;
    struct worker *w = j->worker;
    enum rc rc = RC_OK;
    for (const char *at = p; n > 0 && rc == RC_OK;) {
        size_t part = n < MSG_DATA_PART ? n : MSG_DATA_PART;
        rc = put_data(w, j->id, is_stderr, at, part);
        at += part;
        n -= part;
    }
    worker_said(w, rc);
}

static void drop_job(struct worker_job *j)
{
    map_del(&j->worker->jobs, (const char *)&j->id, sizeof j->id);
    line_leave(&j->worker->line, &j->place);
    mem_free(j->start);
    mem_free(j);
}

static void on_done(void *user, const struct session_result *result)
{
    struct worker_job *j = user;
    worker_said(j->worker, msg_put_done(chan_out(&j->worker->chan), j->id, result));
    drop_job(j);
}

static void on_ended_command(void *user, const struct session_result *result)
{
    struct worker_job *j = user;
    worker_said(j->worker, msg_put_ended(chan_out(&j->worker->chan), j->id, result));
}

static void on_taken(void *user, size_t n)
{
    struct worker_job *j = user;
    worker_said(j->worker, msg_put_taken(chan_out(&j->worker->chan), j->id, n));
}

static const struct session_ops session_ops = {.silent = on_silent,
                                               .answered = on_answered,
                                               .hostkey = on_hostkey,
                                               .password = on_password,
                                               .sign = on_sign,
                                               .authenticated = on_authenticated,
                                               .sent = on_sent,
                                               .data = on_data,
                                               .done = on_done,
                                               .ended = on_ended_command,
                                               .taken = on_taken};

/* A session that never began, told in the way of every other end. */
static void refuse_job(struct worker *w, uint64_t id, enum problem problem, const char *why)
{
    struct session_result r = {.server_banner = ""};
    outcome_init(&r.outcome);
    r.outcome.problem = problem;
    r.outcome.phase = PHASE_CONNECT;
    strncpy(r.outcome.detail, why, sizeof r.outcome.detail - 1);
    worker_said(w, msg_put_done(chan_out(&w->chan), id, &r));
}

static void end_job(struct worker_job *j, enum problem problem, const char *why)
{
    struct worker *w = j->worker;
    uint64_t id = j->id;
    drop_job(j);
    refuse_job(w, id, problem, why);
}

struct worker_job *worker_job(struct worker *w, uint64_t id)
{
    return map_get(&w->jobs, (const char *)&id, sizeof id);
}

/* One that has begun. */
static struct worker_job *find_job(struct worker *w, uint64_t id)
{
    struct worker_job *j = worker_job(w, id);
    return j != NULL && j->session != NULL ? j : NULL;
}

/* The link of a job that goes through one. It may have ended while the START was on its way. */
static bool find_link(struct worker *w, struct session_spec *spec)
{
    struct worker_job *j = find_job(w, spec->via_job);
    spec->via =
        j != NULL && j->session != NULL && session_is_linked(j->session) ? j->session : NULL;
    return spec->via != NULL;
}

/* Its time runs from here on. */
static void begin_job(struct worker_job *j, struct session_spec *spec)
{
    struct worker *w = j->worker;
    struct err why = {0};
    worker_said(w, msg_put_empty(chan_out(&w->chan), MSG_BEGUN, j->id));
    if (spec->via_job != 0 && !find_link(w, spec))
        end_job(j, PROBLEM_JUMP_UNREACHABLE, "the connection to the bastion was lost");
    else if (session_start(&j->session, w->env, spec, &session_ops, j, &why) != RC_OK)
        end_job(j, PROBLEM_LOCAL_RESOURCE, why.msg);
    else if (j->finish)
        session_finish(j->session);
}

static void on_turn_to_begin(void *user, struct line_item *item)
{
    struct worker_job *j = (struct worker_job *)((char *)item - offsetof(struct worker_job, place));
    void *start = j->start;
    struct frame f = {.type = MSG_START, .id = j->id, .payload = start, .length = j->start_len};
    struct msg_start m;
    struct err e = {0};
    (void)user;
    j->start = NULL;
    if (msg_get_start(&f, &m, &e) == RC_OK)
        begin_job(j, &m.spec);
    else /* it was right when it came: no memory to read it again */
        end_job(j, PROBLEM_LOCAL_RESOURCE, e.msg);
    mem_free(start);
}

static struct worker_job *add_job(struct worker *w, uint64_t id)
{
    struct worker_job *j = mem_calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    j->id = id;
    j->worker = w;
    if (map_put(&w->jobs, (const char *)&j->id, sizeof j->id, j, NULL) == 0)
        return j;
    mem_free(j);
    return NULL;
}

static enum rc took_start(struct worker *w, const struct frame *f, struct err *e)
{
    struct msg_start m;
    if (worker_job(w, f->id) != NULL)
        return err_set(e, RC_PROTO, "a job that runs already");
    enum rc rc = msg_get_start(f, &m, e);
    if (rc != RC_OK)
        return rc;
    if (m.spec.input == INPUT_BLOB && !session_env_has_blob(w->env, m.spec.blob))
        return err_set(e, RC_PROTO, "an input that was not given");
    struct worker_job *j = add_job(w, f->id);
    if (j == NULL) {
        refuse_job(w, f->id, PROBLEM_LOCAL_RESOURCE, "out of memory");
        return RC_OK;
    }
    j->warm = m.spec.kind == SESSION_WARM;
    if (line_enter(&w->line, &j->place, m.spec.via_job != 0 ? THROUGH_LINK : 1)) {
        begin_job(j, &m.spec);
        return RC_OK;
    }
    j->start = mem_memdup(f->payload, f->length);
    j->start_len = f->length;
    if (j->start == NULL)
        end_job(j, PROBLEM_LOCAL_RESOURCE, "out of memory");
    return RC_OK;
}

/* About a job that has just ended here: its DONE is on the way, nothing is wrong. */
static enum rc took_answer(struct worker *w, const struct frame *f, struct err *e)
{
    struct msg_hostkey_answer m;
    enum rc rc = msg_get_hostkey_answer(f, &m, e);
    struct worker_job *j = find_job(w, f->id);
    if (rc == RC_OK && j != NULL)
        session_hostkey_answer(j->session, m.answer, m.problem, m.detail);
    return rc;
}

static enum rc took_go(struct worker *w, const struct frame *f, struct err *e)
{
    enum rc rc = msg_get_empty(f, e);
    struct worker_job *j = find_job(w, f->id);
    if (rc == RC_OK && j != NULL)
        session_go(j->session);
    return rc;
}

static enum rc took_secret(struct worker *w, const struct frame *f, struct err *e)
{
    const char *text;
    size_t len;
    enum rc rc = msg_get_secret(f, &text, &len, e);
    struct worker_job *j = find_job(w, f->id);
    if (rc == RC_OK && j != NULL)
        (void)session_password_answer(j->session, text, len); /* without memory: as if none */
    return rc;
}

static enum rc took_signed(struct worker *w, const struct frame *f, struct err *e)
{
    struct msg_signed m;
    enum rc rc = msg_get_signed(f, &m, e);
    struct worker_job *j = find_job(w, f->id);
    if (rc == RC_OK && j != NULL)
        session_sign_answer(j->session, m.answer, m.sig, m.len, m.detail);
    return rc;
}

static enum rc took_cancel(struct worker *w, const struct frame *f, struct err *e)
{
    enum problem problem;
    bool now;
    enum rc rc = msg_get_cancel(f, &problem, &now, e);
    struct worker_job *j = worker_job(w, f->id);
    if (rc == RC_OK && j != NULL && j->session == NULL)
        end_job(j, problem, "before a connection was made");
    else if (rc == RC_OK && j != NULL)
        session_cancel(j->session, problem, now);
    return rc;
}

static enum rc took_pause(struct worker *w, const struct frame *f, struct err *e)
{
    enum rc rc = msg_get_empty(f, e);
    if (rc != RC_OK)
        return rc;
    w->peer_paused = f->type == MSG_PAUSE;
    update_pause(w);
    return RC_OK;
}

/* Right before the loop waits for its sockets: hosts that say a little each are then heard
 * together, and what they said goes to the coordinator in one piece. The coordinator itself is
 * heard at once. Not while the loop has work that is due, nor while it measures itself for those in
 * line, nor when a host had more to say than one turn takes, or talks through another. */
static void on_linger(uv_prepare_t *h)
{
    struct worker *w = h->data;
    short events = (short)(POLLIN | (w->chan.blocked ? POLLOUT : 0));
    struct pollfd p = {.fd = w->chan.fd, .events = events};
    int due = uv_backend_timeout(&w->loop);
    int ms = due >= 0 && due < (int)w->calm_ms ? due : (int)w->calm_ms;
    if (session_env_hurries(w->env) || ms == 0 || w->line.first != NULL)
        return;
    (void)poll(&p, 1, ms);
    uv_update_time(&w->loop); /* or the loop would wait all of `due` once more */
}

static enum rc took_calm(struct worker *w, const struct frame *f, struct err *e)
{
    enum rc rc = msg_get_calm(f, &w->calm_ms, e);
    if (rc == RC_OK && w->calm_ms > 0)
        must(uv_prepare_start(&w->linger, on_linger) == 0);
    else
        uv_prepare_stop(&w->linger);
    return rc;
}

static enum rc on_frame(void *user, const struct frame *f, struct err *e)
{
    struct worker *w = user;
    switch (f->type) {
    case MSG_KEY: return worker_took_key(w, f, e);
    case MSG_IDENTITY: return worker_took_identity(w, f, e);
    case MSG_SIGNED: return took_signed(w, f, e);
    case MSG_STDIN: return worker_took_stdin(w, f, e);
    case MSG_START: return took_start(w, f, e);
    case MSG_HOSTKEY_ANSWER: return took_answer(w, f, e);
    case MSG_CANCEL: return took_cancel(w, f, e);
    case MSG_GO: return took_go(w, f, e);
    case MSG_SECRET: return took_secret(w, f, e);
    case MSG_EXEC: return worker_took_exec(w, f, e);
    case MSG_INPUT: return worker_took_input(w, f, e);
    case MSG_FINISH: return worker_took_finish(w, f, e);
    case MSG_PAUSE:
    case MSG_RESUME: return took_pause(w, f, e);
    case MSG_CALM: return took_calm(w, f, e);
    case MSG_PING: worker_said(w, msg_put_empty(chan_out(&w->chan), MSG_PONG, 0)); return RC_OK;
    default: return err_set(e, RC_PROTO, "message %u is not for a worker", f->type);
    }
}

static void on_ended(void *user, const struct err *why)
{
    struct worker *w = user;
    if (why->rc != RC_OK)
        log_debug("worker: %s", why->msg);
    worker_leave(w, why->rc == RC_OK ? EXIT_LEFT : EXIT_PROTOCOL);
}

static void on_full(void *user)
{
    struct worker *w = user;
    w->queue_paused = true;
    update_pause(w);
}

static void on_drained(void *user)
{
    struct worker *w = user;
    w->queue_paused = false;
    update_pause(w);
}

static const struct chan_ops chan_ops = {
    .frame = on_frame, .ended = on_ended, .full = on_full, .drained = on_drained};

static void on_part_closed(void *user)
{
    struct worker *w = user;
    w->open--;
}

static void on_linger_closed(uv_handle_t *h)
{
    on_part_closed(h->data);
}

/* With sessions under way there is nobody left to hear how they end: the process just goes, and
 * its sockets and keys with it. Otherwise all is taken down, keys first. */
static void take_down(struct worker *w)
{
    if (session_env_active(w->env) > 0 || w->line.first != NULL)
        return;
    w->open = 4;
    uv_close((uv_handle_t *)&w->linger, on_linger_closed);
    line_close(&w->line, on_part_closed);
    session_env_close(w->env, on_part_closed, w);
    chan_close(&w->chan, on_part_closed);
    while (w->open > 0 && uv_run(&w->loop, UV_RUN_ONCE) != 0)
        continue;
    uv_loop_close(&w->loop);
    chan_fini(&w->chan);
    map_fini(&w->jobs);
    buf_wipe(&w->input);
    if (log_get_level() >= LOG_LEVEL_DEBUG)
        log_debug("worker: %u descriptors at the end", descriptors_open());
}

static uint32_t room_for_sessions(void)
{
    struct rlimit lim = {SSHIO_MAX_FD, 0};
    getrlimit(RLIMIT_NOFILE, &lim);
    uint32_t all = lim.rlim_cur < SSHIO_MAX_FD ? (uint32_t)lim.rlim_cur : SSHIO_MAX_FD;
    uint32_t own = descriptors_open() + SPARE_DESCRIPTORS;
    return all > own ? all - own : 1;
}

int worker_main(int fd)
{
    struct worker w = {.exit_code = -1};
    struct err e = {0};
    ignore_signals();
    prctl(PR_SET_NAME, "muster-worker");
    chan_init(&w.chan, fd, OUT_MAX, CHAN_WIPE_IN);
    chan_marks(&w.chan, OUT_HIGH, OUT_LOW);
    map_init(&w.jobs);
    buf_init(&w.input, MSG_STDIN_MAX);
    if (uv_loop_init(&w.loop) != 0)
        return EXIT_SETUP;
    if (session_env_new(&w.env, &w.loop, &e) != RC_OK ||
        chan_start(&w.chan, &w.loop, &chan_ops, &w, &e) != RC_OK) {
        log_error("worker: %s", e.msg);
        return EXIT_SETUP;
    }
    must(uv_prepare_init(&w.loop, &w.linger) == 0); /* cannot fail */
    w.linger.data = &w;
    line_init(&w.line, &w.loop, room_for_sessions(), on_turn_to_begin, &w);
    /* Reads the machine's crypto policy (openssl.cnf), which it would otherwise do too late. */
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    if (!curves_load())
        log_debug("worker: Curve25519 is libcrypto's");
    if (!sandbox_enter())
        log_debug("worker: this kernel offers no system call filter");
    worker_said(&w, msg_put_empty(chan_out(&w.chan), MSG_READY, 0));
    uv_run(&w.loop, UV_RUN_DEFAULT);
    take_down(&w);
    return w.exit_code < 0 ? EXIT_SETUP : w.exit_code;
}

bool worker_is_called(int argc, char **argv)
{
    return argc == 3 && strcmp(argv[1], SPAWN_WORKER) == 0;
}

_Noreturn void worker_again(char **argv)
{
    int domain = 0;
    socklen_t len = sizeof domain;
    long level = strtol(argv[2], NULL, 10);
    if (getsockopt(SPAWN_FD, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 || domain != AF_UNIX) {
        fprintf(stderr, "muster: %s is not for use by hand\n", SPAWN_WORKER);
        _exit(EXIT_SETUP);
    }
    log_set_level(level >= 0 && level <= LOG_LEVEL_DEBUG ? (enum log_level)level : LOG_LEVEL_WARN);
    _exit(worker_main(SPAWN_FD));
}
