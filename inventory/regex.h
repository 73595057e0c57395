/* Regular expressions that people type (~REGEX patterns, =~ in --where): PCRE2 with limits on what
 * a match may cost, because they meet names and values from outside. Single thread.
 */
#ifndef INVENTORY_REGEX_H
#define INVENTORY_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct regex;

/* `anchored`: a match must begin where the text begins (Python's re.match). RC_PARSE with the place
 * in the expression and what is wrong there. */
enum rc regex_new(struct regex **out, const char *pattern, bool anchored, struct err *e);
void regex_free(struct regex *re); /* NULL is fine */

/* RC_OK with *out; RC_LIMIT when the match would cost too much; RC_NOMEM. */
enum rc regex_match(const struct regex *re, const char *text, size_t len, bool *out, struct err *e);

#endif
