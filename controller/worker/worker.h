/* The worker process: sockets and SSH, nothing else. Opens no files, starts no programs.
 * Speaks frames (msg.h) on fd with its coordinator; leaves when that closes. */
#ifndef CONTROLLER_WORKER_WORKER_H
#define CONTROLLER_WORKER_WORKER_H

/* Runs until the coordinator closes fd. Returns the exit code for _exit. */
int worker_main(int fd);

#endif
