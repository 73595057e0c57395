/* Parsing the command line of a verb. See options.h; the table is options_table.c.
 *
 * Order: defaults, configuration file, environment, arguments. A run without "--" is looked at
 * first as a whole, because what follows then is a command that we would take for options.
 */
#include "controller/cli/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "controller/cli/options_table.h"
#include "controller/cli/words.h"

enum { TEXT_MAX = 4 * 1024 * 1024 };

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    arena_init(&o->arena);
    buf_init(&o->text, TEXT_MAX);
    o->connect_timeout_ms = 10000;
    o->openssh_max = 64;
    o->timeout_ms = 300000;
    o->fanout = 256;
    o->retries = 2;
    o->guard = 50;
    o->history_max = 20;
    o->dashes_at = -1;
    o->vault_key.fd = o->new_vault_key.fd = UINT32_MAX;
    o->output.max_output = 1024 * 1024;
    o->output.max_memory = 256 * 1024 * 1024;
}

void options_fini(struct options *o)
{
    struct strings *lists[] = {
        &o->inventories, &o->hosts_exprs, &o->limits,       &o->excludes,       &o->keys,
        &o->known_hosts, &o->agent_dirs,  &o->ssh_options,  &o->ssh_words,      &o->env,
        &o->words,       &o->exact_hosts, &o->retry_select, &o->keyscan.verify, &o->keyscan.ca,
        &o->certificates};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        mem_free(lists[i]->items);
    mem_free(o->given);
    buf_fini(&o->text);
    arena_fini(&o->arena);
    memset(o, 0, sizeof *o);
}

/* Errors of values are RC_PARSE and RC_LIMIT where they arise; here they are a wrong command line.
 */
static enum rc usage(enum rc rc, struct err *e)
{
    if (rc == RC_OK || rc == RC_NOMEM)
        return rc;
    if (e != NULL)
        e->rc = RC_USAGE;
    return RC_USAGE;
}

static enum rc load_environment(struct options *o, const char *(*env_get)(const char *name),
                                struct err *e)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_def *d = &option_table[i];
        char name[64];
        if (!(d->flags & OPTION_KEY))
            continue;
        const char *value = env_get(option_env_name(name, sizeof name, d));
        if (value == NULL || *value == '\0')
            continue;
        enum rc rc = option_apply(o, d, value, SOURCE_ENV, e);
        if (rc != RC_OK && rc != RC_NOMEM)
            err_wrap(e, "%s", name);
        if (rc != RC_OK)
            return usage(rc, e);
    }
    return RC_OK;
}

static void verbs_of(const struct option_def *d, char *dst, size_t cap)
{
    size_t n = 0;
    dst[0] = '\0';
    for (int v = 0; v < VERB_COUNT; v++)
        if (d->verbs & 1u << v && n < cap)
            n += (size_t)snprintf(dst + n, cap - n, "%s%s", n ? ", " : "", verb_name((enum verb)v));
}

static enum rc unknown_option(const struct word *w, enum verb verb, struct err *e)
{
    const char *habit = habit_of_option(w->spelling);
    if (habit != NULL)
        return err_set(e, RC_USAGE, "%s: %s", w->spelling, habit);
    const struct option_def *near = w->is_short ? NULL : option_nearest(w->spelling + 2, verb);
    if (near != NULL)
        return err_set(e, RC_USAGE, "unknown option %s; did you mean --%s?", w->spelling,
                       near->name);
    return err_set(e, RC_USAGE, "unknown option %s (muster %s --help lists them)", w->spelling,
                   verb_name(verb));
}

static enum rc no_value(const struct word *w, enum verb verb, struct err *e)
{
    bool status = verb == VERB_RETRY && strcmp(w->def->name, "timeout") == 0;
    return err_set(e, RC_USAGE, "%s needs a value: %s %s%s", w->spelling, w->spelling, w->def->arg,
                   status ? " (for hosts that timed out type --timed-out)" : "");
}

static enum rc take_option(struct options *o, const struct word *w, struct err *e)
{
    if (!(w->def->verbs & 1u << o->verb)) {
        char verbs[64];
        verbs_of(w->def, verbs, sizeof verbs);
        return err_set(e, RC_USAGE, "%s is not an option of 'muster %s' (it belongs to: %s)",
                       w->spelling, verb_name(o->verb), verbs);
    }
    if (w->is_short && habit_of_value(w->def->letter, w->value, e) != RC_OK)
        return RC_USAGE;
    enum rc rc = option_apply(o, w->def, w->value, SOURCE_ARGV, e);
    if (rc != RC_OK && rc != RC_NOMEM)
        err_wrap(e, "%s", w->spelling);
    return usage(rc, e);
}

static bool is_help(const struct word *w)
{
    return w->kind == WORD_OPTION && w->def->set == set_help && strcmp(w->value, "true") == 0;
}

/* Appends one argument as it must be typed. */
static void quote_onto(struct buf *line, const char *arg)
{
    if (line->len > 0)
        buf_putc(line, ' ');
    if (*arg == '\0')
        buf_puts(line, "''");
    else if (str_shell_quote(line, arg) != RC_OK)
        buf_puts(line, "...");
}

/* A run needs "--" before its command. Finds the argument that begins the command when there is
 * none: the first plain word after PATTERN (or after the options, with -w). -1: nothing is wrong.
 */
static int missing_dashes(int argc, char **argv, int first, bool *asks_help)
{
    struct words words;
    words_init(&words, VERB_RUN, argc, argv, first);
    int plain = 0, command = -1;
    bool hosts = false;
    for (;;) {
        struct word w = words_next(&words);
        *asks_help = *asks_help || (command < 0 && is_help(&w));
        if (w.kind == WORD_DASHES || (w.kind == WORD_UNKNOWN && command < 0))
            return -1; /* what is wrong with that option is said elsewhere */
        if (w.kind == WORD_END)
            break;
        if (w.kind == WORD_OPTION && w.def->letter == 'w')
            hosts = true;
        if (w.kind == WORD_OPTION && strcmp(w.def->name, "script") == 0)
            plain -= argc;
        if (w.kind == WORD_PLAIN && ++plain == (hosts ? 1 : 2) && command < 0)
            command = words.at - 1;
    }
    return command;
}

static enum rc check_dashes(int argc, char **argv, int first, bool *asks_help, struct err *e)
{
    int command = missing_dashes(argc, argv, first, asks_help);
    if (command < 0 || *asks_help)
        return RC_OK;
    struct buf line;
    buf_init(&line, 400);
    for (int i = 1; i < argc; i++) {
        if (i == command)
            buf_puts(&line, " --");
        quote_onto(&line, argv[i]);
    }
    const char *text = buf_cstr(&line);
    enum rc rc = text == NULL
                     ? err_nomem(e)
                     : err_set(e, RC_USAGE, "the command follows --; type: muster %s", text);
    buf_fini(&line);
    return rc;
}

static bool takes_pattern(enum verb v)
{
    return v == VERB_RUN || v == VERB_KEYSCAN || v == VERB_STATS;
}

static enum rc take_word(struct options *o, const char *value, struct err *e)
{
    switch (o->verb) {
    case VERB_HOSTS:
    case VERB_DEBUG:
    case VERB_VAULT: return options_add(o, &o->words, value, e);
    case VERB_HISTORY:
        return err_set(e, RC_USAGE, "history takes no words ('%.60s'); muster show %.60s", value,
                       value);
    default: break;
    }
    if (o->pattern != NULL)
        return err_set(e, RC_USAGE, "one %s only: '%.60s' and '%.60s'%s",
                       takes_pattern(o->verb) ? "PATTERN" : "RUN", o->pattern, value,
                       takes_pattern(o->verb) ? " (join patterns with a comma)" : "");
    if (*value == '\0')
        return err_set(e, RC_USAGE, "an empty word names nothing");
    o->pattern = value;
    return RC_OK;
}

static enum rc take_rest(struct options *o, struct words *words, struct err *e)
{
    o->after_dashes = true;
    o->dashes_at = words->at - 1;
    if (o->verb != VERB_RUN && o->verb != VERB_RETRY && o->verb != VERB_HOSTS &&
        o->verb != VERB_VAULT && words->at < words->argc)
        return err_set(e, RC_USAGE, "'muster %s' takes no command after --", verb_name(o->verb));
    while (words->at < words->argc) {
        enum rc rc = options_add(o, &o->words, words->argv[words->at++], e);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* RC_OK with *asks_help set as soon as --help is met. */
static enum rc take_arguments(struct options *o, int argc, char **argv, int first, bool *asks_help,
                              struct err *e)
{
    struct words words;
    words_init(&words, o->verb, argc, argv, first);
    for (;;) {
        struct word w = words_next(&words);
        enum rc rc = RC_OK;
        switch (w.kind) {
        case WORD_END: return RC_OK;
        case WORD_DASHES: return take_rest(o, &words, e);
        case WORD_PLAIN: rc = take_word(o, w.value, e); break;
        case WORD_NO_VALUE: return no_value(&w, o->verb, e);
        case WORD_UNKNOWN: return unknown_option(&w, o->verb, e);
        case WORD_OPTION:
            if (is_help(&w)) {
                *asks_help = true;
                return RC_OK;
            }
            rc = take_option(o, &w, e);
            break;
        }
        if (rc != RC_OK)
            return rc;
    }
}

static enum rc check_run(struct options *o, struct err *e)
{
    if (o->pattern == NULL && o->hosts_exprs.count == 0)
        return err_set(e, RC_USAGE,
                       "which hosts? muster run PATTERN -- COMMAND (all names every "
                       "host of the inventory), or -w HOSTS");
    if (o->pattern != NULL && o->hosts_exprs.count > 0)
        return err_set(e, RC_USAGE,
                       "both -w and the pattern '%.60s': with -w there is no PATTERN (-l narrows)",
                       o->pattern);
    if (o->script != NULL && o->raw)
        return err_set(e, RC_USAGE, "--script needs a shell on the host, --raw does without one");
    if (o->script != NULL && o->stdin_path != NULL)
        return err_set(e, RC_USAGE, "--script travels on standard input, so --stdin cannot");
    if (o->script == NULL && !o->list_only &&
        (o->words.count == 0 || (o->words.count == 1 && *o->words.items[0] == '\0')))
        return err_set(e, RC_USAGE, "no command: muster run %.60s -- COMMAND [ARG...]",
                       o->pattern != NULL ? o->pattern : "-w HOSTS");
    return RC_OK;
}

static bool is_default(const struct options *o, const char *name)
{
    enum option_source source = option_source_of(o, option_by_name(name, strlen(name)));
    return source > SOURCE_DEFAULT && source <= SOURCE_REPLAY_DEFAULT;
}

static bool is_given(const struct options *o, const char *name)
{
    return option_source_of(o, option_by_name(name, strlen(name))) > SOURCE_REPLAY_DEFAULT;
}

const char *options_blame(const struct options *o, const char *name, char *dst, size_t cap)
{
    const struct option_def *d = option_by_name(name, strlen(name));
    if (option_source_of(o, d) == SOURCE_ENV)
        return option_env_name(dst, cap, d);
    snprintf(dst, cap, "--%s", name);
    return dst;
}

void options_settle(struct options *o)
{
    o->user_is_default = is_default(o, "user");
    o->port_is_default = is_default(o, "port");
    o->keys_are_default = is_default(o, "key");
    o->known_hosts_given = is_given(o, "known-hosts");
    o->host_keys_given = is_given(o, "host-keys");
    o->connect_timeout_given = is_given(o, "connect-timeout");
    if (o->wave_count > 0 && !o->max_fail_set)
        o->max_fail_set = o->output.serial_budget = true; /* max_fail is 0 */
    o->output.connect_timeout_ms = o->connect_timeout_ms;
    o->output.silence_timeout_ms = o->silence_timeout_ms;
    o->output.timeout_ms = o->timeout_ms;
}

/* A form that the environment or the configuration chose for runs is no mistake here. */
static enum rc check_history(struct options *o, struct err *e)
{
    enum output_mode mode = o->output.mode;
    if (!o->output_set || mode == OUTPUT_TABLE || mode == OUTPUT_JSON || mode == OUTPUT_NDJSON)
        return RC_OK;
    if (option_source_of(o, option_by_name("output", 6)) == SOURCE_ARGV)
        return err_set(e, RC_USAGE, "-o: history is shown as table, json or ndjson");
    o->output.mode = OUTPUT_TABLE;
    return RC_OK;
}

/* Likewise: what was typed here counts, and would have no effect. */
static enum rc check_columns(const struct options *o, struct err *e)
{
    enum output_mode mode = o->output.mode;
    bool takes = o->verb == VERB_RUN || o->verb == VERB_RETRY || o->verb == VERB_SHOW ||
                 o->verb == VERB_ATTACH;
    if (!takes || mode == OUTPUT_TABLE || mode == OUTPUT_CSV ||
        option_source_of(o, option_by_name("columns", 7)) != SOURCE_ARGV)
        return RC_OK;
    return err_set(e, RC_USAGE, "--columns are those of a table: add -o table or -o csv");
}

/* What one option alone cannot tell. */
static enum rc check_together(struct options *o, struct err *e)
{
    enum rc rc = check_columns(o, e);
    if (rc == RC_OK && (o->verb == VERB_RUN || o->verb == VERB_STATS))
        rc = agent_settle(o, e);
    if (rc != RC_OK)
        return rc;
    if (o->verb == VERB_RUN)
        return check_run(o, e);
    if (o->verb == VERB_VAULT)
        return vault_words_settle(o, e);
    if (o->verb == VERB_KEYSCAN)
        return keyscan_settle(o, e);
    if (o->verb == VERB_STATS)
        return stats_settle(o, e);
    if (o->verb == VERB_RETRY && o->pattern == NULL)
        return err_set(e, RC_USAGE, "which run? muster retry last, or an id of muster history");
    if (o->verb == VERB_DEBUG && (o->words.count != 2 || strcmp(o->words.items[0], "frames") != 0))
        return err_set(e, RC_USAGE, "debug: type: muster debug frames FILE (- for standard input)");
    if (o->verb == VERB_ATTACH && o->pattern == NULL)
        return err_set(e, RC_USAGE, "which run? muster attach last, or an id of muster history");
    if (o->verb == VERB_SHOW && o->pattern == NULL)
        o->pattern = "last";
    return o->verb == VERB_HISTORY ? check_history(o, e) : RC_OK;
}

void options_terminal(struct options *o, bool out_tty, bool err_tty,
                      const char *(*env_get)(const char *name))
{
    if (!o->output_set)
        o->output.mode = o->verb == VERB_HISTORY || o->verb == VERB_STATS ? OUTPUT_TABLE
                         : out_tty || o->verb == VERB_SHOW                ? OUTPUT_GROUP
                                                                          : OUTPUT_STREAM;
    const char *no = env_get("NO_COLOR"), *force = env_get("CLICOLOR_FORCE"),
               *cli = env_get("CLICOLOR"), *term = env_get("TERM");
    enum tri color = o->color;
    if (color == TRI_AUTO && no != NULL && *no != '\0')
        color = TRI_NEVER;
    else if (color == TRI_AUTO && force != NULL && *force != '\0' && strcmp(force, "0") != 0)
        color = TRI_ALWAYS;
    bool able = !(cli != NULL && strcmp(cli, "0") == 0) && term != NULL && *term != '\0' &&
                strcmp(term, "dumb") != 0;
    o->output.color_out = color == TRI_ALWAYS || (color == TRI_AUTO && able && out_tty);
    o->output.color_err = color == TRI_ALWAYS || (color == TRI_AUTO && able && err_tty);
}

/* "run, hosts, …" */
static const char *all_verbs(char *dst, size_t cap)
{
    size_t n = 0;
    for (int v = 0; v < VERB_COUNT && n < cap; v++)
        if (verb_name((enum verb)v) != NULL)
            n += (size_t)snprintf(dst + n, cap - n, "%s%s", n > 0 ? ", " : "",
                                  verb_name((enum verb)v));
    return dst;
}

static enum rc unknown_verb(const char *word, struct err *e)
{
    const char *habit = habit_of_verb(word);
    if (habit != NULL)
        return err_set(e, RC_USAGE, "%.40s: %s", word, habit);
    const char *best = NULL;
    unsigned least = 3;
    for (int v = 0; v < VERB_COUNT; v++) {
        const char *name = verb_name((enum verb)v);
        unsigned d = name != NULL ? str_distance(word, name) : 99;
        if (d < least) {
            least = d;
            best = name;
        }
    }
    if (best != NULL)
        return err_set(e, RC_USAGE, "unknown verb '%.40s'; did you mean 'muster %s'?", word, best);
    char all[128];
    return err_set(e, RC_USAGE,
                   "unknown verb '%.40s'; muster %s or help (to run a command: muster run "
                   "PATTERN -- %.40s)",
                   word, all_verbs(all, sizeof all), word);
}

static enum rc text_ready(struct options *o, enum verb verb, enum rc rc, struct err *e)
{
    o->verb = verb;
    return rc == RC_OK || rc == RC_USAGE ? rc : err_nomem(e);
}

/* "muster help [VERB]", and the hidden words that the build uses. */
static enum rc take_help(struct options *o, int argc, char **argv, struct err *e)
{
    const char *topic = argc > 2 ? argv[2] : NULL;
    enum verb v = topic != NULL ? verb_find(topic, strlen(topic)) : VERB_COUNT;
    if (topic != NULL && v == VERB_COUNT)
        return unknown_verb(topic, e);
    return text_ready(o, VERB_HELP, options_help(v, &o->text), e);
}

static enum rc take_generated(struct options *o, int argc, char **argv, struct err *e)
{
    const char *what = argc > 2 ? argv[2] : "";
    enum rc rc;
    if (strcmp(argv[1], "--completion") == 0)
        rc = options_completion(what, &o->text);
    else if (strcmp(what, "problems") == 0)
        rc = options_manual_problems(&o->text);
    else
        rc = options_manual(&o->text);
    if (rc == RC_USAGE)
        return err_set(e, rc, "--completion: '%.20s' is not one of bash, zsh or fish", what);
    return text_ready(o, VERB_HELP, rc, e);
}

/* What comes before a verb, or instead of one. *done: nothing is left to parse. */
static enum rc take_first(struct options *o, int argc, char **argv, bool *done, struct err *e)
{
    char all[128];
    *done = true;
    if (argc < 2)
        return err_set(e, RC_USAGE, "which verb? %s or help; try: muster run PATTERN -- COMMAND",
                       all_verbs(all, sizeof all));
    const char *word = argv[1];
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return take_help(o, argc, argv, e);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0)
        return text_ready(o, VERB_VERSION, options_version(&o->text), e);
    if (strcmp(word, "--manual") == 0 || strcmp(word, "--completion") == 0)
        return take_generated(o, argc, argv, e);
    if (word[0] == '-')
        return err_set(e, RC_USAGE, "%.40s: options follow the verb, as in: muster run %.40s ...",
                       word, word);
    o->verb = verb_find(word, strlen(word));
    if (o->verb == VERB_COUNT)
        return unknown_verb(word, e);
    *done = false;
    return RC_OK;
}

enum rc options_parse(struct options *o, int argc, char **argv,
                      const char *(*env_get)(const char *name), struct err *e)
{
    set_defaults(o);
    o->program = argc > 0 ? argv[0] : "muster";
    o->argc = argc;
    o->argv = argv;
    bool done, asks_help = false;
    enum rc rc = take_first(o, argc, argv, &done, e);
    if (rc != RC_OK || done)
        return rc;
    if (o->verb == VERB_RUN)
        rc = check_dashes(argc, argv, 2, &asks_help, e);
    if (rc == RC_OK && !asks_help)
        rc = config_load(o, env_get, e);
    if (rc == RC_OK && !asks_help)
        rc = load_environment(o, env_get, e);
    if (rc == RC_OK && !asks_help)
        rc = take_arguments(o, argc, argv, 2, &asks_help, e);
    if (rc != RC_OK)
        return rc;
    if (asks_help)
        return text_ready(o, VERB_HELP, options_help(o->verb, &o->text), e);
    options_terminal(o, isatty(STDOUT_FILENO), isatty(STDERR_FILENO), env_get);
    options_settle(o);
    return check_together(o, e);
}
