/* muster history: the runs on record, newest first. */
#include "controller/cmd.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/record/record.h"

enum { COMMAND_SHOWN = 100, TEXT_MAX = 1 << 30 };

static const char *ending(const struct record_summary *s, char *dst, size_t cap)
{
    if (s->alive)
        return "running";
    if (!s->finished)
        return "killed";
    snprintf(dst, cap, "exit %d", s->exit_code);
    return dst;
}

/* "2026-01-31 09:05:00" of RFC 3339 in UTC. */
static void put_when(const struct record_summary *s, char *dst, size_t cap)
{
    snprintf(dst, cap, "%.10s %.8s", s->started, strlen(s->started) > 11 ? s->started + 11 : "");
}

static enum rc put_table(const struct record_summary *list, size_t count, struct buf *out)
{
    enum rc rc = buf_printf(out, "%-20s  %-19s  %-12s %9s %9s  %-8s %s\n", "RUN", "STARTED (UTC)",
                            "WHO", "HOSTS", "OK", "END", "COMMAND");
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        const struct record_summary *s = &list[i];
        char when[32], user[64], command[COMMAND_SHOWN], end[32], ok[NUM_TEXT] = "-";
        const char *text = s->command != NULL ? s->command : "(not logged)";
        put_when(s, when, sizeof when);
        str_escape_to(user, sizeof user, s->user, strlen(s->user), 0);
        str_escape_to(command, sizeof command, text, strlen(text), 0);
        if (s->finished)
            snprintf(ok, sizeof ok, "%lu", (unsigned long)s->ok);
        rc = buf_printf(out, "%-20s  %-19s  %-12s %9lu %9s  %-8s %s\n", s->id, when, user,
                        (unsigned long)s->targets, ok, ending(s, end, sizeof end), command);
    }
    return rc;
}

static enum rc put_object(const struct record_summary *s, struct buf *out)
{
    enum rc rc = buf_printf(out, "{\"run\":\"%s\",\"started\":", s->id);
    if (rc == RC_OK)
        rc = str_json_cstr(out, s->started);
    if (rc == RC_OK)
        rc = buf_puts(out, ",\"user\":");
    if (rc == RC_OK)
        rc = str_json_cstr(out, s->user);
    if (rc == RC_OK)
        rc = buf_puts(out, ",\"command\":");
    if (rc == RC_OK)
        rc = str_json_cstr(out, s->command);
    if (rc == RC_OK)
        rc = buf_printf(out, ",\"targets\":%lu,\"finished\":%s,\"running\":%s",
                        (unsigned long)s->targets, s->finished ? "true" : "false",
                        s->alive ? "true" : "false");
    if (rc == RC_OK && s->finished)
        rc = buf_printf(out, ",\"ok\":%lu,\"exit_code\":%d}", (unsigned long)s->ok, s->exit_code);
    else if (rc == RC_OK)
        rc = buf_puts(out, ",\"ok\":null,\"exit_code\":null}");
    return rc;
}

static enum rc put_json(const struct record_summary *list, size_t count, bool lines,
                        struct buf *out)
{
    enum rc rc = lines ? RC_OK : buf_puts(out, "{\"schema\":\"muster.history/1\",\"runs\":[");
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        if (!lines)
            rc = buf_puts(out, i > 0 ? ",\n" : "\n");
        if (rc == RC_OK)
            rc = put_object(&list[i], out);
        if (rc == RC_OK && lines)
            rc = buf_putc(out, '\n');
    }
    return rc == RC_OK && !lines ? buf_puts(out, count > 0 ? "\n]}\n" : "]}\n") : rc;
}

static enum rc load(const struct options *o, struct record_summary **list, size_t *count,
                    struct err *e)
{
    struct buf state;
    buf_init(&state, 8192);
    enum rc rc = record_state_dir(o->state_dir, &state, e);
    const char *dir = rc == RC_OK ? buf_cstr(&state) : NULL;
    if (rc == RC_OK)
        rc = dir != NULL ? record_list(dir, o->history_max, list, count, e) : err_nomem(e);
    buf_fini(&state);
    return rc;
}

int cmd_history(struct options *o)
{
    struct record_summary *list = NULL;
    size_t count = 0;
    struct err e = {0};
    struct buf out;
    buf_init(&out, TEXT_MAX);
    enum rc rc = load(o, &list, &count, &e);
    if (rc == RC_OK && count == 0 && o->output.mode == OUTPUT_TABLE)
        fprintf(stderr, "muster: no run is on record yet\n");
    else if (rc == RC_OK)
        rc = o->output.mode == OUTPUT_TABLE
                 ? put_table(list, count, &out)
                 : put_json(list, count, o->output.mode == OUTPUT_NDJSON, &out);
    if (rc != RC_OK && e.rc == RC_OK)
        err_nomem(&e);
    if (rc == RC_OK)
        cmd_write(out.data, out.len);
    record_list_free(list, count);
    buf_fini(&out);
    return rc == RC_OK ? cmd_printed() : cmd_fail(&e);
}
