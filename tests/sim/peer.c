/* See peer.h. The rules that keep libssh usable on a loop are those of controller/ssh/ssh_io.c:
 * its callbacks only record, one pump per wake, and after each call the descriptor may be gone. */
#include "tests/sim/peer_int.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/sim/agent.h"
#include "tests/sim/keys.h"

enum {
    READ = 4096,              /* most that libssh reads in a pass */
    PASSES = 16,              /* in a row */
    WRITE = 16 * 1024,        /* in one packet or a few */
    WRITES = 16,              /* in a row, then others have their turn */
    SLOW_MS = 100,            /* between the passes of a slow reader */
    AGENT_WAITS = 512 * 1024, /* input that the agent has not read yet */
    CAT_MAX = 8 << 20,        /* that a `cat` holds of what its client does not read */
    POLITE = 4,               /* libssh makes the socket blocking in one of the first */
};

static void pump(struct peer *p, int passes);

/* --- the end --- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;
    if (--p->handles > 0)
        return;
    if (p->line != NULL)
        command_fini(&p->command);
    mem_free(p->line);
    buf_fini(&p->input);
    serve_free(p->agent);
    mem_free(p);
}

/* The poll handle first: see session_end.c of the controller. */
void peer_end(struct peer *p)
{
    struct server *s = p->server;
    if (p->gone)
        return;
    p->gone = true;
    uv_close((uv_handle_t *)&p->poll, on_handle_closed);
    uv_close((uv_handle_t *)&p->delay, on_handle_closed);
    uv_close((uv_handle_t *)&p->nap, on_handle_closed);
    if (p->channel != NULL)
        ssh_remove_channel_callbacks(p->channel, &p->channel_callbacks);
    if (p->ssh != NULL && p->disconnect)
        ssh_disconnect(p->ssh);
    if (p->ssh != NULL)
        ssh_free(p->ssh);
    else
        close(p->fd);
    s->live--;
    if (s->freed != NULL)
        s->freed();
}

static bool is_dead(const struct peer *p)
{
    return ssh_get_fd(p->ssh) != p->fd ||
           (ssh_get_status(p->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0;
}

static void on_hangup(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    peer_end(poll->data);
}

void peer_stall(struct peer *p)
{
    p->stalled = true;
    uv_poll_start(&p->poll, UV_DISCONNECT, on_hangup);
}

/* The login request is thrown away: were it left unread, the close would be a reset, which takes
 * the DISCONNECT before it out of the client's hands. */
static void on_last_words(uv_poll_t *poll, int status, int events)
{
    char bytes[READ];
    struct peer *p = poll->data;
    (void)status, (void)events;
    while (recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT) == (ssize_t)sizeof bytes)
        ;
    ssh_execute_message_callbacks(p->ssh); /* libssh sees that it may write */
    peer_end(p);
}

/* --- what libssh tells us: recorded, acted upon after the pass --- */

static int on_service(ssh_session ssh, const char *service, void *user)
{
    (void)ssh, (void)service;
    struct peer *p = user;
    p->stalled |= p->fault == FAULT_STALL_AUTH;
    p->disconnect |= p->fault == FAULT_DISCONNECT_AUTH;
    return 0;
}

static int logged_in(struct peer *p)
{
    p->stalled |= p->fault == FAULT_HALF_OPEN;
    return SSH_AUTH_SUCCESS;
}

static int on_pubkey(ssh_session ssh, const char *name, struct ssh_key_struct *key, char state,
                     void *user)
{
    (void)ssh, (void)name;
    struct peer *p = user;
    ssh_key only = p->server->authorized;
    if (p->fault == FAULT_DENY_AUTH ||
        (only != NULL && ssh_key_cmp(only, key, SSH_KEY_CMP_PUBLIC) != 0))
        return SSH_AUTH_DENIED;
    if (state == SSH_PUBLICKEY_STATE_NONE) /* offered, not yet signed with */
        return SSH_AUTH_SUCCESS;
    return state == SSH_PUBLICKEY_STATE_VALID ? logged_in(p) : SSH_AUTH_DENIED;
}

static int on_none(ssh_session ssh, const char *name, void *user)
{
    (void)ssh, (void)name;
    struct peer *p = user;
    if (!p->server->o->auth_none || p->fault == FAULT_DENY_AUTH)
        return SSH_AUTH_DENIED;
    return logged_in(p);
}

static int on_exec(ssh_session ssh, ssh_channel channel, const char *line, void *user)
{
    (void)ssh, (void)channel;
    struct peer *p = user;
    if (p->line != NULL || (p->line = mem_strdup(line)) == NULL)
        return 1;
    return 0;
}

static int on_data(ssh_session ssh, ssh_channel channel, void *data, uint32_t len, int is_stderr,
                   void *user)
{
    (void)ssh, (void)channel, (void)is_stderr;
    struct peer *p = user;
    if (p->agent != NULL && p->input.len + len > AGENT_WAITS)
        snprintf(p->signal, sizeof p->signal, "XFSZ");
    else if (p->agent != NULL && buf_append(&p->input, data, len) != RC_OK)
        snprintf(p->signal, sizeof p->signal, "KILL");
    if (p->catting && buf_append(&p->input, data, len) != RC_OK)
        snprintf(p->signal, sizeof p->signal, "XFSZ"); /* a client that writes and never reads */
    return (int)len;
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *user)
{
    (void)ssh, (void)channel;
    ((struct peer *)user)->eof = true;
}

static int on_env(ssh_session ssh, ssh_channel channel, const char *name, const char *value,
                  void *user)
{
    (void)ssh, (void)channel, (void)name, (void)value, (void)user;
    return 0;
}

static void on_signal(ssh_session ssh, ssh_channel channel, const char *name, void *user)
{
    (void)ssh, (void)channel;
    struct peer *p = user;
    if (p->running && p->signal[0] == '\0')
        snprintf(p->signal, sizeof p->signal, "%s", name);
}

static void on_close(ssh_session ssh, ssh_channel channel, void *user)
{
    (void)ssh, (void)channel;
    ((struct peer *)user)->closed = true;
}

static ssh_channel on_open(ssh_session ssh, void *user)
{
    struct peer *p = user;
    if (p->channel != NULL || p->fault == FAULT_REFUSE_CHANNEL)
        return NULL;
    p->channel = ssh_channel_new(ssh);
    if (p->channel != NULL)
        ssh_set_channel_callbacks(p->channel, &p->channel_callbacks);
    return p->channel;
}

/* --- the command --- */

static void answer(struct peer *p, uint64_t code)
{
    p->running = false;
    p->answered = true;
    if (p->fault == FAULT_EXIT_SIGNAL && p->signal[0] == '\0')
        snprintf(p->signal, sizeof p->signal, "TERM");
    if (p->fault != FAULT_CLOSE_NO_EXIT) {
        if (p->signal[0] != '\0')
            ssh_channel_request_send_exit_signal(p->channel, p->signal, 0, "", "");
        else
            ssh_channel_request_send_exit_status(p->channel, (int)code);
    }
    ssh_channel_send_eof(p->channel);
    p->closing = p->fault != FAULT_EOF_NO_CLOSE;
}

static void on_nap_over(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    p->napping = false;
    pump(p, 1);
}

/* One packet's worth of what is pending: bytes written, or -1. */
static int write_piece(struct peer *p, uint32_t most)
{
    static char filler[WRITE];
    const struct command_step *step = &p->command.step;
    if (filler[0] == '\0')
        for (size_t i = 0; i < sizeof filler; i++)
            filler[i] = i % 64 == 63 ? '\n' : (char)('0' + i % 10);
    if (p->flood > 0)
        return ssh_channel_write(p->channel, filler, p->flood < most ? (uint32_t)p->flood : most);
    if (p->catting) {
        size_t waits = p->input.len - p->input_done;
        return ssh_channel_write(p->channel, p->input.data + p->input_done,
                                 waits < most ? (uint32_t)waits : most);
    }
    size_t left = step->text.len - p->text_done;
    const uint8_t *from = step->text.data + p->text_done;
    uint32_t n = left < most ? (uint32_t)left : most;
    return step->is_stderr ? ssh_channel_write_stderr(p->channel, from, n)
                           : ssh_channel_write(p->channel, from, n);
}

/* true when nothing is left to write; else something will wake us: the client's window, the
 * socket, or, after our fair share, the next turn of the loop. */
static bool write_pending(struct peer *p)
{
    for (int i = 0; p->flood > 0 || p->text_pending || p->input_done < p->input.len; i++) {
        uint32_t window = ssh_channel_window_size(p->channel);
        p->more = i == WRITES;
        if (p->more || window == 0 || (ssh_get_status(p->ssh) & SSH_WRITE_PENDING) != 0)
            return false;
        int n = write_piece(p, window < WRITE ? window : WRITE);
        if (n <= 0 || is_dead(p)) /* 0: while keys are exchanged anew */
            return false;
        if (p->flood > 0)
            p->flood -= (uint64_t)n;
        else if (p->catting)
            p->input_done += (size_t)n;
        else
            p->text_pending = (p->text_done += (size_t)n) < p->command.step.text.len;
    }
    buf_fini(&p->input);
    p->input_done = 0;
    p->catting &= !p->eof;
    return !p->catting;
}

/* What the agent has read of its input goes; what there is no room for waits. */
static void feed_agent(struct peer *p, uint64_t now)
{
    size_t room = serve_room(p->agent), n = p->input.len < room ? p->input.len : room;
    if (n > 0) {
        serve_feed(p->agent, p->input.data, n, now);
        buf_consume(&p->input, n);
    }
    if (p->input.len == 0)
        buf_fini(&p->input);
    if (p->eof && p->input.len == 0)
        serve_eof(p->agent, now);
}

/* false: more of it waits for the client's window or for the socket. */
static bool write_agent(struct peer *p)
{
    const void *from;
    for (size_t n; (n = serve_output(p->agent, &from)) > 0;) {
        uint32_t most = ssh_channel_window_size(p->channel);
        most = most < WRITE ? most : WRITE;
        if (most == 0 || (ssh_get_status(p->ssh) & SSH_WRITE_PENDING) != 0)
            return false;
        int went = ssh_channel_write(p->channel, from, n < most ? (uint32_t)n : most);
        if (went <= 0 || is_dead(p))
            return false;
        serve_wrote(p->agent, (size_t)went);
    }
    return true;
}

/* A turn of the agent, which ends as a program would: 0, or 3 for a client that broke the protocol.
 */
static void turn_agent(struct peer *p)
{
    uint64_t now = clock_ms();
    feed_agent(p, now);
    serve_turn(p->agent, NULL, now);
    bool written = write_agent(p);
    uint64_t at = serve_wake_at(p->agent);
    if (written && serve_finished(p->agent))
        answer(p, serve_result(p->agent) == RC_PROTO ? 3 : 0);
    else if (at != UINT64_MAX)
        uv_timer_start(&p->nap, on_nap_over, at > now ? at - now : 1, 0);
}

static void start_step(struct peer *p)
{
    const struct command_step *step = command_next(&p->command);
    switch (step->act) {
    case ACT_OUTPUT:
        p->text_done = 0;
        p->text_pending = step->text.len > 0;
        break;
    case ACT_FLOOD: p->flood = step->n; break;
    case ACT_CAT: p->catting = true; break;
    case ACT_SLEEP:
        p->napping = true;
        uv_timer_start(&p->nap, on_nap_over, step->n, 0);
        break;
    case ACT_SIGNAL:
        snprintf(p->signal, sizeof p->signal, "%.*s", (int)step->text.len, step->text.data);
        break;
    case ACT_END: answer(p, step->n); break;
    }
}

static void start_command(struct peer *p)
{
    p->started = p->running = true;
    p->agent = sim_agent_start(p->line, p->host);
    if (!command_init(&p->command, p->line))
        answer(p, 125);
    if (p->fault == FAULT_FLOOD || p->fault == FAULT_REKEY)
        p->flood = p->server->o->flood_bytes;
}

/* A channel that both sides have closed makes room for the next. */
static void forget_channel(struct peer *p)
{
    ssh_remove_channel_callbacks(p->channel, &p->channel_callbacks);
    ssh_channel_free(p->channel);
    uv_timer_stop(&p->nap);
    if (p->line != NULL)
        command_fini(&p->command);
    mem_free(p->line);
    p->line = NULL;
    p->channel = NULL;
    p->flood = 0;
    p->signal[0] = '\0';
    p->started = p->running = p->napping = p->text_pending = p->more = false;
    p->answered = p->closing = p->closed = false;
    p->catting = p->eof = false;
    serve_free(p->agent);
    p->agent = NULL;
    buf_fini(&p->input);
    p->input_done = 0;
}

/* Goes on with the command as far as it gets. */
static void advance(struct peer *p)
{
    if (p->line != NULL && !p->started)
        start_command(p);
    while (p->running && !p->closed) {
        if (p->signal[0] != '\0') {
            answer(p, 0);
            break;
        }
        if (p->agent != NULL) {
            turn_agent(p);
            break;
        }
        if (!write_pending(p) || p->napping)
            break;
        start_step(p);
    }
    if (p->channel != NULL && p->closed && !p->answered) { /* the client wants no more of it */
        p->running = false;
        p->answered = p->closing = true;
    }
    if (p->closing && !is_dead(p) && ssh_channel_close(p->channel) == SSH_OK)
        p->closing = false;
    if (p->channel != NULL && p->closed && p->answered && !p->closing)
        forget_channel(p);
}

/* --- the loop --- */

static uint64_t distance_ms(const struct peer *p)
{
    uint64_t ms = p->server->o->latency_ms;
    return p->fault == FAULT_SLOW_READER && ms < SLOW_MS ? SLOW_MS : ms;
}

static void on_delay_over(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    p->waiting = false;
    pump(p, p->fault == FAULT_SLOW_READER ? 1 : PASSES);
}

/* What has come is looked at when it would have arrived from as far away as the host is. */
static void on_ready(uv_poll_t *poll, int status, int events);

static void rearm(struct peer *p)
{
    bool writes = p->more || (ssh_get_status(p->ssh) & SSH_WRITE_PENDING) != 0;
    int want = (p->waiting ? 0 : UV_READABLE) | (writes ? UV_WRITABLE : 0);
    if (want == p->events)
        return;
    p->events = want;
    if (want == 0)
        uv_poll_stop(&p->poll);
    else
        uv_poll_start(&p->poll, want, on_ready);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct peer *p = poll->data;
    uint64_t ms = distance_ms(p);
    if (status < 0) {
        peer_end(p);
        return;
    }
    if (ms > 0 && (events & UV_READABLE) != 0) {
        p->waiting = true;
        uv_timer_start(&p->delay, on_delay_over, ms, 0);
        if ((events & UV_WRITABLE) == 0) {
            rearm(p);
            return;
        }
    }
    pump(p, ms > 0 ? 1 : PASSES);
}

static void restore_nonblock(struct peer *p)
{
    if (p->polite > 0) {
        p->polite--;
        fcntl(p->fd, F_SETFL, O_RDWR | O_NONBLOCK);
    }
}

static void pump(struct peer *p, int passes)
{
    uint64_t before;
    if (p->gone || p->stalled)
        return;
    do {
        before = p->counter.in_bytes;
        ssh_execute_message_callbacks(p->ssh);
        if (is_dead(p)) {
            peer_end(p);
            return;
        }
        restore_nonblock(p);
    } while (!p->stalled && !p->disconnect && p->counter.in_bytes - before == READ && --passes > 0);
    if (p->stalled) {
        peer_stall(p);
        return;
    }
    if (p->disconnect) {
        uv_poll_start(&p->poll, UV_READABLE, on_last_words);
        return;
    }
    advance(p);
    if (is_dead(p))
        peer_end(p);
    else
        rearm(p);
}

/* --- the beginning --- */

/* The host's identity, made at its first use; NULL when it cannot be. */
static ssh_bind bind_of(struct peer *p)
{
    struct server *s = p->server;
    bool wrong = p->fault == FAULT_WRONG_KEY, no = false;
    uint32_t n = wrong ? s->o->host_keys : p->host % s->o->host_keys;
    struct buf text;
    ssh_key key = NULL;
    if (s->binds[n] != NULL)
        return s->binds[n];
    buf_init(&text, 4096);
    ssh_bind b = ssh_bind_new();
    if (b == NULL || key_private(&text, s->o->seed, wrong ? KEY_WRONG : n, NULL) != RC_OK ||
        buf_cstr(&text) == NULL ||
        ssh_pki_import_privkey_base64(buf_cstr(&text), NULL, NULL, NULL, &key) != SSH_OK ||
        ssh_bind_options_set(b, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) != 0 ||
        ssh_bind_options_set(b, SSH_BIND_OPTIONS_BANNER, "muster-sim") != 0 ||
        ssh_bind_options_set(b, SSH_BIND_OPTIONS_IMPORT_KEY, key) != 0)
        fprintf(stderr, "muster-sim: host key %u cannot be made\n", n);
    else
        s->binds[n] = b; /* which owns the key now */
    buf_fini(&text);
    return s->binds[n];
}

static void set_callbacks(struct peer *p)
{
    p->callbacks = (struct ssh_server_callbacks_struct){
        .userdata = p,
        .auth_pubkey_function = on_pubkey,
        .auth_none_function = on_none,
        .service_request_function = on_service,
        .channel_open_request_session_function = on_open,
    };
    p->channel_callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = p,
        .channel_exec_request_function = on_exec,
        .channel_env_request_function = on_env,
        .channel_data_function = on_data,
        .channel_eof_function = on_eof,
        .channel_signal_function = on_signal,
        .channel_close_function = on_close,
    };
    ssh_callbacks_init(&p->callbacks);
    ssh_callbacks_init(&p->channel_callbacks);
}

static void begin_ssh(struct peer *p)
{
    const struct options *o = p->server->o;
    ssh_bind b = bind_of(p);
    ssh_session ssh = b != NULL ? ssh_new() : NULL;
    if (ssh == NULL || ssh_bind_accept_fd(b, ssh, p->fd) != SSH_OK) {
        ssh_free(ssh); /* the socket was not taken */
        peer_end(p);
        return;
    }
    p->ssh = ssh;
    p->polite = POLITE;
    set_callbacks(p);
    ssh_set_blocking(ssh, 0);
    ssh_set_auth_methods(ssh, SSH_AUTH_METHOD_PUBLICKEY |
                                  (o->auth_none ? SSH_AUTH_METHOD_NONE : SSH_AUTH_METHOD_UNKNOWN));
    ssh_set_server_callbacks(ssh, &p->callbacks);
    ssh_set_counters(ssh, &p->counter, NULL);
    if (p->fault == FAULT_REKEY)
        ssh_options_set(ssh, SSH_OPTIONS_REKEY_DATA, &o->rekey_bytes);
    ssh_handle_key_exchange(ssh);
    if (is_dead(p)) {
        peer_end(p);
        return;
    }
    restore_nonblock(p);
    rearm(p);
}

static void on_connected(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    if (!raw_serve(p))
        begin_ssh(p);
}

void peer_accept(struct server *s, int fd, uint32_t host)
{
    struct peer *p = mem_calloc(1, sizeof *p);
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (p == NULL || uv_poll_init_socket(&s->loop, &p->poll, fd) != 0) {
        mem_free(p);
        close(fd);
        return;
    }
    uv_timer_init(&s->loop, &p->delay);
    uv_timer_init(&s->loop, &p->nap);
    p->poll.data = p->delay.data = p->nap.data = p;
    p->handles = 3;
    buf_init(&p->input, CAT_MAX);
    p->server = s;
    p->host = host;
    p->fault = (enum fault)s->plan->faults[host];
    p->fd = fd;
    s->live++;
    if (s->o->latency_ms > 0) /* for the SYN, which the kernel has answered, and for the banner */
        uv_timer_start(&p->delay, on_connected, 2 * s->o->latency_ms, 0);
    else
        on_connected(&p->delay);
}
