/* Ending all that a command started.
 *
 * Who is found: the command's process group, as long as the command itself was not reaped (until
 * then its number cannot be another's); and the keeper's own children, which is where every orphan
 * of the command ends up (a child cannot be another's either, since only the keeper reaps it). A
 * tree is ended from its top: what loses its parent is a child in the next round.
 *
 * What sudo started cannot be signalled by its user. For it: the terminal (TIOCSIG reaches whoever
 * is in front, by the kernel), a `sudo -n kill` in the same session, whose ticket the first sudo
 * left, and at last the terminal's hangup. None of these is sure, so what is left is told.
 */
#include "agent/keeper_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/procs.h"
#include "common/mem.h"

enum { HELPER_PIDS = 64 };

/* A daemon in a session of its own is the command's wish, and stays where lives_on says so. With a
 * terminal the session is the keeper's. */
static bool counts(const struct keeping *k, const struct proc *p)
{
    if (p->pid == k->helper)
        return false;
    if (!k->spec->lives_on || p->pid == k->pid)
        return true;
    pid_t session = getsid(p->pid), ours = k->spec->tty ? getpid() : k->pid;
    return session == ours || (k->sudo_session > 0 && session == k->sudo_session);
}

bool keeper_any_left(struct keeping *k)
{
    struct proc *list;
    bool any = false;
    siginfo_t si;
    if (!k->exited)
        return true;
    if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD)
        return false;
    size_t n = procs_children(&list), living = 0;
    for (size_t i = 0; i < n; i++) {
        living += list[i].state != 'Z';
        any = any || (list[i].state != 'Z' && counts(k, &list[i]));
    }
    mem_free(list);
    /* There are children, and /proc shows none: they are root's. */
    return any || (living == 0 && !k->spec->lives_on);
}

static unsigned add_word(char words[][16], unsigned n, const char *sign, pid_t pid)
{
    if (n < HELPER_PIDS)
        snprintf(words[n++], sizeof *words, "%s%d", sign, (int)pid);
    return n;
}

/* The list for kill: the command's groups while it is there, and every process below us. Nothing
 * that is not known to be below us this moment: root kills whoever has that number. */
static unsigned help_list(const struct keeping *k, char words[][16])
{
    struct proc *list;
    unsigned n = k->exited ? 0 : add_word(words, 0, "-", k->pid);
    size_t count = procs_children(&list);
    for (size_t i = 0; i < count; i++)
        if (list[i].state != 'Z' && counts(k, &list[i]))
            n = add_word(words, n, "", list[i].pid);
    mem_free(list);
    count = procs_below(getpid(), true, &list);
    for (size_t i = 0; i < count; i++) {
        if (list[i].pid == k->sudo_pid)
            n = add_word(words, n, "-", list[i].pid);
        if (list[i].parent != getpid() && list[i].state != 'Z' && counts(k, &list[i]))
            n = add_word(words, n, "", list[i].pid);
    }
    mem_free(list);
    return n;
}

/* What its dead had below them falls to us, and can be seen only then where /proc hides it. Where
 * sudo did not let it, nothing is gained by asking again. */
void keeper_helper_ended(struct keeping *k, int status)
{
    k->helper = 0;
    k->helped = status != 0 || k->helps >= KEEPER_HELPS;
}

/* sudo once more, never with a password: a rule without one, or the ticket of the first. */
static void help(struct keeping *k)
{
    static char sudo[] = "sudo", n_[] = "-n", u[] = "-u", end[] = "--", sh[] = "/bin/sh",
                c[] = "-c", text[] = "kill -KILL \"$@\"; exit 0";
    char words[HELPER_PIDS][16], *argv[HELPER_PIDS + 10];
    unsigned n = help_list(k, words), at = 0;
    k->helped = true;
    k->helps++;
    if (n == 0 || (k->helper = fork()) != 0)
        return;
    char *fixed[] = {sudo, n_, u, (char *)(uintptr_t)k->spec->sudo_user, end, sh, c, text, sh};
    for (; at < sizeof fixed / sizeof *fixed; at++)
        argv[at] = fixed[at];
    for (unsigned i = 0; i < n; i++)
        argv[at++] = words[i];
    argv[at] = NULL;
    sigset_t none;
    sigemptyset(&none);
    if (setpgid(0, 0) == 0 && dup2(k->ends.null, 0) >= 0 && dup2(k->ends.null, 1) >= 0 &&
        dup2(k->ends.null, 2) >= 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        execve(k->spec->sudo, argv, k->spec->spawn.envp);
    _exit(127);
}

/* Nobody of our own user may be asked; what the kernel does for a terminal needs no leave. */
static void signal_through(struct keeping *k, int sig)
{
    if (k->ends.tty >= 0)
        (void)ioctl(k->ends.tty, TIOCSIG, sig == SIGKILL ? SIGQUIT : SIGINT);
    if (sig == SIGKILL && !k->helped && k->spec->sudo != NULL)
        help(k);
}

void keeper_signal_all(struct keeping *k, int sig)
{
    struct proc *list;
    bool denied = false;
    if (!k->exited && k->pid > 0) {
        denied = kill(-k->pid, sig) != 0 && errno == EPERM;
        if (sig != SIGKILL)
            (void)kill(-k->pid, SIGCONT); /* who is stopped does not hear it */
    }
    size_t n = procs_children(&list);
    for (size_t i = 0; i < n; i++)
        if (list[i].state != 'Z' && counts(k, &list[i]) && kill(list[i].pid, sig) != 0 &&
            errno == EPERM)
            denied = true;
    mem_free(list);
    if (denied)
        signal_through(k, sig);
}
