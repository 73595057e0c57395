/* How many descriptors the process has open: what a debug line says at a process's end, so that a
 * leak shows. Counts the first DESCRIPTORS_LOOK numbers, by asking for each; the kernel hands out
 * the lowest free one, so a leak is among them. Opens nothing itself. Any thread.
 */
#ifndef COMMON_DESCRIPTORS_H
#define COMMON_DESCRIPTORS_H

enum { DESCRIPTORS_LOOK = 4096 };

unsigned descriptors_open(void);

#endif
