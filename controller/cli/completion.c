/* Completion scripts for bash, zsh and fish, written from the table of options. See options.h.
 *
 * Hosts are completed by asking "muster hosts"; everything else is in the script itself.
 */
#include "controller/cli/options_table.h"

#include <string.h>

/* Long and short spellings of the options of one verb, with blanks between. */
static enum rc put_spellings(struct buf *out, enum verb v)
{
    enum rc rc = RC_OK;
    const char *gap = "";
    for (size_t i = 0; rc == RC_OK && i < option_count; i++) {
        const struct option_def *d = &option_table[i];
        if (!(d->verbs & 1u << v) || (d->flags & OPTION_HIDDEN))
            continue;
        rc = buf_printf(out, "%s--%s", gap, d->name);
        gap = " ";
        if (rc == RC_OK && d->letter)
            rc = buf_printf(out, " -%c", d->letter);
    }
    return rc;
}

static enum rc put_verbs(struct buf *out)
{
    enum rc rc = RC_OK;
    for (int v = 0; rc == RC_OK && v < VERB_COUNT; v++)
        if (verb_name((enum verb)v) != NULL)
            rc = buf_printf(out, "%s ", verb_name((enum verb)v));
    return rc == RC_OK ? buf_puts(out, "help") : rc;
}

/* Words that stand first behind a verb. */
static const char *first_words(enum verb v)
{
    return v == VERB_VAULT ? "encrypt decrypt view edit rekey" : "";
}

/* What bash runs to complete a value. */
static const char *bash_action(const struct option_def *d)
{
    if (strcmp(d->values, "@file") == 0)
        return "COMPREPLY=($(compgen -f -- \"$cur\"))";
    if (strcmp(d->values, "@dir") == 0)
        return "COMPREPLY=($(compgen -d -- \"$cur\"))";
    if (strcmp(d->values, "@host") == 0)
        return "COMPREPLY=($(compgen -W \"$(muster hosts 2>/dev/null)\" -- \"$cur\"))";
    return NULL;
}

static enum rc bash_value(struct buf *out, const struct option_def *d)
{
    if (d->arg == NULL || (d->flags & OPTION_HIDDEN))
        return RC_OK;
    enum rc rc = buf_printf(out, "    --%s", d->name);
    if (rc == RC_OK && d->letter)
        rc = buf_printf(out, " | -%c", d->letter);
    const char *action = bash_action(d);
    if (rc != RC_OK)
        return rc;
    return action != NULL
               ? buf_printf(out, ") %s; return ;;\n", action)
               : buf_printf(out, ") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
                            d->values);
}

static enum rc bash(struct buf *out)
{
    enum rc rc = buf_puts(out, "# bash completion for muster; written by muster --completion bash\n"
                               "_muster() {\n"
                               "    local cur=${COMP_WORDS[COMP_CWORD]} "
                               "prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                               "    COMPREPLY=()\n"
                               "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                               "        COMPREPLY=($(compgen -W \"");
    if (rc == RC_OK)
        rc = put_verbs(out);
    if (rc == RC_OK)
        rc = buf_puts(out, "\" -- \"$cur\"))\n        return\n    fi\n    case $prev in\n");
    for (size_t i = 0; rc == RC_OK && i < option_count; i++)
        rc = bash_value(out, &option_table[i]);
    if (rc == RC_OK)
        rc = buf_puts(out, "    esac\n    case ${COMP_WORDS[1]} in\n");
    for (int v = 0; rc == RC_OK && v < VERB_COUNT; v++) {
        if (verb_name((enum verb)v) == NULL)
            continue;
        rc = buf_printf(out, "    %s) COMPREPLY=($(compgen -W \"%s ", verb_name((enum verb)v),
                        first_words((enum verb)v));
        if (rc == RC_OK)
            rc = put_spellings(out, (enum verb)v);
        if (rc == RC_OK)
            rc = buf_puts(out, "\" -- \"$cur\")) ;;\n");
    }
    return rc == RC_OK ? buf_puts(out, "    esac\n}\ncomplete -o default -F _muster muster\n") : rc;
}

/* Text inside single quotes of zsh and fish; brackets and colons mean something to _arguments. */
static enum rc put_quoted(struct buf *out, const char *text, const char *special)
{
    enum rc rc = RC_OK;
    for (const char *p = text; rc == RC_OK && *p != '\0'; p++) {
        if (*p == '\'')
            rc = buf_puts(out, "'\\'");
        else if (strchr(special, *p) != NULL)
            rc = buf_putc(out, '\\');
        if (rc == RC_OK)
            rc = buf_putc(out, *p);
    }
    return rc;
}

static enum rc zsh_action(struct buf *out, const struct option_def *d)
{
    if (strcmp(d->values, "@file") == 0)
        return buf_puts(out, "_files");
    if (strcmp(d->values, "@dir") == 0)
        return buf_puts(out, "_files -/");
    if (strcmp(d->values, "@host") == 0)
        return buf_puts(out, "_muster_hosts");
    return d->values[0] != '\0' ? buf_printf(out, "(%s)", d->values) : RC_OK;
}

static enum rc zsh_spec(struct buf *out, const struct option_def *d, bool is_long)
{
    const char *repeat = d->flags & OPTION_REPEAT ? "*" : "";
    enum rc rc = is_long ? buf_printf(out, " \\\n        '%s--%s", repeat, d->name)
                         : buf_printf(out, " \\\n        '%s-%c", repeat, d->letter);
    if (rc == RC_OK)
        rc = buf_putc(out, '[');
    if (rc == RC_OK)
        rc = put_quoted(out, d->help, "[]:\\");
    if (rc == RC_OK)
        rc = buf_putc(out, ']');
    if (rc == RC_OK && d->arg != NULL)
        rc = buf_putc(out, ':');
    if (rc == RC_OK && d->arg != NULL)
        rc = put_quoted(out, d->arg, "[]:\\");
    if (rc == RC_OK && d->arg != NULL)
        rc = buf_putc(out, ':');
    if (rc == RC_OK && d->arg != NULL)
        rc = zsh_action(out, d);
    return rc == RC_OK ? buf_putc(out, '\'') : rc;
}

static enum rc zsh_verb(struct buf *out, enum verb v)
{
    enum rc rc = buf_printf(out, "    %s)\n        _arguments -s", verb_name(v));
    for (size_t i = 0; rc == RC_OK && i < option_count; i++) {
        const struct option_def *d = &option_table[i];
        if (!(d->verbs & 1u << v) || (d->flags & OPTION_HIDDEN))
            continue;
        rc = zsh_spec(out, d, true);
        if (rc == RC_OK && d->letter)
            rc = zsh_spec(out, d, false);
    }
    if (rc == RC_OK && *first_words(v) != '\0')
        return buf_printf(out, " \\\n        '1: :(%s)' '*: :_files'\n        ;;\n",
                          first_words(v));
    return rc == RC_OK ? buf_puts(out, " \\\n        '*: :_muster_hosts'\n        ;;\n") : rc;
}

static enum rc zsh(struct buf *out)
{
    enum rc rc = buf_puts(out, "#compdef muster\n"
                               "# zsh completion for muster; written by muster --completion zsh\n"
                               "_muster_hosts() {\n"
                               "    compadd -- ${(f)\"$(muster hosts 2>/dev/null)\"}\n"
                               "}\n"
                               "_muster() {\n"
                               "    if (( CURRENT == 2 )); then\n        compadd -- ");
    if (rc == RC_OK)
        rc = put_verbs(out);
    if (rc == RC_OK)
        rc = buf_puts(out, "\n        return\n    fi\n"
                           "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
                           "    case $verb in\n");
    for (int v = 0; rc == RC_OK && v < VERB_COUNT; v++)
        if (verb_name((enum verb)v) != NULL)
            rc = zsh_verb(out, (enum verb)v);
    return rc == RC_OK ? buf_puts(out, "    esac\n}\n_muster \"$@\"\n") : rc;
}

static enum rc fish_option(struct buf *out, const struct option_def *d)
{
    if (d->flags & OPTION_HIDDEN)
        return RC_OK;
    enum rc rc = buf_puts(out, "complete -c muster -n '__fish_seen_subcommand_from");
    for (int v = 0; rc == RC_OK && v < VERB_COUNT; v++)
        if (d->verbs & 1u << v)
            rc = buf_printf(out, " %s", verb_name((enum verb)v));
    if (rc == RC_OK)
        rc = buf_printf(out, "' -l %s", d->name);
    if (rc == RC_OK && d->letter)
        rc = buf_printf(out, " -s %c", d->letter);
    if (rc == RC_OK && d->arg != NULL)
        rc = buf_puts(out, " -r");
    if (rc == RC_OK && d->arg != NULL && strcmp(d->values, "@host") == 0)
        rc = buf_puts(out, " -f -a '(muster hosts 2>/dev/null)'");
    else if (rc == RC_OK && d->arg != NULL && d->values[0] != '@')
        rc = buf_printf(out, " -f -a '%s'", d->values);
    if (rc == RC_OK)
        rc = buf_puts(out, " -d '");
    if (rc == RC_OK)
        rc = put_quoted(out, d->help, "\\'");
    return rc == RC_OK ? buf_puts(out, "'\n") : rc;
}

static enum rc fish(struct buf *out)
{
    enum rc rc = buf_puts(out, "# fish completion for muster; written by muster --completion fish\n"
                               "complete -c muster -f -n __fish_use_subcommand -a '");
    if (rc == RC_OK)
        rc = put_verbs(out);
    if (rc == RC_OK)
        rc = buf_printf(out, "'\ncomplete -c muster -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                        verb_name(VERB_VAULT), first_words(VERB_VAULT));
    for (size_t i = 0; rc == RC_OK && i < option_count; i++)
        rc = fish_option(out, &option_table[i]);
    return rc;
}

enum rc options_completion(const char *shell, struct buf *out)
{
    if (strcmp(shell, "bash") == 0)
        return bash(out);
    if (strcmp(shell, "zsh") == 0)
        return zsh(out);
    return strcmp(shell, "fish") == 0 ? fish(out) : RC_USAGE;
}
