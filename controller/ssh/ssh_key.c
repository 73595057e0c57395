/* See ssh_key.h. */
#include "controller/ssh/ssh_key.h"

#include <string.h>

#include <libssh/libssh.h>

#include "common/str.h"

/* Without a callback of ours the PEM reader would ask on the terminal by itself. */
static int refuse_to_ask(const char *prompt, char *buf, size_t len, int echo, int verify,
                         void *user)
{
    (void)prompt;
    (void)buf;
    (void)len;
    (void)echo;
    (void)verify;
    (void)user;
    return -1;
}

enum rc ssh_key_check(const char *text, const char *passphrase, struct err *e)
{
    ssh_key key = NULL;
    int rc = ssh_pki_import_privkey_base64(text, passphrase, refuse_to_ask, NULL, &key);
    ssh_key_free(key);
    return rc == SSH_OK ? RC_OK
                        : err_set(e, RC_CRYPTO, "wrong passphrase, or not a key that can be read");
}

enum rc ssh_key_public(const char *text, struct buf *blob, struct err *e)
{
    ssh_key key = NULL;
    char *line = NULL;
    enum rc rc = RC_CRYPTO;
    if (ssh_pki_import_privkey_base64(text, NULL, refuse_to_ask, NULL, &key) == SSH_OK &&
        ssh_pki_export_pubkey_base64(key, &line) == SSH_OK)
        rc = str_unbase64(blob, line, strlen(line));
    ssh_string_free_char(line);
    ssh_key_free(key);
    return rc == RC_OK ? RC_OK : err_set(e, rc, "no public part can be read from the private key");
}
