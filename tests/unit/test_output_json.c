/* Output for programs: json and ndjson against their schemas and byte for byte, csv. */
#include "tests/unit/out_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "common/str.h"

static json_t *parse(const char *text, size_t n)
{
    json_error_t e;
    json_t *doc = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (doc == NULL)
        fail_msg("line %d column %d: %s in %.300s", e.line, e.column, e.text, text);
    return doc;
}

static const char *str_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? json_string_value(v) : NULL;
}

/* Runs the text through python3-jsonschema and our schema; `lines`: each line on its own. */
static void validate(const char *schema, const struct capture *c, bool lines)
{
    static const char program[] =
        "import json,sys,jsonschema\n"
        "v=jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))\n"
        "jsonschema.Draft202012Validator.check_schema(v.schema)\n"
        "t=open(sys.argv[2],encoding='utf-8').read()\n"
        "d=[json.loads(x) for x in t.splitlines()] if sys.argv[3]=='1' else [json.loads(t)]\n"
        "assert d\n"
        "for x in d: v.validate(x)\n";
    char path[] = "/tmp/muster-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, c->data, c->len), (ssize_t)c->len);
    close(fd);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execlp("python3", "python3", "-W", "ignore", "-c", program, schema, path, lines ? "1" : "0",
               (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    unlink(path);
    assert_int_equal(status, 0);
}

#define SCHEMA(name) MUSTER_SOURCE_DIR "/docs/schema/" name ".schema.json"

/* A run in which everything happens that a host can do. */
static void feed_everything(struct fix *f)
{
    struct outcome oc;
    struct output_result r;
    fix_data(f, 1, "text \xe2\x82\xac\n");
    fix_errdata(f, 1, "\"\\\t more");
    fix_done(f, 1, PROBLEM_NONE, 0);
    output_data(f->o, 0, false, "nul \0 here", 10);
    fix_done(f, 0, PROBLEM_NONE, 0);
    fix_data(f, 2, "latin \xe9\n");
    fix_done(f, 2, PROBLEM_EXIT_NONZERO, 255);
    r = fix_result(3, &oc, PROBLEM_KILLED_BY_SIGNAL, -1);
    snprintf(oc.signal, sizeof oc.signal, "TERM");
    snprintf(oc.detail, sizeof oc.detail, "ended");
    oc.may_still_run = true;
    r.timing = (struct session_timing){1, 2, 3, 4, 5, 6, 7, 8, 9};
    output_result(f->o, &r);
    fix_done(f, 4, PROBLEM_CONNECT_TIMEOUT, -1);
    fix_done(f, 5, PROBLEM_HOST_KEY_CHANGED, -1);
    fix_done(f, 6, PROBLEM_RUN_TIMEOUT, -1);
    fix_done(f, 7, PROBLEM_NOT_STARTED_BUDGET, -1);
    fix_data(f, 8, "0123456789\xe2\x82\xac");
    fix_done(f, 8, PROBLEM_NONE, 0);
    f->end.stopped = PROBLEM_NOT_STARTED_BUDGET;
    fix_finish(f);
}

static void json_is_valid_and_exact(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 9, "n", 1);
    f.opts.mode = OUTPUT_JSON;
    f.opts.max_output = 12; /* cuts the euro sign of the last host in two */
    f.opts.tally = "^\\w+";
    fix_open(&f);
    feed_everything(&f);
    validate(SCHEMA("run"), &f.out, false);
    json_t *doc = parse(f.out.data, f.out.len);
    assert_string_equal(str_of(doc, "schema"), "muster.run/1");
    assert_string_equal(str_of(doc, "stopped"), "budget");
    assert_string_equal(str_of(doc, "started"), "2026-01-31T09:05:00.123Z");
    assert_int_equal(json_integer_value(json_object_get(doc, "exit_code")), 14);
    const json_t *results = json_object_get(doc, "results");
    assert_int_equal(json_array_size(results), 9);
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(str_of(json_array_get(results, i), "host"), f.hosts[i].name);
    assert_string_equal(str_of(json_array_get(results, 0), "stdout_base64"), "bnVsIAAgaGVyZQ==");
    assert_string_equal(str_of(json_array_get(results, 1), "stdout"), "text \xe2\x82\xac\n");
    assert_string_equal(str_of(json_array_get(results, 1), "stderr"), "\"\\\t");
    assert_string_equal(str_of(json_array_get(results, 2), "stdout_base64"), "bGF0aW4g6Qo=");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(results, 2), "exit_code")),
                     255);
    assert_string_equal(str_of(json_array_get(results, 3), "signal"), "TERM");
    assert_true(json_is_null(json_object_get(json_array_get(results, 3), "exit_code")));
    assert_string_equal(str_of(json_array_get(results, 8), "stdout"), "0123456789");
    assert_true(json_is_true(json_object_get(json_array_get(results, 8), "stdout_truncated")));
    assert_int_equal(
        json_integer_value(json_object_get(json_array_get(results, 8), "stdout_bytes")), 13);
    json_decref(doc);
    fix_fini(&f);
}

static void ndjson_says_each_end_at_once(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 9, "n", 1);
    f.opts.mode = OUTPUT_NDJSON;
    f.opts.tally = "^\\w+";
    fix_open(&f);
    output_started(f.o, 1, 1);
    assert_non_null(
        strstr(capture_text(&f.out), "{\"type\":\"run\",\"schema\":\"muster.ndjson/1\""));
    fix_ok(&f, 8, "now\n");
    assert_non_null(strstr(capture_text(&f.out), "\"stdout\":\"now\\n\""));
    assert_int_equal(f.out.data[f.out.len - 1], '\n');
    fix_done(&f, 4, PROBLEM_AUTH_DENIED, -1);
    fix_finish(&f);
    validate(SCHEMA("ndjson"), &f.out, true);
    fix_fini(&f);
}

static void the_record_gets_the_same_object(void **state)
{
    (void)state;
    static const enum output_mode modes[] = {OUTPUT_GROUP, OUTPUT_STREAM, OUTPUT_NDJSON,
                                             OUTPUT_NONE, OUTPUT_JSON};
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct fix f;
        struct outcome oc;
        struct buf before, after;
        buf_init(&before, 4096);
        buf_init(&after, 4096);
        fix_init(&f, 2, "n", 1);
        f.opts.mode = modes[m];
        fix_open(&f);
        fix_data(&f, 0, "hello\n");
        fix_errdata(&f, 0, "\xff");
        struct output_result r = fix_result(0, &oc, PROBLEM_EXIT_NONZERO, 9);
        assert_int_equal(output_host_json(f.o, &r, true, &before), RC_OK);
        output_result(f.o, &r);
        assert_int_equal(output_host_json(f.o, &r, true, &after), RC_OK);
        assert_string_equal(buf_cstr(&before), buf_cstr(&after));
        json_t *doc = parse((char *)before.data, before.len);
        assert_string_equal(str_of(doc, "stdout"), "hello\n");
        assert_string_equal(str_of(doc, "stderr_base64"), "/w==");
        json_decref(doc);
        buf_reset(&after);
        assert_int_equal(output_host_json(f.o, &r, false, &after), RC_OK);
        doc = parse(buf_cstr(&after), after.len);
        assert_null(json_object_get(doc, "stdout"));
        assert_int_equal(json_integer_value(json_object_get(doc, "stdout_bytes")), 6);
        json_decref(doc);
        struct buf small;
        buf_init(&small, 100);
        assert_int_equal(buf_puts(&small, "x"), RC_OK);
        assert_int_equal(output_host_json(f.o, &r, true, &small), RC_LIMIT);
        assert_int_equal(small.len, 1);
        buf_fini(&small);
        buf_fini(&before);
        buf_fini(&after);
        fix_finish(&f);
        fix_fini(&f);
    }
}

/* Bytes of every kind, in a length that crosses every chunk. */
static void fill(char *p, size_t n, unsigned kind)
{
    uint32_t x = kind * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = kind == 0 ? (char)(x >> 24) : (char)('a' + (x >> 24) % 26);
    }
    for (size_t i = 0; kind == 2 && i + 4 <= n;
         i += 5) /* four bytes, never on a chunk's edge alone */
        memcpy(p + i, "\xf0\x9f\x98\x80", 4);
}

static void large_outputs_survive_memory_spool_and_chunks(void **state)
{
    (void)state;
    enum { BIG = 400000 };
    char *sent = malloc(BIG);
    for (unsigned kind = 0; kind < 3; kind++) {
        for (int ndjson = 0; ndjson < 2; ndjson++) {
            struct fix f;
            fix_init(&f, 1, "n", 1);
            f.opts.mode = ndjson ? OUTPUT_NDJSON : OUTPUT_JSON;
            f.opts.max_memory = 100001; /* the rest goes to the spool */
            f.use_spool = true;
            fix_open(&f);
            fill(sent, BIG, kind);
            for (size_t at = 0; at < BIG; at += 1777)
                output_data(f.o, 0, false, sent + at, BIG - at < 1777 ? BIG - at : 1777);
            assert_true(output_memory(f.o) <= 100001);
            fix_done(&f, 0, PROBLEM_NONE, 0);
            fix_finish(&f);
            assert_true(f.spool_state.bytes >= BIG - 100001);
            const char *at = strstr(f.out.data, ndjson ? "{\"type\":\"result\"" : "{\"schema\"");
            const char *end = ndjson ? strchr(at, '\n') : f.out.data + f.out.len;
            json_t *doc = parse(at, (size_t)(end - at));
            const json_t *host = ndjson ? doc : json_array_get(json_object_get(doc, "results"), 0);
            struct buf got;
            buf_init(&got, BIG + 1);
            if (kind == 0)
                assert_int_equal(str_unbase64(&got, str_of(host, "stdout_base64"),
                                              strlen(str_of(host, "stdout_base64"))),
                                 RC_OK);
            else
                assert_int_equal(buf_puts(&got, str_of(host, "stdout")), RC_OK);
            assert_int_equal(got.len, BIG);
            assert_memory_equal(got.data, sent, BIG);
            assert_true(json_is_false(json_object_get(host, "stdout_truncated")));
            buf_fini(&got);
            json_decref(doc);
            fix_fini(&f);
        }
    }
    free(sent);
}

static void csv_follows_rfc_4180(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 3, "n", 1);
    f.opts.mode = OUTPUT_CSV;
    f.opts.columns = "host,status,exit,duration,attempts,stdout,stderr,stdout.bytes";
    fix_name(&f, 1, "we,b\"2\"");
    fix_open(&f);
    fix_ok(&f, 0, "a \"b\", c\nd\xff\n");
    fix_ok(&f, 1, "");
    fix_done(&f, 2, PROBLEM_NOT_STARTED_BUDGET, -1);
    fix_finish(&f);
    assert_out(&f, "host,status,exit,duration,attempts,stdout,stderr,stdout.bytes\r\n"
                   "n1,ok,0,0.041,1,\"a \"\"b\"\", c\nd\xff\n\",,12\r\n"
                   "\"we,b\"\"2\"\"\",ok,0,0.041,1,,,0\r\n"
                   "n3,not-started,,,0,,,0\r\n");
    fix_fini(&f);
}

static void variables_are_columns_too(void **state)
{
    (void)state;
    static const char text[] = "all:\n  vars: {dc: \"a,b\", sealed: \"{{ x }}\"}\n"
                               "  hosts:\n    n1: {rack: 7, list: [1, two]}\n    n2:\n";
    char path[] = "/tmp/muster-test-XXXXXX.yml";
    struct inventory *inv;
    struct err e = {0};
    struct fix f;
    int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(inventory_new(&inv, &e), RC_OK);
    if (inventory_add_source(inv, path, &e) != RC_OK || inventory_finish(inv, &e) != RC_OK)
        fail_msg("%s", e.msg);
    unlink(path);
    fix_init(&f, 2, "n", 1);
    for (uint32_t i = 0; i < 2; i++)
        f.list[i] = inventory_host_find(inv, f.hosts[i].name);
    f.run.inventory = inv;
    f.opts.mode = OUTPUT_CSV;
    f.opts.columns = "host,vars.rack,vars.dc,vars.list,vars.sealed,vars.none";
    fix_open(&f);
    fix_ok(&f, 0, "");
    fix_ok(&f, 1, "");
    fix_finish(&f);
    assert_out(&f, "host,vars.rack,vars.dc,vars.list,vars.sealed,vars.none\r\n"
                   "n1,\"7\",\"a,b\",\"[1, \"\"two\"\"]\",,\r\n"
                   "n2,,\"a,b\",,,\r\n");
    fix_fini(&f);
    inventory_free(inv);
}

static void an_empty_run_is_a_document_too(void **state)
{
    (void)state;
    struct fix f;
    fix_init(&f, 0, "n", 1);
    f.opts.mode = OUTPUT_JSON;
    f.run.command = NULL;
    fix_open(&f);
    fix_finish(&f);
    validate(SCHEMA("run"), &f.out, false);
    fix_fini(&f);
}

/* A host says how much it did not keep: whatever it says, the document can be read, and nobody
 * takes the beginning for the whole. */
static void test_a_host_that_kept_little(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct fix f;
        fix_init(&f, 1, "n", 1);
        f.opts.mode = OUTPUT_JSON;
        fix_open(&f);
        fix_data(&f, 0, "head");
        output_skipped(f.o, 0, false, counts[i]);
        output_skipped(f.o, 0, false, counts[i]);
        fix_done(&f, 0, PROBLEM_NONE, 0);
        fix_finish(&f);
        json_t *doc = json_loads(f.out.data, 0, NULL);
        assert_non_null(doc);
        json_t *host = json_array_get(json_object_get(doc, "results"), 0);
        json_int_t bytes = json_integer_value(json_object_get(host, "stdout_bytes"));
        assert_true(bytes == (i == 0 ? 6 : ((json_int_t)1 << 53) - 1));
        assert_true(json_is_true(json_object_get(host, "stdout_truncated")));
        assert_non_null(strstr(f.err.data, "only the beginning of the output was kept: n1\n"));
        json_decref(doc);
        fix_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_that_kept_little),
        cmocka_unit_test(json_is_valid_and_exact),
        cmocka_unit_test(ndjson_says_each_end_at_once),
        cmocka_unit_test(the_record_gets_the_same_object),
        cmocka_unit_test(large_outputs_survive_memory_spool_and_chunks),
        cmocka_unit_test(csv_follows_rfc_4180),
        cmocka_unit_test(variables_are_columns_too),
        cmocka_unit_test(an_empty_run_is_a_document_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
