/* Deadlines of all sessions of a loop on one uv_timer_t: a hashed timing wheel.
 *
 * Arming and disarming cost the same however many are armed. A deadline never fires early and at
 * most one tick (and the loop's own lag) late. While nothing is armed the timer does not run, so
 * an idle loop sleeps. Reads the time from clock_ms. Loop thread only; fire functions are called
 * from the loop, never from inside arm or disarm.
 */
#ifndef CONTROLLER_SSH_WHEEL_H
#define CONTROLLER_SSH_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"

enum { WHEEL_SLOTS = 512, WHEEL_TICK_MS = 16 };

/* Embedded by whoever waits. Zeroed memory is a timer that is not armed. */
struct wheel_timer {
    struct wheel_timer *prev, *next;         /* NULL: not armed */
    uint64_t due_ms;                         /* of clock_ms */
    void (*fire)(struct wheel_timer *timer); /* disarmed before the call; may arm it again */
};

struct wheel {
    uv_timer_t timer;                      /* one for all */
    struct wheel_timer slots[WHEEL_SLOTS]; /* heads of circular lists, by due tick */
    uint64_t tick;                         /* all slots up to this tick were served */
    uint64_t wake;                         /* tick the uv timer is set for; 0: it is not */
    size_t armed;
    void (*closed)(struct wheel *w);
};

/* RC_OK, or RC_SYS (then nothing is to be closed). */
enum rc wheel_init(struct wheel *w, uv_loop_t *loop, struct err *e);

/* Nothing may be armed. `closed` is called from the loop; the memory is the caller's again then. */
void wheel_close(struct wheel *w, void (*closed)(struct wheel *w));

/* Sets the timer to fire at due_ms (of clock_ms), whether it was armed or not. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms);
void wheel_disarm(struct wheel *w, struct wheel_timer *t); /* nothing when it is not armed */

/* Fires what is due now. The uv timer calls it; so do tests with a clock of their own. */
void wheel_turn(struct wheel *w);

#endif
