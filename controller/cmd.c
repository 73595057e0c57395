/* What the verbs share: how an error is shown, and whether all that was printed was written. */
#include "controller/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"

/* errno of the first write to standard output that failed: a later one may succeed, or fail for
 * another reason. Main thread. */
static int lost;

/* Messages quote file names, host names and text of inventories: nothing of that reaches a terminal
 * as it is. */
int cmd_fail(const struct err *e)
{
    char line[4 * sizeof e->msg];
    str_escape_to(line, sizeof line, e->msg, strlen(e->msg), STR_KEEP_NEWLINE);
    fprintf(stderr, "muster: %s\n", line);
    return 1;
}

void cmd_write(const void *p, size_t n)
{
    if (n > 0 && fwrite(p, 1, n, stdout) != n && lost == 0)
        lost = errno;
}

void cmd_line(const char *s)
{
    if (puts(s) < 0 && lost == 0)
        lost = errno;
}

void cmd_flush(void)
{
    if (fflush(stdout) != 0 && lost == 0)
        lost = errno;
}

int cmd_printed(void)
{
    struct err e = {0};
    cmd_flush();
    if (lost == 0 && ferror(stdout)) /* of a printf, which did not say why */
        lost = EIO;
    if (lost == 0)
        return 0;
    if (lost == EPIPE)
        return 1;
    err_sys(&e, lost, "standard output");
    return cmd_fail(&e);
}
