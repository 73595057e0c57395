/* The start of a session: the spec's copy, our own TCP connect, the clocks. See session.h. */
#include "controller/ssh/session_int.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

/* A peer that is silently gone is found after these, in any state: by what we sent and nobody
 * acknowledged, or, while nothing is under way, by the kernel's own probes. */
enum {
    DEAD_PEER_MS = 30 * 1000,
    PROBE_AFTER_S = 8, /* and up to PROBE_SPREAD_S - 1 more */
    PROBE_SPREAD_S = 8,
    PROBE_EVERY_S = 4, /* likewise, up to 2 more */
    PROBES = 4,
};

void session_free(struct session *s)
{
    secret_free(s->password);
    session_agent_forget(s);
    mem_free(s->sign.detail);
    mem_free(s->user_name);
    mem_free(s->label);
    mem_free(s->command);
    buf_fini(&s->waiting);
    mem_free(s->hostkey_types);
    mem_free(s->via);
    mem_free(s->where);
    mem_free(s->lost);
    mem_free(s->prelude);
    mem_free(s->answer_detail);
    mem_free(s->result.outcome.detail);
    mem_free(s->result.server_banner);
    mem_free(s);
}

static enum rc copy_spec(struct session *s, const struct session_spec *spec, struct err *e)
{
    s->user_name = mem_strdup(spec->user);
    s->label = mem_strdup(spec->label);
    s->hostkey_types = mem_strdup(spec->hostkey_types != NULL ? spec->hostkey_types : "");
    s->command = mem_alloc(spec->command_len + 1);
    if (s->user_name == NULL || s->label == NULL || s->hostkey_types == NULL || s->command == NULL)
        return err_nomem(e);
    if (spec->via != NULL && (s->via = mem_strdup(spec->via->label)) == NULL)
        return err_nomem(e);
    memcpy(s->command, spec->command, spec->command_len);
    s->command[spec->command_len] = '\0';
    for (unsigned i = 0; i < spec->key_count; i++)
        if (env_key(s->env, spec->keys[i]) != NULL)
            s->keys[s->key_count++] = spec->keys[i];
    s->kind = spec->kind;
    s->restricted = s->hostkey_types[0] != '\0';
    s->legacy = spec->legacy;
    s->has_password = spec->has_password;
    s->input = (uint8_t)(s->kind == SESSION_WARM ? spec->input
                         : spec->use_stdin       ? INPUT_BLOB
                                                 : INPUT_NONE);
    s->blob = (uint8_t)(s->kind == SESSION_WARM ? spec->blob : 0);
    s->addr = spec->addr;
    s->connect_budget_ms = spec->connect_budget_ms;
    s->tcp_budget_ms = spec->tcp_budget_ms;
    s->run_timeout_ms = spec->run_timeout_ms;
    s->silence_timeout_ms = spec->silence_timeout_ms;
    return RC_OK;
}

static unsigned port_of(const union resolve_addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
}

static enum rc describe_address(struct session *s, const struct session_spec *spec, struct err *e)
{
    char where[80], ip[INET6_ADDRSTRLEN] = "?";
    bool v6 = s->addr.sa.sa_family == AF_INET6;
    if (v6)
        uv_ip6_name(&s->addr.in6, ip, sizeof ip);
    else
        uv_ip4_name(&s->addr.in, ip, sizeof ip);
    if (spec->via != NULL)
        snprintf(where, sizeof where, "%.60s port %u", spec->via_host, port_of(&s->addr));
    else
        snprintf(where, sizeof where, "%s port %u", ip, port_of(&s->addr));
    s->where = mem_strdup(where);
    return s->where != NULL ? RC_OK : err_nomem(e);
}

/* Ten thousand idle connections that were opened at once would also be probed at once: such a burst
 * is dropped in part, even on loopback, and who loses each of his probes is taken for dead. So each
 * has times of its own, and several probes before DEAD_PEER_MS.
 *
 * Nagle with delayed acknowledgement would add up to 40 ms to each step of the handshake; the
 * other two find a dead peer that TCP alone would wait for without end. */
static void set_socket_options(int fd)
{
    int yes = 1, probes = PROBES, after = PROBE_AFTER_S + fd % PROBE_SPREAD_S,
        every = PROBE_EVERY_S + fd / PROBE_SPREAD_S % 3;
    unsigned dead_ms = DEAD_PEER_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof after);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

/* Starts the connect. Returns 0 or errno: of the socket, or of a connect that failed at once. */
static int start_connect(struct session *s)
{
    s->fd = socket(s->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return errno;
    if (s->fd > SSHIO_MAX_FD)
        return EMFILE;
    set_socket_options(s->fd);
    socklen_t len = s->addr.sa.sa_family == AF_INET6 ? sizeof s->addr.in6 : sizeof s->addr.in;
    if (connect(s->fd, &s->addr.sa, len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return 0;
    return errno;
}

/* A failure of the host's or the network's is an outcome like any other, told from the loop. */
static enum rc start_io(struct session *s, const struct session_spec *spec, struct err *e)
{
    if (spec->via != NULL) {
        s->state = S_FORWARD;
        return bridge_new(spec->via, s, spec->via_host, (uint16_t)port_of(&s->addr), e);
    }
    char detail[DIAGNOSE_DETAIL];
    int sys = start_connect(s);
    if (sys != 0) {
        enum problem p = diagnose_connect(sys, s->addr.sa.sa_family == AF_INET6, s->where, detail);
        session_fail(s, p, "%s", detail);
        return RC_OK;
    }
    int rc = uv_poll_init_socket(s->env->loop, &s->poll, s->fd);
    if (rc != 0)
        return err_sys(e, -rc, "cannot watch a socket");
    s->poll.data = s;
    s->polled = true;
    session_rearm(s);
    return RC_OK;
}

static void start_clocks(struct session *s)
{
    uint64_t now = clock_ms();
    s->start_us = clock_us();
    s->timer.fire = session_on_deadline;
    s->budget_due_ms = s->connect_budget_ms > 0 ? now + s->connect_budget_ms : 0;
    s->state_due_ms = s->tcp_budget_ms > 0 ? now + s->tcp_budget_ms : 0;
    s->silent_due_ms = s->ops->silent != NULL && s->via == NULL && s->kind != SESSION_LINK
                           ? now + SESSION_SILENT_MS
                           : 0;
    session_set_deadline(s);
}

enum rc session_start(struct session **out, struct session_env *env,
                      const struct session_spec *spec, const struct session_ops *ops, void *user,
                      struct err *e)
{
    must(spec->key_count <= SESSION_MAX_KEYS && spec->command_len <= SESSION_MAX_COMMAND);
    must(spec->blob < SESSION_MAX_BLOBS);
    must(memchr(spec->command, 0, spec->command_len) == NULL);
    struct session *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    s->env = env;
    s->ops = ops;
    s->user = user;
    s->fd = -1;
    s->result.outcome.exit_code = -1;
    buf_init(&s->waiting, SESSION_MAX_INPUT);
    enum rc rc = copy_spec(s, spec, e);
    if (rc == RC_OK)
        rc = describe_address(s, spec, e);
    if (rc != RC_OK)
        goto out;
    env_link(env, s);
    start_clocks(s);
    rc = start_io(s, spec, e);
    if (rc == RC_OK) {
        *out = s;
        return RC_OK;
    }
    wheel_disarm(&env->wheel, &s->timer);
    env_unlink(env, s);
    if (s->fd >= 0)
        close(s->fd);
out:
    session_free(s);
    return rc;
}
