/* The one line that every login shell runs alike.
 *
 * sshd hands the exec request to the user's login shell, whatever that is. The line made here is
 *     exec /bin/sh -c '…'
 * and means the same to sh, bash, dash, zsh, ksh, busybox, fish and tcsh: a quote, a backslash and
 * an exclamation mark are always written outside the quotes with a backslash before them (fish
 * reads \\ and \' inside quotes, csh reads ! inside them), and a line break, which csh cannot
 * carry, travels as printf's \n. Pure; any thread.
 */
#ifndef CONTROLLER_RUN_WRAP_H
#define CONTROLLER_RUN_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum { WRAP_MAX = 250 * 1024 }; /* sshd takes an exec request in one packet of at most 256 KiB */

struct wrap_command { /* what is the same for all hosts of a run */
    char *text;       /* sh source: environment, directory and command; owned */
    bool raw;         /* text goes out untouched */
};

/* One word: sh source as it is. Several: each is quoted. RC_OK, RC_USAGE, RC_LIMIT, RC_NOMEM. */
enum rc wrap_words(const char *const *words, size_t count, struct buf *out, struct err *e);

/* env: "K=V" each; cwd may be NULL. RC_USAGE when a name of env is no shell name. */
enum rc wrap_init(struct wrap_command *w, const char *command, const char *const *env,
                  size_t env_count, const char *cwd, bool raw, struct err *e);
void wrap_fini(struct wrap_command *w);

/* A script that arrives on standard input: source that stores it in a temporary file, runs it with
 * its interpreter and removes it. `script` is looked at for its #! line; args as for wrap_words. */
enum rc wrap_script(const char *script, size_t len, const char *const *args, size_t count,
                    struct buf *out, struct err *e);

/* The exec request for one host: MUSTER_HOST, MUSTER_RANK (from 0) and MUSTER_TOTAL set, then the
 * text. RC_OK, RC_LIMIT past WRAP_MAX, RC_NOMEM. */
enum rc wrap_line(const struct wrap_command *w, const char *host, uint32_t rank, uint32_t total,
                  struct buf *out, struct err *e);

/* Appends one word quoted for every login shell. Text with a line break is refused (RC_PARSE). */
enum rc wrap_quote_any_shell(struct buf *out, const char *s, size_t n);

#endif
