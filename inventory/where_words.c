/* A word of --where that was meant as text, and has no quotes. See where.h. */
#include <string.h>

#include "common/str.h"
#include "inventory/where_int.h"

static bool any_host_has(const struct inventory *inv, const char *name)
{
    for (size_t i = 0; i < inventory_host_count(inv); i++)
        if (inventory_host_var(inv, inventory_host_at(inv, i), name) != NULL)
            return true;
    return false;
}

/* What is compared with is text far more often than another variable. */
static const struct where_operand *side_of_text(const struct where_node *n)
{
    switch (n->op) {
    case WHERE_TRUE: return NULL;
    case WHERE_IN:
    case WHERE_NOT_IN: return &n->left; /* `web in groups` */
    default: return &n->right;
    }
}

static enum rc check(const struct where *w, const struct where_node *n, const struct inventory *inv,
                     struct err *e)
{
    for (; n->op == WHERE_OR || n->op == WHERE_AND || n->op == WHERE_NOT; n = n->b) {
        enum rc rc = check(w, n->a, inv, e);
        if (rc != RC_OK || n->op == WHERE_NOT)
            return rc;
    }
    const struct where_operand *o = side_of_text(n);
    char word[64];
    if (o == NULL || o->kind != WHERE_VARIABLE || o->path[1] != NULL ||
        any_host_has(inv, o->path[0]))
        return RC_OK;
    str_escape_to(word, sizeof word, o->path[0], strlen(o->path[0]), 0);
    return err_set(e, RC_PARSE,
                   "%s: no host has a variable '%s'; if it is text, it wants quotes: \"%s\"",
                   w->option, word, word);
}

enum rc where_check_words(const struct where *w, const struct inventory *inv, struct err *e)
{
    return check(w, w->root, inv, e);
}
