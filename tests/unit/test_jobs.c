/* agent/jobs, jobs_attach, job_dir, keeper: detached commands for real, through the agent's real
 * engine, below a folder of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/job_dir.h"
#include "agent/procs.h"
#include "common/descriptors.h"
#include "tests/unit/agent_rig.h"

static char folder[] = "/tmp/muster-jobs-XXXXXX";
static uint64_t next_id;

/* ---- requests ---- */

struct ask {
    const char *run, *host, *shell, *program;
    uint64_t max_output;
    uint64_t from;
    bool follow;
};

static void put_exec(struct wire_out *w, const void *user)
{
    const struct ask *a = user;
    if (a->program != NULL) {
        wire_add_key(w, "argv");
        wire_add_array(w, 1);
        wire_add_bin(w, a->program, strlen(a->program));
    } else {
        wire_put_bin(w, "shell", a->shell, strlen(a->shell));
    }
    wire_add_key(w, "detach");
    wire_add_map(w, 2 + (a->max_output > 0));
    wire_put_str(w, "run", a->run);
    wire_put_str(w, "host", a->host != NULL ? a->host : "web1");
    if (a->max_output > 0)
        wire_put_u64(w, "max_output", a->max_output);
}

static void detach(const struct ask *a)
{
    rig_request(++next_id, "exec", 2, put_exec, a, 0);
    rig_until_end();
}

static void detached(const struct ask *a)
{
    detach(a);
    assert_string_equal(rig.status, "ok");
    assert_int_equal(rig.exit, -1);
    assert_int_equal(rig.replies, 1);
}

static void put_named(struct wire_out *w, const void *user)
{
    const struct ask *a = user;
    wire_put_str(w, "run", a->run);
    if (a->host != NULL)
        wire_put_str(w, "host", a->host);
    if (a->from > 0)
        wire_put_u64(w, "from_stdout", a->from);
    if (a->follow)
        wire_put_bool(w, "follow", true);
}

static void begin(const char *op, const struct ask *a)
{
    rig_request(++next_id, op, 1u + (a->host != NULL) + (a->from > 0) + a->follow, put_named, a, 0);
}

static void named(const char *op, const struct ask *a)
{
    begin(op, a);
    rig_until_end();
}

struct listed {
    char run[80], host[300], state[16];
    uint64_t out, dropped;
    int64_t exit;
};

/* The job's REPLY of a listing; false: it is not in there. */
static bool listed(const char *run, struct listed *l)
{
    struct wire_map m;
    bool found = false;
    rig_request(++next_id, "jobs", 0, NULL, NULL, 0);
    rig_until_end();
    assert_string_equal(rig.status, "ok");
    for (size_t i = 0; i < rig.replies && !found; i++) {
        memset(l, 0, sizeof *l);
        assert_int_equal(wire_open(&m, rig.reply[i], rig.reply_len[i], NULL), RC_OK);
        wire_str_to(&m, "run", l->run, sizeof l->run);
        wire_str_to(&m, "host", l->host, sizeof l->host);
        wire_str_to(&m, "state", l->state, sizeof l->state);
        wire_u64(&m, "stdout", UINT64_MAX, &l->out);
        wire_u64(&m, "stdout_dropped", UINT64_MAX, &l->dropped);
        wire_i64(&m, "exit", -1, 255, &l->exit);
        wire_close(&m);
        found = strcmp(l->run, run) == 0;
    }
    return found;
}

static int open_rig(void **state)
{
    (void)state;
    rig_open();
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close();
    return mem_live() == 0 ? 0 : -1;
}

/* A fifo that a job waits at: it goes on when a line is written. */
static int open_gate(char path[128])
{
    static unsigned n;
    snprintf(path, 128, "%s/gate%u", folder, n++);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void let_through(int gate)
{
    assert_int_equal(write(gate, "go\n", 3), 3);
}

static void reopen(void)
{
    serve_eof(rig.s, clock_ms());
    while (!serve_finished(rig.s))
        rig_turn();
    rig_close();
    rig_open();
}

/* ---- a life ---- */

static void test_life(void **state)
{
    (void)state;
    char gate[128], text[256];
    struct listed l;
    int fd = open_gate(gate);
    snprintf(text, sizeof text, "echo first; echo oops >&2; read x < %s; echo second; exit 3",
             gate);
    const struct ask a = {.run = "life-1", .shell = text, .follow = true};
    detached(&a);
    reopen(); /* it outlives the agent */
    assert_true(listed("life-1", &l));
    assert_string_equal(l.state, "running");
    assert_string_equal(l.host, "web1");
    named("collect", &(struct ask){.run = "life-1"});
    assert_string_equal(rig.status, "busy");
    begin("attach", &a);
    rig_until_output(6);
    assert_false(rig.ended);
    let_through(fd);
    rig_until_end();
    assert_string_equal(rig.out, "first\nsecond\n");
    assert_string_equal(rig.err, "oops\n");
    assert_string_equal(rig.problem, "exit-nonzero");
    assert_int_equal(rig.exit, 3);
    named("attach", &(struct ask){.run = "life-1", .from = 6});
    assert_string_equal(rig.out, "second\n");
    assert_true(listed("life-1", &l));
    assert_string_equal(l.state, "ended");
    assert_int_equal(l.exit, 3);
    named("collect", &(struct ask){.run = "life-1"});
    assert_string_equal(rig.status, "ok");
    assert_false(listed("life-1", &l));
    named("attach", &(struct ask){.run = "life-1"});
    assert_string_equal(rig.problem, "job-not-found");
    close(fd);
}

/* Credit is there, but nobody takes what is written: it waits, and does not look again at once. */
static void test_slow_reader(void **state)
{
    (void)state;
    static struct pollfd fds[SERVE_MAX_FDS];
    enum { SIZE = 3000000, WINDOW = 4 << 20 };
    const struct ask a = {.run = "slow", .shell = "head -c 3000000 /dev/zero", .follow = true};
    detached(&a);
    named("attach", &a);
    assert_string_equal(rig.status, "ok");
    rig_request(++next_id, "attach", 2, put_named, &(struct ask){.run = "slow", .follow = true},
                WINDOW);
    for (unsigned i = 0; i < 100; i++) { /* the queue is full well before that */
        (void)serve_fds(rig.s, fds);
        serve_turn(rig.s, fds, clock_ms());
    }
    assert_true(serve_wake_at(rig.s) > clock_ms());
    rig_until_end(); /* and room for it is all it needs */
    assert_int_equal(rig.n_out, SIZE);
    named("collect", &(struct ask){.run = "slow"});
    assert_string_equal(rig.status, "ok");
}

static void test_capped(void **state)
{
    (void)state;
    struct listed l;
    detached(&(struct ask){.run = "cap", .shell = "yes | head -c 5000000", .max_output = 1000});
    named("attach", &(struct ask){.run = "cap", .follow = true});
    assert_int_equal(rig.n_out, 1000);
    assert_string_equal(rig.status, "ok");
    assert_true(listed("cap", &l));
    assert_int_equal(l.out, 1000);
    assert_int_equal(l.dropped, 5000000 - 1000);
    named("collect", &(struct ask){.run = "cap"});
}

static void test_twice(void **state)
{
    (void)state;
    detached(&(struct ask){.run = "twice", .shell = "true"});
    detach(&(struct ask){.run = "twice", .shell = "true"});
    assert_string_equal(rig.status, "refused");
    assert_non_null(strstr(rig.detail, "already"));
    /* Another host of the same run may share the home. */
    detached(&(struct ask){.run = "twice", .host = "web/2: x", .shell = "echo two"});
    named("attach", &(struct ask){.run = "twice", .follow = true});
    assert_string_equal(rig.problem, "job-unreadable");
    assert_non_null(strstr(rig.detail, "several"));
    named("attach", &(struct ask){.run = "twice", .host = "web/2: x", .follow = true});
    assert_string_equal(rig.out, "two\n");
    named("attach", &(struct ask){.run = "twice", .host = "web1", .follow = true});
    named("collect", &(struct ask){.run = "twice", .host = "web/2: x"});
    assert_string_equal(rig.status, "ok");
    named("collect", &(struct ask){.run = "twice"});
    assert_string_equal(rig.status, "ok");
}

static void test_cannot_start(void **state)
{
    (void)state;
    struct listed l;
    detach(&(struct ask){.run = "nothing", .program = "/nonexistent/x"});
    assert_string_equal(rig.problem, "exec-failed");
    assert_false(listed("nothing", &l)); /* no trace of it */
    detach(&(struct ask){.run = "../x", .shell = "true"});
    assert_string_equal(rig.status, "refused");
    named("collect", &(struct ask){.run = ".."});
    assert_string_equal(rig.status, "refused");
}

/* ---- being ended ---- */

static void test_kill(void **state)
{
    (void)state;
    detached(&(struct ask){.run = "kill", .shell = "setsid sleep 1000 & sleep 1000"});
    named("kill", &(struct ask){.run = "kill"});
    assert_string_equal(rig.status, "cancelled");
    assert_string_equal(rig.killed, "cancel");
    assert_string_equal(rig.signal, "TERM");
    named("kill", &(struct ask){.run = "kill"}); /* one that has ended stays as it ended */
    assert_string_equal(rig.killed, "cancel");
    named("collect", &(struct ask){.run = "kill"});
    assert_string_equal(rig.status, "ok");
}

/* Orders that wait together: the least grace of them, whatever stands between. */
static void test_orders(void **state)
{
    (void)state;
    struct err e;
    struct job j;
    uint64_t grace_ms = 0;
    assert_int_equal(job_create(&j, "orders", "h", 1000, environ, &e), RC_OK);
    assert_false(job_order(&j, &grace_ms));
    assert_true(job_tell(j.dir, 60000));
    assert_true(job_order(&j, &grace_ms));
    assert_int_equal(grace_ms, 60000);
    for (unsigned i = 0; i < 20; i++)
        assert_true(job_tell(j.dir, 60000));
    assert_true(job_tell(j.dir, 500));
    assert_true(job_tell(j.dir, 60000));
    assert_true(job_order(&j, &grace_ms));
    assert_int_equal(grace_ms, 500);
    assert_false(job_order(&j, &grace_ms)); /* all of them were taken */
    static const char noise[] = "stop\nstop x\nstop 7\nhalt 5\nstop 3";
    assert_int_equal(write(j.orders, noise, sizeof noise - 1), (ssize_t)(sizeof noise - 1));
    assert_true(job_order(&j, &grace_ms));
    assert_int_equal(grace_ms, 7);
    assert_false(job_order(&j, &grace_ms));
    job_remove(&j);
}

static void read_status(const char *name, struct job_status *st)
{
    char path[256];
    snprintf(path, sizeof path, "%s/muster/jobs/%s", folder, name);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    assert_true(job_look(dir, name, st));
    close(dir);
}

/* The keeper is killed: the job is lost, whoever follows it is told, and its command can be ended.
 */
static void test_lost(void **state)
{
    (void)state;
    char gate[128], text[256];
    struct job_status st;
    struct proc p;
    struct listed l;
    int fd = open_gate(gate);
    snprintf(text, sizeof text, "exec 3<>%s; echo up; read x <&3", gate);
    detached(&(struct ask){.run = "lost", .shell = text});
    read_status("lost@web1", &st);
    assert_int_equal(st.state, JOB_RUNNING);
    assert_true(procs_look(st.pid, &p) && p.start == st.start);
    begin("attach", &(struct ask){.run = "lost", .follow = true});
    rig_until_output(3);
    assert_int_equal(kill(p.parent, SIGKILL), 0);
    rig_until_end();
    assert_string_equal(rig.problem, "job-lost");
    assert_true(rig.may_run);
    assert_true(listed("lost", &l));
    assert_string_equal(l.state, "lost");
    named("kill", &(struct ask){.run = "lost"});
    assert_string_equal(rig.problem, "job-lost");
    while (procs_look(st.pid, &p) && p.start == st.start && p.state != 'Z')
        sched_yield();
    named("collect", &(struct ask){.run = "lost"});
    assert_string_equal(rig.status, "ok");
    close(fd);
}

/* A status of another boot, and one whose process is another's by now: nothing is signalled. */
static void test_recycled(void **state)
{
    (void)state;
    char path[256], boot[JOB_BOOT_ID], text[512];
    struct listed l;
    int hold[2];
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    pid_t other = fork();
    if (other == 0) {
        char c;
        close(hold[1]);
        (void)!read(hold[0], &c, 1);
        _exit(7);
    }
    job_boot_id(boot);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/muster/jobs/old%u", folder, i);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(text, sizeof text, "%s/status", path);
        FILE *f = fopen(text, "w");
        fprintf(f, "version 1\nstate running\npid %d\nstart 1\nboot_id %s\n", (int)other,
                i == 0 ? boot : "another");
        fclose(f);
        snprintf(text, sizeof text, "old%u", i);
        assert_true(listed(text, &l));
        assert_string_equal(l.state, "lost");
        named("kill", &(struct ask){.run = text});
        assert_string_equal(rig.problem, "job-lost");
        assert_false(rig.may_run);
        named("collect", &(struct ask){.run = text});
        assert_string_equal(rig.status, "ok");
    }
    struct proc p;
    assert_true(procs_look(other, &p));
    assert_true(p.state == 'S' || p.state == 'R');
    close(hold[1]);
    close(hold[0]);
}

/* ---- the agent's end ---- */

/* The agent lets a job go and ends, with the keeper's words unread: it stays promised. */
static void test_let_go_with_words_unread(void **state)
{
    (void)state;
    char gate[128], text[256];
    struct job j;
    struct keeper k;
    struct proc p = {0};
    struct pollfd word;
    int fd = open_gate(gate);
    snprintf(text, sizeof text, "read x < %s; echo done", gate);
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, text, NULL};
    assert_int_equal(job_create(&j, "unread", "web1", 1000, environ, NULL), RC_OK);
    struct keeper_spec spec = {
        .spawn = {.argv = argv, .envp = environ, .mask = -1}, .lives_on = true, .job = &j};
    assert_int_equal(keeper_start(&k, &spec, NULL), RC_OK);
    word = (struct pollfd){k.control, POLLIN, 0};
    assert_int_equal(poll(&word, 1, -1), 1);
    assert_true(job_look(j.dir, j.name, &j.status) && procs_look(j.status.pid, &p));
    assert_int_equal(kill(p.parent, SIGSTOP), 0); /* so that it finds both at once */
    keeper_tell(&k, &(struct keeper_order){.what = KEEPER_GO});
    job_close(&j);
    keeper_close(&k);
    assert_int_equal(kill(p.parent, SIGCONT), 0);
    let_through(fd);
    named("attach", &(struct ask){.run = "unread", .follow = true});
    assert_string_equal(rig.status, "ok");
    assert_string_equal(rig.out, "done\n");
    named("collect", &(struct ask){.run = "unread"});
    assert_string_equal(rig.status, "ok");
    close(fd);
}

/* Likewise the other way: a keeper's last word outlives an order that it did not read. */
static void test_last_word_with_orders_unread(void **state)
{
    (void)state;
    int s[2];
    struct keeper_word w = {.event = KEEPER_GONE, .status = 7};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    struct keeper k = {s[0], -1, -1, -1, -1};
    keeper_tell(&k, &(struct keeper_order){.what = KEEPER_STOP});
    assert_int_equal(send(s[1], &w, sizeof w, 0), sizeof w);
    close(s[1]);
    w.status = 0;
    assert_int_equal(keeper_read(&k, &w), 1);
    assert_int_equal(w.status, 7);
    assert_int_equal(keeper_read(&k, &w), -1);
    keeper_close(&k);
}

/* ---- folders ---- */

static void test_folder_of_others(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/muster/jobs", folder);
    assert_int_equal(chmod(path, 0770), 0);
    detach(&(struct ask){.run = "open", .shell = "true"});
    assert_string_equal(rig.status, "refused");
    assert_int_equal(chmod(path, 0700), 0);
    setenv("XDG_STATE_HOME", "", 1);
    setenv("HOME", "", 1);
    detach(&(struct ask){.run = "open", .shell = "true"});
    assert_string_equal(rig.status, "refused");
    assert_non_null(strstr(rig.detail, "HOME"));
    setenv("HOME", folder, 1); /* ~/.local/state is made */
    detached(&(struct ask){.run = "home", .shell = "true"});
    named("attach", &(struct ask){.run = "home", .follow = true});
    named("collect", &(struct ask){.run = "home"});
    assert_string_equal(rig.status, "ok");
    setenv("XDG_STATE_HOME", folder, 1);
}

/* ---- failing allocations ---- */

static void fail_each(const char *op, const struct ask *a)
{
    bool fired = true;
    for (long n = 0; fired; n++) {
        rig_open();
        rig_fail_after = n;
        begin(op, a);
        if (serve_result(rig.s) == RC_OK)
            rig_until_end();
        fired = mem_fail_fired() != 0;
        rig_fail_after = -1;
        mem_fail_after(-1);
        rig_close();
        assert_int_equal(mem_live(), 0);
    }
}

static void test_no_memory(void **state)
{
    detached(&(struct ask){.run = "memory", .shell = "echo x"});
    named("attach", &(struct ask){.run = "memory", .follow = true});
    rig_close();
    fail_each("attach", &(struct ask){.run = "memory", .follow = true});
    fail_each("jobs", &(struct ask){.run = "memory"});
    fail_each("kill", &(struct ask){.run = "memory"});
    (void)open_rig(state);
    named("collect", &(struct ask){.run = "memory"});
    assert_string_equal(rig.status, "ok");
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_life),
        RIG_TEST(test_capped),
        RIG_TEST(test_twice),
        RIG_TEST(test_cannot_start),
        RIG_TEST(test_kill),
        RIG_TEST(test_lost),
        RIG_TEST(test_recycled),
        RIG_TEST(test_let_go_with_words_unread),
        RIG_TEST(test_last_word_with_orders_unread),
        RIG_TEST(test_no_memory),
        RIG_TEST(test_folder_of_others),
        RIG_TEST(test_slow_reader),
        RIG_TEST(test_orders),
    };
    signal(SIGPIPE, SIG_IGN); /* as the agent does (agent/limits.c) */
    if (mkdtemp(folder) == NULL || setenv("XDG_STATE_HOME", folder, 1) != 0)
        return 1;
    unsigned before = descriptors_open();
    int failed = cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
    if (descriptors_open() != before) {
        fprintf(stderr, "descriptors leak: %u, then %u\n", before, descriptors_open());
        failed++;
    }
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return failed + (system(command) != 0);
}
