/* Private key files as ssh-keygen makes them, and the passphrase prompt on a terminal of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "controller/ssh/keys.h"
#include "controller/ssh/prompt.h"
#include "controller/ssh/ssh_key.h"

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[8][256];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[0], "%s/%s", dir, name);
    return path[next];
}

static void run(const char *fmt, ...)
{
    char cmd[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    int status = system(cmd);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s: status %d", cmd, status);
}

static void write_key(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in_dir(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(in_dir(name), mode), 0);
}

/* Two rounds of the KDF instead of sixteen: the tests wait for each. */
static const struct {
    const char *name, *options;
    bool encrypted;
} made[] = {
    {"ed25519", "-t ed25519 -N ''", false},
    {"ecdsa", "-t ecdsa -N ''", false},
    {"rsa", "-t rsa -b 2048 -N ''", false},
    {"rsa_pem", "-t rsa -b 2048 -m PEM -N ''", false},
    {"rsa_pkcs8", "-t rsa -b 2048 -m PKCS8 -N ''", false},
    {"ed25519_enc", "-t ed25519 -a 2 -N secret", true},
    {"ecdsa_enc", "-t ecdsa -a 2 -N secret", true},
    {"rsa_enc", "-t rsa -b 2048 -a 2 -N secret", true},
    {"rsa_cbc_enc", "-t rsa -b 2048 -a 2 -Z aes256-cbc -N secret", true},
    {"rsa_pem_enc", "-t rsa -b 2048 -m PEM -N secret", true},
    {"rsa_pkcs8_enc", "-t rsa -b 2048 -m PKCS8 -N secret", true},
};
enum { MADE = sizeof made / sizeof made[0] };

static void test_every_form(void **state)
{
    (void)state;
    struct keys k;
    struct err e;
    keys_init(&k);
    for (size_t i = 0; i < MADE; i++) {
        unsigned id = 99;
        if (keys_add(&k, in_dir(made[i].name), &id, &e) != RC_OK)
            fail_msg("%s: %s", made[i].name, e.msg);
        assert_int_equal(id, i);
        const struct key_file *f = &k.items[id];
        if (f->encrypted != made[i].encrypted)
            fail_msg("%s: encrypted is %d", made[i].name, f->encrypted);
        assert_int_equal(keys_usable(&k, id), !made[i].encrypted);
        assert_int_equal(strlen(f->text), f->len);
        assert_int_equal(ssh_key_check(f->text, "wrong", &e) == RC_OK, !f->encrypted);
        assert_int_equal(ssh_key_check(f->text, NULL, &e) == RC_OK, !f->encrypted);
        assert_int_equal(ssh_key_check(f->text, "secret", &e), RC_OK);
    }
    /* The same file under another name is the same key. */
    unsigned id = 99;
    assert_int_equal(symlink(in_dir("rsa"), in_dir("rsa_link")), 0);
    assert_int_equal(keys_add(&k, in_dir("rsa_link"), &id, &e), RC_OK);
    assert_int_equal(id, 2);
    assert_int_equal(k.count, MADE);
    keys_fini(&k);
    assert_int_equal(k.count, 0);
}

static void expect_refused(const char *name, enum rc want, const char *word)
{
    struct keys k;
    struct err e;
    unsigned id = 99;
    keys_init(&k);
    enum rc rc = keys_add(&k, in_dir(name), &id, &e);
    if (rc != want || strstr(e.msg, word) == NULL || strstr(e.msg, in_dir(name)) == NULL)
        fail_msg("%s: %s: %s", name, rc_name(rc), e.msg);
    assert_int_equal(k.count, 0);
    assert_int_equal(id, 99);
    keys_fini(&k);
}

static void test_refused(void **state)
{
    (void)state;
    expect_refused("absent", RC_NOTFOUND, "no such file");
    expect_refused(".", RC_CONFIG, "folder");
    expect_refused("ed25519.pub", RC_CONFIG, "others may read"); /* 0644, as ssh says first */
    assert_int_equal(chmod(in_dir("ed25519.pub"), 0600), 0);
    expect_refused("ed25519.pub", RC_CONFIG, "public key");
    write_key("empty", "", 0600);
    expect_refused("empty", RC_CONFIG, "not a private key");
    write_key("ppk", "PuTTY-User-Key-File-3: ssh-ed25519\n", 0600);
    expect_refused("ppk", RC_CONFIG, "puttygen");
    write_key("cert", "-----BEGIN CERTIFICATE-----\nPRIVATE KEY-----\n", 0600);
    expect_refused("cert", RC_CONFIG, "not a private key");
    write_key("cut", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n", 0600);
    expect_refused("cut", RC_CONFIG, "damaged");
    write_key("cut2", "-----BEGIN OPENSSH PRIVATE KEY-----", 0600);
    expect_refused("cut2", RC_CONFIG, "damaged");
    static const mode_t open_modes[] = {0640, 0604, 0620, 0601, 0660};
    run("cp %s %s", in_dir("ed25519"), in_dir("open"));
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        assert_int_equal(chmod(in_dir("open"), open_modes[i]), 0);
        expect_refused("open", RC_CONFIG, "chmod 600");
    }
    run("head -c %d /dev/zero | tr '\\0' 'x' > %s", KEYS_MAX_FILE + 1, in_dir("large"));
    assert_int_equal(chmod(in_dir("large"), 0600), 0);
    expect_refused("large", RC_LIMIT, "larger");
}

static void test_limit(void **state)
{
    (void)state;
    struct keys k;
    struct err e;
    unsigned id;
    keys_init(&k);
    for (int i = 0; i <= KEYS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "many%d", i);
        write_key(name, "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", 0600);
        enum rc rc = keys_add(&k, in_dir(name), &id, &e);
        assert_int_equal(rc, i < KEYS_MAX ? RC_OK : RC_LIMIT);
    }
    assert_int_equal(keys_add(&k, in_dir("many0"), &id, &e), RC_OK); /* there already */
    keys_fini(&k);
}

/* A key through a pipe, as <(…) of a shell gives it. */
static void test_from_a_pipe(void **state)
{
    (void)state;
    char cmd[512], path[64];
    snprintf(cmd, sizeof cmd, "cat %s", in_dir("ed25519"));
    FILE *f = popen(cmd, "r");
    assert_non_null(f);
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(f));
    struct keys k;
    struct err e;
    unsigned id;
    keys_init(&k);
    if (keys_add(&k, path, &id, &e) != RC_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ssh_key_check(k.items[id].text, NULL, &e), RC_OK);
    /* The pipe is empty now: that each host of a group names it must not read it again. */
    unsigned again = 99;
    assert_int_equal(keys_add(&k, path, &again, &e), RC_OK);
    assert_int_equal(again, id);
    assert_int_equal(k.count, 1);
    keys_fini(&k);
    pclose(f);
}

static int warnings;

static void count_warnings(enum log_level level, const char *text, void *user)
{
    (void)text;
    (void)user;
    warnings += level == LOG_LEVEL_WARN;
}

static void test_defaults(void **state)
{
    (void)state;
    struct keys k;
    struct err e;
    keys_init(&k);
    assert_int_equal(setenv("HOME", in_dir("home"), 1), 0);
    assert_int_equal(keys_add_defaults(&k, &e), RC_OK);
    assert_int_equal(k.count, 0);
    run("mkdir -p %s/.ssh; cp %s %s/.ssh/id_rsa; cp %s %s/.ssh/id_ed25519; touch %s/.ssh/id_ecdsa",
        in_dir("home"), in_dir("rsa"), in_dir("home"), in_dir("ed25519_enc"), in_dir("home"),
        in_dir("home"));
    log_set_sink(count_warnings, NULL);
    assert_int_equal(keys_add_defaults(&k, &e), RC_OK);
    log_set_sink(NULL, NULL);
    assert_int_equal(warnings, 1); /* the empty id_ecdsa */
    assert_int_equal(k.count, 2);
    assert_non_null(strstr(k.items[0].path, "/.ssh/id_ed25519"));
    assert_true(k.items[0].optional);
    assert_false(keys_usable(&k, 0));
    assert_true(keys_usable(&k, 1));
    unsigned id;
    assert_int_equal(keys_add(&k, "~/.ssh/id_ed25519", &id, &e), RC_OK);
    assert_int_equal(id, 0);
    assert_false(k.items[0].optional); /* named: it is needed now */
    keys_fini(&k);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t before = mem_live();
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct keys k;
        struct err e;
        unsigned id;
        keys_init(&k);
        mem_fail_after(n);
        enum rc rc = keys_add(&k, "~/.ssh/id_rsa", &id, &e);
        if (rc == RC_OK)
            rc = keys_add_defaults(&k, &e);
        fired = mem_fail_fired();
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        keys_fini(&k);
        assert_int_equal(mem_live(), before);
    }
}

/* What the child process reports by its exit code. */
enum { EXIT_FIRST = 40 };

static int unlock_in_child(const char *const *names, bool optional)
{
    struct keys k;
    struct err e = {0};
    unsigned id;
    keys_init(&k);
    for (; *names != NULL; names++) {
        if (keys_add(&k, in_dir(*names), &id, &e) != RC_OK)
            return 1;
        k.items[id].optional = optional;
    }
    enum rc rc = keys_unlock(&k, &e);
    bool right = true;
    for (size_t i = 0; rc == RC_OK && i < k.count; i++)
        if (k.items[i].encrypted && k.items[i].passphrase != NULL)
            right = right && strcmp(k.items[i].passphrase, "secret") == 0;
    bool usable = k.count > 0 && keys_usable(&k, 0);
    keys_fini(&k);
    if (!right)
        return 2;
    return EXIT_FIRST + (int)rc * 2 + usable;
}

struct terminal {
    int master, slave;
    int report; /* a byte for each stop; ends with the child */
    pid_t pid;
    char seen[8192];
    size_t len;
};

static int expected(enum rc rc, bool usable)
{
    return EXIT_FIRST + (int)rc * 2 + usable;
}

/* A session of its own with the slave as its terminal, and in it, as a shell would, a job in the
 * foreground that asks. Stops are reported through the terminal's settings and then ended. */
static int shell_and_job(const char *const *names, bool optional, int report)
{
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
        _exit(unlock_in_child(names, optional));
    }
    for (;;) {
        int status;
        if (waitpid(job, &status, WUNTRACED) != job)
            return 3;
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            return 100 + WTERMSIG(status);
        struct termios t;
        char echo = tcgetattr(0, &t) == 0 && (t.c_lflag & ECHO) ? 'E' : 'q';
        if (write(report, &echo, 1) != 1)
            return 4;
        kill(job, SIGCONT);
    }
}

static struct terminal start_terminal(const char *const *names, bool optional)
{
    struct terminal t = {0};
    int pipe_fds[2];
    assert_int_equal(openpty(&t.master, &t.slave, NULL, NULL, NULL), 0);
    assert_int_equal(pipe(pipe_fds), 0);
    t.pid = fork();
    assert_true(t.pid >= 0);
    if (t.pid == 0) {
        close(t.master);
        close(pipe_fds[0]);
        setsid();
        ioctl(t.slave, TIOCSCTTY, 0);
        dup2(t.slave, 0); /* standard output stays: nothing may come there */
        _exit(shell_and_job(names, optional, pipe_fds[1]));
    }
    close(pipe_fds[1]);
    t.report = pipe_fds[0];
    return t;
}

/* Reads what the terminal shows until `text` is seen for the n-th time. */
static void await(struct terminal *t, const char *text, int times)
{
    for (;;) {
        int seen = 0;
        for (const char *p = t->seen; (p = strstr(p, text)) != NULL; p++)
            seen++;
        if (seen >= times)
            return;
        struct pollfd p[2] = {{.fd = t->master, .events = POLLIN}, {.fd = t->report}};
        assert_true(poll(p, 2, -1) > 0);
        /* We hold the slave open ourselves: that the child is gone shows at its pipe. */
        if (!(p[0].revents & POLLIN))
            fail_msg("the child ended at: %s", t->seen);
        ssize_t n = read(t->master, t->seen + t->len, sizeof t->seen - 1 - t->len);
        assert_true(n > 0);
        t->len += (size_t)n;
        t->seen[t->len] = '\0';
    }
}

static void type(struct terminal *t, const char *text)
{
    assert_int_equal(write(t->master, text, strlen(text)), strlen(text));
}

/* The end: the code, and the terminal as it was before. */
static int finish(struct terminal *t)
{
    int status;
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    assert_true(WIFEXITED(status));
    struct termios now;
    assert_int_equal(tcgetattr(t->slave, &now), 0);
    assert_true(now.c_lflag & ECHO);
    assert_null(strstr(t->seen, "secret"));
    close(t->master);
    close(t->slave);
    close(t->report);
    return WEXITSTATUS(status);
}

static void test_prompt(void **state)
{
    (void)state;
    static const char *const names[] = {"ed25519_enc", "rsa", "rsa_pem_enc", NULL};
    struct terminal t = start_terminal(names, false);
    await(&t, "Passphrase for ", 1);
    assert_non_null(strstr(t.seen, "ed25519_enc: "));
    type(&t, "not it\n");
    await(&t, "Wrong passphrase", 1);
    await(&t, "Passphrase for ", 2);
    type(&t, "secret\n");
    await(&t, "rsa_pem_enc: ", 1); /* asked once per encrypted key */
    type(&t, "secret\n");
    assert_int_equal(finish(&t), expected(RC_OK, true));
}

static void test_prompt_three_tries(void **state)
{
    (void)state;
    static const char *const names[] = {"ecdsa_enc", NULL};
    for (int optional = 0; optional < 2; optional++) {
        struct terminal t = start_terminal(names, optional);
        char longer[2000];
        memset(longer, 'x', sizeof longer - 2);
        memcpy(longer + sizeof longer - 2, "\n", 2);
        for (int i = 1; i <= 3; i++) {
            await(&t, "Passphrase for ", i);
            type(&t, i == 2 ? longer : "wrong\n");
        }
        assert_int_equal(finish(&t), expected(optional ? RC_OK : RC_CONFIG, false));
    }
}

static void test_prompt_empty_line(void **state)
{
    (void)state;
    static const char *const names[] = {"ecdsa_enc", NULL};
    for (int optional = 0; optional < 2; optional++) {
        struct terminal t = start_terminal(names, optional);
        await(&t, "Passphrase for ", 1);
        type(&t, "\n");
        assert_int_equal(finish(&t), expected(optional ? RC_OK : RC_CONFIG, false));
    }
}

static void test_prompt_end_of_input(void **state)
{
    (void)state;
    static const char *const names[] = {"ecdsa_enc", NULL};
    struct terminal t = start_terminal(names, false);
    await(&t, "Passphrase for ", 1);
    type(&t, "\4");
    assert_int_equal(finish(&t), expected(RC_CANCELLED, false));
}

static void test_prompt_interrupted(void **state)
{
    (void)state;
    static const char *const names[] = {"ecdsa_enc", NULL};
    struct terminal t = start_terminal(names, false);
    await(&t, "Passphrase for ", 1);
    type(&t, "sec\3");
    assert_int_equal(finish(&t), 100 + SIGINT); /* died of it, echo restored */
}

static void test_prompt_stopped(void **state)
{
    (void)state;
    static const char *const names[] = {"ecdsa_enc", NULL};
    struct terminal t = start_terminal(names, false);
    await(&t, "Passphrase for ", 1);
    type(&t, "sec\32");
    char echo = 0;
    assert_int_equal(read(t.report, &echo, 1), 1);
    assert_int_equal(echo, 'E'); /* while it is stopped the shell has its terminal back */
    await(&t, "Passphrase for ", 2);
    type(&t, "secret\n");
    assert_int_equal(finish(&t), expected(RC_OK, true));
}

static int in_no_terminal(bool optional)
{
    static const char *const names[] = {"ed25519_enc", NULL};
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setsid();
        _exit(unlock_in_child(names, optional));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void test_no_terminal(void **state)
{
    (void)state;
    assert_int_equal(in_no_terminal(false), expected(RC_CONFIG, false));
    assert_int_equal(in_no_terminal(true), expected(RC_OK, false));
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/muster-keys-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    for (size_t i = 0; i < MADE; i++)
        run("ssh-keygen -q %s -f %s", made[i].options, in_dir(made[i].name));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run("rm -rf %s", dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_from_a_pipe),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_prompt_three_tries),
        cmocka_unit_test(test_prompt_empty_line),
        cmocka_unit_test(test_prompt_end_of_input),
        cmocka_unit_test(test_prompt_interrupted),
        cmocka_unit_test(test_prompt_stopped),
        cmocka_unit_test(test_no_terminal),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
