/* muster show: a past run again, as its results were shown, from its record. */
#include "controller/cmd.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/record/record.h"
#include "controller/record/render.h"

struct view { /* what a run looked like, for the renderer */
    struct record_run *run;
    json_t *start, *end; /* end: NULL, the controller did not finish */
    struct inv_host *hosts;
    struct inv_host **list;
    struct output *output;
};

static const char *text_of(const json_t *doc, const char *name)
{
    return json_string_value(json_object_get(doc, name));
}

/* One line of the header; text from the record is escaped. Nothing when there is none. */
static void line(const char *title, const char *text)
{
    char safe[1024];
    if (text != NULL)
        printf("  %-9s %s\n", title, str_escape_to(safe, sizeof safe, text, strlen(text), 0));
}

static void put_who(const json_t *start)
{
    char who[512];
    const char *user = text_of(start, "user"), *login = text_of(start, "login_user");
    const char *host = text_of(start, "host"), *tty = text_of(start, "tty");
    bool other = login != NULL && (user == NULL || strcmp(user, login) != 0);
    snprintf(who, sizeof who, "%s%s%s%s%s%s%s%s", user != NULL ? user : "?",
             other ? " (logged in as " : "", other ? login : "", other ? ")" : "",
             host != NULL ? " on " : "", host != NULL ? host : "", tty != NULL ? ", " : "",
             tty != NULL ? tty : "");
    line("who", who);
}

static void put_ending(const struct view *v)
{
    char text[256], duration[NUM_TEXT];
    const char *stopped = text_of(v->end, "stopped");
    json_int_t ms = json_integer_value(json_object_get(v->end, "duration_ms"));
    if (v->run->alive)
        snprintf(text, sizeof text, "still running (process %lld)",
                 (long long)json_integer_value(json_object_get(v->start, "pid")));
    else if (v->end == NULL)
        snprintf(text, sizeof text, "did not finish (controller ended)");
    else
        snprintf(text, sizeof text, "exit code %lld after %s%s%s",
                 (long long)json_integer_value(json_object_get(v->end, "exit_code")),
                 num_duration_text(duration, ms > 0 ? (uint64_t)ms : 0),
                 stopped != NULL ? ", stopped: " : "", stopped != NULL ? stopped : "");
    line("ended", text);
    if (v->run->lost_lines > 0 || v->run->damaged > 0)
        printf("  %-9s %llu lines of the record were not written, %lu cannot be read\n", "gaps",
               (unsigned long long)v->run->lost_lines, (unsigned long)v->run->damaged);
}

static void put_detached(const struct record_run *run)
{
    bool started = false;
    for (uint32_t i = 0; i < run->host_count; i++)
        started = started || run->hosts[i].status == STATUS_OK;
    if (started)
        printf("  %-9s what its commands print: muster attach %s\n", "detached", run->id);
    else
        line("detached", "started on no host");
}

static void put_header(const struct view *v)
{
    char when[64], targets[400], count[NUM_TEXT];
    const char *started = text_of(v->start, "started"), *pattern = text_of(v->start, "pattern");
    const char *command = text_of(v->start, "command");
    printf("run %s\n", v->run->id);
    snprintf(when, sizeof when, "%.10s %.8s UTC", started != NULL ? started : "",
             started != NULL && strlen(started) > 11 ? started + 11 : "");
    line("when", when);
    put_who(v->start);
    line("command", command != NULL ? command : "(not logged)");
    if (command == NULL)
        line("digest", text_of(v->start, "command_digest"));
    num_count_text(count, v->run->host_count);
    snprintf(targets, sizeof targets, "%.300s (%s host%s)", pattern != NULL ? pattern : "-w", count,
             v->run->host_count == 1 ? "" : "s");
    line("targets", targets);
    line("reason", text_of(v->start, "reason"));
    enum record_kind kind = record_kind(v->start, NULL);
    line(kind == KIND_ATTACH ? "attach of" : "retry of", text_of(v->start, "retry_of"));
    if (kind == KIND_DETACHED)
        put_detached(v->run);
    put_ending(v);
    if (kind == KIND_FIGURES)
        line("figures", "are not recorded");
    putchar('\n');
    cmd_flush();
}

static void write_result(void *user, const void *p, size_t n)
{
    (void)user;
    cmd_write(p, n);
}

static void flush_results(void *user)
{
    (void)user;
    cmd_flush();
}

static void write_info(void *user, const void *p, size_t n)
{
    (void)user;
    (void)!fwrite(p, 1, n, stderr);
}

static enum rc open_view(struct view *v, const struct options *o, struct err *e)
{
    enum rc rc = record_find(o->state_dir, o->pattern, RECORD_ANY, &v->run, e);
    if (rc != RC_OK)
        return rc;
    uint32_t n = v->run->host_count;
    v->start = json_loads(v->run->start_json, 0, NULL);
    if (v->run->end_json != NULL)
        v->end = json_loads(v->run->end_json, 0, NULL);
    v->hosts = mem_calloc(n, sizeof *v->hosts);
    v->list = mem_calloc(n, sizeof(struct inv_host *));
    if (v->start == NULL || v->hosts == NULL || v->list == NULL)
        return err_nomem(e);
    for (uint32_t i = 0; i < n; i++) {
        v->hosts[i] = (struct inv_host){.name = v->run->hosts[i].name, .index = i};
        v->list[i] = &v->hosts[i];
    }
    return RC_OK;
}

static void close_view(struct view *v)
{
    output_free(v->output);
    mem_free(v->list);
    mem_free(v->hosts);
    json_decref(v->start);
    json_decref(v->end);
    record_run_free(v->run);
}

/* The bounds that the run had, not those that a run would have now: the summary names them. */
static void take_bounds(const struct view *v, struct output_opts *o)
{
    const struct {
        const char *name;
        uint64_t *ms;
    } bounds[] = {{"connect-timeout", &o->connect_timeout_ms},
                  {"timeout", &o->timeout_ms},
                  {"silence-timeout", &o->silence_timeout_ms}};
    const json_t *given = json_object_get(json_object_get(v->start, "replay"), "options");
    bool max_fail = false;
    for (size_t i = 0; i < json_array_size(given); i++) {
        const json_t *option = json_array_get(given, i);
        const char *name = json_string_value(json_array_get(option, 0));
        const char *value = json_string_value(json_array_get(option, 1));
        if (name == NULL || value == NULL)
            continue;
        for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++)
            if (strcmp(name, bounds[b].name) == 0 &&
                num_duration(value, bounds[b].ms, NULL) != RC_OK)
                *bounds[b].ms = 0; /* not named then */
        max_fail = max_fail || strcmp(name, "max-fail") == 0;
        o->serial_budget = o->serial_budget || strcmp(name, "serial") == 0;
    }
    o->serial_budget = o->serial_budget && !max_fail;
}

static enum rc open_output(struct view *v, struct options *o, const char *hint, struct err *e)
{
    struct sink out = {.write = write_result, .flush = flush_results}, info = {.write = write_info};
    bool no_retry = json_is_null(json_object_get(v->start, "replay")); /* figures, an attach */
    struct output_run about = {
        .run_id = v->run->id,
        .command = text_of(v->start, "command"),
        .retry_hint = v->run->alive || no_retry ? NULL : hint,
        .looks = record_kind(v->start, NULL) == KIND_ATTACH,
        .hosts = v->list,
        .host_count = v->run->host_count,
        .started_wall_us = render_time(text_of(v->start, "started")),
    };
    take_bounds(v, &o->output);
    o->output.max_output = UINT64_MAX; /* what was kept then is shown now */
    return output_new(&v->output, &o->output, &about, &out, &info, NULL, e);
}

static struct output_end how_it_ended(const struct view *v)
{
    const char *stopped = text_of(v->end, "stopped");
    int problem = stopped != NULL ? problem_by_name(stopped) : -1;
    json_int_t ms = json_integer_value(json_object_get(v->end, "duration_ms"));
    int64_t so_far = clock_wall_us() - render_time(text_of(v->start, "started"));
    if (v->run->alive)
        ms = so_far / 1000;
    return (struct output_end){.stopped = problem > 0 ? (enum problem)problem : PROBLEM_NONE,
                               .interrupted =
                                   json_integer_value(json_object_get(v->end, "exit_code")) == 130,
                               .duration_ms = ms > 0 ? (uint64_t)ms : 0};
}

static void put_waiting(const struct view *v)
{
    uint32_t running = 0, waiting = 0;
    for (uint32_t i = 0; v->run->alive && i < v->run->host_count; i++) {
        const struct record_host *h = &v->run->hosts[i];
        running += !h->has_result && (h->started || h->sent);
        waiting += !h->has_result && !h->started && !h->sent;
    }
    if (running + waiting > 0)
        fprintf(stderr, "still running: %lu host%s, %lu not started yet\n", (unsigned long)running,
                running == 1 ? "" : "s", (unsigned long)waiting);
}

int cmd_show(struct options *o)
{
    struct view v = {0};
    struct err e = {0};
    char hint[64];
    enum rc rc = open_view(&v, o, &e);
    if (rc == RC_OK) {
        snprintf(hint, sizeof hint, "muster retry %s", v.run->id);
        rc = open_output(&v, o, hint, &e);
    }
    if (rc == RC_OK && !o->output.quiet &&
        (o->output.mode == OUTPUT_GROUP || o->output.mode == OUTPUT_NONE))
        put_header(&v);
    if (rc == RC_OK)
        rc = render_feed(v.run, v.output, &e);
    if (rc == RC_OK) {
        struct output_end end = how_it_ended(&v);
        output_finish(v.output, &end);
        put_waiting(&v);
    }
    close_view(&v);
    return rc == RC_OK ? cmd_printed() : cmd_fail(&e);
}
