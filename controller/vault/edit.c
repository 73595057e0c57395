/* See edit.h. */
#include "controller/vault/edit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "controller/vault/file.h"
#include "controller/vault/program.h"

/* On a disk an overwritten file may stand in places we do not see. */
static bool is_memory(const char *folder)
{
    struct statfs fs;
    return folder != NULL && folder[0] == '/' && statfs(folder, &fs) == 0 &&
           (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) &&
           access(folder, W_OK | X_OK) == 0;
}

const char *edit_folder(const char *runtime_dir)
{
    if (is_memory(runtime_dir))
        return runtime_dir;
    return is_memory("/dev/shm") ? "/dev/shm" : NULL;
}

static enum rc put(int folder, const char *name, const struct secret *text, struct err *e)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, errno, "cannot make the file to edit");
    enum rc rc = file_write_all(fd, text->data, text->len, e);
    if (close(fd) != 0 && rc == RC_OK)
        rc = err_sys(e, errno, "write");
    return rc;
}

static enum rc get(int folder, const char *name, size_t max, struct secret **out, struct err *e)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_sys(e, errno, "the editor left no file");
    enum rc rc = RC_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = err_set(e, RC_CONFIG, "the editor left something else than a file");
    else
        rc = secret_read(out, fd, max, e);
    close(fd);
    return rc;
}

/* The file, and what the editor may have put beside it: back-ups, swap files. */
static void clear(int folder, const char *path)
{
    int copy = dup(folder);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            file_wipe(folder, entry->d_name);
    if (d != NULL)
        closedir(d);
    else if (copy >= 0)
        close(copy);
    if (rmdir(path) != 0)
        fprintf(stderr, "muster: %s could not be removed: %s\n", path, strerror(errno));
}

static enum rc edit_held(const char *editor, const char *folder, const char *name,
                         const struct secret *before, size_t max, struct secret **after,
                         int *number, struct err *e)
{
    char path[PATH_MAX], file[PATH_MAX + NAME_MAX + 2];
    *after = NULL;
    if (snprintf(path, sizeof path, "%s/muster-edit-XXXXXX", folder) >= (int)sizeof path)
        return err_set(e, RC_LIMIT, "%.200s: the path is too long", folder);
    if (mkdtemp(path) == NULL)
        return err_sys(e, errno, "%s", path);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0) {
        enum rc rc = err_sys(e, errno, "%s", path);
        (void)rmdir(path);
        return rc;
    }
    snprintf(file, sizeof file, "%s/%s", path, name);
    enum rc rc = put(dir, name, before, e);
    if (rc == RC_OK && (rc = program_run(editor, file, number, e)) != RC_OK)
        err_wrap(e, "editor; nothing was changed");
    if (rc == RC_OK)
        rc = get(dir, name, max, after, e);
    clear(dir, path);
    close(dir);
    return rc;
}

/* No signal may end us while the opened text stands in a file. */
enum rc edit_text(const char *editor, const char *folder, const char *name,
                  const struct secret *before, size_t max, struct secret **after, struct err *e)
{
    static const int held_back[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    sigset_t held, mask;
    int number = 0;
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof held_back / sizeof held_back[0]; i++)
        sigaddset(&held, held_back[i]);
    sigprocmask(SIG_BLOCK, &held, &mask);
    enum rc rc = edit_held(editor, folder, name, before, max, after, &number, e);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (number != 0)
        raise(number);
    return rc;
}
