/* See fallback.h. Here: the script, its output in pieces, and the sample around the figures. */
#include "controller/remote/fallback.h"

#include <stdio.h>
#include <string.h>

#include "common/str.h"
#include "controller/remote/fallback_int.h"
#include "controller/remote/script.h"

/* df may hang on a dead mount: of local file systems only, and with a bound where there is one. */
#define SCRIPT                                                                                     \
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}; "                                          \
    "s() { echo; echo \"=$n $1\"; }; f() { s $1; cat $2 2>/dev/null; }; "                          \
    "h() { s $1; head -n 500 $2 2>/dev/null; }; d() { df -Pkl 2>/dev/null || df -Pk 2>/dev/null; " \
    "}; f uptime /proc/uptime; f stat /proc/stat; f loadavg /proc/loadavg; "                       \
    "f meminfo /proc/meminfo; s vmstat; grep pswp /proc/vmstat 2>/dev/null; "                      \
    "h netdev /proc/net/dev; h diskstats /proc/diskstats; s block; ls /sys/block 2>/dev/null; "    \
    "s names; uname -s; uname -n; uname -r; uname -v; uname -m; "                                  \
    "f boot /proc/sys/kernel/random/boot_id; h os /etc/os-release; "                               \
    "f filesystems /proc/filesystems; h mounts /proc/self/mounts; s time; date +%s; "              \
    "s hz; getconf CLK_TCK 2>/dev/null; s page; getconf PAGESIZE 2>/dev/null; s uid; id -u; "      \
    "s df; if timeout 1 true 2>/dev/null; then { timeout 5 df -Pkl 2>/dev/null || "                \
    "timeout 5 df -Pk 2>/dev/null; } | head -n 500; else d | head -n 500; fi; s end"

enum rc fallback_line(struct buf *out, const char *nonce, struct err *e)
{
    struct buf b;
    buf_init(&b, SCRIPT_MAX);
    enum rc rc = buf_printf(&b, "n=%s; ", nonce);
    if (rc == RC_OK)
        rc = buf_puts(&b, SCRIPT);
    if (rc == RC_OK)
        rc = script_line(out, nonce, (const char *)b.data, b.len, e);
    buf_fini(&b);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

/* ---- pieces -------------------------------------------------------------------------------- */

bool piece_find(const struct output *o, const char *name, struct piece *out)
{
    char head[80];
    int k = snprintf(head, sizeof head, "\n%s%s\n", o->mark, name);
    must(k > 0 && (size_t)k < sizeof head);
    const char *at = memmem(o->text.p, o->text.n, head, (size_t)k);
    if (at == NULL)
        return false;
    at += k;
    size_t left = o->text.n - (size_t)(at - o->text.p);
    k = snprintf(head, sizeof head, "\n%s", o->mark);
    const char *end = memmem(at - 1, left + 1, head, (size_t)k);
    *out = (struct piece){at, end != NULL && end > at ? (size_t)(end - at)
                              : end != NULL           ? 0
                                                      : left};
    return out->n > 0;
}

bool piece_line(struct piece *rest, struct piece *line)
{
    while (rest->n > 0) {
        const char *end = memchr(rest->p, '\n', rest->n);
        size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n, step = n + (end != NULL);
        *line = (struct piece){rest->p, n};
        rest->p += step;
        rest->n -= step;
        if (n > 0)
            return true;
    }
    return false;
}

bool piece_word(struct piece *line, struct piece *word)
{
    while (line->n > 0 && (*line->p == ' ' || *line->p == '\t')) {
        line->p++;
        line->n--;
    }
    *word = (struct piece){line->p, 0};
    while (line->n > 0 && *line->p != ' ' && *line->p != '\t') {
        line->p++;
        line->n--;
        word->n++;
    }
    return word->n > 0;
}

bool piece_is(struct piece p, const char *s)
{
    return strlen(s) == p.n && memcmp(s, p.p, p.n) == 0;
}

bool piece_u64(struct piece p, uint64_t *v)
{
    uint64_t sum = 0;
    if (p.n == 0 || p.n > 20)
        return false;
    for (size_t i = 0; i < p.n; i++) {
        if (p.p[i] < '0' || p.p[i] > '9' || __builtin_mul_overflow(sum, 10U, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(p.p[i] - '0'), &sum))
            return false;
    }
    *v = sum;
    return true;
}

void put_text(struct wire_out *w, struct piece p)
{
    if (str_utf8_valid(p.p, p.n))
        wire_add_strn(w, p.p, p.n);
    else
        wire_add_bin(w, p.p, p.n);
}

/* ---- the sample ---------------------------------------------------------------------------- */

static const struct section {
    const char *name;
    figures_fn *figures; /* NULL: unsupported */
} sections[FALLBACK_SECTIONS] = {
    {"host", figures_host}, {"cpu", figures_cpu},   {"memory", figures_memory},
    {"swap", figures_swap}, {"disk", figures_disk}, {"diskio", figures_diskio},
    {"net", figures_net},   {"addrs", NULL},        {"connections", NULL},
    {"sensors", NULL},      {"users", NULL},        {"processes", NULL},
    {"pressure", NULL},     {"cgroup", NULL},
};

uint32_t fallback_section(const char *name, size_t len)
{
    for (unsigned i = 0; i < FALLBACK_SECTIONS; i++)
        if (piece_is((struct piece){name, len}, sections[i].name))
            return 1U << i;
    return 0;
}

static uint64_t number_of(const struct output *o, const char *name, uint64_t min, uint64_t max,
                          uint64_t otherwise)
{
    struct piece p, line;
    uint64_t v;
    if (!piece_find(o, name, &p) || !piece_line(&p, &line) || !piece_u64(line, &v) || v < min ||
        v > max)
        return otherwise;
    return v;
}

/* "12345.67 …": seconds since boot in nanoseconds. */
static bool uptime_ns(const struct output *o, uint64_t *ns)
{
    struct piece p, line, word, whole;
    uint64_t s, part;
    if (!piece_find(o, "uptime", &p) || !piece_line(&p, &line) || !piece_word(&line, &word))
        return false;
    const char *dot = memchr(word.p, '.', word.n);
    if (dot == NULL)
        return false;
    whole = (struct piece){word.p, (size_t)(dot - word.p)};
    struct piece cents = {dot + 1, word.n - whole.n - 1};
    if (cents.n != 2 || !piece_u64(whole, &s) || !piece_u64(cents, &part) ||
        s > UINT64_MAX / 2000000000U)
        return false;
    *ns = s * 1000000000U + part * 10000000U;
    return true;
}

static void put_section(const struct output *o, const struct section *s, struct wire_out *w)
{
    wire_add_key(w, s->name);
    size_t map = wire_open_map(w);
    wire_put_u64(w, "us", 0);
    if (s->figures == NULL) {
        wire_put_str(w, "status", "unsupported");
        wire_put_str(w, "error", "not without an agent");
        wire_close_counted(w, map, 3);
        return;
    }
    wire_add_key(w, "data");
    size_t data = wire_open_map(w);
    size_t n = s->figures(o, w);
    wire_close_counted(w, data, n);
    wire_put_str(w, "status", n > 0 ? "ok" : "missing");
    wire_close_counted(w, map, 3);
}

static void put_sample(const struct output *o, uint64_t mono, uint32_t which, uint64_t seq,
                       uint64_t skipped, struct wire_out *w)
{
    struct piece p, boot = {"", 0};
    if (piece_find(o, "boot", &p))
        (void)piece_line(&p, &boot);
    boot.n = boot.n < 64 ? boot.n : 64;
    wire_put_map(w, 8);
    wire_put_u64(w, "seq", seq);
    wire_put_u64(w, "skipped", skipped);
    wire_put_u64(w, "mono_ns", mono);
    wire_put_u64(w, "real_ns", number_of(o, "time", 0, UINT64_MAX / 2000000000U, 0) * 1000000000U);
    wire_add_key(w, "boot_id");
    put_text(w, boot);
    wire_put_u64(w, "hz", o->hz);
    wire_put_u64(w, "page", o->page);
    wire_add_key(w, "sections");
    size_t map = wire_open_map(w), n = 0;
    for (unsigned i = 0; i < FALLBACK_SECTIONS; i++)
        if ((which & 1U << i) != 0) {
            put_section(o, &sections[i], w);
            n++;
        }
    wire_close_counted(w, map, n);
}

enum rc fallback_sample(const void *text, size_t n, const char *nonce, uint32_t which, uint64_t seq,
                        uint64_t skipped, struct buf *out, struct err *e)
{
    struct output o = {.text = {text, n}};
    struct wire_out w;
    struct piece p;
    uint64_t mono;
    char tail[64];
    snprintf(o.mark, sizeof o.mark, "=%.32s ", nonce);
    snprintf(tail, sizeof tail, "\n%send\n", o.mark);
    if (n == 0 || memmem(text, n, tail, strlen(tail)) == NULL)
        return err_set(e, RC_PROTO, "the script's output is not whole");
    if (!uptime_ns(&o, &mono))
        return err_set(e, RC_PROTO, "no /proc/uptime");
    o.hz = number_of(&o, "hz", 1, 1000000, 100);
    o.page = number_of(&o, "page", 512, 1 << 24, 4096);
    o.uid = piece_find(&o, "uid", &p) ? number_of(&o, "uid", 0, UINT32_MAX, 1) : 1;
    size_t before = out->len;
    wire_out_init(&w, out);
    put_sample(&o, mono, which, seq, skipped, &w);
    enum rc rc = wire_out_end(&w);
    if (rc == RC_OK) /* names are the host's: the same one twice is no map */
        rc = wire_validate(out->data + before, out->len - before, e);
    if (rc != RC_OK)
        out->len = before;
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}
