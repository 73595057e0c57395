/* What the keeper's files share (agent/keeper_run.c, keeper_kill.c). Not for others. */
#ifndef AGENT_KEEPER_INT_H
#define AGENT_KEEPER_INT_H

#include "agent/keeper.h"

enum keeping_phase {
    KEEPING_STARTING, /* forked, exec not yet known to have worked */
    KEEPING_RUNNING,
    KEEPING_STOPPING,  /* TERM was sent, the grace runs */
    KEEPING_LINGERING, /* the command is gone, something of it is not: it has LINGER_MS */
    KEEPING_KILLING,   /* KILL, until nothing is left */
    KEEPING_DRAINING,  /* a job: what is in the pipes still */
    KEEPING_DONE,
};

enum {
    KEEPER_LINGER_MS = 1000,
    KEEPER_LEAVE_MS = 1000, /* grace when the agent is gone */
    KEEPER_KILL_MS = 3000,  /* KILL takes no longer, or it is not in our power */
    KEEPER_ROUND_MS = 50,
    KEEPER_DRAIN_MS = 1000,
    KEEPER_HELPS = 3, /* times that sudo is asked to kill for us */
};

struct keeper_stream {
    int fd;   /* -1: at its end */
    int sink; /* -1: dropped from here on */
    uint64_t kept, dropped;
};

struct keeping {
    const struct keeper_spec *spec;
    struct keeper_ends ends;
    enum keeping_phase phase;
    uint64_t deadline; /* of the phase; UINT64_MAX: none */
    uint64_t timeout_at;
    int signals; /* signalfd */
    int report;  /* of exec; -1: known */
    pid_t pid;   /* the command's; its group's too */
    bool exited; /* and reaped */
    int status;
    enum killed killed;
    bool stopped; /* it was told to end, for whatever reason */
    unsigned left;
    bool counting;      /* what is reaped now is `left` */
    bool alive;         /* some could not be ended */
    pid_t sudo_pid;     /* the command behind sudo, 0: not known */
    pid_t sudo_session; /* with use_pty it is not the keeper's */
    pid_t helper;       /* the sudo that kills for us */
    bool helped;        /* there is none to be started (again) */
    unsigned helps;     /* how often there was */
    bool draining;      /* streams are read here */
    struct keeper_stream out, err;
};

/* Is there something that this keeper has to end? */
bool keeper_any_left(struct keeping *k);
/* Sends it to the command's group while the command is there, and to all else that counts. */
void keeper_signal_all(struct keeping *k, int sig);
/* The helper was reaped. */
void keeper_helper_ended(struct keeping *k, int status);

#endif
