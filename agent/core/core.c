/* One sample: its head, then each section that was asked for, with its own status and time. See
 * core.h. What a section does is in the file of its name.
 */
#include "agent/core/core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "agent/core/ask.h"
#include "agent/core/core_int.h"
#include "common/clock.h"
#include "common/mem.h"

static const struct {
    const char *name;
    void (*write)(struct sample *s);
} sections[] = {
    {"host", section_host},
    {"cpu", section_cpu},
    {"memory", section_memory},
    {"swap", section_swap},
    {"disk", section_disk},
    {"diskio", section_diskio},
    {"net", section_net},
    {"addrs", section_addrs},
    {"connections", section_connections},
    {"sensors", section_sensors},
    {"users", section_users},
    {"processes", section_processes},
    {"pressure", section_pressure},
    {"cgroup", section_cgroup},
};
enum { SECTIONS = sizeof sections / sizeof sections[0] };

int core_section_find(const char *name, size_t len)
{
    for (int i = 0; i < SECTIONS; i++)
        if (strlen(sections[i].name) == len && memcmp(sections[i].name, name, len) == 0)
            return i;
    return -1;
}

const char *core_section_name(unsigned number)
{
    return number < SECTIONS ? sections[number].name : NULL;
}

static uint32_t of_system(uint32_t given, unsigned long type, uint32_t otherwise)
{
    unsigned long v = given != 0 ? given : getauxval(type);
    return v > 0 && v <= UINT32_MAX ? (uint32_t)v : otherwise;
}

enum rc core_new(struct core **out, const struct core_spec *spec, struct err *e)
{
    struct core *c = mem_calloc(1, sizeof *c);
    if (c == NULL)
        return err_nomem(e);
    buf_init(&c->file, CORE_FILE);
    buf_init(&c->stat, CORE_FILE);
    buf_init(&c->mounts, CORE_FILE);
    buf_init(&c->meminfo, CORE_FILE);
    c->root = mem_strdup(spec->root);
    if (c->root == NULL) {
        mem_free(c);
        return err_nomem(e);
    }
    c->real = spec->root[0] == '\0';
    c->may_fork = spec->may_fork;
    c->hz = of_system(spec->hz, AT_CLKTCK, 100);
    c->page = of_system(spec->page, AT_PAGESZ, 4096);
    *out = c;
    return RC_OK;
}

void core_free(struct core *c)
{
    if (c == NULL)
        return;
    ask_free(c->ask);
    buf_fini(&c->file);
    buf_fini(&c->stat);
    buf_fini(&c->mounts);
    buf_fini(&c->meminfo);
    mem_free(c->root);
    mem_free(c);
}

int sample_stat(struct sample *s, struct span *text)
{
    if (!s->stat.read) {
        s->stat.read = true;
        s->stat.sys = core_read(s->c, &s->c->stat, "proc/stat", &s->stat.text);
    }
    *text = s->stat.text;
    return s->stat.sys;
}

int sample_meminfo(struct sample *s, struct span *text)
{
    if (!s->meminfo.read) {
        s->meminfo.read = true;
        s->meminfo.sys = core_read(s->c, &s->c->meminfo, "proc/meminfo", &s->meminfo.text);
    }
    *text = s->meminfo.text;
    return s->meminfo.sys;
}

int sample_mounts(struct sample *s, struct span *text)
{
    if (!s->mounts.read) {
        s->mounts.read = true;
        s->mounts.sys = core_read(s->c, &s->c->mounts, "proc/self/mounts", &s->mounts.text);
    }
    *text = s->mounts.text;
    return s->mounts.sys;
}

static const char *status_of(int sys)
{
    switch (sys) {
    case ENOENT:
    case ENOTDIR: return "missing";
    case EACCES:
    case EPERM: return "denied";
    case EOPNOTSUPP: return "unsupported";
    case ETIMEDOUT: return "timeout";
    default: return "error";
    }
}

void section_fail(struct sample *s, int sys, const char *what)
{
    struct err e = {0};
    if (strcmp(s->status, "ok") != 0)
        return;
    s->status = status_of(sys);
    err_sys(&e, sys, "%s", what);
    section_note(s, e.msg);
}

void section_note(struct sample *s, const char *what)
{
    size_t n = strlen(s->error);
    snprintf(s->error + n, sizeof s->error - n, "%s%s", n > 0 ? "; " : "", what);
}

bool section_late(struct sample *s)
{
    if (clock_us() < s->deadline_us)
        return false;
    section_fail(s, ETIMEDOUT, "not all of it");
    return true;
}

bool sample_broken(const struct sample *s)
{
    return s->c->nomem || s->w.rc != RC_OK;
}

static void write_section(struct sample *s, unsigned number, uint64_t began)
{
    uint64_t start = clock_us();
    s->deadline_us = start + s->r->section_ms * 1000;
    s->status = "ok";
    s->error[0] = '\0';
    s->members = 0;
    s->number = number;
    wire_add_key(&s->w, sections[number].name);
    size_t at = wire_open_map(&s->w), mark = s->out->len;
    struct emit_map outer = emit_open_map(s, "data");
    sections[number].write(s);
    bool empty = s->members == 0;
    emit_close_map(s, outer);
    if (empty && !sample_broken(s)) {
        s->out->len = mark;
        s->members = 0;
    }
    if (emit_key(s, "status"))
        wire_add_str(&s->w, s->status);
    if (s->error[0] != '\0')
        emit_text(s, "error", span_of(s->error));
    emit_u64(s, "at_us", start - began);
    emit_u64(s, "us", clock_us() - start);
    wire_close_counted(&s->w, at, s->members);
}

static void write_head(struct sample *s, uint64_t seq, uint64_t skipped, uint64_t began)
{
    char text[CORE_VALUE];
    struct span boot = span_of("");
    if (core_value(s->c, "proc/sys/kernel/random/boot_id", text, &boot) != 0)
        boot = span_of("");
    emit_u64(s, "seq", seq);
    emit_u64(s, "skipped", skipped);
    emit_u64(s, "mono_ns", began * 1000);
    emit_u64(s, "real_ns", (uint64_t)clock_wall_us() * 1000);
    emit_text(s, "boot_id", boot);
    emit_u64(s, "hz", s->c->hz);
    emit_u64(s, "page", s->c->page);
}

static void write_sample(struct sample *s, uint64_t seq, uint64_t skipped)
{
    uint64_t began = clock_us();
    size_t count = 0, at = wire_open_map(&s->w);
    write_head(s, seq, skipped, began);
    (void)!emit_key(s, "sections"); /* nothing is left out there */
    size_t members = s->members, inner = wire_open_map(&s->w);
    for (unsigned i = 0; i < SECTIONS && !sample_broken(s); i++) {
        if ((s->r->sections >> i & 1) == 0)
            continue;
        write_section(s, i, began);
        count++;
    }
    wire_close_counted(&s->w, inner, count);
    wire_close_counted(&s->w, at, members);
}

enum rc core_sample(struct core *c, const struct core_request *r, uint64_t seq, uint64_t skipped,
                    struct buf *out)
{
    size_t before = out->len;
    struct sample s = {.c = c, .r = r, .out = out, .status = "ok"};
    c->nomem = false;
    wire_out_init(&s.w, out);
    write_sample(&s, seq, skipped);
    enum rc rc = c->nomem ? RC_NOMEM : wire_out_end(&s.w);
    if (rc != RC_OK)
        out->len = before;
    return rc;
}
