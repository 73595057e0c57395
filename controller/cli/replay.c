/* What a retry must repeat of a run's command line, as JSON and back; what a record may hold of it;
 * the hint about quoting. See options.h.
 *
 * {"options":[["fanout","100"],…],"env":["NAME",…],"words":["uptime"],"hosts":true}: values as they
 * were written, by long name, with a third element "default" where they came from the environment
 * or the configuration file. "env" lists names whose values were not recorded, "words" is null
 * when the command was not; "hosts": targets came from -w, not from an inventory. Bytes that are
 * not UTF-8 stand as {"base64":"…"}.
 */
#include "controller/cli/options_table.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/select.h"

static const struct option_def *def_of(const struct option_given *g)
{
    must(g->option < option_count);
    return &option_table[g->option];
}

static enum rc put_bytes(struct buf *out, const char *s)
{
    size_t n = strlen(s);
    if (str_utf8_valid(s, n))
        return str_json(out, s, n);
    enum rc rc = buf_puts(out, "{\"base64\":\"");
    if (rc == RC_OK)
        rc = str_base64(out, s, n);
    return rc == RC_OK ? buf_puts(out, "\"}") : rc;
}

/* A retry may be typed in another folder. "-" and lists of hosts ("a,b,") are no paths. */
static enum rc put_path(struct buf *out, const char *value)
{
    char cwd[4096];
    if (value[0] == '/' || str_starts(value, "~/") || strcmp(value, "-") == 0 ||
        strchr(value, ',') != NULL || getcwd(cwd, sizeof cwd) == NULL)
        return put_bytes(out, value);
    struct buf path;
    buf_init(&path, 64 * 1024);
    enum rc rc = buf_printf(&path, "%s/%s", cwd, value);
    const char *text = rc == RC_OK ? buf_cstr(&path) : NULL;
    rc = text != NULL ? put_bytes(out, text) : rc == RC_OK ? RC_NOMEM : rc;
    buf_fini(&path);
    return rc;
}

/* A value of --env that no record may hold: secrets are not for --env, but people do it. */
static bool is_private(const struct options *o, const char *env)
{
    static const char *const hints[] = {"PASS", "PWD", "SECRET", "TOKEN", "KEY", "CRED", "AUTH"};
    char name[256];
    if (o->no_log_command)
        return true;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(env, "="), env);
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strcasestr(name, hints[i]) != NULL)
            return true;
    return false;
}

/* The inventory found in its default place is named, for a retry may be typed in another folder. */
static enum rc put_default_inventory(const struct options *o, struct buf *out, bool *first)
{
    char path[4096];
    if (o->inventories.count > 0 || o->hosts_exprs.count > 0 || o->exact_implicit ||
        !select_default_path(path, sizeof path))
        return RC_OK;
    *first = false;
    enum rc rc = buf_puts(out, "[\"inventory\",");
    if (rc == RC_OK)
        rc = put_path(out, str_starts(path, "./") ? path + 2 : path);
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

static enum rc put_options(const struct options *o, struct buf *out)
{
    bool first = true;
    enum rc rc = buf_puts(out, "{\"options\":[");
    if (rc == RC_OK)
        rc = put_default_inventory(o, out, &first);
    for (size_t i = 0; rc == RC_OK && i < o->given_count; i++) {
        const struct option_def *d = def_of(&o->given[i]);
        if (!(d->flags & OPTION_REPLAY) || (d->set == set_env && is_private(o, o->given[i].value)))
            continue;
        rc = buf_printf(out, "%s[\"%s\",", first ? "" : ",", d->name);
        first = false;
        if (rc == RC_OK)
            rc = option_is_path(d, o->given[i].value) ? put_path(out, o->given[i].value)
                                                      : put_bytes(out, o->given[i].value);
        if (rc == RC_OK)
            rc = buf_puts(out, o->given[i].source <= SOURCE_REPLAY_DEFAULT ? ",\"default\"]" : "]");
    }
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

static enum rc put_env_names(const struct options *o, struct buf *out)
{
    const char *gap = "";
    enum rc rc = buf_puts(out, ",\"env\":[");
    for (size_t i = 0; rc == RC_OK && i < o->env.count; i++) {
        const char *item = o->env.items[i];
        if (!is_private(o, item))
            continue;
        rc = buf_puts(out, gap);
        gap = ",";
        if (rc == RC_OK)
            rc = str_json(out, item, strcspn(item, "="));
    }
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

static enum rc put_words(const struct options *o, struct buf *out)
{
    if (o->no_log_command && o->words.count > 0)
        return buf_puts(out, ",\"words\":null");
    enum rc rc = buf_puts(out, ",\"words\":[");
    for (size_t i = 0; rc == RC_OK && i < o->words.count; i++) {
        rc = buf_puts(out, i > 0 ? "," : "");
        if (rc == RC_OK)
            rc = put_bytes(out, o->words.items[i]);
    }
    return rc == RC_OK ? buf_putc(out, ']') : rc;
}

enum rc options_replay_json(const struct options *o, struct buf *out)
{
    enum rc rc = put_options(o, out);
    if (rc == RC_OK)
        rc = put_env_names(o, out);
    if (rc == RC_OK)
        rc = put_words(o, out);
    bool hosts = o->hosts_exprs.count > 0 || o->exact_implicit;
    return rc == RC_OK ? buf_printf(out, ",\"hosts\":%s}", hosts ? "true" : "false") : rc;
}

/* The text of a value, owned by *o; NULL when it is no text or there is no memory. */
static const char *get_bytes(struct options *o, const json_t *v)
{
    if (json_is_string(v))
        return strlen(json_string_value(v)) == json_string_length(v)
                   ? arena_strdup(&o->arena, json_string_value(v))
                   : NULL;
    const json_t *coded = json_object_get(v, "base64");
    if (!json_is_string(coded))
        return NULL;
    struct buf raw;
    buf_init(&raw, 1024 * 1024);
    const char *s = NULL;
    if (str_unbase64(&raw, json_string_value(coded), json_string_length(coded)) == RC_OK &&
        (raw.len == 0 || memchr(raw.data, '\0', raw.len) == NULL))
        s = arena_strndup(&o->arena, raw.len > 0 ? (const char *)raw.data : "", raw.len);
    buf_fini(&raw);
    return s;
}

static enum rc bad_replay(struct err *e)
{
    return err_set(e, RC_CONFIG, "the record of that run does not say how to repeat it");
}

static bool has_env(const struct options *o, const char *name, size_t n)
{
    for (size_t i = 0; i < o->env.count; i++)
        if (strncmp(o->env.items[i], name, n) == 0 && o->env.items[i][n] == '=')
            return true;
    return false;
}

/* --env adds up by name; of anything else what was typed for the retry stands alone. */
static enum rc restore_option(struct options *o, const json_t *pair, struct err *e)
{
    const char *name = json_string_value(json_array_get(pair, 0));
    if (name == NULL)
        return bad_replay(e);
    const struct option_def *d = option_by_name(name, strlen(name));
    if (d == NULL || !(d->flags & OPTION_REPLAY))
        return err_set(e, RC_CONFIG,
                       "the run used --%.40s, which this version of muster does not know", name);
    bool typed = option_source_of(o, d) == SOURCE_ARGV;
    if (typed && d->set != set_env)
        return RC_OK;
    const char *value = get_bytes(o, json_array_get(pair, 1));
    if (value == NULL)
        return bad_replay(e);
    if (strcmp(d->name, "stdin") == 0 && strcmp(value, "-") == 0)
        return err_set(
            e, RC_CONFIG,
            "the run read standard input, which is not kept: give it again with --stdin");
    if (typed && has_env(o, value, strcspn(value, "=")))
        return RC_OK;
    bool weak = json_array_size(pair) > 2;
    enum option_source source = typed ? SOURCE_ARGV : weak ? SOURCE_REPLAY_DEFAULT : SOURCE_REPLAY;
    enum rc rc = option_apply(o, d, value, source, e);
    if (rc == RC_OK || rc == RC_NOMEM)
        return rc;
    err_wrap(e, "--%s of that run", d->name);
    if (e != NULL)
        e->rc = RC_CONFIG;
    return RC_CONFIG;
}

/* Values of --env that were not recorded must have been typed again. */
static enum rc check_env(const struct options *o, const json_t *names, struct err *e)
{
    size_t i;
    const json_t *name;
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        if (text != NULL && *text != '\0' && !has_env(o, text, strlen(text)))
            return err_set(e, RC_CONFIG,
                           "the value of --env %.60s was not recorded: type it again "
                           "(--env %.60s=...)",
                           text, text);
    }
    return RC_OK;
}

static enum rc restore_words(struct options *o, const json_t *words, struct err *e)
{
    if (o->words.count > 0)
        return RC_OK;
    if (json_is_null(words))
        return err_set(e, RC_CONFIG,
                       "the command of that run was not recorded "
                       "(--no-log-command): type it again after --");
    if (!json_is_array(words))
        return bad_replay(e);
    size_t i;
    const json_t *word;
    json_array_foreach(words, i, word)
    {
        const char *text = get_bytes(o, word);
        if (text == NULL)
            return bad_replay(e);
        enum rc rc = options_add(o, &o->words, text, e);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc options_replay_restore(struct options *o, const char *json, struct err *e)
{
    json_t *doc = json_loads(json, 0, NULL);
    enum rc rc = json_is_object(doc) ? RC_OK : bad_replay(e);
    size_t i;
    const json_t *pair;
    json_array_foreach(json_object_get(doc, "options"), i, pair)
    {
        if (rc == RC_OK)
            rc = restore_option(o, pair, e);
    }
    if (rc == RC_OK)
        rc = check_env(o, json_object_get(doc, "env"), e);
    if (rc == RC_OK)
        rc = restore_words(o, json_object_get(doc, "words"), e);
    if (rc == RC_OK) {
        o->exact_implicit = json_is_true(json_object_get(doc, "hosts"));
        options_settle(o);
        rc = o->verb == VERB_RETRY ? agent_settle(o, e) : RC_OK;
    }
    json_decref(doc);
    return rc;
}

/* "--env=K=secret", "K=secret" after "--env": what follows the "=" of the value goes. */
static enum rc add_masked(struct options *o, struct strings *out, const char *arg, size_t from,
                          struct err *e)
{
    size_t n = from + strcspn(arg + from, "=");
    char *text = arena_alloc(&o->arena, n + 5);
    if (text == NULL)
        return err_nomem(e);
    snprintf(text, n + 5, "%.*s%s", (int)n, arg, arg[n] == '=' ? "=***" : "");
    return options_add(o, out, text, e);
}

/* How much of an argument is the spelling of a masked option with its value in the same word
 * ("--env="), 0 when it is something else; *next: the value is the next argument. */
static size_t masked_prefix(const char *arg, bool *next)
{
    *next = false;
    if (!str_starts(arg, "--"))
        return 0;
    size_t n = strcspn(arg + 2, "=");
    const struct option_def *d = option_by_name(arg + 2, n);
    if (d == NULL || !(d->flags & OPTION_MASKED))
        return 0;
    *next = arg[2 + n] == '\0';
    return *next ? 0 : 2 + n + 1;
}

enum rc options_safe_argv(struct options *o, struct strings *out, struct err *e)
{
    bool mask = false;
    for (int i = 0; i < o->argc; i++) {
        const char *arg = o->argv[i];
        bool next;
        size_t prefix = masked_prefix(arg, &next);
        enum rc rc = RC_OK;
        if (mask || prefix > 0)
            rc = add_masked(o, out, arg, mask ? 0 : prefix, e);
        else
            rc = options_add(o, out, arg, e);
        if (rc != RC_OK)
            return rc;
        if (i == o->dashes_at) {
            if (o->no_log_command)
                return options_add(o, out, "(not logged)", e);
            for (i++; i < o->argc && rc == RC_OK; i++)
                rc = options_add(o, out, o->argv[i], e);
            return rc;
        }
        mask = !mask && next;
    }
    return RC_OK;
}

static bool is_shell(const char *word)
{
    static const char *const shells[] = {"sh", "ash", "bash", "dash", "fish", "ksh", "zsh"};
    const char *slash = strrchr(word, '/');
    const char *name = slash != NULL ? slash + 1 : word;
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
        if (strcmp(name, shells[i]) == 0)
            return true;
    return false;
}

/* What follows the -c (-ec, -lc) of a shell is read by that one, as it should be. */
static bool is_shells_own(const struct strings *words, size_t at)
{
    const char *flag = at > 0 ? words->items[at - 1] : "";
    size_t n = strlen(flag);
    if (n < 2 || flag[0] != '-' || flag[1] == '-' || flag[n - 1] != 'c')
        return false;
    for (size_t i = 0; i + 1 < at; i++)
        if (is_shell(words->items[i]))
            return true;
    return false;
}

char *options_quote_hint(const struct options *o, char *dst, size_t cap)
{
    dst[0] = '\0';
    if (o->words.count < 2 || o->raw || o->script != NULL)
        return dst;
    for (size_t i = 0; i < o->words.count; i++) {
        const char *at = strpbrk(o->words.items[i], "*?$|;&<>`");
        char word[80];
        if (at == NULL || is_shells_own(&o->words, i))
            continue;
        str_escape_to(word, sizeof word, o->words.items[i], strlen(o->words.items[i]), 0);
        snprintf(dst, cap,
                 "'%s' reaches the host as it is, '%c' and all; to have the remote shell read it, "
                 "give the whole command as one quoted word",
                 word, *at);
        return dst;
    }
    return dst;
}
