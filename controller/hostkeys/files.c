/* Which files hold the keys on record, and which of them new keys go to. See hostkeys_open in
 * hostkeys.h. Coordinator, before the loop: reads files. */
#include "controller/hostkeys/hostkeys.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

static enum rc load(struct hostkeys *hk, const char *path, bool required, struct err *e)
{
    enum rc rc = hostkeys_load(hk, path, e);
    return rc == RC_NOTFOUND && !required ? RC_OK : rc;
}

static enum rc home_file(const char *name, char *dst, size_t cap, struct err *e)
{
    const char *home = getenv("HOME");
    if (home == NULL || *home == '\0')
        return err_set(e, RC_CONFIG, "HOME is not set: name the file with --known-hosts");
    if ((size_t)snprintf(dst, cap, "%s/.ssh/%s", home, name) >= cap)
        return err_set(e, RC_LIMIT, "the path of ~/.ssh/%s is too long", name);
    return RC_OK;
}

static enum rc expand_home(const char *path, char *dst, size_t cap, struct err *e)
{
    const char *home = getenv("HOME");
    bool tilde = path[0] == '~' && path[1] == '/';
    if (tilde && (home == NULL || *home == '\0'))
        return err_set(e, RC_CONFIG, "%s: HOME is not set", path);
    if ((size_t)snprintf(dst, cap, "%s%s", tilde ? home : "", tilde ? path + 1 : path) >= cap)
        return err_set(e, RC_LIMIT, "--known-hosts: the path is too long");
    return RC_OK;
}

static enum rc load_named(struct hostkeys *hk, const struct hostkeys_files *f, char **first,
                          struct err *e)
{
    char path[4096];
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < f->count; i++) {
        rc = expand_home(f->named[i], path, sizeof path, e);
        if (rc == RC_OK && i == 0 && (*first = mem_strdup(path)) == NULL)
            rc = err_nomem(e);
        if (rc == RC_OK)
            rc = load(hk, path, !(f->may_lack_first && i == 0) && !f->may_lack_all, e);
    }
    return rc;
}

static enum rc load_defaults(struct hostkeys *hk, char **first, struct err *e)
{
    char path[4096];
    enum rc rc = home_file("known_hosts", path, sizeof path, e);
    if (rc == RC_OK && (*first = mem_strdup(path)) == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK)
        rc = load(hk, path, false, e);
    if (rc == RC_OK)
        rc = home_file("known_hosts2", path, sizeof path, e);
    if (rc == RC_OK)
        rc = load(hk, path, false, e);
    if (rc == RC_OK)
        rc = load(hk, "/etc/ssh/ssh_known_hosts", false, e);
    if (rc == RC_OK)
        rc = load(hk, "/etc/ssh/ssh_known_hosts2", false, e);
    return rc;
}

enum rc hostkeys_open(struct hostkeys **out, const struct hostkeys_files *f, char **first,
                      struct err *e)
{
    struct hostkeys *hk = NULL;
    *first = NULL;
    enum rc rc = hostkeys_new(&hk, e);
    if (rc == RC_OK)
        rc = f->count > 0 ? load_named(hk, f, first, e) : load_defaults(hk, first, e);
    if (rc == RC_OK) {
        *out = hk;
        return RC_OK;
    }
    hostkeys_free(hk);
    mem_free(*first);
    *first = NULL;
    return rc;
}
