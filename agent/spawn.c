/* See spawn.h. */
#include "agent/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/limits.h"
#include "common/mem.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { FD_LOOK = 65536 }; /* descriptors that are tried where the kernel has no close_range */

static void close_between(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    for (unsigned fd = first; fd <= last && fd < FD_LOOK; fd++)
        close((int)fd);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void spawn_close_others(int *keep, unsigned n)
{
    unsigned next = 3;
    qsort(keep, n, sizeof *keep, by_number);
    for (unsigned i = 0; i < n; i++) {
        if (keep[i] < (int)next)
            continue;
        close_between(next, (unsigned)keep[i] - 1);
        next = (unsigned)keep[i] + 1;
    }
    close_between(next, UINT_MAX);
}

static noreturn void fail(int report, enum spawn_step step, unsigned at)
{
    struct spawn_failure f = {(int32_t)step, errno, (int32_t)at};
    while (write(report, &f, sizeof f) < 0 && errno == EINTR)
        ;
    _exit(127);
}

static void reset_signals(void)
{
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In front of the terminal that its session has already, or in a session of its own. */
static bool settle(int tty)
{
    if (tty < 0)
        return setsid() >= 0;
    pid_t self = getpid();
    signal(SIGTTOU, SIG_IGN); /* who is not in front yet may not say who is */
    return setpgid(0, 0) == 0 && ioctl(tty, TIOCSPGRP, &self) == 0;
}

/* Soft and hard alike, but never above the hard one that holds. */
static bool set_limit(const struct exec_limit *l)
{
    struct rlimit r = {l->value, l->value};
    return setrlimit(l->which, &r) == 0;
}

/* execve says of a script without #! that it is no program; the shell runs it, as it always did. */
static void try_exec(const char *path, char *const *argv, char *const *envp)
{
    execve(path, argv, envp);
    if (errno != ENOEXEC)
        return;
    size_t n = 0;
    while (argv[n] != NULL)
        n++;
    char **again = mem_calloc(n + 2, sizeof *again);
    if (again == NULL)
        return;
    static const char sh[] = "sh";
    again[0] = (char *)sh;
    again[1] = (char *)path;
    memcpy(again + 2, argv + 1, n * sizeof *again);
    execve("/bin/sh", again, envp);
    mem_free(again);
}

/* Along the PATH that the program is to have, not ours. errno says why not: what was found and may
 * not be run is a better reason than what is missing elsewhere. */
static void search(char *const *argv, char *const *envp)
{
    const char *path = exec_env(envp, "PATH");
    char full[PATH_MAX];
    int reason = ENOENT;
    if (strchr(argv[0], '/') != NULL) {
        try_exec(argv[0], argv, envp);
        return;
    }
    for (path = path != NULL ? path : "/usr/local/bin:/usr/bin:/bin"; path != NULL;) {
        const char *colon = strchr(path, ':');
        size_t n = colon != NULL ? (size_t)(colon - path) : strlen(path);
        if (snprintf(full, sizeof full, "%.*s%s%s", (int)n, path, n > 0 ? "/" : "", argv[0]) <
            (int)sizeof full) {
            try_exec(full, argv, envp);
            if (errno != ENOENT && errno != ENOTDIR)
                reason = errno;
        }
        path = colon != NULL ? colon + 1 : NULL;
    }
    errno = reason;
}

void spawn_exec(const struct spawn *s, int report)
{
    if (!settle(s->tty) || dup2(s->in, 0) < 0 || dup2(s->out, 1) < 0 || dup2(s->err, 2) < 0)
        fail(report, SPAWN_SETUP, 0);
    spawn_close_others(&report, 1);
    limits_restore(s->given);
    reset_signals();
    if (s->mask >= 0)
        umask((mode_t)s->mask);
    if (s->cwd != NULL && chdir(s->cwd) != 0)
        fail(report, SPAWN_CWD, 0);
    for (unsigned i = 0; i < s->n_limits; i++)
        if (!set_limit(&s->limits[i]))
            fail(report, SPAWN_LIMIT, i);
    search(s->argv, s->envp);
    fail(report, SPAWN_PROGRAM, 0);
}
