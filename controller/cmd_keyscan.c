/* muster keyscan: collects the host keys of many hosts, compares them with what is known, and
 * records them. From options to a scan; what is made of the keys is controller/keyscan. */
#include "controller/cmd.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/keyscan/keyscan.h"
#include "controller/run/run.h"
#include "controller/run/target_config.h"

struct work {
    struct options *o;
    struct inventory *inventory;
    struct selection selection;
    struct arena arena;
    struct keys keys; /* for bastions: a scan logs in to nobody else */
    struct jumps jumps;
    struct target *targets;
    struct target_config *config;
    struct trust *trust; /* the keys on record, and where new ones go */
    struct expect *expect;
    struct authorities *authorities;
    struct found found;
    struct err failed; /* of the report, told after the run */
};

static enum rc make_targets(struct work *w, struct err *e)
{
    struct target_defaults d;
    enum rc rc = target_defaults_init(&d, w->o, &w->keys, &w->arena, e);
    if (rc != RC_OK)
        return rc;
    d.host_key_alias = w->o->host_key_alias;
    rc = target_config_new(&w->config, w->o, e);
    if (rc != RC_OK)
        return rc;
    d.config = w->config;
    rc = jumps_init(&w->jumps, w->o, &d, w->inventory, &w->keys, &w->arena, e);
    if (rc != RC_OK)
        return rc;
    d.keys_given = true;
    d.key_count = 0;
    w->targets = mem_calloc(w->selection.count, sizeof *w->targets);
    if (w->targets == NULL)
        return err_nomem(e);
    for (size_t i = 0; rc == RC_OK && i < w->selection.count; i++) {
        rc = target_init(&w->targets[i], &d, w->inventory, w->selection.hosts[i], &w->keys,
                         &w->arena, e);
        if (rc == RC_OK)
            rc = jumps_find(&w->jumps, &w->targets[i], e);
    }
    if (w->jumps.hop_count == 0 || w->o->keyscan.forget) {
        keys_fini(&w->keys);
        keys_init(&w->keys);
    } else if (rc == RC_OK) {
        rc = keys_unlock(&w->keys, e);
    }
    /* A host's own bound may be longer than the default. */
    if (target_config_longest_ms(w->config) > w->o->connect_timeout_ms)
        w->o->connect_timeout_ms = target_config_longest_ms(w->config);
    return rc;
}

static enum rc select_hosts(struct work *w, struct err *e)
{
    enum rc rc = select_inventory(w->o, &w->inventory, e);
    if (rc == RC_OK)
        inventory_warn_sealed(w->inventory); /* nothing is opened to look at keys */
    if (rc == RC_OK)
        rc = select_targets(w->o, w->inventory, &w->selection, e);
    if (rc == RC_OK && w->selection.count == 0)
        rc = err_set(e, RC_NOTFOUND, "no host is left to look at");
    return rc;
}

static enum rc open_index(struct work *w, struct err *e)
{
    enum rc rc = trust_new(&w->trust, w->o, NULL, NULL, NULL, e);
    if (rc == RC_OK)
        rc = target_config_trust(w->config, w->trust, e);
    if (rc == RC_OK && w->o->keyscan.verify.count > 0)
        rc = expect_new(&w->expect, &w->o->keyscan.verify, e);
    struct sockaddr_in server;
    const char *name = w->o->keyscan.sshfp_server;
    if (rc == RC_OK && name != NULL && !sshfp_server(name, &server))
        rc = err_set(e, RC_USAGE, "--sshfp-server: '%.60s' is no IPv4 address or ADDRESS:PORT",
                     name);
    if (rc == RC_OK)
        rc = authorities_new(&w->authorities, &w->o->keyscan.ca, e);
    return rc;
}

static int print_hosts(const struct work *w)
{
    char name[1024];
    for (size_t i = 0; i < w->selection.count; i++) {
        const char *s = w->selection.hosts[i]->name;
        cmd_line(str_escape_to(name, sizeof name, s, strlen(s), 0));
    }
    return cmd_printed();
}

/* What was found is judged and shown before the summary of what could not be reached. */
static void report(void *user)
{
    struct work *w = user;
    struct err *e = &w->failed;
    enum rc rc = w->found.nomem ? err_nomem(e) : judge_found(&w->found, w->trust, e);
    if (rc == RC_OK && w->expect != NULL)
        rc = expect_judge(w->expect, &w->found, e);
    if (rc == RC_OK)
        rc = authorities_judge(w->authorities, w->trust, &w->found, w->o->connect_timeout_ms,
                               clock_wall_us() / 1000000, e);
    if (rc == RC_OK && w->o->keyscan.sshfp)
        rc = sshfp_judge(&w->found, w->o->keyscan.sshfp_server, e);
    if (rc == RC_OK && w->o->output.mode != OUTPUT_NONE)
        report_found(&w->found, w->o, e);
}

static void seen(void *user, uint32_t target, const char *key_type, const void *blob, size_t len)
{
    found_seen(&((struct work *)user)->found, target, key_type, blob, len);
}

static void ended(void *user, uint32_t target, const struct outcome *o, const char *address)
{
    found_ended(&((struct work *)user)->found, target, o, address);
}

static enum rc scan(struct work *w, struct pool *pool, int *code, struct err *e)
{
    static const char *const all[] = {
        "ssh-ed25519", "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521", "ssh-rsa"};
    const char *types[3];
    uint32_t wanted = w->o->keyscan.types;
    struct run_scan s = {.types = types, .user = w, .seen = seen, .ended = ended, .report = report};
    for (unsigned i = 0; i < 3; i++)
        if (wanted == 0 || (wanted & 1u << i))
            types[s.type_count++] = all[i];
    struct run_plan plan = {.options = w->o,
                            .inventory = w->inventory,
                            .selection = &w->selection,
                            .targets = w->targets,
                            .config = w->config,
                            .jumps = &w->jumps,
                            .keys = &w->keys,
                            .scan = &s,
                            .pool = pool};
    return run_execute(&plan, code, e);
}

/* What of the keys found speaks against a host, as a bit of the exit code. */
static int verdict(const struct found *f, uint32_t changed_left)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (found_is_refused(&f->hosts[i]) || found_is_uncertified(&f->hosts[i]))
            return 2;
    return changed_left > 0 ? 2 : 0;
}

static enum rc scan_and_store(struct work *w, struct pool *pool, int *code, struct err *e)
{
    uint32_t left = 0;
    enum rc rc = found_init(&w->found, w->targets, (uint32_t)w->selection.count, e);
    if (rc != RC_OK) {
        pool_free(pool);
        return rc;
    }
    rc = scan(w, pool, code, e);
    if (rc != RC_OK)
        return rc;
    if (w->failed.rc != RC_OK) {
        *e = w->failed;
        return e->rc;
    }
    if (*code == 130)
        return RC_OK;
    rc = store_found(&w->found, w->o, w->trust, &left, e);
    *code |= verdict(&w->found, left);
    return rc;
}

static enum rc work(struct work *w, struct pool *pool, int *code, struct err *e)
{
    const struct options *o = w->o;
    enum rc rc = select_hosts(w, e);
    bool ended_here = o->list_only || o->keyscan.forget;
    if (rc == RC_OK && !o->list_only)
        rc = make_targets(w, e);
    if (rc == RC_OK && !o->list_only)
        rc = open_index(w, e);
    *code = 0;
    if (rc == RC_OK && o->list_only)
        *code = print_hosts(w);
    else if (rc == RC_OK && o->keyscan.forget)
        rc = store_forget(w->targets, (uint32_t)w->selection.count, o, w->trust, e);
    if (rc == RC_OK && !ended_here)
        return scan_and_store(w, pool, code, e);
    if (pool != NULL)
        pool_free(pool);
    return rc;
}

int cmd_keyscan(struct options *o)
{
    struct work w = {.o = o};
    struct err e = {0};
    struct pool *pool = NULL;
    int code = 1;
    log_set_level(o->output.verbose > 1    ? LOG_LEVEL_DEBUG
                  : o->output.verbose == 1 ? LOG_LEVEL_INFO
                                           : LOG_LEVEL_WARN);
    arena_init(&w.arena);
    keys_init(&w.keys);
    if (o->workers == 0)
        o->workers = cmd_worker_count();
    /* First of all: a worker holds no inventory, no files, no threads of ours. */
    bool network = !o->list_only && !o->keyscan.forget;
    enum rc rc = network ? pool_fork(&pool, o->workers, &e) : RC_OK;
    if (rc == RC_OK && sodium_init() < 0) {
        pool_free(pool);
        rc = err_set(&e, RC_CRYPTO, "libsodium cannot be set up");
    } else if (rc == RC_OK) {
        rc = work(&w, pool, &code, &e);
    }
    found_fini(&w.found);
    expect_free(w.expect);
    authorities_free(w.authorities);
    trust_close(w.trust);
    target_config_free(w.config);
    jumps_fini(&w.jumps);
    mem_free(w.targets);
    selection_fini(&w.selection);
    inventory_free(w.inventory);
    keys_fini(&w.keys);
    arena_fini(&w.arena);
    return rc == RC_OK ? code : cmd_fail(&e);
}
