/* The hosts of one term of a pattern.
 *
 * Ansible's rules (inventory/manager.py): a term names groups first, with the hosts of their
 * children; hosts are looked at too when no group matched or the term has one of . ? * [ in it.
 * Ours on top: [a-b] and [a,b] always stand for host names, @ names a group and nothing else, and a
 * term that can be read in two ways with different hosts is refused with both readings.
 */
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "inventory/hostset.h"
#include "inventory/pattern_int.h"
#include "inventory/regex.h"

enum {
    MAX_TRIES = 20000000, /* masks times names that one wildcard with ranges may try */
    MAX_SPARE = 100000,   /* names that a range may have more than the inventory has hosts */
};

enum rc pattern_hits_add(struct pattern_hits *h, struct inv_host *host, struct err *e)
{
    if (mem_grow(&h->items, &h->cap, h->count + 1, sizeof(struct inv_host *)) != 0)
        return err_nomem(e);
    h->items[h->count++] = host;
    return RC_OK;
}

static enum rc add_group(struct inventory *inv, struct inv_group *g, struct pattern_hits *h,
                         struct err *e)
{
    struct inv_host *const *hosts;
    size_t count;
    enum rc rc = inventory_group_hosts(inv, g, &hosts, &count, e);
    if (rc != RC_OK || count == 0)
        return rc;
    if (mem_grow(&h->items, &h->cap, h->count + count, sizeof(struct inv_host *)) != 0)
        return err_nomem(e);
    memcpy(h->items + h->count, hosts, count * sizeof(struct inv_host *));
    h->count += count;
    return RC_OK;
}

static bool same_hits(const struct pattern_hits *a, const struct pattern_hits *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0);
}

static const char *shown(char dst[static PATTERN_SHOWN], const char *text)
{
    return str_escape_to(dst, PATTERN_SHOWN, text, strlen(text), 0);
}

/* --- nothing matches ------------------------------------------------------------------------ */

struct nearest {
    const char *name;
    unsigned distance;
};

static void consider(struct nearest *n, const char *name, const char *text)
{
    unsigned d = str_distance(name, text);
    if (d < n->distance) {
        n->distance = d;
        n->name = name;
    }
}

/* A name within about a third of the letters, groups before hosts. */
static const char *suggest(const struct inventory *inv, const char *text, bool hosts)
{
    size_t len = strlen(text);
    struct nearest n = {.distance = (unsigned)(len < 64 ? len / 3 : 0) + 1};
    if (n.distance < 3 && len > 2)
        n.distance = 3;
    for (size_t i = 0; i < inventory_group_count(inv); i++)
        consider(&n, inventory_group_at(inv, i)->name, text);
    for (size_t i = 0; hosts && i < inventory_host_count(inv) && n.distance > 1; i++)
        consider(&n, inventory_host_at(inv, i)->name, text);
    return n.name;
}

static enum rc nothing(const struct inventory *inv, const char *term, bool hosts, struct err *e)
{
    char t[PATTERN_SHOWN], s[PATTERN_SHOWN];
    const char *at = term[0] == '@' ? "@" : "";
    const char *near = suggest(inv, term + (at[0] != '\0'), hosts);
    if (near != NULL)
        return err_set(e, RC_NOTFOUND, "%s matches nothing; %s%s?", shown(t, term), at,
                       shown(s, near));
    return err_set(e, RC_NOTFOUND, "%s matches nothing: no %s of that name in the inventory",
                   shown(t, term), hosts ? "host or group" : "group");
}

/* --- wildcards and regular expressions -------------------------------------------------------- */

/* What names are tried against: a regular expression, or masks of which any may match. */
struct matcher {
    const struct regex *regex;
    const struct hostset *masks;
    const char *mask; /* one mask, when there are no masks */
};

static enum rc matches(const struct matcher *m, const char *name, bool *out, struct err *e)
{
    if (m->regex != NULL)
        return regex_match(m->regex, name, strlen(name), out, e);
    if (m->masks == NULL) {
        *out = str_fnmatch(m->mask, name);
        return RC_OK;
    }
    *out = false;
    for (size_t i = 0; !*out && i < hostset_count(m->masks); i++)
        *out = str_fnmatch(hostset_at(m->masks, i), name);
    return RC_OK;
}

/* Groups first, then hosts; *found also when all groups matched are empty. */
static enum rc match_names(struct inventory *inv, const struct matcher *m, struct pattern_hits *h,
                           bool *found, struct err *e)
{
    *found = false;
    for (size_t i = 0; i < inventory_group_count(inv); i++) {
        struct inv_group *g = inventory_group_at(inv, i);
        bool yes;
        enum rc rc = matches(m, g->name, &yes, e);
        if (rc == RC_OK && yes)
            rc = add_group(inv, g, h, e);
        if (rc != RC_OK)
            return rc;
        *found = *found || yes;
    }
    for (size_t i = 0; i < inventory_host_count(inv); i++) {
        struct inv_host *host = inventory_host_at(inv, i);
        bool yes;
        enum rc rc = matches(m, host->name, &yes, e);
        if (rc == RC_OK && yes)
            rc = pattern_hits_add(h, host, e);
        if (rc != RC_OK)
            return rc;
        *found = *found || yes;
    }
    return RC_OK;
}

static enum rc match_regex(struct inventory *inv, const char *term, struct pattern_hits *h,
                           struct err *e)
{
    struct regex *re = NULL;
    char t[PATTERN_SHOWN];
    bool found = false;
    if (term[1] == '\0')
        return err_set(e, RC_PARSE, "'~' needs a regular expression behind it");
    enum rc rc = regex_new(&re, term + 1, true, e);
    if (rc == RC_OK)
        rc = match_names(inv, &(struct matcher){.regex = re}, h, &found, e);
    regex_free(re);
    if (rc == RC_OK && !found)
        return err_set(e, RC_NOTFOUND,
                       "%s matches nothing; it must match from the beginning of a name",
                       shown(t, term));
    return rc;
}

static enum rc match_glob(struct inventory *inv, const char *term, struct pattern_hits *h,
                          bool *found, struct err *e)
{
    return match_names(inv, &(struct matcher){.mask = term}, h, found, e);
}

/* "www*[1-20]": ranges and wildcards together, as ClusterShell reads them. */
static enum rc match_masks(struct inventory *inv, const char *term, struct pattern_hits *h,
                           bool *found, struct err *e)
{
    struct hostset *masks;
    enum rc rc = hostset_new(&masks, e);
    if (rc != RC_OK)
        return rc;
    size_t names = inventory_host_count(inv) + inventory_group_count(inv);
    rc = hostset_expand(term, MAX_TRIES / (names + 1) + 1, masks, e);
    if (rc == RC_OK)
        rc = match_names(inv, &(struct matcher){.masks = masks}, h, found, e);
    hostset_free(masks);
    return rc;
}

/* --- exact names and ranges of them ----------------------------------------------------------- */

/* A host and a group of one name: fine when both mean the same hosts. */
static enum rc match_both(struct inventory *inv, struct inv_host *host, struct inv_group *g,
                          struct pattern_hits *h, struct err *e)
{
    char t[PATTERN_SHOWN];
    size_t before = h->count;
    enum rc rc = add_group(inv, g, h, e);
    if (rc != RC_OK || (h->count == before + 1 && h->items[before] == host))
        return rc;
    shown(t, host->name);
    return err_set(e, RC_AMBIGUOUS,
                   "ambiguous: host %s or @%s; write @%s for the group, -w %s for the host", t, t,
                   t, t);
}

static enum rc match_exact(struct inventory *inv, const char *term, struct pattern_hits *h,
                           bool *found, struct err *e)
{
    struct inv_group *g = inventory_group_find(inv, term);
    struct inv_host *host = inventory_host_find(inv, term);
    *found = g != NULL || host != NULL;
    if (g != NULL && host != NULL)
        return match_both(inv, host, g, h, e);
    if (g != NULL)
        return add_group(inv, g, h, e);
    return host != NULL ? pattern_hits_add(h, host, e) : RC_OK;
}

/* Every name of a range must exist: it is short for the list of them. */
static enum rc find_all(struct inventory *inv, const struct hostset *names, struct pattern_hits *h,
                        struct hostset *missing, struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < hostset_count(names); i++) {
        struct inv_host *host = inventory_host_find(inv, hostset_at(names, i));
        rc = host != NULL ? pattern_hits_add(h, host, e)
                          : hostset_add(missing, hostset_at(names, i), e);
    }
    return rc;
}

static enum rc refuse_missing(const char *term, size_t all, const struct hostset *missing,
                              struct err *e)
{
    char t[PATTERN_SHOWN], m[256];
    struct buf folded;
    size_t n = hostset_count(missing);
    if (n == all)
        return err_set(e, RC_NOTFOUND, "%s matches nothing: no host of these names",
                       shown(t, term));
    buf_init(&folded, (size_t)1 << 30);
    enum rc rc = hostset_fold(missing, &folded, e);
    if (rc == RC_OK) {
        str_escape_to(m, sizeof m, folded.data, folded.len, 0);
        rc = err_set(e, RC_NOTFOUND, "%s: %zu of %zu not in the inventory: %s", shown(t, term), n,
                     all, m);
    }
    buf_fini(&folded);
    return rc;
}

/* Every name must be a host, so that a much larger range need not be made to be refused. */
static size_t range_max(const struct inventory *inv)
{
    size_t hosts = inventory_host_count(inv);
    return hosts < HOSTSET_MAX - MAX_SPARE ? hosts + MAX_SPARE : HOSTSET_MAX;
}

static enum rc match_range(struct inventory *inv, const char *term, struct pattern_hits *h,
                           struct err *e)
{
    struct hostset *names = NULL, *missing = NULL;
    enum rc rc = hostset_new(&names, e);
    if (rc == RC_OK)
        rc = hostset_new(&missing, e);
    if (rc == RC_OK)
        rc = hostset_expand(term, range_max(inv), names, e);
    if (rc == RC_OK)
        rc = find_all(inv, names, h, missing, e);
    if (rc == RC_OK && hostset_count(missing) > 0)
        rc = refuse_missing(term, hostset_count(names), missing, e);
    hostset_free(names);
    hostset_free(missing);
    return rc;
}

/* The host that "web[1]" names when its bracket is read as a range of one; NULL when none. */
static enum rc find_single(struct inventory *inv, const char *term, struct inv_host **host,
                           struct err *e)
{
    struct hostset *names;
    *host = NULL;
    enum rc rc = hostset_new(&names, e);
    if (rc != RC_OK)
        return rc;
    rc = hostset_expand(term, 1, names, NULL);
    if (rc == RC_OK && hostset_count(names) == 1)
        *host = inventory_host_find(inv, hostset_at(names, 0));
    hostset_free(names);
    return rc == RC_NOMEM ? err_nomem(e) : RC_OK;
}

/* --- subscripts ------------------------------------------------------------------------------ */

struct subscript {
    size_t base_len; /* of the term before "[" */
    bool slice;      /* [a:b], with -1 for an open end */
    int64_t first, last;
};

static bool number(const char *s, size_t n, int64_t *out)
{
    char text[20];
    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    return num_i64(text, INT32_MIN, INT32_MAX, out, NULL) == RC_OK;
}

/* "[n]", "[-n]", "[a:]" or "[a:b]" at the end, with something before it. */
static bool subscript_parse(const char *term, struct subscript *sub)
{
    size_t len = strlen(term);
    const char *open = strrchr(term, '[');
    if (open == NULL || open == term || term[len - 1] != ']')
        return false;
    const char *in = open + 1, *close = term + len - 1;
    const char *colon = memchr(in, ':', (size_t)(close - in));
    *sub = (struct subscript){.base_len = (size_t)(open - term), .slice = colon != NULL};
    if (colon == NULL)
        return number(in, (size_t)(close - in), &sub->first);
    sub->last = -1;
    if (*in == '-' || !number(in, (size_t)(colon - in), &sub->first))
        return false;
    return colon + 1 == close ||
           (colon[1] != '-' && number(colon + 1, (size_t)(close - colon - 1), &sub->last));
}

static enum rc out_of_reach(const char *term, size_t count, struct err *e)
{
    char t[PATTERN_SHOWN];
    return err_set(e, RC_NOTFOUND, "%s matches nothing: there are %zu hosts, counted from 0",
                   shown(t, term), count);
}

/* Leaves in h what the subscript picks; both ends are counted from 0 and belong to it. */
static enum rc subscript_apply(const struct subscript *s, const char *term, struct pattern_hits *h,
                               struct err *e)
{
    char t[PATTERN_SHOWN];
    int64_t n = (int64_t)h->count;
    int64_t first = s->slice || s->first >= 0 ? s->first : s->first + n;
    int64_t last = first;
    if (s->slice)
        last = s->last < 0 || s->last >= n ? n - 1 : s->last;
    if (s->slice && s->last >= 0 && s->last < s->first)
        return err_set(e, RC_PARSE, "%s: the subscript ends before it begins", shown(t, term));
    if (first < 0 || first >= n)
        return out_of_reach(term, h->count, e);
    h->count = (size_t)(last - first + 1);
    memmove(h->items, h->items + first, h->count * sizeof *h->items);
    return RC_OK;
}

static bool has_any(const char *s, const char *set)
{
    return s[strcspn(s, set)] != '\0';
}

/* What stands before a subscript; groups only behind "@". */
static enum rc match_base(struct inventory *inv, const char *base, struct pattern_hits *h,
                          bool *found, struct err *e)
{
    if (base[0] == '@') {
        struct inv_group *g = inventory_group_find(inv, base + 1);
        *found = g != NULL;
        return g != NULL ? add_group(inv, g, h, e) : RC_OK;
    }
    if (has_any(base, "*?["))
        return match_glob(inv, base, h, found, e);
    return match_exact(inv, base, h, found, e);
}

static enum rc two_readings(const char *term, const struct inv_host *host, struct err *e)
{
    char t[PATTERN_SHOWN], n[PATTERN_SHOWN];
    shown(t, term);
    shown(n, host->name);
    return err_set(e, RC_AMBIGUOUS, "ambiguous: host %s or @%s; write %s or @%s", n, t, n, t);
}

static enum rc match_subscript(struct inventory *inv, const char *term, const struct subscript *sub,
                               struct pattern_hits *h, bool *found, struct err *e)
{
    char *base = mem_strndup(term, sub->base_len);
    if (base == NULL)
        return err_nomem(e);
    struct pattern_hits mine = {0};
    struct inv_host *host = NULL;
    enum rc rc = match_base(inv, base, &mine, found, e);
    if (rc == RC_OK && !sub->slice && term[0] != '@')
        rc = find_single(inv, term, &host, e);
    if (rc == RC_OK && *found) {
        struct err why = {0};
        enum rc picked = subscript_apply(sub, term, &mine, &why);
        if (picked != RC_OK && host == NULL)
            rc = err_set(e, picked, "%s", why.msg);
        else if (host != NULL && (picked != RC_OK || mine.count != 1 || mine.items[0] != host))
            rc = two_readings(term, host, e);
    } else if (rc == RC_OK && host != NULL) {
        *found = true;
        rc = pattern_hits_add(&mine, host, e);
    }
    for (size_t i = 0; rc == RC_OK && i < mine.count; i++)
        rc = pattern_hits_add(h, mine.items[i], e);
    mem_free(mine.items);
    mem_free(base);
    return rc;
}

/* --- @group ---------------------------------------------------------------------------------- */

static enum rc groups_by_glob(struct inventory *inv, const char *term, struct pattern_hits *h,
                              struct err *e)
{
    bool found = false;
    for (size_t i = 0; i < inventory_group_count(inv); i++) {
        struct inv_group *g = inventory_group_at(inv, i);
        if (!str_fnmatch(term + 1, g->name))
            continue;
        found = true;
        enum rc rc = add_group(inv, g, h, e);
        if (rc != RC_OK)
            return rc;
    }
    return found ? RC_OK : nothing(inv, term, false, e);
}

/* "@rack[1-3]": a range of group names, each of which must exist. */
static enum rc groups_by_range(struct inventory *inv, const char *term, struct pattern_hits *h,
                               struct err *e)
{
    struct hostset *names;
    enum rc rc = hostset_new(&names, e);
    if (rc != RC_OK)
        return rc;
    rc = hostset_expand(term, range_max(inv), names, e);
    for (size_t i = 0; rc == RC_OK && i < hostset_count(names); i++) {
        const char *name = hostset_at(names, i);
        struct inv_group *g = inventory_group_find(inv, name + 1);
        rc = g != NULL ? add_group(inv, g, h, e) : nothing(inv, name, false, e);
    }
    hostset_free(names);
    return rc;
}

static enum rc match_group(struct inventory *inv, const char *term, struct pattern_hits *h,
                           struct err *e)
{
    struct subscript sub;
    bool found = false;
    struct inv_group *g = inventory_group_find(inv, term + 1);
    if (g != NULL)
        return add_group(inv, g, h, e);
    if (hostset_is_range(term))
        return groups_by_range(inv, term, h, e);
    if (subscript_parse(term, &sub)) {
        enum rc rc = match_subscript(inv, term, &sub, h, &found, e);
        return rc != RC_OK || found ? rc : nothing(inv, term, false, e);
    }
    if (has_any(term, "*?["))
        return groups_by_glob(inv, term, h, e);
    return nothing(inv, term, false, e);
}

/* --- one term -------------------------------------------------------------------------------- */

/* A wildcard, or a bracket that is no subscript: "web[12].x" may be a host and a character class.
 */
static enum rc match_wild(struct inventory *inv, const char *term, struct pattern_hits *h,
                          bool *found, struct err *e)
{
    struct pattern_hits mine = {0};
    struct inv_host *host = NULL;
    enum rc rc = match_glob(inv, term, &mine, found, e);
    if (rc == RC_OK && !has_any(term, "*?"))
        rc = find_single(inv, term, &host, e);
    if (rc == RC_OK && host != NULL) {
        struct pattern_hits one = {.items = &host, .count = 1};
        char t[PATTERN_SHOWN], n[PATTERN_SHOWN];
        if (*found && !same_hits(&mine, &one))
            rc = err_set(e, RC_AMBIGUOUS,
                         "ambiguous: host %s, or every name that the characters of %s match",
                         shown(n, host->name), shown(t, term));
        else if (!*found)
            rc = pattern_hits_add(&mine, host, e);
        *found = true;
    }
    for (size_t i = 0; rc == RC_OK && i < mine.count; i++)
        rc = pattern_hits_add(h, mine.items[i], e);
    mem_free(mine.items);
    return rc;
}

/* Ranges, when the brackets follow ClusterShell's grammar; otherwise *found is false and *why says
 * what is wrong with them as ranges. */
static enum rc match_brackets(struct inventory *inv, const char *term, struct pattern_hits *h,
                              bool *found, struct err *why, struct err *e)
{
    enum rc rc = has_any(term, "*?") ? match_masks(inv, term, h, found, why)
                                     : match_range(inv, term, h, why);
    if (rc == RC_PARSE) {
        *found = false;
        return RC_OK;
    }
    if (rc != RC_OK)
        return err_set(e, rc, "%s", why->msg);
    *found = *found || !has_any(term, "*?");
    return RC_OK;
}

enum rc pattern_match(struct inventory *inv, const char *term, struct pattern_hits *h,
                      struct err *e)
{
    if (term[0] == '~')
        return match_regex(inv, term, h, e);
    if (term[0] == '@' && inventory_host_find(inv, term) == NULL)
        return match_group(inv, term, h, e);
    struct err why = {0};
    struct subscript sub;
    bool found = false;
    enum rc rc = match_exact(inv, term, h, &found, e);
    if (rc == RC_OK && !found && hostset_is_range(term))
        rc = match_brackets(inv, term, h, &found, &why, e);
    if (rc == RC_OK && !found && subscript_parse(term, &sub))
        rc = match_subscript(inv, term, &sub, h, &found, e);
    else if (rc == RC_OK && !found && has_any(term, "*?["))
        rc = match_wild(inv, term, h, &found, e);
    if (rc != RC_OK || found)
        return rc;
    if (why.rc == RC_PARSE)
        return err_set(e, RC_PARSE, "%s", why.msg);
    return nothing(inv, term, true, e);
}
