/* The algorithms that a session offers, in order of preference; the old ones only where somebody
 * asked for them knowingly. */
#ifndef CONTROLLER_SSH_OFFERED_H
#define CONTROLLER_SSH_OFFERED_H

#define KEX_MODERN                                                                                 \
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"        \
    "ecdh-sha2-nistp521"
#define KEX_OLD                                                                                    \
    "diffie-hellman-group16-sha512,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1"
#define CIPHERS_MODERN                                                                             \
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,"      \
    "aes128-ctr"
#define CIPHERS_OLD "aes256-cbc,aes128-cbc,3des-cbc"
#define MACS_MODERN                                                                                \
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define MACS_OLD "hmac-sha1"
#define HOSTKEYS_MODERN                                                                            \
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,"        \
    "rsa-sha2-256"
#define HOSTKEYS_OLD "ssh-rsa"
#define CERTS_MODERN                                                                               \
    "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"                   \
    "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"           \
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,"

#endif
