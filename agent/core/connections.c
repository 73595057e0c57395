/* Section connections: the sockets of this network name space from /proc/net; with `detail` UNIX
 * sockets too, and whose they are, which means to look at every descriptor of every process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/core/core_int.h"
#include "common/mem.h"

enum { MOST_CONNECTIONS = 512, STATES = 12, UNIX_PATH = 108 };

/* By the kernel's number. 0 is psutil's for what has no state. */
static const char *const state_names[STATES] = {
    "NONE",      "ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
    "TIME_WAIT", "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN",    "CLOSING"};

struct end {
    uint8_t ip[16];
    uint64_t port; /* 0: no address */
};

struct connection {
    int family;
    uint64_t type;
    unsigned state;
    struct end local, remote;
    uint64_t inode;
    int64_t fd;   /* -1: not known */
    uint64_t pid; /* 0: not known */
    char path[UNIX_PATH + 1];
};

/* What is worth more when there is no room for all. */
enum rank { TIME_WAITS, CONNECTED, UNCONNECTED, LISTENS, RANKS };

struct table {
    struct connection *list;
    size_t n, of_rank[RANKS];
    uint64_t more, counts[STATES], total;
};

/* ---- /proc/net ---- */

/* "0100007F:0035": words of 32 bits in the order of this machine, as they stand in memory. */
static bool parse_end(struct span s, int family, struct end *e)
{
    struct span ip;
    uint64_t word;
    size_t words = family == AF_INET ? 1 : 4;
    if (!span_until(&s, ':', &ip) || ip.n != words * 8 || !span_hex(s, 4, &e->port))
        return false;
    for (size_t i = 0; i < words; i++) {
        if (!span_hex((struct span){ip.p + i * 8, 8}, 8, &word))
            return false;
        uint32_t native = (uint32_t)word;
        memcpy(e->ip + i * 4, &native, sizeof native);
    }
    return true;
}

static bool parse_inet(struct span line, int family, bool tcp, struct connection *c)
{
    struct span w[10];
    uint64_t state;
    *c = (struct connection){.family = family, .type = tcp ? SOCK_STREAM : SOCK_DGRAM, .fd = -1};
    if (span_words(line, w, 10) < 10 || !parse_end(w[1], family, &c->local) ||
        !parse_end(w[2], family, &c->remote) || !span_hex(w[3], 2, &state) ||
        !span_u64(w[9], &c->inode))
        return false;
    c->state = tcp && state < STATES ? (unsigned)state : 0;
    return true;
}

/* What is behind the inode is the path, blanks and all. */
static bool parse_unix(struct span line, struct connection *c)
{
    struct span w;
    *c = (struct connection){.family = AF_UNIX, .fd = -1};
    for (int i = 0; i < 7; i++) {
        if (!span_word(&line, &w) || (i == 4 && !span_u64(w, &c->type)) ||
            (i == 6 && !span_u64(w, &c->inode)))
            return false;
    }
    span_copy(c->path, sizeof c->path, span_skip(line, 1));
    return true;
}

static enum rank rank_of(const struct connection *c)
{
    enum { TIME_WAIT = 6, LISTEN = 10 };
    if (c->family == AF_UNIX || c->type == SOCK_DGRAM)
        return UNCONNECTED;
    return c->state == LISTEN ? LISTENS : c->state == TIME_WAIT ? TIME_WAITS : CONNECTED;
}

/* When it is full, the last of those that are worth least makes room, if they are worth less. */
static void add(struct table *t, const struct connection *c)
{
    enum rank rank = rank_of(c), least = TIME_WAITS;
    size_t at = t->n;
    if (t->n == MOST_CONNECTIONS) {
        t->more++;
        while (least < rank && t->of_rank[least] == 0)
            least++;
        if (least == rank)
            return;
        while (rank_of(&t->list[at - 1]) != least)
            at--;
        at--;
        t->of_rank[least]--;
    } else {
        t->n++;
    }
    t->list[at] = *c;
    t->of_rank[rank]++;
}

/* 0 or an errno. A line that cannot be read is left out (an old kernel cuts those of UNIX). */
static int read_file(struct sample *s, struct table *t, const char *path, int family, bool tcp)
{
    struct core_lines l;
    struct span line;
    struct connection c;
    int sys = core_lines_open(s->c, &l, path);
    if (sys != 0)
        return sys;
    bool header = core_lines_next(&l, &line);
    while (header && !section_late(s) && core_lines_next(&l, &line)) {
        if (family == AF_UNIX ? !parse_unix(line, &c) : !parse_inet(line, family, tcp, &c))
            continue;
        add(t, &c);
        if (family != AF_UNIX) {
            t->counts[c.state]++;
            t->total++;
        }
    }
    core_lines_close(&l);
    return 0;
}

static void read_all(struct sample *s, struct table *t)
{
    static const struct {
        const char *path;
        int family;
        bool tcp, may_miss;
    } files[] = {
        {"proc/net/tcp", AF_INET, true, false},   {"proc/net/tcp6", AF_INET6, true, true},
        {"proc/net/udp", AF_INET, false, false},  {"proc/net/udp6", AF_INET6, false, true},
        {"proc/net/unix", AF_UNIX, false, false},
    };
    size_t n = sizeof files / sizeof files[0] - (s->r->detail ? 0 : 1);
    for (size_t i = 0; i < n; i++) {
        int sys = read_file(s, t, files[i].path, files[i].family, files[i].tcp);
        if (sys != 0 && !(sys == ENOENT && files[i].may_miss))
            section_fail(s, sys, files[i].path);
    }
}

/* ---- whose ---- */

static int by_inode(const void *a, const void *b)
{
    const struct connection *const *x = a, *const *y = b;
    return ((*x)->inode > (*y)->inode) - ((*x)->inode < (*y)->inode);
}

static struct connection *find(struct connection **sorted, size_t n, uint64_t inode)
{
    struct connection key = {.inode = inode}, *p = &key;
    struct connection **hit =
        n > 0 && inode > 0 ? bsearch(&p, sorted, n, sizeof *sorted, by_inode) : NULL;
    return hit != NULL ? *hit : NULL;
}

/* "socket:[1234]" */
static bool socket_inode(struct core *c, const char *path, uint64_t *inode)
{
    char text[64];
    ssize_t n = core_link(c, path, text, sizeof text);
    struct span v = {text, n > 0 ? (size_t)n : 0};
    return span_starts(v, "socket:[") && v.p[v.n - 1] == ']' &&
           span_u64((struct span){v.p + 8, v.n - 9}, inode);
}

/* Of several processes that have it, the last one; of its descriptors the first. */
static void look_at(struct sample *s, struct connection **sorted, size_t n, uint64_t pid)
{
    char folder[CORE_PATH], path[CORE_PATH];
    struct core_dir d;
    uint64_t fd, inode;
    if (!core_path(folder, "proc/%llu/fd", (unsigned long long)pid) ||
        core_dir_open(s->c, &d, folder) != 0)
        return;
    for (const char *name; (name = core_dir_next(&d)) != NULL && !section_late(s);) {
        if (!span_u64(span_of(name), &fd) || fd > INT32_MAX ||
            !core_path(path, "%s/%s", folder, name) || !socket_inode(s->c, path, &inode))
            continue;
        struct connection *c = find(sorted, n, inode);
        if (c == NULL || c->pid == pid)
            continue;
        c->pid = pid;
        c->fd = (int64_t)fd;
    }
    core_dir_close(&d);
}

static void find_owners(struct sample *s, struct table *t)
{
    struct core_dir d;
    struct connection **sorted = mem_calloc(t->n + 1, sizeof(struct connection *));
    uint64_t pid;
    if (sorted == NULL) {
        s->c->nomem = true;
        return;
    }
    for (size_t i = 0; i < t->n; i++)
        sorted[i] = &t->list[i];
    qsort(sorted, t->n, sizeof(struct connection *), by_inode);
    if (core_dir_open(s->c, &d, "proc") == 0) {
        for (const char *name; (name = core_dir_next(&d)) != NULL && !section_late(s);)
            if (span_u64(span_of(name), &pid) && pid > 0 && pid <= INT32_MAX)
                look_at(s, sorted, t->n, pid);
        core_dir_close(&d);
    }
    mem_free(sorted);
}

/* ---- out ---- */

static void add_end(struct sample *s, int family, const struct end *e)
{
    char text[INET6_ADDRSTRLEN];
    if (e->port == 0 || inet_ntop(family, e->ip, text, sizeof text) == NULL) {
        wire_add_nil(&s->w);
        wire_add_nil(&s->w);
        return;
    }
    wire_add_str(&s->w, text);
    wire_add_u64(&s->w, e->port);
}

static void write_row(struct sample *s, const struct connection *c)
{
    wire_add_i64(&s->w, c->fd);
    wire_add_i64(&s->w, c->family);
    wire_add_u64(&s->w, c->type);
    if (c->family == AF_UNIX) {
        emit_add_text(s, span_of(c->path));
        wire_add_nil(&s->w);
        wire_add_str(&s->w, "");
        wire_add_nil(&s->w);
    } else {
        add_end(s, c->family, &c->local);
        add_end(s, c->family, &c->remote);
    }
    wire_add_str(&s->w, state_names[c->state]);
    emit_add_u64_if(s, c->pid > 0, c->pid);
}

static void write_table(struct sample *s, const struct table *t)
{
    static const char *const cols[] = {"fd",    "family", "type",   "laddr", "lport",
                                       "raddr", "rport",  "status", "pid"};
    struct rows rows;
    struct emit_map outer = emit_open_map(s, "by_status");
    for (int i = 0; i < STATES; i++)
        if (t->counts[i] > 0)
            emit_u64(s, state_names[i], t->counts[i]);
    emit_close_map(s, outer);
    emit_u64(s, "count", t->total);
    rows_open(s, &rows, "connections", cols, 9, MOST_CONNECTIONS);
    for (size_t i = 0; i < t->n; i++)
        if (rows_next(s, &rows))
            write_row(s, &t->list[i]);
    rows.more += t->more;
    bool truncated = rows.more > 0;
    rows_close(s, &rows);
    if (emit_key(s, "truncated"))
        wire_add_bool(&s->w, truncated);
}

void section_connections(struct sample *s)
{
    struct table t = {.list = mem_calloc(MOST_CONNECTIONS, sizeof *t.list)};
    if (t.list == NULL) {
        s->c->nomem = true;
        return;
    }
    read_all(s, &t);
    if (s->r->detail)
        find_owners(s, &t);
    if (t.n > 0 || strcmp(s->status, "ok") == 0)
        write_table(s, &t);
    mem_free(t.list);
}
