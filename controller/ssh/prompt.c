/* See prompt.h. The order of things follows readpassphrase(3): settings back first, then the
 * handlers, then the signal itself. Other than there, signals are let in only while ppoll waits:
 * one that came just before a read() would be noted and the read() would wait on. */
#include "controller/ssh/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* The last two come from our own calls on the terminal while we are in the background, and must not
 * be held back: a call that may not stop us would go through. */
static const int watched[] = {SIGALRM, SIGHUP,  SIGINT,  SIGPIPE, SIGQUIT,
                              SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
enum { WATCHED = sizeof watched / sizeof watched[0], HELD_BACK = WATCHED - 2 };

static volatile sig_atomic_t caught[WATCHED];

static void on_signal(int number)
{
    for (size_t i = 0; i < WATCHED; i++)
        if (watched[i] == number)
            caught[i] = 1;
}

struct before {
    struct sigaction actions[WATCHED];
    sigset_t mask;
    struct termios terminal;
};

static void watch(struct before *b)
{
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART: a wait shall return */
    sigset_t held;
    sigemptyset(&act.sa_mask);
    sigemptyset(&held);
    for (size_t i = 0; i < HELD_BACK; i++)
        sigaddset(&held, watched[i]);
    pthread_sigmask(SIG_BLOCK, &held, &b->mask);
    for (size_t i = 0; i < WATCHED; i++) {
        caught[i] = 0;
        sigaction(watched[i], &act, &b->actions[i]);
    }
}

static void unwatch(const struct before *b)
{
    for (size_t i = 0; i < WATCHED; i++)
        sigaction(watched[i], &b->actions[i], NULL);
    pthread_sigmask(SIG_SETMASK, &b->mask, NULL); /* what was held back takes its course here */
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

/* Waits until the terminal can be read or written. The only place where signals come in. */
static enum rc await(int fd, short events, const struct before *b, struct err *e)
{
    struct pollfd p = {.fd = fd, .events = events};
    while (!any_caught()) {
        if (ppoll(&p, 1, NULL, &b->mask) > 0)
            return RC_OK;
        if (errno != EINTR)
            return err_sys(e, errno, "terminal: wait");
    }
    return err_set(e, RC_CANCELLED, "interrupted");
}

static enum rc put(int fd, const char *text, const struct before *b, struct err *e)
{
    size_t len = strlen(text);
    while (len > 0) {
        enum rc rc = await(fd, POLLOUT, b, e);
        if (rc != RC_OK)
            return rc;
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "terminal: write");
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return RC_OK;
}

/* Up to the newline, to its end even when it does not fit, so that the rest is not read as the next
 * answer. */
static enum rc read_line(int fd, char *dst, size_t cap, const struct before *b, struct err *e)
{
    size_t len = 0;
    for (;;) {
        char c;
        enum rc rc = await(fd, POLLIN, b, e);
        if (rc != RC_OK)
            return rc;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
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
    struct before b;
    if (tcgetattr(fd, &b.terminal) != 0)
        return err_sys(e, errno, "terminal: read settings");
    watch(&b);
    struct termios quiet = b.terminal;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    enum rc rc = RC_CANCELLED;
    if (set_terminal(fd, &quiet)) {
        rc = put(fd, text, &b, e);
        if (rc == RC_OK)
            rc = read_line(fd, dst, cap, &b, e);
        (void)!write(fd, "\n", 1);
    } else {
        err_set(e, RC_CANCELLED, "cannot turn the terminal's echo off");
    }
    set_terminal(fd, &b.terminal);
    unwatch(&b);
    *again = any_caught() && deliver() && rc == RC_CANCELLED;
    return rc;
}

enum rc prompt_secret(const char *text, char *dst, size_t cap, struct err *e)
{
    must(cap > 0);
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, RC_NOTFOUND, "no terminal to ask on");
    enum rc rc;
    bool again = false;
    do {
        rc = ask_once(fd, text, dst, cap, &again, e);
    } while (again);
    close(fd);
    if (rc != RC_OK)
        explicit_bzero(dst, cap);
    return rc;
}
