/* Asking a file system for its figures where that may hang: in child processes, with a bound.
 * One that hangs is left waiting (it tells by its end that the file system is back) and what it
 * waits for is not asked again until then. */
#ifndef AGENT_CORE_ASK_H
#define AGENT_CORE_ASK_H

struct ask;

void ask_free(struct ask *a); /* kills what still waits; NULL is fine */

#endif
