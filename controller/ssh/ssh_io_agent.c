/* See ssh_io_agent.h. What libssh does in ssh_userauth_agent was read in 0.10.6's auth.c and
 * agent.c: it asks for the list once for each try (kept while the try answers "again"), offers the
 * key, and once that is accepted asks for one signature; a "no" ends the try with an error that
 * leaves the session as it was. It reads from the descriptor that ssh_set_agent_socket names, which
 * is lent for the length of a call only: a session needs no descriptor of its own for the agent.
 * What each list leaves behind in libssh (it forgets the buffer of the one before) is as large as
 * the public key. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/ssh/key_blob.h"
#include "controller/ssh/ssh_io_agent.h"
#include "controller/ssh/ssh_io_int.h"

enum {
    FAILURE = 5,
    REQUEST_IDENTITIES = 11,
    IDENTITIES_ANSWER = 12,
    SIGN_REQUEST = 13,
    SIGN_RESPONSE = 14,
    SPARE = 3,             /* answers that nobody should need: "no", so that libssh cannot wait */
    MAX_TALK = 128 * 1024, /* what libssh may write in one call */
};

struct sshio_agent {
    int ours, theirs;
    struct buf answers;
    struct buf heard;    /* what libssh asked in the last call */
    const uint8_t *data; /* in `heard`: to be signed */
    size_t data_len;
    bool listed; /* it took the list */
};

/* ---- keys ---- */

static enum rc import(ssh_key *out, const void *blob, size_t len, struct err *e)
{
    char type[KEY_BLOB_TYPE];
    struct buf text;
    buf_init(&text, 2 * KEY_BLOB_MAX);
    enum rc rc = len <= KEY_BLOB_MAX && key_blob_type(type, blob, len)
                     ? str_base64(&text, blob, len)
                     : RC_CRYPTO;
    const char *line = rc == RC_OK ? buf_cstr(&text) : NULL;
    if (rc == RC_NOMEM || (rc == RC_OK && line == NULL))
        rc = err_nomem(e);
    else if (rc != RC_OK ||
             ssh_pki_import_cert_base64(line, ssh_key_type_from_name(type), out) != SSH_OK)
        rc = err_set(e, RC_CRYPTO, "a public key or certificate of a type that is not supported");
    buf_fini(&text);
    return rc;
}

enum rc sshio_key_new_agent(struct sshio_key **out, const void *blob, size_t len, struct err *e)
{
    struct sshio_key *k = mem_calloc(1, sizeof *k);
    if (k == NULL)
        return err_nomem(e);
    enum rc rc = import(&k->public_key, blob, len, e);
    k->blob = mem_memdup(blob, len);
    k->blob_len = len;
    if (rc == RC_OK && k->blob == NULL)
        rc = err_nomem(e);
    if (rc != RC_OK) {
        sshio_key_free(k);
        return rc;
    }
    *out = k;
    return RC_OK;
}

/* ssh_key_dup leaves a certificate behind, so it is copied to the duplicate. */
enum rc sshio_key_new_cert(struct sshio_key **out, const struct sshio_key *base, const void *blob,
                           size_t len, struct err *e)
{
    struct sshio_key *k = mem_calloc(1, sizeof *k);
    if (k == NULL)
        return err_nomem(e);
    enum rc rc = import(&k->public_key, blob, len, e);
    if (rc == RC_OK && base->private_key != NULL)
        k->private_key = ssh_key_dup(base->private_key);
    if (rc == RC_OK && (k->private_key == NULL ||
                        ssh_pki_copy_cert_to_privkey(k->public_key, k->private_key) != SSH_OK))
        rc = err_set(e, RC_CRYPTO, "the certificate cannot be joined with its private key");
    if (rc != RC_OK) {
        sshio_key_free(k);
        return rc;
    }
    *out = k;
    return RC_OK;
}

bool sshio_key_in_agent(const struct sshio_key *k)
{
    return k->blob != NULL;
}

/* ---- the socket pair ---- */

enum rc sshio_agent_new(struct sshio_agent **out, struct err *e)
{
    int pair[2];
    struct sshio_agent *a = mem_calloc(1, sizeof *a);
    if (a == NULL)
        return err_nomem(e);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        mem_free(a);
        return err_sys(e, errno, "socket pair");
    }
    a->ours = pair[0];
    a->theirs = pair[1];
    buf_init(&a->answers, 2 * MAX_TALK);
    buf_init(&a->heard, MAX_TALK);
    *out = a;
    return RC_OK;
}

void sshio_agent_free(struct sshio_agent *a)
{
    if (a == NULL)
        return;
    close(a->ours);
    close(a->theirs);
    buf_fini(&a->answers);
    buf_fini(&a->heard);
    mem_free(a);
}

static enum rc put_list(struct buf *out, const struct sshio_key *k)
{
    enum rc rc = blob_put_u32(out, (uint32_t)(1 + 4 + 4 + k->blob_len + 4));
    if (rc == RC_OK)
        rc = buf_putc(out, IDENTITIES_ANSWER);
    if (rc == RC_OK)
        rc = blob_put_u32(out, 1);
    if (rc == RC_OK)
        rc = blob_put_string(out, k->blob, k->blob_len);
    return rc == RC_OK ? blob_put_u32(out, 0) : rc; /* no comment */
}

static enum rc put_failure(struct buf *out)
{
    enum rc rc = blob_put_u32(out, 1);
    return rc == RC_OK ? buf_putc(out, FAILURE) : rc;
}

static enum rc put_signature(struct buf *out, const void *sig, size_t n)
{
    enum rc rc = blob_put_u32(out, (uint32_t)(1 + 4 + n));
    if (rc == RC_OK)
        rc = buf_putc(out, SIGN_RESPONSE);
    return rc == RC_OK ? blob_put_string(out, sig, n) : rc;
}

/* Every answer that the call can need, before it is made. */
static bool preload(struct sshio_agent *a, bool list, const struct sshio_key *k, const void *sig,
                    size_t n)
{
    buf_reset(&a->answers);
    enum rc rc = list ? put_list(&a->answers, k) : RC_OK;
    if (rc == RC_OK && sig != NULL)
        rc = put_signature(&a->answers, sig, n);
    for (int i = 0; rc == RC_OK && i < SPARE; i++)
        rc = put_failure(&a->answers);
    return rc == RC_OK &&
           send(a->ours, a->answers.data, a->answers.len, MSG_NOSIGNAL) == (ssize_t)a->answers.len;
}

static void drain(int fd, struct buf *into)
{
    for (;;) {
        uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        if (into != NULL && buf_append(into, bytes, (size_t)n) != RC_OK)
            buf_reset(into); /* cannot be read any more: as if nothing had been asked */
        if ((size_t)n < sizeof bytes)
            return;
    }
}

/* What libssh asked in the call that just ended; what it did not take is thrown away. */
static void hear(struct sshio_agent *a)
{
    buf_reset(&a->heard);
    a->data = NULL;
    a->listed = false;
    drain(a->ours, &a->heard);
    drain(a->theirs, NULL);
    struct blob_reader all = {a->heard.data, a->heard.len};
    const uint8_t *p;
    for (size_t n; blob_string(&all, &p, &n);) {
        struct blob_reader r = {p, n};
        uint8_t type = 0;
        const uint8_t *key;
        size_t len;
        blob_u8(&r, &type);
        if (type == REQUEST_IDENTITIES)
            a->listed = true;
        else if (type == SIGN_REQUEST && blob_string(&r, &key, &len) &&
                 blob_string(&r, &key, &len)) {
            a->data = key;
            a->data_len = len;
        }
    }
}

const void *sshio_agent_data(const struct sshio_agent *a, size_t *n)
{
    *n = a->data_len;
    return a->data;
}

enum sshio_step sshio_auth_agent(struct sshio *io, struct sshio_agent *a, const char *user,
                                 const struct sshio_key *k, const void *sig, size_t sig_len)
{
    if (!preload(a, !io->agent_listed, k, sig, sig_len)) {
        hear(a);
        return SSHIO_DENIED;
    }
    ssh_set_agent_socket(io->ssh, a->theirs);
    sshio_current = io;
    int rc = ssh_userauth_agent(io->ssh, user);
    sshio_current = NULL;
    ssh_set_agent_socket(io->ssh, SSH_INVALID_SOCKET); /* not libssh's to close */
    hear(a);
    io->agent_listed = rc == SSH_AUTH_AGAIN && (io->agent_listed || a->listed);
    if (rc == SSH_AUTH_ERROR && sig == NULL && a->data != NULL && !sshio_gone(io))
        return SSHIO_SIGN;
    return sshio_settle_auth(io, rc);
}
