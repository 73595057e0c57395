/* The command line: one table of options that means the same in every verb, and is also the source
 * of --help, of the manual's OPTIONS and of the shell completions.
 *
 * Order of strength: command line, MUSTER_* environment, ~/.config/muster/config.yml, default.
 * Secrets come from none of these. Parses and checks; does nothing else: it opens the
 * configuration file and asks whether stdout and stderr are terminals. Before threads, main only.
 */
#ifndef CONTROLLER_CLI_OPTIONS_H
#define CONTROLLER_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
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
    VERB_VAULT,
    VERB_KEYSCAN,
    VERB_STATS,
    VERB_ATTACH,
    VERB_DEBUG,
    VERB_HELP, /* --help, help VERB: text is ready, exit 0 */
    VERB_VERSION,
    VERB_COUNT
};

struct strings { /* a repeatable option's values, in order */
    const char **items;
    size_t count, cap;
};

enum option_source { /* weakest first */
                     SOURCE_DEFAULT,
                     SOURCE_CONFIG,
                     SOURCE_ENV,
                     SOURCE_REPLAY_DEFAULT, /* the record: there it came from the environment or the
                                               file */
                     SOURCE_REPLAY,         /* the record of the run that is tried again */
                     SOURCE_ARGV,
};

struct option_given { /* a value as it was written, for the replay; see options_table.h */
    uint16_t option;
    enum option_source source;
    const char *value;
};

enum host_keys_policy { HOST_KEYS_STRICT, HOST_KEYS_ACCEPT_NEW, HOST_KEYS_OFF };
enum tri { TRI_AUTO, TRI_ALWAYS, TRI_NEVER };
enum hosts_view {
    HOSTS_LIST,
    HOSTS_FOLD,
    HOSTS_EXPAND,
    HOSTS_COUNT_ONLY,
    HOSTS_VARS,
    HOSTS_GRAPH,
    HOSTS_JSON
};

enum vault_action {
    VAULT_ENCRYPT,
    VAULT_DECRYPT,
    VAULT_VIEW,
    VAULT_EDIT,
    VAULT_REKEY,
    VAULT_ACTION_COUNT
};

struct vault_key_options {      /* where a key comes from; never the key */
    const char *file, *command; /* NULL: not given */
    uint32_t fd;                /* UINT32_MAX: not given */
};

enum keyscan_types { KEYSCAN_ED25519 = 1, KEYSCAN_ECDSA = 2, KEYSCAN_RSA = 4 };

struct keyscan_options {
    uint32_t types;        /* --types: enum keyscan_types; 0: all */
    struct strings verify; /* --verify */
    struct strings ca;     /* --ca */
    bool sshfp;
    const char *sshfp_server; /* --sshfp-server, or NULL */
    bool only_verified, replace, forget, hash;
};

enum agent_mode {               /* how muster's agent gets to a host */
                  AGENT_CACHED, /* uploaded where it is not there yet, and kept in the user's cache
                                 */
                  AGENT_TEMPORARY,
                  AGENT_NEVER,    /* what sh can find out without it */
                  AGENT_INSTALLED /* a package or an image put it there */
};

struct stats_options {
    const char *only, *filter, *sort, *by; /* as written, or NULL */
    uint64_t interval_ms;                  /* 0: once */
    uint32_t samples;                      /* 0: not given */
    uint32_t top;                          /* 0: not given */
    bool detail;
};

struct options {
    enum verb verb;
    /* select */
    struct strings inventories; /* -i; empty: MUSTER_INVENTORY or the default places */
    struct strings hosts_exprs; /* -w */
    struct strings limits, excludes;
    const char *where;
    bool list_only; /* --list */
    /* connect */
    const char *user;
    uint16_t port;       /* 0: not given */
    struct strings keys; /* --key */
    bool ask_pass;
    struct strings certificates;
    const char *agent;          /* --ssh-agent: a socket's path or "none"; NULL: SSH_AUTH_SOCK */
    enum agent_mode agent_mode; /* --agent */
    const char *capture;        /* --capture: a folder for what the agents say, or NULL */
    struct strings agent_dirs;  /* --agent-dir: places on the hosts, before all others */
    /* They came from the environment or the configuration file: the inventory wins over them, as it
     * does not over what was typed. */
    bool user_is_default, port_is_default, keys_are_default;
    struct strings known_hosts; /* --known-hosts */
    enum host_keys_policy host_keys;
    uint64_t connect_timeout_ms;
    struct strings ssh_options; /* -O KEY=VALUE as written; each already went to its field */
    struct strings ssh_words;   /* those of them that no option of ours stands for */
    const char *jump;           /* -J: bastions in front of every host; "none" */
    const char *host_key_alias; /* -O HostKeyAlias, or NULL */
    const char *ssh_config;     /* --ssh-config FILE or "none"; NULL: the user's and the system's */
    bool no_openssh;            /* --no-openssh */
    uint32_t openssh_max;       /* --openssh-max: processes at once */
    /* Typed, or of the run that is repeated: ssh_config does not count then. */
    bool known_hosts_given, host_keys_given, connect_timeout_given;
    /* run */
    uint32_t fanout;
    double rate;
    uint32_t workers;                                     /* 0: one per core */
    uint64_t timeout_ms, silence_timeout_ms, deadline_ms; /* 0: none */
    uint32_t retries;
    struct sched_retry_on retry_on[SCHED_RETRY_ON_MAX];
    uint32_t retry_on_count;
    bool max_fail_set, max_fail_percent;
    uint32_t max_fail;
    struct sched_wave waves[SCHED_WAVES_MAX];
    uint32_t wave_count;
    const char *become;     /* --become: the user, or NULL */
    bool ask_become_pass;   /* --ask-become-pass */
    bool detach;            /* --detach */
    bool disconnect_kills;  /* --on-disconnect kill */
    bool no_follow;         /* attach --no-follow */
    const char *attach_run; /* attach: the id of the run */
    struct strings env;     /* --env K=V */
    const char *cwd, *stdin_path, *script;
    bool dry_run, raw, yes, allow_protected, no_breaker, no_log_command;
    uint32_t guard; /* --guard: more hosts than this need a yes; 0: never asks */
    bool expect_set;
    uint32_t expect_min, expect_max;
    const char *reason;
    /* output */
    bool output_set;
    struct output_opts output;
    const char *out_dir;
    enum tri color, progress;
    /* state */
    const char *state_dir; /* --state, or NULL */
    /* hosts */
    enum hosts_view hosts_view;
    const char *vars_host; /* --vars HOST */
    size_t history_max;    /* --last */
    /* retry */
    struct strings retry_select; /* --failed --unreachable …: names of statuses; empty: not ok */
    struct strings exact_hosts;  /* not empty: exactly these hosts by name are the targets, whatever
                                    PATTERN and -w say; -l, -x and --where narrow them further */
    bool exact_implicit;         /* exact hosts that no source names are added, as -w does */
    const char *retry_of;        /* id of the run that this one repeats, or NULL */
    /* vault */
    enum vault_action vault_action;
    struct vault_key_options vault_key, new_vault_key; /* --vault-key, --new-vault-key */
    const char *vault_name;                            /* --name, or NULL */
    const char *vault_like;                            /* --like, or NULL */
    struct keyscan_options keyscan;
    struct stats_options stats;
    /* words */
    const char *pattern;  /* run, keyscan, stats: PATTERN; show, retry: RUN */
    struct strings words; /* hosts: PATTERNs; vault: FILEs; run: COMMAND and its ARGs after -- */
    bool after_dashes;    /* "--" was given */
    int dashes_at;        /* its place in argv, or -1 */
    const char *program;  /* argv[0] */
    int argc;
    char **argv;     /* as given, for the record */
    struct buf text; /* HELP, VERSION: what to print */
    /* how the values came here */
    struct arena arena;         /* strings that are neither argv's nor the environment's */
    struct option_given *given; /* in the order set; what a stronger source replaced is gone */
    size_t given_count, given_cap;
};

/* RC_OK; RC_USAGE or RC_CONFIG with a message that says what to type instead. Strings are borrowed
 * from argv, the environment, or owned by *o. `env_get` is getenv, or a test's. *o is overwritten;
 * options_fini it whatever came back. After success output.mode and output.color_* are settled for
 * the descriptors 1 and 2 as they are. */
enum rc options_parse(struct options *o, int argc, char **argv,
                      const char *(*env_get)(const char *name), struct err *e);
void options_fini(struct options *o);

/* Appends a copy of `value` (owned by *o) to a list of *o. RC_OK, RC_NOMEM. */
enum rc options_add(struct options *o, struct strings *list, const char *value, struct err *e);

/* What output.mode and output.color_* are on these descriptors, by -o, --color, NO_COLOR, CLICOLOR,
 * CLICOLOR_FORCE and TERM. */
void options_terminal(struct options *o, bool out_tty, bool err_tty,
                      const char *(*env_get)(const char *name));

/* The options of a run that a retry must repeat, as a JSON object on one line (no secrets; paths
 * made absolute; no values of --env under names like TOKEN or PASSWORD; with --no-log-command
 * neither the command nor any value of --env), and back: restore
 * sets what the retry's own command line did not set. RC_CONFIG when something that was not
 * recorded must be typed again (the message says what), RC_USAGE when what this command line says
 * and what it restored do not go together. */
enum rc options_replay_json(const struct options *o, struct buf *out);
enum rc options_replay_restore(struct options *o, const char *json, struct err *e);

/* For the message about a value that turns out wrong later: "--NAME", or the variable that set it.
 */
const char *options_blame(const struct options *o, const char *name, char *dst, size_t cap);

/* Our own arguments as a record may hold them: values of --env become "***", and with
 * --no-log-command the words after "--" are one "(not logged)". The texts live as long as *o;
 * mem_free out->items, after failure too. */
enum rc options_safe_argv(struct options *o, struct strings *out, struct err *e);

/* The command goes through the agent on the host: as another user, detached, surely ended. */
bool options_through_agent(const struct options *o);

/* A hint for a command given as several words, each of which is quoted, when one of them holds what
 * a shell would have expanded (* $ | ; …), and is not what a shell's own -c takes; "" when there is
 * none. Returns dst. */
char *options_quote_hint(const struct options *o, char *dst, size_t cap);

/* --help text of a verb (VERB_COUNT: the overview), and the OPTIONS part of the manual in scdoc. */
enum rc options_help(enum verb v, struct buf *out);
enum rc options_manual(struct buf *out);
/* The other generated parts of the manual: PROBLEMS (the outcome table), and a completion script
 * for "bash", "zsh" or "fish" (RC_USAGE for another shell). */
enum rc options_manual_problems(struct buf *out);
enum rc options_completion(const char *shell, struct buf *out);
/* --version: ours and those of the libraries. */
enum rc options_version(struct buf *out);

#endif
