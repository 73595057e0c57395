/* Runs a program that a user named in a line of text: $EDITOR, --vault-key-command. No shell sees
 * the line. Blocks; before threads, main only.
 */
#ifndef CONTROLLER_VAULT_PROGRAM_H
#define CONTROLLER_VAULT_PROGRAM_H

#include <stddef.h>

#include "common/err.h"
#include "controller/vault/secret.h"

enum { PROGRAM_MAX_WORDS = 64 };

/* Cuts a line at blanks; 'single' and "double" quotes keep blanks, and nothing else is special.
 * words[] gets room for PROGRAM_MAX_WORDS + 2 pointers into *store, ended by NULL; `last` (may be
 * NULL) is added behind them. mem_free *store, after success only. RC_OK; RC_USAGE for no word, a
 * quote without its end, or too many words; RC_NOMEM. */
enum rc program_split(const char *line, char *last, char **words, char **store, struct err *e);

/* What it prints. It reads nothing; its standard error is ours. RC_OK with *out the caller's;
 * RC_SYS when it cannot be started; RC_CONFIG when it fails; RC_LIMIT for more than `max` bytes. */
enum rc program_output(const char *line, size_t max, struct secret **out, struct err *e);

/* Runs it on our terminal with `last` behind its words, and waits, whatever happens: interrupts are
 * its own business, TERM and HUP go to it. RC_OK; RC_SYS when it cannot be started; RC_CONFIG when
 * it fails; RC_CANCELLED with *signal set when it ended after such a signal, which the caller gives
 * itself again once it has cleaned up. */
enum rc program_run(const char *line, char *last, int *signal, struct err *e);

#endif
