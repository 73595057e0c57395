/* Which hosts the simulated fleet has, and which fault each of them has: decided once, from the
 * seed, before anything listens. Pure; read-only afterwards, so that processes share it by fork.
 */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* fault, name, what a correct client reports of `true` on such a host: status, phase, problem */
#define FAULT_TABLE(X)                                                                             \
    X(FAULT_NONE, "none", "ok", "run", "")                                                         \
    X(FAULT_BANNER_NEVER, "banner-never", "unreachable", "banner", "banner-timeout")               \
    X(FAULT_BANNER_LINES, "banner-lines", "unreachable", "banner", "protocol-abuse")               \
    X(FAULT_RST, "rst-after-accept", "unreachable", "banner", "connection-reset")                  \
    X(FAULT_STALL_KEX, "stall-kex", "unreachable", "kex", "kex-timeout")                           \
    X(FAULT_WRONG_KEY, "wrong-host-key", "host-key", "host-key", "host-key-changed")               \
    X(FAULT_STALL_AUTH, "stall-auth", "auth-failed", "auth", "auth-timeout")                       \
    X(FAULT_DISCONNECT_AUTH, "disconnect-auth", "unreachable", "auth", "connection-reset")         \
    X(FAULT_DENY_AUTH, "deny-auth", "auth-failed", "auth", "auth-denied")                          \
    X(FAULT_HALF_OPEN, "half-open", "unreachable", "open", "open-timeout")                         \
    X(FAULT_REFUSE_CHANNEL, "refuse-channel", "unreachable", "open", "channel-refused")            \
    X(FAULT_CLOSE_NO_EXIT, "close-no-exit", "lost", "run", "no-exit-status")                       \
    X(FAULT_EXIT_SIGNAL, "exit-signal", "signaled", "run", "killed-by-signal")                     \
    X(FAULT_EOF_NO_CLOSE, "eof-no-close", "timeout", "run", "run-timeout")                         \
    X(FAULT_FLOOD, "flood", "ok", "run", "")                                                       \
    X(FAULT_SLOW_READER, "slow-reader", "ok", "run", "")                                           \
    X(FAULT_REKEY, "rekey", "ok", "run", "")

enum fault {
#define FAULT_ENUM(code, name, status, phase, problem) code,
    FAULT_TABLE(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_COUNT
};

struct expectation {
    const char *status, *phase, *problem; /* as in muster's JSON; problem "" when there is none */
};

const char *fault_name(enum fault f);
int fault_by_name(const char *name); /* -1: there is none */
struct expectation fault_expects(enum fault f);

struct share {
    uint64_t n; /* hosts, or percent */
    double percent;
    bool is_percent, given;
};

struct plan {
    uint32_t first; /* address of host 0, in host order */
    uint32_t hosts;
    uint8_t *faults; /* enum fault of each host */
};

/* Gives exactly the hosts asked for to each fault (a percentage is rounded, and means at least one
 * host unless it is 0), chosen by the seed. The order of the options does not matter. RC_USAGE when
 * there are more faults than hosts, or addresses past 127.255.255.254. */
enum rc plan_init(struct plan *p, uint32_t first, uint32_t hosts,
                  const struct share shares[FAULT_COUNT], uint64_t seed, struct err *e);
void plan_fini(struct plan *p);

/* The number of the host at this address (host order), or -1. */
int64_t plan_host_at(const struct plan *p, uint32_t address);

/* A stream of 64-bit numbers that depends on the seed alone (splitmix64). */
uint64_t plan_random(uint64_t *state);

#endif
