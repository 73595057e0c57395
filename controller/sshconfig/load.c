/* Files of ssh_config: reading, who may write them, what an Include means. See sshconfig.h. */
#include "controller/sshconfig/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/str.h"

enum rc sshconfig_new(struct sshconfig **out, struct err *e)
{
    struct sshconfig *c = mem_calloc(1, sizeof *c);
    if (c == NULL)
        return err_nomem(e);
    arena_init(&c->arena);
    map_init(&c->exact);
    *out = c;
    return RC_OK;
}

void sshconfig_free(struct sshconfig *c)
{
    if (c == NULL)
        return;
    struct map_entry *entry;
    for (size_t i = 0; (entry = map_next(&c->exact, &i)) != NULL;)
        mem_free(((struct hits *)entry->value)->items);
    map_fini(&c->exact);
    mem_free(c->blocks);
    mem_free(c->directives);
    mem_free(c->scan);
    mem_free(c->stamp);
    arena_fini(&c->arena);
    mem_free(c);
}

bool sshconfig_is_empty(const struct sshconfig *c)
{
    return c->directive_count == 0;
}

enum rc sshconfig_add_option(struct sshconfig *c, const char *text, struct err *e)
{
    char key[64];
    size_t n = strcspn(text, "= \t");
    snprintf(key, sizeof key, "%.*s", (int)(n < sizeof key ? n : sizeof key - 1), text);
    if (sshword_find(key) >= SSHWORD_COUNT)
        return err_set(e, RC_CONFIG, "'%s' is not a word that we act on", key);
    struct reading r = {.c = c, .name = "-O", .home = "", .parent = NO_BLOCK};
    enum rc rc = parse_begin(&r, e);
    return rc != RC_OK ? rc : parse_text(&r, text, strlen(text), e);
}

/* ssh's rule for ~/.ssh/config and all that is included. */
static enum rc check_writers(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, RC_CONFIG, "%s: not a file", path);
    if ((st.st_uid != 0 && st.st_uid != getuid()) || (st.st_mode & 022) != 0)
        return err_set(e, RC_CONFIG,
                       "%s: others may write it (mode %04o), which ssh refuses too; do: chmod go-w "
                       "%s",
                       path, (unsigned)st.st_mode & 07777, path);
    return RC_OK;
}

static enum rc read_all(struct sshconfig *c, int fd, const char *path, struct buf *out,
                        struct err *e)
{
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "%s", path);
        if (n == 0)
            return RC_OK;
        c->bytes += (size_t)n;
        if (c->bytes > SSHCONFIG_MAX_BYTES)
            return err_set(e, RC_LIMIT, "%s: more than %d MiB of ssh_config", path,
                           SSHCONFIG_MAX_BYTES >> 20);
        if (buf_append(out, chunk, (size_t)n) != RC_OK)
            return err_nomem(e);
    }
}

static enum rc read_file(struct reading *r, const char *path, bool strict, struct err *e)
{
    struct buf text;
    /* Not blocking: a pipe that somebody named in an Include must not hold us up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (strict ? O_NONBLOCK : 0));
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? err_set(e, RC_NOTFOUND, "%s: no such file", path)
                   : err_sys(e, errno, "%s", path);
    if (++r->c->files > SSHCONFIG_MAX_FILES) {
        close(fd);
        return err_set(e, RC_LIMIT, "more than %d files", SSHCONFIG_MAX_FILES);
    }
    buf_init(&text, SSHCONFIG_MAX_BYTES + 1);
    enum rc rc = strict ? check_writers(fd, path, e) : RC_OK;
    if (rc == RC_OK)
        rc = read_all(r->c, fd, path, &text, e);
    close(fd);
    if (rc == RC_OK)
        rc = parse_begin(r, e);
    if (rc == RC_OK)
        rc = parse_text(r, (const char *)text.data, text.len, e);
    buf_fini(&text);
    return rc;
}

enum rc sshconfig_load(struct sshconfig *c, const char *path, const char *home, bool user,
                       bool strict, struct err *e)
{
    const char *name = arena_strdup(&c->arena, path);
    if (name == NULL)
        return err_nomem(e);
    struct reading r = {.c = c, .name = name, .home = home, .user = user, .parent = NO_BLOCK};
    return read_file(&r, path, strict, e);
}

enum rc sshconfig_load_text(struct sshconfig *c, const char *name, const char *home,
                            const char *text, size_t len, struct err *e)
{
    const char *copy = arena_strdup(&c->arena, name);
    if (copy == NULL)
        return err_nomem(e);
    struct reading r = {.c = c, .name = copy, .home = home, .user = true, .parent = NO_BLOCK};
    enum rc rc = parse_begin(&r, e);
    return rc != RC_OK ? rc : parse_text(&r, text, len, e);
}

static enum rc full_pattern(const struct reading *r, const char *pattern, char *dst, size_t cap,
                            struct err *e)
{
    int n;
    if (pattern[0] == '~' && !r->user)
        return err_set(e, RC_LIMIT, "~ has no meaning in a file of the system");
    if (pattern[0] == '/')
        n = snprintf(dst, cap, "%s", pattern);
    else if (str_starts(pattern, "~/"))
        n = snprintf(dst, cap, "%s%s", r->home, pattern + 1);
    else
        n = snprintf(dst, cap, "%s%s/%s", r->user ? r->home : "", r->user ? "/.ssh" : "/etc/ssh",
                     pattern);
    if (n < 0 || (size_t)n >= cap)
        return err_set(e, RC_LIMIT, "the path is too long");
    return RC_OK;
}

static enum rc one_include(struct reading *r, const char *path, struct err *e)
{
    const char *name = arena_strdup(&r->c->arena, path);
    if (name == NULL)
        return err_nomem(e);
    struct reading in = {.c = r->c,
                         .name = name,
                         .home = r->home,
                         .user = r->user,
                         .depth = r->depth + 1,
                         .parent = r->block};
    enum rc rc = read_file(&in, path, true, e);
    /* ssh passes over a file that is not there or that it may not read. */
    return rc == RC_NOTFOUND || (rc == RC_SYS && (e == NULL || e->sys == EACCES)) ? RC_OK : rc;
}

enum rc load_include(struct reading *r, const char *pattern, struct err *e)
{
    char path[4096];
    if (r->depth >= SSHCONFIG_MAX_DEPTH)
        return err_set(e, RC_LIMIT, "more than %d files deep", SSHCONFIG_MAX_DEPTH);
    enum rc rc = full_pattern(r, pattern, path, sizeof path, e);
    if (rc != RC_OK)
        return rc;
    glob_t found = {0};
    int status = glob(path, 0, NULL, &found);
    if (status == GLOB_NOSPACE)
        rc = err_nomem(e);
    for (size_t i = 0; rc == RC_OK && status == 0 && i < found.gl_pathc; i++)
        rc = one_include(r, found.gl_pathv[i], e);
    globfree(&found);
    return rc;
}
