/* Sockets that listen on all addresses of the fleet, and nowhere else.
 *
 * One socket for all of them (a few, sharing the port, where there are thousands): bound to every
 * address, but to the loopback interface alone (SO_BINDTODEVICE, which Linux grants to any user
 * since 5.7), so that no packet from outside can meet it; whoever accepts looks at the address as
 * well. Where that is refused, or on request, one socket for each address, up to the limit of
 * descriptors.
 */
#ifndef TESTS_SIM_LISTEN_H
#define TESTS_SIM_LISTEN_H

#include <stddef.h>

#include "tests/sim/options.h"

struct listeners {
    int *fds;
    size_t count, per_process; /* process i has fds[i * per_process] and those that follow */
    uint16_t port;
};

/* Opens them for all processes (they share the port, SO_REUSEPORT). On failure nothing is open. */
enum rc listeners_open(struct listeners *l, const struct options *o, struct err *e);
void listeners_close(struct listeners *l);

#endif
