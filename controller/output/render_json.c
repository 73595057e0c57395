/* -o json: one document, written host by host in the order of the targets, never whole in memory;
 * and the object of one host that NDJSON and the record of a run use too.
 * docs/schema/run.schema.json is its contract: fields are added, never renamed.
 */
#include <string.h>

#include "common/clock.h"
#include "common/str.h"
#include "controller/output/internal.h"

enum { CHUNK = 48 * 1024 }; /* a multiple of 3, for base64, and below LINES_HOLD */

_Static_assert(CHUNK % 3 == 0 && CHUNK <= (int)LINES_HOLD, "base64 parts must join");

static void field_text(struct text *t, const char *name, const char *s)
{
    text_printf(t, ",\"%s\":", name);
    text_json(t, s != NULL && *s != '\0' ? s : NULL);
}

static void field_ms(struct text *t, const char *name, uint64_t us, bool known)
{
    text_printf(t, ",\"%s\":", name);
    if (known)
        text_printf(t, "%llu.%03llu", (unsigned long long)(us / 1000),
                    (unsigned long long)(us % 1000));
    else
        text_puts(t, "null");
}

/* How many bytes of a stream can be given, the spool's included only where it may be read. */
static uint64_t readable(struct output *o, uint32_t target, bool is_stderr, bool with_spool)
{
    struct store_size s = store_size(o->store, target, is_stderr);
    return s.in_memory + (with_spool ? s.in_spool : 0);
}

/* Fills o->hold with up to CHUNK bytes from offset on; 0 at the end. */
static size_t chunk(struct output *o, uint32_t target, bool is_stderr, uint64_t offset,
                    uint64_t size)
{
    size_t want = size - offset < CHUNK ? (size_t)(size - offset) : CHUNK, got = 0;
    while (got < want) {
        size_t n = store_read(o->store, target, is_stderr, offset + got, o->hold + got, want - got);
        if (n == 0)
            break;
        got += n;
    }
    return got;
}

/* Bytes at the end of a chunk that may be the beginning of a longer character. */
static size_t unfinished(const uint8_t *p, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint8_t c = p[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return len > back ? back : 0;
    }
    return 0;
}

/* Valid UTF-8 without NUL: jansson, PostgreSQL and others refuse \u0000. A character that the cap
 * cut in two at the end is no reason for base64. */
static bool is_text(struct output *o, uint32_t target, bool is_stderr, uint64_t size,
                    uint64_t received)
{
    for (uint64_t at = 0; at < size;) {
        size_t n = chunk(o, target, is_stderr, at, size);
        size_t rest = at + n < received ? unfinished(o->hold, n) : 0;
        if (memchr(o->hold, 0, n - rest) != NULL || !str_utf8_valid(o->hold, n - rest))
            return false;
        if (n == rest)
            return true;
        at += n - rest;
    }
    return true;
}

static void field_output(struct output *o, struct text *t, uint32_t target, bool is_stderr,
                         bool with_spool)
{
    const char *name = is_stderr ? "stderr" : "stdout";
    struct store_size s = store_size(o->store, target, is_stderr);
    uint64_t size = readable(o, target, is_stderr, with_spool), at = 0;
    bool text = is_text(o, target, is_stderr, size, s.received);
    text_printf(t, ",\"%s%s\":\"", name, text ? "" : "_base64");
    while (at < size) {
        size_t n = chunk(o, target, is_stderr, at, size);
        size_t rest = text && at + n < s.received ? unfinished(o->hold, n) : 0;
        if (n == rest)
            break;
        if (text)
            text_json_part(t, o->hold, n - rest);
        else
            text_base64_part(t, o->hold, n);
        at += n - rest;
    }
    text_printf(t, "\",\"%s_truncated\":%s", name, at < s.received ? "true" : "false");
    if (!with_spool && s.in_spool > 0)
        text_printf(t, ",\"%s_spooled_bytes\":%llu", name, (unsigned long long)s.in_spool);
}

static void timings(struct text *t, const struct session_timing *m)
{
    const struct {
        const char *name;
        uint64_t us;
    } all[] = {{"connected", m->connected},
               {"banner", m->banner},
               {"kex", m->kex},
               {"host_key", m->host_key},
               {"auth", m->auth},
               {"open", m->open},
               {"sent", m->sent},
               {"first_byte", m->first_byte},
               {"done", m->done}};
    text_puts(t, ",\"timings_ms\":{");
    bool first = true;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].us == 0)
            continue;
        text_printf(t, "%s\"%s\":%llu.%03llu", first ? "" : ",", all[i].name,
                    (unsigned long long)(all[i].us / 1000), (unsigned long long)(all[i].us % 1000));
        first = false;
    }
    text_puts(t, "}");
}

static void field_name(struct text *t, const char *name)
{
    text_puts(t, "\"host\":");
    text_json(t, name);
    if (str_utf8_valid(name, strlen(name)))
        return;
    text_puts(t, ",\"host_base64\":\"");
    text_base64_part(t, name, strlen(name));
    text_puts(t, "\"");
}

static void host_outcome(struct text *t, const struct output_result *r)
{
    const struct outcome *oc = r->outcome;
    text_printf(t, ",\"status\":\"%s\"", status_name(problem_status(oc->problem)));
    field_text(t, "phase", phase_name(oc->phase));
    field_text(t, "problem", problem_name(oc->problem));
    field_text(t, "detail", oc->detail);
    if (oc->exit_code >= 0)
        text_printf(t, ",\"exit_code\":%d", oc->exit_code);
    else
        text_puts(t, ",\"exit_code\":null");
    field_text(t, "signal", oc->signal);
    text_printf(t, ",\"sent\":%s,\"may_still_run\":%s,\"attempts\":%u", oc->sent ? "true" : "false",
                oc->may_still_run ? "true" : "false", (unsigned)r->attempts);
}

/* The members of a host's object, without its braces. */
void json_host(struct output *o, struct text *t, const struct output_result *r, bool with_output,
               bool with_spool)
{
    char when[40] = "";
    field_name(t, output_name(o, r->target));
    host_outcome(t, r);
    field_text(t, "address", r->address);
    if (r->port > 0)
        text_printf(t, ",\"port\":%u", (unsigned)r->port);
    else
        text_puts(t, ",\"port\":null");
    field_text(t, "user", r->user);
    field_text(t, "jump", r->jump != NULL ? r->jump : "");
    if (r->started_wall_us > 0)
        clock_rfc3339(when, sizeof when, r->started_wall_us);
    field_text(t, "started", when);
    field_ms(t, "duration_ms", r->duration_us, r->attempts > 0);
    field_ms(t, "connect_ms", r->connect_us, r->connect_us > 0);
    timings(t, &r->timing);
    field_text(t, "server", r->server_banner);
    for (int k = 0; k < 2; k++) {
        if (with_output)
            field_output(o, t, r->target, k, with_spool);
        text_printf(t, ",\"%s_bytes\":%llu", k ? "stderr" : "stdout",
                    (unsigned long long)store_size(o->store, r->target, k).received);
    }
}

/* What the document and the last NDJSON line share: how the run went. */
void json_summary(struct output *o, struct text *t, const struct output_end *end)
{
    text_printf(t, "\"duration_ms\":%llu,\"targets\":%u,\"counts\":{",
                (unsigned long long)end->duration_ms, (unsigned)o->run.host_count);
    for (int s = 0; s < STATUS_COUNT; s++)
        text_printf(t, "%s\"%s\":%u", s ? "," : "", status_name(s), (unsigned)o->counts[s]);
    text_printf(t, "},\"exit_code\":%d,\"interrupted\":%s", output_exit_code(o, end),
                end->interrupted ? "true" : "false");
    field_text(t, "stopped", problem_name(end->stopped));
    field_text(t, "breaker_problem", problem_name(end->breaker_problem));
}

void json_document(struct output *o, const struct output_end *end)
{
    struct text *t = &o->out;
    char when[40];
    text_puts(t, "{\"schema\":\"muster.run/1\"");
    field_text(t, "run_id", o->run.run_id);
    field_text(t, "command", o->run.command);
    field_text(t, "started", clock_rfc3339(when, sizeof when, o->run.started_wall_us));
    text_puts(t, ",");
    json_summary(o, t, end);
    text_puts(t, ",\"results\":[");
    bool first = true;
    for (uint32_t i = 0; i < o->run.host_count; i++) {
        struct outcome outcome;
        struct output_result r;
        if (!o->hosts[i].done)
            continue;
        output_recall(o, i, &outcome, &r);
        text_puts(t, first ? "\n{" : ",\n{");
        json_host(o, t, &r, true, true);
        text_puts(t, "}");
        first = false;
    }
    text_puts(t, first ? "]" : "\n]");
    if (filter_has_tally(o->filter)) {
        text_puts(t, ",\"tally\":");
        tally_json(o, t);
    }
    text_puts(t, "}\n");
}

enum rc output_host_json(struct output *o, const struct output_result *r, bool with_output,
                         struct buf *out)
{
    size_t before = out->len;
    struct text t;
    enum rc rc = text_init(&t, NULL, false);
    t.buf = out;
    if (rc == RC_OK) {
        text_puts(&t, "{");
        json_host(o, &t, r, with_output, false);
        text_puts(&t, "}");
        rc = t.failed;
        if (rc != RC_OK)
            out->len = before;
    }
    text_fini(&t);
    return rc;
}
