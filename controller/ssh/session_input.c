/* What a command reads: nothing, one of the env's blobs, or what its owner brings as it goes. See
 * session.h. Sent as the server's window and the socket take it; what they do not take waits, in
 * memory that is given back as soon as it is empty. Loop thread only.
 */
#include "controller/ssh/session_int.h"

#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

/* Of a session that stays: libssh's buffers grow to the largest write and never shrink. With the
 * headers around it this fits into what the key exchange has left behind. */
enum { SMALL_WRITE = 4096 - 256 };

/* Sends what is taken now of n bytes; *done: so many. The command may read no more: eof_sent. */
static enum sshio_step push(struct session *s, const uint8_t *p, size_t n, size_t *done)
{
    size_t most = s->kind == SESSION_WARM ? SMALL_WRITE : SSHIO_WRITE;
    *done = 0;
    while (*done < n) {
        size_t sent, left = n - *done;
        enum sshio_step step = sshio_write(s->io, p + *done, left < most ? left : most, &sent);
        if (step == SSHIO_DEAD)
            return step;
        if (step != SSHIO_OK)
            s->eof_sent = true; /* the command reads no more: let it run on */
        if (step != SSHIO_OK || sent == 0)
            return SSHIO_OK;
        *done += sent;
        s->input_done += sent;
        if (s->silence_timeout_ms > 0)
            s->heard_ms = clock_ms();
    }
    return SSHIO_OK;
}

static void count_taken(struct session *s, size_t n)
{
    s->taken += (uint32_t)n;
    if (s->taken < SESSION_TAKEN)
        return;
    n = s->taken;
    s->taken = 0;
    s->ops->taken(s->user, n);
}

void session_drop_input(struct session *s)
{
    buf_wipe(&s->waiting);
    s->waiting_at = 0;
    s->taken = 0;
}

static size_t waiting(const struct session *s)
{
    return s->waiting.len - s->waiting_at;
}

static enum sshio_step feed_duplex(struct session *s)
{
    size_t done = 0;
    if (waiting(s) == 0)
        return SSHIO_OK;
    enum sshio_step step = push(s, s->waiting.data + s->waiting_at, waiting(s), &done);
    if (s->eof_sent)
        done = waiting(s); /* nobody will read it */
    s->waiting_at += (uint32_t)done;
    if (waiting(s) == 0) {
        buf_wipe(&s->waiting);
        s->waiting_at = 0;
    }
    if (step == SSHIO_OK && done > 0)
        count_taken(s, done);
    return step;
}

static bool all_sent(const struct session *s)
{
    if (s->input == INPUT_DUPLEX)
        return s->input_ended && waiting(s) == 0;
    return s->input == INPUT_NONE || s->input_done == s->env->blobs[s->blob].bytes.len;
}

enum sshio_step session_feed(struct session *s)
{
    enum sshio_step step = SSHIO_OK;
    size_t done;
    if (s->input == INPUT_DUPLEX) {
        step = feed_duplex(s);
    } else if (s->input == INPUT_BLOB && !s->eof_sent) {
        const struct buf *in = &s->env->blobs[s->blob].bytes;
        if (in->len > s->input_done)
            step = push(s, in->data + s->input_done, in->len - s->input_done, &done);
    }
    if (step == SSHIO_DEAD || s->eof_sent || !all_sent(s))
        return step;
    s->eof_sent = true;
    return sshio_send_eof(s->io) == SSHIO_DEAD ? SSHIO_DEAD : SSHIO_OK;
}

/* Bytes that cannot go out now, among them perhaps a password. Room is made at the front before the
 * buffer grows. */
static enum rc keep(struct session *s, const uint8_t *p, size_t n)
{
    if (s->waiting_at > 0 && n > s->waiting.cap - s->waiting.len) {
        buf_consume_wiped(&s->waiting, s->waiting_at);
        s->waiting_at = 0;
    }
    enum rc rc = buf_reserve_wiped(&s->waiting, n);
    return rc == RC_OK ? buf_append(&s->waiting, p, n) : rc;
}

/* The command's input has an end of its own, or is over. */
static bool is_wanted(const struct session *s)
{
    return s->state <= S_RUN && !s->eof_sent;
}

static enum rc check_input(const struct session *s, size_t n)
{
    if (s->state >= S_TERM)
        return RC_OK;
    if (s->kind != SESSION_WARM || s->input != INPUT_DUPLEX || s->input_ended)
        return RC_PROTO;
    return n > SESSION_MAX_INPUT - waiting(s) ? RC_LIMIT : RC_OK;
}

enum rc session_input(struct session *s, const void *p, size_t n)
{
    size_t done = 0;
    enum rc rc = check_input(s, n);
    if (rc != RC_OK || n == 0)
        return rc;
    if (!is_wanted(s)) {
        if (s->state <= S_RUN)
            count_taken(s, n);
        return RC_OK;
    }
    if (s->state == S_RUN && waiting(s) == 0 && !sshio_seen(s->io)->closed) {
        enum sshio_step step = push(s, p, n, &done);
        if (step == SSHIO_DEAD || s->eof_sent)
            done = n;
        if (step == SSHIO_DEAD || sshio_seen(s->io)->closed)
            session_wake(s);
        else
            session_rearm(s);
    }
    if (done < n)
        rc = keep(s, (const uint8_t *)p + done, n - done);
    if (rc == RC_OK && done > 0)
        count_taken(s, done);
    return rc;
}

enum rc session_input_eof(struct session *s)
{
    enum rc rc = check_input(s, 0);
    if (rc != RC_OK || s->state >= S_TERM)
        return rc;
    s->input_ended = true;
    if (s->state == S_RUN)
        session_wake(s);
    return RC_OK;
}
