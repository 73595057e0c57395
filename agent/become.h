/* The dialogue with sudo: it has a terminal of its own for what it asks, and plain pipes for the
 * command's data. One prompt is answered, once; a second one means that the password was wrong.
 * docs/become.md says what is known at which moment, and why.
 *
 * Starts nothing and ends nothing: says what to run, reads what it is given, and what it all meant.
 * The password is in one locked page that no child inherits, is written to the terminal only while
 * that does not echo, and is wiped then. One thread.
 */
#ifndef AGENT_BECOME_H
#define AGENT_BECOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/exec_request.h"

enum {
    BECOME_MS = 20000,     /* for the dialogue */
    BECOME_STOP_MS = 2000, /* for sudo to go, once it is over */
    BECOME_TEXT = 2048,
    BECOME_TOKEN = 40,
    BECOME_SECRET = 1024,
    BECOME_PATH = 512,
};

enum become_state {
    BECOME_WAITING, /* for a prompt, or the command's beginning */
    BECOME_ASKED,   /* a prompt is there, the password is not yet */
    BECOME_ANSWERED,
    BECOME_RUNNING, /* the command has begun */
    BECOME_FAILED,  /* problem says how; sudo has to be ended */
};

struct become {
    enum become_state state;
    const char *problem; /* BECOME_FAILED: name of a problem */
    bool direct; /* sudo runs argv itself: nothing tells when it begins, nothing is answered */
    bool may_answer;
    char token[BECOME_TOKEN];
    char sudo[BECOME_PATH];
    uint8_t *secret; /* its page, or NULL */
    size_t secret_len;
    bool have_secret;
    bool answered; /* it was typed, whatever came of it */
    unsigned prompts;
    char said[BECOME_TEXT], note[BECOME_TEXT]; /* the last of the terminal, and of standard error */
    size_t n_said, n_note;
    size_t seen; /* bytes of said in which prompts were counted */
    pid_t pid;   /* of the command, once BECOME_RUNNING and not direct */
};

/* RC_NOTFOUND: no sudo along `env`'s PATH or where it is usually; RC_NOMEM, RC_SYS. */
enum rc become_init(struct become *b, const struct exec_request *r, char *const *env,
                    struct err *e);
void become_fini(struct become *b); /* wipes; also of a zeroed one */

/* Makes r's argv, envp, cwd and umask those of sudo. RC_NOMEM: r may be used no more. */
enum rc become_wrap(const struct become *b, struct exec_request *r, struct err *e);

/* The password, whole. Copied; the caller wipes its own. */
void become_secret(struct become *b, const void *p, size_t n);
/* Reads what is written to sudo's terminal. */
void become_tty(struct become *b, int tty);
/* Reads standard error up to the line that says that the command begins, not a byte further.
 * false: its end. */
bool become_stderr(struct become *b, int fd);
/* Answers a prompt that become_tty read. Only after a become_stderr that came later still: the
 * command may write what looks like a prompt, but by then the line of its beginning is there. */
void become_answer(struct become *b, int tty);
/* Of standard error that goes to the controller too (direct). */
void become_note(struct become *b, const void *p, size_t n);
/* sudo has ended without the command having begun, as far as is known: what it meant. NULL: with
 * `direct`, that it was the command that ended. */
const char *become_meaning(const struct become *b, int status, bool had_output);
/* What it said, for people: one line, escaped. */
void become_detail(const struct become *b, char *dst, size_t cap);

#endif
