/* The coordinator's side of the worker processes: starts them, hands jobs out, hears back.
 *
 * pool_fork comes first in a run, before threads and before the inventory is loaded, so that a
 * worker holds nothing it does not need; everything afterwards is loop thread only. A worker is
 * another trust domain: each frame it sends is validated, and one that breaks the protocol is
 * treated as dead. Jobs are numbers chosen by the caller, unique among the living.
 */
#ifndef CONTROLLER_WORKER_POOL_H
#define CONTROLLER_WORKER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "common/err.h"
#include "controller/ssh/session.h"

enum { POOL_FEW = 64, POOL_SPARE = 16, POOL_SPARE_PER = 50, POOL_STILLBORN_MAX = 5 };

struct pool;

/* fork()s n workers (1-64) over socketpairs, and raises the soft limit of open files to the hard
 * one. Call before any thread exists. The child never returns from this call: it runs worker_main
 * and _exits. RC_SYS, RC_NOMEM: nothing is left behind. */
enum { POOL_MAX_WORKERS = 64 };
enum rc pool_fork(struct pool **out, unsigned n, struct err *e);

/* Another process takes the place of a worker that dies: POOL_SPARE times, and once more for every
 * POOL_SPARE_PER jobs that workers end in order (POOL_SPARE at most are in reserve). One that ends
 * before it is set up is followed after a wait that doubles each time, and POOL_STILLBORN_MAX of
 * them in a row leave the place empty. It is this program started anew (worker_again), not a copy
 * of a coordinator that has threads and secrets by then. 0: never. */
void pool_set_spare(struct pool *p, unsigned spare);

struct pool_ops {
    /* The job has left the worker's line: its connect budget runs from here on. May be NULL. One
     * that ends as worker-died without it has not touched its host. */
    void (*begun)(void *user, uint64_t job);
    /* Its connect is not answered yet, and then it is: see session_ops. `answered` wants pool_go;
     * where that is NULL the pool says it by itself. */
    void (*silent)(void *user, uint64_t job);
    void (*answered)(void *user, uint64_t job);
    /* answer with pool_hostkey_answer */
    void (*hostkey)(void *user, uint64_t job, const char *key_type, const void *blob, size_t len);
    /* A password would go to the host now; answer with pool_password_answer. At most once per job,
     * before authenticated, and only for a job whose spec says that there is one. */
    void (*password)(void *user, uint64_t job);
    void (*authenticated)(void *user, uint64_t job);
    void (*sent)(void *user, uint64_t job);
    void (*data)(void *user, uint64_t job, bool is_stderr, const void *p, size_t n);
    /* The end of a job, exactly once per job; also for jobs of a worker that died (problem
     * worker-died or worker-lost). */
    void (*done)(void *user, uint64_t job, const struct session_result *result);
    /* A key could not be imported (fatal for the run: wrong passphrase, unsupported type), or a
     * worker died (message says how, and whether another takes its place). all_dead: there is none
     * left and none to come. */
    void (*trouble)(void *user, enum rc rc, const char *message, bool all_dead);
    /* `data` is to be signed with the agent's key `key`; answer with pool_signed. The bytes come
     * from a worker: agent_check_login says whether they may be. May be NULL in an owner that gives
     * out no such key. */
    void (*sign)(void *user, uint64_t job, unsigned key, const void *data, size_t n);
    /* A warm job's command is over; see session_ops.ended. Next: pool_exec, pool_finish or its end.
     * Both may be NULL in an owner that starts no such job. */
    void (*ended)(void *user, uint64_t job, const struct session_result *result);
    /* n more bytes of pool_input are on their way to the host: in batches, see session_ops.taken.
     * What is left when the command ends is not told. */
    void (*taken)(void *user, uint64_t job, size_t n);
};

/* Callbacks come from the loop, never from inside a pool_* call. After a failure the pool takes
 * pool_close and pool_free, nothing else. */
enum rc pool_attach(struct pool *p, uv_loop_t *loop, const struct pool_ops *ops, void *user,
                    struct err *e);

/* To every worker, replacements too. Before the first job; also before pool_attach. Copied, and
 * kept in locked memory until pool_free; RC_CRYPTO: there is none of it; RC_LIMIT: a key or a
 * passphrase that is too long. */
enum rc pool_add_key(struct pool *p, unsigned id, const char *text, size_t len,
                     const char *passphrase, const char *label, struct err *e);
/* A key that an agent signs with, or (base >= 0) a certificate for the private key `base`, which
 * was added before. To every worker, before the first job. RC_OK, RC_NOMEM, RC_LIMIT. */
enum rc pool_add_identity(struct pool *p, unsigned id, int base, const void *blob, size_t len,
                          const char *label, struct err *e);
/* Input that commands may be given (INPUT_BLOB): blob number 0 to 7, each once; 0 is what
 * spec->use_stdin means. To every worker, replacements too; before the first job. Copied, and kept
 * (not locked) until pool_free. RC_OK, RC_NOMEM, RC_LIMIT: more than 64 MiB in all. */
enum rc pool_add_blob(struct pool *p, unsigned blob, const void *bytes, size_t n, struct err *e);
enum rc pool_set_stdin(struct pool *p, const void *bytes, size_t n, struct err *e); /* blob 0 */

/* Sends a job to the first worker that has less than POOL_FEW of them, or else to the one with the
 * fewest; a job through a link (spec->via_job) to the link's worker, a link that goes through none
 * to the worker with the fewest links. RC_OK, RC_NOMEM, RC_LIMIT, RC_EXISTS (that number lives
 * already), or RC_NOTFOUND when no worker lives and none is to come, RC_CANCELLED when the link
 * does not (then no done comes). spec is read during the call. */
enum rc pool_start(struct pool *p, uint64_t job, const struct session_spec *spec, struct err *e);
void pool_go(struct pool *p, uint64_t job); /* after `answered`; ignored otherwise */
void pool_hostkey_answer(struct pool *p, uint64_t job, enum hostkey_answer a, enum problem problem,
                         const char *detail);
/* The password that ops.password asked for; len 0: none is given. */
void pool_password_answer(struct pool *p, uint64_t job, const char *text, size_t len);
/* The answer to pool_ops.sign; see session_sign_answer. Nothing when the job has ended. */
void pool_signed(struct pool *p, uint64_t job, enum sign_answer a, const void *sig, size_t len,
                 const char *detail);
/* See session_cancel. Without `now` a warm job may only lose its command, and come with `ended`:
 * who wants it gone says pool_finish then. One that is idle as far as we know is ended at once. */
void pool_cancel(struct pool *p, uint64_t job, enum problem problem, bool now);

/* The next command of a warm job, between its `ended` and the next; c is read during the call.
 * `sent`, `data` and `ended` follow as for the first. RC_OK; RC_EXISTS: one is under way;
 * RC_CANCELLED: the job is over or about to be, or pool_finish was called (its `done` comes, or
 * came); RC_LIMIT; RC_NOMEM. */
enum rc pool_exec(struct pool *p, uint64_t job, const struct session_command *c, struct err *e);
/* Standard input of a command that is INPUT_DUPLEX, from its `sent` on; last: and then its end.
 * RC_OK (also when the command is over meanwhile); RC_LIMIT, nothing was queued: more than
 * SESSION_MAX_INPUT (256 KiB) would not be `taken` yet, or more than POOL_INPUT_QUEUE waits for the
 * worker, of all its jobs (then try again later: no `taken` may come); RC_CANCELLED: no command of
 * the job takes input now; RC_NOMEM, after which the worker is ended. */
enum rc pool_input(struct pool *p, uint64_t job, const void *bytes, size_t n, bool last);
enum { POOL_INPUT_QUEUE = 128 * 1024 * 1024 };
/* How much pool_input takes now. */
size_t pool_input_room(struct pool *p, uint64_t job);
/* No further command: the job ends, ok, as soon as it is idle. From pool_start on; twice is fine.
 */
void pool_finish(struct pool *p, uint64_t job);
/* To be called ten times a second: a worker that has jobs and says nothing is asked whether it is
 * still there, and ended when it does not answer for POOL_QUIET_BEATS calls. Calls are counted and
 * not time, so that a coordinator that was stopped itself does not blame others. */
enum { POOL_PING_BEATS = 100, POOL_QUIET_BEATS = 600 };
void pool_beat(struct pool *p);
/* Calm: the workers look at what hosts say at most once every `ms`, and we at what the workers say;
 * for when many jobs say a little each, and nobody waits for it. What we say is heard at once. At
 * most MSG_MAX_CALM_MS; 0, as at first: nothing waits. For the workers that there are now. */
void pool_calm(struct pool *p, unsigned ms);
void pool_pause(struct pool *p);
void pool_resume(struct pool *p);

/* Ends the workers (they exit by themselves when the socket closes; waits for them by SIGCHLD or
 * pidfd, never blocking the loop) and closes the handles; then `closed` (may be NULL). Jobs still
 * running get no callback. */
void pool_close(struct pool *p, void (*closed)(void *user), void *user);
void pool_free(struct pool *p); /* after closed, or of a pool never attached */

/* CPU microseconds (user + system) that the workers that have ended used; after closed. */
uint64_t pool_cpu_us(const struct pool *p);

#endif
