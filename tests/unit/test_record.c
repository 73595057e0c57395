/* The record of a run: what is written is read back, also after a controller was killed, a disk was
 * full, or memory was short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/mem.h"
#include "controller/record/record.h"

static char state_dir[64];

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
    snprintf(state_dir, sizeof state_dir, "/tmp/muster-record-XXXXXX");
    return mkdtemp(state_dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(state_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *const three[] = {"web1",
                                    "web\xff"
                                    "2",
                                    "db/1"};

static struct record_start a_start(void)
{
    static const char *const argv[] = {"muster", "run", "all", "--", "uptime"};
    return (struct record_start){.command = "uptime",
                                 .command_digest = "blake2b:00",
                                 .pattern = "all",
                                 .reason = "because \"so\"",
                                 .argv_safe = argv,
                                 .argc = 5,
                                 .targets = three,
                                 .target_count = 3,
                                 .replay = "{\"options\":[]}"};
}

static struct record *open_one(void)
{
    struct record *r = NULL;
    struct err e = {0};
    struct record_start s = a_start();
    if (record_open(&r, state_dir, &s, &e) != RC_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void close_one(struct record *r, int exit_code)
{
    uint32_t counts[STATUS_COUNT] = {[STATUS_OK] = 2, [STATUS_FAILED] = 1};
    struct err e = {0};
    if (record_close(r, counts, exit_code, "", 1234, &e) != RC_OK)
        fail_msg("%s", e.msg);
}

static void result(struct record *r, const char *json)
{
    record_result(r, json, strlen(json));
}

static struct record_run *read_one(const char *which)
{
    struct record_run *run = NULL;
    struct err e = {0};
    if (record_read(state_dir, which, RECORD_ANY, &run, &e) != RC_OK)
        fail_msg("%s", e.msg);
    return run;
}

static void path_of(char *dst, size_t cap, const char *id, const char *suffix)
{
    snprintf(dst, cap, "%s/runs/%s%s", state_dir, id, suffix);
}

static void test_write_and_read(void **state)
{
    (void)state;
    size_t live = mem_live();
    struct record *r = open_one();
    char id[RECORD_ID], path[256];
    snprintf(id, sizeof id, "%s", record_id(r));
    record_started(r, 0);
    record_sent(r, 0);
    record_flush(r);
    result(r, "{\"host\":\"web1\",\"status\":\"ok\",\"stdout\":\"a\\n\"}");
    result(r, "{\"host\":\"web\xef\xbf\xbd"
              "2\",\"host_base64\":\"d2Vi/zI=\",\"status\":\"failed\"}");
    result(r, "{\"host\":\"db/1\",\"status\":\"ok\"}");
    close_one(r, 2);
    assert_int_equal(mem_live(), live);

    struct stat st;
    path_of(path, sizeof path, id, ".ndjson");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    path_of(path, sizeof path, id, ".d");
    assert_int_not_equal(stat(path, &st), 0);

    struct record_run *run = read_one("last");
    assert_string_equal(run->id, id);
    assert_false(run->alive);
    assert_int_equal(run->host_count, 3);
    assert_int_equal(run->damaged, 0);
    assert_string_equal(run->hosts[1].name, three[1]);
    assert_true(run->hosts[0].started && run->hosts[0].sent && run->hosts[0].has_result);
    assert_false(run->hosts[1].started || run->hosts[1].sent);
    assert_int_equal(run->hosts[0].status, STATUS_OK);
    assert_int_equal(run->hosts[1].status, STATUS_FAILED);
    assert_int_equal(run->hosts[2].status, STATUS_OK);
    struct buf json;
    struct err e;
    buf_init(&json, 1000);
    assert_int_equal(record_run_result(run, 0, &json, &e), RC_OK);
    assert_string_equal(buf_cstr(&json),
                        "{\"host\":\"web1\",\"status\":\"ok\",\"stdout\":\"a\\n\"}");
    buf_fini(&json);

    json_t *start = json_loads(run->start_json, 0, NULL), *end = json_loads(run->end_json, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(start, "schema")), "muster.record/1");
    assert_string_equal(json_string_value(json_object_get(start, "reason")), "because \"so\"");
    assert_string_equal(json_string_value(json_object_get(start, "run")), id);
    assert_int_equal(json_integer_value(json_object_get(start, "uid")), getuid());
    assert_int_equal(json_integer_value(json_object_get(start, "pid")), getpid());
    assert_true(json_is_null(json_object_get(start, "retry_of")));
    assert_int_equal(json_array_size(json_object_get(start, "argv")), 5);
    assert_true(json_is_object(json_object_get(start, "replay")));
    assert_int_equal(json_integer_value(json_object_get(end, "exit_code")), 2);
    assert_int_equal(json_integer_value(json_object_get(end, "duration_ms")), 1234);
    assert_int_equal(json_integer_value(json_object_get(end, "lost_lines")), 0);
    assert_true(json_is_null(json_object_get(end, "stopped")));
    json_decref(start);
    json_decref(end);
    record_run_free(run);
    assert_int_equal(mem_live(), live);
}

static void test_which(void **state)
{
    (void)state;
    struct record_run *run = NULL;
    struct err e = {0};
    assert_int_equal(record_read(state_dir, "last", RECORD_ANY, &run, &e), RC_NOTFOUND);
    assert_non_null(strstr(e.msg, "no record of any run"));
    char ids[3][RECORD_ID];
    for (int i = 0; i < 3; i++) {
        struct record *r = open_one();
        snprintf(ids[i], RECORD_ID, "%s", record_id(r));
        close_one(r, 0);
        /* Ids sort by the millisecond: three runs within one would be in any order. */
        for (int64_t from = clock_wall_us(); clock_wall_us() < from + 2000;)
            ;
    }
    static const struct {
        const char *which;
        int want;
    } table[] = {{"last", 2}, {"-1", 2}, {"-2", 1}, {"-3", 0}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        run = read_one(table[i].which);
        assert_string_equal(run->id, ids[table[i].want]);
        record_run_free(run);
    }
    run = read_one(ids[1]);
    assert_string_equal(run->id, ids[1]);
    record_run_free(run);
    assert_int_equal(record_read(state_dir, "20", RECORD_ANY, &run, &e), RC_AMBIGUOUS);
    assert_int_equal(record_read(state_dir, "-4", RECORD_ANY, &run, &e), RC_NOTFOUND);
    assert_int_equal(record_read(state_dir, "nope", RECORD_ANY, &run, &e), RC_NOTFOUND);
    assert_non_null(strstr(e.msg, ids[2]));
    assert_int_equal(record_read(state_dir, "", RECORD_ANY, &run, &e), RC_NOTFOUND);
    assert_int_equal(record_read(state_dir, "../../etc/passwd", RECORD_ANY, &run, &e), RC_NOTFOUND);
}

static void leave(const char *replay, const char *retry_of, bool began, char *id)
{
    struct record *r = NULL;
    struct record_start s = a_start();
    uint32_t none[STATUS_COUNT] = {0};
    s.replay = replay;
    s.retry_of = retry_of;
    assert_int_equal(record_open(&r, state_dir, &s, NULL), RC_OK);
    snprintf(id, RECORD_ID, "%s", record_id(r));
    if (began)
        close_one(r, 0);
    else
        assert_int_equal(record_close(r, none, 1, "usage", 0, NULL), RC_OK);
    for (int64_t from = clock_wall_us(); clock_wall_us() < from + 2000;)
        ;
}

/* A result's own word, not its status, tells whether the command may have run. */
static void test_may_have_run(void **state)
{
    (void)state;
    struct record *r = open_one();
    result(r, "{\"host\":\"web1\",\"status\":\"resource\",\"sent\":false,\"may_still_run\":false}");
    result(r, "{\"host\":\"web\xef\xbf\xbd"
              "2\",\"host_base64\":\"d2Vi/zI=\",\"status\":\"resource\",\"sent\":true,"
              "\"may_still_run\":false}");
    result(r, "{\"host\":\"db/1\",\"status\":\"unreachable\"}");
    close_one(r, 2);
    struct record_run *run = read_one("last");
    assert_false(run->hosts[0].may_have_run);
    assert_true(run->hosts[1].may_have_run);
    assert_true(run->hosts[2].may_have_run);
    record_run_free(run);
}

/* "last" is the newest that the verb can use. */
static void test_which_kind(void **state)
{
    (void)state;
    static const char plain[] = "{\"options\":[]}",
                      detached[] = "{\"options\":[[\"fanout\",\"9\"],[\"detach\",\"true\"]]}",
                      stays[] = "{\"options\":[[\"detach\",\"no\"]]}";
    struct record_run *run = NULL;
    struct err e = {0};
    char id[6][RECORD_ID];
    leave("null", NULL, true, id[0]);
    assert_int_equal(record_read(state_dir, "last", RECORD_REPEATABLE, &run, &e), RC_NOTFOUND);
    assert_non_null(strstr(e.msg, "can be repeated"));
    leave(detached, NULL, true, id[1]);
    leave(stays, NULL, true, id[2]);
    assert_int_equal(record_read(state_dir, "-3", RECORD_REPEATABLE, &run, &e), RC_NOTFOUND);
    leave("null", id[1], true, id[3]);
    leave("null", NULL, true, id[4]);
    leave(plain, NULL, false, id[5]);
    const struct {
        enum record_use use;
        const char *which;
        int want;
        enum record_kind kind;
    } table[] = {
        {RECORD_ANY, "last", 5, KIND_COMMAND},        {RECORD_ANY, "-2", 4, KIND_FIGURES},
        {RECORD_REPEATABLE, "last", 2, KIND_COMMAND}, {RECORD_REPEATABLE, "-2", 1, KIND_DETACHED},
        {RECORD_REPEATABLE, id[5], 5, KIND_COMMAND},  {RECORD_DETACHED, "last", 1, KIND_DETACHED},
        {RECORD_DETACHED, id[3], 3, KIND_ATTACH}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *of;
        if (record_read(state_dir, table[i].which, table[i].use, &run, &e) != RC_OK)
            fail_msg("%zu: %s", i, e.msg);
        assert_string_equal(run->id, id[table[i].want]);
        json_t *start = json_loads(run->start_json, 0, NULL);
        assert_int_equal(record_kind(start, &of), table[i].kind);
        assert_true((of != NULL) == (table[i].kind == KIND_ATTACH));
        json_decref(start);
        record_run_free(run);
    }
    assert_int_equal(record_read(state_dir, "-2", RECORD_DETACHED, &run, &e), RC_NOTFOUND);
}

/* What a file may hold that no controller of this version finished. */
static struct record_run *read_text(const char *text, size_t n, enum rc want, struct err *e)
{
    char path[256], dir[128];
    struct record_run *run = NULL;
    snprintf(dir, sizeof dir, "%s/runs", state_dir);
    mkdir(dir, 0700);
    path_of(path, sizeof path, "20260131-090500-k3f9", ".ndjson");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    memset(e, 0, sizeof *e);
    enum rc rc = record_read(state_dir, "last", RECORD_ANY, &run, e);
    if (rc != want)
        fail_msg("rc %s, wanted %s: %s", rc_name(rc), rc_name(want), e->msg);
    return rc == RC_OK ? run : NULL;
}

#define START                                                                                      \
    "{\"type\":\"start\",\"schema\":\"muster.record/"                                              \
    "1\",\"run\":\"x\",\"targets\":[\"a\",\"b\"]}\n"

static void test_killed_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status a, b;
        bool ended;
        uint32_t damaged;
    } table[] = {
        {START, STATUS_NOT_STARTED, STATUS_NOT_STARTED, false, 0},
        {START "{\"type\":\"started\",\"target\":0}\n", STATUS_UNKNOWN, STATUS_NOT_STARTED, false,
         0},
        {START "{\"type\":\"sent\",\"target\":1}\n", STATUS_NOT_STARTED, STATUS_UNKNOWN, false, 0},
        /* The last line was not finished: the result is not believed. */
        {START "{\"type\":\"sent\",\"target\":0}\n"
               "{\"type\":\"result\",\"result\":{\"host\":\"a\",\"status\":\"ok\"}}",
         STATUS_UNKNOWN, STATUS_NOT_STARTED, false, 0},
        {START "{\"type\":\"result\",\"result\":{\"host\":\"a\",\"status\":\"ok\"}}\n"
               "{\"type\":\"en",
         STATUS_OK, STATUS_NOT_STARTED, false, 0},
        {START "rubbish\n{\"type\":\"sent\",\"target\":7}\n{\"type\":\"sent\",\"target\":-1}\n"
               "{\"type\":\"result\",\"result\":{\"host\":\"zz\",\"status\":\"ok\"}}\n"
               "{\"type\":\"result\",\"result\":{\"host\":\"a\",\"status\":\"fine\"}}\n"
               "{\"type\":\"end\",\"exit_code\":0}\n",
         STATUS_UNKNOWN, STATUS_UNKNOWN, true, 5},
        {START "{\"type\":\"end\",\"exit_code\":0,\"lost_lines\":3}\n", STATUS_UNKNOWN,
         STATUS_UNKNOWN, true, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err e;
        struct record_run *run = read_text(table[i].text, strlen(table[i].text), RC_OK, &e);
        assert_int_equal(run->hosts[0].status, table[i].a);
        assert_int_equal(run->hosts[1].status, table[i].b);
        assert_int_equal(run->end_json != NULL, table[i].ended);
        assert_int_equal(run->damaged, table[i].damaged);
        assert_false(run->alive);
        record_run_free(run);
    }
}

static void test_not_records(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "\n",
        "{}\n",
        "nonsense\n",
        "{\"type\":\"start\",\"schema\":\"muster.record/1\",\"targets\":[\"a\"]}", /* unfinished */
        "{\"type\":\"start\",\"schema\":\"muster.record/9\",\"targets\":[\"a\"]}\n",
        "{\"type\":\"start\",\"schema\":\"muster.record/1\"}\n",
        "{\"type\":\"sent\",\"target\":0}\n",
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err e;
        struct record_summary *list;
        size_t count;
        read_text(table[i], strlen(table[i]), RC_CONFIG, &e);
        assert_int_equal(record_list(state_dir, 10, &list, &count, &e), RC_OK);
        record_list_free(list, count);
    }
    char path[256];
    path_of(path, sizeof path, "20260131-090500-k3fa", ".ndjson");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct record_run *run;
    struct err e;
    assert_int_equal(record_read(state_dir, "20260131-090500-k3fa", RECORD_ANY, &run, &e),
                     RC_CONFIG);
}

/* Every cut of a record is either refused or read without surprise. */
static void test_every_cut(void **state)
{
    (void)state;
    static const char text[] =
        START "{\"type\":\"started\",\"target\":0}\n{\"type\":\"sent\",\"target\":0}\n"
              "{\"type\":\"result\",\"result\":{\"host\":\"a\",\"status\":\"ok\"}}\n"
              "{\"type\":\"end\",\"exit_code\":0,\"counts\":{\"ok\":1}}\n";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct err e;
        struct record_run *run = read_text(text, n, n < sizeof START - 1 ? RC_CONFIG : RC_OK, &e);
        if (run == NULL)
            continue;
        assert_null(run->end_json);
        assert_int_equal(run->damaged, 0);
        assert_int_equal(run->hosts[1].status, STATUS_NOT_STARTED);
        record_run_free(run);
    }
}

/* A controller is killed: nothing that it was told is lost once it reached the file, and the lock
 * is gone with it. While it lives, readers see that. */
static void test_killed_writer(void **state)
{
    (void)state;
    int ready[2], hold[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(hold), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct record *r = open_one();
        struct spool spool;
        char back[4];
        size_t n;
        record_started(r, 0);
        record_sent(r, 0);
        record_started(r, 1);
        result(r, "{\"host\":\"web1\",\"status\":\"ok\"}");
        record_flush(r);
        /* A read waits for all that is queued. */
        record_spool(r, &spool);
        spool.append(spool.user, 0, false, "out", 3);
        spool.read(spool.user, 0, false, 0, back, sizeof back, &n);
        (void)!write(ready[1], "x", 1);
        (void)!read(hold[0], &byte, 1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    for (int reader = 0; reader < 2; reader++) {
        struct record_run *run = read_one("last");
        assert_true(run->alive);
        assert_null(run->end_json);
        record_run_free(run);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct record_run *run = read_one("last");
    assert_false(run->alive);
    assert_null(run->end_json);
    assert_int_equal(run->hosts[0].status, STATUS_OK);
    assert_int_equal(run->hosts[1].status, STATUS_UNKNOWN);
    assert_int_equal(run->hosts[2].status, STATUS_NOT_STARTED);
    record_run_free(run);
    struct record_summary *list;
    size_t count;
    struct err e;
    assert_int_equal(record_list(state_dir, 10, &list, &count, &e), RC_OK);
    assert_int_equal(count, 1);
    assert_false(list[0].finished || list[0].alive);
    record_list_free(list, count);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(hold[i]);
    }
}

static void test_spool(void **state)
{
    (void)state;
    struct record *r = open_one();
    struct spool spool;
    char back[64], path[256];
    size_t n;
    snprintf(path, sizeof path, "%s", record_id(r));
    record_spool(r, &spool);
    assert_int_equal(spool.read(spool.user, 1, false, 0, back, sizeof back, &n), RC_NOTFOUND);
    assert_int_equal(spool.append(spool.user, 1, false, "hello ", 6), RC_OK);
    assert_int_equal(spool.append(spool.user, 1, false, "world", 5), RC_OK);
    assert_int_equal(spool.append(spool.user, 1, true, "err", 3), RC_OK);
    assert_int_equal(spool.append(spool.user, 2, false, "db", 2), RC_OK);
    assert_int_equal(spool.read(spool.user, 1, false, 3, back, sizeof back, &n), RC_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(back, "lo world", 8);
    assert_int_equal(spool.read(spool.user, 1, true, 0, back, 2, &n), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(spool.read(spool.user, 1, true, 3, back, 2, &n), RC_OK);
    assert_int_equal(n, 0);
    close_one(r, 0);

    struct record_run *run = read_one("last");
    assert_int_equal(record_run_spool_size(run, 1, false), 11);
    assert_int_equal(record_run_spool_size(run, 0, false), 0);
    assert_int_equal(record_run_spool(run, 1, false, 6, back, sizeof back, &n), RC_OK);
    assert_int_equal(n, 5);
    assert_int_equal(record_run_spool(run, 0, false, 0, back, sizeof back, &n), RC_OK);
    assert_int_equal(n, 0);
    /* Names of hosts are no paths. */
    char want[256], file[300];
    path_of(want, sizeof want, run->id, ".d");
    snprintf(file, sizeof file, "%s/000002-db%%2f1.out", want);
    assert_int_equal(access(file, F_OK), 0);
    record_run_free(run);
}

/* A full disk, played by a limit on file sizes: whole lines stay, the loss is told. */
static void test_disk_full(void **state)
{
    (void)state;
    struct record *r = open_one();
    char path[256], line[400];
    struct stat st;
    path_of(path, sizeof path, record_id(r), ".ndjson");
    assert_int_equal(stat(path, &st), 0);
    struct rlimit was, now;
    getrlimit(RLIMIT_FSIZE, &was);
    now = was;
    now.rlim_cur = (rlim_t)st.st_size + 500;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    record_sent(r, 0);
    memset(line, 0, sizeof line);
    snprintf(line, sizeof line, "{\"host\":\"web1\",\"status\":\"ok\",\"stdout\":\"%0300d\"}", 1);
    result(r, line);
    result(r, line);
    result(r, line);
    uint32_t counts[STATUS_COUNT] = {[STATUS_OK] = 1};
    struct err e = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, &e), RC_SYS);
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(e.sys, EFBIG);
    assert_non_null(strstr(e.msg, "lacks 3 lines"));

    struct record_run *run = read_one("last");
    assert_int_equal(run->damaged, 0);
    assert_null(run->end_json);
    assert_true(run->hosts[0].sent && run->hosts[0].has_result);
    record_run_free(run);
}

/* The spool may run out of room too: later bytes are refused, what was asked back tells the truth.
 */
static void test_spool_full(void **state)
{
    (void)state;
    struct record *r = open_one();
    struct spool spool;
    struct rlimit was, now;
    static char block[64 * 1024], back[64 * 1024];
    size_t n;
    getrlimit(RLIMIT_FSIZE, &was);
    now = was;
    now.rlim_cur = 100 * 1024;
    signal(SIGXFSZ, SIG_IGN);
    record_spool(r, &spool);
    memset(block, 'x', sizeof block);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    assert_int_equal(spool.append(spool.user, 0, false, block, sizeof block), RC_OK);
    assert_int_equal(spool.append(spool.user, 0, false, block, sizeof block), RC_OK);
    spool.read(spool.user, 0, false, 0, back, sizeof back, &n);
    assert_int_equal(n, sizeof back);
    assert_int_equal(spool.append(spool.user, 0, false, block, sizeof block), RC_SYS);
    uint32_t counts[STATUS_COUNT] = {0};
    struct err e = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, &e), RC_SYS);
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, SIG_DFL);
    struct record_run *run = read_one("last");
    assert_non_null(run->end_json);
    record_run_free(run);
}

static void test_no_place(void **state)
{
    (void)state;
    struct record *r;
    struct err e = {0};
    struct record_start s = a_start();
    char path[128];
    snprintf(path, sizeof path, "%s/file", state_dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(record_open(&r, path, &s, &e), RC_SYS);
    assert_non_null(strstr(e.msg, "/file"));
    assert_int_equal(record_open(&r, "", &s, &e), RC_CONFIG);
    struct rlimit was, now;
    getrlimit(RLIMIT_FSIZE, &was);
    now = was;
    now.rlim_cur = 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
    assert_int_equal(record_open(&r, state_dir, &s, &e), RC_SYS);
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, SIG_DFL);
    assert_non_null(strstr(e.msg, "not started"));
    struct record_summary *list;
    size_t count;
    assert_int_equal(record_list(state_dir, 10, &list, &count, &e), RC_OK);
    assert_int_equal(count, 0);
    record_list_free(list, count);
}

/* Several controllers at once: no id is given twice. */
static void test_concurrent_ids(void **state)
{
    (void)state;
    enum { PROCESSES = 4, EACH = 50 };
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            for (int k = 0; k < EACH; k++)
                close_one(open_one(), 0);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    struct record_summary *list;
    size_t count;
    struct err e;
    assert_int_equal(record_list(state_dir, 1000, &list, &count, &e), RC_OK);
    assert_int_equal(count, PROCESSES * EACH);
    for (size_t i = 0; i + 1 < count; i++)
        assert_true(strcmp(list[i].id, list[i + 1].id) > 0);
    record_list_free(list, count);
}

static void test_list(void **state)
{
    (void)state;
    struct record_summary *list;
    size_t count;
    struct err e;
    assert_int_equal(record_list(state_dir, 10, &list, &count, &e), RC_OK);
    assert_int_equal(count, 0);
    record_list_free(list, count);
    close_one(open_one(), 2);
    struct record *r = open_one();
    assert_int_equal(record_list(state_dir, 10, &list, &count, &e), RC_OK);
    assert_int_equal(count, 2);
    size_t done = list[0].finished ? 0 : 1;
    assert_true(list[done].finished && !list[done].alive);
    assert_int_equal(list[done].exit_code, 2);
    assert_int_equal(list[done].ok, 2);
    assert_int_equal(list[done].targets, 3);
    assert_string_equal(list[done].command, "uptime");
    assert_true(!list[1 - done].finished && list[1 - done].alive);
    record_list_free(list, count);
    close_one(r, 0);
    assert_int_equal(record_list(state_dir, 1, &list, &count, &e), RC_OK);
    assert_int_equal(count, 1);
    record_list_free(list, count);
}

static void test_large(void **state)
{
    (void)state;
    enum { HOSTS = 5000 };
    static char names[HOSTS][16];
    static const char *targets[HOSTS];
    for (int i = 0; i < HOSTS; i++) {
        snprintf(names[i], sizeof names[i], "web%04d", i);
        targets[i] = names[i];
    }
    struct record_start s = a_start();
    s.targets = targets;
    s.target_count = HOSTS;
    struct record *r;
    struct err e;
    assert_int_equal(record_open(&r, state_dir, &s, &e), RC_OK);
    for (uint32_t i = 0; i < HOSTS; i++) {
        char json[400];
        record_started(r, i);
        record_sent(r, i);
        snprintf(json, sizeof json, "{\"host\":\"%s\",\"status\":\"%s\",\"stdout\":\"%0200d\"}",
                 targets[i], i % 10 ? "ok" : "failed", i);
        result(r, json);
        record_flush(r);
    }
    close_one(r, 2);
    struct record_run *run = read_one("last");
    assert_int_equal(run->host_count, HOSTS);
    for (uint32_t i = 0; i < HOSTS; i++) {
        assert_int_equal(run->hosts[i].status, i % 10 ? STATUS_OK : STATUS_FAILED);
        assert_true(run->hosts[i].sent);
    }
    struct buf json;
    char tail[32];
    buf_init(&json, 1000);
    assert_int_equal(record_run_result(run, HOSTS - 1, &json, &e), RC_OK);
    snprintf(tail, sizeof tail, "%d\"}", HOSTS - 1);
    assert_non_null(strstr(buf_cstr(&json), tail));
    buf_fini(&json);
    record_run_free(run);
}

/* Fails every allocation of a write in turn: the record is refused whole, or says what it lacks. */
static void test_no_memory_writing(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        size_t live = mem_live();
        struct record *r = NULL;
        struct err e;
        struct record_start s = a_start();
        mem_fail_after(n);
        enum rc rc = record_open(&r, state_dir, &s, &e);
        bool fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        if (r != NULL)
            close_one(r, 0);
        assert_int_equal(mem_live(), live);
        if (!fired)
            break;
    }
    struct record_summary *list;
    size_t count;
    struct err e;
    assert_int_equal(record_list(state_dir, 1000, &list, &count, &e), RC_OK);
    assert_int_equal(count, 1);
    record_list_free(list, count);

    struct record *r = open_one();
    mem_fail_after(0);
    record_sent(r, 0);
    assert_true(mem_fail_fired());
    mem_fail_after(-1);
    uint32_t counts[STATUS_COUNT] = {0};
    assert_int_equal(record_close(r, counts, 0, NULL, 1, &e), RC_SYS);
    assert_int_equal(e.sys, ENOMEM);
    struct record_run *run = read_one("last");
    json_t *end = json_loads(run->end_json, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(end, "lost_lines")), 1);
    json_decref(end);
    record_run_free(run);
}

static void test_no_memory_reading(void **state)
{
    (void)state;
    struct record *r = open_one();
    record_sent(r, 0);
    result(r, "{\"host\":\"web1\",\"status\":\"ok\"}");
    result(r, "{\"host\":\"web\xef\xbf\xbd"
              "2\",\"host_base64\":\"d2Vi/zI=\",\"status\":\"failed\"}");
    close_one(r, 0);
    for (int list = 0; list < 2; list++) {
        for (long n = 0;; n++) {
            size_t live = mem_live(), count = 0;
            struct record_run *run = NULL;
            struct record_summary *all = NULL;
            struct err e;
            mem_fail_after(n);
            enum rc rc = list ? record_list(state_dir, 10, &all, &count, &e)
                              : record_read(state_dir, "last", RECORD_ANY, &run, &e);
            bool fired = mem_fail_fired();
            mem_fail_after(-1);
            record_run_free(run);
            record_list_free(all, count);
            assert_int_equal(mem_live(), live);
            if (!fired) {
                assert_int_equal(rc, RC_OK);
                break;
            }
            /* One result by name may be dropped for want of memory, and is then counted. */
            assert_true(rc == RC_NOMEM || rc == RC_OK);
        }
    }
}

static void test_state_dir(void **state)
{
    (void)state;
    struct buf b;
    struct err e;
    const char *home = getenv("HOME");
    char *kept = home != NULL ? strdup(home) : NULL;
    buf_init(&b, 4096);
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/h/me", 1);
    assert_int_equal(record_state_dir(NULL, &b, &e), RC_OK);
    assert_string_equal(buf_cstr(&b), "/h/me/.local/state/muster");
    buf_reset(&b);
    setenv("XDG_STATE_HOME", "/x", 1);
    assert_int_equal(record_state_dir(NULL, &b, &e), RC_OK);
    assert_string_equal(buf_cstr(&b), "/x/muster");
    buf_reset(&b);
    assert_int_equal(record_state_dir("/s", &b, &e), RC_OK);
    assert_string_equal(buf_cstr(&b), "/s");
    buf_reset(&b);
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    assert_int_equal(record_state_dir(NULL, &b, &e), RC_CONFIG);
    if (kept != NULL)
        setenv("HOME", kept, 1);
    free(kept);
    buf_fini(&b);
    char digest[RECORD_DIGEST];
    record_digest(digest, "uptime", 6);
    assert_int_equal(strlen(digest), 8 + 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which, setup, teardown),
        cmocka_unit_test_setup_teardown(test_may_have_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_concurrent_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_writing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_dir, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
