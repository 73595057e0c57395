/* controller/secrets and what is a question for a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "controller/secrets/secrets.h"
#include "controller/ssh/session_int.h"

static uint32_t add(struct secrets *s, const char *text)
{
    uint32_t id = 0;
    assert_int_equal(secrets_add(s, text, strlen(text), &id, NULL), RC_OK);
    return id;
}

static void numbers(void **state)
{
    (void)state;
    size_t live = mem_live(), len = 0;
    struct secrets *s;
    char text[64];
    assert_int_equal(secrets_new(&s, NULL), RC_OK);
    uint32_t first = add(s, "one"), second = add(s, "two");
    assert_int_equal(first, 1);
    assert_int_equal(second, 2);
    assert_int_equal(add(s, "one"), first);
    for (int i = 0; i < 5000; i++) { /* past one block */
        snprintf(text, sizeof text, "a password of some length, number %d", i);
        assert_int_equal(add(s, text), 3 + i);
    }
    assert_string_equal(secrets_text(s, first, NULL), "one");
    assert_string_equal(secrets_text(s, 5002, &len), text);
    assert_int_equal(len, strlen(text));
    assert_int_equal(secrets_count(s), 5002);
    assert_null(secrets_text(s, 0, NULL));
    assert_null(secrets_text(s, 5003, NULL));
    assert_null(secrets_text(NULL, 1, NULL));
    assert_int_equal(secrets_count(NULL), 0);
    secrets_free(s);
    secrets_free(NULL);
    assert_int_equal(mem_live(), live);
}

static void what_is_none(void **state)
{
    (void)state;
    static char longest[SECRETS_MAX_TEXT + 1];
    struct secrets *s;
    uint32_t id = 77;
    memset(longest, 'x', sizeof longest);
    assert_int_equal(secrets_new(&s, NULL), RC_OK);
    assert_int_equal(secrets_add(s, "", 0, &id, NULL), RC_USAGE);
    assert_int_equal(secrets_add(s, "a\0b", 3, &id, NULL), RC_USAGE);
    assert_int_equal(secrets_add(s, longest, sizeof longest, &id, NULL), RC_LIMIT);
    assert_int_equal(id, 77);
    assert_int_equal(secrets_add(s, longest, sizeof longest - 1, &id, NULL), RC_OK);
    assert_int_equal(id, 1);
    secrets_free(s);
}

static void no_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    for (long n = 0;; n++) {
        struct secrets *s = NULL;
        uint32_t id;
        mem_fail_after(n);
        enum rc rc = secrets_new(&s, NULL);
        if (rc == RC_OK)
            rc = secrets_add(s, "password", 8, &id, NULL);
        mem_fail_after(-1);
        secrets_free(s);
        assert_int_equal(mem_live(), live);
        if (rc == RC_OK)
            break;
        assert_int_equal(rc, RC_NOMEM);
    }
}

static void questions(void **state)
{
    (void)state;
    static const struct {
        const char *prompt;
        bool echo, yes;
    } cases[] = {
        {"Password: ", false, true},
        {"password:", false, true},
        {"(root@web1) Password: ", false, true},
        {"root@web1's password: ", false, true},
        {"Passwort: ", false, true},
        {"Mot de passe : ", false, true},
        {"Contraseña: ", false, true},
        {"Пароль: ", false, true},
        {"Unix password: ", false, true},
        {"Password for newton@codebook: ", false, true}, /* words, not parts of words */
        {"Password: ", true, false},
        {"", false, false},
        {"Verification code: ", false, false},
        {"One-time password (OATH) for `root': ", false, false},
        {"Password or code: ", false, false},
        {"PIN: ", false, false},
        {"New password: ", false, false},
        {"(current) UNIX password: ", false, false},
        {"Current password: ", false, false},
        {"Retype new password: ", false, false},
        {"Your password has expired. Password: ", false, false},
        {"Passcode or option (1-3): ", false, false},
        {"Are you sure? ", false, false},
        {"Enter PASSCODE: ", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (session_asks_password(cases[i].prompt, cases[i].echo) != cases[i].yes)
            fail_msg("\"%s\": %d", cases[i].prompt, !cases[i].yes);
    char flood[4096];
    memset(flood, 'p', sizeof flood - 1);
    flood[sizeof flood - 1] = '\0';
    memcpy(flood, "password", 8);
    assert_false(session_asks_password(flood, false));
}

static void where_they_may_go(void **state)
{
    (void)state;
    assert_true(secrets_may_send(false));
    assert_false(secrets_may_send(true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),           cmocka_unit_test(what_is_none),
        cmocka_unit_test(no_memory),         cmocka_unit_test(questions),
        cmocka_unit_test(where_they_may_go),
    };
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
