/* muster retry: a past run again, on the hosts where it was not ok. What is repeated comes from the
 * record's replay object; what this command line says wins. The new run's targets are these hosts
 * only, so the set shrinks from retry to retry. */
#include "controller/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/again.h"
#include "controller/record/record.h"
#include "inventory/hostset.h"

struct again {
    struct record_run *run;
    json_t *start;
    uint32_t counts[STATUS_COUNT]; /* of the chosen hosts */
    uint32_t ran;                  /* of them, the command may have run on */
};

static bool is_chosen(const struct options *o, enum status s)
{
    if (s == STATUS_OK)
        return false;
    for (size_t i = 0; i < o->retry_select.count; i++)
        if (strcmp(o->retry_select.items[i], status_name(s)) == 0)
            return true;
    return o->retry_select.count == 0;
}

static enum rc choose_hosts(struct options *o, struct again *a, struct err *e)
{
    for (uint32_t i = 0; i < a->run->host_count; i++) {
        const struct record_host *h = &a->run->hosts[i];
        if (!is_chosen(o, h->status))
            continue;
        enum rc rc = options_add(o, &o->exact_hosts, h->name, e);
        if (rc != RC_OK)
            return rc;
        a->counts[h->status]++;
        a->ran += h->may_have_run;
    }
    return RC_OK;
}

/* "muster: retrying 20260131-… on 3 of 200 hosts: web[1-3] (2 failed, 1 unreachable)" */
static enum rc say_what(const struct options *o, const struct again *a, struct err *e)
{
    struct buf fold, text;
    char n[NUM_TEXT], all[NUM_TEXT];
    buf_init(&fold, 64 * 1024 * 1024);
    buf_init(&text, 4096);
    enum rc rc = hostset_fold_names(o->exact_hosts.items, o->exact_hosts.count, &fold, e);
    if (rc == RC_OK)
        rc = str_escape(&text, fold.data, fold.len < 400 ? fold.len : 400, 0);
    if (rc == RC_OK && fold.len > 400)
        rc = buf_puts(&text, "...");
    const char *gap = " (";
    for (int s = 0; rc == RC_OK && s < STATUS_COUNT; s++) {
        if (a->counts[s] == 0)
            continue;
        rc = buf_printf(&text, "%s%s %s", gap, num_count_text(n, a->counts[s]),
                        status_name((enum status)s));
        gap = ", ";
    }
    const char *shown = rc == RC_OK ? buf_cstr(&text) : NULL;
    if (shown != NULL) {
        fprintf(stderr, "muster: retrying %s on %s of %s host%s: %s)\n", a->run->id,
                num_count_text(n, o->exact_hosts.count), num_count_text(all, a->run->host_count),
                a->run->host_count == 1 ? "" : "s", shown);
        if (a->ran > 0)
            fprintf(stderr, "muster: on %s of them the command has run, or may have, already\n",
                    num_count_text(n, a->ran));
    }
    buf_fini(&fold);
    buf_fini(&text);
    return shown != NULL ? RC_OK : err_nomem(e);
}

static enum rc check_kind(const struct again *a, struct err *e)
{
    const char *of;
    switch (record_kind(a->start, &of)) {
    case KIND_ATTACH:
        return err_set(e, RC_USAGE,
                       "run %s was an attach of run %.40s: to look again type muster attach %.40s",
                       a->run->id, of, of);
    case KIND_FIGURES:
        return err_set(e, RC_USAGE, "run %s asked for figures: type that muster stats again",
                       a->run->id);
    case KIND_COMMAND:
    case KIND_DETACHED: break;
    }
    return RC_OK;
}

/* *ended: there is nothing to do. */
static enum rc prepare(struct options *o, struct again *a, bool *ended, struct err *e)
{
    enum rc rc = record_find(o->state_dir, o->pattern, RECORD_REPEATABLE, &a->run, e);
    if (rc != RC_OK)
        return rc;
    if (a->run->alive)
        return err_set(e, RC_USAGE, "run %s is still going on", a->run->id);
    a->start = json_loads(a->run->start_json, 0, NULL);
    if (a->start == NULL)
        return err_nomem(e);
    rc = check_kind(a, e);
    if (rc == RC_OK)
        rc = choose_hosts(o, a, e);
    if (rc != RC_OK)
        return rc;
    *ended = o->exact_hosts.count == 0;
    if (*ended) {
        fprintf(stderr, "muster: nothing to retry: no host of run %s is %s\n", a->run->id,
                o->retry_select.count > 0 ? "as asked for" : "other than ok");
        return RC_OK;
    }
    rc = again_restore(o, a->run, a->start, e);
    if (rc == RC_OK)
        rc = say_what(o, a, e);
    return rc == RC_OK ? again_keep_texts(o, a->run, a->start, e) : rc;
}

int cmd_retry(struct options *o)
{
    struct again a = {0};
    struct err e = {0};
    bool ended = false;
    enum rc rc = sodium_init() < 0 ? err_set(&e, RC_CRYPTO, "libsodium cannot be set up") : RC_OK;
    if (rc == RC_OK)
        rc = prepare(o, &a, &ended, &e);
    json_decref(a.start);
    record_run_free(a.run); /* the workers that the run forks need none of it */
    if (rc != RC_OK)
        return cmd_fail(&e);
    return ended ? 0 : cmd_run(o);
}
