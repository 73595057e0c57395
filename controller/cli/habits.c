/* What hands that learnt ssh, pdsh, pssh, clush or Ansible type, and what to type here.
 * See options_table.h. */
#include "controller/cli/options_table.h"

#include <stdio.h>
#include <string.h>

#include "common/str.h"

struct habit {
    const char *typed, *say;
};

#define LATER "is not in this version of muster"

static const struct habit options[] = {
    {"-a", "there is no option for all hosts, say it: muster run all -- COMMAND (Ansible's -a ARGS "
           "is what follows --)"},
    {"-A", "to be asked for a login password type --ask-pass"},
    {"-b", "clush's gathered output is -o group (the default on a terminal); Ansible's become is "
           "--become"},
    {"-B", "clush's merged output is -o group; to leave a command running in the background type "
           "--detach (--timeout TIME bounds a command)"},
    {"-c", "copying files " LATER},
    {"-C", "a trial run is --dry-run"},
    {"-d", "for more messages type -v or -vv"},
    {"-D", "to see how outputs differ type --compare"},
    {"-e", "Ansible's extra variables are not used here: --env NAME=VALUE sets the command's "
           "environment; to expand a host set: muster hosts --expand EXPR"},
    {"-g", "a group is a pattern by itself: muster run GROUP -- COMMAND, or -w @GROUP"},
    {"-H", "hosts by name are -w HOSTS, a file of them is -w ^FILE"},
    {"-I", "to give every host our standard input type --stdin -"},
    {"-k", "to be asked for a login password type --ask-pass; pdsh's fail fast is --max-fail 0"},
    {"-K", "to be asked for sudo's password type --ask-become-pass"},
    {"-L", "lines in the order of hosts are -o group, lines as they come are -o stream"},
    {"-m", "there are no modules: muster run PATTERN -- COMMAND"},
    {"-M", "there are no modules: muster run PATTERN -- COMMAND"},
    {"-n", "commands get no standard input unless --stdin says so"},
    {"-P", "type --progress always; Ansible's poll is --detach and then muster attach"},
    {"-r", "host sets are folded anyway; muster hosts --fold shows one"},
    {"-S", "the exit code already tells: 2 where a command failed, 4 where a host was not reached"},
    {"-t", "the connect timeout is --connect-timeout 10s; Ansible's tree of results is --out-dir "
           "DIR"},
    {"-T", "the connect timeout is --connect-timeout 10s"},
    {"-X", "to leave out a group type -x GROUP"},
    {"--all", "say it as the pattern: muster run all -- COMMAND"},
    {"--args", "the command follows --: muster run PATTERN -- COMMAND"},
    {"--ask-vault-pass", "the vault's key is asked for when a sealed value needs it"},
    {"--become-user", "type --become=USER"},
    {"--check", "a trial run is --dry-run"},
    {"--command-timeout", "the bound on a command is --timeout 5m"},
    {"--command_timeout", "the bound on a command is --timeout 5m"},
    {"--connect_timeout", "type --connect-timeout 10s"},
    {"--copy", "copying files " LATER},
    {"--diff", "to see how outputs differ type --compare"},
    {"--dry", "type --dry-run"},
    {"--errdir", "both outputs go to --out-dir DIR"},
    {"--extra-vars", "--env NAME=VALUE sets the command's environment"},
    {"--forks", "type --fanout N (-f N)"},
    {"--group", "a group is a pattern by itself: muster run GROUP -- COMMAND"},
    {"--hostfile", "a file of hosts is -w ^FILE"},
    {"--host", "hosts by name are -w HOSTS"},
    {"--identity", "type --key FILE"},
    {"--jobs", "type --fanout N (-f N)"},
    {"--list-hosts", "type --list"},
    {"--maxrc", "the exit code already tells: 2 where a command failed, 4 where a host was not "
                "reached"},
    {"--module-name", "there are no modules: muster run PATTERN -- COMMAND"},
    {"--nostdin", "commands get no standard input unless --stdin says so"},
    {"--one-line", "type -o stream"},
    {"--outdir", "type --out-dir DIR"},
    {"--par", "type --fanout N (-f N)"},
    {"--parallel", "type --fanout N (-f N)"},
    {"--password", "no password is taken from the command line, where others can see it; type "
                   "--ask-pass"},
    {"--private-key", "type --key FILE"},
    {"--remote-user", "type --user NAME (-u NAME)"},
    {"--ssh-common-args", "words of ssh_config are -O KEY=VALUE"},
    {"--ssh-extra-args", "words of ssh_config are -O KEY=VALUE"},
    {"--sudo", "type --become"},
    {"--task-timeout", "the bound on a command is --timeout 5m"},
    {"--tree", "type --out-dir DIR"},
    {"--vault-id", "type --vault-key FILE"},
    {"--vault-pass-file", "type --vault-key FILE"},
    {"--vault-password-file", "type --vault-key FILE"},
    {"--worker", "there is only ssh"},
};

static const struct habit verbs[] = {
    {"agent", "the agent travels by itself: muster stats PATTERN, muster run --become"},
    {"jobs", "detached runs are in muster history; type: muster attach RUN"},
    {"alerts", LATER},
    {"copy", LATER},
    {"fetch", LATER},
    {"push", LATER},
    {"serve", LATER},
    {"sweep", LATER},
    {"exec", "type: muster run PATTERN -- COMMAND"},
    {"list", "type: muster hosts PATTERN"},
    {"nodeset", "type: muster hosts --fold or --expand"},
    {"inventory", "type: muster hosts --json or --graph"},
    {"rerun", "type: muster retry RUN"},
};

static const char *find(const struct habit *list, size_t count, const char *typed)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].typed, typed) == 0)
            return list[i].say;
    return NULL;
}

const char *habit_of_option(const char *spelling)
{
    return find(options, sizeof options / sizeof options[0], spelling);
}

const char *habit_of_verb(const char *word)
{
    return find(verbs, sizeof verbs / sizeof verbs[0], word);
}

static bool is_number(const char *value)
{
    return *value != '\0' && value[strspn(value, "0123456789")] == '\0';
}

static bool is_key_file(const char *value)
{
    const char *slash = strrchr(value, '/');
    const char *name = slash != NULL ? slash + 1 : value;
    return str_starts(name, "id_") || str_ends(name, ".pem");
}

enum rc habit_of_value(char letter, const char *value, struct err *e)
{
    if (letter == 'u' && is_number(value))
        return err_set(e, RC_USAGE,
                       "-u is the user to log in as; to bound the command type --timeout %ss "
                       "(a user called %s is --user %s)",
                       value, value, value);
    if (letter == 'l' && strcmp(value, "root") == 0)
        return err_set(e, RC_USAGE,
                       "-l limits the hosts; to log in as root type -u root "
                       "(hosts called root are --limit root)");
    if (letter == 'o' && (strchr(value, '=') != NULL || value[0] == '-'))
        return err_set(e, RC_USAGE,
                       "-o is the form of the output; words of ssh_config are "
                       "-O KEY=VALUE");
    if (letter == 'i' && is_key_file(value))
        return err_set(e, RC_USAGE,
                       "-i is the inventory; to log in with this key type --key %.80s "
                       "(an inventory called that is --inventory %.80s)",
                       value, value);
    return RC_OK;
}
