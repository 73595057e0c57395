/* What one request and its reply cost the controller on sessions that stay open, against a session
 * for each: workers and coordinator, user and system. The fleet is muster-sim's; its CPU is its
 * own.
 *
 *   muster-sim --hosts 1000 --targets T --user-key K & bench_warm -k K -F T [-w 2] [-n ROUNDS]
 *
 * First every host runs `cat` once, with a login each (cold); then `cat` stays open and echoes
 * ROUNDS requests of 100 bytes each (warm); then each runs ROUNDS commands on the login it has.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/num.h"
#include "controller/worker/pool_internal.h"

enum { REQUEST = 100, MAX_HOSTS = 10000 };
enum part { PART_COLD, PART_OPEN, PART_ECHO, PART_EXEC, PART_CLOSE };

struct host {
    struct sockaddr_in addr;
    uint64_t rounds;
    size_t got; /* of the reply */
};

static uv_loop_t loop;
static struct pool *pool;
static struct host hosts[MAX_HOSTS];
static uint64_t host_count, next_host, waiting, failed, workers = 2, rounds = 20;
static enum part part;
static char request[REQUEST];

static void fail(uint64_t job, const struct session_result *r)
{
    if (failed++ < 5)
        fprintf(stderr, "host %llu: %s in %s: %s\n", (unsigned long long)job,
                problem_name(r->outcome.problem), phase_name(r->outcome.phase), r->outcome.detail);
}

static void one_is_through(void)
{
    if (--waiting == 0)
        uv_stop(&loop);
}

static void on_hostkey(void *u, uint64_t job, const char *type, const void *blob, size_t n)
{
    (void)u, (void)type, (void)blob, (void)n;
    pool_hostkey_answer(pool, job, HOSTKEY_ACCEPT, PROBLEM_NONE, NULL);
}

static void on_nothing(void *u, uint64_t job)
{
    (void)u, (void)job;
}

static void ask(uint64_t job)
{
    hosts[job].got = 0;
    if (pool_input(pool, job, request, REQUEST, false) != RC_OK) {
        failed++;
        one_is_through();
    }
}

static void on_sent(void *u, uint64_t job)
{
    (void)u, (void)job;
    if (part == PART_COLD) /* one request, and the end */
        pool_input(pool, job, request, REQUEST, true);
    else if (part == PART_OPEN)
        one_is_through();
}

static void on_data(void *u, uint64_t job, bool is_stderr, const void *p, size_t n)
{
    struct host *h = &hosts[job];
    (void)u, (void)is_stderr, (void)p;
    h->got += n;
    if (part != PART_ECHO || h->got < REQUEST)
        return;
    if (++h->rounds < rounds)
        ask(job);
    else
        one_is_through();
}

static void exec(uint64_t job)
{
    struct session_command c = {.text = "true", .len = 4};
    if (pool_exec(pool, job, &c, NULL) != RC_OK) {
        failed++;
        one_is_through();
    }
}

static void on_ended(void *u, uint64_t job, const struct session_result *r)
{
    (void)u;
    if (r->outcome.problem != PROBLEM_NONE)
        fail(job, r);
    if (part == PART_COLD)
        return; /* finish was said */
    if (part == PART_EXEC && hosts[job].rounds++ < rounds)
        exec(job);
    else
        one_is_through();
}

static void on_done(void *u, uint64_t job, const struct session_result *r)
{
    (void)u;
    if (r->outcome.problem != PROBLEM_NONE)
        fail(job, r);
    if (r->outcome.problem != PROBLEM_NONE && part != PART_COLD && part != PART_CLOSE)
        exit(1);
    one_is_through();
}

static void on_trouble(void *u, enum rc rc, const char *message, bool all_dead)
{
    (void)u, (void)rc, (void)all_dead;
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static const struct pool_ops ops = {.hostkey = on_hostkey,
                                    .authenticated = on_nothing,
                                    .sent = on_sent,
                                    .data = on_data,
                                    .done = on_done,
                                    .trouble = on_trouble,
                                    .ended = on_ended};

static void start_all(void)
{
    for (; next_host < host_count; next_host++) {
        struct session_spec spec = {.kind = SESSION_WARM,
                                    .label = "bench",
                                    .addr.in = hosts[next_host].addr,
                                    .user = "sim",
                                    .keys = {0},
                                    .key_count = 1,
                                    .hostkey_types = "ssh-ed25519",
                                    .command = "cat",
                                    .command_len = 3,
                                    .input = INPUT_DUPLEX,
                                    .connect_budget_ms = 600 * 1000};
        if (pool_start(pool, next_host, &spec, NULL) != RC_OK)
            exit(1);
        if (part == PART_COLD)
            pool_finish(pool, next_host);
        waiting += part != PART_COLD;
    }
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Of the coordinator and of its workers, which live: from /proc. */
static double cpu_s(double *coordinator)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    *coordinator = seconds(use.ru_utime) + seconds(use.ru_stime);
    double sum = *coordinator;
    for (unsigned i = 0; i < pool->count; i++) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pool->workers[i].process.pid);
        FILE *f = fopen(path, "r");
        if (f == NULL || fgets(text, sizeof text, f) == NULL)
            exit(1);
        fclose(f);
        sum += (double)strtoull(text, NULL, 10) / 1e9;
    }
    return sum;
}

static long worker_rss_kib(void)
{
    long sum = 0;
    for (unsigned i = 0; i < pool->count; i++) {
        char path[64], line[256];
        snprintf(path, sizeof path, "/proc/%d/status", (int)pool->workers[i].process.pid);
        FILE *f = fopen(path, "r");
        while (f != NULL && fgets(line, sizeof line, f) != NULL)
            if (strncmp(line, "VmRSS:", 6) == 0)
                sum += strtol(line + 6, NULL, 10);
        if (f != NULL)
            fclose(f);
    }
    return sum;
}

/* Runs until everybody is through, and says what it cost. */
static double measure(const char *what, uint64_t exchanges)
{
    double own, before = cpu_s(&own), own_before = own;
    uint64_t begin = uv_hrtime();
    uv_run(&loop, UV_RUN_DEFAULT);
    double wall = (double)(uv_hrtime() - begin) / 1e9, cpu = cpu_s(&own) - before;
    double each = cpu * 1e6 / (double)exchanges;
    printf("%-8s %8llu exchanges  %8.1f us CPU each (coordinator %.1f)  wall %.3f s  workers %ld "
           "KiB\n",
           what, (unsigned long long)exchanges, each, (own - own_before) * 1e6 / (double)exchanges,
           wall, worker_rss_kib());
    fflush(stdout);
    return each;
}

static void add_list(const char *path)
{
    char line[128];
    FILE *f = fopen(path, "r");
    while (f != NULL && host_count < MAX_HOSTS && fgets(line, sizeof line, f) != NULL) {
        struct sockaddr_in *a = &hosts[host_count].addr;
        char *colon = strchr(line, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        a->sin_family = AF_INET;
        a->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
        host_count += inet_pton(AF_INET, line, &a->sin_addr) == 1;
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
    return pool_add_key(pool, 0, text, n, NULL, path, NULL) == RC_OK;
}

static void for_all(void (*f)(uint64_t job))
{
    waiting = host_count;
    for (uint64_t i = 0; i < host_count; i++) {
        hosts[i].rounds = 0;
        f(i);
    }
}

static void end_input(uint64_t job)
{
    pool_input(pool, job, NULL, 0, true);
}

static void finish(uint64_t job)
{
    pool_finish(pool, job);
}

static void on_closed(void *u)
{
    (void)u;
}

static void run_all(void)
{
    part = PART_COLD;
    waiting = host_count;
    start_all();
    double cold = measure("cold", host_count);
    part = PART_OPEN;
    next_host = waiting = 0;
    start_all();
    measure("open", host_count);
    part = PART_ECHO;
    for_all(ask);
    double warm = measure("echo", host_count * rounds);
    part = PART_OPEN; /* nothing but the ends of these */
    for_all(end_input);
    measure("end", host_count);
    part = PART_EXEC;
    for_all(exec);
    double each = measure("exec", host_count * (rounds + 1));
    part = PART_CLOSE;
    for_all(finish);
    measure("close", host_count);
    printf("a cold session costs %.1f times an exchange, %.1f times a command on a warm one; "
           "%llu failed\n",
           cold / warm, cold / each, (unsigned long long)failed);
}

int main(int argc, char **argv)
{
    const char *key_path = NULL;
    for (int c; (c = getopt(argc, argv, "k:F:w:n:")) != -1;) {
        switch (c) {
        case 'k': key_path = optarg; break;
        case 'F': add_list(optarg); break;
        case 'w': num_u64(optarg, 1, POOL_MAX_WORKERS, &workers, NULL); break;
        case 'n': num_u64(optarg, 1, 1000000, &rounds, NULL); break;
        default: return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    memset(request, 'r', sizeof request);
    uv_loop_init(&loop);
    if (pool_fork(&pool, (unsigned)workers, NULL) != RC_OK || host_count == 0 ||
        !add_key(key_path) || pool_attach(pool, &loop, &ops, NULL, NULL) != RC_OK) {
        fprintf(stderr, "bench_warm: wants -k KEYFILE and -F TARGETS\n");
        return 2;
    }
    run_all();
    pool_close(pool, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    pool_free(pool);
    return failed == 0 ? 0 : 1;
}
