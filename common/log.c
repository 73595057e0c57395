/* See log.h. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"

static enum log_level max_level = LOG_LEVEL_WARN;
static void (*sink)(enum log_level, const char *, void *);
static void *sink_user;

void log_set_level(enum log_level max)
{
    max_level = max;
}

enum log_level log_get_level(void)
{
    return max_level;
}

void log_set_sink(void (*fn)(enum log_level, const char *, void *), void *user)
{
    sink = fn;
    sink_user = user;
}

/* One write per line, so that lines of several processes do not mix. A failing stderr has nobody
 * left to be told. */
static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(STDERR_FILENO, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return;
        p += w;
        n -= (size_t)w;
    }
}

__attribute__((format(printf, 2, 0))) static void emit(enum log_level level, const char *fmt,
                                                       va_list ap)
{
    static const char *const prefixes[] = {
        "muster: error: ", "muster: warning: ", "muster: ", "muster: debug: "};
    char text[2048], line[4096];
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        return;
    size_t n = strlen(prefixes[level]);
    memcpy(line, prefixes[level], n);
    str_escape_to(line + n, sizeof line - n - 1, text, strlen(text), STR_KEEP_NEWLINE);
    n += strlen(line + n);
    if (sink != NULL) {
        sink(level, line, sink_user);
        return;
    }
    line[n++] = '\n';
    write_all(line, n);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *fmt, ...)                                                                \
    {                                                                                              \
        if ((level) > max_level)                                                                   \
            return;                                                                                \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        emit(level, fmt, ap);                                                                      \
        va_end(ap);                                                                                \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
