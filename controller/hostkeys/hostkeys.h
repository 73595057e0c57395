/* known_hosts, read once and indexed: is this the key of that host?
 *
 * Plain, hashed (|1|salt|hash), [host]:port, wildcard and negated patterns, @revoked,
 * @cert-authority, several files (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). The lookup never costs
 * hosts x lines: the presented key is looked up first, and names are scanned (hashed lines, with
 * precomputed HMAC states) only when it is not there.
 *
 * Coordinator only. hostkeys_check is safe on any thread while nothing adds; the caller serialises
 * hostkeys_add against checks.
 */
#ifndef CONTROLLER_HOSTKEYS_HOSTKEYS_H
#define CONTROLLER_HOSTKEYS_HOSTKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum hostkeys_verdict {
    HOSTKEYS_MATCH,    /* the key is on record for the host */
    HOSTKEYS_UNKNOWN,  /* no line names the host */
    HOSTKEYS_CHANGED,  /* a line of the same key type names the host, with another key */
    HOSTKEYS_OTHER,    /* lines name the host, all with other key types: shake hands again with those */
    HOSTKEYS_REVOKED,  /* an @revoked line names host and key */
    HOSTKEYS_CA_ONLY,  /* only @cert-authority lines name the host */
};

struct hostkeys_answer {
    enum hostkeys_verdict verdict;
    char where[512];   /* "file:line" of the line that decided, or "" */
    char types[256];   /* key types on record for the host, comma separated, for OTHER and CHANGED */
    char recorded[64]; /* SHA256:… of the key on record, for CHANGED */
};

struct hostkeys;

enum rc hostkeys_new(struct hostkeys **out, struct err *e);
void hostkeys_free(struct hostkeys *hk);

/* Reads and indexes one file. A missing file is RC_NOTFOUND (callers ignore it for defaults).
 * Lines that cannot be read are skipped and counted, as ssh does. `blob` keys are at most 16 KiB. */
enum rc hostkeys_load(struct hostkeys *hk, const char *path, struct err *e);
/* The same from memory (tests, fuzzing); `name` is used in places. */
enum rc hostkeys_load_text(struct hostkeys *hk, const char *name, const char *text, size_t len,
                           struct err *e);
size_t hostkeys_count(const struct hostkeys *hk);   /* usable lines */
size_t hostkeys_skipped(const struct hostkeys *hk); /* lines that could not be read */

/* host: the name ssh would look up (HostKeyAlias, or the address connected to as it was given:
 * ansible_host, or the inventory name), compared in lower case; port 22 means the plain form.
 * key_type: "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"; blob: the wire form of the key. */
void hostkeys_check(const struct hostkeys *hk, const char *host, uint16_t port,
                    const char *key_type, const void *blob, size_t blob_len,
                    struct hostkeys_answer *out);

/* true when hostkeys_check may have to scan hashed lines by name for this key (it is not indexed
 * under it): the caller then runs the check off the loop. */
bool hostkeys_would_scan(const struct hostkeys *hk, const void *blob, size_t blob_len);

/* Key types on record for a host, as an order of preference for the handshake ("" when none);
 * plain and wildcard lines only, so it is cheap; a hint, not a verdict. */
void hostkeys_types(const struct hostkeys *hk, const char *host, uint16_t port, char *dst,
                    size_t cap);

/* accept-new: appends to `path` under an exclusive lock, as ssh does (creates folder 0700 and file
 * 0600, adds a missing final newline first), after checking again that no line there names the host with any
 * key; then to the index. hashed: write |1|… form. RC_EXISTS when meanwhile a key is known. */
enum rc hostkeys_add(struct hostkeys *hk, const char *path, const char *host, uint16_t port,
                     const char *key_type, const void *blob, size_t blob_len, bool hashed,
                     struct err *e);

/* "SHA256:…" as ssh-keygen -l shows it; dst holds at least 64 bytes. Returns dst. */
char *hostkeys_fingerprint(char *dst, const void *blob, size_t blob_len);

#endif
