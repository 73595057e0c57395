/* Tells clang's analyzer, which sees one file at a time, what the functions of other files promise:
 * an error is never RC_OK, and memory that was made to grow is there. Included by tidy.sh only,
 * before each file but those that define these functions. */
#include <stddef.h>

#include "common/err.h"
#include "common/mem.h"

#define err_set(e, code, ...) (err_set((e), (code), __VA_ARGS__), (code))
#define err_sys(e, sys, ...)  (err_sys((e), (sys), __VA_ARGS__), RC_SYS)
#define err_nomem(e)          (err_nomem(e), RC_NOMEM)
#define mem_grow(items, cap, n, size)                                                              \
    (mem_grow((items), (cap), (n), (size)) != 0 || *(items) == NULL ? -1 : 0)
