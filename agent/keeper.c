/* See keeper.h: the agent's side. */
#include "agent/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent/job_dir.h"

const char *killed_name(enum killed k)
{
    static const char *const NAMES[] = {"", "timeout", "cancel", "disconnect", "signal"};
    return NAMES[k];
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void keeper_close(struct keeper *k)
{
    close_one(&k->control);
    close_one(&k->in);
    close_one(&k->out);
    close_one(&k->err);
    close_one(&k->tty);
}

static void close_ends(struct keeper_ends *e)
{
    close_one(&e->control);
    close_one(&e->in);
    close_one(&e->out);
    close_one(&e->err);
    close_one(&e->out_read);
    close_one(&e->err_read);
    close_one(&e->tty);
    close_one(&e->tty_slave);
    close_one(&e->null);
}

/* 0 to 2 are the command's; an end of ours there would be overwritten on the way to it. */
static bool lift(int *fd)
{
    if (*fd < 0 || *fd > 2)
        return *fd >= 0;
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    if (high < 0)
        return false;
    close(*fd);
    *fd = high;
    return true;
}

/* Only our end is non-blocking: the command must not meet EAGAIN on its own streams. */
static bool open_pipe(int *read_end, int *write_end, bool we_read)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return false;
    *read_end = p[0];
    *write_end = p[1];
    int ours = we_read ? p[0] : p[1];
    return fcntl(ours, F_SETFL, fcntl(ours, F_GETFL) | O_NONBLOCK) == 0 && lift(read_end) &&
           lift(write_end);
}

/* No echo, whatever is asked there: nothing that is typed comes back. No character means anything
 * but the line's end, since a password may hold any. */
static bool open_tty(int *master, int *slave)
{
    struct termios t;
    char name[64];
    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (*master < 0 || !lift(master) || grantpt(*master) != 0 || unlockpt(*master) != 0 ||
        ptsname_r(*master, name, sizeof name) != 0)
        return false;
    *slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*slave < 0 || !lift(slave) || tcgetattr(*slave, &t) != 0)
        return false;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL | ISIG);
    t.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | IXON | ISTRIP);
    static const unsigned char special[] = {VERASE, VKILL,   VEOF,     VEOL,
                                            VEOL2,  VWERASE, VREPRINT, VLNEXT};
    for (unsigned i = 0; i < sizeof special; i++)
        t.c_cc[special[i]] = _POSIX_VDISABLE;
    return tcsetattr(*slave, TCSANOW, &t) == 0;
}

static bool open_control(struct keeper *k, struct keeper_ends *e)
{
    int s[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) != 0)
        return false;
    k->control = s[0];
    e->control = s[1];
    return lift(&k->control) && lift(&e->control);
}

static int duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool open_all(struct keeper *k, struct keeper_ends *e, const struct keeper_spec *spec)
{
    if (!open_control(k, e) || !open_pipe(&k->out, &e->out, true) ||
        !open_pipe(&k->err, &e->err, true))
        return false;
    e->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!lift(&e->null))
        return false;
    if (spec->input && !open_pipe(&e->in, &k->in, false))
        return false;
    if (spec->tty && (!open_tty(&k->tty, &e->tty_slave) || (e->tty = duplicate(k->tty)) < 0))
        return false;
    if (!spec->lives_on)
        return true;
    e->out_read = duplicate(k->out);
    e->err_read = duplicate(k->err);
    return e->out_read >= 0 && e->err_read >= 0;
}

/* Twice, so that the keeper is nobody's child: the agent has nothing to wait for. */
static bool fork_twice(const struct keeper_spec *spec, struct keeper_ends *e)
{
    pid_t pid = fork();
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            keeper_run(spec, e);
        _exit(pid < 0 ? 1 : 0);
    }
    int status = 0;
    if (pid < 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    errno = EAGAIN; /* what the second fork said is not known any more */
    return status == 0;
}

enum rc keeper_start(struct keeper *k, const struct keeper_spec *spec, struct err *e)
{
    struct keeper_ends ends = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
    *k = (struct keeper){-1, -1, -1, -1, -1};
    bool ok = open_all(k, &ends, spec) && fork_twice(spec, &ends);
    int sys = errno;
    close_ends(&ends);
    if (ok)
        return RC_OK;
    keeper_close(k);
    return err_sys(e, sys, "no process for a command");
}

ssize_t keeper_recv(int fd, void *p, size_t n)
{
    ssize_t got = recv(fd, p, n, MSG_DONTWAIT);
    if (got < 0 && errno == ECONNRESET)
        got = recv(fd, p, n, MSG_DONTWAIT);
    return got;
}

int keeper_read(struct keeper *k, struct keeper_word *w)
{
    if (k->control < 0)
        return -1;
    ssize_t n = keeper_recv(k->control, w, sizeof *w);
    if (n == (ssize_t)sizeof *w)
        return 1;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void keeper_tell(struct keeper *k, const struct keeper_order *o)
{
    if (k->control >= 0)
        (void)send(k->control, o, sizeof *o, MSG_DONTWAIT | MSG_NOSIGNAL);
}
