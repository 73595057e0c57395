/* Words of a line as ssh splits them (argv_split of OpenSSH's misc.c). See internal.h. */
#include "controller/sshconfig/internal.h"

#include <string.h>

#include "common/mem.h"

void split_init(struct split *s)
{
    memset(s, 0, sizeof *s);
}

void split_fini(struct split *s)
{
    mem_free(s->argv);
    mem_free(s->at);
    split_init(s);
}

static bool is_escape(const char *p, char quote)
{
    return p[0] == '\\' &&
           (p[1] == '\'' || p[1] == '"' || p[1] == '\\' || (quote == '\0' && p[1] == ' '));
}

/* Copies one word without its quotes; returns where it ends, NULL when a quote stays open. */
static const char *one_word(const char *p, char *dst)
{
    char quote = '\0';
    for (; *p != '\0'; p++) {
        if (is_escape(p, quote))
            *dst++ = *++p;
        else if (quote == '\0' && (*p == ' ' || *p == '\t'))
            break;
        else if (quote == '\0' && (*p == '"' || *p == '\''))
            quote = *p;
        else if (quote != '\0' && *p == quote)
            quote = '\0';
        else
            *dst++ = *p;
    }
    *dst = '\0';
    return quote == '\0' ? p : NULL;
}

static enum rc add(struct split *s, const char *word, size_t at)
{
    size_t cap = s->cap, same = s->cap;
    if (mem_grow(&s->at, &cap, s->argc + 1, sizeof *s->at) != 0 ||
        mem_grow(&s->argv, &same, s->argc + 1, sizeof *s->argv) != 0)
        return RC_NOMEM;
    s->cap = same;
    s->argv[s->argc] = word;
    s->at[s->argc++] = at;
    return RC_OK;
}

enum rc split_words(struct split *s, struct arena *arena, const char *text, struct err *e)
{
    /* Between two words there is a blank at least: their ends have room. */
    char *space = arena_alloc(arena, strlen(text) + 1);
    if (space == NULL)
        return err_nomem(e);
    s->argc = 0;
    for (const char *p = text;;) {
        p += strspn(p, " \t");
        if (*p == '\0' || *p == '#')
            return RC_OK;
        char *word = space;
        size_t at = (size_t)(p - text);
        p = one_word(p, word);
        if (p == NULL)
            return err_set(e, RC_PARSE, "a quote is not closed");
        space += strlen(word) + 1;
        if (add(s, word, at) != RC_OK)
            return err_nomem(e);
    }
}
