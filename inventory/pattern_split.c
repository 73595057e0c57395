/* Cuts a pattern into terms: at commas, and at colons and blanks as Ansible's old notation does.
 * A bracket keeps what is in it together, and so do parentheses and braces in a regular expression.
 * An IPv6 address, and "host:22", keep their colons.
 */
#include <string.h>

#include "common/mem.h"
#include "common/str.h"
#include "inventory/pattern_int.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Text being cut. */
struct cut {
    const char *s;
    size_t end;
    size_t last_close; /* position of the last "]": a "[" behind it is plain text */
};

static size_t skip_bracket(const struct cut *c, size_t at)
{
    if (c->s[at] != '[' || at >= c->last_close)
        return at;
    const char *close = memchr(c->s + at, ']', c->end - at);
    return close != NULL ? (size_t)(close - c->s) : at;
}

/* Where the term that begins at `at` ends: at the next separator outside brackets. */
static size_t term_end(const struct cut *c, size_t at)
{
    const char *s = c->s;
    size_t i = at;
    if (i < c->end && (s[i] == '!' || s[i] == '&'))
        i++;
    bool regex = i < c->end && s[i] == '~';
    long depth = 0;
    for (; i < c->end; i++) {
        if (regex && s[i] == '\\' && i + 1 < c->end) {
            i++;
            continue;
        }
        if (regex)
            depth += (s[i] == '(' || s[i] == '{') - (s[i] == ')' || s[i] == '}');
        i = skip_bracket(c, i);
        if (depth <= 0 && (s[i] == ',' || s[i] == ':' || is_blank(s[i])))
            break;
    }
    return i;
}

/* Ansible takes whatever begins like an IPv6 address for one: "::", groups of hex digits with "::"
 * after at most six, or eight groups. */
static bool begins_ipv6(const struct cut *c, size_t at, size_t end)
{
    if (at + 1 < end && c->s[at] == ':' && c->s[at + 1] == ':')
        return true;
    for (unsigned groups = 1; at < end; groups++) {
        size_t from = at;
        if (c->s[at] == '[') {
            at = skip_bracket(c, at) + 1;
        } else
            while (at < end && at - from < 4 && is_hex(c->s[at]))
                at++;
        if (at == from)
            return false;
        if (groups == 8)
            return true;
        if (at >= end || c->s[at] != ':')
            return false;
        at++;
        if (at < end && c->s[at] == ':' && groups <= 6)
            return true;
    }
    return false;
}

/* "name:22", where the name has no wildcards. */
static bool has_port(const struct cut *c, size_t at, size_t end)
{
    size_t digits = end;
    while (digits > at && is_digit(c->s[digits - 1]))
        digits--;
    if (digits == end || digits == at || digits - 1 == at || c->s[digits - 1] != ':')
        return false;
    for (size_t i = at; i < digits - 1; i++) {
        unsigned char ch = (unsigned char)c->s[i];
        bool word = is_digit((char)ch) || ((ch | 32) >= 'a' && (ch | 32) <= 'z') || ch >= 0x80 ||
                    ch == '_' || ch == '-' || ch == '.';
        if (ch == '[' && skip_bracket(c, i) > i)
            i = skip_bracket(c, i);
        else if (!word)
            return false;
    }
    return true;
}

static enum rc add_term(struct pattern_terms *t, const char *s, size_t n, struct arena *arena,
                        struct err *e)
{
    char op = 0;
    if (s[0] == '!' || s[0] == '&') {
        op = s[0];
        s++;
        n--;
    }
    if (n == 0)
        return err_set(e, RC_PARSE, "nothing follows '%c'; a host, group or pattern was expected",
                       op);
    char *text = arena_strndup(arena, s, n);
    if (text == NULL || mem_grow(&t->items, &t->cap, t->count + 1, sizeof *t->items) != 0)
        return err_nomem(e);
    t->items[t->count++] = (struct pattern_term){.op = op, .text = text};
    return RC_OK;
}

/* One stretch between commas. */
static enum rc split_part(struct pattern_terms *t, const struct cut *c, size_t at, size_t end,
                          struct arena *arena, struct err *e)
{
    while (at < end && is_blank(c->s[at]))
        at++;
    while (end > at && is_blank(c->s[end - 1]))
        end--;
    size_t name = at + (at < end && (c->s[at] == '!' || c->s[at] == '&'));
    bool regex = name < end && c->s[name] == '~';
    if (!regex && (begins_ipv6(c, name, end) || has_port(c, name, end)))
        return add_term(t, c->s + at, end - at, arena, e);
    while (at < end) {
        size_t stop = term_end(c, at);
        stop = stop < end ? stop : end;
        if (stop > at) {
            enum rc rc = add_term(t, c->s + at, stop - at, arena, e);
            if (rc != RC_OK)
                return rc;
        }
        at = stop + 1;
    }
    return RC_OK;
}

enum rc pattern_split(struct pattern_terms *t, const char *text, struct arena *arena, struct err *e)
{
    struct cut c = {.s = text, .end = strlen(text)};
    if (c.end > PATTERN_TEXT_MAX)
        return err_set(e, RC_LIMIT, "a pattern of more than 16 MiB");
    const char *close = strrchr(text, ']');
    c.last_close = close != NULL ? (size_t)(close - text) : 0;
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < c.end;) {
        size_t end = at;
        for (;; end++) { /* over the terms of this part, to a comma */
            end = term_end(&c, end);
            if (end >= c.end || text[end] == ',')
                break;
        }
        rc = split_part(t, &c, at, end, arena, e);
        at = end + 1;
    }
    return rc;
}
