/* See options_table.h. */
#include "controller/cli/options_table.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "common/str.h"

#define V_RUN     (1u << VERB_RUN)
#define V_HOSTS   (1u << VERB_HOSTS)
#define V_HISTORY (1u << VERB_HISTORY)
#define V_SHOW    (1u << VERB_SHOW)
#define V_RETRY   (1u << VERB_RETRY)
#define V_VAULT   (1u << VERB_VAULT)
#define V_KEYSCAN (1u << VERB_KEYSCAN)
#define V_STATS   (1u << VERB_STATS)
#define V_START   (V_RUN | V_RETRY) /* what runs commands */
#define V_ATTACH  (1u << VERB_ATTACH)
#define V_LOGIN   (V_START | V_STATS | V_ATTACH)        /* what logs in to hosts */
#define V_REACH   (V_LOGIN | V_KEYSCAN)                 /* what connects to hosts */
#define V_PICK    (V_REACH | V_HOSTS)                   /* what chooses among them */
#define V_PRINT   (V_RUN | V_RETRY | V_SHOW | V_ATTACH) /* what shows results */
#define V_ALL     (V_LOGIN | V_HOSTS | V_HISTORY | V_SHOW | V_KEYSCAN)
#define AT(field) offsetof(struct options, field)

/* Kept in the order people read it; columns are not aligned because a row is a sentence. */
/* clang-format off */
const struct option_def option_table[] = {
    /* select */
    {'i', "inventory", "PATH", GROUP_SELECT, V_PICK,
     OPTION_REPEAT | OPTION_KEY | OPTION_REPLAY | OPTION_PATH, set_list, AT(inventories), 0, 0,
     "@file",
     "Inventory: a file, a folder, or a program that prints Ansible's JSON; may be repeated. "
     "Default: ./inventory.yml, the user's, the system's"},
    {'w', "hosts", "EXPR", GROUP_SELECT, V_RUN | V_HOSTS | V_KEYSCAN | V_STATS,
     OPTION_REPEAT, set_list, AT(hosts_exprs), 0, 0, "@host",
     "Hosts by name, no inventory needed: web[01-20],db1; ^FILE reads a list, - reads it from "
     "standard input"},
    {'l', "limit", "PATTERN", GROUP_SELECT, V_PICK, OPTION_REPEAT, set_list, AT(limits),
     0, 0, "@host", "Keep only the hosts that this pattern names too; @FILE reads a list"},
    {'x', "exclude", "PATTERN", GROUP_SELECT, V_PICK, OPTION_REPEAT, set_list,
     AT(excludes), 0, 0, "@host", "Leave out the hosts that this pattern names"},
    {0, "where", "EXPR", GROUP_SELECT, V_PICK, 0, set_string, AT(where), 0, 0, "",
     "Keep only hosts whose variables satisfy EXPR, for example 'dc == \"fra\" and cores >= 8'"},
    {0, "list", NULL, GROUP_SELECT, V_PICK, 0, set_flag, AT(list_only), 0, 0, "",
     "Print the names of the chosen hosts and do nothing else"},

    /* connect */
    {'u', "user", "NAME", GROUP_CONNECT, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_string, AT(user),
     0, 0, "", "Log in as NAME, whatever the inventory says. Default: the inventory's, then your own"},
    {'p', "port", "N", GROUP_CONNECT, V_REACH, OPTION_KEY | OPTION_REPLAY, set_u16, AT(port), 1,
     65535, "", "Port of sshd, whatever the inventory says. Default: the inventory's, then 22"},
    {0, "key", "FILE", GROUP_CONNECT, V_LOGIN,
     OPTION_REPEAT | OPTION_KEY | OPTION_REPLAY | OPTION_PATH, set_list, AT(keys), 0, 0, "@file",
     "Private key to log in with; may be repeated. Default: the inventory's, then "
     "~/.ssh/id_ed25519, id_ecdsa and id_rsa"},
    {0, "ask-pass", NULL, GROUP_CONNECT, V_LOGIN, OPTION_REPLAY, set_flag, AT(ask_pass), 0, 0, "",
     "Ask once for a password, for hosts where no key is enough; it wins over the inventory's"},
    {0, "certificate", "FILE", GROUP_CONNECT, V_LOGIN,
     OPTION_REPEAT | OPTION_KEY | OPTION_REPLAY | OPTION_PATH, set_list, AT(certificates), 0, 0,
     "@file",
     "Certificate for a key, yours or the agent's; may be repeated. KEY-cert.pub beside a key is "
     "found without"},
    {0, "ssh-agent", "SOCKET", GROUP_CONNECT, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_ssh_agent, 0,
     0, 0, "@file",
     "The ssh-agent that holds keys: its socket, or none. Default: SSH_AUTH_SOCK"},
    {0, "agent", "WAY", GROUP_CONNECT, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_agent, 0, 0, 0,
     "cached temporary never installed",
     "How muster's agent gets to a host: cached uploads it once and keeps it in the user's cache "
     "(the default), temporary removes it again, never does with what sh finds out, installed takes "
     "the one that is there. A socket or none is taken for --ssh-agent"},
    {0, "agent-dir", "DIR", GROUP_CONNECT, V_LOGIN, OPTION_REPEAT | OPTION_KEY | OPTION_REPLAY,
     set_agent_dir, AT(agent_dirs), 0, 0, "",
     "A folder on the hosts for muster's agent, tried before the usual ones; up to four"},
    {0, "capture", "DIR", GROUP_CONNECT, V_LOGIN, OPTION_PATH, set_string, AT(capture), 0, 0, "@dir",
     "Keep what each host's agent says in DIR/HOST.stdout, for muster debug frames; of a run that "
     "goes through the agent"},
    {0, "known-hosts", "FILE", GROUP_CONNECT, V_REACH,
     OPTION_REPEAT | OPTION_KEY | OPTION_REPLAY | OPTION_PATH, set_list, AT(known_hosts), 0, 0,
     "@file", "Where host keys are on record; may be repeated. Default: ~/.ssh/known_hosts, then "
     "/etc/ssh/ssh_known_hosts"},
    {0, "host-keys", "POLICY", GROUP_CONNECT, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_host_keys, 0,
     0, 0, "strict accept-new off",
     "What to do with a host key that is not on record: strict refuses it (the default), accept-new "
     "records it, off checks nothing"},
    {0, "connect-timeout", "TIME", GROUP_CONNECT, V_REACH, OPTION_KEY | OPTION_REPLAY, set_duration,
     AT(connect_timeout_ms), 1, 0, "",
     "Bound on all that comes before the command is sent, all attempts together (10s)"},
    {'F', "ssh-config", "FILE", GROUP_CONNECT, V_REACH, OPTION_KEY | OPTION_REPLAY | OPTION_PATH,
     set_string, AT(ssh_config), 0, 0, "@file",
     "Read this ssh_config in place of ~/.ssh/config and /etc/ssh/ssh_config; none reads neither"},
    {'J', "jump", "HOST[,HOST...]", GROUP_CONNECT, V_REACH, OPTION_KEY | OPTION_REPLAY, set_string,
     AT(jump), 0, 0, "",
     "Go through these bastions, [user@]host[:port], the nearest to us first; none goes directly. "
     "Default: what the inventory says"},
    {'O', "ssh-option", "KEY=VALUE", GROUP_CONNECT, V_REACH, OPTION_REPEAT, set_ssh_option, 0, 0, 0,
     "User= Port= IdentityFile= CertificateFile= IdentityAgent= UserKnownHostsFile= StrictHostKeyChecking= HostKeyAlias= "
     "ConnectTimeout= HostName= ProxyJump= ProxyCommand= AddressFamily= GlobalKnownHostsFile=",
     "A word of ssh_config(5), as ssh -o takes it: User, Port, IdentityFile and the like"},
    {0, "openssh-max", "N", GROUP_CONNECT, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_u32,
     AT(openssh_max), 1, 1000, "",
     "Processes of OpenSSH's ssh at once (64), for hosts that only it can reach: ProxyCommand, "
     "GSSAPI, security keys, host certificates"},
    {0, "no-openssh", NULL, GROUP_CONNECT, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_flag,
     AT(no_openssh), 0, 0, "", "Start no ssh: such hosts are bad-target"},
    {0, "ssh-word", "KEY=VALUE", GROUP_CONNECT, V_REACH,
     OPTION_REPEAT | OPTION_REPLAY | OPTION_HIDDEN, set_list, AT(ssh_words), 0, 0, "",
     "A word of ssh_config that no option of ours stands for"},
    {0, "host-key-alias", "NAME", GROUP_CONNECT, V_REACH, OPTION_REPLAY | OPTION_HIDDEN, set_string,
     AT(host_key_alias), 0, 0, "", "The name under which host keys are looked up"},

    /* run */
    {'f', "fanout", "N", GROUP_RUN, V_REACH, OPTION_KEY | OPTION_REPLAY, set_u32, AT(fanout), 1,
     100000, "", "Hosts worked on at the same time (256). From 32 on one that does not answer the connect takes "
     "up no place until it does"},
    {0, "rate", "N/s", GROUP_RUN, V_REACH, OPTION_KEY | OPTION_REPLAY, set_rate, 0, 0, 0, "",
     "New logins per second at most (or N/m per minute), for the directory server's sake"},
    {0, "workers", "N", GROUP_RUN, V_REACH, OPTION_KEY, set_u32, AT(workers), 1, 64, "",
     "Worker processes (one per core)"},
    {0, "timeout", "TIME", GROUP_RUN, V_LOGIN, OPTION_KEY | OPTION_REPLAY, set_duration,
     AT(timeout_ms), 0, 0, "",
     "Bound on the command on each host (5m), or on a sample; 0 for none. The command then gets up "
     "to 12 s to end"},
    {0, "silence-timeout", "TIME", GROUP_RUN, V_START, OPTION_KEY | OPTION_REPLAY, set_duration,
     AT(silence_timeout_ms), 0, 0, "", "Bound on the pauses in a command's output; 0 for none (0)"},
    {0, "deadline", "TIME", GROUP_RUN, V_REACH, OPTION_KEY | OPTION_REPLAY, set_duration,
     AT(deadline_ms), 0, 0, "",
     "Bound on the whole run; 0 for none (0). Commands then get up to 12 s to end, as with --timeout"},
    {0, "retries", "N", GROUP_RUN, V_REACH, OPTION_KEY | OPTION_REPLAY, set_u32, AT(retries), 0, 100,
     "", "Further attempts on a host that failed fast before the command was sent (2)"},
    {0, "retry-on", "LIST", GROUP_RUN, V_REACH, OPTION_REPEAT | OPTION_KEY | OPTION_REPLAY,
     set_retry_on, 0, 0, 0, "",
     "Also try again on these statuses, problems or exit codes: lost,connect-timeout,exit=75. The "
     "command may then run twice"},
    {0, "max-fail", "N|P%", GROUP_RUN, V_START, OPTION_KEY | OPTION_REPLAY, set_max_fail, 0, 0, 0,
     "", "Start nothing more once more than N hosts, or P percent of all, are not ok"},
    {0, "serial", "N|P%[,...]", GROUP_RUN, V_START, OPTION_KEY | OPTION_REPLAY, set_serial, 0, 0, 0,
     "", "One wave of hosts after the other, for example 1,10%,50%; the last size repeats. Implies "
     "--max-fail 0"},
    {0, "no-breaker", NULL, GROUP_RUN, V_REACH, OPTION_KEY | OPTION_REPLAY, set_flag, AT(no_breaker),
     0, 0, "",
     "Go on even when the first 20 hosts to finish share one problem of connecting or logging in"},
    {0, "become", "USER", GROUP_RUN, V_START | V_STATS,
     OPTION_KEY | OPTION_REPLAY | OPTION_MAYBE, set_become,
     0, 0, 0, "", "As USER (root), by sudo, through muster's agent: the command, or the figures"},
    {0, "ask-become-pass", NULL, GROUP_RUN, V_START | V_STATS, OPTION_REPLAY, set_flag, AT(ask_become_pass), 0,
     0, "",
     "Ask once for sudo's password; it wins over the inventory's ansible_become_password"},
    {0, "on-disconnect", "WHAT", GROUP_RUN, V_START, OPTION_KEY | OPTION_REPLAY, set_on_disconnect,
     0, 0, 0, "continue kill",
     "When the connection is lost: continue lets the command end by itself, as sshd does (the "
     "default), kill ends it and all that it started; through muster's agent"},
    {0, "detach", NULL, GROUP_RUN, V_START, OPTION_REPLAY, set_flag, AT(detach), 0, 0, "",
     "Start the command and leave: it outlives the connection and has no --timeout; what it prints "
     "is kept on the host for muster attach"},
    {0, "no-follow", NULL, GROUP_RUN, V_ATTACH, 0, set_flag, AT(no_follow), 0, 0, "",
     "Show what there is now, do not wait for the end"},
    {0, "env", "NAME=VALUE", GROUP_RUN, V_START, OPTION_REPEAT | OPTION_REPLAY | OPTION_MASKED,
     set_env, AT(env), 0, 0, "", "Environment of the command; may be repeated. Not for secrets"},
    {0, "cwd", "DIR", GROUP_RUN, V_START, OPTION_REPLAY, set_string, AT(cwd), 0, 0, "",
     "Folder on the host that the command starts in"},
    {0, "stdin", "FILE", GROUP_RUN, V_START, OPTION_REPLAY | OPTION_PATH, set_string,
     AT(stdin_path), 0, 0, "@file",
     "Give every host's command this file as standard input; - reads ours"},
    {0, "script", "FILE", GROUP_RUN, V_RUN, OPTION_REPLAY | OPTION_PATH, set_string, AT(script), 0,
     0, "@file", "Run a local script on the hosts; words after -- are its arguments"},
    {0, "raw", NULL, GROUP_RUN, V_RUN, OPTION_REPLAY, set_flag, AT(raw), 0, 0, "",
     "Send the words as they are, for hosts that have no /bin/sh"},
    {0, "dry-run", NULL, GROUP_RUN, V_REACH, 0, set_flag, AT(dry_run), 0, 0, "",
     "Say what would be done where, and stop"},
    {'y', "yes", NULL, GROUP_RUN, V_REACH, 0, set_flag, AT(yes), 0, 0, "",
     "Do not ask before many hosts, nor before keys are recorded"},
    {0, "guard", "N", GROUP_RUN, V_LOGIN, OPTION_KEY, set_u32, AT(guard), 0, 10000000, "",
     "Ask before more than N hosts (50); 0 never asks"},
    {0, "expect", "N[-M]", GROUP_RUN, V_LOGIN, 0, set_expect, 0, 0, 0, "",
     "Refuse to start unless the number of hosts is N, or from N to M"},
    {0, "allow-protected", NULL, GROUP_RUN, V_LOGIN, 0, set_flag, AT(allow_protected), 0, 0, "",
     "Also run on hosts whose groups are marked muster_protected"},
    {0, "reason", "TEXT", GROUP_RUN, V_START, OPTION_KEY, set_string, AT(reason), 0, 0, "",
     "Why, for the record"},
    {0, "no-log-command", NULL, GROUP_RUN, V_START, OPTION_KEY | OPTION_REPLAY, set_flag,
     AT(no_log_command), 0, 0, "", "Keep only a digest of the command in the record"},

    /* output */
    {'o', "output", "FORM", GROUP_OUTPUT, V_PRINT | V_HISTORY | V_KEYSCAN | V_STATS,
     OPTION_KEY, set_output, 0, 0, 0,
     "group stream json ndjson csv table none prometheus",
     "How results are shown: group, stream, json, ndjson, csv, table or none. Default: group on a "
     "terminal, stream in a pipe; history is a table, json or ndjson; keyscan has no stream; "
     "stats is a table, json, ndjson, csv, prometheus or none"},
    {'N', "no-prefix", NULL, GROUP_OUTPUT, V_PRINT, OPTION_KEY, set_flag, AT(output.no_prefix), 0, 0,
     "", "Streamed lines without the name of their host"},
    {0, "columns", "LIST", GROUP_OUTPUT, V_PRINT | V_STATS, OPTION_KEY, set_string, AT(output.columns), 0, 0,
     "", "Columns of table and csv, for example host,status,exit,stdout,vars.rack; of stats: host, "
     "vars.NAME and figures, for example host,cpu.percent,disk.mountpoint,disk.percent"},
    {0, "out-dir", "DIR", GROUP_OUTPUT, V_START, OPTION_KEY | OPTION_PATH, set_string, AT(out_dir),
     0, 0, "@dir", "Also write each host's output to files in DIR"},
    {0, "match", "RE", GROUP_OUTPUT, V_PRINT, 0, set_string, AT(output.match), 0, 0, "",
     "Show only lines that match this regular expression"},
    {0, "ignore", "RE", GROUP_OUTPUT, V_PRINT, OPTION_REPEAT, set_ignore, 0, 0, 0, "",
     "Mask what matches before outputs are compared, for example times and process numbers"},
    {0, "tally", "RE", GROUP_OUTPUT, V_PRINT, 0, set_string, AT(output.tally), 0, 0, "",
     "Count hosts by what the first group of this regular expression catches"},
    {0, "compare", NULL, GROUP_OUTPUT, V_PRINT, 0, set_flag, AT(output.compare), 0, 0, "",
     "Show how outputs differ from the most common one"},
    {0, "max-output", "SIZE", GROUP_OUTPUT, V_START, OPTION_KEY | OPTION_REPLAY, set_size,
     AT(output.max_output), 0, 0, "", "Output kept per host (1M)"},
    {0, "max-memory", "SIZE", GROUP_OUTPUT, V_PRINT, OPTION_KEY, set_size, AT(output.max_memory),
     65536, 0, "",
     "Output kept in memory for the whole run (256M); what is over goes to the record's files"},
    {'q', "quiet", NULL, GROUP_OUTPUT, V_PRINT | V_HISTORY | V_KEYSCAN | V_STATS, OPTION_KEY,
     set_flag, AT(output.quiet), 0, 0, "", "No hints, no hosts without output, no summary when every host is ok"},
    {'v', "verbose", NULL, GROUP_OUTPUT, V_ALL, 0, set_verbose, AT(output.verbose), 0, 0, "",
     "Shorten no list of hosts or lines; -vv also tells each step on standard error"},
    {0, "color", "WHEN", GROUP_OUTPUT, V_ALL, OPTION_KEY, set_tri, AT(color), 0, 0,
     "auto always never", "Colours: auto (the default), always or never"},
    {0, "progress", "WHEN", GROUP_OUTPUT, V_REACH, OPTION_KEY, set_tri, AT(progress), 0, 0,
     "auto always never", "The line that shows how far a run is: auto (the default), always or never"},

    /* hosts */
    {0, "fold", NULL, GROUP_HOSTS, V_HOSTS, 0, set_view, 0, HOSTS_FOLD, 0, "",
     "Print the hosts folded: web[01-40,43]"},
    {0, "expand", NULL, GROUP_HOSTS, V_HOSTS, 0, set_view, 0, HOSTS_EXPAND, 0, "",
     "Print the hosts in full, on one line"},
    {0, "count", NULL, GROUP_HOSTS, V_HOSTS, 0, set_view, 0, HOSTS_COUNT_ONLY, 0, "",
     "Print how many hosts there are"},
    {0, "vars", "HOST", GROUP_HOSTS, V_HOSTS, 0, set_vars, 0, HOSTS_VARS, 0, "@host",
     "Print the variables of one host as JSON"},
    {0, "graph", NULL, GROUP_HOSTS, V_HOSTS, 0, set_view, 0, HOSTS_GRAPH, 0, "",
     "Print groups and hosts as a tree"},
    {0, "json", NULL, GROUP_HOSTS, V_HOSTS, 0, set_view, 0, HOSTS_JSON, 0, "",
     "Print the whole inventory in the shape of ansible-inventory --list"},

    /* retry */
    {0, "failed", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_FAILED, 0, "",
     "Hosts where the command failed"},
    {0, "signaled", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_SIGNALED, 0, "",
     "Hosts where a signal ended the command"},
    {0, "timed-out", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_TIMEOUT, 0, "",
     "Hosts where the command ran out of time"},
    {0, "unreachable", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_UNREACHABLE, 0, "",
     "Hosts that could not be reached"},
    {0, "auth-failed", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_AUTH_FAILED, 0, "",
     "Hosts that refused the login"},
    {0, "host-key", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_HOST_KEY, 0, "",
     "Hosts whose key was refused"},
    {0, "lost", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_LOST, 0, "",
     "Hosts whose connection died after the command was sent"},
    {0, "unknown", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_UNKNOWN, 0, "",
     "Hosts that may have run the command of a controller that was killed"},
    {0, "resource", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_RESOURCE, 0, "",
     "Hosts that lacked what the run needed there"},
    {0, "busy", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_BUSY, 0, "",
     "Hosts that another run held"},
    {0, "cancelled", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_CANCELLED, 0, "",
     "Hosts where the command was cancelled"},
    {0, "not-started", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_NOT_STARTED, 0, "",
     "Hosts whose turn never came"},
    {0, "all-not-ok", NULL, GROUP_RETRY, V_RETRY, 0, set_retry_status, 0, STATUS_COUNT, 0, "",
     "Every host that is not ok; the default"},

    /* vault */
    {0, "vault-key", "FILE", GROUP_VAULT, V_VAULT | V_LOGIN, OPTION_REPLAY | OPTION_PATH, set_string,
     AT(vault_key.file), 0, 0, "@file",
     "File that holds the vault's key and that only you can read. Default: the systemd credential "
     "muster-vault, ~/.config/muster/vault.key, then a question on the terminal"},
    {0, "vault-key-fd", "N", GROUP_VAULT, V_VAULT | V_LOGIN, 0, set_u32, AT(vault_key.fd), 0, 65535, "",
     "Read the vault's key from descriptor N"},
    {0, "vault-key-command", "CMD", GROUP_VAULT, V_VAULT | V_LOGIN, OPTION_REPLAY, set_string,
     AT(vault_key.command), 0, 0, "", "Take what CMD prints as the vault's key; CMD is cut at blanks, no shell sees it"},
    {0, "new-vault-key", "FILE", GROUP_VAULT, V_VAULT, 0, set_string, AT(new_vault_key.file), 0, 0,
     "@file", "rekey: file that holds the new key. Default: a question on the terminal"},
    {0, "new-vault-key-fd", "N", GROUP_VAULT, V_VAULT, 0, set_u32, AT(new_vault_key.fd), 0, 65535, "",
     "rekey: read the new key from descriptor N"},
    {0, "new-vault-key-command", "CMD", GROUP_VAULT, V_VAULT, 0, set_string,
     AT(new_vault_key.command), 0, 0, "", "rekey: take what CMD prints as the new key"},
    {0, "name", "NAME", GROUP_VAULT, V_VAULT, 0, set_string, AT(vault_name), 0, 0, "",
     "The value of the variable NAME, instead of a file: encrypt prints it for YAML, view and edit "
     "find it in FILE"},
    {0, "like", "FILE", GROUP_VAULT, V_VAULT, 0, set_string, AT(vault_like), 0, 0, "@file",
     "encrypt: with the key of what is sealed in FILE, which is checked; both then open with one "
     "derivation"},

    /* keyscan */
    {0, "types", "LIST", GROUP_KEYSCAN, V_KEYSCAN, 0, set_key_types, 0, 0, 0, "ed25519 ecdsa rsa",
     "Kinds of keys to ask for, of ed25519, ecdsa and rsa; each is a handshake. Default: all three"},
    {0, "verify", "FILE", GROUP_KEYSCAN, V_KEYSCAN, OPTION_REPEAT | OPTION_PATH, set_list,
     AT(keyscan.verify), 0, 0, "@file",
     "Compare with keys that came another way: lines of known_hosts, of ssh-keyscan or of "
     "ssh-keygen -l, or HOST SHA256:FINGERPRINT; may be repeated"},
    {0, "ca", "FILE", GROUP_KEYSCAN, V_KEYSCAN, OPTION_REPEAT | OPTION_PATH, set_list,
     AT(keyscan.ca), 0, 0, "@file",
     "Public keys of authorities that sign host certificates, besides the @cert-authority lines on "
     "record; may be repeated"},
    {0, "sshfp", NULL, GROUP_KEYSCAN, V_KEYSCAN, 0, set_flag, AT(keyscan.sshfp), 0, 0, "",
     "Compare with the SSHFP records in the DNS; they verify a key only where a name server on this "
     "machine says that they are authenticated"},
    {0, "sshfp-server", "ADDRESS", GROUP_KEYSCAN, V_KEYSCAN, 0, set_string,
     AT(keyscan.sshfp_server), 0, 0, "", "Name server to ask for them, ADDRESS or ADDRESS:PORT"},
    {0, "only-verified", NULL, GROUP_KEYSCAN, V_KEYSCAN, 0, set_flag, AT(keyscan.only_verified), 0, 0,
     "", "Record only keys that were verified, none on first use"},
    {0, "replace", NULL, GROUP_KEYSCAN, V_KEYSCAN, 0, set_flag, AT(keyscan.replace), 0, 0, "",
     "Also put changed keys in the place of the recorded ones, after a question of its own"},
    {0, "forget", NULL, GROUP_KEYSCAN, V_KEYSCAN, 0, set_flag, AT(keyscan.forget), 0, 0, "",
     "Connect nowhere; take the keys of the chosen hosts out of the first known_hosts file"},
    {0, "hash", NULL, GROUP_KEYSCAN, V_KEYSCAN, 0, set_flag, AT(keyscan.hash), 0, 0, "",
     "Write names hashed. Default: as most lines of the file are"},

    /* stats */
    {0, "only", "SECTION[,...]", GROUP_STATS, V_STATS, 0, set_string, AT(stats.only), 0, 0,
     "host cpu memory swap disk diskio net addrs connections sensors users processes pressure "
     "cgroup",
     "Ask for these sections only, and show their figures; for disk a line a mount, for net a line "
     "an interface, and so on"},
    {0, "interval", "TIME", GROUP_STATS, V_STATS, OPTION_KEY, set_interval, 0, 0, 0, "",
     "Go on, with figures of each TIME, until Ctrl-C or --samples; hosts stay connected"},
    {0, "samples", "N", GROUP_STATS, V_STATS, 0, set_u32, AT(stats.samples), 1, 1000000000, "",
     "With --interval: stop after N rounds. Without: 2 (the default), a second apart, or 1, which "
     "has no rates and no CPU percentages"},
    {0, "filter", "EXPR", GROUP_STATS, V_STATS, 0, set_string, AT(stats.filter), 0, 0, "",
     "Show only lines whose figures and variables satisfy EXPR, for example 'disk.percent > 85 and "
     "dc == \"fra\"'"},
    {0, "sort", "[-]COLUMN", GROUP_STATS, V_STATS, 0, set_string, AT(stats.sort), 0, 0, "",
     "Sort by this column, or figure, the smallest first; with - the largest"},
    {0, "by", "NAME", GROUP_STATS, V_STATS, 0, set_string, AT(stats.by), 0, 0, "rss cpu io",
     "With --top: by rss, cpu or io. Otherwise one line for each value of the variable NAME, for "
     "each child of the group NAME, or for each group (groups): hosts, median, p95 and maximum"},
    {0, "top", "N", GROUP_STATS, V_STATS, 0, set_u32, AT(stats.top), 1, 1000, "",
     "The N largest processes of each host, by rss unless --by says otherwise"},
    {0, "detail", NULL, GROUP_STATS, V_STATS, 0, set_flag, AT(stats.detail), 0, 0, "",
     "Also all of /proc/meminfo and /proc/vmstat"},

    /* other */
    {0, "last", "N", GROUP_OTHER, V_HISTORY, 0, set_last, 0, 1, 1000000, "",
     "How many runs to list, newest first (20)"},
    {0, "state", "DIR", GROUP_OTHER, V_START | V_HISTORY | V_SHOW, OPTION_KEY | OPTION_PATH,
     set_string, AT(state_dir), 0, 0, "@dir",
     "Where records of runs are kept ($XDG_STATE_HOME/muster, or ~/.local/state/muster)"},
    {'h', "help", NULL, GROUP_OTHER, V_ALL | V_VAULT, 0, set_help, 0, 0, 0, "", "Show help on the verb"},
};
/* clang-format on */
const size_t option_count = sizeof option_table / sizeof option_table[0];
