/* muster run: one command on many hosts. From options to a plan; the run itself is controller/run.
 */
#include "controller/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/agent/agent.h"
#include "controller/run/guard.h"
#include "controller/run/jump.h"
#include "controller/run/run.h"
#include "controller/run/target.h"
#include "controller/run/target_config.h"
#include "controller/run/wrap.h"
#include "controller/secrets/mask.h"
#include "controller/secrets/unseal.h"
#include "controller/vault/key_source.h"

enum { AGENT_LIST_MS = 5000 };
enum { INPUT_MAX = 64 << 20, SCRIPT_FILE_MAX = 16 << 20, READ_STEP = 64 << 10 };

struct plan_parts { /* everything a plan points to */
    struct run_plan plan;
    struct inventory *inventory;
    struct selection selection;
    struct arena arena;
    struct keys keys;
    struct secrets *secrets;
    uint32_t password; /* --ask-pass, in secrets */
    struct unseal *unseal;
    struct masks *masks;
    char usual_key[4096];
    struct target *targets;
    struct target_config *config;
    struct jumps jumps;
    struct wrap_command command;
    struct buf text;  /* the command for people */
    struct buf input; /* standard input of every command */
    bool has_input;
};

/* Buffers are born READ_STEP larger than their limit, so that one byte too many can be seen. */
static enum rc read_fd(int fd, const char *name, struct buf *out, struct err *e)
{
    for (;;) {
        if (buf_reserve(out, READ_STEP) == RC_NOMEM)
            return err_nomem(e);
        ssize_t n = read(fd, out->data + out->len, READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "%s", name);
        if (n == 0)
            return RC_OK;
        out->len += (size_t)n;
        char most[NUM_TEXT];
        if (out->len > out->max - READ_STEP)
            return err_set(e, RC_LIMIT, "%s is larger than %s", name,
                           num_size_text(most, out->max - READ_STEP));
    }
}

static enum rc read_file(const char *path, struct buf *out, struct err *e)
{
    if (strcmp(path, "-") == 0)
        return read_fd(STDIN_FILENO, "standard input", out, e);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "%s", path);
    enum rc rc = read_fd(fd, path, out, e);
    close(fd);
    return rc;
}

/* Scripts written on Windows: a byte order mark and CRLF make every shell fail in ways that nobody
 * understands. Mended here, and said. */
static void mend_script(const char *path, struct buf *b)
{
    bool bom = b->len >= 3 && memcmp(b->data, "\xef\xbb\xbf", 3) == 0;
    if (bom)
        buf_consume(b, 3);
    size_t out = 0;
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] != '\r' || i + 1 == b->len || b->data[i + 1] != '\n')
            b->data[out++] = b->data[i];
    if (bom || out != b->len)
        log_warn("%s: sent without its %s (the file itself is unchanged)", path,
                 bom && out != b->len ? "byte order mark and CR line ends"
                 : bom                ? "byte order mark"
                                      : "CR line ends");
    b->len = out;
}

static enum rc script_command(const struct options *o, struct plan_parts *p, struct buf *source,
                              struct err *e)
{
    if (o->stdin_path != NULL)
        return err_set(e, RC_USAGE,
                       "--script and --stdin cannot be used together: the script itself "
                       "travels on standard input");
    if (o->raw)
        return err_set(e, RC_USAGE, "--script needs a shell on the host: leave --raw out");
    p->input.max = SCRIPT_FILE_MAX + READ_STEP;
    p->has_input = true;
    enum rc rc = read_file(o->script, &p->input, e);
    if (rc != RC_OK)
        return rc;
    mend_script(o->script, &p->input);
    rc = wrap_script((const char *)p->input.data, p->input.len, o->words.items, o->words.count,
                     source, e);
    if (rc == RC_OK)
        rc = buf_printf(&p->text, "--script %s", o->script);
    for (size_t i = 0; rc == RC_OK && i < o->words.count; i++)
        rc = buf_printf(&p->text, " %s", o->words.items[i]);
    return rc;
}

static enum rc plain_command(const struct options *o, struct plan_parts *p, struct buf *source,
                             struct err *e)
{
    char hint[256];
    enum rc rc = wrap_words(o->words.items, o->words.count, source, e);
    if (rc == RC_OK)
        rc = buf_append(&p->text, source->data, source->len);
    if (rc == RC_OK && *options_quote_hint(o, hint, sizeof hint) != '\0')
        log_warn("%s", hint);
    if (rc != RC_OK || o->stdin_path == NULL)
        return rc;
    p->has_input = true;
    return read_file(o->stdin_path, &p->input, e);
}

static enum rc make_command(const struct options *o, struct plan_parts *p, struct err *e)
{
    struct buf source;
    buf_init(&source, WRAP_MAX);
    enum rc rc =
        o->script != NULL ? script_command(o, p, &source, e) : plain_command(o, p, &source, e);
    const char *text = rc == RC_OK ? buf_cstr(&source) : NULL;
    if (rc == RC_OK && text == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK)
        rc = wrap_init(&p->command, text, o->env.items, o->env.count, o->cwd, o->raw, e);
    buf_fini(&source);
    return rc;
}

/* Once: it is the file that is to be mended, not each host. */
static void warn_clear(const struct plan_parts *p)
{
    char place[512];
    for (size_t i = 0; i < p->selection.count; i++) {
        const struct target *t = &p->targets[i];
        if (t->password == 0 || t->clear == NULL)
            continue;
        value_place_text(place, sizeof place, t->clear);
        log_warn("%s%s a password stands there in clear text; muster vault encrypt --name NAME "
                 "seals it",
                 place[0] != '\0' ? place : "the inventory", ":");
        return;
    }
}

/* Sealed values of the inventory open from here on, when a host needs one. */
static enum rc open_secrets(const struct options *o, struct plan_parts *p, struct err *e)
{
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
static enum rc ask_password(const struct options *o, struct plan_parts *p, struct err *e)
{
    struct secret *text = NULL;
    if (!o->ask_pass || o->dry_run)
        return RC_OK;
    enum rc rc = key_source_ask("SSH password", false, &text, e);
    if (rc == RC_OK)
        rc = secrets_add(p->secrets, text->data, text->len, &p->password, e);
    secret_free(text);
    if (rc == RC_NOTFOUND)
        return err_set(e, RC_CONFIG, "--ask-pass: no terminal to ask on");
    return rc == RC_OK ? rc : err_wrap(e, "--ask-pass");
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
static void warn_of_keys(const struct plan_parts *p)
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

static enum rc make_targets(struct options *o, struct plan_parts *p, struct err *e)
{
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
    inventory_set_opener(p->inventory, NULL);
    unseal_free(p->unseal); /* and the vault's key with it */
    p->unseal = NULL;
    return rc == RC_OK ? masks_new(&p->masks, p->secrets, e) : rc;
}

static enum rc select_hosts(const struct options *o, struct plan_parts *p, struct err *e)
{
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
                 : err_set(e, RC_NOTFOUND, "no host is left to run on");
    return rc;
}

static int print_hosts(const struct plan_parts *p)
{
    char name[1024];
    for (size_t i = 0; i < p->selection.count; i++) {
        const char *s = p->selection.hosts[i]->name;
        puts(str_escape_to(name, sizeof name, s, strlen(s), 0));
    }
    return fflush(stdout) == 0 ? 0 : 1;
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
    puts(str_escape_to(line, sizeof line, text, strlen(text), 0));
}

static int print_plan(const struct plan_parts *p)
{
    struct buf line, shown;
    struct err e = {0};
    uint32_t total = (uint32_t)p->selection.count;
    char count[NUM_TEXT];
    buf_init(&line, 2 * WRAP_MAX);
    buf_init(&shown, 8 * WRAP_MAX);
    for (uint32_t i = 0; i < total; i++)
        print_target(&p->targets[i], &p->jumps, p->masks);
    enum rc rc = wrap_line(&p->command, p->selection.hosts[0]->name, 0, total, &line, &e);
    if (rc == RC_OK)
        rc = str_escape(&shown, line.data, line.len, STR_KEEP_NEWLINE | STR_KEEP_TAB);
    if (rc == RC_OK)
        printf("\n%s host%s. The first would be sent:\n  %.*s\nNothing was sent.\n",
               num_count_text(count, total), total == 1 ? "" : "s", (int)shown.len,
               (const char *)shown.data);
    buf_fini(&line);
    buf_fini(&shown);
    return rc == RC_OK && fflush(stdout) == 0 ? 0 : 1;
}

static void parts_init(struct plan_parts *p)
{
    memset(p, 0, sizeof *p);
    arena_init(&p->arena);
    keys_init(&p->keys);
    buf_init(&p->text, WRAP_MAX);
    buf_init(&p->input, INPUT_MAX + READ_STEP);
}

static void parts_fini(struct plan_parts *p)
{
    wrap_fini(&p->command);
    keys_fini(&p->keys);
    jumps_fini(&p->jumps);
    unseal_free(p->unseal);
    masks_free(p->masks);
    secrets_free(p->secrets);
    mem_free(p->targets);
    target_config_free(p->config);
    selection_fini(&p->selection);
    inventory_free(p->inventory);
    buf_fini(&p->text);
    buf_wipe(&p->input); /* may be anything, a password for the command too */
    arena_fini(&p->arena);
}

/* Everything up to the first connection. *ended: an answer was given already (--list, --dry-run).
 */
static enum rc prepare(struct options *o, struct plan_parts *p, bool *ended, int *code,
                       struct err *e)
{
    enum rc rc = select_hosts(o, p, e);
    *ended = rc == RC_OK && o->list_only;
    if (*ended)
        *code = print_hosts(p);
    if (rc != RC_OK || *ended)
        return rc;
    rc = make_command(o, p, e);
    if (rc == RC_OK)
        rc = guard_check(o, p->inventory, &p->selection, e);
    if (rc == RC_OK)
        rc = open_secrets(o, p, e);
    if (rc == RC_OK)
        rc = ask_password(o, p, e);
    if (rc == RC_OK)
        rc = make_targets(o, p, e);
    *ended = rc == RC_OK && o->dry_run;
    if (*ended)
        *code = print_plan(p);
    if (rc != RC_OK || *ended)
        return rc;
    rc = keys_unlock(&p->keys, e);
    if (rc == RC_OK)
        warn_of_keys(p);
    return rc;
}

unsigned cmd_worker_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    /* Two at least: who kills a worker shall not have ended the run with it. */
    return cores < 2 ? 2 : cores > 64 ? 64 : (unsigned)cores;
}

int cmd_run(struct options *o)
{
    struct plan_parts p;
    struct err e = {0};
    struct pool *pool = NULL;
    bool ended = false;
    int code = 1;
    log_set_level(o->output.verbose > 1    ? LOG_LEVEL_DEBUG
                  : o->output.verbose == 1 ? LOG_LEVEL_INFO
                                           : LOG_LEVEL_WARN);
    parts_init(&p);
    if (o->workers == 0)
        o->workers = cmd_worker_count();
    /* First of all: a worker holds no inventory, no files, no threads of ours. */
    enum rc rc = o->list_only || o->dry_run ? RC_OK : pool_fork(&pool, o->workers, &e);
    secrets_close_up(); /* private keys come next */
    if (rc == RC_OK && sodium_init() < 0)
        rc = err_set(&e, RC_CRYPTO, "libsodium cannot be set up");
    if (rc == RC_OK)
        rc = prepare(o, &p, &ended, &code, &e);
    if (rc == RC_OK && !ended) {
        p.plan = (struct run_plan){.options = o,
                                   .inventory = p.inventory,
                                   .selection = &p.selection,
                                   .targets = p.targets,
                                   .config = p.config,
                                   .jumps = &p.jumps,
                                   .keys = &p.keys,
                                   .secrets = p.secrets,
                                   .masks = p.masks,
                                   .command = &p.command,
                                   .command_text = buf_cstr(&p.text),
                                   .input = p.has_input ? &p.input : NULL,
                                   .pool = pool};
        rc = p.plan.command_text != NULL ? run_execute(&p.plan, &code, &e) : err_nomem(&e);
        pool = NULL;
    }
    pool_free(pool);
    parts_fini(&p);
    return rc == RC_OK ? code : cmd_fail(&e);
}
