/* controller/agent: its messages, what may be signed, and the line in front of an agent that is
 * slow, hostile or gone. The agent is a thread of ours on a real socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "controller/agent/agent.h"
#include "controller/ssh/key_blob.h"

#define ED25519 "\0\0\0\13ssh-ed25519"
static const char KEY[] = ED25519 "\0\0\0\4pub1";
static const char OTHER[] = ED25519 "\0\0\0\4pub2";
static const char SIGNATURE[] = ED25519 "\0\0\0\4sig1";
enum { KEY_LEN = sizeof KEY - 1, SIG_LEN = sizeof SIGNATURE - 1 };

/* ---- messages ---- */

static void test_identities(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct buf b;
    struct agent_identities ids;
    buf_init(&b, 65536);
    buf_putc(&b, 12);
    blob_put_u32(&b, 3);
    blob_put_string(&b, KEY, KEY_LEN);
    blob_put_string(&b, "me\033[2J", 6);
    blob_put_string(&b, "\0\0\0\7ssh-dss", 11); /* of no use: left out */
    blob_put_string(&b, "", 0);
    blob_put_string(&b, OTHER, KEY_LEN);
    blob_put_string(&b, "", 0);
    assert_int_equal(agent_msg_get_identities(&ids, b.data, b.len, NULL), RC_OK);
    assert_int_equal(ids.count, 2);
    assert_memory_equal(ids.items[0].blob, KEY, KEY_LEN);
    assert_string_equal(ids.items[0].comment, "me\\x1b[2J");
    agent_identities_fini(&ids);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *copy = mem_memdup(b.data, n);
        assert_int_equal(agent_msg_get_identities(&ids, copy, n, NULL), RC_PROTO);
        assert_int_equal(ids.count, 0);
        mem_free(copy);
    }
    b.data[1] = 1; /* 16 million keys */
    assert_int_equal(agent_msg_get_identities(&ids, b.data, b.len, NULL), RC_PROTO);
    assert_int_equal(agent_msg_get_identities(&ids, "\5", 1, NULL), RC_CANCELLED);
    b.data[1] = 0;
    bool fired = true;
    for (long n = 0; fired; n++) {
        mem_fail_after(n);
        enum rc rc = agent_msg_get_identities(&ids, b.data, b.len, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        agent_identities_fini(&ids);
    }
    buf_fini(&b);
    assert_int_equal(mem_live(), live);
}

static void test_signature(void **state)
{
    (void)state;
    struct buf b;
    const void *sig;
    size_t len;
    buf_init(&b, 65536);
    buf_putc(&b, 14);
    blob_put_string(&b, SIGNATURE, SIG_LEN);
    assert_int_equal(agent_msg_get_signature(b.data, b.len, &sig, &len, NULL), RC_OK);
    assert_int_equal(len, SIG_LEN);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(agent_msg_get_signature(b.data, n, &sig, &len, NULL), RC_PROTO);
    static const char failures[] = {5, 30, 102};
    for (size_t i = 0; i < sizeof failures; i++)
        assert_int_equal(agent_msg_get_signature(&failures[i], 1, &sig, &len, NULL), RC_CANCELLED);
    buf_fini(&b);
    assert_int_equal(agent_msg_length("\0\0\0", 3), 0);
    assert_int_equal(agent_msg_length("\0\0\0\1", 4), 5);
    assert_int_equal(agent_msg_length("\0\0\0\0", 4), -1);
    assert_int_equal(agent_msg_length("\xff\0\0\0", 4), -1);
}

struct login {
    size_t session;
    int type;
    const char *user, *service, *method, *alg;
    const char *key;
    int has_signature;
    const char *more;
};

static enum rc check(const struct login *l, const char *blob, size_t len, uint32_t *flags)
{
    struct buf b;
    char session[128] = {0};
    buf_init(&b, 65536);
    blob_put_string(&b, session, l->session);
    buf_putc(&b, (char)l->type);
    blob_put_string(&b, l->user, strlen(l->user));
    blob_put_string(&b, l->service, strlen(l->service));
    blob_put_string(&b, l->method, strlen(l->method));
    buf_putc(&b, (char)l->has_signature);
    blob_put_string(&b, l->alg, strlen(l->alg));
    blob_put_string(&b, l->key, len);
    buf_puts(&b, l->more);
    enum rc rc = agent_check_login(b.data, b.len, "me", blob, len, flags, NULL);
    for (size_t n = 0; rc == RC_OK && n < b.len; n++)
        assert_int_equal(agent_check_login(b.data, n, "me", blob, len, flags, NULL), RC_PROTO);
    buf_fini(&b);
    return rc;
}

/* A server that lies, or a worker that was taken over, gets a login's signature and no other. */
static void test_only_logins_are_signed(void **state)
{
    (void)state;
    static const struct login good = {32,  50, "me", "ssh-connection", "publickey", "ssh-ed25519",
                                      KEY, 1,  ""};
    uint32_t flags = 9;
    assert_int_equal(check(&good, KEY, KEY_LEN, &flags), RC_OK);
    assert_int_equal(flags, 0);
#define WITH(field, value)                                                                         \
    do {                                                                                           \
        struct login l = good;                                                                     \
        l.field = value;                                                                           \
        assert_int_equal(check(&l, KEY, KEY_LEN, &flags), RC_PROTO);                               \
    } while (0)
    WITH(session, 19);
    WITH(session, 65);
    WITH(session, 0);
    WITH(type, 51);
    WITH(user, "root");
    WITH(user, "");
    WITH(service, "ssh-userauth");
    WITH(method, "hostbased");
    WITH(has_signature, 0);
    WITH(alg, "ssh-rsa");
    WITH(key, OTHER);
    WITH(more, "x");
#undef WITH
    static const char rsa[] = "\0\0\0\7ssh-rsa\0\0\0\1e\0\0\0\1n";
    static const struct {
        const char *alg;
        enum rc rc;
        uint32_t flags;
    } rows[] = {{"rsa-sha2-256", RC_OK, 2},
                {"rsa-sha2-512", RC_OK, 4},
                {"ssh-rsa", RC_PROTO, 0}, /* SHA-1 */
                {"rsa-sha2-512-cert-v01@openssh.com", RC_PROTO, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct login l = good;
        l.alg = rows[i].alg;
        l.key = rsa;
        assert_int_equal(check(&l, rsa, sizeof rsa - 1, &flags), rows[i].rc);
        assert_int_equal(flags, rows[i].flags);
    }
}

/* ---- an agent of our own ---- */

enum manner { ANSWERS, REFUSES, SILENT, CLOSES_ONCE, CLOSES, NONSENSE, LARGE, TWICE };

struct server {
    char dir[64], path[96];
    int listener;
    pthread_t thread;
    enum manner manner;
    int connections, requests;
};

static bool read_all(int fd, void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(fd, (char *)p + at, n - at, 0);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static void say(int fd, const void *body, size_t n)
{
    struct buf b;
    buf_init(&b, 65536);
    blob_put_string(&b, body, n);
    for (size_t i = 0; i < b.len; i++) /* byte by byte: an answer may come in parts */
        if (send(fd, b.data + i, 1, MSG_NOSIGNAL) != 1)
            break;
    buf_fini(&b);
}

static bool serve_one(struct server *s, int fd)
{
    static char body[65536];
    uint8_t head[4];
    if (!read_all(fd, head, 4) || !read_all(fd, body, (size_t)head[2] << 8 | head[3]))
        return false;
    struct buf b;
    buf_init(&b, 65536);
    buf_putc(&b, 14);
    blob_put_string(&b, SIGNATURE, SIG_LEN);
    s->requests++;
    bool open = true;
    switch (s->manner) {
    case ANSWERS: say(fd, b.data, b.len); break;
    case REFUSES: say(fd, "\5", 1); break;
    case SILENT: break;
    case CLOSES_ONCE:
        s->manner = ANSWERS;
        open = false;
        break;
    case CLOSES: open = false; break;
    case NONSENSE: say(fd, "\16xxxxxx", 7); break;
    case LARGE: (void)!send(fd, "\x7f\xff\xff\xff", 4, MSG_NOSIGNAL); break;
    case TWICE:
        say(fd, b.data, b.len);
        say(fd, b.data, b.len);
        break;
    }
    buf_fini(&b);
    return open;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
        s->connections++;
        while (serve_one(s, fd))
            continue;
    }
    return NULL;
}

static void server_start(struct server *s, enum manner manner)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    memset(s, 0, sizeof *s);
    s->manner = manner;
    snprintf(s->dir, sizeof s->dir, "/tmp/muster-agent-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/s", s->dir);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&sun, sizeof sun), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    unlink(s->path);
    rmdir(s->dir);
}

enum { JOBS = 32 };

struct bench {
    uv_loop_t loop;
    struct agent *agent;
    enum agent_answer answers[JOBS];
    char why[JOBS][128];
    int order[JOBS];
    int count, want;
    bool inside, cancel_next;
};

static void on_answer(void *user, uint64_t job, enum agent_answer a, const void *sig, size_t len,
                      const char *why)
{
    struct bench *b = user;
    assert_false(b->inside);
    if (a == AGENT_SIGNED) {
        assert_int_equal(len, SIG_LEN);
        assert_memory_equal(sig, SIGNATURE, SIG_LEN);
    }
    b->answers[job] = a;
    snprintf(b->why[job], sizeof b->why[job], "%s", why);
    b->order[b->count++] = (int)job;
    if (b->cancel_next)
        agent_cancel(b->agent, job + 1);
    if (b->count == b->want)
        agent_close(b->agent);
}

static const struct agent_ops ops = {.answer = on_answer};

static void ask(struct bench *b, uint64_t job)
{
    b->inside = true;
    assert_int_equal(agent_sign(b->agent, job, KEY, KEY_LEN, "data", 4, 0), RC_OK);
    b->inside = false;
}

static void bench_init(struct bench *b, const char *path, uint64_t bound_ms, int want)
{
    struct err e;
    memset(b, 0, sizeof *b);
    b->want = want;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(agent_new(&b->agent, &b->loop, path, bound_ms, &ops, b, &e), RC_OK);
}

static void bench_run(struct bench *b)
{
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(b->count, b->want);
    agent_free(b->agent);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void test_line(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct server s;
    struct bench b;
    server_start(&s, ANSWERS);
    bench_init(&b, s.path, 60000, JOBS - 2);
    for (uint64_t i = 0; i < JOBS; i++)
        ask(&b, i);
    agent_cancel(b.agent, 5);
    agent_cancel(b.agent, JOBS - 1);
    agent_cancel(b.agent, 99);
    bench_run(&b);
    for (int i = 0; i < JOBS - 2; i++) {
        assert_int_equal(b.order[i], i < 5 ? i : i + 1);
        assert_int_equal(b.answers[b.order[i]], AGENT_SIGNED);
    }
    server_stop(&s);
    assert_int_equal(s.connections, 1);
    assert_int_equal(s.requests, JOBS - 2);
    assert_int_equal(mem_live(), live);
}

/* One that is being asked is cancelled: its answer is nobody's. */
static void test_cancel_of_the_first(void **state)
{
    (void)state;
    struct server s;
    struct bench b;
    server_start(&s, ANSWERS);
    bench_init(&b, s.path, 60000, 3);
    for (uint64_t i = 0; i < 5; i++)
        ask(&b, i);
    while (agent_pace_us(b.agent) == 0) /* the first was answered, so the second is being asked */
        uv_run(&b.loop, UV_RUN_ONCE);
    int first = b.count;
    agent_cancel(b.agent, (uint64_t)first);
    agent_cancel(b.agent, (uint64_t)first);
    agent_cancel(b.agent, 4);
    b.want = 3;
    bench_run(&b);
    server_stop(&s);
    assert_int_equal(s.requests, 4);
}

static void expect(enum manner manner, enum agent_answer first, enum agent_answer second,
                   const char *why, int connections, uint64_t bound_ms)
{
    size_t live = mem_live();
    struct server s;
    struct bench b;
    server_start(&s, manner);
    bench_init(&b, s.path, bound_ms, 3);
    ask(&b, 0);
    ask(&b, 1);
    ask(&b, 2);
    bench_run(&b);
    server_stop(&s);
    assert_int_equal(b.answers[0], first);
    assert_int_equal(b.answers[1], second);
    assert_int_equal(b.answers[2], second);
    if (strstr(b.why[0], why) == NULL)
        fail_msg("%s, not %s", b.why[0], why);
    assert_int_equal(s.connections, connections);
    assert_int_equal(mem_live(), live);
}

static void test_manners(void **state)
{
    (void)state;
    expect(REFUSES, AGENT_REFUSED, AGENT_REFUSED, "the agent refused to sign", 1, 60000);
    expect(CLOSES_ONCE, AGENT_SIGNED, AGENT_SIGNED, "", 2, 60000);
    expect(CLOSES, AGENT_FAILED, AGENT_FAILED, "closed the connection", 2, 60000);
    expect(NONSENSE, AGENT_FAILED, AGENT_FAILED, "no signature", 1, 60000);
    expect(LARGE, AGENT_FAILED, AGENT_FAILED, "no answer", 1, 60000);
    expect(SILENT, AGENT_FAILED, AGENT_FAILED, "did not answer in 20ms", 1, 20);
}

/* An answer nobody asked for is found at the latest with the next one. */
static void test_one_answer_too_many(void **state)
{
    (void)state;
    struct server s;
    struct bench b;
    server_start(&s, TWICE);
    bench_init(&b, s.path, 60000, 8);
    for (uint64_t i = 0; i < 8; i++)
        ask(&b, i);
    bench_run(&b);
    server_stop(&s);
    assert_int_equal(b.answers[7], AGENT_FAILED);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    struct agent_identities ids;
    bench_init(&b, "/nonexistent/agent", 60000, 2);
    ask(&b, 0);
    ask(&b, 1);
    bench_run(&b);
    assert_int_equal(b.answers[0], AGENT_FAILED);
    assert_non_null(strstr(b.why[1], "the agent is gone (/nonexistent/agent"));
    assert_int_equal(agent_list("/nonexistent/agent", 1000, &ids, &e), RC_NOTFOUND);
    char path[300];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(agent_list(path, 1000, &ids, &e), RC_LIMIT);
}

static void test_list(void **state)
{
    (void)state;
    static const struct {
        enum manner manner;
        enum rc rc;
    } rows[] = {{REFUSES, RC_CANCELLED}, {CLOSES, RC_PROTO}, {NONSENSE, RC_PROTO},
                {LARGE, RC_PROTO},       {SILENT, RC_LIMIT}, {ANSWERS, RC_PROTO}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server s;
        struct agent_identities ids;
        struct err e;
        server_start(&s, rows[i].manner);
        assert_int_equal(agent_list(s.path, rows[i].manner == SILENT ? 20 : 60000, &ids, &e),
                         rows[i].rc);
        assert_non_null(strstr(e.msg, s.path));
        server_stop(&s);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        size_t live = mem_live();
        struct bench b;
        memset(&b, 0, sizeof b);
        assert_int_equal(uv_loop_init(&b.loop), 0);
        mem_fail_after(n);
        enum rc rc = agent_new(&b.agent, &b.loop, "/nonexistent", 1000, &ops, &b, NULL);
        bool made = rc == RC_OK;
        if (made)
            rc = agent_sign(b.agent, 1, KEY, KEY_LEN, "data", 4, 0);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (made) {
            agent_close(b.agent);
            uv_run(&b.loop, UV_RUN_DEFAULT);
            agent_free(b.agent);
        }
        assert_int_equal(uv_loop_close(&b.loop), 0);
        assert_int_equal(mem_live(), live);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_only_logins_are_signed),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_cancel_of_the_first),
        cmocka_unit_test(test_manners),
        cmocka_unit_test(test_one_answer_too_many),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
