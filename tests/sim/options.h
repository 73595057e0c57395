/* The command line of muster-sim. */
#ifndef TESTS_SIM_OPTIONS_H
#define TESTS_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "tests/sim/plan.h"

struct options {
    uint32_t hosts, base; /* base: address of the first host, host order */
    uint32_t host_keys;   /* distinct host keys */
    uint32_t processes;
    uint16_t port; /* 0: any free one */
    uint64_t seed;
    uint64_t latency_ms;  /* added to each round trip */
    uint64_t flood_bytes; /* what a host with the fault flood or rekey sends first */
    uint64_t rekey_bytes; /* between two key exchanges of a host with the fault rekey */
    bool auth_none;       /* a login without a key is good too */
    bool one_each;        /* a listener for each address, even where one would do */
    const char *prefix, *user;
    const char *agent_root; /* in front of /proc and /sys for the hosts' agents; NULL: none */
    const char *authorized; /* a public key; NULL: any key may log in */
    const char *inventory, *known_hosts, *expect, *targets, *user_key; /* files to write, or NULL */
    struct share faults[FAULT_COUNT];
    bool help;
};

/* RC_OK or RC_USAGE. Strings are argv's. */
enum rc options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_help(void); /* to standard output */

#endif
