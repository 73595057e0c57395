/* Section disk: what is mounted, and how full it is. psutil's disk_partitions() gives the rows that
 * are `physical`; the others are those that hold files too (tmpfs, overlay, network), not those
 * that only show what the kernel knows. What may hang is asked by a child (ask.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/core/ask.h"
#include "agent/core/core_int.h"
#include "common/arena.h"
#include "common/mem.h"

enum { MOST_MOUNTS = 512, MOST_TYPES = 128 };

struct mount {
    struct span device, point, type, opts;
    bool physical;
    bool direct; /* asking it cannot hang */
};

struct table {
    struct arena text;
    struct mount *mounts;
    struct ask_item *items; /* one for each mount; then those for children, in front */
    size_t n;
    uint64_t more;
};

/* Nothing is stored there; some would even hang or mount something when asked. */
static const char *const kernel_types[] = {
    "proc",        "sysfs",      "cgroup",     "cgroup2", "devpts",      "debugfs",
    "tracefs",     "bpf",        "securityfs", "pstore",  "binfmt_misc", "configfs",
    "mqueue",      "hugetlbfs",  "fusectl",    "autofs",  "rpc_pipefs",  "nsfs",
    "efivarfs",    "nfsd",       "selinuxfs",  "sockfs",  "pipefs",      "anon_inodefs",
    "smackfs",     "openpromfs", "spufs",      "devfs",   "fuse.lxcfs",  "fuse.gvfsd-fuse",
    "fuse.portal", "resctrl",    "bdev",       "dax",     "cpuset",
};

/* These answer from memory, whatever their disk does. Not those of FAT: the first time they may
 * count what is free on the disk. */
static const char *const direct_types[] = {
    "ext2",  "ext3",     "ext4",  "xfs",     "tmpfs", "devtmpfs",
    "ramfs", "squashfs", "erofs", "iso9660", "f2fs",  "rootfs",
};

static bool among(struct span s, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_is(s, names[i]))
            return true;
    return false;
}

static bool octal(struct span s, unsigned char *c)
{
    if (s.n < 4 || s.p[0] != '\\')
        return false;
    unsigned v = 0;
    for (int i = 1; i < 4; i++) {
        if (s.p[i] < '0' || s.p[i] > '7')
            return false;
        v = v * 8 + (unsigned)(s.p[i] - '0');
    }
    *c = (unsigned char)v;
    return v != 0 && v < 256;
}

/* "\040" is a blank. Ends with NUL; .p is NULL without memory. */
static struct span decoded(struct arena *a, struct span s)
{
    char *dst = arena_alloc(a, s.n + 1);
    size_t n = 0;
    if (dst == NULL)
        return (struct span){0};
    for (unsigned char c; s.n > 0;) {
        bool escaped = octal(s, &c);
        dst[n++] = escaped ? (char)c : s.p[0];
        s = span_skip(s, escaped ? 4 : 1);
    }
    dst[n] = '\0';
    return (struct span){dst, n};
}

/* ---- which are physical ---- */

struct types {
    char text[MOST_TYPES][32];
    size_t n;
};

/* Types of file systems that need a device, and zfs. */
static void read_types(struct core *c, struct types *t)
{
    struct span rest, line, w[2];
    t->n = 0;
    if (core_read(c, &c->file, "proc/filesystems", &rest) != 0)
        return;
    while (t->n < MOST_TYPES && span_line(&rest, &line)) {
        size_t words = span_words(line, w, 2);
        bool zfs = words == 2 && span_is(w[1], "zfs");
        if (words == 0 || (span_is(w[0], "nodev") && !zfs))
            continue;
        span_copy(t->text[t->n++], sizeof t->text[0], zfs ? w[1] : w[0]);
    }
}

static bool known_type(const struct types *t, struct span type)
{
    for (size_t i = 0; i < t->n; i++)
        if (span_is(type, t->text[i]))
            return true;
    return false;
}

/* ---- the device behind /dev/root ---- */

static bool name_in_partitions(struct core *c, dev_t dev, char *name, size_t cap)
{
    struct span rest, line, w[4];
    uint64_t ma, mi;
    if (core_read(c, &c->file, "proc/partitions", &rest) != 0)
        return false;
    while (span_line(&rest, &line))
        if (span_words(line, w, 4) == 4 && span_u64(w[0], &ma) && span_u64(w[1], &mi) &&
            ma == major(dev) && mi == minor(dev)) {
            span_copy(name, cap, w[3]);
            return true;
        }
    return false;
}

static bool name_in_uevent(struct core *c, dev_t dev, char *name, size_t cap)
{
    char path[CORE_PATH];
    struct span rest, line;
    if (!core_path(path, "sys/dev/block/%u:%u/uevent", major(dev), minor(dev)) ||
        core_read(c, &c->file, path, &rest) != 0)
        return false;
    while (span_line(&rest, &line))
        if (span_starts(line, "DEVNAME=")) {
            span_copy(name, cap, span_trim(span_skip(line, 8)));
            return true;
        }
    return false;
}

/* "/dev/vda1" for the file system that / is on, or as it was. */
static struct span root_device(struct sample *s, struct table *t, struct span as_it_was)
{
    char name[64], path[CORE_PATH];
    struct stat st;
    if (stat(s->c->root[0] == '\0' ? "/" : s->c->root, &st) != 0 ||
        (!name_in_partitions(s->c, st.st_dev, name, sizeof name) &&
         !name_in_uevent(s->c, st.st_dev, name, sizeof name)) ||
        !core_path(path, "dev/%s", name) || !core_exists(s->c, path))
        return as_it_was;
    char *text = arena_alloc(&t->text, strlen(path) + 2);
    if (text == NULL) {
        s->c->nomem = true;
        return as_it_was;
    }
    snprintf(text, strlen(path) + 2, "/%s", path);
    return span_of(text);
}

/* ---- the table ---- */

static bool add_mount(struct sample *s, struct table *t, struct span line,
                      const struct types *types)
{
    struct span w[4];
    bool detail = s->r->detail;
    if (span_words(line, w, 4) < 4 ||
        (among(w[2], kernel_types, sizeof kernel_types / sizeof kernel_types[0]) && !detail))
        return true;
    if (t->n == MOST_MOUNTS) {
        t->more++;
        return true;
    }
    struct mount *m = &t->mounts[t->n];
    *m = (struct mount){decoded(&t->text, w[0]), decoded(&t->text, w[1]), w[2], w[3], false, false};
    size_t room = strlen(s->c->root) + m->point.n + 1;
    char *path = arena_alloc(&t->text, room);
    if (m->device.p == NULL || m->point.p == NULL || path == NULL)
        return false;
    snprintf(path, room, "%s%s", s->c->root, m->point.p);
    if (span_is(m->device, "none"))
        m->device = span_of("");
    else if (span_is(m->device, "/dev/root") || span_is(m->device, "rootfs"))
        m->device = root_device(s, t, m->device);
    m->physical = m->device.n > 0 && known_type(types, m->type);
    m->direct = among(m->type, direct_types, sizeof direct_types / sizeof direct_types[0]);
    t->items[t->n++] = (struct ask_item){.path = path};
    return true;
}

/* The way to a mount leads through those above it. */
static bool below(struct span point, struct span above)
{
    if (above.n == 1 && above.p[0] == '/')
        return true;
    return point.n > above.n && memcmp(point.p, above.p, above.n) == 0 && point.p[above.n] == '/';
}

static void see_to_ways(struct table *t)
{
    for (size_t k = 0; k < t->n; k++) {
        if (among(t->mounts[k].type, direct_types, sizeof direct_types / sizeof direct_types[0]))
            continue;
        for (size_t i = 0; i < t->n; i++)
            if (i != k && t->mounts[i].direct && below(t->mounts[i].point, t->mounts[k].point))
                t->mounts[i].direct = false;
    }
}

static void ask_test(struct core *c, struct ask_item *item)
{
    struct statvfs v;
    int sys = c->files->statvfs(c->files_user, item->path, &v);
    item->sys = -sys;
    if (sys == 0)
        item->f = (struct ask_figures){v.f_frsize, v.f_blocks, v.f_bfree,
                                       v.f_bavail, v.f_files,  v.f_ffree};
}

static bool of_kernel(const struct mount *m)
{
    return among(m->type, kernel_types, sizeof kernel_types / sizeof kernel_types[0]);
}

/* Those that a child has to ask go into a list of their own, and their answers back. */
static bool ask_by_child(struct sample *s, struct table *t)
{
    struct ask_item *list = mem_calloc(t->n + 1, sizeof *list);
    size_t n = 0;
    if (list == NULL)
        return false;
    for (size_t i = 0; i < t->n; i++)
        if (!t->mounts[i].direct && !of_kernel(&t->mounts[i]))
            list[n++] = t->items[i];
    bool memory = n == 0 || ask_items(&s->c->ask, list, n, s->deadline_us);
    for (size_t i = 0, k = 0; memory && i < t->n; i++)
        if (!t->mounts[i].direct && !of_kernel(&t->mounts[i]))
            t->items[i] = list[k++];
    mem_free(list);
    return memory;
}

static bool ask_all(struct sample *s, struct table *t)
{
    bool child = s->c->may_fork && s->c->files == NULL;
    for (size_t i = 0; i < t->n; i++) {
        if (of_kernel(&t->mounts[i]))
            continue;
        if (s->c->files != NULL)
            ask_test(s->c, &t->items[i]);
        else if (t->mounts[i].direct || !child)
            ask_directly(&t->items[i]);
    }
    return !child || ask_by_child(s, t);
}

/* ---- out ---- */

static uint64_t product(uint64_t a, uint64_t b)
{
    uint64_t v;
    return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

static const char *status_text(int sys)
{
    switch (sys) {
    case 0: return "ok";
    case ETIMEDOUT: return "timeout";
    case EACCES:
    case EPERM: return "denied";
    case ENOENT: return "missing";
    default: return "error";
    }
}

static void write_mount(struct sample *s, struct rows *t, const struct mount *m,
                        const struct ask_item *item)
{
    bool ok = item->sys == 0 && !of_kernel(m);
    const struct ask_figures *f = &item->f;
    uint64_t used = f->blocks > f->bfree ? f->blocks - f->bfree : 0;
    cell_text(s, t, m->device);
    cell_text(s, t, m->point);
    cell_text(s, t, m->type);
    cell_text(s, t, m->opts);
    cell_u64_if(s, t, ok, product(f->blocks, f->frsize));
    cell_u64_if(s, t, ok, product(used, f->frsize));
    cell_u64_if(s, t, ok, product(f->bavail, f->frsize));
    cell_u64_if(s, t, ok, f->files);
    cell_u64_if(s, t, ok, f->ffree);
    cell_text(s, t, span_of(status_text(item->sys)));
    cell_bool(s, t, m->physical);
}

static void write_table(struct sample *s, const struct table *t)
{
    static const char *const cols[] = {"device",     "mountpoint", "fstype",  "opts",
                                       "total",      "used",       "free",    "files",
                                       "files_free", "status",     "physical"};
    struct rows rows;
    rows_open_chosen(s, &rows, "mounts", cols, sizeof cols / sizeof cols[0], MOST_MOUNTS);
    for (size_t i = 0; i < t->n; i++)
        if (rows_next(s, &rows))
            write_mount(s, &rows, &t->mounts[i], &t->items[i]);
    rows.more += t->more;
    rows_close(s, &rows);
}

/* Pages that nobody needs would be cleared for each sample. */
static size_t lines_of(struct span rest)
{
    size_t n = 0;
    for (struct span line; n < MOST_MOUNTS && span_line(&rest, &line);)
        n++;
    return n;
}

static bool fill(struct sample *s, struct table *t, struct span rest)
{
    struct types types;
    size_t most = lines_of(rest);
    t->mounts = mem_calloc(most + 1, sizeof *t->mounts);
    t->items = mem_calloc(most + 1, sizeof *t->items);
    if (t->mounts == NULL || t->items == NULL)
        return false;
    read_types(s->c, &types);
    for (struct span line; span_line(&rest, &line);)
        if (!add_mount(s, t, line, &types))
            return false;
    see_to_ways(t);
    return ask_all(s, t);
}

void section_disk(struct sample *s)
{
    struct table t = {0};
    struct span text;
    int sys = sample_mounts(s, &text);
    if (sys != 0) {
        section_fail(s, sys, "self/mounts");
        return;
    }
    arena_init(&t.text);
    if (fill(s, &t, text))
        write_table(s, &t);
    else
        s->c->nomem = true;
    arena_fini(&t.text);
    mem_free(t.mounts);
    mem_free(t.items);
}
