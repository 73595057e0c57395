/* A past run as the beginning of another one: its options, its command, its reason. For retry and
 * attach. Before the loop starts, main thread only.
 */
#ifndef CONTROLLER_AGAIN_H
#define CONTROLLER_AGAIN_H

#include <jansson.h>

#include "common/err.h"
#include "controller/cli/options.h"
#include "controller/record/record.h"

/* Sets the options of the run that `start`, the first line of its record, tells how to repeat; what
 * this command line says wins. RC_USAGE: a command was typed beside one that is on record, or is
 * not the one whose digest is. RC_CONFIG: the record does not say how to repeat it. */
enum rc again_restore(struct options *o, const struct record_run *run, const json_t *start,
                      struct err *e);
/* What the record of the new run must say of the old one; copies, for the record is let go. */
enum rc again_keep_texts(struct options *o, const struct record_run *run, const json_t *start,
                         struct err *e);

#endif
