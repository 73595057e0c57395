/* agent/options: what the agent's command line and a forced command's environment mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/options.h"

#define NONCE "000102030405060708090a0b0c0d0e0f"
#define HEX64 "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"

#define WORDS(...) ((char *const[]){__VA_ARGS__, NULL})

static void good(struct options *o, char *const *argv, const char *original)
{
    struct err e = {0};
    if (options_read(o, argv, original, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void bad(char *const *argv, const char *original)
{
    struct options o;
    struct err e = {0};
    assert_int_equal(options_read(&o, argv, original, &e), RC_USAGE);
    assert_true(e.msg[0] != '\0');
}

static void serving(void **state)
{
    (void)state;
    struct options o;
    good(&o, WORDS("--nonce", NONCE), NULL);
    assert_int_equal(o.mode, MODE_SERVE);
    assert_int_equal(o.nonce[15], 15);
    assert_int_equal(o.allow, ALLOW_ALL);
    assert_int_equal(o.idle_ms, OPTIONS_IDLE_MS);
    assert_false(o.temporary);
    assert_null(o.expect);
    good(&o,
         WORDS("--temporary", "--allow", "stats", "--idle-ms", "0", "--expect", HEX64, "--nonce",
               NONCE),
         "muster-nonce=ff");
    assert_int_equal(o.allow, ALLOW_STATS);
    assert_int_equal(o.idle_ms, 0);
    assert_true(o.temporary);
    assert_string_equal(o.expect, HEX64);
    good(&o, WORDS("--nonce", NONCE, "--allow", "exec,stats"), NULL);
    assert_int_equal(o.allow, ALLOW_ALL);
}

static void a_forced_command_takes_the_first_nonce(void **state)
{
    (void)state;
    struct options o;
    good(&o, WORDS("--allow", "stats"),
         "exec /bin/sh -c 'x muster-nonce=" NONCE
         " muster-nonce=ffffffffffffffffffffffffffffffff'");
    assert_int_equal(o.nonce[1], 1);
    bad(WORDS("--allow", "stats"), NULL);
    bad(WORDS("--allow", "stats"), "uptime");
    bad(WORDS("--allow", "stats"), "muster-nonce=");
    bad(WORDS("--allow", "stats"), "muster-nonce=" NONCE "0");
    bad(WORDS("--allow", "stats"), "muster-nonce=zz");
}

static void words_that_are_wrong(void **state)
{
    (void)state;
    bad(WORDS("--nonce"), NULL);
    bad(WORDS("--nonce", "00"), NULL);
    bad(WORDS("--nonce", NONCE "00"), NULL);
    bad(WORDS("--nonce", "000102030405060708090A0B0C0D0E0F"), NULL);
    bad(WORDS("--nonce", NONCE, "--allow", ""), NULL);
    bad(WORDS("--nonce", NONCE, "--allow", "stats,"), NULL);
    bad(WORDS("--nonce", NONCE, "--allow", "root"), NULL);
    bad(WORDS("--nonce", NONCE, "--idle-ms", "soon"), NULL);
    bad(WORDS("--nonce", NONCE, "--idle-ms", "99999999999"), NULL);
    bad(WORDS("--nonce", NONCE, "--expect", "00"), NULL);
    bad(WORDS("--nonce", NONCE, "uptime"), NULL);
    bad(WORDS("--nonce", NONCE, "--verbose"), NULL);
}

static void other_modes(void **state)
{
    (void)state;
    struct options o;
    good(&o, WORDS("--version"), NULL);
    assert_int_equal(o.mode, MODE_VERSION);
    good(&o, WORDS("--digest"), NULL);
    assert_int_equal(o.mode, MODE_DIGEST);
    good(&o, WORDS("--place", "/a/b", "--from", "/a/c", "--expect", HEX64), NULL);
    assert_int_equal(o.mode, MODE_PLACE);
    assert_string_equal(o.place, "/a/b");
    assert_string_equal(o.from, "/a/c");
    bad(WORDS("--place", "/a/b", "--from", "/a/c"), NULL);
    bad(WORDS("--place", "/a/b", "--expect", HEX64), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serving),
        cmocka_unit_test(a_forced_command_takes_the_first_nonce),
        cmocka_unit_test(words_that_are_wrong),
        cmocka_unit_test(other_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
