/* Groups out of documents: Ansible's YAML inventories, what inventory scripts print, and the inline
 * list of -i "h1,h2,". Follows ansible/plugins/inventory/{yaml,script,host_list}.py. See source.h.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "inventory/hostrange.h"
#include "inventory/source.h"

static struct value_place key_place(const struct value *map, const struct value_pair *p)
{
    return model_place(map->place.file, p->line, p->column);
}

static void warn_at(const struct value_place *at, const char *what, const char *name)
{
    char place[512], clean[256];
    str_escape_to(place, sizeof place, at->file ? at->file : "", strlen(at->file ? at->file : ""),
                  0);
    str_escape_to(clean, sizeof clean, name, strlen(name), 0);
    log_warn("%s:%u:%u: '%s' %s", place, at->line, at->column, clean, what);
}

/* Names of groups and hosts must have been written as text. */
static enum rc want_text_key(const struct value_pair *p, const char *kind,
                             const struct value_place *at, struct err *e)
{
    if (p->key_type == VALUE_STRING)
        return RC_OK;
    return model_error(e, RC_CONFIG, at, "the name of a %s must be a text: put quotes around %.80s",
                       kind, p->key);
}

/* --- hosts: --- */

static enum rc add_names(struct inventory *inv, struct hostrange *r, struct group *g,
                         const struct vars *set, const struct value_place *at, struct err *e)
{
    struct buf name;
    buf_init(&name, 64 * 1024);
    enum rc rc;
    while ((rc = hostrange_next(r, &name)) == RC_OK) {
        struct host *h;
        const char *text = buf_cstr(&name);
        rc = text ? model_host(inv, text, g, r->port, at, &h, e) : err_nomem(e);
        if (rc == RC_OK && set->count > 0)
            rc = model_host_vars(inv, h, set, e);
        if (rc != RC_OK)
            break;
    }
    if (rc == RC_LIMIT && name.len > 4096)
        rc = model_error(e, rc, at, "the name of a host is too long");
    buf_fini(&name);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc add_host_pattern(struct inventory *inv, struct group *g, const struct value *hosts,
                                const struct value_pair *p, struct err *e)
{
    struct value_place at = key_place(hosts, p);
    enum rc rc = want_text_key(p, "host", &at, e);
    if (rc != RC_OK)
        return rc;
    struct vars set = {0};
    if (value_truthy(p->value)) {
        if (p->value->type != VALUE_MAP)
            return model_error(e, RC_CONFIG, &p->value->place,
                               "the host '%.80s' takes a mapping of variables, not %s", p->key,
                               value_type_text(p->value));
        rc = vars_set_map(inv, &set, p->value, e);
        if (rc != RC_OK)
            return rc;
    }
    struct hostrange r;
    struct err inner;
    rc = hostrange_init(&r, &inv->patterns, p->key, &inner);
    if (rc == RC_OK)
        rc = add_names(inv, &r, g, &set, &at, e);
    else
        rc = rc == RC_NOMEM ? err_nomem(e) : model_error(e, rc, &at, "%s", inner.msg);
    hostrange_fini(&r);
    return rc;
}

/* --- a group and what is in it --- */

static enum rc add_group(struct inventory *inv, const struct value *map, const struct value_pair *p,
                         struct group **out, struct err *e);

static enum rc add_vars(struct inventory *inv, struct group *g, const struct value *vars,
                        struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < vars->u.map.count; i++)
        rc = model_group_var(inv, g, vars->u.map.pairs[i].key, vars->u.map.pairs[i].value, e);
    return rc;
}

static enum rc add_children(struct inventory *inv, struct group *g, const struct value *children,
                            struct err *e)
{
    for (size_t i = 0; i < children->u.map.count; i++) {
        const struct value_pair *p = &children->u.map.pairs[i];
        struct value_place at = key_place(children, p);
        struct group *child = NULL;
        enum rc rc = add_group(inv, children, p, &child, e);
        if (rc == RC_OK && child == NULL)
            rc =
                model_error(e, RC_CONFIG, &at,
                            "the group '%.80s' takes a mapping (hosts, vars, children) or nothing, "
                            "not %s",
                            p->key, value_type_text(p->value));
        if (rc == RC_OK)
            rc = model_child(inv, g, child, &at, e);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc add_hosts(struct inventory *inv, struct group *g, const struct value *hosts,
                         struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < hosts->u.map.count; i++)
        rc = add_host_pattern(inv, g, hosts, &hosts->u.map.pairs[i], e);
    return rc;
}

/* "hosts: web1" means "hosts: {web1: }", for vars and children too. Returns NULL without memory. */
static const struct value *as_section(struct inventory *inv, const struct value *v)
{
    if (v->type != VALUE_STRING)
        return v;
    struct value *map = value_new(&inv->arena, VALUE_MAP, &v->place);
    struct value_pair *pair = map ? arena_calloc(&inv->arena, 1, sizeof *pair) : NULL;
    const struct value *none = pair ? value_new(&inv->arena, VALUE_NULL, &v->place) : NULL;
    if (none == NULL)
        return NULL;
    *pair = (struct value_pair){.key = v->u.string.data,
                                .value = none,
                                .line = v->place.line,
                                .column = v->place.column,
                                .key_type = VALUE_STRING};
    map->u.map.pairs = pair;
    map->u.map.count = 1;
    return map;
}

static enum rc add_section(struct inventory *inv, struct group *g, const struct value *data,
                           const struct value_pair *p, struct err *e)
{
    static const char *const names[] = {"vars", "children", "hosts"};
    static enum rc (*const add[])(struct inventory *, struct group *, const struct value *,
                                  struct err *) = {add_vars, add_children, add_hosts};
    struct value_place at = key_place(data, p);
    for (int i = 0; i < 3; i++) {
        if (p->key_type != VALUE_STRING || strcmp(p->key, names[i]) != 0)
            continue;
        const struct value *section = as_section(inv, p->value);
        if (section == NULL)
            return err_nomem(e);
        if (section->type == VALUE_NULL)
            return RC_OK;
        if (section->type != VALUE_MAP)
            return model_error(e, RC_CONFIG, &section->place,
                               "'%s' of the group '%.80s' takes a mapping, not %s", names[i],
                               g->pub.name, value_type_text(section));
        return add[i](inv, g, section, e);
    }
    if (p->value->type != VALUE_NULL)
        warn_at(&at, "is skipped: a group has hosts, vars and children", p->key);
    return RC_OK;
}

/* *out stays NULL where Ansible skips what is no group. */
static enum rc add_group(struct inventory *inv, const struct value *map, const struct value_pair *p,
                         struct group **out, struct err *e)
{
    struct value_place at = key_place(map, p);
    *out = map_gets(&inv->groups, p->key);
    if (p->value->type != VALUE_MAP && p->value->type != VALUE_NULL) {
        warn_at(&at, "is skipped: it is no group (a mapping of hosts, vars, children)", p->key);
        return RC_OK;
    }
    enum rc rc = want_text_key(p, "group", &at, e);
    if (rc == RC_OK)
        rc = model_group(inv, p->key, &at, out, e);
    if (p->value->type == VALUE_NULL)
        return rc;
    for (size_t i = 0; rc == RC_OK && i < p->value->u.map.count; i++)
        rc = add_section(inv, *out, p->value, &p->value->u.map.pairs[i], e);
    return rc;
}

enum rc source_groups(struct inventory *inv, const struct value *doc, struct err *e)
{
    const struct value *plugin = value_get(doc, "plugin");
    if (value_truthy(plugin))
        return model_error(e, RC_CONFIG, &plugin->place,
                           "this configures an inventory plugin of Ansible, which are not run; use "
                           "an executable that prints its JSON (ansible-inventory --list)");
    enum rc rc = RC_OK;
    struct group *g;
    for (size_t i = 0; rc == RC_OK && i < doc->u.map.count; i++)
        rc = add_group(inv, doc, &doc->u.map.pairs[i], &g, e);
    return rc;
}

/* --- scripts --- */

static enum rc script_host(struct inventory *inv, struct group *g, const struct value *name,
                           struct list *hosts, struct err *e)
{
    if (name->type != VALUE_STRING || strlen(name->u.string.data) != name->u.string.len)
        return model_error(e, RC_CONFIG, &name->place,
                           "a host of the group '%.80s' must be a text, not %s", g->pub.name,
                           value_type_text(name));
    struct host *h;
    enum rc rc = model_host(inv, name->u.string.data, g, 0, &name->place, &h, e);
    if (rc == RC_OK && model_list_add(inv, hosts, h) != 0)
        rc = err_nomem(e);
    return rc;
}

static enum rc script_hosts(struct inventory *inv, struct group *g, const struct value *list,
                            struct list *hosts, struct err *e)
{
    if (list->type != VALUE_LIST)
        return model_error(e, RC_CONFIG, &list->place,
                           "the hosts of the group '%.80s' must be a list, not %s", g->pub.name,
                           value_type_text(list));
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < list->u.list.count; i++)
        rc = script_host(inv, g, list->u.list.items[i], hosts, e);
    return rc;
}

static enum rc script_child(struct inventory *inv, struct group *g, const char *name,
                            const struct value_place *at, struct err *e)
{
    struct group *child;
    enum rc rc = model_group(inv, name, at, &child, e);
    return rc == RC_OK ? model_child(inv, g, child, at, e) : rc;
}

/* Python walks a list's items and a mapping's keys alike. */
static enum rc script_children(struct inventory *inv, struct group *g, const struct value *v,
                               struct err *e)
{
    enum rc rc = RC_OK;
    if (v->type != VALUE_LIST && v->type != VALUE_MAP)
        return model_error(e, RC_CONFIG, &v->place,
                           "the children of the group '%.80s' must be a list, not %s", g->pub.name,
                           value_type_text(v));
    for (size_t i = 0; rc == RC_OK && v->type == VALUE_MAP && i < v->u.map.count; i++)
        rc = script_child(inv, g, v->u.map.pairs[i].key, &v->place, e);
    for (size_t i = 0; rc == RC_OK && v->type == VALUE_LIST && i < v->u.list.count; i++) {
        const struct value *name = v->u.list.items[i];
        if (name->type != VALUE_STRING)
            rc = model_error(e, RC_CONFIG, &name->place,
                             "a child of the group '%.80s' must be a text, not %s", g->pub.name,
                             value_type_text(name));
        else
            rc = script_child(inv, g, name->u.string.data, &name->place, e);
    }
    return rc;
}

static enum rc script_vars(struct inventory *inv, struct group *g, const struct value *v,
                           struct err *e)
{
    if (v->type != VALUE_MAP)
        return model_error(e, RC_CONFIG, &v->place,
                           "the vars of the group '%.80s' must be an object, not %s", g->pub.name,
                           value_type_text(v));
    return add_vars(inv, g, v, e);
}

static enum rc script_group(struct inventory *inv, const char *name, const struct value *data,
                            struct list *hosts, struct err *e)
{
    struct group *g;
    enum rc rc = model_group(inv, name, &data->place, &g, e);
    if (rc != RC_OK)
        return rc;
    if (data->type != VALUE_MAP)
        return script_hosts(inv, g, data, hosts, e);
    const struct value *members = value_get(data, "hosts"), *vars = value_get(data, "vars"),
                       *children = value_get(data, "children");
    if (members == NULL && vars == NULL && children == NULL) {
        /* The short form: a host, its variables. The group has the same name, and gets them. */
        struct host *h;
        rc = model_host(inv, name, g, 0, &data->place, &h, e);
        if (rc == RC_OK && model_list_add(inv, hosts, h) != 0)
            rc = err_nomem(e);
        return rc == RC_OK ? add_vars(inv, g, data, e) : rc;
    }
    if (members != NULL)
        rc = script_hosts(inv, g, members, hosts, e);
    if (rc == RC_OK && vars != NULL)
        rc = script_vars(inv, g, vars, e);
    if (rc == RC_OK && children != NULL)
        rc = script_children(inv, g, children, e);
    return rc;
}

enum rc source_script_host(struct inventory *inv, struct host *h, const struct value *doc,
                           struct err *e)
{
    if (doc->type != VALUE_MAP)
        return model_error(e, RC_CONFIG, &doc->place,
                           "the variables of the host '%.80s' must be an object, not %s",
                           h->pub.name, value_type_text(doc));
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < doc->u.map.count; i++)
        rc = model_host_var(inv, h, doc->u.map.pairs[i].key, doc->u.map.pairs[i].value, e);
    return rc;
}

/* Variables of hosts that no group names are dropped, as Ansible does. */
static enum rc apply_hostvars(struct inventory *inv, const struct value *hostvars,
                              const struct list *hosts, struct err *e)
{
    if (hostvars->type != VALUE_MAP)
        return model_error(e, RC_CONFIG, &hostvars->place,
                           "_meta.hostvars must be an object, not %s", value_type_text(hostvars));
    struct map named;
    map_init(&named);
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < hosts->count; i++) {
        struct host *h = hosts->items[i];
        if (map_puts(&named, h->pub.name, h) != 0)
            rc = err_nomem(e);
    }
    for (size_t i = 0; rc == RC_OK && i < hostvars->u.map.count; i++) {
        struct host *h = map_gets(&named, hostvars->u.map.pairs[i].key);
        if (h != NULL)
            rc = source_script_host(inv, h, hostvars->u.map.pairs[i].value, e);
    }
    map_fini(&named);
    return rc;
}

enum rc source_script_list(struct inventory *inv, const struct value *doc, bool *has_meta,
                           struct list *hosts, struct err *e)
{
    *has_meta = false;
    if (doc->type != VALUE_MAP)
        return model_error(e, RC_CONFIG, &doc->place,
                           "an inventory in JSON must be an object of groups, not %s",
                           value_type_text(doc));
    const struct value *meta = NULL;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < doc->u.map.count; i++) {
        const struct value_pair *p = &doc->u.map.pairs[i];
        if (strcmp(p->key, "_meta") == 0)
            meta = value_get(p->value, "hostvars");
        else
            rc = script_group(inv, p->key, p->value, hosts, e);
    }
    *has_meta = meta != NULL;
    return rc == RC_OK && meta != NULL ? apply_hostvars(inv, meta, hosts, e) : rc;
}

/* --- inline lists --- */

static enum rc inline_host(struct inventory *inv, const char *word, struct err *e)
{
    struct hostrange r;
    if (strchr(word, '[') != NULL && word[0] != '[')
        return err_set(e, RC_CONFIG,
                       "-i '%.80s': a list of hosts takes no ranges; write -w with a range "
                       "(web[1-20]) instead",
                       word);
    enum rc rc = hostrange_init(&r, &inv->patterns, word, e);
    struct vars none = {0};
    struct value_place at = {0};
    if (rc == RC_OK && map_gets(&inv->hosts, r.text) == NULL)
        rc = add_names(inv, &r, inv->ungrouped, &none, &at, e);
    hostrange_fini(&r);
    return rc;
}

enum rc source_inline(struct inventory *inv, const char *text, struct err *e)
{
    enum rc rc = RC_OK;
    while (rc == RC_OK && *text != '\0') {
        size_t n = strcspn(text, ",");
        const char *s = text, *end = text + n;
        while (s < end && strchr(" \t\r\n", *s) != NULL)
            s++;
        while (end > s && strchr(" \t\r\n", end[-1]) != NULL)
            end--;
        char *word = end > s ? arena_strndup(&inv->arena, s, (size_t)(end - s)) : NULL;
        if (end > s)
            rc = word ? inline_host(inv, word, e) : err_nomem(e);
        text += n + (text[n] == ',');
    }
    return rc;
}
