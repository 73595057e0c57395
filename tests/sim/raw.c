/* Faults before SSH begins: what answers is a socket and no more. */
#include "tests/sim/peer_int.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_writable(uv_poll_t *poll, int status, int events)
{
    static char lines[4096];
    struct peer *p = poll->data;
    (void)events;
    if (lines[0] == '\0')
        for (size_t i = 0; i < sizeof lines; i++)
            lines[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : '#';
    if (status < 0 || (send(p->fd, lines, sizeof lines, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
                       errno != EAGAIN && errno != EINTR))
        peer_end(p);
}

/* RST in place of FIN. */
static void reset(struct peer *p)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer_end(p);
}

bool raw_serve(struct peer *p)
{
    static const char banner[] = "SSH-2.0-muster-sim\r\n";
    switch (p->fault) {
    case FAULT_BANNER_NEVER: peer_stall(p); return true;
    case FAULT_RST: reset(p); return true;
    case FAULT_BANNER_LINES: uv_poll_start(&p->poll, UV_WRITABLE, on_writable); return true;
    case FAULT_STALL_KEX:
        if (send(p->fd, banner, sizeof banner - 1, MSG_NOSIGNAL) < 0)
            peer_end(p);
        else
            peer_stall(p);
        return true;
    default: return false;
    }
}
