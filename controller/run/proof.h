/* How far a password may go before it has been right once. A password with a typing error that went
 * to a thousand hosts at once would lock the account on each, or the one account of them all.
 *
 * Until one host has accepted a secret, at most a few have it at a time; once one has, there is no
 * limit. When many have refused it and none has accepted it, nobody else gets it. Pure: no loop, no
 * clock. Secrets and targets are numbers; those who wait are served in order.
 */
#ifndef CONTROLLER_RUN_PROOF_H
#define CONTROLLER_RUN_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum { PROOF_AT_ONCE = 8 };

struct proof;

/* at_once: hosts that may have an unproven secret at the same time; bar: refusals after which it is
 * given to nobody, 0 for never. */
enum rc proof_new(struct proof **out, uint32_t at_once, uint32_t bar, struct err *e);
void proof_free(struct proof *p); /* NULL is fine */

enum proof_answer {
    PROOF_GO,     /* send it */
    PROOF_WAIT,   /* proof_next will say */
    PROOF_BARRED, /* never */
};

/* May `target` have `secret`? At most once per target until it has left. RC_OK, RC_NOMEM. */
enum rc proof_enter(struct proof *p, uint32_t secret, uint32_t target, enum proof_answer *answer,
                    struct err *e);

enum proof_end {
    PROOF_UNUSED,   /* it left for another reason */
    PROOF_REFUSED,  /* or nobody knows: the connection ended on it */
    PROOF_ACCEPTED, /* the host let us in with it */
};

/* The target is through, or waits no longer. Nothing when it never entered. */
void proof_leave(struct proof *p, uint32_t target, enum proof_end end);

/* The next of those who waited for whom that decided: PROOF_GO or PROOF_BARRED. False: nobody. */
bool proof_next(struct proof *p, uint32_t *target, enum proof_answer *answer);

/* Refusals so far, for messages. */
uint32_t proof_refusals(const struct proof *p, uint32_t secret);

#endif
