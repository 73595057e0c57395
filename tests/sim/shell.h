/* The little of a shell's grammar that simulated hosts understand: words with quotes, backslashes
 * and variables, and what stands between commands. Pure. */
#ifndef TESTS_SIM_SHELL_H
#define TESTS_SIM_SHELL_H

#include "common/buf.h"

enum token {
    TOKEN_WORD,
    TOKEN_END,     /* of the text */
    TOKEN_THEN,    /* ; or a newline */
    TOKEN_AND,     /* && */
    TOKEN_OR,      /* || */
    TOKEN_ERR,     /* >&2 */
    TOKEN_UNKNOWN, /* anything else that a real shell would know */
};

/* The value of a variable, or NULL. */
typedef const char *(*shell_lookup_fn)(void *user, const char *name);

/* Reads the next token at *at and moves *at past it. A word is left in `word`, which is emptied
 * first; TOKEN_UNKNOWN too when it would pass the buffer's cap or a quote is not closed. */
enum token shell_next(const char **at, struct buf *word, shell_lookup_fn lookup, void *user);

#endif
