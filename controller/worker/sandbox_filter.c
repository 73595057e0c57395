/* See sandbox_filter.h.
 *
 * A list of what is allowed: what a later kernel adds is refused without a change here. A refusal
 * is an error (EPERM), never a death: libc and libcrypto change the calls they make from one
 * release to the next, and a worker that dies of an update would be worse than one whose library
 * takes another way. Calls newer than this list do not exist (ENOSYS), which is what libraries are
 * ready for. The calls were collected from runs against every fault of the simulator, with and
 * without sanitizers; the rest is what libc and libuv use for the same work elsewhere.
 *
 * The numbers are the kernel's ABI (arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h);
 * a test compares them with the headers.
 */
#include "controller/worker/sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "common/err.h"

enum check {
    YES,
    SOCKET, /* TCP over IPv4 and IPv6 */
    PAIR,   /* connected to itself and nowhere else: streams only */
    FCNTL,  /* flags, copies; not who gets the signals of a descriptor */
    IOCTL,  /* flags, bytes that wait; not typing into the terminal of standard error */
    MEMORY, /* nothing new can be executed */
    THREAD, /* of this process, no process and no namespace */
    ABSENT, /* clone3 keeps its flags behind a pointer: libc falls back to clone */
    SELF,   /* signals to this process: abort() */
    LIMIT,  /* own limits, to read */
    PRCTL,  /* names; not dumpable, not who may trace */
};

/* Numbers on x86_64 and aarch64; NONE where there is no such call. Those made most come first. */
enum { NONE = -1 };
struct rule {
    short x86_64, aarch64;
    enum check check;
};

#define CALL(name, x86_64, aarch64, check)                                                         \
    {                                                                                              \
        x86_64, aarch64, check                                                                     \
    }
static const struct rule rules[] = {
    CALL(recvfrom, 45, 207, YES),
    CALL(sendto, 44, 206, YES),
    CALL(poll, 7, NONE, YES),
    CALL(ppoll, 271, 73, YES),
    CALL(epoll_ctl, 233, 21, YES),
    CALL(epoll_wait, 232, NONE, YES),
    CALL(epoll_pwait, 281, 22, YES),
    CALL(epoll_pwait2, 441, 441, YES),
    CALL(getpid, 39, 172, YES),
    CALL(read, 0, 63, YES),
    CALL(write, 1, 64, YES),
    CALL(close, 3, 57, YES),
    CALL(setsockopt, 54, 208, YES),
    CALL(getsockopt, 55, 209, YES),
    CALL(connect, 42, 203, YES),
    CALL(socket, 41, 198, SOCKET),
    CALL(socketpair, 53, 199, PAIR),
    CALL(fcntl, 72, 25, FCNTL),
    CALL(ioctl, 16, 29, IOCTL),
    CALL(readv, 19, 65, YES),
    CALL(writev, 20, 66, YES),
    CALL(recvmsg, 47, 212, YES),
    CALL(sendmsg, 46, 211, YES),
    CALL(shutdown, 48, 210, YES),
    CALL(getsockname, 51, 204, YES),
    CALL(getpeername, 52, 205, YES),
    CALL(pselect6, 270, 72, YES),
    CALL(dup, 32, 23, YES),
    CALL(dup2, 33, NONE, YES),
    CALL(dup3, 292, 24, YES),
    CALL(pipe2, 293, 59, YES),
    CALL(eventfd2, 290, 19, YES),
    CALL(epoll_create1, 291, 20, YES),
    CALL(fstat, 5, 80, YES),
    CALL(lseek, 8, 62, YES),
    CALL(mmap, 9, 222, MEMORY),
    CALL(mprotect, 10, 226, MEMORY),
    CALL(brk, 12, 214, YES),
    CALL(munmap, 11, 215, YES),
    CALL(mremap, 25, 216, YES),
    CALL(madvise, 28, 233, YES),
    CALL(mlock, 149, 228, YES),
    CALL(mlock2, 325, 284, YES),
    CALL(munlock, 150, 229, YES),
    CALL(mincore, 27, 232, YES),
    CALL(futex, 202, 98, YES),
    CALL(rt_sigaction, 13, 134, YES),
    CALL(rt_sigprocmask, 14, 135, YES),
    CALL(rt_sigreturn, 15, 139, YES),
    CALL(sigaltstack, 131, 132, YES),
    CALL(restart_syscall, 219, 128, YES),
    CALL(sched_yield, 24, 124, YES),
    CALL(sched_getaffinity, 204, 123, YES),
    CALL(set_robust_list, 273, 99, YES),
    CALL(rseq, 334, 293, YES),
    CALL(membarrier, 324, 283, YES),
    CALL(pause, 34, NONE, YES),
    CALL(exit, 60, 93, YES),
    CALL(exit_group, 231, 94, YES),
    CALL(clone, 56, 220, THREAD),
    CALL(clone3, 435, 435, ABSENT),
    CALL(tgkill, 234, 131, SELF),
    CALL(prlimit64, 302, 261, LIMIT),
    CALL(prctl, 157, 167, PRCTL),
    CALL(gettid, 186, 178, YES),
    CALL(getppid, 110, 173, YES),
    CALL(getuid, 102, 174, YES),
    CALL(geteuid, 107, 175, YES),
    CALL(getgid, 104, 176, YES),
    CALL(getegid, 108, 177, YES),
    CALL(uname, 63, 160, YES),
    CALL(sysinfo, 99, 179, YES),
    CALL(getrusage, 98, 165, YES),
    CALL(times, 100, 153, YES),
    CALL(getrandom, 318, 278, YES),
    CALL(clock_gettime, 228, 113, YES),
    CALL(clock_getres, 229, 114, YES),
    CALL(clock_nanosleep, 230, 115, YES),
    CALL(nanosleep, 35, 101, YES),
    CALL(gettimeofday, 96, 169, YES),
    CALL(time, 201, NONE, YES),
};
#undef CALL

enum {
    NEWEST_CALL = 450,      /* set_mempolicy_home_node, Linux 5.17 */
    FIRST_X32 = 0x40000000, /* the x32 calls: the same by other numbers */
};

struct program {
    struct sock_filter *out;
    size_t n;
};

static void add(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    must(p->n < SANDBOX_FILTER_MAX);
    p->out[p->n++] = (struct sock_filter){code, yes, no, k};
}

static void load(struct program *p, size_t offset)
{
    add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* The half of an argument that a call with int parameters looks at. */
static void load_arg(struct program *p, unsigned i)
{
    load(p, offsetof(struct seccomp_data, args) + i * sizeof(uint64_t));
}

static void give(struct program *p, uint32_t answer)
{
    add(p, BPF_RET | BPF_K, answer, 0, 0);
}

static void allow(struct program *p)
{
    give(p, SECCOMP_RET_ALLOW);
}

static void refuse(struct program *p, uint32_t error)
{
    give(p, SECCOMP_RET_ERRNO | error);
}

/* A list of what the loaded value may be. */
static void allow_values(struct program *p, const uint32_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(p, BPF_JMP | BPF_JEQ | BPF_K, values[i], 0, 1);
        allow(p);
    }
    refuse(p, EPERM);
}
#define ALLOW_VALUES(p, ...)                                                                       \
    allow_values(p, (const uint32_t[]){__VA_ARGS__},                                               \
                 sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void check_socket(struct program *p, bool pair)
{
    enum { TYPE = 0xf }; /* without SOCK_NONBLOCK and its like */
    load_arg(p, 1);
    add(p, BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 1, 0);
    refuse(p, EPERM);
    load_arg(p, 0);
    if (pair)
        ALLOW_VALUES(p, AF_UNIX);
    else
        ALLOW_VALUES(p, AF_INET, AF_INET6);
}

static void check_memory(struct program *p)
{
    load_arg(p, 2);
    add(p, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
    allow(p);
    refuse(p, EPERM);
}

static void check_thread(struct program *p)
{
    const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    load_arg(p, 0);
    add(p, BPF_JMP | BPF_JSET | BPF_K, namespaces, 2, 0);
    add(p, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    allow(p);
    refuse(p, EPERM);
}

/* Own process (0), and a new limit of NULL in both halves of the pointer. */
static void check_limit(struct program *p)
{
    size_t pointer = offsetof(struct seccomp_data, args) + 2 * sizeof(uint64_t);
    load_arg(p, 0);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 5);
    load(p, pointer);
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
    load(p, pointer + sizeof(uint32_t));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    allow(p);
    refuse(p, EPERM);
}

static void check(struct program *p, enum check what, uint32_t pid)
{
    switch (what) {
    case YES: allow(p); break;
    case SOCKET: check_socket(p, false); break;
    case PAIR: check_socket(p, true); break;
    case FCNTL:
        load_arg(p, 1);
        ALLOW_VALUES(p, F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC);
        break;
    case IOCTL:
        load_arg(p, 1);
        ALLOW_VALUES(p, FIONBIO, FIONREAD, FIOCLEX, FIONCLEX);
        break;
    case MEMORY: check_memory(p); break;
    case THREAD: check_thread(p); break;
    case ABSENT: refuse(p, ENOSYS); break;
    case SELF:
        load_arg(p, 0);
        ALLOW_VALUES(p, pid);
        break;
    case LIMIT: check_limit(p); break;
    case PRCTL:
        load_arg(p, 0);
        ALLOW_VALUES(p, PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS,
                     PR_GET_SECCOMP);
        break;
    }
}

/* Each rule ends with an answer, so the number is still loaded where a rule does not apply. */
static void add_rule(struct program *p, uint32_t number, enum check what, uint32_t pid)
{
    size_t jump = p->n;
    add(p, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 0);
    check(p, what, pid);
    p->out[jump].jf = (uint8_t)(p->n - jump - 1);
}

size_t sandbox_filter(uint32_t arch, uint32_t pid, struct sock_filter out[SANDBOX_FILTER_MAX])
{
    struct program p = {.out = out};
    if (arch != AUDIT_ARCH_X86_64 && arch != AUDIT_ARCH_AARCH64)
        return 0;
    load(&p, offsetof(struct seccomp_data, arch));
    add(&p, BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0);
    give(&p, SECCOMP_RET_KILL_PROCESS); /* numbers of another table: 32-bit calls */
    load(&p, offsetof(struct seccomp_data, nr));
    if (arch == AUDIT_ARCH_X86_64) {
        add(&p, BPF_JMP | BPF_JGE | BPF_K, FIRST_X32, 0, 1);
        give(&p, SECCOMP_RET_KILL_PROCESS);
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        int number = arch == AUDIT_ARCH_X86_64 ? rules[i].x86_64 : rules[i].aarch64;
        if (number != NONE)
            add_rule(&p, (uint32_t)number, rules[i].check, pid);
    }
    add(&p, BPF_JMP | BPF_JGT | BPF_K, NEWEST_CALL, 0, 1);
    refuse(&p, ENOSYS);
    refuse(&p, EPERM);
    return p.n;
}
