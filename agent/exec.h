/* A command that runs under a keeper (agent/keeper.h), between the request it came in and its
 * streams: op_exec, and what runs sudo for others (agent/become_op.c). One thread.
 */
#ifndef AGENT_EXEC_H
#define AGENT_EXEC_H

#include "agent/become.h"
#include "agent/become_root.h"
#include "agent/job_dir.h"
#include "agent/keeper.h"
#include "agent/op.h"
#include "proto/agent.h"

enum {
    EXEC_HELD = 32 * 1024, /* of a stream: read, and not yet taken by the loop */
    EXEC_PIPES_MS = 1000,  /* for what still holds the pipes once the command has ended */
    EXEC_PUMPS = 4,        /* reads of a stream in one turn */
};

struct exec_stream {
    int *fd; /* in keeper */
    uint8_t number;
    struct buf held;
    uint64_t left; /* bytes that are still taken; UINT64_MAX: to its end */
    uint64_t sent;
};

struct exec {
    struct op *op;
    struct exec_request r;
    struct keeper k;
    struct exec_stream out, err;
    struct buf input; /* waits for the command */
    bool input_last;
    uint32_t pid;
    bool begun;        /* the command runs, as far as can be known */
    bool said;         /* and the controller was told */
    bool exited, gone; /* KEEPER_EXITED, KEEPER_GONE */
    bool cancelled;
    uint64_t pipes_until; /* UINT64_MAX: they are not waited for yet */
    uint64_t retry_at;
    struct keeper_word end; /* KEEPER_GONE or KEEPER_FAILED */
    struct become b;
    uint64_t become_until; /* UINT64_MAX: no dialogue */
    bool sudo_told;        /* that it is over */
    bool to_root;          /* the command is an agent for root: */
    struct become_root root;
    const char *problem; /* of what never became a command */
    const char *phase;
    char detail[AGENT_MAX_DETAIL + 1];
    struct job job; /* of a detached one, until it was handed over */
};

/* The functions of an op_kind; op->state is a struct exec. exec_start reads an exec request. */
enum rc exec_start(struct op *op, const struct wire_map *request, struct err *e);
void exec_input(struct op *op, const void *p, size_t n, bool last);
void exec_credit(struct op *op);
void exec_cancel(struct op *op, uint64_t grace_ms);
void exec_hangup(struct op *op);
size_t exec_fds(struct op *op, struct pollfd *fds);
void exec_turn(struct op *op, const struct pollfd *fds, size_t n, uint64_t now_ms);
uint64_t exec_wake_at(const struct op *op);
void exec_fini(struct op *op);

/* "TERM" of a signal's number, or "SIG99". dst holds at least 16. */
const char *exec_signal_name(int number, char dst[16]);
/* exit (-1 when a signal ended it) and signal of a status as waitpid has it: two members. */
void exec_put_status(struct wire_out *w, int status);
/* END's status and problem for a command that ended like that. */
void exec_verdict(int wait_status, enum killed killed, const char **status, const char **problem);

/* ---- between exec.c and exec_end.c ---- */

/* Ends the request when there is nothing left to come. */
void exec_settle(struct exec *x, uint64_t now_ms);
/* Words for a command that did not come about. */
void exec_failed_start(struct exec *x, const struct spawn_failure *f);

#endif
