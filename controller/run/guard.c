/* See guard.h. */
#include "controller/run/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/num.h"
#include "common/str.h"
#include "inventory/hostset.h"

static enum rc fold(const struct selection *targets, struct buf *out, struct err *e)
{
    const char **names = mem_alloc(targets->count * sizeof *names);
    if (names == NULL)
        return err_nomem(e);
    for (size_t i = 0; i < targets->count; i++)
        names[i] = targets->hosts[i]->name;
    struct buf folded;
    buf_init(&folded, 16u << 20);
    enum rc rc = hostset_fold_names(names, targets->count, &folded, e);
    if (rc == RC_OK)
        rc = str_escape(out, folded.data, folded.len, 0);
    buf_fini(&folded);
    mem_free(names);
    return rc == RC_NOMEM ? err_nomem(e) : rc;
}

/* How many targets are protected, and the first of them. A value we cannot read protects too: a
 * guard that opens on a typing error is none. */
static size_t count_protected(const struct inventory *inv, const struct selection *targets,
                              const char **first)
{
    size_t n = 0;
    for (size_t i = 0; i < targets->count; i++) {
        const struct value *v = inventory_host_var(inv, targets->hosts[i], "muster_protected");
        bool is = v != NULL;
        if (v == NULL || (value_bool(v, &is, NULL) == RC_OK && !is))
            continue;
        if (n++ == 0)
            *first = targets->hosts[i]->name;
    }
    return n;
}

static enum rc check_protected(const struct options *o, const struct inventory *inv,
                               const struct selection *targets, struct err *e)
{
    if (o->allow_protected)
        return RC_OK;
    const char *first = NULL;
    char name[128], count[NUM_TEXT];
    size_t n = count_protected(inv, targets, &first);
    if (n == 0)
        return RC_OK;
    str_escape_to(name, sizeof name, first, strlen(first), 0);
    return err_set(e, RC_USAGE,
                   "%s of the hosts %s protected (%s%s): add --allow-protected if they are meant",
                   num_count_text(count, n), n == 1 ? "is" : "are", name, n == 1 ? "" : ", ...");
}

static enum rc check_expected(const struct options *o, size_t count, struct err *e)
{
    char have[NUM_TEXT], low[NUM_TEXT], high[NUM_TEXT];
    if (count >= o->expect_min && count <= o->expect_max)
        return RC_OK;
    num_count_text(have, count);
    num_count_text(low, o->expect_min);
    num_count_text(high, o->expect_max);
    if (o->expect_min == o->expect_max)
        return err_set(e, RC_USAGE, "the pattern selects %s hosts, --expect says %s", have, low);
    return err_set(e, RC_USAGE, "the pattern selects %s hosts, --expect says %s to %s", have, low,
                   high);
}

/* The count must be typed: a "y" is typed without reading. */
static enum rc ask(FILE *tty, const struct selection *targets, struct err *e)
{
    struct buf list;
    buf_init(&list, 64u << 20);
    enum rc rc = fold(targets, &list, e);
    char answer[64], count[NUM_TEXT];
    if (rc == RC_OK) {
        fprintf(tty, "%.*s\n\nThis runs on %s hosts. Type their number to go on: ", (int)list.len,
                (const char *)list.data, num_count_text(count, targets->count));
        fflush(tty);
        if (fgets(answer, sizeof answer, tty) == NULL)
            answer[0] = '\0';
        size_t n = 0;
        for (const char *p = answer; *p != '\0'; p++)
            if (*p != ',' && *p != ' ' && *p != '\n' && *p != '\r')
                answer[n++] = *p;
        answer[n] = '\0';
        uint64_t typed;
        if (num_u64(answer, 0, UINT64_MAX, &typed, NULL) != RC_OK || typed != targets->count)
            rc = err_set(e, RC_CANCELLED, "not confirmed; nothing was started");
    }
    buf_fini(&list);
    return rc;
}

static enum rc check_size(const struct options *o, const struct selection *targets, struct err *e)
{
    char count[NUM_TEXT];
    num_count_text(count, targets->count);
    FILE *tty =
        isatty(STDIN_FILENO) == 1 || isatty(STDERR_FILENO) == 1 ? fopen("/dev/tty", "r+e") : NULL;
    if (tty == NULL)
        return err_set(e, RC_USAGE,
                       "this runs on %s hosts (more than %u) and there is no terminal to ask: say "
                       "--expect %zu, or --yes",
                       count, o->guard, targets->count);
    enum rc rc = ask(tty, targets, e);
    fclose(tty);
    return rc;
}

enum rc guard_check(const struct options *o, const struct inventory *inv,
                    const struct selection *targets, struct err *e)
{
    enum rc rc = check_protected(o, inv, targets, e);
    if (rc == RC_OK && o->expect_set)
        return check_expected(o, targets->count, e);
    if (rc != RC_OK || o->yes || o->dry_run || o->guard == 0 || targets->count <= o->guard)
        return rc;
    return check_size(o, targets, e);
}
