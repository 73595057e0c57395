/* What a simulated host does with a command line: a few commands of a shell, one after the other.
 *
 *   true  false  :  exit N  echo [-n] WORDS  sleep SECONDS  flood SIZE  export N=V  cd DIR
 *   hostname  kill -SIGNAL $$  cat
 *
 * with ; && || newlines, quotes, $VARIABLES and >&2. muster's wrapped line (exec /bin/sh -c '…', in
 * both its forms) is unwrapped first. What is not known exits 127 with a line on standard error, as
 * a shell does. Pure: who calls waits, writes and answers.
 */
#ifndef TESTS_SIM_COMMAND_H
#define TESTS_SIM_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

enum {
    COMMAND_LINE = 256 * 1024, /* longest line */
    COMMAND_WORDS = 64,
    COMMAND_VARS = 32,
};

enum command_act {
    ACT_OUTPUT, /* write step.text */
    ACT_SLEEP,  /* wait for step.n milliseconds */
    ACT_FLOOD,  /* write step.n bytes */
    ACT_CAT,    /* write what comes from here on, until the end of standard input */
    ACT_SIGNAL, /* ended by step.text, a signal's name without SIG */
    ACT_END,    /* exit with step.n */
};

struct command_step {
    enum command_act act;
    bool is_stderr;
    uint64_t n;
    struct buf text;
};

struct command {
    char *source, *vars[COMMAND_VARS];
    const char *at;
    size_t var_count;
    int status;
    bool skip, ended;
    struct command_step step;
};

/* Takes a copy of the line. false: no memory, or a line that is too long. */
bool command_init(struct command *c, const char *line);
void command_fini(struct command *c);

/* The next thing to do; valid until the next call. After ACT_END or ACT_SIGNAL there is nothing. */
const struct command_step *command_next(struct command *c);

#endif
