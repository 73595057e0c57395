/* See jsondoc.h. */
#include "inventory/jsondoc.h"

#include <jansson.h>
#include <string.h>

#include "inventory/inventory.h"
#include "inventory/model.h"

struct convert {
    struct arena *arena;
    struct value_place place;
    struct err *e;
};

static enum rc convert(struct convert *c, const json_t *j, unsigned depth,
                       const struct value **out);

static struct value *text_value(struct convert *c, const json_t *j)
{
    return value_new_string(c->arena, json_string_value(j), json_string_length(j), &c->place);
}

static enum rc convert_list(struct convert *c, const json_t *j, unsigned depth, struct value *v)
{
    size_t n = json_array_size(j);
    const struct value **items = arena_alloc(c->arena, n * sizeof *items);
    if (items == NULL)
        return err_nomem(c->e);
    for (size_t i = 0; i < n; i++) {
        enum rc rc = convert(c, json_array_get(j, i), depth + 1, &items[i]);
        if (rc != RC_OK)
            return rc;
    }
    v->u.list.items = items;
    v->u.list.count = n;
    return RC_OK;
}

/* An object with one of Ansible's two marks is not a mapping. */
static enum rc convert_marked(struct convert *c, const json_t *j, const struct value **out)
{
    const char *const marks[] = {"__ansible_vault", "__ansible_unsafe"};
    for (int i = 0; i < 2; i++) {
        const json_t *text = json_object_get(j, marks[i]);
        if (text == NULL)
            continue;
        if (!json_is_string(text))
            return model_error(c->e, RC_PARSE, &c->place, "%s must hold a text", marks[i]);
        struct value *v = text_value(c, text);
        if (v == NULL)
            return err_nomem(c->e);
        if (i == 0)
            v->type = VALUE_VAULT;
        else
            v->flags = VALUE_UNSAFE;
        *out = v;
        return RC_OK;
    }
    return RC_NOTFOUND;
}

static enum rc convert_map(struct convert *c, json_t *j, unsigned depth, struct value *v)
{
    struct value_pair *pairs = arena_calloc(c->arena, json_object_size(j), sizeof *pairs);
    if (pairs == NULL)
        return err_nomem(c->e);
    size_t n = 0;
    const char *key;
    json_t *item;
    json_object_foreach(j, key, item)
    {
        struct value_pair *p = &pairs[n++];
        p->key = arena_strdup(c->arena, key);
        p->key_type = VALUE_STRING;
        if (p->key == NULL)
            return err_nomem(c->e);
        enum rc rc = convert(c, item, depth + 1, &p->value);
        if (rc != RC_OK)
            return rc;
    }
    v->u.map.pairs = pairs;
    v->u.map.count = n;
    return RC_OK;
}

static enum value_type type_of(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT: return VALUE_MAP;
    case JSON_ARRAY: return VALUE_LIST;
    case JSON_STRING: return VALUE_STRING;
    case JSON_INTEGER: return VALUE_INT;
    case JSON_REAL: return VALUE_FLOAT;
    case JSON_TRUE:
    case JSON_FALSE: return VALUE_BOOL;
    default: return VALUE_NULL;
    }
}

static enum rc convert(struct convert *c, const json_t *j, unsigned depth, const struct value **out)
{
    if (depth > INVENTORY_MAX_DEPTH)
        return model_error(c->e, RC_LIMIT, &c->place, "nested deeper than %d levels",
                           INVENTORY_MAX_DEPTH);
    if (json_is_object(j)) {
        enum rc rc = convert_marked(c, j, out);
        if (rc != RC_NOTFOUND)
            return rc;
    }
    struct value *v =
        json_is_string(j) ? text_value(c, j) : value_new(c->arena, type_of(j), &c->place);
    *out = v;
    if (v == NULL)
        return err_nomem(c->e);
    switch (v->type) {
    case VALUE_MAP: return convert_map(c, (json_t *)j, depth, v);
    case VALUE_LIST: return convert_list(c, j, depth, v);
    case VALUE_INT: v->u.integer = json_integer_value(j); return RC_OK;
    case VALUE_FLOAT: v->u.real = json_real_value(j); return RC_OK;
    case VALUE_BOOL: v->u.boolean = json_is_true(j); return RC_OK;
    default: return RC_OK;
    }
}

enum rc jsondoc_parse(struct arena *arena, const char *file, const char *text, size_t len,
                      const struct value **out, struct err *e)
{
    json_error_t problem;
    *out = NULL;
    json_t *j =
        json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &problem);
    struct convert c = {.arena = arena, .place = model_place(file, 0, 0), .e = e};
    if (j == NULL) {
        c.place.line = problem.line > 0 ? (uint32_t)problem.line : 1;
        c.place.column = problem.column > 0 ? (uint32_t)problem.column : 1;
        return model_error(e, RC_PARSE, &c.place, "not JSON: %s", problem.text);
    }
    enum rc rc = convert(&c, j, 0, out);
    json_decref(j);
    if (rc != RC_OK)
        *out = NULL;
    return rc;
}
