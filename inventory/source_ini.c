/* Ansible's INI inventories: sections of hosts, [group:vars] and [group:children]. Follows
 * ansible/plugins/inventory/ini.py line for line, since its corner cases are in people's files.
 * See source.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/hostrange.h"
#include "inventory/pyliteral.h"
#include "inventory/source.h"

enum { MAX_LINE = 16 * 1024 * 1024 };

enum state { STATE_HOSTS, STATE_VARS, STATE_CHILDREN };

/* A group that was mentioned and must still be declared by a section of its own. */
struct pending {
    const char *name;
    struct value_place at;
    bool is_child;       /* named in a :children section; otherwise by its :vars section */
    struct list parents; /* struct group *, for children */
};

struct ini {
    struct inventory *inv;
    const char *file;
    uint32_t line, column;
    enum state state;
    struct group *group;
    struct map pending; /* name → struct pending *; in the arena */
    struct buf token, name;
    struct err *e;
};

static struct value_place here(const struct ini *p)
{
    return model_place(p->file, p->line, p->column);
}

#define FAIL(p, rc, ...)                                                                           \
    model_error((p)->e, rc, &(struct value_place){p->file, p->line, p->column}, __VA_ARGS__)

/* --- lines --- */

/* What str.strip() takes away. */
static bool is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x20) || cp == 0x85 || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* What str.splitlines() splits at; \r\n is one end. */
static bool is_line_end(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

static void strip(const char **s, const char **end)
{
    uint32_t cp;
    size_t n;
    while (*s < *end && (n = str_utf8_decode(*s, (size_t)(*end - *s), &cp)) > 0 && is_space(cp))
        *s += n;
    while (*s < *end) {
        const char *p = *end - 1;
        while (p > *s && ((unsigned char)*p & 0xc0) == 0x80)
            p--;
        n = str_utf8_decode(p, (size_t)(*end - p), &cp);
        if (n == 0 || p + n != *end || !is_space(cp))
            return;
        *end = p;
    }
}

/* The end of the line that starts at s, and where the next one starts. */
static const char *line_end(const char *s, const char *end, const char **next)
{
    while (s < end) {
        unsigned char c = (unsigned char)*s;
        uint32_t cp = c;
        size_t n = 1;
        if (c >= 0x80) {
            n = str_utf8_decode(s, (size_t)(end - s), &cp);
            n += n == 0;
        }
        if (is_line_end(cp)) {
            *next = s + n + (c == '\r' && s + 1 < end && s[1] == '\n');
            return s;
        }
        s += n;
    }
    *next = end;
    return end;
}

/* --- sections --- */

static bool ends_or_comment(const char *s, const char *end)
{
    strip(&s, &end);
    return s == end || *s == '#';
}

/* [^:\]\s]+ */
static const char *skip_group_name(const char *s, const char *end)
{
    while (s < end && *s != ':' && *s != ']') {
        uint32_t cp = (unsigned char)*s;
        size_t n = str_utf8_decode(s, (size_t)(end - s), &cp);
        if (is_space(cp))
            break;
        s += n ? n : 1;
    }
    return s;
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Splits "[name:tag]  # comment". */
static bool match_section(const char *s, const char *end, const char **name_end, const char **tag,
                          const char **tag_end)
{
    if (s >= end || *s != '[')
        return false;
    const char *p = skip_group_name(s + 1, end);
    if (p == s + 1 || p >= end)
        return false;
    *name_end = p;
    *tag = *tag_end = NULL;
    if (*p == ':') {
        *tag = ++p;
        while (p < end && is_word_byte(*p))
            p++;
        if (p == *tag)
            return false;
        *tag_end = p;
    }
    return p < end && *p == ']' && ends_or_comment(p + 1, end);
}

static enum rc section_state(struct ini *p, const char *tag, const char *tag_end)
{
    size_t n = tag ? (size_t)(tag_end - tag) : 0;
    if (tag == NULL || (n == 5 && memcmp(tag, "hosts", 5) == 0))
        p->state = STATE_HOSTS;
    else if (n == 4 && memcmp(tag, "vars", 4) == 0)
        p->state = STATE_VARS;
    else if (n == 8 && memcmp(tag, "children", 8) == 0)
        p->state = STATE_CHILDREN;
    else
        return FAIL(p, RC_CONFIG,
                    "a section is [group], [group:children] or [group:vars], not ':%.*s'",
                    (int)(n > 40 ? 40 : n), tag);
    return RC_OK;
}

static enum rc add_pending(struct ini *p, const char *name, bool is_child, struct pending **out)
{
    struct pending *d = arena_calloc(&p->inv->arena, 1, sizeof *d);
    if (d == NULL || map_puts(&p->pending, name, d) != 0)
        return err_nomem(p->e);
    d->name = name;
    d->is_child = is_child;
    d->at = here(p);
    *out = d;
    return RC_OK;
}

/* The declaration that others waited for: the edges are made now, in the order of the parents. */
static enum rc declared(struct ini *p, struct pending *d)
{
    enum rc rc = RC_OK;
    for (uint32_t i = 0; rc == RC_OK && i < d->parents.count; i++)
        rc = model_child(p->inv, d->parents.items[i], p->group, &d->at, p->e);
    map_del(&p->pending, d->name, strlen(d->name));
    return rc;
}

static enum rc open_section(struct ini *p, const char *s, const char *name_end, const char *tag,
                            const char *tag_end)
{
    enum rc rc = section_state(p, tag, tag_end);
    if (rc != RC_OK)
        return rc;
    const char *name = arena_strndup(&p->inv->arena, s + 1, (size_t)(name_end - s - 1));
    if (name == NULL)
        return err_nomem(p->e);
    struct value_place at = here(p);
    struct pending *d = map_gets(&p->pending, name);
    bool is_new = map_gets(&p->inv->groups, name) == NULL;
    rc = model_group(p->inv, name, &at, &p->group, p->e);
    if (rc == RC_OK && is_new && p->state == STATE_VARS && d == NULL)
        return add_pending(p, name, false, &d);
    if (rc == RC_OK && d != NULL && p->state != STATE_VARS)
        return declared(p, d);
    return rc;
}

/* --- lines of the three kinds of section --- */

static enum rc child_line(struct ini *p, const char *s, const char *end)
{
    const char *name_end = skip_group_name(s, end);
    if (name_end == s || !ends_or_comment(name_end, end))
        return FAIL(p, RC_PARSE, "the name of a group is expected, not '%.*s'",
                    (int)(end - s > 80 ? 80 : end - s), s);
    const char *name = arena_strndup(&p->inv->arena, s, (size_t)(name_end - s));
    if (name == NULL)
        return err_nomem(p->e);
    struct group *child = map_gets(&p->inv->groups, name);
    struct value_place at = here(p);
    if (child != NULL)
        return model_child(p->inv, p->group, child, &at, p->e);
    struct pending *d = map_gets(&p->pending, name);
    if (d == NULL) {
        enum rc rc = add_pending(p, name, true, &d);
        if (rc != RC_OK)
            return rc;
    }
    return model_list_add(p->inv, &d->parents, p->group) == 0 ? RC_OK : err_nomem(p->e);
}

static const struct value *literal(struct ini *p, const char *s, const char *end)
{
    struct value_place at = here(p);
    return pyliteral_parse(&p->inv->arena, s, (size_t)(end - s), &at);
}

static enum rc var_line(struct ini *p, const char *s, const char *end)
{
    const char *eq = memchr(s, '=', (size_t)(end - s));
    if (eq == NULL)
        return FAIL(p, RC_PARSE, "name=value is expected, not '%.*s'",
                    (int)(end - s > 80 ? 80 : end - s), s);
    const char *name_end = eq, *value = eq + 1;
    strip(&s, &name_end);
    strip(&value, &end);
    const char *name = model_intern(p->inv, s, (size_t)(name_end - s));
    const struct value *v = literal(p, value, end);
    if (name == NULL || v == NULL)
        return err_nomem(p->e);
    return model_group_var(p->inv, p->group, name, v, p->e);
}

enum lex { LEX_TOKEN, LEX_END, LEX_QUOTE, LEX_ESCAPE, LEX_NOMEM };

/* shlex.split(line, comments=True): the next word into p->token. */
static enum lex next_token(struct ini *p, const char **s, const char *end)
{
    char quote = '\0';
    bool quoted = false, in_word = false;
    buf_reset(&p->token);
    for (; *s < end; (*s)++) {
        char c = **s;
        if (quote != '\0' && c == quote) {
            quote = '\0';
            in_word = true;
            continue;
        }
        if (c == '\\' && quote != '\'') {
            if (++*s == end)
                return LEX_ESCAPE;
            if (quote == '"' && **s != '\\' && **s != '"' && buf_putc(&p->token, '\\') != RC_OK)
                return LEX_NOMEM;
            c = **s;
            in_word = true;
        } else if (quote == '\0') {
            if (c == '#')
                *s = end - 1;
            if (c == '#' || c == ' ' || c == '\t' || c == '\r' || c == '\n') {
                if (p->token.len > 0 || quoted) {
                    (*s)++;
                    return LEX_TOKEN;
                }
                in_word = false;
                continue;
            }
            if (c == '\'' || c == '"') {
                quote = c;
                quoted = true;
                continue;
            }
            in_word = true;
        }
        if (buf_putc(&p->token, c) != RC_OK)
            return LEX_NOMEM;
    }
    if (quote != '\0')
        return LEX_QUOTE;
    return in_word || quoted || p->token.len > 0 ? LEX_TOKEN : LEX_END;
}

static enum rc lex_error(struct ini *p, enum lex lex)
{
    if (lex == LEX_NOMEM)
        return err_nomem(p->e);
    return FAIL(p, RC_PARSE, "%s",
                lex == LEX_QUOTE ? "a quote is opened and not closed"
                                 : "the line ends in a backslash with nothing after it");
}

static enum rc host_var_token(struct ini *p, struct vars *set)
{
    const char *s = (const char *)p->token.data, *end = s + p->token.len;
    const char *eq = p->token.len ? memchr(s, '=', p->token.len) : NULL;
    if (eq == NULL)
        return FAIL(p, RC_PARSE, "name=value is expected after the host, not '%.*s'",
                    (int)(p->token.len > 80 ? 80 : p->token.len), s ? s : "");
    const char *name = model_intern(p->inv, s, (size_t)(eq - s));
    const struct value *v = literal(p, eq + 1, end);
    if (name == NULL || v == NULL || vars_set(p->inv, set, name, v) != 0)
        return err_nomem(p->e);
    return RC_OK;
}

static enum rc add_hosts(struct ini *p, struct hostrange *r, const struct vars *set)
{
    struct value_place at = here(p);
    enum rc rc;
    while ((rc = hostrange_next(r, &p->name)) == RC_OK) {
        const char *name = buf_cstr(&p->name);
        struct host *h;
        if (name == NULL)
            return err_nomem(p->e);
        rc = model_host(p->inv, name, p->group, r->port, &at, &h, p->e);
        if (rc == RC_OK && set->count > 0)
            rc = model_host_vars(p->inv, h, set, p->e);
        if (rc != RC_OK)
            return rc;
    }
    if (rc == RC_NOTFOUND)
        return RC_OK;
    return rc == RC_NOMEM ? err_nomem(p->e) : FAIL(p, rc, "the name of a host is too long");
}

/* Checks that Ansible makes beyond its range grammar. */
static enum rc check_host_word(struct ini *p, const struct hostrange *r, const char *word)
{
    size_t n = strlen(word);
    if (n > 0 && word[n - 1] == ':' && r->port == 0)
        return FAIL(p, RC_PARSE, "'%.80s' ends in ':', which is kept for a port (host:2222)", word);
    if (strcmp(word, "---") == 0)
        return FAIL(p, RC_PARSE, "'---' begins a YAML file, and this one is not YAML");
    return RC_OK;
}

static enum rc host_line(struct ini *p, const char *s, const char *end)
{
    enum lex lex = next_token(p, &s, end);
    if (lex == LEX_END)
        return RC_OK;
    const char *word = lex == LEX_TOKEN ? buf_cstr(&p->token) : NULL;
    if (word == NULL)
        return lex_error(p, lex == LEX_TOKEN ? LEX_NOMEM : lex);
    struct hostrange r;
    struct err inner;
    enum rc rc = hostrange_init(&r, &p->inv->patterns, word, &inner);
    if (rc != RC_OK)
        rc = rc == RC_NOMEM ? err_nomem(p->e) : FAIL(p, rc, "%s", inner.msg);
    if (rc == RC_OK)
        rc = check_host_word(p, &r, word);
    struct vars set = {0};
    while (rc == RC_OK && (lex = next_token(p, &s, end)) == LEX_TOKEN)
        rc = host_var_token(p, &set);
    if (rc == RC_OK && lex != LEX_END)
        rc = lex_error(p, lex);
    if (rc == RC_OK)
        rc = add_hosts(p, &r, &set);
    hostrange_fini(&r);
    return rc;
}

static enum rc one_line(struct ini *p, const char *s, const char *end)
{
    const char *start = s, *name_end, *tag, *tag_end;
    strip(&s, &end);
    p->column = (uint32_t)(s - start) + 1;
    if (s == end || *s == '#' || *s == ';')
        return RC_OK;
    if (!str_utf8_valid(s, (size_t)(end - s)))
        return FAIL(p, RC_PARSE, "the line is not UTF-8 text");
    if (memchr(s, '\0', (size_t)(end - s)) != NULL)
        return FAIL(p, RC_PARSE, "the line holds a NUL character");
    if (match_section(s, end, &name_end, &tag, &tag_end))
        return open_section(p, s, name_end, tag, tag_end);
    if (*s == '[' && end[-1] == ']')
        return FAIL(
            p, RC_PARSE,
            "'%.*s' is no section: write [group], [group:children] or [group:vars], without spaces",
            (int)(end - s > 80 ? 80 : end - s), s);
    if (p->state == STATE_CHILDREN)
        return child_line(p, s, end);
    return p->state == STATE_VARS ? var_line(p, s, end) : host_line(p, s, end);
}

/* Only the first thing that never came is reported, as Ansible does. */
static enum rc check_pending(struct ini *p)
{
    size_t i = 0;
    const struct map_entry *entry = map_next(&p->pending, &i);
    if (entry == NULL)
        return RC_OK;
    const struct pending *d = entry->value;
    if (!d->is_child)
        return model_error(p->e, RC_CONFIG, &d->at,
                           "[%.80s:vars] is for a group that no [%.80s] declares", d->name,
                           d->name);
    const struct group *parent = d->parents.items[d->parents.count - 1];
    return model_error(p->e, RC_CONFIG, &d->at,
                       "[%.80s:children] names the group '%.80s', which no [%.80s] declares",
                       parent->pub.name, d->name, d->name);
}

enum rc source_ini(struct inventory *inv, const char *file, const char *text, size_t len,
                   struct err *e)
{
    struct ini p = {.inv = inv, .file = file, .group = inv->ungrouped, .e = e};
    map_init(&p.pending);
    buf_init(&p.token, MAX_LINE);
    buf_init(&p.name, 64 * 1024);
    const char *s = text, *end = text + len;
    enum rc rc = RC_OK;
    while (rc == RC_OK && s < end) {
        const char *next, *stop = line_end(s, end, &next);
        p.line++;
        rc = one_line(&p, s, stop);
        s = next;
    }
    if (rc == RC_OK)
        rc = check_pending(&p);
    map_fini(&p.pending);
    buf_fini(&p.token);
    buf_fini(&p.name);
    return rc;
}
