/* Who runs this, and from where: for the record and for syslog. See record.h, internal.h. */
#include "controller/record/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <sodium.h>

#include "common/num.h"
#include "common/str.h"

enum rc record_state_dir(const char *override, struct buf *out, struct err *e)
{
    enum rc rc;
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (override != NULL)
        rc = buf_puts(out, override);
    else if (xdg != NULL && xdg[0] == '/')
        rc = buf_printf(out, "%s/muster", xdg);
    else if (home != NULL && home[0] == '/')
        rc = buf_printf(out, "%s/.local/state/muster", home);
    else
        return err_set(e, RC_CONFIG,
                       "no place for the record of the run: HOME is not set; type --state DIR");
    if (rc == RC_LIMIT)
        return err_set(e, rc, "the path of the state folder is too long");
    return rc == RC_OK ? rc : err_nomem(e);
}

char *record_digest(char *dst, const void *p, size_t n)
{
    uint8_t sum[32];
    char hex[2 * sizeof sum + 1];
    crypto_generichash(sum, sizeof sum, p, n, NULL, 0);
    sodium_bin2hex(hex, sizeof hex, sum, sizeof sum);
    snprintf(dst, RECORD_DIGEST, "blake2b:%s", hex);
    return dst;
}

enum rc record_put_text(struct buf *out, const char *s)
{
    size_t n = s != NULL ? strlen(s) : 0;
    if (s == NULL)
        return buf_puts(out, "null");
    if (str_utf8_valid(s, n))
        return str_json(out, s, n);
    enum rc rc = buf_puts(out, "{\"base64\":\"");
    if (rc == RC_OK)
        rc = str_base64(out, s, n);
    return rc == RC_OK ? buf_puts(out, "\"}") : rc;
}

/* The name of a user, or its number. */
static const char *name_of(uid_t uid, char *dst, size_t cap)
{
    char space[4096];
    struct passwd pw, *found = NULL;
    if (getpwuid_r(uid, &pw, space, sizeof space, &found) == 0 && found != NULL)
        snprintf(dst, cap, "%s", found->pw_name);
    else
        snprintf(dst, cap, "%lu", (unsigned long)uid);
    return dst;
}

const char *record_user(char *dst, size_t cap)
{
    return name_of(getuid(), dst, cap);
}

/* The user who logged in, whatever su and sudo made of it since; false when nobody did. */
static bool login_uid(uid_t *uid)
{
    char text[32];
    int fd = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    uint64_t value;
    if (num_u64(text, 0, UINT32_MAX, &value, NULL) != RC_OK || value == UINT32_MAX)
        return false;
    *uid = (uid_t)value;
    return true;
}

static enum rc put_member(struct buf *out, const char *name, const char *text)
{
    enum rc rc = buf_printf(out, "\"%s\":", name);
    if (rc == RC_OK)
        rc = record_put_text(out, text);
    return rc == RC_OK ? buf_putc(out, ',') : rc;
}

static enum rc put_login(struct buf *out)
{
    uid_t uid;
    char name[256];
    if (!login_uid(&uid))
        return buf_puts(out, "\"login_uid\":null,\"login_user\":null,");
    enum rc rc = buf_printf(out, "\"login_uid\":%lu,", (unsigned long)uid);
    return rc == RC_OK ? put_member(out, "login_user", name_of(uid, name, sizeof name)) : rc;
}

enum rc record_identity(struct buf *out)
{
    char name[256], tty[256], host[256] = "", cwd[4096];
    bool has_tty = ttyname_r(STDIN_FILENO, tty, sizeof tty) == 0 ||
                   ttyname_r(STDERR_FILENO, tty, sizeof tty) == 0;
    gethostname(host, sizeof host - 1);
    enum rc rc =
        buf_printf(out, "\"pid\":%ld,\"uid\":%lu,", (long)getpid(), (unsigned long)getuid());
    if (rc == RC_OK)
        rc = put_member(out, "user", record_user(name, sizeof name));
    if (rc == RC_OK)
        rc = put_login(out);
    if (rc == RC_OK)
        rc = put_member(out, "tty", has_tty ? tty : NULL);
    if (rc == RC_OK)
        rc = put_member(out, "host", host);
    if (rc == RC_OK)
        rc = put_member(out, "cwd", getcwd(cwd, sizeof cwd));
    return rc;
}

void record_syslog(const char *id, const char *text)
{
    char safe[512], user[256];
    uid_t uid;
    str_escape_to(safe, sizeof safe, text, strlen(text), 0);
    record_user(user, sizeof user);
    openlog("muster", LOG_PID, LOG_USER);
    if (login_uid(&uid))
        syslog(LOG_INFO, "run %s by %s (login uid %lu): %s", id, user, (unsigned long)uid, safe);
    else
        syslog(LOG_INFO, "run %s by %s: %s", id, user, safe);
    closelog();
}
