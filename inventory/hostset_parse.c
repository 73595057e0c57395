/* Reads ClusterShell's notation: operands joined by , ! & ^ from left to right, each a text with
 * bracketed ranges. Groups and wildcards go to the caller's callback. Counts before it expands.
 */
#include "inventory/hostset.h"

#include <string.h>

#include "common/mem.h"
#include "inventory/hostset_int.h"
#include "inventory/hostset_range.h"

enum { MAX_PIECES = 2 * HOSTSET_DIMS };

/* A stretch of plain text, or a range. */
struct piece {
    size_t at, end;
    bool is_range;
    struct hostset_range range;
};

struct operand {
    const char *expr;
    size_t at, end; /* in expr, blanks trimmed */
    struct piece pieces[MAX_PIECES];
    size_t count;
    size_t product; /* names it stands for */
};

static void operand_fini(struct operand *o)
{
    for (size_t i = 0; i < o->count; i++)
        hostset_range_fini(&o->pieces[i].range);
    o->count = 0;
}

static bool is_operator(char c)
{
    return c == ',' || c == '!' || c == '&' || c == '^';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum rc fail(const struct operand *o, size_t at, struct err *e, const char *msg)
{
    return hostset_error(e, RC_PARSE, o->expr, at, msg);
}

static enum rc add_text(struct operand *o, size_t at, size_t end, struct err *e)
{
    for (size_t i = at; i < end; i++) {
        unsigned char c = (unsigned char)o->expr[i];
        if (is_blank((char)c))
            return fail(o, i, e, "a blank inside a host name; ',' was expected between names");
        if (c < 0x20 || c == 0x7f)
            return fail(o, i, e, "a control character inside a host name");
    }
    if (at == end)
        return RC_OK;
    if (o->count == MAX_PIECES)
        return hostset_error(e, RC_LIMIT, o->expr, at, "too many brackets in one name");
    o->pieces[o->count++] = (struct piece){.at = at, .end = end};
    return RC_OK;
}

/* A bracket at `open`, plain text from `from` before it. *next is where plain text goes on. */
static enum rc add_bracket(struct operand *o, size_t from, size_t open, size_t *next, size_t max,
                           struct err *e)
{
    const char *x = o->expr;
    const char *close = memchr(x + open, ']', o->end - open);
    if (close == NULL)
        return fail(o, open, e, "this bracket is not closed");
    size_t shut = (size_t)(close - x), before = open, after = shut + 1;
    while (before > from && is_digit(x[before - 1]))
        before--;
    while (after < o->end && is_digit(x[after]))
        after++;
    if (after < o->end && x[after] == '[')
        return fail(o, after, e, "a bracket cannot follow another one directly");
    enum rc rc = add_text(o, from, before, e);
    if (rc != RC_OK)
        return rc;
    if (o->count == MAX_PIECES)
        return hostset_error(e, RC_LIMIT, x, open, "too many brackets in one name");
    struct piece *p = &o->pieces[o->count];
    *p = (struct piece){.is_range = true};
    rc = hostset_range_parse(&p->range, (struct hostset_text){x, open + 1, shut},
                             (struct hostset_text){x, before, open},
                             (struct hostset_text){x, shut + 1, after}, max, e);
    if (rc != RC_OK)
        return rc;
    o->count++;
    if (p->range.count > max / o->product)
        return hostset_too_many(e, x, open, max);
    o->product *= p->range.count;
    *next = after;
    return RC_OK;
}

/* Where the operand that begins at `at` ends: at an operator outside brackets, or at the end. */
static size_t operand_end(const char *expr, size_t at)
{
    bool inside = false;
    for (; expr[at] != '\0'; at++) {
        if (expr[at] == '[')
            inside = true;
        else if (expr[at] == ']')
            inside = false;
        else if (!inside && is_operator(expr[at]))
            break;
    }
    return at;
}

static enum rc check_size(const struct operand *o, size_t max, struct err *e)
{
    if (o->product > max)
        return hostset_too_many(e, o->expr, o->at, max);
    size_t longest = 0;
    for (size_t i = 0; i < o->count; i++) {
        const struct piece *p = &o->pieces[i];
        longest += p->is_range ? HOSTSET_DIGITS + 1 : p->end - p->at;
    }
    if (longest > HOSTSET_NAME_MAX)
        return hostset_error(e, RC_LIMIT, o->expr, o->at, "a host name of more than 1,024 bytes");
    if (o->product > HOSTSET_BYTES_MAX / (longest + 1))
        return hostset_error(e, RC_LIMIT, o->expr, o->at, "host names of more than 1 GiB together");
    return RC_OK;
}

/* On failure nothing is owned. */
static enum rc operand_parse(struct operand *o, const char *expr, size_t at, size_t end, size_t max,
                             struct err *e)
{
    while (at < end && is_blank(expr[at]))
        at++;
    while (end > at && is_blank(expr[end - 1]))
        end--;
    o->expr = expr;
    o->at = at;
    o->end = end;
    o->count = 0;
    o->product = 1;
    if (at == end)
        return fail(o, at, e, "a host name was expected here");
    enum rc rc = RC_OK;
    size_t from = at;
    for (size_t i = at; rc == RC_OK && i < end;) {
        if (expr[i] == ']')
            rc = fail(o, i, e, "this bracket was not opened");
        else if (expr[i] == '[') {
            rc = add_bracket(o, from, i, &from, max, e);
            i = from;
        } else
            i++;
    }
    if (rc == RC_OK)
        rc = add_text(o, from, end, e);
    if (rc == RC_OK)
        rc = check_size(o, max, e);
    if (rc != RC_OK)
        operand_fini(o);
    return rc;
}

typedef enum rc (*name_fn)(void *user, const char *name, size_t len, struct err *e);

static size_t build_name(const struct operand *o, const size_t *turn, char *dst)
{
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++) {
        const struct piece *p = &o->pieces[i];
        if (p->is_range) {
            n += hostset_idx_text(dst + n, p->range.items[turn[i]]);
            continue;
        }
        memcpy(dst + n, o->expr + p->at, p->end - p->at);
        n += p->end - p->at;
    }
    dst[n] = '\0';
    return n;
}

/* Calls fn for each name, the last range turning fastest. */
static enum rc operand_each(const struct operand *o, name_fn fn, void *user, struct err *e)
{
    size_t turn[MAX_PIECES] = {0};
    char name[HOSTSET_NAME_MAX + HOSTSET_IDX_TEXT];
    for (size_t left = o->product; left > 0; left--) {
        size_t len = build_name(o, turn, name);
        enum rc rc = fn(user, name, len, e);
        if (rc != RC_OK)
            return rc;
        for (size_t i = o->count; i-- > 0;) {
            if (o->pieces[i].is_range && ++turn[i] < o->pieces[i].range.count)
                break;
            turn[i] = 0;
        }
    }
    return RC_OK;
}

/* --- operators ------------------------------------------------------------------------------ */

struct evaluation {
    const char *expr;
    struct hostset *target; /* the caller's */
    hostset_resolve_fn resolve;
    void *user;
    size_t budget;           /* names that may still be made */
    struct hostset *result;  /* so far */
    struct hostset *operand; /* right side of ! & ^, and what a callback gave */
};

static enum rc put_name(void *user, const char *name, size_t len, struct err *e)
{
    return hostset_put(user, name, len, e);
}

static enum rc resolve_name(void *user, const char *name, size_t len, struct err *e)
{
    struct evaluation *v = user;
    (void)len;
    return v->resolve(v->user, name, v->operand, e);
}

static bool needs_resolving(const struct operand *o)
{
    if (o->expr[o->at] == '@')
        return true;
    for (size_t i = 0; i < o->count; i++) {
        const struct piece *p = &o->pieces[i];
        if (!p->is_range && (memchr(o->expr + p->at, '*', p->end - p->at) != NULL ||
                             memchr(o->expr + p->at, '?', p->end - p->at) != NULL))
            return true;
    }
    return false;
}

static enum rc fill_operand(struct evaluation *v, const struct operand *o, struct hostset *into,
                            struct err *e)
{
    if (!needs_resolving(o))
        return operand_each(o, put_name, into, e);
    if (v->resolve == NULL)
        return fail(o, o->at, e, "groups and wildcards need an inventory (-i)");
    struct hostset *keep = v->operand;
    v->operand = into;
    enum rc rc = operand_each(o, resolve_name, v, e);
    v->operand = keep;
    return rc;
}

static enum rc apply(struct hostset *a, char op, const struct hostset *b, struct err *e)
{
    enum rc rc = RC_OK;
    if (op == '&') {
        for (size_t i = 0; i < a->count; i++)
            if (!a->items[i].dead && !hostset_has(b, a->items[i].name))
                hostset_remove(a, a->items[i].name, a->items[i].len);
        return RC_OK;
    }
    for (size_t i = 0; rc == RC_OK && i < b->count; i++) {
        const struct hostset_item *it = &b->items[i];
        bool removed = !it->dead && hostset_remove(a, it->name, it->len);
        if (op == '^' && !removed && !it->dead)
            rc = hostset_put(a, it->name, it->len, e);
    }
    return rc;
}

static enum rc evaluate_one(struct evaluation *v, char op, const struct operand *o, struct err *e)
{
    if (op == ',')
        return fill_operand(v, o, v->result, e);
    struct hostset *b;
    enum rc rc = hostset_new(&b, e);
    if (rc != RC_OK)
        return rc;
    rc = fill_operand(v, o, b, e);
    if (rc == RC_OK)
        rc = apply(v->result, op, b, e);
    hostset_free(b);
    return rc;
}

static bool only_blanks(const char *s)
{
    while (is_blank(*s))
        s++;
    return *s == '\0';
}

/* `o` is working space, too large for the stack. */
static enum rc evaluate(struct evaluation *v, struct operand *o, struct err *e)
{
    char op = ',';
    for (size_t at = 0;;) {
        size_t end = operand_end(v->expr, at);
        bool last = v->expr[end] == '\0';
        enum rc rc = operand_parse(o, v->expr, at, end, HOSTSET_MAX, e);
        if (rc != RC_OK)
            return rc;
        if (o->product > v->budget) {
            operand_fini(o);
            return hostset_too_many(e, v->expr, at, HOSTSET_MAX);
        }
        v->budget -= o->product;
        /* An operand alone has its names in order already: millions of them are held once. */
        if (at == 0 && last && !needs_resolving(o))
            rc = operand_each(o, put_name, v->target, e);
        else
            rc = evaluate_one(v, op, o, e);
        operand_fini(o);
        if (rc != RC_OK || last)
            return rc;
        op = v->expr[end];
        at = end + 1;
    }
}

enum rc hostset_parse(struct hostset *s, const char *expr, hostset_resolve_fn resolve, void *user,
                      struct err *e)
{
    if (only_blanks(expr))
        return RC_OK;
    struct evaluation v = {
        .expr = expr, .target = s, .resolve = resolve, .user = user, .budget = HOSTSET_MAX};
    enum rc rc = hostset_new(&v.result, e);
    if (rc != RC_OK)
        return rc;
    struct operand *o = mem_alloc(sizeof *o);
    rc = o != NULL ? evaluate(&v, o, e) : err_nomem(e);
    if (rc == RC_OK)
        rc = hostset_order(v.result, s, e);
    mem_free(o);
    hostset_free(v.result);
    return rc;
}

enum rc hostset_expand(const char *pattern, size_t max, struct hostset *out, struct err *e)
{
    struct operand *o = mem_alloc(sizeof *o);
    if (o == NULL)
        return err_nomem(e);
    size_t end = operand_end(pattern, 0);
    enum rc rc;
    if (pattern[end] != '\0')
        rc = hostset_error(e, RC_PARSE, pattern, end, "one name was expected, without operators");
    else
        rc = operand_parse(o, pattern, 0, end, max, e);
    if (rc == RC_OK) {
        rc = operand_each(o, put_name, out, e);
        operand_fini(o);
    }
    mem_free(o);
    return rc;
}

/* "[n]" alone and "[a:b]" are subscripts; digits with a '-' between them or a ',' are names. */
static bool content_is_range(const char *s, const char *end)
{
    bool several = false;
    if (s == end || !is_digit(*s))
        return false;
    for (; s < end; s++) {
        if (*s == '-' || *s == ',')
            several = true;
        else if (!is_digit(*s) && *s != '/' && !is_blank(*s))
            return false;
    }
    return several;
}

bool hostset_is_range(const char *text)
{
    for (const char *open = strchr(text, '['); open != NULL; open = strchr(open + 1, '[')) {
        const char *close = open + 1 + strcspn(open + 1, "[]");
        if (*close == ']' && content_is_range(open + 1, close))
            return true;
    }
    return false;
}
