/* Section users: who is logged in, from utmp; without it (distributions give it up) from logind's
 * session files. `source` says which.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/core_int.h"

enum { MOST_USERS = 512, USER_PROCESS = 7 };

/* A record as glibc writes it; where it starts. Not struct utmpx: that is the libc's own, and
 * another one may have written the file. */
struct layout {
    size_t size, seconds, seconds_size;
};
enum { AT_PID = 4, AT_LINE = 8, AT_USER = 44, AT_HOST = 76, LINE = 32, USER = 32, HOST = 256 };
static const struct layout layouts[] = {
    {384, 340, 4}, /* x86-64, and most that have 32-bit time there */
    {400, 344, 8}, /* aarch64, ... */
};

#ifdef __aarch64__
enum { NATIVE = 1 };
#else
enum { NATIVE = 0 };
#endif

static const struct layout *layout_of(size_t size)
{
    bool whole[2] = {size % layouts[0].size == 0, size % layouts[1].size == 0};
    if (whole[0] != whole[1])
        return &layouts[whole[1]];
    return &layouts[NATIVE];
}

/* A field of the record, which ends with NUL or is full. */
static struct span field(const char *record, size_t at, size_t size)
{
    return (struct span){record + at, strnlen(record + at, size)};
}

static struct span host_of(struct span host)
{
    return host.n == 0 || span_is(host, ":0") || span_is(host, ":0.0") ? span_of("localhost")
                                                                       : host;
}

static void write_user(struct sample *s, struct rows *t, struct span name, struct span terminal,
                       struct span host, uint64_t started, int64_t pid)
{
    if (!rows_next(s, t))
        return;
    emit_add_text(s, name);
    if (terminal.n > 0)
        emit_add_text(s, terminal);
    else
        wire_add_nil(&s->w);
    emit_add_text(s, host_of(host));
    wire_add_u64(&s->w, started);
    wire_add_i64(&s->w, pid);
}

static void of_record(struct sample *s, struct rows *t, const char *record,
                      const struct layout *layout)
{
    int16_t type;
    int32_t pid, narrow;
    int64_t seconds = 0;
    memcpy(&type, record, sizeof type);
    memcpy(&pid, record + AT_PID, sizeof pid);
    if (type != USER_PROCESS)
        return;
    if (layout->seconds_size == sizeof seconds) {
        memcpy(&seconds, record + layout->seconds, sizeof seconds);
    } else {
        memcpy(&narrow, record + layout->seconds, sizeof narrow);
        seconds = (uint32_t)narrow; /* good until 2106, if whoever writes it agrees */
    }
    write_user(s, t, field(record, AT_USER, USER), field(record, AT_LINE, LINE),
               field(record, AT_HOST, HOST), seconds > 0 ? (uint64_t)seconds : 0, pid);
}

static int of_utmp(struct sample *s, struct rows *t)
{
    struct span file;
    int sys = core_read(s->c, &s->c->file, "run/utmp", &file);
    if (sys == ENOENT)
        sys = core_read(s->c, &s->c->file, "var/run/utmp", &file);
    if (sys != 0)
        return sys;
    const struct layout *layout = layout_of(file.n);
    for (size_t at = 0; at + layout->size <= file.n; at += layout->size)
        of_record(s, t, file.p + at, layout);
    return 0;
}

/* ---- logind ---- */

static void of_session(struct sample *s, struct rows *t, const char *path)
{
    struct span rest, line, key, user = {0}, tty = {"", 0}, host = {"", 0};
    uint64_t started = 0, leader = 0;
    bool person = true, closing = false;
    if (core_read(s->c, &s->c->file, path, &rest) != 0)
        return;
    while (span_line(&rest, &line)) {
        if (!span_until(&line, '=', &key))
            continue;
        if (span_is(key, "USER"))
            user = line;
        else if (span_is(key, "TTY"))
            tty = line;
        else if (span_is(key, "REMOTE_HOST"))
            host = line;
        else if (span_is(key, "LEADER"))
            (void)span_u64(line, &leader);
        else if (span_is(key, "REALTIME"))
            (void)span_u64(line, &started);
        else if (span_is(key, "CLASS"))
            person = span_starts(line, "user");
        else if (span_is(key, "STATE"))
            closing = span_is(line, "closing");
    }
    if (user.p != NULL && person && !closing && leader <= INT32_MAX)
        write_user(s, t, user, tty, host, started / 1000000, (int64_t)leader);
}

static int of_logind(struct sample *s, struct rows *t)
{
    struct core_names names;
    int sys = core_names(s->c, &names, "run/systemd/sessions", "");
    if (sys != 0)
        return sys;
    for (size_t i = 0; i < names.n && !section_late(s); i++) {
        char path[CORE_PATH];
        if (strchr(names.name[i], '.') == NULL && /* not the pipes N.ref */
            core_path(path, "run/systemd/sessions/%s", names.name[i]))
            of_session(s, t, path);
    }
    core_names_free(&names);
    return 0;
}

void section_users(struct sample *s)
{
    static const char *const cols[] = {"name", "terminal", "host", "started", "pid"};
    const char *source = "utmp";
    struct rows t;
    rows_open(s, &t, "users", cols, 5, MOST_USERS);
    int sys = of_utmp(s, &t);
    if (sys == ENOENT) {
        source = "logind";
        sys = of_logind(s, &t);
    }
    rows_close(s, &t);
    if (sys != 0) {
        section_fail(s, sys, sys == ENOENT ? "neither utmp nor logind's sessions" : source);
        source = "none";
    }
    emit_text(s, "source", span_of(source));
}
