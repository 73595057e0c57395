/* Cuts a verb's arguments into options and words, without judging what they mean.
 *
 * "-fN", "-f N", "--fanout=N", "--fanout N", flags together ("-qv"), "--" ends the options.
 * Borrows argv. Pure.
 */
#ifndef CONTROLLER_CLI_WORDS_H
#define CONTROLLER_CLI_WORDS_H

#include "controller/cli/options_table.h"

enum word_kind {
    WORD_END,
    WORD_PLAIN,    /* value: the word */
    WORD_DASHES,   /* "--"; what follows is no longer cut: words_rest */
    WORD_OPTION,   /* def, value ("true" for a flag) */
    WORD_NO_VALUE, /* def wants a value and none follows */
    WORD_UNKNOWN,  /* spelling only */
};

struct word {
    enum word_kind kind;
    const struct option_def *def;
    const char *value;
    char spelling[64]; /* "-f", "--fanout": as typed, cut */
    bool is_short;
};

struct words {
    int argc;
    char **argv;
    enum verb verb;
    int at;            /* the next argument */
    const char *flags; /* what is left of "-qv", or NULL */
};

void words_init(struct words *w, enum verb verb, int argc, char **argv, int first);
struct word words_next(struct words *w);

#endif
