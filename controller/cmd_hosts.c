/* muster hosts: shows what the inventory and the options that select hosts amount to. Contacts
 * nothing. Main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "controller/cmd.h"
#include "controller/select.h"
#include "inventory/hostset.h"

enum { SHOWN = 1024 };

#define TEXT_MAX ((size_t)4 << 30) /* of a folded set or a document */

/* Names go to terminals: what could move the cursor there is written as \xNN. */
static enum rc put_name(struct buf *out, const char *name, const char *behind)
{
    enum rc rc = str_escape(out, name, strlen(name), 0);
    return rc == RC_OK ? buf_puts(out, behind) : rc;
}

static enum rc buffer_error(enum rc rc, struct err *e)
{
    if (rc == RC_NOMEM)
        return err_nomem(e);
    return rc == RC_OK ? rc : err_set(e, rc, "the list of hosts is larger than 4 GiB");
}

/* --- views of a set of names ------------------------------------------------------------------ */

static enum rc put_fold(const struct hostset *s, struct buf *out, struct err *e)
{
    struct buf folded;
    buf_init(&folded, TEXT_MAX);
    enum rc rc = hostset_fold(s, &folded, e);
    if (rc == RC_OK && folded.len > 0)
        rc = buffer_error(str_escape(out, folded.data, folded.len, 0), e);
    if (rc == RC_OK)
        rc = buffer_error(buf_putc(out, '\n'), e);
    buf_fini(&folded);
    return rc;
}

/* One line, in the order of nodeset -e. */
static enum rc put_expanded(const struct hostset *s, struct buf *out, struct err *e)
{
    struct hostset *ordered;
    enum rc rc = hostset_new(&ordered, e);
    if (rc != RC_OK)
        return rc;
    rc = hostset_order(s, ordered, e);
    size_t count = hostset_count(ordered);
    for (size_t i = 0; rc == RC_OK && i < count; i++)
        rc = buffer_error(put_name(out, hostset_at(ordered, i), i + 1 < count ? " " : ""), e);
    if (rc == RC_OK)
        rc = buffer_error(buf_putc(out, '\n'), e);
    hostset_free(ordered);
    return rc;
}

static enum rc put_set(enum hosts_view view, const struct hostset *s, struct buf *out,
                       struct err *e)
{
    enum rc rc = RC_OK;
    switch (view) {
    case HOSTS_FOLD: return put_fold(s, out, e);
    case HOSTS_EXPAND: return put_expanded(s, out, e);
    case HOSTS_COUNT_ONLY: return buffer_error(buf_printf(out, "%zu\n", hostset_count(s)), e);
    default:
        for (size_t i = 0; rc == RC_OK && i < hostset_count(s); i++)
            rc = buffer_error(put_name(out, hostset_at(s, i), "\n"), e);
        return rc;
    }
}

/* --- views of the inventory --------------------------------------------------------------------
 */

/* Values that are shown as they are written, because only Ansible could tell what they become. */
static void note_opaque(const char *name, const struct value *v, unsigned depth)
{
    char shown[SHOWN], place[SHOWN];
    if (value_is_opaque(v)) {
        value_place_text(place, sizeof place, v);
        log_warn("%s%s%s is %s and is shown as written", place, place[0] != '\0' ? ": " : "",
                 str_escape_to(shown, sizeof shown, name, strlen(name), 0),
                 v->type == VALUE_VAULT ? "a vault value" : "a template");
    }
    if (depth == INVENTORY_MAX_DEPTH)
        return;
    for (size_t i = 0; v->type == VALUE_LIST && i < v->u.list.count; i++)
        note_opaque(name, v->u.list.items[i], depth + 1);
    for (size_t i = 0; v->type == VALUE_MAP && i < v->u.map.count; i++)
        note_opaque(v->u.map.pairs[i].key, v->u.map.pairs[i].value, depth + 1);
}

static enum rc put_vars(struct inventory *inv, const char *name, struct buf *out, struct err *e)
{
    char shown[SHOWN];
    const struct inv_host *h = inventory_host_find(inv, name);
    if (h == NULL)
        return err_set(e, RC_NOTFOUND, "--vars %s: no such host in the inventory",
                       str_escape_to(shown, sizeof shown, name, strlen(name), 0));
    const struct value *vars;
    struct arena arena;
    arena_init(&arena);
    enum rc rc = inventory_host_vars(inv, h, &arena, &vars, e);
    if (rc == RC_OK) {
        note_opaque("", vars, 0);
        rc = buffer_error(value_json(out, vars, true, 4), e);
    }
    if (rc == RC_OK)
        rc = buffer_error(buf_putc(out, '\n'), e);
    arena_fini(&arena);
    return rc;
}

static enum rc one_group(const struct options *o, const char **group, struct err *e)
{
    if (o->words.count > 1)
        return err_set(e, RC_USAGE, "--graph takes one group, or none");
    *group = o->words.count == 1 ? o->words.items[0] : "all";
    if ((*group)[0] == '@')
        ++*group;
    return RC_OK;
}

static enum rc put_graph(struct inventory *inv, const struct options *o, struct buf *out,
                         struct err *e)
{
    const char *group = NULL;
    enum rc rc = one_group(o, &group, e);
    return rc == RC_OK ? inventory_graph(inv, group, false, out, e) : rc;
}

/* --- which hosts ------------------------------------------------------------------------------ */

/* PATTERN... is one pattern with commas between; without any, "all": nothing is done to hosts. */
static enum rc join_words(struct options *o, struct buf *joined, struct err *e)
{
    enum rc rc = RC_OK;
    if (o->words.count > 0 && o->hosts_exprs.count > 0)
        return err_set(e, RC_USAGE,
                       "both -w and a pattern: with -w there is no PATTERN (-l narrows)");
    for (size_t i = 0; rc == RC_OK && i < o->words.count; i++)
        rc = buf_printf(joined, "%s%s", i > 0 ? "," : "", o->words.items[i]);
    if (rc != RC_OK)
        return buffer_error(rc, e);
    o->pattern = o->words.count > 0 ? buf_cstr(joined) : "all";
    return o->pattern != NULL ? RC_OK : err_nomem(e);
}

static enum rc names_of(const struct selection *sel, struct hostset *names, struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < sel->count; i++)
        rc = hostset_add(names, sel->hosts[i]->name, e);
    return rc;
}

static enum rc put_selected(struct inventory *inv, struct options *o, struct buf *out,
                            struct err *e)
{
    struct selection sel = {0};
    struct hostset *names;
    struct buf joined;
    enum rc rc = hostset_new(&names, e);
    if (rc != RC_OK)
        return rc;
    buf_init(&joined, (size_t)1 << 28);
    rc = join_words(o, &joined, e);
    if (rc == RC_OK)
        rc = select_targets(o, inv, &sel, e);
    if (rc == RC_OK)
        rc = names_of(&sel, names, e);
    if (rc == RC_OK)
        rc = put_set(o->hosts_view, names, out, e);
    o->pattern = NULL;
    selection_fini(&sel);
    hostset_free(names);
    buf_fini(&joined);
    return rc;
}

/* Host-set notation alone, as nodeset takes it: no inventory is built, so ten million names fit. */
static bool is_plain_set(const struct options *o)
{
    return o->hosts_exprs.count > 0 && o->inventories.count == 0 && o->limits.count == 0 &&
           o->excludes.count == 0 && o->where == NULL && o->words.count == 0 &&
           o->hosts_view <= HOSTS_COUNT_ONLY;
}

static enum rc put_plain(const struct options *o, struct buf *out, struct err *e)
{
    struct hostset *names;
    enum rc rc = hostset_new(&names, e);
    if (rc != RC_OK)
        return rc;
    rc = select_names(o, NULL, NULL, names, e);
    if (rc == RC_OK)
        rc = put_set(o->hosts_view, names, out, e);
    hostset_free(names);
    return rc;
}

static enum rc put_inventory(struct options *o, struct buf *out, struct err *e)
{
    struct inventory *inv = NULL;
    enum rc rc = select_inventory(o, &inv, e);
    if (rc != RC_OK)
        return rc;
    inventory_warn_sealed(inv);
    switch (o->hosts_view) {
    case HOSTS_VARS: rc = put_vars(inv, o->vars_host, out, e); break;
    case HOSTS_GRAPH: rc = put_graph(inv, o, out, e); break;
    case HOSTS_JSON: rc = inventory_json(inv, out, e); break;
    default: rc = put_selected(inv, o, out, e); break;
    }
    inventory_free(inv);
    return rc;
}

int cmd_hosts(struct options *o)
{
    struct err e = {0};
    struct buf out;
    buf_init(&out, TEXT_MAX);
    enum rc rc = is_plain_set(o) ? put_plain(o, &out, &e) : put_inventory(o, &out, &e);
    if (rc == RC_OK)
        cmd_write(out.data, out.len);
    buf_fini(&out);
    return rc == RC_OK ? cmd_printed() : cmd_fail(&e);
}
