/* Takes the secrets of a run out of what is shown: where one of them stands in what a host printed,
 * "********" is shown, recorded and written to files in its place, also where it came in two parts.
 *
 * Exactly the texts themselves, of at least MASK_LEAST bytes: a shorter one would be found in half
 * of all words and told by the gaps it leaves. Does not know other spellings (base64, reversed,
 * quoted): this is a net under a mistake, not a wall. Loop thread only.
 */
#ifndef CONTROLLER_SECRETS_MASK_H
#define CONTROLLER_SECRETS_MASK_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/secrets/secrets.h"

#define MASK_TEXT "********"
enum { MASK_LEAST = 4 };

struct masks;

/* *out is NULL when there is nothing to look for. `s` must outlive it. RC_OK, RC_NOMEM. */
enum rc masks_new(struct masks **out, const struct secrets *s, struct err *e);
void masks_free(struct masks *m); /* overwrites what it held; NULL is fine */

/* What was held back of one stream, since it may be the beginning of a secret. All zero: nothing.
 */
struct mask_stream {
    uint8_t *held;
    uint32_t len;
};

typedef void (*mask_sink)(void *user, const void *p, size_t n);

/* Hands on what is sure, in one or several parts, before it returns. Without memory the part is
 * lost and MASK_TEXT stands for it. */
void masks_feed(struct masks *m, struct mask_stream *st, const void *p, size_t n, mask_sink sink,
                void *user);
/* The stream has ended: hands on what was held back, and frees it. */
void masks_end(struct masks *m, struct mask_stream *st, mask_sink sink, void *user);
void masks_drop(struct mask_stream *st); /* frees without handing on */

/* A text of ours, in place: cut to `cap` where it grows. m may be NULL. Returns text. */
char *masks_text(struct masks *m, char *text, size_t cap);

#endif
