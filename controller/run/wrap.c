/* See wrap.h. */
#include "controller/run/wrap.h"

#include <ctype.h>
#include <string.h>

#include "common/mem.h"
#include "common/str.h"

enum rc wrap_words(const char *const *words, size_t count, struct buf *out, struct err *e)
{
    if (count == 0 || (count == 1 && words[0][strspn(words[0], " \t\n")] == '\0'))
        return err_set(e, RC_USAGE, "the command is empty");
    enum rc rc = RC_OK;
    if (count == 1)
        rc = buf_puts(out, words[0]);
    for (size_t i = 0; count > 1 && rc == RC_OK && i < count; i++) {
        rc = i > 0 ? buf_putc(out, ' ') : RC_OK;
        if (rc == RC_OK)
            rc = str_shell_quote(out, words[i]);
    }
    if (rc == RC_LIMIT)
        return err_set(e, rc, "the command is longer than %d bytes; send it with --script",
                       WRAP_MAX);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

static bool is_env_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(s[i] == '_' || isalpha((unsigned char)s[i]) ||
              (i > 0 && isdigit((unsigned char)s[i]))))
            return false;
    return n > 0;
}

static enum rc add_env(struct buf *b, const char *pair, struct err *e)
{
    const char *eq = strchr(pair, '=');
    if (eq == NULL || !is_env_name(pair, (size_t)(eq - pair)))
        return err_set(e, RC_USAGE, "--env %.60s: write NAME=VALUE", pair);
    enum rc rc = buf_printf(b, "export %.*s=", (int)(eq - pair), pair);
    if (rc == RC_OK)
        rc = str_shell_quote(b, eq + 1);
    return rc == RC_OK ? buf_puts(b, "; ") : rc;
}

enum rc wrap_init(struct wrap_command *w, const char *command, const char *const *env,
                  size_t env_count, const char *cwd, bool raw, struct err *e)
{
    *w = (struct wrap_command){.raw = raw};
    if (raw && (env_count > 0 || cwd != NULL))
        return err_set(e, RC_USAGE,
                       "--raw sends the words untouched: --env and --cwd cannot be used");
    struct buf b;
    buf_init(&b, WRAP_MAX);
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < env_count; i++)
        rc = add_env(&b, env[i], e);
    if (rc == RC_OK && cwd != NULL) {
        rc = buf_puts(&b, "cd -- ");
        if (rc == RC_OK)
            rc = str_shell_quote(&b, cwd);
        if (rc == RC_OK)
            rc = buf_puts(&b, " || exit 125; ");
    }
    if (rc == RC_OK)
        rc = buf_puts(&b, command);
    if (rc == RC_OK && (w->text = buf_take(&b, NULL)) == NULL)
        rc = RC_NOMEM;
    buf_fini(&b);
    if (rc == RC_NOMEM)
        return err_nomem(e);
    if (rc == RC_LIMIT)
        return err_set(e, rc, "the command is longer than %d bytes; send it with --script",
                       WRAP_MAX);
    return rc;
}

void wrap_fini(struct wrap_command *w)
{
    mem_free(w->text);
    w->text = NULL;
}

/* "#!/usr/bin/env python3" names the interpreter; a script without a #! line is for sh. The file is
 * given to the interpreter, never executed itself, so that a noexec /tmp does not matter. */
static enum rc add_interpreter(struct buf *out, const char *script, size_t len, struct err *e)
{
    if (len < 2 || script[0] != '#' || script[1] != '!')
        return buf_puts(out, "/bin/sh");
    const char *line = script + 2, *end = memchr(line, '\n', len - 2);
    size_t n = end != NULL ? (size_t)(end - line) : len - 2;
    while (n > 0 && isspace((unsigned char)*line)) {
        line++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        n--;
    if (n == 0 || n > 512 || memchr(line, '\0', n) != NULL)
        return err_set(e, RC_USAGE, "the script's #! line names no interpreter");
    size_t path = strcspn(line, " \t\r\n");
    path = path < n ? path : n;
    char word[520];
    memcpy(word, line, path);
    word[path] = '\0';
    enum rc rc = str_shell_quote(out, word);
    while (path < n && isspace((unsigned char)line[path]))
        path++;
    if (rc != RC_OK || path == n)
        return rc;
    /* As the kernel does: all that follows the interpreter is one argument; env -S splits itself.
     */
    memcpy(word, line + path, n - path);
    word[n - path] = '\0';
    rc = buf_putc(out, ' ');
    return rc == RC_OK ? str_shell_quote(out, word) : rc;
}

enum rc wrap_script(const char *script, size_t len, const char *const *args, size_t count,
                    struct buf *out, struct err *e)
{
    enum rc rc = buf_puts(out, "t=$(mktemp \"${TMPDIR:-/tmp}/muster.XXXXXXXX\") || exit 125; "
                               "trap 'rm -f \"$t\"' EXIT; trap 'exit 143' HUP INT TERM; "
                               "cat >\"$t\" || exit 125; ");
    if (rc == RC_OK)
        rc = add_interpreter(out, script, len, e);
    if (rc == RC_OK)
        rc = buf_puts(out, " \"$t\"");
    for (size_t i = 0; rc == RC_OK && i < count; i++) {
        rc = buf_putc(out, ' ');
        if (rc == RC_OK)
            rc = str_shell_quote(out, args[i]);
    }
    if (rc == RC_OK)
        rc = buf_puts(out, " </dev/null");
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

static bool needs_backslash(char c)
{
    return c == '\'' || c == '\\' || c == '!';
}

enum rc wrap_quote_any_shell(struct buf *out, const char *s, size_t n)
{
    enum rc rc = buf_putc(out, '\'');
    for (size_t i = 0; rc == RC_OK && i < n;) {
        size_t run = i;
        while (run < n && !needs_backslash(s[run]) && s[run] != '\n' && s[run] != '\0')
            run++;
        rc = buf_append(out, s + i, run - i);
        i = run;
        if (rc != RC_OK || i == n)
            break;
        if (!needs_backslash(s[i]))
            return RC_PARSE;
        char piece[4] = {'\'', '\\', s[i++], '\''};
        rc = buf_append(out, piece, sizeof piece);
    }
    return rc == RC_OK ? buf_putc(out, '\'') : rc;
}

/* For printf %b: only \\ and \n are made, so nothing else of %b's can appear. */
static enum rc encode_lines(struct buf *out, const char *s, size_t n)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (s[i] == '\\')
            rc = buf_puts(out, "\\\\");
        else if (s[i] == '\n')
            rc = buf_puts(out, "\\n");
        else
            rc = buf_putc(out, s[i]);
    }
    return rc;
}

static enum rc quote_source(struct buf *out, const struct buf *source)
{
    const char *s = (const char *)source->data;
    enum rc rc = buf_puts(out, "exec /bin/sh -c ");
    if (rc != RC_OK)
        return rc;
    if (memchr(s, '\n', source->len) == NULL)
        return wrap_quote_any_shell(out, s, source->len);
    struct buf lines;
    buf_init(&lines, WRAP_MAX);
    rc = encode_lines(&lines, s, source->len);
    if (rc == RC_OK)
        rc = buf_puts(out, "'exec /bin/sh -c \"$(printf %b \"$1\")\" sh' sh ");
    if (rc == RC_OK)
        rc = wrap_quote_any_shell(out, (const char *)lines.data, lines.len);
    buf_fini(&lines);
    return rc;
}

enum rc wrap_line(const struct wrap_command *w, const char *host, uint32_t rank, uint32_t total,
                  struct buf *out, struct err *e)
{
    if (w->raw)
        return buf_puts(out, w->text);
    struct buf source;
    buf_init(&source, WRAP_MAX);
    enum rc rc = buf_puts(&source, "export MUSTER_HOST=");
    if (rc == RC_OK)
        rc = str_shell_quote(&source, host);
    if (rc == RC_OK)
        rc = buf_printf(&source, " MUSTER_RANK=%u MUSTER_TOTAL=%u; ", rank, total);
    if (rc == RC_OK)
        rc = buf_puts(&source, w->text);
    if (rc == RC_OK)
        rc = quote_source(out, &source);
    buf_fini(&source);
    if (rc == RC_LIMIT)
        return err_set(e, rc, "the command is longer than %d bytes; send it with --script",
                       WRAP_MAX);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}
