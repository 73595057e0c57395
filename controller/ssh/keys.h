/* What there is to log in with: private key files, the certificates that go with them, and the keys
 * of the user's ssh-agent. Finds out which key is which and which of them an agent holds, and asks
 * once for the passphrases that are needed.
 *
 * Coordinator, before the run; never on the loop. Does not read the private part of a key: a worker
 * imports it. File bytes and passphrases live in locked memory and are wiped. keys.c reads files
 * and asks; keys_public.c knows public keys, certificates and the agent's list.
 */
#ifndef CONTROLLER_SSH_KEYS_H
#define CONTROLLER_SSH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/agent/agent_msg.h"

enum { KEYS_MAX = 64, KEYS_MAX_FILE = 256 * 1024, KEYS_MAX_CERTS = 64 };

struct key_file {
    char *path; /* for messages */
    char *text; /* file contents, NUL-terminated, sodium_malloc; NULL: not a private key file */
    size_t len;
    bool encrypted;
    char *passphrase; /* sodium_malloc, or NULL */
    bool optional;    /* a default file: doing without it is no error */
    dev_t dev;        /* which file it is; 0: none */
    ino_t ino;
    void *blob; /* public key, or certificate, in wire form; NULL: not known */
    size_t blob_len;
    void *agent_blob; /* the agent signs with it, and knows it by this; NULL: it does not */
    size_t agent_len;
    int base;    /* a certificate for that private key; -1 */
    int cert;    /* the certificate to use before this key; -1 */
    char *fault; /* about a certificate of this key that was left out, or NULL */
};

struct key_cert_file { /* one that the user named; joined with its key when that is met */
    char *path;
    void *blob, *plain;
    size_t len, plain_len;
    char *fault; /* why it cannot be used now, or NULL */
    bool used;
};

struct keys {
    struct key_file items[KEYS_MAX];
    size_t count;
    struct agent_identities agent;
    struct key_cert_file certs[KEYS_MAX_CERTS];
    size_t cert_count;
};

void keys_init(struct keys *k);
void keys_fini(struct keys *k); /* wipes */
/* Wipes private parts and passphrases; what is public stays. */
void keys_wipe_private(struct keys *k);

/* What the agent holds; takes *ids over. Before any key is added. */
void keys_use_agent(struct keys *k, struct agent_identities *ids);

/* A certificate that the user named: used with each key that it certifies, added before or later.
 * RC_NOTFOUND, RC_CONFIG (no user certificate), RC_LIMIT, RC_SYS, RC_NOMEM. One that has expired or
 * is not valid yet is left out, with a warning. */
enum rc keys_add_cert(struct keys *k, const char *path, struct err *e);

/* Adds the file once (same name, or same device and inode: the same number again, and a name that
 * is known is not read again); *id is its number. A public key will do when the agent holds its
 * private part. FILE-cert.pub beside it is its certificate.
 * RC_NOTFOUND when missing; RC_CONFIG when it is no private key, or others may read it (as ssh
 * refuses it: any permission for group or others on a file of the user's own); RC_LIMIT past
 * KEYS_MAX or KEYS_MAX_FILE; RC_SYS; RC_NOMEM. A leading "~/" is the user's home. */
enum rc keys_add(struct keys *k, const char *path, unsigned *id, struct err *e);

/* Adds whichever of ~/.ssh/id_ed25519, id_ecdsa, id_rsa exist. RC_OK also when there is none; one
 * that cannot be used is left out with a warning. Fails with RC_NOMEM or RC_LIMIT only. */
enum rc keys_add_defaults(struct keys *k, struct err *e);

/* Adds what else the agent holds, at most `max` of it: `ids` gets the numbers, *count how many.
 * RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc keys_add_agents(struct keys *k, unsigned *ids, unsigned max, unsigned *count,
                        struct err *e);

/* The numbers in the order of ssh(1): certificates, keys of files that the agent holds too, other
 * keys of the agent, keys of files. Each key's certificates are put in; what passes `max` is left
 * out from the end. ids holds *count numbers and has room for max. */
void keys_order(const struct keys *k, unsigned *ids, unsigned *count, unsigned max);

/* Warns, once for a run: of more keys than a server will listen to (those of `host`, which has the
 * most), and of certificates without a key. After keys_unlock. */
enum { KEYS_POLITE = 6 }; /* sshd's MaxAuthTries */
void keys_warn(const struct keys *k, const char *host, const unsigned *ids, unsigned count);

/* The agent has it, and no file or name of the user's led to it. */
bool keys_only_in_agent(const struct keys *k, unsigned id);

/* Asks on the terminal (/dev/tty, no echo, three tries) for the passphrase of every encrypted key
 * that has none. Verifies by decrypting (this runs the key's KDF). RC_OK; RC_CONFIG when there is
 * no terminal or no right passphrase came (the message says what to do); RC_CANCELLED when a signal
 * came meanwhile and the program survived it; RC_NOMEM. Nobody is asked about a key that the agent
 * holds, nor about default files when the agent holds others. An optional key that stays locked (no
 * terminal, an empty line, three wrong ones) is no error: keys_usable says false of it. */
enum rc keys_unlock(struct keys *k, struct err *e);

/* Can a login use it: in the agent, not encrypted, or unlocked? */
bool keys_usable(const struct keys *k, unsigned id);

/* For keys.c and keys_public.c. */
bool keys_in_agent(const struct keys *k, const void *blob, size_t len);
/* Finds the item's public key, whether the agent holds it, and its certificates, which become items
 * of their own. RC_OK also when nothing is known. RC_NOMEM, RC_LIMIT. */
enum rc keys_identify(struct keys *k, unsigned id, struct err *e);
char *keys_expand_home(const char *path); /* mem_free it; NULL without memory */
enum rc keys_read_public(const char *path, struct buf *blob, struct err *e);
enum rc keys_append(struct keys *k, const struct key_file *item, unsigned *id, struct err *e);
void keys_fini_public(struct keys *k);

#endif
