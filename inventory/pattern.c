/* See pattern.h. Evaluates terms into a selection: union, then every &, then every !, whatever the
 * order they are written in; then limits, excludes and --where. Hosts are kept in the order in
 * which the terms name them, which is how Ansible lists them. Linear in hosts and terms.
 */
#include "inventory/pattern.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/listfile.h"
#include "inventory/pattern_int.h"
#include "inventory/where.h"

/* A set of hosts in order. */
struct picked {
    struct inv_host **hosts;
    size_t count, cap;
    uint8_t *has; /* one byte per host of the inventory */
};

static void picked_fini(struct picked *p)
{
    mem_free(p->hosts);
    mem_free(p->has);
    *p = (struct picked){0};
}

static enum rc picked_init(struct picked *p, const struct inventory *inv, struct err *e)
{
    *p = (struct picked){0};
    p->has = mem_calloc(inventory_host_count(inv) + 1, 1);
    return p->has != NULL ? RC_OK : err_nomem(e);
}

static enum rc picked_add(struct picked *p, const struct pattern_hits *h, struct err *e)
{
    if (mem_grow(&p->hosts, &p->cap, p->count + h->count, sizeof(struct inv_host *)) != 0)
        return err_nomem(e);
    for (size_t i = 0; i < h->count; i++) {
        if (p->has[h->items[i]->index])
            continue;
        p->has[h->items[i]->index] = 1;
        p->hosts[p->count++] = h->items[i];
    }
    return RC_OK;
}

/* Keeps the hosts whose mark is `want`. */
static void picked_keep(struct picked *p, const uint32_t *marks, uint32_t want)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (marks[p->hosts[i]->index] == want)
            p->hosts[n++] = p->hosts[i];
        else
            p->has[p->hosts[i]->index] = 0;
    }
    p->count = n;
}

/* A host stays with all & terms when each of them in turn raised its mark; ! terms spoil it. */
static enum rc mark_term(struct inventory *inv, const struct pattern_term *t, uint32_t *marks,
                         uint32_t *intersections, struct err *e)
{
    struct pattern_hits h = {0};
    enum rc rc = pattern_match(inv, t->text, &h, e);
    for (size_t i = 0; rc == RC_OK && i < h.count; i++) {
        uint32_t *mark = &marks[h.items[i]->index];
        if (t->op == '!')
            *mark = UINT32_MAX;
        else if (*mark == *intersections)
            ++*mark;
    }
    if (t->op == '&')
        ++*intersections;
    mem_free(h.items);
    return rc;
}

static enum rc unite(struct inventory *inv, const struct pattern_terms *terms, struct picked *p,
                     struct err *e)
{
    enum rc rc = RC_OK;
    bool any = false;
    for (size_t i = 0; rc == RC_OK && i <= terms->count; i++) {
        struct pattern_hits h = {0};
        /* Only & and ! given: they are about all hosts. */
        const char *text = i < terms->count ? terms->items[i].text : "all";
        if (i < terms->count ? terms->items[i].op != 0 : any)
            continue;
        any = true;
        rc = pattern_match(inv, text, &h, e);
        if (rc == RC_OK)
            rc = picked_add(p, &h, e);
        mem_free(h.items);
    }
    return rc;
}

static enum rc evaluate(struct inventory *inv, const struct pattern_terms *terms, struct picked *p,
                        struct err *e)
{
    uint32_t intersections = 0;
    enum rc rc = picked_init(p, inv, e);
    uint32_t *marks = mem_calloc(inventory_host_count(inv) + 1, sizeof *marks);
    if (rc == RC_OK && marks == NULL)
        rc = err_nomem(e);
    if (rc == RC_OK)
        rc = unite(inv, terms, p, e);
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; rc == RC_OK && i < terms->count; i++)
            if (terms->items[i].op == "&!"[pass])
                rc = mark_term(inv, &terms->items[i], marks, &intersections, e);
    if (rc == RC_OK)
        picked_keep(p, marks, intersections);
    else
        picked_fini(p);
    mem_free(marks);
    return rc;
}

/* --- the words that terms come from ----------------------------------------------------------- */

static enum rc add_list(struct pattern_terms *terms, const char *path, struct arena *arena,
                        struct err *e)
{
    struct listfile list;
    char name[PATTERN_SHOWN];
    enum rc rc = listfile_read(&list, path, arena, e);
    if (rc == RC_OK && list.count == 0)
        rc = err_set(e, RC_NOTFOUND, "%s lists nothing",
                     str_escape_to(name, sizeof name, path, strlen(path), 0));
    for (size_t i = 0; rc == RC_OK && i < list.count; i++) {
        rc = pattern_split(terms, list.lines[i], arena, e);
        if (rc != RC_OK)
            err_wrap(e, "%s:%u", str_escape_to(name, sizeof name, path, strlen(path), 0),
                     list.numbers[i]);
    }
    return rc;
}

/* "@x" in a limit: a file, as in Ansible, or a group, as everywhere else here. */
static enum rc limit_term(struct inventory *inv, struct pattern_terms *terms,
                          const struct pattern_term *t, struct arena *arena, struct err *e)
{
    char name[PATTERN_SHOWN];
    if (t->op == 0 && t->text[0] == '@') {
        bool file = access(t->text + 1, F_OK) == 0;
        bool group = inventory_group_find(inv, t->text + 1) != NULL;
        str_escape_to(name, sizeof name, t->text + 1, strlen(t->text + 1), 0);
        if (file && group)
            return err_set(e, RC_AMBIGUOUS, "ambiguous: file %s or group %s; write @./%s or %s",
                           name, name, name, name);
        if (file)
            return add_list(terms, t->text + 1, arena, e);
        if (!group && strpbrk(t->text, "*?[") == NULL)
            return err_set(e, RC_NOTFOUND, "@%s: no such file, and no group of that name", name);
    }
    if (mem_grow(&terms->items, &terms->cap, terms->count + 1, sizeof *terms->items) != 0)
        return err_nomem(e);
    terms->items[terms->count++] = *t;
    return RC_OK;
}

static enum rc limit_terms(struct inventory *inv, const char *text, struct arena *arena,
                           struct pattern_terms *terms, struct err *e)
{
    struct pattern_terms words = {0};
    enum rc rc = pattern_split(&words, text, arena, e);
    for (size_t i = 0; rc == RC_OK && i < words.count; i++)
        rc = limit_term(inv, terms, &words.items[i], arena, e);
    mem_free(words.items);
    return rc;
}

enum source { SOURCE_PATTERN, SOURCE_LIMIT, SOURCE_EXCLUDE };

static enum rc pick(struct inventory *inv, const char *text, enum source source, struct picked *p,
                    struct err *e)
{
    static const char *const option[] = {"", "--limit: ", "--exclude: "};
    struct pattern_terms terms = {0};
    struct arena arena;
    arena_init(&arena);
    enum rc rc = source == SOURCE_LIMIT ? limit_terms(inv, text, &arena, &terms, e)
                                        : pattern_split(&terms, text, &arena, e);
    if (rc == RC_OK && terms.count == 0)
        rc = err_set(e, RC_PARSE, "an empty pattern; name hosts or groups, or all");
    if (rc == RC_OK)
        rc = evaluate(inv, &terms, p, e);
    if (rc != RC_OK && e != NULL && source != SOURCE_PATTERN) {
        struct err inner = *e;
        err_set(e, rc, "%s%s", option[source], inner.msg);
    }
    mem_free(terms.items);
    arena_fini(&arena);
    return rc;
}

/* --- narrowing ------------------------------------------------------------------------------- */

static enum rc narrow(struct inventory *inv, const char *text, enum source source, struct picked *p,
                      struct err *e)
{
    struct picked other = {0};
    enum rc rc = pick(inv, text, source, &other, e);
    if (rc != RC_OK)
        return rc;
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        if ((other.has[p->hosts[i]->index] != 0) == (source == SOURCE_LIMIT))
            p->hosts[n++] = p->hosts[i];
    p->count = n;
    picked_fini(&other);
    return RC_OK;
}

static enum rc apply_where(struct inventory *inv, const char *text, struct picked *p, struct err *e)
{
    struct where *w = NULL;
    enum rc rc = where_compile(text, &w, e);
    if (rc == RC_OK)
        rc = where_check_words(w, inv, e);
    size_t n = 0;
    for (size_t i = 0; rc == RC_OK && i < p->count; i++) {
        bool yes = false;
        rc = where_test(w, inv, p->hosts[i], &yes, e);
        if (rc == RC_OK && yes)
            p->hosts[n++] = p->hosts[i];
    }
    p->count = n;
    where_free(w);
    return rc;
}

static enum rc take_base(struct inventory *inv, const struct pattern_opts *o, struct picked *p,
                         struct err *e)
{
    size_t cap = 0;
    struct pattern_hits all = {0};
    if (mem_grow(&all.items, &cap, o->base_count, sizeof(struct inv_host *)) != 0)
        return err_nomem(e);
    all.count = o->base_count;
    if (all.count > 0)
        memcpy(all.items, o->base, all.count * sizeof(struct inv_host *));
    enum rc rc = picked_init(p, inv, e);
    if (rc == RC_OK)
        rc = picked_add(p, &all, e);
    if (rc != RC_OK)
        picked_fini(p);
    mem_free(all.items);
    return rc;
}

static enum rc nothing_left(const struct pattern_opts *o, struct err *e)
{
    char t[PATTERN_SHOWN];
    const char *pattern = o->pattern != NULL ? o->pattern : "the list of hosts";
    str_escape_to(t, sizeof t, pattern, strlen(pattern), 0);
    if (o->limit_count + o->exclude_count > 0)
        return err_set(e, RC_NOTFOUND, "%s leaves no host after --limit and --exclude", t);
    return err_set(e, RC_NOTFOUND, "%s leaves no host", t);
}

enum rc pattern_select(struct inventory *inv, const struct pattern_opts *o, struct selection *out,
                       struct err *e)
{
    struct picked p = {0};
    enum rc rc = o->pattern != NULL ? pick(inv, o->pattern, SOURCE_PATTERN, &p, e)
                                    : take_base(inv, o, &p, e);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; rc == RC_OK && i < o->limit_count; i++)
        rc = narrow(inv, o->limits[i], SOURCE_LIMIT, &p, e);
    for (size_t i = 0; rc == RC_OK && i < o->exclude_count; i++)
        rc = narrow(inv, o->excludes[i], SOURCE_EXCLUDE, &p, e);
    if (rc == RC_OK && p.count == 0)
        rc = nothing_left(o, e);
    if (rc == RC_OK && o->where != NULL)
        rc = apply_where(inv, o->where, &p, e);
    if (rc == RC_OK) {
        *out = (struct selection){.hosts = p.hosts, .count = p.count};
        p.hosts = NULL;
    }
    picked_fini(&p);
    return rc;
}

void selection_fini(struct selection *s)
{
    mem_free(s->hosts);
    *s = (struct selection){0};
}
