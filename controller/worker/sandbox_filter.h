/* The list of system calls that a worker may make, as a program for the kernel's seccomp.
 *
 * Pure: only makes the program, for either architecture, so that a test can read it for both.
 * sandbox.c hands it to the kernel. Any thread.
 */
#ifndef CONTROLLER_WORKER_SANDBOX_FILTER_H
#define CONTROLLER_WORKER_SANDBOX_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include <linux/filter.h>

enum { SANDBOX_FILTER_MAX = 256 };

/* arch is AUDIT_ARCH_X86_64 or AUDIT_ARCH_AARCH64; pid is the process that may send itself signals.
 * Returns how many instructions were written to out, 0 for another arch. */
size_t sandbox_filter(uint32_t arch, uint32_t pid, struct sock_filter out[SANDBOX_FILTER_MAX]);

#endif
