/* Does the SSH library take this private key? Apart from ssh_io.c the only place that calls it, so
 * that the coordinator can test a passphrase without a session.
 *
 * Runs the key's KDF (a tenth of a second and more): not on a loop. Any thread; never prompts.
 */
#ifndef CONTROLLER_SSH_SSH_KEY_H
#define CONTROLLER_SSH_SSH_KEY_H

#include "common/buf.h"
#include "common/err.h"

/* text: the file's contents; passphrase may be NULL. RC_OK, or RC_CRYPTO: wrong passphrase, or no
 * key that the library can read; it does not tell which. */
enum rc ssh_key_check(const char *text, const char *passphrase, struct err *e);

/* The public part of a private key that is not encrypted, in wire form. RC_OK, RC_CRYPTO, RC_NOMEM.
 */
enum rc ssh_key_public(const char *text, struct buf *blob, struct err *e);

#endif
