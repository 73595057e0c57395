/* What the operations on detached jobs share (agent/jobs.c, jobs_attach.c). One thread. */
#ifndef AGENT_JOBS_H
#define AGENT_JOBS_H

#include "agent/job_dir.h"
#include "agent/op.h"

struct job_name {
    int parent;
    char name[JOB_NAME + 1];
};

/* The folder of the job that `run` and, where it is given, `host` name. -1: *rc says why, nothing
 * is open. */
int jobs_named(const struct wire_map *m, struct job_name *n, enum rc *rc, struct err *e);
/* Ends the request for it; RC_OK, or what start is to return. */
enum rc jobs_not_named(struct op *op, enum rc rc, const struct err *e);

/* A REPLY of op_jobs. */
void jobs_put(struct wire_out *w, const struct job_status *st);

#endif
