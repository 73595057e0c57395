/* See key_source.h. */
#include "controller/vault/key_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "controller/ssh/prompt.h"
#include "controller/vault/program.h"

/* What everybody on this machine can read is no secret. Pipes have no such mode. */
static enum rc check_mode(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "%s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return err_set(
            e, RC_USAGE,
            "%s: others may read this key (mode %03o); chmod 600 it, and change the key if "
            "they could have",
            path, (unsigned)(st.st_mode & 0777));
    return RC_OK;
}

static enum rc from_file(const char *path, bool check, struct secret **out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_sys(e, errno, "%s", path);
    enum rc rc = check ? check_mode(fd, path, e) : RC_OK;
    if (rc == RC_OK && (rc = secret_read(out, fd, KEY_SOURCE_MAX, e)) != RC_OK)
        err_wrap(e, "%s", path);
    close(fd);
    return rc;
}

static enum rc from_fd(int fd, struct secret **out, struct err *e)
{
    enum rc rc = secret_read(out, fd, KEY_SOURCE_MAX, e);
    if (rc != RC_OK)
        return err_wrap(e, "descriptor %d", fd);
    close(fd);
    return RC_OK;
}

enum rc key_source_ask(const char *what, bool twice, struct secret **out, struct err *e)
{
    struct secret *again = NULL;
    char text[160];
    enum rc rc = secret_new(out, KEY_SOURCE_MAX + 1, e);
    snprintf(text, sizeof text, "%s: ", what);
    if (rc == RC_OK)
        rc = prompt_secret(text, (char *)(*out)->data, (*out)->cap, e);
    if (rc == RC_OK && twice)
        rc = secret_new(&again, KEY_SOURCE_MAX + 1, e);
    snprintf(text, sizeof text, "%s once more: ", what);
    if (rc == RC_OK && twice)
        rc = prompt_secret(text, (char *)again->data, again->cap, e);
    if (rc == RC_OK && twice && strcmp((char *)(*out)->data, (char *)again->data) != 0)
        rc = err_set(e, RC_USAGE, "the two answers differ");
    if (rc == RC_OK)
        (*out)->len = strlen((char *)(*out)->data);
    secret_free(again);
    if (rc != RC_OK) {
        secret_free(*out);
        *out = NULL;
    }
    return rc;
}

/* RC_NOTFOUND, silently, when systemd gave none. */
static enum rc from_credential(const char *folder, struct secret **out, struct err *e)
{
    char path[4096];
    if (folder == NULL || *folder == '\0')
        return RC_NOTFOUND;
    if (snprintf(path, sizeof path, "%s/muster-vault", folder) >= (int)sizeof path ||
        access(path, F_OK) != 0)
        return RC_NOTFOUND;
    return from_file(path, false, out, e);
}

void key_source_defaults(struct key_source *from, char *path, size_t cap)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    bool own = config != NULL && *config == '/';
    from->credentials = getenv("CREDENTIALS_DIRECTORY");
    from->usual = NULL;
    if (!own && (home == NULL || *home != '/'))
        return;
    int n =
        snprintf(path, cap, "%s%s/muster/vault.key", own ? config : home, own ? "" : "/.config");
    if (n > 0 && (size_t)n < cap)
        from->usual = path;
}

static enum rc read_any(const struct key_source *from, struct secret **out, struct err *e)
{
    if (from->file != NULL)
        return from_file(from->file, true, out, e);
    if (from->fd >= 0)
        return from_fd(from->fd, out, e);
    if (from->command != NULL)
        return program_output(from->command, KEY_SOURCE_MAX, out, e);
    enum rc rc = from_credential(from->credentials, out, e);
    if (rc != RC_NOTFOUND)
        return rc;
    if (from->usual != NULL && access(from->usual, F_OK) == 0)
        return from_file(from->usual, true, out, e);
    rc = key_source_ask(from->what, from->twice, out, e);
    if (rc == RC_NOTFOUND)
        return err_set(e, rc,
                       "no terminal to ask for it on; give --vault-key FILE, --vault-key-fd N "
                       "or --vault-key-command CMD");
    if (rc == RC_OK && (*out)->len == 0) {
        secret_free(*out);
        *out = NULL;
        rc = err_set(e, RC_NOTFOUND, "it is empty");
    }
    return rc;
}

enum rc key_source_read(const struct key_source *from, struct secret **out, struct err *e)
{
    *out = NULL;
    if ((from->file != NULL) + (from->fd >= 0) + (from->command != NULL) > 1)
        return err_set(e, RC_USAGE, "%s: from a file, a descriptor or a command, one of them",
                       from->what);
    enum rc rc = read_any(from, out, e);
    if (rc != RC_OK)
        return err_wrap(e, "%s", from->what);
    secret_chomp(*out);
    if ((*out)->len > 0)
        return RC_OK;
    secret_free(*out);
    *out = NULL;
    return err_set(e, RC_USAGE, "%s: it is empty", from->what);
}
