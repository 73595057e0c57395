/* What an exec request asks for, read out of its map once and checked (proto/PROTOCOL.md, "exec").
 * Runs nothing. One thread.
 */
#ifndef AGENT_EXEC_REQUEST_H
#define AGENT_EXEC_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "common/arena.h"
#include "common/err.h"
#include "proto/wire.h"

enum {
    EXEC_MAX_ARGS = 16384,
    EXEC_MAX_ENV = 4096,
    EXEC_MAX_LIMITS = 6,
    EXEC_MAX_USER = 255,
    EXEC_MAX_RUN = 64,
    EXEC_MAX_HOST = 255,
    EXEC_GRACE_MS = 10000,      /* where the request does not say */
    EXEC_JOB_OUTPUT = 16 << 20, /* of each stream, likewise */
};

#define EXEC_MAX_MS     (UINT64_C(10) * 366 * 24 * 3600 * 1000)
#define EXEC_MAX_OUTPUT (UINT64_C(1) << 40)

struct exec_limit {
    const char *name; /* as in the request */
    int which;        /* RLIMIT_… */
    rlim_t value;
};

struct exec_request {
    struct arena arena; /* all that follows lives in it */
    char **argv;        /* ended by NULL, at least one */
    char **envp;        /* the whole environment */
    const char *shell;  /* the text, when the request had one; argv is sh -c of it */
    const char *cwd;    /* NULL: where the agent is */
    int mask;           /* umask, or -1 */
    struct exec_limit limits[EXEC_MAX_LIMITS];
    unsigned n_limits;
    char **extra;        /* the request's own env, ended by NULL */
    bool input;          /* INPUT is its standard input */
    uint64_t timeout_ms; /* 0: none */
    uint64_t grace_ms;
    bool lives_on; /* on_disconnect is continue */
    bool become;
    char become_user[EXEC_MAX_USER + 1];
    bool become_password;
    bool detach;
    char run[EXEC_MAX_RUN + 1], host[EXEC_MAX_HOST + 1];
    uint64_t max_output;
};

/* `base` is the environment that env is added to, ended by NULL. RC_OK: fini it. RC_PROTO with what
 * was wrong, RC_NOMEM: nothing to free. */
enum rc exec_request_read(struct exec_request *r, const struct wire_map *m, char *const *base,
                          struct err *e);
void exec_request_fini(struct exec_request *r);

/* 1 to 64 of [A-Za-z0-9-], the first not '-'. */
bool exec_run_valid(const char *run);

/* The value of a NAME=VALUE list, or NULL. */
const char *exec_env(char *const *env, const char *name);

#endif
