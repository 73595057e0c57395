/* Names to addresses on threads of our own, so that a silent name server delays nobody else.
 *
 * getaddrinfo, as ssh uses it: /etc/hosts, nsswitch and search domains all count. Threads are
 * added while look-ups are stuck, up to a cap; numeric addresses never leave the loop; each name is
 * looked up once per run (but for temporary failures, which the next question tries again). Has no
 * deadline: that is the caller's, who cancels. Loop thread only; callbacks come from the loop,
 * never from inside a start, cancel or close.
 */
#ifndef CONTROLLER_SSH_RESOLVE_H
#define CONTROLLER_SSH_RESOLVE_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include <uv.h>

#include "common/err.h"
#include "controller/outcome/outcome.h"

enum { RESOLVE_MAX_ADDRESSES = 8, RESOLVE_MAX_THREADS = 256 };

union resolve_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct resolve_result {
    enum problem problem; /* PROBLEM_NONE, DNS_NOT_FOUND, DNS_FAILED */
    char detail[128];     /* the system's text for it; "" without a problem */
    size_t count;         /* at least 1 without a problem, otherwise 0 */
    union resolve_addr
        addrs[RESOLVE_MAX_ADDRESSES]; /* port filled in; families interleaved in
                                        the system's order of preference (RFC 6724) */
};

/* The result is gone after the call. It may start, cancel other requests, and close. */
typedef void (*resolve_fn)(void *user, const struct resolve_result *result);

struct resolver;
struct resolve_req; /* one question */

/* lookup: NULL for getaddrinfo; tests put their own in (called on a thread of the pool; its list is
 * given back with freeaddrinfo). RC_OK, RC_NOMEM or RC_SYS. */
typedef int (*resolve_lookup_fn)(const char *name, const char *service,
                                 const struct addrinfo *hints, struct addrinfo **out);
enum rc resolver_new(struct resolver **out, uv_loop_t *loop, resolve_lookup_fn lookup,
                     struct err *e);

/* Asks. *req stays valid until its callback or its cancel. What is wrong with the name is told by
 * the callback; RC_NOMEM is the only failure here, and then no callback comes. */
enum rc resolver_start(struct resolver *r, const char *name, uint16_t port, resolve_fn fn,
                       void *user, struct resolve_req **req, struct err *e);

/* The answer is there and its callback is on its way: too late for a time limit. */
bool resolver_is_ready(const struct resolve_req *req);

/* The callback will not come. The look-up itself may go on in its thread; nobody waits for it. */
void resolver_cancel(struct resolver *r, struct resolve_req *req);

/* Closes; no callback of a request comes any more. `closed` (may be NULL) is called from the loop
 * once its handles are gone. Threads still stuck in a look-up are abandoned (they hold nothing of
 * the run). */
void resolver_close(struct resolver *r, void (*closed)(void *user), void *user);

#endif
