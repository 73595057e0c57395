/* Real sshd processes for unit tests: keys and configuration in a folder of their own, listening
 * on addresses of 127.0.0.0/8. Included by one test file; asserts with cmocka.
 *
 * sshd wants absolute paths (with relative ones it resets every connection, and logs nothing),
 * and as root its separation folder.
 */
#ifndef TESTS_UNIT_SSHD_FIXTURE_H
#define TESTS_UNIT_SSHD_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct fixture {
    char dir[256];
    char user[64];
    pid_t drains[16]; /* children that read what each sshd logs */
    int drain_count;
};

static inline int fixture_run(const char *const argv[])
{
    pid_t pid;
    posix_spawn_file_actions_t a;
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_addopen(&a, 1, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawnp(&pid, argv[0], &a, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&a);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static inline void fixture_keygen(const struct fixture *f, const char *name, const char *type,
                                  const char *passphrase)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    const char *argv[] = {"ssh-keygen", "-q", "-t", type, "-N", passphrase, "-f", path, NULL};
    assert_int_equal(fixture_run(argv), 0);
}

static inline char *fixture_read(const struct fixture *f, const char *name)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    static char text[16384];
    size_t n = fread(text, 1, sizeof text - 1, in);
    fclose(in);
    text[n] = '\0';
    return text;
}

static inline void fixture_write(const struct fixture *f, const char *name, const char *fmt, ...)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(out, fmt, ap);
    va_end(ap);
    fclose(out);
}

static inline void fixture_init(struct fixture *f)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof f->dir, "%s/muster-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    const struct passwd *pw = getpwuid(getuid());
    assert_non_null(pw);
    snprintf(f->user, sizeof f->user, "%s", pw->pw_name);
    if (getuid() == 0)
        mkdir("/run/sshd", 0755);
    fixture_keygen(f, "host_ed25519", "ed25519", "");
    fixture_keygen(f, "id", "ed25519", "");
    fixture_keygen(f, "other", "ed25519", "");
    fixture_write(f, "authorized", "%s", fixture_read(f, "id.pub"));
}

static inline void fixture_fini(struct fixture *f)
{
    for (int i = 0; i < f->drain_count; i++) {
        kill(f->drains[i], SIGTERM);
        waitpid(f->drains[i], NULL, 0);
    }
    const char *argv[] = {"rm", "-rf", f->dir, NULL};
    fixture_run(argv);
}

static inline struct sockaddr_in fixture_addr(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
    return a;
}

/* A port that nothing listens on at ip; another process may take it, which a test then shows. */
static inline int fixture_free_port(const char *ip)
{
    struct sockaddr_in a = fixture_addr(ip, 0);
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* sshd logs "Server listening" when it is ready: its standard error is a pipe that we read. */
static inline void fixture_await_listening(int fd)
{
    char text[4096] = "";
    size_t len = 0;
    while (strstr(text, "Server listening") == NULL) {
        assert_true(len < sizeof text - 1);
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            fail_msg("sshd did not start: %s", text);
        len += (size_t)n;
        text[len] = '\0';
    }
}

/* Starts sshd on ip (further addresses by ListenAddress lines in `extra`). */
static inline pid_t fixture_sshd(struct fixture *f, const char *ip, int port, const char *extra)
{
    char conf[320], name[32];
    snprintf(name, sizeof name, "sshd_%d.conf", port);
    snprintf(conf, sizeof conf, "%s/%s", f->dir, name);
    fixture_write(f, name,
                  "%s\nListenAddress %s:%d\nHostKey %s/host_ed25519\nPidFile none\n"
                  "AuthorizedKeysFile %s/authorized\nStrictModes no\nUsePAM no\n"
                  "PermitRootLogin yes\nPasswordAuthentication no\nMaxStartups 1000:30:1000\n"
                  "KbdInteractiveAuthentication no\nSetEnv HOME=%s\nPrintMotd no\n",
                  extra, ip, port, f->dir, f->dir, f->dir);
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    posix_spawn_file_actions_t a;
    posix_spawn_file_actions_init(&a);
    posix_spawn_file_actions_adddup2(&a, pipes[1], 2);
    const char *argv[] = {"/usr/sbin/sshd", "-D", "-e", "-f", conf, NULL};
    pid_t pid;
    assert_int_equal(posix_spawn(&pid, argv[0], &a, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&a);
    close(pipes[1]);
    fixture_await_listening(pipes[0]);
    /* What it logs later goes nowhere: a child that drains it, so that sshd never blocks. */
    assert_true(f->drain_count < 16);
    pid_t drain = f->drains[f->drain_count++] = fork();
    if (drain == 0) {
        char sink[4096];
        while (read(pipes[0], sink, sizeof sink) > 0)
            ;
        _exit(0);
    }
    close(pipes[0]);
    return pid;
}

static inline void fixture_stop(pid_t pid)
{
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

#endif
