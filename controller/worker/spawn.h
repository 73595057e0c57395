/* Starting a worker process: a socketpair, a fork without exec, and the end of the process as a
 * descriptor that a loop can watch. Before any thread exists.
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

/* The soft limit of open files becomes the hard one: thousands of sockets. Never fails. */
void spawn_raise_nofile(void);

/* Reaps the process when it has ended (wait: waits for that). Returns 1 with *status as waitpid
 * gives it and *cpu_us the processor time used, or 0 while it runs. */
int spawn_reap(const struct spawn *s, int wait, int *status, uint64_t *cpu_us);

/* "was killed by signal 9", "exited with 1". Returns dst. */
char *spawn_describe(char *dst, size_t cap, int status);

#endif
