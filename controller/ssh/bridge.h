/* Sessions through sessions: a link (a session that is logged in to a bastion and holds channels)
 * and, for each session behind it, a bridge between a channel of the link and one end of a socket
 * pair, whose other end that session uses as if it were its TCP connection.
 *
 * libssh wants a socket, and no thread of ours may wait for one, so bytes are carried by hand:
 * from the socket only as far as the bastion's window and the link's socket take them, to the
 * socket only as far as it has room. What the session behind does not read stays in its channel,
 * whose window then closes; past BRIDGE_HELD_MAX for all channels of a link together the link
 * itself is read no more until half of that is gone.
 *
 * All work on a link's channels happens in the link's own tick; what comes from elsewhere sets a
 * mark and wakes it. Private to controller/ssh. Loop thread only.
 */
#ifndef CONTROLLER_SSH_BRIDGE_H
#define CONTROLLER_SSH_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/ssh/ssh_io.h"

struct session;
struct bridge;

enum { BRIDGE_HELD_MAX = 16 * 1024 * 1024 };

enum bridge_state {
    BRIDGE_ASKED,   /* the bastion has not answered */
    BRIDGE_OPEN,    /* the descriptor can be taken */
    BRIDGE_REFUSED, /* by the bastion: code and reason */
    BRIDGE_LOST,    /* the link has ended */
};

/* Joins a session to a link that is up: the channel is asked for in the link's next tick. RC_OK, or
 * RC_NOMEM. */
enum rc bridge_new(struct session *link, struct session *inner, const char *host, uint16_t port,
                   struct err *e);
/* What became of it, for the session behind. */
enum bridge_state bridge_state(const struct bridge *b);
/* Of a refusal: RFC 4254's number, and the bastion's words, escaped. */
uint32_t bridge_refusal(const struct bridge *b, const char **reason);
/* The session's end of the pair, its own from now on, once; -1 when there was none to be had. */
int bridge_take_fd(struct bridge *b);
/* The session behind has ended; its descriptor is closed, or about to be. */
void bridge_leave(struct bridge *b);

/* Of a link, in its tick: carries what can be carried. OK, or DEAD: the link is over. */
enum sshio_step bridges_serve(struct session *link);
/* The link ends: its channels are freed, the sessions behind are told by the end of their stream,
 * and find the reason in session->lost. Before sshio_free. */
void bridges_lost(struct session *link);
/* Too much waits for sessions that do not read: the link is not to be read. */
bool bridges_full(const struct session *link);

#endif
