/* See secret.h. The struct itself comes from mem_*, so that a test sees what was not freed and can
 * make an allocation fail; the bytes come from libsodium. */
#include "controller/vault/secret.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/mem.h"

enum { FIRST_READ = 4096 };

enum rc secret_new(struct secret **out, size_t cap, struct err *e)
{
    *out = NULL;
    if (sodium_init() < 0)
        return err_set(e, RC_CRYPTO, "libsodium cannot be used on this machine");
    struct secret *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(e);
    s->cap = cap;
    s->data = sodium_malloc(cap > 0 ? cap : 1);
    if (s->data == NULL) {
        mem_free(s);
        return err_nomem(e);
    }
    *out = s;
    return RC_OK;
}

enum rc secret_copy(struct secret **out, const void *data, size_t len, struct err *e)
{
    enum rc rc = secret_new(out, len, e);
    if (rc != RC_OK)
        return rc;
    if (len > 0)
        memcpy((*out)->data, data, len);
    (*out)->len = len;
    return RC_OK;
}

void secret_free(struct secret *s)
{
    if (s == NULL)
        return;
    sodium_free(s->data); /* overwrites */
    mem_free(s);
}

/* Moves to a block of twice the size, one byte past `max` at most: that byte tells "too long". */
static enum rc grow(struct secret **s, size_t max, struct err *e)
{
    struct secret *more;
    size_t cap = (*s)->cap > max / 2 ? max + 1 : (*s)->cap * 2;
    enum rc rc = secret_new(&more, cap, e);
    if (rc != RC_OK)
        return rc;
    memcpy(more->data, (*s)->data, (*s)->len);
    more->len = (*s)->len;
    secret_free(*s);
    *s = more;
    return RC_OK;
}

enum rc secret_read(struct secret **out, int fd, size_t max, struct err *e)
{
    struct secret *s;
    *out = NULL;
    enum rc rc = secret_new(&s, max < FIRST_READ ? max + 1 : FIRST_READ, e);
    while (rc == RC_OK) {
        if (s->len > max) {
            rc = err_set(e, RC_LIMIT, "longer than %zu bytes", max);
            break;
        }
        if (s->len == s->cap && (rc = grow(&s, max, e)) != RC_OK)
            break;
        ssize_t n = read(fd, s->data + s->len, s->cap - s->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(e, errno, "read");
        if (n == 0)
            break;
        s->len += n > 0 ? (size_t)n : 0;
    }
    if (rc == RC_OK)
        *out = s;
    else
        secret_free(s);
    return rc;
}

void secret_chomp(struct secret *s)
{
    if (s->len > 0 && s->data[s->len - 1] == '\n')
        s->len--;
    if (s->len > 0 && s->data[s->len - 1] == '\r')
        s->len--;
}
