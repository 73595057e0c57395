/* --where EXPR: choose hosts by their variables. See muster-inventory(5) for the grammar:
 *   or-expr   := and-expr ("or" and-expr)*
 *   and-expr  := unary ("and" unary)*
 *   unary     := "not" unary | "(" or-expr ")" | test
 *   test      := operand [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in" | "=~" | "!~") operand]
 *   operand   := name("."name)* | "string" | 'string' | number | true | false | null | [list]
 * Names are variables of the host, plus name, groups. Regular expressions are PCRE2 with match
 * limits. Comparing values of different kinds is an error with the place of the value, except
 * equality (false). A variable that is not set is null.
 */
#ifndef INVENTORY_WHERE_H
#define INVENTORY_WHERE_H

#include <stdbool.h>

#include "common/err.h"
#include "inventory/inventory.h"

struct where;

enum rc where_compile(const char *text, struct where **out, struct err *e); /* errors give column */
void where_free(struct where *w);
enum rc where_test(const struct where *w, const struct inventory *inv, const struct inv_host *h,
                   bool *out, struct err *e);

#endif
