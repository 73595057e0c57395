/* See bridge.h. */
#include "controller/ssh/bridge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "controller/ssh/session_int.h"
#include "controller/ssh/ssh_io_forward.h"

enum { SERVE_TURNS = 4 }; /* full writes of one bridge before the others have their turn */

struct bridge {
    struct session_env *env;
    struct session *link;  /* NULL: ended */
    struct session *inner; /* NULL: ended, or was never there */
    struct sshio_forward *forward;
    char *host;
    uint16_t port;
    bool refused;
    uint32_t refusal;
    char reason[128];
    int fd;       /* our end of the pair; -1 */
    int inner_fd; /* the session's, until it is taken; -1 */
    uv_poll_t poll;
    bool polled; /* poll is initialised */
    int events;
    bool readable;              /* the pair has bytes for the channel, or has ended */
    bool writable;              /* the pair took everything so far */
    bool ended;                 /* the pair has ended: nothing more to send */
    bool closing;               /* the channel is to be closed as soon as it lets us */
    bool opened;                /* the channel was seen open */
    size_t held;                /* bytes left with the channel */
    struct buf cut;             /* bytes taken from the channel that a write of the pair left */
    bool marked;                /* something happened: serve it */
    struct bridge *prev, *next; /* of the link */
};

/* One per loop would do; a worker has one loop and tests run theirs in turn. */
static _Thread_local uint8_t space[SSHIO_WRITE];

static void mark(struct bridge *b)
{
    b->marked = true;
    session_wake(b->link);
}

static void unlist(struct bridge *b)
{
    struct session *link = b->link;
    must(link != NULL);
    *(b->prev != NULL ? &b->prev->next : &link->bridges) = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
    link->held -= b->held;
    b->held = 0;
    b->link = NULL;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct bridge *b = handle->data;
    b->env->bridges--;
    mem_free(b);
}

/* Frees it, once neither side knows it any more. */
static void free_bridge(struct bridge *b)
{
    must(b->link == NULL && b->inner == NULL && b->forward == NULL);
    buf_fini(&b->cut);
    mem_free(b->host);
    b->host = NULL;
    if (b->inner_fd >= 0)
        close(b->inner_fd);
    if (b->polled)
        uv_close((uv_handle_t *)&b->poll, on_poll_closed);
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
    if (b->polled)
        return;
    b->env->bridges--;
    mem_free(b);
}

enum rc bridge_new(struct session *link, struct session *inner, const char *host, uint16_t port,
                   struct err *e)
{
    must(link->state == S_LINKED && inner->bridge == NULL);
    struct bridge *b = mem_calloc(1, sizeof *b);
    if (b == NULL)
        return err_nomem(e);
    b->host = mem_strdup(host);
    if (b->host == NULL) {
        mem_free(b);
        return err_nomem(e);
    }
    b->env = link->env;
    b->env->bridges++;
    b->link = link;
    b->inner = inner;
    b->port = port;
    b->fd = b->inner_fd = -1;
    b->writable = true;
    buf_init(&b->cut, SSHIO_WRITE);
    b->next = link->bridges;
    if (b->next != NULL)
        b->next->prev = b;
    link->bridges = b;
    inner->bridge = b;
    mark(b);
    return RC_OK;
}

enum bridge_state bridge_state(const struct bridge *b)
{
    if (b->inner_fd >= 0)
        return BRIDGE_OPEN;
    if (b->refused)
        return BRIDGE_REFUSED;
    return b->link == NULL ? BRIDGE_LOST : BRIDGE_ASKED;
}

uint32_t bridge_refusal(const struct bridge *b, const char **reason)
{
    *reason = b->reason;
    return b->refusal;
}

int bridge_take_fd(struct bridge *b)
{
    int fd = b->inner_fd;
    b->inner_fd = -1;
    return fd;
}

void bridge_leave(struct bridge *b)
{
    b->inner->bridge = NULL;
    b->inner = NULL;
    if (b->link == NULL) {
        free_bridge(b);
        return;
    }
    b->readable = true; /* its last words first */
    mark(b);
}

/* ---- from the channel to the pair ---- */

static void set_held(struct bridge *b, size_t held)
{
    b->link->held += held - b->held;
    b->held = held;
}

/* Returns how many bytes the pair took; all of them once nobody is there to read. */
static size_t send_some(struct bridge *b, const uint8_t *p, size_t n)
{
    ssize_t sent = send(b->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return (size_t)sent;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : n;
}

/* From inside libssh. `n` is all that waits in the channel, what was left before included. */
static size_t on_data(void *user, const void *p, size_t n)
{
    struct bridge *b = user;
    size_t done = 0;
    if (b->closing || b->inner == NULL)
        done = n;
    else if (b->writable && b->fd >= 0 && b->cut.len == 0)
        done = send_some(b, p, n);
    set_held(b, n - done);
    if (done < n)
        b->writable = false;
    mark(b);
    return done;
}

/* What an earlier write of the pair left, then what the channel holds. false: no memory. */
static bool drain(struct bridge *b)
{
    while (b->writable && b->fd >= 0) {
        size_t n = b->cut.len, done;
        if (n > 0) {
            done = send_some(b, b->cut.data, n);
            buf_consume(&b->cut, done);
        } else {
            if (b->held == 0)
                return true;
            n = sshio_forward_read(b->forward, space, sizeof space);
            set_held(b, n > 0 && n < b->held ? b->held - n : 0);
            done = send_some(b, space, n);
            if (done < n && buf_append(&b->cut, space + done, n - done) != RC_OK)
                return false;
        }
        b->writable = done == n;
    }
    return true;
}

/* ---- from the pair to the channel ---- */

/* Looks at the bytes first and takes what the channel took: nothing has to be kept. */
static enum sshio_step carry_up(struct bridge *b)
{
    for (int turn = 0; turn < SERVE_TURNS; turn++) {
        if (sshio_wants_write(b->link->io)) {
            b->link->more = true;
            return SSHIO_OK;
        }
        ssize_t n = recv(b->fd, space, sizeof space, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
            b->readable = false;
            return SSHIO_OK;
        }
        if (n <= 0) {
            b->readable = false;
            b->ended = true;
            return SSHIO_OK;
        }
        size_t done;
        enum sshio_step step = sshio_forward_write(b->forward, space, (size_t)n, &done);
        if (step != SSHIO_OK) {
            b->ended = step == SSHIO_DENIED;
            return step == SSHIO_DEAD ? step : SSHIO_OK;
        }
        if (done == 0)
            return SSHIO_OK;
        if (recv(b->fd, space, done, MSG_DONTWAIT) != (ssize_t)done)
            b->ended = true;
    }
    b->link->more = true;
    return SSHIO_OK;
}

/* ---- the life of a channel ---- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct bridge *b = poll->data;
    struct session *link = b->link;
    if (status < 0)
        b->events = 0;
    b->readable |= status < 0 || (events & UV_READABLE) != 0;
    b->writable |= status < 0 || (events & UV_WRITABLE) != 0;
    b->marked = true;
    session_tick(link);
}

static void rearm(struct bridge *b)
{
    if (!b->polled)
        return;
    int want = (b->readable || b->ended ? 0 : UV_READABLE) | (b->writable ? 0 : UV_WRITABLE);
    if (want == b->events)
        return;
    b->events = want;
    if (want == 0)
        uv_poll_stop(&b->poll);
    else
        must(uv_poll_start(&b->poll, want, on_ready) == 0);
}

static enum sshio_step ask(struct bridge *b)
{
    struct err e = {0};
    enum rc rc = sshio_forward_new(&b->forward, b->link->io, b->host, b->port, on_data, b, &e);
    if (rc == RC_OK)
        return SSHIO_OK;
    if (rc == RC_SYS)
        return SSHIO_DEAD;
    b->refused = true;
    b->refusal = SSHIO_FORWARD_SHORTAGE;
    snprintf(b->reason, sizeof b->reason, "out of memory here");
    session_wake(b->inner);
    return SSHIO_OK;
}

/* Both ends of the pair, or the session behind hears that this machine has no more to give. */
static void open_pair(struct bridge *b)
{
    int pair[2];
    b->opened = true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0) {
        b->fd = pair[0];
        b->inner_fd = pair[1];
        if (uv_poll_init_socket(b->link->env->loop, &b->poll, b->fd) == 0) {
            b->poll.data = b;
            b->polled = true;
            return;
        }
    }
    b->refused = true;
    b->refusal = 0;
    snprintf(b->reason, sizeof b->reason, "%s", strerror(errno));
    if (b->inner_fd >= 0)
        close(b->inner_fd);
    b->inner_fd = -1;
    b->closing = true;
}

/* The bastion's answer. */
static void look_for_answer(struct bridge *b)
{
    const struct sshio_forward_seen *seen = sshio_forward_seen(b->forward);
    if (seen->open && b->inner == NULL) {
        b->opened = true;
        b->closing = true;
    } else if (seen->open) {
        open_pair(b);
        session_wake(b->inner);
    } else if (seen->refused) {
        b->refused = true;
        b->refusal = seen->code;
        snprintf(b->reason, sizeof b->reason, "%s", seen->reason);
        if (b->inner != NULL)
            session_wake(b->inner);
    }
}

/* Off the link; the rest goes when the session behind has left too. */
static void let_go(struct bridge *b)
{
    sshio_forward_free(b->forward);
    b->forward = NULL;
    unlist(b);
    if (b->inner == NULL) {
        free_bridge(b);
        return;
    }
    if (b->polled && b->events != 0)
        uv_poll_stop(&b->poll);
    b->events = 0;
    if (b->fd >= 0)
        shutdown(b->fd, SHUT_WR); /* the end of its stream, after what is in it */
}

/* The far end has sent its last, or was closed: the session behind hears that after all bytes. */
static bool far_end_is_over(struct bridge *b)
{
    const struct sshio_forward_seen *seen = sshio_forward_seen(b->forward);
    return (seen->closed || seen->eof) && b->held == 0 && b->cut.len == 0;
}

static enum sshio_step serve_open(struct bridge *b)
{
    enum sshio_step step = SSHIO_OK;
    if (!drain(b))
        b->closing = true;
    if (b->readable && !b->ended && b->fd >= 0)
        step = carry_up(b);
    if (step == SSHIO_OK && (b->ended || b->inner == NULL || far_end_is_over(b)))
        b->closing = true;
    return step;
}

/* One bridge; it may be gone afterwards. */
static enum sshio_step serve(struct bridge *b)
{
    enum sshio_step step = SSHIO_OK;
    if (b->forward == NULL && !b->refused) {
        if (b->inner == NULL) {
            let_go(b);
            return SSHIO_OK;
        }
        step = ask(b);
    }
    if (step == SSHIO_OK && b->forward != NULL && !b->opened && !b->refused)
        look_for_answer(b);
    if (step == SSHIO_OK && b->opened && !b->closing)
        step = serve_open(b);
    if (step == SSHIO_OK && b->closing)
        step = sshio_forward_close(b->forward);
    if (step == SSHIO_DEAD)
        return step;
    bool gone = b->closing ? step == SSHIO_OK : b->refused && b->inner == NULL;
    if (gone)
        let_go(b);
    else
        rearm(b);
    return SSHIO_OK;
}

/* Waits for something that has no event of its own: an answer, room in the link. */
static bool is_waiting(const struct bridge *b)
{
    return (!b->opened && !b->refused) || b->closing || b->readable;
}

/* Those with a mark, and those that wait for what the link just learned. A mark that is set while
 * we are at it is for the next turn, which it has asked for. */
enum sshio_step bridges_serve(struct session *link)
{
    struct bridge *next;
    link->more = false;
    for (struct bridge *b = link->bridges; b != NULL; b = next) {
        next = b->next;
        if (!b->marked && !is_waiting(b))
            continue;
        b->marked = false;
        if (serve(b) == SSHIO_DEAD)
            return SSHIO_DEAD;
    }
    /* The socket announces room only while there is none: what stopped for another's bytes, gone by
     * now, or for having had its turn, has no event to come. */
    if (link->more && !sshio_wants_write(link->io))
        session_wake(link);
    return sshio_over(link->io) ? SSHIO_DEAD : SSHIO_OK;
}

void bridges_lost(struct session *link)
{
    char text[DIAGNOSE_DETAIL + 64];
    const struct so_far_outcome *o = &link->result.outcome;
    snprintf(text, sizeof text, "%s: %s", link->label,
             o->detail != NULL ? o->detail : problem_name(o->problem));
    while (link->bridges != NULL) {
        struct bridge *b = link->bridges;
        if (b->inner != NULL) {
            b->inner->link_lost = true;
            session_note(&b->inner->lost, text);
            session_wake(b->inner);
        }
        let_go(b);
    }
}

bool bridges_full(const struct session *link)
{
    return link->held > (link->was_full ? BRIDGE_HELD_MAX / 2 : BRIDGE_HELD_MAX);
}
