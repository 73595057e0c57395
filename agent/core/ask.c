/* See ask.h. A child is given the items that are still open, in order, and answers each through a
 * pipe. When it has not answered for PATIENCE_US, the next child goes on behind the item it hangs
 * at, so that a dead file system costs the others a fraction of a second and not their figures.
 */
#include "agent/core/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/mem.h"

enum { PATIENCE_US = 200000 };

struct answer {
    uint32_t item;
    int32_t sys;
    struct ask_figures f;
};

struct child {
    pid_t pid; /* 0: none */
    int fd;    /* its answers; -1 once nobody reads them */
    size_t at; /* the item that it is asking */
    uint64_t since_us;
    bool passed;     /* another one goes on behind its item: it has to stop after it */
    bool *stop;      /* shared with it */
    char *path;      /* of its item, when it was left behind */
    struct answer a; /* a part of one, a_len bytes */
    size_t a_len;
};

struct ask {
    struct child children[ASK_CHILDREN];
};

static int (*test_statvfs)(const char *path, struct ask_figures *f);

void ask_set_test(int (*statvfs)(const char *path, struct ask_figures *f))
{
    test_statvfs = statvfs;
}

static int figures_of(const char *path, struct ask_figures *f)
{
    struct statvfs v;
    if (test_statvfs != NULL)
        return test_statvfs(path, f);
    if (statvfs(path, &v) != 0)
        return errno;
    *f = (struct ask_figures){v.f_frsize, v.f_blocks, v.f_bfree, v.f_bavail, v.f_files, v.f_ffree};
    return 0;
}

void ask_directly(struct ask_item *item)
{
    item->sys = figures_of(item->path, &item->f);
}

/* ---- the child ---- */

static void close_all_from(unsigned first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0u, 0) == 0)
        return;
#endif
    struct rlimit limit = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (unsigned fd = first; fd < limit.rlim_cur && fd < 65536; fd++)
        close((int)fd);
}

/* Holds nothing but its end of the pipe: a session of sshd ends when the last one who has its
 * channel is gone, and this one may hang for ever. */
static void child_run(int fd, const struct ask_item *items, const uint32_t *open, size_t n,
                      const bool *stop)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(fd, 0) < 0)
        _exit(1);
    close_all_from(1);
    for (size_t i = 0; i < n && !__atomic_load_n(stop, __ATOMIC_ACQUIRE); i++) {
        struct answer a = {.item = open[i]};
        a.sys = figures_of(items[open[i]].path, &a.f);
        if (write(0, &a, sizeof a) != (ssize_t)sizeof a)
            break;
    }
    _exit(0);
}

/* ---- ours ---- */

static void forget(struct child *c)
{
    if (c->fd >= 0)
        close(c->fd);
    if (c->stop != NULL)
        munmap(c->stop, sizeof *c->stop);
    mem_free(c->path);
    *c = (struct child){.fd = -1};
}

/* True when it has ended. Somebody else's waitpid may have been first. */
static bool reap(struct child *c)
{
    pid_t got = waitpid(c->pid, NULL, WNOHANG);
    return got == c->pid || (got < 0 && errno == ECHILD);
}

/* Nobody reads its answers any more. If it has not ended yet, a later sample sees to it: waiting
 * for it here could take for ever. */
static void left(struct child *c)
{
    close(c->fd);
    c->fd = -1;
    if (reap(c))
        forget(c);
}

static struct child *free_child(struct ask *a)
{
    for (int i = 0; i < ASK_CHILDREN; i++)
        if (a->children[i].pid == 0)
            return &a->children[i];
    return NULL;
}

/* The items behind `from` that nobody asks or has answered. */
static size_t still_open(const struct ask_item *items, size_t n, size_t from, uint32_t *open)
{
    size_t count = 0;
    for (size_t i = from; i < n; i++)
        if (items[i].sys < 0)
            open[count++] = (uint32_t)i;
    return count;
}

/* Starts a child for those items. 0 or an errno. */
static int start(struct child *c, const struct ask_item *items, const uint32_t *open, size_t n)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    bool *stop =
        mmap(NULL, sizeof *stop, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = stop == MAP_FAILED ? -1 : fork();
    if (pid == 0)
        child_run(ends[1], items, open, n, stop);
    int sys = pid < 0 ? errno : 0;
    close(ends[1]);
    *c = (struct child){.pid = pid, .fd = ends[0], .at = open[0], .since_us = clock_us()};
    c->stop = stop == MAP_FAILED ? NULL : stop;
    if (pid < 0) {
        c->pid = 0;
        forget(c);
    }
    return sys;
}

static void take_answer(struct child *c, struct ask_item *items, size_t n)
{
    if (c->a.item < n && items[c->a.item].sys < 0) {
        items[c->a.item].sys = c->a.sys;
        items[c->a.item].f = c->a.f;
    }
    c->a_len = 0;
    c->since_us = clock_us();
    while (c->at < n && items[c->at].sys >= 0)
        c->at++;
}

/* Reads what there is; ends the child's entry with its last answer. */
static void read_answers(struct child *c, struct ask_item *items, size_t n)
{
    for (;;) {
        ssize_t got = read(c->fd, (char *)&c->a + c->a_len, sizeof c->a - c->a_len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        c->a_len += (size_t)got;
        if (c->a_len < sizeof c->a)
            continue;
        take_answer(c, items, n);
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 0) <= 0)
            return;
    }
    left(c);
}

/* What is this sample's: children that answer, or may yet. */
static bool active(const struct child *c)
{
    return c->pid != 0 && c->fd >= 0;
}

/* Lets another child go on behind one that hangs; returns when to look again. */
static uint64_t see_to_laggards(struct ask *a, struct ask_item *items, size_t n, uint32_t *open)
{
    uint64_t now = clock_us(), next = UINT64_MAX;
    bool moving = false;
    size_t behind = 0;
    for (int i = 0; i < ASK_CHILDREN; i++) {
        struct child *c = &a->children[i];
        if (!active(c) || c->passed)
            continue;
        if (now - c->since_us < PATIENCE_US) {
            moving = true;
            next = c->since_us + PATIENCE_US;
            continue;
        }
        c->passed = true;
        behind = c->at + 1;
        __atomic_store_n(c->stop, true, __ATOMIC_RELEASE);
    }
    size_t count = moving ? 0 : still_open(items, n, behind, open);
    struct child *c = count > 0 && behind > 0 ? free_child(a) : NULL;
    if (c != NULL && start(c, items, open, count) == 0)
        next = now + PATIENCE_US;
    return next;
}

static bool wait_answers(struct ask *a, struct ask_item *items, size_t n, uint64_t until_us)
{
    struct pollfd fds[ASK_CHILDREN];
    struct child *of[ASK_CHILDREN];
    nfds_t count = 0;
    for (int i = 0; i < ASK_CHILDREN; i++)
        if (active(&a->children[i])) {
            of[count] = &a->children[i];
            fds[count++] = (struct pollfd){.fd = a->children[i].fd, .events = POLLIN};
        }
    uint64_t now = clock_us();
    uint64_t ms = until_us > now ? (until_us - now + 999) / 1000 : 0;
    if (count == 0)
        return false;
    if (poll(fds, count, ms > 60000 ? 60000 : (int)ms) <= 0)
        return true;
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].revents != 0)
            read_answers(of[i], items, n);
    return true;
}

/* The time is over: those that have not answered stay with their item. */
static bool leave_behind(struct ask *a, const struct ask_item *items, size_t n)
{
    bool memory = true;
    for (int i = 0; i < ASK_CHILDREN; i++) {
        struct child *c = &a->children[i];
        if (!active(c))
            continue;
        __atomic_store_n(c->stop, true, __ATOMIC_RELEASE);
        close(c->fd); /* its next answer is its end */
        c->fd = -1;
        c->path = mem_strdup(c->at < n ? items[c->at].path : "");
        memory = memory && c->path != NULL;
    }
    return memory;
}

static void forget_ended(struct ask *a)
{
    for (int i = 0; i < ASK_CHILDREN; i++)
        if (a->children[i].pid != 0 && reap(&a->children[i]))
            forget(&a->children[i]);
}

static bool hangs(const struct ask *a, const char *path)
{
    for (int i = 0; i < ASK_CHILDREN; i++)
        if (a->children[i].path != NULL && strcmp(a->children[i].path, path) == 0)
            return true;
    return false;
}

static struct ask *ask_new(void)
{
    struct ask *a = mem_calloc(1, sizeof *a);
    for (int i = 0; a != NULL && i < ASK_CHILDREN; i++)
        a->children[i].fd = -1;
    return a;
}

bool ask_items(struct ask **ask, struct ask_item *items, size_t n, uint64_t deadline_us)
{
    uint32_t *open = mem_calloc(n + 1, sizeof *open);
    if (*ask == NULL)
        *ask = ask_new();
    struct ask *a = *ask;
    if (open == NULL || a == NULL) {
        mem_free(open);
        return false;
    }
    forget_ended(a);
    for (size_t i = 0; i < n; i++)
        items[i].sys = hangs(a, items[i].path) ? ETIMEDOUT : -1;
    size_t count = still_open(items, n, 0, open);
    struct child *first = count > 0 ? free_child(a) : NULL;
    int sys = first != NULL ? start(first, items, open, count) : ETIMEDOUT;
    while (clock_us() < deadline_us) {
        uint64_t next = see_to_laggards(a, items, n, open);
        if (!wait_answers(a, items, n, next < deadline_us ? next : deadline_us))
            break;
    }
    bool memory = leave_behind(a, items, n);
    for (size_t i = 0; i < n; i++)
        if (items[i].sys < 0)
            items[i].sys = sys != 0 ? sys : ETIMEDOUT;
    mem_free(open);
    return memory;
}

void ask_free(struct ask *a)
{
    for (int i = 0; a != NULL && i < ASK_CHILDREN; i++) {
        struct child *c = &a->children[i];
        if (c->pid != 0 && !reap(c)) {
            (void)kill(c->pid, SIGKILL);
            (void)reap(c); /* one that cannot die yet is init's */
        }
        forget(c);
    }
    mem_free(a);
}
