/* What the sections of agent/core share: the files below the root, what goes into a sample, and the
 * bound on each section. Private to agent/core and its tests.
 *
 * A section is a function that writes members of its `data` with emit_* and says with section_fail
 * what went wrong; it returns nothing, because part of its data may be there all the same. Memory
 * that ran out is kept in struct core and fails the whole sample.
 */
#ifndef AGENT_CORE_CORE_INT_H
#define AGENT_CORE_CORE_INT_H

#include <sys/statvfs.h>
#include <sys/types.h>

#include "agent/core/core.h"
#include "agent/core/span.h"

enum {
    CORE_PATH = 512,         /* longest path below the root */
    CORE_FIRST = 32 * 1024,  /* first read of a file: most fit */
    CORE_FILE = 1024 * 1024, /* what is kept of one file */
    CORE_VALUE = 128,        /* a file that holds one value */
    CORE_STREAM = 64 << 20,  /* what is read of a file that is taken line by line */
    CORE_NAMES = 2048,       /* names of one folder that are sorted */
    CORE_NODES = 60000,      /* values of one sample; a receiver takes WIRE_MAX_NODES */
    CORE_BLOCKS = 64,        /* disks that are remembered from sample to sample */
    CORE_TAIL = 32 * 1024,   /* bytes kept free for what comes after a table */
};

/* In place of the file system, for tests. Paths have no slash in front. Each returns a count of
 * bytes, or -errno. */
struct core_files {
    ssize_t (*read)(void *user, const char *path, uint64_t at, void *dst, size_t n);
    /* The name of a folder's entry, without end; 0 past the last. */
    ssize_t (*entry)(void *user, const char *path, size_t index, char *dst, size_t cap);
    ssize_t (*link)(void *user, const char *path, char *dst, size_t cap);
    int (*statvfs)(void *user, const char *path, struct statvfs *out); /* 0 or -errno */
};

struct ask; /* ask.c */

struct core {
    char *root;
    bool may_fork;
    bool real; /* the host itself: what has no file may be asked of the kernel */
    uint32_t hz, page;
    const struct core_files *files; /* NULL: the file system */
    void *files_user;
    struct buf file;                  /* of the last core_read or core_lines_open */
    struct buf stat, mounts, meminfo; /* read once a sample */
    bool nomem;                       /* since the sample began */
    struct {                          /* what changes only when CPUs come or go */
        char online[CORE_VALUE];
        size_t online_len;
        uint32_t cores;
        bool known;
    } cpus;
    struct { /* of the host itself: what /sys/block says of the disks, by their rows */
        char name[32];
        bool whole, device;
    } blocks[CORE_BLOCKS];
    uint32_t blocks_age; /* samples since all of it was asked */
    size_t blocks_rows;  /* of the sample before */
    struct ask *ask;     /* children that wait for file systems */
};

/* Puts files of a test in place of the file system; both borrowed. */
void core_set_files(struct core *c, const struct core_files *files, void *user);

/* ---- files below the root (read.c). Paths without a slash in front. 0, or an errno ---- */

/* "proc/%u/stat"; false when it does not fit, and then there is no such file. */
bool core_path(char dst[CORE_PATH], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The whole file, at most the buffer's max bytes of it, whole lines. *out points into `into`. */
int core_read(struct core *c, struct buf *into, const char *path, struct span *out);
/* What one read of at most cap bytes gives: for files that the kernel writes in one piece. */
int core_piece(struct core *c, const char *path, char *dst, size_t cap, struct span *out);
/* A file with one value, at most CORE_VALUE bytes, trimmed. */
int core_value(struct core *c, const char *path, char dst[CORE_VALUE], struct span *out);
int core_value_u64(struct core *c, const char *path, uint64_t *out); /* EINVAL: not a number */
int core_value_i64(struct core *c, const char *path, int64_t *out);
bool core_exists(struct core *c, const char *path);
/* Where a symbolic link points; cut to cap. The count of bytes, or -errno. */
ssize_t core_link(struct core *c, const char *path, char *dst, size_t cap);

/* Line by line, for files that may be large. Uses c->file: nothing else may read into it until it
 * is closed. A line longer than CORE_FIRST is left out. */
struct core_lines {
    struct core *c;
    const char *path;
    int fd;
    uint64_t at; /* bytes read */
    size_t from; /* in c->file */
    bool end, skip;
};
int core_lines_open(struct core *c, struct core_lines *l, const char *path);
bool core_lines_next(struct core_lines *l, struct span *line);
void core_lines_close(struct core_lines *l);

struct core_dir {
    struct core *c;
    const char *path; /* borrowed while it is open */
    int fd;
    size_t index;    /* entries given so far */
    size_t from, to; /* in buf */
    char name[256];
    union {
        char bytes[4096];
        uint64_t align;
    } buf;
};
int core_dir_open(struct core *c, struct core_dir *d, const char *path);
const char *core_dir_next(struct core_dir *d); /* without . and ..; NULL past the last */
void core_dir_close(struct core_dir *d);

/* The names in a folder that start with prefix, sorted as numbers where they differ in one. At most
 * CORE_NAMES, of at most 63 bytes. 0 or an errno (ENOMEM too). Free with core_names_free. */
struct core_names {
    char (*name)[64];
    size_t n, cap;
};
int core_names(struct core *c, struct core_names *names, const char *path, const char *prefix);
void core_names_free(struct core_names *names);

/* ---- one sample ---- */

struct sample {
    struct core *c;
    const struct core_request *r;
    struct wire_out w;
    struct buf *out;
    uint64_t deadline_us;
    size_t nodes;    /* values written in tables */
    size_t members;  /* of the map that is being written */
    unsigned number; /* of the section that is being written */
    unsigned inside; /* maps that are open since it began: 1 in its data */
    unsigned muted;  /* maps that are open and are not written */
    const char *status;
    char error[200];
    struct { /* 0 or errno once read */
        bool read;
        int sys;
        struct span text;
    } stat, mounts, meminfo;
};

/* /proc/stat, /proc/meminfo and the mount table, read once for all sections. */
int sample_stat(struct sample *s, struct span *text);
int sample_meminfo(struct sample *s, struct span *text);
int sample_mounts(struct sample *s, struct span *text);

/* What became of the section; the first failure stays. ENOENT is `missing`, EACCES and EPERM
 * `denied`, EOPNOTSUPP `unsupported`, ETIMEDOUT `timeout`, ENOMEM fails the sample, others `error`.
 */
void section_fail(struct sample *s, int sys, const char *what);
/* Something to say that is no failure; further notes are appended. */
void section_note(struct sample *s, const char *what);
bool section_late(struct sample *s);        /* its time is over: `timeout` was set, end it */
bool sample_broken(const struct sample *s); /* no memory or no room: stop, all is lost */

/* Members of the map being written (emit.c). */
/* False: it is not wanted, and neither is its value; else one of wire_add_* or emit_add_* follows.
 */
bool emit_key(struct sample *s, const char *key) __attribute__((warn_unused_result));
bool emit_wants(const struct sample *s, const char *key); /* asked before what costs */
void emit_u64(struct sample *s, const char *key, uint64_t v);
void emit_i64(struct sample *s, const char *key, int64_t v);
void emit_f64(struct sample *s, const char *key, double v);
void emit_nil(struct sample *s, const char *key);
void emit_text(struct sample *s, const char *key, struct span v);
/* A map inside: what emit_open_map gave goes to emit_close_map. */
struct emit_map {
    size_t at, members;
};
struct emit_map emit_open_map(struct sample *s, const char *key);
void emit_close_map(struct sample *s, struct emit_map outer);

/* Values: str where the bytes are UTF-8 and bin where not; nil when not known. */
void emit_add_text(struct sample *s, struct span v);
void emit_add_u64_if(struct sample *s, bool known, uint64_t v);
void emit_add_f64_if(struct sample *s, bool known, double v);

/* A table: rows_next says whether there is room for one row more, which then must follow, a value
 * for each column; rows that found none are counted and told. rows_open is false for a table that
 * nobody wants: it has no rows then, and is closed all the same. */
struct rows {
    size_t map, at, cols, n, max;
    uint64_t more;
    bool muted;
    uint64_t chosen; /* bit per column that is written */
    unsigned column; /* of the next rows_cell */
};
bool rows_open(struct sample *s, struct rows *t, const char *name, const char *const *cols,
               size_t n_cols, size_t max);
/* With the wanted columns only, of at most 64: the values of a row are written with cell_*, one for
 * each column all the same. */
bool rows_open_chosen(struct sample *s, struct rows *t, const char *name, const char *const *cols,
                      size_t n_cols, size_t max);
bool rows_next(struct sample *s, struct rows *t);
void rows_close(struct sample *s, struct rows *t);
bool rows_cell(struct rows *t); /* is the next column written? Then its value must follow */
void cell_text(struct sample *s, struct rows *t, struct span v);
void cell_u64_if(struct sample *s, struct rows *t, bool known, uint64_t v);
void cell_bool(struct sample *s, struct rows *t, bool v);

/* ---- sections ---- */

void section_host(struct sample *s);
void section_cpu(struct sample *s);
void section_memory(struct sample *s);
void section_swap(struct sample *s);
void section_disk(struct sample *s);
void section_diskio(struct sample *s);
void section_net(struct sample *s);
void section_addrs(struct sample *s);
void section_connections(struct sample *s);
void section_sensors(struct sample *s);
void section_users(struct sample *s);
void section_processes(struct sample *s);
void section_pressure(struct sample *s);
void section_cgroup(struct sample *s);

/* Shared between sections. */
bool host_boot_time(struct sample *s, uint64_t *seconds);
bool host_sees_all(struct sample *s); /* false: other users' processes are hidden from us */

#endif
