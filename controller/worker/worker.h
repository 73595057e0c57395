/* The worker process: sockets and SSH, nothing else. Opens no files, starts no programs.
 * Speaks frames (msg.h) on fd with its coordinator; leaves when that closes. */
#ifndef CONTROLLER_WORKER_WORKER_H
#define CONTROLLER_WORKER_WORKER_H

#include <stdbool.h>

/* Runs until the coordinator closes fd. Returns the exit code for _exit. */
int worker_main(int fd);

/* This program, started as a worker by spawn_again? For main, first of all. */
bool worker_is_called(int argc, char **argv);
/* Then this: as worker_main, and ends the process. Refuses (with a message) when it was not the
 * coordinator that started it. */
_Noreturn void worker_again(char **argv);

#endif
