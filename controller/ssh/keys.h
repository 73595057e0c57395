/* Private keys for login: reads the files, finds out whether they are encrypted, asks once.
 *
 * Coordinator, before the run; never on the loop. Does not parse the key itself beyond its header:
 * a worker imports it. File bytes and passphrases live in locked memory and are wiped.
 */
#ifndef CONTROLLER_SSH_KEYS_H
#define CONTROLLER_SSH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

enum { KEYS_MAX = 64, KEYS_MAX_FILE = 256 * 1024 };

struct key_file {
    char *path; /* for messages */
    char *text; /* file contents, NUL-terminated, sodium_malloc */
    size_t len;
    bool encrypted;
    char *passphrase; /* sodium_malloc, or NULL */
    bool optional;    /* a default file: doing without it is no error */
    dev_t dev;        /* which file it is */
    ino_t ino;
};

struct keys {
    struct key_file items[KEYS_MAX];
    size_t count;
};

void keys_init(struct keys *k);
void keys_fini(struct keys *k); /* wipes */

/* Adds the file once (same name, or same device and inode: the same number again, and a name that
 * is known is not read again); *id is its number.
 * RC_NOTFOUND when missing; RC_CONFIG when it is no private key, or others may read it (as ssh
 * refuses it: any permission for group or others on a file of the user's own); RC_LIMIT past
 * KEYS_MAX or KEYS_MAX_FILE; RC_SYS; RC_NOMEM. A leading "~/" is the user's home. */
enum rc keys_add(struct keys *k, const char *path, unsigned *id, struct err *e);

/* Adds whichever of ~/.ssh/id_ed25519, id_ecdsa, id_rsa exist. RC_OK also when there is none; one
 * that cannot be used is left out with a warning. Fails with RC_NOMEM or RC_LIMIT only. */
enum rc keys_add_defaults(struct keys *k, struct err *e);

/* Asks on the terminal (/dev/tty, no echo, three tries) for the passphrase of every encrypted key
 * that has none. Verifies by decrypting (this runs the key's KDF). RC_OK; RC_CONFIG when there is
 * no terminal or no right passphrase came (the message says what to do); RC_CANCELLED when a signal
 * came meanwhile and the program survived it; RC_NOMEM. An optional key that stays locked (no
 * terminal, an empty line, three wrong ones) is no error: keys_usable says false of it. */
enum rc keys_unlock(struct keys *k, struct err *e);

/* Can a login use it: not encrypted, or unlocked? */
bool keys_usable(const struct key_file *key);

#endif
