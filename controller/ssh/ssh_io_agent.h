/* Keys that are more than a file: certificates, and keys whose private part an ssh-agent holds.
 *
 * libssh 0.10.6 has no way to sign elsewhere but its own blocking talk with an agent. It is given
 * one end of a socket pair that already holds every answer it will ask for, so that it never waits:
 * first the one key to offer and "no" to the signature, which tells us what is to be signed; later,
 * when the signature is there, the same key and the signature. Loop thread only.
 */
#ifndef CONTROLLER_SSH_SSH_IO_AGENT_H
#define CONTROLLER_SSH_SSH_IO_AGENT_H

#include "controller/ssh/ssh_io.h"

/* A key that an agent signs with; blob: public key or certificate. Copied. RC_OK, RC_CRYPTO (of a
 * type that is not supported), RC_NOMEM. */
enum rc sshio_key_new_agent(struct sshio_key **out, const void *blob, size_t len, struct err *e);
/* A copy of the private key `base` that logs in with a certificate. RC_OK, RC_CRYPTO, RC_NOMEM. */
enum rc sshio_key_new_cert(struct sshio_key **out, const struct sshio_key *base, const void *blob,
                           size_t len, struct err *e);
bool sshio_key_in_agent(const struct sshio_key *k);

/* The socket pair; one for all sessions of a thread. RC_OK, RC_SYS, RC_NOMEM. */
struct sshio_agent;
enum rc sshio_agent_new(struct sshio_agent **out, struct err *e);
void sshio_agent_free(struct sshio_agent *a); /* NULL is fine */

/* Logs in with a key of the agent, step by step. Without a signature (NULL) it ends with SSHIO_SIGN
 * once the server accepts the key: sshio_agent_data is then what the agent has to sign. Called
 * again with the signature, it offers the key anew and logs in. A call that came back with AGAIN
 * must be repeated until it ends before any other login call; it may be given the signature later
 * than at its first call. */
enum sshio_step sshio_auth_agent(struct sshio *io, struct sshio_agent *a, const char *user,
                                 const struct sshio_key *k, const void *sig, size_t sig_len);
/* Valid until the next call with the same agent. */
const void *sshio_agent_data(const struct sshio_agent *a, size_t *n);

#endif
