/* --match, --ignore and --tally: regular expressions on what hosts printed.
 *
 * Hostile text meets them, so each match has a limit of its own and a line a limit of replacements;
 * where a limit is hit the line counts as not matching, and filter_gave_up counts it. Bytes that
 * are not UTF-8 match nothing but are no error. Loop thread only.
 */
#ifndef CONTROLLER_OUTPUT_FILTER_H
#define CONTROLLER_OUTPUT_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "controller/output/output.h"

struct filter;

/* RC_OK; RC_USAGE names the option and the place in the expression. *out is NULL when opts has no
 * expression at all. */
enum rc filter_new(struct filter **out, const struct output_opts *opts, struct err *e);
void filter_free(struct filter *f);

/* Does --match or --ignore change what is shown? false for NULL. */
bool filter_changes_text(const struct filter *f);

/* One line (without its newline): false when --match hides it; otherwise *out is the line with all
 * that --ignore matches replaced by "…": p itself or memory of the filter, valid until the next
 * call. Without memory for it the line passes as it is. */
bool filter_line(struct filter *f, const uint8_t *p, size_t n, const uint8_t **out, size_t *out_n);

/* The first match of --tally in the text: its first group, or all of it when it has no group. */
bool filter_tally(struct filter *f, const uint8_t *p, size_t n, const uint8_t **value,
                  size_t *value_n);
bool filter_has_tally(const struct filter *f);

/* How often a match was given up because it took too long. */
uint64_t filter_gave_up(const struct filter *f);

#endif
