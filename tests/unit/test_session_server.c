/* Sessions against a server that does what sshd never does: ends, orders and refusals of a
 * command's life, by libssh's server side on a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "common/clock.h"
#include "tests/unit/session_fixture.h"

enum behaviour {
    EXIT_THEN_DATA, /* exit status first, then output on both streams, EOF, close */
    NO_EXIT_STATUS, /* output and a close */
    EXIT_SIGNAL,    /* killed, by a name that would clear a screen */
    LARGE_STATUS,   /* exit status 70000 */
    EXIT_THEN_DROP, /* exit status, no EOF, the connection goes */
    END_THEN_DROP,  /* exit status and EOF, the connection goes */
    DATA_THEN_DROP, /* output, the connection goes */
    NEVER_CLOSES,   /* exit status and EOF, and nothing more */
    REFUSE_EXEC,
    REFUSE_CHANNEL,
    HANG_AUTH,
    HANG_OPEN,
    HANG_EXEC,
    DENY_AFTER_PARTIAL, /* the key is good, and not enough */
};

struct server {
    enum behaviour behaviour;
    int listener, fd, port;
    pthread_t thread;
    ssh_session ssh;
    ssh_channel channel;
    struct ssh_server_callbacks_struct callbacks;
    struct ssh_channel_callbacks_struct channel_callbacks;
    bool exec;
};

static const char *const SERVER_IP = "127.77.3.1";

/* Until the client is gone; nothing is answered meanwhile. */
static void hang(struct server *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLRDHUP};
    poll(&p, 1, -1);
}

static int on_pubkey(ssh_session ssh, const char *user, struct ssh_key_struct *key, char signature,
                     void *arg)
{
    (void)ssh, (void)user, (void)key;
    struct server *s = arg;
    if (s->behaviour == HANG_AUTH)
        hang(s);
    if (s->behaviour == DENY_AFTER_PARTIAL && signature == SSH_PUBLICKEY_STATE_VALID)
        return SSH_AUTH_PARTIAL;
    return SSH_AUTH_SUCCESS;
}

static int on_exec(ssh_session ssh, ssh_channel channel, const char *command, void *arg)
{
    (void)ssh, (void)channel, (void)command;
    struct server *s = arg;
    if (s->behaviour == HANG_EXEC)
        hang(s);
    s->exec = true;
    return s->behaviour == REFUSE_EXEC ? 1 : 0;
}

static ssh_channel on_open(ssh_session ssh, void *arg)
{
    struct server *s = arg;
    if (s->behaviour == HANG_OPEN)
        hang(s);
    if (s->behaviour == REFUSE_CHANNEL)
        return NULL;
    s->channel = ssh_channel_new(ssh);
    s->channel_callbacks.userdata = s;
    s->channel_callbacks.channel_exec_request_function = on_exec;
    ssh_callbacks_init(&s->channel_callbacks);
    ssh_set_channel_callbacks(s->channel, &s->channel_callbacks);
    return s->channel;
}

static void act(struct server *s)
{
    ssh_channel c = s->channel;
    switch (s->behaviour) {
    case EXIT_THEN_DATA:
        ssh_channel_request_send_exit_status(c, 5);
        ssh_channel_write(c, "late", 4);
        ssh_channel_write_stderr(c, "later", 5);
        ssh_channel_send_eof(c);
        ssh_channel_close(c);
        break;
    case NO_EXIT_STATUS:
        ssh_channel_write(c, "x", 1);
        ssh_channel_close(c);
        break;
    case EXIT_SIGNAL:
        ssh_channel_request_send_exit_signal(c, "K\x1b[2J", 0, "", "");
        ssh_channel_close(c);
        break;
    case LARGE_STATUS:
        ssh_channel_request_send_exit_status(c, 70000);
        ssh_channel_close(c);
        break;
    case EXIT_THEN_DROP:
    case END_THEN_DROP:
    case NEVER_CLOSES:
        ssh_channel_write(c, "x", 1);
        ssh_channel_request_send_exit_status(c, 5);
        if (s->behaviour != EXIT_THEN_DROP)
            ssh_channel_send_eof(c);
        break;
    default: ssh_channel_write(c, "x", 1); break;
    }
    ssh_blocking_flush(s->ssh, -1);
    if (s->behaviour == EXIT_THEN_DROP || s->behaviour == END_THEN_DROP ||
        s->behaviour == DATA_THEN_DROP)
        shutdown(s->fd, SHUT_RDWR);
}

static void serve(struct server *s)
{
    char path[320];
    bool no = false;
    snprintf(path, sizeof path, "%s/host_ed25519", fix.dir);
    ssh_bind bind = ssh_bind_new();
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY, path);
    s->ssh = ssh_new();
    s->callbacks.userdata = s;
    s->callbacks.auth_pubkey_function = on_pubkey;
    s->callbacks.channel_open_request_session_function = on_open;
    ssh_callbacks_init(&s->callbacks);
    ssh_set_server_callbacks(s->ssh, &s->callbacks);
    ssh_set_auth_methods(s->ssh, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE);
    if (ssh_bind_accept_fd(bind, s->ssh, s->fd) == SSH_OK &&
        ssh_handle_key_exchange(s->ssh) == SSH_OK) {
        ssh_event event = ssh_event_new();
        ssh_event_add_session(event, s->ssh);
        bool acted = false;
        while (ssh_event_dopoll(event, -1) != SSH_ERROR &&
               (ssh_get_status(s->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0) {
            if (s->exec && !acted && s->behaviour != REFUSE_EXEC) {
                acted = true;
                act(s);
            }
        }
        ssh_event_remove_session(event, s->ssh);
        ssh_event_free(event);
    }
    ssh_free(s->ssh);
    ssh_bind_free(bind);
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    s->fd = accept(s->listener, NULL, NULL);
    if (s->fd >= 0)
        serve(s);
    return NULL;
}

static void server_start(struct server *s, enum behaviour behaviour)
{
    struct sockaddr_in a = fixture_addr(SERVER_IP, 0);
    socklen_t len = sizeof a;
    memset(s, 0, sizeof *s);
    s->behaviour = behaviour;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
}

struct server_case {
    enum behaviour behaviour;
    enum session_state jump_in; /* whose deadline is met; S_DONE: none */
    enum problem problem;
    enum phase phase;
    int exit_code;
    const char *signal;
    bool sent, may_still_run;
    const char *out, *err;
};

static const struct server_case cases[] = {
    {EXIT_THEN_DATA, S_DONE, PROBLEM_EXIT_NONZERO, PHASE_RUN, 5, "", true, false, "late", "later"},
    {NO_EXIT_STATUS, S_DONE, PROBLEM_NO_EXIT_STATUS, PHASE_RUN, -1, "", true, true, "x", ""},
    {EXIT_SIGNAL, S_DONE, PROBLEM_KILLED_BY_SIGNAL, PHASE_RUN, -1, "K\\x1b[2J", true, false, "",
     ""},
    {LARGE_STATUS, S_DONE, PROBLEM_EXIT_NONZERO, PHASE_RUN, 255, "", true, false, "", ""},
    {EXIT_THEN_DROP, S_DONE, PROBLEM_CONNECTION_LOST, PHASE_RUN, 5, "", true, false, "x", ""},
    {END_THEN_DROP, S_DONE, PROBLEM_EXIT_NONZERO, PHASE_RUN, 5, "", true, false, "x", ""},
    {DATA_THEN_DROP, S_DONE, PROBLEM_CONNECTION_LOST, PHASE_RUN, -1, "", true, true, "x", ""},
    {NEVER_CLOSES, S_RUN, PROBLEM_SILENCE_TIMEOUT, PHASE_RUN, 5, "", true, false, "x", ""},
    {REFUSE_EXEC, S_DONE, PROBLEM_REQUEST_REFUSED, PHASE_REQUEST, -1, "", true, false, "", ""},
    {REFUSE_CHANNEL, S_DONE, PROBLEM_CHANNEL_REFUSED, PHASE_OPEN, -1, "", false, false, "", ""},
    {HANG_AUTH, S_AUTH, PROBLEM_AUTH_TIMEOUT, PHASE_AUTH, -1, "", false, false, "", ""},
    {HANG_OPEN, S_OPEN, PROBLEM_OPEN_TIMEOUT, PHASE_OPEN, -1, "", false, false, "", ""},
    {DENY_AFTER_PARTIAL, S_DONE, PROBLEM_AUTH_DENIED, PHASE_AUTH, -1, "", false, false, "", ""},
};

static void run_case(struct bench *b, size_t i)
{
    const struct server_case *c = &cases[i];
    struct server s;
    struct probe p;
    server_start(&s, c->behaviour);
    struct session_spec spec = spec_for(SERVER_IP, s.port, "anything");
    spec.silence_timeout_ms = NO_LIMIT_MS;
    probe_init(&p, b);
    start(&p, &spec);
    if (c->jump_in != S_DONE) {
        run_until_state(&p, c->jump_in);
        while (c->jump_in == S_RUN && !sshio_seen(p.s->io)->eof)
            uv_run(&b->loop, UV_RUN_ONCE);
        jump_until_done(&p, NO_LIMIT_MS);
    }
    run_until_done(&p);
    server_stop(&s);
    const struct outcome *o = &p.r.outcome;
    if (o->problem != c->problem || o->phase != c->phase)
        fail_msg("case %zu: got %s in %s: %s", i, problem_name(o->problem), phase_name(o->phase),
                 o->detail);
    assert_int_equal(o->exit_code, c->exit_code);
    assert_string_equal(o->signal, c->signal);
    assert_int_equal(o->sent, c->sent);
    assert_int_equal(p.sent, c->sent);
    assert_int_equal(o->may_still_run, c->may_still_run);
    assert_string_equal(p.out.len > 0 ? buf_cstr(&p.out) : "", c->out);
    assert_string_equal(p.err.len > 0 ? buf_cstr(&p.err) : "", c->err);
    probe_fini(&p);
}

static void test_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench b;
        bench_init(&b);
        run_case(&b, i);
        bench_fini(&b);
    }
}

/* The command was sent and never confirmed: a cancel that will not wait ends it, and says that it
 * may run. */
static void test_cancel_in_request(void **state)
{
    (void)state;
    struct bench b;
    struct server s;
    struct probe p;
    bench_init(&b);
    server_start(&s, HANG_EXEC);
    struct session_spec spec = spec_for(SERVER_IP, s.port, "anything");
    probe_init(&p, &b);
    start(&p, &spec);
    while (!p.sent)
        uv_run(&b.loop, UV_RUN_ONCE);
    session_cancel(p.s, PROBLEM_CANCELLED, false);
    for (int i = 0; i < 5; i++)
        uv_run(&b.loop, UV_RUN_NOWAIT);
    assert_int_equal(p.done, 0);
    session_cancel(p.s, PROBLEM_DEADLINE, true);
    run_until_done(&p);
    server_stop(&s);
    expect(&p, PROBLEM_CANCELLED, PHASE_REQUEST);
    assert_true(p.r.outcome.may_still_run);
    probe_fini(&p);
    bench_fini(&b);
}

static int group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fixture_init(&fix);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_fini(&fix);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_cancel_in_request),
    };
    return cmocka_run_group_tests_name("session_server", tests, group_setup, group_teardown);
}
