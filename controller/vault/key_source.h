/* Where a vault's key comes from: a file, a descriptor, a program's output, systemd's credential,
 * or the terminal. Never an argument's or a variable's value.
 *
 * One newline at the end is no part of a key. Blocks; before threads, main only.
 */
#ifndef CONTROLLER_VAULT_KEY_SOURCE_H
#define CONTROLLER_VAULT_KEY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "controller/vault/secret.h"

enum { KEY_SOURCE_MAX = 4096 }; /* bytes of a key */

struct key_source {
    const char *file;        /* a file that only its owner can read, or a pipe */
    const char *command;     /* words, see program_split; runs without a shell */
    int fd;                  /* -1: none */
    const char *credentials; /* folder that may hold the credential `muster-vault`, or NULL */
    const char *usual;       /* the user's own key file, where it exists, or NULL */
    const char *what;        /* for the prompt: "Vault key" */
    bool twice;              /* the prompt asks again: a key with a typing error opens nothing */
};

/* From the one of file, fd and command that is set; else the credential or the usual file, the
 * first that is there; else the terminal. RC_OK with *out the caller's; RC_USAGE when several are
 * set, for an empty key, a file that others can read, or two different answers; RC_NOTFOUND without
 * a terminal, with what to type; RC_SYS, RC_LIMIT, RC_CANCELLED, RC_NOMEM. */
enum rc key_source_read(const struct key_source *from, struct secret **out, struct err *e);

/* Fills in where a key is looked for that nobody named: $CREDENTIALS_DIRECTORY, and vault.key in
 * $XDG_CONFIG_HOME/muster or ~/.config/muster, whose path goes to `path`. */
void key_source_defaults(struct key_source *from, char *path, size_t cap);

/* Asks for a secret on the terminal, `twice` for one that is being made. As key_source_read. */
enum rc key_source_ask(const char *what, bool twice, struct secret **out, struct err *e);

#endif
