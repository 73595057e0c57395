/* --help: the table of options as text for a terminal of 80 columns. See options.h. */
#include "controller/cli/options_table.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 80, INDENT = 28 };

static enum rc overview(struct buf *out)
{
    enum rc rc = buf_puts(out, "muster: one command on many hosts over SSH, and a short true "
                               "answer\n\n");
    for (int v = 0; rc == RC_OK && v < VERB_COUNT; v++)
        if (verb_name((enum verb)v) != NULL)
            rc = buf_printf(out, "  muster %-8s %-38s %s\n", verb_name((enum verb)v),
                            verb_usage((enum verb)v), verb_summary((enum verb)v));
    if (rc == RC_OK)
        rc = buf_puts(out,
                      "  muster help     [VERB]                                 this text, or a "
                      "verb's options\n"
                      "  muster --version\n\n"
                      "Try:\n"
                      "  muster run -w 'web[01-20],db1' -- uptime     no inventory needed\n"
                      "  muster run -i hosts.yml 'web:&prod' -- uname -r\n"
                      "  muster hosts -i hosts.yml --fold all\n"
                      "  muster retry last\n\n"
                      "Exit code: 0 all ok, 1 usage or configuration, otherwise the sum of 2 (a "
                      "command\nfailed), 4 (a host was not reached or never started), 8 (stopped "
                      "early); 130 on\nCtrl-C. Manual: muster(1), muster-inventory(5).\n");
    return rc;
}

/* "  -f, --fanout N" */
static enum rc put_spelling(struct buf *out, const struct option_def *d, size_t *columns)
{
    size_t before = out->len;
    enum rc rc = d->letter ? buf_printf(out, "  -%c, --%s", d->letter, d->name)
                           : buf_printf(out, "      --%s", d->name);
    if (rc == RC_OK && d->arg != NULL)
        rc = buf_printf(out, (d->flags & OPTION_MAYBE) != 0 ? "[=%s]" : " %s", d->arg);
    *columns = out->len - before;
    return rc;
}

/* Breaks a sentence at blanks so that it fits beside the options. */
static enum rc put_wrapped(struct buf *out, const char *text, size_t column)
{
    enum rc rc = RC_OK;
    if (column + 2 > INDENT) {
        rc = buf_putc(out, '\n');
        column = 0;
    }
    while (rc == RC_OK && *text != '\0') {
        rc = buf_printf(out, "%*s", (int)(INDENT - column), "");
        size_t n = strlen(text), room = WIDTH - INDENT;
        if (n > room) {
            for (n = room; n > 0 && text[n] != ' '; n--)
                ;
            n = n > 0 ? n : room;
        }
        if (rc == RC_OK)
            rc = buf_printf(out, "%.*s\n", (int)n, text);
        text += n;
        text += strspn(text, " ");
        column = 0;
    }
    return rc;
}

static enum rc put_group(struct buf *out, enum option_group g, enum verb v)
{
    enum rc rc = RC_OK;
    bool title = false;
    for (size_t i = 0; rc == RC_OK && i < option_count; i++) {
        const struct option_def *d = &option_table[i];
        if (d->group != g || !(d->verbs & 1u << v) || (d->flags & OPTION_HIDDEN))
            continue;
        if (!title)
            rc = buf_printf(out, "\n%s\n", option_group_title(g));
        title = true;
        size_t columns = 0;
        if (rc == RC_OK)
            rc = put_spelling(out, d, &columns);
        if (rc == RC_OK)
            rc = put_wrapped(out, d->help, columns);
    }
    return rc;
}

static const char *verb_words(enum verb v)
{
    switch (v) {
    case VERB_RUN:
        return "COMMAND as one word goes to the remote sh as it is; as several words, each is\n"
               "quoted, so what is typed here is what runs there.\n";
    case VERB_HOSTS: return "Without PATTERN: all hosts of the inventory, or those of -w.\n";
    case VERB_SHOW:
        return "RUN is an id of 'muster history', the beginning of one, last, or -2 for the one\n"
               "before the last.\n";
    case VERB_RETRY:
        return "RUN is an id of 'muster history', the beginning of one, last (the newest that\n"
               "can be repeated: no figures, no attach), or -2 for the one before.\n";
    case VERB_VAULT:
        return "ACTION is encrypt, decrypt, view, edit or rekey. Without FILE: standard input to\n"
               "standard output.\n";
    case VERB_KEYSCAN:
        return "Logs in nowhere. Shows what is new, known, changed and revoked, and asks once\n"
               "before new keys are recorded.\n";
    case VERB_ATTACH:
        return "RUN is a run with --detach, as 'muster history' has it, or last, the newest.\n"
               "Shows what its commands printed, waits for their ends, and removes what the\n"
               "hosts keep of it. Ctrl-C leaves; the commands go on.\n";
    case VERB_STATS:
        return "Logs in and shows figures of each host, taken by muster's agent; docs/stats.md\n"
               "lists them. Nothing is installed, nothing on the host is changed.\n";
    default: return "";
    }
}

enum rc options_help(enum verb v, struct buf *out)
{
    if (verb_name(v) == NULL)
        return overview(out);
    enum rc rc = buf_printf(out, "Usage: muster %s %s\n%s: %s.\n%s", verb_name(v), verb_usage(v),
                            verb_name(v), verb_summary(v), verb_words(v));
    for (int g = 0; rc == RC_OK && g < GROUP_COUNT; g++)
        rc = put_group(out, (enum option_group)g, v);
    if (rc == RC_OK)
        rc = buf_puts(out, "\nTIME is 500ms, 30s, 5m or 2h; SIZE is 64K or 10M. Options also come "
                           "from\nMUSTER_* and ~/.config/muster/config.yml; see muster(1).\n");
    return rc;
}
