/* The login calls of libssh: keys, and what the server would take. See ssh_io.h.
 *
 * The service request, which comes before any of them, is in ssh_io.c. Loop thread only. */
#include "controller/ssh/ssh_io_int.h"

#include <stdio.h>
#include <string.h>

#include "common/mem.h"

/* An error in a session that still lives is local (a key that cannot sign): as good as a denial. */
enum sshio_step sshio_settle_auth(const struct sshio *io, int rc)
{
    if (sshio_gone(io))
        return SSHIO_DEAD;
    switch (rc) {
    case SSH_AUTH_SUCCESS: return SSHIO_OK;
    case SSH_AUTH_AGAIN: return SSHIO_AGAIN;
    case SSH_AUTH_PARTIAL: return SSHIO_PARTIAL;
    default: return SSHIO_DENIED;
    }
}

enum sshio_step sshio_auth_none(struct sshio *io, const char *user)
{
    sshio_current = io;
    int rc = ssh_userauth_none(io->ssh, user);
    sshio_current = NULL;
    return sshio_settle_auth(io, rc);
}

enum sshio_step sshio_auth_offer(struct sshio *io, const char *user, const struct sshio_key *k)
{
    sshio_current = io;
    int rc = ssh_userauth_try_publickey(io->ssh, user, k->public_key);
    sshio_current = NULL;
    return sshio_settle_auth(io, rc);
}

enum sshio_step sshio_auth_sign(struct sshio *io, const char *user, const struct sshio_key *k)
{
    sshio_current = io;
    int rc = ssh_userauth_publickey(io->ssh, user, k->private_key);
    sshio_current = NULL;
    return sshio_settle_auth(io, rc);
}

char *sshio_auth_methods(struct sshio *io, char *dst, size_t cap)
{
    static const struct {
        int bit;
        const char *name;
    } methods[] = {
        {SSH_AUTH_METHOD_PUBLICKEY, "publickey"},
        {SSH_AUTH_METHOD_PASSWORD, "password"},
        {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"},
        {SSH_AUTH_METHOD_HOSTBASED, "hostbased"},
        {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"},
    };
    int have = ssh_userauth_list(io->ssh, NULL);
    size_t len = 0;
    dst[0] = '\0';
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if ((have & methods[i].bit) != 0 && len < cap)
            len +=
                (size_t)snprintf(dst + len, cap - len, "%s%s", len > 0 ? "," : "", methods[i].name);
    return dst;
}

enum sshio_step sshio_auth_password(struct sshio *io, const char *user, const char *password)
{
    sshio_current = io;
    int rc = ssh_userauth_password(io->ssh, user, password);
    sshio_current = NULL;
    return sshio_settle_auth(io, rc);
}

/* A round whose answers are not all set is sent with empty ones. */
enum sshio_step sshio_auth_prompts(struct sshio *io, const char *user)
{
    sshio_current = io;
    int rc = ssh_userauth_kbdint(io->ssh, user, NULL);
    sshio_current = NULL;
    return rc == SSH_AUTH_INFO && !sshio_gone(io) ? SSHIO_ASKED : sshio_settle_auth(io, rc);
}

/* The index is checked here: libssh 0.10.6 lets one past the end through. */
void sshio_question(struct sshio *io, struct sshio_question *q)
{
    char echo = 0;
    int n = ssh_userauth_kbdint_getnprompts(io->ssh);
    const char *text = n > 0 ? ssh_userauth_kbdint_getprompt(io->ssh, 0, &echo) : NULL;
    *q = (struct sshio_question){
        .count = n > 0 ? (unsigned)n : 0, .text = text != NULL ? text : "", .echo = echo != 0};
}

enum rc sshio_answer(struct sshio *io, const char *text)
{
    must(ssh_userauth_kbdint_getnprompts(io->ssh) == 1);
    return ssh_userauth_kbdint_setanswer(io->ssh, 0, text) == 0 ? RC_OK : RC_NOMEM;
}

bool sshio_auth_takes(struct sshio *io, const char *method)
{
    static const struct {
        const char *name;
        int bit;
    } methods[] = {{"publickey", SSH_AUTH_METHOD_PUBLICKEY},
                   {"password", SSH_AUTH_METHOD_PASSWORD},
                   {"keyboard-interactive", SSH_AUTH_METHOD_INTERACTIVE}};
    int have = ssh_userauth_list(io->ssh, NULL);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(methods[i].name, method) == 0)
            return (have & methods[i].bit) != 0;
    return false;
}
