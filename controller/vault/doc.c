/* See doc.h. */
#include "controller/vault/doc.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "controller/vault/vault.h"

struct line {
    const char *p; /* without its newline */
    size_t len, start, next;
};

static struct line line_at(const struct doc *d, size_t at)
{
    const char *newline = memchr(d->text + at, '\n', d->len - at);
    size_t len = newline != NULL ? (size_t)(newline - d->text) - at : d->len - at;
    return (struct line){d->text + at, len, at, at + len + (newline != NULL)};
}

static size_t blanks(const char *p, size_t len)
{
    size_t n = 0;
    while (n < len && p[n] == ' ')
        n++;
    return n;
}

static bool is_empty(const struct line *l)
{
    for (size_t i = 0; i < l->len; i++)
        if (strchr(" \t\r", l->p[i]) == NULL)
            return false;
    return true;
}

/* "!vault |" to the end of the line, with what YAML allows after the bar. */
static bool is_block_tag(const char *p, size_t len)
{
    static const char *const tags[] = {"!vault-encrypted", "!vault"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(tags[i]);
        if (len <= n || memcmp(p, tags[i], n) != 0 || p[n] != ' ')
            continue;
        n += blanks(p + n, len - n);
        if (n == len || p[n] != '|')
            return false;
        for (n++; n < len && (p[n] == '-' || p[n] == '+' || isdigit((unsigned char)p[n])); n++)
            ;
        size_t gap = n;
        while (n < len && strchr(" \t\r", p[n]) != NULL)
            n++;
        return n == len || (p[n] == '#' && n > gap);
    }
    return false;
}

/* "  - key: !vault |". *column is where the key begins: what is sealed stands further right. */
static bool read_key(const struct line *l, size_t *column, const char **key, size_t *key_len)
{
    size_t at = blanks(l->p, l->len);
    while (at + 1 < l->len && l->p[at] == '-' && l->p[at + 1] == ' ')
        at += 1 + blanks(l->p + at + 1, l->len - at - 1);
    *column = at;
    char quote = at < l->len && (l->p[at] == '"' || l->p[at] == '\'') ? l->p[at] : '\0';
    size_t from = at + (quote != '\0'), to = from;
    while (to < l->len && (quote != '\0' ? l->p[to] != quote && l->p[to] != '\\'
                                         : l->p[to] != ':' && l->p[to] != ' ' && l->p[to] != '#'))
        to++;
    *key = l->p + from;
    *key_len = to - from;
    to += quote != '\0' && to < l->len && l->p[to] == quote;
    if (*key_len == 0 || *key_len > VAULT_MAX_NAME)
        return false;
    to += blanks(l->p + to, l->len - to);
    if (to >= l->len || l->p[to] != ':')
        return false;
    to++;
    size_t gap = blanks(l->p + to, l->len - to);
    return gap > 0 && is_block_tag(l->p + to + gap, l->len - to - gap);
}

/* Something in the line is a !vault that is no comment. */
static bool has_tag(const struct line *l)
{
    for (size_t i = 0; i + 6 <= l->len; i++) {
        if (l->p[i] == '#' && (i == 0 || l->p[i - 1] == ' '))
            return false;
        if (memcmp(l->p + i, "!vault", 6) == 0)
            return true;
    }
    return false;
}

static enum rc add_span(struct doc *d, const char *name, size_t name_len, struct doc_span **out,
                        struct err *e)
{
    if (d->count == DOC_MAX_SPANS)
        return err_set(e, RC_LIMIT, "more than %d sealed values", DOC_MAX_SPANS);
    if (mem_grow(&d->spans, &d->cap, d->count + 1, sizeof *d->spans) != 0)
        return err_nomem(e);
    struct doc_span *s = &d->spans[d->count];
    *s = (struct doc_span){.name = mem_strndup(name, name_len)};
    if (s->name == NULL)
        return err_nomem(e);
    buf_init(&s->text, VAULT_MAX_TEXT);
    d->count++;
    *out = s;
    return RC_OK;
}

/* One sealed line without what surrounds it. */
static enum rc add_line(struct doc_span *s, const struct line *l)
{
    size_t from = blanks(l->p, l->len), to = l->len;
    while (to > from && strchr(" \t\r", l->p[to - 1]) != NULL)
        to--;
    enum rc rc = buf_append(&s->text, l->p + from, to - from);
    return rc == RC_OK ? buf_putc(&s->text, '\n') : rc;
}

/* The lines below a key, further right than it. *at moves behind them. */
static enum rc take_block(struct doc *d, struct doc_span *s, size_t column, size_t *at,
                          size_t *line, struct err *e)
{
    s->start = s->end = *at;
    while (*at < d->len) {
        struct line l = line_at(d, *at);
        size_t indent = blanks(l.p, l.len);
        if (!is_empty(&l)) {
            if (indent <= column)
                break;
            if (s->text.len == 0) {
                s->start = l.start;
                s->indent = indent;
            }
            if (add_line(s, &l) != RC_OK)
                return err_nomem(e);
            s->end = l.next;
        }
        *at = l.next;
        ++*line;
    }
    return RC_OK;
}

static enum rc parse_yaml(struct doc *d, struct err *e)
{
    enum rc rc = RC_OK;
    size_t at = 0, line = 0;
    while (rc == RC_OK && at < d->len) {
        struct line l = line_at(d, at);
        size_t column, key_len;
        const char *key;
        struct doc_span *s = NULL;
        at = l.next;
        line++;
        if (!has_tag(&l))
            continue;
        if (!read_key(&l, &column, &key, &key_len)) {
            d->strange = d->strange == 0 ? line : d->strange;
            continue;
        }
        rc = add_span(d, key, key_len, &s, e);
        if (rc == RC_OK) {
            s->line = line;
            rc = take_block(d, s, column, &at, &line, e);
        }
    }
    return rc;
}

enum rc doc_parse(struct doc *d, const char *text, size_t len, struct err *e)
{
    *d = (struct doc){.text = text, .len = len};
    if (!vault_is_sealed(text, len))
        return parse_yaml(d, e);
    struct doc_span *s = NULL;
    enum rc rc = add_span(d, "", 0, &s, e);
    if (rc != RC_OK)
        return rc;
    s->line = 1;
    s->end = len;
    return buf_append(&s->text, text, len) == RC_OK
               ? RC_OK
               : err_set(e, RC_LIMIT, "a sealed text of more than %d bytes", VAULT_MAX_TEXT);
}

void doc_fini(struct doc *d)
{
    for (size_t i = 0; i < d->count; i++) {
        mem_free(d->spans[i].name);
        buf_fini(&d->spans[i].text);
    }
    mem_free(d->spans);
    *d = (struct doc){0};
}

enum rc doc_find(const struct doc *d, const char *name, const struct doc_span **out, struct err *e)
{
    const struct doc_span *found = NULL;
    for (size_t i = 0; i < d->count; i++) {
        if (strcmp(d->spans[i].name, name) != 0)
            continue;
        if (found != NULL)
            return err_set(e, RC_AMBIGUOUS, "'%.100s' is sealed in line %zu and in line %zu", name,
                           found->line, d->spans[i].line);
        found = &d->spans[i];
    }
    if (found == NULL)
        return err_set(e, RC_NOTFOUND, "no sealed value '%.100s:' (as in %.100s: !vault |)", name,
                       name);
    *out = found;
    return RC_OK;
}

static enum rc put_indented(const struct buf *sealed, size_t indent, struct buf *out)
{
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < sealed->len;) {
        const uint8_t *newline = memchr(sealed->data + at, '\n', sealed->len - at);
        size_t n = newline != NULL ? (size_t)(newline - sealed->data) - at + 1 : sealed->len - at;
        rc = buf_printf(out, "%*s", (int)indent, "");
        if (rc == RC_OK)
            rc = buf_append(out, sealed->data + at, n);
        at += n;
    }
    return rc;
}

/* A failed append, in words. */
static enum rc no_room(enum rc rc, const struct buf *out, struct err *e)
{
    return rc == RC_LIMIT
               ? err_set(e, rc, "the sealed text would be longer than %zu bytes", out->max)
           : rc == RC_OK ? RC_OK
                         : err_nomem(e);
}

enum rc doc_render(const struct doc *d, const struct buf *fresh, struct buf *out, struct err *e)
{
    enum rc rc = RC_OK;
    size_t at = 0;
    for (size_t i = 0; rc == RC_OK && i < d->count; i++) {
        const struct doc_span *s = &d->spans[i];
        if (fresh[i].len == 0)
            continue;
        rc = buf_append(out, d->text + at, s->start - at);
        if (rc == RC_OK)
            rc = put_indented(&fresh[i], s->indent, out);
        at = s->end;
    }
    if (rc == RC_OK)
        rc = buf_append(out, d->text + at, d->len - at);
    return no_room(rc, out, e);
}

enum rc doc_scalar(const char *name, const struct buf *sealed, struct buf *out, struct err *e)
{
    enum rc rc = buf_printf(out, "%s: !vault |\n", name);
    return no_room(rc == RC_OK ? put_indented(sealed, 2, out) : rc, out, e);
}

enum rc doc_check_name(const char *name, struct err *e)
{
    bool plain = isalnum((unsigned char)*name) || *name == '_';
    for (const char *p = name; *p != '\0'; p++)
        plain = plain && (isalnum((unsigned char)*p) || strchr("_.-", *p) != NULL);
    if (!plain)
        return err_set(e, RC_USAGE,
                       "'%.100s' is no name of a variable: letters, digits, _ . and - make one",
                       name);
    return RC_OK;
}
