/* The command line: one table of options that means the same in every verb, and is also the source
 * of --help, of the manual's OPTIONS and of the shell completions.
 *
 * Order of strength: command line, MUSTER_* environment, ~/.config/muster/config.yml, default.
 * Secrets come from none of these. Parses and checks; does nothing else.
 */
#ifndef CONTROLLER_CLI_OPTIONS_H
#define CONTROLLER_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/output/output.h"
#include "controller/run/sched.h"

enum verb {
    VERB_RUN,
    VERB_HOSTS,
    VERB_HISTORY,
    VERB_SHOW,
    VERB_RETRY,
    VERB_HELP,    /* --help, help VERB: text is ready, exit 0 */
    VERB_VERSION,
    VERB_COUNT
};

struct strings { /* a repeatable option's values, in order */
    const char **items;
    size_t count, cap;
};

enum host_keys_policy { HOST_KEYS_STRICT, HOST_KEYS_ACCEPT_NEW, HOST_KEYS_OFF };
enum tri { TRI_AUTO, TRI_ALWAYS, TRI_NEVER };
enum hosts_view { HOSTS_LIST, HOSTS_FOLD, HOSTS_EXPAND, HOSTS_COUNT_ONLY, HOSTS_VARS, HOSTS_GRAPH,
                  HOSTS_JSON };

struct options {
    enum verb verb;
    /* select */
    struct strings inventories; /* -i; empty: MUSTER_INVENTORY or the default places */
    struct strings hosts_exprs; /* -w */
    struct strings limits, excludes;
    const char *where;
    bool list_only;             /* --list */
    /* connect */
    const char *user;
    uint16_t port;              /* 0: not given */
    struct strings keys;        /* --key */
    struct strings known_hosts; /* --known-hosts */
    enum host_keys_policy host_keys;
    uint64_t connect_timeout_ms;
    struct strings ssh_options; /* -O KEY=VALUE */
    /* run */
    uint32_t fanout;
    double rate;
    uint32_t workers;           /* 0: one per core */
    uint64_t timeout_ms, silence_timeout_ms, deadline_ms; /* 0: none */
    uint32_t retries;
    struct sched_retry_on retry_on[SCHED_RETRY_ON_MAX];
    uint32_t retry_on_count;
    bool max_fail_set, max_fail_percent;
    uint32_t max_fail;
    struct sched_wave waves[SCHED_WAVES_MAX];
    uint32_t wave_count;
    struct strings env;         /* --env K=V */
    const char *cwd, *stdin_path, *script;
    bool dry_run, raw, yes, allow_protected, no_breaker, no_log_command;
    bool expect_set;
    uint32_t expect_min, expect_max;
    const char *reason;
    /* output */
    bool output_set;
    struct output_opts output;
    const char *out_dir;
    enum tri color, progress;
    /* state */
    const char *state_dir;      /* --state, or NULL */
    /* hosts */
    enum hosts_view hosts_view;
    const char *vars_host;      /* --vars HOST */
    /* retry */
    struct strings retry_select; /* --failed --unreachable --timeout --not-started --lost …: names */
    size_t history_max;
    /* words */
    const char *pattern;        /* run: PATTERN; show, retry: RUN */
    struct strings words;       /* hosts: PATTERNs; run: COMMAND and its ARGs after -- */
    bool after_dashes;          /* "--" was given */
    const char *program;        /* argv[0] */
    int argc;
    char **argv;                /* as given, for the record */
    struct buf text;            /* HELP, VERSION: what to print */
};

/* RC_OK; RC_USAGE or RC_CONFIG with a message that says what to type instead. Strings are borrowed
 * from argv, the environment, or owned by *o. `env_get` is getenv, or a test's. */
enum rc options_parse(struct options *o, int argc, char **argv,
                      const char *(*env_get)(const char *name), struct err *e);
void options_fini(struct options *o);

/* The options of a run that a retry must repeat, as a JSON object on one line (no secrets), and back:
 * restore sets what the retry's own command line did not set. */
enum rc options_replay_json(const struct options *o, struct buf *out);
enum rc options_replay_restore(struct options *o, const char *json, struct err *e);

/* --help text of a verb (VERB_COUNT: the overview), and the OPTIONS part of the manual in scdoc. */
enum rc options_help(enum verb v, struct buf *out);
enum rc options_manual(struct buf *out);

#endif
