/* See hostset_range.h. */
#include "inventory/hostset_range.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "inventory/hostset_int.h"

enum rc hostset_error(struct err *e, enum rc rc, const char *expr, size_t at, const char *msg)
{
    char shown[96];
    size_t len = strlen(expr);
    size_t from = at > 40 ? at - 40 : 0;
    str_escape_to(shown, sizeof shown, expr + from, len - from < 60 ? len - from : 60, 0);
    return err_set(e, rc, "host set '%s%s%s' column %zu: %s", from > 0 ? "..." : "", shown,
                   len - from > 60 ? "..." : "", at + 1, msg);
}

enum rc hostset_too_many(struct err *e, const char *expr, size_t at, size_t max)
{
    char msg[64], count[NUM_TEXT];
    snprintf(msg, sizeof msg, "more than %s host names", num_count_text(count, max));
    return hostset_error(e, RC_LIMIT, expr, at, msg);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct hostset_text trim(struct hostset_text t)
{
    while (t.at < t.end && is_blank(t.expr[t.at]))
        t.at++;
    while (t.end > t.at && is_blank(t.expr[t.end - 1]))
        t.end--;
    return t;
}

/* One bound: an optional sign, digits, and the digits that touch the bracket behind it. */
struct bound {
    char digits[HOSTSET_DIGITS + 1];
    size_t len;
    bool negative;
    uint64_t value;
};

static enum rc fail(const struct hostset_text *t, struct err *e, const char *msg)
{
    return hostset_error(e, RC_PARSE, t->expr, t->at, msg);
}

static enum rc bound_parse(struct bound *b, struct hostset_text *t, struct hostset_text after,
                           struct err *e)
{
    *b = (struct bound){0};
    while (t->at < t->end && is_blank(t->expr[t->at]))
        t->at++;
    if (t->at < t->end && t->expr[t->at] == '-') {
        b->negative = true;
        t->at++;
    }
    size_t n = 0, extra = after.end - after.at;
    while (t->at + n < t->end && is_digit(t->expr[t->at + n]))
        n++;
    if (n == 0)
        return fail(t, e, "a number was expected, as in [1-5]");
    if (n + extra > HOSTSET_DIGITS)
        return hostset_error(e, RC_LIMIT, t->expr, t->at, "a range takes at most 17 digits");
    memcpy(b->digits, t->expr + t->at, n);
    memcpy(b->digits + n, after.expr + after.at, extra);
    b->len = n + extra;
    b->value = hostset_idx_value(hostset_idx_read(b->digits, b->len));
    if (b->value == 0)
        b->negative = false;
    t->at += n;
    while (t->at < t->end && is_blank(t->expr[t->at]))
        t->at++;
    return RC_OK;
}

struct sub {
    int64_t start, stop;
    uint64_t step;
    unsigned pad;
};

static int64_t bound_signed(const struct bound *b)
{
    return b->negative ? -(int64_t)b->value : (int64_t)b->value;
}

static enum rc sub_step(struct sub *s, struct hostset_text *t, bool is_range,
                        struct hostset_text after, struct err *e)
{
    s->step = is_range ? hostset_pow10((unsigned)(after.end - after.at)) : 1;
    if (t->at == t->end)
        return RC_OK;
    if (t->expr[t->at] != '/')
        return fail(t, e, "a number, '-' or ',' was expected");
    if (after.end > after.at)
        return fail(t, e, "a range with a step cannot touch digits behind its bracket");
    t->at++;
    struct bound b;
    enum rc rc = bound_parse(&b, t, (struct hostset_text){.expr = t->expr}, e);
    if (rc != RC_OK)
        return rc;
    if (b.negative || b.value == 0)
        return fail(t, e, "a step is 1 or more");
    if (!is_range && b.value != 1)
        return fail(t, e, "a step needs a range, as in [1-9/2]");
    if (t->at != t->end)
        return fail(t, e, "nothing may follow a step but ','");
    s->step = b.value;
    return RC_OK;
}

/* Python's rule: a leading zero makes padding, a bare zero does not. */
static enum rc sub_padding(struct sub *s, const struct bound *b, const struct bound *end,
                           const struct hostset_text *t, struct err *e)
{
    bool padded = b->len > 1 && b->digits[0] == '0';
    bool end_padded = end->value != 0 && end->digits[0] == '0';
    s->pad = padded ? (unsigned)b->len : 0;
    if ((padded || end_padded) && b->len != end->len)
        return fail(t, e, "padding differs: both ends need the same number of digits");
    if (padded && b->negative)
        return fail(t, e, "a negative number cannot be padded with zeros");
    return RC_OK;
}

static enum rc sub_parse(struct sub *s, struct hostset_text t, bool touching,
                         struct hostset_text after, struct err *e)
{
    struct hostset_text whole = t = trim(t);
    if (t.at == t.end)
        return fail(&t, e, "an empty range; [1-5] or [1,3] was expected");
    struct bound b, end;
    enum rc rc = bound_parse(&b, &t, after, e);
    if (rc != RC_OK)
        return rc;
    bool is_range = t.at < t.end && t.expr[t.at] == '-';
    end = b;
    if (is_range) {
        t.at++;
        rc = bound_parse(&end, &t, after, e);
    }
    if (rc == RC_OK)
        rc = sub_step(s, &t, is_range, after, e);
    if (rc == RC_OK)
        rc = sub_padding(s, &b, &end, &whole, e);
    if (rc != RC_OK)
        return rc;
    s->start = bound_signed(&b);
    s->stop = bound_signed(&end);
    if (s->start > s->stop)
        return fail(&whole, e, "a range goes from the smaller number to the larger");
    if (touching && (b.negative || end.negative))
        return fail(&whole, e, "a negative number cannot touch digits outside its bracket");
    return RC_OK;
}

static unsigned digits_of(uint64_t v)
{
    unsigned n = 1;
    while (v >= 10) {
        v /= 10;
        n++;
    }
    return n;
}

static uint64_t idx_of(int64_t v, unsigned pad)
{
    if (v < 0)
        return hostset_idx_negative((uint64_t)-v);
    unsigned len = digits_of((uint64_t)v);
    return hostset_idx(len > pad ? len : pad, (uint64_t)v);
}

static enum rc add_sub(struct hostset_range *r, const struct sub *s, const char *expr, size_t at,
                       size_t max, struct err *e)
{
    uint64_t n = (uint64_t)(s->stop - s->start) / s->step + 1;
    if (n > max || r->count > max - n)
        return hostset_too_many(e, expr, at, max);
    if (mem_grow(&r->items, &r->cap, r->count + (size_t)n, sizeof *r->items) != 0)
        return err_nomem(e);
    for (uint64_t i = 0; i < n; i++)
        r->items[r->count++] = idx_of(s->start + (int64_t)(i * s->step), s->pad);
    return RC_OK;
}

static void sort_unique(struct hostset_range *r)
{
    bool sorted = true;
    for (size_t i = 1; i < r->count && sorted; i++)
        sorted = r->items[i - 1] < r->items[i];
    if (sorted)
        return;
    qsort(r->items, r->count, sizeof *r->items, hostset_idx_compare);
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        if (n == 0 || r->items[n - 1] != r->items[i])
            r->items[n++] = r->items[i];
    r->count = n;
}

/* ClusterShell puts the digits before each end of a run, so that a run across a power of ten grows
 * ("n1[8-12]" names 95 hosts). Nobody means that; other tools mean five hosts. Not guessed. */
static enum rc refuse_crossing(const struct hostset_range *r, struct hostset_text before,
                               struct err *e)
{
    for (size_t i = 1; i < r->count; i++) {
        uint64_t a = r->items[i - 1], b = r->items[i];
        if (hostset_idx_value(a) + 1 != hostset_idx_value(b) ||
            hostset_idx_len(a) == hostset_idx_len(b))
            continue;
        return hostset_error(e, RC_AMBIGUOUS, before.expr, before.at,
                             "ambiguous: the range crosses a power of ten and touches digits; "
                             "write [18-112], or [18-19,110-112], with the digits inside");
    }
    return RC_OK;
}

static enum rc put_before(struct hostset_range *r, struct hostset_text before, struct err *e)
{
    size_t n = before.end - before.at;
    if (n == 0)
        return RC_OK;
    if (n > HOSTSET_DIGITS)
        return hostset_error(e, RC_LIMIT, before.expr, before.at,
                             "a range takes at most 17 digits");
    enum rc rc = refuse_crossing(r, before, e);
    uint64_t prefix = hostset_idx_value(hostset_idx_read(before.expr + before.at, n));
    for (size_t i = 0; rc == RC_OK && i < r->count; i++) {
        unsigned len = hostset_idx_len(r->items[i]);
        uint64_t value = hostset_idx_value(r->items[i]);
        if (len + n > HOSTSET_DIGITS)
            return hostset_error(e, RC_LIMIT, before.expr, before.at,
                                 "a range takes at most 17 digits");
        r->items[i] = hostset_idx(len + (unsigned)n, prefix * hostset_pow10(len) + value);
    }
    return rc;
}

enum rc hostset_range_parse(struct hostset_range *r, struct hostset_text content,
                            struct hostset_text before, struct hostset_text after, size_t max,
                            struct err *e)
{
    *r = (struct hostset_range){0};
    bool touching = before.end > before.at || after.end > after.at;
    enum rc rc = RC_OK;
    for (size_t at = content.at; rc == RC_OK && at <= content.end;) {
        const char *comma = memchr(content.expr + at, ',', content.end - at);
        size_t end = comma != NULL ? (size_t)(comma - content.expr) : content.end;
        struct hostset_text t = {.expr = content.expr, .at = at, .end = end};
        struct sub s = {.step = 1};
        rc = sub_parse(&s, t, touching, after, e);
        if (rc == RC_OK)
            rc = add_sub(r, &s, content.expr, at, max, e);
        at = end + 1;
    }
    if (rc == RC_OK) {
        sort_unique(r);
        rc = put_before(r, before, e);
    }
    if (rc != RC_OK)
        hostset_range_fini(r);
    return rc;
}

void hostset_range_fini(struct hostset_range *r)
{
    mem_free(r->items);
    *r = (struct hostset_range){0};
}
