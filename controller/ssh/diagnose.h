/* Reads the reason out of what a failed connection left behind: errno, libssh's text, the first
 * lines of a server that never sent a banner. Pure functions; any thread.
 */
#ifndef CONTROLLER_SSH_DIAGNOSE_H
#define CONTROLLER_SSH_DIAGNOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/outcome/outcome.h"

/* What was seen before the banner, fed as the bytes come. Zeroed memory is a fresh one. */
struct prelude {
    char line[128]; /* the line being read, cut */
    size_t len;
    char first[128]; /* the first line that is no banner, raw, terminated */
    bool banner;     /* a line beginning "SSH-" began: nothing after it is read */
    bool throttled;  /* a line said that the server takes no login for now; it is in `first` */
    size_t bytes;    /* read before the banner */
};

void prelude_feed(struct prelude *p, const void *bytes, size_t n);
void prelude_end(struct prelude *p); /* end of stream: the last line counts without its newline */

enum { DIAGNOSE_DETAIL = 200 };

/* Each writes one line for people, escaped, into detail (DIAGNOSE_DETAIL bytes). */

/* errno of connect(2). `v6`: the address is IPv6. */
enum problem diagnose_connect(int sys, bool v6, const char *where, char *detail);

/* The stream ended before a banner. sys: errno, 0 for end of stream; text: libssh's, may be "". */
enum problem diagnose_prelude(const struct prelude *p, int sys, const char *text, char *detail);

/* The bastion `via` did not connect to `where` for us: RFC 4254's reason and its own words. */
enum problem diagnose_forward(unsigned code, const char *reason, const char *via, const char *where,
                              char *detail);

/* The session died in `phase` (kex, auth, open, request, run) with libssh's `text`.
 * `restricted`: only the host key types on record were offered. *phase may be corrected. */
enum problem diagnose_death(enum phase *phase, const char *text, bool restricted, char *detail);

#endif
