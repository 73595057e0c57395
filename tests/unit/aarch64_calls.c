/* Numbers of system calls on aarch64: those of the kernel's generic table. A file of its own, since
 * the headers of two architectures cannot be read together. See calls.h. */
#include <stddef.h>

#undef __BITS_PER_LONG
#define __BITS_PER_LONG 64
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_TIME32_SYSCALLS
#define __ARCH_WANT_SYS_CLONE3
#include <asm-generic/unistd.h>

#include "tests/unit/calls.h"

#define NUMBER(name)                                                                               \
    {                                                                                              \
#name, __NR_##name                                                                         \
    }

const struct call aarch64_allowed[] = {CALLS_ALLOWED(NUMBER), {NULL, 0}};
const struct call aarch64_checked[] = {CALLS_CHECKED(NUMBER), {NULL, 0}};
const struct call aarch64_refused[] = {CALLS_REFUSED(NUMBER), {NULL, 0}};
