/* See prompt.h. The order of things follows readpassphrase(3): settings back first, then the
 * handlers, then the signal itself. */
#include "controller/ssh/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int watched[] = {SIGALRM, SIGHUP,  SIGINT,  SIGPIPE, SIGQUIT,
                              SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
enum { WATCHED = sizeof watched / sizeof watched[0] };

static volatile sig_atomic_t caught[WATCHED];

static void on_signal(int number)
{
    for (size_t i = 0; i < WATCHED; i++)
        if (watched[i] == number)
            caught[i] = 1;
}

static void watch(struct sigaction old[WATCHED])
{
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART: read() shall return */
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < WATCHED; i++) {
        caught[i] = 0;
        sigaction(watched[i], &act, &old[i]);
    }
}

static void unwatch(const struct sigaction old[WATCHED])
{
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i], &old[i], NULL);
}

static bool any_caught(void)
{
    for (size_t i = 0; i < WATCHED; i++)
        if (caught[i])
            return true;
    return false;
}

/* Lets what came take its course now that the terminal is as it was. True when it was a stop and
 * nothing else: we are in the foreground again. */
static bool deliver(void)
{
    bool again = true;
    for (size_t i = 0; i < WATCHED; i++) {
        if (!caught[i])
            continue;
        kill(getpid(), watched[i]);
        if (watched[i] != SIGTSTP && watched[i] != SIGTTIN && watched[i] != SIGTTOU)
            again = false;
    }
    return again;
}

/* tcsetattr that a stop signal may interrupt; anything else that fails fails for good. */
static bool set_terminal(int fd, const struct termios *t)
{
    while (tcsetattr(fd, TCSAFLUSH, t) != 0)
        if (errno != EINTR || caught[WATCHED - 1])
            return false;
    return true;
}

static void put(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n <= 0)
            return; /* the answer may come all the same */
        text += n;
        len -= (size_t)n;
    }
}

/* Up to the newline, to its end even when it does not fit, so that the rest is not read as the next
 * answer. */
static enum rc read_line(int fd, char *dst, size_t cap, struct err *e)
{
    size_t len = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR && !any_caught())
            continue;
        if (n < 0 && errno == EINTR)
            return err_set(e, RC_CANCELLED, "interrupted");
        if (n < 0)
            return err_sys(e, errno, "terminal: read");
        if (n == 0)
            return err_set(e, RC_CANCELLED, "end of input at the prompt");
        if (c == '\n' || c == '\r')
            break;
        if (len < cap)
            dst[len] = c;
        len++;
    }
    if (len >= cap)
        return err_set(e, RC_LIMIT, "longer than %zu bytes", cap - 1);
    dst[len] = '\0';
    return RC_OK;
}

static enum rc ask_once(int fd, const char *text, char *dst, size_t cap, bool *again, struct err *e)
{
    struct sigaction old[WATCHED];
    struct termios before;
    if (tcgetattr(fd, &before) != 0)
        return err_sys(e, errno, "terminal: read settings");
    watch(old);
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    enum rc rc = RC_CANCELLED;
    if (set_terminal(fd, &quiet)) {
        put(fd, text);
        rc = read_line(fd, dst, cap, e);
        put(fd, "\n");
    } else {
        err_set(e, RC_CANCELLED, "cannot turn the terminal's echo off");
    }
    set_terminal(fd, &before);
    unwatch(old);
    *again = any_caught() && deliver() && rc == RC_CANCELLED;
    return rc;
}

enum rc prompt_secret(const char *text, char *dst, size_t cap, struct err *e)
{
    must(cap > 0);
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(e, RC_NOTFOUND, "no terminal to ask on");
    enum rc rc;
    bool again;
    do {
        rc = ask_once(fd, text, dst, cap, &again, e);
    } while (again);
    close(fd);
    if (rc != RC_OK)
        explicit_bzero(dst, cap);
    return rc;
}
