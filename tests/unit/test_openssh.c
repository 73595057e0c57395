/* controller/openssh: the words for ssh, and what its log means. The same against a real ssh is
 * tests/integration/test_openssh.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "controller/openssh/argv.h"
#include "controller/openssh/openssh.h"
#include "controller/openssh/sshlog.h"

#define UP                                                                                         \
    "debug1: Connecting to h [10.0.0.1] port 22.\r\ndebug1: Connection established.\r\n"           \
    "debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2\r\n"
#define KEYED                                                                                      \
    UP "debug1: Server host key: ssh-ed25519 SHA256:x\r\ndebug1: SSH2_MSG_NEWKEYS sent\r\n"
#define SENT                                                                                       \
    KEYED "Authenticated to h ([10.0.0.1]:22) using \"publickey\".\r\n"                            \
          "debug1: Sending command: true\r\n"
#define STATUS "debug1: client_input_channel_req: channel 0 rtype exit-status reply 0\r\n"
#define FREE   "debug1: channel 0: free: client-session, nchannels 1\r\n"

static const struct {
    const char *log;
    int code, signal;
    enum problem problem;
    enum phase phase;
    bool sent, may_still_run;
} cases[] = {
    {SENT STATUS FREE, 0, 0, PROBLEM_NONE, PHASE_RUN, true, false},
    {SENT STATUS FREE, 255, 0, PROBLEM_EXIT_NONZERO, PHASE_RUN, true, false},
    {SENT FREE, 255, 0, PROBLEM_NO_EXIT_STATUS, PHASE_RUN, true, true},
    {SENT, 255, 0, PROBLEM_CONNECTION_LOST, PHASE_RUN, true, true},
    {SENT "Connection to h closed by remote host.\r\n" FREE, 255, 0, PROBLEM_CONNECTION_LOST,
     PHASE_RUN, true, true},
    {SENT "debug1: client_input_channel_req: channel 0 rtype exit-signal reply 0\r\n", 255, 0,
     PROBLEM_KILLED_BY_SIGNAL, PHASE_RUN, true, false},
    {SENT "exec request failed on channel 0\r\n", 255, 0, PROBLEM_REQUEST_REFUSED, PHASE_REQUEST,
     true, false},
    {SENT "Corrupted MAC on input.\r\n", 255, 0, PROBLEM_PROTOCOL_ERROR, PHASE_RUN, true, true},
    {SENT STATUS, -1, 15, PROBLEM_CONNECTION_LOST, PHASE_RUN, true, true},
    /* an exit status that came before the command was sent is no exit status */
    {STATUS SENT, 0, 0, PROBLEM_CONNECTION_LOST, PHASE_RUN, true, true},
    {STATUS KEYED, 0, 0, PROBLEM_CONNECTION_RESET, PHASE_AUTH, false, false},
    {KEYED "u@h: Permission denied (publickey).\r\n", 255, 0, PROBLEM_AUTH_DENIED, PHASE_AUTH,
     false, false},
    {"u@h: Permission denied (publickey).\r\n", 255, 0, PROBLEM_CONNECT_FAILED, PHASE_CONNECT,
     false, false},
    {UP "debug1: Remote: Sending command: \r\ndebug1: x debug1: Sending command: \r\n", 255, 0,
     PROBLEM_CONNECTION_RESET, PHASE_KEX, false, false},
    {UP "Unable to negotiate with h port 22: no matching key exchange method found.\r\n", 255, 0,
     PROBLEM_KEX_NO_MATCH, PHASE_KEX, false, false},
    {UP "No ED25519 host key is known for h and you have requested strict checking.\r\n"
        "Host key verification failed.\r\n",
     255, 0, PROBLEM_HOST_KEY_UNKNOWN, PHASE_HOST_KEY, false, false},
    {UP "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
        "Host key verification failed.\r\n",
     255, 0, PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY, false, false},
    {"ssh: Could not resolve hostname h: Name or service not known\r\n", 255, 0,
     PROBLEM_DNS_NOT_FOUND, PHASE_RESOLVE, false, false},
    {"ssh: connect to host h port 22: No route to host\r\n", 255, 0, PROBLEM_CONNECT_FAILED,
     PHASE_CONNECT, false, false},
    {"debug1: kex_exchange_identification: banner line 0: hello\r\n" KEYED
     "Connection closed by 10.0.0.1 port 22\r\n",
     255, 0, PROBLEM_CONNECTION_RESET, PHASE_AUTH, false, false},
    {"", 255, 0, PROBLEM_CONNECT_FAILED, PHASE_CONNECT, false, false},
};

static void test_outcomes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sshlog l = {0};
        struct outcome o;
        sshlog_feed(&l, cases[i].log, strlen(cases[i].log));
        sshlog_conclude(&l, cases[i].code, cases[i].signal, &o);
        if (o.problem != cases[i].problem || o.phase != cases[i].phase || o.sent != cases[i].sent ||
            o.may_still_run != cases[i].may_still_run)
            fail_msg("case %zu: %s in %s, sent %d, may still run %d: %s", i,
                     problem_name(o.problem), phase_name(o.phase), o.sent, o.may_still_run,
                     o.detail);
    }
}

static struct openssh_target target(void)
{
    return (struct openssh_target){
        .program = "/usr/bin/ssh", .host = "web1", .log = "/run/x", .command = "true"};
}

static bool has(char **argv, const char *word)
{
    for (; *argv != NULL; argv++)
        if (strcmp(*argv, word) == 0)
            return true;
    return false;
}

static void test_words(void **state)
{
    (void)state;
    static const char *const files[] = {"/k/a b", "/k/c"}, *const words[] = {"AddressFamily=inet"};
    struct openssh_target t = target();
    struct arena arena;
    char *argv[OPENSSH_MAX_WORDS];
    t.user = "deploy";
    t.port = 2222;
    t.checking = "yes";
    t.known_hosts = files;
    t.known_host_count = 2;
    t.words = words;
    t.word_count = 1;
    t.direct = true;
    arena_init(&arena);
    assert_int_equal(openssh_argv(&t, &arena, argv, NULL), RC_OK);
    assert_true(has(argv, "BatchMode=yes") && has(argv, "deploy") && has(argv, "2222"));
    assert_true(has(argv, "UserKnownHostsFile=\"/k/a b\" \"/k/c\""));
    assert_true(has(argv, "AddressFamily=inet") && has(argv, "--"));
    assert_true(has(argv, "ProxyJump=none"));
    arena_fini(&arena);
}

static void test_what_ssh_could_misread(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "-oProxyCommand=x", "a b", "a`b`", "$(x)", "", "a\nb", "\"", "a;b"};
    struct arena arena;
    char *argv[OPENSSH_MAX_WORDS];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct openssh_target host = target(), user = target(), alias = target();
        host.host = user.user = alias.alias = bad[i];
        arena_init(&arena);
        assert_int_equal(openssh_argv(&host, &arena, argv, NULL), RC_CONFIG);
        assert_int_equal(openssh_argv(&user, &arena, argv, NULL), RC_CONFIG);
        assert_int_equal(openssh_argv(&alias, &arena, argv, NULL), RC_CONFIG);
        arena_fini(&arena);
    }
    struct openssh_target t = target();
    char *big = mem_calloc(1, OPENSSH_MAX_COMMAND + 2);
    memset(big, 'x', OPENSSH_MAX_COMMAND + 1);
    t.command = big;
    arena_init(&arena);
    assert_int_equal(openssh_argv(&t, &arena, argv, NULL), RC_LIMIT);
    arena_fini(&arena);
    mem_free(big);
}

/* ---- the process: a stand-in for ssh, which plays its part in the log ---- */

struct heard {
    unsigned login, sent, done, begun;
    struct session_result result;
    struct openssh *backend;
};

static void on_begun(void *user, uint64_t job)
{
    assert_int_equal(job, 7);
    ((struct heard *)user)->begun++;
}

static void on_login(void *user, uint64_t job)
{
    assert_int_equal(job, 7);
    ((struct heard *)user)->login++;
}

static void on_sent(void *user, uint64_t job)
{
    assert_int_equal(job, 7);
    ((struct heard *)user)->sent++;
}

static void on_data(void *user, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    (void)user, (void)job, (void)is_stderr, (void)p, (void)n;
}

static void on_done(void *user, uint64_t job, const struct session_result *result)
{
    struct heard *h = user;
    assert_int_equal(job, 7);
    h->done++;
    h->result = *result;
    openssh_close(h->backend);
}

static const struct pool_ops ops = {
    .authenticated = on_login, .sent = on_sent, .data = on_data, .done = on_done};

/* RC_OK and what was heard, or why it did not start. */
static enum rc play(const char *program, struct heard *h)
{
    uv_loop_t loop;
    struct err e = {0};
    struct openssh_target t = target();
    struct openssh_bounds bounds = {.connect_ms = 600000};
    memset(h, 0, sizeof *h);
    t.program = program;
    assert_int_equal(uv_loop_init(&loop), 0);
    enum rc rc = openssh_new(&h->backend, &loop, 1, &ops, on_begun, h, NULL, 0, &e);
    if (rc == RC_OK) {
        rc = openssh_start(h->backend, 7, &t, &bounds, &e);
        if (rc != RC_OK)
            openssh_close(h->backend);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return rc;
}

static void test_a_program_that_is_no_ssh(void **state)
{
    (void)state;
    struct heard h;
    size_t live = mem_live();
    assert_int_equal(play("/bin/false", &h), RC_OK);
    assert_int_equal(h.begun, 1);
    assert_int_equal(h.done, 1);
    assert_int_equal(h.sent + h.login, 0);
    assert_int_equal(h.result.outcome.problem, PROBLEM_CONNECT_FAILED);
    assert_int_equal(play("/bin/true", &h), RC_OK); /* exits 0: still no success */
    assert_int_equal(h.result.outcome.problem, PROBLEM_CONNECT_FAILED);
    assert_int_equal(play("/nonexistent/ssh", &h), RC_OK);
    assert_int_equal(h.done, 1);
    assert_int_equal(h.result.outcome.problem, PROBLEM_LOCAL_RESOURCE);
    assert_int_equal(mem_live(), live);
}

static void test_without_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    int fired = 1;
    for (long n = 0; fired; n++) {
        struct heard h;
        mem_fail_after(n);
        enum rc rc = play("/bin/false", &h);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        assert_int_equal(mem_live(), live);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_ssh_could_misread),
        cmocka_unit_test(test_a_program_that_is_no_ssh),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
