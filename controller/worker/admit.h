/* How many handshakes a worker lets begin, by how far its loop lags. Pure: numbers in, a number
 * out.
 *
 * A handshake is CPU: what begins faster than it can be worked off only waits, uses up its own
 * bound, and keeps the loop from the deadlines of all the others. A host that is far away costs the
 * same CPU, spread over seconds of waiting. So no fixed number is right; what counts is whether the
 * loop still turns quickly. While it does, ADMIT_STEP begin in each turn; when a turn takes longer
 * than ADMIT_LAG_US, none, but for the ADMIT_LEAST that are always under way so that no core idles.
 * The last turn alone is looked at: a lag that has passed shall cost nothing.
 */
#ifndef CONTROLLER_WORKER_ADMIT_H
#define CONTROLLER_WORKER_ADMIT_H

#include <stdint.h>

enum { ADMIT_LEAST = 64, ADMIT_STEP = 64, ADMIT_LAG_US = 50 * 1000 };

struct admit {
    uint64_t lag_us;     /* the loop's last turn took so long */
    uint32_t room;       /* descriptors for sessions */
    uint32_t taken;      /* of them by sessions that were begun */
    uint32_t handshakes; /* begun and not yet logged in */
};

/* How many more may begin now, each of which takes `each` descriptors (at least 1). Whatever the
 * room, one may while none is open: it finds out for itself. */
uint32_t admit_more(const struct admit *a, uint32_t each);

#endif
