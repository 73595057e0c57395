/* controller/worker/msg: every message there and back, cut, damaged, and out of range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/worker/msg.h"
#include "proto/wire.h"

enum { KINDS = 23 };

static struct session_spec sample_spec(void)
{
    struct session_spec s = {.kind = SESSION_SCAN,
                             .label = "web1",
                             .via_job = 77,
                             .via_host = "db1.inside",
                             .user = "root",
                             .keys = {3, 0},
                             .key_count = 2,
                             .hostkey_types = "ssh-ed25519",
                             .legacy = true,
                             .command = "exec /bin/sh -c 'true'",
                             .command_len = 22,
                             .use_stdin = true,
                             .connect_budget_ms = 10000,
                             .tcp_budget_ms = 5000,
                             .run_timeout_ms = 300000,
                             .silence_timeout_ms = 7};
    s.addr.in6.sin6_family = AF_INET6;
    s.addr.in6.sin6_port = htons(2222);
    s.addr.in6.sin6_scope_id = 4;
    s.addr.in6.sin6_addr = in6addr_loopback;
    return s;
}

static struct session_result sample_result(void)
{
    struct session_result r = {
        .timing = {1, 2, 3, 4, 5, 6, 7, 8, 9},
        .stdout_bytes = 10,
        .stderr_bytes = UINT64_MAX,
        .server_banner = "SSH-2.0-OpenSSH_9.2p1",
        .outcome = {.problem = PROBLEM_EXIT_NONZERO,
                    .phase = PHASE_RUN,
                    .exit_code = 255,
                    .sent = true,
                    .detail = "exit 255"},
    };
    return r;
}

static const struct msg_identity sample_agent = {.agent = true,
                                                 .blob = "blob",
                                                 .len = 4,
                                                 .label = "me (in the agent)"},
                                 sample_cert = {
                                     .base = 3, .blob = "blob2", .len = 5, .label = "id-cert.pub"};

static const struct session_command sample_command = {.text = "exec agent",
                                                      .len = 10,
                                                      .input = INPUT_DUPLEX,
                                                      .blob = 7,
                                                      .run_timeout_ms = 60000,
                                                      .silence_timeout_ms = 5000};

/* One message of each kind. */
static enum rc put_kind(struct buf *b, int kind)
{
    struct session_spec spec = sample_spec();
    struct session_result result = sample_result();
    switch (kind) {
    case 0: return msg_put_key(b, 3, "KEY TEXT", 8, "pass", "~/.ssh/id");
    case 1: return msg_put_key(b, 3, "KEY TEXT", 8, NULL, "~/.ssh/id");
    case 2: return msg_put_stdin(b, 0, "input", 5, true);
    case 3: return msg_put_start(b, 77, &spec);
    case 4:
        return msg_put_hostkey_answer(b, 77, HOSTKEY_REJECT, PROBLEM_HOST_KEY_UNKNOWN,
                                      "no key known");
    case 5: return msg_put_cancel(b, 77, PROBLEM_CANCELLED, true);
    case 6: return msg_put_empty(b, MSG_PAUSE, 0);
    case 7: return msg_put_trouble(b, RC_CRYPTO, "wrong passphrase");
    case 8: return msg_put_hostkey(b, 77, "ssh-ed25519", "\0\0\0\v", 4);
    case 9: return msg_put_data(b, 77, true, "oops\n", 5);
    case 10: return msg_put_done(b, 77, &result);
    case 11: return msg_put_identity(b, 4, &sample_agent);
    case 12: return msg_put_identity(b, 5, &sample_cert);
    case 13: return msg_put_sign(b, 77, 4, "a login", 7);
    case 14: return msg_put_signed(b, 77, SIGN_OK, "signature", 9, "");
    case 15: return msg_put_signed(b, 77, SIGN_REFUSED, NULL, 0, "the agent refused to sign");
    case 16: return msg_put_exec(b, 77, &sample_command);
    case 17: return msg_put_input(b, 77, "input", 5, true);
    case 18: return msg_put_taken(b, 77, 65536);
    case 19: return msg_put_ended(b, 77, &result);
    case 20:
        spec.kind = SESSION_WARM;
        spec.use_stdin = false;
        spec.input = INPUT_BLOB;
        spec.blob = 5;
        return msg_put_start(b, 77, &spec);
    case 21: return msg_put_calm(b, 50);
    default: return msg_put_empty(b, MSG_SENT, 77);
    }
}

/* Decodes by type and asserts what every decoder promises; RC_PROTO otherwise. */
static enum rc get_any(const struct frame *f)
{
    static struct msg_key key;
    static struct msg_start start;
    struct msg_hostkey_answer answer;
    struct msg_trouble trouble;
    struct msg_hostkey hostkey;
    struct session_result done;
    static struct msg_identity identity;
    struct msg_signed answered;
    struct msg_sign sign;
    struct session_command command;
    enum problem problem;
    const void *p;
    size_t n;
    unsigned ms;
    bool flag;
    enum rc rc;
    switch (f->type) {
    case MSG_KEY:
        rc = msg_get_key(f, &key, NULL);
        if (rc == RC_OK)
            assert_true(key.len <= MSG_MAX_KEY_TEXT && strlen(key.label) <= MSG_MAX_LABEL);
        return rc;
    case MSG_STDIN: return msg_get_stdin(f, &p, &n, &flag, NULL);
    case MSG_START:
        rc = msg_get_start(f, &start, NULL);
        if (rc == RC_OK) {
            int family = start.spec.addr.sa.sa_family;
            assert_true(start.spec.key_count <= SESSION_MAX_KEYS);
            assert_true(start.spec.command_len <= SESSION_MAX_COMMAND);
            assert_true(family == AF_INET || family == AF_INET6);
            assert_true(start.spec.run_timeout_ms <= MSG_MAX_MS);
        }
        return rc;
    case MSG_HOSTKEY_ANSWER: return msg_get_hostkey_answer(f, &answer, NULL);
    case MSG_CANCEL: return msg_get_cancel(f, &problem, &flag, NULL);
    case MSG_TROUBLE: return msg_get_trouble(f, &trouble, NULL);
    case MSG_HOSTKEY: return msg_get_hostkey(f, &hostkey, NULL);
    case MSG_DATA: return msg_get_data(f, &flag, &p, &n, NULL);
    case MSG_EXEC:
        rc = msg_get_exec(f, &command, NULL);
        if (rc == RC_OK)
            assert_true(command.len <= SESSION_MAX_COMMAND && command.input < INPUT_KIND_COUNT &&
                        command.blob < SESSION_MAX_BLOBS && command.run_timeout_ms <= MSG_MAX_MS);
        return rc;
    case MSG_INPUT: return msg_get_input(f, &p, &n, &flag, NULL);
    case MSG_TAKEN:
        rc = msg_get_taken(f, &n, NULL);
        if (rc == RC_OK)
            assert_in_range(n, 1, SESSION_MAX_INPUT);
        return rc;
    case MSG_CALM:
        rc = msg_get_calm(f, &ms, NULL);
        if (rc == RC_OK)
            assert_in_range(ms, 0, MSG_MAX_CALM_MS);
        return rc;
    case MSG_ENDED:
    case MSG_DONE:
        rc = msg_get_done(f, &done, NULL);
        if (rc == RC_OK) {
            assert_true(done.outcome.exit_code >= -1 && done.outcome.exit_code <= 255);
            assert_true((unsigned)done.outcome.problem < PROBLEM_COUNT);
            assert_true((unsigned)done.outcome.phase < PHASE_COUNT);
        }
        return rc;
    case MSG_IDENTITY:
        rc = msg_get_identity(f, &identity, NULL);
        if (rc == RC_OK)
            assert_true(identity.len > 0 && identity.base <= UINT16_MAX && f->id <= UINT16_MAX);
        return rc;
    case MSG_SIGN:
        rc = msg_get_sign(f, &sign, NULL);
        if (rc == RC_OK)
            assert_true(sign.len > 0 && sign.len <= MSG_MAX_SIGN_DATA && sign.key <= UINT16_MAX);
        return rc;
    case MSG_SIGNED:
        rc = msg_get_signed(f, &answered, NULL);
        if (rc == RC_OK)
            assert_int_equal(answered.len > 0, answered.answer == SIGN_OK);
        return rc;
    case MSG_PAUSE:
    case MSG_RESUME:
    case MSG_PING:
    case MSG_PONG:
    case MSG_SENT:
    case MSG_AUTHENTICATED: return msg_get_empty(f, NULL);
    default: return RC_PROTO;
    }
}

static struct frame parse(const struct buf *b)
{
    struct frame f;
    assert_int_equal(frame_parse(b->data, b->len, &f), (long)b->len);
    return f;
}

static void identities_and_signatures(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    static struct msg_identity i;
    assert_int_equal(put_kind(&b, 12), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(f.id, 5);
    assert_int_equal(msg_get_identity(&f, &i, NULL), RC_OK);
    assert_false(i.agent);
    assert_int_equal(i.base, 3);
    assert_int_equal(i.len, 5);
    assert_memory_equal(i.blob, "blob2", 5);
    assert_string_equal(i.label, "id-cert.pub");
    f.id = UINT16_MAX + 1;
    assert_int_equal(msg_get_identity(&f, &i, NULL), RC_PROTO);
    buf_reset(&b);
    struct msg_sign s;
    assert_int_equal(put_kind(&b, 13), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_sign(&f, &s, NULL), RC_OK);
    assert_int_equal(s.key, 4);
    assert_int_equal(s.len, 7);
    buf_reset(&b);
    struct msg_signed a;
    assert_int_equal(put_kind(&b, 14), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_signed(&f, &a, NULL), RC_OK);
    assert_int_equal(a.answer, SIGN_OK);
    assert_memory_equal(a.sig, "signature", 9);
    buf_reset(&b);
    /* A signature without bytes, and a refusal with some, are lies. */
    assert_int_equal(msg_put_signed(&b, 77, SIGN_OK, NULL, 0, ""), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_signed(&f, &a, NULL), RC_PROTO);
    buf_reset(&b);
    assert_int_equal(msg_put_signed(&b, 77, SIGN_REFUSED, "x", 1, ""), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_signed(&f, &a, NULL), RC_PROTO);
    buf_reset(&b);
    static char large[MSG_MAX_SIGN_DATA + 1];
    assert_int_equal(msg_put_sign(&b, 1, 1, large, sizeof large), RC_LIMIT);
    assert_int_equal(msg_put_sign(&b, 1, 1, large, 0), RC_LIMIT);
    assert_int_equal(msg_put_sign(&b, 1, 1, large, sizeof large - 1), RC_OK);
    assert_int_equal(msg_put_signed(&b, 1, SIGN_OK, large, MSG_MAX_SIGNATURE + 1, ""), RC_LIMIT);
    buf_fini(&b);
}

static void key(void **state)
{
    (void)state;
    struct buf b;
    struct msg_key m;
    buf_init(&b, 4096);
    assert_int_equal(put_kind(&b, 0), RC_OK);
    assert_true(b.len <= MSG_KEY_ROOM(8));
    struct frame f = parse(&b);
    assert_int_equal(f.type, MSG_KEY);
    assert_int_equal(f.id, 3);
    assert_int_equal(msg_get_key(&f, &m, NULL), RC_OK);
    assert_int_equal(m.len, 8);
    assert_memory_equal(m.text, "KEY TEXT", 8);
    assert_true(m.has_passphrase);
    assert_string_equal(m.passphrase, "pass");
    assert_string_equal(m.label, "~/.ssh/id");
    msg_key_wipe(&m);
    assert_string_equal(m.passphrase, "");
    buf_reset(&b);
    assert_int_equal(put_kind(&b, 1), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_key(&f, &m, NULL), RC_OK);
    assert_false(m.has_passphrase);
    buf_fini(&b);
}

/* Not so long that a copy would be made behind the caller's back. */
static void key_fits_its_room(void **state)
{
    (void)state;
    struct buf b;
    char label[MSG_MAX_LABEL + 1], pass[MSG_MAX_PASSPHRASE + 1];
    memset(label, 'l', sizeof label);
    memset(pass, 'p', sizeof pass);
    label[MSG_MAX_LABEL] = pass[MSG_MAX_PASSPHRASE] = '\0';
    char *text = mem_calloc(1, MSG_MAX_KEY_TEXT + 1);
    buf_init(&b, MSG_KEY_ROOM(MSG_MAX_KEY_TEXT));
    assert_int_equal(msg_put_key(&b, 1, text, MSG_MAX_KEY_TEXT, pass, label), RC_OK);
    buf_reset(&b);
    assert_int_equal(msg_put_key(&b, 1, text, MSG_MAX_KEY_TEXT + 1, pass, label), RC_LIMIT);
    mem_free(text);
    buf_fini(&b);
}

static void start(void **state)
{
    (void)state;
    struct buf b;
    struct msg_start m;
    struct session_spec want = sample_spec();
    buf_init(&b, 4096);
    assert_int_equal(put_kind(&b, 3), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_start(&f, &m, NULL), RC_OK);
    assert_int_equal(m.spec.kind, SESSION_SCAN);
    assert_int_equal(m.spec.via_job, 77);
    assert_string_equal(m.spec.via_host, "db1.inside");
    assert_string_equal(m.spec.label, "web1");
    assert_string_equal(m.spec.user, "root");
    assert_memory_equal(&m.spec.addr.in6, &want.addr.in6, sizeof want.addr.in6);
    assert_int_equal(m.spec.key_count, 2);
    assert_int_equal(m.spec.keys[0], 3);
    assert_int_equal(m.spec.keys[1], 0);
    assert_string_equal(m.spec.hostkey_types, "ssh-ed25519");
    assert_true(m.spec.legacy && m.spec.use_stdin);
    assert_int_equal(m.spec.command_len, 22);
    assert_memory_equal(m.spec.command, want.command, 22);
    assert_int_equal(m.spec.connect_budget_ms, 10000);
    assert_int_equal(m.spec.tcp_budget_ms, 5000);
    assert_int_equal(m.spec.run_timeout_ms, 300000);
    assert_int_equal(m.spec.silence_timeout_ms, 7);
    buf_fini(&b);
}

static void start_ipv4(void **state)
{
    (void)state;
    struct buf b;
    struct msg_start m;
    struct session_spec s = sample_spec();
    memset(&s.addr, 0, sizeof s.addr);
    s.addr.in.sin_family = AF_INET;
    s.addr.in.sin_port = htons(22);
    s.addr.in.sin_addr.s_addr = htonl(0x7f000009);
    buf_init(&b, 4096);
    assert_int_equal(msg_put_start(&b, 1, &s), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_start(&f, &m, NULL), RC_OK);
    assert_memory_equal(&m.spec.addr.in, &s.addr.in, sizeof s.addr.in);
    buf_fini(&b);
}

static void start_is_bounded(void **state)
{
    (void)state;
    struct buf b;
    struct msg_start m;
    struct session_spec s = sample_spec();
    char *command = mem_calloc(1, SESSION_MAX_COMMAND + 1);
    buf_init(&b, SESSION_MAX_COMMAND + FRAME_HEADER + 4096);
    memset(command, 'x', SESSION_MAX_COMMAND + 1);
    s.command = command;
    s.command_len = SESSION_MAX_COMMAND;
    assert_int_equal(msg_put_start(&b, 1, &s), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_start(&f, &m, NULL), RC_OK);
    buf_reset(&b);
    s.command_len++;
    assert_int_equal(msg_put_start(&b, 1, &s), RC_LIMIT);
    s.command = "a\0b"; /* the wire knows no such command */
    s.command_len = 3;
    assert_int_equal(msg_put_start(&b, 1, &s), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_start(&f, &m, NULL), RC_PROTO);
    buf_reset(&b);
    s = sample_spec();
    s.run_timeout_ms = MSG_MAX_MS + 1;
    assert_int_equal(msg_put_start(&b, 1, &s), RC_LIMIT);
    assert_int_equal(b.len, 0);
    mem_free(command);
    buf_fini(&b);
}

static void answer_and_cancel(void **state)
{
    (void)state;
    struct buf b;
    struct msg_hostkey_answer m;
    enum problem problem;
    bool now;
    buf_init(&b, 4096);
    assert_int_equal(put_kind(&b, 4), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_hostkey_answer(&f, &m, NULL), RC_OK);
    assert_int_equal(m.answer, HOSTKEY_REJECT);
    assert_int_equal(m.problem, PROBLEM_HOST_KEY_UNKNOWN);
    assert_string_equal(m.detail, "no key known");
    buf_reset(&b);
    assert_int_equal(msg_put_hostkey_answer(&b, 1, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_hostkey_answer(&f, &m, NULL), RC_OK);
    assert_int_equal(m.answer, HOSTKEY_ACCEPT);
    buf_reset(&b);
    assert_int_equal(msg_put_hostkey_answer(&b, 1, HOSTKEY_REJECT, PROBLEM_NONE, NULL), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_hostkey_answer(&f, &m, NULL), RC_PROTO); /* a refusal has a reason */
    buf_reset(&b);
    assert_int_equal(put_kind(&b, 5), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_cancel(&f, &problem, &now, NULL), RC_OK);
    assert_int_equal(problem, PROBLEM_CANCELLED);
    assert_true(now);
    buf_fini(&b);
}

static void done(void **state)
{
    (void)state;
    struct buf b;
    struct session_result r, want = sample_result();
    buf_init(&b, 4096);
    assert_int_equal(put_kind(&b, 10), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_done(&f, &r, NULL), RC_OK);
    assert_int_equal(r.outcome.problem, PROBLEM_EXIT_NONZERO);
    assert_int_equal(r.outcome.phase, PHASE_RUN);
    assert_int_equal(r.outcome.exit_code, 255);
    assert_true(r.outcome.sent);
    assert_false(r.outcome.may_still_run);
    assert_string_equal(r.outcome.detail, "exit 255");
    assert_string_equal(r.server_banner, want.server_banner);
    assert_memory_equal(&r.timing, &want.timing, sizeof r.timing);
    assert_int_equal(r.stdout_bytes, 10);
    assert_true(r.stderr_bytes == UINT64_MAX);
    buf_fini(&b);
}

static enum rc done_rc(const struct session_result *r)
{
    struct buf b;
    struct session_result got;
    buf_init(&b, 4096);
    assert_int_equal(msg_put_done(&b, 1, r), RC_OK);
    struct frame f = parse(&b);
    enum rc rc = msg_get_done(&f, &got, NULL);
    buf_fini(&b);
    return rc;
}

static void done_must_hold_together(void **state)
{
    (void)state;
    struct session_result ok = sample_result(), r;
    ok.outcome.problem = PROBLEM_NONE;
    ok.outcome.exit_code = 0;
    assert_int_equal(done_rc(&ok), RC_OK);
    r = ok;
    r.outcome.exit_code = 1; /* ok with exit 1 */
    assert_int_equal(done_rc(&r), RC_PROTO);
    r = ok;
    r.outcome.sent = false; /* ok without a command */
    assert_int_equal(done_rc(&r), RC_PROTO);
    r = ok;
    r.outcome.may_still_run = true;
    assert_int_equal(done_rc(&r), RC_PROTO);
    r = ok;
    r.outcome.exit_code = 256;
    assert_int_equal(done_rc(&r), RC_PROTO);
    r = ok;
    r.outcome.problem = PROBLEM_EXIT_NONZERO; /* with exit 0 */
    assert_int_equal(done_rc(&r), RC_PROTO);
}

/* A worker that was taken over must not reach the terminal. */
static void text_is_escaped_again(void **state)
{
    (void)state;
    struct buf b;
    struct session_result r = sample_result(), got;
    strncpy(r.outcome.detail, "\x1b[2Jgone", sizeof r.outcome.detail - 1);
    strncpy(r.outcome.signal, "T\r", sizeof r.outcome.signal - 1);
    strncpy(r.server_banner, "SSH\n\xff", sizeof r.server_banner - 1);
    buf_init(&b, 4096);
    assert_int_equal(msg_put_done(&b, 1, &r), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_done(&f, &got, NULL), RC_OK);
    assert_string_equal(got.outcome.detail, "\\x1b[2Jgone");
    assert_string_equal(got.outcome.signal, "T\\x0d");
    assert_string_equal(got.server_banner, "SSH\\x0a\\xff");
    buf_fini(&b);
}

static void key_type_is_a_word(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a\nb", "a\x7f", "\xc3\xa9"};
    struct buf b;
    struct msg_hostkey m;
    buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buf_reset(&b);
        assert_int_equal(msg_put_hostkey(&b, 1, bad[i], "x", 1), RC_OK);
        struct frame f = parse(&b);
        assert_int_equal(msg_get_hostkey(&f, &m, NULL), RC_PROTO);
    }
    buf_reset(&b);
    assert_int_equal(put_kind(&b, 8), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_hostkey(&f, &m, NULL), RC_OK);
    assert_string_equal(m.key_type, "ssh-ed25519");
    assert_int_equal(m.len, 4);
    assert_int_equal(msg_put_hostkey(&b, 1, "a", "", 0), RC_LIMIT);
    buf_fini(&b);
}

static void raw_messages(void **state)
{
    (void)state;
    struct buf b;
    const void *p;
    size_t n;
    bool flag;
    buf_init(&b, 2 * MSG_STDIN_PART);
    assert_int_equal(put_kind(&b, 9), RC_OK);
    assert_int_equal(msg_more_data(&b, 0, "more", 4), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_data(&f, &flag, &p, &n, NULL), RC_OK);
    assert_true(flag);
    assert_int_equal(n, 9);
    assert_memory_equal(p, "oops\nmore", 9);
    char *large = mem_calloc(1, MSG_STDIN_PART + 1);
    assert_int_equal(msg_more_data(&b, 0, large, MSG_DATA_PART - 8), RC_LIMIT);
    assert_int_equal(msg_more_data(&b, 0, large, MSG_DATA_PART - 9), RC_OK);
    buf_reset(&b);
    assert_int_equal(msg_put_data(&b, 1, false, large, MSG_DATA_PART + 1), RC_LIMIT);
    assert_int_equal(msg_put_data(&b, 1, false, large, 0), RC_LIMIT);
    assert_int_equal(msg_put_stdin(&b, 0, large, MSG_STDIN_PART + 1, false), RC_LIMIT);
    assert_int_equal(msg_put_stdin(&b, 0, large, MSG_STDIN_PART, false), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_stdin(&f, &p, &n, &flag, NULL), RC_OK);
    assert_int_equal(n, MSG_STDIN_PART);
    assert_false(flag);
    mem_free(large);
    buf_fini(&b);
}

static void warm_messages(void **state)
{
    (void)state;
    struct buf b;
    static struct msg_start m;
    struct session_command c, bad = sample_command;
    struct session_spec spec = sample_spec();
    struct session_result r;
    const void *p;
    size_t n;
    bool last;
    static char large[SESSION_MAX_COMMAND + 1];
    buf_init(&b, 2 << 20);
    assert_int_equal(put_kind(&b, 16), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_exec(&f, &c, NULL), RC_OK);
    assert_int_equal(c.len, 10);
    assert_memory_equal(c.text, "exec agent", 10);
    assert_int_equal(c.input, INPUT_DUPLEX);
    assert_int_equal(c.blob, 7);
    assert_int_equal(c.run_timeout_ms, 60000);
    assert_int_equal(c.silence_timeout_ms, 5000);
    bad.blob = SESSION_MAX_BLOBS;
    assert_int_equal(msg_put_exec(&b, 1, &bad), RC_LIMIT);
    bad = sample_command;
    bad.text = large;
    bad.len = sizeof large;
    assert_int_equal(msg_put_exec(&b, 1, &bad), RC_LIMIT);
    bad.len = 4; /* all NUL */
    buf_reset(&b);
    assert_int_equal(msg_put_exec(&b, 1, &bad), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_exec(&f, &c, NULL), RC_PROTO);
    buf_reset(&b);
    assert_int_equal(put_kind(&b, 20), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_start(&f, &m, NULL), RC_OK);
    assert_int_equal(m.spec.kind, SESSION_WARM);
    assert_int_equal(m.spec.input, INPUT_BLOB);
    assert_int_equal(m.spec.blob, 5);
    spec.kind = SESSION_WARM; /* two inputs at once */
    buf_reset(&b);
    assert_int_equal(msg_put_start(&b, 1, &spec), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_start(&f, &m, NULL), RC_PROTO);
    buf_reset(&b);
    assert_int_equal(put_kind(&b, 17), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_input(&f, &p, &n, &last, NULL), RC_OK);
    assert_true(last && n == 5 && memcmp(p, "input", 5) == 0);
    assert_int_equal(msg_put_input(&b, 1, large, MSG_INPUT_PART + 1, false), RC_LIMIT);
    assert_int_equal(msg_put_input(&b, 1, large, 0, false), RC_LIMIT);
    assert_int_equal(msg_put_taken(&b, 1, 0), RC_LIMIT);
    assert_int_equal(msg_put_taken(&b, 1, SESSION_MAX_INPUT + 1), RC_LIMIT);
    buf_reset(&b);
    assert_int_equal(msg_put_taken(&b, 1, SESSION_MAX_INPUT), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_taken(&f, &n, NULL), RC_OK);
    assert_int_equal(n, SESSION_MAX_INPUT);
    buf_reset(&b);
    assert_int_equal(put_kind(&b, 19), RC_OK);
    f = parse(&b);
    assert_int_equal(f.type, MSG_ENDED);
    assert_int_equal(msg_get_done(&f, &r, NULL), RC_OK);
    assert_int_equal(r.outcome.exit_code, 255);
    buf_reset(&b);
    assert_int_equal(msg_put_stdin(&b, SESSION_MAX_BLOBS, "x", 1, true), RC_OK);
    f = parse(&b);
    assert_int_equal(msg_get_stdin(&f, &p, &n, &last, NULL), RC_PROTO);
    buf_fini(&b);
}

static void trouble(void **state)
{
    (void)state;
    struct buf b;
    struct msg_trouble m;
    buf_init(&b, 4096);
    assert_int_equal(put_kind(&b, 7), RC_OK);
    struct frame f = parse(&b);
    assert_int_equal(msg_get_trouble(&f, &m, NULL), RC_OK);
    assert_int_equal(m.rc, RC_CRYPTO);
    assert_string_equal(m.message, "wrong passphrase");
    buf_fini(&b);
}

static void unknown_fields_are_refused(void **state)
{
    (void)state;
    struct buf b;
    struct wire_out w;
    size_t mark;
    enum problem problem;
    bool now;
    buf_init(&b, 4096);
    assert_int_equal(frame_begin(&b, MSG_CANCEL, 1, &mark), RC_OK);
    wire_out_init(&w, &b);
    wire_put_map(&w, 3);
    wire_put_str(&w, "problem", "cancelled");
    wire_put_bool(&w, "now", true);
    wire_put_bool(&w, "later", true);
    assert_int_equal(frame_end(&b, mark), RC_OK);
    struct frame f = parse(&b);
    struct err e;
    assert_int_equal(msg_get_cancel(&f, &problem, &now, &e), RC_PROTO);
    assert_non_null(strstr(e.msg, "not known"));
    buf_fini(&b);
}

static void damage(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct buf b;
        buf_init(&b, 4096);
        assert_int_equal(put_kind(&b, kind), RC_OK);
        struct frame f = parse(&b);
        assert_int_equal(get_any(&f), RC_OK);
        for (uint32_t n = 0; n < f.length; n++) {
            struct frame cut = f;
            uint8_t *bytes = mem_memdup(f.payload, n);
            cut.payload = bytes;
            cut.length = n;
            enum rc rc = get_any(&cut);
            /* Raw messages may be of any length from two on. */
            assert_true(rc == RC_PROTO || f.type == MSG_DATA || f.type == MSG_STDIN ||
                        f.type == MSG_INPUT);
            mem_free(bytes);
        }
        for (size_t bit = 0; bit < f.length * 8UL; bit++) {
            struct frame bad = f;
            uint8_t *bytes = mem_memdup(f.payload, f.length);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            bad.payload = bytes;
            enum rc rc = get_any(&bad);
            assert_true(rc == RC_OK || rc == RC_PROTO);
            mem_free(bytes);
        }
        buf_fini(&b);
    }
}

static void no_memory_leaves_nothing(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (int kind = 0; kind < KINDS; kind++) {
        for (long n = 0;; n++) {
            struct buf b;
            buf_init(&b, 4096);
            mem_fail_after(n);
            enum rc rc = put_kind(&b, kind);
            int fired = mem_fail_fired();
            mem_fail_after(-1);
            assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
            if (rc != RC_OK)
                assert_int_equal(b.len, 0);
            buf_fini(&b);
            if (!fired)
                break;
        }
    }
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key),
        cmocka_unit_test(identities_and_signatures),
        cmocka_unit_test(key_fits_its_room),
        cmocka_unit_test(start),
        cmocka_unit_test(start_ipv4),
        cmocka_unit_test(start_is_bounded),
        cmocka_unit_test(answer_and_cancel),
        cmocka_unit_test(done),
        cmocka_unit_test(done_must_hold_together),
        cmocka_unit_test(text_is_escaped_again),
        cmocka_unit_test(key_type_is_a_word),
        cmocka_unit_test(raw_messages),
        cmocka_unit_test(warm_messages),
        cmocka_unit_test(trouble),
        cmocka_unit_test(unknown_fields_are_refused),
        cmocka_unit_test(damage),
        cmocka_unit_test(no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
