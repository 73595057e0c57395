/* Has OpenSSH's ssh-keyscan fetch certificates: libssh cannot ask a host for them. See keyscan.h.
 *
 * No shell; what it reads are numeric addresses, what it prints is only believed
 * after cert.c has taken it apart. Bounded in time and in bytes. Blocks; main thread. */
#include "controller/keyscan/keyscan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

extern char **environ;

enum { SLACK_MS = 10000 };

static enum rc put_list(const struct found *f, const uint32_t *hosts, size_t count, struct buf *b)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = buf_printf(b, "%s\n", f->hosts[hosts[i]].address);
    return rc;
}

static int file_of(const struct buf *b)
{
    int fd = memfd_create("hosts", MFD_CLOEXEC);
    if (fd < 0 || write(fd, b->data, b->len) != (ssize_t)b->len || lseek(fd, 0, SEEK_SET) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static enum rc start(char *const argv[], int in, int out, pid_t *pid, struct err *e)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return err_nomem(e);
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return err_nomem(e);
    }
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int sys = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    if (sys == 0)
        sys = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (sys == 0)
        sys = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (sys == 0)
        sys = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (sys == ENOENT)
        return err_set(e, RC_NOTFOUND,
                       "OpenSSH's ssh-keyscan, which fetches the certificates, is not installed");
    return sys == 0 ? RC_OK : err_sys(e, sys, "cannot start %s", argv[0]);
}

/* Until its end, the bound or the cap. What came by then counts, whatever ended it. */
static enum rc read_all(int fd, uint64_t bound_ms, struct buf *out, struct err *e)
{
    uint64_t end = clock_ms() + bound_ms;
    for (;;) {
        uint64_t now = clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= end)
            return RC_OK;
        int n = poll(&p, 1, (int)(end - now));
        if (n == 0 || (n < 0 && errno == EINTR))
            continue;
        if (out->max - out->len < 65536)
            return RC_OK;
        if (buf_reserve(out, 65536) != RC_OK)
            return err_nomem(e);
        ssize_t got = read(fd, out->data + out->len, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, errno, "read from ssh-keyscan");
        if (got == 0)
            return RC_OK;
        out->len += (size_t)got;
    }
}

static enum rc run(char *const argv[], int in, uint64_t bound_ms, struct buf *out, struct err *e)
{
    int ends[2];
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(e, errno, "pipe");
    enum rc rc = start(argv, in, ends[1], &pid, e);
    close(ends[1]);
    if (rc == RC_OK)
        rc = read_all(ends[0], bound_ms, out, e);
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL); /* if it has not ended: it may be waiting for one more host */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return rc;
}

enum rc certs_fetch(const struct found *f, const uint32_t *hosts, size_t count, const char *types,
                    uint64_t bound_ms, struct buf *out, struct err *e)
{
    char port[16], bound[32], kinds[64];
    struct buf list;
    buf_init(&list, 1 << 20);
    snprintf(port, sizeof port, "%u", f->hosts[hosts[0]].target->port);
    snprintf(bound, sizeof bound, "%llu", (unsigned long long)((bound_ms + 999) / 1000));
    snprintf(kinds, sizeof kinds, "%s", types);
    char program[] = "ssh-keyscan", c[] = "-c", t[] = "-t", p[] = "-p", limit[] = "-T",
         file[] = "-f", dash[] = "-";
    char *argv[] = {program, c, t, kinds, p, port, limit, bound, file, dash, NULL};
    enum rc rc = put_list(f, hosts, count, &list);
    int in = rc == RC_OK ? file_of(&list) : -1;
    if (rc != RC_OK)
        err_nomem(e);
    else if (in < 0)
        rc = err_sys(e, errno, "cannot hand a list to ssh-keyscan");
    else
        rc = run(argv, in, bound_ms + SLACK_MS, out, e);
    if (in >= 0)
        close(in);
    buf_fini(&list);
    return rc;
}
