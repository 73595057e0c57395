/* See target.h. */
#include "controller/run/target.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/str.h"
#include "controller/run/target_config.h"
#include "controller/sshconfig/words.h"

static const char *own_name(struct arena *arena)
{
    char space[4096];
    struct passwd pw, *found = NULL;
    if (getpwuid_r(geteuid(), &pw, space, sizeof space, &found) != 0 || found == NULL)
        return NULL;
    return arena_strdup(arena, found->pw_name);
}

static enum rc add_key(uint8_t *ids, uint8_t *count, unsigned id, struct err *e)
{
    for (unsigned i = 0; i < *count; i++)
        if (ids[i] == id)
            return RC_OK;
    if (*count == SESSION_MAX_KEYS)
        return err_set(e, RC_LIMIT, "more than %d keys for one host: sshd would refuse the login",
                       SESSION_MAX_KEYS);
    ids[(*count)++] = (uint8_t)id;
    return RC_OK;
}

static enum rc unnamed_keys(struct target_defaults *d, struct keys *keys, struct err *e)
{
    unsigned others[SESSION_MAX_KEYS], n = 0;
    enum rc rc = keys_add_defaults(keys, e);
    for (unsigned i = 0; rc == RC_OK && i < keys->count; i++)
        if (keys->items[i].base < 0)
            rc = add_key(d->keys, &d->key_count, i, e);
    if (rc == RC_OK)
        rc = keys_add_agents(keys, others, SESSION_MAX_KEYS - d->key_count, &n, e);
    for (unsigned i = 0; rc == RC_OK && i < n; i++)
        rc = add_key(d->keys, &d->key_count, others[i], e);
    return rc;
}

/* In ssh's order, and with the certificates that go with them. */
void target_order_keys(const struct keys *keys, uint8_t *ids, uint8_t *count)
{
    unsigned all[SESSION_MAX_KEYS], n = *count;
    for (unsigned i = 0; i < n; i++)
        all[i] = ids[i];
    keys_order(keys, all, &n, SESSION_MAX_KEYS);
    for (unsigned i = 0; i < n; i++)
        ids[i] = (uint8_t)all[i];
    *count = (uint8_t)n;
}

void target_keep_agents(struct target *t, const struct keys *keys, bool named, const char *agent,
                        const char *only)
{
    bool agents = !(agent != NULL && sshword_none(agent)) && !(only != NULL && sshword_yes(only));
    uint8_t kept = 0;
    for (unsigned i = 0; i < t->key_count; i++)
        if (keys_only_in_agent(keys, t->keys[i]) ? agents : !named)
            t->keys[kept++] = t->keys[i];
    t->key_count = kept;
}

/* Named keys stand alone, as with IdentitiesOnly; otherwise what the agent has comes before the
 * user's default files. */
static enum rc default_keys(struct target_defaults *d, const struct options *o, struct keys *keys,
                            struct err *e)
{
    d->keys_given = o->keys.count > 0 && !o->keys_are_default;
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < o->certificates.count; i++)
        rc = keys_add_cert(keys, o->certificates.items[i], e);
    for (size_t i = 0; rc == RC_OK && i < o->keys.count; i++) {
        unsigned id;
        char option[64];
        rc = keys_add(keys, o->keys.items[i], &id, e);
        if (rc == RC_NOTFOUND)
            err_wrap(e, "%s", options_blame(o, "key", option, sizeof option));
        if (rc == RC_OK)
            rc = add_key(d->keys, &d->key_count, id, e);
    }
    if (rc == RC_OK && o->keys.count == 0)
        rc = unnamed_keys(d, keys, e);
    target_order_keys(keys, d->keys, &d->key_count);
    return rc;
}

enum rc target_defaults_init(struct target_defaults *d, const struct options *o, struct keys *keys,
                             struct arena *arena, struct err *e)
{
    memset(d, 0, sizeof *d);
    d->user_given = o->user != NULL && !o->user_is_default;
    d->user = o->user != NULL ? o->user : own_name(arena);
    d->own_user = d->user_given ? own_name(arena) : d->user;
    if (d->own_user == NULL)
        d->own_user = d->user;
    if (d->user == NULL)
        return err_set(e, RC_CONFIG, "this account has no name: say which user with -u");
    d->port_given = o->port != 0 && !o->port_is_default;
    d->port = o->port != 0 ? o->port : 22;
    return default_keys(d, o, keys, e);
}

/* Says why a host cannot be used; `what` may come from a file and is escaped where it is shown. */
__attribute__((format(printf, 3, 4))) static enum rc mark_bad(struct target *t, struct arena *arena,
                                                              const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    t->bad = arena_strdup(arena, text);
    return t->bad != NULL ? RC_OK : RC_NOMEM;
}

/* A variable as text. *out stays as it was when it is not set; a value that is no text is bad. */
static enum rc read_text(struct target *t, const struct inventory *inv, const char *name,
                         const char **out, struct arena *arena)
{
    if (t->host == NULL)
        return RC_OK;
    struct err e = {0};
    struct value opened;
    const struct value *v;
    enum rc rc = inventory_host_conn_open(inv, t->host, name, &opened, &v, &e);
    if (v == &opened) { /* its text is no copy of ours: it stays where secrets are kept */
        *out = opened.u.string.data;
        return RC_OK;
    }
    if (rc == RC_OK && (v == NULL || v->type == VALUE_NULL))
        return RC_OK;
    struct buf b;
    buf_init(&b, 64 * 1024);
    if (rc == RC_OK)
        rc = value_text(v, &b, &e);
    if (rc == RC_OK && memchr(b.data, '\0', b.len) != NULL)
        rc = err_set(&e, RC_PARSE, "holds a NUL");
    if (rc == RC_OK && b.len > 0) {
        const char *copy = arena_strndup(arena, (const char *)b.data, b.len);
        rc = copy != NULL ? RC_OK : RC_NOMEM;
        *out = copy;
    }
    buf_fini(&b);
    if (rc == RC_OK || rc == RC_NOMEM)
        return rc;
    return mark_bad(t, arena, "variable ansible_%s: %s", name, e.msg);
}

static enum rc read_port(struct target *t, const struct inventory *inv, struct arena *arena)
{
    if (t->host == NULL)
        return RC_OK;
    struct err e = {0};
    struct value opened;
    const struct value *v;
    enum rc rc = inventory_host_conn_open(inv, t->host, "port", &opened, &v, &e);
    if (rc == RC_OK && (v == NULL || v->type == VALUE_NULL))
        return RC_OK;
    uint64_t port = 0;
    if (rc == RC_OK)
        rc = value_u64(v, 1, 65535, &port, &e);
    if (rc == RC_OK)
        t->port = (uint16_t)port;
    else if (rc != RC_NOMEM)
        return mark_bad(t, arena, "variable ansible_port: %s", e.msg);
    return rc;
}

static enum rc read_key(struct target *t, const struct inventory *inv, struct keys *keys,
                        struct arena *arena)
{
    const char *path = NULL;
    enum rc rc = read_text(t, inv, "ssh_private_key_file", &path, arena);
    if (rc == RC_OK && path == NULL && t->bad == NULL)
        rc = read_text(t, inv, "private_key_file", &path, arena);
    if (rc != RC_OK || path == NULL)
        return rc;
    unsigned id;
    struct err e = {0};
    t->key_count = 0;
    rc = keys_add(keys, path, &id, &e);
    if (rc == RC_OK && (rc = add_key(t->keys, &t->key_count, id, &e)) == RC_OK) {
        target_order_keys(keys, t->keys, &t->key_count);
        return RC_OK;
    }
    return rc == RC_NOMEM ? rc
                          : mark_bad(t, arena, "variable ansible_ssh_private_key_file: %s", e.msg);
}

/* The text of a variable that is a password, into the secrets. */
static enum rc add_password(const struct value *v, struct secrets *secrets, uint32_t *id,
                            struct err *e)
{
    struct buf b;
    buf_init(&b, SECRETS_MAX_TEXT + 1);
    enum rc rc = value_text(v, &b, e);
    if (rc == RC_OK && b.len > 0)
        rc = secrets_add(secrets, b.data, b.len, id, e);
    buf_wipe(&b);
    return rc;
}

static enum rc read_password(struct target *t, const struct target_defaults *d,
                             const struct inventory *inv, struct arena *arena)
{
    t->password = d->password;
    if (d->secrets == NULL || d->password != 0 || t->host == NULL)
        return RC_OK;
    struct err e = {0};
    struct value opened;
    const struct value *v;
    enum rc rc = inventory_host_conn_open(inv, t->host, "password", &opened, &v, &e);
    if (rc == RC_OK && (v == NULL || v->type == VALUE_NULL))
        return RC_OK;
    if (rc == RC_OK)
        rc = add_password(v, d->secrets, &t->password, &e);
    t->clear = rc == RC_OK && t->password != 0 && v != &opened ? v : NULL;
    if (rc == RC_OK || rc == RC_NOMEM)
        return rc;
    /* A template may stand for one that is not needed: no host was kept from its keys by it. */
    if (rc != RC_OPAQUE || v == NULL || v->type == VALUE_VAULT)
        return mark_bad(t, arena, "its password: %s", e.msg);
    t->no_password = arena_strdup(arena, e.msg);
    return t->no_password != NULL ? RC_OK : RC_NOMEM;
}

/* ansible_become_password. One that cannot be read matters: sudo may ask for it, and there is but
 * one attempt. */
static enum rc read_become_password(struct target *t, const struct target_defaults *d,
                                    const struct inventory *inv, struct arena *arena)
{
    struct err e = {0};
    struct value opened;
    const struct value *v;
    t->become_password = d->become_password;
    if (!d->becomes || d->secrets == NULL || d->become_password != 0 || t->host == NULL)
        return RC_OK;
    enum rc rc = inventory_host_conn_open(inv, t->host, "become_password", &opened, &v, &e);
    if (rc == RC_OK && v != NULL && v->type != VALUE_NULL)
        rc = add_password(v, d->secrets, &t->become_password, &e);
    if (rc == RC_OK && t->become_password != 0 && v != &opened && t->clear == NULL)
        t->clear = v;
    return rc == RC_OK || rc == RC_NOMEM ? rc
                                         : mark_bad(t, arena, "its become password: %s", e.msg);
}

/* A host that is not reached over SSH must be said, not dialled anyway. */
static enum rc refuse_unsupported(struct target *t, const struct inventory *inv,
                                  struct arena *arena)
{
    const char *connection = NULL;
    enum rc rc = read_text(t, inv, "connection", &connection, arena);
    if (rc != RC_OK || t->bad != NULL || connection == NULL)
        return rc;
    if (strcmp(connection, "ssh") == 0 || strcmp(connection, "smart") == 0 ||
        strcmp(connection, "paramiko") == 0 || strcmp(connection, "paramiko_ssh") == 0)
        return RC_OK;
    return mark_bad(t, arena, "ansible_connection=%.60s: muster reaches hosts over SSH only",
                    connection);
}

static void note_dial(struct target *t, const struct target_defaults *d,
                      const struct target_given *given, const struct keys *keys)
{
    t->dial = (struct target_dial){
        .host = t->address,
        .user = given->user ? t->user : NULL,
        .port = given->port ? t->port : 0,
        .alias = given->alias ? t->key_name : NULL,
        .key = given->keys && t->key_count > 0 ? target_config_keep(d->config, keys, t->keys[0])
                                               : NULL,
    };
}

/* What neither the command line nor a variable gave: ssh_config's word, or the default. */
static enum rc complete(struct target *t, const struct target_defaults *d, struct keys *keys,
                        struct arena *arena, struct err *e)
{
    struct target_given given = {.user = d->user_given || t->user != d->user,
                                 .port = d->port_given || t->port != 0,
                                 .keys = d->keys_given || t->key_count > 0,
                                 .alias = t->alias};
    if (t->port == 0)
        t->port = d->port;
    if (t->key_count == 0) {
        t->key_count = d->key_count;
        memcpy(t->keys, d->keys, sizeof t->keys);
    }
    if (d->config == NULL || t->bad != NULL)
        return RC_OK;
    note_dial(t, d, &given, keys);
    return target_config_apply(d->config, t, &given, keys, arena, e);
}

enum rc target_init(struct target *t, const struct target_defaults *d, const struct inventory *inv,
                    const struct inv_host *host, struct keys *keys, struct arena *arena,
                    struct err *e)
{
    return target_init_named(t, d, inv, host, host->name, keys, arena, e);
}

enum rc target_init_named(struct target *t, const struct target_defaults *d,
                          const struct inventory *inv, const struct inv_host *host,
                          const char *name, struct keys *keys, struct arena *arena, struct err *e)
{
    memset(t, 0, sizeof *t);
    t->host = host;
    t->name = t->address = name;
    t->user = d->user;
    enum rc rc = read_text(t, inv, "host", &t->address, arena);
    if (rc == RC_OK && t->address == name)
        rc = read_text(t, inv, "ssh_host", &t->address, arena);
    if (rc == RC_OK && t->bad == NULL && !d->user_given)
        rc = read_text(t, inv, "user", &t->user, arena);
    if (rc == RC_OK && t->bad == NULL && !d->user_given && t->user == d->user)
        rc = read_text(t, inv, "ssh_user", &t->user, arena);
    if (rc == RC_OK && t->bad == NULL && !d->port_given)
        rc = read_port(t, inv, arena);
    if (rc == RC_OK && t->bad == NULL && !d->keys_given)
        rc = read_key(t, inv, keys, arena);
    if (rc == RC_OK && t->bad == NULL)
        rc = read_password(t, d, inv, arena);
    if (rc == RC_OK && t->bad == NULL)
        rc = read_become_password(t, d, inv, arena);
    if (rc == RC_OK && t->bad == NULL)
        rc = refuse_unsupported(t, inv, arena);
    const char *alias = d->host_key_alias;
    if (rc == RC_OK && t->bad == NULL && alias == NULL)
        rc = read_text(t, inv, "host_key_alias", &alias, arena);
    t->alias = alias != NULL;
    t->key_name = alias != NULL ? alias : t->address;
    return rc == RC_OK ? complete(t, d, keys, arena, e) : err_nomem(e);
}
