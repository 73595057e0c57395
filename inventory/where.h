/* --where EXPR: choose hosts by their variables. See muster-inventory(5) for the grammar:
 *   or-expr   := and-expr ("or" and-expr)*
 *   and-expr  := unary ("and" unary)*
 *   unary     := "not" unary | "(" or-expr ")" | test
 *   test      := operand [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in" | "=~" | "!~")
 * operand] operand   := name("."name)* | "string" | 'string' | number | true | false | null |
 * [list] Names are variables of the host, with "." for members of a map, plus two that win over
 * variables: `name` (the inventory's name of the host) and `groups` (its groups and theirs, without
 * "all"). A number may be a size, 4G (powers of 1024). "in" looks into lists, strings (a part of
 * it) and maps (a key of it). Regular expressions are PCRE2 with match limits, found anywhere in
 * the text.
 *
 * A variable that is not set is null. Null equals null only, is neither less nor greater than
 * anything, is in nothing, holds nothing and matches nothing; so `port > 80` is false, not an
 * error, for hosts without a port. Otherwise, comparing values of different kinds is an error with
 * the place of the value, except for == (false) and != (true). A test without an operator must be a
 * boolean, in any of Ansible's spellings, or null (false). Single thread.
 */
#ifndef INVENTORY_WHERE_H
#define INVENTORY_WHERE_H

#include <stdbool.h>

#include "common/err.h"
#include "inventory/inventory.h"

struct where;

enum { WHERE_MAX_TEXT = 65536, WHERE_MAX_DEPTH = 64 };

/* RC_PARSE with the column, RC_LIMIT, RC_NOMEM. */
enum rc where_compile(const char *text, struct where **out, struct err *e);
/* The same for another option that takes this grammar: messages name it ("--filter", borrowed). */
enum rc where_compile_for(const char *option, const char *text, struct where **out, struct err *e);
void where_free(struct where *w); /* NULL is fine */

/* Is there a bare word where text is meant (right of a comparison, left of "in") that is a variable
 * of no host at all? `dc == fra` would be true for all hosts without a dc. RC_OK; RC_PARSE with the
 * word. */
enum rc where_check_words(const struct where *w, const struct inventory *inv, struct err *e);

/* RC_OK with *out; RC_PARSE for values that do not compare, RC_OPAQUE for one that we cannot
 * evaluate, RC_LIMIT for a regular expression that costs too much: each names the host and the
 * value's place. */
enum rc where_test(const struct where *w, const struct inventory *inv, const struct inv_host *h,
                   bool *out, struct err *e);

/* Names that are more than variables. Asked first, for every name but `name` and `groups`. */
struct where_resolver {
    /* path: the name cut at its dots, NULL at the end. RC_OK with *out (into `space`, or what lives
     * until where_test_with returns); RC_NOTFOUND: no name of ours, a variable then. */
    enum rc (*value)(void *user, const char *const *path, struct value *space,
                     const struct value **out, struct err *e);
    void *user;
};
/* inv may be NULL when the resolver knows every name. */
enum rc where_test_with(const struct where *w, const struct inventory *inv,
                        const struct inv_host *h, const struct where_resolver *r, bool *out,
                        struct err *e);
/* Tries each test of the expression, whatever the others say, with values like those that r gives
 * for every name: RC_OK where all of them compare; errors as above, without a host. */
enum rc where_check_with(const struct where *w, const struct where_resolver *r, struct err *e);
/* Calls fn with each name of the expression that is neither `name` nor `groups`, in no order, until
 * it fails; returns what it returned. */
enum rc where_each_name(const struct where *w,
                        enum rc (*fn)(void *user, const char *const *path, struct err *e),
                        void *user, struct err *e);

#endif
