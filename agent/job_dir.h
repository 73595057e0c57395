/* A detached job as files: a folder for each, $XDG_STATE_HOME/muster/jobs/RUN[@HOST], of mode 0700
 * and our own, with
 *
 *   status   lines of "key value" of a fixed length; replaced whole (temp, fsync, rename), or
 *            written over itself when the disk is full
 *   stdout   the head of each stream, at most max_output bytes; what came after it is only counted
 *   stderr
 *   lock     held (an open file description's lock) for as long as the job's keeper lives
 *   orders   a fifo that the keeper reads
 *
 * A job says `running` and its lock is free, or the host was booted since: it is lost. No pid is
 * needed to tell, so no recycled one can lie. One thread.
 */
#ifndef AGENT_JOB_DIR_H
#define AGENT_JOB_DIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/exec_request.h"
#include "agent/keeper.h"

enum { JOB_BOOT_ID = 40, JOB_MAX = 4096 /* that a listing shows */, JOB_NAME = 255 };

enum job_state { JOB_RUNNING, JOB_ENDED, JOB_LOST };
const char *job_state_name(enum job_state s);

struct job_status {
    enum job_state state;
    pid_t pid;
    uint64_t start; /* of that process, ticks since boot */
    char boot_id[JOB_BOOT_ID];
    uint64_t started_ns, ended_ns; /* since 1970; 0: not yet */
    int status;                    /* as waitpid has it */
    enum killed killed;
    uint64_t stdout_kept, stderr_kept, stdout_dropped, stderr_dropped;
    char run[EXEC_MAX_RUN + 1], host[EXEC_MAX_HOST + 1];
};

/* An open one, of its keeper or of its maker. */
struct job {
    int parent, dir; /* folders */
    int out, err, lock, orders;
    uint64_t max_output;
    char name[JOB_NAME + 1];
    struct job_status status;
};

/* Makes folder and files, locked. `env` says where. RC_EXISTS: that run has a job here; RC_SYS,
 * RC_LIMIT (a name too long), RC_NOTFOUND (no home). On failure nothing is left. */
enum rc job_create(struct job *j, const char *run, const char *host, uint64_t max_output,
                   char *const *env, struct err *e);
void job_close(struct job *j);  /* lets go of the descriptors; the files stay */
void job_remove(struct job *j); /* and the files go */

/* By its keeper. begin: its first status, without a pid; false with errno when it could not be
 * written, and then nothing may be run for it. started: adds the pid, best effort; without it only
 * the command of a lost job cannot be found. */
bool job_begin(struct job *j);
void job_started(struct job *j, pid_t pid);
/* Bytes are not kept any more: whoever looks while the command runs is told, too. Best effort. */
void job_dropped(struct job *j, uint64_t out, uint64_t err);
void job_ended(struct job *j);
/* Told to stop: takes all orders that wait; the least grace of them. */
bool job_order(struct job *j, uint64_t *grace_ms);

/* The folder of all of them; -1 with errno (ENOENT: there never was one). */
int jobs_open(char *const *env, bool create, struct err *e);
/* Opens the folder of one (host may be NULL when the run is only there once). -1: *rc is
 * RC_NOTFOUND, RC_AMBIGUOUS or RC_SYS; name gets its folder's name. */
int jobs_find(int parent, const char *run, const char *host, char name[JOB_NAME + 1], enum rc *rc,
              struct err *e);
/* What it is now: with sizes of the files while it runs. false: no status can be read and it is
 * being made just now. */
bool job_look(int dir, const char *name, struct job_status *st);
/* This boot's; "" where it cannot be read. */
void job_boot_id(char id[JOB_BOOT_ID]);
/* Tells its keeper to stop. false: nobody reads there any more. */
bool job_tell(int dir, uint64_t grace_ms);
/* Removes its files. 0, or -1 with errno. */
int job_discard(int parent, int dir, const char *name);

#endif
