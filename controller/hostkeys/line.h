/* One line of known_hosts, taken apart as ssh does; and ssh's matching of names against a list of
 * patterns. Keeps nothing, knows no other line. Pure functions; any thread.
 */
#ifndef CONTROLLER_HOSTKEYS_LINE_H
#define CONTROLLER_HOSTKEYS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/hostkeys/hmac.h"

/* Key types a line may hold, in our order of preference for a handshake. */
enum line_type {
    LINE_TYPE_NONE, /* not a type we know */
    LINE_ED25519,
    LINE_ECDSA_256,
    LINE_ECDSA_384,
    LINE_ECDSA_521,
    LINE_RSA,
    LINE_SK_ED25519,
    LINE_SK_ECDSA,
    LINE_DSS,
    LINE_TYPE_COUNT
};

/* "rsa-sha2-256" and "rsa-sha2-512" are signatures of LINE_RSA. */
enum line_type line_type_of(const char *name, size_t len);
const char *line_type_name(enum line_type type); /* "ssh-ed25519"; "" for LINE_TYPE_NONE */

/* The type that a key in wire form says it has; LINE_TYPE_NONE unless it is whole and well-formed
 * (lengths, curve, RSA of at least 1024 bits: what ssh would read). */
enum line_type line_blob_type(const uint8_t *blob, size_t len);

/* LINE_EXPIRED is no marker in a file: it is what a reader makes of a line whose end has passed. */
enum line_marker { LINE_PLAIN, LINE_REVOKED, LINE_CA, LINE_EXPIRED };

/* Begins the word in a line's comment that says how long the line is good for, as RFC 3339 in UTC.
 * ssh reads no comments. */
#define LINE_UNTIL "muster:until="

struct line_parts {
    enum line_marker marker;
    enum line_type type;
    const char *hosts; /* within the text given; the |1|… field when hashed */
    size_t hosts_len;
    bool hashed;
    uint8_t salt[HMAC_SALT];
    uint8_t digest[HMAC_SALT];
    int64_t until; /* seconds since 1970; 0: for good. 1 where the comment cannot be read */
};

enum line_kind { LINE_EMPTY, LINE_BAD, LINE_GOOD, LINE_NOMEM };

/* Takes a line (without its newline) apart; the key's wire form goes to *blob, which is emptied
 * first and whose max bounds the key. */
enum line_kind line_parse(const char *text, size_t len, struct line_parts *parts, struct buf *blob);

/* Does the list name the host (already in lower case)? Comma-separated patterns with * and ?; one
 * that begins with ! and matches rules the line out; case does not matter. */
bool line_list_matches(const char *list, size_t len, const char *host, size_t host_len);

/* One pattern with * and ?, against a name in lower case; case of the pattern does not matter. */
bool line_pattern_matches(const char *pattern, size_t len, const char *name, size_t name_len);

/* Is the list nothing but names, so that it can be looked up instead of matched? */
bool line_list_is_plain(const char *list, size_t len);

#endif
