/* How an attempt ended, kept while the scheduler decides whether another one follows.
 *
 * A struct session_result is mostly room for the longest texts, and thousands of attempts may wait
 * at once: this keeps what is there. Keeping cannot fail; without memory the texts are lost, never
 * what became of the host. Pure; any thread.
 */
#ifndef CONTROLLER_RUN_ENDING_H
#define CONTROLLER_RUN_ENDING_H

#include "controller/ssh/session.h"

/* Zeroed memory is one that holds nothing. */
struct ending {
    uint8_t problem, phase;
    int16_t exit_code;
    bool may_still_run, sent;
    char signal[sizeof(((struct outcome *)0)->signal)];
    struct session_timing timing;
    char *detail, *banner; /* NULL: "" */
};

/* Takes a copy, in place of what was kept before. */
void ending_keep(struct ending *n, const struct outcome *o, const struct session_timing *t,
                 const char *server_banner);
/* The outcome as it was kept. */
void ending_outcome(const struct ending *n, struct outcome *o);
const char *ending_banner(const struct ending *n); /* valid until ending_keep or ending_fini */
void ending_fini(struct ending *n);                /* leaves one that holds nothing */

#endif
