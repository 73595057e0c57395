/* Channels through a session: TCP connections that the server makes for us (direct-tcpip), for the
 * hosts behind a bastion. The second file of the door to libssh; see ssh_io.h for its rules.
 *
 * Does not poll, time or decide, and owns no descriptor: bridge.c does. Nothing waits for an
 * answer: a forward is asked for, and what became of it is read from sshio_forward_seen after any
 * step of the session. Loop thread only.
 */
#ifndef CONTROLLER_SSH_SSH_IO_FORWARD_H
#define CONTROLLER_SSH_SSH_IO_FORWARD_H

#include "controller/ssh/ssh_io.h"

struct sshio_forward;

/* Reasons of a refusal, RFC 4254 section 5.1. */
enum {
    SSHIO_FORWARD_PROHIBITED = 1,
    SSHIO_FORWARD_CONNECT_FAILED = 2,
    SSHIO_FORWARD_UNKNOWN_TYPE = 3,
    SSHIO_FORWARD_SHORTAGE = 4,
};

struct sshio_forward_seen {
    bool open;
    bool refused;
    uint32_t code;    /* why, when refused */
    char reason[128]; /* the server's words for it, escaped */
    bool eof;         /* the far end sends no more */
    bool closed;      /* the server has closed the channel */
};

/* Takes bytes that came from the far end; returns how many it took. What it leaves stays with the
 * channel, counts against its window, and is offered again together with the next bytes, or read
 * with sshio_forward_read. It is called from inside libssh: no sshio call, no new descriptor. */
typedef size_t (*sshio_forward_data)(void *user, const void *p, size_t n);

/* Asks the server to connect to host and port, which it resolves itself. The session must have
 * logged in. RC_OK, RC_NOMEM, or RC_SYS when the session is over. */
enum rc sshio_forward_new(struct sshio_forward **out, struct sshio *io, const char *host,
                          uint16_t port, sshio_forward_data data, void *user, struct err *e);
/* Before the session is freed. A channel that is open or asked for should be closed first, or the
 * server keeps its half for the rest of the session. NULL is fine. */
void sshio_forward_free(struct sshio_forward *f);

const struct sshio_forward_seen *sshio_forward_seen(struct sshio_forward *f);

/* Sends as much as fits now, see sshio_write. OK, DENIED (it takes no more) or DEAD. */
enum sshio_step sshio_forward_write(struct sshio_forward *f, const void *p, size_t n, size_t *done);
/* What the data callback left: at most n bytes into p; returns how many. */
size_t sshio_forward_read(struct sshio_forward *f, void *p, size_t n);
/* Tells the server that we want no more. OK, AGAIN or DEAD. */
enum sshio_step sshio_forward_close(struct sshio_forward *f);

/* The session is over: what a step of a forward cannot always tell. */
bool sshio_over(const struct sshio *io);

#endif
