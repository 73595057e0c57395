/* One variable of a host: which of those that set it wins. Looks into files that are sealed as a
 * whole where the caller may open them, and follows one template, "{{ name }}". See inventory.h. */
#include "inventory/inventory.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/model.h"
#include "inventory/sealed.h"

/* One look-up. */
struct probe {
    const struct inventory *inv;
    const struct host *host;
    bool open; /* into sealed files, too */
    const char *name;
    const char *id;   /* the name, interned; NULL: only a sealed file can know it */
    bool from_sealed; /* what was found was in such a file */
    const char *key;  /* and this is its name there */
    enum rc rc;       /* the first error, which ends it */
    struct err *e;
};

static const struct value *set_get(const struct probe *p, const struct vars *set)
{
    return p->id != NULL ? vars_get(set, p->id) : NULL;
}

static const struct value *layer_get(struct probe *p, const struct vars_layer *l)
{
    const struct value_pair *pair = NULL;
    if (l->sealed == NULL)
        return set_get(p, &l->vars);
    if (!p->open || p->rc != RC_OK)
        return NULL;
    p->rc = sealed_get(p->inv, l->sealed, p->name, &pair, p->e);
    if (pair == NULL)
        return NULL;
    p->from_sealed = true;
    p->key = pair->key;
    return pair->value;
}

static bool goes_on(const struct probe *p, const struct value *v)
{
    return v == NULL && p->rc == RC_OK;
}

/* The last of a host's or group's files that knows it; dir UINT32_MAX: beside any source. */
static const struct value *layers_get(struct probe *p, const struct vars_layer *layers, uint32_t n,
                                      uint32_t dir)
{
    const struct value *v = NULL;
    for (uint32_t i = n; goes_on(p, v) && i > 0; i--)
        if (dir == UINT32_MAX || layers[i - 1].dir == dir)
            v = layer_get(p, &layers[i - 1]);
    return v;
}

/* Files of groups: the folder decides before the group does; "all" comes after every other. */
static const struct value *group_files_get(struct probe *p)
{
    const struct inventory *inv = p->inv;
    const struct inv_host *h = &p->host->pub;
    const struct value *v = NULL;
    for (uint32_t d = inv->dirs.count; goes_on(p, v) && d > 0; d--)
        for (uint32_t i = h->group_count; goes_on(p, v) && i > 1; i--) {
            const struct group *g = (const struct group *)h->groups[i - 1];
            v = layers_get(p, g->layers, g->layer_count, d - 1);
        }
    return goes_on(p, v) ? layers_get(p, inv->all->layers, inv->all->layer_count, UINT32_MAX) : v;
}

/* NULL: not set, or p->rc. */
static const struct value *lookup(struct probe *p, const char *name, const char *id)
{
    const struct host *h = p->host;
    p->name = name;
    p->id = id;
    p->key = id;
    p->from_sealed = false;
    const struct value *v = layers_get(p, h->layers, h->layer_count, UINT32_MAX);
    if (goes_on(p, v))
        v = set_get(p, &h->vars);
    if (goes_on(p, v))
        v = group_files_get(p);
    for (uint32_t i = h->pub.group_count; goes_on(p, v) && i > 0; i--)
        v = set_get(p, &((const struct group *)h->pub.groups[i - 1])->vars);
    return v;
}

const struct value *inventory_host_var(const struct inventory *inv, const struct inv_host *h,
                                       const char *name)
{
    must(inv->finished);
    struct probe p = {.inv = inv, .host = (const struct host *)h};
    const char *id =
        map_gets(&inv->names, name); /* a name that nobody set is not even looked for */
    return id != NULL ? lookup(&p, name, id) : NULL;
}

/* --- connection variables --- */

/* In each row the later name wins, which is how Ansible reads its lists of alternatives. */
static const char *const conn_names[][3] = {
    {"host", "ssh_host", NULL},
    {"port", "ssh_port", NULL},
    {"user", "ssh_user", NULL},
    {"password", "ssh_pass", "ssh_password"},
    {"private_key_file", "ssh_private_key_file", NULL},
    {"become_password", "become_pass", NULL},
};

static const struct value *prefixed(struct probe *p, const char *prefix, const char *name)
{
    char full[128];
    size_t before = strlen(prefix), n = strlen(name);
    if (before + n >= sizeof full)
        return NULL;
    memcpy(full, prefix, before);
    memcpy(full + before, name, n + 1);
    const char *id = map_get(&p->inv->names, full, before + n);
    if (id == NULL && (!p->open || p->inv->sealed == NULL))
        return NULL;
    const struct value *v = lookup(p, full, id);
    p->name = NULL; /* it was ours */
    return v;
}

/* p->key: the name that it is set under. */
static const struct value *conn_var(struct probe *p, const char *name)
{
    static const char *const prefixes[] = {"muster_", "ansible_"};
    const char *const single[3] = {name, NULL, NULL};
    const char *const *names = single;
    for (size_t i = 0; i < sizeof conn_names / sizeof conn_names[0]; i++)
        for (int k = 0; k < 3 && conn_names[i][k] != NULL; k++)
            if (strcmp(conn_names[i][k], name) == 0)
                names = conn_names[i];
    const struct value *v = NULL;
    for (int x = 0; goes_on(p, v) && x < 2; x++)
        for (int k = 3; goes_on(p, v) && k > 0; k--)
            if (names[k - 1] != NULL)
                v = prefixed(p, prefixes[x], names[k - 1]);
    return v;
}

const struct value *inventory_host_conn_var(const struct inventory *inv, const struct inv_host *h,
                                            const char *name)
{
    struct probe p = {.inv = inv, .host = (const struct host *)h};
    return conn_var(&p, name);
}

void inventory_set_opener(struct inventory *inv, const struct inventory_opener *opener)
{
    sealed_close(inv->sealed);
    inv->opener = opener != NULL ? *opener : (struct inventory_opener){0};
}

/* --- "{{ name }}" --- */

static bool is_name_byte(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && c >= '0' && c <= '9');
}

/* A text that is one plain variable and nothing else: its name into `name`. */
static bool template_name(const struct value *v, char *name, size_t cap)
{
    if (v == NULL || v->type != VALUE_STRING || (v->flags & VALUE_UNSAFE) != 0)
        return false;
    const char *s = v->u.string.data, *end = s + v->u.string.len;
    size_t n = 0;
    if (v->u.string.len < 5 || memcmp(s, "{{", 2) != 0 || memcmp(end - 2, "}}", 2) != 0)
        return false;
    for (s += 2, end -= 2; s < end && *s == ' ';)
        s++;
    while (end > s && end[-1] == ' ')
        end--;
    while (s + n < end && is_name_byte(s[n], n == 0))
        n++;
    if (n == 0 || n >= cap || s + n != end)
        return false;
    memcpy(name, s, n);
    name[n] = '\0';
    return true;
}

/* One step, as people write "{{ vault_password }}" for what they sealed under another name. What
 * that leads to is never followed again, so there is no circle; nor is a name that is not set. */
static const struct value *follow(struct probe *p, const struct value *v)
{
    char name[128];
    struct probe next = *p;
    if (!template_name(v, name, sizeof name))
        return v;
    const struct value *to = lookup(&next, name, map_gets(&p->inv->names, name));
    if (to == NULL && next.rc == RC_OK)
        return v;
    next.name = NULL;
    *p = next;
    return to;
}

/* --- opening --- */

/* What stood in a sealed file goes where secrets are kept, whatever it is. */
static enum rc keep(const struct inventory *inv, const struct value *v, struct value *space,
                    const struct value **out, struct err *e)
{
    char place[512];
    struct buf text;
    size_t len = 0;
    buf_init(&text, INVENTORY_MAX_FILE);
    enum rc rc = value_text(v, &text, e);
    *out = NULL;
    *space = (struct value){.type = VALUE_STRING, .flags = VALUE_UNSAFE, .place = v->place};
    if (rc == RC_OK && text.len > 0) { /* an empty one is as good as none */
        rc = inv->opener.keep(inv->opener.user, (const char *)text.data, text.len,
                              &space->u.string.data, &len, e);
        if (rc != RC_OK && rc != RC_NOMEM)
            err_wrap(e, "%s", value_place_text(place, sizeof place, v));
        space->u.string.len = len;
        *out = rc == RC_OK ? space : NULL;
    }
    buf_wipe(&text);
    return rc;
}

enum rc inventory_host_conn_open(const struct inventory *inv, const struct inv_host *h,
                                 const char *name, struct value *space, const struct value **out,
                                 struct err *e)
{
    struct probe p = {
        .inv = inv, .host = (const struct host *)h, .open = inv->opener.value != NULL, .e = e};
    const struct value *v = conn_var(&p, name);
    *out = NULL;
    if (p.rc == RC_OK)
        v = follow(&p, v);
    if (p.rc != RC_OK || v == NULL)
        return p.rc;
    if (v->type == VALUE_VAULT && p.open) {
        enum rc rc = inv->opener.value(inv->opener.user, v, p.key, space, e);
        *out = rc == RC_OK ? space : NULL;
        return rc;
    }
    if (p.from_sealed)
        return v->type == VALUE_NULL ? RC_OK : keep(inv, v, space, out, e);
    *out = v;
    return RC_OK;
}
