/* Section addrs: the addresses of interfaces, from the kernel (getifaddrs). There are no files that
 * say it, so that below a prefix it is unsupported.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/core/core_int.h"

enum { MOST_ADDRS = 512, ADDRESS = 128 };

/* Lower case hex, filled up to six octets as psutil does. */
static bool hardware(char dst[ADDRESS], const struct sockaddr_ll *a)
{
    size_t at = 0, n = a->sll_halen;
    if (n == 0)
        return false;
    if (n > sizeof a->sll_addr)
        n = sizeof a->sll_addr;
    for (size_t i = 0; i < n || i < 6; i++)
        at += (size_t)snprintf(dst + at, ADDRESS - at, "%s%02x", i > 0 ? ":" : "",
                               i < n ? a->sll_addr[i] : 0);
    return true;
}

static bool inet6(char dst[ADDRESS], const struct sockaddr_in6 *a, const char *nic)
{
    if (inet_ntop(AF_INET6, &a->sin6_addr, dst, ADDRESS) == NULL)
        return false;
    size_t n = strlen(dst);
    if (a->sin6_scope_id != 0 && IN6_IS_ADDR_LINKLOCAL(&a->sin6_addr))
        snprintf(dst + n, ADDRESS - n, "%%%s", nic);
    return true;
}

static bool text_of(char dst[ADDRESS], const struct sockaddr *a, int family, const char *nic)
{
    if (a == NULL)
        return false;
    switch (family) {
    case AF_INET:
        return inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, dst,
                         ADDRESS) != NULL;
    case AF_INET6: return inet6(dst, (const void *)a, nic);
    case AF_PACKET: return hardware(dst, (const void *)a);
    default: return false;
    }
}

static void add_address(struct sample *s, const struct sockaddr *a, int family, const char *nic)
{
    char text[ADDRESS];
    if (text_of(text, a, family, nic))
        wire_add_str(&s->w, text);
    else
        wire_add_nil(&s->w);
}

static void write_address(struct sample *s, const struct ifaddrs *i)
{
    int family = i->ifa_addr->sa_family;
    bool broadcast = (i->ifa_flags & IFF_BROADCAST) != 0;
    bool ptp = !broadcast && (i->ifa_flags & IFF_POINTOPOINT) != 0;
    emit_add_text(s, span_of(i->ifa_name));
    wire_add_i64(&s->w, family);
    add_address(s, i->ifa_addr, family, i->ifa_name);
    add_address(s, family == AF_PACKET ? NULL : i->ifa_netmask, family, i->ifa_name);
    add_address(s, broadcast ? i->ifa_broadaddr : NULL, family, i->ifa_name);
    add_address(s, ptp ? i->ifa_dstaddr : NULL, family, i->ifa_name);
}

static void write_family(struct sample *s, struct rows *t, const struct ifaddrs *list, int family)
{
    char text[ADDRESS];
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == family &&
            text_of(text, i->ifa_addr, family, i->ifa_name) && rows_next(s, t))
            write_address(s, i);
}

void section_addrs(struct sample *s)
{
    static const char *const cols[] = {"name", "family", "address", "netmask", "broadcast", "ptp"};
    struct rows t;
    struct ifaddrs *list;
    if (!s->c->real) {
        section_fail(s, EOPNOTSUPP, "addresses below a prefix");
        return;
    }
    if (getifaddrs(&list) != 0) {
        section_fail(s, errno, "getifaddrs");
        return;
    }
    rows_open(s, &t, "addrs", cols, sizeof cols / sizeof cols[0], MOST_ADDRS);
    write_family(s, &t, list, AF_INET);
    write_family(s, &t, list, AF_INET6);
    write_family(s, &t, list, AF_PACKET);
    rows_close(s, &t);
    freeifaddrs(list);
}
