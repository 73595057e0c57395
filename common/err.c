/* See err.h. */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rc_name(enum rc rc)
{
    static const char *const names[RC_COUNT] = {
#define RC_NAME(code, name) [code] = name,
        RC_TABLE(RC_NAME)
#undef RC_NAME
    };
    return (unsigned)rc < RC_COUNT ? names[rc] : "internal";
}

enum rc err_set(struct err *e, enum rc rc, const char *fmt, ...)
{
    if (e == NULL)
        return rc;
    e->rc = rc;
    e->sys = 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return rc;
}

/* strerror_r: glibc's returns the text, POSIX's, as musl has it, a status. */
static const char *system_text(int sys, char *spare, size_t cap)
{
#ifdef __GLIBC__
    return strerror_r(sys, spare, cap);
#else
    return strerror_r(sys, spare, cap) == 0 ? spare : "unknown error";
#endif
}

enum rc err_sys(struct err *e, int sys, const char *fmt, ...)
{
    if (e == NULL)
        return RC_SYS;
    e->rc = RC_SYS;
    e->sys = sys;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->msg);
    char text[128];
    snprintf(e->msg + n, sizeof e->msg - n, ": %s", system_text(sys, text, sizeof text));
    return RC_SYS;
}

enum rc err_nomem(struct err *e)
{
    return err_set(e, RC_NOMEM, "out of memory");
}

enum rc err_wrap(struct err *e, const char *fmt, ...)
{
    if (e == NULL)
        return RC_INTERNAL;
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n + 3 >= sizeof e->msg)
        return e->rc;
    memcpy(e->msg + n, ": ", 2);
    size_t room = sizeof e->msg - (size_t)n - 3, len = strnlen(old, room);
    memcpy(e->msg + n + 2, old, len);
    e->msg[(size_t)n + 2 + len] = '\0';
    return e->rc;
}

noreturn void must_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "muster: broken invariant: %s at %s:%d (please report this)\n", expr, file,
            line);
    abort();
}
