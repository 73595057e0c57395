/* See shell.h. */
#include "tests/sim/shell.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { NAME = 64 };

struct reader {
    const char *s;
    struct buf *word;
    shell_lookup_fn lookup;
    void *user;
};

static bool put(struct reader *r, const char *p, size_t n)
{
    return buf_append(r->word, p, n) == RC_OK;
}

static bool read_single(struct reader *r)
{
    const char *end = strchr(r->s + 1, '\'');
    if (end == NULL || !put(r, r->s + 1, (size_t)(end - r->s - 1)))
        return false;
    r->s = end + 1;
    return true;
}

/* At a dollar sign: $NAME, ${NAME}, $? and $$. Anything else stays as it is, but for $(. */
static bool read_dollar(struct reader *r)
{
    char name[NAME];
    const char *s = r->s + 1;
    bool brace = *s == '{';
    s += brace;
    size_t n = *s == '?' || *s == '$' ? 1 : 0;
    while (n == 0 || (s[0] != '?' && s[0] != '$')) {
        if (s[n] != '_' && !isalnum((unsigned char)s[n]))
            break;
        n++;
    }
    if (n == 0 && !brace && *s != '(') {
        r->s++;
        return put(r, "$", 1);
    }
    if (n == 0 || n >= sizeof name || (brace && s[n] != '}'))
        return false;
    memcpy(name, s, n);
    name[n] = '\0';
    r->s = s + n + brace;
    const char *value = r->lookup(r->user, name);
    return value == NULL || put(r, value, strlen(value));
}

static bool read_double(struct reader *r)
{
    r->s++;
    while (*r->s != '"') {
        if (*r->s == '\0' || *r->s == '`')
            return false;
        if (*r->s == '$') {
            if (!read_dollar(r))
                return false;
            continue;
        }
        if (*r->s == '\\' && r->s[1] != '\0' && strchr("\"\\$`", r->s[1]) != NULL)
            r->s++;
        if (!put(r, r->s++, 1))
            return false;
    }
    r->s++;
    return true;
}

static enum token read_word(struct reader *r)
{
    while (*r->s != '\0' && strchr(" \t\n;&|", *r->s) == NULL) {
        bool good = true;
        switch (*r->s) {
        case '\'': good = read_single(r); break;
        case '"': good = read_double(r); break;
        case '$': good = read_dollar(r); break;
        case '\\':
            r->s += r->s[1] != '\0';
            good = put(r, r->s++, 1);
            break;
        default:
            good = strchr("`<>()", *r->s) == NULL && put(r, r->s, 1);
            r->s++;
            break;
        }
        if (!good)
            return TOKEN_UNKNOWN;
    }
    return TOKEN_WORD;
}

enum token shell_next(const char **at, struct buf *word, shell_lookup_fn lookup, void *user)
{
    static const struct {
        const char *text;
        enum token token;
    } marks[] = {{"&&", TOKEN_AND},    {"||", TOKEN_OR},    {";", TOKEN_THEN},
                 {"\n", TOKEN_THEN},   {">&2", TOKEN_ERR},  {"1>&2", TOKEN_ERR},
                 {"&", TOKEN_UNKNOWN}, {"|", TOKEN_UNKNOWN}};
    struct reader r = {*at + strspn(*at, " \t"), word, lookup, user};
    buf_reset(word);
    enum token token = TOKEN_END;
    if (*r.s != '\0') {
        size_t i = 0, n = sizeof marks / sizeof marks[0];
        while (i < n && strncmp(r.s, marks[i].text, strlen(marks[i].text)) != 0)
            i++;
        token = i < n ? marks[i].token : read_word(&r);
        if (i < n)
            r.s += strlen(marks[i].text);
    }
    *at = r.s;
    return token;
}
