/* See process.h. */
#include "agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CLOSE_LOOK = 65536 }; /* without close_range (before Linux 5.9): so many numbers are tried */

static void close_others(void)
{
    struct rlimit files;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0)
        return;
#endif
    int top = CLOSE_LOOK;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < CLOSE_LOOK)
        top = (int)files.rlim_cur;
    for (int fd = 3; fd < top; fd++)
        close(fd);
}

static int keep_private(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (moved < 0)
        return -1;
    int flags = fcntl(moved, F_GETFL);
    return flags < 0 || fcntl(moved, F_SETFL, flags | O_NONBLOCK) != 0 ? -1 : moved;
}

/* 1 becomes standard error, or /dev/null where there is none. */
static int replace(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -1;
    int rc = dup2(null, 0) < 0 || (fcntl(2, F_GETFD) < 0 && dup2(null, 2) < 0) || dup2(2, 1) < 0;
    if (null > 2)
        close(null);
    return rc ? -1 : 0;
}

static void refuse_tracing(void)
{
#ifndef __SANITIZE_ADDRESS__ /* whose search for leaks at the end traces the process */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

enum rc process_set_up(struct streams *st, struct limits *l, struct err *e)
{
    refuse_tracing();
    close_others();
    limits_take(l);
    st->in = keep_private(0);
    st->out = st->in < 0 ? -1 : keep_private(1);
    if (st->out < 0)
        return err_sys(e, errno, "standard input and output");
    if (replace() != 0)
        return err_sys(e, errno, "/dev/null");
    return RC_OK;
}

void process_boot_id(char id[PROCESS_BOOT_ID])
{
    ssize_t n = -1;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, id, PROCESS_BOOT_ID - 1);
        close(fd);
    }
    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
}

int process_unlink_self(void)
{
    char path[PATH_MAX];
    struct stat ours, there;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0 || stat("/proc/self/exe", &ours) != 0)
        return -1;
    path[n] = '\0';
    if (lstat(path, &there) != 0)
        return -1;
    if (there.st_dev != ours.st_dev || there.st_ino != ours.st_ino) {
        errno = ESTALE;
        return -1;
    }
    return unlink(path);
}
