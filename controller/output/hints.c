/* What a seasoned colleague would say on seeing the results: keys and logins that were refused,
 * exit 126 and 127, start-up files that print. On the info sink, each at most once. Only says what
 * the output shows.
 */
#include <string.h>

#include "controller/output/group.h"

enum { HINT_KEY_UNKNOWN, HINT_KEY_CHANGED, HINT_AUTH, HINT_126, HINT_127, HINT_NOISE, HINT_COUNT };

static const char *const texts[HINT_COUNT] = {
    [HINT_KEY_UNKNOWN] = "no key on record: compare the fingerprint with the host's own (there: "
                         "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then record it: "
                         "muster keyscan, or --host-keys accept-new",
    [HINT_KEY_CHANGED] = "another key than the one on record: a reinstalled host, or somebody in "
                         "between; once you know, muster keyscan --replace records the new "
                         "key in place of the old",
    [HINT_AUTH] = "login refused: -u NAME and --key FILE say as whom and with what; --dry-run "
                  "shows both",
    [HINT_126] = "exit 126: found, but could not be executed: no x bit, a directory, a missing "
                 "interpreter, or a file system mounted noexec",
    [HINT_127] = "exit 127: command not found; the command runs in a non-login sh, whose PATH is "
                 "the server's: give the full path, or --env PATH=...",
    [HINT_NOISE] = "start-up files print or expect a terminal (\"stdin: is not a tty\", \"mesg:\", "
                   "\"stty:\", \"tcgetattr\"): begin them with: case $- in *i*) ;; *) return ;; "
                   "esac",
};

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

static bool applies(const struct done_host *h, int hint)
{
    if (!h->done)
        return false;
    switch (hint) {
    case HINT_KEY_UNKNOWN: return h->problem == PROBLEM_HOST_KEY_UNKNOWN;
    case HINT_KEY_CHANGED: return h->problem == PROBLEM_HOST_KEY_CHANGED;
    case HINT_AUTH: return h->problem == PROBLEM_AUTH_DENIED;
    case HINT_NOISE: return h->noise;
    default:
        return h->problem == PROBLEM_EXIT_NONZERO && h->exit_code == (hint == HINT_126 ? 126 : 127);
    }
}

void hints_render(struct output *o)
{
    static const uint8_t key[STORE_KEY];
    for (int hint = 0; hint < HINT_COUNT; hint++) {
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
            text_puts(&o->err, texts[hint]);
            text_puts(&o->err, "\n");
        }
        groups_fini(&gs);
    }
}
