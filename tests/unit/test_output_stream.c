/* -o stream, the progress line, --out-dir. */
#include "tests/unit/out_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/output/outdir.h"
#include "controller/output/progress.h"

static void stream_open(struct fix *f, uint32_t count)
{
    fix_init(f, count, "n", 1);
    f->opts.mode = OUTPUT_STREAM;
    fix_open(f);
}

static void lines_of_two_hosts_never_mix(void **state)
{
    (void)state;
    struct fix f;
    stream_open(&f, 2);
    fix_data(&f, 0, "begun ");
    fix_data(&f, 1, "whole\nhalf");
    assert_out(&f, "n2: whole\n");
    fix_data(&f, 0, "and ended\n\nlast");
    assert_out(&f, "n2: whole\nn1: begun and ended\nn1: \n");
    fix_errdata(&f, 0, "oops\n");
    assert_err(&f, "n1: oops\n");
    fix_done(&f, 1, PROBLEM_NONE, 0);
    fix_done(&f, 0, PROBLEM_EXIT_NONZERO, 4);
    assert_out(&f, "n2: whole\nn1: begun and ended\nn1: \nn2: half\nn1: last\n");
    fix_finish(&f);
    assert_err(&f, "n1: oops\nfailed        1  n1                   exit 4   oops\n"
                   "1 ok, 1 failed in 10.1s\n");
    assert_int_equal(output_memory(f.o), 0);
    fix_fini(&f);
}

static void without_prefix_bytes_are_exact_in_a_pipe(void **state)
{
    (void)state;
    for (int tty = 0; tty < 2; tty++) {
        struct fix f;
        fix_init(&f, 1, "n", 1);
        f.opts.mode = OUTPUT_STREAM;
        f.opts.no_prefix = true;
        f.out_sink.is_tty = tty;
        fix_open(&f);
        fix_data(&f, 0, "a\033[1m\r\n\xff");
        fix_data(&f, 0, "end");
        fix_done(&f, 0, PROBLEM_NONE, 0);
        fix_finish(&f);
        assert_out(&f, tty ? "a\\x1b[1m\n\\xffend\n"
                           : "a\033[1m\r\n\xff"
                             "end");
        fix_fini(&f);
    }
}

static void a_line_without_end_is_bounded(void **state)
{
    (void)state;
    struct fix f;
    stream_open(&f, 1);
    char *block = malloc(1024 * 1024);
    memset(block, 'x', 1024 * 1024);
    for (int i = 0; i < 300; i++) {
        f.out.len = 0;
        output_data(f.o, 0, false, block, 1024 * 1024 - 17);
        assert_true(output_memory(f.o) <= 1024 * 1024 + 128 * 1024);
    }
    fix_done(&f, 0, PROBLEM_NONE, 0);
    fix_finish(&f);
    free(block);
    fix_fini(&f);
}

static void match_and_ignore_work_line_by_line(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 1, "n", 1);
    f.opts.mode = OUTPUT_STREAM;
    f.opts.match = "keep";
    f.opts.ignore[0] = "\\d+";
    f.opts.ignore_count = 1;
    fix_open(&f);
    fix_data(&f, 0, "drop 1\nkeep 22 and 333\ndrop\nkeep");
    fix_done(&f, 0, PROBLEM_NONE, 0);
    assert_out(&f, "n1: keep \xe2\x80\xa6 and \xe2\x80\xa6\nn1: keep\n");
    fix_finish(&f);
    fix_fini(&f);
}

static struct progress_view view_of(const char *const *names, const char *const *phases,
                                    const uint64_t *ms, uint32_t n)
{
    return (struct progress_view){.total = 500,
                                  .done = 305,
                                  .running = 128,
                                  .waiting = 67,
                                  .failed = 5,
                                  .elapsed_ms = 18800,
                                  .stragglers = names,
                                  .straggler_phases = phases,
                                  .straggler_ms = ms,
                                  .straggler_count = n};
}

static void progress_redraws_within_the_width(void **state)
{
    (void)state;
    static const char *const names[] = {"web61", "e\033v\xff", "db-with-a-rather-long-name"};
    static const char *const phases[] = {"auth", "", "run"};
    static const uint64_t ms[] = {8200, 0, 1000};
    struct capture c = {0};
    struct sink sink = {.write = capture_write, .user = &c, .is_tty = true, .columns = 120};
    struct progress_view v = view_of(names, phases, ms, 3);
    struct progress *p;
    assert_int_equal(progress_new(&p, &sink, NULL), RC_OK);
    progress_draw(p, &v);
    static const char line[] = "\r305/500 ok 300 failed 5 \xc2\xb7 running 128 \xc2\xb7 eta 13s "
                               "\xc2\xb7 waiting for web61 "
                               "(auth 8s), e\\x1bv\\xff\033[K";
    assert_string_equal(c.data, line);
    progress_draw(p, &v);
    assert_string_equal(c.data, line); /* nothing new, nothing written */
    c.len = 0;
    sink.columns = 40;
    v.done++;
    progress_draw(p, &v);
    assert_string_equal(c.data, "\r306/500 ok 301 failed 5 \xc2\xb7 running 128\033[K");
    c.len = 0;
    progress_erase(p);
    progress_erase(p);
    assert_string_equal(c.data, "\r\033[K");
    c.len = 0;
    sink.columns = 120;
    static const uint64_t late[] = {14000, 0, 0};
    v.straggler_ms = late; /* longer than the others took, and than the estimate */
    v.straggler_count = 1;
    progress_draw(p, &v);
    assert_string_equal(c.data, "\r306/500 ok 301 failed 5 \xc2\xb7 running 128 \xc2\xb7 waiting "
                                "for web61 (auth 14s)\033[K");
    c.len = 0;
    sink.columns = 64; /* no room for the phase */
    progress_draw(p, &v);
    assert_string_equal(c.data, "\r306/500 ok 301 failed 5 \xc2\xb7 running 128 \xc2\xb7 waiting "
                                "for web61\033[K");
    progress_erase(p);
    c.len = 0;
    v.straggler_ms = ms;
    v.straggler_count = 3;
    progress_report(p, &v);
    assert_string_equal(c.data, "306 of 500 done, 5 failed, 128 running, 67 not started, 18.8s\n"
                                "  web61                           auth      8.2s\n"
                                "  e\\x1bv\\xff                                0ms\n"
                                "  db-with-a-rather-long-name      run       1.0s\n");
    progress_free(p);
    free(c.data);
}

static void progress_elsewhere_than_a_terminal_is_lines(void **state)
{
    (void)state;
    struct capture c = {0};
    struct sink sink = {.write = capture_write, .user = &c};
    struct progress_view v = {.total = 2, .done = 1, .running = 1, .elapsed_ms = 10};
    struct progress *p;
    assert_int_equal(progress_new(&p, &sink, NULL), RC_OK);
    progress_draw(p, &v);
    progress_draw(p, &v);
    progress_erase(p);
    progress_draw(p, &v);
    v.paused = true;
    progress_draw(p, &v);
    assert_string_equal(c.data,
                        "1/2 ok 1 \xc2\xb7 running 1\n"
                        "1/2 ok 1 \xc2\xb7 running 1 \xc2\xb7 paused: the reader is slow\n");
    progress_free(p);
    free(c.data);
}

static void names_of_files_are_one_safe_component(void **state)
{
    (void)state;
    char name[OUTDIR_NAME], other[OUTDIR_NAME];
    static const char *const all[][2] = {
        {"web-01.example.com", "web-01.example.com.stdout"},
        {"../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd.stdout"},
        {".", "%2e.stdout"},
        {"", ".stdout"},
        {"a%b c\n\xc3\xa9", "a%25b%20c%0a%c3%a9.stdout"},
        {"[::1]:22", "%5b::1%5d:22.stdout"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_string_equal(outdir_file_name(name, all[i][0], false), all[i][1]);
    char longest[5000];
    memset(longest, '/', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    outdir_file_name(name, longest, true);
    longest[sizeof longest - 2] = 'x';
    outdir_file_name(other, longest, true);
    assert_true(strlen(name) < 255);
    assert_string_not_equal(name, other);
}

static char *read_file(int dir, const char *name, size_t *n)
{
    static char text[256 * 1024];
    int fd = openat(dir, name, 0);
    if (fd < 0)
        return NULL;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(got >= 0);
    text[got] = '\0';
    *n = (size_t)got;
    return text;
}

static void files_get_the_bytes_as_they_are(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-test-XXXXXX", inside[64];
    struct fix f;
    struct err e = {0};
    struct outdir *d;
    size_t n;
    assert_non_null(mkdtemp(path));
    snprintf(inside, sizeof inside, "%s/out", path);
    size_t live = mem_live();
    fix_init(&f, 4, "n", 1);
    f.opts.mode = OUTPUT_NONE;
    const char *names[] = {"n1", "n2", "n3", "n4"};
    assert_int_equal(mkdir(inside, 0700), 0);
    int dir = open(inside, O_RDONLY | O_DIRECTORY);
    assert_int_equal(symlinkat("../target", dir, "n3.stdout"), 0);
    int old = openat(dir, "n2.stderr", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(old, "old", 3), 3);
    close(old);
    assert_int_equal(outdir_new(&d, inside, names, 4, 100000, &e), RC_OK);
    fix_open(&f);
    output_set_outdir(f.o, d);
    output_started(f.o, 0, 1);
    fix_data(&f, 0, "first attempt\n");
    output_started(f.o, 0, 2);
    output_data(f.o, 0, false, "a\0b\xff", 4);
    fix_errdata(&f, 0, "err\n");
    output_data(f.o, 0, false, "c", 1);
    fix_done(&f, 0, PROBLEM_NONE, 0);
    fix_ok(&f, 1, "");
    fix_ok(&f, 2, "through the link\n");
    output_started(f.o, 3, 1);
    for (int i = 0; i < 200; i++)
        fix_data(&f, 3,
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789012345678901234567890123456789");
    fix_done(&f, 3, PROBLEM_NONE, 0);
    fix_finish(&f);
    assert_int_equal(outdir_close(d, &e), RC_SYS);
    assert_non_null(strstr(e.msg, "1 file could not be written; the first: n3.stdout: "));
    assert_memory_equal(read_file(dir, "n1.stdout", &n),
                        "a\0b\xff"
                        "c",
                        5);
    assert_int_equal(n, 5);
    assert_string_equal(read_file(dir, "n1.stderr", &n), "err\n");
    assert_string_equal(read_file(dir, "n2.stdout", &n), "");
    assert_null(read_file(dir, "n2.stderr", &n));
    assert_non_null(read_file(dir, "n4.stdout", &n));
    assert_int_equal(n, 100000);
    assert_null(read_file(dir, "../target", &n)); /* the link was not followed */
    static const char *const made[] = {"n1.stdout", "n1.stderr", "n2.stdout", "n3.stdout",
                                       "n4.stdout"};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        assert_int_equal(unlinkat(dir, made[i], 0), 0);
    close(dir);
    assert_int_equal(rmdir(inside), 0); /* nothing else was left there */
    assert_int_equal(rmdir(path), 0);
    fix_fini(&f);
    assert_int_equal(mem_live(), live);
    assert_int_equal(outdir_new(&d, "/proc/nowhere/x", names, 4, 0, &e), RC_SYS);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_two_hosts_never_mix),
        cmocka_unit_test(without_prefix_bytes_are_exact_in_a_pipe),
        cmocka_unit_test(a_line_without_end_is_bounded),
        cmocka_unit_test(match_and_ignore_work_line_by_line),
        cmocka_unit_test(progress_redraws_within_the_width),
        cmocka_unit_test(progress_elsewhere_than_a_terminal_is_lines),
        cmocka_unit_test(names_of_files_are_one_safe_component),
        cmocka_unit_test(files_get_the_bytes_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
