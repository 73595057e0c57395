/* The keeper: a small process of ours between the agent and one command, and what the agent has of
 * it. It starts the command, is the one that all of the command's orphans fall to
 * (PR_SET_CHILD_SUBREAPER), waits for its end, ends it and all it started when the time is up or it
 * is told to, and says so. It outlives the agent, whatever becomes of that: when the socket between
 * them ends, the command is ended too, or (lives_on) left to run with its output read and dropped,
 * or (a job) kept as before. So that there is one way for a hangup, a crash and a kill -9 of the
 * agent.
 *
 * Neither knows frames or requests. The agent's side never blocks.
 */
#ifndef AGENT_KEEPER_H
#define AGENT_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/spawn.h"
#include "common/err.h"

struct job;

enum killed { KILLED_NOT, KILLED_TIMEOUT, KILLED_CANCEL, KILLED_DISCONNECT, KILLED_SIGNAL };
const char *killed_name(enum killed k); /* "" for KILLED_NOT; as in END's `killed` */

struct keeper_spec {
    struct spawn spawn;  /* in, out, err and tty are the keeper's affair */
    bool input;          /* a pipe for standard input; else /dev/null */
    bool tty;            /* a terminal of its own for the command's session, see keeper.tty */
    bool lives_on;       /* a daemon in a session of its own stays, and the command when we go */
    uint64_t timeout_ms; /* 0: none */
    uint64_t grace_ms;   /* from TERM to KILL then */
    struct job *job;     /* output goes there once KEEPER_GO came; or NULL */
    const char *sudo;    /* who may end what sudo started: its path, and for whom; or NULL */
    const char *sudo_user;
    bool told_begin; /* KEEPER_PID comes when the command behind sudo begins; it may never do so */
};

/* What it says. */
enum keeper_event {
    KEEPER_STARTED = 1, /* pid */
    KEEPER_FAILED,      /* failure; the last word */
    KEEPER_EXITED,      /* the command is gone: status. What it left may not be */
    KEEPER_GONE,        /* all is gone that had to: status, killed, left; the last word */
};
struct keeper_word {
    uint8_t event;
    uint8_t killed; /* enum killed */
    uint8_t alive;  /* KEEPER_GONE: something is left that could not be ended */
    int32_t pid;
    int32_t status; /* as waitpid has it */
    uint32_t left;  /* processes that outlived the command and were ended */
    struct spawn_failure failure;
};

/* What it is told. */
enum keeper_order_what {
    KEEPER_STOP = 1, /* TERM, grace, KILL; a second one may shorten the grace */
    KEEPER_GO,       /* output belongs to the job now */
    KEEPER_PID,      /* the command that sudo started, in a process group that may be its own */
};
struct keeper_order {
    uint8_t what;
    uint8_t killed;
    int32_t pid;
    uint64_t grace_ms;
};

/* The agent's side: descriptors, non-blocking, close-on-exec; -1 where there is none. */
struct keeper {
    int control; /* its words come from here */
    int in;
    int out, err;
    int tty; /* the master of the terminal */
};

/* Forks; everything in spec is copied by that. With a job the agent has out and err too, until
 * KEEPER_GO. RC_OK: the first word is on its way. RC_SYS: nothing is left behind. */
enum rc keeper_start(struct keeper *k, const struct keeper_spec *spec, struct err *e);

/* 1: a word; 0: none yet; -1: the socket has ended, the keeper was killed. */
int keeper_read(struct keeper *k, struct keeper_word *w);

/* Best effort: a keeper that is gone has its last word waiting. */
void keeper_tell(struct keeper *k, const struct keeper_order *o);

/* Lets go: closes what is open. To the keeper it is the agent's end. */
void keeper_close(struct keeper *k);

/* ---- inside; agent/keeper_run.c ---- */

/* recv of one message from the socket between the two. A peer that closed before it had read all
 * makes the first recv fail; what it had sent is still there and comes with the next one. */
ssize_t keeper_recv(int fd, void *p, size_t n);

/* The keeper's ends of the same. */
struct keeper_ends {
    int control;
    int in;                 /* for the command only */
    int out, err;           /* for the command only */
    int out_read, err_read; /* held where somebody may have to read on */
    int tty, tty_slave;
    int null;
};
void keeper_run(const struct keeper_spec *spec, struct keeper_ends *ends);

#endif
