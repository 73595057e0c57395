/* What became of a host: the one table of statuses, phases and problems, and the one place that
 * decides a status from a problem. docs/outcomes and muster(1) are checked against it.
 *
 * Pure; any thread.
 */
#ifndef CONTROLLER_OUTCOME_OUTCOME_H
#define CONTROLLER_OUTCOME_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

/* status, name, bit of the exit code it sets */
#define STATUS_TABLE(X)                                                                            \
    X(STATUS_OK, "ok", 0)                                                                          \
    X(STATUS_FAILED, "failed", 2)                                                                  \
    X(STATUS_SIGNALED, "signaled", 2)                                                              \
    X(STATUS_TIMEOUT, "timeout", 2)                                                                \
    X(STATUS_UNREACHABLE, "unreachable", 4)                                                        \
    X(STATUS_AUTH_FAILED, "auth-failed", 4)                                                        \
    X(STATUS_HOST_KEY, "host-key", 4)                                                              \
    X(STATUS_LOST, "lost", 2)                                                                      \
    X(STATUS_UNKNOWN, "unknown", 2)                                                                \
    X(STATUS_RESOURCE, "resource", 2)                                                              \
    X(STATUS_BUSY, "busy", 2)                                                                      \
    X(STATUS_CANCELLED, "cancelled", 0)                                                            \
    X(STATUS_NOT_STARTED, "not-started", 4)

enum status {
#define STATUS_ENUM(code, name, bit) code,
    STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_COUNT
};

#define PHASE_TABLE(X)                                                                             \
    X(PHASE_NONE, "")                                                                              \
    X(PHASE_RESOLVE, "resolve")                                                                    \
    X(PHASE_CONNECT, "connect")                                                                    \
    X(PHASE_BANNER, "banner")                                                                      \
    X(PHASE_KEX, "kex")                                                                            \
    X(PHASE_HOST_KEY, "host-key")                                                                  \
    X(PHASE_AUTH, "auth")                                                                          \
    X(PHASE_OPEN, "open")                                                                          \
    X(PHASE_REQUEST, "request")                                                                    \
    X(PHASE_HELLO, "hello")                                                                        \
    X(PHASE_BECOME, "become")                                                                      \
    X(PHASE_RUN, "run")                                                                            \
    X(PHASE_VERIFY, "verify")                                                                      \
    X(PHASE_CLOSE, "close")

enum phase {
#define PHASE_ENUM(code, name) code,
    PHASE_TABLE(PHASE_ENUM)
#undef PHASE_ENUM
        PHASE_COUNT
};

enum retry_class {
    RETRY_NEVER, /* only by an explicit --retry-on of its status or problem */
    RETRY_FAST,  /* failed fast before the command was sent: retried by default */
};

/* problem, name, status, default retry, what it means (one line for the manual) */
#define PROBLEM_TABLE(X)                                                                           \
    X(PROBLEM_NONE, "", STATUS_OK, RETRY_NEVER, "the command ran and exited 0")                    \
    X(PROBLEM_EXIT_NONZERO, "exit-nonzero", STATUS_FAILED, RETRY_NEVER,                            \
      "the command exited with a status other than 0")                                             \
    X(PROBLEM_KILLED_BY_SIGNAL, "killed-by-signal", STATUS_SIGNALED, RETRY_NEVER,                  \
      "a signal ended the command")                                                                \
    X(PROBLEM_DNS_NOT_FOUND, "dns-not-found", STATUS_UNREACHABLE, RETRY_NEVER,                     \
      "the name has no address")                                                                   \
    X(PROBLEM_DNS_FAILED, "dns-failed", STATUS_UNREACHABLE, RETRY_NEVER,                           \
      "the name server answered with an error or could not be asked")                              \
    X(PROBLEM_DNS_TIMEOUT, "dns-timeout", STATUS_UNREACHABLE, RETRY_NEVER,                         \
      "no answer from the name server within the bound")                                           \
    X(PROBLEM_CONNECT_REFUSED, "connect-refused", STATUS_UNREACHABLE, RETRY_FAST,                  \
      "nothing listens on that port")                                                              \
    X(PROBLEM_CONNECT_TIMEOUT, "connect-timeout", STATUS_UNREACHABLE, RETRY_NEVER,                 \
      "no answer to the TCP connection within the bound")                                          \
    X(PROBLEM_CONNECT_FAILED, "connect-failed", STATUS_UNREACHABLE, RETRY_NEVER,                   \
      "the network refused the connection (no route, network down)")                               \
    X(PROBLEM_CONNECTION_RESET, "connection-reset", STATUS_UNREACHABLE, RETRY_FAST,                \
      "the connection was closed or reset before the login was complete")                          \
    X(PROBLEM_BANNER_TIMEOUT, "banner-timeout", STATUS_UNREACHABLE, RETRY_NEVER,                   \
      "connected, but no SSH banner within the bound")                                             \
    X(PROBLEM_NOT_SSH, "not-ssh", STATUS_UNREACHABLE, RETRY_NEVER,                                 \
      "what answered does not speak SSH 2")                                                        \
    X(PROBLEM_THROTTLED, "throttled", STATUS_UNREACHABLE, RETRY_FAST,                              \
      "the server refuses new logins for now (MaxStartups, PerSourcePenalties)")                   \
    X(PROBLEM_KEX_TIMEOUT, "kex-timeout", STATUS_UNREACHABLE, RETRY_NEVER,                         \
      "the key exchange did not finish within the bound")                                          \
    X(PROBLEM_KEX_NO_MATCH, "kex-no-match", STATUS_UNREACHABLE, RETRY_NEVER,                       \
      "no common algorithm")                                                                       \
    X(PROBLEM_KEX_FAILED, "kex-failed", STATUS_UNREACHABLE, RETRY_NEVER,                           \
      "the key exchange failed")                                                                   \
    X(PROBLEM_HOST_KEY_UNKNOWN, "host-key-unknown", STATUS_HOST_KEY, RETRY_NEVER,                  \
      "no key is on record for the host")                                                          \
    X(PROBLEM_HOST_KEY_CHANGED, "host-key-changed", STATUS_HOST_KEY, RETRY_NEVER,                  \
      "the host's key is not the one on record")                                                   \
    X(PROBLEM_HOST_KEY_REVOKED, "host-key-revoked", STATUS_HOST_KEY, RETRY_NEVER,                  \
      "the host's key is marked @revoked")                                                         \
    X(PROBLEM_HOST_KEY_EXPIRED, "host-key-expired", STATUS_HOST_KEY, RETRY_NEVER,                  \
      "the certificate that vouched for the key on record has expired")                            \
    X(PROBLEM_HOST_KEY_CA, "host-key-ca-only", STATUS_HOST_KEY, RETRY_NEVER,                       \
      "only a @cert-authority line is on record, and no certificate was checked for it")           \
    X(PROBLEM_AUTH_DENIED, "auth-denied", STATUS_AUTH_FAILED, RETRY_NEVER,                         \
      "the server refused every key or password we have for it")                                   \
    X(PROBLEM_AUTH_NO_METHOD, "auth-no-method", STATUS_AUTH_FAILED, RETRY_NEVER,                   \
      "nothing to log in with: no key or password applies")                                        \
    X(PROBLEM_AUTH_TIMEOUT, "auth-timeout", STATUS_AUTH_FAILED, RETRY_NEVER,                       \
      "the login did not finish within the bound")                                                 \
    X(PROBLEM_AUTH_UNPROVEN, "auth-unproven-host", STATUS_AUTH_FAILED, RETRY_NEVER,                \
      "a password would have gone to a host whose key was not known before this run")              \
    X(PROBLEM_JUMP_UNREACHABLE, "jump-unreachable", STATUS_UNREACHABLE, RETRY_NEVER,               \
      "a bastion in front of the host could not be reached, trusted or logged in to")              \
    X(PROBLEM_FORWARD_REFUSED, "forward-refused", STATUS_UNREACHABLE, RETRY_NEVER,                 \
      "the bastion does not allow a connection to the host")                                       \
    X(PROBLEM_AGENT_FAILED, "agent-failed", STATUS_AUTH_FAILED, RETRY_NEVER,                       \
      "the ssh-agent that holds the key could not be asked for a signature")                       \
    X(PROBLEM_CHANNEL_REFUSED, "channel-refused", STATUS_UNREACHABLE, RETRY_FAST,                  \
      "logged in, but the server refused to open a channel (MaxSessions)")                         \
    X(PROBLEM_OPEN_TIMEOUT, "open-timeout", STATUS_UNREACHABLE, RETRY_NEVER,                       \
      "logged in, but no channel within the bound")                                                \
    X(PROBLEM_REQUEST_REFUSED, "request-refused", STATUS_UNREACHABLE, RETRY_NEVER,                 \
      "the server refused to start a command")                                                     \
    X(PROBLEM_REQUEST_TIMEOUT, "request-timeout", STATUS_LOST, RETRY_NEVER,                        \
      "the command was sent and the server did not confirm it within the bound")                   \
    X(PROBLEM_RUN_TIMEOUT, "run-timeout", STATUS_TIMEOUT, RETRY_NEVER,                             \
      "the command ran longer than --timeout")                                                     \
    X(PROBLEM_SILENCE_TIMEOUT, "silence-timeout", STATUS_TIMEOUT, RETRY_NEVER,                     \
      "the command was silent longer than --silence-timeout")                                      \
    X(PROBLEM_CONNECTION_LOST, "connection-lost", STATUS_LOST, RETRY_NEVER,                        \
      "the connection died after the command was sent")                                            \
    X(PROBLEM_NO_EXIT_STATUS, "no-exit-status", STATUS_LOST, RETRY_NEVER,                          \
      "the channel was closed without an exit status")                                             \
    X(PROBLEM_HOSTILE, "protocol-abuse", STATUS_UNREACHABLE, RETRY_NEVER,                          \
      "the server broke the rules of SSH or a budget of ours")                                     \
    X(PROBLEM_PROTOCOL_ERROR, "protocol-error", STATUS_LOST, RETRY_NEVER,                          \
      "the server broke the rules of SSH after the command was sent")                              \
    X(PROBLEM_WORKER_DIED, "worker-died", STATUS_UNREACHABLE, RETRY_FAST,                          \
      "our own worker process died before the command was sent")                                   \
    X(PROBLEM_WORKER_LOST, "worker-lost", STATUS_LOST, RETRY_NEVER,                                \
      "our own worker process died after the command was sent")                                    \
    X(PROBLEM_LOCAL_RESOURCE, "local-resource", STATUS_UNREACHABLE, RETRY_NEVER,                   \
      "this machine ran out of descriptors, ports or memory")                                      \
    X(PROBLEM_BAD_TARGET, "bad-target", STATUS_UNREACHABLE, RETRY_NEVER,                           \
      "the inventory's variables for the host cannot be used")                                     \
    X(PROBLEM_CANCELLED, "cancelled", STATUS_CANCELLED, RETRY_NEVER,                               \
      "the run was cancelled while the command ran")                                               \
    X(PROBLEM_NOT_STARTED_CANCEL, "run-cancelled", STATUS_NOT_STARTED, RETRY_NEVER,                \
      "the run was cancelled before this host's turn")                                             \
    X(PROBLEM_NOT_STARTED_BREAKER, "breaker", STATUS_NOT_STARTED, RETRY_NEVER,                     \
      "the breaker stopped the run before this host's turn")                                       \
    X(PROBLEM_NOT_STARTED_BUDGET, "budget", STATUS_NOT_STARTED, RETRY_NEVER,                       \
      "--max-fail stopped the run before this host's turn")                                        \
    X(PROBLEM_NOT_STARTED_DEADLINE, "deadline", STATUS_NOT_STARTED, RETRY_NEVER,                   \
      "--deadline came before this host's turn")                                                   \
    X(PROBLEM_NOT_STARTED_JUMP, "jump-dead", STATUS_NOT_STARTED, RETRY_NEVER,                      \
      "every bastion in front of the host was found dead before its turn")                         \
    X(PROBLEM_DEADLINE, "run-deadline", STATUS_TIMEOUT, RETRY_NEVER,                               \
      "--deadline came while the command ran")                                                     \
    X(PROBLEM_CONTROLLER_ENDED, "controller-ended", STATUS_UNKNOWN, RETRY_NEVER,                   \
      "the controller ended before the host did: the command may have run")                        \
    X(PROBLEM_NOT_RECORDED, "not-recorded", STATUS_UNKNOWN, RETRY_NEVER,                           \
      "the host's result could not be written to the run's record")                                \
    X(PROBLEM_NOT_STARTED_CONTROLLER, "controller-gone", STATUS_NOT_STARTED, RETRY_NEVER,          \
      "the controller ended before this host's turn")                                              \
    X(PROBLEM_HELLO_TIMEOUT, "agent-hello-timeout", STATUS_TIMEOUT, RETRY_NEVER,                   \
      "logged in, but the agent did not speak within the bound: slow start-up files, a "           \
      "hung home")                                                                                 \
    X(PROBLEM_AGENT_PROTOCOL, "agent-protocol", STATUS_LOST, RETRY_NEVER,                          \
      "what came from the host is not what the agent says")                                        \
    X(PROBLEM_AGENT_VERSION, "agent-version", STATUS_RESOURCE, RETRY_NEVER,                        \
      "the host's agent speaks no version of the protocol that we speak")                          \
    X(PROBLEM_AGENT_REFUSED, "agent-refused", STATUS_RESOURCE, RETRY_NEVER,                        \
      "the agent on the host does not do what was asked: its role, its version, or no such job")   \
    X(PROBLEM_BECOME_WRONG_PASSWORD, "become-wrong-password", STATUS_AUTH_FAILED, RETRY_NEVER,     \
      "sudo refused the password; it was tried once")                                              \
    X(PROBLEM_BECOME_PASSWORD_NEEDED, "become-password-needed", STATUS_AUTH_FAILED, RETRY_NEVER,   \
      "sudo asks for a password and none is known")                                                \
    X(PROBLEM_BECOME_DENIED, "become-denied", STATUS_AUTH_FAILED, RETRY_NEVER,                     \
      "sudo does not let the user run this (not in sudoers)")                                      \
    X(PROBLEM_BECOME_TTY, "become-tty-required", STATUS_AUTH_FAILED, RETRY_NEVER,                  \
      "sudo wants a terminal and did not take the one it was given")                               \
    X(PROBLEM_BECOME_MISSING, "become-missing", STATUS_RESOURCE, RETRY_NEVER,                      \
      "there is no sudo on the host")                                                              \
    X(PROBLEM_BECOME_TIMEOUT, "become-timeout", STATUS_TIMEOUT, RETRY_NEVER,                       \
      "sudo neither asked nor ran anything within the bound")                                      \
    X(PROBLEM_BECOME_FAILED, "become-failed", STATUS_AUTH_FAILED, RETRY_NEVER,                     \
      "sudo ended before the command ran, with a message of its own")                              \
    X(PROBLEM_BECOME_NO_DIGEST, "become-no-digest", STATUS_RESOURCE, RETRY_NEVER,                  \
      "root has no tool to check the file of the agent with")                                      \
    X(PROBLEM_BECOME_NO_PLACE, "become-no-place", STATUS_RESOURCE, RETRY_NEVER,                    \
      "there is no folder of root in which the agent could run")                                   \
    X(PROBLEM_BECOME_CHANGED, "become-changed", STATUS_RESOURCE, RETRY_NEVER,                      \
      "the file of the agent is not the one expected; root did not run it")                        \
    X(PROBLEM_EXEC_FAILED, "exec-failed", STATUS_FAILED, RETRY_NEVER,                              \
      "the program could not be executed")                                                         \
    X(PROBLEM_CWD_FAILED, "cwd-failed", STATUS_FAILED, RETRY_NEVER,                                \
      "the folder to start in could not be entered")                                               \
    X(PROBLEM_LIMIT_FAILED, "limit-failed", STATUS_FAILED, RETRY_NEVER,                            \
      "a resource limit could not be set")                                                         \
    X(PROBLEM_KEEPER_LOST, "keeper-lost", STATUS_LOST, RETRY_NEVER,                                \
      "the process that looks after the command on the host was killed")                           \
    X(PROBLEM_JOB_NOT_FOUND, "job-not-found", STATUS_RESOURCE, RETRY_NEVER,                        \
      "the host keeps nothing of that run: collected already, or another user")                    \
    X(PROBLEM_JOB_LOST, "job-lost", STATUS_LOST, RETRY_NEVER,                                      \
      "the host was rebooted, or the keeper of the detached command killed: its end is not known") \
    X(PROBLEM_JOB_RUNNING, "job-running", STATUS_BUSY, RETRY_NEVER,                                \
      "the detached command has not ended")                                                        \
    X(PROBLEM_JOB_UNREADABLE, "job-unreadable", STATUS_RESOURCE, RETRY_NEVER,                      \
      "what the host keeps of a detached command cannot be read")                                  \
    X(PROBLEM_AGENT_DIED, "agent-died", STATUS_LOST, RETRY_NEVER,                                  \
      "the agent ended by itself: killed, or a defect of its own")                                 \
    X(PROBLEM_AGENT_SILENT, "agent-silent", STATUS_LOST, RETRY_NEVER,                              \
      "the agent answered no ping for three intervals")                                            \
    X(PROBLEM_AGENT_NO_BINARY, "agent-no-binary", STATUS_RESOURCE, RETRY_NEVER,                    \
      "there is no agent for the host's system or architecture")                                   \
    X(PROBLEM_AGENT_MISSING, "agent-missing", STATUS_RESOURCE, RETRY_NEVER,                        \
      "the agent is not installed on the host, and --agent installed sends none")                  \
    X(PROBLEM_AGENT_NO_EXEC, "agent-no-exec", STATUS_RESOURCE, RETRY_NEVER,                        \
      "every place for the agent is on a file system mounted noexec")                              \
    X(PROBLEM_AGENT_NO_PLACE, "agent-no-place", STATUS_RESOURCE, RETRY_NEVER,                      \
      "no place for the agent could be written to or trusted")                                     \
    X(PROBLEM_AGENT_DAMAGED, "agent-damaged", STATUS_RESOURCE, RETRY_NEVER,                        \
      "the agent on the host is not the file that was sent")                                       \
    X(PROBLEM_AGENT_UPLOAD, "agent-upload-failed", STATUS_RESOURCE, RETRY_NEVER,                   \
      "the agent could not be written to the host")                                                \
    X(PROBLEM_EXEC_DENIED, "exec-denied", STATUS_RESOURCE, RETRY_NEVER,                            \
      "a policy of the host (fapolicyd, SELinux, AppArmor) let the agent not be executed")         \
    X(PROBLEM_DISK_FULL, "disk-full", STATUS_RESOURCE, RETRY_NEVER,                                \
      "no space, quota or inodes left on the host")                                                \
    X(PROBLEM_READ_ONLY_FS, "read-only-fs", STATUS_RESOURCE, RETRY_NEVER,                          \
      "the file system on the host is read-only")                                                  \
    X(PROBLEM_NO_SHELL, "login-shell", STATUS_UNREACHABLE, RETRY_NEVER,                            \
      "the login shell did not run the command line (nologin, a restricted shell, a "              \
      "forced command)")                                                                           \
    X(PROBLEM_START_UP_NOISE, "startup-noise", STATUS_UNREACHABLE, RETRY_NEVER,                    \
      "the login shell's start-up files print more than 64 KiB to standard output")                \
    X(PROBLEM_INTERNAL, "internal", STATUS_UNREACHABLE, RETRY_NEVER, "a defect of muster's own")

enum problem {
#define PROBLEM_ENUM(code, name, status, retry, text) code,
    PROBLEM_TABLE(PROBLEM_ENUM)
#undef PROBLEM_ENUM
        PROBLEM_COUNT
};

/* What an attempt came to. Filled by whoever saw it end; read-only afterwards. */
struct outcome {
    enum problem problem;
    enum phase phase;   /* where it ended; PHASE_RUN after a command's end */
    int exit_code;      /* 0-255, or -1 when there is none */
    char signal[16];    /* "TERM" without SIG, escaped, or "" */
    bool may_still_run; /* we cannot show that the command has ended */
    bool sent;          /* the command was sent: nothing may run it again unasked */
    char detail[320];   /* for people, escaped, one line: "connect to 10.0.0.7 port 22 after 10s" */
};

void outcome_init(struct outcome *o); /* PROBLEM_NONE, no exit code */

/* The status a problem means. */
enum status problem_status(enum problem p);
enum retry_class problem_retry(enum problem p);
const char *problem_name(enum problem p); /* "" for PROBLEM_NONE */
const char *problem_text(enum problem p);
const char *status_name(enum status s);
const char *phase_name(enum phase p);
int status_exit_bit(
    enum status s); /* 0, 2 or 4: what a host of this status adds to our exit code */

/* By name; return -1 when there is none. */
int problem_by_name(const char *name);
int status_by_name(const char *name);

/* true for what happens before the command is sent: the breaker counts these. */
bool outcome_before_command(const struct outcome *o);

#endif
