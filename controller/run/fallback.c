/* Hosts that OpenSSH's ssh reaches in place of a worker: from a target to the words for ssh, and
 * the same events as a worker's. Loop thread only. See run_internal.h.
 */
#include "controller/run/run_internal.h"
#include "controller/run/target_config.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

/* The wait in the line is no part of the host's bound. */
static void on_begun(void *user, uint64_t job)
{
    struct run *r = user;
    struct attempt *a = r->attempts[(uint32_t)job];
    if (a == NULL || a->job != job)
        return;
    a->step_ms = clock_ms();
    record_started(r->record, a->target);
}

static enum rc open_backend(struct run *r, struct err *e)
{
    const struct buf *input = r->plan->input;
    if (r->openssh != NULL)
        return RC_OK;
    return openssh_new(&r->openssh, &r->loop, r->options->openssh_max, &attempt_pool_ops, on_begun,
                       r, input != NULL ? input->data : NULL, input != NULL ? input->len : 0, e);
}

static bool came_for_ca(const struct attempt *a)
{
    return a->openssh && a->run->plan->targets[a->target].openssh == NULL;
}

/* NULL: ssh_config's own word. Where we would refuse a key that nobody knows, ssh must too: it
 * takes one of another type under accept-new, and is no judge of a host that a CA answers for. */
static const char *checking_of(const struct attempt *a, const struct target *t)
{
    static const char *const names[] = {
        [HOST_KEYS_STRICT] = "yes", [HOST_KEYS_ACCEPT_NEW] = "accept-new", [HOST_KEYS_OFF] = "no"};
    const struct run *r = a->run;
    enum host_keys_policy policy = t->trust.own_policy ? t->trust.policy : r->options->host_keys;
    char types[256];
    trust_types(r->trust, &t->trust, t->key_name, t->alias ? 22 : t->port, types, sizeof types);
    if (came_for_ca(a) || (policy == HOST_KEYS_ACCEPT_NEW && types[0] != '\0'))
        return names[HOST_KEYS_STRICT];
    return t->trust.own_policy ? NULL : names[policy];
}

static void fill_target(const struct attempt *a, const struct target *t, struct openssh_target *out)
{
    static const char *const nowhere[] = {"/dev/null"};
    const struct run *r = a->run;
    const struct options *o = r->options;
    *out = (struct openssh_target){
        .program = target_config_openssh(r->plan->config),
        .config = target_config_file(r->plan->config),
        .host = t->dial.host,
        .user = t->dial.user,
        .port = t->dial.port,
        .key = t->dial.key,
        .alias = t->dial.alias,
        .checking = checking_of(a, t),
        .direct = o->jump != NULL && t->way == 0,
        .words = o->ssh_words.items,
        .word_count = (unsigned)o->ssh_words.count,
    };
    if (o->known_hosts_given) {
        out->known_hosts = o->known_hosts.items;
        out->known_host_count = (unsigned)o->known_hosts.count;
    }
    if (o->host_keys == HOST_KEYS_OFF && !t->trust.own_policy &&
        !came_for_ca(a)) { /* nothing is compared or kept */
        out->known_hosts = nowhere;
        out->known_host_count = 1;
    }
}

static enum rc start_ssh(struct run *r, struct attempt *a, uint64_t budget_ms, struct buf *line,
                         struct err *e)
{
    const struct target *t = &r->plan->targets[a->target];
    struct openssh_target target;
    struct openssh_bounds bounds = {.connect_ms = budget_ms,
                                    .run_ms = r->options->timeout_ms,
                                    .silence_ms = r->options->silence_timeout_ms,
                                    .use_stdin = r->plan->input != NULL};
    enum rc rc = wrap_line(r->plan->command, t->host->name, a->target, r->count, line, e);
    if (rc != RC_OK)
        return rc;
    fill_target(a, t, &target);
    target.command = buf_cstr(line);
    if (target.command == NULL)
        return err_nomem(e);
    if (strlen(target.command) != line->len)
        return err_set(e, RC_CONFIG, "the command holds a NUL, which ssh cannot be given");
    rc = open_backend(r, e);
    if (rc != RC_OK)
        return rc;
    log_debug("%s: by OpenSSH's ssh (%s)", t->host->name,
              t->openssh != NULL ? t->openssh : "only a host CA is on record");
    return openssh_start(r->openssh, a->job, &target, &bounds, e);
}

enum rc fallback_start(struct run *r, struct attempt *a, uint64_t budget_ms, struct err *e)
{
    struct buf line;
    a->openssh = true;
    a->job = (uint64_t)++r->serial << 32 | a->target;
    a->step_ms = clock_ms();
    buf_init(&line, 2 * WRAP_MAX);
    enum rc rc = start_ssh(r, a, budget_ms, &line, e);
    buf_fini(&line);
    return rc;
}

void fallback_or_pool_cancel(struct run *r, const struct attempt *a, enum problem why)
{
    if (a->openssh)
        openssh_cancel(r->openssh, a->job, why, false);
    else
        pool_cancel(r->pool, a->job, why, false);
}

bool fallback_serves(const struct run *r, const struct attempt *a, const struct session_result *res)
{
    return res->outcome.problem == PROBLEM_HOST_KEY_CA && !a->openssh && !a->cancelled &&
           r->plan->scan == NULL && r->plan->agent == NULL && r->plan->config != NULL &&
           r->plan->targets[a->target].way == 0 && target_config_has_openssh(r->plan->config);
}

/* ssh found no certificate of that CA either: what is on record is still all there is to say. */
void fallback_settle(const struct attempt *a, struct outcome *o)
{
    if (!came_for_ca(a) || o->problem != PROBLEM_HOST_KEY_UNKNOWN)
        return;
    o->problem = PROBLEM_HOST_KEY_CA;
    snprintf(o->detail, sizeof o->detail,
             "only a @cert-authority line is on record, and the host shows no certificate that it "
             "vouches for");
}
