/* Output for people: groups, lists, streams, tables, the summary. */
#include "tests/unit/out_fixture.h"

static void the_design_example(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 63, "web", 2);
    fix_name(&f, 60, "web61");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_design_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
