/* The agents that travel inside this program, one for each architecture that the build had a
 * compiler for. Read-only data, written by controller/remote/embed.cmake; no file is opened. Any
 * thread.
 */
#ifndef CONTROLLER_REMOTE_BLOB_H
#define CONTROLLER_REMOTE_BLOB_H

#include <stddef.h>

struct blob {
    const char *arch; /* as uname -m says it: "x86_64", "aarch64" */
    const void *data;
    size_t len;
    char sha256[65]; /* hex */
};

/* The agent for an architecture; NULL: none was built. */
const struct blob *blob_find(const char *arch);

/* In no order that means anything; NULL past the last. For messages and tests. */
const struct blob *blob_at(size_t i);

/* Written by the build: ended by one without arch. */
extern const struct blob blob_table[];

#endif
