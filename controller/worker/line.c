/* See line.h.
 *
 * A turn of libuv's loop: closing and timers, idle, prepare, then it polls (waits, and calls who is
 * ready), check. What is busy of it is all but the waiting: from check to prepare, and from the end
 * of the wait, which is when the loop reads its clock, to check. While items wait that could begin
 * an idle handle keeps the loop from waiting at all.
 */
#include "controller/worker/line.h"

#include <string.h>

static void on_prepare(uv_prepare_t *h)
{
    struct line *l = h->data;
    l->busy_ns = l->checked_ns != 0 ? uv_hrtime() - l->checked_ns : 0;
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* that it runs is enough */
}

static void on_check(uv_check_t *h);

static bool has_room(const struct line *l)
{
    return l->first != NULL &&
           admit_more(&(struct admit){.room = l->admit.room, .taken = l->admit.taken},
                      l->first->descriptors) > 0;
}

static void update(struct line *l)
{
    if (l->first != NULL && !l->measuring) {
        l->checked_ns = l->busy_ns = 0;
        uv_prepare_start(&l->prepare, on_prepare);
        uv_check_start(&l->check, on_check);
    } else if (l->first == NULL && l->measuring) {
        uv_prepare_stop(&l->prepare);
        uv_check_stop(&l->check);
    }
    l->measuring = l->first != NULL;
    if (has_room(l))
        uv_idle_start(&l->idle, on_idle);
    else
        uv_idle_stop(&l->idle);
}

static void unlink_item(struct line *l, struct line_item *i)
{
    *(i->prev != NULL ? &i->prev->next : &l->first) = i->next;
    *(i->next != NULL ? &i->next->prev : &l->last) = i->prev;
    i->prev = i->next = NULL;
}

static void count_in(struct line *l, struct line_item *i)
{
    i->place = LINE_HANDSHAKE;
    l->admit.handshakes++;
    l->admit.taken += i->descriptors;
}

static void admit_waiting(struct line *l)
{
    uint32_t left = l->first != NULL ? admit_more(&l->admit, l->first->descriptors) : 0;
    while (l->first != NULL && left > 0 && admit_more(&l->admit, l->first->descriptors) > 0) {
        struct line_item *i = l->first;
        unlink_item(l, i);
        count_in(l, i);
        l->begin(l->user, i);
        left--;
    }
    update(l);
}

static void on_check(uv_check_t *h)
{
    struct line *l = h->data;
    uint64_t now = uv_hrtime(), polled = uv_now(h->loop) * 1000000;
    uint64_t busy = l->busy_ns + (now > polled ? now - polled : 0);
    bool whole = l->checked_ns != 0; /* measured from its beginning */
    l->admit.lag_us = whole ? busy / 1000 : UINT64_MAX;
    l->checked_ns = now;
    admit_waiting(l);
}

void line_init(struct line *l, uv_loop_t *loop, uint32_t room,
               void (*begin)(void *user, struct line_item *item), void *user)
{
    memset(l, 0, sizeof *l);
    l->admit.room = room;
    l->begin = begin;
    l->user = user;
    uv_prepare_init(loop, &l->prepare);
    uv_check_init(loop, &l->check);
    uv_idle_init(loop, &l->idle);
    l->prepare.data = l->check.data = l->idle.data = l;
}

bool line_enter(struct line *l, struct line_item *i, uint32_t descriptors)
{
    must(i->place == LINE_OUT && descriptors > 0);
    i->descriptors = descriptors;
    bool now = l->first == NULL && l->admit.handshakes < ADMIT_LEAST &&
               admit_more(&l->admit, descriptors) > 0;
    if (now) {
        count_in(l, i);
        return true;
    }
    i->place = LINE_WAITING;
    i->prev = l->last;
    i->next = NULL;
    *(l->last != NULL ? &l->last->next : &l->first) = i;
    l->last = i;
    update(l);
    return false;
}

void line_logged_in(struct line *l, struct line_item *i)
{
    must(i->place == LINE_HANDSHAKE);
    i->place = LINE_OPEN;
    l->admit.handshakes--;
}

void line_leave(struct line *l, struct line_item *i)
{
    if (i->place == LINE_WAITING)
        unlink_item(l, i);
    if (i->place == LINE_HANDSHAKE)
        l->admit.handshakes--;
    if (i->place == LINE_HANDSHAKE || i->place == LINE_OPEN)
        l->admit.taken -= i->descriptors;
    i->place = LINE_OUT;
    update(l);
}

static void on_closed(uv_handle_t *h)
{
    struct line *l = h->data;
    if (--l->closing == 0)
        l->closed(l->user);
}

void line_close(struct line *l, void (*closed)(void *user))
{
    must(l->first == NULL);
    l->closed = closed;
    l->closing = 3;
    uv_close((uv_handle_t *)&l->prepare, on_closed);
    uv_close((uv_handle_t *)&l->check, on_closed);
    uv_close((uv_handle_t *)&l->idle, on_closed);
}
