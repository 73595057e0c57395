/* -o ndjson: a line as soon as something happened: {"type":"run"} first, a {"type":"result"} as
 * each host ends, {"type":"summary"} last. docs/schema/ndjson.schema.json is its contract.
 */
#include "common/clock.h"
#include "controller/output/internal.h"

void ndjson_begin(struct output *o)
{
    struct text *t = &o->out;
    char when[40];
    if (o->begun)
        return;
    o->begun = true;
    text_puts(t, "{\"type\":\"run\",\"schema\":\"muster.ndjson/1\",\"run_id\":");
    text_json(t, o->run.run_id);
    text_puts(t, ",\"command\":");
    text_json(t, o->run.command);
    text_puts(t, ",\"started\":");
    text_json(t, clock_rfc3339(when, sizeof when, o->run.started_wall_us));
    text_printf(t, ",\"targets\":%u}\n", (unsigned)o->run.host_count);
    text_flush(t);
}

void ndjson_result(struct output *o, const struct output_result *r, bool with_spool)
{
    ndjson_begin(o);
    text_puts(&o->out, "{\"type\":\"result\",");
    json_host(o, &o->out, r, true, with_spool);
    text_puts(&o->out, "}\n");
    text_flush(&o->out);
}

void ndjson_end(struct output *o, const struct output_end *end)
{
    struct text *t = &o->out;
    if (filter_has_tally(o->filter)) {
        text_puts(t, "{\"type\":\"tally\",\"values\":");
        tally_json(o, t);
        text_puts(t, "}\n");
    }
    text_puts(t, "{\"type\":\"summary\",\"run_id\":");
    text_json(t, o->run.run_id);
    text_puts(t, ",");
    json_summary(o, t, end);
    text_puts(t, "}\n");
    text_flush(t);
}
