/* From what a failed connection left behind to the problem's code and one line for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "controller/ssh/diagnose.h"

static void test_connect(void **state)
{
    (void)state;
    static const struct {
        int sys;
        bool v6;
        enum problem want;
    } cases[] = {
        {ECONNREFUSED, false, PROBLEM_CONNECT_REFUSED},
        {ETIMEDOUT, false, PROBLEM_CONNECT_TIMEOUT},
        {ECONNRESET, false, PROBLEM_CONNECTION_RESET},
        {EHOSTUNREACH, false, PROBLEM_CONNECT_FAILED},
        {ENETUNREACH, true, PROBLEM_CONNECT_FAILED},
        {EACCES, false, PROBLEM_CONNECT_FAILED},
        {EMFILE, false, PROBLEM_LOCAL_RESOURCE},
        {EADDRNOTAVAIL, false, PROBLEM_LOCAL_RESOURCE},
        {EADDRNOTAVAIL, true, PROBLEM_CONNECT_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char detail[DIAGNOSE_DETAIL];
        assert_int_equal(diagnose_connect(cases[i].sys, cases[i].v6, "10.0.0.7 port 22", detail),
                         cases[i].want);
        assert_non_null(strstr(detail, "10.0.0.7 port 22: "));
    }
}

/* Fed whole, and fed byte by byte: the same. */
static void feed(struct prelude *p, const char *text, size_t step)
{
    memset(p, 0, sizeof *p);
    for (size_t at = 0, len = strlen(text); at < len; at += step)
        prelude_feed(p, text + at, len - at < step ? len - at : step);
}

static void test_prelude(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int sys;
        const char *libssh;
        enum problem want;
        const char *detail;
    } cases[] = {
        {"", 0, "", PROBLEM_CONNECTION_RESET, "closed the connection"},
        {"", ECONNRESET, "", PROBLEM_CONNECTION_RESET, "reset"},
        {"Exceeded MaxStartups\r\n", 0, "", PROBLEM_THROTTLED, "Exceeded MaxStartups"},
        {"Welcome\r\nNot allowed at this time\r\n", 0, "", PROBLEM_THROTTLED, "Not allowed"},
        {"Not allowed at this time", 0, "", PROBLEM_THROTTLED, "Not allowed"},
        {"Not allowed at this time, or ever\n", 0, "", PROBLEM_NOT_SSH, "or ever"},
        {"HTTP/1.1 400 Bad\x1b[31m\r\nX: y\r\n", 0, "", PROBLEM_NOT_SSH, "400 Bad\\x1b[31m"},
        {"half a line", 0, "", PROBLEM_NOT_SSH, "half a line"},
        {"SSH-2.0-Open", 0, "", PROBLEM_CONNECTION_RESET, "the end of its banner"},
        {"hi\nSSH-2.0-Open", ECONNRESET, "", PROBLEM_CONNECTION_RESET, "reset"},
        {"SSH-\nExceeded MaxStartups\n", 0, "", PROBLEM_CONNECTION_RESET, NULL},
        {"", 0, "Receiving banner: too large banner", PROBLEM_NOT_SSH, "255"},
        {"\n\n\n", 0, "", PROBLEM_NOT_SSH, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step <= 64; step += 63) {
            struct prelude p;
            char detail[DIAGNOSE_DETAIL];
            feed(&p, cases[i].text, step);
            prelude_end(&p);
            enum problem got = diagnose_prelude(&p, cases[i].sys, cases[i].libssh, detail);
            if (got != cases[i].want ||
                (cases[i].detail != NULL && strstr(detail, cases[i].detail) == NULL))
                fail_msg("case %zu, step %zu: %s: %s", i, step, problem_name(got), detail);
        }
    }
}

static void test_prelude_is_bounded(void **state)
{
    (void)state;
    struct prelude p = {0};
    char line[1000];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100; i++)
        prelude_feed(&p, line, sizeof line);
    prelude_feed(&p, "\n", 1);
    assert_int_equal(strlen(p.first), sizeof p.line - 1);
    assert_int_equal(p.bytes, 100001);
}

static void test_death(void **state)
{
    (void)state;
    static const struct {
        enum phase phase;
        const char *text;
        bool restricted;
        enum problem want;
        enum phase want_phase;
        const char *detail;
    } cases[] = {
        {PHASE_KEX, "", false, PROBLEM_KEX_FAILED, PHASE_KEX, "broke the rules"},
        {PHASE_KEX, "Socket error: disconnected", false, PROBLEM_CONNECTION_RESET, PHASE_KEX,
         "the server closed the connection"},
        {PHASE_AUTH, "Socket error: Connection reset by peer", false, PROBLEM_CONNECTION_RESET,
         PHASE_AUTH, "broke: Connection reset by peer"},
        {PHASE_RUN, "Socket error: Connection timed out", false, PROBLEM_CONNECTION_LOST, PHASE_RUN,
         "timed out"},
        {PHASE_REQUEST, "", false, PROBLEM_CONNECTION_LOST, PHASE_REQUEST, "closed"},
        {PHASE_RUN, "Socket error: Resource temporarily unavailable", false,
         PROBLEM_CONNECTION_LOST, PHASE_RUN, "closed"},
        {PHASE_KEX,
         "kex error : no match for method kex algos: server [sntrup,dh1], client [curve25519]",
         false, PROBLEM_KEX_NO_MATCH, PHASE_KEX, "kex algos; the server offers sntrup,dh1"},
        {PHASE_KEX,
         "kex error : no match for method server host key algo: server [ssh-rsa], client [x]",
         false, PROBLEM_KEX_NO_MATCH, PHASE_KEX, "offers ssh-rsa"},
        {PHASE_KEX,
         "kex error : no match for method server host key algo: server [ssh-rsa], client [x]", true,
         PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY, "it offers ssh-rsa"},
        {PHASE_KEX, "kex error : no match for method mac algo client->server", true,
         PROBLEM_KEX_NO_MATCH, PHASE_KEX, NULL},
        {PHASE_KEX, "Received SSH_MSG_DISCONNECT: 3:no", false, PROBLEM_KEX_FAILED, PHASE_KEX,
         "disconnected: no (code 3)"},
        {PHASE_KEX, "Received SSH_MSG_DISCONNECT: 12:full", false, PROBLEM_THROTTLED, PHASE_KEX,
         "full"},
        {PHASE_AUTH, "Received SSH_MSG_DISCONNECT: 2:Too many authentication failures", false,
         PROBLEM_AUTH_DENIED, PHASE_AUTH, "Too many"},
        {PHASE_AUTH, "Received SSH_MSG_DISCONNECT: 14:", false, PROBLEM_AUTH_DENIED, PHASE_AUTH,
         NULL},
        {PHASE_AUTH, "Received SSH_MSG_DISCONNECT: 11:bye\x1b]0;x", false, PROBLEM_CONNECTION_RESET,
         PHASE_AUTH, "bye\\x1b]0;x"},
        {PHASE_RUN, "Received SSH_MSG_DISCONNECT: 12:x", false, PROBLEM_CONNECTION_LOST, PHASE_RUN,
         NULL},
        {PHASE_RUN, "Received SSH_MSG_DISCONNECT: 99999999999999999999:x", false,
         PROBLEM_CONNECTION_LOST, PHASE_RUN, NULL},
        {PHASE_KEX, "Invalid packet", false, PROBLEM_KEX_FAILED, PHASE_KEX, "Invalid packet"},
        {PHASE_OPEN, "HMAC error", false, PROBLEM_HOSTILE, PHASE_OPEN, "HMAC"},
        {PHASE_RUN, "HMAC error", false, PROBLEM_PROTOCOL_ERROR, PHASE_RUN, "HMAC"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char detail[DIAGNOSE_DETAIL];
        enum phase phase = cases[i].phase;
        enum problem got = diagnose_death(&phase, cases[i].text, cases[i].restricted, detail);
        if (got != cases[i].want || phase != cases[i].want_phase ||
            (cases[i].detail != NULL && strstr(detail, cases[i].detail) == NULL))
            fail_msg("case %zu: %s in %s: %s", i, problem_name(got), phase_name(phase), detail);
        assert_true(strlen(detail) < DIAGNOSE_DETAIL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_prelude),
        cmocka_unit_test(test_prelude_is_bounded),
        cmocka_unit_test(test_death),
    };
    return cmocka_run_group_tests_name("diagnose", tests, NULL, NULL);
}
