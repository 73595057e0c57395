/* What one sample costs the coordinator, step by step: checking its bytes, decoding it, working its
 * rates out. CPU time, of samples that a `muster stats --capture` kept.
 *
 *   muster stats -i … --interval 1s --samples 3 --capture DIR web1 && bench_sample DIR/web1.stdout
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "controller/stats/rates.h"
#include "controller/stats/sample.h"
#include "proto/agent.h"
#include "proto/frame.h"
#include "proto/wire.h"

enum { SAMPLES = 2, TIMES = 20000, FILE_MOST = 8 << 20 };

/* As a table of hosts wants them. */
static const uint32_t kinds = 1u << KIND_HOST | 1u << KIND_MOUNT | 1u << KIND_NIC;

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void show(const char *what, double from, uint64_t bytes)
{
    printf("%-30s %7.2f us   (%llu bytes)\n", what, (cpu_us() - from) / TIMES,
           (unsigned long long)bytes);
}

static void need(bool is, const char *what)
{
    if (is)
        return;
    fprintf(stderr, "bench_sample: %s\n", what);
    exit(1);
}

/* The last SAMPLES replies of the capture, which the hello begins. */
static void find_samples(const struct buf *b, struct frame out[SAMPLES])
{
    size_t at = AGENT_PREAMBLE_LEN, found = 0;
    struct frame f;
    long n;
    while (at < b->len && (n = frame_parse(b->data + at, b->len - at, &f)) > 0) {
        if (f.type == AGENT_REPLY) {
            memmove(out, out + 1, (SAMPLES - 1) * sizeof *out);
            out[SAMPLES - 1] = f;
            found++;
        }
        at += (size_t)n;
    }
    need(found >= SAMPLES, "no two samples in it");
}

static void read_file(const char *path, struct buf *b)
{
    char part[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    need(f != NULL, "cannot open the capture");
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        need(buf_append(b, part, n) == RC_OK, "the capture is too large");
    fclose(f);
}

int main(int argc, char **argv)
{
    struct buf b;
    struct frame f[SAMPLES];
    struct sample before, now;
    need(argc == 2, "want a capture");
    buf_init(&b, FILE_MOST);
    read_file(argv[1], &b);
    find_samples(&b, f);
    double from = cpu_us();
    for (int i = 0; i < TIMES; i++)
        need(wire_validate(f[1].payload, f[1].length, NULL) == RC_OK, "not msgpack");
    show("checking", from, f[1].length);
    sample_init(&now);
    from = cpu_us();
    for (int i = 0; i < TIMES; i++) {
        need(sample_decode(&now, f[1].payload, f[1].length, kinds, NULL) == RC_OK, "no sample");
        sample_fini(&now);
    }
    show("decoding", from, f[1].length);
    sample_init(&before);
    need(sample_decode(&before, f[0].payload, f[0].length, kinds, NULL) == RC_OK &&
             sample_decode(&now, f[1].payload, f[1].length, kinds, NULL) == RC_OK,
         "no sample");
    rates_work_out(NULL, &before);
    from = cpu_us();
    for (int i = 0; i < TIMES; i++)
        need(rates_work_out(&before, &now) == RATES_OK, "no rates");
    show("rates", from, f[1].length);
    sample_fini(&before);
    sample_fini(&now);
    buf_fini(&b);
    return 0;
}
