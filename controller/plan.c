/* See plan.h. */
#include "controller/plan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <sodium.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/agent/agent.h"
#include "controller/cmd.h"
#include "controller/run/guard.h"
#include "controller/vault/key_source.h"

enum { AGENT_LIST_MS = 5000 };

void plan_init(struct plan *p, struct options *o)
{
    memset(p, 0, sizeof *p);
    p->options = o;
    arena_init(&p->arena);
    keys_init(&p->keys);
}

void plan_fini(struct plan *p)
{
    keys_fini(&p->keys);
    jumps_fini(&p->jumps);
    unseal_free(p->unseal);
    masks_free(p->masks);
    secrets_free(p->secrets);
    mem_free(p->targets);
    target_config_free(p->config);
    selection_fini(&p->selection);
    inventory_free(p->inventory);
    arena_fini(&p->arena);
}

/* Once: it is the file that is to be mended, not each host. */
static void warn_clear(const struct plan *p)
{
    char place[512];
    for (size_t i = 0; i < p->selection.count; i++) {
        const struct target *t = &p->targets[i];
        if (t->clear == NULL)
            continue;
        value_place_text(place, sizeof place, t->clear);
        log_warn("%s%s a password stands there in clear text; muster vault encrypt --name NAME "
                 "seals it",
                 place[0] != '\0' ? place : "the inventory", ":");
        return;
    }
}

static bool is_yes(const struct value *v)
{
    static const char *const words[] = {"true", "yes", "on", "1"}; /* of an INI file */
    for (size_t i = 0; v != NULL && v->type == VALUE_STRING && i < sizeof words / sizeof *words;
         i++)
        if (strcasecmp(v->u.string.data, words[i]) == 0)
            return true;
    return v != NULL && v->type == VALUE_BOOL && v->u.boolean;
}

/* Ansible would become root there; we do when the command line says so. */
static void warn_of_become(const struct plan *p)
{
    const struct options *o = p->options;
    for (size_t i = 0; o->verb == VERB_RUN && o->become == NULL && i < p->selection.count; i++) {
        const struct inv_host *h = p->selection.hosts[i];
        if (!is_yes(inventory_host_var(p->inventory, h, "ansible_become")))
            continue;
        log_warn("%s has ansible_become, which muster does not act on: --become is for that",
                 h->name);
        return;
    }
}

/* Sealed values of the inventory open from here on, when a host needs one. */
static enum rc open_secrets(struct plan *p, struct err *e)
{
    const struct options *o = p->options;
    struct key_source from = {
        .file = o->vault_key.file,
        .command = o->vault_key.command,
        .fd = o->vault_key.fd == UINT32_MAX ? -1 : (int)o->vault_key.fd,
        .what = "vault key",
    };
    key_source_defaults(&from, p->usual_key, sizeof p->usual_key);
    enum rc rc = secrets_new(&p->secrets, e);
    if (rc == RC_OK)
        rc = unseal_new(&p->unseal, &from, p->secrets, e);
    if (rc == RC_OK) {
        struct inventory_opener opener = unseal_opener(p->unseal);
        inventory_set_opener(p->inventory, &opener);
    }
    return rc;
}

/* Asked once, before anything is started, and sent to every host that wants one. */
static enum rc ask_for(struct plan *p, const char *what, const char *option, uint32_t *id,
                       struct err *e)
{
    struct secret *text = NULL;
    enum rc rc = key_source_ask(what, false, &text, e);
    if (rc == RC_OK)
        rc = secrets_add(p->secrets, text->data, text->len, id, e);
    secret_free(text);
    if (rc == RC_NOTFOUND)
        return err_set(e, RC_CONFIG, "%s: no terminal to ask on", option);
    return rc == RC_OK ? rc : err_wrap(e, "%s", option);
}

static enum rc ask_password(struct plan *p, struct err *e)
{
    const struct options *o = p->options;
    enum rc rc = RC_OK;
    if (o->dry_run)
        return rc;
    if (o->ask_pass)
        rc = ask_for(p, "SSH password", "--ask-pass", &p->password, e);
    if (rc == RC_OK && o->ask_become_pass)
        rc = ask_for(p, "sudo password", "--ask-become-pass", &p->become_password, e);
    return rc;
}

/* The agent's keys. One that was named has to answer; one that the environment names may be gone.
 */
static enum rc list_agent(const struct options *o, struct keys *keys, struct err *e)
{
    const char *path = run_agent_path(o);
    struct agent_identities ids;
    struct err mine = {0};
    if (path == NULL)
        return RC_OK;
    enum rc rc = agent_list(path, AGENT_LIST_MS, &ids, &mine);
    if (rc == RC_OK) {
        log_info("agent %s: %zu keys", path, ids.count);
        keys_use_agent(keys, &ids);
        return RC_OK;
    }
    if (o->agent != NULL || rc == RC_NOMEM)
        return *e = mine, rc;
    if (rc == RC_NOTFOUND)
        log_info("no agent: %s", mine.msg);
    else
        log_warn("no agent: %s", mine.msg);
    return RC_OK;
}

/* Of the host that has the most keys to try. */
static void warn_of_keys(const struct plan *p)
{
    const struct target *most = &p->targets[0];
    unsigned ids[SESSION_MAX_KEYS];
    for (size_t i = 1; i < p->selection.count; i++)
        if (p->targets[i].key_count > most->key_count)
            most = &p->targets[i];
    for (unsigned i = 0; i < most->key_count; i++)
        ids[i] = most->keys[i];
    keys_warn(&p->keys, most->host->name, ids, most->key_count);
}

static enum rc make_targets(struct plan *p, struct err *e)
{
    struct options *o = p->options;
    struct target_defaults d;
    enum rc rc = list_agent(o, &p->keys, e);
    if (rc != RC_OK)
        return rc;
    rc = target_defaults_init(&d, o, &p->keys, &p->arena, e);
    if (rc != RC_OK)
        return rc;
    d.host_key_alias = o->host_key_alias;
    d.secrets = p->secrets;
    d.password = p->password;
    d.becomes = p->options->become != NULL;
    d.become_password = p->become_password;
    rc = target_config_new(&p->config, o, e);
    if (rc != RC_OK)
        return rc;
    d.config = p->config;
    p->targets = mem_calloc(p->selection.count, sizeof *p->targets);
    if (p->targets == NULL)
        return err_nomem(e);
    rc = jumps_init(&p->jumps, o, &d, p->inventory, &p->keys, &p->arena, e);
    for (size_t i = 0; rc == RC_OK && i < p->selection.count; i++) {
        rc = target_init(&p->targets[i], &d, p->inventory, p->selection.hosts[i], &p->keys,
                         &p->arena, e);
        if (rc == RC_OK)
            rc = jumps_find(&p->jumps, &p->targets[i], e);
    }
    /* A host's own bound may be longer than the default. */
    if (target_config_longest_ms(p->config) > o->connect_timeout_ms)
        o->connect_timeout_ms = target_config_longest_ms(p->config);
    if (rc == RC_OK)
        warn_clear(p);
    if (rc == RC_OK)
        warn_of_become(p);
    inventory_set_opener(p->inventory, NULL);
    unseal_free(p->unseal); /* and the vault's key with it */
    p->unseal = NULL;
    return rc == RC_OK ? masks_new(&p->masks, p->secrets, e) : rc;
}

enum rc plan_select(struct plan *p, const char *what, struct err *e)
{
    const struct options *o = p->options;
    enum rc rc = select_inventory(o, &p->inventory, e);
    if (rc == RC_OK && o->where != NULL) /* which does not look into them */
        inventory_warn_sealed(p->inventory);
    if (rc == RC_OK)
        rc = select_targets(o, p->inventory, &p->selection, e);
    if (rc == RC_OK && p->selection.count == 0)
        rc = o->where != NULL
                 ? err_set(e, RC_NOTFOUND,
                           "--where keeps no host; muster hosts --vars HOST shows what variables "
                           "there are")
                 : err_set(e, RC_NOTFOUND, "no host is left to %s", what);
    return rc;
}

int plan_print_hosts(const struct plan *p)
{
    char name[1024];
    for (size_t i = 0; i < p->selection.count; i++) {
        const char *s = p->selection.hosts[i]->name;
        cmd_line(str_escape_to(name, sizeof name, s, strlen(s), 0));
    }
    return cmd_printed();
}

/* One line for a person: name, and how it would be reached or why not. */
static void print_target(const struct target *t, const struct jumps *jumps, struct masks *masks)
{
    const char *way = jumps->ways[t->way].text;
    char text[2048], line[8192];
    if (t->bad != NULL)
        snprintf(text, sizeof text, "%s  cannot be used: %s", t->host->name, t->bad);
    else if (t->openssh != NULL)
        snprintf(text, sizeof text, "%s  %s@%s port %u, by OpenSSH's ssh (%s)", t->host->name,
                 t->user, t->address, t->port, t->openssh);
    else
        snprintf(text, sizeof text, "%s  %s@%s port %u, %u key%s%s%s", t->host->name, t->user,
                 t->address, t->port, t->key_count, t->key_count == 1 ? "" : "s",
                 t->way != 0 ? ", through " : "", way);
    masks_text(masks, text, sizeof text);
    cmd_line(str_escape_to(line, sizeof line, text, strlen(text), 0));
}

enum rc plan_targets(struct plan *p, struct err *e)
{
    enum rc rc = guard_check(p->options, p->inventory, &p->selection, e);
    if (rc == RC_OK)
        rc = open_secrets(p, e);
    if (rc == RC_OK)
        rc = ask_password(p, e);
    return rc == RC_OK ? make_targets(p, e) : rc;
}

void plan_print_targets(const struct plan *p)
{
    for (size_t i = 0; i < p->selection.count; i++)
        print_target(&p->targets[i], &p->jumps, p->masks);
}

enum rc plan_unlock(struct plan *p, struct err *e)
{
    enum rc rc = keys_unlock(&p->keys, e);
    if (rc == RC_OK)
        warn_of_keys(p);
    return rc;
}

void plan_fill(struct plan *p, struct run_plan *out)
{
    *out = (struct run_plan){.options = p->options,
                             .inventory = p->inventory,
                             .selection = &p->selection,
                             .targets = p->targets,
                             .config = p->config,
                             .jumps = &p->jumps,
                             .keys = &p->keys,
                             .secrets = p->secrets,
                             .masks = p->masks};
}

enum rc plan_begin(struct options *o, struct pool **pool, struct err *e)
{
    log_set_level(o->output.verbose > 1    ? LOG_LEVEL_DEBUG
                  : o->output.verbose == 1 ? LOG_LEVEL_INFO
                                           : LOG_LEVEL_WARN);
    if (o->workers == 0)
        o->workers = cmd_worker_count();
    /* First of all: a worker holds no inventory, no files, no threads of ours. */
    enum rc rc = o->list_only || o->dry_run ? RC_OK : pool_fork(pool, o->workers, e);
    secrets_close_up(); /* private keys come next */
    if (rc == RC_OK && sodium_init() < 0)
        rc = err_set(e, RC_CRYPTO, "libsodium cannot be set up");
    return rc;
}

unsigned cmd_worker_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    /* Two at least: who kills a worker shall not have ended the run with it. */
    return cores < 2 ? 2 : cores > 64 ? 64 : (unsigned)cores;
}

void plan_agent(const struct plan *p, struct run_agent *out)
{
    static const enum remote_mode modes[] = {[AGENT_CACHED] = REMOTE_CACHED,
                                             [AGENT_TEMPORARY] = REMOTE_TEMPORARY,
                                             [AGENT_NEVER] = REMOTE_NEVER,
                                             [AGENT_INSTALLED] = REMOTE_INSTALLED};
    const struct options *o = p->options;
    *out = (struct run_agent){.mode = modes[o->agent_mode],
                              .become = o->become,
                              .fallback = o->agent_mode != AGENT_INSTALLED && o->become == NULL,
                              .dirs = o->agent_dirs.items,
                              .dir_count = o->agent_dirs.count};
}
