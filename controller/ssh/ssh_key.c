/* See ssh_key.h. */
#include "controller/ssh/ssh_key.h"

#include <libssh/libssh.h>

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
