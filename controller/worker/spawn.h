/* Starting a worker process: a socketpair, and the end of the process as a descriptor that a loop
 * can watch. A fork without exec before any thread exists; this program from its beginning later.
 */
#ifndef CONTROLLER_WORKER_SPAWN_H
#define CONTROLLER_WORKER_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

struct spawn {
    pid_t pid;
    int fd;    /* our end of the socket, non-blocking */
    int pidfd; /* readable once the process has ended */
};

/* In the child `run` is called with its end and the process ends with what it returns; the child
 * keeps that descriptor and standard error and no other. RC_SYS: nothing is left behind. */
enum rc spawn_start(struct spawn *out, int (*run)(int fd), struct err *e);

/* What spawn_again starts this program with, beside the level of the log; and where its end is. */
#define SPAWN_WORKER "--worker-process"
enum { SPAWN_FD = 3 };

/* The same for a process that has threads, and memory that a worker must not have: the program
 * itself (/proc/self/exe) is executed anew, and its main calls worker_again. Holds the caller up
 * until the kernel has replaced the child's image, about a millisecond. RC_SYS: nothing is left
 * behind. */
enum rc spawn_again(struct spawn *out, struct err *e);

/* The soft limit of open files becomes the hard one: thousands of sockets. Never fails. */
void spawn_raise_nofile(void);

/* Reaps the process when it has ended (wait: waits for that). Returns 1 with *status as waitpid
 * gives it and *cpu_us the processor time used, or 0 while it runs. */
int spawn_reap(const struct spawn *s, int wait, int *status, uint64_t *cpu_us);

/* "was killed by signal 9", "exited with 1". Returns dst. */
char *spawn_describe(char *dst, size_t cap, int status);

#endif
