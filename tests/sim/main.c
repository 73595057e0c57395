/* muster-sim: thousands of SSH hosts on the loopback interface, with faults on request. A libssh
 * server on libuv loops, one process or a few; see docs/simulator.md.
 *
 *   options -> plan (who has which fault) -> listeners -> files -> fork -> serve
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "controller/ssh/curves.h"
#include "tests/sim/agent.h"
#include "tests/sim/files.h"
#include "tests/sim/listen.h"
#include "tests/sim/peer.h"

enum { ACCEPTS = 64 /* in a row */, MAX_PROCESSES = 64 };

static struct server server;
static struct listeners listeners;
static uv_poll_t *doors; /* of this process's listeners */
static bool doors_shut;
static pid_t children[MAX_PROCESSES];
static unsigned child_count;
static int exit_code;

/* --- the listeners --- */

static void on_knock(uv_poll_t *poll, int status, int events);

static void open_doors(void)
{
    doors_shut = false;
    for (size_t i = 0; i < listeners.per_process; i++)
        uv_poll_start(&doors[i], UV_READABLE, on_knock);
}

/* Out of descriptors: clients wait in the kernel's queue until one is given back. */
static void shut_doors(void)
{
    if (!doors_shut)
        fprintf(stderr, "muster-sim: %zu connections, and no descriptor for more (ulimit -n)\n",
                server.live);
    doors_shut = true;
    for (size_t i = 0; i < listeners.per_process; i++)
        uv_poll_stop(&doors[i]);
}

static void on_freed(void)
{
    if (doors_shut)
        open_doors();
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
    int listener = *(const int *)poll->data;
    (void)status, (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_in a = {0};
        socklen_t len = sizeof a;
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) && server.live > 0)
            shut_doors();
        if (fd < 0)
            return;
        int64_t host = getsockname(fd, (struct sockaddr *)&a, &len) == 0
                           ? plan_host_at(server.plan, ntohl(a.sin_addr.s_addr))
                           : -1;
        if (host < 0) /* no host of ours: nobody lives there */
            close(fd);
        else
            peer_accept(&server, fd, (uint32_t)host);
    }
}

/* --- the end --- */

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static void on_child(uv_signal_t *handle, int number)
{
    (void)number;
    fprintf(stderr, "muster-sim: one of its processes has ended\n");
    exit_code = 1;
    uv_stop(handle->loop);
}

static void on_stdin(uv_poll_t *poll, int status, int events)
{
    char bytes[256];
    (void)events;
    ssize_t n = status < 0 ? 0 : read(STDIN_FILENO, bytes, sizeof bytes);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        uv_stop(poll->loop);
}

static bool stdin_is_pipe(void)
{
    struct stat st;
    return fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* --- serving --- */

static int serve(unsigned process, bool is_first)
{
    static uv_signal_t term, interrupt, child;
    static uv_poll_t input;
    const struct options *o = server.o;
    server.freed = on_freed;
    server.binds = mem_calloc(o->host_keys + 1u, sizeof(ssh_bind));
    doors = mem_calloc(listeners.per_process, sizeof *doors);
    if (!sim_agents_open(o) || server.binds == NULL || doors == NULL ||
        uv_loop_init(&server.loop) != 0) {
        fprintf(stderr, "muster-sim: out of memory\n");
        return 1;
    }
    uv_signal_init(&server.loop, &term);
    uv_signal_init(&server.loop, &interrupt);
    uv_signal_init(&server.loop, &child);
    uv_signal_start(&term, on_signal, SIGTERM);
    uv_signal_start(&interrupt, on_signal, SIGINT);
    if (is_first && child_count > 0)
        uv_signal_start(&child, on_child, SIGCHLD);
    if (is_first && stdin_is_pipe() && uv_poll_init(&server.loop, &input, STDIN_FILENO) == 0)
        uv_poll_start(&input, UV_READABLE, on_stdin);
    for (size_t i = 0; i < listeners.per_process; i++) {
        int *fd = &listeners.fds[process * listeners.per_process + i];
        uv_poll_init(&server.loop, &doors[i], *fd);
        doors[i].data = fd;
    }
    open_doors();
    if (is_first) {
        printf("ready: %u hosts, port %u\n", o->hosts, listeners.port);
        fflush(stdout);
    }
    uv_run(&server.loop, UV_RUN_DEFAULT);
    return exit_code;
}

/* A process has only its own listeners: a connection that went to another's would wait for ever. */
static void keep_own(unsigned process)
{
    for (size_t i = 0; i < listeners.count; i++)
        if (i / listeners.per_process != process) {
            close(listeners.fds[i]);
            listeners.fds[i] = -1;
        }
}

/* 0 in the first process, else the number of the one this is; -1: no more processes. */
static int fork_others(unsigned processes)
{
    pid_t parent = getpid();
    for (unsigned i = 1; i < processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return -1;
        if (pid == 0) {
            child_count = 0;
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            return getppid() == parent ? (int)i : -1;
        }
        children[child_count++] = pid;
    }
    return 0;
}

static enum rc get_ready(const struct options *o, struct plan *plan, struct err *e)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (o->authorized != NULL &&
        ssh_pki_import_pubkey_file(o->authorized, &server.authorized) != SSH_OK)
        return err_set(e, RC_CONFIG, "--authorized-key %s: no public key can be read there",
                       o->authorized);
    enum rc rc = plan_init(plan, o->base, o->hosts, o->faults, o->seed, e);
    if (rc == RC_OK)
        rc = listeners_open(&listeners, o, e);
    return rc == RC_OK ? files_write(o, plan, listeners.port, e) : rc;
}

static int run(const struct options *o)
{
    struct err e = {0};
    static struct plan plan;
    if (get_ready(o, &plan, &e) != RC_OK) {
        fprintf(stderr, "muster-sim: %s\n", e.msg);
        plan_fini(&plan);
        listeners_close(&listeners);
        return 1;
    }
    server.o = o;
    server.plan = &plan;
    int process = fork_others(o->processes);
    int rc = 1;
    if (process >= 0) {
        keep_own((unsigned)process);
        rc = serve((unsigned)process, process == 0);
    }
    for (unsigned i = 0; i < child_count; i++)
        kill(children[i], SIGTERM);
    return rc;
}

int main(int argc, char **argv)
{
    static struct options o;
    struct err e = {0};
    pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0 || ssh_init() != SSH_OK) {
        fprintf(stderr, "muster-sim: the crypto libraries do not start\n");
        return 1;
    }
    (void)curves_load(); /* without it each host costs more, and all is as before */
    if (options_parse(&o, argc, argv, &e) != RC_OK) {
        fprintf(stderr, "muster-sim: %s\n", e.msg);
        return 1;
    }
    if (o.help) {
        options_help();
        return 0;
    }
    return run(&o);
}
