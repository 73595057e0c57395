/* Names of system calls, for tests that need their numbers on more than one architecture. Each list
 * is a macro that is given what to do with a name. */
#ifndef TESTS_UNIT_CALLS_H
#define TESTS_UNIT_CALLS_H

/* What a worker may make without a look at its arguments; on both architectures. */
#define CALLS_ALLOWED(X)                                                                           \
    X(recvfrom), X(sendto), X(ppoll), X(epoll_ctl), X(epoll_pwait), X(epoll_pwait2), X(getpid),    \
        X(read), X(write), X(close), X(setsockopt), X(getsockopt), X(connect), X(readv),           \
        X(writev), X(recvmsg), X(sendmsg), X(shutdown), X(getsockname), X(getpeername),            \
        X(pselect6), X(dup), X(dup3), X(pipe2), X(eventfd2), X(epoll_create1), X(fstat), X(lseek), \
        X(brk), X(munmap), X(mremap), X(madvise), X(mlock), X(mlock2), X(munlock), X(mincore),     \
        X(futex), X(rt_sigaction), X(rt_sigprocmask), X(rt_sigreturn), X(sigaltstack),             \
        X(restart_syscall), X(sched_yield), X(sched_getaffinity), X(set_robust_list), X(rseq),     \
        X(membarrier), X(exit), X(exit_group), X(gettid), X(getppid), X(getuid), X(geteuid),       \
        X(getgid), X(getegid), X(uname), X(sysinfo), X(getrusage), X(times), X(getrandom),         \
        X(clock_gettime), X(clock_getres), X(clock_nanosleep), X(nanosleep), X(gettimeofday)

/* The same, of which aarch64 knows nothing. */
#define CALLS_ALLOWED_X86(X) X(poll), X(epoll_wait), X(dup2), X(pause), X(time)

/* Allowed with some arguments. */
#define CALLS_CHECKED(X)                                                                           \
    X(socket), X(socketpair), X(fcntl), X(ioctl), X(mmap), X(mprotect), X(clone), X(clone3),       \
        X(tgkill), X(prlimit64), X(prctl)

/* Ways out. What is in no list is refused too; these are named so that nobody allows them by
 * mistake. */
#define CALLS_REFUSED(X)                                                                           \
    X(openat), X(openat2), X(open_by_handle_at), X(name_to_handle_at), X(execve), X(execveat),     \
        X(memfd_create), X(ptrace), X(process_vm_readv), X(process_vm_writev), X(process_madvise), \
        X(pidfd_open), X(pidfd_getfd), X(pidfd_send_signal), X(kill), X(tkill),                    \
        X(rt_tgsigqueueinfo), X(kcmp), X(io_uring_setup), X(io_uring_enter), X(io_uring_register), \
        X(bpf), X(perf_event_open), X(userfaultfd), X(keyctl), X(add_key), X(mount), X(umount2),   \
        X(move_mount), X(open_tree), X(fsopen), X(fsmount), X(pivot_root), X(chroot), X(setns),    \
        X(unshare), X(init_module), X(finit_module), X(personality), X(bind), X(listen),           \
        X(accept), X(accept4), X(unlinkat), X(linkat), X(symlinkat), X(renameat), X(renameat2),    \
        X(mkdirat), X(mknodat), X(fchmodat), X(fchownat), X(truncate), X(readlinkat),              \
        X(newfstatat), X(statx), X(faccessat), X(getdents64), X(chdir), X(shmget), X(shmat),       \
        X(msgget), X(semget), X(mq_open), X(inotify_init1), X(fanotify_init), X(setrlimit),        \
        X(setuid), X(setresuid), X(setgroups), X(capset), X(seccomp), X(vmsplice), X(splice),      \
        X(sendfile), X(ioprio_set), X(sched_setaffinity), X(setpriority),                          \
        X(landlock_create_ruleset), X(pkey_mprotect), X(remap_file_pages), X(quotactl), X(swapon), \
        X(reboot), X(syslog), X(acct), X(mbind), X(move_pages), X(migrate_pages), X(wait4),        \
        X(waitid)

/* The same, of which aarch64 knows nothing. */
#define CALLS_REFUSED_X86(X)                                                                       \
    X(open), X(creat), X(fork), X(vfork), X(unlink), X(rename), X(readlink), X(stat), X(lstat),    \
        X(access), X(arch_prctl), X(modify_ldt), X(iopl), X(ioperm), X(uselib), X(ustat),          \
        X(sysfs), X(signalfd)

struct call {
    const char *name;
    int number;
};

/* Ended by a NULL; of aarch64 (aarch64_calls.c). */
extern const struct call aarch64_allowed[], aarch64_checked[], aarch64_refused[];

#endif
