/* See wheel.h.
 *
 * A timer sits in the slot of its due tick modulo the number of slots; one that is due in a later
 * turn of the wheel is met once per turn (8 s) and put back. With 10,000 sessions that is 1,250
 * list moves a second, which no profile shows; a heap would pay at every arm instead.
 */
#include "controller/ssh/wheel.h"

#include <string.h>

#include "common/clock.h"

static void list_init(struct wheel_timer *head)
{
    head->prev = head->next = head;
}

static void list_insert(struct wheel_timer *head, struct wheel_timer *t)
{
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
}

static void list_remove(struct wheel_timer *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->prev = t->next = NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct wheel *w = timer->data;
    w->wake = 0;
    wheel_turn(w);
}

/* The loop's idea of now may be as old as the work of this turn: bring it up to date first, or
 * the timer fires early by that much, for nothing. */
static void set_wake(struct wheel *w, uint64_t tick)
{
    uint64_t now = clock_ms();
    uint64_t at = tick * WHEEL_TICK_MS;
    w->wake = tick;
    uv_update_time(w->timer.loop);
    must(uv_timer_start(&w->timer, on_timer, at > now ? at - now : 1, 0) == 0);
}

static void insert(struct wheel *w, struct wheel_timer *t)
{
    uint64_t tick = (t->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    if (tick <= w->tick)
        tick = w->tick + 1;
    list_insert(&w->slots[tick % WHEEL_SLOTS], t);
}

/* The next tick with anything in its slot, within one turn; 0 when nothing is armed. */
static uint64_t next_tick(const struct wheel *w)
{
    if (w->armed == 0)
        return 0;
    for (uint64_t i = 1; i <= WHEEL_SLOTS; i++) {
        const struct wheel_timer *head = &w->slots[(w->tick + i) % WHEEL_SLOTS];
        if (head->next != head)
            return w->tick + i;
    }
    must(!"an armed timer is in no slot");
    return 0;
}

enum rc wheel_init(struct wheel *w, uv_loop_t *loop, struct err *e)
{
    memset(w, 0, sizeof *w);
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
    int rc = uv_timer_init(loop, &w->timer);
    if (rc != 0)
        return err_sys(e, -rc, "cannot set up a timer");
    w->timer.data = w;
    w->tick = clock_ms() / WHEEL_TICK_MS;
    return RC_OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct wheel *w = handle->data;
    w->closed(w);
}

void wheel_close(struct wheel *w, void (*closed)(struct wheel *w))
{
    must(w->armed == 0);
    w->closed = closed;
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

void wheel_disarm(struct wheel *w, struct wheel_timer *t)
{
    if (t->next == NULL)
        return;
    list_remove(t);
    if (--w->armed == 0 && w->wake != 0) {
        w->wake = 0;
        uv_timer_stop(&w->timer);
    }
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms)
{
    if (t->next != NULL)
        list_remove(t);
    else if (w->armed++ == 0)
        w->tick = clock_ms() / WHEEL_TICK_MS; /* the slots were empty: nothing is skipped */
    t->due_ms = due_ms;
    insert(w, t);
    uint64_t tick = (due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    if (tick <= w->tick)
        tick = w->tick + 1;
    /* A tick beyond one turn is met earlier, on its slot's turn; the nearest slot decides. */
    if (tick > w->tick + WHEEL_SLOTS)
        tick = w->tick + 1 + (tick - w->tick - 1) % WHEEL_SLOTS;
    if (w->wake == 0 || tick < w->wake)
        set_wake(w, tick);
}

/* Fires or puts back everything of one slot. The list is taken off first: what a fire function
 * arms anew waits for a later tick, and what it disarms leaves the list we walk. */
static void serve_slot(struct wheel *w, uint64_t tick, uint64_t now)
{
    struct wheel_timer *head = &w->slots[tick % WHEEL_SLOTS], list;
    if (head->next == head)
        return;
    list.next = head->next;
    list.prev = head->prev;
    list.next->prev = list.prev->next = &list;
    list_init(head);
    while (list.next != &list) {
        struct wheel_timer *t = list.next;
        list_remove(t);
        if (t->due_ms > now) {
            insert(w, t);
            continue;
        }
        w->armed--;
        t->fire(t);
    }
}

void wheel_turn(struct wheel *w)
{
    uint64_t now = clock_ms(), last = now / WHEEL_TICK_MS;
    uint64_t first = w->tick + 1;
    if (last >= first + WHEEL_SLOTS) /* we were away for more than a turn: each slot once */
        first = last - WHEEL_SLOTS + 1;
    for (uint64_t tick = first; tick <= last; tick++) {
        w->tick = tick;
        serve_slot(w, tick, now);
    }
    uint64_t next = next_tick(w);
    if (next == 0) {
        w->wake = 0;
        uv_timer_stop(&w->timer);
    } else if (w->wake == 0 || next < w->wake) {
        set_wake(w, next);
    }
}
