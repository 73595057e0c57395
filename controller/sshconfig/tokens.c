/* See tokens.h. */
#include "controller/sshconfig/tokens.h"

#include <stdio.h>
#include <string.h>

#include "common/str.h"

static enum rc put_token(const struct sshtokens *t, char token, const char *text, struct buf *out,
                         struct err *e)
{
    switch (token) {
    case '%': return buf_putc(out, '%');
    case 'd': return buf_puts(out, t->home);
    case 'h': return buf_puts(out, t->hostname);
    case 'i': return buf_printf(out, "%u", t->uid);
    case 'k': return buf_puts(out, t->alias != NULL ? t->alias : t->original);
    case 'L': return buf_append(out, t->local_host, strcspn(t->local_host, "."));
    case 'l': return buf_puts(out, t->local_host);
    case 'n': return buf_puts(out, t->original);
    case 'p': return buf_printf(out, "%u", t->port);
    case 'r': return buf_puts(out, t->user);
    case 'u': return buf_puts(out, t->local_user);
    default:
        return err_set(e, RC_CONFIG, "%.120s: %%%c is no token that we know here", text,
                       token >= ' ' && token < 127 ? token : '?');
    }
}

/* "${NAME}" at *p, which is moved to its end. */
static enum rc put_variable(const struct sshtokens *t, const char **p, const char *text,
                            struct buf *out, struct err *e)
{
    char name[128];
    const char *begin = *p + 2;
    size_t n = strcspn(begin, "}");
    if (begin[n] != '}' || n == 0 || n >= sizeof name)
        return err_set(e, RC_CONFIG, "%.120s: a ${NAME} has no end", text);
    memcpy(name, begin, n);
    name[n] = '\0';
    const char *value = t->env_get(name);
    if (value == NULL)
        return err_set(e, RC_CONFIG, "%.120s: the environment has no %s", text, name);
    *p = begin + n;
    return buf_puts(out, value);
}

enum rc sshtokens_expand(const struct sshtokens *t, const char *text, struct buf *out,
                         struct err *e)
{
    const char *p = text;
    enum rc rc = RC_OK;
    if (str_starts(p, "~/")) {
        rc = buf_puts(out, t->home);
        p++;
    } else if (*p == '~') {
        return err_set(e, RC_CONFIG, "%.120s: of the forms with ~ we know ~/ only", text);
    }
    for (; rc == RC_OK && *p != '\0'; p++) {
        if (*p == '%' && p[1] != '\0')
            rc = put_token(t, *++p, text, out, e);
        else if (*p == '$' && p[1] == '{')
            rc = put_variable(t, &p, text, out, e);
        else
            rc = buf_putc(out, *p);
    }
    if (rc == RC_LIMIT)
        return err_set(e, rc, "%.120s: longer than %zu bytes once filled in", text, out->max);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}
