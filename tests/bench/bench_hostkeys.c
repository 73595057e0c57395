/* What a known_hosts of 50,000 hashed lines costs: loading it, asking for hosts that are in it, for
 * hosts that are not, and for a fleet that shares one key. Writes the file itself. Prints figures
 * beside what the project promises; gates on nothing. Usage: bench_hostkeys [LINES] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/str.h"
#include "controller/hostkeys/hmac.h"
#include "controller/hostkeys/hostkeys.h"

enum { BLOB = 51 };

static void make_blob(uint8_t blob[BLOB], unsigned seed)
{
    static const uint8_t head[] = "\0\0\0\13ssh-ed25519\0\0\0\40";
    memcpy(blob, head, 19);
    for (unsigned i = 0; i < 32; i++)
        blob[19 + i] = (uint8_t)((seed >> (8 * (i % 4))) * 37 + i);
}

static void make_name(char name[64], unsigned i)
{
    snprintf(name, 64, "node%05u.rack%u.example.com", i, i % 40);
}

static void put_line(struct buf *b, unsigned i, bool cloned)
{
    char name[64];
    uint8_t salt[HMAC_SALT], digest[HMAC_SALT], blob[BLOB];
    make_name(name, i);
    for (unsigned k = 0; k < HMAC_SALT; k++)
        salt[k] = (uint8_t)((i + 1) * (2654435761u >> k) >> 7);
    hmac_digest(salt, name, strlen(name), digest);
    make_blob(blob, cloned ? 0 : i);
    must(buf_puts(b, "|1|") == RC_OK && str_base64(b, salt, sizeof salt) == RC_OK);
    must(buf_putc(b, '|') == RC_OK && str_base64(b, digest, sizeof digest) == RC_OK);
    must(buf_puts(b, " ssh-ed25519 ") == RC_OK && str_base64(b, blob, BLOB) == RC_OK);
    must(buf_putc(b, '\n') == RC_OK);
}

/* CPU time of this process: the figures are about work, whatever else the machine does. */
static uint64_t cpu_us(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static double ms_since(uint64_t start)
{
    return (double)(cpu_us() - start) / 1000.0;
}

static struct hostkeys *load(const char *path, unsigned lines, bool cloned, double *ms)
{
    struct buf b;
    buf_init(&b, (size_t)lines * 256);
    for (unsigned i = 0; i < lines; i++)
        put_line(&b, i, cloned);
    FILE *f = fopen(path, "w");
    must(f != NULL && fwrite(b.data, 1, b.len, f) == b.len && fclose(f) == 0);
    buf_fini(&b);
    struct hostkeys *hk = NULL;
    uint64_t start = cpu_us();
    must(hostkeys_new(&hk, NULL) == RC_OK && hostkeys_load(hk, path, NULL) == RC_OK);
    *ms = ms_since(start);
    must(hostkeys_count(hk) == lines);
    return hk;
}

/* Milliseconds for one look-up, the mean of `count`. first: the number of the first host. */
static double ask(const struct hostkeys *hk, unsigned first, unsigned count, unsigned key_shift,
                  bool cloned, enum hostkeys_verdict want)
{
    struct hostkeys_answer a;
    uint64_t start = cpu_us();
    for (unsigned i = first; i < first + count; i++) {
        char name[64];
        uint8_t blob[BLOB];
        make_name(name, i);
        make_blob(blob, cloned ? 0 : i + key_shift);
        hostkeys_check(hk, name, 22, "ssh-ed25519", blob, BLOB, &a);
        must(a.verdict == want);
    }
    return ms_since(start) / count;
}

int main(int argc, char **argv)
{
    unsigned lines = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 50000;
    if (lines < 1000 || lines > 200000)
        lines = 50000;
    char path[] = "/tmp/bench-hostkeys-XXXXXX";
    int fd = mkstemp(path);
    must(fd >= 0);
    close(fd);
    double load_ms, cloned_ms;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct hostkeys *hk = load(path, lines, false, &load_ms);
    getrusage(RUSAGE_SELF, &after);
    double known = ask(hk, 0, lines, 0, false, HOSTKEYS_MATCH);
    printf("known_hosts of %u hashed lines, milliseconds of CPU time\n", lines);
    printf("load                      %10.1f ms    peak memory +%.1f MiB\n", load_ms,
           (double)(after.ru_maxrss - before.ru_maxrss) / 1024.0);
    printf(
        "known host                %10.4f ms    load and all %u hosts: %.1f ms (promised: < 500)\n",
        known, lines, load_ms + known * lines);
    printf("unknown host              %10.2f ms    (promised: < 10)\n",
           ask(hk, 300000, 100, 0, false, HOSTKEYS_UNKNOWN));
    printf("changed key               %10.2f ms\n",
           ask(hk, 0, 100, 1000000, false, HOSTKEYS_CHANGED));
    hostkeys_free(hk);
    hk = load(path, lines, true, &cloned_ms);
    printf("one key on all lines: load %9.1f ms\n", cloned_ms);
    printf("  known, in file's order  %10.4f ms\n", ask(hk, 0, lines, 0, true, HOSTKEYS_MATCH));
    printf("  unknown                 %10.2f ms\n", ask(hk, 300000, 50, 0, true, HOSTKEYS_UNKNOWN));
    hostkeys_free(hk);
    unlink(path);
    return 0;
}
