/* See process.h. */
#include "agent/core/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"

/* The files are made by the kernel, but not all they say: names and arguments are the process's. */

const char *process_status_name(char state)
{
    static const struct {
        char letter;
        const char *name;
    } names[] = {{'R', "running"},      {'S', "sleeping"}, {'D', "disk-sleep"}, {'T', "stopped"},
                 {'t', "tracing-stop"}, {'Z', "zombie"},   {'X', "dead"},       {'x', "dead"},
                 {'K', "wake-kill"},    {'W', "waking"},   {'I', "idle"},       {'P', "parked"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].letter == state)
            return names[i].name;
    return "?";
}

/* ---- stat ---- */

/* Numbered from 0 behind the name, psutil's way. */
enum word {
    STATE = 0,
    PPID = 1,
    TTY = 4,
    MINFLT = 7,
    MAJFLT = 9,
    UTIME = 11,
    STIME = 12,
    CUTIME = 13,
    CSTIME = 14,
    NICE = 16,
    THREADS = 17,
    START = 19,
    VSIZE = 20,
    RSS = 21,
    PROCESSOR = 36,
    BLKIO = 39,
    WORDS = 40
};

/* "1234 (name) S 1 ...": the name may hold anything, so it ends at the last parenthesis. */
static bool split_name(struct span *text, struct span *name)
{
    const char *open = text->n > 0 ? memchr(text->p, '(', text->n) : NULL;
    const char *close = text->n > 0 ? memrchr(text->p, ')', text->n) : NULL;
    if (open == NULL || close == NULL || close < open)
        return false;
    *name = (struct span){open + 1, (size_t)(close - open - 1)};
    *text = span_skip(*text, (size_t)(close - text->p) + 1);
    return true;
}

bool process_parse_stat(struct span text, struct process *p)
{
    struct span name, w[WORDS];
    int64_t rss;
    if (!split_name(&text, &name))
        return false;
    size_t n = span_words(text, w, WORDS);
    if (n <= RSS || w[STATE].n != 1)
        return false;
    p->state = w[STATE].p[0];
    span_copy(p->name, sizeof p->name, name);
    const struct {
        enum word word;
        uint64_t *to;
    } numbers[] = {{PPID, &p->ppid},      {MINFLT, &p->minflt}, {MAJFLT, &p->majflt},
                   {UTIME, &p->utime},    {STIME, &p->stime},   {CUTIME, &p->cutime},
                   {CSTIME, &p->cstime},  {START, &p->start},   {VSIZE, &p->vsize},
                   {THREADS, &p->threads}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!span_u64(w[numbers[i].word], numbers[i].to))
            return false;
    if (!span_i64(w[NICE], &p->nice) || !span_i64(w[TTY], &p->tty) || !span_i64(w[RSS], &rss))
        return false;
    p->rss_pages = rss > 0 ? (uint64_t)rss : 0;
    p->cpu_num = p->iowait = 0;
    if (n > PROCESSOR)
        (void)span_u64(w[PROCESSOR], &p->cpu_num);
    if (n > BLKIO)
        (void)span_u64(w[BLKIO], &p->iowait);
    return true;
}

static int piece(struct core *c, uint64_t pid, const char *file, char *dst, size_t cap,
                 struct span *out)
{
    char path[CORE_PATH];
    (void)core_path(path, "proc/%llu/%s", (unsigned long long)pid, file);
    return core_piece(c, path, dst, cap, out);
}

int process_stat(struct core *c, uint64_t pid, struct process *p)
{
    char text[1024];
    struct span all;
    int sys = piece(c, pid, "stat", text, sizeof text, &all);
    *p = (struct process){.pid = pid};
    if (sys != 0)
        return sys;
    return process_parse_stat(all, p) ? 0 : EINVAL;
}

/* ---- status, statm, io ---- */

static bool three(struct span line, uint64_t v[3])
{
    struct span w[3];
    return span_words(line, w, 3) >= 3 && span_u64(w[0], &v[0]) && span_u64(w[1], &v[1]) &&
           span_u64(w[2], &v[2]);
}

static void parse_status(struct span rest, struct process_more *m)
{
    struct span line, key;
    bool uid = false, gid = false, voluntary = false, involuntary = false;
    while (span_line(&rest, &line)) {
        if (!span_until(&line, ':', &key))
            continue;
        if (span_is(key, "Uid"))
            uid = uid || three(line, m->uid);
        else if (span_is(key, "Gid"))
            gid = gid || three(line, m->gid);
        else if (span_is(key, "voluntary_ctxt_switches"))
            voluntary = span_u64(span_trim(line), &m->voluntary);
        else if (span_is(key, "nonvoluntary_ctxt_switches"))
            involuntary = span_u64(span_trim(line), &m->involuntary);
        else if (span_is(key, "Cpus_allowed_list") &&
                 span_trim(line).n < sizeof m->cpus_allowed) /* cut it would look whole */
            span_copy(m->cpus_allowed, sizeof m->cpus_allowed, span_trim(line));
    }
    m->has_ids = uid && gid;
    m->has_switches = voluntary && involuntary;
}

static void parse_statm(struct span text, struct process_more *m)
{
    struct span w[6];
    m->has_statm = span_words(text, w, 6) >= 6 && span_u64(w[0], &m->size) &&
                   span_u64(w[1], &m->resident) && span_u64(w[2], &m->shared) &&
                   span_u64(w[3], &m->text) && span_u64(w[5], &m->data);
}

/* Bytes of so many pages. */
static uint64_t bytes_of(const struct core *c, uint64_t pages)
{
    uint64_t v;
    return __builtin_mul_overflow(pages, (uint64_t)c->page, &v) ? UINT64_MAX : v;
}

bool process_io(struct core *c, uint64_t pid, struct process_more *m)
{
    char text[512];
    struct span rest, line, key;
    const struct {
        const char *name;
        uint64_t *to;
    } names[] = {{"rchar", &m->rchar},           {"wchar", &m->wchar},
                 {"syscr", &m->syscr},           {"syscw", &m->syscw},
                 {"read_bytes", &m->read_bytes}, {"write_bytes", &m->write_bytes}};
    unsigned seen = 0;
    if (piece(c, pid, "io", text, sizeof text, &rest) != 0)
        return false;
    while (span_line(&rest, &line))
        for (size_t i = 0; i < 6 && line.n > 0; i++) {
            struct span value = line;
            if (span_until(&value, ':', &key) && span_is(key, names[i].name) &&
                span_u64(span_trim(value), names[i].to))
                seen |= 1u << i;
        }
    m->has_io = seen == 0x3f;
    return m->has_io;
}

/* Of a piece that filled its buffer: without what may be half a line. */
static struct span whole_lines(struct span all, size_t cap)
{
    while (all.n > 0 && (all.n == cap || all.p[all.n - 1] != '\n'))
        all.n--;
    return all;
}

void process_more(struct core *c, uint64_t pid, struct process_more *m)
{
    char text[4096];
    struct span all;
    *m = (struct process_more){0};
    if (piece(c, pid, "status", text, sizeof text, &all) == 0)
        parse_status(all.n < sizeof text ? all : whole_lines(all, sizeof text), m);
    if (piece(c, pid, "statm", text, sizeof text, &all) == 0)
        parse_statm(all, m);
    m->size = bytes_of(c, m->size);
    m->resident = bytes_of(c, m->resident);
    m->shared = bytes_of(c, m->shared);
    m->text = bytes_of(c, m->text);
    m->data = bytes_of(c, m->data);
    (void)process_io(c, pid, m);
}

/* ---- cmdline ---- */

static void replace(char *text, size_t n, char from, char to)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] == from)
            text[i] = to;
}

/* Arguments are ended by NUL each; a process that has written its own may use blanks, and even then
 * end with a NUL. text[n] must be writable. */
struct span process_split_cmdline(char *text, size_t n, bool cut)
{
    if (n == 0)
        return span_of("");
    bool nul = text[n - 1] == '\0' || (cut && memchr(text, '\0', n) != NULL);
    if (!cut && text[n - 1] == (nul ? '\0' : ' '))
        n--;
    if (!nul || (memchr(text, '\0', n) == NULL && memchr(text, ' ', n) != NULL)) {
        replace(text, n, '\0', ' '); /* one that is not an end: it must not look like one */
        replace(text, n, ' ', '\0');
    }
    text[n] = '\0';
    return (struct span){text, n + 1};
}

bool process_cmdline(struct core *c, uint64_t pid, char *dst, size_t cap, struct span *out)
{
    struct span all;
    if (piece(c, pid, "cmdline", dst, cap, &all) != 0)
        return false;
    size_t n = all.n;
    bool cut = n == cap;
    while (cut && n > 0 && (dst[n - 1] & 0x80) != 0) /* half a character */
        n--;
    *out = process_split_cmdline(dst, n, cut);
    return true;
}

/* ---- with detail ---- */

/* "/usr/bin/x (deleted)" is "/usr/bin/x". psutil asks whether there is a file of that very name; we
 * do not: the place is the process's choice, and where it hangs so would we. */
static bool link_of(struct core *c, uint64_t pid, const char *name, char text[CORE_PATH],
                    struct span *out)
{
    static const char deleted[] = " (deleted)";
    char path[CORE_PATH];
    (void)core_path(path, "proc/%llu/%s", (unsigned long long)pid, name);
    ssize_t n = core_link(c, path, text, CORE_PATH - 1);
    if (n < 0)
        return false;
    size_t len = strnlen(text, (size_t)n), tail = sizeof deleted - 1;
    text[len] = '\0';
    if (len > tail && strcmp(text + len - tail, deleted) == 0)
        len -= tail;
    *out = (struct span){text, len};
    return true;
}

static bool count_fds(struct sample *s, uint64_t pid, uint64_t *count)
{
    char path[CORE_PATH];
    struct core_dir d;
    *count = 0;
    (void)core_path(path, "proc/%llu/fd", (unsigned long long)pid);
    if (core_dir_open(s->c, &d, path) != 0)
        return false;
    while (core_dir_next(&d) != NULL && !section_late(s))
        ++*count;
    core_dir_close(&d);
    return true;
}

/* Σ of lines "Private_Clean:  12 kB" and so on; of smaps_rollup, or of smaps without it. */
static bool sum_smaps(struct sample *s, const char *path, struct process_costly *x)
{
    struct core_lines l;
    struct span line, key, word;
    uint64_t v, uss = 0, pss = 0, swap = 0;
    if (core_lines_open(s->c, &l, path) != 0)
        return false;
    while (!section_late(s) && core_lines_next(&l, &line)) {
        if (!span_until(&line, ':', &key) || !span_word(&line, &word) || !span_u64(word, &v) ||
            v > (uint64_t)1 << 40)
            continue;
        uss += span_starts(key, "Private") ? v * 1024 : 0;
        pss += span_is(key, "Pss") ? v * 1024 : 0;
        swap += span_is(key, "Swap") ? v * 1024 : 0;
    }
    core_lines_close(&l);
    x->uss = uss;
    x->pss = pss;
    x->swap = swap;
    return true;
}

static bool ionice(const struct sample *s, uint64_t pid, struct process_costly *x)
{
    enum { OF_PROCESS = 1, CLASS_SHIFT = 13 };
    long v = s->c->real ? syscall(SYS_ioprio_get, OF_PROCESS, (int)pid) : -1;
    if (v < 0)
        return false;
    x->io_class = (uint64_t)v >> CLASS_SHIFT;
    x->io_value = (uint64_t)v & ((1u << CLASS_SHIFT) - 1);
    return true;
}

void process_costly(struct sample *s, uint64_t pid, struct process_costly *x)
{
    char path[CORE_PATH];
    x->has_exe = link_of(s->c, pid, "exe", x->exe_text, &x->exe);
    x->has_cwd = link_of(s->c, pid, "cwd", x->cwd_text, &x->cwd);
    x->has_fds = count_fds(s, pid, &x->fds);
    (void)core_path(path, "proc/%llu/smaps_rollup", (unsigned long long)pid);
    x->has_pss = sum_smaps(s, path, x);
    (void)core_path(path, "proc/%llu/smaps", (unsigned long long)pid);
    if (!x->has_pss)
        x->has_pss = sum_smaps(s, path, x);
    x->has_ionice = ionice(s, pid, x);
}

/* ---- users ---- */

void process_users_read(struct core *c, struct process_users *u)
{
    struct core_lines l;
    struct span line, name, ignored, uid;
    uint64_t v;
    *u = (struct process_users){0};
    if (core_lines_open(c, &l, "etc/passwd") != 0)
        return;
    while (u->n < PROCESS_MOST_USERS && core_lines_next(&l, &line)) {
        if (!span_until(&line, ':', &name) || !span_until(&line, ':', &ignored) ||
            !span_until(&line, ':', &uid) || !span_u64(uid, &v) || v > UINT32_MAX || name.n == 0)
            continue;
        if (mem_grow(&u->list, &u->cap, u->n + 1, sizeof *u->list) != 0) {
            c->nomem = true;
            break;
        }
        u->list[u->n].uid = (uint32_t)v;
        span_copy(u->list[u->n++].name, sizeof u->list->name, name);
    }
    core_lines_close(&l);
}

struct span process_user_name(const struct process_users *u, uint64_t uid, char dst[24])
{
    for (size_t i = 0; i < u->n; i++)
        if (u->list[i].uid == uid)
            return span_of(u->list[i].name);
    snprintf(dst, 24, "%llu", (unsigned long long)uid);
    return span_of(dst);
}

void process_users_free(struct process_users *u)
{
    mem_free(u->list);
    *u = (struct process_users){0};
}
