/* A past run fed to the renderer of live ones: each host's recorded result becomes its output and
 * its outcome again. Blocking; no loop.
 */
#ifndef CONTROLLER_RECORD_RENDER_H
#define CONTROLLER_RECORD_RENDER_H

#include "controller/output/output.h"
#include "controller/record/record.h"

/* Feeds every host of `run` to `o` (whose targets are the run's, in order). Hosts without a result
 * get the outcome that the record allows, but while the run is alive they are left out. */
enum rc render_feed(const struct record_run *run, struct output *o, struct err *e);

/* "2026-01-31T09:05:00.123Z" as microseconds since 1970; 0 when it is no such text. */
int64_t render_time(const char *rfc3339);

#endif
