/* Curve25519 for libssh, from libsodium: a provider of OpenSSL's (provider(7)) that serves X25519
 * and Ed25519 in libcrypto's place, to this process only.
 *
 * Why: three quarters of what a handshake computes are these two, and libssh has libcrypto take a
 * private key's public half anew for each of its two, a fifth of the whole; libcrypto verifies a
 * host key in twice the time that libsodium needs. Nothing of libssh is changed, and all else stays
 * libcrypto's. Road not taken: functions of our own in place of libcrypto's (which a linker lets
 * one do) would bind us to its insides; a provider is an interface that it documents.
 *
 * It serves what libssh asks for, and no more: raw keys in and out, generating, signing and
 * verifying in one go, deriving; one key on one thread at a time. Keys are wiped when they are
 * freed. X25519 is RFC 7748's, an all-zero secret refused; Ed25519 is RFC 8032's, and refuses what
 * libsodium does besides: public keys of small order or not in their one form, an R of small order,
 * and an S that is not reduced.
 */
#ifndef CONTROLLER_SSH_CURVES_H
#define CONTROLLER_SSH_CURVES_H

#include <stdbool.h>

#define CURVES_PROVIDER "muster-curves" /* as OpenSSL calls it */

/* Loads it, for keys that are made from now on; once a process, before other threads and before the
 * sandbox. false: libcrypto goes on with its own. It does so where openssl.cnf says which
 * implementations are to serve (default_properties, fips_mode, providers of which `default` is not
 * the one that has these curves, a FIPS module beside it): the machine's word stands. */
bool curves_load(void);

#endif
