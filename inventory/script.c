/* See script.h. */
#include "inventory/script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/str.h"

extern char **environ;

enum { MAX_ARGS = 8, ERROR_TAIL = 400, READ_CHUNK = 64 * 1024 };

struct script {
    const char *path;
    pid_t pid;
    int fds[2];                /* its stdout and stderr; -1 when closed */
    char tail[ERROR_TAIL + 1]; /* the end of what it wrote to stderr */
    size_t tail_len;
    uint64_t deadline, limit_ms;
    struct buf *out;
    struct err *e;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int spawn_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int sys = posix_spawnattr_init(attr);
    if (sys != 0)
        return sys;
    sys = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    if (sys == 0)
        sys = posix_spawnattr_setpgroup(attr, 0);
    if (sys == 0)
        sys = posix_spawnattr_setsigmask(attr, &none);
    return sys ? sys : posix_spawnattr_setsigdefault(attr, &all);
}

static int spawn(struct script *s, char *const *argv, int out, int err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int sys = posix_spawn_file_actions_init(&files);
    if (sys != 0)
        return sys;
    sys = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (sys == 0)
        sys = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (sys == 0)
        sys = posix_spawn_file_actions_adddup2(&files, err, 2);
    if (sys == 0 && (sys = spawn_attributes(&attr)) == 0) {
        sys = posix_spawn(&s->pid, s->path, &files, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return sys;
}

static enum rc start(struct script *s, const char *const *args)
{
    char *argv[MAX_ARGS + 2] = {(char *)s->path};
    for (int i = 0; i < MAX_ARGS && args[i] != NULL; i++)
        argv[i + 1] = (char *)args[i];
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) != 0)
        return err_sys(s->e, errno, "%s: pipe", s->path);
    if (pipe2(err, O_CLOEXEC) != 0) {
        int sys = errno;
        close(out[0]);
        close(out[1]);
        return err_sys(s->e, sys, "%s: pipe", s->path);
    }
    s->fds[0] = out[0];
    s->fds[1] = err[0];
    int sys = spawn(s, argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    if (sys == 0)
        return RC_OK;
    close_fd(&s->fds[0]);
    close_fd(&s->fds[1]);
    s->pid = -1;
    if (sys == ENOEXEC || sys == EACCES || sys == ENOENT)
        return err_set(s->e, RC_NOTFOUND, "%s: cannot be executed: %s", s->path, strerror(sys));
    return err_sys(s->e, sys, "%s: cannot be executed", s->path);
}

static void keep_tail(struct script *s, const char *p, size_t n)
{
    if (n > ERROR_TAIL) {
        p += n - ERROR_TAIL;
        n = ERROR_TAIL;
    }
    if (s->tail_len + n > ERROR_TAIL) {
        size_t drop = s->tail_len + n - ERROR_TAIL;
        memmove(s->tail, s->tail + drop, s->tail_len - drop);
        s->tail_len -= drop;
    }
    memcpy(s->tail + s->tail_len, p, n);
    s->tail_len += n;
}

static enum rc drain(struct script *s, int which, char *chunk)
{
    ssize_t n = read(s->fds[which], chunk, READ_CHUNK);
    if (n < 0)
        return errno == EINTR ? RC_OK : err_sys(s->e, errno, "%s: reading its output", s->path);
    if (n == 0) {
        close_fd(&s->fds[which]);
    } else if (which == 1) {
        keep_tail(s, chunk, (size_t)n);
    } else {
        enum rc rc = buf_append(s->out, chunk, (size_t)n);
        if (rc == RC_NOMEM)
            return err_nomem(s->e);
        if (rc != RC_OK)
            return err_set(s->e, RC_LIMIT, "%s: prints more than %zu bytes", s->path, s->out->max);
    }
    return RC_OK;
}

static enum rc timed_out(struct script *s)
{
    return err_set(s->e, RC_LIMIT, "%s: still running after %llu s", s->path,
                   (unsigned long long)(s->limit_ms / 1000));
}

/* Until it has closed both ends. */
static enum rc collect(struct script *s)
{
    char *chunk = mem_alloc(READ_CHUNK);
    if (chunk == NULL)
        return err_nomem(s->e);
    enum rc rc = RC_OK;
    while (rc == RC_OK && (s->fds[0] >= 0 || s->fds[1] >= 0)) {
        struct pollfd p[2] = {{.fd = s->fds[0], .events = POLLIN},
                              {.fd = s->fds[1], .events = POLLIN}};
        uint64_t now = clock_ms();
        if (now >= s->deadline) {
            rc = timed_out(s);
            break;
        }
        uint64_t wait = s->deadline - now;
        int ready = poll(p, 2, wait > 60000 ? 60000 : (int)wait);
        if (ready < 0 && errno != EINTR)
            rc = err_sys(s->e, errno, "%s: poll", s->path);
        for (int i = 0; rc == RC_OK && ready > 0 && i < 2; i++)
            if (p[i].revents != 0)
                rc = drain(s, i, chunk);
    }
    mem_free(chunk);
    return rc;
}

/* Its exit status, waited for up to the deadline (it may close its output and go on). */
static enum rc reap(struct script *s, int *status)
{
    int fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    while (fd >= 0) {
        uint64_t now = clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t wait = s->deadline > now ? s->deadline - now : 0;
        int ready = poll(&p, 1, wait > 60000 ? 60000 : (int)wait);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            break;
        if (ready == 0 && wait == 0) {
            close(fd);
            return timed_out(s);
        }
    }
    close_fd(&fd);
    while (waitpid(s->pid, status, 0) < 0)
        if (errno != EINTR)
            return err_sys(s->e, errno, "%s: waitpid", s->path);
    s->pid = -1;
    return RC_OK;
}

static enum rc judge(struct script *s, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return RC_OK;
    char text[ERROR_TAIL * 2];
    while (s->tail_len > 0 && s->tail[s->tail_len - 1] == '\n')
        s->tail_len--;
    str_escape_to(text, sizeof text, s->tail, s->tail_len, 0);
    const char *colon = text[0] ? ": " : "";
    if (WIFSIGNALED(status))
        return err_set(s->e, RC_CONFIG, "%s: killed by signal %d%s%s", s->path, WTERMSIG(status),
                       colon, text);
    return err_set(s->e, RC_CONFIG, "%s: exit status %d%s%s", s->path, WEXITSTATUS(status), colon,
                   text);
}

enum rc script_run(const char *path, const char *const *args, uint64_t ms, struct buf *out,
                   struct err *e)
{
    struct script s = {.path = path,
                       .pid = -1,
                       .fds = {-1, -1},
                       .deadline = clock_ms() + ms,
                       .limit_ms = ms,
                       .out = out,
                       .e = e};
    int status = 0;
    enum rc rc = start(&s, args);
    if (rc == RC_OK)
        rc = collect(&s);
    if (rc == RC_OK)
        rc = reap(&s, &status);
    close_fd(&s.fds[0]);
    close_fd(&s.fds[1]);
    if (s.pid > 0) {
        kill(-s.pid, SIGKILL);
        while (waitpid(s.pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    return rc == RC_OK ? judge(&s, status) : rc;
}
