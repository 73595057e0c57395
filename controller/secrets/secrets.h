/* The secrets that one run has opened: passwords that were asked for, sealed values of the
 * inventory. Each distinct text once, under a number from 1; 0 stands for none.
 *
 * The texts are in memory of libsodium's: locked where the system's limit allows it, left out of
 * core files, overwritten when freed. Nobody copies them elsewhere but on their way to a worker.
 * Does not open, ask or send. Built before the run; read-only while it lasts. One thread at a time.
 */
#ifndef CONTROLLER_SECRETS_SECRETS_H
#define CONTROLLER_SECRETS_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum {
    SECRETS_MAX = 1 << 20,   /* distinct texts */
    SECRETS_MAX_TEXT = 1024, /* bytes of one: what OpenSSH takes for a password */
};

struct secrets;

enum rc secrets_new(struct secrets **out, struct err *e);
void secrets_free(struct secrets *s); /* overwrites; NULL is fine */

/* Takes a copy. RC_OK with its number, the same for the same text; RC_USAGE for an empty text or
 * one that holds a NUL; RC_LIMIT, RC_NOMEM. */
enum rc secrets_add(struct secrets *s, const void *text, size_t len, uint32_t *id, struct err *e);

/* The text, terminated, as long as the table lives; NULL for a number that is not there. len may be
 * NULL. */
const char *secrets_text(const struct secrets *s, uint32_t id, size_t *len);
uint32_t secrets_count(const struct secrets *s); /* NULL: 0 */

/* From here on no core file is written, and no other process of the user's may look into this one:
 * what is in locked memory is copied for a moment when it is used. */
void secrets_close_up(void);

/* Overwrites what copying a secret left in the processor's registers: a thread that is made starts
 * with all of them, and the dynamic linker puts them on its stack. */
void secrets_scrub(void);

/* The one rule about where a secret may go. unproven: the host's key was accepted in this run, or
 * was not checked: whoever answers may be anybody. */
bool secrets_may_send(bool unproven);

#endif
