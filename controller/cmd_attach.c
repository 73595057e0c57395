/* muster attach: what the commands of a detached run printed, to their end. Where they run is in
 * the run's record; the rest is a run like any other (cmd_run), whose hosts are asked for what they
 * keep (controller/run/through).
 */
#include "controller/cmd.h"

#include <stdio.h>

#include <jansson.h>
#include <sodium.h>

#include "controller/again.h"
#include "controller/record/record.h"

/* The hosts on which it was started. */
static enum rc choose_hosts(struct options *o, const struct record_run *run, struct err *e)
{
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < run->host_count; i++)
        if (run->hosts[i].status == STATUS_OK)
            rc = options_add(o, &o->exact_hosts, run->hosts[i].name, e);
    if (rc == RC_OK && o->exact_hosts.count == 0)
        return err_set(e, RC_NOTFOUND, "run %s was started on no host", run->id);
    return rc;
}

static enum rc check_kind(const struct record_run *run, const json_t *start, struct err *e)
{
    const char *of;
    switch (record_kind(start, &of)) {
    case KIND_DETACHED: return RC_OK;
    case KIND_ATTACH:
        return err_set(e, RC_USAGE, "run %s was an attach of run %.40s: muster attach %.40s",
                       run->id, of, of);
    case KIND_FIGURES:
    case KIND_COMMAND: break;
    }
    return err_set(e, RC_USAGE,
                   "run %s was no detached one (those are: muster run --detach); muster show %s "
                   "has what it printed",
                   run->id, run->id);
}

static enum rc restore(struct options *o, const struct record_run *run, const json_t *start,
                       struct err *e)
{
    enum rc rc = check_kind(run, start, e);
    if (rc == RC_OK)
        rc = again_restore(o, run, start, e);
    if (rc == RC_OK)
        rc = choose_hosts(o, run, e);
    if (rc == RC_OK)
        rc = again_keep_texts(o, run, start, e);
    o->attach_run = o->retry_of;
    o->detach = false;
    o->yes = true; /* nothing is started there */
    return rc;
}

static enum rc prepare(struct options *o, struct err *e)
{
    struct record_run *run = NULL;
    enum rc rc = record_find(o->state_dir, o->pattern, RECORD_DETACHED, &run, e);
    if (rc != RC_OK)
        return rc;
    json_t *start = json_loads(run->start_json, 0, NULL);
    rc = start != NULL ? restore(o, run, start, e) : err_nomem(e);
    json_decref(start);
    record_run_free(run); /* the workers that the run forks need none of it */
    return rc;
}

int cmd_attach(struct options *o)
{
    struct err e = {0};
    enum rc rc = sodium_init() < 0 ? err_set(&e, RC_CRYPTO, "libsodium cannot be set up") : RC_OK;
    if (rc == RC_OK)
        rc = prepare(o, &e);
    return rc == RC_OK ? cmd_run(o) : cmd_fail(&e);
}
