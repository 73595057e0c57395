/* The messages of an ssh-agent (draft-ietf-sshm-ssh-agent), and what we let it sign.
 *
 * Requests are written whole, with their length. Answers come from another program: every length is
 * bounded before it is believed. Pure; any thread.
 */
#ifndef CONTROLLER_AGENT_AGENT_MSG_H
#define CONTROLLER_AGENT_AGENT_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum {
    AGENT_MAX_ANSWER = 256 * 1024,
    AGENT_MAX_IDENTITIES = 1024,
    AGENT_MAX_BLOB = 16 * 1024,
    AGENT_MAX_DATA = 20 * 1024, /* of what is to be signed */
    AGENT_MAX_SIGNATURE = 8 * 1024,
};

struct agent_identity {
    uint8_t *blob; /* public key or certificate, in wire form */
    size_t len;
    char *comment; /* escaped */
};
struct agent_identities {
    struct agent_identity *items;
    size_t count, cap;
};
void agent_identities_fini(struct agent_identities *ids); /* as after {0} */

/* Requests. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc agent_msg_list(struct buf *out);
enum rc agent_msg_sign(struct buf *out, const void *blob, size_t len, const void *data, size_t n,
                       uint32_t flags);

/* Length of the whole message (with its 4 bytes of length) that p begins with; 0: more bytes are
 * needed to know; -1: it is empty or larger than AGENT_MAX_ANSWER. */
long agent_msg_length(const void *p, size_t n);

/* Answers, without the 4 bytes of length. Keys of types that cannot be used are left out. RC_OK;
 * RC_PROTO with what was wrong; RC_CANCELLED when the agent said no; RC_NOMEM. */
enum rc agent_msg_get_identities(struct agent_identities *out, const void *p, size_t n,
                                 struct err *e);
/* *sig is borrowed. */
enum rc agent_msg_get_signature(const void *p, size_t n, const void **sig, size_t *len,
                                struct err *e);

/* May these bytes be signed? Only a login (RFC 4252 §7) as `user` with the key `blob`, bound to one
 * SSH session: a server, or whoever took over a worker, gets no signature for anything else. *flags
 * gets those of the sign request. SHA-1 signatures (ssh-rsa) are refused. RC_OK or RC_PROTO. */
enum rc agent_check_login(const void *data, size_t n, const char *user, const void *blob,
                          size_t blob_len, uint32_t *flags, struct err *e);

#endif
