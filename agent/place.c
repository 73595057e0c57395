/* See place.h. */
#include "agent/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/digest.h"
#include "common/str.h"

/* What a file system answers; the rest goes by its number. */
static const char *errno_name(int sys, char spare[16])
{
    static const struct {
        int sys;
        const char *name;
    } names[] = {{EACCES, "EACCES"},
                 {EBADMSG, "EBADMSG"},
                 {EBUSY, "EBUSY"},
                 {EDQUOT, "EDQUOT"},
                 {EEXIST, "EEXIST"},
                 {EINVAL, "EINVAL"},
                 {EIO, "EIO"},
                 {EISDIR, "EISDIR"},
                 {ELOOP, "ELOOP"},
                 {EMFILE, "EMFILE"},
                 {ENAMETOOLONG, "ENAMETOOLONG"},
                 {ENOENT, "ENOENT"},
                 {ENOMEM, "ENOMEM"},
                 {ENOSPC, "ENOSPC"},
                 {ENOTDIR, "ENOTDIR"},
                 {EPERM, "EPERM"},
                 {EROFS, "EROFS"},
                 {ESTALE, "ESTALE"},
                 {ETXTBSY, "ETXTBSY"},
                 {EXDEV, "EXDEV"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].sys == sys)
            return names[i].name;
    snprintf(spare, 16, "E%d", sys);
    return spare;
}

struct placing {
    const struct place *p;
    int file, dir;
    const char *at; /* the path that the present step is about */
    char folder[PATH_MAX];
    const char *name; /* of `final` in folder */
};

static int fail(int sys)
{
    errno = sys;
    return -1;
}

static int check_file(struct placing *g)
{
    char hex[DIGEST_HEX + 1];
    g->at = g->p->from;
    g->file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (g->file < 0 || digest_file(g->file, hex) != 0)
        return -1;
    return strcmp(hex, g->p->expect) == 0 ? 0 : fail(EBADMSG);
}

static int split(struct placing *g)
{
    const char *slash = strrchr(g->p->final, '/');
    g->at = g->p->final;
    if (slash == NULL || g->p->final[0] != '/' || slash[1] == '\0')
        return fail(EINVAL);
    size_t n = slash == g->p->final ? 1 : (size_t)(slash - g->p->final);
    if (n >= sizeof g->folder)
        return fail(ENAMETOOLONG);
    memcpy(g->folder, g->p->final, n);
    g->folder[n] = '\0';
    g->name = slash + 1;
    return 0;
}

/* What lies in a folder of somebody else, or where somebody else may write, could be replaced
 * before it is run the next time. */
static int open_folder(struct placing *g)
{
    struct stat st;
    if (split(g) != 0)
        return -1;
    g->at = g->folder;
    g->dir = open(g->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (g->dir < 0 || fstat(g->dir, &st) != 0)
        return -1;
    return st.st_uid == geteuid() && (st.st_mode & 022) == 0 ? 0 : fail(EPERM);
}

/* 0 when that name is the file that we run. */
static int is_ours(const struct placing *g, int dir, const char *name)
{
    struct stat ours, there;
    if (fstat(g->file, &ours) != 0 || fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino ? 0 : fail(ESTALE);
}

static int move(struct placing *g)
{
    g->at = g->p->from;
    if (is_ours(g, AT_FDCWD, g->p->from) != 0 || fchmod(g->file, 0700) != 0 || fsync(g->file) != 0)
        return -1;
    g->at = g->p->final;
    if (renameat(AT_FDCWD, g->p->from, g->dir, g->name) != 0 || is_ours(g, g->dir, g->name) != 0)
        return -1;
    g->at = g->folder;
    return fsync(g->dir);
}

static void close_all(const struct placing *g)
{
    if (g->file >= 0)
        close(g->file);
    if (g->dir >= 0)
        close(g->dir);
}

bool place_run(const struct place *p, struct buf *line)
{
    struct placing g = {.p = p, .file = -1, .dir = -1};
    bool ok = check_file(&g) == 0 && open_folder(&g) == 0 && move(&g) == 0;
    int sys = errno;
    char spare[16];
    close_all(&g);
    if (ok)
        return buf_puts(line, "muster-placed ok\n") == RC_OK;
    if (buf_printf(line, "muster-placed error %s ", errno_name(sys, spare)) == RC_OK &&
        str_escape(line, g.at, strlen(g.at), 0) == RC_OK)
        (void)buf_putc(line, '\n');
    return false;
}
