/* The command line for OpenSSH's ssh: built from words, never through a shell. Pure.
 *
 * Values that come from an inventory stand behind "--" or as the value of an option, and are
 * refused where ssh could read them as something else.
 */
#ifndef CONTROLLER_OPENSSH_ARGV_H
#define CONTROLLER_OPENSSH_ARGV_H

#include <stdbool.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

enum {
    OPENSSH_MAX_WORDS = 128,
    OPENSSH_MAX_COMMAND = 100 * 1024, /* a word of a command line has at most 128 KiB (execve(2)) */
};

struct openssh_target {             /* texts are borrowed */
    const char *program;            /* path of ssh */
    const char *config;             /* -F; NULL: ssh's own files */
    const char *host;               /* the name to dial; ssh_config is ssh's to follow */
    const char *user;               /* NULL: as ssh_config says */
    uint16_t port;                  /* 0: as ssh_config says */
    const char *key;                /* -i, or NULL */
    const char *alias;              /* HostKeyAlias, or NULL */
    const char *checking;           /* StrictHostKeyChecking, or NULL */
    const char *const *known_hosts; /* in place of ssh's files */
    unsigned known_host_count;
    bool direct;              /* whatever ProxyJump ssh_config has for it */
    const char *const *words; /* further KEY=VALUE, as typed */
    unsigned word_count;
    const char *log; /* where ssh writes its log: a FIFO */
    const char *command;
};

/* argv[0] is the program, the last is NULL; everything lives in the arena. RC_CONFIG: a value that
 * cannot be handed over (the message says which); RC_LIMIT; RC_NOMEM. */
enum rc openssh_argv(const struct openssh_target *t, struct arena *arena,
                     char *argv[OPENSSH_MAX_WORDS], struct err *e);

#endif
