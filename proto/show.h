/* A captured stream of frames as text for people: a line for each frame with its offset, type and
 * id, maps as something like JSON, raw payloads escaped and cut. What is no frame is named and ends
 * it. Of either direction, agent's or worker's; a private key, a passphrase or a password is not
 * shown. Pure; any thread.
 */
#ifndef PROTO_SHOW_H
#define PROTO_SHOW_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum {
    SHOW_TEXT = 120, /* bytes of a string or of a raw payload that are shown */
    SHOW_ITEMS = 64, /* of a list */
};

/* Appends the lines, each with its newline. RC_OK, also for what is no capture of ours; RC_LIMIT or
 * RC_NOMEM of out, which then holds a part. */
enum rc show_stream(struct buf *out, const void *p, size_t n);

/* "REQUEST", or NULL for a type that there is not. */
const char *show_type(uint8_t type);

#endif
