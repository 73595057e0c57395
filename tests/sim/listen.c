/* See listen.h. */
#include "tests/sim/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

enum {
    BACKLOG = 4096,       /* Linux allows no more unless somebody raised net.core.somaxconn */
    HOSTS_A_QUEUE = 2048, /* so one queue is not for all: a fan-out of them all must fit */
    QUEUES = 16,
    SPARE_FDS = 64
};

static int failed(int fd)
{
    int sys = errno;
    close(fd);
    errno = sys;
    return -1;
}

/* -1 and errno on failure. address 0: all, on the loopback interface. */
static int open_one(uint32_t address, uint16_t port)
{
    static const char device[] = "lo";
    int yes = 1;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (address == 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof device) != 0)
        return failed(fd);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) != 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0)
        return failed(fd);
    return fd;
}

static enum rc port_of(int fd, uint16_t *port, struct err *e)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return err_sys(e, errno, "getsockname");
    *port = ntohs(a.sin_port);
    return RC_OK;
}

static enum rc open_all(struct listeners *l, const struct options *o, bool each, struct err *e)
{
    struct rlimit files;
    size_t queues = 1 + o->hosts / HOSTS_A_QUEUE;
    queues = each ? o->hosts : queues < QUEUES ? queues : QUEUES;
    size_t want = o->processes * queues;
    *l = (struct listeners){.per_process = queues, .port = o->port};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && want + SPARE_FDS > files.rlim_cur)
        return err_set(e, RC_SYS,
                       "one listener for each of %u hosts in %u processes passes the limit of %llu "
                       "descriptors: fewer --hosts, or a higher ulimit -n",
                       o->hosts, o->processes, (unsigned long long)files.rlim_cur);
    if ((l->fds = mem_alloc(want * sizeof *l->fds)) == NULL)
        return err_nomem(e);
    enum rc rc = RC_OK;
    while (rc == RC_OK && l->count < want) {
        uint32_t host = (uint32_t)(l->count % l->per_process);
        int fd = open_one(each ? o->base + host : 0, l->port);
        if (fd < 0)
            rc = err_sys(e, errno, "listen on port %u of %s", l->port,
                         each ? "the hosts' addresses" : "the loopback interface");
        else
            l->fds[l->count++] = fd;
        if (fd >= 0 && l->port == 0)
            rc = port_of(fd, &l->port, e);
    }
    if (rc != RC_OK)
        listeners_close(l);
    return rc;
}

enum rc listeners_open(struct listeners *l, const struct options *o, struct err *e)
{
    if (!o->one_each) {
        enum rc rc = open_all(l, o, false, e);
        if (rc == RC_OK || (e->sys != EPERM && e->sys != ENOPROTOOPT && e->sys != ENODEV))
            return rc;
    }
    return open_all(l, o, true, e);
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->fds[i] >= 0)
            close(l->fds[i]);
    mem_free(l->fds);
    *l = (struct listeners){0};
}
