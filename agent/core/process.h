/* One process, from the files below /proc/PID. Private to the section `processes`. */
#ifndef AGENT_CORE_PROCESS_H
#define AGENT_CORE_PROCESS_H

#include "agent/core/core_int.h"

enum { PROCESS_NAME = 64, PROCESS_CMDLINE = 4096, PROCESS_MOST_USERS = 4096 };

struct process_use {
    uint64_t cpu; /* ticks, user and system */
    uint64_t read, write;
    bool has_io; /* read and write are known */
};

/* What /proc/PID/stat says. */
struct process {
    uint64_t key;              /* what the rows are ordered by */
    struct process_use recent; /* since the sample before, */
    bool has_recent;           /* where that is known */
    uint64_t pid, ppid, utime, stime, cutime, cstime, start, minflt, majflt, vsize, rss_pages;
    uint64_t threads, cpu_num, iowait;
    int64_t nice, tty;
    char state;
    char name[PROCESS_NAME];
};

/* 0, or an errno: it has gone (ENOENT, ESRCH), or its line makes no sense (EINVAL). */
int process_stat(struct core *c, uint64_t pid, struct process *p);
bool process_parse_stat(struct span text, struct process *p); /* all but pid and key */
const char *process_status_name(char state);

/* The other files; each may be missing or denied for itself. */
struct process_more {
    bool has_ids, has_switches, has_statm, has_io;
    uint64_t uid[3], gid[3], voluntary, involuntary;
    uint64_t size, resident, shared, text, data; /* pages */
    uint64_t syscr, syscw, read_bytes, write_bytes, rchar, wchar;
    char cpus_allowed[256]; /* list of CPUs, "" when not known or longer */
};
void process_more(struct core *c, uint64_t pid, struct process_more *m);
bool process_io(struct core *c, uint64_t pid, struct process_more *m);

/* The arguments, each followed by NUL, by psutil's rules; at most cap bytes of the file. False when
 * they cannot be read. `out` points into dst, which holds cap + 1 bytes. */
bool process_cmdline(struct core *c, uint64_t pid, char *dst, size_t cap, struct span *out);
struct span process_split_cmdline(char *text, size_t n, bool cut);

/* What costs more than all of that (with `detail`). */
struct process_costly {
    bool has_exe, has_cwd, has_fds, has_pss, has_ionice;
    struct span exe, cwd;
    char exe_text[CORE_PATH], cwd_text[CORE_PATH];
    uint64_t fds, uss, pss, swap; /* bytes */
    uint64_t io_class, io_value;
};
void process_costly(struct sample *s, uint64_t pid, struct process_costly *x);

/* Names of users, from the host's own table. */
struct process_users {
    struct process_user {
        uint32_t uid;
        char name[36];
    } * list;
    size_t n, cap;
};
void process_users_read(struct core *c, struct process_users *u);
/* Its name, or its number as text in dst. */
struct span process_user_name(const struct process_users *u, uint64_t uid, char dst[24]);
void process_users_free(struct process_users *u);

/* What was used between two samples of a request, from what core_past keeps of each process: pid,
 * start and counters of the first 8,192. A look goes from begin, which gives the microseconds since
 * the one before (0: there was none), to end; one that was not whole is forgotten. */
uint64_t process_past_begin(struct core_past *past);
/* Sets has_recent and recent of *p, which has used so much, and keeps that for the next look. */
void process_past_look(struct sample *s, const struct process_use *use, struct process *p);
/* For one of which that is not known: its share of the time since, were it always as busy. */
uint64_t process_past_share(const struct sample *s, const struct process *p, uint64_t total);
void process_past_end(struct core_past *past, bool whole);

#endif
