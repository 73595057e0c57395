/* agent/exec, exec_request, spawn, keeper: commands for real, under a real keeper, through the
 * agent's real engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/exec.h"
#include "agent/procs.h"
#include "common/descriptors.h"
#include "tests/unit/agent_rig.h"

static char folder[] = "/tmp/muster-exec-XXXXXX";

/* ---- requests ---- */

struct ask {
    const char *shell;
    const char *const *argv;
    const char *const *env;
    const char *cwd;
    int mask; /* 0: not given */
    bool clear, input, lives_on;
    uint64_t timeout_ms, grace_ms;
    const char *limit;
    uint64_t limit_value, window;
};

static void put_list(struct wire_out *w, const char *key, const char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL)
        n++;
    wire_add_key(w, key);
    wire_add_array(w, n);
    for (size_t i = 0; i < n; i++)
        wire_add_bin(w, list[i], strlen(list[i]));
}

static size_t members(const struct ask *a)
{
    return (size_t)(a->shell != NULL) + (a->argv != NULL) + (a->env != NULL) + (a->cwd != NULL) +
           (a->mask != 0) + a->clear + a->input + a->lives_on + (a->timeout_ms > 0) +
           (a->grace_ms > 0) + (a->limit != NULL);
}

static void put(struct wire_out *w, const void *user)
{
    const struct ask *a = user;
    if (a->shell != NULL)
        wire_put_bin(w, "shell", a->shell, strlen(a->shell));
    if (a->argv != NULL)
        put_list(w, "argv", a->argv);
    if (a->env != NULL)
        put_list(w, "env", a->env);
    if (a->cwd != NULL)
        wire_put_bin(w, "cwd", a->cwd, strlen(a->cwd));
    if (a->mask != 0)
        wire_put_u64(w, "umask", (uint64_t)a->mask);
    if (a->clear)
        wire_put_bool(w, "clear_env", true);
    if (a->input)
        wire_put_bool(w, "stdin", true);
    if (a->lives_on)
        wire_put_str(w, "on_disconnect", "continue");
    if (a->timeout_ms > 0)
        wire_put_u64(w, "timeout_ms", a->timeout_ms);
    if (a->grace_ms > 0)
        wire_put_u64(w, "grace_ms", a->grace_ms);
    if (a->limit != NULL) {
        wire_add_key(w, "limits");
        wire_add_map(w, 1);
        wire_put_u64(w, a->limit, a->limit_value);
    }
}

static void ask(const struct ask *a)
{
    static uint64_t id;
    rig_request(++id, "exec", members(a), put, a, a->window);
}

static void run(const struct ask *a)
{
    ask(a);
    rig_until_end();
    assert_true(rig.ended);
}

static void ends(const char *status, const char *problem, int exit, const char *signal)
{
    assert_string_equal(rig.status, status);
    assert_string_equal(rig.problem, problem);
    assert_int_equal(rig.exit, exit);
    assert_string_equal(rig.signal, signal);
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

/* A fifo that a command's processes hold open for writing: its end is the end of the last of them.
 */
static int open_witness(char path[128])
{
    static unsigned n;
    snprintf(path, 128, "%s/witness%u", folder, n++);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Waits for a writer's line, then (with `end`) for all writers to be gone. */
static void await_witness(int fd, bool end)
{
    char c;
    struct pollfd p = {fd, POLLIN, 0};
    for (;;) {
        assert_int_equal(poll(&p, 1, -1), 1);
        ssize_t n = read(fd, &c, 1);
        if (n == 0 || (n == 1 && c == '\n' && !end))
            return;
    }
}

/* ---- ends ---- */

static void test_exit_codes(void **state)
{
    (void)state;
    static const char *const echo[] = {"echo", "a b", "", NULL};
    run(&(struct ask){.argv = echo});
    ends("ok", "", 0, "");
    assert_string_equal(rig.out, "a b \n");
    assert_int_equal(rig.replies, 1);
    run(&(struct ask){.shell = "echo out; echo err >&2; exit 44"});
    ends("failed", "exit-nonzero", 44, "");
    assert_string_equal(rig.out, "out\n");
    assert_string_equal(rig.err, "err\n");
    run(&(struct ask){.shell = "kill -TERM $$"});
    ends("failed", "killed-by-signal", -1, "TERM");
    assert_string_equal(rig.killed, "");
    run(&(struct ask){.shell = "exec >&- 2>&-; exit 5"}); /* its streams end before it does */
    ends("failed", "exit-nonzero", 5, "");
}

static void test_cannot_start(void **state)
{
    (void)state;
    char path[128];
    static const char *none[] = {"/nonexistent/x", NULL}, *word[] = {"no-such-program", NULL},
                      *plain[] = {NULL, NULL};
    run(&(struct ask){.argv = none});
    ends("failed", "exec-failed", -1, "");
    assert_non_null(strstr(rig.detail, "/nonexistent/x: No such file"));
    assert_int_equal(rig.replies, 0);
    run(&(struct ask){.argv = word});
    assert_non_null(strstr(rig.detail, "no-such-program: No such file"));
    run(&(struct ask){.shell = "true", .cwd = "/nonexistent"});
    ends("failed", "cwd-failed", -1, "");
    assert_non_null(strstr(rig.detail, "/nonexistent: No such file"));
    snprintf(path, sizeof path, "%s/plain", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    plain[0] = path;
    run(&(struct ask){.argv = plain});
    assert_string_equal(rig.problem, "exec-failed");
    assert_non_null(strstr(rig.detail, "Permission denied"));
}

static void test_script_without_interpreter(void **state)
{
    (void)state;
    char path[128];
    const char *argv[] = {path, "word", NULL};
    snprintf(path, sizeof path, "%s/script", folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0700);
    assert_int_equal(write(fd, "echo $1\n", 8), 8);
    close(fd);
    run(&(struct ask){.argv = argv});
    ends("ok", "", 0, "");
    assert_string_equal(rig.out, "word\n");
}

static void refused(const struct ask *a)
{
    run(a);
    assert_string_equal(rig.status, "refused");
    assert_non_null(strstr(rig.detail, "exec: "));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const t[] = {"true", NULL}, *const empty[] = {"", NULL},
                             *const env[] = {"NOVALUE", NULL};
    refused(&(struct ask){.clear = true});
    refused(&(struct ask){.argv = t, .shell = "true"});
    refused(&(struct ask){.argv = empty});
    refused(&(struct ask){.argv = t, .env = env});
    refused(&(struct ask){.argv = t, .mask = 01000});
    refused(&(struct ask){.argv = t, .limit = "stack", .limit_value = 1});
    assert_true(exec_run_valid("20260102-abc"));
    assert_false(exec_run_valid(""));
    assert_false(exec_run_valid(".."));
    assert_false(exec_run_valid("a/b"));
    assert_false(exec_run_valid("-rf"));
    assert_false(
        exec_run_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

/* ---- surroundings ---- */

static void test_surroundings(void **state)
{
    (void)state;
    static const char *const env[] = {"MUSTER_X=one", "MUSTER_X=two", "PATH=/usr/bin:/bin", NULL};
    run(&(struct ask){.shell = "pwd; umask; echo $MUSTER_X; ulimit -n",
                      .cwd = "/usr",
                      .mask = 0127,
                      .env = env,
                      .limit = "nofile",
                      .limit_value = 64});
    assert_string_equal(rig.out, "/usr\n0127\ntwo\n64\n");
    run(&(struct ask){.shell = "echo ${HOME-none}", .clear = true});
    assert_string_equal(rig.out, "none\n");
    setenv("MUSTER_KEPT", "yes", 1);
    run(&(struct ask){.shell = "echo $MUSTER_KEPT"});
    assert_string_equal(rig.out, "yes\n");
}

/* Nothing of ours is inherited: no descriptor, no ignored or blocked signal, no session. */
static void test_nothing_inherited(void **state)
{
    (void)state;
    int loose = dup(2); /* without close-on-exec */
    struct sigaction old, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &old);
    run(&(struct ask){.shell = "ls /proc/self/fd | tr '\\n' ' '"});
    assert_string_equal(rig.out, "0 1 2 3 "); /* 3 is ls reading that folder */
    run(&(struct ask){.shell = "grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'"});
    assert_string_equal(rig.out, "SigBlk:0000000000000000SigIgn:0000000000000000");
    run(&(struct ask){
        .shell = "read -r p c s pp g sid x < /proc/$$/stat; echo $(($p-$sid)) $(($p-$g))"});
    assert_string_equal(rig.out, "0 0\n");
    sigaction(SIGPIPE, &old, NULL);
    close(loose);
}

static void test_given_limits(void **state)
{
    (void)state;
    /* The engine of this rig has no struct limits; a limit above the hard one cannot be had. */
    struct rlimit r;
    getrlimit(RLIMIT_NPROC, &r);
    if (geteuid() == 0 || r.rlim_max == RLIM_INFINITY)
        skip();
    run(&(struct ask){.shell = "true", .limit = "nproc", .limit_value = r.rlim_max + 1});
    assert_string_equal(rig.problem, "limit-failed");
}

/* ---- input ---- */

static void test_input(void **state)
{
    (void)state;
    static const char *const cat[] = {"cat", NULL};
    char part[60000];
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof part; i++)
        part[i] = (char)(i * 7);
    ask(&(struct ask){.argv = cat, .input = true});
    for (unsigned i = 0; i < 20; i++) {
        while (rig.taken + AGENT_INPUT_WINDOW < (i + 1) * sizeof part)
            rig_turn();
        rig_input(part, sizeof part, i == 19);
    }
    rig_until_end();
    for (size_t i = 0; i < 20 * sizeof part; i++)
        sum += (uint64_t)(uint8_t)part[i % sizeof part] * (i + 1);
    ends("ok", "", 0, "");
    assert_int_equal(rig.n_out, 20 * sizeof part);
    assert_true(rig.sum == sum);
}

/* A command that does not read: all is taken, nothing is an error. */
static void test_input_not_read(void **state)
{
    (void)state;
    static char part[60000];
    ask(&(struct ask){.shell = "exec <&-; echo closed; read x; sleep 0; echo end", .input = true});
    rig_until_output(7);
    for (unsigned i = 0; i < 4; i++)
        rig_input(part, sizeof part, i == 3);
    rig_until_end();
    ends("ok", "", 0, "");
    run(&(struct ask){.shell = "cat"}); /* without stdin it is empty */
    ends("ok", "", 0, "");
}

static void test_input_last_empty(void **state)
{
    (void)state;
    ask(&(struct ask){.shell = "wc -c", .input = true});
    rig_input("", 0, true);
    rig_until_end();
    assert_int_equal(strtol(rig.out, NULL, 10), 0);
    ends("ok", "", 0, "");
}

/* ---- output ---- */

static void test_flood(void **state)
{
    (void)state;
    struct rusage before, after;
    rig.auto_credit = 16 * 1024;
    getrusage(RUSAGE_SELF, &before);
    run(&(struct ask){.shell = "head -c 100000000 /dev/zero; echo end >&2", .window = 16 * 1024});
    getrusage(RUSAGE_SELF, &after);
    rig.auto_credit = 64 * 1024;
    ends("ok", "", 0, "");
    assert_int_equal(rig.n_out, 100000000);
    assert_string_equal(rig.err, "end\n");
#ifndef __SANITIZE_ADDRESS__                                    /* which keeps what was freed */
    assert_true(after.ru_maxrss - before.ru_maxrss < 4 * 1024); /* KiB */
#endif
}

/* No credit: the command stands at its full pipe, and all it wrote comes once there is some. */
static void test_no_credit(void **state)
{
    (void)state;
    char path[128];
    int fd = open_witness(path);
    char text[256];
    rig.auto_credit = 0;
    snprintf(text, sizeof text,
             "exec 3>%s; echo begun >&3; head -c 300000 /dev/zero; echo past >&3", path);
    ask(&(struct ask){.shell = text, .window = 1000});
    await_witness(fd, false);
    while (rig.n_out + rig.reply_len[0] < 1000)
        rig_turn();
    assert_false(rig.ended);
    assert_true(rig.n_out <= 1000);
    struct pollfd p = {fd, POLLIN, 0};
    assert_int_equal(poll(&p, 1, 0), 0); /* it is not past it */
    rig_credit(1 << 20);
    rig_until_end();
    rig.auto_credit = 64 * 1024;
    assert_int_equal(rig.n_out, 300000);
    ends("ok", "", 0, "");
    close(fd);
}

/* ---- what is left ---- */

static void test_stragglers(void **state)
{
    (void)state;
    char path[128], text[256];
    int fd = open_witness(path);
    snprintf(text, sizeof text, "exec 3>%s; (sleep 1000) & echo going", path);
    run(&(struct ask){.shell = text});
    ends("ok", "", 0, "");
    assert_string_equal(rig.out, "going\n");
    assert_int_equal(rig.left, 1);
    await_witness(fd, true);
    close(fd);
}

/* What goes into a session of its own is found where we are to leave nothing ... */
static void test_daemon_killed(void **state)
{
    (void)state;
    char path[128], text[256];
    int fd = open_witness(path);
    snprintf(
        text, sizeof text,
        "exec 3>%s; setsid sh -c 'echo up >&3; setsid sleep 1000 & sleep 1000' >&- 2>&- & exit 3",
        path);
    run(&(struct ask){.shell = text});
    ends("failed", "exit-nonzero", 3, "");
    assert_true(rig.left >= 1);
    await_witness(fd, true);
    close(fd);
}

/* ... and stays where it may: it ends only when it is told by the fifo's reader that is no more. */
static void test_daemon_stays(void **state)
{
    (void)state;
    char path[128], go[128], text[512];
    int fd = open_witness(path), go_fd = open_witness(go);
    close(go_fd);
    go_fd = open(go, O_RDWR | O_CLOEXEC);
    snprintf(text, sizeof text,
             "exec 3>%s; setsid sh -c 'echo up >&3; read x < %s; echo told >&3' >&- 2>&- <&- &",
             path, go);
    run(&(struct ask){.shell = text, .lives_on = true});
    ends("ok", "", 0, "");
    assert_int_equal(rig.left, 0);
    await_witness(fd, false);
    assert_int_equal(write(go_fd, "go\n", 3), 3);
    await_witness(fd, false);
    await_witness(fd, true);
    close(go_fd);
    close(fd);
}

/* ---- being ended ---- */

static void test_timeout(void **state)
{
    (void)state;
    run(&(struct ask){.shell = "sleep 1000", .timeout_ms = 100});
    ends("failed", "run-timeout", -1, "TERM");
    assert_string_equal(rig.killed, "timeout");
    run(&(struct ask){
        .shell = "trap '' TERM; while :; do sleep 1000; done", .timeout_ms = 100, .grace_ms = 100});
    ends("failed", "run-timeout", -1, "KILL");
}

static void test_cancel(void **state)
{
    (void)state;
    char path[128], text[256];
    int fd = open_witness(path);
    snprintf(text, sizeof text, "exec 3>%s; setsid sleep 1000 & sleep 1000 & echo up >&3; wait",
             path);
    ask(&(struct ask){.shell = text});
    await_witness(fd, false);
    rig_until_reply();
    rig_cancel(5000);
    rig_until_end();
    ends("cancelled", "cancelled", -1, "TERM");
    await_witness(fd, true);
    close(fd);
}

/* A cancel is not held up by output that nobody takes. */
static void test_cancel_without_credit(void **state)
{
    (void)state;
    rig.auto_credit = 0;
    ask(&(struct ask){.shell = "trap '' TERM; cat /dev/zero", .window = 1000});
    rig_until_output(1);
    rig_cancel(0);
    rig_until_end();
    rig.auto_credit = 64 * 1024;
    ends("cancelled", "cancelled", -1, "KILL");
}

static void hang_up(void)
{
    serve_eof(rig.s, clock_ms());
    while (!serve_finished(rig.s))
        rig_turn();
}

static void test_hangup(void **state)
{
    (void)state;
    char path[128], text[256];
    int fd = open_witness(path);
    snprintf(
        text, sizeof text,
        "exec 3>%s; trap '' TERM; setsid sleep 1000 & echo up >&3; while :; do sleep 1000; done",
        path);
    ask(&(struct ask){.shell = text});
    await_witness(fd, false);
    hang_up();
    await_witness(fd, true); /* TERM ignored: KILL came */
    close(fd);
}

/* It goes on, and its output does not stop it: more than a pipe holds. */
static void test_hangup_lives_on(void **state)
{
    (void)state;
    char path[128], text[256];
    int fd = open_witness(path);
    snprintf(text, sizeof text,
             "exec 3>%s; echo up >&3; head -c 1000000 /dev/zero && echo done >&3", path);
    rig.auto_credit = 0;
    ask(&(struct ask){.shell = text, .lives_on = true, .window = 1000});
    await_witness(fd, false);
    hang_up();
    await_witness(fd, false);
    await_witness(fd, true);
    close(fd);
}

/* The agent killed outright: to the keeper it is the same. */
static void test_agent_killed(void **state)
{
    (void)state;
    char path[128], text[256];
    int fd = open_witness(path);
    snprintf(text, sizeof text, "exec 3>%s; sleep 1000 & echo up >&3; wait", path);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        ask(&(struct ask){.shell = text});
        for (;;)
            rig_turn();
    }
    await_witness(fd, false);
    assert_int_equal(kill(pid, SIGKILL), 0);
    await_witness(fd, true);
    close(fd);
}

/* ---- failing allocations ---- */

static void test_no_memory(void **state)
{
    static const char *const env[] = {"A=b", NULL}, *const argv[] = {"echo", "x", NULL};
    bool fired = true;
    rig_close();
    for (long n = 0; fired; n++) {
        rig_open();
        rig_fail_after = n;
        ask(&(struct ask){.argv = argv, .env = env, .cwd = "/", .input = true});
        if (serve_result(rig.s) == RC_OK) {
            rig_until_end();
            fired = mem_fail_fired() != 0;
            if (rig.ended && strcmp(rig.detail, "out of memory") != 0)
                ends("ok", "", 0, "");
        } else {
            fired = mem_fail_fired() != 0;
        }
        rig_fail_after = -1;
        mem_fail_after(-1);
        rig_close();
        assert_int_equal(mem_live(), 0);
    }
    (void)open_rig(state);
    run(&(struct ask){.argv = argv, .env = env});
    ends("ok", "", 0, "");
}

/* ---- processes ---- */

static void test_procs(void **state)
{
    (void)state;
    struct proc p, *list;
    assert_true(procs_look(getpid(), &p));
    assert_int_equal(p.parent, getppid());
    assert_true(p.start > 0);
    assert_false(procs_look(INT32_MAX, &p));
    int hold[2];
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        close(hold[1]); /* both end when ours is closed */
        pid_t deep = fork();
        (void)!read(hold[0], &c, deep >= 0);
        _exit(0);
    }
    size_t n = 0, direct = 0;
    while (n < 2) { /* until the grandchild is there */
        n = procs_below(getpid(), true, &list);
        mem_free(list);
    }
    n = procs_below(getpid(), false, &list);
    for (size_t i = 0; i < n; i++)
        direct += list[i].pid == child;
    mem_free(list);
    assert_int_equal(direct, 1);
    close(hold[0]);
    close(hold[1]);
    kill(child, SIGKILL);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_exit_codes),
        RIG_TEST(test_cannot_start),
        RIG_TEST(test_script_without_interpreter),
        RIG_TEST(test_refused),
        RIG_TEST(test_surroundings),
        RIG_TEST(test_nothing_inherited),
        RIG_TEST(test_given_limits),
        RIG_TEST(test_input),
        RIG_TEST(test_input_not_read),
        RIG_TEST(test_input_last_empty),
        RIG_TEST(test_flood),
        RIG_TEST(test_no_credit),
        RIG_TEST(test_stragglers),
        RIG_TEST(test_daemon_killed),
        RIG_TEST(test_daemon_stays),
        RIG_TEST(test_timeout),
        RIG_TEST(test_cancel),
        RIG_TEST(test_cancel_without_credit),
        RIG_TEST(test_hangup),
        RIG_TEST(test_hangup_lives_on),
        RIG_TEST(test_agent_killed),
        RIG_TEST(test_no_memory),
        cmocka_unit_test(test_procs),
    };
    signal(SIGPIPE, SIG_IGN); /* as the agent does (agent/limits.c) */
    if (mkdtemp(folder) == NULL)
        return 1;
    if (getenv("ONLY") != NULL)
        cmocka_set_test_filter(getenv("ONLY"));
    unsigned before = descriptors_open();
    int failed = cmocka_run_group_tests_name("exec", tests, NULL, NULL);
    if (descriptors_open() != before) {
        fprintf(stderr, "descriptors leak: %u, then %u\n", before, descriptors_open());
        failed++;
    }
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return failed + (system(command) != 0);
}
