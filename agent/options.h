/* The agent's command line. Pure: words and environment in, a struct out. */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/op.h"
#include "proto/agent.h"

enum options_mode { MODE_SERVE, MODE_PLACE, MODE_VERSION, MODE_DIGEST };

enum { OPTIONS_IDLE_MS = 15 * 60 * 1000 }; /* where nothing is said */

struct options {
    enum options_mode mode;
    uint8_t nonce[AGENT_NONCE_LEN];
    unsigned allow; /* enum allow */
    uint64_t idle_ms;
    bool temporary;
    const char *expect, *place, *from; /* NULL where not given */
};

/* argv without the program's name, ended by NULL; original: $SSH_ORIGINAL_COMMAND or NULL, which
 * gives the nonce where the command line has none. RC_OK, RC_USAGE with what is wrong. */
enum rc options_read(struct options *o, char *const *argv, const char *original, struct err *e);

#endif
