/* Section cgroup: what the control groups that we run in allow: of us and all groups above, the
 * tightest. In a container that is the container's; in a session of sshd on a host mostly nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/core_int.h"

enum { MOST_LEVELS = 32 };

struct limits {
    bool has_memory, has_current, has_quota, has_pids, has_pids_current;
    uint64_t memory, current, quota, period, pids, pids_current;
};

static bool number(struct core *c, const char *folder, const char *file, uint64_t *v)
{
    char path[CORE_PATH];
    return core_path(path, "%s/%s", folder, file) && core_value_u64(c, path, v) == 0;
}

/* A limit, and what is used of it: the tighter one stays; without any, the use of our own group. */
static void tighten(struct core *c, const char *folder, const char *limit, const char *use,
                    uint64_t none, bool *has, uint64_t *most, bool *has_use, uint64_t *used)
{
    uint64_t v, u;
    bool limited = number(c, folder, limit, &v) && v < none;
    if (limited ? *has && v >= *most : *has_use)
        return;
    if (number(c, folder, use, &u)) {
        *has_use = true;
        *used = u;
    }
    if (limited) {
        *has = true;
        *most = v;
    }
}

static void tighten_cpu(struct limits *l, uint64_t quota, uint64_t period)
{
    if (quota == 0 || period == 0 || quota > INT64_MAX || period > INT64_MAX)
        return;
    if (l->has_quota && (double)quota / (double)period >= (double)l->quota / (double)l->period)
        return;
    l->has_quota = true;
    l->quota = quota;
    l->period = period;
}

/* "max 100000" */
static void cpu_max(struct core *c, const char *folder, struct limits *l)
{
    char path[CORE_PATH], text[CORE_VALUE];
    struct span v, w[2];
    uint64_t quota, period;
    if (core_path(path, "%s/cpu.max", folder) && core_value(c, path, text, &v) == 0 &&
        span_words(v, w, 2) == 2 && span_u64(w[0], &quota) && span_u64(w[1], &period))
        tighten_cpu(l, quota, period);
}

static void look(struct core *c, const char *folder, const char *controller, struct limits *l)
{
    uint64_t quota, period;
    bool all = controller[0] == '\0'; /* version 2 */
    enum { NO_LIMIT_SHIFT = 62 };     /* version 1 writes a very large number */
    if (all) {
        cpu_max(c, folder, l);
        tighten(c, folder, "memory.max", "memory.current", UINT64_MAX, &l->has_memory, &l->memory,
                &l->has_current, &l->current);
    } else if (strcmp(controller, "cpu") == 0 && number(c, folder, "cpu.cfs_quota_us", &quota) &&
               number(c, folder, "cpu.cfs_period_us", &period)) {
        tighten_cpu(l, quota, period);
    } else if (strcmp(controller, "memory") == 0) {
        tighten(c, folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                (uint64_t)1 << NO_LIMIT_SHIFT, &l->has_memory, &l->memory, &l->has_current,
                &l->current);
    }
    if (all || strcmp(controller, "pids") == 0)
        tighten(c, folder, "pids.max", "pids.current", UINT64_MAX, &l->has_pids, &l->pids,
                &l->has_pids_current, &l->pids_current);
}

/* From our own group up to the top. A group that is not there (another name space's path) is passed
 * over. */
static void climb(struct core *c, const char *top, const char *controller, struct span group,
                  struct limits *l)
{
    for (int level = 0; level < MOST_LEVELS; level++) {
        char folder[CORE_PATH], name[CORE_PATH];
        while (group.n > 0 && group.p[group.n - 1] == '/')
            group.n--;
        span_copy(name, sizeof name, group);
        if (strstr(name, "/..") != NULL)
            name[0] = '\0';
        if (core_path(folder, "%s%s", top, name))
            look(c, folder, controller, l);
        if (group.n == 0)
            return;
        group.n -= span_basename(group).n;
    }
}

static bool lists(struct span names, const char *name)
{
    for (struct span one; names.n > 0;) {
        if (!span_until(&names, ',', &one)) {
            one = names;
            names.n = 0;
        }
        if (span_is(one, name))
            return true;
    }
    return false;
}

/* Lines "0::/group" (version 2) and "4:cpu,cpuacct:/group". Returns the version. `rest` may be in
 * c->file: what is read here are single values. */
static int read_groups(struct core *c, struct span rest, struct limits *l)
{
    static const char *const controllers[] = {"cpu", "memory", "pids"};
    struct span line, id, names;
    int version = 2, lines = 0;
    bool hybrid = !core_exists(c, "sys/fs/cgroup/cgroup.controllers");
    const char *top2 = hybrid ? "sys/fs/cgroup/unified" : "sys/fs/cgroup";
    while (lines++ < MOST_LEVELS && span_line(&rest, &line)) {
        if (!span_until(&line, ':', &id) || !span_until(&line, ':', &names))
            continue;
        if (names.n == 0) {
            climb(c, top2, "", line, l);
            continue;
        }
        for (int i = 0; i < 3; i++) {
            char top[CORE_PATH];
            if (lists(names, controllers[i]) &&
                core_path(top, "sys/fs/cgroup/%s", controllers[i]) && core_exists(c, top)) {
                version = 1;
                climb(c, top, controllers[i], line, l);
            }
        }
    }
    return version;
}

static void emit_if(struct sample *s, const char *key, bool known, uint64_t v)
{
    if (emit_key(s, key))
        emit_add_u64_if(s, known, v);
}

void section_cgroup(struct sample *s)
{
    struct limits l = {0};
    struct span rest;
    int sys = core_read(s->c, &s->c->file, "proc/self/cgroup", &rest);
    if (sys == 0 && !core_exists(s->c, "sys/fs/cgroup"))
        sys = ENOENT;
    if (sys != 0) {
        section_fail(s, sys, "cgroup");
        return;
    }
    emit_u64(s, "version", (uint64_t)read_groups(s->c, rest, &l));
    emit_if(s, "memory_max", l.has_memory, l.memory);
    emit_if(s, "memory_current", l.has_current, l.current);
    emit_if(s, "cpu_quota_us", l.has_quota, l.quota);
    emit_if(s, "cpu_period_us", l.has_quota, l.period);
    emit_if(s, "pids_max", l.has_pids, l.pids);
    emit_if(s, "pids_current", l.has_pids_current, l.pids_current);
}
