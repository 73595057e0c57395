/* Lets a person change an opened text in their editor. Blocks; before threads, main only. */
#ifndef CONTROLLER_VAULT_EDIT_H
#define CONTROLLER_VAULT_EDIT_H

#include "common/err.h"
#include "controller/vault/secret.h"

/* Writes `before` to a file `name` (mode 0600) in a folder of its own (0700) in `folder`, which is
 * memory, runs `editor` on it (words, no shell) and reads it again. Whatever became of it, all
 * files in that folder are overwritten and removed. RC_OK with *after the caller's; RC_SYS,
 * RC_LIMIT, RC_NOMEM; RC_CONFIG when the editor fails: then nothing shall be changed. A TERM or HUP
 * meanwhile takes its course after the removal. */
enum rc edit_text(const char *editor, const char *folder, const char *name,
                  const struct secret *before, size_t max, struct secret **after, struct err *e);

/* Where opened texts may stand for a while: $XDG_RUNTIME_DIR, /dev/shm, the first that is there and
 * is memory. NULL: neither. */
const char *edit_folder(const char *runtime_dir);

#endif
