/* Section host: who it is, since when it runs, and whether it shows us all of its processes. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/core/core_int.h"

static void names_of_kernel(struct sample *s)
{
    struct utsname u;
    if (uname(&u) != 0) {
        section_fail(s, errno, "uname");
        return;
    }
    emit_text(s, "nodename", span_of(u.nodename));
    emit_text(s, "sysname", span_of(u.sysname));
    emit_text(s, "release", span_of(u.release));
    emit_text(s, "version", span_of(u.version));
    emit_text(s, "machine", span_of(u.machine));
}

/* Below a prefix: the same from files. */
static void names_of_files(struct sample *s)
{
    static const char *const files[][2] = {
        {"nodename", "proc/sys/kernel/hostname"}, {"sysname", "proc/sys/kernel/ostype"},
        {"release", "proc/sys/kernel/osrelease"}, {"version", "proc/sys/kernel/version"},
        {"machine", "proc/sys/kernel/arch"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char text[CORE_VALUE];
        struct span v;
        if (core_value(s->c, files[i][1], text, &v) == 0)
            emit_text(s, files[i][0], v);
    }
}

static struct span unquoted(struct span v)
{
    bool quoted = v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0];
    return quoted ? (struct span){v.p + 1, v.n - 2} : v;
}

static void system_name(struct sample *s)
{
    struct span rest, line, key, id = {0}, name = {0};
    if (!emit_wants(s, "os_id") && !emit_wants(s, "os_name"))
        return;
    if (core_read(s->c, &s->c->file, "etc/os-release", &rest) != 0 &&
        core_read(s->c, &s->c->file, "usr/lib/os-release", &rest) != 0)
        return;
    while (span_line(&rest, &line)) {
        if (!span_until(&line, '=', &key))
            continue;
        if (span_is(key, "ID"))
            id = unquoted(span_trim(line));
        else if (span_is(key, "PRETTY_NAME"))
            name = unquoted(span_trim(line));
    }
    if (id.p != NULL)
        emit_text(s, "os_id", id);
    if (name.p != NULL)
        emit_text(s, "os_name", name);
}

bool host_boot_time(struct sample *s, uint64_t *seconds)
{
    struct span rest, line, word;
    if (sample_stat(s, &rest) != 0)
        return false;
    while (span_line(&rest, &line))
        if (span_word(&line, &word) && span_is(word, "btime"))
            return span_word(&line, &word) && span_u64(word, seconds);
    return false;
}

/* hidepid=0 and off show all. */
static bool hides(struct span options)
{
    for (struct span o; options.n > 0;) {
        if (!span_until(&options, ',', &o)) {
            o = options;
            options.n = 0;
        }
        if (span_starts(o, "hidepid=") && !span_is(o, "hidepid=0") && !span_is(o, "hidepid=off"))
            return true;
    }
    return false;
}

bool host_sees_all(struct sample *s)
{
    struct span rest, line, w[4];
    bool hidden = false;
    if (sample_mounts(s, &rest) != 0)
        return core_exists(s->c, "proc/1/stat");
    while (span_line(&rest, &line))
        if (span_words(line, w, 4) >= 4 && span_is(w[1], "/proc") && span_is(w[2], "proc"))
            hidden = hides(w[3]); /* the last one mounted counts */
    return !hidden || (geteuid() == 0 && core_exists(s->c, "proc/1/stat"));
}

static void uptime(struct sample *s)
{
    char text[CORE_VALUE];
    struct span v, word;
    double seconds;
    int sys = core_value(s->c, "proc/uptime", text, &v);
    if (sys == 0 && (!span_word(&v, &word) || !span_f64(word, &seconds) || seconds > 1e12))
        sys = EINVAL;
    if (sys != 0)
        section_fail(s, sys, "uptime");
    else
        emit_u64(s, "uptime_ms", (uint64_t)(seconds * 1000 + 0.5));
}

void section_host(struct sample *s)
{
    struct span text;
    uint64_t boot;
    if (s->c->real)
        names_of_kernel(s);
    else
        names_of_files(s);
    system_name(s);
    if (emit_wants(s, "boot_time") && host_boot_time(s, &boot))
        emit_u64(s, "boot_time", boot);
    else if (emit_wants(s, "boot_time"))
        section_fail(s, sample_stat(s, &text) != 0 ? sample_stat(s, &text) : EINVAL, "stat: btime");
    uptime(s);
    if (emit_wants(s, "process_visibility"))
        emit_text(s, "process_visibility", span_of(host_sees_all(s) ? "all" : "own"));
}
