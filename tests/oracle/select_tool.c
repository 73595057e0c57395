/* Answers many questions about host sets and patterns in one process, for the tests that compare
 * with ClusterShell and Ansible: one question a line on standard input, one answer a line.
 *
 *   f EXPR   folded        e EXPR   expanded, with blanks between
 *   p PATTERN   hosts of the inventory named on the command line
 *
 * An error is answered with "! " and its message.
 */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "inventory/hostset.h"
#include "inventory/inventory.h"
#include "inventory/pattern.h"

static enum rc put_words(struct hostset *s, struct buf *out)
{
    enum rc rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < hostset_count(s); i++)
        rc = buf_printf(out, "%s%s", i > 0 ? " " : "", hostset_at(s, i));
    return rc;
}

static enum rc answer_set(char kind, const char *expr, struct buf *out, struct err *e)
{
    struct hostset *s = NULL;
    enum rc rc = hostset_new(&s, e);
    if (rc == RC_OK)
        rc = hostset_parse(s, expr, NULL, NULL, e);
    if (rc == RC_OK)
        rc = kind == 'f' ? hostset_fold(s, out, e) : put_words(s, out);
    hostset_free(s);
    return rc;
}

static enum rc answer_pattern(struct inventory *inv, const char *text, struct buf *out,
                              struct err *e)
{
    struct pattern_opts o = {.pattern = text};
    struct selection sel = {0};
    enum rc rc = pattern_select(inv, &o, &sel, e);
    for (size_t i = 0; rc == RC_OK && i < sel.count; i++)
        rc = buf_printf(out, "%s%s", i > 0 ? " " : "", sel.hosts[i]->name);
    if (rc == RC_OK)
        selection_fini(&sel);
    return rc;
}

static void answer(struct inventory *inv, const char *line)
{
    struct buf out;
    struct err e = {0};
    buf_init(&out, (size_t)1 << 30);
    enum rc rc = err_set(&e, RC_USAGE, "a question is f, e or p, a blank, and a text");
    if ((line[0] == 'f' || line[0] == 'e') && line[1] == ' ')
        rc = answer_set(line[0], line + 2, &out, &e);
    else if (line[0] == 'p' && line[1] == ' ' && inv != NULL)
        rc = answer_pattern(inv, line + 2, &out, &e);
    if (rc == RC_OK)
        printf("%.*s\n", (int)out.len, out.data != NULL ? (const char *)out.data : "");
    else
        printf("! %s: %s\n", rc_name(rc), e.msg);
    fflush(stdout);
    buf_fini(&out);
}

static int load(struct inventory **inv, int argc, char **argv)
{
    struct err e = {0};
    if (argc < 2)
        return 0;
    enum rc rc = inventory_new(inv, &e);
    for (int i = 1; rc == RC_OK && i < argc; i++)
        rc = inventory_add_source(*inv, argv[i], &e);
    if (rc == RC_OK)
        rc = inventory_finish(*inv, &e);
    if (rc != RC_OK)
        fprintf(stderr, "select_tool: %s\n", e.msg);
    return rc == RC_OK ? 0 : -1;
}

int main(int argc, char **argv)
{
    static char line[1 << 20];
    struct inventory *inv = NULL;
    int code = load(&inv, argc, argv) == 0 ? 0 : 1;
    while (code == 0 && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        answer(inv, line);
    }
    inventory_free(inv);
    return code;
}
