/* See yamldoc.h. libyaml gives events; this composes them the way PyYAML's composer and constructor
 * do. Recursion is bounded by INVENTORY_MAX_DEPTH. */
#include "inventory/yamldoc.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "common/map.h"
#include "common/mem.h"
#include "common/str.h"
#include "inventory/inventory.h"
#include "inventory/model.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

struct anchor {
    const struct value *value; /* NULL while it is still being read */
    uint64_t weight;           /* values it stands for, aliases written out */
    unsigned height;           /* levels below it */
};

struct composer {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    struct arena *arena;
    const char *file;
    struct map anchors; /* name → struct anchor *, all in the arena */
    uint64_t weight;    /* values so far */
    unsigned unsafe;    /* levels of !unsafe around us */
    unsigned height;    /* levels below the value read last */
    void **items;       /* stack of the lists being read */
    size_t item_count, item_cap;
    struct value_pair *pairs; /* stack of the maps being read */
    size_t pair_count, pair_cap;
    struct err *e;
};

static struct value_place place_of(const struct composer *c, yaml_mark_t mark)
{
    return model_place(c->file, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1);
}

static enum rc fail_at(struct composer *c, enum rc rc, struct value_place at, const char *what)
{
    return model_error(c->e, rc, &at, "%s", what);
}

/* libyaml names what it met; this is what the person most likely did. */
static const char *likely_cause(const char *problem)
{
    static const struct {
        const char *problem, *cause;
    } causes[] = {
        {"cannot start any token",
         "; a tab? YAML is indented with blanks, and a text that begins with "
         "@, ` or % needs quotes"},
        {"mapping values are not allowed", "; a second ': ' on the line? then quote the text"},
        {"did not find expected key",
         "; is this line indented as the one above it, and is every quote "
         "closed?"},
        {"did not find expected '-'", "; a list goes on with '- ', and indented as it began"},
        {"could not find expected ':'", "; a key ends with ':'"},
    };
    for (size_t i = 0; problem != NULL && i < sizeof causes / sizeof causes[0]; i++)
        if (strstr(problem, causes[i].problem) != NULL)
            return causes[i].cause;
    return "";
}

static enum rc parser_error(struct composer *c)
{
    const yaml_parser_t *p = &c->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return err_nomem(c->e);
    struct value_place at = place_of(c, p->problem_mark);
    if (p->error == YAML_READER_ERROR) /* no mark: say where in bytes */
        return err_set(c->e, RC_PARSE, "%s: byte %zu: not UTF-8 text (%s)", c->file,
                       p->problem_offset, p->problem ? p->problem : "");
    return model_error(c->e, RC_PARSE, &at, "%s%s%s%s", p->problem ? p->problem : "not YAML",
                       p->context ? " " : "", p->context ? p->context : "",
                       likely_cause(p->problem));
}

static enum rc next_event(struct composer *c)
{
    if (c->have_event)
        yaml_event_delete(&c->event);
    c->have_event = yaml_parser_parse(&c->parser, &c->event) != 0;
    return c->have_event ? RC_OK : parser_error(c);
}

/* --- scalars --- */

static bool is_tag(const char *tag, const char *name)
{
    return str_starts(tag, TAG_PREFIX) && strcmp(tag + strlen(TAG_PREFIX), name) == 0;
}

static enum rc set_string(struct composer *c, struct value *v, enum value_type type, unsigned flags)
{
    v->type = type;
    v->flags = flags;
    v->u.string.data = arena_strndup(c->arena, (const char *)c->event.data.scalar.value,
                                     c->event.data.scalar.length);
    v->u.string.len = c->event.data.scalar.length;
    return v->u.string.data ? RC_OK : err_nomem(c->e);
}

static enum rc resolve_plain(struct composer *c, struct value *v)
{
    struct err inner;
    enum rc rc = yamldoc_resolve(c->arena, (const char *)c->event.data.scalar.value,
                                 c->event.data.scalar.length, v, &inner);
    if (rc == RC_NOMEM)
        return err_nomem(c->e);
    if (rc == RC_OK && v->type == VALUE_STRING && c->unsafe > 0)
        v->flags |= VALUE_UNSAFE;
    return rc == RC_OK ? rc : fail_at(c, rc, v->place, inner.msg);
}

static enum rc unknown_tag(struct composer *c, struct value_place at, const char *tag)
{
    return model_error(c->e, RC_PARSE, &at,
                       "the tag '%.80s' is not known (!vault, !unsafe and YAML's own are)", tag);
}

/* !!int "5" and the like: the text must resolve to the type that the tag names. */
static enum rc tagged_scalar(struct composer *c, struct value *v, const char *tag)
{
    static const struct {
        const char *name;
        enum value_type type;
    } types[] = {
        {"null", VALUE_NULL}, {"bool", VALUE_BOOL}, {"int", VALUE_INT}, {"float", VALUE_FLOAT}};
    if (is_tag(tag, "str") || is_tag(tag, "timestamp") || is_tag(tag, "binary") ||
        is_tag(tag, "python/unicode"))
        return set_string(c, v, VALUE_STRING, c->unsafe ? VALUE_UNSAFE : 0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!is_tag(tag, types[i].name))
            continue;
        enum rc rc = resolve_plain(c, v);
        if (rc == RC_OK && types[i].type == VALUE_FLOAT && v->type == VALUE_INT) {
            v->type = VALUE_FLOAT;
            v->u.real = (double)v->u.integer;
        }
        if (rc == RC_OK && v->type != types[i].type && types[i].type != VALUE_NULL)
            return fail_at(c, RC_PARSE, v->place, "the text is not of the type that its tag names");
        if (types[i].type == VALUE_NULL)
            v->type = VALUE_NULL;
        return rc;
    }
    return unknown_tag(c, v->place, tag);
}

static enum rc compose_scalar(struct composer *c, struct value *v)
{
    const char *tag = (const char *)c->event.data.scalar.tag;
    c->height = 0;
    if (tag == NULL || strcmp(tag, "!") == 0) {
        if (c->event.data.scalar.plain_implicit)
            return resolve_plain(c, v);
        return set_string(c, v, VALUE_STRING, c->unsafe ? VALUE_UNSAFE : 0);
    }
    if (strcmp(tag, "!vault") == 0 || strcmp(tag, "!vault-encrypted") == 0)
        return set_string(c, v, VALUE_VAULT, 0);
    if (strcmp(tag, "!unsafe") == 0)
        return set_string(c, v, VALUE_STRING, VALUE_UNSAFE);
    return tagged_scalar(c, v, tag);
}

/* --- anchors --- */

static enum rc put_anchor(struct composer *c, const yaml_char_t *name, struct value_place at,
                          struct anchor **out)
{
    *out = NULL;
    if (name == NULL)
        return RC_OK;
    size_t len = strlen((const char *)name);
    if (map_has(&c->anchors, (const char *)name, len))
        return model_error(c->e, RC_PARSE, &at, "the anchor '&%.80s' is already taken", name);
    char *copy = arena_strndup(c->arena, (const char *)name, len);
    *out = arena_calloc(c->arena, 1, sizeof **out);
    if (copy == NULL || *out == NULL || map_put(&c->anchors, copy, len, *out, NULL) != 0)
        return err_nomem(c->e);
    return RC_OK;
}

static enum rc compose_alias(struct composer *c, unsigned depth, const struct value **out)
{
    struct value_place at = place_of(c, c->event.start_mark);
    const char *name = (const char *)c->event.data.alias.anchor;
    const struct anchor *a = map_gets(&c->anchors, name);
    if (a == NULL)
        return model_error(c->e, RC_PARSE, &at,
                           "no anchor '&%.80s' stands before this alias; a text that begins with "
                           "* needs quotes",
                           name);
    if (a->value == NULL)
        return model_error(c->e, RC_PARSE, &at, "the anchor '&%.80s' holds itself", name);
    c->weight += a->weight;
    if (c->weight > YAMLDOC_MAX_EXPANDED)
        return model_error(c->e, RC_LIMIT, &at,
                           "the alias '*%.80s' makes the document stand for more than %d values",
                           name, YAMLDOC_MAX_EXPANDED);
    if (depth + a->height > INVENTORY_MAX_DEPTH)
        return model_error(c->e, RC_LIMIT, &at, "the alias '*%.80s' nests deeper than %d levels",
                           name, INVENTORY_MAX_DEPTH);
    c->height = a->height;
    *out = a->value;
    return RC_OK;
}

/* --- collections --- */

static enum rc compose(struct composer *c, unsigned depth, const struct value **out);

static enum rc enter(struct composer *c, const char *tag, const char *kind, struct value_place at,
                     unsigned depth, bool *unsafe)
{
    *unsafe = tag != NULL && strcmp(tag, "!unsafe") == 0;
    if (depth >= INVENTORY_MAX_DEPTH)
        return model_error(c->e, RC_LIMIT, &at, "nested deeper than %d levels",
                           INVENTORY_MAX_DEPTH);
    if (tag != NULL && !*unsafe && strcmp(tag, "!") != 0 && !is_tag(tag, kind) &&
        !(is_tag(tag, "python/dict") && strcmp(kind, "map") == 0))
        return unknown_tag(c, at, tag);
    return RC_OK;
}

static enum rc compose_list(struct composer *c, unsigned depth, struct value *v)
{
    bool unsafe;
    enum rc rc =
        enter(c, (const char *)c->event.data.sequence_start.tag, "seq", v->place, depth, &unsafe);
    size_t base = c->item_count;
    unsigned height = 0;
    c->unsafe += unsafe;
    while (rc == RC_OK && (rc = next_event(c)) == RC_OK &&
           c->event.type != YAML_SEQUENCE_END_EVENT) {
        const struct value *item;
        rc = compose(c, depth + 1, &item);
        if (rc == RC_OK &&
            mem_grow(&c->items, &c->item_cap, c->item_count + 1, sizeof *c->items) != 0)
            rc = err_nomem(c->e);
        if (rc == RC_OK)
            c->items[c->item_count++] = (void *)item;
        height = c->height > height ? c->height : height;
    }
    c->unsafe -= unsafe;
    c->height = height + 1;
    if (rc != RC_OK)
        return rc;
    size_t n = c->item_count - base;
    const struct value **items = arena_alloc(c->arena, n * sizeof *items);
    if (items == NULL)
        return err_nomem(c->e);
    if (n > 0)
        memcpy(items, c->items + base, n * sizeof *items);
    c->item_count = base;
    v->type = VALUE_LIST;
    v->u.list.items = items;
    v->u.list.count = n;
    return RC_OK;
}

/* A key as JSON would write it. */
static enum rc key_text(struct composer *c, const struct value *key, const char **out)
{
    char text[VALUE_FLOAT_TEXT];
    switch (key->type) {
    case VALUE_STRING:
        *out = key->u.string.data;
        if (strlen(*out) != key->u.string.len)
            return fail_at(c, RC_PARSE, key->place, "a key cannot hold a NUL character");
        return RC_OK;
    case VALUE_NULL: *out = "null"; return RC_OK;
    case VALUE_BOOL: *out = key->u.boolean ? "true" : "false"; return RC_OK;
    case VALUE_INT: snprintf(text, sizeof text, "%lld", (long long)key->u.integer); break;
    case VALUE_FLOAT: value_float_text(text, key->u.real); break;
    default: return fail_at(c, RC_PARSE, key->place, "a key must be a text, a number or a boolean");
    }
    *out = arena_strdup(c->arena, text);
    return *out ? RC_OK : err_nomem(c->e);
}

static enum rc push_pair(struct composer *c, const struct value_pair *pair)
{
    if (mem_grow(&c->pairs, &c->pair_cap, c->pair_count + 1, sizeof *c->pairs) != 0)
        return err_nomem(c->e);
    c->pairs[c->pair_count++] = *pair;
    return RC_OK;
}

static bool is_merge_key(const struct composer *c)
{
    return c->event.type == YAML_SCALAR_EVENT && c->event.data.scalar.plain_implicit &&
           c->event.data.scalar.length == 2 && memcmp(c->event.data.scalar.value, "<<", 2) == 0;
}

struct merges {
    const struct value **maps; /* in the order in which their pairs come */
    size_t count, cap;
};

static enum rc add_merge(struct composer *c, struct merges *m, const struct value *v,
                         struct value_place at)
{
    if (v->type != VALUE_MAP)
        return fail_at(c, RC_PARSE, at, "'<<' takes a mapping or a list of mappings");
    if (mem_grow(&m->maps, &m->cap, m->count + 1, sizeof *m->maps) != 0)
        return err_nomem(c->e);
    m->maps[m->count++] = v;
    return RC_OK;
}

/* '<<: *a' or '<<: [*a, *b]', where a wins over b: later pairs replace earlier ones. */
static enum rc merge(struct composer *c, struct merges *m, const struct value *v,
                     struct value_place at)
{
    if (v->type != VALUE_LIST)
        return add_merge(c, m, v, at);
    enum rc rc = RC_OK;
    for (size_t i = v->u.list.count; rc == RC_OK && i > 0; i--)
        rc = add_merge(c, m, v->u.list.items[i - 1], at);
    return rc;
}

/* Python's dict: the first mention gives the place, the last the value. */
static enum rc flatten(struct composer *c, const struct merges *m, size_t base, struct value *v)
{
    size_t own = c->pair_count - base, all = own;
    for (size_t i = 0; i < m->count; i++)
        all += m->maps[i]->u.map.count;
    struct value_pair *pairs = arena_alloc(c->arena, all * sizeof *pairs);
    struct map seen;
    map_init(&seen);
    enum rc rc = pairs ? RC_OK : err_nomem(c->e);
    size_t n = 0;
    for (size_t i = 0; rc == RC_OK && i <= m->count; i++) {
        const struct value_pair *from = i < m->count ? m->maps[i]->u.map.pairs
                                        : own > 0    ? c->pairs + base
                                                     : NULL;
        size_t count = i < m->count ? m->maps[i]->u.map.count : own;
        for (size_t k = 0; rc == RC_OK && k < count; k++) {
            uintptr_t where = (uintptr_t)map_gets(&seen, from[k].key);
            pairs[where ? where - 1 : n] = from[k];
            if (where == 0 && map_puts(&seen, from[k].key, (void *)(uintptr_t)++n) != 0)
                rc = err_nomem(c->e);
        }
    }
    map_fini(&seen);
    v->u.map.pairs = pairs;
    v->u.map.count = n;
    return rc;
}

static enum rc duplicate(struct composer *c, const struct value_pair *first,
                         const struct value_pair *again)
{
    struct value_place at = model_place(c->file, again->line, again->column);
    return model_error(c->e, RC_EXISTS, &at,
                       "the key '%.80s' is here a second time (first at line %u); keep one of them",
                       again->key, first->line);
}

/* Quadratic while small, a table past it. */
static enum rc check_unique(struct composer *c, size_t base)
{
    size_t n = c->pair_count - base;
    if (n == 0)
        return RC_OK;
    const struct value_pair *pairs = c->pairs + base;
    if (n <= 8) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = 0; k < i; k++)
                if (strcmp(pairs[i].key, pairs[k].key) == 0)
                    return duplicate(c, &pairs[k], &pairs[i]);
        return RC_OK;
    }
    struct map seen;
    map_init(&seen);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        void *first;
        if (map_put(&seen, pairs[i].key, strlen(pairs[i].key), (void *)&pairs[i], &first) != 0)
            rc = err_nomem(c->e);
        else if (first != NULL)
            rc = duplicate(c, first, &pairs[i]);
    }
    map_fini(&seen);
    return rc;
}

static enum rc compose_pair(struct composer *c, unsigned depth, struct merges *m, unsigned *height)
{
    struct value_place at = place_of(c, c->event.start_mark);
    bool merging = is_merge_key(c);
    const struct value *key, *value;
    struct value_pair pair = {.line = at.line, .column = at.column};
    enum rc rc = compose(c, depth + 1, &key);
    if (rc == RC_OK && !merging)
        rc = key_text(c, key, &pair.key);
    if (rc == RC_OK)
        rc = next_event(c);
    if (rc == RC_OK)
        rc = compose(c, depth + 1, &value);
    *height = c->height > *height ? c->height : *height;
    if (rc != RC_OK)
        return rc;
    if (merging)
        return merge(c, m, value, at);
    pair.key_type = key->type;
    pair.value = value;
    return push_pair(c, &pair);
}

static enum rc compose_map(struct composer *c, unsigned depth, struct value *v)
{
    bool unsafe;
    enum rc rc =
        enter(c, (const char *)c->event.data.mapping_start.tag, "map", v->place, depth, &unsafe);
    size_t base = c->pair_count;
    unsigned height = 0;
    struct merges m = {0};
    c->unsafe += unsafe;
    while (rc == RC_OK && (rc = next_event(c)) == RC_OK && c->event.type != YAML_MAPPING_END_EVENT)
        rc = compose_pair(c, depth, &m, &height);
    c->unsafe -= unsafe;
    c->height = height + 1;
    v->type = VALUE_MAP;
    if (rc == RC_OK)
        rc = check_unique(c, base);
    if (rc == RC_OK && m.count > 0) {
        rc = flatten(c, &m, base, v);
    } else if (rc == RC_OK) {
        v->u.map.count = c->pair_count - base;
        struct value_pair *pairs = arena_alloc(c->arena, v->u.map.count * sizeof *pairs);
        if (pairs == NULL)
            rc = err_nomem(c->e);
        else if (v->u.map.count > 0)
            memcpy(pairs, c->pairs + base, v->u.map.count * sizeof *pairs);
        v->u.map.pairs = pairs;
    }
    c->pair_count = base;
    mem_free(m.maps);
    return rc;
}

/* The value that begins with the current event; the event read last is its end. */
static enum rc compose(struct composer *c, unsigned depth, const struct value **out)
{
    *out = NULL;
    if (c->event.type == YAML_ALIAS_EVENT)
        return compose_alias(c, depth, out);
    const yaml_char_t *name = c->event.type == YAML_SCALAR_EVENT ? c->event.data.scalar.anchor
                              : c->event.type == YAML_SEQUENCE_START_EVENT
                                  ? c->event.data.sequence_start.anchor
                                  : c->event.data.mapping_start.anchor;
    struct value_place at = place_of(c, c->event.start_mark);
    struct value *v = value_new(c->arena, VALUE_NULL, &at);
    if (v == NULL)
        return err_nomem(c->e);
    uint64_t before = c->weight++;
    struct anchor *anchor;
    enum rc rc = put_anchor(c, name, at, &anchor);
    if (rc != RC_OK)
        return rc;
    switch (c->event.type) {
    case YAML_SCALAR_EVENT: rc = compose_scalar(c, v); break;
    case YAML_SEQUENCE_START_EVENT: rc = compose_list(c, depth, v); break;
    case YAML_MAPPING_START_EVENT: rc = compose_map(c, depth, v); break;
    default: rc = fail_at(c, RC_PARSE, at, "a value is missing"); break;
    }
    if (rc == RC_OK && anchor != NULL)
        *anchor = (struct anchor){.value = v, .weight = c->weight - before, .height = c->height};
    *out = v;
    return rc;
}

/* Stream and document frames around the one document. */
static enum rc compose_document(struct composer *c, const struct value **out)
{
    enum rc rc = next_event(c); /* stream start */
    if (rc == RC_OK)
        rc = next_event(c);
    if (rc != RC_OK || c->event.type == YAML_STREAM_END_EVENT)
        return rc;
    rc = next_event(c);
    if (rc == RC_OK)
        rc = compose(c, 0, out);
    if (rc == RC_OK)
        rc = next_event(c); /* document end */
    if (rc == RC_OK)
        rc = next_event(c);
    if (rc == RC_OK && c->event.type != YAML_STREAM_END_EVENT)
        rc = fail_at(c, RC_PARSE, place_of(c, c->event.start_mark),
                     "a second document begins; one file holds one document");
    return rc;
}

enum rc yamldoc_parse(struct arena *arena, const char *file, const char *text, size_t len,
                      const struct value **out, struct err *e)
{
    struct composer c = {.arena = arena, .file = file, .e = e};
    *out = NULL;
    if (!yaml_parser_initialize(&c.parser))
        return err_nomem(e);
    map_init(&c.anchors);
    yaml_parser_set_input_string(&c.parser, (const unsigned char *)text, len);
    yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
    enum rc rc = compose_document(&c, out);
    if (c.have_event)
        yaml_event_delete(&c.event);
    yaml_parser_delete(&c.parser);
    map_fini(&c.anchors);
    mem_free(c.items);
    mem_free(c.pairs);
    if (rc != RC_OK)
        *out = NULL;
    return rc;
}
