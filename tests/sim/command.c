/* See command.h. */
#include "tests/sim/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/num.h"
#include "tests/sim/shell.h"

struct words {
    char *v[COMMAND_WORDS + 1];
    size_t n;
};

static void words_fini(struct words *w)
{
    while (w->n > 0)
        mem_free(w->v[--w->n]);
}

static bool words_add(struct words *w, struct buf *word)
{
    const char *text = word->len > 0 ? buf_cstr(word) : "";
    if (w->n == COMMAND_WORDS || text == NULL || (w->v[w->n] = mem_strdup(text)) == NULL)
        return false;
    w->v[++w->n] = NULL;
    return true;
}

static const char *no_variables(void *user, const char *name)
{
    (void)user, (void)name;
    return NULL;
}

/* --- unwrapping --- */

/* As printf %b reads what muster writes: \\ and \n. */
static void decode_lines(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++) {
        if (*s == '\\' && s[1] != '\0')
            *to++ = *++s == 'n' ? '\n' : *s;
        else
            *to++ = *s;
    }
    *to = '\0';
}

/* The source inside "exec /bin/sh -c SOURCE [sh ARGUMENT]", or NULL: it is no such line. */
static char *unwrap(const char *line)
{
    static const char *const head[] = {"exec", "/bin/sh", "-c"};
    static const char lines[] = "exec /bin/sh -c \"$(printf %b \"$1\")\" sh";
    struct words w = {0};
    struct buf word;
    char *source = NULL;
    buf_init(&word, COMMAND_LINE);
    while (shell_next(&line, &word, no_variables, NULL) == TOKEN_WORD && words_add(&w, &word))
        ;
    buf_fini(&word);
    bool ours = w.n >= 4;
    for (size_t i = 0; ours && i < 3; i++)
        ours = strcmp(w.v[i], head[i]) == 0;
    size_t at = ours && w.n == 6 && strcmp(w.v[3], lines) == 0 ? 5 : 3;
    if (ours && (at == 5 || w.n == 4)) {
        source = w.v[at];
        w.v[at] = NULL;
        if (at == 5)
            decode_lines(source);
    }
    words_fini(&w);
    return source;
}

bool command_init(struct command *c, const char *line)
{
    memset(c, 0, sizeof *c);
    buf_init(&c->step.text, COMMAND_LINE);
    if (strlen(line) > COMMAND_LINE)
        return false;
    if (strncmp(line, "exec /bin/sh -c ", 16) == 0)
        c->source = unwrap(line);
    if (c->source == NULL)
        c->source = mem_strdup(line);
    c->at = c->source;
    return c->source != NULL;
}

void command_fini(struct command *c)
{
    while (c->var_count > 0)
        mem_free(c->vars[--c->var_count]);
    mem_free(c->source);
    buf_fini(&c->step.text);
    c->source = NULL;
}

/* --- commands --- */

static const char *lookup(void *user, const char *name)
{
    static char status[16];
    const struct command *c = user;
    size_t n = strlen(name);
    if (strcmp(name, "?") == 0) {
        snprintf(status, sizeof status, "%d", c->status);
        return status;
    }
    if (strcmp(name, "$") == 0)
        return "1";
    for (size_t i = c->var_count; i > 0; i--)
        if (strncmp(c->vars[i - 1], name, n) == 0 && c->vars[i - 1][n] == '=')
            return c->vars[i - 1] + n + 1;
    return NULL;
}

static struct command_step *act(struct command *c, enum command_act a, uint64_t n)
{
    c->step.act = a;
    c->step.n = n;
    c->ended = a == ACT_END || a == ACT_SIGNAL;
    return &c->step;
}

static struct command_step *complain(struct command *c, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->step.is_stderr = true;
    buf_reset(&c->step.text);
    (void)!buf_puts(&c->step.text, "muster-sim: ");
    (void)!buf_vprintf(&c->step.text, fmt, ap);
    (void)!buf_putc(&c->step.text, '\n');
    va_end(ap);
    c->status = status;
    return act(c, ACT_OUTPUT, 0);
}

static struct command_step *do_echo(struct command *c, const struct words *w)
{
    bool newline = w->n < 2 || strcmp(w->v[1], "-n") != 0;
    buf_reset(&c->step.text);
    for (size_t i = newline ? 1 : 2; i < w->n; i++)
        if (buf_puts(&c->step.text, w->v[i]) != RC_OK ||
            (i + 1 < w->n && buf_putc(&c->step.text, ' ') != RC_OK))
            break;
    if (newline)
        (void)!buf_putc(&c->step.text, '\n');
    return act(c, ACT_OUTPUT, 0);
}

static struct command_step *do_sleep(struct command *c, const struct words *w)
{
    char *end = NULL;
    double seconds = w->n == 2 ? strtod(w->v[1], &end) : -1;
    if (end == NULL || end == w->v[1] || *end != '\0' || !(seconds >= 0 && seconds < 1e9))
        return complain(c, 1, "sleep: one number of seconds");
    return act(c, ACT_SLEEP, (uint64_t)(seconds * 1000));
}

static struct command_step *do_number(struct command *c, const struct words *w)
{
    struct err e = {0};
    uint64_t n = (uint64_t)c->status;
    if (strcmp(w->v[0], "flood") == 0) {
        if (w->n != 2 || num_size(w->v[1], &n, &e) != RC_OK)
            return complain(c, 2, "flood: one size, as 64K");
        return act(c, ACT_FLOOD, n);
    }
    if (w->n > 2 || (w->n == 2 && num_u64(w->v[1], 0, 255, &n, &e) != RC_OK))
        return complain(c, 2, "exit: one number from 0 to 255");
    return act(c, ACT_END, n);
}

static struct command_step *do_kill(struct command *c, const struct words *w)
{
    if (w->n != 3 || w->v[1][0] != '-' || strlen(w->v[1]) > 12)
        return complain(c, 2, "kill: -SIGNAL $$");
    buf_reset(&c->step.text);
    (void)!buf_puts(&c->step.text, w->v[1] + 1);
    return act(c, ACT_SIGNAL, 0);
}

static void do_export(struct command *c, struct words *w)
{
    for (size_t i = 1; i < w->n; i++)
        if (strchr(w->v[i], '=') != NULL && c->var_count < COMMAND_VARS) {
            c->vars[c->var_count] = mem_strdup(w->v[i]);
            c->var_count += c->vars[c->var_count] != NULL;
        }
}

/* Does one command; NULL when there is nothing to see of it. */
static struct command_step *run_words(struct command *c, struct words *w, bool to_stderr)
{
    static const char *const quiet[] = {"true", ":", "cd", "false", "export"};
    const char *name = w->v[0];
    c->step.is_stderr = to_stderr;
    c->status = 0;
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++)
        if (strcmp(name, quiet[i]) == 0) {
            c->status = i == 3;
            if (i == 4)
                do_export(c, w);
            return NULL;
        }
    if (strcmp(name, "echo") == 0)
        return do_echo(c, w);
    if (strcmp(name, "sleep") == 0)
        return do_sleep(c, w);
    if (strcmp(name, "exit") == 0 || strcmp(name, "flood") == 0)
        return do_number(c, w);
    if (strcmp(name, "kill") == 0)
        return do_kill(c, w);
    if (strcmp(name, "cat") == 0)
        return w->n == 1 ? act(c, ACT_CAT, 0) : complain(c, 1, "cat: no files here");
    if (strcmp(name, "hostname") == 0) {
        const char *host = lookup(c, "MUSTER_HOST");
        buf_reset(&c->step.text);
        (void)!buf_printf(&c->step.text, "%s\n", host != NULL ? host : "sim");
        return act(c, ACT_OUTPUT, 0);
    }
    return complain(c, 127, "%.60s: not found", name);
}

/* Reads one command up to what ends it. false: this is more of a shell than there is here. */
static bool read_words(struct command *c, struct words *w, bool *to_stderr, enum token *end)
{
    struct buf word;
    bool good = true;
    buf_init(&word, COMMAND_LINE);
    do {
        *end = shell_next(&c->at, &word, lookup, c);
        if (*end == TOKEN_WORD)
            good = words_add(w, &word);
        *to_stderr |= *end == TOKEN_ERR;
    } while (good && (*end == TOKEN_WORD || *end == TOKEN_ERR));
    buf_fini(&word);
    return good && *end != TOKEN_UNKNOWN;
}

/* One command, and whether the one after it is to be skipped. NULL: go on. */
static struct command_step *one_command(struct command *c)
{
    struct words w = {0};
    bool to_stderr = false, skip = c->skip;
    enum token end = TOKEN_END;
    struct command_step *step = NULL;
    if (!read_words(c, &w, &to_stderr, &end)) {
        c->at = "";
        step = complain(c, 2, "that needs a real shell");
    } else if (w.n > 0 && !skip) {
        step = run_words(c, &w, to_stderr);
    }
    c->skip = (end == TOKEN_AND && c->status != 0) || (end == TOKEN_OR && c->status == 0);
    words_fini(&w);
    return step;
}

const struct command_step *command_next(struct command *c)
{
    if (c->ended)
        return act(c, ACT_END, (uint64_t)c->status);
    while (*c->at != '\0') {
        struct command_step *step = one_command(c);
        if (step != NULL)
            return step;
    }
    return act(c, ACT_END, (uint64_t)c->status);
}
