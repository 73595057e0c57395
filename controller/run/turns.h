/* Who may log in with the ssh-agent now: as many hosts as it can serve before their servers lose
 * patience (sshd's LoginGraceTime), the others before they connect, in order.
 *
 * The agent signs one login after the other, and a person may have to agree to each. Pure: no loop,
 * no clock.
 */
#ifndef CONTROLLER_RUN_TURNS_H
#define CONTROLLER_RUN_TURNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum {
    TURNS_AT_FIRST = 16, /* until the agent's pace is known: a person's, with 7 s for each */
    TURNS_LEAST = 4,
    TURNS_QUEUE_MS = 30 * 1000, /* work for the agent that may be under way */
};

struct turns;

/* Targets are numbers below `count`. RC_OK, RC_NOMEM. */
enum rc turns_new(struct turns **out, uint32_t count, struct err *e);
void turns_free(struct turns *t); /* NULL is fine */

/* Asks for a turn. true: it has one (or had it already). false: it waits, and turns_next names it
 * one day. */
bool turns_take(struct turns *t, uint32_t target);
/* Gives back the turn, or the place in the line; nothing when it has neither. */
void turns_give(struct turns *t, uint32_t target);
/* The next one that gets a turn, if one is free; call until it says false, after turns_give and
 * turns_pace. */
bool turns_next(struct turns *t, uint32_t *target);

/* One signature takes so long: sets how many turns there are. */
void turns_pace(struct turns *t, uint64_t us);
bool turns_are_awaited(const struct turns *t); /* does anyone wait for one? */
uint32_t turns_limit(const struct turns *t);

#endif
