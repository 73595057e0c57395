/* Output for people: groups, lists, streams, tables, comparison, tally, the summary. */
#include "tests/unit/out_fixture.h"

static void the_example_of_the_manual(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 63, "web", 2);
    fix_name(&f, 61, "web77");
    fix_name(&f, 62, "db9");
    fix_open(&f);
    for (uint32_t i = 0; i < 60; i++)
        fix_ok(&f, i, i == 40 || i == 41 ? "Linux 5.10.0-21-amd64\n" : "Linux 6.1.0-28-amd64\n");
    for (uint32_t i = 60; i < 62; i++) {
        fix_errdata(&f, i, "cannot open /etc/foo\n");
        fix_done(&f, i, PROBLEM_EXIT_NONZERO, 3);
    }
    fix_done(&f, 62, PROBLEM_CONNECT_TIMEOUT, -1);
    fix_finish(&f);
    assert_out(&f, "web[01-40,43-60] (58)\n"
                   "  Linux 6.1.0-28-amd64\n"
                   "web[41-42] (2)\n"
                   "  Linux 5.10.0-21-amd64\n"
                   "web[61,77] (2) exit 3\n"
                   "! cannot open /etc/foo\n");
    assert_err(&f, "\n"
                   "failed        2  web61 web77          exit 3   cannot open /etc/foo\n"
                   "unreachable   1  db9                  connect-timeout after 10s\n"
                   "60 ok, 2 failed, 1 unreachable in 10.1s\n");
    assert_int_equal(output_exit_code(f.o, &f.end), 6);
    fix_fini(&f);
}

static void arrival_in_pieces_and_any_order_changes_nothing(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 3, "n", 1);
    fix_open(&f);
    fix_ok(&f, 2, "a\nb\n");
    fix_data(&f, 0, "a");
    fix_data(&f, 0, "\nb");
    fix_data(&f, 0, "\n");
    fix_done(&f, 0, PROBLEM_NONE, 0);
    fix_ok(&f, 1, "a\nb\n");
    fix_finish(&f);
    assert_out(&f, "n[1-3] (3)\n  a\n  b\n");
    assert_err(&f, "\n3 ok in 10.1s\n");
    fix_fini(&f);
}

static void no_output_says_only_the_totals(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 200, "n", 3);
    fix_open(&f);
    for (uint32_t i = 0; i < 200; i++)
        fix_ok(&f, i, "");
    fix_finish(&f);
    assert_out(&f, "");
    assert_err(&f, "200 ok in 10.1s\n");
    assert_int_equal(output_exit_code(f.o, &f.end), 0);
    fix_fini(&f);
}

static void silent_hosts_are_named_where_others_speak(void **state)
{
    (void)state;
    for (int quiet = 0; quiet < 2; quiet++) {
        struct fix f;
        fix_init(&f, 3, "n", 1);
        f.opts.quiet = quiet;
        fix_open(&f);
        fix_ok(&f, 0, "x\ny\n");
        fix_ok(&f, 1, "");
        fix_ok(&f, 2, "");
        fix_finish(&f);
        assert_out(&f,
                   quiet ? "n1 (1)\n  x\n  y\n" : "n[2-3] (2)\n  (no output)\nn1 (1)\n  x\n  y\n");
        assert_err(&f, quiet ? "" : "\n3 ok in 10.1s\n");
        fix_fini(&f);
    }
}

static void distinct_single_lines_are_a_list(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 6, "n", 1);
    fix_name(&f, 1, "longer-name");
    fix_open(&f);
    const char *const lines[] = {"up 1 day\n", "up 2 days", "up 3 days\n", "up 4 days\n"};
    for (uint32_t i = 0; i < 4; i++)
        fix_ok(&f, i, lines[i]);
    fix_ok(&f, 4, "two\nlines\n");
    fix_data(&f, 5, "bad\n");
    fix_done(&f, 5, PROBLEM_EXIT_NONZERO, 1);
    fix_finish(&f);
    assert_out(&f, "n1           up 1 day\n"
                   "longer-name  up 2 days\n"
                   "n3           up 3 days\n"
                   "n4           up 4 days\n"
                   "n5 (1)\n"
                   "  two\n"
                   "  lines\n"
                   "n6 (1) exit 1\n"
                   "  bad\n");
    fix_fini(&f);
}

static void a_long_list_is_cut_with_a_word_on_how_to_see_it(void **state)
{
    (void)state;
    for (int verbose = 0; verbose < 2; verbose++) {
        struct fix f;
        fix_init(&f, 5000, "n", 4);
        f.opts.verbose = verbose;
        fix_open(&f);
        for (uint32_t i = 0; i < 5000; i++) {
            char line[32];
            snprintf(line, sizeof line, "value %u\n", (unsigned)i);
            fix_ok(&f, i, line);
        }
        fix_finish(&f);
        size_t lines = 0;
        for (size_t i = 0; i < f.out.len; i++)
            lines += f.out.data[i] == '\n';
        assert_int_equal(lines, verbose ? 5000 : 201);
        const char *more = strstr(f.out.data, "\xe2\x80\xa6 4,800 more lines (-v or -o stream");
        assert_true(verbose ? more == NULL : more != NULL);
        assert_memory_equal(f.out.data, "n0001  value 0\nn0002  value 1\n", 30);
        fix_fini(&f);
    }
}

static void stderr_follows_stdout_and_is_marked(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 2, "n", 1);
    f.opts.color_out = f.opts.color_err = true;
    fix_open(&f);
    for (uint32_t i = 0; i < 2; i++) {
        fix_errdata(&f, i, "warn\r\n");
        fix_ok(&f, i, "out\r\n");
    }
    fix_finish(&f);
    assert_out(&f, "\033[1mn[1-2] (2)\033[0m\n  out\n\033[2m! warn\033[0m\n");
    assert_err(&f, "\n\033[32m2 ok\033[0m in 10.1s\n");
    fix_fini(&f);
}

static void a_terminal_gets_no_escapes_of_others(void **state)
{
    (void)state;
    static const enum output_mode modes[] = {OUTPUT_GROUP,  OUTPUT_STREAM, OUTPUT_JSON,
                                             OUTPUT_NDJSON, OUTPUT_CSV,    OUTPUT_TABLE};
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        for (int prefix = 0; prefix < 2; prefix++) {
            struct fix f;
            fix_init(&f, 4, "n", 1);
            f.opts.mode = modes[m];
            f.opts.no_prefix = prefix;
            f.out_sink.is_tty = f.err_sink.is_tty = true;
            f.opts.tally = "(.*)";
            f.opts.columns = "host,stdout,stderr,detail";
            fix_name(&f, 0, "ev\033[2Jil");
            fix_name(&f, 2,
                     "n\xff\xc2\x9b"
                     "3");
            fix_open(&f);
            for (uint32_t i = 0; i < 4; i++) {
                fix_data(&f, i,
                         "a\033]0;owned\007b\xc2\x9b"
                         "31m\xe2\x80\xae\n");
                fix_errdata(&f, i, "\033[31mred\xff\r\b\x7f\n");
                struct outcome oc;
                struct output_result r = fix_result(i, &oc, PROBLEM_EXIT_NONZERO, 1);
                snprintf(oc.detail, sizeof oc.detail, "see \033[5m");
                snprintf(oc.signal, sizeof oc.signal, "\033[1m");
                oc.may_still_run = true;
                output_result(f.o, &r);
            }
            f.run.retry_hint = "muster retry";
            fix_finish(&f);
            assert_null(strchr(capture_text(&f.out), '\033'));
            assert_null(strchr(capture_text(&f.err), '\033'));
            assert_null(strchr(capture_text(&f.out), '\007'));
            assert_null(strchr(capture_text(&f.out), '\x7f'));
            assert_null(strstr(capture_text(&f.out), "\xc2\x9b"));
            assert_null(strstr(capture_text(&f.err), "\xc2\x9b"));
            assert_null(strstr(capture_text(&f.out), "\xe2\x80\xae"));
            assert_true(f.out.len > 20);
            fix_fini(&f);
        }
    }
}

static void what_was_cut_is_said(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 2, "n", 1);
    f.opts.max_output = 1024 * 1024;
    fix_open(&f);
    char *block = malloc(1024 * 1024);
    memset(block, 'x', 1024 * 1024);
    for (size_t i = 63; i < 1024 * 1024; i += 64)
        block[i] = '\n';
    for (int i = 0; i < 300; i++)
        output_data(f.o, 0, false, block, 1024 * 1024);
    assert_true(output_memory(f.o) <= 1024 * 1024);
    fix_done(&f, 0, PROBLEM_NONE, 0);
    fix_ok(&f, 1, "short\n");
    fix_finish(&f);
    assert_non_null(strstr(f.out.data, "\n  \xe2\x80\xa6 299 MiB more not kept (--max-output)\n"));
    assert_true(f.out.len < 1200 * 1024);
    free(block);
    fix_fini(&f);
}

static void not_started_and_breaker_are_one_line_each(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 5000, "n", 4);
    f.run.retry_hint = "muster retry 20260131 --not-started";
    fix_open(&f);
    for (uint32_t i = 0; i < 5000; i++)
        fix_done(&f, i, i < 20 ? PROBLEM_AUTH_DENIED : PROBLEM_NOT_STARTED_BREAKER, -1);
    f.end.stopped = PROBLEM_NOT_STARTED_BREAKER;
    f.end.breaker_problem = PROBLEM_AUTH_DENIED;
    fix_finish(&f);
    assert_out(&f, "");
    assert_err(&f, "auth-failed    20  n[0001-0020]         auth-denied\n"
                   "not-started 4,980  n[0021-5000]         breaker\n"
                   "20 of 20 auth-denied, 4,980 not started; --no-breaker\n"
                   "hint: n[0001-0020]: login refused: -u NAME and --key FILE say as whom and "
                   "with what; --dry-run shows both\n"
                   "20 auth-failed, 4,980 not-started in 10.1s\n"
                   "retry with: muster retry 20260131 --not-started\n");
    assert_int_equal(output_exit_code(f.o, &f.end), 12);
    fix_fini(&f);
}

static void attempts_and_unknown_ends_are_noted(void **state)
{
    (void)state;
    struct fix f;
    struct outcome oc;
    fix_init(&f, 4, "n", 1);
    fix_open(&f);
    struct output_result r = fix_result(0, &oc, PROBLEM_CONNECT_REFUSED, -1);
    r.attempts = 3;
    snprintf(oc.detail, sizeof oc.detail, "127.0.0.1 port 22: Connection refused");
    output_result(f.o, &r);
    r = fix_result(1, &oc, PROBLEM_NONE, 0);
    r.attempts = 2;
    output_result(f.o, &r);
    r = fix_result(2, &oc, PROBLEM_RUN_TIMEOUT, -1);
    oc.may_still_run = true;
    snprintf(oc.detail, sizeof oc.detail, "it did not end on TERM and KILL");
    output_result(f.o, &r);
    r = fix_result(3, &oc, PROBLEM_KILLED_BY_SIGNAL, -1);
    snprintf(oc.signal, sizeof oc.signal, "KILL");
    output_result(f.o, &r);
    fix_finish(&f);
    assert_err(&f, "signaled      1  n4                   signal KILL\n"
                   "timeout       1  n3                   run-timeout after 5m  "
                   "it did not end on TERM and KILL\n"
                   "unreachable   1  n1                   connect-refused       (3 attempts)  "
                   "127.0.0.1 port 22: Connection refused\n"
                   "may still run on: n3\n"
                   "1 ok (1 after a retry), 1 signaled, 1 timeout, 1 unreachable in 10.1s\n");
    fix_fini(&f);
}

static void a_retry_forgets_what_the_first_attempt_printed(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 1, "n", 1);
    fix_open(&f);
    output_started(f.o, 0, 1);
    fix_data(&f, 0, "first\n");
    output_started(f.o, 0, 2);
    fix_data(&f, 0, "second\n");
    fix_done(&f, 0, PROBLEM_NONE, 0);
    fix_finish(&f);
    assert_out(&f, "n1 (1)\n  second\n");
    fix_fini(&f);
}

static void many_messages_of_one_cause_are_one_row(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 40, "n", 2);
    fix_open(&f);
    for (uint32_t i = 0; i < 40; i++) {
        char text[64];
        snprintf(text, sizeof text, "pid %u died\n\n", (unsigned)i);
        fix_errdata(&f, i, text);
        fix_done(&f, i, PROBLEM_EXIT_NONZERO, 7);
    }
    fix_finish(&f);
    assert_err(&f, "\nfailed       40  n[01-40]             exit 7   "
                   "40 different messages, such as n01: pid 0 died\n40 failed in 10.1s\n");
    fix_fini(&f);
}

static void refused(struct fix *f, uint32_t target, enum problem problem, enum phase phase,
                    const char *detail)
{
    struct outcome oc;
    struct output_result r = fix_result(target, &oc, problem, -1);
    oc.phase = phase;
    snprintf(oc.detail, sizeof oc.detail, "%s", detail);
    output_result(f->o, &r);
}

static void one_hosts_fingerprint_is_not_everyones(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 12, "n", 2);
    f.opts.quiet = true;
    fix_open(&f);
    refused(&f, 0, PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY, "offers SHA256:a");
    refused(&f, 1, PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY, "offers SHA256:b");
    refused(&f, 2, PROBLEM_HOST_KEY_CHANGED, PHASE_HOST_KEY, "offers SHA256:a");
    for (uint32_t i = 3; i < 8; i++) {
        char detail[32];
        snprintf(detail, sizeof detail, "offers SHA256:%u", (unsigned)i);
        refused(&f, i, PROBLEM_HOST_KEY_UNKNOWN, PHASE_HOST_KEY, detail);
    }
    refused(&f, 8, PROBLEM_CONNECT_REFUSED, PHASE_CONNECT, "connect to 10.0.0.8");
    refused(&f, 9, PROBLEM_CONNECT_REFUSED, PHASE_CONNECT, "connect to 10.0.0.9");
    refused(&f, 10, PROBLEM_CONNECTION_RESET, PHASE_BANNER, "connect to 10.0.0.10");
    refused(&f, 11, PROBLEM_CONNECTION_RESET, PHASE_BANNER, "connect to 10.0.0.11");
    fix_finish(&f);
    assert_err(&f, "unreachable   2  n09 n10              connect-refused   "
                   "such as n09: connect to 10.0.0.8\n"
                   "unreachable   2  n11 n12              connection-reset  "
                   "such as n11: connect to 10.0.0.10\n"
                   "host-key      5  n[04-08]             host-key-unknown  "
                   "5 different messages, such as n04: offers SHA256:3\n"
                   "host-key      2  n01 n03              host-key-changed  offers SHA256:a\n"
                   "host-key      1  n02                  host-key-changed  offers SHA256:b\n"
                   "4 unreachable, 8 host-key in 10.1s\n");
    fix_fini(&f);
}

static void refused_keys_and_logins_say_what_to_do(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 4, "n", 1);
    fix_open(&f);
    fix_done(&f, 0, PROBLEM_HOST_KEY_UNKNOWN, -1);
    fix_done(&f, 1, PROBLEM_HOST_KEY_UNKNOWN, -1);
    fix_done(&f, 2, PROBLEM_HOST_KEY_CHANGED, -1);
    fix_done(&f, 3, PROBLEM_AUTH_DENIED, -1);
    fix_finish(&f);
    const char *err = capture_text(&f.err);
    assert_non_null(strstr(err, "hint: n[1-2]: no key on record: compare the fingerprint"));
    assert_non_null(strstr(err, "muster keyscan, or --host-keys accept-new\n"));
    assert_non_null(strstr(err, "hint: n3: another key than the one on record"));
    assert_non_null(strstr(err, "hint: n4: login refused: -u NAME and --key FILE"));
    fix_fini(&f);
}

static struct fix *flushing; /* whose results are being flushed */

static void flush_noted(void *user)
{
    assert_ptr_equal(user, &flushing->out);
    assert_out(flushing, "n1 (1)\n  yes\n");
    assert_err(flushing, "");
    capture_write(&flushing->err, "(flushed)", 9);
}

static void results_are_out_before_the_summary(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 1, "n", 1);
    f.out_sink.flush = flush_noted;
    flushing = &f;
    fix_open(&f);
    fix_ok(&f, 0, "yes\n");
    fix_finish(&f);
    assert_err(&f, "(flushed)\n1 ok in 10.1s\n");
    fix_fini(&f);
}

static void hints_for_126_127_and_noise(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 4, "n", 1);
    fix_open(&f);
    fix_done(&f, 0, PROBLEM_EXIT_NONZERO, 126);
    fix_done(&f, 1, PROBLEM_EXIT_NONZERO, 127);
    fix_errdata(&f, 2, "stdin: is not a tty\n");
    fix_done(&f, 2, PROBLEM_NONE, 0);
    fix_done(&f, 3, PROBLEM_NONE, 0);
    fix_finish(&f);
    const char *err = capture_text(&f.err);
    assert_non_null(strstr(err, "hint: n1: exit 126: found, but could not be executed"));
    assert_non_null(strstr(err, "noexec"));
    assert_non_null(strstr(err, "hint: n2: exit 127: command not found"));
    assert_non_null(strstr(err, "hint: n3: start-up files print"));
    assert_null(strstr(err, "n4"));
    fix_fini(&f);
}

static void why_a_run_stopped(void **state)
{
    (void)state;
    static const struct {
        enum problem stopped, target;
        bool interrupted, serial;
        const char *text;
        int code;
    } all[] = {
        {PROBLEM_NOT_STARTED_BUDGET, PROBLEM_NOT_STARTED_BUDGET, false, false,
         "stopped by --max-fail: 1 not started\n", 12},
        {PROBLEM_NOT_STARTED_BUDGET, PROBLEM_NOT_STARTED_BUDGET, false, true,
         "stopped by --serial, which implies --max-fail 0: 1 not started\n", 12},
        {PROBLEM_NOT_STARTED_CANCEL, PROBLEM_CANCELLED, false, false,
         "stopped: nobody reads the output any more: 1 cancelled\n", 8},
        {PROBLEM_NOT_STARTED_DEADLINE, PROBLEM_DEADLINE, false, false, "stopped by --deadline\n",
         10},
        {PROBLEM_NOT_STARTED_CANCEL, PROBLEM_CANCELLED, true, false, "interrupted: 1 cancelled\n",
         130},
        {PROBLEM_NONE, PROBLEM_NONE, false, false, "1 ok in 10.1s\n", 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct fix f;
        fix_init(&f, 1, "n", 1);
        f.opts.serial_budget = all[i].serial;
        fix_open(&f);
        fix_done(&f, 0, all[i].target, all[i].target == PROBLEM_NONE ? 0 : -1);
        f.end.stopped = all[i].stopped;
        f.end.interrupted = all[i].interrupted;
        fix_finish(&f);
        assert_non_null(strstr(capture_text(&f.err), all[i].text));
        assert_int_equal(output_exit_code(f.o, &f.end), all[i].code);
        fix_fini(&f);
    }
}

static void the_exit_code_of_each_problem(void **state)
{
    (void)state;
    for (int p = 0; p < PROBLEM_COUNT; p++) {
        struct fix f;
        uint32_t counts[STATUS_COUNT];
        fix_init(&f, 2, "n", 1);
        f.opts.mode = OUTPUT_NONE;
        fix_open(&f);
        fix_done(&f, 0, PROBLEM_NONE, 0);
        fix_done(&f, 1, (enum problem)p, -1);
        assert_int_equal(output_exit_code(f.o, &f.end),
                         status_exit_bit(problem_status((enum problem)p)));
        output_counts(f.o, counts);
        assert_int_equal(counts[problem_status((enum problem)p)], p == PROBLEM_NONE ? 2 : 1);
        fix_finish(&f);
        assert_out(&f, "");
        fix_fini(&f);
    }
}

static void ignore_masks_before_grouping_and_match_selects(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 3, "n", 1);
    f.opts.ignore[0] = "pid [0-9]+";
    f.opts.ignore[1] = "n[0-9]";
    f.opts.ignore_count = 2;
    f.opts.match = "^up";
    fix_open(&f);
    fix_ok(&f, 0, "noise 1\nup n1 pid 17 x\n\n");
    fix_ok(&f, 1, "noise 2\nup n2 pid 9 x\n");
    fix_ok(&f, 2, "noise 3\n");
    fix_finish(&f);
    assert_out(&f, "n[1-2] (2)\n  up \xe2\x80\xa6 \xe2\x80\xa6 x\nn3 (1)\n  (no output)\n");
    fix_fini(&f);
}

static void how_it_ended_and_what_was_cut_keep_hosts_apart(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 4, "n", 1);
    f.opts.max_output = 5;
    f.opts.ignore[0] = "[0-9]+";
    f.opts.ignore_count = 1;
    fix_open(&f);
    fix_data(&f, 0, "a\nb\n\n");
    fix_done(&f, 0, PROBLEM_EXIT_NONZERO, 1);
    fix_data(&f, 1, "a\nb\n\n");
    fix_done(&f, 1, PROBLEM_EXIT_NONZERO, 2);
    fix_ok(&f, 2, "a\nb\n\n");
    fix_ok(&f, 3, "a\nb\n\nand more");
    fix_finish(&f);
    assert_out(&f, "n3 (1)\n  a\n  b\n  \n"
                   "n4 (1)\n  a\n  b\n  \n  \xe2\x80\xa6 8 B more not kept (--max-output)\n"
                   "n1 (1) exit 1\n  a\n  b\n  \n"
                   "n2 (1) exit 2\n  a\n  b\n  \n");
    fix_fini(&f);
}

static void a_long_value_of_a_tally_is_cut_on_a_character(void **state)
{
    (void)state;
    struct fix f;
    char text[1024] = "v=x";
    for (int i = 0; i < 100; i++)
        memcpy(text + 3 + i * 3, "\xe2\x82\xac", 3);
    fix_init(&f, 1, "n", 1);
    f.opts.tally = "v=(.*)";
    fix_open(&f);
    fix_ok(&f, 0, text);
    fix_finish(&f);
    /* 200 bytes hold the x and 66 euro signs. */
    text[3 + 66 * 3] = '\0';
    const char *at = strstr(capture_text(&f.out), text + 2);
    assert_non_null(at);
    assert_memory_equal(at + strlen(text + 2), "  n1\n", 5);
    fix_fini(&f);
}

static void wrong_expressions_and_columns_are_usage(void **state)
{
    (void)state;
    struct fix f;
    struct err e = {0};
    fix_init(&f, 1, "n", 1);
    f.opts.match = "a(b";
    assert_int_equal(fix_try_open(&f, &e), RC_USAGE);
    assert_non_null(strstr(e.msg, "--match 'a(b': column 4: missing closing parenthesis"));
    f.opts.match = NULL;
    f.opts.mode = OUTPUT_CSV;
    static const char *const bad[] = {"host,nope", "", "host,", ",host", "vars.", "host,,exit"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f.opts.columns = bad[i];
        assert_int_equal(fix_try_open(&f, &e), RC_USAGE);
        assert_non_null(strstr(e.msg, "--columns: there is no column '"));
        assert_non_null(strstr(e.msg, "stdout.bytes"));
    }
    fix_fini(&f);
}

static void a_bad_expression_on_bad_text_ends(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 1, "n", 1);
    f.opts.match = "^(a+)+$";
    fix_open(&f);
    char text[4096];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 3, "!\n", 3);
    fix_ok(&f, 0, text);
    fix_finish(&f);
    assert_non_null(strstr(capture_text(&f.err), "warning: "));
    assert_non_null(strstr(capture_text(&f.err), "took too long to match"));
    fix_fini(&f);
}

static void tally_counts_hosts_by_value(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 5, "n", 1);
    f.opts.tally = "^version=(\\S+)";
    fix_open(&f);
    fix_ok(&f, 0, "x\nversion=1.2\n");
    fix_ok(&f, 1, "version=1.10\n");
    fix_ok(&f, 2, "y\nversion=1.2 z\n");
    fix_ok(&f, 3, "nothing\n");
    fix_done(&f, 4, PROBLEM_CONNECT_REFUSED, -1);
    fix_finish(&f);
    assert_out(&f, "      2  1.2         n[1,3]\n"
                   "      1  1.10        n2\n"
                   "      1  (no match)  n4\n");
    fix_fini(&f);
}

static void compare_shows_what_differs_from_most(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 6, "n", 1);
    f.opts.compare = true;
    fix_open(&f);
    for (uint32_t i = 0; i < 4; i++)
        fix_ok(&f, i, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\n");
    fix_ok(&f, 4, "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\n");
    fix_data(&f, 5, "a\n");
    fix_done(&f, 5, PROBLEM_EXIT_NONZERO, 2);
    fix_finish(&f);
    assert_out(&f, "--- n[1-4] (4)\n+++ n5 (1)\n"
                   "@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n"
                   "@@ -13,3 +13,4 @@\n m\n n\n o\n+p\n"
                   "--- n[1-4] (4)\n+++ n6 (1) exit 2\n"
                   "@@ -1,15 +1 @@\n a\n-b\n-c\n-d\n-e\n-f\n-g\n-h\n-i\n-j\n-k\n-l\n-m\n-n\n-o\n");
    fix_fini(&f);
}

static void compare_of_equals_and_of_the_too_large(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 3, "n", 1);
    f.opts.compare = true;
    fix_open(&f);
    for (uint32_t i = 0; i < 3; i++)
        fix_ok(&f, i, "");
    fix_finish(&f);
    assert_out(&f, "");
    assert_err(&f, "no difference between 3 hosts\n3 ok in 10.1s\n");
    fix_fini(&f);
    fix_init(&f, 2, "n", 1);
    f.opts.compare = true;
    fix_open(&f);
    for (int i = 0; i < 8000; i++) {
        char line[32];
        snprintf(line, sizeof line, "%d\n", i);
        fix_data(&f, 0, line);
        snprintf(line, sizeof line, "x%d\n", i);
        fix_data(&f, 1, line);
    }
    fix_done(&f, 0, PROBLEM_NONE, 0);
    fix_done(&f, 1, PROBLEM_NONE, 0);
    fix_finish(&f);
    assert_out(&f, "--- n1 (1)\n+++ n2 (1)\ndiffers (too large to compare line by line)\n");
    fix_fini(&f);
}

static void a_table_is_aligned(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 3, "n", 1);
    f.opts.mode = OUTPUT_TABLE;
    fix_name(&f, 1, "\xe4\xb8\xad\xe6\x96\x87");
    fix_open(&f);
    fix_ok(&f, 0, "one\ttab\nmore\n");
    fix_ok(&f, 1, "");
    fix_done(&f, 2, PROBLEM_CONNECT_REFUSED, -1);
    fix_finish(&f);
    assert_out(&f, "host  status       exit  duration  stdout\n"
                   "n1    ok           0     41ms      one\\x09tab \xe2\x80\xa6\n"
                   "\xe4\xb8\xad\xe6\x96\x87  ok           0     41ms\n"
                   "n3    unreachable        41ms\n");
    fix_fini(&f);
}

static void ten_thousand_hosts_are_linear(void **state)
{
    (void)state;
    static const enum output_mode modes[] = {OUTPUT_GROUP, OUTPUT_JSON, OUTPUT_TABLE};
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct fix f;
        fix_init(&f, 10000, "n", 5);
        f.opts.mode = modes[m];
        fix_open(&f);
        for (uint32_t i = 0; i < 10000; i++) {
            char text[64];
            snprintf(text, sizeof text, "line %u\nand one\n", (unsigned)i % 5000);
            fix_data(&f, i, text);
            if (i % 3 == 0)
                fix_done(&f, i, PROBLEM_EXIT_NONZERO, 1 + (int)i % 200);
            else
                fix_done(&f, i, PROBLEM_NONE, 0);
        }
        fix_finish(&f);
        assert_true(f.out.len > 100000);
        assert_true(f.err.len < 40000);
        fix_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_manual),
        cmocka_unit_test(arrival_in_pieces_and_any_order_changes_nothing),
        cmocka_unit_test(no_output_says_only_the_totals),
        cmocka_unit_test(silent_hosts_are_named_where_others_speak),
        cmocka_unit_test(distinct_single_lines_are_a_list),
        cmocka_unit_test(a_long_list_is_cut_with_a_word_on_how_to_see_it),
        cmocka_unit_test(stderr_follows_stdout_and_is_marked),
        cmocka_unit_test(a_terminal_gets_no_escapes_of_others),
        cmocka_unit_test(what_was_cut_is_said),
        cmocka_unit_test(not_started_and_breaker_are_one_line_each),
        cmocka_unit_test(attempts_and_unknown_ends_are_noted),
        cmocka_unit_test(a_retry_forgets_what_the_first_attempt_printed),
        cmocka_unit_test(many_messages_of_one_cause_are_one_row),
        cmocka_unit_test(one_hosts_fingerprint_is_not_everyones),
        cmocka_unit_test(refused_keys_and_logins_say_what_to_do),
        cmocka_unit_test(results_are_out_before_the_summary),
        cmocka_unit_test(hints_for_126_127_and_noise),
        cmocka_unit_test(why_a_run_stopped),
        cmocka_unit_test(the_exit_code_of_each_problem),
        cmocka_unit_test(ignore_masks_before_grouping_and_match_selects),
        cmocka_unit_test(how_it_ended_and_what_was_cut_keep_hosts_apart),
        cmocka_unit_test(a_long_value_of_a_tally_is_cut_on_a_character),
        cmocka_unit_test(wrong_expressions_and_columns_are_usage),
        cmocka_unit_test(a_bad_expression_on_bad_text_ends),
        cmocka_unit_test(tally_counts_hosts_by_value),
        cmocka_unit_test(compare_shows_what_differs_from_most),
        cmocka_unit_test(compare_of_equals_and_of_the_too_large),
        cmocka_unit_test(a_table_is_aligned),
        cmocka_unit_test(ten_thousand_hosts_are_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
