/* agent/become: the dialogue with sudo, played by the test on a real terminal; what is run, and
 * what sudo's words mean. sudo itself: tests/integration/test_become.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "agent/become.h"
#include "common/mem.h"
#include "proto/agent.h"
#include "proto/wire.h"
#include "tests/unit/agent_rig.h"

static char folder[] = "/tmp/muster-sudo-XXXXXX";
static char path_env[64];
static char *env[] = {path_env, NULL};

/* ---- a request ---- */

static void read_request(struct exec_request *r, const char *shell, bool password)
{
    struct buf b;
    struct wire_out w;
    struct wire_map m;
    buf_init(&b, 4096);
    wire_out_init(&w, &b);
    wire_put_map(&w, 4);
    if (shell != NULL) {
        wire_put_bin(&w, "shell", shell, strlen(shell));
    } else {
        wire_add_key(&w, "argv");
        wire_add_array(&w, 1);
        wire_add_bin(&w, "id", 2);
    }
    wire_put_bin(&w, "cwd", "/usr", 4);
    wire_add_key(&w, "env");
    wire_add_array(&w, 1);
    wire_add_bin(&w, "SECRET=value", 12);
    wire_add_key(&w, "become");
    wire_add_map(&w, 1);
    wire_put_bool(&w, "password", password);
    assert_int_equal(wire_out_end(&w), RC_OK);
    assert_int_equal(wire_open(&m, b.data, b.len, NULL), RC_OK);
    assert_int_equal(exec_request_read(r, &m, env, NULL), RC_OK);
    wire_close(&m);
    buf_fini(&b);
}

/* ---- a terminal ---- */

struct play {
    struct exec_request r;
    struct become b;
    int master, slave;
};

static void open_play(struct play *p, const char *shell, bool password, bool echo)
{
    struct termios t;
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(p->master >= 0 && grantpt(p->master) == 0 && unlockpt(p->master) == 0);
    p->slave = open(ptsname(p->master), O_RDWR | O_NOCTTY);
    assert_true(p->slave >= 0 && tcgetattr(p->slave, &t) == 0);
    if (!echo)
        t.c_lflag &= ~(tcflag_t)ECHO;
    t.c_cc[VEOF] = _POSIX_VDISABLE; /* as the keeper makes it */
    tcsetattr(p->slave, TCSANOW, &t);
    read_request(&p->r, shell, password);
    assert_int_equal(become_init(&p->b, &p->r, env, NULL), RC_OK);
    assert_int_equal(become_wrap(&p->b, &p->r, NULL), RC_OK);
}

static void close_play(struct play *p)
{
    become_fini(&p->b);
    exec_request_fini(&p->r);
    close(p->slave);
    close(p->master);
}

/* sudo writes: what comes after a terminal's own work is read until it is there. */
static void says(struct play *p, const char *before, const char *after)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s%s%s", before, p->b.token, after);
    size_t had = p->b.n_said;
    assert_int_equal(write(p->slave, text, (size_t)n), n);
    while (p->b.n_said < had + (size_t)n && p->b.n_said < BECOME_TEXT)
        become_tty(&p->b, p->master);
    become_answer(&p->b, p->master);
}

static void hears(struct play *p, const char *line)
{
    char text[64];
    ssize_t n = read(p->slave, text, sizeof text);
    assert_int_equal(n, strlen(line));
    assert_memory_equal(text, line, strlen(line));
}

/* Who reads at the prompt, now or later, reads the end: no signal is needed for it. */
static void hears_the_end(struct play *p)
{
    char c;
    struct pollfd w = {.fd = p->slave, .events = POLLIN};
    assert_int_equal(poll(&w, 1, 0), 1);
    assert_int_equal(read(p->slave, &c, 1), 0);
}

static void test_answered(void **state)
{
    (void)state;
    struct play p;
    open_play(&p, "true", true, false);
    says(&p, "We trust you ... lecture\n[", "] ");
    assert_int_equal(p.b.state, BECOME_ASKED);
    become_secret(&p.b, "sesame", 6);
    assert_false(p.b.answered);
    become_answer(&p.b, p.master);
    assert_int_equal(p.b.state, BECOME_ANSWERED);
    assert_true(p.b.answered);
    assert_null(p.b.secret);
    hears(&p, "sesame\n");
    says(&p, "\nSorry, try again.\n[sudo: ", "] Password: ");
    assert_int_equal(p.b.state, BECOME_FAILED);
    assert_string_equal(p.b.problem, "become-wrong-password");
    hears_the_end(&p);
    close_play(&p);
}

static void test_not_answered(void **state)
{
    (void)state;
    struct play p;
    open_play(&p, "true", false, false);
    says(&p, "[", "] ");
    assert_string_equal(p.b.problem, "become-password-needed");
    hears_the_end(&p);
    close_play(&p);
    open_play(&p, "true", true, true); /* a terminal that shows what is typed */
    become_secret(&p.b, "sesame", 6);
    says(&p, "[", "] ");
    assert_string_equal(p.b.problem, "become-failed");
    close_play(&p);
    open_play(&p, "true", true, false);
    become_secret(&p.b, "ses\name", 7);
    assert_string_equal(p.b.problem, "become-wrong-password");
    close_play(&p);
}

/* A prompt is seen wherever the reads cut it, and however much came before it. */
static void test_long_lecture(void **state)
{
    (void)state;
    struct play p;
    char line[128];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    open_play(&p, "true", true, false);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(write(p.slave, line, sizeof line), sizeof line);
        become_tty(&p.b, p.master);
    }
    for (unsigned i = 0; i < 100; i++) /* what the terminal still holds */
        become_tty(&p.b, p.master);
    assert_true(p.b.n_said <= BECOME_TEXT);
    assert_int_equal(p.b.prompts, 0);
    char prompt[64];
    int n = snprintf(prompt, sizeof prompt, "[%s] ", p.b.token);
    for (int i = 0; i < n; i++)
        assert_int_equal(write(p.slave, prompt + i, 1), 1);
    while (p.b.prompts == 0)
        become_tty(&p.b, p.master);
    assert_int_equal(p.b.prompts, 1);
    close_play(&p);
}

/* ---- an agent that is late ---- */

/* A sudo that asks for nothing: the command has the prompt in $P, as it is in sudo's own argv. */
static const char SUDO[] = "#!/bin/sh\n"
                           "while [ \"$1\" != -- ]; do [ \"$1\" != -p ] || P=$2; shift; done\n"
                           "shift; export P; exec \"$@\"\n";

struct late {
    const char *shell, *path;
};

static void put_late(struct wire_out *w, const void *user)
{
    const struct late *l = user;
    if (l->shell != NULL) {
        wire_put_bin(w, "shell", l->shell, strlen(l->shell));
    } else {
        wire_add_key(w, "argv");
        wire_add_array(w, 1);
        wire_add_bin(w, "id", 2);
    }
    wire_add_key(w, "env");
    wire_add_array(w, 1);
    wire_add_bin(w, l->path, strlen(l->path));
    wire_add_key(w, "become");
    wire_add_map(w, 1);
    wire_put_bool(w, "password", true);
}

/* The command writes the prompt to the terminal. By the time the agent looks, that and the line of
 * its beginning are both there: the password is not for it. */
static void test_prompt_of_the_command(void **state)
{
    (void)state;
    char fifo[64], shell[256], path[96], c;
    bool password = true;
    struct wire_map m;
    snprintf(fifo, sizeof fifo, "%s/up", folder);
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", path_env);
    snprintf(shell, sizeof shell, "printf %%s \"$P\" >/dev/tty; echo up >%s; echo $P", fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    rig_open();
    rig_request(1, "exec", 3, put_late, &(struct late){shell, path}, 0);
    rig_input("sesame", 6, true);
    int fd = open(fifo, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, &c, 1), 1);
    rig_until_end();
    assert_string_equal(rig.status, "ok");
    assert_non_null(strstr(rig.out, "[muster-"));
    assert_int_equal(wire_open(&m, rig.reply[0], rig.reply_len[0], NULL), RC_OK);
    assert_int_equal(wire_bool(&m, "password", &password), RC_OK);
    assert_false(password);
    wire_close(&m);
    /* Where nothing tells when the command begins, there is no password at all. */
    rig_request(2, "exec", 3, put_late, &(struct late){NULL, path}, 0);
    rig_until_end();
    assert_string_equal(rig.status, "refused");
    assert_string_equal(rig.detail, "exec: become with a password wants shell, not argv");
    rig_close();
    close(fd);
    unlink(fifo);
}

/* ---- standard error ---- */

static void test_mark(void **state)
{
    (void)state;
    struct play p;
    int pipe_fd[2];
    char text[256], rest[64];
    open_play(&p, "true", false, false);
    assert_int_equal(pipe2(pipe_fd, O_NONBLOCK), 0);
    int n = snprintf(text, sizeof text,
                     "sudo: a warning\n\036muster-0 go 1\n\036%s go 77\nthe command's", p.b.token);
    assert_int_equal(write(pipe_fd[1], text, (size_t)n), n);
    assert_true(become_stderr(&p.b, pipe_fd[0]));
    assert_int_equal(p.b.state, BECOME_RUNNING);
    assert_int_equal(p.b.pid, 77);
    assert_int_equal(read(pipe_fd[0], rest, sizeof rest), 13); /* not a byte further */
    become_detail(&p.b, rest, sizeof rest);
    assert_non_null(strstr(rest, "sudo: a warning"));
    close(pipe_fd[1]);
    close_play(&p);
    open_play(&p, "true", false, false);
    assert_false(become_stderr(&p.b, pipe_fd[0])); /* its end */
    close(pipe_fd[0]);
    close_play(&p);
}

static void test_meaning(void **state)
{
    (void)state;
    static const char *const SAYS[][2] = {
        {"sudo: 1 incorrect password attempt\n", "become-wrong-password"},
        {"ann is not in the sudoers file.\n", "become-denied"},
        {"sudo: sorry, you must have a tty to run sudo\n", "become-tty-required"},
        {"sudo: I'm sorry ann. I'm afraid I can't do that\n", "become-denied"},
        {"sudo: a password is required\n", "become-password-needed"},
        {"sudo: something new\n", "become-failed"},
    };
    struct play p;
    for (unsigned i = 0; i < sizeof SAYS / sizeof *SAYS; i++) {
        open_play(&p, "true", false, false);
        become_note(&p.b, SAYS[i][0], strlen(SAYS[i][0]));
        assert_string_equal(become_meaning(&p.b, 1 << 8, false), SAYS[i][1]);
        close_play(&p);
    }
    char detail[AGENT_MAX_DETAIL + 1];
    open_play(&p, NULL, false, false); /* direct: only what is surely sudo's is sudo's */
    assert_null(become_meaning(&p.b, 1 << 8, false));
    become_note(&p.b, "ann is not in the sudoers file.\n", 32);
    assert_null(become_meaning(&p.b, 2 << 8, false));
    assert_null(become_meaning(&p.b, 1 << 8, true));
    assert_string_equal(become_meaning(&p.b, 1 << 8, false), "become-denied");
    close_play(&p);
    open_play(&p, "true", false, false);
    static const char LONG[] =
        "Sorry, user ann is not allowed to execute '/bin/sh -c x' as root on h.\n";
    become_note(&p.b, LONG, sizeof LONG - 1);
    become_detail(&p.b, detail, sizeof detail);
    assert_string_equal(detail, "Sorry, user ann is not allowed to run it as root on h.");
    close_play(&p);
}

/* ---- what is run ---- */

static void test_command(void **state)
{
    (void)state;
    struct play p;
    open_play(&p, "echo $X", true, false);
    assert_string_equal(p.r.argv[1], "-p");
    assert_non_null(strstr(p.r.argv[2], p.b.token));
    assert_string_equal(p.r.argv[5], "--preserve-env=SECRET");
    assert_null(p.r.cwd); /* that user goes there */
    assert_non_null(exec_env(p.r.envp, "LC_ALL"));
    for (char **a = p.r.argv; *a != NULL; a++)
        assert_null(strstr(*a, "value")); /* no value in what everybody can see */
    close_play(&p);
    open_play(&p, NULL, false, false);
    assert_string_equal(p.r.argv[6], "--");
    assert_string_equal(p.r.argv[7], "id");
    assert_string_equal(p.r.cwd, "/usr");
    close_play(&p);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        struct exec_request r;
        struct become b;
        read_request(&r, "true", true);
        mem_fail_after(n);
        enum rc rc = become_init(&b, &r, env, NULL);
        if (rc == RC_OK)
            rc = become_wrap(&b, &r, NULL);
        fired = mem_fail_fired() != 0;
        mem_fail_after(-1);
        assert_int_equal(rc, fired ? RC_NOMEM : RC_OK);
        become_fini(&b);
        exec_request_fini(&r);
        assert_int_equal(mem_live(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answered),
        cmocka_unit_test(test_not_answered),
        cmocka_unit_test(test_long_lecture),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_prompt_of_the_command),
        cmocka_unit_test(test_no_memory),
    };
    char sudo[64]; /* there is one here, whatever the machine has */
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path_env, sizeof path_env, "PATH=%s", folder);
    snprintf(sudo, sizeof sudo, "%s/sudo", folder);
    int fd = open(sudo, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
    if (fd < 0 || write(fd, SUDO, sizeof SUDO - 1) != (ssize_t)sizeof SUDO - 1)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests_name("sudo", tests, NULL, NULL);
    unlink(sudo);
    rmdir(folder);
    return failed;
}
