/* controller/run/wrap: what goes over the wire, and that real shells read it alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "controller/run/wrap.h"

static char *line_for(const char *command, const char *const *env, size_t n, const char *cwd)
{
    struct wrap_command w;
    struct buf out;
    struct err e = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(wrap_init(&w, command, env, n, cwd, false, &e), RC_OK);
    assert_int_equal(wrap_line(&w, "web'1", 3, 9, &out, &e), RC_OK);
    wrap_fini(&w);
    return buf_take(&out, NULL);
}

/* What `shell -c line` prints; NULL when there is no such shell here. */
static char *run_shell(const char *const *argv, const char *line)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        if (argv[1] != NULL)
            execlp(argv[0], argv[0], argv[1], "-c", line, (char *)NULL);
        else
            execlp(argv[0], argv[0], "-c", line, (char *)NULL);
        _exit(111);
    }
    close(fds[1]);
    static char got[65536];
    size_t len = 0;
    for (ssize_t n; (n = read(fds[0], got + len, sizeof got - 1 - len)) > 0;)
        len += (size_t)n;
    got[len] = '\0';
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 111 ? NULL : got;
}

static void test_every_shell_reads_it_alike(void **state)
{
    (void)state;
    static const char *const shells[][2] = {{"sh", NULL},  {"bash", NULL},    {"dash", NULL},
                                            {"zsh", NULL}, {"fish", NULL},    {"tcsh", NULL},
                                            {"ksh", NULL}, {"busybox", "ash"}};
    static const struct {
        const char *command, *want;
    } cases[] = {
        {"echo \"$MUSTER_HOST $MUSTER_RANK/$MUSTER_TOTAL\"", "web'1 3/9\n"},
        {"printf '%s|' 'a b' \"c!d\" '!x' '*' '\\\\' 'h\xc3\xa9' '$HOME' '`x`' '#'",
         "a b|c!d|!x|*|\\\\|h\xc3\xa9|$HOME|`x`|#|"},
        {"for i in 1 2\ndo\n  echo \"$i!\" 'x\\y'\ndone", "1! x\\y\n2! x\\y\n"},
        {"printf %s '\n\n'; echo end", "\n\nend\n"},
        {"cat <<'EOT'\n\\n $x '!'\nEOT\n", "\\n $x '!'\n"},
        {"# only a comment", ""},
    };
    unsigned ran = 0;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char *line = line_for(cases[c].command, NULL, 0, NULL);
        assert_null(strchr(line, '\n'));
        for (size_t s = 0; s < sizeof shells / sizeof shells[0]; s++) {
            const char *const argv[] = {shells[s][0], shells[s][1]};
            char *got = run_shell(argv, line);
            if (got == NULL)
                continue;
            ran++;
            if (strcmp(got, cases[c].want) != 0)
                fail_msg("%s, %s: got [%s]", shells[s][0], cases[c].command, got);
        }
        mem_free(line);
    }
    assert_true(ran >= sizeof cases / sizeof cases[0]);
}

static void test_words(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    const char *one[] = {"echo $HOME | wc"};
    assert_int_equal(wrap_words(one, 1, &b, NULL), RC_OK);
    assert_string_equal(buf_cstr(&b), "echo $HOME | wc");
    buf_reset(&b);
    const char *several[] = {"echo", "$HOME", "a b", "-x"};
    assert_int_equal(wrap_words(several, 4, &b, NULL), RC_OK);
    assert_string_equal(buf_cstr(&b), "echo '$HOME' 'a b' -x");
    const char *blank[] = {" \n"};
    assert_int_equal(wrap_words(blank, 1, &b, NULL), RC_USAGE);
    assert_int_equal(wrap_words(NULL, 0, &b, NULL), RC_USAGE);
    buf_fini(&b);
}

static void test_environment_and_directory(void **state)
{
    (void)state;
    const char *env[] = {"A=x y", "B_1='"};
    char *line = line_for("printf '%s|%s|' \"$A\" \"$B_1\"; pwd", env, 2, "/");
    const char *const sh[] = {"sh", NULL};
    assert_string_equal(run_shell(sh, line), "x y|'|/\n");
    mem_free(line);
    struct wrap_command w;
    const char *bad[] = {"1A=x"}, *none[] = {"A"}, *inject[] = {"A;rm=x"};
    assert_int_equal(wrap_init(&w, "x", bad, 1, NULL, false, NULL), RC_USAGE);
    assert_int_equal(wrap_init(&w, "x", none, 1, NULL, false, NULL), RC_USAGE);
    assert_int_equal(wrap_init(&w, "x", inject, 1, NULL, false, NULL), RC_USAGE);
    assert_int_equal(wrap_init(&w, "x", env, 2, NULL, true, NULL), RC_USAGE);
}

static void test_raw_is_untouched(void **state)
{
    (void)state;
    struct wrap_command w;
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(wrap_init(&w, "show version!\n", NULL, 0, NULL, true, NULL), RC_OK);
    assert_int_equal(wrap_line(&w, "h", 0, 1, &out, NULL), RC_OK);
    assert_string_equal(buf_cstr(&out), "show version!\n");
    buf_fini(&out);
    wrap_fini(&w);
}

static void test_script_line(void **state)
{
    (void)state;
    static const struct {
        const char *script, *interpreter;
    } cases[] = {{"echo hi\n", " /bin/sh \"$t\""},
                 {"#!/usr/bin/env python3\nprint(1)\n", " /usr/bin/env python3 \"$t\""},
                 {"#! /bin/bash -eu \r\nx", " /bin/bash -eu \"$t\""},
                 {"#!/usr/bin/env -S perl -w", " /usr/bin/env '-S perl -w' \"$t\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 4096);
        const char *args[] = {"a b"};
        assert_int_equal(wrap_script(cases[i].script, strlen(cases[i].script), args, 1, &b, NULL),
                         RC_OK);
        assert_non_null(strstr(buf_cstr(&b), cases[i].interpreter));
        assert_non_null(strstr(buf_cstr(&b), " 'a b' </dev/null"));
        buf_fini(&b);
    }
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(wrap_script("#!\n", 3, NULL, 0, &b, NULL), RC_USAGE);
    buf_fini(&b);
}

static void test_limits_and_memory(void **state)
{
    (void)state;
    size_t live = mem_live();
    char *big = mem_alloc(WRAP_MAX + 2);
    assert_non_null(big);
    memset(big, 'x', WRAP_MAX + 1);
    big[WRAP_MAX + 1] = '\0';
    struct wrap_command w;
    assert_int_equal(wrap_init(&w, big, NULL, 0, NULL, false, NULL), RC_LIMIT);
    mem_free(big);
    bool fired = true;
    for (long n = 0; fired; n++) {
        mem_fail_after(n);
        struct buf out;
        buf_init(&out, 1 << 20);
        const char *env[] = {"A=b"};
        enum rc rc = wrap_init(&w, "a\nb", env, 1, "/tmp", false, NULL);
        if (rc == RC_OK)
            rc = wrap_line(&w, "h", 0, 1, &out, NULL);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        buf_fini(&out);
        wrap_fini(&w);
    }
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shell_reads_it_alike),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_environment_and_directory),
        cmocka_unit_test(test_raw_is_untouched),
        cmocka_unit_test(test_script_line),
        cmocka_unit_test(test_limits_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
