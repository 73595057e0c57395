/* See jump.h. */
#include "controller/run/jump.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/run/jump_text.h"

enum { UNKNOWN_WAY = UINT32_MAX, MAX_TEXT = 16 * 1024 };

/* What a text that names bastions came to; the same for all hosts that share it. */
struct wish {
    struct jump_chain *chains; /* alternates */
    uint32_t count;            /* 0: nothing is said about bastions */
    struct jump_words words;   /* of words for ssh, less their chain */
    uint32_t way;              /* UNKNOWN_WAY until somebody needs it */
    const char *bad;           /* why it cannot be used, or NULL */
};

/* Whose bastion is being looked for: a circle is found by it. */
struct path {
    const char *names[JUMP_MAX_DEPTH + 1];
    uint32_t count;
};

enum rc jumps_init(struct jumps *j, const struct options *o, const struct target_defaults *d,
                   const struct inventory *inv, struct keys *keys, struct arena *arena,
                   struct err *e)
{
    memset(j, 0, sizeof *j);
    j->options = o;
    j->inv = inv;
    j->keys = keys;
    j->arena = arena;
    j->defaults = *d;
    j->defaults.user = d->own_user;
    j->defaults.user_given = j->defaults.port_given = false;
    j->defaults.port = 22;
    j->defaults.host_key_alias = NULL;
    map_init(&j->by_hop);
    map_init(&j->by_way);
    map_init(&j->by_text);
    if (mem_grow(&j->ways, &j->way_cap, 1, sizeof *j->ways) != 0)
        return err_nomem(e);
    j->ways[0] = (struct way){.text = ""};
    j->way_count = 1;
    struct jump_chain c;
    enum rc rc = o->jump != NULL ? jump_read(&c, o->jump, arena, e) : RC_OK;
    if (rc == RC_PARSE || rc == RC_LIMIT) {
        e->rc = RC_USAGE;
        rc = err_wrap(e, "--jump");
    }
    return rc;
}

void jumps_fini(struct jumps *j)
{
    mem_free(j->hops);
    mem_free(j->ways);
    map_fini(&j->by_hop);
    map_fini(&j->by_way);
    map_fini(&j->by_text);
    memset(j, 0, sizeof *j);
}

/* ---- hops and ways, each kept once ---- */

static const char *keep(struct arena *arena, const struct buf *b)
{
    return arena_strndup(arena, b->len > 0 ? (const char *)b->data : "", b->len);
}

static enum rc find_or_add(struct map *m, struct jumps *j, const struct buf *key, uint32_t next,
                           uint32_t *id)
{
    void *found = map_get(m, (const char *)key->data, key->len);
    if (found != NULL) {
        *id = (uint32_t)(uintptr_t)found - 1;
        return RC_EXISTS;
    }
    const char *copy = keep(j->arena, key);
    if (copy == NULL || map_put(m, copy, key->len, (void *)(uintptr_t)(next + 1), NULL) != 0)
        return RC_NOMEM;
    *id = next;
    return RC_OK;
}

static enum rc add_hop(struct jumps *j, const struct hop *h, uint32_t *id, struct err *e)
{
    const struct target *t = &h->target;
    struct buf key;
    buf_init(&key, MAX_TEXT);
    if (j->hop_count == JUMP_MAX_HOPS)
        return err_set(e, RC_LIMIT, "more than %d bastions", JUMP_MAX_HOPS);
    enum rc rc = buf_printf(&key, "%s\n%s\n%s\n%s\n%u\n%u\n", t->name, t->user, t->address,
                            t->key_name, t->port, h->way);
    if (rc == RC_OK)
        rc = buf_append(&key, t->keys, t->key_count);
    if (rc == RC_OK && mem_grow(&j->hops, &j->hop_cap, j->hop_count + 1, sizeof *j->hops) != 0)
        rc = RC_NOMEM;
    if (rc == RC_OK)
        rc = find_or_add(&j->by_hop, j, &key, j->hop_count, id);
    buf_fini(&key);
    if (rc == RC_OK)
        j->hops[j->hop_count++] = *h;
    if (rc == RC_OK || rc == RC_EXISTS)
        return RC_OK;
    return rc == RC_NOMEM ? err_nomem(e) : err_set(e, rc, "its connection variables are too long");
}

static enum rc way_text(struct jumps *j, struct way *w)
{
    struct buf b;
    enum rc rc = RC_OK;
    buf_init(&b, MAX_TEXT);
    for (uint32_t i = 0; rc == RC_OK && i < w->count; i++) {
        const struct hop *h = &j->hops[w->hops[i]];
        const char *before = j->ways[h->way].text;
        rc = buf_printf(&b, "%s%s%s%s", i > 0 ? " or " : "", before, *before != '\0' ? " > " : "",
                        h->target.name);
    }
    w->text = rc == RC_OK ? keep(j->arena, &b) : NULL;
    buf_fini(&b);
    return w->text != NULL ? RC_OK : RC_NOMEM;
}

static enum rc add_way(struct jumps *j, const uint32_t *hops, uint32_t count, uint32_t *id,
                       struct err *e)
{
    struct way w = {.count = count};
    struct buf key;
    memcpy(w.hops, hops, count * sizeof *hops);
    buf_init(&key, sizeof w.hops);
    enum rc rc = buf_append(&key, hops, count * sizeof *hops);
    if (rc == RC_OK)
        rc = way_text(j, &w);
    if (rc == RC_OK && mem_grow(&j->ways, &j->way_cap, j->way_count + 1, sizeof *j->ways) != 0)
        rc = RC_NOMEM;
    if (rc == RC_OK)
        rc = find_or_add(&j->by_way, j, &key, j->way_count, id);
    buf_fini(&key);
    if (rc == RC_OK)
        j->ways[j->way_count++] = w;
    return rc == RC_OK || rc == RC_EXISTS ? RC_OK : err_nomem(e);
}

/* ---- what is wished for a host ---- */

static enum rc wish_bad(struct jumps *j, struct wish *w, const char *what, enum rc rc,
                        const struct err *why)
{
    char text[1024];
    if (rc == RC_NOMEM)
        return rc;
    snprintf(text, sizeof text, "%s: %s", what, why->msg);
    w->bad = arena_strdup(j->arena, text);
    return w->bad != NULL ? RC_OK : RC_NOMEM;
}

/* Alternates, one a line. */
static enum rc read_chains(struct jumps *j, struct wish *w, const char *what, const char *text)
{
    struct err e = {0};
    struct jump_chain c;
    w->chains = arena_calloc(j->arena, JUMP_MAX_ALTERNATES, sizeof *w->chains);
    if (w->chains == NULL)
        return RC_NOMEM;
    enum rc rc = RC_OK;
    while (rc == RC_OK) {
        size_t n = strcspn(text, "\n");
        const char *one = arena_strndup(j->arena, text, n);
        rc = one != NULL ? jump_read(&c, one, j->arena, &e) : RC_NOMEM;
        if (rc == RC_OK && w->count == JUMP_MAX_ALTERNATES)
            rc = err_set(&e, RC_LIMIT, "more than %d bastions to choose from", JUMP_MAX_ALTERNATES);
        if (rc == RC_OK)
            w->chains[w->count++] = c;
        if (text[n] == '\0')
            break;
        text += n + 1;
    }
    for (uint32_t i = 0; rc == RC_OK && w->count > 1 && i < w->count; i++)
        if (w->chains[i].count == 0)
            rc = err_set(&e, RC_PARSE, "'none' leaves nothing to choose from");
    return rc == RC_OK ? RC_OK : wish_bad(j, w, what, rc, &e);
}

static enum rc read_words(struct jumps *j, struct wish *w, const char *what, const char *text)
{
    struct err e = {0};
    enum rc rc = jump_words_read(&w->words, text, j->arena, &e);
    if (rc != RC_OK)
        return wish_bad(j, w, what, rc, &e);
    if (w->words.has_chain) {
        w->chains = &w->words.chain;
        w->count = 1;
    }
    return RC_OK;
}

static enum rc read_command(struct jumps *j, struct wish *w, const char *what, const char *text)
{
    struct err e = {0};
    w->chains = arena_calloc(j->arena, 1, sizeof *w->chains);
    if (w->chains == NULL)
        return RC_NOMEM;
    w->count = 1;
    enum rc rc = jump_read_command(w->chains, text, j->arena, &e);
    return rc == RC_OK ? RC_OK : wish_bad(j, w, what, rc, &e);
}

/* kind: 'j' bastions, 'w' words for ssh, 'c' a ProxyCommand. Read once for all hosts with the same
 * text. */
static enum rc make_wish(struct jumps *j, char kind, const char *what, const struct buf *text,
                         struct wish **out)
{
    struct buf key;
    buf_init(&key, MAX_TEXT + 256);
    enum rc rc = buf_printf(&key, "%c%s:", kind, what);
    if (rc == RC_OK)
        rc = buf_append(&key, text->data, text->len);
    if (rc == RC_OK)
        *out = map_get(&j->by_text, (const char *)key.data, key.len);
    if (rc != RC_OK || *out != NULL) {
        buf_fini(&key);
        return rc;
    }
    struct wish *w = arena_calloc(j->arena, 1, sizeof *w);
    const char *copy = keep(j->arena, text), *name = keep(j->arena, &key);
    if (w == NULL || copy == NULL || name == NULL)
        rc = RC_NOMEM;
    else
        rc = kind == 'j'   ? read_chains(j, w, what, copy)
             : kind == 'w' ? read_words(j, w, what, copy)
                           : read_command(j, w, what, copy);
    if (rc == RC_OK && map_put(&j->by_text, name, key.len, w, NULL) != 0)
        rc = RC_NOMEM;
    buf_fini(&key);
    if (rc != RC_OK)
        return rc;
    w->way = UNKNOWN_WAY;
    *out = w;
    return RC_OK;
}

static enum rc append_text(struct buf *b, const struct value *v, char between, struct err *e)
{
    enum rc rc = b->len > 0 ? buf_putc(b, between) : RC_OK;
    size_t at = b->len;
    if (rc == RC_OK)
        rc = value_text(v, b, e);
    if (rc == RC_OK && (memchr(b->data + at, '\0', b->len - at) != NULL ||
                        memchr(b->data + at, '\n', b->len - at) != NULL))
        rc = err_set(e, RC_PARSE, "holds a NUL or a newline");
    return rc;
}

/* muster_jump: one text, or a list of which any will do. */
static enum rc jump_variable(struct jumps *j, const struct value *v, struct wish **out,
                             struct err *e)
{
    struct buf text;
    enum rc rc = RC_OK;
    buf_init(&text, MAX_TEXT);
    if (v->type == VALUE_LIST && v->u.list.count == 0)
        rc = err_set(e, RC_PARSE, "an empty list of bastions; 'none' goes directly");
    for (size_t i = 0; v->type == VALUE_LIST && rc == RC_OK && i < v->u.list.count; i++)
        rc = append_text(&text, v->u.list.items[i], '\n', e);
    if (v->type != VALUE_LIST)
        rc = append_text(&text, v, '\n', e);
    if (rc == RC_OK && text.len > 0) /* an empty text says nothing */
        rc = make_wish(j, 'j', "variable muster_jump", &text, out);
    buf_fini(&text);
    return rc;
}

/* How hosts are reached is shown and recorded: nothing of it may be a secret. */
static enum rc clear_variable(const struct jumps *j, const struct inv_host *host, const char *name,
                              const struct value **out, struct err *e)
{
    struct value opened;
    char place[512];
    enum rc rc = inventory_host_conn_open(j->inv, host, name, &opened, out, e);
    if (rc != RC_OK || *out != &opened)
        return rc;
    *out = NULL;
    return err_set(e, RC_CONFIG,
                   "%s: sealed; how a host is reached is shown and recorded, so it "
                   "has to stand in clear text",
                   value_place_text(place, sizeof place, &opened));
}

/* Ansible puts them one after the other, and ssh takes what it reads first. */
static enum rc word_variables(struct jumps *j, const struct inv_host *host, struct wish **out,
                              const char **which, struct err *e)
{
    static const char *const names[][2] = {{"ssh_args", "variable ansible_ssh_args"},
                                           {"ssh_common_args", "variable ansible_ssh_common_args"},
                                           {"ssh_extra_args", "variable ansible_ssh_extra_args"}};
    struct buf text;
    enum rc rc = RC_OK;
    buf_init(&text, MAX_TEXT);
    for (size_t i = 0; rc == RC_OK && i < 3; i++) {
        const struct value *v;
        rc = clear_variable(j, host, names[i][0], &v, e);
        if (rc != RC_OK)
            *which = names[i][1];
        if (rc != RC_OK || v == NULL || v->type == VALUE_NULL)
            continue;
        *which = *which == NULL ? names[i][1] : "variables ansible_ssh_*args";
        rc = append_text(&text, v, ' ', e);
    }
    if (rc == RC_OK && text.len > 0)
        rc = make_wish(j, 'w', *which, &text, out);
    buf_fini(&text);
    return rc;
}

static enum rc plain_wish(struct jumps *j, char kind, const char *what, const char *from,
                          struct wish **out)
{
    struct buf text;
    buf_init(&text, MAX_TEXT);
    enum rc rc = buf_puts(&text, from);
    if (rc == RC_OK)
        rc = make_wish(j, kind, what, &text, out);
    buf_fini(&text);
    return rc;
}

/* What is said for the host; *out NULL: nothing. --jump is for the targets, not for their bastions.
 */
static enum rc find_wish(struct jumps *j, struct target *t, bool is_hop, struct wish **out,
                         struct wish **words)
{
    struct err e = {0};
    const char *which = NULL;
    const struct value *v = NULL;
    bool given = !is_hop && j->options->jump != NULL;
    enum rc rc = t->host != NULL ? word_variables(j, t->host, words, &which, &e) : RC_OK;
    if (rc == RC_OK && t->host != NULL && !given) {
        rc = clear_variable(j, t->host, "jump", &v, &e);
        which = rc != RC_OK ? "variable muster_jump" : which;
    }
    *out = *words;
    if (rc == RC_OK && given) {
        rc = plain_wish(j, 'j', "--jump", j->options->jump, out);
    } else if (rc == RC_OK && v != NULL && v->type != VALUE_NULL) {
        which = "variable muster_jump";
        rc = jump_variable(j, v, out, &e);
    } else if (rc == RC_OK && (*words == NULL || !(*words)->words.has_chain)) {
        if (t->openssh != NULL) /* ssh reads its file itself */
            return RC_OK;
        if (t->config_jump != NULL)
            rc = plain_wish(j, 'j', which = "ssh_config's ProxyJump", t->config_jump, out);
        else if (t->config_command != NULL)
            rc = plain_wish(j, 'c', which = "ssh_config's ProxyCommand", t->config_command, out);
    }
    if (rc == RC_OK || rc == RC_NOMEM)
        return rc;
    char text[1024];
    snprintf(text, sizeof text, "%s: %s", which != NULL ? which : "--jump",
             e.msg[0] != '\0' ? e.msg : "too long");
    t->bad = arena_strdup(j->arena, text);
    return t->bad != NULL ? RC_OK : RC_NOMEM;
}

/* ---- from wishes to ways ---- */

static enum rc find_way(struct jumps *j, struct target *t, bool is_hop, struct path *path,
                        uint32_t *way, struct err *e);

static enum rc circle(const struct path *p, const char *name, struct err *e)
{
    char text[600];
    size_t len = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < p->count && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s is behind ", p->names[i]);
    return err_set(e, RC_CONFIG, "bastions in a circle: %s%s", text, name);
}

/* The first hop of a chain may itself be behind something. */
static enum rc way_to_first(struct jumps *j, struct hop *h, struct path *path, struct err *e)
{
    const char *name = h->target.name;
    for (uint32_t i = 0; i < path->count; i++)
        if (strcmp(path->names[i], name) == 0)
            return circle(path, name, e);
    if (path->count == JUMP_MAX_DEPTH)
        return err_set(e, RC_LIMIT, "more than %d bastions one behind the other", JUMP_MAX_DEPTH);
    path->names[path->count++] = name;
    enum rc rc = find_way(j, &h->target, true, path, &h->way, e);
    path->count--;
    return rc;
}

static enum rc fill_hop(struct jumps *j, const struct jump_host *from, struct target *t,
                        struct err *e)
{
    const struct inv_host *host = inventory_host_find(j->inv, from->host);
    enum rc rc = target_init_named(t, &j->defaults, j->inv, host, from->host, j->keys, j->arena, e);
    if (rc != RC_OK)
        return rc;
    if (t->bad != NULL)
        return err_set(e, RC_CONFIG, "%s", t->bad);
    if (t->openssh != NULL)
        return err_set(
            e, RC_CONFIG,
            "only OpenSSH's ssh can reach it (%s), and nothing of ours goes through that",
            t->openssh);
    if (from->user != NULL)
        t->user = from->user;
    if (from->port != 0)
        t->port = from->port;
    if (from->key == NULL)
        return RC_OK;
    unsigned id;
    rc = keys_add(j->keys, from->key, &id, e);
    t->key_count = rc == RC_OK;
    t->keys[0] = rc == RC_OK ? (uint8_t)id : 0;
    return rc;
}

/* From the hop nearest to us to the one in front of the host; *id is the last one's. */
static enum rc walk_chain(struct jumps *j, const struct jump_chain *c, struct path *path,
                          uint32_t *id, struct err *e)
{
    uint32_t way = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        struct hop h = {.way = way};
        enum rc rc = fill_hop(j, &c->hosts[i], &h.target, e);
        if (rc == RC_OK && i == 0 && h.target.host != NULL)
            rc = way_to_first(j, &h, path, e);
        if (rc == RC_OK)
            rc = add_hop(j, &h, id, e);
        if (rc == RC_OK)
            rc = add_way(j, id, 1, &way, e);
        if (rc != RC_OK)
            return rc == RC_NOMEM ? rc : err_wrap(e, "bastion %s", c->hosts[i].host);
    }
    return RC_OK;
}

/* A bastion is not behind itself: a variable of a whole group names it for its own host too. */
static bool names_itself(const struct wish *w, const char *name)
{
    for (uint32_t i = 0; i < w->count; i++)
        for (uint32_t k = 0; k < w->chains[i].count; k++)
            if (strcmp(w->chains[i].hosts[k].host, name) == 0)
                return true;
    return false;
}

static enum rc apply_words(struct jumps *j, struct target *t, const struct jump_words *w,
                           bool is_hop, struct err *e)
{
    const struct options *o = j->options;
    if (w->user != NULL && (is_hop || o->user == NULL || o->user_is_default))
        t->user = t->dial.user = w->user;
    if (w->port != 0 && (is_hop || o->port == 0 || o->port_is_default))
        t->port = t->dial.port = w->port;
    if (w->key_alias != NULL && !t->alias) {
        t->alias = true;
        t->key_name = t->dial.alias = w->key_alias;
    }
    if (w->key == NULL || (!is_hop && o->keys.count > 0 && !o->keys_are_default))
        return RC_OK;
    unsigned id;
    enum rc rc = keys_add(j->keys, w->key, &id, e);
    if (rc != RC_OK)
        return rc;
    t->keys[0] = (uint8_t)id;
    t->key_count = 1;
    t->dial.key = w->key;
    return RC_OK;
}

static enum rc make_way(struct jumps *j, const struct wish *w, struct path *path, uint32_t *way,
                        struct err *e)
{
    uint32_t ids[JUMP_MAX_ALTERNATES];
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < w->count; i++)
        rc = walk_chain(j, &w->chains[i], path, &ids[i], e);
    return rc == RC_OK ? add_way(j, ids, w->count, way, e) : rc;
}

static enum rc find_way(struct jumps *j, struct target *t, bool is_hop, struct path *path,
                        uint32_t *way, struct err *e)
{
    struct wish *w = NULL, *words = NULL;
    *way = 0;
    enum rc rc = find_wish(j, t, is_hop, &w, &words);
    if (rc != RC_OK)
        return err_nomem(e);
    const char *bad = t->bad != NULL                ? t->bad
                      : words != NULL && words->bad ? words->bad
                      : w != NULL                   ? w->bad
                                                    : NULL;
    if (bad != NULL)
        return err_set(e, RC_CONFIG, "%s", bad);
    if (words != NULL && (rc = apply_words(j, t, &words->words, is_hop, e)) != RC_OK)
        return rc;
    if (w == NULL || w->count == 0 || w->chains[0].count == 0 || names_itself(w, t->name))
        return RC_OK;
    if (w->way == UNKNOWN_WAY) {
        uint32_t made = UNKNOWN_WAY;
        rc = make_way(j, w, path, &made, e);
        if (rc != RC_OK)
            return rc;
        w->way = made;
    }
    *way = w->way;
    return RC_OK;
}

enum rc jumps_find(struct jumps *j, struct target *t, struct err *e)
{
    struct err why = {0};
    struct path path = {.names = {t->name}, .count = 1};
    if (t->bad != NULL)
        return RC_OK;
    enum rc rc = find_way(j, t, false, &path, &t->way, &why);
    if (rc == RC_OK)
        return rc;
    if (rc == RC_NOMEM)
        return err_nomem(e);
    t->bad = arena_strdup(j->arena, why.msg);
    return t->bad != NULL ? RC_OK : err_nomem(e);
}
