/* The one door to libssh: a session and its channel, driven step by step without blocking.
 *
 * Every ssh_* call of the project is in ssh_io*.c, and every trap of libssh 0.10.6 that we know is
 * fenced there, so that the state machine above it reads as if the library had none. Does not
 * wait, poll, time or decide: session.c does. The callbacks of libssh only record (struct
 * sshio_seen) and hand bytes on. Loop thread only; a session belongs to one thread for good.
 *
 * The names start with sshio_ because ssh_ is libssh's.
 */
#ifndef CONTROLLER_SSH_SSH_IO_H
#define CONTROLLER_SSH_SSH_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct sshio;
struct sshio_key;

enum {
    SSHIO_MAX_FD = 65535,      /* libssh keeps 16 bits of the descriptor */
    SSHIO_READ = 4096,         /* bytes that one step reads at most */
    SSHIO_WRITE = 16 * 1024,   /* bytes that one sshio_write takes at most */
    SSHIO_MIN_PACKET = 1024,   /* a server that allows less per packet means harm */
    SSHIO_MAX_MESSAGES = 1000, /* requests of a server to us, before it counts as a flood */
};

/* Once per thread that will use sessions. It also sets, for the whole process, when malloc gives a
 * block a mapping of its own: a session that waits then costs one page for what it may read. */
void sshio_thread_init(void);

/* Imports a private key. RC_OK; RC_CRYPTO: wrong or missing passphrase, or not a key we can use;
 * RC_NOMEM. */
enum rc sshio_key_new(struct sshio_key **out, const char *text, const char *passphrase,
                      struct err *e);
void sshio_key_free(struct sshio_key *k); /* NULL is fine; no session may be using it */

/* What libssh's callbacks recorded. Read after a step. */
struct sshio_seen {
    bool eof;             /* end of standard output and error */
    bool closed;          /* the channel is closed: nothing more will come */
    bool exited;          /* exit_status is set */
    bool signaled;        /* signal is set */
    uint32_t exit_status; /* as the server sent it */
    char signal[16];      /* escaped; without SIG */
    uint32_t messages;    /* requests from the server, all denied */
};

struct sshio_spec {
    int fd;                    /* connected; see sshio_new */
    const char *hostkey_types; /* see session_spec */
    bool legacy;
    /* Bytes of the command as they come; called from inside a step. It may copy and set flags, and
     * must not call any sshio function. */
    void (*data)(void *user, bool is_stderr, const void *p, size_t n);
    void *user;
};

/* RC_OK, RC_NOMEM, RC_LIMIT (fd > SSHIO_MAX_FD), RC_INTERNAL (an option was refused). From success
 * on the descriptor belongs to the session; on failure it stays the caller's. */
enum rc sshio_new(struct sshio **out, const struct sshio_spec *spec, struct err *e);

/* Closes the descriptor and frees. The caller's poll handle on it must be closed (uv_close called)
 * before. NULL is fine. */
void sshio_free(struct sshio *io);

enum sshio_step {
    SSHIO_OK,      /* done */
    SSHIO_AGAIN,   /* call again with the same arguments on the next event */
    SSHIO_DENIED,  /* the server said no; the session lives */
    SSHIO_PARTIAL, /* accepted, but the login needs more than this */
    SSHIO_ASKED,   /* the server has questions: sshio_question */
    SSHIO_SIGN,    /* of sshio_auth_agent only: a signature is wanted */
    SSHIO_DEAD,    /* the session is over, the descriptor perhaps closed already: free it now */
};

/* Banner and key exchange. */
enum sshio_step sshio_handshake(struct sshio *io);
/* The server's banner line, raw, once it came; NULL before. */
const char *sshio_server_banner(const struct sshio *io);

/* The server's host key in wire form, after the handshake. RC_OK, RC_NOMEM, RC_CRYPTO. */
enum rc sshio_host_key(struct sshio *io, struct buf *blob, struct err *e);

/* Login: the service first, always. `user` is the name on the server, any bytes. */
enum sshio_step sshio_service(struct sshio *io);
enum sshio_step sshio_auth_none(struct sshio *io, const char *user);
enum sshio_step sshio_auth_offer(struct sshio *io, const char *user, const struct sshio_key *k);
enum sshio_step sshio_auth_sign(struct sshio *io, const char *user, const struct sshio_key *k);
/* The text goes to the server as it is, terminated. */
enum sshio_step sshio_auth_password(struct sshio *io, const char *user, const char *password);

/* keyboard-interactive: ASKED for each round of questions; call again once they are answered (a
 * round without any is answered by the call itself). */
enum sshio_step sshio_auth_prompts(struct sshio *io, const char *user);
struct sshio_question { /* raw, the server's; valid until the next step */
    unsigned count;     /* questions of this round */
    const char *text;   /* of the first, "" for none */
    bool echo;          /* of the first: what is typed may be seen */
};
void sshio_question(struct sshio *io, struct sshio_question *q);
/* Answers the only question of a round. RC_OK, RC_NOMEM. */
enum rc sshio_answer(struct sshio *io, const char *text);

/* Whether the server's last refusal named the method ("password"). */
bool sshio_auth_takes(struct sshio *io, const char *method);
/* After a denial: what the server would take, "publickey,password", into dst. Returns dst. */
char *sshio_auth_methods(struct sshio *io, char *dst, size_t cap);

/* One session channel at a time, and one command on it. DENIED: refused. */
enum sshio_step sshio_open(struct sshio *io);
/* Largest packet the server takes, once it confirmed the channel, whatever sshio_open said then;
 * SSHIO_PACKET_UNKNOWN before, and when libssh did not tell. */
#define SSHIO_PACKET_UNKNOWN UINT32_MAX
uint32_t sshio_max_packet(const struct sshio *io);
enum sshio_step sshio_exec(struct sshio *io, const char *command);

/* Reads and dispatches at most SSHIO_READ bytes and sends what is buffered. OK or DEAD. */
enum sshio_step sshio_pump(struct sshio *io);

/* Sends input of the command, as much as fits now: at most SSHIO_WRITE bytes and the server's
 * window, nothing while earlier bytes wait. *done gets the count, 0 for "later". OK, DENIED (the
 * channel takes no more) or DEAD. */
enum sshio_step sshio_write(struct sshio *io, const void *p, size_t n, size_t *done);
enum sshio_step sshio_send_eof(struct sshio *io); /* OK, DENIED or DEAD */
/* Asks the server to signal the command ("TERM"); there is no answer. OK, DENIED or DEAD. */
enum sshio_step sshio_send_signal(struct sshio *io, const char *name);
/* Tells the server that we want no more. OK, AGAIN or DEAD. */
enum sshio_step sshio_close_channel(struct sshio *io);
/* Gives the channel back and forgets what was seen of it, so that sshio_open opens another. Only a
 * channel that both sides have closed, that was refused, or of a session that is over. */
void sshio_drop_channel(struct sshio *io);

bool sshio_wants_write(const struct sshio *io); /* bytes wait for the socket */
uint64_t sshio_bytes_in(const struct sshio *io);
const struct sshio_seen *sshio_seen(const struct sshio *io);

/* libssh's text for what went wrong last, raw; valid until the next step. Never NULL. */
const char *sshio_error(const struct sshio *io);

#endif
