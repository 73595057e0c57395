/* Reads the log that OpenSSH's ssh writes with LogLevel=DEBUG1 (-E), and says what became of a
 * host: ssh's own exit code cannot tell its failures from a command that exits 255.
 *
 * Written against OpenSSH 8.4 to 9.9; every text that is matched stands in the table of sshlog.c
 * and is tried against the installed ssh by tests/integration/test_openssh.py. The log is hostile
 * text: a server's words are in it, escaped by ssh and behind a text of ssh's, so that only what
 * begins a line counts. Pure; any thread.
 */
#ifndef CONTROLLER_OPENSSH_SSHLOG_H
#define CONTROLLER_OPENSSH_SSHLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/outcome/outcome.h"

enum { SSHLOG_MAX_BYTES = 1024 * 1024 }; /* what is over is not looked at */

struct sshlog {      /* zeroed memory is a fresh one */
    char line[1024]; /* the line being read, cut */
    size_t len, bytes;
    enum phase phase;
    bool proxy;           /* a ProxyCommand is in front */
    bool authenticated;   /* the login is complete */
    bool sent;            /* the command was sent */
    bool exited;          /* the server told an exit status, which is ssh's own exit code */
    bool signaled;        /* the server told a signal (ssh does not say which) */
    bool closed;          /* the channel was closed in good order */
    enum problem problem; /* what ssh complained of, PROBLEM_NONE: nothing yet */
    unsigned rank;        /* of that line: a lower one says more */
    char detail[300];     /* its words, raw */
    char banner[256];     /* the server's software version, raw */
};

void sshlog_feed(struct sshlog *l, const void *bytes, size_t n);

/* The outcome of an ssh that has ended: exit code (-1: none), the signal that ended ssh itself (0:
 * none). Fills *o; detail is escaped. */
void sshlog_conclude(const struct sshlog *l, int exit_code, int signal, struct outcome *o);

/* The problem of a bound that has passed in this phase, before the command was sent. */
enum problem sshlog_timeout(const struct sshlog *l);

#endif
