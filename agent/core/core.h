/* The host's figures, psutil's: reads /proc and /sys below a prefix and writes sections of a sample
 * (proto/PROTOCOL.md). The agent runs it on the real host, the simulator in its own process for
 * thousands of hosts, tests on fixture trees.
 *
 * Knows nothing of frames and requests: raw counters leave, percentages and rates are the
 * controller's. No global state: all of it is in struct core, but for what a request keeps between
 * its samples (core_past). One thread at a time.
 * What may block (statvfs of a dead mount) runs in a child process with a bound; the simulator
 * turns that off.
 */
#ifndef AGENT_CORE_CORE_H
#define AGENT_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "proto/wire.h"

struct core;

struct core_spec {
    const char *root; /* in front of /proc, /sys, /etc, /run: "" for the real host */
    bool may_fork;    /* false: what would need a child is asked directly (fixtures) */
    uint32_t hz;      /* 0: the system's */
    uint32_t page;    /* likewise */
};

/* Opens nothing yet. RC_OK, RC_NOMEM. The strings are copied. */
enum rc core_new(struct core **out, const struct core_spec *spec, struct err *e);
void core_free(struct core *c); /* NULL is fine */

/* What processes had used when the sample before was taken: with it those lead a later sample that
 * used most since, and not since they were started. NULL when there is no memory. */
struct core_past;
struct core_past *core_past_new(void);
void core_past_free(struct core_past *p); /* NULL is fine */

/* What of some sections is wanted; the others come whole. */
enum { CORE_WANT_MOST = 192, CORE_WANT_NAME = 40 };
struct core_want {
    uint64_t sections; /* bit per section of which only what is named is wanted */
    uint32_t count;
    struct {
        uint8_t section;
        char name[CORE_WANT_NAME]; /* a member of its data, or "table.column" */
    } names[CORE_WANT_MOST];
};
/* Of that section; nothing of it yet. Then name by name. RC_OK; RC_LIMIT: too long, too many. */
void core_want_section(struct core_want *w, unsigned section);
enum rc core_want_add(struct core_want *w, unsigned section, const char *name, size_t len);

enum core_by { CORE_BY_RSS, CORE_BY_CPU, CORE_BY_IO };

struct core_request {
    uint64_t sections; /* bit per section number, see core_section_find */
    uint32_t top;      /* rows of processes, 0 none */
    enum core_by by;
    struct core_past *past;       /* for by cpu and io; NULL: by totals */
    const struct core_want *want; /* NULL: all of the sections; borrowed */
    bool detail;                  /* raw meminfo and vmstat too */
    uint64_t section_ms;          /* bound on each section */
};

/* The number of a section by its name; -1 when there is none. Names in order, for messages and
 * lists: NULL past the last. */
int core_section_find(const char *name, size_t len);
const char *core_section_name(unsigned number);

/* Appends one sample, a whole msgpack map without a frame, to `out`. `seq` and `skipped` go into it
 * as they are. A section that fails says so in its status; RC_NOMEM and RC_LIMIT (out's cap) alone
 * fail the sample, and leave out as it was. */
enum rc core_sample(struct core *c, const struct core_request *r, uint64_t seq, uint64_t skipped,
                    struct buf *out);

#endif
