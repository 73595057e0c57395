/* FALLBACK of remote.h: requests that plain sh answers. */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/remote/remote_int.h"

struct sample_plan {
    uint64_t interval_ms, due, count, seq;
};

void plan_free(struct sample_plan *p)
{
    mem_free(p);
}

void fallback_enter(struct remote *r, enum problem p, const char *detail)
{
    struct remote_hello h = {.fallback = true, .problem = p, .uid = r->report.uid, .op_count = 1};
    snprintf(h.ops[0], sizeof h.ops[0], "stats");
    snprintf(h.arch, sizeof h.arch, "%s", r->report.arch);
    snprintf(h.boot_id, sizeof h.boot_id, "%s", r->report.boot);
    str_escape_to(h.detail, sizeof h.detail, detail, strlen(detail), 0);
    state_ended(r);
    state_enter(r, S_FALLBACK);
    r->ops->ready(r->user, &h);
}

void fallback_output(struct remote *r, const uint8_t *p, size_t n)
{
    (void)r;
    (void)p;
    (void)n;
}
void fallback_ended(struct remote *r, const struct outcome *o)
{
    (void)r;
    (void)o;
}
void fallback_tick(struct remote *r)
{
    (void)r;
}
uint64_t fallback_wake(const struct remote *r)
{
    (void)r;
    return UINT64_MAX;
}
enum rc fallback_request(struct remote *r, struct request *q, const struct wire_map *m)
{
    (void)r;
    (void)q;
    (void)m;
    return RC_CANCELLED;
}
void fallback_cancel(struct remote *r, struct request *q)
{
    (void)r;
    (void)q;
}
