/* Reads a --where expression into its tree: recursive descent, one token ahead. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "inventory/where_int.h"

enum token {
    T_END,
    T_NAME, /* a.b.c, and the words and or not in true false null */
    T_STRING,
    T_NUMBER,
    T_SYMBOL, /* ( ) [ ] , and the comparisons */
};

struct parse {
    struct where *w;
    const char *text;
    size_t at; /* behind the token at hand */
    enum token token;
    size_t start, len; /* of the token, in text */
    unsigned depth;
    struct err *e;
};

static enum rc fail(const struct parse *p, size_t at, const char *msg)
{
    char shown[96];
    size_t n = strlen(p->text);
    str_escape_to(shown, sizeof shown, p->text, n < 60 ? n : 60, 0);
    return err_set(p->e, RC_PARSE, "%s '%s%s' column %zu: %s", p->w->option, shown,
                   n > 60 ? "..." : "", at + 1, msg);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static enum rc scan_string(struct parse *p)
{
    char quote = p->text[p->start];
    size_t i = p->start + 1;
    for (; p->text[i] != '\0' && p->text[i] != quote; i++)
        if (p->text[i] == '\\' && p->text[i + 1] != '\0')
            i++;
    if (p->text[i] == '\0')
        return fail(p, p->start, "this quote is not closed");
    p->token = T_STRING;
    p->len = i + 1 - p->start;
    return RC_OK;
}

static void scan_number(struct parse *p)
{
    size_t i = p->start + (p->text[p->start] == '-');
    while (is_word(p->text[i]) || p->text[i] == '.' ||
           ((p->text[i] == '+' || p->text[i] == '-') && (p->text[i - 1] | 32) == 'e'))
        i++;
    p->token = T_NUMBER;
    p->len = i - p->start;
}

/* Two characters where they make a comparison, otherwise one. */
static enum rc scan_symbol(struct parse *p)
{
    static const char *const pairs[] = {"==", "!=", "<=", ">=", "=~", "!~"};
    const char *s = p->text + p->start;
    p->token = T_SYMBOL;
    p->len = 2;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strncmp(s, pairs[i], 2) == 0)
            return RC_OK;
    p->len = 1;
    if (strchr("()[],<>", *s) != NULL)
        return RC_OK;
    if (*s == '=')
        return fail(p, p->start, "'==' compares; '=' alone means nothing");
    if (*s == '&' || *s == '|' || *s == '!')
        return fail(p, p->start, "write 'and', 'or' or 'not'");
    return fail(p, p->start, "a variable, a value or a comparison was expected");
}

static enum rc next(struct parse *p)
{
    while (p->text[p->at] == ' ' || (p->text[p->at] >= '\t' && p->text[p->at] <= '\r'))
        p->at++;
    p->start = p->at;
    p->len = 0;
    char c = p->text[p->at];
    enum rc rc = RC_OK;
    if (c == '\0')
        p->token = T_END;
    else if (c == '"' || c == '\'')
        rc = scan_string(p);
    else if (is_digit(c) || (c == '-' && is_digit(p->text[p->at + 1])))
        scan_number(p);
    else if (is_word(c)) {
        p->token = T_NAME;
        while (is_word(p->text[p->start + p->len]) || p->text[p->start + p->len] == '.')
            p->len++;
    } else
        rc = scan_symbol(p);
    p->at = p->start + p->len;
    return rc;
}

static bool is(const struct parse *p, enum token token, const char *text)
{
    return p->token == token && strlen(text) == p->len &&
           memcmp(p->text + p->start, text, p->len) == 0;
}

static bool is_keyword(const struct parse *p)
{
    return is(p, T_NAME, "and") || is(p, T_NAME, "or") || is(p, T_NAME, "not") ||
           is(p, T_NAME, "in");
}

/* --- values ---------------------------------------------------------------------------------- */

static struct value *new_value(struct parse *p, enum value_type type)
{
    struct value *v = arena_calloc(&p->w->arena, 1, sizeof *v);
    if (v == NULL)
        err_nomem(p->e);
    else
        v->type = type;
    return v;
}

/* A backslash before the quote makes it part of the text; every other one stays as it is, so that
 * regular expressions are written as they are. */
static enum rc string_value(struct parse *p, const struct value **out)
{
    struct value *v = new_value(p, VALUE_STRING);
    char *data = arena_alloc(&p->w->arena, p->len);
    if (v == NULL || data == NULL)
        return err_nomem(p->e);
    const char *s = p->text + p->start;
    char quote = s[0];
    size_t n = 0;
    for (size_t i = 1; i + 1 < p->len; i++) {
        if (s[i] == '\\' && i + 2 < p->len && s[i + 1] == quote)
            i++;
        data[n++] = s[i];
    }
    data[n] = '\0';
    v->u.string.data = data;
    v->u.string.len = n;
    *out = v;
    return RC_OK;
}

static enum rc number_value(struct parse *p, const struct value **out)
{
    char text[64];
    if (p->len >= sizeof text)
        return fail(p, p->start, "a number of more than 63 characters");
    memcpy(text, p->text + p->start, p->len);
    text[p->len] = '\0';
    struct value *v = new_value(p, VALUE_INT);
    if (v == NULL)
        return RC_NOMEM;
    *out = v;
    if (num_i64(text, INT64_MIN, INT64_MAX, &v->u.integer, NULL) == RC_OK)
        return RC_OK;
    char *end;
    v->type = VALUE_FLOAT;
    v->u.real = strtod(text, &end);
    bool decimal = strspn(text, "-+.0123456789eE") == p->len;
    if (*end == '\0' && decimal)
        return RC_OK;
    uint64_t bytes;
    if (num_size(text, &bytes, NULL) != RC_OK || bytes > INT64_MAX)
        return fail(p, p->start, "not a number; text goes in quotes");
    v->type = VALUE_INT;
    v->u.integer = (int64_t)bytes;
    return RC_OK;
}

static enum rc word_value(struct parse *p, const struct value **out)
{
    bool yes = is(p, T_NAME, "true");
    struct value *v = new_value(p, is(p, T_NAME, "null") ? VALUE_NULL : VALUE_BOOL);
    if (v == NULL)
        return RC_NOMEM;
    if (v->type == VALUE_BOOL)
        v->u.boolean = yes;
    *out = v;
    return RC_OK;
}

static bool is_constant(const struct parse *p)
{
    return is(p, T_NAME, "true") || is(p, T_NAME, "false") || is(p, T_NAME, "null");
}

static enum rc list_value(struct parse *p, const struct value **out);

/* A literal; the token behind it is read. */
static enum rc literal(struct parse *p, const struct value **out)
{
    enum rc rc;
    if (is(p, T_SYMBOL, "["))
        return list_value(p, out);
    if (p->token == T_STRING)
        rc = string_value(p, out);
    else if (p->token == T_NUMBER)
        rc = number_value(p, out);
    else if (is_constant(p))
        rc = word_value(p, out);
    else
        return fail(p, p->start, "a string in quotes, a number, true, false or null was expected");
    return rc == RC_OK ? next(p) : rc;
}

static enum rc list_items(struct parse *p, const struct value ***items, size_t *count, size_t *cap)
{
    while (!is(p, T_SYMBOL, "]")) {
        const struct value *item = NULL;
        enum rc rc = literal(p, &item);
        if (rc != RC_OK)
            return rc;
        if (mem_grow(items, cap, *count + 1, sizeof **items) != 0)
            return err_nomem(p->e);
        (*items)[(*count)++] = item;
        if (is(p, T_SYMBOL, ",")) {
            rc = next(p);
            if (rc != RC_OK)
                return rc;
        } else if (!is(p, T_SYMBOL, "]"))
            return fail(p, p->start, "',' or ']' was expected in this list");
    }
    return next(p);
}

static enum rc list_value(struct parse *p, const struct value **out)
{
    const struct value **items = NULL;
    size_t count = 0, cap = 0;
    if (++p->depth > WHERE_MAX_DEPTH)
        return err_set(p->e, RC_LIMIT, "%s: more than %d levels", p->w->option, WHERE_MAX_DEPTH);
    struct value *v = new_value(p, VALUE_LIST);
    enum rc rc = v != NULL ? next(p) : RC_NOMEM;
    if (rc == RC_OK)
        rc = list_items(p, &items, &count, &cap);
    if (rc == RC_OK && count > 0) {
        const struct value **kept = arena_alloc(&p->w->arena, count * sizeof *kept);
        if (kept == NULL)
            rc = err_nomem(p->e);
        else
            memcpy(kept, items, count * sizeof *kept);
        v->u.list.items = kept;
        v->u.list.count = count;
    }
    mem_free(items);
    p->depth--;
    *out = v;
    return rc;
}

/* --- operands -------------------------------------------------------------------------------- */

/* "a.b.c" in the arena becomes three strings and a NULL. */
static enum rc variable_path(struct parse *p, struct where_operand *o)
{
    size_t parts = 1;
    for (size_t i = 0; i < p->len; i++)
        parts += p->text[p->start + i] == '.';
    char *copy = arena_strndup(&p->w->arena, p->text + p->start, p->len);
    o->path = arena_alloc(&p->w->arena, (parts + 1) * sizeof *o->path);
    if (copy == NULL || o->path == NULL)
        return err_nomem(p->e);
    for (size_t i = 0; i < parts; i++) {
        size_t n = strcspn(copy, ".");
        if (n == 0)
            return fail(p, p->start, "a name is missing before or behind a '.'");
        o->path[i] = copy;
        copy[n] = '\0';
        copy += n + 1;
    }
    o->path[parts] = NULL;
    return RC_OK;
}

static enum rc operand(struct parse *p, struct where_operand *o)
{
    size_t start = p->start;
    enum rc rc;
    o->kind = WHERE_LITERAL;
    if (p->token == T_NAME && !is_constant(p)) {
        if (is_keyword(p))
            return fail(p, p->start, "a variable or a value was expected here");
        o->kind = is(p, T_NAME, "name")     ? WHERE_HOST_NAME
                  : is(p, T_NAME, "groups") ? WHERE_GROUPS
                                            : WHERE_VARIABLE;
        rc = o->kind == WHERE_VARIABLE ? variable_path(p, o) : RC_OK;
        if (rc == RC_OK)
            rc = next(p);
    } else if (p->token == T_END)
        return fail(p, p->start, "a variable or a value was expected at the end");
    else
        rc = literal(p, &o->literal);
    if (rc != RC_OK)
        return rc;
    size_t end = p->start;
    while (end > start && (p->text[end - 1] == ' ' || p->text[end - 1] == '\t'))
        end--;
    o->text = arena_strndup(&p->w->arena, p->text + start, end - start);
    return o->text != NULL ? RC_OK : err_nomem(p->e);
}

/* The comparison at hand, or WHERE_TRUE; "not in" is two words. */
static enum rc comparison(struct parse *p, enum where_op *op)
{
    static const struct {
        const char *text;
        enum where_op op;
    } table[] = {{"==", WHERE_EQ}, {"!=", WHERE_NE}, {"<", WHERE_LT},     {"<=", WHERE_LE},
                 {">", WHERE_GT},  {">=", WHERE_GE}, {"=~", WHERE_MATCH}, {"!~", WHERE_NOT_MATCH}};
    *op = WHERE_TRUE;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (is(p, T_SYMBOL, table[i].text))
            *op = table[i].op;
    if (is(p, T_NAME, "in"))
        *op = WHERE_IN;
    if (is(p, T_NAME, "not")) {
        enum rc rc = next(p);
        if (rc != RC_OK)
            return rc;
        if (!is(p, T_NAME, "in"))
            return fail(p, p->start, "'in' was expected after this 'not'");
        *op = WHERE_NOT_IN;
    }
    return *op == WHERE_TRUE ? RC_OK : next(p);
}

static enum rc compile_regex(struct parse *p, struct where_node *n, size_t at)
{
    const struct value *v = n->right.literal;
    if (n->right.kind != WHERE_LITERAL || v->type != VALUE_STRING)
        return fail(p, at, "a regular expression in quotes was expected");
    enum rc rc = regex_new(&n->regex, v->u.string.data, false, p->e);
    if (rc == RC_OK) {
        n->next_regex = p->w->regexes;
        p->w->regexes = n;
    }
    return rc;
}

static struct where_node *new_node(struct parse *p, enum where_op op)
{
    struct where_node *n = arena_calloc(&p->w->arena, 1, sizeof *n);
    if (n == NULL)
        err_nomem(p->e);
    else
        n->op = op;
    return n;
}

static enum rc test(struct parse *p, struct where_node **out)
{
    struct where_node *n = new_node(p, WHERE_TRUE);
    enum rc rc = n != NULL ? operand(p, &n->left) : RC_NOMEM;
    if (rc == RC_OK)
        rc = comparison(p, &n->op);
    if (rc == RC_OK && n->op != WHERE_TRUE) {
        size_t at = p->start;
        rc = operand(p, &n->right);
        if (rc == RC_OK && (n->op == WHERE_MATCH || n->op == WHERE_NOT_MATCH))
            rc = compile_regex(p, n, at);
    }
    *out = n;
    return rc;
}

/* --- expressions ----------------------------------------------------------------------------- */

static enum rc or_expr(struct parse *p, struct where_node **out);

static enum rc unary(struct parse *p, struct where_node **out)
{
    if (++p->depth > WHERE_MAX_DEPTH)
        return err_set(p->e, RC_LIMIT, "%s: more than %d levels", p->w->option, WHERE_MAX_DEPTH);
    enum rc rc;
    if (is(p, T_NAME, "not")) {
        struct where_node *n = new_node(p, WHERE_NOT);
        rc = n != NULL ? next(p) : RC_NOMEM;
        if (rc == RC_OK)
            rc = unary(p, &n->a);
        *out = n;
    } else if (is(p, T_SYMBOL, "(")) {
        size_t open = p->start;
        rc = next(p);
        if (rc == RC_OK)
            rc = or_expr(p, out);
        if (rc == RC_OK)
            rc = is(p, T_SYMBOL, ")") ? next(p) : fail(p, open, "this parenthesis is not closed");
    } else
        rc = test(p, out);
    p->depth--;
    return rc;
}

/* Left-leaning chains of one operator: `a and b and c`. Evaluated by a loop, not by recursion. */
static enum rc chain(struct parse *p, const char *word, enum where_op op,
                     enum rc (*inner)(struct parse *, struct where_node **),
                     struct where_node **out)
{
    enum rc rc = inner(p, out);
    struct where_node **tail = out;
    while (rc == RC_OK && is(p, T_NAME, word)) {
        struct where_node *n = new_node(p, op);
        if (n == NULL)
            return RC_NOMEM;
        n->a = *tail;
        *tail = n;
        tail = &n->b;
        rc = next(p);
        if (rc == RC_OK)
            rc = inner(p, tail);
    }
    return rc;
}

static enum rc and_expr(struct parse *p, struct where_node **out)
{
    return chain(p, "and", WHERE_AND, unary, out);
}

static enum rc or_expr(struct parse *p, struct where_node **out)
{
    return chain(p, "or", WHERE_OR, and_expr, out);
}

enum rc where_parse(struct where *w, const char *text, struct err *e)
{
    struct parse p = {.w = w, .text = text, .e = e};
    if (strlen(text) > WHERE_MAX_TEXT)
        return err_set(e, RC_LIMIT, "%s: more than 64 KiB", w->option);
    enum rc rc = next(&p);
    if (rc == RC_OK)
        rc = or_expr(&p, &w->root);
    if (rc == RC_OK && p.token != T_END)
        rc = fail(&p, p.start, "'and', 'or' or the end was expected here");
    return rc;
}
