/* The generated parts of muster(1), in scdoc: OPTIONS from the table of options, PROBLEMS from the
 * table of outcomes. See options.h. */
#include "controller/cli/options_table.h"

#include <ctype.h>
#include <string.h>

#include "controller/outcome/outcome.h"

/* Text with what scdoc would take for markup escaped. */
static enum rc put_text(struct buf *out, const char *text)
{
    enum rc rc = RC_OK;
    for (const char *p = text; rc == RC_OK && *p != '\0'; p++) {
        /* At the beginning of a line these would open a list or a table. */
        if (strchr("*_\\<#", *p) != NULL || (p == text && strchr("-.|[]", *p) != NULL))
            rc = buf_putc(out, '\\');
        if (rc == RC_OK)
            rc = buf_putc(out, *p);
    }
    return rc;
}

static enum rc put_names(struct buf *out, const struct option_def *d)
{
    enum rc rc = d->letter ? buf_printf(out, "*-%c*, ", d->letter) : RC_OK;
    if (rc == RC_OK)
        rc = buf_printf(out, "*--%s*", d->name);
    if (rc == RC_OK && d->arg != NULL && (d->flags & OPTION_MAYBE) != 0) {
        rc = buf_printf(out, "[=_%s_]", d->arg);
    } else if (rc == RC_OK && d->arg != NULL) {
        rc = buf_puts(out, " _");
        if (rc == RC_OK)
            rc = put_text(out, d->arg);
        if (rc == RC_OK)
            rc = buf_putc(out, '_');
    }
    return rc;
}

/* "(run, retry; MUSTER_FANOUT)" */
static enum rc put_where(struct buf *out, const struct option_def *d)
{
    char name[64];
    bool first = true;
    enum rc rc = buf_puts(out, " (");
    for (int v = 0; rc == RC_OK && v < VERB_COUNT; v++) {
        if (!(d->verbs & 1u << v))
            continue;
        rc = buf_printf(out, "%s%s", first ? "" : ", ", verb_name((enum verb)v));
        first = false;
    }
    if (rc == RC_OK && (d->flags & OPTION_KEY)) {
        rc = buf_puts(out, "; ");
        if (rc == RC_OK)
            rc = put_text(out, option_env_name(name, sizeof name, d));
    }
    return rc == RC_OK ? buf_puts(out, ")\n\n") : rc;
}

static enum rc put_option(struct buf *out, const struct option_def *d)
{
    enum rc rc = put_names(out, d);
    if (rc == RC_OK)
        rc = buf_puts(out, "\n\t");
    if (rc == RC_OK)
        rc = put_text(out, d->help);
    if (rc == RC_OK)
        rc = buf_putc(out, '.');
    return rc == RC_OK ? put_where(out, d) : rc;
}

enum rc options_manual(struct buf *out)
{
    enum rc rc = RC_OK;
    for (int g = 0; rc == RC_OK && g < GROUP_COUNT; g++) {
        const char *title = option_group_title((enum option_group)g);
        rc = buf_printf(out, "## %c%s\n\n", toupper((unsigned char)title[0]), title + 1);
        for (size_t i = 0; rc == RC_OK && i < option_count; i++)
            if (option_table[i].group == (enum option_group)g &&
                !(option_table[i].flags & OPTION_HIDDEN))
                rc = put_option(out, &option_table[i]);
    }
    return rc;
}

enum rc options_manual_problems(struct buf *out)
{
    enum rc rc = RC_OK;
    for (int s = 0; rc == RC_OK && s < STATUS_COUNT; s++) {
        bool title = false;
        for (int p = 1; rc == RC_OK && p < PROBLEM_COUNT; p++) {
            if (problem_status((enum problem)p) != (enum status)s)
                continue;
            if (!title)
                rc = buf_printf(out, "## %s\n\n", status_name((enum status)s));
            title = true;
            if (rc == RC_OK)
                rc = buf_printf(out, "*%s*\n\t", problem_name((enum problem)p));
            const char *text = problem_text((enum problem)p);
            if (rc == RC_OK && islower((unsigned char)*text))
                rc = buf_putc(out, (char)toupper((unsigned char)*text++));
            if (rc == RC_OK)
                rc = put_text(out, text);
            if (rc == RC_OK)
                rc = buf_puts(out, problem_retry((enum problem)p) == RETRY_FAST
                                       ? ". Tried again by default.\n\n"
                                       : ".\n\n");
        }
    }
    return rc;
}
