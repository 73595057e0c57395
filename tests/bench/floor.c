/* The floor: the least that running one command on N hosts can cost with libssh and libuv.
 *
 * One thread, one key, no inventory, no host-key check, no output, no retries, no deadlines per
 * host: what muster costs beyond this is muster's own. It shares no code with the program, so that
 * a slip there cannot lower the bar here. A bench tool: its exit code is 0 when all hosts are ok.
 *
 *   floor -k KEYFILE -u USER [-c COMMAND] [-f FANOUT] [-w SECONDS] [-F LIST] [ADDR:PORT...]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <uv.h>

enum stage { CONNECT, HANDSHAKE, SERVICE, AUTH, OPEN, EXEC, RUN };

struct host {
    uv_poll_t poll;
    ssh_session ssh;
    ssh_channel channel;
    struct ssh_channel_callbacks_struct callbacks;
    struct ssh_counter_struct counter;
    enum stage stage;
    int fd, events, status;
    bool nonblocking, closed;
};

static uv_loop_t loop;
static uv_timer_t watchdog;
static ssh_key key;
static const char *user, *command = "true";
static struct sockaddr_in *targets;
static size_t target_count, next_target, running, ok_count, fail_count, fanout = 256;
static unsigned long long bytes;

static void start_more(void);

static int on_data(ssh_session s, ssh_channel c, void *p, uint32_t n, int is_stderr, void *host)
{
    (void)s, (void)c, (void)p, (void)is_stderr, (void)host;
    bytes += n;
    return (int)n;
}

static void on_exit_status(ssh_session s, ssh_channel c, int status, void *host)
{
    (void)s, (void)c;
    ((struct host *)host)->status = status;
}

static void on_close(ssh_session s, ssh_channel c, void *host)
{
    (void)s, (void)c;
    ((struct host *)host)->closed = true;
}

static int deny(ssh_session s, ssh_message m, void *host)
{
    (void)s, (void)m, (void)host;
    return 1;
}

static void on_gone(uv_handle_t *handle)
{
    free(handle->data);
    running--;
    start_more();
}

static void finish(struct host *h, bool ok)
{
    *(ok ? &ok_count : &fail_count) += 1;
    uv_close((uv_handle_t *)&h->poll, on_gone);
    if (h->ssh == NULL) {
        close(h->fd);
        return;
    }
    if (h->channel != NULL)
        ssh_remove_channel_callbacks(h->channel, &h->callbacks);
    ssh_free(h->ssh);
}

static bool begin_session(struct host *h)
{
    bool no = false;
    socket_t fd = h->fd;
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0 ||
        (h->ssh = ssh_new()) == NULL)
        return false;
    ssh_set_blocking(h->ssh, 0);
    ssh_options_set(h->ssh, SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(h->ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(h->ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    ssh_options_set(h->ssh, SSH_OPTIONS_SSH_DIR, "/nonexistent");
    ssh_options_set(h->ssh, SSH_OPTIONS_HOST, "target");
    ssh_options_set(h->ssh, SSH_OPTIONS_USER, user);
    ssh_options_set(h->ssh, SSH_OPTIONS_KEY_EXCHANGE, "curve25519-sha256,ecdh-sha2-nistp256");
    ssh_options_set(h->ssh, SSH_OPTIONS_CIPHERS_C_S, "aes128-gcm@openssh.com");
    ssh_options_set(h->ssh, SSH_OPTIONS_CIPHERS_S_C, "aes128-gcm@openssh.com");
    ssh_options_set(h->ssh, SSH_OPTIONS_HOSTKEYS, "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512");
    ssh_options_set(h->ssh, SSH_OPTIONS_FD, &fd);
    ssh_set_message_callback(h->ssh, deny, h);
    ssh_set_counters(h->ssh, &h->counter, NULL);
    h->callbacks.userdata = h;
    h->callbacks.channel_data_function = on_data;
    h->callbacks.channel_exit_status_function = on_exit_status;
    h->callbacks.channel_close_function = on_close;
    ssh_callbacks_init(&h->callbacks);
    return true;
}

/* The pending call of the stage: SSH_OK, SSH_AGAIN or SSH_ERROR. */
static int call(struct host *h)
{
    int rc;
    switch (h->stage) {
    case CONNECT: return begin_session(h) ? SSH_OK : SSH_ERROR;
    case HANDSHAKE:
        rc = ssh_connect(h->ssh);
        if (!h->nonblocking && ssh_get_clientbanner(h->ssh) != NULL) {
            fcntl(h->fd, F_SETFL, O_RDWR | O_NONBLOCK); /* libssh has made it blocking */
            h->nonblocking = true;
        }
        return rc;
    case SERVICE: return ssh_service_request(h->ssh, "ssh-userauth");
    case AUTH:
        rc = ssh_userauth_publickey(h->ssh, NULL, key);
        return rc == SSH_AUTH_SUCCESS ? SSH_OK : rc == SSH_AUTH_AGAIN ? SSH_AGAIN : SSH_ERROR;
    case OPEN:
        if (h->channel == NULL) {
            if ((h->channel = ssh_channel_new(h->ssh)) == NULL)
                return SSH_ERROR;
            ssh_set_channel_callbacks(h->channel, &h->callbacks);
        }
        return ssh_channel_open_session(h->channel);
    case EXEC:
        rc = ssh_channel_request_exec(h->channel, command);
        if (rc == SSH_OK && ssh_channel_send_eof(h->channel) == SSH_ERROR)
            return SSH_ERROR;
        return rc;
    case RUN: ssh_execute_message_callbacks(h->ssh); return SSH_AGAIN;
    }
    return SSH_ERROR;
}

static bool dead(const struct host *h)
{
    return h->stage > HANDSHAKE && (ssh_get_fd(h->ssh) != h->fd ||
                                    (ssh_get_status(h->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)));
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct host *h = poll->data;
    (void)events;
    for (;;) {
        unsigned long long before = h->counter.in_bytes;
        int rc = call(h);
        if (h->closed) {
            finish(h, h->status == 0);
            return;
        }
        if (rc == SSH_ERROR || dead(h) || (status < 0 && rc != SSH_OK)) {
            finish(h, false);
            return;
        }
        if (rc == SSH_OK)
            h->stage++;
        else if (h->counter.in_bytes - before != 4096)
            break;
    }
    int want = UV_READABLE | ((ssh_get_status(h->ssh) & SSH_WRITE_PENDING) ? UV_WRITABLE : 0);
    if (want != h->events)
        uv_poll_start(poll, h->events = want, on_ready);
}

static void start_one(const struct sockaddr_in *to)
{
    struct host *h = calloc(1, sizeof *h);
    int yes = 1;
    if (h == NULL || (h->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0) {
        free(h);
        fail_count++;
        return;
    }
    h->status = -1;
    setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    uv_poll_init_socket(&loop, &h->poll, h->fd);
    h->poll.data = h;
    running++;
    if (connect(h->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS)
        finish(h, false);
    else
        uv_poll_start(&h->poll, h->events = UV_WRITABLE, on_ready);
}

static void start_more(void)
{
    while (running < fanout && next_target < target_count)
        start_one(&targets[next_target++]);
    if (running == 0)
        uv_timer_stop(&watchdog);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fprintf(stderr, "floor: %zu of %zu hosts did not end\n", running, target_count);
    exit(3);
}

static void add_target(const char *text)
{
    char ip[64];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(22)};
    snprintf(ip, sizeof ip, "%.*s", (int)(colon != NULL ? colon - text : 63), text);
    if (colon != NULL)
        a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    targets = realloc(targets, (target_count + 1) * sizeof *targets);
    if (targets == NULL || inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
        fprintf(stderr, "floor: not ADDR:PORT: %s\n", text);
        exit(2);
    }
    targets[target_count++] = a;
}

static void add_list(const char *path)
{
    char line[128];
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, " \r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            add_target(line);
    }
    fclose(f);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    const char *key_path = NULL;
    unsigned long limit = 600;
    for (int c; (c = getopt(argc, argv, "k:u:c:f:w:F:")) != -1;) {
        switch (c) {
        case 'k': key_path = optarg; break;
        case 'u': user = optarg; break;
        case 'c': command = optarg; break;
        case 'f': fanout = strtoul(optarg, NULL, 10); break;
        case 'w': limit = strtoul(optarg, NULL, 10); break;
        case 'F': add_list(optarg); break;
        default: return 2;
        }
    }
    for (int i = optind; i < argc; i++)
        add_target(argv[i]);
    if (key_path == NULL || user == NULL || target_count == 0 || fanout == 0 ||
        ssh_pki_import_privkey_file(key_path, NULL, NULL, NULL, &key) != SSH_OK) {
        fprintf(stderr, "floor: wants -k KEYFILE -u USER and targets\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    uv_loop_init(&loop);
    uv_timer_init(&loop, &watchdog);
    uv_timer_start(&watchdog, on_watchdog, limit * 1000, 0);
    uint64_t begin = uv_hrtime();
    start_more();
    uv_run(&loop, UV_RUN_DEFAULT);
    double wall = (double)(uv_hrtime() - begin) / 1e9;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double cpu = seconds(use.ru_utime) + seconds(use.ru_stime);
    printf("hosts %zu ok %zu failed %zu bytes %llu wall_s %.3f cpu_ms_per_host %.3f "
           "maxrss_kib %ld\n",
           target_count, ok_count, fail_count, bytes, wall, cpu * 1000 / (double)target_count,
           use.ru_maxrss);
    free(targets);
    ssh_key_free(key);
    return fail_count == 0 ? 0 : 1;
}
