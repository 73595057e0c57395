/* The job of floor.c on our sessions: what the state machine, its deadlines and its fences cost
 * beyond the bare driver. Same options, same report; no workers, no output, no scheduler.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/num.h"
#include "controller/ssh/session.h"

struct job {
    struct session *session;
    struct sockaddr_in addr;
};

static uv_loop_t loop;
static struct session_env *env;
static struct job *jobs;
static size_t job_count, next_job, running, ok_count, fail_count;
static uint64_t bytes, fanout = 256, limit_s = 600;
static const char *user, *command = "true";

static void start_more(void);

static void on_hostkey(void *u, const char *type, const void *blob, size_t n)
{
    (void)type, (void)blob, (void)n;
    session_hostkey_answer(((struct job *)u)->session, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL);
}

static void on_nothing(void *u)
{
    (void)u;
}

static void on_data(void *u, bool is_stderr, const void *p, size_t n)
{
    (void)u, (void)is_stderr, (void)p;
    bytes += n;
}

static void on_done(void *u, const struct session_result *r)
{
    const struct job *j = u;
    bool ok = r->outcome.problem == PROBLEM_NONE;
    *(ok ? &ok_count : &fail_count) += 1;
    if (!ok)
        fprintf(stderr, "%s:%d %s in %s: %s\n", inet_ntoa(j->addr.sin_addr),
                ntohs(j->addr.sin_port), problem_name(r->outcome.problem),
                phase_name(r->outcome.phase), r->outcome.detail);
    running--;
    start_more();
}

static const struct session_ops ops = {.hostkey = on_hostkey,
                                       .authenticated = on_nothing,
                                       .sent = on_nothing,
                                       .data = on_data,
                                       .done = on_done};

static void start_more(void)
{
    while (running < fanout && next_job < job_count) {
        struct job *j = &jobs[next_job++];
        struct session_spec spec = {.label = "bench",
                                    .addr.in = j->addr,
                                    .user = user,
                                    .keys = {0},
                                    .key_count = 1,
                                    .hostkey_types = "ssh-ed25519",
                                    .command = command,
                                    .command_len = strlen(command),
                                    .connect_budget_ms = limit_s * 1000,
                                    .tcp_budget_ms = limit_s * 1000,
                                    .run_timeout_ms = limit_s * 1000};
        if (session_start(&j->session, env, &spec, &ops, j, NULL) == RC_OK)
            running++;
        else
            fail_count++;
    }
}

static void add_target(const char *text)
{
    char ip[64];
    uint64_t port = 22;
    const char *colon = strrchr(text, ':');
    struct job j = {.addr.sin_family = AF_INET};
    snprintf(ip, sizeof ip, "%.*s", (int)(colon != NULL ? colon - text : 63), text);
    jobs = realloc(jobs, (job_count + 1) * sizeof *jobs);
    if (jobs == NULL || inet_pton(AF_INET, ip, &j.addr.sin_addr) != 1 ||
        (colon != NULL && num_u64(colon + 1, 1, 65535, &port, NULL) != RC_OK)) {
        fprintf(stderr, "bench_session: not ADDR:PORT: %s\n", text);
        exit(2);
    }
    j.addr.sin_port = htons((uint16_t)port);
    jobs[job_count++] = j;
}

static void add_list(const char *path)
{
    char line[128];
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, " \r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            add_target(line);
    }
    if (f != NULL)
        fclose(f);
}

static bool add_key(const char *path)
{
    char text[16384];
    FILE *f = path != NULL ? fopen(path, "r") : NULL;
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    return session_env_add_key(env, 0, text, n, NULL, path, NULL) == RC_OK;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void on_closed(void *u)
{
    (void)u;
}

int main(int argc, char **argv)
{
    const char *key_path = NULL;
    for (int c; (c = getopt(argc, argv, "k:u:c:f:w:F:")) != -1;) {
        switch (c) {
        case 'k': key_path = optarg; break;
        case 'u': user = optarg; break;
        case 'c': command = optarg; break;
        case 'f': num_u64(optarg, 1, 65535, &fanout, NULL); break;
        case 'w': num_u64(optarg, 1, 86400, &limit_s, NULL); break;
        case 'F': add_list(optarg); break;
        default: return 2;
        }
    }
    for (int i = optind; i < argc; i++)
        add_target(argv[i]);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    uv_loop_init(&loop);
    if (session_env_new(&env, &loop, NULL) != RC_OK || user == NULL || job_count == 0 ||
        !add_key(key_path)) {
        fprintf(stderr, "bench_session: wants -k KEYFILE -u USER and targets\n");
        return 2;
    }
    uint64_t begin = uv_hrtime();
    start_more();
    uv_run(&loop, UV_RUN_DEFAULT);
    double wall = (double)(uv_hrtime() - begin) / 1e9;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double cpu = seconds(use.ru_utime) + seconds(use.ru_stime);
    printf("hosts %zu ok %zu failed %zu bytes %llu wall_s %.3f cpu_ms_per_host %.3f "
           "maxrss_kib %ld\n",
           job_count, ok_count, fail_count, (unsigned long long)bytes, wall,
           cpu * 1000 / (double)job_count, use.ru_maxrss);
    session_env_close(env, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    free(jobs);
    return fail_count == 0 ? 0 : 1;
}
