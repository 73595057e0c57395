/* See program.h. */
#include "controller/vault/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"

extern char **environ;

/* One word in place; what is left of the line, NULL when a quote has no end. */
static char *cut_word(char *p)
{
    char *to = p, quote = '\0';
    for (; *p != '\0' && (quote != '\0' || (*p != ' ' && *p != '\t')); p++) {
        if (quote == '\0' && (*p == '"' || *p == '\''))
            quote = *p;
        else if (*p == quote)
            quote = '\0';
        else
            *to++ = *p;
    }
    if (quote != '\0')
        return NULL;
    p += *p != '\0';
    *to = '\0';
    return p;
}

enum rc program_split(const char *line, char *last, char **words, char **store, struct err *e)
{
    size_t n = 0;
    char *p = mem_strdup(line);
    if (p == NULL)
        return err_nomem(e);
    *store = p;
    enum rc rc = RC_OK;
    for (p += strspn(p, " \t"); rc == RC_OK && *p != '\0'; p += strspn(p, " \t")) {
        char *word = p;
        p = cut_word(p);
        if (p == NULL || n == PROGRAM_MAX_WORDS) {
            rc = err_set(
                e, RC_USAGE,
                p == NULL ? "'%.200s': a quote is never closed" : "'%.200s': too many words", line);
            break;
        }
        words[n++] = word;
    }
    if (rc == RC_OK && n == 0)
        rc = err_set(e, RC_USAGE, "no program is named");
    if (rc != RC_OK) {
        mem_free(*store);
        *store = NULL;
        return rc;
    }
    words[n] = last;
    words[n + (last != NULL)] = NULL;
    return RC_OK;
}

/* With default signals, none held back. out < 0: our own standard input and output. */
static enum rc start(char **words, int out, pid_t *pid, struct err *e)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return err_nomem(e);
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return err_nomem(e);
    }
    int sys = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    if (sys == 0 && out >= 0)
        sys = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (sys == 0 && out >= 0)
        sys = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    if (sys == 0)
        sys = posix_spawnp(pid, words[0], &files, &attr, words, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return sys == 0 ? RC_OK : err_sys(e, sys, "cannot start '%.200s'", words[0]);
}

static enum rc judge(const char *name, int status, struct err *e)
{
    if (WIFSIGNALED(status))
        return err_set(e, RC_CONFIG, "'%.200s' was ended by signal %d", name, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return err_set(e, RC_CONFIG, "'%.200s' failed with exit code %d", name,
                       WEXITSTATUS(status));
    return RC_OK;
}

static int await(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

enum rc program_output(const char *line, size_t max, struct secret **out, struct err *e)
{
    char *words[PROGRAM_MAX_WORDS + 2], *store;
    int ends[2];
    pid_t pid = -1;
    *out = NULL;
    enum rc rc = program_split(line, NULL, words, &store, e);
    if (rc != RC_OK)
        return rc;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        mem_free(store);
        return err_sys(e, errno, "pipe");
    }
    rc = start(words, ends[1], &pid, e);
    close(ends[1]);
    if (rc == RC_OK && (rc = secret_read(out, ends[0], max, e)) != RC_OK)
        err_wrap(e, "output of '%.200s'", words[0]);
    close(ends[0]);
    int status = pid > 0 ? await(pid) : 0;
    if (rc == RC_OK && (rc = judge(words[0], status, e)) != RC_OK) {
        secret_free(*out);
        *out = NULL;
    }
    mem_free(store);
    return rc;
}

/* SIGCHLD and what may come meanwhile are held back, so that none is missed. */
static int attend(pid_t pid, const sigset_t *held, int *last)
{
    int status;
    for (;;) {
        pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return status;
        int number = sigwaitinfo(held, NULL);
        if (number == SIGTERM || number == SIGHUP) {
            *last = number;
            kill(pid, number);
        }
    }
}

enum rc program_run(const char *line, char *last, int *signal, struct err *e)
{
    static const int watched[] = {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    char *words[PROGRAM_MAX_WORDS + 2], *store;
    sigset_t held, before;
    pid_t pid;
    *signal = 0;
    enum rc rc = program_split(line, last, words, &store, e);
    if (rc != RC_OK)
        return rc;
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++)
        sigaddset(&held, watched[i]);
    sigprocmask(SIG_BLOCK, &held, &before);
    rc = start(words, -1, &pid, e);
    if (rc == RC_OK)
        rc = judge(words[0], attend(pid, &held, signal), e);
    /* What is still held back was meant for the editor too, which has ended. */
    struct timespec now = {0};
    while (sigtimedwait(&held, NULL, &now) > 0)
        ;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (*signal != 0)
        rc = err_set(e, RC_CANCELLED, "interrupted");
    mem_free(store);
    return rc;
}
