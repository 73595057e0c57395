/* Sealed files and values: the format, sealing and opening. docs/vault.md has it byte by byte.
 *
 * Does not read files, ask or print. Deriving a key takes most of a second and 256 MiB: never on a
 * loop. One thread at a time.
 */
#ifndef CONTROLLER_VAULT_VAULT_H
#define CONTROLLER_VAULT_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/vault/secret.h"

#define VAULT_MARK "$MUSTER_VAULT;" /* how a sealed text of ours begins */

enum {
    VAULT_SALT = 16,
    VAULT_NONCE = 24,
    VAULT_TAG = 16,
    VAULT_FIXED = 64,                  /* header without the name */
    VAULT_BLOCK = 32,                  /* what is sealed is padded to a multiple of this */
    VAULT_MAX_NAME = 255,              /* bytes of a variable's name */
    VAULT_MAX_PLAIN = 8 * 1024 * 1024, /* what can be sealed */
    VAULT_MAX_TEXT = 12 * 1024 * 1024, /* a sealed text, or a file that holds some */
    VAULT_MAX_OPS = 10,                /* a text that asks for more is refused */
};
#define VAULT_MAX_MEMORY (1024ULL * 1024 * 1024)

struct vault_cost { /* of deriving the key, Argon2id's */
    uint32_t ops;
    uint64_t memory; /* bytes */
};

struct vault_header {
    bool is_value; /* a variable's value, otherwise a file */
    struct vault_cost cost;
    uint8_t salt[VAULT_SALT], nonce[VAULT_NONCE];
    char name[VAULT_MAX_NAME + 1]; /* of the variable; "" for a file */
};

/* A key as the user gave it, and what was derived from it so far: one derivation per salt. */
struct vault;

/* Takes `key` over, on failure too. RC_OK, RC_NOMEM; RC_USAGE when it is empty. */
enum rc vault_new(struct vault **out, struct secret *key, struct err *e);
void vault_free(struct vault *v); /* wipes; NULL is fine */

/* What vault_seal uses from now on. Without it: moderate cost, a salt of its own. For tests. */
void vault_set_cost(struct vault *v, struct vault_cost cost);
/* The same from a sealed text of ours, once that opens with this key: both then need one
 * derivation. As vault_open. */
enum rc vault_adopt(struct vault *v, const char *text, size_t len, struct err *e);

/* Appends the sealed text of `plain`. `name` is the variable's, NULL for a file. RC_OK; RC_LIMIT
 * when plain or name is too long; RC_USAGE for an empty name; RC_NOMEM (also for Argon2's memory),
 * RC_CRYPTO. On failure *out may have grown. */
enum rc vault_seal(struct vault *v, const char *name, const void *plain, size_t len,
                   struct buf *out, struct err *e);

/* Opens a sealed text of ours. Where it stands is checked: `name` is the variable there, "" for a
 * file, NULL where nothing tells. RC_OK with *plain the caller's. RC_PARSE when it is not as
 * vault_seal writes it; RC_LIMIT for a cost past the bounds; RC_CRYPTO when the key is wrong, any
 * byte was altered, or it was sealed for another place; RC_NOMEM. On failure *plain is NULL. */
enum rc vault_open(struct vault *v, const char *text, size_t len, const char *name,
                   struct secret **plain, struct err *e);

/* Opens what `ansible-vault` wrote ($ANSIBLE_VAULT;1.1 and 1.2, AES256). Such a text is bound to
 * nothing. As vault_open otherwise. */
enum rc vault_open_ansible(struct vault *v, const char *text, size_t len, struct secret **plain,
                           struct err *e);
/* Either, by how the text begins; RC_PARSE when it is neither. */
enum rc vault_open_any(struct vault *v, const char *text, size_t len, const char *name,
                       struct secret **plain, struct err *e);
bool vault_is_sealed(const void *text, size_t len);
bool vault_is_ansible(const void *text, size_t len);

/* Reads the outer form without any key: nothing of it is authenticated yet. The header and the
 * padded, encrypted bytes with their tag (in *body, which the caller initialises with room for
 * VAULT_MAX_TEXT). *aad gets the bytes of the header. RC_OK, RC_PARSE, RC_LIMIT, RC_NOMEM. */
enum rc vault_read(const char *text, size_t len, struct vault_header *h, struct buf *aad,
                   struct buf *body, struct err *e);

/* The key as it was given: for vault_open_ansible. Borrowed. */
const struct secret *vault_key(const struct vault *v);

#endif
