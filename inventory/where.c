/* See where.h. Decides for one host; reading the expression is where_parse.c's. */
#include "inventory/where.h"

#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/where_int.h"

enum rc where_compile(const char *text, struct where **out, struct err *e)
{
    return where_compile_for("--where", text, out, e);
}

enum rc where_compile_for(const char *option, const char *text, struct where **out, struct err *e)
{
    struct where *w = mem_calloc(1, sizeof *w);
    if (w == NULL)
        return err_nomem(e);
    w->option = option;
    arena_init(&w->arena);
    enum rc rc = where_parse(w, text, e);
    if (rc != RC_OK) {
        where_free(w);
        return rc;
    }
    *out = w;
    return RC_OK;
}

void where_free(struct where *w)
{
    if (w == NULL)
        return;
    for (struct where_node *n = w->regexes; n != NULL; n = n->next_regex)
        regex_free(n->regex);
    arena_fini(&w->arena);
    mem_free(w);
}

/* --- operands of one host -------------------------------------------------------------------- */

struct subject {
    const struct where *where;
    const struct inventory *inv;
    const struct inv_host *host;
    const struct where_resolver *resolver; /* or NULL */
    struct value name;
    struct value space[2]; /* the resolver's, of the two operands that are compared */
    unsigned used;
};

static const struct value null_value = {.type = VALUE_NULL};

/* An error about operand `o`, whose value v has a place when it comes from a file. */
static enum rc refuse(const struct subject *s, const struct where_operand *o, const struct value *v,
                      enum rc rc, const char *what, struct err *e)
{
    char place[512], host[128], text[128];
    value_place_text(place, sizeof place, v);
    str_escape_to(host, sizeof host, s->host->name, strlen(s->host->name), 0);
    str_escape_to(text, sizeof text, o->text, strlen(o->text), 0);
    return err_set(e, rc, "%s%s%s: %s%s%s %s", place, place[0] != '\0' ? ": " : "",
                   s->where->option, text, host[0] != '\0' ? " of host " : "", host, what);
}

static enum rc refuse_opaque(const struct subject *s, const struct where_operand *o,
                             const struct value *v, struct err *e)
{
    return refuse(s, o, v, RC_OPAQUE,
                  v->type == VALUE_VAULT ? "is a vault value, which is not opened here"
                                         : "is a template, which is not evaluated",
                  e);
}

/* WHERE_GROUPS is not a value: group names are walked where they are asked for. */
static enum rc fetch(struct subject *s, const struct where_operand *o, const struct value **out,
                     struct err *e)
{
    const struct value *v = NULL;
    if (o->kind == WHERE_VARIABLE && s->resolver != NULL) {
        enum rc rc =
            s->resolver->value(s->resolver->user, o->path, &s->space[s->used++ % 2], out, e);
        if (rc != RC_NOTFOUND)
            return rc;
    }
    if (o->kind == WHERE_LITERAL)
        v = o->literal;
    else if (o->kind == WHERE_HOST_NAME)
        v = &s->name;
    else
        v = inventory_host_var(s->inv, s->host, o->path[0]);
    for (size_t i = 1; o->kind == WHERE_VARIABLE && v != NULL && o->path[i] != NULL; i++) {
        if (value_is_opaque(v))
            return refuse_opaque(s, o, v, e);
        v = value_get(v, o->path[i]);
    }
    *out = v != NULL ? v : &null_value;
    if (o->kind != WHERE_LITERAL && value_is_opaque(*out))
        return refuse_opaque(s, o, *out, e);
    return RC_OK;
}

static enum rc refuse_groups(const struct subject *s, const struct where_operand *o, struct err *e)
{
    return refuse(s, o, &null_value, RC_PARSE, "can only be asked as: 'NAME' in groups", e);
}

/* --- comparing ------------------------------------------------------------------------------- */

static bool is_number(const struct value *v)
{
    return v->type == VALUE_INT || v->type == VALUE_FLOAT;
}

static double as_double(const struct value *v)
{
    return v->type == VALUE_INT ? (double)v->u.integer : v->u.real;
}

static bool text_equal(const struct value *a, const struct value *b)
{
    return a->u.string.len == b->u.string.len &&
           memcmp(a->u.string.data, b->u.string.data, a->u.string.len) == 0;
}

/* Equality of unlike kinds is false. *opaque gets a value inside a list or map that decides and
 * cannot be evaluated. */
static bool equal(const struct value *a, const struct value *b, const struct value **opaque);

static bool lists_equal(const struct value *a, const struct value *b, const struct value **opaque)
{
    bool same = a->u.list.count == b->u.list.count;
    for (size_t i = 0; same && i < a->u.list.count; i++)
        same = equal(a->u.list.items[i], b->u.list.items[i], opaque);
    return same;
}

static bool maps_equal(const struct value *a, const struct value *b, const struct value **opaque)
{
    bool same = a->u.map.count == b->u.map.count;
    for (size_t i = 0; same && i < a->u.map.count; i++) {
        const struct value *other = value_get(b, a->u.map.pairs[i].key);
        same = other != NULL && equal(a->u.map.pairs[i].value, other, opaque);
    }
    return same;
}

static bool equal(const struct value *a, const struct value *b, const struct value **opaque)
{
    if (value_is_opaque(a) || value_is_opaque(b)) {
        *opaque = value_is_opaque(a) ? a : b;
        return false;
    }
    if (a->type == VALUE_INT && b->type == VALUE_INT)
        return a->u.integer == b->u.integer;
    if (is_number(a) && is_number(b))
        return as_double(a) == as_double(b);
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_NULL: return true;
    case VALUE_BOOL: return a->u.boolean == b->u.boolean;
    case VALUE_STRING: return text_equal(a, b);
    case VALUE_LIST: return lists_equal(a, b, opaque);
    case VALUE_MAP: return maps_equal(a, b, opaque);
    default: return false;
    }
}

static int order_text(const struct value *a, const struct value *b)
{
    size_t n = a->u.string.len < b->u.string.len ? a->u.string.len : b->u.string.len;
    int c = n > 0 ? memcmp(a->u.string.data, b->u.string.data, n) : 0;
    return c != 0 ? c : (a->u.string.len > b->u.string.len) - (a->u.string.len < b->u.string.len);
}

static bool order_says(enum where_op op, int c)
{
    switch (op) {
    case WHERE_LT: return c < 0;
    case WHERE_LE: return c <= 0;
    case WHERE_GT: return c > 0;
    default: return c >= 0;
    }
}

static enum rc ordered(const struct subject *s, const struct where_node *n, const struct value *a,
                       const struct value *b, bool *out, struct err *e)
{
    int c;
    *out = false;
    if (a->type == VALUE_NULL || b->type == VALUE_NULL)
        return RC_OK;
    if (a->type == VALUE_INT && b->type == VALUE_INT)
        c = (a->u.integer > b->u.integer) - (a->u.integer < b->u.integer);
    else if (is_number(a) && is_number(b)) {
        if (as_double(a) != as_double(a) || as_double(b) != as_double(b))
            return RC_OK; /* NaN: no order */
        c = (as_double(a) > as_double(b)) - (as_double(a) < as_double(b));
    } else if (a->type == VALUE_STRING && b->type == VALUE_STRING)
        c = order_text(a, b);
    else {
        bool left = n->left.kind != WHERE_LITERAL;
        return refuse(s, left ? &n->left : &n->right, left ? a : b, RC_PARSE,
                      "does not compare: numbers go with numbers, text with text", e);
    }
    *out = order_says(n->op, c);
    return RC_OK;
}

/* --- in -------------------------------------------------------------------------------------- */

static bool in_groups(const struct subject *s, const struct value *v)
{
    for (uint32_t i = 0; v->type == VALUE_STRING && i < s->host->group_count; i++) {
        const char *name = s->host->groups[i]->name;
        if (strlen(name) == v->u.string.len && memcmp(name, v->u.string.data, v->u.string.len) == 0)
            return strcmp(name, "all") != 0;
    }
    return false;
}

static enum rc contains(const struct subject *s, const struct where_node *n, const struct value *a,
                        const struct value *b, bool *out, struct err *e)
{
    const struct value *opaque = NULL;
    *out = false;
    if (b->type == VALUE_LIST) {
        for (size_t i = 0; !*out && i < b->u.list.count; i++)
            *out = equal(a, b->u.list.items[i], &opaque);
        return *out || opaque == NULL ? RC_OK : refuse_opaque(s, &n->right, opaque, e);
    }
    if (a->type == VALUE_NULL || b->type == VALUE_NULL)
        return RC_OK;
    if (b->type == VALUE_STRING && a->type == VALUE_STRING) {
        *out = a->u.string.len == 0 ||
               memmem(b->u.string.data, b->u.string.len, a->u.string.data, a->u.string.len) != NULL;
        return RC_OK;
    }
    if (b->type == VALUE_MAP && a->type == VALUE_STRING) {
        *out = value_get(b, a->u.string.data) != NULL;
        return RC_OK;
    }
    bool right = n->right.kind != WHERE_LITERAL;
    return refuse(s, right ? &n->right : &n->left, right ? b : a, RC_PARSE,
                  "does not fit 'in': a list, a string or a map was expected on its right", e);
}

/* --- one test -------------------------------------------------------------------------------- */

static enum rc matches(const struct subject *s, const struct where_node *n, const struct value *a,
                       bool *out, struct err *e)
{
    *out = false;
    if (a->type == VALUE_NULL)
        return RC_OK;
    if (a->type != VALUE_STRING)
        return refuse(s, &n->left, a, RC_PARSE,
                      "is not text, which a regular expression needs; compare it with ==", e);
    enum rc rc = regex_match(n->regex, a->u.string.data, a->u.string.len, out, e);
    if (rc == RC_LIMIT)
        return refuse(s, &n->left, a, rc, "costs the regular expression too many steps", e);
    return rc;
}

static enum rc truth(const struct subject *s, const struct where_node *n, const struct value *v,
                     bool *out, struct err *e)
{
    *out = false;
    if (v->type == VALUE_NULL || value_bool(v, out, NULL) == RC_OK)
        return RC_OK;
    return refuse(s, &n->left, v, RC_PARSE, "is not true or false; compare it with == or another",
                  e);
}

static enum rc test_values(const struct subject *s, const struct where_node *n,
                           const struct value *a, const struct value *b, bool *out, struct err *e)
{
    const struct value *opaque = NULL;
    enum rc rc = RC_OK;
    switch (n->op) {
    case WHERE_TRUE: return truth(s, n, a, out, e);
    case WHERE_EQ:
    case WHERE_NE:
        *out = equal(a, b, &opaque) == (n->op == WHERE_EQ);
        return opaque == NULL ? RC_OK : refuse_opaque(s, &n->left, opaque, e);
    case WHERE_IN:
    case WHERE_NOT_IN:
        rc = contains(s, n, a, b, out, e);
        *out = *out == (n->op == WHERE_IN);
        return rc;
    case WHERE_MATCH:
    case WHERE_NOT_MATCH:
        rc = matches(s, n, a, out, e);
        *out = *out == (n->op == WHERE_MATCH);
        return rc;
    default: return ordered(s, n, a, b, out, e);
    }
}

static enum rc test_leaf(struct subject *s, const struct where_node *n, bool *out, struct err *e)
{
    const struct value *a = &null_value, *b = &null_value;
    bool in = n->op == WHERE_IN || n->op == WHERE_NOT_IN;
    if (n->left.kind == WHERE_GROUPS || (n->right.kind == WHERE_GROUPS && !in))
        return refuse_groups(s, n->left.kind == WHERE_GROUPS ? &n->left : &n->right, e);
    enum rc rc = fetch(s, &n->left, &a, e);
    if (rc != RC_OK)
        return rc;
    if (n->right.kind == WHERE_GROUPS) {
        *out = in_groups(s, a) == (n->op == WHERE_IN);
        return RC_OK;
    }
    if (n->op != WHERE_TRUE)
        rc = fetch(s, &n->right, &b, e);
    return rc == RC_OK ? test_values(s, n, a, b, out, e) : rc;
}

static enum rc evaluate(struct subject *s, const struct where_node *n, bool *out, struct err *e)
{
    for (;;) {
        enum rc rc;
        switch (n->op) {
        case WHERE_NOT:
            rc = evaluate(s, n->a, out, e);
            *out = !*out;
            return rc;
        case WHERE_AND:
        case WHERE_OR:
            rc = evaluate(s, n->a, out, e);
            if (rc != RC_OK || *out == (n->op == WHERE_OR))
                return rc;
            n = n->b;
            break;
        default: return test_leaf(s, n, out, e);
        }
    }
}

enum rc where_test(const struct where *w, const struct inventory *inv, const struct inv_host *h,
                   bool *out, struct err *e)
{
    return where_test_with(w, inv, h, NULL, out, e);
}

enum rc where_test_with(const struct where *w, const struct inventory *inv,
                        const struct inv_host *h, const struct where_resolver *r, bool *out,
                        struct err *e)
{
    struct subject s = {.where = w, .inv = inv, .host = h, .resolver = r};
    s.name.type = VALUE_STRING;
    s.name.u.string.data = h->name;
    s.name.u.string.len = strlen(h->name);
    *out = false;
    return evaluate(&s, w->root, out, e);
}

static enum rc each_test(struct subject *s, const struct where_node *n, struct err *e)
{
    bool ignored;
    for (; n->op == WHERE_OR || n->op == WHERE_AND || n->op == WHERE_NOT; n = n->b) {
        enum rc rc = each_test(s, n->a, e);
        if (rc != RC_OK || n->op == WHERE_NOT)
            return rc;
    }
    return test_leaf(s, n, &ignored, e);
}

enum rc where_check_with(const struct where *w, const struct where_resolver *r, struct err *e)
{
    static const struct inv_host nobody = {.name = ""};
    struct subject s = {.where = w, .host = &nobody, .resolver = r};
    s.name = (struct value){.type = VALUE_STRING, .u.string = {"", 0}};
    return each_test(&s, w->root, e);
}

typedef enum rc name_fn(void *user, const char *const *path, struct err *e);

static enum rc each_name(const struct where_node *n, name_fn *fn, void *user, struct err *e)
{
    for (; n->op == WHERE_OR || n->op == WHERE_AND || n->op == WHERE_NOT; n = n->b) {
        enum rc rc = each_name(n->a, fn, user, e);
        if (rc != RC_OK || n->op == WHERE_NOT)
            return rc;
    }
    enum rc rc = n->left.kind == WHERE_VARIABLE ? fn(user, n->left.path, e) : RC_OK;
    if (rc == RC_OK && n->op != WHERE_TRUE && n->right.kind == WHERE_VARIABLE)
        rc = fn(user, n->right.path, e);
    return rc;
}

enum rc where_each_name(const struct where *w, name_fn *fn, void *user, struct err *e)
{
    return each_name(w->root, fn, user, e);
}
