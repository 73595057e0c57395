/* OpenSSH host certificates (PROTOCOL.certkeys of OpenSSH): taken apart, and checked as ssh does.
 *
 * Knows no files, no network, no clock: what authority counts for a host and what time it is are
 * the caller's. Pure; any thread. What is parsed points into the bytes given.
 */
#ifndef CONTROLLER_KEYSCAN_CERT_H
#define CONTROLLER_KEYSCAN_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/hostkeys/line.h"

enum { CERT_MAX = 16 * 1024, CERT_MAX_PRINCIPALS = 256, CERT_USER = 1, CERT_HOST = 2 };

struct cert_bytes {
    const uint8_t *p;
    size_t len;
};

struct cert {
    enum line_type type;   /* of the key that is certified */
    struct cert_bytes key; /* its fields, as they follow the type in a plain key */
    uint64_t serial;
    uint32_t kind; /* CERT_HOST */
    struct cert_bytes id;
    struct cert_bytes principals; /* strings, each whole */
    size_t principal_count;
    uint64_t after, before; /* seconds since 1970; UINT64_MAX: for ever */
    struct cert_bytes critical, extensions;
    struct cert_bytes authority; /* the key that signed, a whole plain key */
    struct cert_bytes body;      /* what it signed */
    struct cert_bytes signature;
};

/* RC_OK; RC_PARSE with what is wrong: cut off, more than it should be, of a type that we do not
 * know (a security key's, DSA), a signer that is itself a certificate. */
enum rc cert_parse(struct cert *c, const void *blob, size_t len, struct err *e);

/* Does it vouch for this very key (in wire form)? */
bool cert_is_of_key(const struct cert *c, const void *blob, size_t len);

/* Is it good for this host now? Of kind host, names the host (patterns as in ssh; no names at all
 * is not good for every host, as old ssh had it), within its time, no critical options. RC_OK, or
 * RC_CONFIG with the reason. */
enum rc cert_covers(const struct cert *c, const char *host, int64_t now_s, struct err *e);

/* Did the authority sign it? Ed25519, ECDSA on the NIST curves, RSA with SHA-2. RC_OK; RC_CRYPTO
 * with the reason; RC_NOMEM. */
enum rc cert_verify(const struct cert *c, struct err *e);

#endif
