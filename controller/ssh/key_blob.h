/* Public keys and user certificates in their wire form (RFC 4253 §6.6, PROTOCOL.certkeys): taken
 * out of key files, compared, and their dates read.
 *
 * Does not verify signatures: the server does. Everything is bounded by the bytes given. Pure; any
 * thread.
 */
#ifndef CONTROLLER_SSH_KEY_BLOB_H
#define CONTROLLER_SSH_KEY_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum { KEY_BLOB_MAX = 16 * 1024, KEY_BLOB_TYPE = 64, KEY_BLOB_SHOWN = 200 };

/* Reads numbers and strings (4 bytes of length, then bytes) one after the other. Each call returns
 * false, and moves nothing, when what is left is too short. */
struct blob_reader {
    const uint8_t *p;
    size_t n;
};
bool blob_u8(struct blob_reader *r, uint8_t *v);
bool blob_u32(struct blob_reader *r, uint32_t *v);
bool blob_u64(struct blob_reader *r, uint64_t *v);
bool blob_string(struct blob_reader *r, const uint8_t **p, size_t *n); /* borrowed */
bool blob_is(struct blob_reader *r, const char *text); /* takes a string; is it this text? */
/* RC_OK, RC_LIMIT, RC_NOMEM. */
enum rc blob_put_u32(struct buf *out, uint32_t v);
enum rc blob_put_string(struct buf *out, const void *p, size_t n);

/* The type that a blob begins with, into dst (terminated): 1 to KEY_BLOB_TYPE - 1 printable
 * characters. false when there is none such. */
bool key_blob_type(char dst[KEY_BLOB_TYPE], const void *blob, size_t len);
/* A certificate's type, "ssh-ed25519-cert-v01@openssh.com"? */
bool key_type_is_cert(const char *type);
/* One that the SSH library can log in with: ed25519, ECDSA and RSA, FIDO's (sk-) through an agent,
 * and the certificates of the first three. */
bool key_type_usable(const char *type);

/* The public part of an "openssh-key-v1" private key file, which stands in clear in encrypted ones
 * too. RC_NOTFOUND for other formats; RC_PARSE, RC_NOMEM. */
enum rc key_blob_of_private(struct buf *out, const char *text, struct err *e);
/* Of a line "TYPE BASE64 [comment]", as in .pub files; comments (#) and empty lines before it pass.
 * RC_PARSE when it is no such line, or its type is not the blob's; RC_NOMEM. */
enum rc key_blob_of_line(struct buf *out, const char *text, struct err *e);

struct key_cert {
    char type[KEY_BLOB_TYPE];        /* of the certificate */
    bool user;                       /* for users, not for hosts */
    uint64_t after, before;          /* seconds since 1970, valid in [after, before) */
    char id[KEY_BLOB_SHOWN];         /* escaped, cut */
    char principals[KEY_BLOB_SHOWN]; /* escaped, cut, "a,b"; "" for any */
};
/* Reads a certificate; `plain` gets the public key that it certifies, as a blob. RC_PARSE,
 * RC_NOMEM.
 */
enum rc key_cert_parse(struct key_cert *c, struct buf *plain, const void *blob, size_t len,
                       struct err *e);
/* Why it cannot be used at `now` (seconds since 1970), or NULL; `dst` holds the text. */
const char *key_cert_fault(const struct key_cert *c, uint64_t now, char *dst, size_t cap);

#endif
