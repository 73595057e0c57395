/* --out-dir: one HOST.stdout and one HOST.stderr per host, the bytes as they came.
 *
 * Files are written by a thread of its own behind a bounded queue, so a slow disk never holds the
 * loop; outdir_full asks the caller to stop reading from the hosts for a while. Names of hosts
 * become one safe path component: what is not a letter, a digit or one of "._-+@:," is written as
 * %XX, and so is a leading dot. Symbolic links in the folder are not followed.
 * Calls: one thread at a time.
 */
#ifndef CONTROLLER_OUTPUT_OUTDIR_H
#define CONTROLLER_OUTPUT_OUTDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct outdir;

/* Makes the folder (0777 less the umask) when it is not there, and starts the thread. RC_SYS when
 * it cannot be opened. `names` by target number are borrowed until outdir_close. No file gets more
 * than max_file bytes (0: no limit). */
enum rc outdir_new(struct outdir **out, const char *path, const char *const *names, uint32_t count,
                   uint64_t max_file, struct err *e);

/* A new attempt: both files begin again. */
void outdir_started(struct outdir *d, uint32_t target);
/* Copies the bytes into the queue. What finds no place there (outdir_full was not heeded for long)
 * is lost, and outdir_close says so. */
void outdir_data(struct outdir *d, uint32_t target, bool is_stderr, const void *p, size_t n);
/* The host is done: HOST.stdout exists from now on, though it may be empty. */
void outdir_result(struct outdir *d, uint32_t target);

/* More than half of the queue is taken: pause the hosts; false again below a quarter. */
bool outdir_full(struct outdir *d);

/* Writes what is queued, ends the thread, frees. RC_SYS with the first file that went wrong and how
 * many did; the rest was written. Blocks: after the run. NULL is fine. */
enum rc outdir_close(struct outdir *d, struct err *e);

/* The file name of a host ("web%2f1.stdout"); dst holds OUTDIR_NAME bytes. */
enum { OUTDIR_NAME = 256 };
char *outdir_file_name(char *dst, const char *host, bool is_stderr);

#endif
