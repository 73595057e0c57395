/* The lines of a file into blocks and directives. See internal.h. Opens nothing. */
#include "controller/sshconfig/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/str.h"

struct line {
    struct reading *r;
    unsigned number;
    const char *text; /* without blanks at its end */
    const char *rest; /* after the keyword and an "=" */
    char key[64];
    const char *where; /* "file:line", made when first needed */
    struct split words;
};

__attribute__((format(printf, 4, 5))) static enum rc fail_at(const struct line *l, size_t column,
                                                             struct err *e, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, RC_CONFIG, "%s:%u:%zu: %s", l->r->name, l->number, column + 1, text);
}

static size_t rest_column(const struct line *l)
{
    return (size_t)(l->rest - l->text);
}

static size_t word_column(const struct line *l, size_t i)
{
    return rest_column(l) + l->words.at[i];
}

static const char *where(struct line *l)
{
    char text[1100];
    if (l->where == NULL) {
        snprintf(text, sizeof text, "%s:%u", l->r->name, l->number);
        l->where = arena_strdup(&l->r->c->arena, text);
    }
    return l->where;
}

static enum rc add_block(struct reading *r, const struct block *b, struct err *e)
{
    struct sshconfig *c = r->c;
    if (mem_grow(&c->blocks, &c->block_cap, c->block_count + 1, sizeof *c->blocks) != 0)
        return err_nomem(e);
    r->block = (uint32_t)c->block_count;
    c->blocks[c->block_count] = *b;
    c->blocks[c->block_count].parent = r->parent;
    c->blocks[c->block_count++].first = (uint32_t)c->directive_count;
    if (r->parent != NO_BLOCK)
        c->blocks[r->parent].referenced = true;
    return RC_OK;
}

enum rc parse_begin(struct reading *r, struct err *e)
{
    return add_block(r, &(struct block){.kind = BLOCK_ALWAYS}, e);
}

static enum rc read_host(struct line *l, struct err *e)
{
    struct arena *arena = &l->r->c->arena;
    struct split *w = &l->words;
    if (w->argc == 0)
        return fail_at(l, rest_column(l), e, "Host names no pattern");
    for (size_t i = 0; i < w->argc; i++)
        if (w->argv[i][0] == '\0')
            return fail_at(l, word_column(l, i), e, "Host has an empty pattern");
    const char **patterns = arena_alloc(arena, w->argc * sizeof *patterns);
    if (patterns == NULL)
        return err_nomem(e);
    memcpy(patterns, w->argv, w->argc * sizeof *patterns);
    return add_block(
        l->r, &(struct block){.kind = BLOCK_HOST, .count = (uint32_t)w->argc, .patterns = patterns},
        e);
}

static enum criterion_kind criterion_of(const char *name, size_t n)
{
    static const struct {
        const char *name;
        enum criterion_kind kind;
    } table[] = {{"all", BY_ALL},
                 {"host", BY_HOST},
                 {"originalhost", BY_ORIGINAL_HOST},
                 {"user", BY_USER},
                 {"localuser", BY_LOCAL_USER},
                 {"final", BY_FINAL},
                 {"canonical", BY_FINAL},
                 {"exec", BY_UNKNOWN},
                 {"localnetwork", BY_UNKNOWN},
                 {"tagged", BY_UNKNOWN},
                 {"command", BY_UNKNOWN},
                 {"sessiontype", BY_UNKNOWN},
                 {"version", BY_UNKNOWN}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strlen(table[i].name) == n && strncasecmp(table[i].name, name, n) == 0)
            return table[i].kind;
    return (enum criterion_kind) - 1;
}

/* One criterion from word *i on, which is moved past what it took. */
static enum rc read_criterion(struct line *l, size_t *i, struct criterion *out, struct err *e)
{
    struct split *w = &l->words;
    size_t at = *i;
    const char *word = w->argv[(*i)++];
    out->negated = *word == '!';
    word += out->negated;
    size_t n = strcspn(word, "=");
    out->kind = criterion_of(word, n);
    if (out->kind == (enum criterion_kind) - 1)
        return fail_at(l, word_column(l, at), e,
                       "Match '%.40s': the criteria are all, host, originalhost, user, localuser, "
                       "exec, canonical and final",
                       word);
    bool alone = out->kind == BY_ALL || out->kind == BY_FINAL;
    if (alone) {
        l->r->c->has_final |= out->kind == BY_FINAL && (word[0] == 'f' || word[0] == 'F');
        return word[n] == '\0'
                   ? RC_OK
                   : fail_at(l, word_column(l, at), e, "Match %.*s takes no value", (int)n, word);
    }
    out->arg = word[n] == '=' ? word + n + 1 : *i < w->argc ? w->argv[(*i)++] : "";
    if (out->arg[0] == '\0')
        return fail_at(l, word_column(l, at), e, "Match %.*s needs a value", (int)n, word);
    if (out->kind == BY_UNKNOWN)
        out->arg = word;
    return RC_OK;
}

static enum rc check_all(const struct line *l, const struct criterion *list, size_t count,
                         struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].kind == BY_ALL &&
            (list[i].negated || i + 1 < count || (i > 0 && list[0].kind != BY_FINAL) || i > 1))
            return fail_at(l, rest_column(l), e, "Match: 'all' cannot stand with other criteria");
    return RC_OK;
}

static enum rc read_match(struct line *l, struct err *e)
{
    struct split *w = &l->words;
    if (w->argc == 0)
        return fail_at(l, rest_column(l), e, "Match has no criterion");
    struct criterion *list = arena_calloc(&l->r->c->arena, w->argc, sizeof *list);
    const char *place = where(l);
    if (list == NULL || place == NULL)
        return err_nomem(e);
    size_t count = 0;
    for (size_t i = 0; i < w->argc;) {
        enum rc rc = read_criterion(l, &i, &list[count++], e);
        if (rc != RC_OK)
            return rc;
    }
    enum rc rc = check_all(l, list, count, e);
    return rc != RC_OK ? rc
                       : add_block(l->r,
                                   &(struct block){.kind = BLOCK_MATCH,
                                                   .count = (uint32_t)count,
                                                   .criteria = list,
                                                   .where = place},
                                   e);
}

/* Each file's blocks stand within the current one, which then goes on. */
static enum rc read_include(struct line *l, struct err *e)
{
    struct reading *r = l->r;
    uint32_t before = r->block;
    if (l->words.argc == 0)
        return fail_at(l, rest_column(l), e, "Include names no file");
    for (size_t i = 0; i < l->words.argc; i++) {
        struct err why = {0};
        enum rc rc = load_include(r, l->words.argv[i], &why);
        if (rc == RC_OK)
            continue;
        if (e != NULL)
            *e = why;
        return rc == RC_LIMIT ? fail_at(l, word_column(l, i), e, "Include: %s", why.msg) : rc;
    }
    if (r->c->block_count == before + 1u)
        return RC_OK; /* nothing came in */
    r->c->blocks[before].referenced = true;
    return add_block(r, &(struct block){.kind = BLOCK_AGAIN, .original = before}, e);
}

static enum rc add_directive(struct line *l, enum sshword w, const char *const *argv, size_t argc,
                             struct err *e)
{
    struct sshconfig *c = l->r->c;
    const char **copy = arena_alloc(&c->arena, argc * sizeof *copy);
    const char *place = where(l);
    if (copy == NULL || place == NULL ||
        mem_grow(&c->directives, &c->directive_cap, c->directive_count + 1, sizeof *c->directives))
        return err_nomem(e);
    memcpy(copy, argv, argc * sizeof *copy);
    c->directives[c->directive_count++] =
        (struct directive){.word = w, .argc = (uint32_t)argc, .argv = copy, .where = place};
    c->blocks[l->r->block].directives++;
    return RC_OK;
}

static enum rc read_value(struct line *l, enum sshword w, struct err *e)
{
    struct split *s = &l->words;
    enum sshword_kind kind = sshword_kind(w);
    const char *copy = NULL;
    struct err why = {0};
    if (kind == KIND_REST) {
        if (l->rest[0] == '\0')
            return fail_at(l, 0, e, "%s has no value", sshword_name(w));
        copy = arena_strdup(&l->r->c->arena, l->rest);
        return copy == NULL ? err_nomem(e) : add_directive(l, w, &copy, 1, e);
    }
    if (s->argc == 0 || s->argv[0][0] == '\0')
        return fail_at(l, 0, e, "%s has no value", sshword_name(w));
    if (kind != KIND_LIST && s->argc > 1)
        return fail_at(l, word_column(l, 1), e,
                       "%s takes one value; put it in quotes if it has blanks", sshword_name(w));
    if (sshword_check(w, s->argv[0], &why) != RC_OK)
        return fail_at(l, word_column(l, 0), e, "%s", why.msg);
    return add_directive(l, w, s->argv, s->argc, e);
}

static enum rc read_ignore_unknown(struct line *l, struct err *e)
{
    struct sshconfig *c = l->r->c;
    if (l->words.argc != 1)
        return fail_at(l, rest_column(l), e, "IgnoreUnknown takes one list of patterns");
    if (c->ignore_unknown == NULL)
        c->ignore_unknown = l->words.argv[0];
    return RC_OK;
}

static enum rc unknown_word(struct line *l, struct err *e)
{
    char lower[sizeof l->key], shown[sizeof l->key];
    for (size_t i = 0; i < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)l->key[i]);
    const char *ignored = l->r->c->ignore_unknown;
    if (ignored != NULL && match_list(lower, ignored, true) == 1)
        return RC_OK;
    str_escape_to(shown, sizeof shown, l->key, strlen(l->key), 0);
    return fail_at(l, (size_t)strspn(l->text, " \t"), e,
                   "'%s' is no word of ssh_config (IgnoreUnknown lets ssh and us pass over it)",
                   shown);
}

/* The keyword and where its value begins: blanks, one "=", blanks. */
static enum rc read_key(struct line *l, struct err *e)
{
    const char *p = l->text + strspn(l->text, " \t\r");
    size_t n = strcspn(p, " \t\r=\"");
    if (n == 0 || n >= sizeof l->key)
        return fail_at(l, (size_t)(p - l->text), e, "a word of ssh_config is wanted here");
    memcpy(l->key, p, n);
    l->key[n] = '\0';
    p += n;
    p += strspn(p, " \t\r");
    p += *p == '=';
    l->rest = p + strspn(p, " \t\r");
    return RC_OK;
}

static enum rc read_line(struct line *l, struct err *e)
{
    const char *p = l->text + strspn(l->text, " \t\r");
    if (*p == '\0' || *p == '#')
        return RC_OK;
    enum rc rc = read_key(l, e);
    if (rc != RC_OK)
        return rc;
    enum sshword w = sshword_find(l->key);
    if (w == SSHWORD_HARMLESS)
        return RC_OK;
    if (w == SSHWORD_NONE)
        return unknown_word(l, e);
    struct err why = {0};
    if (sshword_kind(w) != KIND_REST || w >= SSHWORD_COUNT)
        rc = split_words(&l->words, &l->r->c->arena, l->rest, &why);
    if (rc != RC_OK)
        return rc == RC_NOMEM ? err_nomem(e) : fail_at(l, rest_column(l), e, "%s", why.msg);
    switch (w) {
    case SSHWORD_HOST: return read_host(l, e);
    case SSHWORD_MATCH: return read_match(l, e);
    case SSHWORD_INCLUDE: return read_include(l, e);
    case SSHWORD_IGNORE_UNKNOWN: return read_ignore_unknown(l, e);
    default: return read_value(l, w, e);
    }
}

/* A copy of the line without the blanks at its end; NULL when it cannot be used. */
static char *trimmed(const char *text, size_t n)
{
    while (n > 0 && strchr(" \t\r\n\f", text[n - 1]) != NULL && text[n - 1] != '\0')
        n--;
    char *copy = mem_alloc(n + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

static enum rc one_line(struct reading *r, unsigned number, const char *text, size_t n,
                        struct err *e)
{
    struct line l = {.r = r, .number = number, .text = ""};
    if (n > SSHCONFIG_MAX_LINE)
        return fail_at(&l, 0, e, "a line of more than %d bytes", SSHCONFIG_MAX_LINE);
    if (memchr(text, '\0', n) != NULL)
        return fail_at(&l, 0, e, "the line holds a NUL");
    char *copy = trimmed(text, n);
    if (copy == NULL)
        return err_nomem(e);
    l.text = copy;
    split_init(&l.words);
    enum rc rc = read_line(&l, e);
    split_fini(&l.words);
    mem_free(copy);
    return rc;
}

enum rc parse_text(struct reading *r, const char *text, size_t len, struct err *e)
{
    enum rc rc = RC_OK;
    unsigned number = 0;
    for (size_t at = 0; rc == RC_OK && at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end != NULL ? (size_t)(end - text) - at : len - at;
        rc = one_line(r, ++number, text + at, n, e);
        at += n + 1;
    }
    return rc;
}
