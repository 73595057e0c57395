/* The one table of options: what --help, the manual, the completions, MUSTER_* and the
 * configuration file know of them. Private to controller/cli and its tests.
 *
 * An option with OPTION_KEY may also come from the environment as MUSTER_NAME (upper case, '-' as
 * '_') and from the configuration file under its long name. Pure; any thread.
 */
#ifndef CONTROLLER_CLI_OPTIONS_TABLE_H
#define CONTROLLER_CLI_OPTIONS_TABLE_H

#include "controller/cli/options.h"

enum option_group {
    GROUP_SELECT,
    GROUP_CONNECT,
    GROUP_RUN,
    GROUP_OUTPUT,
    GROUP_HOSTS,
    GROUP_RETRY,
    GROUP_VAULT,
    GROUP_KEYSCAN,
    GROUP_STATS,
    GROUP_OTHER,
    GROUP_COUNT
};

enum option_flags {
    OPTION_REPEAT = 1,  /* may be given several times; the values add up */
    OPTION_KEY = 2,     /* also MUSTER_NAME and the configuration file */
    OPTION_REPLAY = 4,  /* a retry repeats it */
    OPTION_PATH = 8,    /* names a file or folder: made absolute where it must outlive its cwd */
    OPTION_MASKED = 16, /* what follows "=" in its value is shown to nobody */
    OPTION_HIDDEN = 32, /* not in help or manual */
    OPTION_MAYBE = 64, /* its argument may be left out, and then is "true"; given, it follows "=" */
};

struct option_def {
    char letter;      /* -f, or 0 */
    const char *name; /* --fanout */
    const char *arg;  /* name of its argument, NULL: a flag ("true" or "false" reaches set) */
    enum option_group group;
    unsigned verbs; /* bit per enum verb */
    unsigned flags; /* enum option_flags */
    /* Checks `value` and stores it. The message does not name the option. */
    enum rc (*set)(struct options *o, const struct option_def *d, const char *value, struct err *e);
    size_t at;          /* where in struct options, for the setters that need it */
    uint64_t min, max;  /* bounds of a number, for the setters that need them */
    const char *values; /* for completion: words with blanks between, or @file @dir @host @run */
    const char *help;   /* one sentence without its full stop; \n never */
};

extern const struct option_def option_table[];
extern const size_t option_count;

const char *option_group_title(enum option_group g);
const char *verb_name(enum verb v);    /* "run"; NULL for HELP and above */
const char *verb_usage(enum verb v);   /* "[options] PATTERN -- COMMAND [ARG...]" */
const char *verb_summary(enum verb v); /* one line */
/* VERB_COUNT when there is none of this name. */
enum verb verb_find(const char *name, size_t len);

/* NULL when there is none. */
const struct option_def *option_by_letter(char letter);
const struct option_def *option_by_name(const char *name, size_t len);
/* Does this value of it name a file or folder? ("-F none" does not) */
bool option_is_path(const struct option_def *d, const char *value);
/* The option whose name is nearest to a wrong one, among those of `verb`; NULL: none is near. */
const struct option_def *option_nearest(const char *name, enum verb verb);
/* MUSTER_…; dst holds at least 64 bytes. Returns dst. */
char *option_env_name(char *dst, size_t cap, const struct option_def *d);

/* Sets an option from `source`. A stronger source replaces what a weaker one gave; within one
 * source a repeatable option adds and any other is replaced. `value` must live as long as *o. */
enum rc option_apply(struct options *o, const struct option_def *d, const char *value,
                     enum option_source source, struct err *e);
/* The words of "muster vault ACTION [FILE...]" and the options that go with them. RC_OK, RC_USAGE.
 * (options_vault.c) */
enum rc vault_words_settle(struct options *o, struct err *e);
/* The options of "muster keyscan" that must go together. RC_OK, RC_USAGE. (options_keyscan.c) */
enum rc keyscan_settle(struct options *o, struct err *e);
/* The same for "muster stats". (options_stats.c) */
enum rc stats_settle(struct options *o, struct err *e);
/* The same for what goes through the agent: of a retry, once it has the options of its run.
 * (options_agent.c) */
enum rc agent_settle(const struct options *o, struct err *e);
/* After the last option was set: what follows from several of them. */
void options_settle(struct options *o);
/* SOURCE_DEFAULT when it was not given. */
enum option_source option_source_of(const struct options *o, const struct option_def *d);

/* What a habit from another tool means here, for an option we do not know, or one whose value shows
 * that another tool's was meant; NULL when we know of none. `spelling` is "-b" or "--forks". */
const char *habit_of_option(const char *spelling);
/* For a known option typed as a short one: RC_USAGE when the value shows the habit. */
enum rc habit_of_value(char letter, const char *value, struct err *e);
/* For a first word that is no verb. */
const char *habit_of_verb(const char *word);

/* Reads the configuration file: $MUSTER_CONFIG, $XDG_CONFIG_HOME/muster/config.yml or
 * ~/.config/muster/config.yml (the first that is set; a missing file is fine unless MUSTER_CONFIG
 * named it). RC_CONFIG with file:line:column. */
enum rc config_load(struct options *o, const char *(*env_get)(const char *name), struct err *e);
/* The same from memory, for tests; `name` is used in places, `dir` is where relative paths start.
 */
enum rc config_parse(struct options *o, const char *name, const char *dir, const char *home,
                     const char *text, size_t len, struct err *e);

/* Setters of the table, one per kind of value. (options_set.c) */
#define OPTION_SETTER(name)                                                                        \
    enum rc name(struct options *o, const struct option_def *d, const char *value, struct err *e)
OPTION_SETTER(set_flag);         /* at: bool */
OPTION_SETTER(set_string);       /* at: const char *; not empty */
OPTION_SETTER(set_list);         /* at: struct strings; not empty */
OPTION_SETTER(set_u32);          /* at: uint32_t; min, max */
OPTION_SETTER(set_u16);          /* at: uint16_t; min, max */
OPTION_SETTER(set_duration);     /* at: uint64_t in ms; min */
OPTION_SETTER(set_size);         /* at: uint64_t in bytes; min */
OPTION_SETTER(set_tri);          /* at: enum tri */
OPTION_SETTER(set_view);         /* min: enum hosts_view */
OPTION_SETTER(set_retry_status); /* min: enum status */
OPTION_SETTER(set_host_keys);
OPTION_SETTER(set_agent); /* a way for the agent, or a socket */
OPTION_SETTER(set_ssh_agent);
OPTION_SETTER(set_become);
OPTION_SETTER(set_agent_dir);
OPTION_SETTER(set_on_disconnect);
OPTION_SETTER(set_ssh_option);
OPTION_SETTER(set_rate);
OPTION_SETTER(set_retry_on);
OPTION_SETTER(set_max_fail);
OPTION_SETTER(set_serial);
OPTION_SETTER(set_env);
OPTION_SETTER(set_expect);
OPTION_SETTER(set_output);
OPTION_SETTER(set_ignore);
OPTION_SETTER(set_verbose);
OPTION_SETTER(set_vars);
OPTION_SETTER(set_last);
OPTION_SETTER(set_help);
OPTION_SETTER(set_key_types); /* (options_keyscan.c) */
OPTION_SETTER(set_interval);  /* (options_stats.c) */

#endif
