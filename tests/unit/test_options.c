/* The command line: every option, who wins, what habits are told, what a retry gets back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/cli/options_table.h"

static const char *fake_env[32][2];

static const char *env_get(const char *name)
{
    for (size_t i = 0; fake_env[i][0] != NULL; i++)
        if (strcmp(fake_env[i][0], name) == 0)
            return fake_env[i][1];
    return NULL;
}

static void put_env(const char *name, const char *value)
{
    size_t i = 0;
    while (fake_env[i][0] != NULL && strcmp(fake_env[i][0], name) != 0)
        i++;
    assert_true(i + 1 < sizeof fake_env / sizeof fake_env[0]);
    fake_env[i][0] = name;
    fake_env[i][1] = value;
}

static int setup(void **state)
{
    (void)state;
    memset(fake_env, 0, sizeof fake_env);
    return 0;
}

/* Cuts a line at blanks; "''" stands for an empty word. */
static enum rc parse(struct options *o, const char *line, struct err *e)
{
    static char space[1024];
    static char *argv[64];
    int argc = 0;
    snprintf(space, sizeof space, "%s", line);
    for (char *p = space; *p != '\0';) {
        size_t n = strcspn(p, " ");
        assert_true(argc < 63);
        argv[argc++] = p;
        bool last = p[n] == '\0';
        p[n] = '\0';
        if (strcmp(p, "''") == 0)
            *p = '\0';
        p += last ? n : n + 1;
    }
    argv[argc] = NULL;
    memset(e, 0, sizeof *e);
    return options_parse(o, argc, argv, env_get, e);
}

static void parse_ok(struct options *o, const char *line)
{
    struct err e;
    enum rc rc = parse(o, line, &e);
    if (rc != RC_OK)
        fail_msg("%s: %s", line, e.msg);
}

static void refuse(const char *line, const char *part)
{
    struct options o;
    struct err e;
    size_t live = mem_live();
    enum rc rc = parse(&o, line, &e);
    options_fini(&o);
    assert_int_equal(mem_live(), live);
    if (rc != RC_USAGE || e.rc != RC_USAGE || strstr(e.msg, part) == NULL)
        fail_msg("%s: rc %s, message '%s' lacks '%s'", line, rc_name(rc), e.msg, part);
}

static void test_defaults(void **state)
{
    (void)state;
    struct options o;
    parse_ok(&o, "muster run web -- uptime -p");
    assert_int_equal(o.verb, VERB_RUN);
    assert_string_equal(o.pattern, "web");
    assert_int_equal(o.words.count, 2);
    assert_string_equal(o.words.items[1], "-p");
    assert_true(o.after_dashes);
    assert_int_equal(o.fanout, 256);
    assert_int_equal(o.connect_timeout_ms, 10000);
    assert_int_equal(o.timeout_ms, 300000);
    assert_int_equal(o.silence_timeout_ms, 0);
    assert_int_equal(o.deadline_ms, 0);
    assert_int_equal(o.retries, 2);
    assert_int_equal(o.guard, 50);
    assert_int_equal(o.output.max_output, 1048576);
    assert_int_equal(o.host_keys, HOST_KEYS_STRICT);
    assert_false(o.max_fail_set || o.expect_set || o.output_set || o.no_breaker);
    assert_int_equal(o.output.connect_timeout_ms, 10000);
    options_fini(&o);
}

/* One row per way to give a value: a line, and a look at what came of it. */
struct row {
    const char *line;
    bool (*check)(const struct options *o);
};

#define CHECK(name, test)                                                                          \
    static bool name(const struct options *o)                                                      \
    {                                                                                              \
        return test;                                                                               \
    }
#define IS(text, want) ((text) != NULL && strcmp((text), (want)) == 0)

CHECK(is_inventory, o->inventories.count == 2 && IS(o->inventories.items[1], "b"))
CHECK(is_hosts, o->hosts_exprs.count == 1 && IS(o->hosts_exprs.items[0], "a,b") && !o->pattern)
CHECK(is_limit, o->limits.count == 1 && IS(o->limits.items[0], "db"))
CHECK(is_exclude, o->excludes.count == 1 && IS(o->excludes.items[0], "db"))
CHECK(is_where, IS(o->where, "a==1"))
CHECK(is_list, o->list_only)
CHECK(is_user, IS(o->user, "deploy") && !o->user_is_default)
CHECK(is_port, o->port == 2222)
CHECK(is_key, o->keys.count == 1 && IS(o->keys.items[0], "k"))
CHECK(is_ask_pass, o->ask_pass)
CHECK(is_certificates, o->certificates.count == 2 && IS(o->certificates.items[0], "a-cert.pub"))
CHECK(is_agent, IS(o->agent, "/run/agent"))
CHECK(is_no_agent, IS(o->agent, "none") && o->agent_mode == AGENT_CACHED)
CHECK(is_temporary, IS(o->agent, "/run/agent") && o->agent_mode == AGENT_TEMPORARY)
CHECK(is_known, o->known_hosts.count == 1 && IS(o->known_hosts.items[0], "kh"))
CHECK(is_ssh_config, IS(o->ssh_config, "f") && o->ssh_words.count == 1 && o->port == 5 &&
                         IS(o->ssh_words.items[0], "Ciphers=x"))
CHECK(is_openssh, o->no_openssh && o->openssh_max == 9)
CHECK(is_known2, o->known_hosts.count == 2 && IS(o->known_hosts.items[1], "b"))
CHECK(is_accept_new, o->host_keys == HOST_KEYS_ACCEPT_NEW)
CHECK(is_off, o->host_keys == HOST_KEYS_OFF)
CHECK(is_strict, o->host_keys == HOST_KEYS_STRICT)
CHECK(is_connect3, o->connect_timeout_ms == 3000 && o->output.connect_timeout_ms == 3000)
CHECK(is_alias, IS(o->host_key_alias, "x") && o->ssh_options.count == 1)
CHECK(is_fanout, o->fanout == 7)
CHECK(is_rate, o->rate > 49.99 && o->rate < 50.01)
CHECK(is_rate_minute, o->rate > 0.499 && o->rate < 0.501)
CHECK(is_rate_fraction, o->rate > 0.249 && o->rate < 0.251)
CHECK(is_workers, o->workers == 3)
CHECK(is_timeout, o->timeout_ms == 90000)
CHECK(is_timeout0, o->timeout_ms == 0)
CHECK(is_silence, o->silence_timeout_ms == 500)
CHECK(is_deadline, o->deadline_ms == 7200000)
CHECK(is_retries0, o->retries == 0)
CHECK(is_retry_on, o->retry_on_count == 3 && o->retry_on[0].kind == RETRY_ON_STATUS &&
                       o->retry_on[0].value == STATUS_LOST &&
                       o->retry_on[1].kind == RETRY_ON_EXIT && o->retry_on[1].value == 75 &&
                       o->retry_on[2].kind == RETRY_ON_PROBLEM &&
                       o->retry_on[2].value == PROBLEM_CONNECT_TIMEOUT)
CHECK(is_max_fail, o->max_fail_set && o->max_fail == 5 && !o->max_fail_percent)
CHECK(is_max_fail_percent, o->max_fail_set && o->max_fail == 10 && o->max_fail_percent)
CHECK(is_serial, o->wave_count == 3 && o->waves[0].n == 1 && !o->waves[0].percent &&
                     o->waves[1].n == 10 && o->waves[1].percent && o->max_fail_set &&
                     o->max_fail == 0)
CHECK(is_serial_fail, o->wave_count == 1 && o->max_fail_set && o->max_fail == 5)
CHECK(is_no_breaker, o->no_breaker)
CHECK(is_breaker, !o->no_breaker)
CHECK(is_env, o->env.count == 2 && IS(o->env.items[0], "A=1") && IS(o->env.items[1], "B="))
CHECK(is_cwd, IS(o->cwd, "/srv"))
CHECK(is_stdin, IS(o->stdin_path, "-"))
CHECK(is_script, IS(o->script, "x.sh") && o->words.count == 1)
CHECK(is_raw, o->raw)
CHECK(is_dry_run, o->dry_run)
CHECK(is_yes, o->yes)
CHECK(is_guard, o->guard == 0)
CHECK(is_expect, o->expect_set && o->expect_min == 3 && o->expect_max == 3)
CHECK(is_expect_range, o->expect_set && o->expect_min == 3 && o->expect_max == 9)
CHECK(is_protected, o->allow_protected)
CHECK(is_reason, IS(o->reason, "why"))
CHECK(is_no_log, o->no_log_command)
CHECK(is_json, o->output_set && o->output.mode == OUTPUT_JSON)
CHECK(is_ndjson, o->output.mode == OUTPUT_NDJSON)
CHECK(is_csv, o->output.mode == OUTPUT_CSV)
CHECK(is_none, o->output.mode == OUTPUT_NONE)
CHECK(is_jump, IS(o->jump, "a,b@c:7"))
CHECK(is_stream, o->output.mode == OUTPUT_STREAM && o->output.no_prefix)
CHECK(is_columns, o->output.mode == OUTPUT_TABLE && IS(o->output.columns, "host,exit"))
CHECK(is_out_dir, IS(o->out_dir, "d"))
CHECK(is_match, IS(o->output.match, "a+"))
CHECK(is_ignore, o->output.ignore_count == 2 && IS(o->output.ignore[1], "b"))
CHECK(is_tally, IS(o->output.tally, "v(.)"))
CHECK(is_compare, o->output.compare)
CHECK(is_max_output, o->output.max_output == 65536)
CHECK(is_max_memory, o->output.max_memory == 1048576)
CHECK(is_qvv, o->output.quiet && o->output.verbose == 2)
CHECK(is_color, o->color == TRI_ALWAYS && o->output.color_out && o->output.color_err)
CHECK(is_progress, o->progress == TRI_NEVER)
CHECK(is_fold, o->hosts_view == HOSTS_FOLD && o->words.count == 2)
CHECK(is_expand, o->hosts_view == HOSTS_EXPAND)
CHECK(is_count, o->hosts_view == HOSTS_COUNT_ONLY)
CHECK(is_vars, o->hosts_view == HOSTS_VARS && IS(o->vars_host, "web1"))
CHECK(is_graph, o->hosts_view == HOSTS_GRAPH)
CHECK(is_view_json, o->hosts_view == HOSTS_JSON)
CHECK(is_retry, o->verb == VERB_RETRY && IS(o->pattern, "last") && o->retry_select.count == 2 &&
                    IS(o->retry_select.items[0], "failed") &&
                    IS(o->retry_select.items[1], "unreachable"))
CHECK(is_retry_rest,
      o->retry_select.count == 6 && IS(o->retry_select.items[0], "signaled") &&
          IS(o->retry_select.items[1], "timeout") && IS(o->retry_select.items[2], "auth-failed") &&
          IS(o->retry_select.items[3], "host-key") && IS(o->retry_select.items[4], "lost") &&
          IS(o->retry_select.items[5], "not-started"))
CHECK(is_retry_agents, o->retry_select.count == 2 && IS(o->retry_select.items[0], "resource") &&
                           IS(o->retry_select.items[1], "busy"))
CHECK(is_retry_odd, o->retry_select.count == 2 && IS(o->retry_select.items[0], "unknown") &&
                        IS(o->retry_select.items[1], "cancelled"))
CHECK(is_retry_all, o->retry_select.count == STATUS_COUNT - 1)
CHECK(is_retry_before, o->verb == VERB_RETRY && IS(o->pattern, "-2"))
CHECK(is_last, o->history_max == 5 && o->output.mode == OUTPUT_TABLE)
CHECK(is_state, IS(o->state_dir, "/s") && IS(o->pattern, "last") && o->output.mode == OUTPUT_GROUP)
CHECK(is_vault, o->verb == VERB_VAULT && o->vault_action == VAULT_REKEY && o->words.count == 2 &&
                    IS(o->words.items[1], "g") && IS(o->vault_key.file, "k") &&
                    IS(o->new_vault_key.command, "c") && o->vault_key.fd == UINT32_MAX)
CHECK(is_vault_fd, o->vault_action == VAULT_REKEY && o->vault_key.fd == 0 &&
                       o->new_vault_key.fd == 4 && o->vault_key.file == NULL)
CHECK(is_vault_command, o->vault_action == VAULT_EDIT && IS(o->vault_key.command, "pass") &&
                            IS(o->words.items[0], "-f"))
CHECK(is_vault_new, o->vault_action == VAULT_REKEY && IS(o->new_vault_key.file, "n"))
CHECK(is_vault_value, o->vault_action == VAULT_ENCRYPT && IS(o->vault_name, "db") &&
                          IS(o->vault_like, "v.yml") && o->words.count == 0)
CHECK(is_keyscan, o->verb == VERB_KEYSCAN && IS(o->pattern, "web") &&
                      o->keyscan.types == (KEYSCAN_RSA | KEYSCAN_ED25519) &&
                      o->keyscan.verify.count == 2 && o->keyscan.ca.count == 1 &&
                      o->keyscan.sshfp && IS(o->keyscan.sshfp_server, "127.0.0.1") &&
                      o->keyscan.only_verified && o->keyscan.replace && o->keyscan.hash && o->yes)
CHECK(is_keyscan_forget, o->verb == VERB_KEYSCAN && o->keyscan.forget && o->hosts_exprs.count == 1)
CHECK(is_stats, o->verb == VERB_STATS && IS(o->pattern, "web") && o->output.mode == OUTPUT_TABLE &&
                    IS(o->stats.only, "cpu,disk") && IS(o->stats.filter, "load1>3") &&
                    IS(o->stats.sort, "-load1") && o->stats.interval_ms == 5000 &&
                    o->stats.samples == 3 && o->stats.detail)
CHECK(is_stats_top, o->stats.top == 10 && IS(o->stats.by, "rss") && o->hosts_exprs.count == 1)
CHECK(is_stats_by,
      IS(o->stats.by, "dc") && IS(o->output.columns, "host,load1") && o->output.mode == OUTPUT_CSV)
CHECK(is_stats_prometheus, o->output.mode == OUTPUT_PROMETHEUS)
CHECK(is_become, IS(o->become, "root") && o->ask_become_pass && o->words.count == 1)
CHECK(is_become_user, IS(o->become, "deploy") && IS(o->pattern, "web"))
CHECK(is_detached, o->detach && !o->disconnect_kills && options_through_agent(o))
CHECK(is_killed, o->disconnect_kills && !o->detach && options_through_agent(o))
CHECK(is_plain, !options_through_agent(o))
CHECK(is_attach, o->verb == VERB_ATTACH && IS(o->pattern, "-2") && o->no_follow)
CHECK(is_agent_dirs,
      o->agent_dirs.count == 2 && IS(o->agent_dirs.items[1], "/srv/b") && IS(o->capture, "cap"))
CHECK(is_vault_stdin, o->vault_action == VAULT_VIEW && o->words.count == 0)

static const struct row rows[] = {
    {"muster run -i a --inventory=b all -- x", is_inventory},
    {"muster run -w a,b -- x", is_hosts},
    {"muster run --hosts a,b -- x", is_hosts},
    {"muster run web -l db -- x", is_limit},
    {"muster run web --limit=db -- x", is_limit},
    {"muster run web -x db -- x", is_exclude},
    {"muster run web -xdb -- x", is_exclude},
    {"muster run web --where a==1 -- x", is_where},
    {"muster run web --list", is_list},
    {"muster run -u deploy web -- x", is_user},
    {"muster run -O User=deploy web -- x", is_user},
    {"muster run -O user=deploy web -- x", is_user},
    {"muster run -p 2222 web -- x", is_port},
    {"muster run -O Port=2222 web -- x", is_port},
    {"muster run --key k web -- x", is_key},
    {"muster run -O IdentityFile=k web -- x", is_key},
    {"muster run --known-hosts kh web -- x", is_known},
    {"muster run --openssh-max 9 --no-openssh web -- x", is_openssh},
    {"muster run -F f -O Ciphers=x -O Port=5 web -- x", is_ssh_config},
    {"muster run --ask-pass web -- x", is_ask_pass},
    {"muster run --certificate a-cert.pub -O CertificateFile=b web -- x", is_certificates},
    {"muster run --ssh-agent /run/agent web -- x", is_agent},
    {"muster run --agent /run/agent web -- x", is_agent}, /* as it was spelt once */
    {"muster run --agent none web -- x", is_no_agent},
    {"muster run --agent temporary --ssh-agent /run/agent web -- x", is_temporary},
    {"muster stats --agent /run/agent --agent temporary web", is_temporary},
    {"muster run -O IdentityAgent=none web -- x", is_no_agent},
    {"muster run -O UserKnownHostsFile=kh web -- x", is_known},
    {"muster run --known-hosts a --known-hosts b web -- x", is_known2},
    {"muster run --host-keys accept-new web -- x", is_accept_new},
    {"muster run -O StrictHostKeyChecking=accept-new web -- x", is_accept_new},
    {"muster run -O StrictHostKeyChecking=no web -- x", is_off},
    {"muster run --host-keys off -O StrictHostKeyChecking=yes web -- x", is_strict},
    {"muster run --connect-timeout 3s web -- x", is_connect3},
    {"muster run -O ConnectTimeout=3 web -- x", is_connect3},
    {"muster run -O HostKeyAlias=x web -- x", is_alias},
    {"muster run -f 7 web -- x", is_fanout},
    {"muster run -f7 web -- x", is_fanout},
    {"muster run --fanout=7 web -- x", is_fanout},
    {"muster run --rate 50/s web -- x", is_rate},
    {"muster run --rate 50 web -- x", is_rate},
    {"muster run --rate 30/m web -- x", is_rate_minute},
    {"muster run --rate 0.25/s web -- x", is_rate_fraction},
    {"muster run --workers 3 web -- x", is_workers},
    {"muster run --timeout 1.5m web -- x", is_timeout},
    {"muster run --timeout 0 web -- x", is_timeout0},
    {"muster run --silence-timeout 500ms web -- x", is_silence},
    {"muster run --deadline 2h web -- x", is_deadline},
    {"muster run --retries 0 web -- x", is_retries0},
    {"muster run --retry-on lost,exit=75,connect-timeout web -- x", is_retry_on},
    {"muster run --retry-on lost --retry-on exit=75,connect-timeout web -- x", is_retry_on},
    {"muster run --max-fail 5 web -- x", is_max_fail},
    {"muster run --max-fail 10% web -- x", is_max_fail_percent},
    {"muster run --serial 1,10%,50% web -- x", is_serial},
    {"muster run --serial 2 --max-fail 5 web -- x", is_serial_fail},
    {"muster run --no-breaker web -- x", is_no_breaker},
    {"muster run --no-breaker=no web -- x", is_breaker},
    {"muster run --env A=1 --env B= web -- x", is_env},
    {"muster run --cwd /srv web -- x", is_cwd},
    {"muster run --stdin - web -- x", is_stdin},
    {"muster run --script x.sh web -- arg", is_script},
    {"muster run --raw web -- x", is_raw},
    {"muster run --dry-run web -- x", is_dry_run},
    {"muster run -y web -- x", is_yes},
    {"muster run --guard 0 web -- x", is_guard},
    {"muster run --expect 3 web -- x", is_expect},
    {"muster run --expect 3-9 web -- x", is_expect_range},
    {"muster run --allow-protected web -- x", is_protected},
    {"muster run --reason why web -- x", is_reason},
    {"muster run --no-log-command web -- x", is_no_log},
    {"muster run -o json web -- x", is_json},
    {"muster run -o ndjson web -- x", is_ndjson},
    {"muster run -o csv web -- x", is_csv},
    {"muster run -o none web -- x", is_none},
    {"muster run -J a,b@c:7 web -- x", is_jump},
    {"muster run -N -o stream web -- x", is_stream},
    {"muster run -o table --columns host,exit web -- x", is_columns},
    {"muster show -o table --columns host,exit", is_columns},
    {"muster run --detach --capture d web -- x", is_detached},
    {"muster run --out-dir d web -- x", is_out_dir},
    {"muster run --match a+ web -- x", is_match},
    {"muster run --ignore a --ignore b web -- x", is_ignore},
    {"muster run --tally v(.) web -- x", is_tally},
    {"muster run --compare web -- x", is_compare},
    {"muster run --max-output 64K web -- x", is_max_output},
    {"muster run --max-memory 1M web -- x", is_max_memory},
    {"muster run -qvv web -- x", is_qvv},
    {"muster run --color always web -- x", is_color},
    {"muster run --progress never web -- x", is_progress},
    {"muster hosts --fold a b", is_fold},
    {"muster hosts --expand a[1-2]", is_expand},
    {"muster hosts --count all", is_count},
    {"muster hosts --vars web1", is_vars},
    {"muster hosts --graph", is_graph},
    {"muster hosts --json", is_view_json},
    {"muster retry last --failed --unreachable", is_retry},
    {"muster retry last --signaled --timed-out --auth-failed --host-key --lost --not-started",
     is_retry_rest},
    {"muster retry last --unknown --cancelled", is_retry_odd},
    {"muster retry last --resource --busy", is_retry_agents},
    {"muster retry last --all-not-ok", is_retry_all},
    {"muster retry -2", is_retry_before},
    {"muster vault rekey f g --vault-key k --new-vault-key-command c", is_vault},
    {"muster vault rekey f --vault-key-fd 0 --new-vault-key-fd 4", is_vault_fd},
    {"muster vault edit --vault-key-command pass -- -f", is_vault_command},
    {"muster vault rekey --new-vault-key n f", is_vault_new},
    {"muster vault encrypt --name db --like v.yml", is_vault_value},
    {"muster vault view -", is_vault_stdin},
    {"muster keyscan --types rsa,ed25519 --verify a --verify b --ca c --sshfp --sshfp-server "
     "127.0.0.1 --only-verified --replace --hash -y web",
     is_keyscan},
    {"muster keyscan --forget -w web1", is_keyscan_forget},
    {"muster stats --only cpu,disk --filter load1>3 --sort -load1 --interval 5s --samples 3 "
     "--detail web",
     is_stats},
    {"muster run --become --ask-become-pass web -- x", is_become},
    {"muster run web --become=deploy -- x", is_become_user},
    {"muster run --become=deploy web -- x", is_become_user},
    {"muster run --detach web -- x", is_detached},
    {"muster run --detach --timeout 0 --on-disconnect continue web -- x", is_detached},
    {"muster run --on-disconnect kill web -- x", is_killed},
    {"muster run --on-disconnect continue web -- x", is_plain},
    {"muster attach --no-follow -2", is_attach},
    {"muster stats --agent-dir /srv/a --agent-dir /srv/b --capture cap web", is_agent_dirs},
    {"muster stats --top 10 --by rss -w web1", is_stats_top},
    {"muster stats --by dc --columns host,load1 -o csv web", is_stats_by},
    {"muster stats -o prometheus web", is_stats_prometheus},
    {"muster history --last 5", is_last},
    {"muster show --state /s", is_state},
};

static void test_every_option(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct options o;
        parse_ok(&o, rows[i].line);
        if (!rows[i].check(&o))
            fail_msg("not as it should be: %s", rows[i].line);
        options_fini(&o);
        assert_int_equal(mem_live(), live);
    }
}

/* No option may go untested: each name or letter of the table stands in some row above. */
static void test_rows_cover_the_table(void **state)
{
    (void)state;
    for (size_t k = 0; k < option_count; k++) {
        const struct option_def *d = &option_table[k];
        char words[2][48];
        bool found = d->flags & OPTION_HIDDEN || d->set == set_help;
        snprintf(words[0], sizeof words[0], " --%s", d->name);
        snprintf(words[1], sizeof words[1], " -%c", d->letter ? d->letter : ' ');
        for (size_t i = 0; !found && i < sizeof rows / sizeof rows[0]; i++)
            found = strstr(rows[i].line, words[0]) != NULL ||
                    (d->letter && strstr(rows[i].line, words[1]) != NULL);
        if (!found && d->letter != 'v')
            fail_msg("--%s is tested nowhere", d->name);
    }
}

static void test_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_def *d = &option_table[i];
        assert_non_null(d->set);
        assert_true(d->verbs != 0 && d->help[0] != '\0' && d->help[strlen(d->help) - 1] != '.');
        assert_true(d->values != NULL);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(d->name, option_table[k].name);
            assert_true(d->letter == 0 || d->letter != option_table[k].letter);
        }
        /* Letters that mean something else to clush or Ansible stay free. */
        assert_true(d->letter == 0 || strchr("bkKte", d->letter) == NULL);
        char spelling[64];
        snprintf(spelling, sizeof spelling, "--%s", d->name);
        assert_null(habit_of_option(spelling));
        snprintf(spelling, sizeof spelling, "-%c", d->letter ? d->letter : '-');
        assert_null(habit_of_option(spelling));
    }
}

static void test_retry_chooses_every_status(void **state)
{
    (void)state;
    for (int s = STATUS_OK + 1; s < STATUS_COUNT; s++) {
        bool found = false;
        for (size_t i = 0; i < option_count; i++)
            found = found ||
                    (option_table[i].set == set_retry_status && option_table[i].min == (uint64_t)s);
        if (!found)
            fail_msg("no option of retry for %s", status_name((enum status)s));
    }
}

static void test_wrong_lines(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"muster", "which verb? run, "},
        {"muster", "stats, attach, debug or help"},
        {"muster zzzzzz", "stats, attach, debug or help"},
        {"muster -v", "options follow the verb"},
        {"muster rnu web -- x", "did you mean 'muster run'?"},
        {"muster uptime", "muster run PATTERN -- uptime"},
        {"muster copy web a b", "not in this version"},
        {"muster push plan", "not in this version"},
        {"muster run", "which hosts?"},
        {"muster run web", "no command: muster run web -- COMMAND"},
        {"muster run web --", "no command"},
        {"muster run web -- ''", "no command"},
        {"muster run -- uptime", "which hosts?"},
        {"muster run '' -- uptime", "empty word"},
        {"muster run web uptime", "type: muster run web -- uptime"},
        {"muster run web -f 5 ls -l", "type: muster run web -f 5 -- ls -l"},
        {"muster run web ls -la /tmp", "type: muster run web -- ls -la /tmp"},
        {"muster run web echo a*b", "-- echo 'a*b'"},
        {"muster run -w a,b uptime", "type: muster run -w a,b -- uptime"},
        {"muster run web -m shell -a uptime", "-m: there are no modules"},
        {"muster run web --frobnicate ls", "unknown option --frobnicate"},
        {"muster history -o csv", "-o: history is shown as table, json or ndjson"},
        {"muster run web db -- uptime", "one PATTERN only: 'web' and 'db'"},
        {"muster run web -w a -- uptime", "both -w and the pattern 'web'"},
        {"muster run web --fannout 3 -- x", "did you mean --fanout?"},
        {"muster run web --timout 3s -- x", "did you mean --timeout?"},
        {"muster run web --frobnicate -- x", "muster run --help lists them"},
        {"muster run web -Z -- x", "unknown option -Z"},
        {"muster run web -f", "-f needs a value: -f N"},
        {"muster run web -f 0 -- x", "-f: 0 is out of range"},
        {"muster run web -f many -- x", "-f: 'many' is not a whole number"},
        {"muster run web -f 99999999999999999999 -- x", "too large"},
        {"muster run web --timeout 30 -- x", "write 30s for seconds"},
        {"muster run web --timeout= -- x", "--timeout"},
        {"muster run web --connect-timeout 0 -- x", "--connect-timeout"},
        {"muster run web --rate 0 -- x", "--rate"},
        {"muster run web --rate fast -- x", "write 50/s"},
        {"muster run web --rate 1/h -- x", "write 50/s"},
        {"muster run web --serial 1,,2 -- x", "--serial"},
        {"muster run web --serial 0 -- x", "would never end"},
        {"muster run web --serial 120% -- x", "--serial"},
        {"muster run web --max-fail -1 -- x", "--max-fail"},
        {"muster run web --max-fail 101% -- x", "--max-fail"},
        {"muster run web --expect 9-3 -- x", "ends before it begins"},
        {"muster run web --expect some -- x", "not N or N-M"},
        {"muster run web --env 1A=b -- x", "not NAME=VALUE"},
        {"muster run web --env MUSTER_HOST=b -- x", "are ours"},
        {"muster run web --retry-on often -- x", "neither a status"},
        {"muster run web --retry-on exit=0 -- x", "--retry-on"},
        {"muster run web --retry-on ok -- x", "neither a status"},
        {"muster run web --host-keys maybe -- x", "not one of strict, accept-new or off"},
        {"muster run web -o jsn -- x",
         "'jsn' is not one of group, stream, json, ndjson, csv, table or "
         "none"},
        {"muster stats -o jsn web", "not one of table, json, ndjson, csv, prometheus or none"},
        {"muster history -o jsn", "not one of table, json or ndjson"},
        {"muster keyscan -o jsn web", "not one of group, json, ndjson, csv, table or none"},
        {"muster run web -O Compression=yes -- x", "we know User, Port"},
        {"muster run web -O User -- x", "is not KEY=VALUE"},
        {"muster run web -O Port=99999 -- x", "Port: 99999 is out of range"},
        {"muster run web -O StrictHostKeyChecking=ask -- x", "nobody can be asked"},
        {"muster run web --yes=maybe -- x", "neither true nor false"},
        {"muster run web --script a --raw", "--raw does without one"},
        {"muster run web --script a --stdin b", "so --stdin cannot"},
        {"muster run web --failed -- x", "not an option of 'muster run' (it belongs to: retry)"},
        {"muster hosts --fold --graph", "only one of"},
        {"muster hosts -f 3", "-f is not an option of 'muster hosts'"},
        {"muster history web", "takes no words"},
        {"muster history -o csv", "table, json or ndjson"},
        {"muster show a b", "one RUN only"},
        {"muster show last -- x", "takes no command"},
        {"muster retry", "which run?"},
        {"muster keyscan", "which hosts? muster keyscan PATTERN"},
        {"muster keyscan a b", "one PATTERN only"},
        {"muster keyscan -w a b", "both -w and the pattern"},
        {"muster keyscan web -- x", "takes no command"},
        {"muster keyscan --types dsa web", "none of ed25519, ecdsa and rsa"},
        {"muster keyscan --types ed25519,,rsa web", "'' is none of"},
        {"muster keyscan --forget --replace web", "looks at none"},
        {"muster keyscan --sshfp-server 127.0.0.1 web", "add --sshfp"},
        {"muster keyscan -o stream web", "keyscan is shown as"},
        {"muster stats", "which hosts? muster stats PATTERN"},
        {"muster stats a b", "one PATTERN only"},
        {"muster stats web -- x", "takes no command"},
        {"muster stats -o stream web", "stats is shown as"},
        {"muster run -o prometheus web -- x", "a form of 'muster stats' only"},
        {"muster stats --samples 3 web", "add --interval"},
        {"muster stats --interval 5 web", "--interval: "},
        {"muster stats --interval 100ms web", "out of range (200ms to 1d)"},
        {"muster stats --interval 5s -o json web", "take -o ndjson"},
        {"muster stats --interval 5s -o prometheus web", "leave out --interval"},
        {"muster stats -o prometheus --by dc web", "names and lines of its own"},
        {"muster stats --top 5 --by dc web", "none of rss, cpu and io"},
        {"muster stats --by dc --sort host web", "leave out --sort"},
        {"muster stats --agent never-ever web", "none of cached, temporary, never and installed"},
        {"muster run --ssh-agent cached web -- x", "absolute path of a socket"},
        {"muster stats --serial 1 web", "not an option of 'muster stats'"},
        {"muster vault", "which action? muster vault encrypt, decrypt"},
        {"muster vault encrypt_string x", "muster vault encrypt --name NAME"},
        {"muster vault open f", "'open' is none of encrypt"},
        {"muster vault edit", "one FILE, not 0"},
        {"muster vault view a b", "one FILE, not 2"},
        {"muster vault rekey", "which files?"},
        {"muster vault rekey --name x f", "--name belongs to"},
        {"muster vault view --like x f", "--like belongs to encrypt"},
        {"muster vault view --new-vault-key x f", "--new-vault-key belongs to rekey"},
        {"muster vault view --vault-key-fd 0", "through another descriptor"},
        {"muster vault rekey f --vault-key-fd 3 --new-vault-key-fd 3", "cannot give both keys"},
        {"muster vault encrypt ''", "an empty word names no file"},
        {"muster retry last --timeout", "--timed-out"},
        {"muster help rnu", "did you mean 'muster run'"},
        {"muster --completion csh", "bash, zsh or fish"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        refuse(table[i][0], table[i][1]);
}

static void test_habits(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"muster run web -u 30 -- x", "--timeout 30s"},
        {"muster run web -l root -- x", "-u root"},
        {"muster run web -b -- x", "-o group"},
        {"muster run web -k -- x", "--max-fail 0"},
        {"muster run web -k -- x", "--ask-pass"},
        {"muster run web --password x -- x", "--ask-pass"},
        {"muster run web -K -- x", "--ask-become-pass"},
        {"muster run web -t 10 -- x", "--connect-timeout 10s"},
        {"muster run web -e A=b -- x", "--env NAME=VALUE"},
        {"muster run web -m shell -- x", "no modules"},
        {"muster run -g web -- x", "a group is a pattern"},
        {"muster run web -o StrictHostKeyChecking=no -- x", "-O KEY=VALUE"},
        {"muster run web -i ~/.ssh/id_ed25519 -- x", "--key ~/.ssh/id_ed25519"},
        {"muster run web --forks 3 -- x", "--fanout N"},
        {"muster run web --become-user x -- x", "--become=USER"},
        {"muster run web --ask-become-pass -- x", "add it"},
        {"muster run web --become --raw -- x", "--raw"},
        {"muster run web --become --agent never -- x", "--agent never"},
        {"muster run web --detach --become -- x", "--detach starts plain commands"},
        {"muster run web --detach --timeout 1s -- x", "-- timeout 1h COMMAND"},
        {"muster run web --detach --on-disconnect kill -- x", "leave one of them out"},
        {"muster run web --capture d -- x", "add --become, --detach or --on-disconnect kill"},
        {"muster run web --columns host -- x", "add -o table or -o csv"},
        {"muster run web --columns host -o json -- x", "add -o table or -o csv"},
        {"muster show --columns host", "add -o table or -o csv"},
        {"muster attach last --columns host -o stream", "add -o table or -o csv"},
        {"muster run web --become=a:b -- x", "no user's name"},
        {"muster stats web --agent-dir srv", "absolute"},
        {"muster debug", "debug frames FILE"},
        {"muster stats --become=deploy web", "root's or the login's own"},
        {"muster stats --become --agent installed web", "not the installed one"},
        {"muster stats --ask-become-pass web", "add it"},
        {"muster run web -ub -b -- x", "-o group"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        refuse(table[i][0], table[i][1]);
    struct options o;
    parse_ok(&o, "muster run web --user 30 --limit root -- x");
    assert_string_equal(o.user, "30");
    assert_string_equal(o.limits.items[0], "root");
    options_fini(&o);
}

static enum rc config(struct options *o, const char *text, struct err *e)
{
    memset(e, 0, sizeof *e);
    return config_parse(o, "c.yml", "/conf", "/h/me", text, strlen(text), e);
}

static void test_config(void **state)
{
    (void)state;
    struct options o;
    struct err e;
    parse_ok(&o, "muster history");
    assert_int_equal(
        config(&o,
               "# ours\nfanout: 9\nconnect_timeout: 4s\nkey: [~/k1, k2, /k3]\n"
               "no-breaker: true\ninventory: hosts.yml\noutput: ndjson\nuser: deploy\n",
               &e),
        RC_OK);
    assert_int_equal(o.fanout, 9);
    assert_int_equal(o.connect_timeout_ms, 4000);
    assert_int_equal(o.keys.count, 3);
    assert_string_equal(o.keys.items[0], "/h/me/k1");
    assert_string_equal(o.keys.items[1], "/conf/k2");
    assert_string_equal(o.keys.items[2], "/k3");
    assert_string_equal(o.inventories.items[0], "/conf/hosts.yml");
    assert_true(o.no_breaker);
    assert_int_equal(o.output.mode, OUTPUT_NDJSON);
    options_fini(&o);
}

static void test_config_errors(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"fanout: 9\nfannout: 3\n", "c.yml:2:1: unknown key 'fannout'; did you mean 'fanout'?"},
        {"fanout: lots\n", "c.yml:1:9: fanout: 'lots' is not a whole number"},
        {"fanout: 1\nfanout: 2\n", "c.yml:2:1: 'fanout' is given twice"},
        {"yes: true\n", "c.yml:1:1: 'yes' can only be given on the command line"},
        {"fanout: [1, 2]\n", "c.yml:1:9: fanout takes one value"},
        {"key:\n  - a: b\n", "c.yml:2:5: key: only plain values"},
        {"fanout:\n  a: b\n", "c.yml:2:3: fanout: a plain value"},
        {"- fanout\n", "c.yml:1:1: lines like"},
        {"fanout: *x\n", "c.yml:1:9: "},
        {"fanout: 1\n---\nfanout: 2\n", "one document only"},
        {"fanout: \"1\n", "c.yml:"},
        {"user:\n", "c.yml:1:6: user: the value is empty"},
        {"\x1b]0;x\x07: 1\n", "c.yml:1:1"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o;
        struct err e;
        parse_ok(&o, "muster history");
        enum rc rc = config(&o, table[i][0], &e);
        if (rc != RC_CONFIG || strstr(e.msg, table[i][1]) == NULL)
            fail_msg("%s: '%s' lacks '%s'", table[i][0], e.msg, table[i][1]);
        assert_null(strchr(e.msg, '\x1b'));
        options_fini(&o);
    }
    struct options o;
    struct err e;
    parse_ok(&o, "muster history");
    assert_int_equal(config(&o, "", &e), RC_OK);
    assert_int_equal(config(&o, "# nothing\n", &e), RC_OK);
    options_fini(&o);
}

/* Command line before environment before file before default; lists are replaced, not joined. */
static void test_precedence(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-options-XXXXXX";
    int fd = mkstemp(path);
    const char text[] = "fanout: 1\nretries: 1\nkey: [a, b]\nworkers: 1\nuser: c\nport: 23\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    put_env("MUSTER_CONFIG", path);
    put_env("MUSTER_FANOUT", "2");
    put_env("MUSTER_RETRIES", "3");
    put_env("MUSTER_USER", "env");
    put_env("MUSTER_INVENTORY", "inv");
    put_env("MUSTER_TIMEOUT", "");
    struct options o;
    parse_ok(&o, "muster run web -f 5 --key /x -u cli -- x");
    assert_int_equal(o.fanout, 5);
    assert_int_equal(o.retries, 3);
    assert_int_equal(o.workers, 1);
    assert_int_equal(o.keys.count, 1);
    assert_string_equal(o.keys.items[0], "/x");
    assert_string_equal(o.user, "cli");
    assert_false(o.user_is_default || o.keys_are_default);
    assert_true(o.port_is_default && o.port == 23);
    assert_string_equal(o.inventories.items[0], "inv");
    assert_int_equal(o.timeout_ms, 300000);
    options_fini(&o);
    parse_ok(&o, "muster run web -i other -- x");
    assert_int_equal(o.inventories.count, 1);
    assert_string_equal(o.inventories.items[0], "other");
    assert_true(o.user_is_default && strcmp(o.user, "env") == 0);
    options_fini(&o);
    put_env("MUSTER_OUTPUT", "csv"); /* meant for runs: no reason to refuse a list of them */
    parse_ok(&o, "muster history");
    assert_int_equal(o.output.mode, OUTPUT_TABLE);
    options_fini(&o);
    put_env("MUSTER_FANOUT", "no");
    refuse("muster run web -- x", "MUSTER_FANOUT: 'no' is not");
    put_env("MUSTER_CONFIG", "/nonexistent/c.yml");
    struct err e;
    assert_int_equal(parse(&o, "muster run web -- x", &e), RC_CONFIG);
    options_fini(&o);
    unlink(path);
}

static void test_terminal(void **state)
{
    (void)state;
    struct options o;
    static const struct {
        const char *no, *cli, *force, *term;
        enum tri color;
        bool tty, want;
    } table[] = {
        {NULL, NULL, NULL, "xterm", TRI_AUTO, true, true},
        {NULL, NULL, NULL, "xterm", TRI_AUTO, false, false},
        {"1", NULL, NULL, "xterm", TRI_AUTO, true, false},
        {"", NULL, NULL, "xterm", TRI_AUTO, true, true},
        {"1", NULL, NULL, "xterm", TRI_ALWAYS, false, true},
        {NULL, "0", NULL, "xterm", TRI_AUTO, true, false},
        {NULL, NULL, "1", "xterm", TRI_AUTO, false, true},
        {"1", NULL, "1", "xterm", TRI_AUTO, true, false},
        {NULL, NULL, "0", "xterm", TRI_AUTO, false, false},
        {NULL, NULL, NULL, "dumb", TRI_AUTO, true, false},
        {NULL, NULL, NULL, NULL, TRI_AUTO, true, false},
        {NULL, NULL, "1", "xterm", TRI_NEVER, true, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        parse_ok(&o, "muster run web -- x");
        put_env("NO_COLOR", table[i].no);
        put_env("CLICOLOR", table[i].cli);
        put_env("CLICOLOR_FORCE", table[i].force);
        put_env("TERM", table[i].term);
        o.color = table[i].color;
        options_terminal(&o, table[i].tty, table[i].tty, env_get);
        assert_int_equal(o.output.color_out, table[i].want);
        assert_int_equal(o.output.mode, table[i].tty ? OUTPUT_GROUP : OUTPUT_STREAM);
        options_fini(&o);
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"muster help", "muster retry"},
        {"muster --help", "muster-inventory(5)"},
        {"muster help run", "--fanout N"},
        {"muster run --help", "--serial N|P%"},
        {"muster run -h", "connect\n"},
        {"muster run web ls -h", "type: muster run"},
        {"muster hosts --help", "--graph"},
        {"muster retry x --help", "--not-started"},
        {"muster --version", "libsodium"},
        {"muster --manual options", "*-f*, *--fanout* _N_"},
        {"muster --manual problems", "*connect-refused*"},
        {"muster --completion bash", "complete -o default -F _muster muster"},
        {"muster --completion bash", "vault) COMPREPLY=($(compgen -W \"encrypt decrypt view"},
        {"muster --completion zsh", "'1: :(encrypt decrypt view edit rekey)' '*: :_files'"},
        {"muster --completion fish", "from vault' -a 'encrypt decrypt view edit rekey'"},
        {"muster help vault", "ACTION is encrypt, decrypt"},
        {"muster --completion zsh", "#compdef muster"},
        {"muster --completion fish", "complete -c muster"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o;
        struct err e;
        enum rc rc = parse(&o, table[i][0], &e);
        const char *text = rc == RC_OK ? buf_cstr(&o.text) : e.msg;
        if (strstr(text, table[i][1]) == NULL)
            fail_msg("%s: '%s' lacks '%s'", table[i][0], text, table[i][1]);
        assert_true(rc != RC_OK || o.verb == VERB_HELP || o.verb == VERB_VERSION);
        options_fini(&o);
    }
}

static void test_help_fits(void **state)
{
    (void)state;
    for (int v = 0; v <= VERB_COUNT; v++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        assert_int_equal(options_help((enum verb)v, &b), RC_OK);
        const char *line = buf_cstr(&b);
        for (size_t n; *line != '\0' && verb_name((enum verb)v) != NULL; line += n + 1) {
            n = strcspn(line, "\n");
            if (n > 80)
                fail_msg("too long: %.*s", (int)n, line);
        }
        buf_fini(&b);
    }
}

/* What a run was given comes back in a retry, and the retry's own options win. */
static void test_replay(void **state)
{
    (void)state;
    struct options run, again;
    struct buf json;
    struct err e = {0};
    char cwd[4096];
    assert_non_null(getcwd(cwd, sizeof cwd));
    put_env("MUSTER_RETRIES", "4");
    put_env("MUSTER_USER", "env");
    parse_ok(&run, "muster run web -p 24 -i hosts.yml -f 9 --serial 1,50% --env A=b=c --timeout 1h "
                   "-O HostKeyAlias=al -O UserKnownHostsFile=kh --retry-on exit=3 -l x -o json -y "
                   "-- printf %s\xff a");
    buf_init(&json, 1 << 20);
    assert_int_equal(options_replay_json(&run, &json), RC_OK);
    const char *text = buf_cstr(&json);
    assert_null(strchr(text, '\n'));
    put_env("MUSTER_RETRIES", NULL);
    put_env("MUSTER_USER", NULL);
    put_env("MUSTER_FANOUT", "33");
    parse_ok(&again, "muster retry last --timeout 5s");
    if (options_replay_restore(&again, text, &e) != RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(again.fanout, 9);
    assert_int_equal(again.retries, 4);
    assert_true(again.user_is_default && strcmp(again.user, "env") == 0);
    assert_false(again.port_is_default || again.port != 24);
    assert_int_equal(again.timeout_ms, 5000);
    assert_int_equal(again.output.timeout_ms, 5000);
    assert_int_equal(again.wave_count, 2);
    assert_true(again.max_fail_set);
    assert_int_equal(again.retry_on_count, 1);
    assert_string_equal(again.env.items[0], "A=b=c");
    assert_string_equal(again.host_key_alias, "al");
    assert_int_equal(again.words.count, 3);
    assert_string_equal(again.words.items[1], "%s\xff");
    assert_int_equal(again.limits.count, 0);
    assert_false(again.yes || again.output_set || again.exact_implicit);
    char want[5000];
    snprintf(want, sizeof want, "%s/hosts.yml", cwd);
    assert_string_equal(again.inventories.items[0], want);
    snprintf(want, sizeof want, "%s/kh", cwd);
    assert_string_equal(again.known_hosts.items[0], want);
    options_fini(&again);
    options_fini(&run);
    buf_fini(&json);
}

static enum rc replay(const char *first, const char *second, struct options *again, struct err *e)
{
    struct options run;
    struct buf json;
    parse_ok(&run, first);
    buf_init(&json, 1 << 20);
    assert_int_equal(options_replay_json(&run, &json), RC_OK);
    assert_null(strstr(buf_cstr(&json), "s3cret"));
    options_fini(&run);
    parse_ok(again, second);
    memset(e, 0, sizeof *e);
    enum rc rc = options_replay_restore(again, buf_cstr(&json), e);
    buf_fini(&json);
    return rc;
}

/* What goes together is known only once the run's own options are there. */
static void test_replay_through_agent(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *part; /* NULL: it is fine */
    } table[] = {
        {"muster run --become web -- x", "muster retry last --ask-become-pass", NULL},
        {"muster run --become=deploy web -- x", "muster retry last --ask-become-pass", NULL},
        {"muster run web -- x", "muster retry last --ask-become-pass", "add it"},
        {"muster run web -- x", "muster retry last --become --ask-become-pass", NULL},
        {"muster run --detach web -- x", "muster retry last --become", "starts plain commands"},
        {"muster run --agent never web -- x", "muster retry last --become", "never sends none"},
        {"muster run --agent never web -- x", "muster retry last --become --agent cached", NULL},
        {"muster run --detach web -- x", "muster attach last --agent never", NULL},
        {"muster run --detach web -- x", "muster attach last --capture d", NULL},
        {"muster run --become web -- x", "muster retry last --capture d", NULL},
        {"muster run web -- x", "muster retry last --capture d", "add --become"},
        {"muster run --detach web -- x", "muster attach last --timeout 1s", NULL},
        {"muster run --detach web -- x", "muster retry last --timeout 1s", "timeout 1h COMMAND"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options again;
        struct err e;
        enum rc rc = replay(table[i].first, table[i].second, &again, &e);
        if (table[i].part == NULL ? rc != RC_OK
                                  : rc != RC_USAGE || strstr(e.msg, table[i].part) == NULL)
            fail_msg("%s: %s: %s %s", table[i].first, table[i].second, rc_name(rc), e.msg);
        options_fini(&again);
    }
}

static void test_replay_without_command(void **state)
{
    (void)state;
    const char *run = "muster run -w a,b --no-log-command --env TOKEN=s3cret -- use s3cret";
    struct options again;
    struct err e;
    assert_int_equal(replay(run, "muster retry last", &again, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "--env TOKEN"));
    options_fini(&again);
    assert_int_equal(replay(run, "muster retry last --env TOKEN=s3cret", &again, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "type it again after --"));
    options_fini(&again);
    assert_int_equal(replay(run, "muster retry last --env TOKEN=x -- use it", &again, &e), RC_OK);
    assert_true(again.no_log_command && again.exact_implicit);
    assert_string_equal(again.words.items[1], "it");
    options_fini(&again);
    run = "muster run a --env API_TOKEN=s3cret --env LANG=C -- x";
    assert_int_equal(replay(run, "muster retry last", &again, &e), RC_CONFIG);
    assert_non_null(strstr(e.msg, "--env API_TOKEN"));
    options_fini(&again);
    assert_int_equal(replay(run, "muster retry last --env API_TOKEN=y", &again, &e), RC_OK);
    assert_int_equal(again.env.count, 2);
    assert_string_equal(again.env.items[0], "API_TOKEN=y");
    assert_string_equal(again.env.items[1], "LANG=C");
    options_fini(&again);
    assert_int_equal(replay("muster run a --stdin - -- x", "muster retry last", &again, &e),
                     RC_CONFIG);
    assert_non_null(strstr(e.msg, "--stdin"));
    options_fini(&again);
}

static void test_replay_garbage(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "[]",
        "nul",
        "{\"options\":[[1,2]]}",
        "{\"options\":[[\"nope\",\"1\"]],\"words\":[]}",
        "{\"options\":[[\"yes\",\"true\"]],\"words\":[]}",
        "{\"options\":[[\"fanout\"]]}",
        "{\"options\":[[\"fanout\",\"x\"]],\"words\":[]}",
        "{\"options\":[]}",
        "{\"words\":[{\"base64\":\"!!\"}]}",
        "{\"words\":[{\"base64\":\"YQBi\"}]}",
        "{\"words\":[\"a\\u0000b\"]}",
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o;
        struct err e = {0};
        parse_ok(&o, "muster retry last");
        assert_int_equal(options_replay_restore(&o, table[i], &e), RC_CONFIG);
        options_fini(&o);
    }
}

static void join(struct options *o, char *dst, size_t cap)
{
    struct strings s = {0};
    struct err e;
    size_t n = 0;
    assert_int_equal(options_safe_argv(o, &s, &e), RC_OK);
    for (size_t i = 0; i < s.count; i++)
        n += (size_t)snprintf(dst + n, cap - n, "%s%s", i ? " " : "", s.items[i]);
    mem_free(s.items);
}

static void test_safe_argv(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"muster run web --env A=s3cret --env=B=s3cret -f 3 -- echo --env C=d",
         "muster run web --env A=*** --env=B=*** -f 3 -- echo --env C=d"},
        {"muster run web --no-log-command -- use s3cret",
         "muster run web --no-log-command -- (not logged)"},
        {"muster run web --reason -- --env A=s3cret -- x",
         "muster run web --reason -- --env A=*** -- x"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o;
        char text[400];
        parse_ok(&o, table[i][0]);
        join(&o, text, sizeof text);
        assert_string_equal(text, table[i][1]);
        options_fini(&o);
    }
}

static void test_quote_hint(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool hint;
    } table[] = {
        {"muster run web -- ls *.c", true},
        {"muster run web -- echo $HOME", true},
        {"muster run web -- a | b", true},
        {"muster run web -- uptime", false},
        {"muster run web -- ls|wc", false},
        {"muster run web --raw -- ls *.c", false},
        {"muster run web -- sh -c a;b", false},
        {"muster run web -- /bin/bash -lc a;b", false},
        {"muster run web -- sudo -u x dash -e -c a|b", false},
        {"muster run web -- sh -c a x", false},
        {"muster run web -- sh -c a;b *", true},
        {"muster run web -- sh -x a;b", true},
        {"muster run web -- grep -c a|b", true},
        {"muster run web -- grep -c *.sh", true},
        {"muster run web -- sh --norc a;b", true},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct options o;
        char text[300];
        parse_ok(&o, table[i].line);
        assert_int_equal(options_quote_hint(&o, text, sizeof text)[0] != '\0', table[i].hint);
        options_fini(&o);
    }
}

/* Every allocation may fail: the answer is RC_NOMEM, and nothing is left behind. */
static void test_no_memory(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "muster run -i a -i b --env A=b -O ConnectTimeout=3 -O UserKnownHostsFile=a --retry-on "
        "lost "
        "-u x web -- uptime -p",
        "muster retry last --failed --all-not-ok",
        "muster run --help",
        "muster run web uptime",
        "muster --completion zsh",
    };
    put_env("MUSTER_KEY", "k");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        for (long n = 0;; n++) {
            struct options o;
            struct err e;
            size_t live = mem_live();
            mem_fail_after(n);
            enum rc rc = parse(&o, lines[i], &e);
            bool fired = mem_fail_fired();
            mem_fail_after(-1);
            options_fini(&o);
            assert_int_equal(mem_live(), live);
            if (!fired)
                break;
            if (rc != RC_NOMEM && i != 3)
                fail_msg("%s: allocation %ld: %s", lines[i], n, rc_name(rc));
        }
    }
}

static void test_no_memory_replay(void **state)
{
    (void)state;
    struct options run;
    struct buf json;
    buf_init(&json, 1 << 20);
    parse_ok(&run, "muster run web -i hosts.yml --env A=b -- a\xff b");
    for (long n = 0;; n++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        mem_fail_after(n);
        enum rc rc = options_replay_json(&run, &b);
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        buf_fini(&b);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (!fired)
            break;
    }
    assert_int_equal(options_replay_json(&run, &json), RC_OK);
    options_fini(&run);
    size_t live = mem_live();
    for (long n = 0;; n++) {
        struct options o;
        struct err e;
        parse_ok(&o, "muster retry last");
        mem_fail_after(n);
        enum rc rc = options_replay_restore(&o, buf_cstr(&json), &e);
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        options_fini(&o);
        assert_int_equal(mem_live(), live);
        if (!fired) {
            assert_int_equal(rc, RC_OK);
            break;
        }
        assert_true(rc != RC_OK);
    }
    buf_fini(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, setup),
        cmocka_unit_test_setup(test_every_option, setup),
        cmocka_unit_test_setup(test_rows_cover_the_table, setup),
        cmocka_unit_test_setup(test_table_is_sound, setup),
        cmocka_unit_test_setup(test_retry_chooses_every_status, setup),
        cmocka_unit_test_setup(test_wrong_lines, setup),
        cmocka_unit_test_setup(test_habits, setup),
        cmocka_unit_test_setup(test_config, setup),
        cmocka_unit_test_setup(test_config_errors, setup),
        cmocka_unit_test_setup(test_precedence, setup),
        cmocka_unit_test_setup(test_terminal, setup),
        cmocka_unit_test_setup(test_texts, setup),
        cmocka_unit_test_setup(test_help_fits, setup),
        cmocka_unit_test_setup(test_replay, setup),
        cmocka_unit_test_setup(test_replay_through_agent, setup),
        cmocka_unit_test_setup(test_replay_without_command, setup),
        cmocka_unit_test_setup(test_replay_garbage, setup),
        cmocka_unit_test_setup(test_safe_argv, setup),
        cmocka_unit_test_setup(test_quote_hint, setup),
        cmocka_unit_test_setup(test_no_memory, setup),
        cmocka_unit_test_setup(test_no_memory_replay, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
