/* See render.h. The object of a host is what controller/output/render_json.c writes. */
#include "controller/record/render.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/arena.h"
#include "common/str.h"

struct render_result { /* what output_result takes; strings in an arena */
    struct outcome outcome;
    struct output_result result; /* .outcome points to the member above */
};

enum { CHUNK = 64 * 1024, RESULT_MAX = 1024 * 1024 * 1024 };

int64_t render_time(const char *rfc3339)
{
    struct tm tm = {0};
    const char *rest = rfc3339 != NULL ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t us = 0, unit = 100000;
    if (rest == NULL)
        return 0;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9' && unit > 0; rest++, unit /= 10)
            us += (*rest - '0') * unit;
    return *rest == 'Z' ? (int64_t)timegm(&tm) * 1000000 + us : 0;
}

static const char *text_of(const json_t *doc, const char *name)
{
    const char *s = json_string_value(json_object_get(doc, name));
    return s != NULL ? s : "";
}

static int64_t integer_of(const json_t *doc, const char *name, int64_t min, int64_t max,
                          int64_t otherwise)
{
    const json_t *v = json_object_get(doc, name);
    int64_t n = json_is_integer(v) ? json_integer_value(v) : otherwise;
    return n >= min && n <= max ? n : otherwise;
}

/* Milliseconds with a fraction, as microseconds; 0 when it is not known. */
static uint64_t ms_of(const json_t *doc, const char *name)
{
    double ms = json_number_value(json_object_get(doc, name));
    return ms > 0 && ms < 1e12 ? (uint64_t)(ms * 1000 + 0.5) : 0;
}

static enum phase phase_of(const char *name)
{
    for (int p = 0; p < PHASE_COUNT; p++)
        if (strcmp(phase_name((enum phase)p), name) == 0)
            return (enum phase)p;
    return PHASE_NONE;
}

static void take_timing(const json_t *doc, struct session_timing *t)
{
    const json_t *ms = json_object_get(doc, "timings_ms");
    *t = (struct session_timing){
        .connected = ms_of(ms, "connected"),
        .banner = ms_of(ms, "banner"),
        .kex = ms_of(ms, "kex"),
        .host_key = ms_of(ms, "host_key"),
        .auth = ms_of(ms, "auth"),
        .open = ms_of(ms, "open"),
        .sent = ms_of(ms, "sent"),
        .first_byte = ms_of(ms, "first_byte"),
        .done = ms_of(ms, "done"),
    };
}

/* A problem that this version does not know keeps its status through one that has it. */
static int problem_of(const json_t *doc)
{
    const char *name = text_of(doc, "problem");
    int status = status_by_name(text_of(doc, "status"));
    if (*name == '\0')
        return status == STATUS_OK ? PROBLEM_NONE : -1;
    int p = problem_by_name(name);
    if (p >= 0)
        return p;
    for (p = 1; p < PROBLEM_COUNT; p++)
        if ((int)problem_status((enum problem)p) == status)
            return p;
    return -1;
}

static enum rc take_result(const json_t *doc, uint32_t target, struct arena *arena,
                           struct render_result *out, struct err *e)
{
    int problem = problem_of(doc);
    if (problem < 0)
        return err_set(e, RC_PARSE, "the recorded result has no status we know");
    struct outcome *oc = &out->outcome;
    outcome_init(oc);
    oc->problem = (enum problem)problem;
    oc->phase = phase_of(text_of(doc, "phase"));
    oc->exit_code = (int)integer_of(doc, "exit_code", 0, 255, -1);
    snprintf(oc->signal, sizeof oc->signal, "%s", text_of(doc, "signal"));
    snprintf(oc->detail, sizeof oc->detail, "%s", text_of(doc, "detail"));
    oc->sent = json_is_true(json_object_get(doc, "sent"));
    oc->may_still_run = json_is_true(json_object_get(doc, "may_still_run"));
    out->result = (struct output_result){
        .target = target,
        .outcome = oc,
        .attempts = (uint32_t)integer_of(doc, "attempts", 0, UINT32_MAX, 0),
        .address = arena_strdup(arena, text_of(doc, "address")),
        .port = (uint16_t)integer_of(doc, "port", 0, 65535, 0),
        .user = arena_strdup(arena, text_of(doc, "user")),
        .jump = arena_strdup(arena, text_of(doc, "jump")),
        .started_wall_us = render_time(text_of(doc, "started")),
        .duration_us = ms_of(doc, "duration_ms"),
        .connect_us = ms_of(doc, "connect_ms"),
        .server_banner = arena_strdup(arena, text_of(doc, "server")),
    };
    take_timing(doc, &out->result.timing);
    const struct output_result *r = &out->result;
    return r->address != NULL && r->user != NULL && r->jump != NULL && r->server_banner != NULL
               ? RC_OK
               : err_nomem(e);
}

/* What went to the spool: the end of the file, for earlier attempts stand before it. */
static uint64_t feed_spool(const struct record_run *run, struct output *o, uint32_t target,
                           bool is_stderr, uint64_t bytes)
{
    uint64_t size = record_run_spool_size(run, target, is_stderr), fed = 0;
    uint64_t at = size > bytes ? size - bytes : 0;
    char chunk[CHUNK];
    while (fed < bytes) {
        size_t want = bytes - fed < sizeof chunk ? (size_t)(bytes - fed) : sizeof chunk, n;
        if (record_run_spool(run, target, is_stderr, at + fed, chunk, want, &n) != RC_OK || n == 0)
            break;
        output_data(o, target, is_stderr, chunk, n);
        fed += n;
    }
    return fed;
}

static enum rc feed_stream(const struct record_run *run, struct output *o, uint32_t target,
                           const json_t *doc, bool is_stderr, struct err *e)
{
    char name[40];
    uint64_t fed = 0;
    snprintf(name, sizeof name, "%s", is_stderr ? "stderr" : "stdout");
    const json_t *text = json_object_get(doc, name);
    snprintf(name, sizeof name, "%s_base64", is_stderr ? "stderr" : "stdout");
    const json_t *coded = json_object_get(doc, name);
    if (json_is_string(text)) {
        fed = json_string_length(text);
        output_data(o, target, is_stderr, json_string_value(text), (size_t)fed);
    } else if (json_is_string(coded)) {
        struct buf raw;
        buf_init(&raw, RESULT_MAX);
        enum rc rc = str_unbase64(&raw, json_string_value(coded), json_string_length(coded));
        if (rc == RC_OK)
            output_data(o, target, is_stderr, raw.data, raw.len);
        fed = raw.len;
        buf_fini(&raw);
        if (rc == RC_NOMEM)
            return err_nomem(e);
    }
    snprintf(name, sizeof name, "%s_spooled_bytes", is_stderr ? "stderr" : "stdout");
    fed += feed_spool(run, o, target, is_stderr, (uint64_t)integer_of(doc, name, 0, INT64_MAX, 0));
    snprintf(name, sizeof name, "%s_bytes", is_stderr ? "stderr" : "stdout");
    uint64_t all = (uint64_t)integer_of(doc, name, 0, INT64_MAX, 0);
    output_skipped(o, target, is_stderr, all > fed ? all - fed : 0);
    return RC_OK;
}

static enum rc feed_recorded(const struct record_run *run, struct output *o, uint32_t target,
                             struct err *e)
{
    struct buf json;
    struct arena arena;
    struct render_result rr;
    buf_init(&json, RESULT_MAX);
    arena_init(&arena);
    json_t *doc = NULL;
    enum rc rc = record_run_result(run, target, &json, e);
    if (rc == RC_OK) {
        doc = json_loadb((const char *)json.data, json.len, JSON_ALLOW_NUL, NULL);
        rc = doc != NULL ? take_result(doc, target, &arena, &rr, e)
                         : err_set(e, RC_PARSE, "the recorded result is no JSON");
    }
    if (rc == RC_OK) {
        output_started(o, target, 1);
        rc = feed_stream(run, o, target, doc, false, e);
    }
    if (rc == RC_OK)
        rc = feed_stream(run, o, target, doc, true, e);
    if (rc == RC_OK)
        output_result(o, &rr.result);
    json_decref(doc);
    arena_fini(&arena);
    buf_fini(&json);
    return rc;
}

/* A host that the record has no result of. */
static void feed_missing(const struct record_run *run, struct output *o, uint32_t target)
{
    const struct record_host *h = &run->hosts[target];
    struct outcome oc;
    outcome_init(&oc);
    oc.problem = h->status == STATUS_NOT_STARTED ? PROBLEM_NOT_STARTED_CONTROLLER
                 : run->end_json != NULL         ? PROBLEM_NOT_RECORDED
                                                 : PROBLEM_CONTROLLER_ENDED;
    oc.sent = h->sent;
    oc.may_still_run = h->status == STATUS_UNKNOWN;
    snprintf(oc.detail, sizeof oc.detail, "%s",
             h->sent      ? "the command was sent"
             : h->started ? "a connection was begun; whether the command was sent is not known"
                          : "");
    struct output_result r = {.target = target,
                              .outcome = &oc,
                              .attempts = h->started || h->sent,
                              .address = "",
                              .user = "",
                              .server_banner = ""};
    output_result(o, &r);
}

enum rc render_feed(const struct record_run *run, struct output *o, struct err *e)
{
    for (uint32_t i = 0; i < run->host_count; i++) {
        if (!run->hosts[i].has_result) {
            if (!run->alive)
                feed_missing(run, o, i);
            continue;
        }
        enum rc rc = feed_recorded(run, o, i, e);
        if (rc != RC_OK && rc != RC_NOMEM) {
            const char *name = run->hosts[i].name;
            char shown[100];
            err_wrap(e, "the record %s, host %s", run->id,
                     str_escape_to(shown, sizeof shown, name, strlen(name), 0));
        }
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}
