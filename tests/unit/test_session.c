/* Sessions against real sshd processes and against peers that misbehave on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <poll.h>
#include <pthread.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/session_fixture.h"

static pid_t sshd_pid;
static int sshd_port;
static const char *const SSHD_IP = "127.77.1.1";

static int group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fixture_init(&fix);
    sshd_port = fixture_free_port(SSHD_IP);
    char extra[1024] = "MaxSessions 100\n";
    for (int i = 2; i <= 12; i++)
        snprintf(extra + strlen(extra), sizeof extra - strlen(extra),
                 "ListenAddress 127.77.1.%d:%d\n", i, sshd_port);
    sshd_pid = fixture_sshd(&fix, SSHD_IP, sshd_port, extra);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    fixture_stop(sshd_pid);
    fixture_fini(&fix);
    return 0;
}

/* --- a command's end --- */

static void test_ok(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "echo out; echo err >&2");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    assert_int_equal(p.r.outcome.exit_code, 0);
    assert_false(p.r.outcome.may_still_run);
    assert_true(p.r.outcome.sent);
    assert_int_equal(p.asked, 1);
    assert_string_equal(buf_cstr(&p.out), "out\n");
    assert_string_equal(buf_cstr(&p.err), "err\n");
    assert_int_equal(p.r.stdout_bytes, 4);
    assert_int_equal(p.r.stderr_bytes, 4);
    assert_memory_equal(p.r.server_banner, "SSH-2.0-OpenSSH", 15);
    const struct session_timing *t = &p.r.timing;
    assert_true(t->connected > 0 && t->connected <= t->banner && t->banner <= t->kex &&
                t->kex <= t->host_key && t->host_key <= t->auth && t->auth <= t->open &&
                t->open <= t->sent && t->sent <= t->first_byte && t->first_byte <= t->done);
    probe_fini(&p);
    bench_fini(&b);
}

/* A scan sees the host's key and goes, without a word to anybody about logging in. */
static void test_scan(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "");
    spec.kind = SESSION_SCAN;
    spec.hostkey_types = "ssh-ed25519";
    probe_init(&p, &b);
    p.defer_answer = true; /* none is waited for */
    start(&p, &spec);
    run_until_done(&p);
    expect(&p, PROBLEM_NONE, PHASE_HOST_KEY);
    assert_false(p.r.outcome.sent);
    assert_int_equal(p.r.outcome.exit_code, -1);
    assert_int_equal(p.asked, 1);
    assert_int_equal(p.authenticated, 0);
    assert_true(p.r.timing.kex > 0 && p.r.timing.auth == 0);
    probe_fini(&p);

    spec.hostkey_types = "ecdsa-sha2-nistp521"; /* one that the server has not */
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY);
    assert_int_equal(p.asked, 0);
    probe_fini(&p);
    bench_fini(&b);
}

static void test_exit_codes(void **state)
{
    (void)state;
    static const int codes[] = {1, 2, 126, 127, 128, 137, 254, 255};
    struct bench b;
    bench_init(&b);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char command[32];
        struct probe p;
        snprintf(command, sizeof command, "exit %d", codes[i]);
        struct session_spec spec = spec_for(SSHD_IP, sshd_port, command);
        run_one(&b, &p, &spec);
        expect(&p, PROBLEM_EXIT_NONZERO, PHASE_RUN);
        assert_int_equal(p.r.outcome.exit_code, codes[i]);
        probe_fini(&p);
    }
    bench_fini(&b);
}

static void test_signals(void **state)
{
    (void)state;
    static const char *const names[] = {"TERM", "KILL", "SEGV"};
    struct bench b;
    bench_init(&b);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char command[32];
        struct probe p;
        snprintf(command, sizeof command, "kill -%s $$", names[i]);
        struct session_spec spec = spec_for(SSHD_IP, sshd_port, command);
        run_one(&b, &p, &spec);
        expect(&p, PROBLEM_KILLED_BY_SIGNAL, PHASE_RUN);
        assert_string_equal(p.r.outcome.signal, names[i]);
        assert_int_equal(p.r.outcome.exit_code, -1);
        assert_false(p.r.outcome.may_still_run);
        probe_fini(&p);
    }
    bench_fini(&b);
}

static void test_stderr_after_stdout_eof(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(
        SSHD_IP, sshd_port, "echo a; exec >&-; sleep 0.2; echo late >&2; sleep 0.1; exit 7");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_EXIT_NONZERO, PHASE_RUN);
    assert_int_equal(p.r.outcome.exit_code, 7);
    assert_string_equal(buf_cstr(&p.out), "a\n");
    assert_string_equal(buf_cstr(&p.err), "late\n");
    assert_string_equal(p.order, "oe");
    probe_fini(&p);
    bench_fini(&b);
}

/* The bytes of `seq`, checked one by one. */
static void assert_sequence(struct buf *out, unsigned count)
{
    const char *s = buf_cstr(out);
    for (unsigned i = 1; i <= count; i++) {
        char *end;
        assert_int_equal(strtoul(s, &end, 10), i);
        assert_int_equal(*end, '\n');
        s = end + 1;
    }
    assert_int_equal(*s, 0);
}

static void test_ten_megabytes(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "seq 1400000");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    assert_true(p.r.stdout_bytes > 10 * 1000 * 1000);
    assert_int_equal(p.r.stdout_bytes, p.out.len);
    assert_sequence(&p.out, 1400000);
    probe_fini(&p);
    bench_fini(&b);
}

static void test_stdin(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    struct err e = {0};
    struct buf in;
    bench_init(&b);
    buf_init(&in, 16 << 20);
    for (unsigned i = 1; i <= 700000; i++)
        assert_int_equal(buf_printf(&in, "%u\n", i), RC_OK);
    assert_int_equal(session_env_set_blob(b.env, 0, in.data, in.len, &e), RC_OK);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "sleep 0.2; cat; echo end >&2");
    spec.use_stdin = true;
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    assert_int_equal(p.out.len, in.len);
    assert_memory_equal(p.out.data, in.data, in.len);
    assert_string_equal(buf_cstr(&p.err), "end\n");
    probe_fini(&p);
    /* one that reads nothing of it */
    spec = spec_for(SSHD_IP, sshd_port, "exec <&-; echo x; exit 3");
    spec.use_stdin = true;
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_EXIT_NONZERO, PHASE_RUN);
    assert_int_equal(p.r.outcome.exit_code, 3);
    probe_fini(&p);
    /* and one that gets none of it */
    spec = spec_for(SSHD_IP, sshd_port, "wc -c");
    run_one(&b, &p, &spec);
    assert_int_equal(strtol(buf_cstr(&p.out), NULL, 10), 0);
    probe_fini(&p);
    buf_fini(&in);
    bench_fini(&b);
}

/* --- login --- */

static void test_denied(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "true");
    spec.keys[0] = 2;
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_AUTH_DENIED, PHASE_AUTH);
    assert_non_null(strstr(p.r.outcome.detail, "1 key refused"));
    assert_non_null(strstr(p.r.outcome.detail, "publickey"));
    assert_false(p.r.outcome.sent);
    assert_int_equal(p.authenticated, 0);
    probe_fini(&p);
    spec.key_count = 0;
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_AUTH_NO_METHOD, PHASE_AUTH);
    probe_fini(&p);
    /* the second of two keys is the right one; a number without a key does not count */
    spec.keys[1] = 99;
    spec.keys[2] = 1;
    spec.key_count = 3;
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    probe_fini(&p);
    /* a name that libssh's option would refuse reaches the server, which denies it */
    spec.user = "DOMAIN\\user;x";
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_AUTH_DENIED, PHASE_AUTH);
    probe_fini(&p);
    bench_fini(&b);
}

static void test_host_key_rejected(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "true");
    probe_init(&p, &b);
    p.answer = HOSTKEY_REJECT;
    start(&p, &spec);
    run_until_done(&p);
    expect(&p, PROBLEM_HOST_KEY_UNKNOWN, PHASE_HOST_KEY);
    assert_string_equal(p.r.outcome.detail, "not on record");
    probe_fini(&p);
    /* Many times: the server's own end of the connection races with our reading of its offer. */
    spec.hostkey_types = "ssh-rsa";
    for (int i = 0; i < 20; i++) {
        run_one(&b, &p, &spec);
        expect(&p, PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY);
        assert_non_null(strstr(p.r.outcome.detail, "ssh-ed25519"));
        probe_fini(&p);
    }
    spec.hostkey_types = "ssh-rsa,ssh-ed25519";
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    probe_fini(&p);
    bench_fini(&b);
}

static void test_host_key_answered_later(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "echo x");
    probe_init(&p, &b);
    p.defer_answer = true;
    start(&p, &spec);
    while (!p.asked)
        uv_run(&b.loop, UV_RUN_ONCE);
    /* nothing is polled meanwhile: a turn must not spin */
    for (int i = 0; i < 3; i++)
        uv_run(&b.loop, UV_RUN_NOWAIT);
    p.inside = true;
    session_hostkey_answer(p.s, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL);
    session_hostkey_answer(p.s, HOSTKEY_REJECT, PROBLEM_HOST_KEY_UNKNOWN, "too late");
    p.inside = false;
    run_until_done(&p);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    probe_fini(&p);
    probe_init(&p, &b);
    p.defer_answer = true;
    start(&p, &spec);
    run_until_state(&p, S_HOSTKEY);
    jump_until_done(&p, NO_LIMIT_MS);
    expect(&p, PROBLEM_KEX_TIMEOUT, PHASE_HOST_KEY);
    probe_fini(&p);
    bench_fini(&b);
}

/* --- peers that misbehave --- */

struct peer {
    int fd, port;
    pthread_t thread;
    void (*script)(int fd);
};

static const char *const PEER_IP = "127.77.2.1";

static void *peer_main(void *arg)
{
    struct peer *peer = arg;
    int fd = accept(peer->fd, NULL, NULL);
    if (fd >= 0)
        peer->script(fd);
    return NULL;
}

static void peer_start(struct peer *peer, void (*script)(int fd))
{
    struct sockaddr_in a = fixture_addr(PEER_IP, 0);
    socklen_t len = sizeof a;
    peer->script = script;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(peer->fd, 16), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&a, &len), 0);
    peer->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_main, peer), 0);
}

static void peer_stop(struct peer *peer)
{
    pthread_join(peer->thread, NULL);
    close(peer->fd);
}

static void drain_until_closed(int fd)
{
    char sink[4096];
    while (recv(fd, sink, sizeof sink, 0) > 0)
        ;
    close(fd);
}

static void say(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void script_silent(int fd)
{
    drain_until_closed(fd);
}

static void reset(int fd)
{
    struct linger l = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
}

static void script_reset(int fd)
{
    reset(fd);
}

static void script_close(int fd)
{
    shutdown(fd, SHUT_WR);
    drain_until_closed(fd);
}

static void script_http(int fd)
{
    say(fd, "HTTP/1.1 400 Bad\x1b[31m Request\r\nServer: x\r\n\r\n");
    script_close(fd);
}

static void script_http_waits(int fd)
{
    say(fd, "220 mail.example.com ESMTP\r\n");
    drain_until_closed(fd);
}

static void script_ssh1(int fd)
{
    say(fd, "SSH-1.5-old\r\n");
    drain_until_closed(fd);
}

static void script_long_line(int fd)
{
    char line[600];
    memset(line, 'x', sizeof line);
    send(fd, line, sizeof line, MSG_NOSIGNAL);
    drain_until_closed(fd);
}

static void script_endless(int fd)
{
    while (send(fd, "this is not a banner\r\n", 22, MSG_NOSIGNAL) == 22)
        ;
    close(fd);
}

static void script_throttled(int fd)
{
    say(fd, "Exceeded MaxStartups\r\n");
    script_close(fd);
}

static void script_penalty(int fd)
{
    say(fd, "Not allowed at this time\r\n");
    drain_until_closed(fd);
}

/* Byte by byte, as a careful firewall forwards it. */
static void script_slow_banner(int fd)
{
    static const char line[] = "hello\r\nSSH-2.0-slow\r\n";
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, 1, &one, sizeof one); /* TCP_NODELAY */
    for (size_t i = 0; i < sizeof line - 1; i++) {
        send(fd, line + i, 1, MSG_NOSIGNAL);
        struct pollfd none = {.fd = -1};
        poll(&none, 1, 2);
    }
    script_close(fd);
}

static void script_close_in_kex(int fd)
{
    say(fd, "SSH-2.0-cut\r\n");
    char sink[64];
    recv(fd, sink, sizeof sink, 0);
    script_close(fd);
}

static void script_reset_in_kex(int fd)
{
    say(fd, "SSH-2.0-cut\r\n");
    char sink[64];
    recv(fd, sink, sizeof sink, MSG_WAITALL);
    reset(fd);
}

static void script_silent_in_kex(int fd)
{
    say(fd, "SSH-2.0-dumb\r\n");
    drain_until_closed(fd);
}

static void script_garbage_in_kex(int fd)
{
    char junk[512];
    say(fd, "SSH-2.0-junk\r\n");
    memset(junk, 0xff, sizeof junk);
    send(fd, junk, sizeof junk, MSG_NOSIGNAL);
    drain_until_closed(fd);
}

/* IGNORE packets without end: well-formed, and nothing else ever comes. */
static void script_ignore_flood(int fd)
{
    unsigned char packet[4 + 1 + 1 + 4 + 2000 + 9];
    memset(packet, 0, sizeof packet);
    size_t body = sizeof packet - 4;
    packet[2] = (unsigned char)(body >> 8);
    packet[3] = (unsigned char)body;
    packet[4] = 9; /* padding */
    packet[5] = 2; /* SSH_MSG_IGNORE */
    packet[8] = 2000 >> 8;
    packet[9] = 2000 & 255;
    say(fd, "SSH-2.0-flood\r\n");
    while (send(fd, packet, sizeof packet, MSG_NOSIGNAL) == (ssize_t)sizeof packet)
        ;
    close(fd);
}

static void send_disconnect(int fd)
{
    static const char text[] = "too many friends";
    unsigned char packet[64] = {0};
    size_t n = sizeof text - 1, body = 1 + 1 + 4 + 4 + n + 4;
    size_t pad = 8 - (body + 4) % 8 + 8;
    packet[3] = (unsigned char)(body + pad);
    packet[4] = (unsigned char)pad;
    packet[5] = 1;
    packet[9] = 12;
    packet[13] = (unsigned char)n;
    memcpy(packet + 14, text, n);
    send(fd, packet, 4 + body + pad, MSG_NOSIGNAL);
    drain_until_closed(fd);
}

/* DISCONNECT instead of a key exchange. */
static void script_disconnect(int fd)
{
    char sink[512]; /* our banner and most of our KEXINIT: then nothing of ours is under way */
    say(fd, "SSH-2.0-bye\r\n");
    recv(fd, sink, sizeof sink, MSG_WAITALL);
    send_disconnect(fd);
}

/* The same in one breath with the banner, while libssh has bytes to send: it then sets another
 * error on top of the reason. */
static void script_disconnect_early(int fd)
{
    say(fd, "SSH-2.0-bye\r\n");
    send_disconnect(fd);
}

struct bad_peer {
    const char *name;
    void (*script)(int fd);
    enum session_state jump_in; /* whose deadline is met; S_DONE: none */
    enum problem problem;
    enum phase phase;
    const char *detail;
};

static const struct bad_peer bad_peers[] = {
    {"silent", script_silent, S_BANNER, PROBLEM_BANNER_TIMEOUT, PHASE_BANNER,
     "no SSH banner in 15"},
    {"close", script_close, S_DONE, PROBLEM_CONNECTION_RESET, PHASE_BANNER, "closed"},
    {"reset", script_reset, S_DONE, PROBLEM_CONNECTION_RESET, PHASE_BANNER, NULL},
    {"http", script_http, S_DONE, PROBLEM_NOT_SSH, PHASE_BANNER, "Bad\\x1b[31m Request"},
    {"smtp", script_http_waits, S_BANNER, PROBLEM_BANNER_TIMEOUT, PHASE_BANNER, "220 mail"},
    {"ssh1", script_ssh1, S_DONE, PROBLEM_NOT_SSH, PHASE_BANNER, "SSH-1.5"},
    {"long line", script_long_line, S_DONE, PROBLEM_NOT_SSH, PHASE_BANNER, "255"},
    {"endless", script_endless, S_DONE, PROBLEM_HOSTILE, PHASE_BANNER, "32 KiB"},
    {"throttled", script_throttled, S_DONE, PROBLEM_THROTTLED, PHASE_BANNER, "MaxStartups"},
    {"penalty", script_penalty, S_DONE, PROBLEM_THROTTLED, PHASE_BANNER, "Not allowed"},
    {"slow", script_slow_banner, S_DONE, PROBLEM_CONNECTION_RESET, PHASE_KEX, NULL},
    {"close kex", script_close_in_kex, S_DONE, PROBLEM_CONNECTION_RESET, PHASE_KEX, "closed"},
    {"reset kex", script_reset_in_kex, S_DONE, PROBLEM_CONNECTION_RESET, PHASE_KEX, NULL},
    {"silent kex", script_silent_in_kex, S_KEX, PROBLEM_KEX_TIMEOUT, PHASE_KEX,
     "not done after 20"},
    {"garbage kex", script_garbage_in_kex, S_DONE, PROBLEM_KEX_FAILED, PHASE_KEX, NULL},
    {"flood kex", script_ignore_flood, S_DONE, PROBLEM_HOSTILE, PHASE_KEX, "256 KiB"},
    {"disconnect", script_disconnect, S_DONE, PROBLEM_THROTTLED, PHASE_KEX, "friends"},
    {"disconnect at once", script_disconnect_early, S_DONE, PROBLEM_THROTTLED, PHASE_KEX,
     "friends"},
};

static void test_bad_peers(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    for (size_t i = 0; i < sizeof bad_peers / sizeof bad_peers[0]; i++) {
        const struct bad_peer *bad = &bad_peers[i];
        struct peer peer;
        struct probe p;
        peer_start(&peer, bad->script);
        struct session_spec spec = spec_for(PEER_IP, peer.port, "true");
        probe_init(&p, &b);
        start(&p, &spec);
        if (bad->jump_in != S_DONE) {
            run_until_state(&p, bad->jump_in);
            while (bad->script == script_http_waits &&
                   (p.s->prelude == NULL || p.s->prelude->first[0] == '\0'))
                uv_run(&b.loop, UV_RUN_ONCE);
            jump_until_done(&p, 20 * 1000);
        }
        run_until_done(&p);
        peer_stop(&peer);
        const struct outcome *o = &p.r.outcome;
        if (o->problem != bad->problem || o->phase != bad->phase ||
            (bad->detail != NULL && strstr(o->detail, bad->detail) == NULL))
            fail_msg("%s: got %s in %s: %s", bad->name, problem_name(o->problem),
                     phase_name(o->phase), o->detail);
        assert_true(o->detail[0] != '\0');
        assert_false(o->may_still_run);
        probe_fini(&p);
    }
    bench_fini(&b);
}

/* A server that takes no connection: its listener's queue is full. */
struct full_server {
    int fd, filler[4];
    struct sockaddr_in addr;
};

static void full_open(struct full_server *f, int port)
{
    f->addr = fixture_addr(PEER_IP, port);
    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&f->addr, sizeof f->addr), 0);
    assert_int_equal(listen(f->fd, 0), 0);
    for (int i = 0; i < 4; i++) {
        f->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(f->filler[i], (struct sockaddr *)&f->addr, sizeof f->addr);
    }
}

/* Now it takes what comes, and what had to wait when it is sent once more. */
static void full_relieve(struct full_server *f)
{
    int fd;
    assert_int_equal(listen(f->fd, 16), 0);
    assert_true((fd = accept(f->fd, NULL, NULL)) >= 0);
    close(fd);
}

static void full_close(struct full_server *f)
{
    for (int i = 0; i < 4; i++)
        close(f->filler[i]);
    close(f->fd);
}

/* One whose connect was not answered until it had been said so, and then is. */
static void start_late(struct bench *b, struct probe *p, struct full_server *f, bool go)
{
    bench_init(b);
    int port = fixture_free_port(PEER_IP);
    struct session_spec spec = spec_for(PEER_IP, port, "true");
    full_open(f, port);
    probe_init(p, b);
    p->go = go;
    start(p, &spec);
    jump(b, SESSION_SILENT_MS - 3 * WHEEL_TICK_MS);
    assert_int_equal(p->silent, 0);
    jump(b, 3 * WHEEL_TICK_MS);
    assert_int_equal(p->silent, 1);
    jump(b, SESSION_SILENT_MS); /* once */
    assert_int_equal(p->silent, 1);
    full_relieve(f);
    while (p->answered == 0)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static void test_answered_late(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    struct full_server f;
    start_late(&b, &p, &f, true);
    run_until_state(&p, S_BANNER);
    uint64_t left = p.s->budget_due_ms - clock_ms();
    assert_true(left <= NO_LIMIT_MS);
    full_close(&f); /* and the connections in its queue */
    run_until_done(&p);
    assert_int_equal(p.r.outcome.phase, PHASE_BANNER);
    assert_int_equal(p.answered, 1);
    probe_fini(&p);
    bench_fini(&b);

    start_late(&b, &p, &f, false); /* there is no place for it, and then there is */
    assert_int_equal(p.s->state, S_HELD);
    uint64_t due = p.s->budget_due_ms;
    jump(&b, SESSION_HELD_MS / 2);
    assert_int_equal(p.s->state, S_HELD);
    session_go(p.s);
    assert_true(p.s->budget_due_ms >= due + SESSION_HELD_MS / 2); /* its own time stood still */
    run_until_state(&p, S_BANNER);
    session_go(p.s); /* twice is once */
    full_close(&f);
    run_until_done(&p);
    assert_int_equal(p.r.outcome.phase, PHASE_BANNER);
    probe_fini(&p);
    bench_fini(&b);

    start_late(&b, &p, &f, false); /* there is none for too long */
    jump_until_done(&p, SESSION_HELD_MS);
    expect(&p, PROBLEM_CONNECT_TIMEOUT, PHASE_CONNECT);
    assert_non_null(strstr(p.r.outcome.detail, "answered late"));
    full_close(&f);
    probe_fini(&p);
    bench_fini(&b);

    start_late(&b, &p, &f, false);
    session_cancel(p.s, PROBLEM_CANCELLED, false);
    run_until_done(&p);
    expect(&p, PROBLEM_CANCELLED, PHASE_CONNECT);
    full_close(&f);
    probe_fini(&p);
    bench_fini(&b);
}

static void test_refused_and_full(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    int port = fixture_free_port(PEER_IP);
    struct session_spec spec = spec_for(PEER_IP, port, "true");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_CONNECT_REFUSED, PHASE_CONNECT);
    probe_fini(&p);
    /* A listener whose queue is full answers nothing: connect-timeout. */
    struct full_server f;
    full_open(&f, port);
    spec.tcp_budget_ms = NO_LIMIT_MS / 2;
    probe_init(&p, &b);
    start(&p, &spec);
    for (int i = 0; i < 3; i++)
        uv_run(&b.loop, UV_RUN_NOWAIT);
    jump_until_done(&p, NO_LIMIT_MS / 2);
    expect(&p, PROBLEM_CONNECT_TIMEOUT, PHASE_CONNECT);
    assert_non_null(strstr(p.r.outcome.detail, "no answer in 1m00s"));
    probe_fini(&p);
    full_close(&f);
    /* An address that cannot be connected to at all, without asking the network. */
    spec = spec_for("255.255.255.255", 1, "true");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_CONNECT_FAILED, PHASE_CONNECT);
    probe_fini(&p);
    bench_fini(&b);
}

/* --- many --- */

static void test_two_hundred(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct probe probes[N];
    struct bench b;
    bench_init(&b);
    char command[N][48];
    for (int i = 0; i < N; i++) {
        char ip[32];
        snprintf(ip, sizeof ip, "127.77.1.%d", i % 12 + 1);
        snprintf(command[i], sizeof command[i], "echo %d; exit %d", i, i);
        struct session_spec spec = spec_for(ip, sshd_port, command[i]);
        probe_init(&probes[i], &b);
        start(&probes[i], &spec);
    }
    assert_int_equal(session_env_active(b.env), N);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < N; i++) {
        char want[16];
        assert_int_equal(probes[i].done, 1);
        expect(&probes[i], i == 0 ? PROBLEM_NONE : PROBLEM_EXIT_NONZERO, PHASE_RUN);
        assert_int_equal(probes[i].r.outcome.exit_code, i);
        snprintf(want, sizeof want, "%d\n", i);
        assert_string_equal(buf_cstr(&probes[i].out), want);
        probe_fini(&probes[i]);
    }
    bench_fini(&b);
}

/* --- cancel, timeouts, pause --- */

static void test_cancel_at_every_turn(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    bool finished = false;
    int cancelled = 0;
    /* Turn n of the loop lands in each state in turn; once the session wins, we are through. */
    for (int n = 0; !finished; n++) {
        struct probe p;
        struct session_spec spec = spec_for(SSHD_IP, sshd_port, "true");
        probe_init(&p, &b);
        start(&p, &spec);
        for (int i = 0; i < n && !p.done; i++)
            uv_run(&b.loop, UV_RUN_ONCE);
        if (p.done) {
            finished = true;
        } else {
            p.inside = true;
            session_cancel(p.s, PROBLEM_CANCELLED, n % 2 == 0);
            session_cancel(p.s, PROBLEM_DEADLINE, true);
            p.inside = false;
            run_until_done(&p);
            const struct outcome *o = &p.r.outcome;
            assert_int_equal(o->problem, PROBLEM_CANCELLED);
            assert_int_equal(o->sent, p.sent);
            if (!o->sent)
                assert_false(o->may_still_run);
            cancelled++;
        }
        probe_fini(&p);
        assert_true(n < 1000);
    }
    assert_true(cancelled > 5);
    bench_fini(&b);
}

/* TERM, then KILL, then the end. OpenSSH passes signals on for users whose login gave up its
 * privileges, and refuses them for root: both ends are right, each where it belongs. */
static void test_run_timeout(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "echo go; exec sleep 600");
    spec.run_timeout_ms = NO_LIMIT_MS;
    probe_init(&p, &b);
    start(&p, &spec);
    while (p.out.len == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    jump(&b, NO_LIMIT_MS);
    if (geteuid() == 0) { /* sshd passes no signal on to root's command; others may end at once */
        run_until_state(&p, S_TERM);
        jump(&b, 10 * 1000);
        assert_int_equal(p.s->state, S_KILL);
        session_cancel(p.s, PROBLEM_CANCELLED, false); /* comes too late to be the reason */
        jump(&b, 2000);
    }
    run_until_done(&p);
    expect(&p, PROBLEM_RUN_TIMEOUT, PHASE_RUN);
    assert_string_equal(p.r.outcome.signal, geteuid() == 0 ? "" : "TERM");
    assert_int_equal(p.r.outcome.may_still_run, geteuid() == 0);
    probe_fini(&p);
    bench_fini(&b);
}

/* The command has ended, what it left behind holds the channel open. */
static void test_background_holds_output(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "sleep 20 & exit 4");
    spec.silence_timeout_ms = NO_LIMIT_MS;
    probe_init(&p, &b);
    start(&p, &spec);
    run_until_state(&p, S_RUN);
    while (!sshio_seen(p.s->io)->exited)
        uv_run(&b.loop, UV_RUN_ONCE);
    jump(&b, NO_LIMIT_MS);
    run_until_done(&p);
    expect(&p, PROBLEM_SILENCE_TIMEOUT, PHASE_RUN);
    assert_int_equal(p.r.outcome.exit_code, 4);
    assert_false(p.r.outcome.may_still_run);
    probe_fini(&p);
    bench_fini(&b);
}

static void resume_later(uv_timer_t *t)
{
    session_env_resume(t->data);
    uv_close((uv_handle_t *)t, NULL);
}

/* A reader that stalls: nothing is read beyond one wake, and the clocks stand still. */
static void test_pause(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    uv_timer_t timer;
    bench_init(&b);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "seq 700000");
    spec.run_timeout_ms = NO_LIMIT_MS;
    spec.silence_timeout_ms = NO_LIMIT_MS;
    probe_init(&p, &b);
    p.pause_on_data = true;
    start(&p, &spec);
    while (p.out.len == 0)
        uv_run(&b.loop, UV_RUN_ONCE);
    size_t held = p.out.len;
    for (int i = 0; i < 20; i++) {
        uv_run(&b.loop, UV_RUN_NOWAIT);
        jump(&b, NO_LIMIT_MS);
        usleep(5000); /* time for more to arrive, were it read */
    }
    assert_int_equal(p.out.len, held);
    assert_int_equal(p.done, 0);
    p.pause_on_data = false;
    uv_timer_init(&b.loop, &timer);
    timer.data = b.env;
    uv_timer_start(&timer, resume_later, 1, 0);
    run_until_done(&p);
    expect(&p, PROBLEM_NONE, PHASE_RUN);
    assert_sequence(&p.out, 700000);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    probe_fini(&p);
    bench_fini(&b);
}

/* Each allocation of ours fails once: no crash, no leak, an outcome or an error. Only the banner is
 * a text that can be done without. */
static void test_no_memory(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b);
    for (long n = 0;; n++) {
        struct probe p;
        struct err e = {0};
        struct session_spec spec = spec_for(SSHD_IP, sshd_port, "true");
        probe_init(&p, &b);
        size_t live = mem_live();
        mem_fail_after(n);
        enum rc rc = session_start(&p.s, b.env, &spec, &ops, &p, &e);
        if (rc == RC_OK)
            run_until_done(&p);
        else
            assert_int_equal(rc, RC_NOMEM);
        int fired = mem_fail_fired();
        mem_fail_after(-1);
        if (rc == RC_OK && fired && p.r.outcome.problem == PROBLEM_NONE)
            assert_string_equal(p.r.server_banner, "");
        else if (rc == RC_OK && fired)
            assert_int_equal(p.r.outcome.problem, PROBLEM_LOCAL_RESOURCE);
        assert_int_equal(mem_live(), live);
        probe_fini(&p);
        if (!fired) {
            expect(&p, PROBLEM_NONE, PHASE_RUN);
            assert_true(n > 5);
            break;
        }
    }
    bench_fini(&b);
}

static void test_connection_lost(void **state)
{
    (void)state;
    struct bench b;
    struct probe p;
    bench_init(&b);
    /* the sshd of this very session is the shell's parent */
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "echo x; kill -9 $PPID; sleep 600");
    run_one(&b, &p, &spec);
    expect(&p, PROBLEM_CONNECTION_LOST, PHASE_RUN);
    assert_true(p.r.outcome.may_still_run);
    assert_int_equal(p.r.outcome.exit_code, -1);
    probe_fini(&p);
    bench_fini(&b);
}

static void test_keys(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    struct probe p;
    bench_init(&b);
    fixture_keygen(&fix, "locked", "ed25519", "open sesame");
    fixture_keygen(&fix, "rsa", "rsa", "");
    const char *text = fixture_read(&fix, "locked");
    size_t n = strlen(text);
    assert_int_equal(session_env_add_key(b.env, 7, text, n, NULL, "k", &e), RC_CRYPTO);
    assert_int_equal(session_env_add_key(b.env, 7, text, n, "wrong", "k", &e), RC_CRYPTO);
    assert_int_equal(session_env_add_key(b.env, 7, text, n, "open sesame", "k", &e), RC_OK);
    assert_int_equal(session_env_add_key(b.env, 7, text, n, "open sesame", "k", &e), RC_EXISTS);
    const char *argv[] = {"ssh-keygen", "-q", "-p",       "-m", "PEM", "-P",
                          "",           "-N", "pem pass", "-f", NULL,  NULL};
    char pem[320];
    fixture_keygen(&fix, "pem", "rsa", "");
    snprintf(pem, sizeof pem, "%s/pem", fix.dir);
    argv[10] = pem;
    assert_int_equal(fixture_run(argv), 0);
    text = fixture_read(&fix, "pem");
    n = strlen(text);
    assert_non_null(strstr(text, "BEGIN RSA PRIVATE KEY"));
    assert_int_equal(session_env_add_key(b.env, 8, text, n, NULL, "k", &e), RC_CRYPTO);
    assert_int_equal(session_env_add_key(b.env, 8, text, n, "wrong", "k", &e), RC_CRYPTO);
    assert_int_equal(session_env_add_key(b.env, 8, text, n, "pem pass", "k", &e), RC_OK);
    assert_int_equal(session_env_add_key(b.env, 10, "no key", 6, NULL, "k", &e), RC_CRYPTO);
    assert_int_equal(session_env_add_key(b.env, 9999, text, n, "x", "k", &e), RC_LIMIT);
    text = fixture_read(&fix, "rsa");
    assert_int_equal(session_env_add_key(b.env, 9, text, strlen(text), NULL, "k", &e), RC_OK);
    /* RSA right after the key exchange, and a second kind of key on one server */
    char both[8192];
    snprintf(both, sizeof both, "%s", fixture_read(&fix, "rsa.pub"));
    fixture_write(&fix, "authorized", "%s%s", fixture_read(&fix, "id.pub"), both);
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "true");
    spec.keys[0] = 9;
    for (int i = 0; i < 5; i++) {
        run_one(&b, &p, &spec);
        expect(&p, PROBLEM_NONE, PHASE_RUN);
        probe_fini(&p);
    }
    bench_fini(&b);
}

/* --- memory --- */

/* First of all tests: what others have freed would be used again. */
static void test_idle_buffers(void **state)
{
    (void)state;
    enum { N = 16 };
    static struct probe probes[N];
    if (mallinfo2().arena == 0)
        skip(); /* a sanitizer's malloc, which has no mappings to tell of */
    struct bench b;
    bench_init(&b);
    size_t before = mallinfo2().hblks;
    struct session_spec spec = spec_for(SSHD_IP, sshd_port, "exec sleep 600");
    for (int i = 0; i < N; i++) {
        probe_init(&probes[i], &b);
        start(&probes[i], &spec);
    }
    for (int i = 0; i < N; i++)
        run_until_state(&probes[i], S_RUN);
    size_t mapped = mallinfo2().hblks - before;
    for (int i = 0; i < N; i++)
        session_cancel(probes[i].s, PROBLEM_CANCELLED, false);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < N; i++) {
        expect(&probes[i], PROBLEM_CANCELLED, PHASE_RUN);
        probe_fini(&probes[i]);
    }
    bench_fini(&b);
    assert_true(mapped >= N / 2); /* not all: some fit where a handshake left room */
}

int main(int argc, char **argv)
{
    if (argc > 1) /* one test by name */
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_buffers),
        cmocka_unit_test(test_ok),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_stderr_after_stdout_eof),
        cmocka_unit_test(test_ten_megabytes),
        cmocka_unit_test(test_stdin),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_host_key_rejected),
        cmocka_unit_test(test_host_key_answered_later),
        cmocka_unit_test(test_bad_peers),
        cmocka_unit_test(test_answered_late),
        cmocka_unit_test(test_refused_and_full),
        cmocka_unit_test(test_two_hundred),
        cmocka_unit_test(test_cancel_at_every_turn),
        cmocka_unit_test(test_run_timeout),
        cmocka_unit_test(test_background_holds_output),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests_name("session", tests, group_setup, group_teardown);
}
