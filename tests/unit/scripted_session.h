/* A session that is a script, in place of controller/ssh, for tests of the pool in real processes:
 * what a job does is its command ("ok", "exit 3", "hang", "flood 1000000", "die", "password",
 * "late", or a way to break the protocol). Included by one test.
 */
#ifndef TESTS_UNIT_SCRIPTED_SESSION_H
#define TESTS_UNIT_SCRIPTED_SESSION_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/worker/admit.h"
#include "controller/worker/msg.h"
#include "controller/worker/pool.h"
#include "controller/worker/worker.h"

/* Shared with the workers: what the test waits for and counts there. */
struct shared {
    sem_t paused, resumed;
    _Atomic uint64_t produced; /* bytes of output that sessions handed to the worker */
    struct sockaddr_un other;  /* somebody else's socket */
    socklen_t other_len;
};
static struct shared *shared;

/* ---- the scripted session, in the worker ---- */

struct session_env {
    uv_loop_t *loop;
    uv_idle_t idle;
    struct session *sessions;
    bool paused;
    char key[64];
    unsigned blobs;
    size_t input_len; /* of all of them */
    uint64_t input_sum;
    void (*closed)(void *user);
    void *closed_user;
};

struct session {
    struct session_env *env;
    struct session *next;
    struct session_ops ops;
    void *user;
    char command[64];
    int step;
    uint64_t left;
    bool begun;   /* a turn ago */
    bool waiting; /* for an answer or a cancel */
    bool over;
    bool asked; /* for a password or a signature */
    bool warm, idle, finishing, rests;
    enum input_kind input;
    char signature[128];
    char password[64];
    struct session_result result;
};

static bool runnable(const struct session *s)
{
    if (s->idle)
        return s->finishing || s->over;
    return !s->waiting && !(s->env->paused && s->left > 0);
}

static void on_idle(uv_idle_t *h);

static void update_idle(struct session_env *env)
{
    bool any = false;
    for (struct session *s = env->sessions; s != NULL; s = s->next)
        any = any || runnable(s);
    if (any)
        uv_idle_start(&env->idle, on_idle);
    else
        uv_idle_stop(&env->idle);
}

static void finish(struct session *s, enum problem problem, int exit_code)
{
    s->result.outcome.problem = problem;
    s->result.outcome.exit_code = exit_code;
    s->over = true;
    s->rests = s->result.outcome.sent; /* of a warm one: it stays */
}

static int socket_of_worker(void)
{
    for (int fd = 3; fd < 64; fd++) {
        int domain = 0;
        socklen_t len = sizeof domain;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX)
            return fd;
    }
    abort();
}

/* Ways of a worker that was taken over. */
static void misbehave(const char *how)
{
    struct buf b;
    struct session_result r = {.server_banner = ""};
    buf_init(&b, 1 << 20);
    outcome_init(&r.outcome);
    if (strcmp(how, "bad-frame") == 0)
        buf_append(&b, "this is no frame, this is no frame", 34);
    else if (strcmp(how, "bad-type") == 0)
        frame_append(&b, 200, 1, NULL, 0);
    else if (strcmp(how, "bad-job") == 0)
        msg_put_empty(&b, MSG_AUTHENTICATED, 999999);
    else if (strcmp(how, "bad-order") == 0)
        msg_put_data(&b, 1, false, "x", 1);
    else if (strcmp(how, "bad-sign") == 0) /* before its host key was accepted */
        msg_put_sign(&b, 1, 7, "login", 5);
    else if (strcmp(how, "bad-length") == 0)
        frame_append(&b, MSG_AUTHENTICATED, 1, "x", 1);
    else if (strcmp(how, "bad-begun") == 0)
        msg_put_empty(&b, MSG_BEGUN, 1);
    else if (strcmp(how, "bad-ready") == 0)
        msg_put_empty(&b, MSG_READY, 0);
    else if (strcmp(how, "bad-done") == 0) /* an ok that never ran */
        msg_put_done(&b, 1, &r);
    else if (strcmp(how, "bad-scan") == 0) { /* the end of a scan that nobody asked for */
        r.outcome.phase = PHASE_HOST_KEY;
        msg_put_done(&b, 1, &r);
    } else if (strcmp(how, "bad-wanted") == 0) /* there is none */
        msg_put_empty(&b, MSG_SECRET_WANTED, 1);
    else if (strcmp(how, "bad-answered") == 0) /* nobody said that it was silent */
        msg_put_empty(&b, MSG_ANSWERED, 1);
    else if (strcmp(how, "bad-silent") == 0) {
        msg_put_empty(&b, MSG_SILENT, 1);
        msg_put_empty(&b, MSG_SILENT, 1);
    } else if (strcmp(how, "bad-held") == 0) { /* it does not wait to go on */
        msg_put_empty(&b, MSG_SILENT, 1);
        msg_put_hostkey(&b, 1, "ssh-ed25519", "blob", 4);
    } else if (strcmp(how, "bad-map") == 0)
        frame_append(&b, MSG_HOSTKEY, 1, "\xdd\x02\0\0\0", 5);
    else
        abort();
    if (write(socket_of_worker(), b.data, b.len) != (ssize_t)b.len)
        abort();
    buf_fini(&b);
}

/* The same of one whose command was sent, about job 1. */
static void lie(const char *how)
{
    struct buf b;
    struct session_result ok = {.server_banner = ""}, lost, none;
    buf_init(&b, 1 << 20);
    outcome_init(&ok.outcome);
    none = ok;
    none.outcome.phase = PHASE_CLOSE;
    ok.outcome.phase = PHASE_RUN;
    ok.outcome.sent = true;
    lost = ok;
    lost.outcome.problem = PROBLEM_CONNECTION_LOST;
    ok.outcome.exit_code = 0;
    if (strstr(how, "-idle") != NULL)
        msg_put_ended(&b, 1, &ok);
    if (str_starts(how, "lie-ended"))
        msg_put_ended(&b, 1, &ok);
    else if (str_starts(how, "lie-data"))
        msg_put_data(&b, 1, false, "x", 1);
    else if (str_starts(how, "lie-sent"))
        msg_put_empty(&b, MSG_SENT, 1);
    else if (str_starts(how, "lie-authenticated"))
        msg_put_empty(&b, MSG_AUTHENTICATED, 1);
    else if (str_starts(how, "lie-taken"))
        msg_put_taken(&b, 1, 1);
    else if (str_starts(how, "lie-ok"))
        msg_put_done(&b, 1, &ok);
    else if (str_starts(how, "lie-close"))
        msg_put_done(&b, 1, &none);
    else if (str_starts(how, "lie-done-sent"))
        msg_put_done(&b, 1, &lost);
    else if (str_starts(how, "lie-unsent"))
        msg_put_ended(&b, 1, &none);
    else
        abort();
    if (write(socket_of_worker(), b.data, b.len) != (ssize_t)b.len)
        abort();
    buf_fini(&b);
}

static void send_text(struct session *s, bool is_stderr, const char *text)
{
    s->ops.data(s->user, is_stderr, text, strlen(text));
}

static void flood(struct session *s)
{
    static char bytes[32768];
    size_t n = s->left < sizeof bytes ? (size_t)s->left : sizeof bytes;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(s->left - i);
    s->left -= n;
    atomic_fetch_add(&shared->produced, n);
    s->ops.data(s->user, false, bytes, n);
    if (s->left == 0)
        finish(s, PROBLEM_NONE, 0);
}

/* What a worker that was taken over would try first: names of what was not refused. */
static void try_to_escape(char *text, size_t cap)
{
    char *const argv[] = {"/bin/true", NULL};
    struct iovec mine = {text, 1}, theirs = {text, 1};
    struct rlimit core = {1, 1};
    volatile size_t n = 0; /* of a caller of vfork */
    text[0] = '\0';
#define REFUSED(call)                                                                              \
    if ((errno = 0, (long)(call) != -1) || errno != EPERM)                                         \
    n += (size_t)snprintf(text + n, cap - n, "%s: %s; ", #call, strerror(errno))
    REFUSED(open("/etc/passwd", O_RDONLY));
    REFUSED(open("/tmp", O_TMPFILE | O_RDWR, 0600));
    REFUSED(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0));
    REFUSED(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
    REFUSED(process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0));
    REFUSED(kill(getppid(), 0));
    REFUSED(fork());
    REFUSED(vfork());
    REFUSED(execve(argv[0], argv, NULL));
    REFUSED(memfd_create("x", 0));
    REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
    REFUSED(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REFUSED(prctl(PR_SET_DUMPABLE, 1));
    REFUSED(setrlimit(RLIMIT_CORE, &core));
#undef REFUSED
    /* What it has is connected to the coordinator, and to nobody else. */
    if (connect(socket_of_worker(), (struct sockaddr *)&shared->other, shared->other_len) == 0 ||
        errno != EISCONN)
        n += (size_t)snprintf(text + n, cap - n, "connect: %s; ", strerror(errno));
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
        n += (size_t)snprintf(text + n, cap - n, "core files; ");
    snprintf(text + n, cap - n, "dumpable %d, no new privileges %d", prctl(PR_GET_DUMPABLE),
             prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void run_command(struct session *s)
{
    char text[2048];
    const char *c = s->command;
    if (str_starts(c, "exit ")) {
        finish(s, PROBLEM_EXIT_NONZERO, (int)strtol(c + 5, NULL, 10));
    } else if (str_starts(c, "flood ")) {
        s->left = strtoull(c + 6, NULL, 10);
        return;
    } else if (str_starts(c, "password")) {
        send_text(s, false, s->password);
        finish(s, PROBLEM_NONE, 0);
    } else if (str_starts(c, "sign")) {
        send_text(s, false, s->signature);
        finish(s, PROBLEM_NONE, 0);
    } else if (str_starts(c, "duplex")) {
        s->waiting = true;
    } else if (str_starts(c, "lie-")) {
        lie(c);
        s->waiting = true;
    } else if (strcmp(c, "hang") == 0) {
        s->waiting = true;
    } else if (strcmp(c, "input") == 0) {
        snprintf(text, sizeof text, "%s %zu %llu", s->env->key, s->env->input_len,
                 (unsigned long long)s->env->input_sum);
        send_text(s, false, text);
        finish(s, PROBLEM_NONE, 0);
    } else if (strcmp(c, "escape") == 0) {
        try_to_escape(text, sizeof text);
        send_text(s, false, text);
        finish(s, PROBLEM_NONE, 0);
    } else if (strcmp(c, "loop") == 0) {
        for (;;)
            pause();
    } else if (strcmp(c, "die") == 0) {
        raise(SIGKILL);
    } else if (strcmp(c, "stop") == 0) {
        raise(SIGSTOP);
    } else {
        send_text(s, false, "out");
        send_text(s, false, "put");
        send_text(s, true, "err");
        finish(s, PROBLEM_NONE, 0);
    }
}

/* Asks before it goes on; "sign-twice" asks again without an answer. */
static void ask_to_sign(struct session *s)
{
    s->asked = s->waiting = true;
    s->step--;
    s->ops.sign(s->user, 7, "login", 5);
    if (strcmp(s->command, "sign-twice") == 0)
        s->ops.sign(s->user, 7, "login", 5);
}

static void step(struct session *s)
{
    if (s->idle) { /* finished */
        s->result.outcome.phase = PHASE_CLOSE;
        finish(s, PROBLEM_NONE, -1);
        s->rests = false;
        return;
    }
    switch (s->step++) {
    case 0:
        if (str_starts(s->command, "bad-") && !s->begun) {
            s->begun = true; /* what the worker says of itself goes first */
            s->step--;
            return;
        }
        if (str_starts(s->command, "bad-"))
            misbehave(s->command);
        if (strcmp(s->command, "die-early") == 0)
            raise(SIGKILL);
        if (strcmp(s->command, "burn") == 0) {
            uint64_t end = uv_hrtime() + (uint64_t)2 * ADMIT_LAG_US * 1000;
            while (uv_hrtime() < end)
                continue;
            s->step--; /* and again in the next turn */
            return;
        }
        if (strcmp(s->command, "late") == 0 && !s->asked) {
            s->asked = s->waiting = true;
            s->step--;
            s->ops.silent(s->user);
            s->ops.answered(s->user);
            return;
        }
        if (strcmp(s->command, "hang-early") == 0) {
            s->waiting = true;
            return;
        }
        s->waiting = true;
        s->ops.hostkey(s->user, "ssh-ed25519", "blob", 4);
        return;
    case 1:
        if (str_starts(s->command, "password") && !s->asked) {
            s->asked = s->waiting = true;
            s->step--;
            s->ops.password(s->user);
            return;
        }
        if (str_starts(s->command, "sign") && !s->asked) {
            ask_to_sign(s);
            return;
        }
        s->ops.authenticated(s->user);
        return;
    case 2:
        s->result.outcome.sent = true;
        s->result.outcome.phase = PHASE_RUN;
        s->ops.sent(s->user);
        if (strcmp(s->command, "die-as-sent") == 0)
            raise(SIGKILL);
        return;
    case 3: run_command(s); return;
    default:
        if (s->input == INPUT_DUPLEX)
            finish(s, PROBLEM_NONE, 0);
        else
            flood(s);
        return;
    }
}

/* A warm session whose command is over. */
static void rest(struct session *s)
{
    struct session_result r = s->result;
    s->over = s->rests = false;
    s->idle = true;
    outcome_init(&s->result.outcome);
    s->ops.ended(s->user, &r);
}

static void on_idle(uv_idle_t *h)
{
    struct session_env *env = h->data;
    for (struct session **at = &env->sessions, *s; (s = *at) != NULL;) {
        if (!s->over && runnable(s))
            step(s);
        if (s->over && s->warm && s->rests)
            rest(s);
        if (!s->over) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        s->ops.done(s->user, &s->result);
        mem_free(s);
    }
    update_idle(env);
}

enum rc session_env_new(struct session_env **out, uv_loop_t *loop, struct err *e)
{
    struct session_env *env = mem_calloc(1, sizeof *env);
    if (env == NULL)
        return err_nomem(e);
    env->loop = loop;
    uv_idle_init(loop, &env->idle);
    env->idle.data = env;
    *out = env;
    return RC_OK;
}

static void on_env_closed(uv_handle_t *h)
{
    struct session_env *env = h->data;
    env->closed(env->closed_user);
    mem_free(env);
}

void session_env_close(struct session_env *env, void (*closed)(void *user), void *user)
{
    env->closed = closed;
    env->closed_user = user;
    uv_close((uv_handle_t *)&env->idle, on_env_closed);
}

enum rc session_env_add_key(struct session_env *env, unsigned id, const char *text, size_t len,
                            const char *passphrase, const char *label, struct err *e)
{
    if (strcmp(text, "bad key") == 0)
        return err_set(e, RC_CRYPTO, "key %s: wrong passphrase", label);
    snprintf(env->key, sizeof env->key, "%u/%zu/%s/%s", id, len, passphrase ? passphrase : "-",
             label);
    return RC_OK;
}

enum rc session_env_add_agent_key(struct session_env *env, unsigned id, const void *blob,
                                  size_t len, const char *label, struct err *e)
{
    (void)e;
    snprintf(env->key, sizeof env->key, "agent %u/%.*s/%s", id, (int)len, (const char *)blob,
             label);
    return RC_OK;
}

enum rc session_env_add_cert(struct session_env *env, unsigned id, unsigned base, const void *blob,
                             size_t len, const char *label, struct err *e)
{
    (void)e;
    snprintf(env->key, sizeof env->key, "cert %u/%u/%.*s/%s", id, base, (int)len,
             (const char *)blob, label);
    return RC_OK;
}

enum rc session_env_set_blob(struct session_env *env, unsigned blob, const void *p, size_t n,
                             struct err *e)
{
    (void)e;
    env->blobs |= 1u << blob;
    env->input_len += n;
    for (size_t i = 0; i < n; i++)
        env->input_sum += ((const uint8_t *)p)[i];
    return RC_OK;
}

bool session_env_has_blob(const struct session_env *env, unsigned blob)
{
    return (env->blobs & 1u << blob) != 0;
}

enum rc session_start(struct session **out, struct session_env *env,
                      const struct session_spec *spec, const struct session_ops *ops, void *user,
                      struct err *e)
{
    struct session *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    snprintf(s->command, sizeof s->command, "%.*s", (int)spec->command_len,
             (const char *)spec->command);
    if (strcmp(s->command, "no-start") == 0) {
        mem_free(s);
        return err_set(e, RC_SYS, "no descriptor is left");
    }
    s->env = env;
    s->warm = spec->kind == SESSION_WARM;
    s->input = spec->input;
    s->ops = *ops;
    s->user = user;
    outcome_init(&s->result.outcome);
    s->next = env->sessions;
    env->sessions = s;
    *out = s;
    update_idle(env);
    return RC_OK;
}

void session_hostkey_answer(struct session *s, enum hostkey_answer a, enum problem problem,
                            const char *detail)
{
    s->waiting = false;
    if (a == HOSTKEY_REJECT) {
        snprintf(s->result.outcome.detail, sizeof s->result.outcome.detail, "%s", detail);
        finish(s, problem, -1);
    }
    update_idle(s->env);
}

bool session_is_linked(const struct session *s)
{
    return !s->over;
}

enum rc session_password_answer(struct session *s, const char *text, size_t len)
{
    snprintf(s->password, sizeof s->password, "%.*s", (int)len, text);
    s->waiting = false;
    if (len == 0)
        finish(s, PROBLEM_AUTH_DENIED, -1);
    update_idle(s->env);
    return RC_OK;
}

void session_sign_answer(struct session *s, enum sign_answer a, const void *sig, size_t len,
                         const char *detail)
{
    snprintf(s->signature, sizeof s->signature, "%d/%.*s/%s", (int)a, (int)len, (const char *)sig,
             detail);
    s->waiting = false;
    update_idle(s->env);
}

void session_cancel(struct session *s, enum problem problem, bool now)
{
    s->waiting = false;
    s->result.outcome.may_still_run = now && s->result.outcome.sent;
    if (s->idle && !now)
        return;
    finish(s, problem, -1);
    s->rests &= !now;
    update_idle(s->env);
}

/* Warm: "stay" commands end and go idle, input is echoed at once ("duplex"), see run_command. */
static void begin_command(struct session *s, const char *text, size_t len)
{
    snprintf(s->command, sizeof s->command, "%.*s", (int)len, text);
    s->step = 2; /* sent, then the command */
    s->waiting = s->over = s->idle = false;
}

enum rc session_exec(struct session *s, const struct session_command *c, struct err *e)
{
    if (s->over)
        return err_set(e, RC_CANCELLED, "over");
    if (!s->idle)
        return err_set(e, RC_EXISTS, "busy");
    begin_command(s, c->text, c->len);
    s->input = c->input;
    update_idle(s->env);
    return RC_OK;
}

void session_go(struct session *s)
{
    s->waiting = false;
    update_idle(s->env);
}

void session_finish(struct session *s)
{
    s->finishing = true;
    update_idle(s->env);
}

enum rc session_input(struct session *s, const void *p, size_t n)
{
    if (s->idle || s->over)
        return RC_OK;
    if (s->input != INPUT_DUPLEX)
        return RC_PROTO;
    if (n > 0)
        s->ops.data(s->user, false, p, n);
    if (n > 0 && strcmp(s->command, "duplex-slow") != 0)
        s->ops.taken(s->user, n);
    return RC_OK;
}

enum rc session_input_eof(struct session *s)
{
    if (s->idle || s->over)
        return RC_OK;
    s->waiting = false;
    s->step = 4;
    update_idle(s->env);
    return RC_OK;
}

void session_env_pause(struct session_env *env)
{
    env->paused = true;
    sem_post(&shared->paused);
    update_idle(env);
}

void session_env_resume(struct session_env *env)
{
    env->paused = false;
    sem_post(&shared->resumed);
    update_idle(env);
}

bool session_env_hurries(struct session_env *env)
{
    (void)env;
    return false;
}

size_t session_env_active(const struct session_env *env)
{
    size_t n = 0;
    for (struct session *s = env->sessions; s != NULL; s = s->next)
        n++;
    return n;
}

#endif
