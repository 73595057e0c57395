/* The words of ssh_config(5): which we act on, which change nothing for us, and what their values
 * look like. One table: the files, -O KEY=VALUE and the documentation follow it. Pure; any thread.
 */
#ifndef CONTROLLER_SSHCONFIG_WORDS_H
#define CONTROLLER_SSHCONFIG_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

enum sshword_kind {                /* how the rest of its line is read */
                    KIND_TEXT,     /* one word */
                    KIND_LIST,     /* one word or more; the first line that sets it counts */
                    KIND_APPEND,   /* one word; every line adds */
                    KIND_REST,     /* the rest of the line as it stands */
                    KIND_PORT,     /* 1-65535 */
                    KIND_YESNO,    /* yes, no, true, false */
                    KIND_SECONDS,  /* a time as sshd_config(5) TIME FORMATS, or none */
                    KIND_CHECKING, /* StrictHostKeyChecking */
                    KIND_FAMILY,   /* any, inet, inet6 */
                    KIND_ANY,      /* not looked at */
};

/* word, name, how it is read. What is here is acted on: by us, or by OpenSSH's ssh for the hosts
 * that need it. */
#define SSHWORD_TABLE(X)                                                                           \
    X(SSHWORD_HOSTNAME, "HostName", KIND_TEXT)                                                     \
    X(SSHWORD_PORT, "Port", KIND_PORT)                                                             \
    X(SSHWORD_USER, "User", KIND_TEXT)                                                             \
    X(SSHWORD_IDENTITY_FILE, "IdentityFile", KIND_APPEND)                                          \
    X(SSHWORD_CERTIFICATE_FILE, "CertificateFile", KIND_APPEND)                                    \
    X(SSHWORD_IDENTITIES_ONLY, "IdentitiesOnly", KIND_YESNO)                                       \
    X(SSHWORD_IDENTITY_AGENT, "IdentityAgent", KIND_TEXT)                                          \
    X(SSHWORD_PROXY_JUMP, "ProxyJump", KIND_REST)                                                  \
    X(SSHWORD_PROXY_COMMAND, "ProxyCommand", KIND_REST)                                            \
    X(SSHWORD_USER_KNOWN_HOSTS, "UserKnownHostsFile", KIND_LIST)                                   \
    X(SSHWORD_GLOBAL_KNOWN_HOSTS, "GlobalKnownHostsFile", KIND_LIST)                               \
    X(SSHWORD_HOST_KEY_ALIAS, "HostKeyAlias", KIND_TEXT)                                           \
    X(SSHWORD_CHECKING, "StrictHostKeyChecking", KIND_CHECKING)                                    \
    X(SSHWORD_CONNECT_TIMEOUT, "ConnectTimeout", KIND_SECONDS)                                     \
    X(SSHWORD_FAMILY, "AddressFamily", KIND_FAMILY)                                                \
    X(SSHWORD_BIND_ADDRESS, "BindAddress", KIND_TEXT)                                              \
    X(SSHWORD_BIND_INTERFACE, "BindInterface", KIND_TEXT)                                          \
    X(SSHWORD_HOST_KEY_ALGORITHMS, "HostKeyAlgorithms", KIND_TEXT)                                 \
    X(SSHWORD_KEX, "KexAlgorithms", KIND_TEXT)                                                     \
    X(SSHWORD_CIPHERS, "Ciphers", KIND_TEXT)                                                       \
    X(SSHWORD_MACS, "MACs", KIND_TEXT)                                                             \
    X(SSHWORD_PREFERRED, "PreferredAuthentications", KIND_TEXT)                                    \
    X(SSHWORD_PASSWORD, "PasswordAuthentication", KIND_YESNO)                                      \
    X(SSHWORD_GSSAPI, "GSSAPIAuthentication", KIND_YESNO)                                          \
    X(SSHWORD_PKCS11, "PKCS11Provider", KIND_TEXT)                                                 \
    X(SSHWORD_CANONICALIZE, "CanonicalizeHostname", KIND_TEXT)                                     \
    X(SSHWORD_HOST_KEY_COMMAND, "KnownHostsCommand", KIND_REST)                                    \
    X(SSHWORD_REVOKED_KEYS, "RevokedHostKeys", KIND_TEXT)                                          \
    X(SSHWORD_REFUSE, "RefuseConnection", KIND_REST)

enum sshword {
#define SSHWORD_ENUM(code, name, kind) code,
    SSHWORD_TABLE(SSHWORD_ENUM)
#undef SSHWORD_ENUM
        SSHWORD_COUNT,
    SSHWORD_HARMLESS = SSHWORD_COUNT, /* says nothing about where, as whom or how safely */
    SSHWORD_HOST,
    SSHWORD_MATCH,
    SSHWORD_INCLUDE,
    SSHWORD_IGNORE_UNKNOWN,
    SSHWORD_NONE, /* no such word */
};

/* Whatever the case of its letters. */
enum sshword sshword_find(const char *name);
const char *sshword_name(enum sshword w);       /* of one that is acted on */
enum sshword_kind sshword_kind(enum sshword w); /* of one that is acted on */

/* Is `text` a value of this kind? RC_OK, or RC_CONFIG with what would be right. */
enum rc sshword_check(enum sshword w, const char *text, struct err *e);

/* Of values that sshword_check has seen. */
bool sshword_yes(const char *text);         /* "yes" or "true", whatever the case */
bool sshword_none(const char *text);        /* NULL or "none" */
unsigned sshword_seconds(const char *text); /* 0: none */

#endif
