/* The syntax tree of --where. Not for use outside where*.c. Single thread. */
#ifndef INVENTORY_WHERE_INT_H
#define INVENTORY_WHERE_INT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"
#include "inventory/regex.h"
#include "inventory/value.h"
#include "inventory/where.h"

enum where_op {
    WHERE_OR,
    WHERE_AND,
    WHERE_NOT,
    WHERE_TRUE, /* an operand alone */
    WHERE_EQ,
    WHERE_NE,
    WHERE_LT,
    WHERE_LE,
    WHERE_GT,
    WHERE_GE,
    WHERE_IN,
    WHERE_NOT_IN,
    WHERE_MATCH,
    WHERE_NOT_MATCH,
};

enum where_name { WHERE_LITERAL, WHERE_VARIABLE, WHERE_HOST_NAME, WHERE_GROUPS };

struct where_operand {
    enum where_name kind;
    const struct value *literal; /* WHERE_LITERAL */
    const char **path;           /* WHERE_VARIABLE: the variable, then members; NULL at the end */
    const char *text;            /* as written, for messages */
};

struct where_node {
    enum where_op op;
    struct where_node *a, *b; /* OR, AND; NOT has a */
    struct where_operand left, right;
    struct regex *regex; /* MATCH, NOT_MATCH */
    struct where_node *next_regex;
};

struct where {
    const char *option; /* "--where": for messages */
    struct arena arena; /* nodes and literals */
    struct where_node *root;
    struct where_node *regexes; /* all nodes that own one */
};

/* Builds w->root from text (where_parse.c). On failure the caller frees w all the same. */
enum rc where_parse(struct where *w, const char *text, struct err *e);

#endif
