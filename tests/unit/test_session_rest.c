/* Warm sessions against a server that does between their commands what sshd never does, by libssh's
 * server side on a thread. What it does is what the command says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "tests/unit/warm_fixture.h"

struct server {
    int listener, fd, port;
    pthread_t thread;
    ssh_session ssh;
    ssh_channel channel;
    struct ssh_server_callbacks_struct callbacks;
    struct ssh_channel_callbacks_struct channel_callbacks;
    char command[64], signal[16];
    bool ended;       /* the command was answered */
    bool closed;      /* by the client */
    int refuse_opens; /* so many from here on */
    _Atomic int opens, refused;
};

static const char *const SERVER_IP = "127.77.7.1";

static int on_pubkey(ssh_session ssh, const char *user, struct ssh_key_struct *key, char signature,
                     void *arg)
{
    (void)ssh, (void)user, (void)key, (void)signature, (void)arg;
    return SSH_AUTH_SUCCESS;
}

static int on_exec(ssh_session ssh, ssh_channel channel, const char *text, void *arg)
{
    (void)ssh, (void)channel;
    struct server *s = arg;
    snprintf(s->command, sizeof s->command, "%s", text);
    return strcmp(text, "refuse") == 0 ? 1 : 0;
}

static void on_signal(ssh_session ssh, ssh_channel channel, const char *name, void *arg)
{
    (void)ssh, (void)channel;
    snprintf(((struct server *)arg)->signal, 16, "%s", name);
}

static void on_close(ssh_session ssh, ssh_channel channel, void *arg)
{
    (void)ssh, (void)channel;
    ((struct server *)arg)->closed = true;
}

static ssh_channel on_open(ssh_session ssh, void *arg)
{
    struct server *s = arg;
    atomic_fetch_add(&s->opens, 1);
    if (s->channel != NULL || s->refuse_opens > 0) {
        s->refuse_opens -= s->refuse_opens > 0;
        atomic_fetch_add(&s->refused, 1);
        return NULL;
    }
    s->channel = ssh_channel_new(ssh);
    ssh_set_channel_callbacks(s->channel, &s->channel_callbacks);
    return s->channel;
}

static void forget_channel(struct server *s)
{
    ssh_remove_channel_callbacks(s->channel, &s->channel_callbacks);
    ssh_channel_free(s->channel);
    s->channel = NULL;
    s->command[0] = s->signal[0] = '\0';
    s->ended = s->closed = false;
}

static void exit_with(struct server *s, int status)
{
    ssh_channel_request_send_exit_status(s->channel, status);
    ssh_channel_send_eof(s->channel);
    ssh_channel_close(s->channel);
    s->ended = true;
}

/* Replies are wanted; libssh sends no second one before the first was answered. */
static void keep_alive(struct server *s, int times)
{
    for (int i = 0; i < times; i++)
        ssh_send_ignore(s->ssh, "are you there");
    ssh_send_keepalive(s->ssh);
}

/* What the command of now wants, until it has ended. */
static void act(struct server *s)
{
    const char *c = s->command;
    if (strcmp(c, "ok") == 0 || strcmp(c, "refuse-next") == 0 || strcmp(c, "refuse-two") == 0) {
        s->refuse_opens = c[0] == 'o' ? 0 : strcmp(c, "refuse-next") == 0 ? 1 : 2;
        exit_with(s, 0);
    } else if (strcmp(c, "term") == 0 && s->signal[0] != '\0') {
        ssh_channel_request_send_exit_signal(s->channel, s->signal, 0, "", "");
        ssh_channel_close(s->channel);
        s->ended = true;
    } else if (strcmp(c, "keepalive") == 0) {
        exit_with(s, 0);
        keep_alive(s, 5);
    } else if (strcmp(c, "chatty") == 0) { /* requests that mean nothing to a client */
        for (int i = 0; i < 600; i++)
            ssh_channel_request_send_break(s->channel, 1);
        exit_with(s, 0);
    } else if (strcmp(c, "flood") == 0) {
        exit_with(s, 0);
        keep_alive(s, 20000);
    } else if (strcmp(c, "disconnect") == 0) {
        exit_with(s, 0);
        ssh_remove_channel_callbacks(s->channel, &s->channel_callbacks);
        s->channel = NULL; /* libssh frees it in the next call */
        ssh_disconnect(s->ssh);
    } else if (strcmp(c, "no-status") == 0) {
        ssh_channel_close(s->channel);
        s->ended = true;
    } else if (strcmp(c, "shut-out") == 0) { /* ends, and the connection with it */
        exit_with(s, 9);
        ssh_blocking_flush(s->ssh, -1);
        shutdown(s->fd, SHUT_RDWR);
    }
}

static void turns(struct server *s)
{
    ssh_event event = ssh_event_new();
    ssh_event_add_session(event, s->ssh);
    while (ssh_event_dopoll(event, -1) != SSH_ERROR &&
           (ssh_get_status(s->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0) {
        if (s->channel != NULL && !s->ended)
            act(s);
        if (s->channel != NULL && s->closed && strcmp(s->command, "stubborn") != 0) {
            ssh_channel_close(s->channel);
            forget_channel(s);
        }
    }
    ssh_event_remove_session(event, s->ssh);
    ssh_event_free(event);
}

static void *server_main(void *arg)
{
    struct server *s = arg;
    char path[320];
    bool no = false;
    s->fd = accept(s->listener, NULL, NULL);
    if (s->fd < 0)
        return NULL;
    snprintf(path, sizeof path, "%s/host_ed25519", fix.dir);
    ssh_bind bind = ssh_bind_new();
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY, path);
    s->ssh = ssh_new();
    s->callbacks =
        (struct ssh_server_callbacks_struct){.userdata = s,
                                             .auth_pubkey_function = on_pubkey,
                                             .channel_open_request_session_function = on_open};
    s->channel_callbacks =
        (struct ssh_channel_callbacks_struct){.userdata = s,
                                              .channel_exec_request_function = on_exec,
                                              .channel_signal_function = on_signal,
                                              .channel_close_function = on_close};
    ssh_callbacks_init(&s->callbacks);
    ssh_callbacks_init(&s->channel_callbacks);
    ssh_set_server_callbacks(s->ssh, &s->callbacks);
    ssh_set_auth_methods(s->ssh, SSH_AUTH_METHOD_PUBLICKEY);
    if (ssh_bind_accept_fd(bind, s->ssh, s->fd) == SSH_OK &&
        ssh_handle_key_exchange(s->ssh) == SSH_OK)
        turns(s);
    if (s->channel != NULL)
        ssh_remove_channel_callbacks(s->channel, &s->channel_callbacks);
    ssh_free(s->ssh);
    ssh_bind_free(bind);
    return NULL;
}

static void server_start(struct server *s)
{
    struct sockaddr_in a = fixture_addr(SERVER_IP, 0);
    socklen_t len = sizeof a;
    memset(s, 0, sizeof *s);
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

/* A session whose first commands are these; it stays after them. */
static void begin(struct bench *b, struct server *s, struct warm *w, const char *const *commands)
{
    bench_init(b);
    server_start(s);
    warm_init(w, b);
    w->stay = true;
    for (; *commands != NULL; commands++)
        then(w, command(*commands, INPUT_NONE, 0));
    struct session_spec spec = warm_spec(w, SERVER_IP, s->port);
    warm_start_spec(w, &spec);
}

static void end(struct bench *b, struct server *s, struct warm *w)
{
    assert_int_equal(w->done, 1);
    server_stop(s);
    buf_fini(&w->out);
    bench_fini(b);
}

static void finish(struct bench *b, struct server *s, struct warm *w, int ended)
{
    session_finish(w->s);
    warm_until_done(w);
    expect_finished(w, ended);
    end(b, s, w);
}

/* A refused channel is asked for once more; refused again, the command was not sent, and the
 * session lives. */
static void test_refused_channel(void **state)
{
    (void)state;
    static const char *const commands[] = {"refuse-next", "refuse-two", "ok", "ok", NULL};
    struct bench b;
    struct server s;
    struct warm w;
    begin(&b, &s, &w, commands);
    warm_until_idle(&w, 4);
    for (int i = 0; i < 4; i++) {
        const struct outcome *o = &w.results[i].outcome;
        assert_int_equal(o->problem, i == 2 ? PROBLEM_CHANNEL_REFUSED : PROBLEM_NONE);
        assert_int_equal(o->phase, i == 2 ? PHASE_OPEN : PHASE_RUN);
        assert_int_equal(o->sent, i != 2);
        assert_false(o->may_still_run);
    }
    assert_int_equal(atomic_load(&s.refused), 3);
    finish(&b, &s, &w, 4);
}

static void test_refused_request(void **state)
{
    (void)state;
    static const char *const commands[] = {"refuse", "no-status", "ok", NULL};
    static const enum problem problems[] = {PROBLEM_REQUEST_REFUSED, PROBLEM_NO_EXIT_STATUS,
                                            PROBLEM_NONE};
    struct bench b;
    struct server s;
    struct warm w;
    begin(&b, &s, &w, commands);
    warm_until_idle(&w, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w.results[i].outcome.problem, problems[i]);
    assert_int_equal(w.results[0].outcome.phase, PHASE_REQUEST);
    assert_false(w.results[0].outcome.may_still_run);
    assert_true(w.results[1].outcome.may_still_run);
    finish(&b, &s, &w, 3);
}

/* TERM ends it; the next one runs. */
static void test_signal(void **state)
{
    (void)state;
    static const char *const commands[] = {"term", "ok", NULL};
    struct bench b;
    struct server s;
    struct warm w;
    begin(&b, &s, &w, commands);
    warm_until_running(&w, 1);
    session_cancel(w.s, PROBLEM_CANCELLED, false);
    warm_until_idle(&w, 2);
    assert_int_equal(w.results[0].outcome.problem, PROBLEM_CANCELLED);
    assert_string_equal(w.results[0].outcome.signal, "TERM");
    assert_false(w.results[0].outcome.may_still_run);
    assert_int_equal(w.results[1].outcome.problem, PROBLEM_NONE);
    finish(&b, &s, &w, 2);
}

/* One that ends for nothing, on a channel that is closed by no one but us: 10 s after TERM, 2 s
 * after KILL and 5 s after our close the session goes. */
static void test_never_closes(void **state)
{
    (void)state;
    static const char *const commands[] = {"ok", "stubborn", NULL};
    static const uint64_t bounds[] = {10000, 2000, 5000};
    struct bench b;
    struct server s;
    struct warm w;
    begin(&b, &s, &w, commands);
    warm_until_running(&w, 2);
    session_cancel(w.s, PROBLEM_CANCELLED, false);
    while (w.s->state < S_TERM)
        turn(&w);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w.done, 0);
        assert_int_equal(w.s->state, i == 0 ? S_TERM : i == 1 ? S_KILL : S_SHUT);
        for (int j = 0; j < 5 && w.done == 0 &&
                        w.s->state == (i == 0   ? S_TERM
                                       : i == 1 ? S_KILL
                                                : S_SHUT);
             j++) {
            jump(&b, bounds[i]);
            uv_run(&b.loop, UV_RUN_NOWAIT);
        }
    }
    warm_until_done(&w);
    expect_end(&w, PROBLEM_CANCELLED, true);
    assert_true(w.end.outcome.may_still_run);
    assert_int_equal(w.ended, 1);
    end(&b, &s, &w);
}

/* Keepalives of a server are answered while nothing runs, floods are not put up with. */
static void test_idle(void **state)
{
    (void)state;
    static const char *const commands[] = {"keepalive", "chatty", "chatty", "ok", NULL};
    static const char *const flood[] = {"flood", NULL};
    struct bench b;
    struct server s;
    struct warm w;
    begin(&b, &s, &w, commands);
    warm_until_idle(&w, 4);
    for (int i = 0; i < 4; i++) /* what a server may say is counted for each command */
        assert_int_equal(w.results[i].outcome.problem, PROBLEM_NONE);
    finish(&b, &s, &w, 4);
    begin(&b, &s, &w, flood);
    warm_until_done(&w);
    expect_end(&w, PROBLEM_PROTOCOL_ERROR, false);
    assert_false(w.end.outcome.may_still_run);
    assert_int_equal(w.ended, 1);
    end(&b, &s, &w);
}

/* The end of the command and that of the connection come together: both are told, in order. */
static void test_ends_together(void **state)
{
    (void)state;
    static const char *const scripts[][3] = {
        {"shut-out", NULL}, {"ok", "shut-out", NULL}, {"disconnect", NULL}};
    for (size_t i = 0; i < 3; i++) {
        struct bench b;
        struct server s;
        struct warm w;
        begin(&b, &s, &w, scripts[i]);
        warm_until_done(&w);
        expect_end(&w, PROBLEM_CONNECTION_LOST, false);
        assert_false(w.end.outcome.may_still_run);
        assert_int_equal(w.ended, i == 1 ? 2 : 1);
        assert_int_equal(w.results[w.ended - 1].outcome.exit_code, i == 2 ? 0 : 9);
        end(&b, &s, &w);
    }
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

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_channel),
        cmocka_unit_test(test_refused_request),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_never_closes),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_ends_together),
    };
    return cmocka_run_group_tests_name("session_rest", tests, group_setup, group_teardown);
}
