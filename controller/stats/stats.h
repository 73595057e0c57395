/* What `muster stats` makes of samples: bytes of a sample of host number i come in, tables,
 * documents and expositions go out. Knows nothing of sessions, agents and loops: it is told what
 * came, who ended, and what time it is.
 *
 * One struct for a run. Order: stats_new, stats_open, then stats_take, stats_host_ended and
 * stats_tick in any order, stats_report once, stats_free. Loop thread only.
 *
 * Memory: the last sample of each host, as far as the view wants it, and nothing that grows with
 * the number of samples.
 */
#ifndef CONTROLLER_STATS_STATS_H
#define CONTROLLER_STATS_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "controller/outcome/outcome.h"
#include "controller/output/output.h"
#include "controller/stats/view.h"
#include "inventory/inventory.h"

struct stats;

struct stats_about { /* borrowed until stats_free */
    const struct view *view;
    const struct inventory *inventory;
    struct inv_host *const *hosts; /* by target number */
    uint32_t count;
    enum output_mode mode;
    bool quiet; /* no footer */
    bool color_out;
    uint64_t patience_ms; /* the first round waits so long for hosts that have not answered yet */
};

/* RC_OK; RC_USAGE for names that no host has (view_check_names) and a --by that is nothing. */
enum rc stats_new(struct stats **out, const struct stats_about *about, struct err *e);
void stats_free(struct stats *s); /* NULL is fine */

/* results: tables and documents; info: footers, where results is no terminal. Borrowed until
 * stats_free. RC_OK, RC_NOMEM. */
enum rc stats_open(struct stats *s, const struct sink *results, const struct sink *info,
                   uint64_t now_ms, struct err *e);

/* Whether no agent answers but plain sh, which brings less: because of this problem, or
 * PROBLEM_NONE where that is what was asked for. It is told with the figures. */
void stats_plain(struct stats *s, uint32_t target, bool plain, enum problem problem,
                 const char *detail);

/* One REPLY's map, as remote_ops.reply has it. RC_OK; RC_PROTO: the host breaks the rules of
 * samples, sent more than it was asked for, or its clock went back; e->msg is for its outcome.
 * RC_NOMEM. What came before stays. */
enum rc stats_take(struct stats *s, uint32_t target, const void *sample, size_t n, uint64_t now_ms,
                   struct err *e);

/* The host sends nothing more: its END came, or it failed. Once for each. */
void stats_host_ended(struct stats *s, uint32_t target, const struct outcome *o);

/* Shows the round whose time has come. Returns when to be called next, UINT64_MAX: not by time. To
 * be called after stats_open too, and after each stats_take and stats_host_ended. */
uint64_t stats_tick(struct stats *s, uint64_t now_ms);

/* All rounds that were asked for are shown: nobody has to go on. */
bool stats_done(const struct stats *s);

/* The end: what waits for it, and the last words. */
void stats_report(struct stats *s, uint64_t now_ms);

/* Hosts with figures: at least one sample, and two where rates were asked for. */
uint32_t stats_answered(const struct stats *s);
bool stats_has_answered(const struct stats *s, uint32_t target);
/* Bytes held for all hosts, for tests of the bound. */
size_t stats_memory(const struct stats *s);

#endif
