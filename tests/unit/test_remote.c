/* controller/remote: the machine against a host that does what a test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/remote_host.h"

static void start(struct host *h, const struct remote_spec *spec)
{
    host_init(h);
    struct err e = {0};
    assert_int_equal(remote_new(&h->r, spec, &host_ops, h, &e), RC_OK);
    assert_int_equal(remote_start(h->r, h->now, &e), RC_OK);
    assert_true(h->running);
}

static void start_plain(struct host *h)
{
    struct remote_spec s = host_spec();
    start(h, &s);
}

static void start_ready(struct host *h)
{
    start_plain(h);
    host_preamble(h, 'c');
    host_hello(h);
    assert_int_equal(h->readies, 1);
}

static void assert_failed(const struct host *h, enum problem p, enum phase ph)
{
    assert_true(h->failed);
    assert_string_equal(problem_name(h->failure.problem), problem_name(p));
    assert_string_equal(phase_name(h->failure.phase), phase_name(ph));
}

/* ---- delivery ------------------------------------------------------------------------------ */

static void test_cached_is_one_command(void **state)
{
    struct host h;
    struct frame f;
    (void)state;
    start_ready(&h);
    assert_int_equal(h.execs, 1);
    assert_int_equal(h.hello.version, 1);
    assert_int_equal(h.hello.pid, 77);
    assert_int_equal(h.hello.op_count, 2);
    assert_string_equal(h.hello.ops[1], "exec");
    assert_int_equal(h.hello.place, 'c');
    assert_false(h.hello.uploaded);
    assert_int_equal(h.hello.noise, 0);
    assert_true(host_sent(&h, 0, &f));
    assert_int_equal(f.type, AGENT_WELCOME);
    host_fini(&h);
}

static void test_upload_then_run(void **state)
{
    struct host h;
    char first[AGENT_NONCE_HEX + 1];
    (void)state;
    start_plain(&h);
    memcpy(first, h.nonce, sizeof first);
    host_report(&h, REPORT_OK);
    assert_int_equal(h.uploads, 1);
    assert_int_equal(h.blob, 0);
    assert_non_null(strstr(h.line, DIGEST_A));
    assert_string_not_equal(first, h.nonce);
    host_placed(&h, "ok");
    assert_int_equal(h.execs, 3);
    host_preamble(&h, 'c');
    host_hello(&h);
    assert_int_equal(h.readies, 1);
    assert_true(h.hello.uploaded);
    host_fini(&h);
}

static void test_the_blob_of_the_arch(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    host_report(&h,
                "os=Linux arch=aarch64 bits=32 uid=1 boot=x tool=1 at=v free=5000 refused=c:ro,");
    assert_int_equal(h.blob, 1);
    assert_non_null(strstr(h.line, DIGEST_B));
    host_fini(&h);
}

static void test_temporary_is_run_by_its_own_name(void **state)
{
    struct host h;
    struct remote_spec s = host_spec();
    char upload[AGENT_NONCE_HEX + 1];
    (void)state;
    s.mode = REMOTE_TEMPORARY;
    start(&h, &s);
    host_report(&h, REPORT_OK);
    memcpy(upload, h.nonce, sizeof upload);
    host_placed(&h, "ok");
    assert_non_null(strstr(h.line, upload));
    assert_non_null(strstr(h.line, "--temporary"));
    host_fini(&h);
}

static void test_what_a_report_means(void **state)
{
    static const struct {
        const char *report;
        enum problem problem;
    } cases[] = {
        {REPORT_NOWHERE("c:full,v:noexec,t:noexec,s:denied,r:none,"), PROBLEM_DISK_FULL},
        {REPORT_NOWHERE("c:quota,v:noexec,"), PROBLEM_DISK_FULL},
        {REPORT_NOWHERE("c:ro,v:ro,t:ro,s:none,"), PROBLEM_READ_ONLY_FS},
        {REPORT_NOWHERE("c:noexec,v:noexec,t:link,s:owner,"), PROBLEM_AGENT_NO_EXEC},
        {REPORT_NOWHERE("c:policy,v:noexec,"), PROBLEM_EXEC_DENIED},
        {REPORT_NOWHERE("c:mode,v:owner,t:link,"), PROBLEM_AGENT_NO_PLACE},
        {REPORT_NOWHERE("c:anything,"), PROBLEM_AGENT_NO_PLACE},
        {"os=Linux arch=armv7l bits=32 uid=0 boot= tool=1 at= free= refused=",
         PROBLEM_AGENT_NO_BINARY},
        {"os=FreeBSD arch=x86_64 bits=64 uid=0 boot= tool=1 at= free= refused=",
         PROBLEM_AGENT_NO_BINARY},
        {"os=Linux", PROBLEM_AGENT_PROTOCOL},
        {"os=Linux arch=x86_64 at=/etc", PROBLEM_AGENT_PROTOCOL},
        {"os=Linux arch=x86_64 at=c refused=zz", PROBLEM_AGENT_PROTOCOL},
        {"os=Linux arch=x86_64 at=c free=-1 refused=", PROBLEM_AGENT_PROTOCOL},
        {"os=Li\x1b[2Jnux arch=x86_64 at=c", PROBLEM_AGENT_PROTOCOL},
        {"words without sense", PROBLEM_AGENT_PROTOCOL},
        {"", PROBLEM_AGENT_PROTOCOL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host h;
        start_plain(&h);
        host_report(&h, cases[i].report);
        assert_failed(&h, cases[i].problem, PHASE_HELLO);
        assert_int_equal(h.execs, 1);
        host_fini(&h);
        struct remote_spec s = host_spec();
        s.fallback = true;
        start(&h, &s);
        host_report(&h, cases[i].report);
        if (cases[i].problem == PROBLEM_AGENT_PROTOCOL)
            assert_true(h.failed);
        else {
            assert_int_equal(h.readies, 1);
            assert_true(h.hello.fallback);
            assert_int_equal(h.hello.problem, cases[i].problem);
        }
        host_fini(&h);
    }
}

static void test_all_reasons_are_told(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    host_report(&h, REPORT_NOWHERE("c:full,v:noexec,r:none,"));
    assert_string_equal(h.failure.detail, "~/.cache: full; /var/tmp: mounted noexec; "
                                          "$XDG_RUNTIME_DIR: not there");
    host_fini(&h);
}

/* Whatever storing it says, a second place or a second try follows, and then an end. */
static void test_what_an_upload_says(void **state)
{
    static const struct {
        const char *first, *second;
        enum problem problem;
        bool refused; /* the next probe leaves that place out */
    } cases[] = {
        {"error=full", "error=full", PROBLEM_DISK_FULL, true},
        {"error=ro", "error=noexec", PROBLEM_READ_ONLY_FS, true},
        {"error=policy", "error=policy", PROBLEM_EXEC_DENIED, true},
        {"error=short", "error=short", PROBLEM_AGENT_UPLOAD, false},
        {"error=digest", "error=digest", PROBLEM_AGENT_DAMAGED, false},
        {"error=run exit=132", "error=run exit=132", PROBLEM_AGENT_UPLOAD, true},
        {"error=short", "error=arch", PROBLEM_AGENT_NO_BINARY, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host h;
        start_plain(&h);
        host_report(&h, REPORT_OK);
        host_placed(&h, cases[i].first);
        assert_int_equal(h.execs, 3);
        assert_true((strstr(h.line, "for k in v t s r;") != NULL) == cases[i].refused);
        host_report(&h, "os=Linux arch=x86_64 bits=64 uid=0 boot= tool=1 at=v free=9 refused=");
        assert_int_equal(h.uploads, 2);
        host_placed(&h, cases[i].second);
        assert_failed(&h, cases[i].problem, PHASE_HELLO);
        host_fini(&h);
    }
}

static void test_stored_and_never_found(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    for (int i = 0; i < 2; i++) {
        host_report(&h, REPORT_OK);
        host_placed(&h, "ok");
    }
    host_report(&h, REPORT_OK);
    assert_failed(&h, PROBLEM_AGENT_UPLOAD, PHASE_HELLO);
    host_fini(&h);
}

static void test_a_place_that_does_not_execute(void **state)
{
    struct host h;
    char text[100];
    (void)state;
    start_plain(&h);
    for (int i = 0; i < 4; i++) {
        assert_false(h.failed);
        snprintf(text, sizeof text, "muster-start %s at=%c\n", h.nonce, "cvts"[i]);
        host_text(&h, text);
        remote_output(h.r, h.now, true, "env: Permission denied\n", 23);
        host_ends(&h, PROBLEM_NONE, 126, NULL);
    }
    assert_failed(&h, PROBLEM_EXEC_DENIED, PHASE_HELLO);
    assert_string_equal(h.failure.detail, "/dev/shm: exit 126: env: Permission denied");
    host_fini(&h);
}

/* Where no tool of the host tells, the agent itself does: removed, and sent anew to the same place.
 */
static void test_a_damaged_one_is_replaced(void **state)
{
    struct host h;
    char text[100];
    (void)state;
    start_plain(&h);
    snprintf(text, sizeof text, "muster-start %s at=c\n", h.nonce);
    host_text(&h, text);
    host_ends(&h, PROBLEM_NONE, 4, NULL);
    assert_non_null(strstr(h.line, "if [ $k = c ]; then rm -f $a; continue; fi;"));
    assert_non_null(strstr(h.line, "for k in c v t s r;"));
    host_report(&h, REPORT_OK);
    assert_int_equal(h.uploads, 1);
    host_placed(&h, "ok");
    snprintf(text, sizeof text, "muster-start %s at=c\n", h.nonce);
    host_text(&h, text);
    host_ends(&h, PROBLEM_NONE, 4, NULL);
    assert_null(strstr(h.line, "for k in c v t s r;"));
    host_fini(&h);
}

static void test_login_shells_that_are_none(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    host_text(&h, "This account is currently not available.\n");
    host_ends(&h, PROBLEM_NONE, 1, NULL);
    assert_failed(&h, PROBLEM_NO_SHELL, PHASE_HELLO);
    assert_non_null(strstr(h.failure.detail, "This account is"));
    host_fini(&h);
    start_plain(&h);
    remote_output(h.r, h.now, true, "rbash: exec: restricted\n", 24);
    host_ends(&h, PROBLEM_NONE, 127, NULL);
    assert_failed(&h, PROBLEM_NO_SHELL, PHASE_HELLO);
    assert_string_equal(h.failure.detail, "exit 127: rbash: exec: restricted");
    host_fini(&h);
}

static void test_the_transport_speaks_for_itself(void **state)
{
    (void)state;
    for (int at = 0; at < 4; at++) {
        struct host h;
        start_plain(&h);
        if (at == 1)
            host_report(&h, REPORT_OK);
        if (at >= 2)
            host_preamble(&h, 'c');
        if (at >= 3) {
            host_hello(&h);
            assert_int_equal(host_request(&h, "stats"), 1);
        }
        host_ends(&h, PROBLEM_CONNECTION_LOST, -1, NULL);
        assert_failed(&h, PROBLEM_CONNECTION_LOST, PHASE_RUN);
        assert_int_equal(h.ends, at == 3);
        if (at == 3) {
            assert_int_equal(h.last_end.status, REMOTE_LOST);
            assert_int_equal(h.last_end.problem, PROBLEM_CONNECTION_LOST);
        }
        host_fini(&h);
    }
}

/* Inside its quotes no byte that any login shell reads as anything else, whatever the mode. */
static void test_lines_for_every_shell(void **state)
{
    static const char *const dirs[] = {"/opt/my place", "/srv/%m=@,+-_.x"};
    static const char *const bad[] = {"relative", "",    "/a'b",  "/a$b",
                                      "/a\\b",    "/a!", "/a\nb", "/ü"};
    struct err e = {0};
    struct remote *r;
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        struct host h;
        struct remote_spec s = host_spec();
        s.mode = (enum remote_mode)mode;
        s.dirs = dirs;
        s.dir_count = 2;
        start(&h, &s);
        assert_true(strlen(h.line) < 12000);
        assert_memory_equal(h.line, "exec /bin/sh -c '", 17);
        assert_null(strpbrk(h.line, "\\!\n"));
        unsigned quotes = 0;
        for (const char *c = h.line; *c != '\0'; c++)
            quotes += *c == '\'';
        assert_int_equal(quotes, 4);
        host_fini(&h);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct remote_spec s = host_spec();
        s.dirs = &bad[i];
        s.dir_count = 1;
        assert_int_equal(remote_new(&r, &s, &host_ops, NULL, &e), RC_USAGE);
        assert_true(e.msg[0] != '\0');
    }
}

/* ---- noise --------------------------------------------------------------------------------- */

static void test_noise_is_skipped_and_told(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    host_text(&h, "Welcome!\x1b[2J\n");
    host_preamble(&h, 'c');
    host_hello(&h);
    assert_int_equal(h.readies, 1);
    assert_int_equal(h.hello.noise, 13);
    assert_string_equal(h.hello.noise_text, "Welcome!\\x1b[2J\\x0a");
    host_fini(&h);
}

static void test_noise_has_a_bound(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct host h;
        start_plain(&h);
        for (int i = 0; i < 64; i++) {
            char k[1024];
            memset(k, 'x', sizeof k);
            host_out(&h, k, sizeof k);
        }
        assert_true(remote_memory(h.r) < 160 * 1024);
        if (more)
            host_text(&h, "one more line than fits, before what is waited for");
        if (!h.failed) {
            host_preamble(&h, '\0');
            host_hello(&h);
        }
        assert_int_equal(h.readies, !more);
        if (more)
            assert_failed(&h, PROBLEM_START_UP_NOISE, PHASE_HELLO);
        else
            assert_true(remote_memory(h.r) < 4096);
        host_fini(&h);
    }
}

static void test_a_background_job_holds_the_channel(void **state)
{
    struct host h;
    char text[300];
    (void)state;
    start_plain(&h);
    snprintf(text, sizeof text, "muster-probe %s " REPORT_OK "\n", h.nonce);
    host_text(&h, text);
    assert_int_equal(remote_wake_at(h.r), h.now + REMOTE_SETTLE_MS);
    h.now = remote_wake_at(h.r);
    remote_tick(h.r, h.now);
    assert_true(h.hung);
    host_ends(&h, PROBLEM_NO_EXIT_STATUS, -1, NULL);
    assert_int_equal(h.uploads, 1);
    host_fini(&h);
}

static void test_hello_has_a_bound(void **state)
{
    (void)state;
    for (int at = 0; at < 2; at++) {
        struct host h;
        start_plain(&h);
        host_text(&h, "loud\n");
        if (at == 1)
            host_preamble(&h, 'c');
        assert_int_equal(remote_wake_at(h.r), 1000 + REMOTE_HELLO_MS);
        remote_tick(h.r, h.now + REMOTE_HELLO_MS - 1);
        assert_false(h.failed);
        remote_tick(h.r, h.now + REMOTE_HELLO_MS);
        assert_failed(&h, PROBLEM_HELLO_TIMEOUT, PHASE_HELLO);
        assert_true(h.hung);
        assert_true((strstr(h.failure.detail, "loud") != NULL) == (at == 0));
        host_fini(&h);
    }
}

/* Nobody reads what it says meanwhile. */
static void test_a_pause_is_not_their_silence(void **state)
{
    (void)state;
    for (int at = 0; at < 3; at++) {
        struct host h;
        start_plain(&h);
        if (at == 1)
            host_preamble(&h, 'c');
        if (at == 2)
            host_report(&h, REPORT_OK); /* the upload has begun */
        uint64_t end = remote_wake_at(h.r);
        remote_pause(h.r, h.now, true);
        assert_int_equal(remote_wake_at(h.r), UINT64_MAX);
        h.now += 3600 * 1000;
        remote_tick(h.r, h.now);
        assert_false(h.failed);
        remote_pause(h.r, h.now, false);
        assert_int_equal(remote_wake_at(h.r), end + 3600 * 1000);
        remote_tick(h.r, end + 3600 * 1000);
        assert_failed(&h, PROBLEM_HELLO_TIMEOUT, PHASE_HELLO);
        host_fini(&h);
    }
}

static void test_an_upload_must_move(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    host_report(&h, REPORT_OK);
    for (int i = 0; i < 15; i++) {
        h.now += REMOTE_STALL_MS - 1;
        remote_taken(h.r, h.now, 10);
        remote_tick(h.r, h.now);
        assert_false(h.failed);
    }
    h.now += REMOTE_STALL_MS;
    remote_tick(h.r, h.now);
    assert_failed(&h, PROBLEM_HELLO_TIMEOUT, PHASE_HELLO);
    host_fini(&h);
    start_plain(&h);
    host_report(&h, REPORT_OK);
    uint64_t begun = h.now;
    while (!h.failed && h.now < begun + 2 * REMOTE_UPLOAD_MS) { /* a byte now and then */
        h.now += REMOTE_STALL_MS - 1;
        remote_taken(h.r, h.now, 1);
        remote_tick(h.r, h.now);
    }
    assert_true(h.failed);
    host_fini(&h);
}

/* ---- conversation -------------------------------------------------------------------------- */

static void test_a_forced_command_answers_at_once(void **state)
{
    struct host h;
    struct buf b;
    (void)state;
    start_plain(&h);
    host_preamble(&h, '\0');
    hello_map(&b, 1, 4, DIGEST_B);
    b.data[b.len - 1] ^= 0;
    host_frame(&h, AGENT_HELLO, 0, b.data, b.len);
    buf_fini(&b);
    assert_int_equal(h.readies, 1);
    assert_int_equal(h.hello.place, '\0');
    assert_int_equal(h.hello.version, 1);
    host_fini(&h);
}

static void test_hellos_that_are_refused(void **state)
{
    static const struct {
        unsigned low, high;
        const char *digest;
        enum problem problem;
    } cases[] = {
        {2, 3, DIGEST_A, PROBLEM_AGENT_VERSION},
        {3, 2, DIGEST_A, PROBLEM_AGENT_PROTOCOL},
        {0, 1, DIGEST_A, PROBLEM_AGENT_PROTOCOL},
        {1, 1, "cafe", PROBLEM_AGENT_DAMAGED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host h;
        struct buf b;
        start_plain(&h);
        host_preamble(&h, 'c');
        hello_map(&b, cases[i].low, cases[i].high, cases[i].digest);
        host_frame(&h, AGENT_HELLO, 0, b.data, b.len);
        buf_fini(&b);
        assert_failed(&h, cases[i].problem, PHASE_HELLO);
        host_fini(&h);
    }
}

static void test_another_nonce(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    h.nonce[0] = h.nonce[0] == '0' ? '1' : '0';
    host_preamble(&h, '\0');
    assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_HELLO);
    host_fini(&h);
}

static void test_a_request_and_its_answers(void **state)
{
    struct host h;
    struct frame f;
    (void)state;
    start_ready(&h);
    assert_int_equal(host_request(&h, "exec"), 1);
    assert_true(host_was_sent(&h, AGENT_REQUEST, &f));
    assert_true(f.id == h.last_id && f.id != 0);
    host_frame(&h, AGENT_REPLY, h.last_id, "\x80", 1);
    host_frame(&h, AGENT_DATA, h.last_id, "\1abc", 4);
    host_end_frame(&h, h.last_id, "failed", "exit-nonzero", "exit\n3");
    assert_int_equal(h.replies, 1);
    assert_int_equal(h.data_bytes, 3);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.last_end.status, REMOTE_FAILED);
    assert_int_equal(h.last_end.problem, PROBLEM_EXIT_NONZERO);
    assert_string_equal(h.last_end.detail, "exit\\x0a3");
    assert_false(h.failed);
    host_fini(&h);
}

/* Everything an agent may not say, when one request lives. */
static void test_what_an_agent_may_not_say(void **state)
{
    static const uint8_t no_magic[16] = {0, 0, 0, 0, AGENT_PONG, 0, 0, 0};
    static const struct {
        uint8_t type;
        uint64_t id; /* 0: of the living request */
        const char *payload;
        size_t n;
    } cases[] = {
        {AGENT_HELLO, 0, "\x80", 1},
        {AGENT_REPLY, 999, "\x80", 1},
        {AGENT_REPLY, 0, "", 0},
        {AGENT_REPLY, 0, "\x90", 1},
        {AGENT_REPLY, 0, "\xdd\xff\xff\xff\xff", 5},
        {AGENT_REPLY, 0, "\x80\x80", 2},
        {AGENT_DATA, 999, "\1x", 2},
        {AGENT_DATA, 0, "\3x", 2},
        {AGENT_DATA, 0, "\1", 1},
        {AGENT_DATA, 0, "", 0},
        {AGENT_END, 999, "\x80", 1},
        {AGENT_END, 0, "\x80", 1},
        {AGENT_END, 0, "", 0},
        {AGENT_TAKEN, 0, "\0\0\0\1", 4},
        {AGENT_TAKEN, 999, "\0\0\0\1", 4},
        {AGENT_TAKEN, 0, "\0\0", 2},
        {AGENT_PONG, 1, "\x80", 1},
        {AGENT_PONG, 0, "", 0},
        {AGENT_PING, 1, "", 0},
        {AGENT_REQUEST, 1, "\x80", 1},
        {0, 0, "", 0},
        {255, 0, "", 0},
    };
    (void)state;
    for (size_t i = 0; i <= sizeof cases / sizeof cases[0]; i++) {
        struct host h;
        start_ready(&h);
        assert_int_equal(host_request(&h, "stats"), 1);
        if (i == sizeof cases / sizeof cases[0])
            host_out(&h, no_magic, sizeof no_magic);
        else
            host_frame(&h, cases[i].type, cases[i].id != 0 ? cases[i].id : h.last_id,
                       cases[i].payload, cases[i].n);
        assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN);
        assert_int_equal(h.ends, 1);
        assert_int_equal(h.last_end.status, REMOTE_LOST);
        assert_true(h.hung);
        host_fini(&h);
    }
}

static void test_an_end_must_be_of_the_tables(void **state)
{
    static const char *const cases[][2] = {{"fine", ""}, {"failed", "no-such-problem"}, {"", ""}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct host h;
        start_ready(&h);
        assert_int_equal(host_request(&h, "stats"), 1);
        host_end_frame(&h, h.last_id, cases[i][0], cases[i][1], "");
        assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN);
        host_fini(&h);
    }
}

static void test_credit(void **state)
{
    struct host h;
    struct frame f;
    static uint8_t part[50001];
    (void)state;
    start_ready(&h);
    h.keep = true;
    part[0] = 1;
    assert_int_equal(host_request(&h, "exec"), 1); /* a window of 100,000 */
    host_frame(&h, AGENT_DATA, h.last_id, part, 50001);
    host_frame(&h, AGENT_DATA, h.last_id, part, 50001);
    assert_int_equal(h.data_bytes, 100000);
    assert_false(host_was_sent(&h, AGENT_CREDIT, &f));
    remote_consumed(h.r, h.now, h.last_id, 10000);
    assert_false(host_was_sent(&h, AGENT_CREDIT, &f));
    remote_pause(h.r, h.now, true); /* what nobody reads is not to become more */
    remote_consumed(h.r, h.now, h.last_id, 20000);
    assert_false(host_was_sent(&h, AGENT_CREDIT, &f));
    remote_pause(h.r, h.now, false);
    assert_true(host_was_sent(&h, AGENT_CREDIT, &f));
    uint32_t n;
    assert_int_equal(agent_take_count(&f, &n), RC_OK);
    assert_int_equal(n, 30000);
    host_frame(&h, AGENT_DATA, h.last_id, part, 30001);
    assert_false(h.failed);
    host_frame(&h, AGENT_DATA, h.last_id, part, 2);
    assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN);
    host_fini(&h);
}

static void test_input_waits_for_room(void **state)
{
    struct host h;
    static uint8_t bytes[600000];
    size_t taken;
    (void)state;
    start_ready(&h);
    assert_int_equal(host_request(&h, "exec"), 1);
    remote_taken(h.r, h.now, h.sent.len);
    assert_int_equal(remote_input(h.r, h.now, h.last_id, bytes, sizeof bytes, true, &taken), RC_OK);
    assert_int_equal(taken, AGENT_INPUT_WINDOW);
    size_t before = h.sent.len;
    assert_int_equal(remote_input(h.r, h.now, h.last_id, bytes, 10, true, &taken), RC_OK);
    assert_int_equal(taken, 0);
    assert_int_equal(h.sent.len, before);
    remote_taken(h.r, h.now, before);
    assert_int_equal(h.rooms, 0); /* left us, not taken there */
    host_frame(&h, AGENT_TAKEN, h.last_id, "\0\2\0\0", 4);
    assert_int_equal(h.rooms, 1);
    assert_int_equal(remote_input(h.r, h.now, h.last_id, bytes, 10, true, &taken), RC_OK);
    assert_int_equal(taken, 10);
    assert_int_equal(remote_input(h.r, h.now, h.last_id, bytes, 10, true, &taken), RC_OK);
    assert_int_equal(taken, 10); /* after the last nothing goes */
    assert_int_equal(remote_input(h.r, h.now, 4242, bytes, 10, true, &taken), RC_OK);
    assert_int_equal(taken, 10);
    host_fini(&h);
}

static void test_silence_is_known_in_three_intervals(void **state)
{
    struct host h;
    (void)state;
    start_ready(&h);
    assert_int_equal(host_request(&h, "stats"), 1);
    uint64_t heard = h.now;
    unsigned pings = 0;
    for (int i = 1; i <= 4; i++) { /* it answers four pings */
        h.now = remote_wake_at(h.r);
        assert_int_equal(h.now, heard + REMOTE_PING_MS);
        remote_tick(h.r, h.now);
        host_pong(&h, ++pings);
        heard = h.now;
    }
    while (!h.failed) {
        h.now = remote_wake_at(h.r);
        assert_true(h.now <= heard + 3 * REMOTE_PING_MS);
        remote_tick(h.r, h.now);
    }
    assert_failed(&h, PROBLEM_AGENT_SILENT, PHASE_RUN);
    assert_int_equal(h.now, heard + 3 * REMOTE_PING_MS);
    assert_int_equal(h.last_end.status, REMOTE_LOST);
    host_fini(&h);
}

static void test_our_own_sleep_is_not_their_silence(void **state)
{
    struct host h;
    (void)state;
    start_ready(&h);
    h.now += 3600 * 1000; /* this process was stopped; the answer waits in the socket */
    remote_tick(h.r, h.now);
    assert_false(h.failed);
    host_pong(&h, 1);
    assert_false(h.failed);
    remote_pause(h.r, h.now, true); /* standard output is not read */
    for (int i = 0; i < 40; i++) {
        h.now = remote_wake_at(h.r);
        remote_tick(h.r, h.now);
    }
    remote_pause(h.r, h.now, false);
    assert_false(h.failed);
    host_fini(&h);
}

static void test_an_agent_that_died_is_started_once_more(void **state)
{
    struct host h;
    (void)state;
    start_ready(&h);
    assert_int_equal(host_request(&h, "exec"), 1);
    h.ask_in_end = true; /* nobody to ask: refused, not kept */
    remote_output(h.r, h.now, true, "last\nwords\n", 11);
    host_ends(&h, PROBLEM_NONE, 0, "KILL");
    assert_false(h.failed);
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.last_end.problem, PROBLEM_AGENT_DIED);
    assert_string_equal(h.last_end.detail, "killed by KILL: last\\x0awords");
    assert_int_equal(h.execs, 2);
    host_preamble(&h, 'c');
    host_hello(&h);
    assert_int_equal(h.readies, 2);
    host_ends(&h, PROBLEM_NONE, 3, NULL);
    assert_failed(&h, PROBLEM_AGENT_DIED, PHASE_RUN);
    host_fini(&h);
}

static void test_one_that_lived_long_may_die_again(void **state)
{
    struct host h;
    unsigned ping = 0;
    (void)state;
    start_ready(&h);
    for (int again = 0; again < 3; again++) {
        uint64_t until = h.now + REMOTE_LIVED_MS;
        while (h.now < until) {
            h.now = remote_wake_at(h.r);
            remote_tick(h.r, h.now);
            host_pong(&h, ++ping);
        }
        host_ends(&h, PROBLEM_NONE, 0, "KILL");
        assert_false(h.failed);
        host_preamble(&h, 'c');
        host_hello(&h);
    }
    assert_int_equal(h.readies, 4);
    host_fini(&h);
}

static void test_cancel_has_an_end(void **state)
{
    struct host h;
    struct frame f;
    (void)state;
    start_ready(&h);
    assert_int_equal(host_request(&h, "exec"), 1);
    remote_cancel(h.r, h.now, h.last_id, 5000);
    remote_cancel(h.r, h.now, h.last_id, 5000);
    assert_true(host_was_sent(&h, AGENT_CANCEL, &f));
    host_end_frame(&h, h.last_id, "cancelled", "", "");
    assert_int_equal(h.last_end.status, REMOTE_REQUEST_CANCELLED);
    assert_int_equal(host_request(&h, "exec"), 1);
    remote_cancel(h.r, h.now, h.last_id, 5000);
    uint64_t by = h.now + 5000 + REMOTE_CANCEL_MS;
    unsigned ping = 0;
    while (!h.failed) { /* it answers pings and does not end */
        h.now = remote_wake_at(h.r);
        remote_tick(h.r, h.now);
        if (!h.failed)
            host_pong(&h, ++ping);
    }
    assert_int_equal(h.now, by);
    assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN);
    host_fini(&h);
}

/* An agent that answers pings and not what it was asked: each word begins the bound anew, and while
 * nobody reads it stands still. */
static void test_a_request_has_a_bound(void **state)
{
    struct host h;
    (void)state;
    start_ready(&h);
    assert_int_equal(host_request(&h, "stats"), 1);
    remote_bound(h.r, h.now, h.last_id, 0);
    remote_bound(h.r, h.now, h.last_id + 1, 1); /* of nothing */
    remote_bound(h.r, h.now, h.last_id, 1000);
    h.now += 900;
    remote_bound(h.r, h.now, h.last_id, 100 * 1000);
    uint64_t by = h.now + 100 * 1000;
    remote_pause(h.r, h.now, true);
    h.now += 5000;
    remote_tick(h.r, h.now);
    remote_pause(h.r, h.now, false);
    by += 5000;
    unsigned ping = 0;
    while (!h.failed) {
        h.now = remote_wake_at(h.r);
        assert_true(h.now <= by);
        remote_tick(h.r, h.now);
        if (!h.failed)
            host_pong(&h, ++ping);
    }
    assert_int_equal(h.now, by);
    assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN);
    assert_int_equal(h.last_end.status, REMOTE_LOST);
    host_fini(&h);
}

/* ---- goodbye ------------------------------------------------------------------------------- */

/* In every state: one last word, within the bound, whether or not the host obeys. */
static void test_close_in_every_state(void **state)
{
    (void)state;
    for (int at = 0; at < 6; at++) {
        for (int obeys = 0; obeys < 2; obeys++) {
            struct host h;
            struct frame f;
            struct remote_spec s = host_spec();
            s.fallback = true;
            start(&h, &s);
            if (at == 1)
                host_report(&h, REPORT_OK);
            if (at == 2 || at == 3)
                host_preamble(&h, 'c');
            if (at == 3) {
                host_hello(&h);
                assert_int_equal(host_request(&h, "exec"), 1);
            }
            if (at == 4)
                host_report(&h, REPORT_NOWHERE("c:noexec,"));
            if (at == 5)
                host_report(&h, "gibberish");
            remote_close(h.r, h.now);
            remote_close(h.r, h.now);
            assert_int_equal(h.finals, at == 5);
            if (at == 3)
                assert_true(host_was_sent(&h, AGENT_BYE, &f));
            if (at < 3)
                assert_true(h.hung);
            if (obeys && h.running)
                host_ends(&h, PROBLEM_NONE, 0, NULL);
            while (h.finals == 0) {
                h.now = remote_wake_at(h.r);
                assert_true(h.now <= 1000 + REMOTE_BYE_MS);
                remote_tick(h.r, h.now);
            }
            assert_true(at == 5 ? h.failed : h.closed);
            assert_int_equal(h.ends, at == 3);
            assert_int_equal(remote_wake_at(h.r), UINT64_MAX);
            host_text(&h, "words after the last");
            remote_taken(h.r, h.now, 5);
            remote_tick(h.r, h.now + 1000000);
            assert_int_equal(host_request(&h, "stats"), 0);
            host_fini(&h);
        }
    }
}

static void test_close_from_a_callback(void **state)
{
    struct host h;
    (void)state;
    start_plain(&h);
    h.close_in_ready = true;
    host_preamble(&h, 'c');
    host_hello(&h);
    host_ends(&h, PROBLEM_NONE, 0, NULL);
    assert_true(h.closed);
    host_fini(&h);
    start_ready(&h); /* the agent dies, and whoever waited for it has had enough */
    h.close_in_end = true;
    assert_int_equal(host_request(&h, "exec"), 1);
    assert_int_equal(host_request(&h, "exec"), 1);
    host_ends(&h, PROBLEM_NONE, 0, "KILL");
    assert_int_equal(h.execs, 1);
    h.now = remote_wake_at(h.r);
    remote_tick(h.r, h.now);
    assert_true(h.closed);
    assert_int_equal(h.ends, 2);
    host_fini(&h);
}

/* ---- plain sh ------------------------------------------------------------------------------ */

/* A request for stats of the section host. */
static uint64_t ask_stats(struct host *h, uint64_t interval, uint64_t count, uint64_t window)
{
    struct buf b;
    struct wire_out w;
    uint64_t id = 0;
    buf_init(&b, 256);
    wire_out_init(&w, &b);
    wire_put_map(&w, 5);
    wire_put_str(&w, "op", "stats");
    wire_put_u64(&w, "interval_ms", interval);
    wire_put_u64(&w, "count", count);
    wire_put_u64(&w, "window", window);
    wire_add_key(&w, "sections");
    wire_add_array(&w, 1);
    wire_add_str(&w, "host");
    assert_int_equal(wire_out_end(&w), RC_OK);
    assert_int_equal(remote_request(h->r, h->now, b.data, b.len, &id), RC_OK);
    buf_fini(&b);
    h->live[h->live_count++] = h->last_id = id;
    return id;
}

static void start_fallback(struct host *h)
{
    struct remote_spec s = host_spec();
    s.fallback = true;
    start(h, &s);
    host_report(h, REPORT_NOWHERE("c:noexec,"));
    assert_int_equal(h->readies, 1);
    assert_int_equal(h->hello.problem, PROBLEM_AGENT_NO_EXEC);
    assert_string_equal(h->hello.detail, "~/.cache: mounted noexec");
}

static void test_plain_sh_brings_samples(void **state)
{
    struct host h;
    (void)state;
    start_fallback(&h);
    assert_int_equal(remote_wake_at(h.r), UINT64_MAX);
    ask_stats(&h, 5000, 3, 100000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(remote_wake_at(h.r), 1000 + i * 5000);
        h.now = remote_wake_at(h.r);
        remote_tick(h.r, h.now);
        assert_true(h.running);
        assert_int_equal(h.input, REMOTE_INPUT_NONE);
        h.now += 700;
        host_figures(&h);
        assert_int_equal(h.replies, i + 1);
    }
    assert_int_equal(h.ends, 1);
    assert_int_equal(h.last_end.status, REMOTE_OK);
    remote_close(h.r, h.now);
    remote_tick(h.r, h.now);
    assert_true(h.closed);
    host_fini(&h);
}

static void test_plain_sh_leaves_out_what_nobody_takes(void **state)
{
    struct host h;
    (void)state;
    start_fallback(&h);
    h.keep = true;
    uint64_t id = ask_stats(&h, 5000, 0, 300);
    for (int i = 0; i < 5; i++) {
        h.now = remote_wake_at(h.r);
        remote_tick(h.r, h.now);
        host_figures(&h);
    }
    assert_in_range(h.replies, 1, 2);
    unsigned before = h.replies;
    remote_cancel(h.r, h.now, id, 0);
    remote_tick(h.r, h.now);
    assert_int_equal(h.last_end.status, REMOTE_REQUEST_CANCELLED);
    assert_int_equal(h.replies, before);
    host_fini(&h);
}

static void test_plain_sh_can_only_that(void **state)
{
    struct host h;
    (void)state;
    start_fallback(&h);
    assert_int_equal(host_request(&h, "exec"), 1);
    remote_tick(h.r, h.now);
    assert_int_equal(h.last_end.status, REMOTE_UNSUPPORTED);
    assert_int_equal(host_request(&h, "stats"), 1); /* of no sections */
    remote_tick(h.r, h.now);
    assert_int_equal(h.last_end.status, REMOTE_REFUSED);
    ask_stats(&h, 0, 1, 100000);
    remote_tick(h.r, h.now);
    host_text(&h, "half of it");
    host_ends(&h, PROBLEM_NONE, 0, NULL);
    assert_int_equal(h.last_end.status, REMOTE_FAILED);
    assert_false(h.failed);
    ask_stats(&h, 0, 1, 100000);
    remote_tick(h.r, h.now);
    h.now = remote_wake_at(h.r);
    remote_tick(h.r, h.now);
    assert_failed(&h, PROBLEM_AGENT_SILENT, PHASE_RUN);
    assert_int_equal(h.last_end.status, REMOTE_LOST);
    host_fini(&h);
    start_fallback(&h);
    ask_stats(&h, 0, 1, 100000);
    remote_tick(h.r, h.now);
    static char flood[4096];
    memset(flood, 'x', sizeof flood);
    for (int i = 0; i < 200 && !h.failed; i++)
        host_out(&h, flood, sizeof flood);
    assert_failed(&h, PROBLEM_AGENT_PROTOCOL, PHASE_RUN);
    host_fini(&h);
}

static void test_never_asks_for_no_agent(void **state)
{
    struct host h;
    struct remote_spec s = host_spec();
    (void)state;
    s.mode = REMOTE_NEVER;
    start(&h, &s);
    assert_null(strstr(h.line, DIGEST_A));
    host_report(&h, "os=Linux arch=armv7l bits=32 uid=1 boot=b tool=0 at= free= refused=");
    assert_int_equal(h.readies, 1);
    assert_true(h.hello.fallback);
    assert_int_equal(h.hello.problem, PROBLEM_NONE);
    host_fini(&h);
}

/* ---- no memory ----------------------------------------------------------------------------- */

static bool a_life(struct host *h)
{
    struct remote_spec s = host_spec();
    s.fallback = true;
    size_t taken;
    host_init(h);
    if (remote_new(&h->r, &s, &host_ops, h, NULL) != RC_OK)
        return false;
    if (remote_start(h->r, h->now, NULL) != RC_OK)
        return false;
    host_text(h, "noise");
    if (h->running && !h->hung)
        host_report(h, REPORT_OK);
    if (h->running && !h->hung)
        host_placed(h, "ok");
    if (h->running && !h->hung) {
        host_text(h, "noise");
        host_preamble(h, 'c');
    }
    if (h->running && !h->hung)
        host_hello(h);
    if (h->readies == 1 && host_request(h, "exec") == 1) {
        (void)remote_input(h->r, h->now, h->last_id, "abc", 3, true, &taken);
        remote_cancel(h->r, h->now, h->last_id, 1);
        host_out(h, "\0\0\0", 3);
        host_out(h, "\4\xa2\0\x6d\x75\0\0\0\0\0\0\0\1\1abc", 17);
    }
    remote_close(h->r, h->now);
    if (h->finals == 0) {
        h->now += REMOTE_BYE_MS;
        remote_tick(h->r, h->now);
    }
    return h->finals == 1 && h->readies == 1;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    size_t live = mem_live();
    bool whole = false;
    for (long n = 0; !whole; n++) {
        static struct host h;
        mem_fail_after(n);
        bool ok = a_life(&h);
        whole = mem_fail_fired() == 0;
        mem_fail_after(-1);
        if (whole)
            assert_true(ok);
        if (h.r != NULL && h.execs > 0)
            assert_int_equal(h.finals, 1);
        host_fini(&h);
        assert_int_equal(mem_live(), live);
        assert_true(n < 1000);
    }
}

static void test_the_owner_may_have_no_memory(void **state)
{
    struct host h;
    struct remote_spec s = host_spec();
    (void)state;
    host_init(&h);
    assert_int_equal(remote_new(&h.r, &s, &host_ops, &h, NULL), RC_OK);
    h.exec_rc = RC_NOMEM;
    assert_int_equal(remote_start(h.r, h.now, NULL), RC_NOMEM);
    h.exec_rc = RC_OK;
    assert_int_equal(remote_start(h.r, h.now, NULL), RC_OK);
    h.exec_rc = RC_NOMEM;
    host_report(&h, REPORT_OK);
    assert_failed(&h, PROBLEM_LOCAL_RESOURCE, PHASE_HELLO);
    host_fini(&h);
    start_plain(&h);
    h.send_rc = RC_NOMEM;
    host_preamble(&h, 'c');
    host_hello(&h);
    assert_failed(&h, PROBLEM_LOCAL_RESOURCE, PHASE_HELLO);
    host_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cached_is_one_command),
        cmocka_unit_test(test_upload_then_run),
        cmocka_unit_test(test_the_blob_of_the_arch),
        cmocka_unit_test(test_temporary_is_run_by_its_own_name),
        cmocka_unit_test(test_what_a_report_means),
        cmocka_unit_test(test_all_reasons_are_told),
        cmocka_unit_test(test_what_an_upload_says),
        cmocka_unit_test(test_stored_and_never_found),
        cmocka_unit_test(test_a_place_that_does_not_execute),
        cmocka_unit_test(test_a_damaged_one_is_replaced),
        cmocka_unit_test(test_login_shells_that_are_none),
        cmocka_unit_test(test_the_transport_speaks_for_itself),
        cmocka_unit_test(test_lines_for_every_shell),
        cmocka_unit_test(test_noise_is_skipped_and_told),
        cmocka_unit_test(test_noise_has_a_bound),
        cmocka_unit_test(test_a_background_job_holds_the_channel),
        cmocka_unit_test(test_hello_has_a_bound),
        cmocka_unit_test(test_a_pause_is_not_their_silence),
        cmocka_unit_test(test_an_upload_must_move),
        cmocka_unit_test(test_a_forced_command_answers_at_once),
        cmocka_unit_test(test_hellos_that_are_refused),
        cmocka_unit_test(test_another_nonce),
        cmocka_unit_test(test_a_request_and_its_answers),
        cmocka_unit_test(test_what_an_agent_may_not_say),
        cmocka_unit_test(test_an_end_must_be_of_the_tables),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_input_waits_for_room),
        cmocka_unit_test(test_silence_is_known_in_three_intervals),
        cmocka_unit_test(test_our_own_sleep_is_not_their_silence),
        cmocka_unit_test(test_an_agent_that_died_is_started_once_more),
        cmocka_unit_test(test_one_that_lived_long_may_die_again),
        cmocka_unit_test(test_cancel_has_an_end),
        cmocka_unit_test(test_a_request_has_a_bound),
        cmocka_unit_test(test_close_in_every_state),
        cmocka_unit_test(test_close_from_a_callback),
        cmocka_unit_test(test_plain_sh_brings_samples),
        cmocka_unit_test(test_plain_sh_leaves_out_what_nobody_takes),
        cmocka_unit_test(test_plain_sh_can_only_that),
        cmocka_unit_test(test_never_asks_for_no_agent),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_the_owner_may_have_no_memory),
    };
    return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
