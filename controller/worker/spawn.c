/* See spawn.h. */
#include "controller/worker/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"

void spawn_raise_nofile(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        setrlimit(RLIMIT_NOFILE, &lim);
    }
}

/* Standard input and output are not the worker's: one that outlived us would hold a pipeline open.
 * close_range may be missing (before Linux 5.9, some sandboxes): what stays open there are our own
 * ends of the other workers' sockets, so those sockets carry CLOEXEC and the worker never execs,
 * and a worker still leaves by PR_SET_PDEATHSIG. */
static void keep_only(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    if (fd > 3)
        close_range(3, (unsigned)fd - 1, 0);
    close_range((unsigned)fd + 1, ~0U, 0);
}

static enum rc give_up(struct err *e, const char *what, int ours, int theirs)
{
    int sys = errno;
    close(ours);
    close(theirs);
    return err_sys(e, sys, "%s", what);
}

static enum rc make_pair(int pair[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return err_sys(e, errno, "make a socket for a worker");
    return RC_OK;
}

/* In the parent, with the child there. */
static enum rc follow(struct spawn *out, pid_t pid, const int pair[2], struct err *e)
{
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        int sys = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        errno = sys;
        return give_up(e, "watch a worker process (pidfd_open, Linux 5.3)", pair[0], pair[1]);
    }
    close(pair[1]);
    *out = (struct spawn){.pid = pid, .fd = pair[0], .pidfd = pidfd};
    return RC_OK;
}

enum rc spawn_start(struct spawn *out, int (*run)(int fd), struct err *e)
{
    int pair[2];
    enum rc rc = make_pair(pair, e);
    if (rc != RC_OK)
        return rc;
    pid_t pid = fork();
    if (pid < 0)
        return give_up(e, "start a worker process", pair[0], pair[1]);
    if (pid == 0) {
        close(pair[0]);
        keep_only(pair[1]);
        _exit(run(pair[1]));
    }
    return follow(out, pid, pair, e);
}

/* Its own end first: standard input or output may be closed, and that number be the socket's. */
static int set_actions(posix_spawn_file_actions_t *a, int fd)
{
    int failed = posix_spawn_file_actions_adddup2(a, fd, SPAWN_FD);
    if (failed == 0)
        failed = posix_spawn_file_actions_addopen(a, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (failed == 0)
        failed = posix_spawn_file_actions_addopen(a, STDOUT_FILENO, "/dev/null", O_RDWR, 0);
    return failed == 0 ? posix_spawn_file_actions_addclosefrom_np(a, SPAWN_FD + 1) : failed;
}

static int execute(pid_t *pid, int fd)
{
    char level[16];
    char *argv[] = {"muster-worker", SPAWN_WORKER, level, NULL};
    posix_spawn_file_actions_t actions;
    snprintf(level, sizeof level, "%d", (int)log_get_level());
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed != 0)
        return failed;
    failed = set_actions(&actions, fd);
    if (failed == 0)
        failed = posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

enum rc spawn_again(struct spawn *out, struct err *e)
{
    int pair[2];
    pid_t pid = -1;
    enum rc rc = make_pair(pair, e);
    if (rc != RC_OK)
        return rc;
    errno = execute(&pid, pair[1]);
    if (errno != 0)
        return give_up(e, "start a worker process (/proc/self/exe)", pair[0], pair[1]);
    return follow(out, pid, pair, e);
}

static uint64_t in_us(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

int spawn_reap(const struct spawn *s, int wait, int *status, uint64_t *cpu_us)
{
    struct rusage ru;
    pid_t got;
    do
        got = wait4(s->pid, status, wait ? 0 : WNOHANG, &ru);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return 0;
    if (got < 0) { /* somebody else reaped it: it has ended, how is not known */
        *status = 0;
        *cpu_us = 0;
        return 1;
    }
    *cpu_us = in_us(&ru.ru_utime) + in_us(&ru.ru_stime);
    return 1;
}

char *spawn_describe(char *dst, size_t cap, int status)
{
    if (WIFSIGNALED(status))
        snprintf(dst, cap, "was killed by signal %d", WTERMSIG(status));
    else
        snprintf(dst, cap, "exited with %d", WEXITSTATUS(status));
    return dst;
}
