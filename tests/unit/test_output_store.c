/* The bounds on what is kept, and what happens without memory. */
#include "tests/unit/out_fixture.h"

#include "controller/output/store.h"

enum { MIB = 1024 * 1024 };

static char *noise(size_t n, uint32_t seed)
{
    char *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (char)('a' + (seed >> 24) % 26);
    }
    return p;
}

static void three_hundred_megabytes_of_one_host(void **state)
{
    (void)state;
    struct store *s;
    char *block = noise(MIB, 1);
    assert_int_equal(store_new(&s, 1, 10 * MIB, 64 * MIB, NULL, NULL), RC_OK);
    for (int i = 0; i < 300; i++)
        store_add(s, 0, i % 3 == 2, block, MIB);
    store_seal(s, 0);
    struct store_size out = store_size(s, 0, false), err = store_size(s, 0, true);
    assert_int_equal(out.received, 200 * (uint64_t)MIB);
    assert_int_equal(err.received, 100 * (uint64_t)MIB);
    assert_int_equal(out.in_memory + err.in_memory, 10 * MIB);
    assert_false(out.run_full);
    assert_true(store_memory_peak(s) <= 12 * MIB); /* room made ahead for the other stream */
    free(block);
    store_free(s);
}

static void count_write(void *user, const void *p, size_t n)
{
    (void)p;
    *(uint64_t *)user += n;
}

static void a_megabyte_of_each_of_500_hosts(void **state)
{
    (void)state;
    for (int spooled = 0; spooled < 2; spooled++) {
        struct fix f;
        uint64_t written = 0;
        /* The spool of the fixture is memory: a tenth of all is as good there. */
        uint32_t hosts = spooled ? 50 : 500;
        uint64_t most = spooled ? 6 * MIB : 64 * MIB;
        fix_init(&f, hosts, "n", 3);
        f.use_spool = spooled;
        f.opts.max_memory = most;
        f.opts.max_output = 2 * MIB;
        f.opts.mode = OUTPUT_JSON;
        f.out_sink = (struct sink){.write = count_write, .user = &written};
        fix_open(&f);
        for (int part = 0; part < 16; part++) /* all at once, as a fleet does */
            for (uint32_t i = 0; i < hosts; i++) {
                char block[65536];
                memset(block, 'a' + (int)i % 26, sizeof block);
                snprintf(block, sizeof block, "%u", (unsigned)i);
                block[strlen(block)] = ' ';
                output_data(f.o, i, false, block, sizeof block);
                assert_true(output_memory(f.o) <= most);
            }
        for (uint32_t i = 0; i < hosts; i++)
            fix_done(&f, i, PROBLEM_NONE, 0);
        assert_true(output_memory(f.o) <= most);
        fix_finish(&f);
        if (spooled) /* nothing was lost */
            assert_true(written >= hosts * (uint64_t)MIB);
        else
            assert_true(written >= most * 9 / 10 && written < most + 2 * MIB);
        fix_fini(&f);
    }
}

static void equal_outputs_are_kept_once(void **state)
{
    (void)state;
    struct store *s;
    char *block = noise(MIB, 2);
    assert_int_equal(store_new(&s, 300, 2 * MIB, 4 * MIB, NULL, NULL), RC_OK);
    for (uint32_t i = 0; i < 300; i++) { /* in parts that differ from host to host */
        for (size_t at = 0; at < MIB; at += 70000 + i)
            store_add(s, i, false, block + at, MIB - at < 70000 + i ? MIB - at : 70000 + i);
        store_seal(s, i);
        assert_int_equal(store_size(s, i, false).in_memory, MIB);
        assert_int_equal(store_owner(s, i), 0);
        assert_memory_equal(store_key(s, i), store_key(s, 0), STORE_KEY);
    }
    assert_int_equal(store_memory(s), MIB);
    free(block);
    store_free(s);
}

/* The key says what was sent, wherever the bytes went. */
static void keys_do_not_depend_on_where_bytes_went(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 200000};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        char *text = noise(sizes[k] + 1, 3);
        uint8_t key[3][STORE_KEY];
        for (int variant = 0; variant < 3; variant++) {
            struct fix f;
            struct store *s;
            fix_init(&f, 2, "n", 1);
            assert_int_equal(store_new(&s, 2, MIB, variant == 0 ? MIB : 40, &f.spool, NULL), RC_OK);
            size_t step = variant == 2 ? 13 : 9999;
            for (size_t at = 0; at < sizes[k]; at += step)
                store_add(s, 1, true, text + at, sizes[k] - at < step ? sizes[k] - at : step);
            store_seal(s, 1);
            memcpy(key[variant], store_key(s, 1), STORE_KEY);
            char *back = malloc(sizes[k] + 1);
            size_t got = 0, n;
            while ((n = store_read(s, 1, true, got, back + got, sizes[k] + 1 - got)) > 0)
                got += n;
            assert_int_equal(got, sizes[k]);
            assert_memory_equal(back, text, got);
            free(back);
            store_free(s);
            fix_fini(&f);
        }
        assert_memory_equal(key[0], key[1], STORE_KEY);
        assert_memory_equal(key[0], key[2], STORE_KEY);
        free(text);
    }
}

static void what_differs_after_the_cut_differs(void **state)
{
    (void)state;
    struct store *s;
    assert_int_equal(store_new(&s, 3, 10, 100, NULL, NULL), RC_OK);
    store_add(s, 0, false, "0123456789abc", 13);
    store_add(s, 1, false, "0123456789abd", 13);
    store_add(s, 2, false, "0123456789", 10);
    store_add(s, 2, false, "abc", 3);
    for (uint32_t i = 0; i < 3; i++)
        store_seal(s, i);
    assert_memory_not_equal(store_key(s, 0), store_key(s, 1), STORE_KEY);
    assert_memory_equal(store_key(s, 0), store_key(s, 2), STORE_KEY);
    assert_int_equal(store_size(s, 1, false).received, 13);
    assert_int_equal(store_size(s, 1, false).in_memory, 10);
    store_free(s);
}

static void a_spool_that_fails_is_counted(void **state)
{
    (void)state;
    struct fix f;
    struct store *s;
    char back[64];
    fix_init(&f, 1, "n", 1);
    f.spool_state.fail_after = 1;
    assert_int_equal(store_new(&s, 1, 100, 4, &f.spool, NULL), RC_OK);
    store_add(s, 0, false, "0123456", 7);
    store_add(s, 0, false, "789", 3);
    store_add(s, 0, false, "x", 1);
    store_seal(s, 0);
    struct store_size size = store_size(s, 0, false);
    assert_int_equal(size.received, 11);
    assert_int_equal(size.in_memory, 4);
    assert_int_equal(size.in_spool, 3);
    assert_true(size.run_full);
    assert_int_equal(store_read(s, 0, false, 4, back, sizeof back), 3);
    assert_memory_equal(back, "456", 3);
    assert_int_equal(store_read(s, 0, false, 7, back, sizeof back), 0);
    store_free(s);
    fix_fini(&f);
}

static void a_retry_reads_its_own_part_of_the_spool(void **state)
{
    (void)state;
    struct fix f;
    struct store *s;
    char back[8];
    fix_init(&f, 1, "n", 1);
    assert_int_equal(store_new(&s, 1, 100, 0, &f.spool, NULL), RC_OK);
    store_add(s, 0, false, "first", 5);
    store_reset(s, 0);
    store_add(s, 0, false, "second", 6);
    store_seal(s, 0);
    assert_int_equal(store_size(s, 0, false).received, 6);
    assert_int_equal(store_read(s, 0, false, 0, back, sizeof back), 6);
    assert_memory_equal(back, "second", 6);
    store_free(s);
    fix_fini(&f);
}

/* One run with each mode; false when no allocation failed. */
static bool whole_run(enum output_mode mode, bool compare, long fail_after)
{
    struct fix f;
    struct buf json;
    bool begun;
    fix_init(&f, 8, "n", 1);
    f.opts.mode = mode;
    f.opts.compare = compare;
    f.opts.tally = compare ? NULL : "(l\\w+)";
    f.opts.ignore[0] = "[0-9]";
    f.opts.ignore_count = 1;
    buf_init(&json, 65536);
    mem_fail_after(fail_after);
    enum rc rc = fix_try_open(&f, NULL);
    begun = rc == RC_OK;
    assert_true(rc == RC_OK || rc == RC_NOMEM);
    for (uint32_t i = 0; begun && i < 8; i++) {
        struct outcome oc;
        char text[64];
        snprintf(text, sizeof text, "line %u\nunfinished", (unsigned)i / 2);
        output_started(f.o, i, 1);
        fix_data(&f, i, text);
        fix_errdata(&f, i, "stderr\n");
        struct output_result r =
            fix_result(i, &oc, i > 5 ? PROBLEM_EXIT_NONZERO : PROBLEM_NONE, i > 5 ? 3 : 0);
        output_result(f.o, &r);
        (void)output_host_json(f.o, &r, true, &json);
        buf_reset(&json);
    }
    if (begun) {
        fix_finish(&f);
        assert_int_equal(output_exit_code(f.o, &f.end), 2);
        /* The totals come whatever happens. */
        assert_non_null(strstr(capture_text(&f.err), "6 ok, 2 failed in 10.1s\n"));
        if (mode != OUTPUT_NONE && !compare)
            assert_true(f.out.len > 0 || f.err.len > 100);
    }
    bool fired = mem_fail_fired();
    mem_fail_after(-1);
    buf_fini(&json);
    fix_fini(&f);
    return fired;
}

static void without_memory_a_run_still_ends_with_a_report(void **state)
{
    (void)state;
    for (int mode = OUTPUT_GROUP; mode <= OUTPUT_NONE; mode++) {
        for (int compare = 0; compare < 2; compare++) {
            size_t live = mem_live();
            long n = 0;
            while (whole_run((enum output_mode)mode, compare, n++))
                assert_int_equal(mem_live(), live);
            assert_int_equal(mem_live(), live);
            assert_true(n > 10);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_hundred_megabytes_of_one_host),
        cmocka_unit_test(a_megabyte_of_each_of_500_hosts),
        cmocka_unit_test(equal_outputs_are_kept_once),
        cmocka_unit_test(keys_do_not_depend_on_where_bytes_went),
        cmocka_unit_test(what_differs_after_the_cut_differs),
        cmocka_unit_test(a_spool_that_fails_is_counted),
        cmocka_unit_test(a_retry_reads_its_own_part_of_the_spool),
        cmocka_unit_test(without_memory_a_run_still_ends_with_a_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
