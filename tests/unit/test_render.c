/* A past run shown again is what it was when it ran: the document made from the record equals the
 * one that the run itself printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "common/mem.h"
#include "controller/record/record.h"
#include "controller/record/render.h"

enum { HOSTS = 6 };

static const char *const names[HOSTS] = {"web1", "web2", "web\xff", "db1", "db2", "db3"};
static char state_dir[64];
static struct inv_host hosts[HOSTS];
static struct inv_host *list[HOSTS];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    snprintf(state_dir, sizeof state_dir, "/tmp/muster-render-XXXXXX");
    for (uint32_t i = 0; i < HOSTS; i++) {
        hosts[i] = (struct inv_host){.name = names[i], .index = i};
        list[i] = &hosts[i];
    }
    return mkdtemp(state_dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(state_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void to_buf(void *user, const void *p, size_t n)
{
    assert_int_equal(buf_append(user, p, n), RC_OK);
}

struct shown { /* an output and what it wrote */
    struct output *o;
    struct buf out, err;
};

static void open_shown(struct shown *s, enum output_mode mode, uint64_t max_output,
                       uint64_t max_memory, const struct spool *spool)
{
    struct err e = {0};
    buf_init(&s->out, 1 << 26);
    buf_init(&s->err, 1 << 20);
    struct sink out = {.write = to_buf, .user = &s->out}, err = {.write = to_buf, .user = &s->err};
    struct output_opts opts = {.mode = mode, .max_output = max_output, .max_memory = max_memory};
    struct output_run run = {.run_id = "id", .command = "x", .hosts = list, .host_count = HOSTS};
    if (output_new(&s->o, &opts, &run, &out, &err, spool, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void close_shown(struct shown *s)
{
    output_free(s->o);
    buf_fini(&s->out);
    buf_fini(&s->err);
}

static struct record *open_record(void)
{
    static const char *const argv[] = {"muster"};
    struct record_start start = {.command = "x",
                                 .command_digest = "blake2b:0",
                                 .pattern = "all",
                                 .argv_safe = argv,
                                 .argc = 1,
                                 .targets = names,
                                 .target_count = HOSTS,
                                 .replay = "{}"};
    struct record *r;
    struct err e = {0};
    if (record_open(&r, state_dir, &start, &e) != RC_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void finish_host(struct shown *s, struct record *r, uint32_t target, enum problem problem,
                        int exit_code)
{
    struct outcome oc;
    struct buf json;
    outcome_init(&oc);
    oc.problem = problem;
    oc.phase = problem == PROBLEM_CONNECT_REFUSED ? PHASE_CONNECT : PHASE_RUN;
    oc.exit_code = exit_code;
    oc.sent = problem != PROBLEM_CONNECT_REFUSED;
    snprintf(oc.detail, sizeof oc.detail, "detail \"%u\"", target);
    if (problem == PROBLEM_KILLED_BY_SIGNAL)
        snprintf(oc.signal, sizeof oc.signal, "TERM");
    struct output_result res = {.target = target,
                                .outcome = &oc,
                                .attempts = 1 + target,
                                .address = "10.0.0.7",
                                .port = 22,
                                .user = "me",
                                .started_wall_us = 1769850300123000,
                                .duration_us = 1234567,
                                .connect_us = 45678,
                                .server_banner = "SSH-2.0-x",
                                .timing = {.connected = 12, .kex = 3456, .done = 1234567}};
    output_result(s->o, &res);
    buf_init(&json, 1 << 26);
    assert_int_equal(output_host_json(s->o, &res, true, &json), RC_OK);
    record_result(r, (const char *)json.data, json.len);
    buf_fini(&json);
}

/* The results of a JSON document, by themselves. */
static json_t *results(struct buf *text)
{
    json_error_t why;
    json_t *doc = json_loadb((const char *)text->data, text->len, 0, &why);
    if (doc == NULL)
        fail_msg("%s: %.*s", why.text, (int)text->len, (const char *)text->data);
    json_t *list_of = json_incref(json_object_get(doc, "results"));
    json_decref(doc);
    return list_of;
}

static void check_same(struct shown *live, struct shown *again)
{
    json_t *a = results(&live->out), *b = results(&again->out);
    assert_int_equal(json_array_size(a), HOSTS);
    for (size_t i = 0; i < HOSTS; i++) {
        if (json_equal(json_array_get(a, i), json_array_get(b, i)))
            continue;
        char *x = json_dumps(json_array_get(a, i), 0), *y = json_dumps(json_array_get(b, i), 0);
        fail_msg("host %zu\n%.2000s\n%.2000s", i, x, y);
    }
    json_decref(a);
    json_decref(b);
}

static void feed(struct shown *again, const char *which)
{
    struct record_run *run;
    struct err e = {0};
    if (record_read(state_dir, which, RECORD_ANY, &run, &e) != RC_OK ||
        render_feed(run, again->o, &e) != RC_OK)
        fail_msg("%s", e.msg);
    record_run_free(run);
    struct output_end end = {.duration_ms = 1};
    output_finish(again->o, &end);
}

static void test_same_document(void **state)
{
    (void)state;
    size_t live_before = mem_live();
    struct shown live, again;
    struct spool spool;
    struct record *r = open_record();
    static char big[40000];
    memset(big, 'b', sizeof big);
    record_spool(r, &spool);
    /* 30 kB a host, 4 kB in memory: what is over is in files, and then not kept. */
    open_shown(&live, OUTPUT_JSON, 30000, 4000, &spool);
    for (uint32_t i = 0; i < HOSTS; i++)
        output_started(live.o, i, 1);
    output_data(live.o, 0, false, "hello\n", 6);
    output_data(live.o, 0, true, "a\0b\xff\n", 5);
    output_data(live.o, 1, false, "\xc3\xa4 \"q\"\n", 7);
    output_data(live.o, 3, false, big, sizeof big);
    output_data(live.o, 4, true, big, 9000);
    output_started(live.o, 4, 2); /* what the first attempt spooled is not its output */
    output_data(live.o, 4, true, "second ", 7);
    memset(big, 'c', sizeof big);
    output_data(live.o, 4, true, big, 9000);
    finish_host(&live, r, 0, PROBLEM_NONE, 0);
    finish_host(&live, r, 1, PROBLEM_EXIT_NONZERO, 3);
    finish_host(&live, r, 2, PROBLEM_CONNECT_REFUSED, -1);
    finish_host(&live, r, 3, PROBLEM_NONE, 0);
    finish_host(&live, r, 4, PROBLEM_KILLED_BY_SIGNAL, -1);
    finish_host(&live, r, 5, PROBLEM_NONE, 0);
    struct output_end end = {.duration_ms = 1};
    output_finish(live.o, &end);
    uint32_t counts[STATUS_COUNT];
    struct err e = {0};
    output_counts(live.o, counts);
    assert_int_equal(record_close(r, counts, 6, NULL, 1, &e), RC_OK);

    open_shown(&again, OUTPUT_JSON, UINT64_MAX, 1 << 26, NULL);
    feed(&again, "last");
    check_same(&live, &again);
    close_shown(&live);
    close_shown(&again);
    assert_int_equal(mem_live(), live_before);
}

/* Outputs that were cut are never shown as one group: what is missing may differ. */
static void test_cut_outputs_stay_apart(void **state)
{
    (void)state;
    struct shown live, again;
    struct record *r = open_record();
    open_shown(&live, OUTPUT_NONE, 4, 1 << 20, NULL);
    for (uint32_t i = 0; i < HOSTS; i++) {
        char text[16];
        output_started(live.o, i, 1);
        snprintf(text, sizeof text, "same%u", i);
        output_data(live.o, i, false, text, 5);
        finish_host(&live, r, i, PROBLEM_NONE, 0);
    }
    uint32_t counts[STATUS_COUNT] = {[STATUS_OK] = HOSTS};
    struct err e = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, &e), RC_OK);
    open_shown(&again, OUTPUT_GROUP, UINT64_MAX, 1 << 20, NULL);
    feed(&again, "last");
    const char *text = buf_cstr(&again.out);
    assert_null(strstr(text, "(6)"));
    assert_non_null(strstr(text, "not kept (by the host, or in the record)"));
    close_shown(&live);
    close_shown(&again);
}

static void test_without_results(void **state)
{
    (void)state;
    struct shown live, again;
    struct record *r = open_record();
    char id[RECORD_ID], path[256], copy[256];
    snprintf(id, sizeof id, "%s", record_id(r));
    open_shown(&live, OUTPUT_NONE, 100, 1 << 20, NULL);
    record_started(r, 0);
    record_started(r, 1);
    record_sent(r, 1);
    output_started(live.o, 2, 1);
    finish_host(&live, r, 2, PROBLEM_NONE, 0);
    uint32_t counts[STATUS_COUNT] = {0};
    struct err e = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, &e), RC_OK);
    /* Cut its end off: the controller was killed. */
    snprintf(path, sizeof path, "%s/runs/%s.ndjson", state_dir, id);
    snprintf(copy, sizeof copy, "%s/runs/%s.new", state_dir, id);
    FILE *from = fopen(path, "r"), *to = fopen(copy, "w");
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, from) > 0)
        if (strstr(line, "\"type\":\"end\"") == NULL)
            fputs(line, to);
    free(line);
    fclose(from);
    fclose(to);
    rename(copy, path);

    open_shown(&again, OUTPUT_JSON, UINT64_MAX, 1 << 20, NULL);
    feed(&again, id);
    json_t *all = results(&again.out);
    static const char *const want[HOSTS][2] = {
        {"unknown", "controller-ended"},
        {"unknown", "controller-ended"},
        {"ok", NULL},
        {"not-started", "controller-gone"},
        {"not-started", "controller-gone"},
        {"not-started", "controller-gone"},
    };
    for (size_t i = 0; i < HOSTS; i++) {
        json_t *h = json_array_get(all, i);
        assert_string_equal(json_string_value(json_object_get(h, "status")), want[i][0]);
        if (want[i][1] != NULL)
            assert_string_equal(json_string_value(json_object_get(h, "problem")), want[i][1]);
        assert_int_equal(json_is_true(json_object_get(h, "may_still_run")), i < 2);
        assert_int_equal(json_is_true(json_object_get(h, "sent")), i == 1 || i == 2);
    }
    json_decref(all);
    close_shown(&live);
    close_shown(&again);
}

/* While its run goes on, hosts without a result are left out: nobody knows yet. */
static void test_alive(void **state)
{
    (void)state;
    struct shown live, again;
    struct spool spool;
    size_t n;
    char byte;
    struct record *r = open_record();
    open_shown(&live, OUTPUT_NONE, 100, 1 << 20, NULL);
    output_started(live.o, 2, 1);
    finish_host(&live, r, 2, PROBLEM_NONE, 0);
    record_spool(r, &spool); /* a read of the spool waits for what is queued */
    spool.append(spool.user, 0, false, "x", 1);
    spool.read(spool.user, 0, false, 0, &byte, 1, &n);
    open_shown(&again, OUTPUT_JSON, UINT64_MAX, 1 << 20, NULL);
    feed(&again, "last");
    json_t *all = results(&again.out);
    assert_int_equal(json_array_size(all), 1);
    json_decref(all);
    uint32_t counts[STATUS_COUNT] = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, NULL), RC_OK);
    close_shown(&live);
    close_shown(&again);
}

static void test_time(void **state)
{
    (void)state;
    assert_int_equal(render_time("2026-01-31T09:05:00.123Z"), 1769850300123000);
    assert_int_equal(render_time("2026-01-31T09:05:00Z"), 1769850300000000);
    assert_int_equal(render_time("2026-01-31T09:05:00+01:00"), 0);
    assert_int_equal(render_time("yesterday"), 0);
    assert_int_equal(render_time(""), 0);
    assert_int_equal(render_time(NULL), 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct shown live;
    struct record *r = open_record();
    open_shown(&live, OUTPUT_NONE, 100, 1 << 20, NULL);
    for (uint32_t i = 0; i < HOSTS; i++) {
        output_started(live.o, i, 1);
        output_data(live.o, i, false, "a\xff", 2);
        finish_host(&live, r, i, PROBLEM_NONE, 0);
    }
    close_shown(&live);
    uint32_t counts[STATUS_COUNT] = {0};
    struct err e = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, &e), RC_OK);
    for (long n = 0;; n++) {
        size_t before = mem_live();
        struct shown again;
        struct record_run *run;
        open_shown(&again, OUTPUT_NONE, UINT64_MAX, 1 << 20, NULL);
        assert_int_equal(record_read(state_dir, "last", RECORD_ANY, &run, &e), RC_OK);
        mem_fail_after(n);
        enum rc rc = render_feed(run, again.o, &e);
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        record_run_free(run);
        close_shown(&again);
        assert_int_equal(mem_live(), before);
        assert_true(rc == RC_OK || (fired && rc == RC_NOMEM));
        if (!fired)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_outputs_stay_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
