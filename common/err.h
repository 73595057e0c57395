/* Errors as values: a code, the system's errno where there was one, and a message that is
 * wrapped on its way up ("inventory hosts.yml:3:5: duplicate key 'web'").
 *
 * Does not print and does not exit: the verb (cmd_*.c) shows an error once. Safe from any
 * thread; a struct err belongs to one caller at a time. No allocation.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdnoreturn.h>

/* code, problem name (stable, kebab-case) */
#define RC_TABLE(X)                                                                                \
    X(RC_OK, "ok")                                                                                 \
    X(RC_NOMEM, "out-of-memory")                                                                   \
    X(RC_USAGE, "usage")   /* the command line is wrong */                                         \
    X(RC_CONFIG, "config") /* a file of ours or an inventory is wrong */                           \
    X(RC_PARSE, "parse")   /* text that does not follow its grammar */                             \
    X(RC_LIMIT, "limit")   /* a cap was reached */                                                 \
    X(RC_NOTFOUND, "not-found")                                                                    \
    X(RC_EXISTS, "exists")                                                                         \
    X(RC_AMBIGUOUS, "ambiguous") /* two readings; the message gives both */                        \
    X(RC_OPAQUE, "opaque")       /* a value we cannot evaluate (Jinja, vault) was needed */        \
    X(RC_SYS, "system")          /* a system call failed; err.sys is errno */                      \
    X(RC_PROTO, "protocol")      /* a peer sent what the protocol does not allow */                \
    X(RC_CRYPTO, "crypto")                                                                         \
    X(RC_CANCELLED, "cancelled")                                                                   \
    X(RC_INTERNAL, "internal")

enum rc {
#define RC_ENUM(code, name) code,
    RC_TABLE(RC_ENUM)
#undef RC_ENUM
        RC_COUNT
};

struct err {
    enum rc rc;    /* RC_OK when nothing was set */
    int sys;       /* errno, or 0 */
    char msg[768]; /* for people; no trailing newline; cut, never overrun */
};

/* The stable name of a code, such as "not-found". Never NULL. */
const char *rc_name(enum rc rc);

/* Sets *e (may be NULL) and returns rc, so that `return err_set(e, RC_PARSE, …)` works. */
enum rc err_set(struct err *e, enum rc rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set with RC_SYS; stores sys and appends ": " and the system's text for it. */
enum rc err_sys(struct err *e, int sys, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* RC_NOMEM with its fixed message. */
enum rc err_nomem(struct err *e);

/* Prefixes the message: "PREFIX: old". Returns e->rc (RC_INTERNAL when e is NULL). */
enum rc err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A broken invariant: prints place and expression, aborts. On in release builds too. */
#define must(x) ((x) ? (void)0 : must_failed(#x, __FILE__, __LINE__))
noreturn void must_failed(const char *expr, const char *file, int line);

#endif
