/* Section net: what interfaces count, and what they are. The host itself is asked by ioctl as
 * psutil does; below a prefix /sys/class/net says nearly the same.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/core_int.h"

enum { MOST_NICS = 512, COLUMNS = 16, HALF = 1, FULL = 2 };

struct nic {
    char name[64];
    uint64_t v[COLUMNS]; /* as in net/dev */
    bool known;          /* what follows */
    bool running;
    uint64_t flags, mtu, duplex, speed;
};

/* psutil's names, in the order of the bits. */
static const char *const flag_names[] = {"up",          "broadcast",  "debug",     "loopback",
                                         "pointopoint", "notrailers", "running",   "noarp",
                                         "promisc",     "allmulti",   "master",    "slave",
                                         "multicast",   "portsel",    "automedia", "dynamic"};

static bool parse(struct span line, struct nic *n)
{
    size_t colon = line.n;
    while (colon > 0 && line.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct span name = span_trim((struct span){line.p, colon - 1}), w[COLUMNS];
    if (name.n == 0 || name.n >= sizeof n->name ||
        span_words(span_skip(line, colon), w, COLUMNS) < COLUMNS)
        return false;
    *n = (struct nic){0};
    span_copy(n->name, sizeof n->name, name);
    for (int i = 0; i < COLUMNS; i++)
        if (!span_u64(w[i], &n->v[i]))
            return false;
    return true;
}

/* ---- what it is, by ioctl ---- */

static void speed_of(int fd, struct ifreq *r, struct nic *n)
{
    struct ethtool_cmd cmd = {.cmd = ETHTOOL_GSET};
    /* cppcheck-suppress autoVariables ; for the one call that follows */
    r->ifr_data = (void *)&cmd;
    if (ioctl(fd, SIOCETHTOOL, r) != 0)
        return; /* not known: 0, as for a loopback */
    uint32_t speed = (uint32_t)cmd.speed_hi << 16 | cmd.speed;
    n->duplex = cmd.duplex == DUPLEX_FULL ? FULL : cmd.duplex == DUPLEX_HALF ? HALF : 0;
    n->speed = speed > INT32_MAX ? 0 : speed;
}

static void ask_kernel(int fd, struct nic *n)
{
    struct ifreq r = {0};
    if (fd < 0 || strlen(n->name) >= sizeof r.ifr_name)
        return;
    memcpy(r.ifr_name, n->name, strlen(n->name) + 1);
    if (ioctl(fd, SIOCGIFFLAGS, &r) != 0)
        return;
    n->flags = (uint16_t)r.ifr_flags;
    n->running = (n->flags & IFF_RUNNING) != 0;
    if (ioctl(fd, SIOCGIFMTU, &r) != 0)
        return;
    n->mtu = (uint64_t)(r.ifr_mtu > 0 ? r.ifr_mtu : 0);
    n->known = true;
    speed_of(fd, &r, n);
}

/* ---- what it is, by files ---- */

static bool value_of(struct core *c, const struct nic *n, const char *file, char text[CORE_VALUE],
                     struct span *v)
{
    char path[CORE_PATH];
    return core_path(path, "sys/class/net/%s/%s", n->name, file) &&
           core_value(c, path, text, v) == 0;
}

static void ask_files(struct core *c, struct nic *n)
{
    char text[CORE_VALUE];
    struct span v;
    if (strchr(n->name, '/') != NULL || n->name[0] == '.' || !value_of(c, n, "flags", text, &v) ||
        !span_starts(v, "0x") || v.n > 10 || !span_hex(span_skip(v, 2), v.n - 2, &n->flags) ||
        !value_of(c, n, "mtu", text, &v) || !span_u64(v, &n->mtu))
        return;
    n->known = true;
    n->running = (n->flags & IFF_UP) != 0 && value_of(c, n, "operstate", text, &v) &&
                 (span_is(v, "up") || span_is(v, "unknown"));
    n->flags = (n->flags & 0xffff & ~(uint64_t)IFF_RUNNING) | (n->running ? IFF_RUNNING : 0);
    if (value_of(c, n, "duplex", text, &v))
        n->duplex = span_is(v, "full") ? FULL : span_is(v, "half") ? HALF : 0;
    if (!value_of(c, n, "speed", text, &v) || !span_u64(v, &n->speed) || n->speed > INT32_MAX)
        n->speed = 0;
}

/* ---- out ---- */

static void flags_text(const struct nic *n, char text[160])
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < 16; i++)
        if (n->flags >> i & 1)
            at += (size_t)snprintf(text + at, 160 - at, "%s%s", at > 0 ? "," : "", flag_names[i]);
}

static void write_nic(struct sample *s, struct rows *t, const struct nic *n)
{
    static const int order[] = {8, 0, 9, 1, 2, 10, 3, 11};
    char text[160];
    cell_text(s, t, span_of(n->name));
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        cell_u64_if(s, t, true, n->v[order[i]]);
    if (!n->known) { /* it went away meanwhile */
        for (int i = 0; i < 5; i++)
            cell_u64_if(s, t, false, 0);
        return;
    }
    cell_bool(s, t, n->running);
    cell_u64_if(s, t, true, n->duplex);
    cell_u64_if(s, t, true, n->speed);
    cell_u64_if(s, t, true, n->mtu);
    flags_text(n, text);
    cell_text(s, t, span_of(text));
}

static void write_nics(struct sample *s, struct rows *t, struct span rest, int fd)
{
    struct span line;
    struct nic n;
    int header = 2;
    bool odd = false;
    while (span_line(&rest, &line)) {
        if (header > 0) {
            header--;
            continue;
        }
        if (!parse(line, &n)) {
            odd = true;
            continue;
        }
        if (!rows_next(s, t))
            continue;
        if (s->c->real)
            ask_kernel(fd, &n);
        else
            ask_files(s->c, &n);
        write_nic(s, t, &n);
    }
    if (odd)
        section_fail(s, EINVAL, "net/dev");
}

void section_net(struct sample *s)
{
    static const char *const cols[] = {
        "name",   "bytes_sent", "bytes_recv", "packets_sent", "packets_recv", "errin", "errout",
        "dropin", "dropout",    "isup",       "duplex",       "speed",        "mtu",   "flags"};
    struct rows t;
    struct span rest;
    int sys = core_read(s->c, &s->c->file, "proc/net/dev", &rest);
    if (sys != 0) {
        section_fail(s, sys, "net/dev");
        return;
    }
    int fd = s->c->real ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    rows_open_chosen(s, &t, "nics", cols, sizeof cols / sizeof cols[0], MOST_NICS);
    write_nics(s, &t, rest, fd);
    rows_close(s, &t);
    if (fd >= 0)
        close(fd);
}
