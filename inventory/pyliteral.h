/* Python literals, as ast.literal_eval takes them: what Ansible makes of "key=value" in INI files.
 * Pure; any thread with its own arena.
 */
#ifndef INVENTORY_PYLITERAL_H
#define INVENTORY_PYLITERAL_H

#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"
#include "inventory/value.h"

/* The value of `text`: a number, a string in quotes, True, False, None, a list, tuple (a list too)
 * or dict of those - or, where it is no literal, the text as it is. NULL when there is no memory.
 * Sets, complex numbers and \N{…} are taken as text. */
const struct value *pyliteral_parse(struct arena *arena, const char *text, size_t len,
                                    const struct value_place *place);

#endif
