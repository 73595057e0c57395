/* See target_config.h. */
#include "controller/run/target_config.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/map.h"
#include "common/mem.h"
#include "controller/openssh/openssh.h"
#include "controller/run/beyond.h"
#include "controller/sshconfig/algorithms.h"
#include "controller/sshconfig/sshconfig.h"
#include "controller/sshconfig/tokens.h"

enum { MAX_PATH = 4096, MAX_SETS = 1000 };

struct file_list {
    const char **items;
    size_t count;
};

struct known_set { /* files that some hosts have of their own */
    struct file_list user, global;
};

struct target_config {
    const struct options *options;
    struct sshconfig *files;
    struct arena arena;
    struct map key_ids;   /* path -> number + 1 in the keys, or NO_KEY */
    struct map set_names; /* all files of a set, joined -> its number */
    struct known_set *sets;
    size_t set_count, set_cap;
    const char *home, *local_user, *local_host;
    uint64_t longest_ms;
    char openssh[256];        /* path of ssh; "": there is none, or it may not be used */
    char ssh_file[512];       /* for its -F; "": none is needed */
    bool said[SSHWORD_COUNT]; /* a word that we cannot follow was spoken of */
};

#define NO_KEY       ((void *)-1)
#define SECURITY_KEY ((uintptr_t)-2)
enum { SK_KEY = -2 };

static const char *env_get(const char *name)
{
    return getenv(name);
}

static enum rc find_self(struct target_config *tc, struct err *e)
{
    char space[4096], host[256] = "localhost";
    struct passwd pw, *found = NULL;
    if (getpwuid_r(geteuid(), &pw, space, sizeof space, &found) != 0)
        found = NULL;
    gethostname(host, sizeof host - 1);
    const char *home = getenv("HOME");
    if (home == NULL || *home == '\0')
        home = found != NULL ? found->pw_dir : "/";
    tc->home = arena_strdup(&tc->arena, home);
    tc->local_user = arena_strdup(&tc->arena, found != NULL ? found->pw_name : "");
    tc->local_host = arena_strdup(&tc->arena, host);
    return tc->home == NULL || tc->local_user == NULL || tc->local_host == NULL ? err_nomem(e)
                                                                                : RC_OK;
}

static enum rc load_default(struct target_config *tc, const char *path, bool user, struct err *e)
{
    enum rc rc = sshconfig_load(tc->files, path, tc->home, user, user, e);
    return rc == RC_NOTFOUND ? RC_OK : rc;
}

static enum rc load_files(struct target_config *tc, struct err *e)
{
    const char *named = tc->options->ssh_config;
    char path[MAX_PATH];
    if (named != NULL && strcmp(named, "none") == 0)
        return RC_OK;
    if (named != NULL)
        return sshconfig_load(tc->files, named, tc->home, true, false, e);
    enum rc rc = RC_OK;
    if ((size_t)snprintf(path, sizeof path, "%s/.ssh/config", tc->home) < sizeof path)
        rc = load_default(tc, path, true, e);
    return rc == RC_OK ? load_default(tc, "/etc/ssh/ssh_config", false, e) : rc;
}

/* ssh goes by the account's home and not by $HOME: where they differ it is told what to read. */
static void find_openssh(struct target_config *tc)
{
    const struct passwd *pw = getpwuid(geteuid());
    const char *named = tc->options->ssh_config;
    char own[sizeof tc->ssh_file];
    openssh_find(tc->openssh, sizeof tc->openssh, NULL);
    snprintf(own, sizeof own, "%s/.ssh/config", tc->home);
    if (named != NULL)
        snprintf(tc->ssh_file, sizeof tc->ssh_file, "%s", named);
    else if (pw == NULL || strcmp(pw->pw_dir, tc->home) != 0)
        snprintf(tc->ssh_file, sizeof tc->ssh_file, "%s", access(own, R_OK) == 0 ? own : "none");
}

bool target_config_has_openssh(const struct target_config *tc)
{
    return tc->openssh[0] != '\0';
}

const char *target_config_openssh(const struct target_config *tc)
{
    return tc->openssh;
}

const char *target_config_file(const struct target_config *tc)
{
    return tc->ssh_file[0] != '\0' ? tc->ssh_file : NULL;
}

const char *target_config_keep(struct target_config *tc, const struct keys *keys, unsigned id)
{
    const char *path = id < keys->count ? keys->items[id].path : NULL;
    return path != NULL ? arena_strdup(&tc->arena, path) : NULL;
}

enum rc target_config_new(struct target_config **out, const struct options *o, struct err *e)
{
    struct target_config *tc = mem_calloc(1, sizeof *tc);
    if (tc == NULL)
        return err_nomem(e);
    tc->options = o;
    arena_init(&tc->arena);
    map_init(&tc->key_ids);
    map_init(&tc->set_names);
    enum rc rc = find_self(tc, e);
    if (rc == RC_OK)
        rc = sshconfig_new(&tc->files, e);
    for (size_t i = 0; rc == RC_OK && i < o->ssh_words.count; i++)
        rc = sshconfig_add_option(tc->files, o->ssh_words.items[i], e);
    if (rc == RC_OK)
        rc = load_files(tc, e);
    if (rc == RC_OK && !o->no_openssh)
        find_openssh(tc);
    if (rc != RC_OK) {
        target_config_free(tc);
        return rc;
    }
    *out = tc;
    return RC_OK;
}

void target_config_free(struct target_config *tc)
{
    if (tc == NULL)
        return;
    sshconfig_free(tc->files);
    map_fini(&tc->key_ids);
    map_fini(&tc->set_names);
    mem_free(tc->sets);
    arena_fini(&tc->arena);
    mem_free(tc);
}

uint64_t target_config_longest_ms(const struct target_config *tc)
{
    return tc->longest_ms;
}

/* ---- one host ---- */

struct applying {
    struct target_config *tc;
    struct target *t;
    const struct target_given *given;
    const struct sshconfig_answer *a;
    struct sshtokens tokens;
    struct keys *keys;
    struct arena *arena;
};

__attribute__((format(printf, 2, 3))) static enum rc mark_bad(struct applying *ap, const char *fmt,
                                                              ...)
{
    char text[400];
    va_list ap_;
    if (ap->t->bad != NULL)
        return RC_OK;
    va_start(ap_, fmt);
    vsnprintf(text, sizeof text, fmt, ap_);
    va_end(ap_);
    ap->t->bad = arena_strdup(ap->arena, text);
    return ap->t->bad != NULL ? RC_OK : RC_NOMEM;
}

/* The host goes to OpenSSH's ssh, or nowhere. */
__attribute__((format(printf, 2, 3))) static enum rc use_openssh(struct applying *ap,
                                                                 const char *fmt, ...)
{
    char why[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    if (ap->tc->options->verb == VERB_KEYSCAN)
        return mark_bad(ap, "%s: only OpenSSH's ssh can do that, and it collects no keys", why);
    if (!target_config_has_openssh(ap->tc))
        return mark_bad(ap, "%s: only OpenSSH's ssh can do that, and %s", why,
                        ap->tc->options->no_openssh ? "--no-openssh was given"
                                                    : "there is no ssh on PATH");
    ap->t->openssh = arena_strdup(ap->arena, why);
    return ap->t->openssh != NULL ? RC_OK : RC_NOMEM;
}

static enum rc take_names(struct applying *ap)
{
    const struct sshconfig_answer *a = ap->a;
    struct target *t = ap->t;
    if (strcasecmp(a->hostname, t->address) != 0)
        t->address = arena_strdup(ap->arena, a->hostname);
    if (!ap->given->user && a->value[SSHWORD_USER] != NULL)
        t->user = a->value[SSHWORD_USER];
    if (!ap->given->port && a->value[SSHWORD_PORT] != NULL)
        t->port = (uint16_t)strtoul(a->value[SSHWORD_PORT], NULL, 10);
    if (!ap->given->alias)
        t->key_name = t->address;
    if (!ap->given->alias && a->value[SSHWORD_HOST_KEY_ALIAS] != NULL) {
        t->key_name = a->value[SSHWORD_HOST_KEY_ALIAS];
        t->alias = true;
    }
    return t->address != NULL ? RC_OK : RC_NOMEM;
}

/* Does PATH.pub say that the key lives in a security key (FIDO)? */
static bool keyfile_is_security(const char *path)
{
    char name[MAX_PATH + 8], head[16] = "";
    snprintf(name, sizeof name, "%s.pub", path);
    FILE *f = fopen(name, "re");
    if (f == NULL)
        return false;
    bool is = fgets(head, sizeof head, f) != NULL &&
              (strncmp(head, "sk-ssh-", 7) == 0 || strncmp(head, "sk-ecdsa-", 9) == 0);
    fclose(f);
    return is;
}

/* An identity's number in the keys: read once per path, whatever the number of hosts. A file that
 * is not there is passed over as ssh does; one that cannot be used is spoken of once. */
static enum rc find_key(struct applying *ap, const char *path, int *id)
{
    struct target_config *tc = ap->tc;
    void *known = map_gets(&tc->key_ids, path);
    struct err e = {0};
    unsigned number;
    *id = -1;
    if (known == NULL) {
        const char *copy = arena_strdup(&tc->arena, path);
        if (copy == NULL)
            return RC_NOMEM;
        bool security = keyfile_is_security(path);
        enum rc rc = security ? RC_NOTFOUND : keys_add(ap->keys, path, &number, &e);
        if (rc == RC_NOMEM)
            return rc;
        if (rc != RC_OK && rc != RC_NOTFOUND)
            log_warn("key left out: %s", e.msg);
        known = security      ? (void *)SECURITY_KEY
                : rc == RC_OK ? (void *)(uintptr_t)(number + 1)
                              : NO_KEY;
        if (map_puts(&tc->key_ids, copy, known) != 0)
            return RC_NOMEM;
    }
    if (known == (void *)SECURITY_KEY)
        *id = SK_KEY;
    else if (known != NO_KEY)
        *id = (int)((uintptr_t)known - 1);
    return RC_OK;
}

static enum rc expand(struct applying *ap, const char *text, struct buf *out)
{
    struct err e = {0};
    buf_reset(out);
    enum rc rc = sshtokens_expand(&ap->tokens, text, out, &e);
    if (rc == RC_OK)
        return buf_cstr(out) != NULL ? RC_OK : RC_NOMEM;
    return rc == RC_NOMEM ? rc : mark_bad(ap, "ssh_config: %s", e.msg);
}

static void add_key(struct target *t, int id)
{
    for (unsigned i = 0; i < t->key_count; i++)
        if (t->keys[i] == id)
            return;
    if (t->key_count < SESSION_MAX_KEYS)
        t->keys[t->key_count++] = (uint8_t)id;
}

/* One that is not there is passed over, as ssh does. */
static enum rc take_certificates(struct applying *ap)
{
    struct buf path;
    enum rc rc = RC_OK;
    buf_init(&path, MAX_PATH);
    for (size_t i = 0; rc == RC_OK && i < ap->a->certificate_count; i++) {
        struct err e = {0};
        if (sshword_none(ap->a->certificates[i]))
            continue;
        rc = expand(ap, ap->a->certificates[i], &path);
        if (rc != RC_OK || ap->t->bad != NULL)
            break;
        rc = keys_add_cert(ap->keys, buf_cstr(&path), &e);
        if (rc != RC_OK && rc != RC_NOTFOUND && rc != RC_NOMEM)
            log_warn("certificate left out: %s", e.msg);
        rc = rc == RC_NOMEM ? rc : RC_OK;
    }
    buf_fini(&path);
    return rc;
}

static enum rc take_keys(struct applying *ap)
{
    const struct sshconfig_answer *a = ap->a;
    struct buf path;
    bool security = false;
    enum rc rc = take_certificates(ap);
    if (rc != RC_OK || ap->t->bad != NULL)
        return rc;
    if (ap->given->keys) {
        target_order_keys(ap->keys, ap->t->keys, &ap->t->key_count);
        return RC_OK;
    }
    target_keep_agents(ap->t, ap->keys, a->identity_count > 0, a->value[SSHWORD_IDENTITY_AGENT],
                       a->value[SSHWORD_IDENTITIES_ONLY]);
    buf_init(&path, MAX_PATH);
    for (size_t i = 0; rc == RC_OK && i < a->identity_count; i++) {
        int id;
        if (sshword_none(a->identities[i]))
            continue;
        rc = expand(ap, a->identities[i], &path);
        if (rc != RC_OK || ap->t->bad != NULL)
            break;
        rc = find_key(ap, buf_cstr(&path), &id);
        if (rc == RC_OK && id == SK_KEY)
            security = true;
        else if (rc == RC_OK && id >= 0)
            add_key(ap->t, id);
    }
    buf_fini(&path);
    target_order_keys(ap->keys, ap->t->keys, &ap->t->key_count);
    /* A touch is wanted: only where no other key is there to log in with. */
    if (rc == RC_OK && security && ap->t->key_count == 0 && ap->t->openssh == NULL &&
        ap->tc->options->verb != VERB_KEYSCAN)
        rc = use_openssh(ap, "the security key at %s", a->where[SSHWORD_IDENTITY_FILE]);
    return rc;
}

/* ---- known_hosts ---- */

static enum rc expand_list(struct applying *ap, struct sshconfig_list in, struct file_list *out,
                           struct buf *joined)
{
    struct buf path;
    enum rc rc = RC_OK;
    out->items = arena_alloc(&ap->tc->arena, (in.count + 1) * sizeof *out->items);
    if (out->items == NULL)
        return RC_NOMEM;
    buf_init(&path, MAX_PATH);
    for (size_t i = 0; rc == RC_OK && ap->t->bad == NULL && i < in.count; i++) {
        if (sshword_none(in.items[i]))
            continue;
        rc = expand(ap, in.items[i], &path);
        const char *copy = rc == RC_OK && ap->t->bad == NULL
                               ? arena_strdup(&ap->tc->arena, buf_cstr(&path))
                               : NULL;
        if (rc == RC_OK && ap->t->bad == NULL && copy == NULL)
            rc = RC_NOMEM;
        if (copy == NULL)
            break;
        out->items[out->count++] = copy;
        rc = buf_printf(joined, "%s\n", copy);
    }
    buf_fini(&path);
    return rc == RC_OK ? buf_putc(joined, '\n') : rc;
}

static enum rc find_set(struct applying *ap, const struct known_set *set, struct buf *joined)
{
    struct target_config *tc = ap->tc;
    void *known = map_get(&tc->set_names, (const char *)joined->data, joined->len);
    if (known == NULL) {
        char *copy = arena_strndup(&tc->arena, (const char *)joined->data, joined->len);
        if (tc->set_count == MAX_SETS)
            return mark_bad(ap, "ssh_config names more than %d sets of known_hosts files",
                            MAX_SETS);
        if (copy == NULL ||
            mem_grow(&tc->sets, &tc->set_cap, tc->set_count + 1, sizeof *tc->sets) != 0)
            return RC_NOMEM;
        known = (void *)(uintptr_t)(tc->set_count + 1);
        if (map_put(&tc->set_names, copy, joined->len, known, NULL) != 0)
            return RC_NOMEM;
        tc->sets[tc->set_count++] = *set;
    }
    ap->t->trust.set = (uint16_t)(uintptr_t)known;
    return RC_OK;
}

static enum rc take_known_hosts(struct applying *ap)
{
    static const char *const user[] = {"~/.ssh/known_hosts", "~/.ssh/known_hosts2"};
    static const char *const global[] = {"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"};
    const struct sshconfig_answer *a = ap->a;
    struct known_set set = {0};
    struct buf joined;
    if (ap->tc->options->known_hosts_given ||
        (a->user_known_hosts.count == 0 && a->global_known_hosts.count == 0))
        return RC_OK;
    buf_init(&joined, 1 << 20);
    enum rc rc = expand_list(
        ap, a->user_known_hosts.count > 0 ? a->user_known_hosts : (struct sshconfig_list){user, 2},
        &set.user, &joined);
    if (rc == RC_OK)
        rc = expand_list(ap,
                         a->global_known_hosts.count > 0 ? a->global_known_hosts
                                                         : (struct sshconfig_list){global, 2},
                         &set.global, &joined);
    if (rc == RC_OK && ap->t->bad == NULL)
        rc = find_set(ap, &set, &joined);
    buf_fini(&joined);
    return rc == RC_LIMIT ? mark_bad(ap, "ssh_config names too many known_hosts files") : rc;
}

enum rc target_config_trust(const struct target_config *tc, struct trust *t, struct err *e)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < tc->set_count; i++) {
        const struct known_set *s = &tc->sets[i];
        rc = trust_add_set(t, s->user.items, s->user.count, s->global.items, s->global.count, e);
    }
    return rc;
}

static void take_policy(struct applying *ap)
{
    const char *v = ap->a->value[SSHWORD_CHECKING];
    if (v == NULL || ap->tc->options->host_keys_given)
        return;
    ap->t->trust.own_policy = true;
    if (strcasecmp(v, "accept-new") == 0)
        ap->t->trust.policy = HOST_KEYS_ACCEPT_NEW;
    else if (strcasecmp(v, "no") == 0 || strcasecmp(v, "off") == 0 || strcasecmp(v, "false") == 0)
        ap->t->trust.policy = HOST_KEYS_OFF;
    else /* "ask" too: with many hosts nobody can be asked */
        ap->t->trust.policy = HOST_KEYS_STRICT;
}

static void take_bounds(struct applying *ap)
{
    const char *family = ap->a->value[SSHWORD_FAMILY];
    uint64_t ms = (uint64_t)sshword_seconds(ap->a->value[SSHWORD_CONNECT_TIMEOUT]) * 1000;
    if (family != NULL && strcasecmp(family, "any") != 0)
        ap->t->family = strcasecmp(family, "inet") == 0 ? AF_INET : AF_INET6;
    if (ms == 0 || ap->tc->options->connect_timeout_given)
        return;
    ap->t->connect_ms = ms;
    if (ms > ap->tc->longest_ms)
        ap->tc->longest_ms = ms;
}

/* ---- what only OpenSSH's ssh can do ---- */

static enum rc take_limits(struct applying *ap)
{
    const struct sshconfig_answer *a = ap->a;
    enum sshword w = beyond_word(a);
    if (a->where[SSHWORD_REFUSE] != NULL)
        return mark_bad(ap, "ssh_config refuses it at %s: %.200s", a->where[SSHWORD_REFUSE],
                        a->value[SSHWORD_REFUSE]);
    if (a->undecided != NULL)
        return use_openssh(ap, "the Match at %s asks what only ssh knows", a->undecided);
    if (w != SSHWORD_COUNT)
        return use_openssh(ap, "%s at %s", sshword_name(w), a->where[w]);
    if (!sshword_none(a->value[SSHWORD_PROXY_JUMP]))
        ap->t->config_jump = a->value[SSHWORD_PROXY_JUMP];
    else if (!sshword_none(a->value[SSHWORD_PROXY_COMMAND]))
        ap->t->config_command = a->value[SSHWORD_PROXY_COMMAND];
    return RC_OK;
}

/* Files of the system often allow GSSAPI for every host: it counts where it is asked for first, and
 * where we have no key but a ticket. */
static enum rc take_gssapi(struct applying *ap)
{
    const char *order = ap->a->value[SSHWORD_PREFERRED];
    bool on = sshword_yes(ap->a->value[SSHWORD_GSSAPI]);
    bool first = order != NULL && strncasecmp(order, "gssapi-with-mic", 15) == 0;
    bool only = ap->t->key_count == 0 && target_config_has_openssh(ap->tc) && beyond_ticket();
    if (ap->tc->options->verb == VERB_KEYSCAN || ap->t->openssh != NULL || !on || !(first || only))
        return RC_OK;
    return use_openssh(ap, "GSSAPIAuthentication at %s", ap->a->where[SSHWORD_GSSAPI]);
}

/* Once per word: it is the file that is to be mended or known about, not each host. */
static void say_once(struct applying *ap)
{
    const struct sshconfig_answer *a = ap->a;
    for (enum sshword w = SSHWORD_HOST_KEY_ALGORITHMS; w <= SSHWORD_MACS; w++) {
        if (a->value[w] == NULL || ap->tc->said[w] ||
            algorithms_fit(w, a->value[w]) != ALGORITHMS_NARROWER)
            continue;
        ap->tc->said[w] = true;
        bool own = strncmp(a->where[w], "/etc/", 5) != 0;
        (own ? log_warn : log_info)("%s: %s is not followed: our own list is offered", a->where[w],
                                    sshword_name(w));
    }
}

static enum rc apply(struct applying *ap)
{
    enum rc rc = take_names(ap);
    if (rc != RC_OK)
        return rc;
    ap->tokens.hostname = ap->t->address;
    ap->tokens.alias = ap->t->alias ? ap->t->key_name : NULL;
    ap->tokens.user = ap->t->user;
    ap->tokens.port = ap->t->port;
    ap->t->legacy = beyond_old(ap->a);
    take_policy(ap);
    take_bounds(ap);
    rc = take_limits(ap);
    if (rc == RC_OK && ap->t->bad == NULL)
        rc = take_keys(ap);
    if (rc == RC_OK && ap->t->bad == NULL)
        rc = take_gssapi(ap);
    if (rc == RC_OK && ap->t->bad == NULL)
        rc = take_known_hosts(ap);
    if (rc == RC_OK)
        say_once(ap);
    return rc;
}

enum rc target_config_apply(struct target_config *tc, struct target *t,
                            const struct target_given *given, struct keys *keys,
                            struct arena *arena, struct err *e)
{
    static struct sshconfig_answer answer; /* 2 KiB that every host can share: one thread */
    struct err why = {0};
    if (sshconfig_is_empty(tc->files))
        return RC_OK;
    struct sshconfig_query q = {
        .host = t->address, .user = given->user ? t->user : NULL, .local_user = tc->local_user};
    struct applying ap = {.tc = tc,
                          .t = t,
                          .given = given,
                          .a = &answer,
                          .keys = keys,
                          .arena = arena,
                          .tokens = {.original = t->address,
                                     .local_user = tc->local_user,
                                     .local_host = tc->local_host,
                                     .home = tc->home,
                                     .uid = (unsigned)getuid(),
                                     .env_get = env_get}};
    enum rc rc = sshconfig_lookup(tc->files, &q, &answer, &why);
    if (rc == RC_CONFIG || rc == RC_LIMIT)
        rc = mark_bad(&ap, "ssh_config: %s", why.msg);
    else if (rc == RC_OK)
        rc = apply(&ap);
    return rc == RC_OK ? RC_OK : err_nomem(e);
}
