/* See sealed.h. */
#include "inventory/sealed.h"

#include <string.h>

#include "common/log.h"
#include "common/map.h"
#include "common/mem.h"
#include "common/str.h"
#include "inventory/model.h"
#include "inventory/yamldoc.h"
#include "inventory/yamlheap.h"

struct sealed_file {
    const char *path;
    const char *text;
    size_t len;
    struct sealed_files *all;
    bool tried;
    enum rc rc;              /* of opening it; RC_NOTFOUND: there is no key */
    const char *why;         /* in the inventory's arena; NULL after RC_OK */
    const struct value *doc; /* a VALUE_MAP in all->arena; NULL: nothing is in it */
    struct map pairs;        /* name → struct value_pair * of doc */
};

struct sealed_files {
    struct list list; /* struct sealed_file * */
    struct inventory *inv;
    struct arena arena; /* locked */
    struct yamlheap heap;
};

static struct sealed_files *need_files(struct inventory *inv)
{
    struct sealed_files *s = inv->sealed;
    if (s == NULL && (s = mem_calloc(1, sizeof *s)) != NULL) {
        s->inv = inv;
        arena_init_from(&s->arena, &yamlheap_locked);
        yamlheap_init(&s->heap);
        inv->sealed = s;
    }
    return s;
}

enum rc sealed_add(struct inventory *inv, const char *path, const char *text, size_t len,
                   struct sealed_file **out, struct err *e)
{
    struct sealed_files *s = need_files(inv);
    struct sealed_file *f = s != NULL ? arena_calloc(&inv->arena, 1, sizeof *f) : NULL;
    if (f == NULL)
        return err_nomem(e);
    f->path = path;
    f->text = text;
    f->len = len;
    f->all = s;
    map_init(&f->pairs);
    if (model_list_add(inv, &s->list, f) != 0)
        return err_nomem(e);
    *out = f;
    return RC_OK;
}

void sealed_close(struct sealed_files *s)
{
    for (uint32_t i = 0; s != NULL && i < s->list.count; i++) {
        struct sealed_file *f = s->list.items[i];
        map_fini(&f->pairs);
        map_init(&f->pairs);
        f->doc = NULL;
        f->tried = false;
    }
    if (s != NULL) {
        arena_fini(&s->arena);
        yamlheap_fini(&s->heap);
    }
}

void sealed_free(struct sealed_files *s)
{
    sealed_close(s);
    mem_free(s);
}

void inventory_warn_sealed(const struct inventory *inv)
{
    const struct sealed_files *s = inv->sealed;
    for (uint32_t i = 0; s != NULL && i < s->list.count; i++)
        log_warn("%s: the file is sealed; its variables are not known here",
                 ((struct sealed_file *)s->list.items[i])->path);
}

/* --- opening --- */

/* Bytes of "file:line:column" at the beginning of a message; 0: it has no place. */
static size_t place_length(const struct sealed_file *f, const char *msg)
{
    static const char digits[] = "0123456789";
    size_t n = strlen(f->path);
    if (!str_starts(msg, f->path))
        return 0;
    for (int i = 0; i < 2; i++) {
        size_t more = msg[n] == ':' ? strspn(msg + n + 1, digits) : 0;
        if (more == 0)
            return 0;
        n += 1 + more;
    }
    return n;
}

/* The parser quotes what it stumbles over, which may be a password: only the place is told. */
static enum rc refuse_content(const struct sealed_file *f, enum rc rc, const struct err *inner,
                              struct err *e)
{
    if (rc == RC_NOMEM)
        return err_nomem(e);
    int n = (int)place_length(f, inner->msg);
    if (n > 0)
        return err_set(e, rc,
                       "%.*s of the opened file: not a YAML file of variables; muster vault edit "
                       "opens it in an editor",
                       n, inner->msg);
    return err_set(e, rc, "%s: what was sealed is not a YAML file of variables", f->path);
}

static enum rc index_pairs(struct sealed_file *f, struct err *e)
{
    for (size_t i = 0; i < f->doc->u.map.count; i++) {
        const struct value_pair *p = &f->doc->u.map.pairs[i];
        if (map_puts(&f->pairs, p->key, (void *)p) != 0)
            return err_nomem(e);
    }
    return RC_OK;
}

static enum rc read_plain(void *user, const char *plain, size_t len, struct err *e)
{
    struct sealed_file *f = user;
    struct sealed_files *s = f->all;
    struct err inner = {0};
    const struct value *doc = NULL;
    yamlheap_enter(&s->heap);
    enum rc rc = yamldoc_parse(&s->arena, f->path, plain, len, &doc, &inner);
    bool used = yamlheap_used(&s->heap);
    yamlheap_leave(&s->heap);
    if (!used && rc != RC_NOMEM)
        return err_set(e, RC_INTERNAL, "%s: this libyaml cannot be kept to locked memory", f->path);
    if (rc != RC_OK)
        return refuse_content(f, rc, &inner, e);
    if (doc == NULL || !value_truthy(doc))
        return RC_OK;
    if (doc->type != VALUE_MAP)
        return err_set(e, RC_CONFIG,
                       "%s: a file of variables is a mapping of names to values, not %s", f->path,
                       value_type_text(doc));
    if (value_get(doc, "muster_protected") != NULL) /* asked for long before, without a key */
        log_warn("%s: muster_protected protects nothing in a sealed file; write it beside it",
                 f->path);
    f->doc = doc;
    return index_pairs(f, e);
}

/* Remembers how it went, for every host that the file covers. */
static enum rc remember(struct sealed_file *f, enum rc rc, const struct err *inner, struct err *e)
{
    f->rc = rc;
    if (rc == RC_OK || (f->why = arena_strdup(&f->all->inv->arena, inner->msg)) != NULL) {
        f->tried = true;
        return RC_OK;
    }
    return err_nomem(e);
}

static enum rc open_file(const struct inventory *inv, struct sealed_file *f, struct err *e)
{
    struct err inner = {0};
    enum rc rc = inv->opener.file(inv->opener.user, f->text, f->len, read_plain, f, &inner);
    if (rc != RC_OK) { /* what was half read */
        map_fini(&f->pairs);
        map_init(&f->pairs);
        f->doc = NULL;
    }
    if (rc == RC_NOMEM)
        return err_nomem(e);
    if (rc != RC_OK && !str_starts(inner.msg, f->path))
        err_wrap(&inner, "%s: sealed", f->path);
    if (rc == RC_NOTFOUND)
        log_warn("%s; its variables are not known here", inner.msg);
    return remember(f, rc, &inner, e);
}

enum rc sealed_get(const struct inventory *inv, struct sealed_file *f, const char *name,
                   const struct value_pair **out, struct err *e)
{
    enum rc rc = f->tried ? RC_OK : open_file(inv, f, e);
    *out = NULL;
    if (rc != RC_OK)
        return rc;
    if (f->rc != RC_OK && f->rc != RC_NOTFOUND)
        return err_set(e, f->rc, "%s", f->why);
    *out = f->doc != NULL ? map_gets(&f->pairs, name) : NULL;
    return RC_OK;
}
