/* See select.h and cmd.h.
 *
 * A host that only -w names must be in the inventory before it is finished, while @groups and
 * wildcards in -w can be answered only afterwards. So -w is read twice: first with groups taken as
 * empty, which gives every name that the sources may not have (an operator treats such a name alike
 * whatever the groups hold), then in full.
 */
#include "controller/select.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/cmd.h"
#include "inventory/listfile.h"

/* --- -w -------------------------------------------------------------------------------------- */

static enum rc read_stdin(struct listfile **out, struct err *e)
{
    static struct listfile list;
    static struct arena arena;
    static bool done;
    if (!done) {
        arena_init(&arena);
        enum rc rc = listfile_read(&list, "-", &arena, e);
        if (rc != RC_OK) {
            arena_fini(&arena);
            return rc;
        }
        done = true;
    }
    *out = &list;
    return RC_OK;
}

struct names {
    hostset_resolve_fn resolve;
    void *user;
    struct hostset *out;
};

static enum rc add_lines(const struct names *n, const struct listfile *list, const char *name,
                         struct err *e)
{
    char shown[256];
    for (size_t i = 0; i < list->count; i++) {
        enum rc rc = hostset_parse(n->out, list->lines[i], n->resolve, n->user, e);
        if (rc == RC_OK)
            continue;
        err_wrap(e, "%s:%u", str_escape_to(shown, sizeof shown, name, strlen(name), 0),
                 list->numbers[i]);
        return rc;
    }
    return RC_OK;
}

static enum rc add_file(const struct names *n, const char *path, struct err *e)
{
    struct listfile list;
    struct arena arena;
    if (*path == '\0')
        return err_set(e, RC_USAGE, "-w ^FILE: the name of the file is missing");
    arena_init(&arena);
    enum rc rc = listfile_read(&list, path, &arena, e);
    if (rc == RC_OK)
        rc = add_lines(n, &list, path, e);
    arena_fini(&arena);
    return rc;
}

static enum rc add_stdin(const struct names *n, struct err *e)
{
    struct listfile *list;
    enum rc rc = read_stdin(&list, e);
    return rc == RC_OK ? add_lines(n, list, "standard input", e) : rc;
}

/* "web1:2222" has one colon and a number behind it; "::1" and "fe80::1" have more colons. */
static bool has_port(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon != NULL && colon[1] != '\0' &&
           strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

/* What other tools let people write into a host's name would be looked up as part of it. */
static enum rc refuse_parts(const struct hostset *s, struct err *e)
{
    char shown[128];
    for (size_t i = 0; i < hostset_count(s); i++) {
        const char *name = hostset_at(s, i);
        bool user = strchr(name, '@') != NULL, port = has_port(name);
        if (!user && !port)
            continue;
        str_escape_to(shown, sizeof shown, name, strlen(name), 0);
        return err_set(e, RC_USAGE, "-w %s: hosts are named without a %s; that is %s", shown,
                       user ? "user" : "port",
                       user ? "-u USER" : "-p PORT, or ansible_port in an inventory");
    }
    return RC_OK;
}

/* "[::1]:22": brackets are ranges here. */
static bool is_bracketed_address(const char *expr)
{
    return expr[0] == '[' && strchr(expr, ':') != NULL && strchr(expr, ']') != NULL &&
           strspn(expr + 1, "0123456789abcdefABCDEF:.") == strcspn(expr + 1, "]");
}

enum rc select_names(const struct options *o, hostset_resolve_fn resolve, void *user,
                     struct hostset *out, struct err *e)
{
    struct names n = {.resolve = resolve, .user = user, .out = out};
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < o->hosts_exprs.count; i++) {
        const char *expr = o->hosts_exprs.items[i];
        if (*expr == '^')
            rc = add_file(&n, expr + 1, e);
        else if (strcmp(expr, "-") == 0)
            rc = add_stdin(&n, e);
        else if (is_bracketed_address(expr))
            rc = err_set(e, RC_USAGE,
                         "-w %.80s: write an address without brackets, and its port as -p PORT",
                         expr);
        else
            rc = hostset_parse(out, expr, resolve, user, e);
    }
    return rc == RC_OK ? refuse_parts(out, e) : rc;
}

/* --- groups and wildcards in -w --------------------------------------------------------------- */

static enum rc resolve_nothing(void *user, const char *term, struct hostset *out, struct err *e)
{
    (void)user;
    (void)term;
    (void)out;
    (void)e;
    return RC_OK;
}

/* "@*" is every host; a wildcard without "@" is one of host names only, as in ClusterShell. */
static enum rc resolve_wildcard(struct inventory *inv, const char *mask, struct hostset *out,
                                struct err *e)
{
    bool found = false;
    char shown[128];
    for (size_t i = 0; i < inventory_host_count(inv); i++) {
        const char *name = inventory_host_at(inv, i)->name;
        if (!str_fnmatch(mask, name))
            continue;
        found = true;
        enum rc rc = hostset_add(out, name, e);
        if (rc != RC_OK)
            return rc;
    }
    return found ? RC_OK
                 : err_set(e, RC_NOTFOUND, "-w: %s matches nothing",
                           str_escape_to(shown, sizeof shown, mask, strlen(mask), 0));
}

static enum rc resolve_term(void *user, const char *term, struct hostset *out, struct err *e)
{
    struct inventory *inv = user;
    if (strcmp(term, "@*") == 0)
        return resolve_wildcard(inv, "*", out, e);
    if (*term != '@')
        return resolve_wildcard(inv, term, out, e);
    struct pattern_opts o = {.pattern = term};
    struct selection s;
    enum rc rc = pattern_select(inv, &o, &s, e);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; rc == RC_OK && i < s.count; i++)
        rc = hostset_add(out, s.hosts[i]->name, e);
    selection_fini(&s);
    return rc;
}

/* --- the inventory ---------------------------------------------------------------------------- */

static bool try_default(const char *folder, const char *rest, char *dst, size_t cap)
{
    int n = snprintf(dst, cap, "%s%s", folder, rest);
    return n > 0 && (size_t)n < cap && access(dst, F_OK) == 0;
}

bool select_default_path(char *dst, size_t cap)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (try_default("./", "inventory.yml", dst, cap))
        return true;
    if (config != NULL && *config == '/') {
        if (try_default(config, "/muster/inventory.yml", dst, cap))
            return true;
    } else if (home != NULL && *home == '/' &&
               try_default(home, "/.config/muster/inventory.yml", dst, cap)) {
        return true;
    }
    return try_default("/etc/muster/", "inventory.yml", dst, cap);
}

static enum rc add_default(struct inventory *inv, struct err *e)
{
    char path[4096];
    if (select_default_path(path, sizeof path))
        return inventory_add_source(inv, path, e);
    return err_set(e, RC_CONFIG,
                   "no inventory: give one with -i PATH or in MUSTER_INVENTORY, name hosts with "
                   "-w, or make ./inventory.yml, ~/.config/muster/inventory.yml or "
                   "/etc/muster/inventory.yml");
}

static enum rc add_sources(const struct options *o, struct inventory *inv, struct err *e)
{
    enum rc rc = RC_OK;
    bool named = o->hosts_exprs.count > 0 || o->exact_implicit; /* -w, now or in the run retried */
    if (o->inventories.count == 0 && !named)
        return add_default(inv, e);
    for (size_t i = 0; rc == RC_OK && i < o->inventories.count; i++)
        rc = inventory_add_source(inv, o->inventories.items[i], e);
    return rc;
}

static enum rc add_named(const struct options *o, struct inventory *inv, struct err *e)
{
    struct hostset *names;
    enum rc rc = hostset_new(&names, e);
    if (rc != RC_OK)
        return rc;
    rc = select_names(o, o->inventories.count > 0 ? resolve_nothing : NULL, NULL, names, e);
    for (size_t i = 0; rc == RC_OK && i < hostset_count(names); i++)
        rc = inventory_add_host(inv, hostset_at(names, i), NULL, e);
    hostset_free(names);
    return rc;
}

static enum rc add_exact(const struct options *o, struct inventory *inv, struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && o->exact_implicit && i < o->exact_hosts.count; i++)
        rc = inventory_add_host(inv, o->exact_hosts.items[i], NULL, e);
    return rc;
}

enum rc select_inventory(const struct options *o, struct inventory **out, struct err *e)
{
    struct inventory *inv = NULL;
    enum rc rc = inventory_new(&inv, e);
    if (rc != RC_OK)
        return rc;
    rc = add_sources(o, inv, e);
    if (rc == RC_OK)
        rc = o->exact_hosts.count > 0 ? add_exact(o, inv, e) : add_named(o, inv, e);
    if (rc == RC_OK)
        rc = inventory_finish(inv, e);
    if (rc != RC_OK) {
        inventory_free(inv);
        return rc;
    }
    *out = inv;
    return RC_OK;
}

/* --- targets ---------------------------------------------------------------------------------- */

static enum rc refuse_missing(const struct hostset *missing, struct err *e)
{
    char shown[512];
    struct buf folded;
    buf_init(&folded, (size_t)1 << 30);
    enum rc rc = hostset_fold(missing, &folded, e);
    if (rc == RC_OK)
        rc = err_set(e, RC_NOTFOUND, "not in the inventory: %s",
                     str_escape_to(shown, sizeof shown, folded.data, folded.len, 0));
    buf_fini(&folded);
    return rc;
}

/* The hosts of a list of names, which all must exist. The caller mem_frees *hosts, whatever comes.
 */
static enum rc find_hosts(const struct inventory *inv, const struct hostset *names,
                          struct inv_host ***hosts, struct err *e)
{
    struct hostset *missing = NULL;
    struct inv_host **list = mem_alloc(hostset_count(names) * sizeof *list);
    *hosts = list;
    if (list == NULL)
        return err_nomem(e);
    enum rc rc = hostset_new(&missing, e);
    for (size_t i = 0; rc == RC_OK && i < hostset_count(names); i++) {
        list[i] = inventory_host_find(inv, hostset_at(names, i));
        if (list[i] == NULL)
            rc = hostset_add(missing, hostset_at(names, i), e);
    }
    if (rc == RC_OK && hostset_count(missing) > 0)
        rc = refuse_missing(missing, e);
    hostset_free(missing);
    return rc;
}

static enum rc collect_names(const struct options *o, struct inventory *inv, struct hostset *names,
                             struct err *e)
{
    enum rc rc = RC_OK;
    if (o->exact_hosts.count == 0)
        rc = select_names(o, o->inventories.count > 0 ? resolve_term : NULL, inv, names, e);
    for (size_t i = 0; rc == RC_OK && i < o->exact_hosts.count; i++)
        rc = hostset_add(names, o->exact_hosts.items[i], e);
    if (rc == RC_OK && hostset_count(names) == 0)
        rc = err_set(e, RC_NOTFOUND, "-w names no host");
    return rc;
}

static enum rc select_named(const struct options *o, struct inventory *inv, struct pattern_opts *p,
                            struct selection *out, struct err *e)
{
    struct hostset *names;
    struct inv_host **hosts = NULL;
    enum rc rc = hostset_new(&names, e);
    if (rc != RC_OK)
        return rc;
    rc = collect_names(o, inv, names, e);
    if (rc == RC_OK)
        rc = find_hosts(inv, names, &hosts, e);
    if (rc == RC_OK) {
        p->pattern = NULL;
        p->base = hosts;
        p->base_count = hostset_count(names);
        rc = pattern_select(inv, p, out, e);
    }
    mem_free(hosts);
    hostset_free(names);
    return rc;
}

/* Every pattern would fail, and none would be wrong. */
static enum rc refuse_empty(const struct options *o, struct err *e)
{
    char path[4096], shown[512];
    if (o->inventories.count > 1)
        return err_set(e, RC_NOTFOUND, "the inventories given with -i hold no host");
    const char *name = o->inventories.count == 1                ? o->inventories.items[0]
                       : select_default_path(path, sizeof path) ? path
                                                                : "the inventory";
    return err_set(e, RC_NOTFOUND, "%s holds no host",
                   str_escape_to(shown, sizeof shown, name, strlen(name), 0));
}

enum rc select_targets(const struct options *o, struct inventory *inv, struct selection *out,
                       struct err *e)
{
    struct pattern_opts p = {
        .pattern = o->pattern,
        .limits = o->limits.items,
        .limit_count = o->limits.count,
        .excludes = o->excludes.items,
        .exclude_count = o->excludes.count,
        .where = o->where,
    };
    if (o->hosts_exprs.count > 0 || o->exact_hosts.count > 0)
        return select_named(o, inv, &p, out, e);
    if (p.pattern == NULL)
        return err_set(e, RC_USAGE, "which hosts? A PATTERN was expected, or -w HOSTS");
    if (inventory_host_count(inv) == 0)
        return refuse_empty(o, e);
    return pattern_select(inv, &p, out, e);
}
