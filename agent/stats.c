/* op stats: samples of the host's figures, one or many (proto/PROTOCOL.md). When, how many, and
 * what becomes of one that cannot go; what a sample is, is agent/core's. */
#include "agent/op.h"

#include <string.h>

#include "agent/core/core.h"
#include "common/clock.h"
#include "common/mem.h"
#include "proto/agent.h"

enum { MAX_SECTION_NAMES = 64, SECTION_MS_MAX = 60 * 1000, SECTION_MS_MIN = 1 };

struct stats {
    struct core_request request;
    struct core_want want;
    uint64_t interval_ms; /* 0: one sample */
    uint64_t count;       /* 0: without end */
    uint64_t sent, skipped;
    uint64_t due_ms;
    struct buf sample; /* the only one, while there is no credit for it */
};

/* ---- the request ---- */

/* One that we do not know is a later version's, and left out. */
static enum rc read_sections(const struct wire_map *m, uint64_t *sections, struct err *e)
{
    const msgpack_object_array *a;
    if (wire_array(m, "sections", MAX_SECTION_NAMES, &a) != RC_OK)
        return err_set(e, RC_USAGE, "sections: want a list of names");
    *sections = 0;
    for (uint32_t i = 0; i < a->size; i++) {
        const msgpack_object *o = &a->ptr[i];
        if (o->type != MSGPACK_OBJECT_STR)
            return err_set(e, RC_USAGE, "sections: want a list of names");
        int number = core_section_find(o->via.str.ptr, o->via.str.size);
        if (number >= 0)
            *sections |= UINT64_C(1) << number;
    }
    return *sections != 0 ? RC_OK : err_set(e, RC_USAGE, "sections: none that is known here");
}

static enum rc read_by(const struct wire_map *m, enum core_by *by, struct err *e)
{
    static const char *const names[] = {
        [CORE_BY_RSS] = "rss", [CORE_BY_CPU] = "cpu", [CORE_BY_IO] = "io"};
    char name[8];
    enum rc rc = wire_str_to(m, "by", name, sizeof name);
    for (size_t i = 0; rc == RC_OK && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *by = (enum core_by)i;
            return RC_OK;
        }
    }
    return rc == RC_NOTFOUND ? RC_OK : err_set(e, RC_USAGE, "by: want rss, cpu or io");
}

/* A number that may be absent; *out is its default. */
static enum rc read_number(const struct wire_map *m, const char *key, uint64_t min, uint64_t max,
                           uint64_t *out, struct err *e)
{
    enum rc rc = wire_u64(m, key, max, out);
    if (rc == RC_NOTFOUND || (rc == RC_OK && *out >= min))
        return RC_OK;
    return err_set(e, RC_USAGE, "%s: want a number from %llu to %llu", key, (unsigned long long)min,
                   (unsigned long long)max);
}

static enum rc read_times(const struct wire_map *m, struct stats *st, struct err *e)
{
    enum rc rc = read_number(m, "interval_ms", 0, AGENT_INTERVAL_MAX_MS, &st->interval_ms, e);
    if (rc == RC_OK)
        rc = read_number(m, "count", 0, UINT32_MAX, &st->count, e);
    if (rc != RC_OK)
        return rc;
    if (st->interval_ms != 0 && st->interval_ms < AGENT_INTERVAL_MIN_MS)
        return err_set(e, RC_USAGE, "interval_ms: want 0 or at least %d", AGENT_INTERVAL_MIN_MS);
    if (st->interval_ms == 0)
        st->count = 1;
    return RC_OK;
}

static enum rc read_names(const msgpack_object_array *names, unsigned section, struct core_want *w,
                          struct err *e)
{
    core_want_section(w, section);
    for (uint32_t i = 0; i < names->size; i++) {
        const msgpack_object *o = &names->ptr[i];
        if (o->type != MSGPACK_OBJECT_STR)
            return err_set(e, RC_USAGE, "want: names are text");
        if (core_want_add(w, section, o->via.str.ptr, o->via.str.size) != RC_OK)
            return err_set(e, RC_USAGE, "want: at most %d names of at most %d bytes",
                           CORE_WANT_MOST, CORE_WANT_NAME - 1);
    }
    return RC_OK;
}

/* Of a section that we do not know nothing is sent anyway. */
static enum rc read_want(const struct wire_map *m, struct stats *st, struct err *e)
{
    struct wire_map want;
    const char *name;
    enum rc rc = wire_map(m, "want", &want);
    for (unsigned i = 0; rc == RC_OK && (name = core_section_name(i)) != NULL; i++) {
        const msgpack_object_array *names;
        enum rc got = wire_array(&want, name, CORE_WANT_MOST, &names);
        if (got == RC_PROTO)
            rc = got;
        else if (got == RC_OK && read_names(names, i, &st->want, e) != RC_OK)
            return RC_USAGE;
    }
    if (rc == RC_PROTO)
        return err_set(e, RC_USAGE, "want: a map of lists of names");
    st->request.want = rc == RC_OK ? &st->want : NULL;
    return RC_OK;
}

static enum rc read_request(const struct wire_map *m, struct stats *st, struct err *e)
{
    struct core_request *r = &st->request;
    uint64_t top = 0;
    r->section_ms = AGENT_SECTION_MS;
    enum rc rc = read_sections(m, &r->sections, e);
    if (rc == RC_OK)
        rc = read_times(m, st, e);
    if (rc == RC_OK)
        rc = read_number(m, "top", 0, AGENT_TOP_MAX, &top, e);
    if (rc == RC_OK)
        rc = read_number(m, "timeout_ms", SECTION_MS_MIN, SECTION_MS_MAX, &r->section_ms, e);
    if (rc == RC_OK)
        rc = read_by(m, &r->by, e);
    if (rc == RC_OK && wire_bool(m, "detail", &r->detail) == RC_PROTO)
        rc = err_set(e, RC_USAGE, "detail: want true or false");
    if (rc == RC_OK)
        rc = read_want(m, st, e);
    r->top = (uint32_t)top;
    return rc;
}

/* ---- the samples ---- */

/* With one sample, or by what they hold now, nothing is compared. */
static enum rc keep_past(struct stats *st, struct err *e)
{
    struct core_request *r = &st->request;
    if (st->count == 1 || r->top == 0 || r->by == CORE_BY_RSS)
        return RC_OK;
    r->past = core_past_new();
    return r->past != NULL ? RC_OK : err_nomem(e);
}

static enum rc start(struct op *op, const struct wire_map *m, struct err *e)
{
    if (serve_core(op) == NULL)
        return err_set(e, RC_NOTFOUND, "this agent has no figures");
    struct stats *st = mem_calloc(1, sizeof *st);
    if (st == NULL)
        return err_nomem(e);
    op->state = st;
    buf_init(&st->sample, FRAME_MAX);
    enum rc rc = read_request(m, st, e); /* due at once: the first turn takes it */
    return rc == RC_OK ? keep_past(st, e) : rc;
}

static void sent(struct op *op, struct stats *st)
{
    st->sent++;
    st->skipped = 0;
    if (st->sent == st->count)
        serve_end(op, "ok", "", "", 0, NULL);
}

/* The only sample of a request waits for its credit; one of many is left out. */
static void offer(struct op *op, struct stats *st)
{
    enum rc rc = serve_reply(op, &st->sample);
    if (rc == RC_OK)
        sent(op, st);
    else if (st->interval_ms == 0)
        return;
    else
        st->skipped++;
    buf_fini(&st->sample);
}

/* The next time in step with the first one; those that have gone by meanwhile were left out. */
static void plan_next(struct stats *st, uint64_t now_ms)
{
    st->due_ms = st->due_ms == 0 ? now_ms : st->due_ms;
    st->due_ms += st->interval_ms;
    if (st->due_ms > now_ms)
        return;
    uint64_t missed = (now_ms - st->due_ms) / st->interval_ms + 1;
    st->skipped += missed;
    st->due_ms += missed * st->interval_ms;
}

static void take(struct op *op, struct stats *st)
{
    enum rc rc = core_sample(serve_core(op), &st->request, st->sent, st->skipped, &st->sample);
    if (rc == RC_OK)
        offer(op, st);
    else if (rc == RC_LIMIT)
        serve_end(op, "failed", "", "a sample larger than a message may be", 0, NULL);
    else if (st->interval_ms == 0)
        serve_end(op, "failed", "", "out of memory", 0, NULL);
    else
        st->skipped++;
    if (rc != RC_OK)
        buf_fini(&st->sample);
}

static void turn(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms)
{
    struct stats *st = op->state;
    (void)fds;
    (void)n;
    if (st->sample.len > 0) {
        offer(op, st);
        return;
    }
    if (now_ms < st->due_ms)
        return;
    take(op, st);
    if (!op->ended && st->interval_ms != 0)
        plan_next(st, now_ms);
}

static void credit(struct op *op)
{
    struct stats *st = op->state;
    if (st->sample.len > 0)
        offer(op, st);
}

static uint64_t wake_at(const struct op *op)
{
    const struct stats *st = op->state;
    return st->sample.len > 0 ? UINT64_MAX : st->due_ms;
}

static void cancel(struct op *op, uint64_t grace_ms)
{
    (void)grace_ms;
    serve_end(op, "cancelled", "", "", 0, NULL);
}

static void hangup(struct op *op)
{
    cancel(op, 0);
}

static void fini(struct op *op)
{
    struct stats *st = op->state;
    if (st == NULL)
        return;
    buf_fini(&st->sample);
    core_past_free(st->request.past);
    mem_free(st);
}

const struct op_kind op_stats = {
    .name = "stats",
    .allow = ALLOW_STATS,
    .start = start,
    .credit = credit,
    .cancel = cancel,
    .hangup = hangup,
    .turn = turn,
    .wake_at = wake_at,
    .fini = fini,
};
