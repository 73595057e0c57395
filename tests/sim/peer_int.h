/* What peer.c and raw.c share. */
#ifndef TESTS_SIM_PEER_INT_H
#define TESTS_SIM_PEER_INT_H

#include <libssh/callbacks.h>

#include "agent/serve.h"
#include "tests/sim/command.h"
#include "tests/sim/peer.h"

struct peer {
    struct server *server;
    uint32_t host;
    enum fault fault;
    int fd, events;
    unsigned handles;      /* not yet closed */
    uv_poll_t poll;        /* the socket */
    uv_timer_t delay, nap; /* the distance of the host; a command that sleeps */
    ssh_session ssh;       /* owns fd; NULL while it is ours */
    ssh_channel channel;
    struct ssh_server_callbacks_struct callbacks;
    struct ssh_channel_callbacks_struct channel_callbacks;
    struct ssh_counter_struct counter;
    struct command command;
    char *line;          /* the request; NULL while there is none */
    uint64_t flood;      /* bytes still to write */
    size_t text_done;    /* of the step's text */
    bool text_pending;   /* the step's text is being written */
    struct buf input;    /* of a `cat`, not yet written back */
    size_t input_done;   /* of it */
    bool catting, eof;   /* a `cat` runs; standard input has ended */
    struct serve *agent; /* in place of a command; NULL: none */
    char signal[16];     /* what the command shall end by, "" */
    int polite;          /* passes after which the socket is still made non-blocking */
    bool started, running, napping, stalled, waiting, disconnect, more;
    bool answered, closing, closed, gone;
};

/* Says goodbye: closes the handles, gives the descriptor back, frees the peer later. */
void peer_end(struct peer *p);

/* Waits for no more than the client's own end. */
void peer_stall(struct peer *p);

/* Faults that need no SSH: true when the peer is served by that. */
bool raw_serve(struct peer *p);

#endif
