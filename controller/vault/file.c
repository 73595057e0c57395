/* See file.h. */
#include "controller/vault/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum rc file_read(const char *path, size_t max, struct secret **out, struct err *e)
{
    const char *name = path != NULL ? path : "standard input";
    struct stat st;
    *out = NULL;
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : STDIN_FILENO;
    if (fd < 0)
        return err_sys(e, errno, "%s", name);
    enum rc rc = RC_OK;
    if (path != NULL && fstat(fd, &st) != 0)
        rc = err_sys(e, errno, "%s", name);
    else if (path != NULL && !S_ISREG(st.st_mode))
        rc = err_set(e, RC_CONFIG, "%s: not a regular file", name);
    else if ((rc = secret_read(out, fd, max, e)) != RC_OK)
        err_wrap(e, "%s", name);
    if (path != NULL)
        close(fd);
    return rc;
}

enum rc file_write_all(int fd, const void *data, size_t len, struct err *e)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "write");
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return RC_OK;
}

/* The rename itself, on the disk. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path + 1) : 1,
             slash != NULL ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static enum rc fill(int fd, const char *temporary, const char *path, const void *data, size_t len,
                    struct err *e)
{
    enum rc rc = file_write_all(fd, data, len, e);
    if (rc == RC_OK && (fchmod(fd, 0600) != 0 || fsync(fd) != 0))
        rc = err_sys(e, errno, "write");
    if (close(fd) != 0 && rc == RC_OK)
        rc = err_sys(e, errno, "write");
    if (rc == RC_OK && rename(temporary, path) != 0)
        rc = err_sys(e, errno, "rename");
    return rc;
}

enum rc file_replace(const char *path, const void *data, size_t len, struct err *e)
{
    char real[PATH_MAX], temporary[PATH_MAX];
    if (realpath(path, real) == NULL) {
        if (errno != ENOENT)
            return err_sys(e, errno, "%s", path);
        snprintf(real, sizeof real, "%s", path);
    }
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", real) >= (int)sizeof temporary)
        return err_set(e, RC_LIMIT, "%s: the path is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "%s: cannot make a new file beside it", path);
    enum rc rc = fill(fd, temporary, real, data, len, e);
    if (rc != RC_OK) {
        unlink(temporary);
        return err_wrap(e, "%s", path);
    }
    sync_folder(real);
    return RC_OK;
}

void file_wipe(int folder, const char *name)
{
    static const char zeros[4096];
    struct stat st;
    int fd = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        off_t left = st.st_size;
        while (left > 0) {
            size_t n = left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros;
            if (file_write_all(fd, zeros, n, NULL) != RC_OK)
                break;
            left -= (off_t)n;
        }
        (void)fsync(fd);
    }
    if (fd >= 0)
        close(fd);
    (void)unlinkat(folder, name, 0);
}
