/* Section pressure: how long tasks waited for CPU, memory and I/O (PSI). */
#include <errno.h>
#include <string.h>

#include "agent/core/core_int.h"

/* "avg10=0.12" */
static bool value_of(struct span word, const char *name, double *v)
{
    struct span key;
    return span_until(&word, '=', &key) && span_is(key, name) && span_f64(word, v);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" */
static void write_line(struct sample *s, struct span line)
{
    static const char *const names[] = {"avg10", "avg60", "avg300"};
    struct span w[5], key;
    double avg[3];
    uint64_t total;
    if (span_words(line, w, 5) < 5 || !(span_is(w[0], "some") || span_is(w[0], "full")))
        return;
    for (int i = 0; i < 3; i++)
        if (!value_of(w[i + 1], names[i], &avg[i]))
            return;
    if (!span_until(&w[4], '=', &key) || !span_is(key, "total") || !span_u64(w[4], &total))
        return;
    struct emit_map outer = emit_open_map(s, span_is(w[0], "some") ? "some" : "full");
    for (int i = 0; i < 3; i++)
        emit_f64(s, names[i], avg[i]);
    emit_u64(s, "total", total);
    emit_close_map(s, outer);
}

void section_pressure(struct sample *s)
{
    static const char *const names[] = {"cpu", "memory", "io"};
    for (int i = 0; i < 3; i++) {
        char path[CORE_PATH];
        struct span rest, line;
        (void)core_path(path, "proc/pressure/%s", names[i]);
        int sys = core_read(s->c, &s->c->file, path, &rest);
        if (sys != 0) {
            section_fail(s, sys, path);
            continue;
        }
        struct emit_map outer = emit_open_map(s, names[i]);
        bool some = false, full = false;
        while (span_line(&rest, &line)) {
            bool *seen = span_starts(line, "some ")   ? &some
                         : span_starts(line, "full ") ? &full
                                                      : NULL;
            if (seen == NULL || *seen)
                continue;
            write_line(s, line);
            *seen = true;
        }
        emit_close_map(s, outer);
    }
}
