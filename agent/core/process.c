/* Section processes: how many in which state, and the rows of those that lead in memory, CPU or
 * I/O. All are looked at once (their stat), those rows again; between them only the leaders are
 * kept.
 */
#include "agent/core/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { STATUSES = 16, CMDLINES = 512 * 1024, CMDLINE_LEAST = 256 };

/* A heap whose first is the least of the leaders. */
struct leaders {
    struct process *list;
    size_t n, max;
};

struct counts {
    uint64_t total, threads, odd;
    struct {
        const char *name;
        uint64_t n;
    } by_status[STATUSES];
    size_t statuses;
};

/* Of two that are equal the older number leads, so that the order is the same each time. */
static bool leads(const struct process *a, const struct process *b)
{
    return a->key != b->key ? a->key > b->key : a->pid < b->pid;
}

static void swap(struct process *a, struct process *b)
{
    struct process t = *a;
    *a = *b;
    *b = t;
}

static void sink(struct leaders *l)
{
    for (size_t i = 0, least;; i = least) {
        size_t left = 2 * i + 1, right = left + 1;
        least = i;
        if (left < l->n && leads(&l->list[least], &l->list[left]))
            least = left;
        if (right < l->n && leads(&l->list[least], &l->list[right]))
            least = right;
        if (least == i)
            return;
        swap(&l->list[i], &l->list[least]);
    }
}

static void offer(struct leaders *l, const struct process *p)
{
    if (l->n == l->max) {
        if (l->max == 0 || !leads(p, &l->list[0]))
            return;
        l->list[0] = *p;
        sink(l);
        return;
    }
    l->list[l->n] = *p;
    for (size_t i = l->n++; i > 0 && leads(&l->list[(i - 1) / 2], &l->list[i]); i = (i - 1) / 2)
        swap(&l->list[i], &l->list[(i - 1) / 2]);
}

static int by_rank(const void *a, const void *b)
{
    return leads(a, b) ? -1 : 1;
}

/* ---- all of them ---- */

static uint64_t used(const struct sample *s, const struct process_use *u)
{
    return s->r->by == CORE_BY_CPU ? u->cpu : u->has_io ? u->read + u->write : 0;
}

static uint64_t key_of(struct sample *s, struct process *p)
{
    struct process_more m = {0};
    struct process_use use = {.cpu = p->utime + p->stime};
    if (s->r->by == CORE_BY_RSS)
        return p->rss_pages;
    if (s->r->by == CORE_BY_IO && process_io(s->c, p->pid, &m)) {
        use.has_io = true;
        use.read = m.read_bytes;
        use.write = m.write_bytes;
    }
    process_past_look(s, &use, p);
    return p->has_recent ? used(s, &p->recent) : process_past_share(s, p, used(s, &use));
}

static void count(struct counts *n, const struct process *p)
{
    const char *name = process_status_name(p->state);
    size_t i = 0;
    while (i < n->statuses && n->by_status[i].name != name)
        i++;
    n->by_status[i].name = name;
    n->by_status[i].n++;
    n->statuses += i == n->statuses;
    n->total++;
    n->threads += p->threads;
}

/* 0 or an errno. */
static int look_at_all(struct sample *s, struct counts *n, struct leaders *l, uint64_t *since_us)
{
    struct core_dir d;
    struct process p;
    uint64_t pid;
    int sys = core_dir_open(s->c, &d, "proc");
    if (sys != 0)
        return sys;
    *since_us = process_past_begin(s->r->past);
    for (const char *name; (name = core_dir_next(&d)) != NULL && !section_late(s);) {
        if (!span_u64(span_of(name), &pid) || pid == 0 || pid > INT32_MAX)
            continue;
        sys = process_stat(s->c, pid, &p);
        n->odd += sys == EINVAL;
        if (sys != 0)
            continue; /* gone, mostly */
        count(n, &p);
        if (l->max > 0) {
            p.key = key_of(s, &p);
            offer(l, &p);
        }
    }
    core_dir_close(&d);
    process_past_end(s->r->past, strcmp(s->status, "ok") == 0);
    return 0;
}

/* ---- rows ---- */

struct context {
    struct process_users users;
    uint64_t boot;
    bool has_boot;
    size_t cmdline_most;
    bool recent; /* there was a sample before */
};

/* comm has 15 characters; the rest may be in the first argument. */
static struct span full_name(const struct process *p, struct span cmdline)
{
    struct span name = span_of(p->name), first = cmdline;
    if (name.n < 15 || !span_until(&cmdline, '\0', &first))
        return name;
    first = span_basename(first);
    return first.n >= name.n && memcmp(first.p, name.p, name.n) == 0 ? first : name;
}

/* By the kernel's fixed numbers: /dev/pts/N, /dev/ttyN, /dev/ttySN. */
static void add_terminal(struct sample *s, int64_t tty)
{
    char text[32] = "";
    uint64_t major = (uint64_t)tty >> 8 & 0xfff;
    uint64_t minor = ((uint64_t)tty & 0xff) | ((uint64_t)tty >> 12 & 0xfff00);
    if (major >= 136 && major <= 143)
        snprintf(text, sizeof text, "/dev/pts/%u", (unsigned)((major - 136) * 256 + minor));
    else if (major == 4)
        snprintf(text, sizeof text, "/dev/tty%s%u", minor < 64 ? "" : "S",
                 (unsigned)(minor < 64 ? minor : minor - 64));
    if (text[0] == '\0')
        wire_add_nil(&s->w);
    else
        wire_add_str(&s->w, text);
}

static const char *const columns[] = {
    "pid", "ppid", "name", "username", "uid", "status", "create_time", "cpu_user", "cpu_system",
    "rss", "vms", "num_threads", "read_bytes", "write_bytes", "cmdline", "start_ticks",
    /* and what is as cheap */
    "nice", "cpu_num", "terminal", "shared", "text", "data", "euid", "suid", "gid", "egid", "sgid",
    "ctx_voluntary", "ctx_involuntary", "cpu_children_user", "cpu_children_system", "cpu_iowait",
    "minor_faults", "major_faults", "read_count", "write_count", "read_chars", "write_chars",
    "cpu_affinity",
    /* with detail */
    "exe", "cwd", "num_fds", "uss", "pss", "swap", "ionice_class", "ionice_value",
    /* since the sample before */
    "cpu_recent", "read_recent", "write_recent"};
enum { COLUMNS = sizeof columns / sizeof columns[0], COSTLY = 8, RECENT = 3 };

static size_t choose_columns(const struct sample *s, bool recent, const char *to[COLUMNS])
{
    size_t n = 0;
    for (size_t i = 0; i < COLUMNS; i++) {
        bool costly = i >= COLUMNS - COSTLY - RECENT && i < COLUMNS - RECENT;
        bool since = i >= COLUMNS - RECENT;
        if ((!costly || s->r->detail) && (!since || recent))
            to[n++] = columns[i];
    }
    return n;
}

static void add_who(struct sample *s, const struct context *x, const struct process *p,
                    const struct process_more *m, struct span cmdline)
{
    char number[24];
    wire_add_u64(&s->w, p->pid);
    wire_add_u64(&s->w, p->ppid);
    emit_add_text(s, full_name(p, cmdline));
    if (m->has_ids)
        emit_add_text(s, process_user_name(&x->users, m->uid[0], number));
    else
        wire_add_nil(&s->w);
    emit_add_u64_if(s, m->has_ids, m->uid[0]);
    wire_add_str(&s->w, process_status_name(p->state));
    emit_add_f64_if(s, x->has_boot, (double)x->boot + (double)p->start / s->c->hz);
}

static void add_figures(struct sample *s, const struct process *p, const struct process_more *m)
{
    wire_add_u64(&s->w, p->utime);
    wire_add_u64(&s->w, p->stime);
    wire_add_u64(&s->w, m->has_statm ? m->resident : p->rss_pages * s->c->page);
    wire_add_u64(&s->w, m->has_statm ? m->size : p->vsize);
    wire_add_u64(&s->w, p->threads);
    emit_add_u64_if(s, m->has_io, m->read_bytes);
    emit_add_u64_if(s, m->has_io, m->write_bytes);
}

static void add_others(struct sample *s, const struct process *p, const struct process_more *m)
{
    wire_add_i64(&s->w, p->nice);
    wire_add_u64(&s->w, p->cpu_num);
    add_terminal(s, p->tty);
    emit_add_u64_if(s, m->has_statm, m->shared);
    emit_add_u64_if(s, m->has_statm, m->text);
    emit_add_u64_if(s, m->has_statm, m->data);
    emit_add_u64_if(s, m->has_ids, m->uid[1]);
    emit_add_u64_if(s, m->has_ids, m->uid[2]);
    for (int i = 0; i < 3; i++)
        emit_add_u64_if(s, m->has_ids, m->gid[i]);
    emit_add_u64_if(s, m->has_switches, m->voluntary);
    emit_add_u64_if(s, m->has_switches, m->involuntary);
    wire_add_u64(&s->w, p->cutime);
    wire_add_u64(&s->w, p->cstime);
    wire_add_u64(&s->w, p->iowait);
    wire_add_u64(&s->w, p->minflt);
    wire_add_u64(&s->w, p->majflt);
    emit_add_u64_if(s, m->has_io, m->syscr);
    emit_add_u64_if(s, m->has_io, m->syscw);
    emit_add_u64_if(s, m->has_io, m->rchar);
    emit_add_u64_if(s, m->has_io, m->wchar);
    if (m->cpus_allowed[0] != '\0')
        emit_add_text(s, span_of(m->cpus_allowed));
    else
        wire_add_nil(&s->w);
}

static void add_text_if(struct sample *s, bool known, struct span text)
{
    if (known)
        emit_add_text(s, text);
    else
        wire_add_nil(&s->w);
}

static void add_costly(struct sample *s, const struct process_costly *x)
{
    add_text_if(s, x->has_exe, x->exe);
    add_text_if(s, x->has_cwd, x->cwd);
    emit_add_u64_if(s, x->has_fds, x->fds);
    emit_add_u64_if(s, x->has_pss, x->uss);
    emit_add_u64_if(s, x->has_pss, x->pss);
    emit_add_u64_if(s, x->has_pss, x->swap);
    emit_add_u64_if(s, x->has_ionice, x->io_class);
    emit_add_u64_if(s, x->has_ionice, x->io_value);
}

static void add_recent(struct sample *s, const struct process *p)
{
    emit_add_u64_if(s, p->has_recent, p->recent.cpu);
    emit_add_u64_if(s, p->has_recent && p->recent.has_io, p->recent.read);
    emit_add_u64_if(s, p->has_recent && p->recent.has_io, p->recent.write);
}

static bool gone(struct core *c, uint64_t pid)
{
    char path[CORE_PATH];
    return !core_path(path, "proc/%llu/stat", (unsigned long long)pid) || !core_exists(c, path);
}

static void write_row(struct sample *s, struct rows *t, const struct context *x,
                      const struct process *p)
{
    char text[PROCESS_CMDLINE + 1];
    struct process_more m;
    struct process_costly costly = {.has_exe = false};
    struct span cmdline = {"", 0};
    process_more(s->c, p->pid, &m);
    if (!m.has_ids && gone(s->c, p->pid))
        return;
    bool has_cmdline = process_cmdline(s->c, p->pid, text, x->cmdline_most, &cmdline) &&
                       (cmdline.n > 0 || p->state != 'Z');
    if (s->r->detail)
        process_costly(s, p->pid, &costly);
    if (!rows_next(s, t))
        return;
    add_who(s, x, p, &m, cmdline);
    add_figures(s, p, &m);
    add_text_if(s, has_cmdline, cmdline);
    wire_add_u64(&s->w, p->start);
    add_others(s, p, &m);
    if (s->r->detail)
        add_costly(s, &costly);
    if (x->recent)
        add_recent(s, p);
}

static void write_rows(struct sample *s, struct leaders *l, bool recent)
{
    struct rows t;
    struct context x = {.cmdline_most = CMDLINES / (l->max + 1), .recent = recent};
    const char *chosen[COLUMNS];
    if (x.cmdline_most < CMDLINE_LEAST)
        x.cmdline_most = CMDLINE_LEAST;
    if (x.cmdline_most > PROCESS_CMDLINE)
        x.cmdline_most = PROCESS_CMDLINE;
    x.has_boot = host_boot_time(s, &x.boot);
    process_users_read(s->c, &x.users);
    if (l->n > 1)
        qsort(l->list, l->n, sizeof *l->list, by_rank);
    rows_open(s, &t, "processes", chosen, choose_columns(s, recent, chosen), l->max);
    for (size_t i = 0; i < l->n && !section_late(s); i++)
        write_row(s, &t, &x, &l->list[i]);
    rows_close(s, &t);
    process_users_free(&x.users);
}

void section_processes(struct sample *s)
{
    enum { MOST = 1000 };
    struct counts n = {0};
    struct leaders l = {.max = s->r->top < MOST ? s->r->top : MOST};
    uint64_t since_us = 0;
    l.list = mem_calloc(l.max + 1, sizeof *l.list);
    if (l.list == NULL) {
        s->c->nomem = true;
        return;
    }
    int sys = look_at_all(s, &n, &l, &since_us);
    if (sys == 0 && n.total == 0)
        sys = ENOENT;
    if (sys != 0) {
        section_fail(s, sys, "processes");
    } else {
        emit_u64(s, "total", n.total);
        emit_u64(s, "threads", n.threads);
        struct emit_map outer = emit_open_map(s, "by_status");
        for (size_t i = 0; i < n.statuses; i++)
            emit_u64(s, n.by_status[i].name, n.by_status[i].n);
        emit_close_map(s, outer);
        emit_text(s, "visibility", span_of(host_sees_all(s) ? "all" : "own"));
        if (n.odd > 0)
            section_note(s, "some stat files could not be read");
        if (since_us > 0)
            emit_u64(s, "recent_us", since_us);
        write_rows(s, &l, since_us > 0);
    }
    mem_free(l.list);
}
