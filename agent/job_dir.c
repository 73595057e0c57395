/* See job_dir.h. */
#include "agent/job_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/procs.h"
#include "common/clock.h"
#include "common/num.h"

enum { STATUS_MAX = 4096, STATUS_LENGTH = 512, STATUS_HEAD = 24, ORDER_MAX = 64 };
enum { ORDERS = 4096, ORDER_READS = 16 /* a fifo holds no more */ };

static const char *const FILES[] = {"status", "status.new", "stdout", "stderr", "lock", "orders"};

const char *job_state_name(enum job_state s)
{
    static const char *const NAMES[] = {"running", "ended", "lost"};
    return NAMES[s];
}

/* ---- folders ---- */

/* Ours, and nobody else may write to it: what is in there decides what we believe and remove. */
static int open_own(int at, const char *name, bool create)
{
    struct stat st;
    if (create && mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return -1;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
        return fd;
    close(fd);
    errno = EPERM;
    return -1;
}

/* $XDG_STATE_HOME, or ~/.local/state, whose folders are made where they are missing. */
static int open_base(char *const *env, bool create, struct err *e)
{
    const char *state = exec_env(env, "XDG_STATE_HOME"), *home = exec_env(env, "HOME");
    if (state != NULL && *state == '/') {
        if (create && mkdir(state, 0700) != 0 && errno != EEXIST)
            return -1;
        return open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (home == NULL || *home != '/') {
        (void)err_set(e, RC_NOTFOUND, "no home to keep jobs in: HOME is not set");
        errno = ENOENT;
        return -1;
    }
    int at = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static const char *const PARTS[] = {".local", "state"};
    for (unsigned i = 0; i < 2 && at >= 0; i++) {
        if (create && mkdirat(at, PARTS[i], 0700) != 0 && errno != EEXIST) {
            close(at);
            return -1;
        }
        int next = openat(at, PARTS[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = next;
    }
    return at;
}

int jobs_open(char *const *env, bool create, struct err *e)
{
    int at = open_base(env, create, e);
    static const char *const PARTS[] = {"muster", "jobs"};
    for (unsigned i = 0; i < 2 && at >= 0; i++) {
        int next = open_own(at, PARTS[i], create);
        int sys = errno;
        close(at);
        errno = sys;
        at = next;
    }
    return at;
}

/* RUN, or RUN@HOST with what could be anything in a host's name as %XX. false: too long. */
static bool folder_name(char name[JOB_NAME + 1], const char *run, const char *host)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = (size_t)snprintf(name, JOB_NAME + 1, "%s%s", run, *host != '\0' ? "@" : "");
    for (; *host != '\0'; host++) {
        bool as_is = strchr(plain, *host) != NULL;
        if (n + 3 >= JOB_NAME)
            return false;
        n += (size_t)snprintf(name + n, JOB_NAME + 1 - n, as_is ? "%c" : "%%%02X",
                              (unsigned char)*host);
    }
    return true;
}

/* The other way. */
static void parse_name(const char *name, struct job_status *st)
{
    size_t n = strcspn(name, "@"), at = 0;
    snprintf(st->run, sizeof st->run, "%.*s", (int)n, name);
    for (const char *p = name[n] == '@' ? name + n + 1 : ""; *p != '\0'; p++) {
        char hex[3] = {0};
        if (*p == '%' && p[1] != '\0' && p[2] != '\0') {
            hex[0] = p[1];
            hex[1] = p[2];
            p += 2;
        }
        if (at + 1 < sizeof st->host)
            st->host[at++] = hex[0] != '\0' ? (char)strtol(hex, NULL, 16) : *p;
    }
    st->host[at] = '\0';
}

/* ---- making ---- */

static bool make_files(struct job *j)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int flags = O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    j->lock = openat(j->dir, "lock", O_RDWR | flags, 0600);
    j->out = openat(j->dir, "stdout", O_WRONLY | O_APPEND | flags, 0600);
    j->err = openat(j->dir, "stderr", O_WRONLY | O_APPEND | flags, 0600);
    if (j->lock < 0 || j->out < 0 || j->err < 0 || mkfifoat(j->dir, "orders", 0600) != 0)
        return false;
    /* For writing too: a fifo without a writer is always at its end. */
    j->orders = openat(j->dir, "orders", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    return j->orders >= 0 && fcntl(j->lock, F_OFD_SETLK, &all) == 0;
}

void job_boot_id(char id[JOB_BOOT_ID])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, id, JOB_BOOT_ID - 1) : 0;
    if (fd >= 0)
        close(fd);
    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
}

enum rc job_create(struct job *j, const char *run, const char *host, uint64_t max_output,
                   char *const *env, struct err *e)
{
    *j = (struct job){.parent = -1,
                      .dir = -1,
                      .out = -1,
                      .err = -1,
                      .lock = -1,
                      .orders = -1,
                      .max_output = max_output};
    snprintf(j->status.run, sizeof j->status.run, "%s", run);
    snprintf(j->status.host, sizeof j->status.host, "%s", host);
    job_boot_id(j->status.boot_id);
    if (!folder_name(j->name, run, host))
        return err_set(e, RC_LIMIT, "the host's name is too long for a job's folder");
    struct err why = {0};
    j->parent = jobs_open(env, true, &why);
    if (j->parent < 0)
        return why.rc != RC_OK ? err_set(e, why.rc, "%s", why.msg)
                               : err_sys(e, errno, "the folder for jobs");
    if (mkdirat(j->parent, j->name, 0700) != 0) {
        enum rc rc = errno == EEXIST ? err_set(e, RC_EXISTS, "run %s has a job here already", run)
                                     : err_sys(e, errno, "the folder of job %s", j->name);
        job_close(j);
        return rc;
    }
    j->dir = open_own(j->parent, j->name, false);
    if (j->dir >= 0 && make_files(j))
        return RC_OK;
    int sys = errno;
    job_remove(j);
    return err_sys(e, sys, "the files of job %s", run);
}

void job_close(struct job *j)
{
    int *fds[] = {&j->parent, &j->dir, &j->out, &j->err, &j->lock, &j->orders};
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

int job_discard(int parent, int dir, const char *name)
{
    for (unsigned i = 0; i < sizeof FILES / sizeof *FILES; i++)
        if (unlinkat(dir, FILES[i], 0) != 0 && errno != ENOENT)
            return -1;
    return unlinkat(parent, name, AT_REMOVEDIR);
}

void job_remove(struct job *j)
{
    if (j->parent >= 0 && j->dir >= 0)
        (void)job_discard(j->parent, j->dir, j->name);
    job_close(j);
}

/* ---- status ---- */

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t went = write(fd, p, n);
        if (went < 0 && errno == EINTR)
            continue;
        if (went <= 0)
            return false;
        p += went;
        n -= (size_t)went;
    }
    return true;
}

/* One length whatever it says, so that it fits the place of another; the state in a part of its
 * own. Filled up with ends of lines. */
static void format_status(const struct job_status *s, char text[STATUS_LENGTH + 1])
{
    int head = snprintf(text, STATUS_LENGTH + 1, "version 1\nstate %s\n", job_state_name(s->state));
    memset(text + head, '\n', (size_t)(STATUS_LENGTH - head));
    char *rest = text + STATUS_HEAD;
    int n = snprintf(
        rest, STATUS_LENGTH - STATUS_HEAD + 1,
        "pid %d\nstart %" PRIu64 "\nboot_id %s\nstarted_ns %" PRIu64 "\nended_ns %" PRIu64
        "\nstatus %d\nkilled %d\nstdout %" PRIu64 "\nstderr %" PRIu64 "\nstdout_dropped %" PRIu64
        "\nstderr_dropped %" PRIu64 "\nend 1\n",
        (int)s->pid, s->start, s->boot_id, s->started_ns, s->ended_ns, s->status, (int)s->killed,
        s->stdout_kept, s->stderr_kept, s->stdout_dropped, s->stderr_dropped);
    must(head <= STATUS_HEAD && n > 0 && n < STATUS_LENGTH - STATUS_HEAD);
    rest[n] = '\n';
}

static bool replace_status(struct job *j, const char *text)
{
    int fd =
        openat(j->dir, "status.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = write_all(fd, text, STATUS_LENGTH) && fsync(fd) == 0;
    int sys = errno;
    ok = close(fd) == 0 && ok;
    if (ok && renameat(j->dir, "status.new", j->dir, "status") == 0)
        return fsync(j->dir) == 0;
    sys = ok ? errno : sys;
    (void)unlinkat(j->dir, "status.new", 0);
    errno = sys;
    return false;
}

/* Into the room that it has already, the state last: whoever reads `ended` reads the rest of it
 * too. One sector, so no crash leaves half of it. */
static bool overwrite_status(struct job *j, const char *text)
{
    int fd = openat(j->dir, "status", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    size_t n = STATUS_LENGTH - STATUS_HEAD;
    bool ok = pwrite(fd, text + STATUS_HEAD, n, STATUS_HEAD) == (ssize_t)n &&
              pwrite(fd, text, STATUS_HEAD, 0) == STATUS_HEAD && fsync(fd) == 0;
    return close(fd) == 0 && ok;
}

static bool write_status(struct job *j)
{
    char text[STATUS_LENGTH + 1];
    format_status(&j->status, text);
    if (replace_status(j, text))
        return true;
    int sys = errno;
    bool ok = overwrite_status(j, text);
    errno = sys;
    return ok;
}

static uint64_t now_ns(void)
{
    return (uint64_t)clock_wall_us() * 1000;
}

bool job_begin(struct job *j)
{
    j->status.state = JOB_RUNNING;
    j->status.started_ns = now_ns();
    return write_status(j);
}

void job_started(struct job *j, pid_t pid)
{
    struct proc p;
    j->status.pid = pid;
    j->status.start = procs_look(pid, &p) ? p.start : 0;
    j->status.started_ns = now_ns();
    (void)write_status(j);
}

void job_dropped(struct job *j, uint64_t out, uint64_t err)
{
    j->status.stdout_dropped = out;
    j->status.stderr_dropped = err;
    (void)write_status(j);
}

void job_ended(struct job *j)
{
    j->status.state = JOB_ENDED;
    j->status.ended_ns = now_ns();
    (void)fsync(j->out);
    (void)fsync(j->err);
    (void)write_status(j);
}

/* The number after "key ", or 0. */
static uint64_t field(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = text; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, key, n) == 0 && p[n] == ' ')
            return strtoull(p + n + 1, NULL, 10);
    }
    return 0;
}

static void parse_status(const char *text, struct job_status *st)
{
    st->pid = (pid_t)field(text, "pid");
    st->start = field(text, "start");
    st->started_ns = field(text, "started_ns");
    st->ended_ns = field(text, "ended_ns");
    st->status = (int)field(text, "status");
    uint64_t killed = field(text, "killed");
    st->killed = killed <= KILLED_SIGNAL ? (enum killed)killed : KILLED_NOT;
    st->stdout_kept = field(text, "stdout");
    st->stderr_kept = field(text, "stderr");
    st->stdout_dropped = field(text, "stdout_dropped");
    st->stderr_dropped = field(text, "stderr_dropped");
    st->state = strstr(text, "\nstate ended\n") != NULL ? JOB_ENDED : JOB_RUNNING;
    const char *boot = strstr(text, "\nboot_id ");
    if (boot != NULL)
        snprintf(st->boot_id, sizeof st->boot_id, "%.*s", (int)strcspn(boot + 9, "\n"), boot + 9);
}

static bool is_locked(int dir)
{
    struct flock any = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(dir, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool held = fd >= 0 && fcntl(fd, F_OFD_GETLK, &any) == 0 && any.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    return held;
}

static uint64_t size_of(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

static ssize_t read_file(int dir, const char *name, char *text, size_t cap)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, text, cap - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

bool job_look(int dir, const char *name, struct job_status *st)
{
    char text[STATUS_MAX], boot[JOB_BOOT_ID];
    *st = (struct job_status){.state = JOB_LOST};
    parse_name(name, st);
    /* The lock first: a status that is read after the keeper left is its last. */
    bool held = is_locked(dir);
    if (read_file(dir, "status", text, sizeof text) <= 0) {
        st->state = JOB_LOST;
        return !held;
    }
    parse_status(text, st);
    job_boot_id(boot);
    if (st->state == JOB_RUNNING && (!held || strcmp(boot, st->boot_id) != 0))
        st->state = JOB_LOST;
    if (st->state != JOB_ENDED) {
        st->stdout_kept = size_of(dir, "stdout");
        st->stderr_kept = size_of(dir, "stderr");
    }
    return true;
}

/* ---- finding and telling ---- */

static bool is_of(const char *name, const char *run)
{
    size_t n = strlen(run);
    return strncmp(name, run, n) == 0 && (name[n] == '\0' || name[n] == '@');
}

/* Any host's: how many there are of the run; name gets one. */
static unsigned search(int parent, const char *run, char name[JOB_NAME + 1])
{
    unsigned found = 0;
    int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    for (struct dirent *x; d != NULL && (x = readdir(d)) != NULL;)
        if (is_of(x->d_name, run) && found++ == 0)
            snprintf(name, JOB_NAME + 1, "%s", x->d_name);
    if (d != NULL)
        closedir(d);
    return found;
}

int jobs_find(int parent, const char *run, const char *host, char name[JOB_NAME + 1], enum rc *rc,
              struct err *e)
{
    unsigned found = 1;
    if (host != NULL)
        found = folder_name(name, run, host);
    else
        found = search(parent, run, name);
    if (found > 1) {
        *rc = err_set(e, RC_AMBIGUOUS, "run %s has jobs of several hosts here: name one", run);
        return -1;
    }
    int dir = found == 1 ? open_own(parent, name, false) : -1;
    if (dir >= 0)
        return dir;
    *rc = found == 0 || errno == ENOENT ? err_set(e, RC_NOTFOUND, "run %s has no job here", run)
                                        : err_sys(e, errno, "the folder of job %s", name);
    return -1;
}

bool job_tell(int dir, uint64_t grace_ms)
{
    char text[ORDER_MAX];
    int n = snprintf(text, sizeof text, "stop %" PRIu64 "\n", grace_ms);
    int fd = openat(dir, "orders", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;
    if (fd >= 0)
        close(fd);
    return ok;
}

/* "stop 5000": the time, if it is less than what is known. */
static bool take_order(const char *line, bool known, uint64_t *grace_ms)
{
    uint64_t ms;
    if (strncmp(line, "stop ", 5) != 0 || num_u64(line + 5, 0, EXEC_MAX_MS, &ms, NULL) != RC_OK)
        return known;
    *grace_ms = known && *grace_ms < ms ? *grace_ms : ms;
    return true;
}

/* What has no end of a line behind it is no order: a writer puts each down whole. */
bool job_order(struct job *j, uint64_t *grace_ms)
{
    char text[ORDERS + 1];
    size_t held = 0;
    bool told = false;
    ssize_t n;
    for (unsigned i = 0; i < ORDER_READS; i++) {
        if ((n = read(j->orders, text + held, ORDERS - held)) <= 0)
            break;
        held += (size_t)n;
        text[held] = '\0';
        char *line = text;
        for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            told = take_order(line, told, grace_ms);
        }
        held = held == ORDERS && line == text ? 0 : held - (size_t)(line - text);
        memmove(text, line, held);
    }
    return told;
}
