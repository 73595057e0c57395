/* controller/worker/sandbox_filter: the program is read as the kernel would read it, over every
 * number of both architectures. That the kernel takes it, and what a worker then may do, is in
 * test_pool.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <cmocka.h>

#include "controller/worker/sandbox_filter.h"
#include "tests/unit/calls.h"

enum { PID = 4711, NEWEST = 450, X32 = 0x40000000 };

#ifdef __x86_64__
#define NUMBER(name)                                                                               \
    {                                                                                              \
#name, SYS_##name                                                                          \
    }
static const struct call x86_allowed[] = {
    CALLS_ALLOWED(NUMBER), CALLS_ALLOWED_X86(NUMBER), {NULL, 0}};
static const struct call x86_checked[] = {CALLS_CHECKED(NUMBER), {NULL, 0}};
static const struct call x86_refused[] = {
    CALLS_REFUSED(NUMBER), CALLS_REFUSED_X86(NUMBER), {NULL, 0}};
#endif

static const struct table {
    uint32_t arch, other;
    const struct call *allowed, *checked, *refused;
} tables[] = {
    {AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, aarch64_allowed, aarch64_checked, aarch64_refused},
#ifdef __x86_64__
    {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, x86_allowed, x86_checked, x86_refused},
#endif
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static uint32_t word(const struct seccomp_data *d, uint32_t offset)
{
    uint32_t v;
    assert_true(offset + sizeof v <= sizeof *d && offset % sizeof v == 0);
    memcpy(&v, (const char *)d + offset, sizeof v);
    return v;
}

static bool jumps(const struct sock_filter *i, uint32_t a)
{
    switch (BPF_OP(i->code)) {
    case BPF_JEQ: return a == i->k;
    case BPF_JGT: return a > i->k;
    case BPF_JGE: return a >= i->k;
    case BPF_JSET: return (a & i->k) != 0;
    default: fail_msg("a jump that is not known: %x", i->code); return false;
    }
}

/* What the kernel does with a call: Documentation/networking/filter.rst. */
static uint32_t answer(const struct sock_filter *program, size_t n, const struct seccomp_data *d)
{
    uint32_t a = 0;
    for (size_t at = 0; at < n; at++) {
        const struct sock_filter *i = &program[at];
        if (i->code == (BPF_LD | BPF_W | BPF_ABS))
            a = word(d, i->k);
        else if (i->code == (BPF_ALU | BPF_AND | BPF_K))
            a &= i->k;
        else if (i->code == (BPF_RET | BPF_K))
            return i->k;
        else if (BPF_CLASS(i->code) == BPF_JMP)
            at += jumps(i, a) ? i->jt : i->jf;
        else
            fail_msg("an instruction that is not known: %x", i->code);
    }
    fail_msg("the program has no end");
    return 0;
}

static uint32_t ask(uint32_t arch, uint32_t as, uint32_t number, const uint64_t args[6])
{
    struct sock_filter program[SANDBOX_FILTER_MAX];
    struct seccomp_data d = {.nr = (int)number, .arch = as};
    if (args != NULL)
        memcpy(d.args, args, sizeof d.args);
    size_t n = sandbox_filter(arch, PID, program);
    assert_true(n > 0 && n <= SANDBOX_FILTER_MAX);
    return answer(program, n, &d);
}

static const uint32_t EPERM_ANSWER = SECCOMP_RET_ERRNO | EPERM;
static const uint32_t ENOSYS_ANSWER = SECCOMP_RET_ERRNO | ENOSYS;

static const char *find(const struct call *list, uint32_t number)
{
    for (; list->name != NULL; list++)
        if (list->number == (int)number)
            return list->name;
    return NULL;
}

/* Nothing is allowed but what the list names, and no number of a rule is another call's. */
static void every_number(void **state)
{
    (void)state;
    for (int t = 0; t < TABLES; t++) {
        const struct table *k = &tables[t];
        for (uint32_t n = 0; n <= NEWEST; n++) {
            if (find(k->checked, n) != NULL)
                continue;
            const char *name = find(k->allowed, n);
            uint32_t want = name != NULL ? SECCOMP_RET_ALLOW : EPERM_ANSWER;
            if (ask(k->arch, k->arch, n, NULL) != want)
                fail_msg("arch %x call %u (%s)", k->arch, n, name != NULL ? name : "not listed");
        }
        for (const struct call *c = k->refused; c->name != NULL; c++)
            if (ask(k->arch, k->arch, (uint32_t)c->number, NULL) != EPERM_ANSWER)
                fail_msg("arch %x allows %s", k->arch, c->name);
    }
}

static void what_is_newer_does_not_exist(void **state)
{
    (void)state;
    for (int t = 0; t < TABLES; t++)
        for (uint32_t n = NEWEST + 1; n < 1000; n++)
            assert_int_equal(ask(tables[t].arch, tables[t].arch, n, NULL), ENOSYS_ANSWER);
}

static void other_tables_of_calls(void **state)
{
    (void)state;
    struct sock_filter program[SANDBOX_FILTER_MAX];
    for (int t = 0; t < TABLES; t++)
        for (uint32_t n = 0; n < 500; n++)
            assert_int_equal(ask(tables[t].arch, tables[t].other, n, NULL),
                             SECCOMP_RET_KILL_PROCESS);
    for (uint32_t n = 0; n < 600; n++)
        assert_int_equal(ask(AUDIT_ARCH_X86_64, AUDIT_ARCH_X86_64, X32 + n, NULL),
                         SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(ask(AUDIT_ARCH_X86_64, AUDIT_ARCH_X86_64, UINT32_MAX, NULL),
                     SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(sandbox_filter(AUDIT_ARCH_RISCV64, PID, program), 0);
}

#define HIGH ((uint64_t)1 << 32) /* in a half that a call with int parameters does not see */

static void arguments(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t args[3];
        bool allowed;
    } cases[] = {
        {"socket", {AF_INET, SOCK_STREAM}, true},
        {"socket", {AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC}, true},
        {"socket", {AF_INET | HIGH, SOCK_STREAM | HIGH}, true},
        {"socket", {AF_UNIX, SOCK_STREAM}, false},
        {"socket", {AF_NETLINK, SOCK_RAW}, false},
        {"socket", {AF_PACKET, SOCK_RAW}, false},
        {"socket", {AF_ALG, SOCK_SEQPACKET}, false},
        {"socket", {AF_VSOCK, SOCK_STREAM}, false},
        {"socket", {AF_INET, SOCK_DGRAM}, false},
        {"socket", {AF_INET, SOCK_RAW}, false},
        {"socketpair", {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}, true},
        {"socketpair", {AF_UNIX, SOCK_DGRAM}, false}, /* could be sent to anybody's */
        {"socketpair", {AF_UNIX, SOCK_SEQPACKET}, false},
        {"fcntl", {3, F_SETFL, O_NONBLOCK}, true},
        {"fcntl", {3, F_GETFL}, true},
        {"fcntl", {3, F_SETOWN, 1}, false},
        {"fcntl", {3, F_SETLEASE}, false},
        {"ioctl", {3, FIONBIO}, true},
        {"ioctl", {2, TIOCSTI}, false},
        {"ioctl", {2, TCSETS}, false},
        {"mmap", {0, 4096, PROT_READ | PROT_WRITE}, true},
        {"mmap", {0, 4096, PROT_READ | PROT_EXEC}, false},
        {"mprotect", {0, 4096, PROT_NONE}, true},
        {"mprotect", {0, 4096, PROT_EXEC}, false},
        {"clone", {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD}, true},
        {"clone", {0}, false},
        {"clone", {CLONE_VM | CLONE_VFORK}, false},
        {"clone", {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNS}, false},
        {"tgkill", {PID, PID, 6}, true},
        {"tgkill", {PID + 1, PID, 6}, false},
        {"prlimit64", {0, 7, 0}, true},
        {"prlimit64", {1, 7, 0}, false},
        {"prlimit64", {0, 7, 64}, false},
        {"prlimit64", {0, 7, HIGH}, false}, /* a pointer whose low half is 0 */
        {"prctl", {PR_GET_DUMPABLE}, true},
        {"prctl", {PR_SET_DUMPABLE, 1}, false},
        {"prctl", {PR_SET_PDEATHSIG, 0}, false},
        {"prctl", {PR_SET_PTRACER, 1}, false},
    };
    for (int t = 0; t < TABLES; t++) {
        const struct table *k = &tables[t];
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const struct call *c = k->checked;
            while (strcmp(c->name, cases[i].name) != 0)
                c++;
            uint64_t args[6] = {cases[i].args[0], cases[i].args[1], cases[i].args[2]};
            uint32_t want = cases[i].allowed ? SECCOMP_RET_ALLOW : EPERM_ANSWER;
            if (ask(k->arch, k->arch, (uint32_t)c->number, args) != want)
                fail_msg("arch %x case %zu (%s)", k->arch, i, c->name);
        }
    }
}

/* Its flags cannot be seen, so it must look as if the kernel had none: libc then takes clone. */
static void clone3_is_absent(void **state)
{
    (void)state;
    for (int t = 0; t < TABLES; t++)
        assert_int_equal(ask(tables[t].arch, tables[t].arch, SYS_clone3, NULL), ENOSYS_ANSWER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number),          cmocka_unit_test(what_is_newer_does_not_exist),
        cmocka_unit_test(other_tables_of_calls), cmocka_unit_test(arguments),
        cmocka_unit_test(clone3_is_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
