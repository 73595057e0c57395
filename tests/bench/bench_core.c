/* What one sample costs in CPU, section by section and as a whole, children included. Prints
 * figures beside what the project promises; gates on nothing.
 *
 *     bench_core [SAMPLES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/core/core.h"
#include "proto/frame.h"

static double cpu_us(int who)
{
    struct rusage u;
    must(getrusage(who, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static double used_us(void)
{
    return cpu_us(RUSAGE_SELF) + cpu_us(RUSAGE_CHILDREN);
}

/* CPU per sample, and its size. */
static double measure(struct core *c, uint64_t sections, uint32_t top, unsigned samples,
                      size_t *bytes)
{
    struct core_request r = {.sections = sections, .top = top, .section_ms = 2000};
    struct buf out;
    buf_init(&out, FRAME_MAX);
    must(core_sample(c, &r, 0, 0, &out) == RC_OK); /* what is found once only */
    double start = used_us();
    for (unsigned i = 0; i < samples; i++) {
        buf_reset(&out);
        must(core_sample(c, &r, i, 0, &out) == RC_OK);
    }
    *bytes = out.len;
    buf_fini(&out);
    return (used_us() - start) / samples;
}

int main(int argc, char **argv)
{
    unsigned samples = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    struct core_spec spec = {.root = "", .may_fork = true};
    struct core *c;
    uint64_t all = 0;
    size_t bytes;
    must(samples > 0 && core_new(&c, &spec, NULL) == RC_OK);
    printf("%-12s %10s %8s\n", "section", "CPU us", "bytes");
    for (unsigned i = 0; core_section_name(i) != NULL; i++) {
        double us = measure(c, (uint64_t)1 << i, 10, samples, &bytes);
        printf("%-12s %10.1f %8zu\n", core_section_name(i), us, bytes);
        if (strcmp(core_section_name(i), "processes") != 0)
            all |= (uint64_t)1 << i;
    }
    /* The kernel walks its whole table of sockets for that one, and it grows with the memory. */
    uint64_t sockets = (uint64_t)1 << core_section_find("connections", 11);
    double us = measure(c, all & ~sockets, 0, samples, &bytes);
    printf("all but processes and connections %.1f us, %zu bytes; promised: 2000\n", us, bytes);
    us = measure(c, all, 0, samples, &bytes);
    printf("all but processes                 %.1f us, %zu bytes\n", us, bytes);
    struct rusage u;
    must(getrusage(RUSAGE_SELF, &u) == 0);
    printf("largest resident size %ld KiB\n", u.ru_maxrss);
    core_free(c);
    return 0;
}
