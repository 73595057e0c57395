/* The line at the bottom of the terminal while a run goes on: counts, ETA, stragglers by name.
 * Drawn on stderr through a sink; erased before anything else is written. Loop thread only. */
#ifndef CONTROLLER_OUTPUT_PROGRESS_H
#define CONTROLLER_OUTPUT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/output/output.h"

struct progress_view {
    uint32_t total, done, running, waiting, failed;
    uint64_t elapsed_ms;
    const char *const *stragglers; /* names of those that run longest, longest first */
    const char *const *straggler_phases;
    const uint64_t *straggler_ms;
    uint32_t straggler_count; /* at most 8 */
    bool paused;
};

struct progress;

enum rc progress_new(struct progress **out, const struct sink *err_sink, struct err *e);
void progress_free(struct progress *p);
void progress_draw(struct progress *p, const struct progress_view *v); /* redraws in place */
void progress_erase(struct progress *p); /* before other text; the next draw puts it back */
/* Enter was pressed: one block that names who is still being waited for. */
void progress_report(struct progress *p, const struct progress_view *v);

#endif
