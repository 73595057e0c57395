/* See unseal.h. */
#include "controller/secrets/unseal.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/map.h"
#include "common/mem.h"
#include "controller/vault/vault.h"

struct opened {
    const struct value *value; /* also its key */
    uint32_t id;               /* 0: it could not be opened */
    struct err why;
};

struct unseal {
    struct key_source from;
    struct secrets *into;
    struct vault *vault; /* NULL: not asked for, or not there */
    bool asked;
    struct err no_key;
    struct map opened; /* by value */
};

enum rc unseal_new(struct unseal **out, const struct key_source *from, struct secrets *into,
                   struct err *e)
{
    struct unseal *u = mem_calloc(1, sizeof *u);
    if (u == NULL)
        return err_nomem(e);
    u->from = *from;
    u->into = into;
    map_init(&u->opened);
    *out = u;
    return RC_OK;
}

void unseal_free(struct unseal *u)
{
    struct map_entry *entry;
    if (u == NULL)
        return;
    for (size_t i = 0; (entry = map_next(&u->opened, &i)) != NULL;)
        mem_free(entry->value);
    map_fini(&u->opened);
    vault_free(u->vault);
    mem_free(u);
}

static enum rc need_vault(struct unseal *u, struct err *e)
{
    if (!u->asked) {
        struct secret *key;
        u->asked = true;
        enum rc rc = key_source_read(&u->from, &key, &u->no_key);
        if (rc == RC_OK)
            rc = vault_new(&u->vault, key, &u->no_key);
        if (rc != RC_OK && getenv("ANSIBLE_VAULT_PASSWORD_FILE") != NULL)
            err_set(&u->no_key, rc,
                    "%s (ANSIBLE_VAULT_PASSWORD_FILE is not read here: type "
                    "--vault-key FILE)",
                    u->no_key.msg);
    }
    if (u->vault != NULL)
        return RC_OK;
    if (e != NULL)
        *e = u->no_key;
    return u->no_key.rc;
}

/* In YAML the newline at its end may have been chomped ("!vault |-"). */
static enum rc with_newline(const struct value *v, struct buf *b)
{
    enum rc rc = buf_append(b, v->u.string.data, v->u.string.len);
    if (rc == RC_OK && (b->len == 0 || b->data[b->len - 1] != '\n'))
        rc = buf_putc(b, '\n');
    return rc;
}

static enum rc open_value(struct unseal *u, const struct value *v, const char *name, uint32_t *id,
                          struct err *e)
{
    struct secret *plain = NULL;
    struct buf text;
    enum rc rc = need_vault(u, e);
    if (rc != RC_OK)
        return rc;
    buf_init(&text, VAULT_MAX_TEXT);
    rc = with_newline(v, &text);
    if (rc != RC_OK)
        err_set(e, rc, "the sealed text is too long");
    else
        rc = vault_open_any(u->vault, (const char *)text.data, text.len, name, &plain, e);
    if (rc == RC_OK)
        rc = secrets_add(u->into, plain->data, plain->len, id, e);
    secret_free(plain);
    buf_fini(&text);
    return rc;
}

static enum rc say(const struct opened *o, const struct value *v, struct err *e)
{
    char place[512];
    value_place_text(place, sizeof place, v);
    return err_set(e, o->why.rc, "%s%ssealed: %s", place, place[0] != '\0' ? ": " : "", o->why.msg);
}

enum rc unseal_value(struct unseal *u, const struct value *v, const char *name, uint32_t *id,
                     struct err *e)
{
    struct opened *o = map_get(&u->opened, (const char *)&v, sizeof v);
    must(v->type == VALUE_VAULT);
    if (o == NULL) {
        o = mem_calloc(1, sizeof *o);
        if (o == NULL)
            return err_nomem(e);
        o->value = v;
        if (open_value(u, v, name, &o->id, &o->why) == RC_NOMEM ||
            map_put(&u->opened, (const char *)&o->value, sizeof o->value, o, NULL) != 0) {
            mem_free(o);
            return err_nomem(e);
        }
    }
    *id = o->id;
    return o->id != 0 ? RC_OK : say(o, v, e);
}

static enum rc opener_value(void *user, const struct value *sealed, const char *name,
                            struct value *out, struct err *e)
{
    struct unseal *u = user;
    uint32_t id;
    enum rc rc = unseal_value(u, sealed, name, &id, e);
    if (rc != RC_OK)
        return rc;
    *out = (struct value){.type = VALUE_STRING, .flags = VALUE_UNSAFE, .place = sealed->place};
    out->u.string.data = secrets_text(u->into, id, &out->u.string.len);
    return RC_OK;
}

static enum rc opener_file(void *user, const char *text, size_t len, inventory_plain_fn take,
                           void *taker, struct err *e)
{
    struct unseal *u = user;
    struct secret *plain = NULL;
    enum rc rc = need_vault(u, e);
    if (rc == RC_OK)
        rc = vault_open_any(u->vault, text, len, "", &plain, e);
    if (rc == RC_OK)
        rc = take(taker, (const char *)plain->data, plain->len, e);
    secret_free(plain);
    return rc;
}

static enum rc opener_keep(void *user, const char *text, size_t len, const char **kept,
                           size_t *kept_len, struct err *e)
{
    struct unseal *u = user;
    uint32_t id;
    enum rc rc = secrets_add(u->into, text, len, &id, e);
    if (rc == RC_OK)
        *kept = secrets_text(u->into, id, kept_len);
    return rc;
}

struct inventory_opener unseal_opener(struct unseal *u)
{
    return (struct inventory_opener){
        .value = opener_value, .file = opener_file, .keep = opener_keep, .user = u};
}
