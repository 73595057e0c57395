/* What the files that call libssh (ssh_io*.c) know of each other. Nobody else includes this. Loop
 * thread only.
 */
#ifndef CONTROLLER_SSH_SSH_IO_INT_H
#define CONTROLLER_SSH_SSH_IO_INT_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "controller/ssh/ssh_io.h"

struct sshio_forward;

struct sshio {
    ssh_session ssh;
    ssh_channel channel;
    int fd;
    bool given;       /* libssh has the descriptor: never close it ourselves */
    bool nonblocking; /* O_NONBLOCK was put back, see restore_nonblock */
    uint32_t max_packet;
    char *cause; /* the error that libssh's next one would hide, see on_log */
    struct ssh_counter_struct counter;
    struct ssh_channel_callbacks_struct callbacks;
    struct sshio_seen seen;
    void (*data)(void *user, bool is_stderr, const void *p, size_t n);
    void *user;
    struct sshio_forward *forwards; /* through this session, not yet freed */
    bool agent_listed; /* a login with a key of the agent is under way: libssh knows the key */
};

struct sshio_key {
    ssh_key private_key; /* NULL: an agent has it */
    ssh_key public_key;  /* or certificate */
    void *blob;          /* with an agent: what is offered, in wire form */
    size_t blob_len;
};

/* Whose call is on the stack, for as long as it is: libssh's log callback is per thread. */
extern _Thread_local struct sshio *sshio_current;

/* After every call: libssh closes the descriptor by itself on errors and on a DISCONNECT, and
 * several calls answer "again" for ever afterwards. */
bool sshio_gone(const struct sshio *io);
/* SSH_OK, SSH_AGAIN and the rest, as a step. */
enum sshio_step sshio_settle(const struct sshio *io, int rc);
/* The same for SSH_AUTH_…. */
enum sshio_step sshio_settle_auth(const struct sshio *io, int rc);

/* ssh_io_forward.c: a log line that may be about one of the forwarded channels. */
void sshio_forward_note(struct sshio *io, const char *text);

#endif
