/* What a seasoned colleague would say on seeing the results: keys and logins that were refused,
 * exit 126 and 127, start-up files that print. On the info sink, each at most once. Only says what
 * the output shows.
 */
#include <string.h>

#include "controller/output/group.h"

/* In the order in which they are shown: `problem`, or for exit-nonzero that `exit_code`. */
static const struct hint {
    enum problem problem;
    int exit_code;
    const char *text;
} hints[] = {
    {PROBLEM_HOST_KEY_UNKNOWN, 0,
     "no key on record: compare the fingerprint with the host's own (there: ssh-keygen -lf "
     "/etc/ssh/ssh_host_ed25519_key.pub), then record it: muster keyscan, or --host-keys "
     "accept-new"},
    {PROBLEM_HOST_KEY_CHANGED, 0,
     "another key than the one on record: a reinstalled host, or somebody in between; once you "
     "know, muster keyscan --replace records the new key in place of the old"},
    {PROBLEM_AUTH_DENIED, 0,
     "login refused: -u NAME and --key FILE say as whom and with what; --dry-run shows both"},
    {PROBLEM_HELLO_TIMEOUT, 0,
     "logged in, then silence: a start-up file that waits, or a home that hangs; time ssh HOST "
     "true "
     "shows it"},
    {PROBLEM_AGENT_PROTOCOL, 0,
     "something else than the agent answers, or writes into its stream: a forced command, a proxy, "
     "a changed agent"},
    {PROBLEM_AGENT_VERSION, 0,
     "the installed agent is older or newer than this muster: update its package, or --agent "
     "cached"},
    {PROBLEM_AGENT_DIED, 0,
     "the agent was ended on the host: look for the OOM killer in dmesg, and for limits of its "
     "session"},
    {PROBLEM_AGENT_SILENT, 0,
     "the host stopped answering while it was connected: stopped, swapping, or the network "
     "between"},
    {PROBLEM_AGENT_NO_BINARY, 0,
     "no agent for this system: --agent never brings the main figures with plain sh"},
    {PROBLEM_AGENT_MISSING, 0,
     "install the agent's package there, or let it travel: --agent cached"},
    {PROBLEM_AGENT_NO_EXEC, 0,
     "home, /var/tmp, /tmp, /dev/shm: all noexec; install the agent's package and use --agent "
     "installed, or --agent never for the main figures with plain sh"},
    {PROBLEM_AGENT_NO_PLACE, 0,
     "the agent's folder must be yours, mode 0700 and no link: remove the one in the way"},
    {PROBLEM_AGENT_DAMAGED, 0,
     "the file changed on its way or on the disk: look for disk errors; the next run sends it "
     "anew"},
    {PROBLEM_AGENT_UPLOAD, 0, "nothing was left half done; the next run sends the agent anew"},
    {PROBLEM_EXEC_DENIED, 0,
     "an allow-list keeps new programs from running (fapolicyd-cli --list, ausearch -m avc): "
     "install the agent's package and use --agent installed, or --agent never"},
    {PROBLEM_DISK_FULL, 0, "no space, inodes or quota left there: df -h, df -i, quota"},
    {PROBLEM_READ_ONLY_FS, 0,
     "the disk went read-only (errors? dmesg) or is meant to be: --agent installed, or --agent "
     "never"},
    {PROBLEM_NO_SHELL, 0,
     "the account's login shell runs no commands; getent passwd USER shows it, authorized_keys a "
     "forced one"},
    {PROBLEM_START_UP_NOISE, 0,
     "start-up files print to standard output: begin them with: case $- in *i*) ;; *) return ;; "
     "esac"},
    {PROBLEM_EXIT_NONZERO, 126,
     "exit 126: found, but could not be executed: no x bit, a directory, a missing interpreter, or "
     "a file system mounted noexec"},
    {PROBLEM_EXIT_NONZERO, 127,
     "exit 127: command not found; the command runs in a non-login sh, whose PATH is the server's: "
     "give the full path, or --env PATH=..."},
    {PROBLEM_NONE, 0, /* a host whose output shows it, whatever its problem */
     "start-up files print or expect a terminal (\"stdin: is not a tty\", \"mesg:\", \"stty:\", "
     "\"tcgetattr\"): begin them with: case $- in *i*) ;; *) return ;; esac"},
};
enum { HINT_COUNT = sizeof hints / sizeof hints[0] };

bool hints_is_noise(const uint8_t *p, size_t n)
{
    static const char *const signs[] = {
        "stdin: is not a tty",
        "mesg: ttyname failed",
        "mesg: cannot open",
        "tcgetattr: Inappropriate ioctl",
        "stty: 'standard input': Inappropriate ioctl",
        "stty: standard input: Inappropriate ioctl",
        "tput: No value for $TERM",
        "TERM environment variable not set",
        "cannot set terminal process group",
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (n > 0 && memmem(p, n, signs[i], strlen(signs[i])) != NULL)
            return true;
    return false;
}

static bool applies(const struct done_host *h, const struct hint *hint)
{
    if (!h->done)
        return false;
    if (hint->problem == PROBLEM_NONE)
        return h->noise;
    return h->problem == hint->problem &&
           (hint->problem != PROBLEM_EXIT_NONZERO || h->exit_code == hint->exit_code);
}

void hints_render(struct output *o)
{
    static const uint8_t key[STORE_KEY];
    for (const struct hint *hint = hints; hint < hints + HINT_COUNT; hint++) {
        struct groups gs;
        struct group *g = NULL;
        if (groups_init(&gs, 1, o->run.host_count) != RC_OK)
            return;
        for (uint32_t i = 0; i < o->run.host_count; i++)
            if (applies(&o->hosts[i], hint))
                g = groups_add(&gs, key, i);
        if (g != NULL) {
            text_puts(&o->err, "hint: ");
            phrase_hosts(o, &gs, g, 1, 60, &o->err);
            text_puts(&o->err, ": ");
            text_puts(&o->err, hint->text);
            text_puts(&o->err, "\n");
        }
        groups_fini(&gs);
    }
}
