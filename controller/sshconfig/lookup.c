/* What the files say of one host. See sshconfig.h. */
#include "controller/sshconfig/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

/* ---- the index, made at the first question ---- */

static bool is_plain(const struct block *b)
{
    if (b->kind != BLOCK_HOST)
        return false;
    for (uint32_t i = 0; i < b->count; i++)
        if (strpbrk(b->patterns[i], "*?") != NULL || b->patterns[i][0] == '!')
            return false;
    return true;
}

static enum rc add_hit(struct sshconfig *c, const char *name, uint32_t block)
{
    struct hits *h = map_gets(&c->exact, name);
    if (h == NULL) {
        h = arena_calloc(&c->arena, 1, sizeof *h);
        if (h == NULL || map_puts(&c->exact, name, h) != 0)
            return RC_NOMEM;
    }
    if (h->count > 0 && h->items[h->count - 1] == block)
        return RC_OK;
    if (mem_grow(&h->items, &h->cap, h->count + 1, sizeof *h->items) != 0)
        return RC_NOMEM;
    h->items[h->count++] = block;
    return RC_OK;
}

static enum rc index_block(struct sshconfig *c, uint32_t i)
{
    const struct block *b = &c->blocks[i], *named = b;
    enum rc rc = RC_OK;
    if (b->directives == 0 && !b->referenced && b->kind != BLOCK_MATCH)
        return RC_OK;
    /* What goes on after an Include is asked about when its beginning is. */
    while (named->kind == BLOCK_AGAIN)
        named = &c->blocks[named->original];
    if (is_plain(named)) {
        for (uint32_t p = 0; rc == RC_OK && p < named->count; p++)
            rc = add_hit(c, named->patterns[p], i);
        return rc;
    }
    if (mem_grow(&c->scan, &c->scan_cap, c->scan_count + 1, sizeof *c->scan) != 0)
        return RC_NOMEM;
    c->scan[c->scan_count++] = i;
    return RC_OK;
}

static enum rc make_index(struct sshconfig *c, struct err *e)
{
    if (c->indexed)
        return RC_OK;
    size_t old = c->stamp_cap;
    if (mem_grow(&c->stamp, &c->stamp_cap, c->block_count, sizeof *c->stamp) != 0)
        return err_nomem(e);
    memset(c->stamp + old, 0, (c->stamp_cap - old) * sizeof *c->stamp);
    for (uint32_t i = 0; i < c->block_count; i++)
        if (index_block(c, i) != RC_OK)
            return err_nomem(e);
    c->indexed = true;
    return RC_OK;
}

/* ---- one question ---- */

struct asking {
    struct sshconfig *c;
    const struct sshconfig_query *q;
    struct sshconfig_answer *a;
    const char *name; /* what Host patterns meet: the query's, then in the last pass the address */
    bool final;
    bool jump_set;    /* a ProxyJump or a ProxyCommand: later ProxyJumps count no more */
    bool command_set; /* the same for ProxyCommand, which "ProxyJump none" leaves open */
};

static void lower_case(char *s)
{
    for (; *s != '\0'; s++)
        *s = (char)tolower((unsigned char)*s);
}

/* HostName as set so far, %h and %% filled in. */
static enum rc fill_hostname(struct asking *k, char *dst, size_t cap, struct err *e)
{
    const char *text = k->a->value[SSHWORD_HOSTNAME];
    size_t n = 0;
    if (k->final) { /* it is filled in already */
        snprintf(dst, cap, "%s", k->a->hostname);
        return RC_OK;
    }
    if (text == NULL)
        text = "%h";
    for (const char *p = text; *p != '\0'; p++) {
        char one[2] = {*p, '\0'};
        const char *piece = one;
        if (*p == '%' && (p[1] == 'h' || p[1] == '%'))
            piece = *++p == 'h' ? k->q->host : "%";
        else if (*p == '%')
            return err_set(e, RC_CONFIG,
                           "HostName %.80s: only %%h and %%%% have a meaning in it (%s)", text,
                           k->a->where[SSHWORD_HOSTNAME]);
        size_t len = strlen(piece);
        if (n + len >= cap)
            return err_set(e, RC_LIMIT, "the name to connect to is longer than %zu bytes", cap - 1);
        memcpy(dst + n, piece, len);
        n += len;
    }
    dst[n] = '\0';
    return RC_OK;
}

static bool host_block_holds(const struct asking *k, const struct block *b)
{
    bool holds = false;
    for (uint32_t i = 0; i < b->count; i++) {
        const char *p = b->patterns[i];
        bool negated = *p == '!';
        if (!match_pattern(k->name, p + negated))
            continue;
        if (negated)
            return false;
        holds = true;
    }
    return holds;
}

static bool criterion_holds(struct asking *k, const struct criterion *c, const char *host)
{
    const char *user = k->q->user != NULL                  ? k->q->user
                       : k->a->value[SSHWORD_USER] != NULL ? k->a->value[SSHWORD_USER]
                                                           : k->q->local_user;
    switch (c->kind) {
    case BY_ALL: return true;
    case BY_HOST: return match_list(host, c->arg, true) == 1;
    case BY_ORIGINAL_HOST: return match_list(k->q->host, c->arg, true) == 1;
    case BY_USER: return match_list(user, c->arg, false) == 1;
    case BY_LOCAL_USER: return match_list(k->q->local_user, c->arg, false) == 1;
    case BY_FINAL: return k->final;
    case BY_UNKNOWN: break;
    }
    return true;
}

/* What we cannot know counts when all else holds: ssh would ask it then. */
static enum rc match_block_holds(struct asking *k, const struct block *b, bool *holds,
                                 struct err *e)
{
    char host[sizeof k->a->hostname];
    const struct criterion *unknown = NULL;
    enum rc rc = fill_hostname(k, host, sizeof host, e);
    *holds = true;
    for (uint32_t i = 0; rc == RC_OK && *holds && i < b->count; i++) {
        const struct criterion *c = &b->criteria[i];
        if (c->kind == BY_UNKNOWN)
            unknown = c;
        else
            *holds = criterion_holds(k, c, host) != c->negated;
    }
    if (rc != RC_OK || !*holds || unknown == NULL)
        return rc;
    *holds = false;
    if (k->a->undecided == NULL && (b->directives > 0 || b->referenced))
        k->a->undecided = b->where;
    return RC_OK;
}

static enum rc holds(struct asking *k, uint32_t i, bool *out, struct err *e)
{
    const struct block *b = &k->c->blocks[i];
    *out = false;
    if (b->parent != NO_BLOCK && k->c->stamp[b->parent] != k->c->pass)
        return RC_OK;
    switch (b->kind) {
    case BLOCK_ALWAYS: *out = true; break;
    case BLOCK_HOST: *out = host_block_holds(k, b); break;
    case BLOCK_AGAIN: *out = k->c->stamp[b->original] == k->c->pass; break;
    case BLOCK_MATCH: return match_block_holds(k, b, out, e);
    }
    return RC_OK;
}

static void append(const char **list, size_t *count, const char *text)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i], text) == 0)
            return;
    if (*count < SSHCONFIG_MAX_APPEND)
        list[(*count)++] = text;
}

static bool is_set(const struct sshconfig_answer *a, enum sshword w)
{
    return a->where[w] != NULL;
}

static bool settle_proxy(struct asking *k, const struct directive *d)
{
    bool jump = d->word == SSHWORD_PROXY_JUMP;
    bool first = !(jump ? k->jump_set : k->command_set);
    k->jump_set = true;
    k->command_set |= !jump || (first && !sshword_none(d->argv[0]));
    return first;
}

static void apply(struct asking *k, const struct directive *d)
{
    struct sshconfig_answer *a = k->a;
    bool first = !is_set(a, d->word);
    if (d->word == SSHWORD_IDENTITY_FILE)
        append(a->identities, &a->identity_count, d->argv[0]);
    else if (d->word == SSHWORD_CERTIFICATE_FILE)
        append(a->certificates, &a->certificate_count, d->argv[0]);
    else if (d->word == SSHWORD_PROXY_JUMP || d->word == SSHWORD_PROXY_COMMAND)
        first = settle_proxy(k, d);
    if (!first)
        return;
    a->where[d->word] = d->where;
    if (d->word == SSHWORD_USER_KNOWN_HOSTS)
        a->user_known_hosts = (struct sshconfig_list){d->argv, d->argc};
    else if (d->word == SSHWORD_GLOBAL_KNOWN_HOSTS)
        a->global_known_hosts = (struct sshconfig_list){d->argv, d->argc};
    else if (sshword_kind(d->word) != KIND_APPEND)
        a->value[d->word] = d->argv[0];
}

static enum rc visit(struct asking *k, uint32_t i, struct err *e)
{
    bool on;
    enum rc rc = holds(k, i, &on, e);
    if (rc != RC_OK || !on)
        return rc;
    const struct block *b = &k->c->blocks[i];
    k->c->stamp[i] = k->c->pass;
    for (uint32_t d = 0; d < b->directives; d++)
        apply(k, &k->c->directives[b->first + d]);
    return RC_OK;
}

/* Both lists ascend: the blocks come in the order of the files. */
static enum rc pass(struct asking *k, struct err *e)
{
    struct sshconfig *c = k->c;
    const struct hits *h = map_gets(&c->exact, k->name);
    size_t hits = h != NULL ? h->count : 0;
    enum rc rc = RC_OK;
    if (++c->pass == 0) { /* wrapped: no old stamp may look fresh */
        memset(c->stamp, 0, c->stamp_cap * sizeof *c->stamp);
        c->pass = 1;
    }
    for (size_t i = 0, j = 0; rc == RC_OK && (i < c->scan_count || j < hits);) {
        bool scanned = j == hits || (i < c->scan_count && c->scan[i] < h->items[j]);
        rc = visit(k, scanned ? c->scan[i++] : h->items[j++], e);
    }
    return rc;
}

enum rc sshconfig_lookup(struct sshconfig *c, const struct sshconfig_query *q,
                         struct sshconfig_answer *a, struct err *e)
{
    struct asking k = {.c = c, .q = q, .a = a, .name = q->host};
    memset(a, 0, offsetof(struct sshconfig_answer, identities));
    a->identity_count = a->certificate_count = 0;
    a->undecided = NULL;
    a->hostname[0] = '\0';
    enum rc rc = make_index(c, e);
    if (rc == RC_OK)
        rc = pass(&k, e);
    if (rc == RC_OK)
        rc = fill_hostname(&k, a->hostname, sizeof a->hostname, e);
    if (rc != RC_OK)
        return rc;
    lower_case(a->hostname);
    if (!c->has_final)
        return RC_OK;
    k.final = true;
    k.name = a->hostname;
    a->value[SSHWORD_HOSTNAME] = a->hostname;
    a->where[SSHWORD_HOSTNAME] = "";
    return pass(&k, e);
}
