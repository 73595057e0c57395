/* The %-tokens, ${VARIABLES} and "~" that ssh fills into names of files (ssh_config(5), TOKENS and
 * ENVIRONMENT VARIABLES). Pure but for the environment; any thread.
 */
#ifndef CONTROLLER_SSHCONFIG_TOKENS_H
#define CONTROLLER_SSHCONFIG_TOKENS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct sshtokens {
    const char *original;   /* %n, and %k without an alias */
    const char *hostname;   /* %h */
    const char *alias;      /* %k, or NULL */
    const char *user;       /* %r */
    const char *local_user; /* %u */
    const char *local_host; /* %l; %L is it up to the first dot */
    const char *home;       /* %d, and a leading "~/" */
    uint16_t port;          /* %p */
    unsigned uid;           /* %i */
    /* getenv, or a test's */
    const char *(*env_get)(const char *name);
};

/* Appends `text` with all of it filled in. RC_CONFIG: a token we do not know, a variable that is
 * not set; RC_LIMIT; RC_NOMEM. */
enum rc sshtokens_expand(const struct sshtokens *t, const char *text, struct buf *out,
                         struct err *e);

#endif
